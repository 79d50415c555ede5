/*
** bulk_reader.c — connections of a database handle that stay at one version: readers.
**
** A reader is pinned to one version as long as something refers to it, is shared by all that want that version, and
** is kept for the next one afterwards.
**
** OWNERSHIP   a database handle owns its readers.
** LOCKING     see bulk_internal.h: a reader's count is guarded by its mutex, and only the database handle, entered,
**             makes a 0 a 1.
*/
#include "api/bulk_internal.h"
#include "base/memory.h"

#define IDLE_READERS_KEPT 4

/* --------------------------------------------------------------------------------- connections -- */

struct bulk_connection *bulk_connection_of(struct handle *view) {
    return view->kind == HANDLE_DATABASE ? &view->main : view->connection;
}

void bulk_lock(struct bulk_connection *connection) {
    os_mutex_enter(lsm_default_env(), connection->mutex);
}

void bulk_unlock(struct bulk_connection *connection) {
    os_mutex_leave(lsm_default_env(), connection->mutex);
}

int bulk_connect(struct handle *database, lsm_db **out) {
    static const int copied[] = {LSM_CONFIG_READONLY, LSM_CONFIG_MULTIPLE_PROCESSES,
                                 LSM_CONFIG_MMAP, LSM_CONFIG_SAFETY, LSM_CONFIG_USE_LOG};
    lsm_db *db = NULL;
    size_t i;
    int rc = db_new(lsm_default_env(), &db);

    if (rc != LSM_OK) return rc;
    db_set_log_hook(db, NULL, NULL);
    for (i = 0; i < sizeof copied / sizeof copied[0]; i++) {
        int value = -1;
        (void)!db_config_integer(database->main.db, copied[i], &value);
        (void)!db_config_integer(db, copied[i], &value);
    }
    rc = db_open(db, db_path(database->main.db));
    if (rc == LSM_OK) {
        *out = db;
    } else {
        (void)!db_close(db);
    }
    return rc;
}

/* ------------------------------------------------------------------------------------- readers -- */

void bulk_reader_close(struct bulk_connection *reader) {
    db_cursor_close(reader->pin);
    (void)!db_close(reader->db);
    os_mutex_free(lsm_default_env(), reader->mutex);
    memory_free(lsm_default_env(), reader);
}

static int reader_open(struct handle *database, struct bulk_connection **out) {
    lsm_env *env = lsm_default_env();
    struct bulk_connection *reader = memory_allocate_zero(env, sizeof *reader);
    int rc = LSM_NOMEM;

    if (reader == NULL) return LSM_NOMEM;
    rc = os_mutex_new(env, &reader->mutex);
    if (rc != LSM_OK) goto fail;
    rc = bulk_connect(database, &reader->db);
    if (rc != LSM_OK) goto fail;
    reader->next = database->readers;
    database->readers = reader;
    *out = reader;
    return LSM_OK;
fail:
    os_mutex_free(env, reader->mutex);
    memory_free(env, reader);
    return rc;
}

/* The newest committed version. False: not to be had. */
static bool newest_version(struct bulk_connection *main, struct db_version *out) {
    int rc;

    bulk_lock(main);
    rc = db_get_version(main->db, out);
    bulk_unlock(main);
    return rc == LSM_OK;
}

/* One more reference, if the reader is of the version wanted; *idle: nobody has one. */
static bool join_reader(struct bulk_connection *reader, const struct db_version *wanted, bool *idle) {
    bool joined;

    bulk_lock(reader);
    *idle = reader->references == 0;
    joined = wanted && !*idle && db_version_equal(&reader->version, wanted);
    if (joined) reader->references++;
    bulk_unlock(reader);
    return joined;
}

/* Pin an idle reader to the newest version. */
static int pin_reader(struct handle *handle, struct bulk_connection *reader) {
    struct bulk_wait wait = {0};
    int rc;

    do {
        rc = db_cursor_open(reader->db, &reader->pin);
    } while (rc == LSM_BUSY &&
             bulk_wait_again(handle, reader->db, &wait, 0, LSM_BULK_LOCK_SNAPSHOT));
    if (rc == LSM_OK) {
        rc = db_get_version(reader->db, &reader->version);
    }
    if (rc != LSM_OK) {
        (void)bulk_fail(handle, reader->db, rc);
        db_cursor_close(reader->pin);
        reader->pin = NULL;
    } else {
        reader->references = 1;
    }
    return rc;
}

/* Each idle reader keeps what it knew about an old version. After many at a time, all but a few are closed. */
static void close_idle_readers(struct handle *database) {
    struct bulk_connection **link = &database->readers;
    uint32_t kept = 0;

    while (*link) {
        struct bulk_connection *reader = *link;
        bool idle;
        bulk_lock(reader);
        idle = reader->references == 0; /* and stays it: see bulk_internal.h */
        bulk_unlock(reader);
        if (idle && ++kept > IDLE_READERS_KEPT) {
            *link = reader->next;
            bulk_reader_close(reader);
        } else {
            link = &reader->next;
        }
    }
}

int bulk_reader_acquire(struct handle *handle, struct handle *database,
                        struct bulk_connection **out) {
    struct db_version newest;
    struct bulk_connection *reader;
    struct bulk_connection *idle = NULL;
    uint32_t idle_count = 0;
    bool known;
    int rc;

    if (!db_is_open(database->main.db)) { /* not yet: a handle lives from lsm_bulk_new on */
        (void)bulk_fail(handle, NULL, LSM_MISUSE);
        return LSM_MISUSE;
    }
    known = newest_version(&database->main, &newest);
    for (reader = database->readers; reader; reader = reader->next) {
        bool is_idle;
        if (join_reader(reader, known ? &newest : NULL, &is_idle)) {
            *out = reader;
            return LSM_OK;
        }
        if (is_idle) idle = reader; /* and stays it: see bulk_internal.h */
        idle_count += is_idle;
    }
    if (idle == NULL) {
        rc = reader_open(database, &idle);
        if (rc != LSM_OK) {
            (void)bulk_fail(handle, NULL, rc);
            return rc;
        }
    }
    bulk_lock(idle);
    rc = pin_reader(handle, idle);
    bulk_unlock(idle);
    if (rc == LSM_OK) *out = idle;
    if (idle_count > IDLE_READERS_KEPT) close_idle_readers(database);
    return rc;
}

void bulk_reader_share(struct bulk_connection *reader) {
    bulk_lock(reader);
    reader->references++;
    bulk_unlock(reader);
}

uint32_t bulk_readers_in_use(struct handle *database) {
    struct bulk_connection *reader;
    uint32_t count = 0;

    for (reader = database->readers; reader; reader = reader->next) {
        bulk_lock(reader);
        count += reader->references > 0;
        bulk_unlock(reader);
    }
    return count;
}

void bulk_reader_release(struct bulk_connection *reader) {
    if (--reader->references > 0) return;
    db_cursor_close(reader->pin);
    reader->pin = NULL;
}
