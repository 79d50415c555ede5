/*
** shm_lock.c — which connection holds which lock.
**
** Locks on a file belong to a process, so the connections of one process are told apart by these books. The
** backing is asked only when what the process as a whole holds changes.
**
** INVARIANTS  (L1) exclusive_holders[n] != NULL: that connection alone holds n, and shared_counts[n] is 0.
**             (L2) A connection has at most one of its two bits for n.
**             (L3) The backing has n locked exclusively under L1, shared if shared_counts[n] > 0, else not.
** LOCKING     The mutex of the region around everything.
** ERRORS      LSM_BUSY, or what the backing says; the books are changed only after it has agreed.
*/
#include "shm/shm_internal.h"

static uint64_t lock_bit(int lock_no) {
    assert(lock_no > 0 && lock_no < LOCK_COUNT);
    return (uint64_t)1 << lock_no;
}

void shm_attach(struct shm *shm, struct shm_locks *locks) {
    os_mutex_enter(shm->env, shm->mutex);
    *locks = (struct shm_locks){.next = shm->holders};
    shm->holders = locks;
    os_mutex_leave(shm->env, shm->mutex);
}

void shm_detach(struct shm *shm, struct shm_locks *locks) {
    struct shm_locks **link;

    os_mutex_enter(shm->env, shm->mutex);
    for (int lock_no = 1; lock_no < LOCK_COUNT; lock_no++) shm_unlock_entered(shm, locks, lock_no);
    for (link = &shm->holders; *link != NULL; link = &(*link)->next) {
        if (*link == locks) {
            *link = locks->next;
            locks->next = NULL;
            break;
        }
    }
    os_mutex_leave(shm->env, shm->mutex);
}

/* Could `locks` have lock_no in this mode, as far as the other connections of the process go? */
static bool books_allow(const struct shm *shm, const struct shm_locks *locks, int lock_no,
                        int operation) {
    const struct shm_locks *holder = shm->exclusive_holders[lock_no];
    uint32_t own = locks->shared & lock_bit(lock_no) ? 1 : 0;

    if (holder != NULL && holder != locks) return false;
    return operation != LSM_LOCK_EXCL || shm->shared_counts[lock_no] == own;
}

static int ask_backing(struct shm *shm, int lock_no, int operation) {
    return shm->backing->lock ? shm->backing->lock(shm, lock_no, operation) : LSM_OK;
}

static int lock_shared(struct shm *shm, struct shm_locks *locks, int lock_no) {
    uint64_t bit = lock_bit(lock_no);
    int rc = LSM_OK;

    if (locks->shared & bit) return LSM_OK;
    if (!books_allow(shm, locks, lock_no, LSM_LOCK_SHARED)) return LSM_BUSY;
    if (shm->shared_counts[lock_no] == 0) rc = ask_backing(shm, lock_no, LSM_LOCK_SHARED);
    if (rc != LSM_OK) return rc;
    if (locks->exclusive & bit) { /* downgrade: L1, L2 */
        locks->exclusive &= ~bit;
        shm->exclusive_holders[lock_no] = NULL;
    }
    locks->shared |= bit;
    shm->shared_counts[lock_no]++;
    return LSM_OK;
}

static int lock_exclusive(struct shm *shm, struct shm_locks *locks, int lock_no) {
    uint64_t bit = lock_bit(lock_no);
    int rc;

    if (locks->exclusive & bit) return LSM_OK;
    if (!books_allow(shm, locks, lock_no, LSM_LOCK_EXCL)) return LSM_BUSY;
    rc = ask_backing(shm, lock_no, LSM_LOCK_EXCL);
    if (rc != LSM_OK) return rc;
    if (locks->shared & bit) {
        locks->shared &= ~bit;
        shm->shared_counts[lock_no]--;
    }
    locks->exclusive |= bit;
    shm->exclusive_holders[lock_no] = locks;
    if (lock_no == LOCK_WRITER) locks->thread_id = os_thread_id();
    return LSM_OK;
}

int shm_lock_entered(struct shm *shm, struct shm_locks *locks, int lock_no, int operation) {
    switch (operation) {
    case LSM_LOCK_SHARED: return lock_shared(shm, locks, lock_no);
    case LSM_LOCK_EXCL: return lock_exclusive(shm, locks, lock_no);
    default:
        assert(operation == LSM_LOCK_UNLOCK);
        shm_unlock_entered(shm, locks, lock_no);
        return LSM_OK;
    }
}

void shm_unlock_entered(struct shm *shm, struct shm_locks *locks, int lock_no) {
    uint64_t bit = lock_bit(lock_no);

    if (locks->shared & bit) {
        locks->shared &= ~bit;
        shm->shared_counts[lock_no]--;
    } else if (locks->exclusive & bit) {
        locks->exclusive &= ~bit;
        shm->exclusive_holders[lock_no] = NULL;
    } else {
        return;
    }
    if (shm->shared_counts[lock_no] == 0 && shm->backing->unlock != NULL) {
        shm->backing->unlock(shm, lock_no);
    }
}

int shm_test_entered(struct shm *shm, struct shm_locks *locks, int lock_no, int count,
                     int operation) {
    /* Every lock of the range: looking at the first one alone lets a client be overlooked. */
    for (int i = 0; i < count; i++) {
        if (!books_allow(shm, locks, lock_no + i, operation)) return LSM_BUSY;
    }
    return shm->backing->test ? shm->backing->test(shm, lock_no, count, operation) : LSM_OK;
}

int shm_lock(struct shm *shm, struct shm_locks *locks, int lock_no, int operation) {
    int rc;

    os_mutex_enter(shm->env, shm->mutex);
    rc = shm_lock_entered(shm, locks, lock_no, operation);
    os_mutex_leave(shm->env, shm->mutex);
    return rc;
}

void shm_unlock(struct shm *shm, struct shm_locks *locks, int lock_no) {
    os_mutex_enter(shm->env, shm->mutex);
    shm_unlock_entered(shm, locks, lock_no);
    os_mutex_leave(shm->env, shm->mutex);
}

int shm_test_lock(struct shm *shm, struct shm_locks *locks, int lock_no, int count, int operation) {
    int rc;

    assert(lock_no > 0 && count > 0 && lock_no + count <= LOCK_COUNT);
    assert(operation == LSM_LOCK_SHARED || operation == LSM_LOCK_EXCL);
    os_mutex_enter(shm->env, shm->mutex);
    rc = shm_test_entered(shm, locks, lock_no, count, operation);
    os_mutex_leave(shm->env, shm->mutex);
    return rc;
}

bool shm_lock_held_by_thread(struct shm *shm, int lock_no, uint64_t thread_id) {
    const struct shm_locks *holder;
    bool held;

    assert(lock_no > 0 && lock_no < LOCK_COUNT);
    os_mutex_enter(shm->env, shm->mutex);
    holder = shm->exclusive_holders[lock_no];
    held = holder != NULL && holder->thread_id == thread_id;
    os_mutex_leave(shm->env, shm->mutex);
    return held;
}
