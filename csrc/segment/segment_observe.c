/*
** segment_observe.c — tell an observer what a page holds, as the writer of the segment would have told it.
**
** ERRORS      LSM_CORRUPT, LSM_IOERR, LSM_NOMEM: the observer may have heard of some of the records.
** COST        One page, and those a key goes on to.
*/
#include "segment/segment_internal.h"

int segment_observe_page(const struct segment_view *view, uint64_t page_no,
                         const struct segment_observer *observer, struct buffer *scratch,
                         uint64_t *next, bool *is_index) {
    struct segment_page at = {0};
    uint64_t following = 0;
    uint32_t cell;
    int rc = segment_page_get(view, page_no, &at);

    if (rc != LSM_OK) return rc;
    for (cell = 0; cell < at.footer.cell_count && !page_is_index(&at.footer); cell++) {
        struct segment_record record;
        struct slice key;
        uint32_t offset = 0;

        rc = segment_cell_offset(&at.page, &at.footer, cell, view->error, &offset);
        if (rc != LSM_OK) goto done;
        rc = segment_record_at(&at.page, &at.footer, cell, offset, view->error, &record);
        if (rc != LSM_OK) goto done;
        rc = segment_record_key(view, &at.page, &at.footer, &record, scratch, &key);
        if (rc != LSM_OK) goto done;
        observer->record(observer->context, record.head.flags, key, cell == 0);
    }
    if (cell > 0) observer->page(observer->context, at.page.page_no);
    rc = pager_segment_next(view->pager, view->redirects, view->segment, &at.page, view->error,
                            &following);
    if (rc != LSM_OK) goto done;
    /* Whoever observes goes through all pages. */
    pager_look_ahead(view->pager, view->redirects, following, true, UINT64_MAX);
    *next = following;
    *is_index = page_is_index(&at.footer);
done:
    segment_page_put(view, &at);
    return rc;
}
