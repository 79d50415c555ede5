/*
** memtree_thread_test.c — one writer and three readers at once; to be run under a thread sanitizer, too.
**
** Each transaction changes several keys to one generation number, so that a reader that sees two generations
** in its version has seen a torn state.
*/
#include <pthread.h>

#include "support/memtree_fixture.h"

#define GROUP_COUNT 50
#define GROUP_SIZE 6
#define READER_COUNT 3

struct world {
    struct fixture f;
    int64_t snapshot_id; /* atomically; grows when an old tree is "written" */
    uint32_t stop;
    uint64_t versions_read;
    uint32_t transactions;
};

static struct slice key_of(uint32_t group, uint32_t member, char *text) {
    snprintf(text, 24, "m%02u-group%04u", member, group);
    return slice_of(text);
}

/* All members of a group agree: the same generation, or all deleted, or all unknown. */
static void read_group(const struct memtree *live, uint32_t group, struct buffer *scratch,
                       struct error_context *error) {
    enum lookup_state first_state = LOOKUP_UNKNOWN;
    uint32_t first_generation = 0;

    for (uint32_t member = 0; member < GROUP_SIZE; member++) {
        enum lookup_state state;
        struct slice value = {NULL, 0};
        uint32_t generation = 0;
        char text[24];
        CHECK_OK(memtree_lookup(live, key_of(group, member, text), scratch, error, &state, &value));
        if (state == LOOKUP_FOUND) {
            memcpy(&generation, value.data, sizeof generation);
            for (uint32_t i = 4; i < value.size; i++) CHECK_EQ_UINT(value.data[i], generation & 0xff);
        }
        if (member == 0) {
            first_state = state;
            first_generation = generation;
        }
        CHECK_EQ_INT(state, first_state);
        CHECK_EQ_UINT(generation, first_generation);
    }
}

static void read_in_order(struct world *w, const struct memtree *tree, struct error_context *error) {
    struct memtree_cursor cursor;
    struct buffer before;

    buffer_init(&before, &w->f.env);
    memtree_cursor_init(&cursor, &w->f.env, error);
    memtree_cursor_open(&cursor, tree);
    CHECK_OK(memtree_first(&cursor));
    while (memtree_cursor_valid(&cursor)) {
        if (before.size) CHECK(key_compare(buffer_slice(&before), cursor.key) < 0);
        CHECK_OK(buffer_assign(&before, cursor.key));
        CHECK_OK(memtree_next(&cursor));
    }
    memtree_cursor_release(&cursor);
    buffer_release(&before);
}

static void *reader(void *context) {
    struct world *w = context;
    struct shm *shm = w->f.shm;
    struct shm_locks locks;
    struct error_context error = {0};
    struct buffer scratch;
    uint32_t round = 0;

    buffer_init(&scratch, &w->f.env);
    shm_attach(shm, &locks);
    while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
        struct tree_header header;
        struct memtree live, old;
        int64_t snapshot_id = __atomic_load_n(&w->snapshot_id, __ATOMIC_ACQUIRE);
        int slot = -1;
        int copy = 0;

        CHECK_OK(shm_load_tree(shm, &header, &copy));
        if (shm_reader_acquire(shm, &locks, header.used_id, header.next_id, snapshot_id, &slot) !=
            LSM_OK) {
            continue;
        }
        if (!shm_tree_current(shm, &header, copy) ||
            __atomic_load_n(&w->snapshot_id, __ATOMIC_ACQUIRE) != snapshot_id) {
            shm_reader_release(shm, &locks, slot);
            continue;
        }
        CHECK_OK(shm_ensure(shm, header.chunk_count));
        live = memtree_live(shm, &header);
        old = memtree_old(shm, &header);
        if (header.old_log_field == snapshot_id) old.root.root = 0; /* spent */
        for (uint32_t i = 0; i < GROUP_COUNT; i++) {
            read_group(&live, (i * 7 + round) % GROUP_COUNT, &scratch, &error);
            if (i % 4 == 0) read_group(&old, (i * 11 + round) % GROUP_COUNT, &scratch, &error);
        }
        if (round % 5 == 0) read_in_order(w, &live, &error);
        shm_reader_release(shm, &locks, slot);
        __atomic_add_fetch(&w->versions_read, 1, __ATOMIC_RELAXED);
        round++;
    }
    shm_detach(shm, &locks);
    buffer_release(&scratch);
    return NULL;
}

static void write_group(struct world *w, uint32_t group, uint32_t generation) {
    uint8_t value[300];
    char text[24];

    memset(value, (int)(generation & 0xff), sizeof value);
    memcpy(value, &generation, sizeof generation);
    for (uint32_t member = 0; member < GROUP_SIZE; member++) {
        struct slice key = key_of(group, member, text);
        struct slice bytes = {value, 4 + generation % 290};
        if (generation % 9 == 0) CHECK_OK(memtree_delete(&w->f.writer, key));
        else CHECK_OK(memtree_put(&w->f.writer, key, bytes));
    }
}

/* A range delete over whole groups: the same range of groups of each member. */
static void delete_groups(struct world *w, uint32_t group) {
    char low[24], high[24];

    for (uint32_t member = 0; member < GROUP_SIZE; member++) {
        struct slice from = key_of(group, member, low);
        struct slice to = key_of(group + 4, member, high);
        CHECK_OK(memtree_delete_range(&w->f.writer, from, to));
    }
}

static void *writer(void *context) {
    struct world *w = context;
    struct tree_header *header = &w->f.writer.header;
    uint32_t generation = 0;

    for (uint32_t i = 0; i < w->transactions; i++) {
        struct memtree_mark mark;
        CHECK_OK(shm_lock(w->f.shm, &w->f.locks, LOCK_WRITER, LSM_LOCK_EXCL));
        memtree_writer_begin(&w->f.writer, &w->f.header);
        if (header->old_id != 0 && header->old_log_field == w->snapshot_id) memtree_drop_old(header);
        write_group(w, (i * 13) % GROUP_COUNT, ++generation);
        memtree_writer_mark(&w->f.writer, &mark);
        write_group(w, (i * 29) % GROUP_COUNT, ++generation);
        if (i % 3 == 0) memtree_writer_rollback_to(&w->f.writer, &mark);
        if (i % 7 == 0) delete_groups(w, (i * 5) % (GROUP_COUNT - 4));
        if (header->live.byte_count > 60000 && header->old_id == 0) {
            struct log_region end = {0, (w->snapshot_id + 1) / 2};
            CHECK(memtree_freeze(header, &end, (uint32_t)((w->snapshot_id + 1) & 1)));
        }
        fixture_publish(&w->f);
        shm_unlock(w->f.shm, &w->f.locks, LOCK_WRITER);
        /* The old tree "is written": a snapshot with its log position appears. */
        if (header->old_id != 0 && header->old_log_field != w->snapshot_id && i % 5 == 0) {
            __atomic_store_n(&w->snapshot_id, header->old_log_field, __ATOMIC_RELEASE);
        }
    }
    __atomic_store_n(&w->stop, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* DF-43 */
TEST(three_readers_see_whole_versions_while_one_writer_commits_rolls_back_and_recycles) {
    static struct world w;
    pthread_t threads[READER_COUNT + 1];
    const char *count = getenv("LSM_TEST_TRANSACTIONS");

    memset(&w, 0, sizeof w);
    fixture_open(&w.f, 1);
    w.snapshot_id = 10;
    w.transactions = count ? (uint32_t)strtoul(count, NULL, 0) : 3000;
    CHECK_EQ_INT(pthread_create(&threads[0], NULL, writer, &w), 0);
    for (int i = 1; i <= READER_COUNT; i++) {
        CHECK_EQ_INT(pthread_create(&threads[i], NULL, reader, &w), 0);
    }
    for (int i = 0; i <= READER_COUNT; i++) CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
    fixture_check(&w.f);
    if (getenv("LSM_TEST_VERBOSE")) {
        printf("versions read %llu, chunks %u, next_id %u\n", (unsigned long long)w.versions_read,
               w.f.header.chunk_count, w.f.header.next_id);
    }
    fixture_close(&w.f);
}

TEST_MAIN()
