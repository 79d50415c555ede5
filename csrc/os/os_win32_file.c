/*
** os_win32_file.c — files of the default environment on Windows: open, read, write, sync, map.
**
** INVARIANTS  (I1) A write is complete or has failed: short writes go on where they stopped, and
**             one that makes no progress is an error.
**             (I2) Handles are not inherited by child processes.
**             (I3) Only xTruncate makes a file shorter.
**             (I4) No call depends on a handle's file position: offsets travel with each call.
** OWNERSHIP   An lsm_file and everything mapped through xRemap or xShmMap lives until xClose.
**             Windows of os_default_map belong to the caller and outlive the file.
** ERRORS      LSM_FULL for a full device or quota, LSM_IOERR_NOENT for a missing file or directory
**             (open and unlink only), else LSM_IOERR; GetLastError is kept for os_last_error.
*/
#include "os/os_internal.h"

#include "base/memory.h"

#define PATH_PREFIX_LENGTH 8 /* of the longer one, \\?\UNC\ */

static int last_code(void) {
    return os_error_code((int)GetLastError());
}

static bool is_missing(DWORD error) {
    return error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND;
}

/* ------------------------------------------------------------------------------------- paths -- */

static int wide_of_utf8(lsm_env *env, const char *text, WCHAR **out) {
    WCHAR *wide = NULL;
    int count;

    count = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    if (count <= 0) return last_code();
    wide = memory_allocate(env, (size_t)count * sizeof *wide);
    if (!wide) return LSM_NOMEM;
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, count) != count) {
        int rc = last_code();
        memory_free(env, wide);
        return rc;
    }
    *out = wide;
    return LSM_OK;
}

/* The absolute form of `wide`, with PATH_PREFIX_LENGTH unused characters in front of it. */
static int absolute_of_wide(lsm_env *env, const WCHAR *wide, WCHAR **out, DWORD *length) {
    WCHAR *block = NULL;
    DWORD capacity, used;
    int rc = LSM_OK;

    capacity = GetFullPathNameW(wide, 0, NULL, NULL); /* with NUL */
    for (;;) {
        if (capacity == 0) {
            rc = last_code();
            goto done;
        }
        block = memory_allocate(env, (PATH_PREFIX_LENGTH + (size_t)capacity) * sizeof *block);
        if (!block) {
            rc = LSM_NOMEM;
            goto done;
        }
        used = GetFullPathNameW(wide, capacity, block + PATH_PREFIX_LENGTH, NULL);
        if (used > 0 && used < capacity) break;
        capacity = used; /* 0: failed; more: the working directory has changed */
        memory_free(env, block);
        block = NULL;
    }
    *out = block;
    *length = used;
    block = NULL;
done:
    memory_free(env, block);
    return rc;
}

int os_win32_path(lsm_env *env, const char *path, WCHAR **out) {
    WCHAR *wide = NULL;
    WCHAR *block = NULL;
    WCHAR *at;
    DWORD length = 0;
    int rc;

    rc = wide_of_utf8(env, path, &wide);
    if (rc != LSM_OK) goto done;
    rc = absolute_of_wide(env, wide, &block, &length);
    if (rc != LSM_OK) goto done;
    at = block + PATH_PREFIX_LENGTH;
    /* Without the prefix a path may have MAX_PATH characters, and "-log" or "-shm" is still to
    ** come. */
    if (length >= MAX_PATH - 12 && !(at[0] == L'\\' && at[1] == L'\\' && at[2] == L'?')) {
        if (at[0] == L'\\' && at[1] == L'\\') {
            at -= 6; /* \\server\share -> \\?\UNC\server\share */
            memcpy(at, L"\\\\?\\UNC\\", 8 * sizeof *at);
            length += 6;
        } else {
            at -= 4;
            memcpy(at, L"\\\\?\\", 4 * sizeof *at);
            length += 4;
        }
    }
    memmove(block, at, ((size_t)length + 1) * sizeof *at);
    *out = block;
    block = NULL;
done:
    memory_free(env, block);
    memory_free(env, wide);
    return rc;
}

int os_file_full_path(lsm_env *env, const char *relative, char *out, int *size) {
    WCHAR *wide = NULL;
    WCHAR *block = NULL;
    DWORD length = 0;
    int needed;
    int rc;

    rc = wide_of_utf8(env, relative, &wide);
    if (rc != LSM_OK) goto done;
    rc = absolute_of_wide(env, wide, &block, &length);
    if (rc != LSM_OK) goto done;
    needed = WideCharToMultiByte(CP_UTF8, 0, block + PATH_PREFIX_LENGTH, -1, NULL, 0, NULL, NULL);
    if (needed <= 0) {
        rc = last_code();
        goto done;
    }
    if (out && *size >= needed) {
        needed =
            WideCharToMultiByte(CP_UTF8, 0, block + PATH_PREFIX_LENGTH, -1, out, *size, NULL, NULL);
        if (needed <= 0) {
            rc = last_code();
            goto done;
        }
    }
    *size = needed;
done:
    memory_free(env, block);
    memory_free(env, wide);
    return rc;
}

/* ------------------------------------------------------------------------------- open, close -- */

HANDLE os_win32_open(const WCHAR *path, DWORD access, DWORD disposition, DWORD attributes) {
    HANDLE handle;
    DWORD attempt = 0;

    for (;;) {
        handle = CreateFileW(path, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                             NULL, disposition, attributes, NULL);
        if (handle != INVALID_HANDLE_VALUE || GetLastError() != ERROR_SHARING_VIOLATION) break;
        if (++attempt > OS_OPEN_RETRIES) {
            SetLastError(ERROR_SHARING_VIOLATION);
            break;
        }
        Sleep(OS_OPEN_RETRY_MS * attempt);
    }
    return handle;
}

int os_file_open(lsm_env *env, const char *path, int flags, lsm_file **out) {
    size_t path_size = strlen(path) + 1;
    bool read_only = (flags & LSM_OPEN_READONLY) != 0;
    struct lsm_file *file = NULL;
    WCHAR *wide = NULL;
    int rc;

    *out = NULL;
    file = memory_allocate_zero(env, sizeof *file + path_size);
    if (!file) return LSM_NOMEM;
    file->env = env;
    file->path = (char *)(file + 1);
    file->read_only = read_only;
    file->shm_handle = INVALID_HANDLE_VALUE;
    memcpy(file->path, path, path_size);
    rc = os_win32_path(env, path, &wide);
    if (rc != LSM_OK) goto done;
    file->handle = os_win32_open(wide, read_only ? GENERIC_READ : GENERIC_READ | GENERIC_WRITE,
                                 read_only ? OPEN_EXISTING : OPEN_ALWAYS,
                                 FILE_ATTRIBUTE_NORMAL | FILE_FLAG_RANDOM_ACCESS);
    if (file->handle == INVALID_HANDLE_VALUE) {
        DWORD error = GetLastError();
        rc = os_error_code((int)error);
        if (is_missing(error)) rc = LSM_IOERR_NOENT;
        goto done;
    }
    *out = file;
    file = NULL;
done:
    memory_free(env, wide);
    memory_free(env, file);
    return rc;
}

static int drop_map(struct lsm_file *file) {
    int rc = LSM_OK;

    if (file->map && !UnmapViewOfFile(file->map)) rc = last_code();
    file->map = NULL;
    file->map_size = 0;
    return rc;
}

int os_file_close(lsm_file *file) {
    int rc, rc_next;

    rc = drop_map(file);
    rc_next = os_file_shm_unmap(file, 0);
    if (rc == LSM_OK) rc = rc_next;
    if (!CloseHandle(file->handle) && rc == LSM_OK) rc = last_code();
    memory_free(file->env, file);
    return rc;
}

int os_win32_delete(lsm_env *env, const char *path) {
    WCHAR *wide = NULL;
    DWORD attempt = 0;
    int rc;

    rc = os_win32_path(env, path, &wide);
    if (rc != LSM_OK) return rc;
    while (!DeleteFileW(wide)) {
        DWORD error = GetLastError();
        if (error == ERROR_SHARING_VIOLATION && ++attempt <= OS_OPEN_RETRIES) {
            Sleep(OS_OPEN_RETRY_MS * attempt);
            continue;
        }
        rc = os_error_code((int)error);
        if (is_missing(error)) rc = LSM_IOERR_NOENT;
        break;
    }
    memory_free(env, wide);
    return rc;
}

int os_file_unlink(lsm_env *env, const char *path) {
    return os_win32_delete(env, path);
}

/* ------------------------------------------------------------------------------- read, write -- */

/* (I4) */
static OVERLAPPED at_offset(uint64_t offset) {
    OVERLAPPED place = {0};
    place.Offset = (DWORD)offset;
    place.OffsetHigh = (DWORD)(offset >> 32);
    return place;
}

int os_file_read(lsm_file *file, lsm_i64 offset, void *data, int size) {
    uint8_t *at = data;
    size_t left = (size_t)size;

    if (offset < 0 || size < 0) return LSM_MISUSE;
    while (left > 0) {
        OVERLAPPED place = at_offset((uint64_t)offset);
        DWORD got = 0;
        if (!ReadFile(file->handle, at, (DWORD)left, &got, &place)) {
            if (GetLastError() != ERROR_HANDLE_EOF) return last_code();
            got = 0;
        }
        if (got == 0) break;
        at += got;
        offset += got;
        left -= got;
    }
    if (left > 0) memset(at, 0, left); /* past the end */
    return LSM_OK;
}

int os_file_write(lsm_file *file, lsm_i64 offset, void *data, int size) {
    const uint8_t *at = data;
    size_t left = (size_t)size;

    if (offset < 0 || size < 0) return LSM_MISUSE;
    while (left > 0) {
        OVERLAPPED place = at_offset((uint64_t)offset);
        DWORD put = 0;
        if (!WriteFile(file->handle, at, (DWORD)left, &put, &place)) return last_code();
        if (put == 0) return os_error_code(ERROR_WRITE_FAULT); /* (I1) */
        at += put;
        offset += put;
        left -= put;
    }
    return LSM_OK;
}

int os_default_file_size(lsm_file *file, uint64_t *size) {
    LARGE_INTEGER found;

    if (!GetFileSizeEx(file->handle, &found)) return last_code();
    if (found.QuadPart < 0) return os_error_code(ERROR_ARITHMETIC_OVERFLOW);
    *size = (uint64_t)found.QuadPart;
    return LSM_OK;
}

static int set_size(HANDLE handle, uint64_t size) {
    FILE_END_OF_FILE_INFO end;

    end.EndOfFile.QuadPart = (LONGLONG)size;
    if (!SetFileInformationByHandle(handle, FileEndOfFileInfo, &end, sizeof end))
        return last_code();
    return LSM_OK;
}

int os_file_truncate(lsm_file *file, lsm_i64 size) {
    uint64_t old_size = 0;
    int rc;

    if (size < 0) return LSM_MISUSE;
    rc = os_default_file_size(file, &old_size);
    if (rc != LSM_OK || old_size <= (uint64_t)size) return rc; /* (I3): and never longer */
    return set_size(file->handle, (uint64_t)size);
}

int os_file_sync(lsm_file *file) {
    /* Through a read-only handle nothing was written, and the call needs the right to write. */
    if (file->read_only) return LSM_OK;
    if (file->map && !FlushViewOfFile(file->map, 0)) return last_code();
    return FlushFileBuffers(file->handle) ? LSM_OK : last_code();
}

int os_file_sector_size(lsm_file *file) {
    (void)file;
    return 512;
}

static int identity_of(HANDLE handle, uint64_t id[2]) {
    BY_HANDLE_FILE_INFORMATION information;

    if (!GetFileInformationByHandle(handle, &information)) return last_code();
    id[0] = information.dwVolumeSerialNumber;
    id[1] = ((uint64_t)information.nFileIndexHigh << 32) | information.nFileIndexLow;
    return LSM_OK;
}

int os_default_path_id(const char *path, uint64_t id[2]) {
    lsm_env *env = lsm_default_env();
    HANDLE handle = INVALID_HANDLE_VALUE;
    WCHAR *wide = NULL;
    int rc;

    rc = os_win32_path(env, path, &wide);
    if (rc != LSM_OK) return rc;
    /* No access is asked for: locks of others are no obstacle, and closing gives none of ours up. */
    handle = CreateFileW(wide, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
                         FILE_FLAG_BACKUP_SEMANTICS, NULL);
    rc = handle == INVALID_HANDLE_VALUE ? LSM_IOERR : identity_of(handle, id);
    if (handle != INVALID_HANDLE_VALUE) (void)CloseHandle(handle);
    memory_free(env, wide);
    return rc;
}

int os_file_identity(lsm_file *file, void *out, int *size) {
    uint64_t id[2];
    int rc = identity_of(file->handle, id);

    if (rc != LSM_OK) return rc;
    if (out && *size >= (int)sizeof id) memcpy(out, id, sizeof id);
    *size = (int)sizeof id;
    return LSM_OK;
}

/* -------------------------------------------------------------------------- growing, mapping -- */

int os_default_reserve(lsm_file *file, uint64_t size) {
    FILE_ALLOCATION_INFO allocation;
    uint64_t old_size = 0;
    int rc;

    rc = os_default_file_size(file, &old_size);
    if (rc != LSM_OK || old_size >= size) return rc;
    if (size > (uint64_t)INT64_MAX) return os_error_code(ERROR_FILE_TOO_LARGE);
    /* Allocate first: on a full device the file then stays as it was. Not every file system can. */
    allocation.AllocationSize.QuadPart = (LONGLONG)size;
    if (!SetFileInformationByHandle(file->handle, FileAllocationInfo, &allocation,
                                    sizeof allocation)) {
        rc = last_code();
        if (rc == LSM_FULL) return rc;
    }
    return set_size(file->handle, size);
}

/* Map bytes [offset, offset + size) of a file that is at least so long. */
static int map_view(HANDLE handle, bool read_only, uint64_t offset, size_t size, void **address) {
    HANDLE mapping;
    void *view;
    int rc = LSM_OK;

    mapping =
        CreateFileMappingW(handle, NULL, read_only ? PAGE_READONLY : PAGE_READWRITE, 0, 0, NULL);
    if (!mapping) return last_code();
    view = MapViewOfFile(mapping, read_only ? FILE_MAP_READ : FILE_MAP_READ | FILE_MAP_WRITE,
                         (DWORD)(offset >> 32), (DWORD)offset, size);
    if (view) *address = view;
    else rc = last_code();
    (void)CloseHandle(mapping); /* the view keeps what it needs */
    return rc;
}

int os_file_remap(lsm_file *file, lsm_i64 size_min, void **address, lsm_i64 *size) {
    uint64_t file_size = 0;
    void *view = NULL;
    int rc;

    rc = drop_map(file);
    if (size_min < 0 || rc != LSM_OK) goto empty;
    rc = os_default_file_size(file, &file_size);
    if (rc != LSM_OK) goto empty;
    if (file_size < (uint64_t)size_min && !file->read_only) {
        if (size_min > INT64_MAX - (1 << 20)) {
            rc = os_error_code(ERROR_FILE_TOO_LARGE);
            goto empty;
        }
        file_size = os_remap_size((uint64_t)size_min);
        rc = os_default_reserve(file, file_size);
        if (rc != LSM_OK) goto empty;
    }
    if (file_size == 0) goto empty;
    if (file_size > SIZE_MAX / 2) {
        rc = os_error_code(ERROR_NOT_ENOUGH_MEMORY);
        goto empty;
    }
    rc = map_view(file->handle, file->read_only, 0, (size_t)file_size, &view);
    if (rc != LSM_OK) goto empty;
    file->map = view;
    file->map_size = file_size;
    *address = view;
    *size = (lsm_i64)file_size;
    return LSM_OK;
empty:
    /* The old mapping is gone in any case, and nobody may go on using its address. */
    *address = NULL;
    *size = 0;
    return rc;
}

int os_default_map(lsm_file *file, uint64_t offset, size_t size, void **address) {
    return map_view(file->handle, true, offset, size, address);
}

/* PrefetchVirtualMemory is missing before Windows 8, and mapped files are read in clusters there. */
void os_default_will_read(const void *address, size_t size) {
    (void)address, (void)size;
}

void os_default_start_writing(lsm_file *file, uint64_t offset, size_t size) {
    (void)file, (void)offset, (void)size;
}

int os_default_map_stored(lsm_file *file, size_t size, void **address) {
    (void)file, (void)size, (void)address;
    return LSM_ERROR;
}

int os_default_unmap(void *address, size_t size) {
    (void)size;
    return UnmapViewOfFile(address) ? LSM_OK : last_code();
}

size_t os_map_granularity(void) {
    SYSTEM_INFO information;

    GetSystemInfo(&information);
    return information.dwAllocationGranularity;
}
