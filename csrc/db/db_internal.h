/*
** db_internal.h — what a connection and a database are, shared by the files of this room.
**
**     struct database   one per file and process: descriptor, pager, region, facts of the checkpoint on disk
**     struct lsm_db     a connection: configuration, read transaction, write transaction, cursors
**     struct lsm_cursor a position of a connection
**
** LOCKING     registry (a static mutex)  ->  database.connect  ->  locks of the region (never waited for)
**             ->  database.facts, monitor of background.c. A connection itself is used by one thread at a time.
*/
#ifndef LSM_DB_INTERNAL_H
#define LSM_DB_INTERNAL_H

#include <stdatomic.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cursor/cursor.h"
#include "db/db.h"
#include "format/format_checkpoint.h"
#include "log/log.h"
#include "memtree/memtree.h"
#include "os/os.h"
#include "pager/pager.h"
#include "shm/shm.h"
#include "store/store.h"
#include "work/work.h"

struct background; /* background.c */

#define LOG_SUFFIX "-log"
#define FILE_ID_MAX 64

/* The checkpoint on disk, as far as others need it; and the newest in a meta page, which the disk may not have yet:
** then nothing that the one before needs may be reused. */
struct checkpoint_facts {
    int64_t snapshot_id;    /* on disk; 0 = none */
    uint64_t log_offset;
    int64_t stored_id;      /* in a meta page; 0 = none */
    uint64_t stored_log_offset;
    uint32_t pages_written; /* of the stored one */
};

/* A descriptor of a database file that must not be closed before the last one. */
struct parked_file {
    struct parked_file *next;
    struct os_file file;
};

struct database {
    struct database *next;
    lsm_env *env;
    char *path;             /* absolute */
    char *log_path;
    uint8_t file_id[FILE_ID_MAX];
    size_t file_id_size;
    uint32_t references;    /* connections; guarded by the registry */
    lsm_mutex *connect;     /* serialises connect and disconnect */

    /* Guarded by `connect`: the owner's side, present while a read-write connection, or a read
    ** transaction that joined one, exists. */
    struct os_file file;
    bool file_writable;
    struct parked_file *parked;    /* guarded by `facts_mutex` */
    struct os_file rotrans_file;   /* the descriptor by which ROTRANS is held while `detached` */
    struct pager *pager;
    struct store *store;    /* what is known about runs; as long as the pager */
    struct shm *shm;        /* NULL = no region */
    uint32_t writers;       /* read-write connections */
    uint32_t joined;        /* read transactions of read-only connections on the region */
    struct background *background; /* the worker; NULL = no connection asked for one */
    _Atomic uint32_t detached; /* read transactions that recovered privately; they hold ROTRANS.
                            ** Writers look without the mutex. */

    _Atomic int64_t facts_id; /* facts.snapshot_id; to see without the mutex whether they are news */
    lsm_mutex *facts_mutex;
    struct checkpoint_facts facts; /* guarded by facts_mutex */
    lsm_db *compressors;    /* connections with the functions that pages are packed by; the pager uses those of the
                            ** first; facts_mutex */
    _Atomic int log_sync_failed;    /* code of a failed log sync not yet made good by a checkpoint, else LSM_OK;
                            ** WRITER, but for the sync before the first checkpoint */
    int file_sync_failed;   /* code of a failed sync of the file: no more checkpoints; CHECKPOINTER */
    bool directory_synced;  /* the names of file and log are durable; CHECKPOINTER */
    _Atomic bool checkpoint_unproven; /* recovery found the checkpoint, or it was stored at OFF; is it on the disk? */
    bool log_unproven;      /* the same for log records; WRITER */
};

struct db_config {
    int autoflush_kb;
    int page_size;
    int safety;
    int block_size_kb;
    int autowork;
    int mmap;
    int use_log;
    int automerge;
    int max_freelist;
    int multiple_processes;
    int autocheckpoint_kb;
    int read_only;
    int memory_budget_kb;
    int background;
};

/* Where a nesting level began. */
struct db_mark {
    struct memtree_mark tree;
    struct log_mark log;
};

struct lsm_cursor {
    lsm_db *db;
    lsm_cursor *next;       /* all open cursors of the connection, or its free list */
    struct merge_cursor merge;
    enum merge_direction direction; /* what may follow; MERGE_NONE after EQ, LEFAST, or nothing */
    bool positioned;        /* on an entry (of `merge`, or of `key` when stale) */
    int lost;               /* why the position was lost, until the next positioning; else LSM_OK */
    bool stale;             /* the content changed: `key` is where we stood; seek again before stepping */
    bool point;             /* after EQ: on `key`, found by a point read; `merge` was not moved */
    bool value_known;       /* of a point read: `value` is still good */
    struct slice value;
    struct buffer key;      /* copy of the key, when stale or point */
    struct lookup_scratch scratch;
};

struct lsm_db {
    lsm_env *env;
    struct db_config config;
    struct error_context error;
    void (*log_hook)(void *, int, const char *);
    void *log_context;
    void (*work_hook)(lsm_db *, void *);
    void *work_context;
    lsm_compress compress;
    lsm_compress_factory factory;
    bool in_factory;
    lsm_db *next_compressor;   /* in the list of the database; its facts_mutex */
    _Atomic bool compressing;  /* is in that list */
    uint32_t compression_id;   /* of the newest snapshot looked at, whether it could be read or not */
    bool not_a_database;    /* why the last open failed with LSM_CORRUPT */

    struct database *database; /* NULL = not open */
    struct shm *shm;           /* of the database, or private to a detached read transaction */
    struct pager *pager;       /* the same */
    struct store *store;       /* of the database; NULL for a detached read transaction */
    struct shm_locks locks;
    bool attached;             /* `locks` is on the region's list */
    uint32_t page_size;        /* as last seen */
    uint32_t block_size;

    /* Read transaction: open while slot >= 0, or `detached`. */
    int slot;
    bool detached;
    struct os_file detached_file; /* of a detached one's pager: the database may get another meanwhile */
    bool joined;
    struct tree_header header;  /* the version read */
    struct snapshot snapshot;   /* cached between transactions; id 0 = none */
    struct level_notes *notes;  /* of `snapshot` */
    struct read_view view;

    /* Write transaction: open while level_count > 0. */
    uint32_t level_count;
    struct db_mark *marks;      /* one per level */
    uint32_t mark_capacity;
    struct memtree_writer writer;
    struct log_writer log;
    bool logging;               /* USE_LOG as it was when the transaction began */
    int txn_rc;                 /* a change failed: only rollback is accepted */
    bool brief;                 /* the transaction is one change, which reads nothing: see lock_brief */
    bool dropped_old;           /* this transaction dropped a spent old tree */
    bool work_errors_wait;      /* see db_let_work_errors_wait */
    struct error_context work_error; /* what the next transaction tells; code LSM_OK = nothing */
    struct log_state log_state; /* of the published header */

    lsm_cursor *cursors;        /* open */
    lsm_cursor *free_cursors;
    struct lookup_scratch scratch;
    struct lookup_ahead ahead[DB_AHEAD_MAX]; /* of the keys db_look_ahead was told of */
    uint32_t ahead_count;       /* 0 when the view has changed since */
    struct buffer given_key;    /* what hold_arguments keeps */
    struct buffer given_value;
    uint64_t change_count;      /* writes and rollbacks: positions derived before are stale */
    uint64_t pages_written;     /* by this connection since open */
    struct background *background; /* the database's worker, if this connection uses it */
    uint32_t paced_at;          /* size of the live tree when a write was delayed last */
    bool is_worker;             /* the worker's own connection */
    const struct work *working; /* the job under way: what lsm_info tells inside the work hook */
};

/* --- registry.c --- */
LSM_MUST_USE int database_acquire(lsm_db *db, const char *path);
void database_release(lsm_db *db);
/* Has another connection of the process the file open? */
bool database_is_shared(struct database *database);
/* Does its path lead to another file since the database was opened? Or to another or none? False if there is no
** telling. */
bool database_path_has_another_file(const struct database *database);
bool database_path_changed(const struct database *database);
/* LSM_BUSY: changed since this connection opened it; LSM_IOERR: while others still have the old one open. */
LSM_MUST_USE int database_check_path(lsm_db *db);
/* The database was opened read-only so far. */
LSM_MUST_USE int database_make_writable(lsm_db *db);
void database_facts(struct database *database, struct checkpoint_facts *out);
void database_set_facts(struct database *database, const struct checkpoint_facts *facts);

/* --- owner.c --- */
/* Become (or join) the owner: locks, region, recovery. Sets db->shm and db->pager. */
LSM_MUST_USE int database_connect_writer(lsm_db *db);
/* The last one writes everything to the file and removes the log. */
void database_disconnect_writer(lsm_db *db);
/* A read-only connection starts or ends a read transaction: on the region, or recovered privately. */
LSM_MUST_USE int database_reader_enter(lsm_db *db);
void database_reader_leave(lsm_db *db);
/* The descriptor, for a look at the file by a connection of any kind. */
struct os_file database_file(struct database *database);
/* Does somebody read the file without the region? Then nothing may be reused. */
bool database_has_detached_readers(struct database *database);

/* --- recovery.c --- */
/* Load the newest checkpoint and replay the log into db->shm, which is fresh. The owner sets the facts of the
** database, and writes to the file if the log is too long for memory; a private region is then LSM_FULL, no file
** modified. */
LSM_MUST_USE int recover_region(lsm_db *db, struct os_file *file, struct os_file *log_file, bool owner);

/* --- read_txn.c --- */
int read_txn_begin(lsm_db *db);       /* nothing to do when open */
void read_txn_end_if_unused(lsm_db *db);
bool read_txn_is_open(const lsm_db *db);
int read_txn_use_snapshot(lsm_db *db, const uint32_t *words, uint32_t word_count);
/* The connection published a newer snapshot of the same content: read that from now on. */
int read_txn_advance(lsm_db *db, bool *advanced);
void read_txn_refresh_view(lsm_db *db);

/* --- compression.c --- */
/* May the connection read pages of that kind? If not, a factory is asked. */
LSM_MUST_USE int db_check_compression(lsm_db *db, uint32_t compression_id);
/* Of a file with id 0 or 1, whose pages may be of either kind: what the connection must believe. */
bool compression_expects_packed(const lsm_db *db);
/* The checkpoint was read: tell the new pager how pages are stored. */
LSM_MUST_USE int compression_start(lsm_db *db, const struct snapshot *snapshot);
/* The connection was opened. Its functions are at the disposal of others from now on: the one whose functions are used
** may leave before this one reads. */
LSM_MUST_USE int compression_arrive(lsm_db *db, uint32_t compression_id);
/* The file has no page yet, and this connection is about to write one. WORKER held. */
LSM_MUST_USE int compression_decide(lsm_db *db);
/* LSM_CORRUPT if pages are plainly of the other kind. */
LSM_MUST_USE int compression_look_at_pages(lsm_db *db, struct os_file *file,
                                           const struct snapshot *snapshot);
/* The functions of the connection are about to go. */
void compression_leave(lsm_db *db);

/* --- write_txn.c --- */
/* WRITER alone, without a transaction: for flushing. Implies a read transaction. */
LSM_MUST_USE int write_txn_lock(lsm_db *db);
void write_txn_unlock(lsm_db *db);
LSM_MUST_USE int write_txn_begin(lsm_db *db, uint32_t levels);
int write_txn_rollback_all(lsm_db *db);

/* --- autowork.c --- */
int db_autowork(lsm_db *db, uint32_t units);
/* The toggle bit for the next log position: not that of the newest snapshot. WRITER held. */
uint32_t db_next_toggle(lsm_db *db);
/* Both trees to the file. Requires WRITER (held), takes WORKER. */
int db_flush_trees(lsm_db *db, bool forget_log);

/* For the background worker: a slice of about `bytes` of work, then a checkpoint if one is due. *more: come
** again. LSM_BUSY: somebody else works. */
LSM_MUST_USE int db_work_slice(lsm_db *db, uint32_t bytes, bool *more);
/* Has nobody decided yet how the pages of the file are stored? */
bool db_is_undecided(const lsm_db *db);

/* --- background.c --- */
/* Start the worker of the database, or use the one that runs. Before close: leave, before anything else is done;
** the last one stops it. */
LSM_MUST_USE int background_join(lsm_db *db);
void background_leave(lsm_db *db);
/* The rest is for connections with db->background. */
/* The connection has another SAFETY than `before`. The worker waits for the disk as the most careful connection does,
** from its next slice on. */
void background_safety_changed(lsm_db *db, int before);
/* There is something to do. Costs nothing if the worker knows. */
void background_wake(lsm_db *db);
/* By the worker since it was started; 0 without one. */
uint64_t background_pages_written(const lsm_db *db);
/* What the worker failed with, once: noted, told to the log hook. */
LSM_MUST_USE int background_error(lsm_db *db);
/* Back-pressure: how much a write should wait (WRITER held; the newest version is read), and the wait (nothing held
** that the worker needs). `turns` was taken before the version was read. */
enum background_pressure { PRESSURE_NONE, PRESSURE_DELAY, PRESSURE_STOP };
uint32_t background_turns(const lsm_db *db);
enum background_pressure background_pressure(lsm_db *db);
void background_delay(lsm_db *db, uint32_t turns);
LSM_MUST_USE int background_wait(lsm_db *db, uint32_t turns);
/* Keep the worker out of the way of work that the connection does itself. Nothing without a worker. */
void background_hold(lsm_db *db);
void background_let_go(lsm_db *db);

/* --- recovered.c --- */
/* Before a commit, if what recovery found may be in the cache of the system only. `state`: of the published
** header. WRITER held. */
LSM_MUST_USE int recovered_make_durable(lsm_db *db, const struct log_state *state);

/* The first half of it, which work and checkpoints need, too. Takes CHECKPOINTER: never under WORKER. */
LSM_MUST_USE int recovered_prove_checkpoint(lsm_db *db);

/* --- db_checkpoint.c --- */
/* The newest snapshot into a meta page. Never under WORKER. `kb` may be NULL. */
int db_checkpoint(lsm_db *db, uint32_t *kb);
/* The same, for one that nobody asked for: it may become durable with the next one. */
int db_checkpoint_automatic(lsm_db *db);

/* --- config.c --- */
/* Block size of a database that this connection creates. */
int db_block_size_kb(const lsm_db *db);
/* So large a tree, in bytes of records, is not left in memory if that can be helped: a multiple of AUTOFLUSH that the
** region has room for. */
uint64_t db_tree_limit(const lsm_db *db);
/* So long a log is a reason for a checkpoint, however few pages were written; UINT64_MAX without AUTOCHECKPOINT. */
uint64_t db_log_limit(const lsm_db *db);

/* --- db_cursor.c --- */
void cursors_before_change(lsm_db *db); /* remember keys, mark stale */
void cursors_free_all(lsm_db *db);

/* --- connection.c --- */
/* Is this the work hook or the compression factory, with a call of the connection half done? Then it may not write,
** work or close. */
static inline bool db_in_callback(const lsm_db *db) {
    return db->working != NULL || db->in_factory;
}

/* Deliver what `db->error` holds to the log hook, and clear it. Returns `rc`. */
int db_report(lsm_db *db, int rc);
void db_log(lsm_db *db, int rc, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

#endif
