/*
** bulk_verify.c — the check of a database file, behind a handle of its own; its report as one frame.
**
**     u32 problems, u32 records low, u32 records high, u32 segments, u32 pages low, u32 pages high,
**     then for each problem listed: u32 page low, u32 page high, u32 text size, text, padding to 4
**
** OWNERSHIP   A verification is a child of its database handle, with a connection of its own, so that it
**             hinders no call on that. The version it looks at is pinned when it is made.
*/
#include "api/bulk_internal.h"
#include "base/memory.h"

#define HEAD_SIZE 24u

struct bulk_verify {
    lsm_db *db;
    lsm_cursor *pin;      /* keeps the version */
    struct buffer frame;
    uint32_t listed;
    bool finished;        /* the frame is complete */
    struct bulk_task *task;
};

static void put_number(struct buffer *frame, uint32_t value) {
    uint8_t bytes[4];
    put_u32_little(bytes, value);
    buffer_append(frame, bytes, sizeof bytes);
}

static void list_problem(void *context, uint64_t page_no, const char *text) {
    static const uint8_t zeros[4] = {0};
    struct bulk_verify *verify = context;
    uint32_t size = (uint32_t)strlen(text);

    if (verify->listed == LSM_BULK_VERIFY_LISTED_MAX) return;
    verify->listed++;
    put_number(&verify->frame, (uint32_t)page_no);
    put_number(&verify->frame, (uint32_t)(page_no >> 32));
    put_number(&verify->frame, size);
    buffer_append(&verify->frame, text, size);
    buffer_append(&verify->frame, zeros, (4 - size % 4) % 4);
}

static int note_progress(void *context, uint64_t done, uint64_t total) {
    struct bulk_verify *verify = context;
    return verify->task ? bulk_task_note(verify->task, done, total) : LSM_OK;
}

static void put_head(uint8_t *head, const struct verify_totals *totals) {
    uint64_t problems = totals->problem_count;

    put_u32_little(head, problems > UINT32_MAX ? UINT32_MAX : (uint32_t)problems);
    put_u32_little(head + 4, (uint32_t)totals->record_count);
    put_u32_little(head + 8, (uint32_t)(totals->record_count >> 32));
    put_u32_little(head + 12, totals->segment_count);
    put_u32_little(head + 16, (uint32_t)totals->page_count);
    put_u32_little(head + 20, (uint32_t)(totals->page_count >> 32));
}

int bulk_verify_run(struct handle *handle) {
    static const uint8_t head[HEAD_SIZE] = {0};
    struct bulk_verify *verify = handle->verify;
    struct verify_report report = {verify, list_problem, note_progress};
    struct verify_totals totals;
    int rc;

    if (verify->finished) return LSM_OK;
    verify->task = handle->task;
    verify->listed = 0;
    buffer_reset(&verify->frame);
    buffer_append(&verify->frame, head, sizeof head);
    rc = db_verify(verify->db, &report, &totals);
    if (rc == LSM_OK) rc = verify->frame.rc;
    if (rc != LSM_OK) return rc;
    put_head(verify->frame.data, &totals);
    verify->finished = true;
    return LSM_OK;
}

const lsm_db *bulk_verify_connection(const struct bulk_verify *verify) {
    return verify->db;
}

void bulk_verify_free(struct bulk_verify *verify) {
    if (verify == NULL) return;
    db_cursor_close(verify->pin);
    if (verify->db) (void)!db_close(verify->db);
    buffer_release(&verify->frame);
    memory_free(lsm_default_env(), verify);
}

/* Connect, and pin the newest version. Details of a failure go to `database`. */
static int32_t begin(struct handle *database, struct handle *handle) {
    struct bulk_verify *verify = memory_allocate_zero(lsm_default_env(), sizeof *verify);
    struct bulk_wait wait = {0};
    int rc;

    if (verify == NULL) return bulk_fail(database, NULL, LSM_NOMEM);
    handle->verify = verify;
    buffer_init(&verify->frame, lsm_default_env());
    if (!db_is_open(database->main.db)) return bulk_fail(database, NULL, LSM_MISUSE);
    rc = bulk_connect(database, &verify->db);
    if (rc != LSM_OK) return bulk_fail(database, NULL, rc);
    do {
        rc = db_cursor_open(verify->db, &verify->pin);
    } while (rc == LSM_BUSY &&
             bulk_wait_again(database, verify->db, &wait, 0, LSM_BULK_LOCK_SNAPSHOT));
    return rc == LSM_OK ? LSM_OK : bulk_fail(database, verify->db, rc);
}

uint32_t lsm_bulk_verify(uint32_t id) {
    struct handle *database;
    struct handle *handle;
    uint32_t result = 0;

    if (handle_enter(id, HANDLE_DATABASE, &database) != LSM_OK) return 0;
    bulk_begin_call(database);
    handle = handle_new(HANDLE_VERIFY, database);
    if (handle == NULL) {
        (void)bulk_fail_no_handle(database);
    } else if (begin(database, handle) != LSM_OK) {
        bulk_end_child(handle);
    } else {
        result = handle->id;
        handle_leave(handle);
    }
    handle_leave(database);
    return result;
}

int32_t lsm_bulk_verify_report(uint32_t id, uint8_t *out, uint32_t capacity) {
    struct handle *handle;
    int32_t result = handle_enter(id, HANDLE_VERIFY, &handle);
    int rc;

    if (result != LSM_OK) return result;
    bulk_begin_call(handle);
    if (bulk_task_is_running(handle) || capacity > 0x7fffffffu) {
        handle_leave(handle);
        return LSM_BULK_MISUSE;
    }
    rc = bulk_verify_run(handle);
    if (rc != LSM_OK) {
        result = bulk_fail(handle, handle->verify->db, rc);
    } else if (handle->verify->frame.size <= capacity) {
        memcpy(out, handle->verify->frame.data, handle->verify->frame.size);
        result = (int32_t)handle->verify->frame.size;
    } else {
        result = bulk_keep(handle, handle->verify->frame.data, handle->verify->frame.size);
    }
    handle_leave(handle);
    return result;
}
