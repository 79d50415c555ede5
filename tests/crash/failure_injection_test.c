/*
** failure_injection_test.c — each call of each kind fails in turn, and life goes on.
**
** A mixed workload runs on a simulated disk. Then again, once for each allocation, read, write,
** sync, open, lock and so on, with that one failing: once only, or from then on. What was
** acknowledged stays, what failed has no effect or, where the interface says so, its whole effect;
** nothing leaks; the connection works on; the next open finds it all.
**
** LSM_FAIL_STRIDE   try every n-th call only (default: such that the test takes some seconds; 1 =
** all)
*/
#include "support/api_model.h"
#include "support/crash_disk.h"

#define PATH "/disk/failures.lsm"

static struct {
    struct crash_disk *disk;
    lsm_db *db;
    struct model_state now;       /* acknowledged */
    bool failing;                 /* some call may fail now */
    enum crash_call kind;
    int code;
    bool for_ever;
} run;

static int number_from(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text && *text ? atoi(text) : otherwise;
}

static void config(int verb, int value) {
    CHECK_OK(lsm_config(run.db, verb, &value));
}

static int open_database(void) {
    int rc = lsm_new(crash_disk_env(run.disk), &run.db);

    if (rc != LSM_OK) {
        CHECK_RC(rc, LSM_NOMEM);
        CHECK(run.db == NULL);
        return rc;
    }
    lsm_config_log(run.db, NULL, NULL);
    config(LSM_CONFIG_PAGE_SIZE, 512);
    config(LSM_CONFIG_BLOCK_SIZE, 64);
    config(LSM_CONFIG_AUTOFLUSH, 8);
    config(LSM_CONFIG_AUTOCHECKPOINT, 16);
    config(LSM_CONFIG_AUTOMERGE, 2);
    config(LSM_CONFIG_SAFETY, LSM_SAFETY_FULL);
    config(LSM_CONFIG_MMAP, 0);
    return lsm_open(run.db, PATH);
}

/* The content is as acknowledged, or (if not NULL) as after the commit that returned an error: work
** that follows a commit may fail, and then it is committed all the same. */
static void settle(const struct model_state *maybe) {
    struct model_state found;
    int rc;

    if (!model_read(run.db, &found, &rc)) TEST_FAIL("cannot be read: %d", rc);
    if (maybe && memcmp(&found, maybe, sizeof found) == 0) run.now = *maybe;
    for (int i = 0; i < MODEL_KEYS; i++) {
        CHECK_MSG(found.value[i] == run.now.value[i], "key %d has value %u, expected %u", i,
                  found.value[i], run.now.value[i]);
    }
}

/* A failing call while a failure is due; the failure itself is over afterwards unless it is for
** ever. */
static bool ok(int rc) {
    CHECK_MSG(rc == LSM_OK || run.failing, "a call returned %d without a cause", rc);
    CHECK_MSG(rc != LSM_MISUSE && rc != LSM_CORRUPT && rc != LSM_MISMATCH, "a call returned %d",
              rc);
    return rc == LSM_OK;
}

static void commit_result(int rc, const struct model_state *after) {
    if (ok(rc)) {
        run.now = *after;
    } else {
        if (run.for_ever) crash_disk_fail_at(run.disk, run.kind, 0, 0, false);
        settle(after);
        if (run.for_ever) crash_disk_fail_at(run.disk, run.kind, 1, run.code, true);
    }
}

static void one_write(void) {
    struct model_state after = run.now;
    int key = (int)test_random_below(MODEL_KEYS);
    int rc;

    if (test_random_below(4)) {
        uint32_t no = model_new_value();
        after.value[key] = no;
        rc = model_insert(run.db, key, no);
    } else {
        int high = key + 12 < MODEL_KEYS ? key + 12 : MODEL_KEYS - 1;
        model_delete_range(&after, key, high);
        rc = lsm_delete_range(run.db, model.bytes[key], model.size[key], model.bytes[high],
                              model.size[high]);
    }
    commit_result(rc, &after);
}

static void one_transaction(void) {
    struct model_state after = run.now;
    int rc = lsm_begin(run.db, 1);

    if (!ok(rc)) return;
    for (int i = 0; i < 12 && rc == LSM_OK; i++) {
        int key = (int)test_random_below(MODEL_KEYS);
        uint32_t no = model_new_value();
        if (i == 4) rc = lsm_begin(run.db, 2);
        if (rc == LSM_OK && i == 8) {
            rc = lsm_rollback(run.db, 2);
            break;
        }
        if (rc == LSM_OK) rc = model_insert(run.db, key, no);
        if (rc == LSM_OK && i < 4) after.value[key] = no;
    }
    if (ok(rc)) {
        commit_result(lsm_commit(run.db, 0), &after);
    } else {
        (void)!lsm_rollback(run.db, 0);
    }
}

/* With cursors open over writes. */
static void one_scan(void) {
    lsm_cursor *cursor = NULL;
    int rc = lsm_csr_open(run.db, &cursor);
    int key = (int)test_random_below(MODEL_KEYS);

    if (!ok(rc)) {
        CHECK(cursor == NULL);
        return;
    }
    rc = test_random_below(2) ? lsm_csr_first(cursor)
                              : lsm_csr_seek(cursor, model.bytes[key], model.size[key],
                                             LSM_SEEK_GE);
    for (int i = 0; i < 8 && ok(rc) && lsm_csr_valid(cursor); i++) {
        const void *bytes;
        int size;
        ok(lsm_csr_key(cursor, &bytes, &size));
        ok(lsm_csr_value(cursor, &bytes, &size));
        if (i == 3) one_write();
        rc = lsm_csr_next(cursor);
    }
    ok(lsm_csr_seek(cursor, model.bytes[key], model.size[key], LSM_SEEK_LE));
    ok(lsm_csr_seek(cursor, model.bytes[key], model.size[key], LSM_SEEK_EQ));
    CHECK_OK(lsm_csr_close(cursor));
}

static void one_question(void) {
    static const int verbs[] = {LSM_INFO_DB_STRUCTURE, LSM_INFO_LOG_STRUCTURE, LSM_INFO_FREELIST};
    char *text = NULL;
    int old_kb, live_kb;

    for (int i = 0; i < 3; i++) {
        text = NULL;
        ok(lsm_info(run.db, verbs[i], &text));
        lsm_free(lsm_get_env(run.db), text);
    }
    ok(lsm_info(run.db, LSM_INFO_TREE_SIZE, &old_kb, &live_kb));
    ok(lsm_info(run.db, LSM_INFO_CHECKPOINT_SIZE, &old_kb));
}

static void workload(uint64_t seed) {
    test_state.random_state = seed;
    model_make_keys();
    model.large_percent = 10;
    if (!ok(open_database())) return;
    for (int i = 0; i < 26; i++) {
        switch (i % 13) {
        case 2: case 6: one_transaction(); break;
        case 3: one_scan(); break;
        case 5: one_question(); break;
        case 7: ok(lsm_flush(run.db)); break;
        case 8: ok(lsm_work(run.db, 2, 20, NULL)); break;
        case 9: ok(lsm_checkpoint(run.db, NULL)); break;
        case 10: ok(lsm_set_user_version(run.db, (unsigned)i)); break;
        case 11:
            if (i > 13) break;
            CHECK_OK(lsm_close(run.db));
            run.db = NULL;
            if (!ok(open_database())) return;
            break;
        default: one_write(); break;
        }
    }
}

static void disarm(void) {
    for (int kind = 0; kind < CRASH_CALL_KINDS; kind++) {
        crash_disk_fail_at(run.disk, (enum crash_call)kind, 0, 0, false);
    }
    crash_disk_half_write_at(run.disk, 0);
    run.failing = false;
}

static void check_afterwards(void) {
    struct crash_disk *survivor;
    lsm_db *db;

    disarm();
    if (run.db == NULL || lsm_begin(run.db, 0) == LSM_MISUSE || !ok(lsm_commit(run.db, 0))) return;
    /* 1. The connection works, if it is open (a failed open has left it closed). */
    if (lsm_info(run.db, LSM_INFO_NWRITE, &(int){0}) == LSM_MISUSE) {
        CHECK_OK(lsm_open(run.db, PATH));
    }
    settle(NULL);
    if (run.kind == CRASH_CALL_SYNC) {
        /* What the sync did not write is lost to the disk: only recovery can begin anew. */
        CHECK_OK(lsm_close(run.db));
        CHECK_OK(open_database());
        settle(NULL);
    }
    for (int i = 0; i < 3; i++) one_write();
    model_expect(run.db, &run.now);
    /* 2. What is acknowledged survives a loss of power. */
    survivor = crash_disk_power_cut(run.disk, CRASH_LOSE_ALL, 1);
    CHECK_OK(lsm_new(crash_disk_env(survivor), &db));
    CHECK_OK(lsm_open(db, PATH));
    model_expect(db, &run.now);
    CHECK_OK(lsm_close(db));
    crash_disk_free(survivor);
}

static void finish(void) {
    check_afterwards();
    CHECK_OK(lsm_close(run.db));
    run.db = NULL;
    CHECK_EQ_UINT(crash_disk_live_blocks(run.disk), 0);
    CHECK_EQ_UINT(crash_disk_open_files(run.disk), 0);
    /* 3. The next open finds all of it. */
    CHECK_OK(open_database());
    settle(NULL);
    CHECK_OK(lsm_close(run.db));
    run.db = NULL;
    CHECK_EQ_UINT(crash_disk_live_blocks(run.disk), 0);
    crash_disk_free(run.disk);
}

static void start(void) {
    memset(&run, 0, sizeof run);
    run.disk = crash_disk_new();
}

static void fail_each(enum crash_call kind, int code, int default_runs) {
    uint64_t seed = test_random(), next = test_random();
    uint64_t calls, stride;

    start();
    workload(seed);
    calls = crash_disk_calls(run.disk, kind);
    finish();
    stride = calls / (uint64_t)default_runs + 1;
    stride = (uint64_t)number_from("LSM_FAIL_STRIDE", (int)stride);
    for (uint64_t n = 1 + seed % stride; n <= calls; n += stride) {
        for (int for_ever = 0; for_ever <= 1; for_ever++) {
            TEST_NOTE("kind %d, call %d of %d, %s, workload %" PRIu64, (int)kind, (int)n,
                      (int)calls, for_ever ? "for ever" : "once", seed);
            start();
            run.failing = true;
            run.kind = kind;
            run.code = code;
            run.for_ever = for_ever;
            crash_disk_fail_at(run.disk, kind, n, code, for_ever);
            workload(seed);
            finish();
        }
    }
    test_state.random_state = next;
}

TEST(each_allocation_fails_in_turn) {
    fail_each(CRASH_CALL_MALLOC, LSM_NOMEM, 160);
}

TEST(each_write_fails_in_turn) {
    fail_each(CRASH_CALL_WRITE, LSM_IOERR, 60);
    fail_each(CRASH_CALL_WRITE, LSM_FULL, 20);
}

TEST(each_read_fails_in_turn) {
    fail_each(CRASH_CALL_READ, LSM_IOERR, 60);
}

TEST(each_sync_fails_in_turn) {
    fail_each(CRASH_CALL_SYNC, LSM_IOERR, 60);
    fail_each(CRASH_CALL_SYNC_DIRECTORY, LSM_IOERR, 10);
}

TEST(each_open_and_unlink_and_truncation_fails_in_turn) {
    fail_each(CRASH_CALL_OPEN, LSM_IOERR, 20);
    fail_each(CRASH_CALL_UNLINK, LSM_IOERR, 10);
    fail_each(CRASH_CALL_TRUNCATE, LSM_IOERR, 10);
    fail_each(CRASH_CALL_RESERVE, LSM_IOERR, 10);
}

TEST(each_lock_fails_in_turn) {
    fail_each(CRASH_CALL_LOCK, LSM_IOERR, 20);
}

TEST(each_write_stores_half_in_turn) {
    uint64_t seed = test_random();

    for (uint64_t n = 1; n <= 60; n++) {
        TEST_NOTE("half of write %d, workload %" PRIu64, (int)n, seed);
        start();
        run.failing = true;
        crash_disk_half_write_at(run.disk, n);
        workload(seed);
        finish();
    }
}

TEST_MAIN()
