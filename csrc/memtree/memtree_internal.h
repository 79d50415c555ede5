/*
** memtree_internal.h — what the files of this room share: addresses, nodes, entries, taking space.
**
** FORMAT      format_shm.h has the structures. A leaf or a non-root node below it is one of two kinds, told
**             apart by depth alone:
**
**                 leaf       k0 k1 k2                              12 bytes (the root leaf: 40, rest zero)
**                 interior   k0 k1 k2  c0 c1 c2 c3  version        40 bytes
**
**             k1 is always there; without k0 the children begin at c1, without k2 they end at c2.
** INVARIANTS  (N1) A node that a published root, or the root of a mark that can still be rolled back to,
**                  leads to changes in one way only: its empty second version is filled, once, with the
**                  transaction id of the writer. version_id is stored last, with release.
**             (N2) Nodes taken since the innermost mark are seen by nobody else and are edited in place.
**             (N3) Entries never change.
*/
#ifndef LSM_MEMTREE_INTERNAL_H
#define LSM_MEMTREE_INTERNAL_H

#include <stdatomic.h>

#include "base/bytes.h"
#include "memtree/memtree.h"

#define CHUNK_HEAD_SIZE ((uint32_t)sizeof(struct chunk_head))
#define CHUNK_BODY_SIZE (SHM_CHUNK_SIZE - CHUNK_HEAD_SIZE)
#define ENTRY_HEAD_SIZE ((uint32_t)sizeof(struct tree_entry))
#define LEAF_SIZE ((uint32_t)sizeof(struct tree_leaf))
#define NODE_SIZE ((uint32_t)sizeof(struct tree_node))
#define TXN_ID_LIMIT (1u << 30) /* others take this number for "newest" */
#define ENTRY_RANGE_FLAGS (RECORD_START_DELETE | RECORD_END_DELETE)
#define ENTRY_FLAGS_ALLOWED                                                                        \
    (RECORD_START_DELETE | RECORD_END_DELETE | RECORD_POINT_DELETE | RECORD_INSERT | ENTRY_CONTIGUOUS)

/* --------------------------------------------------------------------------------- addresses -- */

/* `size` bytes at an aligned offset, or NULL if that is not inside the body of one chunk. */
static inline void *region_at(const struct memtree *tree, uint32_t offset, uint32_t size) {
    uint32_t chunk = offset >> SHM_CHUNK_SHIFT;
    uint32_t within = offset & (SHM_CHUNK_SIZE - 1);

    if (LSM_UNLIKELY(chunk == 0 || chunk >= tree->chunk_count || within < CHUNK_HEAD_SIZE ||
                     within + size > SHM_CHUNK_SIZE || (offset & 3) != 0)) {
        return NULL;
    }
    return atomic_load_explicit(&tree->chunks[chunk], memory_order_relaxed) + within;
}

/* The head of a chunk that exists. */
static inline struct chunk_head *chunk_head_at(const struct memtree *tree, uint32_t chunk) {
    assert(chunk > 0 && chunk < tree->chunk_count);
    return (struct chunk_head *)(void *)atomic_load_explicit(&tree->chunks[chunk],
                                                             memory_order_relaxed);
}

/* The three entry offsets of a node of either kind. */
static inline const uint32_t *node_entries(const struct memtree *tree, uint32_t node, bool leaf) {
    return region_at(tree, node, leaf ? LEAF_SIZE : NODE_SIZE);
}

/* Child `index` as a reader of transaction `txn_id` sees it. */
static inline uint32_t node_child(const struct tree_node *node, uint32_t index, uint32_t txn_id) {
    uint32_t version = __atomic_load_n(&node->version_id, __ATOMIC_ACQUIRE);

    if (version != 0 && version <= txn_id &&
        __atomic_load_n(&node->version_index, __ATOMIC_RELAXED) == index) {
        return __atomic_load_n(&node->version_child, __ATOMIC_RELAXED);
    }
    return node->children[index];
}

/* ------------------------------------------------------------------------------------ entries -- */

/* A place in the bytes of an entry: they go on behind the head of the next chunk. */
struct stream {
    const struct memtree *tree;
    uint32_t chunk;
    uint32_t within; /* up to and including SHM_CHUNK_SIZE */
};

struct entry {
    uint32_t key_size;
    uint32_t value_size; /* 0 without RECORD_INSERT */
    uint8_t flags;       /* a legal combination, without ENTRY_CONTIGUOUS */
    struct stream body;  /* at the key */
};

/* Check and read the head of an entry: false if there cannot be one. The body is checked when read. */
bool entry_read(const struct memtree *tree, uint32_t offset, struct entry *out);

/* The next piece in one chunk: at most `size` bytes, at least 1 (size > 0). NULL at a broken chain. */
const uint8_t *stream_piece(struct stream *stream, uint32_t size, uint32_t *piece_size);

/* `size` bytes: a pointer into the region if they lie in one piece, else a copy in `scratch`. */
LSM_MUST_USE int stream_slice(struct stream *stream, uint32_t size, struct buffer *scratch,
                              struct error_context *error, struct slice *out);

/* Pass over `size` bytes: false at a broken chain. */
bool stream_skip(struct stream *stream, uint32_t size);

/* Order of `key` against a key in pieces: false if the chain is broken. */
bool stream_compare(struct stream stream, uint32_t size, struct slice key, int *order);

/* Order of two keys, with a short cut for those that differ in the first eight bytes. */
static inline int key_order(struct slice a, struct slice b) {
    if (a.size >= 8 && b.size >= 8) {
        uint64_t x = get_u64(a.data);
        uint64_t y = get_u64(b.data);
        if (x != y) return x < y ? -1 : 1;
    }
    return key_compare(a, b);
}

/* Sign of (key - key of the entry) into *order; false if the entry is damaged. */
static inline bool entry_compare(const struct memtree *tree, uint32_t offset, struct slice key,
                                 int *order) {
    const struct tree_entry *head = region_at(tree, offset, ENTRY_HEAD_SIZE);
    uint32_t room;

    if (head == NULL || head->key_size < 0) return false;
    room = SHM_CHUNK_SIZE - (offset & (SHM_CHUNK_SIZE - 1)) - ENTRY_HEAD_SIZE;
    if (LSM_LIKELY((uint32_t)head->key_size <= room)) {
        struct slice own = {(const uint8_t *)(head + 1), (uint32_t)head->key_size};
        *order = key_order(key, own);
        return true;
    }
    return stream_compare((struct stream){tree, offset >> SHM_CHUNK_SHIFT, SHM_CHUNK_SIZE - room},
                          (uint32_t)head->key_size, key, order);
}

/* The first eight bytes of an entry's key; false if it has fewer in this chunk, or is damaged. */
static inline bool entry_prefix(const struct memtree *tree, uint32_t offset, uint64_t *prefix) {
    const struct tree_entry *head = region_at(tree, offset, ENTRY_HEAD_SIZE + 8);

    if (LSM_UNLIKELY(head == NULL || head->key_size < 8)) return false;
    *prefix = get_u64((const uint8_t *)(head + 1));
    return true;
}

/* node_search by the first eight bytes of the keys alone: no jump depends on a comparison, and the entries
** are fetched side by side. False: the bytes do not decide. */
static inline bool node_search_prefix(const struct memtree *tree, const uint32_t *entries,
                                      uint64_t prefix, uint32_t *index) {
    /* In place of an absent entry look at the one that is always there. */
    uint32_t left = entries[0] != 0 ? entries[0] : entries[1];
    uint32_t right = entries[2] != 0 ? entries[2] : entries[1];
    uint64_t prefixes[3];

    if (LSM_UNLIKELY(!entry_prefix(tree, left, &prefixes[0]) ||
                     !entry_prefix(tree, entries[1], &prefixes[1]) ||
                     !entry_prefix(tree, right, &prefixes[2]))) {
        return false;
    }
    if (LSM_UNLIKELY((prefixes[0] == prefix) | (prefixes[1] == prefix) | (prefixes[2] == prefix))) {
        return false;
    }
    *index = (uint32_t)((entries[0] == 0) | (prefixes[0] < prefix)) +
             (uint32_t)(prefixes[1] < prefix) +
             (uint32_t)((entries[2] != 0) & (prefixes[2] < prefix));
    return true;
}

/* Find `key` among the entries of a node. *index = the entry (*hit), or the child to descend to, that is:
** the number of the first entry behind the key. False if damaged. */
static inline bool node_search(const struct memtree *tree, const uint32_t *entries, struct slice key,
                               uint32_t *index, bool *hit) {
    uint32_t other;
    int order;

    if (!entry_compare(tree, entries[1], key, &order)) return false; /* absent = 0 is refused, too */
    *hit = order == 0;
    *index = 1;
    if (order == 0) return true;
    other = order < 0 ? 0 : 2;
    *index = order < 0 ? 1 : 2;
    if (entries[other] == 0) return true;
    if (!entry_compare(tree, entries[other], key, &order)) return false;
    *hit = order == 0;
    if (*hit) *index = other;
    else if (order < 0) *index = other;
    else *index = other + 1;
    return true;
}

/* ----------------------------------------------------------------------------------- searching -- */

/* Where a key is, or belongs: nodes from the root down, and the index in each (see node_search). */
struct path {
    uint32_t depth;
    uint32_t nodes[MEMTREE_DEPTH_MAX];
    uint8_t cells[MEMTREE_DEPTH_MAX];
};

/* Search a tree that is not empty; the three parts of a path are filled. Without a hit it ends in a leaf. */
LSM_MUST_USE int memtree_search(const struct memtree *tree, struct slice key,
                                struct error_context *error, uint32_t *nodes, uint8_t *cells,
                                uint32_t *depth, bool *hit);

/* Entry before or behind the place of a search without hit; 0 = none. The path is a checked one. */
uint32_t path_entry_below(const struct memtree *tree, const struct path *path);
uint32_t path_entry_above(const struct memtree *tree, const struct path *path);

/* Nodes of a tree whose height is believable; false otherwise. */
static inline bool memtree_height_valid(const struct memtree *tree) {
    return tree->root.height > 0 && tree->root.height <= MEMTREE_DEPTH_MAX;
}

static inline uint32_t entries_first(const uint32_t *entries) {
    return entries[0] != 0 ? 0 : 1;
}
static inline uint32_t entries_last(const uint32_t *entries) {
    return entries[2] != 0 ? 2 : 1;
}

/* ------------------------------------------------------------------------------------- writing -- */

/* The writer's own view. Valid until space is taken. */
static inline struct memtree writer_view(const struct memtree_writer *writer) {
    return (struct memtree){shm_table(writer->shm), writer->header.chunk_count, writer->header.live};
}

/* Make sure that `size` bytes of nodes can be taken without failure. Call after everything else that can
** fail: what follows changes the tree step by step. */
LSM_MUST_USE int space_reserve(struct memtree_writer *writer, uint32_t size);

/* Take space for a node that space_reserve has promised; zero-filled. */
uint32_t space_take_node(struct memtree_writer *writer, uint32_t size);

/* Write an entry. The value comes from `value`, or, if that is NULL, from `copy_from` (an entry read before
** with the writer's view). value_size -1 = none. */
LSM_MUST_USE int space_put_entry(struct memtree_writer *writer, uint8_t flags, struct slice key,
                                 const struct slice *value, const struct entry *copy_from,
                                 uint32_t *offset);

/* A chunk number and the id it had before it was recycled: an element of writer->recycled. */
struct recycled {
    uint32_t chunk;
    uint32_t id;
};

/* Is this node seen by nobody else (N2)? */
bool node_is_private(const struct memtree_writer *writer, uint32_t node);

/* A node taken apart: entries and children packed from 0. */
struct node_parts {
    uint32_t first; /* index in the node of entry 0 and child 0 */
    uint32_t count;
    uint32_t entries[4];
    uint32_t children[5];
};

void node_gather(const struct memtree_writer *writer, uint32_t node, bool leaf,
                 struct node_parts *parts);
/* Fill a private node with 1 to 3 entries. */
void node_scatter(const struct memtree_writer *writer, uint32_t node, bool leaf,
                  const struct node_parts *parts);
/* Make nodes[level] of the path a private node with the same content, linked into the tree. */
void path_own(struct memtree_writer *writer, struct path *path, uint32_t level);
/* Bytes of nodes that a change along one path may take. */
static inline uint32_t path_space(const struct memtree_writer *writer) {
    return (writer->header.live.height + 1) * 3 * NODE_SIZE;
}

/* Put an entry of one kind, RECORD_INSERT, _POINT_DELETE, _START_DELETE or _END_DELETE. */
LSM_MUST_USE int memtree_put_entry(struct memtree_writer *writer, uint8_t kind, struct slice key,
                                   struct slice value);

#endif
