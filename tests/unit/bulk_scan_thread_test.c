/*
** bulk_scan_thread_test.c — a scan's first block and what follows are of one version, whoever commits between.
*/
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "lsm_bulk.h"
#include "os/os.h"
#include "support/test.h"

#define KEYS 8u
#define ROUNDS 300u

struct writer {
    const char *path;
    atomic_bool stop;
};

static uint32_t open_at(const char *path) {
    uint32_t db = lsm_bulk_new();
    CHECK_EQ_INT(lsm_bulk_open(db, (const uint8_t *)path, (uint32_t)strlen(path)), 0);
    return db;
}

static void close_db(uint32_t db) {
    uint8_t error[300];
    CHECK_EQ_INT(lsm_bulk_close(db, error, sizeof error), 0);
}

/* All keys get the same value, in one transaction. */
static void write_round(uint32_t db, uint32_t round) {
    CHECK_EQ_INT(lsm_bulk_begin(db, 1), 1);
    for (uint32_t i = 0; i < KEYS; i++) {
        uint8_t key = (uint8_t)('a' + i), value[4];
        put_u32_little(value, round);
        CHECK_EQ_INT(lsm_bulk_put(db, &key, 1, value, sizeof value), 0);
    }
    CHECK_EQ_INT(lsm_bulk_commit(db, 0), 0);
}

static void write_on(void *context) {
    struct writer *writer = context;
    uint32_t db = open_at(writer->path);

    for (uint32_t round = 1; !atomic_load(&writer->stop); round++) write_round(db, round);
    close_db(db);
}

static uint32_t check_values(const uint8_t *block, uint32_t seen, uint32_t *value) {
    uint32_t count = get_u32_little(block);

    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *record = block + 8 + i * 16;
        uint32_t number = get_u32_little(record + 9);
        CHECK_EQ_UINT(record[8], 'a' + seen + i);
        if (seen + i == 0) *value = number;
        CHECK_EQ_UINT(number, *value);
    }
    return seen + count;
}

TEST(all_blocks_of_a_scan_are_of_one_version) {
    struct writer writer = {.path = test_path("a")};
    uint32_t db = open_at(writer.path);
    struct os_thread *thread;
    uint8_t block[8 + 3 * 16]; /* three records */

    write_round(db, 0);
    CHECK_OK(os_thread_start(lsm_default_env(), write_on, &writer, &thread));
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t value = 0, seen;
        uint32_t scan = lsm_bulk_scan(db, 0, 0xffffffffu, NULL, 0, NULL, 0, block, sizeof block);
        CHECK(scan > LSM_BULK_SCAN_ENDED);
        seen = check_values(block, 0, &value);
        while (get_u32_little(block + 4) == 0) {
            CHECK(lsm_bulk_scan_next(scan, block, sizeof block) >= 8);
            seen = check_values(block, seen, &value);
        }
        CHECK_EQ_UINT(seen, KEYS);
        CHECK_EQ_INT(lsm_bulk_end(scan), 1);
    }
    atomic_store(&writer.stop, true);
    os_thread_join(lsm_default_env(), thread);
    close_db(db);
}

/* Calls scan_next on whatever scan there is, without a rest. */
struct puller {
    _Atomic uint32_t scan;
    atomic_bool stop;
};

static void pull(void *context) {
    struct puller *puller = context;
    uint8_t block[64];

    while (!atomic_load(&puller->stop)) {
        uint32_t scan = atomic_load(&puller->scan);
        if (scan) (void)!lsm_bulk_scan_next(scan, block, sizeof block);
    }
}

TEST(a_transaction_ends_while_another_thread_is_in_its_live_scan) {
    struct puller puller = {0};
    struct os_thread *thread;
    uint32_t db = open_at(test_path("a"));

    CHECK_EQ_INT(lsm_bulk_begin(db, 1), 1);
    for (uint32_t i = 0; i < 2000; i++) {
        uint8_t key[4];
        put_u32(key, i);
        CHECK_EQ_INT(lsm_bulk_put(db, key, 4, key, 4), 0);
    }
    CHECK_EQ_INT(lsm_bulk_commit(db, 0), 0);
    CHECK_OK(os_thread_start(lsm_default_env(), pull, &puller, &thread));
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t began;
        CHECK_EQ_INT(lsm_bulk_begin(db, 1), 1);
        CHECK_EQ_INT(lsm_bulk_put(db, (const uint8_t *)"x", 1, NULL, 0), 0);
        atomic_store(&puller.scan, lsm_bulk_scan(db, 0, 0xffffffffu, NULL, 0, NULL, 0, NULL, 0));
        if (round % 3 == 0) os_sleep(lsm_default_env(), 200);
        began = os_time_ms();
        CHECK_EQ_INT(round % 2 ? lsm_bulk_commit(db, 0) : lsm_bulk_rollback(db, 0), 0);
        CHECK(os_time_ms() - began < 2000); /* not kept by one who always comes back */
    }
    atomic_store(&puller.stop, true);
    os_thread_join(lsm_default_env(), thread);
    close_db(db);
}

/* Makes and ends children of a snapshot, which share its reader. */
struct sharer {
    uint32_t db;
    atomic_bool stop;
};

static void share(void *context) {
    struct sharer *sharer = context;
    uint8_t block[200];

    while (!atomic_load(&sharer->stop)) {
        uint32_t snapshot = lsm_bulk_snapshot(sharer->db);
        uint32_t scan = lsm_bulk_scan(snapshot, 0, 0xffffffffu, NULL, 0, NULL, 0, NULL, 0);
        (void)!lsm_bulk_end(snapshot);
        if (scan) (void)!lsm_bulk_scan_next(scan, block, sizeof block);
        (void)!lsm_bulk_end(scan);
    }
}

static uint32_t number_in(uint32_t view) {
    uint8_t value[4];
    CHECK_EQ_INT(lsm_bulk_get(view, (const uint8_t *)"a", 1, value, sizeof value), 4);
    return get_u32_little(value);
}

TEST(a_snapshot_stands_still_whoever_ends_another_of_its_version) {
    struct os_thread *threads[2];
    struct sharer sharer = {.db = open_at(test_path("a"))};
    uint32_t db = sharer.db;
    uint8_t value[4] = {0};

    CHECK_EQ_INT(lsm_bulk_put(db, (const uint8_t *)"a", 1, value, 4), 0);
    for (int i = 0; i < 2; i++) CHECK_OK(os_thread_start(lsm_default_env(), share, &sharer, &threads[i]));
    for (uint32_t round = 1; round <= 10 * ROUNDS; round++) {
        uint32_t snapshot, before;
        int32_t result;
        while ((snapshot = lsm_bulk_snapshot(db)) == 0) {
        }
        before = number_in(snapshot);
        put_u32_little(value, round);
        do {
            result = lsm_bulk_put(db, (const uint8_t *)"a", 1, value, 4);
        } while (result == LSM_BULK_IN_USE);
        CHECK_EQ_INT(result, 0);
        CHECK_EQ_UINT(number_in(snapshot), before);
        CHECK_EQ_INT(lsm_bulk_end(snapshot), 1);
    }
    atomic_store(&sharer.stop, true);
    for (int i = 0; i < 2; i++) os_thread_join(lsm_default_env(), threads[i]);
    close_db(db);
}

TEST_MAIN()
