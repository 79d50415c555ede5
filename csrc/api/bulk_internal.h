/*
** bulk_internal.h — what stands behind a u32 handle.
**
** INVARIANTS  (I1) a handle's object is used only between handle_enter and handle_leave; the thread of a task
**             uses only what bulk_task.c says.
**             (I2) a connection is used only with its mutex held: scans that share a reader may be pulled by
**             several threads.
**             (I3) children (scans, cursors, snapshots, backups, verifications) never outlive their database
**             handle.
** LOCKING     handle table (static mutex 1, never held across other work) -> mutex of a connection.
*/
#ifndef LSM_API_BULK_INTERNAL_H
#define LSM_API_BULK_INTERNAL_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "db/db.h"
#include "lsm_bulk.h"
#include "os/os.h"

#define BULK_TEXT_MAX 256

enum handle_kind {
    HANDLE_DATABASE = 1,
    HANDLE_SNAPSHOT = 2,
    HANDLE_SCAN = 4,
    HANDLE_CURSOR = 8,
    HANDLE_BACKUP = 16,
    HANDLE_VERIFY = 32
};
#define HANDLE_VIEW (HANDLE_DATABASE | HANDLE_SNAPSHOT)
#define HANDLE_TASK (HANDLE_BACKUP | HANDLE_VERIFY)
#define HANDLE_ANY 63

/* A connection and the right to use it. */
struct bulk_connection {
    lsm_db *db;
    lsm_mutex *mutex;
    struct bulk_connection *next; /* readers of one database handle */
    /* Of a reader, guarded by its mutex. Only the database handle, entered, makes a 0 a 1. */
    uint32_t references;          /* snapshots, scans and cursors that pin its version */
    lsm_cursor *pin;              /* keeps its read transaction open while referenced */
    struct db_version version;    /* that it is pinned to */
};

struct bulk_error {
    uint32_t code;
    uint32_t system_error;
    uint64_t page;
    uint32_t lock;
    uint32_t waited_ms;
    uint32_t holder; /* 0 elsewhere, 1 in this process, 2 in this thread */
    char text[BULK_TEXT_MAX];
};

enum scan_state { SCAN_NEW, SCAN_RUNNING, SCAN_ENDED };

struct bulk_scan {
    uint32_t flags;
    uint32_t remaining;
    enum scan_state state;
    bool pending_record; /* the entry the cursor stands on was not delivered yet */
    struct slice lower;
    struct slice upper;
    struct buffer bounds; /* of a handle: holds the two */
};

enum cursor_place { CURSOR_NOWHERE, CURSOR_ON_ENTRY, CURSOR_BEFORE_FIRST, CURSOR_AFTER_LAST };

struct handle {
    uint32_t id;
    enum handle_kind kind;
    bool in_use;              /* guarded by the table */
    bool ending;              /* the same: its database wants it to end, nobody may enter it any more */
    struct handle_owner *owner; /* of a database handle: closed when that thread ends */
    struct handle *parent;    /* the database handle of a child */
    struct handle *next_child;
    struct handle **child_link; /* what points to it: there may be thousands, ended in any order */
    struct handle *children;  /* of a database handle */
    struct handle *next_owned;
    struct bulk_error error;
    struct buffer pending;
    bool pending_consumes;    /* taking the pending result moves the scan on */

    /* HANDLE_DATABASE */
    struct bulk_connection main;
    struct bulk_connection *readers;
    uint32_t busy_timeout_ms;
    bool create;
    bool must_be_new;

    /* the others */
    struct bulk_connection *connection;
    bool live;                /* on the main connection, in a transaction */
    uint32_t level;           /* the level it was opened in */
    lsm_cursor *cursor;
    struct bulk_scan scan;
    enum cursor_place place;
    struct db_backup *backup;   /* of a HANDLE_BACKUP, and */
    struct bulk_verify *verify; /* of a HANDLE_VERIFY, which have no connection of the handle's */
    struct bulk_task *task;     /* NULL until lsm_bulk_run */
};

/* --- handle_table.c --- */
struct handle *handle_new(enum handle_kind kind, struct handle *parent); /* in use by the caller */
/* LSM_OK, LSM_BULK_CLOSED or LSM_BULK_IN_USE. */
int32_t handle_enter(uint32_t id, unsigned kinds, struct handle **out);
void handle_leave(struct handle *handle);
/* No memory, or no slot? */
bool handle_table_is_full(void);
/* A child of `database` (all, or only live ones in levels above `above_level`), entered, to be ended. NULL: none;
** *busy: only children that another thread is inside of; its next call finds them closed. */
struct handle *handle_enter_child(struct handle *database, uint32_t above_level, bool live_only,
                                  bool *busy);
/* Remove from the table; the object is the caller's to free. Requires entered. */
void handle_remove(struct handle *handle);
void handle_free(struct handle *handle);
/* All handles of the process, for shutdown: ids of databases. */
uint32_t handle_next_database(uint32_t after);

/* --- bulk_reader.c --- */
struct bulk_connection *bulk_connection_of(struct handle *view);
void bulk_lock(struct bulk_connection *connection);
void bulk_unlock(struct bulk_connection *connection);
/* A reader connection pinned to the newest committed version. `handle` takes the errors. */
int bulk_reader_acquire(struct handle *handle, struct handle *database, struct bulk_connection **out);
/* Requires the reader's mutex. */
void bulk_reader_release(struct bulk_connection *reader);
/* One more reference to a reader that the caller holds one to. */
void bulk_reader_share(struct bulk_connection *reader);
/* How many versions are pinned. */
uint32_t bulk_readers_in_use(struct handle *database);
/* One more connection to the file of a database, with its settings; closed by the caller. */
int bulk_connect(struct handle *database, lsm_db **out);
/* Nothing refers to it, and it is on no list any more. */
void bulk_reader_close(struct bulk_connection *reader);

/* --- bulk_database.c --- */
/* Call when entered: forget the last error and pending result. */
void bulk_begin_call(struct handle *handle);
/* Turn a result code of db into LSM_BULK_ERROR, details noted on `handle`. */
int32_t bulk_fail(struct handle *handle, const lsm_db *db, int rc);
int32_t bulk_fail_text(struct handle *handle, uint32_t code, const char *text);
/* handle_new gave none. */
int32_t bulk_fail_no_handle(struct handle *handle);
/* Keep `data` as the pending result. */
int32_t bulk_keep(struct handle *handle, const void *data, size_t size);
/* End children of a database that live in a level above `depth`. No connection's mutex may be held: a call in flight
** on a child is waited for. */
void bulk_end_levels(struct handle *database, uint32_t depth);
/* End one child. Requires entered; removes and frees it. */
void bulk_end_child(struct handle *child);
void bulk_close_database(struct handle *database, bool quietly);

/* A path with a zero behind it, for the caller to free. LSM_BULK_MISUSE, no details: it is none. */
int32_t bulk_copy_path(struct handle *handle, const uint8_t *path, uint32_t path_size, char **out);

/* --- waiting --- */
struct bulk_wait {
    uint64_t started_ms;
    uint32_t pause_us;
    bool in_vain; /* do not: only say who is in the way */
};
/* After LSM_BUSY: sleep and return true to try again, or note the error and return false. */
bool bulk_wait_again(struct handle *handle, lsm_db *db, struct bulk_wait *wait, int lock_no,
                     uint32_t lock_name);

/* --- bulk_task.c --- */
/* Called by the thread: how far it is. LSM_OK, or else it has to end. */
int bulk_task_note(struct bulk_task *task, uint64_t done, uint64_t total);
bool bulk_task_is_running(const struct handle *handle);
/* Holds the details of a task's failure. */
const lsm_db *bulk_task_connection(const struct handle *handle);
/* Ends the thread. NULL is accepted. */
void bulk_task_free(struct bulk_task *task);
void bulk_put_progress(uint8_t *out, uint64_t done, uint64_t total);

/* --- bulk_backup.c, bulk_verify.c --- */
/* Do all that is left to do. */
int bulk_backup_run(struct handle *handle);
int bulk_verify_run(struct handle *handle);
const lsm_db *bulk_verify_connection(const struct bulk_verify *verify);
void bulk_verify_free(struct bulk_verify *verify);

/* --- bulk_scan.c --- */
uint8_t *bulk_put_record(uint8_t *out, struct slice key, struct slice value);
/* Deliver one record: bytes written, or TOO_SMALL with the record kept. */
int32_t bulk_deliver(struct handle *handle, struct slice key, struct slice value, uint8_t *out,
                     uint32_t capacity);

static inline struct slice bulk_slice(const uint8_t *data, uint32_t size) {
    return (struct slice){size ? data : (const uint8_t *)"", size};
}
static inline bool bulk_size_ok(const uint8_t *data, uint32_t size) {
    return size <= 0x7fffffffu && (data != NULL || size == 0);
}

#endif
