/*
** memory_env.h — an lsm_env whose files live in memory; calls are counted and can be made to fail.
**
**     struct memory_env m;
**     memory_env_open(&m);                          use &m.env; the first thing done with it
**     memory_env_fail(&m, MEMORY_WRITE, 3, LSM_IOERR);    the third write from now fails, once
**     m.count[MEMORY_SYNC]                          calls of that kind so far
**     memory_env_set(&m, "a-log", bytes, size);     make or replace a file
**     file = memory_env_find(&m, "a-log");          file->data, file->size; NULL = no such file
**     m.live_blocks                                 allocations not yet freed
**     memory_env_close(&m);                         frees files; a check fails if a block is alive
**
** With memory_env_close_knowing_leaks a test may leave blocks behind. After memory_env_make_foreign
** the environment has no os_extra: no file size, no directory sync, no random bytes.
**
** LIMITS      One thread. Locks always succeed; there is no mapping and no shared region. A failing
**             call has no effect, but for MEMORY_WRITE with m.torn: then half is written.
** OWNERSHIP   The struct must not move while open. memory_env_fail replaces the previous order.
*/
#ifndef LSM_SUPPORT_MEMORY_ENV_H
#define LSM_SUPPORT_MEMORY_ENV_H

#include "lsm.h"
#include "os/os.h"
#include "support/test.h"

enum memory_call {
    MEMORY_OPEN,
    MEMORY_READ,
    MEMORY_WRITE,
    MEMORY_TRUNCATE,
    MEMORY_SYNC,
    MEMORY_SYNC_DIRECTORY,
    MEMORY_UNLINK,
    MEMORY_SIZE,
    MEMORY_MALLOC, /* xMalloc and xRealloc */
    MEMORY_CALLS
};

struct memory_file {
    struct memory_file *next;
    char name[256];
    uint8_t *data;
    size_t size;
    size_t capacity;
};

struct memory_env {
    lsm_env env; /* first: callbacks find the rest through it */
    struct memory_file *files;
    long count[MEMORY_CALLS];
    int fail_kind; /* -1 = none */
    long fail_after;
    int fail_code;
    bool fail_always; /* from that call on; set after memory_env_fail */
    bool torn;
    bool foreign;
    long live_blocks;
    int sector_size;
};

struct memory_handle {
    struct memory_env *m;
    struct memory_file *file;
};

/* Count a call; the code with which it has to fail, or LSM_OK. */
TEST_HELPER int memory_env_call(struct memory_env *m, enum memory_call kind) {
    m->count[kind]++;
    if (m->fail_kind != (int)kind) return LSM_OK;
    if (m->fail_after > 1) {
        m->fail_after--;
        return LSM_OK;
    }
    if (!m->fail_always) m->fail_kind = -1;
    return m->fail_code;
}

TEST_HELPER void memory_env_fail(struct memory_env *m, enum memory_call kind, long nth, int code) {
    m->fail_kind = (int)kind;
    m->fail_after = nth;
    m->fail_code = code;
    m->fail_always = false;
}

TEST_HELPER void memory_env_no_failure(struct memory_env *m) {
    m->fail_kind = -1;
}

TEST_HELPER struct memory_file *memory_env_find(struct memory_env *m, const char *name) {
    struct memory_file *file = m->files;
    while (file != NULL && strcmp(file->name, name) != 0) file = file->next;
    return file;
}

TEST_HELPER void memory_file_resize(struct memory_file *file, size_t size) {
    if (size > file->capacity) {
        size_t capacity = file->capacity > 0 ? file->capacity : 4096;
        while (capacity < size) capacity *= 2;
        file->data = realloc(file->data, capacity);
        if (file->data == NULL) TEST_FAIL("out of memory");
        file->capacity = capacity;
    }
    if (size > file->size) memset(file->data + file->size, 0, size - file->size);
    file->size = size;
}

TEST_HELPER struct memory_file *memory_env_make(struct memory_env *m, const char *name) {
    struct memory_file *file = memory_env_find(m, name);
    if (file != NULL) return file;
    file = calloc(1, sizeof *file);
    if (file == NULL) TEST_FAIL("out of memory");
    snprintf(file->name, sizeof file->name, "%s", name);
    file->next = m->files;
    m->files = file;
    return file;
}

TEST_HELPER void memory_env_set(struct memory_env *m, const char *name, const void *data,
                                size_t size) {
    struct memory_file *file = memory_env_make(m, name);
    memory_file_resize(file, 0);
    memory_file_resize(file, size);
    if (size > 0) memcpy(file->data, data, size);
}

/* ------------------------------------------------------------------------------ callbacks -- */

TEST_HELPER int memory_full_path(lsm_env *env, const char *path, char *out, int *size) {
    int needed = (int)strlen(path) + 1;
    (void)env;
    if (needed <= *size) memcpy(out, path, (size_t)needed);
    *size = needed;
    return LSM_OK;
}

TEST_HELPER int memory_open(lsm_env *env, const char *path, int flags, lsm_file **out) {
    struct memory_env *m = (struct memory_env *)env;
    struct memory_handle *handle;
    int rc = memory_env_call(m, MEMORY_OPEN);

    if (rc != LSM_OK) return rc;
    if ((flags & LSM_OPEN_READONLY) && memory_env_find(m, path) == NULL) return LSM_IOERR_NOENT;
    handle = malloc(sizeof *handle);
    if (handle == NULL) return LSM_NOMEM;
    *handle = (struct memory_handle){m, memory_env_make(m, path)};
    *out = (lsm_file *)handle;
    return LSM_OK;
}

TEST_HELPER int memory_close(lsm_file *file) {
    free(file);
    return LSM_OK;
}

TEST_HELPER int memory_read(lsm_file *opaque, lsm_i64 offset, void *data, int size) {
    struct memory_handle *handle = (struct memory_handle *)opaque;
    struct memory_file *file = handle->file;
    size_t have = 0;
    int rc = memory_env_call(handle->m, MEMORY_READ);

    if (rc != LSM_OK) return rc;
    if ((size_t)offset < file->size) {
        have = file->size - (size_t)offset;
        if (have > (size_t)size) have = (size_t)size;
        memcpy(data, file->data + offset, have);
    }
    memset((char *)data + have, 0, (size_t)size - have);
    return LSM_OK;
}

TEST_HELPER int memory_write(lsm_file *opaque, lsm_i64 offset, void *data, int size) {
    struct memory_handle *handle = (struct memory_handle *)opaque;
    struct memory_file *file = handle->file;
    int rc = memory_env_call(handle->m, MEMORY_WRITE);

    if (rc != LSM_OK && !handle->m->torn) return rc;
    if (rc != LSM_OK) size /= 2;
    if ((size_t)offset + (size_t)size > file->size) {
        memory_file_resize(file, (size_t)offset + (size_t)size);
    }
    if (size > 0) memcpy(file->data + offset, data, (size_t)size);
    return rc;
}

TEST_HELPER int memory_truncate(lsm_file *opaque, lsm_i64 size) {
    struct memory_handle *handle = (struct memory_handle *)opaque;
    int rc = memory_env_call(handle->m, MEMORY_TRUNCATE);
    if (rc == LSM_OK && (size_t)size < handle->file->size) {
        memory_file_resize(handle->file, (size_t)size);
    }
    return rc;
}

TEST_HELPER int memory_sync(lsm_file *opaque) {
    return memory_env_call(((struct memory_handle *)opaque)->m, MEMORY_SYNC);
}

TEST_HELPER int memory_sector_size(lsm_file *opaque) {
    return ((struct memory_handle *)opaque)->m->sector_size;
}

TEST_HELPER int memory_remap(lsm_file *opaque, lsm_i64 minimum, void **out, lsm_i64 *size) {
    (void)opaque, (void)minimum, (void)out, (void)size;
    return LSM_ERROR;
}

TEST_HELPER int memory_file_id(lsm_file *opaque, void *out, int *size) {
    struct memory_file *file = ((struct memory_handle *)opaque)->file;
    int capacity = *size;
    *size = (int)sizeof file;
    if (out != NULL && capacity >= *size) memcpy(out, &file, sizeof file);
    return LSM_OK;
}

TEST_HELPER int memory_unlink(lsm_env *env, const char *path) {
    struct memory_env *m = (struct memory_env *)env;
    struct memory_file *file = memory_env_find(m, path);
    int rc = memory_env_call(m, MEMORY_UNLINK);

    if (rc != LSM_OK) return rc;
    if (file == NULL) return LSM_IOERR_NOENT;
    snprintf(file->name, sizeof file->name, "(deleted)"); /* open handles go on */
    return LSM_OK;
}

TEST_HELPER int memory_lock(lsm_file *opaque, int lock, int operation) {
    (void)opaque, (void)lock, (void)operation;
    return LSM_OK;
}
TEST_HELPER int memory_test_lock(lsm_file *opaque, int lock, int count, int operation) {
    (void)opaque, (void)lock, (void)count, (void)operation;
    return LSM_OK;
}
TEST_HELPER int memory_shm_map(lsm_file *opaque, int chunk, int size, void **out) {
    (void)opaque, (void)chunk, (void)size, (void)out;
    return LSM_ERROR;
}
TEST_HELPER void memory_shm_barrier(void) {
}
TEST_HELPER int memory_shm_unmap(lsm_file *opaque, int delete) {
    (void)opaque, (void)delete;
    return LSM_OK;
}

TEST_HELPER void *memory_malloc(lsm_env *env, size_t size) {
    struct memory_env *m = (struct memory_env *)env;
    void *block;
    if (memory_env_call(m, MEMORY_MALLOC) != LSM_OK) return NULL;
    block = malloc(size);
    if (block != NULL) m->live_blocks++;
    return block;
}
TEST_HELPER void memory_free_block(lsm_env *env, void *block) {
    if (block != NULL) ((struct memory_env *)env)->live_blocks--;
    free(block);
}
TEST_HELPER void *memory_realloc_block(lsm_env *env, void *old, size_t size) {
    struct memory_env *m = (struct memory_env *)env;
    void *block;
    if (memory_env_call(m, MEMORY_MALLOC) != LSM_OK) return NULL;
    block = realloc(old, size);
    if (block != NULL && old == NULL) m->live_blocks++;
    return block;
}
TEST_HELPER size_t memory_block_size(lsm_env *env, void *block) {
    (void)env, (void)block;
    return 0;
}

TEST_HELPER int memory_mutex_static(lsm_env *env, int id, lsm_mutex **out) {
    (void)id;
    *out = (lsm_mutex *)env;
    return LSM_OK;
}
TEST_HELPER int memory_mutex_new(lsm_env *env, lsm_mutex **out) {
    *out = (lsm_mutex *)env;
    return LSM_OK;
}
TEST_HELPER void memory_mutex_any(lsm_mutex *mutex) {
    (void)mutex;
}
TEST_HELPER int memory_mutex_try(lsm_mutex *mutex) {
    (void)mutex;
    return 1;
}
TEST_HELPER int memory_sleep(lsm_env *env, int microseconds) {
    (void)env, (void)microseconds;
    return LSM_OK;
}

TEST_HELPER int memory_extra_size(lsm_file *opaque, uint64_t *size) {
    struct memory_handle *handle = (struct memory_handle *)opaque;
    int rc = memory_env_call(handle->m, MEMORY_SIZE);
    if (rc == LSM_OK) *size = handle->file->size;
    return rc;
}
TEST_HELPER int memory_extra_sync_directory(lsm_env *env, const char *path) {
    (void)path;
    return memory_env_call((struct memory_env *)env, MEMORY_SYNC_DIRECTORY);
}
TEST_HELPER int memory_extra_random(void *out, size_t size) {
    test_random_bytes(out, size);
    return LSM_OK;
}

/* ------------------------------------------------------------------------- opening, closing -- */

TEST_HELPER void memory_env_open(struct memory_env *m) {
    static const struct os_extra extra = {
        .file_size = memory_extra_size,
        .sync_directory = memory_extra_sync_directory,
        .random = memory_extra_random,
    };
    *m = (struct memory_env){
        .env = {.nByte = (int)sizeof(lsm_env),
                .iVersion = 1,
                .xFullpath = memory_full_path,
                .xOpen = memory_open,
                .xRead = memory_read,
                .xWrite = memory_write,
                .xTruncate = memory_truncate,
                .xSync = memory_sync,
                .xSectorSize = memory_sector_size,
                .xRemap = memory_remap,
                .xFileid = memory_file_id,
                .xClose = memory_close,
                .xUnlink = memory_unlink,
                .xLock = memory_lock,
                .xTestLock = memory_test_lock,
                .xShmMap = memory_shm_map,
                .xShmBarrier = memory_shm_barrier,
                .xShmUnmap = memory_shm_unmap,
                .xMalloc = memory_malloc,
                .xRealloc = memory_realloc_block,
                .xFree = memory_free_block,
                .xSize = memory_block_size,
                .xMutexStatic = memory_mutex_static,
                .xMutexNew = memory_mutex_new,
                .xMutexDel = memory_mutex_any,
                .xMutexEnter = memory_mutex_any,
                .xMutexTry = memory_mutex_try,
                .xMutexLeave = memory_mutex_any,
                .xSleep = memory_sleep},
        .fail_kind = -1,
        .sector_size = 512,
    };
    CHECK_OK(os_extra_register(&m->env, &extra));
}

/* From now on an environment of which nothing is known. */
TEST_HELPER void memory_env_make_foreign(struct memory_env *m) {
    m->foreign = true;
    CHECK_OK(os_extra_register(&m->env, NULL));
}

TEST_HELPER void memory_env_close_knowing_leaks(struct memory_env *m) {
    while (m->files != NULL) {
        struct memory_file *file = m->files;
        m->files = file->next;
        free(file->data);
        free(file);
    }
    if (!m->foreign) CHECK_OK(os_extra_register(&m->env, NULL));
}

TEST_HELPER void memory_env_close(struct memory_env *m) {
    memory_env_close_knowing_leaks(m);
    CHECK_EQ_INT(m->live_blocks, 0);
}

#endif
