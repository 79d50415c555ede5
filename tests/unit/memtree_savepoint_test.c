#include "memtree/memtree_internal.h"
#include "support/memtree_fixture.h"

static void put_many(struct fixture *f, int from, int count, int size) {
    static char value[40000];
    memset(value, 'v', sizeof value);
    for (int i = from; i < from + count; i++) {
        char key[16];
        snprintf(key, sizeof key, "%06d", i);
        CHECK_OK(memtree_put(&f->writer, slice_of(key),
                             (struct slice){(const uint8_t *)value, (uint32_t)size}));
    }
}

/* All heads of chunks 1..chunk_count-1 as text. */
static const char *heads(struct fixture *f, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 1; i < f->writer.header.chunk_count; i++) {
        const uint32_t *head = (const void *)shm_table(f->shm)[i];
        used += (size_t)snprintf(text + used, size - used, "%u:%u>%u ", i, head[0], head[1]);
    }
    return text;
}

TEST(formatting_gives_the_header_of_a_fresh_region) {
    struct fixture f;
    fixture_open(&f, 1);
    CHECK_EQ_UINT(f.header.used_id, 1);
    CHECK_EQ_UINT(f.header.next_id, 2);
    CHECK_EQ_UINT(f.header.first_chunk, 1);
    CHECK_EQ_UINT(f.header.chunk_count, 2);
    CHECK_EQ_UINT(f.header.live.txn_id, 1);
    CHECK_EQ_UINT(f.header.write_offset, 32776);
    f.writer.header = f.header;
    fixture_check(&f);
    fixture_close(&f);
}

TEST(rollback_restores_tree_byte_count_and_user_version_but_not_the_transaction_id) {
    struct fixture f;
    struct memtree_mark outer, inner;
    struct memtree tree;
    uint32_t bytes;

    fixture_open(&f, 1);
    fixture_begin(&f);
    fixture_put(&f, "a", "1");
    fixture_publish(&f);
    fixture_begin(&f);
    bytes = f.writer.header.live.byte_count;
    memtree_writer_mark(&f.writer, &outer);
    f.writer.header.user_version = 9;
    put_many(&f, 0, 300, 4000);
    memtree_writer_mark(&f.writer, &inner);
    put_many(&f, 100, 300, 4000);
    CHECK_OK(memtree_delete_range(&f.writer, slice_of("0"), slice_of("z")));
    memtree_writer_rollback_to(&f.writer, &inner);
    fixture_check(&f);
    tree = fixture_live(&f);
    CHECK(fixture_get(&f, &tree, "000299")[0] == '=');
    CHECK_EQ_STR(fixture_get(&f, &tree, "000300"), "?");
    CHECK_EQ_UINT(f.writer.header.user_version, 9);
    memtree_writer_rollback_to(&f.writer, &outer);
    fixture_check(&f);
    CHECK_EQ_UINT(f.writer.header.live.byte_count, bytes);
    CHECK_EQ_UINT(f.writer.header.user_version, 0);
    CHECK_EQ_UINT(f.writer.header.live.txn_id, f.header.live.txn_id + 1);
    CHECK_EQ_UINT(f.writer.header.chunk_count, 2);
    tree = fixture_live(&f);
    CHECK_EQ_STR(fixture_list(&f, &tree), "a:8");
    memtree_writer_rollback_to(&f.writer, &outer); /* twice is once */
    put_many(&f, 0, 10, 10);
    fixture_check(&f);
    fixture_close(&f);
}

TEST(second_versions_filled_after_a_mark_are_emptied_and_earlier_ones_stay) {
    struct fixture f;
    struct memtree_mark mark;
    struct memtree tree;

    fixture_open(&f, 1);
    fixture_begin(&f);
    put_many(&f, 0, 100, 4);
    fixture_publish(&f);
    fixture_begin(&f);
    put_many(&f, 0, 1, 5);
    memtree_writer_mark(&f.writer, &mark);
    CHECK(mark.touched_count > 0);
    put_many(&f, 1, 99, 5);
    CHECK(f.writer.touched.size / 4 > mark.touched_count);
    memtree_writer_rollback_to(&f.writer, &mark);
    CHECK_EQ_UINT(f.writer.touched.size / 4, mark.touched_count);
    tree = fixture_live(&f);
    CHECK_EQ_STR(fixture_get(&f, &tree, "000000"), "=vvvvv");
    CHECK_EQ_STR(fixture_get(&f, &tree, "000001"), "=vvvv");
    CHECK_EQ_STR(fixture_get(&f, &tree, "000050"), "=vvvv");
    fixture_check(&f);
    fixture_close(&f);
}

/* Leave a region whose first chunks are no longer needed. */
static void with_unneeded_chunks(struct fixture *f, uint32_t first_id) {
    struct log_region end = {0, 7};
    fixture_open(f, first_id);
    fixture_begin(f);
    put_many(f, 0, 6, 30000);
    CHECK(memtree_freeze(&f->writer.header, &end, 1));
    fixture_publish(f);
    fixture_begin(f);
    memtree_drop_old(&f->writer.header);
    put_many(f, 50, 1, 10);
    fixture_publish(f);
}

TEST(recycled_chunks_go_back_with_their_ids_in_their_order) {
    static const uint32_t first_ids[] = {1, UINT32_MAX - 3, UINT32_MAX - 9};
    static char before[1024], after[1024];

    for (size_t i = 0; i < 3; i++) {
        struct fixture f;
        struct memtree_mark first, second;
        uint32_t first_chunk;
        with_unneeded_chunks(&f, first_ids[i]);
        fixture_begin(&f);
        first_chunk = f.header.first_chunk;
        heads(&f, before, sizeof before);
        memtree_writer_mark(&f.writer, &first);
        put_many(&f, 100, 2, 30000);
        CHECK(f.writer.header.first_chunk != first_chunk);
        CHECK_EQ_UINT(f.writer.header.chunk_count, f.header.chunk_count);
        memtree_writer_mark(&f.writer, &second);
        put_many(&f, 200, 8, 30000); /* the rest, and new ones */
        CHECK(f.writer.header.chunk_count > f.header.chunk_count);
        memtree_writer_rollback_to(&f.writer, &second);
        fixture_check(&f);
        memtree_writer_rollback_to(&f.writer, &first);
        fixture_check(&f);
        CHECK_EQ_STR(heads(&f, after, sizeof after), before);
        CHECK_EQ_UINT(f.writer.header.first_chunk, first_chunk);
        CHECK_EQ_UINT(f.writer.header.next_id, f.header.next_id);
        fixture_close(&f);
    }
}

TEST(freezing_moves_the_live_tree_and_its_log_position) {
    struct fixture f;
    struct log_region end = {100, 5000};
    struct memtree tree;

    fixture_open(&f, 1);
    fixture_begin(&f);
    fixture_put(&f, "a", "old");
    f.writer.header.log_sum0 = 11;
    f.writer.header.log_sum1 = 22;
    CHECK(memtree_freeze(&f.writer.header, &end, 1));
    CHECK_EQ_INT(f.writer.header.old_log_field, 10001);
    CHECK_EQ_UINT(f.writer.header.old_sum0, 11);
    CHECK_EQ_UINT(f.writer.header.old_sum1, 22);
    CHECK_EQ_UINT(f.writer.header.old_id, 1);
    CHECK_EQ_UINT(f.writer.header.live.root, 0);
    CHECK_EQ_UINT(f.writer.header.live.height, 0);
    CHECK_EQ_UINT(f.writer.header.live.byte_count, 0);
    CHECK_EQ_UINT(f.writer.header.live.txn_id, 1);
    fixture_publish(&f);
    fixture_begin(&f);
    fixture_put(&f, "a", "new"); /* goes on in the same chunk */
    CHECK_EQ_UINT(f.writer.header.chunk_count, 2);
    tree = memtree_old(f.shm, &f.writer.header);
    CHECK_EQ_STR(fixture_get(&f, &tree, "a"), "=old");
    tree = fixture_live(&f);
    CHECK_EQ_STR(fixture_get(&f, &tree, "a"), "=new");
    fixture_check(&f);
    memtree_drop_old(&f.writer.header);
    CHECK_EQ_UINT(f.writer.header.used_id, 1);
    CHECK_EQ_UINT(f.writer.header.old_id, 0);
    memtree_drop_old(&f.writer.header); /* nothing to drop */
    CHECK_EQ_UINT(f.writer.header.used_id, 1);
    fixture_close(&f);
}

/* DF-41 */
TEST(a_tree_whose_last_chunk_has_id_0_is_not_frozen) {
    struct fixture f;
    struct log_region end = {0, 0};
    struct tree_header before;

    fixture_open(&f, UINT32_MAX);
    fixture_begin(&f);
    put_many(&f, 0, 2, 30000);
    CHECK_EQ_UINT(f.writer.header.next_id, 1);
    before = f.writer.header;
    CHECK(!memtree_freeze(&f.writer.header, &end, 1));
    CHECK_EQ_BYTES(&f.writer.header, sizeof before, &before, sizeof before);
    put_many(&f, 5, 1, 30000);
    CHECK(memtree_freeze(&f.writer.header, &end, 1));
    CHECK_EQ_UINT(f.writer.header.old_id, 1);
    fixture_check(&f);
    fixture_close(&f);
}

TEST_MAIN()
