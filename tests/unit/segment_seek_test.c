/*
** segment_seek_test.c — every way from a key to a record: index, old root, hints true and false.
*/
#include "base/bytes.h"
#include "segment/segment_internal.h"
#include "support/golden.h"
#include "support/segment_builder.h"

/* All records of a segment with their places, read in order. */
struct places {
    struct test_records records;
    uint64_t pages[2000];
    uint32_t cells[2000];
};

static void read_places(struct segment_cursor *cursor, struct places *out) {
    memset(out, 0, sizeof *out);
    for (CHECK_OK(segment_first(cursor)); cursor->valid; CHECK_OK(segment_next(cursor))) {
        uint32_t n = out->records.count;
        CHECK(n < 2000);
        out->pages[n] = cursor->page.page_no;
        out->cells[n] = cursor->cell;
        test_records_add_bytes(&out->records, cursor->flags, cursor->key.data, cursor->key.size, NULL,
                               0, cursor->pointer);
    }
}

static void check_at(const struct segment_cursor *cursor, const struct places *places, uint32_t n) {
    if (n >= places->records.count) {
        CHECK(!cursor->valid);
        return;
    }
    CHECK(cursor->valid);
    CHECK_EQ_UINT(cursor->page.page_no, places->pages[n]);
    CHECK_EQ_UINT(cursor->cell, places->cells[n]);
}

/* Seek every key, and keys just below and above it, with every hint in turn. */
static void check_all_seeks(struct segment_cursor *cursor, const uint64_t *hints, uint32_t hint_count) {
    struct places *places = malloc(sizeof *places);
    uint8_t key[4096];

    CHECK(places != NULL);
    read_places(cursor, places);
    for (uint32_t i = 0; i < places->records.count; i++) {
        struct test_record *record = &places->records.items[i];
        enum topic topic = record_topic(record->flags);
        struct slice above = {key, record->key_size + 1};
        bool taken; /* the next record has that very key */
        memcpy(key, record->key, record->key_size);
        key[record->key_size] = 0;
        taken = i + 1 < places->records.count &&
                topic_key_compare(topic, above, record_topic(record[1].flags),
                                  test_record_key(&record[1])) == 0;
        for (uint32_t h = 0; h < hint_count; h++) {
            TEST_NOTE("record %u hint %u", i, (unsigned)hints[h]);
            CHECK_OK(segment_seek_ge(cursor, topic, test_record_key(record), hints[h]));
            check_at(cursor, places, i);
            CHECK_OK(segment_seek_le(cursor, topic, test_record_key(record), hints[h]));
            check_at(cursor, places, i);
            CHECK_OK(segment_seek_ge(cursor, topic, above, hints[h]));
            check_at(cursor, places, i + 1);
            CHECK_OK(segment_seek_le(cursor, topic, above, hints[h]));
            check_at(cursor, places, taken ? i + 1 : i);
        }
    }
    CHECK_OK(segment_seek_ge(cursor, TOPIC_USER, (struct slice){0}, 0));
    check_at(cursor, places, 0);
    CHECK_OK(segment_seek_le(cursor, TOPIC_SYSTEM, (struct slice){(const uint8_t *)"\xff\xff\xff\xff\xff", 5}, 0));
    check_at(cursor, places, places->records.count - 1);
    test_records_free(&places->records);
    free(places);
}

TEST(every_key_of_a_file_made_by_lsm1_is_found_through_its_index) {
    static const char *const names[] = {"two_inserts", "indexed", "large_keys", "packed"};
    static const uint64_t hints[] = {0, 35, 1, 999999}; /* to be ignored: there is an index */

    for (size_t i = 0; i < 4; i++) {
        struct golden g;
        struct segment_view view;
        struct segment_cursor cursor;
        golden_open(&g, names[i]);
        view = golden_view(&g, 0, GOLDEN_LEFT);
        segment_cursor_init(&cursor, &g.memory.env, &view);
        check_all_seeks(&cursor, hints, 4);
        segment_cursor_release(&cursor);
        golden_close(&g);
    }
}

TEST(an_absorbed_index_is_used_from_the_last_page_and_any_hint_may_be_given) {
    struct golden g;
    struct segment_view view;
    struct segment_cursor cursor;
    uint64_t hints[40];
    bool never = true;

    golden_open(&g, "separators");
    view = golden_view(&g, 1, GOLDEN_LEFT);
    CHECK_EQ_UINT(view.segment->root, 0);
    CHECK_OK(segment_never_indexed(&view, &g.memory.env, &never));
    CHECK(!never);
    /* Right ones, wrong ones, index pages, pages of the other run, no pages. */
    for (uint32_t i = 0; i < 40; i++) hints[i] = i < 30 ? i + 14 : (uint64_t)1 << (i + 20);
    segment_cursor_init(&cursor, &g.memory.env, &view);
    check_all_seeks(&cursor, hints, 40);
    CHECK_EQ_INT(g.error.code, LSM_OK); /* trying a bad hint is no error */
    segment_cursor_release(&cursor);
    golden_close(&g);
}

TEST(a_segment_that_never_had_an_index_ignores_hints) {
    struct golden g;
    struct segment_view view;
    struct segment_cursor cursor;
    uint64_t hints[] = {0, 33, 34, 40, 41};
    bool never = false;

    golden_open(&g, "separators");
    view = golden_view(&g, 0, GOLDEN_LEFT);
    CHECK_OK(segment_never_indexed(&view, &g.memory.env, &never));
    CHECK(never);
    segment_cursor_init(&cursor, &g.memory.env, &view);
    check_all_seeks(&cursor, hints, 5);
    segment_cursor_release(&cursor);
    golden_close(&g);
}

TEST(compressed_runs_are_searched_through_index_and_hints) {
    struct golden g;
    struct segment_cursor cursor;

    golden_open(&g, "packed_runs");
    for (int run = GOLDEN_LEFT; run < 3; run++) {
        struct segment_view view = golden_view(&g, 0, run);
        uint64_t hints[] = {0, view.segment->first, view.segment->last, 8196, 9000, 12832};
        bool never;
        CHECK_OK(segment_never_indexed(&view, &g.memory.env, &never));
        segment_cursor_init(&cursor, &g.memory.env, &view);
        if (run != 0) check_all_seeks(&cursor, hints, 6); /* run 0: its front was given back */
        segment_cursor_release(&cursor);
    }
    golden_close(&g);
}

TEST(lookups_tell_found_from_hidden_and_from_unknown) {
    static const struct { const char *key; bool found; bool deleted; } rows[] = {
        {"k004", false, false}, {"k005", true, false},  {"k0055", false, false},
        {"k011", false, false}, {"k015", false, false}, {"k0150", false, true},
        {"k020", false, true},  {"k025", false, false}, {"k030", false, true},
        {"k031", false, false}, {"", false, false},     {"z", false, false}};
    struct golden g;
    struct segment_view above, below;
    struct segment_cursor scratch;

    golden_open(&g, "separators");
    above = golden_view(&g, 0, GOLDEN_LEFT);
    below = golden_view(&g, 1, GOLDEN_LEFT);
    segment_cursor_init(&scratch, &g.memory.env, &above);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice key = {(const uint8_t *)rows[i].key, (uint32_t)strlen(rows[i].key)};
        struct segment_lookup result;
        TEST_NOTE("%s", rows[i].key);
        CHECK_OK(segment_lookup(&scratch, &above, key, 0, &result));
        CHECK_EQ_INT(result.found, rows[i].found);
        CHECK_EQ_INT(result.deleted, rows[i].deleted);
        if (rows[i].found) CHECK_EQ_BYTES(result.value.data, result.value.size, "new", 3);
    }
    /* Pointers lead on: every key of the lower run is found on the page its pointer names. */
    for (int n = 0; n < 42; n++) {
        char text[16];
        struct slice key = {(const uint8_t *)text, 4};
        struct segment_lookup upper, lower;
        snprintf(text, sizeof text, "k%03d", n);
        CHECK_OK(segment_lookup(&scratch, &above, key, 0, &upper));
        CHECK_OK(segment_lookup(&scratch, &below, key, upper.pointer, &lower));
        CHECK(lower.found);
        CHECK_EQ_UINT(lower.value.size, n == 10 ? 300 : (unsigned)n);
        if (upper.pointer && !upper.deleted) CHECK_EQ_UINT(scratch.page.page_no, upper.pointer);
    }
    segment_cursor_release(&scratch);
    golden_close(&g);
}

TEST(a_range_that_was_cut_off_in_front_still_hides) {
    struct golden g;
    struct segment_view view;
    struct segment_cursor scratch;
    struct segment_lookup result;
    /* Page 41 as if its front had been given back: the END_DELETE of k025 comes first. */
    uint8_t *page, *end;
    uint32_t offset;

    golden_open(&g, "separators");
    golden_close_pager(&g);
    page = g.bytes + 40 * 256;
    end = page + 256;
    CHECK_EQ_INT(get_u16(end - 2) > 5, 1);
    for (uint32_t cell = 0;; cell++) {
        offset = get_u16(end - 14 - 2 * cell);
        if ((page[offset] & 0x3f) == RECORD_END_DELETE) {
            uint32_t n = get_u16(end - 2);
            for (uint32_t i = cell; i < n; i++) {
                put_u16(end - 14 - 2 * (i - cell), get_u16(end - 14 - 2 * i));
            }
            put_u16(end - 2, (uint16_t)(n - cell));
            break;
        }
    }
    golden_pager(&g, NULL);
    view = golden_view(&g, 0, GOLDEN_LEFT);
    segment_cursor_init(&scratch, &g.memory.env, &view);
    CHECK_OK(segment_lookup(&scratch, &view, (struct slice){(const uint8_t *)"k020", 4}, 0, &result));
    CHECK(result.deleted);
    CHECK_OK(segment_lookup(&scratch, &view, (struct slice){(const uint8_t *)"k025", 4}, 0, &result));
    CHECK(!result.deleted);
    segment_cursor_release(&scratch);
    golden_close(&g);
}

TEST(a_seek_on_an_indexed_segment_touches_one_page_per_level_and_allocates_nothing) {
    struct golden g;
    struct segment_view view;
    struct segment_cursor cursor;
    long allocations, reads;

    golden_open(&g, "indexed");
    view = golden_view(&g, 0, GOLDEN_LEFT);
    segment_cursor_init(&cursor, &g.memory.env, &view);
    CHECK_OK(segment_seek_ge(&cursor, TOPIC_USER, (struct slice){(const uint8_t *)"k016", 4}, 0));
    CHECK_EQ_UINT(pager_pages_read(g.pager), 2);
    allocations = g.memory.count[MEMORY_MALLOC];
    reads = g.memory.count[MEMORY_READ];
    CHECK_OK(segment_seek_ge(&cursor, TOPIC_USER, (struct slice){(const uint8_t *)"k016", 4}, 0));
    CHECK_EQ_INT(g.memory.count[MEMORY_MALLOC], allocations);
    CHECK_EQ_INT(g.memory.count[MEMORY_READ], reads);
    segment_cursor_release(&cursor);
    golden_close(&g);
}

TEST(the_search_path_has_the_index_pages_the_leaf_and_the_pages_of_indirect_keys) {
    struct golden g;
    struct segment_view view;
    uint64_t pages[64];
    uint32_t count = 0;

    golden_open(&g, "indexed");
    view = golden_view(&g, 0, GOLDEN_LEFT);
    CHECK_OK(segment_search_path(&view, &g.memory.env, TOPIC_USER,
                                 (struct slice){(const uint8_t *)"k012", 4}, pages, 64, &count));
    CHECK_EQ_UINT(count, 2);
    CHECK_EQ_UINT(pages[0], 40);
    CHECK_EQ_UINT(pages[1], 34);
    CHECK_RC(segment_search_path(&view, &g.memory.env, TOPIC_USER,
                                 (struct slice){(const uint8_t *)"k012", 4}, pages, 1, &count),
             LSM_FULL);
    golden_close(&g);

    golden_open(&g, "large_keys");
    view = golden_view(&g, 0, GOLDEN_LEFT);
    CHECK_OK(segment_search_path(&view, &g.memory.env, TOPIC_USER,
                                 (struct slice){(const uint8_t *)"00200", 5}, pages, 64, &count));
    CHECK_EQ_UINT(pages[0], view.segment->root);
    CHECK(count > 3);
    golden_close(&g);
}

TEST(the_split_key_is_read_from_a_record_or_an_index_cell) {
    struct golden g;
    struct segment_view view;
    struct buffer key;
    enum topic topic = TOPIC_SYSTEM;
    bool is_index = false;

    golden_open(&g, "merging");
    buffer_init(&key, &g.memory.env);
    view = golden_view(&g, 0, 1);
    CHECK_OK(segment_key_at(&view, 37, 2, &key, &topic));
    CHECK_EQ_BYTES(key.data, key.size, "k031", 4);
    CHECK_EQ_INT(topic, TOPIC_USER);
    CHECK_OK(segment_page_is_index(&view, 37, &is_index));
    CHECK(!is_index);
    CHECK_OK(segment_page_is_index(&view, 40, &is_index));
    CHECK(is_index);
    CHECK_OK(segment_key_at(&view, 40, 0, &key, &topic));
    CHECK_EQ_BYTES(key.data, key.size, "k011", 4);
    CHECK_RC(segment_key_at(&view, 40, 99, &key, &topic), LSM_CORRUPT);
    CHECK_RC(segment_key_at(&view, 36, 0, &key, &topic), LSM_CORRUPT);
    CHECK_RC(segment_page_is_index(&view, 36, &is_index), LSM_CORRUPT);
    buffer_release(&key);
    golden_close(&g);
}

TEST(a_search_from_the_split_key_on_works_where_the_front_was_given_back) {
    struct golden g;
    struct segment_view view;
    struct segment_cursor cursor;

    golden_open(&g, "merging");
    view = golden_view(&g, 0, 1);
    segment_cursor_init(&cursor, &g.memory.env, &view);
    for (int n = 31; n < 42; n++) {
        char text[16];
        snprintf(text, sizeof text, "k%03d", n);
        for (uint64_t hint = 0; hint < 42; hint++) {
            CHECK_OK(segment_seek_ge(&cursor, TOPIC_USER, (struct slice){(uint8_t *)text, 4}, hint));
            CHECK(cursor.valid);
            CHECK_EQ_BYTES(cursor.key.data, cursor.key.size, text, 4);
        }
    }
    /* Below it nobody looks; whoever does finds what is left. */
    CHECK_OK(segment_seek_ge(&cursor, TOPIC_USER, (struct slice){0}, 0));
    CHECK(cursor.valid);
    CHECK_OK(segment_seek_le(&cursor, TOPIC_USER, (struct slice){0}, 0));
    CHECK(!cursor.valid);
    segment_cursor_release(&cursor);
    golden_close(&g);
}

TEST(random_segments_answer_every_seek) {
    static const uint32_t page_sizes[] = {256, 512, 2048};
    for (size_t i = 0; i < 3; i++) {
        for (uint32_t key_max = 10; key_max <= 1000; key_max *= 10) {
            struct segment_file file;
            struct segment_writer *writer = NULL;
            struct segment_writer_config config;
            struct test_records records = {0};
            struct segment segment;
            struct segment_cursor cursor;
            uint64_t append_point = 0;
            uint64_t hints[3];

            segment_file_open(&file, test_path("db"), page_sizes[i], 65536, NULL);
            random_records(&records, 400, key_max, 100, 1000);
            config = segment_file_config(&file, 0, 0);
            CHECK_OK(segment_writer_new(&file.env.env, &config, &writer));
            for (uint32_t n = 0; n < records.count; n++) {
                CHECK_OK(segment_writer_add_record(writer, &records.items[n]));
            }
            CHECK_OK(segment_writer_finish(writer, &segment, &append_point));
            segment_writer_free(writer);
            segment_cursor_init(&cursor, &file.env.env,
                                &(struct segment_view){file.pager, &segment, NULL, &file.error});
            hints[0] = 0;
            hints[1] = segment.first + 1;
            hints[2] = segment.last - 1;
            check_all_seeks(&cursor, hints, 3);
            segment.root = 0; /* as if absorbed */
            check_all_seeks(&cursor, hints, 3);
            segment_cursor_release(&cursor);
            test_records_free(&records);
            segment_file_close(&file);
        }
    }
}

TEST_MAIN()
