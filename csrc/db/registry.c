/*
** registry.c — the databases that this process has open, and their files. Who owns one: owner.c.
**
** INVARIANTS  (I1) one struct database per file: looked up by path, then by the file's identity, so that two
**             names of one file share locks and region, whatever environment it is opened through.
**             (I2) no descriptor of a database file is closed while another one of the process is in use:
**             closing any of them would drop all POSIX locks of the process on the file. So a file that is open
**             already is recognised by asking for what its name leads to, not by opening it.
** OWNERSHIP   a database, and all its connections share, comes from the environment of the connection that opened
**             it first. It also opens all files: a name may mean something else to another environment, which may
**             be gone before the database.
** LOCKING     the list: static mutex 0.
*/
#include "base/memory.h"
#include "db/db_internal.h"

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

/* ------------------------------------------------------------------------- a file and its path -- */

static bool is_file_of(const struct database *database, const uint8_t *id, size_t id_size) {
    return id_size == database->file_id_size && memcmp(id, database->file_id, id_size) == 0;
}

bool database_path_has_another_file(const struct database *database) {
    uint8_t id[FILE_ID_MAX] = {0};
    size_t id_size;

    os_path_id(database->env, database->path, id, sizeof id, &id_size);
    return id_size > 0 && database->file_id_size > 0 && !is_file_of(database, id, id_size);
}

bool database_path_changed(const struct database *database) {
    int kind;

    if (database_path_has_another_file(database)) return true;
    return os_path_kind(database->env, database->path, &kind) == LSM_OK && kind == OS_PATH_NONE;
}

/* A connection that still reads keeps the descriptor of a file that is gone: what is written there is lost. */
int database_check_path(lsm_db *db) {
    struct database *database = db->database;

    if (!database_path_changed(database)) return LSM_OK;
    if (!database_is_shared(database)) { /* since this connection has opened it: the next attempt finds what is there */
        return error_note(&db->error, LSM_BUSY, "the file has just been removed or replaced");
    }
    return error_note(&db->error, LSM_IOERR, "another connection has it open, and the path leads elsewhere now");
}

/* Readers that recovered privately go on with the descriptor they have. */
int database_make_writable(lsm_db *db) {
    struct database *database = db->database;
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
