/*
** block_move.c — shortening the file: the highest block of the only segment moves down.
**
**     blocks  1      2      3      4      5      6              redirects
**     before  [A 1]  free   [A 2]  free   free   [A 3]          -
**     after   [A 1]  [A 3]  [A 2]  free   free   free           6 -> 2
**
** Page numbers and links inside pages keep their values; a redirect tells readers of this run where
** the block is now. Free-list-only levels above the run do not matter to it, but one that lies on
** the last block of the file keeps the file long: then that level is written anew, further in
** front. There are few redirects, so a run of which more blocks lie too far behind is written anew as a whole
** (merge_step.c).
**
** INVARIANTS  (I1) only the oldest run is moved, and only when nothing is being merged.
**             (I2) the block moved to is lower than the one moved from, reusable, not block 1, and
**             not the old place of another block: pairs never lead from one to the next.
**             (I3) a block is free after the move only if no other segment has a part of it.
*/
#include "work/work_internal.h"

#define GAIN_PART 4 /* a run is written anew only if the file becomes shorter by this part of the run */

struct target_search {
    const struct redirects *redirects;
    int64_t limit;
    uint32_t skip;   /* so many are found before */
    uint32_t target;
};

#define STOP_WALK 1 /* never leaves this file: it is no result of anybody else */

static int visit_target(void *context, uint32_t block_no, int64_t snapshot_id) {
    struct target_search *search = context;

    if (block_no <= 1 || snapshot_id >= search->limit) return LSM_OK;
    if (pager_redirect_block(search->redirects, block_no) != block_no) return LSM_OK;
    if (search->skip-- > 0) return LSM_OK;
    search->target = block_no;
    return STOP_WALK;
}

/* Of the blocks that may be moved to, the lowest but `skip`; 0 = none. */
static int find_target(struct work *work, uint32_t skip, uint32_t *target) {
    struct target_search search = {&work->next.redirects, work_reuse_limit(work), skip, 0};
    int rc = freelist_walk(work->env, work->pager, &work->next, work->error, visit_target, &search);

    if (rc == STOP_WALK) rc = LSM_OK;
    if (rc == LSM_OK) *target = search.target;
    return rc;
}

struct run_blocks {
    uint32_t count;
    uint32_t behind;  /* of them, behind a certain block */
    uint32_t highest;
};

/* The blocks of a finished level. */
static int walk_blocks(struct work *work, uint32_t level_index, uint32_t certain, struct run_blocks *out) {
    const struct segment *segment = &work->next.levels[level_index].left;
    const struct redirects *redirects = work_redirects(&work->next, level_index, UINT32_MAX);
    uint32_t block = pager_block_of(work->pager, segment->first);
    uint32_t last = pager_block_of(work->pager, segment->last);
    int rc;

    *out = (struct run_blocks){0};
    for (;;) {
        out->count++;
        if (block > certain) out->behind++;
        if (block > out->highest) out->highest = block;
        if (block == last) return LSM_OK;
        rc = pager_next_block(work->pager, redirects, block, work->error, &block);
        if (rc != LSM_OK) return rc;
        if (out->count > work->next.block_count) {
            return error_corrupt(work->error, segment->first, "blocks of a run form a circle");
        }
    }
}

static uint64_t moved(const struct work *work, uint64_t page_no, uint32_t from, uint32_t to) {
    uint64_t unit = pager_is_compressed(work->pager)
                        ? work->next.block_size
                        : work->next.block_size / work->next.page_size;
    if (page_no == 0 || pager_block_of(work->pager, page_no) != from) return page_no;
    return page_no - (uint64_t)(from - to) * unit;
}

static bool is_moved_block(const struct redirects *redirects, uint32_t block_no) {
    uint32_t i;
    for (i = 0; i < redirects->count; i++) {
        if (redirects->pairs[i].to == block_no) return true;
    }
    return false;
}

/* The list stays ascending by `from`. A block that moves again keeps its pair. */
static void add_redirect(struct redirects *redirects, uint32_t from, uint32_t to) {
    uint32_t at;

    for (at = 0; at < redirects->count; at++) {
        if (redirects->pairs[at].to == from) {
            redirects->pairs[at].to = to;
            return;
        }
    }
    assert(redirects->count < REDIRECTS_MAX);
    at = redirects->count++;
    while (at > 0 && redirects->pairs[at - 1].from > from) {
        redirects->pairs[at] = redirects->pairs[at - 1];
        at--;
    }
    redirects->pairs[at] = (struct redirect){from, to};
}

static int move_block(struct work *work, uint32_t from, uint32_t to) {
    struct snapshot *next = &work->next;
    struct segment *segment = &next->levels[next->level_count - 1].left;
    struct segment before = *segment;
    uint32_t i;
    int rc;

    rc = pager_copy_block(work->pager, from, to, work->error);
    if (rc == LSM_OK) rc = work_note_block(work, to, -1);
    if (rc != LSM_OK) return rc;
    segment->first = moved(work, segment->first, from, to);
    segment->last = moved(work, segment->last, from, to);
    segment->root = moved(work, segment->root, from, to);
    for (i = 0; i < APPEND_POINTS; i++) {
        next->append[i] = moved(work, next->append[i], from, to);
    }
    add_redirect(&next->redirects, from, to);
    store_batch_move(&work->notes, &before, segment, work->published.id);
    return work_free_block(work, from); /* (I3) */
}

/* Write the free-list-only level at the top anew, at the lowest free block. */
static int rewrite_freelist_level(struct work *work) {
    struct snapshot *next = &work->next;
    uint64_t append[APPEND_POINTS];
    const struct segment *data = &next->levels[next->level_count - 1].left;
    uint32_t data_block = pager_block_of(work->pager, data->last);
    uint32_t i;
    int rc;

    /* Append points would draw it to the high blocks; but the one behind the data is worth
    ** keeping. */
    memcpy(append, next->append, sizeof append);
    memset(next->append, 0, sizeof next->append);
    rc = work_flush(work, NULL, NULL, &next->log);
    for (i = 0; i < APPEND_POINTS && rc == LSM_OK; i++) {
        if (append[i] && pager_block_of(work->pager, append[i]) == data_block) {
            work_put_append_point(work, append[i]);
        }
    }
    return rc;
}

int work_wants_rewrite(struct work *work, bool *wanted) {
    struct snapshot *next = &work->next;
    struct run_blocks blocks;
    uint32_t end = 0; /* of the file afterwards: one more than needed is free in front of it */
    int rc;

    *wanted = false;
    if (!work_is_compact(next) || work->limits.detached_readers) return LSM_OK;
    rc = walk_blocks(work, next->level_count - 1, UINT32_MAX, &blocks);
    if (rc == LSM_OK) rc = find_target(work, blocks.count, &end);
    if (rc != LSM_OK || end == 0) return rc;
    if (blocks.highest < end || blocks.highest - end < blocks.count / GAIN_PART) return LSM_OK;
    rc = walk_blocks(work, next->level_count - 1, end, &blocks);
    if (rc == LSM_OK) *wanted = blocks.behind > REDIRECTS_MAX - next->redirects.count;
    return rc;
}

int work_move_block(struct work *work, uint32_t *pages) {
    struct snapshot *next = &work->next;
    uint32_t block_pages = next->block_size / next->page_size;
    struct run_blocks data, freelist = {0};
    uint32_t target = 0;
    uint32_t from, freelist_block;
    int rc;

    *pages = 0;
    if (!work_is_compact(next) || work->limits.detached_readers) return LSM_OK;
    rc = walk_blocks(work, next->level_count - 1, 0, &data);
    if (rc == LSM_OK && next->level_count > 1) rc = walk_blocks(work, 0, 0, &freelist);
    if (rc == LSM_OK) rc = find_target(work, 0, &target);
    if (rc != LSM_OK || target == 0) return rc;
    from = data.highest;
    freelist_block = freelist.highest;

    if (next->level_count == 2 && freelist_block >= from && target < freelist_block &&
        pager_block_of(work->pager, next->levels[0].left.first) == freelist_block &&
        next->levels[0].left.size <= (uint64_t)(pager_is_compressed(work->pager)
                                                    ? next->block_size / 2
                                                    : block_pages / 2)) {
        *pages = 1;
        return rewrite_freelist_level(work);
    }
    if (from <= target || from <= 1) return LSM_OK;
    if (next->redirects.count >= REDIRECTS_MAX && !is_moved_block(&next->redirects, from)) {
        return LSM_OK;
    }
    if (from == freelist_block) return LSM_OK; /* the file would not become shorter */
    rc = move_block(work, from, target);
    if (rc != LSM_OK) return rc;
    *pages = block_pages;
    next->pages_written += *pages;
    work->pages_written += *pages;
    return LSM_OK;
}
