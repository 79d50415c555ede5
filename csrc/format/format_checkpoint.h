/*
** format_checkpoint.h — the checkpoint blob: everything needed to read one state of the database.
**
** A decoded checkpoint is a `struct snapshot`. It is fully checked (counts, ranges, page numbers on blocks
** that exist) or not produced at all.
**
** FORMAT      see format_checkpoint.c
*/
#ifndef LSM_FORMAT_CHECKPOINT_H
#define LSM_FORMAT_CHECKPOINT_H

#include "format/format_snapshot.h"

#define CHECKPOINT_WORDS_MAX 1016   /* 4066 bytes of a meta page, in u32 */
#define META_PAGE_SIZE 4096
#define META_PAGE_USED 4066

/* Words of a blob that are looked at without decoding it. */
enum checkpoint_word {
    CHECKPOINT_ID = 0, /* two words, as LOG_FIELD: see checkpoint_wide */
    CHECKPOINT_COMPRESSION = 3,
    CHECKPOINT_BLOCK_SIZE = 5,
    CHECKPOINT_LEVELS = 6,
    CHECKPOINT_PAGE_SIZE = 7,
    CHECKPOINT_PAGES_WRITTEN = 8,
    CHECKPOINT_LOG_FIELD = 9,
    CHECKPOINT_LOG_SUM0 = 11,
    CHECKPOINT_LOG_SUM1 = 12
};

static inline uint64_t checkpoint_wide(const uint32_t *words, enum checkpoint_word first) {
    return (uint64_t)words[first] << 32 | words[first + 1];
}

/* Bytes of pages written since there were so many pages. Both counts go round. */
static inline uint64_t checkpoint_bytes_since(const uint32_t *words, uint32_t pages_written) {
    return (uint64_t)(words[CHECKPOINT_PAGES_WRITTEN] - pages_written) * words[CHECKPOINT_PAGE_SIZE];
}

/* Words of the blob (host order) without checksum check: use checkpoint_words_valid first. `compressed`:
** page numbers are byte offsets. `meta_page` is for messages. */
LSM_MUST_USE int checkpoint_decode(const uint32_t *words, uint32_t word_count, bool compressed,
                                   lsm_env *env, struct error_context *error, struct snapshot *out);

/* Length in range, at least 25, and both sums right. `words` must have CHECKPOINT_WORDS_MAX words. */
bool checkpoint_words_valid(const uint32_t *words, uint32_t *word_count);

/* LSM_FULL (nothing written) when it does not fit. `words` has room for CHECKPOINT_WORDS_MAX. */
LSM_MUST_USE int checkpoint_encode(const struct snapshot *snapshot, uint32_t *words,
                                   uint32_t *word_count);

/* Meta page bytes <-> words (big-endian in the file). The bytes behind the blob are zeroed. */
void checkpoint_words_from_bytes(const uint8_t *bytes /* META_PAGE_USED */, uint32_t *words);
void checkpoint_words_to_bytes(const uint32_t *words, uint32_t word_count,
                               uint8_t *bytes /* META_PAGE_USED */);

#endif
