/*
** segment_place.c — positions on a page that somebody knows already: no index is read.
**
** Who holds the first keys of all pages in memory (store_fence.c) knows the page of a key and guesses where on it to
** look. A search goes in steps, and each step only looks at what the one before had fetched. So searches in several
** runs, or for several keys, take their steps in turns and wait for memory together:
**
**     place       segment_place_prefetch: the end of the page, the surroundings of the guess
**     begin       footer and cells are read; the guess becomes a cell
**     step        one key is compared; from the guess on by steps that double, then by halves
**     end         stand on the record >= or <= the key
**
** INVARIANTS  (I1) as segment_seek.c: the last record <= key is on the page of the place or before it, the first
**                  record > key on the page or behind it.
**             (I2) Of the page's records those below `low` are <= key, those from `high` on are greater.
** ERRORS      LSM_CORRUPT: a page that was said to hold records does not.
** COST        That page, and of it the footer and four or five records; one page more for a key between two.
*/
#include "segment/segment_internal.h"

#define PLACE_UNIT 65536u /* of segment_place.position */
#define LINE_SIZE 64u

/* Have `reach` bytes on either side of the guess fetched, and the end of the page with footer and cells. */
static void prefetch_around(const uint8_t *data, uint32_t usable, uint32_t position, uint32_t reach) {
    uint32_t guess = (uint32_t)((uint64_t)usable * position / PLACE_UNIT);
    uint32_t from = guess > reach ? guess - reach : 0;
    uint32_t to = guess + reach < usable ? guess + reach : usable - 1;

    LSM_PREFETCH(data + usable - 1);
    LSM_PREFETCH(data + usable - LINE_SIZE);
    for (; from <= to; from += LINE_SIZE) LSM_PREFETCH(data + from);
}

void segment_place_prefetch(const struct segment_view *view, const struct segment_place *place,
                            uint32_t reach) {
    const uint8_t *data = pager_peek(view->pager, view->redirects, place->page_no);
    if (data) prefetch_around(data, pager_page_size(view->pager), place->position, reach);
}

/* Put the cursor on the page of a place. */
static int enter_page(struct segment_cursor *cursor, const struct segment_place *place) {
    const struct segment_view *view = &cursor->view;
    struct segment_page at = {0};
    int rc = segment_page_get(view, place->page_no, &at);

    if (rc != LSM_OK) return rc;
    if (LSM_UNLIKELY(page_is_index(&at.footer) || at.footer.cell_count == 0)) {
        rc = error_corrupt(view->error, at.page.page_no, "a page of records has changed");
        segment_page_put(view, &at);
        return rc;
    }
    segment_cursor_place(cursor, &at);
    return LSM_OK;
}

/* The next cell to be compared is search->at: its head and key, mostly. */
static inline void prefetch_cell(const struct segment_cursor *cursor,
                                 const struct segment_search *search) {
    const uint8_t *at = cursor->page.data + get_u16(cursor->page.data + cursor->page.size -
                                                    PAGE_FOOTER_SIZE - 2 - 2 * search->at);
    LSM_PREFETCH(at); /* wherever the cell says: an address that is only prefetched may be wrong */
    LSM_PREFETCH(at + LINE_SIZE / 2);
}

int segment_search_begin(struct segment_cursor *cursor, const struct segment_place *place,
                         struct segment_search *search) {
    int rc = enter_page(cursor, place);

    if (LSM_UNLIKELY(rc != LSM_OK)) return segment_seek_done(cursor, rc);
    search->low = 0;
    search->high = cursor->footer.cell_count;
    search->at = (uint32_t)((uint64_t)search->high * place->position / PLACE_UNIT);
    search->stride = 1;
    search->direction = 0;
    search->equal = false;
    prefetch_cell(cursor, search);
    return LSM_OK;
}

int segment_search_step(struct segment_cursor *cursor, struct slice key,
                        struct segment_search *search) {
    int direction;
    int order = 0;
    int rc = segment_compare_cell(&cursor->view, &cursor->page, &cursor->footer, search->at,
                                  TOPIC_USER, key, &cursor->key_copy, &order);

    if (LSM_UNLIKELY(rc != LSM_OK)) return segment_seek_done(cursor, rc);
    if (order < 0) search->high = search->at;
    else search->low = search->at + 1;
    if (order == 0) {
        search->equal = true;
        search->high = search->low; /* keys ascend: done */
    }
    if (search->low >= search->high) return LSM_OK;
    direction = order < 0 ? -1 : 1;
    if (search->direction == -direction) search->stride = 0; /* it is between two of the steps: by halves */
    search->direction = direction;
    if (search->high - search->low <= search->stride || search->stride == 0) {
        search->stride = 0;
        search->at = search->low + (search->high - search->low) / 2;
    } else {
        search->at = direction < 0 ? search->high - search->stride
                                   : search->low + search->stride - 1;
        search->stride *= 2;
    }
    prefetch_cell(cursor, search);
    return LSM_OK;
}

int segment_search_ge(struct segment_cursor *cursor, const struct segment_search *search) {
    assert(search->low == search->high);
    return segment_seek_done(cursor, segment_cursor_load_above(cursor, search->low, search->equal));
}

int segment_search_le(struct segment_cursor *cursor, const struct segment_search *search) {
    assert(search->low == search->high);
    return segment_seek_done(cursor, search->low > 0 ? segment_cursor_load(cursor, search->low - 1)
                                                     : segment_cursor_prev_page(cursor));
}

int segment_search_at(struct segment_cursor *cursor, struct slice key,
                      const struct segment_place *place, struct segment_search *search) {
    int rc = segment_search_begin(cursor, place, search);

    while (rc == LSM_OK && search->low < search->high) rc = segment_search_step(cursor, key, search);
    return rc;
}
