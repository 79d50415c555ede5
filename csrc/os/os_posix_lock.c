/*
** os_posix_lock.c — locks between processes, and the shared region, on POSIX systems.
**
** FORMAT      Lock n is one byte of the database file, 4096 - n: an fcntl read lock is shared, a
**             write lock exclusive. The region is the file "<database>-shm", one chunk after the
**             other.
** INVARIANTS  (I1) Nothing waits: a conflict is LSM_BUSY at once.
**             (I2) The region's file is at least as long as every chunk that was handed out, so no
**             access to a chunk can be a SIGBUS; it is never made shorter.
**             (I3) A chunk keeps its address until xShmUnmap.
** LOCKING     These locks belong to the process: closing any descriptor of the database file drops
**             them. The layer above keeps descriptors open and arbitrates between connections of
**             one process; it also serialises the calls on one lsm_file.
** ERRORS      LSM_BUSY; LSM_FULL when the region cannot grow; LSM_IOERR with the errno.
*/
#define _FILE_OFFSET_BITS 64

#include "os/os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

#define SHM_SUFFIX "-shm"

/* ------------------------------------------------------------------------------------- locks -- */

static bool lock_range_is_legal(int lock_no, int count) {
    return lock_no >= 1 && count >= 1 && count <= OS_LOCK_NO_MAX &&
           lock_no <= OS_LOCK_NO_MAX + 1 - count;
}

/* The bytes of locks lock_no .. lock_no + count - 1. */
static struct flock lock_range(int lock_no, int count, int operation) {
    struct flock range = {0};
    range.l_type = operation == LSM_LOCK_EXCL     ? F_WRLCK
                   : operation == LSM_LOCK_SHARED ? F_RDLCK
                                                  : F_UNLCK;
    range.l_whence = SEEK_SET;
    range.l_start = OS_LOCK_OFFSET - lock_no - count + 1;
    range.l_len = count;
    return range;
}

int os_file_lock(lsm_file *file, int lock_no, int operation) {
    struct flock range;

    if (!lock_range_is_legal(lock_no, 1) || operation < LSM_LOCK_UNLOCK ||
        operation > LSM_LOCK_EXCL) {
        return LSM_MISUSE;
    }
    range = lock_range(lock_no, 1, operation);
    /* One call also converts: the kernel exchanges the old kind of lock for the new one atomically.
    ** */
    while (fcntl(file->fd, F_SETLK, &range) != 0) {
        if (errno == EINTR) continue;
        if (errno != EACCES && errno != EAGAIN) return os_error_code(errno);
        os_error_note(errno);
        return LSM_BUSY;
    }
    return LSM_OK;
}

int os_file_test_lock(lsm_file *file, int lock_no, int count, int operation) {
    struct flock range;

    if (!lock_range_is_legal(lock_no, count) ||
        (operation != LSM_LOCK_SHARED && operation != LSM_LOCK_EXCL)) {
        return LSM_MISUSE;
    }
    range = lock_range(lock_no, count, operation);
    while (fcntl(file->fd, F_GETLK, &range) != 0) {
        if (errno != EINTR) return os_error_code(errno);
    }
    return range.l_type == F_UNLCK ? LSM_OK : LSM_BUSY;
}

/* ----------------------------------------------------------------------------- shared region -- */

static char *shm_path(const struct lsm_file *file) {
    size_t size = strlen(file->path) + sizeof SHM_SUFFIX;
    char *path = memory_allocate(file->env, size);
    if (path) (void)snprintf(path, size, "%s%s", file->path, SHM_SUFFIX);
    return path;
}

static int shm_open_file(struct lsm_file *file) {
    char *path;
    int rc = LSM_OK;

    if (file->shm_fd >= 0) return LSM_OK;
    path = shm_path(file);
    if (!path) return LSM_NOMEM;
    do {
        file->shm_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    } while (file->shm_fd < 0 && errno == EINTR);
    if (file->shm_fd < 0) rc = os_error_code(errno);
    memory_free(file->env, path);
    return rc;
}

/* (I2). Extending must not shorten what another process has extended further in the same moment:
** the allocating call never does; where it is missing, growth is serialised by the locks of the
** layer above. */
static int shm_grow(struct lsm_file *file, uint64_t size) {
    struct stat status;
    int rc = LSM_OK;

    if (size <= file->shm_size) return LSM_OK;
    if (fstat(file->shm_fd, &status) != 0) return os_error_code(errno);
    if ((uint64_t)status.st_size < size) {
        rc = os_posix_extend(file->shm_fd, (uint64_t)status.st_size, size);
    }
    if (rc == LSM_OK) file->shm_size = size;
    return rc;
}

int os_file_shm_map(lsm_file *file, int chunk, int size, void **address) {
    struct os_shm_place place = {0};
    void *window;
    int rc;

    rc = os_shm_place(chunk, size, os_shm_granularity(), &place);
    if (rc != LSM_OK) goto done;
    if (file->shm_chunk_size != 0 && file->shm_chunk_size != (uint32_t)size) {
        rc = LSM_MISUSE;
        goto done;
    }
    rc = shm_open_file(file);
    if (rc != LSM_OK) goto done;
    rc = os_shm_reserve_windows(file, place.window + 1);
    if (rc != LSM_OK) goto done;
    rc = shm_grow(file, place.chunk_end);
    if (rc != LSM_OK) goto done;
    window = file->shm_windows[place.window];
    if (!window) {
        /* A window may reach beyond the end of the file; only chunks below the end are handed out.
        ** */
        window = mmap(NULL, place.window_size, PROT_READ | PROT_WRITE, MAP_SHARED, file->shm_fd,
                      (off_t)place.window * (off_t)place.window_size);
        if (window == MAP_FAILED) {
            rc = os_error_code(errno);
            goto done;
        }
        file->shm_windows[place.window] = window;
        file->shm_chunk_size = (uint32_t)size;
        file->shm_window_size = place.window_size;
    }
    *address = (uint8_t *)window + place.offset;
done:
    return rc;
}

void os_file_shm_barrier(void) {
    atomic_thread_fence(memory_order_seq_cst);
}

int os_file_shm_unmap(lsm_file *file, int delete_region) {
    uint32_t i;
    int rc = LSM_OK;

    for (i = 0; i < file->shm_window_capacity; i++) {
        if (!file->shm_windows[i]) continue;
        if (munmap(file->shm_windows[i], file->shm_window_size) != 0 && rc == LSM_OK) {
            rc = os_error_code(errno);
        }
    }
    memory_free(file->env, file->shm_windows);
    file->shm_windows = NULL;
    file->shm_window_capacity = 0;
    file->shm_chunk_size = 0;
    file->shm_window_size = 0;
    file->shm_size = 0;
    if (file->shm_fd >= 0 && close(file->shm_fd) != 0 && errno != EINTR && rc == LSM_OK) {
        rc = os_error_code(errno);
    }
    file->shm_fd = -1;
    if (delete_region) {
        char *path = shm_path(file);
        if (!path) {
            if (rc == LSM_OK) rc = LSM_NOMEM;
        } else if (unlink(path) != 0 && errno != ENOENT && rc == LSM_OK) {
            rc = os_error_code(errno);
        }
        memory_free(file->env, path);
    }
    return rc;
}
