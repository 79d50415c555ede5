/*
** freelist_record_test.c — free-list entries as system records: the examples of the format, byte
** for byte, and the reverse: the records, read as a run is read, say what the entries said.
*/
#include "support/test.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "work/work_internal.h"

struct entries {
    struct work work;
    struct freelist freelist;
    struct merge_item item;
};

static void entries_begin(struct entries *e) {
    *e = (struct entries){0};
    e->work.env = lsm_default_env();
}

static void entries_add(struct entries *e, uint32_t block, int64_t id) {
    CHECK_OK(freelist_set(e->work.env, &e->freelist, block, id));
}

static void entries_make(struct entries *e) {
    CHECK_OK(merge_item_init_freelist(&e->item, &e->work, &e->freelist));
    CHECK_OK(merge_item_first(&e->item));
}

static void entries_end(struct entries *e) {
    merge_item_release(&e->item);
    memory_free(e->work.env, e->freelist.entries);
}

/* The record the item stands on, encoded as on a page with pointer 0. */
static void check_record(struct entries *e, const char *expected, size_t size) {
    uint8_t bytes[64];
    struct slice value;
    struct record_head head;
    uint32_t used;

    CHECK(e->item.valid);
    CHECK_EQ_INT(e->item.topic, TOPIC_SYSTEM);
    CHECK_OK(merge_item_value(&e->item, &value));
    if (!(e->item.flags & RECORD_INSERT)) value.size = 0;
    head = (struct record_head){.flags = e->item.flags, .key_size = e->item.key.size, .value_size = value.size};
    used = format_record_put_head(bytes, &head);
    memcpy(bytes + used, e->item.key.data, e->item.key.size);
    used += e->item.key.size;
    if (value.size) memcpy(bytes + used, value.data, value.size);
    used += value.size;
    CHECK_EQ_BYTES(bytes, used, expected, size);
    CHECK_OK(merge_item_next(&e->item));
}
#define CHECK_RECORD(e, text) check_record(e, text, sizeof text - 1)

TEST(a_free_block_is_an_insert_under_its_complement) {
    struct entries e;

    entries_begin(&e);
    entries_add(&e, 28, 9);
    entries_make(&e);
    CHECK_RECORD(&e, "\x28\x00\x04\x08\xff\xff\xff\xe3\x00\x00\x00\x00\x00\x00\x00\x09");
    CHECK(!e.item.valid);
    entries_end(&e);
}

TEST(higher_blocks_come_first) {
    struct entries e;

    entries_begin(&e);
    entries_add(&e, 5, 1);
    entries_add(&e, 300, 2);
    entries_make(&e);
    CHECK_RECORD(&e, "\x28\x00\x04\x08\xff\xff\xfe\xd3\x00\x00\x00\x00\x00\x00\x00\x02");
    CHECK_RECORD(&e, "\x28\x00\x04\x08\xff\xff\xff\xfa\x00\x00\x00\x00\x00\x00\x00\x01");
    entries_end(&e);
}

TEST(a_removal_is_an_open_range_around_the_block) {
    struct entries e;

    entries_begin(&e);
    entries_add(&e, 6, -1);
    entries_make(&e);
    CHECK_RECORD(&e, "\x21\x00\x04\xff\xff\xff\xf8"); /* 7 */
    CHECK_RECORD(&e, "\x22\x00\x04\xff\xff\xff\xfa"); /* 5 */
    CHECK(!e.item.valid);
    entries_end(&e);
}

TEST(a_removal_of_block_1_ends_at_the_complement_of_0) {
    struct entries e;

    entries_begin(&e);
    entries_add(&e, 1, -1);
    entries_make(&e);
    CHECK_RECORD(&e, "\x21\x00\x04\xff\xff\xff\xfd");
    CHECK_RECORD(&e, "\x22\x00\x04\xff\xff\xff\xff");
    entries_end(&e);
}

TEST(neighbours_share_their_records) {
    struct entries e;

    entries_begin(&e);
    entries_add(&e, 2, 8);  /* free: takes the END mark */
    entries_add(&e, 3, -1); /* removed, with 4: one range */
    entries_add(&e, 4, -1);
    entries_add(&e, 5, 7); /* free: takes the START mark */
    entries_make(&e);
    CHECK_RECORD(&e, "\x29\x00\x04\x08\xff\xff\xff\xfa\x00\x00\x00\x00\x00\x00\x00\x07");
    CHECK_RECORD(&e, "\x2a\x00\x04\x08\xff\xff\xff\xfd\x00\x00\x00\x00\x00\x00\x00\x08");
    CHECK(!e.item.valid);
    entries_end(&e);
}

TEST(two_ranges_with_one_block_between_share_a_bound) {
    struct entries e;

    entries_begin(&e);
    entries_add(&e, 3, -1);
    entries_add(&e, 5, -1);
    entries_make(&e);
    CHECK_RECORD(&e, "\x21\x00\x04\xff\xff\xff\xf9"); /* 6 */
    CHECK_RECORD(&e, "\x23\x00\x04\xff\xff\xff\xfb"); /* 4 */
    CHECK_RECORD(&e, "\x22\x00\x04\xff\xff\xff\xfd"); /* 2 */
    CHECK(!e.item.valid);
    entries_end(&e);
}

/* Random entries over a random older list: records above it, read as any run, give the same as the
** entries. */
TEST(records_say_what_the_entries_said) {
    enum { BLOCKS = 40 };

    for (int round = 0; round < 3000; round++) {
        struct entries e;
        int64_t older[BLOCKS + 2], want[BLOCKS + 2], got[BLOCKS + 2]; /* -1 = not free */
        uint32_t last = UINT32_MAX;
        bool inside = false;
        uint32_t above = BLOCKS + 1; /* the last bound or record, coming from high blocks */

        entries_begin(&e);
        for (uint32_t b = 1; b <= BLOCKS; b++) {
            older[b] = test_random_below(2) ? (int64_t)test_random_below(9) : -1;
            want[b] = got[b] = older[b];
            if (test_random_below(3)) continue;
            want[b] = test_random_below(2) ? (int64_t)test_random_below(9) : -1;
            entries_add(&e, b, want[b]);
        }
        entries_make(&e);
        while (e.item.valid) {
            uint32_t block = ~get_u32(e.item.key.data);
            struct slice value;
            CHECK_MSG(block < last, "keys do not ascend");
            CHECK_EQ_INT((e.item.flags & RECORD_END_DELETE) != 0, inside);
            if (inside) {
                for (uint32_t b = block + 1; b < above; b++) {
                    if (b >= 1 && b <= BLOCKS) got[b] = -1;
                }
            }
            inside = (e.item.flags & RECORD_START_DELETE) != 0;
            above = last = block;
            if (e.item.flags & RECORD_INSERT) {
                CHECK_OK(merge_item_value(&e.item, &value));
                got[block] = (int64_t)get_u64(value.data);
            }
            CHECK_OK(merge_item_next(&e.item));
        }
        CHECK(!inside);
        for (uint32_t b = 1; b <= BLOCKS; b++) CHECK_EQ_INT(got[b], want[b]);
        entries_end(&e);
    }
}

static int failing_calls_left;
static void *(*real_malloc)(lsm_env *, size_t);
static void *failing_malloc(lsm_env *env, size_t size) {
    if (failing_calls_left-- == 0) return NULL;
    return real_malloc(lsm_default_env(), size);
    (void)env;
}

TEST(no_memory_for_the_records_is_reported) {
    struct entries e;
    lsm_env env = *lsm_default_env();

    entries_begin(&e);
    entries_add(&e, 3, 4);
    real_malloc = env.xMalloc;
    env.xMalloc = failing_malloc;
    failing_calls_left = 0;
    e.work.env = &env;
    CHECK_RC(merge_item_init_freelist(&e.item, &e.work, &e.freelist), LSM_NOMEM);
    e.work.env = lsm_default_env();
    entries_end(&e);
}

TEST_MAIN()
