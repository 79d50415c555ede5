/*
** backend_leveldb.c — LevelDB through its C interface: a log-structured store with a thread of its own for merging.
**
** A get copies the value: the interface has no other. Unless at its own defaults: no compression, and as much memory
** for looking up as our engine may use, with a filter of 10 bits a key.
*/
#include <leveldb/c.h>
#include <stdio.h>

#include "backend.h"

#define OPEN_FILES 4000 /* all of them: 2 MiB each */

static leveldb_t *db;
static leveldb_cache_t *cache;
static leveldb_filterpolicy_t *filter;
static leveldb_options_t *db_options;
static leveldb_writeoptions_t *write_options;
static leveldb_readoptions_t *read_options;
static leveldb_writebatch_t *batch;
static leveldb_iterator_t *iterator;
static const leveldb_snapshot_t *snapshot;
static char *got; /* the value of the last get */

static void check(char *error, const char *what) {
    if (error != NULL) bench_fail(what, error);
}

static const char *leveldb_back_version(void) {
    static char text[32];
    snprintf(text, sizeof text, "%d.%d", leveldb_major_version(), leveldb_minor_version());
    return text;
}

static void leveldb_back_open(const struct bench_options *options) {
    char path[4096];
    char *error = NULL;

    db_options = leveldb_options_create();
    leveldb_options_set_create_if_missing(db_options, 1);
    if (!options->defaults) {
        leveldb_options_set_compression(db_options, leveldb_no_compression);
        leveldb_options_set_write_buffer_size(db_options, (size_t)options->autoflush_kb * 1024);
        cache = leveldb_cache_create_lru(LOOK_UP_BYTES);
        leveldb_options_set_cache(db_options, cache);
        filter = leveldb_filterpolicy_create_bloom(FILTER_BITS);
        leveldb_options_set_filter_policy(db_options, filter);
        leveldb_options_set_max_open_files(db_options, OPEN_FILES);
    }
    write_options = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(write_options, options->synced);
    read_options = leveldb_readoptions_create();
    batch = leveldb_writebatch_create();
    snprintf(path, sizeof path, "%s/bench", options->folder);
    db = leveldb_open(db_options, path, &error);
    check(error, "leveldb_open");
}

static void leveldb_back_close(void) {
    leveldb_close(db);
    leveldb_writebatch_destroy(batch);
    leveldb_readoptions_destroy(read_options);
    leveldb_writeoptions_destroy(write_options);
    leveldb_options_destroy(db_options);
    if (cache) leveldb_cache_destroy(cache);
    if (filter) leveldb_filterpolicy_destroy(filter);
    cache = NULL;
    filter = NULL;
}

static void leveldb_back_begin(void) {
    leveldb_writebatch_clear(batch);
}

static void leveldb_back_put(struct bytes key, struct bytes value) {
    leveldb_writebatch_put(batch, key.data, key.size, value.data, value.size);
}

static void leveldb_back_commit(void) {
    char *error = NULL;
    leveldb_write(db, write_options, batch, &error);
    check(error, "leveldb_write");
}

static void leveldb_back_put_single(struct bytes key, struct bytes value) {
    char *error = NULL;
    leveldb_put(db, write_options, key.data, key.size, value.data, value.size, &error);
    check(error, "leveldb_put");
}

static void leveldb_back_merge_all(void) {
    leveldb_compact_range(db, NULL, 0, NULL, 0);
}

static void leveldb_back_read_begin(void) {
    snapshot = leveldb_create_snapshot(db);
    leveldb_readoptions_set_snapshot(read_options, snapshot);
    iterator = leveldb_create_iterator(db, read_options);
}

static void leveldb_back_read_end(void) {
    leveldb_free(got);
    got = NULL;
    leveldb_iter_destroy(iterator);
    leveldb_readoptions_set_snapshot(read_options, NULL);
    leveldb_release_snapshot(db, snapshot);
}

static bool leveldb_back_get(struct bytes key, struct bytes *value) {
    char *error = NULL;

    leveldb_free(got);
    got = leveldb_get(db, read_options, key.data, key.size, &value->size, &error);
    check(error, "leveldb_get");
    value->data = got;
    return got != NULL;
}

static bool leveldb_back_seek(struct bytes key) {
    leveldb_iter_seek(iterator, key.data, key.size);
    return leveldb_iter_valid(iterator);
}

static bool leveldb_back_first(void) {
    leveldb_iter_seek_to_first(iterator);
    return leveldb_iter_valid(iterator);
}

static bool leveldb_back_last(void) {
    leveldb_iter_seek_to_last(iterator);
    return leveldb_iter_valid(iterator);
}

static bool leveldb_back_next(void) {
    leveldb_iter_next(iterator);
    return leveldb_iter_valid(iterator);
}

static bool leveldb_back_prev(void) {
    leveldb_iter_prev(iterator);
    return leveldb_iter_valid(iterator);
}

static void leveldb_back_current(struct bytes *key, struct bytes *value) {
    key->data = leveldb_iter_key(iterator, &key->size);
    value->data = leveldb_iter_value(iterator, &value->size);
}

const struct backend backend = {
    .name = "leveldb",
    .version = leveldb_back_version,
    .open = leveldb_back_open,
    .close = leveldb_back_close,
    .begin = leveldb_back_begin,
    .put = leveldb_back_put,
    .commit = leveldb_back_commit,
    .put_single = leveldb_back_put_single,
    .merge_all = leveldb_back_merge_all,
    .read_begin = leveldb_back_read_begin,
    .read_end = leveldb_back_read_end,
    .get = leveldb_back_get,
    .seek = leveldb_back_seek,
    .first = leveldb_back_first,
    .last = leveldb_back_last,
    .next = leveldb_back_next,
    .prev = leveldb_back_prev,
    .current = leveldb_back_current,
};
