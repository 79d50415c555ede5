/*
** point_lookup_test.c — point reads: which home answers, and what must not be asked.
*/
#include "support/cursor_world.h"

static const char *look(struct world *world, struct lookup_scratch *scratch, const char *key) {
    static char text[64];
    struct slice value = {NULL, 0};
    bool found = false;
    CHECK_OK(view_lookup(&world->view, scratch, slice_of(key), &found, &value));
    if (!found) return ".";
    snprintf(text, sizeof text, "%.*s", (int)value.size, (const char *)value.data);
    return text;
}

TEST(newest_home_that_knows_the_key_answers) {
    struct world world;
    struct lookup_scratch scratch;

    world_open(&world);
    CHECK_OK(memtree_put(world_tree(&world, 0), slice_of("a"), slice_of("live")));
    CHECK_OK(memtree_delete_range(world_tree(&world, 0), slice_of("m"), slice_of("p")));
    CHECK_OK(memtree_put(world_tree(&world, 1), slice_of("b"), slice_of("old")));
    CHECK_OK(memtree_delete(world_tree(&world, 1), slice_of("c")));
    CHECK_OK(memtree_put(world_tree(&world, 1), slice_of("n"), slice_of("old")));
    world_level(&world, "d=run -e");
    world_level(&world, "a=0 b=0 c=0 d=0 e=0 f=0 m=0 n=0 p=0");
    world_view(&world);
    lookup_scratch_init(&scratch, &world.file.env.env);
    CHECK_EQ_STR(look(&world, &scratch, "a"), "live");
    CHECK_EQ_STR(look(&world, &scratch, "b"), "old");
    CHECK_EQ_STR(look(&world, &scratch, "c"), ".");
    CHECK_EQ_STR(look(&world, &scratch, "d"), "run");
    CHECK_EQ_STR(look(&world, &scratch, "e"), ".");
    CHECK_EQ_STR(look(&world, &scratch, "f"), "0");
    CHECK_EQ_STR(look(&world, &scratch, "m"), "0");
    CHECK_EQ_STR(look(&world, &scratch, "n"), ".");
    CHECK_EQ_STR(look(&world, &scratch, "p"), "0");
    CHECK_EQ_STR(look(&world, &scratch, "zz"), ".");
    CHECK_EQ_STR(look(&world, &scratch, ""), ".");
    lookup_scratch_release(&scratch);
    world_close(&world);
}

TEST(value_is_optional_and_null_when_nothing_is_found) {
    struct world world;
    struct lookup_scratch scratch;
    struct slice value = slice_of("before");
    bool found = false;

    world_open(&world);
    CHECK_OK(memtree_put(world_tree(&world, 0), slice_of("b"), slice_of("1")));
    world_level(&world, "a=1");
    world_view(&world);
    lookup_scratch_init(&scratch, &world.file.env.env);
    CHECK_OK(view_lookup(&world.view, &scratch, slice_of("a"), &found, NULL));
    CHECK(found);
    CHECK_OK(view_lookup(&world.view, &scratch, slice_of("b"), &found, NULL));
    CHECK(found);
    CHECK_OK(view_lookup(&world.view, &scratch, slice_of("c"), &found, &value));
    CHECK(!found);
    CHECK_EQ_PTR(value.data, NULL);
    lookup_scratch_release(&scratch);
    world_close(&world);
}

/* A filter errs for a few keys in a thousand: then the run is read for nothing, and the next one at its own page. */
TEST(a_run_that_was_read_in_vain_is_followed_by_the_next) {
    static char upper[60000], lower[60000];
    struct world world;
    struct lookup_scratch scratch;
    size_t upper_size = 0, lower_size = 0;

    for (int i = 0; i < 4000; i++) {
        upper_size += (size_t)snprintf(upper + upper_size, sizeof upper - upper_size, "k%04du=1 ", i);
        lower_size += (size_t)snprintf(lower + lower_size, sizeof lower - lower_size, "k%04d=2 ", i);
    }
    world_open(&world);
    world_level(&world, upper);
    world_level(&world, lower);
    world_view(&world);
    world_learn(&world, 1);
    lookup_scratch_init(&scratch, &world.file.env.env);
    for (int i = 0; i < 4000; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%04d", i);
        CHECK_EQ_STR(look(&world, &scratch, key), "2");
    }
    lookup_scratch_release(&scratch);
    world_close(&world);
}

/* DF-45 */
TEST(stale_pointers_into_a_run_that_never_had_an_index_are_ignored) {
    struct world world;
    struct segment_writer *writer;
    struct level *level;
    struct lookup_scratch scratch;
    char text[64];

    world_open(&world);
    level = &world.levels[world.snapshot.level_count++];
    writer = world_writer(&world);
    for (int i = 0; i < 60; i++) { /* pointers to its own pages, which are full of records */
        snprintf(text, sizeof text, "n%02d", i);
        CHECK_OK(segment_writer_add(writer, RECORD_INSERT, slice_of(text), slice_of("upper-upper"),
                                    (uint64_t)(33 + i % 8)));
    }
    world_finish(&world, writer, &level->left);
    world_level(&world, "m=1 n30x=2 o=3");
    world_view(&world);
    lookup_scratch_init(&scratch, &world.file.env.env);
    CHECK_EQ_STR(look(&world, &scratch, "m"), "1");
    CHECK_EQ_STR(look(&world, &scratch, "n30x"), "2");
    CHECK_EQ_STR(look(&world, &scratch, "o"), "3");
    lookup_scratch_release(&scratch);
    world_close(&world);
}

TEST(damaged_page_is_reported_and_outputs_stay) {
    static const uint8_t garbage[256] = {[254] = 0xff, [255] = 0xff};
    struct world world;
    struct lookup_scratch scratch;
    struct slice value = slice_of("before");
    bool found = true;

    world_open(&world);
    world_level(&world, "a=1");
    CHECK_OK(os_write(&world.file.file, 32 * 256, garbage, sizeof garbage));
    pager_close(world.file.pager); /* forget the cached page */
    CHECK_OK(pager_open(&world.file.env.env, &world.file.file,
                        &(struct pager_config){.cache_bytes = 1 << 16}, &world.file.pager));
    CHECK_OK(pager_set_geometry(world.file.pager, 256, 65536));
    pager_set_block_limit(world.file.pager, world.file.block_count);
    world_view(&world);
    lookup_scratch_init(&scratch, &world.file.env.env);
    CHECK_RC(view_lookup(&world.view, &scratch, slice_of("a"), &found, &value), LSM_CORRUPT);
    CHECK(found);
    CHECK_EQ_BYTES(value.data, value.size, "before", 6);
    CHECK(world.file.error.reason != NULL);
    error_clear(&world.file.error);
    lookup_scratch_release(&scratch);
    world_close(&world);
}

TEST_MAIN()
