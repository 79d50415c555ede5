/*
** engine_bench.c — one driver, one program for each back end: the same keys, values, order and counts for all.
**
**     engine_bench_NAME FOLDER run=bulk|put|synced|large [NAME=VALUE ...]
**
** FOLDER must be empty; it is the caller's to remove. Options: records= value= batch= reads= puts= synced_puts=
** only=NAME,NAME (of the measures of bulk) defaults=1 library=FILE autoflush=KB budget=KB mmap= processes=
** background=1.
** Prints one JSON object a line and measure: operations, seconds of the clock, seconds of processor time (all threads
** of the process), and, where single calls are timed, percentiles of their duration in microseconds.
**
**     bulk    fill, get-hit, get-miss, scan-forward, scan-reverse, seek-10, overwrite, close: one database, in this
**             order; `batch` puts a transaction
**     put     single puts of new keys into an empty database, each timed: automatic work included
**     synced  the same, each durable when it returns
**     large   fill, reads, overwrite, merge-all, reads of what is one run then, close, and reads after the system
**             forgot the files; with what the process used (process_facts.c) behind each
**
** Keys are 16 bytes in random order. Values are windows of random bytes: nothing to compress.
*/
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend.h"
#include "process_facts.h"

#define KEY_SIZE 16
#define RANDOM_BYTES (1u << 16)

struct settings {
    struct bench_options engine;
    uint64_t records;
    uint64_t reads; /* at most so many gets */
    uint64_t puts;
    uint64_t synced_puts;
    size_t value_size;
    uint64_t batch;
    const char *only; /* names separated by commas; NULL = all */
};

void bench_fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s: %s\n", backend.name, what, why);
    exit(1);
}

/* -------------------------------------------------------------------------------- time -- */

struct moment {
    double wall;
    double cpu;
};

static double clock_seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static struct moment moment_now(void) {
    return (struct moment){clock_seconds(CLOCK_MONOTONIC), clock_seconds(CLOCK_PROCESS_CPUTIME_ID)};
}

static void report_open(const char *measure, uint64_t count, struct moment start) {
    struct moment end = moment_now();
    printf("{\"measure\":\"%s\",\"count\":%llu,\"wall\":%.9f,\"cpu\":%.9f", measure,
           (unsigned long long)count, end.wall - start.wall, end.cpu - start.cpu);
}

static void report_end(void) {
    facts_print();
    printf("}\n");
    fflush(stdout);
}

static void report(const char *measure, uint64_t count, struct moment start) {
    report_open(measure, count, start);
    report_end();
}

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a;
    float y = *(const float *)b;
    return (x > y) - (x < y);
}

/* `calls`: seconds each; sorted by this. */
static void report_calls(const char *measure, uint64_t count, struct moment start, float *calls,
                         uint64_t call_count) {
    static const struct {
        const char *name;
        double share;
    } points[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99_9", 0.999}, {"p99_99", 0.9999}, {"max", 1.0}};
    size_t i;

    report_open(measure, count, start);
    qsort(calls, call_count, sizeof *calls, compare_floats);
    for (i = 0; i < sizeof points / sizeof *points && call_count > 0; i++) {
        uint64_t at = (uint64_t)(points[i].share * (double)(call_count - 1));
        printf(",\"%s\":%.1f", points[i].name, (double)calls[at] * 1e6);
    }
    report_end();
}

static float *calls_new(uint64_t count) {
    float *calls = calloc(count ? count : 1, sizeof *calls);
    if (calls == NULL) bench_fail("memory", "none left");
    return calls;
}

/* ------------------------------------------------------------------------- keys and values -- */

static uint8_t random_bytes[RANDOM_BYTES];

static uint64_t mix(uint64_t x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ull;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static void make_random_bytes(void) {
    uint64_t i;
    for (i = 0; i < RANDOM_BYTES; i++) random_bytes[i] = (uint8_t)mix(i + 0x51ull);
}

/* Numbers 0..records-1 are stored; those from `records` on never are. */
static struct bytes make_key(uint8_t key[KEY_SIZE], uint64_t number) {
    uint64_t a = mix(number * 2 + 1);
    uint64_t b = mix(a ^ 0x9e3779b97f4a7c15ull);
    memcpy(key, &a, 8);
    memcpy(key + 8, &b, 8);
    return (struct bytes){key, KEY_SIZE};
}

static struct bytes make_value(const struct settings *settings, uint64_t number) {
    uint64_t places = RANDOM_BYTES - settings->value_size;
    return (struct bytes){random_bytes + mix(number) % places, settings->value_size};
}

/* What a reader of a value does with it; keeps the compiler from leaving the reading out. */
static uint64_t consumed;

static void consume(struct bytes bytes) {
    const uint8_t *data = bytes.data;
    if (bytes.size > 0) consumed += data[0] + (uint64_t)data[bytes.size - 1];
}

/* --------------------------------------------------------------------------------- workloads -- */

static bool is_wanted(const struct settings *settings, const char *measure) {
    const char *at = settings->only;
    size_t length = strlen(measure);

    while (at != NULL) {
        const char *end = strchr(at, ',');
        size_t size = end ? (size_t)(end - at) : strlen(at);
        if (size == length && memcmp(at, measure, length) == 0) return true;
        at = end ? end + 1 : NULL;
    }
    return settings->only == NULL;
}

static uint64_t read_count(const struct settings *settings) {
    return settings->records < settings->reads ? settings->records : settings->reads;
}

/* `count` puts in transactions, of records in order of number, or of any of them. */
static void write_batches(const struct settings *settings, const char *measure, uint64_t count,
                          bool shuffled) {
    float *calls = calls_new(count / settings->batch + 1);
    struct moment start = moment_now();
    uint64_t call_count = 0;
    uint8_t key[KEY_SIZE];
    uint64_t i = 0;

    while (i < count) {
        uint64_t end = i + settings->batch < count ? i + settings->batch : count;
        double begin = clock_seconds(CLOCK_MONOTONIC);
        backend.begin();
        for (; i < end; i++) {
            uint64_t number = shuffled ? mix(i + 7) % settings->records : i;
            backend.put(make_key(key, number), make_value(settings, number + shuffled));
        }
        backend.commit();
        calls[call_count++] = (float)(clock_seconds(CLOCK_MONOTONIC) - begin);
    }
    report_calls(measure, count, start, calls, call_count);
    free(calls);
}

static void get(const struct settings *settings, const char *measure, bool hit, uint64_t count) {
    struct moment start = moment_now();
    uint8_t key[KEY_SIZE];
    uint64_t found = 0;
    uint64_t i;

    for (i = 0; i < count; i++) {
        uint64_t number = mix(i) % settings->records + (hit ? 0 : settings->records);
        struct bytes value;
        if (!backend.get(make_key(key, number), &value)) continue;
        consume(value);
        found++;
    }
    report(measure, count, start);
    if (found != (hit ? count : 0)) bench_fail("get", "a wrong number of records found");
}

static void scan(const struct settings *settings, const char *measure, bool forward) {
    struct moment start = moment_now();
    uint64_t found = 0;
    bool on = forward ? backend.first() : backend.last();

    while (on) {
        struct bytes key, value;
        backend.current(&key, &value);
        consume(key);
        consume(value);
        found++;
        on = forward ? backend.next() : backend.prev();
    }
    report(measure, found, start);
    if (found != settings->records) bench_fail("scan", "a wrong number of records found");
}

static void seek_and_step(const struct settings *settings, const char *measure) {
    uint64_t count = read_count(settings) / 4;
    struct moment start = moment_now();
    uint8_t key[KEY_SIZE];
    uint64_t i;

    for (i = 0; i < count; i++) {
        bool on = backend.seek(make_key(key, settings->records + mix(i) % settings->records));
        int step;
        for (step = 0; step < 10 && on; step++) {
            struct bytes found_key, value;
            backend.current(&found_key, &value);
            consume(found_key);
            consume(value);
            on = backend.next();
        }
    }
    report(measure, count, start);
}

static const char *const READS[] = {"get-hit", "get-miss", "scan-forward", "scan-reverse", "seek-10"};

/* All kinds of reading, or those wanted, of one version. */
static void read_all(const struct settings *settings, const char *prefix) {
    size_t i;

    backend.read_begin();
    for (i = 0; i < sizeof READS / sizeof *READS; i++) {
        char measure[32];
        snprintf(measure, sizeof measure, "%s%s", prefix, READS[i]);
        if (!is_wanted(settings, measure)) continue;
        if (i < 2) get(settings, measure, i == 0, read_count(settings));
        else if (i < 4) scan(settings, measure, i == 2);
        else seek_and_step(settings, measure);
    }
    backend.read_end();
}

static void close_database(void) {
    struct moment start = moment_now();
    backend.close();
    report("close", 1, start);
}

static void bulk(const struct settings *settings) {
    backend.open(&settings->engine);
    write_batches(settings, "fill", settings->records, false);
    read_all(settings, "");
    if (is_wanted(settings, "overwrite")) {
        write_batches(settings, "overwrite", settings->records / 2, true);
    }
    close_database();
}

static void large(const struct settings *settings) {
    struct moment start;

    facts_start(settings->engine.folder);
    backend.open(&settings->engine);
    write_batches(settings, "fill", settings->records, false);
    read_all(settings, "");
    if (is_wanted(settings, "overwrite")) {
        write_batches(settings, "overwrite", settings->records / 4, true);
    }
    if (backend.merge_all && is_wanted(settings, "merge-all")) {
        start = moment_now();
        backend.merge_all();
        report("merge-all", settings->records, start);
        read_all(settings, "merged-");
    }
    close_database();
    facts_forget_files();
    start = moment_now();
    backend.open(&settings->engine);
    report("reopen", 1, start);
    read_all(settings, "cold-");
    backend.close();
}

static void single_puts(const struct settings *settings, const char *measure, uint64_t count) {
    float *calls = calls_new(count);
    struct moment start;
    uint8_t key[KEY_SIZE];
    double before;
    uint64_t i;

    backend.open(&settings->engine);
    start = moment_now();
    before = start.wall;
    for (i = 0; i < count; i++) {
        double after;
        backend.put_single(make_key(key, i), make_value(settings, i));
        after = clock_seconds(CLOCK_MONOTONIC);
        calls[i] = (float)(after - before);
        before = after;
    }
    report_calls(measure, count, start, calls, count);
    backend.close();
    free(calls);
}

/* ----------------------------------------------------------------------------------- options -- */

static const char *option(int argc, char **argv, const char *name, const char *otherwise) {
    size_t length = strlen(name);
    int i;

    for (i = 2; i < argc; i++) {
        if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=') {
            return argv[i] + length + 1;
        }
    }
    return otherwise;
}

static uint64_t number(int argc, char **argv, const char *name, const char *otherwise) {
    return strtoull(option(argc, argv, name, otherwise), NULL, 10);
}

int main(int argc, char **argv) {
    struct settings settings = {0};
    const char *group;

    if (argc < 3) bench_fail("usage", "engine_bench FOLDER run=bulk|put|synced|large [NAME=VALUE ...]");
    group = option(argc, argv, "run", "bulk");
    settings.records = number(argc, argv, "records", "300000");
    settings.reads = number(argc, argv, "reads", "400000");
    settings.puts = number(argc, argv, "puts", "0");
    settings.synced_puts = number(argc, argv, "synced_puts", "1000");
    settings.value_size = (size_t)number(argc, argv, "value", "100");
    settings.batch = number(argc, argv, "batch", "1000");
    settings.only = option(argc, argv, "only", NULL);
    settings.engine.folder = argv[1];
    settings.engine.library = option(argc, argv, "library", NULL);
    settings.engine.defaults = number(argc, argv, "defaults", "0") != 0;
    settings.engine.autoflush_kb = (int)number(argc, argv, "autoflush", "1024");
    settings.engine.budget_kb = (int)number(argc, argv, "budget", "0");
    settings.engine.background = number(argc, argv, "background", "0") != 0;
    settings.engine.mmap = (int)number(argc, argv, "mmap", "1");
    settings.engine.processes = (int)number(argc, argv, "processes", "0");
    if (settings.records == 0 || settings.batch == 0) bench_fail("options", "records and batch are at least 1");
    if (settings.value_size >= RANDOM_BYTES) bench_fail("options", "value is below 65536");
    make_random_bytes();
    if (backend.version) printf("{\"version\":\"%s\"}\n", backend.version());

    if (strcmp(group, "bulk") == 0) {
        bulk(&settings);
    } else if (strcmp(group, "put") == 0) {
        single_puts(&settings, "put", settings.puts ? settings.puts : settings.records / 2);
    } else if (strcmp(group, "synced") == 0) {
        settings.engine.synced = true;
        single_puts(&settings, "synced", settings.synced_puts);
    } else if (strcmp(group, "large") == 0) {
        large(&settings);
    } else {
        bench_fail("run", "is bulk, put, synced or large");
    }
    return consumed == 42 ? 3 : 0;
}
