/*
** log.h — the log file: every committed change since the last checkpoint, and nothing else.
**
** The room knows bytes and positions; it knows no tree and no checkpoint. What the tree header in shared
** memory says about the log is passed in and out as `struct log_state`; what recovery finds goes to a
** `struct log_sink`.
**
** LOCKING     The writer functions are called by the holder of LOCK_WRITER only.
*/
#ifndef LSM_LOG_H
#define LSM_LOG_H

#include "base/buffer.h"
#include "base/checksum.h"
#include "format/format_snapshot.h"
#include "format/format_log.h"
#include "format/format_shm.h"
#include "os/os.h"

/* The log part of the tree header. */
struct log_state {
    struct log_region regions[3];
    uint32_t sum0;
    uint32_t sum1;
    int64_t reclaim_id;
};

/* The checkpoint on disk, as far as log space is concerned; snapshot_id 0 = none known. */
struct log_reclaim {
    int64_t snapshot_id;
    uint64_t offset;
};

/* Bytes from `offset`, the position of a checkpoint, to the end of the log, in reading order; all if it is in none of
** the regions. */
uint64_t log_length_since(const struct log_region regions[3], uint64_t offset);

/* A place to return to: see log_writer_rollback_to. */
struct log_mark {
    uint64_t offset;          /* of the next byte */
    struct checksum sum;      /* after the whole 8-byte groups before it */
    uint8_t tail[8];          /* the 0..7 bytes after them */
    uint32_t tail_size;
    uint64_t jump_from;       /* the skip jump of this transaction known at that time, 0 = none */
    uint64_t jump_to;
    uint64_t span_start;      /* for the limit on unsummed bytes */
    bool key_seen;            /* see log_writer */
};

/* The front of the log in memory: see log_map.c. */
struct log_map {
    bool wanted;      /* the owner's choice, at any time */
    bool refused;     /* it cannot be had */
    uint8_t *address; /* NULL = nothing mapped */
    size_t size;
};

struct log_writer {
    lsm_env *env;
    const char *path;         /* owned by the connection */
    struct os_file file;
    struct log_map map;
    bool in_txn;
    bool spilled;             /* a part of this transaction is in the file */
    bool failed;              /* a write of this transaction failed: only rollback is accepted */
    int failed_rc;
    struct log_state published; /* as it was at begin */
    struct log_state state;     /* regions as this transaction leaves them */
    struct buffer pending;    /* bytes not yet written; the first belongs at `offset` */
    uint64_t offset;
    size_t summed;            /* bytes of `pending` already folded into `sum`; a multiple of 8 */
    struct checksum sum;
    uint64_t span_start;      /* place where the last stored checksum ended, for the limit of unsummed bytes */
    uint32_t alignment;       /* 1, or the sector size */
    uint64_t skip_from;       /* area to jump over, 0 = none */
    uint64_t skip_to;
    uint64_t jump_from;       /* end of the jump record taken in this transaction, 0 = none */
    uint64_t jump_to;
    uint64_t file_end_zeroed; /* zeros written ahead up to here (0 = not known yet) */
    bool directory_synced;
    bool sync_failed;         /* the last commit failed in a sync: what is in the file is unknown */
    bool key_seen;            /* an empty key may follow without padding in front */
};

void log_writer_init(struct log_writer *writer, lsm_env *env, const char *path);
/* Close the file. Zeroed objects are accepted. */
void log_writer_release(struct log_writer *writer);

/* Start a transaction: reclaim, perhaps wrap, choose where to write. `alignment` 1 or the sector size. */
LSM_MUST_USE int log_writer_begin(struct log_writer *writer, const struct log_state *published,
                                  const struct log_reclaim *reclaim, bool sector_aligned);

/* Each may write to the file. After a failure all further calls but rollback return the same error. */
LSM_MUST_USE int log_writer_insert(struct log_writer *writer, struct slice key, struct slice value);
LSM_MUST_USE int log_writer_delete(struct log_writer *writer, struct slice key);
LSM_MUST_USE int log_writer_delete_range(struct log_writer *writer, struct slice key1,
                                         struct slice key2);

void log_writer_mark(const struct log_writer *writer, struct log_mark *mark);
LSM_MUST_USE int log_writer_rollback_to(struct log_writer *writer, const struct log_mark *mark);

/* Write the COMMIT record, sync if asked, and give the state to publish. On failure the transaction is over
** as after rollback. LSM_OK with `sync` promises that the file and its directory entry are durable. */
LSM_MUST_USE int log_writer_commit(struct log_writer *writer, bool sync, struct log_state *out);

/* Forget the transaction: out = the published state. */
void log_writer_rollback(struct log_writer *writer, struct log_state *out);

/* ------------------------------------------------------------------------------- recovery -- */

/* Receives committed operations in order. Slices are valid during the call. A non-zero result ends recovery
** with that code. `commit` tells the exact end of a transaction (place for an intermediate checkpoint). */
struct log_sink {
    void *context;
    int (*insert)(void *context, struct slice key, struct slice value);
    int (*remove)(void *context, struct slice key);
    int (*remove_range)(void *context, struct slice key1, struct slice key2);
    int (*commit)(void *context, uint64_t end_offset, struct checksum sum);
};

/* Replay the log at `position`. `file` may be closed (file NULL): nothing to replay. `out` = regions and
** sums after the last valid COMMIT (reclaim_id is left 0). `restarted` = nothing was found at a non-zero
** offset and the log was read from offset 0 instead. Damage ends the replay quietly; LSM_IOERR and
** LSM_NOMEM are errors. Modifies nothing. */
LSM_MUST_USE int log_recover(lsm_env *env, struct os_file *file, const struct log_position *position,
                             const struct log_sink *sink, struct log_state *out, bool *restarted,
                             uint64_t *commit_count);

#endif
