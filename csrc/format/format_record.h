/*
** format_record.h — heads of records on data pages, and cells of index pages.
**
**     record      type byte, pointer delta (varint), key length (varint), value length (varint, only with
**                 INSERT), key, value
**     index cell  10 or 30, child (varint), key length (varint), key      key stored inline
**                 00, child (varint), page (varint)                       key is that of the page's cell 0
*/
#ifndef LSM_FORMAT_RECORD_H
#define LSM_FORMAT_RECORD_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/types.h"

#define RECORD_START_DELETE 0x01u
#define RECORD_END_DELETE 0x02u
#define RECORD_POINT_DELETE 0x04u
#define RECORD_INSERT 0x08u
#define RECORD_SEPARATOR 0x10u
#define RECORD_SYSTEM 0x20u
#define RECORD_NOISE 0x40u /* ignored when read, never written */
#define RECORD_HEAD_SIZE_MAX (1 + 3 * VARINT_SIZE_MAX)
#define RECORD_LENGTH_MAX 0x7fffffffu

struct record_head {
    uint8_t flags;          /* without RECORD_NOISE; a legal combination */
    int64_t pointer_delta;
    uint32_t key_size;
    uint32_t value_size;    /* 0 without INSERT */
    uint32_t head_size;     /* bytes before the key */
};

/* Decode the head at [at, end). */
LSM_MUST_USE int format_record_head(const uint8_t *at, const uint8_t *end, uint64_t page_no,
                                    struct error_context *error, struct record_head *out);

/* Encode at `out` (room for RECORD_HEAD_SIZE_MAX); returns the bytes written. */
uint32_t format_record_put_head(uint8_t *out, const struct record_head *head);

struct index_cell {
    enum topic topic;     /* of an inline key */
    bool indirect;
    uint64_t child;
    uint64_t key_page;    /* if indirect */
    struct slice key;     /* if not; points into the page */
};

LSM_MUST_USE int format_index_cell(const uint8_t *at, const uint8_t *end, uint64_t page_no,
                                   struct error_context *error, struct index_cell *out);
uint32_t format_index_cell_size(const struct index_cell *cell);
uint32_t format_index_put_cell(uint8_t *out, const struct index_cell *cell);

static inline enum topic record_topic(uint8_t flags) {
    return flags & RECORD_SYSTEM ? TOPIC_SYSTEM : TOPIC_USER;
}

#endif
