/*
** os_thread_test.c — threads, monitors, time, and hooks at the end of a thread.
*/
#include "support/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "os/os.h"

static lsm_env *env(void) {
    return lsm_default_env();
}

/* ----------------------------------------------------------------------------------- threads -- */

static void store_id(void *context) {
    uint64_t *id = context;
    id[0] = os_thread_id();
    id[1] = os_thread_id();
}

TEST(each_thread_has_its_own_number) {
    uint64_t a[2] = {0}, b[2] = {0};
    struct os_thread *thread_a = NULL, *thread_b = NULL;

    CHECK_OK(os_thread_start(env(), store_id, a, &thread_a));
    CHECK_OK(os_thread_start(env(), store_id, b, &thread_b));
    os_thread_join(env(), thread_a);
    os_thread_join(env(), thread_b);
    CHECK(a[0] != 0 && b[0] != 0);
    CHECK_EQ_UINT(a[1], a[0]);
    CHECK(a[0] != b[0] && a[0] != os_thread_id() && b[0] != os_thread_id());
}

static void store_mask(void *context) {
    (void)pthread_sigmask(SIG_SETMASK, NULL, context);
}

TEST(our_threads_take_no_signals) {
    sigset_t theirs, ours;
    struct os_thread *thread = NULL;

    sigemptyset(&theirs);
    CHECK_OK(os_thread_start(env(), store_mask, &theirs, &thread));
    os_thread_join(env(), thread);
    CHECK_EQ_INT(sigismember(&theirs, SIGINT), 1);
    CHECK_EQ_INT(sigismember(&theirs, SIGUSR1), 1);
    CHECK_EQ_INT(pthread_sigmask(SIG_SETMASK, NULL, &ours), 0);
    CHECK_EQ_INT(sigismember(&ours, SIGUSR1), 0); /* the caller's mask is as before */
}

static void *no_memory(lsm_env *e, size_t size) {
    (void)e, (void)size;
    return NULL;
}

TEST(nothing_starts_without_memory) {
    lsm_env copy = *env();
    struct os_thread *thread = NULL;
    struct os_monitor *monitor = NULL;

    copy.xMalloc = no_memory;
    CHECK_RC(os_thread_start(&copy, store_id, NULL, &thread), LSM_NOMEM);
    CHECK_EQ_PTR(thread, NULL);
    CHECK_RC(os_monitor_new(&copy, &monitor), LSM_NOMEM);
    CHECK_EQ_PTR(monitor, NULL);
}

/* ------------------------------------------------------------------------------- time, sleep -- */

TEST(time_goes_forward_and_sleep_takes_its_time) {
    uint64_t before = os_time_ms(), after;

    os_sleep(env(), 30000);
    after = os_time_ms();
    CHECK(after >= before + 29);
    os_sleep(env(), 0);
    CHECK_OK(env()->xSleep(env(), -5));
}

/* ---------------------------------------------------------------------------------- monitors -- */

struct table_tennis {
    struct os_monitor *monitor;
    int turn;
    int count;
};

static void play(void *context) {
    struct table_tennis *game = context;
    os_monitor_enter(game->monitor);
    while (game->count < 1000) {
        while (game->turn != 1) os_monitor_wait(game->monitor, 0);
        game->turn = 0;
        game->count++;
        os_monitor_wake(game->monitor);
    }
    os_monitor_leave(game->monitor);
}

TEST(two_threads_take_turns_through_a_monitor) {
    struct table_tennis game = {0};
    struct os_thread *thread = NULL;

    CHECK_OK(os_monitor_new(env(), &game.monitor));
    CHECK_OK(os_thread_start(env(), play, &game, &thread));
    os_monitor_enter(game.monitor);
    for (int i = 0; i < 1000; i++) {
        game.turn = 1;
        os_monitor_wake(game.monitor);
        while (game.turn != 0) os_monitor_wait(game.monitor, 10000);
    }
    CHECK_EQ_INT(game.count, 1000);
    os_monitor_leave(game.monitor);
    os_thread_join(env(), thread);
    os_monitor_free(env(), game.monitor);
    os_monitor_free(env(), NULL);
}

TEST(waiting_ends_with_its_timeout) {
    struct os_monitor *monitor = NULL;
    uint64_t before;

    CHECK_OK(os_monitor_new(env(), &monitor));
    os_monitor_enter(monitor);
    before = os_time_ms();
    do {
        os_monitor_wait(monitor, 40); /* may return early, like every condition */
    } while (os_time_ms() < before + 39);
    CHECK(os_time_ms() < before + 5000);
    os_monitor_leave(monitor);
    os_monitor_free(env(), monitor);
}

/* -------------------------------------------------------------------------- thread-exit hook -- */

static _Atomic int hook_log[8];
static _Atomic int hook_count;

static void note_hook(void *value) {
    hook_log[atomic_fetch_add(&hook_count, 1)] = *(int *)value;
}

static int one = 1, two = 2, three = 3;

static void register_again(void *value) {
    note_hook(value);
    if (os_thread_exit_register(note_hook, &three) != LSM_OK) hook_log[7] = -1;
}

static void register_two(void *context) {
    int *rc = context;
    rc[0] = os_thread_exit_register(note_hook, &one);
    rc[1] = os_thread_exit_register(note_hook, &two);
    rc[2] = os_thread_exit_register(note_hook, &one); /* there already */
}

TEST(hooks_run_when_their_thread_ends_newest_first) {
    struct os_thread *thread = NULL;
    int rc[3] = {-1, -1, -1};

    hook_count = 0;
    CHECK_OK(os_thread_start(env(), register_two, rc, &thread));
    os_thread_join(env(), thread);
    CHECK_OK(rc[0]);
    CHECK_OK(rc[1]);
    CHECK_OK(rc[2]);
    CHECK_EQ_INT(hook_count, 2);
    CHECK_EQ_INT(hook_log[0], 2);
    CHECK_EQ_INT(hook_log[1], 1);
}

static void register_from_hook(void *context) {
    *(int *)context = os_thread_exit_register(register_again, &one);
}

TEST(a_hook_may_register_another) {
    struct os_thread *thread = NULL;
    int rc = -1;

    hook_count = 0;
    hook_log[7] = 0;
    CHECK_OK(os_thread_start(env(), register_from_hook, &rc, &thread));
    os_thread_join(env(), thread);
    CHECK_OK(rc);
    CHECK_EQ_INT(hook_count, 2);
    CHECK_EQ_INT(hook_log[1], 3);
    CHECK_EQ_INT(hook_log[7], 0);
}

static void *foreign_thread(void *context) {
    register_two(context);
    pthread_exit(NULL); /* as a worker that is terminated */
}

TEST(hooks_run_in_threads_that_are_not_ours) {
    pthread_t thread;
    int rc[3] = {-1, -1, -1};

    hook_count = 0;
    CHECK_EQ_INT(pthread_create(&thread, NULL, foreign_thread, rc), 0);
    CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    CHECK_OK(rc[0]);
    CHECK_EQ_INT(hook_count, 2);
}

TEST(a_hook_of_the_main_thread_waits_and_leaks_nothing) {
    hook_count = 0;
    CHECK_OK(os_thread_exit_register(note_hook, &one));
    CHECK_EQ_INT(hook_count, 0);
}

static void *(*kept_malloc)(lsm_env *, size_t);
static int failed_rc;

static void register_without_memory(void *context) {
    (void)context;
    env()->xMalloc = no_memory;
    failed_rc = os_thread_exit_register(note_hook, &two);
    env()->xMalloc = kept_malloc;
}

TEST(registering_without_memory_fails_and_runs_nothing) {
    struct os_thread *thread = NULL;

    hook_count = 0;
    kept_malloc = env()->xMalloc;
    CHECK_OK(os_thread_start(env(), register_without_memory, NULL, &thread));
    os_thread_join(env(), thread);
    CHECK_RC(failed_rc, LSM_NOMEM);
    CHECK_EQ_INT(hook_count, 0);
}

TEST_MAIN()
