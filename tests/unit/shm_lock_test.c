#include "shm/shm_internal.h"
#include "support/memtree_fixture.h"

struct three {
    lsm_env env;
    struct shm *shm;
    struct shm_locks a, b, c;
};

static void three_open(struct three *t) {
    t->env = fixture_env();
    CHECK_OK(shm_open_private(&t->env, &t->shm));
    shm_attach(t->shm, &t->a);
    shm_attach(t->shm, &t->b);
    shm_attach(t->shm, &t->c);
}

static void three_close(struct three *t) {
    shm_detach(t->shm, &t->b);
    shm_detach(t->shm, &t->a);
    shm_detach(t->shm, &t->c);
    shm_close(t->shm);
}

TEST(an_exclusive_lock_keeps_all_others_out_until_it_is_released) {
    struct three t;
    three_open(&t);
    CHECK_OK(shm_lock(t.shm, &t.a, LOCK_WRITER, LSM_LOCK_EXCL));
    CHECK_OK(shm_lock(t.shm, &t.a, LOCK_WRITER, LSM_LOCK_EXCL));
    CHECK_RC(shm_lock(t.shm, &t.b, LOCK_WRITER, LSM_LOCK_EXCL), LSM_BUSY);
    CHECK_RC(shm_lock(t.shm, &t.b, LOCK_WRITER, LSM_LOCK_SHARED), LSM_BUSY);
    CHECK_OK(shm_lock(t.shm, &t.b, LOCK_WORKER, LSM_LOCK_EXCL));
    shm_unlock(t.shm, &t.b, LOCK_WRITER); /* not its own: nothing */
    CHECK_RC(shm_lock(t.shm, &t.b, LOCK_WRITER, LSM_LOCK_EXCL), LSM_BUSY);
    CHECK_OK(shm_lock(t.shm, &t.a, LOCK_WRITER, LSM_LOCK_UNLOCK));
    CHECK_OK(shm_lock(t.shm, &t.b, LOCK_WRITER, LSM_LOCK_EXCL));
    three_close(&t);
}

TEST(shared_locks_coexist_and_only_the_last_sharer_may_upgrade) {
    struct three t;
    three_open(&t);
    CHECK_OK(shm_lock(t.shm, &t.a, LOCK_READER0, LSM_LOCK_SHARED));
    CHECK_OK(shm_lock(t.shm, &t.b, LOCK_READER0, LSM_LOCK_SHARED));
    CHECK_RC(shm_lock(t.shm, &t.a, LOCK_READER0, LSM_LOCK_EXCL), LSM_BUSY);
    CHECK_RC(shm_lock(t.shm, &t.c, LOCK_READER0, LSM_LOCK_EXCL), LSM_BUSY);
    CHECK_EQ_UINT(t.a.shared, 1u << LOCK_READER0); /* a refusal changes nothing */
    shm_unlock(t.shm, &t.b, LOCK_READER0);
    CHECK_OK(shm_lock(t.shm, &t.a, LOCK_READER0, LSM_LOCK_EXCL));
    CHECK_RC(shm_lock(t.shm, &t.b, LOCK_READER0, LSM_LOCK_SHARED), LSM_BUSY);
    CHECK_OK(shm_lock(t.shm, &t.a, LOCK_READER0, LSM_LOCK_SHARED)); /* downgrade */
    CHECK_OK(shm_lock(t.shm, &t.b, LOCK_READER0, LSM_LOCK_SHARED));
    CHECK_EQ_UINT(t.shm->shared_counts[LOCK_READER0], 2);
    three_close(&t);
}

TEST(detaching_releases_what_is_still_held) {
    struct three t;
    struct shm_locks d;
    three_open(&t);
    shm_attach(t.shm, &d);
    CHECK_OK(shm_lock(t.shm, &d, LOCK_WRITER, LSM_LOCK_EXCL));
    CHECK_OK(shm_lock(t.shm, &d, LOCK_DMS2, LSM_LOCK_SHARED));
    shm_detach(t.shm, &d);
    CHECK_OK(shm_lock(t.shm, &t.a, LOCK_WRITER, LSM_LOCK_EXCL));
    CHECK_OK(shm_lock(t.shm, &t.a, LOCK_DMS2, LSM_LOCK_EXCL));
    three_close(&t);
}

/* DF-27 */
TEST(a_test_over_a_range_looks_at_every_lock_of_it) {
    struct three t;
    three_open(&t);
    for (int i = 0; i < RWCLIENT_COUNT; i++) {
        CHECK_OK(shm_lock(t.shm, &t.a, LOCK_RWCLIENT0 + i, LSM_LOCK_EXCL));
        CHECK_RC(shm_test_lock(t.shm, &t.b, LOCK_RWCLIENT0, RWCLIENT_COUNT, LSM_LOCK_SHARED),
                 LSM_BUSY);
        CHECK_OK(shm_test_lock(t.shm, &t.a, LOCK_RWCLIENT0, RWCLIENT_COUNT, LSM_LOCK_EXCL));
        shm_unlock(t.shm, &t.a, LOCK_RWCLIENT0 + i);
        CHECK_OK(shm_test_lock(t.shm, &t.b, LOCK_RWCLIENT0, RWCLIENT_COUNT, LSM_LOCK_EXCL));
    }
    CHECK_OK(shm_lock(t.shm, &t.a, LOCK_DMS3, LSM_LOCK_SHARED));
    CHECK_RC(shm_test_lock(t.shm, &t.b, LOCK_DMS2, 2, LSM_LOCK_EXCL), LSM_BUSY);
    CHECK_OK(shm_test_lock(t.shm, &t.b, LOCK_DMS2, 2, LSM_LOCK_SHARED));
    three_close(&t);
}

TEST(the_thread_that_writes_is_known) {
    struct three t;
    three_open(&t);
    CHECK(!shm_lock_held_by_thread(t.shm, LOCK_WRITER, os_thread_id()));
    CHECK_OK(shm_lock(t.shm, &t.a, LOCK_WRITER, LSM_LOCK_EXCL));
    CHECK(shm_lock_held_by_thread(t.shm, LOCK_WRITER, os_thread_id()));
    CHECK(!shm_lock_held_by_thread(t.shm, LOCK_WRITER, os_thread_id() + 1));
    shm_unlock(t.shm, &t.a, LOCK_WRITER);
    CHECK(!shm_lock_held_by_thread(t.shm, LOCK_WRITER, os_thread_id()));
    three_close(&t);
}

/* --- with other processes: the backing is asked only when the process as a whole changes its state --- */

static char asked[256];
static int outside_answer;

static int outside_chunk_open(struct shm *shm, uint32_t chunk_no, uint8_t **out) {
    (void)shm, (void)chunk_no;
    *out = calloc(1, SHM_CHUNK_SIZE);
    return *out ? LSM_OK : LSM_NOMEM;
}
static void outside_chunk_close(struct shm *shm, uint8_t *chunk) {
    (void)shm;
    free(chunk);
}
static int outside_lock(struct shm *shm, int lock_no, int operation) {
    (void)shm;
    snprintf(asked + strlen(asked), sizeof asked - strlen(asked), "%c%d ",
             operation == LSM_LOCK_EXCL ? 'x' : 's', lock_no);
    return outside_answer;
}
static void outside_unlock(struct shm *shm, int lock_no) {
    (void)shm;
    snprintf(asked + strlen(asked), sizeof asked - strlen(asked), "u%d ", lock_no);
}
static int outside_test(struct shm *shm, int lock_no, int count, int operation) {
    (void)shm, (void)operation;
    snprintf(asked + strlen(asked), sizeof asked - strlen(asked), "t%d+%d ", lock_no, count);
    return outside_answer;
}
static const struct shm_backing outside = {outside_chunk_open, outside_chunk_close, outside_lock,
                                           outside_unlock, outside_test};

TEST(the_backing_is_locked_for_the_first_sharer_and_unlocked_after_the_last) {
    struct three t;
    t.env = fixture_env();
    asked[0] = '\0';
    outside_answer = LSM_OK;
    CHECK_OK(shm_open_backing(&t.env, &outside, &t.shm));
    shm_attach(t.shm, &t.a);
    shm_attach(t.shm, &t.b);
    shm_attach(t.shm, &t.c);
    CHECK_OK(shm_lock(t.shm, &t.a, 8, LSM_LOCK_SHARED));
    CHECK_OK(shm_lock(t.shm, &t.b, 8, LSM_LOCK_SHARED));
    shm_unlock(t.shm, &t.a, 8);
    CHECK_OK(shm_lock(t.shm, &t.b, 8, LSM_LOCK_EXCL));
    CHECK_OK(shm_lock(t.shm, &t.b, 8, LSM_LOCK_SHARED));
    CHECK_OK(shm_test_lock(t.shm, &t.a, 14, 16, LSM_LOCK_EXCL));
    shm_unlock(t.shm, &t.b, 8);
    CHECK_EQ_STR(asked, "s8 x8 s8 t14+16 u8 ");
    outside_answer = LSM_BUSY;
    CHECK_RC(shm_lock(t.shm, &t.a, 4, LSM_LOCK_EXCL), LSM_BUSY);
    CHECK_EQ_UINT(t.a.exclusive | t.a.shared, 0);
    outside_answer = LSM_IOERR;
    CHECK_RC(shm_test_lock(t.shm, &t.a, 4, 1, LSM_LOCK_EXCL), LSM_IOERR);
    CHECK_RC(shm_lock(t.shm, &t.a, 4, LSM_LOCK_SHARED), LSM_IOERR);
    CHECK(t.shm->exclusive_holders[4] == NULL && t.shm->shared_counts[4] == 0);
    three_close(&t);
}

TEST_MAIN()
