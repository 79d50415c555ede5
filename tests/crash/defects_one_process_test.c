/*
** defects_one_process_test.c — further defects of LSM1 that one process can show: locks held by others are
** taken in the test's own name, and the disk is the simulated one or a real file with a limit.
**
** docs/defects.md says which test belongs to which defect.
*/
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "db/db_internal.h"
#include "format/format_page.h"
#include "format/format_record.h"
#include "support/api_helpers.h"
#include "support/crash_disk.h"
#include "support/toy_codecs.h"

#define PATH "/disk/defects.lsm"
#define LOG_PATH PATH "-log"

static lsm_db *open_on(struct crash_disk *disk, bool logging) {
    lsm_db *db = NULL;

    CHECK_OK(lsm_new(crash_disk_env(disk), &db));
    lsm_config_log(db, NULL, NULL);
    set(db, LSM_CONFIG_SAFETY, LSM_SAFETY_FULL);
    set(db, LSM_CONFIG_AUTOCHECKPOINT, 0);
    set(db, LSM_CONFIG_PAGE_SIZE, 512);
    set(db, LSM_CONFIG_USE_LOG, logging);
    CHECK_OK(lsm_open(db, PATH));
    return db;
}

static void put_many(lsm_db *db, int from, int to) {
    for (int i = from; i < to; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%05d", i);
        CHECK_OK(put(db, key, "some value that fills a page before long"));
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

/* ---- flush ------------------------------------------------------------------------------------ */

TEST(DF_1_a_flush_that_finds_the_worker_lock_taken_is_busy_and_loses_nothing) {
    lsm_db *db = open_database();
    struct shm_locks other = {0};

    CHECK_OK(put(db, "a", "1"));
    shm_attach(db->shm, &other);
    CHECK_OK(shm_lock(db->shm, &other, LOCK_WORKER, LSM_LOCK_EXCL));
    CHECK_RC(lsm_flush(db), LSM_BUSY);
    CHECK_EQ_STR(get(db, "a"), "1");
    shm_detach(db->shm, &other);
    CHECK_OK(lsm_close(db));
    db = open_database();
    CHECK_EQ_STR(get(db, "a"), "1");
    CHECK_OK(lsm_close(db));
}

/* With `old`, the first key waits in a frozen tree, the others are in the live one. */
static void flush_with_failing_writes(bool old) {
    for (uint64_t n = 1;; n++) {
        struct crash_disk *disk = crash_disk_new();
        lsm_db *db = open_on(disk, true);
        int rc;

        TEST_NOTE("write %d fails, old tree %d", (int)n, old);
        if (old) {
            set(db, LSM_CONFIG_AUTOWORK, 0);
            set(db, LSM_CONFIG_AUTOFLUSH, 0);
        }
        put_many(db, 0, 40);
        crash_disk_fail_at(disk, CRASH_CALL_WRITE, n, LSM_IOERR, false);
        rc = lsm_flush(db);
        if (crash_disk_failures(disk) > 0) CHECK_RC(rc, LSM_IOERR);
        else CHECK_OK(rc);
        CHECK_EQ_INT(count_keys(db), 40);
        crash_disk_fail_at(disk, CRASH_CALL_WRITE, 0, 0, false);
        CHECK_OK(lsm_close(db));
        db = open_on(disk, true);
        CHECK_EQ_INT(count_keys(db), 40);
        CHECK_OK(lsm_close(db));
        crash_disk_free(disk);
        if (rc == LSM_OK) break;
        CHECK(n < 100);
    }
}

TEST(DF_1_a_flush_whose_page_write_fails_says_so_and_loses_nothing) {
    flush_with_failing_writes(false);
    flush_with_failing_writes(true);
}

TEST(DF_2_a_flush_beside_a_writer_is_busy_and_leaves_header_and_writer_flag_alone) {
    lsm_db *db = open_database();
    lsm_db *other = open_database();
    struct shm_header before;

    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(lsm_begin(db, 1));
    CHECK_OK(put(db, "b", "2"));
    CHECK_EQ_UINT(db->shm->header->writer_flag, 1);
    memcpy(&before, db->shm->header, sizeof before);
    CHECK_RC(lsm_flush(other), LSM_BUSY);
    CHECK_EQ_UINT(db->shm->header->writer_flag, 1);
    CHECK_EQ_BYTES(db->shm->header, sizeof before, &before, sizeof before);
    CHECK_OK(lsm_commit(db, 0));
    CHECK_EQ_STR(keys(other), "a b");
    CHECK_OK(lsm_close(other));
    CHECK_OK(lsm_close(db));
}

/* ---- what others leave in the region -------------------------------------------------------------- */

TEST(DF_32_a_writer_mends_a_damaged_copy_of_the_header) {
    lsm_db *db = open_database();
    struct shm_header *header = db->shm->header;

    CHECK_OK(put(db, "a", "1"));
    for (int copy = 1; copy <= 2; copy++) {
        (copy == 1 ? &header->tree1 : &header->tree2)->live.root ^= 4;
        CHECK_EQ_STR(get(db, "a"), "1");
        CHECK_OK(put(db, "a", "1"));
        CHECK_EQ_BYTES(&header->tree1, sizeof header->tree1, &header->tree2, sizeof header->tree2);
    }
    CHECK_OK(lsm_close(db));
}

TEST(DF_26_the_next_writer_repairs_what_a_dead_one_has_left) {
    lsm_db *dead = open_database(), *db = open_database();
    const char *reason = NULL;

    put_many(db, 0, 200);
    CHECK_OK(lsm_begin(dead, 1));
    CHECK_OK(put(dead, "k00050+", "never committed"));
    put_many(dead, 100, 1500);
    /* Its locks go, its mark stays. */
    shm_unlock(dead->shm, &dead->locks, LOCK_WRITER);
    CHECK_EQ_UINT(db->shm->header->writer_flag, 1);
    CHECK_OK(put(db, "k00150+", "committed"));
    CHECK_EQ_UINT(db->shm->header->writer_flag, 0);
    CHECK_EQ_STR(get(db, "k00050+"), "-");
    CHECK_EQ_INT(count_keys(db), 201);
    CHECK_MSG(memtree_check(db->shm, &db->header, &reason), "%s", reason);
    dead->level_count = 0; /* buried */
    CHECK_OK(lsm_close(dead));
    CHECK_OK(lsm_close(db));
    db = open_database();
    CHECK_EQ_INT(count_keys(db), 201);
    CHECK_OK(lsm_close(db));
}

/* ---- log and close ---------------------------------------------------------------------------- */

/* The log without the zeros written ahead. */
static size_t copy_log(struct crash_disk *disk, uint8_t *out, size_t room) {
    size_t size = 0;
    const uint8_t *log = crash_disk_content(disk, LOG_PATH, &size);

    CHECK(log != NULL);
    while (size > 0 && log[size - 1] == 0) size--;
    CHECK(size > 0 && size <= room);
    memcpy(out, log, size);
    return size;
}

/* The same calls after a close, and behind their log the rest of the log of before. */
TEST(DF_18_what_is_left_of_an_old_log_never_continues_a_new_one) {
    struct crash_disk *disk = crash_disk_new();
    lsm_db *db = open_on(disk, true);
    uint8_t old[8192], mixed[8192];
    size_t old_size, size;

    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(put(db, "b", "2"));
    CHECK_OK(put(db, "left over", "3"));
    old_size = copy_log(disk, old, sizeof old);
    CHECK_OK(lsm_delete(db, "left over", 9));
    CHECK_OK(lsm_close(db));

    db = open_on(disk, true);
    CHECK_OK(put(db, "a", "1"));
    CHECK_OK(put(db, "b", "2"));
    size = copy_log(disk, mixed, sizeof mixed);
    CHECK(size < old_size);
    for (size_t cut = size; cut <= old_size; cut++) {
        struct crash_disk *survivor = crash_disk_power_cut(disk, CRASH_KEEP_ALL, 1);
        lsm_db *again;

        memset(mixed + size, 0, sizeof mixed - size);
        memcpy(mixed + cut, old + cut, old_size - cut);
        crash_disk_put(survivor, LOG_PATH, mixed, old_size);
        again = open_on(survivor, true);
        CHECK_EQ_STR(keys(again), "a b");
        CHECK_OK(lsm_close(again));
        crash_disk_free(survivor);
    }
    CHECK_OK(lsm_close(db));
    crash_disk_free(disk);
}

TEST(DF_20_a_new_file_beside_the_log_of_a_database_never_checkpointed_has_its_content) {
    struct crash_disk *disk = crash_disk_new(), *survivor;
    lsm_db *db = open_on(disk, true), *again;

    CHECK_OK(put(db, "a", "1"));
    survivor = crash_disk_power_cut(disk, CRASH_KEEP_ALL, 1);
    crash_disk_remove(survivor, PATH);
    again = open_on(survivor, true);
    CHECK_EQ_STR(get(again, "a"), "1");
    CHECK_OK(lsm_close(again));
    crash_disk_free(survivor);
    CHECK_OK(lsm_close(db));
    crash_disk_free(disk);
}

/* Close with its n-th lock call busy, 0 = none; how many there were. */
static uint64_t locks_of_a_close(uint64_t n) {
    struct crash_disk *disk = crash_disk_new();
    lsm_db *db = open_on(disk, false);
    uint64_t calls = crash_disk_calls(disk, CRASH_CALL_LOCK);

    CHECK_OK(put(db, "a", "1"));
    crash_disk_fail_at(disk, CRASH_CALL_LOCK, n, LSM_BUSY, false);
    CHECK_OK(lsm_close(db));
    calls = crash_disk_calls(disk, CRASH_CALL_LOCK) - calls;
    crash_disk_fail_at(disk, CRASH_CALL_LOCK, 0, 0, false);
    db = open_on(disk, false);
    CHECK_EQ_STR(get(db, "a"), "1");
    CHECK_OK(lsm_close(db));
    crash_disk_free(disk);
    return calls;
}

TEST(DF_33_a_last_close_waits_for_a_lock_that_is_busy_for_a_moment) {
    uint64_t calls = locks_of_a_close(0);

    CHECK_EQ_UINT(locks_of_a_close(1), calls + 1); /* it tries again */
    for (uint64_t n = 2; n <= calls; n++) {
        TEST_NOTE("lock call %d of the close is busy", (int)n);
        CHECK(locks_of_a_close(n) >= calls);
    }
}

/* What another process sees of the locks on the file. */
static bool locked_for_others(const char *path, int lock_no) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 4096 - lock_no, .l_len = 1};
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        int file = open(path, O_RDWR);
        if (file < 0 || fcntl(file, F_GETLK, &lock) != 0) _exit(2);
        _exit(lock.l_type == F_UNLCK ? 0 : 1);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    CHECK(WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status) == 1;
}

TEST(DF_28_the_owner_of_a_database_is_seen_by_other_processes) {
    lsm_db *db = open_database();

    CHECK(locked_for_others(test_path("a.lsm"), LOCK_DMS2));
    CHECK(locked_for_others(test_path("a.lsm"), LOCK_RWCLIENT0));
    CHECK_OK(lsm_close(db));
    CHECK(!locked_for_others(test_path("a.lsm"), LOCK_DMS2));
    CHECK(!locked_for_others(test_path("a.lsm"), LOCK_RWCLIENT0));
}

/* ---- the file --------------------------------------------------------------------------------- */

static uint8_t *read_file(const char *path, size_t *size) {
    FILE *in = fopen(path, "rb");
    uint8_t *bytes;

    CHECK(in != NULL);
    *size = (size_t)size_of_file(path);
    bytes = malloc(*size + 1);
    CHECK(bytes != NULL && fread(bytes, 1, *size, in) == *size);
    fclose(in);
    return bytes;
}

/* How many records of all pages of a file with pages of 4096 bytes have the type bit 0x40. */
static int records_with_bit_40(const uint8_t *bytes, size_t size, int *records) {
    struct error_context error = {0};
    int found = 0;

    *records = 0;
    for (size_t at = 8192; at + 4096 <= size; at += 4096) {
        bool first = at == 8192 || at % 65536 == 0, last = (at + 4096) % 65536 == 0;
        const uint8_t *usable = bytes + at + (first ? 4 : 0);
        uint32_t usable_size = 4096 - (first ? 4 : 0) - (last ? 4 : 0), offset;
        struct page_footer footer;

        if (format_page_footer(usable, usable_size, at / 4096 + 1, &error, &footer) != LSM_OK) continue;
        if (footer.flags & PAGE_FLAG_INDEX) continue;
        for (uint32_t cell = 0; cell < footer.cell_count; cell++) {
            CHECK_OK(format_page_cell(usable, usable_size, &footer, cell, at / 4096 + 1, &error, &offset));
            found += (usable[offset] & 0x40) != 0;
            ++*records;
        }
    }
    return found;
}

/* Entries in memory carry the bit for "in one piece"; range deletes copy entries with their flags. */
TEST(DF_47_no_record_in_the_file_has_the_bit_of_entries_in_memory) {
    lsm_db *db = open_database();
    uint8_t *bytes;
    size_t size;
    int records;

    for (int round = 0; round < 3; round++) {
        put_many(db, round * 10, 300);
        CHECK_OK(lsm_delete_range(db, "k00040", 6, "k00050", 6));
        CHECK_OK(lsm_delete_range(db, "k0006", 5, "k00065", 6));
        CHECK_OK(lsm_delete(db, "k00100", 6));
        CHECK_OK(lsm_flush(db));
        if (round == 1) CHECK_OK(lsm_work(db, 2, 4, NULL));
    }
    CHECK_OK(lsm_close(db));
    bytes = read_file(test_path("a.lsm"), &size);
    CHECK_EQ_INT(records_with_bit_40(bytes, size, &records), 0);
    CHECK(records > 600);
    free(bytes);
}

TEST(DF_48_meta_pages_are_zero_behind_the_checkpoint) {
    lsm_db *db = open_database();
    uint8_t *bytes;
    size_t size;

    set(db, LSM_CONFIG_AUTOWORK, 0);
    for (int i = 0; i < 20; i++) { /* long checkpoints first, short ones over them */
        CHECK_OK(put(db, "a", "1"));
        CHECK_OK(lsm_flush(db));
        CHECK_OK(lsm_checkpoint(db, NULL));
    }
    CHECK_OK(lsm_work(db, 1, -1, NULL));
    CHECK_OK(lsm_checkpoint(db, NULL));
    CHECK_OK(put(db, "b", "1"));
    CHECK_OK(lsm_close(db));
    bytes = read_file(test_path("a.lsm"), &size);
    for (int page = 0; page < 2; page++) {
        const uint8_t *meta = bytes + page * 4096;
        uint32_t words = get_u32(meta + 8);
        CHECK(words > 25 && words < 200);
        for (uint32_t i = 4 * words; i < 4096; i++) CHECK_EQ_INT(meta[i], 0);
    }
    free(bytes);
}

/* The system refuses to let the file grow while it is mapped. */
TEST(DF_51_a_mapped_file_that_cannot_grow_is_an_error_and_no_signal) {
    struct rlimit before, limit;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    lsm_db *db = open_database();
    int rc;

    set(db, LSM_CONFIG_AUTOWORK, 0);
    put_many(db, 0, 500);
    CHECK_OK(lsm_flush(db));
    CHECK_EQ_INT(count_keys(db), 500); /* through the mapping */
    CHECK_OK(getrlimit(RLIMIT_FSIZE, &before));
    limit = before;
    limit.rlim_cur = (rlim_t)size_of_file(test_path("a.lsm"));
    put_many(db, 500, 3000);
    CHECK_OK(setrlimit(RLIMIT_FSIZE, &limit));
    rc = lsm_flush(db);
    CHECK_OK(setrlimit(RLIMIT_FSIZE, &before));
    signal(SIGXFSZ, handler);
    CHECK_MSG(rc == LSM_FULL || rc == LSM_IOERR, "the flush returned %d", rc);
    CHECK_EQ_INT(count_keys(db), 3000);
    CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_close(db));
    db = open_database();
    CHECK_EQ_INT(count_keys(db), 3000);
    CHECK_OK(lsm_close(db));
}

TEST(DF_51_a_meta_page_torn_at_any_byte_leaves_the_other) {
    struct crash_disk *disk = crash_disk_new();
    lsm_db *db = open_on(disk, true);
    uint8_t older[4096], newer[4096], torn[4096];
    const uint8_t *bytes;
    size_t size, at;

    for (int i = 0; i < 3; i++) {
        char key[2] = {(char)('a' + i), 0};
        CHECK_OK(put(db, key, "1"));
        CHECK_OK(lsm_flush(db));
        CHECK_OK(lsm_checkpoint(db, NULL));
        bytes = crash_disk_content(disk, PATH, &size);
        at = get_u64(bytes + 4096) > get_u64(bytes) ? 4096 : 0;
        if (i == 0) memcpy(older, bytes + at, sizeof older); /* overwritten by the third */
    }
    memcpy(newer, bytes + at, sizeof newer);
    for (size_t kept = 0; kept < 400; kept++) {
        struct crash_disk *survivor = crash_disk_power_cut(disk, CRASH_KEEP_ALL, 1);
        lsm_db *again;

        memcpy(torn, older, sizeof torn);
        memcpy(torn, newer, kept);
        crash_disk_damage(survivor, PATH, at, torn, sizeof torn);
        again = open_on(survivor, true);
        CHECK_EQ_STR(keys(again), "a b c"); /* the last from the log */
        CHECK_OK(lsm_close(again));
        crash_disk_free(survivor);
    }
    CHECK_OK(lsm_close(db));
    crash_disk_free(disk);
}

/* ---- work and questions ------------------------------------------------------------------------ */

/* Pages written until nothing is left to merge, in calls of so many kilobytes. */
static int pages_of_merging(int kilobytes) {
    lsm_db *db = new_connection();
    int before, after, done;

    set(db, LSM_CONFIG_AUTOWORK, 0);
    set(db, LSM_CONFIG_PAGE_SIZE, 1024);
    CHECK_OK(lsm_open(db, test_path("amplified.lsm")));
    for (int run = 0; run < 4; run++) {
        put_many(db, 0, 500);
        CHECK_OK(lsm_flush(db));
    }
    CHECK_OK(lsm_info(db, LSM_INFO_NWRITE, &before));
    do {
        CHECK_OK(lsm_work(db, 2, kilobytes, &done));
    } while (done > 0);
    CHECK_OK(lsm_info(db, LSM_INFO_NWRITE, &after));
    CHECK_EQ_INT(count_keys(db), 500);
    CHECK_OK(lsm_close(db));
    unlink(test_path("amplified.lsm"));
    return after - before;
}

TEST(DF_55_a_merge_in_calls_of_one_page_writes_a_bounded_multiple) {
    int at_once = pages_of_merging(-1);
    int in_pages = pages_of_merging(1);

    CHECK_MSG(in_pages <= 5 * at_once, "%d pages instead of %d", in_pages, at_once);
}

TEST(DF_66_a_question_that_finds_other_functions_needed_holds_no_lock_afterwards) {
    lsm_db *plain = new_connection(), *packed = new_connection();
    lsm_compress codec = rle_codec;
    char *text = NULL;

    CHECK_OK(lsm_config(packed, LSM_CONFIG_SET_COMPRESSION, &codec));
    CHECK_OK(lsm_open(packed, test_path("packed.lsm")));
    put_many(packed, 0, 200);
    CHECK_OK(lsm_flush(packed));
    CHECK_OK(lsm_open(plain, test_path("packed.lsm")));
    for (int verb = LSM_INFO_DB_STRUCTURE; verb <= LSM_INFO_FREELIST; verb++) {
        if (verb == LSM_INFO_DB_STRUCTURE || verb == LSM_INFO_FREELIST) {
            CHECK_RC(lsm_info(plain, verb, &text), LSM_MISMATCH);
        }
    }
    put_many(packed, 0, 200);
    CHECK_OK(lsm_flush(packed));
    CHECK_OK(lsm_work(packed, 2, -1, NULL));
    CHECK_OK(lsm_checkpoint(packed, NULL));
    CHECK_OK(lsm_close(plain));
    CHECK_OK(lsm_close(packed));
}

TEST(DF_67_the_compression_id_told_is_the_newest) {
    lsm_db *plain = new_connection(), *packed = new_connection();
    lsm_compress codec = rle_codec;
    unsigned id = 99;

    CHECK_OK(lsm_config(packed, LSM_CONFIG_SET_COMPRESSION, &codec));
    CHECK_OK(lsm_open(plain, test_path("packed.lsm")));
    CHECK_OK(lsm_open(packed, test_path("packed.lsm")));
    CHECK_EQ_STR(get(plain, "k00000"), "-"); /* a read transaction in a file without an id */
    put_many(packed, 0, 20);
    CHECK_OK(lsm_flush(packed));
    CHECK_OK(lsm_info(plain, LSM_INFO_COMPRESSION_ID, &id));
    CHECK_EQ_UINT(id, codec.iId);
    CHECK_OK(lsm_close(plain));
    CHECK_OK(lsm_close(packed));
}

/* Images of exactly a page, so that a sanitizer sees every byte behind them. */
TEST(DF_70_dumps_of_pages_with_block_links_read_nothing_behind_them) {
    lsm_db *db = new_connection();
    int dumped = 0;

    set(db, LSM_CONFIG_MMAP, 0);
    set(db, LSM_CONFIG_PAGE_SIZE, 1024);
    set(db, LSM_CONFIG_BLOCK_SIZE, 64);
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    put_many(db, 0, 3000);
    CHECK_OK(lsm_flush(db));
    for (lsm_i64 page = 9; page <= 130; page++) {
        for (int verb = LSM_INFO_PAGE_ASCII_DUMP; verb <= LSM_INFO_PAGE_HEX_DUMP; verb++) {
            char *text = NULL;
            if (lsm_info(db, verb, page, &text) != LSM_OK) continue;
            CHECK(strlen(text) > 10);
            lsm_free(lsm_get_env(db), text);
            dumped++;
        }
    }
    CHECK(dumped > 200); /* both ends of a block among them */
    CHECK_OK(lsm_close(db));
}

TEST_MAIN()
