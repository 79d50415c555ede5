/*
** bulk_task.c — long work behind a handle, in a thread of the engine's.
**
** The thread has no way to call anybody: it leaves notes, and whoever waits looks at them.
**
** INVARIANTS  (I1) while the thread runs, what it works on (handle->verify, handle->backup) is its own; the
**             handle's error frame and pending result stay with the callers.
** OWNERSHIP   The task belongs to its handle; the thread is joined before it is freed.
** LOCKING     The monitor guards the notes, and is held for nothing else.
*/
#include "api/bulk_internal.h"
#include "base/memory.h"

struct bulk_task {
    struct os_monitor *monitor;
    struct os_thread *thread;
    int (*run)(struct handle *handle);
    struct handle *handle;

    /* with the monitor */
    bool cancelled;
    bool finished;
    uint64_t done;
    uint64_t total;
    int rc; /* once it has finished */
};

static void run_task(void *context) {
    struct bulk_task *task = context;
    int rc = task->run(task->handle);

    os_monitor_enter(task->monitor);
    if (rc == LSM_OK) task->done = task->total; /* they were estimates */
    task->rc = rc;
    task->finished = true;
    os_monitor_wake(task->monitor);
    os_monitor_leave(task->monitor);
}

int bulk_task_note(struct bulk_task *task, uint64_t done, uint64_t total) {
    bool cancelled;

    os_monitor_enter(task->monitor);
    task->done = done;
    task->total = total;
    cancelled = task->cancelled;
    os_monitor_leave(task->monitor);
    return cancelled ? LSM_ERROR : LSM_OK; /* nobody will see the code */
}

void bulk_task_free(struct bulk_task *task) {
    lsm_env *env = lsm_default_env();

    if (task == NULL) return;
    if (task->thread) {
        os_monitor_enter(task->monitor);
        task->cancelled = true;
        os_monitor_leave(task->monitor);
        os_thread_join(env, task->thread);
    }
    os_monitor_free(env, task->monitor);
    memory_free(env, task);
}

static int start(struct handle *handle, int (*run)(struct handle *)) {
    lsm_env *env = lsm_default_env();
    struct bulk_task *task = memory_allocate_zero(env, sizeof *task);
    int rc;

    if (task == NULL) return LSM_NOMEM;
    task->handle = handle;
    task->run = run;
    rc = os_monitor_new(env, &task->monitor);
    /* The thread looks for its task on the handle. */
    if (rc == LSM_OK) {
        handle->task = task;
        rc = os_thread_start(env, run_task, task, &task->thread);
    }
    if (rc != LSM_OK) {
        handle->task = NULL;
        bulk_task_free(task);
    }
    return rc;
}

int32_t lsm_bulk_run(uint32_t id) {
    struct handle *handle;
    int32_t result = handle_enter(id, HANDLE_TASK, &handle);

    if (result != LSM_OK) return result;
    bulk_begin_call(handle);
    if (handle->task) {
        result = LSM_BULK_MISUSE;
    } else {
        int rc = start(handle, handle->kind == HANDLE_BACKUP ? bulk_backup_run : bulk_verify_run);
        if (rc != LSM_OK) result = bulk_fail(handle, NULL, rc);
    }
    handle_leave(handle);
    return result;
}

/* Entered. True: it has finished. */
static bool wait_for(struct bulk_task *task, uint32_t milliseconds) {
    uint64_t until = os_time_ms() + milliseconds;
    uint64_t now;

    while (!task->finished && (now = os_time_ms()) < until) {
        os_monitor_wait(task->monitor, (uint32_t)(until - now));
    }
    return task->finished;
}

int32_t lsm_bulk_wait(uint32_t id, uint32_t milliseconds, uint8_t *out, uint32_t capacity) {
    struct handle *handle;
    struct bulk_task *task;
    int32_t result = handle_enter(id, HANDLE_TASK, &handle);
    int rc = LSM_OK;

    if (result != LSM_OK) return result;
    bulk_begin_call(handle);
    task = handle->task;
    if (task == NULL || capacity < LSM_BULK_PROGRESS_SIZE) {
        handle_leave(handle);
        return LSM_BULK_MISUSE;
    }
    os_monitor_enter(task->monitor);
    if (wait_for(task, milliseconds)) {
        result = 1;
        rc = task->rc;
    }
    bulk_put_progress(out, task->done, task->total);
    os_monitor_leave(task->monitor);
    if (rc != LSM_OK) result = bulk_fail(handle, bulk_task_connection(handle), rc);
    handle_leave(handle);
    return result;
}

const lsm_db *bulk_task_connection(const struct handle *handle) {
    if (handle->backup) return db_backup_reader(handle->backup);
    return handle->verify ? bulk_verify_connection(handle->verify) : NULL;
}

bool bulk_task_is_running(const struct handle *handle) {
    bool running;

    if (handle->task == NULL) return false;
    os_monitor_enter(handle->task->monitor);
    running = !handle->task->finished;
    os_monitor_leave(handle->task->monitor);
    return running;
}

void bulk_put_progress(uint8_t *out, uint64_t done, uint64_t total) {
    put_u32_little(out, (uint32_t)done);
    put_u32_little(out + 4, (uint32_t)(done >> 32));
    put_u32_little(out + 8, (uint32_t)total);
    put_u32_little(out + 12, (uint32_t)(total >> 32));
}
