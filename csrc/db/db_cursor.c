/*
** db_cursor.c — what users see of a cursor: which step is allowed, and what a write in between does.
**
** INVARIANTS  (I1) a stale cursor knows the key it stood on and seeks from there before the next step, so each
**             step shows the exact content of that moment, in the direction the cursor has.
**             (I2) EOF stays EOF; a direction survives everything.
** ERRORS      A position that cannot be kept is no EOF: each step gives the error until the cursor is positioned
**             anew. A step of a stale cursor that fails may be tried again.
** COST        EQ is a point read: it positions no sources. A step on a fresh cursor is one call into the merge
**             cursor.
*/
#include "base/memory.h"
#include "db/db_internal.h"

/* Called before anything that changes what the connection sees. */
void cursors_before_change(lsm_db *db) {
    lsm_cursor *cursor;

    for (cursor = db->cursors; cursor; cursor = cursor->next) {
        cursor->value_known = false;
        if (cursor->stale) continue;
        if (cursor->positioned && !cursor->point && buffer_assign(&cursor->key, cursor->merge.key) != LSM_OK) {
            cursor->positioned = false; /* what changes goes on: the next step will tell */
            cursor->lost = LSM_NOMEM;
        }
        cursor->stale = true;
    }
}

void cursors_free_all(lsm_db *db) {
    lsm_cursor *cursor;

    while ((cursor = db->free_cursors) != NULL) {
        db->free_cursors = cursor->next;
        merge_cursor_release(&cursor->merge);
        buffer_release(&cursor->key);
        lookup_scratch_release(&cursor->scratch);
        memory_free(db->env, cursor);
    }
}

int db_cursor_open(lsm_db *db, lsm_cursor **out) {
    lsm_cursor *cursor = NULL;
    int rc;

    if (db->database == NULL) return LSM_MISUSE;
    error_clear(&db->error);
    rc = read_txn_begin(db);
    if (rc != LSM_OK) goto done;
    cursor = db->free_cursors;
    if (cursor) {
        db->free_cursors = cursor->next;
    } else {
        cursor = memory_allocate_zero(db->env, sizeof *cursor);
        if (cursor == NULL) {
            rc = LSM_NOMEM;
            read_txn_end_if_unused(db);
            goto done;
        }
        merge_cursor_init(&cursor->merge, db->env);
        buffer_init(&cursor->key, db->env);
        lookup_scratch_init(&cursor->scratch, db->env);
    }
    cursor->db = db;
    cursor->direction = MERGE_NONE;
    cursor->positioned = false;
    cursor->lost = LSM_OK;
    cursor->stale = true; /* the first positioning opens the merge cursor */
    cursor->point = false;
    cursor->value_known = false;
    cursor->next = db->cursors;
    db->cursors = cursor;
    *out = cursor;
done:
    return db_report(db, rc);
}

void db_cursor_close(lsm_cursor *cursor) {
    lsm_db *db;
    lsm_cursor **link;

    if (cursor == NULL) return;
    db = cursor->db;
    for (link = &db->cursors; *link != cursor; link = &(*link)->next) assert(*link);
    *link = cursor->next;
    cursor->next = db->free_cursors;
    db->free_cursors = cursor;
    cursor->positioned = false;
    /* Sources hold page references of the transaction that may end now. */
    merge_cursor_detach(&cursor->merge);
    lookup_scratch_detach(&cursor->scratch);
    read_txn_end_if_unused(db);
}

/* Make the merge cursor look at the present view. */
static int refresh(lsm_cursor *cursor) {
    int rc;
    if (!cursor->stale) return LSM_OK;
    rc = merge_cursor_open(&cursor->merge, &cursor->db->view, TOPIC_USER);
    if (rc == LSM_OK) cursor->stale = false;
    return rc;
}

static int position(lsm_cursor *cursor, int rc, enum merge_direction direction) {
    cursor->direction = direction;
    cursor->positioned = rc == LSM_OK && cursor->merge.valid;
    cursor->lost = rc;
    cursor->point = false;
    return rc;
}

/* The key to seek may lie in this cursor's own memory: what lsm_csr_key gave out. Copy it to where it stays. */
static int take_target(lsm_cursor *cursor, struct slice *key) {
    struct buffer *copy = &cursor->key;
    int rc = LSM_OK;

    if (copy->data && key->data >= copy->data && key->data < copy->data + copy->capacity) {
        memmove(copy->data, key->data, key->size);
        copy->size = key->size;
    } else {
        rc = buffer_assign(copy, *key);
    }
    cursor->positioned = false; /* its key is overwritten */
    *key = (struct slice){copy->data ? copy->data : (const uint8_t *)"", (uint32_t)copy->size};
    return rc;
}

static int prepare_seek(lsm_cursor *cursor, struct slice *key) {
    int rc = take_target(cursor, key);
    if (rc == LSM_OK) rc = refresh(cursor);
    cursor->lost = rc;
    return rc;
}

/* After EQ no step is allowed, so a point read will do: the merge cursor stays where it is. */
static int seek_point(lsm_cursor *cursor, struct slice key) {
    bool found = false;
    int rc;

    cursor->direction = MERGE_NONE;
    cursor->point = true;
    rc = take_target(cursor, &key);
    if (rc != LSM_OK) return rc;
    rc = view_lookup(&cursor->db->view, &cursor->scratch, key, &found, &cursor->value);
    cursor->positioned = rc == LSM_OK && found;
    cursor->value_known = cursor->positioned;
    return rc;
}

int db_cursor_seek(lsm_cursor *cursor, struct slice key, int mode) {
    lsm_db *db = cursor->db;
    int rc;

    error_clear(&db->error);
    if (mode == LSM_SEEK_EQ) return db_report(db, seek_point(cursor, key));
    rc = prepare_seek(cursor, &key);
    if (rc != LSM_OK) return db_report(db, rc);
    switch (mode) {
        case LSM_SEEK_GE:
            rc = position(cursor, merge_cursor_seek_ge(&cursor->merge, key), MERGE_FORWARD);
            break;
        case LSM_SEEK_LE:
            rc = position(cursor, merge_cursor_seek_le(&cursor->merge, key), MERGE_BACKWARD);
            break;
        case LSM_SEEK_LEFAST:
            rc = position(cursor, merge_cursor_seek_le(&cursor->merge, key), MERGE_NONE);
            break;
        default:
            return LSM_MISUSE;
    }
    return db_report(db, rc);
}

int db_cursor_seek_gt(lsm_cursor *cursor, struct slice key) {
    int rc;
    error_clear(&cursor->db->error);
    rc = prepare_seek(cursor, &key);
    if (rc == LSM_OK) rc = position(cursor, merge_cursor_seek_gt(&cursor->merge, key), MERGE_FORWARD);
    return db_report(cursor->db, rc);
}

int db_cursor_seek_lt(lsm_cursor *cursor, struct slice key) {
    int rc;
    error_clear(&cursor->db->error);
    rc = prepare_seek(cursor, &key);
    if (rc == LSM_OK) {
        rc = position(cursor, merge_cursor_seek_lt(&cursor->merge, key), MERGE_BACKWARD);
    }
    return db_report(cursor->db, rc);
}

int db_cursor_first(lsm_cursor *cursor) {
    int rc;
    error_clear(&cursor->db->error);
    rc = refresh(cursor);
    if (rc == LSM_OK) rc = merge_cursor_first(&cursor->merge);
    (void)position(cursor, rc, MERGE_FORWARD);
    return db_report(cursor->db, rc);
}

int db_cursor_last(lsm_cursor *cursor) {
    int rc;
    error_clear(&cursor->db->error);
    rc = refresh(cursor);
    if (rc == LSM_OK) rc = merge_cursor_last(&cursor->merge);
    (void)position(cursor, rc, MERGE_BACKWARD);
    return db_report(cursor->db, rc);
}

/* On from where the cursor stood before the content changed. */
static int step_stale(lsm_cursor *cursor, enum merge_direction direction) {
    struct slice from = buffer_slice(&cursor->key);
    int rc = direction == MERGE_FORWARD ? db_cursor_seek_gt(cursor, from)
                                        : db_cursor_seek_lt(cursor, from);
    if (rc != LSM_OK) { /* the key is still there */
        cursor->direction = direction;
        cursor->positioned = true;
        cursor->stale = true;
        cursor->lost = LSM_OK;
    }
    return rc;
}

static LSM_ALWAYS_INLINE int step(lsm_cursor *cursor, const enum merge_direction direction) {
    lsm_db *db = cursor->db;
    int rc;

    if (cursor->direction != direction) return LSM_MISUSE;
    if (!cursor->positioned) { /* (I2), or lost */
        error_clear(&db->error);
        return db_report(db, cursor->lost);
    }
    if (cursor->stale) return step_stale(cursor, direction);
    error_clear(&db->error);
    rc = direction == MERGE_FORWARD ? merge_cursor_next(&cursor->merge)
                                    : merge_cursor_prev(&cursor->merge);
    cursor->positioned = rc == LSM_OK && cursor->merge.valid;
    if (LSM_LIKELY(rc == LSM_OK)) return LSM_OK;
    cursor->lost = rc;
    return db_report(db, rc);
}

int db_cursor_renew(lsm_cursor *cursor) {
    struct slice at = buffer_slice(&cursor->key);
    enum merge_direction direction = cursor->direction;
    int rc;

    if (!cursor->positioned) return db_report(cursor->db, cursor->lost);
    if (!cursor->stale || direction == MERGE_NONE) return LSM_OK;
    rc = db_cursor_seek(cursor, at, direction == MERGE_FORWARD ? LSM_SEEK_GE : LSM_SEEK_LE);
    if (rc != LSM_OK) {
        cursor->positioned = true; /* the key is still there */
        cursor->stale = true;
        cursor->lost = LSM_OK;
    }
    return rc;
}

int db_cursor_next(lsm_cursor *cursor) {
    return step(cursor, MERGE_FORWARD);
}

int db_cursor_prev(lsm_cursor *cursor) {
    return step(cursor, MERGE_BACKWARD);
}

bool db_cursor_valid(const lsm_cursor *cursor) {
    return cursor->positioned;
}

int db_cursor_key(lsm_cursor *cursor, struct slice *key) {
    if (!cursor->positioned) {
        *key = (struct slice){NULL, 0};
    } else {
        *key = cursor->stale || cursor->point ? buffer_slice(&cursor->key) : cursor->merge.key;
    }
    return LSM_OK;
}

/* The entry after a write: what is there now, or `live` false when it is gone. */
int db_cursor_value(lsm_cursor *cursor, struct slice *value, bool *live) {
    lsm_db *db = cursor->db;
    struct slice key;
    int rc;

    *live = false;
    *value = (struct slice){NULL, 0};
    if (!cursor->positioned) return LSM_OK;
    error_clear(&db->error);
    if (cursor->point && cursor->value_known) {
        *value = cursor->value;
        *live = true;
        return LSM_OK;
    }
    if (!cursor->stale && !cursor->point) {
        rc = merge_cursor_value(&cursor->merge, value);
        *live = rc == LSM_OK;
        return db_report(db, rc);
    }
    key = buffer_slice(&cursor->key);
    rc = view_lookup(&db->view, &cursor->scratch, key, live, value);
    return db_report(db, rc);
}
