/*
** db.h — connections, transactions and cursors behind the public functions.
**
** Same names as in lsm.h with `db_`: arguments are checked by api, states by this room. LSM_MISUSE for a
** connection that is not open.
*/
#ifndef LSM_DB_H
#define LSM_DB_H

#include "base/error.h"
#include "base/types.h"

LSM_MUST_USE int db_new(lsm_env *env, lsm_db **out);
LSM_MUST_USE int db_open(lsm_db *db, const char *path);
LSM_MUST_USE int db_close(lsm_db *db);
bool db_is_open(const lsm_db *db);
const char *db_path(const lsm_db *db); /* absolute; of an open connection */

LSM_MUST_USE int db_begin(lsm_db *db, int level);
LSM_MUST_USE int db_commit(lsm_db *db, int level);
LSM_MUST_USE int db_rollback(lsm_db *db, int level);
uint32_t db_depth(const lsm_db *db);

LSM_MUST_USE int db_insert(lsm_db *db, struct slice key, struct slice value);
LSM_MUST_USE int db_delete(lsm_db *db, struct slice key);
LSM_MUST_USE int db_delete_range(lsm_db *db, struct slice key1, struct slice key2);

/* Point read of the newest content the connection may see; `value` is valid until the next call on `db`. Opens a read
** transaction, which stays open until db_read_end. */
LSM_MUST_USE int db_get(lsm_db *db, struct slice key, bool *found, struct slice *value);
/* Have fetched what db_get_ahead will read for keys[index]: it has to follow with nothing else in between, once for a
** key. What goes wrong shows there. */
#define DB_AHEAD_MAX 16u
void db_look_ahead(lsm_db *db, const struct slice *keys, uint32_t count);
LSM_MUST_USE int db_get_ahead(lsm_db *db, struct slice key, uint32_t index, bool *found,
                              struct slice *value);
LSM_MUST_USE int db_read_begin(lsm_db *db);
void db_read_end(lsm_db *db);
uint64_t db_change_count(const lsm_db *db);
/* What a connection reads. Connections of one database with the same numbers read the same: a freeze begins the count
** of transactions anew, but there is one at most between two snapshots, and before it there is no old tree that the
** snapshot lacks. */
struct db_version {
    int64_t snapshot_id;
    int64_t old_tree;  /* its log position, -1 = none */
    uint32_t txn_id;   /* in the live tree */
    uint32_t tree_id;
};
LSM_MUST_USE int db_get_version(lsm_db *db, struct db_version *out);
bool db_version_equal(const struct db_version *left, const struct db_version *right);

LSM_MUST_USE int db_flush(lsm_db *db);
LSM_MUST_USE int db_work_call(lsm_db *db, int merge, int kb, int *written_kb);
LSM_MUST_USE int db_checkpoint_call(lsm_db *db, int *kb);
LSM_MUST_USE int db_get_user_version(lsm_db *db, uint32_t *version);
LSM_MUST_USE int db_set_user_version(lsm_db *db, uint32_t version);

LSM_MUST_USE int db_cursor_open(lsm_db *db, lsm_cursor **out);
void db_cursor_close(lsm_cursor *cursor);
LSM_MUST_USE int db_cursor_seek(lsm_cursor *cursor, struct slice key, int mode);
LSM_MUST_USE int db_cursor_seek_gt(lsm_cursor *cursor, struct slice key);
LSM_MUST_USE int db_cursor_seek_lt(lsm_cursor *cursor, struct slice key);
LSM_MUST_USE int db_cursor_first(lsm_cursor *cursor);
LSM_MUST_USE int db_cursor_last(lsm_cursor *cursor);
LSM_MUST_USE int db_cursor_next(lsm_cursor *cursor);
LSM_MUST_USE int db_cursor_prev(lsm_cursor *cursor);
/* Stand on what is there now: the same entry or, if a change took it away, the next one in the cursor's direction. */
LSM_MUST_USE int db_cursor_renew(lsm_cursor *cursor);
bool db_cursor_valid(const lsm_cursor *cursor);
LSM_MUST_USE int db_cursor_key(lsm_cursor *cursor, struct slice *key);
LSM_MUST_USE int db_cursor_value(lsm_cursor *cursor, struct slice *value, bool *live);

/* Integer verbs of lsm_config: set (if legal) and read back. LSM_MISUSE: not an integer verb. */
LSM_MUST_USE int db_config_integer(lsm_db *db, int verb, int *value);
LSM_MUST_USE int db_config_compression(lsm_db *db, const lsm_compress *compress);
void db_config_get_compression(lsm_db *db, lsm_compress *out);
void db_config_factory(lsm_db *db, const lsm_compress_factory *factory);

/* lsm_info: numbers and texts. */
LSM_MUST_USE int db_info_text(lsm_db *db, int verb, lsm_i64 page, char **out);
LSM_MUST_USE int db_info_number(lsm_db *db, int verb, int64_t *first, int64_t *second);

/* Look at every page of what the connection reads (verify.c); nothing is changed. Each problem is told with a page,
** or 0, and a text that is valid during the call. LSM_OK also when there are problems. */
struct verify_report {
    void *context;
    void (*problem)(void *context, uint64_t page_no, const char *text);
    /* At each page: bytes looked at and to be looked at, roughly; each page counts twice, and is told of up to four
    ** times. What is not LSM_OK ends the verification, and is returned. NULL: none. */
    int (*progress)(void *context, uint64_t done, uint64_t total);
};
struct verify_totals {
    uint64_t problem_count;
    uint64_t record_count;  /* stored in the file, tombstones and separators included */
    uint64_t page_count;    /* pages of segments that were read */
    uint32_t segment_count;
};
LSM_MUST_USE int db_verify(lsm_db *db, const struct verify_report *report,
                           struct verify_totals *out);

/* A compact copy of the newest committed version in a file of its own (backup.c). `source` stays open until
** db_backup_free, and may be used meanwhile. LSM_ERROR: the file, or a log beside it, exists; with `overwrite`
** both are deleted, unless somebody has them open: LSM_BUSY; LSM_MISUSE if it is the file of `source` itself. */
struct db_backup;
LSM_MUST_USE int db_backup_new(lsm_db *source, const char *path, bool overwrite,
                               struct db_backup **out);
/* Copy about `kb` KB, at least one record. *finished: the copy is complete, durable and closed; *done, *total:
** bytes, estimates until then. After a failure the same code comes again. */
LSM_MUST_USE int db_backup_step(struct db_backup *backup, uint32_t kb, uint64_t *done,
                                uint64_t *total, bool *finished);
/* A copy that is not finished is deleted. NULL is accepted. */
void db_backup_free(struct db_backup *backup);
/* Holds the details of a step's failure. */
const lsm_db *db_backup_reader(const struct db_backup *backup);

/* Remove the database with its log (destroy.c). `db` is not open. *found = false: there is none. LSM_BUSY: somebody has it
** open. LSM_CORRUPT, with db_open_found_foreign_file: not a database. */
LSM_MUST_USE int db_destroy(lsm_db *db, const char *path, bool *found);

/* For the bulk interface. */
const struct error_context *db_error(const lsm_db *db);
bool db_open_found_foreign_file(const lsm_db *db);
void db_set_log_hook(lsm_db *db, void (*hook)(void *, int, const char *), void *context);
void db_set_work_hook(lsm_db *db, void (*hook)(lsm_db *, void *), void *context);
/* A failure of automatic work after a commit is returned by the next transaction instead of the commit, which has
** succeeded: from then on an error means that nothing was done. */
void db_let_work_errors_wait(lsm_db *db);
lsm_env *db_env(const lsm_db *db);
LSM_MUST_USE int db_file_sizes(lsm_db *db, uint64_t *file, uint64_t *log);
/* Does a connection used by the calling thread hold the lock? */
bool db_lock_held_by_thread(lsm_db *db, int lock_no);

#endif
