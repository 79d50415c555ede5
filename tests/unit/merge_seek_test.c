/*
** merge_seek_test.c — targets of every kind, and long hidden stretches.
*/
#include "support/cursor_world.h"

static const char *seek(struct merge_cursor *cursor, int kind, const char *key) {
    struct slice target = slice_of(key);
    switch (kind) {
    case -2: CHECK_OK(merge_cursor_seek_lt(cursor, target)); break;
    case -1: CHECK_OK(merge_cursor_seek_le(cursor, target)); break;
    case 1: CHECK_OK(merge_cursor_seek_ge(cursor, target)); break;
    default: CHECK_OK(merge_cursor_seek_gt(cursor, target)); break;
    }
    return world_entry(cursor);
}

TEST(empty_key_is_a_key_like_any_other) {
    struct world world;
    struct merge_cursor cursor;

    world_open(&world);
    CHECK_OK(memtree_put(world_tree(&world, 0), (struct slice){NULL, 0}, slice_of("0")));
    world_level(&world, "a=1");
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_USER));
    CHECK_EQ_STR(seek(&cursor, 1, ""), "=0");
    CHECK_EQ_STR(seek(&cursor, -1, ""), "=0");
    CHECK_EQ_STR(seek(&cursor, 2, ""), "a=1");
    CHECK_EQ_STR(seek(&cursor, -2, ""), ".");
    CHECK_EQ_STR(seek(&cursor, -2, "a"), "=0");
    merge_cursor_release(&cursor);
    world_close(&world);
}

TEST(targets_between_before_and_behind_all_keys) {
    struct world world;
    struct merge_cursor cursor;

    world_open(&world);
    world_level(&world, "ab=1 ad=2");
    world_level(&world, "ac=3 -ad");
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_USER));
    CHECK_EQ_STR(seek(&cursor, 1, "a"), "ab=1");
    CHECK_EQ_STR(seek(&cursor, -1, "a"), ".");
    CHECK_EQ_STR(seek(&cursor, 1, "abc"), "ac=3");
    CHECK_EQ_STR(seek(&cursor, -1, "abc"), "ab=1");
    CHECK_EQ_STR(seek(&cursor, 1, "b"), ".");
    CHECK_EQ_STR(seek(&cursor, -1, "b"), "ad=2");
    merge_cursor_release(&cursor);
    world_close(&world);
}

TEST(key_of_the_entry_may_be_the_target) {
    struct world world;
    struct merge_cursor cursor;

    world_open(&world);
    world_level(&world, "a=1 b=2 c=3");
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_USER));
    CHECK_OK(merge_cursor_first(&cursor));
    CHECK_OK(merge_cursor_seek_gt(&cursor, cursor.key));
    CHECK_EQ_STR(world_entry(&cursor), "b=2");
    CHECK_OK(merge_cursor_seek_ge(&cursor, cursor.key));
    CHECK_EQ_STR(world_entry(&cursor), "b=2");
    CHECK_OK(merge_cursor_seek_lt(&cursor, cursor.key));
    CHECK_EQ_STR(world_entry(&cursor), "a=1");
    merge_cursor_release(&cursor);
    world_close(&world);
}

/* One letter and two digits: 400 keys. */
static const char *numbered(char *out, size_t size, const char *letters) {
    size_t used = 0;
    for (const char *at = letters; *at; at++) {
        for (int i = 0; i < 100; i++) {
            used += (size_t)snprintf(out + used, size - used, "%c%02d=%d ", *at, i, i);
        }
    }
    return out;
}

/* A cursor that skips reads few pages; all hidden keys lie in runs older than the range. */
TEST(long_hidden_stretches_are_skipped_in_both_directions) {
    static char text[16384];
    struct world world;
    struct merge_cursor cursor;

    world_open(&world);
    CHECK_OK(memtree_delete_range(world_tree(&world, 0), slice_of("a10"), slice_of("d90")));
    world_level(&world, numbered(text, sizeof text, "ac"));
    world_level(&world, numbered(text, sizeof text, "abcd"));
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_USER));
    CHECK_EQ_STR(seek(&cursor, 1, "a09"), "a09=9");
    CHECK_OK(merge_cursor_next(&cursor));
    CHECK_EQ_STR(world_entry(&cursor), "a10=10");
    CHECK_OK(merge_cursor_next(&cursor));
    CHECK_EQ_STR(world_entry(&cursor), "d90=90");
    CHECK_EQ_STR(seek(&cursor, -1, "d89"), "a10=10");
    CHECK_EQ_STR(seek(&cursor, 1, "b50"), "d90=90");
    CHECK_EQ_STR(seek(&cursor, -2, "d90"), "a10=10");
    merge_cursor_release(&cursor);
    world_close(&world);
}

TEST(skipping_through_a_merge_wakes_its_other_side) {
    static char left[8192], right[8192], older[16384];
    struct world world;
    struct merge_cursor cursor;

    world_open(&world);
    world_level(&world, "[a10 ]d90");
    world_merge(&world, "c00", 0, numbered(left, sizeof left, "ab"),
                numbered(right, sizeof right, "cd"), "c00=x e00=y", NULL);
    world_level(&world, numbered(older, sizeof older, "abcd"));
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_USER));
    CHECK_EQ_STR(seek(&cursor, 2, "a10"), "d90=90");
    CHECK_EQ_STR(seek(&cursor, -2, "d90"), "a10=10");
    CHECK_EQ_STR(seek(&cursor, -1, "c50"), "a10=10");
    merge_cursor_release(&cursor);
    world_close(&world);
}

TEST(stretch_hidden_by_an_exhausted_input_is_skipped_down_to_the_split_key) {
    static char older[16384];
    struct world world;
    struct merge_cursor cursor;

    world_open(&world);
    world_merge(&world, "b50", 1, "a10=l [a20", "]d90", "b50=x", NULL);
    world_level(&world, numbered(older, sizeof older, "abcd"));
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_USER));
    CHECK_EQ_STR(seek(&cursor, -1, "d89"), "a20=20");
    CHECK_EQ_STR(seek(&cursor, 1, "a21"), "d90=90");
    CHECK_EQ_STR(seek(&cursor, -1, "b60"), "a20=20");
    CHECK_EQ_STR(seek(&cursor, -1, "a10"), "a10=l");
    merge_cursor_release(&cursor);
    world_close(&world);
}

TEST(seek_on_a_used_cursor_is_that_of_a_fresh_one) {
    struct world world;
    struct merge_cursor cursor;

    world_open(&world);
    CHECK_OK(memtree_delete(world_tree(&world, 0), slice_of("b")));
    world_level(&world, "a=1 b=2 c=3");
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, world_view(&world), TOPIC_USER));
    CHECK_EQ_STR(seek(&cursor, 1, "a"), "a=1");
    CHECK_EQ_STR(seek(&cursor, 1, "b"), "c=3");
    CHECK_EQ_STR(seek(&cursor, -1, "b"), "a=1");
    CHECK_EQ_STR(seek(&cursor, 1, "d"), ".");
    CHECK_EQ_STR(seek(&cursor, -1, "c"), "c=3");
    merge_cursor_release(&cursor);
    world_close(&world);
}

TEST_MAIN()
