/*
** page_append_test.c — where pages are placed, what links they get, and when they are written.
*/
#include "base/bytes.h"
#include "support/segment_builder.h"

static void append_pages(struct page_append *append, uint32_t count, uint64_t *numbers) {
    for (uint32_t i = 0; i < count; i++) {
        struct page_slot slot;
        CHECK_OK(page_append_begin(append, &slot));
        for (uint32_t k = 0; k < slot.size; k++) CHECK_EQ_INT(slot.data[k], 0);
        memset(slot.data, (int)(slot.page_no & 0x7f), slot.size);
        if (numbers) numbers[i] = slot.page_no;
        CHECK_OK(page_append_finish(append, &slot));
    }
}

/* The page has its own number in every byte of its usable area. */
static void check_page(struct segment_file *file, uint64_t page_no) {
    struct page page;
    CHECK_OK(pager_get(file->pager, NULL, page_no, &file->error, &page));
    for (uint32_t k = 0; k < page.size; k++) CHECK_EQ_INT(page.data[k], page_no & 0x7f);
    pager_put(file->pager, &page);
}

static uint32_t word_at(struct segment_file *file, uint64_t offset) {
    uint8_t bytes[4];
    CHECK_OK(os_read(&file->file, offset, bytes, 4));
    return get_u32(bytes);
}

static void open_append(struct segment_file *file, struct page_append *append, uint64_t start) {
    struct block_source source = segment_file_source(file);
    CHECK_OK(page_append_open(append, file->pager, &source, &file->error, start));
}

TEST(pages_follow_each_other_across_linked_blocks) {
    struct segment_file file;
    struct page_append append;
    uint64_t numbers[40], point = 0;
    uint64_t expected = 3;

    segment_file_open(&file, test_path("a.lsm"), 4096, 65536, NULL);
    file.block_count = 9;
    file.recycled_count = 3;
    file.recycled[2] = 1; /* handed out first */
    file.recycled[1] = 7;
    file.recycled[0] = 4;
    open_append(&file, &append, 0);
    append_pages(&append, 40, numbers);
    CHECK_OK(page_append_close(&append, &point));
    for (uint32_t i = 0; i < 40; i++) {
        CHECK_EQ_UINT(numbers[i], expected);
        check_page(&file, expected);
        expected = expected == 16 ? 97 : expected == 112 ? 49 : expected + 1;
    }
    CHECK_EQ_UINT(point, 59);
    CHECK_EQ_UINT(append.first, 3);
    CHECK_EQ_UINT(append.last, 58);
    CHECK_EQ_UINT(append.size, 40);
    CHECK_EQ_UINT(word_at(&file, 8192), 1);              /* the segment begins: no block before */
    CHECK_EQ_UINT(word_at(&file, 65536 - 4), 7);         /* 1 -> 7 */
    CHECK_EQ_UINT(word_at(&file, 6 * 65536), 1);         /* 1 <- 7 */
    CHECK_EQ_UINT(word_at(&file, 7 * 65536 - 4), 4);     /* 7 -> 4 */
    CHECK_EQ_UINT(word_at(&file, 3 * 65536), 7);         /* 7 <- 4 */
    CHECK_EQ_INT(file.allocations, 3);
    CHECK_EQ_INT(file.env.writes, 3); /* one for each block: they are not neighbours */
    page_append_release(&append);
    page_append_release(&append); /* zeroed objects are accepted */
    segment_file_close(&file);
}

TEST(neighbouring_blocks_go_out_in_one_write) {
    struct segment_file file;
    struct page_append append;
    uint64_t point = 0;

    segment_file_open(&file, test_path("a.lsm"), 4096, 65536, NULL);
    open_append(&file, &append, 0);
    append_pages(&append, 200, NULL);
    CHECK_OK(page_append_close(&append, &point));
    CHECK_EQ_UINT(point, 203);
    CHECK_EQ_INT(file.env.writes, 1);
    CHECK_EQ_UINT(pager_pages_written(file.pager), 200);
    page_append_release(&append);
    segment_file_close(&file);
}

TEST(a_segment_starts_at_an_append_point_and_leaves_another) {
    struct segment_file file;
    struct page_append append;
    uint64_t point = 0;

    segment_file_open(&file, test_path("a.lsm"), 4096, 65536, NULL);
    file.block_count = 1;
    open_append(&file, &append, 10);
    append_pages(&append, 3, NULL);
    CHECK_OK(page_append_close(&append, &point));
    CHECK_EQ_UINT(append.first, 10);
    CHECK_EQ_UINT(point, 13);
    CHECK_EQ_INT(file.allocations, 0);
    page_append_release(&append);

    /* On the last page of a block: the next block is taken, and given back. */
    open_append(&file, &append, 16);
    append_pages(&append, 1, NULL);
    CHECK_EQ_UINT(append.next_block, 2);
    CHECK_OK(page_append_close(&append, &point));
    CHECK_EQ_UINT(point, 0);
    CHECK_EQ_INT(file.allocations, 1);
    CHECK_EQ_INT(file.give_backs, 1);
    CHECK_EQ_UINT(word_at(&file, 65536 - 4), 2);
    page_append_release(&append);
    segment_file_close(&file);
}

TEST(a_page_may_stay_open_while_megabytes_are_appended_behind_it) {
    for (uint32_t page_size = 256; page_size <= 65536; page_size *= 16) {
        struct segment_file file;
        struct page_append append;
        struct page_slot open;
        uint32_t count = 3 * (1u << 20) / page_size;
        uint64_t *numbers = malloc(count * sizeof *numbers);
        uint64_t point = 0;

        TEST_NOTE("page size %u", page_size);
        segment_file_open(&file, test_path("a.lsm"), page_size, 262144, NULL);
        segment_file_shuffle_blocks(&file, 10);
        open_append(&file, &append, 0);
        append_pages(&append, 100, NULL);
        CHECK_OK(page_append_begin(&append, &open));
        open.data[0] = 0x55;
        append_pages(&append, count, numbers);
        page_append_slot(&append, &open);
        CHECK_EQ_INT(open.data[0], 0x55);
        memset(open.data, (int)(open.page_no & 0x7f), open.size);
        CHECK_OK(page_append_finish(&append, &open));
        append_pages(&append, 5, NULL);
        CHECK_OK(page_append_close(&append, &point));
        check_page(&file, open.page_no);
        for (uint32_t i = 0; i < count; i++) check_page(&file, numbers[i]);
        page_append_release(&append);
        free(numbers);
        segment_file_close(&file);
    }
}

TEST(two_open_pages_may_be_finished_in_any_order) {
    struct segment_file file;
    struct page_append append;
    struct page_slot a, b;
    uint64_t point = 0;

    segment_file_open(&file, test_path("a.lsm"), 4096, 65536, NULL);
    open_append(&file, &append, 0);
    for (int round = 0; round < 400; round++) {
        CHECK_OK(page_append_begin(&append, &a));
        CHECK_OK(page_append_begin(&append, &b));
        page_append_slot(&append, &a);
        memset(a.data, (int)(a.page_no & 0x7f), a.size);
        memset(b.data, (int)(b.page_no & 0x7f), b.size);
        CHECK_EQ_UINT(append.unfinished, 2);
        CHECK_OK(page_append_finish(&append, round % 2 ? &a : &b));
        CHECK_OK(page_append_finish(&append, round % 2 ? &b : &a));
        CHECK_EQ_UINT(append.unfinished, 0);
    }
    CHECK_OK(page_append_close(&append, &point));
    CHECK_EQ_UINT(point, 803);
    for (uint64_t page_no = 3; page_no < 803; page_no++) check_page(&file, page_no);
    page_append_release(&append);
    segment_file_close(&file);
}

TEST(appending_goes_on_after_a_flush_and_after_a_resume) {
    struct segment_file file;
    struct page_append append;
    struct segment segment;
    struct block_source source;
    uint64_t point = 0;

    segment_file_open(&file, test_path("a.lsm"), 4096, 65536, NULL);
    source = segment_file_source(&file);
    open_append(&file, &append, 0);
    append_pages(&append, 3, NULL);
    CHECK_OK(page_append_flush(&append));
    append_pages(&append, 4, NULL);
    CHECK_OK(page_append_flush(&append));
    segment = (struct segment){append.first, append.last, 0, append.size};
    page_append_release(&append);
    CHECK_OK(page_append_resume(&append, file.pager, &source, &file.error, &segment));
    append_pages(&append, 7, NULL); /* up to the block's last page */
    CHECK_EQ_UINT(append.last, 16);
    CHECK_OK(page_append_flush(&append));
    segment = (struct segment){append.first, append.last, 0, append.size};
    page_append_release(&append);
    CHECK_OK(page_append_resume(&append, file.pager, &source, &file.error, &segment));
    CHECK_EQ_UINT(append.next_block, 2);
    append_pages(&append, 1, NULL);
    CHECK_EQ_UINT(word_at(&file, 65536), 0); /* not yet written */
    CHECK_OK(page_append_close(&append, &point));
    CHECK_EQ_UINT(word_at(&file, 65536), 1);
    CHECK_EQ_UINT(append.last, 17);
    CHECK_EQ_UINT(append.size, 15);
    CHECK_EQ_UINT(point, 18);
    CHECK_EQ_INT(file.allocations, 2);
    for (uint64_t page_no = 3; page_no <= 17; page_no++) check_page(&file, page_no);
    page_append_release(&append);
    segment_file_close(&file);
}

TEST(resuming_behind_a_link_to_no_block_is_corrupt) {
    struct segment_file file;
    struct page_append append = {0};
    struct block_source source;
    struct segment segment = {3, 16, 0, 14};

    segment_file_open(&file, test_path("a.lsm"), 4096, 65536, NULL);
    source = segment_file_source(&file);
    pager_set_block_limit(file.pager, 2);
    CHECK_RC(page_append_resume(&append, file.pager, &source, &file.error, &segment), LSM_CORRUPT);
    CHECK_OK(os_write(&file.file, 65536 - 4, "\0\0\0\3", 4));
    CHECK_RC(page_append_resume(&append, file.pager, &source, &file.error, &segment), LSM_CORRUPT);
    CHECK_OK(os_write(&file.file, 65536 - 4, "\0\0\0\2", 4));
    CHECK_OK(page_append_resume(&append, file.pager, &source, &file.error, &segment));
    page_append_release(&append);
    segment.first = 0;
    CHECK_RC(page_append_resume(&append, file.pager, &source, &file.error, &segment), LSM_CORRUPT);
    segment_file_close(&file);
}

TEST(the_first_page_of_block_1_and_edge_pages_lose_four_bytes) {
    struct segment_file file;
    for (uint32_t page_size = 256; page_size <= 65536; page_size *= 2) {
        struct page_append append;
        struct page_slot slot;
        uint64_t per_block = 262144 / page_size;
        uint64_t first = 1 + (8192 + page_size - 1) / page_size;

        segment_file_open(&file, test_path("a.lsm"), page_size, 262144, NULL);
        open_append(&file, &append, 0);
        for (uint64_t page_no = first; page_no <= 2 * per_block; page_no++) {
            bool edge = page_no == first || page_no % per_block <= 1;
            CHECK_OK(page_append_begin(&append, &slot));
            CHECK_EQ_UINT(slot.page_no, page_no);
            CHECK_EQ_UINT(slot.size, page_size - (edge ? 4 : 0));
            CHECK_OK(page_append_finish(&append, &slot));
        }
        page_append_release(&append);
        segment_file_close(&file);
    }
}

TEST(failures_leave_no_memory_behind) {
    for (int kind = 0; kind < 3; kind++) {
        for (long at = 0; at < 4; at++) {
            struct segment_file file;
            struct page_append append = {0};
            struct block_source source;
            uint64_t point = 1;
            int rc;

            TEST_NOTE("kind %d, failure %ld", kind, at);
            segment_file_open(&file, test_path("a.lsm"), 4096, 65536, NULL);
            source = segment_file_source(&file);
            if (kind == 0) file.env.allocations_left = at;
            if (kind == 1) file.env.writes_left = at;
            if (kind == 2) file.allocations_left = (int)at;
            rc = page_append_open(&append, file.pager, &source, &file.error, 0);
            for (int i = 0; rc == LSM_OK && i < 2000; i++) {
                struct page_slot slot;
                rc = page_append_begin(&append, &slot);
                if (rc == LSM_OK) rc = page_append_finish(&append, &slot);
            }
            if (rc == LSM_OK) rc = page_append_close(&append, &point);
            CHECK_RC(rc, kind == 0 ? LSM_NOMEM : kind == 1 ? LSM_IOERR : LSM_FULL);
            CHECK_EQ_UINT(point, 1);
            page_append_release(&append);
            segment_file_close(&file);
        }
    }
}

TEST_MAIN()
