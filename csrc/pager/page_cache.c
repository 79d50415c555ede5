/*
** page_cache.c — images of pages that are not mapped: a bounded cache with counted references.
**
** The cache is cut into shards by page number; each has a hash table, a mutex, and its frames in a ring. When
** a shard is full, a hand goes around the ring ("clock"): a frame used since the hand last came by is
** spared once, a borrowed one always, and the first other one is filled anew. If all are borrowed the
** shard grows beyond its bound and shrinks when they come back.
**
** INVARIANTS  (I1) A frame in the ring is in the hash table, and the reverse.
**             (I2) A frame outside the ring is borrowed; the last page_cache_put frees it.
**             (I3) No file access happens under a mutex: a frame is filled while only its reader knows it.
**             (I4) A frame read before pages were dropped never enters the ring after it: the number of drops
**                  ("generation") at the time of the miss is compared. So an image that was read while
**                  the page was being replaced is seen by that one reader only.
** OWNERSHIP   find, take and add give a borrowed frame; put gives it back.
** LOCKING     One mutex per shard, never two at a time.
** COST        A hit: one mutex, one hash chain, no allocation. A miss in a full cache allocates nothing.
*/
#include "pager/pager_internal.h"

#include "base/memory.h"

#define FRAMES_MIN 4u /* per shard: a b-tree path and a little more */

static struct page_shard *cache_shard(struct page_cache *cache, uint64_t page_no, uint32_t *bucket) {
    uint64_t mixed = page_no * 0x9e3779b97f4a7c15u;

    mixed ^= mixed >> 32;
    *bucket = (uint32_t)(mixed / PAGE_CACHE_SHARDS) & (cache->bucket_count - 1);
    return &cache->shards[mixed % PAGE_CACHE_SHARDS];
}

static void ring_insert(struct page_shard *shard, struct page_frame *frame) {
    if (shard->hand == NULL) {
        frame->ring_next = frame->ring_prev = frame;
        shard->hand = frame;
    } else { /* behind the hand: the last place it comes to */
        frame->ring_next = shard->hand;
        frame->ring_prev = shard->hand->ring_prev;
        frame->ring_prev->ring_next = frame;
        shard->hand->ring_prev = frame;
    }
    shard->frame_count++;
}

static void ring_remove(struct page_shard *shard, struct page_frame *frame) {
    if (frame->ring_next == frame) {
        shard->hand = NULL;
    } else {
        frame->ring_next->ring_prev = frame->ring_prev;
        frame->ring_prev->ring_next = frame->ring_next;
        if (shard->hand == frame) shard->hand = frame->ring_next;
    }
    frame->ring_next = frame->ring_prev = NULL;
    shard->frame_count--;
}

static struct page_frame *hash_find(const struct page_shard *shard, uint32_t bucket,
                                    uint64_t page_no) {
    struct page_frame *frame = shard->buckets[bucket];

    while (frame && frame->page_no != page_no) frame = frame->hash_next;
    return frame;
}

static void hash_remove(struct page_shard *shard, uint32_t bucket, const struct page_frame *frame) {
    struct page_frame **link = &shard->buckets[bucket];

    while (*link != frame) link = &(*link)->hash_next;
    *link = frame->hash_next;
}

/* Take a frame out of the shard. It is freed unless somebody has borrowed it. */
static void shard_forget(struct page_cache *cache, struct page_shard *shard, uint32_t bucket,
                         struct page_frame *frame) {
    hash_remove(shard, bucket, frame);
    ring_remove(shard, frame);
    if (frame->references == 0) memory_free(cache->env, frame);
}

int page_cache_init(struct page_cache *cache, lsm_env *env, size_t bytes_max) {
    int rc = LSM_OK;

    *cache = (struct page_cache){.env = env, .bytes_max = bytes_max};
    for (uint32_t i = 0; i < PAGE_CACHE_SHARDS && rc == LSM_OK; i++) {
        rc = os_mutex_new(env, &cache->shards[i].mutex);
    }
    return rc; /* after a failure page_cache_release frees what there is */
}

/* Forget all frames of a shard. */
static void shard_empty(struct page_cache *cache, struct page_shard *shard) {
    while (shard->hand) {
        struct page_frame *frame = shard->hand;
        uint32_t bucket;
        (void)cache_shard(cache, frame->page_no, &bucket);
        shard_forget(cache, shard, bucket, frame);
    }
    shard->generation++;
}

void page_cache_release(struct page_cache *cache) {
    if (cache->env == NULL) return;
    for (uint32_t i = 0; i < PAGE_CACHE_SHARDS; i++) {
        struct page_shard *shard = &cache->shards[i];
        if (shard->buckets) shard_empty(cache, shard);
        memory_free(cache->env, shard->buckets);
        os_mutex_free(cache->env, shard->mutex);
    }
    *cache = (struct page_cache){0};
}

int page_cache_set_page_size(struct page_cache *cache, uint32_t page_size) {
    struct page_frame **buckets[PAGE_CACHE_SHARDS] = {NULL};
    size_t frame_size = sizeof(struct page_frame) + page_size;
    size_t frames_max = cache->bytes_max / frame_size / PAGE_CACHE_SHARDS;
    uint32_t bucket_count = 1;
    int rc = LSM_OK;

    if (cache->page_size == page_size) return LSM_OK;
    if (frames_max < FRAMES_MIN) frames_max = FRAMES_MIN;
    if (frames_max > UINT32_MAX / 4) frames_max = UINT32_MAX / 4;
    while (bucket_count < frames_max) bucket_count *= 2;

    for (uint32_t i = 0; i < PAGE_CACHE_SHARDS; i++) {
        buckets[i] = memory_allocate_zero(cache->env, bucket_count * sizeof *buckets[i]);
        if (buckets[i] == NULL) {
            rc = LSM_NOMEM;
            goto done;
        }
    }
    for (uint32_t i = 0; i < PAGE_CACHE_SHARDS; i++) {
        struct page_shard *shard = &cache->shards[i];
        struct page_frame **old = shard->buckets;
        if (old) shard_empty(cache, shard);
        shard->buckets = buckets[i];
        buckets[i] = old;
    }
    cache->page_size = page_size;
    cache->frames_max = (uint32_t)frames_max;
    cache->bucket_count = bucket_count;
done:
    for (uint32_t i = 0; i < PAGE_CACHE_SHARDS; i++) memory_free(cache->env, buckets[i]);
    return rc;
}

struct page_frame *page_cache_find(struct page_cache *cache, uint64_t page_no, uint64_t *ticket) {
    uint32_t bucket;
    struct page_shard *shard = cache_shard(cache, page_no, &bucket);
    struct page_frame *frame;

    os_mutex_enter(cache->env, shard->mutex);
    frame = hash_find(shard, bucket, page_no);
    if (frame) {
        frame->references++;
        frame->recently_used = true;
    }
    *ticket = shard->generation;
    os_mutex_leave(cache->env, shard->mutex);
    return frame;
}

/* A frame nobody uses, taken out of a full shard; NULL if the shard may grow, or all are borrowed. */
static struct page_frame *shard_evict(struct page_cache *cache, struct page_shard *shard) {
    if (shard->frame_count < cache->frames_max) return NULL;
    for (uint64_t steps = 2 * (uint64_t)shard->frame_count; steps > 0; steps--) {
        struct page_frame *frame = shard->hand;
        if (frame->references == 0 && !frame->recently_used) {
            uint32_t bucket;
            (void)cache_shard(cache, frame->page_no, &bucket);
            hash_remove(shard, bucket, frame);
            ring_remove(shard, frame);
            return frame;
        }
        if (frame->references == 0) frame->recently_used = false;
        shard->hand = frame->ring_next;
    }
    return NULL;
}

struct page_frame *page_cache_take(struct page_cache *cache, uint64_t page_no) {
    uint32_t bucket;
    struct page_shard *shard = cache_shard(cache, page_no, &bucket);
    struct page_frame *frame;

    os_mutex_enter(cache->env, shard->mutex);
    frame = shard_evict(cache, shard);
    os_mutex_leave(cache->env, shard->mutex);
    if (frame == NULL) frame = memory_allocate(cache->env, sizeof *frame + cache->page_size);
    if (frame) {
        *frame = (struct page_frame){.page_no = page_no, .references = 1};
        frame->data = (uint8_t *)(frame + 1);
    }
    return frame;
}

struct page_frame *page_cache_add(struct page_cache *cache, struct page_frame *frame,
                                  uint64_t ticket) {
    uint32_t bucket;
    struct page_shard *shard = cache_shard(cache, frame->page_no, &bucket);
    struct page_frame *unused = NULL;
    struct page_frame *present;

    os_mutex_enter(cache->env, shard->mutex);
    present = hash_find(shard, bucket, frame->page_no);
    if (present) {
        present->references++;
        unused = frame;
        frame = present;
    } else if (shard->generation == ticket) {
        frame->hash_next = shard->buckets[bucket];
        shard->buckets[bucket] = frame;
        ring_insert(shard, frame);
    }
    os_mutex_leave(cache->env, shard->mutex);
    memory_free(cache->env, unused);
    return frame;
}

void page_cache_put(struct page_cache *cache, struct page_frame *frame) {
    uint32_t bucket;
    struct page_shard *shard;
    struct page_frame *unused = NULL;

    if (frame == NULL) return;
    shard = cache_shard(cache, frame->page_no, &bucket);
    os_mutex_enter(cache->env, shard->mutex);
    assert(frame->references > 0);
    frame->references--;
    if (frame->references == 0) {
        if (frame->ring_next == NULL) {
            unused = frame;
        } else if (shard->frame_count > cache->frames_max) {
            hash_remove(shard, bucket, frame);
            ring_remove(shard, frame);
            unused = frame;
        }
    }
    os_mutex_leave(cache->env, shard->mutex);
    memory_free(cache->env, unused);
}

static void drop_one(struct page_cache *cache, uint64_t page_no) {
    uint32_t bucket;
    struct page_shard *shard = cache_shard(cache, page_no, &bucket);
    struct page_frame *frame;

    os_mutex_enter(cache->env, shard->mutex);
    shard->generation++;
    frame = hash_find(shard, bucket, page_no);
    if (frame) shard_forget(cache, shard, bucket, frame);
    os_mutex_leave(cache->env, shard->mutex);
}

/* Drop the pages of a shard that lie in [from, to), by looking at each. */
static void drop_in_shard(struct page_cache *cache, struct page_shard *shard, uint64_t from,
                          uint64_t to) {
    struct page_frame *frame;

    os_mutex_enter(cache->env, shard->mutex);
    shard->generation++;
    frame = shard->hand;
    for (uint32_t left = shard->frame_count; left > 0; left--) {
        struct page_frame *next = frame->ring_next;
        if (frame->page_no >= from && frame->page_no < to) {
            uint32_t bucket;
            (void)cache_shard(cache, frame->page_no, &bucket);
            shard_forget(cache, shard, bucket, frame);
        }
        frame = next;
    }
    os_mutex_leave(cache->env, shard->mutex);
}

void page_cache_drop(struct page_cache *cache, uint64_t from, uint64_t to) {
    if (cache->page_size == 0 || from >= to) return;
    if (to - from <= PAGE_CACHE_SHARDS) {
        for (uint64_t page_no = from; page_no < to; page_no++) drop_one(cache, page_no);
    } else {
        for (uint32_t i = 0; i < PAGE_CACHE_SHARDS; i++) {
            drop_in_shard(cache, &cache->shards[i], from, to);
        }
    }
}
