/*
** api_model.h — what a database should contain, for tests that go through lsm.h.
**
** A universe of keys is made once per test: sorted, distinct, of many lengths, the empty key among
** them. A state says for each of them which value it has, by number; 0 = the key is absent. Values
** are made from their numbers, so a state is a small array and a history is an array of states.
**
** model_expect compares a connection's whole view with a state: scans both ways, point reads, and
** seeks at every key of the universe.
*/
#ifndef LSM_SUPPORT_API_MODEL_H
#define LSM_SUPPORT_API_MODEL_H

#include "lsm.h"
#include "support/test.h"

#define MODEL_KEYS 160
#define MODEL_KEY_MAX 4000
#define MODEL_VALUE_MAX 40000
#define MODEL_EMPTY UINT32_MAX /* number of the empty value */

struct model_state {
    uint32_t value[MODEL_KEYS];
};

static struct {
    uint8_t *bytes[MODEL_KEYS];
    int size[MODEL_KEYS];
    uint8_t value[MODEL_VALUE_MAX];
    uint32_t value_no; /* numbers given out */
    int large_percent; /* values of some kilobytes */
} model;

TEST_HELPER int model_compare_bytes(const void *left, int left_size, const void *right,
                                    int right_size) {
    int common = left_size < right_size ? left_size : right_size;
    int order = common > 0 ? memcmp(left, right, (size_t)common) : 0;
    return order != 0 ? order : (left_size > right_size) - (left_size < right_size);
}

TEST_HELPER int model_key_find(const void *key, int size) {
    int low = 0, high = MODEL_KEYS;
    while (low < high) {
        int middle = (low + high) / 2;
        int order = model_compare_bytes(model.bytes[middle], model.size[middle], key, size);
        if (order == 0) return middle;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return -1;
}

TEST_HELPER int model_random_key_size(void) {
    uint32_t dice = test_random_below(100);
    if (dice < 90) return 1 + (int)test_random_below(12);
    if (dice < 98) return 1 + (int)test_random_below(300);
    return 1 + (int)test_random_below(MODEL_KEY_MAX);
}

TEST_HELPER void model_make_keys(void) {
    static uint8_t store[MODEL_KEYS][MODEL_KEY_MAX];
    int count = 1;

    for (int i = 0; i < MODEL_KEYS; i++) model.bytes[i] = store[i];
    model.size[0] = 0; /* the empty key sorts first */
    while (count < MODEL_KEYS) {
        uint8_t *key = model.bytes[count];
        int size = model_random_key_size();
        int at = count;
        bool again = false;

        for (int i = 0; i < size; i++) key[i] = (uint8_t)"\0abcd\xff"[test_random_below(6)];
        if (test_random_below(2) == 0) key[0] = (uint8_t)test_random();
        for (int i = 0; i < count; i++) {
            if (model_compare_bytes(model.bytes[i], model.size[i], key, size) == 0) again = true;
        }
        if (again) continue;
        while (model_compare_bytes(model.bytes[at - 1], model.size[at - 1], key, size) > 0) {
            model.bytes[at] = model.bytes[at - 1];
            model.size[at] = model.size[at - 1];
            at--;
        }
        model.bytes[at] = key;
        model.size[at] = size;
        count++;
    }
    model.value_no = 0;
    model.large_percent = (int)test_random_below(30);
}

/* A number for a value not used before, or MODEL_EMPTY. */
TEST_HELPER uint32_t model_new_value(void) {
    return test_random_below(10) == 0 ? MODEL_EMPTY : ++model.value_no;
}

/* The bytes of value number `no`, which begin with the number; valid until the next call. */
TEST_HELPER const uint8_t *model_value(uint32_t no, int *size) {
    uint64_t hash = (no + 1) * 0x9e3779b97f4a7c15u;
    int kind = (int)((hash >> 40) % 100);
    int random = (int)((hash >> 8) & 0xffffff);

    *size = 0;
    if (no == MODEL_EMPTY) return model.value;
    *size = 4 + (kind < model.large_percent ? random % 9000 : random % 60);
    if (kind == 99) *size = 4 + random % (MODEL_VALUE_MAX - 4);
    for (int i = 4; i < *size; i++) model.value[i] = (uint8_t)(no * 31 + (uint32_t)i * 7);
    for (int i = 0; i < 4; i++) model.value[i] = (uint8_t)(no >> (24 - 8 * i));
    return model.value;
}

TEST_HELPER int model_insert(lsm_db *db, int key, uint32_t no) {
    int size;
    const uint8_t *value = model_value(no, &size);
    return lsm_insert(db, model.bytes[key], model.size[key], value, size);
}

/* First present key at or above `from`, MODEL_KEYS if none; last at or below, -1 if none. */
TEST_HELPER int model_at_or_above(const struct model_state *state, int from) {
    while (from < MODEL_KEYS && state->value[from] == 0) from++;
    return from;
}
TEST_HELPER int model_at_or_below(const struct model_state *state, int from) {
    while (from >= 0 && state->value[from] == 0) from--;
    return from;
}

TEST_HELPER void model_delete_range(struct model_state *state, int low, int high) {
    for (int i = low + 1; i < high; i++) state->value[i] = 0;
}

/* The cursor stands on `key` (outside 0..MODEL_KEYS-1: on nothing) and, if `value`, shows that of
** the state. */
TEST_HELPER void model_expect_at(lsm_cursor *cursor, const struct model_state *state, int key,
                                 bool with_value) {
    const void *bytes = NULL;
    int size = -1;
    int found;

    if (key < 0 || key >= MODEL_KEYS) {
        if (lsm_csr_valid(cursor)) {
            CHECK_OK(lsm_csr_key(cursor, &bytes, &size));
            TEST_FAIL("cursor stands on key %d, expected the end", model_key_find(bytes, size));
        }
        return;
    }
    CHECK_MSG(lsm_csr_valid(cursor), "cursor at the end, expected key %d", key);
    CHECK_OK(lsm_csr_key(cursor, &bytes, &size));
    found = model_key_find(bytes, size);
    CHECK_MSG(found == key, "cursor on key %d, expected %d", found, key);
    if (with_value) {
        int expected_size;
        const uint8_t *expected = model_value(state->value[key], &expected_size);
        CHECK_OK(lsm_csr_value(cursor, &bytes, &size));
        CHECK_EQ_BYTES(bytes, size, expected, expected_size);
    }
}

TEST_HELPER void model_expect_scans(lsm_cursor *cursor, const struct model_state *state) {
    int at;

    CHECK_OK(lsm_csr_first(cursor));
    for (at = model_at_or_above(state, 0);; at = model_at_or_above(state, at + 1)) {
        model_expect_at(cursor, state, at, true);
        if (at >= MODEL_KEYS) break;
        CHECK_OK(lsm_csr_next(cursor));
    }
    CHECK_OK(lsm_csr_last(cursor));
    for (at = model_at_or_below(state, MODEL_KEYS - 1);; at = model_at_or_below(state, at - 1)) {
        model_expect_at(cursor, state, at, true);
        if (at < 0) break;
        CHECK_OK(lsm_csr_prev(cursor));
    }
}

TEST_HELPER void model_expect_seeks(lsm_cursor *cursor, const struct model_state *state) {
    for (int i = 0; i < MODEL_KEYS; i++) {
        const uint8_t *key = model.bytes[i];
        int size = model.size[i];

        CHECK_OK(lsm_csr_seek(cursor, key, size, LSM_SEEK_EQ));
        model_expect_at(cursor, state, state->value[i] ? i : -1, true);
        CHECK_OK(lsm_csr_seek(cursor, key, size, LSM_SEEK_GE));
        model_expect_at(cursor, state, model_at_or_above(state, i), true);
        CHECK_OK(lsm_csr_seek(cursor, key, size, LSM_SEEK_LE));
        model_expect_at(cursor, state, model_at_or_below(state, i), true);
    }
}

/* The connection's view is this state. */
TEST_HELPER void model_expect(lsm_db *db, const struct model_state *state) {
    lsm_cursor *cursor = NULL;

    CHECK_OK(lsm_csr_open(db, &cursor));
    model_expect_scans(cursor, state);
    model_expect_seeks(cursor, state);
    CHECK_OK(lsm_csr_close(cursor));
}

/* Read a connection's whole view. False if it cannot be read (*rc tells) or is no state of this
** universe. */
TEST_HELPER bool model_read(lsm_db *db, struct model_state *state, int *rc) {
    lsm_cursor *cursor = NULL;
    bool known = true;

    memset(state, 0, sizeof *state);
    *rc = lsm_csr_open(db, &cursor);
    if (*rc != LSM_OK) return false;
    for (*rc = lsm_csr_first(cursor); *rc == LSM_OK && lsm_csr_valid(cursor) && known;
         *rc = lsm_csr_next(cursor)) {
        const void *bytes = NULL;
        const uint8_t *value;
        int size = 0, key, value_size;
        uint32_t no = 0;

        *rc = lsm_csr_key(cursor, &bytes, &size);
        if (*rc != LSM_OK) break;
        key = model_key_find(bytes, size);
        *rc = lsm_csr_value(cursor, &bytes, &size);
        if (*rc != LSM_OK) break;
        for (int i = 0; i < 4 && i < size; i++) no = no << 8 | ((const uint8_t *)bytes)[i];
        if (size == 0) no = MODEL_EMPTY;
        value = model_value(no, &value_size);
        known = key >= 0 && no != 0 && value_size == size &&
                (size == 0 || memcmp(value, bytes, (size_t)size) == 0);
        if (known) state->value[key] = no;
    }
    lsm_csr_close(cursor);
    return *rc == LSM_OK && known;
}

#endif
