/*
** fill.c — one level from records that come in order, in a database that has none: for copies.
**
** The level is finished, the oldest and the only one: plain inserts, no separators, pointers all 0.
** Its age is what merging would have given a run of that size, so that it is left alone until runs
** of like size have gathered.
**
** INVARIANTS  nothing of the snapshot is changed before work_fill_finish.
** ERRORS      Sticky, as those of the segment writer; afterwards only free may follow.
** COST        Bounded memory: the pages being filled and a write buffer.
*/
#include "base/memory.h"
#include "work/work_internal.h"

#define YOUNG_LEVEL_BYTES ((uint64_t)1 << 20) /* a flush at the default settings */
#define FAN_IN 4u

struct work_fill {
    struct work *work;
    struct segment_writer *writer;
};

int work_fill_new(struct work *work, struct work_fill **out) {
    struct segment_writer_config config = {.pager = work->pager, .error = work->error};
    struct work_fill *fill;
    int rc;

    assert(work->next.level_count == 0);
    fill = memory_allocate_zero(work->env, sizeof *fill);
    if (fill == NULL) return LSM_NOMEM;
    fill->work = work;
    work_block_source(work, &config.blocks);
    rc = segment_writer_new(work->env, &config, &fill->writer);
    if (rc != LSM_OK) {
        work_fill_free(fill);
        return rc;
    }
    *out = fill;
    return LSM_OK;
}

void work_fill_free(struct work_fill *fill) {
    if (fill == NULL) return;
    segment_writer_free(fill->writer);
    memory_free(fill->work->env, fill);
}

int work_fill_add(struct work_fill *fill, struct slice key, struct slice value) {
    return segment_writer_add(fill->writer, RECORD_INSERT, key, value, 0);
}

uint64_t work_fill_bytes(const struct work_fill *fill) {
    const struct work *work = fill->work;

    if (pager_is_compressed(work->pager)) {
        return (uint64_t)work->next.block_count * work->next.block_size;
    }
    return (uint64_t)segment_writer_data_pages(fill->writer) * work->next.page_size;
}

static uint16_t age_of(uint64_t bytes) {
    uint16_t age = 0;

    while (bytes > YOUNG_LEVEL_BYTES) {
        bytes /= FAN_IN;
        age++;
    }
    return age;
}

int work_fill_finish(struct work_fill *fill, const struct log_position *log) {
    struct work *work = fill->work;
    struct level level = {0};
    uint64_t append_point = 0;
    uint64_t bytes = work_fill_bytes(fill);
    int rc;

    rc = segment_writer_finish(fill->writer, &level.left, &append_point);
    if (rc != LSM_OK) goto done;
    work->pages_written += segment_writer_data_pages(fill->writer);
    work->next.pages_written += segment_writer_data_pages(fill->writer);
    work->next.log = *log;
    work->changed = true;
    if (level.left.first == 0) goto done;
    level.age = age_of(bytes);
    rc = work_insert_level(work, 0, &level);
    if (rc == LSM_OK) work_put_append_point(work, append_point);
done:
    return rc;
}
