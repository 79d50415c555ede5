/*
** engine_bench.c — one driver, any library with the functions of lsm.h: loads the library named on the command line
** and measures the same workload on it, so that two libraries are compared in one run of the machine.
**
**     engine_bench LIBRARY DIRECTORY [records] [value size] [KEY=VALUE ...]
**
** Options: autoflush=KB mmap=0|1 safety=0|1|2 procs=0|1 batch=N. Prints one line a measure: name, operations a
** second, nanoseconds an operation.
*/
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lsm.h"

static struct {
    int (*new_)(lsm_env *, lsm_db **);
    int (*open)(lsm_db *, const char *);
    int (*close)(lsm_db *);
    int (*config)(lsm_db *, int, ...);
    int (*insert)(lsm_db *, const void *, int, const void *, int);
    int (*begin)(lsm_db *, int);
    int (*commit)(lsm_db *, int);
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

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fail(const char *what, int rc) {
    fprintf(stderr, "%s: %d\n", what, rc);
    exit(1);
}
#define CHECK(call)                     \
    do {                                \
        int rc_ = (call);               \
        if (rc_ != 0) fail(#call, rc_); \
    } while (0)

static uint64_t mix(uint64_t x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ull;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

/* 16 bytes: random order over a dense set of numbers. Odd numbers are never stored: misses. */
static void make_key(uint8_t *key, uint64_t number) {
    uint64_t a = mix(number * 2 + 1);
    uint64_t b = mix(a ^ 0x9e3779b97f4a7c15ull);
    memcpy(key, &a, 8);
    memcpy(key + 8, &b, 8);
}

static void report(const char *name, double seconds, double count) {
    printf("%-22s %12.0f op/s %10.0f ns\n", name, count / seconds, seconds / count * 1e9);
    fflush(stdout);
}

static void *symbol(void *library, const char *name) {
    void *address = dlsym(library, name);
    if (address == NULL) fail(name, 1);
    return address;
}
#define LOAD(field, name) *(void **)&lsm.field = symbol(library, "lsm_" name)

static int option(int argc, char **argv, const char *name, int otherwise) {
    size_t length = strlen(name);
    int i;
    for (i = 0; i < argc; i++) {
        if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=') {
            return atoi(argv[i] + length + 1);
        }
    }
    return otherwise;
}

static lsm_db *connect(const char *path, int argc, char **argv) {
    lsm_db *db;
    int value;

    CHECK(lsm.new_(NULL, &db));
    value = option(argc, argv, "procs", 0);
    CHECK(lsm.config(db, LSM_CONFIG_MULTIPLE_PROCESSES, &value));
    value = option(argc, argv, "mmap", 1);
    CHECK(lsm.config(db, LSM_CONFIG_MMAP, &value));
    value = option(argc, argv, "safety", 1);
    CHECK(lsm.config(db, LSM_CONFIG_SAFETY, &value));
    value = option(argc, argv, "autoflush", 1024);
    CHECK(lsm.config(db, LSM_CONFIG_AUTOFLUSH, &value));
    CHECK(lsm.open(db, path));
    return db;
}

int main(int argc, char **argv) {
    uint64_t records = argc > 3 ? strtoull(argv[3], NULL, 10) : 1000000;
    int value_size = argc > 4 ? atoi(argv[4]) : 100;
    uint64_t reads = records < 500000 ? records : 500000;
    char path[4096];
    char log_path[4100];
    uint8_t key[16];
    uint8_t *value = malloc((size_t)value_size);
    lsm_db *db;
    lsm_cursor *cursor;
    void *library;
    double start;
    double longest = 0;
    uint64_t i;
    uint64_t found = 0;
    uint64_t sum = 0;
    int batch = option(argc, argv, "batch", 1000);
    int synced = option(argc, argv, "synced", 0);

    if (argc < 3) fail("usage: engine_bench LIBRARY DIRECTORY [records] [value size] [KEY=VALUE ...]", 2);
    library = dlopen(argv[1], RTLD_LAZY | RTLD_GLOBAL);
    if (library == NULL) fail(dlerror(), 1);
    LOAD(new_, "new");
    LOAD(open, "open");
    LOAD(close, "close");
    LOAD(config, "config");
    LOAD(insert, "insert");
    LOAD(begin, "begin");
    LOAD(commit, "commit");
    LOAD(csr_open, "csr_open");
    LOAD(csr_close, "csr_close");
    LOAD(csr_seek, "csr_seek");
    LOAD(csr_first, "csr_first");
    LOAD(csr_last, "csr_last");
    LOAD(csr_next, "csr_next");
    LOAD(csr_prev, "csr_prev");
    LOAD(csr_valid, "csr_valid");
    LOAD(csr_key, "csr_key");
    LOAD(csr_value, "csr_value");
    snprintf(path, sizeof path, "%s/bench.db", argv[2]);
    snprintf(log_path, sizeof log_path, "%s-log", path);
    unlink(path);
    unlink(log_path);
    for (i = 0; i < (uint64_t)value_size; i++) value[i] = (uint8_t)mix(i);

    db = connect(path, argc, argv);
    start = now();
    if (synced) {
        for (i = 0; i < records; i++) {
            make_key(key, i);
            CHECK(lsm.insert(db, key, 16, value, value_size));
        }
        report("single puts", now() - start, (double)records);
        CHECK(lsm.close(db));
        return 0;
    }
    for (i = 0; i < records;) {
        uint64_t end = i + (uint64_t)batch < records ? i + (uint64_t)batch : records;
        double call = now();
        CHECK(lsm.begin(db, 1));
        for (; i < end; i++) {
            make_key(key, i);
            CHECK(lsm.insert(db, key, 16, value, value_size));
        }
        CHECK(lsm.commit(db, 0));
        call = now() - call;
        if (call > longest) longest = call;
    }
    report("fill, batches", now() - start, (double)records);
    printf("%-22s %12.1f ms\n", "longest batch", longest * 1e3);

    CHECK(lsm.csr_open(db, &cursor));
    start = now();
    for (i = 0; i < reads; i++) {
        const void *data;
        int size;
        make_key(key, mix(i) % records);
        CHECK(lsm.csr_seek(cursor, key, 16, LSM_SEEK_EQ));
        if (!lsm.csr_valid(cursor)) continue;
        found++;
        CHECK(lsm.csr_value(cursor, &data, &size));
        sum += ((const uint8_t *)data)[size - 1];
    }
    report("get, hit", now() - start, (double)reads);
    if (found != reads) fail("records are missing", (int)(reads - found));
    start = now();
    for (i = 0; i < reads; i++) {
        make_key(key, records + 1 + mix(i) % records);
        CHECK(lsm.csr_seek(cursor, key, 16, LSM_SEEK_EQ));
        found += (uint64_t)lsm.csr_valid(cursor);
    }
    report("get, miss", now() - start, (double)reads);
    if (found != reads) fail("records that were never stored", 1);
    start = now();
    found = 0;
    CHECK(lsm.csr_first(cursor));
    while (lsm.csr_valid(cursor)) {
        const void *data;
        int size;
        CHECK(lsm.csr_key(cursor, &data, &size));
        sum += ((const uint8_t *)data)[0];
        CHECK(lsm.csr_value(cursor, &data, &size));
        sum += ((const uint8_t *)data)[0];
        found++;
        CHECK(lsm.csr_next(cursor));
    }
    report("scan forward", now() - start, (double)found);
    if (found != records) fail("scan", (int)found);
    start = now();
    CHECK(lsm.csr_last(cursor));
    found = 0;
    while (lsm.csr_valid(cursor)) {
        const void *data;
        int size;
        CHECK(lsm.csr_key(cursor, &data, &size));
        sum += ((const uint8_t *)data)[0];
        found++;
        CHECK(lsm.csr_prev(cursor));
    }
    report("scan reverse", now() - start, (double)found);
    start = now();
    for (i = 0; i < reads / 10; i++) {
        int step;
        make_key(key, records + 1 + mix(i) % records);
        CHECK(lsm.csr_seek(cursor, key, 16, LSM_SEEK_GE));
        for (step = 0; step < 10 && lsm.csr_valid(cursor); step++) CHECK(lsm.csr_next(cursor));
    }
    report("seek GE + 10 steps", now() - start, (double)(reads / 10));
    CHECK(lsm.csr_close(cursor));
    start = now();
    for (i = 0; i < reads / 5; i++) {
        make_key(key, mix(i) % records);
        CHECK(lsm.insert(db, key, 16, value, value_size));
    }
    report("single puts", now() - start, (double)(reads / 5));
    start = now();
    CHECK(lsm.close(db));
    printf("%-22s %12.1f ms\n", "close", (now() - start) * 1e3);
    free(value);
    return sum == 42 ? 3 : 0;
}
