/*
** os_thread.c — threads of our own, waiting, time, and being told when a foreign thread ends.
**
** INVARIANTS  (I1) A thread of ours receives no signals: they belong to the host program.
**             (I2) os_thread_id never gives 0, and no number twice at the same time in one process.
**             (I3) There is one thread-exit key per process; each thread's hooks hang on it as a
**             list, newest first, and run in that order, once.
**             (I4) From the first thread or hook on the library stays loaded until the process ends: somebody
**             will return into it.
** OWNERSHIP   A thread object is freed by os_thread_join, a monitor by os_monitor_free, both with
**             the environment that made them. Hooks live in the default environment, since they may
**             outlive any other.
** ERRORS      LSM_NOMEM when the system has no thread, key or memory left.
*/
#define _FILE_OFFSET_BITS 64

#include "os/os_internal.h"

#include "base/memory.h"

#define THREAD_STACK_SIZE (1024 * 1024) /* the same everywhere: defaults go from 128 KiB to 8 MiB */

struct exit_hook {
    struct exit_hook *next;
    void (*destroy)(void *);
    void *value;
};

static void run_exit_hooks(void *list) {
    struct exit_hook *hook = list;
    while (hook) {
        struct exit_hook *next = hook->next;
        hook->destroy(hook->value);
        memory_free(lsm_default_env(), hook);
        hook = next;
    }
}

/* Put a hook in front of `list`, unless it is there already. */
static int add_exit_hook(struct exit_hook *list, void (*destroy)(void *), void *value,
                         struct exit_hook **out) {
    struct exit_hook *hook;

    *out = list;
    for (hook = list; hook; hook = hook->next) {
        if (hook->destroy == destroy && hook->value == value) return LSM_OK;
    }
    hook = memory_allocate(lsm_default_env(), sizeof *hook);
    if (!hook) return LSM_NOMEM;
    *hook = (struct exit_hook){list, destroy, value};
    *out = hook;
    return LSM_OK;
}

#ifdef _WIN32

#include <process.h>

/* ------------------------------------------------------------------------------ staying loaded -- */

static INIT_ONCE stay_once = INIT_ONCE_STATIC_INIT;

static BOOL CALLBACK pin_library(PINIT_ONCE once, PVOID parameter, PVOID *context) {
    HMODULE self;
    (void)once, (void)parameter, (void)context;
    return GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                              (LPCWSTR)(const void *)&stay_once, &self);
}

/* (I4) */
static bool stay_loaded(void) {
    return InitOnceExecuteOnce(&stay_once, pin_library, NULL, NULL);
}

/* ----------------------------------------------------------------------------------- threads -- */

struct os_thread {
    HANDLE handle;
    void (*run)(void *);
    void *context;
};

static unsigned __stdcall thread_main(void *argument) {
    struct os_thread *thread = argument;
    thread->run(thread->context);
    return 0;
}

int os_thread_start(lsm_env *env, void (*run)(void *), void *context, struct os_thread **out) {
    struct os_thread *thread = memory_allocate(env, sizeof *thread);
    uintptr_t handle;

    if (!thread) return LSM_NOMEM;
    *thread = (struct os_thread){.run = run, .context = context};
    handle = stay_loaded() ? _beginthreadex(NULL, THREAD_STACK_SIZE, thread_main, thread,
                                            STACK_SIZE_PARAM_IS_A_RESERVATION, NULL)
                           : 0;
    if (handle == 0) {
        os_error_note((int)GetLastError());
        memory_free(env, thread);
        return LSM_NOMEM;
    }
    thread->handle = (HANDLE)handle;
    *out = thread;
    return LSM_OK;
}

void os_thread_join(lsm_env *env, struct os_thread *thread) {
    DWORD result = WaitForSingleObject(thread->handle, INFINITE);
    assert(result == WAIT_OBJECT_0);
    (void)result;
    (void)CloseHandle(thread->handle);
    memory_free(env, thread);
}

uint64_t os_thread_id(void) {
    return GetCurrentThreadId(); /* never 0 */
}

/* ---------------------------------------------------------------------------- time and sleep -- */

uint64_t os_time_ms(void) {
    return GetTickCount64();
}

int os_default_sleep(lsm_env *env, int microseconds) {
    (void)env;
    if (microseconds > 0) Sleep((DWORD)(microseconds / 1000 + (microseconds % 1000 != 0)));
    return LSM_OK;
}

/* ---------------------------------------------------------------------------------- monitors -- */

struct os_monitor {
    SRWLOCK lock;
    CONDITION_VARIABLE condition;
};

int os_monitor_new(lsm_env *env, struct os_monitor **out) {
    struct os_monitor *monitor = memory_allocate(env, sizeof *monitor);
    if (!monitor) return LSM_NOMEM;
    InitializeSRWLock(&monitor->lock);
    InitializeConditionVariable(&monitor->condition);
    *out = monitor;
    return LSM_OK;
}

void os_monitor_free(lsm_env *env, struct os_monitor *monitor) {
    memory_free(env, monitor);
}

void os_monitor_enter(struct os_monitor *monitor) {
    AcquireSRWLockExclusive(&monitor->lock);
}

void os_monitor_leave(struct os_monitor *monitor) {
    ReleaseSRWLockExclusive(&monitor->lock);
}

void os_monitor_wait(struct os_monitor *monitor, uint32_t timeout_ms) {
    /* A timeout is a return like any other: the caller looks at its condition again. */
    (void)SleepConditionVariableSRW(&monitor->condition, &monitor->lock,
                                    timeout_ms == 0 ? INFINITE : timeout_ms, 0);
}

void os_monitor_wake(struct os_monitor *monitor) {
    WakeAllConditionVariable(&monitor->condition);
}

/* -------------------------------------------------------------------------- thread-exit hook -- */

static INIT_ONCE exit_once = INIT_ONCE_STATIC_INIT;
static DWORD exit_key = FLS_OUT_OF_INDEXES;

/* While the process ends, the other threads are already gone, wherever they were, perhaps inside
** one of our mutexes: then there is nothing left to close safely, and recovery will do it. */
static bool process_is_ending(void) {
    typedef BOOLEAN(WINAPI * in_progress_function)(void);
    HMODULE library = GetModuleHandleW(L"ntdll.dll");
    in_progress_function in_progress = NULL;
    if (library) {
        in_progress = (in_progress_function)(void (*)(void))GetProcAddress(
            library, "RtlDllShutdownInProgress");
    }
    return in_progress && in_progress();
}

static VOID WINAPI run_exit_hooks_unless_ending(PVOID list) {
    if (!process_is_ending()) run_exit_hooks(list);
}

static BOOL CALLBACK make_exit_key(PINIT_ONCE once, PVOID parameter, PVOID *context) {
    (void)once, (void)parameter, (void)context;
    if (!stay_loaded()) return FALSE;
    exit_key = FlsAlloc(run_exit_hooks_unless_ending);
    return exit_key != FLS_OUT_OF_INDEXES;
}

int os_thread_exit_register(void (*destroy)(void *), void *value) {
    struct exit_hook *list, *longer;
    int rc;

    if (!InitOnceExecuteOnce(&exit_once, make_exit_key, NULL, NULL)) {
        os_error_note((int)GetLastError());
        return LSM_NOMEM;
    }
    list = FlsGetValue(exit_key);
    rc = add_exit_hook(list, destroy, value, &longer);
    if (rc != LSM_OK || longer == list) return rc;
    if (!FlsSetValue(exit_key, longer)) {
        os_error_note((int)GetLastError());
        memory_free(lsm_default_env(), longer);
        return LSM_NOMEM;
    }
    return LSM_OK;
}

#else

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

/* ------------------------------------------------------------------------------ staying loaded -- */

static pthread_once_t stay_once = PTHREAD_ONCE_INIT;

/* One reference more, that nobody gives back. Where it cannot be had, in a program that the engine was linked into,
** nothing can be unloaded. */
static void pin_library(void) {
    Dl_info self;

    if (dladdr(&stay_once, &self) == 0 || self.dli_fname == NULL) return;
    (void)dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/* (I4) */
static int stay_loaded(void) {
    return pthread_once(&stay_once, pin_library);
}

/* ----------------------------------------------------------------------------------- threads -- */

struct os_thread {
    pthread_t handle;
    void (*run)(void *);
    void *context;
};

static void *thread_main(void *argument) {
    struct os_thread *thread = argument;
    thread->run(thread->context);
    return NULL;
}

int os_thread_start(lsm_env *env, void (*run)(void *), void *context, struct os_thread **out) {
    struct os_thread *thread = NULL;
    pthread_attr_t attributes;
    sigset_t every, before;
    int result;

    thread = memory_allocate(env, sizeof *thread);
    if (!thread) return LSM_NOMEM;
    thread->run = run;
    thread->context = context;
    result = stay_loaded();
    if (result == 0) result = pthread_attr_init(&attributes);
    if (result != 0) goto done;
    result = pthread_attr_setstacksize(&attributes, THREAD_STACK_SIZE);
    if (result == 0) {
        /* (I1) A new thread inherits the mask of its maker. */
        (void)sigfillset(&every);
        result = pthread_sigmask(SIG_SETMASK, &every, &before);
        if (result == 0) {
            result = pthread_create(&thread->handle, &attributes, thread_main, thread);
            (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        }
    }
    (void)pthread_attr_destroy(&attributes);
done:
    if (result != 0) {
        os_error_note(result);
        memory_free(env, thread);
        return LSM_NOMEM;
    }
    *out = thread;
    return LSM_OK;
}

/* Used where the only failures are our own mistakes. */
static void must_be_zero(int result) {
    assert(result == 0);
    (void)result;
}

void os_thread_join(lsm_env *env, struct os_thread *thread) {
    must_be_zero(pthread_join(thread->handle, NULL));
    memory_free(env, thread);
}

uint64_t os_thread_id(void) {
#ifdef __APPLE__
    /* Thread-local variables there may be gone before the exit hooks run; the system's number is
    ** not. */
    uint64_t id = 0;
    must_be_zero(pthread_threadid_np(NULL, &id));
    return id;
#else
    static _Atomic uint64_t last_id;
    static _Thread_local uint64_t id;
    if (id == 0) id = atomic_fetch_add(&last_id, 1) + 1;
    return id;
#endif
}

/* ---------------------------------------------------------------------------- time and sleep -- */

uint64_t os_time_ms(void) {
    struct timespec now = {0};
    must_be_zero(clock_gettime(CLOCK_MONOTONIC, &now));
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int os_default_sleep(lsm_env *env, int microseconds) {
    struct timespec left;

    (void)env;
    if (microseconds <= 0) return LSM_OK;
    left.tv_sec = microseconds / 1000000;
    left.tv_nsec = (long)(microseconds % 1000000) * 1000;
    while (nanosleep(&left, &left) != 0) {
        if (errno != EINTR) return os_error_code(errno);
    }
    return LSM_OK;
}

/* ---------------------------------------------------------------------------------- monitors -- */

struct os_monitor {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
};

/* On macOS a condition has no clock to choose; waits there are relative. */
static int condition_init(pthread_cond_t *condition) {
#ifdef __APPLE__
    return pthread_cond_init(condition, NULL);
#else
    pthread_condattr_t attributes;
    int result = pthread_condattr_init(&attributes);
    if (result != 0) return result;
    result = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (result == 0) result = pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return result;
#endif
}

int os_monitor_new(lsm_env *env, struct os_monitor **out) {
    struct os_monitor *monitor = memory_allocate(env, sizeof *monitor);
    int result;

    if (!monitor) return LSM_NOMEM;
    result = pthread_mutex_init(&monitor->mutex, NULL);
    if (result == 0) {
        result = condition_init(&monitor->condition);
        if (result != 0) (void)pthread_mutex_destroy(&monitor->mutex);
    }
    if (result != 0) {
        os_error_note(result);
        memory_free(env, monitor);
        return LSM_NOMEM;
    }
    *out = monitor;
    return LSM_OK;
}

void os_monitor_free(lsm_env *env, struct os_monitor *monitor) {
    if (!monitor) return;
    must_be_zero(pthread_cond_destroy(&monitor->condition));
    must_be_zero(pthread_mutex_destroy(&monitor->mutex));
    memory_free(env, monitor);
}

void os_monitor_enter(struct os_monitor *monitor) {
    must_be_zero(pthread_mutex_lock(&monitor->mutex));
}

void os_monitor_leave(struct os_monitor *monitor) {
    must_be_zero(pthread_mutex_unlock(&monitor->mutex));
}

void os_monitor_wait(struct os_monitor *monitor, uint32_t timeout_ms) {
    struct timespec until;
    int result;

    if (timeout_ms == 0) {
        must_be_zero(pthread_cond_wait(&monitor->condition, &monitor->mutex));
        return;
    }
#ifdef __APPLE__
    until.tv_sec = timeout_ms / 1000;
    until.tv_nsec = (long)(timeout_ms % 1000) * 1000000;
    result = pthread_cond_timedwait_relative_np(&monitor->condition, &monitor->mutex, &until);
#else
    must_be_zero(clock_gettime(CLOCK_MONOTONIC, &until));
    until.tv_sec += (time_t)(timeout_ms / 1000);
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    result = pthread_cond_timedwait(&monitor->condition, &monitor->mutex, &until);
#endif
    /* A timeout is a return like any other: the caller looks at its condition again. */
    must_be_zero(result == ETIMEDOUT ? 0 : result);
}

void os_monitor_wake(struct os_monitor *monitor) {
    must_be_zero(pthread_cond_broadcast(&monitor->condition));
}

/* -------------------------------------------------------------------------- thread-exit hook -- */

static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static int exit_key_result = -1; /* 0 = the key exists */

static void make_exit_key(void) {
    if (stay_loaded() != 0) return;
    exit_key_result = pthread_key_create(&exit_key, run_exit_hooks);
}

/* At the end of the process, where threads may still be at work: hooks that have not run by then do not. */
__attribute__((destructor)) static void drop_exit_key(void) {
    struct exit_hook *hook;

    if (exit_key_result != 0) return;
    hook = pthread_getspecific(exit_key);
    exit_key_result = -1;
    (void)pthread_key_delete(exit_key);
    while (hook) {
        struct exit_hook *next = hook->next;
        memory_free(lsm_default_env(), hook);
        hook = next;
    }
}

int os_thread_exit_register(void (*destroy)(void *), void *value) {
    struct exit_hook *list, *longer;
    int result;
    int rc;

    result = pthread_once(&exit_once, make_exit_key);
    if (result == 0) result = exit_key_result;
    if (result != 0) {
        os_error_note(result);
        return LSM_NOMEM;
    }
    list = pthread_getspecific(exit_key);
    rc = add_exit_hook(list, destroy, value, &longer);
    if (rc != LSM_OK || longer == list) return rc;
    result = pthread_setspecific(exit_key, longer);
    if (result != 0) {
        os_error_note(result);
        memory_free(lsm_default_env(), longer);
        return LSM_NOMEM;
    }
    return LSM_OK;
}

#endif
