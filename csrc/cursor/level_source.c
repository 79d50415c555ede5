/*
** level_source.c — a tree, a run, or a merge in progress as streams of records.
**
** Read source.h first: roles, windows, stand-ins. Everything the format says about reading a merge
** in progress is in this file and nowhere else: scans, the walk over the free list and checks share
** it.
**
**     seek         LEFT                                  RIGHT
**     key < split  seek                                  forward: dormant, or from the split key
**                                                        when LEFT has nothing; backward: nothing
**     else         forward: nothing; backward: dormant,  seek, each handing its pointer to the next
**                  or from its end when RIGHT is done
**
** INVARIANTS  (I1), (I2) of source.h. (I3) an output that is empty or ends in separators is
**             exhausted like any other: separators are never shown. (I4) the pointer handed on is
**             that of the last record at or below the key, separators included. None is handed
**             on from the start of a range: separators inside the range were dropped, so it lags
**             behind, and in an input of a merge the page it leads to may be given back already.
** ERRORS      LSM_CORRUPT when the output reaches the split key or a saved position does not fit.
** COST        A seek is one page if the run has fences, else one descent. When the next older run has neither
**             fences nor an index of its own, a forward seek stands on the record at or below the key first, since
**             the pointer is there.
*/
#include "cursor/source.h"

/* ------------------------------------------------------------------------------ one source -- */

/* Is the segment cursor on something this source does not show, in its topic or between? */
static bool is_skipped(const struct merge_source *source) {
    return (source->segment.flags & RECORD_SEPARATOR) != 0;
}

static bool in_topic(const struct merge_source *source) {
    return (source->segment.flags & RECORD_SYSTEM) == source->system;
}

static enum topic topic_of(const struct merge_source *source) {
    return source->system ? TOPIC_SYSTEM : TOPIC_USER;
}

static int compare_split(const struct merge_source *source, struct slice key) {
    return prefixed_compare(key_prefix(key), key, source->split_prefix, source->split);
}

/* Fill the head from where the tree's cursor is. */
static void show_tree(struct merge_source *source, struct source_head *head) {
    if (memtree_cursor_valid(source->tree)) {
        head_set(head, source->tree->key, source->tree->flags);
    }
}

/* Go on to the first record at or behind (`after`: behind) `key` that is shown, and show it. */
static int show_forward(struct merge_source *source, struct source_head *head, struct slice key,
                        bool after) {
    struct segment_cursor *segment = &source->segment;
    int order;
    int rc = LSM_OK;

    while (segment->valid) {
        if (in_topic(source)) {
            order = key_compare(segment->key, key);
            if (!is_skipped(source) && (order > 0 || (order == 0 && !after))) {
                head_set(head, segment->key, segment->flags);
                if (source->role == SOURCE_LEFT) rc = source_leave_forward(source, head);
                return rc;
            }
        } else if (!source->system) {
            return LSM_OK; /* user keys are over */
        }
        rc = segment_next(segment);
        if (rc != LSM_OK) return rc;
    }
    return LSM_OK;
}

/* The same backward. */
static int show_backward(struct merge_source *source, struct source_head *head, struct slice key,
                         bool before) {
    struct segment_cursor *segment = &source->segment;
    int order;
    int rc;

    while (segment->valid) {
        if (in_topic(source)) {
            order = key_compare(segment->key, key);
            if (!is_skipped(source) && (order < 0 || (order == 0 && !before))) {
                head_set(head, segment->key, segment->flags);
                return LSM_OK;
            }
        } else if (source->system) {
            return LSM_OK; /* system keys are over */
        }
        rc = segment_prev(segment);
        if (rc != LSM_OK) return rc;
    }
    return LSM_OK;
}

/* Stand on the least record >= key (forward) or the greatest <= key. */
static int run_seek(struct merge_source *source, struct slice key, bool forward, uint64_t pointer) {
    struct segment_cursor *segment = &source->segment;
    bool found = source->foreseen;
    uint64_t hint = 0;
    int rc;

    source->foreseen = false;
    if (!found && !source->system &&
        level_run_place(source->view, source->level_index, source->run_index, key, &source->place)) {
        segment_place_prefetch(&segment->view, &source->place, PLACE_REACH_ALONE);
        rc = segment_search_at(segment, key, &source->place, &source->search);
        if (rc != LSM_OK) return rc;
        found = true;
    }
    if (LSM_LIKELY(found)) {
        return forward ? segment_search_ge(segment, &source->search)
                       : segment_search_le(segment, &source->search);
    }
    rc = level_pointer(source->view, source->level_index, source->run_index, pointer, &hint);
    if (rc != LSM_OK) return rc;
    return forward ? segment_seek_ge(segment, topic_of(source), key, hint)
                   : segment_seek_le(segment, topic_of(source), key, hint);
}

/* (I4) */
static uint64_t pointer_to_hand_on(const struct segment_cursor *segment) {
    if (!segment->valid || (segment->flags & RECORD_START_DELETE)) return 0;
    return segment->pointer;
}

int source_seek_ge(struct merge_source *source, struct source_head *head, struct slice key,
                   bool after, uint64_t *pointer) {
    struct segment_cursor *segment = &source->segment;
    uint64_t next_pointer = 0;
    int rc;

    head_clear(head);
    if (source->tree) {
        rc = memtree_seek_ge(source->tree, key);
        if (rc == LSM_OK && after && memtree_cursor_valid(source->tree) &&
            key_compare(source->tree->key, key) == 0) {
            rc = memtree_next(source->tree);
        }
        if (rc == LSM_OK) show_tree(source, head);
        return rc;
    }
    if (source->absent && !source->gives_pointer) {
        *pointer = 0;
        return LSM_OK;
    }
    if (source->gives_pointer) {
        rc = run_seek(source, key, false, *pointer);
        if (rc != LSM_OK) goto done;
        next_pointer = pointer_to_hand_on(segment);
    }
    if (!source->absent) {
        /* Below everything there is no record to stand on, and no pointer. */
        if (!source->gives_pointer || !segment->valid) {
            rc = run_seek(source, key, true, *pointer);
            if (rc != LSM_OK) goto done;
        }
        rc = show_forward(source, head, key, after);
        if (rc != LSM_OK) goto done;
    }
    *pointer = next_pointer;
done:
    return rc;
}

int source_seek_le(struct merge_source *source, struct source_head *head, struct slice key,
                   bool before, uint64_t *pointer) {
    struct segment_cursor *segment = &source->segment;
    uint64_t next_pointer = 0;
    int rc;

    head_clear(head);
    if (source->tree) {
        rc = memtree_seek_le(source->tree, key);
        if (rc == LSM_OK && before && memtree_cursor_valid(source->tree) &&
            key_compare(source->tree->key, key) == 0) {
            rc = memtree_prev(source->tree);
        }
        if (rc == LSM_OK) show_tree(source, head);
        return rc;
    }
    if (source->absent && !source->gives_pointer) {
        *pointer = 0;
        return LSM_OK;
    }
    rc = run_seek(source, key, false, *pointer);
    if (rc != LSM_OK) goto done;
    next_pointer = pointer_to_hand_on(segment);
    if (!source->absent) {
        rc = show_backward(source, head, key, before);
        if (rc != LSM_OK) goto done;
        if (head->live && source->role == SOURCE_LEFT) rc = source_leave_forward(source, head);
        if (rc != LSM_OK) goto done;
    }
    *pointer = next_pointer;
done:
    return rc;
}

static int source_first(struct merge_source *source, struct source_head *head) {
    static const struct slice empty = {(const uint8_t *)"", 0};
    int rc;

    head_clear(head);
    if (source->tree) {
        rc = memtree_first(source->tree);
        if (rc == LSM_OK) show_tree(source, head);
        return rc;
    }
    if (source->absent) return LSM_OK;
    rc = source->system ? segment_seek_ge(&source->segment, TOPIC_SYSTEM, empty, 0)
                        : segment_first(&source->segment);
    if (rc == LSM_OK) rc = show_forward(source, head, empty, false);
    return rc;
}

static int source_last(struct merge_source *source, struct source_head *head) {
    static const struct slice empty = {(const uint8_t *)"", 0};
    struct segment_cursor *segment = &source->segment;
    int rc;

    head_clear(head);
    if (source->tree) {
        rc = memtree_last(source->tree);
        if (rc == LSM_OK) show_tree(source, head);
        return rc;
    }
    if (source->absent) return LSM_OK;
    rc = segment_last(segment);
    if (rc == LSM_OK && !source->system && segment->valid && !in_topic(source)) {
        /* Behind the user keys lie system keys, perhaps many. */
        rc = segment_seek_le(segment, TOPIC_SYSTEM, empty, 0);
    }
    while (rc == LSM_OK && segment->valid && (is_skipped(source) || !in_topic(source))) {
        if (source->system && !in_topic(source)) return LSM_OK; /* system keys are over */
        rc = segment_prev(segment);
    }
    if (rc != LSM_OK || !segment->valid) return rc;
    head_set(head, segment->key, segment->flags);
    if (source->role == SOURCE_LEFT) rc = source_leave_forward(source, head);
    return rc;
}

int source_value(struct merge_source *source, struct slice *value) {
    if (source->tree) return memtree_value(source->tree, value);
    return segment_value(&source->segment, value);
}

/* --------------------------------------------------------------- windows of a merging level -- */

/* LEFT, on a record: it must be below the split key, or RIGHT would take the scan back. */
int source_leave_forward(struct merge_source *source, struct source_head *head) {
    if (LSM_LIKELY(prefixed_compare(head->prefix, head->key, source->split_prefix, source->split) <
                   0)) {
        return LSM_OK;
    }
    head_clear(head);
    return error_corrupt(source->view->error, source->segment.page.page_no,
                         "output of a merge reaches its split key");
}

/* From the split key to the last record taken all is inside a range whose start was merged. */
static void become_stand_in(struct merge_source *source, struct source_head *head) {
    head->prefix = source->split_prefix;
    head->key = source->split;
    head->flags = RECORD_START_DELETE;
    head->live = true;
    head->stand_in = true;
}

/* RIGHT, after a step down: show the record if it is in the window; else see (I2). */
void source_leave_backward(struct merge_source *source, struct source_head *head) {
    struct segment_cursor *segment = &source->segment;
    uint64_t prefix;

    if (segment->valid && in_topic(source)) {
        prefix = key_prefix(segment->key);
        if (prefixed_compare(prefix, segment->key, source->split_prefix, source->split) >= 0) {
            head_set(head, segment->key, segment->flags);
            return;
        }
    }
    if (head->flags & RECORD_END_DELETE) become_stand_in(source, head);
    else head_clear(head);
}

int right_seek_le(struct merge_source *source, struct source_head *head, struct slice key,
                  bool before, uint64_t *pointer) {
    uint64_t none = 0;
    int rc;

    assert(source->role == SOURCE_RIGHT);
    rc = source_seek_le(source, head, key, before, pointer);
    if (rc != LSM_OK) return rc;
    if (source->absent || (head->live && compare_split(source, head->key) >= 0)) return LSM_OK;
    /* Nothing from the split key up to here: all inside, if the next record ends a range. */
    rc = source_seek_ge(source, head, key, false, &none);
    if (rc != LSM_OK) return rc;
    if (head->live && (head->flags & RECORD_END_DELETE)) become_stand_in(source, head);
    else head_clear(head);
    return LSM_OK;
}

/* The greatest record of RIGHT's window. Nothing is beyond it to stand in for. */
static int right_last(struct merge_source *source, struct source_head *head) {
    int rc = source_last(source, head);
    if (rc == LSM_OK && head->live && compare_split(source, head->key) < 0) head_clear(head);
    return rc;
}

/* The least record of RIGHT's window is the one to be merged next. */
static int right_first(struct merge_source *source, struct source_head *head) {
    int rc;

    head_clear(head);
    if (source->absent) return LSM_OK;
    rc = segment_go(&source->segment, source->resume.page, source->resume.cell);
    if (rc == LSM_OK) rc = show_forward(source, head, source->split, false);
    return rc;
}

/* ------------------------------------------------------------------------------------ units -- */

static int wake_right(struct merge_source *unit, struct source_head *heads) {
    uint32_t i;
    int rc = LSM_OK;
    for (i = 1; i < unit->unit_count && rc == LSM_OK; i++) rc = right_first(&unit[i], &heads[i]);
    return rc;
}

static bool any_right_live(const struct merge_source *unit, const struct source_head *heads) {
    uint32_t i;
    for (i = 1; i < unit->unit_count; i++) {
        if (heads[i].live) return true;
    }
    return false;
}

static void clear_right(const struct merge_source *unit, struct source_head *heads) {
    uint32_t i;
    for (i = 1; i < unit->unit_count; i++) head_clear(&heads[i]);
}

int unit_first(struct merge_source *unit, struct source_head *heads) {
    int rc;

    clear_right(unit, heads);
    rc = source_first(unit, heads);
    if (rc == LSM_OK && unit->role == SOURCE_LEFT && !heads->live) rc = wake_right(unit, heads);
    return rc;
}

int unit_last(struct merge_source *unit, struct source_head *heads) {
    uint32_t i;
    int rc = LSM_OK;

    if (unit->role == SOURCE_PLAIN) return source_last(unit, heads);
    head_clear(heads);
    for (i = 1; i < unit->unit_count && rc == LSM_OK; i++) rc = right_last(&unit[i], &heads[i]);
    if (rc == LSM_OK && !any_right_live(unit, heads)) rc = source_last(unit, heads);
    return rc;
}

int unit_seek_ge(struct merge_source *unit, struct source_head *heads, struct slice key,
                 bool after, uint64_t *pointer) {
    uint32_t i;
    int rc = LSM_OK;

    if (unit->role == SOURCE_PLAIN) return source_seek_ge(unit, heads, key, after, pointer);
    clear_right(unit, heads);
    head_clear(heads);
    if (compare_split(unit, key) >= 0) {
        for (i = 1; i < unit->unit_count && rc == LSM_OK; i++) {
            rc = source_seek_ge(&unit[i], &heads[i], key, after, pointer);
        }
        return rc;
    }
    *pointer = 0; /* it leads into the newest input */
    rc = source_seek_ge(unit, heads, key, after, pointer);
    if (rc == LSM_OK && !heads->live) rc = wake_right(unit, heads);
    return rc;
}

int unit_seek_le(struct merge_source *unit, struct source_head *heads, struct slice key,
                 bool before, uint64_t *pointer) {
    uint32_t i;
    int order;
    int rc = LSM_OK;

    if (unit->role == SOURCE_PLAIN) return source_seek_le(unit, heads, key, before, pointer);
    clear_right(unit, heads);
    head_clear(heads);
    order = compare_split(unit, key);
    if (order > 0 || (order == 0 && !before)) {
        for (i = 1; i < unit->unit_count && rc == LSM_OK; i++) {
            rc = right_seek_le(&unit[i], &heads[i], key, before, pointer);
        }
        if (rc == LSM_OK && !any_right_live(unit, heads)) rc = source_last(unit, heads);
        return rc;
    }
    *pointer = 0;
    return source_seek_le(unit, heads, key, before, pointer);
}

void unit_foresee(struct merge_source *unit, struct slice key, bool *visited, uint32_t *list,
                  uint32_t *count) {
    bool right = unit->role == SOURCE_LEFT && compare_split(unit, key) >= 0;
    uint32_t i;

    for (i = 0; i < unit->unit_count; i++) {
        struct merge_source *source = &unit[i];
        source->foreseen = false;
        if (source->tree || source->system || (source->absent && !source->gives_pointer)) continue;
        if (source->role == (right ? SOURCE_LEFT : SOURCE_RIGHT)) continue; /* dormant */
        if (!*visited) {
            *visited = level_run_visit(source->view, source->level_index, source->run_index);
        }
        if (!level_run_place(source->view, source->level_index, source->run_index, key,
                             &source->place)) {
            continue;
        }
        segment_place_prefetch(&source->segment.view, &source->place, PLACE_REACH_SHARED);
        list[(*count)++] = unit->unit_first + i;
    }
}

void sources_search(struct merge_source *sources, struct slice key, uint32_t *list, uint32_t count) {
    uint32_t going = 0;
    uint32_t i;

    for (i = 0; i < count; i++) {
        struct merge_source *source = &sources[list[i]];
        if (segment_search_begin(&source->segment, &source->place, &source->search) == LSM_OK) {
            list[going++] = list[i];
        }
    }
    while (going > 0) {
        count = going;
        going = 0;
        for (i = 0; i < count; i++) {
            struct merge_source *source = &sources[list[i]];
            if (segment_search_step(&source->segment, key, &source->search) != LSM_OK) continue;
            if (source->search.low < source->search.high) list[going++] = list[i];
            else source->foreseen = true;
        }
    }
}

int unit_go_on(struct merge_source *unit, struct source_head *heads, uint32_t exhausted,
               bool forward, bool *woken) {
    int rc = LSM_OK;

    *woken = false;
    if (unit[exhausted].role == SOURCE_LEFT && forward) {
        rc = wake_right(unit, heads);
        *woken = rc == LSM_OK;
    } else if (unit[exhausted].role == SOURCE_RIGHT && !forward && !heads->live &&
               !any_right_live(unit, heads)) {
        rc = source_last(unit, heads);
        *woken = rc == LSM_OK;
    }
    return rc;
}
