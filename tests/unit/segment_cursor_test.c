/*
** segment_cursor_test.c — going through records: files made by LSM1, and segments of our own writer.
*/
#include "base/bytes.h"
#include "support/golden.h"
#include "support/segment_builder.h"

static int hex_digit(char c) {
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Compare with the next hex word of a golden text; returns what follows it. */
static const char *check_hex(const char *text, struct slice bytes) {
    for (uint32_t i = 0; i < bytes.size; i++) {
        CHECK_EQ_INT(bytes.data[i], hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    }
    return text + 2 * (size_t)bytes.size;
}

/* One complete run must show exactly what the text beside the file lists. */
static void check_against_text(const char *name) {
    struct golden g;
    struct segment_view view;
    struct segment_cursor cursor;
    struct slice value;
    char text_name[64];
    size_t size;
    const char *text, *at;

    golden_open(&g, name);
    view = golden_view(&g, 0, GOLDEN_LEFT);
    segment_cursor_init(&cursor, &g.memory.env, &view);
    snprintf(text_name, sizeof text_name, "%s.txt", name);
    at = text = (const char *)golden_read(text_name, &size);
    for (CHECK_OK(segment_first(&cursor)); cursor.valid; CHECK_OK(segment_next(&cursor))) {
        CHECK_EQ_INT(cursor.flags, RECORD_INSERT);
        CHECK_OK(segment_value(&cursor, &value));
        at = check_hex(at, cursor.key);
        CHECK_EQ_INT(*at++, '\t');
        at = check_hex(at, value);
        CHECK_EQ_INT(*at++, '\n');
    }
    CHECK_EQ_UINT((size_t)(at - text), size);
    segment_cursor_release(&cursor);
    free((void *)(uintptr_t)text);
    golden_close(&g);
}

TEST(the_content_of_files_made_by_lsm1_is_read) {
    check_against_text("two_inserts");
    check_against_text("indexed");
    check_against_text("large_keys");
    check_against_text("packed");
}

TEST(the_worked_example_with_two_inserts_is_read_byte_for_byte) {
    struct golden g;
    struct segment_view view;
    struct segment_cursor cursor;

    golden_open(&g, "two_inserts");
    CHECK_EQ_BYTES(g.bytes + 0x2004, 20, "\x48\0\x02\x02k1v1\x48\0\x02\x05k2hello" + 0, 20);
    view = golden_view(&g, 0, GOLDEN_LEFT);
    segment_cursor_init(&cursor, &g.memory.env, &view);
    CHECK_OK(segment_first(&cursor));
    CHECK_EQ_UINT(cursor.page.page_no, 3);
    CHECK_EQ_UINT(cursor.page.size, 4092);
    CHECK_EQ_UINT(cursor.offset, 0);
    CHECK_EQ_UINT(cursor.footer.cell_count, 2);
    CHECK_OK(segment_next(&cursor));
    CHECK_EQ_UINT(cursor.offset, 8);
    CHECK_EQ_UINT(cursor.cell, 1);
    CHECK_OK(segment_next(&cursor));
    CHECK(!cursor.valid);
    CHECK_OK(segment_next(&cursor)); /* stays there */
    CHECK(!cursor.valid);
    segment_cursor_release(&cursor);
    golden_close(&g);
}

TEST(the_worked_example_with_separators_is_read) {
    static const struct { uint8_t flags; const char *key; uint64_t pointer; } rows[] = {
        {0x08, "k005", 33}, {0x10, "k011", 34}, {0x10, "k013", 35},
        {0x01, "k015", 35}, {0x02, "k025", 36}, {0x10, "k029", 37},
        {0x04, "k030", 37}, {0x10, "k035", 38}, {0x10, "k040", 39}};
    struct golden g;
    struct segment_view view;
    struct segment_cursor cursor;
    size_t row = 0;

    golden_open(&g, "separators");
    view = golden_view(&g, 0, GOLDEN_LEFT);
    segment_cursor_init(&cursor, &g.memory.env, &view);
    for (CHECK_OK(segment_first(&cursor)); cursor.valid; CHECK_OK(segment_next(&cursor))) {
        CHECK(row < sizeof rows / sizeof rows[0]);
        CHECK_EQ_INT(cursor.flags, rows[row].flags);
        CHECK_EQ_BYTES(cursor.key.data, cursor.key.size, rows[row].key, 4);
        CHECK_EQ_UINT(cursor.pointer, rows[row].pointer);
        row++;
    }
    CHECK_EQ_UINT(row, sizeof rows / sizeof rows[0]);
    segment_cursor_release(&cursor);
    golden_close(&g);
}

TEST(saved_positions_of_a_merge_are_records_and_others_are_not) {
    struct golden g;
    struct segment_view view;
    struct segment_cursor cursor;

    golden_open(&g, "merging");
    view = golden_view(&g, 0, 1);
    segment_cursor_init(&cursor, &g.memory.env, &view);
    CHECK_OK(segment_go(&cursor, 37, 2));
    CHECK_EQ_BYTES(cursor.key.data, cursor.key.size, "k031", 4);
    CHECK_RC(segment_go(&cursor, 37, 60), LSM_CORRUPT);
    CHECK(!cursor.valid);
    CHECK_RC(segment_go(&cursor, 36, 0), LSM_CORRUPT);  /* given back */
    CHECK_RC(segment_go(&cursor, 40, 0), LSM_CORRUPT);  /* an index page */
    CHECK_RC(segment_go(&cursor, 41, 0), LSM_CORRUPT);  /* of another run */
    CHECK_RC(segment_go(&cursor, 257, 0), LSM_CORRUPT);
    CHECK_RC(segment_go(&cursor, 0, 0), LSM_CORRUPT);
    segment_cursor_release(&cursor);
    golden_close(&g);
}

/* Forward, backward and to and fro over what our own writer wrote. */
static void check_random_segment(uint32_t page_size, const lsm_compress *compress, uint32_t count,
                                 uint32_t key_max, uint32_t value_max, uint32_t large) {
    struct segment_file file;
    struct segment_writer *writer = NULL;
    struct segment_writer_config config;
    struct test_records records = {0};
    struct segment segment;
    struct segment_cursor cursor;
    struct slice value;
    uint64_t append_point = 0;
    uint32_t at;

    segment_file_open(&file, test_path("db"), page_size, 65536 < 4 * page_size ? 4 * page_size : 65536,
                      compress);
    random_records(&records, count, key_max, value_max, large);
    segment_file_shuffle_blocks(&file, 200);
    config = segment_file_config(&file, 0, 0);
    CHECK_OK(segment_writer_new(&file.env.env, &config, &writer));
    for (uint32_t i = 0; i < records.count; i++) {
        CHECK_OK(segment_writer_add_record(writer, &records.items[i]));
    }
    CHECK_OK(segment_writer_finish(writer, &segment, &append_point));
    segment_writer_free(writer);

    segment_cursor_init(&cursor, &file.env.env,
                        &(struct segment_view){file.pager, &segment, NULL, &file.error});
    at = 0;
    for (CHECK_OK(segment_first(&cursor)); cursor.valid; CHECK_OK(segment_next(&cursor))) {
        CHECK(at < records.count);
        CHECK_OK(segment_value(&cursor, &value));
        CHECK_EQ_BYTES(cursor.key.data, cursor.key.size, records.items[at].key,
                       records.items[at].key_size);
        CHECK_EQ_BYTES(value.data, value.size, records.items[at].value,
                       records.items[at].value_size);
        at++;
    }
    CHECK_EQ_UINT(at, records.count);
    for (CHECK_OK(segment_last(&cursor)); cursor.valid; CHECK_OK(segment_prev(&cursor))) {
        at--;
        CHECK_EQ_BYTES(cursor.key.data, cursor.key.size, records.items[at].key,
                       records.items[at].key_size);
        if (at % 3 == 0) {
            CHECK_OK(segment_value(&cursor, &value));
            CHECK_EQ_BYTES(value.data, value.size, records.items[at].value,
                           records.items[at].value_size);
        }
    }
    CHECK_EQ_UINT(at, 0);
    CHECK_OK(segment_first(&cursor));
    for (int i = 0; i < 2000; i++) { /* a walk without aim */
        bool forward = at == 0 || (at + 1 < records.count && test_random_below(2));
        if (forward && at + 1 == records.count) break;
        CHECK_OK(forward ? segment_next(&cursor) : segment_prev(&cursor));
        at = forward ? at + 1 : at - 1;
        CHECK(cursor.valid);
        CHECK_EQ_BYTES(cursor.key.data, cursor.key.size, records.items[at].key,
                       records.items[at].key_size);
    }
    segment_cursor_release(&cursor);
    test_records_free(&records);
    segment_file_close(&file);
}

TEST(random_segments_of_all_page_sizes_are_read_both_ways) {
    for (uint32_t page_size = 256; page_size <= 65536; page_size *= 2) {
        TEST_NOTE("page size %u", page_size);
        check_random_segment(page_size, NULL, 800, 2 * page_size > 3000 ? 3000 : 2 * page_size, 300,
                             100000);
    }
}

TEST(random_compressed_segments_are_read_both_ways) {
    check_random_segment(256, &copy_codec, 500, 600, 300, 70000);
    check_random_segment(4096, &copy_codec, 500, 600, 300, 70000);
    check_random_segment(1024, &rle_codec, 500, 100, 300, 0);
}

TEST(an_empty_segment_has_no_first_and_no_last) {
    struct golden g;
    struct segment empty = {0};
    struct segment_view view;
    struct segment_cursor cursor;
    struct slice value;

    golden_open(&g, "indexed");
    view = (struct segment_view){g.pager, &empty, NULL, &g.error};
    segment_cursor_init(&cursor, &g.memory.env, &view);
    CHECK_OK(segment_first(&cursor));
    CHECK(!cursor.valid);
    CHECK_OK(segment_last(&cursor));
    CHECK(!cursor.valid);
    CHECK_OK(segment_seek_ge(&cursor, TOPIC_USER, (struct slice){0}, 0));
    CHECK(!cursor.valid);
    CHECK_RC(segment_value(&cursor, &value), LSM_MISUSE);
    segment_cursor_release(&cursor);
    golden_close(&g);
}

TEST(a_chain_that_never_reaches_its_last_page_ends_with_an_error) {
    struct golden g;
    struct segment wrong;
    struct segment_view view;
    struct segment_cursor cursor;
    int rc = LSM_OK;

    golden_open(&g, "indexed");
    wrong = *golden_view(&g, 0, GOLDEN_LEFT).segment;
    wrong.last = 32; /* no such page */
    view = (struct segment_view){g.pager, &wrong, NULL, &g.error};
    segment_cursor_init(&cursor, &g.memory.env, &view);
    for (rc = segment_first(&cursor); rc == LSM_OK && cursor.valid;) rc = segment_next(&cursor);
    CHECK_RC(rc, LSM_CORRUPT);
    CHECK(!cursor.valid);
    segment_cursor_release(&cursor);
    golden_close(&g);
}

TEST(each_failed_allocation_and_read_leaves_the_cursor_on_no_record) {
    struct golden g;
    struct segment_view view;

    golden_open(&g, "large_keys");
    for (int kind = 0; kind < 2; kind++) {
        int code = kind ? LSM_IOERR : LSM_NOMEM;
        bool done = false;
        for (long nth = 1; !done; nth++) {
            struct segment_cursor cursor;
            struct slice value;
            int rc;
            golden_close_pager(&g);
            golden_pager(&g, NULL);
            view = golden_view(&g, 0, GOLDEN_LEFT);
            memory_env_fail(&g.memory, kind ? MEMORY_READ : MEMORY_MALLOC, nth, code);
            segment_cursor_init(&cursor, &g.memory.env, &view);
            rc = segment_first(&cursor);
            while (rc == LSM_OK && cursor.valid) {
                rc = segment_value(&cursor, &value);
                if (rc == LSM_OK) rc = segment_next(&cursor);
            }
            done = g.memory.fail_kind != -1; /* it never came to the n-th call */
            if (done) CHECK_OK(rc);
            else CHECK_EQ_INT(rc, code);
            memory_env_no_failure(&g.memory);
            segment_cursor_release(&cursor);
        }
    }
    golden_close(&g);
}

TEST_MAIN()
