/*
** log_world.h — a log in memory with its writer, a trace of what was committed, and recovery to
** compare.
**
**     struct log_world w;
**     log_world_open(&w);
**     log_world_begin(&w, aligned);  log_world_put(&w, "k", "v");  log_world_commit(&w, sync);
**     log_world_check(&w);           recovers a copy of the file from w.checkpoint: exactly what was
**                                    committed since
**     log_world_checkpoint(&w);      the present end becomes the position where recovery starts
**     log_world_close(&w);
**
** A trace is a list of bytes: per operation its letter (P, D, R), two lengths, two slices; C ends a
** transaction.
** Calls that fail are the test's business: log_world_try_* return the code and keep the trace
** right.
*/
#ifndef LSM_SUPPORT_LOG_WORLD_H
#define LSM_SUPPORT_LOG_WORLD_H

#include "base/bytes.h"
#include "log/log.h"
#include "support/memory_env.h"

#define LOG_NAME "db-log"
#define LOG_WORLD_LEVELS 8
#define LOG_WORLD_DOUBTS 32

struct trace {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

struct log_world {
    struct memory_env m;
    struct log_writer writer;
    struct log_state state;       /* published */
    struct trace committed;       /* since the log began */
    struct trace pending;         /* of the open transaction */
    struct trace doubtful[LOG_WORLD_DOUBTS]; /* commits that failed: recovery may bring one back */
    int doubt_count;
    int64_t checkpoint_id;
    struct log_position checkpoint;
    size_t checkpoint_trace;      /* where `committed` stood then */
    struct log_reclaim reclaim;
    struct {
        struct log_mark mark;
        size_t pending;
    } levels[LOG_WORLD_LEVELS];
};

/* ---------------------------------------------------------------------------------- traces -- */

TEST_HELPER void trace_add(struct trace *trace, const void *data, size_t size) {
    if (trace->size + size > trace->capacity) {
        trace->capacity = (trace->size + size) * 2 + 64;
        trace->data = realloc(trace->data, trace->capacity);
        if (trace->data == NULL) TEST_FAIL("out of memory");
    }
    if (size > 0) memcpy(trace->data + trace->size, data, size);
    trace->size += size;
}

TEST_HELPER void trace_operation(struct trace *trace, char letter, struct slice a, struct slice b) {
    uint8_t head[9];
    head[0] = (uint8_t)letter;
    put_u32(head + 1, a.size);
    put_u32(head + 5, b.size);
    trace_add(trace, head, 9);
    trace_add(trace, a.data, a.size);
    trace_add(trace, b.data, b.size);
}

TEST_HELPER void trace_free(struct trace *trace) {
    free(trace->data);
    *trace = (struct trace){0};
}

TEST_HELPER int trace_insert(void *context, struct slice key, struct slice value) {
    trace_operation(context, 'P', key, value);
    return LSM_OK;
}
TEST_HELPER int trace_remove(void *context, struct slice key) {
    trace_operation(context, 'D', key, (struct slice){NULL, 0});
    return LSM_OK;
}
TEST_HELPER int trace_remove_range(void *context, struct slice key1, struct slice key2) {
    trace_operation(context, 'R', key1, key2);
    return LSM_OK;
}
TEST_HELPER int trace_commit(void *context, uint64_t end, struct checksum sum) {
    (void)end, (void)sum;
    trace_add(context, "C", 1);
    return LSM_OK;
}

TEST_HELPER struct log_sink trace_sink(struct trace *trace) {
    return (struct log_sink){trace, trace_insert, trace_remove, trace_remove_range, trace_commit};
}

TEST_HELPER struct slice text(const char *string) {
    return (struct slice){(const uint8_t *)string, (uint32_t)strlen(string)};
}

/* -------------------------------------------------------------------------------- recovery -- */

/* Recover `size` bytes as a log. The result's trace belongs to the caller. */
TEST_HELPER int recover_bytes(const void *data, size_t size, const struct log_position *position,
                              bool foreign, struct trace *trace, struct log_state *state,
                              bool *restarted, uint64_t *commits) {
    struct memory_env m;
    struct os_file file = {0};
    struct log_sink sink = trace_sink(trace);
    struct memory_file *copy;
    int rc;

    *trace = (struct trace){0};
    memory_env_open(&m);
    if (foreign) memory_env_make_foreign(&m);
    memory_env_set(&m, LOG_NAME, data, size);
    CHECK_OK(os_open(&m.env, LOG_NAME, 0, &file));
    rc = log_recover(&m.env, &file, position, &sink, state, restarted, commits);
    os_close(&file);
    copy = memory_env_find(&m, LOG_NAME);
    CHECK_EQ_BYTES(copy->data, copy->size, data, size); /* modifies nothing */
    CHECK_EQ_INT(m.count[MEMORY_WRITE], 0);
    memory_env_close(&m);
    return rc;
}

/* ----------------------------------------------------------------------------------- world -- */

TEST_HELPER void log_world_open(struct log_world *w) {
    memset(w, 0, sizeof *w);
    memory_env_open(&w->m);
    log_writer_init(&w->writer, &w->m.env, LOG_NAME);
    w->state.sum0 = LOG_SUM0_FIRST;
    w->state.sum1 = LOG_SUM1_FIRST;
    w->checkpoint = (struct log_position){0, LOG_SUM0_FIRST, LOG_SUM1_FIRST};
}

TEST_HELPER void log_world_close(struct log_world *w) {
    log_writer_release(&w->writer);
    log_writer_release(&w->writer);
    trace_free(&w->committed);
    trace_free(&w->pending);
    for (int i = 0; i < LOG_WORLD_DOUBTS; i++) trace_free(&w->doubtful[i]);
    memory_env_close(&w->m);
}

TEST_HELPER struct memory_file *log_world_file(struct log_world *w) {
    return memory_env_find(&w->m, LOG_NAME);
}

TEST_HELPER int log_world_try_begin(struct log_world *w, bool aligned) {
    w->pending.size = 0;
    return log_writer_begin(&w->writer, &w->state, &w->reclaim, aligned);
}
TEST_HELPER void log_world_begin(struct log_world *w, bool aligned) {
    CHECK_OK(log_world_try_begin(w, aligned));
}

TEST_HELPER int log_world_try_put(struct log_world *w, struct slice key, struct slice value) {
    int rc = log_writer_insert(&w->writer, key, value);
    trace_operation(&w->pending, 'P', key, value);
    return rc;
}
TEST_HELPER int log_world_try_delete(struct log_world *w, struct slice key) {
    int rc = log_writer_delete(&w->writer, key);
    trace_operation(&w->pending, 'D', key, (struct slice){NULL, 0});
    return rc;
}
TEST_HELPER int log_world_try_range(struct log_world *w, struct slice key1, struct slice key2) {
    int rc = log_writer_delete_range(&w->writer, key1, key2);
    trace_operation(&w->pending, 'R', key1, key2);
    return rc;
}
TEST_HELPER void log_world_put(struct log_world *w, const char *key, const char *value) {
    CHECK_OK(log_world_try_put(w, text(key), text(value)));
}
/* `size` bytes `filler` as value. */
TEST_HELPER int log_world_try_fill(struct log_world *w, const char *key, char filler, size_t size) {
    uint8_t *value = malloc(size + 1);
    int rc;
    memset(value, filler, size);
    rc = log_world_try_put(w, text(key), (struct slice){value, (uint32_t)size});
    free(value);
    return rc;
}
TEST_HELPER void log_world_fill(struct log_world *w, const char *key, char filler, size_t size) {
    CHECK_OK(log_world_try_fill(w, key, filler, size));
}

TEST_HELPER void log_world_mark(struct log_world *w, int level) {
    log_writer_mark(&w->writer, &w->levels[level].mark);
    w->levels[level].pending = w->pending.size;
}
TEST_HELPER void log_world_return(struct log_world *w, int level) {
    CHECK_OK(log_writer_rollback_to(&w->writer, &w->levels[level].mark));
    w->pending.size = w->levels[level].pending;
}

TEST_HELPER void log_world_rollback(struct log_world *w) {
    struct log_state out;
    log_writer_rollback(&w->writer, &out);
    CHECK_EQ_BYTES(&out, sizeof out, &w->state, sizeof w->state);
    w->pending.size = 0;
}

TEST_HELPER int log_world_try_commit(struct log_world *w, bool sync) {
    struct log_state out = w->state;
    int rc = log_writer_commit(&w->writer, sync, &out);

    if (rc == LSM_OK) {
        w->state = out;
        trace_add(&w->pending, "C", 1);
        trace_add(&w->committed, w->pending.data, w->pending.size);
        w->doubt_count = 0;
    } else {
        struct trace *doubt = &w->doubtful[w->doubt_count++];
        CHECK(w->doubt_count < LOG_WORLD_DOUBTS);
        CHECK_EQ_BYTES(&out, sizeof out, &w->state, sizeof w->state);
        trace_add(&w->pending, "C", 1);
        doubt->size = 0;
        trace_add(doubt, w->pending.data, w->pending.size);
    }
    w->pending.size = 0;
    return rc;
}
TEST_HELPER void log_world_commit(struct log_world *w, bool sync) {
    CHECK_OK(log_world_try_commit(w, sync));
}

/* What is committed is in the database file now. */
TEST_HELPER void log_world_checkpoint(struct log_world *w) {
    w->checkpoint_id++;
    w->checkpoint = (struct log_position){2 * (uint64_t)w->state.regions[2].end + 1, w->state.sum0,
                                          w->state.sum1};
    w->checkpoint_trace = w->committed.size;
    w->reclaim = (struct log_reclaim){w->checkpoint_id, (uint64_t)w->state.regions[2].end};
}

TEST_HELPER bool log_world_is_doubtful(const struct log_world *w, const void *data, size_t size) {
    for (int i = 0; i < w->doubt_count; i++) {
        const struct trace *doubt = &w->doubtful[i];
        if (doubt->size == size && memcmp(doubt->data, data, size) == 0) return true;
    }
    return false;
}

/* Recover a copy of the file from the checkpoint, with and without a known file size. */
TEST_HELPER void log_world_check(struct log_world *w) {
    struct memory_file *file = log_world_file(w);
    const uint8_t *expected = w->committed.data + w->checkpoint_trace;
    size_t expected_size = w->committed.size - w->checkpoint_trace;

    for (int foreign = 0; foreign < 2; foreign++) {
        struct trace trace;
        struct log_state state;
        bool restarted;
        uint64_t commits;
        CHECK_OK(recover_bytes(file ? file->data : NULL, file ? file->size : 0, &w->checkpoint,
                               foreign, &trace, &state, &restarted, &commits));
        if (w->doubt_count > 0 && trace.size > expected_size) {
            CHECK_EQ_BYTES(trace.data, expected_size, expected, expected_size);
            CHECK(log_world_is_doubtful(w, trace.data + expected_size,
                                        trace.size - expected_size));
        } else {
            CHECK_EQ_BYTES(trace.data, trace.size, expected, expected_size);
            if (commits > 0) {
                CHECK(!restarted);
                CHECK_EQ_UINT(state.sum0, w->state.sum0);
                CHECK_EQ_UINT(state.sum1, w->state.sum1);
                CHECK_EQ_INT(state.regions[2].end, w->state.regions[2].end);
            }
        }
        trace_free(&trace);
    }
}

#endif
