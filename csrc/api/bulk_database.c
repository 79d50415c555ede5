/*
** bulk_database.c — database handles: open and close, errors, waiting for locks, the end of children.
**
** OWNERSHIP   a database handle owns its main connection, its readers (bulk_reader.c) and its children.
*/
#include <stdio.h>

#include "api/bulk_internal.h"
#include "base/memory.h"
#include "format/format_shm.h"

#define BUSY_TIMEOUT_DEFAULT_MS 5000

uint32_t lsm_bulk_abi(void) {
    return LSM_BULK_ABI;
}

/* -------------------------------------------------------------------------------------- errors -- */

void bulk_begin_call(struct handle *handle) {
    handle->error.code = 0;
    if (handle->pending.size > 0) buffer_release(&handle->pending);
    handle->pending_consumes = false;
}

static const char *code_text(int rc) {
    switch (rc) {
        case LSM_BUSY: return "locked";
        case LSM_NOMEM: return "out of memory";
        case LSM_READONLY: return "the database is read-only";
        case LSM_IOERR: return "input/output error";
        case LSM_IOERR_NOENT: return "no such file or directory";
        case LSM_CORRUPT: return "the file is damaged";
        case LSM_FULL: return "no space left";
        case LSM_PROTOCOL: return "the shared header is not readable";
        case LSM_MISUSE: return "not allowed in this state";
        case LSM_MISMATCH: return "the database needs other compression functions";
        default: return "error";
    }
}

int32_t bulk_fail_text(struct handle *handle, uint32_t code, const char *text) {
    handle->error = (struct bulk_error){.code = code};
    snprintf(handle->error.text, sizeof handle->error.text, "%s", text);
    return LSM_BULK_ERROR;
}

int32_t bulk_fail_no_handle(struct handle *handle) {
    if (!handle_table_is_full()) return bulk_fail(handle, NULL, LSM_NOMEM);
    return bulk_fail_text(handle, LSM_FULL, "65,535 handles are open already");
}

int32_t bulk_fail(struct handle *handle, const lsm_db *db, int rc) {
    const struct error_context *context = db ? db_error(db) : NULL;
    struct bulk_error *error = &handle->error;
    char system_text[128] = "";
    const char *reason;

    if (rc == LSM_BUSY && error->code == LSM_BUSY) return LSM_BULK_ERROR; /* noted by the wait */
    *error = (struct bulk_error){.code = (uint32_t)rc};
    if (context && context->code != LSM_OK) {
        error->page = context->page_no;
        if (rc == LSM_CORRUPT && db_open_found_foreign_file(db)) {
            error->code = LSM_BULK_NOTADB;
        }
    }
    if (context && (rc == LSM_IOERR || rc == LSM_IOERR_NOENT || rc == LSM_FULL)) {
        error->system_error = (uint32_t)context->system_error;
        if (context->system_error) {
            os_error_text(context->system_error, system_text, sizeof system_text);
        }
    }
    reason = context && context->reason ? context->reason : code_text(rc);
    if (system_text[0] && rc == LSM_IOERR && !context->reason) reason = ""; /* the system says more */
    snprintf(error->text, sizeof error->text, "%s%s%s", reason,
             reason[0] && system_text[0] ? ": " : "", system_text);
    return LSM_BULK_ERROR;
}

static int32_t write_error(const struct bulk_error *error, uint8_t *out, uint32_t capacity) {
    uint8_t frame[32 + BULK_TEXT_MAX];
    uint32_t text_size = (uint32_t)strlen(error->text);
    uint32_t size = 32 + text_size;

    put_u32_little(frame, error->code);
    put_u32_little(frame + 4, error->system_error);
    put_u32_little(frame + 8, (uint32_t)error->page);
    put_u32_little(frame + 12, (uint32_t)(error->page >> 32));
    put_u32_little(frame + 16, error->lock);
    put_u32_little(frame + 20, error->waited_ms);
    put_u32_little(frame + 24, error->holder);
    put_u32_little(frame + 28, text_size);
    memcpy(frame + 32, error->text, text_size);
    if (size > capacity) size = capacity;
    if (size) memcpy(out, frame, size);
    return (int32_t)size;
}

int32_t lsm_bulk_error(uint32_t id, uint8_t *out, uint32_t capacity) {
    struct handle *handle;
    int32_t result = handle_enter(id, HANDLE_ANY, &handle);

    if (result != LSM_OK) return result;
    result = write_error(&handle->error, out, capacity);
    handle_leave(handle);
    return result;
}

/* ------------------------------------------------------------------------------ pending results -- */

int32_t bulk_keep(struct handle *handle, const void *data, size_t size) {
    buffer_reset(&handle->pending);
    buffer_append(&handle->pending, data, size);
    if (handle->pending.rc != LSM_OK) {
        buffer_release(&handle->pending);
        return bulk_fail(handle, NULL, LSM_NOMEM);
    }
    return LSM_BULK_TOO_SMALL;
}

int32_t lsm_bulk_pending(uint32_t id, uint8_t *out, uint32_t capacity) {
    struct handle *handle;
    int32_t result = handle_enter(id, HANDLE_ANY, &handle);

    if (result != LSM_OK) return result;
    if (capacity < 8) {
        result = LSM_BULK_MISUSE;
    } else if (handle->pending.size == 0) {
        result = 0;
    } else {
        put_u32_little(out, (uint32_t)handle->pending.size);
        put_u32_little(out + 4, (uint32_t)((uint64_t)handle->pending.size >> 32));
        result = 8;
    }
    handle_leave(handle);
    return result;
}

int32_t lsm_bulk_take(uint32_t id, uint32_t offset, uint8_t *out, uint32_t capacity) {
    struct handle *handle;
    int32_t result = handle_enter(id, HANDLE_ANY, &handle);
    size_t size;

    if (result != LSM_OK) return result;
    if (offset > handle->pending.size || capacity > 0x7fffffffu) {
        handle_leave(handle);
        return LSM_BULK_MISUSE;
    }
    size = handle->pending.size - offset;
    if (size > capacity) size = capacity;
    if (size) memcpy(out, handle->pending.data + offset, size);
    if (offset + size == handle->pending.size && handle->pending.size > 0) {
        buffer_release(&handle->pending);
        if (handle->pending_consumes) {
            handle->scan.pending_record = false;
            if (handle->scan.remaining != UINT32_MAX) handle->scan.remaining--;
            handle->pending_consumes = false;
        }
    }
    handle_leave(handle);
    return (int32_t)size;
}

/* ------------------------------------------------------------------------------------- waiting -- */

bool bulk_wait_again(struct handle *handle, lsm_db *db, struct bulk_wait *wait, int lock_no,
                     uint32_t lock_name) {
    struct handle *database = handle->parent ? handle->parent : handle;
    uint64_t now = os_time_ms();
    bool own = lock_no != 0 && db_lock_held_by_thread(db, lock_no);
    struct bulk_error *error = &handle->error;

    if (wait->started_ms == 0) {
        wait->started_ms = now ? now : 1;
        wait->pause_us = 100;
    }
    if (!own && !wait->in_vain && now - wait->started_ms < database->busy_timeout_ms) {
        os_sleep(lsm_default_env(), wait->pause_us);
        if (wait->pause_us < 20000) wait->pause_us *= 2;
        return true;
    }
    *error = (struct bulk_error){.code = LSM_BUSY, .lock = lock_name};
    error->waited_ms = (uint32_t)(now - wait->started_ms);
    error->holder = own ? 2 : db_is_open(db) ? 1 : 0;
    snprintf(error->text, sizeof error->text, "%s",
             own ? "another connection of this thread holds the lock, so waiting would never end"
                 : db_error(db)->reason ? db_error(db)->reason : "locked");
    return false;
}

/* ------------------------------------------------------------------------------------ open, close -- */

uint32_t lsm_bulk_new(void) {
    struct handle *handle = handle_new(HANDLE_DATABASE, NULL);
    lsm_env *env = lsm_default_env();
    uint32_t id;

    if (handle == NULL) return 0;
    handle->busy_timeout_ms = BUSY_TIMEOUT_DEFAULT_MS;
    handle->create = true;
    if (db_new(env, &handle->main.db) != LSM_OK) goto fail;
    if (os_mutex_new(env, &handle->main.mutex) != LSM_OK) goto fail;
    db_set_log_hook(handle->main.db, NULL, NULL); /* details travel in the error frame */
    db_let_work_errors_wait(handle->main.db);
    id = handle->id;
    handle_leave(handle);
    return id;
fail:
    if (handle->main.db) (void)!db_close(handle->main.db);
    handle_remove(handle);
    handle_free(handle);
    return 0;
}

int32_t lsm_bulk_config(uint32_t id, int32_t verb, int32_t value) {
    struct handle *handle;
    int32_t result = handle_enter(id, HANDLE_DATABASE, &handle);
    int integer = value;

    if (result != LSM_OK) return result;
    switch (verb) {
        case LSM_BULK_CONFIG_BUSY_TIMEOUT:
            if (value >= 0) handle->busy_timeout_ms = (uint32_t)value;
            result = (int32_t)handle->busy_timeout_ms;
            break;
        case LSM_BULK_CONFIG_CREATE:
            if (value >= 0) handle->create = value != 0;
            result = handle->create;
            break;
        case LSM_BULK_CONFIG_MUST_BE_NEW:
            if (value >= 0) handle->must_be_new = value != 0;
            result = handle->must_be_new;
            break;
        default:
            result = db_config_integer(handle->main.db, verb, &integer) == LSM_OK ? integer
                                                                                   : LSM_BULK_MISUSE;
            break;
    }
    handle_leave(handle);
    return result;
}

/* What stands at the path, before anything is created. Whether it has to be there, or may not, is for `open` only. */
static int32_t check_path(struct handle *handle, const char *path, bool open) {
    int kind = OS_PATH_NONE;
    int rc = os_path_kind(lsm_default_env(), path, &kind);

    if (rc != LSM_OK) return LSM_OK; /* the open will tell */
    if (kind == OS_PATH_DIRECTORY) return bulk_fail_text(handle, LSM_BULK_ISDIR, "is a directory");
    if (kind == OS_PATH_OTHER) { /* a device, say, which would look like an empty file */
        return bulk_fail_text(handle, LSM_BULK_NOTADB, "it is no regular file");
    }
    if (open && kind == OS_PATH_NONE && !handle->create) {
        return bulk_fail_text(handle, LSM_IOERR_NOENT, "no such file");
    }
    if (open && kind != OS_PATH_NONE && handle->must_be_new) {
        return bulk_fail_text(handle, LSM_BULK_EXISTS, "the file exists");
    }
    return LSM_OK;
}

int32_t bulk_copy_path(struct handle *handle, const uint8_t *path, uint32_t path_size, char **out) {
    char *text;

    if (path == NULL || path_size == 0 || path_size > 65536 || memchr(path, 0, path_size) != NULL) {
        return LSM_BULK_MISUSE;
    }
    text = memory_allocate(lsm_default_env(), path_size + 1);
    if (text == NULL) return bulk_fail(handle, NULL, LSM_NOMEM);
    memcpy(text, path, path_size);
    text[path_size] = 0;
    *out = text;
    return LSM_OK;
}

int32_t lsm_bulk_open(uint32_t id, const uint8_t *path, uint32_t path_size) {
    struct handle *handle;
    int32_t result = handle_enter(id, HANDLE_DATABASE, &handle);
    struct bulk_wait wait = {0};
    char *text = NULL;
    int rc;

    if (result != LSM_OK) return result;
    bulk_begin_call(handle);
    result = bulk_copy_path(handle, path, path_size, &text);
    if (result == LSM_OK) result = check_path(handle, text, true);
    if (result != LSM_OK) goto done;
    do {
        rc = db_open(handle->main.db, text);
    } while (rc == LSM_BUSY &&
             bulk_wait_again(handle, handle->main.db, &wait, 0, LSM_BULK_LOCK_OPEN));
    if (rc != LSM_OK) result = bulk_fail(handle, handle->main.db, rc);
done:
    memory_free(lsm_default_env(), text);
    handle_leave(handle);
    return result;
}

int32_t lsm_bulk_destroy(uint32_t id, const uint8_t *path, uint32_t path_size) {
    struct bulk_wait wait = {.in_vain = true};
    struct handle *handle;
    int32_t result = handle_enter(id, HANDLE_DATABASE, &handle);
    bool found = false;
    char *text = NULL;
    int rc;

    if (result != LSM_OK) return result;
    bulk_begin_call(handle);
    result = bulk_copy_path(handle, path, path_size, &text);
    if (result == LSM_OK) result = check_path(handle, text, false);
    if (result != LSM_OK) goto done;
    rc = db_destroy(handle->main.db, text, &found);
    if (rc == LSM_BUSY) (void)bulk_wait_again(handle, handle->main.db, &wait, 0, LSM_BULK_LOCK_OPEN);
    result = rc == LSM_OK ? found : bulk_fail(handle, handle->main.db, rc);
done:
    memory_free(lsm_default_env(), text);
    handle_leave(handle);
    return result;
}

static void end_children(struct handle *database, uint32_t above_level, bool live_only) {
    struct handle *child;
    bool busy;

    for (;;) {
        child = handle_enter_child(database, above_level, live_only, &busy);
        if (child) {
            bulk_end_child(child);
        } else if (busy) {
            os_sleep(lsm_default_env(), 500); /* a call in flight on another thread: it will end */
        } else {
            return;
        }
    }
}

void bulk_end_levels(struct handle *database, uint32_t depth) {
    if (database->children) end_children(database, depth, true);
}

/* Entered. Removes and frees the handle. `quietly`: the thread is ending, nobody hears of failures. */
void bulk_close_database(struct handle *handle, bool quietly) {
    lsm_db *db = handle->main.db;
    struct bulk_connection *reader;
    int rc = LSM_OK;

    end_children(handle, 0, false);
    while ((reader = handle->readers) != NULL) {
        handle->readers = reader->next;
        bulk_reader_close(reader);
    }
    if (db_is_open(db)) {
        int read_only = -1;
        if (db_depth(db) > 0) rc = db_rollback(db, 0);
        (void)!db_config_integer(db, LSM_CONFIG_READONLY, &read_only);
        if (!quietly && !read_only) {
            /* lsm_close does not tell of failures, so what it would do is done first. LSM_BUSY: somebody
            ** else is connected and will do it. */
            int flush_rc = db_flush(db);
            if (flush_rc == LSM_OK) flush_rc = db_checkpoint_call(db, NULL);
            if (rc == LSM_OK && flush_rc != LSM_BUSY) rc = flush_rc;
            if (rc != LSM_OK) (void)bulk_fail(handle, db, rc);
        }
    }
    (void)!db_close(db);
    handle->main.db = NULL;
    handle_remove(handle);
    os_mutex_free(lsm_default_env(), handle->main.mutex);
    if (quietly) handle_free(handle);
}

int32_t lsm_bulk_close(uint32_t id, uint8_t *error, uint32_t error_capacity) {
    struct handle *handle;
    int32_t result = handle_enter(id, HANDLE_DATABASE, &handle);

    if (result == LSM_BULK_CLOSED) return 0;
    if (result != LSM_OK) return result;
    bulk_begin_call(handle);
    bulk_close_database(handle, false);
    result = handle->error.code ? LSM_BULK_ERROR : 0;
    if (result != 0) (void)write_error(&handle->error, error, error_capacity);
    handle_free(handle);
    return result;
}

void lsm_bulk_shutdown(void) {
    uint32_t index = 0;
    uint32_t id;

    while ((id = handle_next_database(index)) != 0) {
        struct handle *handle;
        if (handle_enter(id, HANDLE_DATABASE, &handle) == LSM_OK) bulk_close_database(handle, true);
        index = (id & 0xffffu) + 1; /* one in use by another thread is left to it */
    }
}

/* ---------------------------------------------------------------------------- children -- */

void bulk_end_child(struct handle *child) {
    struct bulk_connection *connection = child->connection;

    if (connection) {
        bulk_lock(connection);
        db_cursor_close(child->cursor);
        child->cursor = NULL;
        if (!child->live) bulk_reader_release(connection);
        bulk_unlock(connection);
    }
    bulk_task_free(child->task); /* it works on the other two */
    db_backup_free(child->backup);
    bulk_verify_free(child->verify);
    handle_remove(child);
    handle_free(child);
}

int32_t lsm_bulk_end(uint32_t id) {
    struct handle *handle;
    int32_t result = handle_enter(id, HANDLE_ANY & ~HANDLE_DATABASE, &handle);

    if (result == LSM_BULK_CLOSED) return 0;
    if (result != LSM_OK) return result;
    bulk_end_child(handle);
    return 1;
}

uint32_t lsm_bulk_snapshot(uint32_t id) {
    struct handle *database;
    struct handle *snapshot;
    uint32_t result = 0;

    if (handle_enter(id, HANDLE_DATABASE, &database) != LSM_OK) return 0;
    bulk_begin_call(database);
    snapshot = handle_new(HANDLE_SNAPSHOT, database);
    if (snapshot == NULL) {
        (void)bulk_fail_no_handle(database);
    } else if (bulk_reader_acquire(database, database, &snapshot->connection) != LSM_OK) {
        snapshot->connection = NULL;
        bulk_end_child(snapshot);
    } else {
        result = snapshot->id;
        handle_leave(snapshot);
    }
    handle_leave(database);
    return result;
}
