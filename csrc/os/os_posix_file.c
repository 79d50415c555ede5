/*
** os_posix_file.c — files of the default environment on POSIX systems: open, read, write, sync,
** map.
**
** INVARIANTS  (I1) A write is complete or has failed: short writes go on where they stopped, and
**             one that makes no progress is an error.
**             (I2) Descriptors are close-on-exec; a child made by fork and exec inherits nothing.
**             (I3) Only xTruncate makes a file shorter.
** OWNERSHIP   An lsm_file and everything mapped through xRemap or xShmMap lives until xClose.
**             Windows of os_default_map belong to the caller and outlive the file.
** ERRORS      LSM_FULL for a full device or quota, LSM_IOERR_NOENT for a missing file or directory
**             (open and unlink only), else LSM_IOERR; the errno is kept for os_last_error.
*/
#define _FILE_OFFSET_BITS 64

#include "os/os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/statfs.h>
#endif
#include <unistd.h>

#include "base/checked.h"
#include "base/memory.h"

static_assert(sizeof(off_t) >= 8, "offsets of files take 64 bits");

/* ------------------------------------------------------------------------------- open, close -- */

/* The working directory in a block of `env`. */
static int working_directory(lsm_env *env, char **out) {
    size_t capacity = 256;
    char *text = NULL;
    int rc = LSM_OK;

    for (;;) {
        text = memory_allocate(env, capacity);
        if (!text) {
            rc = LSM_NOMEM;
            goto done;
        }
        if (getcwd(text, capacity)) break;
        rc = errno == ERANGE ? LSM_OK : os_error_code(errno);
        memory_free(env, text);
        text = NULL;
        if (rc != LSM_OK) goto done;
        capacity *= 2;
    }
    *out = text;
done:
    return rc;
}

int os_file_full_path(lsm_env *env, const char *relative, char *out, int *size) {
    size_t relative_size = strlen(relative);
    size_t folder_size = 0;
    size_t needed;
    char *folder = NULL;
    int rc = LSM_OK;

    if (relative[0] != '/') {
        rc = working_directory(env, &folder);
        if (rc != LSM_OK) goto done;
        folder_size = strlen(folder);
        if (folder_size == 1) folder_size = 0; /* "/": the slash between the two is enough */
    }
    needed = folder_size + (folder ? 1 : 0) + relative_size + 1;
    if (needed > (size_t)INT32_MAX) {
        rc = LSM_IOERR;
        goto done;
    }
    if (out && *size >= 0 && needed <= (size_t)*size) {
        if (folder) {
            memcpy(out, folder, folder_size);
            out[folder_size] = '/';
            out += folder_size + 1;
        }
        memcpy(out, relative, relative_size + 1);
    }
    *size = (int)needed;
done:
    memory_free(env, folder);
    return rc;
}

int os_file_open(lsm_env *env, const char *path, int flags, lsm_file **out) {
    size_t path_size = strlen(path) + 1;
    bool read_only = (flags & LSM_OPEN_READONLY) != 0;
    struct lsm_file *file = NULL;
    struct stat status;
    int rc = LSM_OK;

    *out = NULL;
    file = memory_allocate_zero(env, sizeof *file + path_size);
    if (!file) return LSM_NOMEM;
    file->env = env;
    file->path = (char *)(file + 1);
    file->read_only = read_only;
    file->shm_fd = -1;
    memcpy(file->path, path, path_size);
    do {
        file->fd = open(path, (read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0644);
    } while (file->fd < 0 && errno == EINTR);
    if (file->fd < 0) {
        rc = errno == ENOENT ? LSM_IOERR_NOENT : LSM_IOERR;
        os_error_note(errno);
        goto done;
    }
    /* Reading a directory opens it all right; say at once that it is not a file. */
    if (fstat(file->fd, &status) != 0) {
        rc = os_error_code(errno);
        goto done;
    }
    if (S_ISDIR(status.st_mode)) {
        rc = os_error_code(EISDIR);
        goto done;
    }
    *out = file;
    file = NULL;
done:
    if (file) {
        if (file->fd >= 0) (void)close(file->fd); /* nothing was written through it */
        memory_free(env, file);
    }
    return rc;
}

static int drop_map(struct lsm_file *file) {
    int rc = LSM_OK;

    if (file->map && munmap(file->map, (size_t)file->map_size) != 0) rc = os_error_code(errno);
    file->map = NULL;
    file->map_size = 0;
    return rc;
}

int os_file_close(lsm_file *file) {
    int rc, rc_next;

    rc = drop_map(file);
    rc_next = os_file_shm_unmap(file, 0);
    if (rc == LSM_OK) rc = rc_next;
    /* After EINTR the descriptor is gone on every system we build for: closing again could close a
    ** descriptor that another thread has just been given. */
    if (close(file->fd) != 0 && errno != EINTR && rc == LSM_OK) rc = os_error_code(errno);
    memory_free(file->env, file);
    return rc;
}

int os_file_unlink(lsm_env *env, const char *path) {
    (void)env;
    if (unlink(path) == 0) return LSM_OK;
    if (errno != ENOENT) return os_error_code(errno);
    os_error_note(errno);
    return LSM_IOERR_NOENT;
}

/* ------------------------------------------------------------------------------- read, write -- */

int os_file_read(lsm_file *file, lsm_i64 offset, void *data, int size) {
    uint8_t *at = data;
    size_t left = (size_t)size;

    if (offset < 0 || size < 0) return LSM_MISUSE;
    while (left > 0) {
        ssize_t got = pread(file->fd, at, left, (off_t)offset);
        if (got < 0) {
            if (errno == EINTR) continue;
            return os_error_code(errno);
        }
        if (got == 0) break;
        at += got;
        offset += got;
        left -= (size_t)got;
    }
    if (left > 0) memset(at, 0, left); /* past the end */
    return LSM_OK;
}

int os_file_write(lsm_file *file, lsm_i64 offset, void *data, int size) {
    const uint8_t *at = data;
    size_t left = (size_t)size;

    if (offset < 0 || size < 0) return LSM_MISUSE;
    while (left > 0) {
        ssize_t put = pwrite(file->fd, at, left, (off_t)offset);
        if (put < 0) {
            if (errno == EINTR) continue;
            return os_error_code(errno);
        }
        if (put == 0) return os_error_code(EIO); /* (I1) */
        at += put;
        offset += put;
        left -= (size_t)put;
    }
    return LSM_OK;
}

int os_default_file_size(lsm_file *file, uint64_t *size) {
    struct stat status;

    if (fstat(file->fd, &status) != 0) return os_error_code(errno);
    if (status.st_size < 0) return os_error_code(EOVERFLOW);
    *size = (uint64_t)status.st_size;
    return LSM_OK;
}

int os_file_truncate(lsm_file *file, lsm_i64 size) {
    uint64_t old_size = 0;
    int rc;

    if (size < 0) return LSM_MISUSE;
    rc = os_default_file_size(file, &old_size);
    if (rc != LSM_OK || old_size <= (uint64_t)size) return rc; /* (I3): and never longer */
    while (ftruncate(file->fd, (off_t)size) != 0) {
        if (errno != EINTR) return os_error_code(errno);
    }
    return LSM_OK;
}

int os_posix_sync(int fd) {
    int result;

#ifdef __APPLE__
    /* fsync leaves the data in the drive's own memory there. File systems that do not know the
    ** stronger call (network, some FUSE) answer ENOTSUP or the like. */
    do {
        result = fcntl(fd, F_FULLFSYNC);
    } while (result != 0 && errno == EINTR);
    if (result == 0) return LSM_OK;
    if (errno != ENOTSUP && errno != EINVAL && errno != ENOTTY) return os_error_code(errno);
#endif
    do {
#ifdef __linux__
        result = fdatasync(fd); /* the size counts as data when it is needed to read them back */
#else
        result = fsync(fd);
#endif
    } while (result != 0 && errno == EINTR);
    return result == 0 ? LSM_OK : os_error_code(errno);
}

int os_file_sync(lsm_file *file) {
    /* What was stored through a shared mapping need not be known to fsync before msync. */
    if (file->map && !file->read_only && msync(file->map, (size_t)file->map_size, MS_SYNC) != 0) {
        return os_error_code(errno);
    }
    return os_posix_sync(file->fd);
}

int os_file_sector_size(lsm_file *file) {
    (void)file;
    return 512;
}

int os_file_identity(lsm_file *file, void *out, int *size) {
    struct stat status;
    uint64_t id[2];

    if (fstat(file->fd, &status) != 0) return os_error_code(errno);
    id[0] = (uint64_t)status.st_dev;
    id[1] = (uint64_t)status.st_ino;
    if (out && *size >= (int)sizeof id) memcpy(out, id, sizeof id);
    *size = (int)sizeof id;
    return LSM_OK;
}

int os_default_path_id(const char *path, uint64_t id[2]) {
    struct stat status;

    if (stat(path, &status) != 0) return LSM_IOERR; /* nobody asks why */
    id[0] = (uint64_t)status.st_dev;
    id[1] = (uint64_t)status.st_ino;
    return LSM_OK;
}

/* -------------------------------------------------------------------------- growing, mapping -- */

int os_posix_extend(int fd, uint64_t old_size, uint64_t size) {
    assert(old_size < size && size <= (uint64_t)INT64_MAX);
#ifdef __linux__
    for (;;) {
        if (fallocate(fd, 0, (off_t)old_size, (off_t)(size - old_size)) == 0) return LSM_OK;
        if (errno == EINTR) continue;
        if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL) return os_error_code(errno);
        break; /* this file system cannot */
    }
#elif defined(__APPLE__)
    {
        fstore_t store = {0};
        store.fst_flags = F_ALLOCATEALL;
        store.fst_posmode = F_PEOFPOSMODE;
        store.fst_length = (off_t)(size - old_size);
        if (fcntl(fd, F_PREALLOCATE, &store) != 0 && errno != ENOTSUP && errno != EINVAL &&
            errno != ENOTTY) {
            return os_error_code(errno);
        }
    }
#endif
    while (ftruncate(fd, (off_t)size) != 0) {
        if (errno != EINTR) return os_error_code(errno);
    }
    return LSM_OK;
}

int os_default_reserve(lsm_file *file, uint64_t size) {
    uint64_t old_size = 0;
    int rc;

    rc = os_default_file_size(file, &old_size);
    if (rc != LSM_OK || old_size >= size) return rc;
    if (size > (uint64_t)INT64_MAX) return os_error_code(EFBIG);
    return os_posix_extend(file->fd, old_size, size);
}

int os_file_remap(lsm_file *file, lsm_i64 size_min, void **address, lsm_i64 *size) {
    uint64_t file_size = 0;
    void *map;
    int rc;

    rc = drop_map(file);
    if (size_min < 0 || rc != LSM_OK) goto empty;
    rc = os_default_file_size(file, &file_size);
    if (rc != LSM_OK) goto empty;
    if (file_size < (uint64_t)size_min && !file->read_only) {
        if (size_min > INT64_MAX - (1 << 20)) {
            rc = os_error_code(EFBIG);
            goto empty;
        }
        /* Really allocated: a store into a hole of a full device would be a SIGBUS. */
        file_size = os_remap_size((uint64_t)size_min);
        rc = os_default_reserve(file, file_size);
        if (rc != LSM_OK) goto empty;
    }
    if (file_size == 0) goto empty;
    if (file_size > SIZE_MAX / 2) {
        rc = os_error_code(ENOMEM);
        goto empty;
    }
    map = mmap(NULL, (size_t)file_size, file->read_only ? PROT_READ : PROT_READ | PROT_WRITE,
               MAP_SHARED, file->fd, 0);
    if (map == MAP_FAILED) {
        rc = os_error_code(errno);
        goto empty;
    }
    file->map = map;
    file->map_size = file_size;
    *address = map;
    *size = (lsm_i64)file_size;
    return LSM_OK;
empty:
    /* The old mapping is gone in any case, and nobody may go on using its address. */
    *address = NULL;
    *size = 0;
    return rc;
}

int os_default_map(lsm_file *file, uint64_t offset, size_t size, void **address) {
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, file->fd, (off_t)offset);
    if (map == MAP_FAILED) return os_error_code(errno);
    /* Else a lookup that misses memory fetches as much as the device reads ahead, up to megabytes, and throws out what
    ** others need. Pages that are in memory already are mapped several at a time all the same. */
    (void)madvise(map, size, MADV_RANDOM);
    *address = map;
    return LSM_OK;
}

/* Is it in memory? Both ends are looked at: more would cost scans of what is in memory several per cent. */
static bool is_resident(uintptr_t begin, size_t size) {
#if defined(__linux__)
    size_t page_size = os_map_granularity();
    unsigned char there = 1;
    size_t i;

    for (i = 0; i < 2 && there & 1; i++) {
        uintptr_t at = (begin + (size - 1) * i) & ~(uintptr_t)(page_size - 1);
        if (mincore((void *)at, page_size, &there) != 0) return false;
    }
    return there & 1;
#else
    (void)begin, (void)size;
    return false;
#endif
}

void os_default_will_read(const void *address, size_t size) {
    uintptr_t begin = (uintptr_t)address & ~(uintptr_t)(os_map_granularity() - 1);

    size += (uintptr_t)address - begin;
    if (!is_resident(begin, size)) (void)madvise((void *)begin, size, MADV_WILLNEED);
}

#ifdef __linux__

/*
** File systems that keep a block where it was once allocated, so that a store never needs a new one. Those that copy
** on write (btrfs, ZFS, XFS after a file was cloned) do need one and answer a store on a full disk with a signal;
** of network and stacked ones nobody knows.
*/
static bool keeps_blocks(int fd) {
    struct statfs status;

    if (fstatfs(fd, &status) != 0) return false;
    return (uint32_t)status.f_type == 0xef53 /* ext2, ext3, ext4 */ ||
           (uint32_t)status.f_type == 0x01021994 /* tmpfs */;
}

int os_default_map_stored(lsm_file *file, size_t size, void **address) {
    uint64_t old_size = 0;
    void *map;
    int result;

    if (sizeof(void *) < 8 || file->read_only || file->env->xWrite != os_file_write || !keeps_blocks(file->fd)) {
        return LSM_ERROR;
    }
    /* Holes, too: what is there already stays as it is. Never the C library's imitation, which writes. */
    do {
        result = fallocate(file->fd, 0, 0, (off_t)size);
    } while (result != 0 && errno == EINTR);
    if (result != 0) return os_error_code(errno);
    if (os_default_file_size(file, &old_size) != LSM_OK || old_size < size) return LSM_ERROR;
    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
    if (map == MAP_FAILED) return os_error_code(errno);
    *address = map;
    return LSM_OK;
}

void os_default_start_writing(lsm_file *file, uint64_t offset, size_t size) {
    (void)sync_file_range(file->fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

#else

int os_default_map_stored(lsm_file *file, size_t size, void **address) {
    (void)file, (void)size, (void)address;
    return LSM_ERROR;
}

void os_default_start_writing(lsm_file *file, uint64_t offset, size_t size) {
    (void)file, (void)offset, (void)size;
}

#endif

int os_default_unmap(void *address, size_t size) {
    return munmap(address, size) == 0 ? LSM_OK : os_error_code(errno);
}

size_t os_map_granularity(void) {
    long size = sysconf(_SC_PAGESIZE);
    return size > 0 ? (size_t)size : 4096;
}
