/*
** memtree_space.c — take space from the region, for nodes and for entries.
**
** FORMAT      Space is taken from `write_offset` upward; an object that does not fit into the chunk begins
**             behind the head of the next one. Nodes and entry heads are aligned to 4 and in one piece; the
**             bytes of an entry follow unaligned, in as many pieces as there are chunks:
**
**                 chunk 4                               chunk 9 (the next of 4)
**                 ... | head k e y v a l u | <- end     id next | e ... | <- write_offset
**
**             A position that is a multiple of the chunk size means "this chunk is full". The byte count of
**             the tree grows by what was asked for, without rounding and waste.
** INVARIANTS  (S1) The list of chunks holds 1..chunk_count-1 once each, ids rise by one, the last is being
**                  filled. It is true after each chunk taken.
**             (S2) The oldest chunk is taken again when the trees no longer need it (its id is not used_id)
**                  and no reader does; else the region grows.
** ERRORS      LSM_FULL, LSM_NOMEM: space taken before the failure is wasted until rollback or drop; the tree
**             is as it was.
*/
#include "memtree/memtree_internal.h"

/* buffer_reserve whose failure does not stick: the writer goes on after a rollback. */
static int list_reserve(struct buffer *list, size_t more) {
    int rc = buffer_reserve(list, list->size + more);
    list->rc = LSM_OK;
    return rc;
}

static uint32_t chunk_being_filled(const struct memtree_writer *writer) {
    return (writer->header.write_offset - 1) >> SHM_CHUNK_SHIFT;
}

static uint32_t chunk_end(uint32_t chunk) {
    return (chunk + 1) << SHM_CHUNK_SHIFT;
}

/* The header may have been found in a damaged region. */
static int check_write_offset(struct memtree_writer *writer) {
    uint32_t offset = writer->header.write_offset;
    uint32_t here = chunk_being_filled(writer);

    if (LSM_LIKELY(here > 0 && here < writer->header.chunk_count &&
                   offset - (here << SHM_CHUNK_SHIFT) >= CHUNK_HEAD_SIZE)) {
        return LSM_OK;
    }
    return error_corrupt(writer->error, offset, "memtree: impossible write offset");
}

/* Take the oldest chunk out of the list if nobody needs it: true and *out. */
static bool chunk_recycle(struct memtree_writer *writer, uint32_t *out) {
    struct memtree view = writer_view(writer);
    uint32_t first = writer->header.first_chunk;
    struct recycled record;
    const struct chunk_head *head;

    if (first == 0 || first >= view.chunk_count || first == chunk_being_filled(writer)) return false;
    head = chunk_head_at(&view, first);
    if (head->id == writer->header.used_id) return false;
    if (head->next == 0 || head->next >= view.chunk_count) return false;
    if (list_reserve(&writer->recycled, sizeof record) != LSM_OK) return false; /* growing will do */
    if (!shm_chunk_unused(writer->shm, writer->locks, head->id)) return false;
    record = (struct recycled){first, head->id};
    buffer_append(&writer->recycled, &record, sizeof record);
    writer->header.first_chunk = head->next;
    *out = first;
    return true;
}

/* Go on in another chunk; what is left of the present one is wasted. */
static int chunk_next(struct memtree_writer *writer) {
    static const char no_room[] = "the memory for changes is used up: by this transaction, or an old reader keeps it";
    struct tree_header *header = &writer->header;
    uint32_t here = chunk_being_filled(writer);
    uint32_t chunk = 0;
    struct memtree view;
    int rc;

    rc = check_write_offset(writer);
    if (rc != LSM_OK) return rc;
    if (!chunk_recycle(writer, &chunk)) {
        rc = shm_ensure(writer->shm, header->chunk_count + 1);
        if (rc != LSM_OK) {
            return error_note(writer->error, rc, rc == LSM_FULL ? no_room : "memtree: the region cannot grow");
        }
        chunk = header->chunk_count++;
    }
    view = writer_view(writer);
    *chunk_head_at(&view, chunk) = (struct chunk_head){.id = header->next_id, .next = 0};
    chunk_head_at(&view, here)->next = chunk;
    header->next_id++;
    header->write_offset = (chunk << SHM_CHUNK_SHIFT) + CHUNK_HEAD_SIZE;
    return LSM_OK;
}

/* Take `size` aligned bytes in one piece. */
static int space_take(struct memtree_writer *writer, uint32_t size, uint32_t *offset) {
    struct tree_header *header = &writer->header;
    uint32_t at = (header->write_offset + 3) & ~(uint32_t)3;

    if (size > chunk_end((at - 1) >> SHM_CHUNK_SHIFT) - at) {
        int rc = chunk_next(writer);
        if (rc != LSM_OK) return rc;
        at = header->write_offset;
    }
    header->write_offset = at + size;
    header->live.byte_count += size;
    *offset = at;
    return LSM_OK;
}

int space_reserve(struct memtree_writer *writer, uint32_t size) {
    uint32_t at = (writer->header.write_offset + 3) & ~(uint32_t)3;
    uint32_t room = chunk_end((at - 1) >> SHM_CHUNK_SHIFT) - at;
    size_t fills = ((size_t)writer->header.live.height + 1) * 2;
    int rc;

    assert(size <= CHUNK_BODY_SIZE);
    rc = check_write_offset(writer);
    if (rc != LSM_OK) return rc;
    rc = list_reserve(&writer->touched, fills * sizeof(uint32_t));
    if (rc != LSM_OK || size <= room) return rc;
    /* One more chunk will do, and growing can always be had then: it exists already. */
    rc = shm_ensure(writer->shm, writer->header.chunk_count + 1);
    if (rc == LSM_OK) return LSM_OK;
    /* The region cannot grow: the old chunk that may be recycled now may not be so later. Go there now. */
    return chunk_next(writer);
}

uint32_t space_take_node(struct memtree_writer *writer, uint32_t size) {
    struct memtree view;
    uint32_t offset = 0;
    int rc = space_take(writer, size, &offset);

    assert(rc == LSM_OK);
    (void)rc;
    view = writer_view(writer);
    memset(region_at(&view, offset, size), 0, size);
    return offset;
}

/* ------------------------------------------------------------------------------------- entries -- */

/* Add bytes to the entry that was begun last. */
static int entry_append(struct memtree_writer *writer, const uint8_t *data, uint32_t size) {
    struct tree_header *header = &writer->header;

    while (size > 0) {
        uint32_t room = chunk_end(chunk_being_filled(writer)) - header->write_offset;
        uint32_t piece = size < room ? size : room;
        if (room == 0) {
            int rc = chunk_next(writer);
            if (rc != LSM_OK) return rc;
            continue;
        }
        /* In a damaged region an entry that is copied may reach into the space that is being filled. */
        memmove(atomic_load_explicit(&shm_table(writer->shm)[chunk_being_filled(writer)],
                                     memory_order_relaxed) +
                    (header->write_offset & (SHM_CHUNK_SIZE - 1)),
                data, piece);
        header->write_offset += piece;
        header->live.byte_count += piece;
        data += piece;
        size -= piece;
    }
    return LSM_OK;
}

static int entry_append_value_of(struct memtree_writer *writer, const struct entry *source) {
    struct stream stream = source->body;
    uint32_t left = source->value_size;
    bool whole = stream_skip(&stream, source->key_size);

    while (whole && left > 0) {
        uint32_t piece_size = 0;
        const uint8_t *piece = stream_piece(&stream, left, &piece_size);
        int rc;
        if (piece == NULL) {
            whole = false;
            break;
        }
        rc = entry_append(writer, piece, piece_size);
        if (rc != LSM_OK) return rc;
        left -= piece_size;
    }
    if (!whole) {
        return error_corrupt(writer->error, (uint64_t)stream.chunk << SHM_CHUNK_SHIFT,
                             "memtree: an entry runs off its chunks");
    }
    return LSM_OK;
}

/* Can the region hold this many bytes more? Found out before it is filled up in vain. */
static bool body_may_fit(const struct memtree_writer *writer, uint64_t size) {
    const struct tree_header *header = &writer->header;
    struct memtree view = writer_view(writer);
    uint64_t chunks = 1;

    if (size <= CHUNK_BODY_SIZE) return true;
    if (writer->shm->chunk_limit > header->chunk_count) {
        chunks += writer->shm->chunk_limit - header->chunk_count;
    }
    if (header->first_chunk != 0 && header->first_chunk < view.chunk_count) {
        uint32_t unused = header->used_id - chunk_head_at(&view, header->first_chunk)->id;
        if (unused < view.chunk_count) chunks += unused;
    }
    return size <= chunks * CHUNK_BODY_SIZE;
}

int space_put_entry(struct memtree_writer *writer, uint8_t flags, struct slice key,
                    const struct slice *value, const struct entry *copy_from, uint32_t *offset) {
    uint32_t value_size = value ? value->size : copy_from ? copy_from->value_size : 0;
    bool has_value = value != NULL || copy_from != NULL;
    uint64_t body = (uint64_t)key.size + value_size;
    struct tree_entry *head;
    struct memtree view;
    uint32_t at = 0;
    int rc;

    if (key.size > RECORD_LENGTH_MAX || value_size > RECORD_LENGTH_MAX ||
        !body_may_fit(writer, body)) {
        return error_note(writer->error, LSM_FULL, "memtree: the entry is larger than the region");
    }
    rc = check_write_offset(writer);
    if (rc != LSM_OK) return rc;
    rc = space_take(writer, ENTRY_HEAD_SIZE, &at);
    if (rc != LSM_OK) return rc;
    view = writer_view(writer);
    head = region_at(&view, at, ENTRY_HEAD_SIZE);
    /* Others read in place what is marked so; an entry that ends with its chunk must not be. */
    if (((uint64_t)at + ENTRY_HEAD_SIZE + body) >> SHM_CHUNK_SHIFT == at >> SHM_CHUNK_SHIFT) {
        flags |= ENTRY_CONTIGUOUS;
    }
    *head = (struct tree_entry){
        .key_size = (int32_t)key.size,
        .value_size = has_value ? (int32_t)value_size : -1,
        .flags = flags,
    };
    rc = entry_append(writer, key.data, key.size);
    if (rc != LSM_OK) return rc;
    if (value) rc = entry_append(writer, value->data, value->size);
    else if (copy_from) rc = entry_append_value_of(writer, copy_from);
    if (rc != LSM_OK) return rc;
    *offset = at;
    return LSM_OK;
}
