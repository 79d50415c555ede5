/*
** store_internal.h — what the files of this room share.
**
**     store.c          the runs of the newest snapshot and their notes
**     store_batch.c    notes on the way into a snapshot
**     store_visit.c    notes made by reads
**     store_builder.c  from a stream of records to notes
**     store_notes.c    questions to notes
**     store_filter.c   is a key there?          store_fence.c    on which page?
**     store_range.c    is it hidden?            store_budget.c   how much memory
*/
#ifndef LSM_STORE_INTERNAL_H
#define LSM_STORE_INTERNAL_H

#include <stdatomic.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "store/store.h"

/* First 8 bytes of a key, big-endian, zeros behind a shorter one: orders nearly all keys. */
static inline uint64_t key_window(const uint8_t *data, uint32_t size) {
    uint64_t window = 0;
    uint32_t i;
    if (LSM_LIKELY(size >= 8)) return get_u64(data);
    for (i = 0; i < size; i++) window |= (uint64_t)data[i] << (56 - 8 * i);
    return window;
}

/* Bytes that two keys have in common at their front. */
static inline uint32_t common_size(struct slice a, struct slice b) {
    uint32_t limit = a.size < b.size ? a.size : b.size;
    uint32_t i = 0;
    while (i < limit && a.data[i] == b.data[i]) i++;
    return i;
}

void store_hold(struct store *store);
void store_release(struct store *store); /* frees it with the last reference */

/* ---------------------------------------------------------------------------- store_budget.c -- */

/* Memory that counts against the budget. NULL: none, or the hard limit (twice the budget) is reached. */
LSM_MUST_USE void *store_allocate(struct store *store, size_t size);
void store_deallocate(struct store *store, void *block, size_t size);
void store_charge(struct store *store, size_t size);
void store_discharge(struct store *store, size_t size);
/* What notes of one run may take. */
size_t store_run_limit(const struct store *store);
/* Drop notes that were not used lately until the budget holds. Requires store.mutex. */
void store_evict(struct store *store);

/* ---------------------------------------------------------------------------- store_filter.c -- */

#define FILTER_BITS_PER_KEY 12u
#define FILTER_BITS_MIN 4u /* with fewer, most keys that are not there seem to be */

/* Keys from `low` on, up to the next part. */
struct filter_part {
    atomic_uint references;
    size_t bytes;
    uint32_t block_count; /* a multiple of 8, of a large part of 64, unless folded */
    uint32_t low_size;
    uint64_t low_window;
    const uint8_t *low;
    _Atomic uint64_t *words;
};

LSM_MUST_USE struct filter_part *filter_part_new(struct store *store, struct slice low,
                                                 uint64_t key_capacity, uint32_t bits_per_key);
void filter_part_hold(struct filter_part *part);
void filter_part_release(struct store *store, struct filter_part *part);
/* One thread at a time; readers may be there. */
void filter_part_add(struct filter_part *part, uint64_t hash);
/* The same filter in half the memory, for a part that holds few keys or has to be smaller: NULL if it cannot be
** halved. */
struct filter_part *filter_part_fold(struct store *store, const struct filter_part *part);
/* Has it more bits than this for each of so many keys? */
static inline bool filter_part_is_above(const struct filter_part *part, uint64_t keys,
                                        uint32_t bits_per_key) {
    return (uint64_t)part->block_count * FILTER_BLOCK_WORDS * 64 > keys * bits_per_key;
}

/* Which of the parts, ordered by `low`, is the one for a key. */
uint32_t filter_choose(struct filter_part *const *parts, uint32_t count, struct slice key);

/* ----------------------------------------------------------------------------- store_fence.c -- */

#define FENCE_CHUNK_ENTRIES 1024u

/* Fences that follow each other, ready for searching. Never changes. */
struct fence_chunk {
    atomic_uint references;
    size_t bytes;
    uint32_t count;
    uint32_t skip;              /* all separators but the first begin with `prefix` of this size */
    double slope;               /* of a straight line through the windows; see entry_above */
    const uint64_t *windows;    /* of each separator, behind the prefix */
    uint64_t page_low;          /* the smallest page number */
    const uint32_t *page_steps; /* beyond it; NULL: they are too large */
    const uint64_t *pages;      /* then these are the numbers */
    const uint8_t *sizes;       /* of the tails, which are in the windows; NULL: one is too long */
    const uint32_t *offsets;    /* then tail i is bytes [offsets[i], offsets[i + 1]) of `tails` */
    const uint8_t *tails;       /* separators without the prefix; the first is empty */
    const uint8_t *prefix;
    struct slice low;           /* the first separator, whole */
};

static inline uint64_t fence_chunk_page(const struct fence_chunk *chunk, uint32_t entry) {
    return LSM_LIKELY(chunk->page_steps != NULL) ? chunk->page_low + chunk->page_steps[entry]
                                                 : chunk->pages[entry];
}

/* Fences under construction: separator i is bytes [offsets[i], offsets[i + 1]) of `bytes`. */
struct fence_draft {
    uint32_t count;
    struct buffer bytes;
    uint32_t *offsets; /* FENCE_CHUNK_ENTRIES + 1 */
    uint64_t *pages;   /* FENCE_CHUNK_ENTRIES */
};

static inline struct slice fence_draft_separator(const struct fence_draft *draft, uint32_t index) {
    static const uint8_t empty; /* while all are empty there is no memory to point into */
    uint32_t size = draft->offsets[index + 1] - draft->offsets[index];
    return (struct slice){size ? draft->bytes.data + draft->offsets[index] : &empty, size};
}

/* What the chunk of a draft takes. */
size_t fence_draft_bytes(const struct fence_draft *draft);
LSM_MUST_USE struct fence_chunk *fence_chunk_new(struct store *store,
                                                 const struct fence_draft *draft);
void fence_chunk_hold(struct fence_chunk *chunk);
void fence_chunk_release(struct store *store, struct fence_chunk *chunk);
/* The last entry whose separator is <= key; the first one if there is none. *position = how far the key is on the
** way to the next separator, in 65536ths; half way if that cannot be told. */
uint32_t fence_chunk_search(const struct fence_chunk *chunk, struct slice key, uint32_t *position);
/* The same over chunks; `windows` are those of their first separators. */
uint32_t fence_choose(struct fence_chunk *const *chunks, const uint64_t *windows, uint32_t count,
                      struct slice key);

/* ----------------------------------------------------------------------------- store_range.c -- */

#define RANGES_MAX 256u
#define RANGE_BYTES_MAX 16384u

/* Open intervals of keys, ascending, apart from each other but perhaps for one key in between. */
struct range_list {
    uint32_t count;
    bool open;             /* the last one has no end yet */
    bool overflow;         /* too many: the list is worthless */
    struct buffer bytes;   /* low and high of each, one behind the other; the first low may be "" = all */
    uint32_t offsets[2 * RANGES_MAX + 1];
    bool from_start;       /* the first interval has no lower end */
};
void range_list_init(struct range_list *list, lsm_env *env);
void range_list_release(struct range_list *list);
/* The next record of the run. */
void range_list_add(struct range_list *list, uint8_t flags, struct slice key);

/* A copy for reading. */
struct range_copy {
    uint32_t count;
    bool from_start;
    bool open;
    size_t bytes;             /* of the block at `offsets` */
    const uint32_t *offsets;
    const uint8_t *data;
};
LSM_MUST_USE bool range_copy_make(struct store *store, const struct range_list *list,
                                  struct range_copy *out);
/* Another one of the same content. */
LSM_MUST_USE bool range_copy_again(struct store *store, const struct range_copy *ranges,
                                   struct range_copy *out);
void range_copy_release(struct store *store, struct range_copy *copy);
/* May the key lie inside an interval? (Its ends do not.) */
bool range_copy_covers(const struct range_copy *ranges, struct slice key);

/* ---------------------------------------------------------------------------------- store.c -- */

struct run_notes {
    atomic_uint references;
    atomic_bool used;           /* since the clock passed */
    struct store *store;        /* held */
    size_t bytes;               /* of this block */
    uint64_t key_count;
    bool movable;               /* page numbers are as written: they stay good when blocks move */
    uint32_t part_count;        /* 0 = no filter */
    struct filter_part **parts;
    uint32_t chunk_count;       /* 0 = no fences */
    struct fence_chunk **chunks;
    const uint64_t *chunk_windows; /* of the first separators */
    struct range_copy ranges;
};

/* A run of the newest snapshot. */
struct store_entry {
    struct segment run;
    int64_t born;                /* first seen in this snapshot */
    struct run_notes *notes;
    struct run_builder *writing; /* of an output that will go on */
    struct run_builder *reading; /* notes being made by visits */
    uint64_t next_page;
    uint64_t steps_left;
    bool busy;                   /* `reading` is with a visitor */
    bool hopeless;
};

struct store {
    lsm_env *env;
    lsm_mutex *mutex;
    atomic_uint references;
    atomic_size_t bytes;
    atomic_size_t budget;
    /* Guarded by `mutex`. */
    int64_t newest_id;
    uint32_t entry_count;
    uint32_t entry_capacity;
    struct store_entry *entries;
    uint32_t hand;               /* of the clock */
};

static inline bool same_run(const struct segment *a, const struct segment *b) {
    return a->first == b->first && a->last == b->last && a->size == b->size;
}
/* Requires store.mutex; NULL if there is no such entry. */
struct store_entry *store_entry_find(struct store *store, const struct segment *run,
                                     int64_t snapshot_id);
/* A new entry, all zero but for run and born; NULL without memory. Requires store.mutex. */
struct store_entry *store_entry_add(struct store *store, const struct segment *run, int64_t born);
void store_entry_clear(struct store_entry *entry);

struct store_batch_item {
    struct segment run;
    struct run_notes *notes;
    struct run_builder *builder; /* of an output that will go on */
};

/* Page numbers told to the builder are translated ones. */
void run_builder_set_translated(struct run_builder *builder);
/* Its notes shall take no more than `bytes`. To be called before the first record. */
void run_builder_set_limit(struct run_builder *builder, size_t bytes);
/* A better guess than that it was made with; too late once the filter has been begun. */
void run_builder_expect(struct run_builder *builder, uint64_t keys);
/* Keys told so far. */
uint64_t run_builder_keys(const struct run_builder *builder);
/* Of its parts and chunks. */
size_t run_builder_bytes(const struct run_builder *builder);
/* Neither filter nor fences are left to make. */
bool run_builder_is_spent(const struct run_builder *builder);

/* ---------------------------------------------------------------------------- store_notes.c -- */

/* The filter alone, for when the fences have to go: NULL if there is none, or no memory. */
struct run_notes *run_notes_unfenced(const struct run_notes *notes);
size_t run_notes_fence_bytes(const struct run_notes *notes);

#endif
