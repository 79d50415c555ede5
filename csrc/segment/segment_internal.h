/*
** segment_internal.h — what the reading files of this room share.
**
**     segment_page.c     one page, the next page, bodies that go on across pages
**     segment_cursor.c   a position: first, last, next, prev, go, value
**     segment_seek.c     from a key to a position: index, hints
**     segment_place.c    from a key to a position on a page that is known
**     segment_lookup.c   point reads, by a search or on a page that is known
**     segment_btree.c    the keys of the index in order
**     segment_check.c    every rule at once
*/
#ifndef LSM_SEGMENT_INTERNAL_H
#define LSM_SEGMENT_INTERNAL_H

#include "base/bytes.h"
#include "segment/segment.h"

/* ---------------------------------------------------------------------------- segment_page.c -- */

/* A page of a segment with its footer. Zeroed: none. */
struct segment_page {
    struct page page;
    struct page_footer footer;
};

static inline bool segment_is_empty(const struct segment *segment) {
    return segment->first == 0;
}
static inline bool page_is_index(const struct page_footer *footer) {
    return (footer->flags & PAGE_FLAG_INDEX) != 0;
}

/* Borrow a page and read its footer. */
LSM_MUST_USE int segment_page_get(const struct segment_view *view, uint64_t page_no,
                                  struct segment_page *out);
void segment_page_put(const struct segment_view *view, struct segment_page *at);
/* Go to the next data page, over index pages. *budget counts steps down: at 0 the chain is a loop. At the
** end of the segment: *found = false, `at` stays. */
LSM_MUST_USE int segment_page_next_data(const struct segment_view *view, struct segment_page *at,
                                        uint64_t *budget, bool *found);
/* The next data page on which a record starts. */
LSM_MUST_USE int segment_page_next_start(const struct segment_view *view, struct segment_page *at,
                                         uint64_t *budget, bool *found);
/* The first data page on which a record starts. */
LSM_MUST_USE int segment_page_first_start(const struct segment_view *view, struct segment_page *out,
                                          bool *found);

/* Offset of a cell. */
static inline int segment_cell_offset(const struct page *page, const struct page_footer *footer,
                                      uint32_t cell, struct error_context *error,
                                      uint32_t *offset) {
    uint32_t value = get_u16(page->data + page->size - PAGE_FOOTER_SIZE - 2 - 2 * cell);

    if (LSM_UNLIKELY(value >= footer->record_end)) {
        return error_corrupt(error, page->page_no, "a cell lies outside the record area");
    }
    *offset = value;
    return LSM_OK;
}

/* format_record_head, with a short way for the commonest shape: a value, or a bare separator, with a small
** pointer delta and a short key. */
static inline int segment_record_head(const struct page *page, const struct page_footer *footer,
                                      uint32_t offset, struct error_context *error,
                                      struct record_head *out) {
    const uint8_t *at = page->data + offset;
    const uint8_t *end = page->data + footer->record_end;

    /* Field by field: a struct put together and then copied costs more than the decoding. */
    if (LSM_LIKELY(end - at >= 4 && at[1] <= 240 && at[2] <= 240)) {
        uint8_t flags = (uint8_t)(at[0] & ~RECORD_NOISE);
        uint64_t value_size = 0;
        uint32_t used = 0;
        if (LSM_LIKELY(flags == RECORD_INSERT)) used = varint_get(at + 3, end, &value_size);
        if (LSM_LIKELY((used > 0 && value_size <= RECORD_LENGTH_MAX) || flags == RECORD_SEPARATOR)) {
            out->flags = flags;
            out->pointer_delta = at[1];
            out->key_size = at[2];
            out->value_size = (uint32_t)value_size;
            out->head_size = 3 + used;
            return LSM_OK;
        }
    }
    return format_record_head(at, end, page->page_no, error, out);
}

/* Where a record is: what is needed to read any part of it. */
struct segment_record {
    uint32_t offset;         /* in its page */
    struct record_head head;
    uint64_t body_end;       /* offset where it would end if the page were long enough */
};

/* Does the record at `cell`, which ends at `body_end`, end where the next one begins? */
static inline int segment_check_end(const struct page *page, const struct page_footer *footer,
                                    uint32_t cell, uint64_t body_end, struct error_context *error) {
    if (cell + 1 < footer->cell_count &&
        LSM_UNLIKELY(body_end !=
                     get_u16(page->data + page->size - PAGE_FOOTER_SIZE - 4 - 2 * cell))) {
        return error_corrupt(error, page->page_no, "a record does not end where the next begins");
    }
    return LSM_OK;
}

/* Decode the head of the record at `offset`, which is that of `cell`, and check its end. */
static inline int segment_record_at(const struct page *page, const struct page_footer *footer,
                                    uint32_t cell, uint32_t offset, struct error_context *error,
                                    struct segment_record *out) {
    int rc = segment_record_head(page, footer, offset, error, &out->head);

    if (LSM_UNLIKELY(rc != LSM_OK)) return rc;
    out->offset = offset;
    out->body_end = (uint64_t)offset + out->head.head_size + out->head.key_size +
                    out->head.value_size;
    return segment_check_end(page, footer, cell, out->body_end, error);
}

/* Append `take` bytes of the record's body (key, then value), from the `skip`-th on, to `out`. */
LSM_MUST_USE int segment_body(const struct segment_view *view, const struct page *page,
                              const struct page_footer *footer, const struct segment_record *record,
                              uint64_t skip, uint64_t take, struct buffer *out);

/* The key: in the page, or gathered into `scratch`. */
LSM_MUST_USE int segment_record_key(const struct segment_view *view, const struct page *page,
                                    const struct page_footer *footer,
                                    const struct segment_record *record, struct buffer *scratch,
                                    struct slice *key);

/* Borrow the page of a position saved by a merge. LSM_CORRUPT if it is not part of the segment. */
LSM_MUST_USE int segment_page_get_saved(const struct segment_view *view, uint64_t page_no,
                                        struct segment_page *out);

/* Copy the key of a page's cell 0 (for indirect index cells). */
LSM_MUST_USE int segment_first_key(const struct segment_view *view, uint64_t page_no,
                                   struct buffer *key, enum topic *topic);

/* -------------------------------------------------------------------------- segment_cursor.c -- */

/* Give back the page; on no record. */
void segment_cursor_leave(struct segment_cursor *cursor);
/* Take over a page as the place of the cursor; `at` becomes empty. Travel starts anew. */
void segment_cursor_place(struct segment_cursor *cursor, struct segment_page *at);
/* Stand on a cell of the present page. */
LSM_MUST_USE int segment_cursor_load(struct segment_cursor *cursor, uint32_t cell);
/* Stand on the first record >= a key, given that `count` records of the present page are <= the key and, if `equal`,
** the last of them has it. It may be on another page. */
LSM_MUST_USE int segment_cursor_load_above(struct segment_cursor *cursor, uint32_t count,
                                           bool equal);
/* The last record before the present page. */
LSM_MUST_USE int segment_cursor_prev_page(struct segment_cursor *cursor);

/* ---------------------------------------------------------------------------- segment_seek.c -- */

/* Have pages been dropped from the front of the segment? Then indirect keys may point to pages that belong to
** others by now. */
enum segment_front { FRONT_UNKNOWN = 0, FRONT_COMPLETE, FRONT_DROPPED };

/* Pages a descent touches: NULL, or a list that is filled. */
struct segment_path {
    uint64_t *pages;
    uint32_t capacity;
    uint32_t count;
    bool overflow;
};

/* Child of an index page that leads to `key`: cell number, cell_count = right child. */
LSM_MUST_USE int segment_choose_child(const struct segment_view *view, const struct page *page,
                                      const struct page_footer *footer, enum topic topic,
                                      struct slice key, struct buffer *scratch, uint8_t *front,
                                      struct segment_path *path, uint32_t *cell);
/* Number of the child behind a cell (not translated). */
LSM_MUST_USE int segment_child(const struct segment_view *view, const struct page *page,
                               const struct page_footer *footer, uint32_t cell, uint64_t *child);
/* Decode an index cell. */
LSM_MUST_USE int segment_index_cell(const struct segment_view *view, const struct page *page,
                                    const struct page_footer *footer, uint32_t cell,
                                    struct index_cell *out);

/* After a failure a cursor is nowhere. */
static inline int segment_seek_done(struct segment_cursor *cursor, int rc) {
    if (rc != LSM_OK) segment_cursor_leave(cursor);
    return rc;
}

/* topic_key_compare, with a short way for keys that differ in their first bytes. */
static inline int segment_compare_keys(enum topic topic, struct slice key,
                                       enum topic other_topic, struct slice other) {
    if (LSM_LIKELY(topic == other_topic && key.size >= 8 && other.size >= 8)) {
        uint64_t left = get_u64(key.data);
        uint64_t right = get_u64(other.data);
        if (LSM_LIKELY(left != right)) return left < right ? -1 : 1;
    }
    return topic_key_compare(topic, key, other_topic, other);
}

/* Compare the key sought with that of a cell: *order < 0 if it is smaller. */
static inline int segment_compare_cell(const struct segment_view *view, const struct page *page,
                                       const struct page_footer *footer, uint32_t cell,
                                       enum topic topic, struct slice key,
                                       struct buffer *scratch, int *order) {
    struct segment_record record;
    struct slice other;
    uint32_t offset = 0;
    uint32_t begin;
    int rc = segment_cell_offset(page, footer, cell, view->error, &offset);

    if (LSM_UNLIKELY(rc != LSM_OK)) return rc;
    rc = segment_record_head(page, footer, offset, view->error, &record.head);
    if (LSM_UNLIKELY(rc != LSM_OK)) return rc;
    begin = offset + record.head.head_size;
    if (LSM_LIKELY(record.head.key_size <= footer->record_end - begin)) {
        other.data = page->data + begin;
        other.size = record.head.key_size;
    } else {
        record.offset = offset;
        rc = segment_record_key(view, page, footer, &record, scratch, &other);
        if (rc != LSM_OK) return rc;
    }
    *order = segment_compare_keys(topic, key, record_topic(record.head.flags), other);
    return LSM_OK;
}

/* On the cursor's page, between cells `low` and `high`: *count = number of records <= key, *equal = the last of
** them has the key. Records below `low` are <= key, those from `high` on are greater. */
static inline int segment_search_cells(struct segment_cursor *cursor, enum topic topic,
                                       struct slice key, uint32_t low, uint32_t high,
                                       uint32_t *count, bool *equal) {
    *equal = false;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = 0;
        int rc = segment_compare_cell(&cursor->view, &cursor->page, &cursor->footer, middle, topic, key,
                                &cursor->key_copy, &order);
        if (LSM_UNLIKELY(rc != LSM_OK)) return rc;
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
            if (order == 0) {
                *equal = true;
                break;
            }
        }
    }
    *count = low;
    return LSM_OK;
}

/* Place the cursor's page for `key`, see (I1) of segment_seek.c. *found = false: the segment has no record. */
LSM_MUST_USE int segment_find_page(struct segment_cursor *cursor, enum topic topic,
                                   struct slice key, uint64_t hint, struct segment_path *path,
                                   bool *found);
/* On the cursor's page: *count = number of records <= key, *equal = the last of them has the key. */
LSM_MUST_USE int segment_search_page(struct segment_cursor *cursor, enum topic topic,
                                     struct slice key, uint32_t *count, bool *equal);

/* --------------------------------------------------------------------------- segment_btree.c -- */

/* Stand on the greatest key of the index that is <= `key` (not valid: there is none). *leaf = the page reached
** just to the right of it, not translated. */
LSM_MUST_USE int index_cursor_seek(struct index_cursor *cursor, enum topic topic, struct slice key,
                                   uint8_t *front, uint64_t *leaf);

#endif
