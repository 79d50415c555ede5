/*
** crash_defects_test.c — one test for each way in which an engine of this kind is known to lose
** commits.
**
** The numbers are those of the list of defects that the engine must not have.
*/
#include "db/db_internal.h"
#include "support/api_model.h"
#include "support/crash_disk.h"

#define PATH "/disk/defects.lsm"
#define LOG_PATH PATH "-log"

static struct crash_disk *disk;

static lsm_db *open_on(struct crash_disk *where, int safety) {
    lsm_db *db;
    int value = safety;

    CHECK_OK(lsm_new(crash_disk_env(where), &db));
    lsm_config_log(db, NULL, NULL);
    CHECK_OK(lsm_config(db, LSM_CONFIG_SAFETY, &value));
    value = 0;
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOCHECKPOINT, &value));
    CHECK_OK(lsm_open(db, PATH));
    return db;
}

static int set(lsm_db *db, int value, int verb) {
    CHECK_OK(lsm_config(db, verb, &value));
    return value;
}

static int put(lsm_db *db, const char *key, const char *value) {
    return lsm_insert(db, key, (int)strlen(key), value, (int)strlen(value));
}

/* A value of `size` bytes that depends on the key. */
static int put_sized(lsm_db *db, const char *key, int size) {
    static char value[1 << 20];
    memset(value, key[0], (size_t)size);
    if (size > 0) value[size / 2] = '!';
    return lsm_insert(db, key, (int)strlen(key), value, size);
}

/* Size of the value, -1 = no such key. */
static int size_of(lsm_db *db, const char *key) {
    lsm_cursor *cursor;
    const void *bytes;
    int size = -1;

    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_OK(lsm_csr_seek(cursor, key, (int)strlen(key), LSM_SEEK_EQ));
    if (lsm_csr_valid(cursor)) CHECK_OK(lsm_csr_value(cursor, &bytes, &size));
    CHECK_OK(lsm_csr_close(cursor));
    return size;
}

static void check_value(lsm_db *db, const char *key, const char *expected) {
    lsm_cursor *cursor;
    const void *bytes;
    int size;

    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_OK(lsm_csr_seek(cursor, key, (int)strlen(key), LSM_SEEK_EQ));
    CHECK(lsm_csr_valid(cursor));
    CHECK_OK(lsm_csr_value(cursor, &bytes, &size));
    CHECK_EQ_BYTES(bytes, (size_t)size, expected, strlen(expected));
    CHECK_OK(lsm_csr_close(cursor));
}

static void structure(lsm_db *db, lsm_i64 regions[6]) {
    char *text = NULL;
    CHECK_OK(lsm_info(db, LSM_INFO_LOG_STRUCTURE, &text));
    CHECK_EQ_INT(sscanf(text, "%lld %lld %lld %lld %lld %lld", &regions[0], &regions[1],
                        &regions[2], &regions[3], &regions[4], &regions[5]),
                 6);
    lsm_free(lsm_get_env(db), text);
}

static void flush_and_checkpoint(lsm_db *db) {
    CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_checkpoint(db, NULL));
}

/* What a new process, or a restarted machine, finds; the caller closes and frees. */
static struct crash_disk *survivor_of(struct crash_disk *of, enum crash_policy policy,
                                      lsm_db **db) {
    struct crash_disk *survivor = crash_disk_power_cut(of, policy, test_random());
    *db = open_on(survivor, LSM_SAFETY_FULL);
    return survivor;
}

static void done_with(struct crash_disk *survivor, lsm_db *db) {
    CHECK_OK(lsm_close(db));
    CHECK_EQ_UINT(crash_disk_live_blocks(survivor), 0);
    crash_disk_free(survivor);
}

/* A log whose next transaction goes back to its beginning; one commit behind the checkpoint stays
** in region 0. */
static lsm_db *log_about_to_wrap(int safety) {
    lsm_db *db = open_on(disk, safety);
    for (int i = 0; i < 9; i++) {
        char key[2] = {(char)('A' + i), 0};
        CHECK_OK(put_sized(db, key, 20000));
        if (i == 0) CHECK_OK(lsm_flush(db)); /* a level to merge */
    }
    CHECK_OK(lsm_flush(db));
    CHECK_OK(put(db, "pending", "of region 2"));
    CHECK_OK(lsm_checkpoint(db, NULL));
    return db;
}

TEST(DF_3_what_is_committed_after_flush_and_checkpoint_is_found_again) {
    for (int safety = 0; safety <= 2; safety++) {
        struct crash_disk *survivor;
        lsm_db *db, *again;

        disk = crash_disk_new();
        db = open_on(disk, safety);
        CHECK_OK(put(db, "a", "1"));
        flush_and_checkpoint(db);
        CHECK_OK(put(db, "b", "22"));
        survivor = survivor_of(disk, CRASH_KEEP_ALL, &again);
        CHECK_EQ_INT(size_of(again, "a"), 1);
        CHECK_EQ_INT(size_of(again, "b"), 2);
        done_with(survivor, again);
        /* And the log in front of the flush is needed for nothing. */
        survivor = crash_disk_power_cut(disk, CRASH_KEEP_ALL, 1);
        crash_disk_damage(survivor, LOG_PATH, 0, "\xff\xff\xff\xff", 4);
        again = open_on(survivor, LSM_SAFETY_FULL);
        CHECK_EQ_INT(size_of(again, "a"), 1);
        CHECK_EQ_INT(size_of(again, "b"), 2);
        done_with(survivor, again);
        done_with(disk, db);
    }
}

/* A checkpoint that is newer than the wrap, but older than the end of region 0, must keep the rest
** of region 0. */
TEST(region_0_is_given_up_only_as_far_as_the_checkpoint_goes) {
    struct crash_disk *survivor;
    lsm_i64 regions[6];
    lsm_db *db, *again;
    int written = 0;

    disk = crash_disk_new();
    db = log_about_to_wrap(LSM_SAFETY_NORMAL);
    CHECK_OK(put(db, "wrapped", "1"));
    structure(db, regions);
    CHECK(regions[0] >= 131072 && regions[5] > 0);
    CHECK_OK(lsm_work(db, 2, -1, &written)); /* a newer snapshot with the same position */
    CHECK(written > 0);
    CHECK_OK(lsm_checkpoint(db, &written));
    CHECK(written > 0);
    CHECK_OK(put(db, "next", "22"));
    for (int i = 0; i < 12; i++) CHECK_OK(put_sized(db, "large", 20000)); /* up to it and beyond */
    survivor = survivor_of(disk, CRASH_KEEP_ALL, &again);
    CHECK_EQ_INT(size_of(again, "pending"), 11);
    CHECK_EQ_INT(size_of(again, "wrapped"), 1);
    CHECK_EQ_INT(size_of(again, "next"), 2);
    CHECK_EQ_INT(size_of(again, "large"), 20000);
    done_with(survivor, again);
    done_with(disk, db);
}

/* The log survives, cut anywhere, although the last close has deleted it. */
TEST(DF_4_a_log_that_comes_back_after_the_last_close_is_not_replayed_over_newer_content) {
    size_t log_size;
    const uint8_t *log;
    uint8_t copy[4096];
    struct crash_disk *survivor;
    lsm_db *db;

    disk = crash_disk_new();
    db = open_on(disk, LSM_SAFETY_NORMAL);
    for (int i = 0; i < 20; i++) {
        char value[8];
        snprintf(value, sizeof value, "%d", i);
        CHECK_OK(put(db, "key", value));
        if (i == 9) CHECK_OK(lsm_flush(db));
    }
    CHECK_OK(put(db, "key", "the last value"));
    log = crash_disk_content(disk, LOG_PATH, &log_size);
    CHECK(log != NULL && log_size < sizeof copy);
    memcpy(copy, log, log_size);
    CHECK_OK(lsm_close(db));
    CHECK(crash_disk_content(disk, LOG_PATH, &(size_t){0}) == NULL);
    for (size_t size = 1; size <= log_size; size++) {
        survivor = crash_disk_power_cut(disk, CRASH_KEEP_ALL, 1);
        crash_disk_put(survivor, LOG_PATH, copy, size);
        db = open_on(survivor, LSM_SAFETY_FULL);
        CHECK_EQ_INT(size_of(db, "key"), (int)strlen("the last value"));
        done_with(survivor, db);
    }
    crash_disk_free(disk);
}

/* The position of the checkpoint lies behind 131072 in a log that is gone; in the new log it is a place like any other. */
TEST(a_position_in_a_lost_log_frees_nothing_of_the_next_one) {
    struct crash_disk *survivor, *last;
    lsm_i64 regions[6];
    lsm_db *db, *again;

    disk = crash_disk_new();
    db = open_on(disk, LSM_SAFETY_NORMAL);
    for (int i = 0; i < 9; i++) {
        char key[2] = {(char)('A' + i), 0};
        CHECK_OK(put_sized(db, key, 20000));
        if (i == 0) CHECK_OK(lsm_flush(db)); /* a level to merge */
    }
    flush_and_checkpoint(db);
    survivor = crash_disk_power_cut(disk, CRASH_KEEP_ALL, 1);
    done_with(disk, db);
    crash_disk_remove(survivor, LOG_PATH);
    db = open_on(survivor, LSM_SAFETY_NORMAL);
    CHECK_OK(put(db, "first", "1"));
    for (int i = 0; i < 10; i++) CHECK_OK(put_sized(db, "large", 20000));
    CHECK_OK(lsm_work(db, 2, -1, NULL)); /* a newer snapshot with the same position */
    CHECK_OK(lsm_checkpoint(db, NULL));
    CHECK_OK(put(db, "next", "22"));
    CHECK_OK(put_sized(db, "last", 20000));
    structure(db, regions);
    last = survivor_of(survivor, CRASH_KEEP_ALL, &again);
    CHECK_EQ_INT(size_of(again, "A"), 20000);
    CHECK_EQ_INT(size_of(again, "first"), 1);
    CHECK_EQ_INT(size_of(again, "large"), 20000);
    CHECK_EQ_INT(size_of(again, "next"), 2);
    CHECK_EQ_INT(size_of(again, "last"), 20000);
    CHECK_EQ_INT(regions[0] + regions[1] + regions[4], 0); /* it did not go back to the beginning */
    done_with(last, again);
    done_with(survivor, db);
}

TEST(DF_5_rolling_back_the_transaction_that_wrapped_the_log_loses_nothing) {
    for (int safety = 1; safety <= 2; safety++) {
        struct crash_disk *survivor;
        lsm_i64 before[6], after[6], wrapped[6];
        lsm_db *db, *again;

        disk = crash_disk_new();
        db = log_about_to_wrap(safety);
        structure(db, before);
        CHECK_EQ_INT(before[1], 0); /* not yet */
        CHECK_OK(lsm_begin(db, 1));
        CHECK_OK(put_sized(db, "undone", 40000));
        CHECK_OK(put_sized(db, "undone too", 40000));
        CHECK_OK(lsm_rollback(db, 0));
        structure(db, after);
        CHECK_EQ_BYTES(after, sizeof after, before, sizeof before);
        CHECK_OK(put(db, "k", "kept"));
        structure(db, wrapped);
        CHECK(wrapped[0] >= 131072 && wrapped[4] == 0 && wrapped[5] > 0); /* this one did wrap */
        survivor = survivor_of(disk, CRASH_KEEP_ALL, &again);
        CHECK_EQ_INT(size_of(again, "pending"), 11);
        CHECK_EQ_INT(size_of(again, "k"), 4);
        CHECK_EQ_INT(size_of(again, "undone"), -1);
        done_with(survivor, again);
        done_with(disk, db);
    }
}

TEST(DF_6_rollback_to_a_savepoint_on_either_side_of_a_skip_keeps_log_and_content_together) {
    for (int target = 1; target <= 4; target++) {
        for (int safety = 1; safety <= 2; safety++) {
            struct crash_disk *survivor;
            lsm_i64 regions[6];
            lsm_db *db, *again;

            TEST_NOTE("target %d, safety %d", target, safety);
            disk = crash_disk_new();
            db = log_about_to_wrap(safety);
            CHECK_OK(put(db, "first", "in front"));
            /* Region 0 begins near 180000. Levels are opened on the way there and beyond. */
            CHECK_OK(lsm_begin(db, 1));
            for (int level = 1; level <= 4; level++) {
                char key[2] = {(char)('a' + level), 0};
                CHECK_OK(lsm_begin(db, level));
                CHECK_OK(put_sized(db, key, 70000));
            }
            CHECK_OK(lsm_rollback(db, target));
            CHECK_OK(put(db, "inside", "1"));
            CHECK_OK(lsm_commit(db, 0));
            structure(db, regions);
            if (target == 4) CHECK(regions[3] > 0); /* the jump was taken and kept */
            CHECK_OK(put(db, "after", "22"));
            CHECK_OK(put_sized(db, "long after", 50000));
            survivor = survivor_of(disk, CRASH_KEEP_ALL, &again);
            CHECK_EQ_INT(size_of(again, "pending"), 11);
            CHECK_EQ_INT(size_of(again, "first"), 8);
            CHECK_EQ_INT(size_of(again, "inside"), 1);
            CHECK_EQ_INT(size_of(again, "after"), 2);
            CHECK_EQ_INT(size_of(again, "long after"), 50000);
            for (int level = 1; level <= 4; level++) {
                char key[2] = {(char)('a' + level), 0};
                CHECK_EQ_INT(size_of(again, key), level < target ? 70000 : -1);
            }
            done_with(survivor, again);
            done_with(disk, db);
        }
    }
}

TEST(DF_7_records_of_every_size_after_rollback_to_a_written_savepoint_are_recovered) {
    for (int size = 32000; size <= 33000; size += 25) {
        struct crash_disk *survivor;
        lsm_db *db, *again;

        TEST_NOTE("size %d", size);
        disk = crash_disk_new();
        db = open_on(disk, LSM_SAFETY_NORMAL);
        CHECK_OK(lsm_begin(db, 1));
        CHECK_OK(put_sized(db, "before", 600));
        CHECK_OK(lsm_begin(db, 2));
        CHECK_OK(put_sized(db, "undone", 40000));
        CHECK_OK(put_sized(db, "undone too", 40000));
        CHECK_OK(lsm_rollback(db, 2));
        CHECK_OK(put_sized(db, "after", size));
        CHECK_OK(lsm_commit(db, 0));
        CHECK_OK(put(db, "next", "x"));
        survivor = survivor_of(disk, CRASH_KEEP_ALL, &again);
        CHECK_EQ_INT(size_of(again, "before"), 600);
        CHECK_EQ_INT(size_of(again, "after"), size);
        CHECK_EQ_INT(size_of(again, "next"), 1);
        CHECK_EQ_INT(size_of(again, "undone"), -1);
        done_with(survivor, again);
        done_with(disk, db);
    }
}

TEST(DF_8_a_commit_whose_log_write_fails_leaves_nothing_to_be_seen) {
    struct crash_disk *survivor;
    lsm_db *db, *other, *again;

    disk = crash_disk_new();
    db = open_on(disk, LSM_SAFETY_NORMAL);
    other = open_on(disk, LSM_SAFETY_NORMAL);
    CHECK_OK(put(db, "a", "1"));
    crash_disk_fail_at(disk, CRASH_CALL_WRITE, 1, LSM_IOERR, false);
    CHECK_RC(put(db, "failed", "x"), LSM_IOERR);
    CHECK_EQ_INT(size_of(db, "failed"), -1);
    CHECK_EQ_INT(size_of(other, "failed"), -1);
    CHECK_OK(put(other, "b", "22"));
    CHECK_OK(put(db, "c", "333"));
    survivor = survivor_of(disk, CRASH_KEEP_ALL, &again);
    CHECK_EQ_INT(size_of(again, "a"), 1);
    CHECK_EQ_INT(size_of(again, "b"), 2);
    CHECK_EQ_INT(size_of(again, "c"), 3);
    CHECK_EQ_INT(size_of(again, "failed"), -1);
    done_with(survivor, again);
    CHECK_OK(lsm_close(other));
    done_with(disk, db);
}

/* The system has dropped what the failed sync should have written: pages of earlier commits, too.
** DF-8. */
TEST(after_a_failed_log_sync_no_commit_at_full_is_acknowledged_that_could_be_lost) {
    for (int policy = CRASH_LOSE_ALL; policy <= CRASH_RANDOM; policy++) {
        struct crash_disk *survivor;
        lsm_db *db, *again;
        int failed_rc;

        disk = crash_disk_new();
        db = open_on(disk, LSM_SAFETY_FULL);
        CHECK_OK(put(db, "a", "1"));
        set(db, LSM_SAFETY_NORMAL, LSM_CONFIG_SAFETY);
        CHECK_OK(put_sized(db, "n", 9000)); /* not synced: the failing sync is to do it */
        set(db, LSM_SAFETY_FULL, LSM_CONFIG_SAFETY);
        crash_disk_fail_at(disk, CRASH_CALL_SYNC, 1, LSM_IOERR, false);
        failed_rc = put(db, "failed", "x");
        CHECK_RC(failed_rc, LSM_IOERR);
        CHECK_EQ_INT(size_of(db, "failed"), -1);
        CHECK_EQ_INT(size_of(db, "n"), 9000);
        survivor = survivor_of(disk, CRASH_KEEP_ALL, &again); /* the process dies here, the system does not */
        CHECK_EQ_INT(size_of(again, "failed"), -1);
        CHECK_EQ_INT(size_of(again, "n"), 9000);
        done_with(survivor, again);
        CHECK_OK(put(db, "b", "22"));
        survivor = survivor_of(disk, (enum crash_policy)policy, &again);
        CHECK_EQ_INT(size_of(again, "a"), 1);
        CHECK_EQ_INT(size_of(again, "n"), 9000);
        CHECK_EQ_INT(size_of(again, "b"), 2);
        done_with(survivor, again);
        done_with(disk, db);
    }
}

/* Nothing is in memory when the log is given up, and yet commits stand in it. */
TEST(DF_8_empty_transactions_lost_by_a_failed_sync_take_nothing_with_them) {
    for (int policy = CRASH_LOSE_ALL; policy <= CRASH_RANDOM; policy++) {
        struct crash_disk *survivor;
        lsm_db *db, *again;

        disk = crash_disk_new();
        db = open_on(disk, LSM_SAFETY_FULL);
        CHECK_OK(put(db, "a", "1"));
        flush_and_checkpoint(db);
        set(db, LSM_SAFETY_NORMAL, LSM_CONFIG_SAFETY);
        for (int i = 0; i < 1000; i++) { /* some pages that are not synced */
            CHECK_OK(lsm_begin(db, 1));
            CHECK_OK(lsm_commit(db, 0));
        }
        set(db, LSM_SAFETY_FULL, LSM_CONFIG_SAFETY);
        crash_disk_fail_at(disk, CRASH_CALL_SYNC, 1, LSM_IOERR, false);
        CHECK_RC(put(db, "failed", "x"), LSM_IOERR);
        CHECK_OK(put(db, "b", "22"));
        survivor = survivor_of(disk, (enum crash_policy)policy, &again);
        CHECK_EQ_INT(size_of(again, "a"), 1);
        CHECK_EQ_INT(size_of(again, "b"), 2);
        done_with(survivor, again);
        done_with(disk, db);
    }
}

TEST(while_the_log_cannot_be_made_good_commits_at_full_return_the_error_of_the_sync) {
    struct crash_disk *survivor;
    lsm_db *db, *again;

    disk = crash_disk_new();
    db = open_on(disk, LSM_SAFETY_FULL);
    CHECK_OK(put(db, "a", "1"));
    crash_disk_fail_at(disk, CRASH_CALL_SYNC, 1, 1234, true);
    CHECK_RC(put(db, "b", "2"), 1234);
    CHECK_RC(put(db, "c", "3"), 1234);
    CHECK_RC(put(db, "c", "3"), 1234);
    CHECK_EQ_INT(size_of(db, "a"), 1);
    CHECK_EQ_INT(size_of(db, "c"), -1);
    CHECK_OK(lsm_close(db));
    crash_disk_fail_at(disk, CRASH_CALL_SYNC, 0, 0, false);
    survivor = survivor_of(disk, CRASH_LOSE_ALL, &again);
    CHECK_EQ_INT(size_of(again, "a"), 1);
    done_with(survivor, again);
    crash_disk_free(disk);
}

/* The pages of a segment were lost by a failed sync; a checkpoint that names them must never be
** made. */
TEST(after_a_failed_sync_of_the_file_no_checkpoint_is_made_and_the_log_keeps_everything) {
    for (int nth = 1; nth <= 2; nth++) {
        struct crash_disk *survivor;
        lsm_db *db, *again;

        disk = crash_disk_new();
        db = open_on(disk, LSM_SAFETY_FULL);
        CHECK_OK(put_sized(db, "a", 30000));
        flush_and_checkpoint(db);
        CHECK_OK(put_sized(db, "b", 30000));
        CHECK_OK(lsm_flush(db));
        crash_disk_fail_at(disk, CRASH_CALL_SYNC, (uint64_t)nth, LSM_IOERR, false);
        CHECK_RC(lsm_checkpoint(db, NULL), LSM_IOERR);
        CHECK_RC(lsm_checkpoint(db, NULL), LSM_IOERR);
        CHECK_OK(put(db, "c", "333"));
        survivor = survivor_of(disk, CRASH_LOSE_ALL, &again);
        CHECK_EQ_INT(size_of(again, "a"), 30000);
        CHECK_EQ_INT(size_of(again, "b"), 30000);
        CHECK_EQ_INT(size_of(again, "c"), 3);
        done_with(survivor, again);
        CHECK_OK(lsm_close(db)); /* cannot checkpoint: the log stays */
        CHECK(crash_disk_content(disk, LOG_PATH, &(size_t){0}) != NULL);
        survivor = survivor_of(disk, CRASH_LOSE_ALL, &again);
        CHECK_EQ_INT(size_of(again, "b"), 30000);
        CHECK_EQ_INT(size_of(again, "c"), 3);
        done_with(survivor, again);
        crash_disk_free(disk);
    }
}

TEST(DF_9_after_a_failed_log_write_a_transaction_can_only_be_rolled_back) {
    for (int nth = 1; nth <= 5; nth++) {
        struct crash_disk *survivor;
        lsm_db *db, *again;
        int rc = LSM_OK, failures = 0;

        disk = crash_disk_new();
        db = open_on(disk, LSM_SAFETY_NORMAL);
        CHECK_OK(put(db, "a", "1"));
        CHECK_OK(lsm_begin(db, 3));
        crash_disk_fail_at(disk, CRASH_CALL_WRITE, (uint64_t)nth, LSM_IOERR, false);
        for (int i = 0; i < 12; i++) {
            char key[2] = {(char)('A' + i), 0};
            rc = put_sized(db, key, 30000);
            if (rc == LSM_OK) CHECK_EQ_INT(failures, 0);
            else failures++;
        }
        CHECK(failures > 0);
        CHECK_RC(put(db, "z", "1"), LSM_IOERR);
        CHECK_RC(lsm_delete(db, "a", 1), LSM_IOERR);
        CHECK_RC(lsm_begin(db, 4), LSM_IOERR);
        CHECK_RC(lsm_commit(db, 2), LSM_IOERR);
        CHECK_RC(lsm_rollback(db, 2), LSM_IOERR);
        CHECK_RC(put(db, "z", "1"), LSM_IOERR);
        CHECK_RC(lsm_commit(db, 1), LSM_IOERR);
        CHECK_RC(lsm_commit(db, 0), LSM_IOERR);
        CHECK_EQ_INT(size_of(db, "A"), -1);
        CHECK_OK(lsm_commit(db, 0)); /* nothing is open any more */
        CHECK_OK(put(db, "next", "22"));
        survivor = survivor_of(disk, CRASH_KEEP_ALL, &again);
        CHECK_EQ_INT(size_of(again, "a"), 1);
        CHECK_EQ_INT(size_of(again, "A"), -1);
        CHECK_EQ_INT(size_of(again, "next"), 2);
        done_with(survivor, again);
        done_with(disk, db);
    }
}

/* The jump itself is the write that fails. */
TEST(DF_9_a_skip_whose_write_fails_fails_the_commit) {
    for (uint64_t nth = 1; nth <= 40; nth++) {
        struct crash_disk *survivor;
        lsm_db *db, *again;
        int rc = LSM_OK;

        TEST_NOTE("write %d", (int)nth);
        disk = crash_disk_new();
        db = log_about_to_wrap(LSM_SAFETY_NORMAL);
        CHECK_OK(put(db, "first", "in front"));
        CHECK_OK(lsm_begin(db, 1));
        crash_disk_fail_at(disk, CRASH_CALL_WRITE, nth, LSM_IOERR, false);
        for (int i = 0; i < 25 && rc == LSM_OK; i++) {
            char key[2] = {(char)('a' + i), 0};
            rc = put_sized(db, key, 10000);
        }
        if (rc == LSM_OK) rc = lsm_commit(db, 0);
        else CHECK_OK(lsm_rollback(db, 0));
        crash_disk_fail_at(disk, CRASH_CALL_WRITE, 0, 0, false);
        CHECK_OK(put(db, "next", "22"));
        survivor = survivor_of(disk, CRASH_KEEP_ALL, &again);
        CHECK_EQ_INT(size_of(again, "pending"), 11);
        CHECK_EQ_INT(size_of(again, "first"), 8);
        CHECK_EQ_INT(size_of(again, "a"), rc == LSM_OK ? 10000 : -1);
        CHECK_EQ_INT(size_of(again, "y"), rc == LSM_OK ? 10000 : -1);
        CHECK_EQ_INT(size_of(again, "next"), 2);
        done_with(survivor, again);
        done_with(disk, db);
    }
}

TEST(DF_10_a_write_of_half_the_bytes_is_a_failure) {
    struct crash_disk *survivor;
    lsm_db *db, *again;

    disk = crash_disk_new();
    db = open_on(disk, LSM_SAFETY_FULL);
    CHECK_OK(put(db, "a", "1"));
    crash_disk_half_write_at(disk, 1);
    CHECK_RC(put_sized(db, "half", 5000), LSM_IOERR);
    CHECK_EQ_INT(size_of(db, "half"), -1);
    CHECK_OK(put(db, "b", "22"));
    survivor = survivor_of(disk, CRASH_RANDOM, &again);
    CHECK_EQ_INT(size_of(again, "a"), 1);
    CHECK_EQ_INT(size_of(again, "half"), -1);
    CHECK_EQ_INT(size_of(again, "b"), 2);
    done_with(survivor, again);
    /* In a segment and in the checkpoint. */
    for (uint64_t nth = 1; nth <= 6; nth++) {
        int rc;
        CHECK_OK(put_sized(db, "c", 20000));
        crash_disk_half_write_at(disk, nth);
        rc = lsm_flush(db);
        if (rc == LSM_OK) rc = lsm_checkpoint(db, NULL);
        crash_disk_half_write_at(disk, 0);
        survivor = survivor_of(disk, CRASH_RANDOM, &again);
        CHECK_EQ_INT(size_of(again, "b"), 2);
        CHECK_EQ_INT(size_of(again, "c"), 20000);
        done_with(survivor, again);
    }
    done_with(disk, db);
}

TEST(DF_11_names_are_durable_when_a_commit_at_full_returns_and_when_a_checkpoint_is_made) {
    struct crash_disk *survivor;
    lsm_db *db, *again;

    disk = crash_disk_new();
    db = open_on(disk, LSM_SAFETY_FULL);
    CHECK_OK(put(db, "a", "1"));
    survivor = survivor_of(disk, CRASH_LOSE_ALL, &again);
    CHECK_EQ_INT(size_of(again, "a"), 1);
    done_with(survivor, again);
    done_with(disk, db);

    disk = crash_disk_new();
    db = open_on(disk, LSM_SAFETY_NORMAL);
    CHECK_OK(put(db, "a", "1"));
    flush_and_checkpoint(db);
    survivor = survivor_of(disk, CRASH_LOSE_ALL, &again);
    CHECK_EQ_INT(size_of(again, "a"), 1);
    done_with(survivor, again);
    done_with(disk, db);
}

TEST(DF_11_a_log_deleted_by_the_last_close_stays_deleted) {
    struct crash_disk *survivor;
    lsm_db *db;

    disk = crash_disk_new();
    db = open_on(disk, LSM_SAFETY_FULL);
    CHECK_OK(put(db, "a", "1")); /* now the name of the log is durable */
    CHECK_OK(lsm_close(db));
    survivor = crash_disk_power_cut(disk, CRASH_LOSE_ALL, 1);
    CHECK(crash_disk_content(survivor, LOG_PATH, &(size_t){0}) == NULL);
    db = open_on(survivor, LSM_SAFETY_FULL);
    CHECK_EQ_INT(size_of(db, "a"), 1);
    done_with(survivor, db);
    crash_disk_free(disk);
}

TEST(DF_12_an_empty_key_that_is_recovered_first_keeps_its_value) {
    struct crash_disk *survivor;
    lsm_db *db, *again;

    disk = crash_disk_new();
    db = open_on(disk, LSM_SAFETY_NORMAL);
    CHECK_OK(lsm_insert(db, NULL, 0, "of the empty key", 16));
    check_value(db, "", "of the empty key");
    CHECK_OK(put(db, "a", "1"));
    flush_and_checkpoint(db);
    check_value(db, "", "of the empty key");
    CHECK_OK(lsm_insert(db, "", 0, "a new one", 9));
    survivor = survivor_of(disk, CRASH_KEEP_ALL, &again);
    check_value(again, "", "a new one");
    CHECK_EQ_INT(size_of(again, "a"), 1);
    done_with(survivor, again);
    done_with(disk, db);
}

TEST(DF_14_a_connection_that_stops_logging_leaves_the_log_of_others_alone) {
    struct crash_disk *survivor;
    lsm_db *db, *other, *again;

    disk = crash_disk_new();
    db = open_on(disk, LSM_SAFETY_NORMAL);
    other = open_on(disk, LSM_SAFETY_NORMAL);
    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(put(other, "b", "22"));
    set(db, 0, LSM_CONFIG_USE_LOG);
    CHECK_OK(put(db, "unlogged", "x"));
    CHECK_OK(put(other, "c", "333"));
    survivor = survivor_of(disk, CRASH_KEEP_ALL, &again);
    CHECK_EQ_INT(size_of(again, "a"), 1);
    CHECK_EQ_INT(size_of(again, "b"), 2);
    CHECK_EQ_INT(size_of(again, "c"), 3);
    done_with(survivor, again);
    CHECK_OK(lsm_close(other));
    done_with(disk, db);
}

TEST(DF_15_full_safety_without_a_log_syncs_nothing) {
    uint64_t before;
    lsm_db *db;

    disk = crash_disk_new();
    db = open_on(disk, LSM_SAFETY_FULL);
    set(db, 0, LSM_CONFIG_USE_LOG);
    CHECK_OK(put(db, "a", "1"));
    CHECK_EQ_UINT(crash_disk_calls(disk, CRASH_CALL_SYNC), 0);
    CHECK(crash_disk_content(disk, LOG_PATH, &(size_t){0}) == NULL);
    CHECK_OK(lsm_close(db));
    db = open_on(disk, LSM_SAFETY_FULL);
    CHECK_EQ_INT(size_of(db, "a"), 1);
    CHECK_OK(put(db, "b", "22")); /* now there is a log, and the connection has it open */
    set(db, 0, LSM_CONFIG_USE_LOG);
    before = crash_disk_calls(disk, CRASH_CALL_SYNC);
    CHECK_OK(put(db, "c", "333"));
    CHECK_EQ_UINT(crash_disk_calls(disk, CRASH_CALL_SYNC), before);
    done_with(disk, db);
}

TEST(DF_21_a_commit_at_full_syncs_the_log_once_and_at_other_levels_never) {
    for (int safety = 0; safety <= 2; safety++) {
        lsm_db *db;
        uint64_t before;

        disk = crash_disk_new();
        db = open_on(disk, safety);
        CHECK_OK(put(db, "a", "1"));
        before = crash_disk_calls(disk, CRASH_CALL_SYNC);
        CHECK_OK(put(db, "b", "1"));
        CHECK_EQ_UINT(crash_disk_calls(disk, CRASH_CALL_SYNC) - before, safety == 2 ? 1 : 0);
        done_with(disk, db);
    }
}

TEST(DF_23_a_commit_whose_automatic_work_fails_is_committed_all_the_same) {
    int seen = 0;

    for (uint64_t nth = 1; nth <= 8; nth++) {
        struct crash_disk *survivor;
        lsm_db *db, *again;
        int rc;

        disk = crash_disk_new();
        db = open_on(disk, LSM_SAFETY_FULL);
        set(db, 0, LSM_CONFIG_AUTOFLUSH);
        crash_disk_fail_at(disk, CRASH_CALL_WRITE, nth, LSM_IOERR, false);
        CHECK_OK(lsm_begin(db, 1));
        CHECK_OK(put_sized(db, "a", 20000));
        rc = lsm_commit(db, 0);
        crash_disk_fail_at(disk, CRASH_CALL_WRITE, 0, 0, false);
        survivor = survivor_of(disk, CRASH_LOSE_ALL, &again);
        if (rc != LSM_OK && size_of(db, "a") == 20000) {
            seen++;
            CHECK_EQ_INT(size_of(again, "a"), 20000);
        }
        done_with(survivor, again);
        CHECK_OK(put(db, "b", "1"));
        done_with(disk, db);
    }
    CHECK(seen > 0);
}

TEST(where_errors_of_work_wait_a_commit_that_fails_is_undone_and_the_next_transaction_is_told_of_work) {
    int told = 0;
    int undone = 0;

    for (uint64_t nth = 1; nth <= 8; nth++) {
        lsm_db *db;
        int rc;

        disk = crash_disk_new();
        db = open_on(disk, LSM_SAFETY_FULL);
        set(db, 0, LSM_CONFIG_AUTOFLUSH);
        db_let_work_errors_wait(db);
        crash_disk_fail_at(disk, CRASH_CALL_WRITE, nth, LSM_IOERR, false);
        rc = lsm_begin(db, 1);
        if (rc == LSM_OK) rc = put_sized(db, "a", 20000);
        if (rc == LSM_OK) rc = lsm_commit(db, 0);
        else CHECK_OK(lsm_rollback(db, 0));
        crash_disk_fail_at(disk, CRASH_CALL_WRITE, 0, 0, false);
        CHECK_EQ_INT(size_of(db, "a"), rc == LSM_OK ? 20000 : -1);
        if (rc != LSM_OK) undone++;
        if (rc == LSM_OK && put(db, "b", "1") != LSM_OK) {
            told++;
            CHECK_EQ_INT(size_of(db, "b"), -1);
        }
        CHECK_OK(put(db, "b", "1"));
        CHECK_EQ_INT(size_of(db, "b"), 1);
        done_with(disk, db);
    }
    CHECK(told > 0);
    CHECK(undone > 0);
}

/* Each growth of a transaction does some work; the change that pays for it is made whether that succeeds or not. */
TEST(where_errors_of_work_wait_a_change_is_made_or_fails) {
    static char value[3000];
    lsm_db *db;
    int told;

    disk = crash_disk_new();
    db = open_on(disk, LSM_SAFETY_NORMAL);
    set(db, 32, LSM_CONFIG_AUTOFLUSH);
    set(db, 0, LSM_CONFIG_USE_LOG);
    set(db, 0, LSM_CONFIG_AUTOWORK);
    db_let_work_errors_wait(db);
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 120; i++) {
        char key[16];
        int size = snprintf(key, sizeof key, "a%05d", i);
        if (i < 100 && i % 10 == 9) CHECK_OK(lsm_flush(db));
        CHECK_OK(lsm_insert(db, key, size, value, sizeof value));
    }
    set(db, 1, LSM_CONFIG_AUTOWORK);
    CHECK_OK(lsm_begin(db, 1));
    for (int i = 0; i < 200; i++) {
        char key[16];
        int size = snprintf(key, sizeof key, "k%05d", i);
        crash_disk_fail_at(disk, CRASH_CALL_WRITE, 1, LSM_IOERR, false);
        CHECK_OK(lsm_insert(db, key, size, value, sizeof value));
    }
    crash_disk_fail_at(disk, CRASH_CALL_WRITE, 0, 0, false);
    told = db->work_error.code;
    CHECK_OK(lsm_commit(db, 0));
    CHECK_RC(told, LSM_IOERR);
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%05d", i);
        CHECK_EQ_INT(size_of(db, key), (int)sizeof value);
    }
    done_with(disk, db);
}

TEST(an_error_of_work_is_forgotten_when_the_work_was_done_after_all) {
    int kept = 0;

    for (uint64_t nth = 1; nth <= 8; nth++) {
        lsm_db *db;

        disk = crash_disk_new();
        db = open_on(disk, LSM_SAFETY_FULL);
        set(db, 0, LSM_CONFIG_AUTOFLUSH);
        db_let_work_errors_wait(db);
        crash_disk_fail_at(disk, CRASH_CALL_WRITE, nth, LSM_IOERR, false);
        if (lsm_begin(db, 1) != LSM_OK || put_sized(db, "a", 20000) != LSM_OK) CHECK_OK(lsm_rollback(db, 0));
        (void)lsm_commit(db, 0);
        crash_disk_fail_at(disk, CRASH_CALL_WRITE, 0, 0, false);
        if (db->work_error.code != LSM_OK) kept++;
        if (nth % 2) CHECK_OK(lsm_flush(db));
        else CHECK_OK(lsm_work(db, 2, -1, NULL));
        CHECK_OK(put(db, "b", "1"));
        done_with(disk, db);
    }
    CHECK(kept > 0);
}

static void count_message(void *context, int rc, const char *text) {
    CHECK_RC(rc, LSM_IOERR);
    CHECK(strstr(text, PATH) != NULL);
    *(int *)context += 1;
}

TEST(DF_34_a_last_close_that_cannot_checkpoint_says_so_and_keeps_the_log) {
    int messages = 0;
    lsm_db *db;

    disk = crash_disk_new();
    db = open_on(disk, LSM_SAFETY_NORMAL);
    CHECK_OK(put(db, "a", "1"));
    crash_disk_fail_at(disk, CRASH_CALL_SYNC, 1, LSM_IOERR, true);
    lsm_config_log(db, count_message, &messages);
    CHECK_OK(lsm_close(db));
    CHECK(messages > 0);
    crash_disk_fail_at(disk, CRASH_CALL_SYNC, 0, 0, false);
    db = open_on(disk, LSM_SAFETY_NORMAL);
    CHECK_EQ_INT(size_of(db, "a"), 1);
    done_with(disk, db);
}

/* The first checkpoint is torn at each byte; the log beside it makes the file an empty database. */
TEST(DF_19_a_torn_first_checkpoint_is_no_damage) {
    for (size_t kept = 0; kept < 200; kept++) {
        struct crash_disk *survivor;
        uint8_t zeros[4096] = {0};
        lsm_db *db, *again;

        disk = crash_disk_new();
        db = open_on(disk, LSM_SAFETY_NORMAL);
        CHECK_OK(put(db, "a", "1"));
        flush_and_checkpoint(db);
        survivor = crash_disk_power_cut(disk, CRASH_LOSE_ALL, 1);
        crash_disk_damage(survivor, PATH, kept, zeros, sizeof zeros - 30 - kept);
        again = open_on(survivor, LSM_SAFETY_FULL);
        CHECK_EQ_INT(size_of(again, "a"), 1); /* the log was made durable first */
        done_with(survivor, again);
        done_with(disk, db);
    }
}

/* The same when nothing was logged: an empty log is as good as none, so there is a byte in it. */
TEST(DF_19_a_torn_first_checkpoint_beside_an_unused_log_is_no_damage) {
    for (size_t kept = 0; kept < 200; kept++) {
        struct crash_disk *survivor;
        uint8_t zeros[4096] = {0};
        lsm_db *db, *again;

        disk = crash_disk_new();
        db = open_on(disk, LSM_SAFETY_NORMAL);
        set(db, 0, LSM_CONFIG_USE_LOG);
        CHECK_OK(put(db, "a", "1"));
        set(db, 1, LSM_CONFIG_USE_LOG);
        flush_and_checkpoint(db);
        survivor = crash_disk_power_cut(disk, CRASH_LOSE_ALL, 1);
        crash_disk_damage(survivor, PATH, kept, zeros, sizeof zeros - 30 - kept);
        again = open_on(survivor, LSM_SAFETY_FULL); /* and not LSM_CORRUPT */
        CHECK_OK(put(again, "b", "22"));
        done_with(survivor, again);
        done_with(disk, db);
    }
}

TEST_MAIN()
