/*
** cursor_read.c — read a database file through our cursors alone and print it like `lsmdump.py FILE
** scan`.
**
**     cursor_read FILE [mmap]      HEXKEY<TAB>HEXVALUE for each live user key, in order
**
** What was scanned forward is then the yardstick: backward scan, every seek at every key and just
** behind it, and point reads must agree with it. Exit status 1 and a line on stderr if not. Used by
** cursor_files.py.
*/
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "cursor/cursor.h"
#include "os/os.h"
#include "snapshot/checkpoint.h"

struct item {
    uint8_t *key;
    uint32_t key_size;
    uint64_t value_hash;
};

static struct item *items;
static size_t item_count, item_capacity;
static struct error_context error;

static void fail(const char *what, int rc, size_t at) {
    fprintf(stderr, "%s: result %d, item %zu, page %llu: %s\n", what, rc, at,
            (unsigned long long)error.page_no, error.reason ? error.reason : "-");
    exit(1);
}

static uint64_t hash(struct slice value) {
    uint64_t h = 14695981039346656037u + value.size;
    for (uint32_t i = 0; i < value.size; i++) h = (h ^ value.data[i]) * 1099511628211u;
    return h;
}

static void print_hex(struct slice bytes) {
    for (uint32_t i = 0; i < bytes.size; i++) printf("%02x", bytes.data[i]);
}

/* Is the cursor on item `at` (SIZE_MAX or item_count: on none)? */
static void expect(const char *what, int rc, struct merge_cursor *cursor, size_t at) {
    struct slice value = {NULL, 0};
    if (rc != LSM_OK) fail(what, rc, at);
    if (cursor->valid != (at < item_count)) fail(what, cursor->valid, at);
    if (!cursor->valid) return;
    if (cursor->key.size != items[at].key_size ||
        memcmp(cursor->key.data, items[at].key, items[at].key_size) != 0) {
        fail(what, -1, at);
    }
    rc = merge_cursor_value(cursor, &value);
    if (rc != LSM_OK || hash(value) != items[at].value_hash) fail(what, rc, at);
}

static void scan(struct merge_cursor *cursor) {
    int rc = merge_cursor_first(cursor);
    while (rc == LSM_OK && cursor->valid) {
        struct slice value = {NULL, 0};
        rc = merge_cursor_value(cursor, &value);
        if (rc != LSM_OK) break;
        if (item_count == item_capacity) {
            item_capacity = item_capacity ? 2 * item_capacity : 256;
            items = realloc(items, item_capacity * sizeof *items);
        }
        items[item_count].key = malloc(cursor->key.size + 1);
        memcpy(items[item_count].key, cursor->key.data, cursor->key.size);
        items[item_count].key[cursor->key.size] = 0;
        items[item_count].key_size = cursor->key.size;
        items[item_count++].value_hash = hash(value);
        print_hex(cursor->key);
        printf("\t");
        print_hex(value);
        printf("\n");
        rc = merge_cursor_next(cursor);
    }
    if (rc != LSM_OK) fail("forward scan", rc, item_count);
    rc = merge_cursor_last(cursor);
    for (size_t i = item_count; i-- > 0; rc = merge_cursor_prev(cursor)) {
        expect("backward scan", rc, cursor, i);
    }
    expect("backward scan's end", rc, cursor, SIZE_MAX);
}

static void seek_all(const struct read_view *view, struct merge_cursor *cursor,
                     struct lookup_scratch *scratch) {
    for (size_t i = 0; i < item_count; i++) {
        struct slice key = {items[i].key, items[i].key_size};
        struct slice behind = {items[i].key, items[i].key_size + 1}; /* and a zero byte */
        struct slice value = {NULL, 0};
        bool found = false;
        bool has_behind = i + 1 < item_count && items[i + 1].key_size == behind.size &&
                          memcmp(items[i + 1].key, behind.data, behind.size) == 0;
        int rc;

        expect("seek >=", merge_cursor_seek_ge(cursor, key), cursor, i);
        expect("next", merge_cursor_next(cursor), cursor, i + 1);
        expect("seek <=", merge_cursor_seek_le(cursor, key), cursor, i);
        expect("prev", merge_cursor_prev(cursor), cursor, i - 1);
        expect("seek >", merge_cursor_seek_gt(cursor, key), cursor, i + 1);
        expect("seek <", merge_cursor_seek_lt(cursor, key), cursor, i - 1);
        rc = view_lookup(view, scratch, key, &found, &value);
        if (rc != LSM_OK || !found || hash(value) != items[i].value_hash) fail("lookup", rc, i);
        if (has_behind) continue;
        expect("seek >= behind", merge_cursor_seek_ge(cursor, behind), cursor, i + 1);
        expect("seek <= behind", merge_cursor_seek_le(cursor, behind), cursor, i);
        rc = view_lookup(view, scratch, behind, &found, &value);
        if (rc != LSM_OK || found) fail("lookup behind", rc, i);
    }
}

/* Keys that need not be live: hex lines on standard input, e.g. every key ever written. */
static void seek_given(const struct read_view *view, struct merge_cursor *cursor,
                       struct lookup_scratch *scratch) {
    static char line[1 << 16];
    static uint8_t bytes[1 << 15];

    while (fgets(line, sizeof line, stdin)) {
        struct slice key = {bytes, 0};
        size_t low = 0, high = item_count;
        bool found = false, is_live;
        int rc;

        for (char *at = line; at[0] > ' ' && at[1] > ' '; at += 2) {
            unsigned byte = 0;
            if (sscanf(at, "%2x", &byte) != 1) break;
            bytes[key.size++] = (uint8_t)byte;
        }
        while (low < high) { /* first item >= key */
            size_t middle = (low + high) / 2;
            struct slice other = {items[middle].key, items[middle].key_size};
            if (key_compare(other, key) < 0) low = middle + 1;
            else high = middle;
        }
        is_live = low < item_count && items[low].key_size == key.size &&
                  memcmp(items[low].key, key.data, key.size) == 0;
        expect("given >=", merge_cursor_seek_ge(cursor, key), cursor, low);
        expect("given next", merge_cursor_next(cursor), cursor, low < item_count ? low + 1 : low);
        expect("given >", merge_cursor_seek_gt(cursor, key), cursor, low + is_live);
        expect("given <=", merge_cursor_seek_le(cursor, key), cursor, is_live ? low : low - 1);
        expect("given <", merge_cursor_seek_lt(cursor, key), cursor, low - 1);
        rc = view_lookup(view, scratch, key, &found, NULL);
        if (rc != LSM_OK || found != is_live) fail("given lookup", rc, low);
    }
}

int main(int argc, char **argv) {
    lsm_env *env = lsm_default_env();
    struct pager_config config = {.cache_bytes = 1 << 20};
    struct snapshot snapshot = {0};
    struct read_view view = {0};
    struct merge_cursor cursor;
    struct lookup_scratch scratch;
    struct os_file file = {0};
    enum checkpoint_kind kind = CHECKPOINT_EMPTY;
    uint32_t meta_page = 0;
    int rc;

    if (argc < 2) return 2;
    if (argc > 2) config.mmap_bytes = UINT64_MAX;
    rc = os_open(env, argv[1], LSM_OPEN_READONLY, &file);
    if (rc != LSM_OK) fail("open", rc, 0);
    rc = checkpoint_load(env, &file, 0, false, &error, &kind, &snapshot, &meta_page);
    if (rc != LSM_OK) fail("checkpoint", rc, 0);
    if (kind != CHECKPOINT_FOUND) return kind == CHECKPOINT_EMPTY ? 0 : 1;
    rc = pager_open(env, &file, &config, &view.pager);
    if (rc == LSM_OK) {
        rc = pager_set_geometry(view.pager, snapshot.page_size, snapshot.block_size);
    }
    if (rc != LSM_OK) fail("pager", rc, 0);
    pager_set_block_limit(view.pager, snapshot.block_count);
    view.env = env;
    view.error = &error;
    view.snapshot = &snapshot;
    rc = level_notes_new(env, &snapshot, &view.notes);
    if (rc != LSM_OK) fail("notes", rc, 0);
    pager_reader_enter(view.pager);
    merge_cursor_init(&cursor, env);
    lookup_scratch_init(&scratch, env);
    rc = merge_cursor_open(&cursor, &view, TOPIC_USER);
    if (rc != LSM_OK) fail("cursor", rc, 0);
    scan(&cursor);
    seek_all(&view, &cursor, &scratch);
    seek_given(&view, &cursor, &scratch);
    rc = merge_cursor_open(&cursor, &view, TOPIC_SYSTEM);
    if (rc == LSM_OK) rc = merge_cursor_first(&cursor);
    while (rc == LSM_OK && cursor.valid) {
        struct slice value = {NULL, 0};
        rc = merge_cursor_value(&cursor, &value);
        if (rc == LSM_OK && argc > 3) {
            fprintf(stderr, "S ");
            for (uint32_t i = 0; i < 4; i++) fprintf(stderr, "%02x", cursor.key.data[i]);
            for (uint32_t i = 0; i < 8; i++) fprintf(stderr, "%02x", value.data[i]);
            fprintf(stderr, "\n");
        }
        if (rc == LSM_OK) rc = merge_cursor_next(&cursor);
    }
    if (rc != LSM_OK) fail("system scan", rc, 0);
    merge_cursor_release(&cursor);
    lookup_scratch_release(&scratch);
    pager_reader_leave(view.pager);
    level_notes_free(view.notes);
    snapshot_release(&snapshot);
    pager_close(view.pager);
    os_close(&file);
    for (size_t i = 0; i < item_count; i++) free(items[i].key);
    free(items);
    return 0;
}
