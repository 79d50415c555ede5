/*
** lsm_cursor_api.c — the functions of lsm.h on cursors: check arguments, forward to db.
*/
#include "db/db.h"

int lsm_csr_open(lsm_db *db, lsm_cursor **ppCsr) {
    *ppCsr = NULL;
    return db_cursor_open(db, ppCsr);
}

int lsm_csr_close(lsm_cursor *pCsr) {
    db_cursor_close(pCsr);
    return LSM_OK;
}

int lsm_csr_seek(lsm_cursor *pCsr, const void *pKey, int nKey, int eSeek) {
    if (nKey < 0 || (pKey == NULL && nKey > 0)) return LSM_MISUSE;
    if (eSeek < LSM_SEEK_LEFAST || eSeek > LSM_SEEK_GE) return LSM_MISUSE;
    return db_cursor_seek(pCsr, (struct slice){pKey ? pKey : (const void *)"", (uint32_t)nKey},
                          eSeek);
}

int lsm_csr_first(lsm_cursor *pCsr) {
    return db_cursor_first(pCsr);
}

int lsm_csr_last(lsm_cursor *pCsr) {
    return db_cursor_last(pCsr);
}

int lsm_csr_next(lsm_cursor *pCsr) {
    return db_cursor_next(pCsr);
}

int lsm_csr_prev(lsm_cursor *pCsr) {
    return db_cursor_prev(pCsr);
}

int lsm_csr_valid(lsm_cursor *pCsr) {
    return db_cursor_valid(pCsr) ? 1 : 0;
}

/* Callers may not care, but an empty key or value is best not NULL: NULL means "no entry". */
static const void *never_null(struct slice slice) {
    return slice.data ? slice.data : (const void *)"";
}

int lsm_csr_key(lsm_cursor *pCsr, const void **ppKey, int *pnKey) {
    struct slice key;
    int rc = db_cursor_key(pCsr, &key);
    if (rc != LSM_OK) return rc;
    *ppKey = db_cursor_valid(pCsr) ? never_null(key) : NULL;
    *pnKey = (int)key.size;
    return LSM_OK;
}

int lsm_csr_value(lsm_cursor *pCsr, const void **ppVal, int *pnVal) {
    struct slice value;
    bool live = false;
    int rc = db_cursor_value(pCsr, &value, &live);
    if (rc != LSM_OK) return rc;
    *ppVal = live ? never_null(value) : NULL;
    *pnVal = live ? (int)value.size : 0;
    return LSM_OK;
}

int lsm_csr_cmp(lsm_cursor *pCsr, const void *pKey, int nKey, int *piRes) {
    struct slice key;
    int rc;

    if (nKey < 0 || (pKey == NULL && nKey > 0)) return LSM_MISUSE;
    if (!db_cursor_valid(pCsr)) {
        *piRes = 0;
        return LSM_MISUSE;
    }
    rc = db_cursor_key(pCsr, &key);
    if (rc != LSM_OK) return rc;
    *piRes = key_compare(key, (struct slice){pKey ? pKey : (const void *)"", (uint32_t)nKey});
    return LSM_OK;
}
