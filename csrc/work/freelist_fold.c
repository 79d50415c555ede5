/*
** freelist_fold.c — free-list-only levels above the only level of a compact database: moved into
** the snapshot's entries when they fit there.
**
**     before   {F: records of 5, 6, 9} {user data, with records of 2, 5}     entries: 7
**     after    {user data, with records of 2, 5}                            entries: 6, 7, 9
**
** The new entries are the difference between the effective list and the records of the level that
** stays.
**
** INVARIANTS  (I1) the effective list is the same before and after, but for the blocks of F that
**             become free.
**             (I2) nothing is folded unless all entries fit with the blocks of F counted, so that
**             no new free-list-only level has to be written at once.
** COST        Two walks over the free list. It is done only where a whole database was merged into
**             one level.
*/
#include "base/memory.h"
#include "work/work_internal.h"

bool work_is_compact(const struct snapshot *snapshot) {
    uint32_t i;

    for (i = 0; i < snapshot->level_count; i++) {
        if (snapshot->levels[i].right_count > 0) return false;
        if (i + 1 < snapshot->level_count && !(snapshot->levels[i].flags & LEVEL_FREELIST_ONLY)) {
            return false;
        }
    }
    return snapshot->level_count > 0;
}

/* Blocks of a walk, collected in ascending order. */
struct collection {
    lsm_env *env;
    struct freelist list;
};

static int collect(void *context, uint32_t block_no, int64_t snapshot_id) {
    struct collection *collection = context;
    return freelist_set(collection->env, &collection->list, block_no, snapshot_id);
}

/* Entries that make `stored` into `wanted`, at most `limit`; *fits = false if there are more. */
static int difference(lsm_env *env, const struct freelist *stored, const struct freelist *wanted,
                      uint32_t limit, struct freelist *out, bool *fits) {
    uint32_t at = 0;
    uint32_t to = 0;
    int rc = LSM_OK;

    *fits = true;
    while (rc == LSM_OK && *fits && (at < stored->count || to < wanted->count)) {
        const struct freelist_entry *have = at < stored->count ? &stored->entries[at] : NULL;
        const struct freelist_entry *want = to < wanted->count ? &wanted->entries[to] : NULL;

        if (have && (!want || have->block < want->block)) {
            rc = freelist_set(env, out, have->block, -1);
            at++;
        } else {
            bool same = have && have->block == want->block;
            if (!same || have->snapshot_id != want->snapshot_id) {
                rc = freelist_set(env, out, want->block, want->snapshot_id);
            }
            if (same) at++;
            to++;
        }
        *fits = out->count <= limit;
    }
    return rc;
}

/* Blocks in the chains of all levels but the last. */
static int count_blocks(struct work *work, uint32_t *count) {
    const struct snapshot *next = &work->next;
    uint32_t i;
    int rc = LSM_OK;

    *count = 0;
    for (i = 0; i + 1 < next->level_count; i++) {
        uint32_t block = pager_block_of(work->pager, next->levels[i].left.first);
        uint32_t last = pager_block_of(work->pager, next->levels[i].left.last);
        ++*count;
        while (block != last) {
            rc = pager_next_block(work->pager, NULL, block, work->error, &block);
            if (rc != LSM_OK) return rc;
            if (++*count > next->block_count) {
                return error_corrupt(work->error, 0, "blocks of a run form a circle");
            }
        }
    }
    return rc;
}

/* Delete all levels but the last. */
static int delete_levels(struct work *work) {
    int rc = LSM_OK;

    while (rc == LSM_OK && work->next.level_count > 1) {
        struct segment segment = work->next.levels[0].left;
        work_remove_level(work, 0);
        rc = work_free_segment(work, &segment, NULL);
    }
    return rc;
}

int work_fold_freelist(struct work *work, bool *folded) {
    struct snapshot *next = &work->next;
    struct snapshot last_alone = *next; /* borrows; read only */
    struct freelist nothing = {0};
    struct collection stored = {.env = work->env};
    struct collection wanted = {.env = work->env};
    struct freelist entries = {0};
    uint32_t block_count = 0;
    bool fits = false;
    int rc = LSM_OK;

    *folded = false;
    if (next->level_count < 2 || !work_is_compact(next)) return LSM_OK;
    last_alone.levels += next->level_count - 1;
    last_alone.level_count = 1;
    last_alone.freelist = nothing;
    rc = count_blocks(work, &block_count);
    if (rc != LSM_OK || block_count > work->config.max_freelist) goto done;
    rc = freelist_walk(work->env, work->pager, &last_alone, work->error, collect, &stored);
    if (rc == LSM_OK) {
        rc = freelist_walk(work->env, work->pager, next, work->error, collect, &wanted);
    }
    if (rc == LSM_OK) {
        rc = difference(work->env, &stored.list, &wanted.list,
                        work->config.max_freelist - block_count, &entries, &fits);
    }
    if (rc != LSM_OK || !fits) goto done;

    memory_free(work->env, next->freelist.entries);
    next->freelist = entries;
    entries = nothing;
    rc = delete_levels(work);
    *folded = rc == LSM_OK;
done:
    memory_free(work->env, stored.list.entries);
    memory_free(work->env, wanted.list.entries);
    memory_free(work->env, entries.entries);
    return rc;
}
