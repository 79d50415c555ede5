/*
** store_budget.c — how much memory notes may take, and which ones go when it is too much.
**
** Every block of a note counts from its allocation to its release, whoever holds it: notes under construction
** and notes that only readers of older snapshots still have, too. When a snapshot is published whose own notes take
** more than the budget, those that no reader asked since the clock's hand passed are dropped; large ones lose
** their fences first, and the rest when the hand comes round again. What is being written goes last: soon it stands
** for all that is merged into it. Making new ones, and readers of older snapshots, may pass the budget for a while,
** a run by no more than its limit, all together never twice the budget: then the builder goes without.
**
** LOCKING     Counting takes no lock. Evicting requires store.mutex.
*/
#include "base/memory.h"
#include "store/store_internal.h"

#define UNFENCE_BYTES_MIN 8192u /* fences of about 500 pages */

void store_charge(struct store *store, size_t size) {
    atomic_fetch_add_explicit(&store->bytes, size, memory_order_relaxed);
}

void store_discharge(struct store *store, size_t size) {
    atomic_fetch_sub_explicit(&store->bytes, size, memory_order_relaxed);
}

void *store_allocate(struct store *store, size_t size) {
    size_t budget = store_budget(store);
    void *block;

    if (size > budget || store_bytes(store) > 2 * budget - size) return NULL;
    block = memory_allocate(store->env, size);
    if (block) store_charge(store, size);
    return block;
}

void store_deallocate(struct store *store, void *block, size_t size) {
    if (block == NULL) return;
    store_discharge(store, size);
    memory_free(store->env, block);
}

/* Would going without its fences set much free? Notes of a small run are made anew by a few visits. */
static bool should_unfence(const struct store_entry *entry) {
    return entry->notes && entry->notes->part_count > 0 &&
           run_notes_fence_bytes(entry->notes) >= UNFENCE_BYTES_MIN;
}

/* Keep the filter alone; false: without memory. *gain: what that sets free. */
static bool unfence(struct store_entry *entry, size_t *gain) {
    struct run_notes *filter = run_notes_unfenced(entry->notes);

    if (filter == NULL) return false;
    *gain = run_notes_fence_bytes(entry->notes);
    atomic_store_explicit(&filter->used, false, memory_order_relaxed);
    run_notes_release(entry->notes);
    entry->notes = filter;
    return true;
}

size_t store_run_limit(const struct store *store) {
    size_t budget = store_budget(store);
    return budget - budget / 8;
}

/* What would be free without the entry. Notes of a run that is being written share nearly all with their builder. */
static size_t entry_bytes(const struct store_entry *entry) {
    size_t notes = entry->notes ? run_notes_bytes(entry->notes) : 0;
    size_t writing = entry->writing ? run_builder_bytes(entry->writing) : 0;
    size_t reading = entry->reading ? run_builder_bytes(entry->reading) : 0;

    return (notes > writing ? notes : writing) + reading;
}

/* What readers of older snapshots hold besides goes with them, whatever is dropped here. */
static size_t excess_now(const struct store *store) {
    size_t budget = store_budget(store);
    size_t kept = 0;
    uint32_t i;

    for (i = 0; i < store->entry_count; i++) kept += entry_bytes(&store->entries[i]);
    if (kept > store_bytes(store)) kept = store_bytes(store);
    return kept > budget ? kept - budget : 0;
}

void store_evict(struct store *store) {
    size_t bytes;
    size_t excess = excess_now(store);
    uint32_t chances = 4 * store->entry_count; /* used, unfenced, dropped, being written */

    while (excess > 0 && store->entry_count > 0 && chances-- > 0) {
        struct store_entry *entry;
        size_t gain = 0;

        if (store->hand >= store->entry_count) store->hand = 0;
        entry = &store->entries[store->hand];
        if (entry->notes == NULL && entry->writing == NULL && entry->reading == NULL) {
            store->hand++;
            continue;
        }
        if (entry->writing && chances >= store->entry_count) {
            store->hand++;
            continue;
        }
        if (entry->notes && atomic_exchange(&entry->notes->used, false)) {
            store->hand++;
            continue;
        }
        if (should_unfence(entry) && unfence(entry, &gain)) {
            store->hand++;
            excess = gain < excess ? excess - gain : 0;
            continue;
        }
        if (entry->notes) gain = run_notes_bytes(entry->notes); /* freed now, or when its readers go on */
        bytes = store_bytes(store);
        store_entry_clear(entry);
        *entry = store->entries[--store->entry_count];
        bytes -= store_bytes(store);
        if (bytes > gain) gain = bytes;
        excess = gain < excess ? excess - gain : 0;
    }
}

size_t store_bytes(const struct store *store) {
    return atomic_load_explicit(&store->bytes, memory_order_relaxed);
}

size_t store_budget(const struct store *store) {
    return atomic_load_explicit(&store->budget, memory_order_relaxed);
}

void store_set_budget(struct store *store, uint64_t budget) {
    if (budget > SIZE_MAX / 4) budget = SIZE_MAX / 4;
    os_mutex_enter(store->env, store->mutex);
    atomic_store_explicit(&store->budget, (size_t)budget, memory_order_relaxed);
    store_evict(store);
    os_mutex_leave(store->env, store->mutex);
}
