/*
** os_posix_file_test.c — files of the default environment.
*/
#include "support/test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/memory.h"
#include "os/os_internal.h"

static lsm_env *env(void) {
    return lsm_default_env();
}

static struct os_file open_file(const char *name) {
    struct os_file file = {0};
    CHECK_OK(os_open(env(), test_path(name), 0, &file));
    return file;
}

static uint64_t size_of(struct os_file *file) {
    uint64_t size = 0;
    CHECK_OK(os_file_size(file, &size));
    return size;
}

TEST(what_is_written_is_read_again) {
    struct os_file file = open_file("a");
    uint8_t data[10000], back[10000];

    test_random_bytes(data, sizeof data);
    CHECK_OK(os_write(&file, 3, data, sizeof data));
    CHECK_OK(os_read(&file, 3, back, sizeof back));
    CHECK_EQ_BYTES(back, sizeof back, data, sizeof data);
    CHECK_EQ_UINT(size_of(&file), 10003);
    CHECK_OK(os_sync(&file));
    os_close(&file);
}

TEST(reading_past_the_end_gives_zeros) {
    struct os_file file = open_file("a");
    uint8_t back[8];

    CHECK_OK(os_write(&file, 0, "abc", 3));
    memset(back, 0xff, sizeof back);
    CHECK_OK(os_read(&file, 1, back, sizeof back));
    CHECK_EQ_BYTES(back, 8, "bc\0\0\0\0\0\0", 8);
    memset(back, 0xff, sizeof back);
    CHECK_OK(os_read(&file, 1000000, back, sizeof back));
    CHECK_EQ_BYTES(back, 8, "\0\0\0\0\0\0\0\0", 8);
    CHECK_OK(os_read(&file, 0, back, 0));
    CHECK_EQ_UINT(size_of(&file), 3);
    os_close(&file);
}

TEST(offsets_beyond_4_gigabytes_work) {
    struct os_file file = open_file("a");
    uint64_t far = UINT64_C(5) << 30;
    uint8_t back[4] = {0};

    CHECK_OK(os_write(&file, far, "wxyz", 4));
    CHECK_EQ_UINT(size_of(&file), far + 4);
    CHECK_OK(os_read(&file, far, back, 4));
    CHECK_EQ_BYTES(back, 4, "wxyz", 4);
    os_close(&file);
}

TEST(a_missing_file_is_created_only_for_writing) {
    struct os_file file = {0};
    struct stat status;

    CHECK_RC(os_open(env(), test_path("a"), LSM_OPEN_READONLY, &file), LSM_IOERR_NOENT);
    CHECK_EQ_PTR(file.file, NULL);
    CHECK_EQ_INT(os_last_error(), ENOENT);
    CHECK(stat(test_path("a"), &status) != 0);
    CHECK_RC(os_open(env(), test_path("none/a"), 0, &file), LSM_IOERR_NOENT);
    CHECK_OK(os_open(env(), test_path("a"), 0, &file));
    os_close(&file);
    CHECK_EQ_INT(stat(test_path("a"), &status), 0);
    CHECK_EQ_INT(status.st_mode & 0777 & ~0644u, 0);
    CHECK_OK(os_open(env(), test_path("a"), LSM_OPEN_READONLY, &file));
    os_close(&file);
}

TEST(descriptors_are_not_inherited_by_programs) {
    struct os_file file = open_file("a");

    CHECK(fcntl(file.file->fd, F_GETFD) & FD_CLOEXEC);
    os_close(&file);
}

TEST(a_directory_is_not_a_file) {
    struct os_file file = {0};

    CHECK_EQ_INT(mkdir(test_path("folder"), 0755), 0);
    CHECK_RC(os_open(env(), test_path("folder"), 0, &file), LSM_IOERR);
    CHECK_EQ_INT(os_last_error(), EISDIR);
    CHECK_RC(os_open(env(), test_path("folder"), LSM_OPEN_READONLY, &file), LSM_IOERR);
    CHECK_EQ_INT(os_last_error(), EISDIR);
    CHECK_EQ_PTR(file.file, NULL);
}

TEST(a_read_only_file_refuses_writes) {
    struct os_file file = open_file("a");

    CHECK_OK(os_write(&file, 0, "abc", 3));
    os_close(&file);
    CHECK_OK(os_open(env(), test_path("a"), LSM_OPEN_READONLY, &file));
    CHECK_RC(os_write(&file, 0, "x", 1), LSM_IOERR);
    CHECK_EQ_INT(os_last_error(), EBADF);
    os_close(&file);
}

TEST(truncate_shortens_and_never_lengthens) {
    struct os_file file = open_file("a");

    CHECK_OK(os_write(&file, 0, "0123456789", 10));
    CHECK_OK(os_truncate(&file, 100));
    CHECK_EQ_UINT(size_of(&file), 10);
    CHECK_OK(os_truncate(&file, 10));
    CHECK_EQ_UINT(size_of(&file), 10);
    CHECK_OK(os_truncate(&file, 4));
    CHECK_EQ_UINT(size_of(&file), 4);
    CHECK_OK(os_truncate(&file, 0));
    CHECK_EQ_UINT(size_of(&file), 0);
    os_close(&file);
}

TEST(unlink_says_when_there_is_nothing) {
    struct os_file file = open_file("a");
    os_close(&file);
    CHECK_OK(os_unlink(env(), test_path("a")));
    CHECK_RC(os_unlink(env(), test_path("a")), LSM_IOERR_NOENT);
    CHECK_EQ_INT(mkdir(test_path("folder"), 0755), 0);
    CHECK_RC(os_unlink(env(), test_path("folder")), LSM_IOERR);
}

TEST(full_path_uses_the_working_directory_only) {
    char cwd[4096], expected[5000];
    char *path = NULL;
    int size = 4;
    char small[4] = "zzz";

    CHECK(getcwd(cwd, sizeof cwd) != NULL);
    snprintf(expected, sizeof expected, "%s/x/../y", cwd);
    CHECK_OK(os_full_path(env(), "x/../y", &path));
    CHECK_EQ_STR(path, expected);
    memory_free(env(), path);
    CHECK_OK(os_full_path(env(), "/x/./y", &path));
    CHECK_EQ_STR(path, "/x/./y");
    memory_free(env(), path);
    CHECK_OK(env()->xFullpath(env(), "/xyz", small, &size));
    CHECK_EQ_INT(size, 5);
    CHECK_EQ_STR(small, "zzz"); /* too small: nothing written */
    CHECK_OK(env()->xFullpath(env(), "/xyz", NULL, &size));
    CHECK_EQ_INT(size, 5);
    CHECK_EQ_INT(chdir("/"), 0);
    CHECK_OK(os_full_path(env(), "y", &path));
    CHECK_EQ_STR(path, "/y");
    memory_free(env(), path);
    CHECK_EQ_INT(chdir(cwd), 0);
}

TEST(file_id_is_the_same_for_links_and_different_for_files) {
    struct os_file a = open_file("a"), b = open_file("b"), link_a = {0};
    uint8_t id_a[64], id_b[64], id_link[64];
    size_t size_a = 0, size_b = 0, size_link = 0;
    int needed = 3;

    CHECK_EQ_INT(link(test_path("a"), test_path("hard")), 0);
    CHECK_OK(os_open(env(), test_path("hard"), 0, &link_a));
    CHECK_OK(os_file_id(&a, id_a, sizeof id_a, &size_a));
    CHECK_OK(os_file_id(&b, id_b, sizeof id_b, &size_b));
    CHECK_OK(os_file_id(&link_a, id_link, sizeof id_link, &size_link));
    CHECK_EQ_BYTES(id_link, size_link, id_a, size_a);
    CHECK_EQ_UINT(size_b, size_a);
    CHECK(memcmp(id_a, id_b, size_a) != 0);
    CHECK_OK(env()->xFileid(a.file, NULL, &needed));
    CHECK_EQ_INT(needed, (int)size_a);
    os_close(&a);
    os_close(&b);
    os_close(&link_a);
}

/* DF-51 */
TEST(a_full_device_is_full_and_not_an_io_error) {
    struct os_file file = {0};
    uint8_t data[4096] = {1};

    if (access("/dev/full", W_OK) != 0) return;
    CHECK_OK(os_open(env(), "/dev/full", 0, &file));
    CHECK_RC(os_write(&file, 0, data, sizeof data), LSM_FULL);
    CHECK_EQ_INT(os_last_error(), ENOSPC);
    os_close(&file);
}

/* With a limit on file sizes the system first writes what fits (a short write), then fails: this
** shows that writes are continued and that the end is noticed. DF-10. */
TEST(a_short_write_goes_on_and_then_fails) {
    struct rlimit limit, before;
    struct os_file file = open_file("a");
    static uint8_t data[8192];
    int rc;

    CHECK_EQ_INT(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    limit = before;
    limit.rlim_cur = 6000;
    CHECK_EQ_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
    rc = os_write(&file, 0, data, sizeof data);
    CHECK_EQ_INT(setrlimit(RLIMIT_FSIZE, &before), 0);
    CHECK_RC(rc, LSM_IOERR);
    CHECK_EQ_INT(os_last_error(), EFBIG);
    CHECK_EQ_UINT(size_of(&file), 6000);
    os_close(&file);
}

TEST(remap_maps_the_whole_file_and_grows_it_in_steps) {
    struct os_file file = open_file("a");
    void *map = NULL;
    lsm_i64 size = 0;
    uint8_t back[4];

    CHECK_OK(env()->xRemap(file.file, 0, &map, &size));
    CHECK_EQ_PTR(map, NULL); /* an empty file */
    CHECK_EQ_INT(size, 0);
    CHECK_OK(env()->xRemap(file.file, 1000, &map, &size));
    CHECK(map != NULL);
    CHECK_EQ_INT(size, 262144);
    CHECK_EQ_UINT(size_of(&file), 262144);
    memcpy((uint8_t *)map + 262140, "tail", 4);
    CHECK_OK(os_sync(&file));
    CHECK_OK(os_read(&file, 262140, back, 4));
    CHECK_EQ_BYTES(back, 4, "tail", 4);
    CHECK_OK(env()->xRemap(file.file, 3 * 1048576 + 1, &map, &size));
    CHECK_EQ_INT(size, 4 * 1048576);
    CHECK_EQ_BYTES((uint8_t *)map + 262140, 4, "tail", 4);
    CHECK_OK(env()->xRemap(file.file, -1, &map, &size));
    CHECK_EQ_PTR(map, NULL);
    CHECK_EQ_INT(size, 0);
    CHECK_OK(env()->xRemap(file.file, 5, &map, &size));
    os_close(&file); /* drops the mapping */
}

/* A store into a hole is a signal when the device is full. DF-51. */
TEST(the_space_of_a_remapped_file_is_allocated) {
    struct os_file file = open_file("a");
    struct stat status;
    void *map = NULL;
    lsm_i64 size = 0;

    /* Where the system tells. */
    if (os_map_stored(&file, 4096, &map) == LSM_OK) {
        CHECK_OK(os_unmap(&file, map, 4096));
        CHECK_OK(env()->xRemap(file.file, 3 * 1048576 + 1, &map, &size));
        CHECK_EQ_INT(stat(test_path("a"), &status), 0);
        CHECK((lsm_i64)status.st_blocks * 512 >= size);
    }
    os_close(&file);
}

TEST(remap_of_a_read_only_file_never_grows_it) {
    struct os_file file = open_file("a");
    void *map = NULL;
    lsm_i64 size = 0;

    CHECK_OK(os_write(&file, 0, "abc", 3));
    os_close(&file);
    CHECK_OK(os_open(env(), test_path("a"), LSM_OPEN_READONLY, &file));
    CHECK_OK(env()->xRemap(file.file, 100000, &map, &size));
    CHECK_EQ_INT(size, 3);
    CHECK_EQ_BYTES(map, 3, "abc", 3);
    CHECK_EQ_UINT(size_of(&file), 3);
    os_close(&file);
}

TEST(windows_of_a_mapping_show_later_writes) {
    struct os_file file = open_file("a");
    size_t window = 4 * os_map_granularity();
    uint8_t *data = calloc(2, window);
    void *map = NULL;

    CHECK(data != NULL);
    CHECK(os_can_map(&file));
    CHECK_OK(os_write(&file, 0, data, 2 * window));
    free(data);
    CHECK_OK(os_map(&file, window, window, &map));
    CHECK_OK(os_write(&file, window + 17, "seen", 4));
    CHECK_EQ_BYTES((uint8_t *)map + 17, 4, "seen", 4);
    os_close(&file); /* the window outlives the file */
    CHECK_EQ_BYTES((uint8_t *)map + 17, 4, "seen", 4);
    CHECK_OK(os_open(env(), test_path("a"), 0, &file));
    CHECK_OK(os_unmap(&file, map, window));
    os_close(&file);
}

TEST(a_mapping_that_the_system_refuses_is_an_error) {
    struct os_file file = open_file("a");
    void *map = NULL;

    CHECK_RC(os_map(&file, 0, (size_t)1 << 60, &map), LSM_IOERR);
    CHECK_EQ_INT(os_last_error(), ENOMEM);
    CHECK_EQ_PTR(map, NULL);
    os_close(&file);
}

TEST(reserve_lengthens_with_real_space_and_keeps_the_content) {
    struct os_file file = open_file("a");
    struct stat status;
    uint8_t back[8];

    CHECK_OK(os_write(&file, 0, "abc", 3));
    CHECK_OK(os_reserve(&file, 1000000));
    CHECK_EQ_UINT(size_of(&file), 1000000);
    CHECK_EQ_INT(stat(test_path("a"), &status), 0);
#ifdef __linux__
    CHECK((uint64_t)status.st_blocks * 512 >= 900000);
#endif
    CHECK_OK(os_read(&file, 0, back, 8));
    CHECK_EQ_BYTES(back, 8, "abc\0\0\0\0\0", 8);
    CHECK_OK(os_reserve(&file, 10)); /* never shorter */
    CHECK_EQ_UINT(size_of(&file), 1000000);
    CHECK_RC(os_reserve(&file, UINT64_MAX), LSM_FULL);
    os_close(&file);
}

/* An allocator that fails at the n-th call. */
static uint64_t malloc_count, malloc_fails_at;
static void *failing_malloc(lsm_env *e, size_t size) {
    if (++malloc_count == malloc_fails_at) return NULL;
    return lsm_default_env()->xMalloc(e, size);
}

TEST(each_failed_allocation_is_reported_and_leaks_nothing) {
    lsm_env copy = *lsm_default_env();
    uint64_t n;
    int rc = LSM_NOMEM;

    copy.xMalloc = failing_malloc;
    for (n = 1; rc == LSM_NOMEM; n++) {
        struct os_file file = {0};
        char *path = NULL;
        TEST_NOTE("allocation %d", (int)n);
        CHECK(n < 20);
        malloc_count = 0;
        malloc_fails_at = n;
        rc = os_full_path(&copy, "relative", &path);
        if (rc == LSM_OK) rc = os_open(&copy, test_path("a"), 0, &file);
        if (rc == LSM_OK) rc = os_sync_directory(&copy, test_path("a"));
        if (rc != LSM_OK) CHECK_RC(rc, LSM_NOMEM);
        memory_free(&copy, path);
        os_close(&file);
    }
    CHECK(n > 4);
}

TEST_MAIN()
