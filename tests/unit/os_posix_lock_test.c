/*
** os_posix_lock_test.c — locks between processes, and the shared region.
**
** A second process, made by fork, does one thing when told to and answers with the result code:
** locks of one process never conflict with each other.
*/
#include "support/test.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "base/memory.h"
#include "os/os_internal.h"

static lsm_env *env(void) {
    return lsm_default_env();
}

/* ----------------------------------------------------------------------------- other process -- */

struct order {
    char verb; /* l = lock, t = test, m = map a chunk and read a byte, w = write one, q = quit */
    int a, b, c;
};

struct other {
    pid_t pid;
    int to, from;
};

static int obey(struct os_file *file, const struct order *order) {
    void *chunk = NULL;
    int rc;
    switch (order->verb) {
    case 'l': return os_lock(file, order->a, order->b);
    case 't': return os_test_lock(file, order->a, order->b, order->c);
    case 'm':
        rc = env()->xShmMap(file->file, order->a, 32768, &chunk);
        return rc == LSM_OK ? ((uint8_t *)chunk)[order->b] : -rc;
    case 'w':
        rc = env()->xShmMap(file->file, order->a, 32768, &chunk);
        if (rc == LSM_OK) ((uint8_t *)chunk)[order->b] = (uint8_t)order->c;
        return rc;
    default: return -1;
    }
}

static struct other start_other(const char *path) {
    struct other other;
    int to[2], from[2];

    CHECK_EQ_INT(pipe(to), 0);
    CHECK_EQ_INT(pipe(from), 0);
    fflush(NULL);
    other.pid = fork();
    CHECK(other.pid >= 0);
    if (other.pid == 0) {
        struct os_file file = {0};
        struct order order;
        close(to[1]);
        close(from[0]);
        if (os_open(env(), path, 0, &file) != LSM_OK) _exit(1);
        while (read(to[0], &order, sizeof order) == (ssize_t)sizeof order && order.verb != 'q') {
            int rc = obey(&file, &order);
            if (write(from[1], &rc, sizeof rc) != (ssize_t)sizeof rc) _exit(1);
        }
        _exit(0);
    }
    close(to[0]);
    close(from[1]);
    other.to = to[1];
    other.from = from[0];
    return other;
}

static int tell(struct other *other, char verb, int a, int b, int c) {
    struct order order = {verb, a, b, c};
    int rc = -1;
    CHECK_EQ_INT(write(other->to, &order, sizeof order), (int)sizeof order);
    CHECK_EQ_INT(read(other->from, &rc, sizeof rc), (int)sizeof rc);
    return rc;
}

static void stop_other(struct other *other) {
    int status = -1;
    close(other->to);
    close(other->from);
    CHECK_EQ_INT(waitpid(other->pid, &status, 0), other->pid);
    CHECK_EQ_INT(status, 0);
}

static struct os_file open_here(void) {
    struct os_file file = {0};
    CHECK_OK(os_open(env(), test_path("db"), 0, &file));
    return file;
}

/* ------------------------------------------------------------------------------------- locks -- */

TEST(exclusive_locks_exclude_and_shared_locks_share) {
    struct os_file file = open_here();
    struct other other = start_other(test_path("db"));

    CHECK_OK(os_lock(&file, 4, LSM_LOCK_EXCL));
    CHECK_RC(tell(&other, 'l', 4, LSM_LOCK_EXCL, 0), LSM_BUSY);
    CHECK_RC(tell(&other, 'l', 4, LSM_LOCK_SHARED, 0), LSM_BUSY);
    CHECK_OK(tell(&other, 'l', 5, LSM_LOCK_EXCL, 0)); /* the next byte is another lock */
    CHECK_RC(os_lock(&file, 5, LSM_LOCK_SHARED), LSM_BUSY);
    CHECK_OK(os_lock(&file, 4, LSM_LOCK_UNLOCK));
    CHECK_OK(tell(&other, 'l', 4, LSM_LOCK_SHARED, 0));
    CHECK_OK(os_lock(&file, 4, LSM_LOCK_SHARED));
    CHECK_RC(os_lock(&file, 4, LSM_LOCK_EXCL), LSM_BUSY);
    stop_other(&other);
    CHECK_OK(os_lock(&file, 4, LSM_LOCK_EXCL)); /* dead processes hold nothing */
    os_close(&file);
}

TEST(locks_convert_without_a_gap) {
    struct os_file file = open_here();
    struct other other = start_other(test_path("db"));

    CHECK_OK(os_lock(&file, 8, LSM_LOCK_EXCL));
    CHECK_OK(os_lock(&file, 8, LSM_LOCK_SHARED)); /* down: others may share now */
    CHECK_OK(tell(&other, 'l', 8, LSM_LOCK_SHARED, 0));
    CHECK_RC(os_lock(&file, 8, LSM_LOCK_EXCL), LSM_BUSY);
    CHECK_RC(tell(&other, 'l', 8, LSM_LOCK_EXCL, 0),
             LSM_BUSY); /* the refused upgrade lost nothing */
    CHECK_OK(tell(&other, 'l', 8, LSM_LOCK_UNLOCK, 0));
    CHECK_OK(os_lock(&file, 8, LSM_LOCK_EXCL)); /* up: alone */
    CHECK_RC(tell(&other, 'l', 8, LSM_LOCK_SHARED, 0), LSM_BUSY);
    CHECK_OK(os_lock(&file, 8, LSM_LOCK_UNLOCK)); /* one unlock is enough */
    CHECK_OK(tell(&other, 'l', 8, LSM_LOCK_EXCL, 0));
    stop_other(&other);
    os_close(&file);
}

/* DF-27 */
TEST(testing_looks_at_every_lock_of_a_range_and_takes_none) {
    struct os_file file = open_here();
    struct other other = start_other(test_path("db"));

    CHECK_OK(os_test_lock(&file, 14, 16, LSM_LOCK_SHARED));
    CHECK_OK(tell(&other, 'l', 29, LSM_LOCK_EXCL, 0));
    CHECK_RC(os_test_lock(&file, 14, 16, LSM_LOCK_SHARED), LSM_BUSY);
    CHECK_OK(os_test_lock(&file, 14, 15, LSM_LOCK_EXCL));
    CHECK_OK(tell(&other, 'l', 29, LSM_LOCK_UNLOCK, 0));
    CHECK_OK(tell(&other, 'l', 2, LSM_LOCK_SHARED, 0));
    CHECK_OK(os_test_lock(&file, 2, 1, LSM_LOCK_SHARED));
    CHECK_RC(os_test_lock(&file, 2, 2, LSM_LOCK_EXCL), LSM_BUSY);
    CHECK_OK(tell(&other, 'l', 2, LSM_LOCK_EXCL, 0)); /* nothing was taken */
    stop_other(&other);
    os_close(&file);
}

TEST(own_locks_do_not_stand_in_the_way_of_a_test) {
    struct os_file file = open_here();

    CHECK_OK(os_lock(&file, 3, LSM_LOCK_EXCL));
    CHECK_OK(os_test_lock(&file, 1, 8, LSM_LOCK_EXCL));
    os_close(&file);
}

TEST(lock_n_is_byte_4096_minus_n) {
    struct os_file file = open_here();
    int n;

    for (n = 1; n <= 32; n++) {
        struct flock range = {0};
        pid_t child;
        int status = 0;
        CHECK_OK(os_lock(&file, n, LSM_LOCK_EXCL));
        range.l_type = F_WRLCK;
        range.l_whence = SEEK_SET;
        fflush(NULL);
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            int fd = open(test_path("db"), O_RDWR);
            if (fcntl(fd, F_GETLK, &range) != 0) _exit(1); /* the whole file */
            _exit(range.l_type == F_WRLCK && range.l_start == 4096 - n && range.l_len == 1 ? 0 : 2);
        }
        CHECK_EQ_INT(waitpid(child, &status, 0), child);
        TEST_NOTE("lock %d", n);
        CHECK_EQ_INT(status, 0);
        CHECK_OK(os_lock(&file, n, LSM_LOCK_UNLOCK));
    }
    os_close(&file);
}

TEST(senseless_locks_are_misuse) {
    struct os_file file = open_here();

    CHECK_RC(env()->xLock(file.file, 0, LSM_LOCK_SHARED), LSM_MISUSE);
    CHECK_RC(env()->xLock(file.file, 33, LSM_LOCK_SHARED), LSM_MISUSE);
    CHECK_RC(env()->xLock(file.file, 1, 3), LSM_MISUSE);
    CHECK_RC(env()->xTestLock(file.file, 30, 4, LSM_LOCK_EXCL), LSM_MISUSE);
    CHECK_RC(env()->xTestLock(file.file, 1, INT32_MAX, LSM_LOCK_EXCL), LSM_MISUSE);
    CHECK_RC(env()->xTestLock(file.file, 1, 1, LSM_LOCK_UNLOCK), LSM_MISUSE);
    CHECK_OK(env()->xTestLock(file.file, 1, 32, LSM_LOCK_EXCL));
    os_close(&file);
}

TEST(exclusive_locks_need_a_writable_file) {
    struct os_file file = open_here();

    os_close(&file);
    CHECK_OK(os_open(env(), test_path("db"), LSM_OPEN_READONLY, &file));
    CHECK_OK(os_lock(&file, 7, LSM_LOCK_SHARED));
    CHECK_RC(os_lock(&file, 4, LSM_LOCK_EXCL), LSM_IOERR);
    CHECK_EQ_INT(os_last_error(), EBADF);
    os_close(&file);
}

/* ----------------------------------------------------------------------------- shared region -- */

static uint8_t *chunk_of(struct os_file *file, int chunk) {
    void *address = NULL;
    CHECK_OK(env()->xShmMap(file->file, chunk, 32768, &address));
    return address;
}

static long long file_size_of(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 ? (long long)status.st_size : -1;
}

TEST(chunks_are_zero_at_first_and_keep_their_address) {
    struct os_file file = open_here();
    uint8_t *first = chunk_of(&file, 0), *third;
    size_t i;

    CHECK_EQ_INT(file_size_of(test_path("db-shm")), 32768);
    for (i = 0; i < 32768; i++) CHECK_EQ_INT(first[i], 0);
    third = chunk_of(&file, 2);
    CHECK_EQ_INT(file_size_of(test_path("db-shm")), 3 * 32768);
    CHECK_EQ_PTR(chunk_of(&file, 0), first);
    CHECK_EQ_PTR(chunk_of(&file, 2), third);
    for (i = 3; i < 40; i++) chunk_of(&file, (int)i)[32767] = (uint8_t)i;
    for (i = 3; i < 40; i++) CHECK_EQ_INT(chunk_of(&file, (int)i)[32767], i);
    CHECK_EQ_PTR(chunk_of(&file, 0), first);
    CHECK_OK(env()->xShmUnmap(file.file, 0));
    CHECK_EQ_INT(file_size_of(test_path("db-shm")), 40 * 32768);
    CHECK_EQ_INT(chunk_of(&file, 39)[32767], 39); /* a left-over region is used as it is */
    CHECK_OK(env()->xShmUnmap(file.file, 1));
    CHECK_EQ_INT(file_size_of(test_path("db-shm")), -1);
    CHECK_OK(env()->xShmUnmap(file.file, 1)); /* nothing there: fine */
    os_close(&file);
}

TEST(processes_see_each_others_chunks) {
    struct os_file file = open_here();
    struct other other = start_other(test_path("db"));

    chunk_of(&file, 1)[100] = 42;
    env()->xShmBarrier();
    CHECK_EQ_INT(tell(&other, 'm', 1, 100, 0), 42);
    CHECK_OK(tell(&other, 'w', 6, 32767, 99));
    CHECK_EQ_INT(chunk_of(&file, 6)[32767], 99);
    CHECK_EQ_INT(file_size_of(test_path("db-shm")), 7 * 32768);
    stop_other(&other);
    CHECK_OK(env()->xShmUnmap(file.file, 1));
    os_close(&file);
}

/* DF-42 */
TEST(larger_pages_than_chunks_are_mapped_in_aligned_windows) {
    struct os_file file = open_here();
    uint8_t *first, *second;
    int i;

    os_pretended_granularity = 65536;
    second = chunk_of(&file, 1);
    first = chunk_of(&file, 0);
    CHECK_EQ_PTR(second, first + 32768);
    CHECK_EQ_UINT((uintptr_t)first % 4096, 0);
    for (i = 0; i < 7; i++) memset(chunk_of(&file, i), i + 1, 32768); /* an odd number of them */
    CHECK_EQ_INT(file_size_of(test_path("db-shm")), 7 * 32768);
    memset(chunk_of(&file, 7), 8, 32768); /* its window was mapped before its bytes existed */
    CHECK_OK(env()->xShmUnmap(file.file, 0));
    os_pretended_granularity = 0;
    for (i = 0; i < 8; i++)
        CHECK_EQ_INT(chunk_of(&file, i)[5], i + 1); /* the same bytes in the file */
    CHECK_OK(env()->xShmUnmap(file.file, 1));
    os_close(&file);
}

/* DF-42 */
TEST(the_region_refuses_to_pass_two_gigabytes) {
    struct os_file file = open_here();
    void *address = &file;

    CHECK_RC(env()->xShmMap(file.file, 65535, 32768, &address), LSM_FULL);
    CHECK_RC(env()->xShmMap(file.file, -1, 32768, &address), LSM_MISUSE);
    CHECK_EQ_PTR(address, &file);
    CHECK_EQ_INT(file_size_of(test_path("db-shm")), -1);
    (void)chunk_of(&file, 0);
    CHECK_RC(env()->xShmMap(file.file, 0, 65536, &address), LSM_MISUSE); /* the size is fixed */
    os_close(&file);
}

static uint64_t malloc_count, malloc_fails_at;
static void *failing_malloc(lsm_env *e, size_t size) {
    if (++malloc_count == malloc_fails_at) return NULL;
    return lsm_default_env()->xMalloc(e, size);
}
static void *failing_realloc(lsm_env *e, void *block, size_t size) {
    if (++malloc_count == malloc_fails_at) return NULL;
    return lsm_default_env()->xRealloc(e, block, size);
}

TEST(each_failed_allocation_of_the_region_is_reported) {
    lsm_env copy = *lsm_default_env();
    uint64_t n;
    int rc = LSM_NOMEM;

    copy.xMalloc = failing_malloc;
    copy.xRealloc = failing_realloc;
    for (n = 1; rc == LSM_NOMEM; n++) {
        struct os_file file = {0};
        void *address = NULL;
        int chunk;
        CHECK(n < 20);
        malloc_fails_at = 0;
        CHECK_OK(os_open(&copy, test_path("db"), 0, &file));
        malloc_count = 0;
        malloc_fails_at = n;
        rc = LSM_OK;
        for (chunk = 0; chunk < 40 && rc == LSM_OK; chunk++) {
            rc = copy.xShmMap(file.file, chunk, 32768, &address);
        }
        if (rc == LSM_OK) rc = copy.xShmUnmap(file.file, 1);
        if (rc != LSM_OK) CHECK_RC(rc, LSM_NOMEM);
        os_close(&file);
    }
    CHECK(n > 4);
}

TEST_MAIN()
