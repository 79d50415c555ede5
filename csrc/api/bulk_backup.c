/*
** bulk_backup.c — copies of a database in steps, behind a handle of their own.
**
** OWNERSHIP   A backup is a child of its database handle, with a connection to the source and one
**             to the target of its own: steps do not hinder calls on the database handle.
*/
#include "api/bulk_internal.h"
#include "base/memory.h"

#define STEP_KB 256u /* of a task: how long it does not look up */

/* What stands where the copy will be, before anything is touched. */
static int32_t check_target(struct handle *database, const char *path, uint32_t flags) {
    int kind = OS_PATH_NONE;

    /* If nothing can be said, later calls will tell. */
    if (os_path_kind(lsm_default_env(), path, &kind) != LSM_OK) return LSM_OK;
    if (kind == OS_PATH_DIRECTORY) {
        return bulk_fail_text(database, LSM_BULK_ISDIR, "is a directory");
    }
    if (kind == OS_PATH_OTHER || (kind != OS_PATH_NONE && !(flags & LSM_BULK_OVERWRITE))) {
        return bulk_fail_text(database, LSM_BULK_EXISTS, "the file exists");
    }
    return LSM_OK;
}

static int32_t start(struct handle *database, struct handle *backup, const char *path,
                     uint32_t flags) {
    lsm_db *db = database->main.db;
    struct bulk_wait wait = {.in_vain = true}; /* the target is in use: for long, and maybe by this thread */
    int32_t result = check_target(database, path, flags);
    int rc;

    if (result != LSM_OK) return result;
    bulk_lock(&database->main);
    do {
        rc = db_backup_new(db, path, (flags & LSM_BULK_OVERWRITE) != 0, &backup->backup);
    } while (rc == LSM_BUSY && bulk_wait_again(database, db, &wait, 0, LSM_BULK_LOCK_OPEN));
    if (rc == LSM_ERROR) { /* the target, or a log beside it, has appeared */
        const char *reason = db_error(db)->reason;
        result = bulk_fail_text(database, LSM_BULK_EXISTS, reason ? reason : "the file exists");
    } else if (rc != LSM_OK) {
        result = bulk_fail(database, db, rc);
    }
    bulk_unlock(&database->main);
    return result;
}

uint32_t lsm_bulk_backup(uint32_t id, const uint8_t *path, uint32_t path_size, uint32_t flags) {
    struct handle *database;
    struct handle *backup = NULL;
    char *text = NULL;
    uint32_t result = 0;

    if (handle_enter(id, HANDLE_DATABASE, &database) != LSM_OK) return 0;
    bulk_begin_call(database);
    if ((flags & ~LSM_BULK_OVERWRITE) != 0 || bulk_copy_path(database, path, path_size, &text) == LSM_BULK_MISUSE) {
        (void)bulk_fail_text(database, LSM_MISUSE, "malformed path or flags");
        goto done;
    }
    if (text == NULL) goto done; /* no memory: told already */
    backup = handle_new(HANDLE_BACKUP, database);
    if (backup == NULL) {
        (void)bulk_fail_no_handle(database);
        goto done;
    }
    if (start(database, backup, text, flags) != LSM_OK) goto done;
    result = backup->id;
    handle_leave(backup);
    backup = NULL;
done:
    if (backup) bulk_end_child(backup);
    memory_free(lsm_default_env(), text);
    handle_leave(database);
    return result;
}

int bulk_backup_run(struct handle *handle) {
    uint64_t done = 0;
    uint64_t total = 0;
    bool finished = false;
    int rc = LSM_OK;

    while (rc == LSM_OK && !finished) {
        rc = db_backup_step(handle->backup, STEP_KB, &done, &total, &finished);
        /* A copy that is complete stays, whoever has lost patience. */
        if (rc == LSM_OK) rc = bulk_task_note(handle->task, done, total);
        if (finished) rc = LSM_OK;
    }
    return rc;
}

int32_t lsm_bulk_backup_step(uint32_t id, uint32_t kb, uint8_t *out, uint32_t capacity) {
    struct handle *backup;
    uint64_t done = 0;
    uint64_t total = 0;
    bool finished = false;
    int32_t result;
    int rc;

    if (capacity < LSM_BULK_PROGRESS_SIZE) return LSM_BULK_MISUSE;
    result = handle_enter(id, HANDLE_BACKUP, &backup);
    if (result != LSM_OK) return result;
    bulk_begin_call(backup);
    if (backup->task) {
        handle_leave(backup);
        return LSM_BULK_MISUSE;
    }
    rc = db_backup_step(backup->backup, kb, &done, &total, &finished);
    if (rc == LSM_OK) {
        bulk_put_progress(out, done, total);
        result = finished ? 1 : 0;
    } else {
        result = bulk_fail(backup, db_backup_reader(backup->backup), rc);
    }
    handle_leave(backup);
    return result;
}
