/*
** unproven_checkpoint_test.c — a checkpoint that is in a meta page but perhaps not on the disk: nothing that an older
** state needs may be used again, and the log may not go, before it is proved.
**
** It comes about when a process dies between the two syncs of a checkpoint, when the second sync fails, when an
** automatic one waits for the next, and at SAFETY OFF.
*/
#include "support/api_helpers.h"
#include "support/crash_disk.h"

#define PATH "/disk/unproven.lsm"
#define VALUE_SIZE 1000

static lsm_db *open_on(struct crash_disk *disk, int safety) {
    lsm_db *db = NULL;

    CHECK_OK(lsm_new(crash_disk_env(disk), &db));
    lsm_config_log(db, NULL, NULL);
    set(db, LSM_CONFIG_SAFETY, safety);
    set(db, LSM_CONFIG_BLOCK_SIZE, 64);
    set(db, LSM_CONFIG_AUTOCHECKPOINT, 0);
    set(db, LSM_CONFIG_AUTOWORK, 0);
    CHECK_OK(lsm_open(db, PATH));
    return db;
}

/* `round` is in every byte of the value. */
static void put_record(lsm_db *db, char kind, int number, int round) {
    char key[16], value[VALUE_SIZE];
    int size = snprintf(key, sizeof key, "%c%06d", kind, number);

    memset(value, 'a' + round, sizeof value);
    CHECK_OK(lsm_insert(db, key, size, value, VALUE_SIZE));
}

static void put_records(lsm_db *db, char kind, int count, int step, int round) {
    for (int i = 0; i < count; i += step) put_record(db, kind, i, round);
}

/* Records of a kind whose value is that of `even` or `odd`, by their number. */
static int count_records(lsm_db *db, char kind, int even, int odd) {
    lsm_cursor *cursor;
    int count = 0;

    CHECK_OK(lsm_csr_open(db, &cursor));
    for (CHECK_OK(lsm_csr_first(cursor)); lsm_csr_valid(cursor); CHECK_OK(lsm_csr_next(cursor))) {
        const void *key, *value;
        int key_size, value_size;
        CHECK_OK(lsm_csr_key(cursor, &key, &key_size));
        CHECK_OK(lsm_csr_value(cursor, &value, &value_size));
        CHECK_EQ_INT(key_size, 7);
        if (*(const char *)key != kind) continue;
        CHECK_EQ_INT(value_size, VALUE_SIZE);
        if (*(const char *)value == 'a' + ((((const char *)key)[6] - '0') % 2 ? odd : even)) count++;
    }
    CHECK_OK(lsm_csr_close(cursor));
    return count;
}

/* Flush, and merge all into one run. */
static void settle(lsm_db *db) {
    CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_work(db, 1, -1, NULL));
}

static void kill_process(struct crash_disk *disk, lsm_db *db) {
    if (!crash_disk_is_stopped(disk)) crash_disk_stop(disk);
    (void)!lsm_close(db);
    crash_disk_restart(disk);
}

/* ---- the first checkpoint of a database ------------------------------------------------------- */

TEST(blocks_of_a_first_checkpoint_whose_second_sync_failed_are_not_used_again) {
    struct crash_disk *disk = crash_disk_new();
    lsm_db *db = open_on(disk, LSM_SAFETY_FULL);

    put_records(db, 'k', 400, 1, 0);
    settle(db);
    crash_disk_fail_at(disk, CRASH_CALL_SYNC, 3, LSM_IOERR, false); /* log, pages, meta page */
    CHECK_RC(lsm_checkpoint(db, NULL), LSM_IOERR);
    for (int round = 1; round <= 4; round++) { /* life goes on */
        put_records(db, 'k', 400, 2, round);
        settle(db);
    }
    for (int i = 0; i < 12; i++) {
        enum crash_policy policy = i == 0 ? CRASH_KEEP_ALL : i == 1 ? CRASH_LOSE_ALL : CRASH_RANDOM;
        struct crash_disk *survivor = crash_disk_power_cut(disk, policy, test_random());
        lsm_db *again = open_on(survivor, LSM_SAFETY_FULL);
        TEST_NOTE("survivor %d", i);
        CHECK_EQ_INT(count_records(again, 'k', 4, 0), 400);
        CHECK_OK(lsm_close(again));
        crash_disk_free(survivor);
    }
    CHECK_OK(lsm_close(db));
    crash_disk_free(disk);
}

/* A second connection works while the first sync of the first checkpoint is under way. */
static struct {
    int (*sync)(lsm_file *);
    lsm_db *other;
    int countdown;
} slow;

static int slow_sync(lsm_file *file) {
    if (slow.countdown > 0 && --slow.countdown == 0) {
        for (int round = 1; round <= 4; round++) {
            put_records(slow.other, 'k', 400, 2, round);
            settle(slow.other);
        }
    }
    return slow.sync(file);
}

TEST(blocks_of_a_first_checkpoint_are_not_used_again_while_it_is_made) {
    struct crash_disk *disk = crash_disk_new();
    lsm_env *env = crash_disk_env(disk);
    struct crash_disk *survivor;
    lsm_db *db, *again;

    slow.sync = env->xSync;
    env->xSync = slow_sync;
    db = open_on(disk, LSM_SAFETY_NORMAL);
    slow.other = open_on(disk, LSM_SAFETY_NORMAL);
    put_records(db, 'k', 400, 1, 0);
    settle(db);
    slow.countdown = 2;
    CHECK_OK(lsm_checkpoint(db, NULL));
    CHECK_EQ_INT(slow.countdown, 0);
    survivor = crash_disk_power_cut(disk, CRASH_KEEP_ALL, 0);
    again = open_on(survivor, LSM_SAFETY_NORMAL);
    CHECK_EQ_INT(count_records(again, 'k', 4, 0), 400);
    CHECK_OK(lsm_close(again));
    crash_disk_free(survivor);
    CHECK_OK(lsm_close(slow.other));
    CHECK_OK(lsm_close(db));
    crash_disk_free(disk);
}

/* ---- found by recovery ------------------------------------------------------------------------ */

/* Checkpoint 1 has all keys in round 0. The process dies between the syncs of checkpoint 2, of which half the keys are
** newer and which freed what 1 needs. `rest` more records are in memory and log only. */
static void die_between_syncs(struct crash_disk *disk, int safety, int rest) {
    lsm_db *db = open_on(disk, safety);

    put_records(db, 'k', 400, 1, 0);
    CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_checkpoint(db, NULL));
    put_records(db, 'k', 400, 2, 1);
    settle(db);
    put_records(db, 'n', rest, 1, 2);
    crash_disk_stop_at(disk, 3);
    CHECK_RC(lsm_checkpoint(db, NULL), LSM_IOERR);
    kill_process(disk, db);
}

enum next { NEXT_CLOSE, NEXT_CHECKPOINT, NEXT_FLUSH, NEXT_WORK, NEXT_COUNT };

static void act(lsm_db *db, enum next next) {
    if (next == NEXT_CHECKPOINT) (void)!lsm_checkpoint(db, NULL);
    if (next == NEXT_FLUSH) (void)!lsm_flush(db);
    if (next == NEXT_WORK) (void)!lsm_work(db, 1, -1, NULL);
}

TEST(a_found_checkpoint_is_proved_before_the_log_goes) {
    for (int safety = LSM_SAFETY_NORMAL; safety <= LSM_SAFETY_FULL; safety++) {
        for (int next = 0; next < NEXT_COUNT; next++) {
            struct crash_disk *disk = crash_disk_new(), *survivor;
            lsm_db *db;

            TEST_NOTE("safety %d, next %d", safety, next);
            die_between_syncs(disk, safety, 0);
            db = open_on(disk, safety);
            act(db, (enum next)next);
            CHECK_OK(lsm_close(db));
            survivor = crash_disk_power_cut(disk, CRASH_LOSE_ALL, 0);
            db = open_on(survivor, safety);
            CHECK_EQ_INT(count_records(db, 'k', 1, 0), 400);
            CHECK_OK(lsm_close(db));
            crash_disk_free(survivor);
            crash_disk_free(disk);
        }
    }
}

/* The next process is hit by a power cut at each of its first steps. */
TEST(a_found_checkpoint_is_proved_before_blocks_are_used_again) {
    for (int next = 0; next < NEXT_COUNT; next++) {
        for (uint64_t stop = 1; stop <= 12; stop++) {
            struct crash_disk *disk = crash_disk_new();
            lsm_db *db;

            die_between_syncs(disk, LSM_SAFETY_FULL, 300);
            crash_disk_stop_at(disk, stop);
            db = open_on(disk, LSM_SAFETY_FULL);
            act(db, (enum next)next);
            (void)!lsm_close(db);
            for (int i = 0; i < 4; i++) {
                uint64_t seed = test_random();
                struct crash_disk *survivor = crash_disk_power_cut(disk, CRASH_RANDOM, seed);
                TEST_NOTE("next %d, stop %d, seed %llu", next, (int)stop, (unsigned long long)seed);
                db = open_on(survivor, LSM_SAFETY_FULL);
                CHECK_EQ_INT(count_records(db, 'k', 1, 0), 400);
                CHECK_EQ_INT(count_records(db, 'n', 2, 2), 300);
                CHECK_OK(lsm_close(db));
                crash_disk_free(survivor);
            }
            crash_disk_free(disk);
        }
    }
}

/* The close cuts the file of a database without blocks to nothing. Its process dies before the sync of that. */
TEST(a_file_found_empty_is_proved_before_the_first_commit_at_full) {
    for (uint64_t stop = 1; stop <= 12; stop++) {
        struct crash_disk *disk = crash_disk_new(), *survivor;
        lsm_db *db = open_on(disk, LSM_SAFETY_FULL);

        CHECK_OK(lsm_delete(db, "nothing", 7));
        crash_disk_stop_at(disk, stop);
        CHECK_OK(lsm_close(db));
        crash_disk_restart(disk);
        db = open_on(disk, LSM_SAFETY_FULL);
        put_records(db, 'n', 20, 1, 2);
        survivor = crash_disk_power_cut(disk, CRASH_LOSE_ALL, 0);
        CHECK_OK(lsm_close(db));
        TEST_NOTE("stop %d", (int)stop);
        db = open_on(survivor, LSM_SAFETY_FULL);
        CHECK_EQ_INT(count_records(db, 'n', 2, 2), 20);
        CHECK_OK(lsm_close(db));
        crash_disk_free(survivor);
        crash_disk_free(disk);
    }
}

/* A sync has failed, what it should have written counts as clean, and its process dies: only who recovers the log can
** write it again. FULL may be chosen at any time before the commit. */
TEST(a_found_log_is_written_again_before_a_commit_at_full) {
    for (int late = 0; late < 2; late++) {
        struct crash_disk *disk = crash_disk_new(), *survivor;
        lsm_db *db = open_on(disk, LSM_SAFETY_FULL);

        put_records(db, 'k', 4, 1, 0);
        set(db, LSM_CONFIG_SAFETY, LSM_SAFETY_NORMAL);
        put_records(db, 'n', 20, 1, 1);
        set(db, LSM_CONFIG_SAFETY, LSM_SAFETY_FULL);
        crash_disk_fail_at(disk, CRASH_CALL_SYNC, 1, LSM_IOERR, false);
        CHECK_RC(put(db, "failed", "x"), LSM_IOERR);
        kill_process(disk, db);
        db = open_on(disk, late ? LSM_SAFETY_NORMAL : LSM_SAFETY_FULL);
        CHECK_EQ_INT(count_records(db, 'n', 1, 1), 20);
        CHECK_OK(lsm_begin(db, 1));
        put_records(db, 'm', 4, 1, 2);
        set(db, LSM_CONFIG_SAFETY, LSM_SAFETY_FULL);
        CHECK_OK(lsm_commit(db, 0));
        survivor = crash_disk_power_cut(disk, CRASH_LOSE_ALL, 0);
        CHECK_OK(lsm_close(db));
        TEST_NOTE("late %d", late);
        db = open_on(survivor, LSM_SAFETY_FULL);
        CHECK_EQ_INT(count_records(db, 'k', 0, 0), 4);
        CHECK_EQ_INT(count_records(db, 'n', 1, 1), 20);
        CHECK_EQ_INT(count_records(db, 'm', 2, 2), 4);
        CHECK_OK(lsm_close(db));
        crash_disk_free(survivor);
        crash_disk_free(disk);
    }
}

/* The name of the deleted log may come back, with any part of what was not synced. */
TEST(a_file_is_not_cut_to_nothing_while_its_log_may_come_back) {
    for (int i = 0; i < 40; i++) {
        struct crash_disk *disk = crash_disk_new(), *survivor;
        lsm_db *db = open_on(disk, LSM_SAFETY_NORMAL);
        uint64_t seed = test_random();

        CHECK_OK(lsm_delete(db, "nothing", 7));
        CHECK_OK(lsm_flush(db));
        CHECK_OK(lsm_checkpoint(db, NULL)); /* of a file without blocks */
        CHECK_OK(put(db, "k", "1"));
        CHECK_OK(lsm_delete(db, "k", 1));
        crash_disk_fail_at(disk, CRASH_CALL_SYNC_DIRECTORY, 1, LSM_IOERR, true);
        CHECK_OK(lsm_close(db));
        survivor = crash_disk_power_cut(disk, CRASH_RANDOM, seed);
        TEST_NOTE("seed %llu", (unsigned long long)seed);
        db = open_on(survivor, LSM_SAFETY_FULL);
        CHECK_EQ_STR(get(db, "k"), "-");
        CHECK_OK(lsm_close(db));
        crash_disk_free(survivor);
        crash_disk_free(disk);
    }
}

/* ---- stored at SAFETY OFF --------------------------------------------------------------------- */

TEST(what_was_loaded_at_off_is_proved_by_the_first_commit_after_it) {
    for (int i = 0; i < 6; i++) {
        struct crash_disk *disk = crash_disk_new(), *survivor;
        lsm_db *db = open_on(disk, LSM_SAFETY_FULL);

        put_records(db, 'k', 100, 1, 0);
        CHECK_OK(lsm_flush(db));
        CHECK_OK(lsm_checkpoint(db, NULL));
        set(db, LSM_CONFIG_SAFETY, LSM_SAFETY_OFF);
        put_records(db, 'k', 400, 1, 1);
        settle(db);
        CHECK_OK(lsm_checkpoint(db, NULL));
        set(db, LSM_CONFIG_SAFETY, LSM_SAFETY_FULL);
        put_records(db, 'n', 400, 1, 2);
        survivor = crash_disk_power_cut(disk, i == 0 ? CRASH_LOSE_ALL : CRASH_RANDOM, test_random());
        CHECK_OK(lsm_close(db));
        db = open_on(survivor, LSM_SAFETY_FULL);
        CHECK_EQ_INT(count_records(db, 'k', 1, 1), 400);
        CHECK_EQ_INT(count_records(db, 'n', 2, 2), 400);
        CHECK_OK(lsm_close(db));
        crash_disk_free(survivor);
        crash_disk_free(disk);
    }
}

TEST(a_checkpoint_that_finds_nothing_to_do_proves_one_stored_at_off) {
    struct crash_disk *disk = crash_disk_new(), *survivor;
    lsm_db *db = open_on(disk, LSM_SAFETY_OFF);

    put_records(db, 'k', 100, 1, 0);
    CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_checkpoint(db, NULL));
    set(db, LSM_CONFIG_SAFETY, LSM_SAFETY_NORMAL);
    CHECK_OK(lsm_checkpoint(db, NULL));
    survivor = crash_disk_power_cut(disk, CRASH_RANDOM, 1);
    CHECK_OK(lsm_close(db));
    db = open_on(survivor, LSM_SAFETY_NORMAL);
    CHECK_EQ_INT(count_records(db, 'k', 0, 0), 100);
    CHECK_OK(lsm_close(db));
    crash_disk_free(survivor);
    crash_disk_free(disk);
}

/* An automatic checkpoint is stored and waits for the sync of the next; one at OFF has nothing to do then. */
TEST(a_checkpoint_at_off_proves_nothing_that_was_stored_before_it) {
    for (int leave = 0; leave < 2; leave++) {
        struct crash_disk *disk = crash_disk_new();
        struct crash_disk *survivor;
        lsm_db *db = open_on(disk, LSM_SAFETY_NORMAL);
        int count = 0, kb = 1, before;

        set(db, LSM_CONFIG_AUTOWORK, 1);
        set(db, LSM_CONFIG_AUTOFLUSH, 64);
        set(db, LSM_CONFIG_AUTOCHECKPOINT, 128);
        do {
            before = kb;
            put_record(db, 'k', count++, 0);
            CHECK_OK(lsm_info(db, LSM_INFO_CHECKPOINT_SIZE, &kb));
        } while (count < 1000 || kb != 0 || before == 0);
        set(db, LSM_CONFIG_SAFETY, LSM_SAFETY_OFF);
        CHECK_OK(lsm_checkpoint(db, NULL));
        set(db, LSM_CONFIG_SAFETY, LSM_SAFETY_FULL);
        set(db, LSM_CONFIG_AUTOWORK, 0);
        for (int i = 0; i < 300 && !leave; i++) put_record(db, 'k', count++, 0);
        if (leave) CHECK_OK(lsm_close(db));
        survivor = crash_disk_power_cut(disk, CRASH_LOSE_ALL, 0);
        if (!leave) CHECK_OK(lsm_close(db));
        db = open_on(survivor, LSM_SAFETY_FULL);
        CHECK_EQ_INT(count_records(db, 'k', 0, 0), count);
        CHECK_OK(lsm_close(db));
        crash_disk_free(survivor);
        crash_disk_free(disk);
    }
}

/* What the failed sync should have written counts as clean: no later sync writes it. */
TEST(after_a_failed_sync_of_the_log_before_the_first_checkpoint_full_means_full) {
    struct crash_disk *disk = crash_disk_new();
    struct crash_disk *survivor;
    lsm_db *db = open_on(disk, LSM_SAFETY_FULL);

    put_record(db, 'a', 0, 0);
    set(db, LSM_CONFIG_SAFETY, LSM_SAFETY_NORMAL);
    put_records(db, 'b', 200, 1, 0);
    crash_disk_fail_at(disk, CRASH_CALL_SYNC, 1, LSM_IOERR, false);
    CHECK_RC(lsm_checkpoint(db, NULL), LSM_IOERR);
    set(db, LSM_CONFIG_SAFETY, LSM_SAFETY_FULL);
    put_records(db, 'c', 10, 1, 0);
    survivor = crash_disk_power_cut(disk, CRASH_LOSE_ALL, 0);
    CHECK_OK(lsm_close(db));
    db = open_on(survivor, LSM_SAFETY_FULL);
    CHECK_EQ_INT(count_records(db, 'a', 0, 0), 1);
    CHECK_EQ_INT(count_records(db, 'b', 0, 0), 200);
    CHECK_EQ_INT(count_records(db, 'c', 0, 0), 10);
    CHECK_OK(lsm_close(db));
    crash_disk_free(survivor);
    crash_disk_free(disk);
}

TEST_MAIN()
