/*
** work_test.c — flush, merge, move and publish through the public interface: particular situations.
** Random histories are in tests/model/work_model_test.c.
*/
#include <unistd.h>

#include "lsm_bulk.h"
#include "support/history.h"

/* ---- a database with known options ------------------------------------------------------- */

struct options {
    int page_size, autoflush_kb, automerge, max_freelist, autowork, autocheckpoint_kb, mmap;
};
static const struct options standard = {512, 1048576, 4, 24, 0, 2048, 0};

static lsm_db *open_with(lsm_env *env, const char *path, struct options options) {
    int block_kb = 64, safety = LSM_SAFETY_OFF;
    lsm_db *db = NULL;

    CHECK_OK(lsm_new(env, &db));
    CHECK_OK(lsm_config(db, LSM_CONFIG_PAGE_SIZE, &options.page_size));
    CHECK_OK(lsm_config(db, LSM_CONFIG_BLOCK_SIZE, &block_kb));
    CHECK_OK(lsm_config(db, LSM_CONFIG_SAFETY, &safety));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOFLUSH, &options.autoflush_kb));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOMERGE, &options.automerge));
    CHECK_OK(lsm_config(db, LSM_CONFIG_MAX_FREELIST, &options.max_freelist));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOWORK, &options.autowork));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOCHECKPOINT, &options.autocheckpoint_kb));
    CHECK_OK(lsm_config(db, LSM_CONFIG_MMAP, &options.mmap));
    CHECK_OK(lsm_open(db, path));
    return db;
}

static void put(lsm_db *db, uint32_t i, uint32_t round, uint32_t size) {
    char key[16], value[5000];
    snprintf(key, sizeof key, "k%07u", i);
    memset(value, 'a' + (int)(round % 26), size);
    CHECK_OK(lsm_insert(db, key, 8, value, (int)size));
}

/* Keys from..to-1 with that round's value in one level of their own. */
static void put_level(lsm_db *db, uint32_t from, uint32_t to, uint32_t step, uint32_t round,
                      uint32_t size) {
    CHECK_OK(lsm_begin(db, 1));
    for (uint32_t i = from; i < to; i += step) put(db, i, round, size);
    CHECK_OK(lsm_commit(db, 0));
    CHECK_OK(lsm_flush(db));
}

static int work(lsm_db *db, int merge, int kb) {
    int written = 0;
    CHECK_OK(lsm_work(db, merge, kb, &written));
    return written;
}

static uint32_t count_entries(lsm_db *db) {
    lsm_cursor *cursor = NULL;
    uint32_t forward = 0, backward = 0;

    CHECK_OK(lsm_csr_open(db, &cursor));
    for (CHECK_OK(lsm_csr_first(cursor)); lsm_csr_valid(cursor); forward++) {
        CHECK_OK(lsm_csr_next(cursor));
    }
    for (CHECK_OK(lsm_csr_last(cursor)); lsm_csr_valid(cursor); backward++) {
        CHECK_OK(lsm_csr_prev(cursor));
    }
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_EQ_UINT(forward, backward);
    return forward;
}

static bool has(lsm_db *db, uint32_t i) {
    lsm_cursor *cursor = NULL;
    char key[16];
    bool found;

    snprintf(key, sizeof key, "k%07u", i);
    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_OK(lsm_csr_seek(cursor, key, 8, LSM_SEEK_EQ));
    found = lsm_csr_valid(cursor);
    CHECK_OK(lsm_csr_close(cursor));
    return found;
}

/* Levels, and runs in all, of {age {run} {run} ...} ... */
static void count_runs(lsm_db *db, uint32_t *levels, uint32_t *runs) {
    char *text = NULL;
    int depth = 0;
    uint32_t right = 0;

    *levels = *runs = 0;
    CHECK_OK(lsm_info(db, LSM_INFO_DB_STRUCTURE, &text));
    for (const char *at = text; at && *at; at++) {
        if (*at == '{') depth++;
        if (*at == '{' && depth == 1) {
            ++*levels;
            right = 0;
        }
        if (*at == '{' && depth == 2) right++;
        if (*at == '}' && depth-- == 1) *runs += right > 1 ? right - 1 : 1;
    }
    lsm_free(lsm_get_env(db), text);
}

static uint32_t levels_of(lsm_db *db) {
    uint32_t levels, runs;
    count_runs(db, &levels, &runs);
    return levels;
}

static uint32_t runs_of(lsm_db *db) {
    uint32_t levels, runs;
    count_runs(db, &levels, &runs);
    return runs;
}

static off_t file_size(const char *path) {
    struct stat status;
    CHECK_EQ_INT(stat(path, &status), 0);
    return status.st_size;
}

static void check_file(const char *path) {
    struct history none = {0};
    history_check_file(&none, path, false);
}

/* ---- merging ----------------------------------------------------------------------------- */

TEST(a_merge_in_slices_of_one_page_ends_and_keeps_everything) {
    lsm_db *db = open_with(NULL, test_path("a.lsm"), standard);
    uint32_t slices = 0;

    for (uint32_t i = 0; i < 4; i++) put_level(db, i, 800, 4, i, 20);
    CHECK_EQ_UINT(levels_of(db), 4);
    while (work(db, 2, 1) > 0) {
        slices++;
        CHECK_EQ_UINT(count_entries(db), 800);
        for (uint32_t i = 0; i < 800; i += 37) CHECK(has(db, i));
        CHECK_OK(lsm_checkpoint(db, NULL));
    }
    CHECK_EQ_UINT(levels_of(db), 1);
    CHECK(slices > 20);
    /* Each slice fills its two pages: about 12 records of 33 bytes on each. */
    CHECK_MSG(slices < 800 / 12, "%u slices", slices);
    check_file(test_path("a.lsm"));
    CHECK_OK(lsm_close(db));
}

TEST(merging_to_one_level_reports_zero_when_it_is_done) {
    lsm_db *db = open_with(NULL, test_path("a.lsm"), standard);

    for (uint32_t i = 0; i < 7; i++) put_level(db, 0, 300, 7 - i, i, 10);
    while (work(db, 1, 3) > 0) {
    }
    CHECK_EQ_UINT(levels_of(db), 1);
    CHECK_EQ_INT(work(db, 1, -1), 0);
    CHECK_EQ_INT(work(db, 2, -1), 0);
    CHECK_EQ_UINT(count_entries(db), 300);
    CHECK_OK(lsm_close(db));
}

TEST(merged_input_is_given_back_while_the_merge_goes_on) {
    struct options options = standard;
    lsm_db *db;
    off_t before;

    options.max_freelist = 24;
    db = open_with(NULL, test_path("a.lsm"), options);
    for (uint32_t i = 0; i < 2; i++) put_level(db, i, 20000, 2, i, 50); /* 650 KB each */
    CHECK_OK(lsm_checkpoint(db, NULL));
    before = file_size(test_path("a.lsm"));
    while (work(db, 2, 32) > 0) CHECK_OK(lsm_checkpoint(db, NULL));
    CHECK_EQ_UINT(count_entries(db), 20000);
    /* Without giving back the file would double. */
    CHECK_MSG(file_size(test_path("a.lsm")) < before + before / 3, "%ld after %ld",
              (long)file_size(test_path("a.lsm")), (long)before);
    CHECK_OK(lsm_close(db));
    check_file(test_path("a.lsm"));
}

TEST(deletes_vanish_when_nothing_is_below) {
    lsm_db *db = open_with(NULL, test_path("a.lsm"), standard);

    put_level(db, 0, 100, 1, 0, 10);
    CHECK_OK(lsm_delete_range(db, "k", 1, "l", 1));
    CHECK_OK(lsm_flush(db));
    CHECK_EQ_UINT(count_entries(db), 0);
    CHECK(work(db, 1, -1) > 0);
    CHECK_EQ_UINT(levels_of(db), 0);
    CHECK_OK(lsm_close(db));
}

/* Of ... {age {first last root size}} */
static lsm_i64 root_of_oldest(lsm_db *db) {
    lsm_i64 root = 0;
    char *text = NULL;

    CHECK_OK(lsm_info(db, LSM_INFO_DB_STRUCTURE, &text));
    CHECK(text != NULL);
    CHECK_EQ_INT(sscanf(strrchr(text, '{'), "{%*d %*d %lld", &root), 1);
    lsm_free(lsm_get_env(db), text);
    return root;
}

static void check_merged_run_of_few(int budget_kb) {
    lsm_db *db = open_with(NULL, test_path("a.lsm"), standard);

    CHECK_OK(lsm_config(db, LSM_BULK_CONFIG_MEMORY_BUDGET_KB, &budget_kb));
    for (uint32_t round = 0; round < 3; round++) put_level(db, 0, 120, 1, round, 30);
    CHECK(work(db, 3, -1) > 0);
    for (uint32_t round = 0; round < 3; round++) {
        CHECK_OK(lsm_begin(db, 1));
        for (uint32_t i = 0; i < 120; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%07u", i);
            if (i % 50 != 7) CHECK_OK(lsm_delete(db, key, 8));
        }
        CHECK_OK(lsm_commit(db, 0));
        CHECK_OK(lsm_flush(db));
    }
    CHECK(work(db, 3, -1) > 0);
    put_level(db, 500, 501, 1, 9, 5);
    CHECK_EQ_UINT(levels_of(db), 3);
    work(db, 2, -1);
    CHECK_EQ_UINT(levels_of(db), 2);
    CHECK(root_of_oldest(db) != 0); /* with an index, LSM1 does not follow them either */
    CHECK_EQ_UINT(count_entries(db), 4);
    for (uint32_t i = 7; i < 120; i += 50) CHECK(has(db, i));
    CHECK_OK(lsm_checkpoint(db, NULL));
    check_file(test_path("a.lsm"));
    CHECK_OK(lsm_close(db));
    CHECK_EQ_INT(unlink(test_path("a.lsm")), 0);
}

/* Two runs below a third are merged into one page: pointers from above lead to the old pages. With memory for fences
** nobody follows them. DF-45. */
TEST(a_merged_run_of_few_records_is_found_from_above) {
    check_merged_run_of_few(0);
    check_merged_run_of_few(1024);
}

static uint32_t count_forward(lsm_db *db) {
    lsm_cursor *cursor = NULL;
    uint32_t count = 0;

    CHECK_OK(lsm_csr_open(db, &cursor));
    for (CHECK_OK(lsm_csr_first(cursor)); lsm_csr_valid(cursor); count++) {
        CHECK_OK(lsm_csr_next(cursor));
    }
    CHECK_OK(lsm_csr_close(cursor));
    return count;
}

/* The index of the level below is one of the inputs, and mostly has the next key: on its lowest
** page, or, when that page begins, on one above. */
TEST(a_merge_along_an_index_stops_right_at_every_key_of_it) {
    struct options options = standard;
    uint32_t slices = 0;

    options.page_size = 256;
    for (uint32_t round = 0; round < 6; round++) {
        const char *path = test_path(round % 2 ? "odd.lsm" : "even.lsm");
        uint32_t entries;
        lsm_db *db;

        remove(path);
        db = open_with(NULL, path, options);
        for (uint32_t i = 0; i < 2; i++) put_level(db, 2 * i, 32000, 4, i, 12); /* even keys */
        work(db, 2, 1);
        /* Above an unfinished merge no index is taken over; when it is finished it has one. */
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t step = 40 + 2 * test_random_below(4);
            put_level(db, 1 + 2 * test_random_below(10), 32000, step, i, 5);
        }
        while (runs_of(db) == 4) work(db, 2, 1); /* the lower merge goes first */
        entries = count_forward(db);
        while (work(db, 2, 1) > 0) {
            slices++;
            CHECK_EQ_UINT(count_forward(db), entries);
        }
        CHECK_EQ_UINT(levels_of(db), 1);
        CHECK_EQ_UINT(count_entries(db), entries);
        CHECK_OK(lsm_checkpoint(db, NULL));
        check_file(path);
        CHECK_OK(lsm_close(db));
    }
    CHECK(slices > 60);
}

/* ---- limits and back-pressure ------------------------------------------------------------ */

/* Does the last record that the newest level's output holds so far only lead searches? */
static bool output_ends_in_separator(lsm_db *db) {
    lsm_i64 first = 0, pages[1000];
    char *text = NULL, *at;
    bool result = false;
    int count = 0;

    CHECK_OK(lsm_info(db, LSM_INFO_DB_STRUCTURE, &text));
    CHECK_EQ_INT(sscanf(text, "{%*d {%lld", &first), 1);
    lsm_free(lsm_get_env(db), text);
    if (first == 0) return false;
    CHECK_OK(lsm_info(db, LSM_INFO_ARRAY_PAGES, first, &text));
    for (at = text; *at && count < 1000; count++) pages[count] = strtoll(at, &at, 10);
    lsm_free(lsm_get_env(db), text);
    for (int records = 0; records == 0 && count > 0;) {
        unsigned flags;
        CHECK_OK(lsm_info(db, LSM_INFO_PAGE_ASCII_DUMP, pages[--count], &text));
        CHECK_EQ_INT(sscanf(strstr(text, "nRec"), "nRec : %d iPtr : %*d flags: %x", &records, &flags), 2);
        if (flags & 1) records = 0; /* a page of the index */
        at = strstr(text, "\n\n-----");
        CHECK(at != NULL);
        while (at[-1] != '\n') at--;
        result = records > 0 && at[1] == '^'; /* ".^.. 385 (usr) key" */
        lsm_free(lsm_get_env(db), text);
    }
    return result;
}

/* LSM1 misses what the inputs hold when the output ends in separators. DF-54. */
TEST(a_merge_is_not_interrupted_behind_a_separator) {
    lsm_db *db = open_with(NULL, test_path("a.lsm"), standard);
    int slices = 0;

    for (uint32_t round = 0; round < 2; round++) put_level(db, 0, 2000, 1, round, 30);
    work(db, 2, -1);
    CHECK(root_of_oldest(db) != 0);
    for (uint32_t round = 0; round < 2; round++) put_level(db, round, 2000, 17, round, 10);
    while (work(db, 2, 1) > 0) {
        CHECK_MSG(!output_ends_in_separator(db), "slice %d", slices);
        slices++;
    }
    CHECK(slices > 5);
    CHECK_OK(lsm_close(db));
}

/* DF-72 */
TEST(small_explicit_work_beside_automatic_work_stays_within_forty_runs) {
    struct options options = standard;
    lsm_db *db;

    options.autoflush_kb = 0;
    options.autowork = 1;
    options.automerge = 12; /* without the limit there would be 46 */
    db = open_with(NULL, test_path("a.lsm"), options);
    for (uint32_t i = 0; i < 3000; i++) {
        put(db, i * 7919 % 1000, i, 100);
        if (i % 9 == 0) work(db, 2, 1);
        if (i % 10 == 0) CHECK_MSG(runs_of(db) <= 40, "%u runs", runs_of(db));
    }
    CHECK_OK(lsm_close(db));
}

/* DF-53 */
TEST(a_flush_above_an_unfinished_merge_of_few_runs_returns) {
    struct options options = standard;
    lsm_db *db = open_with(NULL, test_path("a.lsm"), options);

    for (uint32_t round = 0; round < 2; round++) put_level(db, 0, 500, 1, round, 40);
    work(db, 2, 1);
    for (uint32_t round = 0; round < 12; round++) put_level(db, round, round + 1, 1, round, 40);
    CHECK_EQ_UINT(count_entries(db), 500);
    CHECK_OK(lsm_close(db));
}

/* DF-53 */
TEST(forty_levels_under_a_huge_automerge_do_not_stop_a_flush) {
    struct options options = standard;
    lsm_db *db;

    options.automerge = 60;
    db = open_with(NULL, test_path("a.lsm"), options);
    for (uint32_t i = 0; i < 90; i++) {
        put_level(db, i, i + 1, 1, i, 10);
        CHECK(runs_of(db) <= 40);
    }
    CHECK_EQ_UINT(count_entries(db), 90);
    CHECK_OK(lsm_close(db));
}

TEST(checkpoints_smaller_than_a_page_do_not_stop_the_work) {
    struct options options = standard;
    lsm_db *db;

    options.page_size = 16384;
    options.autocheckpoint_kb = 1;
    db = open_with(NULL, test_path("a.lsm"), options);
    for (uint32_t round = 0; round < 3; round++) put_level(db, 0, 2000, 1, round, 30);
    CHECK(work(db, 2, -1) > 0);
    CHECK_EQ_UINT(levels_of(db), 1);
    CHECK_OK(lsm_close(db));
}

/* ---- shrinking --------------------------------------------------------------------------- */

static void check_file_shrinks(struct options options) {
    const char *path = test_path("a.lsm");
    lsm_db *db = open_with(NULL, path, options);
    off_t before;

    put_level(db, 0, 12000, 1, 0, 100); /* 1.4 MB: 22 blocks */
    CHECK_OK(lsm_checkpoint(db, NULL));
    put_level(db, 0, 12000, 3, 1, 100);
    CHECK_OK(lsm_checkpoint(db, NULL));
    CHECK_OK(lsm_begin(db, 1));
    CHECK_OK(lsm_delete_range(db, "k0001000", 8, "k0011900", 8));
    CHECK_OK(lsm_commit(db, 0));
    CHECK_OK(lsm_flush(db));
    before = file_size(path);
    CHECK(work(db, 1, -1) > 0);
    while (work(db, 1, -1) > 0) {
    }
    CHECK_EQ_UINT(count_entries(db), 1101);
    CHECK_OK(lsm_checkpoint(db, NULL));
    check_file(path);
    CHECK_OK(lsm_close(db));
    check_file(path);
    CHECK_MSG(file_size(path) <= before / 4, "%ld of %ld", (long)file_size(path), (long)before);
    db = open_with(NULL, path, options);
    CHECK_EQ_UINT(count_entries(db), 1101);
    for (uint32_t i = 0; i <= 1000; i += 11) CHECK(has(db, i));
    put_level(db, 0, 50, 1, 4, 10); /* above moved blocks */
    CHECK(work(db, 1, -1) > 0);     /* and merging them */
    CHECK_EQ_UINT(count_entries(db), 1101);
    CHECK_OK(lsm_close(db));
    check_file(path);
}

TEST(merging_to_one_level_shortens_the_file) {
    check_file_shrinks(standard);
}

/* DF-56 */
TEST(a_free_list_only_level_does_not_keep_the_file_long) {
    struct options options = standard;
    options.max_freelist = 4;
    check_file_shrinks(options);
}

TEST(a_free_list_only_level_is_folded_when_its_content_fits) {
    struct options options = standard;
    const char *path = test_path("a.lsm");
    lsm_db *db;

    options.max_freelist = 2;
    db = open_with(NULL, path, options);
    for (uint32_t round = 0; round < 2; round++) put_level(db, 0, 4000, 1, round, 100);
    CHECK_OK(lsm_checkpoint(db, NULL));
    while (work(db, 1, -1) > 0) {
    }
    CHECK_EQ_UINT(levels_of(db), 2); /* eight blocks are free: more than two entries */
    CHECK_OK(lsm_close(db));
    options.max_freelist = 24;
    db = open_with(NULL, path, options);
    while (work(db, 1, -1) > 0) {
    }
    CHECK_EQ_UINT(levels_of(db), 1);
    CHECK_EQ_UINT(count_entries(db), 4000);
    CHECK_OK(lsm_close(db));
    check_file(path);
}

/* ---- failures ---------------------------------------------------------------------------- */

static int calls_until_failure; /* negative: never */
static lsm_env failing_env;

static void *failing_malloc(lsm_env *env, size_t size) {
    (void)env;
    if (calls_until_failure >= 0 && calls_until_failure-- == 0) return NULL;
    return lsm_default_env()->xMalloc(lsm_default_env(), size);
}

static void *failing_realloc(lsm_env *env, void *old, size_t size) {
    (void)env;
    if (calls_until_failure >= 0 && calls_until_failure-- == 0) return NULL;
    return lsm_default_env()->xRealloc(lsm_default_env(), old, size);
}

static int job_flush(lsm_db *db) {
    return lsm_flush(db);
}
static int job_merge(lsm_db *db) {
    return lsm_work(db, 2, -1, NULL);
}
static int job_slice(lsm_db *db) {
    return lsm_work(db, 2, 2, NULL);
}
static int job_one_level(lsm_db *db) {
    return lsm_work(db, 1, -1, NULL);
}
static int (*const failing_jobs[])(lsm_db *) = {job_flush, job_merge, job_slice, job_one_level};

TEST(a_failed_allocation_leaves_the_database_as_it_was) {
    struct options options = standard;
    const char *start = test_path("start.lsm"), *path = test_path("a.lsm");
    lsm_db *db;

    failing_env = *lsm_default_env();
    failing_env.xMalloc = failing_malloc;
    failing_env.xRealloc = failing_realloc;
    calls_until_failure = -1;
    options.max_freelist = 3;
    db = open_with(NULL, start, options);
    for (uint32_t round = 0; round < 3; round++) put_level(db, 0, 3000, 1, round, 40);
    work(db, 2, -1);
    CHECK_OK(lsm_checkpoint(db, NULL));
    for (uint32_t round = 0; round < 3; round++) put_level(db, round, 3000, 5, round, 40);
    work(db, 2, 4);
    CHECK_OK(lsm_close(db));

    for (size_t job = 0; job < sizeof failing_jobs / sizeof failing_jobs[0]; job++) {
        bool failed = true;
        for (int n = 0; failed; n = n < 60 ? n + 1 : n + n / 12) {
            int rc;
            TEST_NOTE("job %zu, allocation %d", job, n);
            history_copy(start, path);
            db = open_with(&failing_env, path, options);
            put(db, 5000, 1, 10);
            calls_until_failure = n;
            rc = failing_jobs[job](db);
            failed = calls_until_failure < 0;
            calls_until_failure = -1;
            CHECK_MSG(rc == LSM_OK || (failed && rc == LSM_NOMEM), "returned %d", rc);
            CHECK_EQ_UINT(count_entries(db), 3001);
            CHECK_OK(failing_jobs[job](db));
            CHECK_EQ_UINT(count_entries(db), 3001);
            CHECK_OK(lsm_close(db));
            if (n % 32 == 0) check_file(path);
        }
    }
}

/* Every write to the file in turn. */
static int writes_until_failure;
static int failing_write(lsm_file *file, lsm_i64 offset, void *data, int size) {
    if (writes_until_failure >= 0 && writes_until_failure-- == 0) return LSM_IOERR;
    return lsm_default_env()->xWrite(file, offset, data, size);
}

TEST(a_failed_write_leaves_the_database_as_it_was) {
    struct options options = standard;
    const char *path = test_path("a.lsm");
    lsm_db *db;

    failing_env = *lsm_default_env();
    failing_env.xWrite = failing_write;
    writes_until_failure = -1;
    db = open_with(&failing_env, path, options);
    for (uint32_t round = 0; round < 40; round++) {
        int rc;
        put_level(db, round % 3, 2000, 3, round, 60);
        writes_until_failure = (int)test_random_below(12);
        rc = lsm_work(db, round % 4 ? 2 : 1, round % 3 ? 5 : -1, NULL);
        CHECK_MSG(rc == LSM_OK || (rc == LSM_IOERR && writes_until_failure < 0), "returned %d", rc);
        writes_until_failure = -1;
        CHECK_EQ_UINT(count_entries(db), round == 0 ? 667 : round == 1 ? 1334 : 2000);
    }
    CHECK_OK(lsm_close(db));
    check_file(path);
}

TEST_MAIN()
