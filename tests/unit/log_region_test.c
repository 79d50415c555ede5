/*
** log_region_test.c — reclaim, wrap and skip as tables: regions in, regions out.
*/
#include "log/log_internal.h"

#include "support/test.h"

static struct log_state regions(int64_t a0, int64_t a1, int64_t b0, int64_t b1, int64_t c0,
                                int64_t c1) {
    return (struct log_state){.regions = {{a0, a1}, {b0, b1}, {c0, c1}}, .sum0 = 1, .sum1 = 2};
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

TEST(reclaiming_gives_up_what_lies_before_the_position) {
    struct log_state state = regions(0, 0, 0, 0, 0, 5000);

    log_state_reclaim(&state, &(struct log_reclaim){11, 3000});
    check_regions(&state, 0, 0, 0, 0, 3000, 5000);
    CHECK_EQ_INT(state.reclaim_id, 11);

    state = regions(200000, 300000, 0, 100000, 300001, 400000);
    log_state_reclaim(&state, &(struct log_reclaim){12, 250000});
    check_regions(&state, 250000, 300000, 0, 100000, 300001, 400000);
    log_state_reclaim(&state, &(struct log_reclaim){13, 50000});
    check_regions(&state, 0, 0, 50000, 100000, 300001, 400000);
    log_state_reclaim(&state, &(struct log_reclaim){14, 400000});
    check_regions(&state, 0, 0, 0, 0, 400000, 400000);
    CHECK_EQ_INT(state.reclaim_id, 14);
}

TEST(an_old_or_unknown_checkpoint_reclaims_nothing) {
    struct log_state state = regions(0, 0, 0, 0, 0, 5000);

    state.reclaim_id = 11;
    log_state_reclaim(&state, &(struct log_reclaim){11, 3000});
    log_state_reclaim(&state, &(struct log_reclaim){0, 3000});
    check_regions(&state, 0, 0, 0, 0, 0, 5000);
}

TEST(the_length_since_a_position_is_counted_in_reading_order) {
    struct log_state one = regions(0, 0, 0, 0, 1000, 5000);
    struct log_state three = regions(200000, 300000, 0, 100000, 300001, 400001);

    CHECK_EQ_UINT(log_length_since(one.regions, 1000), 4000);
    CHECK_EQ_UINT(log_length_since(one.regions, 3000), 2000);
    CHECK_EQ_UINT(log_length_since(one.regions, 5000), 0);
    CHECK_EQ_UINT(log_length_since(one.regions, 0), 4000); /* in none of them */
    CHECK_EQ_UINT(log_length_since(three.regions, 250000), 250000);
    CHECK_EQ_UINT(log_length_since(three.regions, 60000), 140000);
    CHECK_EQ_UINT(log_length_since(three.regions, 400001), 0);
    CHECK_EQ_UINT(log_length_since(three.regions, 150000), 300000);
}

/* DF-22 */
TEST(a_position_in_no_region_changes_nothing) {
    struct log_state state = regions(200000, 300000, 0, 100000, 300001, 400000);

    state.reclaim_id = 11;
    log_state_reclaim(&state, &(struct log_reclaim){12, 150000});
    check_regions(&state, 200000, 300000, 0, 100000, 300001, 400000);
    CHECK_EQ_INT(state.reclaim_id, 11);
    log_state_reclaim(&state, &(struct log_reclaim){12, 400001});
    check_regions(&state, 200000, 300000, 0, 100000, 300001, 400000);
}

TEST(offset_zero_is_in_no_unused_region) {
    struct log_state state = regions(200000, 300000, 0, 0, 0, 7000);

    log_state_reclaim(&state, &(struct log_reclaim){12, 0});
    check_regions(&state, 0, 0, 0, 0, 0, 7000);
    state = regions(200000, 300000, 0, 0, 0, 0); /* wrapped, nothing written yet */
    log_state_reclaim(&state, &(struct log_reclaim){12, 0});
    check_regions(&state, 0, 0, 0, 0, 0, 0);
}

TEST(a_wrap_needs_empty_regions_and_a_late_start) {
    struct log_state state = regions(0, 0, 0, 0, 131072, 200000);

    CHECK(log_state_must_wrap(&state));
    state = regions(0, 0, 0, 0, 131071, 200000);
    CHECK(!log_state_must_wrap(&state));
    state = regions(1, 2, 0, 0, 131072, 200000);
    CHECK(!log_state_must_wrap(&state));
    state = regions(0, 0, 0, 2, 131072, 200000);
    CHECK(!log_state_must_wrap(&state));
}

TEST(beyond_two_gigabytes_a_wrap_needs_much_room_in_front) {
    struct log_state state = regions(0, 0, 0, 0, 131072, 0x7fffffff);

    CHECK(!log_state_must_wrap(&state));
    state = regions(0, 0, 0, 0, 1 << 30, 0x7fffffff);
    CHECK(log_state_must_wrap(&state));
}

TEST(the_worked_example_wraps_and_skips) {
    struct log_state state = regions(0, 0, 0, 0, 186294, 203600);
    uint64_t from, to;

    CHECK(log_state_must_wrap(&state));
    log_state_wrap(&state);
    check_regions(&state, 186294, 203608, 0, 0, 0, 0);
    log_state_skip_area(&state, 0, 1, &from, &to);
    CHECK_EQ_UINT(from, 186294);
    CHECK_EQ_UINT(to, 203609);
    log_state_skip(&state, 184897, 203609);
    state.regions[2].end = 207636;
    check_regions(&state, 186294, 203608, 0, 184897, 203609, 207636);
    log_state_skip_area(&state, 207636, 1, &from, &to);
    CHECK_EQ_UINT(from, 0);
    CHECK_EQ_UINT(to, 0);
    CHECK(!log_state_must_wrap(&state));
}

TEST(a_skip_area_of_sectors_is_rounded_outwards) {
    struct log_state state = regions(1500, 3000, 0, 0, 0, 100);
    uint64_t from, to;

    log_state_skip_area(&state, 100, 512, &from, &to);
    CHECK_EQ_UINT(from, 1024);
    CHECK_EQ_UINT(to, 3072);
    log_state_skip_area(&state, 1024, 512, &from, &to); /* the sector has begun already */
    CHECK_EQ_UINT(from, 1500);
    state.regions[0].end = 3072;
    log_state_skip_area(&state, 100, 512, &from, &to);
    CHECK_EQ_UINT(to, 3584); /* never the byte behind the end itself */
    log_state_skip_area(&state, 3072, 512, &from, &to);
    CHECK_EQ_UINT(to, 0); /* behind already */
}

TEST(recovery_tells_a_wrap_from_a_skip_by_where_region_2_began) {
    struct log_state state = regions(0, 0, 0, 0, 186294, 186294);

    log_state_replay_jump(&state, 203608, 0);
    check_regions(&state, 186294, 203608, 0, 0, 0, 186294);
    log_state_replay_jump(&state, 184897, 203609);
    check_regions(&state, 186294, 203608, 0, 184897, 203609, 186294);
}

TEST(impossible_regions_are_noticed) {
    struct log_state state = regions(0, 0, 0, 0, 0, 0);

    CHECK(log_state_is_sound(&state));
    state = regions(-1, 5, 0, 0, 0, 0);
    CHECK(!log_state_is_sound(&state));
    state = regions(0, 0, 9, 5, 0, 0);
    CHECK(!log_state_is_sound(&state));
    state = regions(0, 0, 0, 0, 0, INT64_MAX);
    CHECK(!log_state_is_sound(&state));
}

TEST(nothing_is_written_ahead_of_a_used_region) {
    struct log_state state = regions(200000, 300000, 0, 0, 0, 100);

    CHECK(log_state_ahead_in_use(&state, 100));
    CHECK(!log_state_ahead_in_use(&state, 300000));
    state = regions(0, 0, 0, 0, 0, 100);
    CHECK(!log_state_ahead_in_use(&state, 100));
}

TEST_MAIN()
