/*
** store_thread_test.c — one worker publishes, three readers ask, visit and change the budget at once; to be run under
** a thread sanitizer, too.
*/
#include <pthread.h>

#include "support/store_fixture.h"

#define READER_COUNT 3
#define RUN_COUNT 4
#define KEYS_PER_RUN 600
#define ROUNDS 400

struct world {
    struct store_fixture f;
    struct segment runs[RUN_COUNT]; /* written once, in and out of the snapshots */
    _Atomic int64_t newest_id;
    _Atomic uint64_t runs_in; /* bits, of the newest snapshot */
    atomic_bool stop;
    atomic_uint answers;
};

static void *read_on(void *context) {
    struct world *w = context;
    uint32_t number = 1;

    while (!atomic_load(&w->stop)) {
        int64_t id = atomic_load(&w->newest_id);
        uint32_t which = number % RUN_COUNT;
        struct error_context error = {0};
        struct segment_view view = {w->f.file.pager, &w->runs[which], NULL, &error};
        struct run_notes *notes = store_find(w->f.store, &w->runs[which], id);
        bool hopeless = false;

        if (notes == NULL) notes = store_visit(w->f.store, &view, id, &hopeless);
        for (uint32_t i = 0; notes && i < KEYS_PER_RUN; i++) {
            char text[24];
            struct slice key = fixture_key(text, 2 * i);
            struct segment_place place;
            CHECK(!run_notes_exclude(notes, key, store_hash(key)));
            if (run_notes_place(notes, key, &place)) CHECK(place.page_no >= w->runs[which].first);
        }
        if (notes) atomic_fetch_add(&w->answers, 1);
        if (notes && number % 3 == 0) run_notes_mark_used(notes);
        run_notes_release(notes);
        if (number % 50 == 0) store_set_budget(w->f.store, number % 100 ? 20000 : 1 << 20);
        number = number * 1664525u + 1013904223u;
    }
    return NULL;
}

/* Tell a builder about a run, as its writer would. */
static struct run_builder *told(struct world *w, const struct segment *run) {
    struct run_builder *builder = run_builder_new(w->f.store, 0);
    struct segment_observer observer;
    struct error_context error = {0};
    struct segment_view view = {w->f.file.pager, run, NULL, &error};
    uint64_t page_no = run->first;
    struct buffer scratch;

    if (builder == NULL) return NULL;
    observer = run_builder_observer(builder);
    buffer_init(&scratch, lsm_default_env());
    while (page_no != 0) {
        bool is_index;
        CHECK_OK(segment_observe_page(&view, page_no, &observer, &scratch, &page_no, &is_index));
    }
    buffer_release(&scratch);
    return builder;
}

TEST(readers_get_right_answers_while_runs_come_and_go) {
    static struct world w;
    pthread_t readers[READER_COUNT];
    struct store_batch batch;

    /* The default environment: that of the fixture counts without a lock. */
    memset(&w, 0, sizeof w);
    segment_file_open(&w.f.file, test_path("run.lsm"), 256, 65536, NULL);
    CHECK_OK(store_open(lsm_default_env(), 1 << 20, &w.f.store));
    for (uint32_t i = 0; i < RUN_COUNT; i++) fixture_run(&w.f, NULL, KEYS_PER_RUN, &w.runs[i]);
    pager_reader_enter(w.f.file.pager);
    for (uint32_t i = 0; i < RUN_COUNT; i++) run_builder_free(told(&w, &w.runs[i])); /* maps all */
    atomic_store(&w.newest_id, 10);
    for (int i = 0; i < READER_COUNT; i++) {
        CHECK_EQ_INT(pthread_create(&readers[i], NULL, read_on, &w), 0);
    }
    batch = (struct store_batch){.store = w.f.store};
    for (uint32_t round = 0; round < ROUNDS || atomic_load(&w.answers) < 100; round++) {
        struct snapshot snapshot;
        struct level levels[RUN_COUNT];
        struct segment in[RUN_COUNT];
        uint32_t count = 0, written = test_random_below(RUN_COUNT);

        for (uint32_t i = 0; i < RUN_COUNT; i++) {
            if (i == written) {
                store_batch_add(&batch, &w.runs[i], told(&w, &w.runs[i]), round % 2 == 0);
            }
            if (i == written || test_random_below(3)) in[count++] = w.runs[i];
        }
        fixture_snapshot(&snapshot, levels, 11 + round, in, count);
        store_publish(&batch, &snapshot);
        atomic_store(&w.newest_id, 11 + round);
    }
    atomic_store(&w.stop, true);
    for (int i = 0; i < READER_COUNT; i++) pthread_join(readers[i], NULL);
    pager_reader_leave(w.f.file.pager);
    store_batch_release(&batch);
    store_close(w.f.store);
    segment_file_close(&w.f.file);
}

TEST_MAIN()
