/*
** store_fixture.h — for tests of the store: runs written with a builder listening, and their notes questioned.
*/
#ifndef LSM_SUPPORT_STORE_FIXTURE_H
#define LSM_SUPPORT_STORE_FIXTURE_H

#include "store/store_internal.h"
#include "support/segment_builder.h"

struct store_fixture {
    struct segment_file file;
    struct store *store;
    uint64_t append_point;
};

TEST_HELPER void store_fixture_open(struct store_fixture *f, const char *name, size_t budget) {
    *f = (struct store_fixture){0};
    segment_file_open(&f->file, test_path(name), 256, 65536, NULL);
    CHECK_OK(store_open(&f->file.env.env, budget, &f->store));
}

TEST_HELPER void store_fixture_close(struct store_fixture *f) {
    store_close(f->store);
    segment_file_close(&f->file); /* checks that nothing is left allocated */
}

TEST_HELPER struct slice fixture_key(char *text, uint32_t number) {
    int size = snprintf(text, 24, "key%08u", number);
    return (struct slice){(const uint8_t *)text, (uint32_t)size};
}

/* A writer, with a builder that listens to it. */
TEST_HELPER struct segment_writer *fixture_writer(struct store_fixture *f,
                                                  struct run_builder *builder) {
    struct segment_writer_config config = segment_file_config(&f->file, f->append_point, 0);
    struct segment_writer *writer = NULL;
    struct segment_observer observer;

    CHECK_OK(segment_writer_new(&f->file.env.env, &config, &writer));
    if (builder) {
        observer = run_builder_observer(builder);
        segment_writer_observe(writer, &observer);
    }
    return writer;
}

/* Records `from`, from + step, ... (count of them), each an insert. */
TEST_HELPER void fixture_add(struct segment_writer *writer, uint32_t from, uint32_t step,
                             uint32_t count) {
    char text[24];
    for (uint32_t i = 0; i < count; i++) {
        struct slice value = {(const uint8_t *)"some value", 10};
        CHECK_OK(segment_writer_add(writer, RECORD_INSERT, fixture_key(text, from + i * step), value,
                                    0));
    }
}

/* A whole run of even numbers below 2 * count; `builder` may be NULL. */
TEST_HELPER void fixture_run(struct store_fixture *f, struct run_builder *builder, uint32_t count,
                             struct segment *out) {
    struct segment_writer *writer = fixture_writer(f, builder);
    fixture_add(writer, 0, 2, count);
    CHECK_OK(segment_writer_finish(writer, out, &f->append_point));
    segment_writer_free(writer);
}

TEST_HELPER struct segment_view fixture_view(struct store_fixture *f,
                                             const struct segment *run) {
    return (struct segment_view){f->file.pager, run, NULL, &f->file.error};
}

/* Even numbers below 2 * count are found where the notes say, all others are not; most others are excluded. */
TEST_HELPER void fixture_check(struct store_fixture *f, const struct segment *run,
                               const struct run_notes *notes, uint32_t count) {
    struct segment_view view = fixture_view(f, run);
    struct segment_cursor scratch;
    uint32_t excluded = 0;
    char text[24];

    segment_cursor_init(&scratch, &f->file.env.env, &view);
    for (uint32_t number = 0; number < 2 * count + 2; number++) {
        struct slice key = fixture_key(text, number);
        struct segment_place place = {0};
        struct segment_lookup result = {0};
        bool there = number % 2 == 0 && number < 2 * count;
        bool out = run_notes_exclude(notes, key, store_hash(key));

        CHECK(!(there && out));
        excluded += out;
        CHECK(run_notes_place(notes, key, &place));
        CHECK_OK(segment_lookup_at(&scratch, &view, key, &place, &result));
        CHECK_EQ_INT(result.found, there);
        CHECK(!result.deleted);
    }
    CHECK(excluded >= (count + 2) * 9 / 10);
    segment_cursor_release(&scratch);
}

/* A snapshot that has these runs, as finished levels. */
TEST_HELPER void fixture_snapshot(struct snapshot *snapshot, struct level *levels, int64_t id,
                                  const struct segment *runs, uint32_t count) {
    memset(snapshot, 0, sizeof *snapshot);
    for (uint32_t i = 0; i < count; i++) levels[i] = (struct level){.left = runs[i]};
    snapshot->id = id;
    snapshot->levels = levels;
    snapshot->level_count = count;
}

#endif
