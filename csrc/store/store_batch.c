/*
** store_batch.c — what a worker found out about the runs it wrote, on its way into the store.
**
** The batch belongs to a snapshot in the making. If that is published, its notes enter the store with the
** snapshot's id; if it is thrown away, so are they. Builders of unfinished outputs go the same way and wait in
** the store for the next slice; when that slice fails its builder is lost, and the output goes on without.
**
** INVARIANTS  (I1) every run that is written is in the batch, with or without notes: it replaces whatever the store
**             knows of a former run with the same numbers.
** LOCKING     The store is asked and told under its mutex; a batch itself belongs to one thread.
*/
#include "base/memory.h"
#include "store/store_internal.h"

static struct store_batch_item *batch_find(const struct store_batch *batch,
                                           const struct segment *run) {
    uint32_t i;

    for (i = batch->count; i-- > 0;) {
        if (same_run(&batch->items[i].run, run)) return &batch->items[i];
    }
    return NULL;
}

static void item_clear(struct store_batch_item *item) {
    run_notes_release(item->notes);
    run_builder_free(item->builder);
    item->notes = NULL;
    item->builder = NULL;
}

/* An empty item for the run; NULL (and the batch is `lost`) without memory. */
static struct store_batch_item *batch_item(struct store_batch *batch, const struct segment *run) {
    struct store_batch_item *item = batch_find(batch, run);

    if (item) {
        item_clear(item);
        return item;
    }
    if (batch->count == batch->capacity) {
        uint32_t capacity = batch->capacity ? 2 * batch->capacity : 8;
        struct store_batch_item *items =
            memory_reallocate(batch->store->env, batch->items, capacity * sizeof *items);
        if (items == NULL) {
            batch->lost = true;
            return NULL;
        }
        batch->items = items;
        batch->capacity = capacity;
    }
    item = &batch->items[batch->count++];
    *item = (struct store_batch_item){.run = *run};
    return item;
}

void store_batch_add(struct store_batch *batch, const struct segment *run,
                     struct run_builder *builder, bool complete) {
    struct store_batch_item *item = NULL;

    if (batch->store && run->first != 0) item = batch_item(batch, run);
    if (item && builder && complete) {
        item->notes = run_builder_notes(builder, true);
    } else if (item) {
        item->builder = builder; /* its notes are taken when they are published */
        builder = NULL;
    }
    run_builder_free(builder);
}

void store_batch_move(struct store_batch *batch, const struct segment *from,
                      const struct segment *to, int64_t snapshot_id) {
    struct store_batch_item *item;
    struct run_notes *notes = NULL;

    if (batch->store == NULL) return;
    item = batch_find(batch, from);
    if (item && item->notes) {
        notes = item->notes;
        run_notes_hold(notes);
    } else if (item == NULL) {
        notes = store_find(batch->store, from, snapshot_id);
    }
    item = batch_item(batch, to);
    if (item && notes && notes->movable) {
        item->notes = notes;
        notes = NULL;
    }
    run_notes_release(notes);
}

struct run_builder *store_batch_take_builder(struct store_batch *batch, const struct segment *run,
                                             int64_t snapshot_id) {
    struct store *store = batch->store;
    struct run_builder *builder = NULL;
    struct store_batch_item *item;
    struct store_entry *entry;

    if (store == NULL) return NULL;
    item = batch_find(batch, run);
    if (item) {
        builder = item->builder;
        item->builder = NULL;
        return builder;
    }
    os_mutex_enter(store->env, store->mutex);
    entry = store_entry_find(store, run, snapshot_id);
    if (entry) {
        builder = entry->writing;
        entry->writing = NULL;
    }
    os_mutex_leave(store->env, store->mutex);
    return builder;
}

uint64_t store_batch_keys(struct store_batch *batch, const struct segment *run,
                          int64_t snapshot_id, const struct pager *pager) {
    const struct store_batch_item *item = batch_find(batch, run);
    struct run_notes *notes = NULL;
    uint64_t keys = run->size;

    if (item && item->notes) return run_notes_keys(item->notes);
    if (batch->store && item == NULL) notes = store_find(batch->store, run, snapshot_id);
    if (notes) {
        keys = run_notes_keys(notes);
        run_notes_release(notes);
        return keys;
    }
    /* Records of 128 bytes, packed to 64 bytes. */
    return pager_is_compressed(pager) ? keys / 64 : keys * (pager_page_size(pager) / 128);
}

/* ---------------------------------------------------------------------------------- publishing -- */

static bool snapshot_has(const struct snapshot *snapshot, const struct segment *run) {
    uint32_t i;
    uint32_t j;

    for (i = 0; i < snapshot->level_count; i++) {
        const struct level *level = &snapshot->levels[i];
        if (same_run(&level->left, run)) return true;
        for (j = 0; j < level->right_count; j++) {
            if (same_run(&level->right[j], run)) return true;
        }
    }
    return false;
}

/* Notes of outputs that go on, made outside the lock. */
static void take_notes(struct store_batch *batch, const struct snapshot *snapshot) {
    uint32_t i;

    for (i = 0; i < batch->count; i++) {
        struct store_batch_item *item = &batch->items[i];
        if (!snapshot_has(snapshot, &item->run)) {
            item_clear(item); /* superseded before anybody saw it */
            item->run.first = 0;
        } else if (item->builder) {
            item->notes = run_builder_notes(item->builder, false);
        }
    }
}

void store_publish(struct store_batch *batch, const struct snapshot *snapshot) {
    struct store *store = batch->store;
    uint32_t kept = 0;
    uint32_t i;

    if (store == NULL) return;
    take_notes(batch, snapshot);
    os_mutex_enter(store->env, store->mutex);
    store->newest_id = snapshot->id;
    for (i = 0; i < store->entry_count; i++) {
        struct store_entry *entry = &store->entries[i];
        if (batch->lost || !snapshot_has(snapshot, &entry->run) ||
            batch_find(batch, &entry->run) != NULL) {
            store_entry_clear(entry);
        } else {
            store->entries[kept++] = *entry;
        }
    }
    store->entry_count = kept;
    for (i = 0; i < batch->count; i++) {
        struct store_batch_item *item = &batch->items[i];
        struct store_entry *entry;
        if (item->run.first == 0 || (item->notes == NULL && item->builder == NULL)) continue;
        entry = store_entry_add(store, &item->run, snapshot->id);
        if (entry == NULL) continue;
        entry->notes = item->notes;
        entry->writing = item->builder;
        item->notes = NULL;
        item->builder = NULL;
    }
    store_evict(store);
    os_mutex_leave(store->env, store->mutex);
    for (i = 0; i < batch->count; i++) item_clear(&batch->items[i]);
    batch->count = 0;
    batch->lost = false;
}

void store_batch_release(struct store_batch *batch) {
    uint32_t i;

    if (batch->store == NULL) return;
    for (i = 0; i < batch->count; i++) item_clear(&batch->items[i]);
    memory_free(batch->store->env, batch->items);
    *batch = (struct store_batch){0};
}
