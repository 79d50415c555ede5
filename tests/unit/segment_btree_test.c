/*
** segment_btree_test.c — index keys in order, positions saved and restored.
*/
#include "support/golden.h"
#include "support/segment_builder.h"

/* Walk the whole index; at each key save, restore elsewhere, and compare. Returns the number of keys. */
static uint32_t check_walk(lsm_env *env, const struct segment_view *view) {
    struct index_cursor cursor, other;
    struct segment_cursor records;
    struct buffer before;
    uint32_t count = 0;

    buffer_init(&before, env);
    index_cursor_init(&cursor, env, view);
    index_cursor_init(&other, env, view);
    segment_cursor_init(&records, env, view);
    for (CHECK_OK(index_cursor_first(&cursor)); cursor.valid; CHECK_OK(index_cursor_next(&cursor))) {
        struct merge_input saved;
        if (count > 0) CHECK(key_compare(buffer_slice(&before), cursor.key) < 0);
        CHECK_OK(buffer_assign(&before, cursor.key));
        CHECK_OK(segment_go(&records, cursor.pointer, 0)); /* it leads to the page with that key */
        CHECK_EQ_BYTES(records.key.data, records.key.size, cursor.key.data, cursor.key.size);
        index_cursor_save(&cursor, &saved);
        CHECK_EQ_UINT(saved.cell & 0xff, cursor.depth);
        CHECK_OK(index_cursor_restore(&other, &saved));
        CHECK(other.valid);
        CHECK_EQ_BYTES(other.key.data, other.key.size, cursor.key.data, cursor.key.size);
        CHECK_EQ_UINT(other.pointer, cursor.pointer);
        CHECK_OK(index_cursor_next(&other));
        if (other.valid) CHECK(key_compare(other.key, cursor.key) > 0);
        count++;
    }
    CHECK_EQ_UINT(cursor.depth, 0);
    CHECK_OK(index_cursor_next(&cursor)); /* stays exhausted */
    CHECK(!cursor.valid);
    segment_cursor_release(&records);
    index_cursor_release(&cursor);
    index_cursor_release(&other);
    buffer_release(&before);
    return count;
}

TEST(the_index_of_files_made_by_lsm1_is_walked) {
    struct golden g;
    struct segment_view view;

    golden_open(&g, "indexed");
    view = golden_view(&g, 0, GOLDEN_LEFT);
    CHECK_EQ_UINT(check_walk(&g.memory.env, &view), 6);
    golden_close(&g);
    golden_open(&g, "large_keys");
    view = golden_view(&g, 0, GOLDEN_LEFT);
    CHECK(check_walk(&g.memory.env, &view) > 10);
    golden_close(&g);
    golden_open(&g, "packed_runs");
    view = golden_view(&g, 0, GOLDEN_LEFT);
    CHECK(check_walk(&g.memory.env, &view) < 10);
    golden_close(&g);
}

TEST(indexes_of_several_levels_are_walked) {
    for (uint32_t key_max = 8; key_max <= 512; key_max *= 4) {
        struct segment_file file;
        struct segment_writer *writer = NULL;
        struct segment_writer_config config;
        struct test_records records = {0};
        struct segment segment;
        struct segment_view view;
        uint64_t append_point = 0;

        segment_file_open(&file, test_path("db"), 256, 65536, NULL);
        random_records(&records, 3000, key_max, 60, 0);
        config = segment_file_config(&file, 0, 0);
        CHECK_OK(segment_writer_new(&file.env.env, &config, &writer));
        for (uint32_t i = 0; i < records.count; i++) {
            CHECK_OK(segment_writer_add_record(writer, &records.items[i]));
        }
        CHECK_OK(segment_writer_finish(writer, &segment, &append_point));
        segment_writer_free(writer);
        view = (struct segment_view){file.pager, &segment, NULL, &file.error};
        CHECK(check_walk(&file.env.env, &view) > 50);
        test_records_free(&records);
        segment_file_close(&file);
    }
}

TEST(a_segment_without_index_has_no_index_keys) {
    struct golden g;
    struct segment_view view;
    struct index_cursor cursor;
    struct merge_input saved = {1, 1};

    golden_open(&g, "two_inserts");
    view = golden_view(&g, 0, GOLDEN_LEFT);
    index_cursor_init(&cursor, &g.memory.env, &view);
    CHECK_OK(index_cursor_first(&cursor));
    CHECK(!cursor.valid);
    index_cursor_save(&cursor, &saved);
    CHECK_EQ_UINT(saved.page, 0);
    CHECK_EQ_UINT(saved.cell, 0);
    CHECK_OK(index_cursor_restore(&cursor, &saved));
    CHECK(!cursor.valid);
    saved = (struct merge_input){3, 257};
    CHECK_RC(index_cursor_restore(&cursor, &saved), LSM_CORRUPT);
    index_cursor_release(&cursor);
    golden_close(&g);
}

TEST(saved_positions_that_name_no_index_cell_are_corrupt) {
    static const struct merge_input wrong[] = {
        {40, 0},   {40, 256}, {40, 258}, {40, 255}, {40, 7 * 256 + 1}, {40, 0xffffff01u},
        {39, 257}, {41, 257}, {1, 257},  {UINT64_MAX, 257}};
    struct golden g;
    struct segment_view view;
    struct index_cursor cursor;
    struct merge_input good = {40, 257};

    golden_open(&g, "indexed");
    view = golden_view(&g, 0, GOLDEN_LEFT);
    index_cursor_init(&cursor, &g.memory.env, &view);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        TEST_NOTE("position %zu", i);
        CHECK_RC(index_cursor_restore(&cursor, &wrong[i]), LSM_CORRUPT);
        CHECK(!cursor.valid);
    }
    good.cell = 1; /* before cell 0, and nothing to the left: no key yet */
    CHECK_OK(index_cursor_restore(&cursor, &good));
    CHECK(!cursor.valid);
    CHECK_OK(index_cursor_next(&cursor));
    CHECK(cursor.valid);
    CHECK_EQ_BYTES(cursor.key.data, cursor.key.size, "k011", 4);
    index_cursor_release(&cursor);
    golden_close(&g);
}

TEST(an_index_page_that_is_its_own_child_does_not_keep_a_walk_busy) {
    struct golden g;
    struct segment_view view;
    struct index_cursor cursor;
    uint8_t *root;
    int rc;

    golden_open(&g, "indexed");
    golden_close_pager(&g);
    root = g.bytes + 39 * 256;
    for (int at = 3; at < 40; at++) {
        if (root[at] == 0x10) root[at + 1] = 40; /* every child is the root */
    }
    put_u64(root + 256 - 12, 40);
    golden_pager(&g, NULL);
    view = golden_view(&g, 0, GOLDEN_LEFT);
    index_cursor_init(&cursor, &g.memory.env, &view);
    rc = index_cursor_first(&cursor);
    while (rc == LSM_OK && cursor.valid) rc = index_cursor_next(&cursor);
    CHECK_RC(rc, LSM_CORRUPT);
    index_cursor_release(&cursor);
    golden_close(&g);
}

TEST(each_failed_allocation_and_read_exhausts_the_cursor) {
    struct golden g;

    golden_open(&g, "large_keys");
    for (int kind = 0; kind < 2; kind++) {
        int code = kind ? LSM_IOERR : LSM_NOMEM;
        bool done = false;
        for (long nth = 1; !done; nth++) {
            struct segment_view view;
            struct index_cursor cursor;
            int rc;
            golden_close_pager(&g);
            golden_pager(&g, NULL);
            view = golden_view(&g, 0, GOLDEN_LEFT);
            memory_env_fail(&g.memory, kind ? MEMORY_READ : MEMORY_MALLOC, nth, code);
            index_cursor_init(&cursor, &g.memory.env, &view);
            rc = index_cursor_first(&cursor);
            while (rc == LSM_OK && cursor.valid) {
                struct merge_input saved;
                index_cursor_save(&cursor, &saved);
                rc = index_cursor_restore(&cursor, &saved);
                if (rc == LSM_OK) rc = index_cursor_next(&cursor);
            }
            done = g.memory.fail_kind != -1;
            if (done) CHECK_OK(rc);
            else CHECK_EQ_INT(rc, code);
            CHECK(!cursor.valid);
            memory_env_no_failure(&g.memory);
            index_cursor_release(&cursor);
        }
    }
    golden_close(&g);
}

TEST_MAIN()
