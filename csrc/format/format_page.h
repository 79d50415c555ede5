/*
** format_page.h — footer and cells of a page: S is the usable size, offsets count from the usable area.
**
**     OFFSET   SIZE  MEANING
**     S-2      u16   n, number of cells
**     S-4      u16   flags
**     S-12     u64   page pointer: base of cascade pointers, or right child of an index page
**     S-14-2i  u16   offset of cell i
**     0..E-1         record area, E = S - 12 - 2n
*/
#ifndef LSM_FORMAT_PAGE_H
#define LSM_FORMAT_PAGE_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/types.h"

#define PAGE_FOOTER_SIZE 12
#define PAGE_FLAG_INDEX 0x0001u
#define PAGE_FLAG_SKIP_NEXT 0x0002u
#define PAGE_FLAG_SKIP_THIS 0x0004u
#define PAGE_SIZE_MIN 256
#define PAGE_SIZE_MAX 65536
#define BLOCK_SIZE_MIN 65536
#define BLOCK_SIZE_MAX 67108864

struct page_footer {
    uint32_t cell_count;
    uint32_t flags;
    uint64_t pointer;
    uint32_t record_end; /* E */
};

/* Read and check the footer: cells fit, flags known, index pages exactly INDEX. */
LSM_MUST_USE int format_page_footer(const uint8_t *usable, uint32_t usable_size, uint64_t page_no,
                                    struct error_context *error, struct page_footer *out);

/* Offset of a cell; LSM_CORRUPT if it is not inside the record area. Requires cell < cell_count. */
LSM_MUST_USE int format_page_cell(const uint8_t *usable, uint32_t usable_size,
                                  const struct page_footer *footer, uint32_t cell, uint64_t page_no,
                                  struct error_context *error, uint32_t *offset);

void format_page_put_footer(uint8_t *usable, uint32_t usable_size, uint32_t cell_count, uint32_t flags,
                            uint64_t pointer);
void format_page_put_cell(uint8_t *usable, uint32_t usable_size, uint32_t cell, uint32_t offset);

#endif
