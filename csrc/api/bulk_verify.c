/*
** bulk_verify.c — the check of a database file as one frame.
**
**     u32 problems, u32 records low, u32 records high, u32 segments,
**     then for each problem listed: u32 page low, u32 page high, u32 text size, text, padding to 4
*/
#include "api/bulk_internal.h"

#define HEAD_SIZE 16u

struct listing {
    struct buffer frame;
    uint32_t listed;
};

static void put_number(struct buffer *frame, uint32_t value) {
    uint8_t bytes[4];
    put_u32_little(bytes, value);
    buffer_append(frame, bytes, sizeof bytes);
}

static void list_problem(void *context, uint64_t page_no, const char *text) {
    static const uint8_t zeros[4] = {0};
    struct listing *listing = context;
    uint32_t size = (uint32_t)strlen(text);

    if (listing->listed == LSM_BULK_VERIFY_LISTED_MAX) return;
    listing->listed++;
    put_number(&listing->frame, (uint32_t)page_no);
    put_number(&listing->frame, (uint32_t)(page_no >> 32));
    put_number(&listing->frame, size);
    buffer_append(&listing->frame, text, size);
    buffer_append(&listing->frame, zeros, (4 - size % 4) % 4);
}

static void put_head(uint8_t *head, const struct verify_totals *totals) {
    uint64_t problems = totals->problem_count;

    put_u32_little(head, problems > UINT32_MAX ? UINT32_MAX : (uint32_t)problems);
    put_u32_little(head + 4, (uint32_t)totals->record_count);
    put_u32_little(head + 8, (uint32_t)(totals->record_count >> 32));
    put_u32_little(head + 12, totals->segment_count);
}

int32_t lsm_bulk_verify(uint32_t id, uint8_t *out, uint32_t capacity) {
    static const uint8_t head[HEAD_SIZE] = {0};
    struct listing listing = {0};
    struct verify_report report = {&listing, list_problem};
    struct verify_totals totals;
    struct bulk_wait wait = {0};
    struct handle *handle;
    int32_t result = handle_enter(id, HANDLE_DATABASE, &handle);
    int rc;

    if (result != LSM_OK) return result;
    bulk_begin_call(handle);
    bulk_lock(&handle->main);
    buffer_init(&listing.frame, lsm_default_env());
    do {
        listing.listed = 0;
        buffer_reset(&listing.frame);
        buffer_append(&listing.frame, head, sizeof head);
        rc = db_verify(handle->main.db, &report, &totals);
    } while (rc == LSM_BUSY &&
             bulk_wait_again(handle, handle->main.db, &wait, 0, LSM_BULK_LOCK_SNAPSHOT));
    if (rc == LSM_OK) rc = listing.frame.rc;
    if (rc != LSM_OK) {
        result = bulk_fail(handle, handle->main.db, rc);
        goto done;
    }
    put_head(listing.frame.data, &totals);
    if (listing.frame.size <= capacity) {
        memcpy(out, listing.frame.data, listing.frame.size);
        result = (int32_t)listing.frame.size;
    } else {
        result = bulk_keep(handle, listing.frame.data, listing.frame.size);
    }
done:
    buffer_release(&listing.frame);
    bulk_unlock(&handle->main);
    handle_leave(handle);
    return result;
}
