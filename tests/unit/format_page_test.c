/*
** format_page_test.c — footers and cell arrays of pages, good and bad.
*/
#include "format/format_page.h"

#include "support/test.h"

TEST(the_footer_of_the_first_worked_example_is_read) {
    static const uint8_t tail[16] = {0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
    uint8_t usable[4092] = {0};
    struct page_footer footer;
    uint32_t offset = 99;

    memcpy(usable + sizeof usable - 16, tail, 16);
    CHECK_OK(format_page_footer(usable, sizeof usable, 3, NULL, &footer));
    CHECK_EQ_UINT(footer.cell_count, 2);
    CHECK_EQ_UINT(footer.flags, 0);
    CHECK_EQ_UINT(footer.pointer, 0);
    CHECK_EQ_UINT(footer.record_end, 4092 - 12 - 4);
    CHECK_OK(format_page_cell(usable, sizeof usable, &footer, 0, 3, NULL, &offset));
    CHECK_EQ_UINT(offset, 0);
    CHECK_OK(format_page_cell(usable, sizeof usable, &footer, 1, 3, NULL, &offset));
    CHECK_EQ_UINT(offset, 8);
}

TEST(the_index_page_of_the_second_worked_example_is_read) {
    static const uint8_t tail[20] = {0, 24, 0, 17, 0, 10, 0, 3, 0, 0,
                                     0, 0,  0, 0,  0, 37, 0, 1, 0, 4};
    static const uint32_t offsets[] = {3, 10, 17, 24};
    uint8_t usable[256] = {0};
    struct page_footer footer;
    uint32_t offset;

    memcpy(usable + 256 - 20, tail, 20);
    CHECK_OK(format_page_footer(usable, 256, 38, NULL, &footer));
    CHECK_EQ_UINT(footer.flags, PAGE_FLAG_INDEX);
    CHECK_EQ_UINT(footer.pointer, 37);
    CHECK_EQ_UINT(footer.cell_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        CHECK_OK(format_page_cell(usable, 256, &footer, i, 38, NULL, &offset));
        CHECK_EQ_UINT(offset, offsets[i]);
    }
}

TEST(what_was_put_is_read_again) {
    uint8_t usable[252] = {0};
    struct page_footer footer;
    uint32_t offset;

    format_page_put_footer(usable, 252, 3, PAGE_FLAG_SKIP_NEXT | PAGE_FLAG_SKIP_THIS,
                           0x0102030405060708u);
    for (uint32_t i = 0; i < 3; i++) format_page_put_cell(usable, 252, i, 7 * i);
    CHECK_OK(format_page_footer(usable, 252, 1, NULL, &footer));
    CHECK_EQ_UINT(footer.pointer, 0x0102030405060708u);
    CHECK_EQ_UINT(footer.record_end, 234);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_OK(format_page_cell(usable, 252, &footer, i, 1, NULL, &offset));
        CHECK_EQ_UINT(offset, 7 * i);
    }
}

TEST(a_page_of_zeros_has_no_cells) {
    static const uint8_t usable[256];
    struct page_footer footer;

    CHECK_OK(format_page_footer(usable, 256, 9, NULL, &footer));
    CHECK_EQ_UINT(footer.cell_count, 0);
    CHECK_EQ_UINT(footer.record_end, 244);
}

TEST(more_cells_than_fit_are_corrupt) {
    uint8_t usable[256] = {0};
    struct error_context error = {0};
    struct page_footer footer = {.cell_count = 77};

    put_u16(usable + 254, 122); /* 12 + 244 = 256: just fits */
    CHECK_OK(format_page_footer(usable, 256, 9, &error, &footer));
    CHECK_EQ_UINT(footer.record_end, 0);
    footer.cell_count = 77;
    put_u16(usable + 254, 123);
    CHECK_RC(format_page_footer(usable, 256, 9, &error, &footer), LSM_CORRUPT);
    CHECK_EQ_UINT(footer.cell_count, 77);
    CHECK_EQ_UINT(error.page_no, 9);
    CHECK(error.reason != NULL);
    put_u16(usable + 254, 0xffff);
    CHECK_RC(format_page_footer(usable, 256, 9, NULL, &footer), LSM_CORRUPT);
}

TEST(only_known_flags_are_accepted) {
    uint8_t usable[256] = {0};
    struct page_footer footer;

    for (uint32_t flags = 0; flags < 0x10000; flags++) {
        bool legal = flags == 1 || (flags < 8 && !(flags & 1));
        put_u16(usable + 252, (uint16_t)flags);
        CHECK_RC(format_page_footer(usable, 256, 9, NULL, &footer), legal ? LSM_OK : LSM_CORRUPT);
    }
}

/* DF-49 */
TEST(a_cell_at_or_behind_the_end_of_the_record_area_is_corrupt) {
    uint8_t usable[256] = {0};
    struct error_context error = {0};
    struct page_footer footer;
    uint32_t offset = 5;

    format_page_put_footer(usable, 256, 1, 0, 0);
    CHECK_OK(format_page_footer(usable, 256, 9, NULL, &footer));
    put_u16(usable + 242, 241);
    CHECK_OK(format_page_cell(usable, 256, &footer, 0, 9, &error, &offset));
    CHECK_EQ_UINT(offset, 241);
    put_u16(usable + 242, 242);
    CHECK_RC(format_page_cell(usable, 256, &footer, 0, 9, &error, &offset), LSM_CORRUPT);
    CHECK_EQ_UINT(offset, 241);
    CHECK_EQ_UINT(error.page_no, 9);
}

TEST(the_largest_page_is_addressed_in_full) {
    static uint8_t usable[65536];
    struct page_footer footer;
    uint32_t offset;

    format_page_put_footer(usable, 65536, 1, 0, 0);
    format_page_put_cell(usable, 65536, 0, 65521);
    CHECK_OK(format_page_footer(usable, 65536, 1, NULL, &footer));
    CHECK_EQ_UINT(footer.record_end, 65522);
    CHECK_OK(format_page_cell(usable, 65536, &footer, 0, 1, NULL, &offset));
    CHECK_EQ_UINT(offset, 65521);
}

TEST_MAIN()
