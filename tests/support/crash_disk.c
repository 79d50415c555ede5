/*
** crash_disk.c — a disk in memory that forgets, at a power cut, what was not synced.
**
** See crash_disk.h for the model. Inside:
**
** INVARIANTS  (I1) durable content + pending operations, applied in order = volatile content,
**             except in stale pages (whose writes a failed sync has dropped from the list).
**             (I2) Bytes of an image between its size and its capacity are zero.
**             (I3) Files live until the disk is freed: a durable name may outlast the volatile one.
*/
#include "support/crash_disk.h"

#include <stdlib.h>
#include <string.h>

#include "os/os.h"

#define SECTOR 512
#define CACHE_PAGE 4096
#define ENTRY_BLOCK_HEAD 16 /* in front of each block of the environment: its size */

static void *need(void *block) {
    if (!block) {
        fprintf(stderr, "crash_disk: out of memory\n");
        abort();
    }
    return block;
}

/* ------------------------------------------------------------------------------------ random -- */

static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t random_below(uint64_t *state, size_t bound) {
    return (size_t)(next_random(state) % bound);
}

/* ------------------------------------------------------------------------------------ images -- */

struct image {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

static void image_reserve(struct image *image, size_t size) {
    size_t capacity = image->capacity ? image->capacity : 1024;

    if (size <= image->capacity) return;
    while (capacity < size) capacity *= 2;
    image->data = need(realloc(image->data, capacity));
    memset(image->data + image->capacity, 0, capacity - image->capacity); /* (I2) */
    image->capacity = capacity;
}

static void image_resize(struct image *image, size_t size) {
    image_reserve(image, size);
    if (size < image->size) memset(image->data + size, 0, image->size - size); /* (I2) */
    image->size = size;
}

static void image_write(struct image *image, size_t offset, const uint8_t *data, size_t size) {
    if (size == 0) return;
    if (offset + size > image->size) image_resize(image, offset + size);
    memcpy(image->data + offset, data, size);
}

/* Copy [from, to) of `source`, zeros beyond its end, without changing the size of `target`. */
static void image_copy_range(struct image *target, const struct image *source, size_t from,
                             size_t to) {
    image_reserve(target, to);
    memset(target->data + from, 0, to - from);
    if (from < source->size) {
        size_t end = to < source->size ? to : source->size;
        memcpy(target->data + from, source->data + from, end - from);
    }
}

static void image_assign(struct image *target, const struct image *source) {
    image_resize(target, 0);
    image_write(target, 0, source->data, source->size);
}

/* -------------------------------------------------------------------------------- structures -- */

/* A write (data present), or a change of size alone. */
struct operation {
    struct operation *next;
    size_t offset;    /* of a write */
    size_t size;      /* of a write; 0 = only the file's size changed */
    size_t file_size; /* afterwards */
    bool cuts;        /* bytes from file_size on became zero */
    uint8_t data[];
};

struct disk_file {
    struct disk_file *next;
    struct image now; /* volatile */
    struct image durable;
    struct operation *pending;
    struct operation **pending_end;
    uint8_t *stale; /* per CACHE_PAGE: dropped by a failed sync, durable only when rewritten */
    size_t stale_count;
};

/* What a name stands for: now, durably, and in between. */
struct name_change {
    struct name_change *next;
    struct disk_file *file; /* NULL = the name was removed */
};

struct name {
    struct name *next;
    struct disk_file *now;
    struct disk_file *durable;
    struct name_change *pending;
    char path[];
};

struct failure {
    uint64_t at; /* number of the call, 0 = none */
    int code;
    bool for_ever;
};

struct crash_disk {
    lsm_env env;
    struct disk_file *files;
    struct name *names;
    uint64_t calls[CRASH_CALL_KINDS];
    struct failure failures[CRASH_CALL_KINDS];
    uint64_t half_write_at;
    uint64_t failure_count;
    uint64_t steps;
    uint64_t stop_at;
    bool stopped;
    uint64_t live_blocks;
    uint64_t open_files;
    int sector_size;
    FILE *trace;
};

/* The handle that the engine holds. */
struct lsm_file {
    struct crash_disk *disk;
    struct disk_file *file;
    bool read_only;
    char *path;
};

static struct crash_disk *disk_of(lsm_env *env) {
    return env->pVfsCtx;
}

static uint64_t process_random_state = 20240229; /* for os_random, which does not name a disk */

/* ------------------------------------------------------------------------- files of the disk -- */

static struct disk_file *file_new(struct crash_disk *disk) {
    struct disk_file *file = need(calloc(1, sizeof *file));
    file->pending_end = &file->pending;
    file->next = disk->files;
    disk->files = file;
    return file;
}

static void file_drop_pending(struct disk_file *file) {
    while (file->pending) {
        struct operation *operation = file->pending;
        file->pending = operation->next;
        free(operation);
    }
    file->pending_end = &file->pending;
}

static void file_free(struct disk_file *file) {
    file_drop_pending(file);
    free(file->now.data);
    free(file->durable.data);
    free(file->stale);
    free(file);
}

/* Change the volatile image and remember how. */
static void file_apply(struct disk_file *file, size_t offset, const uint8_t *data, size_t size,
                       size_t file_size) {
    struct operation *operation = need(malloc(sizeof *operation + size));

    operation->next = NULL;
    operation->offset = offset;
    operation->size = size;
    operation->file_size = file_size;
    operation->cuts = file_size < file->now.size;
    if (size > 0) memcpy(operation->data, data, size);
    *file->pending_end = operation;
    file->pending_end = &operation->next;
    if (size > 0) image_write(&file->now, offset, data, size);
    else image_resize(&file->now, file_size);
}

static size_t size_max(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The bytes that an operation touched; a cut touches everything behind it, up to `end`. */
static void operation_range(const struct operation *operation, size_t end, size_t *from,
                            size_t *to) {
    *from = operation->size > 0 ? operation->offset : operation->file_size;
    *to = operation->size > 0 ? operation->offset + operation->size : operation->cuts ? end : *from;
    if (*to < *from) *to = *from;
}

/* The largest size that any state of the file since the last sync had. */
static size_t file_extent(const struct disk_file *file) {
    size_t extent = size_max(file->now.size, file->durable.size);
    const struct operation *operation;

    for (operation = file->pending; operation; operation = operation->next) {
        extent = size_max(extent, operation->file_size);
        extent = size_max(extent, operation->offset + operation->size);
    }
    return extent;
}

static void file_mark_stale(struct disk_file *file, size_t from, size_t to, bool stale) {
    size_t first = from / CACHE_PAGE, last, i;

    if (to <= from) return;
    last = (to - 1) / CACHE_PAGE;
    if (last >= file->stale_count) {
        if (!stale && first >= file->stale_count) return;
        file->stale = need(realloc(file->stale, last + 1));
        memset(file->stale + file->stale_count, 0, last + 1 - file->stale_count);
        file->stale_count = last + 1;
    }
    for (i = first; i <= last; i++) file->stale[i] = stale;
}

static bool file_is_stale(const struct disk_file *file, size_t offset) {
    return offset / CACHE_PAGE < file->stale_count && file->stale[offset / CACHE_PAGE];
}

/* Whole pages go to the disk: what an earlier failed sync left behind in them goes along. */
static void file_make_durable(struct disk_file *file) {
    size_t extent = file_extent(file);
    const struct operation *operation;

    for (operation = file->pending; operation; operation = operation->next) {
        size_t from, to;
        operation_range(operation, extent, &from, &to);
        if (to <= from) continue;
        from = from / CACHE_PAGE * CACHE_PAGE;
        to = (to + CACHE_PAGE - 1) / CACHE_PAGE * CACHE_PAGE;
        image_copy_range(&file->durable, &file->now, from, to);
        file_mark_stale(file, from, to, false);
    }
    image_resize(&file->durable, size_max(file->now.size, file->durable.size));
    image_resize(&file->durable, file->now.size);
    file_drop_pending(file);
}

static void file_forget_dirty(struct disk_file *file) {
    size_t extent = file_extent(file);
    struct operation *kept = NULL;
    const struct operation *operation;

    for (operation = file->pending; operation; operation = operation->next) {
        size_t from, to;
        operation_range(operation, extent, &from, &to);
        file_mark_stale(file, from, to, true);
    }
    file_drop_pending(file);
    /* The size is not page data: the next sync stores it. */
    if (file->now.size != file->durable.size) {
        kept = need(calloc(1, sizeof *kept));
        kept->file_size = file->now.size;
        file->pending = kept;
        file->pending_end = &kept->next;
    }
}

/* ------------------------------------------------------------------------------------- names -- */

/* The absolute form is the name; "a" and "/a" are the same file. */
static struct name *name_find(struct crash_disk *disk, const char *path, bool create) {
    struct name *name;
    size_t lead = path[0] == '/' ? 0 : 1;
    size_t size = strlen(path) + 1;

    for (name = disk->names; name; name = name->next) {
        if (strcmp(name->path + lead, path) == 0) return name;
    }
    if (!create) return NULL;
    name = need(calloc(1, sizeof *name + lead + size));
    name->path[0] = '/';
    memcpy(name->path + lead, path, size);
    name->next = disk->names;
    disk->names = name;
    return name;
}

static struct disk_file *name_file(struct crash_disk *disk, const char *path) {
    struct name *name = name_find(disk, path, false);
    return name ? name->now : NULL;
}

static void name_change(struct name *name, struct disk_file *file) {
    struct name_change *change = need(malloc(sizeof *change));
    struct name_change **end = &name->pending;

    *change = (struct name_change){NULL, file};
    while (*end) end = &(*end)->next;
    *end = change;
    name->now = file;
}

static void name_settle(struct name *name) {
    while (name->pending) {
        struct name_change *change = name->pending;
        name->pending = change->next;
        free(change);
    }
    name->durable = name->now;
}

static bool same_folder(const char *a, const char *b) {
    const char *slash_a = strrchr(a, '/'), *slash_b = strrchr(b, '/');
    size_t size_a = slash_a ? (size_t)(slash_a - a) : 0;
    size_t size_b = slash_b ? (size_t)(slash_b - b) : 0;
    return size_a == size_b && memcmp(a, b, size_a) == 0;
}

/* --------------------------------------------------------------- counting, dying and failing -- */

/* Begin a call that changes nothing on the disk. */
static int begin_call(struct crash_disk *disk, enum crash_call kind) {
    const struct failure *failure = &disk->failures[kind];
    uint64_t n = ++disk->calls[kind];

    if (disk->stopped) return LSM_IOERR;
    if (failure->at == 0 || (failure->for_ever ? n < failure->at : n != failure->at)) return LSM_OK;
    disk->failure_count++;
    return failure->code;
}

/* Begin a step. With *in_flight its effect happens, but the disk is dead afterwards. */
static int begin_step(struct crash_disk *disk, enum crash_call kind, const char *verb,
                      const char *path, uint64_t offset, uint64_t size, bool *in_flight) {
    int rc = begin_call(disk, kind);

    *in_flight = false;
    if (disk->stopped) return LSM_IOERR;
    disk->steps++;
    if (disk->stop_at != 0 && disk->steps == disk->stop_at) {
        disk->stopped = true;
        *in_flight = true;
        rc = LSM_IOERR;
    }
    if (disk->trace) {
        fprintf(disk->trace, "%6llu %s %s %llu %llu -> %d%s\n", (unsigned long long)disk->steps,
                verb, path, (unsigned long long)offset, (unsigned long long)size, rc,
                *in_flight ? " dead" : "");
    }
    return rc;
}

/* ---------------------------------------------------------------------------- file callbacks -- */

static int disk_full_path(lsm_env *env, const char *relative, char *out, int *size) {
    size_t lead = relative[0] == '/' ? 0 : 1;
    size_t needed = lead + strlen(relative) + 1;

    (void)env;
    if (out && needed <= (size_t)*size) {
        out[0] = '/';
        memcpy(out + lead, relative, needed - lead);
    }
    *size = (int)needed;
    return LSM_OK;
}

static int disk_open(lsm_env *env, const char *path, int flags, lsm_file **out) {
    struct crash_disk *disk = disk_of(env);
    bool read_only = (flags & LSM_OPEN_READONLY) != 0;
    struct disk_file *file;
    struct lsm_file *handle;
    bool in_flight;
    int rc;

    *out = NULL;
    rc = begin_call(disk, CRASH_CALL_OPEN);
    if (rc != LSM_OK) return rc;
    file = name_file(disk, path);
    if (!file) {
        if (read_only) return LSM_IOERR_NOENT;
        rc = begin_step(disk, CRASH_CALL_CREATE, "create", path, 0, 0, &in_flight);
        if (rc != LSM_OK && !in_flight) return rc;
        file = file_new(disk);
        name_change(name_find(disk, path, true), file);
        if (rc != LSM_OK) return rc;
    }
    handle = need(calloc(1, sizeof *handle));
    handle->disk = disk;
    handle->file = file;
    handle->read_only = read_only;
    handle->path = need(malloc(strlen(path) + 1));
    memcpy(handle->path, path, strlen(path) + 1);
    disk->open_files++;
    *out = handle;
    return LSM_OK;
}

static int disk_close(lsm_file *handle) {
    handle->disk->open_files--;
    free(handle->path);
    free(handle);
    return LSM_OK;
}

static int disk_read(lsm_file *handle, lsm_i64 offset, void *data, int size) {
    const struct image *image = &handle->file->now;
    uint8_t *out = data;
    size_t have = 0;
    int rc;

    if (offset < 0 || size < 0) return LSM_MISUSE;
    rc = begin_call(handle->disk, CRASH_CALL_READ);
    if (rc != LSM_OK) return rc;
    if (size == 0) return LSM_OK;
    if ((uint64_t)offset < image->size) {
        have = image->size - (size_t)offset;
        if (have > (size_t)size) have = (size_t)size;
        memcpy(out, image->data + offset, have);
    }
    memset(out + have, 0, (size_t)size - have);
    return LSM_OK;
}

static int disk_write(lsm_file *handle, lsm_i64 offset, void *data, int size) {
    struct crash_disk *disk = handle->disk;
    size_t count = (size_t)size;
    bool in_flight;
    int rc;

    if (offset < 0 || size < 0) return LSM_MISUSE;
    if (handle->read_only) return LSM_IOERR;
    rc = begin_step(disk, CRASH_CALL_WRITE, "write", handle->path, (uint64_t)offset, count,
                    &in_flight);
    if (rc != LSM_OK && !in_flight) return rc;
    if (rc == LSM_OK && disk->half_write_at != 0 &&
        disk->calls[CRASH_CALL_WRITE] == disk->half_write_at) {
        disk->failure_count++;
        count /= 2;
        rc = LSM_IOERR;
    }
    if (count > 0) {
        file_apply(handle->file, (size_t)offset, data, count,
                   size_max(handle->file->now.size, (size_t)offset + count));
    }
    return rc;
}

static int disk_truncate(lsm_file *handle, lsm_i64 size) {
    bool in_flight;
    int rc;

    if (size < 0) return LSM_MISUSE;
    if (handle->read_only) return LSM_IOERR;
    rc = begin_step(handle->disk, CRASH_CALL_TRUNCATE, "truncate", handle->path, (uint64_t)size, 0,
                    &in_flight);
    if (rc != LSM_OK && !in_flight) return rc;
    if ((uint64_t)size < handle->file->now.size) file_apply(handle->file, 0, NULL, 0, (size_t)size);
    return rc;
}

static int disk_sync(lsm_file *handle) {
    bool in_flight;
    int rc = begin_step(handle->disk, CRASH_CALL_SYNC, "sync", handle->path, 0, 0, &in_flight);

    if (rc == LSM_OK) file_make_durable(handle->file);
    else if (!handle->disk->stopped) file_forget_dirty(handle->file);
    return rc;
}

static int disk_sector_size(lsm_file *handle) {
    return handle->disk->sector_size;
}

static int disk_remap(lsm_file *handle, lsm_i64 size_min, void **address, lsm_i64 *size) {
    (void)handle;
    *address = NULL;
    *size = 0;
    return size_min < 0 ? LSM_OK : LSM_IOERR;
}

static int disk_file_id(lsm_file *handle, void *out, int *size) {
    const struct disk_file *file = handle->file;
    if (out && *size >= (int)sizeof file) memcpy(out, &file, sizeof file);
    *size = (int)sizeof file;
    return LSM_OK;
}

static int disk_unlink(lsm_env *env, const char *path) {
    struct crash_disk *disk = disk_of(env);
    struct name *name = name_find(disk, path, false);
    bool in_flight;
    int rc;

    if (!disk->stopped && (!name || !name->now)) return LSM_IOERR_NOENT;
    rc = begin_step(disk, CRASH_CALL_UNLINK, "unlink", path, 0, 0, &in_flight);
    if (rc != LSM_OK && !in_flight) return rc;
    name_change(name, NULL);
    return rc;
}

static int disk_lock(lsm_file *handle, int lock_no, int operation) {
    (void)lock_no;
    if (operation == LSM_LOCK_UNLOCK) return LSM_OK;
    return begin_call(handle->disk, CRASH_CALL_LOCK);
}

static int disk_test_lock(lsm_file *handle, int lock_no, int count, int operation) {
    (void)lock_no, (void)count, (void)operation;
    return begin_call(handle->disk, CRASH_CALL_LOCK);
}

static int disk_shm_map(lsm_file *handle, int chunk, int size, void **address) {
    (void)handle, (void)chunk, (void)size;
    *address = NULL;
    return LSM_IOERR;
}

static void disk_shm_barrier(void) {
}

static int disk_shm_unmap(lsm_file *handle, int delete_region) {
    (void)handle, (void)delete_region;
    return LSM_OK;
}

/* ------------------------------------------------------------------------------------ memory -- */

static void *disk_malloc(lsm_env *env, size_t size) {
    struct crash_disk *disk = disk_of(env);
    uint8_t *block;

    /* A dead disk does not take the memory away: unwinding needs it. */
    disk->calls[CRASH_CALL_MALLOC]++;
    if (disk->failures[CRASH_CALL_MALLOC].at != 0) {
        const struct failure *failure = &disk->failures[CRASH_CALL_MALLOC];
        uint64_t n = disk->calls[CRASH_CALL_MALLOC];
        if (failure->for_ever ? n >= failure->at : n == failure->at) {
            disk->failure_count++;
            return NULL;
        }
    }
    block = need(malloc(ENTRY_BLOCK_HEAD + size));
    memcpy(block, &size, sizeof size);
    memset(block + ENTRY_BLOCK_HEAD, 0xa5, size); /* so that nobody relies on zeros */
    disk->live_blocks++;
    return block + ENTRY_BLOCK_HEAD;
}

static size_t disk_size(lsm_env *env, void *block) {
    size_t size = 0;
    (void)env;
    if (block) memcpy(&size, (uint8_t *)block - ENTRY_BLOCK_HEAD, sizeof size);
    return size;
}

static void disk_free(lsm_env *env, void *block) {
    if (!block) return;
    disk_of(env)->live_blocks--;
    free((uint8_t *)block - ENTRY_BLOCK_HEAD);
}

/* Always moves, so that a pointer kept across a growth is found out. */
static void *disk_realloc(lsm_env *env, void *block, size_t size) {
    size_t old_size = disk_size(env, block);
    void *moved;

    if (block && size == 0) {
        disk_free(env, block);
        return NULL;
    }
    moved = disk_malloc(env, size);
    if (!moved) return NULL;
    if (block) memcpy(moved, block, old_size < size ? old_size : size);
    disk_free(env, block);
    return moved;
}

static int disk_sleep(lsm_env *env, int microseconds) {
    (void)env, (void)microseconds;
    return LSM_OK;
}

/* --------------------------------------------------------------------- what lsm_env lacks -- */

static int extra_file_size(lsm_file *handle, uint64_t *size) {
    if (handle->disk->stopped) return LSM_IOERR;
    *size = handle->file->now.size;
    return LSM_OK;
}

static int extra_reserve(lsm_file *handle, uint64_t size) {
    bool in_flight;
    int rc;

    if (handle->read_only) return LSM_IOERR;
    rc = begin_step(handle->disk, CRASH_CALL_RESERVE, "reserve", handle->path, size, 0, &in_flight);
    if (rc != LSM_OK && !in_flight) return rc;
    if (size > handle->file->now.size) file_apply(handle->file, 0, NULL, 0, (size_t)size);
    return rc;
}

static int extra_sync_directory(lsm_env *env, const char *path) {
    struct crash_disk *disk = disk_of(env);
    struct name *name;
    bool in_flight;
    int rc = begin_step(disk, CRASH_CALL_SYNC_DIRECTORY, "sync_directory", path, 0, 0, &in_flight);

    if (rc != LSM_OK) return rc;
    for (name = disk->names; name; name = name->next) {
        if (same_folder(name->path, path)) name_settle(name);
    }
    return LSM_OK;
}

static int extra_random(void *out, size_t size) {
    uint8_t *bytes = out;
    size_t i;
    for (i = 0; i < size; i++) bytes[i] = (uint8_t)(next_random(&process_random_state) >> 56);
    return LSM_OK;
}

static int extra_path_kind(lsm_env *env, const char *path, int *kind) {
    struct crash_disk *disk = disk_of(env);
    if (disk->stopped) return LSM_IOERR;
    *kind = name_file(disk, path) ? OS_PATH_FILE : OS_PATH_NONE;
    return LSM_OK;
}

static const struct os_extra disk_extra = {
    .file_size = extra_file_size,
    .reserve = extra_reserve,
    .sync_directory = extra_sync_directory,
    .random = extra_random,
    .path_kind_in = extra_path_kind,
};

/* -------------------------------------------------------------------------------- life cycle -- */

struct crash_disk *crash_disk_new(void) {
    struct crash_disk *disk = need(calloc(1, sizeof *disk));

    disk->env = *lsm_default_env(); /* its mutexes */
    disk->env.pVfsCtx = disk;
    disk->env.xFullpath = disk_full_path;
    disk->env.xOpen = disk_open;
    disk->env.xRead = disk_read;
    disk->env.xWrite = disk_write;
    disk->env.xTruncate = disk_truncate;
    disk->env.xSync = disk_sync;
    disk->env.xSectorSize = disk_sector_size;
    disk->env.xRemap = disk_remap;
    disk->env.xFileid = disk_file_id;
    disk->env.xClose = disk_close;
    disk->env.xUnlink = disk_unlink;
    disk->env.xLock = disk_lock;
    disk->env.xTestLock = disk_test_lock;
    disk->env.xShmMap = disk_shm_map;
    disk->env.xShmBarrier = disk_shm_barrier;
    disk->env.xShmUnmap = disk_shm_unmap;
    disk->env.xMalloc = disk_malloc;
    disk->env.xRealloc = disk_realloc;
    disk->env.xFree = disk_free;
    disk->env.xSize = disk_size;
    disk->env.xSleep = disk_sleep;
    disk->sector_size = 512;
    if (os_extra_register(&disk->env, &disk_extra) != LSM_OK) {
        fprintf(stderr, "crash_disk: too many disks at once\n");
        abort();
    }
    return disk;
}

void crash_disk_free(struct crash_disk *disk) {
    if (!disk) return;
    if (os_extra_register(&disk->env, NULL) != LSM_OK) abort();
    while (disk->names) {
        struct name *name = disk->names;
        disk->names = name->next;
        name_settle(name);
        free(name);
    }
    while (disk->files) {
        struct disk_file *file = disk->files;
        disk->files = file->next;
        file_free(file);
    }
    free(disk);
}

lsm_env *crash_disk_env(struct crash_disk *disk) {
    return &disk->env;
}

uint64_t crash_disk_steps(const struct crash_disk *disk) {
    return disk->steps;
}

uint64_t crash_disk_calls(const struct crash_disk *disk, enum crash_call kind) {
    return disk->calls[kind];
}

uint64_t crash_disk_live_blocks(const struct crash_disk *disk) {
    return disk->live_blocks;
}

uint64_t crash_disk_open_files(const struct crash_disk *disk) {
    return disk->open_files;
}

void crash_disk_stop_at(struct crash_disk *disk, uint64_t step) {
    disk->stop_at = step ? disk->steps + step : 0;
}

void crash_disk_stop(struct crash_disk *disk) {
    disk->stopped = true;
}

void crash_disk_restart(struct crash_disk *disk) {
    disk->stopped = false;
    disk->stop_at = 0;
}

bool crash_disk_is_stopped(const struct crash_disk *disk) {
    return disk->stopped;
}

void crash_disk_fail_at(struct crash_disk *disk, enum crash_call kind, uint64_t n, int code,
                        bool for_ever) {
    disk->failures[kind] = (struct failure){n ? disk->calls[kind] + n : 0, code, for_ever};
}

void crash_disk_half_write_at(struct crash_disk *disk, uint64_t n) {
    disk->half_write_at = n ? disk->calls[CRASH_CALL_WRITE] + n : 0;
}

uint64_t crash_disk_failures(const struct crash_disk *disk) {
    return disk->failure_count;
}

void crash_disk_set_sector_size(struct crash_disk *disk, int size) {
    disk->sector_size = size;
}

void crash_disk_trace(struct crash_disk *disk, FILE *out) {
    disk->trace = out;
}

/* --------------------------------------------------------------------------------- power cut -- */

/* Apply one pending operation to the bytes [from, to) of `image`, whose size stays as it is. */
static void apply_within(struct image *image, const struct operation *operation, size_t extent,
                         size_t from, size_t to) {
    size_t begin, end;

    operation_range(operation, extent, &begin, &end);
    if (begin < from) begin = from;
    if (end > to) end = to;
    if (begin >= end) return;
    if (operation->size > 0) {
        memcpy(image->data + begin, operation->data + (begin - operation->offset), end - begin);
    } else {
        memset(image->data + begin, 0, end - begin);
    }
}

static bool touches(const struct operation *operation, size_t extent, size_t from, size_t to) {
    size_t begin, end;
    operation_range(operation, extent, &begin, &end);
    return begin < to && end > from;
}

/* Choose what the disk holds in sector [from, from + SECTOR). */
static void survive_sector(const struct disk_file *file, size_t extent, size_t from,
                           struct image *out, uint64_t *random) {
    const struct operation *operation;
    size_t to = from + SECTOR;
    size_t count = 0, kept, done = 0, tear;

    if (file_is_stale(file, from)) {
        /* The steps in between are not recorded any more: old or new, perhaps torn. */
        size_t part = random_below(random, 4);
        if (part == 0) return;
        tear = part == 1 ? random_below(random, SECTOR) : SECTOR;
        image_copy_range(out, &file->now, from, from + tear);
        return;
    }
    for (operation = file->pending; operation; operation = operation->next) {
        if (touches(operation, extent, from, to)) count++;
    }
    if (count == 0) return;
    switch (random_below(random, 3)) {
    case 0: kept = 0; break;
    case 1: kept = count; break;
    default: kept = random_below(random, count + 1); break;
    }
    tear = random_below(random, 8) == 0 ? random_below(random, SECTOR) : 0;
    for (operation = file->pending; operation; operation = operation->next) {
        if (!touches(operation, extent, from, to)) continue;
        if (done == kept) {
            /* The write after the last complete one, begun and not ended: from either side. */
            if (random_below(random, 2) == 0)
                apply_within(out, operation, extent, from, from + tear);
            else apply_within(out, operation, extent, to - tear, to);
            break;
        }
        apply_within(out, operation, extent, from, to);
        done++;
    }
}

static void survive_random(const struct disk_file *file, struct image *out, uint64_t *random) {
    size_t extent = file_extent(file);
    size_t rounded = (extent + CACHE_PAGE - 1) / CACHE_PAGE * CACHE_PAGE;
    const struct operation *operation;
    size_t from, choice, size = file->durable.size;
    size_t count = 1;

    image_assign(out, &file->durable);
    image_resize(out, rounded);
    for (from = 0; from < rounded; from += SECTOR) survive_sector(file, extent, from, out, random);
    for (operation = file->pending; operation; operation = operation->next) count++;
    switch (random_below(random, 3)) {
    case 0: choice = 0; break;
    case 1: choice = count - 1; break;
    default: choice = random_below(random, count); break;
    }
    for (operation = file->pending; choice > 0; operation = operation->next, choice--) {
        size = operation->file_size;
    }
    image_resize(out, size);
}

static void survive_file(const struct disk_file *file, enum crash_policy policy, uint64_t *random,
                         struct disk_file *out) {
    switch (policy) {
    case CRASH_LOSE_ALL: image_assign(&out->durable, &file->durable); break;
    case CRASH_KEEP_ALL: image_assign(&out->durable, &file->now); break;
    case CRASH_RANDOM: survive_random(file, &out->durable, random); break;
    }
    image_assign(&out->now, &out->durable);
}

static struct disk_file *survive_name(const struct name *name, enum crash_policy policy,
                                      uint64_t *random) {
    const struct name_change *change;
    struct disk_file *file = name->durable;
    size_t count = 0, choice;

    if (policy == CRASH_LOSE_ALL) return name->durable;
    if (policy == CRASH_KEEP_ALL) return name->now;
    for (change = name->pending; change; change = change->next) count++;
    choice = random_below(random, count + 1);
    for (change = name->pending; choice > 0; change = change->next, choice--) file = change->file;
    return file;
}

struct crash_disk *crash_disk_power_cut(struct crash_disk *disk, enum crash_policy policy,
                                        uint64_t seed) {
    struct crash_disk *after = crash_disk_new();
    const struct name *name;
    uint64_t random = seed;

    after->sector_size = disk->sector_size;
    for (name = disk->names; name; name = name->next) {
        struct disk_file *file = survive_name(name, policy, &random);
        struct name *copy;
        if (!file) continue;
        copy = name_find(after, name->path, true);
        copy->now = file_new(after);
        copy->durable = copy->now;
        survive_file(file, policy, &random, copy->now);
    }
    return after;
}

/* -------------------------------------------------------------------------- looking, placing -- */

const uint8_t *crash_disk_content(struct crash_disk *disk, const char *path, size_t *size) {
    struct disk_file *file = name_file(disk, path);

    if (!file) return NULL;
    image_reserve(&file->now, 1); /* an empty file is not "no file" */
    *size = file->now.size;
    return file->now.data;
}

void crash_disk_put(struct crash_disk *disk, const char *path, const void *data, size_t size) {
    struct name *name = name_find(disk, path, true);

    name->now = file_new(disk);
    name_settle(name);
    image_write(&name->now->now, 0, data, size);
    image_assign(&name->now->durable, &name->now->now);
}

void crash_disk_damage(struct crash_disk *disk, const char *path, size_t offset, const void *data,
                       size_t size) {
    struct disk_file *file = name_file(disk, path);

    if (!file) {
        fprintf(stderr, "crash_disk: no file %s to damage\n", path);
        abort();
    }
    image_write(&file->now, offset, data, size);
    image_write(&file->durable, offset, data, size);
}

void crash_disk_remove(struct crash_disk *disk, const char *path) {
    struct name *name = name_find(disk, path, false);

    if (!name) return;
    name->now = NULL;
    name_settle(name);
}

bool crash_disk_export(struct crash_disk *disk, const char *path, const char *real_path) {
    size_t size = 0;
    const uint8_t *data = crash_disk_content(disk, path, &size);
    FILE *out;
    bool complete;

    if (!data) return false;
    out = fopen(real_path, "wb");
    if (!out) return false;
    complete = fwrite(data, 1, size, out) == size;
    return fclose(out) == 0 && complete;
}
