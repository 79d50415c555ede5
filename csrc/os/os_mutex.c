/*
** os_mutex.c — mutexes of the default environment, and the static ones that need no environment.
**
** INVARIANTS  (I1) Dynamic mutexes are recursive: programs rely on it. Static ones are not.
**             (I2) Static mutexes need no set-up and are never destroyed.
** ERRORS      Entering and leaving cannot fail but by misuse, which is asserted.
*/
#include "os/os_internal.h"

#include "base/memory.h"

#define STATIC_ID_COUNT 2 /* LSM_MUTEX_GLOBAL, LSM_MUTEX_HEAP */

#ifdef _WIN32

struct lsm_mutex {
    lsm_env *env;
    bool recursive;           /* which of the two below is in use */
    CRITICAL_SECTION section; /* dynamic */
    SRWLOCK lock;             /* static: all zero is ready to use */
};

static struct lsm_mutex env_statics[STATIC_ID_COUNT];
static SRWLOCK statics[OS_STATIC_SLOT_COUNT]; /* SRWLOCK_INIT is all zero */

static int mutex_init(struct lsm_mutex *mutex) {
    mutex->recursive = true;
    return InitializeCriticalSectionAndSpinCount(&mutex->section, 100) ? LSM_OK : LSM_NOMEM;
}

void os_default_mutex_free(lsm_mutex *mutex) {
    if (!mutex->recursive) return;
    DeleteCriticalSection(&mutex->section);
    memory_free(mutex->env, mutex);
}

void os_default_mutex_enter(lsm_mutex *mutex) {
    if (mutex->recursive) EnterCriticalSection(&mutex->section);
    else AcquireSRWLockExclusive(&mutex->lock);
}

int os_default_mutex_try(lsm_mutex *mutex) {
    if (mutex->recursive) return TryEnterCriticalSection(&mutex->section) != 0;
    return TryAcquireSRWLockExclusive(&mutex->lock) != 0;
}

void os_default_mutex_leave(lsm_mutex *mutex) {
    if (mutex->recursive) LeaveCriticalSection(&mutex->section);
    else ReleaseSRWLockExclusive(&mutex->lock);
}

void os_static_enter(int slot) {
    assert(slot >= 0 && slot < OS_STATIC_SLOT_COUNT);
    AcquireSRWLockExclusive(&statics[slot]);
}

void os_static_leave(int slot) {
    assert(slot >= 0 && slot < OS_STATIC_SLOT_COUNT);
    ReleaseSRWLockExclusive(&statics[slot]);
}

#else

#include <pthread.h>

struct lsm_mutex {
    lsm_env *env; /* NULL for a static one */
    pthread_mutex_t mutex;
};

static struct lsm_mutex env_statics[STATIC_ID_COUNT] = {
    {NULL, PTHREAD_MUTEX_INITIALIZER},
    {NULL, PTHREAD_MUTEX_INITIALIZER},
};

static pthread_mutex_t statics[OS_STATIC_SLOT_COUNT] = {
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
};

static int mutex_init(struct lsm_mutex *mutex) {
    pthread_mutexattr_t attributes;
    int rc = LSM_OK;

    if (pthread_mutexattr_init(&attributes) != 0) return LSM_NOMEM;
    if (pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE) != 0 ||
        pthread_mutex_init(&mutex->mutex, &attributes) != 0) {
        rc = LSM_NOMEM;
    }
    (void)pthread_mutexattr_destroy(&attributes);
    return rc;
}

/* Used where the only failures are our own mistakes: not held, destroyed, never initialised. */
static void must_be_zero(int result) {
    assert(result == 0);
    (void)result;
}

void os_default_mutex_free(lsm_mutex *mutex) {
    if (!mutex->env) return;
    must_be_zero(pthread_mutex_destroy(&mutex->mutex));
    memory_free(mutex->env, mutex);
}

void os_default_mutex_enter(lsm_mutex *mutex) {
    must_be_zero(pthread_mutex_lock(&mutex->mutex));
}

int os_default_mutex_try(lsm_mutex *mutex) {
    return pthread_mutex_trylock(&mutex->mutex) == 0;
}

void os_default_mutex_leave(lsm_mutex *mutex) {
    must_be_zero(pthread_mutex_unlock(&mutex->mutex));
}

void os_static_enter(int slot) {
    assert(slot >= 0 && slot < OS_STATIC_SLOT_COUNT);
    must_be_zero(pthread_mutex_lock(&statics[slot]));
}

void os_static_leave(int slot) {
    assert(slot >= 0 && slot < OS_STATIC_SLOT_COUNT);
    must_be_zero(pthread_mutex_unlock(&statics[slot]));
}

#endif

int os_default_mutex_static(lsm_env *env, int id, lsm_mutex **out) {
    (void)env;
    if (id < LSM_MUTEX_GLOBAL || id > LSM_MUTEX_HEAP) return LSM_MISUSE;
    *out = &env_statics[id - LSM_MUTEX_GLOBAL];
    return LSM_OK;
}

int os_default_mutex_new(lsm_env *env, lsm_mutex **out) {
    struct lsm_mutex *mutex = memory_allocate_zero(env, sizeof *mutex);
    int rc;

    if (!mutex) return LSM_NOMEM;
    mutex->env = env;
    rc = mutex_init(mutex);
    if (rc != LSM_OK) {
        memory_free(env, mutex);
        return rc;
    }
    *out = mutex;
    return LSM_OK;
}
