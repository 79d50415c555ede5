#include "memtree/memtree_internal.h"
#include "support/memtree_fixture.h"

static struct slice filler(uint32_t size) {
    static uint8_t bytes[200000];
    memset(bytes, 'x', sizeof bytes);
    CHECK(size <= sizeof bytes);
    return (struct slice){bytes, size};
}

TEST(an_entry_continues_behind_the_head_of_the_next_chunk) {
    struct fixture f;
    struct memtree tree;
    const uint8_t *chunk;

    fixture_open(&f, 1);
    fixture_begin(&f);
    /* first entry at 32776, node behind it; then one that crosses into chunk 2 */
    CHECK_OK(memtree_put(&f.writer, slice_of("a"), filler(32600)));
    CHECK_EQ_UINT(f.writer.header.write_offset, 32776 + 12 + 1 + 32600 + 3 + 40);
    CHECK_EQ_UINT(f.writer.header.live.byte_count, 12 + 1 + 32600 + 40);
    CHECK_OK(memtree_put(&f.writer, slice_of("b"), filler(300)));
    CHECK_EQ_UINT(f.writer.header.chunk_count, 3);
    CHECK_EQ_UINT(f.writer.header.next_id, 3);
    chunk = shm_table(f.shm)[1];
    CHECK_EQ_UINT(((const uint32_t *)(const void *)chunk)[1], 2); /* next */
    chunk = shm_table(f.shm)[2];
    CHECK_EQ_UINT(((const uint32_t *)(const void *)chunk)[0], 2); /* id */
    CHECK_EQ_UINT(((const uint32_t *)(const void *)chunk)[1], 0);
    CHECK_EQ_UINT(chunk[8], 'x');
    tree = fixture_live(&f);
    fixture_check(&f);
    CHECK_EQ_INT(strlen(fixture_get(&f, &tree, "b")), 255);
    fixture_close(&f);
}

/* DF-25 */
TEST(an_entry_that_ends_exactly_with_its_chunk_is_not_marked_contiguous) {
    struct fixture f;
    struct memtree tree;
    const struct tree_entry *head;

    fixture_open(&f, 1);
    fixture_begin(&f);
    CHECK_OK(memtree_put(&f.writer, slice_of("a"), filler(32760 - 13)));
    head = (const void *)(shm_table(f.shm)[1] + 8);
    CHECK_EQ_UINT(head->flags, RECORD_INSERT);
    CHECK_EQ_UINT(f.writer.header.write_offset, 65544 + 40); /* the node went to chunk 2 */
    fixture_check(&f);
    tree = fixture_live(&f);
    CHECK_EQ_INT(fixture_get(&f, &tree, "a")[0], '=');
    fixture_close(&f);

    fixture_open(&f, 1);
    fixture_begin(&f);
    CHECK_OK(memtree_put(&f.writer, slice_of("a"), filler(32760 - 14)));
    head = (const void *)(shm_table(f.shm)[1] + 8);
    CHECK_EQ_UINT(head->flags, RECORD_INSERT | ENTRY_CONTIGUOUS);
    fixture_check(&f);
    fixture_close(&f);
}

TEST(an_entry_head_may_end_exactly_with_its_chunk) {
    struct fixture f;
    struct memtree tree;

    fixture_open(&f, 1);
    fixture_begin(&f);
    /* leave exactly 12 bytes: 32776 + 13 + n, aligned, + 40 = 65536 - 12 */
    CHECK_OK(memtree_put(&f.writer, slice_of("a"), filler(65536 - 12 - 40 - 32776 - 13)));
    CHECK_EQ_UINT(f.writer.header.write_offset, 65536 - 12);
    fixture_put(&f, "b", "value");
    CHECK_EQ_BYTES(shm_table(f.shm)[2] + 8, 6, "bvalue", 6);
    fixture_check(&f);
    tree = fixture_live(&f);
    CHECK_EQ_STR(fixture_get(&f, &tree, "b"), "=value");
    CHECK_EQ_STR(fixture_list(&f, &tree), "a:8 b:8");
    fixture_close(&f);
}

/* DF-25 */
TEST(a_range_bound_on_a_key_with_a_value_carries_the_value_across_chunks) {
    for (uint32_t size = 1; size < 70000; size = size * 2 + 7) {
        struct fixture f;
        struct memtree tree;
        enum lookup_state state;
        struct slice value;
        fixture_open(&f, 1); /* afresh: a bound that is there already is not written again */
        fixture_begin(&f);
        CHECK_OK(memtree_put(&f.writer, slice_of("k"), filler(size)));
        CHECK_OK(memtree_delete_range(&f.writer, slice_of("k"), slice_of("m")));
        fixture_check(&f); /* the contiguous flag, above all */
        tree = fixture_live(&f);
        CHECK_OK(memtree_lookup(&tree, slice_of("k"), &f.scratch, &f.error, &state, &value));
        CHECK_EQ_INT(state, LOOKUP_FOUND);
        CHECK_EQ_BYTES(value.data, value.size, filler(size).data, size);
        CHECK_EQ_STR(fixture_list(&f, &tree), "k:9 m:2");
        fixture_close(&f);
    }
}

TEST(a_full_region_refuses_and_leaves_the_tree_as_it_was) {
    struct fixture f;
    struct memtree_mark mark;
    uint32_t count = 0;
    char key[16];
    int rc = LSM_OK;

    fixture_open(&f, 1);
    f.shm->chunk_limit = 4;
    fixture_begin(&f);
    memtree_writer_mark(&f.writer, &mark);
    while (rc == LSM_OK) {
        snprintf(key, sizeof key, "key%05u", count);
        rc = memtree_put(&f.writer, slice_of(key), slice_of("some value"));
        if (rc == LSM_OK) count++;
        if (count % 256 == 0) fixture_check(&f);
    }
    CHECK_RC(rc, LSM_FULL);
    CHECK_EQ_UINT(f.writer.header.chunk_count, 4);
    CHECK(count > 2000);
    fixture_check(&f);
    {
        struct memtree tree = fixture_live(&f);
        CHECK_EQ_STR(fixture_get(&f, &tree, key), "?");
        snprintf(key, sizeof key, "key%05u", count - 1);
        CHECK_EQ_STR(fixture_get(&f, &tree, key), "=some value");
    }
    CHECK_RC(memtree_put(&f.writer, slice_of("zz"), filler(90000)), LSM_FULL);
    memtree_writer_rollback_to(&f.writer, &mark);
    fixture_check(&f);
    fixture_put(&f, "small", "again");
    fixture_check(&f);
    fixture_close(&f);
}

TEST(a_value_larger_than_the_region_is_refused_before_any_space_is_taken) {
    struct fixture f;
    struct tree_header before;

    fixture_open(&f, 1);
    f.shm->chunk_limit = 6;
    fixture_begin(&f);
    before = f.writer.header;
    CHECK_RC(memtree_put(&f.writer, slice_of("a"), filler(5 * 32760)), LSM_FULL);
    CHECK_EQ_BYTES(&f.writer.header, sizeof before, &before, sizeof before);
    CHECK_OK(memtree_put(&f.writer, slice_of("a"), filler(4 * 32760)));
    fixture_check(&f);
    fixture_close(&f);
}

TEST(unneeded_chunks_are_recycled_even_when_the_region_cannot_grow) {
    struct fixture f;

    fixture_open(&f, 1);
    f.shm->chunk_limit = 6;
    for (int round = 0; round < 40; round++) {
        struct log_region end = {0, round * 2};
        fixture_begin(&f);
        if (f.writer.header.old_id) memtree_drop_old(&f.writer.header);
        for (int i = 0; i < 30; i++) {
            char key[16];
            snprintf(key, sizeof key, "%d", i);
            CHECK_OK(memtree_put(&f.writer, slice_of(key), filler(1000)));
        }
        fixture_check(&f);
        CHECK(memtree_freeze(&f.writer.header, &end, 0));
        fixture_publish(&f);
    }
    CHECK(f.header.chunk_count <= 6);
    CHECK(f.header.next_id > 30);
    fixture_close(&f);
}

/* DF-37 */
TEST(a_reader_of_the_newest_version_does_not_stop_recycling_but_one_of_an_old_version_does) {
    struct fixture f;
    struct shm_locks locks;
    int slot = -1;

    for (int old_reader = 0; old_reader < 2; old_reader++) {
        uint32_t chunks = 0;
        fixture_open(&f, 1);
        shm_attach(f.shm, &locks);
        for (int round = 0; round < 20; round++) {
            struct log_region end = {0, round * 2};
            fixture_begin(&f);
            if (f.writer.header.old_id) memtree_drop_old(&f.writer.header);
            CHECK_OK(memtree_put(&f.writer, slice_of("k"), filler(60000)));
            CHECK(memtree_freeze(&f.writer.header, &end, 0));
            fixture_publish(&f);
            if (old_reader == 0 || round == 3) {
                int taken = slot;
                CHECK_OK(shm_reader_acquire(f.shm, &locks, f.header.used_id, f.header.next_id,
                                            10 + round, &slot));
                shm_reader_release(f.shm, &locks, taken);
            }
            if (round == 9) chunks = f.header.chunk_count;
        }
        if (old_reader) CHECK(f.header.chunk_count > chunks + 10);
        else CHECK_EQ_UINT(f.header.chunk_count, chunks);
        shm_reader_release(f.shm, &locks, slot);
        slot = -1;
        shm_detach(f.shm, &locks);
        fixture_close(&f);
    }
}

TEST(failed_allocations_leave_the_tree_readable_and_the_writer_usable) {
    struct fixture f;
    uint32_t failures = 0;

    fixture_open(&f, 1);
    fixture_begin(&f);
    for (uint32_t i = 0; i < 400; i++) {
        char key[16];
        struct memtree_mark mark;
        long n;
        snprintf(key, sizeof key, "key%03u", i * 7 % 400);
        if (i % 20 == 0) memtree_writer_mark(&f.writer, &mark);
        for (n = 0;; n++) {
            struct memtree tree;
            int rc;
            allocations_left = n;
            rc = memtree_put(&f.writer, slice_of(key), filler(500));
            allocations_left = -1;
            if (rc == LSM_OK) break;
            CHECK_RC(rc, LSM_NOMEM);
            failures++;
            tree = fixture_live(&f);
            CHECK_EQ_STR(fixture_get(&f, &tree, key), "?");
            fixture_check(&f);
        }
    }
    fixture_check(&f);
    CHECK(failures > 3);
    fixture_close(&f);
}

TEST(a_write_offset_outside_the_region_is_corrupt) {
    struct fixture f;

    fixture_open(&f, 1);
    fixture_begin(&f);
    f.writer.header.write_offset = 9u << SHM_CHUNK_SHIFT;
    CHECK_RC(memtree_put(&f.writer, slice_of("a"), slice_of("b")), LSM_CORRUPT);
    f.writer.header.write_offset = 0;
    CHECK_RC(memtree_put(&f.writer, slice_of("a"), slice_of("b")), LSM_CORRUPT);
    f.writer.header.write_offset = (1u << SHM_CHUNK_SHIFT) + CHUNK_HEAD_SIZE - 1;
    CHECK_RC(memtree_put(&f.writer, slice_of("a"), slice_of("b")), LSM_CORRUPT);
    CHECK_RC(memtree_delete_range(&f.writer, slice_of("a"), slice_of("b")), LSM_CORRUPT);
    fixture_close(&f);
}

TEST_MAIN()
