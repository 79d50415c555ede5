/*
** format_snapshot.h — one state of a database: what a checkpoint says, decoded.
**
** Whoever has a `struct snapshot` may trust it: the decoder (format_checkpoint.h) checks everything, or gives none.
**
** OWNERSHIP   A snapshot owns its arrays; snapshot_release frees them, snapshot_copy makes a deep copy.
*/
#ifndef LSM_FORMAT_SNAPSHOT_H
#define LSM_FORMAT_SNAPSHOT_H

#include "base/error.h"
#include "base/types.h"

#define SEGMENTS_MAX 40             /* a writer stays below; a reader takes what fits a blob */
#define REDIRECTS_MAX 16
#define FREELIST_ENTRIES_MAX 24     /* in a stored checkpoint */
#define APPEND_POINTS 4
#define SNAPSHOT_ID_FIRST 10        /* of the artificial record of an empty database */
#define LOG_SUM0_FIRST 1234u
#define LOG_SUM1_FIRST 5678u

#define LEVEL_FREELIST_ONLY 0x0001u

/* A sorted run of pages. Uncompressed: page numbers and a count of pages. Compressed: byte offsets (`last`
** is the offset of the last byte) and a count of bytes. root 0 = no index, or absorbed. */
struct segment {
    uint64_t first;
    uint64_t last;
    uint64_t root;
    uint64_t size;
};

/* Next item to read of an input of a merge; page 0 = finished. For the extra input (the index of the next
** level) cell = (c + 1) * 256 + depth. */
struct merge_input {
    uint64_t page;
    uint32_t cell;
};

struct merge_state {
    uint32_t input_count; /* right_count, or one more when the index of the next level is read too */
    struct merge_input *inputs;
    uint32_t skip;            /* 0..3 */
    uint64_t split_page;
    uint32_t split_cell;
    uint64_t current_pointer; /* cascade pointer in force */
};

struct level {
    uint16_t age;
    uint16_t flags;
    struct segment left;      /* the only segment, or the output of a merge in progress */
    uint32_t right_count;     /* inputs, 0 = no merge */
    struct segment *right;    /* newest first */
    struct merge_state merge; /* meaningful if right_count > 0 */
};

struct redirect {
    uint32_t from;
    uint32_t to;
};

/* Moved blocks of the oldest segment, ascending by `from`. */
struct redirects {
    uint32_t count;
    struct redirect pairs[REDIRECTS_MAX];
};

/* id -1: the stored record for this block is cancelled, it is no longer free. */
struct freelist_entry {
    uint32_t block;
    int64_t snapshot_id;
};

/* In-memory part of the free list, ascending by block. */
struct freelist {
    uint32_t count;
    uint32_t capacity;
    struct freelist_entry *entries;
};

/* 2 * byte offset + toggle, and the running log sum there. */
struct log_position {
    uint64_t field;
    uint32_t sum0;
    uint32_t sum1;
};

struct snapshot {
    lsm_env *env;
    int64_t id;
    uint32_t compression_id;
    uint32_t block_count;
    uint32_t block_size;
    uint32_t page_size;
    uint32_t pages_written;
    struct log_position log;
    uint64_t append[APPEND_POINTS];
    uint32_t level_count;
    uint32_t level_capacity;
    struct level *levels; /* newest first */
    struct redirects redirects;
    struct freelist freelist;
};

/* The record of a database without a checkpoint. */
LSM_MUST_USE int snapshot_init_empty(struct snapshot *snapshot, lsm_env *env, uint32_t page_size,
                                     uint32_t block_size);
LSM_MUST_USE int snapshot_copy(struct snapshot *target, const struct snapshot *source);
void snapshot_release(struct snapshot *snapshot); /* zeroed objects are accepted */
void level_release(lsm_env *env, struct level *level);

#endif
