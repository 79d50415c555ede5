/*
** os_env.c — the default environment: its table, its allocator, and the public functions around
** them.
**
** FORMAT      a block of the allocator: | size, padded to the strictest alignment | bytes of the
**             caller |
** INVARIANTS  (I1) xSize gives exactly the size that was asked for.
**             (I2) The table is writable: programs are allowed to patch it in place.
** ERRORS      NULL when the system has no memory; a failed xRealloc leaves the old block alone.
*/
#include "os/os_internal.h"

#include <stdlib.h>

struct block_head {
    _Alignas(max_align_t) size_t size;
};

static void *default_malloc(lsm_env *env, size_t size) {
    struct block_head *head;

    (void)env;
    if (size > SIZE_MAX - sizeof *head) return NULL;
    head = malloc(sizeof *head + size);
    if (!head) return NULL;
    head->size = size;
    return head + 1;
}

static void default_free(lsm_env *env, void *block) {
    (void)env;
    if (block) free((struct block_head *)block - 1);
}

static void *default_realloc(lsm_env *env, void *block, size_t size) {
    struct block_head *head;

    if (!block) return default_malloc(env, size);
    if (size == 0) {
        default_free(env, block);
        return NULL;
    }
    if (size > SIZE_MAX - sizeof *head) return NULL;
    head = realloc((struct block_head *)block - 1, sizeof *head + size);
    if (!head) return NULL;
    head->size = size;
    return head + 1;
}

static size_t default_size(lsm_env *env, void *block) {
    (void)env;
    return block ? ((struct block_head *)block - 1)->size : 0;
}

static lsm_env default_env = {
    .nByte = (int)sizeof(lsm_env),
    .iVersion = 1,

    .xFullpath = os_file_full_path,
    .xOpen = os_file_open,
    .xRead = os_file_read,
    .xWrite = os_file_write,
    .xTruncate = os_file_truncate,
    .xSync = os_file_sync,
    .xSectorSize = os_file_sector_size,
    .xRemap = os_file_remap,
    .xFileid = os_file_identity,
    .xClose = os_file_close,
    .xUnlink = os_file_unlink,
    .xLock = os_file_lock,
    .xTestLock = os_file_test_lock,
    .xShmMap = os_file_shm_map,
    .xShmBarrier = os_file_shm_barrier,
    .xShmUnmap = os_file_shm_unmap,

    .xMalloc = default_malloc,
    .xRealloc = default_realloc,
    .xFree = default_free,
    .xSize = default_size,

    .xMutexStatic = os_default_mutex_static,
    .xMutexNew = os_default_mutex_new,
    .xMutexDel = os_default_mutex_free,
    .xMutexEnter = os_default_mutex_enter,
    .xMutexTry = os_default_mutex_try,
    .xMutexLeave = os_default_mutex_leave,
    .xMutexHeld = NULL, /* for assertions only, and nobody here makes them */
    .xMutexNotHeld = NULL,

    .xSleep = os_default_sleep,
};

lsm_env *lsm_default_env(void) {
    return &default_env;
}

void *lsm_malloc(lsm_env *env, size_t size) {
    if (!env) env = &default_env;
    return env->xMalloc(env, size);
}

void *lsm_realloc(lsm_env *env, void *block, size_t size) {
    if (!env) env = &default_env;
    return env->xRealloc(env, block, size);
}

void lsm_free(lsm_env *env, void *block) {
    if (!env) env = &default_env;
    env->xFree(env, block);
}
