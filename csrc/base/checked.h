/*
** checked.h — sums and products of numbers that came from outside, with the overflow noticed.
*/
#ifndef LSM_BASE_CHECKED_H
#define LSM_BASE_CHECKED_H

#include "base/types.h"

/* *out = a + b; false, `out` untouched, when the sum does not fit. */
static inline bool checked_add_u64(uint64_t a, uint64_t b, uint64_t *out) {
    if (a > UINT64_MAX - b) return false;
    *out = a + b;
    return true;
}

static inline bool checked_mul_u64(uint64_t a, uint64_t b, uint64_t *out) {
    if (b != 0 && a > UINT64_MAX / b) return false;
    *out = a * b;
    return true;
}

static inline bool checked_add_u32(uint32_t a, uint32_t b, uint32_t *out) {
    if (a > UINT32_MAX - b) return false;
    *out = a + b;
    return true;
}

#endif
