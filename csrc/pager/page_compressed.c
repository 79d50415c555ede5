/*
** page_compressed.c — reading frames: pages of a compressed database. A page number is a byte offset.
**
** FORMAT      page frame      size (3 bytes), image, the same size again       size < 2^21
**             long padding    like it, top bit of the second size byte clear   6 bytes or more in all
**             short padding   n .. n, n bytes in all, zeros between            n = 1..5, one byte: 01
**
**             Size z is stored as 80|z>>14, 80|z>>7&7f, 80|z&7f, so that a byte below 80 at either end of a frame
**             tells short padding. An image decompresses to exactly one page; its usable size is
**             the page size. A frame may be cut at the end of a block: it goes on at the first usable byte
**             of the block named by the next-block link.
**
**             00 00 00 00 | 80 80 92 | 01 48 01 00 02 02 01 6b 01 31 01 76 01 31 f7 00 01 01 | 80 80 92
**             prev link     size 18    image                                                   size 18
**             80 03 de | 00 ... 00 | 80 03 de
**             478        478 zeros   478: padding
**
** INVARIANTS  (I1) A position is either on a usable byte of a block, or directly behind the last one ("not yet
**                  resolved": resolve() follows the link only if there is something to read).
**             (I2) Every byte read lies on a block in 1..limit.
**             (I3) What the cache keeps does not depend on where blocks are: a page cut at the end of a block has the
**                  link as it stands in the file, which the redirects of each reader translate.
** OWNERSHIP   Images live in frames of the page cache.
** ERRORS      LSM_CORRUPT: bad frame byte, padding where a page is wanted, sizes that differ or are too
**             large, an image of the wrong size. The hook's own code, with the page, when it refuses an image.
** COST        A miss: one read (two if the frame crosses a block), one decompression, one allocation.
**             Stepping to a page that is not cached: one more read of 3 bytes.
*/
#include "pager/pager_internal.h"

#include "base/bytes.h"
#include "base/memory.h"

#define FRAME_SIZE_BYTES 3u
#define FRAME_OVERHEAD (2 * FRAME_SIZE_BYTES)
#define PADDING_SHORT_MAX 5u
#define PADDING_RUN_MAX 64 /* more padding frames in a row than any writer leaves: damage */

/* ------------------------------------------------------------------------------ positions -- */

/* Move a position behind the last byte of a block to the first of the next block; check it. */
static int resolve(struct pager *pager, const struct redirects *redirects,
                   struct error_context *error, uint64_t *at) {
    uint32_t block_no = pager_block_of(pager, *at);
    int rc = LSM_OK;

    if (block_no == 0 || block_no > pager_block_limit(pager) ||
        *at < pager_first_page(pager, block_no)) {
        return error_corrupt(error, *at, "a frame lies on no block");
    }
    if (*at > pager_last_page(pager, block_no)) {
        rc = pager_next_block(pager, redirects, block_no, error, &block_no);
        if (rc == LSM_OK) *at = pager_first_page(pager, block_no);
    }
    return rc;
}

/* Copy `size` bytes from *at on, over block ends, and leave *at behind them. `out` NULL: only go on. */
static int gather(struct pager *pager, const struct redirects *redirects,
                  struct error_context *error, uint64_t *at, uint8_t *out, uint32_t size) {
    int rc = LSM_OK;

    while (size > 0) {
        uint64_t room;
        uint32_t part;
        rc = resolve(pager, redirects, error, at);
        if (rc != LSM_OK) break;
        room = pager_last_page(pager, pager_block_of(pager, *at)) + 1 - *at;
        part = room < size ? (uint32_t)room : size;
        if (out) {
            rc = pager_read_raw(pager, *at, out, part);
            if (rc != LSM_OK) break;
            out += part;
        }
        *at += part;
        size -= part;
    }
    return rc;
}

/* Move a position at the first byte of a block behind the last byte of the block before it. */
static int resolve_back(struct pager *pager, const struct redirects *redirects,
                        struct error_context *error, uint64_t *at) {
    uint32_t block_no = pager_block_of(pager, *at);
    uint8_t bytes[BLOCK_LINK_SIZE];
    int rc;

    if (block_no == 0 || block_no > pager_block_limit(pager) ||
        *at < pager_first_page(pager, block_no) || *at > pager_last_page(pager, block_no) + 1) {
        return error_corrupt(error, *at, "a frame lies on no block");
    }
    if (*at != pager_first_page(pager, block_no)) return LSM_OK;
    rc = pager_read_raw(pager, pager_prev_link_offset(pager, block_no), bytes, sizeof bytes);
    if (rc != LSM_OK) return rc;
    rc = pager_resolve_link(pager, redirects, get_u32(bytes), *at, error, &block_no);
    if (rc == LSM_OK) *at = pager_last_page(pager, block_no) + 1;
    return rc;
}

/* Copy the `size` bytes that end before *at, and leave *at on the first of them. `out` NULL: only go. */
static int gather_back(struct pager *pager, const struct redirects *redirects,
                       struct error_context *error, uint64_t *at, uint8_t *out, uint32_t size) {
    int rc = LSM_OK;

    while (size > 0) {
        uint64_t room;
        uint32_t part;
        rc = resolve_back(pager, redirects, error, at);
        if (rc != LSM_OK) break;
        room = *at - pager_first_page(pager, pager_block_of(pager, *at));
        part = room < size ? (uint32_t)room : size;
        *at -= part;
        size -= part;
        if (out) {
            rc = pager_read_raw(pager, *at, out + size, part);
            if (rc != LSM_OK) break;
        }
    }
    return rc;
}

/* -------------------------------------------------------------------------------- frames -- */

/* Decode the three bytes at one end of a frame. `edge` is the byte at that end. */
static int frame_size(const uint8_t *size_bytes, uint8_t edge, uint64_t offset,
                      struct error_context *error, uint32_t *total, bool *padding) {
    if (edge < 0x80) {
        if (edge < 1 || edge > PADDING_SHORT_MAX) {
            return error_corrupt(error, offset, "no frame begins or ends here");
        }
        *total = edge;
        *padding = true;
        return LSM_OK;
    }
    if (size_bytes[0] < 0x80 || size_bytes[2] < 0x80) {
        return error_corrupt(error, offset, "the size of a frame is damaged");
    }
    *padding = size_bytes[1] < 0x80;
    *total = FRAME_OVERHEAD + (((uint32_t)size_bytes[0] & 0x7f) << 14 |
                               ((uint32_t)size_bytes[1] & 0x7f) << 7 |
                               ((uint32_t)size_bytes[2] & 0x7f));
    return LSM_OK;
}

/* Keep where the frame ends, `at`, in terms that stay true when blocks are moved and moved again while the image is
** cached: on its own block, or so far into the block that the link there names. */
static int keep_next(struct pager *pager, const struct redirects *redirects, uint64_t offset, uint64_t at,
                     struct error_context *error, struct page_frame *frame) {
    uint32_t block_no = pager_block_of(pager, offset);
    uint32_t end_block = pager_block_of(pager, at - 1);
    uint8_t bytes[BLOCK_LINK_SIZE];
    int rc;

    frame->next = at;
    frame->next_link = 0;
    if (end_block == block_no) return LSM_OK;
    rc = pager_read_raw(pager, pager_next_link_offset(pager, block_no), bytes, sizeof bytes);
    if (rc != LSM_OK) return rc;
    if (pager_redirect_block(redirects, get_u32(bytes)) != end_block) {
        return error_corrupt(error, offset, "a frame is longer than a block");
    }
    frame->next_link = get_u32(bytes);
    frame->next = at - pager_first_page(pager, end_block);
    return LSM_OK;
}

static int next_of(const struct pager *pager, const struct redirects *redirects, uint64_t offset,
                   const struct page_frame *frame, struct error_context *error, uint64_t *next) {
    uint32_t block_no;
    int rc;

    *next = frame->next;
    if (frame->next_link == 0) return LSM_OK;
    rc = pager_resolve_link(pager, redirects, frame->next_link, offset, error, &block_no);
    if (rc == LSM_OK) *next += pager_first_page(pager, block_no);
    return rc;
}

/* Read the page frame at `offset` (a usable byte) and decompress it into `frame`. */
static int frame_read(struct pager *pager, const struct redirects *redirects, uint64_t offset,
                      struct error_context *error, struct page_frame *frame) {
    uint32_t capacity = pager->payload_max + FRAME_OVERHEAD;
    uint64_t at = offset;
    uint64_t room = pager_last_page(pager, pager_block_of(pager, offset)) + 1 - offset;
    uint32_t have = room < capacity ? (uint32_t)room : capacity;
    uint32_t total = 0;
    bool padding = false;
    bool have_hook;
    int image_size = (int)pager->page_size;
    uint8_t *raw = NULL;
    int rc;

    if (pager->payload_max == 0) {
        return error_note(error, LSM_MISMATCH, "the functions to decompress with are not known");
    }
    raw = memory_allocate(pager->env, capacity);
    if (raw == NULL) return LSM_NOMEM;
    /* Sizes are in front of the images: read as much as it can be in one go, the rest if need be. */
    rc = gather(pager, redirects, error, &at, raw, have);
    if (rc != LSM_OK) goto done;
    if (have < FRAME_SIZE_BYTES) {
        rc = gather(pager, redirects, error, &at, raw + have, FRAME_SIZE_BYTES - have);
        if (rc != LSM_OK) goto done;
        have = FRAME_SIZE_BYTES;
    }
    rc = frame_size(raw, raw[0], offset, error, &total, &padding);
    if (rc != LSM_OK) goto done;
    if (padding || total > capacity) {
        rc = error_corrupt(error, offset, padding ? "padding where a page should be"
                                                  : "a compressed page is too large");
        goto done;
    }
    if (total > have) {
        rc = gather(pager, redirects, error, &at, raw + have, total - have);
        if (rc != LSM_OK) goto done;
    } else {
        at = offset;
        rc = gather(pager, redirects, error, &at, NULL, total);
        if (rc != LSM_OK) goto done;
    }
    if (memcmp(raw, raw + total - FRAME_SIZE_BYTES, FRAME_SIZE_BYTES) != 0) {
        rc = error_corrupt(error, offset, "the two sizes of a frame differ");
        goto done;
    }
    pager_hook_enter(pager);
    have_hook = pager->compress.xUncompress != NULL;
    if (have_hook) {
        rc = pager->compress.xUncompress(pager->compress.pCtx, (char *)frame->data, &image_size,
                                         (const char *)raw + FRAME_SIZE_BYTES,
                                         (int)(total - FRAME_OVERHEAD));
    }
    pager_hook_leave(pager);
    if (!have_hook) {
        rc = error_note(error, LSM_MISMATCH, "the functions to decompress with are not known");
        goto done;
    }
    if (rc == LSM_NOMEM) goto done;
    if (rc != LSM_OK) { /* what the function says is what the caller gets */
        rc = error_note_page(error, rc, offset, "a page does not decompress");
        goto done;
    }
    if (image_size != (int)pager->page_size) {
        rc = error_corrupt(error, offset, "a page does not decompress to a page");
        goto done;
    }
    rc = keep_next(pager, redirects, offset, at, error, frame);
    if (rc != LSM_OK) goto done;
    atomic_fetch_add_explicit(&pager->pages_read, 1, memory_order_relaxed);
done:
    memory_free(pager->env, raw);
    return rc;
}

int compressed_get(struct pager *pager, const struct redirects *redirects, uint64_t offset,
                   struct error_context *error, struct page *out) {
    uint32_t block_no = pager_block_of(pager, offset);
    struct page_frame *frame = NULL;
    uint64_t ticket = 0;
    uint64_t next = 0;
    int rc = LSM_OK;

    if (block_no == 0 || block_no > pager_block_limit(pager) ||
        offset < pager_first_page(pager, block_no) || offset > pager_last_page(pager, block_no)) {
        rc = error_corrupt(error, offset, "a page number lies on no block");
        goto done;
    }
    frame = page_cache_find(&pager->cache, offset, &ticket);
    if (frame == NULL) {
        frame = page_cache_take(&pager->cache, offset);
        if (frame == NULL) {
            rc = LSM_NOMEM;
            goto done;
        }
        rc = frame_read(pager, redirects, offset, error, frame);
        if (rc != LSM_OK) goto done;
        frame = page_cache_add(&pager->cache, frame, ticket);
    }
    rc = next_of(pager, redirects, offset, frame, error, &next);
    if (rc != LSM_OK) goto done;
    *out = (struct page){.data = frame->data, .size = pager->page_size, .page_no = offset,
                         .frame = frame, .next = next};
    frame = NULL;
done:
    page_cache_put(&pager->cache, frame);
    return rc;
}

/* Is the page at `offset` in the cache? Then its size need not be read. */
static bool is_cached(struct pager *pager, uint64_t offset) {
    uint64_t ticket;
    struct page_frame *frame = page_cache_find(&pager->cache, offset, &ticket);

    page_cache_put(&pager->cache, frame);
    return frame != NULL;
}

int compressed_next(struct pager *pager, const struct redirects *redirects, uint64_t offset,
                    uint64_t last, struct error_context *error, uint64_t *next) {
    uint8_t head[FRAME_SIZE_BYTES] = {0};
    int rc = LSM_OK;

    for (int i = 0; i < PADDING_RUN_MAX; i++) {
        uint64_t behind;
        uint32_t total = 0;
        bool padding = false;

        if (last != 0 && offset - 1 == last) {
            *next = 0;
            return LSM_OK;
        }
        rc = resolve(pager, redirects, error, &offset);
        if (rc != LSM_OK) return rc;
        if (is_cached(pager, offset)) {
            *next = offset;
            return LSM_OK;
        }
        /* The first byte alone says whether two more belong to the frame: short padding may be the
        ** last thing before a block's end, and the link behind it without meaning. */
        behind = offset;
        rc = gather(pager, redirects, error, &behind, head, 1);
        if (rc == LSM_OK && head[0] >= 0x80) {
            rc = gather(pager, redirects, error, &behind, head + 1, FRAME_SIZE_BYTES - 1);
        }
        if (rc == LSM_OK) rc = frame_size(head, head[0], offset, error, &total, &padding);
        if (rc != LSM_OK) return rc;
        if (!padding) {
            *next = offset;
            return LSM_OK;
        }
        rc = gather(pager, redirects, error, &offset, NULL, total);
        if (rc != LSM_OK) return rc;
    }
    return error_corrupt(error, offset, "there is no end of padding");
}

int compressed_prev(struct pager *pager, const struct redirects *redirects, uint64_t offset,
                    struct error_context *error, uint64_t *prev) {
    uint8_t tail[FRAME_SIZE_BYTES] = {0};
    int rc = LSM_OK;

    for (int i = 0; i < PADDING_RUN_MAX; i++) {
        uint64_t before = offset;
        uint32_t total = 0;
        bool padding = false;

        rc = gather_back(pager, redirects, error, &before, tail + 2, 1);
        if (rc == LSM_OK && tail[2] >= 0x80) {
            rc = gather_back(pager, redirects, error, &before, tail, FRAME_SIZE_BYTES - 1);
        }
        if (rc == LSM_OK) rc = frame_size(tail, tail[2], offset, error, &total, &padding);
        if (rc == LSM_OK) rc = gather_back(pager, redirects, error, &offset, NULL, total);
        if (rc != LSM_OK) return rc;
        if (!padding) {
            *prev = offset;
            return LSM_OK;
        }
    }
    return error_corrupt(error, offset, "there is no end of padding");
}

int compressed_measure(struct pager *pager, const struct redirects *redirects,
                       const struct segment *segment, struct error_context *error,
                       uint64_t *size) {
    uint64_t frames_max = (uint64_t)pager_block_limit(pager) << pager->block_shift;
    uint64_t offset = segment->first;
    uint64_t sum = 0;
    int rc = LSM_OK;

    for (uint64_t frames = 0; offset - 1 != segment->last; frames++) {
        uint8_t head[FRAME_SIZE_BYTES] = {0};
        uint64_t behind;
        uint32_t total = 0;
        bool padding = false;

        if (frames == frames_max) {
            return error_corrupt(error, offset, "the frames of a segment form a loop");
        }
        rc = resolve(pager, redirects, error, &offset);
        if (rc != LSM_OK) return rc;
        behind = offset;
        rc = gather(pager, redirects, error, &behind, head, 1);
        if (rc == LSM_OK && head[0] >= 0x80) {
            rc = gather(pager, redirects, error, &behind, head + 1, FRAME_SIZE_BYTES - 1);
        }
        if (rc == LSM_OK) rc = frame_size(head, head[0], offset, error, &total, &padding);
        if (rc == LSM_OK) rc = gather(pager, redirects, error, &offset, NULL, total);
        if (rc != LSM_OK) return rc;
        if (!padding || total > PADDING_SHORT_MAX) sum += total;
    }
    *size = sum;
    return LSM_OK;
}
