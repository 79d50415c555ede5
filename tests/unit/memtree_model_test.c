/*
** memtree_model_test.c — random operations on the memtree against plain arrays.
**
** The oracle knows for each key of a fixed universe what the live tree and the old tree must say: unknown,
** deleted, or which value. Everything else follows: marks are copies of the arrays, pinned readers too.
*/
#include "support/memtree_fixture.h"

#define KEYS_MAX 160
#define PINS_MAX 5
#define MARKS_MAX 6
#define LONG_KEY_MAX 40000

enum { STATE_UNKNOWN = 0, STATE_DELETED = 1 }; /* above: seed of a value */

typedef uint32_t states[KEYS_MAX];

struct version {
    states live;
    states old;
};

struct pin {
    bool used;
    int slot;
    struct shm_locks locks;
    struct memtree live;
    struct memtree old;
    struct version version;
};

struct model {
    struct fixture f;
    uint32_t key_count;
    struct slice keys[KEYS_MAX];
    struct version now;       /* of the transaction */
    struct version published;
    struct memtree_mark marks[MARKS_MAX];
    struct version mark_versions[MARKS_MAX];
    int mark_count;
    bool big;                 /* values up to 100 KB, and long keys */
    int64_t snapshot_id;
    bool spent;               /* the old tree is in the file as of snapshot_id */
    uint32_t limit;           /* freeze above so many bytes */
    struct pin pins[PINS_MAX];
    uint8_t *value_bytes;
    long recycled, rollbacks, freezes, repairs, pinned_checks;
};

/* The value that belongs to a seed. */
static struct slice value_of(struct model *m, uint32_t seed) {
    uint32_t mixed = seed * 2654435761u;
    uint32_t size = (mixed >> 8) % 60;
    if (m->big && mixed % 23 == 0) size = (mixed >> 5) % 102400;
    else if (mixed % 7 == 0) size = (mixed >> 5) % 5000;
    for (uint32_t i = 0; i < size; i++) m->value_bytes[i] = (uint8_t)(seed + i * 7 + (i >> 8));
    return (struct slice){m->value_bytes, size};
}

static void model_open(struct model *m, uint32_t key_count, bool big, uint32_t first_id) {
    memset(m, 0, sizeof *m);
    fixture_open(&m->f, first_id);
    m->key_count = key_count;
    m->big = big;
    m->snapshot_id = 10;
    m->limit = big ? 400000 : 40000;
    m->value_bytes = malloc(102400);
    for (uint32_t i = 0; i < key_count; i++) {
        uint32_t size = 4 + i % 9;
        uint8_t *key;
        if (big && i % 40 == 17) size = test_random_below(LONG_KEY_MAX) + 4;
        key = malloc(size);
        memset(key, 'a' + (int)(i % 26), size);
        memset(key, 'k', 2); /* a common beginning */
        key[2] = (uint8_t)(i >> 8);
        key[3] = (uint8_t)i;
        if (i == 0) size = 0; /* the empty key */
        m->keys[i] = (struct slice){key, size};
    }
    for (int i = 0; i < PINS_MAX; i++) shm_attach(m->f.shm, &m->pins[i].locks);
}

static void model_close(struct model *m) {
    for (int i = 0; i < PINS_MAX; i++) shm_detach(m->f.shm, &m->pins[i].locks);
    for (uint32_t i = 0; i < m->key_count; i++) free((void *)(uintptr_t)m->keys[i].data);
    free(m->value_bytes);
    fixture_close(&m->f);
}

static void check_key(struct model *m, const struct memtree *tree, const states expected, uint32_t key) {
    enum lookup_state state;
    struct slice value = {NULL, 0};

    CHECK_OK(memtree_lookup(tree, m->keys[key], &m->f.scratch, &m->f.error, &state, &value));
    if (expected[key] <= STATE_DELETED) {
        CHECK_EQ_INT(state, expected[key] == STATE_DELETED ? LOOKUP_DELETED : LOOKUP_UNKNOWN);
    } else {
        struct slice right = value_of(m, expected[key]);
        CHECK_EQ_INT(state, LOOKUP_FOUND);
        CHECK_EQ_BYTES(value.data, value.size, right.data, right.size);
    }
}

static uint32_t key_index(struct model *m, struct slice key) {
    for (uint32_t i = 0; i < m->key_count; i++) {
        if (key_compare(m->keys[i], key) == 0) return i;
    }
    TEST_FAIL("the tree holds a foreign key");
}

/* All keys by lookup; all entries forward and backward; seeks at every key. */
static void check_tree(struct model *m, const struct memtree *tree, const states expected) {
    struct memtree_cursor cursor;
    uint32_t order[KEYS_MAX];
    uint32_t count = 0;
    uint32_t values = 0, found = 0;

    for (uint32_t i = 0; i < m->key_count; i++) {
        check_key(m, tree, expected, i);
        if (expected[i] > STATE_DELETED) values++;
    }
    memtree_cursor_init(&cursor, &m->f.env, &m->f.error);
    memtree_cursor_open(&cursor, tree);
    CHECK_OK(memtree_first(&cursor));
    while (memtree_cursor_valid(&cursor)) {
        uint32_t index = key_index(m, cursor.key);
        CHECK(count == 0 || order[count - 1] < index);
        order[count++] = index;
        if (cursor.flags & RECORD_INSERT) {
            struct slice right = value_of(m, expected[index]), value = {NULL, 0};
            found++;
            CHECK_OK(memtree_value(&cursor, &value));
            CHECK_EQ_BYTES(value.data, value.size, right.data, right.size);
        }
        CHECK_OK(memtree_next(&cursor));
    }
    CHECK_EQ_UINT(found, values);
    CHECK_OK(memtree_last(&cursor));
    for (uint32_t i = count; i-- > 0;) {
        CHECK(memtree_cursor_valid(&cursor));
        CHECK_EQ_UINT(key_index(m, cursor.key), order[i]);
        CHECK_OK(memtree_prev(&cursor));
    }
    CHECK(!memtree_cursor_valid(&cursor));
    for (uint32_t i = 0, next = 0; i < m->key_count; i++) {
        bool present;
        while (next < count && order[next] < i) next++;
        present = next < count && order[next] == i;
        CHECK_OK(memtree_seek_ge(&cursor, m->keys[i]));
        CHECK_EQ_INT(memtree_cursor_valid(&cursor), next < count);
        if (next < count) CHECK_EQ_UINT(key_index(m, cursor.key), order[next]);
        if (next < count && test_random_below(4) == 0) {
            CHECK_OK(memtree_prev(&cursor));
            CHECK_EQ_INT(memtree_cursor_valid(&cursor), next > 0);
        }
        CHECK_OK(memtree_seek_le(&cursor, m->keys[i]));
        CHECK_EQ_INT(memtree_cursor_valid(&cursor), present || next > 0);
        if (present || next > 0) {
            CHECK_EQ_UINT(key_index(m, cursor.key), order[present ? next : next - 1]);
        }
    }
    memtree_cursor_release(&cursor);
}

static void check_now(struct model *m) {
    struct memtree live = memtree_live(m->f.shm, &m->f.writer.header);
    struct memtree old = memtree_old(m->f.shm, &m->f.writer.header);
    fixture_check(&m->f);
    check_tree(m, &live, m->now.live);
    if (m->f.writer.header.old_id != 0) check_tree(m, &old, m->now.old);
}

/* ------------------------------------------------------------------------------------- pins -- */

static void pin_toggle(struct model *m) {
    struct pin *pin = &m->pins[test_random_below(PINS_MAX)];
    struct tree_header header;

    if (pin->used) {
        check_tree(m, &pin->live, pin->version.live);
        check_tree(m, &pin->old, pin->version.old);
        shm_reader_release(m->f.shm, &pin->locks, pin->slot);
        pin->used = false;
        m->pinned_checks++;
        return;
    }
    CHECK_OK(shm_load_tree(m->f.shm, &header, NULL));
    if (shm_reader_acquire(m->f.shm, &pin->locks, header.used_id, header.next_id, m->snapshot_id,
                           &pin->slot) != LSM_OK) {
        return;
    }
    pin->used = true;
    pin->live = memtree_live(m->f.shm, &header);
    pin->old = memtree_old(m->f.shm, &header);
    pin->version = m->published;
    if (m->spent) pin->old.root.root = 0; /* its snapshot has the content */
    if (pin->old.root.root == 0) memset(pin->version.old, 0, sizeof pin->version.old);
}

static void pins_look(struct model *m) {
    for (int i = 0; i < PINS_MAX; i++) {
        struct pin *pin = &m->pins[i];
        if (!pin->used) continue;
        for (int n = 0; n < 5; n++) {
            uint32_t key = test_random_below(m->key_count);
            check_key(m, &pin->live, pin->version.live, key);
            check_key(m, &pin->old, pin->version.old, key);
        }
    }
}

/* ------------------------------------------------------------------------------ transactions -- */

static void one_change(struct model *m, uint32_t *next_seed) {
    struct memtree_writer *writer = &m->f.writer;
    uint32_t a = test_random_below(m->key_count);
    uint32_t b = test_random_below(m->key_count);
    uint32_t kind = test_random_below(20);

    if (kind < 13) {
        uint32_t seed = ++*next_seed;
        CHECK_OK(memtree_put(writer, m->keys[a], value_of(m, seed)));
        m->now.live[a] = seed;
    } else if (kind < 16) {
        CHECK_OK(memtree_delete(writer, m->keys[a]));
        m->now.live[a] = STATE_DELETED;
    } else if (a != b) {
        if (kind > 16) b = a + 1 + test_random_below(12); /* mostly short */
        if (b >= m->key_count) b = m->key_count - 1;
        if (a > b) {
            uint32_t swap = a;
            a = b;
            b = swap;
        }
        if (a == b) return;
        CHECK_OK(memtree_delete_range(writer, m->keys[a], m->keys[b]));
        for (uint32_t i = a + 1; i < b; i++) m->now.live[i] = STATE_DELETED;
    }
}

static void begin(struct model *m) {
    fixture_begin(&m->f);
    m->now = m->published;
    if (m->spent && m->f.writer.header.old_id != 0) {
        memtree_drop_old(&m->f.writer.header);
        memset(m->now.old, 0, sizeof m->now.old);
        m->spent = false;
    }
    m->mark_count = 0;
}

static void mark(struct model *m) {
    if (m->mark_count == MARKS_MAX) m->mark_count -= 1 + (int)test_random_below(3); /* inner commits */
    memtree_writer_mark(&m->f.writer, &m->marks[m->mark_count]);
    m->mark_versions[m->mark_count++] = m->now;
}

static void rollback_to_some_mark(struct model *m) {
    int index = (int)test_random_below((uint32_t)m->mark_count);
    memtree_writer_rollback_to(&m->f.writer, &m->marks[index]);
    m->now = m->mark_versions[index];
    m->mark_count = index + 1;
    CHECK_EQ_UINT(m->f.writer.header.live.byte_count, m->marks[index].live.byte_count);
    m->rollbacks++;
}

/* The writer vanishes; another one finds what it left. */
static void die(struct model *m) {
    struct tree_header header;

    memtree_writer_end(&m->f.writer);
    shm_mend_tree(m->f.shm);
    CHECK_OK(shm_load_tree(m->f.shm, &header, NULL));
    CHECK_OK(memtree_repair(m->f.shm, &header, &m->f.error));
    m->f.writer.header = header;
    fixture_publish(&m->f);
    m->now = m->published;
    m->repairs++;
}

static void transaction(struct model *m, uint32_t *next_seed, bool check_each) {
    uint32_t steps = 1 + test_random_below(25);
    bool dropped = m->spent;
    uint32_t first_before;

    begin(m);
    mark(m);
    first_before = m->f.writer.header.first_chunk;
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t kind = test_random_below(12);
        if (kind == 0) mark(m);
        else if (kind == 1) rollback_to_some_mark(m);
        else one_change(m, next_seed);
        if (check_each) fixture_check(&m->f);
        if (test_random_below(8) == 0) pin_toggle(m);
    }
    if (test_random_below(3) == 0) check_now(m);
    m->recycled += m->f.writer.header.first_chunk != first_before;
    switch (test_random_below(8)) {
    case 0:
        memtree_writer_rollback_to(&m->f.writer, &m->marks[0]);
        m->now = m->mark_versions[0];
        break;
    case 1:
        if (dropped) { /* the header with the drop was never published */
            m->spent = true;
        }
        die(m);
        return;
    default:
        if (m->f.writer.header.live.byte_count > m->limit && m->f.writer.header.old_id == 0) {
            struct log_region end = {0, 1234};
            if (memtree_freeze(&m->f.writer.header, &end, 1)) {
                memcpy(m->now.old, m->now.live, sizeof m->now.old);
                memset(m->now.live, 0, sizeof m->now.live);
                m->freezes++;
            }
        }
    }
    fixture_publish(&m->f);
    m->published = m->now;
    if (m->f.header.old_id != 0 && !m->spent && test_random_below(3) == 0) {
        m->spent = true; /* a worker has written it */
        m->snapshot_id++;
    }
}

static void run_model(uint32_t key_count, bool big, uint32_t first_id, int transactions,
                      bool check_each) {
    static struct model m;
    uint32_t next_seed = 1;

    model_open(&m, key_count, big, first_id);
    for (int i = 0; i < transactions; i++) {
        TEST_NOTE("keys %u, transaction %d", key_count, i);
        transaction(&m, &next_seed, check_each);
        if (i % 4 == 0) pins_look(&m);
        if (test_random_below(4) == 0) pin_toggle(&m);
    }
    m.now = m.published;
    check_now(&m);
    pins_look(&m);
    if (getenv("LSM_TEST_VERBOSE")) {
        printf("keys %u: chunks %u next_id %u recycled in %ld txns, rollbacks %ld, freezes %ld, "
               "repairs %ld, pinned versions %ld\n",
               key_count, m.f.header.chunk_count, m.f.header.next_id, m.recycled, m.rollbacks,
               m.freezes, m.repairs, m.pinned_checks);
    }
    model_close(&m);
}

TEST(tiny_trees_agree_with_the_model_after_every_step) {
    for (int round = 0; round < 12; round++) {
        run_model(3 + test_random_below(10), false, 1, 60, true);
    }
}

TEST(small_values_agree_with_the_model) {
    run_model(KEYS_MAX, false, 1, 600, false);
}

TEST(values_and_keys_that_cross_chunks_agree_with_the_model) {
    run_model(60, true, 1, 250, true);
}

TEST(chunk_ids_that_pass_2_to_the_32_agree_with_the_model) {
    run_model(60, true, UINT32_MAX - 5, 200, true);
    run_model(100, false, UINT32_MAX - 2, 300, false);
}

TEST_MAIN()
