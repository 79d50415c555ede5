/*
** api_helpers.h — a database of the test's own, and short ways to use it through lsm.h.
*/
#ifndef LSM_SUPPORT_API_HELPERS_H
#define LSM_SUPPORT_API_HELPERS_H

#include "lsm.h"
#include "support/test.h"

TEST_HELPER lsm_db *new_connection(void) {
    lsm_db *db = NULL;
    CHECK_OK(lsm_new(NULL, &db));
    lsm_config_log(db, NULL, NULL);
    return db;
}

TEST_HELPER lsm_db *open_database(void) {
    lsm_db *db = new_connection();
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    return db;
}

TEST_HELPER lsm_db *open_read_only(void) {
    lsm_db *db = new_connection();
    int on = 1;
    CHECK_OK(lsm_config(db, LSM_CONFIG_READONLY, &on));
    CHECK_OK(lsm_open(db, test_path("a.lsm")));
    return db;
}

TEST_HELPER int set(lsm_db *db, int verb, int value) {
    CHECK_OK(lsm_config(db, verb, &value));
    return value;
}

TEST_HELPER int put(lsm_db *db, const char *key, const char *value) {
    return lsm_insert(db, key, (int)strlen(key), value, (int)strlen(value));
}

/* The value as a string, "-" for an absent key. */
TEST_HELPER const char *get(lsm_db *db, const char *key) {
    static char out[256];
    lsm_cursor *cursor;
    const void *bytes = NULL;
    int size = 0;

    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_OK(lsm_csr_seek(cursor, key, (int)strlen(key), LSM_SEEK_EQ));
    if (lsm_csr_valid(cursor)) {
        CHECK_OK(lsm_csr_value(cursor, &bytes, &size));
        CHECK(bytes != NULL && size < (int)sizeof out);
        memcpy(out, bytes, (size_t)size);
        out[size] = '\0';
    } else {
        strcpy(out, "-");
    }
    CHECK_OK(lsm_csr_close(cursor));
    return out;
}

/* All keys, in order, with a space between. */
TEST_HELPER const char *keys(lsm_db *db) {
    static char out[1024];
    size_t used = 0;
    lsm_cursor *cursor;

    CHECK_OK(lsm_csr_open(db, &cursor));
    out[0] = '\0';
    for (CHECK_OK(lsm_csr_first(cursor)); lsm_csr_valid(cursor); CHECK_OK(lsm_csr_next(cursor))) {
        const void *bytes;
        int size;
        CHECK_OK(lsm_csr_key(cursor, &bytes, &size));
        used += (size_t)snprintf(out + used, sizeof out - used, "%s%.*s", used ? " " : "", size,
                                 (const char *)bytes);
    }
    CHECK_OK(lsm_csr_close(cursor));
    return out;
}

TEST_HELPER char *info(lsm_db *db, int verb) {
    char *text = NULL;
    CHECK_OK(lsm_info(db, verb, &text));
    return text;
}

TEST_HELPER long long size_of_file(const char *name) {
    struct stat status;
    return stat(name, &status) == 0 ? (long long)status.st_size : -1;
}

TEST_HELPER void write_file(const char *name, const void *data, size_t size) {
    FILE *file = fopen(name, "wb");
    CHECK(file != NULL);
    CHECK_EQ_UINT(fwrite(data, 1, size, file), size);
    fclose(file);
}

#endif
