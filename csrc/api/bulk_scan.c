/*
** bulk_scan.c — ranges in blocks of records, cursors, nearest keys, counting.
**
** FORMAT      a block: u32 record count, u32 1 if the scan has ended, records. A record: u32 key size, u32 value
**             size, key, value, padding to 4.
** INVARIANTS  a record is delivered once: the cursor stands on an entry that was not delivered yet exactly when
**             pending_record is set.
*/
#include "api/bulk_internal.h"
#include "format/format_shm.h"

#define BLOCK_HEAD_SIZE 8

/* --------------------------------------------------------------------------- opening children -- */

/* A scan or cursor on a view: live on the main connection in a transaction, else on a frozen reader. */
static struct handle *child_open(struct handle *view, enum handle_kind kind) {
    struct handle *database = view->kind == HANDLE_DATABASE ? view : view->parent;
    struct handle *child = handle_new(kind, database);
    int rc;

    if (child == NULL) {
        (void)bulk_fail(view, NULL, LSM_NOMEM);
        return NULL;
    }
    if (view->kind == HANDLE_SNAPSHOT) {
        child->connection = view->connection;
        child->connection->references++;
    } else if (db_depth(view->main.db) > 0) {
        child->connection = &view->main;
        child->live = true;
        child->level = db_depth(view->main.db);
    } else if (bulk_reader_acquire(view, database, &child->connection) != LSM_OK) {
        child->connection = NULL;
        bulk_end_child(child);
        return NULL;
    }
    bulk_lock(child->connection);
    rc = db_cursor_open(child->connection->db, &child->cursor);
    if (rc != LSM_OK) (void)bulk_fail(view, child->connection->db, rc);
    bulk_unlock(child->connection);
    if (rc != LSM_OK) {
        bulk_end_child(child);
        return NULL;
    }
    return child;
}

/* --------------------------------------------------------------------------------------- ranges -- */

static int seek_start(lsm_cursor *cursor, uint32_t flags, struct slice lower, struct slice upper) {
    if (flags & LSM_BULK_REVERSE) {
        if (!(flags & LSM_BULK_HAS_UPPER)) return db_cursor_last(cursor);
        if (flags & LSM_BULK_UPPER_INCLUSIVE) return db_cursor_seek(cursor, upper, LSM_SEEK_LE);
        return db_cursor_seek_lt(cursor, upper);
    }
    if (!(flags & LSM_BULK_HAS_LOWER)) return db_cursor_first(cursor);
    if (flags & LSM_BULK_LOWER_INCLUSIVE) return db_cursor_seek(cursor, lower, LSM_SEEK_GE);
    return db_cursor_seek_gt(cursor, lower);
}

static bool before_end(struct slice key, uint32_t flags, struct slice lower, struct slice upper) {
    int order;

    if (flags & LSM_BULK_REVERSE) {
        if (!(flags & LSM_BULK_HAS_LOWER)) return true;
        order = key_compare(key, lower);
        return order > 0 || (order == 0 && (flags & LSM_BULK_LOWER_INCLUSIVE));
    }
    if (!(flags & LSM_BULK_HAS_UPPER)) return true;
    order = key_compare(key, upper);
    return order < 0 || (order == 0 && (flags & LSM_BULK_UPPER_INCLUSIVE));
}

static int step(lsm_cursor *cursor, uint32_t flags) {
    return flags & LSM_BULK_REVERSE ? db_cursor_prev(cursor) : db_cursor_next(cursor);
}

uint32_t lsm_bulk_scan(uint32_t id, uint32_t flags, uint32_t limit, const uint8_t *lower,
                       uint32_t lower_size, const uint8_t *upper, uint32_t upper_size) {
    struct handle *view;
    struct handle *child;
    uint32_t result = 0;

    if (!bulk_size_ok(lower, lower_size) || !bulk_size_ok(upper, upper_size)) return 0;
    if (handle_enter(id, HANDLE_VIEW, &view) != LSM_OK) return 0;
    bulk_begin_call(view);
    child = child_open(view, HANDLE_SCAN);
    if (child) {
        child->scan.flags = flags;
        child->scan.remaining = limit;
        if (buffer_assign(&child->scan.lower, bulk_slice(lower, lower_size)) != LSM_OK ||
            buffer_assign(&child->scan.upper, bulk_slice(upper, upper_size)) != LSM_OK) {
            (void)bulk_fail(view, NULL, LSM_NOMEM);
            bulk_end_child(child);
        } else {
            result = child->id;
            handle_leave(child);
        }
    }
    handle_leave(view);
    return result;
}

/* Make the cursor stand on the next undelivered record, or end the scan. */
static int scan_advance(struct handle *handle) {
    struct bulk_scan *scan = &handle->scan;
    struct slice lower = buffer_slice(&scan->lower);
    struct slice upper = buffer_slice(&scan->upper);
    struct slice key;
    int rc = LSM_OK;

    if (scan->state == SCAN_ENDED || scan->pending_record) return LSM_OK;
    if (scan->remaining == 0) {
        scan->state = SCAN_ENDED;
        return LSM_OK;
    }
    if (scan->state == SCAN_NEW) {
        rc = seek_start(handle->cursor, scan->flags, lower, upper);
        scan->state = SCAN_RUNNING;
    } else {
        rc = step(handle->cursor, scan->flags);
    }
    if (rc != LSM_OK) return rc;
    if (!db_cursor_valid(handle->cursor)) {
        scan->state = SCAN_ENDED;
        return LSM_OK;
    }
    rc = db_cursor_key(handle->cursor, &key);
    if (rc != LSM_OK) return rc;
    if (before_end(key, scan->flags, lower, upper)) {
        scan->pending_record = true;
    } else {
        scan->state = SCAN_ENDED;
    }
    return LSM_OK;
}

static int scan_record(struct handle *handle, struct slice *key, struct slice *value) {
    uint32_t flags = handle->scan.flags;
    bool live = true;
    int rc;

    *value = (struct slice){NULL, 0};
    rc = db_cursor_key(handle->cursor, key);
    if (rc == LSM_OK && !(flags & LSM_BULK_KEYS_ONLY)) {
        rc = db_cursor_value(handle->cursor, value, &live);
    }
    if (flags & LSM_BULK_VALUES_ONLY) key->size = 0;
    return rc;
}

/* The first record does not fit: keep a block of it alone. */
static int32_t keep_large(struct handle *handle, struct slice key, struct slice value) {
    uint64_t size = BLOCK_HEAD_SIZE + 8 + (((uint64_t)key.size + value.size + 3) & ~3ull);
    uint8_t *at;

    buffer_reset(&handle->pending);
    at = buffer_extend(&handle->pending, (size_t)size);
    if (at == NULL) return bulk_fail(handle, NULL, LSM_NOMEM);
    put_u32_little(at, 1);
    put_u32_little(at + 4, 0);
    bulk_put_record(at + BLOCK_HEAD_SIZE, key, value);
    handle->pending_consumes = true;
    return LSM_BULK_TOO_SMALL;
}

static int32_t scan_fill(struct handle *handle, uint8_t *out, uint32_t capacity) {
    struct bulk_scan *scan = &handle->scan;
    uint32_t used = BLOCK_HEAD_SIZE;
    uint32_t count = 0;
    int rc;

    for (;;) {
        struct slice key;
        struct slice value;
        uint64_t size;

        rc = scan_advance(handle);
        if (rc != LSM_OK) return bulk_fail(handle, handle->connection->db, rc);
        if (scan->state == SCAN_ENDED) break;
        rc = scan_record(handle, &key, &value);
        if (rc != LSM_OK) return bulk_fail(handle, handle->connection->db, rc);
        size = 8 + (((uint64_t)key.size + value.size + 3) & ~3ull);
        if (size > capacity - used) {
            if (count == 0) return keep_large(handle, key, value);
            break;
        }
        bulk_put_record(out + used, key, value);
        used += (uint32_t)size;
        count++;
        scan->pending_record = false;
        if (scan->remaining != UINT32_MAX) scan->remaining--;
    }
    put_u32_little(out, count);
    put_u32_little(out + 4, scan->state == SCAN_ENDED);
    return (int32_t)used;
}

int32_t lsm_bulk_scan_next(uint32_t id, uint8_t *out, uint32_t capacity) {
    struct handle *handle;
    int32_t result;

    if (capacity < BLOCK_HEAD_SIZE || capacity > 0x7fffffffu) return LSM_BULK_MISUSE;
    result = handle_enter(id, HANDLE_SCAN, &handle);
    if (result != LSM_OK) return result;
    bulk_begin_call(handle);
    bulk_lock(handle->connection);
    result = scan_fill(handle, out, capacity);
    bulk_unlock(handle->connection);
    handle_leave(handle);
    return result;
}

/* Open a cursor for one call: on the newest content, waiting out the moments without a free slot. */
static int passing_cursor(struct handle *view, struct bulk_connection *connection,
                          lsm_cursor **out) {
    struct bulk_wait wait = {0};
    int rc;

    do {
        rc = db_cursor_open(connection->db, out);
    } while (rc == LSM_BUSY &&
             bulk_wait_again(view, connection->db, &wait, 0, LSM_BULK_LOCK_SNAPSHOT));
    return rc;
}

int32_t lsm_bulk_count(uint32_t id, uint32_t flags, const uint8_t *lower, uint32_t lower_size,
                       const uint8_t *upper, uint32_t upper_size, uint8_t *out,
                       uint32_t capacity) {
    struct slice low = bulk_slice(lower, lower_size);
    struct slice high = bulk_slice(upper, upper_size);
    struct bulk_connection *connection;
    lsm_cursor *cursor = NULL;
    struct handle *view;
    uint64_t count = 0;
    int32_t result;
    int rc;

    if (!bulk_size_ok(lower, lower_size) || !bulk_size_ok(upper, upper_size) || capacity < 8) {
        return LSM_BULK_MISUSE;
    }
    result = handle_enter(id, HANDLE_VIEW, &view);
    if (result != LSM_OK) return result;
    bulk_begin_call(view);
    flags &= ~LSM_BULK_REVERSE;
    connection = bulk_connection_of(view);
    bulk_lock(connection);
    rc = passing_cursor(view, connection, &cursor);
    if (rc == LSM_OK) rc = seek_start(cursor, flags, low, high);
    while (rc == LSM_OK && db_cursor_valid(cursor)) {
        struct slice key;
        rc = db_cursor_key(cursor, &key);
        if (rc != LSM_OK || !before_end(key, flags, low, high)) break;
        count++;
        rc = db_cursor_next(cursor);
    }
    if (rc == LSM_OK) {
        put_u32_little(out, (uint32_t)count);
        put_u32_little(out + 4, (uint32_t)(count >> 32));
        result = 8;
    } else {
        result = bulk_fail(view, connection->db, rc);
    }
    db_cursor_close(cursor);
    bulk_unlock(connection);
    handle_leave(view);
    return result;
}

/* -------------------------------------------------------------------------------------- cursors -- */

static int seek_by_mode(lsm_cursor *cursor, uint32_t mode, struct slice key) {
    switch (mode) {
        case LSM_BULK_SEEK_EQ: return db_cursor_seek(cursor, key, LSM_SEEK_EQ);
        case LSM_BULK_SEEK_LE: return db_cursor_seek(cursor, key, LSM_SEEK_LE);
        case LSM_BULK_SEEK_GE: return db_cursor_seek(cursor, key, LSM_SEEK_GE);
        case LSM_BULK_SEEK_LT: return db_cursor_seek_lt(cursor, key);
        case LSM_BULK_SEEK_GT: return db_cursor_seek_gt(cursor, key);
        default: return db_cursor_seek(cursor, key, LSM_SEEK_LEFAST);
    }
}

static int32_t deliver_entry(struct handle *handle, struct bulk_connection *connection,
                             lsm_cursor *cursor, uint8_t *out, uint32_t capacity) {
    struct slice key;
    struct slice value;
    bool live;
    int rc;

    if (!db_cursor_valid(cursor)) return LSM_BULK_ABSENT;
    rc = db_cursor_key(cursor, &key);
    if (rc == LSM_OK) rc = db_cursor_value(cursor, &value, &live);
    if (rc != LSM_OK) return bulk_fail(handle, connection->db, rc);
    return bulk_deliver(handle, key, value, out, capacity);
}

int32_t lsm_bulk_seek(uint32_t id, uint32_t mode, const uint8_t *key, uint32_t key_size,
                      uint8_t *out, uint32_t capacity) {
    struct bulk_connection *connection;
    lsm_cursor *cursor = NULL;
    struct handle *view;
    int32_t result;
    int rc;

    if (!bulk_size_ok(key, key_size) || mode > LSM_BULK_SEEK_GT) return LSM_BULK_MISUSE;
    result = handle_enter(id, HANDLE_VIEW, &view);
    if (result != LSM_OK) return result;
    bulk_begin_call(view);
    connection = bulk_connection_of(view);
    bulk_lock(connection);
    rc = passing_cursor(view, connection, &cursor);
    if (rc == LSM_OK) rc = seek_by_mode(cursor, mode, bulk_slice(key, key_size));
    result = rc == LSM_OK ? deliver_entry(view, connection, cursor, out, capacity)
                          : bulk_fail(view, connection->db, rc);
    db_cursor_close(cursor);
    bulk_unlock(connection);
    handle_leave(view);
    return result;
}

uint32_t lsm_bulk_cursor(uint32_t id) {
    struct handle *view;
    struct handle *child;
    uint32_t result = 0;

    if (handle_enter(id, HANDLE_VIEW, &view) != LSM_OK) return 0;
    bulk_begin_call(view);
    child = child_open(view, HANDLE_CURSOR);
    if (child) {
        result = child->id;
        handle_leave(child);
    }
    handle_leave(view);
    return result;
}

static int32_t arrive(struct handle *handle, enum cursor_place otherwise, uint8_t *out,
                      uint32_t capacity) {
    handle->place = db_cursor_valid(handle->cursor) ? CURSOR_ON_ENTRY : otherwise;
    return deliver_entry(handle, handle->connection, handle->cursor, out, capacity);
}

int32_t lsm_bulk_cursor_seek(uint32_t id, uint32_t mode, const uint8_t *key, uint32_t key_size,
                             uint8_t *out, uint32_t capacity) {
    struct handle *handle;
    int32_t result;
    int rc;

    if (!bulk_size_ok(key, key_size) || mode > LSM_BULK_SEEK_LEFAST) return LSM_BULK_MISUSE;
    result = handle_enter(id, HANDLE_CURSOR, &handle);
    if (result != LSM_OK) return result;
    bulk_begin_call(handle);
    bulk_lock(handle->connection);
    rc = seek_by_mode(handle->cursor, mode, bulk_slice(key, key_size));
    result = rc == LSM_OK ? arrive(handle, CURSOR_NOWHERE, out, capacity)
                          : bulk_fail(handle, handle->connection->db, rc);
    bulk_unlock(handle->connection);
    handle_leave(handle);
    return result;
}

/* A cursor of db keeps one direction; seeking from its own key gives the other. */
static int move(struct handle *handle, uint32_t movement) {
    lsm_cursor *cursor = handle->cursor;
    struct buffer copy;
    struct slice key;
    int rc;

    if (movement == LSM_BULK_FIRST) return db_cursor_first(cursor);
    if (movement == LSM_BULK_LAST) return db_cursor_last(cursor);
    if (handle->place == CURSOR_ON_ENTRY) {
        rc = movement == LSM_BULK_NEXT ? db_cursor_next(cursor) : db_cursor_prev(cursor);
        if (rc != LSM_MISUSE) return rc;
        rc = db_cursor_key(cursor, &key);
        if (rc != LSM_OK) return rc;
        buffer_init(&copy, lsm_default_env());
        rc = buffer_assign(&copy, key);
        if (rc == LSM_OK) {
            rc = movement == LSM_BULK_NEXT ? db_cursor_seek_gt(cursor, buffer_slice(&copy))
                                           : db_cursor_seek_lt(cursor, buffer_slice(&copy));
        }
        buffer_release(&copy);
        return rc;
    }
    /* Off one end, the other direction comes back in. */
    if (handle->place == CURSOR_AFTER_LAST && movement == LSM_BULK_PREV) return db_cursor_last(cursor);
    if (handle->place == CURSOR_BEFORE_FIRST && movement == LSM_BULK_NEXT) {
        return db_cursor_first(cursor);
    }
    return LSM_BULK_ABSENT;
}

int32_t lsm_bulk_cursor_move(uint32_t id, uint32_t movement, uint8_t *out, uint32_t capacity) {
    enum cursor_place otherwise = movement == LSM_BULK_FIRST || movement == LSM_BULK_PREV
                                      ? CURSOR_BEFORE_FIRST
                                      : CURSOR_AFTER_LAST;
    struct handle *handle;
    int32_t result;
    int rc;

    if (movement > LSM_BULK_PREV) return LSM_BULK_MISUSE;
    result = handle_enter(id, HANDLE_CURSOR, &handle);
    if (result != LSM_OK) return result;
    bulk_begin_call(handle);
    bulk_lock(handle->connection);
    rc = move(handle, movement);
    if (rc == LSM_BULK_ABSENT) {
        result = LSM_BULK_ABSENT;
    } else {
        result = rc == LSM_OK ? arrive(handle, otherwise, out, capacity)
                              : bulk_fail(handle, handle->connection->db, rc);
    }
    bulk_unlock(handle->connection);
    handle_leave(handle);
    return result;
}
