/*
** store.h — what one process knows about the runs of one database beyond the file: fences and filters.
**
**     fences    first key and number of each page of a run: one search in memory instead of a walk down the index
**     filter    a few bits per key: most runs that do not hold a key say so without a look at the file
**     ranges    range tombstones of the run: a filter must not hide that a key is hidden
**
** Together they are the notes of a run. They are made while a run is written, or little by little by reads of a
** run that somebody else wrote. All of it may be missing at any time: the file alone is always enough.
**
** GENERATIONS Page numbers are reused, so that another run may come to have the same ends and the same size. A run
**             is therefore known by these *and* by the snapshots that have it: the store is told of every
**             snapshot before it is published, forgets the runs that it lacks, and keeps for each run the
**             snapshot id it was first seen in. A reader of snapshot S is given notes first seen in S or before.
** OWNERSHIP   Notes are counted references and never change for those who hold them, but for bits of a filter
**             that are set for keys of later snapshots. The store lives as long as its last holder.
** THREADS     All functions may be called by several threads at once; a builder and a batch belong to one at a
**             time. Questions to notes take no lock.
** ERRORS      None: without memory there are no notes.
*/
#ifndef LSM_STORE_H
#define LSM_STORE_H

#include <stdatomic.h>

#include "base/types.h"
#include "format/format_snapshot.h"
#include "segment/segment.h"

struct store;       /* one per database */
struct run_notes;   /* of one run */
struct run_builder; /* makes them */

/* Enough for about 28 million keys in pages of 30, see store_builder.c. */
#define STORE_BUDGET_DEFAULT ((size_t)64 << 20)

/* --------------------------------------------------------------------------------- the store -- */

/* `budget` bytes for all notes, 0 = keep none. */
LSM_MUST_USE int store_open(lsm_env *env, uint64_t budget, struct store **out);
/* Forget everything. Nobody reads or writes the database any more; notes that are still held stay valid. */
void store_close(struct store *store); /* NULL is accepted */
/* Takes effect at once for notes that nobody reads. */
void store_set_budget(struct store *store, uint64_t budget);
size_t store_budget(const struct store *store);
/* Bytes in use, notes under construction and those of older snapshots included. */
size_t store_bytes(const struct store *store);

/* ------------------------------------------------------------------------------------- reading -- */

/* A reference to the notes of a run of snapshot `snapshot_id`, NULL if there are none. */
struct run_notes *store_find(struct store *store, const struct segment *run, int64_t snapshot_id);
/* A run without notes is being read: go on making some, by a few pages. Complete: a reference to them. *hopeless: do
** not ask again for this snapshot. */
struct run_notes *store_visit(struct store *store, const struct segment_view *view,
                              int64_t snapshot_id, bool *hopeless);

void run_notes_hold(struct run_notes *notes);
void run_notes_release(struct run_notes *notes); /* NULL is accepted */

uint64_t store_hash(struct slice key);

/* The filter of a run in its plainest form: one part, no ranges. words NULL = not that plain, ask
** run_notes_exclude. Valid as long as the notes. */
#define FILTER_BLOCK_WORDS 4u /* 32 bytes: half a cache line */
struct run_probe {
    const _Atomic uint64_t *words;
    uint32_t block_count;
};
struct run_probe run_notes_probe(const struct run_notes *notes);

/* The first word of a hash's block, and its two bits in each word; see store_filter.c. */
static inline uint64_t filter_block(uint32_t block_count, uint64_t hash) {
    return ((hash >> 32) * block_count >> 32) * FILTER_BLOCK_WORDS;
}
static inline uint64_t filter_bits(uint64_t hash) {
    return hash * 0x9e3779b97f4a7c15u >> 16;
}
static inline uint64_t filter_mask(uint64_t bits, uint32_t word) {
    return (uint64_t)1 << (bits >> (12 * word) & 63) | (uint64_t)1 << (bits >> (12 * word + 6) & 63);
}
/* The words of a block that contain all bits of the hash: else the key was never added. */
static inline bool filter_holds(const _Atomic uint64_t *block, uint64_t hash) {
    uint64_t bits = filter_bits(hash);
    uint64_t missing = 0;
    uint32_t i;
    for (i = 0; i < FILTER_BLOCK_WORDS; i++) {
        missing |= filter_mask(bits, i) & ~atomic_load_explicit(&block[i], memory_order_relaxed);
    }
    return missing == 0;
}
static inline void run_probe_prefetch(const struct run_probe *probe, uint64_t hash) {
    LSM_PREFETCH(&probe->words[filter_block(probe->block_count, hash)]);
}
static inline bool run_probe_excludes(const struct run_probe *probe, uint64_t hash) {
    return !filter_holds(&probe->words[filter_block(probe->block_count, hash)], hash);
}

/* Somebody asked these notes since the last time: the clock shall spare them. */
void run_notes_mark_used(struct run_notes *notes);
/* The run neither holds this user key, nor deletes it, nor hides it. False also without knowledge. */
bool run_notes_exclude(const struct run_notes *notes, struct slice key, uint64_t hash);
/* Is every key's page known? */
bool run_notes_fenced(const struct run_notes *notes);
/* Where segment_lookup_at finds the key. False: unknown. */
bool run_notes_place(const struct run_notes *notes, struct slice key, struct segment_place *out);
/* Keys in the filter, range bounds without a value not counted. */
uint64_t run_notes_keys(const struct run_notes *notes);
size_t run_notes_bytes(const struct run_notes *notes); /* shared parts included */

/* ------------------------------------------------------------------------------------- writing -- */

/* NULL if the budget is 0 or there is no memory. `expected_keys` sizes the filter, 0 = unknown. */
struct run_builder *run_builder_new(struct store *store, uint64_t expected_keys);
void run_builder_free(struct run_builder *builder); /* NULL is accepted */
/* What the writer of the run has to be given. */
struct segment_observer run_builder_observer(struct run_builder *builder);
/* The notes of what was told so far; NULL if they became too large. `last`: nothing follows. */
struct run_notes *run_builder_notes(struct run_builder *builder, bool last);

/* Notes of runs that a snapshot in the making has. Zeroed: empty, without a store: takes and drops all. */
struct store_batch {
    struct store *store;
    bool lost; /* a run could not be noted: what is known of others may be about a former run */
    uint32_t count;
    uint32_t capacity;
    struct store_batch_item *items;
};
/* To be called for every run that is written, with its builder, which is taken, or NULL. `complete`: nothing will
** be added to the run. */
void store_batch_add(struct store_batch *batch, const struct segment *run,
                     struct run_builder *builder, bool complete);
/* The run was moved: same content, other ends. */
void store_batch_move(struct store_batch *batch, const struct segment *from,
                      const struct segment *to, int64_t snapshot_id);
/* The builder that wrote `run`, or NULL; the caller's from now on. */
struct run_builder *store_batch_take_builder(struct store_batch *batch, const struct segment *run,
                                             int64_t snapshot_id);
/* How many keys the run has; a guess if it is not known. */
uint64_t store_batch_keys(struct store_batch *batch, const struct segment *run,
                          int64_t snapshot_id, const struct pager *pager);
/* `snapshot`, which has its id, will be published now: remember the batch, forget what is not in the snapshot. Empties
** the batch. */
void store_publish(struct store_batch *batch, const struct snapshot *snapshot);
void store_batch_release(struct store_batch *batch); /* zeroed objects are accepted */

#endif
