/*
** format_snapshot.c — the memory of a snapshot: made, copied, released.
**
** ERRORS      A failed copy leaves the target untouched and nothing allocated.
** COST        One allocation per array that is not empty.
*/
#include "format/format_snapshot.h"

#include "base/memory.h"

int snapshot_init_empty(struct snapshot *snapshot, lsm_env *env, uint32_t page_size,
                        uint32_t block_size) {
    *snapshot = (struct snapshot){.env = env,
                                  .id = SNAPSHOT_ID_FIRST,
                                  .page_size = page_size,
                                  .block_size = block_size,
                                  .log = {0, LOG_SUM0_FIRST, LOG_SUM1_FIRST}};
    return LSM_OK;
}

/* Copy `count` elements; NULL for none. */
static int copy_array(lsm_env *env, const void *source, uint32_t count, size_t element_size,
                      void **out) {
    void *block = NULL;

    if (count > 0) {
        block = memory_allocate(env, count * element_size);
        if (block == NULL) return LSM_NOMEM;
        memcpy(block, source, count * element_size);
    }
    *out = block;
    return LSM_OK;
}

static int level_copy(lsm_env *env, struct level *target, const struct level *source) {
    void *right = NULL;
    void *inputs = NULL;
    int rc;

    rc = copy_array(env, source->right, source->right_count, sizeof *source->right, &right);
    if (rc != LSM_OK) goto done;
    if (source->right_count > 0) {
        rc = copy_array(env, source->merge.inputs, source->merge.input_count,
                        sizeof *source->merge.inputs, &inputs);
        if (rc != LSM_OK) goto done;
    }
    *target = *source;
    target->right = right;
    target->merge.inputs = inputs;
    if (inputs == NULL) target->merge.input_count = 0;
    right = NULL;
done:
    memory_free(env, right);
    return rc;
}

int snapshot_copy(struct snapshot *target, const struct snapshot *source) {
    lsm_env *env = source->env;
    struct snapshot copy = *source;
    void *entries = NULL;
    uint32_t i;
    int rc = LSM_OK;

    copy.levels = NULL;
    copy.level_count = 0;
    copy.level_capacity = 0;
    copy.freelist = (struct freelist){0};

    if (source->level_count > 0) {
        copy.levels = memory_allocate_zero(env, source->level_count * sizeof *copy.levels);
        if (copy.levels == NULL) {
            rc = LSM_NOMEM;
            goto done;
        }
        copy.level_capacity = source->level_count;
    }
    for (i = 0; i < source->level_count; i++) {
        rc = level_copy(env, &copy.levels[i], &source->levels[i]);
        if (rc != LSM_OK) goto done;
        copy.level_count = i + 1;
    }
    rc = copy_array(env, source->freelist.entries, source->freelist.count,
                    sizeof *source->freelist.entries, &entries);
    if (rc != LSM_OK) goto done;
    copy.freelist = (struct freelist){source->freelist.count, source->freelist.count, entries};
    *target = copy;
    copy = (struct snapshot){0};
done:
    snapshot_release(&copy);
    return rc;
}

void level_release(lsm_env *env, struct level *level) {
    memory_free(env, level->right);
    memory_free(env, level->merge.inputs);
    *level = (struct level){0};
}

void snapshot_release(struct snapshot *snapshot) {
    uint32_t i;

    for (i = 0; i < snapshot->level_count; i++) {
        level_release(snapshot->env, &snapshot->levels[i]);
    }
    memory_free(snapshot->env, snapshot->levels);
    memory_free(snapshot->env, snapshot->freelist.entries);
    *snapshot = (struct snapshot){.env = snapshot->env};
}
