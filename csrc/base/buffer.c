/*
** buffer.c — bytes that grow.
**
** COST        doubling: each byte is copied at most once on average.
*/
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/varint.h"

void buffer_init(struct buffer *buffer, lsm_env *env) {
    *buffer = (struct buffer){.env = env};
}

void buffer_release(struct buffer *buffer) {
    if (buffer->data) memory_free(buffer->env, buffer->data);
    *buffer = (struct buffer){.env = buffer->env};
}

int buffer_reserve(struct buffer *buffer, size_t size) {
    uint8_t *data;
    size_t capacity;

    if (buffer->rc != LSM_OK) return buffer->rc;
    if (size <= buffer->capacity) return LSM_OK;
    capacity = buffer->capacity ? buffer->capacity : 64;
    while (capacity < size) {
        if (capacity > SIZE_MAX / 2) {
            capacity = size;
            break;
        }
        capacity *= 2;
    }
    data = memory_reallocate(buffer->env, buffer->data, capacity);
    if (data == NULL) {
        buffer->rc = LSM_NOMEM;
        return LSM_NOMEM;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return LSM_OK;
}

uint8_t *buffer_extend(struct buffer *buffer, size_t size) {
    uint8_t *at;

    if (size > SIZE_MAX - buffer->size) {
        buffer->rc = LSM_NOMEM;
        return NULL;
    }
    if (buffer_reserve(buffer, buffer->size + size) != LSM_OK) return NULL;
    if (buffer->data == NULL && buffer_reserve(buffer, 1) != LSM_OK) return NULL;
    at = buffer->data + buffer->size;
    buffer->size += size;
    return at;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size) {
    uint8_t *at;

    if (size == 0) return;
    at = buffer_extend(buffer, size);
    if (at) memcpy(at, data, size);
}

void buffer_append_byte(struct buffer *buffer, uint8_t byte) {
    uint8_t *at = buffer_extend(buffer, 1);
    if (at) *at = byte;
}

void buffer_append_varint(struct buffer *buffer, uint64_t value) {
    uint8_t encoded[VARINT_SIZE_MAX];
    buffer_append(buffer, encoded, varint_put(encoded, value));
}

void buffer_append_slice(struct buffer *buffer, struct slice slice) {
    buffer_append(buffer, slice.data, slice.size);
}

void buffer_printf(struct buffer *buffer, const char *format, ...) {
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) return;
    if (buffer_reserve(buffer, buffer->size + (size_t)length + 1) != LSM_OK) return;
    va_start(arguments, format);
    vsnprintf((char *)buffer->data + buffer->size, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buffer->size += (size_t)length;
}

int buffer_assign(struct buffer *buffer, struct slice slice) {
    buffer_reset(buffer);
    buffer_append_slice(buffer, slice);
    return buffer->rc;
}
