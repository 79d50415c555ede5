/*
** log_writer.c — one transaction's records, from memory to the log file.
**
** FORMAT      records: format_log.h; the sum: checksum.c; regions and jumps: log_internal.h.
**
**     pending     bytes not yet in the file; the first belongs at `offset`
**
**                 |<- folded into sum ->|<- rest ->|
**                 +----------+----------+-----+----+
**                 | 8 bytes  | 8 bytes  | ... | <8 |
**                 +----------+----------+-----+----+
**                 offset                summed     offset + pending.size = position
**
**     A span is everything since the last stored sum, jumps followed. It is padded with zeros, not
**     in the file, when its sum is stored. Worked examples: part of the unit test.
**
** INVARIANTS  (I1) pending.data[0] is the first byte of a group of 8 of its span.
**             (I2) Between calls `summed` covers all whole groups of `pending`.
**             (I3) A record without sum ends at most LOG_UNSUMMED_MAX bytes after the last stored
**             sum: other readers take a longer one for the end of the log. Counted modulo 2^64,
**             since a jump moves `span_start` to where the span would have begun without it.
**             (I4) While skip_from > position, position + LOG_JUMP_ROOM <= the start of region 0.
**             (I5) `published` is what the log is, and stays, until a commit has succeeded.
** ERRORS      The first failed write, or lack of memory, makes the writer `failed`: a hole may be
**             in the file where records should be, so nothing but a full rollback is accepted. A
**             failed commit has rolled back. Its COMMIT may be in the file nevertheless: the caller
**             does not know whether a crash brings the transaction back, all of it or nothing. The
**             next transaction overwrites it.
** COST        one write per commit, one more per 32 KB of small records or large value; none where the log
**             is mapped. With sync: one sync, of a file whose size mostly does not change (see write_ahead).
*/
#include "base/bytes.h"
#include "log/log_internal.h"

#define PIECE_SIZE (1u << 20)           /* bodies go to the file in pieces of about this size */
#define PENDING_KEPT (1u << 18)         /* buffer space kept from one transaction to the next */
#define COMMIT_SIZE (1 + LOG_SUM_SIZE)
#define PAD2_MAX 200                    /* bytes of one sector pad */
#define PAD_BYTE 0x2B
#define AHEAD_STEP_FIRST (1u << 18)
#define AHEAD_STEP_MAX (1u << 20)
#define AHEAD_ROUND 4096u
#define AHEAD_OFF UINT64_MAX            /* in file_end_zeroed: never write ahead */

static const uint8_t wrap_record[LOG_WRAP_SIZE] = {LOG_PAD2, 4, 0, 0, 0, 0, LOG_JUMP, 0};

void log_writer_init(struct log_writer *writer, lsm_env *env, const char *path) {
    *writer = (struct log_writer){.env = env, .path = path, .alignment = 1};
    buffer_init(&writer->pending, env);
}

void log_writer_release(struct log_writer *writer) {
    log_map_release(&writer->map, &writer->file);
    os_close(&writer->file);
    buffer_release(&writer->pending);
    *writer = (struct log_writer){.env = writer->env, .path = writer->path};
}

/* ------------------------------------------------------------------------------------ basics -- */

/* Where the next byte goes. */
static uint64_t position(const struct log_writer *writer) {
    return writer->offset + writer->pending.size;
}

static uint64_t unsummed(const struct log_writer *writer) {
    return position(writer) - writer->span_start;
}

static int fail(struct log_writer *writer, int rc) {
    if (!writer->failed) {
        writer->failed = true;
        writer->failed_rc = rc;
    }
    return writer->failed_rc;
}

static int usable(const struct log_writer *writer) {
    assert(writer->in_txn || writer->failed);
    return writer->failed ? writer->failed_rc : LSM_OK;
}

/* Restore (I2). */
static void fold(struct log_writer *writer) {
    size_t whole = writer->pending.size & ~(size_t)7;

    if (whole == writer->summed) return; /* also when there is no buffer yet */
    checksum_log_add(&writer->sum, writer->pending.data + writer->summed, whole - writer->summed);
    writer->summed = whole;
}

/* Write the first `size` bytes of `pending`, a multiple of 8 or all, and drop them. */
static int write_out(struct log_writer *writer, size_t size) {
    size_t rest = writer->pending.size - size;
    int rc;

    /* What will be synced is written: write_ahead keeps its syncs cheap. So is what takes several pieces anyway. */
    if (writer->alignment > 1 || writer->spilled ||
        !log_map_store(&writer->map, &writer->file, writer->offset, writer->pending.data, size)) {
        rc = os_write(&writer->file, writer->offset, writer->pending.data, size);
        if (rc != LSM_OK) return fail(writer, rc);
    }
    if (rest > 0) memmove(writer->pending.data, writer->pending.data + size, rest);
    writer->pending.size = rest;
    writer->offset += size;
    writer->spilled = true;
    writer->summed = 0;
    return LSM_OK;
}

/* Close the span: store its sum, and write everything. */
static int flush_with_sum(struct log_writer *writer) {
    uint8_t *stored;
    int rc;

    fold(writer);
    if (writer->pending.size > writer->summed) {
        checksum_log_finish(&writer->sum, writer->pending.data + writer->summed,
                            writer->pending.size - writer->summed);
    }
    stored = buffer_extend(&writer->pending, LOG_SUM_SIZE);
    if (stored == NULL) return fail(writer, LSM_NOMEM);
    put_u32(stored, writer->sum.s0);
    put_u32(stored + 4, writer->sum.s1);
    rc = write_out(writer, writer->pending.size);
    writer->span_start = writer->offset;
    return rc;
}

/* Padding of exactly `size` bytes. */
static void append_pad(struct log_writer *writer, size_t size, uint8_t filler) {
    while (size > 0) {
        size_t count;
        uint8_t *at;
        if (size == 1) {
            buffer_append_byte(&writer->pending, LOG_PAD1);
            return;
        }
        count = size - 2 < PAD2_MAX ? size - 2 : PAD2_MAX;
        buffer_append_byte(&writer->pending, LOG_PAD2);
        buffer_append_varint(&writer->pending, count);
        at = buffer_extend(&writer->pending, count);
        if (at) memset(at, filler, count);
        size -= count + 2;
    }
}

/*
** Make sure that `size` more bytes, and a JUMP behind them, fit before region 0; otherwise jump
** over it now.
**
**     ... records | PAD | JUMP skip_to |.....[ region 0 ].| records ...
**                                      jump_from            jump_to
*/
static int make_room(struct log_writer *writer, uint64_t size, bool *jumped) {
    uint8_t jump[1 + VARINT_SIZE_MAX];
    uint64_t span;
    size_t jump_size;
    int rc;

    *jumped = false;
    if (writer->skip_from <= position(writer)) return LSM_OK;
    if (writer->skip_from - position(writer) >= size + LOG_JUMP_ROOM) return LSM_OK;
    if (writer->skip_to > LOG_TARGET_MAX) return fail(writer, LSM_FULL);

    jump[0] = LOG_JUMP;
    jump_size = 1 + varint_put(jump + 1, writer->skip_to);
    /* The span goes on at the target, so whole groups of 8 must end here. */
    append_pad(writer, (8 - (writer->pending.size + jump_size) % 8) % 8, 0);
    buffer_append(&writer->pending, jump, jump_size);
    if (writer->pending.rc != LSM_OK) return fail(writer, writer->pending.rc);
    fold(writer);
    span = unsummed(writer);
    rc = write_out(writer, writer->pending.size);
    if (rc != LSM_OK) return rc;
    writer->jump_from = writer->offset;
    writer->jump_to = writer->skip_to;
    writer->offset = writer->skip_to;
    writer->span_start = writer->offset - span;
    *jumped = true;
    return LSM_OK;
}

/* ------------------------------------------------------------------------------- transaction -- */

static uint32_t sector_of(struct os_file *file) {
    uint32_t sector = os_sector_size(file);
    bool usual = sector > 0 && sector <= 65536 && (sector & (sector - 1)) == 0;

    return usual ? sector : LOG_SECTOR;
}

int log_writer_begin(struct log_writer *writer, const struct log_state *published,
                     const struct log_reclaim *reclaim, bool sector_aligned) {
    struct log_state state = *published;
    uint64_t obstacle;
    uint64_t span = 0;
    int rc = LSM_OK;

    assert(!writer->in_txn);
    writer->published = *published;
    writer->failed = false;
    buffer_reset(&writer->pending);
    writer->summed = 0;
    writer->sum = (struct checksum){published->sum0, published->sum1};
    writer->jump_from = 0;
    writer->jump_to = 0;
    writer->key_seen = false;
    writer->spilled = false;

    if (!log_state_is_sound(&state)) {
        rc = error_corrupt(NULL, 0, "log: impossible regions");
        goto done;
    }
    if (writer->file.file == NULL) {
        rc = os_open(writer->env, writer->path, 0, &writer->file);
        if (rc != LSM_OK) goto done;
    }
    writer->alignment = sector_aligned ? sector_of(&writer->file) : 1;

    /* 1. Reclaim what the checkpoint made superfluous; 2. perhaps go back to offset 0. */
    log_state_reclaim(&state, reclaim);
    writer->offset = (uint64_t)state.regions[2].end;
    if (log_state_must_wrap(&state)) {
        rc = os_write(&writer->file, writer->offset, wrap_record, sizeof wrap_record);
        if (rc != LSM_OK) goto done;
        checksum_log_add(&writer->sum, wrap_record, sizeof wrap_record);
        log_state_wrap(&state);
        writer->offset = 0;
        span = sizeof wrap_record;
    }
    writer->span_start = writer->offset - span;

    /* 3. Region 0 may lie ahead. */
    log_state_skip_area(&state, writer->offset, writer->alignment, &writer->skip_from,
                        &writer->skip_to);
    obstacle = (uint64_t)state.regions[0].start;
    if (writer->skip_to != 0 && writer->offset + LOG_JUMP_ROOM > obstacle) {
        rc = error_corrupt(NULL, writer->offset, "log: regions overlap");
        goto done;
    }
    writer->state = state;
    writer->in_txn = true;
done:
    return rc;
}

static void end_transaction(struct log_writer *writer) {
    writer->in_txn = false;
    writer->failed = false;
    writer->failed_rc = LSM_OK;
    writer->summed = 0;
    if (writer->pending.capacity > PENDING_KEPT) buffer_release(&writer->pending);
    buffer_reset(&writer->pending);
}

/* ----------------------------------------------------------------------------------- records -- */

/* The bytes of a key or value; long ones do not stay in memory as a whole. */
static int append_body(struct log_writer *writer, struct slice body) {
    while (body.size > 0) {
        uint32_t size = body.size < PIECE_SIZE ? body.size : PIECE_SIZE;
        buffer_append(&writer->pending, body.data, size);
        if (writer->pending.rc != LSM_OK) return fail(writer, writer->pending.rc);
        fold(writer);
        if (writer->summed >= PIECE_SIZE) {
            int rc = write_out(writer, writer->summed);
            if (rc != LSM_OK) return rc;
        }
        body.data += size;
        body.size -= size;
    }
    return LSM_OK;
}

/* The whole of a record that is not worth cutting in pieces, in one go. `size`: at least what it takes. */
static int append_small(struct log_writer *writer, enum log_record_type type, struct slice first,
                        const struct slice *second, uint64_t size) {
    size_t begin = writer->pending.size;
    uint8_t *at = buffer_extend(&writer->pending, (size_t)size);
    uint8_t *end = at;

    if (at == NULL || writer->pending.rc != LSM_OK) return fail(writer, writer->pending.rc);
    *end++ = (uint8_t)type;
    end += varint_put(end, first.size);
    if (second) end += varint_put(end, second->size);
    if (first.size > 0) memcpy(end, first.data, first.size);
    end += first.size;
    if (second) {
        if (second->size > 0) memcpy(end, second->data, second->size);
        end += second->size;
    }
    writer->pending.size = begin + (size_t)(end - at);
    fold(writer);
    return LSM_OK;
}

/* `second` NULL: the record has one length only. */
static int append_record(struct log_writer *writer, enum log_record_type type, struct slice first,
                         const struct slice *second) {
    uint64_t size;
    bool pad;
    bool jumped;
    bool with_sum;
    int rc = usable(writer);

    if (rc != LSM_OK) return rc;
    size = 1 + varint_size(first.size) + LOG_SUM_SIZE + (uint64_t)first.size;
    if (second) size += varint_size(second->size) + (uint64_t)second->size;

    /* LSM1 gives an empty key that is the first thing it replays a wrong value; replay may start
    ** with any transaction. One padding byte in front is enough to prevent that. */
    pad = first.size == 0 && !writer->key_seen;
    if (pad) size += 3;
    rc = make_room(writer, size, &jumped);
    if (rc != LSM_OK) return rc;
    with_sum = jumped || unsummed(writer) + size > LOG_UNSUMMED_MAX;

    if (pad) append_pad(writer, 3, 0);
    if (!with_sum) { /* so it is small, too */
        rc = append_small(writer, type, first, second, size);
        if (rc == LSM_OK) writer->key_seen = true;
        return rc;
    }
    buffer_append_byte(&writer->pending, (uint8_t)(type | 1));
    buffer_append_varint(&writer->pending, first.size);
    if (second) buffer_append_varint(&writer->pending, second->size);
    if (writer->pending.rc != LSM_OK) return fail(writer, writer->pending.rc);
    rc = flush_with_sum(writer);
    if (rc != LSM_OK) return rc;
    rc = append_body(writer, first);
    if (rc == LSM_OK && second) rc = append_body(writer, *second);
    if (rc != LSM_OK) return rc;
    fold(writer);
    writer->key_seen = true;
    return LSM_OK;
}

int log_writer_insert(struct log_writer *writer, struct slice key, struct slice value) {
    return append_record(writer, LOG_WRITE, key, &value);
}

int log_writer_delete(struct log_writer *writer, struct slice key) {
    return append_record(writer, LOG_DELETE, key, NULL);
}

int log_writer_delete_range(struct log_writer *writer, struct slice key1, struct slice key2) {
    return append_record(writer, LOG_DELETE_RANGE, key1, &key2);
}

/* -------------------------------------------------------------------------------- savepoints -- */

void log_writer_mark(const struct log_writer *writer, struct log_mark *mark) {
    size_t tail_size = writer->pending.size - writer->summed;

    assert(tail_size < sizeof mark->tail);
    *mark = (struct log_mark){.offset = position(writer),
                              .sum = writer->sum,
                              .tail_size = (uint32_t)tail_size,
                              .jump_from = writer->jump_from,
                              .jump_to = writer->jump_to,
                              .span_start = writer->span_start,
                              .key_seen = writer->key_seen};
    if (tail_size > 0) memcpy(mark->tail, writer->pending.data + writer->summed, tail_size);
}

int log_writer_rollback_to(struct log_writer *writer, const struct log_mark *mark) {
    uint64_t group = mark->offset - mark->tail_size; /* where the mark's unfinished group begins */
    int rc = usable(writer);

    if (rc != LSM_OK) return rc;
    if (writer->jump_from == mark->jump_from && group >= writer->offset &&
        mark->offset <= position(writer)) {
        writer->pending.size = (size_t)(mark->offset - writer->offset);
        writer->summed = (size_t)(group - writer->offset);
    } else {
        /* In the file already, perhaps on the other side of a jump. The group's bytes are written
        ** again, unchanged; what follows replaces the undone records. */
        buffer_reset(&writer->pending);
        buffer_append(&writer->pending, mark->tail, mark->tail_size);
        if (writer->pending.rc != LSM_OK) return fail(writer, writer->pending.rc);
        writer->offset = group;
        writer->summed = 0;
    }
    writer->sum = mark->sum;
    writer->span_start = mark->span_start;
    writer->jump_from = mark->jump_from;
    writer->jump_to = mark->jump_to;
    writer->key_seen = mark->key_seen;
    return LSM_OK;
}

/* ------------------------------------------------------------------------------------ commit -- */

/*
** Zeros behind the end of the log, so that the next commits do not change the size of the file and
** their sync has only data to write. A zero ends the log for every reader. The zeros are really
** written: space that is only reserved costs a change of metadata when it is first used.
**
**     before   [ region 2 ........ COMMIT ]
**     after    [ region 2 ........ COMMIT ] 0 0 0 0 0 0 0 0 0 0 0 0
**
** Only behind everything in use. Failure is no reason to fail the commit: it means only that we do
** without.
*/
static void write_ahead(struct log_writer *writer) {
    uint64_t end = writer->offset;
    uint64_t size = 0;
    uint64_t step = end < 4 * (uint64_t)AHEAD_STEP_FIRST ? AHEAD_STEP_FIRST : AHEAD_STEP_MAX;
    uint64_t target = (end + step + AHEAD_ROUND - 1) / AHEAD_ROUND * AHEAD_ROUND;
    uint8_t *zeros;
    int rc;

    if (end <= writer->file_end_zeroed) return; /* also AHEAD_OFF */
    if (writer->skip_to > end || log_state_ahead_in_use(&writer->state, end)) return;

    /* Others write to the file as well; their part needs no zeros. Our own write is included. */
    rc = os_file_size(&writer->file, &size);
    if (rc != LSM_OK || size == UINT64_MAX) {
        writer->file_end_zeroed = AHEAD_OFF; /* a system that cannot tell: never risk it */
        return;
    }
    if (size > end) {
        writer->file_end_zeroed = size;
        return;
    }
    assert(writer->pending.size == 0);
    zeros = buffer_extend(&writer->pending, (size_t)(target - end));
    if (zeros == NULL) {
        buffer_reset(&writer->pending);
        return;
    }
    memset(zeros, 0, (size_t)(target - end));
    rc = os_write(&writer->file, end, zeros, (size_t)(target - end));
    writer->file_end_zeroed = rc == LSM_OK ? target : AHEAD_OFF;
    buffer_reset(&writer->pending);
}

/*
** The COMMIT is in the file, but the caller is told that the transaction failed. A zero in place of its first
** byte ends the log before it. Nothing can be promised: the write may fail, too, or not reach the disk.
*/
static void take_back(struct log_writer *writer) {
    static const uint8_t end_of_log = LOG_EOF;
    (void)!os_write(&writer->file, (uint64_t)writer->published.regions[2].end, &end_of_log, 1);
}

int log_writer_commit(struct log_writer *writer, bool sync, struct log_state *out) {
    struct log_state state;
    uint64_t size = COMMIT_SIZE;
    bool jumped;
    int rc = usable(writer);

    writer->sync_failed = false;
    if (rc != LSM_OK) goto done;

    /* Before the COMMIT is in the file, so that a failure leaves the transaction surely undone. */
    if (sync && !writer->directory_synced) {
        rc = os_sync_directory(writer->env, writer->path);
        writer->sync_failed = rc != LSM_OK;
        if (rc != LSM_OK) goto done;
        writer->directory_synced = true;
    }
    if (sync && writer->alignment == 1) writer->alignment = sector_of(&writer->file); /* FULL since it began */
    if (writer->alignment > 1) size += writer->alignment + LOG_JUMP_ROOM;
    rc = make_room(writer, size, &jumped);
    if (rc != LSM_OK) goto done;
    if (writer->alignment > 1) {
        /* End with a sector: the next transaction does not write to one that was synced. */
        uint64_t excess = (position(writer) + COMMIT_SIZE) % writer->alignment;
        if (excess > 0) append_pad(writer, (size_t)(writer->alignment - excess), PAD_BYTE);
    }
    buffer_append_byte(&writer->pending, LOG_COMMIT);
    if (writer->pending.rc != LSM_OK) {
        rc = writer->pending.rc;
        goto done;
    }
    rc = flush_with_sum(writer);
    if (rc != LSM_OK) goto done;
    if (sync) {
        write_ahead(writer);
        rc = os_sync(&writer->file);
        writer->sync_failed = rc != LSM_OK;
        if (rc != LSM_OK) {
            take_back(writer);
            goto done;
        }
    }

    state = writer->state;
    if (writer->jump_from != 0) log_state_skip(&state, writer->jump_from, writer->jump_to);
    state.regions[2].end = (int64_t)writer->offset;
    state.sum0 = writer->sum.s0;
    state.sum1 = writer->sum.s1;
    writer->published = state;
    *out = state;
done:
    end_transaction(writer);
    return rc;
}

void log_writer_rollback(struct log_writer *writer, struct log_state *out) {
    end_transaction(writer);
    *out = writer->published;
}
