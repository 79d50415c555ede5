/*
** level_notes.c — what is worth remembering about the levels of one snapshot: split keys, missing
** indexes.
**
** FORMAT      The split position of a merge in progress is (page, cell). The first input whose
**             saved page is the split page says in which run it is; if that is the extra input, or
**             none while there is an extra input, it is in the left run of the next level, mostly
**             on an index page.
** INVARIANTS  (I1) a note never changes once made: pages of a snapshot do not.
** OWNERSHIP   Split keys are copies, valid as long as the notes. The notes do not point to the
**             snapshot.
** COST        One byte per run and one small block per level; a split key is read once.
*/
#include "base/memory.h"
#include "cursor/source.h"

enum run_index_state { RUN_UNKNOWN = 0, RUN_NEVER_INDEXED, RUN_ABSORBED };

struct level_note {
    bool split_known;
    enum topic split_topic;
    struct buffer split_key;
    uint32_t run_first; /* its left run in `runs`, right[i] at + 1 + i */
};

struct level_notes {
    lsm_env *env;
    uint32_t level_count;
    struct level_note *levels;
    uint8_t *runs; /* enum run_index_state */
};

int level_notes_new(lsm_env *env, const struct snapshot *snapshot, struct level_notes **out) {
    struct level_notes *notes;
    uint32_t run_count = 0;
    uint32_t i;
    int rc = LSM_NOMEM;

    notes = memory_allocate_zero(env, sizeof *notes);
    if (!notes) goto done;
    notes->env = env;
    for (i = 0; i < snapshot->level_count; i++) run_count += 1 + snapshot->levels[i].right_count;
    notes->levels = memory_allocate_zero(env, snapshot->level_count * sizeof *notes->levels);
    if (!notes->levels) goto done;
    notes->level_count = snapshot->level_count;
    notes->runs = memory_allocate_zero(env, run_count);
    if (!notes->runs) goto done;
    run_count = 0;
    for (i = 0; i < snapshot->level_count; i++) {
        buffer_init(&notes->levels[i].split_key, env);
        notes->levels[i].run_first = run_count;
        run_count += 1 + snapshot->levels[i].right_count;
    }
    *out = notes;
    notes = NULL;
    rc = LSM_OK;
done:
    level_notes_free(notes);
    return rc;
}

void level_notes_free(struct level_notes *notes) {
    uint32_t i;
    if (!notes) return;
    for (i = 0; i < notes->level_count; i++) buffer_release(&notes->levels[i].split_key);
    memory_free(notes->env, notes->levels);
    memory_free(notes->env, notes->runs);
    memory_free(notes->env, notes);
}

struct segment_view level_run_view(const struct read_view *view, uint32_t level_index,
                                   uint32_t run_index) {
    const struct snapshot *snapshot = view->snapshot;
    const struct level *level = &snapshot->levels[level_index];
    struct segment_view run = {0};

    assert(run_index <= level->right_count);
    run.pager = view->pager;
    run.error = view->error;
    run.segment = run_index == 0 ? &level->left : &level->right[run_index - 1];
    /* Moved blocks concern the oldest run only. */
    if (level_index + 1 == snapshot->level_count && run_index == level->right_count) {
        run.redirects = &snapshot->redirects;
    }
    return run;
}

/* Which run holds the split position: level and run, or LSM_CORRUPT. */
static int find_split_run(const struct read_view *view, uint32_t level_index,
                          uint32_t *split_level, uint32_t *split_run) {
    const struct level *level = &view->snapshot->levels[level_index];
    const struct merge_state *merge = &level->merge;
    uint32_t i;

    for (i = 0; i < merge->input_count; i++) {
        if (merge->inputs[i].page == merge->split_page) break;
    }
    if (i < level->right_count && i < merge->input_count) {
        *split_level = level_index;
        *split_run = 1 + i;
        return LSM_OK;
    }
    if (merge->input_count != level->right_count + 1) {
        return error_corrupt(view->error, merge->split_page, "split page is no input of the merge");
    }
    if (level_index + 1 >= view->snapshot->level_count) {
        return error_corrupt(view->error, merge->split_page, "split page is in no level");
    }
    *split_level = level_index + 1;
    *split_run = 0;
    return LSM_OK;
}

int level_split_key(const struct read_view *view, uint32_t level_index, enum topic *topic,
                    struct slice *key) {
    struct level_note *note = &view->notes->levels[level_index];
    const struct merge_state *merge = &view->snapshot->levels[level_index].merge;
    struct segment_view run;
    uint32_t split_level = 0;
    uint32_t split_run = 0;
    int rc = LSM_OK;

    assert(level_index < view->notes->level_count);
    assert(view->snapshot->levels[level_index].right_count > 0);
    if (!note->split_known) {
        rc = find_split_run(view, level_index, &split_level, &split_run);
        if (rc != LSM_OK) goto done;
        run = level_run_view(view, split_level, split_run);
        rc = segment_key_at(&run, merge->split_page, merge->split_cell, &note->split_key,
                            &note->split_topic);
        if (rc != LSM_OK) goto done;
        note->split_known = true;
    }
    *topic = note->split_topic;
    *key = buffer_slice(&note->split_key);
done:
    return rc;
}

int level_pointer(const struct read_view *view, uint32_t level_index, uint32_t run_index,
                  uint64_t pointer, uint64_t *usable) {
    struct segment_view run;
    uint8_t *state;
    bool never = false;
    int rc = LSM_OK;

    if (pointer == 0) {
        *usable = 0;
        return LSM_OK;
    }
    run = level_run_view(view, level_index, run_index);
    if (run.segment->root != 0 || run.segment->first == 0) {
        *usable = 0;
        return LSM_OK;
    }
    state = &view->notes->runs[view->notes->levels[level_index].run_first + run_index];
    if (*state == RUN_UNKNOWN) {
        rc = segment_never_indexed(&run, view->env, &never);
        if (rc != LSM_OK) return rc;
        *state = never ? RUN_NEVER_INDEXED : RUN_ABSORBED;
    }
    *usable = *state == RUN_ABSORBED ? pointer : 0;
    return LSM_OK;
}
