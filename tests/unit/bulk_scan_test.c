/*
** bulk_scan_test.c — ranges through handles: the first block comes with the scan, and no record twice or never.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/bulk_internal.h"
#include "base/bytes.h"
#include "lsm_bulk.h"
#include "support/test.h"

#define NONE 0xffffffffu

static const uint32_t head_size = 8;

static uint32_t open_at(const char *path) {
    uint32_t db = lsm_bulk_new();
    CHECK_EQ_INT(lsm_bulk_open(db, (const uint8_t *)path, (uint32_t)strlen(path)), 0);
    return db;
}

static void close_db(uint32_t db) {
    uint8_t error[64];
    CHECK_EQ_INT(lsm_bulk_close(db, error, sizeof error), 0);
}

/* Values of 0, 7, 14, .. 63 bytes. */
static void put(uint32_t db, uint32_t number) {
    uint8_t value[64];
    char key[8];

    memset(value, (int)('a' + number % 26), sizeof value);
    snprintf(key, sizeof key, "%04u", (unsigned)number);
    CHECK_EQ_INT(lsm_bulk_put(db, (const uint8_t *)key, 4, value, number % 10 * 7), 0);
}

static void fill(uint32_t db, uint32_t first, uint32_t end) {
    for (uint32_t i = first; i < end; i++) put(db, i);
}

static uint32_t open_snapshots(uint32_t db) {
    uint8_t stats[LSM_BULK_STATS_COUNT * 8];
    CHECK_EQ_INT(lsm_bulk_stats(db, stats, sizeof stats), (int32_t)sizeof stats);
    return get_u32_little(stats + 8 * 8);
}

/* Take in a block: its keys must be expected, expected + step, ..; gives the next one. */
static uint32_t check_block(const uint8_t *block, uint32_t flags, uint32_t expected) {
    uint32_t count = get_u32_little(block);
    const uint8_t *at = block + head_size;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t key_size = get_u32_little(at), value_size = get_u32_little(at + 4);
        char key[8];
        snprintf(key, sizeof key, "%04u", (unsigned)expected);
        CHECK_EQ_BYTES(at + 8, key_size, key, flags & LSM_BULK_VALUES_ONLY ? 0u : 4u);
        CHECK_EQ_UINT(value_size, flags & LSM_BULK_KEYS_ONLY ? 0 : expected % 10 * 7);
        if (value_size > 0) CHECK_EQ_UINT(at[8 + key_size], 'a' + expected % 26);
        at += 8 + ((key_size + value_size + 3) & ~3u);
        expected += flags & LSM_BULK_REVERSE ? (uint32_t)-1 : 1;
    }
    return expected;
}

/* The range from 20 on and below 180, in blocks of `capacity`; `limit` records of it. */
static void check_range(uint32_t view, uint32_t flags, uint32_t capacity, uint32_t limit) {
    const uint8_t *lower = (const uint8_t *)"0020", *upper = (const uint8_t *)"0180";
    bool reverse = (flags & LSM_BULK_REVERSE) != 0;
    uint32_t expected = reverse ? 179 : 20, count = limit < 160 ? limit : 160, scan;
    uint32_t end = reverse ? 179 - count : 20 + count;
    uint8_t *block = malloc(capacity + 1024);
    int32_t result;

    CHECK(block != NULL);
    flags |= LSM_BULK_HAS_LOWER | LSM_BULK_LOWER_INCLUSIVE | LSM_BULK_HAS_UPPER;
    scan = lsm_bulk_scan(view, flags, limit, lower, 4, upper, 4, block, capacity);
    CHECK(scan != 0);
    if (capacity > 0) {
        expected = check_block(block, flags, expected);
        CHECK_EQ_UINT(get_u32_little(block + 4), scan == LSM_BULK_SCAN_ENDED);
    }
    if (scan != LSM_BULK_SCAN_ENDED) {
        uint32_t room = capacity > 0 ? capacity : 256;
        do {
            result = lsm_bulk_scan_next(scan, block, room);
            if (result == LSM_BULK_TOO_SMALL) {
                result = lsm_bulk_take(scan, 0, block, capacity + 1024);
                CHECK_EQ_UINT(get_u32_little(block), 1);
            }
            CHECK(result >= (int32_t)head_size);
            expected = check_block(block, flags, expected);
        } while (get_u32_little(block + 4) == 0);
        CHECK_EQ_INT(lsm_bulk_end(scan), 1);
    }
    CHECK_EQ_UINT(expected, end);
    free(block);
}

TEST(every_record_comes_once_whatever_the_size_of_blocks) {
    static const uint32_t capacities[] = {0, 8, 9, 40, 100, 256, 4096, 65536};
    static const uint32_t limits[] = {0, 1, 2, 7, 159, 160, 161, NONE};
    static const uint32_t kinds[] = {0, LSM_BULK_KEYS_ONLY, LSM_BULK_VALUES_ONLY};
    uint32_t db = open_at(test_path("a")), snapshot;

    fill(db, 0, 100);
    CHECK_EQ_INT(lsm_bulk_flush(db), 0);
    fill(db, 100, 200);
    snapshot = lsm_bulk_snapshot(db);
    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
        for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
            for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
                check_range(db, kinds[k], capacities[c], limits[l]);
                check_range(db, kinds[k] | LSM_BULK_REVERSE, capacities[c], limits[l]);
                check_range(snapshot, kinds[k], capacities[c], limits[l]);
            }
        }
    }
    CHECK_EQ_INT(lsm_bulk_begin(db, 1), 1);
    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
        check_range(db, 0, capacities[c], NONE);
        check_range(db, LSM_BULK_REVERSE, capacities[c], 100);
    }
    close_db(db);
}

TEST(a_range_that_fits_holds_nothing) {
    uint32_t db = open_at(test_path("a"));
    uint8_t block[4096];

    fill(db, 0, 20);
    CHECK_EQ_UINT(lsm_bulk_scan(db, 0, NONE, NULL, 0, NULL, 0, block, sizeof block),
                  LSM_BULK_SCAN_ENDED);
    CHECK_EQ_UINT(check_block(block, 0, 0), 20);
    CHECK_EQ_UINT(open_snapshots(db), 0);
    CHECK_EQ_INT(lsm_bulk_end(LSM_BULK_SCAN_ENDED), 0);
    CHECK(lsm_bulk_scan(db, 0, NONE, NULL, 0, NULL, 0, block, 100) > LSM_BULK_SCAN_ENDED);
    CHECK_EQ_UINT(open_snapshots(db), 1);
    close_db(db);
}

TEST(what_is_written_after_the_first_block_does_not_show) {
    uint32_t db = open_at(test_path("a")), scan, next;
    uint8_t block[300];

    fill(db, 0, 30);
    scan = lsm_bulk_scan(db, 0, NONE, NULL, 0, NULL, 0, block, sizeof block);
    next = check_block(block, 0, 0);
    CHECK(next > 0 && next < 30);
    fill(db, 30, 50);
    CHECK_EQ_INT(lsm_bulk_delete(db, LSM_BULK_BLIND, (const uint8_t *)"0029", 4), 0);
    while (get_u32_little(block + 4) == 0) {
        CHECK(lsm_bulk_scan_next(scan, block, sizeof block) >= 8);
        next = check_block(block, 0, next);
    }
    CHECK_EQ_UINT(next, 30);
    close_db(db);
}

/* The freeze of a tree begins the count of its transactions anew: the same number says another version. */
TEST(a_new_snapshot_never_shares_a_reader_of_before_a_freeze) {
    static const uint8_t large[9000];
    const char *path = test_path("frozen.lsm");
    uint32_t db = lsm_bulk_new();
    uint32_t before, after;
    uint8_t value[8];

    CHECK_EQ_INT(lsm_bulk_config(db, LSM_CONFIG_AUTOWORK, 0), 0);
    CHECK_EQ_INT(lsm_bulk_config(db, LSM_CONFIG_AUTOFLUSH, 8), 8);
    CHECK_EQ_INT(lsm_bulk_open(db, (const uint8_t *)path, (uint32_t)strlen(path)), 0);
    for (uint32_t commits = 1; commits < 5; commits++) { /* of which the first freezes */
        CHECK_EQ_INT(lsm_bulk_flush(db), 0);
        for (uint32_t i = 0; i < commits; i++) {
            CHECK_EQ_INT(lsm_bulk_put(db, (const uint8_t *)"a", 1, (const uint8_t *)"old", 3), 0);
            before = lsm_bulk_snapshot(db);
            CHECK(before != 0);
            if (i + 1 < commits) CHECK_EQ_INT(lsm_bulk_end(before), 1);
        }
        CHECK_EQ_INT(lsm_bulk_put(db, (const uint8_t *)"b", 1, large, sizeof large), 0);
        for (uint32_t i = 0; i < 6; i++) {
            uint8_t text = (uint8_t)('0' + i);
            CHECK_EQ_INT(lsm_bulk_put(db, (const uint8_t *)"a", 1, &text, 1), 0);
            after = lsm_bulk_snapshot(db);
            CHECK_EQ_INT(lsm_bulk_get(after, (const uint8_t *)"a", 1, value, sizeof value), 1);
            CHECK_EQ_INT(value[0], text);
            CHECK_EQ_INT(lsm_bulk_get(before, (const uint8_t *)"a", 1, value, sizeof value), 3);
            CHECK_EQ_INT(lsm_bulk_end(after), 1);
        }
        CHECK_EQ_INT(lsm_bulk_end(before), 1);
    }
    CHECK_EQ_INT(lsm_bulk_close(db, NULL, 0), 0);
}

TEST(a_live_scan_sees_what_its_transaction_writes_ahead) {
    uint32_t db = open_at(test_path("a")), scan, next;
    uint8_t block[300];

    fill(db, 0, 30);
    CHECK_EQ_INT(lsm_bulk_begin(db, 1), 1);
    scan = lsm_bulk_scan(db, 0, NONE, NULL, 0, NULL, 0, block, sizeof block);
    next = check_block(block, 0, 0);
    fill(db, 30, 50);
    while (get_u32_little(block + 4) == 0) {
        CHECK(lsm_bulk_scan_next(scan, block, sizeof block) >= 8);
        next = check_block(block, 0, next);
    }
    CHECK_EQ_UINT(next, 50);
    close_db(db);
}

#define ROOM_FOR_ONE 40u /* of the records here: 4 and 20 bytes */

static void put_even(uint32_t db, uint32_t number) {
    char key[8];
    snprintf(key, sizeof key, "%04u", (unsigned)number);
    CHECK_EQ_INT(lsm_bulk_put(db, (const uint8_t *)key, 4, (const uint8_t *)"12345678901234567890", 20), 0);
}

static void remove_number(uint32_t db, uint32_t number) {
    char key[8];
    snprintf(key, sizeof key, "%04u", (unsigned)number);
    CHECK_EQ_INT(lsm_bulk_delete(db, 0, (const uint8_t *)key, 4), 1);
}

/* The one record of the next block; NONE when the scan has ended. */
static uint32_t next_number(uint32_t scan) {
    uint8_t block[8 + ROOM_FOR_ONE];
    char key[5] = "";

    CHECK(lsm_bulk_scan_next(scan, block, sizeof block) >= (int32_t)head_size);
    if (get_u32_little(block) == 0) {
        CHECK_EQ_UINT(get_u32_little(block + 4), 1);
        return NONE;
    }
    CHECK_EQ_UINT(get_u32_little(block), 1);
    CHECK_EQ_UINT(get_u32_little(block + 8 + 4), 20);
    memcpy(key, block + 8 + 8, 4);
    return (uint32_t)strtoul(key, NULL, 10);
}

/* A scan that stands on a record which did not fit, and then is no more. */
static void delete_under_a_scan(uint32_t db, uint32_t flags) {
    uint32_t scan, i;
    uint8_t block[8];

    CHECK_EQ_INT(lsm_bulk_begin(db, 1), 1);
    scan = lsm_bulk_scan(db, flags, NONE, NULL, 0, NULL, 0, NULL, 0);
    for (i = 0; i < 10; i++) {
        uint32_t at = flags & LSM_BULK_REVERSE ? 9 - i : i;
        bool gone = i == 3 || i == 4 || i == 9;
        if (gone) remove_number(db, at);
        if (i == 6) { /* one that waits, was looked at, and was not taken */
            CHECK_EQ_INT(lsm_bulk_scan_next(scan, block, sizeof block), LSM_BULK_TOO_SMALL);
            remove_number(db, at);
            gone = true;
        }
        if (!gone) CHECK_EQ_UINT(next_number(scan), at);
    }
    CHECK_EQ_UINT(next_number(scan), NONE);
    CHECK_EQ_INT(lsm_bulk_rollback(db, 0), 0);
}

TEST(a_live_scan_does_not_deliver_what_was_deleted_under_it) {
    uint32_t db = open_at(test_path("a"));

    for (uint32_t i = 0; i < 6; i++) put_even(db, i);
    CHECK_EQ_INT(lsm_bulk_flush(db), 0);
    for (uint32_t i = 4; i < 10; i++) put_even(db, i);
    delete_under_a_scan(db, 0);
    delete_under_a_scan(db, LSM_BULK_REVERSE);
    close_db(db);
}

TEST(a_live_scan_does_not_deliver_what_was_rolled_back_under_it) {
    uint32_t db = open_at(test_path("a")), scan;

    for (uint32_t i = 0; i < 4; i += 2) put_even(db, i);
    CHECK_EQ_INT(lsm_bulk_begin(db, 1), 1);
    scan = lsm_bulk_scan(db, 0, NONE, NULL, 0, NULL, 0, NULL, 0);
    CHECK_EQ_INT(lsm_bulk_begin(db, 2), 2);
    put_even(db, 1);
    CHECK_EQ_UINT(next_number(scan), 0); /* the scan stands on 1 */
    CHECK_EQ_INT(lsm_bulk_rollback(db, 2), 2);
    CHECK_EQ_UINT(next_number(scan), 2);
    CHECK_EQ_UINT(next_number(scan), NONE);
    close_db(db);
}

static int32_t move(uint32_t cursor, uint32_t movement) {
    uint8_t out[100];
    int32_t size = lsm_bulk_cursor_move(cursor, movement, out, sizeof out);
    return size < 0 ? size : (out[8] - '0') * 1000 + (out[9] - '0') * 100 + (out[10] - '0') * 10 + out[11] - '0';
}

static void seek_nothing(uint32_t cursor, uint32_t mode, const char *key) {
    uint8_t out[100];
    CHECK_EQ_INT(lsm_bulk_cursor_seek(cursor, mode, (const uint8_t *)key, (uint32_t)strlen(key), out, sizeof out),
                 LSM_BULK_ABSENT);
}

TEST(a_cursor_comes_back_in_from_where_a_seek_found_nothing) {
    static const uint32_t up[] = {LSM_BULK_SEEK_GE, LSM_BULK_SEEK_GT};
    static const uint32_t down[] = {LSM_BULK_SEEK_LE, LSM_BULK_SEEK_LT, LSM_BULK_SEEK_LEFAST};
    uint32_t db = open_at(test_path("a")), cursor;

    fill(db, 0, 10);
    cursor = lsm_bulk_cursor(db);
    CHECK(cursor != 0);
    CHECK_EQ_INT(move(cursor, LSM_BULK_NEXT), LSM_BULK_ABSENT); /* never positioned */
    for (size_t i = 0; i < 2; i++) {
        seek_nothing(cursor, up[i], "z");
        CHECK_EQ_INT(move(cursor, LSM_BULK_NEXT), LSM_BULK_ABSENT);
        CHECK_EQ_INT(move(cursor, LSM_BULK_PREV), 9);
        CHECK_EQ_INT(move(cursor, LSM_BULK_PREV), 8);
    }
    for (size_t i = 0; i < 3; i++) {
        seek_nothing(cursor, down[i], "");
        CHECK_EQ_INT(move(cursor, LSM_BULK_PREV), LSM_BULK_ABSENT);
        CHECK_EQ_INT(move(cursor, LSM_BULK_NEXT), 0);
        CHECK_EQ_INT(move(cursor, LSM_BULK_NEXT), 1);
    }
    seek_nothing(cursor, LSM_BULK_SEEK_EQ, "0005x");
    CHECK_EQ_INT(move(cursor, LSM_BULK_NEXT), LSM_BULK_ABSENT);
    CHECK_EQ_INT(move(cursor, LSM_BULK_PREV), LSM_BULK_ABSENT);
    close_db(db);
}

TEST(a_path_that_is_not_there_is_misuse) {
    uint32_t db = lsm_bulk_new();
    CHECK_EQ_INT(lsm_bulk_open(db, NULL, 5), LSM_BULK_MISUSE);
    CHECK_EQ_INT(lsm_bulk_open(db, NULL, 0), LSM_BULK_MISUSE);
    close_db(db);
}

static void check_full(uint32_t view) {
    uint8_t error[200];
    int32_t size = lsm_bulk_error(view, error, sizeof error);

    CHECK(size > 32);
    CHECK_EQ_UINT(get_u32_little(error), LSM_FULL);
    CHECK_EQ_BYTES(error + 32, (size_t)size - 32, "65,535 handles are open already", 31);
}

TEST(running_out_of_handles_is_not_running_out_of_memory) {
    uint32_t db = open_at(test_path("a")), snapshot;

    put(db, 1);
    snapshot = lsm_bulk_snapshot(db);
    CHECK(snapshot != 0);
    while (lsm_bulk_scan(snapshot, 0, 1, NULL, 0, NULL, 0, NULL, 0) != 0) {
    }
    check_full(snapshot);
    CHECK_EQ_UINT(lsm_bulk_cursor(db), 0);
    check_full(db);
    CHECK_EQ_UINT(lsm_bulk_snapshot(db), 0);
    check_full(db);
    CHECK_EQ_UINT(lsm_bulk_verify(db), 0);
    check_full(db);
    CHECK_EQ_UINT(lsm_bulk_backup(db, (const uint8_t *)"b", 1, 0), 0);
    check_full(db);
    close_db(db);
}

static uint32_t count_readers(uint32_t db) {
    struct handle *handle;
    struct bulk_connection *reader;
    uint32_t count = 0;

    CHECK_EQ_INT(handle_enter(db, HANDLE_DATABASE, &handle), 0);
    for (reader = handle->readers; reader; reader = reader->next) count++;
    handle_leave(handle);
    return count;
}

TEST(of_many_readers_that_are_not_needed_any_more_a_few_stay) {
    uint32_t db = open_at(test_path("a.lsm"));
    uint32_t snapshots[20];
    uint32_t last;

    for (uint32_t i = 0; i < 20; i++) {
        put(db, i);
        snapshots[i] = lsm_bulk_snapshot(db);
        CHECK(snapshots[i] != 0);
    }
    CHECK_EQ_UINT(count_readers(db), 20);
    for (uint32_t i = 0; i < 20; i++) {
        if (i != 7) CHECK_EQ_INT(lsm_bulk_end(snapshots[i]), 1);
    }
    last = lsm_bulk_snapshot(db);
    CHECK(last != 0);
    CHECK_EQ_UINT(open_snapshots(db), 2);
    CHECK_EQ_UINT(count_readers(db), 6); /* 2 in use, 4 for the next */
    CHECK_EQ_INT(lsm_bulk_end(snapshots[7]), 1);
    CHECK_EQ_INT(lsm_bulk_end(last), 1);
    close_db(db);
}

TEST(a_count_ends_at_its_limit) {
    static const uint32_t limits[] = {0, 1, 2, 99, 100, 101, NONE};
    uint32_t db = open_at(test_path("counted"));
    uint8_t out[8];

    fill(db, 0, 100);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        CHECK_EQ_INT(lsm_bulk_count(db, 0, limits[i], NULL, 0, NULL, 0, out, sizeof out), 8);
        CHECK_EQ_UINT(get_u32_little(out), limits[i] < 100 ? limits[i] : 100);
        CHECK_EQ_UINT(get_u32_little(out + 4), 0);
    }
    close_db(db);
}

TEST(senseless_arguments_make_no_scan) {
    uint32_t db = open_at(test_path("a"));
    uint8_t block[16];

    CHECK_EQ_UINT(lsm_bulk_scan(db, 0, NONE, NULL, 0, NULL, 0, block, 7), 0);
    CHECK_EQ_UINT(lsm_bulk_scan(db, 0, NONE, NULL, 0, NULL, 0, block, 0x80000000u), 0);
    CHECK_EQ_UINT(lsm_bulk_scan(db, 0, NONE, NULL, 4, NULL, 0, block, 16), 0);
    CHECK_EQ_UINT(lsm_bulk_scan(12345, 0, NONE, NULL, 0, NULL, 0, block, 16), 0);
    CHECK_EQ_UINT(lsm_bulk_scan(lsm_bulk_new(), 0, NONE, NULL, 0, NULL, 0, block, 16), 0);
    CHECK_EQ_UINT(lsm_bulk_scan(lsm_bulk_new(), 0, NONE, NULL, 0, NULL, 0, NULL, 0), 0);
    close_db(db);
    lsm_bulk_shutdown();
}

TEST_MAIN()
