/*
** store_notes.c — questions to the notes of one run.
**
** COST        No lock, no allocation, nothing written: readers on several processors share the lines.
*/
#include "base/memory.h"
#include "store/store_internal.h"

void run_notes_hold(struct run_notes *notes) {
    atomic_fetch_add_explicit(&notes->references, 1, memory_order_relaxed);
}

void run_notes_release(struct run_notes *notes) {
    struct store *store;
    uint32_t i;

    if (notes == NULL || atomic_fetch_sub(&notes->references, 1) > 1) return;
    store = notes->store;
    for (i = 0; i < notes->part_count; i++) filter_part_release(store, notes->parts[i]);
    for (i = 0; i < notes->chunk_count; i++) fence_chunk_release(store, notes->chunks[i]);
    range_copy_release(store, &notes->ranges);
    store_deallocate(store, notes, notes->bytes);
    store_release(store);
}

struct run_notes *run_notes_unfenced(const struct run_notes *notes) {
    struct store *store = notes->store;
    size_t bytes = sizeof *notes + notes->part_count * sizeof *notes->parts;
    struct range_copy ranges = {0};
    struct run_notes *filter;
    uint32_t i;

    if (notes->part_count == 0 || !range_copy_again(store, &notes->ranges, &ranges)) return NULL;
    filter = store_allocate(store, bytes);
    if (filter == NULL) {
        range_copy_release(store, &ranges);
        return NULL;
    }
    *filter = (struct run_notes){
        .store = store,
        .bytes = bytes,
        .key_count = notes->key_count,
        .movable = notes->movable,
        .part_count = notes->part_count,
        .parts = (struct filter_part **)(void *)(filter + 1),
        .ranges = ranges,
    };
    atomic_init(&filter->references, 1);
    atomic_init(&filter->used, true);
    store_hold(store);
    for (i = 0; i < notes->part_count; i++) {
        filter->parts[i] = notes->parts[i];
        filter_part_hold(filter->parts[i]);
    }
    return filter;
}

static const struct filter_part *part_of(const struct run_notes *notes, struct slice key) {
    if (LSM_LIKELY(notes->part_count == 1)) return notes->parts[0];
    return notes->parts[filter_choose(notes->parts, notes->part_count, key)];
}

struct run_probe run_notes_probe(const struct run_notes *notes) {
    if (notes->part_count != 1 || notes->ranges.count > 0) return (struct run_probe){NULL, 0};
    return (struct run_probe){notes->parts[0]->words, notes->parts[0]->block_count};
}

void run_notes_mark_used(struct run_notes *notes) {
    atomic_store_explicit(&notes->used, true, memory_order_relaxed);
}

bool run_notes_exclude(const struct run_notes *notes, struct slice key, uint64_t hash) {
    const struct filter_part *part;

    if (notes->part_count == 0) return false;
    part = part_of(notes, key);
    if (filter_holds(&part->words[filter_block(part->block_count, hash)], hash)) return false;
    return notes->ranges.count == 0 || !range_copy_covers(&notes->ranges, key);
}

bool run_notes_fenced(const struct run_notes *notes) {
    return notes->chunk_count > 0;
}

bool run_notes_place(const struct run_notes *notes, struct slice key, struct segment_place *out) {
    const struct fence_chunk *chunk;
    uint32_t index;
    uint32_t entry;

    if (notes->chunk_count == 0) return false;
    index = fence_choose(notes->chunks, notes->chunk_windows, notes->chunk_count, key);
    chunk = notes->chunks[index];
    entry = fence_chunk_search(chunk, key, &out->position);
    out->page_no = fence_chunk_page(chunk, entry);
    out->first = index == 0 && entry == 0;
    return true;
}

uint64_t run_notes_keys(const struct run_notes *notes) {
    return notes->key_count;
}

size_t run_notes_fence_bytes(const struct run_notes *notes) {
    size_t bytes = 0;
    uint32_t i;

    for (i = 0; i < notes->chunk_count; i++) bytes += notes->chunks[i]->bytes;
    return bytes;
}

size_t run_notes_bytes(const struct run_notes *notes) {
    size_t bytes = notes->bytes + notes->ranges.bytes + run_notes_fence_bytes(notes);
    uint32_t i;

    for (i = 0; i < notes->part_count; i++) bytes += notes->parts[i]->bytes;
    return bytes;
}
