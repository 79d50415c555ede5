/*
** format_checkpoint_test.c — the checkpoint blob: worked examples, every rule, every failed
** allocation.
*/
#include "format/format_checkpoint.h"

#include "base/checksum.h"
#include "format/format_page.h"
#include "support/memory_env.h"

/* Two inserts, default settings: 140 bytes of meta page 1. */
static const uint8_t example_small[140] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0b, 0x00, 0x00, 0x00, 0x23, 0x00, 0x00, 0x00, 0x01,
    0x00, 0x00, 0x00, 0x01, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x10, 0x00,
    0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0xb0, 0x60, 0xd4, 0x40, 0x09, 0xab, 0x99, 0xf1};

/* A merge in progress: 64 words. */
static const uint32_t example_merge[64] = {
    0, 0xd, 0x40, 1, 2, 0x10000, 1, 0x100, 0xa,
    0, 0x71b, 0x44a59a04, 0x4952183c,
    0, 0x28, 0, 0, 0, 0, 0, 0,
    1, 2,
    0, 0x101, 0, 0x105, 0, 0x105, 0, 5,
    0, 0x27, 0, 0x27, 0, 0, 0, 1,
    0, 0x25, 0, 0x26, 0, 0, 0, 2,
    2, 0,
    0, 0, 0,
    0, 0x25, 1,
    0, 0x25, 1,
    0, 0,
    0, 0,
    0xee2e6d15, 0x5af98187};

static void check_same(const struct snapshot *a, const struct snapshot *b) {
    uint32_t words_a[CHECKPOINT_WORDS_MAX], words_b[CHECKPOINT_WORDS_MAX];
    uint32_t count_a, count_b;

    CHECK_OK(checkpoint_encode(a, words_a, &count_a));
    CHECK_OK(checkpoint_encode(b, words_b, &count_b));
    CHECK_EQ_BYTES(words_a, count_a * 4, words_b, count_b * 4);
}

TEST(the_small_worked_example_is_read_and_written_byte_for_byte) {
    uint8_t page[META_PAGE_USED], back[META_PAGE_USED];
    uint32_t words[CHECKPOINT_WORDS_MAX], again[CHECKPOINT_WORDS_MAX];
    uint32_t count = 0, count_again = 0;
    struct memory_env m;
    struct snapshot s;

    memory_env_open(&m);
    memset(page, 0xEE, sizeof page); /* undefined bytes behind the blob */
    memcpy(page, example_small, sizeof example_small);
    checkpoint_words_from_bytes(page, words);
    CHECK(checkpoint_words_valid(words, &count));
    CHECK_EQ_UINT(count, 35);
    CHECK_OK(checkpoint_decode(words, count, false, &m.env, NULL, &s));
    CHECK_EQ_INT(s.id, 11);
    CHECK_EQ_UINT(s.compression_id, 1);
    CHECK_EQ_UINT(s.block_count, 1);
    CHECK_EQ_UINT(s.block_size, 1 << 20);
    CHECK_EQ_UINT(s.page_size, 4096);
    CHECK_EQ_UINT(s.pages_written, 1);
    CHECK_EQ_UINT(s.log.field, 0);
    CHECK_EQ_UINT(s.log.sum0, 0);
    CHECK_EQ_UINT(s.append[0], 4);
    CHECK_EQ_UINT(s.append[1], 0);
    CHECK_EQ_UINT(s.level_count, 1);
    CHECK_EQ_UINT(s.levels[0].age, 0);
    CHECK_EQ_UINT(s.levels[0].right_count, 0);
    CHECK_EQ_UINT(s.levels[0].left.first, 3);
    CHECK_EQ_UINT(s.levels[0].left.last, 3);
    CHECK_EQ_UINT(s.levels[0].left.root, 0);
    CHECK_EQ_UINT(s.levels[0].left.size, 1);
    CHECK_EQ_UINT(s.redirects.count, 0);
    CHECK_EQ_UINT(s.freelist.count, 0);

    CHECK_OK(checkpoint_encode(&s, again, &count_again));
    checkpoint_words_to_bytes(again, count_again, back);
    CHECK_EQ_BYTES(back, sizeof example_small, example_small, sizeof example_small);
    for (size_t i = sizeof example_small; i < sizeof back; i++) CHECK_EQ_UINT(back[i], 0);
    snapshot_release(&s);
    snapshot_release(&s);
    memory_env_close(&m);
}

TEST(the_worked_example_of_a_merge_is_read_and_written_word_for_word) {
    uint32_t again[CHECKPOINT_WORDS_MAX], words[CHECKPOINT_WORDS_MAX] = {0};
    uint32_t count = 0;
    struct memory_env m;
    struct snapshot s;
    const struct level *level;

    memory_env_open(&m);
    memcpy(words, example_merge, sizeof example_merge);
    CHECK(checkpoint_words_valid(words, &count));
    CHECK_EQ_UINT(count, 64);
    CHECK_OK(checkpoint_decode(words, 64, false, &m.env, NULL, &s));
    level = &s.levels[0];
    CHECK_EQ_UINT(s.log.field, 0x71b);
    CHECK_EQ_UINT(level->age, 1);
    CHECK_EQ_UINT(level->left.first, 257);
    CHECK_EQ_UINT(level->left.root, 261);
    CHECK_EQ_UINT(level->right_count, 2);
    CHECK_EQ_UINT(level->right[1].first, 37);
    CHECK_EQ_UINT(level->right[1].last, 38);
    CHECK_EQ_UINT(level->merge.input_count, 2);
    CHECK_EQ_UINT(level->merge.inputs[0].page, 0);
    CHECK_EQ_UINT(level->merge.inputs[1].page, 37);
    CHECK_EQ_UINT(level->merge.inputs[1].cell, 1);
    CHECK_EQ_UINT(level->merge.split_page, 37);
    CHECK_EQ_UINT(level->merge.split_cell, 1);
    CHECK_EQ_UINT(level->merge.current_pointer, 0);
    CHECK_OK(checkpoint_encode(&s, again, &count));
    CHECK_EQ_BYTES(again, count * 4, example_merge, sizeof example_merge);
    snapshot_release(&s);
    memory_env_close(&m);
}

TEST(a_blob_is_valid_only_with_a_possible_length_and_both_sums) {
    uint32_t words[CHECKPOINT_WORDS_MAX] = {0};
    uint32_t count = 7;

    memcpy(words, example_merge, sizeof example_merge);
    for (uint32_t i = 0; i < 64; i++) {
        for (uint32_t bit = 0; bit < 32; bit += 5) {
            words[i] ^= 1u << bit;
            CHECK_MSG(!checkpoint_words_valid(words, &count), "word %u bit %u", i, bit);
            words[i] ^= 1u << bit;
        }
    }
    CHECK_EQ_UINT(count, 7);
    for (uint32_t length = 0; length < 25; length++) {
        struct checksum sum;
        memset(words, 0, sizeof words);
        words[2] = length;
        if (length > 2) {
            sum = checksum_checkpoint(words, length - 2);
            words[length - 2] = sum.s0;
            words[length - 1] = sum.s1;
        }
        CHECK(!checkpoint_words_valid(words, &count));
    }
    words[2] = CHECKPOINT_WORDS_MAX + 1;
    CHECK(!checkpoint_words_valid(words, &count));
    words[2] = UINT32_MAX;
    CHECK(!checkpoint_words_valid(words, &count));
}

TEST(the_record_of_an_empty_database_has_25_words) {
    uint32_t words[CHECKPOINT_WORDS_MAX] = {0};
    uint32_t count = 0;
    struct memory_env m;
    struct snapshot s, back;

    memory_env_open(&m);
    CHECK_OK(snapshot_init_empty(&s, &m.env, 4096, 1 << 20));
    CHECK_EQ_INT(s.id, 10);
    CHECK_EQ_UINT(s.log.sum0, 1234);
    CHECK_EQ_UINT(s.log.sum1, 5678);
    CHECK_OK(checkpoint_encode(&s, words, &count));
    CHECK_EQ_UINT(count, 25);
    CHECK(checkpoint_words_valid(words, &count));
    CHECK_OK(checkpoint_decode(words, count, false, &m.env, NULL, &back));
    check_same(&s, &back);
    snapshot_release(&s);
    snapshot_release(&back);
    memory_env_close(&m);
}

/* ---- a blob with everything, and one thing wrong at a time ------------------------------- */

/* Blocks of 64 KiB, pages of 256 bytes: 256 pages on a block, page 33 is the first. */
enum {
    AT_ID = 0,
    AT_COUNT = 2,
    AT_COMPRESSION = 3,
    AT_BLOCKS = 4,
    AT_BLOCK_SIZE = 5,
    AT_LEVELS = 6,
    AT_PAGE_SIZE = 7,
    AT_APPEND = 13,
    AT_LEVEL0 = 21, /* merging: 2 runs, 3 inputs */
    AT_RIGHT = 31,
    AT_MERGE = 47, /* m, skip, inputs, split, pointer */
    AT_LEVEL1 = 63,
    AT_REDIRECTS = 73,
    AT_FREELIST = 78,
    FULL_WORDS = 87
};

static const uint32_t full[FULL_WORDS - 2] = {
    0, 20, FULL_WORDS, 1, 9, 65536, 2, 256, 5,
    0, 100, 1, 2,
    0, 40, 0, 300, 0, 0, 0, 0,
    /* level 0 */ 3, 2,
    0, 257, 0, 261, 0, 260, 0, 5,
    /* right */ 0, 33, 0, 34, 0, 0, 0, 2,
    0, 600, 0, 300, 0, 0, 0, 200, /* from block 3 to block 2 */
    /* merge */ 3, 1,
    0, 33, 2,
    0, 0, 0,
    0, 1025, 0x102, /* index of level 1: before cell 1, depth 2 */
    0, 1026, 0,
    0, 1024,
    /* level 1 */ 4, 0,
    0, 1025, 0, 1100, 0, 1100, 0, 76,
    /* redirects */ 2, 6, 2, 9, 5,
    /* free */ 2, 6, 0, 15, 9, UINT32_MAX, UINT32_MAX};

static int decode_changed(struct memory_env *m, uint32_t at, uint32_t value,
                          struct error_context *error) {
    uint32_t words[CHECKPOINT_WORDS_MAX] = {0};
    struct snapshot s = {.id = 12345};
    int rc;

    memcpy(words, full, sizeof full);
    words[at] = value;
    rc = checkpoint_decode(words, FULL_WORDS, false, &m->env, error, &s);
    if (rc == LSM_OK) {
        uint32_t again[CHECKPOINT_WORDS_MAX];
        uint32_t count;
        CHECK_OK(checkpoint_encode(&s, again, &count));
        CHECK_EQ_BYTES(again, (count - 2) * 4, words, (FULL_WORDS - 2) * 4);
        snapshot_release(&s);
    } else {
        CHECK_EQ_INT(s.id, 12345); /* untouched */
    }
    CHECK_EQ_INT(m->live_blocks, 0);
    return rc;
}

TEST(a_blob_with_everything_is_read) {
    struct memory_env m;
    struct error_context error = {0};

    memory_env_open(&m);
    CHECK_OK(decode_changed(&m, AT_COUNT, FULL_WORDS, &error));
    CHECK_EQ_PTR(error.reason, NULL);
    memory_env_close(&m);
}

/* DF-49 */
TEST(each_broken_rule_is_corrupt_with_a_reason) {
    static const struct {
        uint32_t at;
        uint32_t value;
    } rows[] = {
        {AT_ID, 0x80000000u},          /* negative id */
        {AT_ID + 1, 0},
        {AT_COUNT, FULL_WORDS - 1},
        {AT_COMPRESSION, 0},           /* a level, but nothing was ever written */
        {AT_BLOCKS, 0},
        {AT_BLOCKS, 4},                /* pages behind the end */
        {AT_BLOCK_SIZE, 0},
        {AT_BLOCK_SIZE, 65536 + 256},
        {AT_BLOCK_SIZE, 32768},
        {AT_BLOCK_SIZE, 1u << 27},
        {AT_PAGE_SIZE, 0},
        {AT_PAGE_SIZE, 128},
        {AT_PAGE_SIZE, 257},
        {AT_PAGE_SIZE, 1u << 17},
        {AT_PAGE_SIZE, 32768},         /* a block of two pages */
        {AT_LEVELS, 0},                /* words left over */
        {AT_LEVELS, 1},
        {AT_LEVELS, 3},
        {AT_LEVELS, UINT32_MAX},
        {AT_APPEND + 1, 32},           /* in front of the first page of block 1 */
        {AT_APPEND + 3, 9 * 256 + 1},  /* on block 10 */
        {AT_APPEND + 2, 1},
        {AT_LEVEL0, 0x00020000},       /* under construction */
        {AT_LEVEL0, 0x80000000},
        {AT_LEVEL0 + 1, 0},
        {AT_LEVEL0 + 1, 1},
        {AT_LEVEL0 + 1, 3},
        {AT_LEVEL0 + 1, UINT32_MAX},
        {AT_LEVEL0 + 3, 0},            /* first 0 */
        {AT_LEVEL0 + 3, 262},          /* first behind last, same block */
        {AT_LEVEL0 + 5, 0},            /* last 0 */
        {AT_LEVEL0 + 5, 9 * 256 + 1},
        {AT_LEVEL0 + 7, 5},            /* root among the meta pages */
        {AT_LEVEL0 + 6, 1},
        {AT_LEVEL0 + 8, 1},            /* size 2^32 */
        {AT_RIGHT + 1, 0},
        {AT_RIGHT + 1, 32},
        {AT_RIGHT + 8, 1},
        {AT_MERGE, 0},
        {AT_MERGE, 1},
        {AT_MERGE, 2},
        {AT_MERGE, 4},
        {AT_MERGE, UINT32_MAX},
        {AT_MERGE + 1, 4},             /* skip */
        {AT_MERGE + 3, 32},
        {AT_MERGE + 4, 0x10000},       /* cell */
        {AT_MERGE + 9, 9 * 256 + 1},
        {AT_MERGE + 10, 0x100},        /* depth 0 */
        {AT_MERGE + 10, 0x129},        /* depth 41 */
        {AT_MERGE + 12, 0},            /* split page 0 */
        {AT_MERGE + 13, 0x10000},
        {AT_MERGE + 14, 0x80000000},   /* pointer */
        {AT_LEVEL1 + 1, 1},
        {AT_REDIRECTS, 0},
        {AT_REDIRECTS, 1},
        {AT_REDIRECTS, 17},
        {AT_REDIRECTS, UINT32_MAX},
        {AT_REDIRECTS + 1, 10},        /* from behind the last block, and out of order */
        {AT_REDIRECTS + 1, 9},         /* twice */
        {AT_REDIRECTS + 2, 1},         /* to block 1 */
        {AT_REDIRECTS + 2, 0},
        {AT_REDIRECTS + 2, 6},         /* to itself */
        {AT_REDIRECTS + 2, 5},         /* two to one block */
        {AT_REDIRECTS + 3, 10},
        {AT_REDIRECTS + 4, 9},
        {AT_REDIRECTS + 4, 6},         /* to a block that moved itself */
        {AT_FREELIST, 1},
        {AT_FREELIST, 3},
        {AT_FREELIST, 25},
        {AT_FREELIST, UINT32_MAX},
        {AT_FREELIST + 1, 0},
        {AT_FREELIST + 1, 9},          /* out of order */
        {AT_FREELIST + 4, 10},         /* no such block */
        {AT_FREELIST + 3, 21},         /* newer than the checkpoint */
        {AT_FREELIST + 6, 0xfffffffe}, /* -2 */
    };
    struct memory_env m;

    memory_env_open(&m);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct error_context error = {0};
        TEST_NOTE("row %zu: word %u = %u", i, rows[i].at, rows[i].value);
        CHECK_RC(decode_changed(&m, rows[i].at, rows[i].value, &error), LSM_CORRUPT);
        CHECK(error.reason != NULL);
        CHECK_RC(error.code, LSM_CORRUPT);
    }
    memory_env_close(&m);
}

TEST(what_may_differ_is_accepted) {
    static const struct {
        uint32_t at;
        uint32_t value;
    } rows[] = {
        {AT_LEVEL0, 0x0001ffff},       /* free-list only, high age */
        {AT_LEVEL0 + 7, 0},            /* no index */
        {AT_LEVEL1 + 7, 0},            /* the index below was absorbed meanwhile */
        {AT_BLOCKS, 1000},
        {AT_APPEND + 1, 0},
        {AT_MERGE + 9, 0},             /* extra input finished */
        {AT_MERGE + 1, 3},
        {AT_FREELIST + 3, 20},
        {AT_FREELIST + 3, 0},
        {8, UINT32_MAX},
        {9, UINT32_MAX},               /* log position: judged by the log */
    };
    struct memory_env m;

    memory_env_open(&m);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        TEST_NOTE("row %zu", i);
        CHECK_OK(decode_changed(&m, rows[i].at, rows[i].value, NULL));
    }
    memory_env_close(&m);
}

TEST(a_merge_of_the_last_level_reads_no_index_and_its_split_key_is_an_input) {
    uint32_t words[CHECKPOINT_WORDS_MAX] = {0};
    struct memory_env m;
    struct snapshot s;

    memory_env_open(&m);
    memcpy(words, example_merge, sizeof example_merge);
    words[47 + 9] = 0x26; /* the other page of the run: no input stands there */
    CHECK_RC(checkpoint_decode(words, 64, false, &m.env, NULL, &s), LSM_CORRUPT);
    memcpy(words, example_merge, sizeof example_merge);
    words[47] = 3;
    CHECK_RC(checkpoint_decode(words, 64, false, &m.env, NULL, &s), LSM_CORRUPT);
    memory_env_close(&m);
}

TEST(page_numbers_of_a_compressed_file_are_byte_offsets) {
    static const struct {
        uint32_t first, last;
        int rc;
    } rows[] = {
        {8196, 8703, LSM_OK},
        {8195, 8703, LSM_CORRUPT},             /* the link of block 1 */
        {8196, 65531, LSM_OK},
        {8196, 65532, LSM_CORRUPT},            /* the link at the end of block 1 */
        {8196, 65536 + 3, LSM_CORRUPT},        /* the link at the start of block 2 */
        {8196, 65536 + 4, LSM_OK},
        {8196, 2 * 65536 - 5, LSM_OK},
        {8196, 2 * 65536 + 10, LSM_CORRUPT},   /* block 3 */
        {9000, 8703, LSM_CORRUPT},
    };
    struct memory_env m;

    memory_env_open(&m);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (uint32_t id = 0; id < 4; id++) {
            uint32_t words[CHECKPOINT_WORDS_MAX] = {
                0, 11, 35, id == 3 ? 10000 : id, 2, 65536, 1, 256, 1, [13] = 0, 8704};
            struct snapshot s;
            int rc;
            words[24] = rows[i].first;
            words[26] = rows[i].last;
            words[30] = 508;
            TEST_NOTE("row %zu id %u", i, id);
            rc = checkpoint_decode(words, 35, true, &m.env, NULL, &s);
            CHECK_RC(rc, rows[i].rc);
            if (rc == LSM_OK) snapshot_release(&s);
            /* Without hooks: an id of hooks tells the same, another means page numbers. */
            rc = checkpoint_decode(words, 35, false, &m.env, NULL, &s);
            CHECK_RC(rc, id > 1 ? rows[i].rc : LSM_CORRUPT);
            if (rc == LSM_OK) snapshot_release(&s);
        }
    }
    memory_env_close(&m);
}

TEST(a_blob_that_is_full_is_written_and_one_word_more_is_not) {
    uint32_t words[CHECKPOINT_WORDS_MAX + 1], again[CHECKPOINT_WORDS_MAX];
    uint32_t count = 77;
    struct memory_env m;
    struct snapshot s, back;

    memory_env_open(&m);
    CHECK_OK(snapshot_init_empty(&s, &m.env, 4096, 1 << 20));
    s.compression_id = 1;
    s.block_count = 4;
    s.level_count = s.level_capacity = 99;
    s.levels = m.env.xMalloc(&m.env, 100 * sizeof *s.levels);
    memset(s.levels, 0, 100 * sizeof *s.levels);
    for (uint32_t i = 0; i < 100; i++) {
        s.levels[i].left = (struct segment){3 + i, 3 + i, 0, 1};
    }
    words[CHECKPOINT_WORDS_MAX] = 0x5A5A5A5A;
    CHECK_OK(checkpoint_encode(&s, words, &count));
    CHECK_EQ_UINT(count, 1015);
    CHECK_EQ_UINT(words[CHECKPOINT_WORDS_MAX], 0x5A5A5A5A);
    CHECK(checkpoint_words_valid(words, &count));
    CHECK_OK(checkpoint_decode(words, count, false, &m.env, NULL, &back));
    CHECK_EQ_UINT(back.level_count, 99);
    check_same(&s, &back);
    snapshot_release(&back);
    s.level_count = 100;
    count = 77;
    memset(again, 0, sizeof again);
    CHECK_RC(checkpoint_encode(&s, again, &count), LSM_FULL);
    CHECK_EQ_UINT(count, 77);
    CHECK_EQ_UINT(again[2], 0);
    s.level_count = 99;
    snapshot_release(&s);
    memory_env_close(&m);
}

TEST(more_free_list_entries_than_the_format_has_do_not_fit) {
    struct freelist_entry entries[25];
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t count;
    struct memory_env m;
    struct snapshot s;

    memory_env_open(&m);
    CHECK_OK(snapshot_init_empty(&s, &m.env, 4096, 1 << 20));
    s.block_count = 30;
    for (uint32_t i = 0; i < 25; i++) entries[i] = (struct freelist_entry){i + 1, -1};
    s.freelist = (struct freelist){24, 25, entries};
    CHECK_OK(checkpoint_encode(&s, words, &count));
    s.freelist.count = 25;
    CHECK_RC(checkpoint_encode(&s, words, &count), LSM_FULL);
    memory_env_close(&m);
}

TEST(a_copy_is_deep) {
    uint32_t words[CHECKPOINT_WORDS_MAX] = {0};
    struct memory_env m;
    struct snapshot s, copy;

    memory_env_open(&m);
    memcpy(words, full, sizeof full);
    CHECK_OK(checkpoint_decode(words, FULL_WORDS, false, &m.env, NULL, &s));
    CHECK_OK(snapshot_copy(&copy, &s));
    check_same(&copy, &s);
    s.levels[0].right[0].first = 77;
    s.levels[0].merge.inputs[0].page = 77;
    s.levels[1].left.first = 77;
    s.freelist.entries[0].block = 1;
    CHECK_EQ_UINT(copy.levels[0].right[0].first, 33);
    CHECK_EQ_UINT(copy.levels[0].merge.inputs[0].page, 33);
    CHECK_EQ_UINT(copy.levels[1].left.first, 1025);
    CHECK_EQ_UINT(copy.freelist.entries[0].block, 6);
    snapshot_release(&s);
    snapshot_release(&copy);
    memory_env_close(&m);
}

TEST(each_failed_allocation_leaves_nothing_behind) {
    uint32_t words[CHECKPOINT_WORDS_MAX] = {0};
    struct memory_env m;
    struct snapshot s = {0}, copy = {.id = 5};
    int rc = LSM_NOMEM;
    long nth;

    memory_env_open(&m);
    memcpy(words, full, sizeof full);
    for (nth = 1; rc == LSM_NOMEM; nth++) {
        memory_env_fail(&m, MEMORY_MALLOC, nth, LSM_NOMEM);
        rc = checkpoint_decode(words, FULL_WORDS, false, &m.env, NULL, &s);
        if (rc == LSM_NOMEM) CHECK_EQ_INT(m.live_blocks, 0);
    }
    CHECK_OK(rc);
    CHECK_EQ_INT(nth, 6); /* levels, right, inputs, free list: four allocations */
    memory_env_no_failure(&m);
    rc = LSM_NOMEM;
    for (nth = 1; rc == LSM_NOMEM; nth++) {
        memory_env_fail(&m, MEMORY_MALLOC, nth, LSM_NOMEM);
        rc = snapshot_copy(&copy, &s);
        if (rc == LSM_NOMEM) CHECK_EQ_INT(copy.id, 5);
        if (rc == LSM_NOMEM) CHECK_EQ_INT(m.live_blocks, 4);
    }
    CHECK_OK(rc);
    memory_env_no_failure(&m);
    snapshot_release(&s);
    snapshot_release(&copy);
    memory_env_close(&m);
}

TEST(random_words_never_make_the_decoder_read_outside_or_leak) {
    struct memory_env m;

    memory_env_open(&m);
    for (int round = 0; round < 100000; round++) {
        uint32_t count = test_random_below(4) ? FULL_WORDS : 25 + test_random_below(100);
        uint32_t *words = calloc(count, 4);
        uint32_t changes = 1 + test_random_below(4);
        struct snapshot s;
        memcpy(words, full, (count < FULL_WORDS - 2 ? count : FULL_WORDS - 2) * 4);
        words[2] = count;
        while (changes--) {
            static const uint32_t values[] = {0, 1, 2, 3, 9, 10, 16, 24, 40, 255, 65535};
            uint32_t value = test_random_below(8) ? values[test_random_below(11)]
                                                  : (uint32_t)test_random();
            words[test_random_below(count)] = value;
        }
        if (checkpoint_decode(words, count, round & 1, &m.env, NULL, &s) == LSM_OK) {
            snapshot_release(&s);
        }
        CHECK_EQ_INT(m.live_blocks, 0);
        free(words);
    }
    memory_env_close(&m);
}

TEST_MAIN()
