/*
** merge_seek_test.c — targets of every kind, and long hidden stretches.
*/
#include "cursor/source.h"
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

/* DF-57 */
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

/* What was found out for one seek must not be taken for the next: seek_lt(split key) looks at the output only. Later
** the input skips a hidden stretch, which ends near the beginning of a page for some of the fillers. */
TEST(what_a_seek_did_not_use_is_forgotten) {
    static const char merged[] = "a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1";
    static char input[4000], expected[4000], filler[4000];

    for (int fill = 0; fill < 60; fill++) {
        struct world world;
        struct merge_cursor cursor;
        size_t used = 0;

        filler[0] = '\0';
        for (int i = 0; i < fill; i++) {
            used += (size_t)snprintf(filler + used, sizeof filler - used, " m%02d=3", i);
        }
        snprintf(input, sizeof input, "%s m=3%s n0=4 n1=4 n2=4 n3=4 n4=4 n5=4 n6=4 n7=4 n8=4 n9=4 p0=5 "
                 "p1=5 p2=5 p3=5 p4=5 p5=5 p6=5 p7=5 p8=5 p9=5", merged, filler);
        snprintf(expected, sizeof expected, "%s m=3%s p0=5 p1=5 p2=5 p3=5 p4=5 p5=5 p6=5 p7=5 p8=5 p9=5",
                 merged, filler);
        world_open(&world);
        world_level(&world, "[n ]o");
        world_merge(&world, "m", 0, merged, input, "m=0", NULL);
        world_view(&world);
        world_learn(&world, 1);
        merge_cursor_init(&cursor, &world.file.env.env);
        CHECK_OK(merge_cursor_open(&cursor, &world.view, TOPIC_USER));
        CHECK_OK(merge_cursor_seek_lt(&cursor, slice_of("m")));
        CHECK_EQ_STR(world_entry(&cursor), "l=1");
        CHECK_OK(merge_cursor_first(&cursor));
        CHECK_EQ_STR(world_rest(&cursor), expected);
        merge_cursor_release(&cursor);
        world_close(&world);
    }
}

/* Runs written by somebody else: each seek tells about one more page, until fences lead to all of them. */
TEST(seeks_make_notes_of_the_runs_they_come_to) {
    struct world world;
    struct merge_cursor cursor;
    char text[2000];
    size_t used = 0;

    world_open(&world);
    for (int i = 100; i < 300; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "k%d=%d ", i, i % 10);
    }
    world_level(&world, "k150=new");
    world_level(&world, text); /* some ten pages */
    world_view(&world);
    CHECK_OK(store_open(&world.file.env.env, STORE_BUDGET_DEFAULT, &world.store));
    world.view.store = world.store;
    level_notes_attach(world.view.notes, world.store, &world.snapshot, world.file.pager);
    merge_cursor_init(&cursor, &world.file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, &world.view, TOPIC_USER));
    for (int seeks = 0; !level_run_fenced(&world.view, 1, 0); seeks++) {
        CHECK(seeks < 40);
        CHECK(seeks < 2 || level_run_fenced(&world.view, 0, 0)); /* newest first */
        CHECK_OK(merge_cursor_seek_ge(&cursor, slice_of("k15")));
        CHECK_EQ_STR(world_entry(&cursor), "k150=new");
        CHECK_OK(merge_cursor_next(&cursor));
        CHECK_EQ_STR(world_entry(&cursor), "k151=1");
    }
    CHECK_OK(merge_cursor_seek_le(&cursor, slice_of("k2")));
    CHECK_EQ_STR(world_entry(&cursor), "k199=9");
    merge_cursor_release(&cursor);
    world_close(&world);
}

TEST_MAIN()
