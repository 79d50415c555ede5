/*
** history.h — random histories of a database through the public interface, judged by a sorted map.
**
**     struct history h;
**     history_begin(&h, seed);            options, keys and value sizes follow from the seed
**     history_run(&h, 300);               random calls; after some of them everything is compared
**     history_end(&h);
**
** The universe of keys is an array in ascending order, so that the map is an array, too: entry i says whether
** key i is there and which value it has.
*/
#ifndef LSM_SUPPORT_HISTORY_H
#define LSM_SUPPORT_HISTORY_H

#include "support/test.h"

#include "lsm.h"

#define HISTORY_KEYS_MAX 600

/* Compression functions for every connection of the histories to come, and the independent reader's name of
** them; NULL = none. */
TEST_HELPER const lsm_compress *history_codec;
TEST_HELPER const char *history_codec_name;

struct history_entry {
    bool present;
    uint32_t seed; /* of the value's bytes */
    uint32_t size;
};

struct history {
    uint64_t random_state;
    lsm_db *db;
    const char *path;
    uint32_t page_size;
    int autoflush_kb;
    int automerge;
    int max_freelist;
    int autowork;
    int autocheckpoint_kb;
    int mmap;
    uint32_t key_padding_max;
    uint32_t value_size_max;
    uint32_t key_count;
    uint8_t *keys[HISTORY_KEYS_MAX];
    uint32_t key_sizes[HISTORY_KEYS_MAX];
    struct history_entry entries[HISTORY_KEYS_MAX];
    uint8_t *value;       /* scratch of value_size_max bytes */
    uint32_t oracle_left; /* so many more files are shown to the independent reader */
    uint32_t step;
};

TEST_HELPER uint64_t history_random(struct history *h) {
    uint64_t z = (h->random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

TEST_HELPER uint32_t history_below(struct history *h, uint32_t bound) {
    return (uint32_t)((history_random(h) >> 32) * bound >> 32);
}

/* ---- keys and values --------------------------------------------------------------------- */

TEST_HELPER void history_make_keys(struct history *h) {
    for (uint32_t i = 0; i < h->key_count; i++) {
        uint32_t padding = 0;
        if (h->key_padding_max > 0 && history_below(h, 4) == 0) {
            padding = history_below(h, h->key_padding_max);
        }
        h->key_sizes[i] = 6 + padding;
        h->keys[i] = malloc(h->key_sizes[i] + 1);
        CHECK(h->keys[i] != NULL);
        snprintf((char *)h->keys[i], 7, "k%05u", 2 * i + 1); /* odd: even ones are never there */
        memset(h->keys[i] + 6, 'p', padding);
    }
}

TEST_HELPER const uint8_t *history_value(struct history *h, const struct history_entry *entry) {
    uint32_t state = entry->seed * 2654435761u + 1;
    for (uint32_t i = 0; i < entry->size; i++) {
        state = state * 1664525u + 1013904223u;
        h->value[i] = (uint8_t)(state >> 24);
    }
    return h->value;
}

/* ---- opening and closing ----------------------------------------------------------------- */

TEST_HELPER void history_configure(struct history *h, lsm_db *db) {
    int page_size = (int)h->page_size, block_kb = 64, safety = LSM_SAFETY_OFF;
    CHECK_OK(lsm_config(db, LSM_CONFIG_PAGE_SIZE, &page_size));
    CHECK_OK(lsm_config(db, LSM_CONFIG_BLOCK_SIZE, &block_kb));
    CHECK_OK(lsm_config(db, LSM_CONFIG_SAFETY, &safety));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOFLUSH, &h->autoflush_kb));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOMERGE, &h->automerge));
    CHECK_OK(lsm_config(db, LSM_CONFIG_MAX_FREELIST, &h->max_freelist));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOWORK, &h->autowork));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOCHECKPOINT, &h->autocheckpoint_kb));
    CHECK_OK(lsm_config(db, LSM_CONFIG_MMAP, &h->mmap));
    if (history_codec) CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, history_codec));
}

/* The argument that tells the independent reader how pages are packed. */
TEST_HELPER const char *history_codec_argument(void) {
    static char text[40];
    if (history_codec == NULL) return "";
    snprintf(text, sizeof text, "--codec %s", history_codec_name);
    return text;
}

TEST_HELPER lsm_db *history_open(struct history *h, const char *path) {
    lsm_db *db = NULL;
    CHECK_OK(lsm_new(NULL, &db));
    history_configure(h, db);
    CHECK_OK(lsm_open(db, path));
    return db;
}

TEST_HELPER void history_begin(struct history *h, uint64_t seed) {
    static const uint32_t page_sizes[] = {256, 512, 512, 4096};
    static const int autoflushes[] = {0, 1, 1, 4, 64};
    static const int autocheckpoints[] = {0, 4, 16, 64, 2048};
    static const uint32_t value_sizes[] = {20, 60, 60, 300, 300, 2000, 20000, 150000};
    uint32_t kind;

    *h = (struct history){.random_state = seed, .path = test_path("history.lsm")};
    h->page_size = page_sizes[history_below(h, 4)];
    h->autoflush_kb = autoflushes[history_below(h, 5)];
    h->automerge = 2 + (int)history_below(h, 7);
    h->max_freelist = 2 + (int)history_below(h, 23);
    h->autowork = history_below(h, 3) != 0;
    h->autocheckpoint_kb = autocheckpoints[history_below(h, 5)];
    h->mmap = (int)history_below(h, 2);
    h->key_count = 20 + history_below(h, HISTORY_KEYS_MAX - 20);
    h->value_size_max = value_sizes[history_below(h, 8)];
    remove(h->path); /* a history starts from nothing: the path is the same for all of a process */
    kind = history_below(h, 4);
    h->key_padding_max = kind == 0 ? h->page_size / 2 : kind == 1 ? 2 * h->page_size : 0;
    if (h->key_padding_max > 1024 || h->value_size_max > 10000) h->key_count = 20 + h->key_count / 6;
    h->value = malloc(h->value_size_max + 1);
    CHECK(h->value != NULL);
    h->oracle_left = 3;
    history_make_keys(h);
    h->db = history_open(h, h->path);
}

TEST_HELPER void history_free(struct history *h) {
    for (uint32_t i = 0; i < h->key_count; i++) free(h->keys[i]);
    free(h->value);
}

/* ---- comparing --------------------------------------------------------------------------- */

TEST_HELPER int64_t history_up(const struct history *h, int64_t at) {
    while (at < (int64_t)h->key_count && !h->entries[at].present) at++;
    return at < (int64_t)h->key_count ? at : -1;
}

TEST_HELPER int64_t history_down(const struct history *h, int64_t at) {
    while (at >= 0 && !h->entries[at].present) at--;
    return at;
}

/* The cursor stands on entry `at`, or on nothing when that is negative. */
TEST_HELPER void history_check_at(struct history *h, lsm_cursor *cursor, int64_t at, bool with_value) {
    const void *key = NULL, *value = NULL;
    int key_size = 0, value_size = 0;

    CHECK_EQ_INT(lsm_csr_valid(cursor), at >= 0);
    if (at < 0) return;
    CHECK_OK(lsm_csr_key(cursor, &key, &key_size));
    CHECK_EQ_BYTES(key, key_size, h->keys[at], h->key_sizes[at]);
    if (!with_value) return;
    CHECK_OK(lsm_csr_value(cursor, &value, &value_size));
    CHECK_EQ_BYTES(value, value_size, history_value(h, &h->entries[at]), h->entries[at].size);
}

TEST_HELPER void history_check_scans(struct history *h, lsm_cursor *cursor) {
    int64_t at;

    CHECK_OK(lsm_csr_first(cursor));
    for (at = history_up(h, 0); at >= 0; at = history_up(h, at + 1)) {
        history_check_at(h, cursor, at, true);
        CHECK_OK(lsm_csr_next(cursor));
    }
    history_check_at(h, cursor, -1, false);
    CHECK_OK(lsm_csr_last(cursor));
    for (at = history_down(h, (int64_t)h->key_count - 1); at >= 0; at = history_down(h, at - 1)) {
        history_check_at(h, cursor, at, false);
        CHECK_OK(lsm_csr_prev(cursor));
    }
    history_check_at(h, cursor, -1, false);
}

/* Every key, and beside every key: EQ, GE with a step, LE with a step. */
TEST_HELPER void history_check_seeks(struct history *h, lsm_cursor *cursor) {
    char beside[8];

    for (uint32_t i = 0; i < h->key_count; i++) {
        int64_t up = history_up(h, i), down = history_down(h, i);
        const void *key = h->keys[i];
        int size = (int)h->key_sizes[i];
        CHECK_OK(lsm_csr_seek(cursor, key, size, LSM_SEEK_EQ));
        history_check_at(h, cursor, h->entries[i].present ? (int64_t)i : -1, true);
        CHECK_OK(lsm_csr_seek(cursor, key, size, LSM_SEEK_GE));
        history_check_at(h, cursor, up, true);
        if (up >= 0) {
            CHECK_OK(lsm_csr_next(cursor));
            history_check_at(h, cursor, history_up(h, up + 1), false);
        }
        CHECK_OK(lsm_csr_seek(cursor, key, size, LSM_SEEK_LE));
        history_check_at(h, cursor, down, true);
        if (down >= 0) {
            CHECK_OK(lsm_csr_prev(cursor));
            history_check_at(h, cursor, history_down(h, down - 1), false);
        }
        snprintf(beside, sizeof beside, "k%05u", 2 * i);
        CHECK_OK(lsm_csr_seek(cursor, beside, 6, LSM_SEEK_GE));
        history_check_at(h, cursor, up, false);
        CHECK_OK(lsm_csr_seek(cursor, beside, 6, LSM_SEEK_LE));
        history_check_at(h, cursor, history_down(h, (int64_t)i - 1), false);
        CHECK_OK(lsm_csr_seek(cursor, beside, 6, LSM_SEEK_EQ));
        history_check_at(h, cursor, -1, false);
    }
}

TEST_HELPER void history_check_db(struct history *h, lsm_db *db) {
    lsm_cursor *cursor = NULL;
    CHECK_OK(lsm_csr_open(db, &cursor));
    history_check_scans(h, cursor);
    history_check_seeks(h, cursor);
    CHECK_OK(lsm_csr_close(cursor));
}

/* ---- the independent reader -------------------------------------------------------------- */

#define HISTORY_ORACLE "tests/support/oracle/lsmdump.py"

TEST_HELPER bool history_has_oracle(void) {
    static int known = -1;
    if (known < 0) {
        known = access(HISTORY_ORACLE, R_OK) == 0 && system("python3 -c '' 2>/dev/null") == 0;
        if (!known) printf("note: no python3 or no %s: files are not shown to it\n", HISTORY_ORACLE);
    }
    return known > 0;
}

/* The file fulfils every rule of the format, and holds exactly what the map holds. The checkpoint must contain
** everything. */
TEST_HELPER void history_check_file(struct history *h, const char *path, bool content) {
    char command[700];
    FILE *scan;
    int64_t at;

    if (!history_has_oracle()) return;
    snprintf(command, sizeof command, "python3 %s %s %s check >%s.report 2>&1", HISTORY_ORACLE,
             history_codec_argument(), path, path);
    CHECK_MSG(system(command) == 0, "the independent reader finds faults: %s.report", path);
    if (!content) return;
    snprintf(command, sizeof command, "python3 %s %s %s scan", HISTORY_ORACLE,
             history_codec_argument(), path);
    scan = popen(command, "r");
    CHECK(scan != NULL);
    for (at = history_up(h, 0); at >= 0; at = history_up(h, at + 1)) {
        const struct history_entry *entry = &h->entries[at];
        const uint8_t *value = history_value(h, entry);
        unsigned byte;
        for (uint32_t i = 0; i < h->key_sizes[at]; i++) {
            CHECK_MSG(fscanf(scan, "%2x", &byte) == 1 && byte == h->keys[at][i],
                      "the independent reader sees another key at entry %d", (int)at);
        }
        CHECK_EQ_INT(fgetc(scan), '\t');
        for (uint32_t i = 0; i < entry->size; i++) {
            CHECK_MSG(fscanf(scan, "%2x", &byte) == 1 && byte == value[i],
                      "the independent reader sees another value at entry %d", (int)at);
        }
        CHECK_EQ_INT(fgetc(scan), '\n');
    }
    CHECK_MSG(fgetc(scan) == EOF, "the independent reader sees more entries");
    CHECK_EQ_INT(pclose(scan), 0);
}

TEST_HELPER void history_copy(const char *from, const char *to) {
    char bytes[65536];
    FILE *in = fopen(from, "rb"), *out;
    size_t size;

    remove(to);
    if (in == NULL) return;
    out = fopen(to, "wb");
    CHECK(out != NULL);
    while ((size = fread(bytes, 1, sizeof bytes, in)) > 0) {
        CHECK_EQ_UINT(fwrite(bytes, 1, size, out), size);
    }
    fclose(in);
    CHECK_EQ_INT(fclose(out), 0);
}

/* Copies of the live files, as after a crash: recovered and compared. */
TEST_HELPER void history_check_crash_copy(struct history *h) {
    const char *copy = test_path("copy.lsm"), *copy_log = test_path("copy.lsm-log");
    lsm_db *db;

    history_copy(h->path, copy);
    history_copy(test_path("history.lsm-log"), copy_log);
    db = history_open(h, copy);
    history_check_db(h, db);
    CHECK_OK(lsm_close(db));
    if (h->oracle_left > 0) {
        h->oracle_left--;
        history_check_file(h, copy, true); /* the close has put everything into the file */
    }
}

/* ---- changing ---------------------------------------------------------------------------- */

TEST_HELPER void history_change(struct history *h, uint32_t centre) {
    uint32_t spread = h->key_count / 4 + 1;
    uint32_t i = (centre + history_below(h, spread)) % h->key_count, j;
    uint32_t kind = history_below(h, 100);

    if (kind < 70) {
        struct history_entry *entry = &h->entries[i];
        uint32_t bound = history_below(h, 8) ? h->value_size_max / 8 + 1 : h->value_size_max;
        *entry = (struct history_entry){true, (uint32_t)history_random(h), history_below(h, bound)};
        CHECK_OK(lsm_insert(h->db, h->keys[i], (int)h->key_sizes[i], history_value(h, entry),
                            (int)entry->size));
    } else if (kind < 88) {
        h->entries[i].present = false;
        CHECK_OK(lsm_delete(h->db, h->keys[i], (int)h->key_sizes[i]));
    } else {
        j = i + 1 + history_below(h, kind < 97 ? 12 : h->key_count);
        if (j >= h->key_count) j = h->key_count - 1;
        CHECK_OK(lsm_delete_range(h->db, h->keys[i], (int)h->key_sizes[i], h->keys[j],
                                  (int)h->key_sizes[j]));
        for (uint32_t k = i + 1; k < j; k++) h->entries[k].present = false;
    }
}

TEST_HELPER void history_changes(struct history *h) {
    uint32_t count = 1 + history_below(h, history_below(h, 3) ? 6 : 60);
    uint32_t centre = history_below(h, h->key_count);
    bool together = history_below(h, 2) != 0;

    if (together) CHECK_OK(lsm_begin(h->db, 1));
    while (count-- > 0) history_change(h, centre);
    if (together) CHECK_OK(lsm_commit(h->db, 0));
}

TEST_HELPER void history_work(struct history *h) {
    int merge = (int)history_below(h, 9), kb = 1 + (int)history_below(h, 4), written = 0;

    if (history_below(h, 4) == 0) kb *= 16;
    if (history_below(h, 12) == 0) {
        merge = 1;
        kb = -1;
    }
    CHECK_OK(lsm_work(h->db, merge, kb, &written));
}

/* Everything in the file, and the file shown to the independent reader. */
TEST_HELPER void history_settle(struct history *h, bool flush) {
    if (flush) CHECK_OK(lsm_flush(h->db));
    CHECK_OK(lsm_checkpoint(h->db, NULL));
    if (h->oracle_left == 0 || history_below(h, 4)) return;
    h->oracle_left--;
    history_check_file(h, h->path, flush);
}

TEST_HELPER void history_reopen(struct history *h) {
    CHECK_OK(lsm_close(h->db));
    h->db = NULL;
    if (history_below(h, 3) == 0) h->autowork = !h->autowork;
    h->automerge = 2 + (int)history_below(h, 7);
    h->max_freelist = 2 + (int)history_below(h, 23);
    h->db = history_open(h, h->path);
}

TEST_HELPER void history_step(struct history *h) {
    uint32_t kind = history_below(h, 100);

    h->step++;
    if (kind < 55) history_changes(h);
    else if (kind < 85) history_work(h);
    else if (kind < 90) history_settle(h, true);
    else if (kind < 95) history_settle(h, false);
    else if (kind < 97) history_reopen(h);
    else if (kind < 98) history_check_crash_copy(h);
    else CHECK_OK(lsm_flush(h->db));
}

TEST_HELPER void history_run(struct history *h, uint32_t steps) {
    while (steps-- > 0) {
        history_step(h);
        if (history_below(h, 6) == 0) history_check_db(h, h->db);
    }
    history_check_db(h, h->db);
}

TEST_HELPER void history_end(struct history *h) {
    lsm_db *db;

    CHECK_OK(lsm_close(h->db));
    if (history_below(h, 3) == 0) history_check_file(h, h->path, true);
    db = history_open(h, h->path);
    history_check_db(h, db);
    CHECK_OK(lsm_close(db));
    history_free(h);
}

#endif
