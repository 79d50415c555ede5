/*
** point_lookup.c — one key, without the machinery of scans: newest home first, until one of them
** knows.
**
**     p := 0                                   pointer into the next run
**     live tree, old tree
**     each level, newest first
**         merging, key >= split key:  right[0], right[1], ...  p passed along
**         merging, key <  split key:  left, entered with 0 (p leads into right[0])
**         else:                       left, entered with p
**
** What the store knows shortens this. A run whose filter excludes the key is passed over, with p := 0. A run with
** fences needs no p: its page is known. A run without either is searched by p or by its own index.
**
** All that can be found out in memory about the runs comes first: the page of the first run that is not excluded is
** on its way while the trees are searched, and those of several keys at the same time.
**
** OWNERSHIP   The value points into the tree's region, a page held by the scratch, or the scratch.
** ERRORS      LSM_CORRUPT, LSM_IOERR, LSM_NOMEM; `found` and `value` untouched.
** COST        Per run one search; nothing is allocated unless a value spans pages or chunks for the
**             first time. The split key comes from the level notes.
*/
#include "cursor/source.h"

void lookup_scratch_init(struct lookup_scratch *scratch, lsm_env *env) {
    struct segment_view nothing = {0};
    buffer_init(&scratch->value, env);
    segment_cursor_init(&scratch->segment, env, &nothing);
}

void lookup_scratch_detach(struct lookup_scratch *scratch) {
    struct segment_view nothing = {0};
    segment_cursor_open(&scratch->segment, &nothing);
}

void lookup_scratch_release(struct lookup_scratch *scratch) {
    segment_cursor_release(&scratch->segment);
    buffer_release(&scratch->value);
}

/* --------------------------------------------------------------------------- which runs, in order -- */

/* `ahead` stands at the level ahead->level_index: which of its runs are asked about the key. */
static int choose_runs(const struct read_view *view, struct slice key, struct lookup_ahead *ahead) {
    const struct level *level = &view->snapshot->levels[ahead->level_index];
    enum topic split_topic;
    struct slice split;
    int rc;

    ahead->run_index = 0;
    ahead->run_end = 1;
    if (level->right_count == 0) return LSM_OK;
    rc = level_split_key(view, ahead->level_index, &split_topic, &split);
    if (rc != LSM_OK) {
        ahead->run_end = 0;
        return rc;
    }
    if (topic_key_compare(TOPIC_USER, key, split_topic, split) >= 0) {
        ahead->run_index = 1;
        ahead->run_end = 1 + level->right_count;
    }
    return LSM_OK;
}

/* Move `ahead` to the next run, or the end. */
static int next_run(const struct read_view *view, struct slice key, struct lookup_ahead *ahead) {
    if (++ahead->run_index < ahead->run_end) return LSM_OK;
    if (++ahead->level_index == view->snapshot->level_count) return LSM_OK;
    return choose_runs(view, key, ahead);
}

static bool at_end(const struct read_view *view, const struct lookup_ahead *ahead) {
    return ahead->level_index == view->snapshot->level_count;
}

/* ------------------------------------------------------------------------------- looking ahead -- */

/* Pass over the runs whose filters exclude the key, up to one that has to be read; if its page is known, have it
** fetched. Whatever cannot be found out without reading the file is left to the lookup. */
static void find_first_run(const struct read_view *view, struct slice key, uint32_t reach,
                           struct lookup_ahead *ahead) {
    enum run_answer answer = RUN_EXCLUDED;
    struct segment_view run;

    ahead->level_index = 0;
    ahead->run_index = ahead->run_end = 0;
    ahead->placed = false;
    ahead->begun = false;
    if (at_end(view, ahead)) return;
    if (choose_runs(view, key, ahead) != LSM_OK) return; /* the lookup will say so */
    for (;;) {
        answer = level_run_ask(view, ahead->level_index, ahead->run_index, key, ahead->hash,
                               &ahead->place);
        if (answer != RUN_EXCLUDED) break;
        if (next_run(view, key, ahead) != LSM_OK) return;
        if (at_end(view, ahead)) break;
    }
    ahead->begun = true;
    if (answer != RUN_PLACED) return;
    ahead->placed = true;
    run = level_run_view(view, ahead->level_index, ahead->run_index);
    segment_place_prefetch(&run, &ahead->place, reach);
}

void view_look_ahead(const struct read_view *view, const struct slice *keys, uint32_t count,
                     struct lookup_ahead *out) {
    uint32_t i;

    for (i = 0; i < count; i++) {
        out[i].hash = store_hash(keys[i]);
        level_notes_prefetch(view->notes, out[i].hash);
    }
    for (i = 0; i < count; i++) {
        find_first_run(view, keys[i], count == 1 ? PLACE_REACH_ALONE : PLACE_REACH_GROUP, &out[i]);
    }
}

/* ------------------------------------------------------------------------------------ lookups -- */

/* Ask the run where `ahead` stands. *pointer: into this run, then into the next older one. */
static int visit(const struct read_view *view, struct lookup_scratch *scratch, struct slice key,
                 struct lookup_ahead *ahead, uint64_t *pointer, enum lookup_state *state,
                 struct slice *value) {
    uint32_t level_index = ahead->level_index;
    uint32_t run_index = ahead->run_index;
    struct segment_view run = level_run_view(view, level_index, run_index);
    struct segment_lookup result = {0};
    bool placed = ahead->placed;
    uint64_t hint = 0;
    int rc;

    ahead->placed = false;
    if (!placed) {
        if (run.segment->first == 0 || /* an output without pages yet */
            level_run_excludes(view, level_index, run_index, key, ahead->hash)) {
            *pointer = 0;
            return LSM_OK;
        }
        /* The pointer leads into the newest input. */
        if (run_index == 0 && view->snapshot->levels[level_index].right_count > 0) *pointer = 0;
        placed = level_run_place(view, level_index, run_index, key, &ahead->place);
        if (placed) segment_place_prefetch(&run, &ahead->place, PLACE_REACH_ALONE);
    }
    if (placed) {
        rc = segment_lookup_at(&scratch->segment, &run, key, &ahead->place, &result);
    } else {
        rc = level_pointer(view, level_index, run_index, *pointer, &hint);
        if (rc == LSM_OK) rc = segment_lookup(&scratch->segment, &run, key, hint, &result);
    }
    if (rc != LSM_OK) return rc;
    *pointer = result.pointer;
    if (result.found) {
        *state = LOOKUP_FOUND;
        *value = result.value;
    } else if (result.deleted) {
        *state = LOOKUP_DELETED;
    }
    return LSM_OK;
}

static int lookup_runs(const struct read_view *view, struct lookup_scratch *scratch, struct slice key,
                       struct lookup_ahead *ahead, enum lookup_state *state, struct slice *value) {
    uint64_t pointer = 0;
    int rc = LSM_OK;

    if (LSM_UNLIKELY(!ahead->begun)) { /* the level it stands at could not tell its split key */
        if (at_end(view, ahead)) return LSM_OK;
        rc = choose_runs(view, key, ahead);
    }
    while (rc == LSM_OK && !at_end(view, ahead)) {
        rc = visit(view, scratch, key, ahead, &pointer, state, value);
        if (rc != LSM_OK || *state != LOOKUP_UNKNOWN) break;
        rc = next_run(view, key, ahead);
    }
    return rc;
}

int view_lookup_ahead(const struct read_view *view, struct lookup_scratch *scratch, struct slice key,
                      struct lookup_ahead *ahead, bool *found, struct slice *value) {
    enum lookup_state state = LOOKUP_UNKNOWN;
    struct slice result = {NULL, 0};
    struct slice *wanted = value ? &result : NULL;
    int rc = LSM_OK;

    if (!memtree_is_empty(&view->live)) {
        rc = memtree_lookup(&view->live, key, &scratch->value, view->error, &state, wanted);
    }
    if (rc == LSM_OK && state == LOOKUP_UNKNOWN && !memtree_is_empty(&view->old)) {
        rc = memtree_lookup(&view->old, key, &scratch->value, view->error, &state, wanted);
    }
    if (rc == LSM_OK && state == LOOKUP_UNKNOWN) {
        rc = lookup_runs(view, scratch, key, ahead, &state, &result);
    }
    if (rc != LSM_OK) return rc;
    *found = state == LOOKUP_FOUND;
    if (value) *value = *found ? result : (struct slice){NULL, 0};
    return LSM_OK;
}

int view_lookup(const struct read_view *view, struct lookup_scratch *scratch, struct slice key,
                bool *found, struct slice *value) {
    struct lookup_ahead ahead;

    view_look_ahead(view, &key, 1, &ahead);
    return view_lookup_ahead(view, scratch, key, &ahead, found, value);
}
