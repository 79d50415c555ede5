/*
** segment_check.c — every rule of the format that concerns one segment.
**
**     1 chain     from first to last, length as the segment says, links and page numbers inside the file
**     2 pages     footers, cells packed without gaps, skip flags that agree from page to page
**     3 records   legal heads, complete bodies, strictly ascending keys, range marks that pair up
**     4 index     leads to exactly the indexable pages, in order, by their first keys, at one depth
**
** The numbers are those of the functions below. What concerns several segments (cascade pointers, split keys,
** blocks used twice) is the business of db/verify.c.
**
** OWNERSHIP   Reasons are string literals. The view's own error context is left alone.
** ERRORS      Damage is reported, not returned: LSM_OK then. Returned: LSM_NOMEM, LSM_IOERR, what the report's
**             `page` returns.
** COST        Every page once, every record once, each first key of a page once more; 8 bytes of memory for
**             each indexable page and each index page.
*/
#include "segment/segment_internal.h"

struct check {
    struct segment_view view;       /* with `error` as its context */
    struct error_context error;
    const struct segment_report *report;
    bool partial_front;
    struct buffer starts;           /* uint64_t: indexable pages in order */
    struct buffer index_pages;      /* uint64_t: index pages, sorted after the walk */
    bool chain_is_whole;
};

static void problem(struct check *check, uint64_t page_no, const char *reason) {
    check->report->problem(check->report->context, page_no, reason);
}

/* A page has been read: shall we go on? */
static int keep_going(const struct check *check, enum segment_pass pass) {
    return check->report->page ? check->report->page(check->report->context, pass) : LSM_OK;
}

/* Turn damage into a report: its code becomes LSM_OK and *damaged. */
static int absorb(struct check *check, int rc, bool *damaged) {
    if (!error_is_damage(&check->error, rc)) return rc;
    problem(check, check->error.page_no, check->error.reason ? check->error.reason : "damaged");
    error_clear(&check->error);
    *damaged = true;
    return LSM_OK;
}

static uint64_t *numbers(const struct buffer *buffer) {
    return (uint64_t *)(void *)buffer->data;
}

static size_t number_count(const struct buffer *buffer) {
    return buffer->size / sizeof(uint64_t);
}

/* Shell's sort: no memory, no recursion, and these lists are almost sorted. */
static void numbers_sort(struct buffer *buffer) {
    uint64_t *list = numbers(buffer);
    size_t count = number_count(buffer);

    for (size_t gap = count / 2; gap > 0; gap /= 2) {
        for (size_t i = gap; i < count; i++) {
            uint64_t value = list[i];
            size_t j = i;
            for (; j >= gap && list[j - gap] > value; j -= gap) list[j] = list[j - gap];
            list[j] = value;
        }
    }
}

static bool numbers_contain(const struct buffer *sorted, uint64_t value) {
    const uint64_t *list = numbers(sorted);
    size_t low = 0;
    size_t high = number_count(sorted);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list[middle] == value) return true;
        if (list[middle] < value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

/* ------------------------------------------------------------------------------- 2: one page -- */

static int check_data_cells(struct check *check, const struct segment_page *at) {
    int rc = LSM_OK;

    for (uint32_t cell = 0; rc == LSM_OK && cell < at->footer.cell_count; cell++) {
        struct segment_record record;
        uint32_t offset = 0;
        rc = segment_cell_offset(&at->page, &at->footer, cell, &check->error, &offset);
        if (rc == LSM_OK) {
            rc = segment_record_at(&at->page, &at->footer, cell, offset, &check->error, &record);
        }
    }
    return rc;
}

static int check_index_cells(struct check *check, const struct segment_page *at) {
    uint32_t expected = 3; /* three bytes in front of the first cell are unused */
    int rc = LSM_OK;

    if (at->footer.pointer == 0) {
        return error_corrupt(&check->error, at->page.page_no, "an index page has no right child");
    }
    for (uint32_t cell = 0; cell < at->footer.cell_count; cell++) {
        struct index_cell decoded;
        uint32_t offset = 0;
        rc = segment_cell_offset(&at->page, &at->footer, cell, &check->error, &offset);
        if (rc != LSM_OK) break;
        if (offset != expected) {
            rc = error_corrupt(&check->error, at->page.page_no, "index cells leave a gap");
            break;
        }
        rc = segment_index_cell(&check->view, &at->page, &at->footer, cell, &decoded);
        if (rc != LSM_OK) break;
        expected = offset + format_index_cell_size(&decoded);
    }
    return rc;
}

static int check_page(struct check *check, const struct segment_page *at, uint32_t *start_flags,
                      bool *any_start) {
    bool damaged = false;
    int rc = absorb(check,
                    page_is_index(&at->footer) ? check_index_cells(check, at)
                                               : check_data_cells(check, at),
                    &damaged);

    if (rc != LSM_OK) return rc;
    if (page_is_index(&at->footer)) {
        buffer_append(&check->index_pages, &at->page.page_no, sizeof at->page.page_no);
        return check->index_pages.rc;
    }
    if (at->footer.cell_count == 0) return LSM_OK;
    if (*any_start) {
        bool promised = (*start_flags & PAGE_FLAG_SKIP_NEXT) != 0;
        bool skipped = (at->footer.flags & PAGE_FLAG_SKIP_THIS) != 0;
        if (promised != skipped) problem(check, at->page.page_no, "skip flags disagree");
    } else if (!check->partial_front && (at->footer.flags & PAGE_FLAG_SKIP_THIS)) {
        problem(check, at->page.page_no, "the first page of a segment is skipped");
    }
    *any_start = true;
    *start_flags = at->footer.flags;
    if (!(at->footer.flags & PAGE_FLAG_SKIP_THIS)) {
        buffer_append(&check->starts, &at->page.page_no, sizeof at->page.page_no);
    }
    return check->starts.rc;
}

/* --------------------------------------------------------------------------------- 1: chain -- */

static int check_chain(struct check *check) {
    const struct segment_view *view = &check->view;
    uint64_t budget = pager_segment_pages_max(view->pager, view->segment);
    uint64_t page_no = view->segment->first;
    uint64_t measured = 0;
    uint32_t start_flags = 0;
    bool any_start = false;
    bool damaged = false;
    int rc = absorb(check,
                    pager_segment_measure(view->pager, view->redirects, view->segment, view->error,
                                          &measured),
                    &damaged);

    if (rc != LSM_OK) return rc;
    if (!damaged && measured != view->segment->size) {
        problem(check, view->segment->first, "the size of a segment is wrong");
        damaged = true;
    }
    for (; page_no != 0; budget--) {
        struct segment_page at = {0};
        bool footer_damaged = false;

        if (budget == 0) {
            problem(check, page_no, "a segment has more pages than its size says");
            damaged = true;
            break;
        }
        rc = absorb(check, pager_get(view->pager, view->redirects, page_no, view->error, &at.page),
                    &damaged);
        pager_look_ahead(view->pager, view->redirects, page_no, true, UINT64_MAX);
        if (rc != LSM_OK || at.page.data == NULL) break; /* without the page no link to go on by */
        rc = absorb(check,
                    format_page_footer(at.page.data, at.page.size, page_no, view->error, &at.footer),
                    &footer_damaged);
        if (rc == LSM_OK && !footer_damaged) rc = check_page(check, &at, &start_flags, &any_start);
        if (rc == LSM_OK) {
            page_no = 0;
            rc = absorb(check,
                        pager_segment_next(view->pager, view->redirects, view->segment, &at.page,
                                           view->error, &page_no),
                        &damaged);
        }
        damaged = damaged || footer_damaged;
        segment_page_put(view, &at);
        if (rc == LSM_OK) rc = keep_going(check, PASS_PAGES);
        if (rc != LSM_OK) break;
    }
    check->chain_is_whole = rc == LSM_OK && !damaged;
    return rc;
}

/* ------------------------------------------------------------------------------- 3: records -- */

static int check_records(struct check *check, lsm_env *env, uint64_t *record_count) {
    struct segment_cursor cursor;
    struct buffer before;
    enum topic topic_before = TOPIC_USER;
    bool range_open = false;
    bool damaged = false;
    uint64_t count = 0;
    uint64_t page_no = 0;
    int rc;

    buffer_init(&before, env);
    segment_cursor_init(&cursor, env, &check->view);
    rc = absorb(check, segment_first(&cursor), &damaged);
    if (rc == LSM_OK && cursor.valid && !check->partial_front &&
        (cursor.page.page_no != check->view.segment->first || cursor.offset != 0)) {
        problem(check, check->view.segment->first, "a segment does not begin with a record");
    }
    while (rc == LSM_OK && cursor.valid) {
        enum topic topic = record_topic(cursor.flags);
        bool ends = (cursor.flags & RECORD_END_DELETE) != 0;
        if (count > 0 && topic_key_compare(topic_before, buffer_slice(&before), topic,
                                           cursor.key) >= 0) {
            problem(check, cursor.page.page_no, "keys are not in ascending order");
        }
        if (ends != range_open && (count > 0 || !check->partial_front)) {
            problem(check, cursor.page.page_no, "range marks do not pair up");
        }
        range_open = (cursor.flags & RECORD_START_DELETE) != 0;
        topic_before = topic;
        count++;
        rc = buffer_assign(&before, cursor.key);
        if (rc == LSM_OK && cursor.page.page_no != page_no) rc = keep_going(check, PASS_RECORDS);
        page_no = cursor.page.page_no;
        if (rc == LSM_OK) rc = absorb(check, segment_next(&cursor), &damaged);
    }
    /* The output of a merge may end inside a range; an input may not. */
    if (rc == LSM_OK && !damaged && check->partial_front && range_open) {
        problem(check, check->view.segment->last, "a range delete never ends");
    }
    segment_cursor_release(&cursor);
    buffer_release(&before);
    if (rc == LSM_OK) *record_count = count;
    return rc;
}

/* --------------------------------------------------------------------------------- 4: index -- */

/* The leaf behind a position must be the `place`-th indexable page, and begin with `key` (NULL: any). */
static int check_leaf(struct check *check, uint64_t leaf, size_t place, enum topic topic,
                      const struct slice *key, struct buffer *scratch) {
    enum topic first_topic = TOPIC_USER;
    int rc = LSM_OK;

    leaf = pager_redirect(check->view.pager, check->view.redirects, leaf);
    if (place >= number_count(&check->starts) || numbers(&check->starts)[place] != leaf) {
        return error_corrupt(&check->error, leaf, "an index leads to the wrong page");
    }
    if (key == NULL) return LSM_OK;
    rc = segment_first_key(&check->view, leaf, scratch, &first_topic);
    if (rc == LSM_OK &&
        topic_key_compare(first_topic, buffer_slice(scratch), topic, *key) != 0) {
        rc = error_corrupt(&check->error, leaf, "a key of the index is not the first of its page");
    }
    return rc;
}

/* All pages of the path belong to the segment. */
static int check_path(struct check *check, const struct index_cursor *cursor) {
    for (uint32_t level = 0; level < cursor->depth; level++) {
        if (!numbers_contain(&check->index_pages, cursor->pages[level].page_no)) {
            return error_corrupt(&check->error, cursor->pages[level].page_no,
                                 "an index page does not belong to its segment");
        }
    }
    return LSM_OK;
}

static int walk_index(struct check *check, struct index_cursor *cursor, struct buffer *scratch) {
    uint8_t front = check->partial_front ? FRONT_DROPPED : FRONT_COMPLETE;
    enum topic topic = TOPIC_USER;
    uint64_t leaf = 0;
    uint64_t lowest = 0;
    struct slice key;
    size_t place = 0;
    int rc;

    /* A search for the first key that is there ends on the first page, also when pages in front of it, to
    ** which the left part of the index still leads, were given back. */
    rc = segment_first_key(&check->view, numbers(&check->starts)[0], scratch, &topic);
    if (rc != LSM_OK) return rc;
    rc = index_cursor_seek(cursor, topic, buffer_slice(scratch), &front, &leaf);
    if (rc != LSM_OK) return rc;
    rc = check_leaf(check, leaf, 0, topic, NULL, scratch);
    if (rc == LSM_OK && !check->partial_front && cursor->valid) {
        rc = error_corrupt(&check->error, leaf, "an index leads to pages before the first");
    }
    if (rc == LSM_OK) rc = check_path(check, cursor);
    if (rc == LSM_OK) rc = index_cursor_next(cursor);
    while (rc == LSM_OK && cursor->valid) {
        if (cursor->pages[cursor->depth - 1].page_no != lowest) {
            lowest = cursor->pages[cursor->depth - 1].page_no;
            rc = check_path(check, cursor);
            if (rc != LSM_OK) break;
        }
        key = cursor->key;
        rc = check_leaf(check, cursor->pointer, ++place, cursor->topic, &key, scratch);
        if (rc == LSM_OK) rc = keep_going(check, PASS_LINKS);
        if (rc == LSM_OK) rc = index_cursor_next(cursor);
    }
    if (rc == LSM_OK && place + 1 != number_count(&check->starts)) {
        rc = error_corrupt(&check->error, check->view.segment->root,
                           "an index does not lead to all pages");
    }
    return rc;
}

static int check_index(struct check *check, lsm_env *env) {
    struct index_cursor cursor;
    struct buffer scratch;
    bool damaged = false;
    int rc = LSM_OK;

    buffer_init(&scratch, env);
    index_cursor_init(&cursor, env, &check->view);
    if (number_count(&check->starts) == 0) {
        problem(check, check->view.segment->root, "an index without pages to lead to");
    } else {
        numbers_sort(&check->index_pages);
        rc = absorb(check, walk_index(check, &cursor, &scratch), &damaged);
    }
    index_cursor_release(&cursor);
    buffer_release(&scratch);
    return rc;
}

int segment_check(const struct segment_view *view, lsm_env *env, bool partial_front,
                  const struct segment_report *report, uint64_t *record_count) {
    struct check check = {.view = *view, .report = report, .partial_front = partial_front};
    const struct segment *segment = view->segment;
    uint64_t count = 0;
    int rc = LSM_OK;

    check.view.error = &check.error;
    buffer_init(&check.starts, env);
    buffer_init(&check.index_pages, env);
    if (segment->first == 0 || segment->last == 0 || segment->size == 0) {
        problem(&check, segment->first, "a segment without first page, last page or size");
        goto done;
    }
    rc = check_chain(&check);
    if (rc != LSM_OK) goto done;
    rc = check_records(&check, env, &count);
    if (rc != LSM_OK) goto done;
    if (segment->root != 0 && check.chain_is_whole) rc = check_index(&check, env);
done:
    if (rc == LSM_OK) *record_count = count;
    buffer_release(&check.starts);
    buffer_release(&check.index_pages);
    return rc;
}
