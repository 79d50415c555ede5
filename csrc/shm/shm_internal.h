/*
** shm_internal.h — what the files of this room share: the backing, and locking inside the mutex.
*/
#ifndef LSM_SHM_INTERNAL_H
#define LSM_SHM_INTERNAL_H

#include "shm/shm.h"

/* Where the region lives. The lock functions reach other processes; NULL when there can be none. They are
** called with the mutex held and only when the state of this process as a whole changes: `lock` for the
** first sharer, an exclusive holder or a downgrade, `unlock` after the last. */
struct shm_backing {
    /* Make chunk `chunk_no`, zero-filled if it is new to the region. */
    int (*chunk_open)(struct shm *shm, uint32_t chunk_no, uint8_t **out);
    void (*chunk_close)(struct shm *shm, uint8_t *chunk);
    int (*lock)(struct shm *shm, int lock_no, int operation);
    void (*unlock)(struct shm *shm, int lock_no);
    int (*test)(struct shm *shm, int lock_no, int count, int operation);
};

/* Open with chunk 0 from `backing`, which must outlive the region. */
LSM_MUST_USE int shm_open_backing(lsm_env *env, const struct shm_backing *backing, struct shm **out);

/* The bodies of shm_lock, shm_unlock and shm_test_lock; the caller is inside the mutex. */
LSM_MUST_USE int shm_lock_entered(struct shm *shm, struct shm_locks *locks, int lock_no, int operation);
void shm_unlock_entered(struct shm *shm, struct shm_locks *locks, int lock_no);
LSM_MUST_USE int shm_test_entered(struct shm *shm, struct shm_locks *locks, int lock_no, int count,
                                  int operation);

#endif
