/*
** cursor.h — one ordered view over all homes of a record: live tree, old tree, segments.
**
** The three columns meet here for reading. Rules: the newest insert or point tombstone of a key decides; a
** range tombstone hides what is older; inside a merge in progress the output holds keys below the split
** key and the inputs all others. User keys and system keys (the free list) are two separate views.
**
** OWNERSHIP   A read_view borrows everything it names; it must outlive the cursors opened on it. Keys and
**             values stay valid until the cursor moves, and as long as the view's transaction.
*/
#ifndef LSM_CURSOR_H
#define LSM_CURSOR_H

#include "base/buffer.h"
#include "format/format_snapshot.h"
#include "memtree/memtree.h"
#include "pager/pager.h"
#include "segment/segment.h"
#include "store/store.h"

/* What is worth knowing about the levels of one snapshot beyond its record: split keys of merges in
** progress (read once), segments that never had an index. Filled lazily, kept as long as the snapshot. */
struct level_notes;
LSM_MUST_USE int level_notes_new(lsm_env *env, const struct snapshot *snapshot,
                                 struct level_notes **out);
void level_notes_free(struct level_notes *notes); /* NULL is accepted */
/* Take references to what `store` knows about the runs of the snapshot. */
void level_notes_attach(struct level_notes *notes, struct store *store,
                        const struct snapshot *snapshot, const struct pager *pager);

struct read_view {
    lsm_env *env;
    struct error_context *error;
    struct pager *pager;
    struct memtree live;             /* root 0 = empty */
    struct memtree old;              /* root 0 = none, or spent */
    const struct snapshot *snapshot;
    struct level_notes *notes;       /* of that snapshot */
    struct store *store;             /* NULL = none: point reads make no notes */
};

/* Scratch of point reads: kept by a connection so that a read allocates nothing. */
struct lookup_scratch {
    struct buffer value;
    struct segment_cursor segment;
};
void lookup_scratch_init(struct lookup_scratch *scratch, lsm_env *env);
void lookup_scratch_release(struct lookup_scratch *scratch);
/* Give back the page behind the last value, before its view goes away; memory is kept. */
void lookup_scratch_detach(struct lookup_scratch *scratch);

/* What is known about a key before it is looked up: where to begin with the runs. */
struct lookup_ahead {
    uint64_t hash;
    uint32_t level_index; /* the first run that may know the key; all newer ones do not. level_count = none */
    uint32_t run_index;
    uint32_t run_end;     /* of the runs of its level that count for the key */
    bool begun;           /* else run_index and run_end mean nothing */
    bool placed;          /* `place` is where the key is in that run */
    struct segment_place place;
};
/* Find out about keys that will be looked up, and have fetched what the lookups will read. Good as long as the view
** stays as it is. */
void view_look_ahead(const struct read_view *view, const struct slice *keys, uint32_t count,
                     struct lookup_ahead *out);

/* Point read of a user key. `value` (may be NULL) is valid until the next use of `scratch`. */
LSM_MUST_USE int view_lookup(const struct read_view *view, struct lookup_scratch *scratch,
                             struct slice key, bool *found, struct slice *value);
/* The same, with what view_look_ahead found out; it is used up. */
LSM_MUST_USE int view_lookup_ahead(const struct read_view *view, struct lookup_scratch *scratch,
                                   struct slice key, struct lookup_ahead *ahead, bool *found,
                                   struct slice *value);

enum merge_direction { MERGE_NONE = 0, MERGE_FORWARD = 1, MERGE_BACKWARD = -1 };

struct merge_source; /* private */

struct merge_cursor {
    lsm_env *env;
    const struct read_view *view;
    enum topic topic;
    enum merge_direction direction;
    bool valid;
    struct slice key;                /* of the entry, while valid; may be used as the target of a seek */
    uint8_t flags;                   /* RECORD_ flags of the owner */
    struct merge_source *sources;    /* newest first */
    uint32_t source_count;
    uint32_t source_capacity;
    uint32_t owner;                  /* source of the entry */
    void *private_state;
};

void merge_cursor_init(struct merge_cursor *cursor, lsm_env *env);
void merge_cursor_release(struct merge_cursor *cursor);
/* Look at a view (again): on no entry afterwards; memory is kept. */
LSM_MUST_USE int merge_cursor_open(struct merge_cursor *cursor, const struct read_view *view,
                                   enum topic topic);
/* Give back all pages and forget the view, before it goes away; memory is kept. */
void merge_cursor_detach(struct merge_cursor *cursor);

/* Live entries only. After first, seek_ge and seek_gt only next, after last, seek_le and seek_lt only prev,
** else LSM_MISUSE, position unchanged. At the end `valid` is false, and a step in the same direction is
** LSM_OK and stays there. After any other error: on no entry, and no step may follow. */
LSM_MUST_USE int merge_cursor_first(struct merge_cursor *cursor);
LSM_MUST_USE int merge_cursor_last(struct merge_cursor *cursor);
LSM_MUST_USE int merge_cursor_seek_ge(struct merge_cursor *cursor, struct slice key);
LSM_MUST_USE int merge_cursor_seek_le(struct merge_cursor *cursor, struct slice key);
LSM_MUST_USE int merge_cursor_seek_gt(struct merge_cursor *cursor, struct slice key);
LSM_MUST_USE int merge_cursor_seek_lt(struct merge_cursor *cursor, struct slice key);
LSM_MUST_USE int merge_cursor_next(struct merge_cursor *cursor);
LSM_MUST_USE int merge_cursor_prev(struct merge_cursor *cursor);
LSM_MUST_USE int merge_cursor_value(struct merge_cursor *cursor, struct slice *value);

/* The split key of a level that is merging (from the notes; read from the file the first time). */
LSM_MUST_USE int level_split_key(const struct read_view *view, uint32_t level_index, enum topic *topic,
                                 struct slice *key);

#endif
