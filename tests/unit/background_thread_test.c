/*
** background_thread_test.c — the worker of a database beside writers, readers and closing connections; to be run
** under a thread sanitizer, too.
**
** The worker is the only thread that the tests do not know: what it writes can be slowed down, blocked or made to
** fail by `hindrance` without touching anybody else.
*/
#include <pthread.h>
#include <stdatomic.h>

#include "lsm.h"
#include "lsm_bulk.h"
#include "os/os_internal.h"
#include "support/test.h"
#include "support/toy_codecs.h"

#define KEY_COUNT 4000u
#define READER_COUNT 3
#define VALUE_SIZE 100

/* ------------------------------------------------------------------------------ what can go wrong -- */

enum { FREE_WAY, SLOW, BLOCKED, FAILING };

static _Atomic int hindrance;
static _Atomic uint32_t worker_writes;
static _Thread_local bool known_thread;
static int (*real_write)(lsm_file *, lsm_i64, void *, int);

static int hindered_write(lsm_file *file, lsm_i64 offset, void *data, int size) {
    if (!known_thread) {
        atomic_fetch_add(&worker_writes, 1);
        if (atomic_load(&hindrance) == SLOW) usleep(5000);
        while (atomic_load(&hindrance) == BLOCKED) usleep(200);
        if (atomic_load(&hindrance) == FAILING) return LSM_IOERR;
    }
    return real_write(file, offset, data, size);
}

enum { SYNC_FREE, LOG_SYNC_FAILS, WORKER_SYNC_FAILS, WORKER_SYNC_SLOW };

static _Atomic int sync_hindrance;
static _Atomic uint32_t worker_syncs;

static int hindered_sync(lsm_file *file) {
    int what = atomic_load(&sync_hindrance);

    /* Nothing here depends on a real one. */
    if (strstr(file->path, "-log") != NULL) return what == LOG_SYNC_FAILS ? LSM_IOERR : LSM_OK;
    if (known_thread) return LSM_OK;
    atomic_fetch_add(&worker_syncs, 1);
    if (what == WORKER_SYNC_SLOW) usleep(200000);
    return what == WORKER_SYNC_FAILS ? LSM_IOERR : LSM_OK;
}

/* Called first by each test. */
static void watch_worker(void) {
    lsm_env *env = lsm_default_env();

    known_thread = true;
    atomic_store(&hindrance, FREE_WAY);
    atomic_store(&worker_writes, 0);
    atomic_store(&sync_hindrance, SYNC_FREE);
    atomic_store(&worker_syncs, 0);
    env->xSync = hindered_sync;
    if (env->xWrite != hindered_write) {
        real_write = env->xWrite;
        env->xWrite = hindered_write;
    }
}

static int logged_code;
static int logged_count;

static void remember_log(void *context, int code, const char *message) {
    (void)context;
    (void)message;
    logged_code = code;
    logged_count++;
}

/* ---------------------------------------------------------------------------------- connections -- */

static lsm_db *make(int background, int autoflush_kb) {
    lsm_db *db = NULL;
    int zero = 0;
    int autocheckpoint_kb = 512;

    CHECK_OK(lsm_new(NULL, &db));
    CHECK_OK(lsm_config(db, LSM_BULK_CONFIG_BACKGROUND, &background));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOFLUSH, &autoflush_kb));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOCHECKPOINT, &autocheckpoint_kb));
    CHECK_OK(lsm_config(db, LSM_CONFIG_SAFETY, &zero)); /* speed; SAFETY is not what is tested */
    lsm_config_log(db, remember_log, NULL);
    return db;
}

static lsm_db *open_at(const char *path, int background, int autoflush_kb) {
    lsm_db *db = make(background, autoflush_kb);
    CHECK_OK(lsm_open(db, path));
    return db;
}

static void key_of(uint32_t index, char *key) {
    snprintf(key, 16, "key%08u", (index * 2654435761u) % 100000000u);
}

static int put(lsm_db *db, uint32_t index, uint32_t generation) {
    char key[16];
    uint8_t value[VALUE_SIZE];

    key_of(index, key);
    memset(value, (int)(generation & 0xff), sizeof value);
    memcpy(value, &generation, sizeof generation);
    return lsm_insert(db, key, (int)strlen(key), value, sizeof value);
}

/* The generation stored under a key; 0 = none. */
static uint32_t get(lsm_db *db, uint32_t index) {
    char key[16];
    const void *value = NULL;
    int size = 0;
    uint32_t generation = 0;
    lsm_cursor *cursor = NULL;
    int rc;

    key_of(index, key);
    while ((rc = lsm_csr_open(db, &cursor)) == LSM_BUSY) usleep(100); /* all reader slots in use */
    CHECK_OK(rc);
    CHECK_OK(lsm_csr_seek(cursor, key, (int)strlen(key), LSM_SEEK_EQ));
    if (lsm_csr_valid(cursor)) {
        const uint8_t *bytes;
        CHECK_OK(lsm_csr_value(cursor, &value, &size));
        CHECK_EQ_INT(size, VALUE_SIZE);
        memcpy(&generation, value, sizeof generation);
        bytes = value;
        for (int i = 4; i < size; i++) CHECK_EQ_UINT(bytes[i], generation & 0xff);
    }
    lsm_csr_close(cursor);
    return generation;
}

static void check_all(lsm_db *db, const uint32_t *generations) {
    lsm_cursor *cursor = NULL;
    uint32_t count = 0;
    uint32_t expected = 0;

    for (uint32_t i = 0; i < KEY_COUNT; i++) {
        CHECK_EQ_UINT(get(db, i), generations[i]);
        expected += generations[i] != 0;
    }
    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_OK(lsm_csr_first(cursor));
    for (; lsm_csr_valid(cursor); count++) CHECK_OK(lsm_csr_next(cursor));
    lsm_csr_close(cursor);
    CHECK_EQ_UINT(count, expected);
}

static void tree_sizes(lsm_db *db, int *old, int *live) {
    CHECK_OK(lsm_info(db, LSM_INFO_TREE_SIZE, old, live));
}

static void wait_for_worker_writes(uint32_t more_than) {
    for (int i = 0; i < 50000 && atomic_load(&worker_writes) <= more_than; i++) usleep(100);
    CHECK(atomic_load(&worker_writes) > more_than);
}

/* Until the old tree is in the file. */
static void wait_for_rest(lsm_db *db) {
    int old = 1;
    int live;

    for (int i = 0; i < 50000 && old != 0; i++) {
        usleep(100);
        tree_sizes(db, &old, &live);
    }
    CHECK_EQ_INT(old, 0);
}

/* ---------------------------------------------------------------------------------------- tests -- */

TEST(the_verb_is_taken_before_open_only_and_by_both_interfaces) {
    lsm_db *db = NULL;
    int value = -1;
    uint32_t handle = lsm_bulk_new();

    watch_worker();
    CHECK_OK(lsm_new(NULL, &db));
    CHECK_OK(lsm_config(db, LSM_BULK_CONFIG_BACKGROUND, &value));
    CHECK_EQ_INT(value, 0);
    value = 2;
    CHECK_OK(lsm_config(db, LSM_BULK_CONFIG_BACKGROUND, &value));
    CHECK_EQ_INT(value, 0);
    value = 1;
    CHECK_OK(lsm_config(db, LSM_BULK_CONFIG_BACKGROUND, &value));
    CHECK_EQ_INT(value, 1);
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    value = 0;
    CHECK_OK(lsm_config(db, LSM_BULK_CONFIG_BACKGROUND, &value));
    CHECK_EQ_INT(value, 1);
    CHECK_OK(lsm_close(db));

    CHECK_EQ_INT(lsm_bulk_config(handle, LSM_BULK_CONFIG_BACKGROUND, -1), 0);
    CHECK_EQ_INT(lsm_bulk_config(handle, LSM_BULK_CONFIG_BACKGROUND, 1), 1);
    CHECK_EQ_INT(lsm_bulk_close(handle, NULL, 0), 0);
}

TEST(the_worker_flushes_instead_of_the_write_calls) {
    lsm_db *db;
    uint32_t generations[KEY_COUNT] = {0};
    const char *path = test_path("a.lsm");

    watch_worker();
    db = open_at(path, 1, 64);
    for (uint32_t i = 0; i < KEY_COUNT; i++) {
        generations[i] = i + 1;
        CHECK_OK(put(db, i, i + 1));
    }
    wait_for_rest(db);
    CHECK(atomic_load(&worker_writes) > 0);
    check_all(db, generations);
    CHECK_OK(lsm_close(db));

    db = open_at(path, 0, 64);
    check_all(db, generations);
    CHECK_OK(lsm_close(db));
}

TEST(without_the_verb_there_is_no_worker) {
    lsm_db *db;

    watch_worker();
    db = open_at(test_path("a.lsm"), 0, 64);
    for (uint32_t i = 0; i < KEY_COUNT; i++) CHECK_OK(put(db, i, 1));
    CHECK_OK(lsm_close(db));
    CHECK_EQ_UINT(atomic_load(&worker_writes), 0);
}

struct reading {
    const char *path;
    _Atomic bool stop;
    _Atomic uint64_t reads;
};

/* Generations of a key never go back. */
static void *read_on(void *context) {
    struct reading *reading = context;
    uint32_t seen[KEY_COUNT] = {0};
    uint32_t index = 1;
    lsm_db *db;

    known_thread = true;
    db = open_at(reading->path, 0, 64);
    while (!atomic_load(&reading->stop)) {
        uint32_t generation;
        index = (index * 1103515245u + 12345u) & 0x7fffffffu;
        generation = get(db, index % KEY_COUNT);
        CHECK(generation >= seen[index % KEY_COUNT]);
        seen[index % KEY_COUNT] = generation;
        atomic_fetch_add(&reading->reads, 1);
    }
    CHECK_OK(lsm_close(db));
    return NULL;
}

TEST(readers_see_every_key_go_forward_while_the_worker_moves_the_data) {
    struct reading reading = {.path = test_path("a.lsm")};
    uint32_t generations[KEY_COUNT] = {0};
    pthread_t readers[READER_COUNT];
    lsm_db *db;

    watch_worker();
    db = open_at(reading.path, 1, 64);
    for (int i = 0; i < READER_COUNT; i++) {
        CHECK_EQ_INT(pthread_create(&readers[i], NULL, read_on, &reading), 0);
    }
    for (uint32_t i = 0; i < 4 * KEY_COUNT; i++) {
        uint32_t index = test_random_below(KEY_COUNT);
        if (i % 97 == 0) CHECK_OK(lsm_begin(db, 1));
        generations[index]++;
        CHECK_OK(put(db, index, generations[index]));
        if (i % 97 == 40) CHECK_OK(lsm_commit(db, 0));
        if (i % 5000 == 0) CHECK_OK(lsm_commit(db, 0));
    }
    CHECK_OK(lsm_commit(db, 0));
    atomic_store(&reading.stop, true);
    for (int i = 0; i < READER_COUNT; i++) CHECK_EQ_INT(pthread_join(readers[i], NULL), 0);
    CHECK(atomic_load(&reading.reads) > 0);
    CHECK_OK(lsm_close(db));

    db = open_at(reading.path, 0, 64);
    check_all(db, generations);
    CHECK_OK(lsm_close(db));
}

TEST(a_closed_database_has_all_its_content_however_often_the_worker_is_stopped) {
    uint32_t generations[KEY_COUNT] = {0};
    const char *path = test_path("a.lsm");
    lsm_db *db;

    watch_worker();
    for (uint32_t round = 1; round <= 40; round++) {
        db = open_at(path, 1, 8);
        for (uint32_t i = 0; i < test_random_below(600); i++) {
            uint32_t index = test_random_below(KEY_COUNT);
            generations[index] = round;
            CHECK_OK(put(db, index, round));
        }
        CHECK_OK(lsm_close(db));
    }
    db = open_at(path, 0, 64);
    check_all(db, generations);
    CHECK_OK(lsm_close(db));
}

static void *come_and_go(void *context) {
    const char *path = context;

    known_thread = true;
    for (uint32_t round = 0; round < 25; round++) {
        lsm_db *db = open_at(path, round % 3 != 2, 8);
        for (uint32_t i = 0; i < 100; i++) {
            int rc = put(db, i, round + 1);
            if (rc != LSM_BUSY) CHECK_OK(rc);
        }
        CHECK_OK(lsm_close(db));
    }
    return NULL;
}

TEST(connections_that_come_and_go_share_one_worker_after_another) {
    char *path = (char *)(uintptr_t)test_path("a.lsm");
    pthread_t threads[3];
    lsm_db *db;

    watch_worker();
    for (int i = 0; i < 3; i++) CHECK_EQ_INT(pthread_create(&threads[i], NULL, come_and_go, path), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
    db = open_at(path, 1, 8);
    for (uint32_t i = 0; i < 100; i++) CHECK(get(db, i) > 0);
    CHECK_OK(lsm_close(db));
}

TEST(a_failure_of_the_worker_is_told_once_by_the_next_write_and_loses_nothing) {
    uint32_t generations[KEY_COUNT] = {0};
    const char *path = test_path("a.lsm");
    uint32_t failures = 0;
    uint32_t i;
    lsm_db *db;

    watch_worker();
    db = open_at(path, 1, 64);
    CHECK_OK(put(db, 0, 1)); /* the worker has opened nothing, failed in nothing */
    generations[0] = 1;
    atomic_store(&hindrance, FAILING);
    logged_count = 0;
    for (i = 1; i < KEY_COUNT && failures == 0; i++) {
        int rc = put(db, i, i);
        if (rc != LSM_OK) {
            CHECK_RC(rc, LSM_IOERR);
            failures++;
        } else {
            generations[i] = i;
        }
        if (i % 100 == 0) usleep(1000);
    }
    CHECK_EQ_UINT(failures, 1);
    CHECK_EQ_INT(logged_count, 1);
    CHECK_EQ_INT(logged_code, LSM_IOERR);
    atomic_store(&hindrance, FREE_WAY);
    for (; i < KEY_COUNT; i++) {
        int rc = put(db, i, i);
        if (rc == LSM_OK) generations[i] = i;
        else failures++; /* one that happened before the way was free */
    }
    CHECK(failures <= 2);
    wait_for_rest(db);
    check_all(db, generations);
    CHECK_OK(lsm_close(db));
    db = open_at(path, 0, 64);
    check_all(db, generations);
    CHECK_OK(lsm_close(db));
}

/* Let the worker fail, without a call that would hear of it. */
static void fail_once(lsm_db *db) {
    uint32_t before = atomic_load(&worker_writes);
    int old = 0;
    int live = 0;

    atomic_store(&hindrance, FAILING);
    CHECK_OK(lsm_begin(db, 1));
    for (uint32_t i = 0; i < 1200; i++) CHECK_OK(put(db, i, 7));
    CHECK_OK(lsm_commit(db, 0));
    tree_sizes(db, &old, &live);
    wait_for_worker_writes(before);
    usleep(20000); /* the error travels from the write to where it is kept */
    atomic_store(&hindrance, FREE_WAY);
}

TEST(inside_a_transaction_a_failure_is_told_by_a_write_or_by_the_commit_which_rolls_back) {
    lsm_db *first;
    lsm_db *db;
    const char *path = test_path("a.lsm");

    watch_worker();
    db = open_at(path, 1, 64);
    fail_once(db);
    CHECK_RC(lsm_begin(db, 1), LSM_IOERR);
    CHECK_OK(lsm_begin(db, 1));
    CHECK_OK(put(db, 3000, 1));
    CHECK_OK(lsm_commit(db, 0));
    wait_for_rest(db);

    /* While the transaction is open another connection can only wake the worker, by joining. */
    fail_once(db);
    CHECK_RC(put(db, 3001, 1), LSM_IOERR);
    CHECK_OK(lsm_begin(db, 1)); /* an old tree waits still */
    CHECK_OK(put(db, 3002, 2));
    atomic_store(&hindrance, FAILING);
    first = open_at(path, 1, 64);
    usleep(100000);
    CHECK_RC(put(db, 3003, 2), LSM_IOERR);
    CHECK_OK(put(db, 3003, 2));
    CHECK_OK(lsm_close(first));
    first = open_at(path, 1, 64);
    usleep(100000);
    CHECK_RC(lsm_commit(db, 0), LSM_IOERR);
    atomic_store(&hindrance, FREE_WAY);
    CHECK_OK(lsm_close(first));
    CHECK_EQ_UINT(get(db, 3000), 1);
    CHECK_EQ_UINT(get(db, 3001), 0);
    CHECK_EQ_UINT(get(db, 3002), 0);
    CHECK_EQ_UINT(get(db, 3003), 0);
    CHECK_OK(put(db, 3002, 3));
    CHECK_OK(lsm_close(db));
    db = open_at(path, 0, 64);
    for (uint32_t i = 0; i < 1200; i++) CHECK_EQ_UINT(get(db, i), 7);
    CHECK_EQ_UINT(get(db, 3002), 3);
    CHECK_OK(lsm_close(db));
}

static lsm_db *open_safely(const char *path, int autoflush_kb, int safety) {
    lsm_db *db = make(1, autoflush_kb);

    CHECK_OK(lsm_config(db, LSM_CONFIG_SAFETY, &safety));
    CHECK_OK(lsm_open(db, path));
    return db;
}

TEST(after_a_failed_sync_of_the_log_beside_the_worker_what_was_acknowledged_is_there_and_nothing_else) {
    uint32_t generations[KEY_COUNT] = {0};
    const char *path = test_path("a.lsm");
    lsm_db *db;

    watch_worker();
    db = open_safely(path, 64, LSM_SAFETY_FULL);
    for (uint32_t i = 0; i < KEY_COUNT; i++) {
        bool fails = i % 300 == 299;
        atomic_store(&sync_hindrance, fails ? LOG_SYNC_FAILS : SYNC_FREE);
        CHECK_RC(put(db, i, i + 1), fails ? LSM_IOERR : LSM_OK);
        if (!fails) generations[i] = i + 1;
        /* While it goes on failing nothing is acknowledged. */
        if (fails) CHECK_RC(put(db, i, 7), LSM_IOERR);
    }
    wait_for_rest(db);
    check_all(db, generations);
    CHECK_OK(lsm_close(db));
    db = open_at(path, 0, 64);
    check_all(db, generations);
    CHECK_OK(lsm_close(db));
}

TEST(after_a_failed_sync_of_the_worker_the_next_write_tells_and_the_log_keeps_everything) {
    uint32_t generations[KEY_COUNT] = {0};
    const char *path = test_path("a.lsm");
    uint32_t failures = 0;
    lsm_db *db;

    watch_worker();
    db = open_safely(path, 64, LSM_SAFETY_NORMAL);
    atomic_store(&sync_hindrance, WORKER_SYNC_FAILS);
    for (uint32_t i = 0; i < 3 * KEY_COUNT; i++) {
        int rc = put(db, i % KEY_COUNT, i + 1);
        if (rc == LSM_OK) {
            generations[i % KEY_COUNT] = i + 1;
            continue;
        }
        CHECK_RC(rc, LSM_IOERR);
        failures++;
    }
    CHECK(failures >= 1);
    check_all(db, generations);
    atomic_store(&sync_hindrance, SYNC_FREE); /* too late: what the failed one dropped is not known */
    CHECK_OK(lsm_close(db));
    db = open_at(path, 0, 64);
    check_all(db, generations);
    CHECK_OK(lsm_close(db));
}

TEST(under_pressure_the_worker_waits_for_the_disk_less_often) {
    const char *path = test_path("a.lsm");
    int written = 0;
    int kb = 256;
    lsm_db *db;
    uint64_t written_kb;

    watch_worker();
    db = open_safely(path, 64, LSM_SAFETY_NORMAL);
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOCHECKPOINT, &kb));
    atomic_store(&sync_hindrance, WORKER_SYNC_SLOW);
    for (uint32_t i = 0; i < 5 * KEY_COUNT; i++) CHECK_OK(put(db, i % KEY_COUNT, i + 1));
    CHECK_OK(lsm_info(db, LSM_INFO_NWRITE, &written));
    written_kb = (uint64_t)written * 4;
    /* At least twice as much was written for each as was asked for, with some allowance for the beginning. */
    CHECK_MSG((uint64_t)atomic_load(&worker_syncs) * 2 * (uint32_t)kb < written_kb + 5 * 2 * (uint32_t)kb,
              "%u syncs for %llu KB", atomic_load(&worker_syncs), (unsigned long long)written_kb);
    CHECK_OK(lsm_close(db));
}

static void put_some(lsm_db *db, uint32_t generation) {
    for (uint32_t i = 0; i < 2 * KEY_COUNT; i++) CHECK_OK(put(db, i % KEY_COUNT, generation));
    CHECK_OK(lsm_flush(db)); /* and the worker is at rest */
}

TEST(the_worker_is_as_careful_as_the_most_careful_of_its_connections) {
    const char *path = test_path("a.lsm");
    int safety = LSM_SAFETY_FULL;
    lsm_db *idle, *db;

    watch_worker();
    idle = open_at(path, 1, 64);
    db = open_at(path, 1, 64);
    put_some(db, 1);
    CHECK(atomic_load(&worker_writes) > 0);
    CHECK_EQ_UINT(atomic_load(&worker_syncs), 0);
    CHECK_OK(lsm_config(idle, LSM_CONFIG_SAFETY, &safety));
    put_some(db, 2); /* this one is still at OFF */
    CHECK(atomic_load(&worker_syncs) > 0);
    CHECK_OK(lsm_close(idle));
    CHECK_OK(lsm_flush(db));
    atomic_store(&worker_syncs, 0);
    put_some(db, 3);
    CHECK_EQ_UINT(atomic_load(&worker_syncs), 0);
    CHECK_OK(lsm_close(db));
}

TEST(a_failure_that_no_call_heard_of_goes_to_the_log_hook_at_close) {
    lsm_db *db;

    watch_worker();
    db = open_at(test_path("a.lsm"), 1, 64);
    fail_once(db);
    logged_count = 0;
    CHECK_OK(lsm_close(db));
    CHECK_EQ_INT(logged_count, 1);
    CHECK_EQ_INT(logged_code, LSM_IOERR);
}

TEST(the_tree_in_memory_stays_below_its_bound_however_slow_the_worker_is) {
    uint32_t generations[KEY_COUNT] = {0};
    const char *path = test_path("a.lsm");
    lsm_db *db;

    watch_worker();
    db = open_at(path, 1, 64);
    atomic_store(&hindrance, BLOCKED);
    for (uint32_t i = 0; i < 5 * KEY_COUNT; i++) {
        int old;
        int live;
        CHECK_OK(put(db, i % KEY_COUNT, i + 1));
        generations[i % KEY_COUNT] = i + 1;
        tree_sizes(db, &old, &live);
        if (live > 4 * 64) atomic_store(&hindrance, SLOW);
        CHECK(old <= 8 * 64 + 2 && live <= 8 * 64 + 2);
    }
    CHECK_EQ_INT(atomic_load(&hindrance), SLOW);
    atomic_store(&hindrance, FREE_WAY);
    check_all(db, generations);
    CHECK_OK(lsm_close(db));
}

struct late_help {
    uint32_t after_us;
};

static void *unblock(void *context) {
    const struct late_help *help = context;
    usleep(help->after_us);
    atomic_store(&hindrance, FREE_WAY);
    return NULL;
}

TEST(a_write_waits_at_the_hard_limit_until_the_worker_comes_forward) {
    struct late_help help = {300000};
    uint32_t written = 0;
    uint32_t before;
    pthread_t thread;
    lsm_db *db;
    int old;
    int live = 0;

    watch_worker();
    db = open_at(test_path("a.lsm"), 1, 64);
    atomic_store(&hindrance, BLOCKED);
    while (live < 8 * 64) {
        CHECK_OK(put(db, written++, 1));
        tree_sizes(db, &old, &live);
    }
    CHECK(old > 0);
    CHECK_EQ_INT(pthread_create(&thread, NULL, unblock, &help), 0);
    before = written; /* sizes are told in KB: a few writes may be left */
    while (atomic_load(&hindrance) == BLOCKED) CHECK_OK(put(db, written++, 1));
    CHECK(written - before <= 20);
    CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    for (uint32_t i = 0; i < written; i++) CHECK_EQ_UINT(get(db, i), 1);
    CHECK_OK(lsm_close(db));
}

TEST(a_write_beside_an_open_cursor_of_its_own_connection_never_waits_for_itself) {
    lsm_cursor *cursor = NULL;
    const char *path = test_path("a.lsm");
    char last[16] = "";
    uint32_t steps = 0;
    lsm_db *db;

    watch_worker();
    db = open_at(path, 1, 64);
    for (uint32_t i = 0; i < KEY_COUNT; i += 2) CHECK_OK(put(db, i, 1));
    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_OK(lsm_csr_first(cursor));
    atomic_store(&hindrance, SLOW);
    /* The cursor goes on through content that moves from tree to tree to file under it. */
    for (uint32_t round = 2; lsm_csr_valid(cursor); round++) {
        const void *key;
        int size;
        int old;
        int live;
        CHECK_OK(lsm_csr_key(cursor, &key, &size));
        CHECK_EQ_INT(size, 11);
        CHECK(memcmp(key, last, 11) > 0);
        memcpy(last, key, 11);
        CHECK_OK(lsm_csr_next(cursor));
        steps++;
        for (uint32_t i = 0; i < 8; i++) CHECK_OK(put(db, test_random_below(KEY_COUNT / 2) * 2, round));
        tree_sizes(db, &old, &live);
        CHECK(old <= 8 * 64 + 2 && live <= 8 * 64 + 2);
    }
    CHECK_EQ_UINT(steps, KEY_COUNT / 2);
    CHECK_OK(lsm_csr_close(cursor));
    atomic_store(&hindrance, FREE_WAY);
    CHECK_OK(lsm_close(db));
}

TEST(flush_work_checkpoint_and_info_of_the_connection_do_not_find_the_worker_in_their_way) {
    lsm_db *db;

    watch_worker();
    db = open_at(test_path("a.lsm"), 1, 16);
    for (uint32_t i = 0; i < 4 * KEY_COUNT; i++) {
        int number = 0;
        char *text = NULL;
        CHECK_OK(put(db, i % KEY_COUNT, i));
        if (i % 500 == 100) CHECK_OK(lsm_flush(db));
        if (i % 500 == 200) CHECK_OK(lsm_work(db, 2, 100, &number));
        if (i % 500 == 300) CHECK_OK(lsm_checkpoint(db, &number));
        if (i % 500 == 400) {
            CHECK_OK(lsm_info(db, LSM_INFO_DB_STRUCTURE, &text));
            lsm_free(lsm_get_env(db), text);
        }
    }
    CHECK_OK(lsm_close(db));
}

TEST(the_worker_packs_pages_by_the_functions_of_a_connection) {
    uint32_t generations[KEY_COUNT] = {0};
    const char *path = test_path("a.lsm");
    lsm_compress codec = rle_codec;
    unsigned int id = 0;
    lsm_db *first;
    lsm_db *second;

    watch_worker();
    first = make(1, 64);
    CHECK_OK(lsm_config(first, LSM_CONFIG_SET_COMPRESSION, &codec));
    CHECK_OK(lsm_open(first, path));
    second = make(1, 64);
    CHECK_OK(lsm_config(second, LSM_CONFIG_SET_COMPRESSION, &codec));
    CHECK_OK(lsm_open(second, path));
    for (uint32_t i = 0; i < KEY_COUNT / 2; i++) {
        CHECK_OK(put(first, i, i + 1));
        generations[i] = i + 1;
    }
    /* The worker goes on with those of the other. */
    CHECK_OK(lsm_close(first));
    for (uint32_t i = KEY_COUNT / 2; i < KEY_COUNT; i++) {
        CHECK_OK(put(second, i, i + 1));
        generations[i] = i + 1;
    }
    wait_for_rest(second);
    CHECK(atomic_load(&worker_writes) > 0);
    CHECK_OK(lsm_info(second, LSM_INFO_COMPRESSION_ID, &id));
    CHECK_EQ_UINT(id, rle_codec.iId);
    check_all(second, generations);
    CHECK_OK(lsm_close(second));
    first = make(0, 64);
    CHECK_OK(lsm_config(first, LSM_CONFIG_SET_COMPRESSION, &codec));
    CHECK_OK(lsm_open(first, path));
    check_all(first, generations);
    CHECK_OK(lsm_close(first));
}

static long allowed_calls;

static void *failing_malloc(lsm_env *env, size_t size) {
    return allowed_calls-- > 0 ? lsm_default_env()->xMalloc(env, size) : NULL;
}

static void *failing_realloc(lsm_env *env, void *block, size_t size) {
    return allowed_calls-- > 0 ? lsm_default_env()->xRealloc(env, block, size) : NULL;
}

TEST(an_open_that_cannot_start_the_worker_fails_and_can_be_repeated) {
    const char *path = test_path("a.lsm");
    lsm_env env = *lsm_default_env();
    int opened = 0;

    watch_worker();
    env.xMalloc = failing_malloc;
    env.xRealloc = failing_realloc;
    for (long calls = 0; !opened; calls++) {
        lsm_db *db = NULL;
        int on = 1;
        int rc;
        allowed_calls = 1000;
        CHECK_OK(lsm_new(&env, &db));
        lsm_config_log(db, NULL, NULL);
        CHECK_OK(lsm_config(db, LSM_BULK_CONFIG_BACKGROUND, &on));
        allowed_calls = calls;
        rc = lsm_open(db, path);
        opened = rc == LSM_OK;
        CHECK(opened || rc == LSM_NOMEM);
        usleep(1000); /* the worker looks once whether there is something to do, with this memory */
        if (!opened) CHECK_OK(lsm_close(db));
        else {
            allowed_calls = 100000;
            CHECK_OK(lsm_close(db));
        }
        CHECK(calls < 1000);
    }
}

TEST_MAIN()
