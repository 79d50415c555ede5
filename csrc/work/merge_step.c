/*
** merge_step.c — merging in slices: set up, continue, interrupt, finish.
**
**     before   {age a: A} {age a: B} | {N}           two finished levels above N
**     set up   {age a+1: out=empty <- A, B} | {N}    N's index is read along, if it has one
**     slices   {age a+1: out=1..k  <- A, B} | {N}    keys below the split key are in `out`, others in A and B
**     finished {age a+1: out} | {N, root 0}          blocks of A and B are free, N's index is absorbed
**
** INVARIANTS  (I1) between slices everything needed to go on is in the level record; any process, of this engine or
**             another, may continue.
**             (I2) pages that a published snapshot refers to are not changed: each slice starts a new page.
** ERRORS      the private snapshot is useless after a failure and must be thrown away.
*/
#include "base/memory.h"
#include "work/work_internal.h"

/* Make `count` finished levels from `first` on one unfinished level with those inputs. */
static int set_up(struct work *work, uint32_t first, uint32_t count) {
    struct snapshot *next = &work->next;
    struct level level = {0};
    bool freelist_only = true;
    bool absorb;
    uint32_t below = first + count;
    uint32_t i;
    int rc = LSM_OK;

    for (i = 0; i < count; i++) {
        const struct level *input = &next->levels[first + i];
        assert(input->right_count == 0);
        if (!(input->flags & LEVEL_FREELIST_ONLY)) freelist_only = false;
    }
    absorb = below < next->level_count && next->levels[below].right_count == 0 &&
             next->levels[below].left.root != 0 &&
             (!freelist_only || (next->levels[below].flags & LEVEL_FREELIST_ONLY));
    /* Ages from newest to oldest do not fall: the sum of ages a is a + 1, but never above its neighbour. */
    level.age = (uint16_t)(next->levels[first].age + 1);
    level.flags = freelist_only ? LEVEL_FREELIST_ONLY : 0;
    level.right_count = count;
    level.merge.input_count = count + (absorb ? 1 : 0);
    level.right = memory_allocate(work->env, count * sizeof *level.right);
    level.merge.inputs = memory_allocate_zero(work->env, (count + 1) * sizeof *level.merge.inputs);
    if (level.right == NULL || level.merge.inputs == NULL) {
        rc = LSM_NOMEM;
        goto done;
    }
    for (i = 0; i < count; i++) {
        level.right[i] = next->levels[first + i].left;
        level.merge.inputs[i] = (struct merge_input){level.right[i].first, 0};
    }
    for (i = 0; i < count; i++) work_remove_level(work, first);
    rc = work_insert_level(work, first, &level);
done:
    if (rc != LSM_OK) level_release(work->env, &level);
    return rc;
}

/* Has the merge not written anything yet? */
static bool is_fresh(const struct level *level) {
    return level->left.first == 0;
}

/* Page pointer of the first page of the oldest input, for the first page of the output. */
static int oldest_input_pointer(struct work *work, const struct segment_view *view, uint64_t *out) {
    struct page page = {0};
    struct page_footer footer;
    int rc;

    rc = pager_get(work->pager, view->redirects, view->segment->first, work->error, &page);
    if (rc != LSM_OK) return rc;
    rc = format_page_footer(page.data, page.size, page.page_no, work->error, &footer);
    if (rc == LSM_OK) *out = footer.pointer;
    pager_put(work->pager, &page);
    return rc;
}

/* Open the inputs where they stand, and the output. */
static int open_run(struct work *work, uint32_t index, struct merge_run *run,
                    uint64_t *append_point) {
    struct snapshot *next = &work->next;
    struct level *level = &next->levels[index];
    struct segment_writer_config config = {.pager = work->pager, .error = work->error};
    bool has_below = index + 1 < next->level_count;
    bool absorb = level->merge.input_count > level->right_count;
    uint32_t i;
    int rc;

    rc = merge_run_init(run, work, level->right_count + 1);
    if (rc != LSM_OK) return rc;
    run->oldest = !has_below;
    run->want_index = index > 0 && is_fresh(level);
    for (i = 0; i < level->right_count; i++) {
        bool supplies = has_below && !absorb && i + 1 == level->right_count;
        struct segment_view view =
            work_view(work, &level->right[i], work_redirects(next, index, i));
        if (supplies) run->pointer_item = i;
        merge_item_init_segment(merge_run_add(run), work, &view, supplies);
    }
    if (absorb) {
        struct segment_view view = work_view(work, &next->levels[index + 1].left,
                                             work_redirects(next, index + 1, UINT32_MAX));
        run->pointer_item = run->item_count;
        merge_item_init_index(merge_run_add(run), work, &view);
    }
    run->current_pointer = level->merge.current_pointer;
    if (is_fresh(level)) {
        if (absorb) {
            run->current_pointer = next->levels[index + 1].left.first;
        } else if (has_below) {
            struct segment_view view = run->items[level->right_count - 1].segment.view;
            rc = oldest_input_pointer(work, &view, &run->current_pointer);
            if (rc != LSM_OK) return rc;
        }
    }
    for (i = 0; i < run->item_count; i++) {
        rc = is_fresh(level) ? merge_item_first(&run->items[i])
                             : merge_item_restore(&run->items[i], &level->merge.inputs[i]);
        if (rc != LSM_OK) return rc;
    }
    work_block_source(work, &config.blocks);
    config.first_pointer = run->current_pointer;
    if (is_fresh(level)) {
        config.append_point = work_take_append_point(work, level->right, level->right_count);
        *append_point = config.append_point;
        return segment_writer_new(work->env, &config, &run->writer);
    }
    return segment_writer_resume(work->env, &config, &level->left, level->merge.skip,
                                 level->merge.current_pointer, &run->writer);
}

/* The place of the smallest key not yet merged; every input's place with it. */
static void save_positions(struct level *level, const struct merge_run *run) {
    uint32_t smallest = merge_run_smallest(run);
    uint32_t i;

    for (i = 0; i < run->item_count; i++) {
        const struct merge_item *item = &run->items[i];
        struct merge_input *saved = &level->merge.inputs[i];
        if (!item->valid) {
            *saved = (struct merge_input){0, 0};
        } else if (item->kind == INPUT_INDEX) {
            index_cursor_save(&item->index, saved);
        } else {
            *saved = (struct merge_input){item->segment.page.page_no, item->segment.cell};
        }
    }
    /* Among inputs with that key the first one counts, as readers look it up by its page. */
    if (run->items[smallest].kind == INPUT_INDEX) {
        const struct index_cursor *cursor = &run->items[smallest].index;
        uint32_t depth = cursor->depth;
        while (depth > 1 && cursor->cells[depth - 1] < 0) depth--;
        level->merge.split_page = cursor->pages[depth - 1].page_no;
        level->merge.split_cell = (uint32_t)cursor->cells[depth - 1];
    } else {
        level->merge.split_page = level->merge.inputs[smallest].page;
        level->merge.split_cell = level->merge.inputs[smallest].cell;
    }
    level->merge.current_pointer = run->current_pointer;
}

/* The inputs are used up: their blocks are free, the output is the level. */
static int finish(struct work *work, uint32_t index, struct merge_run *run,
                  uint64_t unused_append_point) {
    struct snapshot *next = &work->next;
    struct level *level = &next->levels[index];
    struct segment *inputs = level->right;
    uint32_t input_count = level->right_count;
    bool absorb = level->merge.input_count > level->right_count;
    bool oldest = index + 1 == next->level_count;
    struct redirects redirects = next->redirects;
    struct segment output = {0};
    uint64_t append_point = 0;
    uint32_t i;
    int rc;

    rc = segment_writer_finish(run->writer, &output, &append_point);
    if (rc != LSM_OK) return rc;
    level->left = output;
    level->right = NULL;
    level->right_count = 0;
    memory_free(work->env, level->merge.inputs);
    level->merge = (struct merge_state){0};
    if (absorb) next->levels[index + 1].left.root = 0;
    if (oldest) next->redirects.count = 0; /* they concerned an input */
    if (output.first == 0) {
        work_remove_level(work, index);
        work_put_append_point(work, unused_append_point);
    }
    /* Points on blocks that are freed now must not survive: free first, then add the new one. */
    for (i = 0; i < input_count && rc == LSM_OK; i++) {
        bool redirected = oldest && i + 1 == input_count;
        rc = work_free_segment(work, &inputs[i], redirected ? &redirects : NULL);
    }
    memory_free(work->env, inputs);
    if (output.first != 0) work_put_append_point(work, append_point);
    work->changed = true;
    return rc;
}

/* One slice of the unfinished merge at `index`. */
static int slice(struct work *work, uint32_t index, uint32_t quota, uint32_t *pages) {
    struct merge_run run = {0};
    uint64_t append_point = 0;
    bool exhausted = false;
    bool nothing_yet;
    int rc;

    rc = open_run(work, index, &run, &append_point);
    if (rc != LSM_OK) goto done;
    rc = merge_run_go(&run, quota, &exhausted);
    /* A merge is not interrupted before its output has a user's record: readers of other engines stumble
    ** over outputs of separators only. */
    nothing_yet = rc == LSM_OK && !exhausted &&
                  (run.user_records == 0 && is_fresh(&work->next.levels[index]));
    while (rc == LSM_OK && !exhausted && nothing_yet) {
        rc = merge_run_go(&run, segment_writer_data_pages(run.writer) + 1, &exhausted);
        nothing_yet = run.user_records == 0;
    }
    if (rc != LSM_OK) goto done;
    rc = merge_run_settle(&run, exhausted);
    if (rc != LSM_OK) goto done;
    *pages = segment_writer_data_pages(run.writer);
    work->pages_written += *pages;
    work->next.pages_written += *pages;
    work->changed = true;
    if (exhausted) {
        rc = finish(work, index, &run, append_point);
    } else {
        struct level *level = &work->next.levels[index];
        save_positions(level, &run);
        rc = segment_writer_interrupt(run.writer, &level->left, &level->merge.skip);
    }
done:
    merge_run_release(&run);
    if (rc == LSM_OK && work->hook) work->hook(work->hook_context);
    return rc;
}

int work_merge(struct work *work, uint32_t merge, uint32_t quota, bool make_room, uint32_t *done) {
    uint32_t left = quota;
    int rc = LSM_OK;

    *done = 0;
    while (left > 0) {
        struct merge_choice choice =
            merge_policy_select(&work->next, merge, work->config.automerge, make_room);
        uint32_t pages = 0;

        if (choice.count == 0) {
            if (merge != 1 || make_room) break;
            rc = work_move_block(work, &pages);
            if (rc != LSM_OK || pages == 0) break;
        } else {
            if (!choice.resume) {
                rc = set_up(work, choice.first, choice.count);
                if (rc != LSM_OK) break;
            }
            rc = slice(work, choice.first, left, &pages);
            if (rc != LSM_OK) break;
        }
        if (pages == 0) pages = 1; /* an input of separators only still costs */
        *done += pages;
        if (left != UINT32_MAX) left = pages < left ? left - pages : 0;
        if (make_room && !work_is_full(&work->next, work->config.automerge)) break;
    }
    return rc;
}
