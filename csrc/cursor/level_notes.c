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
**             What the store knows about runs is held from level_notes_attach on.
** COST        One small block per run and per level; a split key is read once.
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

struct run_note {
    struct run_probe probe;  /* of `known`, if it may be skipped; words NULL = ask `known` */
    struct run_notes *known; /* held; NULL = nothing */
    uint8_t index_state;     /* enum run_index_state */
    bool may_skip;           /* the next older run needs no pointer from here */
    bool hopeless;           /* the store will not come to know more */
    bool asked;              /* since the notes were attached */
};

struct level_notes {
    lsm_env *env;
    uint32_t level_count;
    uint32_t run_count;
    struct level_note *levels;
    struct run_note *runs;
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
    notes->runs = memory_allocate_zero(env, run_count * sizeof *notes->runs);
    if (!notes->runs) goto done;
    notes->run_count = run_count;
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
    for (i = 0; i < notes->run_count; i++) {
        struct run_note *note = &notes->runs[i];
        if (note->known && note->asked) run_notes_mark_used(note->known);
        run_notes_release(note->known);
    }
    memory_free(notes->env, notes->levels);
    memory_free(notes->env, notes->runs);
    memory_free(notes->env, notes);
}

static const struct segment *level_run(const struct snapshot *snapshot, uint32_t level_index,
                                       uint32_t run_index) {
    const struct level *level = &snapshot->levels[level_index];

    assert(run_index <= level->right_count);
    return run_index == 0 ? &level->left : &level->right[run_index - 1];
}

struct segment_view level_run_view(const struct read_view *view, uint32_t level_index,
                                   uint32_t run_index) {
    const struct snapshot *snapshot = view->snapshot;
    const struct level *level = &snapshot->levels[level_index];
    struct segment_view run = {0};

    run.pager = view->pager;
    run.error = view->error;
    run.segment = level_run(snapshot, level_index, run_index);
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

/* ------------------------------------------------------------------------ what the store knows -- */

static struct run_note *run_note_of(const struct level_notes *notes, uint32_t level_index,
                                    uint32_t run_index) {
    return &notes->runs[notes->levels[level_index].run_first + run_index];
}

/* See the format, 11.1. */
bool level_run_next_older(const struct snapshot *snapshot, uint32_t level_index, uint32_t run_index,
                          uint32_t *next_level, uint32_t *next_run) {
    if (run_index > 0 && run_index < snapshot->levels[level_index].right_count) {
        *next_level = level_index;
        *next_run = run_index + 1;
        return true;
    }
    if (level_index + 1 >= snapshot->level_count) return false;
    *next_level = level_index + 1;
    *next_run = snapshot->levels[level_index + 1].right_count > 0 ? 1 : 0;
    return true;
}

/* In a compressed file the index of a run that lost its root is reached through pointers only. */
static void find_skippable(struct level_notes *notes, const struct snapshot *snapshot,
                           bool compressed) {
    uint32_t i;
    uint32_t j;

    for (i = 0; i < snapshot->level_count; i++) {
        for (j = 0; j <= snapshot->levels[i].right_count; j++) {
            struct run_note *note = run_note_of(notes, i, j);
            uint32_t level_index;
            uint32_t run_index;
            note->may_skip = true;
            if (compressed && level_run_next_older(snapshot, i, j, &level_index, &run_index)) {
                const struct segment *run = level_run(snapshot, level_index, run_index);
                const struct run_note *next = run_note_of(notes, level_index, run_index);
                note->may_skip = run->root != 0 || run->first == 0 ||
                                 (next->known && run_notes_fenced(next->known));
            }
            note->probe = (struct run_probe){NULL, 0};
            if (note->known && note->may_skip) note->probe = run_notes_probe(note->known);
        }
    }
}

void level_notes_attach(struct level_notes *notes, struct store *store,
                        const struct snapshot *snapshot, const struct pager *pager) {
    uint32_t i;
    uint32_t j;

    for (i = 0; i < snapshot->level_count; i++) {
        const struct level *level = &snapshot->levels[i];
        for (j = 0; j <= level->right_count; j++) {
            const struct segment *run = level_run(snapshot, i, j);
            struct run_note *note = run_note_of(notes, i, j);
            if (run->first != 0 && !note->known) {
                note->known = store_find(store, run, snapshot->id);
            }
        }
    }
    find_skippable(notes, snapshot, pager_is_compressed(pager));
}

void level_notes_prefetch(const struct level_notes *notes, uint64_t hash) {
    uint32_t i;

    for (i = 0; i < notes->run_count; i++) {
        if (notes->runs[i].probe.words) run_probe_prefetch(&notes->runs[i].probe, hash);
    }
}

/* A run without notes is being read: let the store go on making some. */
static void visit_run(const struct read_view *view, uint32_t level_index, uint32_t run_index,
                      struct run_note *note) {
    const struct level *level = &view->snapshot->levels[level_index];
    struct segment_view run;

    run = level_run_view(view, level_index, run_index);
    if (run.segment->first == 0 || (run_index == 0 && level->right_count > 0)) {
        note->hopeless = true; /* an output: it will be another run soon */
        return;
    }
    note->known = store_visit(view->store, &run, view->snapshot->id, &note->hopeless);
    if (note->known) {
        find_skippable(view->notes, view->snapshot, pager_is_compressed(view->pager));
    }
}

bool level_run_excludes(const struct read_view *view, uint32_t level_index, uint32_t run_index,
                        struct slice key, uint64_t hash) {
    struct run_note *note = run_note_of(view->notes, level_index, run_index);

    note->asked = true;
    if (LSM_LIKELY(note->probe.words != NULL)) return run_probe_excludes(&note->probe, hash);
    if (LSM_UNLIKELY(!note->known && !note->hopeless && view->store)) {
        visit_run(view, level_index, run_index, note);
    }
    return note->known && note->may_skip && run_notes_exclude(note->known, key, hash);
}

enum run_answer level_run_ask(const struct read_view *view, uint32_t level_index, uint32_t run_index,
                              struct slice key, uint64_t hash, struct segment_place *place) {
    struct run_note *note = run_note_of(view->notes, level_index, run_index);

    note->asked = true;
    if (LSM_LIKELY(note->probe.words != NULL)) {
        if (run_probe_excludes(&note->probe, hash)) return RUN_EXCLUDED;
    } else if (!note->known) {
        return RUN_NOT_KNOWN;
    } else if (note->may_skip && run_notes_exclude(note->known, key, hash)) {
        return RUN_EXCLUDED;
    }
    return run_notes_place(note->known, key, place) ? RUN_PLACED : RUN_NOT_KNOWN;
}

bool level_run_place(const struct read_view *view, uint32_t level_index, uint32_t run_index,
                     struct slice key, struct segment_place *out) {
    const struct run_note *note = run_note_of(view->notes, level_index, run_index);
    return note->known && run_notes_place(note->known, key, out);
}

bool level_run_fenced(const struct read_view *view, uint32_t level_index, uint32_t run_index) {
    const struct run_note *note = run_note_of(view->notes, level_index, run_index);
    return note->known && run_notes_fenced(note->known);
}

bool level_run_visit(const struct read_view *view, uint32_t level_index, uint32_t run_index) {
    struct run_note *note = run_note_of(view->notes, level_index, run_index);

    note->asked = true;
    if (LSM_LIKELY(note->known || note->hopeless || !view->store)) return false;
    visit_run(view, level_index, run_index, note);
    return true;
}

/* ------------------------------------------------------------------------------------- pointers -- */

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
    state = &run_note_of(view->notes, level_index, run_index)->index_state;
    if (*state == RUN_UNKNOWN) {
        rc = segment_never_indexed(&run, view->env, &never);
        if (rc != LSM_OK) return rc;
        *state = never ? RUN_NEVER_INDEXED : RUN_ABSORBED;
    }
    *usable = *state == RUN_ABSORBED ? pointer : 0;
    return LSM_OK;
}
