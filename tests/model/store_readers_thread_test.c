/*
** store_readers_thread_test.c — a writer that flushes and merges, and readers on connections of their own that look
** up keys while notes are made, shared, moved and dropped; to be run under a thread sanitizer, too.
**
** Key i is written once, with a value that follows from i, and never changes: what was committed must be found.
*/
#include <pthread.h>
#include <stdatomic.h>

#include "lsm.h"
#include "lsm_bulk.h"
#include "support/test.h"

#define READER_COUNT 3
#define KEY_COUNT 12000u
#define BATCH 40u

struct world {
    const char *path;
    atomic_uint committed; /* keys below it are there */
    atomic_bool stop;
    atomic_ullong reads;
};

static int make_key(char *key, uint32_t number) {
    return snprintf(key, 32, "%08x-%u", number * 2654435761u, number);
}

static lsm_db *connect(const char *path) {
    int zero = 0, page_size = 512, block_kb = 64, autoflush_kb = 16;
    lsm_db *db = NULL;

    CHECK_OK(lsm_new(NULL, &db));
    CHECK_OK(lsm_config(db, LSM_CONFIG_SAFETY, &zero));
    CHECK_OK(lsm_config(db, LSM_CONFIG_PAGE_SIZE, &page_size));
    CHECK_OK(lsm_config(db, LSM_CONFIG_BLOCK_SIZE, &block_kb));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOFLUSH, &autoflush_kb));
    CHECK_OK(lsm_open(db, path));
    return db;
}

static void read_one(lsm_cursor *cursor, uint32_t number, bool there) {
    const void *value = NULL;
    char key[32], expected[32];
    int size = 0;

    CHECK_OK(lsm_csr_seek(cursor, key, make_key(key, number), LSM_SEEK_EQ));
    CHECK_MSG(lsm_csr_valid(cursor) == there, "key %u is %s", number, there ? "missing" : "there");
    if (!there) return;
    CHECK_OK(lsm_csr_value(cursor, &value, &size));
    CHECK_EQ_BYTES(value, size, expected, snprintf(expected, sizeof expected, "value %u", number));
}

static void *read_on(void *context) {
    struct world *w = context;
    lsm_db *db = connect(w->path);
    uint32_t state = (uint32_t)(uintptr_t)&state | 1;

    while (!atomic_load(&w->stop)) {
        uint32_t committed = atomic_load(&w->committed);
        lsm_cursor *cursor = NULL;
        int rc;

        if (committed == 0) continue;
        rc = lsm_csr_open(db, &cursor);
        if (rc == LSM_BUSY) continue;
        CHECK_OK(rc);
        for (uint32_t i = 0; i < 30; i++) {
            state = state * 1664525u + 1013904223u;
            read_one(cursor, (state >> 8) % committed, true);
            read_one(cursor, KEY_COUNT + (state >> 8) % KEY_COUNT, false);
        }
        CHECK_OK(lsm_csr_close(cursor));
        atomic_fetch_add(&w->reads, 60);
        if (state % 64 == 0) {
            int budget = state % 128 ? 64 : 65536;
            CHECK_OK(lsm_config(db, LSM_BULK_CONFIG_MEMORY_BUDGET_KB, &budget));
        }
    }
    CHECK_OK(lsm_close(db));
    return NULL;
}

TEST(readers_find_what_was_committed_while_it_is_flushed_and_merged) {
    static struct world w;
    pthread_t readers[READER_COUNT];
    lsm_db *db;

    memset(&w, 0, sizeof w);
    w.path = test_path("readers.lsm");
    db = connect(w.path);
    for (int i = 0; i < READER_COUNT; i++) {
        CHECK_EQ_INT(pthread_create(&readers[i], NULL, read_on, &w), 0);
    }
    for (uint32_t i = 0; i < KEY_COUNT; i += BATCH) {
        CHECK_OK(lsm_begin(db, 1));
        for (uint32_t j = i; j < i + BATCH; j++) {
            char key[32], value[32];
            int key_size = make_key(key, j);
            CHECK_OK(lsm_insert(db, key, key_size, value,
                                snprintf(value, sizeof value, "value %u", j)));
        }
        CHECK_OK(lsm_commit(db, 0));
        atomic_store(&w.committed, i + BATCH);
        if (i % 2000 == 0) CHECK_OK(lsm_work(db, 2, 64, NULL));
    }
    while (atomic_load(&w.reads) < 3000) {
    }
    atomic_store(&w.stop, true);
    for (int i = 0; i < READER_COUNT; i++) pthread_join(readers[i], NULL);
    CHECK_OK(lsm_close(db));
}

TEST_MAIN()
