/*
** memtree_fixture.h — a private region with one writer, for the tests of shm/ and memtree/.
**
** OWNERSHIP   fixture_open and fixture_close go in pairs. All allocations go through `env`, whose n-th
**             allocation from now fails when `allocations_left` is set.
*/
#ifndef LSM_SUPPORT_MEMTREE_FIXTURE_H
#define LSM_SUPPORT_MEMTREE_FIXTURE_H

#include "memtree/memtree.h"
#include "os/os.h"
#include "shm/shm.h"
#include "support/test.h"

struct fixture {
    lsm_env env;
    struct shm *shm;
    struct shm_locks locks;
    struct error_context error;
    struct tree_header header; /* published */
    struct memtree_writer writer;
    struct buffer scratch;
};

static long allocations_left = -1; /* negative: none fails */

TEST_HELPER bool allocation_fails(void) {
    if (allocations_left < 0) return false;
    if (allocations_left == 0) return true;
    allocations_left--;
    return false;
}
TEST_HELPER void *fixture_malloc(lsm_env *env, size_t size) {
    (void)env;
    return allocation_fails() ? NULL : malloc(size);
}
TEST_HELPER void *fixture_realloc(lsm_env *env, void *block, size_t size) {
    (void)env;
    return allocation_fails() ? NULL : realloc(block, size);
}
TEST_HELPER void fixture_free(lsm_env *env, void *block) {
    (void)env;
    free(block);
}

TEST_HELPER lsm_env fixture_env(void) {
    lsm_env env = *lsm_default_env();
    env.xMalloc = fixture_malloc;
    env.xRealloc = fixture_realloc;
    env.xFree = fixture_free;
    allocations_left = -1;
    return env;
}

TEST_HELPER struct slice slice_of(const char *text) {
    return (struct slice){(const uint8_t *)text, (uint32_t)strlen(text)};
}

/* A formatted, published region whose first chunk has the id `first_id`, in an environment of the caller's. */
TEST_HELPER void fixture_open_in(struct fixture *f, lsm_env env, uint32_t first_id) {
    memset(f, 0, sizeof *f);
    f->env = env;
    CHECK_OK(shm_open_private(&f->env, &f->shm));
    shm_attach(f->shm, &f->locks);
    CHECK_OK(memtree_format(f->shm, &f->header));
    f->header.used_id = first_id;
    f->header.next_id = first_id + 1;
    *(uint32_t *)(void *)shm_table(f->shm)[1] = first_id;
    shm_publish_tree(f->shm, &f->header);
    memtree_writer_init(&f->writer, &f->env, f->shm, &f->locks, &f->error);
    buffer_init(&f->scratch, &f->env);
}

TEST_HELPER void fixture_open(struct fixture *f, uint32_t first_id) {
    fixture_open_in(f, fixture_env(), first_id);
}

TEST_HELPER void fixture_close(struct fixture *f) {
    allocations_left = -1;
    buffer_release(&f->scratch);
    memtree_writer_release(&f->writer);
    shm_detach(f->shm, &f->locks);
    shm_close(f->shm);
}

TEST_HELPER void fixture_begin(struct fixture *f) {
    f->shm->header->writer_flag = 1;
    memtree_writer_begin(&f->writer, &f->header);
}

TEST_HELPER void fixture_publish(struct fixture *f) {
    shm_publish_tree(f->shm, &f->writer.header);
    f->header = f->writer.header;
    memtree_writer_end(&f->writer);
}

/* The writer's view of the live tree. */
TEST_HELPER struct memtree fixture_live(struct fixture *f) {
    return memtree_live(f->shm, &f->writer.header);
}

TEST_HELPER void fixture_check(struct fixture *f) {
    const char *reason = "none given";
    bool good = memtree_check(f->shm, &f->writer.header, &reason);
    CHECK_MSG(good, "memtree_check: %s", reason);
}

TEST_HELPER void fixture_put(struct fixture *f, const char *key, const char *value) {
    CHECK_OK(memtree_put(&f->writer, slice_of(key), slice_of(value)));
}

/* "=text" for a value, "-" for deleted, "?" for unknown. */
TEST_HELPER const char *fixture_get(struct fixture *f, const struct memtree *tree, const char *key) {
    static char text[256];
    enum lookup_state state;
    struct slice value = {NULL, 0};
    CHECK_OK(memtree_lookup(tree, slice_of(key), &f->scratch, &f->error, &state, &value));
    if (state == LOOKUP_UNKNOWN) return "?";
    if (state == LOOKUP_DELETED) return "-";
    snprintf(text, sizeof text, "=%.*s", (int)value.size, (const char *)value.data);
    return text;
}

/* All entries as "key:flags" in order, by cursor. */
TEST_HELPER const char *fixture_list(struct fixture *f, const struct memtree *tree) {
    static char text[4096];
    struct memtree_cursor cursor;
    size_t used = 0;

    text[0] = '\0';
    memtree_cursor_init(&cursor, &f->env, &f->error);
    memtree_cursor_open(&cursor, tree);
    CHECK_OK(memtree_first(&cursor));
    while (memtree_cursor_valid(&cursor)) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s:%x", used ? " " : "",
                                 (int)cursor.key.size, (const char *)cursor.key.data, cursor.flags);
        CHECK_OK(memtree_next(&cursor));
    }
    memtree_cursor_release(&cursor);
    return text;
}

#endif
