/*
** log_writer_test.c — the bytes a transaction leaves in the file, and what each way of failing
** leaves.
*/
#include "support/log_world.h"

/* -------------------------------------------------------------------------- worked examples -- */

TEST(a_small_log_is_the_worked_example_byte_for_byte) {
    static const uint8_t expected[] = {
        0x06, 0x01, 0x01, 0x6b, 0x76, 0x03, 0x6b, 0x01, 0x1c, 0x06, 0x6b, 0x01, 0x35, 0xaa, 0x08,
        0x01, 0x6b, 0x03, 0xd9, 0x6d, 0x52, 0xb8, 0x44, 0x6e, 0x88, 0x62, 0x0a, 0x01, 0x01, 0x61,
        0x62, 0x03, 0x7e, 0xdc, 0xdc, 0x24, 0xc3, 0x4b, 0x67, 0xe8, 0x06, 0x01, 0x01, 0x78, 0x31,
        0x06, 0x01, 0x00, 0x7a, 0x03, 0x37, 0x9e, 0xfb, 0xb7, 0xb5, 0x14, 0xae, 0xe2, 0x03, 0xec,
        0xb3, 0xaa, 0x9c, 0xa1, 0xc8, 0x59, 0x7e};
    struct log_world w;

    log_world_open(&w);
    log_world_begin(&w, false);
    log_world_put(&w, "k", "v");
    log_world_commit(&w, false);
    log_world_begin(&w, false);
    CHECK_OK(log_world_try_delete(&w, text("k")));
    log_world_commit(&w, false);
    log_world_begin(&w, false);
    CHECK_OK(log_world_try_range(&w, text("a"), text("b")));
    log_world_commit(&w, false);
    log_world_begin(&w, false);
    log_world_put(&w, "x", "1");
    log_world_mark(&w, 2);
    log_world_put(&w, "y", "2");
    log_world_return(&w, 2);
    log_world_put(&w, "z", "");
    log_world_commit(&w, false);
    log_world_begin(&w, false);
    log_world_commit(&w, false);
    CHECK_EQ_BYTES(log_world_file(&w)->data, log_world_file(&w)->size, expected, sizeof expected);
    CHECK_EQ_INT(w.m.count[MEMORY_WRITE], 5);
    CHECK_EQ_INT(w.m.count[MEMORY_SYNC], 0);
    CHECK_EQ_INT(w.m.count[MEMORY_OPEN], 1);
    log_world_check(&w);
    log_world_close(&w);
}

TEST(a_full_commit_ends_with_a_sector_as_in_the_worked_example) {
    static const uint8_t commit[] = {0x03, 0x5a, 0x2b, 0x3a, 0xf3, 0xd4, 0xdb, 0xdf, 0xde};
    struct log_world w;
    const uint8_t *data;

    log_world_open(&w);
    log_world_begin(&w, true);
    log_world_put(&w, "k", "v");
    log_world_commit(&w, true);
    data = log_world_file(&w)->data;
    CHECK_EQ_BYTES(data, 10, "\x06\x01\x01kv\x02\xc8\x2b\x2b\x2b", 10);
    CHECK_EQ_BYTES(data + 207, 3, "\x02\xc8\x2b", 3);
    CHECK_EQ_BYTES(data + 0x199, 3, "\x02\x5c\x2b", 3);
    CHECK_EQ_BYTES(data + 0x1f7, 9, commit, 9);
    CHECK_EQ_INT(w.state.regions[2].end, 512);
    log_world_check(&w);
    log_world_close(&w);
}

TEST(a_big_value_is_summed_and_written_as_in_the_worked_example) {
    struct log_world w;
    const uint8_t *data;

    log_world_open(&w);
    log_world_begin(&w, false);
    log_world_fill(&w, "a", '1', 20);
    log_world_fill(&w, "b", '2', 40000);
    log_world_put(&w, "c", "3");
    log_world_commit(&w, false);
    data = log_world_file(&w)->data;
    CHECK_EQ_BYTES(data, 5, "\x06\x01\x14" "a1", 5);
    CHECK_EQ_BYTES(data + 0x18, 15,
                   "\x07\x01\xf9\x93\x50\x28\xa5\xc5\x68\x7f\x95\x63\x1a" "b2", 15);
    CHECK_EQ_BYTES(data + 0x9c66, 13, "\x07\x01\x01\xb9\x4b\xfd\x10\x07\xe7\xc1\xc8" "c3", 13);
    CHECK_EQ_BYTES(data + 0x9c73, 9, "\x03\xc1\x36\xf2\x3b\xc9\x1e\xb4\x03", 9);
    CHECK_EQ_UINT(log_world_file(&w)->size, 40060);
    CHECK_EQ_INT(w.m.count[MEMORY_WRITE], 3);
    log_world_check(&w);
    log_world_close(&w);
}

TEST(wrap_and_skip_are_those_of_the_worked_example) {
    struct log_world w;
    const uint8_t *data;
    char key[16];

    log_world_open(&w);
    w.state.regions[2].end = 203600;
    w.state.sum0 = 0x8ded41de;
    w.state.sum1 = 0x05f6ba69;
    memory_env_set(&w.m, LOG_NAME, "", 0);
    memory_file_resize(log_world_file(&w), 203600);
    w.reclaim = (struct log_reclaim){11, 186294};

    log_world_begin(&w, false);
    log_world_put(&w, "w0", "1");
    log_world_commit(&w, false);
    data = log_world_file(&w)->data;
    CHECK_EQ_BYTES(data + 203600, 8, "\x02\x04\x00\x00\x00\x00\x04\x00", 8);
    CHECK_EQ_BYTES(data, 15, "\x06\x02\x01w01\x03\xa4\xc3\xbd\x01\x3e\xa5\xa8\xe3", 15);
    CHECK_EQ_INT(w.state.regions[0].start, 186294);
    CHECK_EQ_INT(w.state.regions[0].end, 203608);
    CHECK_EQ_INT(w.state.regions[2].start, 0);
    CHECK_EQ_INT(w.state.regions[2].end, 15);

    for (int i = 0; i <= 46; i++) {
        snprintf(key, sizeof key, "g%04d", i);
        log_world_begin(&w, false);
        log_world_fill(&w, key, 'g', 4000);
        log_world_commit(&w, false);
    }
    data = log_world_file(&w)->data;
    CHECK_EQ_BYTES(data + 0x2d230, 9, "\x03\x9c\xed\xe7\xb6\xf9\x67\x63\x2f", 9);
    CHECK_EQ_BYTES(data + 0x2d239, 8, "\x02\x01\x00\x04\xfa\x03\x1b\x59", 8);
    CHECK_EQ_BYTES(data + 0x31b59, 13, "\x07\x05\xf9\x06\xb0\x8e\x26\x03\xfe\x7a\xfd\xb7\xbe", 13);
    CHECK_EQ_BYTES(data + 0x31b59 + 13, 6, "g0046g", 6);
    CHECK_EQ_INT(w.state.regions[0].start, 186294);
    CHECK_EQ_INT(w.state.regions[0].end, 203608);
    CHECK_EQ_INT(w.state.regions[1].start, 0);
    CHECK_EQ_INT(w.state.regions[1].end, 184897);
    CHECK_EQ_INT(w.state.regions[2].start, 203609);
    CHECK_EQ_INT(w.state.regions[2].end, 207636);
    CHECK_EQ_UINT(w.state.sum0, 0x2ae640d7);
    CHECK_EQ_UINT(w.state.sum1, 0x3e35acad);

    /* From the wrap on: the position before it and its sum. */
    w.checkpoint = (struct log_position){2 * 203600 + 1, 0x8ded41de, 0x05f6ba69};
    log_world_check(&w);
    log_world_close(&w);
}

/* ------------------------------------------------------------------------------------- cost -- */

TEST(a_single_put_costs_one_write_and_with_sync_one_sync) {
    struct log_world w;
    long writes, syncs;

    log_world_open(&w);
    for (int full = 0; full < 2; full++) {
        log_world_begin(&w, full);
        log_world_put(&w, "warm", "up");
        log_world_commit(&w, full);
        writes = w.m.count[MEMORY_WRITE];
        syncs = w.m.count[MEMORY_SYNC];
        for (int i = 0; i < 100; i++) {
            log_world_begin(&w, full);
            log_world_put(&w, "key", "value");
            log_world_commit(&w, full);
        }
        CHECK_EQ_INT(w.m.count[MEMORY_WRITE] - writes, 100);
        CHECK_EQ_INT(w.m.count[MEMORY_SYNC] - syncs, full ? 100 : 0);
    }
    CHECK_EQ_INT(w.m.count[MEMORY_SYNC_DIRECTORY], 1);
    log_world_check(&w);
    log_world_close(&w);
}

TEST(no_allocation_is_made_for_a_small_transaction_after_the_first) {
    struct log_world w;
    long allocations;

    log_world_open(&w);
    log_world_begin(&w, false);
    log_world_fill(&w, "k", 'v', 2000);
    log_world_commit(&w, false);
    allocations = w.m.count[MEMORY_MALLOC];
    for (int i = 0; i < 100; i++) {
        log_world_begin(&w, false);
        log_world_put(&w, "key", "value");
        log_world_commit(&w, false);
    }
    CHECK_EQ_INT(w.m.count[MEMORY_MALLOC], allocations);
    log_world_close(&w);
}

TEST(a_huge_value_is_written_in_pieces_and_its_memory_given_back) {
    struct log_world w;

    log_world_open(&w);
    log_world_begin(&w, false);
    log_world_put(&w, "a", "1");
    log_world_fill(&w, "huge", 'h', 10u << 20);
    CHECK(w.writer.pending.capacity <= 4u << 20);
    CHECK(w.m.count[MEMORY_WRITE] >= 9);
    log_world_put(&w, "z", "1");
    log_world_commit(&w, false);
    CHECK(w.writer.pending.capacity <= 1u << 18);
    log_world_check(&w);
    log_world_close(&w);
}

TEST(zeros_are_written_ahead_for_synced_commits_only) {
    struct log_world w;
    struct memory_file *file;
    size_t size;

    log_world_open(&w);
    log_world_begin(&w, false);
    log_world_put(&w, "a", "1");
    log_world_commit(&w, false);
    file = log_world_file(&w);
    CHECK_EQ_UINT(file->size, 14);
    log_world_begin(&w, true);
    log_world_put(&w, "b", "1");
    log_world_commit(&w, true);
    CHECK_EQ_INT(w.state.regions[2].end, 512);
    CHECK(file->size >= 512 + (256u << 10));
    for (size_t i = 512; i < file->size; i++) CHECK_EQ_UINT(file->data[i], 0);
    size = file->size;
    while (w.state.regions[2].end < (int64_t)size - 512) {
        log_world_begin(&w, true);
        log_world_put(&w, "b", "1");
        log_world_commit(&w, true);
        CHECK_EQ_UINT(file->size, size);
    }
    log_world_check(&w);
    log_world_begin(&w, true);
    log_world_fill(&w, "c", '2', 1000);
    log_world_commit(&w, true);
    CHECK(file->size > size);
    log_world_check(&w);
    log_world_close(&w);
}

TEST(no_zeros_are_written_into_or_before_a_region_in_use) {
    struct log_world w;
    uint8_t *before;
    struct memory_file *file;

    log_world_open(&w);
    memory_env_set(&w.m, LOG_NAME, "", 0);
    file = log_world_file(&w);
    memory_file_resize(file, 300000);
    memset(file->data, 0x77, 300000);
    w.state.regions[0] = (struct log_region){150000, 290000};
    before = malloc(300000);
    memcpy(before, file->data, 300000);
    log_world_begin(&w, true);
    log_world_put(&w, "a", "1");
    log_world_commit(&w, true);
    CHECK_EQ_UINT(file->size, 300000);
    CHECK_EQ_BYTES(file->data + 512, 300000 - 512, before + 512, 300000 - 512);
    free(before);
    memory_file_resize(file, 512); /* somebody cut it: still not ours to fill */
    w.writer.file_end_zeroed = 0;
    log_world_begin(&w, true);
    log_world_put(&w, "b", "1");
    log_world_commit(&w, true);
    CHECK_EQ_UINT(file->size, 1024);
    log_world_close(&w);
}

TEST(an_environment_that_cannot_tell_sizes_gets_no_zeros) {
    struct log_world w;

    log_world_open(&w);
    memory_env_make_foreign(&w.m);
    log_world_begin(&w, true);
    log_world_put(&w, "a", "1");
    log_world_commit(&w, true);
    CHECK_EQ_UINT(log_world_file(&w)->size, 512);
    log_world_check(&w);
    log_world_close(&w);
}

TEST(zeros_that_cannot_be_written_do_not_fail_the_commit) {
    struct log_world w;

    log_world_open(&w);
    log_world_begin(&w, true);
    log_world_put(&w, "a", "1");
    memory_env_fail(&w.m, MEMORY_WRITE, 2, LSM_FULL);
    log_world_commit(&w, true);
    log_world_check(&w);
    log_world_begin(&w, true);
    log_world_put(&w, "b", "1");
    log_world_commit(&w, true);
    CHECK_EQ_INT(w.m.count[MEMORY_WRITE], 3); /* not tried again */
    log_world_check(&w);
    log_world_close(&w);
}

TEST(a_sector_size_of_4096_is_respected_and_nonsense_is_512) {
    static const int sizes[][2] = {{4096, 4096}, {512, 512}, {0, 512}, {-5, 512}, {1000, 512}};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct log_world w;
        log_world_open(&w);
        w.m.sector_size = sizes[i][0];
        for (int n = 1; n < 4; n++) {
            log_world_begin(&w, true);
            log_world_put(&w, "a", "1");
            log_world_commit(&w, true);
            CHECK_EQ_INT(w.state.regions[2].end, n * sizes[i][1]);
        }
        log_world_check(&w);
        log_world_close(&w);
    }
}

/* ------------------------------------------------------------------------------- empty keys -- */

/* DF-12 */
TEST(an_empty_key_that_comes_first_in_its_transaction_has_a_pad_in_front) {
    struct log_world w;
    const uint8_t *data;

    log_world_open(&w);
    log_world_begin(&w, false);
    log_world_put(&w, "", "abc");
    log_world_put(&w, "", "d"); /* the second needs none */
    log_world_commit(&w, false);
    data = log_world_file(&w)->data;
    CHECK_EQ_BYTES(data, 14, "\x02\x01\x00\x06\x00\x03" "abc\x06\x00\x01" "d\x03", 14);
    log_world_begin(&w, false);
    log_world_mark(&w, 2);
    log_world_put(&w, "k", "1");
    log_world_return(&w, 2); /* nothing precedes it any more */
    CHECK_OK(log_world_try_delete(&w, text("")));
    log_world_commit(&w, false);
    data = log_world_file(&w)->data;
    CHECK_EQ_BYTES(data + 22, 6, "\x02\x01\x00\x08\x00\x03", 6);
    log_world_begin(&w, false);
    log_world_put(&w, "k", "1");
    log_world_put(&w, "", "2");
    log_world_commit(&w, false);
    data = log_world_file(&w)->data;
    CHECK_EQ_BYTES(data + 36, 10, "\x06\x01\x01k1\x06\x00\x01" "2\x03", 10);
    log_world_check(&w);
    log_world_close(&w);
}

/* ------------------------------------------------------------------------ the unsummed limit -- */

/* Walk the records of a log without jumps: no record without sum ends more than 32768 bytes behind
** the last stored one. */
static void check_limit(struct log_world *w) {
    const uint8_t *data = log_world_file(w)->data;
    const uint8_t *end = data + w->state.regions[2].end;
    const uint8_t *at = data;
    const uint8_t *last_sum = data;

    while (at < end) {
        uint8_t type = *at++;
        uint64_t a = 0, b = 0;
        bool sum = type & 1;
        if (type == LOG_PAD1) continue;
        if (type == LOG_PAD2) {
            at += varint_get(at, end, &a);
            at += a;
            continue;
        }
        if (type != LOG_COMMIT) {
            at += varint_get(at, end, &a);
            if (type < LOG_DELETE || type > LOG_DELETE_SUM) at += varint_get(at, end, &b);
        }
        if (sum) at += 8;
        if (sum) last_sum = at;
        at += a + b;
        if (!sum && at - last_sum > LOG_UNSUMMED_MAX) {
            TEST_FAIL("record ends %td bytes behind the last sum", at - last_sum);
        }
    }
}

/* Recovery of ours takes such a record, that of others ends there: DF-7. */
TEST(at_most_32768_bytes_go_without_a_sum_also_after_a_rollback_to_written_data) {
    for (size_t size = 31900; size < 32900; size += 9) {
        struct log_world w;
        log_world_open(&w);
        log_world_begin(&w, false);
        log_world_fill(&w, "a", '1', 500);
        log_world_mark(&w, 2);
        log_world_fill(&w, "b", '2', 20000);
        log_world_fill(&w, "c", '3', 20000); /* written out */
        log_world_return(&w, 2);
        log_world_fill(&w, "d", '4', size);
        log_world_put(&w, "e", "5");
        log_world_commit(&w, false);
        check_limit(&w);
        log_world_check(&w);
        log_world_close(&w);
    }
}

/* ------------------------------------------------------------------------------- savepoints -- */

TEST(rollbacks_to_every_mark_across_flushes_leave_no_trace) {
    for (int target = 0; target < 6; target++) {
        for (int offset = 0; offset < 9; offset++) { /* every remainder of the groups of 8 */
            struct log_world w;
            log_world_open(&w);
            log_world_begin(&w, false);
            log_world_fill(&w, "p", 'p', (size_t)offset);
            for (int level = 0; level < 6; level++) {
                log_world_mark(&w, level);
                log_world_fill(&w, "k", (char)('a' + level), 9000 + (size_t)level);
            }
            log_world_return(&w, target);
            log_world_return(&w, target); /* the level stays open */
            log_world_put(&w, "after", "1");
            log_world_fill(&w, "after", '2', 25000);
            if (target > 0) log_world_return(&w, target - 1);
            log_world_put(&w, "end", "3");
            log_world_commit(&w, false);
            log_world_check(&w);
            log_world_close(&w);
        }
    }
}

/* Region 2 at the front, region 0 behind it with a live transaction; returns with a transaction
** open. */
static void world_before_a_skip(struct log_world *w, bool aligned) {
    log_world_open(w);
    log_world_begin(w, aligned);
    log_world_fill(w, "old", 'o', 150000);
    log_world_commit(w, false);
    log_world_checkpoint(w);
    log_world_begin(w, aligned); /* reclaim: region 2 starts beyond 131072; the next one wraps */
    log_world_fill(w, "live", 'l', 3000);
    log_world_commit(w, false);
    CHECK(w->state.regions[0].end != 0);
    log_world_check(w);
}

/* DF-6 */
TEST(a_rollback_to_before_a_skip_forgets_the_jump_and_one_behind_it_keeps_it) {
    for (int aligned = 0; aligned < 2; aligned++) {
        for (int level = 0; level < 4; level++) {
            struct log_world w;
            int jumps_after = level < 2 ? 0 : 1;
            world_before_a_skip(&w, aligned);
            log_world_begin(&w, aligned);
            log_world_mark(&w, 0);
            log_world_fill(&w, "x", 'x', 100000);
            log_world_mark(&w, 1);
            CHECK_EQ_UINT(w.writer.jump_from, 0);
            log_world_fill(&w, "y", 'y', 60000);
            CHECK(w.writer.jump_from != 0);
            log_world_mark(&w, 2);
            log_world_fill(&w, "z", 'z', 50000);
            log_world_mark(&w, 3);
            log_world_put(&w, "q", "q");
            log_world_return(&w, level);
            log_world_put(&w, "r", "r");
            log_world_commit(&w, false);
            CHECK_EQ_INT(w.state.regions[1].end != 0, jumps_after);
            log_world_check(&w);
            /* And once more from there: into the skip, or beyond it. */
            log_world_begin(&w, aligned);
            log_world_fill(&w, "s", 's', 140000);
            log_world_commit(&w, false);
            log_world_check(&w);
            log_world_begin(&w, aligned);
            log_world_put(&w, "t", "t");
            log_world_commit(&w, false);
            log_world_check(&w);
            log_world_close(&w);
        }
    }
}

TEST(a_commit_alone_can_cause_the_skip) {
    for (int aligned = 0; aligned < 2; aligned++) {
        int found = 0;
        for (size_t size = 130000; size < 151000; size += aligned ? 97 : 1) {
            struct log_world w;
            if (!aligned && size == 130000) size = 147000 - 100;
            world_before_a_skip(&w, aligned);
            log_world_begin(&w, aligned);
            log_world_fill(&w, "x", 'x', size);
            if (w.writer.jump_from == 0) {
                log_world_commit(&w, false);
                if (w.state.regions[1].end != 0) found++;
                log_world_check(&w);
            } else {
                size = 151000;
                log_world_rollback(&w);
            }
            log_world_close(&w);
        }
        CHECK(found > 0);
    }
}

/* DF-5 */
TEST(a_rollback_after_a_wrap_publishes_the_state_of_before) {
    struct log_world w;

    log_world_open(&w);
    log_world_begin(&w, false);
    log_world_fill(&w, "old", 'o', 150000);
    log_world_commit(&w, false);
    log_world_checkpoint(&w);
    for (int i = 0; i < 3; i++) {
        log_world_begin(&w, false);
        CHECK_EQ_UINT(w.writer.offset, 0); /* wrapped */
        log_world_fill(&w, "x", 'x', i == 1 ? 100000 : 10);
        log_world_rollback(&w); /* compares all of the state */
        log_world_check(&w);
    }
    log_world_begin(&w, false);
    log_world_put(&w, "k", "v");
    log_world_commit(&w, false);
    CHECK_EQ_INT(w.state.regions[2].start, 0);
    log_world_check(&w);
    log_world_close(&w);
}

/* DF-17 */
TEST(a_jump_target_of_two_gigabytes_is_never_written) {
    struct log_world w;

    log_world_open(&w);
    w.state.regions[0] = (struct log_region){200000, 0x80000000ll};
    log_world_begin(&w, false);
    log_world_fill(&w, "x", 'x', 190000);
    CHECK_RC(log_world_try_fill(&w, "y", 'y', 30000), LSM_FULL);
    CHECK_RC(log_world_try_put(&w, text("z"), text("")), LSM_FULL);
    CHECK_RC(log_world_try_commit(&w, false), LSM_FULL);
    log_world_close(&w);
}

TEST(impossible_or_overlapping_regions_are_corrupt) {
    struct log_world w;

    log_world_open(&w);
    w.state.regions[2] = (struct log_region){100, 50};
    CHECK_RC(log_world_try_begin(&w, false), LSM_CORRUPT);
    w.state.regions[2] = (struct log_region){100, 1000};
    w.state.regions[0] = (struct log_region){500, 2000};
    CHECK_RC(log_world_try_begin(&w, false), LSM_CORRUPT);
    w.state.regions[2] = (struct log_region){0, 100};
    log_world_begin(&w, false);
    log_world_rollback(&w);
    log_world_close(&w);
}

/* --------------------------------------------------------------------------------- failures -- */

TEST(after_a_failed_write_only_a_full_rollback_is_accepted) {
    struct log_world w;
    struct log_mark mark;

    log_world_open(&w);
    log_world_begin(&w, false);
    log_world_put(&w, "k", "v");
    log_world_commit(&w, false);
    log_world_begin(&w, false);
    log_writer_mark(&w.writer, &mark);
    memory_env_fail(&w.m, MEMORY_WRITE, 1, LSM_IOERR);
    CHECK_RC(log_world_try_fill(&w, "x", 'x', 50000), LSM_IOERR);
    CHECK_RC(log_world_try_put(&w, text("y"), text("1")), LSM_IOERR);
    CHECK_RC(log_world_try_delete(&w, text("y")), LSM_IOERR);
    CHECK_RC(log_world_try_range(&w, text("a"), text("b")), LSM_IOERR);
    CHECK_RC(log_writer_rollback_to(&w.writer, &mark), LSM_IOERR);
    CHECK_RC(log_world_try_commit(&w, false), LSM_IOERR);
    log_world_rollback(&w); /* allowed once more */
    w.doubt_count = 0;
    log_world_check(&w);
    log_world_begin(&w, false);
    log_world_put(&w, "after", "1");
    log_world_commit(&w, false);
    log_world_check(&w);
    log_world_close(&w);
}

static void one_of_each(struct log_world *w, bool sync, int *rc) {
    *rc = log_world_try_begin(w, sync);
    if (*rc != LSM_OK) return;
    *rc = log_world_try_put(w, text("k"), text("v"));
    if (*rc == LSM_OK) *rc = log_world_try_fill(w, "x", 'x', 40000);
    if (*rc == LSM_OK) *rc = log_world_try_fill(w, "y", 'y', 200000);
    if (*rc == LSM_OK) *rc = log_world_try_delete(w, text("k"));
    if (*rc == LSM_OK) *rc = log_world_try_commit(w, sync);
    else log_world_rollback(w);
}

TEST(whatever_call_fails_the_transaction_is_gone_or_whole_and_the_next_one_is_found) {
    static const enum memory_call kinds[] = {MEMORY_OPEN, MEMORY_WRITE, MEMORY_SYNC,
                                             MEMORY_SYNC_DIRECTORY, MEMORY_MALLOC, MEMORY_SIZE};
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        for (int torn = 0; torn < 2; torn++) {
            for (int wrapped = 0; wrapped < 2; wrapped++) {
                int rc = LSM_IOERR;
                long nth;
                int calm = 0; /* rounds without a failure: a failed extra is no failure */
                for (nth = 1; calm < 3; nth++) {
                    struct log_world w;
                    if (wrapped) world_before_a_skip(&w, true);
                    else log_world_open(&w);
                    w.m.torn = torn;
                    TEST_NOTE("kind %d torn %d wrapped %d nth %ld", (int)kinds[kind], torn, wrapped,
                              nth);
                    memory_env_fail(&w.m, kinds[kind], nth,
                                    kinds[kind] == MEMORY_MALLOC ? LSM_NOMEM : LSM_IOERR);
                    one_of_each(&w, true, &rc);
                    calm = rc == LSM_OK ? calm + 1 : 0;
                    if (rc != LSM_OK) {
                        CHECK_RC(rc, kinds[kind] == MEMORY_MALLOC ? LSM_NOMEM : LSM_IOERR);
                    }
                    memory_env_no_failure(&w.m);
                    log_world_check(&w);
                    log_world_begin(&w, false);
                    log_world_put(&w, "after", "1");
                    log_world_commit(&w, false);
                    log_world_check(&w);
                    log_world_close(&w);
                }
                if (kinds[kind] == MEMORY_WRITE) CHECK(nth > 5);
            }
        }
    }
}

TEST(a_failed_sync_is_a_failed_commit_and_the_next_one_replaces_it) {
    struct log_world w;

    log_world_open(&w);
    log_world_begin(&w, true);
    log_world_put(&w, "a", "1");
    log_world_commit(&w, true);
    log_world_begin(&w, true);
    log_world_put(&w, "b", "1");
    memory_env_fail(&w.m, MEMORY_SYNC, 1, LSM_IOERR);
    CHECK_RC(log_world_try_commit(&w, true), LSM_IOERR); /* compares the state, too */
    CHECK(!w.writer.in_txn);
    log_world_check(&w); /* all of it or nothing */
    log_world_begin(&w, true);
    log_world_put(&w, "c", "1");
    log_world_commit(&w, true);
    log_world_check(&w);
    CHECK_EQ_INT(w.state.regions[2].end, 1024);
    log_world_close(&w);
}

TEST(a_failed_directory_sync_is_tried_again) {
    struct log_world w;

    log_world_open(&w);
    log_world_begin(&w, true);
    log_world_put(&w, "a", "1");
    memory_env_fail(&w.m, MEMORY_SYNC_DIRECTORY, 1, LSM_IOERR);
    CHECK_RC(log_world_try_commit(&w, true), LSM_IOERR);
    CHECK_EQ_UINT(log_world_file(&w)->size, 0); /* no COMMIT that could come back */
    log_world_begin(&w, true);
    log_world_put(&w, "b", "1");
    log_world_commit(&w, true);
    CHECK_EQ_INT(w.m.count[MEMORY_SYNC_DIRECTORY], 2);
    w.doubt_count = 0;
    log_world_check(&w);
    log_world_close(&w);
}

TEST(two_writers_take_turns_on_one_log) {
    struct log_world w;
    struct log_writer second;

    log_world_open(&w);
    log_writer_init(&second, &w.m.env, LOG_NAME);
    for (int i = 0; i < 20; i++) {
        struct log_writer first = w.writer;
        w.writer = second;
        second = first;
        log_world_begin(&w, i % 3 == 0);
        log_world_fill(&w, "k", (char)i, (size_t)i * 100);
        log_world_commit(&w, i % 3 == 0);
        log_world_check(&w);
    }
    log_writer_release(&second);
    log_world_close(&w);
}

TEST_MAIN()
