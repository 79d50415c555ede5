#include "memtree/memtree_internal.h"
#include "support/memtree_fixture.h"

static void put_many(struct fixture *f, int from, int count, int size) {
    static char value[40000];
    for (int i = from; i < from + count; i++) {
        char key[16];
        snprintf(key, sizeof key, "%06d", i);
        CHECK_OK(memtree_put(&f->writer, slice_of(key),
                             (struct slice){(const uint8_t *)value, (uint32_t)size}));
    }
}

/* A published region with `unneeded` chunks in front and a live tree of `needed` behind. */
static void prepare(struct fixture *f, uint32_t first_id, int unneeded, int needed) {
    struct log_region end = {0, 7};
    fixture_open(f, first_id);
    fixture_begin(f);
    put_many(f, 0, unneeded, 32700);
    CHECK(memtree_freeze(&f->writer.header, &end, 1));
    fixture_publish(f);
    fixture_begin(f);
    memtree_drop_old(&f->writer.header);
    put_many(f, 0, 40, 30);
    put_many(f, 1000, needed, 32700);
    fixture_publish(f);
}

static void repair_and_check(struct fixture *f, const char *before) {
    struct memtree tree;
    struct tree_header header;
    memtree_writer_end(&f->writer);
    CHECK_OK(shm_load_tree(f->shm, &header, NULL));
    CHECK_OK(memtree_repair(f->shm, &header, &f->error));
    f->writer.header = header;
    fixture_check(f);
    tree = memtree_live(f->shm, &header);
    CHECK_EQ_STR(fixture_list(f, &tree), before);
    CHECK_OK(memtree_repair(f->shm, &header, &f->error)); /* twice is once */
    CHECK_EQ_BYTES(&header, sizeof header, &f->writer.header, sizeof header);
    fixture_publish(f);
}

/* DF-26 */
TEST(a_region_of_any_number_of_chunks_is_repaired_after_a_writer_died) {
    static char before[4096];
    for (int unneeded = 1; unneeded <= 17; unneeded++) {
        struct fixture f;
        struct memtree_mark mark;
        struct memtree tree;
        /* ids of some rounds pass 2^32 */
        prepare(&f, unneeded % 3 ? 1 : UINT32_MAX - 8, unneeded, unneeded % 4);
        tree = memtree_live(f.shm, &f.header);
        snprintf(before, sizeof before, "%s", fixture_list(&f, &tree));
        for (int round = 0; round < 4; round++) {
            fixture_begin(&f);
            put_many(&f, 10, 20, 40);
            memtree_writer_mark(&f.writer, &mark);
            put_many(&f, 2000, 1 + unneeded / 2 + round, 32700);
            if (round % 2) memtree_writer_rollback_to(&f.writer, &mark);
            put_many(&f, 20, 5, 20000);
            repair_and_check(&f, before);
        }
        fixture_close(&f);
    }
}

/* DF-26 */
TEST(chunks_given_back_in_reverse_order_by_another_engine_are_put_in_order) {
    static char before[4096];
    struct fixture f;
    struct memtree tree;
    struct chunk_head *heads[3];
    uint32_t chunks[3];
    uint32_t id;

    prepare(&f, 1, 6, 0);
    tree = memtree_live(f.shm, &f.header);
    snprintf(before, sizeof before, "%s", fixture_list(&f, &tree));
    chunks[0] = f.header.first_chunk;
    for (int i = 0; i < 3; i++) {
        heads[i] = chunk_head_at(&tree, chunks[i]);
        if (i < 2) chunks[i + 1] = heads[i]->next;
    }
    id = heads[0]->id;
    CHECK(f.header.used_id - id >= 3);
    /* Ids counting down from the head: the chunk recycled first was pushed back first. */
    *heads[0] = (struct chunk_head){id + 2, heads[2]->next};
    *heads[1] = (struct chunk_head){id + 1, chunks[0]};
    *heads[2] = (struct chunk_head){id, chunks[1]};
    repair_and_check(&f, before);
    fixture_close(&f);
}

TEST(second_versions_of_the_dead_writer_are_emptied_and_published_ones_stay) {
    struct fixture f;
    struct memtree tree;
    static char before[4096];

    fixture_open(&f, 1);
    fixture_begin(&f);
    put_many(&f, 0, 40, 1);
    fixture_publish(&f);
    fixture_begin(&f);
    put_many(&f, 3, 1, 2);
    fixture_publish(&f);
    tree = memtree_live(f.shm, &f.header);
    snprintf(before, sizeof before, "%s", fixture_list(&f, &tree));
    fixture_begin(&f);
    put_many(&f, 0, 40, 3);
    CHECK(f.writer.touched.size > 0);
    repair_and_check(&f, before); /* memtree_check finds versions of the future */
    tree = memtree_live(f.shm, &f.header);
    CHECK_EQ_INT(strlen(fixture_get(&f, &tree, "000004")), 1);
    fixture_close(&f);
}

TEST(what_cannot_be_a_region_is_corrupt_and_no_chunk_head_is_changed) {
    static const struct {
        uint32_t chunk, id;
    } damage[] = {{2, 1}, {2, 9}, {2, 0x40000000}, {3, 0xfffffff0u}};

    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        struct fixture f;
        struct tree_header header;
        struct memtree tree;
        prepare(&f, 1, 3, 1);
        header = f.header;
        tree = memtree_live(f.shm, &f.header);
        chunk_head_at(&tree, damage[i].chunk)->id = damage[i].id;
        if (damage[i].id == 9) chunk_head_at(&tree, 3)->id = 9; /* twice the same */
        CHECK_RC(memtree_repair(f.shm, &header, &f.error), LSM_CORRUPT);
        CHECK_EQ_UINT(chunk_head_at(&tree, damage[i].chunk)->id, damage[i].id);
        CHECK_EQ_BYTES(&header, sizeof header, &f.header, sizeof header);
        fixture_close(&f);
    }
    {
        struct fixture f;
        struct tree_header header;
        prepare(&f, 1, 3, 1);
        header = f.header;
        header.write_offset = 40000; /* in a chunk that is not the last */
        CHECK_RC(memtree_repair(f.shm, &header, &f.error), LSM_CORRUPT);
        header = f.header;
        header.chunk_count = 1;
        CHECK_RC(memtree_repair(f.shm, &header, &f.error), LSM_CORRUPT);
        header = f.header;
        header.live.height = 33;
        CHECK_RC(memtree_repair(f.shm, &header, &f.error), LSM_CORRUPT);
        header = f.header;
        header.live.root = 12;
        CHECK_RC(memtree_repair(f.shm, &header, &f.error), LSM_CORRUPT);
        header = f.header;
        allocations_left = 0;
        CHECK_RC(memtree_repair(f.shm, &header, NULL), LSM_NOMEM);
        fixture_close(&f);
    }
}

TEST_MAIN()
