/*
** log_model_test.c — random histories of transactions against their trace, crashes at every turn.
**
** Small and large records, nested savepoints, full rollbacks, both alignments, checkpoints that
** free log space (so that the log wraps and skips), failing calls. After each step a copy of the
** file is recovered from the newest checkpoint: exactly what was committed since, or with one
** failed commit more.
*/
#include "support/log_world.h"

static void random_record(struct log_world *w, int *rc) {
    static const uint32_t bounds[] = {2, 40, 400, 4000, 36000, 90000};
    uint8_t key[40];
    uint32_t kind = test_random_below(10);
    struct slice first = {key, test_random_below(test_random_below(4) ? 40 : 3)};

    test_random_bytes(key, sizeof key);
    if (kind < 7) {
        uint32_t bound = bounds[test_random_below(6)];
        uint32_t size = test_random_below(bound);
        uint8_t *value = malloc(size + 1);
        if (test_random_below(2)) test_random_bytes(value, size);
        else memset(value, (int)kind, size); /* looks like records */
        *rc = log_world_try_put(w, first, (struct slice){value, size});
        free(value);
    } else if (kind < 9) {
        *rc = log_world_try_delete(w, first);
    } else {
        *rc = log_world_try_range(w, first, (struct slice){key, first.size / 2});
    }
}

static void random_transaction(struct log_world *w, bool failures) {
    bool aligned = test_random_below(3) == 0;
    int level = 0;
    uint32_t steps = test_random_below(test_random_below(4) ? 6 : 40);
    int rc;

    if (failures) {
        static const enum memory_call kinds[] = {MEMORY_WRITE, MEMORY_WRITE, MEMORY_SYNC,
                                                 MEMORY_MALLOC};
        memory_env_fail(&w->m, kinds[test_random_below(4)], 1 + test_random_below(12), LSM_IOERR);
        w->m.torn = test_random_below(2);
    }
    rc = log_world_try_begin(w, aligned);
    if (rc != LSM_OK) goto failed;
    if (test_random_below(4) == 0) w->reclaim = (struct log_reclaim){0, 0}; /* somebody reads it */
    while (steps-- > 0) {
        switch (test_random_below(12)) {
            case 0:
            case 1:
                if (level < LOG_WORLD_LEVELS) log_world_mark(w, level++);
                break;
            case 2:
                if (level > 0) {
                    level = 1 + (int)test_random_below((uint32_t)level);
                    log_world_return(w, level - 1);
                }
                break;
            case 3:
                if (level > 0) level--;
                break;
            default:
                random_record(w, &rc);
                if (rc != LSM_OK) goto failed;
                break;
        }
    }
    if (test_random_below(5) == 0) {
        if (test_random_below(3) == 0) log_world_check(w); /* died in the middle */
        log_world_rollback(w);
        goto done;
    }
    rc = log_world_try_commit(w, aligned && test_random_below(2));
    CHECK(rc == LSM_OK || failures);
    goto done;
failed:
    CHECK(failures);
    log_world_rollback(w);
done:
    memory_env_no_failure(&w->m);
    /* A reclaim that was withheld comes back. */
    if (w->checkpoint_id > 0 && w->reclaim.snapshot_id == 0) {
        w->reclaim = (struct log_reclaim){w->checkpoint_id, w->checkpoint.field >> 1};
    }
}

static void random_history(bool failures, int rounds, int *wraps, int *skips) {
    struct log_world w;

    log_world_open(&w);
    for (int round = 0; round < rounds; round++) {
        int64_t region2 = w.state.regions[2].start;
        TEST_NOTE("round %d", round);
        random_transaction(&w, failures && test_random_below(3) == 0);
        if (w.state.regions[2].start < region2) ++*wraps;
        if (w.state.regions[1].end != 0 && w.state.regions[2].start > region2) ++*skips;
        if (test_random_below(4) == 0) log_world_check(&w);
        if (w.doubt_count == 0 && test_random_below(12) == 0) {
            log_world_checkpoint(&w);
            log_world_check(&w);
        }
    }
    log_world_check(&w);
    log_world_close(&w);
}

TEST(every_crash_recovers_exactly_the_committed_transactions) {
    int wraps = 0, skips = 0;

    for (int i = 0; i < 12; i++) random_history(false, 150, &wraps, &skips);
    CHECK(wraps > 5);
    CHECK(skips > 0);
}

TEST(failing_calls_never_lose_or_split_a_transaction) {
    int wraps = 0, skips = 0;

    for (int i = 0; i < 12; i++) random_history(true, 150, &wraps, &skips);
}

/* Each engine start is a recovery: the state comes from there and the log goes on. */
TEST(generations_of_crash_and_recovery_continue_one_chain) {
    struct log_world w;

    log_world_open(&w);
    for (int generation = 0; generation < 40; generation++) {
        struct memory_file *file;
        struct result_of_recovery {
            struct trace trace;
            struct log_state state;
            bool restarted;
            uint64_t commits;
        } r;
        for (int i = 0; i < 8; i++) random_transaction(&w, false);
        if (test_random_below(3) == 0) log_world_checkpoint(&w);
        for (int i = 0; i < 3; i++) random_transaction(&w, false);
        file = log_world_file(&w);
        CHECK_OK(recover_bytes(file->data, file->size, &w.checkpoint, false, &r.trace, &r.state,
                               &r.restarted, &r.commits));
        CHECK_EQ_BYTES(r.trace.data, r.trace.size, w.committed.data + w.checkpoint_trace,
                       w.committed.size - w.checkpoint_trace);
        trace_free(&r.trace);
        if (r.commits == 0 && r.restarted) {
            /* Found nothing at the end: the new log starts at 0 with the same sum. */
            w.checkpoint.field = 0;
            if (w.checkpoint_id > 0) w.reclaim.offset = 0;
        }
        w.state = r.state;
        w.state.reclaim_id = w.checkpoint_id;
        log_writer_release(&w.writer);
        log_writer_init(&w.writer, &w.m.env, LOG_NAME);
    }
    log_world_check(&w);
    log_world_close(&w);
}

TEST_MAIN()
