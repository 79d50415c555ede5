/*
** shm.h — the region that all connections of a database share: chunks, header, locks, reader slots.
**
** While one process owns the database the chunks are private memory (shm_open_private); the layout is that
** of format_shm.h all the same, so sharing it with other processes later changes nothing above this room.
**
** LOCKING     The functions are thread-safe. Lock numbers, meanings and who may change what:
**             format_shm.h. Nothing waits: a conflict is LSM_BUSY.
** COST        Private: one mutex section for each lock, slot taken or slot given back; no system call.
*/
#ifndef LSM_SHM_H
#define LSM_SHM_H

#include "base/error.h"
#include "format/format_shm.h"
#include "os/os.h"

/* Which locks one connection holds: bit n for lock n. */
struct shm_locks {
    struct shm_locks *next;
    uint64_t shared;
    uint64_t exclusive;
    uint64_t thread_id;            /* of the thread that took WRITER last; to notice waiting for oneself */
};

struct shm_backing; /* where chunks come from, and who else holds locks: shm_internal.h */

struct shm {
    lsm_env *env;
    lsm_mutex *mutex;              /* guards growth, lock book-keeping and the list of holders */
    uint8_t *_Atomic *_Atomic chunks; /* table of chunk addresses; replaced when it grows, old tables stay */
    _Atomic uint32_t chunk_count;  /* chunks present, including chunk 0 */
    uint32_t chunk_limit;          /* shm_ensure goes no further; SHM_CHUNKS_MAX, or less for tests */
    uint32_t table_capacity;
    void *old_tables;              /* freed at close */
    struct shm_locks *holders;     /* list of connections */
    struct shm_header *header;     /* chunk 0 */
    const struct shm_backing *backing;
    uint32_t shared_counts[LOCK_COUNT];              /* connections that share each lock */
    struct shm_locks *exclusive_holders[LOCK_COUNT]; /* the one that has it alone, or NULL */
};

LSM_MUST_USE int shm_open_private(lsm_env *env, struct shm **out);
void shm_close(struct shm *shm); /* NULL is accepted */

/* Make chunks 0..count-1 exist (new ones zero-filled). LSM_FULL beyond `chunk_limit`; chunks made before a
** failure stay. */
LSM_MUST_USE int shm_ensure(struct shm *shm, uint32_t count);

/* The table, to be read by a transaction that has checked that its chunks exist. Old tables keep the
** addresses they had. */
static inline uint8_t *_Atomic *shm_table(struct shm *shm) {
    return shm->chunks;
}

/* `locks` enters the list of connections and must stay where it is until shm_detach. */
void shm_attach(struct shm *shm, struct shm_locks *locks);
void shm_detach(struct shm *shm, struct shm_locks *locks); /* releases everything still held */

/* LSM_LOCK_UNLOCK, _SHARED, _EXCL; up- and downgrades are atomic. LSM_BUSY changes nothing. */
LSM_MUST_USE int shm_lock(struct shm *shm, struct shm_locks *locks, int lock_no, int operation);
void shm_unlock(struct shm *shm, struct shm_locks *locks, int lock_no);
/* Could locks lock_no .. lock_no+count-1, every one of them, be taken? What `locks` holds is no obstacle. */
LSM_MUST_USE int shm_test_lock(struct shm *shm, struct shm_locks *locks, int lock_no, int count,
                               int operation);
/* Does a connection used by the calling thread hold `lock_no` exclusively? */
bool shm_lock_held_by_thread(struct shm *shm, int lock_no, uint64_t thread_id);

/* --- tree header, two copies with checksum --- */
/* The newest header; *copy (if not NULL) = 1 or 2, the copy it came from. LSM_PROTOCOL if neither is ever
** valid. The chunks it names need not exist yet: shm_ensure(chunk_count). */
LSM_MUST_USE int shm_load_tree(struct shm *shm, struct tree_header *out, int *copy);
bool shm_tree_unchanged(struct shm *shm, const struct tree_header *header); /* copy 1, all bytes */
/* Do both copies equal `header`, and did no writer die? Then there is nothing to mend. WRITER held. */
bool shm_tree_settled(struct shm *shm, const struct tree_header *header);
/* Has that copy still the checksum of `header`? For the second look of a reader that has taken its slot. */
bool shm_tree_current(struct shm *shm, const struct tree_header *header, int copy);
/* Set the checksum, store copy 2, copy 1, and then writer flag 0. WRITER held. */
void shm_publish_tree(struct shm *shm, struct tree_header *header);
/* If the copies differ: a valid copy 1 overwrites copy 2, else copy 2 overwrites copy 1. WRITER held. */
void shm_mend_tree(struct shm *shm);

/* --- snapshot copies: words in host order; LSM_PROTOCOL if neither is valid --- */
LSM_MUST_USE int shm_load_snapshot(struct shm *shm, uint32_t *words /* CHECKPOINT_WORDS_MAX */,
                                   uint32_t *word_count);
int64_t shm_snapshot_id(struct shm *shm); /* of copy 1, unchecked: to see whether a cached one is current */
void shm_publish_snapshot(struct shm *shm, const uint32_t *words, uint32_t word_count); /* WORKER held */
LSM_MUST_USE int shm_mend_snapshot(struct shm *shm);                                    /* WORKER held */

/* --- reader slots --- */
/* Take a slot that protects (tree_id, snapshot_id): exact, else claimed, else the newest usable older one.
** next_id is the header's, for sequence comparison. LSM_BUSY if none. Never touches a slot held already, so
** that a connection may take its next slot before it gives up the present one. */
LSM_MUST_USE int shm_reader_acquire(struct shm *shm, struct shm_locks *locks, uint32_t tree_id,
                                    uint32_t next_id, int64_t snapshot_id, int *slot);
void shm_reader_release(struct shm *shm, struct shm_locks *locks, int slot); /* negative: nothing */
/* Leave values for the next reader in a free slot, unless some slot has them. */
void shm_reader_offer(struct shm *shm, struct shm_locks *locks, uint32_t tree_id, int64_t snapshot_id);
/* May the chunk with this id be recycled? True unless a locked slot's tree id is at or before it. Voids
** unlocked slots of that age: nobody can match them any more. */
bool shm_chunk_unused(struct shm *shm, struct shm_locks *locks, uint32_t chunk_id);
/* Least snapshot id of all locked slots, or INT64_MAX; voids unlocked slots below `limit`. */
int64_t shm_oldest_snapshot(struct shm *shm, struct shm_locks *locks, int64_t limit);

#endif
