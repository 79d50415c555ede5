/*
** level_source_test.c — merges in progress: windows, straddling range deletes, outputs that are
** empty.
*/
#include "support/cursor_world.h"

TEST(plain_level_shows_inserts_and_hides_marks_and_separators) {
    struct world world;
    world_open(&world);
    world_level(&world, "^a b=1 [c ]e -g ^h i=2");
    world_expect(&world, "b=1 i=2", "i=2 b=1");
    world_expect_seeks(&world, "bi");
    world_close(&world);
}

TEST(newest_version_of_a_key_wins) {
    struct world world;
    world_open(&world);
    world_level(&world, "b=new -c");
    world_level(&world, "a=1 b=old c=3 d=4");
    world_expect(&world, "a=1 b=new d=4", "d=4 b=new a=1");
    world_expect_seeks(&world, "abd");
    world_close(&world);
}

TEST(range_delete_is_open_at_both_ends_even_where_the_bounds_are_no_keys) {
    struct world world;
    world_open(&world);
    world_level(&world, "[c ]f");
    world_level(&world, "b=1 c=2 d=3 e=4 f=5 g=6");
    world_expect(&world, "b=1 c=2 f=5 g=6", "g=6 f=5 c=2 b=1");
    world_expect_seeks(&world, "bcfg");
    world_close(&world);
}

/* DF-71 */
TEST(seek_to_the_start_key_of_a_range_finds_the_older_key_of_that_name) {
    struct world world;
    world_open(&world);
    world_level(&world, "[d ]h");
    world_level(&world, "-k");
    world_level(&world, "c=1 d=2 e=3 h=4 k=5 m=6");
    world_expect_seeks(&world, "cdhm");
    world_close(&world);
}

/* DF-71 */
TEST(start_key_deleted_by_a_run_in_between_is_not_found) {
    struct world world;
    world_open(&world);
    world_level(&world, "[d ]h");
    world_level(&world, "-d");
    world_level(&world, "c=1 d=2 e=3 h=4");
    world_expect(&world, "c=1 h=4", "h=4 c=1");
    world_expect_seeks(&world, "ch");
    world_close(&world);
}

TEST(touching_ranges_leave_the_shared_bound_alone) {
    struct world world;
    world_open(&world);
    world_level(&world, "[b ][e ]h");
    world_level(&world, "a=1 b=1 c=1 e=1 f=1 h=1");
    world_expect(&world, "a=1 b=1 e=1 h=1", "h=1 e=1 b=1 a=1");
    world_expect_seeks(&world, "abeh");
    world_close(&world);
}

TEST(insert_inside_a_range_cuts_it_in_two) {
    struct world world;
    world_open(&world);
    world_level(&world, "[b ][e=new ]h");
    world_level(&world, "a=1 b=1 c=1 e=1 f=1 h=1");
    world_expect(&world, "a=1 b=1 e=new h=1", "h=1 e=new b=1 a=1");
    world_close(&world);
}

TEST(merge_shows_output_below_and_inputs_from_the_split_key) {
    struct world world;
    world_open(&world);
    world_merge(&world, "m", 1, "a=1 c=2", "a=1 p=3", "c=2 m=4 q=5", NULL);
    world_level(&world, "b=0 m=0 z=0");
    world_expect(&world, "a=1 b=0 c=2 m=4 p=3 q=5 z=0", "z=0 q=5 p=3 m=4 c=2 b=0 a=1");
    world_expect_seeks(&world, "abcmpqz");
    world_close(&world);
}

TEST(input_records_below_the_split_key_count_no_more) {
    struct world world;
    world_open(&world);
    /* The tombstone of c was applied to an older input and written to the output. */
    world_merge(&world, "m", 0, "a=1 -c", "a=1 -c m=2", "c=9 n=3", NULL);
    world_level(&world, "c=0 d=0");
    world_expect(&world, "a=1 d=0 m=2 n=3", "n=3 m=2 d=0 a=1");
    world_expect_seeks(&world, "admn");
    world_close(&world);
}

TEST(range_delete_straddling_the_split_key_hides_older_levels_on_both_sides) {
    struct world world;
    world_open(&world);
    world_merge(&world, "m", 1, "a=1 c=2 [e", "a=1 [e ]p r=3", "c=2 m=9 p=8", NULL);
    world_level(&world, "d=0 e=0 f=0 k=0 m=0 n=0 p=0 q=0");
    world_expect(&world, "a=1 c=2 d=0 e=0 p=8 q=0 r=3", "r=3 q=0 p=8 e=0 d=0 c=2 a=1");
    world_expect_seeks(&world, "acdepqr");
    world_close(&world);
}

TEST(end_of_a_range_in_an_input_hides_nothing_before_the_output_is_exhausted) {
    struct world world;
    world_open(&world);
    world_merge(&world, "m", 1, "a=1 f=2 [g", "]p", "m=4", NULL);
    world_level(&world, "b=0 g=0 h=0 l=0 n=0 p=0");
    world_expect(&world, "a=1 b=0 f=2 g=0 p=0", "p=0 g=0 f=2 b=0 a=1");
    world_expect_seeks(&world, "abfgp");
    world_close(&world);
}

TEST(exhausted_input_goes_on_hiding_down_to_the_split_key_included) {
    struct world world;
    world_open(&world);
    /* Split key m comes from the second input. Going down from z, the first input has only "]p". */
    world_merge(&world, "m", 1, "a=1 [b", "]p", "m=1 n=1 q=1", NULL);
    world_level(&world, "b=0 c=0 m=0 n=0 o=0 p=0 r=0");
    world_expect(&world, "a=1 b=0 p=0 q=1 r=0", "r=0 q=1 p=0 b=0 a=1");
    world_expect_seeks(&world, "abpqr");
    world_close(&world);
}

TEST(seek_le_between_the_split_key_and_the_end_of_a_range_is_hidden) {
    struct world world;
    struct merge_cursor cursor;
    world_open(&world);
    world_merge(&world, "m", 1, "[b", "[b ]p", "m=1 n=1", NULL);
    world_level(&world, "a=0 m=0 n=0 o=0");
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_USER));
    CHECK_OK(merge_cursor_seek_le(&cursor, slice_of("o")));
    CHECK_EQ_STR(world_rest(&cursor), "a=0");
    CHECK_OK(merge_cursor_seek_le(&cursor, slice_of("m")));
    CHECK_EQ_STR(world_rest(&cursor), "a=0");
    CHECK_OK(merge_cursor_seek_lt(&cursor, slice_of("p")));
    CHECK_EQ_STR(world_rest(&cursor), "a=0");
    CHECK_OK(merge_cursor_seek_lt(&cursor, slice_of("m")));
    CHECK_EQ_STR(world_rest(&cursor), "a=0");
    CHECK_OK(merge_cursor_seek_ge(&cursor, slice_of("c")));
    CHECK_EQ_STR(world_rest(&cursor), "");
    merge_cursor_release(&cursor);
    world_close(&world);
}

/* DF-54 */
TEST(output_of_separators_only_is_exhausted_at_once) {
    struct world world;
    world_open(&world);
    world_merge(&world, "k", 0, "^b ^d", "k=1 m=2", "l=3", NULL);
    world_level(&world, "a=0 b=0");
    world_expect(&world, "a=0 b=0 k=1 l=3 m=2", "m=2 l=3 k=1 b=0 a=0");
    world_expect_seeks(&world, "abklm");
    world_close(&world);
}

/* DF-54 */
TEST(output_that_ends_in_separators_hands_over_to_the_inputs) {
    struct world world;
    world_open(&world);
    world_merge(&world, "k", 0, "a=1 ^b ^d", "k=1", "l=3", NULL);
    world_level(&world, "c=0 l=0");
    world_expect(&world, "a=1 c=0 k=1 l=3", "l=3 k=1 c=0 a=1");
    world_expect_seeks(&world, "ackl");
    world_close(&world);
}

TEST(output_without_pages_is_nothing) {
    struct world world;
    world_open(&world);
    world_merge(&world, "k", 0, NULL, "k=1 p=2", "l=3", NULL);
    world_level(&world, "c=0 l=0");
    world_expect(&world, "c=0 k=1 l=3 p=2", "p=2 l=3 k=1 c=0");
    world_expect_seeks(&world, "cklp");
    world_close(&world);
}

TEST(finished_input_is_empty_whatever_separators_it_has_left) {
    struct world world;
    world_open(&world);
    world_merge(&world, "k", 1, "a=1 b=2", "a=1 ^p", "b=2 k=3 ^m", NULL);
    CHECK_EQ_UINT(world.levels[0].merge.inputs[0].page, 0);
    world_expect(&world, "a=1 b=2 k=3", "k=3 b=2 a=1");
    world_expect_seeks(&world, "abk");
    world_close(&world);
}

TEST(split_key_among_system_records_leaves_all_user_records_to_the_output) {
    struct world world;
    struct merge_cursor cursor;
    world_open(&world);
    world_merge(&world, "$n", 1, "a=1 b=2 $m=7", "a=1 $m=7 $p=8", "b=2 $n=9", NULL);
    world_level(&world, "b=0 c=0 $m=0 $q=0");
    world_expect(&world, "a=1 b=2 c=0", "c=0 b=2 a=1");
    world_expect_seeks(&world, "abc");
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_SYSTEM));
    CHECK_OK(merge_cursor_first(&cursor));
    CHECK_EQ_STR(world_rest(&cursor), "m=7 n=9 p=8 q=0");
    CHECK_OK(merge_cursor_last(&cursor));
    CHECK_EQ_STR(world_rest(&cursor), "q=0 p=8 n=9 m=7");
    merge_cursor_release(&cursor);
    world_close(&world);
}

TEST(split_key_among_user_records_leaves_all_system_records_to_the_inputs) {
    struct world world;
    struct merge_cursor cursor;
    world_open(&world);
    world_merge(&world, "k", 0, "a=1", "k=1 $[m ]$p", "l=3 $n=1 $p=2", NULL);
    world_level(&world, "$l=0 $m=0 $o=0");
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_SYSTEM));
    CHECK_OK(merge_cursor_first(&cursor));
    CHECK_EQ_STR(world_rest(&cursor), "l=0 m=0 p=2");
    CHECK_OK(merge_cursor_last(&cursor));
    CHECK_EQ_STR(world_rest(&cursor), "p=2 m=0 l=0");
    CHECK_OK(merge_cursor_seek_ge(&cursor, slice_of("nnnn")));
    CHECK_EQ_STR(world_rest(&cursor), "p=2");
    merge_cursor_release(&cursor);
    world_close(&world);
}

TEST(user_scans_pass_over_system_records_of_finished_levels) {
    struct world world;
    struct merge_cursor cursor;
    world_open(&world);
    world_level(&world, "$a=1 $b=2");
    world_level(&world, "x=1 $b=0 $c=3");
    world_expect(&world, "x=1", "x=1");
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_SYSTEM));
    CHECK_OK(merge_cursor_first(&cursor));
    CHECK_EQ_STR(world_rest(&cursor), "a=1 b=2 c=3");
    CHECK_OK(merge_cursor_last(&cursor));
    CHECK_EQ_STR(world_rest(&cursor), "c=3 b=2 a=1");
    merge_cursor_release(&cursor);
    world_close(&world);
}

TEST(output_that_reaches_the_split_key_is_corrupt) {
    struct world world;
    struct merge_cursor cursor;
    world_open(&world);
    world_merge(&world, "k", 0, "a=1 m=1", "k=1", "l=3", NULL);
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_USER));
    CHECK_OK(merge_cursor_first(&cursor));
    CHECK_RC(merge_cursor_next(&cursor), LSM_CORRUPT);
    CHECK(!cursor.valid);
    CHECK_RC(merge_cursor_next(&cursor), LSM_MISUSE);
    error_clear(&world.file.error);
    merge_cursor_release(&cursor);
    world_close(&world);
}

TEST_MAIN()
