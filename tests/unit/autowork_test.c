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

TEST_MAIN()
