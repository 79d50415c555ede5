/*
** store_fence.c — on which page of a run is a key? Fences in chunks, searched in memory.
**
**     page 41         page 42         page 43           separators: the shortest that tell a page from the one
**     | key0 key4 |   | key7 keyb |   | keyc kind |     before it:   ""  key7  keyc   (then "kin" for page 44)
**
**     chunk    prefix "key", skip 3     windows   7.......  c.......     8 bytes behind the prefix, big-endian
**                                       pages     41 + 0  1  2           4 bytes each, unless they lie far apart
**                                       sizes     1  1                   for windows that are equal
**
** A tail, what a separator has behind the prefix, of up to 8 bytes is its window and its size. Where one is
** longer, the chunk keeps them all as text. The first separator of a chunk takes no part in its search, because
** the chunk was chosen by it (that of the run is "": whatever is smaller than all keys belongs to the first page).
** A key between the separator and the first record of a page is not in the run: the lookup finds its predecessor
** on the page before.
**
** INVARIANTS  (I1) separators ascend strictly; each is greater than all keys of earlier pages and not greater than
**             those of its own.
** COST        Two searches of about ten steps, in about 8 KB each. Memory: 13 bytes a page; with longer tails 16,
**             and the tails.
*/
#include "base/memory.h"
#include "store/store_internal.h"

#define WINDOW_SIZE 8u
#define GUESS_REACH 32u /* windows on either side of a guess that are looked at */

/* Half a distance between windows as a floating-point number: one instruction, because it has no top bit. */
static inline double half_distance(uint64_t from, uint64_t to) {
    return (double)(int64_t)((to - from) / 2);
}

/* Entries per half a distance between windows, 0 for a chunk where guessing does not pay. */
static double guess_slope(const uint64_t *windows, uint32_t count) {
    double distance;

    if (count <= 4 * GUESS_REACH) return 0;
    distance = half_distance(windows[1], windows[count - 1]);
    return distance >= 1 ? (count - 2) / distance : 0;
}

/* How a chunk of this draft is laid out. */
struct chunk_shape {
    uint32_t skip;
    bool long_tails;
    bool far_pages;
    uint64_t page_low;
    size_t tails_size; /* of long tails */
    size_t bytes;
};

static struct chunk_shape chunk_shape_of(const struct fence_draft *draft) {
    struct chunk_shape shape = {.page_low = draft->pages[0]};
    uint64_t page_high = draft->pages[0];
    uint32_t count = draft->count;
    uint32_t i;

    if (count > 1) {
        shape.skip = common_size(fence_draft_separator(draft, 1),
                                 fence_draft_separator(draft, count - 1));
    }
    for (i = 0; i < count; i++) {
        uint64_t page_no = draft->pages[i];
        if (page_no < shape.page_low) shape.page_low = page_no;
        if (page_no > page_high) page_high = page_no;
        if (i == 0) continue;
        shape.tails_size += fence_draft_separator(draft, i).size - shape.skip;
        if (fence_draft_separator(draft, i).size - shape.skip > WINDOW_SIZE) {
            shape.long_tails = true;
        }
    }
    shape.far_pages = page_high - shape.page_low > UINT32_MAX;
    if (!shape.long_tails) shape.tails_size = 0;
    shape.bytes = sizeof(struct fence_chunk) + (size_t)count * sizeof(uint64_t);
    shape.bytes += (size_t)count * (shape.far_pages ? sizeof(uint64_t) : sizeof(uint32_t));
    shape.bytes += shape.long_tails ? ((size_t)count + 1) * sizeof(uint32_t) : count;
    shape.bytes += shape.tails_size + shape.skip + fence_draft_separator(draft, 0).size;
    return shape;
}

size_t fence_draft_bytes(const struct fence_draft *draft) {
    return draft->count > 0 ? chunk_shape_of(draft).bytes : 0;
}

static uint8_t *put_slice(uint8_t *at, struct slice bytes) {
    if (bytes.size > 0) memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

struct fence_chunk *fence_chunk_new(struct store *store, const struct fence_draft *draft) {
    struct chunk_shape shape = chunk_shape_of(draft);
    struct slice low = fence_draft_separator(draft, 0);
    struct fence_chunk *chunk = store_allocate(store, shape.bytes);
    uint32_t count = draft->count;
    uint64_t *windows, *pages;
    uint32_t *steps, *offsets;
    uint8_t *sizes, *text;
    uint8_t *tail;
    uint32_t i;

    if (chunk == NULL) return NULL;
    windows = (uint64_t *)(void *)(chunk + 1); /* the widest first: all are aligned */
    pages = windows + count;
    steps = (uint32_t *)(void *)pages;
    offsets = shape.far_pages ? (uint32_t *)(void *)(pages + count) : steps + count;
    sizes = (uint8_t *)offsets;
    text = shape.long_tails ? (uint8_t *)(offsets + count + 1) : sizes + count;
    tail = text;
    for (i = 0; i < count; i++) {
        struct slice separator = fence_draft_separator(draft, i);
        struct slice rest = {separator.data + shape.skip, separator.size - shape.skip};
        if (i == 0) rest = (struct slice){separator.data, 0};
        windows[i] = key_window(rest.data, rest.size);
        if (shape.far_pages) pages[i] = draft->pages[i];
        else steps[i] = (uint32_t)(draft->pages[i] - shape.page_low);
        if (shape.long_tails) {
            offsets[i] = (uint32_t)(tail - text);
            tail = put_slice(tail, rest);
        } else {
            sizes[i] = (uint8_t)rest.size;
        }
    }
    if (shape.long_tails) offsets[count] = (uint32_t)(tail - text);
    *chunk = (struct fence_chunk){
        .bytes = shape.bytes,
        .count = count,
        .skip = shape.skip,
        .slope = guess_slope(windows, count),
        .windows = windows,
        .page_low = shape.page_low,
        .page_steps = shape.far_pages ? NULL : steps,
        .pages = shape.far_pages ? pages : NULL,
        .sizes = shape.long_tails ? NULL : sizes,
        .offsets = shape.long_tails ? offsets : NULL,
        .tails = text,
        .prefix = tail,
        .low = {tail + shape.skip, low.size},
    };
    if (shape.skip > 0) {
        tail = put_slice(tail, (struct slice){fence_draft_separator(draft, 1).data, shape.skip});
    }
    tail = put_slice(tail, low);
    assert((size_t)(tail - (uint8_t *)chunk) == shape.bytes);
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

/* The tail of an entry, perhaps in `window`. */
static struct slice chunk_tail(const struct fence_chunk *chunk, uint32_t entry,
                               uint8_t window[WINDOW_SIZE]) {
    if (chunk->offsets) {
        return (struct slice){chunk->tails + chunk->offsets[entry],
                              chunk->offsets[entry + 1] - chunk->offsets[entry]};
    }
    put_u64(window, chunk->windows[entry]);
    return (struct slice){window, chunk->sizes[entry]};
}

/* Among entries [low, high), all of whose windows are the key's, the first whose tail is greater. */
static uint32_t search_tails(const struct fence_chunk *chunk, uint32_t low, uint32_t high,
                             struct slice tail) {
    uint8_t window[WINDOW_SIZE];

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (key_compare(chunk_tail(chunk, middle, window), tail) > 0) {
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

/* The first entry behind the first one whose window is greater than `window`, count if there is none. Keys that are
** spread evenly are found near the place their value suggests: two probes then leave a few lines of memory to
** search. */
static uint32_t entry_above(const struct fence_chunk *chunk, uint64_t window) {
    const uint64_t *windows = chunk->windows + 1;
    uint32_t count = chunk->count - 1;
    uint32_t guess, from, to;

    if (chunk->slope > 0 && window >= windows[0] && window < windows[count - 1]) {
        guess = (uint32_t)(half_distance(windows[0], window) * chunk->slope);
        from = guess > GUESS_REACH ? guess - GUESS_REACH : 0;
        to = guess + GUESS_REACH < count ? guess + GUESS_REACH : count - 1;
        if (LSM_LIKELY(windows[from] <= window && windows[to] > window)) {
            return 1 + from + window_above(windows + from, to - from, window);
        }
    }
    return 1 + window_above(windows, count, window);
}

static uint32_t position_between(uint64_t low, uint64_t high, uint64_t window) {
    double whole = half_distance(low, high);
    return whole >= 1 ? (uint32_t)(65535 * half_distance(low, window) / whole) : 32768;
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
    above = entry_above(chunk, window);
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
