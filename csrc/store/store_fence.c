/*
** store_fence.c — on which page of a run is a key? Fences in chunks, searched in memory.
**
**     page 41         page 42         page 43           separators: the shortest that tell a page from the one
**     | key0 key4 |   | key7 keyb |   | keyc kind |     before it:   ""  key7  keyc   (then "kin" for page 44)
**
**     chunk    prefix "key", skip 3     windows   7.......  c.......     8 bytes behind the prefix, big-endian
**                                       pages     41  42  43
**                                       tails     7  c                   for windows that are equal
**
** The first separator of a chunk takes no part in its search, because the chunk was chosen by it (that of the
** run is "": whatever is smaller than all keys belongs to the first page). A key between the separator and the
** first record of a page is not in the run: the lookup finds its predecessor on the page before.
**
** INVARIANTS  (I1) separators ascend strictly; each is greater than all keys of earlier pages and not greater than
**             those of its own.
** COST        Two searches of about ten steps, in about 8 KB each.
*/
#include "base/memory.h"
#include "store/store_internal.h"

#define GUESS_REACH 32u /* windows on either side of a guess that are looked at */

struct fence_chunk *fence_chunk_new(struct store *store, const struct fence_draft *draft) {
    uint32_t count = draft->count;
    struct slice low = fence_draft_separator(draft, 0);
    struct slice second = count > 1 ? fence_draft_separator(draft, 1) : low;
    uint32_t skip = count > 1 ? common_size(second, fence_draft_separator(draft, count - 1)) : 0;
    size_t numbers = (size_t)count * 2 * sizeof(uint64_t) + ((size_t)count + 1) * sizeof(uint32_t);
    size_t bytes = sizeof(struct fence_chunk) + numbers + draft->offsets[count] + skip;
    struct fence_chunk *chunk = store_allocate(store, bytes);
    uint64_t *windows;
    uint64_t *pages;
    uint32_t *offsets;
    uint8_t *tails;
    uint32_t used = 0;
    uint32_t i;

    if (chunk == NULL) return NULL;
    windows = (uint64_t *)(void *)(chunk + 1);
    pages = windows + count;
    offsets = (uint32_t *)(void *)(pages + count);
    tails = (uint8_t *)(offsets + count + 1);
    memcpy(pages, draft->pages, count * sizeof *pages);
    for (i = 0; i < count; i++) {
        struct slice separator = fence_draft_separator(draft, i);
        uint32_t cut = i == 0 ? 0 : skip;
        uint32_t size = separator.size - cut;
        offsets[i] = used;
        if (size > 0) memcpy(tails + used, separator.data + cut, size);
        windows[i] = key_window(separator.data + cut, size);
        used += size;
    }
    offsets[count] = used;
    if (skip > 0) memcpy(tails + used, second.data, skip);
    *chunk = (struct fence_chunk){
        .bytes = bytes,
        .count = count,
        .skip = skip,
        .windows = windows,
        .pages = pages,
        .offsets = offsets,
        .tails = tails,
        .prefix = tails + used,
        .low = {tails, low.size},
    };
    atomic_init(&chunk->references, 1);
    return chunk;
}

void fence_chunk_hold(struct fence_chunk *chunk) {
    atomic_fetch_add_explicit(&chunk->references, 1, memory_order_relaxed);
}

void fence_chunk_release(struct store *store, struct fence_chunk *chunk) {
    if (chunk == NULL || atomic_fetch_sub(&chunk->references, 1) > 1) return;
    store_deallocate(store, chunk, chunk->bytes);
}

/* Among entries [low, high), all of whose windows are the key's, the first whose tail is greater. */
static uint32_t search_tails(const struct fence_chunk *chunk, uint32_t low, uint32_t high,
                             struct slice tail) {
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct slice other = {chunk->tails + chunk->offsets[middle],
                              chunk->offsets[middle + 1] - chunk->offsets[middle]};
        if (key_compare(other, tail) > 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* The first of `count` ascending windows that is greater than `window`; the loop has no branch to mispredict. */
static uint32_t window_above(const uint64_t *windows, uint32_t count, uint64_t window) {
    const uint64_t *base = windows;

    if (count == 0) return 0;
    while (count > 1) {
        uint32_t half = count / 2;
        base += base[half - 1] <= window ? half : 0;
        count -= half;
    }
    return (uint32_t)(base - windows) + (*base <= window);
}

/* The same; keys that are spread evenly are found near the place their value suggests: two probes then leave a
** few lines of memory to search. */
static uint32_t window_above_guess(const uint64_t *windows, uint32_t count, uint64_t window) {
    uint64_t low = windows[0];
    uint64_t guess;
    uint32_t from;
    uint32_t to;

    if (count <= 4 * GUESS_REACH || window < low || window >= windows[count - 1]) {
        return window_above(windows, count, window);
    }
    guess = (window - low) / ((windows[count - 1] - low) / count + 1);
    from = guess > GUESS_REACH ? (uint32_t)guess - GUESS_REACH : 0;
    to = (uint32_t)guess + GUESS_REACH < count ? (uint32_t)guess + GUESS_REACH : count - 1;
    if (windows[from] <= window && windows[to] > window) {
        return from + window_above(windows + from, to - from, window);
    }
    return window_above(windows, count, window);
}

static uint32_t position_between(uint64_t low, uint64_t high, uint64_t window) {
    uint64_t unit = (high - low) / 65536 + 1;
    uint64_t position = (window - low) / unit;
    return position < 65535 ? (uint32_t)position : 65535;
}

uint32_t fence_chunk_search(const struct fence_chunk *chunk, struct slice key, uint32_t *position) {
    uint32_t skip = chunk->skip;
    uint64_t window;
    uint32_t above;

    *position = 32768;
    if (skip > 0) {
        uint32_t common = key.size < skip ? key.size : skip;
        int order = common > 0 ? memcmp(key.data, chunk->prefix, common) : 0;
        if (order < 0 || (order == 0 && key.size < skip)) return 0;
        if (order > 0) return chunk->count - 1;
        key.data += skip;
        key.size -= skip;
    }
    window = key_window(key.data, key.size);
    if (chunk->count == 1) return 0;
    above = 1 + window_above_guess(chunk->windows + 1, chunk->count - 1, window);
    if (above > 1 && above < chunk->count) {
        *position = position_between(chunk->windows[above - 1], chunk->windows[above], window);
    }
    if (above > 1 && LSM_UNLIKELY(chunk->windows[above - 1] == window)) {
        uint32_t first = above - 1;
        /* Equal windows are few, unless keys differ behind a long common part inside the chunk. */
        if (window > 0) first = 1 + window_above(chunk->windows + 1, chunk->count - 1, window - 1);
        else first = 1;
        above = search_tails(chunk, first, above, key);
    }
    return above - 1;
}

uint32_t fence_choose(struct fence_chunk *const *chunks, const uint64_t *windows, uint32_t count,
                      struct slice key) {
    uint64_t window = key_window(key.data, key.size);
    uint32_t above = 1 + window_above(windows + 1, count - 1, window);
    uint32_t low = 1;

    if (above == 1 || LSM_LIKELY(windows[above - 1] != window)) return above - 1;
    /* Equal windows: keys with a long common part. Chunks below `low` begin at or below the key. */
    while (low < above) {
        uint32_t middle = low + (above - low) / 2;
        if (windows[middle] == window && key_compare(chunks[middle]->low, key) > 0) {
            above = middle;
        } else {
            low = middle + 1;
        }
    }
    return low - 1;
}
