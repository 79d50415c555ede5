/*
** write_txn_test.c — single changes, which take no reader slot, beside everything else that may happen.
*/
#include "support/api_helpers.h"

#define SLOTS 6

/* Fill the tree beyond AUTOFLUSH, so that the following changes flush and merge. */
static void put_many(lsm_db *db, int from, int count) {
    char value[201];

    memset(value, 'v', 200);
    value[200] = '\0';
    for (int i = from; i < from + count; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%06d", i);
        CHECK_OK(put(db, key, value));
    }
}

static int count_keys(lsm_db *db) {
    lsm_cursor *cursor;
    int count = 0;

    CHECK_OK(lsm_csr_open(db, &cursor));
    for (CHECK_OK(lsm_csr_first(cursor)); lsm_csr_valid(cursor); CHECK_OK(lsm_csr_next(cursor))) {
        count++;
    }
    CHECK_OK(lsm_csr_close(cursor));
    return count;
}

TEST(single_puts_of_two_connections_alternate_and_see_each_other) {
    lsm_db *a = open_database();
    lsm_db *b = open_database();

    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof key, "a%02d", i);
        CHECK_OK(put(a, key, "1"));
        CHECK_EQ_STR(get(b, key), "1");
        snprintf(key, sizeof key, "b%02d", i);
        CHECK_OK(put(b, key, "2"));
        CHECK_OK(put(b, "last", key));
        CHECK_OK(lsm_delete(a, "last", 4));
        CHECK_EQ_STR(get(b, "last"), "-");
    }
    CHECK_EQ_INT(count_keys(a), 100);
    CHECK_OK(lsm_close(a));
    CHECK_EQ_INT(count_keys(b), 100);
    CHECK_OK(lsm_close(b));
}

TEST(single_puts_go_on_after_another_connection_flushed_worked_and_checkpointed) {
    lsm_db *a = open_database();
    lsm_db *b = open_database();
    int kb;

    for (int round = 0; round < 8; round++) {
        put_many(a, round * 100, 100);
        CHECK_OK(lsm_flush(b));
        if (round % 2) CHECK_OK(lsm_work(b, 2, -1, &kb));
        if (round % 3 == 0) CHECK_OK(lsm_checkpoint(b, &kb));
        CHECK_EQ_INT(count_keys(b), (round + 1) * 100);
    }
    CHECK_OK(lsm_close(b));
    CHECK_EQ_INT(count_keys(a), 800);
    CHECK_OK(lsm_close(a));
    a = open_database();
    CHECK_EQ_INT(count_keys(a), 800);
    CHECK_OK(lsm_close(a));
}

TEST(single_puts_flush_and_merge_by_themselves) {
    lsm_db *db = new_connection();

    set(db, LSM_CONFIG_AUTOFLUSH, 16);
    set(db, LSM_CONFIG_AUTOCHECKPOINT, 64);
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    put_many(db, 0, 3000);
    CHECK_EQ_INT(count_keys(db), 3000);
    put_many(db, 1500, 3000); /* half of them overwrite */
    CHECK_EQ_INT(count_keys(db), 4500);
    CHECK_OK(lsm_close(db));
    db = open_database();
    CHECK_EQ_INT(count_keys(db), 4500);
    CHECK_OK(lsm_close(db));
}

TEST(single_puts_go_on_while_readers_hold_every_slot) {
    lsm_db *writer = open_database();
    lsm_db *readers[SLOTS];
    lsm_cursor *cursors[SLOTS];

    CHECK_OK(put(writer, "a", "1"));
    CHECK_EQ_STR(get(writer, "a"), "1");
    /* Each reader sits on a version of its own: a flush apart. */
    for (int i = 0; i < SLOTS; i++) {
        readers[i] = open_database();
        CHECK_OK(lsm_csr_open(readers[i], &cursors[i]));
        CHECK_OK(lsm_csr_first(cursors[i]));
        if (i + 1 < SLOTS) {
            CHECK_OK(put(writer, "b", "2"));
            CHECK_OK(lsm_flush(writer));
        }
    }
    CHECK_OK(put(writer, "c", "3"));
    CHECK_OK(put(writer, "d", "4"));
    for (int i = 0; i < SLOTS; i++) {
        CHECK_OK(lsm_csr_close(cursors[i]));
        CHECK_OK(lsm_close(readers[i]));
    }
    CHECK_EQ_STR(keys(writer), "a b c d");
    CHECK_OK(lsm_close(writer));
}

TEST(a_single_put_is_refused_while_another_connection_writes) {
    lsm_db *a = open_database();
    lsm_db *b = open_database();

    CHECK_OK(put(a, "a", "1"));
    CHECK_OK(put(b, "b", "1"));
    CHECK_OK(lsm_begin(a, 1));
    CHECK_OK(put(a, "a", "2"));
    CHECK_RC(put(b, "b", "2"), LSM_BUSY);
    CHECK_OK(lsm_rollback(a, 0));
    CHECK_OK(put(b, "b", "2"));
    CHECK_EQ_STR(get(a, "a"), "1");
    CHECK_EQ_STR(get(a, "b"), "2");
    CHECK_OK(lsm_close(a));
    CHECK_OK(lsm_close(b));
}

/* A hook that reads while a single put does its automatic work. */
static int seen_in_hook;

static void read_in_hook(lsm_db *db, void *context) {
    unsigned int version = 0;
    char *text = NULL;

    (void)context;
    CHECK_OK(lsm_get_user_version(db, &version));
    CHECK_OK(lsm_info(db, LSM_INFO_DB_STRUCTURE, &text));
    lsm_free(lsm_get_env(db), text);
    CHECK_EQ_STR(get(db, "k000000") + 199, "v");
    seen_in_hook++;
}

TEST(the_work_hook_of_a_single_put_may_read) {
    lsm_db *db = new_connection();

    set(db, LSM_CONFIG_AUTOFLUSH, 16);
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    lsm_config_work_hook(db, read_in_hook, NULL);
    seen_in_hook = 0;
    put_many(db, 0, 1000);
    CHECK(seen_in_hook > 5);
    lsm_config_work_hook(db, NULL, NULL);
    CHECK_EQ_INT(count_keys(db), 1000);
    CHECK_OK(lsm_close(db));
}

TEST(a_cursor_that_is_open_stays_where_it_is_over_single_puts) {
    lsm_db *db = open_database();
    lsm_cursor *cursor;
    const void *key;
    int size;

    CHECK_OK(put(db, "b", "1"));
    CHECK_OK(put(db, "d", "1"));
    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_OK(lsm_csr_first(cursor));
    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(put(db, "c", "1"));
    CHECK_OK(lsm_csr_next(cursor));
    CHECK_OK(lsm_csr_key(cursor, &key, &size));
    CHECK_EQ_BYTES(key, (size_t)size, "c", 1);
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_OK(put(db, "e", "1"));
    CHECK_EQ_STR(keys(db), "a b c d e");
    CHECK_OK(lsm_close(db));
}

TEST_MAIN()
