/*
** types.h — the words every other file uses: integers, slices, attributes.
*/
#ifndef LSM_BASE_TYPES_H
#define LSM_BASE_TYPES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lsm.h"

#if defined(__GNUC__)
#define LSM_MUST_USE __attribute__((warn_unused_result))
#define LSM_PREFETCH(address) __builtin_prefetch(address)
#define LSM_ALWAYS_INLINE inline __attribute__((always_inline))
#define LSM_LIKELY(x) __builtin_expect(!!(x), 1)
#define LSM_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define LSM_MUST_USE
#define LSM_PREFETCH(address) ((void)(address))
#define LSM_ALWAYS_INLINE inline
#define LSM_LIKELY(x) (x)
#define LSM_UNLIKELY(x) (x)
#endif

/* Bytes owned by somebody else. `data` may be NULL when `size` is 0. */
struct slice {
    const uint8_t *data;
    uint32_t size;
};

/* Which of the two key spaces a key belongs to; user keys sort before system keys. */
enum topic { TOPIC_USER = 0, TOPIC_SYSTEM = 1 };

/* Order of keys inside one topic: unsigned bytes, then length. */
static inline int key_compare(struct slice a, struct slice b) {
    uint32_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order) return order;
    return (a.size > b.size) - (a.size < b.size);
}

/* Order over both topics. */
static inline int topic_key_compare(enum topic topic_a, struct slice a, enum topic topic_b,
                                    struct slice b) {
    if (topic_a != topic_b) return topic_a < topic_b ? -1 : 1;
    return key_compare(a, b);
}

#endif
