/*
** bulk_scan.c — ranges in blocks of records, cursors, nearest keys, counting.
**
** FORMAT      a block: u32 record count, u32 1 if the scan has ended, records. A record: u32 key size, u32 value
**             size, key, value, padding to 4.
** INVARIANTS  (I1) a record is delivered once: the cursor stands on an entry that was not delivered yet exactly
**             when pending_record is set.
**             (I2) all blocks of a frozen scan are of one version. The first is read in passing, on the view's
**             own connection; a reader that turns out to be of another version reads it again.
** COST        a range that ends in its first block: one look-up, no handle, no reader.
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
        (void)bulk_fail_no_handle(view);
        return NULL;
    }
    if (view->kind == HANDLE_SNAPSHOT) {
        bulk_reader_share(view->connection);
        child->connection = view->connection;
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

/* Make the cursor stand on the next undelivered record, or end the scan. */
static int scan_advance(struct bulk_scan *scan, lsm_cursor *cursor) {
    struct slice key;
    int rc = LSM_OK;

    if (scan->state == SCAN_ENDED) return LSM_OK;
    if (scan->remaining == 0) {
        scan->state = SCAN_ENDED;
        return LSM_OK;
    }
    if (scan->state == SCAN_NEW) {
        rc = seek_start(cursor, scan->flags, scan->lower, scan->upper);
    } else if (scan->pending_record) {
        rc = db_cursor_renew(cursor); /* a live scan: the transaction may have deleted it meanwhile */
    } else {
        rc = step(cursor, scan->flags);
    }
    if (rc != LSM_OK) return rc;
    scan->state = SCAN_RUNNING;
    scan->pending_record = false;
    if (!db_cursor_valid(cursor)) {
        scan->state = SCAN_ENDED;
        return LSM_OK;
    }
    rc = db_cursor_key(cursor, &key);
    if (rc != LSM_OK) return rc;
    if (before_end(key, scan->flags, scan->lower, scan->upper)) {
        scan->pending_record = true;
    } else {
        scan->state = SCAN_ENDED;
    }
    return LSM_OK;
}

static int scan_record(const struct bulk_scan *scan, lsm_cursor *cursor, struct slice *key,
                       struct slice *value) {
    bool live = true;
    int rc;

    *value = (struct slice){NULL, 0};
    rc = db_cursor_key(cursor, key);
    if (rc == LSM_OK && !(scan->flags & LSM_BULK_KEYS_ONLY)) {
        rc = db_cursor_value(cursor, value, &live);
    }
    if (scan->flags & LSM_BULK_VALUES_ONLY) key->size = 0;
    return rc;
}

/* The records that fit, as a block of *used bytes. A first record that does not fit is left pending. What goes wrong
** behind others is met again, and told, by the next call. */
static int scan_fill(struct bulk_scan *scan, lsm_cursor *cursor, uint8_t *out, uint32_t capacity,
                     uint32_t *used) {
    uint32_t count = 0;
    int rc;

    *used = BLOCK_HEAD_SIZE;
    for (;;) {
        struct slice key;
        struct slice value;
        uint64_t size;

        rc = scan_advance(scan, cursor);
        if (rc == LSM_OK && scan->state == SCAN_ENDED) break;
        if (rc == LSM_OK) rc = scan_record(scan, cursor, &key, &value);
        if (rc != LSM_OK && count == 0) return rc;
        if (rc != LSM_OK) break;
        size = 8 + (((uint64_t)key.size + value.size + 3) & ~3ull);
        if (size > capacity - *used) break;
        bulk_put_record(out + *used, key, value);
        *used += (uint32_t)size;
        count++;
        scan->pending_record = false;
        if (scan->remaining != UINT32_MAX) scan->remaining--;
    }
    put_u32_little(out, count);
    put_u32_little(out + 4, scan->state == SCAN_ENDED);
    return LSM_OK;
}

/* -------------------------------------------------------------------------------- starting a scan -- */

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

/* Bounds of its own instead of the caller's. */
static int scan_own(struct bulk_scan *scan, struct slice lower, struct slice upper) {
    buffer_append_slice(&scan->bounds, lower);
    buffer_append_slice(&scan->bounds, upper);
    if (scan->bounds.rc != LSM_OK) return scan->bounds.rc;
    scan->lower = bulk_slice(scan->bounds.data, lower.size);
    scan->upper = bulk_slice(upper.size ? scan->bounds.data + lower.size : NULL, upper.size);
    return LSM_OK;
}

/* The same scan without what has been delivered, for another cursor. */
static int scan_rest(struct bulk_scan *scan, lsm_cursor *cursor) {
    struct slice lower = scan->lower;
    struct slice upper = scan->upper;
    int rc = LSM_OK;

    if (scan->pending_record && (scan->flags & LSM_BULK_REVERSE)) {
        rc = db_cursor_key(cursor, &upper);
        scan->flags |= LSM_BULK_HAS_UPPER | LSM_BULK_UPPER_INCLUSIVE;
    } else if (scan->pending_record) {
        rc = db_cursor_key(cursor, &lower);
        scan->flags |= LSM_BULK_HAS_LOWER | LSM_BULK_LOWER_INCLUSIVE;
    }
    scan->pending_record = false;
    scan->state = SCAN_NEW;
    return rc == LSM_OK ? scan_own(scan, lower, upper) : rc;
}

/* What one call can do without a handle: the first block, through a cursor of the connection's. */
static int scan_in_passing(struct handle *view, struct bulk_connection *connection,
                           struct bulk_scan *scan, struct db_version *version, uint8_t *out,
                           uint32_t capacity) {
    lsm_cursor *cursor = NULL;
    uint32_t used;
    int rc;

    bulk_lock(connection);
    rc = passing_cursor(view, connection, &cursor);
    if (rc == LSM_OK) rc = scan_fill(scan, cursor, out, capacity, &used);
    if (rc == LSM_OK && scan->state != SCAN_ENDED) {
        rc = db_get_version(connection->db, version);
        if (rc == LSM_OK) rc = scan_rest(scan, cursor);
    }
    if (rc != LSM_OK) (void)bulk_fail(view, connection->db, rc);
    db_cursor_close(cursor);
    bulk_unlock(connection);
    return rc;
}

/* The child reads a version that may be younger than that of the block: then the block is read anew. */
static int scan_again(struct handle *view, struct handle *child, const struct bulk_scan *first,
                      const struct db_version *version, uint8_t *out, uint32_t capacity) {
    struct db_version now;
    uint32_t used;
    int rc;

    bulk_lock(child->connection);
    rc = db_get_version(child->connection->db, &now);
    if (rc == LSM_OK && !db_version_equal(&now, version)) {
        buffer_reset(&child->scan.bounds);
        child->scan.flags = first->flags;
        child->scan.remaining = first->remaining;
        rc = scan_own(&child->scan, first->lower, first->upper);
        if (rc == LSM_OK) rc = scan_fill(&child->scan, child->cursor, out, capacity, &used);
    }
    if (rc != LSM_OK) (void)bulk_fail(view, child->connection->db, rc);
    bulk_unlock(child->connection);
    return rc;
}

/* Most ranges are short: they end in the first block, and need no handle and no reader connection. */
static uint32_t scan_start(struct handle *view, const struct bulk_scan *first, uint8_t *out,
                           uint32_t capacity) {
    struct bulk_connection *connection = bulk_connection_of(view);
    struct bulk_scan scan = *first;
    struct db_version version = {0};
    struct handle *child = NULL;
    uint32_t result = 0;
    int rc;

    buffer_init(&scan.bounds, lsm_default_env());
    rc = capacity > 0 ? scan_in_passing(view, connection, &scan, &version, out, capacity)
                      : scan_own(&scan, first->lower, first->upper);
    if (rc == LSM_OK && scan.state == SCAN_ENDED) result = LSM_BULK_SCAN_ENDED;
    if (rc != LSM_OK || result != 0) goto done;
    child = child_open(view, HANDLE_SCAN);
    if (child == NULL) goto done;
    child->scan = scan;
    buffer_init(&scan.bounds, lsm_default_env()); /* it is the child's now */
    if (capacity > 0 && child->connection != connection) {
        rc = scan_again(view, child, first, &version, out, capacity);
    }
    if (rc != LSM_OK) {
        bulk_end_child(child);
    } else {
        result = child->id;
        handle_leave(child);
    }
done:
    buffer_release(&scan.bounds);
    return result;
}

uint32_t lsm_bulk_scan(uint32_t id, uint32_t flags, uint32_t limit, const uint8_t *lower,
                       uint32_t lower_size, const uint8_t *upper, uint32_t upper_size, uint8_t *out,
                       uint32_t capacity) {
    struct bulk_scan scan = {.flags = flags, .remaining = limit};
    struct handle *view;
    uint32_t result;

    if (!bulk_size_ok(lower, lower_size) || !bulk_size_ok(upper, upper_size)) return 0;
    if ((capacity > 0 && capacity < BLOCK_HEAD_SIZE) || capacity > 0x7fffffffu) return 0;
    if (handle_enter(id, HANDLE_VIEW, &view) != LSM_OK) return 0;
    bulk_begin_call(view);
    scan.lower = bulk_slice(lower, lower_size);
    scan.upper = bulk_slice(upper, upper_size);
    result = scan_start(view, &scan, out, capacity);
    handle_leave(view);
    return result;
}

/* The first record does not fit: keep a block of it alone. */
static int32_t keep_large(struct handle *handle) {
    struct slice key;
    struct slice value;
    uint64_t size;
    uint8_t *at;
    int rc = scan_record(&handle->scan, handle->cursor, &key, &value);

    if (rc != LSM_OK) return bulk_fail(handle, handle->connection->db, rc);
    size = BLOCK_HEAD_SIZE + 8 + (((uint64_t)key.size + value.size + 3) & ~3ull);
    buffer_reset(&handle->pending);
    at = buffer_extend(&handle->pending, (size_t)size);
    if (at == NULL) return bulk_fail(handle, NULL, LSM_NOMEM);
    put_u32_little(at, 1);
    put_u32_little(at + 4, 0);
    bulk_put_record(at + BLOCK_HEAD_SIZE, key, value);
    handle->pending_consumes = true;
    return LSM_BULK_TOO_SMALL;
}

int32_t lsm_bulk_scan_next(uint32_t id, uint8_t *out, uint32_t capacity) {
    struct handle *handle;
    uint32_t used;
    int32_t result;
    int rc;

    if (capacity < BLOCK_HEAD_SIZE || capacity > 0x7fffffffu) return LSM_BULK_MISUSE;
    result = handle_enter(id, HANDLE_SCAN, &handle);
    if (result != LSM_OK) return result;
    bulk_begin_call(handle);
    bulk_lock(handle->connection);
    rc = scan_fill(&handle->scan, handle->cursor, out, capacity, &used);
    if (rc != LSM_OK) {
        result = bulk_fail(handle, handle->connection->db, rc);
    } else if (used == BLOCK_HEAD_SIZE && handle->scan.pending_record) {
        result = keep_large(handle);
    } else {
        result = (int32_t)used;
    }
    bulk_unlock(handle->connection);
    handle_leave(handle);
    return result;
}

/* ------------------------------------------------------------------------------------- counting -- */

int32_t lsm_bulk_count(uint32_t id, uint32_t flags, uint32_t limit, const uint8_t *lower,
                       uint32_t lower_size, const uint8_t *upper, uint32_t upper_size, uint8_t *out,
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
    while (rc == LSM_OK && limit > 0 && db_cursor_valid(cursor)) {
        struct slice key;
        rc = db_cursor_key(cursor, &key);
        if (rc != LSM_OK || !before_end(key, flags, low, high)) break;
        count++;
        if (count == limit && limit != UINT32_MAX) break; /* the next one may be far */
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

    if (!bulk_size_ok(key, key_size) || mode > LSM_BULK_SEEK_GT || capacity > 0x7fffffffu) return LSM_BULK_MISUSE;
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

/* Where a seek leads that finds nothing: there is no key on that side of the one given. */
static enum cursor_place place_without_entry(uint32_t mode) {
    switch (mode) {
        case LSM_BULK_SEEK_EQ: return CURSOR_NOWHERE;
        case LSM_BULK_SEEK_GE:
        case LSM_BULK_SEEK_GT: return CURSOR_AFTER_LAST;
        default: return CURSOR_BEFORE_FIRST;
    }
}

int32_t lsm_bulk_cursor_seek(uint32_t id, uint32_t mode, const uint8_t *key, uint32_t key_size,
                             uint8_t *out, uint32_t capacity) {
    struct handle *handle;
    int32_t result;
    int rc;

    if (!bulk_size_ok(key, key_size) || mode > LSM_BULK_SEEK_LEFAST || capacity > 0x7fffffffu) {
        return LSM_BULK_MISUSE;
    }
    result = handle_enter(id, HANDLE_CURSOR, &handle);
    if (result != LSM_OK) return result;
    bulk_begin_call(handle);
    bulk_lock(handle->connection);
    rc = seek_by_mode(handle->cursor, mode, bulk_slice(key, key_size));
    if (rc == LSM_OK) {
        result = arrive(handle, place_without_entry(mode), out, capacity);
    } else {
        handle->place = CURSOR_ON_ENTRY; /* of the cursor of db, which knows better: see move */
        result = bulk_fail(handle, handle->connection->db, rc);
    }
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
        if (rc != LSM_MISUSE || !db_cursor_valid(cursor)) return rc; /* not valid: an error has lost it */
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

    if (movement > LSM_BULK_PREV || capacity > 0x7fffffffu) return LSM_BULK_MISUSE;
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
