/*
** backend_lsm.c — any shared library with the functions of lsm.h: ours, and LSM1.
**
** The library is loaded by name, so that one program measures both through the same calls.
*/
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "backend.h"
#include "lsm.h"
#include "lsm_bulk.h"

static struct {
    int (*new_)(lsm_env *, lsm_db **);
    int (*open)(lsm_db *, const char *);
    int (*close)(lsm_db *);
    int (*config)(lsm_db *, int, ...);
    int (*insert)(lsm_db *, const void *, int, const void *, int);
    int (*begin)(lsm_db *, int);
    int (*commit)(lsm_db *, int);
    int (*flush)(lsm_db *);
    int (*work)(lsm_db *, int, int, int *);
    int (*checkpoint)(lsm_db *, int *);
    int (*csr_open)(lsm_db *, lsm_cursor **);
    int (*csr_close)(lsm_cursor *);
    int (*csr_seek)(lsm_cursor *, const void *, int, int);
    int (*csr_first)(lsm_cursor *);
    int (*csr_last)(lsm_cursor *);
    int (*csr_next)(lsm_cursor *);
    int (*csr_prev)(lsm_cursor *);
    int (*csr_valid)(lsm_cursor *);
    int (*csr_key)(lsm_cursor *, const void **, int *);
    int (*csr_value)(lsm_cursor *, const void **, int *);
} lsm;

static lsm_db *db;
static lsm_cursor *cursor;

static void check(int rc, const char *what) {
    char code[32];
    if (rc == LSM_OK) return;
    snprintf(code, sizeof code, "code %d", rc);
    bench_fail(what, code);
}

/* A function of the library, stored without a cast between objects and functions. */
static void load(void *library, const char *name, void *slot) {
    void *address = dlsym(library, name);
    if (address == NULL) bench_fail(name, "is not in the library");
    memcpy(slot, &address, sizeof address);
}

static void load_library(const char *path) {
    void *library = path ? dlopen(path, RTLD_LAZY | RTLD_GLOBAL) : NULL;
    if (library == NULL) bench_fail("loading the library", path ? dlerror() : "library= is missing");
    load(library, "lsm_new", &lsm.new_);
    load(library, "lsm_open", &lsm.open);
    load(library, "lsm_close", &lsm.close);
    load(library, "lsm_config", &lsm.config);
    load(library, "lsm_insert", &lsm.insert);
    load(library, "lsm_begin", &lsm.begin);
    load(library, "lsm_commit", &lsm.commit);
    load(library, "lsm_flush", &lsm.flush);
    load(library, "lsm_work", &lsm.work);
    load(library, "lsm_checkpoint", &lsm.checkpoint);
    load(library, "lsm_csr_open", &lsm.csr_open);
    load(library, "lsm_csr_close", &lsm.csr_close);
    load(library, "lsm_csr_seek", &lsm.csr_seek);
    load(library, "lsm_csr_first", &lsm.csr_first);
    load(library, "lsm_csr_last", &lsm.csr_last);
    load(library, "lsm_csr_next", &lsm.csr_next);
    load(library, "lsm_csr_prev", &lsm.csr_prev);
    load(library, "lsm_csr_valid", &lsm.csr_valid);
    load(library, "lsm_csr_key", &lsm.csr_key);
    load(library, "lsm_csr_value", &lsm.csr_value);
}

static void set(int verb, int value) {
    int wanted = value;
    check(lsm.config(db, verb, &value), "lsm_config");
    if (value != wanted) fprintf(stderr, "lsm_config: verb %d reads back %d\n", verb, value);
}

static void lsm_back_open(const struct bench_options *options) {
    char path[4096];

    load_library(options->library);
    check(lsm.new_(NULL, &db), "lsm_new");
    if (!options->defaults) {
        set(LSM_CONFIG_MULTIPLE_PROCESSES, options->processes);
        set(LSM_CONFIG_MMAP, options->mmap);
        set(LSM_CONFIG_SAFETY, LSM_SAFETY_NORMAL);
        set(LSM_CONFIG_AUTOFLUSH, options->autoflush_kb);
    }
    if (options->background) set(LSM_BULK_CONFIG_BACKGROUND, 1);
    if (options->budget_kb) set(LSM_BULK_CONFIG_MEMORY_BUDGET_KB, options->budget_kb);
    if (options->synced) set(LSM_CONFIG_SAFETY, LSM_SAFETY_FULL);
    snprintf(path, sizeof path, "%s/bench.db", options->folder);
    check(lsm.open(db, path), "lsm_open");
}

static void lsm_back_close(void) {
    check(lsm.close(db), "lsm_close");
}

static void lsm_back_begin(void) {
    check(lsm.begin(db, 1), "lsm_begin");
}

static void lsm_back_put(struct bytes key, struct bytes value) {
    check(lsm.insert(db, key.data, (int)key.size, value.data, (int)value.size), "lsm_insert");
}

static void lsm_back_commit(void) {
    check(lsm.commit(db, 0), "lsm_commit");
}

static void lsm_back_merge_all(void) {
    int written_kb = 0;
    check(lsm.flush(db), "lsm_flush");
    check(lsm.work(db, 1, -1, &written_kb), "lsm_work");
    check(lsm.checkpoint(db, NULL), "lsm_checkpoint");
}

static void lsm_back_read_begin(void) {
    check(lsm.csr_open(db, &cursor), "lsm_csr_open");
}

static void lsm_back_read_end(void) {
    check(lsm.csr_close(cursor), "lsm_csr_close");
}

static bool lsm_back_get(struct bytes key, struct bytes *value) {
    int size;
    check(lsm.csr_seek(cursor, key.data, (int)key.size, LSM_SEEK_EQ), "lsm_csr_seek");
    if (!lsm.csr_valid(cursor)) return false;
    check(lsm.csr_value(cursor, &value->data, &size), "lsm_csr_value");
    value->size = (size_t)size;
    return true;
}

static bool lsm_back_seek(struct bytes key) {
    check(lsm.csr_seek(cursor, key.data, (int)key.size, LSM_SEEK_GE), "lsm_csr_seek");
    return lsm.csr_valid(cursor) != 0;
}

static bool lsm_back_first(void) {
    check(lsm.csr_first(cursor), "lsm_csr_first");
    return lsm.csr_valid(cursor) != 0;
}

static bool lsm_back_last(void) {
    check(lsm.csr_last(cursor), "lsm_csr_last");
    return lsm.csr_valid(cursor) != 0;
}

static bool lsm_back_next(void) {
    check(lsm.csr_next(cursor), "lsm_csr_next");
    return lsm.csr_valid(cursor) != 0;
}

static bool lsm_back_prev(void) {
    check(lsm.csr_prev(cursor), "lsm_csr_prev");
    return lsm.csr_valid(cursor) != 0;
}

static void lsm_back_current(struct bytes *key, struct bytes *value) {
    int size;
    check(lsm.csr_key(cursor, &key->data, &size), "lsm_csr_key");
    key->size = (size_t)size;
    check(lsm.csr_value(cursor, &value->data, &size), "lsm_csr_value");
    value->size = (size_t)size;
}

const struct backend backend = {
    .name = "lsm",
    .open = lsm_back_open,
    .close = lsm_back_close,
    .begin = lsm_back_begin,
    .put = lsm_back_put,
    .commit = lsm_back_commit,
    .put_single = lsm_back_put,
    .merge_all = lsm_back_merge_all,
    .read_begin = lsm_back_read_begin,
    .read_end = lsm_back_read_end,
    .get = lsm_back_get,
    .seek = lsm_back_seek,
    .first = lsm_back_first,
    .last = lsm_back_last,
    .next = lsm_back_next,
    .prev = lsm_back_prev,
    .current = lsm_back_current,
};
