/*
** segment_writer_internal.h — the index under construction, shared by segment_writer.c and
** segment_btree_writer.c.
**
** OWNERSHIP   An index_writer borrows the page_append of its segment. Zeroed objects may be
**             released.
*/
#ifndef LSM_SEGMENT_WRITER_INTERNAL_H
#define LSM_SEGMENT_WRITER_INTERNAL_H

#include "format/format_record.h"
#include "pager/pager.h"
#include "segment/segment.h"

/* The open page of one level of the tree: an image of `usable` bytes without footer. */
struct index_level {
    uint8_t *image;
    uint32_t used;       /* bytes of the record area */
    uint32_t cell_count;
};

struct index_writer {
    lsm_env *env;
    struct page_append *append;
    struct error_context *error;
    uint32_t page_size;
    uint32_t usable;     /* every page is filled as if it had this usable size */
    uint32_t depth;      /* levels, 0 = no key yet */
    struct index_level levels[INDEX_DEPTH_MAX]; /* the lowest first */
};

void index_writer_init(struct index_writer *writer, lsm_env *env, struct page_append *append);
void index_writer_release(struct index_writer *writer);

/* Add a key greater than all before; cell->child = page of the keys below it. May append pages. */
LSM_MUST_USE int index_writer_add(struct index_writer *writer, const struct index_cell *cell);

/* Append the open pages, the lowest first; `right_child` = last leaf. *root = 0 if there is no key.
** The writer may not be used again. */
LSM_MUST_USE int index_writer_close(struct index_writer *writer, uint64_t right_child,
                                    uint64_t *root);

/* Make copies of the pages on the right edge of a stored index the open pages; *last_leaf = the
** data page behind them. Requires a writer without keys. */
LSM_MUST_USE int index_writer_resume(struct index_writer *writer, struct pager *pager,
                                     uint64_t root, uint64_t *last_leaf);

#endif
