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

/* A key, and what the filters want to know of it. */
struct target {
    struct slice key;
    uint64_t hash;
};

/* Ask one run. *pointer: into this run, then into the next older one. */
static int visit(const struct read_view *view, struct lookup_scratch *scratch,
                 uint32_t level_index, uint32_t run_index, struct target *target,
                 uint64_t *pointer, enum lookup_state *state, struct slice *value) {
    struct segment_view run;
    struct segment_lookup result = {0};
    struct segment_place place;
    uint64_t hint = 0;
    int rc;

    if (level_run_excludes(view, level_index, run_index, target->key, target->hash)) {
        *pointer = 0;
        return LSM_OK;
    }
    run = level_run_view(view, level_index, run_index);
    if (run.segment->first == 0) { /* an output without pages yet */
        *pointer = 0;
        return LSM_OK;
    }
    if (level_run_place(view, level_index, run_index, target->key, &place)) {
        rc = segment_lookup_at(&scratch->segment, &run, target->key, &place, &result);
    } else {
        rc = level_pointer(view, level_index, run_index, *pointer, &hint);
        if (rc == LSM_OK) {
            rc = segment_lookup(&scratch->segment, &run, target->key, hint, &result);
        }
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

static int visit_level(const struct read_view *view, struct lookup_scratch *scratch,
                       uint32_t level_index, struct target *target, uint64_t *pointer,
                       enum lookup_state *state, struct slice *value) {
    const struct level *level = &view->snapshot->levels[level_index];
    enum topic split_topic;
    struct slice split;
    uint32_t i;
    int rc;

    if (level->right_count > 0) {
        rc = level_split_key(view, level_index, &split_topic, &split);
        if (rc != LSM_OK) return rc;
        if (topic_key_compare(TOPIC_USER, target->key, split_topic, split) >= 0) {
            for (i = 1; i <= level->right_count && *state == LOOKUP_UNKNOWN; i++) {
                rc = visit(view, scratch, level_index, i, target, pointer, state, value);
                if (rc != LSM_OK) return rc;
            }
            return LSM_OK;
        }
        *pointer = 0;
    }
    return visit(view, scratch, level_index, 0, target, pointer, state, value);
}

int view_lookup(const struct read_view *view, struct lookup_scratch *scratch, struct slice key,
                bool *found, struct slice *value) {
    enum lookup_state state = LOOKUP_UNKNOWN;
    struct slice result = {NULL, 0};
    struct slice *wanted = value ? &result : NULL;
    struct target target = {key, store_hash(key)};
    uint64_t pointer = 0;
    uint32_t i;
    int rc = LSM_OK;

    /* What the filters will look at is fetched while the trees are searched. */
    level_notes_prefetch(view->notes, target.hash);
    if (!memtree_is_empty(&view->live)) {
        rc = memtree_lookup(&view->live, key, &scratch->value, view->error, &state, wanted);
        if (rc != LSM_OK) goto done;
    }
    if (state == LOOKUP_UNKNOWN && !memtree_is_empty(&view->old)) {
        rc = memtree_lookup(&view->old, key, &scratch->value, view->error, &state, wanted);
        if (rc != LSM_OK) goto done;
    }
    for (i = 0; i < view->snapshot->level_count && state == LOOKUP_UNKNOWN; i++) {
        rc = visit_level(view, scratch, i, &target, &pointer, &state, &result);
        if (rc != LSM_OK) goto done;
    }
    *found = state == LOOKUP_FOUND;
    if (value) *value = *found ? result : (struct slice){NULL, 0};
done:
    return rc;
}
