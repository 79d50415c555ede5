/*
** format_page.c — the footer and the cell array of a page.
**
** FORMAT      see format_page.h
** INVARIANTS  (I1) A footer that was given out has E = S - 12 - 2n >= 0.
**             (I2) A cell offset that was given out is below E, so one byte at it can be read.
*/
#include "format/format_page.h"

#define PAGE_FLAGS_KNOWN (PAGE_FLAG_INDEX | PAGE_FLAG_SKIP_NEXT | PAGE_FLAG_SKIP_THIS)

int format_page_footer(const uint8_t *usable, uint32_t usable_size, uint64_t page_no,
                       struct error_context *error, struct page_footer *out) {
    struct page_footer footer;

    assert(usable_size >= PAGE_FOOTER_SIZE);
    footer.cell_count = get_u16(usable + usable_size - 2);
    footer.flags = get_u16(usable + usable_size - 4);
    footer.pointer = get_u64(usable + usable_size - PAGE_FOOTER_SIZE);
    if (2 * footer.cell_count + PAGE_FOOTER_SIZE > usable_size) {
        return error_corrupt(error, page_no, "page: more cells than fit");
    }
    if (footer.flags & ~PAGE_FLAGS_KNOWN) {
        return error_corrupt(error, page_no, "page: unknown flags");
    }
    if ((footer.flags & PAGE_FLAG_INDEX) && footer.flags != PAGE_FLAG_INDEX) {
        return error_corrupt(error, page_no, "page: index page with flags of a data page");
    }
    footer.record_end = usable_size - PAGE_FOOTER_SIZE - 2 * footer.cell_count;
    *out = footer;
    return LSM_OK;
}

int format_page_cell(const uint8_t *usable, uint32_t usable_size, const struct page_footer *footer,
                     uint32_t cell, uint64_t page_no, struct error_context *error,
                     uint32_t *offset) {
    uint32_t value;

    assert(cell < footer->cell_count);
    value = get_u16(usable + usable_size - PAGE_FOOTER_SIZE - 2 - 2 * cell);
    if (value >= footer->record_end) {
        return error_corrupt(error, page_no, "page: cell outside the record area");
    }
    *offset = value;
    return LSM_OK;
}

void format_page_put_footer(uint8_t *usable, uint32_t usable_size, uint32_t cell_count,
                            uint32_t flags, uint64_t pointer) {
    assert(2 * cell_count + PAGE_FOOTER_SIZE <= usable_size);
    assert((flags & ~PAGE_FLAGS_KNOWN) == 0);
    put_u64(usable + usable_size - PAGE_FOOTER_SIZE, pointer);
    put_u16(usable + usable_size - 4, (uint16_t)flags);
    put_u16(usable + usable_size - 2, (uint16_t)cell_count);
}

void format_page_put_cell(uint8_t *usable, uint32_t usable_size, uint32_t cell, uint32_t offset) {
    assert(2 * (cell + 1) + PAGE_FOOTER_SIZE <= usable_size);
    assert(offset < usable_size);
    put_u16(usable + usable_size - PAGE_FOOTER_SIZE - 2 - 2 * cell, (uint16_t)offset);
}
