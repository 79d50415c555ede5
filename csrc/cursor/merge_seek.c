/*
** merge_seek.c — positioning a merge cursor: every source for itself, then the order among them.
**
** Runs with fences go first, all at the same time: the places of the key are found in memory, the pages are on their
** way before the first of them is looked at (meanwhile the trees are searched), and the searches in them take turns.
** Then the positions, newest level first, because a run without fences and without an index of its own is entered
** through the pointer of the record found in the run above.
**
** INVARIANTS  (I1) after a seek every source stands on its first record at or beyond the target in
**             the direction of travel, whether or not the key is live: stepping decides that.
** COST        One page or one descent per source. Skipping a hidden stretch: one descent per source older than
**             the range.
*/
#include "cursor/source.h"

enum seek_kind { SEEK_FIRST, SEEK_LAST, SEEK_GE, SEEK_LE };

/* Find the places of the key in the runs that have fences, and have their pages fetched. Lists them in `moving`. */
static uint32_t foresee(struct merge_cursor *cursor, struct slice key) {
    uint32_t *list = merge_private_of(cursor)->moving;
    bool visited = false;
    uint32_t count = 0;
    uint32_t i;

    for (i = 0; i < cursor->source_count; i += cursor->sources[i].unit_count) {
        unit_foresee(&cursor->sources[i], key, &visited, list, &count);
    }
    return count;
}

/* What a seek did not use (a side that turned out to be dormant, or all behind an error) is of no use to another. */
static void forget_foreseen(struct merge_cursor *cursor) {
    uint32_t i;
    for (i = 0; i < cursor->source_count; i++) cursor->sources[i].foreseen = false;
}

static int position_unit(struct merge_source *unit, struct source_head *heads, enum seek_kind kind,
                         struct slice key, bool exclusive, uint64_t *pointer) {
    switch (kind) {
    case SEEK_FIRST: return unit_first(unit, heads);
    case SEEK_LAST: return unit_last(unit, heads);
    case SEEK_GE: return unit_seek_ge(unit, heads, key, exclusive, pointer);
    case SEEK_LE: return unit_seek_le(unit, heads, key, exclusive, pointer);
    }
    return LSM_OK;
}

static int position(struct merge_cursor *cursor, enum seek_kind kind, struct slice key,
                    bool exclusive) {
    struct merge_private *private = merge_private_of(cursor);
    bool forward = kind == SEEK_FIRST || kind == SEEK_GE;
    uint32_t foreseen = 0;
    uint64_t pointer = 0;
    uint32_t i;
    int rc = LSM_OK;

    if (!cursor->view) return LSM_MISUSE;
    /* A key taken from this cursor goes away as soon as its source moves. */
    if (cursor->valid && key.size > 0) {
        rc = buffer_assign(&private->target, key);
        if (rc != LSM_OK) return merge_fail(cursor, rc);
        key = buffer_slice(&private->target);
    }
    cursor->valid = false;
    if (kind == SEEK_GE || kind == SEEK_LE) foreseen = foresee(cursor, key);
    /* The trees, which stand in front, while the pages are on their way; then the runs, `pointer` running along. */
    for (i = 0; i < cursor->source_count && rc == LSM_OK; i += cursor->sources[i].unit_count) {
        if (foreseen > 0 && !cursor->sources[i].tree) {
            sources_search(cursor->sources, key, private->moving, foreseen);
            foreseen = 0;
        }
        rc = position_unit(&cursor->sources[i], &private->heads[i], kind, key, exclusive, &pointer);
    }
    forget_foreseen(cursor);
    if (rc != LSM_OK) return merge_fail(cursor, rc);
    cursor->direction = forward ? MERGE_FORWARD : MERGE_BACKWARD;
    merge_arrange(cursor, forward);
    return merge_settle(cursor);
}

int merge_cursor_first(struct merge_cursor *cursor) {
    return position(cursor, SEEK_FIRST, (struct slice){NULL, 0}, false);
}

int merge_cursor_last(struct merge_cursor *cursor) {
    return position(cursor, SEEK_LAST, (struct slice){NULL, 0}, false);
}

int merge_cursor_seek_ge(struct merge_cursor *cursor, struct slice key) {
    return position(cursor, SEEK_GE, key, false);
}

int merge_cursor_seek_le(struct merge_cursor *cursor, struct slice key) {
    return position(cursor, SEEK_LE, key, false);
}

int merge_cursor_seek_gt(struct merge_cursor *cursor, struct slice key) {
    return position(cursor, SEEK_GE, key, true);
}

int merge_cursor_seek_lt(struct merge_cursor *cursor, struct slice key) {
    return position(cursor, SEEK_LE, key, true);
}

/* ------------------------------------------------------------------------- hidden stretches -- */

/* Is the head still on the near side of the end of the stretch? */
static bool falls_short(const struct source_head *head, const struct source_head *end,
                        bool exclusive, bool forward) {
    int difference = head_compare(head, end);
    if (exclusive && difference == 0) return true;
    return forward ? difference < 0 : difference > 0;
}

/* Move one source to the end of the stretch. */
static int skip_source(struct merge_cursor *cursor, uint32_t source,
                       const struct source_head *end, bool exclusive, bool forward) {
    struct merge_private *private = merge_private_of(cursor);
    struct merge_source *moved = &cursor->sources[source];
    struct source_head *head = &private->heads[source];
    uint64_t pointer = 0;

    if (forward) return source_seek_ge(moved, head, end->key, exclusive, &pointer);
    if (moved->role != SOURCE_RIGHT) {
        return source_seek_le(moved, head, end->key, exclusive, &pointer);
    }
    /* What lies between the end and the split key is hidden; standing in would hide no more. */
    if (prefixed_compare(end->prefix, end->key, moved->split_prefix, moved->split) <
        (exclusive ? 1 : 0)) {
        head_clear(head);
        return LSM_OK;
    }
    return right_seek_le(moved, head, end->key, exclusive, &pointer);
}

int merge_skip_hidden(struct merge_cursor *cursor, uint32_t hider, bool forward) {
    struct merge_private *private = merge_private_of(cursor);
    struct source_head *heads = private->heads;
    const struct source_head end = heads[hider]; /* stays where it is */
    bool exclusive = end.stand_in;               /* the split key itself is hidden, too */
    struct merge_source *unit;
    bool woken;
    uint32_t i, first;
    int rc = LSM_OK;

    /*
    ** 1. Older sources that fall short go to the end of the stretch. 2. When that exhausts one side
    ** of a merge, the other side begins; forward it lies ahead in this loop, backward it is the
    ** unit's first source, which has been passed and is moved here.
    */
    for (i = hider + 1; i < cursor->source_count && rc == LSM_OK; i++) {
        if (!heads[i].live || !falls_short(&heads[i], &end, exclusive, forward)) continue;
        rc = skip_source(cursor, i, &end, exclusive, forward);
        if (rc != LSM_OK || heads[i].live || cursor->sources[i].role == SOURCE_PLAIN) continue;
        first = cursor->sources[i].unit_first;
        unit = &cursor->sources[first];
        rc = unit_go_on(unit, &heads[first], i - first, forward, &woken);
        if (rc == LSM_OK && woken && !forward && heads[first].live &&
            falls_short(&heads[first], &end, exclusive, forward)) {
            rc = skip_source(cursor, first, &end, exclusive, forward);
        }
    }
    if (rc == LSM_OK) merge_arrange(cursor, forward);
    return rc;
}
