/*
** os_mutex_test.c — mutexes of the default environment, and the static ones.
*/
#include "support/test.h"

#include "base/memory.h"
#include "os/os.h"

static lsm_env *env(void) {
    return lsm_default_env();
}

struct attempt {
    lsm_mutex *mutex;
    int got;
};

static void try_it(void *context) {
    struct attempt *attempt = context;
    attempt->got = env()->xMutexTry(attempt->mutex);
    if (attempt->got) env()->xMutexLeave(attempt->mutex);
}

/* Is the mutex free, as another thread sees it? */
static bool is_free(lsm_mutex *mutex) {
    struct attempt attempt = {mutex, -1};
    struct os_thread *thread = NULL;
    CHECK_OK(os_thread_start(env(), try_it, &attempt, &thread));
    os_thread_join(env(), thread);
    return attempt.got == 1;
}

TEST(dynamic_mutexes_are_recursive) {
    lsm_mutex *mutex = NULL;

    CHECK_OK(os_mutex_new(env(), &mutex));
    CHECK(is_free(mutex));
    os_mutex_enter(env(), mutex);
    os_mutex_enter(env(), mutex);
    CHECK_EQ_INT(env()->xMutexTry(mutex), 1);
    CHECK(!is_free(mutex));
    os_mutex_leave(env(), mutex);
    os_mutex_leave(env(), mutex);
    CHECK(!is_free(mutex));
    os_mutex_leave(env(), mutex);
    CHECK(is_free(mutex));
    os_mutex_free(env(), mutex);
    os_mutex_free(env(), NULL);
}

TEST(static_mutexes_are_the_same_each_time_and_survive_deletion) {
    lsm_mutex *global = NULL, *heap = NULL, *again = NULL, *none = NULL;

    CHECK_OK(os_mutex_static(env(), LSM_MUTEX_GLOBAL, &global));
    CHECK_OK(os_mutex_static(env(), LSM_MUTEX_HEAP, &heap));
    CHECK_OK(os_mutex_static(env(), LSM_MUTEX_GLOBAL, &again));
    CHECK_EQ_PTR(again, global);
    CHECK(heap != global);
    CHECK_RC(os_mutex_static(env(), 0, &none), LSM_MISUSE);
    CHECK_RC(os_mutex_static(env(), 3, &none), LSM_MISUSE);
    CHECK_EQ_PTR(none, NULL);
    os_mutex_enter(env(), global);
    CHECK(!is_free(global));
    CHECK(is_free(heap));
    os_mutex_leave(env(), global);
    os_mutex_free(env(), global);
    CHECK(is_free(global));
}

static void *no_memory(lsm_env *e, size_t size) {
    (void)e, (void)size;
    return NULL;
}

TEST(a_mutex_without_memory_is_no_mutex) {
    lsm_env copy = *env();
    lsm_mutex *mutex = NULL;

    copy.xMalloc = no_memory;
    CHECK_RC(os_mutex_new(&copy, &mutex), LSM_NOMEM);
    CHECK_EQ_PTR(mutex, NULL);
}

static int counter;

static void count_up(void *context) {
    int slot = *(int *)context;
    for (int i = 0; i < 20000; i++) {
        os_static_enter(slot);
        counter++;
        os_static_leave(slot);
    }
}

TEST(static_slots_exclude_each_other_without_set_up) {
    for (int slot = 0; slot < 4; slot++) {
        struct os_thread *threads[4];
        counter = 0;
        for (int i = 0; i < 4; i++) CHECK_OK(os_thread_start(env(), count_up, &slot, &threads[i]));
        for (int i = 0; i < 4; i++) os_thread_join(env(), threads[i]);
        CHECK_EQ_INT(counter, 80000);
    }
}

TEST_MAIN()
