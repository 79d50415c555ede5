/*
** recovery.c — from the files as they lie to a region that readers and writers can use.
**
** Connects the columns: the newest checkpoint goes into the snapshot copies, the log is replayed into an empty
** live tree, both are published. No file is modified.
**
** ERRORS      LSM_CORRUPT "not a database" for a foreign file (db->not_a_database tells it apart).
*/
#include "db/db_internal.h"
#include "snapshot/checkpoint.h"

static int replay_insert(void *context, struct slice key, struct slice value) {
    return memtree_put(context, key, value);
}

static int replay_remove(void *context, struct slice key) {
    return memtree_delete(context, key);
}

static int replay_remove_range(void *context, struct slice key1, struct slice key2) {
    if (key_compare(key1, key2) >= 0) return LSM_OK; /* no such record is written; harmless */
    return memtree_delete_range(context, key1, key2);
}

static int publish_snapshot(struct shm *shm, const struct snapshot *snapshot) {
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t word_count;
    int rc = checkpoint_encode(snapshot, words, &word_count);
    if (rc == LSM_OK) shm_publish_snapshot(shm, words, word_count);
    return rc;
}

int recover_region(lsm_db *db, struct os_file *file, struct os_file *log_file, struct shm *shm,
                   struct checkpoint_facts *facts) {
    struct memtree_writer writer;
    struct log_sink sink = {.context = &writer,
                            .insert = replay_insert,
                            .remove = replay_remove,
                            .remove_range = replay_remove_range,
                            .commit = NULL};
    struct shm_locks locks = {0};
    struct snapshot snapshot = {0};
    struct tree_header header;
    struct log_state state;
    enum checkpoint_kind kind;
    uint32_t meta_page = 0;
    uint64_t log_size = 0;
    uint64_t commits = 0;
    bool restarted = false;
    int rc;

    shm_attach(shm, &locks);
    memtree_writer_init(&writer, db->env, shm, &locks, &db->error);

    /* 1. The newest checkpoint, or the record of an empty database. */
    if (log_file->file) {
        rc = os_file_size(log_file, &log_size);
        if (rc != LSM_OK) goto done;
    }
    rc = checkpoint_load(db->env, file, log_size, compression_expects_packed(db), &db->error, &kind,
                         &snapshot, &meta_page);
    if (rc != LSM_OK) goto done;
    if (kind == CHECKPOINT_FOREIGN) {
        db->not_a_database = true;
        rc = error_corrupt(&db->error, 1, "not a database");
        goto done;
    }
    if (kind == CHECKPOINT_EMPTY) {
        rc = snapshot_init_empty(&snapshot, db->env, (uint32_t)db->config.page_size,
                                 (uint32_t)db_block_size_kb(db) * 1024);
        if (rc != LSM_OK) goto done;
    }
    rc = compression_start(db, &snapshot);
    if (rc != LSM_OK) goto done;
    rc = pager_set_geometry(db->pager, snapshot.page_size, snapshot.block_size);
    if (rc == LSM_CORRUPT) error_corrupt(&db->error, 1, "block smaller than four pages");
    if (rc != LSM_OK) goto done;
    pager_set_block_limit(db->pager, snapshot.block_count);
    if (kind == CHECKPOINT_FOUND) rc = compression_look_at_pages(db, file, &snapshot);
    if (rc != LSM_OK) goto done;

    /* 2. The log, into an empty tree. */
    rc = memtree_format(shm, &header);
    if (rc != LSM_OK) goto done;
    memtree_writer_begin(&writer, &header);
    rc = log_recover(db->env, log_file, &snapshot.log, &sink, &state, &restarted, &commits);
    if (rc != LSM_OK) goto done;
    if (restarted) snapshot.log.field = 0;

    /* 3. Publish both. */
    header = writer.header;
    header.log_sum0 = state.sum0;
    header.log_sum1 = state.sum1;
    memcpy(header.log_regions, state.regions, sizeof header.log_regions);
    header.log_reclaim_id = kind == CHECKPOINT_FOUND ? snapshot.id : 0;
    rc = publish_snapshot(shm, &snapshot);
    if (rc != LSM_OK) goto done;
    shm->header->meta_page = meta_page;
    shm_publish_tree(shm, &header);
    memtree_writer_end(&writer);
    shm_reader_offer(shm, &locks, header.used_id, snapshot.id);
    *facts = (struct checkpoint_facts){0};
    if (kind == CHECKPOINT_FOUND) {
        facts->snapshot_id = snapshot.id;
        facts->log_offset = snapshot.log.field >> 1;
        facts->pages_written = snapshot.pages_written;
    }
    db->page_size = snapshot.page_size;
    db->block_size = snapshot.block_size;
done:
    memtree_writer_release(&writer);
    shm_detach(shm, &locks);
    snapshot_release(&snapshot);
    return rc;
}
