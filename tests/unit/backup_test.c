/*
** backup_test.c — a copy of a live database is complete and compact, of one version, or it is not
** there at all.
*/
#include <fcntl.h>
#include <sys/wait.h>

#include "base/bytes.h"
#include "db/db.h"
#include "lsm_bulk.h"
#include "support/history.h"
#include "support/memory_env.h"
#include "support/toy_codecs.h"

static lsm_db *new_db(lsm_env *env) {
    lsm_db *db = NULL;
    CHECK_OK(lsm_new(env, &db));
    lsm_config_log(db, NULL, NULL);
    return db;
}

static void insert(lsm_db *db, uint32_t from, uint32_t to, const char *value, int size) {
    char key[16];
    CHECK_OK(lsm_begin(db, 1));
    for (uint32_t i = from; i < to; i++) {
        snprintf(key, sizeof key, "k%06u", i);
        CHECK_OK(lsm_insert(db, key, 7, value, size));
    }
    CHECK_OK(lsm_commit(db, 0));
}

/* Keys from..to-1 are there, all with this value, and no others. */
static void check_content(lsm_db *db, uint32_t from, uint32_t to, const char *value,
                          int value_size) {
    lsm_cursor *cursor = NULL;
    const void *bytes = NULL;
    char key[16];
    int size = 0;

    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_OK(lsm_csr_first(cursor));
    for (uint32_t i = from; i < to; i++) {
        CHECK(lsm_csr_valid(cursor));
        snprintf(key, sizeof key, "k%06u", i);
        CHECK_OK(lsm_csr_key(cursor, &bytes, &size));
        CHECK_EQ_BYTES(bytes, size, key, 7);
        CHECK_OK(lsm_csr_value(cursor, &bytes, &size));
        CHECK_EQ_BYTES(bytes, size, value, value_size);
        CHECK_OK(lsm_csr_next(cursor));
    }
    CHECK(!lsm_csr_valid(cursor));
    CHECK_OK(lsm_csr_close(cursor));
}

static void note_problem(void *context, uint64_t page_no, const char *text) {
    (void)context;
    TEST_FAIL("page %" PRIu64 ": %s", page_no, text);
}

static void check_sound(lsm_db *db, uint32_t segments) {
    struct verify_report report = {NULL, note_problem, NULL};
    struct verify_totals totals;
    CHECK_OK(db_verify(db, &report, &totals));
    CHECK_EQ_UINT(totals.segment_count, segments);
}

static lsm_db *open_copy(lsm_env *env, const char *path, const lsm_compress *codec) {
    lsm_db *db = new_db(env);
    if (codec) CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, codec));
    CHECK_OK(lsm_open(db, path));
    return db;
}

static bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

/* To the end, `kb` at a time. Returns the number of steps. */
static uint32_t run_backup(struct db_backup *backup, uint32_t kb) {
    uint64_t done = 0, total = 0, before = 0;
    bool finished = false;
    uint32_t steps = 0;

    while (!finished) {
        CHECK_OK(db_backup_step(backup, kb, &done, &total, &finished));
        CHECK(done >= before && done <= total);
        before = done;
        steps++;
    }
    CHECK_EQ_UINT(done, total);
    CHECK_OK(db_backup_step(backup, kb, &done, &total, &finished)); /* again: nothing */
    CHECK(finished);
    CHECK_EQ_UINT(done, before);
    return steps;
}

static void copy(lsm_db *db, const char *path) {
    struct db_backup *backup = NULL;
    CHECK_OK(db_backup_new(db, path, false, &backup));
    (void)run_backup(backup, 64);
    db_backup_free(backup);
}

/* ---- copies ------------------------------------------------------------------------------- */

TEST(a_copy_holds_what_is_in_the_file_and_in_memory) {
    const char *path = test_path("copy");
    lsm_db *db = new_db(NULL), *made;
    struct db_backup *backup = NULL;

    CHECK_OK(lsm_open(db, test_path("source")));
    insert(db, 0, 20000, "in the file", 11);
    CHECK_OK(lsm_flush(db));
    insert(db, 5000, 6000, "in the file", 11);
    CHECK_OK(lsm_delete_range(db, "k019000", 7, "z", 1));
    CHECK_OK(lsm_delete(db, "k019000", 7));
    insert(db, 19000, 21000, "in the file", 11);
    CHECK_OK(db_backup_new(db, path, false, &backup));
    CHECK(run_backup(backup, 16) > 10);
    db_backup_free(backup);
    CHECK(!exists(test_path("copy-log")));
    made = open_copy(NULL, path, NULL);
    check_content(made, 0, 21000, "in the file", 11);
    check_sound(made, 1);
    insert(made, 0, 21000, "and on", 6); /* it is a database like any other */
    CHECK_OK(lsm_close(made));
    made = open_copy(NULL, path, NULL);
    check_content(made, 0, 21000, "and on", 6);
    CHECK_OK(lsm_close(made));
    check_content(db, 0, 21000, "in the file", 11);
    CHECK_OK(lsm_close(db));
}

TEST(the_version_copied_is_that_of_the_beginning_whatever_is_written_meanwhile) {
    const char *path = test_path("copy");
    lsm_db *db = new_db(NULL), *made;
    struct db_backup *backup = NULL;
    uint64_t done, total;
    bool finished = false;
    char value[200];

    memset(value, 'v', sizeof value);
    CHECK_OK(lsm_open(db, test_path("source")));
    insert(db, 0, 5000, value, 200);
    CHECK_OK(lsm_begin(db, 1));
    CHECK_OK(lsm_insert(db, "uncommitted", 11, "x", 1));
    CHECK_OK(db_backup_new(db, path, false, &backup));
    CHECK_OK(lsm_commit(db, 0));
    for (uint32_t round = 0; !finished; round++) {
        CHECK_OK(db_backup_step(backup, 8, &done, &total, &finished));
        insert(db, 0, 5000, "another", 7);
        CHECK_OK(lsm_delete_range(db, "k002000", 7, "k003000", 7));
        if (round % 8 == 0) {
            CHECK_OK(lsm_flush(db));
            CHECK_OK(lsm_work(db, 1, -1, NULL));
            CHECK_OK(lsm_checkpoint(db, NULL));
        }
    }
    db_backup_free(backup);
    made = open_copy(NULL, path, NULL);
    check_content(made, 0, 5000, value, 200);
    CHECK_OK(lsm_close(made));
    CHECK_OK(lsm_close(db));
}

TEST(a_copy_has_the_sizes_of_the_source_and_is_compact) {
    static const int pages[] = {256, 1024, 4096, 65536};
    for (size_t i = 0; i < 4; i++) {
        const char *path = test_path(i % 2 ? "copy1" : "copy2");
        lsm_db *db = new_db(NULL), *made;
        int page = pages[i], block = 64, value = -1;
        char *structure = NULL, *freelist = NULL;
        struct stat copied;

        remove(test_path("source"));
        remove(path);
        CHECK_OK(lsm_config(db, LSM_CONFIG_PAGE_SIZE, &page));
        CHECK_OK(lsm_config(db, LSM_CONFIG_BLOCK_SIZE, &block));
        CHECK_OK(lsm_open(db, test_path("source")));
        for (int round = 0; round < 5; round++) insert(db, 0, 3000, "value of a record", 17);
        copy(db, path);
        CHECK_OK(lsm_close(db));
        made = open_copy(NULL, path, NULL);
        CHECK_OK(lsm_config(made, LSM_CONFIG_PAGE_SIZE, &value));
        CHECK_EQ_INT(value, page);
        CHECK_OK(lsm_info(made, LSM_INFO_DB_STRUCTURE, &structure));
        CHECK(structure != NULL);
        CHECK_OK(lsm_info(made, LSM_INFO_FREELIST, &freelist));
        CHECK_EQ_INT(stat(path, &copied), 0);
        CHECK_MSG(copied.st_size < 3000 * 40 + 3 * 65536 + 262144 * (page == 65536), "%ld bytes",
                  (long)copied.st_size);
        lsm_free(lsm_get_env(made), structure);
        lsm_free(lsm_get_env(made), freelist);
        check_content(made, 0, 3000, "value of a record", 17);
        check_sound(made, 1);
        CHECK_OK(lsm_close(made));
    }
}

TEST(an_empty_database_makes_an_empty_copy) {
    lsm_db *db = new_db(NULL), *made;
    CHECK_OK(lsm_open(db, test_path("source")));
    copy(db, test_path("copy"));
    CHECK(exists(test_path("copy")));
    made = open_copy(NULL, test_path("copy"), NULL);
    check_content(made, 0, 0, "", 0);
    CHECK_OK(lsm_close(made));
    CHECK_OK(lsm_close(db));
}

TEST(copies_of_random_histories_agree_with_a_sorted_map) {
    for (int packed = 0; packed < 2; packed++) {
        history_codec = packed ? &copy_codec : NULL;
        history_codec_name = "copy";
        for (uint32_t i = 0; i < 4; i++) {
            struct history h;
            uint64_t seed = test_state.seed + i;
            TEST_NOTE("LSM_HISTORY=%" PRIu64 " packed %d", seed, packed);
            remove(test_path("history.lsm"));
            history_begin(&h, seed);
            for (int round = 0; round < 4; round++) {
                const char *path = test_path("copy");
                lsm_db *made;
                for (int step = 0; step < 20; step++) history_step(&h);
                remove(path);
                copy(h.db, path);
                made = history_open(&h, path);
                history_check_db(&h, made);
                CHECK_OK(lsm_close(made));
                if (round == 3) history_check_file(&h, path, true);
            }
            CHECK_OK(lsm_close(h.db));
            history_free(&h);
        }
    }
    history_codec = NULL;
}

TEST(a_read_only_source_can_be_copied) {
    lsm_db *db = new_db(NULL), *made;
    int read_only = 1;
    CHECK_OK(lsm_open(db, test_path("source")));
    insert(db, 0, 2000, "value", 5);
    CHECK_OK(lsm_close(db));
    db = new_db(NULL);
    CHECK_OK(lsm_config(db, LSM_CONFIG_READONLY, &read_only));
    CHECK_OK(lsm_open(db, test_path("source")));
    copy(db, test_path("copy"));
    CHECK_OK(lsm_close(db));
    made = open_copy(NULL, test_path("copy"), NULL);
    check_content(made, 0, 2000, "value", 5);
    CHECK_OK(lsm_close(made));
}

/* ---- files that are there already --------------------------------------------------------- */

static void make_file(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    fputs(text, file);
    fclose(file);
}

TEST(an_existing_file_is_refused_and_untouched_unless_it_may_be_overwritten) {
    const char *path = test_path("copy"), *log = test_path("copy-log");
    lsm_db *db = new_db(NULL), *made;
    struct db_backup *backup = NULL;
    struct stat info;

    CHECK_OK(lsm_open(db, test_path("source")));
    insert(db, 0, 1000, "value", 5);
    make_file(path, "precious");
    CHECK_RC(db_backup_new(db, path, false, &backup), LSM_ERROR);
    CHECK_EQ_STR(db_error(db)->reason, "the file exists");
    CHECK_EQ_INT(stat(path, &info), 0);
    CHECK_EQ_INT(info.st_size, 8);
    remove(path);
    make_file(log, "a log that waits for its file");
    CHECK_RC(db_backup_new(db, path, false, &backup), LSM_ERROR);
    CHECK(!exists(path));
    make_file(path, "precious");
    CHECK_OK(db_backup_new(db, path, true, &backup));
    (void)run_backup(backup, 1000);
    db_backup_free(backup);
    CHECK(!exists(log));
    made = open_copy(NULL, path, NULL);
    check_content(made, 0, 1000, "value", 5);
    CHECK_OK(lsm_close(made));
    CHECK_OK(db_backup_new(db, path, true, &backup)); /* over a copy of before */
    (void)run_backup(backup, 1000);
    db_backup_free(backup);
    made = open_copy(NULL, path, NULL);
    check_content(made, 0, 1000, "value", 5);
    CHECK_OK(lsm_close(made));
    CHECK_OK(lsm_close(db));
}

TEST(a_file_that_is_open_is_never_overwritten) {
    const char *path = test_path("copy"), *source = test_path("source");
    const char *link_path = test_path("link");
    lsm_db *db = new_db(NULL), *other = new_db(NULL);
    struct db_backup *backup = NULL;

    CHECK_OK(lsm_open(db, source));
    insert(db, 0, 1000, "value", 5);
    CHECK_OK(lsm_open(other, path));
    insert(other, 0, 10, "other", 5);
    CHECK_RC(db_backup_new(db, path, true, &backup), LSM_BUSY);
    CHECK_RC(db_backup_new(db, source, true, &backup), LSM_MISUSE);
    CHECK_EQ_INT(link(source, link_path), 0);
    CHECK_RC(db_backup_new(db, link_path, true, &backup), LSM_MISUSE);
    check_content(other, 0, 10, "other", 5);
    insert(other, 10, 20, "other", 5);
    CHECK_OK(lsm_close(other));
    insert(db, 1000, 1100, "value", 5);
    CHECK_OK(lsm_close(db));
    other = open_copy(NULL, path, NULL);
    check_content(other, 0, 20, "other", 5);
    CHECK_OK(lsm_close(other));
    db = open_copy(NULL, source, NULL);
    check_content(db, 0, 1100, "value", 5);
    CHECK_OK(lsm_close(db));
}

/* Does this process hold lock 2 of the file? Asked in a child: one's own locks are in nobody's way. */
static bool is_locked(const char *path) {
    int status = 0;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 4096 - 2, .l_len = 1};
        int fd = open(path, O_RDWR);
        _exit(fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? 0 : 1);
    }
    CHECK_EQ_INT(waitpid(child, &status, 0), child);
    return status == 0;
}

TEST(a_database_that_has_the_name_of_the_targets_log_is_never_overwritten) {
    lsm_db *db = new_db(NULL), *other = new_db(NULL);
    struct db_backup *backup = NULL;

    CHECK_OK(lsm_open(db, test_path("x-log")));
    insert(db, 0, 10, "value", 5);
    CHECK_OK(lsm_open(other, test_path("other")));
    for (int overwrite = 0; overwrite < 2; overwrite++) {
        CHECK_RC(db_backup_new(db, test_path("x"), overwrite, &backup), LSM_MISUSE);
        CHECK_RC(db_backup_new(other, test_path("x"), overwrite, &backup), LSM_BUSY);
        CHECK(backup == NULL);
        CHECK(!exists(test_path("x")));
        CHECK(is_locked(test_path("x-log")));
    }
    insert(db, 10, 20, "value", 5);
    CHECK_OK(lsm_close(db));
    CHECK_OK(lsm_close(other));
    db = open_copy(NULL, test_path("x-log"), NULL);
    check_content(db, 0, 20, "value", 5);
    CHECK_OK(lsm_close(db));
}

TEST(the_log_of_the_source_is_no_target) {
    lsm_db *db = new_db(NULL);
    struct db_backup *backup = NULL;

    CHECK_OK(lsm_open(db, test_path("source")));
    CHECK_RC(db_backup_new(db, test_path("source-log"), false, &backup), LSM_MISUSE); /* not there yet */
    insert(db, 0, 10, "value", 5);
    CHECK_EQ_INT(link(test_path("source-log"), test_path("link")), 0);
    for (int overwrite = 0; overwrite < 2; overwrite++) {
        CHECK_RC(db_backup_new(db, test_path("source-log"), overwrite, &backup), LSM_MISUSE);
        CHECK_RC(db_backup_new(db, test_path("link"), overwrite, &backup), LSM_MISUSE);
    }
    CHECK(exists(test_path("source-log")));
    insert(db, 10, 20, "value", 5);
    check_content(db, 0, 20, "value", 5);
    CHECK_OK(lsm_close(db));
}

TEST(a_target_that_cannot_be_is_an_error) {
    lsm_db *db = new_db(NULL);
    struct db_backup *backup = NULL;
    CHECK_RC(db_backup_new(db, test_path("copy"), false, &backup), LSM_MISUSE);
    CHECK_OK(lsm_open(db, test_path("source")));
    CHECK_RC(db_backup_new(db, test_path("no/such/folder"), false, &backup), LSM_IOERR_NOENT);
    CHECK(backup == NULL);
    CHECK_OK(lsm_close(db));
}

/* ---- copies that are not completed -------------------------------------------------------- */

TEST(a_copy_ended_early_is_deleted) {
    const char *path = test_path("copy");
    lsm_db *db = new_db(NULL);
    struct db_backup *backup = NULL;
    uint64_t done, total;
    bool finished = false;

    CHECK_OK(lsm_open(db, test_path("source")));
    insert(db, 0, 20000, "value", 5);
    for (int steps = 0; steps < 3; steps++) {
        CHECK_OK(db_backup_new(db, path, false, &backup));
        CHECK(exists(path));
        for (int i = 0; i < steps; i++) {
            CHECK_OK(db_backup_step(backup, 10, &done, &total, &finished));
        }
        CHECK(!finished);
        db_backup_free(backup);
        CHECK(!exists(path));
        CHECK(!exists(test_path("copy-log")));
    }
    CHECK_OK(lsm_close(db));
}

TEST(an_incomplete_copy_is_no_database) {
    const char *path = test_path("copy"), *left = test_path("left");
    lsm_db *db = new_db(NULL), *other = new_db(NULL);
    struct db_backup *backup = NULL;
    uint64_t done, total;
    bool finished;

    CHECK_OK(lsm_open(db, test_path("source")));
    insert(db, 0, 20000, "value", 5);
    CHECK_OK(db_backup_new(db, path, false, &backup));
    for (int i = 0; i < 3; i++) {
        history_copy(path, left); /* as after a crash */
        CHECK_RC(lsm_open(other, left), LSM_CORRUPT);
        CHECK(db_open_found_foreign_file(other));
        CHECK_OK(db_backup_step(backup, 100, &done, &total, &finished));
    }
    db_backup_free(backup);
    CHECK_OK(lsm_close(other));
    CHECK_OK(lsm_close(db));
}

TEST(every_failed_call_deletes_the_target_and_leaves_nothing_behind) {
    static const enum memory_call kinds[] = {MEMORY_MALLOC, MEMORY_WRITE, MEMORY_SYNC, MEMORY_OPEN,
                                             MEMORY_READ, MEMORY_SYNC_DIRECTORY};
    static const int codes[] = {LSM_NOMEM, LSM_FULL, LSM_IOERR, LSM_IOERR, LSM_IOERR, LSM_IOERR};

    for (size_t kind = 0; kind < 6; kind++) {
        struct memory_env m;
        lsm_db *db;
        bool finished = false;

        memory_env_open(&m);
        db = new_db(&m.env);
        CHECK_OK(lsm_open(db, "source"));
        insert(db, 0, 3000, "a value of some length", 22);
        CHECK_OK(lsm_flush(db));
        insert(db, 2000, 4000, "a value of some length", 22);
        for (long n = 1; !finished; n++) {
            struct db_backup *backup = NULL;
            uint64_t done, total;
            int rc;
            TEST_NOTE("kind %zu call %ld", kind, n);
            memory_env_fail(&m, kinds[kind], n, codes[kind]);
            rc = db_backup_new(db, "copy", false, &backup);
            if (rc == LSM_OK) {
                while (rc == LSM_OK && !finished) {
                    rc = db_backup_step(backup, 40, &done, &total, &finished);
                }
                if (rc != LSM_OK) {
                    CHECK_RC(db_backup_step(backup, 40, &done, &total, &finished), rc);
                }
            }
            CHECK_MSG(rc == LSM_OK || rc == codes[kind], "returned %d", rc);
            if (m.fail_kind >= 0) CHECK(rc == LSM_OK); /* it was never reached */
            memory_env_no_failure(&m);
            db_backup_free(backup);
            CHECK_EQ_INT(memory_env_find(&m, "copy") != NULL, finished);
            if (rc == LSM_OK && memory_env_find(&m, "copy")) {
                lsm_db *made = open_copy(&m.env, "copy", NULL);
                check_content(made, 0, 4000, "a value of some length", 22);
                CHECK_OK(lsm_close(made));
            }
            check_content(db, 0, 4000, "a value of some length", 22);
        }
        CHECK_OK(lsm_close(db));
        memory_env_close(&m);
    }
}

/* ---- behind a handle ---------------------------------------------------------------------- */

static uint32_t bulk_open(const char *path) {
    uint32_t db = lsm_bulk_new();
    CHECK_EQ_INT(lsm_bulk_open(db, (const uint8_t *)path, (uint32_t)strlen(path)), 0);
    return db;
}

static uint32_t bulk_backup(uint32_t db, const char *path, uint32_t flags) {
    return lsm_bulk_backup(db, (const uint8_t *)path, (uint32_t)strlen(path), flags);
}

static uint32_t bulk_code(uint32_t handle) {
    uint8_t frame[300];
    CHECK(lsm_bulk_error(handle, frame, sizeof frame) >= 32);
    return get_u32_little(frame);
}

TEST(a_backup_handle_runs_to_the_end) {
    const char *path = test_path("copy");
    uint32_t db = bulk_open(test_path("source")), backup;
    uint8_t progress[16], value[100] = {0};
    int32_t result;
    lsm_db *made;

    for (uint32_t i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%06u", i);
        CHECK_EQ_INT(lsm_bulk_put(db, (const uint8_t *)key, 7, value, sizeof value), 0);
    }
    backup = bulk_backup(db, path, 0);
    CHECK(backup != 0);
    CHECK_EQ_INT(lsm_bulk_backup_step(backup, 10, progress, 15), LSM_BULK_MISUSE);
    CHECK_EQ_INT(lsm_bulk_backup_step(db, 10, progress, 16), LSM_BULK_CLOSED);
    while ((result = lsm_bulk_backup_step(backup, 100, progress, 16)) == 0) {
        CHECK(get_u32_little(progress) <= get_u32_little(progress + 8));
    }
    CHECK_EQ_INT(result, 1);
    CHECK_EQ_UINT(get_u32_little(progress), get_u32_little(progress + 8));
    CHECK_EQ_INT(lsm_bulk_end(backup), 1);
    CHECK_EQ_INT(lsm_bulk_end(backup), 0);
    CHECK_EQ_UINT(bulk_backup(db, path, 0), 0);
    CHECK_EQ_UINT(bulk_code(db), LSM_BULK_EXISTS);
    CHECK_EQ_UINT(bulk_backup(db, path, 2), 0);
    CHECK_EQ_UINT(bulk_code(db), LSM_MISUSE);
    backup = bulk_backup(db, path, LSM_BULK_OVERWRITE);
    CHECK(backup != 0);
    CHECK_EQ_INT(lsm_bulk_backup_step(backup, 0xffffffffu, progress, 16), 1);
    CHECK_EQ_INT(lsm_bulk_close(db, NULL, 0), 0); /* ends the backup, too */
    CHECK_EQ_INT(lsm_bulk_backup_step(backup, 1, progress, 16), LSM_BULK_CLOSED);
    made = open_copy(NULL, path, NULL);
    check_content(made, 0, 5000, (const char *)value, sizeof value);
    CHECK_OK(lsm_close(made));
}

TEST(a_backup_handle_that_ends_early_deletes_the_target) {
    const char *path = test_path("copy");
    uint32_t db = bulk_open(test_path("source")), backup;
    uint8_t progress[16];

    for (uint32_t i = 0; i < 500; i++) {
        CHECK_EQ_INT(lsm_bulk_put(db, (const uint8_t *)&i, 4, progress, 16), 0);
    }
    backup = bulk_backup(db, path, 0);
    CHECK_EQ_INT(lsm_bulk_backup_step(backup, 0, progress, 16), 0);
    CHECK(exists(path));
    CHECK_EQ_INT(lsm_bulk_end(backup), 1);
    CHECK(!exists(path));
    backup = bulk_backup(db, path, 0);
    CHECK_EQ_INT(lsm_bulk_backup_step(backup, 1, progress, 16), 0);
    CHECK_EQ_INT(lsm_bulk_close(db, NULL, 0), 0);
    CHECK(!exists(path));
}

TEST(a_backup_onto_a_directory_or_an_open_file_tells_so) {
    uint32_t db = bulk_open(test_path("source")), other;
    char folder[300];

    snprintf(folder, sizeof folder, "%s", test_path("source"));
    *strrchr(folder, '/') = 0;
    CHECK_EQ_UINT(bulk_backup(db, folder, LSM_BULK_OVERWRITE), 0);
    CHECK_EQ_UINT(bulk_code(db), LSM_BULK_ISDIR);
    CHECK_EQ_UINT(bulk_backup(db, test_path("source"), LSM_BULK_OVERWRITE), 0);
    CHECK_EQ_UINT(bulk_code(db), LSM_MISUSE); /* at once: nobody could wait for that */
    other = bulk_open(test_path("other"));
    CHECK_EQ_INT(lsm_bulk_config(db, LSM_BULK_CONFIG_BUSY_TIMEOUT, 0), 0);
    CHECK_EQ_UINT(bulk_backup(db, test_path("other"), LSM_BULK_OVERWRITE), 0);
    CHECK_EQ_UINT(bulk_code(db), LSM_BUSY);
    CHECK_EQ_INT(lsm_bulk_close(other, NULL, 0), 0);
    CHECK_EQ_UINT(bulk_backup(db, "", 0), 0);
    CHECK_EQ_UINT(bulk_code(db), LSM_MISUSE);
    CHECK_EQ_UINT(lsm_bulk_backup(12345, (const uint8_t *)"x", 1, 0), 0);
    CHECK_EQ_INT(lsm_bulk_close(db, NULL, 0), 0);
}

TEST_MAIN()
