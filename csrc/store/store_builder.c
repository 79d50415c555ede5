/*
** store_builder.c — from the records of a run, told one by one, to notes about it.
**
** A builder listens to the writer of a run, or to somebody who reads one. Notes can be taken at any time (a merge
** is published in slices): they share the full chunks of fences and all parts of the filter with the builder,
** which goes on. Keys of the first FILTER_PENDING_MAX records wait as hashes, so that the filter of a small run
** is made to measure.
**
** LIMIT       Notes of one run must not drive all others out of the budget, nor themselves: they take seven eighths
**             of it at most. What does not fit becomes worse by steps. With b bits of filter for each of the keys
**             that are expected when the first of them have come:
**                 b = 12, and fences
**                 b < 12, and fences         as many as fit; FILTER_BITS_FENCED at least
**                 b <= 12, no fences         a filter spares reads of pages, fences only the way to them
**                 b = FILTER_BITS_MIN        for as many keys as there is room for
**             When more keys come than were expected the filter grows by parts, in three quarters of the limit;
**             then fences go, then all parts are folded into half their bits, then the filter goes.
** INVARIANTS  (I1) draft.offsets[draft.count] is the end of draft.bytes, or that of the separator whose page is
**             still open; `page_open` tells them apart.
**             (I2) filter_bytes + fence_bytes <= limit, but while a part is folded.
** ERRORS      What cannot be kept is given up alone: the filter without the fences, fences without the filter.
** COST        A hash and a copy of at most LAST_KEY_MAX bytes per record; memory grows by doubling, or in
**             parts and chunks.
*/
#include "base/memory.h"
#include "store/store_internal.h"

#define LAST_KEY_MAX 128u         /* bytes kept of the key before */
#define SEPARATOR_MAX 1024u       /* a longer separator: no fences */
#define FILTER_PENDING_MAX 16384u
#define FILTER_PART_KEYS_MAX (UINT32_C(1) << 26)
#define FILTER_BITS_FENCED 8u     /* rather no fences than fewer */
#define FILTER_PART_BYTES 4096u   /* more than a part takes beyond its bits */
#define FILTER_DELAY 16u          /* bits are set so many keys later, when their line has been fetched */

struct run_builder {
    struct store *store; /* held */
    uint64_t expected_keys;
    uint64_t key_count;
    bool filtering;
    bool fencing;
    bool user_ended;     /* a system record has come */
    bool translated;
    size_t limit;        /* of filter_bytes + fence_bytes */

    /* Filter. Before the first part: all hashes in `pending`. Then: the last FILTER_DELAY of them in `delayed`. */
    uint64_t *pending;
    uint32_t pending_count;
    uint32_t pending_capacity;
    uint32_t part_count;
    uint32_t part_capacity;
    struct filter_part **parts;
    size_t filter_bytes;     /* of the parts */
    uint32_t bits_per_key;
    uint64_t part_keys;      /* in the last part */
    uint64_t part_keys_max;
    uint64_t delayed[FILTER_DELAY];
    uint32_t delayed_count;  /* grows for ever; the slot is its remainder */

    /* Fences. */
    struct fence_draft draft;
    bool page_open;
    uint32_t chunk_count;
    uint32_t chunk_capacity;
    struct fence_chunk **chunks;
    size_t fence_bytes;      /* of the chunks */
    uint8_t last_key[LAST_KEY_MAX];
    uint32_t last_key_size;
    bool last_key_cut;
    bool any_record;

    struct range_list ranges;
};

/* ------------------------------------------------------------------------------- life cycle -- */

struct run_builder *run_builder_new(struct store *store, uint64_t expected_keys) {
    struct run_builder *builder;
    size_t offsets_size = (FENCE_CHUNK_ENTRIES + 1) * sizeof(uint32_t);

    if (store == NULL || store_budget(store) == 0) return NULL;
    builder = store_allocate(store, sizeof *builder);
    if (builder == NULL) return NULL;
    *builder = (struct run_builder){.store = store, .expected_keys = expected_keys,
                                    .filtering = true, .fencing = true,
                                    .limit = store_run_limit(store),
                                    .bits_per_key = FILTER_BITS_PER_KEY};
    store_hold(store);
    buffer_init(&builder->draft.bytes, store->env);
    range_list_init(&builder->ranges, store->env);
    builder->draft.offsets = store_allocate(store, offsets_size);
    builder->draft.pages = store_allocate(store, FENCE_CHUNK_ENTRIES * sizeof(uint64_t));
    if (builder->draft.offsets == NULL || builder->draft.pages == NULL) {
        run_builder_free(builder);
        return NULL;
    }
    builder->draft.offsets[0] = 0;
    return builder;
}

static void drop_filter(struct run_builder *builder) {
    struct store *store = builder->store;
    uint32_t i;

    builder->filtering = false;
    for (i = 0; i < builder->part_count; i++) filter_part_release(store, builder->parts[i]);
    store_deallocate(store, builder->parts, builder->part_capacity * sizeof *builder->parts);
    store_deallocate(store, builder->pending, builder->pending_capacity * sizeof(uint64_t));
    builder->filter_bytes = 0;
    builder->parts = NULL;
    builder->part_count = builder->part_capacity = 0;
    builder->pending = NULL;
    builder->pending_count = builder->pending_capacity = 0;
}

static void drop_fences(struct run_builder *builder) {
    struct store *store = builder->store;
    uint32_t i;

    builder->fencing = false;
    for (i = 0; i < builder->chunk_count; i++) fence_chunk_release(store, builder->chunks[i]);
    store_deallocate(store, builder->chunks, builder->chunk_capacity * sizeof *builder->chunks);
    store_deallocate(store, builder->draft.offsets,
                     builder->draft.offsets ? (FENCE_CHUNK_ENTRIES + 1) * sizeof(uint32_t) : 0);
    store_deallocate(store, builder->draft.pages,
                     builder->draft.pages ? FENCE_CHUNK_ENTRIES * sizeof(uint64_t) : 0);
    buffer_release(&builder->draft.bytes);
    builder->fence_bytes = 0;
    builder->chunks = NULL;
    builder->chunk_count = builder->chunk_capacity = 0;
    builder->draft = (struct fence_draft){0};
}

void run_builder_free(struct run_builder *builder) {
    struct store *store;

    if (builder == NULL) return;
    store = builder->store;
    drop_filter(builder);
    drop_fences(builder);
    range_list_release(&builder->ranges);
    store_deallocate(store, builder, sizeof *builder);
    store_release(store);
}

void run_builder_set_translated(struct run_builder *builder) {
    builder->translated = true;
}

void run_builder_set_limit(struct run_builder *builder, size_t bytes) {
    assert(builder->key_count == 0);
    if (bytes < builder->limit) builder->limit = bytes;
}

void run_builder_expect(struct run_builder *builder, uint64_t keys) {
    if (builder->part_count == 0) builder->expected_keys = keys;
}

uint64_t run_builder_keys(const struct run_builder *builder) {
    return builder->key_count;
}

size_t run_builder_bytes(const struct run_builder *builder) {
    return builder->filter_bytes + builder->fence_bytes;
}

bool run_builder_is_spent(const struct run_builder *builder) {
    return !builder->filtering && !builder->fencing;
}

/* An array with room for one more item, counted against the budget; NULL (and the old one unchanged) without
** memory. */
static void *grown(struct store *store, void *items, uint32_t count, uint32_t *capacity,
                   size_t item_size) {
    uint32_t larger = *capacity ? *capacity * 2 : 4;
    void *moved;

    if (count < *capacity) return items;
    moved = store_allocate(store, larger * item_size);
    if (moved == NULL) return NULL;
    if (count > 0) memcpy(moved, items, count * item_size);
    store_deallocate(store, items, *capacity * item_size);
    *capacity = larger;
    return moved;
}

/* ------------------------------------------------------------------------------- the filter -- */

static void settle_delayed(struct run_builder *builder) {
    uint32_t count = builder->delayed_count < FILTER_DELAY ? builder->delayed_count : FILTER_DELAY;
    uint32_t i;

    if (builder->part_count > 0) {
        for (i = 0; i < count; i++) {
            filter_part_add(builder->parts[builder->part_count - 1], builder->delayed[i]);
        }
    }
    builder->delayed_count = 0;
}

/* Bits that the filter may still take. */
static uint64_t filter_room(const struct run_builder *builder) {
    size_t share = builder->fencing ? builder->limit - builder->limit / 4 : builder->limit;
    size_t used = builder->filter_bytes + FILTER_PART_BYTES;
    return used < share ? (uint64_t)(share - used) * 8 : 0;
}

/* The part in half the memory; those who read the old one go on with it. */
static bool fold_part(struct run_builder *builder, uint32_t index) {
    struct filter_part *half = filter_part_fold(builder->store, builder->parts[index]);

    if (half == NULL) return false;
    builder->filter_bytes -= builder->parts[index]->bytes - half->bytes;
    filter_part_release(builder->store, builder->parts[index]);
    builder->parts[index] = half;
    return true;
}

/* From now on keys have half the bits, and those that came, too. */
static bool fold_parts(struct run_builder *builder) {
    uint32_t i;

    if (builder->bits_per_key / 2 < FILTER_BITS_MIN) return false;
    settle_delayed(builder);
    for (i = 0; i < builder->part_count; i++) {
        if (!fold_part(builder, i)) return false;
    }
    builder->bits_per_key /= 2;
    return true;
}

/* What fences of a run of so many keys will take, from those there are, and an eighth for the sake of caution. */
static size_t guess_fences(const struct run_builder *builder, uint64_t keys) {
    double bytes = (double)builder->fence_bytes + (double)fence_draft_bytes(&builder->draft);
    double guess = bytes * 1.125 * (double)keys / (double)(builder->key_count + 1);

    return guess < (double)builder->limit ? (size_t)guess : builder->limit;
}

/* How many keys the first part can be for: with fewer bits for each, and without fences, if need be. */
static uint64_t fit_first_part(struct run_builder *builder, uint64_t keys) {
    size_t fences = builder->fencing ? guess_fences(builder, keys) + FILTER_PART_BYTES : 0;
    uint64_t room = fences < builder->limit ? (uint64_t)(builder->limit - fences) * 8 : 0;

    if (fences > 0 && room / FILTER_BITS_FENCED < keys) {
        drop_fences(builder);
        room = filter_room(builder);
    }
    if (keys > 0 && room / keys < FILTER_BITS_PER_KEY) {
        builder->bits_per_key = (uint32_t)(room / keys);
        if (builder->bits_per_key < FILTER_BITS_MIN) builder->bits_per_key = FILTER_BITS_MIN;
    }
    room /= builder->bits_per_key;
    return keys < room ? keys : room;
}

/* And one that follows: room is made for it. 0 = there is none. */
static uint64_t fit_next_part(struct run_builder *builder, uint64_t keys) {
    uint64_t room = filter_room(builder) / builder->bits_per_key;

    while (room < keys && room < builder->part_keys_max / 4) {
        if (builder->fencing) drop_fences(builder);
        else if (!fold_parts(builder)) return 0;
        room = filter_room(builder) / builder->bits_per_key;
    }
    return keys < room ? keys : room;
}

/* A part for the key `low` and those behind it. */
static bool begin_part(struct run_builder *builder, struct slice low, uint64_t key_capacity) {
    bool first = builder->part_count == 0;
    struct filter_part **parts;
    struct filter_part *part;

    settle_delayed(builder);
    if (key_capacity > FILTER_PART_KEYS_MAX) key_capacity = FILTER_PART_KEYS_MAX;
    key_capacity = first ? fit_first_part(builder, key_capacity)
                         : fit_next_part(builder, key_capacity);
    if (key_capacity < builder->pending_count || (!first && key_capacity == 0)) return false;
    parts = grown(builder->store, builder->parts, builder->part_count, &builder->part_capacity,
                  sizeof *parts);
    if (parts == NULL) return false;
    builder->parts = parts;
    part = filter_part_new(builder->store, low, key_capacity, builder->bits_per_key);
    if (part == NULL) return false;
    builder->parts[builder->part_count++] = part;
    builder->filter_bytes += part->bytes;
    if (builder->filter_bytes + builder->fence_bytes > builder->limit) drop_fences(builder);
    builder->part_keys = 0;
    builder->part_keys_max = key_capacity;
    return true;
}

/* The first part, which takes the hashes that waited. */
static bool begin_first_part(struct run_builder *builder, uint64_t key_capacity) {
    uint32_t i;

    if (!begin_part(builder, (struct slice){NULL, 0}, key_capacity)) return false;
    for (i = 0; i < builder->pending_count; i++) {
        filter_part_add(builder->parts[0], builder->pending[i]);
    }
    builder->part_keys = builder->pending_count;
    store_deallocate(builder->store, builder->pending,
                     builder->pending_capacity * sizeof(uint64_t));
    builder->pending = NULL;
    builder->pending_count = builder->pending_capacity = 0;
    return true;
}

static uint64_t first_part_capacity(const struct run_builder *builder) {
    uint64_t twice = 2 * (uint64_t)builder->pending_count;
    return builder->expected_keys > twice ? builder->expected_keys : twice;
}

/* As many hashes wait as are good for guessing, or as the limit allows while their array is copied to one of twice
** the size. */
static bool pending_is_full(const struct run_builder *builder) {
    return builder->pending_count == FILTER_PENDING_MAX ||
           (builder->pending_count == builder->pending_capacity &&
            3 * sizeof(uint64_t) * builder->pending_count > builder->limit / 4);
}

/* Keep the hash until the first part is made. */
static bool add_pending(struct run_builder *builder, uint64_t hash) {
    uint64_t *pending;

    if (pending_is_full(builder)) {
        if (!begin_first_part(builder, first_part_capacity(builder))) return false;
        filter_part_add(builder->parts[0], hash);
        builder->part_keys++;
        return true;
    }
    pending = grown(builder->store, builder->pending, builder->pending_count,
                    &builder->pending_capacity, sizeof *pending);
    if (pending == NULL) return false;
    builder->pending = pending;
    builder->pending[builder->pending_count++] = hash;
    return true;
}

static bool add_key(struct run_builder *builder, struct slice key) {
    uint64_t hash = store_hash(key);
    struct filter_part *part;
    uint32_t slot;

    builder->key_count++;
    if (builder->part_count == 0) return add_pending(builder, hash);
    if (builder->part_keys == builder->part_keys_max) {
        /* A part begins with a key that is kept: not too long a one. */
        if (key.size > SEPARATOR_MAX || !begin_part(builder, key, 2 * builder->part_keys_max)) {
            return false;
        }
    }
    part = builder->parts[builder->part_count - 1];
    LSM_PREFETCH(&part->words[filter_block(part->block_count, hash)]);
    slot = builder->delayed_count % FILTER_DELAY;
    if (builder->delayed_count >= FILTER_DELAY) filter_part_add(part, builder->delayed[slot]);
    builder->delayed[slot] = hash;
    builder->delayed_count = builder->delayed_count == 2 * FILTER_DELAY - 1
                                 ? FILTER_DELAY
                                 : builder->delayed_count + 1;
    builder->part_keys++;
    return true;
}

/* ------------------------------------------------------------------------------- the fences -- */

/* The draft is full: make a chunk of it. */
static bool seal_draft(struct run_builder *builder) {
    struct fence_chunk **chunks;
    struct fence_chunk *chunk;

    chunks = grown(builder->store, builder->chunks, builder->chunk_count, &builder->chunk_capacity,
                   sizeof *chunks);
    if (chunks == NULL) return false;
    builder->chunks = chunks;
    chunk = fence_chunk_new(builder->store, &builder->draft);
    if (chunk == NULL) return false;
    builder->chunks[builder->chunk_count++] = chunk;
    builder->fence_bytes += chunk->bytes;
    if (builder->filter_bytes + builder->fence_bytes > builder->limit) return false;
    builder->draft.count = 0;
    buffer_reset(&builder->draft.bytes);
    return true;
}

/* `key` begins a page: the shortest front of it that is greater than the key before. */
static bool begin_fence(struct run_builder *builder, struct slice key) {
    struct fence_draft *draft = &builder->draft;
    struct slice before = {builder->last_key, builder->last_key_size};
    struct slice separator = {key.data, 0};

    if (builder->page_open) return false; /* a page without a number: not told right */
    if (draft->count == FENCE_CHUNK_ENTRIES && !seal_draft(builder)) return false;
    if (builder->any_record) {
        uint32_t common = common_size(before, key);
        separator.size = common < key.size ? common + 1 : common;
        if (builder->last_key_cut && common == before.size) separator.size = key.size;
    }
    if (separator.size > SEPARATOR_MAX) return false;
    if (draft->count > 0 &&
        key_compare(separator, fence_draft_separator(draft, draft->count - 1)) <= 0) {
        return false; /* a damaged run: its keys do not ascend */
    }
    buffer_append_slice(&draft->bytes, separator);
    if (draft->bytes.rc != LSM_OK) return false;
    draft->offsets[draft->count + 1] = (uint32_t)draft->bytes.size;
    builder->page_open = true;
    return true;
}

static void end_fence(void *context, uint64_t page_no) {
    struct run_builder *builder = context;
    struct fence_draft *draft = &builder->draft;

    if (!builder->page_open) return;
    builder->page_open = false;
    if (builder->fencing) draft->pages[draft->count++] = page_no;
}

/* -------------------------------------------------------------------------------- listening -- */

static void hear_record(void *context, uint8_t flags, struct slice key, bool begins_page) {
    struct run_builder *builder = context;

    if (flags & RECORD_SYSTEM) builder->user_ended = true;
    if (builder->user_ended) return; /* point reads are about user keys */
    if (begins_page && builder->fencing && !begin_fence(builder, key)) drop_fences(builder);
    if (builder->filtering) {
        if ((flags & (RECORD_INSERT | RECORD_POINT_DELETE)) && !add_key(builder, key)) {
            drop_filter(builder);
        }
        if (flags & (RECORD_START_DELETE | RECORD_END_DELETE)) {
            range_list_add(&builder->ranges, flags, key);
            if (builder->ranges.overflow) drop_filter(builder);
        }
    }
    if (builder->fencing) {
        builder->last_key_cut = key.size > LAST_KEY_MAX;
        builder->last_key_size = builder->last_key_cut ? LAST_KEY_MAX : key.size;
        if (key.size > 0) memcpy(builder->last_key, key.data, builder->last_key_size);
        builder->any_record = true;
    }
}

struct segment_observer run_builder_observer(struct run_builder *builder) {
    return (struct segment_observer){builder, hear_record, end_fence};
}

/* ---------------------------------------------------------------------------- taking notes -- */

/* The last part may have been made for many more keys than came: half of it is enough as long as they have more than
** twice the bits. */
static void fold_last_part(struct run_builder *builder) {
    uint32_t last = builder->part_count - 1;

    while (filter_part_is_above(builder->parts[last], builder->part_keys,
                                2 * FILTER_BITS_PER_KEY)) {
        if (!fold_part(builder, last)) break;
    }
}

/* Filter of what came so far, ready to be shared. */
static bool settle_filter(struct run_builder *builder, bool last) {
    if (builder->part_count == 0) {
        uint64_t capacity = last ? builder->pending_count : first_part_capacity(builder);
        if (!begin_first_part(builder, capacity)) return false;
    }
    settle_delayed(builder);
    if (last) fold_last_part(builder);
    return true;
}

struct run_notes *run_builder_notes(struct run_builder *builder, bool last) {
    struct store *store = builder->store;
    struct fence_chunk *tail = NULL;
    struct range_copy ranges = {0};
    struct run_notes *notes;
    uint64_t *windows;
    uint32_t chunk_count;
    uint32_t i;
    size_t bytes;

    if (builder->page_open && builder->fencing) drop_fences(builder);
    if (builder->filtering && !settle_filter(builder, last)) drop_filter(builder);
    if (builder->filtering && !range_copy_make(store, &builder->ranges, &ranges)) {
        drop_filter(builder);
    }
    if (builder->fencing && builder->draft.count > 0) {
        tail = fence_chunk_new(store, &builder->draft);
        if (tail == NULL) drop_fences(builder);
    }
    chunk_count = builder->chunk_count + (tail ? 1 : 0);
    if (builder->part_count == 0 && chunk_count == 0) return NULL;

    bytes = sizeof *notes + builder->part_count * sizeof *notes->parts +
            chunk_count * (sizeof *notes->chunks + sizeof *windows);
    notes = store_allocate(store, bytes);
    if (notes == NULL) {
        fence_chunk_release(store, tail);
        range_copy_release(store, &ranges);
        return NULL;
    }
    windows = (uint64_t *)(void *)(notes + 1);
    *notes = (struct run_notes){
        .store = store,
        .bytes = bytes,
        .key_count = builder->key_count,
        .movable = !builder->translated,
        .part_count = builder->part_count,
        .chunk_windows = windows,
        .chunk_count = chunk_count,
        .ranges = ranges,
    };
    atomic_init(&notes->references, 1);
    atomic_init(&notes->used, true);
    store_hold(store);
    notes->parts = (struct filter_part **)(void *)(windows + chunk_count);
    notes->chunks = (struct fence_chunk **)(void *)(notes->parts + builder->part_count);
    for (i = 0; i < builder->part_count; i++) {
        notes->parts[i] = builder->parts[i];
        filter_part_hold(notes->parts[i]);
    }
    for (i = 0; i < builder->chunk_count; i++) {
        notes->chunks[i] = builder->chunks[i];
        fence_chunk_hold(notes->chunks[i]);
    }
    if (tail) notes->chunks[i] = tail;
    for (i = 0; i < chunk_count; i++) {
        windows[i] = key_window(notes->chunks[i]->low.data, notes->chunks[i]->low.size);
    }
    return notes;
}
