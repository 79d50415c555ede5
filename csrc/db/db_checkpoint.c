/*
** db_checkpoint.c — the newest snapshot becomes what the next open finds.
**
** A checkpoint is durable after two syncs: of all that it names, and of its meta page. Automatic ones at SAFETY
** NORMAL wait for the first only; that of the next checkpoint is their second:
**
**     asked for   sync  meta page 2  sync                  9 is on disk
**     automatic   sync  meta page 1                        9 is on disk, 10 is stored
**     automatic   sync  meta page 2                        10 is on disk, 11 is stored
**                 ^ proves 10, before the page of 9 is overwritten
**
** INVARIANTS  (I1) facts about the checkpoint on disk, on which the reuse of blocks and log space
**             depends, change only after the meta page is durable.
**             (I2) after a failed sync of the file no checkpoint is made until the database was
**             closed by all: the system may have marked unwritten pages clean, so that the next
**             sync succeeds and proves nothing. The log keeps what is needed since the last good
**             checkpoint.
**             (I3) before the first meta page is written there is a log with something in it, if
**             the connection uses one: beside it the torn remains of a first checkpoint still count
**             as an empty database (checkpoint.c), without it they are somebody else's file.
** LOCKING     CHECKPOINTER, never under WORKER.
** ERRORS      Any failure leaves the previous checkpoint in force.
*/
#include "db/db_internal.h"
#include "snapshot/checkpoint.h"

/* An empty log gets a byte that ends it; the first record overwrites it. Not while others may write
** records. */
static int fill_empty_log(lsm_db *db, struct os_file *log_file) {
    static const uint8_t end_of_log = 0;
    bool had_writer = (db->locks.exclusive >> LOCK_WRITER) & 1;
    uint64_t size = 0;
    int rc;

    if (!had_writer) {
        rc = shm_lock(db->shm, &db->locks, LOCK_WRITER, LSM_LOCK_EXCL);
        if (rc == LSM_BUSY) return LSM_OK; /* somebody is about to fill it */
        if (rc != LSM_OK) return rc;
    }
    rc = os_file_size(log_file, &size);
    if (rc == LSM_OK && size == 0) rc = os_write(log_file, 0, &end_of_log, 1);
    if (!had_writer) shm_unlock(db->shm, &db->locks, LOCK_WRITER);
    return rc;
}

/* (I3) */
static int secure_log(lsm_db *db) {
    struct database *database = db->database;
    struct os_file log_file = {0};
    uint64_t size = 0;
    int rc;

    if (!db->config.use_log) return LSM_OK;
    rc = os_open(database->env, database->log_path, 0, &log_file);
    if (rc != LSM_OK) return rc;
    rc = os_file_size(&log_file, &size);
    if (rc == LSM_OK && size == 0) rc = fill_empty_log(db, &log_file);
    if (rc == LSM_OK) {
        rc = os_sync(&log_file);
        if (rc != LSM_OK) database->log_sync_failed = rc; /* what commits have written may count as clean now */
    }
    os_close(&log_file);
    return rc;
}

/* What must be durable before a checkpoint can be: names, and see (I3). */
static int prepare_disk(lsm_db *db, uint32_t meta_page) {
    struct database *database = db->database;
    int rc = LSM_OK;

    if (meta_page == 0) rc = secure_log(db);
    if (rc == LSM_OK && !database->directory_synced) {
        rc = os_sync_directory(database->env, database->path);
        if (rc == LSM_OK) database->directory_synced = true;
    }
    return rc;
}

static int store_snapshot(lsm_db *db, const uint32_t *words, uint32_t word_count, enum checkpoint_wait wait) {
    struct database *database = db->database;
    struct shm_header *shared = db->shm->header;
    bool sync = wait != CHECKPOINT_NO_SYNC;
    bool sync_failed = false;
    uint32_t meta_page;
    int rc = database->file_sync_failed;

    if (rc == LSM_OK && sync) rc = prepare_disk(db, shared->meta_page);
    if (rc == LSM_OK) {
        rc = checkpoint_store(&database->file, words, word_count, shared->meta_page, wait,
                              &meta_page, &sync_failed);
    }
    if (sync_failed) database->file_sync_failed = rc;
    if (rc != LSM_OK) return error_note(&db->error, rc, "the checkpoint could not be written");
    shared->meta_page = meta_page;
    /* Whoever waits for the disk again must not build on what was stored without waiting. */
    atomic_store(&database->checkpoint_unproven, !sync);
    return LSM_OK;
}

/* The newest snapshot is in a meta page already: make sure that the disk has it. At OFF only this connection, and
** whoever is as careless, takes it for that. */
static int prove_stored(lsm_db *db, struct checkpoint_facts *facts) {
    struct database *database = db->database;
    int rc = database->file_sync_failed;

    if (rc == LSM_OK && db->config.safety == LSM_SAFETY_OFF) {
        atomic_store(&database->checkpoint_unproven, true);
    } else if (rc == LSM_OK) {
        rc = os_sync(&database->file);
        if (rc != LSM_OK) database->file_sync_failed = rc;
        else atomic_store(&database->checkpoint_unproven, false);
    }
    if (rc != LSM_OK) return error_note(&db->error, rc, "the checkpoint could not be made durable");
    facts->snapshot_id = facts->stored_id;
    facts->log_offset = facts->stored_log_offset;
    database_set_facts(database, facts);
    return LSM_OK;
}

/* The first of all goes both ways at once: without one on disk nothing can be reused. */
static enum checkpoint_wait wait_of(const lsm_db *db, const struct checkpoint_facts *facts, bool automatic) {
    if (db->config.safety == LSM_SAFETY_OFF) return CHECKPOINT_NO_SYNC;
    if (automatic && db->config.safety == LSM_SAFETY_NORMAL && facts->snapshot_id != 0) return CHECKPOINT_SYNC_BEFORE;
    return CHECKPOINT_SYNC_BOTH;
}

static int make_checkpoint(lsm_db *db, bool automatic, uint32_t *kb) {
    enum checkpoint_wait wait;
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t word_count;
    struct checkpoint_facts facts;
    int64_t id;
    int rc;

    if (kb) *kb = 0;
    rc = recovered_prove_checkpoint(db); /* the one in force must hold until this one does, or be all there is */
    if (rc != LSM_OK) return rc;
    rc = shm_lock(db->shm, &db->locks, LOCK_CHECKPOINTER, LSM_LOCK_EXCL);
    if (rc != LSM_OK) return error_note(&db->error, rc, "another connection makes a checkpoint");
    rc = shm_load_snapshot(db->shm, words, &word_count);
    if (rc != LSM_OK) goto done;
    id = (int64_t)checkpoint_wide(words, CHECKPOINT_ID);
    database_facts(db->database, &facts);
    wait = wait_of(db, &facts, automatic);
    if (db->shm->header->meta_page != 0 && facts.stored_id >= id) {
        bool stored_only = wait != CHECKPOINT_SYNC_BEFORE && facts.snapshot_id < facts.stored_id;
        /* Somebody at OFF may have come between the look above and the lock. */
        bool unproven = wait == CHECKPOINT_SYNC_BOTH && atomic_load(&db->database->checkpoint_unproven);
        if (stored_only || unproven) rc = prove_stored(db, &facts);
        goto done;
    }
    rc = store_snapshot(db, words, word_count, wait);
    if (rc != LSM_OK) goto done;
    if (kb) *kb = (uint32_t)((checkpoint_bytes_since(words, facts.pages_written) + 1023) / 1024);
    /* The first sync has proved the one stored before. */
    facts.snapshot_id = facts.stored_id;
    facts.log_offset = facts.stored_log_offset;
    facts.stored_id = id;
    facts.stored_log_offset = checkpoint_wide(words, CHECKPOINT_LOG_FIELD) >> 1;
    facts.pages_written = words[CHECKPOINT_PAGES_WRITTEN];
    if (wait != CHECKPOINT_SYNC_BEFORE) {
        facts.snapshot_id = facts.stored_id;
        facts.log_offset = facts.stored_log_offset;
    }
    database_set_facts(db->database, &facts);
done:
    shm_unlock(db->shm, &db->locks, LOCK_CHECKPOINTER);
    return rc;
}

int db_checkpoint(lsm_db *db, uint32_t *kb) {
    return make_checkpoint(db, false, kb);
}

int db_checkpoint_automatic(lsm_db *db) {
    return make_checkpoint(db, true, NULL);
}

int db_checkpoint_call(lsm_db *db, int *kb) {
    uint32_t written = 0;
    int rc;

    if (db->config.read_only) return LSM_READONLY;
    if (db->database == NULL) return LSM_MISUSE;
    error_clear(&db->error);
    if (kb) *kb = 0;
    background_hold(db);
    rc = db_checkpoint(db, &written);
    background_let_go(db);
    if (rc == LSM_OK && kb) *kb = written > INT32_MAX ? INT32_MAX : (int)written;
    return db_report(db, rc);
}
