/*
** owner.c — becoming the owner of a database file and leaving it; reading beside an owner, or without one.
**
** INVARIANTS  (I1) while a region exists this process holds DMS2 and RWCLIENT0 exclusively: it is the only
**             one that writes, and nobody else can join.
** LOCKING     the database's `connect` mutex for connecting and disconnecting, so that a slow recovery holds up nobody
**             who uses another one.
** ERRORS      What the last close cannot write stays in the log; it says so through the log hook.
*/
#include "db/db_internal.h"
#include "snapshot/checkpoint.h"

/* --------------------------------------------------------------------------------- the owner -- */

static bool lock_busy(int rc) {
    return rc == LSM_BUSY;
}

/* DMS1, which others hold only while they connect or disconnect: wait, 1 ms doubling to 100 ms. */
static int lock_connect(struct database *database, bool wait) {
    uint32_t pause = 1000;
    int rc;

    for (;;) {
        rc = os_lock(&database->file, LOCK_DMS1, LSM_LOCK_EXCL);
        if (!lock_busy(rc) || !wait) return rc;
        os_sleep(database->env, pause);
        pause = pause * 2 > 100000 ? 100000 : pause * 2;
    }
}

static void unlock_file(struct os_file *file, int lock_no) {
    /* A failed unlock cannot be mended; the lock goes with the descriptor. */
    (void)!os_lock(file, lock_no, LSM_LOCK_UNLOCK);
}

static void unlock(struct database *database, int lock_no) {
    unlock_file(&database->file, lock_no);
}

static uint64_t mmap_limit(const lsm_db *db) {
    if (db->config.mmap == 0) return 0;
    if (db->config.mmap == 1) return UINT64_MAX;
    return (uint64_t)db->config.mmap * 1024;
}

static int open_pager(lsm_db *db, lsm_env *env, struct os_file *file, struct pager **out) {
    struct pager_config config = {
        .mmap_bytes = mmap_limit(db),
        .cache_bytes = (size_t)8 << 20,
        /* Compression comes when the checkpoint was read: compression_start. */
    };
    return pager_open(env, file, &config, out);
}

/* Open the log for reading; missing is fine (closed afterwards). */
static int open_log_for_recovery(struct database *database, struct os_file *log_file) {
    int rc = os_open(database->env, database->log_path, LSM_OPEN_READONLY, log_file);
    if (rc == LSM_IOERR_NOENT) {
        *log_file = (struct os_file){0};
        return LSM_OK;
    }
    return rc;
}

/* Become the owner of a database that nobody has open. `connect` held. */
static int owner_start(lsm_db *db, struct database *database) {
    bool wait = db->config.multiple_processes != 0;
    bool have_dms2 = false;
    bool have_client = false;
    struct os_file log_file = {0};
    int rc;

    rc = lock_connect(database, wait);
    if (rc != LSM_OK) return rc;
    rc = database_check_path(db);
    if (rc == LSM_OK) rc = os_lock(&database->file, LOCK_DMS2, LSM_LOCK_EXCL);
    if (rc != LSM_OK) goto done;
    have_dms2 = true;
    /* A read-only client that joined a region which its writers have left: it still reads the file. */
    rc = os_test_lock(&database->file, LOCK_DMS3, 1, LSM_LOCK_EXCL);
    if (rc != LSM_OK) goto done;
    rc = os_lock(&database->file, LOCK_RWCLIENT0, LSM_LOCK_EXCL);
    if (rc != LSM_OK) goto done;
    have_client = true;
    rc = open_pager(db, database->env, &database->file, &database->pager);
    if (rc != LSM_OK) goto done;
    rc = store_open(database->env, (uint64_t)db->config.memory_budget_kb * 1024, &database->store);
    if (rc != LSM_OK) goto done;
    rc = shm_open_private(database->env, &database->shm);
    if (rc != LSM_OK) goto done;
    rc = open_log_for_recovery(database, &log_file);
    if (rc != LSM_OK) goto done;
    db->pager = database->pager;
    db->store = database->store;
    db->shm = database->shm;
    rc = recover_region(db, &database->file, &log_file, true);
done:
    os_close(&log_file);
    if (rc != LSM_OK) {
        pager_close(database->pager);
        store_close(database->store);
        shm_close(database->shm);
        database->pager = NULL;
        database->store = NULL;
        database->shm = NULL;
        db->pager = NULL;
        db->store = NULL;
        db->shm = NULL;
        if (have_client) unlock(database, LOCK_RWCLIENT0);
        if (have_dms2) unlock(database, LOCK_DMS2);
    }
    unlock(database, LOCK_DMS1);
    return rc;
}

/* Nobody of this process uses the region any more. `connect` held. */
static void owner_stop(struct database *database) {
    pager_close(database->pager);
    store_close(database->store);
    shm_close(database->shm);
    database->pager = NULL;
    database->store = NULL;
    database->shm = NULL;
    unlock(database, LOCK_RWCLIENT0);
    unlock(database, LOCK_DMS2);
}

int database_connect_writer(lsm_db *db) {
    struct database *database = db->database;
    int rc = LSM_OK;

    os_mutex_enter(database->env, database->connect);
    if (!database->file_writable) rc = database_make_writable(db);
    if (rc == LSM_OK && database->shm == NULL) rc = owner_start(db, database);
    else if (rc == LSM_OK) rc = database_check_path(db);
    if (rc == LSM_OK) {
        database->writers++;
        db->shm = database->shm;
        db->pager = database->pager;
        db->store = database->store;
    }
    os_mutex_leave(database->env, database->connect);
    return rc;
}

/*
** Read transactions stay behind on the region, the log does not. The next writer goes on with the fields of the
** header: they must name the place where recovery starts, in a log of which nothing else exists.
*/
static int point_header_to_checkpoint(struct database *database) {
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t word_count;
    struct tree_header header;
    int64_t offset;
    int rc;

    rc = shm_load_tree(database->shm, &header, NULL);
    if (rc == LSM_OK) rc = shm_load_snapshot(database->shm, words, &word_count);
    if (rc != LSM_OK) return rc;
    offset = (int64_t)(checkpoint_wide(words, CHECKPOINT_LOG_FIELD) >> 1);
    memset(header.log_regions, 0, sizeof header.log_regions);
    header.log_regions[2] = (struct log_region){offset, offset};
    header.log_sum0 = words[CHECKPOINT_LOG_SUM0];
    header.log_sum1 = words[CHECKPOINT_LOG_SUM1];
    shm_publish_tree(database->shm, &header);
    return LSM_OK;
}

/* Nobody is left: cut the file behind its last block. `log_gone`: durably. */
static void cut_file(lsm_db *db, struct database *database, bool log_gone) {
    uint32_t last_block = 0;
    uint64_t size;
    int rc = read_txn_begin(db);

    if (rc != LSM_OK) return;
    rc = freelist_last_used_block(db->env, db->pager, &db->snapshot, &db->error, &last_block);
    size = (uint64_t)last_block * db->snapshot.block_size;
    /* A database that never had a block becomes an empty file, without its checkpoint, but not while a log
    ** may come back that only this checkpoint makes void. Any other keeps its meta pages. */
    if (size == 0 && (db->snapshot.block_count > 0 || !log_gone)) size = 2 * META_PAGE_SIZE;
    read_txn_end_if_unused(db);
    if (rc == LSM_OK) rc = os_truncate(&database->file, size);
    /* The next log begins with the sums of an empty database: the old checkpoint must not come back. */
    if (rc == LSM_OK && size == 0 && db->config.safety != LSM_SAFETY_OFF) {
        rc = os_sync(&database->file);
    }
    if (rc != LSM_OK) {
        db_log(db, rc, "closing %s: unused space could not be cut off", database->path);
    }
}

/*
** Everything to the file, then the log away. After a failure the log stays, and the next open finds all in it.
** When read transactions stay behind on the region, trees are dropped from its header (they are in the file),
** and log position and header keep describing the same place for the next writer.
*/
static void last_writer_leaves(lsm_db *db, struct database *database) {
    struct tree_header header;
    bool alone = database->joined == 0;
    bool detached = database_has_detached_readers(database);
    bool log_gone = true;
    int rc;

    rc = shm_load_tree(database->shm, &header, NULL);
    if (rc == LSM_OK && (header.old_id != 0 || header.live.root != 0)) {
        rc = db_flush_trees(db, alone && !detached);
    }
    if (rc == LSM_OK) rc = db_checkpoint(db, NULL);
    if (rc == LSM_OK && !alone && !detached) rc = point_header_to_checkpoint(database);
    log_writer_release(&db->log);
    if (rc != LSM_OK) {
        db_log(db, rc, "closing %s: content could not be written to the file%s", database->path,
               db->config.use_log ? "; it stays in the log" : "");
        return;
    }
    if (detached || database_path_has_another_file(database)) return; /* whose log that may be by now */
    rc = os_unlink(database->env, database->log_path);
    if (rc != LSM_OK && rc != LSM_IOERR_NOENT) log_gone = false;
    if (rc == LSM_OK && os_sync_directory(database->env, database->log_path) != LSM_OK) {
        log_gone = false;
        db_log(db, LSM_IOERR, "closing %s: its directory could not be synced", database->path);
    }
    if (alone) cut_file(db, database, log_gone);
}

void database_disconnect_writer(lsm_db *db) {
    struct database *database = db->database;

    os_mutex_enter(database->env, database->connect);
    if (database->writers == 1) {
        bool locked = lock_connect(database, true) == LSM_OK;
        last_writer_leaves(db, database);
        if (db->attached) {
            shm_detach(database->shm, &db->locks);
            db->attached = false;
        }
        database->writers = 0;
        if (database->joined == 0) owner_stop(database);
        if (locked) unlock(database, LOCK_DMS1);
    } else {
        if (db->attached) {
            shm_detach(database->shm, &db->locks);
            db->attached = false;
        }
        database->writers--;
    }
    os_mutex_leave(database->env, database->connect);
    db->shm = NULL;
    db->pager = NULL;
    db->store = NULL;
}

/* ------------------------------------------------------------------------------ read-only side -- */

/* Join the region if this process owns one. */
static bool join_region(lsm_db *db, struct database *database) {
    if (database->shm == NULL) return false;
    database->joined++;
    db->shm = database->shm;
    db->pager = database->pager;
    db->store = database->store;
    db->joined = true;
    return true;
}

/* Read the file as it lies: a private region, recovered from checkpoint and log. `connect` held. */
static int detach(lsm_db *db, struct database *database) {
    struct os_file log_file = {0};
    struct pager *pager = NULL;
    struct shm *shm = NULL;
    bool have_rotrans = database->detached > 0;
    struct os_file *file = &db->detached_file;
    int rc;

    *file = database->file; /* which a read-write connection may replace, but not close, while we read */
    rc = os_lock(file, LOCK_DMS1, LSM_LOCK_SHARED);
    if (rc != LSM_OK) return error_note(&db->error, rc, "another process opens or closes the file");
    /* A read-write client elsewhere: its changes are where we cannot see them. */
    rc = os_test_lock(file, LOCK_RWCLIENT0, RWCLIENT_COUNT, LSM_LOCK_SHARED);
    if (rc == LSM_OK) rc = os_test_lock(file, LOCK_DMS2, 1, LSM_LOCK_SHARED);
    if (rc == LSM_OK && !have_rotrans) {
        rc = os_lock(file, LOCK_ROTRANS, LSM_LOCK_SHARED);
        if (rc == LSM_OK) database->rotrans_file = *file;
    }
    unlock_file(file, LOCK_DMS1);
    if (rc != LSM_OK) return error_note(&db->error, rc, "another process has the database open");
    rc = open_pager(db, db->env, file, &pager);
    if (rc != LSM_OK) goto done;
    rc = shm_open_private(db->env, &shm);
    if (rc != LSM_OK) goto done;
    rc = open_log_for_recovery(database, &log_file);
    if (rc != LSM_OK) goto done;
    db->pager = pager;
    db->shm = shm;
    rc = recover_region(db, file, &log_file, false);
done:
    os_close(&log_file);
    if (rc != LSM_OK) {
        pager_close(pager);
        shm_close(shm);
        db->pager = NULL;
        db->shm = NULL;
        if (!have_rotrans) unlock_file(&database->rotrans_file, LOCK_ROTRANS);
        return rc;
    }
    db->detached = true;
    database->detached++;
    return LSM_OK;
}

int database_reader_enter(lsm_db *db) {
    struct database *database = db->database;
    int rc = LSM_OK;

    os_mutex_enter(database->env, database->connect);
    if (!join_region(db, database)) rc = detach(db, database);
    os_mutex_leave(database->env, database->connect);
    return rc;
}

void database_reader_leave(lsm_db *db) {
    struct database *database = db->database;

    os_mutex_enter(database->env, database->connect);
    if (db->joined) {
        db->joined = false;
        if (--database->joined == 0 && database->writers == 0) owner_stop(database);
    }
    if (db->detached) {
        db->detached = false;
        pager_close(db->pager);
        shm_close(db->shm);
        if (--database->detached == 0) unlock_file(&database->rotrans_file, LOCK_ROTRANS);
    }
    db->pager = NULL;
    db->store = NULL;
    db->shm = NULL;
    os_mutex_leave(database->env, database->connect);
}

struct os_file database_file(struct database *database) {
    struct os_file file;

    os_mutex_enter(database->env, database->connect);
    file = database->file;
    os_mutex_leave(database->env, database->connect);
    return file;
}

bool database_has_detached_readers(struct database *database) {
    if (database->detached > 0) return true;
    return os_test_lock(&database->file, LOCK_ROTRANS, 1, LSM_LOCK_EXCL) != LSM_OK;
}
