/*
** page_append_internal.h — what plain and compressed appending share.
*/
#ifndef LSM_PAGE_APPEND_INTERNAL_H
#define LSM_PAGE_APPEND_INTERNAL_H

#include "pager/pager.h"
#include "pager/pager_internal.h"

#define WRITE_BUFFER_MIN ((size_t)64 << 10)
#define WRITE_BUFFER_MAX ((size_t)1 << 20)

/* Make the write buffer at least `size` bytes; what is in it may move. */
LSM_MUST_USE int page_append_reserve(struct page_append *append, size_t size);
/* The next free block. */
LSM_MUST_USE int page_append_allocate(struct page_append *append, uint32_t *block_no);
/* Note that a page is open (`index` = place in append->open), or no longer. */
uint32_t page_append_mark_open(struct page_append *append, struct page_slot *slot);
uint32_t page_append_mark_done(struct page_append *append, const struct page_slot *slot);

/* --- page_append_compressed.c: the compressed half of page_append_... --- */
LSM_MUST_USE int page_append_compressed_open(struct page_append *append);
LSM_MUST_USE int page_append_compressed_begin(struct page_append *append, struct page_slot *slot);
LSM_MUST_USE int page_append_compressed_finish(struct page_append *append, struct page_slot *slot);
/* Pad to the end of the sector and write everything out. `ends`: the segment will not be continued.
** */
LSM_MUST_USE int page_append_compressed_flush(struct page_append *append, bool ends);

#endif
