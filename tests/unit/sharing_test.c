/*
** sharing_test.c — several connections of one process on one file: read-only ones, joined and detached,
** several names and environments, without a log.
*/
#include "support/api_helpers.h"

static void check_all_refused(lsm_db *reader) {
    unsigned version;
    int number = -7;

    CHECK_RC(put(reader, "x", "1"), LSM_READONLY);
    CHECK_RC(lsm_delete(reader, "x", 1), LSM_READONLY);
    CHECK_RC(lsm_delete_range(reader, "a", 1, "x", 1), LSM_READONLY);
    CHECK_OK(lsm_delete_range(reader, "x", 1, "a", 1));
    CHECK_RC(lsm_begin(reader, 0), LSM_READONLY);
    CHECK_RC(lsm_begin(reader, 1), LSM_READONLY);
    CHECK_OK(lsm_commit(reader, 0));
    CHECK_OK(lsm_rollback(reader, 0));
    CHECK_RC(lsm_work(reader, 1, -1, &number), LSM_READONLY);
    CHECK_EQ_INT(number, -7);
    CHECK_RC(lsm_flush(reader), LSM_READONLY);
    CHECK_RC(lsm_checkpoint(reader, NULL), LSM_READONLY);
    CHECK_RC(lsm_set_user_version(reader, 1), LSM_READONLY);
    CHECK_OK(lsm_get_user_version(reader, &version));
}

static void ask_everything(lsm_db *reader) {
    char *text;
    int number, other;
    unsigned id;

    text = info(reader, LSM_INFO_DB_STRUCTURE);
    lsm_free(lsm_get_env(reader), text);
    text = info(reader, LSM_INFO_LOG_STRUCTURE);
    lsm_free(lsm_get_env(reader), text);
    text = info(reader, LSM_INFO_FREELIST);
    lsm_free(lsm_get_env(reader), text);
    CHECK_OK(lsm_info(reader, LSM_INFO_NWRITE, &number));
    CHECK_EQ_INT(number, 0);
    CHECK_OK(lsm_info(reader, LSM_INFO_NREAD, &number));
    CHECK_OK(lsm_info(reader, LSM_INFO_CHECKPOINT_SIZE, &number));
    CHECK_OK(lsm_info(reader, LSM_INFO_TREE_SIZE, &number, &other));
    CHECK_OK(lsm_info(reader, LSM_INFO_COMPRESSION_ID, &id));
}

TEST(DF_68_read_only_connections_refuse_to_write_and_answer_questions) {
    lsm_db *db = open_database();
    lsm_db *reader;

    CHECK_OK(put(db, "a", "1"));
    reader = open_read_only(); /* joined to what the writer has in memory */
    CHECK_EQ_STR(get(reader, "a"), "1");
    check_all_refused(reader);
    ask_everything(reader);
    CHECK_OK(put(db, "a", "2"));
    CHECK_EQ_STR(get(reader, "a"), "2");
    CHECK_OK(lsm_close(db));
    CHECK_EQ_STR(get(reader, "a"), "2"); /* on the file alone */
    check_all_refused(reader);
    ask_everything(reader);
    CHECK_OK(lsm_close(reader));
    CHECK_EQ_INT(size_of_file(test_path("a.lsm-log")), -1);
}

TEST(DF_52_read_only_connections_create_nothing) {
    lsm_db *db = new_connection();
    set(db, LSM_CONFIG_READONLY, 1);
    CHECK_RC(lsm_open(db, test_path("missing.lsm")), LSM_IOERR_NOENT);
    CHECK_EQ_INT(size_of_file(test_path("missing.lsm")), -1);
    write_file(test_path("empty.lsm"), "", 0);
    CHECK_OK(lsm_open(db, test_path("empty.lsm")));
    CHECK_EQ_STR(get(db, "a"), "-");
    CHECK_OK(lsm_close(db));
    CHECK_EQ_INT(size_of_file(test_path("empty.lsm")), 0);
    CHECK_EQ_INT(size_of_file(test_path("empty.lsm-log")), -1);
}

TEST(a_detached_reader_keeps_its_view_while_a_writer_opens_writes_and_closes) {
    lsm_db *db = open_database();
    lsm_db *reader;
    lsm_cursor *cursor;

    set(db, LSM_CONFIG_SAFETY, LSM_SAFETY_FULL);
    CHECK_OK(put(db, "a", "old"));
    CHECK_OK(lsm_close(db));
    reader = open_read_only();
    CHECK_OK(lsm_csr_open(reader, &cursor));
    for (int round = 0; round < 3; round++) {
        const void *bytes;
        int size;
        db = open_database();
        for (int i = 0; i < 30; i++) {
            CHECK_OK(put(db, "a", "new"));
            CHECK_OK(lsm_flush(db));
        }
        CHECK_OK(lsm_work(db, 1, -1, NULL));
        CHECK_OK(lsm_checkpoint(db, NULL));
        CHECK_OK(lsm_csr_seek(cursor, "a", 1, LSM_SEEK_GE));
        CHECK_OK(lsm_csr_value(cursor, &bytes, &size));
        CHECK_EQ_BYTES(bytes, size, "old", 3);
        CHECK_OK(lsm_close(db));
        /* Nothing is taken from under the reader. */
        CHECK(size_of_file(test_path("a.lsm-log")) > 0);
        CHECK_OK(lsm_csr_seek(cursor, "a", 1, LSM_SEEK_LE));
        CHECK_OK(lsm_csr_value(cursor, &bytes, &size));
        CHECK_EQ_BYTES(bytes, size, "old", 3);
    }
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_EQ_STR(get(reader, "a"), "new");
    CHECK_OK(lsm_close(reader));
}

static void outlive_the_writers(bool trees_are_empty) {
    lsm_db *db = open_database();
    lsm_db *reader;
    lsm_cursor *cursor;
    const void *bytes;
    int size;

    CHECK_OK(put(db, "a", "1"));
    reader = open_read_only();
    CHECK_OK(lsm_csr_open(reader, &cursor));
    CHECK_OK(put(db, "b", "2"));
    if (trees_are_empty) CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_set_user_version(db, 3)); /* a commit that leaves no data */
    CHECK_OK(lsm_close(db));
    CHECK_OK(lsm_csr_first(cursor));
    CHECK_OK(lsm_csr_next(cursor));
    CHECK_EQ_INT(lsm_csr_valid(cursor), 0);
    db = open_database();
    CHECK_EQ_STR(keys(db), "a b");
    CHECK_OK(put(db, "c", "3"));
    {
        /* The process dies now: what another finds in copies of the files. */
        char command[1024];
        lsm_db *copy = new_connection();
        snprintf(command, sizeof command, "cp %s %s && cp %s-log %s-log", test_path("a.lsm"),
                 test_path("copy"), test_path("a.lsm"), test_path("copy"));
        CHECK_EQ_INT(system(command), 0);
        CHECK_OK(lsm_open(copy, test_path("copy")));
        CHECK_EQ_STR(keys(copy), "a b c");
        CHECK_OK(lsm_close(copy));
    }
    CHECK_OK(lsm_csr_first(cursor));
    CHECK_OK(lsm_csr_key(cursor, &bytes, &size));
    CHECK_EQ_BYTES(bytes, size, "a", 1);
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_EQ_STR(keys(reader), "a b c");
    CHECK_OK(lsm_close(db));
    CHECK_OK(lsm_close(reader));
    db = open_database();
    CHECK_EQ_STR(keys(db), "a b c");
    CHECK_OK(lsm_close(db));
}

TEST(DF_13_a_joined_reader_outlives_the_writers_and_the_next_writer_goes_on) {
    outlive_the_writers(false);
    unlink(test_path("a.lsm"));
    outlive_the_writers(true);
}

TEST(DF_40_two_names_of_one_file_are_one_database) {
    lsm_db *db = open_database();
    lsm_db *other = new_connection();

    CHECK_EQ_INT(symlink(test_path("a.lsm"), test_path("link.lsm")), 0);
    CHECK_OK(lsm_open(other, test_path("link.lsm")));
    CHECK_OK(lsm_begin(db, 1));
    CHECK_RC(put(other, "a", "1"), LSM_BUSY);
    CHECK_OK(put(db, "a", "2"));
    CHECK_OK(lsm_commit(db, 0));
    CHECK_EQ_STR(get(other, "a"), "2");
    CHECK_OK(lsm_close(db));
    CHECK_OK(lsm_close(other));
}

TEST(one_file_through_two_environments_is_refused) {
    static lsm_env copy;
    lsm_db *db = open_database();
    lsm_db *other = NULL;

    copy = *lsm_default_env();
    CHECK_OK(lsm_new(&copy, &other));
    CHECK_RC(lsm_open(other, test_path("a.lsm")), LSM_BUSY);
    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(lsm_close(db));
    CHECK_OK(lsm_open(other, test_path("a.lsm")));
    CHECK_EQ_STR(get(other, "a"), "1");
    CHECK_OK(lsm_close(other));
}

TEST(without_a_log_nothing_is_logged_and_a_close_saves_everything) {
    lsm_db *db = new_connection();

    set(db, LSM_CONFIG_USE_LOG, 0);
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(lsm_checkpoint(db, NULL));
    CHECK_EQ_INT(size_of_file(test_path("a.lsm-log")), -1);
    CHECK_OK(lsm_close(db));
    db = open_database();
    CHECK_EQ_STR(get(db, "a"), "1");
    CHECK_OK(lsm_close(db));
}

TEST_MAIN()
