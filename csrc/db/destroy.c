/*
** destroy.c — removing a database: only what is one, and only what nobody has open.
**
** LOCKING     `connect` of the database, so that nobody of this process begins to use it meanwhile, and DMS1 of the
**             file, which whoever connects elsewhere takes first. Whoever had to wait for one of them, another
**             removal included, looks again where the path leads.
** ERRORS      LSM_BUSY: it is open. LSM_CORRUPT, with db_open_found_foreign_file: not a database. LSM_MISUSE: a symbolic
**             link. The files go in an order in which what is left after a failure is a database, or nothing of it.
*/
#include "base/memory.h"
#include "db/db_internal.h"
#include "snapshot/checkpoint.h"

/* A database all the same if it is damaged, or in a form that needs the functions of somebody else. */
static int refuse_foreign(lsm_db *db, struct database *database) {
    struct os_file log_file = {0};
    struct snapshot snapshot = {.env = db->env};
    enum checkpoint_kind kind = CHECKPOINT_EMPTY;
    uint64_t log_size = 0;
    uint32_t meta_page;
    int rc = os_open(database->env, database->log_path, LSM_OPEN_READONLY, &log_file);

    if (rc == LSM_OK) rc = os_file_size(&log_file, &log_size);
    os_close(&log_file);
    if (rc == LSM_OK || rc == LSM_IOERR_NOENT) {
        rc = checkpoint_load(db->env, &database->file, log_size, compression_expects_packed(db), &db->error, &kind,
                             &snapshot, &meta_page);
    }
    snapshot_release(&snapshot);
    if (rc == LSM_CORRUPT) {
        error_clear(&db->error);
        rc = LSM_OK;
    }
    if (rc != LSM_OK || kind != CHECKPOINT_FOREIGN) return rc;
    db->not_a_database = true;
    return error_corrupt(&db->error, 1, "not a database");
}

static int remove_one(lsm_db *db, const char *path, const char *suffix) {
    struct buffer name;
    int rc;

    buffer_init(&name, db->env);
    buffer_append(&name, path, strlen(path));
    buffer_append(&name, suffix, strlen(suffix) + 1);
    rc = name.rc;
    if (rc == LSM_OK) rc = os_unlink(db->env, (const char *)name.data);
    buffer_release(&name);
    return rc == LSM_IOERR_NOENT ? LSM_OK : rc;
}

static int remove_files(lsm_db *db, const struct database *database) {
    /* Without the log the file is an older state of itself; without the file the log is nothing. */
    static const char *const suffixes[] = {"-shm", LOG_SUFFIX, ""};
    int rc = LSM_OK;

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0] && rc == LSM_OK; i++) {
        rc = remove_one(db, database->path, suffixes[i]);
    }
    if (rc == LSM_OK) rc = os_sync_directory(database->env, database->path);
    return error_note(&db->error, rc, "a file could not be deleted");
}

/* `connect` held. */
static int remove_if_free(lsm_db *db, struct database *database) {
    int rc;

    if (database_is_shared(database)) return error_note(&db->error, LSM_BUSY, "it is open in this process");
    rc = os_lock(&database->file, LOCK_DMS1, LSM_LOCK_EXCL);
    if (rc != LSM_OK) return error_note(&db->error, rc, "another process has the database open");
    if (database_path_changed(database)) { /* it is not this file that would be removed */
        rc = error_note(&db->error, LSM_BUSY, "another process has just removed or replaced it");
        goto done;
    }
    rc = os_test_lock(&database->file, LOCK_DMS2, LOCK_COUNT - LOCK_DMS2, LSM_LOCK_EXCL);
    if (rc != LSM_OK) error_note(&db->error, rc, "another process has the database open");
    if (rc == LSM_OK) rc = refuse_foreign(db, database);
    if (rc == LSM_OK) rc = remove_files(db, database);
done:
    (void)!os_lock(&database->file, LOCK_DMS1, LSM_LOCK_UNLOCK); /* the lock goes with the descriptor */
    return rc;
}

int db_destroy(lsm_db *db, const char *path, bool *found) {
    int kind = OS_PATH_FILE;
    int rc;

    *found = false;
    if (db->database) return LSM_MISUSE;
    error_clear(&db->error);
    db->not_a_database = false;
    if (os_path_kind(db->env, path, &kind) == LSM_OK && kind == OS_PATH_NONE) return LSM_OK;
    if (os_path_is_link(db->env, path)) {
        return error_note(&db->error, LSM_MISUSE, "it is a symbolic link; name the file that it leads to");
    }
    rc = database_acquire(db, path);
    if (rc != LSM_OK) return db_report(db, rc);
    os_mutex_enter(db->database->env, db->database->connect);
    rc = db_report(db, remove_if_free(db, db->database));
    os_mutex_leave(db->database->env, db->database->connect);
    database_release(db);
    *found = rc == LSM_OK;
    return rc;
}
