/*
** source.h — one home of records (a tree, or a run of a level) as an ordered stream; private to
** cursor/.
**
** A source shows the records of one topic, separators left out, as they are stored: inserts,
** tombstones and range marks. Its present record is copied into a `struct source_head`; the heads
** of all sources lie side by side, so that choosing the next key touches no cursor.
**
** UNITS       A tree and a finished level are one source each (SOURCE_PLAIN). A merge in progress
**             is a unit of several: its output (LEFT), then its inputs (RIGHT), newest first. Each
**             side has a window: LEFT keys below the split key, RIGHT all others. A source hides
**             older records in its own window only:
**
**                 LEFT     a c [e                       split key m
**                 RIGHT 0        (e f g)  ...  p] r     (e f g) merged already, perhaps dropped
**                 older      d      f   k    n   q      f k: hidden by LEFT's "[e" (or by "p]",
**                                                       once LEFT is exhausted); n: by "p]"; q: not
**
** INVARIANTS  (I1) forward, RIGHT sources are dormant (not live) until LEFT is exhausted: their
**             first record could end a range that began inside LEFT's part and would hide too
**             early. (I2) backward, LEFT is dormant until all RIGHT sources are exhausted. A RIGHT
**             source whose last record taken ends a range goes on hiding down to the split key,
**             included: its head becomes a stand-in at the split key, which owns nothing and counts
**             as the start of that range.
** OWNERSHIP   A head's key points into the source's page, tree or scratch, or (stand-in) into the
**             notes.
*/
#ifndef LSM_CURSOR_SOURCE_H
#define LSM_CURSOR_SOURCE_H

#include "base/bytes.h"
#include "cursor/cursor.h"

/* What has to be known of a source to put it in order. */
struct source_head {
    uint64_t prefix;  /* first 8 bytes of the key, big-endian, zeros behind a shorter one */
    struct slice key;
    uint8_t flags;    /* RECORD_ flags */
    bool live;        /* stands on a record, or is a stand-in */
    bool stand_in;
};

enum source_role { SOURCE_PLAIN, SOURCE_LEFT, SOURCE_RIGHT };

struct merge_source {
    struct memtree_cursor *tree; /* NULL = a run */
    uint8_t system;              /* RECORD_SYSTEM if that is the topic, else 0 */
    uint8_t role;                /* enum source_role */
    bool absent;                 /* no pages, or nothing of the window left */
    bool gives_pointer;          /* the next older run has neither root nor fences: seeks there want our pointer */
    bool foreseen;               /* a seek is going on, and `search` has found the place of its key */
    uint32_t level_index;
    uint32_t run_index;          /* 0 = left, 1 + i = right[i] */
    uint32_t unit_first;         /* the unit: sources unit_first .. unit_first + unit_count - 1 */
    uint32_t unit_count;
    uint64_t split_prefix;       /* LEFT and RIGHT */
    struct slice split;          /* points into the notes */
    struct merge_input resume;   /* RIGHT: the record to be merged next */
    const struct read_view *view;
    struct segment_place place;
    struct segment_search search;
    struct segment_cursor segment;
};

#define SOURCE_NONE UINT32_MAX

/* --- heads --- */

static inline uint64_t key_prefix(struct slice key) {
    uint64_t prefix = 0;
    uint32_t i;
    if (LSM_LIKELY(key.size >= 8)) return get_u64(key.data);
    for (i = 0; i < key.size; i++) prefix |= (uint64_t)key.data[i] << (56 - 8 * i);
    return prefix;
}

/* Order of (prefix, key); the prefix decides nearly always. */
static inline int prefixed_compare(uint64_t prefix_a, struct slice a, uint64_t prefix_b,
                                   struct slice b) {
    if (prefix_a != prefix_b) return prefix_a < prefix_b ? -1 : 1;
    return key_compare(a, b);
}

static inline int head_compare(const struct source_head *a, const struct source_head *b) {
    return prefixed_compare(a->prefix, a->key, b->prefix, b->key);
}

static inline void head_set(struct source_head *head, struct slice key, uint8_t flags) {
    head->prefix = key_prefix(key);
    head->key = key;
    head->flags = flags;
    head->live = true;
}

static inline void head_clear(struct source_head *head) {
    head->live = false;
    head->stand_in = false;
}

/* --- one source (level_source.c). Each fills `head`: live, or exhausted. --- */

/* Least record >= `key` (`after`: > key) and greatest record <= `key` (`before`: < key), whatever
** the window. *pointer: in, cascade pointer into this run; out, the one into the next older run; 0
** = none. */
LSM_MUST_USE int source_seek_ge(struct merge_source *source, struct source_head *head,
                                struct slice key, bool after, uint64_t *pointer);
LSM_MUST_USE int source_seek_le(struct merge_source *source, struct source_head *head,
                                struct slice key, bool before, uint64_t *pointer);
/* Of a RIGHT source and key >= split key: as source_seek_le, inside the window; may become a
** stand-in. */
LSM_MUST_USE int right_seek_le(struct merge_source *source, struct source_head *head,
                               struct slice key, bool before, uint64_t *pointer);
LSM_MUST_USE int source_value(struct merge_source *source, struct slice *value);

/* A step that left the window of a merging level, or the topic. */
LSM_MUST_USE int source_leave_forward(struct merge_source *source, struct source_head *head);
void source_leave_backward(struct merge_source *source, struct source_head *head);

/* --- units. `unit` is the first source of one, `heads` its head. --- */
LSM_MUST_USE int unit_first(struct merge_source *unit, struct source_head *heads);
LSM_MUST_USE int unit_last(struct merge_source *unit, struct source_head *heads);
LSM_MUST_USE int unit_seek_ge(struct merge_source *unit, struct source_head *heads,
                              struct slice key, bool after, uint64_t *pointer);
LSM_MUST_USE int unit_seek_le(struct merge_source *unit, struct source_head *heads,
                              struct slice key, bool before, uint64_t *pointer);
/* Before a seek: find the places of the key in the runs of a unit that it will look at, have their pages fetched, and
** list the sources. One run that nothing is known about is told to the store, unless *visited. */
void unit_foresee(struct merge_source *unit, struct slice key, bool *visited, uint32_t *list,
                  uint32_t *count);
/* Search all listed sources, in turns. Who fails is searched again by its seek, which tells why. */
void sources_search(struct merge_source *sources, struct slice key, uint32_t *list, uint32_t count);
/* A source of the unit has just been exhausted: wake the other side when it is its turn. True in
** *woken: the live heads of that side (forward: RIGHT, backward: LEFT) are new. */
LSM_MUST_USE int unit_go_on(struct merge_source *unit, struct source_head *heads,
                            uint32_t exhausted, bool forward, bool *woken);

/* --- stepping: the hot path of scans. Requires a live head. --- */

static inline int source_next(struct merge_source *source, struct source_head *head) {
    int rc;

    if (source->tree) {
        rc = memtree_next(source->tree);
        if (LSM_UNLIKELY(rc != LSM_OK)) return rc;
        if (LSM_UNLIKELY(!memtree_cursor_valid(source->tree))) head->live = false;
        else head_set(head, source->tree->key, source->tree->flags);
        return LSM_OK;
    }
    do {
        rc = segment_next(&source->segment);
        if (LSM_UNLIKELY(rc != LSM_OK)) return rc;
    } while (source->segment.valid && (source->segment.flags & RECORD_SEPARATOR));
    if (LSM_UNLIKELY(!source->segment.valid ||
                     (source->segment.flags & RECORD_SYSTEM) != source->system)) {
        head->live = false;
        return LSM_OK;
    }
    head_set(head, source->segment.key, source->segment.flags);
    if (LSM_UNLIKELY(source->role == SOURCE_LEFT)) return source_leave_forward(source, head);
    return LSM_OK;
}

static inline int source_prev(struct merge_source *source, struct source_head *head) {
    int rc;

    if (source->tree) {
        rc = memtree_prev(source->tree);
        if (LSM_UNLIKELY(rc != LSM_OK)) return rc;
        if (LSM_UNLIKELY(!memtree_cursor_valid(source->tree))) head->live = false;
        else head_set(head, source->tree->key, source->tree->flags);
        return LSM_OK;
    }
    if (LSM_UNLIKELY(head->stand_in)) {
        head_clear(head);
        return LSM_OK;
    }
    do {
        rc = segment_prev(&source->segment);
        if (LSM_UNLIKELY(rc != LSM_OK)) return rc;
    } while (source->segment.valid && (source->segment.flags & RECORD_SEPARATOR));
    if (LSM_UNLIKELY(source->role == SOURCE_RIGHT)) {
        source_leave_backward(source, head);
        return LSM_OK;
    }
    if (LSM_UNLIKELY(!source->segment.valid ||
                     (source->segment.flags & RECORD_SYSTEM) != source->system)) {
        head->live = false;
        return LSM_OK;
    }
    head_set(head, source->segment.key, source->segment.flags);
    return LSM_OK;
}

/* --- what is known about runs (level_notes.c) --- */

/* A run of a level: 0 = left, 1 + i = right[i]. */
struct segment_view level_run_view(const struct read_view *view, uint32_t level_index,
                                   uint32_t run_index);
/* The pointer itself, or 0 if it must not be followed: the run has a root, or never had one. */
LSM_MUST_USE int level_pointer(const struct read_view *view, uint32_t level_index,
                               uint32_t run_index, uint64_t pointer, uint64_t *usable);

/* Have what the filters of a point read will look at fetched. */
void level_notes_prefetch(const struct level_notes *notes, uint64_t hash);
/* Does the filter of a run say that it has nothing to do with the key, and may the run be passed over? Without a
** pointer from it, that is. */
bool level_run_excludes(const struct read_view *view, uint32_t level_index, uint32_t run_index,
                        struct slice key, uint64_t hash);
/* The same and where the key is, as far as it is known by now; nothing is read, nothing is learnt. */
enum run_answer { RUN_EXCLUDED, RUN_PLACED, RUN_NOT_KNOWN };
enum run_answer level_run_ask(const struct read_view *view, uint32_t level_index, uint32_t run_index,
                              struct slice key, uint64_t hash, struct segment_place *place);
/* Where a key is in a run. False: unknown. */
bool level_run_place(const struct read_view *view, uint32_t level_index, uint32_t run_index,
                     struct slice key, struct segment_place *out);
/* Is every user key's place in the run known? */
bool level_run_fenced(const struct read_view *view, uint32_t level_index, uint32_t run_index);
/* The run is being sought: let the store know, and if nothing is known about it, go on making notes. True: it did. */
bool level_run_visit(const struct read_view *view, uint32_t level_index, uint32_t run_index);
/* The run that pointers of a run lead to. False: none. */
bool level_run_next_older(const struct snapshot *snapshot, uint32_t level_index, uint32_t run_index,
                          uint32_t *next_level, uint32_t *next_run);

/* --- which version counts (merge_rules.c); pure --- */

/* `order` lists the sources that stand on the present key, newest first: the newest with an insert
** or a point tombstone, or SOURCE_NONE. */
uint32_t merge_rule_owner(const struct source_head *heads, const uint32_t *order,
                          uint32_t group_count);
/* The newest source, newer than `owner`, whose record beyond the present key carries `mark`
** (RECORD_END_DELETE forward, RECORD_START_DELETE backward) and so hides it, or SOURCE_NONE. */
uint32_t merge_rule_hider(const struct source_head *heads, const uint32_t *order,
                          uint32_t group_count, uint32_t owner, uint8_t mark);

/* --- state of a merge cursor --- */

struct merge_private {
    struct memtree_cursor trees[2];
    struct source_head *heads;  /* one per source */
    uint32_t *order;            /* live sources in order of their keys, newest first among equals */
    uint32_t *moving;           /* scratch of the same size */
    uint32_t live_count;
    uint32_t group_count;       /* leading sources of `order` with the same key: the present one */
    uint32_t hider_count;       /* live heads with the mark that hides in this direction */
    uint32_t ready_count;       /* sources whose segment cursor is initialised */
    struct buffer target;       /* copy of a seek key that points into ourselves */
};

static inline struct merge_private *merge_private_of(const struct merge_cursor *cursor) {
    return cursor->private_state;
}
static inline uint8_t merge_mark(bool forward) {
    return forward ? RECORD_END_DELETE : RECORD_START_DELETE;
}

/* Put all live heads in order. */
void merge_arrange(struct merge_cursor *cursor, bool forward);
/* From the present group on, find the next live entry, or the end. */
LSM_MUST_USE int merge_settle(struct merge_cursor *cursor);
/* `hider` hides a stretch of all older sources: move them to its end at once (merge_seek.c). */
LSM_MUST_USE int merge_skip_hidden(struct merge_cursor *cursor, uint32_t hider, bool forward);
/* After an error: on no entry, no direction. Returns `rc`. */
int merge_fail(struct merge_cursor *cursor, int rc);

#endif
