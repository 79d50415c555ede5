/*
** checksum.c — the three sums of the format.
*/
#include "base/checksum.h"

#include "base/bytes.h"

/*
** FORMAT      s = 1, t = 2. An odd number of words: the last, partnerless word is added first, its low
**             half to s and its high half to t. Then each pair (a, b): s += t + a; t += s + b.
*/
struct checksum checksum_checkpoint(const uint32_t *words, uint32_t word_count) {
    uint32_t s = 1;
    uint32_t t = 2;
    uint32_t i;

    if (word_count & 1) {
        s += words[word_count - 1] & 0x0000FFFFu;
        t += words[word_count - 1] & 0xFFFF0000u;
    }
    for (i = 0; i + 1 < word_count; i += 2) {
        s += t + words[i];
        t += s + words[i + 1];
    }
    return (struct checksum){s, t};
}

/*
** FORMAT      little-endian words in pairs (x, y): s0 += x + s1; s1 += y + s0.
*/
void checksum_log_add(struct checksum *sum, const uint8_t *data, size_t size) {
    uint32_t s0 = sum->s0;
    uint32_t s1 = sum->s1;
    size_t i;

    assert(size % 8 == 0);
    /* What was known first is added first: one addition a word is all that waits for the one before. */
    for (i = 0; i < size; i += 8) {
        s0 = (s0 + get_u32_little(data + i)) + s1;
        s1 = (s1 + get_u32_little(data + i + 4)) + s0;
    }
    sum->s0 = s0;
    sum->s1 = s1;
}

void checksum_log_finish(struct checksum *sum, const uint8_t *tail, size_t size) {
    uint8_t padded[8] = {0};

    assert(size < 8);
    if (size == 0) return;
    memcpy(padded, tail, size);
    checksum_log_add(sum, padded, 8);
}

/*
** FORMAT      c0 = 0x12345678, c1 = 0x9ABCDEF0. Each pair (a, b): c0 += a; c1 += c0 + b.
*/
struct checksum checksum_tree_header(const uint32_t words[36]) {
    uint32_t c0 = 0x12345678u;
    uint32_t c1 = 0x9ABCDEF0u;
    uint32_t i;

    for (i = 0; i < 36; i += 2) {
        c0 += words[i];
        c1 += c0 + words[i + 1];
    }
    return (struct checksum){c0, c1};
}
