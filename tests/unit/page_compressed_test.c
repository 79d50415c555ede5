/*
** page_compressed_test.c — frames byte by byte: pages, padding, block ends, damage.
*/
#include "base/bytes.h"
#include "pager/pager_internal.h"
#include "support/golden.h"

/* ------------------------------------------------- the worked example, a file made by LSM1 -- */

TEST(the_worked_example_of_the_format_is_read) {
    struct golden g;
    struct segment_view view;
    struct page page;
    uint64_t number = 99;
    uint64_t size = 0;

    golden_open(&g, "packed");
    view = golden_view(&g, 0, GOLDEN_LEFT);
    CHECK_EQ_UINT(view.segment->first, 8196);
    CHECK_EQ_UINT(view.segment->last, 8703);
    CHECK_EQ_BYTES(g.bytes + 8192, 4 + 3 + 18 + 3 + 3,
                   "\0\0\0\0\x80\x80\x92\x01\x48\x01\0\x02\x02\x01\x6b\x01\x31\x01\x76\x01\x31\xf7\0"
                   "\x01\x01\x80\x80\x92\x80\x03\xde", 31);
    CHECK_OK(pager_get(g.pager, NULL, 8196, &g.error, &page));
    CHECK_EQ_UINT(page.size, 256);
    CHECK_EQ_UINT(page.page_no, 8196);
    CHECK_EQ_UINT(page.next, 8220);
    CHECK_EQ_BYTES(page.data, 8, "\x48\0\x02\x02k1v1", 8);
    CHECK_OK(pager_segment_next(g.pager, NULL, view.segment, &page, &g.error, &number));
    CHECK_EQ_UINT(number, 0); /* only padding follows */
    CHECK_OK(pager_segment_prev(g.pager, NULL, view.segment, &page, &g.error, &number));
    CHECK_EQ_UINT(number, 0);
    pager_put(g.pager, &page);
    CHECK_OK(pager_segment_last(g.pager, NULL, view.segment, &g.error, &number));
    CHECK_EQ_UINT(number, 8196);
    CHECK_OK(pager_segment_measure(g.pager, NULL, view.segment, &g.error, &size));
    CHECK_EQ_UINT(size, view.segment->size);
    golden_close(&g);
}

TEST(every_damaged_byte_of_the_sizes_is_noticed) {
    /* offset, new byte */
    static const struct { uint32_t at; uint8_t byte; } rows[] = {
        {8196, 0x00}, {8196, 0x01}, {8196, 0x05}, {8196, 0x06}, {8196, 0x7f}, {8196, 0xff},
        {8197, 0x00}, {8197, 0xff}, {8198, 0x12}, {8198, 0x93}, {8198, 0x91}, {8198, 0x80},
        {8217, 0x00}, {8218, 0x00}, {8219, 0x00}, {8199, 0x00}, {8199, 0xff}, {8213, 0xff}};
    struct golden g;

    golden_open(&g, "packed");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t kept = g.bytes[rows[i].at];
        struct page page = {0};
        TEST_NOTE("row %zu", i);
        golden_close_pager(&g);
        g.bytes[rows[i].at] = rows[i].byte;
        golden_pager(&g, &rle_codec);
        error_clear(&g.error);
        CHECK_RC(pager_get(g.pager, NULL, 8196, &g.error, &page), LSM_CORRUPT);
        CHECK(g.error.reason != NULL);
        g.bytes[rows[i].at] = kept;
    }
    golden_close(&g);
}

/* ------------------------------------------------------------------- frames made by hand -- */

struct fixture {
    struct memory_env m;
    struct os_file file;
    struct pager *pager;
    struct error_context error;
    uint32_t block_no;  /* where the next byte goes */
    uint64_t at;
    uint32_t next_block;
};

static void open_fixture(struct fixture *f) {
    struct pager_config config = {.cache_bytes = 1 << 16, .compress = &copy_codec};
    memset(f, 0, sizeof *f);
    memory_env_open(&f->m);
    CHECK_OK(os_open(&f->m.env, "db", 0, &f->file));
    CHECK_OK(pager_open(&f->m.env, &f->file, &config, &f->pager));
    CHECK_OK(pager_set_geometry(f->pager, 256, 65536));
    pager_set_block_limit(f->pager, 4);
}

static void close_fixture(struct fixture *f) {
    pager_close(f->pager);
    os_close(&f->file);
    memory_env_close(&f->m);
}

/* Write a byte where the chain is, going from a full block to `next_block`. */
static void put_byte(struct fixture *f, uint8_t byte) {
    uint8_t link[4];

    CHECK_OK(pager_write_raw(f->pager, f->at, &byte, 1));
    if (f->at++ < pager_last_page(f->pager, f->block_no)) return;
    put_u32(link, f->next_block);
    CHECK_OK(pager_write_raw(f->pager, f->at, link, 4));
    put_u32(link, f->block_no);
    CHECK_OK(pager_write_raw(f->pager, pager_prev_link_offset(f->pager, f->next_block), link, 4));
    f->block_no = f->next_block;
    f->at = pager_first_page(f->pager, f->block_no);
}

static void put_size(struct fixture *f, uint32_t size, bool padding) {
    put_byte(f, (uint8_t)(0x80 | size >> 14));
    put_byte(f, (uint8_t)((padding ? 0 : 0x80) | (size >> 7 & 0x7f)));
    put_byte(f, (uint8_t)(0x80 | (size & 0x7f)));
}

static uint64_t put_page_frame(struct fixture *f, uint8_t byte) {
    uint64_t offset = f->at;
    put_size(f, 256, false);
    for (int i = 0; i < 256; i++) put_byte(f, byte);
    put_size(f, 256, false);
    return offset;
}

static void put_padding(struct fixture *f, uint32_t total) {
    if (total < 6) {
        for (uint32_t i = 0; i < total; i++) put_byte(f, i == 0 || i == total - 1 ? (uint8_t)total : 0);
    } else {
        put_size(f, total - 6, true);
        for (uint32_t i = 6; i < total; i++) put_byte(f, 0);
        put_size(f, total - 6, true);
    }
}

/* Walk both ways over `count` pages whose images are full of 1, 2, 3, ... */
static void check_chain(struct fixture *f, const struct redirects *redirects,
                        const struct segment *segment, uint32_t count) {
    uint64_t page_no = segment->first;
    uint64_t size = 0;
    uint32_t seen = 0;
    struct page page;

    while (page_no != 0) {
        CHECK_OK(pager_get(f->pager, redirects, page_no, &f->error, &page));
        CHECK_EQ_INT(page.data[0], seen + 1);
        CHECK_EQ_INT(page.data[255], seen + 1);
        seen++;
        CHECK_OK(pager_segment_next(f->pager, redirects, segment, &page, &f->error, &page_no));
        pager_put(f->pager, &page);
    }
    CHECK_EQ_UINT(seen, count);
    CHECK_OK(pager_segment_last(f->pager, redirects, segment, &f->error, &page_no));
    while (page_no != 0) {
        CHECK_OK(pager_get(f->pager, redirects, page_no, &f->error, &page));
        CHECK_EQ_INT(page.data[0], seen);
        seen--;
        CHECK_OK(pager_segment_prev(f->pager, redirects, segment, &page, &f->error, &page_no));
        pager_put(f->pager, &page);
    }
    CHECK_EQ_UINT(seen, 0);
    CHECK_OK(pager_segment_measure(f->pager, redirects, segment, &f->error, &size));
    CHECK_EQ_UINT(size, segment->size);
}

TEST(frames_and_padding_are_found_wherever_a_block_ends) {
    /* The block ends after 0..266 bytes of the second page's frame, or inside padding before it. */
    for (uint32_t cut = 0; cut <= 266; cut++) {
        struct fixture f;
        struct segment segment = {0};

        TEST_NOTE("cut %u", cut);
        open_fixture(&f);
        f.block_no = 3;
        f.next_block = 2;
        f.at = pager_last_page(f.pager, 3) + 1 - 262 - cut;
        segment.first = put_page_frame(&f, 1);
        if (cut == 3) put_padding(&f, 2);
        else if (cut == 9) put_padding(&f, 9);
        else if (cut == 8) put_padding(&f, 1);
        segment.size = 262 + (cut == 9 ? 9 : 0);
        f.next_block = cut == 0 && f.block_no == 3 ? 2 : 4;
        if (f.block_no == 3) f.next_block = 2;
        put_page_frame(&f, 2);
        put_padding(&f, 40);
        f.next_block = 4;
        put_page_frame(&f, 3);
        put_padding(&f, 5);
        segment.last = f.at - 1;
        segment.size += 262 + 40 + 262; /* short padding does not count */
        check_chain(&f, NULL, &segment, 3);
        close_fixture(&f);
    }
}

static void copy_block(struct fixture *f, uint32_t from, uint32_t to) {
    static uint8_t bytes[65536];

    CHECK_OK(pager_read_raw(f->pager, (uint64_t)(from - 1) * sizeof bytes, bytes, sizeof bytes));
    CHECK_OK(pager_write_raw(f->pager, (uint64_t)(to - 1) * sizeof bytes, bytes, sizeof bytes));
    memset(bytes, 0xee, sizeof bytes); /* the old place is used for something else */
    CHECK_OK(pager_write_raw(f->pager, (uint64_t)(from - 1) * sizeof bytes, bytes, sizeof bytes));
}

TEST(a_cached_page_leads_on_wherever_the_next_block_was_moved_to) {
    for (uint32_t cut = 0; cut <= 262; cut++) {
        struct redirects redirects = {.count = 1, .pairs = {{4, 3}}};
        struct segment segment = {0};
        struct fixture f;

        TEST_NOTE("cut %u", cut);
        open_fixture(&f);
        pager_set_block_limit(f.pager, 5);
        f.block_no = 2;
        f.next_block = 4;
        f.at = pager_last_page(f.pager, 2) + 1 - 262 - cut;
        segment.first = put_page_frame(&f, 1);
        put_page_frame(&f, 2); /* cut bytes of it in the first block */
        put_page_frame(&f, 3);
        put_padding(&f, 5);
        segment.last = f.at - 1;
        segment.size = 3 * 262;
        check_chain(&f, NULL, &segment, 3);

        copy_block(&f, 4, 3);
        segment.last -= 65536;
        page_cache_drop(&f.pager->cache, 0, UINT64_MAX); /* all is read anew */
        check_chain(&f, &redirects, &segment, 3);

        copy_block(&f, 3, 5); /* a block that moves again keeps its pair */
        redirects.pairs[0].to = 5;
        segment.last += 2 * 65536;
        page_cache_drop(&f.pager->cache, pager_first_page(f.pager, 3), UINT64_MAX);
        check_chain(&f, &redirects, &segment, 3);
        close_fixture(&f);
    }
}

TEST(padding_without_end_is_corrupt) {
    struct fixture f;
    struct segment segment = {.first = 8196, .last = 60000, .size = 1};
    struct page page;
    uint64_t number = 0;

    open_fixture(&f);
    f.block_no = 1;
    f.at = 8196;
    put_page_frame(&f, 1);
    for (int i = 0; i < 1000; i++) put_padding(&f, 1);
    CHECK_OK(pager_get(f.pager, NULL, 8196, &f.error, &page));
    CHECK_RC(pager_segment_next(f.pager, NULL, &segment, &page, &f.error, &number), LSM_CORRUPT);
    pager_put(f.pager, &page);
    segment.last = f.at - 1;
    CHECK_RC(pager_segment_last(f.pager, NULL, &segment, &f.error, &number), LSM_CORRUPT);
    close_fixture(&f);
}

TEST(frames_that_would_lie_on_links_or_meta_pages_are_corrupt) {
    static const uint64_t wrong[] = {0, 1, 8191, 8192, 8195, 65532, 65535, 65536, 65539, 4 * 65536,
                                     UINT64_MAX};
    struct fixture f;
    struct page page;

    open_fixture(&f);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_RC(pager_get(f.pager, NULL, wrong[i], &f.error, &page), LSM_CORRUPT);
    }
    close_fixture(&f);
}

TEST(an_image_larger_than_the_hooks_announce_is_corrupt) {
    struct fixture f;
    struct page page;

    open_fixture(&f);
    f.block_no = 1;
    f.at = 8196;
    put_size(&f, 519, false); /* the bound is 518 at least, whatever the hook says */
    CHECK_RC(pager_get(f.pager, NULL, 8196, &f.error, &page), LSM_CORRUPT);
    CHECK_EQ_STR(f.error.reason, "a compressed page is too large");
    close_fixture(&f);
}

TEST(each_failed_allocation_and_read_is_returned) {
    struct golden g;
    struct page page;

    golden_open(&g, "packed");
    for (int kind = 0; kind < 2; kind++) {
        long nth = 1;
        for (int rc = -1; rc != LSM_OK; nth++) {
            int code = kind ? LSM_IOERR : LSM_NOMEM;
            golden_close_pager(&g);
            golden_pager(&g, &rle_codec);
            memory_env_fail(&g.memory, kind ? MEMORY_READ : MEMORY_MALLOC, nth, code);
            rc = pager_get(g.pager, NULL, 8196, &g.error, &page);
            if (rc == LSM_OK) pager_put(g.pager, &page);
            else CHECK_EQ_INT(rc, code);
            memory_env_no_failure(&g.memory);
        }
        CHECK(nth > 2);
    }
    golden_close(&g);
}

/* DF-50 */
TEST(blocks_of_less_than_two_pages_are_refused) {
    struct fixture f;

    open_fixture(&f);
    CHECK_RC(pager_set_geometry(f.pager, 65536, 65536), LSM_CORRUPT);
    CHECK_OK(pager_set_geometry(f.pager, 32768, 65536));
    CHECK_EQ_UINT(pager_first_page(f.pager, 1), 8196);
    CHECK_EQ_UINT(pager_first_page(f.pager, 2), 65540);
    CHECK_EQ_UINT(pager_last_page(f.pager, 2), 131067);
    CHECK_EQ_UINT(pager_block_of(f.pager, 65535), 1);
    CHECK_EQ_UINT(pager_block_of(f.pager, 65536), 2);
    CHECK(pager_is_compressed(f.pager));
    close_fixture(&f);
}

TEST_MAIN()
