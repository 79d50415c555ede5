/*
** segment_cursor.c — a position among the records of one segment.
**
** INVARIANTS  (I1) valid: page, footer, cell, offset, head, flags, key, pointer and body_end describe one
**                  record that was checked; not valid: only the scratch memory means anything.
**             (I2) |travel| <= travel_max: a cursor that goes only one way cannot go round in a chain.
** OWNERSHIP   The cursor holds one page. Keys point into it, or into key_copy when they span pages; values the
**             same with value_copy.
** ERRORS      After an error the cursor is on no record.
** COST        Inside a page a step is a comparison of two offsets and the decoding of one head: no call
**             of another room, no allocation, no copy.
*/
#include "segment/segment_internal.h"

void segment_cursor_init(struct segment_cursor *cursor, lsm_env *env,
                         const struct segment_view *view) {
    *cursor = (struct segment_cursor){0};
    buffer_init(&cursor->key_copy, env);
    buffer_init(&cursor->value_copy, env);
    if (view) cursor->view = *view;
}

void segment_cursor_release(struct segment_cursor *cursor) {
    segment_cursor_leave(cursor);
    buffer_release(&cursor->key_copy);
    buffer_release(&cursor->value_copy);
}

void segment_cursor_open(struct segment_cursor *cursor, const struct segment_view *view) {
    segment_cursor_leave(cursor);
    cursor->view = *view;
    cursor->front = FRONT_UNKNOWN;
}

void segment_cursor_leave(struct segment_cursor *cursor) {
    cursor->valid = false;
    if (cursor->page.data) pager_put(cursor->view.pager, &cursor->page);
    cursor->page.data = NULL;
}

void segment_cursor_place(struct segment_cursor *cursor, struct segment_page *at) {
    segment_cursor_leave(cursor);
    cursor->page = at->page;
    cursor->footer = at->footer;
    cursor->travel = 0;
    cursor->travel_max = pager_segment_pages_max(cursor->view.pager, cursor->view.segment);
    *at = (struct segment_page){0};
}

/* The record as its readers want it described. */
static struct segment_record record_of(const struct segment_cursor *cursor) {
    return (struct segment_record){cursor->offset, cursor->head, cursor->body_end};
}

/* The key of the present record goes on on other pages: put it together. */
static int gather_key(struct segment_cursor *cursor) {
    struct segment_record record = record_of(cursor);
    return segment_record_key(&cursor->view, &cursor->page, &cursor->footer, &record,
                              &cursor->key_copy, &cursor->key);
}

/* -------------------------------------------------------------------------------- looking ahead -- */

/*
** Scans ask for memory one step before they need it. Mapped pages of a block lie one behind the other, so what comes
** next has an address before its page is looked up; at the end of a block, or of a mapping, that address is wrong,
** which is no harm: nothing is read there.
*/
#define LINE_SIZE 64
/* What lies on two pages will be copied. More than this is not asked for: it would push out what is needed first. */
#define SPANNING_MAX 8192

static inline void fetch(const uint8_t *base, ptrdiff_t offset) {
    LSM_PREFETCH((const void *)((uintptr_t)base + (uintptr_t)offset));
}

static void fetch_all(const uint8_t *base, ptrdiff_t from, ptrdiff_t to) {
    for (; from < to; from += LINE_SIZE) fetch(base, from);
}

/* The last record of the page, which begins at `begin`: both its parts, if it is as long as the one before it and goes
** on on the next page. */
static void fetch_spanning(const struct segment_cursor *cursor, uint64_t begin, uint64_t size) {
    const struct page *page = &cursor->page;
    uint64_t end = begin + size;

    if (page->frame || size > SPANNING_MAX || end <= cursor->footer.record_end) return;
    end += page->size - cursor->footer.record_end;
    fetch_all(page->data, (ptrdiff_t)begin + LINE_SIZE, (ptrdiff_t)end);
}

/* The record behind one that ends at `end`: on this page, or on the next, and then what this one has there. Its own end
** is guessed: readers look at values, and not all values are of one size. */
static inline void fetch_behind(const struct segment_cursor *cursor, uint64_t end) {
    const struct page *page = &cursor->page;
    uint64_t size = end - cursor->offset;

    if (cursor->cell + 2 == cursor->footer.cell_count) fetch_spanning(cursor, end, size);
    if (LSM_UNLIKELY(end >= cursor->footer.record_end)) {
        end += page->size - cursor->footer.record_end;
        fetch(page->data, page->size);
        fetch(page->data, page->size + LINE_SIZE);
        fetch(page->data, 2 * (ptrdiff_t)page->size - 1);
    }
    fetch(page->data, (ptrdiff_t)end);
    fetch(page->data, (ptrdiff_t)end + LINE_SIZE);
    fetch(page->data, (ptrdiff_t)(end + size));
}

/* The record of the cell before the present one: its head, and its end. */
static inline void fetch_before(const struct segment_cursor *cursor) {
    const struct page *page = &cursor->page;
    const uint8_t *cells = page->data + page->size - PAGE_FOOTER_SIZE;

    if (cursor->cell > 0) fetch(page->data, get_u16(cells - 2 * cursor->cell));
    fetch(page->data, (ptrdiff_t)cursor->offset - LINE_SIZE);
}

/* The end of the neighbouring page: footer and cells. */
static void fetch_footer(const struct segment_cursor *cursor, bool forward) {
    const struct page *page = &cursor->page;
    ptrdiff_t end = forward ? 2 * (ptrdiff_t)page->size : 0;

    if (page->frame) return; /* a copy: its neighbours lie elsewhere */
    fetch(page->data, end - 1);
    fetch(page->data, end - LINE_SIZE);
}

/* The last record of the page before, and what it has on this one. The footer there, asked for when this page was
** entered, is believed as far as an address to fetch goes. */
static void fetch_last_before(const struct segment_cursor *cursor) {
    struct pager *pager = cursor->view.pager;
    uint32_t size = pager_page_size(pager);
    const uint8_t *data = cursor->page.frame ? NULL : pager_peek(pager, NULL, cursor->page.page_no - 1);
    uint32_t cells, begin, here;

    if (data == NULL) return;
    cells = get_u16(data + size - 2);
    if (cells == 0 || 2 * cells + PAGE_FOOTER_SIZE > size) return;
    begin = get_u16(data + size - PAGE_FOOTER_SIZE - 2 * cells);
    fetch(data, begin);
    here = get_u16(cursor->page.data + size - PAGE_FOOTER_SIZE - 2);
    if (here == 0 || here + size - begin > SPANNING_MAX) return;
    fetch_all(data, begin + LINE_SIZE, size);
    fetch_all(cursor->page.data, 0, here);
}

/* -------------------------------------------------------------------------------- one record -- */

/* Stand on the record at `offset`, which is that of `cell`. Fields are set one by one as they are known: not
** valid until the end. */
static LSM_ALWAYS_INLINE int load_at(struct segment_cursor *cursor, uint32_t cell, uint32_t offset,
                          const bool forward) {
    uint32_t begin;
    int rc;

    cursor->valid = false;
    rc = segment_record_head(&cursor->page, &cursor->footer, offset, cursor->view.error,
                             &cursor->head);
    if (LSM_UNLIKELY(rc != LSM_OK)) return rc;
    begin = offset + cursor->head.head_size;
    cursor->cell = cell;
    cursor->offset = offset;
    cursor->body_end = (uint64_t)begin + cursor->head.key_size + cursor->head.value_size;
    if (forward) fetch_behind(cursor, cursor->body_end);
    else fetch_before(cursor);
    rc = segment_check_end(&cursor->page, &cursor->footer, cell, cursor->body_end,
                           cursor->view.error);
    if (LSM_UNLIKELY(rc != LSM_OK)) return rc;
    if (LSM_LIKELY(cursor->head.key_size <= cursor->footer.record_end - begin)) {
        cursor->key.data = cursor->page.data + begin;
        cursor->key.size = cursor->head.key_size;
    } else {
        rc = gather_key(cursor);
        if (rc != LSM_OK) return rc;
    }
    cursor->flags = cursor->head.flags;
    cursor->pointer = cursor->footer.pointer + (uint64_t)cursor->head.pointer_delta;
    cursor->valid = true;
    return LSM_OK;
}

static LSM_ALWAYS_INLINE int load_cell(struct segment_cursor *cursor, uint32_t cell, const bool forward) {
    uint32_t offset = 0;
    int rc;

    cursor->valid = false;
    rc = segment_cell_offset(&cursor->page, &cursor->footer, cell, cursor->view.error, &offset);
    return LSM_LIKELY(rc == LSM_OK) ? load_at(cursor, cell, offset, forward) : rc;
}

int segment_cursor_load(struct segment_cursor *cursor, uint32_t cell) {
    return load_cell(cursor, cell, true);
}

int segment_cursor_load_above(struct segment_cursor *cursor, uint32_t count, bool equal) {
    int rc;

    if (equal) return segment_cursor_load(cursor, count - 1);
    if (LSM_LIKELY(count < cursor->footer.cell_count)) return segment_cursor_load(cursor, count);
    rc = segment_cursor_load(cursor, count - 1);
    return rc == LSM_OK ? segment_next(cursor) : rc;
}

/* ----------------------------------------------------------------------- from page to page -- */

static int travel_check(struct segment_cursor *cursor, int64_t step) {
    uint64_t distance;

    cursor->travel += step;
    distance = cursor->travel < 0 ? (uint64_t)-cursor->travel : (uint64_t)cursor->travel;
    if (distance > cursor->travel_max) {
        return error_corrupt(cursor->view.error, cursor->page.page_no,
                             "the pages of a segment form a loop");
    }
    return LSM_OK;
}

/* Put the cursor on the page before or after its page; *found = false at the segment's end. */
static int step_page(struct segment_cursor *cursor, bool forward, bool *found) {
    const struct segment_view *view = &cursor->view;
    struct segment_page at = {0};
    uint64_t page_no = 0;
    int rc;

    cursor->valid = false;
    rc = forward ? pager_segment_next(view->pager, view->redirects, view->segment, &cursor->page,
                                      view->error, &page_no)
                 : pager_segment_prev(view->pager, view->redirects, view->segment, &cursor->page,
                                      view->error, &page_no);
    if (rc != LSM_OK) return rc;
    if (page_no == 0) {
        *found = false;
        return LSM_OK;
    }
    rc = travel_check(cursor, forward ? 1 : -1);
    if (rc != LSM_OK) return rc;
    if (forward == (cursor->travel > 0)) {
        pager_look_ahead(view->pager, view->redirects, page_no, forward,
                         (uint64_t)(forward ? cursor->travel : -cursor->travel));
    }
    rc = segment_page_get(view, page_no, &at);
    if (rc != LSM_OK) return rc;
    pager_put(view->pager, &cursor->page);
    cursor->page = at.page;
    cursor->footer = at.footer;
    fetch_footer(cursor, forward);
    *found = true;
    return LSM_OK;
}

/* Go on until a data page with cells; `missing` bytes of the present record come first. */
static int next_page(struct segment_cursor *cursor, uint64_t missing) {
    bool found = false;
    uint32_t offset = 0;
    int rc;

    for (;;) {
        rc = step_page(cursor, true, &found);
        if (rc != LSM_OK) return rc;
        if (!found) {
            if (missing == 0) return LSM_OK;
            return error_corrupt(cursor->view.error, cursor->page.page_no,
                                 "a record runs past its segment");
        }
        if (page_is_index(&cursor->footer)) continue;
        if (cursor->footer.cell_count > 0) break;
        missing -= missing < cursor->footer.record_end ? missing : cursor->footer.record_end;
    }
    rc = segment_cell_offset(&cursor->page, &cursor->footer, 0, cursor->view.error, &offset);
    if (rc != LSM_OK) return rc;
    if (offset != missing) {
        return error_corrupt(cursor->view.error, cursor->page.page_no,
                             "a record does not end where the next begins");
    }
    return load_at(cursor, 0, offset, true);
}

/* Go back until a data page with cells, to its last record. `here`: the present page counts. */
static int last_record(struct segment_cursor *cursor, bool here) {
    bool found = true;
    int rc;

    while (!here || page_is_index(&cursor->footer) || cursor->footer.cell_count == 0) {
        here = true;
        rc = step_page(cursor, false, &found);
        if (rc != LSM_OK || !found) return rc;
    }
    return load_cell(cursor, cursor->footer.cell_count - 1, false);
}

int segment_cursor_prev_page(struct segment_cursor *cursor) {
    return last_record(cursor, false);
}

/* -------------------------------------------------------------------------------- movement -- */

/* An error leaves no half position behind. */
static int leave_on_error(struct segment_cursor *cursor, int rc) {
    if (rc != LSM_OK) segment_cursor_leave(cursor);
    return rc;
}

int segment_first(struct segment_cursor *cursor) {
    struct segment_page at = {0};
    bool found = false;
    int rc;

    segment_cursor_leave(cursor);
    if (segment_is_empty(cursor->view.segment)) return LSM_OK;
    rc = segment_page_first_start(&cursor->view, &at, &found);
    if (rc != LSM_OK || !found) return rc;
    segment_cursor_place(cursor, &at);
    return leave_on_error(cursor, segment_cursor_load(cursor, 0));
}

int segment_last(struct segment_cursor *cursor) {
    const struct segment_view *view = &cursor->view;
    struct segment_page at = {0};
    uint64_t page_no = 0;
    int rc;

    segment_cursor_leave(cursor);
    if (segment_is_empty(view->segment)) return LSM_OK;
    rc = pager_segment_last(view->pager, view->redirects, view->segment, view->error, &page_no);
    if (rc != LSM_OK) return rc;
    rc = segment_page_get(view, page_no, &at);
    if (rc != LSM_OK) return rc;
    segment_cursor_place(cursor, &at);
    return leave_on_error(cursor, last_record(cursor, true));
}

int segment_next(struct segment_cursor *cursor) {
    uint64_t end = cursor->body_end;
    uint64_t missing;

    if (!cursor->valid) return LSM_OK;
    if (LSM_LIKELY(cursor->cell + 1 < cursor->footer.cell_count)) {
        /* body_end was compared with this cell's offset; here with the record area. */
        if (LSM_LIKELY(end < cursor->footer.record_end)) {
            int rc = load_at(cursor, cursor->cell + 1, (uint32_t)end, true);
            return LSM_LIKELY(rc == LSM_OK) ? LSM_OK : leave_on_error(cursor, rc);
        }
        return leave_on_error(cursor, segment_cursor_load(cursor, cursor->cell + 1));
    }
    missing = end > cursor->footer.record_end ? end - cursor->footer.record_end : 0;
    return leave_on_error(cursor, next_page(cursor, missing));
}

int segment_prev(struct segment_cursor *cursor) {
    if (!cursor->valid) return LSM_OK;
    if (LSM_LIKELY(cursor->cell > 0)) {
        if (cursor->cell == 1) fetch_last_before(cursor);
        return leave_on_error(cursor, load_cell(cursor, cursor->cell - 1, false));
    }
    return leave_on_error(cursor, last_record(cursor, false));
}

int segment_go(struct segment_cursor *cursor, uint64_t page_no, uint32_t cell) {
    const struct segment_view *view = &cursor->view;
    struct segment_page at = {0};
    int rc;

    segment_cursor_leave(cursor);
    rc = segment_page_get_saved(view, page_no, &at);
    if (rc != LSM_OK) goto done;
    if (page_is_index(&at.footer) || cell >= at.footer.cell_count) {
        rc = error_corrupt(view->error, page_no, "a saved position is no record");
        goto done;
    }
    segment_cursor_place(cursor, &at);
    rc = leave_on_error(cursor, segment_cursor_load(cursor, cell));
done:
    segment_page_put(view, &at);
    return rc;
}

int segment_value(struct segment_cursor *cursor, struct slice *value) {
    struct segment_record record;
    uint64_t begin;
    int rc;

    if (!cursor->valid) return LSM_MISUSE;
    begin = cursor->body_end - cursor->head.value_size;
    if (LSM_LIKELY(cursor->body_end <= cursor->footer.record_end)) {
        *value = (struct slice){cursor->page.data + begin, cursor->head.value_size};
        return LSM_OK;
    }
    record = record_of(cursor);
    buffer_reset(&cursor->value_copy);
    rc = segment_body(&cursor->view, &cursor->page, &cursor->footer, &record, cursor->head.key_size,
                      cursor->head.value_size, &cursor->value_copy);
    if (rc == LSM_OK) *value = buffer_slice(&cursor->value_copy);
    return rc;
}
