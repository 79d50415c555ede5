/*
** pager.h — pages by number: where they are, how they follow each other, reading and appending them.
**
** One pager per database and process, shared by all its connections (see store.h). Everything else about a
** page's content is the segment's business.
**
** OWNERSHIP   A page reference is borrowed: pager_get ... pager_put. With a mapping the bytes stay valid
**             until the enclosing pager_reader_leave; without, until pager_put. Pages are never
**             written in place: a number that is read never changes under the reader (the caller guarantees it by
**             the rules of snapshots).
** THREADS     All functions but those of page_append may be called by several threads at once.
*/
#ifndef LSM_PAGER_H
#define LSM_PAGER_H

#include "base/error.h"
#include "base/types.h"
#include "format/format_snapshot.h"
#include "format/format_page.h"
#include "os/os.h"

struct pager;
struct page_frame; /* of the page cache */

struct page {
    const uint8_t *data;      /* usable area */
    uint32_t size;            /* usable size */
    uint64_t page_no;
    struct page_frame *frame; /* NULL when mapped */
    uint64_t next;            /* compressed only: offset behind the frame, before link resolution */
};

struct pager_config {
    uint64_t mmap_bytes;      /* 0 = no mapping, UINT64_MAX = whole file */
    size_t cache_bytes;       /* bound of the page cache (unmapped pages) */
    const lsm_compress *compress; /* NULL = uncompressed; copied */
};

/* `file` is borrowed for the pager's life. Geometry is unknown until pager_set_geometry. */
LSM_MUST_USE int pager_open(lsm_env *env, struct os_file *file, const struct pager_config *config,
                            struct pager **out);
void pager_close(struct pager *pager); /* NULL is accepted */
/* May be called again with the same values. LSM_CORRUPT if block < 4 pages (uncompressed). */
LSM_MUST_USE int pager_set_geometry(struct pager *pager, uint32_t page_size, uint32_t block_size);
void pager_set_mmap(struct pager *pager, uint64_t mmap_bytes); /* no reader inside */
/* The file may have been changed or cut by others, or is about to be cut by us: unmap it, forget cached pages
** and the known size. No reader inside. */
void pager_forget(struct pager *pager);
/* How pages are stored. `compressed` is a fact of the file; `hooks` (copied) may be exchanged at any time, NULL =
** not known: then no page can be read or written (LSM_MISMATCH). After the call nobody is inside the previous ones.
** The way of storing may change only as long as the file has no pages. LSM_CORRUPT, nothing changed: blocks of so
** few pages cannot be stored that way. */
LSM_MUST_USE int pager_set_compression(struct pager *pager, bool compressed,
                                       const lsm_compress *hooks);
uint32_t pager_page_size(const struct pager *pager);
uint32_t pager_block_size(const struct pager *pager);
bool pager_is_compressed(const struct pager *pager);

/* Bracket a read transaction or a piece of work: mappings in use at enter stay until the last leave. */
void pager_reader_enter(struct pager *pager);
void pager_reader_leave(struct pager *pager);

/* --- arithmetic --- */
uint64_t pager_first_page(const struct pager *pager, uint32_t block_no); /* compressed: first usable byte */
uint64_t pager_last_page(const struct pager *pager, uint32_t block_no);  /* compressed: last usable byte */
uint32_t pager_block_of(const struct pager *pager, uint64_t page_no);
uint64_t pager_redirect(const struct pager *pager, const struct redirects *redirects, uint64_t page_no);
uint32_t pager_redirect_block(const struct redirects *redirects, uint32_t block_no);

/* --- reading; `redirects` NULL unless the page belongs to the oldest segment --- */
LSM_MUST_USE int pager_get(struct pager *pager, const struct redirects *redirects, uint64_t page_no,
                           struct error_context *error, struct page *out);
void pager_put(struct pager *pager, struct page *page); /* zeroed objects are accepted */
/* Address of the page's image if it is mapped, else NULL. For prefetching. */
const uint8_t *pager_peek(const struct pager *pager, const struct redirects *redirects,
                          uint64_t page_no);
/* A walk in one direction comes to a page after `steps` others: what it will want next may be fetched meanwhile. */
void pager_look_ahead(struct pager *pager, const struct redirects *redirects, uint64_t page_no,
                      bool forward, uint64_t steps);
/* The page after / before `page` in its chain; links are checked to name a block in 1..block_count given by
** pager_set_block_limit. */
LSM_MUST_USE int pager_next(struct pager *pager, const struct redirects *redirects,
                            const struct page *page, struct error_context *error, uint64_t *next);
LSM_MUST_USE int pager_prev(struct pager *pager, const struct redirects *redirects,
                            const struct page *page, struct error_context *error, uint64_t *prev);
/* The same inside one segment: 0 behind its last page, or before its first. Padding is passed over. */
LSM_MUST_USE int pager_segment_next(struct pager *pager, const struct redirects *redirects,
                                    const struct segment *segment, const struct page *page,
                                    struct error_context *error, uint64_t *next);
LSM_MUST_USE int pager_segment_prev(struct pager *pager, const struct redirects *redirects,
                                    const struct segment *segment, const struct page *page,
                                    struct error_context *error, uint64_t *prev);
/* Number of the last page of a segment (uncompressed: segment->last). */
LSM_MUST_USE int pager_segment_last(struct pager *pager, const struct redirects *redirects,
                                    const struct segment *segment, struct error_context *error,
                                    uint64_t *page_no);
/* Most pages a chain of this segment can have; anything longer is a loop. */
uint64_t pager_segment_pages_max(const struct pager *pager, const struct segment *segment);
/* What segment->size should be: pages, or bytes as the format counts them. */
LSM_MUST_USE int pager_segment_measure(struct pager *pager, const struct redirects *redirects,
                                       const struct segment *segment, struct error_context *error,
                                       uint64_t *size);
/* Is a page (translated number) part of the segment? Follows the links from its first block. */
LSM_MUST_USE int pager_segment_contains(struct pager *pager, const struct redirects *redirects,
                                        const struct segment *segment, uint64_t page_no,
                                        struct error_context *error, bool *contains);
/* The block that follows `block_no` in a chain (its next-block link), unchecked for sense beyond range. */
LSM_MUST_USE int pager_next_block(struct pager *pager, const struct redirects *redirects,
                                  uint32_t block_no, struct error_context *error, uint32_t *next);
/* Highest block number that a published or private snapshot knows; grows only. */
void pager_set_block_limit(struct pager *pager, uint32_t block_count);

/* Counters of pages: written to the file, read with xRead. */
uint64_t pager_pages_written(const struct pager *pager);
uint64_t pager_pages_read(const struct pager *pager);

/* --- writing (holder of LOCK_WORKER) --- */
/* Copy a whole block image, links included. Cached pages of the target are dropped. */
LSM_MUST_USE int pager_copy_block(struct pager *pager, uint32_t from, uint32_t to,
                                  struct error_context *error);
LSM_MUST_USE int pager_sync(struct pager *pager);

/* Where free blocks come from; implemented by work/block_alloc.c. */
struct block_source {
    void *context;
    int (*allocate)(void *context, uint32_t *block_no);
    /* A block allocated in advance that was not needed: immediately reusable. */
    int (*give_back)(void *context, uint32_t block_no);
};

/*
** Appending pages to one segment, in order of their numbers. Whole runs of pages go out in one write.
** Uncompressed: a page has its number when it is begun; one page may be open (being filled) while others
** are appended behind it. Compressed: a page has its number when it is written.
*/
struct page_append {
    struct pager *pager;
    struct block_source blocks;
    struct error_context *error;
    uint64_t first;            /* first page of the segment, 0 = none yet */
    uint64_t last;             /* last page (compressed: last byte) so far */
    uint64_t size;             /* pages (compressed: bytes as the format counts them) */
    uint32_t next_block;       /* allocated in advance because `last` ends a block, 0 = none */
    uint64_t start;            /* append point to begin at, 0 = a fresh block */
    uint8_t *write_buffer;     /* contiguous page images not yet written */
    size_t write_size;
    size_t write_capacity;
    uint64_t write_page;       /* number of the first page in it (compressed: offset of its first byte) */
    uint32_t unfinished;       /* pages that are still open */
    uint8_t *compress_buffer;  /* compressed: room for one packed image, then two page images */
    uint64_t sequence;         /* pages begun */
    uint64_t write_sequence;   /* the first page in write_buffer was the how manieth begun */
    uint64_t open[2];          /* sequence of each open page, 0 = none */
};

struct page_slot {
    uint8_t *data;             /* usable area, zeroed, to be filled; may move: see page_append_slot */
    uint32_t size;
    uint64_t page_no;          /* 0 until written (compressed) */
    uint64_t sequence;         /* of page_append_begin */
};

LSM_MUST_USE int page_append_open(struct page_append *append, struct pager *pager,
                                  const struct block_source *blocks, struct error_context *error,
                                  uint64_t append_point);
/* Go on behind `segment`: at last + 1, or on the block linked from its last page. */
LSM_MUST_USE int page_append_resume(struct page_append *append, struct pager *pager,
                                    const struct block_source *blocks, struct error_context *error,
                                    const struct segment *segment);
/* Begin a page. Filled through slot->data, then finished; finish in any order, at most two open. */
LSM_MUST_USE int page_append_begin(struct page_append *append, struct page_slot *slot);
/* Find an open page again: beginning another one may move it. */
void page_append_slot(const struct page_append *append, struct page_slot *slot);
/* Nothing more goes into the page; compressed: packs it and sets slot->page_no. */
LSM_MUST_USE int page_append_finish(struct page_append *append, struct page_slot *slot);
/* Everything begun is finished: write it out. The segment may be continued later. (Compressed: pads.) */
LSM_MUST_USE int page_append_flush(struct page_append *append);
/* Flush and end the segment: give back the block allocated in advance; *append_point = first unused page
** behind the segment, 0 if it ended at a block's end. Without pages: the one to begin at. */
LSM_MUST_USE int page_append_close(struct page_append *append, uint64_t *append_point);
void page_append_release(struct page_append *append); /* memory only; zeroed objects are accepted */

#endif
