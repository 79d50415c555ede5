/*
** bytes_test.c — big-endian numbers, the bounded reader, and checked sums.
*/
#include "base/bytes.h"

#include "base/checked.h"
#include "support/test.h"

TEST(numbers_are_stored_with_the_high_byte_first) {
    uint8_t out[8];

    put_u16(out, 0x0102);
    CHECK_EQ_BYTES(out, 2, "\x01\x02", 2);
    CHECK_EQ_UINT(get_u16(out), 0x0102);
    put_u32(out, 0xf1020304);
    CHECK_EQ_BYTES(out, 4, "\xf1\x02\x03\x04", 4);
    CHECK_EQ_UINT(get_u32(out), 0xf1020304);
    put_u64(out, 0xf102030405060708);
    CHECK_EQ_BYTES(out, 8, "\xf1\x02\x03\x04\x05\x06\x07\x08", 8);
    CHECK_EQ_UINT(get_u64(out), 0xf102030405060708);
    put_u32_little(out, 0xf1020304);
    CHECK_EQ_BYTES(out, 4, "\x04\x03\x02\xf1", 4);
    CHECK_EQ_UINT(get_u32_little(out), 0xf1020304);
}

TEST(a_reader_goes_through_its_bytes_and_then_fails_for_good) {
    static const uint8_t data[] = {7, 0, 0, 1, 0, 0xf1, 0x3c, 'a', 'b', 9};
    struct bytes_reader reader = bytes_reader_make(data, sizeof data);
    struct slice slice;

    CHECK_EQ_UINT(bytes_reader_u8(&reader), 7);
    CHECK_EQ_UINT(bytes_reader_u32(&reader), 256);
    CHECK_EQ_UINT(bytes_reader_varint(&reader), 300);
    slice = bytes_reader_slice(&reader, 2);
    CHECK_EQ_BYTES(slice.data, slice.size, "ab", 2);
    CHECK_EQ_UINT(bytes_reader_left(&reader), 1);
    CHECK(!reader.failed);
    CHECK_EQ_UINT(bytes_reader_u32(&reader), 0);
    CHECK(reader.failed);
    CHECK_EQ_UINT(bytes_reader_u8(&reader), 0); /* the last byte is not given out after that */
    CHECK(reader.failed);
}

TEST(each_read_past_the_end_fails) {
    static const uint8_t data[] = {0xf9, 1};
    struct bytes_reader reader = bytes_reader_make(data, 2);

    CHECK_EQ_UINT(bytes_reader_varint(&reader), 0);
    CHECK(reader.failed);
    reader = bytes_reader_make(data, 2);
    CHECK_EQ_UINT(bytes_reader_u64(&reader), 0);
    CHECK(reader.failed);
    reader = bytes_reader_make(data, 2);
    CHECK_EQ_PTR(bytes_reader_slice(&reader, 3).data, NULL);
    CHECK(reader.failed);
    reader = bytes_reader_make(data, 0);
    CHECK_EQ_UINT(bytes_reader_u8(&reader), 0);
    CHECK(reader.failed);
}

TEST(a_checked_sum_or_product_that_does_not_fit_is_noticed) {
    uint64_t out = 5;
    uint32_t small = 5;

    CHECK(checked_add_u64(UINT64_MAX - 1, 1, &out) && out == UINT64_MAX);
    CHECK(!checked_add_u64(UINT64_MAX, 1, &out) && out == UINT64_MAX);
    CHECK(checked_mul_u64(1ull << 32, (1ull << 32) - 1, &out));
    CHECK(!checked_mul_u64(1ull << 32, 1ull << 32, &out));
    CHECK(checked_mul_u64(UINT64_MAX, 0, &out) && out == 0);
    CHECK(checked_add_u32(UINT32_MAX, 0, &small) && small == UINT32_MAX);
    CHECK(!checked_add_u32(UINT32_MAX, 1, &small));
}

TEST(keys_compare_as_unsigned_bytes_and_then_by_length) {
    struct slice empty = {NULL, 0};
    struct slice a = {(const uint8_t *)"a", 1};
    struct slice ab = {(const uint8_t *)"ab", 2};
    struct slice high = {(const uint8_t *)"\xff", 1};

    CHECK(key_compare(empty, a) < 0 && key_compare(empty, empty) == 0);
    CHECK(key_compare(a, ab) < 0 && key_compare(ab, a) > 0);
    CHECK(key_compare(a, high) < 0);
    CHECK(topic_key_compare(TOPIC_USER, high, TOPIC_SYSTEM, a) < 0);
}

TEST_MAIN()
