/*
** store_range_test.c — range tombstones as intervals: what is covered, what is not, and when there are too many.
*/
#include "store/store_internal.h"
#include "support/cursor_world.h"

/* Intervals of records in the words of cursor_world.h. */
static void build(struct range_list *list, lsm_env *env, const char *text) {
    struct slice key, value;
    uint8_t flags;

    range_list_init(list, env);
    while (world_word(&text, &flags, &key, &value)) range_list_add(list, flags, key);
}

static void check_covers(const char *text, const char *covered, const char *free) {
    struct test_env env;
    struct store *store = NULL;
    struct range_list list;
    struct range_copy copy;
    char key[2] = {0};

    test_env_init(&env);
    CHECK_OK(store_open(&env.env, 1 << 20, &store));
    build(&list, &env.env, text);
    CHECK(!list.overflow);
    CHECK(range_copy_make(store, &list, &copy));
    for (; *covered; covered++) {
        if (*covered == ' ') continue;
        key[0] = *covered;
        CHECK_MSG(range_copy_covers(&copy, slice_of(key)), "%s should cover %s", text, key);
    }
    for (; *free; free++) {
        key[0] = *free;
        CHECK_MSG(!range_copy_covers(&copy, slice_of(key)), "%s should not cover %s", text, key);
    }
    range_copy_release(store, &copy);
    range_list_release(&list);
    store_close(store);
    CHECK_EQ_INT(env.live_blocks, 0);
}

TEST(a_key_strictly_between_two_marks_is_covered) {
    check_covers("b=1 [d ]g k=1", "ef", "abcdghz");
    check_covers("[d ]g [k=1 ]p", "eflmno", "adghjkpz");
}

TEST(intervals_that_touch_become_one_and_their_bound_is_perhaps_covered) {
    check_covers("[d ][h=1 ]k", "eghij", "adkz");
    check_covers("[d ]h [k ]m", "eg l", "dhijkmz");
}

TEST(an_interval_without_an_end_covers_all_that_follows) {
    check_covers("[d ]f [m", "enz", "adfgm");
}

TEST(an_interval_without_a_beginning_covers_all_before) {
    check_covers("]d e=1 [k ]m", "ac l", "dekmz");
    check_covers("-]d", "a", "dz");
}

TEST(a_run_without_marks_covers_nothing) {
    check_covers("a=1 -b ^c", "", "abcdz");
}

TEST(marks_that_do_not_pair_make_the_list_worthless) {
    static const char *const bad[] = {"[d [f", "[d ]f ]h", "]d ]f"};
    struct test_env env;

    test_env_init(&env);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct range_list list;
        build(&list, &env.env, bad[i]);
        CHECK(list.overflow);
        range_list_release(&list);
    }
    CHECK_EQ_INT(env.live_blocks, 0);
}

TEST(too_many_or_too_long_intervals_make_the_list_worthless) {
    struct test_env env;
    struct range_list list;
    static uint8_t key[9000];
    uint32_t i;

    test_env_init(&env);
    range_list_init(&list, &env.env);
    for (i = 0; i < RANGES_MAX; i++) {
        key[0] = (uint8_t)(i >> 8), key[1] = (uint8_t)i, key[2] = 0;
        range_list_add(&list, RECORD_START_DELETE, (struct slice){key, 3});
        key[2] = 1;
        range_list_add(&list, RECORD_END_DELETE, (struct slice){key, 3});
    }
    CHECK(!list.overflow);
    CHECK_EQ_UINT(list.count, RANGES_MAX);
    key[0] = 255;
    range_list_add(&list, RECORD_START_DELETE, (struct slice){key, 3});
    CHECK(list.overflow);
    range_list_release(&list);

    range_list_init(&list, &env.env);
    range_list_add(&list, RECORD_START_DELETE, (struct slice){key, 9000});
    CHECK(!list.overflow);
    key[0] = 255, key[1] = 255;
    range_list_add(&list, RECORD_END_DELETE, (struct slice){key, 9000});
    CHECK(list.overflow);
    range_list_release(&list);
    CHECK_EQ_INT(env.live_blocks, 0);
}

TEST(random_marks_agree_with_a_plain_walk) {
    struct test_env env;
    struct store *store = NULL;

    test_env_init(&env);
    CHECK_OK(store_open(&env.env, 1 << 20, &store));
    for (int round = 0; round < 300; round++) {
        struct range_list list;
        struct range_copy copy;
        bool inside[26] = {false}, bound[26] = {false}, open = false;

        range_list_init(&list, &env.env);
        for (int i = 0; i < 26; i++) {
            uint8_t key = (uint8_t)('a' + i), flags = 0;
            inside[i] = open;
            if (test_random_below(3) == 0) {
                if (open) flags |= RECORD_END_DELETE;
                open = test_random_below(2) != 0;
                if (open) flags |= RECORD_START_DELETE;
                bound[i] = flags != 0;
            }
            range_list_add(&list, flags, (struct slice){&key, 1});
        }
        CHECK(range_copy_make(store, &list, &copy));
        for (int i = 0; i < 26; i++) {
            uint8_t key = (uint8_t)('a' + i);
            bool covers = range_copy_covers(&copy, (struct slice){&key, 1});
            if (bound[i]) continue; /* either will do */
            CHECK_EQ_INT(covers, inside[i]);
        }
        range_copy_release(store, &copy);
        range_list_release(&list);
    }
    store_close(store);
    CHECK_EQ_INT(env.live_blocks, 0);
}

TEST_MAIN()
