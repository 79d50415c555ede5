/*
** pager_internal.h — what the files of this room share: struct pager and its parts.
**
**     page_map     windows of the file mapped for reading; looked up without a lock     page_mmap.c
**     page_cache   images of pages that are not mapped, bounded, counted references     page_cache.c
**     pager        geometry, limits, counters, and one of each of the above             pager.c
**
** LOCKING     map.mutex: changing the table of windows and the list of retired ones. One mutex per shard of
**             the cache. hook_mutex: around every call of a compression hook, because the hooks come from
**             one connection and may keep state. None of them is held while another is taken.
*/
#ifndef LSM_PAGER_INTERNAL_H
#define LSM_PAGER_INTERNAL_H

#include <stdatomic.h>

#include "format/format_checkpoint.h"
#include "pager/pager.h"

#define META_BYTES (2 * (uint64_t)META_PAGE_SIZE)
#define BLOCK_LINK_SIZE 4u /* link to a neighbouring block, at either end of a block */

/* ------------------------------------------------------------------------- mapped windows -- */

#if UINTPTR_MAX > 0xffffffffu
#define PAGE_MAP_WINDOW_SHIFT 26 /* 64 MiB */
#else
#define PAGE_MAP_WINDOW_SHIFT 23 /* 8 MiB: address space is scarce */
#endif
#define PAGE_MAP_FAN_OUT 1024u

/* Bytes [start, start + size) of the file at `data`. Never changed once it is in the table. */
struct page_window {
    const uint8_t *data;
    uint64_t size;
    struct page_window *next_retired;
};

struct page_window_leaf {
    _Atomic(struct page_window *) windows[PAGE_MAP_FAN_OUT];
};

struct page_map {
    _Atomic(struct page_window_leaf *) leaves[PAGE_MAP_FAN_OUT];
    uint32_t window_shift;
    uint64_t bytes_max;           /* map nothing at or beyond this offset; 0 = map nothing */
    atomic_bool refused;          /* the system refused a mapping: the cache serves from now on */
    atomic_uint readers;          /* pager_reader_enter minus pager_reader_leave */
    _Atomic(struct page_window *) retired; /* replaced, perhaps still read; changed under `mutex` */
    uint32_t retired_count;       /* under `mutex` */
    lsm_mutex *mutex;
};

LSM_MUST_USE int page_map_init(struct page_map *map, lsm_env *env, uint64_t bytes_max);
/* Unmap everything. No reader inside. */
void page_map_clear(struct pager *pager);
void page_map_release(struct pager *pager);
/* Make [offset, offset + size), which lies inside the file and inside one window, readable. NULL when it
** cannot be mapped: not an error, the page cache serves. */
const uint8_t *page_map_extend(struct pager *pager, uint64_t offset, uint32_t size);
/* Unmap what was replaced, if no reader is inside. */
void page_map_free_retired(struct pager *pager);

/* Address of [offset, offset + size) if it is mapped, else NULL. */
static inline const uint8_t *page_map_find(const struct page_map *map, uint64_t offset,
                                           uint32_t size) {
    uint64_t index = offset >> map->window_shift;
    uint64_t within = offset & (((uint64_t)1 << map->window_shift) - 1);
    struct page_window_leaf *leaf;
    struct page_window *window;

    if (LSM_UNLIKELY(index >= (uint64_t)PAGE_MAP_FAN_OUT * PAGE_MAP_FAN_OUT)) return NULL;
    leaf = atomic_load_explicit(&map->leaves[index / PAGE_MAP_FAN_OUT], memory_order_acquire);
    if (LSM_UNLIKELY(leaf == NULL)) return NULL;
    window = atomic_load_explicit(&leaf->windows[index % PAGE_MAP_FAN_OUT], memory_order_acquire);
    if (LSM_UNLIKELY(window == NULL || window->size < within + size)) return NULL;
    return window->data + within;
}

/* Pages from..to-1 of a block of `span` pages that a walk forward at page `at`, the block's first being `begin`, is to
** ask for; see page_ahead.c. */
struct page_range {
    uint64_t from;
    uint64_t to;
};
struct page_range page_ahead_range(uint64_t at, uint64_t begin, uint64_t span, uint64_t unit,
                                   uint64_t steps);

/* ------------------------------------------------------------------------------ page cache -- */

#define PAGE_CACHE_SHARDS 8u

struct page_frame {
    uint64_t page_no;
    uint64_t next;              /* compressed: offset behind the frame; see next_link */
    uint32_t next_link;         /* compressed: 0, or the block, not redirected, that `next` counts from */
    struct page_frame *hash_next;
    struct page_frame *ring_next; /* the clock's ring; NULL = not in the cache */
    struct page_frame *ring_prev;
    uint32_t references;
    bool recently_used;
    uint8_t *data;              /* page_size bytes */
};

struct page_shard {
    lsm_mutex *mutex;
    struct page_frame **buckets; /* bucket_count of the cache */
    struct page_frame *hand;     /* somewhere in the ring; NULL = empty */
    uint32_t frame_count;        /* in the ring */
    uint64_t generation;         /* grows when frames are dropped */
};

struct page_cache {
    lsm_env *env;
    size_t bytes_max;
    uint32_t page_size;          /* 0 = not yet known */
    uint32_t frames_max;         /* per shard */
    uint32_t bucket_count;       /* per shard, a power of two */
    struct page_shard shards[PAGE_CACHE_SHARDS];
};

LSM_MUST_USE int page_cache_init(struct page_cache *cache, lsm_env *env, size_t bytes_max);
void page_cache_release(struct page_cache *cache); /* no frame is borrowed */
/* Nothing happens if it is the size already; else the cache becomes empty. */
LSM_MUST_USE int page_cache_set_page_size(struct page_cache *cache, uint32_t page_size);
/* Borrow a page; NULL if it is not there, then hand `*ticket` to page_cache_add. */
struct page_frame *page_cache_find(struct page_cache *cache, uint64_t page_no, uint64_t *ticket);
/* A borrowed frame to be filled; nobody else sees it. NULL: no memory. */
struct page_frame *page_cache_take(struct page_cache *cache, uint64_t page_no);
/* Show a filled frame to others, unless another thread was faster (then that frame is returned, `frame` is
** given back) or pages were dropped since `ticket` (then it lives until it is given back). */
struct page_frame *page_cache_add(struct page_cache *cache, struct page_frame *frame,
                                  uint64_t ticket);
void page_cache_put(struct page_cache *cache, struct page_frame *frame);
/* Forget pages from..to-1. Borrowed ones live until they are given back. */
void page_cache_drop(struct page_cache *cache, uint64_t from, uint64_t to);

/* ----------------------------------------------------------------------------------- pager -- */

struct pager {
    /* Fixed by pager_open and pager_set_geometry; read without a lock. */
    lsm_env *env;
    struct os_file *file;
    bool compressed;
    uint32_t page_size;
    uint32_t block_size;
    uint32_t page_shift;          /* log2 of page_size */
    uint32_t block_shift;         /* log2 of block_size */
    uint32_t span_shift;          /* log2 of page numbers per block */
    uint64_t first_page;          /* of block 1 */
    uint64_t mmap_bytes;          /* to be mapped, if pages are not compressed */
    lsm_compress compress;        /* guarded by hook_mutex; all zero = not known */
    uint32_t payload_max;         /* compressed: largest image accepted; 0 = hooks never known */
    lsm_mutex *hook_mutex;

    atomic_uint block_limit;
    _Atomic uint64_t file_size;   /* what is known: the file is at least this long */
    _Atomic uint64_t pages_written;
    _Atomic uint64_t pages_read;
    struct page_map map;
    struct page_cache cache;
};

/* Write bytes to the page area: through the environment, in one call; the known size and the block limit
** follow, cached copies of the pages are dropped. Uncompressed: counts the pages. */
LSM_MUST_USE int pager_write_raw(struct pager *pager, uint64_t offset, const void *data, size_t size);
/* Compressed writers count the frames they write. */
void pager_count_written(struct pager *pager, uint64_t page_count);
/* [offset, offset + size) was written: the part of pager_write_raw that follows the writing. */
void pager_note_write(struct pager *pager, uint64_t offset, uint64_t size);
/* Read bytes of the file, zeros behind its end. */
LSM_MUST_USE int pager_read_raw(struct pager *pager, uint64_t offset, void *data, size_t size);
/* Enter before and leave after calling a compression hook. */
void pager_hook_enter(struct pager *pager);
void pager_hook_leave(struct pager *pager);
/* The limit as it is now. */
uint32_t pager_block_limit(const struct pager *pager);

/* Offset in the file of the link from `block_no` to the block before or after it. */
static inline uint64_t pager_prev_link_offset(const struct pager *pager, uint32_t block_no) {
    return block_no == 1 ? META_BYTES : (uint64_t)(block_no - 1) << pager->block_shift;
}
static inline uint64_t pager_next_link_offset(const struct pager *pager, uint32_t block_no) {
    return ((uint64_t)block_no << pager->block_shift) - BLOCK_LINK_SIZE;
}
static inline bool pager_is_block_first(const struct pager *pager, uint64_t page_no) {
    uint64_t within = (page_no - 1) & (((uint64_t)1 << pager->span_shift) - 1);
    return within == 0 || page_no == pager->first_page;
}
static inline bool pager_is_block_last(const struct pager *pager, uint64_t page_no) {
    uint64_t within = (page_no - 1) & (((uint64_t)1 << pager->span_shift) - 1);
    return within == ((uint64_t)1 << pager->span_shift) - 1;
}

/* Follow a link found in a file: translate the block and check that it exists. */
LSM_MUST_USE int pager_resolve_link(const struct pager *pager, const struct redirects *redirects,
                                    uint32_t link, uint64_t page_no, struct error_context *error,
                                    uint32_t *block_no);

/* --- page_compressed.c: the compressed half of the functions of pager.h --- */
LSM_MUST_USE int compressed_get(struct pager *pager, const struct redirects *redirects,
                                uint64_t offset, struct error_context *error, struct page *out);
/* First page frame at or behind byte `offset` (not resolved: it may be the byte behind a block's last);
** 0 when byte `last` is passed (0 = no bound). */
LSM_MUST_USE int compressed_next(struct pager *pager, const struct redirects *redirects,
                                 uint64_t offset, uint64_t last, struct error_context *error,
                                 uint64_t *next);
/* Last page frame that ends before byte `offset`, which begins a frame or follows the last byte. */
LSM_MUST_USE int compressed_prev(struct pager *pager, const struct redirects *redirects,
                                 uint64_t offset, struct error_context *error, uint64_t *prev);
LSM_MUST_USE int compressed_measure(struct pager *pager, const struct redirects *redirects,
                                    const struct segment *segment, struct error_context *error,
                                    uint64_t *size);

#endif
