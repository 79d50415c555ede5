/*
** lsm_api_test.c — lsm.h as its callers meet it: configuration, life of a connection, transactions.
*/
#include "support/api_helpers.h"

/* -------------------------------------------------------------------------- configuration -- */

TEST(configuration_verbs_have_their_defaults_ranges_and_read_backs) {
    static const struct {
        int verb, given, read_back;
    } table[] = {
        {LSM_CONFIG_AUTOFLUSH, -1, 1024},      {LSM_CONFIG_AUTOFLUSH, 0, 0},
        {LSM_CONFIG_AUTOFLUSH, 1048576, 1048576}, {LSM_CONFIG_AUTOFLUSH, 1048577, 1048576},
        {LSM_CONFIG_PAGE_SIZE, -1, 4096},      {LSM_CONFIG_PAGE_SIZE, 256, 256},
        {LSM_CONFIG_PAGE_SIZE, 128, 256},      {LSM_CONFIG_PAGE_SIZE, 65536, 65536},
        {LSM_CONFIG_PAGE_SIZE, 131072, 65536}, {LSM_CONFIG_PAGE_SIZE, 1000, 65536},
        {LSM_CONFIG_PAGE_SIZE, 4096, 4096},
        {LSM_CONFIG_BLOCK_SIZE, -1, 1024},     {LSM_CONFIG_BLOCK_SIZE, 64, 64},
        {LSM_CONFIG_BLOCK_SIZE, 32, 64},       {LSM_CONFIG_BLOCK_SIZE, 65536, 65536},
        {LSM_CONFIG_BLOCK_SIZE, 131072, 65536}, {LSM_CONFIG_BLOCK_SIZE, 100, 65536},
        {LSM_CONFIG_SAFETY, -1, 1},            {LSM_CONFIG_SAFETY, 2, 2},
        {LSM_CONFIG_SAFETY, 3, 2},             {LSM_CONFIG_SAFETY, 0, 0},
        {LSM_CONFIG_AUTOWORK, -1, 1},          {LSM_CONFIG_AUTOWORK, 7, 7},
        {LSM_CONFIG_AUTOWORK, 0, 0},
        {LSM_CONFIG_MMAP, 0, 0},               {LSM_CONFIG_MMAP, 4000, 4000},
        {LSM_CONFIG_MMAP, -1, 4000},
        {LSM_CONFIG_USE_LOG, -1, 1},           {LSM_CONFIG_USE_LOG, 2, 1},
        {LSM_CONFIG_USE_LOG, 0, 0},
        {LSM_CONFIG_AUTOMERGE, -1, 4},         {LSM_CONFIG_AUTOMERGE, 1, 4},
        {LSM_CONFIG_AUTOMERGE, 2, 2},          {LSM_CONFIG_AUTOMERGE, 1000, 1000},
        {LSM_CONFIG_MAX_FREELIST, -1, 24},     {LSM_CONFIG_MAX_FREELIST, 1, 24},
        {LSM_CONFIG_MAX_FREELIST, 25, 24},     {LSM_CONFIG_MAX_FREELIST, 2, 2},
        {LSM_CONFIG_MULTIPLE_PROCESSES, 0, 0}, {LSM_CONFIG_MULTIPLE_PROCESSES, 9, 1},
        {LSM_CONFIG_MULTIPLE_PROCESSES, 0, 0}, {LSM_CONFIG_MULTIPLE_PROCESSES, -1, 1},
        {LSM_CONFIG_AUTOCHECKPOINT, -1, 2048}, {LSM_CONFIG_AUTOCHECKPOINT, 0, 0},
        {LSM_CONFIG_AUTOCHECKPOINT, 5, 5},
        {LSM_CONFIG_READONLY, -1, 0},          {LSM_CONFIG_READONLY, 5, 1},
        {LSM_CONFIG_READONLY, 0, 0},
    };
    lsm_db *db = new_connection();
    int value = 5;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        TEST_NOTE("row %zu", i);
        CHECK_EQ_INT(set(db, table[i].verb, table[i].given), table[i].read_back);
    }
    CHECK_RC(lsm_config(db, 6, &value), LSM_MISUSE);
    CHECK_RC(lsm_config(db, 0, &value), LSM_MISUSE);
    CHECK_RC(lsm_config(db, 99, &value), LSM_MISUSE);
    CHECK_EQ_INT(value, 5);
    CHECK_OK(lsm_close(db));
}

TEST(sizes_of_the_file_win_over_those_asked_for_and_are_reported_after_open) {
    lsm_db *db = new_connection();
    lsm_db *other, *reader;

    set(db, LSM_CONFIG_PAGE_SIZE, 1024);
    set(db, LSM_CONFIG_BLOCK_SIZE, 64);
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    CHECK_EQ_INT(set(db, LSM_CONFIG_PAGE_SIZE, 4096), 1024);
    CHECK_EQ_INT(set(db, LSM_CONFIG_BLOCK_SIZE, 1024), 64);
    other = new_connection();
    set(other, LSM_CONFIG_PAGE_SIZE, 512);
    CHECK_OK(lsm_open(other, test_path("a.lsm")));
    CHECK_EQ_INT(set(other, LSM_CONFIG_PAGE_SIZE, -1), 1024);
    CHECK_EQ_INT(set(other, LSM_CONFIG_BLOCK_SIZE, -1), 64);
    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(lsm_close(other));
    reader = open_read_only();
    CHECK_EQ_INT(set(reader, LSM_CONFIG_PAGE_SIZE, -1), 4096);
    CHECK_EQ_STR(get(reader, "a"), "1");
    CHECK_EQ_INT(set(reader, LSM_CONFIG_PAGE_SIZE, -1), 1024);
    CHECK_EQ_INT(set(reader, LSM_CONFIG_BLOCK_SIZE, -1), 64);
    CHECK_OK(lsm_close(reader));
    CHECK_OK(lsm_close(db));
    db = open_database();
    CHECK_EQ_INT(set(db, LSM_CONFIG_PAGE_SIZE, -1), 1024);
    CHECK_EQ_INT(set(db, LSM_CONFIG_READONLY, 1), 0);
    CHECK_EQ_INT(set(db, LSM_CONFIG_MULTIPLE_PROCESSES, 1), 0); /* one process owns it */
    CHECK_OK(lsm_close(db));
}

TEST(DF_46_all_pairs_of_page_and_block_size_work_and_a_block_has_four_pages) {
    for (int page = 256; page <= 65536; page *= 2) {
        for (int block = 64; block <= 256; block *= 2) {
            lsm_db *db = new_connection();
            char name[64];
            int real;

            snprintf(name, sizeof name, "%d-%d.lsm", page, block);
            set(db, LSM_CONFIG_PAGE_SIZE, page);
            real = set(db, LSM_CONFIG_BLOCK_SIZE, block);
            CHECK_EQ_INT(real, block * 1024 < 4 * page ? 4 * page / 1024 : block);
            CHECK_OK(lsm_open(db, test_path(name)));
            CHECK_OK(put(db, "a", "1"));
            CHECK_OK(lsm_close(db));
            db = new_connection();
            CHECK_OK(lsm_open(db, test_path(name)));
            CHECK_EQ_INT(set(db, LSM_CONFIG_BLOCK_SIZE, -1), real);
            CHECK_EQ_STR(get(db, "a"), "1");
            CHECK_OK(lsm_close(db));
        }
    }
}

TEST(the_four_page_rule_does_not_change_what_was_asked_for) {
    lsm_db *db = new_connection();
    CHECK_EQ_INT(set(db, LSM_CONFIG_BLOCK_SIZE, 64), 64);
    CHECK_EQ_INT(set(db, LSM_CONFIG_PAGE_SIZE, 65536), 65536);
    CHECK_EQ_INT(set(db, LSM_CONFIG_BLOCK_SIZE, -1), 256);
    CHECK_EQ_INT(set(db, LSM_CONFIG_PAGE_SIZE, 4096), 4096);
    CHECK_EQ_INT(set(db, LSM_CONFIG_BLOCK_SIZE, -1), 64);
    CHECK_OK(lsm_close(db));
}

/* --------------------------------------------------------------------- life of a connection -- */

/* DF-65 */
TEST(calls_before_open_are_misuse_or_nothing_and_never_crash) {
    lsm_db *db = new_connection();
    lsm_cursor *cursor = (lsm_cursor *)&db;
    char *text = (char *)&db;
    int number = -7, other = -7;
    unsigned version = 9;

    CHECK_OK(lsm_begin(db, 0));
    CHECK_RC(lsm_begin(db, 1), LSM_MISUSE);
    CHECK_RC(lsm_begin(db, -1), LSM_MISUSE);
    for (int level = -1; level <= 2; level++) {
        CHECK_OK(lsm_commit(db, level));
        CHECK_OK(lsm_rollback(db, level));
    }
    CHECK_RC(put(db, "a", "1"), LSM_MISUSE);
    CHECK_RC(lsm_delete(db, "a", 1), LSM_MISUSE);
    CHECK_RC(lsm_delete_range(db, "a", 1, "b", 1), LSM_MISUSE);
    CHECK_OK(lsm_delete_range(db, "b", 1, "a", 1));
    CHECK_RC(lsm_csr_open(db, &cursor), LSM_MISUSE);
    CHECK(cursor == NULL);
    CHECK_RC(lsm_flush(db), LSM_MISUSE);
    CHECK_RC(lsm_work(db, 1, -1, &number), LSM_MISUSE);
    CHECK_RC(lsm_checkpoint(db, &other), LSM_MISUSE);
    CHECK_EQ_INT(number, -7);
    CHECK_RC(lsm_get_user_version(db, &version), LSM_MISUSE);
    CHECK_RC(lsm_set_user_version(db, 1), LSM_MISUSE);
    for (int verb = LSM_INFO_NWRITE; verb <= LSM_INFO_COMPRESSION_ID; verb++) {
        switch (verb) {
        case LSM_INFO_NWRITE: case LSM_INFO_NREAD: case LSM_INFO_CHECKPOINT_SIZE:
        case LSM_INFO_COMPRESSION_ID:
            CHECK_RC(lsm_info(db, verb, &number), LSM_MISUSE);
            break;
        case LSM_INFO_TREE_SIZE:
            CHECK_RC(lsm_info(db, verb, &number, &other), LSM_MISUSE);
            break;
        case LSM_INFO_DB_STRUCTURE: case LSM_INFO_LOG_STRUCTURE: case LSM_INFO_FREELIST:
            CHECK_RC(lsm_info(db, verb, &text), LSM_MISUSE);
            break;
        default:
            CHECK_RC(lsm_info(db, verb, (lsm_i64)1, &text), LSM_MISUSE);
            break;
        }
    }
    CHECK(text == (char *)&db);
    CHECK_OK(lsm_close(db));
    CHECK_OK(lsm_close(NULL));
}

TEST(an_open_that_fails_leaves_a_connection_that_can_be_opened) {
    lsm_db *db = new_connection();

    CHECK_RC(lsm_open(db, test_path("missing/a.lsm")), LSM_IOERR_NOENT);
    CHECK_EQ_INT(mkdir(test_path("folder"), 0700), 0);
    CHECK_RC(lsm_open(db, test_path("folder")), LSM_IOERR);
    CHECK_RC(put(db, "a", "1"), LSM_MISUSE);
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    CHECK_RC(lsm_open(db, test_path("b.lsm")), LSM_MISUSE);
    CHECK_RC(lsm_open(db, test_path("a.lsm")), LSM_MISUSE);
    CHECK_OK(put(db, "a", "1"));
    CHECK_EQ_STR(get(db, "a"), "1");
    CHECK(lsm_get_env(db) == lsm_default_env());
    CHECK_OK(lsm_close(db));
    CHECK_EQ_INT(size_of_file(test_path("b.lsm")), -1);
}

TEST(close_is_refused_while_a_cursor_or_a_transaction_is_open) {
    lsm_db *db = open_database();
    lsm_cursor *cursor;

    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_RC(lsm_close(db), LSM_MISUSE);
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_OK(lsm_csr_close(NULL));
    CHECK_OK(lsm_begin(db, 1));
    CHECK_RC(lsm_close(db), LSM_MISUSE);
    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(lsm_commit(db, 0));
    CHECK_EQ_STR(get(db, "a"), "1");
    CHECK_OK(lsm_close(db));
}

TEST(the_last_close_writes_everything_to_one_file) {
    lsm_db *db = open_database();
    lsm_db *other = open_database();

    CHECK_OK(put(db, "a", "1"));
    CHECK(size_of_file(test_path("a.lsm-log")) > 0);
    CHECK_OK(lsm_close(db));
    CHECK(size_of_file(test_path("a.lsm-log")) > 0);
    CHECK_OK(lsm_close(other));
    CHECK_EQ_INT(size_of_file(test_path("a.lsm-log")), -1);
    CHECK_EQ_INT(size_of_file(test_path("a.lsm-shm")), -1);
    db = open_database();
    CHECK_EQ_STR(get(db, "a"), "1");
    CHECK_OK(lsm_close(db));
}

/* ----------------------------------------------------------------------------- foreign files -- */

static char message[512];

static void keep_message(void *context, int rc, const char *text) {
    (void)context;
    CHECK_RC(rc, LSM_CORRUPT);
    snprintf(message, sizeof message, "%s", text);
}

/* DF-19 */
TEST(files_of_others_are_refused_and_not_touched) {
    static uint8_t text[20000], in_page_2[8192], zeros[8192];
    struct { const void *data; size_t size; bool foreign; } files[] = {
        {text, 12, true}, {text, 4096, true}, {text, sizeof text, true},
        {in_page_2, sizeof in_page_2, true}, {zeros, 0, false}, {zeros, 1, false},
        {zeros, sizeof zeros, false},
    };

    memset(text, 'x', sizeof text);
    in_page_2[5000] = 1;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        for (int read_only = 0; read_only <= 1; read_only++) {
            lsm_db *db = new_connection();
            const char *name = test_path("f");
            lsm_cursor *cursor;
            int rc;

            TEST_NOTE("file %zu, %s", i, read_only ? "read-only" : "read-write");
            write_file(name, files[i].data, files[i].size);
            message[0] = '\0';
            lsm_config_log(db, keep_message, NULL);
            set(db, LSM_CONFIG_READONLY, read_only);
            rc = lsm_open(db, name);
            if (read_only) {
                CHECK_OK(rc);
                rc = lsm_csr_open(db, &cursor);
                if (rc == LSM_OK) CHECK_OK(lsm_csr_close(cursor));
            }
            CHECK_RC(rc, files[i].foreign ? LSM_CORRUPT : LSM_OK);
            if (files[i].foreign) {
                CHECK(strstr(message, "not a database") != NULL);
                CHECK(strstr(message, name) != NULL);
            }
            CHECK_OK(lsm_close(db));
            if (files[i].foreign || read_only) {
                uint8_t *now = malloc(files[i].size + 1);
                FILE *file = fopen(name, "rb");
                size_t size = fread(now, 1, files[i].size + 1, file);
                fclose(file);
                CHECK_EQ_BYTES(now, size, files[i].data, files[i].size);
                free(now);
                CHECK_EQ_INT(size_of_file(test_path("f-log")), -1);
            }
            unlink(name);
        }
    }
}

/* ------------------------------------------------------------------------------ transactions -- */

TEST(levels_follow_the_table_also_for_negative_arguments) {
    lsm_db *db = open_database();

    /* begin(3) from 0; begin of what is open; rollback keeps the level open and empty */
    CHECK_OK(put(db, "0", ""));
    CHECK_OK(lsm_begin(db, 3));
    CHECK_OK(put(db, "3", ""));
    CHECK_OK(lsm_begin(db, 2));
    CHECK_OK(lsm_begin(db, 0));
    CHECK_OK(lsm_rollback(db, 4)); /* deeper than open: nothing */
    CHECK_EQ_STR(keys(db), "0 3");
    CHECK_OK(lsm_rollback(db, 3));
    CHECK_EQ_STR(keys(db), "0");
    CHECK_OK(put(db, "3b", ""));
    CHECK_OK(lsm_commit(db, 3)); /* as deep as open: nothing */
    CHECK_OK(lsm_commit(db, 1));
    CHECK_OK(lsm_rollback(db, 2)); /* now deeper than open */
    CHECK_EQ_STR(keys(db), "0 3b");
    CHECK_OK(lsm_rollback(db, 1));
    CHECK_EQ_STR(keys(db), "0");
    CHECK_OK(lsm_commit(db, 0));

    /* begin(-1) opens one more; rollback(-1) undoes one level more than it closes */
    CHECK_OK(lsm_begin(db, -1));
    CHECK_OK(put(db, "1", ""));
    CHECK_OK(lsm_begin(db, -9));
    CHECK_OK(put(db, "2", ""));
    CHECK_OK(lsm_begin(db, -1));
    CHECK_OK(put(db, "3", ""));
    CHECK_OK(lsm_rollback(db, -1)); /* rollback(2) */
    CHECK_EQ_STR(keys(db), "0 1");
    CHECK_OK(put(db, "2b", ""));
    CHECK_OK(lsm_commit(db, -1)); /* commit(1) */
    CHECK_EQ_STR(keys(db), "0 1 2b");
    CHECK_OK(lsm_rollback(db, -1)); /* rollback(0) */
    CHECK_EQ_STR(keys(db), "0");
    CHECK_OK(lsm_rollback(db, 0));
    CHECK_OK(lsm_rollback(db, 5));
    CHECK_OK(lsm_commit(db, -1));

    CHECK_OK(lsm_begin(db, 1));
    CHECK_OK(put(db, "x", ""));
    CHECK_OK(lsm_commit(db, -1)); /* commit(0) */
    CHECK_EQ_STR(keys(db), "0 x");
    CHECK_OK(lsm_close(db));
}

TEST(only_one_connection_writes_and_a_reader_of_an_old_version_does_not) {
    lsm_db *a = open_database();
    lsm_db *b = open_database();
    lsm_cursor *cursor;

    CHECK_OK(lsm_begin(a, 1));
    CHECK_RC(lsm_begin(b, 1), LSM_BUSY);
    CHECK_RC(put(b, "b", "1"), LSM_BUSY);
    CHECK_RC(lsm_set_user_version(b, 1), LSM_BUSY);
    CHECK_RC(lsm_flush(b), LSM_BUSY);
    CHECK_OK(put(a, "a", "1"));
    CHECK_EQ_STR(get(b, "a"), "-");
    CHECK_EQ_STR(get(a, "a"), "1");
    CHECK_OK(lsm_csr_open(b, &cursor));
    CHECK_OK(lsm_commit(a, 0));
    CHECK_OK(lsm_csr_seek(cursor, "a", 1, LSM_SEEK_EQ));
    CHECK_EQ_INT(lsm_csr_valid(cursor), 0);
    CHECK_EQ_STR(get(b, "a"), "-"); /* all cursors of a connection see one version */
    CHECK_RC(lsm_begin(b, 1), LSM_BUSY);
    CHECK_RC(put(b, "b", "1"), LSM_BUSY);
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_EQ_STR(get(b, "a"), "1");
    CHECK_OK(put(b, "b", "1"));
    CHECK_OK(lsm_close(a));
    CHECK_OK(lsm_close(b));
}

TEST(a_reader_keeps_its_version_over_commits_flushes_merges_and_checkpoints) {
    lsm_db *writer = open_database();
    lsm_db *reader = open_database();
    lsm_cursor *cursor;
    char key[16];

    set(writer, LSM_CONFIG_AUTOFLUSH, 0);
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        CHECK_OK(put(writer, key, "old"));
    }
    CHECK_OK(lsm_csr_open(reader, &cursor));
    for (int round = 0; round < 5; round++) {
        int count = 0;
        for (int i = 0; i < 60; i++) {
            snprintf(key, sizeof key, "k%02d", i);
            CHECK_OK(put(writer, key, "new"));
        }
        CHECK_OK(lsm_delete_range(writer, "k1", 2, "k3", 2));
        CHECK_OK(lsm_flush(writer));
        CHECK_OK(lsm_work(writer, 1, -1, NULL));
        CHECK_OK(lsm_checkpoint(writer, NULL));
        CHECK_OK(lsm_csr_first(cursor));
        for (; lsm_csr_valid(cursor); CHECK_OK(lsm_csr_next(cursor))) {
            const void *value;
            int size;
            CHECK_OK(lsm_csr_value(cursor, &value, &size));
            CHECK_EQ_BYTES(value, size, "old", 3);
            count++;
        }
        CHECK_EQ_INT(count, 50);
    }
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_EQ_STR(get(reader, "k01"), "new");
    CHECK_EQ_STR(get(reader, "k11"), "-");
    CHECK_OK(lsm_close(reader));
    CHECK_OK(lsm_close(writer));
}

TEST(seventeen_connections_and_nine_versions_are_no_problem) {
    lsm_db *writer = open_database();
    lsm_db *readers[20];
    lsm_cursor *cursors[20];
    char value[8];

    for (int i = 0; i < 20; i++) {
        snprintf(value, sizeof value, "%d", i);
        CHECK_OK(put(writer, "k", value));
        if (i % 2) CHECK_OK(lsm_flush(writer));
        readers[i] = open_database();
        CHECK_OK(lsm_csr_open(readers[i], &cursors[i]));
    }
    CHECK_OK(put(writer, "k", "newest"));
    CHECK_OK(lsm_work(writer, 1, -1, NULL));
    for (int i = 0; i < 20; i++) {
        const void *bytes;
        int size;
        snprintf(value, sizeof value, "%d", i);
        CHECK_OK(lsm_csr_seek(cursors[i], "k", 1, LSM_SEEK_GE));
        CHECK_OK(lsm_csr_value(cursors[i], &bytes, &size));
        CHECK_EQ_BYTES(bytes, size, value, strlen(value));
        CHECK_OK(lsm_csr_close(cursors[i]));
        CHECK_OK(lsm_close(readers[i]));
    }
    CHECK_OK(lsm_close(writer));
}

TEST(what_is_legal_with_a_cursor_or_a_transaction_open) {
    lsm_db *db = open_database();
    lsm_compress none = {0};
    lsm_cursor *cursor;
    int number = -7, mmap = set(db, LSM_CONFIG_MMAP, -1);
    char *text;

    CHECK_OK(put(db, "a", "1"));
    for (int round = 0; round < 2; round++) {
        if (round == 0) CHECK_OK(lsm_csr_open(db, &cursor));
        else CHECK_OK(lsm_begin(db, 1));
        CHECK_RC(lsm_work(db, 1, 10, &number), LSM_MISUSE);
        CHECK_EQ_INT(number, -7);
        CHECK_RC(lsm_flush(db), LSM_MISUSE);
        CHECK_OK(lsm_checkpoint(db, NULL));
        text = info(db, LSM_INFO_DB_STRUCTURE);
        lsm_free(lsm_get_env(db), text);
        CHECK_EQ_INT(set(db, LSM_CONFIG_MMAP, 12345), mmap);
        CHECK_EQ_INT(set(db, LSM_CONFIG_USE_LOG, 0), round == 0 ? 0 : 1);
        CHECK_RC(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, &none), LSM_MISUSE);
        CHECK_EQ_INT(set(db, LSM_CONFIG_AUTOFLUSH, 77), 77);
        CHECK_EQ_STR(get(db, "a"), "1");
        set(db, LSM_CONFIG_USE_LOG, 1);
        if (round == 0) CHECK_OK(lsm_csr_close(cursor));
        else CHECK_OK(lsm_rollback(db, 0));
    }
    CHECK_EQ_INT(set(db, LSM_CONFIG_MMAP, 12345), 12345);
    CHECK_OK(lsm_close(db));
}

/* ------------------------------------------------------------------------------ user version -- */

TEST(DF_39_the_user_version_takes_part_in_transactions_and_lives_as_long_as_the_connections) {
    lsm_db *db = open_database();
    lsm_db *other = open_database();
    unsigned version = 5;

    CHECK_OK(lsm_get_user_version(db, &version));
    CHECK_EQ_UINT(version, 0);
    CHECK_OK(lsm_set_user_version(db, 7));
    CHECK_OK(lsm_get_user_version(other, &version));
    CHECK_EQ_UINT(version, 7);
    CHECK_OK(lsm_begin(db, 1));
    CHECK_OK(lsm_set_user_version(db, 8));
    CHECK_OK(lsm_get_user_version(db, &version));
    CHECK_EQ_UINT(version, 8);
    CHECK_OK(lsm_get_user_version(other, &version));
    CHECK_EQ_UINT(version, 7);
    CHECK_OK(lsm_begin(db, 2));
    CHECK_OK(lsm_set_user_version(db, 9));
    CHECK_OK(lsm_rollback(db, 2));
    CHECK_OK(lsm_get_user_version(db, &version));
    CHECK_EQ_UINT(version, 8);
    CHECK_OK(lsm_rollback(db, 0));
    CHECK_OK(lsm_get_user_version(db, &version));
    CHECK_EQ_UINT(version, 7);
    CHECK_OK(lsm_close(other));
    CHECK_OK(lsm_close(db));
    db = open_database();
    CHECK_OK(lsm_get_user_version(db, &version));
    CHECK_EQ_UINT(version, 0);
    CHECK_OK(lsm_close(db));
}

TEST_MAIN()
