/*
** memtree_repair.c — put the region in order after a writer has died in mid-transaction.
**
** What it may have left: second versions with ids above the published one; chunks, recycled or appended,
** with ids at or after the published next_id; links behind the published last chunk. Appended chunks are
** forgotten by themselves, since the published count does not include them. Recycled ones become the front
** of the list again: nothing published needs them.
**
**     published        ids 40 41 42 43  in chunks  3 5 8 9, next_id 44
**     found            ids 44 41 42 43             (3 was recycled)
**     repaired         3 -> 40, list 3 5 8 9
**
** Recycled chunks are numbered in the order of their found ids, then come the others; all together
** consecutively so that the last has next_id - 1. That needs no luck with the order in which a dead writer
** had given chunks back before, and is the same when done twice.
**
** LOCKING     Holder of LOCK_WRITER. Readers may be at work: what they see does not change.
** ERRORS      LSM_CORRUPT when the rest is not a region in order; LSM_NOMEM. Chunk heads are changed only
**             after all has been checked.
*/
#include "base/memory.h"
#include "memtree/memtree_internal.h"

/* ---------------------------------------------------------------------------- second versions -- */

struct version_walk {
    const struct memtree *tree;
    struct error_context *error;
    uint64_t nodes_left; /* more cannot be there: ends loops in a damaged region */
};

static int versions_clear_newer(struct version_walk *walk, uint32_t offset, uint32_t depth) {
    uint32_t txn_id = walk->tree->root.txn_id;
    struct tree_node *node;
    uint32_t version;
    int rc = LSM_OK;

    if (depth == walk->tree->root.height) return LSM_OK;
    node = region_at(walk->tree, offset, NODE_SIZE);
    if (node == NULL || walk->nodes_left == 0) {
        return error_corrupt(walk->error, offset, "memtree: impossible node");
    }
    walk->nodes_left--;
    version = __atomic_load_n(&node->version_id, __ATOMIC_ACQUIRE);
    if (version > txn_id) {
        __atomic_store_n(&node->version_id, 0, __ATOMIC_RELEASE);
        __atomic_store_n(&node->version_index, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&node->version_child, 0, __ATOMIC_RELAXED);
    }
    for (uint32_t i = entries_first(node->entries);
         rc == LSM_OK && i <= entries_last(node->entries) + 1; i++) {
        rc = versions_clear_newer(walk, node_child(node, i, txn_id), depth + 1);
    }
    return rc;
}

/* ------------------------------------------------------------------------------ list of chunks -- */

/* order[0..count-1] = the chunks as the list must be; `by_distance` is scratch of SHM_CHUNKS_MAX words. */
static int chunks_order(const struct memtree *tree, const struct tree_header *header,
                        struct error_context *error, uint32_t *by_distance, uint32_t *order) {
    uint32_t count = header->chunk_count - 1;
    uint32_t recycled_count = 0;

    /* 1. Those of the published version: their ids say where they stand, counted from the end. */
    for (uint32_t chunk = 1; chunk <= count; chunk++) {
        uint32_t id = chunk_head_at(tree, chunk)->id;
        uint32_t age = header->next_id - id;
        if (chunk_id_at_or_after(id, header->next_id)) {
            uint32_t distance = id - header->next_id;
            if (distance >= SHM_CHUNKS_MAX || by_distance[distance] != 0) {
                return error_corrupt(error, chunk, "memtree: impossible id of a recycled chunk");
            }
            by_distance[distance] = chunk;
            recycled_count++;
        } else {
            if (age > count || order[count - age] != 0) {
                return error_corrupt(error, chunk, "memtree: impossible id of a chunk");
            }
            order[count - age] = chunk;
        }
    }

    /* 2. The recycled ones in front. A place taken there would mean a gap further back. */
    for (uint32_t distance = 0, place = 0; place < recycled_count; distance++) {
        if (by_distance[distance] == 0) continue;
        if (order[place] != 0) {
            return error_corrupt(error, order[place], "memtree: ids of chunks have a gap");
        }
        order[place++] = by_distance[distance];
    }
    if (order[count - 1] != (header->write_offset - 1) >> SHM_CHUNK_SHIFT) {
        return error_corrupt(error, header->write_offset, "memtree: the last chunk is not in use");
    }
    return LSM_OK;
}

int memtree_repair(struct shm *shm, struct tree_header *header, struct error_context *error) {
    struct memtree tree;
    struct version_walk walk;
    uint32_t *scratch = NULL;
    uint32_t *order;
    uint32_t count;
    int rc;

    if (header->chunk_count < 2 || header->chunk_count > SHM_CHUNKS_MAX) {
        return error_corrupt(error, 0, "memtree: impossible number of chunks");
    }
    rc = shm_ensure(shm, header->chunk_count);
    if (rc != LSM_OK) goto done;
    tree = memtree_live(shm, header);
    count = header->chunk_count - 1;

    /* 1. Find the order of the list. */
    scratch = memory_allocate_zero(shm->env, ((size_t)SHM_CHUNKS_MAX + count) * sizeof(uint32_t));
    if (scratch == NULL) {
        rc = error_note(error, LSM_NOMEM, "memtree: no memory for a repair");
        goto done;
    }
    order = scratch + SHM_CHUNKS_MAX;
    rc = chunks_order(&tree, header, error, scratch, order);
    if (rc != LSM_OK) goto done;

    /* 2. Empty what the dead writer has filled. */
    if (!memtree_is_empty(&tree)) {
        if (!memtree_height_valid(&tree)) {
            rc = error_corrupt(error, tree.root.root, "memtree: impossible height");
            goto done;
        }
        walk = (struct version_walk){
            &tree, error, (uint64_t)tree.chunk_count * (SHM_CHUNK_SIZE / NODE_SIZE)};
        rc = versions_clear_newer(&walk, tree.root.root, 1);
        if (rc != LSM_OK) goto done;
    }

    /* 3. Number and link. */
    for (uint32_t i = 0; i < count; i++) {
        *chunk_head_at(&tree, order[i]) = (struct chunk_head){
            .id = header->next_id - count + i,
            .next = i + 1 < count ? order[i + 1] : 0,
        };
    }
    header->first_chunk = order[0];
done:
    memory_free(shm->env, scratch);
    return rc;
}
