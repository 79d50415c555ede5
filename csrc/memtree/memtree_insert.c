/*
** memtree_insert.c — put one entry into the tree.
**
** A key in a full leaf splits it; the middle entry moves up, and full nodes above split alike. M put into
** a tree of two levels with the leaf [F K P] full:
**
**             (.. C  T ..)                      (.. C  K  T ..)
**                  |                                 |  |
**             [F  K  P]                            [F] [M P]
**
** Of four entries the second or third moves up: the one that was the middle before, except that a new
** greatest (smallest) key leaves the two others together, so that ascending and descending input fills
** nodes.
**
** INVARIANTS  (N1) to (N3) of memtree_internal.h.
**             (I1) All that can fail is done before the first node is changed: after a failed put the tree
**                  is the one before.
** LOCKING     Holder of LOCK_WRITER.
** ERRORS      LSM_FULL when the region is full, or when the transaction ids of this tree are used up: freeze
**             it then. LSM_NOMEM, LSM_CORRUPT. Space may be wasted, the tree is unchanged.
** COST        One descent. The first change of a leaf since the innermost mark makes a private copy of it;
**             later ones are made in place.
*/
#include "memtree/memtree_internal.h"

/* --------------------------------------------------------------------------------- node parts -- */

bool node_is_private(const struct memtree_writer *writer, uint32_t node) {
    const struct memtree_mark *mark = &writer->innermost;
    struct memtree view = writer_view(writer);
    uint32_t chunk = node >> SHM_CHUNK_SHIFT;

    /* Space is taken upward through chunks of rising ids, so the place tells the age. */
    if (chunk == (mark->write_offset - 1) >> SHM_CHUNK_SHIFT) return node >= mark->write_offset;
    return chunk_id_at_or_after(chunk_head_at(&view, chunk)->id, mark->next_id);
}

void node_gather(const struct memtree_writer *writer, uint32_t node, bool leaf,
                 struct node_parts *parts) {
    struct memtree view = writer_view(writer);
    const uint32_t *entries = node_entries(&view, node, leaf);
    uint32_t last;

    assert(entries != NULL); /* the caller has looked at it before */
    parts->first = entries_first(entries);
    last = entries_last(entries);
    parts->count = last - parts->first + 1;
    for (uint32_t i = 0; i < parts->count; i++) parts->entries[i] = entries[parts->first + i];
    if (leaf) return;
    for (uint32_t i = 0; i <= parts->count; i++) {
        parts->children[i] = node_child((const struct tree_node *)(const void *)entries,
                                        parts->first + i, view.root.txn_id);
    }
}

void node_scatter(const struct memtree_writer *writer, uint32_t node, bool leaf,
                  const struct node_parts *parts) {
    struct memtree view = writer_view(writer);
    uint32_t first = parts->count == 1 ? 1 : 0;

    assert(parts->count >= 1 && parts->count <= 3);
    if (leaf) {
        struct tree_leaf content = {{0}};
        for (uint32_t i = 0; i < parts->count; i++) content.entries[first + i] = parts->entries[i];
        *(struct tree_leaf *)region_at(&view, node, LEAF_SIZE) = content;
    } else {
        struct tree_node content = {0};
        for (uint32_t i = 0; i < parts->count; i++) content.entries[first + i] = parts->entries[i];
        for (uint32_t i = 0; i <= parts->count; i++) {
            content.children[first + i] = parts->children[i];
        }
        *(struct tree_node *)region_at(&view, node, NODE_SIZE) = content;
    }
}

/* Put `node` where nodes[level] of the path is: a replacement of it. */
static void path_link(struct memtree_writer *writer, struct path *path, uint32_t level,
                      uint32_t node) {
    struct memtree view = writer_view(writer);
    struct tree_node *parent;
    uint8_t cell;

    path->nodes[level] = node;
    if (level == 0) {
        writer->header.live.root = node;
        return;
    }
    cell = path->cells[level - 1];
    parent = region_at(&view, path->nodes[level - 1], NODE_SIZE);
    if (parent->version_id == 0 && !node_is_private(writer, path->nodes[level - 1])) {
        /* Seen by others: the second version is for those who come after us (N1). */
        buffer_append(&writer->touched, &path->nodes[level - 1], sizeof(uint32_t));
        __atomic_store_n(&parent->version_index, cell, __ATOMIC_RELAXED);
        __atomic_store_n(&parent->version_child, node, __ATOMIC_RELAXED);
        __atomic_store_n(&parent->version_id, writer->header.live.txn_id, __ATOMIC_RELEASE);
        return;
    }
    path_own(writer, path, level - 1);
    view = writer_view(writer);
    parent = region_at(&view, path->nodes[level - 1], NODE_SIZE);
    parent->children[cell] = node;
}

void path_own(struct memtree_writer *writer, struct path *path, uint32_t level) {
    bool leaf = level + 1 == writer->header.live.height;
    uint32_t copy;
    struct memtree view;
    const uint32_t *source;
    uint32_t *target;

    if (node_is_private(writer, path->nodes[level])) return;
    /* A root leaf has 40 bytes, too: others read that many. */
    copy = space_take_node(writer, leaf && level > 0 ? LEAF_SIZE : NODE_SIZE);
    view = writer_view(writer);
    source = node_entries(&view, path->nodes[level], leaf);
    target = region_at(&view, copy, LEAF_SIZE);
    /* Entry by entry, not packed anew: the cells of the path stay true. */
    for (int i = 0; i < 3; i++) target[i] = source[i];
    if (!leaf) {
        const struct tree_node *from = (const struct tree_node *)(const void *)source;
        struct tree_node *to = (struct tree_node *)(void *)target;
        for (uint32_t i = 0; i < 4; i++) to->children[i] = node_child(from, i, view.root.txn_id);
    }
    path_link(writer, path, level, copy);
}

/* ------------------------------------------------------------------------------------ inserting -- */

/* What goes into a node: an entry, and the two nodes left and right of it (none for a leaf). */
struct insertion {
    uint32_t entry;
    uint32_t left;
    uint32_t right;
};

/* Add to the parts of a node, in place of child `at`. */
static void parts_insert(struct node_parts *parts, bool leaf, uint32_t at,
                         const struct insertion *insertion) {
    for (uint32_t i = parts->count; i > at; i--) parts->entries[i] = parts->entries[i - 1];
    parts->entries[at] = insertion->entry;
    if (!leaf) {
        for (uint32_t i = parts->count + 1; i > at + 1; i--) {
            parts->children[i] = parts->children[i - 1];
        }
        parts->children[at] = insertion->left;
        parts->children[at + 1] = insertion->right;
    }
    parts->count++;
}

/* Split four entries, the one at `at` being new; returns the index of the one that moves up. */
static uint32_t parts_split(const struct node_parts *parts, bool leaf, uint32_t at,
                            struct node_parts *left, struct node_parts *right) {
    uint32_t middle = at == 0 || at == 2 ? 1 : 2;

    left->count = middle;
    right->count = parts->count - middle - 1;
    memcpy(left->entries, parts->entries, left->count * sizeof(uint32_t));
    memcpy(right->entries, &parts->entries[middle + 1], right->count * sizeof(uint32_t));
    if (!leaf) {
        memcpy(left->children, parts->children, (left->count + 1) * sizeof(uint32_t));
        memcpy(right->children, &parts->children[middle + 1],
               (right->count + 1) * sizeof(uint32_t));
    }
    return middle;
}

static bool node_is_full(const struct memtree_writer *writer, const struct path *path,
                         uint32_t level) {
    struct memtree view = writer_view(writer);
    const uint32_t *entries =
        node_entries(&view, path->nodes[level], level + 1 == writer->header.live.height);
    return entries[0] != 0 && entries[2] != 0;
}

static void make_root(struct memtree_writer *writer, const struct insertion *insertion) {
    struct node_parts parts = {
        .count = 1,
        .entries = {insertion->entry},
        .children = {insertion->left, insertion->right},
    };
    uint32_t root = space_take_node(writer, NODE_SIZE);

    node_scatter(writer, root, insertion->left == 0, &parts);
    writer->header.live.root = root;
    writer->header.live.height++;
}

/* Add a new entry at the end of `path`, which is in a leaf. Space is reserved. */
static void path_insert(struct memtree_writer *writer, struct path *path, uint32_t entry) {
    struct insertion insertion = {.entry = entry};
    uint32_t levels_full = 0;

    /* 1. The lowest node with room takes an entry. Make it private first, so that nothing is linked twice. */
    while (levels_full < path->depth &&
           node_is_full(writer, path, path->depth - 1 - levels_full)) {
        levels_full++;
    }
    if (levels_full < path->depth) path_own(writer, path, path->depth - 1 - levels_full);

    /* 2. Split the full ones below it, from the leaf upward. */
    for (uint32_t level = path->depth; level-- > 0;) {
        bool leaf = level + 1 == path->depth;
        uint32_t size = leaf ? LEAF_SIZE : NODE_SIZE;
        struct node_parts parts, left, right;
        uint32_t at, middle;

        node_gather(writer, path->nodes[level], leaf, &parts);
        at = path->cells[level] - parts.first;
        parts_insert(&parts, leaf, at, &insertion);
        if (parts.count <= 3) {
            node_scatter(writer, path->nodes[level], leaf, &parts);
            return;
        }
        middle = parts_split(&parts, leaf, at, &left, &right);
        insertion.entry = parts.entries[middle];
        insertion.left = node_is_private(writer, path->nodes[level])
                             ? path->nodes[level]
                             : space_take_node(writer, size);
        insertion.right = space_take_node(writer, size);
        node_scatter(writer, insertion.left, leaf, &left);
        node_scatter(writer, insertion.right, leaf, &right);
    }

    /* 3. The root was full, too. */
    make_root(writer, &insertion);
}

/* The entry in question and its flags. offset 0 gives flags 0. */
static int entry_flags(struct memtree_writer *writer, const struct memtree *view, uint32_t offset,
                       struct entry *out) {
    *out = (struct entry){0};
    if (offset == 0) return LSM_OK;
    if (!entry_read(view, offset, out)) {
        return error_corrupt(writer->error, offset, "memtree: impossible entry");
    }
    return LSM_OK;
}

/* What remains to be written: `kind` with what it inherits; *done if the tree says so already. */
static int flags_merge(struct memtree_writer *writer, const struct memtree *view,
                       const struct path *path, uint8_t kind, const struct entry *hit, bool is_hit,
                       uint8_t *flags, bool *done) {
    struct entry neighbour;
    int rc;

    if (is_hit) {
        if (kind & ENTRY_RANGE_FLAGS) {
            *done = (hit->flags & kind) != 0;
            *flags = kind | hit->flags;
        } else {
            *flags = kind | (hit->flags & ENTRY_RANGE_FLAGS);
        }
        return LSM_OK;
    }
    rc = entry_flags(writer, view,
                     kind == RECORD_END_DELETE ? path_entry_above(view, path)
                                               : path_entry_below(view, path),
                     &neighbour);
    if (rc != LSM_OK) return rc;
    *flags = kind;
    if (kind & ENTRY_RANGE_FLAGS) {
        *done = (neighbour.flags & kind) != 0;
    } else if (neighbour.flags & RECORD_START_DELETE) {
        *flags |= ENTRY_RANGE_FLAGS; /* inside a deleted range: it is cut in two */
    }
    return LSM_OK;
}

int memtree_put_entry(struct memtree_writer *writer, uint8_t kind, struct slice key,
                      struct slice value) {
    struct memtree view = writer_view(writer);
    struct path path;
    struct entry hit = {0};
    bool is_hit = false;
    bool done = false;
    uint8_t flags = kind;
    uint32_t entry = 0;
    int rc = LSM_OK;

    if (writer->header.live.txn_id >= TXN_ID_LIMIT) {
        return error_note(writer->error, LSM_FULL, "memtree: transaction ids are used up");
    }

    /* 1. Find the place. */
    path.depth = 0;
    if (!memtree_is_empty(&view)) {
        rc = memtree_search(&view, key, writer->error, path.nodes, path.cells, &path.depth, &is_hit);
        if (rc != LSM_OK) return rc;
        if (is_hit) {
            const uint32_t *entries = node_entries(&view, path.nodes[path.depth - 1],
                                                   path.depth == view.root.height);
            rc = entry_flags(writer, &view, entries[path.cells[path.depth - 1]], &hit);
            if (rc != LSM_OK) return rc;
        }
        rc = flags_merge(writer, &view, &path, kind, &hit, is_hit, &flags, &done);
        if (rc != LSM_OK || done) return rc;
    } else if (view.root.height != 0) {
        return error_corrupt(writer->error, 0, "memtree: impossible height");
    }

    /* 2. Write the entry. A bound that hits a value carries it on. */
    if (kind == RECORD_INSERT) {
        rc = space_put_entry(writer, flags, key, &value, NULL, &entry);
    } else if ((kind & ENTRY_RANGE_FLAGS) && (hit.flags & RECORD_INSERT)) {
        rc = space_put_entry(writer, flags, key, NULL, &hit, &entry);
    } else {
        rc = space_put_entry(writer, flags, key, NULL, NULL, &entry);
    }
    if (rc != LSM_OK) return rc;

    /* 3. Put it into the tree (I1). */
    rc = space_reserve(writer, path_space(writer));
    if (rc != LSM_OK) return rc;
    if (path.depth == 0) {
        make_root(writer, &(struct insertion){.entry = entry});
    } else if (is_hit) {
        uint32_t level = path.depth - 1;
        uint32_t *entries;
        path_own(writer, &path, level);
        view = writer_view(writer);
        entries = region_at(&view, path.nodes[level], LEAF_SIZE);
        entries[path.cells[level]] = entry;
    } else {
        path_insert(writer, &path, entry);
    }
    return LSM_OK;
}

int memtree_put(struct memtree_writer *writer, struct slice key, struct slice value) {
    return memtree_put_entry(writer, RECORD_INSERT, key, value);
}

int memtree_delete(struct memtree_writer *writer, struct slice key) {
    return memtree_put_entry(writer, RECORD_POINT_DELETE, key, (struct slice){NULL, 0});
}
