/*
** memtree_cursor.c — walk over one version of a tree in order of keys.
**
** INVARIANTS  (C1) entry == 0: on no entry, depth 0. Else nodes[0..depth-1] is the path from the root;
**                  cells[i] is the child taken, and for the last node the entry stood on.
**             (C2) Every node on the path has been checked; entries are checked when stood on.
** OWNERSHIP   `key` and values point into the region; those that cross chunks into key_copy, value_copy,
**             which belong to the cursor and are overwritten by the next such key or value.
** ERRORS      LSM_CORRUPT, LSM_NOMEM: the cursor is on no entry afterwards.
** COST        A step: constant on average. No allocation but for what crosses chunks.
*/
#include "memtree/memtree_internal.h"

void memtree_cursor_init(struct memtree_cursor *cursor, lsm_env *env, struct error_context *error) {
    *cursor = (struct memtree_cursor){.env = env, .error = error};
    buffer_init(&cursor->key_copy, env);
    buffer_init(&cursor->value_copy, env);
}

void memtree_cursor_release(struct memtree_cursor *cursor) {
    buffer_release(&cursor->key_copy);
    buffer_release(&cursor->value_copy);
    cursor->depth = 0;
    cursor->entry = 0;
}

static void cursor_leave(struct memtree_cursor *cursor) {
    cursor->depth = 0;
    cursor->entry = 0;
    cursor->flags = 0;
    cursor->key = (struct slice){NULL, 0};
}

void memtree_cursor_open(struct memtree_cursor *cursor, const struct memtree *tree) {
    cursor->tree = *tree;
    cursor_leave(cursor);
}

static int cursor_damaged(struct memtree_cursor *cursor, uint32_t offset, const char *reason) {
    cursor_leave(cursor);
    return error_corrupt(cursor->error, offset, reason);
}

/* The entries of the last node on the path (C2). */
static const uint32_t *cursor_entries(const struct memtree_cursor *cursor) {
    return node_entries(&cursor->tree, cursor->nodes[cursor->depth - 1],
                        cursor->depth == cursor->tree.root.height);
}

/* Stand on entry cells[] of the last node. */
static int cursor_stand(struct memtree_cursor *cursor) {
    uint32_t offset = cursor_entries(cursor)[cursor->cells[cursor->depth - 1]];
    struct entry entry;
    int rc;

    if (!entry_read(&cursor->tree, offset, &entry)) {
        return cursor_damaged(cursor, offset, "memtree: impossible entry");
    }
    rc = stream_slice(&entry.body, entry.key_size, &cursor->key_copy, cursor->error, &cursor->key);
    if (rc != LSM_OK) {
        cursor_leave(cursor);
        return rc;
    }
    cursor->entry = offset;
    cursor->flags = entry.flags;
    return LSM_OK;
}

/* Add `node` to the path, to go to its first (forward) or last entry. */
static int cursor_push(struct memtree_cursor *cursor, uint32_t node, bool forward) {
    uint32_t height = cursor->tree.root.height;
    const uint32_t *entries = node_entries(&cursor->tree, node, cursor->depth + 1 == height);
    uint32_t cell;

    if (entries == NULL) return cursor_damaged(cursor, node, "memtree: impossible node");
    cell = forward ? entries_first(entries) : entries_last(entries);
    if (!forward && cursor->depth + 1 < height) cell++; /* the last child is behind the last entry */
    cursor->nodes[cursor->depth] = node;
    cursor->cells[cursor->depth] = (uint8_t)cell;
    cursor->depth++;
    return LSM_OK;
}

/* From the last node on the path, whose cell names a child, down to the edge of that child's tree. */
static int cursor_descend(struct memtree_cursor *cursor, bool forward) {
    int rc = LSM_OK;

    while (rc == LSM_OK && cursor->depth < cursor->tree.root.height) {
        uint32_t level = cursor->depth - 1;
        const struct tree_node *node = region_at(&cursor->tree, cursor->nodes[level], NODE_SIZE);
        rc = cursor_push(cursor,
                         node_child(node, cursor->cells[level], cursor->tree.root.txn_id), forward);
    }
    return rc == LSM_OK ? cursor_stand(cursor) : rc;
}

/* The last node has nothing in this direction: go up to the next ancestor that has. */
static int cursor_ascend(struct memtree_cursor *cursor, bool forward) {
    while (--cursor->depth > 0) {
        const uint32_t *entries = cursor_entries(cursor);
        uint32_t child = cursor->cells[cursor->depth - 1];
        if (forward && child < 3 && entries[child] != 0) return cursor_stand(cursor);
        if (!forward && child > 0 && entries[child - 1] != 0) {
            cursor->cells[cursor->depth - 1]--;
            return cursor_stand(cursor);
        }
    }
    cursor_leave(cursor);
    return LSM_OK;
}

static int cursor_edge(struct memtree_cursor *cursor, bool forward) {
    uint32_t root = cursor->tree.root.root;
    int rc;

    cursor_leave(cursor);
    if (memtree_is_empty(&cursor->tree)) return LSM_OK;
    if (!memtree_height_valid(&cursor->tree)) {
        return cursor_damaged(cursor, root, "memtree: impossible height");
    }
    rc = cursor_push(cursor, root, forward);
    return rc == LSM_OK ? cursor_descend(cursor, forward) : rc;
}

int memtree_first(struct memtree_cursor *cursor) {
    return cursor_edge(cursor, true);
}

int memtree_last(struct memtree_cursor *cursor) {
    return cursor_edge(cursor, false);
}

static int cursor_seek(struct memtree_cursor *cursor, struct slice key, bool forward) {
    const uint32_t *entries;
    uint32_t depth = 0;
    uint32_t cell;
    bool hit = false;
    int rc;

    cursor_leave(cursor);
    if (memtree_is_empty(&cursor->tree)) return LSM_OK;
    rc = memtree_search(&cursor->tree, key, cursor->error, cursor->nodes, cursor->cells, &depth,
                        &hit);
    if (rc != LSM_OK) return rc;
    cursor->depth = depth;
    if (hit) return cursor_stand(cursor);

    /* In a leaf, before entry `cell`. */
    entries = cursor_entries(cursor);
    cell = cursor->cells[depth - 1];
    if (forward) {
        if (cell < 3 && entries[cell] != 0) return cursor_stand(cursor);
    } else if (cell > 0 && entries[cell - 1] != 0) {
        cursor->cells[depth - 1]--;
        return cursor_stand(cursor);
    }
    return cursor_ascend(cursor, forward);
}

int memtree_seek_ge(struct memtree_cursor *cursor, struct slice key) {
    return cursor_seek(cursor, key, true);
}

int memtree_seek_le(struct memtree_cursor *cursor, struct slice key) {
    return cursor_seek(cursor, key, false);
}

int memtree_next(struct memtree_cursor *cursor) {
    const uint32_t *entries;
    uint8_t *cell;

    assert(memtree_cursor_valid(cursor));
    entries = cursor_entries(cursor);
    cell = &cursor->cells[cursor->depth - 1];
    ++*cell;
    if (cursor->depth < cursor->tree.root.height) return cursor_descend(cursor, true);
    if (*cell < 3 && entries[*cell] != 0) return cursor_stand(cursor);
    return cursor_ascend(cursor, true);
}

int memtree_prev(struct memtree_cursor *cursor) {
    const uint32_t *entries;
    uint8_t *cell;

    assert(memtree_cursor_valid(cursor));
    entries = cursor_entries(cursor);
    cell = &cursor->cells[cursor->depth - 1];
    if (cursor->depth < cursor->tree.root.height) return cursor_descend(cursor, false);
    if (*cell > 0 && entries[*cell - 1] != 0) {
        --*cell;
        return cursor_stand(cursor);
    }
    return cursor_ascend(cursor, false);
}

int memtree_value(struct memtree_cursor *cursor, struct slice *value) {
    struct entry entry;

    assert(memtree_cursor_valid(cursor) && (cursor->flags & RECORD_INSERT) != 0);
    if (!entry_read(&cursor->tree, cursor->entry, &entry) ||
        !stream_skip(&entry.body, entry.key_size)) {
        return error_corrupt(cursor->error, cursor->entry, "memtree: impossible entry");
    }
    return stream_slice(&entry.body, entry.value_size, &cursor->value_copy, cursor->error, value);
}
