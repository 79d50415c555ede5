/*
** automatic_checkpoint_test.c — at SAFETY NORMAL an automatic checkpoint waits for one sync: what it replaces stays
** whole until the next one proves it.
**
** A few keys are overwritten in turn with the number of the put, so that space is freed and used again all the time.
** Whatever a power cut leaves must be the state after some put.
*/
#include "support/api_helpers.h"
#include "support/crash_disk.h"

#define PATH "/disk/automatic.lsm"
#define KEY_COUNT 150
#define VALUE_SIZE 200

static lsm_db *open_on(struct crash_disk *disk, int safety) {
    lsm_db *db;

    CHECK_OK(lsm_new(crash_disk_env(disk), &db));
    lsm_config_log(db, NULL, NULL);
    set(db, LSM_CONFIG_SAFETY, safety);
    set(db, LSM_CONFIG_PAGE_SIZE, 1024);
    set(db, LSM_CONFIG_BLOCK_SIZE, 64);
    set(db, LSM_CONFIG_AUTOFLUSH, 16);
    set(db, LSM_CONFIG_AUTOCHECKPOINT, 128);
    CHECK_OK(lsm_open(db, PATH));
    return db;
}

static void put_number(lsm_db *db, int number) {
    char key[16], value[VALUE_SIZE];
    int size = snprintf(key, sizeof key, "k%04d", number % KEY_COUNT);

    memset(value, 'v', sizeof value);
    memcpy(value, &number, sizeof number);
    CHECK_OK(lsm_insert(db, key, size, value, sizeof value));
}

/* Number of the last put that is there; all before it must be, and none after it. */
static int last_put(lsm_db *db) {
    int found[KEY_COUNT];
    int last = -1;
    lsm_cursor *cursor;

    memset(found, 0xff, sizeof found);
    CHECK_OK(lsm_csr_open(db, &cursor));
    for (CHECK_OK(lsm_csr_first(cursor)); lsm_csr_valid(cursor); CHECK_OK(lsm_csr_next(cursor))) {
        const void *key, *value;
        char digits[5] = {0};
        int size, number;
        CHECK_OK(lsm_csr_key(cursor, &key, &size));
        CHECK_EQ_INT(size, 5);
        memcpy(digits, (const char *)key + 1, 4);
        CHECK_OK(lsm_csr_value(cursor, &value, &size));
        CHECK_EQ_INT(size, VALUE_SIZE);
        memcpy(&number, value, sizeof number);
        CHECK_EQ_INT(number % KEY_COUNT, atoi(digits));
        found[number % KEY_COUNT] = number;
        if (number > last) last = number;
    }
    CHECK_OK(lsm_csr_close(cursor));
    for (int number = last; number >= 0 && number > last - KEY_COUNT; number--) {
        CHECK_EQ_INT(found[number % KEY_COUNT], number);
    }
    return last;
}

static int checkpoint_kb(lsm_db *db) {
    int kb = 0;
    CHECK_OK(lsm_info(db, LSM_INFO_CHECKPOINT_SIZE, &kb));
    return kb;
}

TEST(an_automatic_checkpoint_syncs_once_at_normal_and_twice_at_full) {
    for (int safety = LSM_SAFETY_NORMAL; safety <= LSM_SAFETY_FULL; safety++) {
        struct crash_disk *disk = crash_disk_new();
        lsm_db *db = open_on(disk, safety);
        int checkpoints = 0;
        int before = 0;
        uint64_t syncs = 0;

        for (int number = 0; number < 3000; number++) {
            uint64_t start = crash_disk_calls(disk, CRASH_CALL_SYNC);
            int now;
            put_number(db, number);
            now = checkpoint_kb(db);
            if (now < before) {
                syncs = crash_disk_calls(disk, CRASH_CALL_SYNC) - start;
                /* The first of all is durable when it returns, and secures the log before. */
                if (checkpoints > 0) CHECK_EQ_UINT(syncs, safety == LSM_SAFETY_NORMAL ? 1u : 3u);
                checkpoints++;
            }
            before = now;
        }
        CHECK(checkpoints > 5);
        CHECK_OK(lsm_close(db));
        crash_disk_free(disk);
    }
}

TEST(whatever_a_power_cut_leaves_is_the_state_after_some_put) {
    struct crash_disk *disk = crash_disk_new();
    lsm_db *db = open_on(disk, LSM_SAFETY_NORMAL);
    int older = 0;

    for (int number = 0; number < 3000; number++) {
        put_number(db, number);
        if (number % 12 != 11) continue;
        for (int i = 0; i < 2; i++) {
            uint64_t seed = test_random();
            struct crash_disk *survivor = crash_disk_power_cut(disk, i ? CRASH_LOSE_ALL : CRASH_RANDOM, seed);
            lsm_db *again = open_on(survivor, LSM_SAFETY_NORMAL);
            int last = last_put(again);
            TEST_NOTE("put %d, seed %llu", number, (unsigned long long)seed);
            CHECK(last <= number);
            if (last < number) older++;
            if (last >= 0) put_number(again, last + 1); /* life goes on */
            CHECK_OK(lsm_close(again));
            crash_disk_free(survivor);
        }
    }
    CHECK(older > 100);
    CHECK_OK(lsm_close(db));
    crash_disk_free(disk);
}

/* What survives if everything that was not synced is lost. */
static int last_put_on_disk(struct crash_disk *disk) {
    struct crash_disk *survivor = crash_disk_power_cut(disk, CRASH_LOSE_ALL, 0);
    lsm_db *db = open_on(survivor, LSM_SAFETY_NORMAL);
    int last = last_put(db);

    CHECK_OK(lsm_close(db));
    crash_disk_free(survivor);
    return last;
}

TEST(a_checkpoint_that_is_asked_for_proves_the_automatic_one_before_it) {
    struct crash_disk *disk = crash_disk_new();
    lsm_db *db = open_on(disk, LSM_SAFETY_NORMAL);
    uint64_t syncs;

    set(db, LSM_CONFIG_AUTOWORK, 0);
    set(db, LSM_CONFIG_AUTOCHECKPOINT, 0);
    for (int number = 0; number < 100; number++) put_number(db, number);
    CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_checkpoint(db, NULL));
    for (int number = 100; number < 200; number++) put_number(db, number);
    CHECK_OK(lsm_flush(db));
    CHECK_EQ_INT(last_put_on_disk(disk), 99);

    /* One is due, and nothing else is to do. */
    CHECK(checkpoint_kb(db) > 2);
    set(db, LSM_CONFIG_AUTOCHECKPOINT, checkpoint_kb(db) - 1);
    syncs = crash_disk_calls(disk, CRASH_CALL_SYNC);
    CHECK_OK(lsm_work(db, 8, 1, NULL));
    CHECK_EQ_UINT(crash_disk_calls(disk, CRASH_CALL_SYNC) - syncs, 1);
    CHECK_EQ_INT(checkpoint_kb(db), 0);
    CHECK_EQ_INT(last_put_on_disk(disk), 99);

    CHECK_OK(lsm_checkpoint(db, NULL));
    CHECK_EQ_UINT(crash_disk_calls(disk, CRASH_CALL_SYNC) - syncs, 2);
    CHECK_EQ_INT(last_put_on_disk(disk), 199);
    CHECK_OK(lsm_checkpoint(db, NULL)); /* it is proved */
    CHECK_EQ_UINT(crash_disk_calls(disk, CRASH_CALL_SYNC) - syncs, 2);
    CHECK_OK(lsm_close(db));
    crash_disk_free(disk);
}

TEST_MAIN()
