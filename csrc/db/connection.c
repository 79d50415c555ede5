/*
** connection.c — the life of a connection: new, open, closed; and what it says through its hooks.
*/
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "db/db_internal.h"

static void log_to_stderr(void *context, int rc, const char *message) {
    (void)context;
    (void)rc;
    fprintf(stderr, "%s\n", message);
}

int db_new(lsm_env *env, lsm_db **out) {
    lsm_db *db;

    *out = NULL;
    if (env == NULL) env = lsm_default_env();
    db = memory_allocate_zero(env, sizeof *db);
    if (db == NULL) return LSM_NOMEM;
    db->env = env;
    db->config = (struct db_config){
        .autoflush_kb = 1024,
        .page_size = 4096,
        .safety = LSM_SAFETY_NORMAL,
        .block_size_kb = 1024,
        .autowork = 1,
        .mmap = sizeof(void *) >= 8 ? 1 : 32768,
        .use_log = 1,
        .automerge = 4,
        .max_freelist = FREELIST_ENTRIES_MAX,
        .multiple_processes = 1,
        .autocheckpoint_kb = 2048,
        .memory_budget_kb = (int)(STORE_BUDGET_DEFAULT / 1024),
    };
    db->log_hook = log_to_stderr;
    db->compress.iId = LSM_COMPRESSION_NONE;
    db->slot = -1;
    lookup_scratch_init(&db->scratch, env);
    buffer_init(&db->given_key, env);
    buffer_init(&db->given_value, env);
    *out = db;
    return LSM_OK;
}

bool db_is_open(const lsm_db *db) {
    return db->database != NULL;
}

const char *db_path(const lsm_db *db) {
    return db->database->path;
}

static void forget_snapshot(lsm_db *db) {
    level_notes_free(db->notes);
    db->notes = NULL;
    snapshot_release(&db->snapshot);
    db->snapshot = (struct snapshot){0};
}

/* Page and block size of the file are reported from now on. No read transaction: it might need compression
** functions that are told later. */
static int learn_storage(lsm_db *db) {
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t word_count;
    int rc = shm_load_snapshot(db->shm, words, &word_count);

    if (rc == LSM_OK) {
        db->block_size = words[CHECKPOINT_BLOCK_SIZE];
        db->page_size = words[CHECKPOINT_PAGE_SIZE];
        rc = compression_arrive(db, words[CHECKPOINT_COMPRESSION]);
    }
    return rc;
}

int db_open(lsm_db *db, const char *path) {
    int rc;

    if (db->database) return LSM_MISUSE;
    error_clear(&db->error);
    db->not_a_database = false;
    rc = database_acquire(db, path);
    if (rc != LSM_OK) return db_report(db, rc);
    db->page_size = (uint32_t)db->config.page_size;
    db->block_size = (uint32_t)db_block_size_kb(db) * 1024;
    if (!db->config.read_only) {
        rc = database_connect_writer(db);
        if (rc == LSM_OK) {
            memtree_writer_init(&db->writer, db->env, db->shm, &db->locks, &db->error);
            log_writer_init(&db->log, db->database->env, db->database->log_path);
            shm_attach(db->shm, &db->locks);
            db->attached = true;
            rc = learn_storage(db);
            if (rc == LSM_OK && db->config.background) rc = background_join(db);
            if (rc != LSM_OK) {
                memtree_writer_release(&db->writer);
                log_writer_release(&db->log);
                database_disconnect_writer(db);
            }
        }
    }
    if (rc != LSM_OK) {
        (void)db_report(db, rc); /* while the path is known */
        forget_snapshot(db);     /* of a file that the next open may not mean */
        compression_leave(db);
        database_release(db);
    }
    return rc;
}

int db_close(lsm_db *db) {
    lsm_env *env;

    if (db == NULL) return LSM_OK;
    if (db_in_callback(db)) return LSM_MISUSE; /* of this very function, maybe */
    env = db->env;
    if (db->database) {
        if (db->cursors || db->level_count > 0) return LSM_MISUSE;
        error_clear(&db->error);
        read_txn_end_if_unused(db);
        background_leave(db);
        if (!db->config.read_only) {
            database_disconnect_writer(db);
            memtree_writer_release(&db->writer);
            log_writer_release(&db->log);
        }
        cursors_free_all(db);
        forget_snapshot(db);
        compression_leave(db);
        database_release(db);
    }
    lookup_scratch_release(&db->scratch);
    buffer_release(&db->given_key);
    buffer_release(&db->given_value);
    memory_free(env, db->marks);
    if (db->factory.xFree) db->factory.xFree(db->factory.pCtx);
    if (db->compress.xFree) db->compress.xFree(db->compress.pCtx);
    memory_free(env, db);
    return LSM_OK;
}

/* -------------------------------------------------------------------------------------- hooks -- */

void db_log(lsm_db *db, int rc, const char *format, ...) {
    char message[512];
    va_list arguments;

    if (db->log_hook == NULL) return;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    db->log_hook(db->log_context, rc, message);
}

/* Damage is reported with its place; other errors speak for themselves through their code. */
int db_report(lsm_db *db, int rc) {
    if (rc == LSM_OK) return rc;
    if (db->error.system_error == 0) db->error.system_error = os_last_error();
    if (rc == LSM_CORRUPT && db->error.code == LSM_CORRUPT) {
        db_log(db, rc, "%s: page %llu: %s", db->database ? db->database->path : "database",
               (unsigned long long)db->error.page_no, db->error.reason);
    }
    return rc;
}

const struct error_context *db_error(const lsm_db *db) {
    return &db->error;
}

bool db_open_found_foreign_file(const lsm_db *db) {
    return db->not_a_database;
}

void db_let_work_errors_wait(lsm_db *db) {
    db->work_errors_wait = true;
}

void db_set_log_hook(lsm_db *db, void (*hook)(void *, int, const char *), void *context) {
    db->log_hook = hook;
    db->log_context = context;
}

void db_set_work_hook(lsm_db *db, void (*hook)(lsm_db *, void *), void *context) {
    db->work_hook = hook;
    db->work_context = context;
}

lsm_env *db_env(const lsm_db *db) {
    return db->env;
}

bool db_lock_held_by_thread(lsm_db *db, int lock_no) {
    return db->shm != NULL && shm_lock_held_by_thread(db->shm, lock_no, os_thread_id());
}

int db_file_sizes(lsm_db *db, uint64_t *file, uint64_t *log) {
    struct os_file log_file = {0};
    struct os_file main_file;
    int rc;

    if (db->database == NULL) return LSM_MISUSE;
    main_file = database_file(db->database);
    rc = os_file_size(&main_file, file);
    if (rc != LSM_OK) return rc;
    *log = 0;
    rc = os_open(db->database->env, db->database->log_path, LSM_OPEN_READONLY, &log_file);
    if (rc == LSM_IOERR_NOENT) return LSM_OK;
    if (rc != LSM_OK) return rc;
    rc = os_file_size(&log_file, log);
    os_close(&log_file); /* nobody holds POSIX locks on the log */
    return rc;
}
