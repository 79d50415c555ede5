/*
** segment_page.c — pages of a segment, and records that go on across them.
**
**     page 33 (cells 0..10)         index page 38         page 34 (n = 2)
**     | k000 | ... | k010 VVVV |    | ... |               | VVVV | k011 | k012.. |
**                       ^ body begins                      ^ goes on at 0, up to cell 0
**
** INVARIANTS  (I1) A body fills the record area of its page, then those of the following data pages, up to the
**                  offset of cell 0 of the first page that has cells: that offset is the number of bytes
**                  still missing, neither more nor less.
**             (I2) No walk takes more steps than the segment can have pages.
** OWNERSHIP   segment_page_get lends; segment_page_put takes back. segment_body copies.
** ERRORS      LSM_CORRUPT: bodies that break (I1) or run past the segment, chains that form a loop.
** COST        A key or value that lies in its page is not copied. Memory for a body grows with the pages that
**             are really there, so a damaged length does not allocate.
*/
#include "segment/segment_internal.h"

#define RESERVE_MAX (1u << 20) /* larger bodies grow the buffer as they are read */

int segment_page_get(const struct segment_view *view, uint64_t page_no, struct segment_page *out) {
    struct segment_page at;
    int rc = pager_get(view->pager, view->redirects, page_no, view->error, &at.page);

    if (rc != LSM_OK) return rc;
    rc = format_page_footer(at.page.data, at.page.size, at.page.page_no, view->error, &at.footer);
    if (rc != LSM_OK) {
        pager_put(view->pager, &at.page);
        return rc;
    }
    *out = at;
    return LSM_OK;
}

void segment_page_put(const struct segment_view *view, struct segment_page *at) {
    if (at->page.data) pager_put(view->pager, &at->page);
    at->footer = (struct page_footer){0};
}

/* The page behind `page`; *found = false at the segment's end. */
static int page_after(const struct segment_view *view, const struct page *page, uint64_t *budget,
                      struct segment_page *out, bool *found) {
    uint64_t next = 0;
    int rc = pager_segment_next(view->pager, view->redirects, view->segment, page, view->error,
                                &next);

    if (rc != LSM_OK) return rc;
    if (next == 0) {
        *found = false;
        return LSM_OK;
    }
    if (*budget == 0) return error_corrupt(view->error, next, "the pages of a segment form a loop");
    (*budget)--;
    pager_look_ahead(view->pager, view->redirects, next, true,
                     pager_segment_pages_max(view->pager, view->segment) - *budget);
    rc = segment_page_get(view, next, out);
    if (rc == LSM_OK) *found = true;
    return rc;
}

int segment_page_next_data(const struct segment_view *view, struct segment_page *at,
                           uint64_t *budget, bool *found) {
    struct segment_page walk = {0};
    const struct page *from = &at->page;
    int rc;

    for (;;) {
        struct segment_page next = {0};
        bool there = false;
        rc = page_after(view, from, budget, &next, &there);
        if (rc != LSM_OK) break;
        segment_page_put(view, &walk);
        walk = next;
        from = &walk.page;
        if (!there) {
            *found = false;
            break;
        }
        if (!page_is_index(&walk.footer)) {
            segment_page_put(view, at);
            *at = walk;
            walk = (struct segment_page){0};
            *found = true;
            break;
        }
    }
    segment_page_put(view, &walk);
    return rc;
}

int segment_page_next_start(const struct segment_view *view, struct segment_page *at,
                            uint64_t *budget, bool *found) {
    int rc;

    do {
        rc = segment_page_next_data(view, at, budget, found);
    } while (rc == LSM_OK && *found && at->footer.cell_count == 0);
    return rc;
}

int segment_page_first_start(const struct segment_view *view, struct segment_page *out,
                             bool *found) {
    uint64_t budget = pager_segment_pages_max(view->pager, view->segment);
    struct segment_page at = {0};
    bool there = true;
    int rc = segment_page_get(view, view->segment->first, &at);

    if (rc == LSM_OK && (page_is_index(&at.footer) || at.footer.cell_count == 0)) {
        rc = segment_page_next_start(view, &at, &budget, &there);
    }
    if (rc == LSM_OK) *found = there;
    if (rc == LSM_OK && there) {
        *out = at;
    } else {
        segment_page_put(view, &at);
    }
    return rc;
}

/* Append the part of [at, at + size) that lies in [skip, skip + take), all counted from the body's start. */
static void append_overlap(struct buffer *out, const uint8_t *data, uint64_t at, uint64_t size,
                           uint64_t skip, uint64_t take) {
    uint64_t from = at > skip ? at : skip;
    uint64_t to = at + size < skip + take ? at + size : skip + take;

    if (from < to) buffer_append(out, data + (from - at), (size_t)(to - from));
}

int segment_body(const struct segment_view *view, const struct page *page,
                 const struct page_footer *footer, const struct segment_record *record,
                 uint64_t skip, uint64_t take, struct buffer *out) {
    uint64_t budget = pager_segment_pages_max(view->pager, view->segment);
    uint32_t begin = record->offset + record->head.head_size;
    uint64_t size = (uint64_t)record->head.key_size + record->head.value_size;
    uint64_t done = footer->record_end - begin;
    struct segment_page at = {0};
    int rc;

    assert(skip + take <= size);
    if (done > size) done = size;
    if (take <= RESERVE_MAX) {
        rc = buffer_reserve(out, out->size + (size_t)take);
        if (rc != LSM_OK) goto done;
    }
    append_overlap(out, page->data + begin, 0, done, skip, take);
    rc = out->rc;
    while (rc == LSM_OK && done < skip + take) {
        uint64_t part;
        bool found = true;
        if (at.page.data) {
            rc = segment_page_next_data(view, &at, &budget, &found);
        } else {
            rc = page_after(view, page, &budget, &at, &found);
            if (rc == LSM_OK && found && page_is_index(&at.footer)) {
                rc = segment_page_next_data(view, &at, &budget, &found);
            }
        }
        if (rc != LSM_OK) break;
        if (!found) {
            rc = error_corrupt(view->error, page->page_no, "a record runs past its segment");
            break;
        }
        part = at.footer.record_end;
        if (at.footer.cell_count > 0) {
            uint32_t first = 0;
            rc = segment_cell_offset(&at.page, &at.footer, 0, view->error, &first);
            if (rc != LSM_OK) break;
            if (first != size - done) {
                rc = error_corrupt(view->error, at.page.page_no,
                                   "a record does not end where the next begins");
                break;
            }
            part = first;
        } else if (part > size - done) {
            part = size - done;
        }
        append_overlap(out, at.page.data, done, part, skip, take);
        rc = out->rc;
        done += part;
    }
done:
    segment_page_put(view, &at);
    return rc;
}

int segment_record_key(const struct segment_view *view, const struct page *page,
                       const struct page_footer *footer, const struct segment_record *record,
                       struct buffer *scratch, struct slice *key) {
    uint32_t begin = record->offset + record->head.head_size;
    uint32_t size = record->head.key_size;
    int rc;

    if (LSM_LIKELY(size <= footer->record_end - begin)) {
        *key = (struct slice){page->data + begin, size};
        return LSM_OK;
    }
    buffer_reset(scratch);
    rc = segment_body(view, page, footer, record, 0, size, scratch);
    if (rc == LSM_OK) *key = buffer_slice(scratch);
    return rc;
}

/* Copy the key of a record to `key`, wherever it lies. */
static int copy_key(const struct segment_view *view, const struct segment_page *at,
                    const struct segment_record *record, struct buffer *key) {
    buffer_reset(key);
    return segment_body(view, &at->page, &at->footer, record, 0, record->head.key_size, key);
}

int segment_first_key(const struct segment_view *view, uint64_t page_no, struct buffer *key,
                      enum topic *topic) {
    struct segment_page at = {0};
    struct segment_record record;
    uint32_t offset = 0;
    int rc = segment_page_get(view, page_no, &at);

    if (rc != LSM_OK) goto done;
    if (page_is_index(&at.footer) || at.footer.cell_count == 0) {
        rc = error_corrupt(view->error, at.page.page_no, "a key page holds no record");
        goto done;
    }
    rc = segment_cell_offset(&at.page, &at.footer, 0, view->error, &offset);
    if (rc != LSM_OK) goto done;
    rc = segment_record_at(&at.page, &at.footer, 0, offset, view->error, &record);
    if (rc != LSM_OK) goto done;
    rc = copy_key(view, &at, &record, key);
    if (rc == LSM_OK) *topic = record_topic(record.head.flags);
done:
    segment_page_put(view, &at);
    return rc;
}

/* ------------------------------------------------------------------------- saved positions -- */

int segment_page_get_saved(const struct segment_view *view, uint64_t page_no,
                           struct segment_page *out) {
    bool contains = false;
    int rc;

    page_no = pager_redirect(view->pager, view->redirects, page_no);
    rc = pager_segment_contains(view->pager, view->redirects, view->segment, page_no, view->error,
                                &contains);
    if (rc != LSM_OK) return rc;
    if (!contains) {
        return error_corrupt(view->error, page_no, "a saved position lies outside its segment");
    }
    return segment_page_get(view, page_no, out);
}

int segment_page_is_index(const struct segment_view *view, uint64_t page_no, bool *is_index) {
    struct segment_page at = {0};
    int rc = segment_page_get_saved(view, page_no, &at);

    if (rc == LSM_OK) *is_index = page_is_index(&at.footer);
    segment_page_put(view, &at);
    return rc;
}

int segment_key_at(const struct segment_view *view, uint64_t page_no, uint32_t cell,
                   struct buffer *key, enum topic *topic) {
    struct segment_page at = {0};
    struct segment_record record;
    struct index_cell decoded;
    uint32_t offset = 0;
    int rc = segment_page_get_saved(view, page_no, &at);

    if (rc != LSM_OK) goto done;
    if (cell >= at.footer.cell_count) {
        rc = error_corrupt(view->error, page_no, "a saved position names no cell");
        goto done;
    }
    if (page_is_index(&at.footer)) {
        rc = segment_index_cell(view, &at.page, &at.footer, cell, &decoded);
        if (rc != LSM_OK) goto done;
        if (decoded.indirect) {
            rc = segment_first_key(view, decoded.key_page, key, topic);
        } else {
            rc = buffer_assign(key, decoded.key);
            if (rc == LSM_OK) *topic = decoded.topic;
        }
        goto done;
    }
    rc = segment_cell_offset(&at.page, &at.footer, cell, view->error, &offset);
    if (rc != LSM_OK) goto done;
    rc = segment_record_at(&at.page, &at.footer, cell, offset, view->error, &record);
    if (rc != LSM_OK) goto done;
    rc = copy_key(view, &at, &record, key);
    if (rc == LSM_OK) *topic = record_topic(record.head.flags);
done:
    segment_page_put(view, &at);
    return rc;
}
