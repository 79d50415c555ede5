/*
** varint.c — see varint.h for the format.
*/
#include "base/varint.h"

uint32_t varint_size(uint64_t value) {
    if (value <= 240) return 1;
    if (value <= 2287) return 2;
    if (value <= 67823) return 3;
    if (value < (1ull << 24)) return 4;
    if (value < (1ull << 32)) return 5;
    if (value < (1ull << 40)) return 6;
    if (value < (1ull << 47)) return 7; /* not 48: the border that existing files have */
    if (value < (1ull << 56)) return 8;
    return 9;
}

uint32_t varint_put(uint8_t *out, uint64_t value) {
    uint32_t size = varint_size(value);
    uint32_t i;

    switch (size) {
        case 1:
            out[0] = (uint8_t)value;
            break;
        case 2:
            value -= 240;
            out[0] = (uint8_t)(241 + (value >> 8));
            out[1] = (uint8_t)value;
            break;
        case 3:
            value -= 2288;
            out[0] = 249;
            out[1] = (uint8_t)(value >> 8);
            out[2] = (uint8_t)value;
            break;
        default:
            out[0] = (uint8_t)(246 + size); /* 4 bytes -> 250 */
            for (i = size - 1; i > 0; i--) {
                out[i] = (uint8_t)value;
                value >>= 8;
            }
            break;
    }
    return size;
}

uint32_t varint_get_slow(const uint8_t *data, const uint8_t *end, uint64_t *value) {
    uint32_t size;
    uint32_t i;
    uint64_t result;

    if (data >= end) return 0;
    if (data[0] <= 240) {
        *value = data[0];
        return 1;
    }
    size = data[0] <= 248 ? 2 : (uint32_t)data[0] - 246;
    if ((size_t)(end - data) < size) return 0;
    if (size == 2) {
        *value = 240 + 256 * (uint64_t)(data[0] - 241) + data[1];
        return 2;
    }
    if (size == 3) {
        *value = 2288 + ((uint64_t)data[1] << 8) + data[2];
        return 3;
    }
    result = 0;
    for (i = 1; i < size; i++) result = (result << 8) | data[i];
    *value = result;
    return size;
}
