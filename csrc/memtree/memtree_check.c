/*
** memtree_check.c — every invariant of the region and its trees; for tests and expensive builds.
**
** INVARIANTS  (K1) The chunk list holds 1..chunk_count-1 once each; ids rise by one up to next_id - 1; the
**                  last chunk is the one being filled.
**             (K2) used_id and old_id are ids of listed chunks. No tree uses a chunk before used_id; the old
**                  tree uses none behind old_id.
**             (K3) All leaves have the same depth; k1 is always there; what is absent is 0; second versions
**                  are not newer than the tree and name a child that is there.
**             (K4) A root leaf is a node of 40 bytes, all zero behind its entries.
**             (K5) Keys rise strictly. Flags are a legal combination; "contiguous" stands exactly where head,
**                  key, value and the byte behind are in one chunk.
**             (K6) An entry ends a range exactly if the one before starts one; the last starts none.
** LOCKING     Nobody writes meanwhile.
*/
#include "memtree/memtree_internal.h"

struct tree_check {
    struct memtree tree;
    uint32_t id_first;     /* the tree uses no chunk before this id, */
    uint32_t id_last;      /* and none behind this one */
    uint64_t objects_left; /* ends loops */
    uint32_t entry_before; /* offset of the entry visited last, 0 = none */
    bool in_range;         /* that entry starts a range */
    const char *reason;
};

static bool fail(struct tree_check *check, const char *reason) {
    if (check->reason == NULL) check->reason = reason;
    return false;
}

static bool check_chunk_of(struct tree_check *check, uint32_t offset) {
    const struct memtree *tree = &check->tree;
    uint32_t id = chunk_head_at(tree, offset >> SHM_CHUNK_SHIFT)->id;

    if (!chunk_id_at_or_after(id, check->id_first)) {
        return fail(check, "a tree uses a chunk before used_id");
    }
    if (!chunk_id_at_or_after(check->id_last, id)) {
        return fail(check, "a tree uses a chunk behind its last");
    }
    return true;
}

/* Compare two keys, each perhaps in pieces. */
static bool check_order(struct tree_check *check, const struct entry *a, const struct entry *b) {
    struct stream left = a->body;
    struct stream right = b->body;
    uint32_t common = a->key_size < b->key_size ? a->key_size : b->key_size;
    uint32_t left_size = 0, right_size = 0;
    const uint8_t *left_at = NULL, *right_at = NULL;

    while (common > 0) {
        uint32_t step;
        int order;
        if (left_size == 0) left_at = stream_piece(&left, common, &left_size);
        if (right_size == 0) right_at = stream_piece(&right, common, &right_size);
        if (left_at == NULL || right_at == NULL) return fail(check, "a key runs off its chunks");
        step = left_size < right_size ? left_size : right_size;
        order = memcmp(left_at, right_at, step);
        if (order > 0) return fail(check, "keys are not in order");
        if (order < 0) return true;
        common -= step;
        left_size -= step;
        right_size -= step;
        left_at += step;
        right_at += step;
    }
    return a->key_size < b->key_size || fail(check, "keys are not in order");
}

static bool check_entry(struct tree_check *check, uint32_t offset) {
    const struct memtree *tree = &check->tree;
    const struct tree_entry *head;
    struct entry entry, before;
    uint64_t end;
    bool contiguous;

    if (!entry_read(tree, offset, &entry)) return fail(check, "an entry is impossible");
    if (!check_chunk_of(check, offset)) return false;
    head = region_at(tree, offset, ENTRY_HEAD_SIZE);
    if (entry.flags == 0) return fail(check, "an entry has no flags");
    if ((entry.flags & RECORD_INSERT) == 0 && head->value_size != -1) {
        return fail(check, "an entry has a value and no insert flag");
    }
    end = (uint64_t)offset + ENTRY_HEAD_SIZE + entry.key_size + entry.value_size;
    contiguous = end >> SHM_CHUNK_SHIFT == offset >> SHM_CHUNK_SHIFT;
    if (contiguous != ((head->flags & ENTRY_CONTIGUOUS) != 0)) {
        return fail(check, "the contiguous flag is wrong");
    }
    {
        struct stream stream = entry.body;
        if (!stream_skip(&stream, entry.key_size) || !stream_skip(&stream, entry.value_size)) {
            return fail(check, "an entry runs off its chunks");
        }
        if (!check_chunk_of(check, (stream.chunk << SHM_CHUNK_SHIFT) + CHUNK_HEAD_SIZE)) return false;
    }
    if (((entry.flags & RECORD_END_DELETE) != 0) != check->in_range) {
        return fail(check, "the marks of a deleted range do not pair");
    }
    check->in_range = (entry.flags & RECORD_START_DELETE) != 0;
    if (check->entry_before != 0) {
        if (!entry_read(tree, check->entry_before, &before) || !check_order(check, &before, &entry)) {
            return fail(check, "an entry is impossible");
        }
    }
    check->entry_before = offset;
    return true;
}

static bool check_interior(struct tree_check *check, const struct tree_node *node) {
    uint32_t first = entries_first(node->entries);
    uint32_t last = entries_last(node->entries) + 1;

    if (first == 1 && node->children[0] != 0) return fail(check, "child 0 without entry 0");
    if (last == 2 && node->children[3] != 0) return fail(check, "child 3 without entry 2");
    if (node->version_id == 0) {
        return (node->version_index == 0 && node->version_child == 0) ||
               fail(check, "an empty second version is not zero");
    }
    if (node->version_id > check->tree.root.txn_id) return fail(check, "a version of the future");
    if (node->version_index < first || node->version_index > last) {
        return fail(check, "a second version of no child");
    }
    return true;
}

static bool check_node(struct tree_check *check, uint32_t offset, uint32_t depth) {
    bool leaf = depth == check->tree.root.height;
    const uint32_t *entries = node_entries(&check->tree, offset, leaf);
    const struct tree_node *node = (const struct tree_node *)(const void *)entries;
    uint32_t first, last;

    if (entries == NULL) return fail(check, "a node is impossible");
    if (check->objects_left-- == 0) return fail(check, "nodes form a loop");
    if (!check_chunk_of(check, offset)) return false;
    if (entries[1] == 0) return fail(check, "a node without entry 1");
    if (!leaf && !check_interior(check, node)) return false;
    first = entries_first(entries);
    last = entries_last(entries);
    for (uint32_t i = first; i <= last + 1; i++) {
        if (!leaf &&
            !check_node(check, node_child(node, i, check->tree.root.txn_id), depth + 1)) {
            return false;
        }
        if (i <= last && !check_entry(check, entries[i])) return false;
    }
    return true;
}

static bool check_root_leaf(struct tree_check *check) {
    static const uint8_t zero[NODE_SIZE - LEAF_SIZE];
    const uint8_t *root = region_at(&check->tree, check->tree.root.root, NODE_SIZE);

    if (root == NULL) return fail(check, "a root leaf has no room for 40 bytes");
    return memcmp(root + LEAF_SIZE, zero, sizeof zero) == 0 ||
           fail(check, "a root leaf is not zero behind its entries");
}

static bool check_tree(struct tree_check *check) {
    const struct tree_root *root = &check->tree.root;

    check->objects_left = (uint64_t)check->tree.chunk_count * (SHM_CHUNK_SIZE / LEAF_SIZE);
    if (root->root == 0) return root->height == 0 || fail(check, "an empty tree has a height");
    if (!memtree_height_valid(&check->tree)) return fail(check, "a height is impossible");
    if (root->txn_id == 0 || root->txn_id > TXN_ID_LIMIT) return fail(check, "a transaction id");
    if (root->height == 1 && !check_root_leaf(check)) return false;
    if (!check_node(check, root->root, 1)) return false;
    return !check->in_range || fail(check, "a deleted range has no end");
}

static bool check_list(struct tree_check *check, const struct tree_header *header) {
    uint32_t count = header->chunk_count - 1;
    uint32_t chunk = header->first_chunk;
    uint32_t head_id = header->next_id - count;

    for (uint32_t i = 0; i < count; i++) {
        const struct chunk_head *head;
        if (chunk == 0 || chunk > count) return fail(check, "the chunk list is too short");
        head = chunk_head_at(&check->tree, chunk);
        /* Ids that are right at every place make a loop, or a chunk listed twice, impossible. */
        if (head->id != head_id + i) return fail(check, "ids do not rise by one along the list");
        if (i + 1 == count && chunk != (header->write_offset - 1) >> SHM_CHUNK_SHIFT) {
            return fail(check, "the last chunk is not the one being filled");
        }
        chunk = head->next;
    }
    if (chunk != 0) return fail(check, "the chunk list is too long");
    if ((uint32_t)(header->used_id - head_id) >= count) return fail(check, "used_id is not listed");
    if (header->old_id != 0 && ((uint32_t)(header->old_id - head_id) >= count ||
                                !chunk_id_at_or_after(header->old_id, header->used_id))) {
        return fail(check, "old_id is not listed");
    }
    return true;
}

bool memtree_check(struct shm *shm, const struct tree_header *header, const char **reason) {
    struct tree_check check = {0};
    struct memtree old = memtree_old(shm, header);
    bool good = true;

    check.tree = memtree_live(shm, header);
    check.id_first = header->used_id;
    check.id_last = header->next_id - 1;
    if (header->chunk_count < 2 || check.tree.chunk_count != header->chunk_count) {
        good = fail(&check, "chunks are missing");
    }
    good = good && check_list(&check, header) && check_tree(&check);
    if (good && header->old_id != 0) {
        check = (struct tree_check){
            .tree = old, .id_first = header->used_id, .id_last = header->old_id};
        good = check_tree(&check);
    }
    if (!good && reason) *reason = check.reason;
    return good;
}
