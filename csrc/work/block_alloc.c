/*
** block_alloc.c — free blocks: finding one that may be reused, giving blocks back, append points.
**
** The free list is stored inside the tree it serves: system records in the runs, overridden by
** entries in the checkpoint. Here it is walked backwards, because keys are complements: ascending
** block numbers.
**
** INVARIANTS  (I1) a block is taken only if the snapshot that needed it last is older than the
**             checkpoint on disk and than every snapshot a reader holds.
**             (I2) every change is noted twice: in `overlay` (what allocation sees) and in the
**             entries that the next snapshot stores.
*/
#include "base/bytes.h"
#include "base/memory.h"
#include "work/work_internal.h"

#define CANDIDATES_MAX 1024

/* ------------------------------------------------------------------------------ entry lists -- */

int freelist_set(lsm_env *env, struct freelist *freelist, uint32_t block_no, int64_t snapshot_id) {
    uint32_t at = freelist->count;

    while (at > 0 && freelist->entries[at - 1].block >= block_no) at--;
    if (at < freelist->count && freelist->entries[at].block == block_no) {
        freelist->entries[at].snapshot_id = snapshot_id;
        return LSM_OK;
    }
    if (freelist->count == freelist->capacity) {
        uint32_t capacity = freelist->capacity ? freelist->capacity * 2 : 32;
        struct freelist_entry *entries =
            memory_reallocate(env, freelist->entries, capacity * sizeof *entries);
        if (entries == NULL) return LSM_NOMEM;
        freelist->entries = entries;
        freelist->capacity = capacity;
    }
    memmove(&freelist->entries[at + 1], &freelist->entries[at],
            (freelist->count - at) * sizeof *freelist->entries);
    freelist->entries[at] = (struct freelist_entry){block_no, snapshot_id};
    freelist->count++;
    return LSM_OK;
}

static const struct freelist_entry *freelist_find(const struct freelist *freelist,
                                                  uint32_t block_no) {
    uint32_t low = 0;
    uint32_t high = freelist->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (freelist->entries[middle].block == block_no) return &freelist->entries[middle];
        if (freelist->entries[middle].block < block_no) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

int work_note_block(struct work *work, uint32_t block_no, int64_t snapshot_id) {
    struct freelist *stored = work->collecting ? &work->pending : &work->next.freelist;
    int rc = freelist_set(work->env, &work->overlay, block_no, snapshot_id);
    if (rc == LSM_OK) rc = freelist_set(work->env, stored, block_no, snapshot_id);
    work->changed = true;
    return rc;
}

/* ---------------------------------------------------------------------------------- walking -- */

/* Stored records of `snapshot` overridden by `overlay`, in ascending block order. */
static int walk(lsm_env *env, struct pager *pager, const struct snapshot *snapshot,
                const struct freelist *overlay, struct error_context *error,
                int (*visit)(void *context, uint32_t block_no, int64_t snapshot_id),
                void *context) {
    struct read_view view = {.env = env, .error = error, .pager = pager, .snapshot = snapshot};
    struct level_notes *notes = NULL;
    struct merge_cursor cursor;
    uint32_t at = 0;
    int rc;

    merge_cursor_init(&cursor, env);
    rc = level_notes_new(env, snapshot, &notes);
    if (rc != LSM_OK) goto done;
    view.notes = notes;
    rc = merge_cursor_open(&cursor, &view, TOPIC_SYSTEM);
    if (rc == LSM_OK) rc = merge_cursor_last(&cursor);
    while (rc == LSM_OK) {
        bool stored = cursor.valid;
        uint32_t block = 0;
        int64_t id = 0;

        if (stored) {
            struct slice value;
            if (cursor.key.size != 4) {
                rc = error_corrupt(error, 0, "free-list record with a key that is not 4 bytes");
                break;
            }
            block = ~get_u32(cursor.key.data);
            rc = merge_cursor_value(&cursor, &value);
            if (rc != LSM_OK) break;
            if (value.size != 8) {
                rc = error_corrupt(error, 0, "free-list record with a value that is not 8 bytes");
                break;
            }
            id = (int64_t)get_u64(value.data);
            if (block == 0 || block > snapshot->block_count) {
                rc = error_corrupt(error, 0, "free-list record of a block that does not exist");
                break;
            }
        }
        /* Entries that come before the stored block, or replace it. */
        if (at < overlay->count && (!stored || overlay->entries[at].block <= block)) {
            const struct freelist_entry *entry = &overlay->entries[at++];
            if (stored && entry->block == block) rc = merge_cursor_prev(&cursor);
            if (rc == LSM_OK && entry->snapshot_id != -1) {
                rc = visit(context, entry->block, entry->snapshot_id);
            }
            continue;
        }
        if (!stored) break;
        rc = visit(context, block, id);
        if (rc == LSM_OK) rc = merge_cursor_prev(&cursor);
    }
done:
    merge_cursor_release(&cursor);
    level_notes_free(notes);
    return rc;
}

int freelist_walk(lsm_env *env, struct pager *pager, const struct snapshot *snapshot,
                  struct error_context *error,
                  int (*visit)(void *context, uint32_t block_no, int64_t snapshot_id),
                  void *context) {
    return walk(env, pager, snapshot, &snapshot->freelist, error, visit, context);
}

/* The free blocks form a set; the highest block that is not in it ends the used part of the
** file. */
struct tail_search {
    uint32_t run_start; /* first block of the run of free blocks that ends at `run_end` */
    uint32_t run_end;
};

static int visit_tail(void *context, uint32_t block_no, int64_t snapshot_id) {
    struct tail_search *search = context;
    (void)snapshot_id;
    if (block_no != search->run_end + 1 || search->run_end == 0) search->run_start = block_no;
    search->run_end = block_no;
    return LSM_OK;
}

int freelist_last_used_block(lsm_env *env, struct pager *pager, const struct snapshot *snapshot,
                             struct error_context *error, uint32_t *block_no) {
    struct tail_search search = {0};
    int rc = freelist_walk(env, pager, snapshot, error, visit_tail, &search);

    if (rc != LSM_OK) return rc;
    *block_no = search.run_end == snapshot->block_count && search.run_end > 0
                    ? search.run_start - 1
                    : snapshot->block_count;
    return LSM_OK;
}

/* ------------------------------------------------------------------------------- allocating -- */

#define STOP_WALK 1 /* never leaves this file: it is no result of anybody else */

struct candidate_search {
    struct work *work;
    int64_t limit;
};

static int visit_candidate(void *context, uint32_t block_no, int64_t snapshot_id) {
    struct candidate_search *search = context;
    struct work *work = search->work;

    if (snapshot_id >= search->limit) return LSM_OK;
    if (work->candidate_count == CANDIDATES_MAX) return STOP_WALK;
    work->candidates[work->candidate_count++] = block_no;
    return LSM_OK;
}

/* Without a checkpoint on disk the first one may be under way, or in a meta page that a failed sync left unproved:
** whatever a snapshot has used stays. Blocks that none has (id 0) may be taken. */
int64_t work_reuse_limit(const struct work *work) {
    int64_t limit = work->limits.checkpoint_id ? work->limits.checkpoint_id : 1;
    return work->limits.oldest_reader < limit ? work->limits.oldest_reader : limit;
}

void work_forget_candidates(struct work *work) {
    work->candidates_loaded = false;
    work->candidate_count = 0;
    work->candidate_at = 0;
}

static int load_candidates(struct work *work) {
    struct candidate_search search = {work, work_reuse_limit(work)};
    int rc;

    if (work->candidates == NULL) {
        work->candidates = memory_allocate(work->env, CANDIDATES_MAX * sizeof *work->candidates);
        if (work->candidates == NULL) return LSM_NOMEM;
    }
    work->candidate_count = 0;
    work->candidate_at = 0;
    rc = walk(work->env, work->pager, &work->published, &work->overlay, work->error,
              visit_candidate, &search);
    work->candidates_complete = rc == LSM_OK;
    work->candidates_loaded = rc == LSM_OK || rc == STOP_WALK;
    return rc == STOP_WALK ? LSM_OK : rc;
}

static int find_reusable(struct work *work, uint32_t *block_no) {
    int rc;

    *block_no = 0;
    if (work->limits.detached_readers) return LSM_OK;
    for (;;) {
        if (!work->candidates_loaded) {
            rc = load_candidates(work);
            if (rc != LSM_OK) return rc;
        }
        while (work->candidate_at < work->candidate_count) {
            uint32_t block = work->candidates[work->candidate_at++];
            const struct freelist_entry *entry = freelist_find(&work->overlay, block);
            if (entry && entry->snapshot_id == -1) continue; /* taken meanwhile */
            *block_no = block;
            return LSM_OK;
        }
        if (work->candidates_complete) return LSM_OK;
        work->candidates_loaded = false;
    }
}

static int allocate(void *context, uint32_t *block_no) {
    struct work *work = context;
    uint32_t block;
    int rc;

    rc = find_reusable(work, &block);
    if (rc != LSM_OK) return rc;
    if (block != 0) {
        rc = work_note_block(work, block, -1);
        if (rc != LSM_OK) return rc;
    } else {
        if (work->next.block_count == UINT32_MAX) {
            return error_note(work->error, LSM_FULL, "no more block numbers");
        }
        block = ++work->next.block_count;
        work->changed = true;
        pager_set_block_limit(work->pager, work->next.block_count);
    }
    *block_no = block;
    return LSM_OK;
}

/* Never used: at once reusable, by the search from the beginning. */
static int give_back(void *context, uint32_t block_no) {
    struct work *work = context;
    int rc = work_note_block(work, block_no, 0);
    work_forget_candidates(work);
    return rc;
}

void work_block_source(struct work *work, struct block_source *source) {
    *source = (struct block_source){work, allocate, give_back};
}

/* ---------------------------------------------------------------------------------- freeing -- */

static bool segment_touches(const struct work *work, const struct segment *segment,
                            uint32_t block_no) {
    return segment->first != 0 && (pager_block_of(work->pager, segment->first) == block_no ||
                                   pager_block_of(work->pager, segment->last) == block_no);
}

static bool block_needed(const struct work *work, uint32_t block_no) {
    const struct snapshot *next = &work->next;
    uint32_t i;
    uint32_t j;

    for (i = 0; i < next->level_count; i++) {
        const struct level *level = &next->levels[i];
        if (segment_touches(work, &level->left, block_no)) return true;
        for (j = 0; j < level->right_count; j++) {
            if (segment_touches(work, &level->right[j], block_no)) return true;
        }
    }
    return false;
}

/* Its append points go, the others move up. */
static void forget_append_points(struct work *work, uint32_t block_no) {
    uint64_t *append = work->next.append;
    uint32_t from;
    uint32_t to = 0;

    for (from = 0; from < APPEND_POINTS; from++) {
        uint64_t page_no = append[from];
        if (page_no == 0 || pager_block_of(work->pager, page_no) == block_no) continue;
        append[to++] = page_no;
    }
    while (to < APPEND_POINTS) append[to++] = 0;
}

int work_free_block(struct work *work, uint32_t block_no) {
    if (block_needed(work, block_no)) return LSM_OK;
    forget_append_points(work, block_no);
    return work_note_block(work, block_no, work->published.id);
}

int work_free_chain(struct work *work, uint32_t block_no, uint32_t stop,
                    const struct redirects *redirects) {
    uint32_t block = block_no;
    uint32_t steps = 0;
    int rc = LSM_OK;

    while (rc == LSM_OK && block != stop) {
        uint32_t following = 0;
        rc = pager_next_block(work->pager, redirects, block, work->error, &following);
        if (rc == LSM_OK && ++steps > work->next.block_count) {
            rc = error_corrupt(work->error, 0, "blocks of a run form a circle");
        }
        if (rc == LSM_OK) rc = work_free_block(work, block);
        block = following;
    }
    return rc;
}

int work_free_segment(struct work *work, const struct segment *segment,
                      const struct redirects *redirects) {
    uint32_t last = pager_block_of(work->pager, segment->last);
    int rc = work_free_chain(work, pager_block_of(work->pager, segment->first), last, redirects);

    return rc == LSM_OK ? work_free_block(work, last) : rc;
}

/* ---------------------------------------------------------------------------- append points -- */

uint64_t work_take_append_point(struct work *work, const struct segment *inputs, uint32_t count) {
    uint64_t *append = work->next.append;
    uint32_t slot;
    uint32_t i;

    for (slot = APPEND_POINTS; slot-- > 0;) {
        uint64_t page_no = append[slot];
        bool soon_free = false;
        if (page_no == 0) continue;
        for (i = 0; i < count && !pager_is_compressed(work->pager); i++) {
            if (pager_block_of(work->pager, inputs[i].last) ==
                pager_block_of(work->pager, page_no)) {
                soon_free = true;
            }
        }
        if (soon_free) continue;
        append[slot] = 0;
        return page_no;
    }
    return 0;
}

void work_put_append_point(struct work *work, uint64_t page_no) {
    uint32_t slot;

    if (page_no == 0) return;
    for (slot = 0; slot < APPEND_POINTS; slot++) {
        if (work->next.append[slot] == 0) {
            work->next.append[slot] = page_no;
            return;
        }
    }
}
