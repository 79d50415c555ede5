/*
** memtree_node.c — from offsets to nodes and entries: checked addresses, searching, reading one key.
**
** FORMAT      An entry: head of 12 bytes in one piece, then key and value as a stream. Where a chunk ends,
**             the stream goes on at byte 8 of the chunk that its head names as the next. The flag 0x40
**             ("contiguous") is never believed: others set it wrongly at times. Lengths decide.
** INVARIANTS  (R1) No address is made from an offset that was not checked against the chunks of the tree.
**             (R2) Lengths are read once, and limited by what the chunks can hold, before they are used.
** COST        A lookup: one compare or two for each level, no allocation unless the value crosses chunks.
*/
#include "memtree/memtree_internal.h"

/* ------------------------------------------------------------------------------------- entries -- */

bool entry_read(const struct memtree *tree, uint32_t offset, struct entry *out) {
    const struct tree_entry *head = region_at(tree, offset, ENTRY_HEAD_SIZE);
    uint64_t body_max = (uint64_t)(tree->chunk_count ? tree->chunk_count - 1 : 0) * CHUNK_BODY_SIZE;
    int32_t key_size, value_size;
    uint8_t flags;

    if (head == NULL) return false;
    key_size = head->key_size;
    value_size = head->value_size;
    flags = head->flags;
    if (key_size < 0 || value_size < -1) return false;
    if ((flags & ~ENTRY_FLAGS_ALLOWED) != 0) return false;
    if ((flags & RECORD_INSERT) != 0 && ((flags & RECORD_POINT_DELETE) != 0 || value_size < 0)) {
        return false;
    }
    if ((flags & RECORD_INSERT) == 0) value_size = 0;
    if ((uint64_t)key_size + (uint64_t)value_size > body_max) return false;
    *out = (struct entry){
        .key_size = (uint32_t)key_size,
        .value_size = (uint32_t)value_size,
        .flags = flags & (uint8_t)~ENTRY_CONTIGUOUS,
        .body = {tree, offset >> SHM_CHUNK_SHIFT,
                 (offset & (SHM_CHUNK_SIZE - 1)) + ENTRY_HEAD_SIZE},
    };
    return true;
}

const uint8_t *stream_piece(struct stream *stream, uint32_t size, uint32_t *piece_size) {
    const uint8_t *piece;
    uint32_t room;

    assert(size > 0);
    if (stream->within == SHM_CHUNK_SIZE) {
        uint32_t next = chunk_head_at(stream->tree, stream->chunk)->next;
        if (next == 0 || next >= stream->tree->chunk_count) return NULL;
        stream->chunk = next;
        stream->within = CHUNK_HEAD_SIZE;
    }
    room = SHM_CHUNK_SIZE - stream->within;
    *piece_size = size < room ? size : room;
    piece = atomic_load_explicit(&stream->tree->chunks[stream->chunk], memory_order_relaxed) +
            stream->within;
    stream->within += *piece_size;
    return piece;
}

int stream_slice(struct stream *stream, uint32_t size, struct buffer *scratch,
                 struct error_context *error, struct slice *out) {
    uint32_t piece_size = 0;
    const uint8_t *piece;
    int rc = LSM_OK;

    if (size == 0) {
        *out = (struct slice){(const uint8_t *)"", 0};
        return LSM_OK;
    }
    piece = stream_piece(stream, size, &piece_size);
    if (piece != NULL && piece_size == size) {
        *out = (struct slice){piece, size};
        return LSM_OK;
    }
    buffer_reset(scratch);
    rc = buffer_reserve(scratch, size);
    if (rc != LSM_OK) return rc;
    for (;;) {
        if (piece == NULL) {
            return error_corrupt(error, (uint64_t)stream->chunk << SHM_CHUNK_SHIFT,
                                 "memtree: an entry runs off its chunks");
        }
        buffer_append(scratch, piece, piece_size); /* reserved above */
        if (scratch->size == size) break;
        piece = stream_piece(stream, size - (uint32_t)scratch->size, &piece_size);
    }
    *out = buffer_slice(scratch);
    return LSM_OK;
}

bool stream_skip(struct stream *stream, uint32_t size) {
    while (size > 0) {
        uint32_t piece_size = 0;
        if (stream_piece(stream, size, &piece_size) == NULL) return false;
        size -= piece_size;
    }
    return true;
}

bool stream_compare(struct stream stream, uint32_t size, struct slice key, int *order) {
    uint32_t common = size < key.size ? size : key.size;
    uint32_t done = 0;

    while (done < common) {
        uint32_t piece_size = 0;
        const uint8_t *piece = stream_piece(&stream, common - done, &piece_size);
        int difference;
        if (piece == NULL) return false;
        difference = memcmp(key.data + done, piece, piece_size);
        if (difference != 0) {
            *order = difference;
            return true;
        }
        done += piece_size;
    }
    *order = (key.size > size) - (key.size < size);
    return true;
}

/* ----------------------------------------------------------------------------------- searching -- */

/* Let the cache fetch what the next steps look at, whatever way they go. */
static void prefetch_entries(const struct memtree *tree, const uint32_t *entries) {
    for (int i = 0; i < 3; i++) {
        const void *entry = region_at(tree, entries[i], ENTRY_HEAD_SIZE);
        if (entry) LSM_PREFETCH(entry);
    }
}

/* The nodes below as well: worth it where keys are looked up all over a large tree, not for a writer that
** stays where it is. */
static void prefetch_children(const struct memtree *tree, const struct tree_node *node) {
    for (int i = 0; i < 4; i++) {
        const void *child = region_at(tree, node->children[i], LEAF_SIZE);
        if (child) LSM_PREFETCH(child);
    }
}

int memtree_search(const struct memtree *tree, struct slice key, struct error_context *error,
                   uint32_t *nodes, uint8_t *cells, uint32_t *path_depth, bool *hit) {
    bool long_key = key.size >= 8;
    uint64_t prefix = long_key ? get_u64(key.data) : 0;
    uint32_t node = tree->root.root;
    uint32_t height = tree->root.height;

    if (!memtree_height_valid(tree)) {
        return error_corrupt(error, node, "memtree: impossible height");
    }
    for (uint32_t depth = 1;; depth++) {
        const uint32_t *entries = node_entries(tree, node, depth == height);
        uint32_t index = 0;

        if (entries == NULL) return error_corrupt(error, node, "memtree: impossible node");
        if (depth < height) {
            prefetch_children(tree, (const struct tree_node *)(const void *)entries);
        }
        *hit = false;
        if (!(long_key && node_search_prefix(tree, entries, prefix, &index)) &&
            !node_search(tree, entries, key, &index, hit)) {
            return error_corrupt(error, node, "memtree: impossible entry");
        }
        nodes[depth - 1] = node;
        cells[depth - 1] = (uint8_t)index;
        *path_depth = depth;
        if (*hit || depth == height) return LSM_OK;
        node = node_child((const struct tree_node *)(const void *)entries, index, tree->root.txn_id);
    }
}

uint32_t path_entry_below(const struct memtree *tree, const struct path *path) {
    for (uint32_t i = path->depth; i-- > 0;) {
        const uint32_t *entries = node_entries(tree, path->nodes[i], i + 1 == tree->root.height);
        uint32_t cell = path->cells[i];
        if (entries != NULL && cell > 0 && entries[cell - 1] != 0) return entries[cell - 1];
    }
    return 0;
}

uint32_t path_entry_above(const struct memtree *tree, const struct path *path) {
    for (uint32_t i = path->depth; i-- > 0;) {
        const uint32_t *entries = node_entries(tree, path->nodes[i], i + 1 == tree->root.height);
        uint32_t cell = path->cells[i];
        if (entries != NULL && cell < 3 && entries[cell] != 0) return entries[cell];
    }
    return 0;
}

/*
** What a tree says about x:   exact entry with a value      found
**                             exact entry, point delete     deleted
**                             exact entry with neither      nothing: bounds of a range are not deleted
**                             predecessor starts a range    deleted
*/
int memtree_lookup(const struct memtree *tree, struct slice key, struct buffer *scratch,
                   struct error_context *error, enum lookup_state *state, struct slice *value) {
    uint32_t node = tree->root.root;
    uint32_t height = tree->root.height;
    uint32_t below = 0;
    uint32_t found = 0;
    struct entry entry;

    if (node == 0) {
        *state = LOOKUP_UNKNOWN;
        return LSM_OK;
    }
    if (!memtree_height_valid(tree)) {
        return error_corrupt(error, node, "memtree: impossible height");
    }
    for (uint32_t depth = 1; depth <= height; depth++) {
        const uint32_t *entries = node_entries(tree, node, depth == height);
        uint32_t index = 0;
        bool hit = false;

        if (entries == NULL) return error_corrupt(error, node, "memtree: impossible node");
        prefetch_entries(tree, entries);
        if (depth < height) {
            prefetch_children(tree, (const struct tree_node *)(const void *)entries);
        }
        if (!node_search(tree, entries, key, &index, &hit)) {
            return error_corrupt(error, node, "memtree: impossible entry");
        }
        if (hit) {
            found = entries[index];
            break;
        }
        if (index > 0 && entries[index - 1] != 0) below = entries[index - 1];
        if (depth == height) break;
        node = node_child((const struct tree_node *)(const void *)entries, index, tree->root.txn_id);
    }
    if (found == 0 && below == 0) {
        *state = LOOKUP_UNKNOWN;
        return LSM_OK;
    }
    if (!entry_read(tree, found ? found : below, &entry)) {
        return error_corrupt(error, found ? found : below, "memtree: impossible entry");
    }
    if (found == 0) {
        *state = entry.flags & RECORD_START_DELETE ? LOOKUP_DELETED : LOOKUP_UNKNOWN;
    } else if (entry.flags & RECORD_INSERT) {
        if (value != NULL) {
            struct stream stream = entry.body;
            int rc = LSM_OK;
            if (!stream_skip(&stream, entry.key_size)) {
                return error_corrupt(error, found, "memtree: an entry runs off its chunks");
            }
            rc = stream_slice(&stream, entry.value_size, scratch, error, value);
            if (rc != LSM_OK) return rc;
        }
        *state = LOOKUP_FOUND;
    } else {
        *state = entry.flags & RECORD_POINT_DELETE ? LOOKUP_DELETED : LOOKUP_UNKNOWN;
    }
    return LSM_OK;
}

/* ------------------------------------------------------------------------------------ versions -- */

static struct memtree tree_version(struct shm *shm, const struct tree_header *header,
                                   struct tree_root root) {
    /* The count before the table: then the table has at least that many (C2 of shm_chunk.c). */
    uint32_t present = atomic_load_explicit(&shm->chunk_count, memory_order_acquire);
    uint32_t count = header->chunk_count < present ? header->chunk_count : present;
    return (struct memtree){shm_table(shm), count, root};
}

struct memtree memtree_live(struct shm *shm, const struct tree_header *header) {
    return tree_version(shm, header, header->live);
}

struct memtree memtree_old(struct shm *shm, const struct tree_header *header) {
    struct tree_root none = {0};
    return tree_version(shm, header, header->old_id != 0 ? header->old : none);
}
