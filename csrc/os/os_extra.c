/*
** os_extra.c — what lsm_env lacks, for the default environment: directory sync, random bytes, what
** stands at a path; and the texts and numbers of system errors.
**
** ERRORS      os_last_error is kept per thread, and is 0 after a failure for which the system gave
**             no number.
*/
#ifdef _WIN32
#define _CRT_RAND_S /* before any header: declares rand_s */
#else
#define _FILE_OFFSET_BITS 64
#endif

#include "os/os_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

/* ------------------------------------------------------------------------------- last error -- */

static _Thread_local int last_error;
static _Thread_local bool error_was_noted; /* since os_error_expect */

void os_error_note(int system_error) {
    last_error = system_error;
    error_was_noted = true;
}

int os_last_error(void) {
    return last_error;
}

void os_error_expect(void) {
    error_was_noted = false;
}

void os_error_settle(int rc) {
    if (rc != LSM_OK && !error_was_noted) last_error = 0;
}

/* Copy as much of `text` as fits, cutting between characters of UTF-8. */
static void copy_text(char *out, size_t capacity, const char *text) {
    size_t size = strlen(text);

    if (capacity == 0) return;
    if (size >= capacity) {
        size = capacity - 1;
        while (size > 0 && ((uint8_t)text[size] & 0xc0) == 0x80) size--;
    }
    memcpy(out, text, size);
    out[size] = '\0';
}

#ifdef _WIN32

int os_error_code(int system_error) {
    os_error_note(system_error);
    switch ((DWORD)system_error) {
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
    case ERROR_DISK_QUOTA_EXCEEDED: return LSM_FULL;
    default: return LSM_IOERR;
    }
}

void os_error_text(int system_error, char *out, size_t capacity) {
    WCHAR wide[256];
    char text[sizeof wide / sizeof *wide * 3 + 1]; /* UTF-8 needs at most 3 bytes for each */
    DWORD count;
    int size = 0;

    count = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL,
                           (DWORD)system_error, 0, wide, sizeof wide / sizeof *wide, NULL);
    while (count > 0 && (wide[count - 1] <= L' ' || wide[count - 1] == L'.')) count--;
    if (count > 0) {
        size = WideCharToMultiByte(CP_UTF8, 0, wide, (int)count, text, (int)sizeof text - 1, NULL,
                                   NULL);
    }
    if (size > 0) text[size] = '\0';
    else (void)snprintf(text, sizeof text, "system error %d", system_error);
    copy_text(out, capacity, text);
}

/* ------------------------------------------------------------------- directory, random, path -- */

/* Windows writes directory entries through its journal and has no call to wait for it. */
static int default_sync_directory(lsm_env *env, const char *path) {
    (void)env, (void)path;
    return LSM_OK;
}

static int default_random(void *out, size_t size) {
    uint8_t *at = out;

    while (size > 0) {
        unsigned int number;
        size_t part = size < sizeof number ? size : sizeof number;
        if (rand_s(&number) != 0) return LSM_ERROR;
        memcpy(at, &number, part);
        at += part;
        size -= part;
    }
    return LSM_OK;
}

static int default_path_kind(const char *path, int *kind) {
    lsm_env *env = lsm_default_env();
    WIN32_FILE_ATTRIBUTE_DATA data;
    WCHAR *wide = NULL;
    int rc;

    rc = os_win32_path(env, path, &wide);
    if (rc != LSM_OK) goto done;
    if (GetFileAttributesExW(wide, GetFileExInfoStandard, &data)) {
        *kind = data.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY ? OS_PATH_DIRECTORY
                : data.dwFileAttributes & FILE_ATTRIBUTE_DEVICE  ? OS_PATH_OTHER
                                                                 : OS_PATH_FILE;
    } else {
        DWORD error = GetLastError();
        if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND) *kind = OS_PATH_NONE;
        else rc = os_error_code((int)error);
    }
done:
    memory_free(env, wide);
    return rc;
}

/* Other reparse points are files whose content lies elsewhere: deduplicated, in a cloud. */
static bool default_path_is_link(const char *path) {
    lsm_env *env = lsm_default_env();
    HANDLE found = INVALID_HANDLE_VALUE;
    WIN32_FIND_DATAW data;
    WCHAR *wide = NULL;

    if (os_win32_path(env, path, &wide) == LSM_OK) found = FindFirstFileW(wide, &data);
    memory_free(env, wide);
    if (found == INVALID_HANDLE_VALUE) return false;
    (void)FindClose(found);
    return (data.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0 &&
           data.dwReserved0 == IO_REPARSE_TAG_SYMLINK;
}

#else

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int os_error_code(int system_error) {
    os_error_note(system_error);
    return system_error == ENOSPC || system_error == EDQUOT ? LSM_FULL : LSM_IOERR;
}

void os_error_text(int system_error, char *out, size_t capacity) {
    char text[256] = "";
    const char *found = text;

#if defined(__GLIBC__) && defined(_GNU_SOURCE)
    found = strerror_r(system_error, text, sizeof text);
#else
    if (strerror_r(system_error, text, sizeof text) != 0) text[0] = '\0';
#endif
    if (!found || found[0] == '\0') {
        (void)snprintf(text, sizeof text, "system error %d", system_error);
        found = text;
    }
    copy_text(out, capacity, found);
}

/* ------------------------------------------------------------------- directory, random, path -- */

static int open_again(const char *path, int flags) {
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* Everything before the last slash; "/" and "." where there is nothing before it. */
static char *folder_of(lsm_env *env, const char *path) {
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) : 0;
    char *folder = memory_allocate(env, size + 2);

    if (!folder) return NULL;
    memcpy(folder, path, size);
    if (size == 0) folder[size++] = slash ? '/' : '.';
    folder[size] = '\0';
    return folder;
}

static int default_sync_directory(lsm_env *env, const char *path) {
    char *folder = folder_of(env, path);
    int fd = -1;
    int rc = LSM_OK;

    if (!folder) return LSM_NOMEM;
    fd = open_again(folder, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        rc = errno == ENOENT ? LSM_IOERR_NOENT : LSM_IOERR;
        os_error_note(errno);
        goto done;
    }
    while (fsync(fd) != 0) {
        if (errno == EINTR) continue;
        /* Some file systems have no such thing for a folder; their entries need no sync, or get
        ** none. */
        if (errno != EINVAL && errno != ENOTSUP && errno != EROFS) rc = os_error_code(errno);
        break;
    }
done:
    if (fd >= 0 && close(fd) != 0 && errno != EINTR && rc == LSM_OK) rc = os_error_code(errno);
    memory_free(env, folder);
    return rc;
}

static int default_random(void *out, size_t size) {
    uint8_t *at = out;
    int rc = LSM_OK;
    int fd;

    fd = open_again("/dev/urandom", O_RDONLY);
    if (fd < 0) return os_error_code(errno);
    while (size > 0) {
        ssize_t got = read(fd, at, size);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            rc = os_error_code(got < 0 ? errno : EIO);
            break;
        }
        at += got;
        size -= (size_t)got;
    }
    (void)close(fd); /* only read from */
    return rc;
}

static int default_path_kind(const char *path, int *kind) {
    struct stat status;

    if (stat(path, &status) == 0) {
        *kind = S_ISREG(status.st_mode)   ? OS_PATH_FILE
                : S_ISDIR(status.st_mode) ? OS_PATH_DIRECTORY
                                          : OS_PATH_OTHER;
        return LSM_OK;
    }
    if (errno != ENOENT && errno != ENOTDIR) return os_error_code(errno);
    *kind = OS_PATH_NONE;
    return LSM_OK;
}

static bool default_path_is_link(const char *path) {
    struct stat status;

    return lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

#endif

const struct os_extra os_default_extra = {
    .file_size = os_default_file_size,
    .map = os_default_map,
    .unmap = os_default_unmap,
    .map_stored = os_default_map_stored,
    .will_read = os_default_will_read,
    .start_writing = os_default_start_writing,
    .reserve = os_default_reserve,
    .sync_directory = default_sync_directory,
    .random = default_random,
    .path_kind = default_path_kind,
    .path_is_link = default_path_is_link,
    .path_id = os_default_path_id,
};
