/*
** segment_writer.c — write sorted records to a new segment.
**
**     page 61                 page 62                  page 63
**     | a=1 | b=2 | c=33.. | -> | ..33333333333333 | -> | ..33 | d=4 | ...     c spans pages
**     first page: no key        no record starts        its first key, d, goes to the index
**
** FORMAT      Pages: format_page.h. Records: format_record.h. A record's head lies on one page; key
**             and value fill the record area and go on at the start of the following data pages.
**             The pointer in a page's footer is the one in force before the page's first record, or
**             that of the record which goes on there; records store their difference from it.
** INVARIANTS  (I1) While a page is open, used + 2 * cell_count + PAGE_FOOTER_SIZE <= slot.size.
**             (I2) `last_leaf` is the last finished page that the index leads to, and 0 only before
**                  the first page is finished. The keys of the leaves but the first are in the
**                  index, or the last of them is pending.
**             (I3) SKIP_NEXT on a page agrees with SKIP_THIS on the next page on which a record
**                  starts, also across an interruption, because `skip` is saved.
**             (I4) If there is an index, its root is the last page written by interrupt and finish:
**                  readers find the index of a segment from its last page.
** OWNERSHIP   The writer owns all it needs; key and value of segment_writer_add are copied into the
**             page.
** ERRORS      Sticky: after a failure every call returns the same code; only free may follow. What
**             was written is not referred to by anything.
** COST        A record costs its two copies and a few varints: no allocation, no call below this
**             room unless a page is full.
*/
#include "segment/segment.h"

#include "base/memory.h"
#include "segment/segment_writer_internal.h"

#define SKIP_MAX 3u

struct segment_writer {
    lsm_env *env;
    struct pager *pager;
    struct error_context *error;
    int rc;                     /* first failure */
    uint32_t page_size;
    struct page_append append;
    struct index_writer index;

    /* The data page being filled. */
    struct page_slot slot;
    bool open;
    bool first_page;            /* of the segment: never skipped, its key not in the index */
    bool is_leaf;               /* the index leads to it */
    uint32_t used;              /* bytes of the record area */
    uint32_t cell_count;
    uint32_t flags;
    uint64_t page_pointer;

    uint64_t pointer;           /* in force */
    uint32_t skip;              /* so many pages to come will not be in the index */
    bool break_page;
    uint64_t last_leaf;
    bool pending;               /* the large key of last_leaf waits for the number of its page */
    uint64_t pending_child;
    uint64_t kept_root;         /* of a resumed segment, valid until a page is appended */
    uint32_t data_pages;
    uint64_t record_count;
    struct segment_observer observer; /* all zero = none */
};

/* -------------------------------------------------------------------------------- the index -- */

/* Give the index the key that waited for the number of its page. */
static int add_pending_key(struct segment_writer *writer) {
    struct index_cell cell = {0};

    if (!writer->pending) return LSM_OK;
    cell.indirect = true;
    cell.child = writer->pending_child;
    cell.key_page = writer->last_leaf;
    writer->pending = false;
    return index_writer_add(&writer->index, &cell);
}

/* `key` is the first on the open page: decide whether the index leads to the page, and tell it so.
** */
static int begin_leaf(struct segment_writer *writer, enum topic topic, struct slice key) {
    uint64_t quarters = 4 * (uint64_t)key.size; /* compared with the page size */
    int rc = LSM_OK;

    if (writer->first_page) {
        writer->is_leaf = true;
        goto done;
    }
    if (writer->skip > 0) {
        writer->skip--;
        writer->flags |= PAGE_FLAG_SKIP_THIS;
    } else {
        rc = add_pending_key(writer);
        if (rc != LSM_OK) goto done;
        if (quarters > writer->page_size) {
            writer->pending = true;
            writer->pending_child = writer->last_leaf;
        } else {
            struct index_cell cell = {.topic = topic, .child = writer->last_leaf, .key = key};
            rc = index_writer_add(&writer->index, &cell);
            if (rc != LSM_OK) goto done;
        }
        page_append_slot(&writer->append, &writer->slot); /* index pages may have moved it */
        quarters /= writer->page_size;
        writer->skip = quarters < SKIP_MAX ? (uint32_t)quarters : SKIP_MAX;
        writer->is_leaf = true;
    }
    if (writer->skip > 0) writer->flags |= PAGE_FLAG_SKIP_NEXT;
done:
    return rc;
}

/* ------------------------------------------------------------------------------- data pages -- */

static int end_page(struct segment_writer *writer) {
    int rc;

    if (!writer->open) return LSM_OK;
    format_page_put_footer(writer->slot.data, writer->slot.size, writer->cell_count,
                           writer->flags, writer->page_pointer);
    rc = page_append_finish(&writer->append, &writer->slot);
    if (rc != LSM_OK) return rc;
    if (writer->is_leaf) writer->last_leaf = writer->slot.page_no;
    if (writer->observer.page && writer->cell_count > 0) {
        writer->observer.page(writer->observer.context, writer->slot.page_no);
    }
    writer->open = false;
    writer->first_page = false;
    return LSM_OK;
}

/* Finish the open page, if there is one, and begin another. */
static int begin_page(struct segment_writer *writer) {
    int rc;

    rc = end_page(writer);
    if (rc != LSM_OK) return rc;
    rc = page_append_begin(&writer->append, &writer->slot);
    if (rc != LSM_OK) return rc;
    writer->open = true;
    writer->is_leaf = false;
    writer->used = 0;
    writer->cell_count = 0;
    writer->flags = 0;
    writer->page_pointer = writer->pointer;
    writer->data_pages++;
    return LSM_OK;
}

/* Bytes of the record area behind `used`, when the page has `cell_count` cells. */
static uint32_t space_left(const struct segment_writer *writer, uint32_t cell_count) {
    uint32_t taken = writer->used + 2 * cell_count + PAGE_FOOTER_SIZE;
    return taken < writer->slot.size ? writer->slot.size - taken : 0;
}

static int put_body(struct segment_writer *writer, struct slice body) {
    while (body.size > 0) {
        uint32_t space = space_left(writer, writer->cell_count);
        uint32_t part = body.size < space ? body.size : space;
        if (part > 0) {
            memcpy(writer->slot.data + writer->used, body.data, part);
            writer->used += part;
            body.data += part;
            body.size -= part;
        }
        if (body.size > 0) {
            int rc = begin_page(writer);
            if (rc != LSM_OK) return rc;
        }
    }
    return LSM_OK;
}

static int add_record(struct segment_writer *writer, uint8_t flags, struct slice key,
                      struct slice value, uint64_t pointer) {
    uint8_t encoded[RECORD_HEAD_SIZE_MAX];
    struct record_head head = {.flags = flags, .key_size = key.size, .value_size = value.size};
    uint32_t head_size;
    int rc;

    if (!writer->open || (writer->break_page && writer->cell_count > 0)) {
        rc = begin_page(writer);
        if (rc != LSM_OK) return rc;
    }
    head.pointer_delta = (int64_t)(pointer - writer->page_pointer);
    head_size = format_record_put_head(encoded, &head);
    if (head_size > space_left(writer, writer->cell_count + 1)) {
        /* The new page has a pointer of its own, and room for any head. */
        rc = begin_page(writer);
        if (rc != LSM_OK) return rc;
        head.pointer_delta = (int64_t)(pointer - writer->page_pointer);
        head_size = format_record_put_head(encoded, &head);
    }
    if (writer->cell_count == 0) {
        rc = begin_leaf(writer, record_topic(flags), key);
        if (rc != LSM_OK) return rc;
    }
    if (writer->observer.record) {
        writer->observer.record(writer->observer.context, flags, key, writer->cell_count == 0);
    }
    format_page_put_cell(writer->slot.data, writer->slot.size, writer->cell_count, writer->used);
    memcpy(writer->slot.data + writer->used, encoded, head_size);
    writer->used += head_size;
    writer->cell_count++;
    writer->break_page = false;
    writer->pointer = pointer; /* before the body, which may begin pages */
    writer->record_count++;
    rc = put_body(writer, key);
    if (rc != LSM_OK) return rc;
    return put_body(writer, value);
}

int segment_writer_add(struct segment_writer *writer, uint8_t flags, struct slice key,
                       struct slice value, uint64_t pointer) {
    flags &= (uint8_t)~RECORD_NOISE;
    if (!(flags & RECORD_INSERT)) value = (struct slice){NULL, 0};
    if (writer->rc == LSM_OK) {
        if (key.size > RECORD_LENGTH_MAX || value.size > RECORD_LENGTH_MAX) {
            writer->rc = LSM_MISUSE;
        } else {
            writer->rc = add_record(writer, flags, key, value, pointer);
        }
    }
    return writer->rc;
}

/* -------------------------------------------------------------------------- begin and end -- */

int segment_writer_new(lsm_env *env, const struct segment_writer_config *config,
                       struct segment_writer **out) {
    struct segment_writer *writer;
    int rc = LSM_OK;

    writer = memory_allocate_zero(env, sizeof *writer);
    if (writer == NULL) {
        rc = LSM_NOMEM;
        goto done;
    }
    writer->env = env;
    writer->pager = config->pager;
    writer->error = config->error;
    writer->page_size = pager_page_size(config->pager);
    writer->first_page = true;
    writer->pointer = config->first_pointer;
    rc = page_append_open(&writer->append, config->pager, &config->blocks, config->error,
                          config->append_point);
    if (rc != LSM_OK) goto done;
    index_writer_init(&writer->index, env, &writer->append);
    *out = writer;
    writer = NULL;
done:
    segment_writer_free(writer);
    return rc;
}

int segment_writer_resume(lsm_env *env, const struct segment_writer_config *config,
                          const struct segment *segment, uint32_t skip, uint64_t pointer,
                          struct segment_writer **out) {
    struct segment_writer_config same = *config;
    struct segment_writer *writer = NULL;
    int rc;

    /* Interrupted before its first record: nothing was placed yet. */
    if (segment->first == 0) {
        same.first_pointer = pointer;
        return segment_writer_new(env, &same, out);
    }
    if (skip > SKIP_MAX) {
        rc = error_corrupt(config->error, segment->last, "unfinished segment: skip count");
        goto done;
    }
    same.append_point = 0;
    rc = segment_writer_new(env, &same, &writer);
    if (rc != LSM_OK) goto done;
    page_append_release(&writer->append);
    rc = page_append_resume(&writer->append, config->pager, &config->blocks, config->error,
                            segment);
    if (rc != LSM_OK) goto done;
    writer->first_page = false;
    writer->skip = skip;
    writer->pointer = pointer;
    writer->kept_root = segment->root;
    writer->last_leaf = segment->first; /* without an index no other page is a leaf */
    if (segment->root != 0) {
        rc = index_writer_resume(&writer->index, config->pager, segment->root,
                                 &writer->last_leaf);
        if (rc != LSM_OK) goto done;
    }
    *out = writer;
    writer = NULL;
done:
    segment_writer_free(writer);
    return rc;
}

/* Finish the data page and write the right edge of the index. */
static int close_pages(struct segment_writer *writer, uint64_t *root) {
    int rc;

    if (writer->data_pages == 0) {
        *root = writer->kept_root;
        return LSM_OK;
    }
    rc = end_page(writer);
    if (rc != LSM_OK) return rc;
    rc = add_pending_key(writer);
    if (rc != LSM_OK) return rc;
    return index_writer_close(&writer->index, writer->last_leaf, root);
}

static struct segment written_segment(const struct segment_writer *writer, uint64_t root) {
    const struct page_append *append = &writer->append;

    if (append->last == 0) return (struct segment){0};
    return (struct segment){append->first, append->last, root, append->size};
}

int segment_writer_interrupt(struct segment_writer *writer, struct segment *out, uint32_t *skip) {
    uint64_t root = 0;

    if (writer->rc != LSM_OK) goto done;
    writer->rc = close_pages(writer, &root);
    if (writer->rc != LSM_OK) goto done;
    writer->rc = page_append_flush(&writer->append);
    if (writer->rc != LSM_OK) goto done;
    *out = written_segment(writer, root);
    *skip = writer->skip;
done:
    return writer->rc;
}

int segment_writer_finish(struct segment_writer *writer, struct segment *out,
                          uint64_t *append_point) {
    uint64_t root = 0;
    uint64_t point = 0;

    if (writer->rc != LSM_OK) goto done;
    writer->rc = close_pages(writer, &root);
    if (writer->rc != LSM_OK) goto done;
    writer->rc = page_append_close(&writer->append, &point);
    if (writer->rc != LSM_OK) goto done;
    *out = written_segment(writer, root);
    *append_point = point;
done:
    return writer->rc;
}

void segment_writer_free(struct segment_writer *writer) {
    if (writer == NULL) return;
    index_writer_release(&writer->index);
    page_append_release(&writer->append);
    memory_free(writer->env, writer);
}

/* ---------------------------------------------------------------------------- small things -- */

void segment_writer_observe(struct segment_writer *writer,
                            const struct segment_observer *observer) {
    assert(writer->record_count == 0);
    writer->observer = *observer;
}

void segment_writer_set_pointer(struct segment_writer *writer, uint64_t pointer) {
    writer->pointer = pointer;
}

uint64_t segment_writer_pointer(const struct segment_writer *writer) {
    return writer->pointer;
}

uint32_t segment_writer_data_pages(const struct segment_writer *writer) {
    return writer->data_pages;
}

uint64_t segment_writer_record_count(const struct segment_writer *writer) {
    return writer->record_count;
}

void segment_writer_break_page(struct segment_writer *writer) {
    writer->break_page = true;
}
