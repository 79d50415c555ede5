/*
** os.c — calls through lsm_env and os_extra: sizes cut to what a callback takes, answers looked at.
**
** INVARIANTS  (I1) No callback gets a negative size or offset, or a range that passes 2^63 - 1.
**             (I2) A table of os_extra is used only with the lsm_file of its own environment:
**             either the environment registered one, or all its file callbacks are those of the
**             default one (then it is the default environment or a copy of it with another
**             allocator).
** LOCKING     The registry has a static mutex of its own. A file is used as its owner allows.
** ERRORS      Results of callbacks are passed through.
*/
#include "os/os_internal.h"

#include <limits.h>
#include <stdatomic.h>

#include "base/memory.h"

#define TRANSFER_MAX (1 << 30) /* bytes in one callback, whose size is an int */
#define EXTRA_CAPACITY 64
#define SECTOR_SIZE_DEFAULT 512
#define SECTOR_SIZE_MAX 65536

/* ---------------------------------------------------------------------------------- registry -- */

static struct {
    struct {
        lsm_env *env; /* NULL = free */
        const struct os_extra *extra;
    } entries[EXTRA_CAPACITY];
    _Atomic int count; /* spares programs without simulators the mutex */
} registry;

/* Does every file of `env` come from the default environment, with nothing laid over its callbacks?
** Locks may be overlaid: they say nothing about the bytes of a file. */
static bool has_default_files(const lsm_env *env) {
    return env->xOpen == os_file_open && env->xRead == os_file_read &&
           env->xWrite == os_file_write && env->xTruncate == os_file_truncate &&
           env->xSync == os_file_sync && env->xClose == os_file_close &&
           env->xUnlink == os_file_unlink && env->xFullpath == os_file_full_path;
}

const struct os_extra *os_extra_of(lsm_env *env) {
    const struct os_extra *extra = NULL;
    int i;

    if (atomic_load(&registry.count) > 0) {
        os_static_enter(OS_STATIC_SLOT_EXTRA);
        for (i = 0; i < EXTRA_CAPACITY && !extra; i++) {
            if (registry.entries[i].env == env) extra = registry.entries[i].extra;
        }
        os_static_leave(OS_STATIC_SLOT_EXTRA);
    }
    if (!extra && has_default_files(env)) extra = &os_default_extra;
    return extra;
}

int os_extra_register(lsm_env *env, const struct os_extra *extra) {
    int place = -1;
    int i;
    int rc = LSM_OK;

    assert(env);
    os_static_enter(OS_STATIC_SLOT_EXTRA);
    for (i = 0; i < EXTRA_CAPACITY; i++) {
        if (registry.entries[i].env == env) break;
        if (place < 0 && !registry.entries[i].env) place = i;
    }
    if (i < EXTRA_CAPACITY) {
        registry.entries[i].extra = extra;
        if (!extra) {
            registry.entries[i].env = NULL;
            atomic_fetch_sub(&registry.count, 1);
        }
    } else if (extra) {
        if (place < 0) {
            rc = LSM_NOMEM;
            goto done;
        }
        registry.entries[place].env = env;
        registry.entries[place].extra = extra;
        atomic_fetch_add(&registry.count, 1);
    }
done:
    os_static_leave(OS_STATIC_SLOT_EXTRA);
    return rc;
}

/* ------------------------------------------------------------------------------------- files -- */

/* (I1): may bytes [offset, offset + size) be named to a callback? */
static bool range_is_legal(uint64_t offset, uint64_t size) {
    return offset <= (uint64_t)INT64_MAX && size <= (uint64_t)INT64_MAX - offset;
}

int os_full_path(lsm_env *env, const char *path, char **out) {
    char *text = NULL;
    int capacity = 0;
    int size = 0;
    int rc;

    os_error_expect();
    /* The size can change between two calls, with the working directory. */
    for (;;) {
        size = capacity;
        rc = env->xFullpath(env, path, text, &size);
        if (rc != LSM_OK) goto done;
        if (size <= 0) {
            rc = LSM_ERROR;
            goto done;
        }
        if (size <= capacity) break;
        memory_free(env, text);
        capacity = 0;
        text = memory_allocate(env, (size_t)size);
        if (!text) {
            rc = LSM_NOMEM;
            goto done;
        }
        capacity = size;
    }
    *out = text;
    text = NULL;
done:
    os_error_settle(rc);
    memory_free(env, text);
    return rc;
}

int os_open(lsm_env *env, const char *path, int flags, struct os_file *out) {
    lsm_file *file = NULL;
    int rc;

    os_error_expect();
    rc = env->xOpen(env, path, flags, &file);
    os_error_settle(rc);
    if (rc != LSM_OK) goto done;
    if (!file) {
        rc = LSM_IOERR; /* success without a file */
        goto done;
    }
    out->env = env;
    out->file = file;
done:
    return rc;
}

void os_close(struct os_file *file) {
    if (file->file) {
        int kept = os_last_error(); /* of what may have led to this clean-up */
        if (file->env->xClose(file->file) == LSM_OK || kept != 0) os_error_note(kept);
    }
    *file = (struct os_file){0};
}

int os_read(struct os_file *file, uint64_t offset, void *data, size_t size) {
    uint8_t *at = data;
    int rc = LSM_OK;

    assert(file->file);
    os_error_expect();
    if (!range_is_legal(offset, size)) rc = LSM_IOERR;
    while (rc == LSM_OK && size > 0) {
        int part = size < TRANSFER_MAX ? (int)size : TRANSFER_MAX;
        rc = file->env->xRead(file->file, (lsm_i64)offset, at, part);
        at += part;
        offset += (uint64_t)part;
        size -= (size_t)part;
    }
    os_error_settle(rc);
    return rc;
}

int os_write(struct os_file *file, uint64_t offset, const void *data, size_t size) {
    const uint8_t *at = data;
    int rc = LSM_OK;

    assert(file->file);
    os_error_expect();
    if (!range_is_legal(offset, size)) rc = LSM_IOERR;
    while (rc == LSM_OK && size > 0) {
        int part = size < TRANSFER_MAX ? (int)size : TRANSFER_MAX;
        /* The callback's parameter lacks const, but it only reads. */
        rc = file->env->xWrite(file->file, (lsm_i64)offset, (void *)(uintptr_t)at, part);
        at += part;
        offset += (uint64_t)part;
        size -= (size_t)part;
    }
    os_error_settle(rc);
    return rc;
}

int os_truncate(struct os_file *file, uint64_t size) {
    int rc = LSM_OK;

    assert(file->file);
    if (size > (uint64_t)INT64_MAX) return LSM_OK; /* no file is longer: nothing to shorten */
    os_error_expect();
    rc = file->env->xTruncate(file->file, (lsm_i64)size);
    os_error_settle(rc);
    return rc;
}

int os_sync(struct os_file *file) {
    int rc;

    assert(file->file);
    os_error_expect();
    rc = file->env->xSync(file->file);
    os_error_settle(rc);
    return rc;
}

uint32_t os_sector_size(struct os_file *file) {
    int size = file->env->xSectorSize(file->file);
    if (size < 1 || size > SECTOR_SIZE_MAX || (size & (size - 1)) != 0) size = SECTOR_SIZE_DEFAULT;
    return (uint32_t)size;
}

int os_file_id(struct os_file *file, uint8_t *id, size_t capacity, size_t *size) {
    int needed = capacity < (size_t)INT_MAX ? (int)capacity : INT_MAX;
    int rc;

    assert(file->file);
    os_error_expect();
    rc = file->env->xFileid(file->file, id, &needed);
    os_error_settle(rc);
    if (rc != LSM_OK) goto done;
    if (needed <= 0 || (size_t)needed > capacity) {
        rc = LSM_ERROR; /* an id longer than the caller has room for */
        goto done;
    }
    *size = (size_t)needed;
done:
    return rc;
}

int os_unlink(lsm_env *env, const char *path) {
    int rc;

    os_error_expect();
    rc = env->xUnlink(env, path);
    os_error_settle(rc);
    return rc;
}

int os_lock(struct os_file *file, int lock_no, int operation) {
    int rc;

    assert(lock_no >= 1 && lock_no <= OS_LOCK_NO_MAX);
    os_error_expect();
    rc = file->env->xLock(file->file, lock_no, operation);
    os_error_settle(rc);
    return rc;
}

int os_test_lock(struct os_file *file, int lock_no, int count, int operation) {
    int rc;

    assert(lock_no >= 1 && count >= 1 && lock_no + count - 1 <= OS_LOCK_NO_MAX);
    os_error_expect();
    rc = file->env->xTestLock(file->file, lock_no, count, operation);
    os_error_settle(rc);
    return rc;
}

void os_sleep(lsm_env *env, uint32_t microseconds) {
    int part = microseconds < (uint32_t)INT_MAX ? (int)microseconds : INT_MAX;
    (void)env->xSleep(env, part); /* a sleep cut short harms nobody: the caller looks again */
}

/* ----------------------------------------------------------------------------------- mutexes -- */

int os_mutex_new(lsm_env *env, lsm_mutex **out) {
    return env->xMutexNew(env, out);
}

int os_mutex_static(lsm_env *env, int id, lsm_mutex **out) {
    return env->xMutexStatic(env, id, out);
}

void os_mutex_free(lsm_env *env, lsm_mutex *mutex) {
    if (mutex) env->xMutexDel(mutex);
}

void os_mutex_enter(lsm_env *env, lsm_mutex *mutex) {
    env->xMutexEnter(mutex);
}

void os_mutex_leave(lsm_env *env, lsm_mutex *mutex) {
    env->xMutexLeave(mutex);
}

/* ------------------------------------------------------------------------ what lsm_env lacks -- */

int os_file_size(struct os_file *file, uint64_t *size) {
    const struct os_extra *extra = os_extra_of(file->env);
    int rc;

    assert(file->file);
    if (!extra || !extra->file_size) {
        *size = UINT64_MAX;
        return LSM_OK;
    }
    os_error_expect();
    rc = extra->file_size(file->file, size);
    os_error_settle(rc);
    return rc;
}

bool os_can_map(struct os_file *file) {
    const struct os_extra *extra = os_extra_of(file->env);
    return extra && extra->map && extra->unmap;
}

int os_map(struct os_file *file, uint64_t offset, size_t size, void **address) {
    const struct os_extra *extra = os_extra_of(file->env);
    int rc;

    assert(file->file && size > 0 && offset % os_map_granularity() == 0);
    if (!extra || !extra->map) return LSM_ERROR;
    if (!range_is_legal(offset, size)) return LSM_IOERR;
    os_error_expect();
    rc = extra->map(file->file, offset, size, address);
    os_error_settle(rc);
    return rc;
}

int os_map_stored(struct os_file *file, size_t size, void **address) {
    const struct os_extra *extra = os_extra_of(file->env);
    int rc;

    assert(file->file && size > 0);
    if (!extra || !extra->map_stored) return LSM_ERROR;
    os_error_expect();
    rc = extra->map_stored(file->file, size, address);
    os_error_settle(rc);
    return rc;
}

int os_unmap(struct os_file *file, void *address, size_t size) {
    const struct os_extra *extra = os_extra_of(file->env);

    if (!address) return LSM_OK;
    assert(extra && extra->unmap);
    return extra && extra->unmap ? extra->unmap(address, size) : LSM_ERROR;
}

void os_will_read(struct os_file *file, const void *address, size_t size) {
    const struct os_extra *extra = os_extra_of(file->env);

    if (extra && extra->will_read) extra->will_read(address, size);
}

void os_start_writing(struct os_file *file, uint64_t offset, size_t size) {
    const struct os_extra *extra = os_extra_of(file->env);

    assert(file->file);
    if (extra && extra->start_writing) extra->start_writing(file->file, offset, size);
}

int os_reserve(struct os_file *file, uint64_t size) {
    const struct os_extra *extra = os_extra_of(file->env);
    int rc;

    assert(file->file);
    if (!extra || !extra->reserve) return LSM_OK;
    if (size > (uint64_t)INT64_MAX) return LSM_FULL;
    os_error_expect();
    rc = extra->reserve(file->file, size);
    os_error_settle(rc);
    return rc;
}

int os_sync_directory(lsm_env *env, const char *path) {
    const struct os_extra *extra = os_extra_of(env);
    int rc;

    if (!extra || !extra->sync_directory) return LSM_OK;
    os_error_expect();
    rc = extra->sync_directory(env, path);
    os_error_settle(rc);
    return rc;
}

bool os_random(lsm_env *env, void *out, size_t size) {
    const struct os_extra *extra = os_extra_of(env);
    return extra && extra->random && extra->random(out, size) == LSM_OK;
}

void os_path_id(lsm_env *env, const char *path, uint8_t *id, size_t capacity, size_t *size) {
    const struct os_extra *extra = os_extra_of(env);
    uint64_t found[2];

    *size = 0;
    if (!extra || !extra->path_id || capacity < sizeof found) return;
    if (extra == &os_default_extra && env->xFileid != os_file_identity) return; /* it has ids of its own */
    if (extra->path_id(path, found) != LSM_OK) return;
    memcpy(id, found, sizeof found);
    *size = sizeof found;
}

int os_path_kind(lsm_env *env, const char *path, int *kind) {
    const struct os_extra *extra = os_extra_of(env);
    int rc = LSM_ERROR;

    os_error_expect();
    if (extra && extra->path_kind_in) rc = extra->path_kind_in(env, path, kind);
    else if (extra && extra->path_kind) rc = extra->path_kind(path, kind);
    os_error_settle(rc);
    return rc;
}

bool os_path_is_link(lsm_env *env, const char *path) {
    const struct os_extra *extra = os_extra_of(env);

    return extra && extra->path_is_link && extra->path_is_link(path);
}

/* ---------------------------------------------------------------- helpers of the two systems -- */

uint32_t os_pretended_granularity = 0;

uint32_t os_shm_granularity(void) {
    return os_pretended_granularity ? os_pretended_granularity : (uint32_t)os_map_granularity();
}

int os_shm_place(int chunk, int chunk_size, uint32_t granularity, struct os_shm_place *out) {
    uint32_t window_size, chunks_per_window;
    uint64_t chunk_end;

    if (chunk < 0 || chunk_size <= 0) return LSM_MISUSE;
    window_size = (uint32_t)chunk_size > granularity ? (uint32_t)chunk_size : granularity;
    if (window_size % granularity != 0 || window_size % (uint32_t)chunk_size != 0)
        return LSM_MISUSE;
    chunk_end = ((uint64_t)chunk + 1) * (uint64_t)chunk_size;
    if (chunk_end > OS_SHM_SIZE_MAX) return LSM_FULL;
    chunks_per_window = window_size / (uint32_t)chunk_size;
    out->window = (uint32_t)chunk / chunks_per_window;
    out->offset = (uint32_t)chunk % chunks_per_window * (uint32_t)chunk_size;
    out->window_size = window_size;
    out->chunk_end = chunk_end;
    return LSM_OK;
}

int os_shm_reserve_windows(struct lsm_file *file, uint32_t count) {
    uint32_t capacity = file->shm_window_capacity ? file->shm_window_capacity : 16;
    void **windows;

    if (count <= file->shm_window_capacity) return LSM_OK;
    while (capacity < count) capacity *= 2; /* at most 2^17, see OS_SHM_SIZE_MAX */
    windows = memory_reallocate(file->env, file->shm_windows, capacity * sizeof *windows);
    if (!windows) return LSM_NOMEM;
    memset(windows + file->shm_window_capacity, 0,
           (capacity - file->shm_window_capacity) * sizeof *windows);
    file->shm_windows = windows;
    file->shm_window_capacity = capacity;
    return LSM_OK;
}

uint64_t os_remap_size(uint64_t size) {
    const uint64_t small = 256 * 1024, large = 1024 * 1024;
    uint64_t step = size > 2 * large ? large : small;

    assert(size <= (uint64_t)INT64_MAX - large);
    return (size + step - 1) / step * step;
}
