/*
** info_test.c — lsm_work, lsm_flush, lsm_checkpoint and lsm_info: what they report, and the work
** hook.
*/
#include "support/api_helpers.h"

/* ------------------------------------------------------------------------------- maintenance -- */

/* DF-62 */
TEST(work_flush_and_checkpoint_report_what_they_did) {
    lsm_db *db = open_database();
    int written = -7, kb = -7;
    char *text;

    CHECK_OK(lsm_flush(db)); /* nothing in memory */
    CHECK(info(db, LSM_INFO_DB_STRUCTURE) == NULL);
    set(db, LSM_CONFIG_AUTOWORK, 0);
    for (int level = 0; level < 4; level++) {
        for (int i = 0; i < 100; i++) {
            char key[8];
            snprintf(key, sizeof key, "k%03d", i);
            CHECK_OK(put(db, key, "some value or other that takes up room"));
        }
        CHECK_OK(lsm_flush(db));
    }
    text = info(db, LSM_INFO_DB_STRUCTURE);
    CHECK_EQ_INT(strncmp(text, "{0 {", 4), 0);
    lsm_free(lsm_get_env(db), text);
    CHECK_OK(lsm_work(db, 2, 0, &written));
    CHECK_EQ_INT(written, 0);
    CHECK_OK(lsm_info(db, LSM_INFO_CHECKPOINT_SIZE, &kb));
    CHECK(kb > 0);
    CHECK_OK(lsm_checkpoint(db, &written));
    CHECK_EQ_INT(written, kb);
    CHECK_OK(lsm_info(db, LSM_INFO_CHECKPOINT_SIZE, &kb));
    CHECK_EQ_INT(kb, 0);
    CHECK_OK(lsm_checkpoint(db, &written)); /* DF-62 */
    CHECK_EQ_INT(written, 0);
    CHECK_OK(lsm_checkpoint(db, NULL));
    CHECK_OK(lsm_work(db, 1, -1, &written));
    CHECK(written > 0);
    for (int i = 0; i < 100 && written > 0; i++) CHECK_OK(lsm_work(db, 1, -1, &written));
    CHECK_EQ_INT(written, 0);
    text = info(db, LSM_INFO_DB_STRUCTURE);
    CHECK(strstr(text, "} {") == NULL || strstr(text, "} {")[0] == '}');
    lsm_free(lsm_get_env(db), text);
    CHECK_OK(lsm_work(db, 1, -1, NULL));
    CHECK_OK(lsm_close(db));
}

TEST(DF_61_work_that_writes_no_page_is_not_nothing) {
    lsm_db *db = open_database();
    int written = -1;
    char *text;

    set(db, LSM_CONFIG_AUTOWORK, 0);
    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_delete(db, "a", 1));
    CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_work(db, 2, -1, &written));
    CHECK_EQ_INT(written, 1);
    text = info(db, LSM_INFO_DB_STRUCTURE);
    CHECK(text == NULL); /* nothing is left */
    CHECK_OK(lsm_close(db));
}

TEST(DF_61_work_counts_in_kilobytes_whatever_the_page_size) {
    for (int page = 512; page <= 4096; page *= 2) {
        lsm_db *db = new_connection();
        char name[32];
        int written, before, after;

        snprintf(name, sizeof name, "w%d", page);
        set(db, LSM_CONFIG_PAGE_SIZE, page);
        set(db, LSM_CONFIG_AUTOWORK, 0);
        CHECK_OK(lsm_open(db, test_path(name)));
        for (int level = 0; level < 2; level++) {
            for (int i = 0; i < 500; i++) {
                char key[16];
                snprintf(key, sizeof key, "k%d-%03d", level, i);
                CHECK_OK(put(db, key, "a value of forty bytes: 0123456789012345"));
            }
            CHECK_OK(lsm_flush(db));
        }
        CHECK_OK(lsm_info(db, LSM_INFO_NWRITE, &before));
        CHECK_OK(lsm_work(db, 2, -1, &written));
        CHECK_OK(lsm_info(db, LSM_INFO_NWRITE, &after));
        CHECK(written > 40 && written < 100);
        CHECK((after - before) * page / 1024 >= written);
        CHECK((after - before) * page / 1024 < written + 30);
        CHECK_OK(lsm_close(db));
    }
}

static int hook_calls;
static void count_hook(lsm_db *db, void *context) {
    char *text = NULL;
    CHECK(context == &hook_calls);
    /* Allowed here; describes the state of the work under way. */
    CHECK_OK(lsm_info(db, LSM_INFO_DB_STRUCTURE, &text));
    CHECK(text != NULL);
    lsm_free(lsm_get_env(db), text);
    hook_calls++;
}

TEST(the_work_hook_is_called_once_for_each_new_level_and_merge_slice) {
    lsm_db *db = open_database();

    hook_calls = 0;
    lsm_config_work_hook(db, count_hook, &hook_calls);
    CHECK_OK(lsm_flush(db));
    CHECK_EQ_INT(hook_calls, 0);
    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(lsm_flush(db));
    CHECK_EQ_INT(hook_calls, 1);
    CHECK_OK(lsm_checkpoint(db, NULL));
    CHECK_EQ_INT(hook_calls, 1);
    CHECK_OK(put(db, "b", "1"));
    CHECK_OK(lsm_flush(db));
    CHECK_EQ_INT(hook_calls, 2);
    CHECK_OK(lsm_work(db, 2, -1, NULL));
    CHECK_EQ_INT(hook_calls, 3);
    CHECK_OK(put(db, "c", "1"));
    CHECK_OK(lsm_close(db)); /* the final flush */
    CHECK_EQ_INT(hook_calls, 4);
}

static int late_calls;
static void count_late(lsm_db *db, void *context) {
    (void)db;
    (void)context;
    late_calls++;
}

/* What a hook may not do, for each place where one is called. */
static int hooks_refused;
static void meddle(lsm_db *db, void *context) {
    lsm_compress none = {0};
    lsm_cursor *cursor = NULL;
    char *text = NULL;
    int written = -7;

    (void)context;
    CHECK_RC(put(db, "hook", "1"), LSM_MISUSE);
    CHECK_RC(lsm_delete(db, "000", 3), LSM_MISUSE);
    CHECK_RC(lsm_delete_range(db, "0", 1, "1", 1), LSM_MISUSE);
    CHECK_RC(lsm_set_user_version(db, 3), LSM_MISUSE);
    CHECK_RC(lsm_begin(db, -1), LSM_MISUSE);
    CHECK_RC(lsm_work(db, 1, -1, &written), LSM_MISUSE);
    CHECK_EQ_INT(written, -7);
    CHECK_RC(lsm_flush(db), LSM_MISUSE);
    CHECK_RC(lsm_close(db), LSM_MISUSE);
    CHECK_RC(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, &none), LSM_MISUSE);
    CHECK_OK(lsm_commit(db, 1)); /* nothing to do */
    hooks_refused++;
    /* What it may: look. */
    CHECK_OK(lsm_info(db, LSM_INFO_DB_STRUCTURE, &text));
    lsm_free(lsm_get_env(db), text);
    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_OK(lsm_csr_seek(cursor, "0007", 4, LSM_SEEK_EQ));
    CHECK_EQ_INT(lsm_csr_valid(cursor), 1);
    CHECK_OK(lsm_csr_close(cursor));
}

static void end_transaction(lsm_db *db, void *context) {
    (void)context;
    CHECK_RC(lsm_commit(db, 0), LSM_MISUSE);
    CHECK_RC(lsm_rollback(db, 0), LSM_MISUSE);
    CHECK_RC(lsm_rollback(db, 1), LSM_MISUSE);
    hooks_refused++;
}

static void put_numbers(lsm_db *db, int first, int end) {
    char key[8], value[100];

    memset(value, 'v', sizeof value);
    for (int i = first; i < end; i++) {
        snprintf(key, sizeof key, "%04d", i);
        CHECK_OK(lsm_insert(db, key, 4, value, sizeof value));
    }
}

static void check_numbers(lsm_db *db, int end) {
    lsm_cursor *cursor;
    int count = 0;

    CHECK_OK(lsm_csr_open(db, &cursor));
    for (CHECK_OK(lsm_csr_first(cursor)); lsm_csr_valid(cursor); CHECK_OK(lsm_csr_next(cursor))) count++;
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_EQ_INT(count, end);
}

TEST(the_work_hook_may_look_but_not_write_work_or_close) {
    lsm_db *db = new_connection();

    set(db, LSM_CONFIG_AUTOFLUSH, 64);
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    put_numbers(db, 0, 100); /* 0007 is there */
    lsm_config_work_hook(db, meddle, NULL);
    hooks_refused = 0;
    put_numbers(db, 100, 2000); /* within automatic work */
    CHECK(hooks_refused > 0);
    hooks_refused = 0;
    CHECK_OK(lsm_flush(db));
    CHECK(hooks_refused > 0);
    hooks_refused = 0;
    put_numbers(db, 2000, 2010);
    CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_work(db, 1, -1, NULL));
    CHECK(hooks_refused > 1);
    set(db, LSM_CONFIG_AUTOWORK, 0);
    lsm_config_work_hook(db, NULL, NULL);
    put_numbers(db, 2010, 3000); /* an old tree is left to write */
    set(db, LSM_CONFIG_AUTOWORK, 1);
    lsm_config_work_hook(db, end_transaction, NULL);
    hooks_refused = 0;
    CHECK_OK(lsm_begin(db, 2));
    put_numbers(db, 3000, 4000); /* within a transaction */
    CHECK(hooks_refused > 0);
    CHECK_OK(lsm_commit(db, 1));
    lsm_config_work_hook(db, meddle, NULL);
    CHECK_OK(lsm_commit(db, 0));
    put_numbers(db, 4000, 4100);
    check_numbers(db, 4100);
    hooks_refused = 0;
    CHECK_OK(lsm_close(db)); /* and within a close, once */
    CHECK(hooks_refused > 0);
    db = open_database();
    check_numbers(db, 4100);
    CHECK_OK(lsm_close(db));
}

TEST(without_autowork_the_hook_tells_of_each_commit_over_the_limit) {
    lsm_db *db = open_database();
    char value[3000];

    memset(value, 'v', sizeof value);
    set(db, LSM_CONFIG_AUTOWORK, 0);
    set(db, LSM_CONFIG_AUTOFLUSH, 1);
    late_calls = 0;
    lsm_config_work_hook(db, count_late, NULL);
    CHECK_OK(put(db, "a", "small"));
    CHECK_EQ_INT(late_calls, 0);
    for (int i = 1; i <= 4; i++) {
        CHECK_OK(lsm_insert(db, "b", 1, value, sizeof value));
        CHECK_EQ_INT(late_calls, i);
    }
    lsm_config_work_hook(db, NULL, NULL);
    CHECK_OK(lsm_insert(db, "b", 1, value, sizeof value));
    CHECK_EQ_INT(late_calls, 4);
    CHECK_OK(lsm_close(db));
}

/* -------------------------------------------------------------------------------------- info -- */

TEST(info_formats_and_misuse) {
    lsm_db *db = open_database();
    char *text = (char *)&db;
    lsm_i64 first = 0, last = 0, root = 0, size = 0;
    int number = -7, other = -7, age = -1;
    unsigned id = 77;

    CHECK_RC(lsm_info(db, LSM_INFO_FREELIST_SIZE, &number, &other), LSM_MISUSE);
    CHECK_RC(lsm_info(db, 99, &number), LSM_MISUSE);
    CHECK_EQ_INT(number, -7);
    CHECK(info(db, LSM_INFO_DB_STRUCTURE) == NULL);
    CHECK(info(db, LSM_INFO_FREELIST) == NULL);
    text = info(db, LSM_INFO_LOG_STRUCTURE);
    CHECK_EQ_STR(text, "0 0 0 0 0 0");
    lsm_free(lsm_get_env(db), text);
    CHECK_OK(lsm_info(db, LSM_INFO_COMPRESSION_ID, &id));
    CHECK_EQ_UINT(id, 0);
    CHECK_OK(lsm_info(db, LSM_INFO_TREE_SIZE, &number, &other));
    CHECK_EQ_INT(number, 0);
    CHECK_EQ_INT(other, 0);

    CHECK_OK(put(db, "k", "v"));
    text = info(db, LSM_INFO_LOG_STRUCTURE);
    CHECK_EQ_STR(text, "0 0 0 0 0 14");
    lsm_free(lsm_get_env(db), text);
    CHECK_OK(lsm_info(db, LSM_INFO_TREE_SIZE, &number, &other));
    CHECK_EQ_INT(other, 1);
    for (int i = 0; i < 300; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%03d", i);
        CHECK_OK(put(db, key, "value of this key"));
    }
    CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_info(db, LSM_INFO_TREE_SIZE, &number, &other));
    CHECK_EQ_INT(number + other, 0);
    CHECK_OK(lsm_info(db, LSM_INFO_COMPRESSION_ID, &id));
    CHECK_EQ_UINT(id, 1);
    text = info(db, LSM_INFO_DB_STRUCTURE);
    CHECK_EQ_INT(sscanf(text, "{%d {%lld %lld %lld %lld}}", &age, &first, &last, &root, &size), 5);
    CHECK_EQ_INT(age, 0);
    CHECK(first == 3 && last > first && size == last - first + 1);
    lsm_free(lsm_get_env(db), text);

    CHECK_OK(lsm_info(db, LSM_INFO_ARRAY_STRUCTURE, first, &text));
    {
        char expected[64];
        snprintf(expected, sizeof expected, "%lld %lld", first, last);
        CHECK_EQ_STR(text, expected);
    }
    lsm_free(lsm_get_env(db), text);
    CHECK_OK(lsm_info(db, LSM_INFO_ARRAY_PAGES, first, &text));
    CHECK_EQ_INT(strncmp(text, " 3 4 5", 6), 0);
    lsm_free(lsm_get_env(db), text);
    for (int verb = LSM_INFO_ARRAY_STRUCTURE; verb <= LSM_INFO_ARRAY_PAGES; verb++) {
        if (verb == LSM_INFO_FREELIST) continue;
        text = (char *)&db;
        CHECK_RC(lsm_info(db, verb, (lsm_i64)0, &text), LSM_ERROR);
        CHECK(text == NULL);
        text = (char *)&db;
        CHECK_RC(lsm_info(db, verb, (lsm_i64)-4, &text), LSM_ERROR);
        CHECK(text == NULL);
    }
    CHECK_RC(lsm_info(db, LSM_INFO_ARRAY_PAGES, first + 1, &text), LSM_ERROR);
    CHECK(text == NULL);
    CHECK_OK(lsm_info(db, LSM_INFO_PAGE_ASCII_DUMP, first, &text));
    CHECK(strstr(text, "Page : 3  (4092 bytes)\n") == text);
    CHECK(strstr(text, "(usr) k000") != NULL);
    lsm_free(lsm_get_env(db), text);
    CHECK_OK(lsm_info(db, LSM_INFO_PAGE_HEX_DUMP, first, &text));
    CHECK(strstr(text, "(usr) 6B303030") != NULL);
    lsm_free(lsm_get_env(db), text);
    CHECK_OK(lsm_info(db, LSM_INFO_NWRITE, &number));
    CHECK(number >= (int)size);
    CHECK_OK(lsm_info(db, LSM_INFO_NREAD, &number));
    CHECK_EQ_INT(number, 0); /* mapped */
    CHECK_OK(lsm_close(db));
}

static int log_calls;
static void count_log(void *context, int rc, const char *message) {
    (void)context, (void)rc, (void)message;
    log_calls++;
}

/* Spec 04, 9.3. */
TEST(a_dump_lines_values_up_and_follows_them_to_the_next_pages) {
    lsm_db *db = new_connection();
    char value[2000], expected[2100];
    char *text, *structure;
    lsm_i64 first;

    set(db, LSM_CONFIG_PAGE_SIZE, 512);
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    memset(value, 'v', sizeof value);
    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(put(db, "bcd", "2"));
    CHECK_OK(put(db, "efghi", ""));
    CHECK_OK(lsm_insert(db, "j", 1, value, sizeof value));
    CHECK_OK(put(db, "k", "3"));
    CHECK_OK(lsm_flush(db));
    structure = info(db, LSM_INFO_DB_STRUCTURE);
    CHECK_EQ_INT(sscanf(structure, "{0 {%lld ", &first), 1);
    lsm_free(lsm_get_env(db), structure);
    CHECK_OK(lsm_info(db, LSM_INFO_PAGE_ASCII_DUMP, first, &text));
    CHECK(strstr(text, "(usr) a     1\n") != NULL);
    CHECK(strstr(text, "(usr) bcd   2\n") != NULL);
    CHECK(strstr(text, "(usr) efghi \n") != NULL);
    snprintf(expected, sizeof expected, "(usr) j     %.*s\n", (int)sizeof value, value);
    CHECK(strstr(text, expected) != NULL);
    CHECK(strstr(text, "(usr) k ") == NULL); /* on another page */
    lsm_free(lsm_get_env(db), text);
    CHECK_OK(lsm_info(db, LSM_INFO_PAGE_HEX_DUMP, first, &text));
    CHECK(strstr(text, "(usr) 61         31\n") != NULL);
    CHECK(strstr(text, "(usr) 626364     32\n") != NULL);
    lsm_free(lsm_get_env(db), text);
    CHECK_OK(lsm_close(db));
}

TEST(a_number_that_is_no_page_is_an_error_not_damage) {
    static const lsm_i64 numbers[] = {1, 2, 257, 99999999, 1LL << 40, INT64_MAX};
    lsm_db *db = open_database();

    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(lsm_flush(db));
    lsm_config_log(db, count_log, NULL);
    log_calls = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        for (int verb = LSM_INFO_ARRAY_STRUCTURE; verb <= LSM_INFO_ARRAY_PAGES; verb++) {
            char *text = (char *)&db;
            if (verb == LSM_INFO_FREELIST) continue;
            CHECK_RC(lsm_info(db, verb, numbers[i], &text), LSM_ERROR);
            CHECK(text == NULL);
        }
    }
    CHECK_EQ_INT(log_calls, 0);
    CHECK_OK(lsm_close(db));
}

TEST(work_takes_any_number_of_kilobytes) {
    static const int limits[] = {1 << 30, INT32_MAX};

    for (int i = 0; i < 2; i++) {
        lsm_db *db = new_connection();
        int written = 0;
        char *text;

        set(db, LSM_CONFIG_PAGE_SIZE, 256); /* 2^32 pages, and more */
        set(db, LSM_CONFIG_AUTOWORK, 0);
        CHECK_OK(lsm_open(db, test_path(i ? "b" : "c")));
        for (int level = 0; level < 4; level++) {
            put_numbers(db, 0, 100);
            CHECK_OK(lsm_flush(db));
        }
        CHECK_OK(lsm_work(db, 2, limits[i], &written));
        CHECK(written > 0);
        text = info(db, LSM_INFO_DB_STRUCTURE);
        CHECK(strstr(text, "} {") == NULL); /* one level of one run */
        lsm_free(lsm_get_env(db), text);
        CHECK_OK(lsm_close(db));
    }
}

TEST(the_free_list_is_told_in_ascending_order) {
    lsm_db *db = new_connection();
    lsm_i64 block, snapshot, previous = 0;
    char *text;
    const char *at;
    int taken, count = 0;

    set(db, LSM_CONFIG_BLOCK_SIZE, 64);
    set(db, LSM_CONFIG_PAGE_SIZE, 512);
    set(db, LSM_CONFIG_AUTOCHECKPOINT, 0);
    CHECK_OK(lsm_open(db, test_path("free.lsm")));
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 100; j++) {
            char key[16], value[1000];
            snprintf(key, sizeof key, "k%03d", j);
            memset(value, 'v', sizeof value);
            CHECK_OK(lsm_insert(db, key, (int)strlen(key), value, sizeof value));
        }
        CHECK_OK(lsm_flush(db));
    }
    CHECK_OK(lsm_work(db, 1, -1, NULL));
    text = info(db, LSM_INFO_FREELIST);
    CHECK(text != NULL);
    for (at = text; sscanf(at, "{%lld %lld}%n", &block, &snapshot, &taken) == 2; count++) {
        CHECK(block > previous);
        previous = block;
        at += taken;
        if (*at == ' ') at++;
    }
    CHECK_EQ_STR(at, "");
    CHECK(count >= 2);
    lsm_free(lsm_get_env(db), text);
    CHECK_OK(lsm_close(db));
}

TEST(DF_38_rollback_gives_back_the_size_of_the_tree) {
    lsm_db *db = open_database();
    char *value = calloc(1, 1 << 20);
    int old_before, live_before, old_after, live_after;

    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(lsm_info(db, LSM_INFO_TREE_SIZE, &old_before, &live_before));
    CHECK_OK(lsm_begin(db, 1));
    CHECK_OK(lsm_insert(db, "b", 1, value, 1 << 20));
    CHECK_OK(lsm_info(db, LSM_INFO_TREE_SIZE, &old_after, &live_after));
    CHECK(live_after >= 1024);
    CHECK_OK(lsm_rollback(db, 0));
    CHECK_OK(lsm_info(db, LSM_INFO_TREE_SIZE, &old_after, &live_after));
    CHECK_EQ_INT(live_after, live_before);
    CHECK_EQ_INT(old_after, old_before);
    CHECK_OK(lsm_close(db));
    free(value);
}

TEST_MAIN()
