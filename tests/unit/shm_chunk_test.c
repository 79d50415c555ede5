#include "support/memtree_fixture.h"

TEST(a_private_region_begins_with_a_zeroed_header_chunk) {
    lsm_env env = fixture_env();
    static const uint8_t zero[SHM_HEADER_SIZE];
    struct shm *shm = NULL;

    CHECK_OK(shm_open_private(&env, &shm));
    CHECK_EQ_UINT(shm->chunk_count, 1);
    CHECK_EQ_PTR((void *)shm->header, (void *)shm_table(shm)[0]);
    CHECK_EQ_BYTES(shm->header, sizeof *shm->header, zero, sizeof zero);
    shm_close(shm);
    shm_close(NULL);
}

TEST(chunks_keep_their_addresses_when_the_table_grows_and_old_tables_stay_readable) {
    lsm_env env = fixture_env();
    struct shm *shm = NULL;
    uint8_t *_Atomic *first_table;
    uint8_t *first_ten[10];

    CHECK_OK(shm_open_private(&env, &shm));
    CHECK_OK(shm_ensure(shm, 10));
    first_table = shm_table(shm);
    for (uint32_t i = 0; i < 10; i++) first_ten[i] = first_table[i];
    CHECK_OK(shm_ensure(shm, 1000));
    CHECK(shm_table(shm) != first_table);
    for (uint32_t i = 0; i < 10; i++) {
        CHECK_EQ_PTR((void *)shm_table(shm)[i], (void *)first_ten[i]);
        CHECK_EQ_PTR((void *)first_table[i], (void *)first_ten[i]);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t *chunk = shm_table(shm)[i];
        CHECK(chunk != NULL && chunk[0] == 0 && chunk[SHM_CHUNK_SIZE - 1] == 0);
    }
    CHECK_OK(shm_ensure(shm, 5)); /* does not shrink */
    CHECK_EQ_UINT(shm->chunk_count, 1000);
    shm_close(shm);
}

TEST(the_region_refuses_to_grow_beyond_its_limit) {
    lsm_env env = fixture_env();
    struct shm *shm = NULL;

    CHECK_OK(shm_open_private(&env, &shm));
    CHECK_EQ_UINT(shm->chunk_limit, 65535);
    CHECK_RC(shm_ensure(shm, SHM_CHUNKS_MAX + 1), LSM_FULL);
    CHECK_RC(shm_ensure(shm, UINT32_MAX), LSM_FULL);
    shm->chunk_limit = 7;
    CHECK_OK(shm_ensure(shm, 7));
    CHECK_RC(shm_ensure(shm, 8), LSM_FULL);
    CHECK_EQ_UINT(shm->chunk_count, 7);
    shm_close(shm);
}

TEST(a_failed_allocation_while_opening_or_growing_loses_nothing) {
    lsm_env env = fixture_env();
    struct shm *shm = NULL;
    long n = 0;

    for (;; n++) {
        int rc;
        allocations_left = n;
        rc = shm_open_private(&env, &shm);
        allocations_left = -1;
        if (rc == LSM_OK) break;
        CHECK_RC(rc, LSM_NOMEM);
        CHECK(shm == NULL);
    }
    CHECK(n >= 3);
    for (n = 0;; n++) {
        int rc;
        allocations_left = n;
        rc = shm_ensure(shm, 200);
        allocations_left = -1;
        if (rc == LSM_OK) break;
        CHECK_RC(rc, LSM_NOMEM);
    }
    CHECK_EQ_UINT(shm->chunk_count, 200);
    shm_close(shm);
}

TEST_MAIN()
