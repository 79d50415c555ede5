/*
** format_record_test.c — heads of records and index cells: worked examples, every type, every cut.
*/
#include "format/format_record.h"

#include "support/test.h"

static struct record_head decode(const char *bytes, size_t size) {
    struct record_head head = {0};
    const uint8_t *at = (const uint8_t *)bytes;

    CHECK_OK(format_record_head(at, at + size, 1, NULL, &head));
    return head;
}

TEST(the_worked_examples_of_records_are_read) {
    struct record_head head = decode("\x48\x00\x02\x05k2hello", 11);

    CHECK_EQ_UINT(head.flags, RECORD_INSERT); /* without the noise */
    CHECK_EQ_INT(head.pointer_delta, 0);
    CHECK_EQ_UINT(head.key_size, 2);
    CHECK_EQ_UINT(head.value_size, 5);
    CHECK_EQ_UINT(head.head_size, 4);

    head = decode("\x48\x00\x04\xf1\x3ck010", 9);
    CHECK_EQ_UINT(head.value_size, 300);
    CHECK_EQ_UINT(head.head_size, 5);

    head = decode("\x10\x01\x04k011", 7);
    CHECK_EQ_UINT(head.flags, RECORD_SEPARATOR);
    CHECK_EQ_INT(head.pointer_delta, 1);
    CHECK_EQ_UINT(head.value_size, 0);
    CHECK_EQ_UINT(head.head_size, 3);

    head = decode("\x41\x02\x04k015", 7);
    CHECK_EQ_UINT(head.flags, RECORD_START_DELETE);
    head = decode("\x44\x03\x04k030", 7);
    CHECK_EQ_UINT(head.flags, RECORD_POINT_DELETE);

    head = decode("\x28\x00\x04\x08\xff\xff\xff\xe3\x00\x00\x00\x00\x00\x00\x00\x09", 16);
    CHECK_EQ_UINT(head.flags, RECORD_INSERT | RECORD_SYSTEM);
    CHECK_EQ_INT(record_topic(head.flags), TOPIC_SYSTEM);
    CHECK_EQ_UINT(head.head_size, 4);
}

TEST(a_pointer_delta_may_be_negative) {
    struct record_head head = {
        .flags = RECORD_INSERT, .pointer_delta = -1, .key_size = 3, .value_size = 0};
    uint8_t out[RECORD_HEAD_SIZE_MAX];
    uint32_t size = format_record_put_head(out, &head);

    CHECK_EQ_BYTES(out, size, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03\x00", 12);
    CHECK_EQ_INT(decode((const char *)out, size).pointer_delta, -1);
}

/* DF-47 */
TEST(exactly_the_legal_types_are_accepted) {
    static const uint8_t legal[] = {0x08, 0x04, 0x01, 0x02, 0x03, 0x09, 0x0a, 0x0b, 0x05, 0x06,
                                    0x07, 0x10};
    bool is_legal[256] = {false};

    for (size_t i = 0; i < sizeof legal; i++) {
        is_legal[legal[i]] = is_legal[legal[i] | 0x20] = true;
        is_legal[legal[i] | 0x40] = is_legal[legal[i] | 0x60] = true;
    }
    for (int type = 0; type < 256; type++) {
        uint8_t bytes[] = {(uint8_t)type, 0, 4, 8};
        struct record_head head = {.key_size = 77};
        struct error_context error = {0};
        int rc = format_record_head(bytes, bytes + 4, 12, &error, &head);
        CHECK_RC(rc, is_legal[type] ? LSM_OK : LSM_CORRUPT);
        if (rc == LSM_OK) CHECK_EQ_UINT(head.flags, type & ~0x40);
        if (rc != LSM_OK) CHECK_EQ_UINT(head.key_size, 77);
        if (rc != LSM_OK) CHECK_EQ_UINT(error.page_no, 12);
    }
}

/* DF-49 */
TEST(a_head_cut_off_anywhere_is_corrupt) {
    struct record_head head = {.flags = RECORD_INSERT | RECORD_START_DELETE,
                               .pointer_delta = -70000,
                               .key_size = 70000,
                               .value_size = 0x7fffffff};
    uint8_t bytes[RECORD_HEAD_SIZE_MAX];
    uint32_t size = format_record_put_head(bytes, &head);
    struct record_head out;

    for (uint32_t have = 0; have < size; have++) {
        uint8_t *copy = malloc(have + 1);
        memcpy(copy, bytes, have);
        CHECK_RC(format_record_head(copy, copy + have, 1, NULL, &out), LSM_CORRUPT);
        free(copy);
    }
    CHECK_OK(format_record_head(bytes, bytes + size, 1, NULL, &out));
    CHECK_EQ_INT(out.pointer_delta, -70000);
    CHECK_EQ_UINT(out.key_size, 70000);
    CHECK_EQ_UINT(out.value_size, 0x7fffffff);
    CHECK_EQ_UINT(out.head_size, size);
}

TEST(a_length_of_two_gigabytes_is_corrupt) {
    static const uint8_t long_key[] = {0x04, 0, 0xfb, 0x80, 0, 0, 0};
    static const uint8_t long_value[] = {0x08, 0, 1, 0xfb, 0x80, 0, 0, 0};
    static const uint8_t longest_key[] = {0x04, 0, 0xfb, 0x7f, 0xff, 0xff, 0xff};
    struct record_head head;

    CHECK_RC(format_record_head(long_key, long_key + 7, 1, NULL, &head), LSM_CORRUPT);
    CHECK_RC(format_record_head(long_value, long_value + 8, 1, NULL, &head), LSM_CORRUPT);
    CHECK_OK(format_record_head(longest_key, longest_key + 7, 1, NULL, &head));
}

TEST(a_free_list_record_has_four_and_eight_bytes) {
    static const uint8_t short_key[] = {0x21, 0, 3};
    static const uint8_t short_value[] = {0x28, 0, 4, 7};
    static const uint8_t boundary[] = {0x23, 0, 4};
    struct record_head head;

    CHECK_RC(format_record_head(short_key, short_key + 3, 1, NULL, &head), LSM_CORRUPT);
    CHECK_RC(format_record_head(short_value, short_value + 4, 1, NULL, &head), LSM_CORRUPT);
    CHECK_OK(format_record_head(boundary, boundary + 3, 1, NULL, &head));
}

TEST(the_worked_example_of_an_index_page_is_read_and_written) {
    static const uint8_t cells[] = {0x10, 33, 4, 'k', '0', '1', '1',
                                     0x10, 34, 4, 'k', '0', '1', '3'};
    struct index_cell cell;
    uint8_t out[16];

    CHECK_OK(format_index_cell(cells, cells + 14, 38, NULL, &cell));
    CHECK(!cell.indirect);
    CHECK_EQ_INT(cell.topic, TOPIC_USER);
    CHECK_EQ_UINT(cell.child, 33);
    CHECK_EQ_BYTES(cell.key.data, cell.key.size, "k011", 4);
    CHECK_EQ_UINT(format_index_cell_size(&cell), 7);
    CHECK_EQ_UINT(format_index_put_cell(out, &cell), 7);
    CHECK_EQ_BYTES(out, 7, cells, 7);
}

TEST(an_indirect_cell_names_a_child_and_a_key_page) {
    struct index_cell cell = {.indirect = true, .child = 300, .key_page = 70000};
    struct index_cell back;
    uint8_t out[24];
    uint32_t size = format_index_put_cell(out, &cell);

    CHECK_EQ_BYTES(out, size, "\x00\xf1\x3c\xfa\x01\x11\x70", 7);
    CHECK_EQ_UINT(format_index_cell_size(&cell), size);
    CHECK_OK(format_index_cell(out, out + size, 1, NULL, &back));
    CHECK(back.indirect);
    CHECK_EQ_UINT(back.child, 300);
    CHECK_EQ_UINT(back.key_page, 70000);
}

TEST(a_system_key_and_an_empty_key_may_be_in_an_index) {
    static const uint8_t system[] = {0x30, 5, 4, 0xff, 0xff, 0xff, 0xe3};
    static const uint8_t empty[] = {0x10, 5, 0};
    struct index_cell cell;

    CHECK_OK(format_index_cell(system, system + 7, 1, NULL, &cell));
    CHECK_EQ_INT(cell.topic, TOPIC_SYSTEM);
    CHECK_OK(format_index_cell(empty, empty + 3, 1, NULL, &cell));
    CHECK_EQ_UINT(cell.key.size, 0);
}

/* DF-49 */
TEST(a_damaged_index_cell_is_corrupt) {
    static const struct {
        uint8_t bytes[8];
        uint32_t size;
    } rows[] = {
        {{0}, 0},                                  /* nothing */
        {{0x10}, 1},                               /* no child */
        {{0x10, 5}, 2},                            /* no length */
        {{0x10, 5, 4, 'a', 'b', 'c'}, 6},          /* key cut off */
        {{0x10, 5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 8},
        {{0x10, 0, 1, 'a'}, 4},                    /* child 0 */
        {{0x00, 5}, 2},                            /* no key page */
        {{0x00, 5, 0}, 3},                         /* key page 0 */
        {{0x00, 0, 5}, 3},
        {{0x08, 5, 1, 'a'}, 4},                    /* types of other records */
        {{0x20, 5, 1, 'a'}, 4},
        {{0x11, 5, 1, 'a'}, 4},
        {{0x50, 5, 1, 'a'}, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t *copy = malloc(rows[i].size + 1);
        struct index_cell cell = {.child = 77};
        struct error_context error = {0};
        TEST_NOTE("row %zu", i);
        memcpy(copy, rows[i].bytes, rows[i].size);
        CHECK_RC(format_index_cell(copy, copy + rows[i].size, 4, &error, &cell), LSM_CORRUPT);
        CHECK_EQ_UINT(cell.child, 77);
        CHECK_EQ_UINT(error.page_no, 4);
        free(copy);
    }
}

TEST(random_bytes_never_make_a_decoder_read_outside) {
    for (int i = 0; i < 100000; i++) {
        uint32_t size = test_random_below(24);
        uint8_t *copy = malloc(size + 1);
        uint8_t *end = copy + size;
        struct record_head head;
        struct index_cell cell;
        test_random_bytes(copy, size);
        if (size > 0 && (i & 1)) copy[0] &= 0x3f;
        if (format_record_head(copy, end, 1, NULL, &head) == LSM_OK) {
            CHECK(head.head_size <= size && head.key_size <= RECORD_LENGTH_MAX);
        }
        if (format_index_cell(copy, end, 1, NULL, &cell) == LSM_OK && !cell.indirect) {
            CHECK(cell.key.data >= copy && cell.key.data + cell.key.size <= end);
        }
        free(copy);
    }
}

TEST_MAIN()
