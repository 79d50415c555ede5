/*
** store.c — the runs of the newest snapshot, and the notes there are about them.
**
** INVARIANTS  (I1) an entry's run is in every snapshot from `born` to the newest: an entry is removed when a snapshot
**             without its run is published, or one with another run under the same numbers (store_publish).
**             (I2) so its notes are right for a reader of snapshot S >= born. Whether S or a newer one is the
**             newest makes no difference.
** LOCKING     `mutex`: the entries. Held for moments: no call of the system, no page is read under it.
*/
#include "base/memory.h"
#include "store/store_internal.h"

int store_open(lsm_env *env, uint64_t budget, struct store **out) {
    struct store *store = memory_allocate_zero(env, sizeof *store);
    int rc;

    if (store == NULL) return LSM_NOMEM;
    store->env = env;
    rc = os_mutex_new(env, &store->mutex);
    if (rc != LSM_OK) {
        memory_free(env, store);
        return rc;
    }
    atomic_init(&store->references, 1);
    atomic_init(&store->bytes, 0);
    atomic_init(&store->budget, budget < SIZE_MAX / 4 ? (size_t)budget : SIZE_MAX / 4);
    *out = store;
    return LSM_OK;
}

void store_hold(struct store *store) {
    atomic_fetch_add_explicit(&store->references, 1, memory_order_relaxed);
}

void store_release(struct store *store) {
    if (atomic_fetch_sub(&store->references, 1) > 1) return;
    os_mutex_free(store->env, store->mutex);
    memory_free(store->env, store);
}

/* Entries hold notes and builders, which hold the store: only closing undoes that. */
void store_close(struct store *store) {
    uint32_t i;

    if (store == NULL) return;
    os_mutex_enter(store->env, store->mutex);
    atomic_store(&store->budget, 0);
    for (i = 0; i < store->entry_count; i++) store_entry_clear(&store->entries[i]);
    memory_free(store->env, store->entries);
    store->entries = NULL;
    store->entry_count = 0;
    store->entry_capacity = 0;
    os_mutex_leave(store->env, store->mutex);
    store_release(store);
}

/* ---------------------------------------------------------------------------------- entries -- */

struct store_entry *store_entry_find(struct store *store, const struct segment *run,
                                     int64_t snapshot_id) {
    uint32_t i;

    for (i = 0; i < store->entry_count; i++) {
        struct store_entry *entry = &store->entries[i];
        if (same_run(&entry->run, run)) return entry->born <= snapshot_id ? entry : NULL;
    }
    return NULL;
}

struct store_entry *store_entry_add(struct store *store, const struct segment *run, int64_t born) {
    struct store_entry *entry;

    if (store->entry_count == store->entry_capacity) {
        uint32_t capacity = store->entry_capacity ? 2 * store->entry_capacity : 16;
        struct store_entry *entries =
            memory_reallocate(store->env, store->entries, capacity * sizeof *entries);
        if (entries == NULL) return NULL;
        store->entries = entries;
        store->entry_capacity = capacity;
    }
    entry = &store->entries[store->entry_count++];
    *entry = (struct store_entry){.run = *run, .born = born};
    return entry;
}

void store_entry_clear(struct store_entry *entry) {
    run_notes_release(entry->notes);
    run_builder_free(entry->writing);
    run_builder_free(entry->reading);
    entry->notes = NULL;
    entry->writing = NULL;
    entry->reading = NULL;
}

struct run_notes *store_find(struct store *store, const struct segment *run, int64_t snapshot_id) {
    struct run_notes *notes = NULL;
    struct store_entry *entry;

    os_mutex_enter(store->env, store->mutex);
    if (store->newest_id < snapshot_id) store->newest_id = snapshot_id;
    entry = store_entry_find(store, run, snapshot_id);
    if (entry && entry->notes) {
        notes = entry->notes;
        run_notes_hold(notes);
    }
    os_mutex_leave(store->env, store->mutex);
    return notes;
}
