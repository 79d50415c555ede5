/*
** work.h — moving data from memory to the file and from level to level. Passive: db decides when.
**
** Every function works on a private copy of the newest snapshot (struct work) and changes nothing
** that a published snapshot or checkpoint refers to. Publishing is one step at the end.
**
** LOCKING     The caller holds LOCK_WORKER from work_begin to work_end.
** ERRORS      After any failure the private snapshot is thrown away: pages written are
**             unreferenced, the published state is untouched.
*/
#ifndef LSM_WORK_H
#define LSM_WORK_H

#include "base/error.h"
#include "cursor/cursor.h"
#include "shm/shm.h"
#include "store/store.h"

struct work_config {
    uint32_t autoflush_kb;
    uint32_t automerge;         /* >= 2 */
    uint32_t max_freelist;      /* 2..24 */
    uint32_t autocheckpoint_kb; /* 0 = never */
    uint32_t compression_id;    /* stored by the first snapshot */
};

/* What a worker may reuse: facts that the caller gathers. */
struct work_limits {
    int64_t checkpoint_id;      /* id of the checkpoint on disk, 0 = none */
    uint32_t checkpoint_pages;  /* its count of pages written */
    int64_t oldest_reader;      /* least snapshot id any reader needs, INT64_MAX = none */
    bool detached_readers;      /* a client reads without live writers: nothing is reusable */
};

struct work {
    lsm_env *env;
    struct pager *pager;
    struct error_context *error;
    struct work_config config;
    struct work_limits limits;
    struct snapshot published;  /* as it was at the beginning, or at the last publication */
    struct snapshot next;       /* private copy being changed */
    bool unlimited;             /* who asked for the work set no limit: may be set after work_begin */
    bool changed;               /* `next` differs from `published` */
    uint32_t pages_written;     /* data pages since work_begin */
    struct freelist overlay;    /* changes to the free list since `published`, on top of its runs */
    struct freelist pending;    /* changes while a run that takes up the entries is written */
    bool collecting;
    uint32_t *candidates;       /* reusable blocks, ascending; filled when one is needed */
    uint32_t candidate_count;
    uint32_t candidate_at;
    bool candidates_complete;
    bool candidates_loaded;
    void (*hook)(void *context); /* after each new level and each slice of merging; may be NULL */
    void *hook_context;
    struct store_batch notes;   /* about the runs of `next`; store: may be set after work_begin */
};

/* Copies `snapshot`. */
LSM_MUST_USE int work_begin(struct work *work, lsm_env *env, struct pager *pager,
                            struct error_context *error, const struct snapshot *snapshot,
                            const struct work_config *config, const struct work_limits *limits);
void work_end(struct work *work); /* zeroed objects are accepted */

/* A new top level from trees (newest first; either may be empty) and the free-list entries. `log`
** is the position that belongs to the content. An empty result changes no level, but the position
** all the same. */
LSM_MUST_USE int work_flush(struct work *work, const struct memtree *live,
                            const struct memtree *old, const struct log_position *log);

/* One finished level, apart from finished free-list-only levels above it? Then blocks can be
** moved. */
bool work_is_compact(const struct snapshot *snapshot);

/* Is the database so full that merging must come before the next flush? (pure: merge_policy.c) */
bool work_is_full(const struct snapshot *snapshot, uint32_t automerge);

/* Merge up to about `quota` data pages (UINT32_MAX = no limit). `make_room`: until no longer full;
** always finds something. *done = pages handled, 0 = nothing to do. */
LSM_MUST_USE int work_merge(struct work *work, uint32_t merge, uint32_t quota, bool make_room,
                            uint32_t *done);

/* If there are more free-list entries than a checkpoint may hold: write them out as a level of
** their own. */
LSM_MUST_USE int work_settle_freelist(struct work *work);

/* Give `next` its id and store it in both copies; it becomes `published`. Requires
** work_settle_freelist. */
LSM_MUST_USE int work_publish(struct work *work, struct shm *shm);

/* --- one level from records in order, in a database without levels (fill.c) --- */
struct work_fill;
LSM_MUST_USE int work_fill_new(struct work *work, struct work_fill **out);
void work_fill_free(struct work_fill *fill); /* NULL is accepted */
/* Keys strictly ascending; both are copied. */
LSM_MUST_USE int work_fill_add(struct work_fill *fill, struct slice key, struct slice value);
/* About so many bytes of the file are filled. */
uint64_t work_fill_bytes(const struct work_fill *fill);
/* The level becomes part of the private snapshot, together with `log`. Nothing may be added
** afterwards. */
LSM_MUST_USE int work_fill_finish(struct work_fill *fill, const struct log_position *log);

/* --- free blocks (block_alloc.c) --- */
/* Effective free list of a snapshot in ascending block order; returns non-zero from `visit` to
** stop. */
LSM_MUST_USE int freelist_walk(lsm_env *env, struct pager *pager, const struct snapshot *snapshot,
                               struct error_context *error,
                               int (*visit)(void *context, uint32_t block_no, int64_t snapshot_id),
                               void *context);
/* Highest block in use (for cutting the file at the last close). */
LSM_MUST_USE int freelist_last_used_block(lsm_env *env, struct pager *pager,
                                          const struct snapshot *snapshot,
                                          struct error_context *error, uint32_t *block_no);

#endif
