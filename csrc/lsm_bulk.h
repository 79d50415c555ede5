/*
** lsm_bulk.h — the wall between languages: few calls, many records, flat memory.
**
** Every argument is a 32-bit number or a buffer with its size; results are written into buffers of
** the caller. No pointer crosses, no callback, no varargs, no structure by value. Made for foreign-
** function interfaces; C programs may use it as well, beside lsm.h.
**
** HANDLES     A handle is a u32 (slot and generation); 0 is none. Any u32 may be passed: one that is not
**             alive gives LSM_BULK_CLOSED. Kinds: database, snapshot, scan, cursor, backup,
**             verification. Closing a database ends everything opened from it. A handle belongs to the
**             thread that made it and is closed when that thread ends; it may be used by one thread at a
**             time, and a call that finds it in use gives LSM_BULK_IN_USE and does nothing.
** RESULTS     "i32 result": >= 0 success, with the meaning stated; < 0 one of LSM_BULK_*. After
**             LSM_BULK_ERROR the details are fetched from the handle with lsm_bulk_error.
** BUFFERS     May be NULL when the size is 0. Numbers in frames are little-endian u32; records are padded
**             to a multiple of 4 bytes, so a frame can be read as an array of u32.
** TOO SMALL   A result that does not fit gives LSM_BULK_TOO_SMALL; lsm_bulk_pending tells its size, and
**             it stays on the handle until lsm_bulk_take fetched it or the next call on that handle.
*/
#ifndef LSM_BULK_H
#define LSM_BULK_H

#include <stdint.h>

#include "lsm.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LSM_BULK_ABI 3u

#define LSM_BULK_ABSENT -1    /* no such key, no entry there */
#define LSM_BULK_TOO_SMALL -2 /* the result waits on the handle */
#define LSM_BULK_ERROR -3     /* see lsm_bulk_error */
#define LSM_BULK_CLOSED -4    /* not a live handle of that kind */
#define LSM_BULK_IN_USE -5    /* another thread is inside a call on the handle */
#define LSM_BULK_MISUSE -6    /* malformed frame or argument; nothing was done */

LSM_API uint32_t lsm_bulk_abi(void);

/* ------------------------------------------------------------------------ database handles -- */

/* A database handle, not yet open. 0: no memory, or 65,535 handles are open. */
LSM_API uint32_t lsm_bulk_new(void);

/* lsm_config of an integer verb (LSM_CONFIG_ or LSM_BULK_CONFIG_); result: the value in force. */
LSM_API int32_t lsm_bulk_config(uint32_t db, int32_t verb, int32_t value);

#define LSM_BULK_CONFIG_BUSY_TIMEOUT 1000   /* milliseconds to wait for a lock; 5000, 0 = none */
#define LSM_BULK_CONFIG_CREATE 1001         /* 1: create a missing file; default 1 */
#define LSM_BULK_CONFIG_MUST_BE_NEW 1002    /* 1: refuse an existing file; default 0 */
/* KB for fences and filters of a database, shared by its connections in this process; 0 = none, 65536. Also a
** verb of lsm_config. All of them for one run take 1.5 bytes a key (filter) and 15 to 20 bytes a page (fences), some
** 2 bytes for a record of 100 bytes, and one run may have seven eighths of the budget: the default serves 25 million
** such records in a run. Beyond that filters become smaller, so that more reads of absent keys look at a page (1 in
** 200, with 2 bytes a key; 1 in 40, with 8 bits of filter), then fences go (a search walks down the index), then
** filters shrink to half a byte a key (1 in 3); a run for which that is too much goes without. */
#define LSM_BULK_CONFIG_MEMORY_BUDGET_KB 1003
/* 1: a thread of the database flushes, merges and checkpoints instead of the write calls of this connection
** (whatever AUTOWORK says); it goes by AUTOFLUSH, AUTOMERGE, AUTOCHECKPOINT, SAFETY and MAX_FREELIST of the one that
** woke it last; while memory fills faster than it empties it, a checkpoint may come up to four times as late. What it
** fails with is returned once, by the next write or commit of a connection with 1. When it cannot keep up, writes are
** delayed: 1 ms at most while the tree in memory is smaller than 8 times AUTOFLUSH, then as long as it takes
** (LSM_BUSY after 10 s without progress). Default 0; before open. Also a verb of lsm_config. */
#define LSM_BULK_CONFIG_BACKGROUND 1004

/* Open `path` (UTF-8, no NUL needed). Result 0. */
LSM_API int32_t lsm_bulk_open(uint32_t db, const uint8_t *path, uint32_t path_size);

/* Remove the database at `path`, log and region with it, through a handle that is not open. Result 1, or 0 if there is
** none. LSM_BUSY if somebody has it open, LSM_BULK_NOTADB for any other file, LSM_MISUSE for a symbolic link; nothing is
** waited for, and nothing changed in any of these cases. */
LSM_API int32_t lsm_bulk_destroy(uint32_t db, const uint8_t *path, uint32_t path_size);

/* End scans, cursors and snapshots of the handle, roll back, flush, checkpoint, close. The handle is gone
** afterwards whatever the result; on LSM_BULK_ERROR the details are in `error` (frame as lsm_bulk_error),
** cut to its capacity. Result 0, or 0 with nothing done for a handle that is not alive. */
LSM_API int32_t lsm_bulk_close(uint32_t db, uint8_t *error, uint32_t error_capacity);

/* What went wrong in the last failing call on a handle of any kind. Result: bytes written.
**   u32 code (LSM_), u32 system error number, u32 page low, u32 page high, u32 lock (LSM_BULK_LOCK_),
**   u32 milliseconds waited, u32 1 if the lock's holder is in this process (2: this thread),
**   u32 text size, text (UTF-8: reason, without path). */
LSM_API int32_t lsm_bulk_error(uint32_t handle, uint8_t *out, uint32_t capacity);

#define LSM_BULK_LOCK_NONE 0
#define LSM_BULK_LOCK_WRITER 1
#define LSM_BULK_LOCK_WORKER 2
#define LSM_BULK_LOCK_CHECKPOINTER 3
#define LSM_BULK_LOCK_OPEN 4
#define LSM_BULK_LOCK_SNAPSHOT 5

/* Code in an error frame for a file that is not a database at all (lsm.h says LSM_CORRUPT). */
#define LSM_BULK_NOTADB 1026
/* Codes in an error frame: the file exists although it must be new; it is a directory. */
#define LSM_BULK_EXISTS 1027
#define LSM_BULK_ISDIR 1028

/* Size of the result that waits on a handle, as two u32 in `out` (low, high). Result 8 or 0 if none. */
LSM_API int32_t lsm_bulk_pending(uint32_t handle, uint8_t *out, uint32_t capacity);

/* Copy `capacity` bytes of the waiting result from byte `offset` on. Result: bytes copied. */
LSM_API int32_t lsm_bulk_take(uint32_t handle, uint32_t offset, uint8_t *out, uint32_t capacity);

/* ------------------------------------------------------------------------------ point reads -- */
/* `view`: a database (its newest content, own uncommitted writes included) or a snapshot. */

/* The value of a key. Result: its size (< 2^31), or LSM_BULK_ABSENT. */
LSM_API int32_t lsm_bulk_get(uint32_t view, const uint8_t *key, uint32_t key_size, uint8_t *out,
                             uint32_t capacity);

/* 1 if the key is there, 0 if not. */
LSM_API int32_t lsm_bulk_has(uint32_t view, const uint8_t *key, uint32_t key_size);

/* Many keys. `keys`: count times (u32 size, bytes, padding to 4). Out: for each key u32 status (0 absent,
** 1 present), u32 value size, value, padding. All from one version of the database. With LSM_BULK_KEYS_ONLY in `flags`
** the values are left out (size 0). Result: bytes written; LSM_BULK_TOO_SMALL if not all fit: then pending and take,
** whose stream holds all answers. */
LSM_API int32_t lsm_bulk_get_many(uint32_t view, uint32_t flags, uint32_t count, const uint8_t *keys,
                                  uint32_t keys_size, uint8_t *out, uint32_t capacity);

/* The entry at or nearest to a key. Out: a record (below). Result: bytes written, or LSM_BULK_ABSENT. */
LSM_API int32_t lsm_bulk_seek(uint32_t view, uint32_t mode, const uint8_t *key, uint32_t key_size,
                              uint8_t *out, uint32_t capacity);

#define LSM_BULK_SEEK_EQ 0u
#define LSM_BULK_SEEK_LE 1u
#define LSM_BULK_SEEK_GE 2u
#define LSM_BULK_SEEK_LT 3u
#define LSM_BULK_SEEK_GT 4u
#define LSM_BULK_SEEK_LEFAST 5u /* cursors only */

/* A record: u32 key size, u32 value size, key, value, padding to a multiple of 4. */

/* ---------------------------------------------------------------------------------- writes -- */
/* Outside a transaction each call is one of its own. All wait for the writer lock up to the time-out. */

LSM_API int32_t lsm_bulk_put(uint32_t db, const uint8_t *key, uint32_t key_size, const uint8_t *value,
                             uint32_t value_size);

/* Result: 1 if the key was there, 0 if not. With LSM_BULK_BLIND in `flags`: 0, without looking. */
LSM_API int32_t lsm_bulk_delete(uint32_t db, uint32_t flags, const uint8_t *key, uint32_t key_size);

/* Apply a packed batch, all or nothing: count operations, each u32 kind, u32 size 1, u32 size 2, bytes 1,
** bytes 2, padding to 4. Kinds: PUT (key, value), DELETE (key, nothing), DELETE_RANGE (first, last) with
** LSM_BULK_ bound bits added to the kind. Result: number of operations. */
LSM_API int32_t lsm_bulk_apply(uint32_t db, uint32_t count, const uint8_t *ops, uint32_t ops_size);

#define LSM_BULK_PUT 1u
#define LSM_BULK_REMOVE 2u
#define LSM_BULK_REMOVE_RANGE 3u

/* Bits of ranges (`flags` of a scan or count, and added to LSM_BULK_REMOVE_RANGE). */
#define LSM_BULK_HAS_LOWER 0x0100u       /* else from the first key */
#define LSM_BULK_LOWER_INCLUSIVE 0x0200u /* else strictly above */
#define LSM_BULK_HAS_UPPER 0x0400u       /* else to the last key */
#define LSM_BULK_UPPER_INCLUSIVE 0x0800u /* else strictly below */
#define LSM_BULK_REVERSE 0x1000u
#define LSM_BULK_KEYS_ONLY 0x2000u
#define LSM_BULK_VALUES_ONLY 0x4000u
#define LSM_BULK_BLIND 0x8000u

/* Add `by` (two u32, low and high, of an i64) to the big-endian i64 under a key (absent = 0), atomically.
** Out: 8 bytes little-endian. Result 8; LSM_BULK_ERROR with LSM_BULK_NOT_COUNTER (value is not 8 bytes;
** the page field has its size) or LSM_BULK_OVERFLOW. */
LSM_API int32_t lsm_bulk_add(uint32_t db, const uint8_t *key, uint32_t key_size, uint32_t by_low,
                             uint32_t by_high, uint8_t *out, uint32_t capacity);

#define LSM_BULK_NOT_COUNTER 1029
#define LSM_BULK_OVERFLOW 1030

/* Nested transactions, levels as in lsm.h. Result: open levels afterwards. */
LSM_API int32_t lsm_bulk_begin(uint32_t db, int32_t level);
LSM_API int32_t lsm_bulk_commit(uint32_t db, int32_t level);
LSM_API int32_t lsm_bulk_rollback(uint32_t db, int32_t level);
LSM_API int32_t lsm_bulk_depth(uint32_t db);

/* ------------------------------------------------------------------------------- snapshots -- */

/* A frozen view of the newest committed content. Pins disk space until closed. 0: see lsm_bulk_error of
** the database. Snapshots and scans of one version share one reader connection. */
LSM_API uint32_t lsm_bulk_snapshot(uint32_t db);

/* Close a snapshot, scan, cursor, backup or verification. Result 1 if it was open, else 0; never an error. */
LSM_API int32_t lsm_bulk_end(uint32_t handle);

/* ----------------------------------------------------------------------------------- scans -- */

/* Start a scan over a range. On a database without open transaction, or on a snapshot, it reads a frozen
** view; on a database in a transaction it is live: it sees that transaction's later writes at keys it has
** not reached, and ends with the level it was opened in. `limit` 0xffffffff = none. Out: the first block, as of
** lsm_bulk_scan_next; without records, and not ended, if the first does not fit. With `capacity` 0: none. Result: the
** scan; LSM_BULK_SCAN_ENDED if the block is all there is, and there is nothing to end; 0 on failure, with the details
** on the view. */
LSM_API uint32_t lsm_bulk_scan(uint32_t view, uint32_t flags, uint32_t limit, const uint8_t *lower,
                               uint32_t lower_size, const uint8_t *upper, uint32_t upper_size,
                               uint8_t *out, uint32_t capacity);
#define LSM_BULK_SCAN_ENDED 1u /* no handle has this number */

/* The next block: u32 record count, u32 1 if the scan has ended, then records. Result: bytes written
** (at least 8). A first record that does not fit: LSM_BULK_TOO_SMALL, position unchanged (the waiting
** result is a block of that one record; taking it completely moves past it). */
LSM_API int32_t lsm_bulk_scan_next(uint32_t scan, uint8_t *out, uint32_t capacity);

/* Number of keys in a range, `limit` at most (0xffffffff: all), as two u32 in `out`. Result 8. */
LSM_API int32_t lsm_bulk_count(uint32_t view, uint32_t flags, uint32_t limit, const uint8_t *lower,
                               uint32_t lower_size, const uint8_t *upper, uint32_t upper_size,
                               uint8_t *out, uint32_t capacity);

/* --------------------------------------------------------------------------------- cursors -- */
/* A cursor moves in both directions after any positioning, but for a seek EQ that found nothing: then there is no
** entry to move from. On a database in a transaction it is live and
** ends with its level; else it reads a frozen view. Movements write the record reached (like
** lsm_bulk_seek) and give its size, or LSM_BULK_ABSENT when there is none. */

LSM_API uint32_t lsm_bulk_cursor(uint32_t view);
LSM_API int32_t lsm_bulk_cursor_seek(uint32_t cursor, uint32_t mode, const uint8_t *key,
                                     uint32_t key_size, uint8_t *out, uint32_t capacity);
LSM_API int32_t lsm_bulk_cursor_move(uint32_t cursor, uint32_t move, uint8_t *out, uint32_t capacity);

#define LSM_BULK_FIRST 0u
#define LSM_BULK_LAST 1u
#define LSM_BULK_NEXT 2u
#define LSM_BULK_PREV 3u

/* ----------------------------------------------------------------------------- maintenance -- */

LSM_API int32_t lsm_bulk_flush(uint32_t db);

/* lsm_work; result: KB written. */
LSM_API int32_t lsm_bulk_work(uint32_t db, int32_t merge, int32_t kb);

/* lsm_checkpoint; result: KB covered, 0 if nothing was to do. */
LSM_API int32_t lsm_bulk_checkpoint(uint32_t db);

/* The user version: out u32. Result 4. */
LSM_API int32_t lsm_bulk_user_version(uint32_t db, uint8_t *out, uint32_t capacity);
LSM_API int32_t lsm_bulk_set_user_version(uint32_t db, uint32_t version);

/* A text of lsm_info (DB_STRUCTURE, LOG_STRUCTURE, FREELIST, or with `page`: 5, 6, 7, 9). Result: size. */
LSM_API int32_t lsm_bulk_info(uint32_t db, int32_t verb, uint32_t page_low, uint32_t page_high,
                              uint8_t *out, uint32_t capacity);

/* Numbers of a database: LSM_BULK_STATS_COUNT times u64 (low, high). Result: bytes written.
** Order: pages written, pages read, bytes not checkpointed, live tree bytes, old tree bytes, database file
** bytes, log file bytes, segments, open snapshots, page size, block size. */
LSM_API int32_t lsm_bulk_stats(uint32_t db, uint8_t *out, uint32_t capacity);
#define LSM_BULK_STATS_COUNT 11

/* ----------------------------------------------------------------- long work: verify, backup -- */
/* Both are handles that belong to the database handle, with connections of their own: calls on the database
** handle, its writes included, go on meanwhile. Both read the newest committed content of the moment they were
** made, and pin disk space of the database until they are ended. They are done by the calling thread, or by one
** of the engine's. */

/* Check every page of the file against the rules of the format; nothing is changed, and nobody waits. 0: see
** lsm_bulk_error of the database. */
LSM_API uint32_t lsm_bulk_verify(uint32_t db);

/* What was found; does the work first, unless lsm_bulk_run has done it. Out: u32 number of problems, u32 and u32
** records stored in the file (low, high), u32 segments, u32 and u32 pages of segments, then, for each of the first
** LSM_BULK_VERIFY_LISTED_MAX problems, u32 page low, u32 page high (0: the file as a whole), u32 text size, text,
** padding to 4. Result: bytes written. LSM_BULK_MISUSE while a thread is at it. */
LSM_API int32_t lsm_bulk_verify_report(uint32_t verify, uint8_t *out, uint32_t capacity);
#define LSM_BULK_VERIFY_LISTED_MAX 1000

/* Begin a compact copy in a file of its own. An existing file (or a log beside it) is refused with
** LSM_BULK_EXISTS, unless LSM_BULK_OVERWRITE is in `flags`: then both are deleted at once, or LSM_BUSY if somebody
** has them open, which is not waited for. The file of the database itself: LSM_MISUSE. 0: see lsm_bulk_error of the
** database. */
LSM_API uint32_t lsm_bulk_backup(uint32_t db, const uint8_t *path, uint32_t path_size,
                                 uint32_t flags);
#define LSM_BULK_OVERWRITE 1u

/* Copy about `kb` KB. Out: done and total bytes, two u64 (low, high each), estimates until the end. Result: 1 the
** copy is complete, durable and closed; 0 there is more to do. lsm_bulk_end before that deletes it.
** LSM_BULK_MISUSE after lsm_bulk_run. */
LSM_API int32_t lsm_bulk_backup_step(uint32_t backup, uint32_t kb, uint8_t *out, uint32_t capacity);

/* Do the work of a backup or verification in a thread of the engine's. lsm_bulk_end before it has finished stops
** it, and waits until it has stopped: for 256 KB of a copy, one page of a verification, or the syncs at the end of
** a copy. Once for each. Result 0. */
LSM_API int32_t lsm_bulk_run(uint32_t task);

/* Wait, at most so many milliseconds, until lsm_bulk_run's work has finished. Out: progress as
** lsm_bulk_backup_step; for a verification each byte counts twice. Result: 1 it has finished; 0 it has not;
** LSM_BULK_ERROR: it has failed. */
LSM_API int32_t lsm_bulk_wait(uint32_t task, uint32_t milliseconds, uint8_t *out, uint32_t capacity);
#define LSM_BULK_PROGRESS_SIZE 16

/* Finish: close every handle of this process. Called by an exit hook. */
LSM_API void lsm_bulk_shutdown(void);

#ifdef __cplusplus
}
#endif

#endif /* LSM_BULK_H */
