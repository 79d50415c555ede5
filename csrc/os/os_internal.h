/*
** os_internal.h — what the files of this room share: the default environment's file object, its
** callbacks, and the noting of system errors.
**
** The callbacks of the default environment are written twice, in os_posix_*.c and os_win32_*.c,
** under the names declared here; os_env.c puts them into the table.
*/
#ifndef LSM_OS_INTERNAL_H
#define LSM_OS_INTERNAL_H

#include "os/os.h"

#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
#endif

#define OS_LOCK_NO_MAX 32
#define OS_LOCK_OFFSET 4096 /* lock n is the byte OS_LOCK_OFFSET - n of the database file */

/* The region may not reach 2 GiB: offsets in it are kept in 31 bits by other programs. */
#define OS_SHM_SIZE_MAX (UINT64_C(0x80000000) - 32768)

#define OS_OPEN_RETRIES 10 /* Windows: virus scanners and indexers hold fresh files for moments */
#define OS_OPEN_RETRY_MS 25

/* Slots of os_static_enter; 0..3 belong to the callers above. */
#define OS_STATIC_SLOT_EXTRA 4 /* guards the table of os_extra_register */
#define OS_STATIC_SLOT_COUNT 5

/* A file of the default environment. `path` is our own copy, behind the structure. */
struct lsm_file {
    lsm_env *env;
    char *path;
    bool read_only;
#ifdef _WIN32
    HANDLE handle;
    HANDLE shm_handle;     /* INVALID_HANDLE_VALUE = not open */
    uint64_t locks_shared; /* bit n: lock n is held so by this handle */
    uint64_t locks_exclusive;
#else
    int fd;
    int shm_fd;        /* -1 = not open */
    uint64_t shm_size; /* the region's file is known to be at least so long */
#endif
    void *map; /* of xRemap, NULL = none */
    uint64_t map_size;
    void **shm_windows; /* address of each mapped window of the region, NULL = not mapped */
    uint32_t shm_window_capacity;
    uint32_t shm_chunk_size; /* these two are fixed by the first xShmMap */
    uint32_t shm_window_size;
};

/* --- callbacks: files --- */
int os_file_full_path(lsm_env *env, const char *relative, char *out, int *size);
int os_file_open(lsm_env *env, const char *path, int flags, lsm_file **out);
int os_file_read(lsm_file *file, lsm_i64 offset, void *data, int size);
int os_file_write(lsm_file *file, lsm_i64 offset, void *data, int size);
int os_file_truncate(lsm_file *file, lsm_i64 size);
int os_file_sync(lsm_file *file);
int os_file_sector_size(lsm_file *file);
int os_file_remap(lsm_file *file, lsm_i64 size_min, void **address, lsm_i64 *size);
int os_file_identity(lsm_file *file, void *out, int *size);
int os_file_close(lsm_file *file);
int os_file_unlink(lsm_env *env, const char *path);

/* --- callbacks: locks and the shared region --- */
int os_file_lock(lsm_file *file, int lock_no, int operation);
int os_file_test_lock(lsm_file *file, int lock_no, int count, int operation);
int os_file_shm_map(lsm_file *file, int chunk, int size, void **address);
void os_file_shm_barrier(void);
int os_file_shm_unmap(lsm_file *file, int delete_region);

/* --- callbacks: mutexes, sleep --- */
int os_default_mutex_static(lsm_env *env, int id, lsm_mutex **out);
int os_default_mutex_new(lsm_env *env, lsm_mutex **out);
void os_default_mutex_free(lsm_mutex *mutex);
void os_default_mutex_enter(lsm_mutex *mutex);
int os_default_mutex_try(lsm_mutex *mutex);
void os_default_mutex_leave(lsm_mutex *mutex);
int os_default_sleep(lsm_env *env, int microseconds);

/* --- the table of the default environment (os_extra.c) and its parts --- */
extern const struct os_extra os_default_extra;
int os_default_file_size(lsm_file *file, uint64_t *size);
int os_default_map(lsm_file *file, uint64_t offset, size_t size, void **address);
int os_default_unmap(void *address, size_t size);
void os_default_will_read(const void *address, size_t size);
int os_default_map_stored(lsm_file *file, size_t size, void **address);
void os_default_start_writing(lsm_file *file, uint64_t offset, size_t size);
int os_default_reserve(lsm_file *file, uint64_t size);
int os_default_path_id(const char *path, uint64_t id[2]); /* the same as os_file_identity */

/* --- errors (os_extra.c) --- */

/* Remember the number for os_last_error, on this thread. */
void os_error_note(int system_error);
/* The same, and return the code that a callback gives for it: LSM_FULL or LSM_IOERR. */
int os_error_code(int system_error);
/* Bracket a callback: after a failure that noted nothing (a foreign environment), os_last_error is
** 0. */
void os_error_expect(void);
void os_error_settle(int rc);

/* --- helpers with no system in them --- */

/* Which mapped window holds `chunk`, and where in it, when mappings begin at multiples of
** `granularity`. LSM_MISUSE if sizes do not divide each other, LSM_FULL beyond OS_SHM_SIZE_MAX. */
struct os_shm_place {
    uint32_t window; /* index of the window */
    uint32_t offset; /* of the chunk inside it */
    uint32_t window_size;
    uint64_t chunk_end; /* the file must be at least so long */
};
LSM_MUST_USE int os_shm_place(int chunk, int chunk_size, uint32_t granularity,
                              struct os_shm_place *out);

/* Make room for `count` entries in file->shm_windows; new ones are NULL. */
LSM_MUST_USE int os_shm_reserve_windows(struct lsm_file *file, uint32_t count);

/* Size that xRemap grows a file to when at least `size` is wanted. */
uint64_t os_remap_size(uint64_t size);

/* Multiples of this are where a mapping of the region may begin. Tests set os_pretended_granularity
** to a larger one; 0 = the system's. */
extern uint32_t os_pretended_granularity;
uint32_t os_shm_granularity(void);

#ifdef _WIN32
/* UTF-8 to the system's form, made absolute, with the prefix for long paths; from memory_allocate.
** */
LSM_MUST_USE int os_win32_path(lsm_env *env, const char *path, WCHAR **out);
/* Open, trying again while another program has the file for itself. INVALID_HANDLE_VALUE:
** GetLastError. */
HANDLE os_win32_open(const WCHAR *path, DWORD access, DWORD disposition, DWORD attributes);
int os_win32_delete(lsm_env *env, const char *path);
#else
/* Extend `fd` from `old_size` to `size`, with the space allocated where the system can. */
int os_posix_extend(int fd, uint64_t old_size, uint64_t size);
int os_posix_sync(int fd);
#endif

#endif
