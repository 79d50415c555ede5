/*
** log_map_test.c — a log written through memory is the log that calls would have written, and outlives its process.
**
** Where the file system of the test's folder is none of those that log_map.c trusts, the log is written by calls, and
** these tests see that nothing changes.
*/
#include "support/test.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "db/db_internal.h"
#include "log/log_internal.h"
#include "os/os_internal.h"

#define MAPPED_FROM (64u << 10)

static bool mapping_works(void) {
    struct os_file file = {0};
    void *address = NULL;
    int rc;

    CHECK_OK(os_open(lsm_default_env(), test_path("probe"), 0, &file));
    rc = os_map_stored(&file, 4096, &address);
    if (rc == LSM_OK) CHECK_OK(os_unmap(&file, address, 4096));
    os_close(&file);
    return rc == LSM_OK;
}

static struct slice text(const char *of) {
    return (struct slice){(const uint8_t *)of, (uint32_t)strlen(of)};
}

/* One transaction of `count` records behind `state`. */
static void write_records(struct log_writer *writer, struct log_state *state, int first, int count, bool full) {
    char key[32], value[300];

    CHECK_OK(log_writer_begin(writer, state, &(struct log_reclaim){0}, full));
    for (int i = first; i < first + count; i++) {
        snprintf(key, sizeof key, "key%06d", i);
        memset(value, 'a' + i % 26, sizeof value - 1);
        value[sizeof value - 1] = 0;
        CHECK_OK(log_writer_insert(writer, text(key), text(value)));
    }
    CHECK_OK(log_writer_commit(writer, full, state));
}

static struct log_state fresh_state(void) {
    return (struct log_state){.sum0 = 1234, .sum1 = 5678};
}

static uint8_t *whole_file(const char *name, size_t *size) {
    FILE *file = fopen(test_path(name), "rb");
    uint8_t *data;

    CHECK(file != NULL);
    CHECK(fseek(file, 0, SEEK_END) == 0);
    *size = (size_t)ftell(file);
    rewind(file);
    data = malloc(*size + 1);
    CHECK(data != NULL);
    CHECK_EQ_UINT(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

TEST(the_bytes_are_those_that_calls_would_have_written_and_zeros_follow) {
    static const char *const names[] = {"called", "mapped"};
    struct log_state state[2];
    uint8_t *data[2];
    size_t size[2];

    for (int i = 0; i < 2; i++) {
        struct log_writer writer;
        char path[4096];
        snprintf(path, sizeof path, "%s", test_path(names[i]));
        log_writer_init(&writer, lsm_default_env(), path);
        writer.map.wanted = i == 1;
        state[i] = fresh_state();
        for (int txn = 0; txn < 600; txn++) write_records(&writer, &state[i], txn * 10, 1 + txn % 9, txn % 50 == 7);
        if (i == 1) CHECK(writer.map.size > 0 || !mapping_works());
        if (i == 0) CHECK(writer.map.size == 0);
        log_writer_release(&writer);
        data[i] = whole_file(names[i], &size[i]);
    }
    CHECK_EQ_BYTES((uint8_t *)&state[0], sizeof state[0], (uint8_t *)&state[1], sizeof state[1]);
    CHECK((uint64_t)state[0].regions[2].end > 2u << 18);
    CHECK_EQ_BYTES(data[1], (size_t)state[0].regions[2].end, data[0], (size_t)state[0].regions[2].end);
    for (size_t at = (size_t)state[1].regions[2].end; at < size[1]; at++) CHECK_EQ_INT(data[1][at], 0);
    free(data[0]);
    free(data[1]);
}

TEST(a_short_log_is_not_made_longer) {
    struct log_writer writer;
    struct log_state state = fresh_state();
    size_t size;

    log_writer_init(&writer, lsm_default_env(), test_path("short"));
    writer.map.wanted = true;
    write_records(&writer, &state, 0, 10, false);
    CHECK(writer.map.size == 0);
    log_writer_release(&writer);
    free(whole_file("short", &size));
    CHECK_EQ_UINT(size, (size_t)state.regions[2].end);
}

/* A store into a hole is a signal when the device is full. DF-51. */
TEST(the_space_of_a_mapped_log_is_allocated) {
    struct log_map map = {.wanted = true};
    struct os_file file = {0};
    struct stat status;

    if (!mapping_works()) return;
    CHECK_OK(os_open(lsm_default_env(), test_path("log"), 0, &file));
    CHECK_OK(os_write(&file, 500000, "x", 1)); /* with a hole in front */
    CHECK(log_map_store(&map, &file, 200000, "y", 1));
    CHECK_EQ_INT(stat(test_path("log"), &status), 0);
    CHECK((uint64_t)status.st_blocks * 512 >= map.size);
    log_map_release(&map, &file);
    os_close(&file);
}

TEST(what_others_wrote_behind_the_end_survives_the_mapping) {
    struct log_map map = {.wanted = true};
    struct os_file file = {0};
    uint8_t back[4];

    if (!mapping_works()) return;
    CHECK_OK(os_open(lsm_default_env(), test_path("log"), 0, &file));
    CHECK_OK(os_write(&file, 500000, "old!", 4)); /* with a hole in front */
    CHECK(log_map_store(&map, &file, 200000, "new!", 4));
    CHECK_OK(os_read(&file, 500000, back, 4));
    CHECK_EQ_BYTES(back, 4, "old!", 4);
    CHECK_OK(os_read(&file, 200000, back, 4));
    CHECK_EQ_BYTES(back, 4, "new!", 4);
    CHECK_OK(os_write(&file, 200002, "x", 1)); /* calls and stores see each other */
    CHECK_EQ_BYTES(map.address + 200000, 4, "nex!", 4);
    log_map_release(&map, &file);
    os_close(&file);
}

TEST(far_parts_of_a_log_and_long_writes_are_left_to_calls) {
    static const uint8_t long_piece[20000];
    struct log_map map = {.wanted = true};
    struct os_file file = {0};
    uint64_t size = 0;

    if (!mapping_works()) return;
    CHECK_OK(os_open(lsm_default_env(), test_path("log"), 0, &file));
    CHECK(!log_map_store(&map, &file, 100, "abcd", 4));
    CHECK(!log_map_store(&map, &file, UINT64_C(64) << 20, "abcd", 4));
    CHECK(!log_map_store(&map, &file, (UINT64_C(64) << 20) - 2, "abcd", 4));
    CHECK(!log_map_store(&map, &file, MAPPED_FROM, long_piece, sizeof long_piece));
    CHECK_EQ_INT(map.size, 0);
    CHECK(log_map_store(&map, &file, MAPPED_FROM, "abcd", 4));
    CHECK_EQ_INT(map.size, 1 << 20);
    CHECK(log_map_store(&map, &file, 100, "abcd", 4)); /* it is there now */
    map.wanted = false;
    CHECK(!log_map_store(&map, &file, 100, "abcd", 4));
    map.wanted = true;
    CHECK(log_map_store(&map, &file, (1 << 20) - 2, "abcd", 4));
    CHECK_EQ_INT(map.size, 2 << 20);
    CHECK_OK(os_file_size(&file, &size));
    CHECK_EQ_UINT(size, 2u << 20);
    CHECK(log_map_store(&map, &file, (UINT64_C(64) << 20) - 4, "abcd", 4)); /* the very last place */
    CHECK_EQ_INT(map.size, 64 << 20);
    CHECK(!log_map_store(&map, &file, (UINT64_C(64) << 20) - 3, "abcd", 4));
    log_map_release(&map, &file);
    os_close(&file);
}

static int refuse_write(lsm_file *file, lsm_i64 offset, void *data, int size) {
    (void)file, (void)offset, (void)data, (void)size;
    return LSM_FULL;
}

TEST(a_program_that_replaced_the_write_callback_sees_every_write) {
    lsm_env env = *lsm_default_env();
    struct log_map map = {.wanted = true};
    struct os_file file = {0};

    env.xWrite = refuse_write;
    CHECK_OK(os_extra_register(&env, os_extra_of(lsm_default_env())));
    CHECK_OK(os_open(&env, test_path("log"), 0, &file));
    CHECK(!log_map_store(&map, &file, 1 << 17, "abcd", 4));
    CHECK(map.refused);
    os_close(&file);
    CHECK_OK(os_extra_register(&env, NULL));
}

/* ------------------------------------------------------------------------ the whole engine -- */

/* Put records, one a transaction, and die by a signal at the last. */
static void put_and_die(const char *path, int count, int autocheckpoint_kb) {
    lsm_db *db = NULL;
    int one = 1;
    char key[32], value[120];

    if (lsm_new(NULL, &db) != LSM_OK) _exit(1);
    if (lsm_config(db, LSM_CONFIG_MMAP, &one) != LSM_OK) _exit(1);
    if (lsm_config(db, LSM_CONFIG_AUTOCHECKPOINT, &autocheckpoint_kb) != LSM_OK) _exit(1);
    if (lsm_open(db, path) != LSM_OK) _exit(1);
    memset(value, 'v', sizeof value);
    for (int i = 0; i < count; i++) {
        int size = snprintf(key, sizeof key, "k%07d", i);
        memcpy(value, key, (size_t)size);
        if (lsm_insert(db, key, size, value, (int)sizeof value) != LSM_OK) _exit(1);
    }
    if (db->log.map.size == 0 && count > 2000) _exit(2);
    kill(getpid(), SIGKILL);
    _exit(1);
}

static void check_all(const char *path, int count) {
    lsm_db *db = NULL;
    lsm_cursor *cursor = NULL;
    int found = 0;
    char expected[32];

    CHECK_OK(lsm_new(NULL, &db));
    CHECK_OK(lsm_open(db, path));
    CHECK_OK(lsm_csr_open(db, &cursor));
    for (CHECK_OK(lsm_csr_first(cursor)); lsm_csr_valid(cursor); CHECK_OK(lsm_csr_next(cursor))) {
        const void *key, *value;
        int key_size, value_size;
        snprintf(expected, sizeof expected, "k%07d", found++);
        CHECK_OK(lsm_csr_key(cursor, &key, &key_size));
        CHECK_OK(lsm_csr_value(cursor, &value, &value_size));
        CHECK_EQ_BYTES(key, (size_t)key_size, expected, 8);
        CHECK_EQ_INT(value_size, 120);
        CHECK_EQ_BYTES(value, 8, expected, 8);
    }
    CHECK_EQ_INT(found, count);
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_OK(lsm_close(db));
}

TEST(every_acknowledged_put_survives_the_death_of_the_process) {
    static const int counts[] = {1, 300, 5000, 30000};
    static const int checkpoints[] = {2048, 2048, 0, 256}; /* none at all: the log does not go in a circle */

    if (!mapping_works()) return;
    for (int i = 0; i < 4; i++) {
        char name[32], path[4096];
        int status = 0;
        pid_t child;
        snprintf(name, sizeof name, "killed%d.db", i);
        snprintf(path, sizeof path, "%s", test_path(name));
        child = fork();
        CHECK(child >= 0);
        if (child == 0) put_and_die(path, counts[i], checkpoints[i]);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK_MSG(WIFSIGNALED(status), "the child ended with %d", WEXITSTATUS(status));
        check_all(path, counts[i]);
    }
}

TEST_MAIN()
