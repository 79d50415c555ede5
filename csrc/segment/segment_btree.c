/*
** segment_btree.c — the keys of a segment's index in order, with the page each leads to.
**
** A key stands exactly once in the index, at some level. In order:
**
**                    [ m ]                      keys      c, f, m, s
**                   /     \                     lowest    (1, cell 0) (1, cell 1) (2, cell -1) (2, cell 0)
**           1 [ c  f ]     2 [ s ]
**            /   |  \       /   \
**          a-   c-   f-    m-    s-             pointer   page that begins with the key
**
** A position is the path to a page of the lowest level and a cell there, -1 standing for "before cell 0": then
** the key is the one in the nearest ancestor to the left. Merges save it as that page, and
** (cell + 1) * 256 + depth.
**
** INVARIANTS  (I1) depth > 0: pages[0..depth-1] are index pages, each but the first the child of the one above
**                  that cells[] names (on all levels but the lowest; cell_count = right child).
**             (I2) valid: key, topic and pointer belong to the position.
**             (I3) A walk reads no more index pages than the segment can have: a page that is its own
**                  descendant, or has two parents, does not keep it busy for ever.
** OWNERSHIP   The cursor holds the pages of the path. `key` points into one of them, or into key_copy.
** ERRORS      LSM_CORRUPT: a page of the path is no index page, the depth differs, no child.
*/
#include "segment/segment_internal.h"

void index_cursor_init(struct index_cursor *cursor, lsm_env *env, const struct segment_view *view) {
    *cursor = (struct index_cursor){0};
    buffer_init(&cursor->key_copy, env);
    if (view) cursor->view = *view;
}

/* Give back the pages of the levels from `level` on. */
static void path_cut(struct index_cursor *cursor, uint32_t level) {
    while (cursor->depth > level) {
        cursor->depth--;
        pager_put(cursor->view.pager, &cursor->pages[cursor->depth]);
    }
}

static void exhaust(struct index_cursor *cursor) {
    path_cut(cursor, 0);
    cursor->valid = false;
}

void index_cursor_release(struct index_cursor *cursor) {
    exhaust(cursor);
    buffer_release(&cursor->key_copy);
}

/* Start a walk: no path, all pages still to come. */
static void begin(struct index_cursor *cursor) {
    exhaust(cursor);
    /* One path more than there are pages: a walk may begin in the middle and then see some again. */
    cursor->budget = pager_segment_pages_max(cursor->view.pager, cursor->view.segment);
    cursor->budget += INDEX_DEPTH_MAX;
}

/* Add a page below the path, if it is an index page. */
static int push(struct index_cursor *cursor, uint64_t page_no, bool *is_index) {
    struct segment_page at = {0};
    int rc;

    if (cursor->budget == 0) {
        return error_corrupt(cursor->view.error, page_no, "an index leads back into itself");
    }
    cursor->budget--;
    rc = segment_page_get(&cursor->view, page_no, &at);
    if (rc != LSM_OK) return rc;
    *is_index = page_is_index(&at.footer);
    if (*is_index && cursor->depth == INDEX_DEPTH_MAX) {
        rc = error_corrupt(cursor->view.error, page_no, "an index is too deep");
    } else if (*is_index) {
        cursor->pages[cursor->depth] = at.page;
        cursor->footers[cursor->depth] = at.footer;
        cursor->cells[cursor->depth] = 0;
        cursor->depth++;
        return LSM_OK;
    }
    segment_page_put(&cursor->view, &at);
    return rc;
}

/* Child of the page at `level` behind `cell`. */
static int child_of(const struct index_cursor *cursor, uint32_t level, uint32_t cell,
                    uint64_t *child) {
    return segment_child(&cursor->view, &cursor->pages[level], &cursor->footers[level], cell, child);
}

/* Read key and pointer at the position; not valid if it is before the first key of all. */
static int load(struct index_cursor *cursor) {
    uint32_t lowest = cursor->depth - 1;
    uint32_t level = lowest;
    uint32_t right_of = (uint32_t)(cursor->cells[lowest] + 1); /* child right of the key */
    int32_t cell = cursor->cells[lowest];
    struct index_cell decoded;
    int rc;

    cursor->valid = false;
    while (cell < 0 && level > 0) cell = cursor->cells[--level] - 1;
    if (cell < 0) return LSM_OK;
    rc = segment_index_cell(&cursor->view, &cursor->pages[level], &cursor->footers[level],
                            (uint32_t)cell, &decoded);
    if (rc != LSM_OK) return rc;
    rc = child_of(cursor, lowest, right_of, &cursor->pointer);
    if (rc != LSM_OK) return rc;
    if (decoded.indirect) {
        rc = segment_first_key(&cursor->view, decoded.key_page, &cursor->key_copy, &cursor->topic);
        if (rc != LSM_OK) return rc;
        cursor->key = buffer_slice(&cursor->key_copy);
    } else {
        cursor->topic = decoded.topic;
        cursor->key = decoded.key;
    }
    cursor->valid = true;
    return LSM_OK;
}

/* Move to the next position that has a key. */
static int step(struct index_cursor *cursor) {
    uint32_t depth = cursor->depth;
    uint32_t level = depth - 1;
    uint64_t child = 0;
    bool is_index = true;
    int rc;

    cursor->valid = false;
    if (cursor->cells[level] + 1 < (int32_t)cursor->footers[level].cell_count) {
        cursor->cells[level]++;
        return load(cursor);
    }
    do { /* up to a page with something to the right */
        if (level == 0) {
            exhaust(cursor);
            return LSM_OK;
        }
        level--;
    } while (cursor->cells[level] >= (int32_t)cursor->footers[level].cell_count);
    cursor->cells[level]++;
    path_cut(cursor, level + 1);
    while (cursor->depth < depth) { /* down along the left edge */
        rc = child_of(cursor, cursor->depth - 1, (uint32_t)cursor->cells[cursor->depth - 1], &child);
        if (rc == LSM_OK) rc = push(cursor, child, &is_index);
        if (rc != LSM_OK) return rc;
        if (!is_index) {
            return error_corrupt(cursor->view.error, child, "the leaves of an index differ in depth");
        }
    }
    cursor->cells[depth - 1] = -1;
    return load(cursor);
}

static int exhaust_on_error(struct index_cursor *cursor, int rc) {
    if (rc != LSM_OK) exhaust(cursor);
    return rc;
}

int index_cursor_first(struct index_cursor *cursor) {
    uint64_t page_no = cursor->view.segment->root;
    bool is_index = true;
    int rc;

    begin(cursor);
    if (page_no == 0) return LSM_OK;
    for (;;) {
        rc = push(cursor, page_no, &is_index);
        if (rc != LSM_OK) goto done;
        if (!is_index) break;
        rc = child_of(cursor, cursor->depth - 1, 0, &page_no);
        if (rc != LSM_OK) goto done;
    }
    if (cursor->depth == 0) {
        rc = error_corrupt(cursor->view.error, page_no, "the root of an index is no index page");
        goto done;
    }
    cursor->cells[cursor->depth - 1] = -1;
    rc = step(cursor);
done:
    return exhaust_on_error(cursor, rc);
}

int index_cursor_next(struct index_cursor *cursor) {
    if (cursor->depth == 0) return LSM_OK;
    return exhaust_on_error(cursor, step(cursor));
}

/* ------------------------------------------------------------------------- saved positions -- */

int index_cursor_seek(struct index_cursor *cursor, enum topic topic, struct slice key,
                      uint8_t *front, uint64_t *leaf) {
    const struct segment_view *view = &cursor->view;
    uint64_t page_no = view->segment->root;
    bool is_index = true;
    int rc;

    begin(cursor);
    for (;;) {
        uint32_t level = cursor->depth;
        uint32_t cell = 0;
        rc = push(cursor, page_no, &is_index);
        if (rc != LSM_OK) goto done;
        if (!is_index) break;
        rc = segment_choose_child(view, &cursor->pages[level], &cursor->footers[level], topic, key,
                                  &cursor->key_copy, front, NULL, &cell);
        if (rc != LSM_OK) goto done;
        cursor->cells[level] = (int32_t)cell;
        rc = child_of(cursor, level, cell, &page_no);
        if (rc != LSM_OK) goto done;
    }
    if (cursor->depth == 0) {
        rc = error_corrupt(view->error, page_no, "the root of an index is no index page");
        goto done;
    }
    cursor->cells[cursor->depth - 1]--;
    rc = load(cursor);
    if (rc == LSM_OK) *leaf = page_no;
done:
    return exhaust_on_error(cursor, rc);
}

void index_cursor_save(const struct index_cursor *cursor, struct merge_input *out) {
    *out = (struct merge_input){0};
    if (cursor->depth == 0) return;
    out->page = cursor->pages[cursor->depth - 1].page_no;
    out->cell = (uint32_t)(cursor->cells[cursor->depth - 1] + 1) * 256 + cursor->depth;
}

/* Put the path to the page on the right edge at `depth`: the way to a page without cells. */
static int right_edge(struct index_cursor *cursor, uint32_t depth) {
    uint64_t page_no = cursor->view.segment->root;
    bool is_index = true;
    int rc = LSM_OK;

    begin(cursor);
    while (rc == LSM_OK && is_index && cursor->depth < depth) {
        uint32_t level = cursor->depth;
        rc = push(cursor, page_no, &is_index);
        if (rc != LSM_OK || !is_index) break;
        cursor->cells[level] = (int32_t)cursor->footers[level].cell_count;
        rc = child_of(cursor, level, cursor->footers[level].cell_count, &page_no);
    }
    return rc;
}

int index_cursor_restore(struct index_cursor *cursor, const struct merge_input *saved) {
    const struct segment_view *view = &cursor->view;
    uint64_t page_no = pager_redirect(view->pager, view->redirects, saved->page);
    uint32_t depth = saved->cell & 0xff;
    int64_t cell = (int64_t)(saved->cell >> 8) - 1;
    uint8_t front = FRONT_UNKNOWN;
    struct segment_page at = {0};
    enum topic topic = TOPIC_USER;
    struct buffer key;
    uint64_t leaf = 0;
    int rc = LSM_OK;

    buffer_init(&key, cursor->key_copy.env);
    exhaust(cursor);
    if (saved->page == 0) goto done;
    if (view->segment->root == 0 || depth < 1 || depth > INDEX_DEPTH_MAX) {
        rc = error_corrupt(view->error, page_no, "a saved position names no index");
        goto done;
    }
    rc = segment_page_get_saved(view, page_no, &at);
    if (rc != LSM_OK) goto done;
    if (!page_is_index(&at.footer) || cell >= (int64_t)at.footer.cell_count) {
        rc = error_corrupt(view->error, page_no, "a saved position is no index cell");
        goto done;
    }
    /* Pages do not know their parents: a key of the page leads back to it from the root. */
    if (at.footer.cell_count == 0) {
        rc = right_edge(cursor, depth);
    } else {
        rc = segment_key_at(view, page_no, cell < 0 ? 0 : (uint32_t)cell, &key, &topic);
        if (rc != LSM_OK) goto done;
        rc = index_cursor_seek(cursor, topic, buffer_slice(&key), &front, &leaf);
    }
    if (rc != LSM_OK) goto done;
    if (cursor->depth != depth || cursor->pages[depth - 1].page_no != page_no) {
        rc = error_corrupt(view->error, page_no, "a saved position is not on the lowest level");
        goto done;
    }
    cursor->cells[depth - 1] = (int32_t)cell;
    rc = load(cursor);
done:
    segment_page_put(view, &at);
    buffer_release(&key);
    return exhaust_on_error(cursor, rc);
}
