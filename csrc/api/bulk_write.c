/*
** bulk_write.c — changes: one record, a packed batch, a counter; transactions; waiting for the writer lock.
**
** FORMAT      batch: count times u32 kind, u32 size 1, u32 size 2, bytes 1, bytes 2, padding to 4.
** INVARIANTS  a batch is checked completely before its first change; it is a level of its own, so that it is
**             undone as a whole, inside a transaction too.
*/
#include "api/bulk_internal.h"
#include "format/format_shm.h"

#define KIND_MASK 0xffu

/* Enter a database handle for a change. */
static int32_t enter(uint32_t id, struct handle **out) {
    int32_t result = handle_enter(id, HANDLE_DATABASE, out);
    if (result == LSM_OK) {
        bulk_begin_call(*out);
        bulk_lock(&(*out)->main);
    }
    return result;
}

static void leave(struct handle *handle) {
    bulk_unlock(&handle->main);
    handle_leave(handle);
}

static bool again(struct handle *handle, int rc, struct bulk_wait *wait) {
    return rc == LSM_BUSY && db_depth(handle->main.db) == 0 &&
           bulk_wait_again(handle, handle->main.db, wait, LOCK_WRITER, LSM_BULK_LOCK_WRITER);
}

/* Open one more level, waiting for the writer lock if it is the first. */
static int begin_level(struct handle *handle) {
    struct bulk_wait wait = {0};
    int rc;

    do {
        rc = db_begin(handle->main.db, -1);
    } while (again(handle, rc, &wait));
    return rc;
}

/* End the innermost level: keep or undo what was done in it. */
static int end_level(struct handle *handle, int rc) {
    lsm_db *db = handle->main.db;
    int level = (int)db_depth(db);
    int end_rc;

    if (rc == LSM_OK) return db_commit(db, level - 1);
    end_rc = db_rollback(db, level == 1 ? 0 : level);
    if (end_rc == LSM_OK && level > 1) end_rc = db_commit(db, level - 1);
    return rc != LSM_OK ? rc : end_rc;
}

int32_t lsm_bulk_put(uint32_t id, const uint8_t *key, uint32_t key_size, const uint8_t *value,
                     uint32_t value_size) {
    struct bulk_wait wait = {0};
    struct handle *handle;
    int32_t result;
    int rc;

    if (!bulk_size_ok(key, key_size) || !bulk_size_ok(value, value_size)) return LSM_BULK_MISUSE;
    result = enter(id, &handle);
    if (result != LSM_OK) return result;
    do {
        rc = db_insert(handle->main.db, bulk_slice(key, key_size), bulk_slice(value, value_size));
    } while (again(handle, rc, &wait));
    if (rc != LSM_OK) result = bulk_fail(handle, handle->main.db, rc);
    leave(handle);
    return result;
}

static int exists(lsm_db *db, struct slice key, bool *found) {
    int rc = db_get(db, key, found, NULL);
    db_read_end(db);
    return rc;
}

int32_t lsm_bulk_delete(uint32_t id, uint32_t flags, const uint8_t *key, uint32_t key_size) {
    struct bulk_wait wait = {0};
    struct slice slice = bulk_slice(key, key_size);
    struct handle *handle;
    bool found = false;
    int32_t result;
    int rc;

    if (!bulk_size_ok(key, key_size)) return LSM_BULK_MISUSE;
    result = enter(id, &handle);
    if (result != LSM_OK) return result;
    if (flags & LSM_BULK_BLIND) {
        do {
            rc = db_delete(handle->main.db, slice);
        } while (again(handle, rc, &wait));
    } else {
        /* An absent key needs no transaction: it was not there at this moment. */
        do {
            rc = exists(handle->main.db, slice, &found);
        } while (again(handle, rc, &wait));
        if (rc == LSM_OK && found) {
            rc = begin_level(handle);
            if (rc == LSM_OK) {
                rc = exists(handle->main.db, slice, &found);
                if (rc == LSM_OK && found) rc = db_delete(handle->main.db, slice);
                rc = end_level(handle, rc);
            }
        }
    }
    result = rc == LSM_OK ? found : bulk_fail(handle, handle->main.db, rc);
    leave(handle);
    return result;
}

/* The last key, which a range without upper bound ends with. */
static int last_key(lsm_db *db, struct buffer *key) {
    lsm_cursor *cursor = NULL;
    struct slice found = {NULL, 0};
    int rc = db_cursor_open(db, &cursor);

    if (rc == LSM_OK) rc = db_cursor_last(cursor);
    if (rc == LSM_OK && !db_cursor_valid(cursor)) rc = LSM_BULK_ABSENT;
    if (rc == LSM_OK) rc = db_cursor_key(cursor, &found);
    if (rc == LSM_OK) rc = buffer_assign(key, found);
    db_cursor_close(cursor);
    return rc;
}

static int delete_if_there(lsm_db *db, struct slice key) {
    bool found = false;
    int rc = exists(db, key, &found);

    return rc == LSM_OK && found ? db_delete(db, key) : rc;
}

/*
** Bounds of all kinds over the C delete, which keeps both ends: delete between them, then them. The bounds are taken as
** they are, not as the outermost keys between them: those deleted one by one before are done away with, too, and nobody
** has to walk over them.
*/
static int delete_range(struct handle *handle, uint32_t flags, struct slice lower,
                        struct slice upper) {
    static const uint8_t zero = 0;
    static const struct slice nothing = {NULL, 0}; /* and "zero": the two smallest keys */
    bool with_lower = (flags & LSM_BULK_HAS_LOWER) == 0 || (flags & LSM_BULK_LOWER_INCLUSIVE) != 0;
    bool with_upper = (flags & LSM_BULK_HAS_UPPER) == 0 || (flags & LSM_BULK_UPPER_INCLUSIVE) != 0;
    lsm_db *db = handle->main.db;
    struct buffer last;
    int order;
    int rc = LSM_OK;

    buffer_init(&last, lsm_default_env());
    if (!(flags & LSM_BULK_HAS_UPPER)) {
        rc = last_key(db, &last);
        upper = buffer_slice(&last);
    }
    if (rc == LSM_OK && !(flags & LSM_BULK_HAS_LOWER)) {
        lower = (struct slice){&zero, 1};
        order = key_compare(nothing, upper);
        if (order < 0 || (order == 0 && with_upper)) rc = delete_if_there(db, nothing);
    }
    if (rc != LSM_OK) goto done;
    order = key_compare(lower, upper);
    if (order < 0) rc = db_delete_range(db, lower, upper);
    if (rc == LSM_OK && with_lower && (order < 0 || (order == 0 && with_upper))) rc = delete_if_there(db, lower);
    if (rc == LSM_OK && with_upper && order < 0) rc = delete_if_there(db, upper);
done:
    buffer_release(&last);
    return rc == LSM_BULK_ABSENT ? LSM_OK : rc;
}

struct operation {
    uint32_t kind;
    uint32_t flags;
    struct slice first;
    struct slice second;
};

static bool next_operation(const uint8_t *ops, uint32_t size, uint32_t *offset,
                           struct operation *out) {
    uint32_t at = *offset;
    uint64_t padded;
    uint32_t word;

    if (size - at < 12) return false;
    word = get_u32_little(ops + at);
    out->kind = word & KIND_MASK;
    out->flags = word & ~KIND_MASK;
    out->first.size = get_u32_little(ops + at + 4);
    out->second.size = get_u32_little(ops + at + 8);
    at += 12;
    if (out->first.size > 0x7fffffffu || out->second.size > 0x7fffffffu) return false;
    if (out->first.size > size - at || out->second.size > size - at - out->first.size) return false;
    out->first.data = ops + at;
    out->second.data = ops + at + out->first.size;
    padded = ((uint64_t)out->first.size + out->second.size + 3) & ~3ull;
    *offset = padded > size - at ? size : at + (uint32_t)padded;
    return out->kind >= LSM_BULK_PUT && out->kind <= LSM_BULK_REMOVE_RANGE;
}

int32_t lsm_bulk_apply(uint32_t id, uint32_t count, const uint8_t *ops, uint32_t ops_size) {
    struct operation operation;
    struct handle *handle;
    uint32_t offset = 0;
    uint32_t i;
    int32_t result;
    int rc;

    if (!bulk_size_ok(ops, ops_size) || count > 0x7fffffffu) return LSM_BULK_MISUSE;
    for (i = 0; i < count; i++) {
        if (!next_operation(ops, ops_size, &offset, &operation)) return LSM_BULK_MISUSE;
    }
    result = enter(id, &handle);
    if (result != LSM_OK) return result;
    rc = count > 0 ? begin_level(handle) : LSM_OK;
    if (rc == LSM_OK && count > 0) {
        offset = 0;
        for (i = 0; i < count && rc == LSM_OK; i++) {
            (void)next_operation(ops, ops_size, &offset, &operation);
            switch (operation.kind) {
                case LSM_BULK_PUT:
                    rc = db_insert(handle->main.db, operation.first, operation.second);
                    break;
                case LSM_BULK_REMOVE:
                    rc = db_delete(handle->main.db, operation.first);
                    break;
                default:
                    rc = delete_range(handle, operation.flags, operation.first, operation.second);
                    break;
            }
        }
        rc = end_level(handle, rc);
    }
    result = rc == LSM_OK ? (int32_t)count : bulk_fail(handle, handle->main.db, rc);
    leave(handle);
    return result;
}

int32_t lsm_bulk_add(uint32_t id, const uint8_t *key, uint32_t key_size, uint32_t by_low,
                     uint32_t by_high, uint8_t *out, uint32_t capacity) {
    int64_t by = (int64_t)(((uint64_t)by_high << 32) | by_low);
    struct slice slice = bulk_slice(key, key_size);
    struct slice value = {NULL, 0};
    struct handle *handle;
    uint8_t bytes[8];
    int64_t number = 0;
    bool found = false;
    int32_t result;
    int rc;

    if (!bulk_size_ok(key, key_size) || capacity < 8) return LSM_BULK_MISUSE;
    result = enter(id, &handle);
    if (result != LSM_OK) return result;
    rc = begin_level(handle);
    if (rc != LSM_OK) {
        result = bulk_fail(handle, handle->main.db, rc);
        leave(handle);
        return result;
    }
    rc = db_get(handle->main.db, slice, &found, &value);
    if (rc == LSM_OK && found && value.size != 8) {
        rc = LSM_ERROR;
        (void)bulk_fail_text(handle, LSM_BULK_NOT_COUNTER, "the value is not a counter of 8 bytes");
        handle->error.page = value.size;
    } else if (rc == LSM_OK) {
        if (found) number = (int64_t)get_u64(value.data);
        if ((by > 0 && number > INT64_MAX - by) || (by < 0 && number < INT64_MIN - by)) {
            rc = LSM_ERROR;
            (void)bulk_fail_text(handle, LSM_BULK_OVERFLOW, "the counter would overflow");
        } else {
            number += by;
            put_u64(bytes, (uint64_t)number);
            rc = db_insert(handle->main.db, slice, (struct slice){bytes, 8});
        }
    }
    rc = end_level(handle, rc);
    if (rc == LSM_OK) {
        put_u32_little(out, (uint32_t)(uint64_t)number);
        put_u32_little(out + 4, (uint32_t)((uint64_t)number >> 32));
        result = 8;
    } else if (handle->error.code == LSM_BULK_NOT_COUNTER ||
               handle->error.code == LSM_BULK_OVERFLOW) {
        result = LSM_BULK_ERROR;
    } else {
        result = bulk_fail(handle, handle->main.db, rc);
    }
    leave(handle);
    return result;
}

/* -------------------------------------------------------------------------------- transactions -- */

int32_t lsm_bulk_begin(uint32_t id, int32_t level) {
    struct bulk_wait wait = {0};
    struct handle *handle;
    int32_t result = enter(id, &handle);
    int rc;

    if (result != LSM_OK) return result;
    do {
        rc = db_begin(handle->main.db, level);
    } while (again(handle, rc, &wait));
    result = rc == LSM_OK ? (int32_t)db_depth(handle->main.db)
                          : bulk_fail(handle, handle->main.db, rc);
    leave(handle);
    return result;
}

static int32_t end_transaction(uint32_t id, int32_t level, int (*end)(lsm_db *, int)) {
    struct handle *handle;
    int32_t result = handle_enter(id, HANDLE_DATABASE, &handle);
    uint32_t depth;
    uint32_t target;
    int rc;

    if (result != LSM_OK) return result;
    bulk_begin_call(handle);
    /* Live scans and cursors end with their level, before it does. The connection is not held meanwhile: a call in
    ** flight on one of them may wait for it. Levels change only where the handle is entered. */
    depth = db_depth(handle->main.db);
    target = level >= 0 ? (uint32_t)level : depth > 0 ? depth - 1 : 0;
    if (target < depth) bulk_end_levels(handle, target);
    bulk_lock(&handle->main);
    rc = end(handle->main.db, level);
    result = rc == LSM_OK ? (int32_t)db_depth(handle->main.db)
                          : bulk_fail(handle, handle->main.db, rc);
    leave(handle);
    return result;
}

int32_t lsm_bulk_commit(uint32_t id, int32_t level) {
    return end_transaction(id, level, db_commit);
}

int32_t lsm_bulk_rollback(uint32_t id, int32_t level) {
    return end_transaction(id, level, db_rollback);
}

int32_t lsm_bulk_depth(uint32_t id) {
    struct handle *handle;
    int32_t result = handle_enter(id, HANDLE_DATABASE, &handle);

    if (result != LSM_OK) return result;
    result = (int32_t)db_depth(handle->main.db);
    handle_leave(handle);
    return result;
}
