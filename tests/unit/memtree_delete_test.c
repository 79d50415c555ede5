#include "memtree/memtree_internal.h"
#include "support/memtree_fixture.h"

static void delete_range(struct fixture *f, const char *from, const char *to) {
    CHECK_OK(memtree_delete_range(&f->writer, slice_of(from), slice_of(to)));
    fixture_check(f);
}

static const char *list(struct fixture *f) {
    struct memtree tree = fixture_live(f);
    return fixture_list(f, &tree);
}

TEST(a_range_deleted_from_an_empty_tree_leaves_its_two_marks) {
    struct fixture f;
    fixture_open(&f, 1);
    fixture_begin(&f);
    delete_range(&f, "b", "f");
    CHECK_EQ_STR(list(&f), "b:1 f:2");
    fixture_close(&f);
}

TEST(overlapping_touching_and_nested_ranges_become_one) {
    struct fixture f;
    fixture_open(&f, 1);
    fixture_begin(&f);
    delete_range(&f, "b", "f");
    delete_range(&f, "d", "m"); /* overlaps */
    CHECK_EQ_STR(list(&f), "b:1 m:2");
    delete_range(&f, "c", "d"); /* inside */
    CHECK_EQ_STR(list(&f), "b:1 m:2");
    delete_range(&f, "m", "p"); /* touches: m itself stays */
    CHECK_EQ_STR(list(&f), "b:1 m:3 p:2");
    delete_range(&f, "a", "z"); /* around */
    CHECK_EQ_STR(list(&f), "a:1 z:2");
    delete_range(&f, "A", "c");
    CHECK_EQ_STR(list(&f), "A:1 z:2");
    fixture_close(&f);
}

TEST(bounds_that_are_keys_stay_and_carry_the_marks) {
    struct fixture f;
    struct memtree tree;
    fixture_open(&f, 1);
    fixture_begin(&f);
    for (char c = 'a'; c <= 'i'; c++) fixture_put(&f, (char[2]){c, 0}, "v");
    CHECK_OK(memtree_delete(&f.writer, slice_of("g")));
    delete_range(&f, "c", "g");
    CHECK_EQ_STR(list(&f), "a:8 b:8 c:9 g:6 h:8 i:8");
    tree = fixture_live(&f);
    CHECK_EQ_STR(fixture_get(&f, &tree, "c"), "=v");
    CHECK_EQ_STR(fixture_get(&f, &tree, "d"), "-");
    CHECK_EQ_STR(fixture_get(&f, &tree, "g"), "-");
    fixture_close(&f);
}

/* DF-24 */
TEST(a_tree_that_shrinks_to_one_leaf_gets_a_root_of_40_zeroed_bytes) {
    struct fixture f;
    fixture_open(&f, 1);
    for (int published = 0; published < 2; published++) {
        fixture_begin(&f);
        for (char c = 'a'; c <= 'z'; c++) fixture_put(&f, (char[2]){c, 0}, "v");
        if (published) {
            fixture_publish(&f);
            fixture_begin(&f);
        }
        CHECK(f.writer.header.live.height > 1);
        delete_range(&f, "a", "z"); /* memtree_check looks at the root leaf (K4) */
        CHECK_EQ_UINT(f.writer.header.live.height, 1);
        CHECK_EQ_STR(list(&f), "a:9 z:a");
        fixture_put(&f, "a", "w");
        fixture_check(&f);
        fixture_publish(&f);
    }
    fixture_close(&f);
}

TEST(every_range_of_a_tree_of_three_levels_can_be_deleted_and_older_versions_stay) {
    struct fixture f;
    static char before[4096];

    for (int low = 0; low < 30; low++) {
        for (int high = low + 1; high <= 30; high += 3) {
            struct memtree published;
            char from[16], to[16];
            fixture_open(&f, 1);
            fixture_begin(&f);
            for (int i = 0; i < 30; i++) {
                char key[16];
                snprintf(key, sizeof key, "%02d", i * 7 % 30);
                fixture_put(&f, key, "v");
            }
            fixture_publish(&f);
            published = memtree_live(f.shm, &f.header);
            snprintf(before, sizeof before, "%s", fixture_list(&f, &published));
            fixture_begin(&f);
            snprintf(from, sizeof from, "%02d", low);
            snprintf(to, sizeof to, "%02d%s", high, high % 2 ? "x" : "");
            delete_range(&f, from, to);
            for (int i = 0; i < 30; i++) {
                struct memtree tree = fixture_live(&f);
                char key[16];
                snprintf(key, sizeof key, "%02d", i);
                CHECK_EQ_STR(fixture_get(&f, &tree, key),
                             strcmp(key, from) > 0 && strcmp(key, to) < 0 ? "-" : "=v");
            }
            CHECK_EQ_STR(fixture_list(&f, &published), before);
            fixture_close(&f);
        }
    }
}

TEST(a_failed_allocation_in_a_range_delete_can_be_rolled_back) {
    struct fixture f;
    static char before[4096];
    long n;

    for (n = 0;; n++) {
        struct memtree_mark mark;
        struct memtree tree;
        int rc;
        fixture_open(&f, 1);
        fixture_begin(&f);
        for (int i = 0; i < 200; i++) {
            char key[16];
            snprintf(key, sizeof key, "%03d", i);
            fixture_put(&f, key, "v");
        }
        fixture_publish(&f);
        fixture_begin(&f);
        memtree_writer_mark(&f.writer, &mark);
        tree = fixture_live(&f);
        snprintf(before, sizeof before, "%s", fixture_list(&f, &tree));
        allocations_left = n;
        rc = memtree_delete_range(&f.writer, slice_of("010"), slice_of("190"));
        allocations_left = -1;
        if (rc != LSM_OK) {
            CHECK_RC(rc, LSM_NOMEM);
            memtree_writer_rollback_to(&f.writer, &mark);
            fixture_check(&f);
            tree = fixture_live(&f);
            CHECK_EQ_STR(fixture_list(&f, &tree), before);
            delete_range(&f, "010", "190");
        }
        fixture_close(&f);
        if (rc == LSM_OK) break;
    }
    CHECK(n > 0);
}

TEST_MAIN()
