/*
** bulk_write_test.c — range deletes with bounds of all kinds, in batches.
*/
#include "base/bytes.h"
#include "lsm_bulk.h"
#include "support/test.h"

#define KEYS 40u /* "", 00, 00 00, then one byte each */

static uint32_t open_database(void) {
    const char *path = test_path("a.lsm");
    uint32_t db = lsm_bulk_new();

    CHECK_EQ_INT(lsm_bulk_config(db, LSM_CONFIG_AUTOFLUSH, 8), 8);
    CHECK_EQ_INT(lsm_bulk_open(db, (const uint8_t *)path, (uint32_t)strlen(path)), 0);
    return db;
}

static uint32_t key_of(uint32_t number, uint8_t *out) {
    out[0] = (uint8_t)(number < 3 ? 0 : number * 6);
    out[1] = 0;
    return number < 3 ? number : 1;
}

static void put(uint32_t db, uint32_t number) {
    uint8_t key[2];
    uint32_t size = key_of(number, key);
    CHECK_EQ_INT(lsm_bulk_put(db, key, size, key, size), 0);
}

/* A batch of one range delete. */
static void remove_range(uint32_t db, uint32_t flags, const uint8_t *lower, uint32_t lower_size, const uint8_t *upper,
                         uint32_t upper_size) {
    uint8_t ops[12 + 32] = {0};

    put_u32_little(ops, LSM_BULK_REMOVE_RANGE | flags);
    put_u32_little(ops + 4, lower_size);
    put_u32_little(ops + 8, upper_size);
    memcpy(ops + 12, lower, lower_size);
    memcpy(ops + 12 + lower_size, upper, upper_size);
    CHECK_EQ_INT(lsm_bulk_apply(db, 1, ops, 12 + lower_size + upper_size), 1);
}

static bool is_inside(uint32_t number, uint32_t flags, uint32_t lower, uint32_t upper) {
    if ((flags & LSM_BULK_HAS_LOWER) && (number < lower || (number == lower && !(flags & LSM_BULK_LOWER_INCLUSIVE)))) {
        return false;
    }
    return !(flags & LSM_BULK_HAS_UPPER) || number < upper || (number == upper && (flags & LSM_BULK_UPPER_INCLUSIVE));
}

static void check_keys(uint32_t db, const bool *there) {
    uint8_t key[2];

    for (uint32_t i = 0; i < KEYS; i++) {
        TEST_NOTE("key %u", i);
        CHECK_EQ_INT(lsm_bulk_has(db, key, key_of(i, key)), there[i]);
    }
}

TEST(a_range_delete_takes_what_its_bounds_say_and_nothing_else) {
    static const uint32_t kinds[] = {0, LSM_BULK_HAS_LOWER, LSM_BULK_HAS_LOWER | LSM_BULK_LOWER_INCLUSIVE};
    static const uint32_t uppers[] = {0, LSM_BULK_HAS_UPPER, LSM_BULK_HAS_UPPER | LSM_BULK_UPPER_INCLUSIVE};
    bool there[KEYS] = {false};
    uint32_t db = open_database();

    for (uint32_t round = 0; round < 1500; round++) {
        uint32_t flags = kinds[test_random_below(3)] | uppers[test_random_below(3)];
        uint32_t lower = test_random_below(KEYS), upper = test_random_below(KEYS);
        uint8_t low[2], high[2];

        for (uint32_t i = test_random_below(KEYS); i > 0; i--) {
            uint32_t number = test_random_below(KEYS);
            put(db, number);
            there[number] = true;
        }
        if (test_random_below(4) == 0) {
            uint8_t key[2];
            CHECK(lsm_bulk_delete(db, LSM_BULK_BLIND, key, key_of(upper, key)) >= 0);
            there[upper] = false;
        }
        if (test_random_below(20) == 0) CHECK_EQ_INT(lsm_bulk_flush(db), 0);
        if (flags == 0 && round % 8 != 0) continue;
        remove_range(db, flags, low, flags & LSM_BULK_HAS_LOWER ? key_of(lower, low) : 0, high,
                     flags & LSM_BULK_HAS_UPPER ? key_of(upper, high) : 0);
        for (uint32_t i = 0; i < KEYS; i++) there[i] = there[i] && !is_inside(i, flags, lower, upper);
        check_keys(db, there);
    }
    CHECK_EQ_INT(lsm_bulk_close(db, NULL, 0), 0);
}

static uint32_t records_in_file(uint32_t db) {
    uint8_t report[64];
    uint32_t verify;

    CHECK_EQ_INT(lsm_bulk_flush(db), 0);
    verify = lsm_bulk_verify(db);
    CHECK(lsm_bulk_verify_report(verify, report, sizeof report) > 0);
    CHECK_EQ_UINT(get_u32_little(report), 0);
    CHECK_EQ_INT(lsm_bulk_end(verify), 1);
    return get_u32_little(report + 4);
}

/* A queue: jobs are deleted one by one, and the deletes done away with now and then. */
TEST(a_range_delete_does_away_with_the_deletes_it_covers) {
    uint32_t db = open_database();
    uint32_t before;
    uint8_t key[4], last[4];

    CHECK_EQ_INT(lsm_bulk_config(db, LSM_CONFIG_AUTOFLUSH, 1 << 20), 1 << 20);
    CHECK_EQ_INT(lsm_bulk_config(db, LSM_CONFIG_AUTOWORK, 0), 0);
    CHECK_EQ_INT(lsm_bulk_put(db, (const uint8_t *)"\xff", 1, NULL, 0), 0);
    before = records_in_file(db);
    for (uint32_t i = 0; i < 5000; i++) {
        put_u32(key, i);
        CHECK_EQ_INT(lsm_bulk_put(db, key, 4, key, 4), 0);
    }
    for (uint32_t i = 0; i < 4990; i++) {
        put_u32(key, i);
        CHECK_EQ_INT(lsm_bulk_delete(db, 0, key, 4), 1);
    }
    put_u32(last, 4989);
    remove_range(db, LSM_BULK_HAS_UPPER | LSM_BULK_UPPER_INCLUSIVE, last, 0, last, 4);
    CHECK(records_in_file(db) - before < 10 + 5);
    CHECK_EQ_INT(lsm_bulk_close(db, NULL, 0), 0);
}

TEST_MAIN()
