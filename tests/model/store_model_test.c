/*
** store_model_test.c — point reads and seeks with fences and filters against a sorted map: budgets from nothing to
** plenty, merges interrupted everywhere, range deletes, blocks used again, old snapshots held meanwhile.
**
** LSM_HISTORIES=n runs that many histories of each kind; LSM_HISTORY=seed repeats one.
*/
#include "lsm_bulk.h"
#include "support/history.h"
#include "support/toy_codecs.h"

/* A connection that goes on reading what was there once. */
struct old_reader {
    lsm_db *db;
    lsm_cursor *cursor;
    struct history_entry entries[HISTORY_KEYS_MAX];
};

static void old_reader_begin(struct old_reader *reader, struct history *h) {
    reader->db = history_open(h, h->path);
    CHECK_OK(lsm_csr_open(reader->db, &reader->cursor));
    memcpy(reader->entries, h->entries, sizeof h->entries);
}

static void old_reader_end(struct old_reader *reader) {
    if (reader->db == NULL) return;
    CHECK_OK(lsm_csr_close(reader->cursor));
    CHECK_OK(lsm_close(reader->db));
    reader->db = NULL;
}

static void check_point_reads(struct history *h, lsm_cursor *cursor,
                              const struct history_entry *entries) {
    char beside[8];

    for (uint32_t i = 0; i < h->key_count; i++) {
        const void *value = NULL;
        int size = 0;
        CHECK_OK(lsm_csr_seek(cursor, h->keys[i], (int)h->key_sizes[i], LSM_SEEK_EQ));
        CHECK_MSG(lsm_csr_valid(cursor) == entries[i].present, "key %u in step %u: %s", i, h->step,
                  entries[i].present ? "missing" : "should not be there");
        if (entries[i].present) {
            CHECK_OK(lsm_csr_value(cursor, &value, &size));
            CHECK_EQ_BYTES(value, size, history_value(h, &entries[i]), entries[i].size);
        }
        snprintf(beside, sizeof beside, "k%05u", 2 * i);
        CHECK_OK(lsm_csr_seek(cursor, beside, 6, LSM_SEEK_EQ));
        CHECK(!lsm_csr_valid(cursor));
    }
}

/* The cursor stands on the entry of key `key`, -1 and key_count = on none. */
static void check_stands(struct history *h, lsm_cursor *cursor,
                         const struct history_entry *entries, int64_t key) {
    bool on = key >= 0 && key < (int64_t)h->key_count;
    const void *data = NULL;
    int size = 0;

    CHECK_MSG((lsm_csr_valid(cursor) != 0) == on, "key %d in step %u", (int)key, h->step);
    if (!on) return;
    CHECK_OK(lsm_csr_key(cursor, &data, &size));
    CHECK_EQ_BYTES(data, size, h->keys[key], h->key_sizes[key]);
    CHECK_OK(lsm_csr_value(cursor, &data, &size));
    CHECK_EQ_BYTES(data, size, history_value(h, &entries[key]), entries[key].size);
}

static int64_t present_from(const struct history *h, const struct history_entry *entries, int64_t key,
                            int step) {
    while (key >= 0 && key < (int64_t)h->key_count && !entries[key].present) key += step;
    return key;
}

static void check_seeks(struct history *h, lsm_cursor *cursor, const struct history_entry *entries) {
    char beside[8];

    for (uint32_t i = 0; i < h->key_count; i++) {
        int64_t at = present_from(h, entries, i, 1);
        CHECK_OK(lsm_csr_seek(cursor, h->keys[i], (int)h->key_sizes[i], LSM_SEEK_GE));
        for (int steps = 0; steps < 3; steps++) {
            check_stands(h, cursor, entries, at);
            CHECK_OK(lsm_csr_next(cursor));
            at = present_from(h, entries, at + 1, 1);
        }
        at = present_from(h, entries, i, -1);
        CHECK_OK(lsm_csr_seek(cursor, h->keys[i], (int)h->key_sizes[i], LSM_SEEK_LE));
        for (int steps = 0; steps < 3; steps++) {
            check_stands(h, cursor, entries, at);
            CHECK_OK(lsm_csr_prev(cursor));
            at = present_from(h, entries, at - 1, -1);
        }
        snprintf(beside, sizeof beside, "k%05u", 2 * i);
        CHECK_OK(lsm_csr_seek(cursor, beside, 6, LSM_SEEK_GE));
        check_stands(h, cursor, entries, present_from(h, entries, i, 1));
        CHECK_OK(lsm_csr_seek(cursor, beside, 6, LSM_SEEK_LE));
        check_stands(h, cursor, entries, present_from(h, entries, (int64_t)i - 1, -1));
    }
}

static void run_history(uint64_t seed, int budget_kb, uint32_t steps) {
    static struct old_reader readers[2];
    struct history h;
    lsm_cursor *cursor = NULL;

    TEST_NOTE("LSM_HISTORY=%" PRIu64 ", budget %d KB", seed, budget_kb);
    memset(readers, 0, sizeof readers);
    remove(test_path("history.lsm")); /* of the one before */
    history_begin(&h, seed);
    for (uint32_t step = 0; step < steps; step++) {
        struct old_reader *reader = &readers[history_below(&h, 2)];
        int budget = budget_kb;
        uint32_t kind = history_below(&h, 10);

        CHECK_OK(lsm_config(h.db, LSM_BULK_CONFIG_MEMORY_BUDGET_KB, &budget));
        CHECK_EQ_INT(budget, budget_kb);
        history_step(&h);
        if (kind < 3) {
            if (reader->db) check_point_reads(&h, reader->cursor, reader->entries);
            if (reader->db && kind == 0) check_seeks(&h, reader->cursor, reader->entries);
            old_reader_end(reader);
            if (kind < 2) old_reader_begin(reader, &h);
        } else if (kind < 6) {
            CHECK_OK(lsm_csr_open(h.db, &cursor));
            check_point_reads(&h, cursor, h.entries);
            if (kind == 3) check_seeks(&h, cursor, h.entries);
            CHECK_OK(lsm_csr_close(cursor));
        }
    }
    old_reader_end(&readers[0]);
    old_reader_end(&readers[1]);
    history_end(&h);
}

static void run_histories(int budget_kb, uint32_t salt) {
    const char *one = getenv("LSM_HISTORY"), *many = getenv("LSM_HISTORIES");
    uint32_t count = many != NULL ? (uint32_t)strtoul(many, NULL, 0) : 4;

    if (one != NULL) {
        run_history(strtoull(one, NULL, 0), budget_kb, 150);
        return;
    }
    for (uint32_t i = 0; i < count; i++) run_history(test_state.seed * 1000 + salt + i, budget_kb, 150);
}

TEST(reads_without_a_budget_agree_with_a_sorted_map) {
    run_histories(0, 0);
}

TEST(reads_with_a_tiny_budget_agree_with_a_sorted_map) {
    run_histories(4, 100);
    run_histories(30, 200);
}

TEST(reads_with_plenty_of_memory_agree_with_a_sorted_map) {
    run_histories(65536, 300);
}

TEST(reads_of_compressed_runs_agree_with_a_sorted_map) {
    history_codec = &rle_codec;
    history_codec_name = "rle";
    run_histories(65536, 400);
    run_histories(30, 500);
    history_codec = NULL;
}

TEST_MAIN()
