/*
** merge_cursor.c — one ordered view over all sources: opening, stepping, the present entry.
**
** `order` lists the live sources by their present keys. A step advances the sources that stand on
** the present key and puts them back in their places; while one source runs alone ahead of the
** others, that is a single comparison with the second in the list.
**
**     order      key      flags        next: tree and level 1 stand on d. They step to f and k:
**     tree       d        insert       order becomes level 0 (e), tree (f), level 1 (k). Nothing
**     level 1    d        insert       newer than level 0 is beyond e with the mark that hides:
**     level 0    e        insert       e is the entry.
**
** INVARIANTS  (I1) order[0 .. live_count) is sorted in the direction of travel, newest first among
**             equals; the first group_count of them stand on one key. (I2) hider_count live heads
**             carry the mark that hides in this direction; 0 = nothing can be hidden. (I3) sources
**             stay on the present entry until the next step, so key and value are valid until then.
** OWNERSHIP   see cursor.h. Sources keep their scratch memory from one opening to the next.
** ERRORS      A failed step or seek leaves the cursor on no entry and without direction.
** COST        Opening allocates when there are more sources than ever before; stepping never
**             allocates. Hidden keys are stepped over one by one at first, then whole ranges are
**             skipped by a seek.
*/
#include "base/memory.h"
#include "cursor/source.h"

/* Hidden keys in a row after which a seek is the cheaper way to the end of the range. */
#define HIDDEN_STEPS_MAX 8

/* ------------------------------------------------------------------------- life of a cursor -- */

void merge_cursor_init(struct merge_cursor *cursor, lsm_env *env) {
    memset(cursor, 0, sizeof *cursor);
    cursor->env = env;
}

void merge_cursor_release(struct merge_cursor *cursor) {
    struct merge_private *private = merge_private_of(cursor);
    uint32_t i;

    if (private) {
        for (i = 0; i < private->ready_count; i++) {
            segment_cursor_release(&cursor->sources[i].segment);
        }
        memtree_cursor_release(&private->trees[0]);
        memtree_cursor_release(&private->trees[1]);
        buffer_release(&private->target);
        memory_free(cursor->env, private->heads);
        memory_free(cursor->env, private->order);
        memory_free(cursor->env, private);
        memory_free(cursor->env, cursor->sources);
    }
    merge_cursor_init(cursor, cursor->env);
}

static void forget_position(struct merge_cursor *cursor) {
    struct merge_private *private = merge_private_of(cursor);

    cursor->valid = false;
    cursor->direction = MERGE_NONE;
    if (private) {
        private->live_count = 0;
        private->group_count = 0;
        private->hider_count = 0;
    }
}

int merge_fail(struct merge_cursor *cursor, int rc) {
    forget_position(cursor);
    return rc;
}

void merge_cursor_detach(struct merge_cursor *cursor) {
    struct merge_private *private = merge_private_of(cursor);
    struct segment_view nothing = {0};
    uint32_t i;

    forget_position(cursor);
    cursor->source_count = 0;
    cursor->view = NULL;
    if (!private) return;
    for (i = 0; i < private->ready_count; i++) {
        segment_cursor_open(&cursor->sources[i].segment, &nothing);
    }
}

/* Room for `count` sources. */
static int reserve_sources(struct merge_cursor *cursor, const struct read_view *view,
                           uint32_t count) {
    struct merge_private *private = merge_private_of(cursor);
    struct segment_view nothing = {0};
    struct merge_source *sources;
    struct source_head *heads;
    uint32_t *order;
    int rc = LSM_NOMEM;

    if (!private) {
        private = memory_allocate_zero(cursor->env, sizeof *private);
        if (!private) goto done;
        memtree_cursor_init(&private->trees[0], cursor->env, view->error);
        memtree_cursor_init(&private->trees[1], cursor->env, view->error);
        buffer_init(&private->target, cursor->env);
        cursor->private_state = private;
    }
    if (count > cursor->source_capacity) {
        sources = memory_allocate_zero(cursor->env, count * sizeof *sources);
        if (!sources) goto done;
        heads = memory_reallocate(cursor->env, private->heads, count * sizeof *heads);
        if (heads) private->heads = heads;
        order = memory_reallocate(cursor->env, private->order, 2 * count * sizeof *order);
        if (order) private->order = order;
        if (!heads || !order) {
            memory_free(cursor->env, sources);
            goto done;
        }
        /* Segment cursors own memory, none of it inside themselves: they may move. */
        if (private->ready_count > 0) {
            memcpy(sources, cursor->sources, private->ready_count * sizeof *sources);
        }
        memory_free(cursor->env, cursor->sources);
        cursor->sources = sources;
        cursor->source_capacity = count;
    }
    private->moving = private->order ? private->order + cursor->source_capacity : NULL;
    while (private->ready_count < count) {
        segment_cursor_init(&cursor->sources[private->ready_count].segment, cursor->env, &nothing);
        private->ready_count++;
    }
    rc = LSM_OK;
done:
    return rc;
}

/* ----------------------------------------------------------------------- sources of a view -- */

/* What a level shows of one topic: all of a single run, or both sides of a merge. */
struct level_sides {
    uint32_t run_first; /* 0 = from the left run */
    uint32_t run_count;
    bool merging;       /* both sides: the split key lies in the topic */
    struct slice split;
};

static int choose_sides(const struct read_view *view, uint32_t level_index, enum topic topic,
                        struct level_sides *out) {
    const struct level *level = &view->snapshot->levels[level_index];
    struct level_sides sides = {0, 1, false, {NULL, 0}};
    enum topic split_topic = TOPIC_USER;
    int rc = LSM_OK;

    if (level->right_count > 0) {
        rc = level_split_key(view, level_index, &split_topic, &sides.split);
        if (rc != LSM_OK) goto done;
        if (split_topic == topic) {
            sides.run_count = 1 + level->right_count;
            sides.merging = true;
        } else if (split_topic < topic) { /* nothing of this topic has been merged */
            sides.run_first = 1;
            sides.run_count = level->right_count;
        }
    }
    *out = sides;
done:
    return rc;
}

/* Do searches in the run that is next older than this one want our pointers? Not if it has a root or, for user
** keys, fences. */
static bool next_wants_pointer(const struct merge_cursor *cursor, uint32_t level_index,
                               uint32_t run_index) {
    const struct read_view *view = cursor->view;
    uint32_t level;
    uint32_t run;

    if (!level_run_next_older(view->snapshot, level_index, run_index, &level, &run)) return false;
    if (cursor->topic == TOPIC_USER && level_run_fenced(view, level, run)) return false;
    return level_run_view(view, level, run).segment->root == 0;
}

static void open_tree(struct merge_cursor *cursor, const struct memtree *tree,
                      struct memtree_cursor *tree_cursor) {
    struct merge_source *source;

    if (memtree_is_empty(tree)) return;
    tree_cursor->error = cursor->view->error;
    memtree_cursor_open(tree_cursor, tree);
    source = &cursor->sources[cursor->source_count];
    source->tree = tree_cursor;
    source->system = 0;
    source->role = SOURCE_PLAIN;
    source->absent = false;
    source->gives_pointer = false;
    source->foreseen = false;
    source->unit_first = cursor->source_count;
    source->unit_count = 1;
    source->view = cursor->view;
    cursor->source_count++;
}

static void open_run(struct merge_cursor *cursor, uint32_t level_index, uint32_t run_index,
                     const struct level_sides *sides) {
    const struct level *level = &cursor->view->snapshot->levels[level_index];
    struct segment_view run = level_run_view(cursor->view, level_index, run_index);
    struct merge_source *source = &cursor->sources[cursor->source_count];

    segment_cursor_open(&source->segment, &run);
    source->tree = NULL;
    source->system = cursor->topic == TOPIC_SYSTEM ? RECORD_SYSTEM : 0;
    source->role = SOURCE_PLAIN;
    source->absent = run.segment->first == 0;
    source->gives_pointer = !source->absent && next_wants_pointer(cursor, level_index, run_index);
    source->foreseen = false;
    source->level_index = level_index;
    source->run_index = run_index;
    source->unit_first = cursor->source_count;
    source->unit_count = 1;
    source->resume = (struct merge_input){0, 0};
    source->view = cursor->view;
    if (run_index > 0 && run_index - 1 < level->merge.input_count) {
        source->resume = level->merge.inputs[run_index - 1];
    }
    /* A finished input holds nothing from the split key on but separators. */
    if (run_index > 0 && source->resume.page == 0) source->absent = true;
    if (sides->merging) {
        source->role = run_index == 0 ? SOURCE_LEFT : SOURCE_RIGHT;
        source->unit_first = cursor->source_count - run_index;
        source->unit_count = sides->run_count;
        source->split = sides->split;
        source->split_prefix = key_prefix(sides->split);
    }
    cursor->source_count++;
}

int merge_cursor_open(struct merge_cursor *cursor, const struct read_view *view,
                      enum topic topic) {
    const struct snapshot *snapshot = view->snapshot;
    struct merge_private *private;
    struct level_sides sides;
    uint32_t count = 2;
    uint32_t i, k;
    int rc;

    forget_position(cursor);
    cursor->source_count = 0;
    for (i = 0; i < snapshot->level_count; i++) count += 1 + snapshot->levels[i].right_count;
    rc = reserve_sources(cursor, view, count);
    if (rc != LSM_OK) goto done;
    merge_cursor_detach(cursor);
    private = merge_private_of(cursor);
    cursor->view = view;
    cursor->topic = topic;
    if (topic == TOPIC_USER) {
        open_tree(cursor, &view->live, &private->trees[0]);
        open_tree(cursor, &view->old, &private->trees[1]);
    }
    for (i = 0; i < snapshot->level_count; i++) {
        rc = choose_sides(view, i, topic, &sides);
        if (rc != LSM_OK) goto done;
        for (k = 0; k < sides.run_count; k++) {
            open_run(cursor, i, sides.run_first + k, &sides);
        }
    }
    for (i = 0; i < cursor->source_count; i++) head_clear(&private->heads[i]);
done:
    if (rc != LSM_OK) cursor->source_count = 0;
    return rc;
}

/* ------------------------------------------------------------------------------------ order -- */

/* Put a live head into its place (I1). Searched from the front: a source that has just stepped is
** mostly still near it. */
static void enter(struct merge_private *private, uint32_t source, bool forward) {
    const struct source_head *heads = private->heads;
    uint32_t *order = private->order;
    uint32_t at, i;
    int difference;

    for (at = 0; at < private->live_count; at++) {
        difference = head_compare(&heads[source], &heads[order[at]]);
        if (!forward) difference = -difference;
        if (difference < 0 || (difference == 0 && source < order[at])) break;
    }
    for (i = private->live_count; i > at; i--) order[i] = order[i - 1];
    order[at] = source;
    private->live_count++;
}

/* The first source has moved on: back to its place, those that are now before it move up. */
static LSM_ALWAYS_INLINE void sink(struct merge_private *private, const bool forward) {
    const struct source_head *heads = private->heads;
    uint32_t *order = private->order;
    uint32_t source = order[0];
    const struct source_head *head = &heads[source];
    uint32_t at;

    for (at = 0; at + 1 < private->live_count; at++) {
        uint32_t other = order[at + 1];
        int difference = head_compare(&heads[other], head);
        if (forward ? difference > 0 : difference < 0) break;
        if (LSM_UNLIKELY(difference == 0 && other > source)) break;
        order[at] = other;
    }
    order[at] = source;
}

static inline void count_group(struct merge_private *private) {
    const struct source_head *heads = private->heads;
    const uint32_t *order = private->order;
    uint32_t count = private->live_count > 0;

    while (count < private->live_count &&
           head_compare(&heads[order[0]], &heads[order[count]]) == 0) {
        count++;
    }
    private->group_count = count;
}

void merge_arrange(struct merge_cursor *cursor, bool forward) {
    struct merge_private *private = merge_private_of(cursor);
    uint8_t mark = merge_mark(forward);
    uint32_t i;

    private->live_count = 0;
    private->hider_count = 0;
    for (i = 0; i < cursor->source_count; i++) {
        if (!private->heads[i].live) continue;
        private->hider_count += (private->heads[i].flags & mark) != 0;
        enter(private, i, forward);
    }
    count_group(private);
}

/* ------------------------------------------------------------------------------------ steps -- */

/* Advance one source, keeping (I2); (I1) is the caller's. */
static LSM_ALWAYS_INLINE int step_source(struct merge_cursor *cursor, uint32_t source,
                                         const bool forward) {
    struct merge_private *private = merge_private_of(cursor);
    struct source_head *head = &private->heads[source];
    uint8_t mark = merge_mark(forward);
    uint32_t hid = (head->flags & mark) != 0;
    int rc;

    rc = forward ? source_next(&cursor->sources[source], head)
                 : source_prev(&cursor->sources[source], head);
    if (LSM_UNLIKELY(rc != LSM_OK)) return rc;
    private->hider_count += (uint32_t)(head->live && (head->flags & mark) != 0) - hid;
    return LSM_OK;
}

/* A source is exhausted: when its level is merging the other side may begin. */
static int wake_other_side(struct merge_cursor *cursor, uint32_t source, bool forward) {
    struct merge_private *private = merge_private_of(cursor);
    uint32_t first = cursor->sources[source].unit_first;
    uint32_t end = first + cursor->sources[source].unit_count;
    bool woken = false;
    uint32_t i;
    int rc;

    rc = unit_go_on(&cursor->sources[first], &private->heads[first], source - first, forward,
                    &woken);
    if (rc != LSM_OK || !woken) return rc;
    for (i = first; i < end; i++) {
        if (!private->heads[i].live) continue;
        private->hider_count += (private->heads[i].flags & merge_mark(forward)) != 0;
        enter(private, i, forward);
    }
    return LSM_OK;
}

/* Leave the present key: step all sources of the group and find the next group. */
static int step_group(struct merge_cursor *cursor, bool forward) {
    struct merge_private *private = merge_private_of(cursor);
    uint32_t count = private->group_count;
    uint32_t i;
    int rc = LSM_OK;

    memcpy(private->moving, private->order, count * sizeof *private->order);
    private->live_count -= count;
    memmove(private->order, private->order + count, private->live_count * sizeof *private->order);
    for (i = 0; i < count && rc == LSM_OK; i++) {
        rc = step_source(cursor, private->moving[i], forward);
    }
    /* Only now: whether a merge's other side begins depends on all of its sources. */
    for (i = 0; i < count && rc == LSM_OK; i++) {
        if (private->heads[private->moving[i]].live) enter(private, private->moving[i], forward);
    }
    for (i = 0; i < count && rc == LSM_OK; i++) {
        uint32_t source = private->moving[i];
        if (!private->heads[source].live && cursor->sources[source].role != SOURCE_PLAIN) {
            rc = wake_other_side(cursor, source, forward);
        }
    }
    count_group(private);
    return rc;
}

static LSM_ALWAYS_INLINE int step(struct merge_cursor *cursor, const bool forward) {
    struct merge_private *private = merge_private_of(cursor);
    const struct source_head *heads = private->heads;
    uint32_t *order = private->order;
    uint32_t source = order[0];
    int difference;
    int rc;

    if (LSM_UNLIKELY(private->group_count != 1)) return step_group(cursor, forward);
    rc = step_source(cursor, source, forward);
    if (LSM_UNLIKELY(rc != LSM_OK)) return rc;
    if (LSM_LIKELY(heads[source].live)) {
        if (private->live_count == 1) return LSM_OK;
        difference = head_compare(&heads[source], &heads[order[1]]);
        if (LSM_LIKELY(forward ? difference < 0 : difference > 0)) return LSM_OK;
    }
    if (LSM_LIKELY(heads[source].live)) {
        sink(private, forward);
    } else {
        private->live_count--;
        memmove(order, order + 1, private->live_count * sizeof *order);
        if (cursor->sources[source].role != SOURCE_PLAIN) {
            rc = wake_other_side(cursor, source, forward);
        }
    }
    count_group(private);
    return rc;
}

static int step_on(struct merge_cursor *cursor, bool forward) {
    return forward ? step(cursor, true) : step(cursor, false);
}

/* The present group has nothing to show, or is hidden: go on to the next that shows something. */
static LSM_ALWAYS_INLINE int settle(struct merge_cursor *cursor, const bool forward) {
    struct merge_private *private = merge_private_of(cursor);
    const struct source_head *heads = private->heads;
    uint32_t hidden_count = 0;
    uint32_t owner, hider;
    int rc = LSM_OK;

    for (;;) {
        if (LSM_UNLIKELY(private->live_count == 0)) {
            cursor->valid = false;
            return LSM_OK;
        }
        owner = private->order[0];
        if (private->group_count != 1 ||
            !(heads[owner].flags & (RECORD_INSERT | RECORD_POINT_DELETE))) {
            owner = merge_rule_owner(heads, private->order, private->group_count);
        }
        hider = SOURCE_NONE;
        if (LSM_UNLIKELY(private->hider_count > 0 && owner != SOURCE_NONE)) {
            hider = merge_rule_hider(heads, private->order, private->group_count, owner,
                                     merge_mark(forward));
        }
        if (LSM_LIKELY(owner != SOURCE_NONE && (heads[owner].flags & RECORD_INSERT) &&
                       hider == SOURCE_NONE)) {
            cursor->valid = true;
            cursor->key = heads[owner].key;
            cursor->flags = heads[owner].flags;
            cursor->owner = owner;
            return LSM_OK;
        }
        hidden_count = hider == SOURCE_NONE ? 0 : hidden_count + 1;
        if (hidden_count > HIDDEN_STEPS_MAX) {
            rc = merge_skip_hidden(cursor, hider, forward);
            hidden_count = 0;
        } else {
            rc = step_on(cursor, forward);
        }
        if (LSM_UNLIKELY(rc != LSM_OK)) return merge_fail(cursor, rc);
    }
}

int merge_settle(struct merge_cursor *cursor) {
    return cursor->direction == MERGE_FORWARD ? settle(cursor, true) : settle(cursor, false);
}

int merge_cursor_next(struct merge_cursor *cursor) {
    int rc;

    if (LSM_UNLIKELY(cursor->direction != MERGE_FORWARD)) return LSM_MISUSE;
    if (LSM_UNLIKELY(!cursor->valid)) return LSM_OK; /* stays at the end */
    rc = step(cursor, true);
    if (LSM_UNLIKELY(rc != LSM_OK)) return merge_fail(cursor, rc);
    return settle(cursor, true);
}

int merge_cursor_prev(struct merge_cursor *cursor) {
    int rc;

    if (LSM_UNLIKELY(cursor->direction != MERGE_BACKWARD)) return LSM_MISUSE;
    if (LSM_UNLIKELY(!cursor->valid)) return LSM_OK;
    rc = step(cursor, false);
    if (LSM_UNLIKELY(rc != LSM_OK)) return merge_fail(cursor, rc);
    return settle(cursor, false);
}

int merge_cursor_value(struct merge_cursor *cursor, struct slice *value) {
    if (!cursor->valid) return LSM_MISUSE;
    return source_value(&cursor->sources[cursor->owner], value);
}
