/*
** buffer.h — bytes that grow. Errors stick: append as often as you like, look at `rc` once.
**
** OWNERSHIP   `data` belongs to the buffer and moves when it grows.
*/
#ifndef LSM_BASE_BUFFER_H
#define LSM_BASE_BUFFER_H

#include "base/types.h"

struct buffer {
    lsm_env *env;
    uint8_t *data;
    size_t size;
    size_t capacity;
    int rc; /* LSM_OK, or LSM_NOMEM since some append */
};

void buffer_init(struct buffer *buffer, lsm_env *env);
void buffer_release(struct buffer *buffer); /* zeroed objects are accepted */
static inline void buffer_reset(struct buffer *buffer) {
    buffer->size = 0;
    buffer->rc = LSM_OK;
}

/* Make room for `size` bytes in all. */
LSM_MUST_USE int buffer_reserve(struct buffer *buffer, size_t size);

/* Add `size` undefined bytes and return where they are; NULL (and rc set) when there is no memory. */
uint8_t *buffer_extend(struct buffer *buffer, size_t size);

void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_append_byte(struct buffer *buffer, uint8_t byte);
void buffer_append_varint(struct buffer *buffer, uint64_t value);
void buffer_append_slice(struct buffer *buffer, struct slice slice);

/* Formatted text, without NUL. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void buffer_printf(struct buffer *buffer, const char *format, ...);

/* Replace the content. */
LSM_MUST_USE int buffer_assign(struct buffer *buffer, struct slice slice);

static inline struct slice buffer_slice(const struct buffer *buffer) {
    return (struct slice){buffer->data, (uint32_t)buffer->size};
}

#endif
