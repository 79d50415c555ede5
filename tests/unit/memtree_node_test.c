#include "memtree/memtree_internal.h"
#include "support/memtree_fixture.h"

static uint8_t *at(struct fixture *f, uint32_t offset) {
    return shm_table(f->shm)[offset >> SHM_CHUNK_SHIFT] + (offset & (SHM_CHUNK_SIZE - 1));
}
static void put_word(struct fixture *f, uint32_t offset, uint32_t value) {
    memcpy(at(f, offset), &value, sizeof value);
}

/* A tree of one leaf written byte by byte as the format says: b, d, f with flags 8, 4, 8. */
static struct memtree handmade(struct fixture *f) {
    static const uint8_t entries[3][16] = {
        {1, 0, 0, 0, 2, 0, 0, 0, 0x48, 0, 0, 0, 'b', 'B', '!', 0},
        {1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x44, 0, 0, 0, 'd', 0, 0, 0},
        {1, 0, 0, 0, 1, 0, 0, 0, 0x08, 0, 0, 0, 'f', 'F', 0, 0}, /* flag 0x40 not believed */
    };
    memset(at(f, 32776), 0, 200);
    for (uint32_t i = 0; i < 3; i++) {
        memcpy(at(f, 32800 + i * 16), entries[i], 16);
        put_word(f, 32848 + i * 4, 32800 + i * 16);
    }
    f->header.live = (struct tree_root){32848, 1, 88, 1};
    f->header.write_offset = 32888;
    f->writer.header = f->header;
    return memtree_live(f->shm, &f->header);
}

TEST(a_leaf_laid_out_byte_by_byte_is_read) {
    struct fixture f;
    struct memtree tree;

    fixture_open(&f, 1);
    tree = handmade(&f);
    CHECK_EQ_STR(fixture_get(&f, &tree, "a"), "?");
    CHECK_EQ_STR(fixture_get(&f, &tree, "b"), "=B!");
    CHECK_EQ_STR(fixture_get(&f, &tree, "bb"), "?");
    CHECK_EQ_STR(fixture_get(&f, &tree, "d"), "-");
    CHECK_EQ_STR(fixture_get(&f, &tree, "f"), "=F");
    CHECK_EQ_STR(fixture_get(&f, &tree, "g"), "?");
    CHECK_EQ_STR(fixture_list(&f, &tree), "b:8 d:4 f:8");
    fixture_close(&f);
}

TEST(a_child_is_seen_replaced_from_its_version_on) {
    struct tree_node node = {.children = {10, 20, 30, 40}};
    CHECK_EQ_UINT(node_child(&node, 2, 1), 30);
    node.version_id = 5;
    node.version_index = 2;
    node.version_child = 99;
    CHECK_EQ_UINT(node_child(&node, 2, 4), 30);
    CHECK_EQ_UINT(node_child(&node, 2, 5), 99);
    CHECK_EQ_UINT(node_child(&node, 2, 1u << 30), 99);
    CHECK_EQ_UINT(node_child(&node, 1, 5), 20);
}

/* What node_search says, after the short way was asked as well: they never differ. */
static uint32_t search(const struct memtree *tree, const char *key, bool *hit, bool *short_way) {
    const uint32_t *entries = node_entries(tree, tree->root.root, true);
    struct slice slice = slice_of(key);
    uint32_t index = 9, quick = 9;

    CHECK(node_search(tree, entries, slice, &index, hit));
    *short_way = slice.size >= 8 && node_search_prefix(tree, entries, get_u64(slice.data), &quick);
    if (*short_way) {
        CHECK(!*hit);
        CHECK_EQ_UINT(quick, index);
    }
    return index;
}

TEST(the_first_eight_bytes_decide_a_search_unless_some_entry_has_the_same_or_fewer) {
    static const char *const stored[] = {"kkkkkkkk1", "kkkkkkkk2", "zzzzzzzzz"};
    static const struct {
        const char *key;
        uint32_t below; /* how many of all three are less */
        bool short_way;
    } table[] = {
        {"aaaaaaaaa", 0, true},  {"kkkkkkkk", 0, false}, {"kkkkkkkk1", 0, false},
        {"kkkkkkkk11", 1, false}, {"kkkkkkkk3", 2, false}, {"kkkkkkkl", 2, true},
        {"zzzzzzzz", 2, false},  {"zzzzzzzzzz", 3, false}, {"\xff\xff\xff\xff\xff\xff\xff\xff", 3, true},
        {"short", 2, false},
    };

    for (uint32_t count = 1; count <= 3; count++) {
        struct fixture f;
        struct memtree tree;
        bool hit, short_way;

        fixture_open(&f, 1);
        fixture_begin(&f);
        for (uint32_t i = 0; i < count; i++) fixture_put(&f, stored[i], "v");
        tree = fixture_live(&f);
        CHECK_EQ_UINT(tree.root.height, 1);
        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
            uint32_t below = table[i].below < count ? table[i].below : count;
            uint32_t first = entries_first(node_entries(&tree, tree.root.root, true));
            TEST_NOTE("%u entries, %s", count, table[i].key);
            CHECK_EQ_UINT(search(&tree, table[i].key, &hit, &short_way), first + below);
            CHECK_EQ_INT(hit, count > below && strcmp(stored[below], table[i].key) == 0);
            if (count == 3) CHECK_EQ_INT(short_way, table[i].short_way);
        }
        /* One short key among them, and the bytes no longer decide. */
        if (count < 3) {
            fixture_put(&f, "kk", "v");
            tree = fixture_live(&f);
            CHECK_EQ_UINT(search(&tree, "aaaaaaaaa", &hit, &short_way),
                          entries_first(node_entries(&tree, tree.root.root, true)));
            CHECK(!short_way);
        }
        fixture_publish(&f);
        fixture_close(&f);
    }
}

TEST(offsets_outside_the_bodies_of_chunks_give_no_address) {
    struct fixture f;
    struct memtree tree;

    fixture_open(&f, 1);
    tree = memtree_live(f.shm, &f.header);
    CHECK(region_at(&tree, 0, 12) == NULL);
    CHECK(region_at(&tree, 8200, 12) == NULL);    /* header chunk */
    CHECK(region_at(&tree, 32768, 12) == NULL);   /* chunk head */
    CHECK(region_at(&tree, 32776, 12) != NULL);
    CHECK(region_at(&tree, 32777, 12) == NULL);   /* not aligned */
    CHECK(region_at(&tree, 65524, 12) != NULL);   /* ends with the chunk */
    CHECK(region_at(&tree, 65528, 12) == NULL);
    CHECK(region_at(&tree, 65536 + 8, 12) == NULL); /* no such chunk */
    CHECK(region_at(&tree, 0xfffffffcu, 12) == NULL);
    fixture_close(&f);
}

/* Every operation on a damaged tree ends, with LSM_CORRUPT or a result, and touches nothing foreign. */
static void poke_all(struct fixture *f) {
    struct memtree tree = memtree_live(f->shm, &f->header);
    struct memtree_cursor cursor;
    enum lookup_state state;
    struct slice value;
    int steps = 0;

    memtree_cursor_init(&cursor, &f->env, &f->error);
    memtree_cursor_open(&cursor, &tree);
    if (memtree_first(&cursor) == LSM_OK) {
        while (memtree_cursor_valid(&cursor) && steps++ < 1000) {
            if ((cursor.flags & RECORD_INSERT) && memtree_value(&cursor, &value) != LSM_OK) break;
            if (memtree_next(&cursor) != LSM_OK) break;
        }
    }
    (void)!memtree_last(&cursor);
    (void)!memtree_seek_le(&cursor, slice_of("e"));
    (void)!memtree_seek_ge(&cursor, slice_of("e"));
    (void)!memtree_lookup(&tree, slice_of("d"), &f->scratch, &f->error, &state, &value);
    (void)!memtree_lookup(&tree, slice_of("b"), &f->scratch, &f->error, &state, &value);
    (void)memtree_check(f->shm, &f->header, NULL);
    memtree_cursor_release(&cursor);
}

TEST(no_damage_of_single_bytes_is_followed_out_of_the_region) {
    struct fixture f;
    static const uint8_t patterns[] = {0x00, 0x01, 0x3f, 0x80, 0xff};

    fixture_open(&f, 1);
    handmade(&f);
    for (uint32_t offset = 32768; offset < 32888; offset++) {
        for (size_t i = 0; i < sizeof patterns; i++) {
            uint8_t before = *at(&f, offset);
            *at(&f, offset) = patterns[i];
            poke_all(&f);
            *at(&f, offset) = before;
        }
    }
    for (uint32_t word = 4; word < 8; word++) { /* the root record itself */
        struct tree_header before = f.header;
        uint32_t *words = (uint32_t *)(void *)&f.header;
        for (uint32_t shift = 0; shift < 32; shift++) {
            words[word] ^= 1u << shift;
            poke_all(&f);
            f.header = before;
        }
    }
    fixture_close(&f);
}

TEST(damage_is_reported_with_place_and_reason) {
    struct fixture f;
    struct memtree tree;
    enum lookup_state state = LOOKUP_FOUND;

    fixture_open(&f, 1);
    tree = handmade(&f);
    put_word(&f, 32848 + 4, 0); /* no middle entry */
    CHECK_RC(memtree_lookup(&tree, slice_of("d"), &f.scratch, &f.error, &state, NULL), LSM_CORRUPT);
    CHECK_EQ_INT(f.error.code, LSM_CORRUPT);
    CHECK_EQ_UINT(f.error.page_no, 32848);
    CHECK(f.error.reason != NULL);
    CHECK_EQ_INT(state, LOOKUP_FOUND); /* untouched */
    tree.root.height = MEMTREE_DEPTH_MAX + 1;
    CHECK_RC(memtree_lookup(&tree, slice_of("d"), &f.scratch, NULL, &state, NULL), LSM_CORRUPT);
    fixture_close(&f);
}

TEST(lengths_that_the_region_cannot_hold_are_refused_before_memory_is_asked_for) {
    struct fixture f;
    struct memtree tree;
    enum lookup_state state;
    struct slice value;

    fixture_open(&f, 1);
    tree = handmade(&f);
    put_word(&f, 32800 + 4, 0x7fffffff);
    allocations_left = 0;
    CHECK_RC(memtree_lookup(&tree, slice_of("b"), &f.scratch, &f.error, &state, &value), LSM_CORRUPT);
    put_word(&f, 32800 + 4, 32730); /* fits one chunk, but runs off this one, and there is no next */
    CHECK_RC(memtree_lookup(&tree, slice_of("b"), &f.scratch, &f.error, &state, &value), LSM_NOMEM);
    allocations_left = -1;
    CHECK_RC(memtree_lookup(&tree, slice_of("b"), &f.scratch, &f.error, &state, &value), LSM_CORRUPT);
    fixture_close(&f);
}

TEST(an_old_tree_is_there_only_while_its_id_is_set) {
    struct fixture f;
    struct memtree tree;

    fixture_open(&f, 1);
    handmade(&f);
    f.header.old = f.header.live;
    tree = memtree_old(f.shm, &f.header);
    CHECK(memtree_is_empty(&tree));
    f.header.old_id = 1;
    tree = memtree_old(f.shm, &f.header);
    CHECK_EQ_STR(fixture_get(&f, &tree, "b"), "=B!");
    fixture_close(&f);
}

TEST_MAIN()
