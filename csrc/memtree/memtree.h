/*
** memtree.h — recent changes: a b-tree in the shared region, readable while one writer changes it.
**
** A reader sees the tree as of the transaction id in its root record; the writer makes version + 1 by
** copying, or by filling a node's empty second version once. Layout: format_shm.h; rules: memtree_insert.c,
** memtree_delete.c.
**
** LOCKING     memtree_writer functions: holder of LOCK_WRITER. Readers: none, but a reader slot.
** ERRORS      LSM_CORRUPT for what cannot be a tree (the region is not trusted), LSM_NOMEM, LSM_FULL.
*/
#ifndef LSM_MEMTREE_H
#define LSM_MEMTREE_H

#include "base/buffer.h"
#include "base/error.h"
#include "format/format_record.h"
#include "format/format_shm.h"
#include "shm/shm.h"

/* One version of one tree. */
struct memtree {
    uint8_t *_Atomic *chunks;
    uint32_t chunk_count;
    struct tree_root root;
};

static inline bool memtree_is_empty(const struct memtree *tree) {
    return tree->root.root == 0;
}

#define MEMTREE_DEPTH_MAX 32

/* An ordered walk. Entries are immutable: a position survives changes of the tree by seeking its key. */
struct memtree_cursor {
    lsm_env *env;
    struct error_context *error;
    struct memtree tree;
    uint32_t depth;                       /* nodes on the path; 0 = on no entry */
    uint32_t nodes[MEMTREE_DEPTH_MAX];
    uint8_t cells[MEMTREE_DEPTH_MAX];     /* child taken, or entry stood on for the last */
    uint32_t entry;                       /* offset of the entry stood on, 0 = none */
    uint8_t flags;                        /* RECORD_ flags of the entry, without ENTRY_CONTIGUOUS */
    struct slice key;                     /* into the region, or into key_copy; valid while on the entry */
    struct buffer key_copy;
    struct buffer value_copy;
};

void memtree_cursor_init(struct memtree_cursor *cursor, lsm_env *env, struct error_context *error);
void memtree_cursor_release(struct memtree_cursor *cursor);
/* Look at another version (or tree); the cursor is on no entry afterwards. */
void memtree_cursor_open(struct memtree_cursor *cursor, const struct memtree *tree);

static inline bool memtree_cursor_valid(const struct memtree_cursor *cursor) {
    return cursor->entry != 0;
}

/* Greatest entry <= key / least entry >= key / exact; all entries count, whatever their flags. */
LSM_MUST_USE int memtree_seek_le(struct memtree_cursor *cursor, struct slice key);
LSM_MUST_USE int memtree_seek_ge(struct memtree_cursor *cursor, struct slice key);
LSM_MUST_USE int memtree_first(struct memtree_cursor *cursor);
LSM_MUST_USE int memtree_last(struct memtree_cursor *cursor);
LSM_MUST_USE int memtree_next(struct memtree_cursor *cursor);
LSM_MUST_USE int memtree_prev(struct memtree_cursor *cursor);
/* The value of an entry with RECORD_INSERT; into the region, or into value_copy. */
LSM_MUST_USE int memtree_value(struct memtree_cursor *cursor, struct slice *value);

/* What one tree says about a key. */
enum lookup_state {
    LOOKUP_UNKNOWN, /* look in older data */
    LOOKUP_FOUND,
    LOOKUP_DELETED
};
/* Point read. `value` (if not NULL) points into the region or into `scratch`. */
LSM_MUST_USE int memtree_lookup(const struct memtree *tree, struct slice key, struct buffer *scratch,
                                struct error_context *error, enum lookup_state *state,
                                struct slice *value);

/* --- writing --- */
struct memtree_mark {
    struct tree_root live;
    uint32_t write_offset;
    uint32_t chunk_count;
    uint32_t next_id;
    uint32_t user_version;
    size_t touched_count;
    size_t recycled_count;
};

struct memtree_writer {
    lsm_env *env;
    struct shm *shm;
    struct shm_locks *locks;       /* of the connection, for shm_chunk_unused */
    struct error_context *error;
    struct tree_header header;     /* private; published by the caller */
    struct buffer touched;         /* u32 offsets of nodes whose second version was filled */
    struct buffer recycled;        /* u32 chunk numbers and ids taken from the head of the list */
    struct memtree_mark innermost; /* nodes taken since are invisible and may be edited in place */
    struct memtree_cursor cursor;  /* scratch */
};

void memtree_writer_init(struct memtree_writer *writer, lsm_env *env, struct shm *shm,
                         struct shm_locks *locks, struct error_context *error);
void memtree_writer_release(struct memtree_writer *writer);

/* Start with the published header; transaction id + 1. Does not publish. Ids end below 2^30: a tree that got
** there refuses writes (LSM_FULL) until it is frozen. */
void memtree_writer_begin(struct memtree_writer *writer, const struct tree_header *header);
/* After a failure of put or delete the tree is as it was; space may be wasted until a rollback. */
LSM_MUST_USE int memtree_put(struct memtree_writer *writer, struct slice key, struct slice value);
LSM_MUST_USE int memtree_delete(struct memtree_writer *writer, struct slice key);
/* Keys strictly between; requires key1 < key2. After a failure a part of them may be gone: roll back to a
** mark. */
LSM_MUST_USE int memtree_delete_range(struct memtree_writer *writer, struct slice key1,
                                      struct slice key2);
/* Marks nest: going back to one makes later ones void. A mark may be forgotten at any time. */
void memtree_writer_mark(struct memtree_writer *writer, struct memtree_mark *mark);
/* Restores tree, byte count, user version and list of chunks; the transaction id stays. */
void memtree_writer_rollback_to(struct memtree_writer *writer, const struct memtree_mark *mark);
/* After publishing (commit or rollback): forget the marks' lists. */
void memtree_writer_end(struct memtree_writer *writer);

/* The live tree becomes the old one; requires old_id 0. False (nothing done) if the last chunk's id is 0.
** Old log position = 2 * log_end->end + toggle; `toggle` is the bit to store, 0 or 1. */
LSM_MUST_USE bool memtree_freeze(struct tree_header *header, const struct log_region *log_end,
                                 uint32_t toggle);
/* Drop the old tree. */
void memtree_drop_old(struct tree_header *header);
/* A fresh region: chunk 1 ready, everything else zero; log fields are the caller's. */
LSM_MUST_USE int memtree_format(struct shm *shm, struct tree_header *header);
/* After a dead writer; WRITER held, header copies mended. `header` is the loaded one; its first_chunk may
** change: publish it. */
LSM_MUST_USE int memtree_repair(struct shm *shm, struct tree_header *header,
                                struct error_context *error);

/* The live and the old tree of a header (root 0 without one). shm_ensure(header->chunk_count) comes first:
** chunks that do not exist yet count as damage. */
struct memtree memtree_live(struct shm *shm, const struct tree_header *header);
struct memtree memtree_old(struct shm *shm, const struct tree_header *header);

/* Every invariant of the region and both trees; for tests and expensive builds. */
bool memtree_check(struct shm *shm, const struct tree_header *header, const char **reason);

#endif
