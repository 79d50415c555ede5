/*
** bulk_task_thread_test.c — backups and verifications in a thread of the engine's, while the database is in use.
*/
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "lsm_bulk.h"
#include "os/os.h"
#include "support/test.h"

#define RECORDS 20000u
#define VALUE_SIZE 200u

static uint32_t open_at(const char *path) {
    uint32_t db = lsm_bulk_new();
    CHECK_EQ_INT(lsm_bulk_open(db, (const uint8_t *)path, (uint32_t)strlen(path)), 0);
    return db;
}

/* The value is made of the low byte of `version`, so that a copy shows from when it is. */
static void put(uint32_t db, uint32_t number, uint32_t version) {
    uint8_t value[VALUE_SIZE];
    char key[16];

    memset(value, (int)(version & 0xff), sizeof value);
    snprintf(key, sizeof key, "k%06u", (unsigned)number);
    CHECK_EQ_INT(lsm_bulk_put(db, (const uint8_t *)key, 7, value, sizeof value), 0);
}

static void fill(uint32_t db) {
    CHECK_EQ_INT(lsm_bulk_begin(db, 1), 1);
    for (uint32_t i = 0; i < RECORDS; i++) put(db, i, 1);
    CHECK_EQ_INT(lsm_bulk_commit(db, 0), 0);
}

static uint32_t backup_to(uint32_t db, const char *path) {
    return lsm_bulk_backup(db, (const uint8_t *)path, (uint32_t)strlen(path), 0);
}

static bool exists(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file) fclose(file);
    return file != NULL;
}

static uint64_t count(uint32_t db) {
    uint8_t out[8];
    CHECK_EQ_INT(lsm_bulk_count(db, 0, UINT32_MAX, NULL, 0, NULL, 0, out, 8), 8);
    return get_u32_little(out);
}

TEST(a_backup_in_a_thread_is_of_one_moment_while_others_write) {
    const char *path = test_path("copy");
    uint32_t db = open_at(test_path("source"));
    uint8_t progress[16], value[VALUE_SIZE], error[300];
    uint32_t backup, writes = 0;

    fill(db);
    backup = backup_to(db, path);
    CHECK(backup != 0);
    CHECK_EQ_INT(lsm_bulk_wait(backup, 0, progress, 16), LSM_BULK_MISUSE); /* nothing to wait for */
    CHECK_EQ_INT(lsm_bulk_run(backup), 0);
    CHECK_EQ_INT(lsm_bulk_run(backup), LSM_BULK_MISUSE);
    CHECK_EQ_INT(lsm_bulk_backup_step(backup, 1, progress, 16), LSM_BULK_MISUSE);
    CHECK_EQ_INT(lsm_bulk_wait(backup, 0, progress, 15), LSM_BULK_MISUSE);
    while (lsm_bulk_wait(backup, 0, progress, 16) == 0) {
        put(db, writes++ % RECORDS, 2);
        CHECK(get_u32_little(progress) <= get_u32_little(progress + 8));
    }
    CHECK_EQ_INT(lsm_bulk_wait(backup, 0, progress, 16), 1);
    CHECK_EQ_UINT(get_u32_little(progress), get_u32_little(progress + 8));
    CHECK(get_u32_little(progress) > RECORDS * VALUE_SIZE);
    CHECK_EQ_INT(lsm_bulk_end(backup), 1);
    CHECK_EQ_INT(lsm_bulk_close(db, error, sizeof error), 0);

    db = open_at(path);
    CHECK_EQ_UINT(count(db), RECORDS);
    for (uint32_t i = 0; i < RECORDS; i += 100) {
        char key[16];
        snprintf(key, sizeof key, "k%06u", (unsigned)i);
        CHECK_EQ_INT(lsm_bulk_get(db, (const uint8_t *)key, 7, value, sizeof value), VALUE_SIZE);
        CHECK_EQ_UINT(value[0], 1);
    }
    CHECK_EQ_INT(lsm_bulk_close(db, error, sizeof error), 0);
}

TEST(a_backup_stopped_on_its_way_leaves_no_file) {
    const char *path = test_path("copy");
    uint32_t db = open_at(test_path("source"));
    uint8_t error[300];
    uint32_t backup;

    fill(db);
    backup = backup_to(db, path);
    CHECK(exists(path));
    CHECK_EQ_INT(lsm_bulk_run(backup), 0);
    CHECK_EQ_INT(lsm_bulk_end(backup), 1);
    CHECK(!exists(path));
    backup = backup_to(db, path);
    CHECK_EQ_INT(lsm_bulk_run(backup), 0);
    CHECK_EQ_INT(lsm_bulk_close(db, error, sizeof error), 0);
    CHECK_EQ_INT(lsm_bulk_wait(backup, 0, error, 16), LSM_BULK_CLOSED);
    CHECK(!exists(path));
}

TEST(a_verification_in_a_thread_sees_one_moment_while_others_write) {
    uint32_t db = open_at(test_path("source"));
    uint8_t progress[16], frame[300];
    uint32_t verify, writes = 0;

    fill(db);
    CHECK_EQ_INT(lsm_bulk_flush(db), 0);
    verify = lsm_bulk_verify(db);
    CHECK(verify != 0);
    CHECK_EQ_INT(lsm_bulk_run(verify), 0);
    while (lsm_bulk_wait(verify, 0, progress, 16) == 0) {
        if (writes == 0) {
            int32_t result = lsm_bulk_verify_report(verify, frame, sizeof frame);
            CHECK(result == LSM_BULK_MISUSE || result == 24); /* it may have finished meanwhile */
        }
        put(db, writes++ % RECORDS, 3);
    }
    CHECK_EQ_INT(lsm_bulk_wait(verify, 1000, progress, 16), 1);
    CHECK(get_u32_little(progress) > RECORDS * VALUE_SIZE);
    CHECK_EQ_UINT(get_u32_little(progress), get_u32_little(progress + 8));
    CHECK_EQ_INT(lsm_bulk_verify_report(verify, frame, sizeof frame), 24);
    CHECK_EQ_UINT(get_u32_little(frame), 0);
    CHECK_EQ_UINT(get_u32_little(frame + 4), RECORDS);
    CHECK_EQ_INT(lsm_bulk_end(verify), 1);
    CHECK_EQ_INT(lsm_bulk_close(db, frame, sizeof frame), 0);
}

TEST(a_verification_stopped_on_its_way_ends_soon) {
    uint32_t db = open_at(test_path("source"));
    uint8_t frame[300];

    fill(db);
    CHECK_EQ_INT(lsm_bulk_flush(db), 0);
    for (int i = 0; i < 20; i++) {
        uint32_t verify = lsm_bulk_verify(db);
        CHECK_EQ_INT(lsm_bulk_run(verify), 0);
        CHECK_EQ_INT(lsm_bulk_end(verify), 1);
    }
    (void)lsm_bulk_run(lsm_bulk_verify(db));
    CHECK_EQ_INT(lsm_bulk_run(db), LSM_BULK_CLOSED); /* not that kind of handle */
    CHECK_EQ_INT(lsm_bulk_close(db, frame, sizeof frame), 0);
    CHECK_EQ_UINT(lsm_bulk_verify(lsm_bulk_new()), 0); /* not open */
    lsm_bulk_shutdown();
}

TEST_MAIN()
