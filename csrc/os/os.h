/*
** os.h — files, locks, mappings, threads: everything the engine asks of the system.
**
** The first part goes through lsm_env, so that a program can replace it. What lsm_env lacks (size
** of a file, windows of a mapping, directory sync, random bytes) goes through a table `os_extra`
** that only the default environment (and the crash simulator of the tests) has; each function below
** says what a foreign environment gets instead.
**
** ERRORS      Results of callbacks are passed through. The system's own number of the last failure
**             on this thread: os_last_error().
*/
#ifndef LSM_OS_H
#define LSM_OS_H

#include "base/error.h"
#include "base/types.h"

struct os_file {
    lsm_env *env;
    lsm_file *file; /* NULL = not open */
};

/* --- files, through lsm_env --- */
/* The result comes from memory_allocate. */
LSM_MUST_USE int os_full_path(lsm_env *env, const char *path, char **out);
/* `path` stays valid until os_close. */
LSM_MUST_USE int os_open(lsm_env *env, const char *path, int flags, struct os_file *out);
void os_close(struct os_file *file); /* zeroed objects are accepted */
LSM_MUST_USE int os_read(struct os_file *file, uint64_t offset, void *data, size_t size);
LSM_MUST_USE int os_write(struct os_file *file, uint64_t offset, const void *data, size_t size);
LSM_MUST_USE int os_truncate(struct os_file *file, uint64_t size);
LSM_MUST_USE int os_sync(struct os_file *file);
uint32_t os_sector_size(struct os_file *file);
LSM_MUST_USE int os_file_id(struct os_file *file, uint8_t *id, size_t capacity, size_t *size);
LSM_MUST_USE int os_unlink(lsm_env *env, const char *path);
LSM_MUST_USE int os_lock(struct os_file *file, int lock_no, int operation);
LSM_MUST_USE int os_test_lock(struct os_file *file, int lock_no, int count, int operation);
void os_sleep(lsm_env *env, uint32_t microseconds);

/* --- mutexes, through lsm_env --- */
LSM_MUST_USE int os_mutex_new(lsm_env *env, lsm_mutex **out);
LSM_MUST_USE int os_mutex_static(lsm_env *env, int id, lsm_mutex **out);
void os_mutex_free(lsm_env *env, lsm_mutex *mutex); /* NULL is accepted */
void os_mutex_enter(lsm_env *env, lsm_mutex *mutex);
void os_mutex_leave(lsm_env *env, lsm_mutex *mutex);

/* --- what lsm_env lacks --- */
struct os_extra {
    int (*file_size)(lsm_file *file, uint64_t *size);
    /* Map [offset, offset + size) for reading, shared; offset is a multiple of
    ** os_map_granularity(). The range lies inside the file. */
    int (*map)(lsm_file *file, uint64_t offset, size_t size, void **address);
    int (*unmap)(void *address, size_t size);
    /* See os_will_read. NULL = nothing is done. */
    void (*will_read)(const void *address, size_t size);
    /* See os_map_stored. NULL = never. */
    int (*map_stored)(lsm_file *file, size_t size, void **address);
    /* See os_start_writing. NULL = nothing is done. */
    void (*start_writing)(lsm_file *file, uint64_t offset, size_t size);
    /* Make the file at least `size` bytes, with the space really there where the system can promise
    ** it. */
    int (*reserve)(lsm_file *file, uint64_t size);
    /* Make the directory entry of `path` durable. */
    int (*sync_directory)(lsm_env *env, const char *path);
    int (*random)(void *out, size_t size);
    /* What stands at `path`. */
    int (*path_kind)(const char *path, int *kind); /* OS_PATH_ */
    /* The same for environments that keep paths of their own; used instead of path_kind unless
    ** NULL. */
    int (*path_kind_in)(lsm_env *env, const char *path, int *kind);
    bool (*path_is_link)(const char *path);
    /* See os_path_id. */
    int (*path_id)(const char *path, uint64_t id[2]);
};
#define OS_PATH_NONE 0
#define OS_PATH_FILE 1
#define OS_PATH_DIRECTORY 2
#define OS_PATH_OTHER 3

/* The table of an environment, NULL for a foreign one. */
const struct os_extra *os_extra_of(lsm_env *env);
/* Give an environment a table (tests: the crash simulator). NULL removes it. */
LSM_MUST_USE int os_extra_register(lsm_env *env, const struct os_extra *extra);

/* Foreign: UINT64_MAX (unknown). */
LSM_MUST_USE int os_file_size(struct os_file *file, uint64_t *size);
bool os_can_map(struct os_file *file);
LSM_MUST_USE int os_map(struct os_file *file, uint64_t offset, size_t size, void **address);
int os_unmap(struct os_file *file, void *address, size_t size);
/* A hint: this part of what os_map mapped will be read soon. What os_map maps is fetched page by page otherwise. */
void os_will_read(struct os_file *file, const void *address, size_t size);
/* Map [0, size) for reading and writing, shared, after making the file at least so long with all space in that range
** allocated. Only where it is known that a store then cannot fail for lack of space, that os_sync covers it, and
** that nobody replaced xWrite: LSM_ERROR otherwise, and for a foreign environment. Unmapped by os_unmap. */
LSM_MUST_USE int os_map_stored(struct os_file *file, size_t size, void **address);
size_t os_map_granularity(void);
/* A hint: what was written there will be synced soon. The system may begin now; nothing is waited for or promised. */
void os_start_writing(struct os_file *file, uint64_t offset, size_t size);
/* Foreign: LSM_OK, nothing done. */
LSM_MUST_USE int os_reserve(struct os_file *file, uint64_t size);
LSM_MUST_USE int os_sync_directory(lsm_env *env, const char *path); /* foreign: LSM_OK */
LSM_MUST_USE bool os_random(lsm_env *env, void *out, size_t size); /* foreign: false */
LSM_MUST_USE int os_path_kind(lsm_env *env, const char *path, int *kind); /* foreign: LSM_ERROR */
/* What os_file_id would answer for the file at `path`, which is not opened; *size = 0: none there, or no telling. */
void os_path_id(lsm_env *env, const char *path, uint8_t *id, size_t capacity, size_t *size);
/* A symbolic link, whatever it leads to. */
bool os_path_is_link(lsm_env *env, const char *path); /* foreign: false */
int os_last_error(void);
/* Text of a system error number, UTF-8, NUL-terminated. */
void os_error_text(int system_error, char *out, size_t capacity);

/* --- threads and time; always the real system --- */
struct os_thread;
LSM_MUST_USE int os_thread_start(lsm_env *env, void (*run)(void *), void *context,
                                 struct os_thread **out);
void os_thread_join(lsm_env *env, struct os_thread *thread);
uint64_t os_thread_id(void);
uint64_t os_time_ms(void); /* monotonic */

/* A mutex with a condition, for waiting threads of our own. */
struct os_monitor;
LSM_MUST_USE int os_monitor_new(lsm_env *env, struct os_monitor **out);
void os_monitor_free(lsm_env *env, struct os_monitor *monitor);
void os_monitor_enter(struct os_monitor *monitor);
void os_monitor_leave(struct os_monitor *monitor);
void os_monitor_wait(struct os_monitor *monitor, uint32_t timeout_ms); /* entered; 0 = for ever */
void os_monitor_wake(struct os_monitor *monitor);                     /* all waiters */

/* Run `destroy(value)` when the calling thread ends. One key per process. */
LSM_MUST_USE int os_thread_exit_register(void (*destroy)(void *), void *value);

/* A process-wide mutex that needs no environment and no set-up; `slot` 0..3. */
void os_static_enter(int slot);
void os_static_leave(int slot);

#endif
