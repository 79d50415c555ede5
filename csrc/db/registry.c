/*
** registry.c — the databases that this process has open, and who owns their files.
**
** INVARIANTS  (I1) one struct database per file: looked up by path, then by the file's identity, so that two
**             names of one file share locks and region, whatever environment it is opened through.
**             (I2) no descriptor of a database file is closed while another one of the process is in use:
**             closing any of them would drop all POSIX locks of the process on the file. So a file that is open
**             already is recognised by asking for what its name leads to, not by opening it.
**             (I3) while a region exists this process holds DMS2 and RWCLIENT0 exclusively: it is the only
**             one that writes, and nobody else can join.
** OWNERSHIP   a database, and all its connections share, comes from the environment of the connection that opened
**             it first. It also opens all files: a name may mean something else to another environment, which may
**             be gone before the database.
** LOCKING     the list: static mutex 0. Connecting and disconnecting one database: its `connect` mutex,
**             so that a slow recovery holds up nobody else.
*/
#include "base/memory.h"
#include "db/db_internal.h"
#include "snapshot/checkpoint.h"

#define REGISTRY_MUTEX 0

static struct database *registry_head;

/* ------------------------------------------------------------------------- finding and making -- */

/* Do two environments surely open the same file under the same path? */
static bool same_file_system(const lsm_env *left, const lsm_env *right) {
    return left == right || (left->xOpen == right->xOpen && left->pVfsCtx == right->pVfsCtx);
}

static struct database *find_by_path(lsm_env *env, const char *path) {
    struct database *database;
    for (database = registry_head; database; database = database->next) {
        if (same_file_system(database->env, env) && strcmp(database->path, path) == 0) {
            return database;
        }
    }
    return NULL;
}

/* An id is unique in the process: an environment in front of another one passes on what that one answers. */
static struct database *find_by_file(const uint8_t *id, size_t size) {
    struct database *database;
    if (size == 0) return NULL;
    for (database = registry_head; database; database = database->next) {
        if (database->file_id_size == size && memcmp(database->file_id, id, size) == 0) {
            return database;
        }
    }
    return NULL;
}

/* The identity of a file; *size 0 when its environment has none. */
static void identify(struct os_file *file, uint8_t id[FILE_ID_MAX], size_t *size) {
    size_t i;

    memset(id, 0, FILE_ID_MAX);
    if (os_file_id(file, id, FILE_ID_MAX, size) != LSM_OK) *size = 0;
    for (i = 0; i < *size && id[i] == 0; i++) {
    }
    if (i == *size) *size = 0; /* a callback that writes nothing */
}

static void database_free(struct database *database) {
    lsm_env *env = database->env;
    struct parked_file *parked;

    while ((parked = database->parked) != NULL) {
        database->parked = parked->next;
        os_close(&parked->file);
        memory_free(env, parked);
    }
    os_close(&database->file);
    os_mutex_free(env, database->connect);
    os_mutex_free(env, database->facts_mutex);
    memory_free(env, database->path);
    memory_free(env, database->log_path);
    memory_free(env, database);
}

/* Keep `file` open as long as the database; `node` comes from its environment. */
static void park(struct database *database, struct parked_file *node, struct os_file *file) {
    node->file = *file;
    *file = (struct os_file){0};
    os_mutex_enter(database->env, database->facts_mutex);
    node->next = database->parked;
    database->parked = node;
    os_mutex_leave(database->env, database->facts_mutex);
}

static int database_new(lsm_env *env, char *path, struct os_file *file, bool writable,
                        struct database **out) {
    struct database *database = memory_allocate_zero(env, sizeof *database);
    size_t path_size = strlen(path);
    int rc = LSM_NOMEM;

    if (database == NULL) return LSM_NOMEM;
    database->env = env;
    database->log_path = memory_allocate(env, path_size + sizeof LOG_SUFFIX);
    if (database->log_path == NULL) goto fail;
    memcpy(database->log_path, path, path_size);
    memcpy(database->log_path + path_size, LOG_SUFFIX, sizeof LOG_SUFFIX);
    rc = os_mutex_new(env, &database->connect);
    if (rc != LSM_OK) goto fail;
    rc = os_mutex_new(env, &database->facts_mutex);
    if (rc != LSM_OK) goto fail;
    database->path = path;
    database->file = *file;
    database->file_writable = writable;
    *out = database;
    return LSM_OK;
fail:
    database_free(database); /* path and file stay the caller's */
    return rc;
}

/* A database that is open already, under whatever name. Nothing is opened for that, where the system can tell. */
static struct database *find_open(lsm_env *env, const char *path) {
    struct database *database = find_by_path(env, path);
    uint8_t id[FILE_ID_MAX] = {0};
    size_t id_size;

    if (database) return database;
    os_path_id(env, path, id, sizeof id, &id_size);
    return find_by_file(id, id_size);
}

/* Open the file; it is new to the process, or where the system cannot tell beforehand, one of a database: then its
** descriptor stays. `path` is taken over (set to NULL) by a new database. */
static int open_and_find(lsm_env *env, char **path, bool writable, struct database **out) {
    struct parked_file *node = NULL;
    struct os_file file = {0};
    uint8_t id[FILE_ID_MAX];
    size_t id_size = 0;
    struct database *database;
    int rc;

    rc = os_open(env, *path, writable ? 0 : LSM_OPEN_READONLY, &file);
    if (rc != LSM_OK) return rc;
    identify(&file, id, &id_size);
    database = find_by_file(id, id_size);
    if (database) {
        node = memory_allocate_zero(database->env, sizeof *node);
        /* Without a node it cannot be kept. To leak it is the lesser evil: closing it would drop all locks. */
        if (node == NULL) return LSM_NOMEM;
        park(database, node, &file);
    } else {
        rc = database_new(env, *path, &file, writable, &database);
        if (rc != LSM_OK) {
            os_close(&file); /* nobody else has it open */
            return rc;
        }
        *path = NULL;
        memcpy(database->file_id, id, id_size);
        database->file_id_size = id_size;
        database->next = registry_head;
        registry_head = database;
    }
    *out = database;
    return LSM_OK;
}

int database_acquire(lsm_db *db, const char *name) {
    lsm_env *env = db->env;
    char *path = NULL;
    struct database *database;
    int rc;

    rc = os_full_path(env, name, &path);
    if (rc != LSM_OK) return rc;
    os_static_enter(REGISTRY_MUTEX);
    database = find_open(env, path);
    if (database == NULL) rc = open_and_find(env, &path, !db->config.read_only, &database);
    if (rc == LSM_OK) {
        database->references++;
        db->database = database;
    }
    os_static_leave(REGISTRY_MUTEX);
    memory_free(env, path);
    return rc;
}

void database_release(lsm_db *db) {
    struct database *database = db->database;
    struct database **link;

    if (database == NULL) return;
    db->database = NULL;
    os_static_enter(REGISTRY_MUTEX);
    if (--database->references == 0) {
        for (link = &registry_head; *link != database; link = &(*link)->next) {
        }
        *link = database->next;
        assert(database->shm == NULL);
        database_free(database);
    }
    os_static_leave(REGISTRY_MUTEX);
}

bool database_is_shared(struct database *database) {
    bool shared;

    os_static_enter(REGISTRY_MUTEX);
    shared = database->references > 1;
    os_static_leave(REGISTRY_MUTEX);
    return shared;
}

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

static bool is_file_of(const struct database *database, const uint8_t *id, size_t id_size) {
    return id_size == database->file_id_size && memcmp(id, database->file_id, id_size) == 0;
}

static bool path_has_another_file(const struct database *database) {
    uint8_t id[FILE_ID_MAX] = {0};
    size_t id_size;

    os_path_id(database->env, database->path, id, sizeof id, &id_size);
    return id_size > 0 && database->file_id_size > 0 && !is_file_of(database, id, id_size);
}

bool database_path_changed(const struct database *database) {
    int kind;

    if (path_has_another_file(database)) return true;
    return os_path_kind(database->env, database->path, &kind) == LSM_OK && kind == OS_PATH_NONE;
}

/* A connection that still reads keeps the descriptor of a file that is gone: what is written there is lost. */
static int check_path(lsm_db *db, struct database *database) {
    if (!database_path_changed(database)) return LSM_OK;
    if (!database_is_shared(database)) { /* since this connection has opened it: the next attempt finds what is there */
        return error_note(&db->error, LSM_BUSY, "the file has just been removed or replaced");
    }
    return error_note(&db->error, LSM_IOERR, "another connection has it open, and the path leads elsewhere now");
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
    rc = check_path(db, database);
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

/* The database was opened read-only so far. Readers that recovered privately go on with the descriptor they have. */
static int make_writable(lsm_db *db, struct database *database) {
    struct parked_file *node = memory_allocate_zero(database->env, sizeof *node);
    struct os_file file = {0};
    uint8_t id[FILE_ID_MAX];
    size_t id_size = 0;
    int rc = node ? LSM_OK : LSM_NOMEM;

    if (rc == LSM_OK && database_path_changed(database)) rc = LSM_IOERR;
    if (rc == LSM_OK) rc = os_open(database->env, database->path, 0, &file);
    if (rc == LSM_OK) {
        identify(&file, id, &id_size);
        /* (I2): both stay open, and the one that is not used any more, or must not be, is put away. */
        park(database, node, is_file_of(database, id, id_size) ? &database->file : &file);
        node = NULL;
        if (file.file == NULL) rc = LSM_IOERR;
    }
    if (rc == LSM_OK) {
        database->file = file;
        database->file_writable = true;
    }
    memory_free(database->env, node);
    return rc == LSM_IOERR ? error_note(&db->error, rc, "open read-only, and the path leads elsewhere now") : rc;
}

int database_connect_writer(lsm_db *db) {
    struct database *database = db->database;
    int rc = LSM_OK;

    os_mutex_enter(database->env, database->connect);
    if (!database->file_writable) rc = make_writable(db, database);
    if (rc == LSM_OK && database->shm == NULL) rc = owner_start(db, database);
    else if (rc == LSM_OK) rc = check_path(db, database);
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
    if (detached || path_has_another_file(database)) return; /* whose log that may be by now */
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

/* -------------------------------------------------------------------------------------- facts -- */

void database_facts(struct database *database, struct checkpoint_facts *out) {
    os_mutex_enter(database->env, database->facts_mutex);
    *out = database->facts;
    os_mutex_leave(database->env, database->facts_mutex);
}

void database_set_facts(struct database *database, const struct checkpoint_facts *facts) {
    os_mutex_enter(database->env, database->facts_mutex);
    database->facts = *facts;
    atomic_store(&database->facts_id, facts->snapshot_id);
    os_mutex_leave(database->env, database->facts_mutex);
}
