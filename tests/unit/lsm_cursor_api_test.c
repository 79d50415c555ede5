/*
** lsm_cursor_api_test.c — lsm.h as its callers meet it: what can be written, what cursors show and
** allow.
*/
#include "db/db.h"
#include "support/api_helpers.h"

/* ----------------------------------------------------------------------------------- writing -- */

/* DF-60, DF-64, DF-65 */
TEST(keys_and_values_may_be_empty_and_negative_lengths_are_misuse_or_delete) {
    lsm_db *db = open_database();
    lsm_cursor *cursor;
    const void *bytes;
    int size, order = 3;

    CHECK_OK(lsm_insert(db, NULL, 0, "of the empty key", 16));
    CHECK_EQ_STR(get(db, ""), "of the empty key");
    CHECK_OK(lsm_insert(db, "e", 1, NULL, 0));
    CHECK_EQ_STR(get(db, "e"), "");
    CHECK_OK(lsm_insert(db, "d", 1, "x", 1));
    CHECK_OK(lsm_insert(db, "d", 1, "anything", -3));
    CHECK_EQ_STR(get(db, "d"), "-");
    CHECK_RC(lsm_insert(db, "x", -1, "v", 1), LSM_MISUSE);
    CHECK_RC(lsm_insert(db, "x", -1, "v", -1), LSM_MISUSE);
    CHECK_RC(lsm_delete(db, "x", -1), LSM_MISUSE);
    CHECK_RC(lsm_delete_range(db, "x", -1, "y", 1), LSM_MISUSE);
    CHECK_RC(lsm_delete_range(db, "x", 1, "y", -1), LSM_MISUSE);
    CHECK_OK(lsm_delete(db, "absent", 6));
    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_RC(lsm_csr_seek(cursor, "x", -1, LSM_SEEK_GE), LSM_MISUSE);
    CHECK_RC(lsm_csr_seek(cursor, "x", 1, 2), LSM_MISUSE);
    CHECK_RC(lsm_csr_seek(cursor, "x", 1, -3), LSM_MISUSE);
    CHECK_RC(lsm_csr_cmp(cursor, "x", 1, &order), LSM_MISUSE);
    CHECK_EQ_INT(order, 0);
    CHECK_OK(lsm_csr_seek(cursor, NULL, 0, LSM_SEEK_GE));
    CHECK_OK(lsm_csr_key(cursor, &bytes, &size));
    CHECK_EQ_INT(size, 0);
    CHECK(bytes != NULL);
    CHECK_OK(lsm_csr_cmp(cursor, NULL, 0, &order));
    CHECK_EQ_INT(order, 0);
    CHECK_OK(lsm_csr_cmp(cursor, "a", 1, &order));
    CHECK(order < 0);
    CHECK_RC(lsm_csr_cmp(cursor, "a", -1, &order), LSM_MISUSE);
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_OK(lsm_close(db));
    db = open_database();
    CHECK_EQ_STR(get(db, ""), "of the empty key");
    CHECK_EQ_STR(get(db, "e"), "");
    CHECK_OK(lsm_close(db));
}

TEST(range_deletes_keep_both_ends_and_only_mask_what_was_there) {
    for (int where = 0; where < 2; where++) { /* in memory, in the file */
        lsm_db *db = open_database();
        CHECK_OK(put(db, "a", ""));
        CHECK_OK(put(db, "b", ""));
        CHECK_OK(put(db, "c", ""));
        CHECK_OK(put(db, "d", ""));
        if (where) CHECK_OK(lsm_flush(db));
        CHECK_OK(lsm_delete_range(db, "d", 1, "a", 1));
        CHECK_OK(lsm_delete_range(db, "a", 1, "a", 1));
        CHECK_EQ_STR(keys(db), "a b c d");
        CHECK_OK(lsm_delete_range(db, "a", 1, "d", 1));
        CHECK_EQ_STR(keys(db), "a d");
        CHECK_OK(put(db, "b", ""));
        CHECK_EQ_STR(keys(db), "a b d");
        CHECK_OK(lsm_delete_range(db, "", 0, "b", 1));
        CHECK_EQ_STR(keys(db), "b d");
        if (where) CHECK_OK(lsm_flush(db));
        CHECK_EQ_STR(keys(db), "b d");
        CHECK_OK(lsm_delete(db, "b", 1));
        CHECK_OK(lsm_delete(db, "d", 1));
        CHECK_OK(lsm_close(db));
    }
}

TEST(large_keys_and_values_come_back) {
    lsm_db *db = open_database();
    size_t key_size = 1 << 20, value_size = 5 << 20;
    char *key = malloc(key_size), *value = malloc(value_size);
    lsm_cursor *cursor;
    const void *bytes;
    int size;

    memset(key, 'k', key_size);
    test_random_bytes(value, value_size);
    CHECK_OK(lsm_insert(db, key, (int)key_size, value, (int)value_size));
    for (int round = 0; round < 2; round++) {
        CHECK_OK(lsm_csr_open(db, &cursor));
        CHECK_OK(lsm_csr_seek(cursor, key, (int)key_size, LSM_SEEK_EQ));
        CHECK_EQ_INT(lsm_csr_valid(cursor), 1);
        CHECK_OK(lsm_csr_value(cursor, &bytes, &size));
        CHECK_EQ_BYTES(bytes, size, value, value_size);
        CHECK_OK(lsm_csr_close(cursor));
        CHECK_OK(lsm_flush(db));
    }
    CHECK_OK(lsm_close(db));
    free(key);
    free(value);
}

/* ----------------------------------------------------------------------------------- cursors -- */

TEST(which_steps_follow_which_positioning) {
    static const struct {
        int seek; /* 10 = first, 11 = last, 12 = none */
        bool next, prev;
    } table[] = {
        {12, false, false}, {10, true, false},          {11, false, true},
        {LSM_SEEK_EQ, false, false}, {LSM_SEEK_GE, true, false}, {LSM_SEEK_LE, false, true},
        {LSM_SEEK_LEFAST, false, false},
    };

    for (int where = 0; where < 3; where++) { /* in memory, in the file, between two keys there */
        lsm_db *db = open_database();
        bool beyond = where == 2;
        CHECK_OK(put(db, "a", "1"));
        CHECK_OK(put(db, "b", "2"));
        CHECK_OK(put(db, "c", "3"));
        if (where) CHECK_OK(lsm_flush(db));
        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
            lsm_cursor *cursor;
            const void *bytes = &table;
            int size = 5, valid;

            TEST_NOTE("where %d, row %zu", where, i);
            CHECK_OK(lsm_csr_open(db, &cursor));
            CHECK_EQ_INT(lsm_csr_valid(cursor), 0);
            CHECK_OK(lsm_csr_key(cursor, &bytes, &size));
            CHECK(bytes == NULL && size == 0);
            bytes = &table;
            CHECK_OK(lsm_csr_value(cursor, &bytes, &size));
            CHECK(bytes == NULL && size == 0);
            if (table[i].seek == 10) CHECK_OK(lsm_csr_first(cursor));
            else if (table[i].seek == 11) CHECK_OK(lsm_csr_last(cursor));
            else if (table[i].seek != 12) {
                CHECK_OK(lsm_csr_seek(cursor, "bb", beyond ? 2 : 1, table[i].seek));
            }
            valid = lsm_csr_valid(cursor);
            CHECK_EQ_INT(valid, table[i].seek != 12 && !(beyond && table[i].seek == LSM_SEEK_EQ));
            /* The forbidden step changes nothing. */
            if (!table[i].next) CHECK_RC(lsm_csr_next(cursor), LSM_MISUSE);
            if (!table[i].prev) CHECK_RC(lsm_csr_prev(cursor), LSM_MISUSE);
            CHECK_EQ_INT(lsm_csr_valid(cursor), valid);
            /* The permitted one may be made beyond the end, and the direction stays. */
            for (int step = 0; step < 5; step++) {
                if (table[i].next) CHECK_OK(lsm_csr_next(cursor));
                if (table[i].prev) CHECK_OK(lsm_csr_prev(cursor));
            }
            if (table[i].next || table[i].prev) CHECK_EQ_INT(lsm_csr_valid(cursor), 0);
            if (table[i].next) CHECK_RC(lsm_csr_prev(cursor), LSM_MISUSE);
            if (table[i].prev) CHECK_RC(lsm_csr_next(cursor), LSM_MISUSE);
            CHECK_OK(lsm_csr_close(cursor));
        }
        CHECK_OK(lsm_close(db));
    }
}

TEST(a_cursor_may_be_given_its_own_key_to_seek) {
    lsm_db *db = open_database();
    lsm_cursor *cursor;
    const void *bytes;
    int size;

    for (int where = 0; where < 2; where++) {
        static const int modes[] = {LSM_SEEK_EQ, LSM_SEEK_GE, LSM_SEEK_LE, LSM_SEEK_LEFAST,
                                    LSM_SEEK_EQ};
        CHECK_OK(put(db, "a key", "1"));
        if (where) CHECK_OK(lsm_flush(db));
        CHECK_OK(lsm_csr_open(db, &cursor));
        CHECK_OK(lsm_csr_first(cursor));
        for (int i = 0; i < 5; i++) {
            CHECK_OK(lsm_csr_key(cursor, &bytes, &size));
            CHECK_OK(lsm_csr_seek(cursor, bytes, size, modes[i]));
            CHECK_EQ_INT(lsm_csr_valid(cursor), 1);
            CHECK_OK(lsm_csr_key(cursor, &bytes, &size));
            CHECK_EQ_BYTES(bytes, size, "a key", 5);
        }
        CHECK_OK(lsm_csr_close(cursor));
    }
    CHECK_OK(lsm_close(db));
}

TEST(pointers_of_one_cursor_are_not_disturbed_by_other_cursors_or_by_asking_again) {
    for (int where = 0; where < 2; where++) {
        lsm_db *db = open_database();
        lsm_cursor *left, *right;
        const void *key, *value, *ignored;
        int key_size, value_size, size;

        set(db, LSM_CONFIG_MMAP, 0);
        for (int i = 0; i < 200; i++) {
            char name[8], content[300];
            snprintf(name, sizeof name, "k%03d", i);
            memset(content, 'a' + i % 26, sizeof content - 1);
            content[sizeof content - 1] = '\0';
            CHECK_OK(put(db, name, content));
        }
        if (where) CHECK_OK(lsm_flush(db));
        CHECK_OK(lsm_csr_open(db, &left));
        CHECK_OK(lsm_csr_open(db, &right));
        CHECK_OK(lsm_csr_seek(left, "k005", 4, LSM_SEEK_GE));
        CHECK_OK(lsm_csr_key(left, &key, &key_size));
        CHECK_OK(lsm_csr_value(left, &value, &value_size));
        for (CHECK_OK(lsm_csr_first(right)); lsm_csr_valid(right); CHECK_OK(lsm_csr_next(right))) {
            CHECK_OK(lsm_csr_value(right, &ignored, &size));
            CHECK_OK(lsm_csr_value(left, &ignored, &size));
            CHECK_OK(lsm_csr_key(left, &ignored, &size));
        }
        CHECK_EQ_BYTES(key, key_size, "k005", 4);
        CHECK_EQ_INT(value_size, 299);
        CHECK_EQ_INT(((const char *)value)[298], 'a' + 5);
        CHECK_OK(lsm_csr_close(left));
        CHECK_OK(lsm_csr_close(right));
        CHECK_OK(lsm_close(db));
    }
}

/* Merges behind the back of an insert of another connection, while that opens the log. */
static lsm_db *merging;
static bool merged;
static int (*real_open)(lsm_env *, const char *, int, lsm_file **);

static int open_and_merge(lsm_env *env, const char *name, int flags, lsm_file **file) {
    if (!merged && strstr(name, "-log")) {
        merged = true;
        CHECK_OK(lsm_checkpoint(merging, NULL)); /* sets the blocks free that were merged so far */
        CHECK_OK(lsm_work(merging, 1, -1, NULL));
    }
    return real_open(env, name, flags, file);
}

static lsm_db *open_small_blocks(void) {
    lsm_db *db = new_connection();

    CHECK_EQ_INT(set(db, LSM_CONFIG_BLOCK_SIZE, 64), 64);
    CHECK_EQ_INT(set(db, LSM_CONFIG_AUTOWORK, 0), 0);
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    return db;
}

TEST(what_a_cursor_points_at_may_be_inserted_although_its_block_is_filled_anew_meanwhile) {
    lsm_db *db = open_small_blocks();
    lsm_cursor *cursor;
    const void *value;
    char name[8], content[200];
    int size, done = 0;

    for (int i = 0; i < 10000; i++) { /* two runs of 16 blocks, one key in this, the next in that */
        snprintf(name, sizeof name, "%04d", i < 5000 ? 2 * i : 2 * (i - 5000) + 1);
        snprintf(content, sizeof content, "%0199d", i);
        CHECK_OK(put(db, name, content));
        if (i % 5000 == 4999) CHECK_OK(lsm_flush(db));
    }
    CHECK_OK(lsm_close(db));

    db = open_small_blocks();
    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_OK(lsm_csr_first(cursor));
    CHECK_OK(lsm_csr_value(cursor, &value, &size));
    real_open = lsm_default_env()->xOpen;
    lsm_default_env()->xOpen = open_and_merge;
    merging = open_small_blocks();
    CHECK_OK(lsm_work(merging, 1, 128, &done));
    CHECK(done > 0);
    CHECK_OK(lsm_insert(db, "new", 3, value, size));
    lsm_default_env()->xOpen = real_open;
    CHECK(merged);

    snprintf(content, sizeof content, "%0199d", 0);
    CHECK_EQ_STR(get(db, "new"), content);
    CHECK_OK(lsm_close(merging));
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_OK(lsm_close(db));
}

static void check_no_entry(lsm_cursor *cursor) {
    const void *bytes = cursor;
    int size = 7, order = 3;

    CHECK_EQ_INT(lsm_csr_valid(cursor), 0);
    CHECK_OK(lsm_csr_key(cursor, &bytes, &size));
    CHECK(bytes == NULL);
    CHECK_EQ_INT(size, 0);
    bytes = cursor;
    size = 7;
    CHECK_OK(lsm_csr_value(cursor, &bytes, &size));
    CHECK(bytes == NULL);
    CHECK_EQ_INT(size, 0);
    CHECK_RC(lsm_csr_cmp(cursor, "x", 1, &order), LSM_MISUSE);
    CHECK_EQ_INT(order, 0);
}

/* DF-65 */
TEST(a_cursor_without_position_has_neither_key_nor_value) {
    lsm_db *db = open_database();
    lsm_cursor *cursor;

    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(put(db, "b", "2"));
    for (int on_disk = 0; on_disk < 2; on_disk++) {
        CHECK_OK(lsm_csr_open(db, &cursor));
        check_no_entry(cursor);
        CHECK_OK(lsm_csr_last(cursor));
        CHECK_OK(lsm_csr_prev(cursor));
        CHECK_OK(lsm_csr_prev(cursor));
        check_no_entry(cursor);
        CHECK_OK(lsm_csr_seek(cursor, "c", 1, LSM_SEEK_GE));
        check_no_entry(cursor);
        CHECK_OK(lsm_csr_seek(cursor, "ab", 2, LSM_SEEK_EQ));
        check_no_entry(cursor);
        CHECK_OK(lsm_csr_close(cursor));
        CHECK_OK(lsm_flush(db));
    }
    CHECK_OK(lsm_close(db));
}

TEST(DF_57_58_59_cursors_over_writes_and_rollbacks) {
    lsm_db *db = open_database();
    lsm_cursor *cursor;
    const void *bytes;
    int size;

    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(put(db, "b", "2"));
    CHECK_OK(put(db, "c", "3"));
    CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_delete(db, "b", 1)); /* on disk, deleted in memory */
    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_OK(lsm_csr_seek(cursor, "a", 1, LSM_SEEK_GE));
    CHECK_OK(lsm_csr_seek(cursor, "b", 1, LSM_SEEK_EQ));
    CHECK_EQ_INT(lsm_csr_valid(cursor), 0);

    set(db, LSM_CONFIG_AUTOFLUSH, 0);
    CHECK_OK(lsm_csr_last(cursor));
    for (int i = 0; i < 20; i++) { /* these flush and merge */
        char key[8];
        snprintf(key, sizeof key, "aa%02d", i);
        CHECK_OK(put(db, key, "x"));
    }
    CHECK_RC(lsm_csr_next(cursor), LSM_MISUSE);
    CHECK_OK(lsm_csr_prev(cursor));
    CHECK_OK(lsm_csr_key(cursor, &bytes, &size));
    CHECK_EQ_BYTES(bytes, size, "aa19", 4);

    CHECK_OK(lsm_csr_first(cursor));
    CHECK_OK(lsm_begin(db, 1));
    CHECK_OK(put(db, "aa", "rolled back"));
    CHECK_OK(lsm_rollback(db, 0));
    CHECK_OK(lsm_csr_next(cursor));
    CHECK_OK(lsm_csr_key(cursor, &bytes, &size));
    CHECK_EQ_BYTES(bytes, size, "aa00", 4);
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_OK(lsm_close(db));
}

static void check_key(lsm_cursor *cursor, const char *expected) {
    const void *bytes;
    int size;

    CHECK_OK(lsm_csr_key(cursor, &bytes, &size));
    CHECK_EQ_BYTES(bytes, (size_t)size, expected, strlen(expected));
}

/* The old tree waits until the growth of the next transaction pays for its flush. */
TEST(DF_58_a_direction_survives_a_flush_inside_the_transaction) {
    static const char value[10000];
    lsm_db *db = open_database();
    lsm_cursor *cursor;
    char *before = NULL, *after = NULL;

    set(db, LSM_CONFIG_AUTOFLUSH, 0);
    set(db, LSM_CONFIG_AUTOWORK, 0);
    CHECK_OK(put(db, "x", "1"));
    CHECK_OK(put(db, "y", "2"));
    CHECK_OK(lsm_info(db, LSM_INFO_DB_STRUCTURE, &before));
    set(db, LSM_CONFIG_AUTOWORK, 1);
    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_OK(lsm_begin(db, 1));
    CHECK_OK(lsm_csr_last(cursor));
    for (int i = 0; i < 40; i++) {
        char key[8];
        snprintf(key, sizeof key, "a%02d", i);
        CHECK_OK(lsm_insert(db, key, 3, value, sizeof value));
    }
    CHECK_OK(lsm_info(db, LSM_INFO_DB_STRUCTURE, &after));
    CHECK(before == NULL && after != NULL); /* it was flushed */
    lsm_free(lsm_get_env(db), after);
    CHECK_RC(lsm_csr_next(cursor), LSM_MISUSE);
    check_key(cursor, "y");
    CHECK_OK(lsm_csr_prev(cursor));
    check_key(cursor, "x");
    CHECK_OK(lsm_commit(db, 0));
    CHECK_OK(lsm_csr_prev(cursor));
    check_key(cursor, "a39");
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_OK(lsm_close(db));
}

/* The cursor looks at the tree of the transaction when that is rolled back under it. */
TEST(DF_59_a_cursor_positioned_in_the_transaction_shows_nothing_of_it_after_a_rollback) {
    for (int level = 0; level <= 2; level += 2) {
        lsm_db *db = open_database();
        lsm_cursor *cursor, *other;

        CHECK_OK(put(db, "a", "1"));
        CHECK_OK(put(db, "c", "3"));
        CHECK_OK(lsm_csr_open(db, &cursor));
        CHECK_OK(lsm_csr_open(db, &other));
        CHECK_OK(lsm_begin(db, 2));
        CHECK_OK(put(db, "b", "rolled back"));
        CHECK_OK(put(db, "d", "rolled back"));
        CHECK_OK(lsm_csr_first(cursor));
        check_key(cursor, "a");
        CHECK_OK(lsm_csr_last(other));
        check_key(other, "d"); /* on what is going to vanish */
        CHECK_OK(lsm_rollback(db, level));
        CHECK_OK(lsm_csr_next(cursor));
        check_key(cursor, "c");
        CHECK_OK(lsm_csr_next(cursor));
        CHECK_EQ_INT(lsm_csr_valid(cursor), 0);
        CHECK_OK(lsm_csr_prev(other));
        check_key(other, "c");
        CHECK_OK(lsm_csr_close(other));
        CHECK_OK(lsm_csr_close(cursor));
        CHECK_OK(lsm_rollback(db, 0));
        CHECK_OK(lsm_close(db));
    }
}

/* ------------------------------------------------------------------------------ out of memory -- */

/* Allocations of at least so many bytes fail; and the one after so many others. 0 = none. */
static size_t fail_from_size;
static int fail_in;

static bool refused(size_t size) {
    return (fail_from_size && size >= fail_from_size) || (fail_in > 0 && --fail_in == 0);
}
static void *failing_malloc(lsm_env *env, size_t size) {
    (void)env;
    return refused(size) ? NULL : lsm_malloc(NULL, size);
}
static void *failing_realloc(lsm_env *env, void *block, size_t size) {
    (void)env;
    return size > 0 && refused(size) ? NULL : lsm_realloc(NULL, block, size);
}
static void failing_free(lsm_env *env, void *block) {
    (void)env;
    lsm_free(NULL, block);
}

static lsm_db *open_failing(lsm_env *env) {
    lsm_db *db = NULL;
    int no = 0, page = 512;

    *env = *lsm_default_env();
    env->xMalloc = failing_malloc;
    env->xRealloc = failing_realloc;
    env->xFree = failing_free;
    CHECK_OK(lsm_new(env, &db));
    CHECK_OK(lsm_config(db, LSM_CONFIG_MMAP, &no));
    CHECK_OK(lsm_config(db, LSM_CONFIG_PAGE_SIZE, &page));
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    return db;
}

static void put_long_keys(lsm_db *db, int count) {
    char key[65];

    memset(key, 'k', sizeof key);
    for (int i = 0; i < count; i++) {
        snprintf(key + 60, 5, "%04d", i);
        CHECK_OK(lsm_insert(db, key, 64, "v", 1));
    }
}

static int count_on(lsm_cursor *cursor, int (*step)(lsm_cursor *)) {
    int count = 0;
    for (; lsm_csr_valid(cursor); CHECK_OK(step(cursor))) count++;
    return count;
}

TEST(a_position_lost_for_want_of_memory_is_not_the_end) {
    int lost = 0;

    for (size_t size = 1; size < 300; size += 7) {
        lsm_env env;
        lsm_db *db = open_failing(&env);
        lsm_cursor *cursor;
        int rc;

        put_long_keys(db, 100);
        CHECK_OK(lsm_csr_open(db, &cursor));
        CHECK_OK(put(db, "a", "b")); /* has the memory for copies of arguments */
        CHECK_OK(lsm_csr_first(cursor));
        fail_from_size = size;
        rc = put(db, "a", "b");
        fail_from_size = 0;
        CHECK(rc == LSM_OK || rc == LSM_NOMEM);
        rc = lsm_csr_next(cursor);
        if (rc == LSM_OK) {
            CHECK_EQ_INT(count_on(cursor, lsm_csr_next), 100);
        } else {
            lost++;
            for (int i = 0; i < 3; i++) {
                CHECK_RC(lsm_csr_next(cursor), LSM_NOMEM);
                CHECK_RC(lsm_csr_prev(cursor), LSM_MISUSE);
                CHECK_RC(db_cursor_renew(cursor), LSM_NOMEM);
                CHECK_EQ_INT(lsm_csr_valid(cursor), 0);
            }
            CHECK_OK(lsm_csr_last(cursor));
            CHECK(count_on(cursor, lsm_csr_prev) >= 100);
            CHECK_OK(lsm_csr_prev(cursor)); /* this is the end */
        }
        CHECK_OK(lsm_csr_close(cursor));
        CHECK_OK(lsm_close(db));
        unlink(test_path("a.lsm"));
    }
    CHECK(lost > 0);
}

TEST(a_step_without_memory_fails_until_the_cursor_is_positioned_anew) {
    lsm_env env;
    lsm_db *db = open_failing(&env);
    int failed = 0;

    put_long_keys(db, 300);
    CHECK_OK(lsm_close(db));
    for (int nth = 1; nth < 60; nth++) {
        lsm_cursor *cursor;
        int count = 0, rc;

        db = open_failing(&env);
        CHECK_OK(lsm_csr_open(db, &cursor));
        fail_in = nth;
        for (rc = lsm_csr_first(cursor); rc == LSM_OK && lsm_csr_valid(cursor); rc = lsm_csr_next(cursor)) count++;
        fail_in = 0;
        CHECK(rc == LSM_OK ? count == 300 : rc == LSM_NOMEM);
        if (rc != LSM_OK) {
            failed++;
            for (int i = 0; i < 3; i++) {
                rc = lsm_csr_next(cursor);
                CHECK(rc == LSM_NOMEM || rc == LSM_MISUSE); /* never positioned, if it was the first */
                CHECK_EQ_INT(lsm_csr_valid(cursor), 0);
            }
        }
        CHECK_OK(lsm_csr_first(cursor));
        CHECK_EQ_INT(count_on(cursor, lsm_csr_next), 300);
        CHECK_OK(lsm_csr_close(cursor));
        CHECK_OK(lsm_close(db));
    }
    CHECK(failed > 10);
}

TEST(a_step_after_a_write_may_be_tried_again) {
    int failed = 0;

    for (int nth = 1; nth < 12; nth++) {
        lsm_env env;
        lsm_db *db = open_failing(&env);
        lsm_cursor *cursor;
        int rc;

        put_long_keys(db, 100);
        CHECK_OK(lsm_flush(db));
        CHECK_OK(lsm_csr_open(db, &cursor));
        CHECK_OK(lsm_csr_first(cursor));
        set(db, LSM_CONFIG_AUTOFLUSH, 1);
        set(db, LSM_CONFIG_AUTOMERGE, 30);
        for (char i = 'a'; i <= 'z'; i++) { /* more runs than the cursor has known */
            char key[200];
            memset(key, 'z', sizeof key);
            key[199] = i;
            CHECK_OK(lsm_insert(db, key, sizeof key, "v", 1));
        }
        fail_in = nth;
        rc = lsm_csr_next(cursor);
        fail_in = 0;
        if (rc != LSM_OK) {
            CHECK_EQ_INT(rc, LSM_NOMEM);
            failed++;
            CHECK_EQ_INT(lsm_csr_valid(cursor), 1);
            CHECK_OK(lsm_csr_next(cursor));
        }
        CHECK_EQ_INT(count_on(cursor, lsm_csr_next), 99 + 26);
        CHECK_OK(lsm_csr_close(cursor));
        CHECK_OK(lsm_close(db));
        unlink(test_path("a.lsm"));
    }
    CHECK(failed > 0);
}

TEST_MAIN()
