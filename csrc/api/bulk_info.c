/*
** bulk_info.c — maintenance calls and figures.
*/
#include "api/bulk_internal.h"
#include "base/memory.h"
#include "format/format_shm.h"

static int32_t enter(uint32_t id, struct handle **out) {
    int32_t result = handle_enter(id, HANDLE_DATABASE, out);
    if (result == LSM_OK) {
        bulk_begin_call(*out);
        bulk_lock(&(*out)->main);
    }
    return result;
}

static int32_t finish(struct handle *handle, int rc, int32_t value) {
    int32_t result = rc == LSM_OK ? value : bulk_fail(handle, handle->main.db, rc);
    bulk_unlock(&handle->main);
    handle_leave(handle);
    return result;
}

int32_t lsm_bulk_flush(uint32_t id) {
    struct bulk_wait wait = {0};
    struct handle *handle;
    int32_t result = enter(id, &handle);
    int rc;

    if (result != LSM_OK) return result;
    do {
        rc = db_flush(handle->main.db);
    } while (rc == LSM_BUSY && bulk_wait_again(handle, handle->main.db, &wait, LOCK_WRITER,
                                               LSM_BULK_LOCK_WRITER));
    return finish(handle, rc, 0);
}

int32_t lsm_bulk_work(uint32_t id, int32_t merge, int32_t kb) {
    struct bulk_wait wait = {0};
    struct handle *handle;
    int32_t result = enter(id, &handle);
    int written = 0;
    int rc;

    if (result != LSM_OK) return result;
    do {
        rc = db_work_call(handle->main.db, merge, kb, &written);
    } while (rc == LSM_BUSY && bulk_wait_again(handle, handle->main.db, &wait, LOCK_WORKER,
                                               LSM_BULK_LOCK_WORKER));
    return finish(handle, rc, written);
}

int32_t lsm_bulk_checkpoint(uint32_t id) {
    struct bulk_wait wait = {0};
    struct handle *handle;
    int32_t result = enter(id, &handle);
    int kb = 0;
    int rc;

    if (result != LSM_OK) return result;
    do {
        rc = db_checkpoint_call(handle->main.db, &kb);
    } while (rc == LSM_BUSY && bulk_wait_again(handle, handle->main.db, &wait, LOCK_CHECKPOINTER,
                                               LSM_BULK_LOCK_CHECKPOINTER));
    return finish(handle, rc, kb);
}

int32_t lsm_bulk_user_version(uint32_t id, uint8_t *out, uint32_t capacity) {
    struct handle *handle;
    uint32_t version = 0;
    int32_t result;
    int rc;

    if (capacity < 4) return LSM_BULK_MISUSE;
    result = enter(id, &handle);
    if (result != LSM_OK) return result;
    rc = db_get_user_version(handle->main.db, &version);
    if (rc == LSM_OK) put_u32_little(out, version);
    return finish(handle, rc, 4);
}

int32_t lsm_bulk_set_user_version(uint32_t id, uint32_t version) {
    struct bulk_wait wait = {0};
    struct handle *handle;
    int32_t result = enter(id, &handle);
    int rc;

    if (result != LSM_OK) return result;
    do {
        rc = db_set_user_version(handle->main.db, version);
    } while (rc == LSM_BUSY && db_depth(handle->main.db) == 0 &&
             bulk_wait_again(handle, handle->main.db, &wait, LOCK_WRITER, LSM_BULK_LOCK_WRITER));
    return finish(handle, rc, 0);
}

int32_t lsm_bulk_info(uint32_t id, int32_t verb, uint32_t page_low, uint32_t page_high,
                      uint8_t *out, uint32_t capacity) {
    lsm_i64 page = (lsm_i64)(((uint64_t)page_high << 32) | page_low);
    struct handle *handle;
    char *text = NULL;
    int32_t result = enter(id, &handle);
    size_t size;
    int rc;

    if (result != LSM_OK) return result;
    rc = db_info_text(handle->main.db, verb, page, &text);
    if (rc != LSM_OK) return finish(handle, rc, 0);
    size = text ? strlen(text) : 0;
    if (size <= capacity) {
        if (size) memcpy(out, text, size);
        result = (int32_t)size;
    } else {
        result = bulk_keep(handle, text, size);
    }
    memory_free(db_env(handle->main.db), text);
    return finish(handle, LSM_OK, result);
}

static int gather(struct handle *handle, uint64_t *numbers) {
    lsm_db *db = handle->main.db;
    int64_t first = 0;
    int64_t second = 0;
    char *text = NULL;
    const char *at;
    uint64_t braces = 0;
    uint64_t levels = 0;
    uint32_t depth = 0;
    int value = -1;
    int rc;

    rc = db_info_number(db, LSM_INFO_NWRITE, &first, &second);
    if (rc != LSM_OK) return rc;
    numbers[0] = (uint64_t)first;
    rc = db_info_number(db, LSM_INFO_NREAD, &first, &second);
    if (rc != LSM_OK) return rc;
    numbers[1] = (uint64_t)first;
    rc = db_info_number(db, LSM_INFO_CHECKPOINT_SIZE, &first, &second);
    if (rc != LSM_OK) return rc;
    numbers[2] = (uint64_t)first * 1024;
    rc = db_info_number(db, LSM_INFO_TREE_SIZE, &first, &second);
    if (rc != LSM_OK) return rc;
    numbers[3] = (uint64_t)second * 1024;
    numbers[4] = (uint64_t)first * 1024;
    rc = db_file_sizes(db, &numbers[5], &numbers[6]);
    if (rc != LSM_OK) return rc;
    rc = db_info_text(db, LSM_INFO_DB_STRUCTURE, 0, &text);
    if (rc == LSM_BUSY) rc = LSM_OK; /* somebody works: the count of segments is 0 this time */
    if (rc != LSM_OK) return rc;
    for (at = text ? text : ""; *at; at++) {
        if (*at == '{') {
            if (depth++ == 0) levels++;
            braces++;
        } else if (*at == '}') {
            depth--;
        }
    }
    memory_free(db_env(db), text);
    numbers[7] = braces - levels;
    numbers[8] = bulk_readers_in_use(handle);
    (void)!db_config_integer(db, LSM_CONFIG_PAGE_SIZE, &value);
    numbers[9] = (uint64_t)value;
    value = -1;
    (void)!db_config_integer(db, LSM_CONFIG_BLOCK_SIZE, &value);
    numbers[10] = (uint64_t)value * 1024;
    return LSM_OK;
}

int32_t lsm_bulk_stats(uint32_t id, uint8_t *out, uint32_t capacity) {
    uint64_t numbers[LSM_BULK_STATS_COUNT] = {0};
    struct handle *handle;
    int32_t result;
    uint32_t i;
    int rc;

    if (capacity < sizeof numbers) return LSM_BULK_MISUSE;
    result = enter(id, &handle);
    if (result != LSM_OK) return result;
    rc = gather(handle, numbers);
    if (rc == LSM_OK) {
        for (i = 0; i < LSM_BULK_STATS_COUNT; i++) {
            put_u32_little(out + 8 * i, (uint32_t)numbers[i]);
            put_u32_little(out + 8 * i + 4, (uint32_t)(numbers[i] >> 32));
        }
    }
    return finish(handle, rc, (int32_t)sizeof numbers);
}
