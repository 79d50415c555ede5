/*
** level_notes_test.c — split keys wherever they may be stored, pointers that must not be followed.
*/
#include "cursor/source.h"
#include "support/cursor_world.h"

/* "key0000=value ..." of `count` records: more than one page, so an index. */
static const char *many_records(char *out, size_t size, uint32_t count) {
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        used += (size_t)snprintf(out + used, size - used, "key%04u=value-of-some-length ", i);
    }
    return out;
}

TEST(split_key_of_an_input_is_read_once_and_kept) {
    struct world world;
    const struct read_view *view;
    enum topic topic;
    struct slice key, again;

    world_open(&world);
    world_merge(&world, "m", 1, "a=1", "p=1", "m=2 q=3", NULL);
    view = world_view(&world);
    CHECK_OK(level_split_key(view, 0, &topic, &key));
    CHECK_EQ_INT(topic, TOPIC_USER);
    CHECK_EQ_BYTES(key.data, key.size, "m", 1);
    world.levels[0].merge.split_page = 999999; /* not looked at again */
    CHECK_OK(level_split_key(view, 0, &topic, &again));
    CHECK_EQ_PTR(again.data, key.data);
    world_close(&world);
}

TEST(split_key_may_be_a_system_key) {
    struct world world;
    enum topic topic;
    struct slice key;

    world_open(&world);
    world_merge(&world, "$n", 1, "a=1", "p=1", "m=2 $n=3", NULL);
    CHECK_OK(level_split_key(world_view(&world), 0, &topic, &key));
    CHECK_EQ_INT(topic, TOPIC_SYSTEM);
    CHECK_EQ_BYTES(key.data, key.size, "nnnn", 4);
    world_close(&world);
}

TEST(split_key_may_stand_in_the_index_of_the_next_level) {
    static char text[8192];
    struct world world;
    struct level *merging;
    struct page page = {0};
    struct page_footer footer;
    const struct level *next;
    enum topic topic;
    struct slice key;

    world_open(&world);
    merging = world_merge(&world, "p", 0, "a=1", "p=1", "q=3", NULL);
    next = world_level(&world, many_records(text, sizeof text, 60));
    CHECK(next->left.root != 0);
    merging->merge.input_count = 3;
    merging->merge.split_page = next->left.root;
    merging->merge.split_cell = 0;
    CHECK_OK(level_split_key(world_view(&world), 0, &topic, &key));
    CHECK_EQ_BYTES(key.data, 3, "key", 3);
    CHECK_OK(pager_get(world.file.pager, NULL, next->left.root, &world.file.error, &page));
    CHECK_OK(format_page_footer(page.data, page.size, page.page_no, &world.file.error, &footer));
    merging->merge.split_cell = footer.cell_count; /* one too many */
    pager_put(world.file.pager, &page);
    CHECK_RC(level_split_key(world_view(&world), 0, &topic, &key), LSM_CORRUPT);
    error_clear(&world.file.error);
    world_close(&world);
}

TEST(split_position_in_no_input_is_corrupt) {
    struct world world;
    enum topic topic = TOPIC_SYSTEM;
    struct slice key = {NULL, 77};

    world_open(&world);
    world_merge(&world, "m", 1, "a=1", "p=1", "m=2 q=3", NULL);
    world.levels[0].merge.split_page = 12345;
    CHECK_RC(level_split_key(world_view(&world), 0, &topic, &key), LSM_CORRUPT);
    CHECK_EQ_UINT(world.file.error.page_no, 12345);
    CHECK_EQ_UINT(key.size, 77); /* untouched */
    error_clear(&world.file.error);
    /* An extra input, but no next level it could be of. */
    world.levels[0].merge.input_count = 3;
    CHECK_RC(level_split_key(world_view(&world), 0, &topic, &key), LSM_CORRUPT);
    error_clear(&world.file.error);
    world_close(&world);
}

TEST(pointers_count_only_where_an_index_was_absorbed) {
    static char text[8192];
    struct world world;
    struct level *absorbed;
    uint64_t usable = 7;

    world_open(&world);
    world_level(&world, "a=1");
    absorbed = world_level(&world, many_records(text, sizeof text, 60));
    world_level(&world, many_records(text, sizeof text, 60));
    world_level(&world, "b=1"); /* never had an index */
    absorbed->left.root = 0;
    world_view(&world);
    CHECK_OK(level_pointer(&world.view, 1, 0, 40, &usable));
    CHECK_EQ_UINT(usable, 40);
    CHECK_OK(level_pointer(&world.view, 1, 0, 0, &usable));
    CHECK_EQ_UINT(usable, 0);
    CHECK_OK(level_pointer(&world.view, 2, 0, 40, &usable));
    CHECK_EQ_UINT(usable, 0);
    CHECK_OK(level_pointer(&world.view, 3, 0, 40, &usable));
    CHECK_EQ_UINT(usable, 0);
    world_close(&world);
}

TEST(redirects_are_given_to_the_oldest_run_only) {
    struct world world;
    world_open(&world);
    world_level(&world, "a=1");
    world_merge(&world, "m", 1, "a=1", "p=1", "m=2 q=3", NULL);
    world_view(&world);
    CHECK_EQ_PTR(level_run_view(&world.view, 0, 0).redirects, NULL);
    CHECK_EQ_PTR(level_run_view(&world.view, 1, 0).redirects, NULL);
    CHECK_EQ_PTR(level_run_view(&world.view, 1, 1).redirects, NULL);
    CHECK_EQ_PTR(level_run_view(&world.view, 1, 2).redirects, &world.snapshot.redirects);
    world_close(&world);
}

TEST(notes_without_memory_leave_nothing_behind) {
    struct world world;
    struct level_notes *notes = NULL;
    int rc = LSM_NOMEM;

    world_open(&world);
    world_level(&world, "a=1");
    world_view(&world);
    for (long n = 0; rc == LSM_NOMEM; n++) {
        world.file.env.allocations_left = n;
        rc = level_notes_new(&world.file.env.env, &world.snapshot, &notes);
        if (rc == LSM_NOMEM) CHECK_EQ_PTR(notes, NULL);
    }
    world.file.env.allocations_left = -1;
    CHECK_OK(rc);
    level_notes_free(notes);
    level_notes_free(NULL);
    world_close(&world);
}

TEST_MAIN()
