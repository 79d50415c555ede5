#include "memtree/memtree_internal.h"
#include "support/memtree_fixture.h"

/* Damage the fixture in one way each; memtree_check must say why. */
static const char *reason_after(int kind) {
    static const char *reason;
    struct fixture f;
    struct memtree tree;
    struct tree_node *root;
    struct tree_entry *entry;

    fixture_open(&f, 5);
    fixture_begin(&f);
    for (char c = 'a'; c <= 'k'; c++) fixture_put(&f, (char[2]){c, 0}, "value");
    CHECK_OK(memtree_delete_range(&f.writer, slice_of("m"), slice_of("p")));
    fixture_check(&f);
    tree = fixture_live(&f);
    root = region_at(&tree, tree.root.root, NODE_SIZE);
    entry = region_at(&tree, root->entries[1], ENTRY_HEAD_SIZE);
    switch (kind) {
    case 0: break;
    case 1: chunk_head_at(&tree, 1)->id++; break;
    case 2: chunk_head_at(&tree, 1)->next = 1; break;
    case 3: f.writer.header.used_id = 9; break;
    case 4: f.writer.header.old_id = 4; break;
    case 5: root->entries[1] = 0; break;
    case 6: root->version_id = tree.root.txn_id + 1; break;
    case 7: root->version_child = 1; break;
    case 8: entry->flags ^= ENTRY_CONTIGUOUS; break;
    case 9: entry->flags |= RECORD_POINT_DELETE; break;
    case 10: entry->flags |= RECORD_START_DELETE; break;
    case 11: ((uint8_t *)(entry + 1))[0] = 'z'; break;
    case 12: f.writer.header.live.height++; break;
    case 13: root->children[1] = 0; break;
    case 14: f.writer.header.chunk_count++; break;
    case 15: f.writer.header.write_offset = 70000; break;
    case 16: entry->key_size = 500000; break;
    case 17: root->children[1] = tree.root.root; break;
    default: TEST_FAIL("no such damage");
    }
    reason = "good";
    (void)memtree_check(f.shm, &f.writer.header, &reason);
    fixture_close(&f);
    return reason;
}

TEST(each_kind_of_damage_has_its_reason) {
    CHECK_EQ_STR(reason_after(0), "good");
    CHECK_EQ_STR(reason_after(1), "ids do not rise by one along the list");
    CHECK_EQ_STR(reason_after(2), "the chunk list is too long");
    CHECK_EQ_STR(reason_after(3), "used_id is not listed");
    CHECK_EQ_STR(reason_after(4), "old_id is not listed");
    CHECK_EQ_STR(reason_after(5), "a node without entry 1");
    CHECK_EQ_STR(reason_after(6), "a version of the future");
    CHECK_EQ_STR(reason_after(7), "an empty second version is not zero");
    CHECK_EQ_STR(reason_after(8), "the contiguous flag is wrong");
    CHECK_EQ_STR(reason_after(9), "an entry is impossible");
    CHECK_EQ_STR(reason_after(10), "the marks of a deleted range do not pair");
    CHECK_EQ_STR(reason_after(11), "keys are not in order");
    CHECK(strcmp(reason_after(12), "good") != 0);
    CHECK_EQ_STR(reason_after(13), "a node is impossible");
    CHECK_EQ_STR(reason_after(14), "chunks are missing");
    CHECK_EQ_STR(reason_after(15), "the last chunk is not the one being filled");
    CHECK_EQ_STR(reason_after(16), "an entry is impossible");
    CHECK(strcmp(reason_after(17), "good") != 0);
}

TEST(a_root_leaf_must_be_40_bytes_with_zeros_behind_its_entries) {
    struct fixture f;
    struct memtree tree;
    const char *reason = "good";

    fixture_open(&f, 1);
    fixture_begin(&f);
    fixture_put(&f, "a", "1");
    tree = fixture_live(&f);
    ((struct tree_node *)region_at(&tree, tree.root.root, NODE_SIZE))->version_id = 7;
    CHECK(!memtree_check(f.shm, &f.writer.header, &reason));
    CHECK_EQ_STR(reason, "a root leaf is not zero behind its entries");
    CHECK(!memtree_check(f.shm, &f.writer.header, NULL));
    fixture_close(&f);
}

TEST(the_old_tree_is_checked_too_and_uses_no_chunk_behind_its_last) {
    struct fixture f;
    struct log_region end = {0, 0};
    const char *reason = "good";

    fixture_open(&f, 1);
    fixture_begin(&f);
    for (int i = 0; i < 100; i++) {
        static uint8_t bytes[2000];
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        CHECK_OK(memtree_put(&f.writer, slice_of(key), (struct slice){bytes, sizeof bytes}));
    }
    CHECK(memtree_freeze(&f.writer.header, &end, 0));
    fixture_check(&f);
    f.writer.header.old_id--;
    CHECK(!memtree_check(f.shm, &f.writer.header, &reason));
    CHECK_EQ_STR(reason, "a tree uses a chunk behind its last");
    f.writer.header.old_id++;
    f.writer.header.used_id++;
    CHECK(!memtree_check(f.shm, &f.writer.header, &reason));
    CHECK_EQ_STR(reason, "a tree uses a chunk before used_id");
    fixture_close(&f);
}

TEST_MAIN()
