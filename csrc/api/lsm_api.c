/*
** lsm_api.c — the functions of lsm.h on connections: check arguments, forward to db.
**
** ERRORS      negative key lengths are LSM_MISUSE; a NULL key or value counts as empty when its length is 0.
*/
#include <stdarg.h>

#include "base/memory.h"
#include "db/db.h"
#include "lsm_bulk.h"

static bool slice_from(const void *data, int size, struct slice *out) {
    if (size < 0 || (data == NULL && size > 0)) return false;
    *out = (struct slice){data ? data : (const void *)"", (uint32_t)size};
    return true;
}

int lsm_new(lsm_env *env, lsm_db **ppDb) {
    return ppDb ? db_new(env, ppDb) : LSM_MISUSE;
}

int lsm_open(lsm_db *db, const char *zFilename) {
    return zFilename ? db_open(db, zFilename) : LSM_MISUSE;
}

int lsm_close(lsm_db *db) {
    return db_close(db);
}

lsm_env *lsm_get_env(lsm_db *db) {
    return db_env(db);
}

int lsm_insert(lsm_db *db, const void *pKey, int nKey, const void *pVal, int nVal) {
    struct slice key;
    struct slice value;

    if (!slice_from(pKey, nKey, &key)) return LSM_MISUSE;
    if (nVal < 0) return db_delete(db, key);
    if (!slice_from(pVal, nVal, &value)) return LSM_MISUSE;
    return db_insert(db, key, value);
}

int lsm_delete(lsm_db *db, const void *pKey, int nKey) {
    struct slice key;
    return slice_from(pKey, nKey, &key) ? db_delete(db, key) : LSM_MISUSE;
}

int lsm_delete_range(lsm_db *db, const void *pKey1, int nKey1, const void *pKey2, int nKey2) {
    struct slice key1;
    struct slice key2;

    if (!slice_from(pKey1, nKey1, &key1) || !slice_from(pKey2, nKey2, &key2)) return LSM_MISUSE;
    return db_delete_range(db, key1, key2);
}

int lsm_begin(lsm_db *db, int iLevel) {
    return db_begin(db, iLevel);
}

int lsm_commit(lsm_db *db, int iLevel) {
    return db_commit(db, iLevel);
}

int lsm_rollback(lsm_db *db, int iLevel) {
    return db_rollback(db, iLevel);
}

int lsm_flush(lsm_db *db) {
    return db_flush(db);
}

int lsm_work(lsm_db *db, int nMerge, int nKB, int *pnWrite) {
    int written = 0;
    int rc = db_work_call(db, nMerge, nKB, &written);
    /* A call that is not allowed touches nothing. */
    if (pnWrite && rc != LSM_MISUSE && rc != LSM_READONLY) *pnWrite = rc == LSM_OK ? written : 0;
    return rc;
}

int lsm_checkpoint(lsm_db *db, int *pnKB) {
    return db_checkpoint_call(db, pnKB);
}

int lsm_get_user_version(lsm_db *db, unsigned int *piUsr) {
    uint32_t version = 0;
    int rc = db_get_user_version(db, &version);
    if (rc == LSM_OK) *piUsr = version;
    return rc;
}

int lsm_set_user_version(lsm_db *db, unsigned int iUsr) {
    return db_set_user_version(db, iUsr);
}

void lsm_config_log(lsm_db *db, void (*cb)(void *, int, const char *), void *pCtx) {
    db_set_log_hook(db, cb, pCtx);
}

void lsm_config_work_hook(lsm_db *db, void (*cb)(lsm_db *, void *), void *pCtx) {
    db_set_work_hook(db, cb, pCtx);
}

int lsm_config(lsm_db *db, int eParam, ...) {
    va_list arguments;
    int rc = LSM_OK;

    va_start(arguments, eParam);
    switch (eParam) {
        case LSM_CONFIG_SET_COMPRESSION:
            rc = db_config_compression(db, va_arg(arguments, lsm_compress *));
            break;
        case LSM_CONFIG_GET_COMPRESSION:
            db_config_get_compression(db, va_arg(arguments, lsm_compress *));
            break;
        case LSM_CONFIG_SET_COMPRESSION_FACTORY:
            db_config_factory(db, va_arg(arguments, lsm_compress_factory *));
            break;
        case LSM_CONFIG_AUTOFLUSH:
        case LSM_CONFIG_PAGE_SIZE:
        case LSM_CONFIG_SAFETY:
        case LSM_CONFIG_BLOCK_SIZE:
        case LSM_CONFIG_AUTOWORK:
        case LSM_CONFIG_MMAP:
        case LSM_CONFIG_USE_LOG:
        case LSM_CONFIG_AUTOMERGE:
        case LSM_CONFIG_MAX_FREELIST:
        case LSM_CONFIG_MULTIPLE_PROCESSES:
        case LSM_CONFIG_AUTOCHECKPOINT:
        case LSM_CONFIG_READONLY:
        case LSM_BULK_CONFIG_MEMORY_BUDGET_KB:
        case LSM_BULK_CONFIG_BACKGROUND:
            rc = db_config_integer(db, eParam, va_arg(arguments, int *));
            break;
        default:
            rc = LSM_MISUSE;
            break;
    }
    va_end(arguments);
    return rc;
}

static int clamp(int64_t value) {
    return value > INT32_MAX ? INT32_MAX : (int)value;
}

int lsm_info(lsm_db *db, int eParam, ...) {
    va_list arguments;
    int64_t first = 0;
    int64_t second = 0;
    char *text = NULL;
    int rc;

    va_start(arguments, eParam);
    switch (eParam) {
        case LSM_INFO_NWRITE:
        case LSM_INFO_NREAD:
        case LSM_INFO_CHECKPOINT_SIZE: {
            int *out = va_arg(arguments, int *);
            rc = db_info_number(db, eParam, &first, &second);
            if (rc == LSM_OK) *out = clamp(first);
            break;
        }
        case LSM_INFO_TREE_SIZE: {
            int *old_kb = va_arg(arguments, int *);
            int *live_kb = va_arg(arguments, int *);
            rc = db_info_number(db, eParam, &first, &second);
            if (rc == LSM_OK) {
                *old_kb = clamp(first);
                *live_kb = clamp(second);
            }
            break;
        }
        case LSM_INFO_COMPRESSION_ID: {
            unsigned int *out = va_arg(arguments, unsigned int *);
            rc = db_info_number(db, eParam, &first, &second);
            if (rc == LSM_OK) *out = (unsigned int)first;
            break;
        }
        case LSM_INFO_DB_STRUCTURE:
        case LSM_INFO_LOG_STRUCTURE:
        case LSM_INFO_FREELIST: {
            char **out = va_arg(arguments, char **);
            rc = db_info_text(db, eParam, 0, &text);
            if (rc == LSM_OK) *out = text;
            break;
        }
        case LSM_INFO_ARRAY_STRUCTURE:
        case LSM_INFO_ARRAY_PAGES:
        case LSM_INFO_PAGE_ASCII_DUMP:
        case LSM_INFO_PAGE_HEX_DUMP: {
            lsm_i64 page = va_arg(arguments, lsm_i64);
            char **out = va_arg(arguments, char **);
            rc = db_info_text(db, eParam, page, &text);
            if (rc == LSM_OK) *out = text;
            if (rc == LSM_ERROR) *out = NULL;
            break;
        }
        default:
            rc = LSM_MISUSE;
            break;
    }
    va_end(arguments);
    return rc;
}
