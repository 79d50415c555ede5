/*
** segment.h — one sorted run of records: reading it, searching it, writing it.
**
** A segment shows records as they are stored: separators, tombstones and range marks included. What they mean
** together with other segments is the cursor's business.
**
** OWNERSHIP   Keys and values returned by a cursor point into a page or into the cursor's scratch, valid
**             until the cursor moves or is released.
** ERRORS      LSM_CORRUPT with page and reason in the view's error context; LSM_IOERR, LSM_NOMEM.
*/
#ifndef LSM_SEGMENT_H
#define LSM_SEGMENT_H

#include "base/buffer.h"
#include "format/format_record.h"
#include "pager/pager.h"

/* A segment as one snapshot sees it. Small; copied freely. */
struct segment_view {
    struct pager *pager;
    const struct segment *segment;
    const struct redirects *redirects; /* NULL unless this is the oldest segment */
    struct error_context *error;
};

/* --------------------------------------------------------------------------------- reading -- */

struct segment_cursor {
    struct segment_view view;
    struct page page;
    struct page_footer footer;
    bool valid;            /* on a record */
    uint32_t cell;
    uint32_t offset;       /* of the record in the page */
    struct record_head head;
    uint8_t flags;         /* = head.flags: RECORD_ bits */
    struct slice key;      /* always there while valid */
    uint64_t pointer;      /* absolute cascade pointer of the record, 0 = none */
    struct buffer key_copy;
    struct buffer value_copy;
    /* Private. */
    uint64_t body_end;     /* where the record would end if the page were long enough */
    int64_t travel;        /* pages gone forward since the last seek, less those gone back */
    uint64_t travel_max;   /* a chain that is longer is a loop */
    uint8_t front;         /* enum segment_front, found out when needed */
};

void segment_cursor_init(struct segment_cursor *cursor, lsm_env *env, const struct segment_view *view);
void segment_cursor_release(struct segment_cursor *cursor);
/* Look at another segment; keeps the scratch memory. */
void segment_cursor_open(struct segment_cursor *cursor, const struct segment_view *view);

LSM_MUST_USE int segment_first(struct segment_cursor *cursor);
LSM_MUST_USE int segment_last(struct segment_cursor *cursor);
LSM_MUST_USE int segment_next(struct segment_cursor *cursor);
LSM_MUST_USE int segment_prev(struct segment_cursor *cursor);
/* Stand on (page, cell) as saved by a merge. LSM_CORRUPT if it is not a record of the segment. */
LSM_MUST_USE int segment_go(struct segment_cursor *cursor, uint64_t page_no, uint32_t cell);
LSM_MUST_USE int segment_value(struct segment_cursor *cursor, struct slice *value);

/* Greatest record <= key, least record >= key. `hint` is the cascade pointer from the segment above (0 =
** none): used only as the format allows. All record kinds count, separators included. */
LSM_MUST_USE int segment_seek_le(struct segment_cursor *cursor, enum topic topic, struct slice key,
                                 uint64_t hint);
LSM_MUST_USE int segment_seek_ge(struct segment_cursor *cursor, enum topic topic, struct slice key,
                                 uint64_t hint);

/* Where a user key is. */
struct segment_place {
    uint64_t page_no;  /* last data page with records whose first record can be <= key; as stored, not translated */
    uint32_t position; /* where on the page to look first, in 65536ths: a guess */
    bool first;        /* it is the first such page of the segment */
};
/* Have what a search at the place looks at first fetched: `reach` bytes on either side of the guess. */
#define PLACE_REACH_ALONE 512u /* all steps at once: what is missing is waited for */
#define PLACE_REACH_GROUP 256u /* the same, for many keys: more would be driven out before it is used */
#define PLACE_REACH_SHARED 64u /* steps in turn with others: each fetches what the next looks at */
void segment_place_prefetch(const struct segment_view *view, const struct segment_place *place,
                            uint32_t reach);
/* A search for a user key on the cursor's page, over when low == high. */
struct segment_search {
    uint32_t low;    /* so many records of the page are known to be <= key */
    uint32_t high;   /* records from here on are known to be greater */
    uint32_t at;     /* to be compared next */
    uint32_t stride; /* 0 = by halves */
    int8_t direction;
    bool equal;      /* record low - 1 has the key */
};
LSM_MUST_USE int segment_search_begin(struct segment_cursor *cursor,
                                      const struct segment_place *place,
                                      struct segment_search *search);
LSM_MUST_USE int segment_search_step(struct segment_cursor *cursor, struct slice key,
                                     struct segment_search *search);
/* All steps at once. */
LSM_MUST_USE int segment_search_at(struct segment_cursor *cursor, struct slice key,
                                   const struct segment_place *place,
                                   struct segment_search *search);
/* Of a search that is over: stand on the least record >= key, on the greatest <= key. */
LSM_MUST_USE int segment_search_ge(struct segment_cursor *cursor,
                                   const struct segment_search *search);
LSM_MUST_USE int segment_search_le(struct segment_cursor *cursor,
                                   const struct segment_search *search);

/* Point read of a user key. */
struct segment_lookup {
    bool found;               /* an INSERT of exactly this key: `value` is set */
    bool deleted;             /* hidden here: point tombstone, or inside a range delete */
    uint64_t pointer;         /* for the next older segment */
    struct slice value;
};
LSM_MUST_USE int segment_lookup(struct segment_cursor *scratch, const struct segment_view *view,
                                struct slice key, uint64_t hint, struct segment_lookup *out);

/* The same, by somebody who knows the page. */
LSM_MUST_USE int segment_lookup_at(struct segment_cursor *scratch, const struct segment_view *view,
                                   struct slice key, const struct segment_place *place,
                                   struct segment_lookup *out);
/* Of a search that is over. */
LSM_MUST_USE int segment_lookup_end(struct segment_cursor *scratch,
                                    const struct segment_place *place,
                                    const struct segment_search *search,
                                    struct segment_lookup *out);

/* Told what a segment holds, in order: by its writer while it is written, or by segment_observe_page. */
struct segment_observer {
    void *context;
    /* A record, `begins_page` if it is the first that starts on its page. The key is valid during the call. */
    void (*record)(void *context, uint8_t flags, struct slice key, bool begins_page);
    /* The page of the records told since the last call is complete, and this is its number. */
    void (*page)(void *context, uint64_t page_no);
};
/* Tell `observer` about the records of one page; *next = number of the page behind it, 0 at the end. There is
** nothing to tell about an index page (*is_index). `scratch` serves keys that span pages. */
LSM_MUST_USE int segment_observe_page(const struct segment_view *view, uint64_t page_no,
                                      const struct segment_observer *observer,
                                      struct buffer *scratch, uint64_t *next, bool *is_index);

/* Has the segment no index because it never had one (one indexable page)? See the format, 8.4. */
LSM_MUST_USE int segment_never_indexed(const struct segment_view *view, lsm_env *env, bool *out);

/* Keys of the index, in order, with the page each leads to. Position can be saved and restored. */
#define INDEX_DEPTH_MAX 40
struct index_cursor {
    struct segment_view view;
    uint32_t depth;                       /* index pages on the path, 0 = exhausted */
    struct page pages[INDEX_DEPTH_MAX];
    struct page_footer footers[INDEX_DEPTH_MAX];
    int32_t cells[INDEX_DEPTH_MAX];
    bool valid;
    enum topic topic;
    struct slice key;
    uint64_t pointer;                     /* page reached just to the right of the key */
    struct buffer key_copy;
    uint64_t budget;                      /* private: index pages there can still be */
};
void index_cursor_init(struct index_cursor *cursor, lsm_env *env, const struct segment_view *view);
void index_cursor_release(struct index_cursor *cursor);
LSM_MUST_USE int index_cursor_first(struct index_cursor *cursor);
LSM_MUST_USE int index_cursor_next(struct index_cursor *cursor);
/* As stored in struct merge_input of the extra input. */
void index_cursor_save(const struct index_cursor *cursor, struct merge_input *out);
LSM_MUST_USE int index_cursor_restore(struct index_cursor *cursor, const struct merge_input *saved);

/* The key at a split position: of a record, or of an index cell (plain cell number). Copied to `key`. */
LSM_MUST_USE int segment_key_at(const struct segment_view *view, uint64_t page_no, uint32_t cell,
                                struct buffer *key, enum topic *topic);
/* Is the page an index page (for choosing how to read a split position)? LSM_CORRUPT if it is not part of the
** segment. */
LSM_MUST_USE int segment_page_is_index(const struct segment_view *view, uint64_t page_no, bool *is_index);

/* Index pages on the path from the root to the leaf where a search for `key` ends, root first, that leaf, and
** pages holding indirect keys compared on the way; for giving back consumed input. Without an index: at
** least the leaf. LSM_FULL if they are more than `capacity`. */
LSM_MUST_USE int segment_search_path(const struct segment_view *view, lsm_env *env, enum topic topic,
                                     struct slice key, uint64_t *pages, uint32_t capacity,
                                     uint32_t *count);

/* What pages are read for: their own sake, their records, the indexes and pointers that lead to them. */
enum segment_pass { PASS_PAGES, PASS_RECORDS, PASS_LINKS };

/* Every rule of the format about one segment; problems are reported and the walk goes on where it can. */
struct segment_report {
    void *context;
    void (*problem)(void *context, uint64_t page_no, const char *reason);
    /* For each page, in each pass; what is not LSM_OK ends it. NULL: none. */
    int (*page)(void *context, enum segment_pass pass);
};
LSM_MUST_USE int segment_check(const struct segment_view *view, lsm_env *env, bool partial_front,
                               const struct segment_report *report, uint64_t *record_count);
/* The cascade pointers of `upper` into `lower`, which has no root and is the next older segment; neither is part of
** a merge in progress. Nothing to check if no index could choose between pages of `lower`. */
LSM_MUST_USE int segment_check_pointers(const struct segment_view *upper,
                                        const struct segment_view *lower, lsm_env *env,
                                        const struct segment_report *report);

/* --------------------------------------------------------------------------------- writing -- */

struct segment_writer; /* see segment_writer.c */

struct segment_writer_config {
    struct pager *pager;
    struct block_source blocks;
    struct error_context *error;
    uint64_t append_point;      /* where to start, 0 = a fresh block */
    uint64_t first_pointer;     /* page pointer of the first page */
};

LSM_MUST_USE int segment_writer_new(lsm_env *env, const struct segment_writer_config *config,
                                    struct segment_writer **out);
/* Go on with an interrupted output: `segment`, `skip` and `pointer` as in the level record. */
LSM_MUST_USE int segment_writer_resume(lsm_env *env, const struct segment_writer_config *config,
                                       const struct segment *segment, uint32_t skip, uint64_t pointer,
                                       struct segment_writer **out);
/* Add a record; keys strictly ascending (topic first). Copies key and value. `pointer` = absolute cascade
** pointer; it is in force from now on. */
LSM_MUST_USE int segment_writer_add(struct segment_writer *writer, uint8_t flags, struct slice key,
                                    struct slice value, uint64_t pointer);
/* Tell `observer` (copied) about all that follows. To be called before the first record. */
void segment_writer_observe(struct segment_writer *writer, const struct segment_observer *observer);
/* Move the pointer in force without a record (a separator that is not written). */
void segment_writer_set_pointer(struct segment_writer *writer, uint64_t pointer);
uint64_t segment_writer_pointer(const struct segment_writer *writer);
/* Data pages begun since new or resume; index pages on top. */
uint32_t segment_writer_data_pages(const struct segment_writer *writer);
uint64_t segment_writer_record_count(const struct segment_writer *writer);
/* Start the next record on a new page (so that a small merge output gets an index). */
void segment_writer_break_page(struct segment_writer *writer);
/* Write everything including the right edge of the index: `out` and `skip` are what a level record needs to
** resume. The writer must be freed afterwards. */
LSM_MUST_USE int segment_writer_interrupt(struct segment_writer *writer, struct segment *out,
                                          uint32_t *skip);
/* Complete the segment. An output without records: *out all zero, blocks given back. */
LSM_MUST_USE int segment_writer_finish(struct segment_writer *writer, struct segment *out,
                                       uint64_t *append_point);
void segment_writer_free(struct segment_writer *writer); /* NULL is accepted */

#endif
