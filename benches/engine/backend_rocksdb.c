/*
** backend_rocksdb.c — RocksDB through its C interface: a log-structured store with a thread of its own for merging.
**
** A get borrows the value. Unless at its own defaults: no compression, and as much memory for looking up as our
** engine may use, with a filter of 10 bits a key.
*/
#include <rocksdb/c.h>
#include <stdio.h>

#include "backend.h"

static rocksdb_t *db;
static rocksdb_options_t *db_options;
static rocksdb_writeoptions_t *write_options;
static rocksdb_readoptions_t *read_options;
static rocksdb_writebatch_t *batch;
static rocksdb_iterator_t *iterator;
static const rocksdb_snapshot_t *snapshot;
static rocksdb_pinnableslice_t *got; /* the value of the last get */

static void check(char *error, const char *what) {
    if (error != NULL) bench_fail(what, error);
}

static void set_look_up(void) {
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(LOOK_UP_BYTES);

    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_filter_policy(table,
                                                  rocksdb_filterpolicy_create_bloom(FILTER_BITS));
    rocksdb_options_set_block_based_table_factory(db_options, table); /* takes references */
    rocksdb_cache_destroy(cache);
    rocksdb_block_based_options_destroy(table);
}

static void rocksdb_back_open(const struct bench_options *options) {
    char path[4096];
    char *error = NULL;

    db_options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(db_options, 1);
    if (!options->defaults) {
        rocksdb_options_set_compression(db_options, rocksdb_no_compression);
        rocksdb_options_set_write_buffer_size(db_options, (size_t)options->autoflush_kb * 1024);
        set_look_up();
    }
    write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(write_options, options->synced);
    read_options = rocksdb_readoptions_create();
    batch = rocksdb_writebatch_create();
    snprintf(path, sizeof path, "%s/bench", options->folder);
    db = rocksdb_open(db_options, path, &error);
    check(error, "rocksdb_open");
}

static void rocksdb_back_close(void) {
    rocksdb_close(db);
    rocksdb_writebatch_destroy(batch);
    rocksdb_readoptions_destroy(read_options);
    rocksdb_writeoptions_destroy(write_options);
    rocksdb_options_destroy(db_options);
}

static void rocksdb_back_begin(void) {
    rocksdb_writebatch_clear(batch);
}

static void rocksdb_back_put(struct bytes key, struct bytes value) {
    rocksdb_writebatch_put(batch, key.data, key.size, value.data, value.size);
}

static void rocksdb_back_commit(void) {
    char *error = NULL;
    rocksdb_write(db, write_options, batch, &error);
    check(error, "rocksdb_write");
}

static void rocksdb_back_put_single(struct bytes key, struct bytes value) {
    char *error = NULL;
    rocksdb_put(db, write_options, key.data, key.size, value.data, value.size, &error);
    check(error, "rocksdb_put");
}

static void rocksdb_back_merge_all(void) {
    rocksdb_compact_range(db, NULL, 0, NULL, 0);
}

static void rocksdb_back_read_begin(void) {
    snapshot = rocksdb_create_snapshot(db);
    rocksdb_readoptions_set_snapshot(read_options, snapshot);
    iterator = rocksdb_create_iterator(db, read_options);
}

static void rocksdb_back_read_end(void) {
    if (got) rocksdb_pinnableslice_destroy(got);
    got = NULL;
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_set_snapshot(read_options, NULL);
    rocksdb_release_snapshot(db, snapshot);
}

static bool rocksdb_back_get(struct bytes key, struct bytes *value) {
    char *error = NULL;

    if (got) rocksdb_pinnableslice_destroy(got);
    got = rocksdb_get_pinned(db, read_options, key.data, key.size, &error);
    check(error, "rocksdb_get_pinned");
    if (got == NULL) return false;
    value->data = rocksdb_pinnableslice_value(got, &value->size);
    return true;
}

static bool rocksdb_back_seek(struct bytes key) {
    rocksdb_iter_seek(iterator, key.data, key.size);
    return rocksdb_iter_valid(iterator);
}

static bool rocksdb_back_first(void) {
    rocksdb_iter_seek_to_first(iterator);
    return rocksdb_iter_valid(iterator);
}

static bool rocksdb_back_last(void) {
    rocksdb_iter_seek_to_last(iterator);
    return rocksdb_iter_valid(iterator);
}

static bool rocksdb_back_next(void) {
    rocksdb_iter_next(iterator);
    return rocksdb_iter_valid(iterator);
}

static bool rocksdb_back_prev(void) {
    rocksdb_iter_prev(iterator);
    return rocksdb_iter_valid(iterator);
}

static void rocksdb_back_current(struct bytes *key, struct bytes *value) {
    key->data = rocksdb_iter_key(iterator, &key->size);
    value->data = rocksdb_iter_value(iterator, &value->size);
}

const struct backend backend = {
    .name = "rocksdb",
    .open = rocksdb_back_open,
    .close = rocksdb_back_close,
    .begin = rocksdb_back_begin,
    .put = rocksdb_back_put,
    .commit = rocksdb_back_commit,
    .put_single = rocksdb_back_put_single,
    .merge_all = rocksdb_back_merge_all,
    .read_begin = rocksdb_back_read_begin,
    .read_end = rocksdb_back_read_end,
    .get = rocksdb_back_get,
    .seek = rocksdb_back_seek,
    .first = rocksdb_back_first,
    .last = rocksdb_back_last,
    .next = rocksdb_back_next,
    .prev = rocksdb_back_prev,
    .current = rocksdb_back_current,
};
