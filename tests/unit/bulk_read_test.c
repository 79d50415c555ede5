/*
** bulk_read_test.c — many keys in one call: frames of any length, groups, answers that do not fit.
*/
#include "base/bytes.h"
#include "db/db.h"
#include "lsm_bulk.h"
#include "support/test.h"

#define KEYS 100

static uint32_t open_database(const char *name) {
    const char *path = test_path(name);
    uint32_t db = lsm_bulk_new();

    CHECK(db != 0);
    CHECK_EQ_INT(lsm_bulk_open(db, (const uint8_t *)path, (uint32_t)strlen(path)), 0);
    return db;
}

static uint32_t key_text(uint8_t *out, uint32_t number) {
    return (uint32_t)snprintf((char *)out, 12, "key%u", number);
}

/* Even numbers below KEYS, the value is the key. */
static void fill(uint32_t db) {
    uint8_t key[12];

    for (uint32_t i = 0; i < KEYS; i += 2) {
        uint32_t size = key_text(key, i);
        CHECK_EQ_INT(lsm_bulk_put(db, key, size, key, size), 0);
    }
}

/* A frame of keys from .. from + count - 1, 7 apart modulo KEYS; its size. */
static uint32_t make_frame(uint8_t *out, uint32_t from, uint32_t count) {
    uint32_t at = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = key_text(out + at + 4, (from + 7 * i) % KEYS);
        put_u32_little(out + at, size);
        at += 4 + ((size + 3) & ~3u);
    }
    return at;
}

static void check_answers(const uint8_t *at, const uint8_t *end, uint32_t from, uint32_t count,
                          bool values) {
    uint8_t key[12];

    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = (from + 7 * i) % KEYS;
        uint32_t size = key_text(key, number);
        bool there = number % 2 == 0;

        TEST_NOTE("answer %u of %u", i, count);
        CHECK(end - at >= 8);
        CHECK_EQ_UINT(get_u32_little(at), there);
        if (!there || !values) size = 0;
        CHECK_EQ_UINT(get_u32_little(at + 4), size);
        CHECK_EQ_BYTES(at + 8, size, key, size);
        at += 8 + ((size + 3) & ~3u);
    }
    CHECK(at == end);
}

/* Every count around the size of a group, from the tree and from runs of the file. */
TEST(answers_come_in_the_order_of_the_keys_for_any_count) {
    static uint8_t frame[16 * KEYS], out[32 * KEYS];
    uint32_t db = open_database("many.lsm");

    fill(db);
    for (int flushed = 0; flushed < 2; flushed++) {
        for (uint32_t count = 0; count <= 70; count++) {
            uint32_t size = make_frame(frame, count, count);
            int32_t used = lsm_bulk_get_many(db, 0, count, frame, size, out, sizeof out);
            CHECK(used >= 0);
            check_answers(out, out + used, count, count, true);
            used = lsm_bulk_get_many(db, LSM_BULK_KEYS_ONLY, count, frame, size, out, sizeof out);
            CHECK(used >= 0);
            check_answers(out, out + used, count, count, false);
        }
        CHECK(lsm_bulk_flush(db) >= 0);
    }
    CHECK_EQ_INT(lsm_bulk_close(db, NULL, 0), 0);
}

TEST(what_does_not_fit_waits_whole) {
    static uint8_t frame[16 * KEYS], out[32 * KEYS], few[64];
    uint32_t db = open_database("spill.lsm");
    uint32_t size = make_frame(frame, 0, 50);
    uint32_t waiting;

    fill(db);
    CHECK_EQ_INT(lsm_bulk_get_many(db, 0, 50, frame, size, few, sizeof few), LSM_BULK_TOO_SMALL);
    CHECK_EQ_INT(lsm_bulk_pending(db, out, 8), 8);
    waiting = get_u32_little(out);
    CHECK(waiting <= sizeof out);
    CHECK_EQ_INT(lsm_bulk_take(db, 0, out, waiting), (int32_t)waiting);
    check_answers(out, out + waiting, 0, 50, true);
    CHECK_EQ_INT(lsm_bulk_close(db, NULL, 0), 0);
}

TEST(a_frame_cut_anywhere_is_refused) {
    static uint8_t frame[16 * KEYS], out[32 * KEYS];
    uint32_t db = open_database("cut.lsm");
    uint32_t whole = make_frame(frame, 0, 40);

    fill(db);
    for (uint32_t size = 0; size + 8 < whole; size++) { /* the padding of the last key may be missing */
        CHECK_EQ_INT(lsm_bulk_get_many(db, 0, 40, frame, size, out, sizeof out), LSM_BULK_MISUSE);
    }
    put_u32_little(frame, 0xfffffffc);
    CHECK_EQ_INT(lsm_bulk_get_many(db, 0, 40, frame, whole, out, sizeof out), LSM_BULK_MISUSE);
    CHECK_EQ_INT(lsm_bulk_close(db, NULL, 0), 0);
}

/* What was found out about keys is about one version: a write in between makes it void. */
TEST(each_call_sees_what_was_written_before_it) {
    uint8_t frame[16], out[64], value[12];
    uint32_t db = open_database("newest.lsm");
    uint32_t frame_size = make_frame(frame, 4, 1);

    fill(db);
    CHECK(lsm_bulk_flush(db) >= 0);
    CHECK_EQ_INT(lsm_bulk_begin(db, 1), 1);
    for (uint32_t i = 0; i < 60; i++) {
        uint32_t size = key_text(value, 1000 + i);
        CHECK_EQ_INT(lsm_bulk_put(db, frame + 4, get_u32_little(frame), value, size), 0);
        if (i % 20 == 19) {
            CHECK(lsm_bulk_commit(db, 0) >= 0);
            CHECK(lsm_bulk_flush(db) >= 0);
            CHECK_EQ_INT(lsm_bulk_begin(db, 1), 1);
        }
        CHECK_EQ_INT(lsm_bulk_get_many(db, 0, 1, frame, frame_size, out, sizeof out),
                     (int32_t)(8 + ((size + 3) & ~3u)));
        CHECK_EQ_BYTES(out + 8, get_u32_little(out + 4), value, size);
    }
    CHECK(lsm_bulk_rollback(db, 0) >= 0);
    CHECK_EQ_INT(lsm_bulk_close(db, NULL, 0), 0);
}

/* The same one storey down, where a caller could keep what it found out for too long. */
TEST(what_was_found_out_is_forgotten_when_the_view_changes) {
    const struct slice key = {(const uint8_t *)"key", 3};
    const struct slice other = {(const uint8_t *)"other", 5};
    struct slice value = {NULL, 0};
    bool found = false;
    lsm_db *db = NULL;

    CHECK_OK(db_new(lsm_default_env(), &db));
    CHECK_OK(db_open(db, test_path("ahead.lsm")));
    CHECK_OK(db_insert(db, other, other));
    CHECK_OK(lsm_flush(db));
    db_look_ahead(db, &key, 1); /* not in the only run */
    CHECK_OK(db_get_ahead(db, key, 0, &found, NULL));
    CHECK(!found);
    db_look_ahead(db, &key, 1);
    CHECK_OK(db_insert(db, key, key));
    CHECK_OK(lsm_flush(db)); /* from the tree, which is always looked at, into a run */
    db_read_end(db);
    CHECK_OK(db_read_begin(db));
    CHECK_OK(db_get_ahead(db, key, 0, &found, &value));
    CHECK(found);
    CHECK_EQ_BYTES(value.data, value.size, "key", 3);
    db_read_end(db);
    CHECK_OK(db_close(db));
}

TEST_MAIN()
