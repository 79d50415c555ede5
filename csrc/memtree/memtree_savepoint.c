/*
** memtree_savepoint.c — the life of a writer and of its trees: begin, marks, rollback, freeze, drop.
**
** A mark is a place in the region and a root. Going back to it means: empty the second versions filled since,
** cut the list of chunks behind the place, put recycled chunks back to the front.
**
**     at the mark      first > 3 5 8 9                ids 40 41 42 43     (3 is no longer needed)
**     since            first > 5 8 9 3 12             ids 41 .. 44 45     (3 recycled, 12 appended)
**     after rollback   first > 3 5 8 9                ids 40 41 42 43     (12 forgotten)
**
** INVARIANTS  (M1) After a rollback to the first mark the chunk list is, id for id, what the published header
**                  says. Should the process die then, whoever repairs finds a region in order.
**             (M2) `innermost` is the latest mark, or one that was given up later than all that remain: a
**                  node behind it is behind every mark one can still go back to.
** LOCKING     Holder of LOCK_WRITER.
*/
#include "memtree/memtree_internal.h"

void memtree_writer_init(struct memtree_writer *writer, lsm_env *env, struct shm *shm,
                         struct shm_locks *locks, struct error_context *error) {
    *writer = (struct memtree_writer){.env = env, .shm = shm, .locks = locks, .error = error};
    buffer_init(&writer->touched, env);
    buffer_init(&writer->recycled, env);
    memtree_cursor_init(&writer->cursor, env, error);
}

void memtree_writer_release(struct memtree_writer *writer) {
    buffer_release(&writer->touched);
    buffer_release(&writer->recycled);
    memtree_cursor_release(&writer->cursor);
}

static void writer_position(const struct memtree_writer *writer, struct memtree_mark *mark) {
    *mark = (struct memtree_mark){
        .live = writer->header.live,
        .write_offset = writer->header.write_offset,
        .chunk_count = writer->header.chunk_count,
        .next_id = writer->header.next_id,
        .user_version = writer->header.user_version,
        .touched_count = writer->touched.size / sizeof(uint32_t),
        .recycled_count = writer->recycled.size / sizeof(struct recycled),
    };
}

void memtree_writer_begin(struct memtree_writer *writer, const struct tree_header *header) {
    struct tree_root *live = &writer->header.live;

    writer->header = *header;
    if (live->txn_id < TXN_ID_LIMIT) live->txn_id++;
    /* Ids end at 2^30. A tree without nodes has no versions to tell apart and may begin anew; one with nodes
    ** refuses writes until it is frozen. */
    if (live->txn_id >= TXN_ID_LIMIT && live->root == 0) live->txn_id = 1;
    buffer_reset(&writer->touched);
    buffer_reset(&writer->recycled);
    writer_position(writer, &writer->innermost);
}

void memtree_writer_mark(struct memtree_writer *writer, struct memtree_mark *mark) {
    writer_position(writer, mark);
    writer->innermost = *mark;
}

static void versions_clear(struct memtree_writer *writer, const struct memtree *view,
                           size_t first) {
    size_t count = writer->touched.size / sizeof(uint32_t);

    for (size_t i = first; i < count; i++) {
        uint32_t offset;
        struct tree_node *node;
        memcpy(&offset, writer->touched.data + i * sizeof offset, sizeof offset);
        node = region_at(view, offset, NODE_SIZE);
        if (node == NULL) continue;
        __atomic_store_n(&node->version_id, 0, __ATOMIC_RELEASE);
        __atomic_store_n(&node->version_index, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&node->version_child, 0, __ATOMIC_RELAXED);
    }
    writer->touched.size = first * sizeof(uint32_t);
}

/* The chunk recycled last goes back first, so that all get their old ids in their old order (M1). */
static void chunks_give_back(struct memtree_writer *writer, const struct memtree *view,
                             size_t first) {
    size_t count = writer->recycled.size / sizeof(struct recycled);

    for (size_t i = count; i-- > first;) {
        struct recycled record;
        memcpy(&record, writer->recycled.data + i * sizeof record, sizeof record);
        *chunk_head_at(view, record.chunk) =
            (struct chunk_head){.id = record.id, .next = writer->header.first_chunk};
        writer->header.first_chunk = record.chunk;
    }
    writer->recycled.size = first * sizeof(struct recycled);
}

void memtree_writer_rollback_to(struct memtree_writer *writer, const struct memtree_mark *mark) {
    struct memtree view = writer_view(writer);
    uint32_t last = (mark->write_offset - 1) >> SHM_CHUNK_SHIFT;

    versions_clear(writer, &view, mark->touched_count);
    if (last > 0 && last < view.chunk_count) chunk_head_at(&view, last)->next = 0;
    chunks_give_back(writer, &view, mark->recycled_count);
    writer->header.live.root = mark->live.root;
    writer->header.live.height = mark->live.height;
    writer->header.live.byte_count = mark->live.byte_count;
    writer->header.write_offset = mark->write_offset;
    writer->header.chunk_count = mark->chunk_count;
    writer->header.next_id = mark->next_id;
    writer->header.user_version = mark->user_version;
    writer->innermost = *mark;
}

void memtree_writer_end(struct memtree_writer *writer) {
    buffer_reset(&writer->touched);
    buffer_reset(&writer->recycled);
}

bool memtree_freeze(struct tree_header *header, const struct log_region *log_end, uint32_t toggle) {
    assert(header->old_id == 0);
    assert(toggle <= 1);
    /* An old tree whose last chunk is number 0 could not be told from no old tree. */
    if (header->next_id - 1 == 0) return false;
    header->old_log_field = log_end->end * 2 + (int64_t)toggle;
    header->old_sum0 = header->log_sum0;
    header->old_sum1 = header->log_sum1;
    header->old_id = header->next_id - 1;
    header->old = header->live;
    header->live = (struct tree_root){.txn_id = 1};
    return true;
}

void memtree_drop_old(struct tree_header *header) {
    if (header->old_id == 0) return;
    header->used_id = header->old_id;
    header->old_id = 0;
}

int memtree_format(struct shm *shm, struct tree_header *header) {
    struct memtree view;
    int rc;

    rc = shm_ensure(shm, 2);
    if (rc != LSM_OK) return rc;
    view = (struct memtree){.chunks = shm_table(shm), .chunk_count = 2};
    *chunk_head_at(&view, 1) = (struct chunk_head){.id = 1, .next = 0};
    *header = (struct tree_header){
        .used_id = 1,
        .next_id = 2,
        .first_chunk = 1,
        .chunk_count = 2,
        .live = {.txn_id = 1},
        .write_offset = SHM_CHUNK_SIZE + CHUNK_HEAD_SIZE,
    };
    return LSM_OK;
}
