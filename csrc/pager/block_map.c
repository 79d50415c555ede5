/*
** block_map.c — where pages are and how they follow each other: numbers, blocks, links, moved blocks.
**
** FORMAT      P page size, B block size, K = B / P pages per block. Block b covers bytes (b-1)B .. bB-1.
**
**                              uncompressed                       compressed (number = byte offset)
**     page p lies on block     1 + (p-1) / K                      1 + p / B
**     first of block b         (b-1)K + 1; b = 1: 1 + 8192/P up   (b-1)B + 4; b = 1: 8196
**     last of block b          bK                                 bB - 5
**     moved from old to new    p - (old - new)K                   p - (old - new)B
**
**             Links are four bytes at either end of a block: the previous block of the chain in front (in block
**             1 behind the meta pages), the next one at the end. On uncompressed pages they stand directly in
**             front of and behind the usable area of the block's first and last page.
** INVARIANTS  (I1) A number handed out was checked to lie on a block in 1..limit.
**             (I2) Links hold old block numbers: they are translated before they are checked.
** ERRORS      LSM_CORRUPT for links that name no block.
*/
#include "pager/pager_internal.h"

#include "base/bytes.h"

uint64_t pager_first_page(const struct pager *pager, uint32_t block_no) {
    if (block_no <= 1) return pager->first_page;
    if (pager->compressed) return ((uint64_t)(block_no - 1) << pager->block_shift) + BLOCK_LINK_SIZE;
    return ((uint64_t)(block_no - 1) << pager->span_shift) + 1;
}

uint64_t pager_last_page(const struct pager *pager, uint32_t block_no) {
    uint64_t end = (uint64_t)block_no << pager->span_shift;
    return pager->compressed ? end - BLOCK_LINK_SIZE - 1 : end;
}

/* 0 for a number that lies on no block. */
uint32_t pager_block_of(const struct pager *pager, uint64_t page_no) {
    uint64_t block_no;

    if (page_no == 0) return 0;
    block_no = 1 + ((pager->compressed ? page_no : page_no - 1) >> pager->span_shift);
    return block_no <= UINT32_MAX ? (uint32_t)block_no : 0;
}

uint32_t pager_redirect_block(const struct redirects *redirects, uint32_t block_no) {
    if (redirects == NULL) return block_no;
    for (uint32_t i = 0; i < redirects->count; i++) {
        if (redirects->pairs[i].from == block_no) return redirects->pairs[i].to;
    }
    return block_no;
}

uint64_t pager_redirect(const struct pager *pager, const struct redirects *redirects,
                        uint64_t page_no) {
    uint32_t block_no;
    uint32_t target;

    if (redirects == NULL || redirects->count == 0) return page_no;
    block_no = pager_block_of(pager, page_no);
    target = pager_redirect_block(redirects, block_no);
    if (target == block_no) return page_no;
    /* Modulo 2^64, so that it does not matter which of the two is larger. */
    return page_no + (((uint64_t)target - (uint64_t)block_no) << pager->span_shift);
}

int pager_resolve_link(const struct pager *pager, const struct redirects *redirects, uint32_t link,
                       uint64_t page_no, struct error_context *error, uint32_t *block_no) {
    uint32_t target = pager_redirect_block(redirects, link);

    if (target == 0 || target > pager_block_limit(pager)) {
        return error_corrupt(error, page_no, "a block link leads to no block");
    }
    *block_no = target;
    return LSM_OK;
}

int pager_next(struct pager *pager, const struct redirects *redirects, const struct page *page,
               struct error_context *error, uint64_t *next) {
    uint32_t block_no;
    int rc;

    if (pager->compressed) return compressed_next(pager, redirects, page->next, 0, error, next);
    if (LSM_LIKELY(!pager_is_block_last(pager, page->page_no))) {
        *next = page->page_no + 1;
        return LSM_OK;
    }
    rc = pager_resolve_link(pager, redirects, get_u32(page->data + page->size), page->page_no, error,
                            &block_no);
    if (rc == LSM_OK) *next = pager_first_page(pager, block_no);
    return rc;
}

int pager_prev(struct pager *pager, const struct redirects *redirects, const struct page *page,
               struct error_context *error, uint64_t *prev) {
    uint32_t block_no;
    int rc;

    if (pager->compressed) return compressed_prev(pager, redirects, page->page_no, error, prev);
    if (LSM_LIKELY(!pager_is_block_first(pager, page->page_no))) {
        *prev = page->page_no - 1;
        return LSM_OK;
    }
    rc = pager_resolve_link(pager, redirects, get_u32(page->data - BLOCK_LINK_SIZE), page->page_no,
                            error, &block_no);
    if (rc == LSM_OK) *prev = pager_last_page(pager, block_no);
    return rc;
}

int pager_segment_next(struct pager *pager, const struct redirects *redirects,
                       const struct segment *segment, const struct page *page,
                       struct error_context *error, uint64_t *next) {
    if (pager->compressed) {
        return compressed_next(pager, redirects, page->next, segment->last, error, next);
    }
    if (page->page_no == segment->last) {
        *next = 0;
        return LSM_OK;
    }
    return pager_next(pager, redirects, page, error, next);
}

int pager_segment_prev(struct pager *pager, const struct redirects *redirects,
                       const struct segment *segment, const struct page *page,
                       struct error_context *error, uint64_t *prev) {
    if (page->page_no == segment->first) {
        *prev = 0;
        return LSM_OK;
    }
    return pager_prev(pager, redirects, page, error, prev);
}

int pager_segment_last(struct pager *pager, const struct redirects *redirects,
                       const struct segment *segment, struct error_context *error,
                       uint64_t *page_no) {
    if (!pager->compressed) {
        *page_no = segment->last;
        return LSM_OK;
    }
    if (segment->last == UINT64_MAX) {
        return error_corrupt(error, segment->last, "a segment ends beyond the last block");
    }
    return compressed_prev(pager, redirects, segment->last + 1, error, page_no);
}

uint64_t pager_segment_pages_max(const struct pager *pager, const struct segment *segment) {
    /* A frame has two sizes of three bytes and at least one byte of image. */
    uint64_t pages = pager->compressed ? segment->size / 7 + 1 : segment->size;
    uint64_t room = (uint64_t)pager_block_limit(pager) << (pager->block_shift - pager->page_shift);

    if (pager->compressed) room <<= pager->page_shift; /* images may be of any size */
    return pages < room ? pages : room;
}

int pager_next_block(struct pager *pager, const struct redirects *redirects, uint32_t block_no,
                     struct error_context *error, uint32_t *next) {
    uint64_t offset = pager_next_link_offset(pager, block_no);
    const uint8_t *mapped;
    uint8_t bytes[BLOCK_LINK_SIZE];
    int rc;

    if (block_no == 0 || block_no > pager_block_limit(pager)) {
        return error_corrupt(error, 0, "a chain contains a block that does not exist");
    }
    mapped = pager->compressed ? NULL : page_map_find(&pager->map, offset, BLOCK_LINK_SIZE);
    if (mapped == NULL) {
        rc = pager_read_raw(pager, offset, bytes, sizeof bytes);
        if (rc != LSM_OK) return rc;
        mapped = bytes;
    }
    return pager_resolve_link(pager, redirects, get_u32(mapped), pager_last_page(pager, block_no),
                              error, next);
}

int pager_segment_measure(struct pager *pager, const struct redirects *redirects,
                          const struct segment *segment, struct error_context *error,
                          uint64_t *size) {
    uint32_t block_no = pager_block_of(pager, segment->first);
    uint32_t last = pager_block_of(pager, segment->last);
    uint64_t begin = segment->first;
    uint64_t sum = 0;
    int rc = LSM_OK;

    if (pager->compressed) return compressed_measure(pager, redirects, segment, error, size);
    for (uint32_t steps = 0; block_no != last || segment->last < begin; steps++) {
        if (steps >= pager_block_limit(pager)) {
            return error_corrupt(error, segment->first, "the blocks of a segment form a loop");
        }
        sum += pager_last_page(pager, block_no) + 1 - begin;
        rc = pager_next_block(pager, redirects, block_no, error, &block_no);
        if (rc != LSM_OK) return rc;
        begin = pager_first_page(pager, block_no);
    }
    *size = sum + (segment->last + 1 - begin);
    return LSM_OK;
}

int pager_segment_contains(struct pager *pager, const struct redirects *redirects,
                           const struct segment *segment, uint64_t page_no,
                           struct error_context *error, bool *contains) {
    uint32_t wanted = pager_block_of(pager, page_no);
    uint32_t last = pager_block_of(pager, segment->last);
    uint32_t block_no = pager_block_of(pager, segment->first);
    uint32_t limit = pager_block_limit(pager);
    bool result = false;
    int rc = LSM_OK;

    if (wanted == 0 || wanted > limit || page_no < pager_first_page(pager, wanted) ||
        page_no > pager_last_page(pager, wanted)) {
        goto done;
    }
    for (uint32_t steps = 0;; steps++) {
        if (block_no == wanted) {
            result = (steps > 0 || page_no >= segment->first) &&
                     (block_no != last || page_no <= segment->last);
            break;
        }
        if (block_no == last) break;
        if (steps >= limit) { /* more blocks than there are: a loop */
            rc = error_corrupt(error, segment->first, "the blocks of a segment form a loop");
            break;
        }
        rc = pager_next_block(pager, redirects, block_no, error, &block_no);
        if (rc != LSM_OK) break;
    }
done:
    if (rc == LSM_OK) *contains = result;
    return rc;
}
