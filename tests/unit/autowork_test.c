/*
** autowork_test.c — the quotas of automatic work at their ends.
*/
#include "db/db_internal.h"
#include "support/api_helpers.h"

static char value[1000];

static void put_numbers(lsm_db *db, int from, int to) {
    for (int i = from; i < to; i++) {
        char key[16];
        int size = snprintf(key, sizeof key, "k%06d", i);
        CHECK_OK(lsm_insert(db, key, size, value, sizeof value));
    }
}

static int count_keys(lsm_db *db) {
    lsm_cursor *cursor;
    int count = 0;

    CHECK_OK(lsm_csr_open(db, &cursor));
    for (CHECK_OK(lsm_csr_first(cursor)); lsm_csr_valid(cursor); CHECK_OK(lsm_csr_next(cursor))) count++;
    CHECK_OK(lsm_csr_close(cursor));
    return count;
}

/* 2^32 pages: more than fit into a count of pages. */
TEST(the_largest_autocheckpoint_with_the_smallest_page_is_no_limit) {
    lsm_db *db = new_connection();
    int kb = 0;

    set(db, LSM_CONFIG_PAGE_SIZE, 256);
    set(db, LSM_CONFIG_AUTOFLUSH, 64);
    CHECK_EQ_INT(set(db, LSM_CONFIG_AUTOCHECKPOINT, 1 << 30), 1 << 30);
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    put_numbers(db, 0, 500);
    CHECK_OK(lsm_info(db, LSM_INFO_CHECKPOINT_SIZE, &kb));
    CHECK(kb > 64);
    CHECK_OK(lsm_close(db));
}

TEST(a_tree_may_be_as_large_as_there_is_room_for) {
    lsm_db *db = new_connection();

    set(db, LSM_CONFIG_AUTOFLUSH, 1024);
    CHECK_EQ_UINT(db_tree_limit(db), 8u << 20);
    set(db, LSM_CONFIG_AUTOFLUSH, 0);
    CHECK_EQ_UINT(db_tree_limit(db), 512u << 10);
    set(db, LSM_CONFIG_AUTOFLUSH, 1 << 20); /* two trees of 8 GB: not in a region of 2 */
    CHECK_EQ_UINT(db_tree_limit(db), 512u << 20);
    CHECK_OK(lsm_close(db));
}

/* A reader keeps the old content, so the new one is written behind it, in more blocks than can be moved down singly. */
TEST(a_file_with_more_room_in_front_than_can_be_moved_into_is_written_anew) {
    lsm_db *db = new_connection();
    lsm_db *reader = NULL;
    lsm_cursor *cursor;
    long long alone, large;
    int done = 0, turns = 0;

    CHECK_EQ_INT(set(db, LSM_CONFIG_BLOCK_SIZE, 64), 64);
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    put_numbers(db, 0, 2500);
    CHECK_OK(lsm_close(db));
    alone = size_of_file(test_path("a.lsm"));
    CHECK(alone > 35 * 65536);

    db = new_connection();
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    CHECK_OK(lsm_new(NULL, &reader));
    CHECK_OK(lsm_open(reader, test_path("a.lsm")));
    CHECK_OK(lsm_csr_open(reader, &cursor));
    for (int i = 0; i < 4; i++) put_numbers(db, 0, 2500);
    CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_work(db, 1, -1, &done));
    CHECK_OK(lsm_checkpoint(db, NULL));
    large = size_of_file(test_path("a.lsm"));
    CHECK(large > 3 * alone);
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_OK(lsm_close(reader));

    do {
        CHECK_OK(lsm_work(db, 1, -1, &done));
        CHECK_OK(lsm_checkpoint(db, NULL));
        CHECK(turns++ < 5); /* it ends */
    } while (done > 0);
    CHECK_EQ_INT(count_keys(db), 2500);
    CHECK_OK(lsm_close(db));
    CHECK(size_of_file(test_path("a.lsm")) < alone + alone / 4);
}

TEST_MAIN()
