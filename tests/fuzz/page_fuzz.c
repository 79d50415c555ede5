/*
** page_fuzz.c — any bytes as a page: footer, cells, heads of records, cells of the index.
**
** What is accepted lies inside the page, and encodes to bytes that decode to the same. The page stands alone
** in a block of its exact size, so that a sanitizer sees every byte read outside.
**
** FORMAT      u8: bits 0..3 size 256 << n (at most 65536), bit 4 a page with a block link; then half of the
**             bytes for the front of the page and half for its end, zeros between.
*/
#include "format/format_page.h"
#include "format/format_record.h"
#include "fuzz/fuzz.h"

static void page_check_record(const uint8_t *at, const uint8_t *end) {
    struct error_context error = {0};
    struct record_head head, again;
    uint8_t bytes[RECORD_HEAD_SIZE_MAX];
    uint32_t size;
    int rc = format_record_head(at, end, 7, &error, &head);

    CHECK(rc == LSM_OK || (rc == LSM_CORRUPT && error.reason != NULL));
    if (rc != LSM_OK) return;
    CHECK(head.head_size <= (size_t)(end - at));
    CHECK(head.key_size <= RECORD_LENGTH_MAX && head.value_size <= RECORD_LENGTH_MAX);
    CHECK((head.flags & RECORD_NOISE) == 0);
    CHECK((head.flags & RECORD_INSERT) || head.value_size == 0);
    size = format_record_put_head(bytes, &head);
    CHECK(size <= sizeof bytes);
    CHECK_OK(format_record_head(bytes, bytes + size, 7, &error, &again));
    CHECK(again.flags == head.flags && again.pointer_delta == head.pointer_delta);
    CHECK(again.key_size == head.key_size && again.value_size == head.value_size);
    CHECK(again.head_size == size);
}

static void page_check_index_cell(const uint8_t *at, const uint8_t *end) {
    struct error_context error = {0};
    struct index_cell cell, again;
    uint8_t *bytes;
    uint32_t size;
    int rc = format_index_cell(at, end, 7, &error, &cell);

    CHECK(rc == LSM_OK || (rc == LSM_CORRUPT && error.reason != NULL));
    if (rc != LSM_OK) return;
    CHECK(cell.child != 0);
    CHECK(cell.indirect ? cell.key_page != 0
                        : cell.key.data >= at && cell.key.data + cell.key.size <= end);
    size = format_index_cell_size(&cell);
    bytes = malloc(size);
    CHECK(bytes != NULL);
    CHECK_EQ_UINT(format_index_put_cell(bytes, &cell), size);
    CHECK_OK(format_index_cell(bytes, bytes + size, 7, &error, &again));
    CHECK(again.indirect == cell.indirect && again.child == cell.child);
    CHECK(again.key_page == cell.key_page && again.topic == cell.topic);
    CHECK_EQ_BYTES(again.key.data, again.key.size, cell.key.data, cell.key.size);
    free(bytes);
}

FUZZ_TARGET(page) {
    struct fuzz_input in = fuzz_begin(data, size);
    uint8_t bits = fuzz_u8(&in);
    uint32_t page_size = 256u << (bits % 16 > 8 ? bits % 8 : bits % 16);
    uint32_t usable = page_size - (bits & 16 ? 4 : 0);
    uint8_t *page = calloc(1, usable);
    struct error_context error = {0};
    struct page_footer footer;
    struct slice front, back;
    uint32_t cells, offset;
    int rc;

    CHECK(page != NULL);
    front = fuzz_slice(&in, fuzz_left(&in) / 2 < usable ? fuzz_left(&in) / 2 : usable);
    back = fuzz_slice(&in, usable - front.size);
    memcpy(page, front.data, front.size);
    if (back.size > 0) memcpy(page + usable - back.size, back.data, back.size);

    rc = format_page_footer(page, usable, 7, &error, &footer);
    CHECK(rc == LSM_OK || (rc == LSM_CORRUPT && error.reason != NULL));
    if (rc == LSM_OK) {
        CHECK(footer.record_end + PAGE_FOOTER_SIZE + 2 * footer.cell_count == usable);
        cells = footer.cell_count < 64 ? footer.cell_count : 64;
        for (uint32_t i = 0; i < cells; i++) {
            uint32_t cell = i < 60 ? i : footer.cell_count - 1 - (i - 60);
            rc = format_page_cell(page, usable, &footer, cell, 7, &error, &offset);
            CHECK(rc == LSM_OK || rc == LSM_CORRUPT);
            if (rc != LSM_OK) continue;
            CHECK(offset < footer.record_end);
            page_check_record(page + offset, page + footer.record_end);
            page_check_index_cell(page + offset, page + footer.record_end);
        }
    }
    free(page);
    return 0;
}
