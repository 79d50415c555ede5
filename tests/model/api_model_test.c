/*
** api_model_test.c — random use of lsm.h by up to three connections, against a sorted map with
** versions.
**
** LSM_MODEL_STEPS   calls per history (default 1500)
** LSM_MODEL_ROUNDS  histories (default 12)
*/
#include "support/api_model.h"

#define CONNECTIONS 3
#define CURSORS 3
#define LEVELS 8

enum direction { NONE, FORWARD, BACKWARD };

struct cursor {
    lsm_cursor *handle; /* NULL = not open */
    enum direction direction;
    int key;     /* -1 = on nothing */
    bool fresh;  /* nothing was written since it was positioned: the value can be told */
};

struct connection {
    lsm_db *handle; /* NULL = closed */
    bool read_only;
    struct cursor cursors[CURSORS];
    int cursor_count;
    struct model_state view; /* while a cursor or a transaction is open */
    int version;             /* of the tree that is read */
    bool behind;             /* something was published by others, perhaps without a change */
    int levels;
    struct model_state marks[LEVELS + 1];
};

static struct {
    const char *path;
    struct connection connections[CONNECTIONS];
    struct model_state latest;
    int version;
    int writer; /* index of the connection in a write transaction, -1 = none */
    int block_kb, page_size, mmap;
    bool unlogged; /* some transaction was not logged */
} world;

static int config(lsm_db *db, int verb, int value) {
    CHECK_OK(lsm_config(db, verb, &value));
    return value;
}

static void random_config(lsm_db *db) {
    static const int flush_sizes[] = {0, 1, 4, 16, 64, 256};
    config(db, LSM_CONFIG_AUTOFLUSH, flush_sizes[test_random_below(6)]);
    config(db, LSM_CONFIG_AUTOWORK, test_random_below(4) != 0);
    config(db, LSM_CONFIG_AUTOMERGE, 2 + (int)test_random_below(5));
    config(db, LSM_CONFIG_AUTOCHECKPOINT, (int)test_random_below(4) * 16);
    config(db, LSM_CONFIG_MAX_FREELIST, 2 + (int)test_random_below(23));
    config(db, LSM_CONFIG_SAFETY, (int)test_random_below(3));
    config(db, LSM_CONFIG_USE_LOG, test_random_below(8) != 0);
}

static void open_connection(struct connection *connection) {
    bool others = false;

    memset(connection, 0, sizeof *connection);
    for (int i = 0; i < CONNECTIONS; i++) {
        if (world.connections[i].handle && !world.connections[i].read_only) others = true;
    }
    CHECK_OK(lsm_new(NULL, &connection->handle));
    config(connection->handle, LSM_CONFIG_PAGE_SIZE, world.page_size);
    config(connection->handle, LSM_CONFIG_BLOCK_SIZE, world.block_kb);
    config(connection->handle, LSM_CONFIG_MMAP, world.mmap);
    random_config(connection->handle);
    connection->read_only = others && test_random_below(3) == 0;
    config(connection->handle, LSM_CONFIG_READONLY, connection->read_only);
    CHECK_OK(lsm_open(connection->handle, world.path));
}

static struct model_state *view_of(struct connection *connection) {
    bool own = connection->cursor_count > 0 || connection->levels > 0;
    return own ? &connection->view : &world.latest;
}

static void start_reading(struct connection *connection) {
    if (connection->cursor_count > 0 || connection->levels > 0) return;
    connection->view = world.latest;
    connection->version = world.version;
    connection->behind = false;
}

/* Others now read an older tree. */
static void published(struct connection *by, bool changed) {
    if (changed) world.version++;
    for (int i = 0; i < CONNECTIONS; i++) {
        if (&world.connections[i] != by) world.connections[i].behind = true;
    }
}

static void cursors_lose_freshness(struct connection *connection) {
    for (int i = 0; i < CURSORS; i++) connection->cursors[i].fresh = false;
}

/* May this connection write, or begin to? `rc` is what it got. */
static bool began(struct connection *connection, int rc) {
    int index = (int)(connection - world.connections);

    if (connection->read_only) {
        CHECK_RC(rc, LSM_READONLY);
        return false;
    }
    if (world.writer >= 0 && world.writer != index) {
        CHECK_RC(rc, LSM_BUSY);
        return false;
    }
    if (world.writer != index && connection->cursor_count > 0) {
        if (connection->version != world.version) {
            CHECK_RC(rc, LSM_BUSY);
            return false;
        }
        if (connection->behind && rc == LSM_BUSY) return false;
    }
    CHECK_OK(rc);
    return true;
}

static void write_something(struct connection *connection) {
    int index = (int)(connection - world.connections);
    int low = (int)test_random_below(MODEL_KEYS);
    int high = (int)test_random_below(MODEL_KEYS);
    uint32_t dice = test_random_below(10);
    struct model_state *state;
    uint32_t no = 0;
    int rc;

    if (dice < 6) {
        no = model_new_value();
        rc = model_insert(connection->handle, low, no);
    } else if (dice < 8) {
        rc = lsm_delete(connection->handle, model.bytes[low], model.size[low]);
    } else {
        if (high > low + 20 && test_random_below(4) != 0) {
            high = low + 1 + (int)test_random_below(20);
        }
        rc = lsm_delete_range(connection->handle, model.bytes[low], model.size[low],
                              model.bytes[high], model.size[high]);
        if (low >= high) {
            CHECK_OK(rc);
            return;
        }
    }
    if (!began(connection, rc)) return;
    if (world.writer == index) {
        state = &connection->view;
    } else {
        state = &world.latest;
        published(connection, true);
        connection->version = world.version;
    }
    if (dice < 6) state->value[low] = no;
    else if (dice < 8) state->value[low] = 0;
    else model_delete_range(state, low, high);
    if (state == &world.latest) connection->view = world.latest;
    cursors_lose_freshness(connection);
}

static void begin(struct connection *connection) {
    int index = (int)(connection - world.connections);
    int level = (int)test_random_below(5) == 0 ? -1 : (int)test_random_below(LEVELS);
    int target = level < 0 ? connection->levels + 1 : level;
    int rc;

    if (target > LEVELS) return;
    rc = lsm_begin(connection->handle, level);
    if (connection->read_only) {
        CHECK_RC(rc, LSM_READONLY);
        return;
    }
    if (target <= connection->levels) {
        CHECK_OK(rc);
        return;
    }
    if (connection->levels > 0) {
        CHECK_OK(rc);
    } else {
        if (!began(connection, rc)) return;
        start_reading(connection);
        world.writer = index;
    }
    while (connection->levels < target) connection->marks[++connection->levels] = connection->view;
}

static void commit(struct connection *connection) {
    int level = (int)test_random_below(3) == 0 ? -1
                : test_random_below(2) == 0    ? 0
                                               : (int)test_random_below(LEVELS);
    int target = level < 0 ? (connection->levels > 0 ? connection->levels - 1 : 0) : level;

    CHECK_OK(lsm_commit(connection->handle, level));
    if (target >= connection->levels) return;
    connection->levels = target;
    if (target > 0) return;
    world.writer = -1;
    world.latest = connection->view;
    published(connection, true);
    connection->version = world.version;
    cursors_lose_freshness(connection);
}

static void rollback(struct connection *connection) {
    int level = (int)test_random_below(3) == 0 ? -1
                : test_random_below(3) == 0    ? 0
                                               : (int)test_random_below(LEVELS);
    int target = level < 0 ? (connection->levels > 0 ? connection->levels - 1 : 0) : level;

    CHECK_OK(lsm_rollback(connection->handle, level));
    if (connection->levels == 0 || target > connection->levels) return;
    cursors_lose_freshness(connection);
    if (target > 0) {
        connection->view = connection->marks[target];
        connection->levels = target;
        return;
    }
    connection->view = connection->marks[1];
    connection->levels = 0;
    world.writer = -1;
    published(connection, false);
}

static void step_cursor(struct connection *connection, struct cursor *cursor) {
    bool forward = test_random_below(2) == 0;
    const struct model_state *view = view_of(connection);
    bool legal = cursor->direction == (forward ? FORWARD : BACKWARD);
    int rc = forward ? lsm_csr_next(cursor->handle) : lsm_csr_prev(cursor->handle);

    if (!legal) {
        CHECK_RC(rc, LSM_MISUSE);
        return;
    }
    CHECK_OK(rc);
    if (cursor->key >= 0) {
        cursor->key = forward ? model_at_or_above(view, cursor->key + 1)
                              : model_at_or_below(view, cursor->key - 1);
        if (cursor->key >= MODEL_KEYS) cursor->key = -1;
        cursor->fresh = true;
    }
    model_expect_at(cursor->handle, view, cursor->key, cursor->key >= 0);
}

static void position_cursor(struct connection *connection, struct cursor *cursor) {
    const struct model_state *view = view_of(connection);
    int key = (int)test_random_below(MODEL_KEYS);
    const uint8_t *bytes = model.bytes[key];
    int size = model.size[key];

    switch (test_random_below(6)) {
    case 0:
        CHECK_OK(lsm_csr_first(cursor->handle));
        cursor->key = model_at_or_above(view, 0);
        cursor->direction = FORWARD;
        break;
    case 1:
        CHECK_OK(lsm_csr_last(cursor->handle));
        cursor->key = model_at_or_below(view, MODEL_KEYS - 1);
        cursor->direction = BACKWARD;
        break;
    case 2:
        CHECK_OK(lsm_csr_seek(cursor->handle, bytes, size, LSM_SEEK_EQ));
        cursor->key = view->value[key] ? key : -1;
        cursor->direction = NONE;
        break;
    case 3:
        CHECK_OK(lsm_csr_seek(cursor->handle, bytes, size, LSM_SEEK_LEFAST));
        cursor->key = model_at_or_below(view, key);
        cursor->direction = NONE;
        break;
    case 4:
        CHECK_OK(lsm_csr_seek(cursor->handle, bytes, size, LSM_SEEK_GE));
        cursor->key = model_at_or_above(view, key);
        cursor->direction = FORWARD;
        break;
    default:
        CHECK_OK(lsm_csr_seek(cursor->handle, bytes, size, LSM_SEEK_LE));
        cursor->key = model_at_or_below(view, key);
        cursor->direction = BACKWARD;
        break;
    }
    if (cursor->key >= MODEL_KEYS) cursor->key = -1;
    cursor->fresh = true;
    model_expect_at(cursor->handle, view, cursor->key, cursor->key >= 0);
}

static void use_cursor(struct connection *connection) {
    struct cursor *cursor = &connection->cursors[test_random_below(CURSORS)];

    if (cursor->handle == NULL) {
        CHECK_OK(lsm_csr_open(connection->handle, &cursor->handle));
        start_reading(connection);
        cursor->key = -1;
        cursor->direction = NONE;
        connection->cursor_count++;
        return;
    }
    /* Whatever happened since: key still there, value unless something was written. */
    if (cursor->fresh) {
        model_expect_at(cursor->handle, view_of(connection), cursor->key, cursor->key >= 0);
    } else {
        model_expect_at(cursor->handle, view_of(connection), cursor->key, false);
    }
    switch (test_random_below(8)) {
    case 0:
        CHECK_OK(lsm_csr_close(cursor->handle));
        memset(cursor, 0, sizeof *cursor);
        connection->cursor_count--;
        break;
    case 1:
    case 2:
        position_cursor(connection, cursor);
        break;
    default:
        step_cursor(connection, cursor);
        break;
    }
}

static void maintain(struct connection *connection) {
    bool busy = world.writer >= 0 && &world.connections[world.writer] != connection;
    bool misuse = connection->cursor_count > 0 || connection->levels > 0;
    int written = -77;
    int rc;

    switch (test_random_below(4)) {
    case 0:
        rc = lsm_flush(connection->handle);
        CHECK_RC(rc, connection->read_only ? LSM_READONLY
                     : misuse              ? LSM_MISUSE
                     : busy                ? LSM_BUSY
                                           : LSM_OK);
        if (rc == LSM_OK) published(connection, false);
        break;
    case 1:
        rc = lsm_checkpoint(connection->handle, &written);
        CHECK_RC(rc, connection->read_only ? LSM_READONLY : LSM_OK);
        break;
    default:
        rc = lsm_work(connection->handle, (int)test_random_below(5),
                      test_random_below(3) == 0 ? -1 : (int)test_random_below(40), &written);
        CHECK_RC(rc, connection->read_only ? LSM_READONLY : misuse ? LSM_MISUSE : LSM_OK);
        if (rc != LSM_OK) CHECK_EQ_INT(written, -77);
        break;
    }
}

static void close_connection(struct connection *connection) {
    if (connection->levels > 0 || connection->cursor_count > 0) {
        CHECK_RC(lsm_close(connection->handle), LSM_MISUSE);
        return;
    }
    CHECK_OK(lsm_close(connection->handle));
    connection->handle = NULL;
}

static void close_everything(void) {
    for (int i = 0; i < CONNECTIONS; i++) {
        struct connection *connection = &world.connections[i];
        if (connection->handle == NULL) continue;
        for (int j = 0; j < CURSORS; j++) CHECK_OK(lsm_csr_close(connection->cursors[j].handle));
        if (connection->levels > 0) CHECK_OK(lsm_rollback(connection->handle, 0));
        CHECK_OK(lsm_close(connection->handle));
        memset(connection, 0, sizeof *connection);
    }
    world.writer = -1;
}

/* Without a read-write connection a read-only one would recover from the files: that is another
** test. */
static bool is_last_writer(const struct connection *connection) {
    int writers = 0, readers = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        if (world.connections[i].handle == NULL) continue;
        if (world.connections[i].read_only) readers++;
        else writers++;
    }
    return !connection->read_only && writers == 1 && readers > 0;
}

static void step(void) {
    struct connection *connection = &world.connections[test_random_below(CONNECTIONS)];

    if (connection->handle == NULL) {
        if (test_random_below(4) == 0) open_connection(connection);
        return;
    }
    switch (test_random_below(40)) {
    case 0: case 1: begin(connection); break;
    case 2: commit(connection); break;
    case 3: rollback(connection); break;
    case 4: case 5: case 6: case 7: case 8: case 9: case 10: case 11: case 12: case 13:
        use_cursor(connection);
        break;
    case 14: case 15: maintain(connection); break;
    case 16:
        if (test_random_below(4) == 0 && !is_last_writer(connection)) close_connection(connection);
        break;
    case 17:
        if (test_random_below(10) == 0) close_everything();
        break;
    case 18:
        if (test_random_below(4) == 0) random_config(connection->handle);
        break;
    case 19:
        if (test_random_below(2) == 0) model_expect(connection->handle, view_of(connection));
        break;
    default: write_something(connection); break;
    }
}

static void run_history(int round, int steps) {
    static const int page_sizes[] = {256, 512, 1024, 4096, 65536};
    char name[32];

    memset(&world, 0, sizeof world);
    world.writer = -1;
    model_make_keys();
    snprintf(name, sizeof name, "model-%d.lsm", round);
    world.path = test_path(name);
    world.page_size = page_sizes[test_random_below(5)];
    world.block_kb = 64 << test_random_below(2);
    world.mmap = (int)test_random_below(3) * 32;
    for (int i = 0; i < steps; i++) {
        TEST_NOTE("round %d step %d", round, i);
        step();
    }
    close_everything();
    open_connection(&world.connections[0]);
    model_expect(world.connections[0].handle, &world.latest);
    close_everything();
}

static int number_from(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text && *text ? atoi(text) : otherwise;
}

TEST(random_histories_of_three_connections_agree_with_a_sorted_map) {
    int steps = number_from("LSM_MODEL_STEPS", 1500);
    int rounds = number_from("LSM_MODEL_ROUNDS", 12);

    for (int round = 0; round < rounds; round++) run_history(round, steps);
}

TEST_MAIN()
