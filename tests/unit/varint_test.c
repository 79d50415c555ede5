/*
** varint_test.c — the table of varint.h, its worked examples, and numbers that end too early.
*/
#include "base/varint.h"

#include "support/test.h"

static void check_encoding(uint64_t value, const char *bytes, uint32_t size) {
    uint8_t out[VARINT_SIZE_MAX + 1];
    uint64_t back = ~value;

    memset(out, 0xAA, sizeof out);
    CHECK_EQ_UINT(varint_put(out, value), size);
    CHECK_EQ_UINT(varint_size(value), size);
    CHECK_EQ_BYTES(out, size, bytes, size);
    CHECK_EQ_UINT(out[size], 0xAA);
    CHECK_EQ_UINT(varint_get(out, out + size, &back), size);
    CHECK_EQ_UINT(back, value);
}

TEST(the_worked_examples_are_encoded_byte_for_byte) {
    check_encoding(0, "\x00", 1);
    check_encoding(240, "\xf0", 1);
    check_encoding(241, "\xf1\x01", 2);
    check_encoding(300, "\xf1\x3c", 2);
    check_encoding(2287, "\xf8\xff", 2);
    check_encoding(2288, "\xf9\x00\x00", 3);
    check_encoding(67823, "\xf9\xff\xff", 3);
    check_encoding(67824, "\xfa\x01\x08\xf0", 4);
    check_encoding(40000, "\xf9\x93\x50", 3);
    check_encoding(UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9);
}

TEST(each_border_of_the_table_changes_the_size) {
    static const struct {
        uint64_t last;
        uint32_t size;
    } rows[] = {
        {240, 1},           {2287, 2},          {67823, 3},         {(1ull << 24) - 1, 4},
        {(1ull << 32) - 1, 5}, {(1ull << 40) - 1, 6}, {(1ull << 47) - 1, 7}, {(1ull << 56) - 1, 8},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_EQ_UINT(varint_size(rows[i].last), rows[i].size);
        CHECK_EQ_UINT(varint_size(rows[i].last + 1), rows[i].size + 1);
    }
}

TEST(a_number_between_2_47_and_2_48_may_come_in_either_form) {
    static const uint8_t seven[] = {0xfd, 0x80, 0, 0, 0, 0, 1};
    static const uint8_t eight[] = {0xfe, 0, 0x80, 0, 0, 0, 0, 1};
    uint64_t value = 0;

    CHECK_EQ_UINT(varint_get(seven, seven + 7, &value), 7);
    CHECK_EQ_UINT(value, (1ull << 47) + 1);
    CHECK_EQ_UINT(varint_get(eight, eight + 8, &value), 8);
    CHECK_EQ_UINT(value, (1ull << 47) + 1);
    CHECK_EQ_UINT(varint_size((1ull << 47) + 1), 8);
}

TEST(a_form_longer_than_needed_is_read) {
    static const uint8_t bytes[] = {0xfb, 0, 0, 0, 7};
    uint64_t value = 0;

    CHECK_EQ_UINT(varint_get(bytes, bytes + 5, &value), 5);
    CHECK_EQ_UINT(value, 7);
}

TEST(a_number_cut_off_anywhere_is_not_read) {
    for (int bits = 0; bits < 64; bits++) {
        uint8_t out[VARINT_SIZE_MAX];
        uint32_t size = varint_put(out, 1ull << bits);
        for (uint32_t have = 0; have < size; have++) {
            uint8_t *copy = malloc(have + 1); /* exactly as long, so that reading on is noticed */
            uint64_t value = 77;
            memcpy(copy, out, have);
            CHECK_EQ_UINT(varint_get(copy, copy + have, &value), 0);
            CHECK_EQ_UINT(value, 77);
            free(copy);
        }
    }
}

TEST(random_numbers_of_every_length_come_back) {
    for (int i = 0; i < 200000; i++) {
        uint64_t value = test_random() >> test_random_below(64);
        uint64_t back = 0;
        uint8_t out[VARINT_SIZE_MAX];
        uint32_t size = varint_put(out, value);
        if (varint_get(out, out + size, &back) != size || back != value) {
            TEST_FAIL("%" PRIu64 " became %" PRIu64, value, back);
        }
    }
}

TEST_MAIN()
