/*
** bytes.h — big-endian numbers, and a reader that cannot pass its end.
*/
#ifndef LSM_BASE_BYTES_H
#define LSM_BASE_BYTES_H

#include "base/error.h"
#include "base/types.h"
#include "base/varint.h"

static inline uint16_t get_u16(const uint8_t *p) {
    return (uint16_t)((p[0] << 8) | p[1]);
}
static inline uint32_t get_u32(const uint8_t *p) {
    return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) | ((uint32_t)p[2] << 8) | p[3];
}
static inline uint64_t get_u64(const uint8_t *p) {
    return ((uint64_t)get_u32(p) << 32) | get_u32(p + 4);
}
static inline void put_u16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void put_u32(uint8_t *p, uint32_t v) {
    put_u16(p, (uint16_t)(v >> 16));
    put_u16(p + 2, (uint16_t)v);
}
static inline void put_u64(uint8_t *p, uint64_t v) {
    put_u32(p, (uint32_t)(v >> 32));
    put_u32(p + 4, (uint32_t)v);
}
static inline uint32_t get_u32_little(const uint8_t *p) {
    return ((uint32_t)p[3] << 24) | ((uint32_t)p[2] << 16) | ((uint32_t)p[1] << 8) | p[0];
}
static inline void put_u32_little(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

/* Reads forward through [at, end). A read past the end gives 0 and sets `failed`, for good. */
struct bytes_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct bytes_reader bytes_reader_make(const uint8_t *data, size_t size) {
    return (struct bytes_reader){data, data + size, false};
}
static inline size_t bytes_reader_left(const struct bytes_reader *reader) {
    return (size_t)(reader->end - reader->at);
}
static inline uint8_t bytes_reader_u8(struct bytes_reader *reader) {
    if (reader->at >= reader->end) {
        reader->failed = true;
        return 0;
    }
    return *reader->at++;
}
static inline uint32_t bytes_reader_u32(struct bytes_reader *reader) {
    uint32_t value;
    if (bytes_reader_left(reader) < 4) {
        reader->failed = true;
        reader->at = reader->end;
        return 0;
    }
    value = get_u32(reader->at);
    reader->at += 4;
    return value;
}
static inline uint64_t bytes_reader_u64(struct bytes_reader *reader) {
    uint64_t high = bytes_reader_u32(reader);
    return (high << 32) | bytes_reader_u32(reader);
}
static inline uint64_t bytes_reader_varint(struct bytes_reader *reader) {
    uint64_t value = 0;
    uint32_t used = varint_get(reader->at, reader->end, &value);
    if (used == 0) {
        reader->failed = true;
        reader->at = reader->end;
        return 0;
    }
    reader->at += used;
    return value;
}
static inline struct slice bytes_reader_slice(struct bytes_reader *reader, size_t size) {
    struct slice slice = {reader->at, (uint32_t)size};
    if (bytes_reader_left(reader) < size || size > UINT32_MAX) {
        reader->failed = true;
        reader->at = reader->end;
        return (struct slice){NULL, 0};
    }
    reader->at += size;
    return slice;
}

#endif
