/*
** shm_header.c — what stands in chunk 0: two copies of tree header and snapshot, and the reader slots.
**
** FORMAT      see format_shm.h. The second copy is complete before the first is begun, so that at every
**             moment one of them is whole; checksums tell which.
** INVARIANTS  (H1) Every word of a copy is stored with release and loaded with acquire. Hence no store of
**                  copy 1 is seen before all of copy 2, and who has loaded a valid header sees everything
**                  its writer wrote before.
**             (H2) A slot's values change only under the slot's exclusive lock.
**             (H3) Nobody locks, unlocks or voids a slot which it holds for its own transaction.
** LOCKING     Copies: none for loading, the role's lock for storing (WRITER, WORKER). Slots: the mutex of
**             the region plus the slot's lock.
** ERRORS      LSM_PROTOCOL when no copy becomes valid; LSM_BUSY when no slot can be had.
*/
#include "base/checksum.h"
#include "format/format_checkpoint.h"
#include "shm/shm_internal.h"

#define LOAD_ROUNDS 10000
#define TREE_WORDS (sizeof(struct tree_header) / 8)

static_assert(sizeof(struct tree_header) % 8 == 0, "copied in words of 8 bytes");
static_assert(offsetof(struct shm_header, tree1) % 8 == 0, "words are aligned");
static_assert(offsetof(struct shm_header, tree2) % 8 == 0, "words are aligned");

/* ----------------------------------------------------------------------------- tree header -- */

/* The copies are touched through these words only, never through the fields. */
static uint64_t *tree_copy(struct shm *shm, int copy) {
    return (uint64_t *)(void *)(copy == 1 ? &shm->header->tree1 : &shm->header->tree2);
}

static void tree_words_load(const uint64_t *source, uint64_t words[TREE_WORDS]) {
    /* The checksum first: data newer than it do not match it. */
    for (size_t i = TREE_WORDS; i-- > 0;) words[i] = __atomic_load_n(&source[i], __ATOMIC_ACQUIRE);
}

static void tree_words_store(uint64_t *target, const uint64_t words[TREE_WORDS]) {
    for (size_t i = 0; i < TREE_WORDS; i++) __atomic_store_n(&target[i], words[i], __ATOMIC_RELEASE);
}

static struct checksum tree_words_sum(const uint64_t words[TREE_WORDS]) {
    uint32_t halves[36];
    memcpy(halves, words, sizeof halves);
    return checksum_tree_header(halves);
}

static bool tree_words_valid(const uint64_t words[TREE_WORDS]) {
    struct checksum sum = tree_words_sum(words);
    uint32_t stored[2];
    memcpy(stored, &words[TREE_WORDS - 1], sizeof stored);
    return sum.s0 == stored[0] && sum.s1 == stored[1];
}

int shm_load_tree(struct shm *shm, struct tree_header *out, int *copy) {
    uint64_t words[TREE_WORDS];

    for (int round = 0; round < LOAD_ROUNDS; round++) {
        for (int i = 1; i <= 2; i++) {
            tree_words_load(tree_copy(shm, i), words);
            if (!tree_words_valid(words)) continue;
            memcpy(out, words, sizeof *out);
            if (copy) *copy = i;
            return LSM_OK;
        }
    }
    return LSM_PROTOCOL;
}

bool shm_tree_unchanged(struct shm *shm, const struct tree_header *header) {
    uint64_t words[TREE_WORDS];

    tree_words_load(tree_copy(shm, 1), words);
    return memcmp(words, header, sizeof *header) == 0;
}

bool shm_tree_settled(struct shm *shm, const struct tree_header *header) {
    /* The holder of WRITER looks: nobody stores meanwhile. */
    return __atomic_load_n(&shm->header->writer_flag, __ATOMIC_RELAXED) == 0 &&
           memcmp(&shm->header->tree1, header, sizeof *header) == 0 &&
           memcmp(&shm->header->tree2, header, sizeof *header) == 0;
}

bool shm_tree_current(struct shm *shm, const struct tree_header *header, int copy) {
    uint64_t stored = __atomic_load_n(&tree_copy(shm, copy)[TREE_WORDS - 1], __ATOMIC_ACQUIRE);

    assert(copy == 1 || copy == 2);
    return memcmp(&stored, &header->checksum0, sizeof stored) == 0;
}

void shm_publish_tree(struct shm *shm, struct tree_header *header) {
    uint64_t words[TREE_WORDS];
    struct checksum sum;

    memcpy(words, header, sizeof words);
    sum = tree_words_sum(words);
    header->checksum0 = sum.s0;
    header->checksum1 = sum.s1;
    memcpy(words, header, sizeof words);
    tree_words_store(tree_copy(shm, 2), words);
    tree_words_store(tree_copy(shm, 1), words);
    __atomic_store_n(&shm->header->writer_flag, 0, __ATOMIC_RELEASE);
}

void shm_mend_tree(struct shm *shm) {
    uint64_t first[TREE_WORDS];
    uint64_t second[TREE_WORDS];

    tree_words_load(tree_copy(shm, 1), first);
    tree_words_load(tree_copy(shm, 2), second);
    if (memcmp(first, second, sizeof first) == 0) return;
    if (tree_words_valid(first)) {
        tree_words_store(tree_copy(shm, 2), first);
    } else {
        tree_words_store(tree_copy(shm, 1), second);
    }
}

/* -------------------------------------------------------------------------------- snapshot -- */

static uint32_t *snapshot_copy_words(struct shm *shm, int copy) {
    return copy == 1 ? shm->header->snapshot1 : shm->header->snapshot2;
}

/* Copy one out; false if it is not whole. */
static bool snapshot_words_load(struct shm *shm, int copy, uint32_t *words, uint32_t *word_count) {
    const uint32_t *source = snapshot_copy_words(shm, copy);
    uint32_t count = __atomic_load_n(&source[2], __ATOMIC_ACQUIRE);
    uint32_t checked = 0;

    if (count < 3 || count > CHECKPOINT_WORDS_MAX) return false;
    for (uint32_t i = 0; i < count; i++) words[i] = __atomic_load_n(&source[i], __ATOMIC_ACQUIRE);
    /* The count may have changed under our feet: then words behind the copied ones would be summed. */
    if (words[2] != count || !checkpoint_words_valid(words, &checked)) return false;
    *word_count = checked;
    return true;
}

static void snapshot_words_store(struct shm *shm, int copy, const uint32_t *words,
                                 uint32_t word_count) {
    uint32_t *target = snapshot_copy_words(shm, copy);
    for (uint32_t i = 0; i < word_count; i++) __atomic_store_n(&target[i], words[i], __ATOMIC_RELEASE);
}

int shm_load_snapshot(struct shm *shm, uint32_t *words, uint32_t *word_count) {
    for (int round = 0; round < LOAD_ROUNDS; round++) {
        if (snapshot_words_load(shm, 1, words, word_count)) return LSM_OK;
        if (snapshot_words_load(shm, 2, words, word_count)) return LSM_OK;
    }
    return LSM_PROTOCOL;
}

int64_t shm_snapshot_id(struct shm *shm) {
    const uint32_t *words = snapshot_copy_words(shm, 1);
    uint64_t high = __atomic_load_n(&words[0], __ATOMIC_ACQUIRE);
    return (int64_t)((high << 32) | __atomic_load_n(&words[1], __ATOMIC_ACQUIRE));
}

void shm_publish_snapshot(struct shm *shm, const uint32_t *words, uint32_t word_count) {
    assert(word_count <= CHECKPOINT_WORDS_MAX);
    snapshot_words_store(shm, 2, words, word_count);
    snapshot_words_store(shm, 1, words, word_count);
}

int shm_mend_snapshot(struct shm *shm) {
    uint32_t first[CHECKPOINT_WORDS_MAX];
    uint32_t second[CHECKPOINT_WORDS_MAX];
    uint32_t first_count = 0;
    uint32_t second_count = 0;
    bool first_valid = snapshot_words_load(shm, 1, first, &first_count);
    bool second_valid = snapshot_words_load(shm, 2, second, &second_count);

    if (!first_valid && !second_valid) return LSM_PROTOCOL;
    if (!first_valid) {
        snapshot_words_store(shm, 1, second, second_count);
    } else if (!second_valid || first_count != second_count ||
               memcmp(first, second, first_count * sizeof *first) != 0) {
        snapshot_words_store(shm, 2, first, first_count);
    }
    return LSM_OK;
}

/* ---------------------------------------------------------------------------- reader slots -- */

/* What a slot says: only a hint unless its lock is held. */
static struct reader_slot slot_load(struct shm *shm, int slot) {
    struct reader_slot *at = &shm->header->readers[slot];
    struct reader_slot value = {0};
    value.tree_id = __atomic_load_n(&at->tree_id, __ATOMIC_ACQUIRE);
    value.snapshot_id = __atomic_load_n(&at->snapshot_id, __ATOMIC_ACQUIRE);
    return value;
}

static void slot_store(struct shm *shm, int slot, uint32_t tree_id, int64_t snapshot_id) {
    struct reader_slot *at = &shm->header->readers[slot];
    __atomic_store_n(&at->tree_id, tree_id, __ATOMIC_RELEASE);
    __atomic_store_n(&at->snapshot_id, snapshot_id, __ATOMIC_RELEASE);
}

static bool slot_is_own(const struct shm_locks *locks, int slot) {
    return ((locks->shared | locks->exclusive) >> (LOCK_READER0 + slot)) & 1;
}

static bool slot_is(struct shm *shm, int slot, uint32_t tree_id, int64_t snapshot_id) {
    struct reader_slot value = slot_load(shm, slot);
    return value.tree_id == tree_id && value.snapshot_id == snapshot_id;
}

/* Share the slot if, with the lock, it still says what it said before; LSM_BUSY and no lock otherwise. */
static int slot_share(struct shm *shm, struct shm_locks *locks, int slot, struct reader_slot seen) {
    int rc = shm_lock_entered(shm, locks, LOCK_READER0 + slot, LSM_LOCK_SHARED);

    if (rc != LSM_OK) return rc;
    if (slot_is(shm, slot, seen.tree_id, seen.snapshot_id)) return LSM_OK;
    shm_unlock_entered(shm, locks, LOCK_READER0 + slot);
    return LSM_BUSY;
}

static int acquire_exact(struct shm *shm, struct shm_locks *locks, struct reader_slot wanted,
                         int *slot) {
    int rc = LSM_BUSY;

    for (int i = 0; i < SHM_READER_SLOTS && rc == LSM_BUSY; i++) {
        if (slot_is_own(locks, i) || !slot_is(shm, i, wanted.tree_id, wanted.snapshot_id)) continue;
        rc = slot_share(shm, locks, i, wanted);
        if (rc == LSM_OK) *slot = i;
    }
    return rc;
}

static int acquire_claimed(struct shm *shm, struct shm_locks *locks, struct reader_slot wanted,
                           int *slot) {
    int rc = LSM_BUSY;

    for (int i = 0; i < SHM_READER_SLOTS && rc == LSM_BUSY; i++) {
        if (slot_is_own(locks, i)) continue;
        rc = shm_lock_entered(shm, locks, LOCK_READER0 + i, LSM_LOCK_EXCL);
        if (rc != LSM_OK) continue;
        slot_store(shm, i, wanted.tree_id, wanted.snapshot_id);
        rc = shm_lock_entered(shm, locks, LOCK_READER0 + i, LSM_LOCK_SHARED);
        if (rc == LSM_OK) *slot = i;
        else shm_unlock_entered(shm, locks, LOCK_READER0 + i);
    }
    return rc;
}

/* Does a slot with these values protect what is wanted? */
static bool slot_covers(struct reader_slot value, struct reader_slot wanted, uint32_t next_id) {
    return value.snapshot_id != 0 && value.snapshot_id <= wanted.snapshot_id &&
           chunk_id_at_or_after(wanted.tree_id, value.tree_id) &&
           (uint32_t)(next_id - value.tree_id) <= 1u << 30;
}

static bool slot_is_newer(struct reader_slot a, struct reader_slot b) {
    if (a.snapshot_id != b.snapshot_id) return a.snapshot_id > b.snapshot_id;
    return a.tree_id != b.tree_id && chunk_id_at_or_after(a.tree_id, b.tree_id);
}

/* The newest that will do: an older one would hold back the reuse of more chunks and blocks. */
static int acquire_borrowed(struct shm *shm, struct shm_locks *locks, struct reader_slot wanted,
                            uint32_t next_id, int *slot) {
    bool tried[SHM_READER_SLOTS] = {false};
    int rc = LSM_BUSY;

    while (rc == LSM_BUSY) {
        struct reader_slot best = {0};
        int best_index = -1;
        for (int i = 0; i < SHM_READER_SLOTS; i++) {
            struct reader_slot value = slot_load(shm, i);
            if (tried[i] || slot_is_own(locks, i) || !slot_covers(value, wanted, next_id)) continue;
            if (best_index >= 0 && !slot_is_newer(value, best)) continue;
            best = value;
            best_index = i;
        }
        if (best_index < 0) break;
        tried[best_index] = true;
        rc = slot_share(shm, locks, best_index, best);
        if (rc == LSM_OK) *slot = best_index;
    }
    return rc;
}

int shm_reader_acquire(struct shm *shm, struct shm_locks *locks, uint32_t tree_id, uint32_t next_id,
                       int64_t snapshot_id, int *slot) {
    struct reader_slot wanted = {.tree_id = tree_id, .snapshot_id = snapshot_id};
    int rc;

    assert(snapshot_id != 0);
    os_mutex_enter(shm->env, shm->mutex);
    rc = acquire_exact(shm, locks, wanted, slot);
    if (rc == LSM_BUSY) rc = acquire_claimed(shm, locks, wanted, slot);
    if (rc == LSM_BUSY) rc = acquire_borrowed(shm, locks, wanted, next_id, slot);
    os_mutex_leave(shm->env, shm->mutex);
    return rc;
}

void shm_reader_release(struct shm *shm, struct shm_locks *locks, int slot) {
    if (slot < 0) return;
    assert(slot < SHM_READER_SLOTS);
    shm_unlock(shm, locks, LOCK_READER0 + slot);
}

void shm_reader_offer(struct shm *shm, struct shm_locks *locks, uint32_t tree_id,
                      int64_t snapshot_id) {
    bool present = false;

    os_mutex_enter(shm->env, shm->mutex);
    for (int i = 0; i < SHM_READER_SLOTS; i++) {
        if (slot_is(shm, i, tree_id, snapshot_id)) present = true;
    }
    for (int i = 0; i < SHM_READER_SLOTS && !present; i++) {
        if (slot_is_own(locks, i)) continue;
        if (shm_lock_entered(shm, locks, LOCK_READER0 + i, LSM_LOCK_EXCL) != LSM_OK) continue;
        slot_store(shm, i, tree_id, snapshot_id);
        shm_unlock_entered(shm, locks, LOCK_READER0 + i);
        present = true;
    }
    os_mutex_leave(shm->env, shm->mutex);
}

/* Void the slot if nobody holds it and return true; false if somebody does, or if that cannot be told. */
static bool slot_void_if_free(struct shm *shm, struct shm_locks *locks, int slot) {
    if (slot_is_own(locks, slot)) return false;
    if (shm_lock_entered(shm, locks, LOCK_READER0 + slot, LSM_LOCK_EXCL) != LSM_OK) return false;
    slot_store(shm, slot, slot_load(shm, slot).tree_id, 0);
    shm_unlock_entered(shm, locks, LOCK_READER0 + slot);
    return true;
}

bool shm_chunk_unused(struct shm *shm, struct shm_locks *locks, uint32_t chunk_id) {
    bool unused = true;

    os_mutex_enter(shm->env, shm->mutex);
    for (int i = 0; i < SHM_READER_SLOTS && unused; i++) {
        struct reader_slot value = slot_load(shm, i);
        if (value.snapshot_id == 0 || !chunk_id_at_or_after(chunk_id, value.tree_id)) continue;
        unused = slot_void_if_free(shm, locks, i);
    }
    os_mutex_leave(shm->env, shm->mutex);
    return unused;
}

int64_t shm_oldest_snapshot(struct shm *shm, struct shm_locks *locks, int64_t limit) {
    int64_t oldest = INT64_MAX;

    os_mutex_enter(shm->env, shm->mutex);
    for (int i = 0; i < SHM_READER_SLOTS; i++) {
        int64_t id = slot_load(shm, i).snapshot_id;
        bool free;
        if (id == 0) continue;
        if (id < limit) {
            free = slot_void_if_free(shm, locks, i);
        } else {
            free = !slot_is_own(locks, i) &&
                   shm_test_entered(shm, locks, LOCK_READER0 + i, 1, LSM_LOCK_EXCL) == LSM_OK;
        }
        if (!free && id < oldest) oldest = id;
    }
    os_mutex_leave(shm->env, shm->mutex);
    return oldest;
}
