/*
** process_facts.c — what the process has used: memory at its most, bytes to and from the disk, sizes of its files.
**
**     anon_peak, file_peak       bytes of own memory, and of mapped files, at their most; looked at 20 times a second
**     disk_read, disk_written    what the kernel fetched, and what it was given to store, in whole pages
**     log_written, data_written  bytes handed to write calls for logs, and for all other files of the folder
**     log_size, data_size        bytes that the files take now
**
** Write calls are counted by standing in front of those of the C library, so every engine is counted alike. What is
** stored through a mapping is only in disk_written.
*/
#include "process_facts.h"

#if defined(__linux__)

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define WATCH_NS 50000000

static char folder[PATH_BYTES]; /* empty: not started */
static atomic_bool counting;

/* -------------------------------------------------------------------------------- write calls -- */

static _Atomic uint64_t log_written;
static _Atomic uint64_t data_written;

static bool is_log(const char *path) {
    size_t size = strlen(path);
    return size > 4 && (strcmp(path + size - 4, "-log") == 0 || strcmp(path + size - 4, ".log") == 0);
}

static long counted(int fd, long written) {
    char link[64];
    char path[PATH_BYTES];
    long size;

    if (!atomic_load_explicit(&counting, memory_order_relaxed) || written <= 0) return written;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return written;
    path[size] = 0;
    if (strncmp(path, folder, strlen(folder)) != 0) return written;
    atomic_fetch_add(is_log(path) ? &log_written : &data_written, (uint64_t)written);
    return written;
}

/* The C library's functions, by their names; visible to the engine's library. */
#define EXPORTED __attribute__((visibility("default")))

EXPORTED ssize_t write(int fd, const void *data, size_t size) {
    return counted(fd, syscall(SYS_write, fd, data, size));
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    return counted(fd, syscall(SYS_pwrite64, fd, data, size, offset));
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    return counted(fd, syscall(SYS_pwrite64, fd, data, size, offset));
}

EXPORTED ssize_t writev(int fd, const struct iovec *parts, int count) {
    return counted(fd, syscall(SYS_writev, fd, parts, count));
}

EXPORTED ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return counted(fd, syscall(SYS_pwritev, fd, parts, count, offset, (long)0));
}

/* ------------------------------------------------------------------------------------- memory -- */

static _Atomic uint64_t anon_peak;
static _Atomic uint64_t file_peak;

/* The number behind `name` in a file of /proc; 0 if there is none. */
static uint64_t proc_number(const char *path, const char *name) {
    char text[8192];
    const char *found;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    long size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    unsigned long long number = 0;

    if (fd >= 0) close(fd);
    if (size <= 0) return 0;
    text[size] = 0;
    found = strstr(text, name);
    if (found == NULL || sscanf(found + strlen(name), " %llu", &number) != 1) return 0;
    return number;
}

static void raise_to(_Atomic uint64_t *peak, uint64_t value) {
    uint64_t known = atomic_load(peak);
    while (known < value && !atomic_compare_exchange_weak(peak, &known, value)) {
    }
}

static void look_at_memory(void) {
    raise_to(&anon_peak, proc_number("/proc/self/status", "\nRssAnon:") * 1024);
    raise_to(&file_peak, proc_number("/proc/self/status", "\nRssFile:") * 1024);
}

static void *watch_memory(void *context) {
    (void)context;
    for (;;) {
        struct timespec pause = {0, WATCH_NS};
        look_at_memory();
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* -------------------------------------------------------------------------------------- files -- */

static uint64_t log_size;
static uint64_t data_size;

static int add_size(const char *path, const struct stat *status, int kind, struct FTW *where) {
    (void)where;
    if (kind != FTW_F) return 0;
    *(is_log(path) ? &log_size : &data_size) += (uint64_t)status->st_blocks * 512;
    return 0;
}

static int forget(const char *path, const struct stat *status, int kind, struct FTW *where) {
    int fd = kind == FTW_F ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    (void)status, (void)where;
    if (fd < 0) return 0;
    (void)fdatasync(fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return 0;
}

void facts_forget_files(void) {
    if (folder[0]) (void)nftw(folder, forget, 16, FTW_PHYS);
}

void facts_start(const char *path) {
    pthread_t thread;

    if (realpath(path, folder) == NULL) return;
    atomic_store(&counting, true);
    if (pthread_create(&thread, NULL, watch_memory, NULL) == 0) pthread_detach(thread);
}

static void print_fact(const char *name, uint64_t value) {
    printf(",\"%s\":%llu", name, (unsigned long long)value);
}

void facts_print(void) {
    if (folder[0] == 0) return;
    look_at_memory();
    log_size = 0;
    data_size = 0;
    (void)nftw(folder, add_size, 16, FTW_PHYS);
    print_fact("anon_peak", atomic_exchange(&anon_peak, 0));
    print_fact("file_peak", atomic_exchange(&file_peak, 0));
    print_fact("disk_read", proc_number("/proc/self/io", "\nread_bytes:"));
    print_fact("disk_written", proc_number("/proc/self/io", "\nwrite_bytes:"));
    print_fact("log_written", atomic_load(&log_written));
    print_fact("data_written", atomic_load(&data_written));
    print_fact("log_size", log_size);
    print_fact("data_size", data_size);
}

#else

void facts_start(const char *path) {
    (void)path;
}

void facts_print(void) {
}

void facts_forget_files(void) {
}

#endif
