/*
** store_test.c — which notes belong to which snapshot; batches; the budget; notes made by visits.
*/
#include "support/store_fixture.h"

/* Notes of any run: the store does not look into them. */
static struct run_builder *some_builder(struct store *store) {
    struct run_builder *builder = run_builder_new(store, 0);
    struct segment_observer observer;
    CHECK(builder != NULL);
    observer = run_builder_observer(builder);
    observer.record(observer.context, RECORD_INSERT, (struct slice){(const uint8_t *)"k", 1}, true);
    observer.page(observer.context, 3);
    return builder;
}

static const struct segment run_a = {3, 40, 40, 38};
static const struct segment run_b = {41, 90, 90, 50};
static const struct segment run_c = {300, 340, 340, 41};

/* Publish a snapshot of these runs, with fresh notes about those of them that `written` names by a bit. */
static void publish(struct store *store, int64_t id, const struct segment *runs, uint32_t count,
                    uint32_t written) {
    struct store_batch batch = {.store = store};
    struct snapshot snapshot;
    struct level levels[8];

    for (uint32_t i = 0; i < count; i++) {
        if (written >> i & 1) store_batch_add(&batch, &runs[i], some_builder(store), true);
    }
    fixture_snapshot(&snapshot, levels, id, runs, count);
    store_publish(&batch, &snapshot);
    CHECK_EQ_UINT(batch.count, 0);
    store_batch_release(&batch);
}

static bool knows(struct store *store, const struct segment *run, int64_t snapshot_id) {
    struct run_notes *notes = store_find(store, run, snapshot_id);
    run_notes_release(notes);
    return notes != NULL;
}

TEST(notes_are_given_to_their_snapshot_and_newer_ones_only) {
    struct store_fixture f;
    const struct segment both[] = {run_a, run_b};

    store_fixture_open(&f, "x.lsm", 1 << 20);
    publish(f.store, 20, both, 1, 1);
    publish(f.store, 21, both, 2, 2);
    CHECK(!knows(f.store, &run_a, 19));
    CHECK(knows(f.store, &run_a, 20) && knows(f.store, &run_a, 21));
    CHECK(!knows(f.store, &run_b, 20) && knows(f.store, &run_b, 21));
    CHECK(!knows(f.store, &run_c, 21));
    store_fixture_close(&f);
}

TEST(a_run_that_left_is_forgotten_and_readers_keep_what_they_hold) {
    struct store_fixture f;
    struct run_notes *held;

    store_fixture_open(&f, "x.lsm", 1 << 20);
    publish(f.store, 20, &run_a, 1, 1);
    held = store_find(f.store, &run_a, 20);
    CHECK(held != NULL);
    publish(f.store, 21, &run_b, 1, 1);
    CHECK(!knows(f.store, &run_a, 20) && !knows(f.store, &run_a, 21));
    CHECK_EQ_UINT(run_notes_keys(held), 1);
    run_notes_release(held);
    store_fixture_close(&f);
}

TEST(another_run_under_the_same_numbers_is_another_run) {
    struct store_fixture f;
    struct run_notes *first, *second;

    store_fixture_open(&f, "x.lsm", 1 << 20);
    publish(f.store, 20, &run_a, 1, 1);
    first = store_find(f.store, &run_a, 20);
    publish(f.store, 21, &run_b, 1, 1); /* A goes, its blocks are reused */
    publish(f.store, 22, &run_a, 1, 1);
    second = store_find(f.store, &run_a, 22);
    CHECK(second != NULL && second != first);
    CHECK(!knows(f.store, &run_a, 20)); /* an old reader is not told about the new run */
    run_notes_release(first);
    run_notes_release(second);
    /* Even from one snapshot to the next, and without any notes about the new one. */
    {
        struct store_batch batch = {.store = f.store};
        struct snapshot snapshot;
        struct level levels[1];
        store_batch_add(&batch, &run_a, NULL, true);
        fixture_snapshot(&snapshot, levels, 23, &run_a, 1);
        store_publish(&batch, &snapshot);
        store_batch_release(&batch);
    }
    CHECK(!knows(f.store, &run_a, 23));
    store_fixture_close(&f);
}

TEST(a_run_that_could_not_be_noted_makes_the_store_forget_all) {
    struct store_fixture f;
    struct store_batch batch;
    struct snapshot snapshot;
    struct level levels[2];
    const struct segment both[] = {run_a, run_b};

    store_fixture_open(&f, "x.lsm", 1 << 20);
    publish(f.store, 20, both, 2, 3);
    batch = (struct store_batch){.store = f.store};
    f.file.env.allocations_left = 0;
    store_batch_add(&batch, &run_a, NULL, true); /* no memory for the item */
    f.file.env.allocations_left = -1;
    fixture_snapshot(&snapshot, levels, 21, both, 2);
    store_publish(&batch, &snapshot);
    store_batch_release(&batch);
    CHECK(!knows(f.store, &run_a, 21) && !knows(f.store, &run_b, 21));
    store_fixture_close(&f);
}

TEST(a_batch_that_is_thrown_away_changes_nothing) {
    struct store_fixture f;
    struct store_batch batch;

    store_fixture_open(&f, "x.lsm", 1 << 20);
    publish(f.store, 20, &run_a, 1, 1);
    batch = (struct store_batch){.store = f.store};
    store_batch_add(&batch, &run_b, some_builder(f.store), true);
    store_batch_add(&batch, &run_c, some_builder(f.store), false);
    store_batch_release(&batch);
    CHECK(knows(f.store, &run_a, 20) && !knows(f.store, &run_b, 21));
    batch = (struct store_batch){0}; /* without a store: everything is taken and dropped */
    store_batch_add(&batch, &run_b, some_builder(f.store), true);
    store_batch_move(&batch, &run_a, &run_b, 20);
    CHECK_EQ_PTR(store_batch_take_builder(&batch, &run_a, 20), NULL);
    store_batch_release(&batch);
    store_fixture_close(&f);
}

TEST(a_moved_run_takes_its_notes_along_unless_its_page_numbers_were_translated) {
    for (int translated = 0; translated < 2; translated++) {
        struct store_fixture f;
        struct store_batch batch;
        struct snapshot snapshot;
        struct level levels[1];
        struct run_builder *builder;

        store_fixture_open(&f, "x.lsm", 1 << 20);
        batch = (struct store_batch){.store = f.store};
        builder = some_builder(f.store);
        if (translated) run_builder_set_translated(builder);
        store_batch_add(&batch, &run_a, builder, true);
        fixture_snapshot(&snapshot, levels, 20, &run_a, 1);
        store_publish(&batch, &snapshot);
        store_batch_move(&batch, &run_a, &run_c, 20);
        fixture_snapshot(&snapshot, levels, 21, &run_c, 1);
        store_publish(&batch, &snapshot);
        CHECK_EQ_INT(knows(f.store, &run_c, 21), !translated);
        CHECK(!knows(f.store, &run_c, 20) && !knows(f.store, &run_a, 21));
        /* A block in the middle: the ends stay. */
        store_batch_move(&batch, &run_c, &run_c, 21);
        fixture_snapshot(&snapshot, levels, 22, &run_c, 1);
        store_publish(&batch, &snapshot);
        CHECK_EQ_INT(knows(f.store, &run_c, 22), !translated);
        store_batch_release(&batch);
        store_fixture_close(&f);
    }
}

TEST(a_builder_waits_for_the_next_slice_of_its_output) {
    struct store_fixture f;
    struct store_batch batch;
    struct snapshot snapshot;
    struct level levels[1];
    struct run_builder *builder;

    store_fixture_open(&f, "x.lsm", 1 << 20);
    batch = (struct store_batch){.store = f.store};
    builder = some_builder(f.store);
    store_batch_add(&batch, &run_a, builder, false);
    CHECK_EQ_PTR(store_batch_take_builder(&batch, &run_a, 19), builder); /* in the same job */
    CHECK_EQ_PTR(store_batch_take_builder(&batch, &run_a, 19), NULL);
    store_batch_add(&batch, &run_a, builder, false);
    fixture_snapshot(&snapshot, levels, 20, &run_a, 1);
    store_publish(&batch, &snapshot);
    CHECK(knows(f.store, &run_a, 20));
    CHECK_EQ_PTR(store_batch_take_builder(&batch, &run_b, 20), NULL);
    CHECK_EQ_PTR(store_batch_take_builder(&batch, &run_a, 19), NULL); /* of another generation */
    CHECK_EQ_PTR(store_batch_take_builder(&batch, &run_a, 20), builder);
    CHECK(knows(f.store, &run_a, 20)); /* what is published stays */
    run_builder_free(builder);
    store_batch_release(&batch);
    store_fixture_close(&f);
}

TEST(notes_used_lately_survive_when_the_budget_shrinks) {
    struct store_fixture f;
    const struct segment all[] = {run_a, run_b, run_c};
    const struct segment *left[3] = {NULL};
    struct run_notes *notes;
    uint32_t left_count = 0, used;
    size_t full;

    store_fixture_open(&f, "x.lsm", 1 << 20);
    publish(f.store, 20, all, 3, 7);
    full = store_bytes(f.store);
    CHECK(full > 0);
    store_set_budget(f.store, full); /* fits: nothing happens */
    CHECK(knows(f.store, &run_a, 20) && knows(f.store, &run_b, 20) && knows(f.store, &run_c, 20));
    /* A round of the clock takes the marks of new notes away, and one victim. */
    store_set_budget(f.store, full - 1);
    for (int i = 0; i < 3; i++) {
        if (knows(f.store, &all[i], 20)) left[left_count++] = &all[i];
    }
    CHECK_EQ_UINT(left_count, 2);
    for (int i = 0; i < 2; i++) { /* whichever is used stays */
        used = test_random_below(2);
        notes = store_find(f.store, left[used], 20);
        if (notes == NULL) continue;
        run_notes_mark_used(notes);
        run_notes_release(notes);
        if (knows(f.store, left[1 - used], 20)) {
            store_set_budget(f.store, store_bytes(f.store) - 1);
            CHECK(knows(f.store, left[used], 20) && !knows(f.store, left[1 - used], 20));
        }
    }
    store_set_budget(f.store, 0);
    for (int i = 0; i < 3; i++) CHECK(!knows(f.store, &all[i], 20));
    CHECK_EQ_UINT(store_bytes(f.store), 0);
    store_fixture_close(&f);
}

TEST(every_budget_is_kept_when_a_snapshot_is_published) {
    for (size_t budget = 0; budget < 60000; budget += 3777) {
        struct store_fixture f;
        struct segment runs[8];

        store_fixture_open(&f, "x.lsm", 1 << 20);
        for (uint32_t i = 0; i < 8; i++) runs[i] = (struct segment){100 * i + 3, 100 * i + 90, 0, 87};
        publish(f.store, 20, runs, 8, 0xff);
        store_set_budget(f.store, budget);
        CHECK(store_bytes(f.store) <= budget);
        store_fixture_close(&f);
    }
}

/* A filter of 30000 keys takes 45 KB, fences of 3000 pages 42 KB. */
static struct run_builder *large_builder(struct store *store) {
    struct run_builder *builder = run_builder_new(store, 30000);
    struct segment_observer observer = run_builder_observer(builder);
    char text[24];

    observer.record(observer.context, RECORD_START_DELETE, (struct slice){(const uint8_t *)"a", 1}, true);
    observer.record(observer.context, RECORD_END_DELETE, (struct slice){(const uint8_t *)"b", 1}, false);
    for (uint32_t i = 0; i < 30000; i++) {
        observer.record(observer.context, RECORD_INSERT, fixture_key(text, i), i > 0 && i % 10 == 0);
        if (i % 10 == 9) observer.page(observer.context, 3 + i / 10);
    }
    return builder;
}

TEST(large_notes_lose_their_fences_before_their_filter) {
    struct store_fixture f;
    struct store_batch batch;
    struct snapshot snapshot;
    struct run_notes *notes;
    struct level levels[1];
    struct slice key;
    char text[24];
    size_t full;

    store_fixture_open(&f, "x.lsm", 1 << 20);
    batch = (struct store_batch){.store = f.store};
    store_batch_add(&batch, &run_a, large_builder(f.store), true);
    fixture_snapshot(&snapshot, levels, 20, &run_a, 1);
    store_publish(&batch, &snapshot);
    store_batch_release(&batch);
    full = store_bytes(f.store);
    store_set_budget(f.store, full - 1);
    notes = store_find(f.store, &run_a, 20);
    CHECK(notes != NULL);
    CHECK(!run_notes_fenced(notes));
    CHECK_EQ_UINT(store_bytes(f.store), run_notes_bytes(notes));
    CHECK(store_bytes(f.store) < full - 30000);
    for (uint32_t i = 0; i < 30000; i++) {
        key = fixture_key(text, i);
        CHECK(!run_notes_exclude(notes, key, store_hash(key)));
    }
    key = (struct slice){(const uint8_t *)"az", 2}; /* ranges stay with the filter */
    CHECK(!run_notes_exclude(notes, key, store_hash(key)));
    CHECK_EQ_UINT(run_notes_keys(notes), 30000);
    run_notes_mark_used(notes);
    run_notes_release(notes);
    store_set_budget(f.store, 20000); /* not even the filter fits */
    CHECK(!knows(f.store, &run_a, 20));
    CHECK_EQ_UINT(store_bytes(f.store), 0);
    store_fixture_close(&f);
}

TEST(of_large_notes_those_in_use_stay) {
    struct store_fixture f;
    struct store_batch batch;
    struct snapshot snapshot;
    struct run_notes *notes;
    struct segment both[] = {run_a, run_b};
    struct level levels[2];
    size_t full;

    store_fixture_open(&f, "x.lsm", 1 << 20);
    batch = (struct store_batch){.store = f.store};
    store_batch_add(&batch, &run_a, large_builder(f.store), true);
    store_batch_add(&batch, &run_b, large_builder(f.store), true);
    fixture_snapshot(&snapshot, levels, 20, both, 2);
    store_publish(&batch, &snapshot);
    store_batch_release(&batch);
    full = store_bytes(f.store);
    store_set_budget(f.store, full - 1); /* one goes without fences */
    notes = store_find(f.store, &run_b, 20);
    CHECK(notes != NULL);
    run_notes_mark_used(notes);
    run_notes_release(notes);
    store_set_budget(f.store, full / 3);
    CHECK(knows(f.store, &run_b, 20) && !knows(f.store, &run_a, 20));
    store_fixture_close(&f);
}

static void publish_large(struct store *store, int64_t id, const struct segment *runs, uint32_t count,
                          const struct segment *written, bool complete) {
    struct store_batch batch = {.store = store};
    struct snapshot snapshot;
    struct level levels[2];

    store_batch_add(&batch, written, large_builder(store), complete);
    fixture_snapshot(&snapshot, levels, id, runs, count);
    store_publish(&batch, &snapshot);
    store_batch_release(&batch);
}

TEST(what_readers_of_an_older_snapshot_hold_costs_the_newest_nothing) {
    struct store_fixture f;
    struct run_notes *held;
    struct run_notes *notes;
    size_t full;

    store_fixture_open(&f, "x.lsm", 1 << 20);
    publish_large(f.store, 20, &run_a, 1, &run_a, true);
    full = store_bytes(f.store);
    held = store_find(f.store, &run_a, 20);
    store_set_budget(f.store, full + full / 4);
    publish_large(f.store, 21, &run_b, 1, &run_b, true); /* merged from the other, say */
    notes = store_find(f.store, &run_b, 21);
    CHECK(notes != NULL && run_notes_fenced(notes));
    run_notes_release(notes);
    run_notes_release(held);
    CHECK(store_bytes(f.store) <= store_budget(f.store));
    store_fixture_close(&f);
}

TEST(a_run_that_is_being_written_loses_its_notes_last) {
    const struct segment both[] = {run_a, run_b};

    for (int turn = 0; turn < 2; turn++) { /* wherever the hand of the clock begins */
        struct store_fixture f;

        store_fixture_open(&f, "x.lsm", 1 << 20);
        publish_large(f.store, 20, both, 1, &run_a, turn == 0);
        publish_large(f.store, 21, both, 2, &run_b, turn == 1);
        store_set_budget(f.store, store_bytes(f.store) / 2);
        CHECK(knows(f.store, &both[1 - turn], 21) && !knows(f.store, &both[turn], 21));
        store_fixture_close(&f);
    }
}

TEST(notes_may_outlive_the_store) {
    struct store_fixture f;
    struct run_notes *held;

    store_fixture_open(&f, "x.lsm", 1 << 20);
    publish(f.store, 20, &run_a, 1, 1);
    held = store_find(f.store, &run_a, 20);
    store_close(f.store);
    CHECK_EQ_UINT(run_notes_keys(held), 1);
    run_notes_release(held);
    segment_file_close(&f.file);
    store_close(NULL);
}

/* ------------------------------------------------------------------------------------ visits -- */

/* Visit until there are notes; the number of visits, 0 = hopeless. */
static uint32_t visit_all(struct store_fixture *f, const struct segment *run, int64_t id,
                          struct run_notes **notes) {
    struct segment_view view = fixture_view(f, run);
    bool hopeless = false;
    uint32_t visits = 0;

    for (*notes = NULL; *notes == NULL && !hopeless; visits++) {
        *notes = store_visit(f->store, &view, id, &hopeless);
    }
    return hopeless ? 0 : visits;
}

TEST(visits_make_notes_some_pages_at_a_time) {
    struct store_fixture f;
    struct run_notes *notes;
    struct segment run;
    uint32_t visits;

    store_fixture_open(&f, "run.lsm", 64 << 20);
    fixture_run(&f, NULL, 5000, &run);
    CHECK(!knows(f.store, &run, 20)); /* a reader of snapshot 20 was here */
    visits = visit_all(&f, &run, 20, &notes);
    CHECK(visits > run.size / 32 && visits <= run.size / 16 + 1);
    fixture_check(&f, &run, notes, 5000);
    CHECK(knows(f.store, &run, 20) && !knows(f.store, &run, 19));
    run_notes_release(notes);
    CHECK_EQ_UINT(visit_all(&f, &run, 20, &notes), 1); /* they are there */
    run_notes_release(notes);
    store_fixture_close(&f);
}

TEST(only_readers_of_the_newest_snapshot_begin) {
    struct store_fixture f;
    struct run_notes *notes;
    struct segment run;

    store_fixture_open(&f, "run.lsm", 64 << 20);
    fixture_run(&f, NULL, 100, &run);
    CHECK(!knows(f.store, &run, 21));
    CHECK_EQ_UINT(visit_all(&f, &run, 20, &notes), 0);
    CHECK_EQ_PTR(notes, NULL);
    CHECK(visit_all(&f, &run, 21, &notes) > 0);
    run_notes_release(notes);
    store_fixture_close(&f);
}

TEST(a_run_that_leaves_meanwhile_takes_its_unfinished_notes_along) {
    struct store_fixture f;
    struct segment_view view;
    struct run_notes *notes;
    struct segment run;
    bool hopeless = false;

    store_fixture_open(&f, "run.lsm", 64 << 20);
    fixture_run(&f, NULL, 1000, &run);
    view = fixture_view(&f, &run);
    CHECK(!knows(f.store, &run, 20));
    CHECK_EQ_PTR(store_visit(f.store, &view, 20, &hopeless), NULL);
    CHECK(!hopeless);
    publish(f.store, 21, &run_b, 1, 1);
    CHECK_EQ_UINT(visit_all(&f, &run, 20, &notes), 0);
    store_fixture_close(&f);
}

/* Budgets: not enough to begin; enough to begin, but with the first parts the run proves too large. */
TEST(what_would_not_fit_the_budget_is_not_begun_or_given_up) {
    static const size_t budgets[] = {4000, 14500};
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
        struct store_fixture f;
        struct run_notes *notes;
        struct segment run;

        store_fixture_open(&f, "run.lsm", budgets[i]);
        fixture_run(&f, NULL, 30000, &run);
        CHECK(!knows(f.store, &run, 20));
        CHECK_EQ_UINT(visit_all(&f, &run, 20, &notes), 0);
        CHECK_EQ_UINT(store_bytes(f.store), 0);
        store_fixture_close(&f);
    }
}

TEST(visits_leave_alone_what_others_have_of_the_budget) {
    struct store_fixture f;
    struct run_notes *notes;
    struct segment run;

    store_fixture_open(&f, "run.lsm", 400000);
    store_charge(f.store, 300000);
    fixture_run(&f, NULL, 60000, &run);
    CHECK(!knows(f.store, &run, 20));
    CHECK(visit_all(&f, &run, 20, &notes) > 0);
    CHECK(run_notes_bytes(notes) < 100000);
    CHECK_EQ_UINT(notes->part_count, 1);
    CHECK(!run_notes_fenced(notes));
    run_notes_release(notes);
    store_discharge(f.store, 300000);
    store_fixture_close(&f);
}

TEST(a_run_that_was_visited_has_its_filter_in_one_piece) {
    struct store_fixture f;
    struct run_notes *notes;
    struct segment run;

    store_fixture_open(&f, "run.lsm", 64 << 20);
    fixture_run(&f, NULL, 100000, &run);
    CHECK(!knows(f.store, &run, 20));
    CHECK(visit_all(&f, &run, 20, &notes) > 0);
    CHECK(run_notes_probe(notes).words != NULL);
    CHECK(notes->parts[0]->bytes < 100000 * 14 / 8); /* little more than 12 bits a key */
    fixture_check(&f, &run, notes, 100000);
    run_notes_release(notes);
    store_fixture_close(&f);
}

TEST(a_page_that_cannot_be_read_ends_the_visits_and_is_nobody_elses_error) {
    struct store_fixture f;
    struct run_notes *notes;
    struct segment run;

    store_fixture_open(&f, "run.lsm", 64 << 20);
    fixture_run(&f, NULL, 1000, &run);
    run.first = 0xffffff; /* on no block */
    CHECK(!knows(f.store, &run, 20));
    CHECK_EQ_UINT(visit_all(&f, &run, 20, &notes), 0);
    CHECK_EQ_INT(f.file.error.code, LSM_OK);
    CHECK_EQ_UINT(store_bytes(f.store), 0);
    store_fixture_close(&f);
}

TEST(visits_without_memory_are_hopeless_and_leak_nothing) {
    for (long n = 0; n < 40; n++) {
        struct store_fixture f;
        struct run_notes *notes;
        struct segment run;
        uint32_t visits;

        store_fixture_open(&f, "run.lsm", 64 << 20);
        fixture_run(&f, NULL, 1500, &run);
        CHECK(!knows(f.store, &run, 20));
        f.file.env.allocations_left = n;
        visits = visit_all(&f, &run, 20, &notes);
        f.file.env.allocations_left = -1;
        if (visits > 0) {
            struct slice key;
            char text[24];
            for (uint32_t i = 0; i < 3000; i += 2) {
                key = fixture_key(text, i);
                CHECK(!run_notes_exclude(notes, key, store_hash(key)));
            }
        }
        run_notes_release(notes);
        store_fixture_close(&f);
    }
}

TEST_MAIN()
