/*
** crash_disk_test.c — the simulated disk itself: what survives a power cut, dying, failing.
*/
#include "support/crash_disk.h"
#include "support/test.h"

#include "base/memory.h"
#include "os/os.h"

static struct os_file open_file(struct crash_disk *disk, const char *path) {
    struct os_file file = {0};
    CHECK_OK(os_open(crash_disk_env(disk), path, 0, &file));
    return file;
}

/* A disk with one durable file of `size` bytes of `byte`. */
static struct crash_disk *disk_with(const char *path, size_t size, int byte) {
    struct crash_disk *disk = crash_disk_new();
    uint8_t *data = malloc(size + 1);
    CHECK(data != NULL);
    memset(data, byte, size);
    crash_disk_put(disk, path, data, size);
    free(data);
    return disk;
}

static void check_content(struct crash_disk *disk, const char *path, const void *data,
                          size_t size) {
    size_t found_size = 0;
    const uint8_t *found = crash_disk_content(disk, path, &found_size);
    CHECK_MSG(found != NULL, "%s is missing", path);
    CHECK_EQ_BYTES(found, found_size, data, size);
}

static bool exists(struct crash_disk *disk, const char *path) {
    size_t size;
    return crash_disk_content(disk, path, &size) != NULL;
}

/* What is left of `disk` under `policy` has this content. */
static void check_survivor(struct crash_disk *disk, enum crash_policy policy, const char *path,
                           const void *data, size_t size) {
    struct crash_disk *after = crash_disk_power_cut(disk, policy, 1);
    check_content(after, path, data, size);
    crash_disk_free(after);
}

/* ------------------------------------------------------------------------- as an environment -- */

TEST(the_disk_reads_what_was_written) {
    struct crash_disk *disk = crash_disk_new();
    struct os_file file = open_file(disk, "/a");
    uint8_t back[8];
    uint64_t size = 0;

    CHECK_OK(os_write(&file, 2, "abc", 3));
    memset(back, 0xff, sizeof back);
    CHECK_OK(os_read(&file, 0, back, 8));
    CHECK_EQ_BYTES(back, 8, "\0\0abc\0\0\0", 8);
    CHECK_OK(os_truncate(&file, 100));
    CHECK_OK(os_file_size(&file, &size));
    CHECK_EQ_UINT(size, 5);
    CHECK_OK(os_truncate(&file, 3));
    CHECK_OK(os_write(&file, 4, "z", 1));
    check_content(disk, "/a", "\0\0a\0z", 5);
    CHECK_OK(os_reserve(&file, 7));
    CHECK_OK(os_reserve(&file, 1));
    check_content(disk, "/a", "\0\0a\0z\0\0", 7);
    os_close(&file);
    crash_disk_free(disk);
}

TEST(the_disk_has_names) {
    struct crash_disk *disk = crash_disk_new();
    lsm_env *env = crash_disk_env(disk);
    struct os_file file = {0};
    char *path = NULL;
    int kind = -1;

    CHECK_RC(os_open(env, "/a", LSM_OPEN_READONLY, &file), LSM_IOERR_NOENT);
    CHECK_OK(os_path_kind(env, "/a", &kind));
    CHECK_EQ_INT(kind, OS_PATH_NONE);
    file = open_file(disk, "/a");
    CHECK_OK(os_path_kind(env, "/a", &kind));
    CHECK_EQ_INT(kind, OS_PATH_FILE);
    CHECK_OK(os_full_path(env, "a", &path));
    CHECK_EQ_STR(path, "/a");
    memory_free(env, path);
    CHECK_OK(os_unlink(env, "/a"));
    CHECK_RC(os_unlink(env, "/a"), LSM_IOERR_NOENT);
    CHECK_OK(os_write(&file, 0, "still open", 10));
    os_close(&file);
    CHECK(!exists(disk, "/a"));
    CHECK_EQ_UINT(crash_disk_open_files(disk), 0);
    CHECK_EQ_UINT(crash_disk_live_blocks(disk), 0);
    crash_disk_free(disk);
}

TEST(the_disk_cannot_map_but_locks_and_has_random_bytes) {
    struct crash_disk *disk = crash_disk_new();
    struct os_file file = open_file(disk, "/a");
    uint8_t a[16] = {0}, b[16] = {0};

    CHECK(!os_can_map(&file));
    CHECK_OK(os_lock(&file, 4, LSM_LOCK_EXCL));
    CHECK_OK(os_test_lock(&file, 1, 16, LSM_LOCK_EXCL));
    CHECK_OK(os_lock(&file, 4, LSM_LOCK_UNLOCK));
    CHECK_EQ_UINT(crash_disk_calls(disk, CRASH_CALL_LOCK), 2);
    CHECK(os_random(crash_disk_env(disk), a, sizeof a));
    CHECK(os_random(crash_disk_env(disk), b, sizeof b));
    CHECK(memcmp(a, b, sizeof a) != 0);
    crash_disk_set_sector_size(disk, 4096);
    CHECK_EQ_UINT(os_sector_size(&file), 4096);
    os_close(&file);
    crash_disk_free(disk);
}

TEST(two_disks_have_nothing_in_common) {
    struct crash_disk *one = disk_with("/a", 3, 'x');
    struct crash_disk *two = crash_disk_new();

    CHECK(!exists(two, "/a"));
    crash_disk_free(one);
    crash_disk_free(two);
}

/* -------------------------------------------------------------------------------- durability -- */

TEST(unsynced_writes_can_be_lost_and_synced_ones_cannot) {
    struct crash_disk *disk = disk_with("/a", 4, '.');
    struct os_file file = open_file(disk, "/a");

    CHECK_OK(os_write(&file, 0, "1", 1));
    check_survivor(disk, CRASH_LOSE_ALL, "/a", "....", 4);
    check_survivor(disk, CRASH_KEEP_ALL, "/a", "1...", 4);
    CHECK_OK(os_sync(&file));
    CHECK_OK(os_write(&file, 6, "2", 1));
    check_survivor(disk, CRASH_LOSE_ALL, "/a", "1...", 4);
    check_survivor(disk, CRASH_KEEP_ALL, "/a",
                   "1...\0\0"
                   "2",
                   7);
    CHECK_OK(os_sync(&file));
    check_survivor(disk, CRASH_LOSE_ALL, "/a",
                   "1...\0\0"
                   "2",
                   7);
    CHECK_OK(os_truncate(&file, 2));
    check_survivor(disk, CRASH_LOSE_ALL, "/a",
                   "1...\0\0"
                   "2",
                   7);
    CHECK_OK(os_write(&file, 3, "3", 1));
    CHECK_OK(os_sync(&file));
    check_survivor(disk, CRASH_LOSE_ALL, "/a",
                   "1.\0"
                   "3",
                   4);
    os_close(&file);
    crash_disk_free(disk);
}

TEST(syncing_one_file_leaves_the_others) {
    struct crash_disk *disk = disk_with("/a", 1, '.');
    struct os_file a = open_file(disk, "/a"), b;

    crash_disk_put(disk, "/b", ".", 1);
    b = open_file(disk, "/b");
    CHECK_OK(os_write(&a, 0, "A", 1));
    CHECK_OK(os_write(&b, 0, "B", 1));
    CHECK_OK(os_sync(&b));
    check_survivor(disk, CRASH_LOSE_ALL, "/a", ".", 1);
    check_survivor(disk, CRASH_LOSE_ALL, "/b", "B", 1);
    os_close(&a);
    os_close(&b);
    crash_disk_free(disk);
}

TEST(a_new_file_needs_a_directory_sync) {
    struct crash_disk *disk = crash_disk_new();
    struct os_file file = open_file(disk, "/d/a");
    struct crash_disk *after;

    CHECK_OK(os_write(&file, 0, "x", 1));
    CHECK_OK(os_sync(&file));
    CHECK_OK(os_sync_directory(crash_disk_env(disk), "/other/a"));
    after = crash_disk_power_cut(disk, CRASH_LOSE_ALL, 0);
    CHECK(!exists(after, "/d/a")); /* synced, and gone all the same */
    crash_disk_free(after);
    check_survivor(disk, CRASH_KEEP_ALL, "/d/a", "x", 1);
    CHECK_OK(os_sync_directory(crash_disk_env(disk), "/d/b"));
    check_survivor(disk, CRASH_LOSE_ALL, "/d/a", "x", 1);
    os_close(&file);
    crash_disk_free(disk);
}

TEST(a_deleted_file_can_come_back) {
    struct crash_disk *disk = disk_with("/a", 2, 'o');
    struct crash_disk *after;
    struct os_file file;

    CHECK_OK(os_unlink(crash_disk_env(disk), "/a"));
    check_survivor(disk, CRASH_LOSE_ALL, "/a", "oo", 2);
    file = open_file(disk, "/a"); /* another file of that name */
    CHECK_OK(os_write(&file, 0, "n", 1));
    check_survivor(disk, CRASH_LOSE_ALL, "/a", "oo", 2);
    check_survivor(disk, CRASH_KEEP_ALL, "/a", "n", 1);
    CHECK_OK(os_unlink(crash_disk_env(disk), "/a"));
    CHECK_OK(os_sync_directory(crash_disk_env(disk), "/a"));
    after = crash_disk_power_cut(disk, CRASH_LOSE_ALL, 0);
    CHECK(!exists(after, "/a"));
    crash_disk_free(after);
    os_close(&file);
    crash_disk_free(disk);
}

/* --------------------------------------------------------------------------- random survival -- */

TEST(random_survival_reaches_every_combination_of_sectors) {
    struct crash_disk *disk = disk_with("/a", 1536, 'o');
    struct os_file file = open_file(disk, "/a");
    uint8_t data[1536];
    bool seen[8] = {0};
    bool torn = false;
    uint64_t seed;
    int i;

    memset(data, 'n', sizeof data);
    CHECK_OK(os_write(&file, 0, data, sizeof data));
    for (seed = 0; seed < 500; seed++) {
        struct crash_disk *after = crash_disk_power_cut(disk, CRASH_RANDOM, seed);
        size_t size = 0;
        const uint8_t *found = crash_disk_content(after, "/a", &size);
        int mask = 0;
        CHECK(found != NULL);
        CHECK_EQ_UINT(size, 1536);
        for (i = 0; i < 3; i++) {
            const uint8_t *sector = found + 512 * i;
            for (int j = 0; j < 512; j++) {
                CHECK(sector[j] == 'o' || sector[j] == 'n');
                if (sector[j] != sector[0]) torn = true;
            }
            if (sector[0] == 'n') mask |= 1 << i;
        }
        seen[mask] = true;
        crash_disk_free(after);
    }
    for (i = 0; i < 8; i++) CHECK_MSG(seen[i], "combination %d never came", i);
    CHECK(torn);
    os_close(&file);
    crash_disk_free(disk);
}

TEST(within_a_sector_writes_survive_in_their_order) {
    struct crash_disk *disk = disk_with("/a", 512, '0');
    struct os_file file = open_file(disk, "/a");
    bool seen[4] = {0};
    uint64_t seed;

    CHECK_OK(os_write(&file, 0, "1", 1));
    CHECK_OK(os_write(&file, 0, "2", 1));
    CHECK_OK(os_write(&file, 0, "3", 1));
    CHECK_OK(os_write(&file, 511, "x", 1));
    for (seed = 0; seed < 300; seed++) {
        struct crash_disk *after = crash_disk_power_cut(disk, CRASH_RANDOM, seed);
        size_t size = 0;
        const uint8_t *found = crash_disk_content(after, "/a", &size);
        CHECK(found[0] >= '0' && found[0] <= '3');
        seen[found[0] - '0'] = true;
        if (found[511] == 'x') CHECK_EQ_INT(found[0], '3');
        crash_disk_free(after);
    }
    CHECK(seen[0] && seen[1] && seen[2] && seen[3]);
    os_close(&file);
    crash_disk_free(disk);
}

TEST(sizes_and_names_survive_by_chance_and_repeat_with_their_seed) {
    struct crash_disk *disk = disk_with("/a", 100, 'o');
    struct os_file file = open_file(disk, "/a"), fresh = open_file(disk, "/new");
    bool sizes[3] = {0}, names[2] = {0};
    uint64_t seed;

    CHECK_OK(os_truncate(&file, 10));
    CHECK_OK(os_write(&file, 1000, "n", 1));
    for (seed = 0; seed < 100; seed++) {
        struct crash_disk *after = crash_disk_power_cut(disk, CRASH_RANDOM, seed);
        struct crash_disk *again = crash_disk_power_cut(disk, CRASH_RANDOM, seed);
        size_t size = 0;
        const uint8_t *found = crash_disk_content(after, "/a", &size);
        check_content(again, "/a", found, size);
        CHECK_EQ_INT(exists(again, "/new"), exists(after, "/new"));
        sizes[size == 100 ? 0 : size == 10 ? 1 : 2] = true;
        CHECK(size == 100 || size == 10 || size == 1001);
        names[exists(after, "/new")] = true;
        crash_disk_free(after);
        crash_disk_free(again);
    }
    CHECK(sizes[0] && sizes[1] && sizes[2] && names[0] && names[1]);
    os_close(&file);
    os_close(&fresh);
    crash_disk_free(disk);
}

/* Whatever is done, synced content survives every policy, and KEEP_ALL is what was read last. */
TEST(random_operations_keep_the_promises_of_sync) {
    for (int round = 0; round < 60; round++) {
        struct crash_disk *disk = disk_with("/a", test_random_below(3000), 'o');
        struct os_file file = open_file(disk, "/a");
        uint8_t data[3000];
        struct crash_disk *after;
        size_t size = 0, after_size = 0;
        const uint8_t *now, *later;
        TEST_NOTE("round %d", round);
        for (int i = 0; i < 30; i++) {
            switch (test_random_below(5)) {
            case 0: CHECK_OK(os_truncate(&file, test_random_below(12000))); break;
            case 1: CHECK_OK(os_sync(&file)); break;
            default:
                test_random_bytes(data, sizeof data);
                CHECK_OK(os_write(&file, test_random_below(9000), data, test_random_below(3000)));
            }
        }
        now = crash_disk_content(disk, "/a", &size);
        check_survivor(disk, CRASH_KEEP_ALL, "/a", now, size);
        after = crash_disk_power_cut(disk, CRASH_RANDOM, test_random());
        CHECK(crash_disk_content(after, "/a", &after_size) != NULL);
        crash_disk_free(after);
        CHECK_OK(os_sync(&file));
        now = crash_disk_content(disk, "/a", &size);
        check_survivor(disk, CRASH_LOSE_ALL, "/a", now, size);
        after = crash_disk_power_cut(disk, CRASH_RANDOM, test_random());
        later = crash_disk_content(after, "/a", &after_size);
        CHECK_EQ_BYTES(later, after_size, now, size);
        crash_disk_free(after);
        os_close(&file);
        crash_disk_free(disk);
    }
}

/* ------------------------------------------------------------------------------------- dying -- */

TEST(the_step_of_death_is_in_flight_and_nothing_happens_after_it) {
    struct crash_disk *disk = disk_with("/a", 1, 'o');
    struct os_file file = open_file(disk, "/a"), other = {0};
    uint8_t back[1];
    char *path = NULL;
    lsm_env *env = crash_disk_env(disk);

    crash_disk_stop_at(disk, 2);
    CHECK_OK(os_sync(&file));
    CHECK(!crash_disk_is_stopped(disk));
    CHECK_RC(os_write(&file, 0, "n", 1), LSM_IOERR);
    CHECK(crash_disk_is_stopped(disk));
    CHECK_EQ_UINT(crash_disk_steps(disk), 2);
    CHECK_RC(os_write(&file, 0, "z", 1), LSM_IOERR);
    CHECK_RC(os_sync(&file), LSM_IOERR);
    CHECK_RC(os_read(&file, 0, back, 1), LSM_IOERR);
    CHECK_RC(os_unlink(env, "/a"), LSM_IOERR);
    CHECK_RC(os_unlink(env, "/never"), LSM_IOERR);
    CHECK_RC(os_truncate(&file, 0), LSM_IOERR);
    CHECK_RC(os_open(env, "/b", 0, &other), LSM_IOERR);
    CHECK_RC(os_sync_directory(env, "/a"), LSM_IOERR);
    CHECK_RC(os_lock(&file, 1, LSM_LOCK_EXCL), LSM_IOERR);
    CHECK_OK(os_lock(&file, 1, LSM_LOCK_UNLOCK));
    CHECK_OK(os_full_path(env, "x", &path)); /* memory is still there */
    memory_free(env, path);
    CHECK_EQ_UINT(crash_disk_steps(disk), 2);
    os_close(&file);
    check_survivor(disk, CRASH_LOSE_ALL, "/a", "o", 1);
    check_survivor(disk, CRASH_KEEP_ALL, "/a", "n", 1);
    crash_disk_free(disk);
}

TEST(death_in_a_sync_promises_nothing) {
    struct crash_disk *disk = disk_with("/a", 1, 'o');
    struct os_file file = open_file(disk, "/a");

    CHECK_OK(os_write(&file, 0, "n", 1));
    crash_disk_stop_at(disk, 1);
    CHECK_RC(os_sync(&file), LSM_IOERR);
    check_survivor(disk, CRASH_LOSE_ALL, "/a", "o", 1);
    os_close(&file);
    crash_disk_free(disk);
}

TEST(death_while_creating_and_deleting) {
    struct crash_disk *disk = disk_with("/a", 1, 'o');
    struct crash_disk *after;
    struct os_file file = {0};

    crash_disk_stop_at(disk, 1);
    CHECK_RC(os_open(crash_disk_env(disk), "/b", 0, &file), LSM_IOERR);
    check_survivor(disk, CRASH_KEEP_ALL, "/b", "", 0);
    crash_disk_free(disk);

    disk = disk_with("/a", 1, 'o');
    crash_disk_stop_at(disk, 1);
    CHECK_RC(os_unlink(crash_disk_env(disk), "/a"), LSM_IOERR);
    after = crash_disk_power_cut(disk, CRASH_KEEP_ALL, 0);
    CHECK(!exists(after, "/a"));
    crash_disk_free(after);
    check_survivor(disk, CRASH_LOSE_ALL, "/a", "o", 1);
    crash_disk_free(disk);
}

TEST(every_kind_of_step_is_counted) {
    struct crash_disk *disk = crash_disk_new();
    lsm_env *env = crash_disk_env(disk);
    struct os_file file = open_file(disk, "/a");
    uint8_t back[1];

    CHECK_OK(os_write(&file, 0, "x", 1));
    CHECK_OK(os_reserve(&file, 10));
    CHECK_OK(os_truncate(&file, 1));
    CHECK_OK(os_sync(&file));
    CHECK_OK(os_sync_directory(env, "/a"));
    CHECK_OK(os_unlink(env, "/a"));
    CHECK_EQ_UINT(crash_disk_steps(disk), 7);
    CHECK_OK(os_read(&file, 0, back, 1));
    CHECK_EQ_UINT(crash_disk_steps(disk), 7);
    CHECK_EQ_UINT(crash_disk_calls(disk, CRASH_CALL_READ), 1);
    CHECK_EQ_UINT(crash_disk_calls(disk, CRASH_CALL_CREATE), 1);
    crash_disk_stop(disk);
    CHECK_RC(os_read(&file, 0, back, 1), LSM_IOERR);
    os_close(&file);
    crash_disk_free(disk);
}

/* ----------------------------------------------------------------------------------- failing -- */

TEST(the_nth_call_of_a_kind_fails_once_or_for_ever) {
    struct crash_disk *disk = disk_with("/a", 1, 'o');
    struct os_file file = open_file(disk, "/a");

    crash_disk_fail_at(disk, CRASH_CALL_WRITE, 2, LSM_FULL, false);
    CHECK_OK(os_write(&file, 0, "1", 1));
    CHECK_RC(os_write(&file, 0, "2", 1), LSM_FULL);
    check_content(disk, "/a", "1", 1);
    CHECK_OK(os_write(&file, 0, "3", 1));
    crash_disk_fail_at(disk, CRASH_CALL_WRITE, 1, LSM_IOERR, true);
    CHECK_RC(os_write(&file, 0, "4", 1), LSM_IOERR);
    CHECK_RC(os_write(&file, 0, "5", 1), LSM_IOERR);
    CHECK_EQ_UINT(crash_disk_failures(disk), 3);
    crash_disk_fail_at(disk, CRASH_CALL_WRITE, 0, 0, false);
    CHECK_OK(os_write(&file, 0, "6", 1));
    crash_disk_fail_at(disk, CRASH_CALL_LOCK, 1, LSM_BUSY, false);
    CHECK_RC(os_lock(&file, 1, LSM_LOCK_EXCL), LSM_BUSY);
    CHECK_OK(os_lock(&file, 1, LSM_LOCK_EXCL));
    os_close(&file);
    crash_disk_free(disk);
}

TEST(a_half_write_stores_half_and_fails) {
    struct crash_disk *disk = disk_with("/a", 8, '.');
    struct os_file file = open_file(disk, "/a");

    crash_disk_half_write_at(disk, 2);
    CHECK_OK(os_write(&file, 0, "1", 1));
    CHECK_RC(os_write(&file, 1, "abcdef", 6), LSM_IOERR);
    check_content(disk, "/a", "1abc....", 8);
    CHECK_OK(os_write(&file, 1, "abcdef", 6));
    check_content(disk, "/a", "1abcdef.", 8);
    os_close(&file);
    crash_disk_free(disk);
}

TEST(what_a_failed_sync_dropped_is_not_saved_by_the_next) {
    struct crash_disk *disk = disk_with("/a", 8192, 'o');
    struct os_file file = open_file(disk, "/a");
    struct crash_disk *after;
    size_t size = 0;
    const uint8_t *found;
    bool old = false, new = false;

    CHECK_OK(os_write(&file, 0, "n", 1));
    crash_disk_fail_at(disk, CRASH_CALL_SYNC, 1, LSM_IOERR, false);
    CHECK_RC(os_sync(&file), LSM_IOERR);
    CHECK_OK(os_write(&file, 4096, "m", 1));
    CHECK_OK(os_sync(&file)); /* succeeds, and saves only the second page */
    after = crash_disk_power_cut(disk, CRASH_LOSE_ALL, 0);
    found = crash_disk_content(after, "/a", &size);
    CHECK_EQ_INT(found[0], 'o');
    CHECK_EQ_INT(found[4096], 'm');
    crash_disk_free(after);
    for (uint64_t seed = 0; seed < 50; seed++) {
        after = crash_disk_power_cut(disk, CRASH_RANDOM, seed);
        found = crash_disk_content(after, "/a", &size);
        if (found[0] == 'o') old = true;
        if (found[0] == 'n') new = true;
        CHECK_EQ_INT(found[4096], 'm');
        crash_disk_free(after);
    }
    CHECK(old && new);
    CHECK_OK(os_write(&file, 100, "k", 1)); /* the page changes again: all of it goes out */
    CHECK_OK(os_sync(&file));
    after = crash_disk_power_cut(disk, CRASH_LOSE_ALL, 0);
    found = crash_disk_content(after, "/a", &size);
    CHECK_EQ_INT(found[0], 'n');
    CHECK_EQ_INT(found[100], 'k');
    crash_disk_free(after);
    os_close(&file);
    crash_disk_free(disk);
}

TEST(memory_is_counted_and_fails_at_the_nth_call) {
    struct crash_disk *disk = crash_disk_new();
    lsm_env *env = crash_disk_env(disk);
    uint8_t *block, *moved;

    crash_disk_fail_at(disk, CRASH_CALL_MALLOC, 2, LSM_NOMEM, false);
    block = memory_allocate(env, 3);
    CHECK(block != NULL);
    memcpy(block, "abc", 3);
    CHECK_EQ_PTR(memory_reallocate(env, block, 1000), NULL);
    CHECK_EQ_BYTES(block, 3, "abc", 3);
    moved = memory_reallocate(env, block, 1000);
    CHECK(moved != NULL && moved != block);
    CHECK_EQ_BYTES(moved, 3, "abc", 3);
    CHECK_EQ_UINT(env->xSize(env, moved), 1000);
    CHECK_EQ_UINT(crash_disk_live_blocks(disk), 1);
    memory_free(env, moved);
    CHECK_EQ_UINT(crash_disk_live_blocks(disk), 0);
    block = env->xRealloc(env, NULL, 0);
    CHECK(block != NULL);
    CHECK_EQ_UINT(crash_disk_live_blocks(disk), 1);
    CHECK_EQ_PTR(env->xRealloc(env, block, 0), NULL);
    CHECK_EQ_UINT(crash_disk_live_blocks(disk), 0);
    crash_disk_free(disk);
}

/* ----------------------------------------------------------------------- looking and placing -- */

TEST(files_can_be_placed_damaged_removed_and_exported) {
    struct crash_disk *disk = disk_with("/a", 4, 'o');
    char back[8] = {0};
    FILE *in;

    crash_disk_damage(disk, "/a", 1, "XY", 2);
    check_survivor(disk, CRASH_LOSE_ALL, "/a", "oXYo", 4);
    CHECK(crash_disk_export(disk, "/a", test_path("copy")));
    CHECK(!crash_disk_export(disk, "/none", test_path("copy2")));
    in = fopen(test_path("copy"), "rb");
    CHECK(in != NULL);
    CHECK_EQ_UINT(fread(back, 1, sizeof back, in), 4);
    fclose(in);
    CHECK_EQ_STR(back, "oXYo");
    crash_disk_put(disk, "/a", "replaced", 8);
    check_survivor(disk, CRASH_LOSE_ALL, "/a", "replaced", 8);
    crash_disk_remove(disk, "/a");
    crash_disk_remove(disk, "/never");
    CHECK(!exists(disk, "/a"));
    CHECK_EQ_UINT(crash_disk_steps(disk), 0);
    crash_disk_free(disk);
}

/* -------------------------------------------------------------------------------- in earnest -- */

/* A tiny program that must be safe: it replaces a record by writing a copy, syncing, then flipping
** a pointer sector, syncing. Kill it at every step: the record is always one of the acknowledged or
** in-flight ones. */
static uint64_t run_program(struct crash_disk *disk, int *acknowledged) {
    lsm_env *env = crash_disk_env(disk);
    struct os_file file = {0};
    int rc;

    *acknowledged = 0;
    rc = os_open(env, "/db", 0, &file);
    if (rc == LSM_OK) rc = os_sync_directory(env, "/db");
    for (int i = 1; i <= 5 && rc == LSM_OK; i++) {
        uint8_t record[1024], pointer = (uint8_t)i;
        memset(record, i, sizeof record);
        rc = os_write(&file, 4096 * (uint64_t)(1 + i % 2), record, sizeof record);
        if (rc == LSM_OK) rc = os_sync(&file);
        if (rc == LSM_OK) rc = os_write(&file, 0, &pointer, 1);
        if (rc == LSM_OK) rc = os_sync(&file);
        if (rc == LSM_OK) *acknowledged = i;
    }
    os_close(&file);
    return crash_disk_steps(disk);
}

TEST(a_careful_program_survives_death_at_every_step) {
    struct crash_disk *disk = crash_disk_new();
    int acknowledged = 0;
    uint64_t steps = run_program(disk, &acknowledged);

    CHECK_EQ_INT(acknowledged, 5);
    CHECK_EQ_UINT(steps, 22);
    crash_disk_free(disk);
    for (uint64_t n = 1; n <= steps; n++) {
        disk = crash_disk_new();
        crash_disk_stop_at(disk, n);
        (void)run_program(disk, &acknowledged);
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct crash_disk *after = crash_disk_power_cut(disk, CRASH_RANDOM, seed);
            size_t size = 0;
            const uint8_t *found = crash_disk_content(after, "/db", &size);
            int current = found && size > 0 ? found[0] : 0;
            TEST_NOTE("step %d, seed %d", (int)n, (int)seed);
            CHECK(current == acknowledged || current == acknowledged + 1);
            for (size_t i = 0; i < 1024 && current > 0; i++) {
                CHECK_EQ_INT(found[4096 * (size_t)(1 + current % 2) + i], current);
            }
            crash_disk_free(after);
        }
        CHECK_EQ_UINT(crash_disk_open_files(disk), 0);
        CHECK_EQ_UINT(crash_disk_live_blocks(disk), 0);
        crash_disk_free(disk);
    }
}

TEST_MAIN()
