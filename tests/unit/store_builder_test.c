/*
** store_builder_test.c — notes made while a run is written: they find every key, and exclude most others.
*/
#include "support/store_fixture.h"

TEST(notes_of_a_run_find_all_its_keys_and_exclude_others) {
    static const uint32_t counts[] = {1, 2, 10, 300, 20000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct store_fixture f;
        struct run_builder *builder;
        struct run_notes *notes;
        struct segment run;

        store_fixture_open(&f, "run.lsm", 64 << 20);
        builder = run_builder_new(f.store, 0);
        fixture_run(&f, builder, counts[i], &run);
        notes = run_builder_notes(builder, true);
        run_builder_free(builder);
        CHECK(notes != NULL);
        CHECK_EQ_UINT(run_notes_keys(notes), counts[i]);
        fixture_check(&f, &run, notes, counts[i]);
        run_notes_release(notes);
        CHECK_EQ_UINT(store_bytes(f.store), 0);
        store_fixture_close(&f);
    }
}

TEST(a_filter_made_for_too_few_or_too_many_keys_is_as_good) {
    static const uint32_t expected[] = {17000, 20000, 1000000};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct store_fixture f;
        struct run_builder *builder;
        struct run_notes *notes;
        struct segment run;

        store_fixture_open(&f, "run.lsm", 64 << 20);
        builder = run_builder_new(f.store, expected[i]);
        fixture_run(&f, builder, 60000, &run);
        notes = run_builder_notes(builder, true);
        run_builder_free(builder);
        fixture_check(&f, &run, notes, 60000);
        CHECK(run_notes_bytes(notes) < 1000000); /* folded */
        CHECK_EQ_INT(run_notes_probe(notes).words != NULL, expected[i] > 60000);
        run_notes_release(notes);
        store_fixture_close(&f);
    }
}

TEST(notes_taken_on_the_way_stay_right_while_the_run_grows) {
    struct store_fixture f;
    struct run_builder *builder;
    struct segment_writer *writer;
    struct segment_writer_config config;
    struct segment_observer observer;
    struct segment runs[6];
    struct run_notes *notes[6];
    uint32_t skip = 0;

    store_fixture_open(&f, "run.lsm", 64 << 20);
    builder = run_builder_new(f.store, 0);
    observer = run_builder_observer(builder);
    for (uint32_t slice = 0; slice < 6; slice++) {
        if (slice == 0) {
            writer = fixture_writer(&f, builder);
        } else {
            config = segment_file_config(&f.file, 0, 0);
            CHECK_OK(segment_writer_resume(&f.file.env.env, &config, &runs[slice - 1], skip, 0,
                                           &writer));
            segment_writer_observe(writer, &observer);
        }
        fixture_add(writer, slice * 8000, 2, 4000);
        if (slice < 5) CHECK_OK(segment_writer_interrupt(writer, &runs[slice], &skip));
        else CHECK_OK(segment_writer_finish(writer, &runs[slice], &f.append_point));
        segment_writer_free(writer);
        notes[slice] = run_builder_notes(builder, slice == 5);
        CHECK(notes[slice] != NULL);
    }
    run_builder_free(builder);
    for (uint32_t slice = 0; slice < 6; slice++) {
        char text[24];
        struct segment_view view = fixture_view(&f, &runs[slice]);
        struct segment_cursor scratch;
        segment_cursor_init(&scratch, &f.file.env.env, &view);
        for (uint32_t number = 0; number < (slice + 1) * 8000; number++) {
            struct slice key = fixture_key(text, number);
            struct segment_place place;
            struct segment_lookup result;
            CHECK(number % 2 == 1 || !run_notes_exclude(notes[slice], key, store_hash(key)));
            CHECK(run_notes_place(notes[slice], key, &place));
            CHECK_OK(segment_lookup_at(&scratch, &view, key, &place, &result));
            CHECK_EQ_INT(result.found, number % 2 == 0);
        }
        segment_cursor_release(&scratch);
        run_notes_release(notes[slice]);
    }
    CHECK_EQ_UINT(store_bytes(f.store), 0);
    store_fixture_close(&f);
}

/* Records of every kind and size; every answer must be that of a lookup without notes. */
TEST(lookups_by_notes_agree_with_lookups_by_the_index) {
    for (int round = 0; round < 60; round++) {
        struct store_fixture f;
        struct test_records records = {0};
        struct run_builder *builder;
        struct run_notes *notes;
        struct segment_writer *writer;
        struct segment_cursor scratch;
        struct segment_view view;
        struct segment run;
        bool open = false;

        store_fixture_open(&f, "run.lsm", 64 << 20);
        random_records(&records, 1 + test_random_below(round % 3 ? 60 : 600),
                       round % 2 ? 12 : 700, 300, round % 5 ? 0 : 3000);
        builder = run_builder_new(f.store, 0);
        writer = fixture_writer(&f, builder);
        for (uint32_t i = 0; i < records.count; i++) {
            struct test_record *record = &records.items[i];
            bool last = i + 1 == records.count;
            uint32_t kind = test_random_below(10);
            record->flags = kind < 6 ? RECORD_INSERT : kind < 8 ? RECORD_POINT_DELETE : 0;
            record->pointer = 1000 + i / 3;
            if (open) record->flags |= RECORD_END_DELETE;
            open = !last && test_random_below(5) == 0;
            if (open) record->flags |= RECORD_START_DELETE;
            if (record->flags == 0) record->flags = RECORD_SEPARATOR;
            CHECK_OK(segment_writer_add_record(writer, record));
        }
        CHECK_OK(segment_writer_finish(writer, &run, &f.append_point));
        segment_writer_free(writer);
        notes = run_builder_notes(builder, true);
        run_builder_free(builder);
        CHECK(notes != NULL);
        view = fixture_view(&f, &run);
        segment_cursor_init(&scratch, &f.file.env.env, &view);
        for (uint32_t i = 0; i < 4 * records.count; i++) {
            const struct test_record *record = &records.items[i % records.count];
            uint8_t wanted[1200];
            struct slice key = test_record_key(record);
            struct segment_place place;
            struct segment_lookup plain = {0}, noted = {0};
            bool excluded;

            if (key.size > 1000) continue;
            if (key.size) memcpy(wanted, key.data, key.size);
            key.data = wanted;
            if (i / records.count == 1) wanted[key.size++] = (uint8_t)test_random();
            if (i / records.count == 2 && key.size > 0) key.size--;
            if (i / records.count == 3 && key.size > 0) wanted[key.size - 1] ^= 1;
            CHECK_OK(segment_lookup(&scratch, &view, key, 0, &plain));
            excluded = run_notes_exclude(notes, key, store_hash(key));
            CHECK(!excluded || !(plain.found || plain.deleted));
            if (!run_notes_place(notes, key, &place)) continue;
            CHECK_OK(segment_lookup_at(&scratch, &view, key, &place, &noted));
            CHECK_EQ_INT(noted.found, plain.found);
            CHECK_EQ_INT(noted.deleted, plain.deleted);
            CHECK_EQ_UINT(noted.pointer, plain.pointer);
        }
        segment_cursor_release(&scratch);
        run_notes_release(notes);
        test_records_free(&records);
        store_fixture_close(&f);
    }
}

/* What a builder makes of 60000 keys, on pages of 10, within a budget. */
static struct run_notes *notes_within(struct store *store, uint32_t expected, size_t *most) {
    struct run_builder *builder = run_builder_new(store, expected);
    struct segment_observer observer = run_builder_observer(builder);
    struct run_notes *notes;
    char text[24];

    *most = 0;
    for (uint32_t i = 0; i < 60000; i++) {
        observer.record(observer.context, RECORD_INSERT, fixture_key(text, 2 * i), i % 10 == 0);
        if (i % 10 == 9) observer.page(observer.context, 2 + i / 10);
        if (store_bytes(store) > *most) *most = store_bytes(store);
    }
    notes = run_builder_notes(builder, true);
    run_builder_free(builder);
    return notes;
}

/* A filter of 12 bits takes 90 KB, of 8 bits 60 KB, of 4 bits 30 KB; fences of 6000 pages 80 KB. */
TEST(notes_become_worse_by_steps_as_the_budget_shrinks) {
    static const struct {
        size_t budget;
        bool fences;
        uint32_t false_max; /* of 60000 absent keys seem to be there */
    } rows[] = {{1000000, true, 600}, {240000, true, 600}, {200000, true, 1200}, {190000, true, 2000},
                {140000, false, 600}, {90000, false, 3000}, {65000, false, 12000},
                {45000, false, 24000}};
    uint32_t false_before = 0;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct store_fixture f;
        struct run_notes *notes;
        uint32_t seeming = 0;
        char text[24];
        size_t most;

        TEST_NOTE("budget %u", (unsigned)rows[i].budget);
        store_fixture_open(&f, "run.lsm", rows[i].budget);
        notes = notes_within(f.store, 60000, &most);
        CHECK(notes != NULL);
        CHECK(run_notes_bytes(notes) <= rows[i].budget);
        CHECK_MSG(most <= rows[i].budget, "%u bytes", (unsigned)most);
        CHECK_EQ_INT(run_notes_fenced(notes), rows[i].fences);
        CHECK_EQ_UINT(notes->part_count, 1);
        for (uint32_t number = 0; number < 120000; number++) {
            struct slice key = fixture_key(text, number);
            struct segment_place place;
            bool out = run_notes_exclude(notes, key, store_hash(key));
            if (number % 2 == 0) CHECK(!out);
            else seeming += !out;
            if (run_notes_place(notes, key, &place)) CHECK_EQ_UINT(place.page_no, 2 + number / 20);
        }
        CHECK_MSG(seeming <= rows[i].false_max, "%u seem to be there", seeming);
        if (!rows[i].fences) {
            CHECK(seeming > false_before);
            false_before = seeming;
        }
        run_notes_release(notes);
        CHECK_EQ_UINT(store_bytes(f.store), 0);
        store_fixture_close(&f);
    }
}

TEST(a_filter_that_outgrows_the_limit_is_folded_and_then_given_up) {
    for (size_t budget = 20000; budget < 500000; budget += budget / 8) {
        struct store_fixture f;
        struct run_notes *notes;
        uint32_t seeming = 0;
        char text[24];
        size_t most;

        TEST_NOTE("budget %u", (unsigned)budget);
        store_fixture_open(&f, "run.lsm", budget);
        notes = notes_within(f.store, 0, &most);
        CHECK(most <= 2 * budget);
        if (notes) CHECK(run_notes_bytes(notes) <= budget);
        for (uint32_t number = 0; notes && number < 120000; number++) {
            struct slice key = fixture_key(text, number);
            struct segment_place place;
            bool out = run_notes_exclude(notes, key, store_hash(key));
            if (number % 2 == 0) CHECK(!out);
            else seeming += !out;
            if (run_notes_place(notes, key, &place)) CHECK_EQ_UINT(place.page_no, 2 + number / 20);
        }
        if (budget > 200000) CHECK(notes && seeming < 6000);
        run_notes_release(notes);
        CHECK_EQ_UINT(store_bytes(f.store), 0);
        store_fixture_close(&f);
    }
}

TEST(without_a_budget_nothing_is_built) {
    struct store_fixture f;
    store_fixture_open(&f, "run.lsm", 0);
    CHECK_EQ_PTR(run_builder_new(f.store, 0), NULL);
    CHECK_EQ_PTR(run_builder_new(NULL, 0), NULL);
    store_fixture_close(&f);
}

TEST(without_memory_there_are_no_notes_and_nothing_leaks) {
    bool complete = false;

    for (long n = 0; !complete; n += 1 + n / 8) {
        struct store_fixture f;
        struct segment_writer *writer;
        struct run_builder *builder;
        struct run_notes *notes = NULL;
        struct segment run;

        store_fixture_open(&f, "run.lsm", 64 << 20);
        writer = fixture_writer(&f, NULL);
        f.file.env.allocations_left = n;
        builder = run_builder_new(f.store, 0);
        f.file.env.allocations_left = -1;
        if (builder) {
            struct segment_observer observer = run_builder_observer(builder);
            segment_writer_observe(writer, &observer);
        }
        for (uint32_t i = 0; i < 1500; i++) {
            /* Only the builder is out of memory: the writer has what it needs. */
            fixture_add(writer, 2 * i, 2, 1);
        }
        CHECK_OK(segment_writer_finish(writer, &run, &f.append_point));
        segment_writer_free(writer);
        if (builder) {
            f.file.env.allocations_left = n;
            notes = run_builder_notes(builder, true);
            complete = f.file.env.allocations_left > 0;
            f.file.env.allocations_left = -1;
        }
        run_builder_free(builder);
        if (complete) fixture_check(&f, &run, notes, 1500);
        run_notes_release(notes);
        CHECK_EQ_UINT(store_bytes(f.store), 0);
        store_fixture_close(&f);
    }
}

/* The same with failures while records are told. */
TEST(a_builder_that_runs_out_of_memory_midway_gives_up_what_it_must) {
    for (long n = 0; n < 24; n++) {
        struct store_fixture f;
        struct run_builder *builder;
        struct segment_observer observer;
        struct run_notes *notes;
        char text[24];

        store_fixture_open(&f, "run.lsm", 64 << 20);
        builder = run_builder_new(f.store, 0);
        observer = run_builder_observer(builder);
        f.file.env.allocations_left = n;
        for (uint32_t i = 0; i < 60000; i++) {
            observer.record(observer.context, RECORD_INSERT, fixture_key(text, i), i % 20 == 0);
            if (i % 20 == 19) observer.page(observer.context, 2 + i / 20);
        }
        f.file.env.allocations_left = -1;
        notes = run_builder_notes(builder, true);
        run_builder_free(builder);
        for (uint32_t i = 0; notes && i < 60000; i += 7) {
            struct slice key = fixture_key(text, i);
            struct segment_place place;
            CHECK(!run_notes_exclude(notes, key, store_hash(key)));
            if (run_notes_place(notes, key, &place)) CHECK_EQ_UINT(place.page_no, 2 + i / 20);
        }
        run_notes_release(notes);
        CHECK_EQ_UINT(store_bytes(f.store), 0);
        store_fixture_close(&f);
    }
}

TEST(system_records_are_no_part_of_the_notes) {
    struct store_fixture f;
    struct run_builder *builder;
    struct segment_writer *writer;
    struct run_notes *notes;
    struct segment_place place = {0};
    struct segment run;
    struct slice key = {(const uint8_t *)"\0\0\0\1", 4};

    store_fixture_open(&f, "run.lsm", 64 << 20);
    builder = run_builder_new(f.store, 0);
    writer = fixture_writer(&f, builder);
    CHECK_OK(segment_writer_add(writer, RECORD_INSERT | RECORD_SYSTEM, key, key, 0));
    CHECK_OK(segment_writer_finish(writer, &run, &f.append_point));
    segment_writer_free(writer);
    notes = run_builder_notes(builder, true);
    run_builder_free(builder);
    CHECK(notes != NULL);
    CHECK(run_notes_exclude(notes, key, store_hash(key)));
    CHECK(!run_notes_place(notes, key, &place));
    run_notes_release(notes);
    store_fixture_close(&f);
}

TEST_MAIN()
