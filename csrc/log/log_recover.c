/*
** log_recover.c — read the log from a checkpoint's position and hand out the committed operations.
**
** Two passes. The first only checks: it counts the valid COMMITs and notes the regions at the last
** one. The second reads the same bytes again and calls the sink until that many COMMITs have gone
** by. So the sink never sees an operation that is not committed, and nothing but one record's key
** and value is ever held in memory.
**
** FORMAT      records: format_log.h; the sum: checksum.c.
** INVARIANTS  (I1) A body is buffered only in the second pass, that is, after a COMMIT behind it
**             was valid.
**             (I2) Every byte is read at most once per pass and attempt: there are at most two
**             jumps.
** ERRORS      What does not decode, or whose sum differs, is where the log ends: no error.
**             LSM_IOERR if the file differs between the passes.
** COST        reads of 64 KB; memory for that and the largest record
*/
#include "base/bytes.h"
#include "base/memory.h"
#include "log/log_internal.h"

#define READ_SIZE 65536
#define LENGTH_MAX 0x7fffffffu          /* of a key or value */
#define JUMPS_MAX 2
#define PAD_MAX_UNKNOWN (1u << 24)      /* longest padding believed in a file of unknown size */

struct log_reader {
    struct os_file *file;
    uint64_t file_size;     /* UINT64_MAX = unknown */
    uint8_t *data;          /* READ_SIZE bytes of the file */
    size_t at;              /* next byte */
    size_t end;             /* bytes in `data` */
    size_t folded;          /* bytes of `data` that are in the sum, or do not belong there */
    uint64_t base;          /* file offset of data[0] */
    struct checksum sum;
    uint8_t tail[8];        /* bytes of the span that make no whole group yet */
    uint32_t tail_size;
    int rc;                 /* first error of the file; reads give 0 from then on */
};

/* A record but for its body, which is the next thing in the reader. */
struct log_record {
    enum log_record_type type; /* of the pair, the one without sum */
    uint32_t first_size;
    uint32_t second_size;
    uint64_t target;        /* of a JUMP */
    uint64_t pad_size;
};

/* ------------------------------------------------------------------------------------ reader -- */

static uint64_t reader_position(const struct log_reader *reader) {
    return reader->base + reader->at;
}

static uint64_t reader_bytes_left(const struct log_reader *reader) {
    uint64_t at = reader_position(reader);
    if (reader->file_size == UINT64_MAX) return UINT64_MAX;
    return at < reader->file_size ? reader->file_size - at : 0;
}

static void reader_start(struct log_reader *reader, uint64_t offset, struct checksum sum) {
    reader->at = 0;
    reader->end = 0;
    reader->folded = 0;
    reader->base = offset;
    reader->sum = sum;
    reader->tail_size = 0;
    reader->rc = LSM_OK;
}

/* Take data[folded, at) into the sum. */
static void reader_fold(struct log_reader *reader) {
    const uint8_t *data = reader->data + reader->folded;
    size_t size = reader->at - reader->folded;
    size_t whole;

    reader->folded = reader->at;
    if (reader->tail_size > 0) {
        while (reader->tail_size < 8 && size > 0) {
            reader->tail[reader->tail_size++] = *data++;
            size--;
        }
        if (reader->tail_size < 8) return;
        checksum_log_add(&reader->sum, reader->tail, 8);
        reader->tail_size = 0;
    }
    whole = size & ~(size_t)7;
    checksum_log_add(&reader->sum, data, whole);
    reader->tail_size = (uint32_t)(size - whole);
    if (reader->tail_size > 0) memcpy(reader->tail, data + whole, reader->tail_size);
}

/* Get more bytes when all are used; behind the end of the file there are zeros. */
static void reader_fill(struct log_reader *reader) {
    assert(reader->at == reader->end);
    reader_fold(reader);
    reader->base += reader->end;
    reader->at = 0;
    reader->folded = 0;
    reader->end = READ_SIZE;
    if (reader->rc == LSM_OK && reader_bytes_left(reader) > 0 && reader->base < LOG_OFFSET_MAX) {
        reader->rc = os_read(reader->file, reader->base, reader->data, READ_SIZE);
        if (reader->rc == LSM_OK) return;
    }
    memset(reader->data, 0, READ_SIZE);
}

static uint8_t reader_u8(struct log_reader *reader) {
    if (reader->at == reader->end) reader_fill(reader);
    return reader->data[reader->at++];
}

static uint64_t reader_varint(struct log_reader *reader) {
    uint8_t bytes[VARINT_SIZE_MAX];
    uint64_t value = 0;
    uint32_t size;
    uint32_t i;

    if (reader->end - reader->at >= VARINT_SIZE_MAX) {
        reader->at += varint_get(reader->data + reader->at, reader->data + reader->end, &value);
        return value;
    }
    bytes[0] = reader_u8(reader);
    size = bytes[0] <= 240 ? 1 : bytes[0] <= 248 ? 2 : (uint32_t)bytes[0] - 246;
    for (i = 1; i < size; i++) bytes[i] = reader_u8(reader);
    size = varint_get(bytes, bytes + size, &value);
    assert(size > 0);
    return value;
}

/* Close the span and compare with the stored sum. */
static bool reader_sum_matches(struct log_reader *reader) {
    uint8_t stored[LOG_SUM_SIZE];
    uint32_t i;

    reader_fold(reader);
    checksum_log_finish(&reader->sum, reader->tail, reader->tail_size);
    reader->tail_size = 0;
    for (i = 0; i < LOG_SUM_SIZE; i++) {
        stored[i] = reader_u8(reader);
        reader->folded = reader->at; /* at once: reading on may fold */
    }
    return get_u32(stored) == reader->sum.s0 && get_u32(stored + 4) == reader->sum.s1;
}

static void reader_jump(struct log_reader *reader, uint64_t target) {
    reader_fold(reader);
    reader->base = target;
    reader->at = 0;
    reader->end = 0;
    reader->folded = 0;
}

static void reader_skip(struct log_reader *reader, uint64_t size) {
    while (size > 0 && reader->rc == LSM_OK) {
        size_t step;
        if (reader->at == reader->end) reader_fill(reader);
        step = reader->end - reader->at;
        if (step > size) step = (size_t)size;
        reader->at += step;
        size -= step;
    }
}

/* `size` bytes in one piece: in the reader's own buffer, if they are all there, else `scratch`. */
static int reader_body(struct log_reader *reader, uint64_t size, struct buffer *scratch,
                       const uint8_t **out) {
    uint8_t *to;

    if (size <= reader->end - reader->at) {
        *out = reader->data + reader->at;
        reader->at += (size_t)size;
        return LSM_OK;
    }
    if (size > SIZE_MAX) return LSM_NOMEM;
    buffer_reset(scratch);
    to = buffer_extend(scratch, (size_t)size);
    if (to == NULL) return LSM_NOMEM;
    *out = to;
    while (size > 0) {
        size_t step;
        if (reader->at == reader->end) reader_fill(reader);
        if (reader->rc != LSM_OK) return reader->rc;
        step = reader->end - reader->at;
        if (step > size) step = (size_t)size;
        memcpy(to, reader->data + reader->at, step);
        reader->at += step;
        to += step;
        size -= step;
    }
    return LSM_OK;
}

/* ----------------------------------------------------------------------------------- records -- */

static bool read_lengths(struct log_reader *reader, bool two, bool with_sum,
                         struct log_record *out) {
    uint64_t first = reader_varint(reader);
    uint64_t second = two ? reader_varint(reader) : 0;

    if (first > LENGTH_MAX || second > LENGTH_MAX) return false;
    if (with_sum && !reader_sum_matches(reader)) return false;
    /* LSM1 stops at a longer record without sum; no writer may produce one. */
    if (!with_sum && first + second > LOG_UNSUMMED_MAX) return false;
    if (first + second > reader_bytes_left(reader)) return false;
    out->first_size = (uint32_t)first;
    out->second_size = (uint32_t)second;
    return true;
}

/* Read a record up to its body; false = here the log ends. */
static bool read_record(struct log_reader *reader, struct log_record *out) {
    struct log_record record = {0};
    uint8_t type;
    bool ok;

    if (reader_bytes_left(reader) == 0) return false;
    type = reader_u8(reader);
    switch (type) {
        case LOG_PAD1:
            record.type = LOG_PAD1;
            ok = true;
            break;
        case LOG_PAD2:
            record.type = LOG_PAD2;
            record.pad_size = reader_varint(reader);
            ok = record.pad_size <= reader_bytes_left(reader) &&
                 (reader->file_size != UINT64_MAX || record.pad_size <= PAD_MAX_UNKNOWN);
            break;
        case LOG_COMMIT:
            record.type = LOG_COMMIT;
            ok = reader_sum_matches(reader);
            break;
        case LOG_JUMP:
            record.type = LOG_JUMP;
            record.target = reader_varint(reader);
            ok = record.target < LOG_OFFSET_MAX && record.target <= reader->file_size;
            break;
        case LOG_WRITE:
        case LOG_WRITE_SUM:
            record.type = LOG_WRITE;
            ok = read_lengths(reader, true, type == LOG_WRITE_SUM, &record);
            break;
        case LOG_DELETE:
        case LOG_DELETE_SUM:
            record.type = LOG_DELETE;
            ok = read_lengths(reader, false, type == LOG_DELETE_SUM, &record);
            break;
        case LOG_DELETE_RANGE:
        case LOG_DELETE_RANGE_SUM:
            record.type = LOG_DELETE_RANGE;
            ok = read_lengths(reader, true, type == LOG_DELETE_RANGE_SUM, &record);
            break;
        default:
            ok = false;
            break;
    }
    if (!ok || reader->rc != LSM_OK) return false;
    *out = record;
    return true;
}

/* ------------------------------------------------------------------------------------ passes -- */

/* First pass: `state` and `commit_count` are those at the last valid COMMIT. */
static int count_commits(struct log_reader *reader, uint64_t offset, struct checksum sum,
                         struct log_state *state, uint64_t *commit_count) {
    struct log_state current = {.regions = {{0, 0}, {0, 0}, {(int64_t)offset, (int64_t)offset}},
                                .sum0 = sum.s0,
                                .sum1 = sum.s1};
    struct log_record record;
    uint32_t jumps = 0;

    *state = current;
    *commit_count = 0;
    reader_start(reader, offset, sum);
    while (read_record(reader, &record)) {
        if (record.type == LOG_COMMIT) {
            current.regions[2].end = (int64_t)reader_position(reader);
            current.sum0 = reader->sum.s0;
            current.sum1 = reader->sum.s1;
            *state = current;
            *commit_count += 1;
        } else if (record.type == LOG_JUMP) {
            if (++jumps > JUMPS_MAX) break;
            log_state_replay_jump(&current, reader_position(reader), record.target);
            reader_jump(reader, record.target);
        } else {
            reader_skip(reader, record.pad_size + record.first_size + record.second_size);
        }
        if (reader->rc != LSM_OK) break;
    }
    return reader->rc;
}

static int call_sink(const struct log_sink *sink, const struct log_record *record,
                     const uint8_t *body) {
    struct slice first = {body, record->first_size};
    struct slice second = {body + record->first_size, record->second_size};

    switch (record->type) {
        case LOG_WRITE: return sink->insert(sink->context, first, second);
        case LOG_DELETE: return sink->remove(sink->context, first);
        default: return sink->remove_range(sink->context, first, second);
    }
}

/* Second pass: hand out the operations of `commit_count` transactions. */
static int replay(struct log_reader *reader, uint64_t offset, struct checksum sum,
                  uint64_t commit_count, const struct log_sink *sink, struct buffer *scratch) {
    struct log_record record;
    const uint8_t *body = NULL;
    int rc = LSM_OK;

    reader_start(reader, offset, sum);
    while (commit_count > 0 && rc == LSM_OK) {
        if (!read_record(reader, &record)) {
            rc = reader->rc != LSM_OK ? reader->rc : LSM_IOERR; /* it was there a moment ago */
            break;
        }
        switch (record.type) {
            case LOG_COMMIT:
                commit_count--;
                if (sink->commit) {
                    rc = sink->commit(sink->context, reader_position(reader), reader->sum);
                }
                break;
            case LOG_JUMP:
                reader_jump(reader, record.target);
                break;
            case LOG_PAD1:
            case LOG_PAD2:
                reader_skip(reader, record.pad_size);
                rc = reader->rc;
                break;
            default:
                rc = reader_body(reader, (uint64_t)record.first_size + record.second_size, scratch,
                                 &body);
                if (rc == LSM_OK) rc = call_sink(sink, &record, body);
                break;
        }
    }
    return rc;
}

int log_recover(lsm_env *env, struct os_file *file, const struct log_position *position,
                const struct log_sink *sink, struct log_state *out, bool *restarted,
                uint64_t *commit_count) {
    struct log_reader reader = {.file = file};
    struct buffer scratch = {.env = env};
    struct checksum sum = {position->sum0, position->sum1};
    struct log_state state = {.sum0 = sum.s0, .sum1 = sum.s1};
    uint64_t offset = position->field >> 1;
    uint64_t commits = 0;
    bool again = offset != 0;
    int rc = LSM_OK;

    if (file == NULL || file->file == NULL) goto finish;
    rc = os_file_size(file, &reader.file_size);
    if (rc != LSM_OK) goto done;
    if (reader.file_size == 0) goto finish;
    reader.data = memory_allocate(env, READ_SIZE);
    if (reader.data == NULL) {
        rc = LSM_NOMEM;
        goto done;
    }

    /* A checkpoint's position leads nowhere when the log was deleted after it and begun anew: then
    ** the new log starts at 0, with the sum of that position. */
    if (offset < LOG_OFFSET_MAX) {
        rc = count_commits(&reader, offset, sum, &state, &commits);
        if (rc != LSM_OK) goto done;
    }
    if (commits > 0) again = false;
    if (again) {
        offset = 0;
        rc = count_commits(&reader, offset, sum, &state, &commits);
        if (rc != LSM_OK) goto done;
    }
    rc = replay(&reader, offset, sum, commits, sink, &scratch);
    if (rc != LSM_OK) goto done;
finish:
    *out = state;
    *restarted = again;
    *commit_count = commits;
done:
    memory_free(env, reader.data);
    buffer_release(&scratch);
    return rc;
}
