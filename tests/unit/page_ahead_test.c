/*
** page_ahead_test.c — walks ask for every page in time and once; lookups ask for nothing.
*/
#include "pager/pager_internal.h"
#include "support/memory_env.h"

#define SPAN 256u
#define UNIT 64u

static uint8_t asked[SPAN];

static void ask(uint64_t at, uint64_t begin, uint64_t steps) {
    struct page_range range = page_ahead_range(at, begin, SPAN, UNIT, steps);

    CHECK(range.from <= range.to && range.to <= SPAN);
    for (uint64_t i = range.from; i < range.to; i++) {
        CHECK(i > at);
        asked[i]++;
    }
}

TEST(a_walk_through_a_block_asks_for_each_page_once_and_before_it_is_there) {
    for (uint64_t begin = 0; begin <= 2; begin++) {
        memset(asked, 0, sizeof asked);
        for (uint64_t at = begin; at < SPAN; at++) {
            if (at > begin) CHECK_EQ_UINT(asked[at], 1);
            ask(at, begin, 1000 + at);
        }
    }
}

TEST(a_walk_from_the_middle_asks_from_its_fourth_step_on) {
    for (uint64_t start = 0; start < SPAN; start++) {
        memset(asked, 0, sizeof asked);
        for (uint64_t at = start; at < SPAN; at++) {
            if (at > start + 4) CHECK(asked[at] == 1 || asked[at] == 2);
            if (at <= start + 4) CHECK_EQ_UINT(asked[at], 0);
            ask(at, 0, at - start);
        }
    }
}

TEST(three_steps_are_a_lookup) {
    memset(asked, 0, sizeof asked);
    for (uint64_t at = 0; at < SPAN; at++) ask(at, 0, at % 4);
    for (uint64_t at = 0; at < SPAN; at++) CHECK_EQ_UINT(asked[at], 0);
}

TEST(a_block_of_four_pages_is_asked_for_page_by_page) {
    for (uint64_t at = 0; at < 4; at++) {
        struct page_range range = page_ahead_range(at, 0, 4, 1, 9);
        CHECK(range.from <= range.to && range.to <= 4);
        if (at < 2) CHECK(range.to > at + 1);
    }
}

/* ---------------------------------------------------------------------------- with a file -- */

static const uint8_t *told;     /* beginning of what the system was told of last */
static size_t told_size;        /* of all together */

static void will_read(const void *address, size_t size) {
    told = address;
    told_size += size;
}

TEST(hints_concern_the_mapped_bytes_of_the_pages_ahead) {
    struct os_extra listening = *os_extra_of(lsm_default_env());
    static struct os_extra usual;
    struct pager_config config = {.mmap_bytes = UINT64_MAX, .cache_bytes = 1 << 16};
    struct error_context error = {0};
    struct os_file file = {0};
    struct pager *pager = NULL;
    struct page page;
    uint8_t image[65536] = {0};

    usual = listening;
    listening.will_read = will_read;
    CHECK_OK(os_extra_register(lsm_default_env(), &listening));
    CHECK_OK(os_open(lsm_default_env(), test_path("a"), 0, &file));
    CHECK_OK(pager_open(lsm_default_env(), &file, &config, &pager));
    CHECK_OK(pager_set_geometry(pager, 1024, 65536)); /* 64 pages a block, units of 16 */
    pager_set_block_limit(pager, 4);
    for (uint64_t i = 1; i < 4; i++) {
        put_u32(image + sizeof image - BLOCK_LINK_SIZE, i == 1 ? 4 : 0); /* 2 -> 4 */
        CHECK_OK(pager_write_raw(pager, i * 65536, image, sizeof image));
    }
    pager_reader_enter(pager);
    CHECK_OK(pager_get(pager, NULL, 65, &error, &page));

    pager_look_ahead(pager, NULL, 70, true, 3);
    CHECK_EQ_UINT(told_size, 0);
    pager_look_ahead(pager, NULL, 70, true, 4); /* sixth of block 2: the rest of units 0 and 1 */
    CHECK_EQ_PTR(told, page.data - BLOCK_LINK_SIZE + 6 * 1024);
    CHECK_EQ_UINT(told_size, 26 * 1024);
    pager_look_ahead(pager, NULL, 65 + 16, true, 9); /* begins unit 1 */
    CHECK_EQ_PTR(told, page.data - BLOCK_LINK_SIZE + 32 * 1024);
    CHECK_EQ_UINT(told_size, (26 + 16) * 1024);
    pager_look_ahead(pager, NULL, 128, false, 9); /* enters block 2 from behind */
    CHECK_EQ_PTR(told, page.data - BLOCK_LINK_SIZE + 32 * 1024);
    CHECK_EQ_UINT(told_size, (26 + 16 + 31) * 1024);
    pager_look_ahead(pager, NULL, 65 + 56, true, 9); /* half of the last unit: block 4 follows */
    CHECK_EQ_PTR(told, page.data - BLOCK_LINK_SIZE + 2 * 65536);
    CHECK_EQ_UINT(told_size, (26 + 16 + 31 + 16) * 1024);

    /* Numbers that no file explains. */
    pager_look_ahead(pager, NULL, 0, true, 9);
    pager_look_ahead(pager, NULL, UINT64_MAX, true, 9);
    pager_look_ahead(pager, NULL, 5 * 64, false, 9);
    CHECK_EQ_UINT(told_size, (26 + 16 + 31 + 16) * 1024);

    pager_put(pager, &page);
    pager_reader_leave(pager);
    pager_close(pager);
    os_close(&file);
    CHECK_OK(os_extra_register(lsm_default_env(), &usual));
}
TEST_MAIN()
