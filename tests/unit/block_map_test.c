/*
** block_map_test.c — links from block to block, moved blocks, loops, membership.
*/
#include "base/bytes.h"
#include "pager/pager_internal.h"
#include "support/memory_env.h"

/* Sixteen pages of 4096 bytes per block: block b has pages 16b-15 .. 16b, block 1 begins at page 3. */
struct fixture {
    struct memory_env m;
    struct os_file file;
    struct pager *pager;
    struct error_context error;
};

static void put_link(struct fixture *f, uint64_t offset, uint32_t block_no) {
    uint8_t bytes[4];
    put_u32(bytes, block_no);
    CHECK_OK(pager_write_raw(f->pager, offset, bytes, 4));
}

/* Chain two blocks to each other. */
static void join(struct fixture *f, uint32_t from, uint32_t to) {
    put_link(f, (uint64_t)from * 65536 - 4, to);
    put_link(f, to == 1 ? 8192 : (uint64_t)(to - 1) * 65536, from);
}

static void open_fixture(struct fixture *f) {
    struct pager_config config = {.cache_bytes = 1 << 16};
    memset(f, 0, sizeof *f);
    memory_env_open(&f->m);
    CHECK_OK(os_open(&f->m.env, "db", 0, &f->file));
    CHECK_OK(pager_open(&f->m.env, &f->file, &config, &f->pager));
    CHECK_OK(pager_set_geometry(f->pager, 4096, 65536));
    pager_set_block_limit(f->pager, 6);
    put_link(f, 6 * 65536 - 4, 0); /* all of them are there */
}

static void close_fixture(struct fixture *f) {
    pager_close(f->pager);
    os_close(&f->file);
    memory_env_close(&f->m);
}

/* Numbers of all pages from first to last, and back; returns how many. */
static uint32_t walk(struct fixture *f, const struct redirects *redirects,
                     const struct segment *segment, uint64_t *pages, uint32_t capacity) {
    uint32_t count = 0;
    uint64_t page_no = segment->first;
    uint64_t last = 0;
    struct page page;

    while (page_no) {
        CHECK(count < capacity);
        CHECK_OK(pager_get(f->pager, redirects, page_no, &f->error, &page));
        pages[count++] = page.page_no;
        CHECK_OK(pager_segment_next(f->pager, redirects, segment, &page, &f->error, &page_no));
        pager_put(f->pager, &page);
    }
    CHECK_OK(pager_segment_last(f->pager, redirects, segment, &f->error, &last));
    page_no = last;
    for (uint32_t i = count; i > 0; i--) {
        CHECK_OK(pager_get(f->pager, redirects, page_no, &f->error, &page));
        CHECK_EQ_UINT(page.page_no, pages[i - 1]);
        CHECK_OK(pager_segment_prev(f->pager, redirects, segment, &page, &f->error, &page_no));
        pager_put(f->pager, &page);
    }
    CHECK_EQ_UINT(page_no, 0);
    return count;
}

TEST(a_segment_goes_from_block_to_block_by_links_both_ways) {
    struct fixture f;
    struct segment segment = {.first = 10, .last = 84, .size = 7 + 16 + 4};
    uint64_t pages[64];

    open_fixture(&f);
    join(&f, 1, 3);
    join(&f, 3, 6);
    CHECK_EQ_UINT(walk(&f, NULL, &segment, pages, 64), 27);
    CHECK_EQ_UINT(pages[0], 10);
    CHECK_EQ_UINT(pages[6], 16);
    CHECK_EQ_UINT(pages[7], 33);
    CHECK_EQ_UINT(pages[22], 48);
    CHECK_EQ_UINT(pages[23], 81);
    CHECK_EQ_UINT(pages[26], 84);
    close_fixture(&f);
}

TEST(a_segment_may_lead_to_a_lower_block_and_to_block_1) {
    struct fixture f;
    struct segment segment = {.first = 65, .last = 4, .size = 18};
    uint64_t pages[64];

    open_fixture(&f);
    join(&f, 5, 1);
    CHECK_EQ_UINT(walk(&f, NULL, &segment, pages, 64), 18);
    CHECK_EQ_UINT(pages[15], 80);
    CHECK_EQ_UINT(pages[16], 3);
    close_fixture(&f);
}

TEST(moved_blocks_are_found_through_old_numbers_in_links_and_pages) {
    struct fixture f;
    struct redirects redirects = {2, {{5, 2}, {6, 3}}};
    struct segment segment = {.first = 20, .last = 36, .size = 17}; /* written as 5 -> 6 */
    uint64_t pages[64];

    open_fixture(&f);
    put_link(&f, 2 * 65536 - 4, 6); /* links keep the old numbers */
    put_link(&f, 2 * 65536, 5);
    CHECK_EQ_UINT(walk(&f, &redirects, &segment, pages, 64), 17);
    CHECK_EQ_UINT(pages[13], 33);
    CHECK_EQ_UINT(pager_redirect(f.pager, &redirects, 68), 20);
    CHECK_EQ_UINT(pager_redirect(f.pager, &redirects, 20), 20); /* again does no harm */
    CHECK_EQ_UINT(pager_redirect(f.pager, &redirects, 81), 33);
    CHECK_EQ_UINT(pager_redirect(f.pager, NULL, 81), 81);
    CHECK_EQ_UINT(pager_redirect_block(&redirects, 5), 2);
    CHECK_EQ_UINT(pager_redirect_block(&redirects, 4), 4);
    CHECK_EQ_UINT(pager_redirect_block(NULL, 5), 5);
    close_fixture(&f);
}

TEST(links_that_lead_to_no_block_are_corrupt) {
    static const uint32_t wrong[] = {0, 7, UINT32_MAX};
    struct fixture f;
    struct page page;
    uint64_t number = 123;
    uint32_t block_no = 123;

    open_fixture(&f);
    for (size_t i = 0; i < 3; i++) {
        put_link(&f, 2 * 65536 - 4, wrong[i]);
        put_link(&f, 65536, wrong[i]);
        CHECK_OK(pager_get(f.pager, NULL, 32, &f.error, &page));
        CHECK_RC(pager_next(f.pager, NULL, &page, &f.error, &number), LSM_CORRUPT);
        pager_put(f.pager, &page);
        CHECK_OK(pager_get(f.pager, NULL, 17, &f.error, &page));
        CHECK_RC(pager_prev(f.pager, NULL, &page, &f.error, &number), LSM_CORRUPT);
        pager_put(f.pager, &page);
        CHECK_RC(pager_next_block(f.pager, NULL, 2, &f.error, &block_no), LSM_CORRUPT);
    }
    CHECK_RC(pager_next_block(f.pager, NULL, 0, &f.error, &block_no), LSM_CORRUPT);
    CHECK_RC(pager_next_block(f.pager, NULL, 7, &f.error, &block_no), LSM_CORRUPT);
    CHECK_EQ_UINT(number, 123);
    CHECK_EQ_UINT(block_no, 123);
    close_fixture(&f);
}

TEST(membership_follows_the_chain) {
    static const struct { uint64_t page_no; bool inside; } rows[] = {
        {9, false}, {10, true}, {16, true}, {17, false}, {32, false}, {33, true}, {48, true},
        {80, false}, {81, true}, {84, true}, {85, false}, {0, false}, {2, false}, {97, false},
        {UINT64_MAX, false}};
    struct fixture f;
    struct segment segment = {.first = 10, .last = 84, .size = 27};
    uint64_t size = 0;

    open_fixture(&f);
    join(&f, 1, 3);
    join(&f, 3, 6);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool inside = !rows[i].inside;
        CHECK_OK(pager_segment_contains(f.pager, NULL, &segment, rows[i].page_no, &f.error, &inside));
        CHECK_MSG(inside == rows[i].inside, "page %u", (unsigned)rows[i].page_no);
    }
    CHECK_OK(pager_segment_measure(f.pager, NULL, &segment, &f.error, &size));
    CHECK_EQ_UINT(size, 27);
    close_fixture(&f);
}

/* DF-49 */
TEST(loops_of_blocks_end_with_an_error) {
    struct fixture f;
    struct segment segment = {.first = 10, .last = 84, .size = 27};
    bool inside = false;
    uint64_t size = 0;

    open_fixture(&f);
    join(&f, 1, 3);
    join(&f, 3, 1); /* never reaches block 6 */
    CHECK_RC(pager_segment_contains(f.pager, NULL, &segment, 70, &f.error, &inside), LSM_CORRUPT);
    CHECK_RC(pager_segment_measure(f.pager, NULL, &segment, &f.error, &size), LSM_CORRUPT);
    close_fixture(&f);
}

TEST(a_size_from_the_file_cannot_ask_for_more_pages_than_there_are) {
    struct fixture f;
    struct segment segment = {.first = 10, .last = 84, .size = UINT64_MAX};

    open_fixture(&f);
    CHECK_EQ_UINT(pager_segment_pages_max(f.pager, &segment), 96);
    segment.size = 5;
    CHECK_EQ_UINT(pager_segment_pages_max(f.pager, &segment), 5);
    close_fixture(&f);
}

TEST_MAIN()
