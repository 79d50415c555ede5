/*
** log_recover_test.c — what recovery makes of logs: worked examples, cuts, flipped bits, forged
** records.
*/
#include "log/log_internal.h"
#include "support/log_world.h"

/* A result of recovery. */
struct result {
    int rc;
    struct trace trace;
    struct log_state state;
    bool restarted;
    uint64_t commits;
};

static const struct log_position at_zero = {0, LOG_SUM0_FIRST, LOG_SUM1_FIRST};

static struct result recover_as(const void *data, size_t size, struct log_position position,
                                bool foreign) {
    struct result r = {0};
    r.rc = recover_bytes(data, size, &position, foreign, &r.trace, &r.state, &r.restarted,
                         &r.commits);
    return r;
}

static struct result recover(const void *data, size_t size, struct log_position position) {
    return recover_as(data, size, position, false);
}

static void check_trace(struct result *r, const struct trace *expected) {
    CHECK_OK(r->rc);
    CHECK_EQ_BYTES(r->trace.data, r->trace.size, expected->data, expected->size);
}

static void check_regions(const struct log_state *state, int64_t a0, int64_t a1, int64_t b0,
                          int64_t b1, int64_t c0, int64_t c1) {
    CHECK_EQ_INT(state->regions[0].start, a0);
    CHECK_EQ_INT(state->regions[0].end, a1);
    CHECK_EQ_INT(state->regions[1].start, b0);
    CHECK_EQ_INT(state->regions[1].end, b1);
    CHECK_EQ_INT(state->regions[2].start, c0);
    CHECK_EQ_INT(state->regions[2].end, c1);
}

/* ----------------------------------------------------------------------- builder of any log -- */

struct builder {
    struct trace file;      /* may have holes of zeros */
    size_t at;
    struct trace span;
    struct checksum sum;
};

static void build_bytes(struct builder *b, const void *data, size_t size) {
    if (b->at + size > b->file.size) {
        size_t more = b->at + size - b->file.size;
        uint8_t *zeros = calloc(1, more);
        trace_add(&b->file, zeros, more);
        free(zeros);
    }
    if (size > 0) memcpy(b->file.data + b->at, data, size);
    b->at += size;
    trace_add(&b->span, data, size);
}

static void build_byte(struct builder *b, int byte) {
    uint8_t value = (uint8_t)byte;
    build_bytes(b, &value, 1);
}

static void build_varint(struct builder *b, uint64_t value) {
    uint8_t bytes[VARINT_SIZE_MAX];
    build_bytes(b, bytes, varint_put(bytes, value));
}

static void build_sum(struct builder *b) {
    size_t whole = b->span.size & ~(size_t)7;
    uint8_t stored[8];
    if (whole > 0) checksum_log_add(&b->sum, b->span.data, whole);
    if (b->span.size > whole) {
        checksum_log_finish(&b->sum, b->span.data + whole, b->span.size - whole);
    }
    put_u32(stored, b->sum.s0);
    put_u32(stored + 4, b->sum.s1);
    build_bytes(b, stored, 8);
    b->span.size = 0;
}

static void build_commit(struct builder *b) {
    build_byte(b, LOG_COMMIT);
    build_sum(b);
}

static void build_put(struct builder *b, const char *key, const char *value, bool sum) {
    build_byte(b, sum ? LOG_WRITE_SUM : LOG_WRITE);
    build_varint(b, strlen(key));
    build_varint(b, strlen(value));
    if (sum) build_sum(b);
    build_bytes(b, key, strlen(key));
    build_bytes(b, value, strlen(value));
}

static void build_jump(struct builder *b, uint64_t target) {
    build_byte(b, LOG_JUMP);
    build_varint(b, target);
    b->at = (size_t)target;
}

static void build_pads(struct builder *b) {
    static const char noise[] = "\x03\x04\x06\xff\x00\x01\x02\x03\x09";
    build_byte(b, LOG_PAD1);
    build_byte(b, LOG_PAD2);
    build_varint(b, 0);
    build_byte(b, LOG_PAD2);
    build_varint(b, 9);
    build_bytes(b, noise, 9);
}

static struct builder build_start(size_t at) {
    return (struct builder){.at = at, .sum = {LOG_SUM0_FIRST, LOG_SUM1_FIRST}};
}

static void build_free(struct builder *b) {
    trace_free(&b->file);
    trace_free(&b->span);
}

static void release(struct result *r) {
    trace_free(&r->trace);
}

/* -------------------------------------------------------------------------- worked examples -- */

static const uint8_t example_a[] = {
    0x06, 0x01, 0x01, 0x6b, 0x76, 0x03, 0x6b, 0x01, 0x1c, 0x06, 0x6b, 0x01, 0x35, 0xaa, 0x08,
    0x01, 0x6b, 0x03, 0xd9, 0x6d, 0x52, 0xb8, 0x44, 0x6e, 0x88, 0x62, 0x0a, 0x01, 0x01, 0x61,
    0x62, 0x03, 0x7e, 0xdc, 0xdc, 0x24, 0xc3, 0x4b, 0x67, 0xe8, 0x06, 0x01, 0x01, 0x78, 0x31,
    0x06, 0x01, 0x00, 0x7a, 0x03, 0x37, 0x9e, 0xfb, 0xb7, 0xb5, 0x14, 0xae, 0xe2, 0x03, 0xec,
    0xb3, 0xaa, 0x9c, 0xa1, 0xc8, 0x59, 0x7e};

static void expect_example_a(struct trace *t, int transactions) {
    if (transactions > 0) {
        trace_operation(t, 'P', text("k"), text("v"));
        trace_add(t, "C", 1);
    }
    if (transactions > 1) {
        trace_operation(t, 'D', text("k"), text(""));
        trace_add(t, "C", 1);
    }
    if (transactions > 2) {
        trace_operation(t, 'R', text("a"), text("b"));
        trace_add(t, "C", 1);
    }
    if (transactions > 3) {
        trace_operation(t, 'P', text("x"), text("1"));
        trace_operation(t, 'P', text("z"), text(""));
        trace_add(t, "C", 1);
    }
    if (transactions > 4) trace_add(t, "C", 1);
}

static const size_t example_a_ends[] = {0, 14, 26, 40, 58, 67};

TEST(the_small_worked_example_is_replayed) {
    struct trace expected = {0};
    struct result r = recover(example_a, sizeof example_a, at_zero);

    expect_example_a(&expected, 5);
    check_trace(&r, &expected);
    CHECK_EQ_UINT(r.commits, 5);
    CHECK(!r.restarted);
    check_regions(&r.state, 0, 0, 0, 0, 0, 67);
    CHECK_EQ_UINT(r.state.sum0, 0xecb3aa9c);
    CHECK_EQ_UINT(r.state.sum1, 0xa1c8597e);
    CHECK_EQ_INT(r.state.reclaim_id, 0);
    release(&r);
    trace_free(&expected);
}

TEST(replay_may_start_at_every_commit) {
    for (int i = 1; i < 5; i++) {
        const uint8_t *sums = example_a + example_a_ends[i] - 8;
        struct log_position position = {2 * example_a_ends[i] + (i & 1), get_u32(sums),
                                        get_u32(sums + 4)};
        struct trace all = {0}, before = {0};
        struct result r = recover(example_a, sizeof example_a, position);
        expect_example_a(&all, 5);
        expect_example_a(&before, i);
        CHECK_EQ_BYTES(r.trace.data, r.trace.size, all.data + before.size, all.size - before.size);
        check_regions(&r.state, 0, 0, 0, 0, (int64_t)example_a_ends[i], 67);
        release(&r);
        trace_free(&all);
        trace_free(&before);
    }
}

TEST(the_worked_example_of_a_full_commit_is_replayed) {
    uint8_t log[512];
    struct trace expected = {0};
    struct result r;

    memset(log, 0x2b, sizeof log);
    memcpy(log, "\x06\x01\x01kv\x02\xc8", 7);
    memcpy(log + 207, "\x02\xc8", 2);
    memcpy(log + 0x199, "\x02\x5c", 2);
    memcpy(log + 0x1f7, "\x03\x5a\x2b\x3a\xf3\xd4\xdb\xdf\xde", 9);
    expect_example_a(&expected, 1);
    r = recover(log, sizeof log, at_zero);
    check_trace(&r, &expected);
    check_regions(&r.state, 0, 0, 0, 0, 0, 512);
    release(&r);
    trace_free(&expected);
}

TEST(the_worked_example_of_a_big_value_is_replayed) {
    uint8_t *log = malloc(40060), *value = malloc(40000);
    struct trace expected = {0};
    struct result r;

    memset(value, '2', 40000);
    memset(log, '2', 40060);
    memcpy(log, "\x06\x01\x14" "a11111111111111111111", 24);
    memcpy(log + 0x18, "\x07\x01\xf9\x93\x50\x28\xa5\xc5\x68\x7f\x95\x63\x1a" "b", 14);
    memcpy(log + 0x9c66, "\x07\x01\x01\xb9\x4b\xfd\x10\x07\xe7\xc1\xc8" "c3", 13);
    memcpy(log + 0x9c73, "\x03\xc1\x36\xf2\x3b\xc9\x1e\xb4\x03", 9);
    trace_operation(&expected, 'P', text("a"), text("11111111111111111111"));
    trace_operation(&expected, 'P', text("b"), (struct slice){value, 40000});
    trace_operation(&expected, 'P', text("c"), text("3"));
    trace_add(&expected, "C", 1);
    for (int foreign = 0; foreign < 2; foreign++) {
        r = recover_as(log, 40060, at_zero, foreign);
        check_trace(&r, &expected);
        check_regions(&r.state, 0, 0, 0, 0, 0, 40060);
        release(&r);
    }
    trace_free(&expected);
    free(log);
    free(value);
}

TEST(the_worked_example_of_wrap_and_skip_is_replayed) {
    struct builder b = build_start(203600);
    struct log_position position = {2 * 203600 + 1, 0x8ded41de, 0x05f6ba69};
    char *value = malloc(4001), key[16];
    struct result r;

    b.sum = (struct checksum){0x8ded41de, 0x05f6ba69};
    memset(value, 'g', 4000);
    value[4000] = 0;
    build_bytes(&b, "\x02\x04\x00\x00\x00\x00\x04\x00", 8);
    b.at = 0;
    build_put(&b, "w0", "1", false);
    build_commit(&b);
    for (int i = 0; i < 46; i++) {
        snprintf(key, sizeof key, "g%04d", i);
        build_put(&b, key, value, false);
        build_commit(&b);
    }
    build_bytes(&b, "\x02\x01\x00\x04\xfa\x03\x1b\x59", 8);
    b.at = 203609;
    build_put(&b, "g0046", value, true);
    build_commit(&b);
    CHECK_EQ_BYTES(b.file.data + 0x31b59 + 5, 8, "\x8e\x26\x03\xfe\x7a\xfd\xb7\xbe", 8);
    r = recover(b.file.data, b.file.size, position);
    CHECK_EQ_UINT(r.commits, 48);
    check_regions(&r.state, 203600, 203608, 0, 184897, 203609, 207636);
    CHECK_EQ_UINT(r.state.sum0, 0x2ae640d7);
    CHECK_EQ_UINT(r.state.sum1, 0x3e35acad);
    release(&r);
    build_free(&b);
    free(value);
}

/* ------------------------------------------------------------------------ where it may start -- */

TEST(no_file_and_an_empty_file_are_nothing_to_replay) {
    struct log_position later = {2 * 5000 + 1, 7, 8};
    struct log_sink sink = {0};
    struct log_state state;
    struct result r;
    bool restarted = true;
    uint64_t commits = 9;

    CHECK_OK(log_recover(lsm_default_env(), NULL, &at_zero, &sink, &state, &restarted, &commits));
    CHECK(!restarted);
    CHECK_EQ_UINT(commits, 0);
    CHECK_EQ_UINT(state.sum0, 1234);
    check_regions(&state, 0, 0, 0, 0, 0, 0);
    r = recover(NULL, 0, later);
    CHECK_OK(r.rc);
    CHECK(r.restarted);
    CHECK_EQ_UINT(r.state.sum0, 7);
    check_regions(&r.state, 0, 0, 0, 0, 0, 0);
    release(&r);
}

TEST(a_log_begun_anew_is_found_at_offset_zero_with_the_sum_of_the_old_position) {
    static const uint64_t offsets[] = {1, 14, 30, 5000, UINT64_MAX >> 1};

    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        struct log_position position = {2 * offsets[i] + 1, 1234, 5678};
        struct trace expected = {0};
        struct result r;
        expect_example_a(&expected, 5);
        for (int foreign = 0; foreign < 2; foreign++) {
            r = recover_as(example_a, sizeof example_a, position, foreign);
            check_trace(&r, &expected);
            CHECK(r.restarted);
            check_regions(&r.state, 0, 0, 0, 0, 0, 67);
            release(&r);
        }
        trace_free(&expected);
    }
}

TEST(a_position_that_leads_nowhere_at_all_gives_an_empty_log_at_zero) {
    struct log_position position = {2 * 30, 77, 78};
    struct result r = recover(example_a, sizeof example_a, position);

    CHECK_OK(r.rc);
    CHECK(r.restarted);
    CHECK_EQ_UINT(r.commits, 0);
    CHECK_EQ_UINT(r.trace.size, 0);
    CHECK_EQ_UINT(r.state.sum0, 77);
    check_regions(&r.state, 0, 0, 0, 0, 0, 0);
    release(&r);
}

/* DF-17 */
TEST(the_jumps_of_the_first_attempt_do_not_count_in_the_second) {
    struct builder b = build_start(0);
    struct log_position position = {2 * 1000, LOG_SUM0_FIRST, LOG_SUM1_FIRST};
    struct result r;

    build_put(&b, "a", "1", false);
    build_jump(&b, 200);
    build_put(&b, "b", "2", false);
    build_jump(&b, 400);
    build_put(&b, "c", "3", false);
    build_commit(&b);
    b.at = 1000;
    build_bytes(&b, "x", 0);
    b.span.size = 0;
    for (int i = 0; i < 3; i++) build_jump(&b, (uint64_t)(1100 + 100 * i)); /* no commit behind */
    build_byte(&b, 0);
    r = recover(b.file.data, b.file.size, position);
    CHECK_EQ_UINT(r.commits, 1);
    CHECK(r.restarted);
    release(&r);
    build_free(&b);
}

/* ------------------------------------------------------------------------------- odd records -- */

TEST(pads_extra_sums_and_jumps_may_stand_between_any_records) {
    struct builder b = build_start(500);
    struct log_position position = {2 * 500 + 1, LOG_SUM0_FIRST, LOG_SUM1_FIRST};
    struct trace expected = {0};
    struct result r;

    build_pads(&b);
    build_put(&b, "a", "one", false);
    build_pads(&b);
    build_put(&b, "b", "", true);
    build_byte(&b, LOG_DELETE_SUM);
    build_varint(&b, 1);
    build_sum(&b);
    build_bytes(&b, "c", 1);
    build_jump(&b, 3); /* at any alignment, without padding */
    build_pads(&b);
    build_byte(&b, LOG_DELETE_RANGE_SUM);
    build_varint(&b, 1);
    build_varint(&b, 2);
    build_sum(&b);
    build_bytes(&b, "dee", 3);
    build_pads(&b);
    build_commit(&b);
    build_pads(&b);
    build_commit(&b);
    build_pads(&b); /* never committed */
    build_put(&b, "z", "z", false);

    trace_operation(&expected, 'P', text("a"), text("one"));
    trace_operation(&expected, 'P', text("b"), text(""));
    trace_operation(&expected, 'D', text("c"), text(""));
    trace_operation(&expected, 'R', text("d"), text("ee"));
    trace_add(&expected, "CC", 2);
    r = recover(b.file.data, b.file.size, position);
    check_trace(&r, &expected);
    CHECK_EQ_UINT(r.commits, 2);
    CHECK_EQ_INT(r.state.regions[0].start, 500);
    CHECK_EQ_INT(r.state.regions[2].start, 3);
    release(&r);
    trace_free(&expected);
    build_free(&b);
}

TEST(a_third_jump_ends_the_log) {
    for (int jumps = 1; jumps < 5; jumps++) {
        struct builder b = build_start(0);
        struct result r;
        build_put(&b, "a", "1", false);
        build_commit(&b);
        for (int i = 0; i < jumps; i++) build_jump(&b, (uint64_t)(100 * (i + 1)));
        build_put(&b, "b", "1", false);
        build_commit(&b);
        r = recover(b.file.data, b.file.size, at_zero);
        CHECK_EQ_UINT(r.commits, jumps <= 2 ? 2 : 1);
        if (jumps > 2) check_regions(&r.state, 0, 0, 0, 0, 0, 14);
        release(&r);
        build_free(&b);
    }
}

/* DF-17 */
TEST(a_jump_to_itself_or_out_of_the_file_ends_the_log) {
    static const uint64_t targets[] = {14, 0, 0x7fffffff, 0x80000000u, 0xffffffffu, 1ull << 40,
                                       UINT64_MAX};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        for (int foreign = 0; foreign < 2; foreign++) {
            struct builder b = build_start(0);
            struct result r;
            build_put(&b, "a", "1", false);
            build_commit(&b);
            build_byte(&b, LOG_JUMP);
            build_varint(&b, targets[i]);
            r = recover_as(b.file.data, b.file.size, at_zero, foreign);
            CHECK_OK(r.rc);
            CHECK(r.commits == 1 || targets[i] == 0);
            CHECK(r.commits >= 1);
            release(&r);
            build_free(&b);
        }
    }
}

/* DF-16 */
TEST(a_length_beyond_the_file_ends_the_log_quickly_and_without_memory) {
    static const struct {
        int type;
        uint64_t first, second;
        bool two;
    } rows[] = {
        {LOG_PAD2, 0x7fffffff, 0, false},     {LOG_PAD2, UINT64_MAX, 0, false},
        {LOG_WRITE, 1 << 30, 5, true},        {LOG_WRITE, 5, 1 << 30, true},
        {LOG_WRITE, 0x80000000u, 0, true},    {LOG_WRITE, UINT64_MAX, UINT64_MAX, true},
        {LOG_WRITE, 16384, 16385, true},      {LOG_WRITE_SUM, 1 << 30, 1 << 30, true},
        {LOG_WRITE_SUM, UINT64_MAX, 1, true}, {LOG_DELETE, 1 << 30, 0, false},
        {LOG_DELETE_SUM, 1 << 30, 0, false},  {LOG_DELETE_RANGE, 1 << 30, 1 << 30, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int foreign = 0; foreign < 2; foreign++) {
            struct builder b = build_start(0);
            struct memory_env m;
            struct os_file file = {0};
            struct log_state state;
            struct trace trace = {0};
            struct log_sink sink = trace_sink(&trace);
            uint64_t commits;
            bool restarted;
            clock_t used;

            /* A valid sum over an impossible length is only found by an attacker; the foreign
            ** environment would have to read it all. */
            if (foreign && (rows[i].type & 1) && rows[i].first < 0x80000000u) continue;
            TEST_NOTE("row %zu foreign %d", i, foreign);
            build_put(&b, "a", "1", false);
            build_commit(&b);
            build_byte(&b, rows[i].type);
            build_varint(&b, rows[i].first);
            if (rows[i].two) build_varint(&b, rows[i].second);
            if (rows[i].type & 1) build_sum(&b);
            memory_env_open(&m);
            if (foreign) memory_env_make_foreign(&m);
            memory_env_set(&m, LOG_NAME, b.file.data, b.file.size);
            CHECK_OK(os_open(&m.env, LOG_NAME, 0, &file));
            used = clock();
            CHECK_OK(log_recover(&m.env, &file, &at_zero, &sink, &state, &restarted, &commits));
            used = clock() - used;
            CHECK_EQ_UINT(commits, 1);
            CHECK_EQ_INT(state.regions[2].end, 14);
            CHECK(used < CLOCKS_PER_SEC / 10); /* it takes longer to pass over a gigabyte of zeros */
            CHECK(m.count[MEMORY_READ] < 4);
            CHECK_EQ_INT(m.count[MEMORY_MALLOC], 1);
            os_close(&file);
            memory_env_close(&m);
            trace_free(&trace);
            build_free(&b);
        }
    }
}

TEST(a_commit_whose_last_sum_bytes_were_zero_survives_their_loss) {
    int found = 0;

    for (int i = 0; i < 255 && found < 1; i++) {
        struct builder b = build_start(0);
        char value[2] = {(char)(1 + i % 255), 0};
        build_put(&b, "a", value, false);
        build_commit(&b);
        if (b.file.data[b.file.size - 1] == 0) {
            struct result r = recover(b.file.data, b.file.size - 1, at_zero);
            CHECK_EQ_UINT(r.commits, 1);
            CHECK_EQ_INT(r.state.regions[2].end, (int64_t)b.file.size);
            release(&r);
            found++;
        }
        build_free(&b);
    }
    CHECK_EQ_INT(found, 1);
}

/* ------------------------------------------------------------------------------------ damage -- */

TEST(a_log_cut_at_any_byte_keeps_the_transactions_before_the_cut) {
    for (size_t size = 0; size <= sizeof example_a; size++) {
        for (int mode = 0; mode < 3; mode++) { /* cut; cut, size unknown; zeros instead */
            uint8_t log[sizeof example_a + 100] = {0};
            struct trace expected = {0};
            struct result r;
            int whole = 0;
            memcpy(log, example_a, size);
            while (whole < 5 && example_a_ends[whole + 1] <= size) whole++;
            expect_example_a(&expected, whole);
            r = recover_as(log, mode == 2 ? sizeof log : size, at_zero, mode == 1);
            check_trace(&r, &expected);
            check_regions(&r.state, 0, 0, 0, 0, 0, (int64_t)example_a_ends[whole]);
            release(&r);
            trace_free(&expected);
        }
    }
}

TEST(a_flipped_bit_drops_its_transaction_and_all_after_it) {
    for (size_t at = 0; at < sizeof example_a; at++) {
        for (int bit = 0; bit < 8; bit++) {
            uint8_t log[sizeof example_a];
            struct trace expected = {0};
            struct result r;
            int whole = 0;
            memcpy(log, example_a, sizeof log);
            log[at] ^= (uint8_t)(1 << bit);
            while (whole < 5 && example_a_ends[whole + 1] <= at) whole++;
            expect_example_a(&expected, whole);
            r = recover(log, sizeof log, at_zero);
            check_trace(&r, &expected);
            release(&r);
            trace_free(&expected);
        }
    }
}

/* A log of both jumps, from the position before the wrap. */
static void world_with_two_jumps(struct log_world *w, bool aligned) {
    log_world_open(w);
    log_world_begin(w, aligned);
    log_world_fill(w, "old", 'o', 140000);
    log_world_commit(w, false);
    log_world_begin(w, aligned);
    log_world_put(w, "between", "1");
    log_world_commit(w, false);
    log_world_checkpoint(w);
    for (int i = 0; i < 20; i++) {
        log_world_begin(w, aligned);
        log_world_fill(w, "key", (char)i, (size_t)(i * 1500));
        if (i % 4 == 1) log_world_fill(w, "another", 'a', 20000);
        log_world_commit(w, false);
        if (w->state.regions[1].end != 0 && i > 16) break;
    }
    CHECK(w->state.regions[0].end != 0);
    CHECK(w->state.regions[1].end != 0);
}

TEST(cuts_zeros_and_flips_in_a_log_with_two_jumps_leave_a_prefix) {
    for (int aligned = 0; aligned < 2; aligned++) {
        struct log_world w;
        struct memory_file *file;
        struct trace *all;
        world_with_two_jumps(&w, aligned);
        log_world_check(&w);
        file = log_world_file(&w);
        all = &w.committed;
        for (int round = 0; round < 400; round++) {
            uint8_t *log = malloc(file->size);
            size_t size = file->size;
            size_t at = test_random_below((uint32_t)size);
            struct result r;
            memcpy(log, file->data, size);
            if (round % 4 == 0) size = at;
            else if (round % 4 == 1) memset(log + at, 0, size - at < 700 ? size - at : 700);
            else log[at] ^= (uint8_t)(1 << test_random_below(8));
            r = recover(log, size, w.checkpoint);
            CHECK_OK(r.rc);
            CHECK(r.trace.size <= all->size - w.checkpoint_trace);
            CHECK_EQ_BYTES(r.trace.data, r.trace.size, all->data + w.checkpoint_trace,
                           r.trace.size);
            CHECK(r.trace.size == 0 || r.trace.data[r.trace.size - 1] == 'C');
            release(&r);
            free(log);
        }
        log_world_close(&w);
    }
}

TEST(garbage_is_no_error) {
    for (int round = 0; round < 3000; round++) {
        size_t size = test_random_below(400);
        uint8_t *log = malloc(size + 1);
        struct log_position position = {test_random_below(500), 1234, 5678};
        struct result r;
        test_random_bytes(log, size);
        for (size_t i = 0; i < size; i++) {
            if (round & 1) log[i] = (uint8_t)(log[i] % 12);
        }
        r = recover_as(log, size, position, round & 2);
        CHECK_OK(r.rc);
        CHECK_EQ_UINT(r.commits, 0);
        release(&r);
        free(log);
    }
}

TEST(pieces_deleted_inserted_or_repeated_leave_a_prefix_or_nothing) {
    for (int round = 0; round < 2000; round++) {
        uint8_t log[3 * sizeof example_a];
        size_t size = sizeof example_a;
        size_t from = test_random_below((uint32_t)size);
        size_t count = 1 + test_random_below((uint32_t)(size - from));
        struct trace all = {0};
        struct result r;
        memcpy(log, example_a, size);
        if (round & 1) {
            memmove(log + from, log + from + count, size - from - count);
            size -= count;
        } else {
            memcpy(log + from + count, example_a + from, size - from);
            size += count;
        }
        expect_example_a(&all, 5);
        r = recover(log, size, at_zero);
        CHECK_OK(r.rc);
        CHECK(r.trace.size <= all.size);
        CHECK_EQ_BYTES(r.trace.data, r.trace.size, all.data, r.trace.size);
        release(&r);
        trace_free(&all);
    }
}

/* ------------------------------------------------------------------------------------ errors -- */

TEST(failed_reads_sizes_and_allocations_are_errors_and_leave_the_outputs_alone) {
    static const enum memory_call kinds[] = {MEMORY_READ, MEMORY_SIZE, MEMORY_MALLOC};
    struct log_world w;
    struct memory_file *source;

    world_with_two_jumps(&w, false);
    source = log_world_file(&w);
    for (size_t kind = 0; kind < 3; kind++) {
        int rc = LSM_IOERR;
        for (long nth = 1; rc != LSM_OK; nth++) {
            struct memory_env m;
            struct os_file file = {0};
            struct trace trace = {0};
            struct log_sink sink = trace_sink(&trace);
            struct log_state state = {.sum0 = 99};
            bool restarted = true;
            uint64_t commits = 99;
            int code = kinds[kind] == MEMORY_MALLOC ? LSM_NOMEM : LSM_IOERR;
            memory_env_open(&m);
            memory_env_set(&m, LOG_NAME, source->data, source->size);
            CHECK_OK(os_open(&m.env, LOG_NAME, 0, &file));
            memory_env_fail(&m, kinds[kind], nth, code);
            rc = log_recover(&m.env, &file, &w.checkpoint, &sink, &state, &restarted, &commits);
            if (rc != LSM_OK) {
                CHECK_RC(rc, code);
                CHECK_EQ_UINT(state.sum0, 99);
                CHECK(restarted);
                CHECK_EQ_UINT(commits, 99);
            } else {
                CHECK(nth > (kinds[kind] == MEMORY_SIZE ? 1 : 2));
            }
            os_close(&file);
            memory_env_close(&m);
            trace_free(&trace);
        }
    }
    log_world_close(&w);
}

static int refuse_range(void *context, struct slice key1, struct slice key2) {
    (void)context, (void)key1, (void)key2;
    return LSM_FULL;
}

TEST(the_code_of_a_sink_ends_recovery) {
    struct memory_env m;
    struct os_file file = {0};
    struct trace trace = {0}, expected = {0};
    struct log_sink sink = trace_sink(&trace);
    struct log_state state;
    bool restarted;
    uint64_t commits;

    sink.remove_range = refuse_range;
    memory_env_open(&m);
    memory_env_set(&m, LOG_NAME, example_a, sizeof example_a);
    CHECK_OK(os_open(&m.env, LOG_NAME, 0, &file));
    CHECK_RC(log_recover(&m.env, &file, &at_zero, &sink, &state, &restarted, &commits), LSM_FULL);
    expect_example_a(&expected, 2);
    CHECK_EQ_BYTES(trace.data, trace.size, expected.data, expected.size);
    os_close(&file);
    memory_env_close(&m);
    trace_free(&trace);
    trace_free(&expected);
}

struct ends {
    uint64_t at[8];
    struct checksum sums[8];
    int count;
};

static int note_end(void *context, uint64_t end, struct checksum sum) {
    struct ends *ends = context;
    ends->at[ends->count] = end;
    ends->sums[ends->count++] = sum;
    return LSM_OK;
}
static int ignore_pair(void *context, struct slice a, struct slice b) {
    (void)context, (void)a, (void)b;
    return LSM_OK;
}
static int ignore_one(void *context, struct slice a) {
    (void)context, (void)a;
    return LSM_OK;
}

TEST(each_commit_is_told_with_its_exact_end_and_sum_or_not_at_all) {
    struct memory_env m;
    struct os_file file = {0};
    struct ends ends = {0};
    struct log_sink sink = {&ends, ignore_pair, ignore_one, ignore_pair, note_end};
    struct log_state state;
    bool restarted;
    uint64_t commits;

    memory_env_open(&m);
    memory_env_set(&m, LOG_NAME, example_a, sizeof example_a);
    CHECK_OK(os_open(&m.env, LOG_NAME, 0, &file));
    CHECK_OK(log_recover(&m.env, &file, &at_zero, &sink, &state, &restarted, &commits));
    CHECK_EQ_INT(ends.count, 5);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ_UINT(ends.at[i], example_a_ends[i + 1]);
        CHECK_EQ_UINT(ends.sums[i].s0, get_u32(example_a + ends.at[i] - 8));
        CHECK_EQ_UINT(ends.sums[i].s1, get_u32(example_a + ends.at[i] - 4));
    }
    sink.commit = NULL;
    CHECK_OK(log_recover(&m.env, &file, &at_zero, &sink, &state, &restarted, &commits));
    CHECK_EQ_UINT(commits, 5);
    os_close(&file);
    memory_env_close(&m);
}

static int damage_file(void *context, struct slice key, struct slice value) {
    struct memory_file *file = context;
    (void)key, (void)value;
    file->data[file->size - 3] ^= 1;
    return LSM_OK;
}

TEST(a_log_that_changes_between_the_passes_is_an_input_error) {
    struct log_world w;
    struct memory_file *log;
    struct os_file file = {0};
    struct log_sink sink = {NULL, damage_file, ignore_one, ignore_pair, NULL};
    struct log_state state;
    bool restarted;
    uint64_t commits;

    log_world_open(&w);
    log_world_begin(&w, false);
    log_world_put(&w, "a", "1");
    log_world_fill(&w, "b", 'b', 200000);
    log_world_commit(&w, false);
    log = log_world_file(&w);
    sink.context = log;
    CHECK_OK(os_open(&w.m.env, LOG_NAME, 0, &file));
    CHECK_RC(log_recover(&w.m.env, &file, &w.checkpoint, &sink, &state, &restarted, &commits),
             LSM_IOERR);
    os_close(&file);
    log_world_close(&w);
}

TEST_MAIN()
