/*
** merge_step.c — merging in slices: set up, continue, interrupt, finish.
**
**     before   {age a: A} {age a: B} | {N}           two finished levels above N
**     set up   {age a+1: out=empty <- A, B} | {N}    N's index is read along, if it has one
**     slices   {age a+1: out=1..k  <- A, B} | {N}    below the split key: `out`, others: A and B
**     finished {age a+1: out} | {N, root 0}          A and B are free, N's index is absorbed
**
** INVARIANTS  (I1) between slices everything needed to go on is in the level record; any process,
**             of this engine or another, may continue.
**             (I2) pages that a published snapshot refers to are not changed: each slice starts a
**             new page.
**             (I3) root 0 is given to no run but the one whose index was read.
** ERRORS      the private snapshot is useless after a failure and must be thrown away.
*/
#include "base/memory.h"
#include "work/work_internal.h"

/* ----------------------------------------------------------------------------------- set up -- */

/* Make `count` finished levels from `first` on one unfinished level with those inputs. */
static int set_up(struct work *work, uint32_t first, uint32_t count) {
    struct snapshot *next = &work->next;
    struct level level = {0};
    bool freelist_only = true;
    bool absorb;
    uint32_t below = first + count;
    uint16_t age = next->levels[first].age;
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
    level.age = age < UINT16_MAX ? (uint16_t)(age + 1) : age;
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

/* --------------------------------------------------------------------------------- continue -- */

/* Has the merge not written anything yet? */
static bool is_fresh(const struct level *level) {
    return level->left.first == 0;
}

static bool reads_index_below(const struct level *level) {
    return level->merge.input_count > level->right_count;
}

static struct segment_view right_view(struct work *work, uint32_t index, uint32_t right) {
    return work_view(work, &work->next.levels[index].right[right],
                     work_redirects(&work->next, index, right));
}

static struct segment_view left_view(struct work *work, uint32_t index) {
    return work_view(work, &work->next.levels[index].left,
                     work_redirects(&work->next, index, UINT32_MAX));
}

/*
** Another engine may have merged the run whose index we were reading. Then the extra input leads
** nowhere: forget it. What we write gets no pointers, and the run now below keeps its own root, so
** that those written before are not followed (I3).
*/
static int check_extra_input(struct work *work, uint32_t index) {
    struct level *level = &work->next.levels[index];
    struct segment_view view;
    uint64_t page_no;
    bool usable = false;
    int rc = LSM_OK;

    if (!reads_index_below(level) || is_fresh(level)) return LSM_OK;
    page_no = level->merge.inputs[level->right_count].page;
    if (page_no == 0) page_no = level->merge.current_pointer; /* all keys were read: of the last */
    if (index + 1 < work->next.level_count && work->next.levels[index + 1].right_count == 0 &&
        work->next.levels[index + 1].left.root != 0) {
        view = left_view(work, index + 1);
        page_no = pager_redirect(work->pager, view.redirects, page_no);
        rc = pager_segment_contains(work->pager, view.redirects, view.segment, page_no, work->error,
                                    &usable);
        if (rc != LSM_OK) return rc;
    }
    if (!usable) {
        level->merge.input_count = level->right_count;
        level->merge.current_pointer = 0;
    }
    return LSM_OK;
}

/* Page pointer of a run's first page, for the first page of the output. */
static int first_page_pointer(struct work *work, const struct segment_view *view, uint64_t *out) {
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

/*
** Is nothing below, so that deletes need not be written? The level below may have vanished since
** the merge began (its own merge came out empty): then a range that the output has opened must
** still be closed.
*/
static int is_oldest(struct work *work, uint32_t index, bool *oldest) {
    struct segment_view view = left_view(work, index);
    struct segment_cursor cursor;
    int rc;

    *oldest = index + 1 == work->next.level_count;
    if (!*oldest || is_fresh(&work->next.levels[index])) return LSM_OK;
    segment_cursor_init(&cursor, work->env, &view);
    rc = segment_last(&cursor);
    if (rc == LSM_OK && cursor.valid && (cursor.flags & RECORD_START_DELETE)) *oldest = false;
    segment_cursor_release(&cursor);
    return rc;
}

/* The inputs of the level; those of them that give pointers and separators. */
static void add_inputs(struct work *work, uint32_t index, struct merge_run *run) {
    const struct level *level = &work->next.levels[index];
    bool absorb = reads_index_below(level);
    bool has_below = index + 1 < work->next.level_count;
    /* Pointers of a level whose extra input was forgotten are worth nothing. */
    bool carry = has_below && !absorb &&
                 (is_fresh(level) || level->merge.current_pointer != 0);
    struct segment_view view;
    uint32_t i;

    for (i = 0; i < level->right_count; i++) {
        bool supplies = carry && i + 1 == level->right_count;
        view = right_view(work, index, i);
        if (supplies) run->pointer_item = i;
        merge_item_init_segment(merge_run_add(run), work, &view, supplies);
    }
    if (absorb) {
        view = left_view(work, index + 1);
        run->pointer_item = run->item_count;
        merge_item_init_index(merge_run_add(run), work, &view);
    }
}

/* Pointer in force before the first key. */
static int first_pointer(struct work *work, uint32_t index, uint64_t *pointer) {
    const struct level *level = &work->next.levels[index];
    struct segment_view view;

    if (!is_fresh(level)) {
        *pointer = level->merge.current_pointer;
        return LSM_OK;
    }
    if (reads_index_below(level)) {
        *pointer = work->next.levels[index + 1].left.first;
        return LSM_OK;
    }
    *pointer = 0;
    if (index + 1 == work->next.level_count) return LSM_OK;
    view = right_view(work, index, level->right_count - 1);
    return first_page_pointer(work, &view, pointer);
}

/* A builder for the notes of the output. */
static struct run_builder *new_builder(struct work *work, const struct level *level) {
    uint64_t keys = 0;
    uint32_t i;

    if (work->notes.store == NULL) return NULL;
    for (i = 0; i < level->right_count; i++) {
        keys += store_batch_keys(&work->notes, &level->right[i], work->published.id, work->pager);
    }
    return run_builder_new(work->notes.store, keys);
}

/* Open the inputs where they stand, and the output. */
static int open_run(struct work *work, uint32_t index, struct merge_run *run,
                    uint64_t *append_point) {
    struct level *level = &work->next.levels[index];
    struct segment_writer_config config = {.pager = work->pager, .error = work->error};
    uint32_t i;
    int rc;

    rc = check_extra_input(work, index);
    if (rc == LSM_OK) rc = merge_run_init(run, work, level->right_count + 1);
    if (rc == LSM_OK) rc = is_oldest(work, index, &run->oldest);
    if (rc == LSM_OK) rc = first_pointer(work, index, &run->current_pointer);
    if (rc != LSM_OK) return rc;
    run->want_index = index > 0 && is_fresh(level);
    add_inputs(work, index, run);
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
        rc = segment_writer_new(work->env, &config, &run->writer);
        if (rc == LSM_OK) merge_run_listen(run, new_builder(work, level));
        return rc;
    }
    rc = segment_writer_resume(work->env, &config, &level->left, level->merge.skip,
                               level->merge.current_pointer, &run->writer);
    if (rc == LSM_OK) {
        merge_run_listen(run, store_batch_take_builder(&work->notes, &level->left,
                                                       work->published.id));
    }
    return rc;
}

/* -------------------------------------------------------------------------------- interrupt -- */

/* Where the key of an index position stands: a cell of the lowest page, or of the nearest ancestor
** to the left. */
static void index_key_place(const struct index_cursor *cursor, uint64_t *page_no, uint32_t *cell) {
    uint32_t level = cursor->depth - 1;
    int32_t at = cursor->cells[level];

    while (at < 0 && level > 0) at = cursor->cells[--level] - 1;
    assert(at >= 0); /* a valid position has a key */
    *page_no = cursor->pages[level].page_no;
    *cell = (uint32_t)at;
}

/* The place of the smallest key not yet merged (the split key); every input's place with it. */
static void save_positions(struct level *level, const struct merge_run *run, uint32_t smallest) {
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
    if (run->items[smallest].kind == INPUT_INDEX) {
        index_key_place(&run->items[smallest].index, &level->merge.split_page,
                        &level->merge.split_cell);
    } else {
        level->merge.split_page = level->merge.inputs[smallest].page;
        level->merge.split_cell = level->merge.inputs[smallest].cell;
    }
    level->merge.current_pointer = run->current_pointer;
}

static int interrupt(struct work *work, uint32_t index, struct merge_run *run) {
    struct level *level = &work->next.levels[index];
    uint32_t smallest = merge_run_smallest(run);
    enum topic topic = run->items[smallest].topic;
    struct buffer split_key;
    int rc;

    buffer_init(&split_key, work->env);
    rc = buffer_assign(&split_key, run->items[smallest].key);
    if (rc != LSM_OK) goto done;
    save_positions(level, run, smallest);
    rc = segment_writer_interrupt(run->writer, &level->left, &level->merge.skip);
    if (rc != LSM_OK) goto done;
    store_batch_add(&work->notes, &level->left, merge_run_take_builder(run), false);
    rc = merge_release_inputs(work, index, topic, buffer_slice(&split_key));
done:
    buffer_release(&split_key);
    return rc;
}

/* ----------------------------------------------------------------------------------- finish -- */

/* The inputs are used up: their blocks are free, the output is the level. */
static int finish(struct work *work, uint32_t index, struct merge_run *run,
                  uint64_t unused_append_point) {
    struct snapshot *next = &work->next;
    struct level *level = &next->levels[index];
    struct segment *inputs = level->right;
    uint32_t input_count = level->right_count;
    bool absorb = reads_index_below(level);
    bool oldest = index + 1 == next->level_count;
    struct redirects redirects = next->redirects;
    struct segment output = {0};
    uint64_t append_point = 0;
    uint32_t i;
    int rc;

    rc = segment_writer_finish(run->writer, &output, &append_point);
    if (rc != LSM_OK) return rc;
    store_batch_add(&work->notes, &output, merge_run_take_builder(run), true);
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
    /* Append points on blocks that are freed now must not survive: free first, then add the new
    ** one. */
    for (i = 0; i < input_count && rc == LSM_OK; i++) {
        bool redirected = oldest && i + 1 == input_count;
        rc = work_free_segment(work, &inputs[i], redirected ? &redirects : NULL);
    }
    memory_free(work->env, inputs);
    if (output.first != 0) work_put_append_point(work, append_point);
    work->changed = true;
    return rc;
}

/* ----------------------------------------------------------------------------------- slices -- */

/* One slice of the unfinished merge at `index`. */
static int slice(struct work *work, uint32_t index, uint32_t quota, uint32_t *pages) {
    struct merge_run run = {0};
    uint64_t append_point = 0;
    bool exhausted = false;
    int rc;

    rc = open_run(work, index, &run, &append_point);
    if (rc == LSM_OK) rc = merge_run_go(&run, quota, &exhausted);
    if (rc == LSM_OK) rc = merge_run_settle(&run);
    if (rc != LSM_OK) goto done;
    *pages = segment_writer_data_pages(run.writer);
    work->pages_written += *pages;
    work->next.pages_written += *pages;
    work->changed = true;
    rc = exhausted ? finish(work, index, &run, append_point) : interrupt(work, index, &run);
done:
    merge_run_release(&run);
    if (rc == LSM_OK && work->hook) work->hook(work->hook_context);
    return rc;
}

/* A merge of the oldest run alone, in one slice: no reader has to know of merges with one input. */
static int rewrite(struct work *work, uint32_t *pages) {
    struct snapshot *next = &work->next;
    uint32_t index = next->level_count - 1;
    int rc;

    memset(next->append, 0, sizeof next->append); /* behind runs that lie far behind */
    rc = set_up(work, index, 1);
    if (rc == LSM_OK) rc = slice(work, index, UINT32_MAX, pages);
    return rc;
}

/* What a merge of everything leaves to be done: fewer levels, and a shorter file. */
static int shrink(struct work *work, uint32_t *pages) {
    bool folded = false;
    bool anew = false;
    int rc = work_fold_freelist(work, &folded);

    if (rc == LSM_OK && work->unlimited) rc = work_wants_rewrite(work, &anew);
    if (rc == LSM_OK) rc = anew ? rewrite(work, pages) : work_move_block(work, pages);
    if (rc == LSM_OK && folded && *pages == 0) *pages = 1;
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
            rc = shrink(work, &pages);
            if (rc != LSM_OK || pages == 0) break;
        } else {
            /* Another engine's file may have so many levels that no further unfinished merge fits
            ** its record. */
            bool crowded = merge_policy_segments(&work->next) > SEGMENTS_MAX;
            if (!choice.resume) {
                rc = set_up(work, choice.first, choice.count);
                if (rc != LSM_OK) break;
            }
            rc = slice(work, choice.first, crowded ? UINT32_MAX : left, &pages);
            if (rc != LSM_OK) break;
            if (pages == 0) pages = 1; /* an input of separators only still costs */
        }
        *done += pages;
        if (left != UINT32_MAX) left = pages < left ? left - pages : 0;
        if (make_room && !work_is_full(&work->next, work->config.automerge)) break;
    }
    return rc;
}
