/*
** segment_writer_test.c — segments written, read back by a plain reader, and compared byte for
** byte with the worked examples of the file format.
*/
#include "support/segment_builder.h"

static struct slice text(const char *string) {
    return (struct slice){(const uint8_t *)string, (uint32_t)strlen(string)};
}

static void read_file(struct segment_file *file, uint64_t offset, void *out, size_t size) {
    CHECK_OK(os_read(&file->file, offset, out, size));
}

/* Write `records` as one segment, interrupted before each record whose number `stop` says. */
static struct segment write_segment(struct segment_file *file, const struct test_records *records,
                                    uint64_t append_point, uint64_t first_pointer,
                                    bool (*stop)(uint32_t), uint64_t *append_after) {
    struct segment_writer_config config = segment_file_config(file, append_point, first_pointer);
    struct segment_writer *writer = NULL;
    struct segment segment = {0};
    uint32_t since = 0;

    CHECK_OK(segment_writer_new(&file->env.env, &config, &writer));
    for (uint32_t i = 0; i < records->count; i++) {
        if (stop && stop(i)) {
            uint32_t skip = 99;
            uint64_t pointer = segment_writer_pointer(writer);
            CHECK_EQ_UINT(segment_writer_record_count(writer), since);
            CHECK_OK(segment_writer_interrupt(writer, &segment, &skip));
            segment_writer_free(writer);
            CHECK_OK(segment_writer_resume(&file->env.env, &config, &segment, skip, pointer,
                                           &writer));
            since = 0;
        }
        CHECK_OK(segment_writer_add_record(writer, &records->items[i]));
        since++;
    }
    CHECK_OK(segment_writer_finish(writer, &segment, append_after));
    segment_writer_free(writer);
    return segment;
}

static void check_segment(struct segment_file *file, const struct segment *segment,
                          const struct test_records *records) {
    struct plain_reader reader;

    plain_read(&reader, file, segment);
    check_same_records(&reader.records, records);
    plain_reader_free(&reader);
}

/* ------------------------------------------------------------------------ worked examples -- */

TEST(two_inserts_give_the_bytes_of_the_first_worked_example) {
    static const uint8_t head[] = {0, 0, 0, 1, 0x08, 0, 2, 2, 'k', '1', 'v', '1', 0x08, 0,
                                   2, 5, 'k', '2', 'h', 'e', 'l', 'l', 'o', 0};
    static const uint8_t tail[] = {0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
        static const uint32_t meta[] = {0, 0xb, 0x23, 1, 1, 0x100000, 1, 0x1000, 1, 0, 0, 0, 0, 0,
                                    4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 3, 0, 0, 0, 1, 0, 0,
                                    0xb060d440, 0x9ab99f1};
    struct segment_file file;
    struct test_records records = {0};
    struct segment segment;
    uint64_t append[APPEND_POINTS] = {0};
    uint8_t page[4096];

    segment_file_open(&file, test_path("a.lsm"), 4096, 1 << 20, NULL);
    test_records_add_bytes(&records, RECORD_INSERT, "k1", 2, "v1", 2, 0);
    test_records_add_bytes(&records, RECORD_INSERT, "k2", 2, "hello", 5, 0);
    segment = write_segment(&file, &records, 0, 0, NULL, &append[0]);
    CHECK_EQ_UINT(segment.first, 3);
    CHECK_EQ_UINT(segment.last, 3);
    CHECK_EQ_UINT(segment.root, 0);
    CHECK_EQ_UINT(segment.size, 1);
    CHECK_EQ_UINT(append[0], 4);
    read_file(&file, 8192, page, sizeof page);
    CHECK_EQ_BYTES(page, sizeof head, head, sizeof head);
    CHECK_EQ_BYTES(page + 4096 - sizeof tail, sizeof tail, tail, sizeof tail);
    for (size_t i = sizeof head; i < sizeof page - sizeof tail; i++) CHECK_EQ_INT(page[i], 0);
    segment_file_checkpoint(&file, 1, &segment, 1, append, 1, NULL, NULL);
    read_file(&file, 0, page, sizeof page);
    for (uint32_t i = 0; i < sizeof meta / sizeof meta[0]; i++) {
        CHECK_EQ_UINT(get_u32(page + 4 * i), meta[i]);
    }
    check_segment(&file, &segment, &records);
    test_records_free(&records);
    segment_file_close(&file);
}

/* 42 records k000... Up to k012 the values are those of the example: k010 has 300 times 'V', the
** others as many 'v' as their number says. The later ones are chosen so that pages begin with the
** same keys. */
static void add_42_records(struct test_records *records) {
    for (uint32_t i = 0; i < 42; i++) {
        char key[8], value[300];
        uint32_t size = i == 10 ? 300 : i < 13 ? i : i < 23 ? 13 : 6;
        snprintf(key, sizeof key, "k%03u", i);
        memset(value, i == 10 ? 'V' : 'v', sizeof value);
        test_records_add_bytes(records, RECORD_INSERT, key, 4, value, size, 0);
    }
}

TEST(spilling_records_and_index_give_the_bytes_of_the_second_worked_example) {
    static const uint8_t tail_33[] = {0, 0x7d, 0, 0x6c, 0, 0x5c, 0, 0x4d, 0, 0x3f, 0, 0x32,
                                      0, 0x26, 0, 0x1b, 0, 0x11, 0, 0x08, 0, 0,    0, 0,
                                      0, 0,    0, 0,    0, 0,    0, 0,    0, 0x0b};
    static const uint8_t middle_33[] = {'v', 0x08, 0, 4, 0xf1, 0x3c, 'k', '0', '1', '0', 'V', 'V'};
    static const uint8_t tail_34[] = {
        'V', 'V', 'V', 'V',  'V', 'V', 'V', 'V',  0x08, 0, 4, 0x0b, 'k', '0', '1', '1',
        'v', 'v', 'v', 'v',  'v', 'v', 'v', 'v',  'v',  'v', 'v', 0x08, 0, 4, 0x0c, 'k',
        0,   0xeb, 0,  0xd8, 0,   0,   0,   0,    0,    0, 0, 0,    0,   0,   0,   2};
    static const uint8_t head_38[] = {0,    0,    0,   0x10, 0x21, 4,    'k', '0', '1', '1', 0x10,
                                      0x22, 4,    'k', '0',  '1',  '3',  0x10, 0x23, 4, 'k', '0',
                                      '2',  '3',  0x10, 0x24, 4,   'k',  '0', '3', '8', 0};
    static const uint8_t tail_38[] = {0, 0x18, 0, 0x11, 0, 0x0a, 0, 3, 0, 0,
                                      0, 0,    0, 0,    0, 0x25, 0, 1, 0, 4};
    struct segment_file file;
    struct test_records records = {0};
    struct segment segment;
    uint64_t append_point = 0;
    uint8_t page[256];

    segment_file_open(&file, test_path("a.lsm"), 256, 65536, NULL);
    add_42_records(&records);
    segment = write_segment(&file, &records, 0, 0, NULL, &append_point);
    CHECK_EQ_UINT(segment.first, 33);
    CHECK_EQ_UINT(segment.last, 38);
    CHECK_EQ_UINT(segment.root, 38);
    CHECK_EQ_UINT(segment.size, 6);
    CHECK_EQ_UINT(append_point, 39);
    read_file(&file, 0x2000, page, sizeof page);
    CHECK_EQ_BYTES(page + 0x80, sizeof middle_33, middle_33, sizeof middle_33);
    CHECK_EQ_BYTES(page + 0xde, sizeof tail_33, tail_33, sizeof tail_33);
    read_file(&file, 0x2100, page, sizeof page);
    CHECK_EQ_BYTES(page + 0xd0, sizeof tail_34, tail_34, sizeof tail_34);
    read_file(&file, 0x2500, page, sizeof page);
    CHECK_EQ_BYTES(page, sizeof head_38, head_38, sizeof head_38);
    CHECK_EQ_BYTES(page + 256 - sizeof tail_38, sizeof tail_38, tail_38, sizeof tail_38);
    for (size_t i = sizeof head_38; i < 256 - sizeof tail_38; i++) CHECK_EQ_INT(page[i], 0);
    check_segment(&file, &segment, &records);
    test_records_free(&records);
    segment_file_close(&file);
}

TEST(a_segment_on_top_gives_the_bytes_of_the_third_worked_example) {
    static const uint8_t head[] = {
        0x08, 0, 4, 3, 'k', '0', '0', '5', 'n', 'e', 'w', 0x10, 1, 4, 'k', '0', '1', '1', 0x10, 2,
        4, 'k', '0', '1', '3', 0x01, 2, 4, 'k', '0', '1', '5', 0x02, 3, 4, 'k', '0', '2', '5', 0x04,
        3, 4, 'k', '0', '3', '0', 0x10, 4, 4, 'k', '0', '3', '8', 0};
    static const uint8_t tail[] = {0, 0x2e, 0, 0x27, 0, 0x20, 0, 0x19, 0, 0x12, 0, 0x0b, 0, 0,
                                   0, 0,    0, 0,    0, 0,    0, 0x21, 0, 0,    0, 7};
    struct segment_file file;
    struct test_records records = {0};
    struct segment_writer_config config;
    struct segment_writer *writer = NULL;
    struct segment segment;
    uint64_t append_point = 0;
    uint8_t page[256];

    segment_file_open(&file, test_path("a.lsm"), 256, 65536, NULL);
    add_42_records(&records);
    (void)write_segment(&file, &records, 0, 0, NULL, &append_point);
    config = segment_file_config(&file, append_point, 33);
    CHECK_OK(segment_writer_new(&file.env.env, &config, &writer));
    CHECK_EQ_UINT(segment_writer_pointer(writer), 33);
    CHECK_OK(segment_writer_add(writer, 0x48, text("k005"), text("new"), 33)); /* 40 is dropped */
    CHECK_OK(segment_writer_add(writer, RECORD_SEPARATOR, text("k011"), text("x"), 34));
    CHECK_OK(segment_writer_add(writer, RECORD_SEPARATOR, text("k013"), text(""), 35));
    CHECK_OK(segment_writer_add(writer, RECORD_START_DELETE, text("k015"), text(""), 35));
    segment_writer_set_pointer(writer, 36); /* the separator k023 is inside the range */
    CHECK_OK(segment_writer_add(writer, RECORD_END_DELETE, text("k025"), text(""), 36));
    CHECK_OK(segment_writer_add(writer, RECORD_POINT_DELETE, text("k030"), text(""), 36));
    CHECK_OK(segment_writer_add(writer, RECORD_SEPARATOR, text("k038"), text(""), 37));
    CHECK_EQ_UINT(segment_writer_pointer(writer), 37);
    CHECK_EQ_UINT(segment_writer_data_pages(writer), 1);
    CHECK_EQ_UINT(segment_writer_record_count(writer), 7);
    CHECK_OK(segment_writer_finish(writer, &segment, &append_point));
    segment_writer_free(writer);
    CHECK_EQ_UINT(segment.first, 39);
    CHECK_EQ_UINT(segment.last, 39);
    CHECK_EQ_UINT(segment.root, 0);
    CHECK_EQ_UINT(segment.size, 1);
    CHECK_EQ_UINT(append_point, 40);
    read_file(&file, 0x2600, page, sizeof page);
    CHECK_EQ_BYTES(page, sizeof head, head, sizeof head);
    CHECK_EQ_BYTES(page + 256 - sizeof tail, sizeof tail, tail, sizeof tail);
    test_records_free(&records);
    segment_file_close(&file);
}

/* ------------------------------------------------------------------------------- boundaries -- */

TEST(a_segment_without_records_is_all_zero_and_takes_no_block) {
    struct segment_file file;
    struct segment_writer_config config;
    struct segment_writer *writer = NULL;
    struct segment segment = {1, 1, 1, 1};
    uint64_t append_point = 7;

    segment_file_open(&file, test_path("a.lsm"), 4096, 65536, NULL);
    config = segment_file_config(&file, 0, 0);
    CHECK_OK(segment_writer_new(&file.env.env, &config, &writer));
    segment_writer_break_page(writer);
    CHECK_OK(segment_writer_finish(writer, &segment, &append_point));
    segment_writer_free(writer);
    CHECK_EQ_UINT(segment.first | segment.last | segment.root | segment.size, 0);
    CHECK_EQ_UINT(append_point, 0);
    CHECK_EQ_INT(file.allocations, file.give_backs);
    /* A given append point was not used up. */
    config = segment_file_config(&file, 5, 0);
    pager_set_block_limit(file.pager, 1);
    CHECK_OK(segment_writer_new(&file.env.env, &config, &writer));
    CHECK_OK(segment_writer_finish(writer, &segment, &append_point));
    segment_writer_free(writer);
    CHECK_EQ_UINT(segment.first, 0);
    CHECK_EQ_UINT(append_point, 5);
    segment_file_close(&file);
}

TEST(a_segment_interrupted_before_its_first_record_can_be_resumed) {
    struct segment_file file;
    struct segment_writer_config config;
    struct segment_writer *writer = NULL;
    struct test_records records = {0};
    struct segment segment = {1, 1, 1, 1};
    uint64_t append_point;
    uint32_t skip = 9;

    segment_file_open(&file, test_path("a.lsm"), 4096, 65536, NULL);
    config = segment_file_config(&file, 0, 0);
    CHECK_OK(segment_writer_new(&file.env.env, &config, &writer));
    CHECK_OK(segment_writer_interrupt(writer, &segment, &skip));
    segment_writer_free(writer);
    CHECK_EQ_UINT(segment.first, 0);
    CHECK_EQ_UINT(skip, 0);
    CHECK_OK(segment_writer_resume(&file.env.env, &config, &segment, skip, 17, &writer));
    CHECK_EQ_UINT(segment_writer_pointer(writer), 17);
    test_records_add_bytes(&records, RECORD_INSERT, "", 0, "", 0, 17);
    CHECK_OK(segment_writer_add_record(writer, &records.items[0]));
    CHECK_OK(segment_writer_finish(writer, &segment, &append_point));
    segment_writer_free(writer);
    check_segment(&file, &segment, &records);
    test_records_free(&records);
    segment_file_close(&file);
}

TEST(a_head_that_does_not_fit_is_encoded_anew_for_the_next_page) {
    struct segment_file file;
    struct test_records records = {0};
    struct segment segment;
    struct page page;
    struct page_footer footer;
    uint64_t append_point;
    uint8_t value[256] = {0};

    segment_file_open(&file, test_path("a.lsm"), 256, 65536, NULL);
    /* Page 33: 252 - 12 - 2 = 238 bytes. Head and key 5, so a value of 229 leaves 4 - 2 bytes. */
    test_records_add_bytes(&records, RECORD_INSERT, "a", 1, value, 229, 1000);
    test_records_add_bytes(&records, RECORD_INSERT, "b", 1, value, 9, 2000);
    segment = write_segment(&file, &records, 0, 1000, NULL, &append_point);
    CHECK_EQ_UINT(segment.last, 35);
    CHECK_OK(pager_get(file.pager, NULL, 34, &file.error, &page));
    CHECK_OK(format_page_footer(page.data, page.size, 34, &file.error, &footer));
    CHECK_EQ_UINT(footer.pointer, 1000); /* in force before the record */
    CHECK_EQ_UINT(page.data[0], RECORD_INSERT);
    pager_put(file.pager, &page);
    check_segment(&file, &segment, &records);
    test_records_free(&records);
    segment_file_close(&file);
}

TEST(records_of_every_size_around_a_page_are_read_back) {
    for (uint32_t size = 0; size < 1100; size++) {
        struct segment_file file;
        struct test_records records = {0};
        struct segment segment;
        uint64_t append_point;
        uint8_t value[1100];

        TEST_NOTE("size %u", size);
        memset(value, 0x5a, sizeof value);
        segment_file_open(&file, test_path("a.lsm"), 256, 65536, NULL);
        test_records_add_bytes(&records, RECORD_INSERT, "a", 1, value, size, 3);
        test_records_add_bytes(&records, RECORD_POINT_DELETE, value, size + 1, NULL, 0, 1ull << 40);
        test_records_add_bytes(&records, RECORD_INSERT, "b", 1, value, 1099 - size, 1);
        test_records_add_bytes(&records, RECORD_INSERT | RECORD_SYSTEM, "\xff\xff\xff\xfe", 4,
                               "\0\0\0\0\0\0\0\1", 8, 9);
        test_records_sort(&records);
        segment = write_segment(&file, &records, 0, 0, NULL, &append_point);
        check_segment(&file, &segment, &records);
        test_records_free(&records);
        segment_file_close(&file);
    }
}

/* DF-45 */
TEST(a_broken_page_gives_a_small_segment_an_index) {
    struct segment_file file;
    struct segment_writer_config config;
    struct segment_writer *writer = NULL;
    struct test_records records = {0};
    struct segment segment;
    uint64_t append_point;

    segment_file_open(&file, test_path("a.lsm"), 4096, 65536, NULL);
    config = segment_file_config(&file, 0, 0);
    CHECK_OK(segment_writer_new(&file.env.env, &config, &writer));
    test_records_add_bytes(&records, RECORD_INSERT, "a", 1, "1", 1, 0);
    test_records_add_bytes(&records, RECORD_INSERT, "b", 1, "2", 1, 0);
    segment_writer_break_page(writer); /* nothing to break yet */
    CHECK_OK(segment_writer_add_record(writer, &records.items[0]));
    CHECK_EQ_UINT(segment_writer_data_pages(writer), 1);
    segment_writer_break_page(writer);
    CHECK_OK(segment_writer_add_record(writer, &records.items[1]));
    CHECK_EQ_UINT(segment_writer_data_pages(writer), 2);
    CHECK_OK(segment_writer_finish(writer, &segment, &append_point));
    segment_writer_free(writer);
    CHECK_EQ_UINT(segment.size, 3);
    CHECK_EQ_UINT(segment.root, segment.last);
    check_segment(&file, &segment, &records);
    test_records_free(&records);
    segment_file_close(&file);
}

TEST(a_segment_that_ends_with_a_block_gives_the_next_block_back) {
    struct segment_file file;
    struct test_records records = {0};
    struct segment segment;
    struct segment_writer_config config;
    struct segment_writer *writer = NULL;
    uint64_t append_point = 1;
    uint32_t skip;
    static uint8_t value[16384];

    /* Block 1: pages 3..16 of 4096. Thirteen full data pages and the root end it. */
    segment_file_open(&file, test_path("a.lsm"), 4096, 65536, NULL);
    for (uint32_t i = 0; i < 13; i++) {
        uint8_t key = (uint8_t)('a' + i);
        test_records_add_bytes(&records, RECORD_INSERT, &key, 1, value, 4060, 0);
    }
    segment = write_segment(&file, &records, 0, 0, NULL, &append_point);
    CHECK_EQ_UINT(segment.last, 16);
    CHECK_EQ_UINT(append_point, 0);
    CHECK_EQ_INT(file.allocations, 2);
    CHECK_EQ_INT(file.give_backs, 1);
    check_segment(&file, &segment, &records);

    /* Interrupted there, the block stays taken and the segment goes on in it. */
    file.recycled[1] = 1; /* use block 1 again, first */
    file.recycled_count = 2;
    config = segment_file_config(&file, 0, 0);
    CHECK_OK(segment_writer_new(&file.env.env, &config, &writer));
    for (uint32_t i = 0; i < 13; i++) {
        CHECK_OK(segment_writer_add_record(writer, &records.items[i]));
    }
    CHECK_OK(segment_writer_interrupt(writer, &segment, &skip));
    segment_writer_free(writer);
    CHECK_EQ_UINT(segment.last, 16);
    CHECK_EQ_INT(file.give_backs, 1);
    CHECK_EQ_UINT(file.recycled_count, 0);
    check_segment(&file, &segment, &records);
    CHECK_OK(segment_writer_resume(&file.env.env, &config, &segment, skip, 0, &writer));
    test_records_add_bytes(&records, RECORD_INSERT, "z", 1, "end", 3, 0);
    CHECK_OK(segment_writer_add_record(writer, &records.items[13]));
    CHECK_OK(segment_writer_finish(writer, &segment, &append_point));
    segment_writer_free(writer);
    CHECK_EQ_UINT(segment.last, 18);
    CHECK_EQ_UINT(segment.root, 18);
    CHECK_EQ_UINT(segment.size, 16);
    CHECK_EQ_UINT(append_point, 19);
    check_segment(&file, &segment, &records);

    /* Resumed and finished without another record: the block is given back all the same. */
    segment.last = 16;
    segment.root = 16;
    segment.size = 14;
    records.count--;
    free(records.items[13].key);
    free(records.items[13].value);
    CHECK_OK(segment_writer_resume(&file.env.env, &config, &segment, skip, 0, &writer));
    CHECK_OK(segment_writer_finish(writer, &segment, &append_point));
    segment_writer_free(writer);
    CHECK_EQ_INT(file.give_backs, 2);
    CHECK_EQ_UINT(append_point, 0);
    CHECK_EQ_UINT(segment.root, 16);
    CHECK_EQ_UINT(segment.size, 14);
    check_segment(&file, &segment, &records);
    test_records_free(&records);
    segment_file_close(&file);
}

/* ----------------------------------------------------------------------------------- random -- */

TEST(random_segments_of_all_page_and_block_sizes_are_read_back) {
    for (uint32_t page_size = 256; page_size <= 65536; page_size *= 2) {
        for (uint32_t block_size = 65536; block_size <= 1 << 20; block_size *= 4) {
            struct segment_file file;
            struct test_records records = {0};
            struct segment segment;
            uint64_t append_point;

            if (block_size < 4 * page_size) continue;
            TEST_NOTE("page %u block %u", page_size, block_size);
            segment_file_open(&file, test_path("a.lsm"), page_size, block_size, NULL);
            segment_file_shuffle_blocks(&file, test_random_below(24));
            random_records(&records, 200 + test_random_below(1500), 3 * 256, 40, 200000);
            segment = write_segment(&file, &records, 0, 0, NULL, &append_point);
            check_segment(&file, &segment, &records);
            test_records_free(&records);
            /* A second one at the append point, with keys of several pages. */
            random_records(&records, 60, 3 * page_size, 3 * page_size, 0);
            segment = write_segment(&file, &records, append_point, 0, NULL, &append_point);
            check_segment(&file, &segment, &records);
            test_records_free(&records);
            segment_file_close(&file);
        }
    }
}

TEST(a_deep_index_is_complete) {
    struct segment_file file;
    struct test_records records = {0};
    struct plain_reader reader;
    struct segment segment;
    uint64_t append_point;
    uint8_t key[64];

    segment_file_open(&file, test_path("a.lsm"), 256, 65536, NULL);
    memset(key, 'k', sizeof key);
    for (uint32_t i = 0; i < 20000; i++) {
        put_u32(key + 56, i);
        test_records_add_bytes(&records, RECORD_INSERT, key, 60, key, 60, 0);
    }
    segment = write_segment(&file, &records, 0, 0, NULL, &append_point);
    plain_read(&reader, &file, &segment);
    check_same_records(&reader.records, &records);
    CHECK(reader.leaf_depth >= 7);
    plain_reader_free(&reader);
    test_records_free(&records);
    segment_file_close(&file);
}

/* ----------------------------------------------------------------------------- interruption -- */

static uint32_t stop_at, stop_every;
static bool stop_once(uint32_t i) {
    return i == stop_at;
}
static bool stop_often(uint32_t i) {
    return i > 0 && i % stop_every == 0;
}

static void make_small_records(struct test_records *records, uint32_t count, uint32_t key_max) {
    random_records(records, count, key_max, 120, 3000);
}

TEST(an_output_interrupted_at_any_record_is_complete_then_and_after_it_was_resumed) {
    struct test_records records = {0};

    make_small_records(&records, 60, 700);
    for (uint32_t at = 0; at <= records.count; at++) {
        struct segment_file file;
        struct segment_writer_config config;
        struct segment_writer *writer = NULL;
        struct test_records front = records;
        struct segment segment;
        uint64_t append_point;
        uint32_t skip;

        TEST_NOTE("interrupted before record %u of %u", at, records.count);
        segment_file_open(&file, test_path("a.lsm"), 256, 65536, NULL);
        config = segment_file_config(&file, 0, 0);
        CHECK_OK(segment_writer_new(&file.env.env, &config, &writer));
        for (uint32_t i = 0; i < at; i++) {
            CHECK_OK(segment_writer_add_record(writer, &records.items[i]));
        }
        CHECK_OK(segment_writer_interrupt(writer, &segment, &skip));
        segment_writer_free(writer);
        front.count = at;
        if (at > 0) check_segment(&file, &segment, &front);
        stop_at = at;
        segment = write_segment(&file, &records, 0, 0, stop_once, &append_point);
        check_segment(&file, &segment, &records);
        segment_file_close(&file);
    }
    test_records_free(&records);
}

TEST(an_output_interrupted_again_and_again_is_read_back) {
    for (uint32_t page_size = 256; page_size <= 4096; page_size *= 4) {
        for (stop_every = 1; stop_every <= 8; stop_every++) {
            struct test_records records = {0};
            struct segment_file file;
            struct segment segment;
            uint64_t append_point;

            TEST_NOTE("page %u, interrupted every %u", page_size, stop_every);
            make_small_records(&records, 300, 2 * page_size);
            segment_file_open(&file, test_path("a.lsm"), page_size, 65536, NULL);
            segment_file_shuffle_blocks(&file, 60);
            segment = write_segment(&file, &records, 0, 0, stop_often, &append_point);
            check_segment(&file, &segment, &records);
            test_records_free(&records);
            segment_file_close(&file);
        }
    }
}

TEST(resuming_a_damaged_output_is_refused) {
    struct segment_file file;
    struct test_records records = {0};
    struct segment_writer_config config;
    struct segment_writer *writer = NULL;
    struct segment segment, wrong;
    uint64_t append_point;
    uint8_t page[256];

    segment_file_open(&file, test_path("a.lsm"), 256, 65536, NULL);
    add_42_records(&records);
    segment = write_segment(&file, &records, 0, 0, NULL, &append_point);
    config = segment_file_config(&file, 0, 0);

    wrong = segment; /* a data page for a root */
    wrong.root = 34;
    CHECK_RC(segment_writer_resume(&file.env.env, &config, &wrong, 0, 0, &writer), LSM_CORRUPT);
    wrong = segment;
    wrong.root = 1;
    CHECK_RC(segment_writer_resume(&file.env.env, &config, &wrong, 0, 0, &writer), LSM_CORRUPT);
    wrong = segment;
    wrong.last = 5;
    CHECK_RC(segment_writer_resume(&file.env.env, &config, &wrong, 0, 0, &writer), LSM_CORRUPT);
    wrong = segment;
    wrong.last = UINT64_MAX;
    CHECK_RC(segment_writer_resume(&file.env.env, &config, &wrong, 0, 0, &writer), LSM_CORRUPT);
    CHECK_RC(segment_writer_resume(&file.env.env, &config, &segment, 4, 0, &writer), LSM_CORRUPT);
    CHECK(writer == NULL);

    /* A root that is its own right child; then every byte of it changed. */
    read_file(&file, 37 * 256, page, sizeof page);
    page[256 - 5] = 38;
    CHECK_OK(os_write(&file.file, 37 * 256, page, sizeof page));
    pager_forget(file.pager);
    CHECK_RC(segment_writer_resume(&file.env.env, &config, &segment, 0, 0, &writer), LSM_CORRUPT);
    page[256 - 5] = 37;
    for (uint32_t i = 0; i < 256; i++) {
        int rc;
        uint8_t old = page[i];
        page[i] = (uint8_t)test_random();
        CHECK_OK(os_write(&file.file, 37 * 256, page, sizeof page));
        pager_forget(file.pager);
        rc = segment_writer_resume(&file.env.env, &config, &segment, 0, 0, &writer);
        if (rc == LSM_OK) {
            CHECK_OK(segment_writer_add(writer, RECORD_INSERT, text("z"), text("z"), 0));
            CHECK_OK(segment_writer_finish(writer, &wrong, &append_point));
            segment_writer_free(writer);
        } else {
            CHECK_RC(rc, LSM_CORRUPT);
        }
        page[i] = old;
    }
    test_records_free(&records);
    segment_file_close(&file);
}

/* --------------------------------------------------------------------------------- failures -- */

/* Write everything with one interruption; the first failure ends it. */
static int write_or_fail(struct segment_file *file, const struct test_records *records) {
    struct segment_writer_config config = segment_file_config(file, 0, 0);
    struct segment_writer *writer = NULL;
    struct segment segment = {0};
    uint64_t append_point = 77;
    uint32_t skip = 0;
    int rc;

    rc = segment_writer_new(&file->env.env, &config, &writer);
    for (uint32_t i = 0; rc == LSM_OK && i < records->count; i++) {
        if (i == records->count / 2) {
            rc = segment_writer_interrupt(writer, &segment, &skip);
            if (rc != LSM_OK) break;
            segment_writer_free(writer);
            writer = NULL;
            rc = segment_writer_resume(&file->env.env, &config, &segment, skip, 0, &writer);
            if (rc != LSM_OK) break;
        }
        rc = segment_writer_add_record(writer, &records->items[i]);
    }
    if (rc == LSM_OK) {
        rc = segment_writer_finish(writer, &segment, &append_point);
        if (rc != LSM_OK) CHECK_EQ_UINT(append_point, 77);
    } else if (writer != NULL) { /* errors stick */
        struct segment untouched = {5, 6, 7, 8};
        CHECK_RC(segment_writer_add_record(writer, &records->items[0]), rc);
        CHECK_RC(segment_writer_interrupt(writer, &untouched, &skip), rc);
        CHECK_RC(segment_writer_finish(writer, &untouched, &append_point), rc);
        CHECK_EQ_UINT(untouched.first, 5);
    }
    segment_writer_free(writer);
    return rc;
}

TEST(every_failure_is_reported_and_nothing_leaks) {
    struct test_records records = {0};

    random_records(&records, 400, 300, 200, 100000);
    for (int kind = 0; kind < 3; kind++) {
        int rc = LSM_NOMEM;
        for (long at = 0; rc != LSM_OK; at++) {
            static const int expected[] = {LSM_NOMEM, LSM_IOERR, LSM_FULL};
            struct segment_file file;

            TEST_NOTE("kind %d, failure %ld", kind, at);
            segment_file_open(&file, test_path("a.lsm"), 256, 65536, NULL);
            segment_file_shuffle_blocks(&file, 40);
            if (kind == 0) file.env.allocations_left = at;
            if (kind == 1) file.env.writes_left = at;
            if (kind == 2) file.allocations_left = (int)at;
            rc = write_or_fail(&file, &records);
            if (rc != LSM_OK) CHECK_RC(rc, expected[kind]);
            CHECK(at < 500);
            if (rc == LSM_OK) CHECK(at > 1);
            segment_file_close(&file);
        }
    }
    test_records_free(&records);
}

TEST(a_block_that_cannot_be_given_back_fails_the_segment) {
    struct segment_file file;
    struct segment_writer_config config;
    struct segment_writer *writer = NULL;
    struct segment segment = {5, 6, 7, 8};
    uint64_t append_point = 9;
    static uint8_t value[14 * 4096];

    segment_file_open(&file, test_path("a.lsm"), 4096, 65536, NULL);
    file.give_back_rc = LSM_NOMEM;
    config = segment_file_config(&file, 0, 0);
    CHECK_OK(segment_writer_new(&file.env.env, &config, &writer));
    CHECK_OK(segment_writer_add(writer, RECORD_INSERT, text("a"),
                                (struct slice){value, 14 * 4084 - 30}, 0));
    CHECK_RC(segment_writer_finish(writer, &segment, &append_point), LSM_NOMEM);
    CHECK_EQ_UINT(segment.first, 5);
    CHECK_EQ_UINT(append_point, 9);
    segment_writer_free(writer);
    segment_file_close(&file);
}

TEST(an_append_point_outside_the_blocks_is_refused) {
    struct segment_file file;
    struct segment_writer_config config;
    struct segment_writer *writer = NULL;

    segment_file_open(&file, test_path("a.lsm"), 4096, 65536, NULL);
    config = segment_file_config(&file, 2, 0);
    CHECK_RC(segment_writer_new(&file.env.env, &config, &writer), LSM_CORRUPT);
    config = segment_file_config(&file, UINT64_MAX - 4, 0);
    CHECK_RC(segment_writer_new(&file.env.env, &config, &writer), LSM_CORRUPT);
    CHECK(writer == NULL);
    segment_file_close(&file);
}

TEST_MAIN()
