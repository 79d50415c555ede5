/*
** work_internal.h — what the files of this room share: inputs of a writing merge, the run of a
** merge, free blocks.
*/
#ifndef LSM_WORK_INTERNAL_H
#define LSM_WORK_INTERNAL_H

#include "work/work.h"

/* ----------------------------------------------------------------------------------- inputs -- */

enum input_kind { INPUT_TREE, INPUT_SEGMENT, INPUT_INDEX, INPUT_FREELIST };

/* A record of the free list as it will stand in a run. */
struct freelist_record {
    uint8_t flags;
    uint8_t key[4];
    uint8_t value[8];
};

/* One ordered source of records to be written. */
struct merge_item {
    lsm_env *env;          /* NULL = not initialised */
    enum input_kind kind;
    bool valid;
    bool keep_separators;  /* this segment supplies the separators; else they are passed over */
    enum topic topic;
    uint64_t prefix;       /* first bytes of the key, for comparisons */
    struct slice key;
    uint8_t flags;
    uint64_t pointer;      /* cascade pointer, of segments and the index */
    struct memtree_cursor tree;
    struct segment_cursor segment;
    struct index_cursor index;
    struct freelist_record *records;
    uint32_t record_count;
    uint32_t record_at;
};

void merge_item_release(struct merge_item *item);
void merge_item_init_tree(struct merge_item *item, struct work *work, const struct memtree *tree);
void merge_item_init_segment(struct merge_item *item, struct work *work,
                             const struct segment_view *view, bool keep_separators);
void merge_item_init_index(struct merge_item *item, struct work *work,
                           const struct segment_view *view);
LSM_MUST_USE int merge_item_init_freelist(struct merge_item *item, struct work *work,
                                          const struct freelist *freelist);
LSM_MUST_USE int merge_item_first(struct merge_item *item);
LSM_MUST_USE int merge_item_restore(struct merge_item *item, const struct merge_input *saved);
LSM_MUST_USE int merge_item_next(struct merge_item *item);
LSM_MUST_USE int merge_item_value(struct merge_item *item, struct slice *value);

static inline int merge_item_compare(const struct merge_item *a, const struct merge_item *b) {
    if (LSM_UNLIKELY(a->topic != b->topic)) return a->topic < b->topic ? -1 : 1;
    if (LSM_LIKELY(a->prefix != b->prefix)) return a->prefix < b->prefix ? -1 : 1;
    return key_compare(a->key, b->key);
}

/* ------------------------------------------------------------------------------------ rules -- */

/* What one input says about the smallest key. */
struct key_vote {
    bool at_key;        /* its current record has the key */
    uint8_t flags;      /* of its current record (whether at the key or beyond) */
};
#define VOTE_NONE UINT32_MAX

/* All votes (newest first) made one record. `owner` = index of the vote whose value counts,
** VOTE_NONE = no value. Returns flags of the record to write, 0 = none. Pure. */
uint8_t merge_record_flags(const struct key_vote *votes, uint32_t count, bool oldest,
                           uint32_t *owner);

/* ------------------------------------------------------------------------------ a merge run -- */

struct merge_run {
    struct work *work;
    struct merge_item *items;   /* newest first */
    uint32_t item_count;
    uint32_t item_capacity;
    struct key_vote *votes;
    uint32_t *order;            /* the inputs that are not exhausted, by their keys */
    uint32_t order_count;
    uint32_t pointer_item;      /* supplies cascade pointers, VOTE_NONE = none */
    uint64_t current_pointer;
    bool oldest;                /* nothing below: deletes and separators are dropped */
    bool want_index;            /* hold the first page's last record back: two pages result */
    struct segment_writer *writer;
    struct run_builder *builder; /* listens to the writer; NULL = nobody does */
    uint64_t user_records;      /* written, separators included */
    bool may_stop;              /* the last record written is more than a separator */
    uint32_t quota;             /* data pages; a run may stop when it has filled so many */
    uint32_t page_used;         /* about so many bytes of the last one are used */
    bool holding;               /* a record waits to be written */
    uint8_t held_flags;
    uint64_t held_pointer;      /* of the record */
    uint64_t pointer_after;     /* in force behind it */
    struct buffer held_key;
    struct buffer held_value;
};

LSM_MUST_USE int merge_run_init(struct merge_run *run, struct work *work, uint32_t capacity);
void merge_run_release(struct merge_run *run);
struct merge_item *merge_run_add(struct merge_run *run);
/* Let a builder (taken, may be NULL) hear what the writer writes; and have it back. */
void merge_run_listen(struct merge_run *run, struct run_builder *builder);
struct run_builder *merge_run_take_builder(struct merge_run *run);
/* Until the inputs are exhausted, or `quota` data pages are full and the last record written is
** more than a separator: engines that meet an output of separators only, or ending in some, do not
** find what follows. */
LSM_MUST_USE int merge_run_go(struct merge_run *run, uint32_t quota, bool *exhausted);
/* Write what is held back: nothing follows in this slice. */
LSM_MUST_USE int merge_run_settle(struct merge_run *run);
/* Input with the smallest key, VOTE_NONE when all are exhausted. */
uint32_t merge_run_smallest(const struct merge_run *run);

/* ----------------------------------------------------------------------------------- blocks -- */

void work_block_source(struct work *work, struct block_source *source);
/* A block is reusable if the snapshot that needed it last is older than this. */
int64_t work_reuse_limit(const struct work *work);
/* Free a block unless a segment of `next` starts or ends on it. */
LSM_MUST_USE int work_free_block(struct work *work, uint32_t block_no);
/* The same for the blocks of a chain from `block_no` to the one before `stop`. */
LSM_MUST_USE int work_free_chain(struct work *work, uint32_t block_no, uint32_t stop,
                                 const struct redirects *redirects);
/* Free the blocks of a segment that no segment of `next` starts or ends on. It must no longer be
** listed in `next`. */
LSM_MUST_USE int work_free_segment(struct work *work, const struct segment *segment,
                                   const struct redirects *redirects);
/* Take an append point for a new run; blocks holding the end of one of `inputs` are avoided. 0 =
** none. */
uint64_t work_take_append_point(struct work *work, const struct segment *inputs, uint32_t count);
void work_put_append_point(struct work *work, uint64_t page_no);
LSM_MUST_USE int freelist_set(lsm_env *env, struct freelist *freelist, uint32_t block_no,
                              int64_t snapshot_id);
LSM_MUST_USE int work_note_block(struct work *work, uint32_t block_no, int64_t snapshot_id);
void work_forget_candidates(struct work *work);

/* ----------------------------------------------------------------------------------- levels -- */

LSM_MUST_USE int work_insert_level(struct work *work, uint32_t index, const struct level *level);
void work_remove_level(struct work *work, uint32_t index); /* releases it */
/* Redirects that a reader of segment `right` (UINT32_MAX = left) of a level needs. */
const struct redirects *work_redirects(const struct snapshot *snapshot, uint32_t level_index,
                                       uint32_t right);
struct segment_view work_view(struct work *work, const struct segment *segment,
                              const struct redirects *redirects);

/* ----------------------------------------------------------------------------------- policy -- */

struct merge_choice {
    uint32_t first;   /* level index */
    uint32_t count;   /* levels; 1 with `resume` = an unfinished merge, 0 = nothing */
    bool resume;
};
struct merge_choice merge_policy_select(const struct snapshot *snapshot, uint32_t merge,
                                        uint32_t automerge, bool make_room);
uint32_t merge_policy_segments(const struct snapshot *snapshot);

/* -------------------------------------------------------------------------------- releasing -- */

/* After an unfinished slice: the inputs of the level give up what lies before the split key. */
LSM_MUST_USE int merge_release_inputs(struct work *work, uint32_t level_index, enum topic topic,
                                      struct slice split_key);

/* -------------------------------------------------------------------------------- shrinking -- */

/* Move the highest block of the only segment of a compact database down. *pages = work done, 0 =
** nothing to do. */
LSM_MUST_USE int work_move_block(struct work *work, uint32_t *pages);
/* Is the only segment better written anew than moved block by block? */
LSM_MUST_USE int work_wants_rewrite(struct work *work, bool *wanted);
/* Delete the free-list-only levels of a compact database, if their content fits the snapshot's
** entries. */
LSM_MUST_USE int work_fold_freelist(struct work *work, bool *folded);

#endif
