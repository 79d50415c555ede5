/*
** recovery.c — from the files as they lie to a region that readers and writers can use.
**
** Connects the columns: the newest checkpoint goes into the snapshot copies, the log is replayed into an empty
** live tree, both are published.
**
** A log that is longer than memory is no reason to fail. Wherever a transaction ends and the tree is too large, the
** owner writes it out and goes on with an empty one:
**
**     log     checkpoint 7 ......... COMMIT ............... COMMIT ........ end
**     tree                  grows    | flush, checkpoint 8  | flush, 9      live tree
**
** INVARIANTS  (I1) the log is only read; a file is modified only by the owner, and only at a COMMIT, by a flush and a
**             checkpoint with the exact position and sums of that place. Whoever comes after a crash goes on there.
** ERRORS      LSM_FULL: a private region is too small for the log; a read-write connection has to come first.
**             LSM_CORRUPT "not a database" for a foreign file (db->not_a_database tells it apart).
*/
#include "db/db_internal.h"
#include "snapshot/checkpoint.h"

struct replay {
    struct memtree_writer writer;
    lsm_db *db;
    bool flushed; /* at least once */
};

static int replay_insert(void *context, struct slice key, struct slice value) {
    struct replay *replay = context;
    return memtree_put(&replay->writer, key, value);
}

static int replay_remove(void *context, struct slice key) {
    struct replay *replay = context;
    return memtree_delete(&replay->writer, key);
}

static int replay_remove_range(void *context, struct slice key1, struct slice key2) {
    struct replay *replay = context;
    if (key_compare(key1, key2) >= 0) return LSM_OK; /* no such record is written; harmless */
    return memtree_delete_range(&replay->writer, key1, key2);
}

/* What a connection does that is open. Hooks wait until it is. */
static int flush_and_checkpoint(lsm_db *db) {
    void (*hook)(lsm_db *, void *) = db->work_hook;
    int rc;

    db->work_hook = NULL;
    shm_attach(db->shm, &db->locks);
    rc = db_flush_trees(db, false);
    if (rc == LSM_OK) rc = db_checkpoint(db, NULL);
    shm_detach(db->shm, &db->locks);
    db->work_hook = hook;
    return rc;
}

/* Of the owner only. Functions for compression may be told after opening, and a chunk may be in the way of freezing:
** then memory has to do until the next COMMIT. */
static int replay_commit(void *context, uint64_t end_offset, struct checksum sum) {
    struct replay *replay = context;
    lsm_db *db = replay->db;
    struct tree_header header = replay->writer.header;
    int rc;

    if (header.live.byte_count <= db_tree_limit(db)) return LSM_OK;
    header.log_regions[2] = (struct log_region){(int64_t)end_offset, (int64_t)end_offset};
    header.log_sum0 = sum.s0;
    header.log_sum1 = sum.s1;
    shm_publish_tree(db->shm, &header);
    memtree_writer_end(&replay->writer);
    rc = flush_and_checkpoint(db);
    if (rc == LSM_OK) replay->flushed = true;
    if (rc == LSM_BUSY || rc == LSM_MISMATCH) {
        error_clear(&db->error);
        rc = LSM_OK;
    }
    if (rc == LSM_OK) rc = shm_load_tree(db->shm, &header, NULL);
    if (rc == LSM_OK) memtree_writer_begin(&replay->writer, &header);
    return rc;
}

static int publish_snapshot(struct shm *shm, const struct snapshot *snapshot) {
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t word_count;
    int rc = checkpoint_encode(snapshot, words, &word_count);
    if (rc == LSM_OK) shm_publish_snapshot(shm, words, word_count);
    return rc;
}

/* The newest checkpoint, or the record of an empty database; and how the pager has to read it. */
static int load_checkpoint(lsm_db *db, struct os_file *file, struct os_file *log_file, enum checkpoint_kind *kind,
                           struct snapshot *snapshot, uint32_t *meta_page) {
    uint64_t log_size = 0;
    int rc = LSM_OK;

    if (log_file->file) rc = os_file_size(log_file, &log_size);
    if (rc != LSM_OK) return rc;
    rc = checkpoint_load(db->env, file, log_size, compression_expects_packed(db), &db->error, kind, snapshot,
                         meta_page);
    if (rc != LSM_OK) return rc;
    if (*kind == CHECKPOINT_FOREIGN) {
        db->not_a_database = true;
        return error_corrupt(&db->error, 1, "not a database");
    }
    if (*kind == CHECKPOINT_EMPTY) {
        rc = snapshot_init_empty(snapshot, db->env, (uint32_t)db->config.page_size,
                                 (uint32_t)db_block_size_kb(db) * 1024);
        if (rc != LSM_OK) return rc;
    }
    rc = compression_start(db, snapshot);
    if (rc != LSM_OK) return rc;
    rc = pager_set_geometry(db->pager, snapshot->page_size, snapshot->block_size);
    if (rc == LSM_CORRUPT) error_corrupt(&db->error, 1, "block smaller than four pages");
    if (rc != LSM_OK) return rc;
    pager_set_block_limit(db->pager, snapshot->block_count);
    if (*kind == CHECKPOINT_FOUND) rc = compression_look_at_pages(db, file, snapshot);
    return rc;
}

/* Nothing was synced by this process yet: recovered.c. */
static void owner_facts(struct database *database, const struct snapshot *snapshot, bool found) {
    struct checkpoint_facts facts = {0};

    if (found) {
        facts.snapshot_id = snapshot->id;
        facts.log_offset = snapshot->log.field >> 1;
        facts.stored_id = facts.snapshot_id;
        facts.stored_log_offset = facts.log_offset;
        facts.pages_written = snapshot->pages_written;
    }
    database_set_facts(database, &facts);
    database->log_sync_failed = LSM_OK;
    database->file_sync_failed = LSM_OK;
    database->directory_synced = false;
    atomic_store(&database->checkpoint_unproven, found);
    database->log_unproven = true;
}

int recover_region(lsm_db *db, struct os_file *file, struct os_file *log_file, bool owner) {
    struct replay replay = {.db = db};
    struct log_sink sink = {.context = &replay,
                            .insert = replay_insert,
                            .remove = replay_remove,
                            .remove_range = replay_remove_range,
                            .commit = owner ? replay_commit : NULL};
    struct memtree_writer *writer = &replay.writer;
    struct shm *shm = db->shm;
    struct shm_locks locks = {0};
    struct snapshot snapshot = {0};
    struct tree_header header;
    struct log_state state;
    enum checkpoint_kind kind;
    uint32_t meta_page = 0;
    uint64_t commits = 0;
    bool restarted = false;
    int rc;

    shm_attach(shm, &locks);
    memtree_writer_init(writer, db->env, shm, &locks, &db->error);

    /* 1. The checkpoint. */
    rc = load_checkpoint(db, file, log_file, &kind, &snapshot, &meta_page);
    if (rc != LSM_OK) goto done;
    rc = publish_snapshot(shm, &snapshot);
    if (rc != LSM_OK) goto done;
    shm->header->meta_page = meta_page;
    if (owner) owner_facts(db->database, &snapshot, kind == CHECKPOINT_FOUND);
    db->page_size = snapshot.page_size;
    db->block_size = snapshot.block_size;

    /* 2. The log, into an empty tree. */
    rc = memtree_format(shm, &header);
    if (rc != LSM_OK) goto done;
    header.log_reclaim_id = kind == CHECKPOINT_FOUND ? snapshot.id : 0;
    memtree_writer_begin(writer, &header);
    rc = log_recover(db->env, log_file, &snapshot.log, &sink, &state, &restarted, &commits);
    if (rc == LSM_FULL && !owner) error_note(&db->error, rc, "the log is longer than memory: read-write only");
    if (rc != LSM_OK) goto done;

    /* 3. Publish. A position that leads nowhere stays in a snapshot only until there is one that leads somewhere. */
    if (restarted && !replay.flushed) {
        snapshot.log.field = 0;
        rc = publish_snapshot(shm, &snapshot);
        if (rc != LSM_OK) goto done;
        if (owner) owner_facts(db->database, &snapshot, kind == CHECKPOINT_FOUND);
    }
    header = writer->header;
    header.log_sum0 = state.sum0;
    header.log_sum1 = state.sum1;
    memcpy(header.log_regions, state.regions, sizeof header.log_regions);
    shm_publish_tree(shm, &header);
    memtree_writer_end(writer);
    shm_reader_offer(shm, &locks, header.used_id, shm_snapshot_id(shm));
done:
    memtree_writer_release(writer);
    shm_detach(shm, &locks);
    snapshot_release(&snapshot);
    return rc;
}
