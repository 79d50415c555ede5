/*
** checksum_test.c — sums of files that exist, and how log sums split.
*/
#include "base/checksum.h"

#include "base/bytes.h"
#include "support/test.h"

TEST(a_checkpoint_with_an_odd_number_of_words_has_its_sums) {
    uint32_t words[33] = {0, 11, 35, 1, 1, 0x100000, 1, 4096, 1};

    words[14] = 4; /* first append point */
    words[24] = 3; /* level: first, last, size */
    words[26] = 3;
    words[30] = 1;
    CHECK_EQ_UINT(checksum_checkpoint(words, 33).s0, 0xb060d440);
    CHECK_EQ_UINT(checksum_checkpoint(words, 33).s1, 0x09ab99f1);
}

TEST(the_partnerless_word_is_split_into_halves) {
    static const uint32_t words[] = {0x00010002};

    CHECK_EQ_UINT(checksum_checkpoint(words, 1).s0, 1 + 2);
    CHECK_EQ_UINT(checksum_checkpoint(words, 1).s1, 2 + 0x00010000);
}

TEST(the_first_sum_of_a_new_log_is_that_of_the_worked_example) {
    struct checksum sum = {1234, 5678};

    checksum_log_finish(&sum, (const uint8_t *)"\x06\x01\x01\x6b\x76\x03", 6);
    CHECK_EQ_UINT(sum.s0, 0x6b011c06);
    CHECK_EQ_UINT(sum.s1, 0x6b0135aa);
}

TEST(a_span_of_whole_groups_needs_no_padding) {
    struct checksum sum = {7, 9};

    checksum_log_finish(&sum, NULL, 0);
    CHECK_EQ_UINT(sum.s0, 7);
    CHECK_EQ_UINT(sum.s1, 9);
}

TEST(a_log_sum_may_be_taken_in_pieces_of_eight) {
    uint8_t data[256];
    struct checksum whole = {1, 2};

    test_random_bytes(data, sizeof data);
    checksum_log_add(&whole, data, sizeof data);
    for (size_t cut = 0; cut <= sizeof data; cut += 8) {
        struct checksum parts = {1, 2};
        checksum_log_add(&parts, data, cut);
        checksum_log_add(&parts, data + cut, sizeof data - cut);
        CHECK_EQ_UINT(parts.s0, whole.s0);
        CHECK_EQ_UINT(parts.s1, whole.s1);
    }
}

TEST(a_tree_header_of_zeros_has_a_known_sum) {
    static const uint32_t zeros[36];
    uint32_t c0 = 0x12345678u, c1 = 0x9ABCDEF0u;

    for (int i = 0; i < 18; i++) c1 += c0;
    CHECK_EQ_UINT(checksum_tree_header(zeros).s0, c0);
    CHECK_EQ_UINT(checksum_tree_header(zeros).s1, c1);
}

TEST_MAIN()
