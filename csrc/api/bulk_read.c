/*
** bulk_read.c — point reads: one key or many, into a buffer of the caller.
**
** FORMAT      get_many: keys in: u32 size, bytes, padding to 4. Answers out: u32 status, u32 value size, value,
**             padding. Little-endian.
** COST        a get that stays in memory makes no system call and allocates nothing. get_many waits for memory once
**             for many keys.
*/
#include "api/bulk_internal.h"
#include "format/format_shm.h"

static uint8_t *put_padding(uint8_t *at, uint32_t size) {
    while (size & 3) {
        *at++ = 0;
        size++;
    }
    return at;
}

uint8_t *bulk_put_record(uint8_t *out, struct slice key, struct slice value) {
    put_u32_little(out, key.size);
    put_u32_little(out + 4, value.size);
    out += 8;
    if (key.size) memcpy(out, key.data, key.size);
    if (value.size) memcpy(out + key.size, value.data, value.size);
    return put_padding(out + key.size + value.size, key.size + value.size);
}

int32_t bulk_deliver(struct handle *handle, struct slice key, struct slice value, uint8_t *out,
                     uint32_t capacity) {
    uint64_t size = 8 + (((uint64_t)key.size + value.size + 3) & ~3ull);
    uint8_t *at;

    if (size <= capacity) {
        bulk_put_record(out, key, value);
        return (int32_t)size;
    }
    buffer_reset(&handle->pending);
    at = buffer_extend(&handle->pending, (size_t)size);
    if (at == NULL) return bulk_fail(handle, NULL, LSM_NOMEM);
    bulk_put_record(at, key, value);
    return LSM_BULK_TOO_SMALL;
}

/* Run a look-up, waiting out the moments in which no snapshot is to be had. `index` is that of a key looked ahead
** for; DB_AHEAD_MAX = none. */
static int look_up(struct handle *view, struct bulk_connection *connection, struct slice key,
                   uint32_t index, bool *found, struct slice *value) {
    struct bulk_wait wait = {0};
    int rc;

    do {
        rc = db_get_ahead(connection->db, key, index, found, value);
    } while (rc == LSM_BUSY &&
             bulk_wait_again(view, connection->db, &wait, 0, LSM_BULK_LOCK_SNAPSHOT));
    return rc;
}

int32_t lsm_bulk_get(uint32_t id, const uint8_t *key, uint32_t key_size, uint8_t *out,
                     uint32_t capacity) {
    struct bulk_connection *connection;
    struct handle *view;
    struct slice value;
    bool found = false;
    int32_t result;
    int rc;

    if (!bulk_size_ok(key, key_size)) return LSM_BULK_MISUSE;
    result = handle_enter(id, HANDLE_VIEW, &view);
    if (result != LSM_OK) return result;
    bulk_begin_call(view);
    connection = bulk_connection_of(view);
    bulk_lock(connection);
    rc = look_up(view, connection, bulk_slice(key, key_size), DB_AHEAD_MAX, &found,
                 &value);
    if (rc != LSM_OK) {
        result = bulk_fail(view, connection->db, rc);
    } else if (!found) {
        result = LSM_BULK_ABSENT;
    } else if (value.size <= capacity) {
        if (value.size) memcpy(out, value.data, value.size);
        result = (int32_t)value.size;
    } else {
        result = bulk_keep(view, value.data, value.size);
    }
    db_read_end(connection->db);
    bulk_unlock(connection);
    handle_leave(view);
    return result;
}

int32_t lsm_bulk_has(uint32_t id, const uint8_t *key, uint32_t key_size) {
    struct bulk_connection *connection;
    struct handle *view;
    bool found = false;
    int32_t result;
    int rc;

    if (!bulk_size_ok(key, key_size)) return LSM_BULK_MISUSE;
    result = handle_enter(id, HANDLE_VIEW, &view);
    if (result != LSM_OK) return result;
    bulk_begin_call(view);
    connection = bulk_connection_of(view);
    bulk_lock(connection);
    rc = look_up(view, connection, bulk_slice(key, key_size), DB_AHEAD_MAX, &found, NULL);
    result = rc == LSM_OK ? found : bulk_fail(view, connection->db, rc);
    db_read_end(connection->db);
    bulk_unlock(connection);
    handle_leave(view);
    return result;
}

/* Answers go to the caller's buffer as long as they fit, then everything goes to the pending result. */
struct answers {
    struct handle *handle;
    uint8_t *out;
    uint32_t capacity;
    uint32_t size;
    bool spilled;
};

static bool put_answer(struct answers *answers, bool found, struct slice value) {
    uint64_t size = 8 + (((uint64_t)value.size + 3) & ~3ull);
    uint8_t *at;

    if (!answers->spilled && size <= answers->capacity - answers->size) {
        at = answers->out + answers->size;
        answers->size += (uint32_t)size;
    } else {
        if (!answers->spilled) {
            answers->spilled = true;
            buffer_reset(&answers->handle->pending);
            buffer_append(&answers->handle->pending, answers->out, answers->size);
        }
        at = buffer_extend(&answers->handle->pending, (size_t)size);
        if (at == NULL) return false;
    }
    put_u32_little(at, found ? 1 : 0);
    put_u32_little(at + 4, value.size);
    if (value.size) memcpy(at + 8, value.data, value.size);
    put_padding(at + 8 + value.size, value.size);
    return true;
}

/* The next keys of a frame, DB_AHEAD_MAX at most; *offset moves on. False: malformed. */
static bool take_keys(const uint8_t *frame, uint32_t frame_size, uint32_t *offset,
                      struct slice *keys, uint32_t count) {
    uint32_t at = *offset;
    uint32_t i;

    for (i = 0; i < count; i++) {
        uint32_t size, padded;
        if (frame_size - at < 4) return false;
        size = get_u32_little(frame + at);
        at += 4;
        if (size > frame_size - at) return false;
        keys[i] = (struct slice){frame + at, size};
        padded = (size + 3) & ~3u;
        at = padded > frame_size - at ? frame_size : at + padded;
    }
    *offset = at;
    return true;
}

/* Keys go in groups: what the look-ups of a group will read is fetched for all of them at once. */
int32_t lsm_bulk_get_many(uint32_t id, uint32_t flags, uint32_t count, const uint8_t *keys,
                          uint32_t keys_size, uint8_t *out, uint32_t capacity) {
    struct bulk_connection *connection;
    struct answers answers = {.out = out, .capacity = capacity};
    struct slice group[DB_AHEAD_MAX];
    struct handle *view;
    uint32_t offset = 0;
    uint32_t done, group_size;
    uint32_t i;
    int32_t result;
    int rc = LSM_OK;

    if (!bulk_size_ok(keys, keys_size) || capacity > 0x7fffffffu) return LSM_BULK_MISUSE;
    result = handle_enter(id, HANDLE_VIEW, &view);
    if (result != LSM_OK) return result;
    bulk_begin_call(view);
    answers.handle = view;
    connection = bulk_connection_of(view);
    bulk_lock(connection);
    for (done = 0; done < count; done += group_size) {
        group_size = count - done < DB_AHEAD_MAX ? count - done : DB_AHEAD_MAX;
        if (!take_keys(keys, keys_size, &offset, group, group_size)) {
            result = LSM_BULK_MISUSE;
            goto done;
        }
        db_look_ahead(connection->db, group, group_size);
        for (i = 0; i < group_size; i++) {
            struct slice value = {NULL, 0};
            bool found = false;
            /* The read transaction stays open between the keys: all answers are of one version. */
            rc = look_up(view, connection, group[i], i, &found,
                         flags & LSM_BULK_KEYS_ONLY ? NULL : &value);
            if (rc != LSM_OK) goto done;
            if (!put_answer(&answers, found, value)) {
                rc = LSM_NOMEM;
                goto done;
            }
        }
    }
    result = answers.spilled ? LSM_BULK_TOO_SMALL : (int32_t)answers.size;
done:
    if (rc != LSM_OK) result = bulk_fail(view, connection->db, rc);
    if (result < 0 && result != LSM_BULK_TOO_SMALL) buffer_release(&view->pending); /* half of the answers */
    db_read_end(connection->db);
    bulk_unlock(connection);
    handle_leave(view);
    return result;
}
