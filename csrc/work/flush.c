/*
** flush.c — a new top level from what is in memory.
**
**     inputs, newest first          the new run also holds
**     live tree, old tree           their records
**     free-list entries             as system records; the list in the snapshot becomes empty
**     a free-list-only level below  swallowed whole, so that such levels never pile up
**     index of the level below      as separators with pointers; that level's own root becomes 0
**
** INVARIANTS  an index is absorbed only if the level is finished, has a root, and no unfinished
**             merge reads it (the level directly below the new one never is the extra input of a
**             merge above: nothing is above).
*/
#include "base/memory.h"
#include "work/work_internal.h"

/* Is the level below the new run one to be swallowed? */
static bool swallows(const struct snapshot *next) {
    return next->level_count > 0 && next->levels[0].right_count == 0 &&
           (next->levels[0].flags & LEVEL_FREELIST_ONLY);
}

static int add_inputs(struct merge_run *run, const struct memtree *live, const struct memtree *old,
                      bool swallow, bool absorb) {
    struct work *work = run->work;
    struct snapshot *next = &work->next;
    uint32_t i;
    int rc = LSM_OK;

    if (live && !memtree_is_empty(live)) merge_item_init_tree(merge_run_add(run), work, live);
    if (old && !memtree_is_empty(old)) merge_item_init_tree(merge_run_add(run), work, old);
    if (next->freelist.count > 0) {
        rc = merge_item_init_freelist(merge_run_add(run), work, &next->freelist);
        if (rc != LSM_OK) return rc;
    }
    if (swallow) {
        struct segment_view view =
            work_view(work, &next->levels[0].left, work_redirects(next, 0, UINT32_MAX));
        merge_item_init_segment(merge_run_add(run), work, &view, false);
    }
    if (absorb) {
        struct segment_view view =
            work_view(work, &next->levels[0].left, work_redirects(next, 0, UINT32_MAX));
        run->pointer_item = run->item_count;
        run->current_pointer = next->levels[0].left.first;
        merge_item_init_index(merge_run_add(run), work, &view);
    }
    for (i = 0; i < run->item_count && rc == LSM_OK; i++) rc = merge_item_first(&run->items[i]);
    return rc;
}

/* The changes collected meanwhile are the entries of the next snapshot. */
static void take_pending(struct work *work) {
    struct freelist taken = work->next.freelist;
    work->next.freelist = work->pending;
    taken.count = 0;
    work->pending = taken;
    work->collecting = false;
}

int work_flush(struct work *work, const struct memtree *live, const struct memtree *old,
               const struct log_position *log) {
    struct snapshot *next = &work->next;
    struct segment_writer_config config = {.pager = work->pager, .error = work->error};
    struct merge_run run = {0};
    struct level level = {0};
    bool freelist_only = (live == NULL || memtree_is_empty(live)) &&
                         (old == NULL || memtree_is_empty(old));
    bool swallow = swallows(next);
    /* Pointers lead to the level directly below; under a swallowed one no index is taken over. */
    bool absorb = !freelist_only && !swallow && next->level_count > 0 &&
                  next->levels[0].right_count == 0 && next->levels[0].left.root != 0;
    bool exhausted;
    uint64_t append_point = 0;
    int rc;

    next->log = *log;
    work->changed = true;
    work->collecting = true;
    work_block_source(work, &config.blocks);
    rc = merge_run_init(&run, work, 5);
    if (rc != LSM_OK) goto done;
    rc = add_inputs(&run, live, old, swallow, absorb);
    if (rc != LSM_OK) goto done;
    run.oldest = next->level_count == (swallow ? 1u : 0u);
    config.first_pointer = run.current_pointer;
    config.append_point = work_take_append_point(work, swallow ? &next->levels[0].left : NULL,
                                                 swallow ? 1 : 0);
    rc = segment_writer_new(work->env, &config, &run.writer);
    if (rc != LSM_OK) goto done;
    merge_run_listen(&run, run_builder_new(work->notes.store, 0));
    rc = merge_run_go(&run, UINT32_MAX, &exhausted);
    if (rc != LSM_OK) goto done;
    work->pages_written += segment_writer_data_pages(run.writer);
    next->pages_written += segment_writer_data_pages(run.writer);
    rc = segment_writer_finish(run.writer, &level.left, &append_point);
    if (rc != LSM_OK) goto done;
    store_batch_add(&work->notes, &level.left, merge_run_take_builder(&run), true);

    /* The new level first: it may lie on the last block of the swallowed one, which then stays in
    ** use. */
    if (level.left.first != 0) {
        if (absorb) next->levels[0].left.root = 0;
        level.flags = run.user_records == 0 ? LEVEL_FREELIST_ONLY : 0;
        rc = work_insert_level(work, 0, &level);
        if (rc != LSM_OK) goto done;
    } else {
        work_put_append_point(work, config.append_point); /* nothing was put there */
    }
    if (swallow) {
        uint32_t index = level.left.first != 0 ? 1 : 0;
        struct segment swallowed = next->levels[index].left;
        struct redirects redirects = next->redirects;
        bool redirected = index + 1 == next->level_count;
        work_remove_level(work, index);
        rc = work_free_segment(work, &swallowed, redirected ? &redirects : NULL);
        if (rc != LSM_OK) goto done;
        if (redirected) next->redirects.count = 0;
    }
    if (level.left.first != 0) work_put_append_point(work, append_point);
    take_pending(work);
done:
    merge_run_release(&run);
    work->collecting = false;
    if (rc == LSM_OK && level.left.first != 0 && work->hook) work->hook(work->hook_context);
    return rc;
}

int work_settle_freelist(struct work *work) {
    uint32_t rounds = 0;
    uint32_t done;
    int rc = LSM_OK;

    while (rc == LSM_OK && work->next.freelist.count > work->config.max_freelist) {
        while (rc == LSM_OK && merge_policy_segments(&work->next) >= SEGMENTS_MAX) {
            rc = work_merge(work, work->config.automerge, 16, true, &done);
        }
        if (rc != LSM_OK) break;
        rc = work_flush(work, NULL, NULL, &work->next.log);
        /* Writing the level takes and frees a block itself: under a tiny limit that never ends.
        ** What fits a snapshot will do. */
        if (++rounds >= 3 && work->next.freelist.count <= FREELIST_ENTRIES_MAX) break;
    }
    return rc;
}
