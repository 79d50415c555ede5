/*
** segment_seek.c — from a key to a place in a segment: index, hints from above.
**
** Where a search begins (format, 8.4 and 10.3):
**
**     1 root != 0                       descend from the root; a hint may be out of date and is ignored
**     2 root = 0, index absorbed        the hint, if it proves right (below); else descend from the last
**                                       page: the topmost index page is written last and is still there
**     3 root = 0, never had an index    the first page on which a record starts: there is no other
**
** The last page of a segment is an index page exactly if there was an index. A hint proves right if the
** page is a data page with records, not outside the ends of the segment as far as can be told from its block,
** its first key <= the key sought (or it is the segment's first page), and a few steps forward reach
** the place: pointers of range tombstones may lead to an earlier page, never to a later one.
**
** INVARIANTS  (I1) After segment_find_page the last record <= key, if there is one, is on the cursor's page or before it,
**                  and the first record > key on the page or behind it.
**             (I2) A descent ends after INDEX_DEPTH_MAX pages.
** COST        1: depth + 1 pages. 2: one page and a look at `last`. No allocation, no copy of keys, unless
**             a probed key spans pages or stands indirectly in the index. One page more if the key lies behind
**             the last record of a page that is followed by one outside the index, or was found by a hint.
*/
#include "segment/segment_internal.h"

#define HINT_STEPS_MAX 4

/* ----------------------------------------------------------------------------- index pages -- */

int segment_index_cell(const struct segment_view *view, const struct page *page,
                       const struct page_footer *footer, uint32_t cell, struct index_cell *out) {
    uint32_t offset = 0;
    int rc = segment_cell_offset(page, footer, cell, view->error, &offset);

    if (rc != LSM_OK) return rc;
    return format_index_cell(page->data + offset, page->data + footer->record_end, page->page_no,
                             view->error, out);
}

int segment_child(const struct segment_view *view, const struct page *page,
                  const struct page_footer *footer, uint32_t cell, uint64_t *child) {
    struct index_cell decoded;
    int rc;

    if (cell < footer->cell_count) {
        rc = segment_index_cell(view, page, footer, cell, &decoded);
        if (rc == LSM_OK) *child = decoded.child;
        return rc;
    }
    if (footer->pointer == 0) {
        return error_corrupt(view->error, page->page_no, "an index page has no right child");
    }
    *child = footer->pointer;
    return LSM_OK;
}

static void path_add(struct segment_path *path, uint64_t page_no) {
    if (path == NULL) return;
    for (uint32_t i = 0; i < path->count; i++) {
        if (path->pages[i] == page_no) return;
    }
    if (path->count == path->capacity) {
        path->overflow = true;
    } else {
        path->pages[path->count++] = page_no;
    }
}

/* The index page at the top: root, or what was the root before the index was absorbed; 0 = none. */
static int index_top(const struct segment_view *view, uint64_t *top) {
    struct segment_page at = {0};
    uint64_t found = view->segment->root;
    uint64_t last = 0;
    int rc = LSM_OK;

    if (found == 0) {
        rc = pager_segment_last(view->pager, view->redirects, view->segment, view->error, &last);
        if (rc == LSM_OK) rc = segment_page_get(view, last, &at);
        if (rc == LSM_OK && page_is_index(&at.footer)) found = at.page.page_no;
        segment_page_put(view, &at);
    }
    if (rc == LSM_OK) *top = found;
    return rc;
}

/* Is the leftmost leaf of the index the segment's first page? Then nothing was dropped in front. */
static void front_find_out(const struct segment_view *view, uint8_t *front) {
    struct error_context ignored = {0};
    struct segment_view quiet = *view;
    uint64_t page_no = 0;

    quiet.error = &ignored; /* pages in front may have a new owner: whatever they hold is no error */
    *front = FRONT_DROPPED;
    if (index_top(&quiet, &page_no) != LSM_OK || page_no == 0) return;
    for (int depth = 0; depth <= INDEX_DEPTH_MAX; depth++) {
        struct segment_page at = {0};
        bool leaf = false;
        int rc = segment_page_get(&quiet, page_no, &at);
        if (rc == LSM_OK) {
            leaf = !page_is_index(&at.footer);
            if (leaf && at.page.page_no == view->segment->first) *front = FRONT_COMPLETE;
            if (!leaf) rc = segment_child(&quiet, &at.page, &at.footer, 0, &page_no);
        }
        segment_page_put(&quiet, &at);
        if (rc != LSM_OK || leaf) return;
    }
}

/* Compare the key sought with an indirect key: *order < 0 if it is smaller. */
static int compare_indirect(const struct segment_view *view, uint64_t key_page, enum topic topic,
                            struct slice key, struct buffer *scratch, uint8_t *front,
                            struct segment_path *path, int *order) {
    enum topic other_topic = TOPIC_USER;
    bool contains = true;
    int rc = LSM_OK;

    key_page = pager_redirect(view->pager, view->redirects, key_page);
    if (*front == FRONT_UNKNOWN) front_find_out(view, front);
    if (*front == FRONT_DROPPED) {
        rc = pager_segment_contains(view->pager, view->redirects, view->segment, key_page,
                                    view->error, &contains);
        if (rc != LSM_OK) return rc;
    }
    if (!contains) { /* given back: what it held was below every key that is looked for here */
        *order = 1;
        return LSM_OK;
    }
    rc = segment_first_key(view, key_page, scratch, &other_topic);
    if (rc != LSM_OK) return rc;
    path_add(path, key_page);
    *order = topic_key_compare(topic, key, other_topic, buffer_slice(scratch));
    return LSM_OK;
}

/* The commonest cell, a short inline key, without the detour of a decoded struct. */
static inline bool probe_inline(const struct page *page, const struct page_footer *footer,
                                uint32_t offset, enum topic *topic, struct slice *key) {
    const uint8_t *at = page->data + offset;
    const uint8_t *end = page->data + footer->record_end;
    uint64_t child;
    uint32_t used;

    if (LSM_UNLIKELY((*at & ~RECORD_SYSTEM) != RECORD_SEPARATOR)) return false;
    used = varint_get(at + 1, end, &child);
    if (LSM_UNLIKELY(used == 0 || end - at < 2 + (ptrdiff_t)used)) return false;
    *topic = record_topic(*at);
    at += 1 + used;
    if (LSM_UNLIKELY(*at > 240 || end - at <= *at)) return false;
    key->data = at + 1;
    key->size = *at;
    return true;
}

int segment_choose_child(const struct segment_view *view, const struct page *page,
                         const struct page_footer *footer, enum topic topic, struct slice key,
                         struct buffer *scratch, uint8_t *front, struct segment_path *path,
                         uint32_t *cell) {
    uint32_t low = 0; /* cells below it are <= key, cells from `high` on are > key */
    uint32_t high = footer->cell_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct index_cell probe;
        enum topic other_topic;
        struct slice other;
        uint32_t offset = 0;
        int order = 0;
        int rc = segment_cell_offset(page, footer, middle, view->error, &offset);
        if (LSM_UNLIKELY(rc != LSM_OK)) return rc;
        if (LSM_LIKELY(probe_inline(page, footer, offset, &other_topic, &other))) {
            order = topic_key_compare(topic, key, other_topic, other);
        } else {
            rc = segment_index_cell(view, page, footer, middle, &probe);
            if (rc != LSM_OK) return rc;
            if (probe.indirect) {
                rc = compare_indirect(view, probe.key_page, topic, key, scratch, front, path,
                                      &order);
                if (rc != LSM_OK) return rc;
            } else {
                order = topic_key_compare(topic, key, probe.topic, probe.key);
            }
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    *cell = low;
    return LSM_OK;
}

/* Can the page be part of the segment, as far as its block alone tells? */
static bool seems_inside(const struct segment_view *view, uint64_t page_no) {
    const struct segment *segment = view->segment;
    uint32_t block_no = pager_block_of(view->pager, page_no);

    if (block_no == pager_block_of(view->pager, segment->first) && page_no < segment->first) {
        return false;
    }
    return block_no != pager_block_of(view->pager, segment->last) || page_no <= segment->last;
}

/* Go down from index page `page_no` to the leaf where a search for `key` ends. */
static int descend(const struct segment_view *view, uint64_t page_no, enum topic topic,
                   struct slice key, struct buffer *scratch, uint8_t *front,
                   struct segment_path *path, struct segment_page *out) {
    struct segment_page at = {0};
    int rc = LSM_OK;

    for (int depth = 0;; depth++) {
        uint32_t cell = 0;
        rc = segment_page_get(view, page_no, &at);
        if (rc != LSM_OK) break;
        path_add(path, at.page.page_no);
        if (!page_is_index(&at.footer)) {
            if (at.footer.cell_count == 0 || depth == 0) {
                rc = error_corrupt(view->error, at.page.page_no,
                                   depth ? "an index leads to a page without records"
                                         : "the root of an index is no index page");
                break;
            }
            *out = at;
            at = (struct segment_page){0};
            break;
        }
        if (depth == INDEX_DEPTH_MAX) {
            rc = error_corrupt(view->error, at.page.page_no, "an index is too deep");
            break;
        }
        rc = segment_choose_child(view, &at.page, &at.footer, topic, key, scratch, front, path,
                                  &cell);
        if (rc != LSM_OK) break;
        rc = segment_child(view, &at.page, &at.footer, cell, &page_no);
        if (rc != LSM_OK) break;
        segment_page_put(view, &at);
    }
    segment_page_put(view, &at);
    return rc;
}

/* ------------------------------------------------------------------------------ data pages -- */

/* Go forward while the next page with records begins at or below the key. `skip_only`: only over pages
** that are not in the index. `steps_max` pages at most: *arrived says whether that was enough. */
static int advance(struct segment_cursor *cursor, struct segment_page *at, enum topic topic,
                   struct slice key, bool skip_only, uint64_t steps_max, bool *arrived) {
    const struct segment_view *view = &cursor->view;
    uint64_t budget = pager_segment_pages_max(view->pager, view->segment);
    struct segment_page ahead = {0};
    int rc = LSM_OK;

    *arrived = true;
    for (uint64_t steps = 0;; steps++) {
        bool found = false;
        int order = 0;
        if (skip_only && !(at->footer.flags & PAGE_FLAG_SKIP_NEXT)) break;
        rc = segment_compare_cell(view, &at->page, &at->footer, at->footer.cell_count - 1, topic, key,
                            &cursor->key_copy, &order);
        if (rc != LSM_OK || order <= 0) break;
        if (steps == steps_max) {
            *arrived = false;
            break;
        }
        /* Look ahead on a borrowed reference of our own: `at` must stay if the next page is too far. */
        rc = segment_page_get(view, at->page.page_no, &ahead);
        if (rc != LSM_OK) break;
        rc = segment_page_next_start(view, &ahead, &budget, &found);
        if (rc != LSM_OK || !found) break;
        rc = segment_compare_cell(view, &ahead.page, &ahead.footer, 0, topic, key, &cursor->key_copy,
                            &order);
        if (rc != LSM_OK || order < 0) break;
        segment_page_put(view, at);
        *at = ahead;
        ahead = (struct segment_page){0};
    }
    segment_page_put(view, &ahead);
    return rc;
}

/* Try the page a hint names. *out stays empty if it does not prove right: a hint is never an error. */
static int try_hint(struct segment_cursor *cursor, enum topic topic, struct slice key,
                    uint64_t hint, struct segment_page *out) {
    struct error_context ignored = {0};
    struct error_context *error = cursor->view.error;
    struct segment_page at = {0};
    bool arrived = false;
    int order = 0;
    int rc;

    hint = pager_redirect(cursor->view.pager, cursor->view.redirects, hint);
    if (!seems_inside(&cursor->view, hint)) return LSM_OK;
    cursor->view.error = &ignored;
    rc = segment_page_get(&cursor->view, hint, &at);
    if (rc == LSM_OK && (page_is_index(&at.footer) || at.footer.cell_count == 0)) rc = LSM_CORRUPT;
    if (rc == LSM_OK && at.page.page_no != cursor->view.segment->first) {
        rc = segment_compare_cell(&cursor->view, &at.page, &at.footer, 0, topic, key, &cursor->key_copy,
                            &order);
        if (rc == LSM_OK && order < 0) rc = LSM_CORRUPT;
    }
    if (rc == LSM_OK) {
        rc = advance(cursor, &at, topic, key, false, HINT_STEPS_MAX, &arrived);
    }
    cursor->view.error = error;
    if (rc == LSM_OK && arrived) {
        *out = at;
        at = (struct segment_page){0};
    }
    segment_page_put(&cursor->view, &at);
    if (error_is_damage(&ignored, rc)) rc = LSM_OK;
    return rc == LSM_OK ? LSM_OK : error_note(error, rc, ignored.reason);
}

/* Begin at the first page with records and go forward: always right, and short for a segment that never had
** an index. */
static int walk_from_first(struct segment_cursor *cursor, enum topic topic, struct slice key,
                           struct segment_page *out) {
    struct segment_page at = {0};
    bool found = false;
    bool arrived = false;
    int rc = segment_page_first_start(&cursor->view, &at, &found);

    if (rc != LSM_OK || !found) return rc;
    rc = advance(cursor, &at, topic, key, false, UINT64_MAX, &arrived);
    if (rc == LSM_OK) {
        *out = at;
        return LSM_OK;
    }
    segment_page_put(&cursor->view, &at);
    return rc;
}

/* From the leaf of a descent to the page of the key: over pages that are not in the index. A leaf in front of
** the segment was given back with keys nobody looks for; whoever does gets the first page that is left. */
static int settle(struct segment_cursor *cursor, enum topic topic, struct slice key,
                  struct segment_page *at) {
    bool arrived = false;

    if (LSM_UNLIKELY(!seems_inside(&cursor->view, at->page.page_no))) {
        segment_page_put(&cursor->view, at);
        return walk_from_first(cursor, topic, key, at);
    }
    return advance(cursor, at, topic, key, true, UINT64_MAX, &arrived);
}

/* Index absorbed: from what was the root. *out stays empty if that does not lead to a leaf. */
static int try_old_root(struct segment_cursor *cursor, enum topic topic, struct slice key,
                        uint64_t top, struct segment_path *path, struct segment_page *out) {
    struct error_context ignored = {0};
    struct error_context *error = cursor->view.error;
    int rc;

    cursor->view.error = &ignored;
    rc = descend(&cursor->view, top, topic, key, &cursor->key_copy, &cursor->front, path, out);
    cursor->view.error = error;
    if (error_is_damage(&ignored, rc)) return LSM_OK;
    return rc == LSM_OK ? LSM_OK : error_note(error, rc, ignored.reason);
}

int segment_find_page(struct segment_cursor *cursor, enum topic topic, struct slice key,
                      uint64_t hint, struct segment_path *path, bool *found) {
    const struct segment_view *view = &cursor->view;
    struct segment_page at = {0};
    uint64_t top = 0;
    bool never = true;
    int rc = LSM_OK;

    segment_cursor_leave(cursor);
    *found = false;
    if (segment_is_empty(view->segment)) return LSM_OK;

    if (view->segment->root != 0) {
        rc = descend(view, view->segment->root, topic, key, &cursor->key_copy, &cursor->front, path,
                     &at);
        if (rc == LSM_OK) rc = settle(cursor, topic, key, &at);
        if (rc != LSM_OK) goto done;
    } else {
        /* Uncompressed, the last page tells most cheaply; compressed, finding it takes reads that a
        ** good hint saves. */
        bool last_is_cheap = !pager_is_compressed(view->pager);
        if (last_is_cheap) {
            rc = index_top(view, &top);
            never = top == 0;
        } else if (hint != 0) {
            rc = segment_never_indexed(view, cursor->key_copy.env, &never);
        }
        if (rc == LSM_OK && hint != 0 && !never) rc = try_hint(cursor, topic, key, hint, &at);
        if (rc == LSM_OK && at.page.data == NULL && !last_is_cheap) rc = index_top(view, &top);
        if (rc == LSM_OK && at.page.data == NULL && top != 0) {
            rc = try_old_root(cursor, topic, key, top, path, &at);
            if (rc == LSM_OK && at.page.data) rc = settle(cursor, topic, key, &at);
        }
        if (rc != LSM_OK) goto done;
        if (at.page.data == NULL) rc = walk_from_first(cursor, topic, key, &at);
        if (rc != LSM_OK) goto done;
    }
    if (at.page.data) {
        path_add(path, at.page.page_no);
        segment_cursor_place(cursor, &at);
        *found = true;
    }
done:
    segment_page_put(view, &at);
    return rc;
}

int segment_search_page(struct segment_cursor *cursor, enum topic topic, struct slice key,
                        uint32_t *count, bool *equal) {
    return segment_search_cells(cursor, topic, key, 0, cursor->footer.cell_count, count, equal);
}

/* ----------------------------------------------------------------------------- public half -- */

int segment_seek_le(struct segment_cursor *cursor, enum topic topic, struct slice key,
                    uint64_t hint) {
    uint32_t count = 0;
    bool equal = false;
    bool found = false;
    int rc = segment_find_page(cursor, topic, key, hint, NULL, &found);

    if (rc != LSM_OK || !found) goto done;
    rc = segment_search_page(cursor, topic, key, &count, &equal);
    if (rc != LSM_OK) goto done;
    rc = count > 0 ? segment_cursor_load(cursor, count - 1) : segment_cursor_prev_page(cursor);
done:
    return segment_seek_done(cursor, rc);
}

int segment_seek_ge(struct segment_cursor *cursor, enum topic topic, struct slice key,
                    uint64_t hint) {
    uint32_t count = 0;
    bool equal = false;
    bool found = false;
    int rc = segment_find_page(cursor, topic, key, hint, NULL, &found);

    if (rc != LSM_OK || !found) goto done;
    rc = segment_search_page(cursor, topic, key, &count, &equal);
    if (rc == LSM_OK) rc = segment_cursor_load_above(cursor, count, equal);
done:
    return segment_seek_done(cursor, rc);
}

int segment_never_indexed(const struct segment_view *view, lsm_env *env, bool *out) {
    uint64_t budget = pager_segment_pages_max(view->pager, view->segment);
    struct segment_page at = {0};
    uint64_t top = 0;
    bool found = false;
    int rc = LSM_OK;

    (void)env;
    if (segment_is_empty(view->segment) || view->segment->root != 0) {
        *out = segment_is_empty(view->segment);
        goto done;
    }
    if (!pager_is_compressed(view->pager)) {
        rc = index_top(view, &top);
        if (rc == LSM_OK) *out = top == 0;
        goto done;
    }
    /* The first page never has skip flags: a second page on which a record starts was indexed. */
    rc = segment_page_first_start(view, &at, &found);
    if (rc == LSM_OK && found) rc = segment_page_next_start(view, &at, &budget, &found);
    if (rc == LSM_OK) *out = !found;
done:
    segment_page_put(view, &at);
    return rc;
}

int segment_search_path(const struct segment_view *view, lsm_env *env, enum topic topic,
                        struct slice key, uint64_t *pages, uint32_t capacity, uint32_t *count) {
    struct segment_path path = {pages, capacity, 0, false};
    struct segment_cursor cursor;
    bool found = false;
    int rc;

    segment_cursor_init(&cursor, env, view);
    rc = segment_find_page(&cursor, topic, key, 0, &path, &found);
    if (rc == LSM_OK && path.overflow) {
        rc = error_note(view->error, LSM_FULL, "the path through an index is longer than expected");
    }
    if (rc == LSM_OK) *count = path.count;
    segment_cursor_release(&cursor);
    return rc;
}
