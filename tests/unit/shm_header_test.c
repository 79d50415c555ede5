#include "base/checksum.h"
#include "format/format_checkpoint.h"
#include "shm/shm_internal.h"
#include "support/memtree_fixture.h"

/* Three connections besides the fixture's own. */
static void attach_all(struct fixture *f, struct shm_locks *locks, int count) {
    fixture_open(f, 1);
    for (int i = 0; i < count; i++) shm_attach(f->shm, &locks[i]);
}
static void detach_all(struct fixture *f, struct shm_locks *locks, int count) {
    for (int i = 0; i < count; i++) shm_detach(f->shm, &locks[i]);
    fixture_close(f);
}

static void put_slot(struct fixture *f, int slot, uint32_t tree_id, int64_t snapshot_id) {
    f->shm->header->readers[slot].tree_id = tree_id;
    f->shm->header->readers[slot].snapshot_id = snapshot_id;
}

TEST(a_fresh_region_has_the_header_of_the_specification) {
    struct fixture f;
    const uint8_t *bytes;
    uint32_t word;

    fixture_open(&f, 1);
    bytes = shm_table(f.shm)[0];
    for (int copy = 0; copy < 2; copy++) {
        static const uint32_t expected[9] = {1, 2, 1, 2, 0, 0, 0, 1, 32776};
        for (int i = 0; i < 36; i++) {
            memcpy(&word, bytes + 8200 + 152 * copy + 4 * i, 4);
            CHECK_EQ_UINT(word, i < 9 ? expected[i] : 0);
        }
        /* Sums by hand: c0 gets the even words, c1 after each pair c0 and the odd word. */
        memcpy(&word, bytes + 8200 + 152 * copy + 144, 4);
        CHECK_EQ_UINT(word, 0x12345678u + 1 + 1 + 0 + 0 + 32776);
    }
    memcpy(&word, bytes + 8192, 4);
    CHECK_EQ_UINT(word, 0);
    fixture_close(&f);
}

TEST(publishing_sets_the_checksum_in_both_copies_and_clears_the_writer_flag) {
    struct fixture f;
    struct tree_header loaded;
    int copy = 0;

    fixture_open(&f, 1);
    f.shm->header->writer_flag = 1;
    f.header.user_version = 77;
    CHECK(shm_tree_current(f.shm, &f.header, 1)); /* only the checksum is looked at */
    CHECK(!shm_tree_unchanged(f.shm, &f.header));
    shm_publish_tree(f.shm, &f.header);
    CHECK(shm_tree_unchanged(f.shm, &f.header));
    CHECK_EQ_UINT(f.shm->header->writer_flag, 0);
    CHECK_OK(shm_load_tree(f.shm, &loaded, &copy));
    CHECK_EQ_INT(copy, 1);
    CHECK_EQ_UINT(loaded.user_version, 77);
    CHECK_OK(shm_load_tree(f.shm, &loaded, NULL));
    CHECK_EQ_BYTES(&loaded, sizeof loaded, &f.header, sizeof f.header);
    CHECK_EQ_BYTES(&f.shm->header->tree1, 152, &f.shm->header->tree2, 152);
    fixture_close(&f);
}

TEST(a_header_is_settled_while_both_copies_equal_it_and_no_writer_died) {
    struct fixture f;
    struct tree_header other;

    fixture_open(&f, 1);
    CHECK(shm_tree_settled(f.shm, &f.header));
    other = f.header;
    other.user_version++;
    CHECK(!shm_tree_settled(f.shm, &other));
    f.shm->header->writer_flag = 1;
    CHECK(!shm_tree_settled(f.shm, &f.header));
    f.shm->header->writer_flag = 0;
    for (int copy = 1; copy <= 2; copy++) {
        uint8_t *bytes = (uint8_t *)(copy == 1 ? &f.shm->header->tree1 : &f.shm->header->tree2);
        for (size_t i = 0; i < 152; i++) {
            bytes[i] ^= 1;
            CHECK(!shm_tree_settled(f.shm, &f.header));
            bytes[i] ^= 1;
        }
    }
    CHECK(shm_tree_settled(f.shm, &f.header));
    fixture_close(&f);
}

/* DF-32 */
TEST(a_damaged_header_copy_is_passed_over_and_mended) {
    struct fixture f;
    struct tree_header loaded;
    int copy = 0;

    fixture_open(&f, 1);
    for (int damaged = 1; damaged <= 2; damaged++) {
        uint8_t *bytes = (uint8_t *)(damaged == 1 ? &f.shm->header->tree1 : &f.shm->header->tree2);
        for (size_t i = 0; i < 152; i++) {
            bytes[i] ^= 0x20;
            CHECK_OK(shm_load_tree(f.shm, &loaded, &copy));
            CHECK_EQ_INT(copy, damaged == 1 ? 2 : 1);
            CHECK_EQ_BYTES(&loaded, 152, &f.header, 152);
            CHECK_EQ_INT(shm_tree_unchanged(f.shm, &f.header), damaged == 2);
            CHECK(shm_tree_current(f.shm, &f.header, copy));
            shm_mend_tree(f.shm);
            CHECK(shm_tree_unchanged(f.shm, &f.header));
            CHECK_EQ_BYTES(&f.shm->header->tree1, 152, &f.shm->header->tree2, 152);
        }
    }
    memset(&f.shm->header->tree1, 0, 304);
    CHECK_RC(shm_load_tree(f.shm, &loaded, &copy), LSM_PROTOCOL);
    fixture_close(&f);
}

TEST(a_commit_that_reached_only_the_second_copy_is_undone_by_mending) {
    struct fixture f;
    struct tree_header next;

    fixture_open(&f, 1);
    next = f.header;
    next.user_version = 5;
    shm_publish_tree(f.shm, &next);
    memcpy(&f.shm->header->tree1, &f.header, sizeof f.header);
    shm_mend_tree(f.shm);
    CHECK(shm_tree_unchanged(f.shm, &f.header));
    CHECK_EQ_BYTES(&f.shm->header->tree2, 152, &f.header, 152);
    fixture_close(&f);
}

static uint32_t make_snapshot(uint32_t *words, uint64_t id) {
    static const uint32_t count = 25;
    struct checksum sum;
    memset(words, 0, CHECKPOINT_WORDS_MAX * sizeof *words);
    words[0] = (uint32_t)(id >> 32);
    words[1] = (uint32_t)id;
    words[2] = count;
    words[5] = 1048576;
    words[7] = 4096;
    sum = checksum_checkpoint(words, count - 2);
    words[count - 2] = sum.s0;
    words[count - 1] = sum.s1;
    return count;
}

TEST(snapshot_copies_are_published_loaded_and_mended) {
    struct fixture f;
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t loaded[CHECKPOINT_WORDS_MAX];
    uint32_t count, loaded_count = 0;

    fixture_open(&f, 1);
    CHECK_RC(shm_load_snapshot(f.shm, loaded, &loaded_count), LSM_PROTOCOL);
    CHECK_RC(shm_mend_snapshot(f.shm), LSM_PROTOCOL);
    count = make_snapshot(words, ((uint64_t)3 << 32) + 11);
    shm_publish_snapshot(f.shm, words, count);
    CHECK_EQ_INT(shm_snapshot_id(f.shm), ((int64_t)3 << 32) + 11);
    CHECK_OK(shm_load_snapshot(f.shm, loaded, &loaded_count));
    CHECK_EQ_BYTES(loaded, loaded_count * 4, words, count * 4);
    for (int damaged = 0; damaged < 2; damaged++) {
        uint32_t *copy = damaged == 0 ? f.shm->header->snapshot1 : f.shm->header->snapshot2;
        for (uint32_t i = 0; i < count; i++) {
            copy[i] += 0x01000001;
            CHECK_OK(shm_load_snapshot(f.shm, loaded, &loaded_count));
            CHECK_EQ_BYTES(loaded, loaded_count * 4, words, count * 4);
            CHECK_OK(shm_mend_snapshot(f.shm));
            CHECK_EQ_BYTES(f.shm->header->snapshot1, count * 4, words, count * 4);
            CHECK_EQ_BYTES(f.shm->header->snapshot2, count * 4, words, count * 4);
        }
    }
    /* Two valid copies: the first wins. */
    make_snapshot(f.shm->header->snapshot2, 99);
    CHECK_OK(shm_mend_snapshot(f.shm));
    CHECK_EQ_BYTES(f.shm->header->snapshot2, count * 4, words, count * 4);
    fixture_close(&f);
}

TEST(a_reader_takes_an_exact_slot_else_claims_one) {
    struct fixture f;
    struct shm_locks locks[2];
    int slot = -1;

    attach_all(&f, locks, 2);
    put_slot(&f, 2, 7, 30);
    CHECK_OK(shm_reader_acquire(f.shm, &locks[0], 7, 20, 30, &slot));
    CHECK_EQ_INT(slot, 2);
    CHECK_OK(shm_reader_acquire(f.shm, &locks[1], 7, 20, 30, &slot)); /* shared */
    CHECK_EQ_INT(slot, 2);
    CHECK_OK(shm_reader_acquire(f.shm, &locks[1], 8, 20, 31, &slot)); /* claimed; holds two now */
    CHECK_EQ_INT(slot, 0);
    CHECK_EQ_UINT(f.shm->header->readers[0].tree_id, 8);
    CHECK_EQ_INT(f.shm->header->readers[0].snapshot_id, 31);
    shm_reader_release(f.shm, &locks[1], 2);
    shm_reader_release(f.shm, &locks[1], 0);
    shm_reader_release(f.shm, &locks[1], -1);
    CHECK_EQ_UINT(locks[1].shared, 0);
    CHECK_EQ_INT(f.shm->header->readers[0].snapshot_id, 31); /* stays as a hint */
    detach_all(&f, locks, 2);
}

/* DF-36 */
TEST(a_reader_borrows_the_newest_slot_that_protects_enough) {
    struct fixture f;
    struct shm_locks locks[7];
    int slot = -1;

    attach_all(&f, locks, 7);
    for (int i = 0; i < 6; i++) {
        /* ids around the wrap of 2^32 */
        CHECK_OK(shm_reader_acquire(f.shm, &locks[i], 0xfffffffcu + (uint32_t)i, 10, 100 + i, &slot));
    }
    CHECK_OK(shm_reader_acquire(f.shm, &locks[6], 1, 10, 103, &slot)); /* slot 3 at most */
    CHECK_EQ_INT(f.shm->header->readers[slot].snapshot_id, 103);
    shm_reader_release(f.shm, &locks[6], slot);
    CHECK_OK(shm_reader_acquire(f.shm, &locks[6], 0xfffffffdu, 10, 200, &slot)); /* tree id limits */
    CHECK_EQ_INT(f.shm->header->readers[slot].snapshot_id, 101);
    shm_reader_release(f.shm, &locks[6], slot);
    CHECK_RC(shm_reader_acquire(f.shm, &locks[6], 1, 10, 99, &slot), LSM_BUSY);
    CHECK_RC(shm_reader_acquire(f.shm, &locks[6], 0xfffffffbu, 10, 200, &slot), LSM_BUSY);
    CHECK_EQ_UINT(locks[6].shared | locks[6].exclusive, 0); /* no lock is forgotten */
    detach_all(&f, locks, 7);
}

/* DF-31 */
TEST(all_slots_held_exclusively_by_others_means_busy) {
    struct fixture f;
    struct shm_locks locks[2];
    int slot = -7;

    attach_all(&f, locks, 2);
    for (int i = 0; i < 6; i++) {
        put_slot(&f, i, 1, 10);
        CHECK_OK(shm_lock(f.shm, &locks[0], LOCK_READER0 + i, LSM_LOCK_EXCL));
    }
    CHECK_RC(shm_reader_acquire(f.shm, &locks[1], 1, 5, 10, &slot), LSM_BUSY);
    CHECK_EQ_INT(slot, -7);
    CHECK_EQ_UINT(locks[1].shared, 0);
    detach_all(&f, locks, 2);
}

/* DF-30 */
TEST(an_offer_fills_a_free_slot_once_and_never_the_own_one) {
    struct fixture f;
    struct shm_locks locks[2];
    int slot = -1;

    attach_all(&f, locks, 2);
    CHECK_OK(shm_reader_acquire(f.shm, &locks[0], 1, 5, 10, &slot));
    CHECK_EQ_INT(slot, 0);
    shm_reader_offer(f.shm, &locks[0], 1, 10); /* present already */
    CHECK_EQ_INT(f.shm->header->readers[1].snapshot_id, 0);
    shm_reader_offer(f.shm, &locks[0], 2, 11);
    CHECK_EQ_INT(f.shm->header->readers[0].snapshot_id, 10);
    CHECK_EQ_INT(f.shm->header->readers[1].snapshot_id, 11);
    CHECK_EQ_UINT(locks[0].shared, 1u << LOCK_READER0); /* still ours, nothing else */
    CHECK_EQ_UINT(locks[0].exclusive, 0);
    detach_all(&f, locks, 2);
}

/* DF-37 */
TEST(a_chunk_is_in_use_only_by_locked_slots_at_or_before_its_id) {
    struct fixture f;
    struct shm_locks locks[2];
    int slot = -1;

    attach_all(&f, locks, 2);
    CHECK_OK(shm_reader_acquire(f.shm, &locks[0], 5, 20, 10, &slot));
    CHECK(shm_chunk_unused(f.shm, &locks[1], 4)); /* a reader of a newer version does not matter */
    CHECK(!shm_chunk_unused(f.shm, &locks[1], 5));
    CHECK(!shm_chunk_unused(f.shm, &locks[1], 9));
    CHECK(!shm_chunk_unused(f.shm, &locks[0], 9)); /* one's own slot counts and stays locked */
    CHECK_EQ_UINT(locks[0].shared, (uint64_t)1 << (LOCK_READER0 + slot));
    shm_reader_release(f.shm, &locks[0], slot);
    CHECK_EQ_INT(f.shm->header->readers[slot].snapshot_id, 10);
    CHECK(shm_chunk_unused(f.shm, &locks[1], 5));
    CHECK_EQ_INT(f.shm->header->readers[slot].snapshot_id, 0); /* void now */
    CHECK_EQ_UINT(locks[1].shared | locks[1].exclusive, 0);
    detach_all(&f, locks, 2);
}

TEST(the_oldest_snapshot_is_that_of_locked_slots_and_free_ones_below_the_limit_become_void) {
    struct fixture f;
    struct shm_locks locks[2];
    int slot = -1;

    attach_all(&f, locks, 2);
    CHECK_EQ_INT(shm_oldest_snapshot(f.shm, &locks[1], 100), INT64_MAX);
    CHECK_OK(shm_reader_acquire(f.shm, &locks[0], 1, 5, 12, &slot));
    put_slot(&f, 3, 1, 11);
    put_slot(&f, 4, 1, 50);
    CHECK_EQ_INT(shm_oldest_snapshot(f.shm, &locks[1], 40), 12);
    CHECK_EQ_INT(shm_oldest_snapshot(f.shm, &locks[0], 40), 12); /* its own counts, too */
    CHECK_EQ_INT(f.shm->header->readers[slot].snapshot_id, 12);
    CHECK_EQ_INT(f.shm->header->readers[3].snapshot_id, 0);
    CHECK_EQ_INT(f.shm->header->readers[4].snapshot_id, 50);
    detach_all(&f, locks, 2);
}

/* A slot whose values change between look and lock: the lock just taken must be given back. */
static struct fixture *changing;
static int change_lock(struct shm *shm, int lock_no, int operation) {
    (void)shm;
    if (operation == LSM_LOCK_EXCL) return LSM_BUSY;
    changing->shm->header->readers[lock_no - LOCK_READER0].snapshot_id = 9999;
    return LSM_OK;
}

/* DF-31 */
TEST(a_slot_that_changes_between_look_and_lock_is_given_back) {
    struct fixture f;
    struct shm_locks locks[1];
    struct shm_backing backing;
    const struct shm_backing *before;
    int slot = -1;

    attach_all(&f, locks, 1);
    changing = &f;
    before = f.shm->backing;
    backing = *before;
    backing.lock = change_lock;
    f.shm->backing = &backing;
    put_slot(&f, 1, 1, 10);
    put_slot(&f, 2, 1, 9);
    CHECK_RC(shm_reader_acquire(f.shm, &locks[0], 1, 5, 10, &slot), LSM_BUSY);
    CHECK_EQ_UINT(locks[0].shared | locks[0].exclusive, 0);
    f.shm->backing = before;
    detach_all(&f, locks, 1);
}

TEST_MAIN()
