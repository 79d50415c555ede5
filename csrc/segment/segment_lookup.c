/*
** segment_lookup.c — point reads: what one segment says about a key.
**
** The last record <= key decides. Its page is found by a search (segment_seek.c), or known: somebody holds the first
** keys of all pages in memory and even guesses where on the page to look.
**
** OWNERSHIP   A lookup's value is valid until its scratch cursor is used again.
** ERRORS      LSM_CORRUPT: a page that was said to hold records does not.
** COST        On a known page: that page, and of it the footer and a few lines around the guess.
*/
#include "segment/segment_internal.h"

#define PLACE_UNIT 65536u /* of segment_place.position */
#define PLACE_REACH 192u  /* bytes fetched on either side of a guess */

/* What the record the cursor stands on, the last one <= key, says about the key. */
static int judge(struct segment_cursor *cursor, bool equal, struct segment_lookup *result) {
    int rc = LSM_OK;

    result->pointer = cursor->pointer;
    if (equal && (cursor->flags & RECORD_INSERT)) {
        rc = segment_value(cursor, &result->value);
        result->found = rc == LSM_OK;
    } else if (equal) { /* bounds of a range are not part of it */
        result->deleted = (cursor->flags & RECORD_POINT_DELETE) != 0;
    } else {
        result->deleted = (cursor->flags & RECORD_START_DELETE) != 0;
    }
    return rc;
}

/* In front of all: marks pair up inside a segment, so that only the cut-off front of a merge input can hold the
** beginning of a range that ends here. */
static int judge_front(struct segment_cursor *cursor, struct segment_lookup *result) {
    int rc = segment_cursor_load(cursor, 0);

    if (rc != LSM_OK) return rc;
    result->pointer = cursor->footer.pointer;
    result->deleted = (cursor->flags & RECORD_END_DELETE) != 0;
    return LSM_OK;
}

int segment_lookup(struct segment_cursor *scratch, const struct segment_view *view,
                   struct slice key, uint64_t hint, struct segment_lookup *out) {
    struct segment_lookup result = {0};
    uint32_t count = 0;
    bool equal = false;
    bool found = false;
    int rc;

    segment_cursor_open(scratch, view);
    rc = segment_find_page(scratch, TOPIC_USER, key, hint, NULL, &found);
    if (rc != LSM_OK || !found) goto done;
    rc = segment_search_page(scratch, TOPIC_USER, key, &count, &equal);
    if (rc != LSM_OK) goto done;
    if (count > 0) {
        rc = segment_cursor_load(scratch, count - 1);
        if (rc == LSM_OK) rc = judge(scratch, equal, &result);
    } else {
        rc = judge_front(scratch, &result);
    }
done:
    if (rc == LSM_OK) *out = result;
    return segment_seek_done(scratch, rc);
}

/* segment_search_page for a user key, from a guess on: by steps that double until the place is between two of
** them. Right guesses look at three or four records that lie together, wrong ones at twice as many as a search by
** halves. */
static int search_around(struct segment_cursor *cursor, struct slice key, uint32_t position,
                         uint32_t *count, bool *equal) {
    uint32_t low = 0;
    uint32_t high = cursor->footer.cell_count;
    uint32_t at = (uint32_t)((uint64_t)high * position / PLACE_UNIT);
    uint32_t step;
    int direction = 0;

    for (step = 1; low < high; step *= 2) {
        int order = 0;
        int rc = segment_compare_cell(&cursor->view, &cursor->page, &cursor->footer, at, TOPIC_USER,
                                      key, &cursor->key_copy, &order);
        if (LSM_UNLIKELY(rc != LSM_OK)) return rc;
        if (order == 0) {
            *count = at + 1;
            *equal = true;
            return LSM_OK;
        }
        if (order < 0) high = at;
        else low = at + 1;
        if (direction != 0 && (order < 0) != (direction < 0)) break;
        direction = order < 0 ? -1 : 1;
        if (direction < 0) at = high - low > step ? high - step : low;
        else at = high - low > step ? low + step - 1 : high - 1;
    }
    return segment_search_cells(cursor, TOPIC_USER, key, low, high, count, equal);
}

/* Put the cursor on a page that is known to hold records. A page that nobody has looked at lately is far away:
** what will be looked at is fetched all at once. */
static int place_known(struct segment_cursor *cursor, const struct segment_place *place) {
    const struct segment_view *view = &cursor->view;
    struct segment_page at = {0};
    uint32_t guess;
    uint32_t from;
    uint32_t to;
    int rc = pager_get(view->pager, view->redirects, place->page_no, view->error, &at.page);

    if (rc != LSM_OK) return rc;
    LSM_PREFETCH(at.page.data + at.page.size - 1);
    LSM_PREFETCH(at.page.data + at.page.size - 64);
    guess = (uint32_t)((uint64_t)at.page.size * place->position / PLACE_UNIT);
    from = guess > PLACE_REACH ? guess - PLACE_REACH : 0;
    to = guess + PLACE_REACH < at.page.size ? guess + PLACE_REACH : at.page.size - 1;
    for (; from <= to; from += 64) LSM_PREFETCH(at.page.data + from);
    rc = format_page_footer(at.page.data, at.page.size, at.page.page_no, view->error, &at.footer);
    if (rc != LSM_OK) {
        pager_put(view->pager, &at.page);
        return rc;
    }
    if (LSM_UNLIKELY(page_is_index(&at.footer) || at.footer.cell_count == 0)) {
        rc = error_corrupt(view->error, at.page.page_no, "a page of records has changed");
        segment_page_put(view, &at);
        return rc;
    }
    segment_cursor_place(cursor, &at);
    return LSM_OK;
}

int segment_lookup_at(struct segment_cursor *scratch, const struct segment_view *view,
                      struct slice key, const struct segment_place *place,
                      struct segment_lookup *out) {
    struct segment_lookup result = {0};
    uint32_t count = 0;
    bool equal = false;
    int rc;

    segment_cursor_open(scratch, view);
    rc = place_known(scratch, place);
    if (rc != LSM_OK) goto done;
    rc = search_around(scratch, key, place->position, &count, &equal);
    if (rc != LSM_OK) goto done;
    if (count > 0) {
        rc = segment_cursor_load(scratch, count - 1);
        if (rc == LSM_OK) rc = judge(scratch, equal, &result);
    } else if (place->first) {
        rc = judge_front(scratch, &result);
    } else { /* between two pages: the last record of the one before decides */
        rc = segment_cursor_prev_page(scratch);
        if (rc == LSM_OK && !scratch->valid) {
            rc = error_corrupt(view->error, place->page_no,
                               "a page of records has lost the one before it");
        }
        if (rc == LSM_OK) rc = judge(scratch, false, &result);
    }
done:
    if (rc == LSM_OK) *out = result;
    return segment_seek_done(scratch, rc);
}
