/*
** pager.c — one database file as pages: geometry, the ways to a page, writing, counters.
**
** Getting an uncompressed page:
**
**     1 mapped                      the address of the bytes; no lock, no call of the system
**     2 behind the end of the file  a page of zeros that all share
**     3 mappable                    map the window it lies in (page_mmap.c), then as 1
**     4 otherwise                   a copy in the page cache, read with xRead
**
** A compressed page is always a decompressed image in the page cache (page_compressed.c).
**
** INVARIANTS  (I1) A page handed out lies on a block in 1..block limit, never on the meta pages.
**             (I2) file_size never exceeds the size of the file, unless others cut it (pager_forget).
**             (I3) A page that crosses the end of the file is never kept: it changes when the file grows.
** OWNERSHIP   pager_get lends; pager_put takes back. See pager.h for how long bytes stay valid.
** LOCKING     Geometry is set before the pager is shared. All else: see pager_internal.h.
** COST        1 is about twenty instructions. 3 happens once for each window and growth of the file.
*/
#include "pager/pager_internal.h"

#include "base/memory.h"

#define COPY_CHUNK_SIZE (1u << 20)

/* ------------------------------------------------------------------------------- life cycle -- */

int pager_open(lsm_env *env, struct os_file *file, const struct pager_config *config,
               struct pager **out) {
    struct pager *pager = memory_allocate_zero(env, sizeof *pager);
    uint64_t file_size = 0;
    int rc;

    if (pager == NULL) return LSM_NOMEM;
    pager->env = env;
    pager->file = file;
    if (config->compress) {
        pager->compressed = true;
        pager->compress = *config->compress;
    }
    pager->mmap_bytes = config->mmap_bytes;
    rc = page_map_init(&pager->map, env, pager->compressed ? 0 : config->mmap_bytes);
    if (rc != LSM_OK) goto done;
    rc = page_cache_init(&pager->cache, env, config->cache_bytes);
    if (rc != LSM_OK) goto done;
    rc = os_mutex_new(env, &pager->hook_mutex);
    if (rc != LSM_OK) goto done;
    rc = os_file_size(file, &file_size);
    if (rc != LSM_OK) goto done;
    atomic_store(&pager->file_size, file_size);
    *out = pager;
    pager = NULL;
done:
    pager_close(pager);
    return rc;
}

void pager_close(struct pager *pager) {
    if (pager == NULL) return;
    page_map_release(pager);
    page_cache_release(&pager->cache);
    os_mutex_free(pager->env, pager->hook_mutex);
    memory_free(pager->env, pager);
}

void pager_set_mmap(struct pager *pager, uint64_t mmap_bytes) {
    pager->mmap_bytes = mmap_bytes;
    if (pager->compressed) mmap_bytes = 0;
    if (mmap_bytes != pager->map.bytes_max) page_map_clear(pager);
    pager->map.bytes_max = mmap_bytes;
    atomic_store(&pager->map.refused, false);
}

void pager_forget(struct pager *pager) {
    page_map_clear(pager);
    page_cache_drop(&pager->cache, 0, UINT64_MAX);
    atomic_store(&pager->file_size, 0);
}

/* --------------------------------------------------------------------------------- geometry -- */

static uint32_t log2_of(uint32_t power_of_two) {
    uint32_t shift = 0;
    while (power_of_two >> shift > 1) shift++;
    return shift;
}

static bool size_is_legal(uint32_t size, uint32_t min, uint32_t max) {
    return size >= min && size <= max && (size & (size - 1)) == 0;
}

/* The largest image that a frame may hold: what the hooks announce, and what fits into a block. */
static uint32_t payload_bound(struct pager *pager, uint32_t page_size, uint32_t block_size) {
    int64_t bound = 0;

    pager_hook_enter(pager);
    if (pager->compress.xBound) {
        bound = pager->compress.xBound(pager->compress.pCtx, (int)page_size);
    }
    pager_hook_leave(pager);
    if (bound < 518) bound = 518;
    if (bound > (1 << 21) - 1) bound = (1 << 21) - 1;
    if (bound > (int64_t)block_size - 2 * (int64_t)BLOCK_LINK_SIZE - 6) {
        bound = (int64_t)block_size - 2 * (int64_t)BLOCK_LINK_SIZE - 6;
    }
    return (uint32_t)bound;
}

static uint32_t pages_per_block_min(bool compressed) {
    return compressed ? 2 : 4;
}

/* What follows from the sizes and from the way pages are stored. */
static void derive_geometry(struct pager *pager) {
    if (pager->page_size == 0) return;
    if (pager->compressed) {
        pager->span_shift = pager->block_shift;
        pager->first_page = META_BYTES + BLOCK_LINK_SIZE;
    } else {
        pager->span_shift = pager->block_shift - pager->page_shift;
        pager->first_page = 1 + (META_BYTES + pager->page_size - 1) / pager->page_size;
    }
}

int pager_set_geometry(struct pager *pager, uint32_t page_size, uint32_t block_size) {
    uint32_t pages_min = pages_per_block_min(pager->compressed);
    int rc;

    if (pager->page_size == page_size && pager->block_size == block_size) return LSM_OK;
    if (!size_is_legal(page_size, PAGE_SIZE_MIN, PAGE_SIZE_MAX) ||
        !size_is_legal(block_size, BLOCK_SIZE_MIN, BLOCK_SIZE_MAX) ||
        block_size / page_size < pages_min) {
        return error_corrupt(NULL, 0, "page size and block size do not fit");
    }
    rc = page_cache_set_page_size(&pager->cache, page_size);
    if (rc != LSM_OK) return rc;
    pager->page_size = page_size;
    pager->block_size = block_size;
    pager->page_shift = log2_of(page_size);
    pager->block_shift = log2_of(block_size);
    derive_geometry(pager);
    if (pager->compress.xBound) pager->payload_max = payload_bound(pager, page_size, block_size);
    return LSM_OK;
}

int pager_set_compression(struct pager *pager, bool compressed, const lsm_compress *hooks) {
    lsm_compress none = {0};
    bool other = false;

    if (pager->compressed != compressed) {
        if (pager->page_size != 0 &&
            pager->block_size / pager->page_size < pages_per_block_min(compressed)) {
            return error_corrupt(NULL, 0, "page size and block size do not fit");
        }
        page_cache_drop(&pager->cache, 0, UINT64_MAX);
        pager->compressed = compressed;
        pager->map.bytes_max = compressed ? 0 : pager->mmap_bytes;
        derive_geometry(pager);
    }
    if (hooks == NULL) hooks = &none;
    pager_hook_enter(pager);
    other = hooks->iId != pager->compress.iId;
    pager->compress = *hooks;
    pager_hook_leave(pager);
    /* Under the same id the bound stays: buffers of its size are in use. */
    if (hooks->xBound && pager->page_size != 0 && (other || pager->payload_max == 0)) {
        uint32_t bound = payload_bound(pager, pager->page_size, pager->block_size);
        if (bound > pager->payload_max) pager->payload_max = bound;
    }
    return LSM_OK;
}

uint32_t pager_page_size(const struct pager *pager) {
    return pager->page_size;
}

uint32_t pager_block_size(const struct pager *pager) {
    return pager->block_size;
}

bool pager_is_compressed(const struct pager *pager) {
    return pager->compressed;
}

uint32_t pager_block_limit(const struct pager *pager) {
    return atomic_load_explicit(&pager->block_limit, memory_order_relaxed);
}

void pager_set_block_limit(struct pager *pager, uint32_t block_count) {
    unsigned known = atomic_load(&pager->block_limit);

    while (known < block_count &&
           !atomic_compare_exchange_weak(&pager->block_limit, &known, block_count)) {
    }
}

uint64_t pager_pages_written(const struct pager *pager) {
    return atomic_load_explicit(&pager->pages_written, memory_order_relaxed);
}

uint64_t pager_pages_read(const struct pager *pager) {
    return atomic_load_explicit(&pager->pages_read, memory_order_relaxed);
}

void pager_hook_enter(struct pager *pager) {
    os_mutex_enter(pager->env, pager->hook_mutex);
}

void pager_hook_leave(struct pager *pager) {
    os_mutex_leave(pager->env, pager->hook_mutex);
}

/* ---------------------------------------------------------------------------------- reading -- */

static void raise_file_size(struct pager *pager, uint64_t size) {
    uint64_t known = atomic_load(&pager->file_size);

    while (known < size && !atomic_compare_exchange_weak(&pager->file_size, &known, size)) {
    }
}

int pager_read_raw(struct pager *pager, uint64_t offset, void *data, size_t size) {
    return os_read(pager->file, offset, data, size);
}

/* Describe the page whose whole image is at `image`. */
static inline void page_fill(const struct pager *pager, const uint8_t *image, uint64_t page_no,
                             struct page_frame *frame, struct page *out) {
    uint32_t size = pager->page_size;

    if (LSM_UNLIKELY(pager_is_block_last(pager, page_no))) {
        size -= BLOCK_LINK_SIZE;
    } else if (LSM_UNLIKELY(pager_is_block_first(pager, page_no))) {
        image += BLOCK_LINK_SIZE;
        size -= BLOCK_LINK_SIZE;
    }
    out->data = image;
    out->size = size;
    out->page_no = page_no;
    out->frame = frame;
    out->next = 0;
}

/* A copy from the page cache, read if it is not there. `keep`: others may use it, too. */
static int get_cached(struct pager *pager, uint64_t page_no, bool keep, struct page *out) {
    uint64_t ticket = 0;
    struct page_frame *frame = page_cache_find(&pager->cache, page_no, &ticket);
    int rc = LSM_OK;

    if (frame == NULL) {
        frame = page_cache_take(&pager->cache, page_no);
        if (frame == NULL) {
            rc = LSM_NOMEM;
            goto done;
        }
        rc = pager_read_raw(pager, (page_no - 1) << pager->page_shift, frame->data,
                            pager->page_size);
        if (rc != LSM_OK) goto done;
        atomic_fetch_add_explicit(&pager->pages_read, 1, memory_order_relaxed);
        if (keep) frame = page_cache_add(&pager->cache, frame, ticket);
    }
    page_fill(pager, frame->data, page_no, frame, out);
    frame = NULL;
done:
    page_cache_put(&pager->cache, frame);
    return rc;
}

/* The page is not mapped, or not yet. */
static int get_unmapped(struct pager *pager, uint64_t page_no, struct error_context *error, struct page *out) {
    uint64_t offset = (page_no - 1) << pager->page_shift;
    uint64_t end = offset + pager->page_size;
    const uint8_t *mapped = NULL;
    uint64_t file_size;
    int rc;

    if (end > atomic_load(&pager->file_size)) {
        rc = os_file_size(pager->file, &file_size);
        if (rc != LSM_OK) return rc;
        raise_file_size(pager, file_size);
    }
    file_size = atomic_load(&pager->file_size);
    if (offset >= file_size) return error_corrupt(error, page_no, "a page lies behind the end of the file");
    if (end <= file_size) mapped = page_map_extend(pager, offset, pager->page_size);
    if (mapped) {
        page_fill(pager, mapped, page_no, NULL, out);
        return LSM_OK;
    }
    return get_cached(pager, page_no, end <= file_size, out);
}

int pager_get(struct pager *pager, const struct redirects *redirects, uint64_t page_no,
              struct error_context *error, struct page *out) {
    const uint8_t *mapped;

    if (redirects && redirects->count) page_no = pager_redirect(pager, redirects, page_no);
    if (LSM_UNLIKELY(page_no < pager->first_page ||
                     page_no - 1 >= (uint64_t)pager_block_limit(pager) << pager->span_shift)) {
        return error_corrupt(error, page_no, "a page number lies on no block");
    }
    if (pager->compressed) return compressed_get(pager, redirects, page_no, error, out);
    mapped = page_map_find(&pager->map, (page_no - 1) << pager->page_shift, pager->page_size);
    if (LSM_UNLIKELY(mapped == NULL)) return get_unmapped(pager, page_no, error, out);
    page_fill(pager, mapped, page_no, NULL, out);
    return LSM_OK;
}

const uint8_t *pager_peek(const struct pager *pager, const struct redirects *redirects,
                          uint64_t page_no) {
    if (redirects && redirects->count) page_no = pager_redirect(pager, redirects, page_no);
    if (pager->compressed || page_no < pager->first_page) return NULL;
    return page_map_find(&pager->map, (page_no - 1) << pager->page_shift, pager->page_size);
}

void pager_put(struct pager *pager, struct page *page) {
    if (page->frame) page_cache_put(&pager->cache, page->frame);
    *page = (struct page){0};
}

/* ---------------------------------------------------------------------------------- writing -- */

void pager_count_written(struct pager *pager, uint64_t page_count) {
    atomic_fetch_add_explicit(&pager->pages_written, page_count, memory_order_relaxed);
}

void pager_note_write(struct pager *pager, uint64_t offset, uint64_t size) {
    uint64_t end = offset + size;
    uint64_t blocks = (end + pager->block_size - 1) >> pager->block_shift;

    raise_file_size(pager, end);
    if (blocks <= UINT32_MAX) pager_set_block_limit(pager, (uint32_t)blocks);
    if (pager->compressed) {
        page_cache_drop(&pager->cache, offset, end);
    } else {
        page_cache_drop(&pager->cache, (offset >> pager->page_shift) + 1,
                        ((end + pager->page_size - 1) >> pager->page_shift) + 1);
    }
}

int pager_write_raw(struct pager *pager, uint64_t offset, const void *data, size_t size) {
    int rc;

    assert(offset >= META_BYTES); /* meta pages and lock bytes are not ours */
    if (size == 0) return LSM_OK;
    rc = os_write(pager->file, offset, data, size);
    /* Also after a failure: some of it may be in the file. But the size is then unknown. */
    if (rc == LSM_OK) {
        pager_note_write(pager, offset, size);
        if (!pager->compressed) {
            pager_count_written(pager, (size + pager->page_size - 1) >> pager->page_shift);
        }
    } else {
        page_cache_drop(&pager->cache, 0, UINT64_MAX);
    }
    return rc;
}

int pager_copy_block(struct pager *pager, uint32_t from, uint32_t to, struct error_context *error) {
    uint32_t chunk = pager->block_size < COPY_CHUNK_SIZE ? pager->block_size : COPY_CHUNK_SIZE;
    uint64_t source = (uint64_t)(from - 1) << pager->block_shift;
    uint64_t target = (uint64_t)(to - 1) << pager->block_shift;
    uint8_t *buffer = NULL;
    int rc = LSM_OK;

    if (from <= 1 || to <= 1 || from == to || from > pager_block_limit(pager) ||
        to > pager_block_limit(pager)) {
        rc = error_corrupt(error, 0, "a block to be moved does not exist");
        goto done;
    }
    buffer = memory_allocate(pager->env, chunk);
    if (buffer == NULL) {
        rc = LSM_NOMEM;
        goto done;
    }
    for (uint32_t at = 0; at < pager->block_size; at += chunk) {
        rc = pager_read_raw(pager, source + at, buffer, chunk);
        if (rc != LSM_OK) goto done;
        rc = pager_write_raw(pager, target + at, buffer, chunk);
        if (rc != LSM_OK) goto done;
    }
    if (pager->compressed) {
        pager_count_written(pager, pager->block_size >> pager->page_shift);
    }
done:
    memory_free(pager->env, buffer);
    return rc;
}

int pager_sync(struct pager *pager) {
    return os_sync(pager->file);
}
