/*
** sharing_test.c — several connections of one process on one file: read-only ones, joined and detached,
** several names and environments, without a log.
*/
#include <unistd.h>

#include "db/db_internal.h"
#include "lsm_bulk.h"
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

/* An allocator of its own, whose blocks no other one can free. */
#define PREFIX 16

static void *prefix_malloc(lsm_env *env, size_t size) {
    char *block = malloc(size + PREFIX);
    (void)env;
    return block ? block + PREFIX : NULL;
}

static void prefix_free(lsm_env *env, void *block) {
    (void)env;
    if (block) free((char *)block - PREFIX);
}

static void *prefix_realloc(lsm_env *env, void *block, size_t size) {
    char *moved;
    if (block == NULL) return prefix_malloc(env, size);
    if (size == 0) return prefix_free(env, block), NULL;
    moved = realloc((char *)block - PREFIX, size + PREFIX);
    return moved ? moved + PREFIX : NULL;
}

/* The default environment, which allocates through the environment a file was opened with: that of the copy. */
static lsm_env copy_of_default(void) {
    lsm_env copy = *lsm_default_env();
    copy.xMalloc = prefix_malloc;
    copy.xRealloc = prefix_realloc;
    copy.xFree = prefix_free;
    return copy;
}

static int forward_open(lsm_env *env, const char *path, int flags, lsm_file **out) {
    return lsm_default_env()->xOpen(env, path, flags, out);
}

/* Two connections, each with its environment, on one file: two writers would lose what one of them commits. */
static void share_through(lsm_env *left, lsm_env *right, const char *right_path, bool left_leaves_first) {
    lsm_db *db = NULL;
    lsm_db *other = NULL;

    CHECK_OK(lsm_new(left, &db));
    set(db, LSM_BULK_CONFIG_BACKGROUND, left_leaves_first);
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(lsm_new(right, &other));
    set(other, LSM_BULK_CONFIG_BACKGROUND, 1);
    CHECK_OK(lsm_open(other, right_path));
    CHECK_EQ_STR(get(other, "a"), "1");
    CHECK_OK(put(other, "b", "2"));
    CHECK_OK(lsm_begin(db, 1));
    CHECK_RC(lsm_begin(other, 1), LSM_BUSY);
    CHECK_OK(put(db, "c", "3"));
    CHECK_OK(lsm_commit(db, 0));
    CHECK_OK(lsm_flush(other));
    CHECK_OK(lsm_checkpoint(other, NULL));
    CHECK_OK(put(other, "d", "4"));
    CHECK_OK(lsm_close(left_leaves_first ? db : other));
    CHECK_EQ_STR(keys(left_leaves_first ? other : db), "a b c d");
    CHECK_OK(put(left_leaves_first ? other : db, "e", "5"));
    CHECK_OK(lsm_close(left_leaves_first ? other : db));
    db = open_database();
    CHECK_EQ_STR(keys(db), "a b c d e");
    CHECK_OK(lsm_delete(db, "b", 1));
    CHECK_OK(lsm_delete_range(db, "b", 1, "z", 1));
    CHECK_OK(lsm_close(db));
}

static void share_in_turn(lsm_env *left, lsm_env *right, const char *right_path) {
    for (int turn = 0; turn < 2; turn++) {
        share_through(left, right, right_path, turn == 0);
        share_through(right, left, right_path, turn == 0);
    }
}

TEST(one_file_through_two_environments_is_one_database) {
    lsm_env plain = copy_of_default(), named = copy_of_default(), forwarding = copy_of_default();
    const char *same = test_path("a.lsm");

    named.pVfsCtx = &named;
    forwarding.xOpen = forward_open;
    share_in_turn(lsm_default_env(), &plain, same);
    share_in_turn(&plain, &named, same);
    share_in_turn(lsm_default_env(), &forwarding, same);
}

TEST(one_file_through_two_environments_and_two_names_is_one_database) {
    lsm_env plain = copy_of_default(), named = copy_of_default();
    lsm_db *db = open_database();

    CHECK_OK(lsm_close(db));
    CHECK_EQ_INT(link(test_path("a.lsm"), test_path("link.lsm")), 0);
    named.pVfsCtx = &named;
    share_in_turn(lsm_default_env(), &plain, test_path("./a.lsm"));
    share_in_turn(&plain, &named, test_path("link.lsm"));
}

/* An environment with names of its own: all lie in the folder of the test. */
static int own_name(lsm_env *env, const char *name, char *out, int *size) {
    int needed = (int)strlen(name) + 1;
    (void)env;
    if (out && *size >= needed) memcpy(out, name, (size_t)needed);
    *size = needed;
    return LSM_OK;
}

static int own_open(lsm_env *env, const char *name, int flags, lsm_file **out) {
    return lsm_default_env()->xOpen(env, test_path(name), flags, out);
}

static int own_unlink(lsm_env *env, const char *name) {
    return lsm_default_env()->xUnlink(env, test_path(name));
}

TEST(the_log_has_the_name_that_the_first_environment_gave_it) {
    lsm_env env = copy_of_default();
    lsm_db *db = NULL;
    lsm_db *other;

    env.xFullpath = own_name;
    env.xOpen = own_open;
    env.xUnlink = own_unlink;
    CHECK_OK(lsm_new(&env, &db));
    CHECK_OK(lsm_open(db, "a.lsm"));
    other = open_database();
    CHECK_OK(put(other, "a", "1"));
    CHECK(size_of_file(test_path("a.lsm-log")) > 0);
    CHECK_EQ_INT(size_of_file("a.lsm-log"), -1);
    CHECK_EQ_STR(get(db, "a"), "1");
    CHECK_OK(lsm_close(db));
    CHECK_OK(lsm_close(other));
    CHECK_EQ_INT(size_of_file(test_path("a.lsm-log")), -1);
}

static int no_id(lsm_file *file, void *out, int *size) {
    (void)file, (void)out, (void)size;
    return LSM_OK;
}

TEST(an_environment_that_does_not_know_files_apart_has_them_apart) {
    lsm_env env = copy_of_default();
    lsm_db *db = NULL;
    lsm_db *other = NULL;

    env.xFileid = no_id;
    CHECK_OK(lsm_new(&env, &db));
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    CHECK_OK(lsm_new(&env, &other));
    CHECK_OK(lsm_open(other, test_path("b.lsm")));
    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(put(other, "b", "2"));
    CHECK_EQ_STR(keys(db), "a");
    CHECK_EQ_STR(keys(other), "b");
    CHECK_OK(lsm_close(db));
    CHECK_OK(lsm_close(other));
}

/* Descriptors of an open database may not be closed, so they would pile up. */
TEST(a_file_that_is_open_is_not_opened_again_under_another_name) {
    lsm_db *keep = open_database();
    lsm_db *db;

    CHECK_EQ_INT(symlink(test_path("a.lsm"), test_path("link.lsm")), 0);
    for (int i = 0; i < 5; i++) {
        db = new_connection();
        CHECK_OK(lsm_open(db, test_path("link.lsm")));
        CHECK(db->database == keep->database);
        CHECK(db->database->parked == NULL);
        CHECK_OK(put(db, "a", "1"));
        CHECK_OK(lsm_close(db));
    }
    CHECK_EQ_STR(get(keep, "a"), "1");
    CHECK_OK(lsm_close(keep));
}

/* The second one opens the file for writing, leaves, and its environment is gone before the database. */
TEST(an_environment_may_go_before_a_database_that_another_one_opened) {
    lsm_env *passing = malloc(sizeof *passing);
    lsm_db *keep = open_database();
    lsm_db *db;

    CHECK_OK(put(keep, "a", "1"));
    CHECK_OK(lsm_close(keep));
    keep = open_read_only();
    CHECK_EQ_INT(link(test_path("a.lsm"), test_path("hard.lsm")), 0);
    CHECK(passing != NULL);
    *passing = copy_of_default();
    CHECK_OK(lsm_new(passing, &db));
    CHECK_OK(lsm_open(db, test_path("hard.lsm")));
    CHECK_OK(put(db, "b", "2"));
    CHECK_OK(lsm_close(db));
    memset(passing, 0, sizeof *passing);
    free(passing);
    CHECK_EQ_STR(keys(keep), "a b");
    CHECK_OK(lsm_close(keep));
}

TEST(a_database_open_read_only_whose_path_leads_elsewhere_now_is_not_opened_for_writing) {
    lsm_db *reader, *db = open_database();

    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(lsm_close(db));
    reader = open_read_only();
    CHECK_EQ_INT(rename(test_path("a.lsm"), test_path("b.lsm")), 0);
    for (int i = 0; i < 2; i++) { /* no file there, then another one */
        db = new_connection();
        CHECK_RC(lsm_open(db, test_path("a.lsm")), LSM_IOERR);
        CHECK_OK(lsm_close(db));
        CHECK_EQ_INT(access(test_path("a.lsm"), F_OK), i == 0 ? -1 : 0);
        if (i == 0) {
            FILE *file = fopen(test_path("a.lsm"), "w");
            CHECK(file != NULL && fclose(file) == 0);
        }
    }
    CHECK_EQ_STR(get(reader, "a"), "1");
    CHECK_OK(lsm_close(reader));
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

static int own_file_id(lsm_file *file, void *out, int *size) {
    (void)file;
    if (*size < 8) return LSM_ERROR;
    memcpy(out, "same id", 8);
    *size = 8;
    return LSM_OK;
}

TEST(an_environment_may_have_ids_of_its_own) {
    lsm_env env = *lsm_default_env();
    lsm_db *db = NULL;

    env.xFileid = own_file_id;
    for (int i = 0; i < 2; i++) {
        CHECK_OK(lsm_new(&env, &db));
        CHECK_OK(lsm_open(db, test_path("own.lsm")));
        CHECK_OK(put(db, "a", "1"));
        CHECK_OK(lsm_close(db));
    }
}

TEST(a_log_beside_a_file_that_took_the_place_of_a_database_is_left_alone) {
    lsm_db *db = open_database();

    CHECK_OK(put(db, "a", "1"));
    CHECK_EQ_INT(unlink(test_path("a.lsm")), 0);
    CHECK_EQ_INT(unlink(test_path("a.lsm-log")), 0);
    write_file(test_path("a.lsm"), "another", 7);
    write_file(test_path("a.lsm-log"), "its log", 7);
    CHECK_OK(lsm_close(db));
    CHECK_EQ_INT(size_of_file(test_path("a.lsm")), 7);
    CHECK_EQ_INT(size_of_file(test_path("a.lsm-log")), 7);
}

TEST_MAIN()
