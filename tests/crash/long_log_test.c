/*
** long_log_test.c — a log that is longer than memory is recovered piece by piece, and does not get long without a
** reason.
*/
#include <sys/stat.h>

#include "db/db_internal.h"
#include "lsm_bulk.h"
#include "support/api_helpers.h"
#include "support/crash_disk.h"

#define PATH "/disk/long.lsm"
#define LOG_PATH PATH "-log"
#define KEY_COUNT 600
#define VALUE_SIZE 600
#define TREE_LIMIT_KB (8 * 64)

/* ---- recovery --------------------------------------------------------------------------------- */

static lsm_db *open_on(struct crash_disk *disk) {
    lsm_db *db = NULL;

    CHECK_OK(lsm_new(crash_disk_env(disk), &db));
    lsm_config_log(db, NULL, NULL);
    set(db, LSM_CONFIG_SAFETY, LSM_SAFETY_FULL);
    set(db, LSM_CONFIG_BLOCK_SIZE, 64);
    set(db, LSM_CONFIG_AUTOFLUSH, 16); /* 64 at least: see db_tree_limit */
    set(db, LSM_CONFIG_AUTOCHECKPOINT, 0);
    set(db, LSM_CONFIG_AUTOWORK, 0);
    (void)!lsm_open(db, PATH); /* the disk may die */
    return db;
}

static void put_number(lsm_db *db, const char *key, int size, int number) {
    char value[VALUE_SIZE];

    memset(value, 'v', sizeof value);
    memcpy(value, &number, sizeof number);
    CHECK_OK(lsm_insert(db, key, size, value, VALUE_SIZE));
}

/* Transaction `number`: three keys get that number; the empty one, which is a special case in the log, comes first in
** every other. */
static void put_transaction(lsm_db *db, int number) {
    char key[16];

    CHECK_OK(lsm_begin(db, 1));
    if (number % 2) put_number(db, "", 0, number);
    for (int i = 0; i < 3; i++) {
        int size = snprintf(key, sizeof key, "k%05d", (number * 3 + i) % KEY_COUNT);
        put_number(db, key, size, number);
    }
    CHECK_OK(lsm_commit(db, 0));
}

/* The content after transaction `last`, which is odd. */
static void check_content(lsm_db *db, int last) {
    lsm_cursor *cursor;
    int count = 0;

    CHECK_OK(lsm_csr_open(db, &cursor));
    for (CHECK_OK(lsm_csr_first(cursor)); lsm_csr_valid(cursor); CHECK_OK(lsm_csr_next(cursor))) {
        const void *key, *value;
        char digits[6] = {0};
        int size, number;
        CHECK_OK(lsm_csr_value(cursor, &value, &size));
        CHECK_EQ_INT(size, VALUE_SIZE);
        memcpy(&number, value, sizeof number);
        CHECK_OK(lsm_csr_key(cursor, &key, &size));
        if (size == 0) {
            CHECK_EQ_INT(number, last);
            continue;
        }
        CHECK_EQ_INT(size, 6);
        memcpy(digits, (const char *)key + 1, 5);
        CHECK(number <= last && number > last - KEY_COUNT / 3);
        CHECK_EQ_INT(number % (KEY_COUNT / 3), atoi(digits) / 3);
        count++;
    }
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_EQ_INT(count, KEY_COUNT);
}

/* Transactions up to `last` in the log, and the process is dead. */
static struct crash_disk *disk_with_long_log(int checkpoint_after, int last) {
    struct crash_disk *disk = crash_disk_new();
    lsm_db *db = open_on(disk);

    for (int number = 0; number <= last; number++) {
        put_transaction(db, number);
        if (number != checkpoint_after) continue;
        CHECK_OK(lsm_flush(db));
        CHECK_OK(lsm_checkpoint(db, NULL));
    }
    crash_disk_stop(disk);
    (void)!lsm_close(db);
    crash_disk_restart(disk);
    return disk;
}

static int tree_kb(lsm_db *db) {
    int old = 0, live = 0;
    CHECK_OK(lsm_info(db, LSM_INFO_TREE_SIZE, &old, &live));
    return old + live;
}

TEST(a_log_longer_than_memory_is_flushed_while_it_is_read) {
    for (int checkpoint_after = -1; checkpoint_after <= 300; checkpoint_after += 301) {
        struct crash_disk *disk = disk_with_long_log(checkpoint_after, 999);
        lsm_db *db = open_on(disk);
        size_t size = 0;

        check_content(db, 999);
        CHECK(tree_kb(db) <= TREE_LIMIT_KB + 8);
        CHECK(crash_disk_content(disk, PATH, &size) != NULL && size > 64 << 10);
        for (int number = 1000; number < 1100; number++) put_transaction(db, number);
        check_content(db, 1099);
        crash_disk_stop(disk);
        (void)!lsm_close(db);
        crash_disk_restart(disk);
        db = open_on(disk); /* goes on where the first one came to */
        check_content(db, 1099);
        CHECK_OK(lsm_close(db));
        crash_disk_free(disk);
    }
}

TEST(a_short_log_is_read_without_touching_the_file) {
    struct crash_disk *disk = disk_with_long_log(-1, 199);
    uint64_t writes = crash_disk_calls(disk, CRASH_CALL_WRITE);
    lsm_db *db = open_on(disk);

    CHECK_EQ_UINT(crash_disk_calls(disk, CRASH_CALL_WRITE), writes);
    check_content(db, 199);
    CHECK_OK(lsm_close(db));
    crash_disk_free(disk);
}

TEST(a_recovery_that_writes_may_die_at_any_step) {
    struct crash_disk *disk = disk_with_long_log(300, 999);
    struct crash_disk *fresh = crash_disk_power_cut(disk, CRASH_KEEP_ALL, 0);
    uint64_t steps = crash_disk_steps(fresh);
    lsm_db *db = open_on(fresh);

    steps = crash_disk_steps(fresh) - steps;
    CHECK(steps > 8);
    CHECK_OK(lsm_close(db));
    crash_disk_free(fresh);
    for (uint64_t step = 1; step <= steps; step += 1 + test_random_below(3)) {
        fresh = crash_disk_power_cut(disk, CRASH_KEEP_ALL, 0);
        crash_disk_stop_at(fresh, step);
        (void)!lsm_close(open_on(fresh));
        CHECK(crash_disk_is_stopped(fresh));
        for (int i = 0; i < 3; i++) {
            uint64_t seed = test_random();
            struct crash_disk *survivor =
                crash_disk_power_cut(fresh, i == 0 ? CRASH_KEEP_ALL : i == 1 ? CRASH_LOSE_ALL : CRASH_RANDOM, seed);
            TEST_NOTE("step %d of %d, survivor %d, seed %llu", (int)step, (int)steps, i, (unsigned long long)seed);
            db = open_on(survivor);
            check_content(db, 999);
            put_transaction(db, 1000);
            put_transaction(db, 1001);
            check_content(db, 1001);
            CHECK_OK(lsm_close(db));
            crash_disk_free(survivor);
        }
        crash_disk_free(fresh);
    }
    crash_disk_free(disk);
}

TEST(a_private_recovery_of_a_log_longer_than_memory_is_full_and_modifies_nothing) {
    struct crash_disk *disk = disk_with_long_log(-1, 999);
    uint64_t steps = crash_disk_steps(disk);
    struct pager_config config = {.cache_bytes = 1 << 20};
    struct os_file log_file = {0};
    struct pager *pager;
    lsm_db *db;

    CHECK_OK(lsm_new(crash_disk_env(disk), &db));
    set(db, LSM_CONFIG_READONLY, 1);
    CHECK_OK(lsm_open(db, PATH));
    /* As registry.c does it, but in a smaller region. */
    CHECK_OK(pager_open(db->env, &db->database->file, &config, &pager));
    db->pager = pager;
    CHECK_OK(os_open(db->env, LOG_PATH, LSM_OPEN_READONLY, &log_file));
    for (uint32_t chunks = 8; chunks <= 256; chunks += 248) {
        CHECK_OK(shm_open_private(db->env, &db->shm));
        db->shm->chunk_limit = chunks;
        CHECK_RC(recover_region(db, &db->database->file, &log_file, false), chunks == 8 ? LSM_FULL : LSM_OK);
        shm_close(db->shm);
    }
    os_close(&log_file);
    pager_close(pager);
    db->pager = NULL;
    db->shm = NULL;
    CHECK_OK(lsm_close(db));
    CHECK_EQ_UINT(crash_disk_steps(disk), steps);
    crash_disk_free(disk);
}

/* ---- length ----------------------------------------------------------------------------------- */

#define BIG (64 << 10)
#define LOG_LIMIT (16ll << 20) /* db_log_limit of the configuration below */

static char big[BIG];

static void put_and_delete(lsm_db *db, int number) {
    CHECK_OK(lsm_begin(db, 1));
    CHECK_OK(lsm_insert(db, &number, sizeof number, big, BIG));
    CHECK_OK(lsm_delete(db, &number, sizeof number));
    CHECK_OK(lsm_commit(db, 0));
}

static void put_hot_key(lsm_db *db, int number) {
    memcpy(big, &number, sizeof number);
    CHECK_OK(lsm_insert(db, "hot", 3, big, BIG));
}

/* Of a range that is deleted already: takes no room in memory after the first time. */
static void delete_again(lsm_db *db, int number) {
    static char end[BIG];
    (void)number;
    memset(end, 'z', sizeof end);
    memset(big, 'a', sizeof big);
    CHECK_OK(lsm_delete_range(db, big, BIG / 2, end, BIG / 2));
}

TEST(the_log_stays_short_while_the_data_is_small) {
    void (*const work[])(lsm_db *, int) = {put_and_delete, put_hot_key, delete_again};
    char path[256];

    snprintf(path, sizeof path, "%s-log", test_path("a.lsm"));
    for (int i = 0; i < 6; i++) {
        lsm_db *db = new_connection();
        struct stat log;

        TEST_NOTE("work %d, background %d", i / 2, i % 2);
        set(db, LSM_BULK_CONFIG_BACKGROUND, i % 2);
        set(db, LSM_CONFIG_AUTOFLUSH, 256);
        set(db, LSM_CONFIG_AUTOCHECKPOINT, 256);
        CHECK_OK(lsm_open(db, test_path("a.lsm")));
        for (int number = 0; number < 3000; number++) work[i / 2](db, number); /* 190 MB */
        CHECK_EQ_INT(stat(path, &log), 0);
        /* One limit behind the checkpoint that is proved, one behind that which is stored; then the log wraps, with as
        ** much in front of what is in use. */
        CHECK_MSG(log.st_size < 6 * LOG_LIMIT, "the log has %lld bytes", (long long)log.st_size);
        CHECK_OK(lsm_close(db));
    }
}

TEST_MAIN()
