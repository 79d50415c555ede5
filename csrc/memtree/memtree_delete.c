/*
** memtree_delete.c — delete a range: take its entries out of the tree, then mark its two ends.
**
** Keys strictly between the bounds go; the bounds stay. Ranges that overlap or touch become one, since the
** marks between the bounds are taken out as well and the new ones follow the rules of memtree_insert.c:
**
**     deleted  (B .. F)            B+ F-
**     then     (D .. M)            B+ M-        + start, - end of a deleted range
**
** A node that loses its only entry takes one from a full sibling, or is united with the sibling and the
** separator; then the parent loses the separator, and so on upward:
**
**         [ D ]                  [ ]                 The root without entries gives way to its only child,
**        /     \      - F         |         ->       [ A  D ]
**     [ A ]   [ F ]            [ A  D ]
**
** INVARIANTS  (N1) to (N3) of memtree_internal.h.
**             (D1) An entry ends a range exactly if the entry before it starts one.
** LOCKING     Holder of LOCK_WRITER.
** ERRORS      As memtree_insert.c, but after a failure a part of the range may be removed already: the caller
**             goes back to a mark.
*/
#include "memtree/memtree_internal.h"

static void parts_remove_entry(struct node_parts *parts, uint32_t at) {
    for (uint32_t i = at; i + 1 < parts->count; i++) parts->entries[i] = parts->entries[i + 1];
    parts->count--;
}

static void parts_remove_child(struct node_parts *parts, uint32_t at, uint32_t child_count) {
    for (uint32_t i = at; i + 1 < child_count; i++) parts->children[i] = parts->children[i + 1];
}

/* Store parts in `node` if it may be edited, else in a fresh one; returns where. */
static uint32_t parts_store(struct memtree_writer *writer, uint32_t node, bool leaf,
                            const struct node_parts *parts) {
    if (!node_is_private(writer, node)) node = space_take_node(writer, leaf ? LEAF_SIZE : NODE_SIZE);
    node_scatter(writer, node, leaf, parts);
    return node;
}

/* A node without entries and its surroundings. */
struct underflow {
    struct path *path;
    uint32_t level;      /* of the node */
    bool leaf;
    uint32_t rest;       /* its only child, 0 for a leaf */
    bool sibling_left;   /* which side the sibling is on */
    uint32_t separator;  /* index in `parent` of the entry between the two; children separator, +1 */
    uint32_t sibling_node;
    struct node_parts parent;
    struct node_parts sibling;
};

/* The root has lost its only entry. */
static void root_shrink(struct memtree_writer *writer, uint32_t rest) {
    writer->header.live.root = rest;
    writer->header.live.height = rest != 0 ? writer->header.live.height - 1 : 0;
}

static int underflow_look(struct memtree_writer *writer, struct underflow *under) {
    struct memtree view = writer_view(writer);
    uint32_t parent_node = under->path->nodes[under->level - 1];
    uint32_t at;

    node_gather(writer, parent_node, false, &under->parent);
    at = under->path->cells[under->level - 1] - under->parent.first;
    under->sibling_left = at > 0;
    under->separator = at > 0 ? at - 1 : 0;
    under->sibling_node = under->parent.children[at > 0 ? at - 1 : 1];
    if (node_entries(&view, under->sibling_node, under->leaf) == NULL) {
        return error_corrupt(writer->error, under->sibling_node, "memtree: impossible node");
    }
    node_gather(writer, under->sibling_node, under->leaf, &under->sibling);
    return LSM_OK;
}

/* The sibling is full: its nearest entry becomes the separator, the separator comes to the node. */
static void underflow_borrow(struct memtree_writer *writer, struct underflow *under) {
    struct node_parts *sibling = &under->sibling;
    struct node_parts *parent = &under->parent;
    struct node_parts node = {.count = 1};
    uint32_t left, right;

    path_own(writer, under->path, under->level - 1);
    node.entries[0] = parent->entries[under->separator];
    if (under->sibling_left) {
        node.children[0] = sibling->children[sibling->count];
        node.children[1] = under->rest;
        parent->entries[under->separator] = sibling->entries[sibling->count - 1];
        parts_remove_entry(sibling, sibling->count - 1);
    } else {
        node.children[0] = under->rest;
        node.children[1] = sibling->children[0];
        parent->entries[under->separator] = sibling->entries[0];
        parts_remove_child(sibling, 0, sibling->count + 1);
        parts_remove_entry(sibling, 0);
    }
    left = under->path->nodes[under->level];
    right = parts_store(writer, under->sibling_node, under->leaf, sibling);
    left = parts_store(writer, left, under->leaf, &node);
    parent->children[under->separator] = under->sibling_left ? right : left;
    parent->children[under->separator + 1] = under->sibling_left ? left : right;
    node_scatter(writer, under->path->nodes[under->level - 1], false, parent);
}

/* Sibling, separator and the rest become one node; returns it. The parent parts lose the separator. */
static uint32_t underflow_unite(struct memtree_writer *writer, struct underflow *under) {
    struct node_parts *sibling = &under->sibling;
    struct node_parts *parent = &under->parent;
    struct node_parts united = *sibling;
    uint32_t separator = parent->entries[under->separator];
    uint32_t target;

    if (under->sibling_left) {
        united.entries[united.count] = separator;
        united.children[united.count + 1] = under->rest;
    } else {
        united.entries[0] = separator;
        united.children[0] = under->rest;
        memcpy(&united.entries[1], sibling->entries, sibling->count * sizeof(uint32_t));
        memcpy(&united.children[1], sibling->children, (sibling->count + 1) * sizeof(uint32_t));
    }
    united.count = sibling->count + 1;
    if (under->leaf && under->level == 1 && parent->count == 1) {
        /* It will be the root: 40 fresh bytes, since others read that many of a root. */
        target = space_take_node(writer, NODE_SIZE);
        node_scatter(writer, target, true, &united);
    } else {
        target = parts_store(writer, under->sibling_node, under->leaf, &united);
    }
    parts_remove_child(parent, under->separator + 1, parent->count + 1);
    parts_remove_entry(parent, under->separator);
    parent->children[under->separator] = target;
    return target;
}

/* Remove the entry at the end of `path`, which is in a leaf. Space is reserved. */
static int path_remove(struct memtree_writer *writer, struct path *path) {
    struct underflow under = {.path = path, .level = path->depth - 1, .leaf = true};
    struct node_parts parts;

    node_gather(writer, path->nodes[under.level], true, &parts);
    parts_remove_entry(&parts, path->cells[under.level] - parts.first);
    if (parts.count > 0) {
        path_own(writer, path, under.level);
        node_scatter(writer, path->nodes[under.level], true, &parts);
        return LSM_OK;
    }
    while (under.level > 0) {
        int rc = underflow_look(writer, &under);
        if (rc != LSM_OK) return rc;
        if (under.sibling.count == 3) {
            underflow_borrow(writer, &under);
            return LSM_OK;
        }
        under.rest = underflow_unite(writer, &under);
        under.level--;
        under.leaf = false;
        if (under.parent.count > 0) {
            path_own(writer, path, under.level);
            node_scatter(writer, path->nodes[under.level], false, &under.parent);
            return LSM_OK;
        }
    }
    root_shrink(writer, under.rest);
    return LSM_OK;
}

/* Remove the entry that `path` leads to. */
static int path_remove_anywhere(struct memtree_writer *writer, struct path *path) {
    uint32_t height = writer->header.live.height;
    uint32_t level = path->depth - 1;
    uint32_t *entries;
    uint32_t successor;
    struct memtree view;
    int rc;

    rc = space_reserve(writer, path_space(writer));
    if (rc != LSM_OK) return rc;
    view = writer_view(writer);
    if (path->depth == height) return path_remove(writer, path);

    /* In an interior node: its successor, the first entry of a leaf, takes its place and is removed there. */
    path->cells[level]++;
    while (path->depth < height) {
        const struct tree_node *node = region_at(&view, path->nodes[path->depth - 1], NODE_SIZE);
        uint32_t child = node_child(node, path->cells[path->depth - 1], view.root.txn_id);
        const uint32_t *below = node_entries(&view, child, path->depth + 1 == height);
        if (below == NULL) return error_corrupt(writer->error, child, "memtree: impossible node");
        path->nodes[path->depth] = child;
        path->cells[path->depth] = (uint8_t)entries_first(below);
        path->depth++;
    }
    successor = node_entries(&view, path->nodes[height - 1], true)[path->cells[height - 1]];
    path_own(writer, path, level);
    view = writer_view(writer);
    entries = region_at(&view, path->nodes[level], LEAF_SIZE);
    entries[path->cells[level] - 1] = successor;
    return path_remove(writer, path);
}

/* Where the first entry strictly between the keys is. *found = false: there is none. */
static int path_find_between(struct memtree_writer *writer, struct slice key1, struct slice key2,
                             struct path *path, bool *found) {
    struct memtree_cursor *cursor = &writer->cursor;
    struct memtree view = writer_view(writer);
    int rc;

    *found = false;
    memtree_cursor_open(cursor, &view);
    rc = memtree_seek_ge(cursor, key1);
    if (rc == LSM_OK && memtree_cursor_valid(cursor) && key_compare(cursor->key, key1) == 0) {
        rc = memtree_next(cursor);
    }
    if (rc != LSM_OK || !memtree_cursor_valid(cursor)) return rc;
    if (key_compare(cursor->key, key2) >= 0) return LSM_OK;
    path->depth = cursor->depth;
    memcpy(path->nodes, cursor->nodes, cursor->depth * sizeof path->nodes[0]);
    memcpy(path->cells, cursor->cells, cursor->depth * sizeof path->cells[0]);
    *found = true;
    return LSM_OK;
}

int memtree_delete_range(struct memtree_writer *writer, struct slice key1, struct slice key2) {
    struct slice no_value = {NULL, 0};
    int rc;

    assert(key_compare(key1, key2) < 0);
    if (writer->header.live.txn_id >= TXN_ID_LIMIT) {
        return error_note(writer->error, LSM_FULL, "memtree: transaction ids are used up");
    }
    for (;;) {
        struct path path;
        bool found = false;
        rc = path_find_between(writer, key1, key2, &path, &found);
        if (rc != LSM_OK) return rc;
        if (!found) break;
        rc = path_remove_anywhere(writer, &path);
        if (rc != LSM_OK) return rc;
    }
    rc = memtree_put_entry(writer, RECORD_START_DELETE, key1, no_value);
    if (rc != LSM_OK) return rc;
    return memtree_put_entry(writer, RECORD_END_DELETE, key2, no_value);
}
