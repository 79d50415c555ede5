/*
** page_append.c — place the pages of a new segment in the file, and write them in long runs.
**
**     block 4                        block 9
**     ... | other segment | 61 62 63 64 | -> | 129 130 131 ...
**                           ^ start   ^ the block's last page: block 9 is taken now, and its number
**                                       goes into this page
**
** FORMAT      The last page of a block ends with the number of the block where the segment goes on,
**             the first page of a block begins with the number of the block where it came from: 4
**             bytes each, outside the usable area. On the first page of a segment that field means
**             nothing; 1 is stored, as other engines do.
** INVARIANTS  (I1) `next_block` is not 0 exactly if `last` is the last page (byte) of its block.
**             (I2) Pages in the buffer follow each other: + 1, or by the link in the image of a
**                  block's last page; so the number of each is known from that of the first.
**             (I3) An open page is never written out; what precedes all open pages may be.
** OWNERSHIP   The buffer belongs to the append. A slot's memory moves when the buffer grows or is
**             partly written, that is when another page is begun: page_append_slot finds it again.
** ERRORS      Whatever the block source, the file and memory report. The segment is then lost:
**             nothing refers to it, and what was written lies on blocks taken for it. Only release
**             may follow.
** COST        One write per megabyte, or per change to a block that is not the neighbour. The
**             buffer grows with the segment, so a small segment costs little memory.
*/
#include "base/bytes.h"
#include "base/memory.h"
#include "pager/page_append_internal.h"

/* Stored where a link to the block before is expected but the segment begins. */
#define LINK_OF_FIRST_PAGE 1u

/* ------------------------------------------------------------------------- shared helpers -- */

int page_append_reserve(struct page_append *append, size_t size) {
    size_t capacity = append->write_capacity ? append->write_capacity : WRITE_BUFFER_MIN;
    uint8_t *buffer;

    if (size <= append->write_capacity) return LSM_OK;
    while (capacity < size) capacity *= 2;
    buffer = memory_reallocate(append->pager->env, append->write_buffer, capacity);
    if (buffer == NULL) return LSM_NOMEM;
    append->write_buffer = buffer;
    append->write_capacity = capacity;
    return LSM_OK;
}

int page_append_allocate(struct page_append *append, uint32_t *block_no) {
    uint32_t block = 0;
    int rc = append->blocks.allocate(append->blocks.context, &block);

    if (rc != LSM_OK) return rc;
    assert(block != 0);
    *block_no = block;
    return LSM_OK;
}

uint32_t page_append_mark_open(struct page_append *append, struct page_slot *slot) {
    uint32_t index = append->open[0] == 0 ? 0 : 1;

    assert(append->open[index] == 0); /* at most two are open */
    slot->sequence = ++append->sequence;
    append->open[index] = slot->sequence;
    append->unfinished++;
    return index;
}

uint32_t page_append_mark_done(struct page_append *append, const struct page_slot *slot) {
    uint32_t index = append->open[0] == slot->sequence ? 0 : 1;

    assert(slot->sequence != 0);
    assert(append->open[index] == slot->sequence);
    append->open[index] = 0;
    append->unfinished--;
    return index;
}

/* Is it a page (byte) that a segment may use? */
static bool is_usable(const struct pager *pager, uint64_t page_no) {
    uint32_t block = pager_block_of(pager, page_no);

    return block != 0 && page_no >= pager_first_page(pager, block) &&
           page_no <= pager_last_page(pager, block);
}

static bool ends_block(const struct pager *pager, uint64_t page_no) {
    return page_no == pager_last_page(pager, pager_block_of(pager, page_no));
}

/* ------------------------------------------------------------------------------ plain pages -- */

/* Length of the run of neighbouring pages at the front of `count` buffered ones, of which the first
** is `page_no`; *after = number of the page behind it. */
static size_t run_length(const struct pager *pager, const uint8_t *images, size_t count,
                         uint64_t page_no, uint64_t *after) {
    uint64_t next = page_no;
    size_t run = 0;

    while (run < count && next == page_no + run) {
        uint64_t last = pager_last_page(pager, pager_block_of(pager, next));
        if (count - run <= last - next) {
            next += count - run;
            run = count;
        } else {
            run += (size_t)(last - next + 1);
            next = pager_first_page(
                pager, get_u32(images + run * pager->page_size - BLOCK_LINK_SIZE)); /* (I2) */
        }
    }
    *after = next;
    return run;
}

/* Write the first `count` pages of the buffer and keep the others. */
static int write_pages(struct page_append *append, size_t count) {
    struct pager *pager = append->pager;
    size_t page_size = pager->page_size;
    size_t done = 0;
    uint64_t page_no = append->write_page;
    int rc = LSM_OK;

    if (count == 0) goto done;
    while (done < count) {
        uint64_t after;
        const uint8_t *images = append->write_buffer + done * page_size;
        size_t run = run_length(pager, images, count - done, page_no, &after);
        rc = pager_write_raw(pager, (page_no - 1) * page_size, images, run * page_size);
        if (rc != LSM_OK) goto done;
        done += run;
        page_no = after;
    }
    append->write_size -= count * page_size;
    memmove(append->write_buffer, append->write_buffer + count * page_size, append->write_size);
    append->write_page = page_no;
    append->write_sequence += count;
done:
    return rc;
}

/* Pages at the front of the buffer that may be written (I3). */
static size_t writable_pages(const struct page_append *append) {
    uint64_t end = append->write_sequence + append->write_size / append->pager->page_size;

    for (int i = 0; i < 2; i++) {
        if (append->open[i] != 0 && append->open[i] < end) end = append->open[i];
    }
    return (size_t)(end - append->write_sequence);
}

/* Room for one more page: grow first, then write; grow beyond the usual bound only if all of it
** must stay, because a page near its front is open. */
static int make_room(struct page_append *append) {
    size_t wanted = append->write_size + append->pager->page_size;
    int rc = LSM_OK;

    if (wanted <= append->write_capacity) return LSM_OK;
    if (wanted > WRITE_BUFFER_MAX) {
        rc = write_pages(append, writable_pages(append));
        if (rc != LSM_OK) return rc;
        wanted = append->write_size + append->pager->page_size;
    }
    return page_append_reserve(append, wanted);
}

static int plain_begin(struct page_append *append, struct page_slot *slot) {
    struct pager *pager = append->pager;
    uint32_t page_size = pager->page_size;
    uint32_t block = append->next_block;
    uint32_t ahead = 0;
    uint64_t page_no;
    uint8_t *image;
    int rc;

    rc = make_room(append);
    if (rc != LSM_OK) goto done;

    /* 1. Where: at the append point, on a fresh block, on the block taken in advance, or behind
    ** `last`. */
    if (append->last == 0 && append->start != 0) {
        page_no = append->start;
    } else if (append->last == 0) {
        rc = page_append_allocate(append, &block);
        if (rc != LSM_OK) goto done;
        page_no = pager_first_page(pager, block);
    } else if (block != 0) {
        page_no = pager_first_page(pager, block);
    } else {
        page_no = append->last + 1;
    }

    /* 2. The link to the following block is part of the image: take that block now. */
    if (ends_block(pager, page_no)) {
        rc = page_append_allocate(append, &ahead);
        if (rc != LSM_OK) goto done;
    }

    /* 3. The image. */
    if (append->write_size == 0) {
        append->write_page = page_no;
        append->write_sequence = append->sequence + 1;
    }
    image = append->write_buffer + append->write_size;
    memset(image, 0, page_size);
    if (page_no == pager_first_page(pager, pager_block_of(pager, page_no))) {
        put_u32(image, append->last ? pager_block_of(pager, append->last) : LINK_OF_FIRST_PAGE);
    }
    if (ahead != 0) put_u32(image + page_size - BLOCK_LINK_SIZE, ahead);
    append->write_size += page_size;
    append->next_block = ahead;
    append->last = page_no;
    append->size++;
    if (append->first == 0) append->first = page_no;
    slot->page_no = page_no;
    page_append_mark_open(append, slot);
    page_append_slot(append, slot);
done:
    return rc;
}

/* -------------------------------------------------------------------------------- interface -- */

int page_append_open(struct page_append *append, struct pager *pager,
                     const struct block_source *blocks, struct error_context *error,
                     uint64_t append_point) {
    struct page_append made = {0};
    int rc = LSM_OK;

    assert(pager->page_size != 0);
    if (append_point != 0 && !is_usable(pager, append_point)) {
        rc = error_corrupt(error, append_point, "append point outside the blocks");
        goto done;
    }
    made.pager = pager;
    made.blocks = *blocks;
    made.error = error;
    made.start = append_point;
    if (pager->compressed) rc = page_append_compressed_open(&made);
    if (rc != LSM_OK) goto done;
    *append = made;
done:
    return rc;
}

int page_append_resume(struct page_append *append, struct pager *pager,
                       const struct block_source *blocks, struct error_context *error,
                       const struct segment *segment) {
    struct page_append made = {0};
    uint32_t next_block = 0;
    int rc;

    if (!is_usable(pager, segment->first) || !is_usable(pager, segment->last)) {
        rc = error_corrupt(error, segment->last, "unfinished segment outside the blocks");
        goto done;
    }
    if (ends_block(pager, segment->last)) {
        /* A segment that is being written is never redirected. */
        rc = pager_next_block(pager, NULL, pager_block_of(pager, segment->last), error,
                              &next_block);
        if (rc != LSM_OK) goto done;
        if (next_block == 0) {
            rc = error_corrupt(error, segment->last, "no block to go on with");
            goto done;
        }
    }
    rc = page_append_open(&made, pager, blocks, error, 0);
    if (rc != LSM_OK) goto done;
    made.first = segment->first;
    made.last = segment->last;
    made.size = segment->size;
    made.next_block = next_block;
    *append = made;
done:
    return rc;
}

int page_append_begin(struct page_append *append, struct page_slot *slot) {
    struct page_slot made = {0};
    int rc = append->pager->compressed ? page_append_compressed_begin(append, &made)
                                       : plain_begin(append, &made);

    if (rc == LSM_OK) *slot = made;
    return rc;
}

void page_append_slot(const struct page_append *append, struct page_slot *slot) {
    const struct pager *pager = append->pager;
    uint32_t block;
    size_t position;

    if (pager->compressed) return;
    assert(slot->sequence >= append->write_sequence && slot->sequence <= append->sequence);
    position = (size_t)(slot->sequence - append->write_sequence);
    block = pager_block_of(pager, slot->page_no);
    slot->data = append->write_buffer + position * pager->page_size;
    slot->size = pager->page_size;
    if (slot->page_no == pager_first_page(pager, block)) {
        slot->data += BLOCK_LINK_SIZE;
        slot->size -= BLOCK_LINK_SIZE;
    } else if (slot->page_no == pager_last_page(pager, block)) {
        slot->size -= BLOCK_LINK_SIZE;
    }
}

int page_append_finish(struct page_append *append, struct page_slot *slot) {
    if (append->pager->compressed) return page_append_compressed_finish(append, slot);
    (void)page_append_mark_done(append, slot);
    return LSM_OK;
}

static int flush(struct page_append *append, bool ends) {
    assert(append->unfinished == 0);
    if (append->pager->compressed) return page_append_compressed_flush(append, ends);
    return write_pages(append, append->write_size / append->pager->page_size);
}

int page_append_flush(struct page_append *append) {
    return flush(append, false);
}

int page_append_close(struct page_append *append, uint64_t *append_point) {
    uint64_t point = append->start;
    int rc;

    rc = flush(append, true);
    if (rc != LSM_OK) goto done;
    if (append->last != 0 && append->next_block == 0) point = append->last + 1;
    if (append->next_block != 0) {
        rc = append->blocks.give_back(append->blocks.context, append->next_block);
        if (rc != LSM_OK) goto done;
        append->next_block = 0;
        point = 0;
    }
    *append_point = point;
done:
    return rc;
}

void page_append_release(struct page_append *append) {
    if (append->pager != NULL) {
        memory_free(append->pager->env, append->write_buffer);
        memory_free(append->pager->env, append->compress_buffer);
    }
    *append = (struct page_append){0};
}
