/*
** segment_place_test.c — searches on pages that are known stand where searches through the index stand, whatever
** the guess, alone or in turns.
*/
#include "support/store_fixture.h"

struct known_run {
    struct store_fixture f;
    struct test_records records;
    struct run_notes *notes;
    struct segment run;
    struct segment_view view;
};

/* Records of every kind; every third round some span pages. */
static void known_run_open(struct known_run *known, int round) {
    struct run_builder *builder;
    struct segment_writer *writer;

    memset(known, 0, sizeof *known);
    store_fixture_open(&known->f, "run.lsm", 64 << 20);
    random_records(&known->records, 1 + test_random_below(round % 3 ? 60 : 600),
                   round % 2 ? 12 : 700, 300, round % 5 ? 0 : 3000);
    builder = run_builder_new(known->f.store, 0);
    writer = fixture_writer(&known->f, builder);
    for (uint32_t i = 0; i < known->records.count; i++) {
        struct test_record *record = &known->records.items[i];
        record->flags = test_random_below(4) ? RECORD_INSERT : RECORD_POINT_DELETE;
        if (test_random_below(8) == 0) record->flags = RECORD_SEPARATOR;
        CHECK_OK(segment_writer_add_record(writer, record));
    }
    CHECK_OK(segment_writer_finish(writer, &known->run, &known->f.append_point));
    segment_writer_free(writer);
    known->notes = run_builder_notes(builder, true);
    run_builder_free(builder);
    CHECK(known->notes != NULL);
    known->view = fixture_view(&known->f, &known->run);
}

static void known_run_close(struct known_run *known) {
    run_notes_release(known->notes);
    test_records_free(&known->records);
    store_fixture_close(&known->f);
}

/* A key of the run, or one beside it. Valid until the next call. */
static struct slice some_key(const struct known_run *known) {
    static uint8_t bytes[1200];
    const struct test_record *record = &known->records.items[test_random_below(known->records.count)];
    struct slice key = test_record_key(record);
    uint32_t kind = test_random_below(4);

    if (key.size > 1000) key.size = 1000;
    if (key.size) memcpy(bytes, key.data, key.size);
    key.data = bytes;
    if (kind == 1) bytes[key.size++] = (uint8_t)test_random();
    if (kind == 2 && key.size > 0) key.size--;
    if (kind == 3 && key.size > 0) bytes[key.size - 1] ^= 1;
    return key;
}

static void check_same(const struct segment_cursor *cursor, const struct segment_cursor *plain) {
    CHECK_EQ_INT(cursor->valid, plain->valid);
    if (!plain->valid) return;
    CHECK_EQ_UINT(cursor->page.page_no, plain->page.page_no);
    CHECK_EQ_UINT(cursor->cell, plain->cell);
    CHECK_EQ_UINT(cursor->pointer, plain->pointer);
}

TEST(a_search_stands_where_the_index_leads_whatever_the_guess) {
    for (int round = 0; round < 60; round++) {
        struct known_run known;
        struct segment_cursor cursor, plain;

        known_run_open(&known, round);
        segment_cursor_init(&cursor, &known.f.file.env.env, &known.view);
        segment_cursor_init(&plain, &known.f.file.env.env, &known.view);
        for (int i = 0; i < 300; i++) {
            struct slice key = some_key(&known);
            struct segment_place place;
            struct segment_search search;

            if (!run_notes_place(known.notes, key, &place)) continue;
            if (i % 4 == 1) place.position = 0;
            if (i % 4 == 2) place.position = 65535;
            if (i % 4 == 3) place.position = test_random_below(65536);
            segment_place_prefetch(&known.view, &place, test_random_below(5000));
            CHECK_OK(segment_search_at(&cursor, key, &place, &search));
            CHECK_OK(segment_search_ge(&cursor, &search));
            CHECK_OK(segment_seek_ge(&plain, TOPIC_USER, key, 0));
            check_same(&cursor, &plain);
            CHECK_OK(segment_search_at(&cursor, key, &place, &search));
            CHECK_OK(segment_search_le(&cursor, &search));
            CHECK_OK(segment_seek_le(&plain, TOPIC_USER, key, 0));
            check_same(&cursor, &plain);
        }
        segment_cursor_release(&cursor);
        segment_cursor_release(&plain);
        known_run_close(&known);
    }
}

TEST(searches_may_take_their_steps_in_turns) {
    for (int round = 0; round < 20; round++) {
        struct known_run known;
        struct segment_cursor cursors[5], plain;

        known_run_open(&known, round);
        segment_cursor_init(&plain, &known.f.file.env.env, &known.view);
        for (int i = 0; i < 5; i++) segment_cursor_init(&cursors[i], &known.f.file.env.env, &known.view);
        for (int turn = 0; turn < 50; turn++) {
            struct segment_search searches[5];
            uint8_t keys[5][1200];
            struct slice targets[5];
            bool going = true;

            for (int i = 0; i < 5; i++) {
                struct slice key = some_key(&known);
                struct segment_place place;
                if (key.size) memcpy(keys[i], key.data, key.size);
                targets[i] = (struct slice){keys[i], key.size};
                CHECK(run_notes_place(known.notes, key, &place));
                CHECK_OK(segment_search_begin(&cursors[i], &place, &searches[i]));
            }
            while (going) {
                going = false;
                for (int i = 0; i < 5; i++) {
                    if (searches[i].low == searches[i].high) continue;
                    CHECK_OK(segment_search_step(&cursors[i], targets[i], &searches[i]));
                    going = true;
                }
            }
            for (int i = 0; i < 5; i++) {
                CHECK_OK(segment_search_ge(&cursors[i], &searches[i]));
                CHECK_OK(segment_seek_ge(&plain, TOPIC_USER, targets[i], 0));
                check_same(&cursors[i], &plain);
            }
        }
        for (int i = 0; i < 5; i++) segment_cursor_release(&cursors[i]);
        segment_cursor_release(&plain);
        known_run_close(&known);
    }
}

TEST(a_place_that_is_no_page_of_records_is_corrupt) {
    struct known_run known;
    struct segment_cursor cursor;
    struct segment_search search;
    struct segment_place place = {0};

    known_run_open(&known, 3); /* 600 records: there is an index */
    while (known.run.root == 0) {
        known_run_close(&known);
        known_run_open(&known, 3);
    }
    segment_cursor_init(&cursor, &known.f.file.env.env, &known.view);
    place.page_no = known.run.root;
    CHECK_RC(segment_search_begin(&cursor, &place, &search), LSM_CORRUPT);
    CHECK(!cursor.valid);
    CHECK_EQ_UINT(known.f.file.error.page_no, known.run.root);
    segment_cursor_release(&cursor);
    known_run_close(&known);
}

TEST_MAIN()
