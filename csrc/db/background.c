/*
** background.c — a thread of the database that flushes, merges and checkpoints for those who asked for it.
**
**     connections                      worker
**     commit freezes the tree  --->    flush the old tree, publish; merge a slice; checkpoint if due; again
**     begin sees the snapshot, drops   until nothing is left; sleep
**     the spent tree               <---
**
** The worker has a connection of its own that is in no list: it never reads or writes records, it runs the same
** slices of work as an automatic one would (autowork.c). Nobody waits for it unless memory fills up:
**
**     live tree, in units of AUTOFLUSH     0 ..... 1 ............ 2 ............... 8 .....
**     while an old one waits               write | freeze wanted | write, now and | wait for
**                                                                | then 1 ms       | the flush
**
** With a large AUTOFLUSH the limits come earlier: there must be room for both trees (db_tree_limit).
**
** INVARIANTS  (I1) the worker lives as long as a connection that joined it. That one has the region and the database
**             open, so the worker borrows both.
**             (I2) it never waits for a lock of the region, nor for a connection; so whoever holds what may wait for
**             a slice to end.
**             (I3) who waits for memory holds neither WRITER nor a version older than the newest snapshot.
**             (I4) the worker's SAFETY is the strictest of those that use it: what it stores is everybody's.
** LOCKING     `connect` of the database for `users` and for starting; the monitor for the rest. The monitor is the
**             innermost of all: nothing is locked inside. Joining the thread happens outside `connect`, which the
**             work may need; a new worker may be started meanwhile, the WORKER lock keeps them apart.
** ERRORS      The first failure is kept and returned once by the next write; then, after a rest, the worker tries
**             again. Content that could not be flushed stays in memory and in the log. LSM_BUSY is no failure: the
**             worker comes again soon.
*/
#include <stdatomic.h>

#include "base/memory.h"
#include "db/db_internal.h"

#define SLICE_BYTES (1u << 20)    /* of merging between two looks at what is more urgent */
#define BUSY_RETRY_MS 10          /* somebody else works on the segments */
#define ERROR_RETRY_MS 500        /* at the earliest, and not before the failure was told */
#define DELAY_MS 1
#define STALL_MS 10000            /* without any progress of the worker a waiting write gives up */
#define SOFT_PART 4               /* of the hard limit, which is db_tree_limit */
#define DELAY_EVERY (256u << 10)  /* growth for each delay just above the soft limit; nothing at the hard one */

struct background {
    struct database *database;
    lsm_env *env;
    uint32_t users;              /* connections; guarded by `connect` */
    lsm_db *db;                  /* used by the thread only, but for making and freeing */
    struct os_thread *thread;
    struct os_monitor *monitor;

    _Atomic bool pending;        /* something to do; cleared when the worker begins */
    _Atomic bool failed;         /* `error` holds something */
    _Atomic uint64_t pages_written; /* for lsm_info */
    _Atomic uint32_t turns;      /* slices after which there was a new snapshot */

    /* Guarded by the monitor. */
    bool stop;
    bool busy;                   /* inside a slice */
    uint32_t holds;              /* connections that want it to keep still */
    struct db_config config;     /* of who woke it last, but for SAFETY */
    uint32_t users_at[LSM_SAFETY_FULL + 1]; /* by their SAFETY */
    struct error_context error;  /* code LSM_OK = nothing kept */
};

/* -------------------------------------------------------------------------------- the thread -- */

static void keep_error(struct background *background, int rc) {
    if (background->error.code != LSM_OK) return;
    background->error = background->db->error;
    background->error.code = rc;
    atomic_store(&background->failed, true);
}

/* (I4) */
static int strictest(const struct background *background) {
    int safety = LSM_SAFETY_FULL;

    while (safety > LSM_SAFETY_OFF && background->users_at[safety] == 0) safety--;
    return safety;
}

/* One slice, entered before and after. */
static int turn(struct background *background, bool *more) {
    lsm_db *db = background->db;
    int64_t id = shm_snapshot_id(db->shm);
    int rc;

    atomic_store(&background->pending, false);
    db->config = background->config;
    db->config.safety = strictest(background);
    background->busy = true;
    os_monitor_leave(background->monitor);
    error_clear(&db->error);
    rc = db_report(db, db_work_slice(db, SLICE_BYTES, more));
    os_monitor_enter(background->monitor);
    background->busy = false;
    atomic_store_explicit(&background->pages_written, db->pages_written, memory_order_relaxed);
    if (rc != LSM_OK && rc != LSM_BUSY) keep_error(background, rc);
    if (shm_snapshot_id(db->shm) != id) atomic_fetch_add(&background->turns, 1);
    os_monitor_wake(background->monitor);
    return rc;
}

static void run(void *context) {
    struct background *background = context;
    bool more = false;
    uint64_t retry_at = 0; /* 0 = the last slice did what it could */

    os_monitor_enter(background->monitor);
    while (!background->stop) {
        bool may_run = background->holds == 0;
        bool retrying = may_run && retry_at != 0 && background->error.code == LSM_OK;
        uint64_t now = retrying ? os_time_ms() : 0;

        if ((may_run && (more || atomic_load(&background->pending))) ||
            (retrying && now >= retry_at)) {
            int rc = turn(background, &more);
            retry_at = 0;
            if (rc != LSM_OK) {
                retry_at = os_time_ms() + (rc == LSM_BUSY ? BUSY_RETRY_MS : ERROR_RETRY_MS);
            }
        } else {
            os_monitor_wait(background->monitor, retrying ? (uint32_t)(retry_at - now) : 0);
        }
    }
    os_monitor_leave(background->monitor);
}

/* --------------------------------------------------------------------------- start and stop -- */

/* Zeroed parts are accepted; the thread is not running. */
static void background_free(struct background *background) {
    lsm_db *db = background->db;

    if (db) {
        if (db->attached) shm_detach(db->shm, &db->locks);
        db->database = NULL; /* it was never opened */
        (void)!db_close(db);
    }
    os_monitor_free(background->env, background->monitor);
    memory_free(background->env, background);
}

static int background_start(lsm_db *db, struct background **out) {
    lsm_env *env = db->database->env; /* the worker may outlive the connection that started it */
    struct background *background = memory_allocate_zero(env, sizeof *background);
    lsm_db *worker;
    int rc;

    if (background == NULL) return LSM_NOMEM;
    background->database = db->database;
    background->env = env;
    background->config = db->config;
    rc = os_monitor_new(env, &background->monitor);
    if (rc == LSM_OK) rc = db_new(env, &background->db);
    if (rc != LSM_OK) goto done;
    worker = background->db;
    worker->is_worker = true;
    worker->log_hook = NULL; /* hooks belong to the threads of their connections */
    worker->database = db->database;
    worker->shm = db->shm;
    worker->pager = db->pager;
    worker->store = db->store;
    worker->page_size = db->page_size;
    worker->block_size = db->block_size;
    shm_attach(worker->shm, &worker->locks);
    worker->attached = true;
    rc = os_thread_start(env, run, background, &background->thread);
done:
    if (rc != LSM_OK) {
        background_free(background);
        return error_note(&db->error, rc, "the background worker could not be started");
    }
    *out = background;
    return LSM_OK;
}

int background_join(lsm_db *db) {
    struct database *database = db->database;
    int rc = LSM_OK;

    os_mutex_enter(database->env, database->connect);
    if (database->background == NULL) rc = background_start(db, &database->background);
    if (rc == LSM_OK) {
        database->background->users++;
        db->background = database->background;
        db->paced_at = 0;
        os_monitor_enter(db->background->monitor);
        db->background->users_at[db->config.safety]++;
        os_monitor_leave(db->background->monitor);
    }
    os_mutex_leave(database->env, database->connect);
    /* An old tree may be left from others. But nothing is written before the first commit after a recovery, which
    ** makes durable what was found: recovered.c. */
    if (rc == LSM_OK && !atomic_load(&database->checkpoint_unproven)) background_wake(db);
    return rc;
}

void background_leave(lsm_db *db) {
    struct background *background = db->background;
    bool last;

    if (background == NULL) return;
    os_mutex_enter(db->database->env, db->database->connect);
    last = --background->users == 0;
    if (last) db->database->background = NULL;
    os_monitor_enter(background->monitor);
    if (!last) background->users_at[db->config.safety]--; /* the last slice is still the last one's */
    os_monitor_leave(background->monitor);
    os_mutex_leave(db->database->env, db->database->connect);
    if (last) {
        os_monitor_enter(background->monitor);
        background->stop = true;
        os_monitor_wake(background->monitor);
        os_monitor_leave(background->monitor);
        os_thread_join(background->env, background->thread);
        (void)db_report(db, background_error(db)); /* nobody else will hear of it */
        background_free(background);
    }
    db->background = NULL;
}

/* ---------------------------------------------------------------------- from the connections -- */

void background_safety_changed(lsm_db *db, int before) {
    struct background *background = db->background;

    os_monitor_enter(background->monitor);
    background->users_at[before]--;
    background->users_at[db->config.safety]++;
    os_monitor_leave(background->monitor);
}

void background_wake(lsm_db *db) {
    struct background *background = db->background;

    if (atomic_load(&background->pending)) return;
    os_monitor_enter(background->monitor);
    background->config = db->config;
    atomic_store(&background->pending, true);
    os_monitor_wake(background->monitor);
    os_monitor_leave(background->monitor);
}

uint64_t background_pages_written(const lsm_db *db) {
    return db->background ? atomic_load(&db->background->pages_written) : 0;
}

int background_error(lsm_db *db) {
    struct background *background = db->background;
    struct error_context error;

    if (!atomic_load_explicit(&background->failed, memory_order_relaxed)) return LSM_OK;
    os_monitor_enter(background->monitor);
    error = background->error;
    error_clear(&background->error);
    atomic_store(&background->failed, false);
    os_monitor_wake(background->monitor); /* it may try again */
    os_monitor_leave(background->monitor);
    if (error.code == LSM_OK) return LSM_OK; /* another connection was quicker */
    db->error = error;
    if (error.code == LSM_CORRUPT) return error.code; /* db_report tells more */
    db_log(db, error.code, "%s: background work failed with %d%s%s", db->database->path, error.code,
           error.reason ? ": " : "", error.reason ? error.reason : "");
    return error.code;
}

void background_hold(lsm_db *db) {
    struct background *background = db->background;
    uint64_t until;

    if (background == NULL) return;
    until = os_time_ms() + STALL_MS;
    os_monitor_enter(background->monitor);
    background->holds++;
    /* After the time-out the caller finds WORKER taken, as it would with any other connection. */
    while (background->busy && os_time_ms() < until) os_monitor_wait(background->monitor, STALL_MS);
    os_monitor_leave(background->monitor);
}

void background_let_go(lsm_db *db) {
    struct background *background = db->background;

    if (background == NULL) return;
    os_monitor_enter(background->monitor);
    background->holds--;
    os_monitor_wake(background->monitor);
    os_monitor_leave(background->monitor);
}

/* ---------------------------------------------------------------------------- back-pressure -- */

uint32_t background_turns(const lsm_db *db) {
    return atomic_load_explicit(&db->background->turns, memory_order_relaxed);
}

/*
** Between the limits the delays come the closer, the fuller it is: speed settles where the worker keeps up, long
** before the full stop.
*/
enum background_pressure background_pressure(lsm_db *db) {
    const struct tree_header *header = &db->header;
    uint64_t size = header->live.byte_count;
    uint64_t hard = db_tree_limit(db);
    uint64_t soft = hard / SOFT_PART;
    uint64_t step;

    if (header->old_id == 0 || (uint64_t)header->old_log_field == db->snapshot.log.field) {
        db->paced_at = 0;
        return PRESSURE_NONE; /* this transaction drops the old tree, and freezes the live one if it is large */
    }
    if (size < soft) return PRESSURE_NONE;
    if (size >= hard) return PRESSURE_STOP;
    if (db->paced_at < soft || db->paced_at > size) db->paced_at = (uint32_t)soft;
    step = DELAY_EVERY * (hard - size) / (hard - soft);
    if (size - db->paced_at < step) return PRESSURE_NONE;
    db->paced_at = (uint32_t)size;
    return PRESSURE_DELAY;
}

void background_delay(lsm_db *db, uint32_t turns) {
    struct background *background = db->background;

    background_wake(db); /* it may rest after a failure */
    os_monitor_enter(background->monitor);
    if (atomic_load(&background->turns) == turns) os_monitor_wait(background->monitor, DELAY_MS);
    os_monitor_leave(background->monitor);
}

/* Until the worker did something, or failed. */
int background_wait(lsm_db *db, uint32_t turns) {
    struct background *background = db->background;
    uint64_t now = os_time_ms();
    uint64_t until = now + STALL_MS;
    bool moved = false;

    background_wake(db);
    os_monitor_enter(background->monitor);
    for (;;) {
        moved = atomic_load(&background->turns) != turns || atomic_load(&background->failed);
        now = os_time_ms();
        if (moved || now >= until) break;
        os_monitor_wait(background->monitor, (uint32_t)(until - now));
    }
    os_monitor_leave(background->monitor);
    return moved ? LSM_OK
                 : error_note(&db->error, LSM_BUSY, "the background worker makes no progress");
}
