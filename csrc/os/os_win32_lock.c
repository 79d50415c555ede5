/*
** os_win32_lock.c — locks between processes, and the shared region, on Windows.
**
** FORMAT      Lock n is one byte of the database file, 4096 - n, locked by LockFileEx. The region
**             is the file "<database>-shm", one chunk after the other.
** INVARIANTS  (I1) Nothing waits: a conflict is LSM_BUSY at once.
**             (I2) Of each lock this handle holds nothing, one shared or one exclusive lock, as
**             noted in the file's bits. The system would count them: a shared lock over one's own
**             exclusive one is a second lock, and the next unlock removes the exclusive one.
**             (I3) The region's file is as long as every window that is mapped; a chunk keeps its
**             address until xShmUnmap.
** LOCKING     These locks belong to the handle, and they are mandatory: ReadFile and WriteFile of
**             other handles fail on locked bytes. Nobody reads or writes bytes 4067..4095 that way.
**             The layer above arbitrates between connections and serialises the calls on one
**             lsm_file.
** ERRORS      LSM_BUSY; LSM_FULL when the region cannot grow; LSM_IOERR with GetLastError.
*/
#include "os/os_internal.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/memory.h"

#define SHM_SUFFIX "-shm"

/* ------------------------------------------------------------------------------------- locks -- */

static OVERLAPPED lock_place(int lock_no) {
    OVERLAPPED place = {0};
    place.Offset = (DWORD)(OS_LOCK_OFFSET - lock_no);
    return place;
}

static int system_lock(struct lsm_file *file, int lock_no, bool exclusive) {
    OVERLAPPED place = lock_place(lock_no);
    DWORD flags = LOCKFILE_FAIL_IMMEDIATELY | (exclusive ? LOCKFILE_EXCLUSIVE_LOCK : 0);
    DWORD error;

    if (LockFileEx(file->handle, flags, 0, 1, 0, &place)) return LSM_OK;
    error = GetLastError();
    if (error != ERROR_LOCK_VIOLATION && error != ERROR_IO_PENDING)
        return os_error_code((int)error);
    os_error_note((int)error);
    return LSM_BUSY;
}

static int system_unlock(struct lsm_file *file, int lock_no) {
    OVERLAPPED place = lock_place(lock_no);

    if (UnlockFileEx(file->handle, 0, 1, 0, &place)) return LSM_OK;
    return os_error_code((int)GetLastError());
}

/* A shared lock becomes exclusive. There is no call for it, and an exclusive lock is refused over
** one's own shared one: between the two another process may get in. Then the shared lock is taken
** back; where even that fails the caller must not believe that it still has it. */
static int upgrade(struct lsm_file *file, int lock_no, uint64_t bit) {
    int rc;

    rc = system_unlock(file, lock_no);
    if (rc != LSM_OK) return rc;
    file->locks_shared &= ~bit;
    rc = system_lock(file, lock_no, true);
    if (rc == LSM_OK) {
        file->locks_exclusive |= bit;
        return LSM_OK;
    }
    if (system_lock(file, lock_no, false) != LSM_OK) return LSM_IOERR;
    file->locks_shared |= bit;
    return rc;
}

/* An exclusive lock becomes shared, without a moment in which it is neither: lock shared, which
** one's own exclusive lock allows, then unlock once, which removes the exclusive one. */
static int downgrade(struct lsm_file *file, int lock_no, uint64_t bit) {
    int rc;

    rc = system_lock(file, lock_no, false);
    if (rc != LSM_OK) return rc;
    rc = system_unlock(file, lock_no);
    if (rc != LSM_OK) return rc;
    file->locks_exclusive &= ~bit;
    file->locks_shared |= bit;
    return LSM_OK;
}

int os_file_lock(lsm_file *file, int lock_no, int operation) {
    uint64_t bit;
    int rc = LSM_OK;

    if (lock_no < 1 || lock_no > OS_LOCK_NO_MAX) return LSM_MISUSE;
    bit = UINT64_C(1) << lock_no;
    switch (operation) {
    case LSM_LOCK_UNLOCK:
        if (!((file->locks_shared | file->locks_exclusive) & bit)) break;
        rc = system_unlock(file, lock_no);
        if (rc != LSM_OK) break;
        file->locks_shared &= ~bit;
        file->locks_exclusive &= ~bit;
        break;
    case LSM_LOCK_SHARED:
        if (file->locks_shared & bit) break;
        if (file->locks_exclusive & bit) {
            rc = downgrade(file, lock_no, bit);
            break;
        }
        rc = system_lock(file, lock_no, false);
        if (rc == LSM_OK) file->locks_shared |= bit;
        break;
    case LSM_LOCK_EXCL:
        if (file->locks_exclusive & bit) break;
        if (file->locks_shared & bit) {
            rc = upgrade(file, lock_no, bit);
            break;
        }
        rc = system_lock(file, lock_no, true);
        if (rc == LSM_OK) file->locks_exclusive |= bit;
        break;
    default: rc = LSM_MISUSE;
    }
    return rc;
}

/* Would this one lock be granted, as far as other processes are concerned? There is no question
** without trying. Our own lock of the same or a stronger kind proves that nobody else is in the
** way. With a shared one of our own the exclusive attempt is refused: BUSY, which errs on the safe
** side. */
static int test_one(struct lsm_file *file, int lock_no, int operation) {
    uint64_t bit = UINT64_C(1) << lock_no;
    int rc;

    if (file->locks_exclusive & bit) return LSM_OK;
    if (operation == LSM_LOCK_SHARED && (file->locks_shared & bit)) return LSM_OK;
    rc = system_lock(file, lock_no, operation == LSM_LOCK_EXCL);
    if (rc != LSM_OK) return rc;
    return system_unlock(file, lock_no);
}

int os_file_test_lock(lsm_file *file, int lock_no, int count, int operation) {
    int rc = LSM_OK;
    int i;

    if (lock_no < 1 || count < 1 || count > OS_LOCK_NO_MAX ||
        lock_no > OS_LOCK_NO_MAX + 1 - count ||
        (operation != LSM_LOCK_SHARED && operation != LSM_LOCK_EXCL)) {
        return LSM_MISUSE;
    }
    for (i = 0; i < count && rc == LSM_OK; i++) rc = test_one(file, lock_no + i, operation);
    return rc;
}

/* ----------------------------------------------------------------------------- shared region -- */

static char *shm_path(const struct lsm_file *file) {
    size_t size = strlen(file->path) + sizeof SHM_SUFFIX;
    char *path = memory_allocate(file->env, size);
    if (path) (void)snprintf(path, size, "%s%s", file->path, SHM_SUFFIX);
    return path;
}

static int shm_open_file(struct lsm_file *file) {
    WCHAR *wide = NULL;
    char *path = NULL;
    int rc = LSM_OK;

    if (file->shm_handle != INVALID_HANDLE_VALUE) return LSM_OK;
    path = shm_path(file);
    if (!path) {
        rc = LSM_NOMEM;
        goto done;
    }
    rc = os_win32_path(file->env, path, &wide);
    if (rc != LSM_OK) goto done;
    file->shm_handle =
        os_win32_open(wide, GENERIC_READ | GENERIC_WRITE, OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL);
    if (file->shm_handle == INVALID_HANDLE_VALUE) rc = os_error_code((int)GetLastError());
done:
    memory_free(file->env, wide);
    memory_free(file->env, path);
    return rc;
}

/* Views begin at multiples of the allocation granularity, usually 64 KiB: two chunks. Naming the
** end of the window as the mapping's size extends a shorter file, with zeros, and never shortens a
** longer one. */
static int map_window(struct lsm_file *file, const struct os_shm_place *place, void **out) {
    uint64_t offset = (uint64_t)place->window * place->window_size;
    uint64_t end = offset + place->window_size;
    LARGE_INTEGER file_size;
    HANDLE mapping;
    void *view;
    int rc = LSM_OK;

    if (!GetFileSizeEx(file->shm_handle, &file_size)) return os_error_code((int)GetLastError());
    if ((uint64_t)file_size.QuadPart > end) end = 0; /* as long as the file */
    mapping = CreateFileMappingW(file->shm_handle, NULL, PAGE_READWRITE, (DWORD)(end >> 32),
                                 (DWORD)end, NULL);
    if (!mapping) return os_error_code((int)GetLastError());
    view = MapViewOfFile(mapping, FILE_MAP_READ | FILE_MAP_WRITE, (DWORD)(offset >> 32),
                         (DWORD)offset, place->window_size);
    if (view) *out = view;
    else rc = os_error_code((int)GetLastError());
    (void)CloseHandle(mapping); /* the view keeps what it needs */
    return rc;
}

int os_file_shm_map(lsm_file *file, int chunk, int size, void **address) {
    struct os_shm_place place = {0};
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
    if (!file->shm_windows[place.window]) {
        rc = map_window(file, &place, &file->shm_windows[place.window]);
        if (rc != LSM_OK) goto done;
        file->shm_chunk_size = (uint32_t)size;
        file->shm_window_size = place.window_size;
    }
    *address = (uint8_t *)file->shm_windows[place.window] + place.offset;
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
        if (!UnmapViewOfFile(file->shm_windows[i]) && rc == LSM_OK) {
            rc = os_error_code((int)GetLastError());
        }
    }
    memory_free(file->env, file->shm_windows);
    file->shm_windows = NULL;
    file->shm_window_capacity = 0;
    file->shm_chunk_size = 0;
    file->shm_window_size = 0;
    if (file->shm_handle != INVALID_HANDLE_VALUE && !CloseHandle(file->shm_handle) &&
        rc == LSM_OK) {
        rc = os_error_code((int)GetLastError());
    }
    file->shm_handle = INVALID_HANDLE_VALUE;
    if (delete_region) {
        char *path = shm_path(file);
        int rc_delete = path ? os_win32_delete(file->env, path) : LSM_NOMEM;
        if (rc_delete != LSM_OK && rc_delete != LSM_IOERR_NOENT && rc == LSM_OK) rc = rc_delete;
        memory_free(file->env, path);
    }
    return rc;
}
