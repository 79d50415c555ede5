/*
** format_record.c — heads of records and cells of index pages.
**
** FORMAT      see format_record.h. A record of the free list (RECORD_SYSTEM) has a 4-byte key and,
**             with INSERT, an 8-byte value.
** INVARIANTS  (I1) A head that was given out lies inside [at, end) and its lengths are below 2^31.
**             (I2) INSERT and POINT_DELETE exclude each other; SEPARATOR stands alone.
*/
#include "format/format_record.h"

#define RECORD_MARKS (RECORD_START_DELETE | RECORD_END_DELETE)
#define RECORD_CONTENT (RECORD_POINT_DELETE | RECORD_INSERT)
#define RECORD_KIND (RECORD_MARKS | RECORD_CONTENT | RECORD_SEPARATOR)
#define SYSTEM_KEY_SIZE 4
#define SYSTEM_VALUE_SIZE 8
#define INDEX_INLINE RECORD_SEPARATOR
#define INDEX_INDIRECT 0x00u

static bool flags_are_legal(uint32_t flags) {
    uint32_t kind = flags & RECORD_KIND;

    if (flags & ~(RECORD_KIND | RECORD_SYSTEM)) return false;
    if (kind == 0) return false;
    if ((kind & RECORD_SEPARATOR) && kind != RECORD_SEPARATOR) return false;
    return (kind & RECORD_CONTENT) != RECORD_CONTENT;
}

int format_record_head(const uint8_t *at, const uint8_t *end, uint64_t page_no,
                       struct error_context *error, struct record_head *out) {
    struct bytes_reader in = {at, end, false};
    struct record_head head = {0};
    uint64_t key_size;
    uint64_t value_size = 0;

    head.flags = (uint8_t)(bytes_reader_u8(&in) & ~RECORD_NOISE);
    head.pointer_delta = (int64_t)bytes_reader_varint(&in);
    key_size = bytes_reader_varint(&in);
    if (head.flags & RECORD_INSERT) value_size = bytes_reader_varint(&in);
    if (in.failed) return error_corrupt(error, page_no, "record: head reaches past its page");
    if (!flags_are_legal(head.flags)) return error_corrupt(error, page_no, "record: illegal type");
    if (key_size > RECORD_LENGTH_MAX || value_size > RECORD_LENGTH_MAX) {
        return error_corrupt(error, page_no, "record: illegal length");
    }
    if ((head.flags & RECORD_SYSTEM) &&
        (key_size != SYSTEM_KEY_SIZE ||
         ((head.flags & RECORD_INSERT) && value_size != SYSTEM_VALUE_SIZE))) {
        return error_corrupt(error, page_no, "record: free-list record of wrong length");
    }
    head.key_size = (uint32_t)key_size;
    head.value_size = (uint32_t)value_size;
    head.head_size = (uint32_t)(in.at - at);
    *out = head;
    return LSM_OK;
}

uint32_t format_record_put_head(uint8_t *out, const struct record_head *head) {
    uint8_t *at = out;

    assert(flags_are_legal(head->flags));
    assert(head->key_size <= RECORD_LENGTH_MAX);
    assert(head->value_size <= RECORD_LENGTH_MAX);
    *at++ = head->flags;
    at += varint_put(at, (uint64_t)head->pointer_delta);
    at += varint_put(at, head->key_size);
    if (head->flags & RECORD_INSERT) at += varint_put(at, head->value_size);
    return (uint32_t)(at - out);
}

int format_index_cell(const uint8_t *at, const uint8_t *end, uint64_t page_no,
                      struct error_context *error, struct index_cell *out) {
    struct bytes_reader in = {at, end, false};
    struct index_cell cell = {0};
    uint8_t type = bytes_reader_u8(&in);

    cell.child = bytes_reader_varint(&in);
    if (type == INDEX_INDIRECT) {
        cell.indirect = true;
        cell.key_page = bytes_reader_varint(&in);
        if (!in.failed && cell.key_page == 0) {
            return error_corrupt(error, page_no, "index: cell without a key page");
        }
    } else if (type == INDEX_INLINE || type == (INDEX_INLINE | RECORD_SYSTEM)) {
        uint64_t key_size = bytes_reader_varint(&in);
        if (!in.failed && key_size > bytes_reader_left(&in)) in.failed = true;
        cell.topic = record_topic(type);
        cell.key = bytes_reader_slice(&in, in.failed ? 0 : (size_t)key_size);
    } else if (!in.failed) {
        return error_corrupt(error, page_no, "index: illegal type of a cell");
    }
    if (in.failed) return error_corrupt(error, page_no, "index: cell reaches past its page");
    if (cell.child == 0) return error_corrupt(error, page_no, "index: cell without a child");
    *out = cell;
    return LSM_OK;
}

uint32_t format_index_cell_size(const struct index_cell *cell) {
    if (cell->indirect) return 1 + varint_size(cell->child) + varint_size(cell->key_page);
    return 1 + varint_size(cell->child) + varint_size(cell->key.size) + cell->key.size;
}

uint32_t format_index_put_cell(uint8_t *out, const struct index_cell *cell) {
    uint8_t *at = out;

    assert(cell->child != 0);
    if (cell->indirect) {
        assert(cell->key_page != 0);
        *at++ = INDEX_INDIRECT;
        at += varint_put(at, cell->child);
        at += varint_put(at, cell->key_page);
    } else {
        *at++ = (uint8_t)(INDEX_INLINE | (cell->topic == TOPIC_SYSTEM ? RECORD_SYSTEM : 0));
        at += varint_put(at, cell->child);
        at += varint_put(at, cell->key.size);
        if (cell->key.size > 0) memcpy(at, cell->key.data, cell->key.size);
        at += cell->key.size;
    }
    return (uint32_t)(at - out);
}
