/*
** merge_cursor_test.c — life of a cursor: opening, stepping, directions, failures.
*/
#include "support/cursor_world.h"

/* Trees over two levels and a merge: something of every kind. */
static void full_world(struct world *world) {
    struct memtree_writer *live, *old;
    world_open(world);
    live = world_tree(world, 0);
    CHECK_OK(memtree_put(live, slice_of("b"), slice_of("live")));
    CHECK_OK(memtree_delete_range(live, slice_of("s"), slice_of("w")));
    old = world_tree(world, 1);
    CHECK_OK(memtree_delete(old, slice_of("c")));
    CHECK_OK(memtree_put(old, slice_of("t"), slice_of("old")));
    world_level(world, "c=1 d=1");
    world_merge(world, "m", 1, "e=2 [f", "]p", "m=3 q=3", NULL);
    world_level(world, "a=4 g=4 h=4 o=4 s=4 u=4 w=4");
}

TEST(trees_come_before_levels) {
    struct world world;
    full_world(&world);
    world_expect(&world, "a=4 b=live d=1 e=2 q=3 s=4 w=4", "w=4 s=4 q=3 e=2 d=1 b=live a=4");
    world_expect_seeks(&world, "abdeqsw");
    world_close(&world);
}

TEST(empty_view_has_no_entry) {
    struct world world;
    world_open(&world);
    world_expect(&world, "", "");
    world_expect_seeks(&world, "");
    world_close(&world);
}

TEST(steps_are_allowed_only_in_the_direction_of_the_last_positioning) {
    struct world world;
    struct merge_cursor cursor;
    struct slice value = {NULL, 7};

    world_open(&world);
    world_level(&world, "a=1 b=2 c=3");
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_RC(merge_cursor_first(&cursor), LSM_MISUSE); /* no view yet */
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_USER));
    CHECK_RC(merge_cursor_next(&cursor), LSM_MISUSE);
    CHECK_RC(merge_cursor_prev(&cursor), LSM_MISUSE);
    CHECK_RC(merge_cursor_value(&cursor, &value), LSM_MISUSE);
    CHECK_EQ_UINT(value.size, 7);
    CHECK_OK(merge_cursor_seek_ge(&cursor, slice_of("b")));
    CHECK_RC(merge_cursor_prev(&cursor), LSM_MISUSE);
    CHECK_EQ_STR(world_entry(&cursor), "b=2");
    CHECK_OK(merge_cursor_next(&cursor));
    CHECK_EQ_STR(world_entry(&cursor), "c=3");
    CHECK_OK(merge_cursor_next(&cursor));
    CHECK(!cursor.valid);
    CHECK_OK(merge_cursor_next(&cursor)); /* once too often */
    CHECK(!cursor.valid);
    CHECK_RC(merge_cursor_prev(&cursor), LSM_MISUSE);
    CHECK_OK(merge_cursor_seek_lt(&cursor, slice_of("b")));
    CHECK_RC(merge_cursor_next(&cursor), LSM_MISUSE);
    CHECK_EQ_STR(world_entry(&cursor), "a=1");
    CHECK_OK(merge_cursor_prev(&cursor));
    CHECK_OK(merge_cursor_prev(&cursor));
    CHECK(!cursor.valid);
    merge_cursor_release(&cursor);
    world_close(&world);
}

TEST(cursor_can_be_opened_again_on_more_or_fewer_sources) {
    struct world world;
    struct merge_cursor cursor;
    const struct read_view *view;

    world_open(&world);
    world_level(&world, "c=1");
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_USER));
    CHECK_OK(merge_cursor_first(&cursor));
    CHECK_EQ_STR(world_entry(&cursor), "c=1");
    merge_cursor_detach(&cursor);
    CHECK(!cursor.valid);
    CHECK_RC(merge_cursor_last(&cursor), LSM_MISUSE);
    for (int i = 0; i < 10; i++) world_level(&world, "b=0 d=0");
    CHECK_OK(memtree_put(world_tree(&world, 0), slice_of("a"), slice_of("2")));
    view = world_view(&world);
    CHECK_OK(merge_cursor_open(&cursor, view, TOPIC_USER));
    CHECK_OK(merge_cursor_first(&cursor));
    CHECK_EQ_STR(world_rest(&cursor), "a=2 b=0 c=1 d=0");
    CHECK_OK(merge_cursor_first(&cursor));
    CHECK_OK(merge_cursor_open(&cursor, view, TOPIC_SYSTEM));
    CHECK(!cursor.valid);
    CHECK_OK(merge_cursor_first(&cursor));
    CHECK_EQ_STR(world_rest(&cursor), "");
    merge_cursor_release(&cursor);
    merge_cursor_release(&cursor); /* twice is allowed */
    world_close(&world);
}

TEST(value_and_key_stay_valid_until_the_next_step) {
    struct world world;
    struct merge_cursor cursor;
    struct slice first = {NULL, 0}, second = {NULL, 0};
    char text[2100];

    world_open(&world);
    memset(text, 'v', sizeof text); /* key and value over several pages */
    memset(text, 'k', 600);
    text[600] = '=';
    text[sizeof text - 1] = '\0';
    world_level(&world, text);
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_USER));
    CHECK_OK(merge_cursor_first(&cursor));
    CHECK_EQ_UINT(cursor.key.size, 600);
    CHECK_OK(merge_cursor_value(&cursor, &first));
    CHECK_OK(merge_cursor_value(&cursor, &second));
    CHECK_EQ_BYTES(second.data, second.size, text + 601, sizeof text - 602);
    CHECK_EQ_BYTES(cursor.key.data, cursor.key.size, text, 600);
    merge_cursor_release(&cursor);
    world_close(&world);
}

TEST(stepping_allocates_nothing) {
    struct world world;
    struct merge_cursor cursor;
    long allocations;

    full_world(&world);
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_USER));
    CHECK_OK(merge_cursor_first(&cursor));
    CHECK_OK(merge_cursor_last(&cursor));
    allocations = world.file.env.allocations;
    CHECK_OK(merge_cursor_first(&cursor));
    while (cursor.valid) CHECK_OK(merge_cursor_next(&cursor));
    CHECK_OK(merge_cursor_last(&cursor));
    while (cursor.valid) CHECK_OK(merge_cursor_prev(&cursor));
    CHECK_EQ_INT(world.file.env.allocations, allocations);
    merge_cursor_release(&cursor);
    world_close(&world);
}

TEST(failed_allocations_leave_no_entry_and_no_leak) {
    struct world world;
    int rc = LSM_NOMEM;

    full_world(&world);
    for (long n = 0; rc != LSM_OK; n++) {
        struct merge_cursor cursor;
        const struct read_view *view = world_view(&world);
        merge_cursor_init(&cursor, &world.file.env.env);
        world.file.env.allocations_left = n;
        rc = merge_cursor_open(&cursor, view, TOPIC_USER);
        if (rc == LSM_OK) rc = merge_cursor_seek_ge(&cursor, slice_of("a"));
        if (rc == LSM_OK) rc = merge_cursor_seek_gt(&cursor, cursor.key);
        while (rc == LSM_OK && cursor.valid) rc = merge_cursor_next(&cursor);
        if (rc != LSM_OK) {
            CHECK_RC(rc, LSM_NOMEM);
            CHECK(!cursor.valid);
            CHECK_RC(merge_cursor_next(&cursor), LSM_MISUSE);
        }
        world.file.env.allocations_left = -1;
        error_clear(&world.file.error);
        /* The same object works once there is memory again. */
        CHECK_OK(merge_cursor_open(&cursor, view, TOPIC_USER));
        CHECK_OK(merge_cursor_first(&cursor));
        CHECK_EQ_STR(world_entry(&cursor), "a=4");
        merge_cursor_release(&cursor);
        CHECK(n < 1000);
    }
    world_close(&world);
}

TEST_MAIN()
