/*
** fuzz_arena.h — the allocator of the fuzz targets: one stretch of memory, given out front to back, empty again
** for the next input.
**
** A sanitizer's own allocator costs more than most calls of the engine. Here allocating is adding, and what is
** found is the same: blocks are separated by poisoned bytes, a freed block is poisoned and not given out again
** before the next input, which is longer than any quarantine lasts. What does not fit comes from malloc.
**
** INVARIANTS  (A1) below `floor` lies what earlier inputs left allocated on purpose (the table of handles).
**             (A2) every byte above `used` is poisoned; so is a header outside the functions below.
** LIMITS      One thread. A report tells neither where a block was allocated nor where it was freed: replay the
**             input with -DFUZZ_PLAIN_MALLOC for that. The committed corpus is replayed so.
*/
#ifndef LSM_FUZZ_FUZZ_ARENA_H
#define LSM_FUZZ_FUZZ_ARENA_H

#include "support/test.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define FUZZ_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(FUZZ_ASAN)
#include <sanitizer/asan_interface.h>
#define FUZZ_POISON(at, size) ASAN_POISON_MEMORY_REGION((at), (size))
#define FUZZ_UNPOISON(at, size) ASAN_UNPOISON_MEMORY_REGION((at), (size))
#else
#define FUZZ_POISON(at, size) ((void)(at), (void)(size))
#define FUZZ_UNPOISON(at, size) ((void)(at), (void)(size))
#endif

/* Headers stand in poisoned bytes, and how often memory is allocated is no news to the fuzzer. */
#ifdef __clang__
#define FUZZ_UNSEEN __attribute__((unused, no_sanitize("address", "coverage"))) static
#else
#define FUZZ_UNSEEN __attribute__((unused, no_sanitize("address"))) static
#endif

#define FUZZ_ARENA_SIZE ((size_t)24 << 20)
#define FUZZ_FRESH_BYTES 4096 /* as many bytes of a new block hold nonsense, as with a sanitizer */

struct fuzz_block {
    uint64_t size;
    uint64_t live;
};

static struct {
    size_t used;
    size_t floor;
    size_t live; /* blocks above the floor */
    bool poisoned;
    _Alignas(16) uint8_t bytes[FUZZ_ARENA_SIZE];
} fuzz_arena;

/* From a block's first byte to the header of the next one. */
FUZZ_UNSEEN size_t fuzz_arena_room(size_t size) {
    size_t gap = size < 256 ? 16 : size < 4096 ? 64 : 256;
    return ((size + 15) & ~(size_t)15) + gap;
}

FUZZ_UNSEEN void *fuzz_arena_malloc(size_t size) {
#ifdef FUZZ_PLAIN_MALLOC
    return malloc(size);
#else
    struct fuzz_block *block;
    uint8_t *data;

    if (!fuzz_arena.poisoned) FUZZ_POISON(fuzz_arena.bytes, FUZZ_ARENA_SIZE);
    fuzz_arena.poisoned = true;
    if (size > FUZZ_ARENA_SIZE / 4 ||
        sizeof *block + fuzz_arena_room(size) > FUZZ_ARENA_SIZE - fuzz_arena.used) {
        return malloc(size);
    }
    block = (struct fuzz_block *)(void *)(fuzz_arena.bytes + fuzz_arena.used);
    block->size = size;
    block->live = 1;
    data = (uint8_t *)(block + 1);
    fuzz_arena.used += sizeof *block + fuzz_arena_room(size);
    fuzz_arena.live++;
    FUZZ_UNPOISON(data, size);
    memset(data, 0xbe, size < FUZZ_FRESH_BYTES ? size : FUZZ_FRESH_BYTES);
    return data;
#endif
}

FUZZ_UNSEEN struct fuzz_block *fuzz_arena_block(void *data) {
    uint8_t *at = data;
    if (at < fuzz_arena.bytes || at >= fuzz_arena.bytes + FUZZ_ARENA_SIZE) return NULL;
    return (struct fuzz_block *)data - 1;
}

FUZZ_UNSEEN void fuzz_arena_free(void *data) {
    struct fuzz_block *block = fuzz_arena_block(data);

    if (block == NULL) {
        free(data);
        return;
    }
    if (block->live != 1) TEST_FAIL("freed twice, or never allocated: %p", data);
    block->live = 0;
    if ((size_t)((uint8_t *)data - fuzz_arena.bytes) > fuzz_arena.floor) fuzz_arena.live--;
    FUZZ_POISON(data, block->size);
}

FUZZ_UNSEEN void *fuzz_arena_realloc(void *old, size_t size) {
    struct fuzz_block *block = fuzz_arena_block(old);
    void *data;

    if (old == NULL) return fuzz_arena_malloc(size);
    if (block == NULL) return realloc(old, size);
    if (block->live != 1) TEST_FAIL("reallocated after it was freed: %p", old);
    data = fuzz_arena_malloc(size);
    if (data == NULL) return NULL;
    memcpy(data, old, block->size < size ? block->size : size);
    fuzz_arena_free(old);
    return data;
}

/* The next input begins. Blocks alive stay so, and with them all that lies below. */
FUZZ_UNSEEN void fuzz_arena_reset(void) {
    size_t at = fuzz_arena.floor;

    if (fuzz_arena.live > 0) {
        while (at < fuzz_arena.used) {
            const struct fuzz_block *block = (const void *)(fuzz_arena.bytes + at);
            at += sizeof *block + fuzz_arena_room(block->size);
            if (block->live) fuzz_arena.floor = at;
        }
    }
    FUZZ_POISON(fuzz_arena.bytes + fuzz_arena.floor, fuzz_arena.used - fuzz_arena.floor);
    fuzz_arena.used = fuzz_arena.floor;
    fuzz_arena.live = 0;
}

/* Read every byte: a sanitizer tells of those that must not be read. */
TEST_HELPER uint8_t fuzz_touch(const void *data, size_t size) {
    static uint8_t copy[1 << 16];
    const uint8_t *from = data;

    for (size_t at = 0; at < size; at += sizeof copy) {
        memcpy(copy, from + at, size - at < sizeof copy ? size - at : sizeof copy);
    }
    return copy[0];
}

#endif
