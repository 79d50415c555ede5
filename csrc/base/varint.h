/*
** varint.h — unsigned 64-bit numbers in 1 to 9 bytes (database file and log).
**
** FORMAT      the first byte A0 decides; A1.. are the following bytes, BE(n) the next n big-endian.
**
**     A0        BYTES  VALUE                          WRITTEN FOR
**     0..240    1      A0                             0 .. 240
**     241..248  2      240 + 256 * (A0 - 241) + A1    241 .. 2287
**     249       3      2288 + BE(2)                   2288 .. 67823
**     250..255  4..9   BE(A0 - 247)                   larger; 7 bytes only below 2^47
**
**     300 -> f1 3c      67824 -> fa 01 08 f0      -1 (two's complement) -> ff and eight ff
*/
#ifndef LSM_BASE_VARINT_H
#define LSM_BASE_VARINT_H

#include "base/types.h"

#define VARINT_SIZE_MAX 9

/* Bytes that `value` takes. */
uint32_t varint_size(uint64_t value);

/* Store `value` at `out` (room for VARINT_SIZE_MAX) and return the bytes written. */
uint32_t varint_put(uint8_t *out, uint64_t value);

/* Read from [data, end); return the bytes used, 0 if the number does not end before `end`. */
uint32_t varint_get_slow(const uint8_t *data, const uint8_t *end, uint64_t *value);

static inline uint32_t varint_get(const uint8_t *data, const uint8_t *end, uint64_t *value) {
    if (LSM_LIKELY(data < end && *data <= 240)) {
        *value = *data;
        return 1;
    }
    return varint_get_slow(data, end, value);
}

#endif
