#include "support/memtree_fixture.h"

static void fill(struct fixture *f, int count) {
    fixture_begin(f);
    for (int i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "%04d", i * 61 % count * 2); /* even numbers */
        fixture_put(f, key, key);
    }
}

TEST(seeks_and_steps_agree_with_the_order_of_keys_at_every_size) {
    for (int count = 0; count < 60; count++) {
        struct fixture f;
        struct memtree_cursor cursor;
        struct memtree tree;

        fixture_open(&f, 1);
        fill(&f, count);
        tree = fixture_live(&f);
        memtree_cursor_init(&cursor, &f.env, &f.error);
        memtree_cursor_open(&cursor, &tree);
        for (int target = -1; target <= 2 * count; target++) {
            char key[16], expected[16];
            int le = target < 0 ? -1 : target / 2 * 2;
            int ge = target < 0 ? 0 : (target + 1) / 2 * 2;
            if (le > 2 * (count - 1)) le = 2 * (count - 1);
            snprintf(key, sizeof key, "%04d", target);
            if (target < 0) snprintf(key, sizeof key, "%s", "");
            CHECK_OK(memtree_seek_le(&cursor, slice_of(key)));
            CHECK_EQ_INT(memtree_cursor_valid(&cursor), count > 0 && le >= 0);
            while (memtree_cursor_valid(&cursor)) {
                snprintf(expected, sizeof expected, "%04d", le);
                CHECK_EQ_BYTES(cursor.key.data, cursor.key.size, expected, 4);
                le -= 2;
                CHECK_OK(memtree_prev(&cursor));
            }
            CHECK(count == 0 || le == -2 || target < 0);
            CHECK_OK(memtree_seek_ge(&cursor, slice_of(key)));
            while (memtree_cursor_valid(&cursor)) {
                struct slice value;
                snprintf(expected, sizeof expected, "%04d", ge);
                CHECK_EQ_BYTES(cursor.key.data, cursor.key.size, expected, 4);
                CHECK_OK(memtree_value(&cursor, &value));
                CHECK_EQ_BYTES(value.data, value.size, expected, 4);
                ge += 2;
                CHECK_OK(memtree_next(&cursor));
            }
            CHECK(ge >= 2 * count);
        }
        memtree_cursor_release(&cursor);
        fixture_close(&f);
    }
}

TEST(a_walk_may_turn_round_anywhere) {
    struct fixture f;
    struct memtree_cursor cursor;
    struct memtree tree;
    int at = 0;

    fixture_open(&f, 1);
    fill(&f, 500);
    tree = fixture_live(&f);
    memtree_cursor_init(&cursor, &f.env, &f.error);
    memtree_cursor_open(&cursor, &tree);
    CHECK_OK(memtree_first(&cursor));
    for (int i = 0; i < 5000; i++) {
        char expected[16];
        bool forward = at == 0 || (at < 499 && test_random_below(2));
        at += forward ? 1 : -1;
        CHECK_OK(forward ? memtree_next(&cursor) : memtree_prev(&cursor));
        snprintf(expected, sizeof expected, "%04d", at * 2);
        CHECK_EQ_BYTES(cursor.key.data, cursor.key.size, expected, 4);
    }
    memtree_cursor_release(&cursor);
    fixture_close(&f);
}

TEST(keys_and_values_across_chunks_are_copied_and_failed_allocations_are_reported) {
    static uint8_t bytes[150000];
    struct fixture f;
    struct memtree_cursor cursor;
    struct memtree tree;
    struct slice big = {bytes, sizeof bytes};
    struct slice value = {NULL, 0};

    test_random_bytes(bytes, sizeof bytes);
    fixture_open(&f, 1);
    fixture_begin(&f);
    CHECK_OK(memtree_put(&f.writer, big, big));
    tree = fixture_live(&f);
    memtree_cursor_init(&cursor, &f.env, &f.error);
    memtree_cursor_open(&cursor, &tree);
    allocations_left = 0;
    CHECK_RC(memtree_first(&cursor), LSM_NOMEM);
    CHECK(!memtree_cursor_valid(&cursor));
    allocations_left = 1;
    CHECK_OK(memtree_first(&cursor));
    CHECK_RC(memtree_value(&cursor, &value), LSM_NOMEM);
    CHECK(value.data == NULL && memtree_cursor_valid(&cursor));
    allocations_left = -1;
    CHECK_OK(memtree_value(&cursor, &value));
    CHECK_EQ_BYTES(cursor.key.data, cursor.key.size, bytes, sizeof bytes);
    CHECK_EQ_BYTES(value.data, value.size, bytes, sizeof bytes);
    big.size--;
    CHECK_OK(memtree_seek_ge(&cursor, big));
    CHECK(memtree_cursor_valid(&cursor));
    CHECK_OK(memtree_seek_le(&cursor, big));
    CHECK(!memtree_cursor_valid(&cursor));
    memtree_cursor_release(&cursor);
    memtree_cursor_release(&cursor);
    fixture_close(&f);
}

TEST_MAIN()
