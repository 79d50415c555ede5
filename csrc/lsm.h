/*
** lsm.h — the public C interface: an ordered key/value database in one file.
**
** Names, values and structure layouts are those of LSM1's header of the same name, so that a program
** written for LSM1 links against this library unchanged. Functions appear in the order in which a new
** user needs them: open, read, write, transactions, maintenance, configuration, environment.
**
** ERRORS      Every function that can fail returns one of the LSM_ result codes below; results come
**             through the last parameters and are untouched on failure unless stated.
** THREADS     A connection and its cursors belong to one thread at a time (any thread; the caller
**             serialises). Different connections may be used by different threads at once, also on
**             the same database. Do not use a connection in the child of a fork.
** KEYS        Any bytes, compared as unsigned; of two keys that agree over the shorter length the
**             shorter is the smaller. The empty key is legal and sorts first. Lengths below 2^31.
*/
#ifndef LSM_H
#define LSM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32) && defined(LSM_BUILDING)
#define LSM_API __declspec(dllexport)
#elif defined(__GNUC__)
#define LSM_API __attribute__((visibility("default")))
#else
#define LSM_API
#endif

typedef long long int lsm_i64;

typedef struct lsm_db lsm_db;         /* a connection to a database */
typedef struct lsm_cursor lsm_cursor; /* a position in its ordered content */
typedef struct lsm_file lsm_file;     /* belongs to the environment that opened it */
typedef struct lsm_mutex lsm_mutex;   /* belongs to the environment that made it */

typedef struct lsm_env lsm_env;
typedef struct lsm_compress lsm_compress;
typedef struct lsm_compress_factory lsm_compress_factory;

/* ---------------------------------------------------------------------------------- results -- */

#define LSM_OK 0
#define LSM_ERROR 1
#define LSM_BUSY 5             /* a lock is held elsewhere, or the snapshot read is too old to write */
#define LSM_NOMEM 7            /* the environment's allocator returned NULL */
#define LSM_READONLY 8         /* a write through a read-only connection */
#define LSM_IOERR 10           /* a file callback failed */
#define LSM_CORRUPT 11         /* the content does not decode; place and reason through the log hook */
#define LSM_FULL 13            /* no room on the device, or in the shared region */
#define LSM_CANTOPEN 14        /* reserved */
#define LSM_PROTOCOL 15        /* the shared header could not be read consistently */
#define LSM_MISUSE 21          /* called in a state, or with an argument, that is not allowed */
#define LSM_MISMATCH 50        /* the database needs other compression functions */
#define LSM_IOERR_NOENT 266    /* LSM_IOERR | (1 << 8): no such file or directory */

/* --------------------------------------------------------------------- opening and closing -- */

/* Make a connection object; no file is touched. `env` NULL = lsm_default_env(); the environment is
** not copied and must outlive the connection, and every other connection of the process to the same
** file: they share what the first one opened, whatever their environments. LSM_NOMEM leaves *ppDb NULL. */
LSM_API int lsm_new(lsm_env *env, lsm_db **ppDb);

/* Open or create the database `zFilename` (companions: "-log", "-shm"). After a failure the connection is
** as before the call and may be tried again. LSM_MISUSE on an open connection. */
LSM_API int lsm_open(lsm_db *db, const char *zFilename);

/* Close and free. LSM_MISUSE (nothing closed) while a cursor or a write transaction is open; NULL is
** LSM_OK. Otherwise always LSM_OK: a failed final flush or checkpoint is reported through the log hook
** and the data stay in the log file for the next open. */
LSM_API int lsm_close(lsm_db *db);

/* --------------------------------------------------------------------------------- reading -- */

/* Open a cursor, and with the first one a read transaction: all cursors of a connection see one
** snapshot. The new cursor is on no entry. A failure leaves *ppCsr NULL. */
LSM_API int lsm_csr_open(lsm_db *db, lsm_cursor **ppCsr);
LSM_API int lsm_csr_close(lsm_cursor *pCsr);

#define LSM_SEEK_LEFAST -2 /* as LE, may stand on a deleted key; for allocating new keys */
#define LSM_SEEK_LE -1
#define LSM_SEEK_EQ 0
#define LSM_SEEK_GE 1

/* Position a cursor. LSM_OK also when nothing fits: ask lsm_csr_valid. After GE and first only `next`,
** after LE and last only `prev` may follow (else LSM_MISUSE, position unchanged); after EQ neither. At the
** end a step is LSM_OK and stays there. After a failure the cursor is on no entry, and `next` and `prev` give the
** error again until it is positioned anew; unless lsm_csr_valid says 1: then the step may be tried again. */
LSM_API int lsm_csr_seek(lsm_cursor *pCsr, const void *pKey, int nKey, int eSeek);
LSM_API int lsm_csr_first(lsm_cursor *pCsr);
LSM_API int lsm_csr_last(lsm_cursor *pCsr);
LSM_API int lsm_csr_next(lsm_cursor *pCsr);
LSM_API int lsm_csr_prev(lsm_cursor *pCsr);

/* 1 if the cursor is on an entry, else 0. */
LSM_API int lsm_csr_valid(lsm_cursor *pCsr);

/* The current entry. Pointers stay valid until this cursor moves or is closed, or the connection
** writes, commits or rolls back. On no entry: NULL and 0. */
LSM_API int lsm_csr_key(lsm_cursor *pCsr, const void **ppKey, int *pnKey);
LSM_API int lsm_csr_value(lsm_cursor *pCsr, const void **ppVal, int *pnVal);

/* Sign of (cursor's key - given key). LSM_MISUSE on no entry, with *piRes 0. */
LSM_API int lsm_csr_cmp(lsm_cursor *pCsr, const void *pKey, int nKey, int *piRes);

/* --------------------------------------------------------------------------------- writing -- */

/* Store, replacing. nVal < 0 deletes the key. Outside a transaction each write is one of its own. */
LSM_API int lsm_insert(lsm_db *db, const void *pKey, int nKey, const void *pVal, int nVal);

/* Remove; LSM_OK if absent. */
LSM_API int lsm_delete(lsm_db *db, const void *pKey, int nKey);

/* Remove every key strictly between the two; both ends stay. Nothing happens unless key 1 < key 2. */
LSM_API int lsm_delete_range(lsm_db *db, const void *pKey1, int nKey1, const void *pKey2, int nKey2);

/* Nested write transactions. Level 0 = none. begin(L) opens levels up to L (negative: one more);
** commit(L) keeps and closes levels above L; rollback(L) undoes all since level L was opened and leaves
** L open (0: everything, nothing open). Negative for both: one level fewer than open, so that a negative
** rollback undoes one level more than it closes. LSM_BUSY if another connection writes, or if this
** connection's cursors hold an older snapshot. */
LSM_API int lsm_begin(lsm_db *db, int iLevel);
LSM_API int lsm_commit(lsm_db *db, int iLevel);
LSM_API int lsm_rollback(lsm_db *db, int iLevel);

/* ----------------------------------------------------------------------------- maintenance -- */

/* Write what is in memory to the file as a new segment. Does not checkpoint. */
LSM_API int lsm_flush(lsm_db *db);

/* Merge: at least nMerge segments at a time (<= 0: the AUTOMERGE value; 1: all, to a single one), stop
** after about nKB written (< 0: no limit). *pnWrite = KB written; 0 when there was nothing to do, and on
** errors but LSM_MISUSE and LSM_READONLY. */
LSM_API int lsm_work(lsm_db *db, int nMerge, int nKB, int *pnWrite);

/* Store the newest snapshot in the file header, so that its log and freed blocks can be reused.
** *pnKB = KB written since the previous checkpoint; 0 if there was nothing to do, and on errors but LSM_MISUSE
** and LSM_READONLY. */
LSM_API int lsm_checkpoint(lsm_db *db, int *pnKB);

/* An application's 32-bit number. Lives in memory only: 0 after the last close and after recovery. */
LSM_API int lsm_get_user_version(lsm_db *db, unsigned int *piUsr);
LSM_API int lsm_set_user_version(lsm_db *db, unsigned int iUsr);

/* Facts about the database; `eParam` names one and fixes the further arguments. Strings are freed by
** the caller with lsm_free(lsm_get_env(db), z); NULL means "nothing to report". A number that is no page, or not
** the first of a segment where one is asked for: LSM_ERROR, with NULL. Without the right compression functions
** (LSM_MISMATCH) 1, 2, 4, 10, 11 and 13 are told all the same. */
LSM_API int lsm_info(lsm_db *db, int eParam, ...);

#define LSM_INFO_NWRITE 1           /* int *: pages written by this connection */
#define LSM_INFO_NREAD 2            /* int *: pages read with xRead (mapped pages do not count) */
#define LSM_INFO_DB_STRUCTURE 3     /* char **: {age {first last root size} ...} ..., newest first */
#define LSM_INFO_LOG_STRUCTURE 4    /* char **: start and end of log regions 0, 1, 2 */
#define LSM_INFO_ARRAY_STRUCTURE 5  /* lsm_i64 first page, char **: page ranges of the segment */
#define LSM_INFO_PAGE_ASCII_DUMP 6  /* lsm_i64 page, char ** */
#define LSM_INFO_PAGE_HEX_DUMP 7    /* lsm_i64 page, char ** */
#define LSM_INFO_FREELIST 8         /* char **: {block snapshot} ... */
#define LSM_INFO_ARRAY_PAGES 9      /* lsm_i64 first page, char **: every page of the segment */
#define LSM_INFO_CHECKPOINT_SIZE 10 /* int *: KB written and not yet checkpointed */
#define LSM_INFO_TREE_SIZE 11       /* int *old, int *live: KB in memory */
#define LSM_INFO_FREELIST_SIZE 12   /* reserved: LSM_MISUSE */
#define LSM_INFO_COMPRESSION_ID 13  /* unsigned int *: id stored in the database, 0 if empty */

/* --------------------------------------------------------------------------- configuration -- */

/* Set and query one parameter. Integer verbs take int *: a value out of range, or not allowed at this
** time, is ignored, and the value in force is written back. Unknown verbs: LSM_MISUSE. */
LSM_API int lsm_config(lsm_db *db, int eParam, ...);

#define LSM_CONFIG_AUTOFLUSH 1             /* KB, 0..1048576; default 1024 */
#define LSM_CONFIG_PAGE_SIZE 2             /* bytes, power of two 256..65536; 4096; before open */
#define LSM_CONFIG_SAFETY 3                /* LSM_SAFETY_; NORMAL */
#define LSM_CONFIG_BLOCK_SIZE 4            /* KB, power of two 64..65536; 1024; before open */
#define LSM_CONFIG_AUTOWORK 5              /* flush and merge inside write calls; 1 */
#define LSM_CONFIG_MMAP 7                  /* 0 none, 1 whole file, n > 1 first n KB; 1 on 64-bit */
#define LSM_CONFIG_USE_LOG 8               /* 1 */
#define LSM_CONFIG_AUTOMERGE 9             /* >= 2; 4 */
#define LSM_CONFIG_MAX_FREELIST 10         /* 2..24; 24; a testing aid */
#define LSM_CONFIG_MULTIPLE_PROCESSES 11   /* 1; before open */
#define LSM_CONFIG_AUTOCHECKPOINT 12       /* KB, 0 = never; 2048 */
#define LSM_CONFIG_SET_COMPRESSION 13      /* lsm_compress * */
#define LSM_CONFIG_GET_COMPRESSION 14      /* lsm_compress * */
#define LSM_CONFIG_SET_COMPRESSION_FACTORY 15 /* lsm_compress_factory * */
#define LSM_CONFIG_READONLY 16             /* 0; before open */

#define LSM_SAFETY_OFF 0    /* never sync: a power cut may corrupt */
#define LSM_SAFETY_NORMAL 1 /* sync at checkpoints: a power cut may lose the last transactions */
#define LSM_SAFETY_FULL 2   /* sync the log at every commit: nothing acknowledged is lost */

/* `cb(ctx, code, message)`: default prints to stderr; NULL = silence. */
LSM_API void lsm_config_log(lsm_db *db, void (*cb)(void *, int, const char *), void *pCtx);

/* Called after each new level and each slice of merging, on the thread of the call, and, with AUTOWORK
** off, after each commit that leaves the in-memory tree over AUTOFLUSH. In the first two cases the connection is in
** the middle of its work: the hook may ask lsm_info, and read; what would write, begin or end a transaction, work,
** flush, close or change the compression gives LSM_MISUSE. */
LSM_API void lsm_config_work_hook(lsm_db *db, void (*cb)(lsm_db *, void *), void *pCtx);

struct lsm_compress {
    void *pCtx;
    unsigned int iId; /* stored in the file; user-defined schemes use 10000 and above */
    /* What xCompress and xUncompress fail with is what the call at hand returns. */
    int (*xBound)(void *, int nIn);
    int (*xCompress)(void *, char *, int *, const char *, int);
    int (*xUncompress)(void *, char *, int *, const char *, int);
    void (*xFree)(void *);
};

struct lsm_compress_factory {
    void *pCtx;
    /* Asked at the first read or work of a connection that has not the functions of id `iId`. It may set them, and
    ** ask lsm_info for the id; what needs a transaction is LSM_MISMATCH or LSM_MISUSE. Its result is ignored. */
    int (*xFactory)(void *, lsm_db *, unsigned int iId);
    void (*xFree)(void *);
};

#define LSM_COMPRESSION_EMPTY 0
#define LSM_COMPRESSION_NONE 1

/* ----------------------------------------------------------------------------- environment -- */

LSM_API lsm_env *lsm_get_env(lsm_db *db);
LSM_API lsm_env *lsm_default_env(void);
LSM_API void *lsm_malloc(lsm_env *env, size_t nByte);
LSM_API void *lsm_realloc(lsm_env *env, void *p, size_t nByte);
LSM_API void lsm_free(lsm_env *env, void *p);

/* Everything the library asks of the system. All callbacks return a result code unless stated. */
struct lsm_env {
    int nByte;    /* size of this structure */
    int iVersion; /* 1 */

    void *pVfsCtx;
    /* Make absolute. *pn: in, size of `out`; out, size needed with NUL. Too small: nothing written. */
    int (*xFullpath)(lsm_env *, const char *rel, char *out, int *pn);
    int (*xOpen)(lsm_env *, const char *path, int flags, lsm_file **pp);
    int (*xRead)(lsm_file *, lsm_i64 off, void *buf, int n); /* zero-fills past the end */
    int (*xWrite)(lsm_file *, lsm_i64 off, void *buf, int n);
    int (*xTruncate)(lsm_file *, lsm_i64 n); /* shorten only */
    int (*xSync)(lsm_file *);
    int (*xSectorSize)(lsm_file *); /* returns the size */
    int (*xRemap)(lsm_file *, lsm_i64 min, void **pp, lsm_i64 *pn);
    int (*xFileid)(lsm_file *, void *buf, int *pn);
    int (*xClose)(lsm_file *);
    int (*xUnlink)(lsm_env *, const char *path);
    int (*xLock)(lsm_file *, int id, int op); /* never blocks */
    int (*xTestLock)(lsm_file *, int id, int n, int op);
    int (*xShmMap)(lsm_file *, int chunk, int size, void **pp);
    void (*xShmBarrier)(void);
    int (*xShmUnmap)(lsm_file *, int bDelete);

    void *pMemCtx;
    void *(*xMalloc)(lsm_env *, size_t n);
    void *(*xRealloc)(lsm_env *, void *p, size_t n);
    void (*xFree)(lsm_env *, void *p);
    size_t (*xSize)(lsm_env *, void *p);

    void *pMutexCtx;
    int (*xMutexStatic)(lsm_env *, int id, lsm_mutex **pp);
    int (*xMutexNew)(lsm_env *, lsm_mutex **pp);
    void (*xMutexDel)(lsm_mutex *);
    void (*xMutexEnter)(lsm_mutex *);
    int (*xMutexTry)(lsm_mutex *); /* 0 = not free */
    void (*xMutexLeave)(lsm_mutex *);
    int (*xMutexHeld)(lsm_mutex *);    /* may be NULL; for assertions only */
    int (*xMutexNotHeld)(lsm_mutex *); /* may be NULL; for assertions only */

    int (*xSleep)(lsm_env *, int us);
};

#define LSM_OPEN_READONLY 0x0001

#define LSM_LOCK_UNLOCK 0
#define LSM_LOCK_SHARED 1
#define LSM_LOCK_EXCL 2

#define LSM_MUTEX_GLOBAL 1
#define LSM_MUTEX_HEAP 2

#ifdef __cplusplus
}
#endif

#endif /* LSM_H */
