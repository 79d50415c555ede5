/*
** backend_lmdb.c — LMDB: a copy-on-write b-tree in one mapped file.
**
** Unsynced commits are MDB_NOSYNC: after a power cut the file may be damaged, where the log-structured engines lose the
** last transactions only. Its own default is to sync every commit.
*/
#include <lmdb.h>

#include "backend.h"

#define MAP_SIZE ((size_t)16 << 30)

static MDB_env *env;
static MDB_dbi dbi;
static MDB_txn *txn;
static MDB_cursor *cursor;
static MDB_val current_key;
static MDB_val current_value;

static void check(int rc, const char *what) {
    if (rc != 0) bench_fail(what, mdb_strerror(rc));
}

static MDB_val to_val(struct bytes bytes) {
    return (MDB_val){bytes.size, (void *)(size_t)bytes.data};
}

static const char *lmdb_version(void) {
    return mdb_version(NULL, NULL, NULL);
}

static void lmdb_open(const struct bench_options *options) {
    unsigned flags = options->synced || options->defaults ? 0 : MDB_NOSYNC;

    check(mdb_env_create(&env), "mdb_env_create");
    check(mdb_env_set_mapsize(env, MAP_SIZE), "mdb_env_set_mapsize");
    check(mdb_env_open(env, options->folder, flags, 0644), "mdb_env_open");
    check(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
    check(mdb_dbi_open(txn, NULL, 0, &dbi), "mdb_dbi_open");
    check(mdb_txn_commit(txn), "mdb_txn_commit");
}

static void lmdb_close(void) {
    mdb_env_close(env);
}

static void lmdb_begin(void) {
    check(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
}

static void lmdb_put(struct bytes key, struct bytes value) {
    MDB_val k = to_val(key);
    MDB_val v = to_val(value);
    check(mdb_put(txn, dbi, &k, &v, 0), "mdb_put");
}

static void lmdb_commit(void) {
    check(mdb_txn_commit(txn), "mdb_txn_commit");
}

static void lmdb_put_single(struct bytes key, struct bytes value) {
    lmdb_begin();
    lmdb_put(key, value);
    lmdb_commit();
}

static void lmdb_read_begin(void) {
    check(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    check(mdb_cursor_open(txn, dbi, &cursor), "mdb_cursor_open");
}

static void lmdb_read_end(void) {
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
}

static bool lmdb_get(struct bytes key, struct bytes *value) {
    MDB_val k = to_val(key);
    MDB_val v;
    int rc = mdb_get(txn, dbi, &k, &v);

    if (rc == MDB_NOTFOUND) return false;
    check(rc, "mdb_get");
    *value = (struct bytes){v.mv_data, v.mv_size};
    return true;
}

static bool move(MDB_cursor_op operation) {
    int rc = mdb_cursor_get(cursor, &current_key, &current_value, operation);
    if (rc == MDB_NOTFOUND) return false;
    check(rc, "mdb_cursor_get");
    return true;
}

static bool lmdb_seek(struct bytes key) {
    current_key = to_val(key);
    return move(MDB_SET_RANGE);
}

static bool lmdb_first(void) {
    return move(MDB_FIRST);
}

static bool lmdb_last(void) {
    return move(MDB_LAST);
}

static bool lmdb_next(void) {
    return move(MDB_NEXT);
}

static bool lmdb_prev(void) {
    return move(MDB_PREV);
}

static void lmdb_current(struct bytes *key, struct bytes *value) {
    *key = (struct bytes){current_key.mv_data, current_key.mv_size};
    *value = (struct bytes){current_value.mv_data, current_value.mv_size};
}

const struct backend backend = {
    .name = "lmdb",
    .version = lmdb_version,
    .open = lmdb_open,
    .close = lmdb_close,
    .begin = lmdb_begin,
    .put = lmdb_put,
    .commit = lmdb_commit,
    .put_single = lmdb_put_single,
    .read_begin = lmdb_read_begin,
    .read_end = lmdb_read_end,
    .get = lmdb_get,
    .seek = lmdb_seek,
    .first = lmdb_first,
    .last = lmdb_last,
    .next = lmdb_next,
    .prev = lmdb_prev,
    .current = lmdb_current,
};
