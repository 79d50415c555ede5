/*
** page_append_compressed_test.c — compressed frames, padding, block links; whole segments.
*/
#include "base/bytes.h"
#include "support/segment_builder.h"
#include "support/toy_codecs.h"

static void read_file(struct segment_file *file, uint64_t offset, void *out, size_t size) {
    CHECK_OK(os_read(&file->file, offset, out, size));
}

static void check_segment(struct segment_file *file, const struct segment *segment,
                          const struct test_records *records) {
    struct plain_reader reader;
    plain_read(&reader, file, segment);
    check_same_records(&reader.records, records);
    plain_reader_free(&reader);
}

TEST(one_page_gives_the_bytes_of_the_worked_example) {
    static const uint8_t head[] = {0,    0,    0,    0,    0x80, 0x80, 0x92, 1,    0x48, 1,
                                   0,    2,    2,    1,    0x6b, 1,    0x31, 1,    0x76, 1,
                                   0x31, 0xf7, 0,    1,    1,    0x80, 0x80, 0x92, 0x80, 3,
                                   0xde, 0};
    static const uint8_t tail[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 3, 0xde};
    struct segment_file file;
    struct segment_writer_config config;
    struct segment_writer *writer = NULL;
    struct segment segment;
    uint64_t append_point = 0;
    uint8_t bytes[512];

    segment_file_open(&file, test_path("a.lsm"), 256, 65536, &rle_codec);
    config = segment_file_config(&file, 0, 0);
    CHECK_OK(segment_writer_new(&file.env.env, &config, &writer));
    CHECK_OK(segment_writer_add(writer, 0x48, (struct slice){(const uint8_t *)"k1", 2},
                                (struct slice){(const uint8_t *)"v1", 2}, 0));
    CHECK_OK(segment_writer_finish(writer, &segment, &append_point));
    segment_writer_free(writer);
    CHECK_EQ_UINT(segment.first, 8196);
    CHECK_EQ_UINT(segment.last, 8703);
    CHECK_EQ_UINT(segment.root, 0);
    CHECK_EQ_UINT(segment.size, 508);
    CHECK_EQ_UINT(append_point, 8704);
    read_file(&file, 8192, bytes, sizeof bytes);
    bytes[8] |= 0x40; /* the example has the bit without a meaning that we never write */
    CHECK_EQ_BYTES(bytes, sizeof head, head, sizeof head);
    CHECK_EQ_BYTES(bytes + 512 - sizeof tail, sizeof tail, tail, sizeof tail);
    for (size_t i = sizeof head; i < 512 - sizeof tail; i++) CHECK_EQ_INT(bytes[i], 0);
    segment_file_close(&file);
}

/* Append pages whose frames have 6 + 2 * `pairs` bytes. */
static int append_frame(struct page_append *append, uint32_t pairs, uint64_t *page_no) {
    struct page_slot slot;
    int rc = page_append_begin(append, &slot);

    if (rc != LSM_OK) return rc;
    CHECK_EQ_UINT(slot.size, pager_page_size(append->pager));
    CHECK_EQ_UINT(slot.page_no, 0);
    for (uint32_t i = 0; i < slot.size; i++) CHECK_EQ_INT(slot.data[i], 0);
    for (uint32_t i = 0; i < pairs - 1; i++) slot.data[i] = (uint8_t)(1 + i % 7);
    rc = page_append_finish(append, &slot);
    if (rc == LSM_OK) *page_no = slot.page_no;
    return rc;
}

TEST(padding_of_every_length_ends_with_the_sector) {
    for (uint32_t frames = 1; frames <= 60; frames++) {
        struct segment_file file;
        struct page_append append;
        struct block_source source;
        struct segment segment;
        uint64_t page_no, point = 0, payload = 0, end, size = 0, at = 0;
        uint8_t last[8];

        segment_file_open(&file, test_path("a.lsm"), 256, 65536, &rle_codec);
        source = segment_file_source(&file);
        CHECK_OK(page_append_open(&append, file.pager, &source, &file.error, 0));
        for (uint32_t i = 0; i < frames; i++) {
            CHECK_OK(append_frame(&append, 2 + 3 * (i % 5), &page_no));
            CHECK_EQ_UINT(page_no, 8196 + payload);
            payload = append.last + 1 - 8196;
        }
        size = append.size;
        CHECK_EQ_UINT(size, payload);
        CHECK_OK(page_append_close(&append, &point));
        end = append.last + 1;
        CHECK_EQ_UINT(end % 512, 0);
        CHECK_EQ_UINT(point, end);
        CHECK(end - (8196 + payload) < 512);
        TEST_NOTE("padding of %u bytes", (unsigned)(end - (8196 + payload)));
        at = end - (8196 + payload);
        CHECK_EQ_UINT(append.size, at >= 6 ? size + at : size); /* short padding is not counted */
        if (at >= 1 && at <= 5) {
            read_file(&file, end - at, last, (size_t)at);
            CHECK_EQ_UINT(last[0], at);
            CHECK_EQ_UINT(last[at - 1], at);
        }
        segment = (struct segment){append.first, append.last, 0, append.size};
        CHECK_OK(pager_segment_last(file.pager, NULL, &segment, &file.error, &at));
        CHECK_EQ_UINT(at, page_no);
        page_append_release(&append);
        segment_file_close(&file);
    }
}

/* Fill block 1 so that exactly `left` bytes stay free, then append a frame of 6 + 2 * 50 bytes. */
static void cross_with(uint32_t left) {
    struct segment_file file;
    struct page_append append;
    struct block_source source;
    struct segment segment;
    struct page page;
    uint64_t page_no = 0, point = 0, at;
    uint8_t link[4];
    uint32_t pages = 0;

    TEST_NOTE("%u bytes left in the block", left);
    segment_file_open(&file, test_path("a.lsm"), 256, 65536, &rle_codec);
    file.block_count = 4;
    file.recycled_count = 2;
    file.recycled[1] = 1;
    file.recycled[0] = 3;
    source = segment_file_source(&file);
    CHECK_OK(page_append_open(&append, file.pager, &source, &file.error, 0));
    for (;;) {
        /* All frames have an even size (10 at least), and so has the space of a block. */
        uint64_t room = append.last ? 65532 - (append.last + 1) : 65532 - 8196;
        uint64_t want = room - left;
        uint32_t pairs = want > 900 ? 250 : want > 500 ? 120 : (uint32_t)(want - 6) / 2;
        if (want == 0) break;
        CHECK_OK(append_frame(&append, pairs, &page_no));
        CHECK_EQ_UINT(append.last + 1, 65532 - (room - 6 - 2 * pairs));
        pages++;
    }
    CHECK_OK(append_frame(&append, 50, &page_no));
    pages++;
    if (left == 0) CHECK_EQ_UINT(page_no, 2 * 65536 + 4);
    else CHECK_EQ_UINT(page_no, 65532 - left);
    if (left == 106) {
        CHECK_EQ_UINT(append.last, 65531);
        CHECK_EQ_UINT(append.next_block, 3);
    } else if (left < 106) {
        CHECK_EQ_UINT(append.last, 2 * 65536 + 4 + 106 - left - 1);
        CHECK_EQ_UINT(append.next_block, 0);
    }
    CHECK_OK(page_append_flush(&append));
    read_file(&file, 65532, link, 4);
    CHECK_EQ_UINT(get_u32(link), 3);
    read_file(&file, 2 * 65536, link, 4);
    CHECK_EQ_UINT(get_u32(link), 1);
    CHECK_EQ_UINT(append.last, left == 106 ? 65531 : 2 * 65536 + 511);

    /* Go on after an interruption. */
    segment = (struct segment){append.first, append.last, 0, append.size};
    page_append_release(&append);
    CHECK_OK(page_append_resume(&append, file.pager, &source, &file.error, &segment));
    CHECK_OK(append_frame(&append, 20, &page_no));
    pages++;
    CHECK_EQ_UINT(page_no, left == 106 ? 2 * 65536 + 4 : 2 * 65536 + 512);
    CHECK_OK(page_append_close(&append, &point));
    CHECK_EQ_UINT(point, append.last + 1);
    CHECK_EQ_INT(file.allocations, 2);
    segment = (struct segment){append.first, append.last, 0, append.size};
    at = segment.first;
    while (at != 0) {
        uint64_t next = 0;
        pages--;
        CHECK_OK(pager_get(file.pager, NULL, at, &file.error, &page));
        CHECK_EQ_INT(page.data[0], 1);
        CHECK_OK(pager_segment_next(file.pager, NULL, &segment, &page, &file.error, &next));
        pager_put(file.pager, &page);
        at = next;
    }
    CHECK_EQ_UINT(pages, 0);
    page_append_release(&append);
    segment_file_close(&file);
}

TEST(a_frame_is_cut_anywhere_at_a_block_boundary) {
    for (uint32_t left = 0; left <= 106; left += 2) cross_with(left);
}

TEST(a_segment_that_fills_its_block_gives_the_next_one_back_without_touching_it) {
    struct segment_file file;
    struct page_append append;
    struct block_source source;
    uint64_t page_no, point = 1;
    uint8_t link[4];

    segment_file_open(&file, test_path("a.lsm"), 256, 65536, &rle_codec);
    source = segment_file_source(&file);
    pager_set_block_limit(file.pager, 2);
    CHECK_OK(os_write(&file.file, 65536, "keep", 4));
    file.block_count = 1;
    /* The last sector of the block is short: padding ends before the link. */
    CHECK_OK(page_append_open(&append, file.pager, &source, &file.error, 65024 + 100));
    CHECK_OK(append_frame(&append, 5, &page_no));
    CHECK_EQ_UINT(page_no, 65124);
    CHECK_OK(page_append_close(&append, &point));
    CHECK_EQ_UINT(append.last, 65531);
    CHECK_EQ_UINT(point, 0);
    CHECK_EQ_INT(file.allocations, 1);
    CHECK_EQ_INT(file.give_backs, 1);
    read_file(&file, 65536, link, 4);
    CHECK_EQ_BYTES(link, 4, "keep", 4);
    page_append_release(&append);
    segment_file_close(&file);
}

/* ------------------------------------------------------------------------------------ hooks -- */

static int hook_rc, hook_size;
static int odd_bound(void *context, int size) {
    (void)context;
    return 2 * size;
}
static int odd_compress(void *context, char *out, int *out_size, const char *in, int size) {
    (void)context, (void)out, (void)in, (void)size;
    *out_size = hook_size;
    return hook_rc;
}

/* DF-50 */
TEST(hooks_that_fail_or_announce_too_little_are_refused) {
    static const lsm_compress odd = {NULL, 10003, odd_bound, odd_compress, copy_either_way, NULL};
    static const struct {
        uint32_t page_size;
        int rc, size, expected;
    } cases[] = {
        {256, LSM_NOMEM, 10, LSM_NOMEM}, {256, LSM_OK, 0, LSM_IOERR},
        {256, LSM_OK, -1, LSM_IOERR},    {256, LSM_OK, 519, LSM_IOERR},
        {32768, LSM_OK, 65520, LSM_IOERR}, /* fits a later block, not block 1 */
        {32768, LSM_OK, 60000, LSM_IOERR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct segment_file file;
        struct page_append append;
        struct block_source source;
        uint64_t page_no = 0;

        TEST_NOTE("case %zu", i);
        hook_rc = cases[i].rc;
        hook_size = cases[i].size;
        segment_file_open(&file, test_path("a.lsm"), cases[i].page_size, 65536, &odd);
        source = segment_file_source(&file);
        CHECK_OK(page_append_open(&append, file.pager, &source, &file.error, 0));
        CHECK_RC(append_frame(&append, 5, &page_no), cases[i].expected);
        CHECK_EQ_INT(file.error.code, cases[i].expected);
        CHECK_EQ_INT(file.allocations, 0);
        page_append_release(&append);
        segment_file_close(&file);
    }
}

/* --------------------------------------------------------------------------- whole segments -- */

TEST(random_compressed_segments_are_read_back_also_when_interrupted) {
    for (int round = 0; round < 24; round++) {
        const lsm_compress *codec = round % 2 ? &rle_codec : &copy_codec;
        uint32_t page_size = 256u << (round % 7);
        struct segment_file file;
        struct segment_writer_config config;
        struct segment_writer *writer = NULL;
        struct test_records records = {0};
        struct segment segment = {0};
        uint64_t append_point = 0;
        uint32_t skip;

        if (round % 7 == 6) {
            page_size = 32768; /* run lengths might need more than a block */
            codec = &copy_codec;
        }
        TEST_NOTE("round %d page %u", round, page_size);
        segment_file_open(&file, test_path("a.lsm"), page_size, 65536 * (1 + (round % 3 == 0)),
                          codec);
        segment_file_shuffle_blocks(&file, test_random_below(24));
        random_records(&records, 600, 2 * 256, 60, 100000);
        for (int run = 0; run < 2; run++) {
            config = segment_file_config(&file, append_point, 0);
            CHECK_OK(segment_writer_new(&file.env.env, &config, &writer));
            for (uint32_t i = 0; i < records.count; i++) {
                if (test_random_below(round < 12 ? 4 : 200) == 0) {
                    uint64_t pointer = segment_writer_pointer(writer);
                    CHECK_OK(segment_writer_interrupt(writer, &segment, &skip));
                    segment_writer_free(writer);
                    CHECK_OK(segment_writer_resume(&file.env.env, &config, &segment, skip, pointer,
                                                   &writer));
                }
                CHECK_OK(segment_writer_add_record(writer, &records.items[i]));
            }
            CHECK_OK(segment_writer_finish(writer, &segment, &append_point));
            segment_writer_free(writer);
            check_segment(&file, &segment, &records);
        }
        test_records_free(&records);
        segment_file_close(&file);
    }
}

TEST(every_failure_is_reported_and_nothing_leaks) {
    struct test_records records = {0};

    random_records(&records, 150, 100, 200, 60000);
    for (int kind = 0; kind < 3; kind++) {
        int rc = LSM_NOMEM;
        for (long at = 0; rc != LSM_OK; at++) {
            static const int expected[] = {LSM_NOMEM, LSM_IOERR, LSM_FULL};
            struct segment_file file;
            struct segment_writer_config config;
            struct segment_writer *writer = NULL;
            struct segment segment;
            uint64_t append_point;

            TEST_NOTE("kind %d, failure %ld", kind, at);
            segment_file_open(&file, test_path("a.lsm"), 256, 65536, &copy_codec);
            segment_file_shuffle_blocks(&file, 20);
            if (kind == 0) file.env.allocations_left = at;
            if (kind == 1) file.env.writes_left = at;
            if (kind == 2) file.allocations_left = (int)at;
            config = segment_file_config(&file, 0, 0);
            rc = segment_writer_new(&file.env.env, &config, &writer);
            for (uint32_t i = 0; rc == LSM_OK && i < records.count; i++) {
                rc = segment_writer_add_record(writer, &records.items[i]);
            }
            if (rc == LSM_OK) rc = segment_writer_finish(writer, &segment, &append_point);
            segment_writer_free(writer);
            if (rc != LSM_OK) CHECK_RC(rc, expected[kind]);
            CHECK(at < 500);
            segment_file_close(&file);
        }
    }
    test_records_free(&records);
}

TEST_MAIN()
