/*
** page_ahead.c — have the system fetch pages before a walk through a segment comes to them.
**
** Mapped windows are advised to be read at random (os_map): a lookup then costs the page it wants, not the megabytes
** around it. Walks pay for that, one page at a time, unless they say what they will want:
**
**     block   |  unit 0  |  unit 1  |  unit 2  |  unit 3  |     units of UNIT_BYTES, at least four a block
**               ^ enters or has gone START pages: the rest of this unit and the next are asked for
**                          ^ begins a unit: the next is asked for
**                                                    ^ half of the last unit: the first of the block that follows
**
** Everything is computed from the page's place in its block: nothing is remembered, nothing but the first unit is
** asked for twice. Backwards is the same in the mirror, but for the following block.
**
** THREADS     Any. Nothing is changed.
** ERRORS      None: these are hints. A link that leads nowhere is somebody else's discovery.
** COST        One call of the system for each unit, whether its pages are in memory or not.
*/
#include "pager/pager_internal.h"

#define UNIT_BYTES (256u << 10)
#define START 4u /* pages; shorter walks are lookups */

struct page_range page_ahead_range(uint64_t at, uint64_t begin, uint64_t span, uint64_t unit,
                                   uint64_t steps) {
    struct page_range range = {0, 0};

    if (steps < START) return range;
    if (at == begin || steps == START) range = (struct page_range){at + 1, (at / unit + 2) * unit};
    else if (at % unit == 0) range = (struct page_range){at + unit, at + 2 * unit};
    if (range.to > span) range.to = span;
    if (range.from > range.to) range.from = range.to;
    return range;
}

/* Pages from..to-1 of a block that begins with page number `first` + 1. */
static void will_read(struct pager *pager, uint64_t first, struct page_range range) {
    uint64_t begin = (first + range.from) << pager->page_shift;
    uint64_t end = (first + range.to) << pager->page_shift;
    uint64_t file_size = atomic_load_explicit(&pager->file_size, memory_order_relaxed);
    const uint8_t *address;

    if (end > file_size) end = file_size;
    if (begin >= end) return;
    address = page_map_find(&pager->map, begin, (uint32_t)(end - begin));
    if (address) os_will_read(pager->file, address, (size_t)(end - begin));
}

static void will_enter_next_block(struct pager *pager, const struct redirects *redirects,
                                  uint32_t block_no, uint64_t unit) {
    struct error_context ignored = {0};
    uint32_t next = 0;

    if (pager_next_block(pager, redirects, block_no, &ignored, &next) != LSM_OK || next == 0) return;
    will_read(pager, (uint64_t)(next - 1) << pager->span_shift, (struct page_range){0, unit});
}

void pager_look_ahead(struct pager *pager, const struct redirects *redirects, uint64_t page_no,
                      bool forward, uint64_t steps) {
    uint64_t span = (uint64_t)1 << pager->span_shift;
    uint64_t unit = UNIT_BYTES >> pager->page_shift;
    struct page_range range;
    uint64_t first, at;

    if (steps < START || pager->compressed || page_no == 0) return;
    page_no = pager_redirect(pager, redirects, page_no);
    if (page_no - 1 >= (uint64_t)pager_block_limit(pager) << pager->span_shift) return; /* damage */
    if (unit > span / 4) unit = span / 4; /* at least one: a block has four pages */
    at = (page_no - 1) & (span - 1);
    first = page_no - 1 - at;
    if (forward) {
        uint64_t begin = first == 0 ? pager->first_page - 1 : 0;
        range = page_ahead_range(at, begin, span, unit, steps);
        if (at == span - unit + unit / 2) {
            will_enter_next_block(pager, redirects, pager_block_of(pager, page_no), unit);
        }
    } else {
        struct page_range mirrored = page_ahead_range(span - 1 - at, 0, span, unit, steps);
        range = (struct page_range){span - mirrored.to, span - mirrored.from};
    }
    will_read(pager, first, range);
}
