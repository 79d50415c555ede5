#include "memtree/memtree_internal.h"
#include "support/memtree_fixture.h"

TEST(the_first_entry_and_its_root_leaf_lie_where_the_format_says) {
    static const uint8_t expected[] = {
        2, 0, 0, 0, 2, 0, 0, 0, 0x48, 0, 0, 0, 'k', '1', 'v', '1', /* entry at 32776 */
        0, 0, 0, 0, 0x08, 0x80, 0, 0, 0, 0, 0, 0,                  /* node at 32792: k1 = 0x8008 */
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,            /* children, then the version: zero */
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    };
    struct fixture f;

    fixture_open(&f, 1);
    fixture_begin(&f);
    fixture_put(&f, "k1", "v1");
    CHECK_EQ_BYTES(shm_table(f.shm)[1] + 8, sizeof expected, expected, sizeof expected);
    CHECK_EQ_UINT(f.writer.header.live.root, 32792);
    CHECK_EQ_UINT(f.writer.header.live.height, 1);
    CHECK_EQ_UINT(f.writer.header.live.byte_count, 56);
    CHECK_EQ_UINT(f.writer.header.live.txn_id, 2);
    CHECK_EQ_UINT(f.writer.header.write_offset, 32832);
    fixture_close(&f);
}

TEST(changing_a_published_leaf_copies_it_and_changing_a_private_one_does_not) {
    struct fixture f;
    struct memtree published;
    uint32_t root;

    fixture_open(&f, 1);
    fixture_begin(&f);
    fixture_put(&f, "a", "1");
    root = f.writer.header.live.root;
    fixture_put(&f, "b", "2");
    CHECK_EQ_UINT(f.writer.header.live.root, root);
    fixture_publish(&f);
    published = memtree_live(f.shm, &f.header);
    fixture_begin(&f);
    fixture_put(&f, "c", "3");
    CHECK(f.writer.header.live.root != root);
    root = f.writer.header.live.root;
    fixture_put(&f, "b", "4");
    CHECK_EQ_UINT(f.writer.header.live.root, root);
    CHECK_EQ_STR(fixture_list(&f, &published), "a:8 b:8");
    CHECK_EQ_STR(fixture_get(&f, &published, "b"), "=2");
    fixture_check(&f);
    fixture_close(&f);
}

TEST(a_published_interior_node_is_given_a_second_version_once_and_then_copied) {
    struct fixture f;
    struct memtree versions[4];
    struct tree_node *root;
    uint32_t first_root;

    fixture_open(&f, 1);
    fixture_begin(&f);
    fixture_put(&f, "b", "1");
    fixture_put(&f, "d", "1");
    fixture_put(&f, "f", "1");
    fixture_put(&f, "h", "1"); /* splits: height 2 */
    CHECK_EQ_UINT(f.writer.header.live.height, 2);
    fixture_publish(&f);
    versions[0] = memtree_live(f.shm, &f.header);
    first_root = f.header.live.root;
    root = region_at(&versions[0], first_root, NODE_SIZE);
    CHECK_EQ_UINT(root->version_id, 0);

    fixture_begin(&f);
    fixture_put(&f, "a", "2");
    CHECK_EQ_UINT(f.writer.header.live.root, first_root);
    CHECK_EQ_UINT(root->version_id, f.writer.header.live.txn_id);
    CHECK_EQ_UINT(f.writer.touched.size, 4);
    fixture_publish(&f);
    versions[1] = memtree_live(f.shm, &f.header);

    fixture_begin(&f);
    fixture_put(&f, "z", "3");
    CHECK(f.writer.header.live.root != first_root);
    fixture_publish(&f);
    versions[2] = memtree_live(f.shm, &f.header);
    CHECK_EQ_STR(fixture_list(&f, &versions[0]), "b:8 d:8 f:8 h:8");
    CHECK_EQ_STR(fixture_list(&f, &versions[1]), "a:8 b:8 d:8 f:8 h:8");
    CHECK_EQ_STR(fixture_list(&f, &versions[2]), "a:8 b:8 d:8 f:8 h:8 z:8");
    fixture_close(&f);
}

static void put_number(struct fixture *f, uint32_t number) {
    char key[16];
    snprintf(key, sizeof key, "%08u", number);
    fixture_put(f, key, key);
}

TEST(ascending_descending_and_random_input_give_balanced_trees) {
    static const uint32_t count = 20000;
    struct fixture f;

    for (int order = 0; order < 3; order++) {
        struct memtree tree;
        fixture_open(&f, 1);
        fixture_begin(&f);
        for (uint32_t i = 0; i < count; i++) {
            put_number(&f, order == 0 ? i : order == 1 ? count - i : i * 7919 % count);
            if ((i & (i - 1)) == 0) fixture_check(&f);
        }
        fixture_check(&f);
        tree = fixture_live(&f);
        CHECK(tree.root.height >= 8 && tree.root.height <= 14);
        CHECK_EQ_STR(fixture_get(&f, &tree, "00000777"), "=00000777");
        CHECK_EQ_STR(fixture_get(&f, &tree, "x"), "?");
        fixture_close(&f);
    }
}

TEST(point_deletes_and_overwrites_keep_the_bounds_that_an_entry_carries) {
    struct fixture f;
    struct memtree tree;

    fixture_open(&f, 1);
    fixture_begin(&f);
    CHECK_OK(memtree_delete_range(&f.writer, slice_of("c"), slice_of("p")));
    fixture_put(&f, "c", "C");
    CHECK_OK(memtree_delete(&f.writer, slice_of("p")));
    fixture_put(&f, "h", "H"); /* inside: cuts the range in two */
    CHECK_OK(memtree_delete(&f.writer, slice_of("k")));
    tree = fixture_live(&f);
    CHECK_EQ_STR(fixture_list(&f, &tree), "c:9 h:b k:7 p:6");
    CHECK_EQ_STR(fixture_get(&f, &tree, "d"), "-");
    CHECK_EQ_STR(fixture_get(&f, &tree, "i"), "-");
    CHECK_EQ_STR(fixture_get(&f, &tree, "h"), "=H");
    CHECK_EQ_STR(fixture_get(&f, &tree, "k"), "-");
    CHECK_EQ_STR(fixture_get(&f, &tree, "p"), "-");
    CHECK_EQ_STR(fixture_get(&f, &tree, "q"), "?");
    fixture_check(&f);
    fixture_close(&f);
}

TEST(empty_keys_and_values_are_stored) {
    struct fixture f;
    struct memtree tree;
    struct slice none = {NULL, 0};

    fixture_open(&f, 1);
    fixture_begin(&f);
    CHECK_OK(memtree_put(&f.writer, none, slice_of("empty key")));
    CHECK_OK(memtree_put(&f.writer, slice_of("a"), none));
    tree = fixture_live(&f);
    CHECK_EQ_STR(fixture_get(&f, &tree, ""), "=empty key");
    CHECK_EQ_STR(fixture_get(&f, &tree, "a"), "=");
    fixture_check(&f);
    fixture_close(&f);
}

/* DF-24 */
TEST(a_root_leaf_of_12_bytes_left_by_others_is_read_as_12_and_replaced_by_40) {
    struct fixture f;
    struct memtree tree;
    uint32_t small;

    fixture_open(&f, 1);
    fixture_begin(&f);
    fixture_put(&f, "a", "1");
    /* A leaf of 12 bytes at the very end of the chunk, with something else behind it in the next. */
    tree = fixture_live(&f);
    small = 65536 - LEAF_SIZE;
    memcpy(region_at(&tree, small, LEAF_SIZE), region_at(&tree, tree.root.root, LEAF_SIZE), LEAF_SIZE);
    f.writer.header.live.root = small;
    f.writer.header.write_offset = 65536;
    fixture_publish(&f);
    fixture_begin(&f);
    tree = fixture_live(&f);
    CHECK_EQ_STR(fixture_get(&f, &tree, "a"), "=1");
    fixture_put(&f, "a", "2");
    tree = fixture_live(&f);
    CHECK_EQ_STR(fixture_get(&f, &tree, "a"), "=2");
    CHECK_EQ_UINT(f.writer.header.write_offset - tree.root.root, NODE_SIZE);
    fixture_check(&f);
    fixture_close(&f);
}

TEST(transaction_ids_stop_below_2_to_the_30_until_the_tree_is_frozen) {
    struct fixture f;
    struct log_region end = {0, 0};

    fixture_open(&f, 1);
    fixture_begin(&f);
    fixture_put(&f, "a", "1");
    f.writer.header.live.txn_id = TXN_ID_LIMIT - 2;
    fixture_publish(&f);
    fixture_begin(&f);
    fixture_put(&f, "b", "1");
    fixture_publish(&f);
    fixture_begin(&f);
    CHECK_RC(memtree_put(&f.writer, slice_of("c"), slice_of("1")), LSM_FULL);
    CHECK_RC(memtree_delete_range(&f.writer, slice_of("a"), slice_of("z")), LSM_FULL);
    CHECK(memtree_freeze(&f.writer.header, &end, 1));
    fixture_publish(&f);
    fixture_begin(&f);
    CHECK_EQ_UINT(f.writer.header.live.txn_id, 2);
    fixture_put(&f, "c", "1");
    fixture_close(&f);

    fixture_open(&f, 1);
    f.header.live.txn_id = TXN_ID_LIMIT - 1;
    fixture_begin(&f);
    CHECK_EQ_UINT(f.writer.header.live.txn_id, 1); /* empty: nothing to tell apart */
    fixture_close(&f);
}

TEST_MAIN()
