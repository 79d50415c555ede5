/*
** segment_lookup.c — point reads: what one segment says about a key.
**
** The last record <= key decides. Its page is found by a search (segment_seek.c), or known (segment_place.c).
**
** OWNERSHIP   A lookup's value is valid until its scratch cursor is used again.
** COST        That of the search; nothing is copied unless key or value span pages.
*/
#include "segment/segment_internal.h"

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

int segment_lookup_end(struct segment_cursor *scratch, const struct segment_place *place,
                       const struct segment_search *search, struct segment_lookup *out) {
    struct segment_lookup result = {0};
    int rc;

    if (LSM_LIKELY(search->low > 0)) {
        rc = segment_cursor_load(scratch, search->low - 1);
        if (rc == LSM_OK) rc = judge(scratch, search->equal, &result);
    } else if (place->first) {
        rc = judge_front(scratch, &result);
    } else { /* between two pages: the last record of the one before decides */
        rc = segment_cursor_prev_page(scratch);
        if (rc == LSM_OK && !scratch->valid) {
            rc = error_corrupt(scratch->view.error, place->page_no,
                               "a page of records has lost the one before it");
        }
        if (rc == LSM_OK) rc = judge(scratch, false, &result);
    }
    if (rc == LSM_OK) *out = result;
    return segment_seek_done(scratch, rc);
}

int segment_lookup_at(struct segment_cursor *scratch, const struct segment_view *view,
                      struct slice key, const struct segment_place *place,
                      struct segment_lookup *out) {
    struct segment_search search;
    int rc;

    segment_cursor_open(scratch, view);
    rc = segment_search_at(scratch, key, place, &search);
    return rc == LSM_OK ? segment_lookup_end(scratch, place, &search, out) : rc;
}
