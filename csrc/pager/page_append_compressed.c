/*
** page_append_compressed.c — write the pages of a new segment as compressed frames.
**
** FORMAT      A page's number is the offset of the first byte of its frame.
**
**     page frame       size (3 bytes), compressed image, the same size
**     size z           80|z>>14, 80|(z>>7 & 7f), 80|(z & 7f)
**     padding 1..5     its length, zeros, its length (one byte: 01)
**     padding 6..      size, zeros, size; the top bit of the second byte of a size is clear
**
**     Image of 18 bytes: 80 80 92 .. 80 80 92. Padding of 484 bytes: 80 03 de, 478 zeros, 80 03 de.
**
**     A block keeps its first and last 4 bytes for links. A frame that does not fit goes on behind
**     the first link of the next block.
** INVARIANTS  (I1) The byte to be written next is write_page + write_size, unless nothing was
**                  placed yet.
**             (I2) When a block's last usable byte is written the next block is taken, both links
**                  are written, and the next byte is the first usable one there.
**             (I3) The link at the front of a new block waits in the buffer: a segment that ends
**                  just there gives the block back and forgets the link.
** LOCKING     Hooks are called between pager_hook_enter and pager_hook_leave.
** ERRORS      LSM_IOERR if an image is larger than announced, or its frame than a block; what the
**             hook reports.
*/
#include "base/bytes.h"
#include "base/memory.h"
#include "pager/page_append_internal.h"

#define FRAME_SIZE_FIELD 3u
#define FRAME_OVERHEAD (2 * FRAME_SIZE_FIELD)
#define FRAME_PAYLOAD_MAX ((1u << 21) - 1)
#define SHORT_PADDING_MAX 5u
#define SECTOR_SIZE_USUAL 512u
#define SECTOR_SIZE_MAX (1u << 20)
#define PAGE_BIT 0x80u

static void put_frame_size(uint8_t *out, uint32_t size, bool is_page) {
    assert(size <= FRAME_PAYLOAD_MAX);
    out[0] = (uint8_t)(0x80u | (size >> 14));
    out[1] = (uint8_t)((is_page ? PAGE_BIT : 0) | ((size >> 7) & 0x7fu));
    out[2] = (uint8_t)(0x80u | (size & 0x7fu));
}

/* ------------------------------------------------------------------------------------ bytes -- */

static int write_out(struct page_append *append) {
    int rc;

    if (append->write_size == 0) return LSM_OK;
    rc = pager_write_raw(append->pager, append->write_page, append->write_buffer,
                         append->write_size);
    if (rc != LSM_OK) return rc;
    append->write_page += append->write_size;
    append->write_size = 0;
    return LSM_OK;
}

/* Add bytes that follow those in the buffer in the file; NULL = zeros. */
static int buffer_bytes(struct page_append *append, const uint8_t *data, size_t size) {
    int rc;

    if (append->write_size + size > WRITE_BUFFER_MAX) {
        rc = write_out(append);
        if (rc != LSM_OK) return rc;
    }
    rc = page_append_reserve(append, append->write_size + size);
    if (rc != LSM_OK) return rc;
    if (data) memcpy(append->write_buffer + append->write_size, data, size);
    else memset(append->write_buffer + append->write_size, 0, size);
    append->write_size += size;
    return LSM_OK;
}

/* Put the write position behind the front link of `block_no`, which is written with it. */
static int enter_block(struct page_append *append, uint32_t block_no, uint32_t from) {
    uint8_t link[BLOCK_LINK_SIZE];

    assert(append->write_size == 0);
    put_u32(link, from);
    append->write_page = pager_prev_link_offset(append->pager, block_no);
    return buffer_bytes(append, link, sizeof link);
}

/* Decide where the first byte goes. A resumed segment finds the front link of its next block
** written. */
static int place_first_byte(struct page_append *append) {
    uint32_t block;
    int rc;

    if (append->write_page != 0) return LSM_OK;
    if (append->next_block != 0) {
        append->write_page = pager_first_page(append->pager, append->next_block);
        append->next_block = 0;
        return LSM_OK;
    }
    if (append->last != 0 || append->start != 0) {
        append->write_page = append->last != 0 ? append->last + 1 : append->start;
        return LSM_OK;
    }
    rc = page_append_allocate(append, &block);
    if (rc != LSM_OK) return rc;
    return enter_block(append, block, 0);
}

static uint64_t next_offset(const struct page_append *append) {
    return append->write_page + append->write_size;
}

/* Bytes left in the block where the next byte goes; never 0 (I2). */
static uint64_t left_in_block(const struct page_append *append) {
    uint64_t at = next_offset(append);
    return pager_last_page(append->pager, pager_block_of(append->pager, at)) - at + 1;
}

/* A block is full (I2). */
static int next_block(struct page_append *append) {
    uint32_t full = pager_block_of(append->pager, append->last);
    uint32_t block;
    uint8_t link[BLOCK_LINK_SIZE];
    int rc;

    rc = page_append_allocate(append, &block);
    if (rc != LSM_OK) return rc;
    put_u32(link, block);
    rc = buffer_bytes(append, link, sizeof link);
    if (rc != LSM_OK) return rc;
    rc = write_out(append);
    if (rc != LSM_OK) return rc;
    append->next_block = block;
    return enter_block(append, block, full);
}

/* Append bytes of the segment, going on to another block where one ends; NULL = zeros. */
static int put_bytes(struct page_append *append, const uint8_t *data, size_t size) {
    int rc = LSM_OK;

    while (size > 0) {
        uint64_t left = left_in_block(append);
        size_t part = size < left ? size : (size_t)left;
        rc = buffer_bytes(append, data, part);
        if (rc != LSM_OK) goto done;
        append->last = next_offset(append) - 1;
        append->next_block = 0;
        if (part == left) {
            rc = next_block(append);
            if (rc != LSM_OK) goto done;
        }
        if (data) data += part;
        size -= part;
    }
done:
    return rc;
}

static int put_frame(struct page_append *append, const uint8_t *payload, uint32_t size,
                     bool is_page) {
    uint8_t field[FRAME_SIZE_FIELD];
    int rc;

    put_frame_size(field, size, is_page);
    rc = put_bytes(append, field, sizeof field);
    if (rc != LSM_OK) goto done;
    rc = put_bytes(append, payload, size);
    if (rc != LSM_OK) goto done;
    rc = put_bytes(append, field, sizeof field);
    if (rc != LSM_OK) goto done;
    append->size += (uint64_t)size + FRAME_OVERHEAD;
done:
    return rc;
}

/* Fill the sector that holds the segment's last byte, so that what is appended later, perhaps after
** a checkpoint, does not rewrite it. */
static int put_padding(struct page_append *append) {
    uint64_t sector = os_sector_size(append->pager->file);
    uint64_t at, left, size;
    uint8_t edges[SHORT_PADDING_MAX] = {0};

    if (append->last == 0 || append->next_block != 0) return LSM_OK; /* the block is full */
    if (sector == 0 || sector > SECTOR_SIZE_MAX) sector = SECTOR_SIZE_USUAL;
    at = append->last + 1;
    size = (sector - at % sector) % sector;
    if (size == 0) return LSM_OK;
    left = pager_last_page(append->pager, pager_block_of(append->pager, at)) - at + 1;
    if (size > left) size = left;
    if (size > SHORT_PADDING_MAX) {
        return put_frame(append, NULL, (uint32_t)size - FRAME_OVERHEAD, false);
    }
    edges[0] = (uint8_t)size;
    edges[size - 1] = (uint8_t)size;
    return put_bytes(append, edges, (size_t)size);
}

/* ------------------------------------------------------------------------------------ pages -- */

int page_append_compressed_open(struct page_append *append) {
    const struct pager *pager = append->pager;

    append->compress_buffer =
        memory_allocate(pager->env, (size_t)pager->payload_max + 2 * (size_t)pager->page_size);
    return append->compress_buffer ? LSM_OK : LSM_NOMEM;
}

static uint8_t *page_image(const struct page_append *append, uint32_t index) {
    const struct pager *pager = append->pager;
    return append->compress_buffer + pager->payload_max + (size_t)index * pager->page_size;
}

int page_append_compressed_begin(struct page_append *append, struct page_slot *slot) {
    slot->data = page_image(append, page_append_mark_open(append, slot));
    slot->size = append->pager->page_size;
    memset(slot->data, 0, slot->size);
    return LSM_OK;
}

static int compress_page(struct page_append *append, const uint8_t *image, uint32_t *size) {
    struct pager *pager = append->pager;
    uint64_t usable = pager_last_page(pager, 1) - pager_first_page(pager, 1) + 1;
    int made = (int)pager->payload_max;
    int rc;

    pager_hook_enter(pager);
    rc = LSM_MISMATCH; /* unless there are functions */
    if (pager->compress.xCompress) {
        rc = pager->compress.xCompress(pager->compress.pCtx, (char *)append->compress_buffer, &made,
                                       (const char *)image, (int)pager->page_size);
    }
    pager_hook_leave(pager);
    if (rc != LSM_OK) return error_note(append->error, rc, "the compression hook failed");
    if (made <= 0 || (uint32_t)made > pager->payload_max || (uint32_t)made > FRAME_PAYLOAD_MAX ||
        (uint64_t)made + FRAME_OVERHEAD > usable) {
        return error_note(append->error, LSM_IOERR, "a compressed page has an illegal size");
    }
    *size = (uint32_t)made;
    return LSM_OK;
}

int page_append_compressed_finish(struct page_append *append, struct page_slot *slot) {
    uint32_t index = page_append_mark_done(append, slot);
    uint32_t size = 0;
    uint64_t page_no;
    int rc;

    rc = compress_page(append, page_image(append, index), &size);
    if (rc != LSM_OK) goto done;
    rc = place_first_byte(append);
    if (rc != LSM_OK) goto done;
    page_no = next_offset(append);
    rc = put_frame(append, append->compress_buffer, size, true);
    if (rc != LSM_OK) goto done;
    pager_count_written(append->pager, 1);
    if (append->first == 0) append->first = page_no;
    slot->page_no = page_no;
done:
    return rc;
}

int page_append_compressed_flush(struct page_append *append, bool ends) {
    int rc;

    if (append->write_page == 0) return LSM_OK; /* nothing was appended */
    rc = put_padding(append);
    if (rc != LSM_OK) return rc;
    if (ends && append->next_block != 0) {
        append->write_size = 0; /* (I3) */
        return LSM_OK;
    }
    return write_out(append);
}
