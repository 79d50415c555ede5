/*
** publish.c — the private snapshot of a worker: made, changed by others of this room, published.
*/
#include "base/memory.h"
#include "format/format_checkpoint.h"
#include "work/work_internal.h"

static int copy_freelist(lsm_env *env, struct freelist *target, const struct freelist *source) {
    uint32_t i;
    int rc = LSM_OK;

    target->count = 0;
    for (i = 0; i < source->count && rc == LSM_OK; i++) {
        rc = freelist_set(env, target, source->entries[i].block, source->entries[i].snapshot_id);
    }
    return rc;
}

int work_begin(struct work *work, lsm_env *env, struct pager *pager, struct error_context *error,
               const struct snapshot *snapshot, const struct work_config *config,
               const struct work_limits *limits) {
    int rc;

    *work = (struct work){.env = env, .pager = pager, .error = error, .config = *config,
                          .limits = *limits};
    /* Readers who come later hold this snapshot or a newer one, whatever is published meanwhile. */
    if (work->limits.oldest_reader > snapshot->id) work->limits.oldest_reader = snapshot->id;
    rc = snapshot_copy(&work->published, snapshot);
    if (rc == LSM_OK) rc = snapshot_copy(&work->next, snapshot);
    if (rc == LSM_OK) rc = copy_freelist(env, &work->overlay, &snapshot->freelist);
    if (rc != LSM_OK) work_end(work);
    return rc;
}

void work_end(struct work *work) {
    if (work->env == NULL) return;
    snapshot_release(&work->published);
    snapshot_release(&work->next);
    memory_free(work->env, work->overlay.entries);
    memory_free(work->env, work->pending.entries);
    memory_free(work->env, work->candidates);
    store_batch_release(&work->notes);
    *work = (struct work){0};
}

int work_publish(struct work *work, struct shm *shm) {
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t word_count;
    struct snapshot published = {0};
    int rc;

    if (work->next.freelist.count > FREELIST_ENTRIES_MAX) {
        return error_note(work->error, LSM_FULL, "more free-list entries than a snapshot holds");
    }
    work->next.id = work->published.id + 1;
    if (work->next.compression_id == LSM_COMPRESSION_EMPTY) {
        work->next.compression_id = work->config.compression_id;
    }
    rc = checkpoint_encode(&work->next, words, &word_count);
    if (rc == LSM_OK) rc = snapshot_copy(&published, &work->next);
    if (rc == LSM_OK) rc = copy_freelist(work->env, &work->overlay, &work->next.freelist);
    if (rc != LSM_OK) {
        snapshot_release(&published);
        return rc;
    }
    store_publish(&work->notes, &work->next); /* before anybody can read the snapshot */
    shm_publish_snapshot(shm, words, word_count);
    snapshot_release(&work->published);
    work->published = published;
    work->changed = false;
    work_forget_candidates(work);
    return LSM_OK;
}

/* ----------------------------------------------------------------------------------- levels -- */

int work_insert_level(struct work *work, uint32_t index, const struct level *level) {
    struct snapshot *next = &work->next;

    if (next->level_count == next->level_capacity) {
        uint32_t capacity = next->level_capacity ? next->level_capacity * 2 : 8;
        struct level *levels =
            memory_reallocate(work->env, next->levels, capacity * sizeof *levels);
        if (levels == NULL) return LSM_NOMEM;
        next->levels = levels;
        next->level_capacity = capacity;
    }
    memmove(&next->levels[index + 1], &next->levels[index],
            (next->level_count - index) * sizeof *next->levels);
    next->levels[index] = *level;
    next->level_count++;
    work->changed = true;
    return LSM_OK;
}

void work_remove_level(struct work *work, uint32_t index) {
    struct snapshot *next = &work->next;

    level_release(work->env, &next->levels[index]);
    memmove(&next->levels[index], &next->levels[index + 1],
            (next->level_count - index - 1) * sizeof *next->levels);
    next->level_count--;
    work->changed = true;
}

const struct redirects *work_redirects(const struct snapshot *snapshot, uint32_t level_index,
                                       uint32_t right) {
    const struct level *level = &snapshot->levels[level_index];

    if (level_index + 1 != snapshot->level_count) return NULL;
    if (right == UINT32_MAX) return level->right_count == 0 ? &snapshot->redirects : NULL;
    return right + 1 == level->right_count ? &snapshot->redirects : NULL;
}

struct segment_view work_view(struct work *work, const struct segment *segment,
                              const struct redirects *redirects) {
    return (struct segment_view){work->pager, segment, redirects, work->error};
}
