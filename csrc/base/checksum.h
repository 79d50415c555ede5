/*
** checksum.h — the three sums of the format: checkpoint, log, tree header. All modulo 2^32.
**
** FORMAT      part by part in checksum.c; each is a pair of running sums, the second fed by the first.
*/
#ifndef LSM_BASE_CHECKSUM_H
#define LSM_BASE_CHECKSUM_H

#include "base/types.h"

struct checksum {
    uint32_t s0;
    uint32_t s1;
};

/* Of a checkpoint blob: `words` are its values (any byte order), without the two checksum words. */
struct checksum checksum_checkpoint(const uint32_t *words, uint32_t word_count);

/* Fold `size` bytes, a multiple of 8, into a log sum. */
void checksum_log_add(struct checksum *sum, const uint8_t *data, size_t size);

/* Close a span: fold the last 0..7 bytes, padded with zeros. */
void checksum_log_finish(struct checksum *sum, const uint8_t *tail, size_t size);

/* Of the first 144 bytes (36 words) of a tree header. */
struct checksum checksum_tree_header(const uint32_t words[36]);

#endif
