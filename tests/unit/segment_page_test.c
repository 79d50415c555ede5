/*
** segment_page_test.c — records that go on across pages, and bodies that break the rules for it.
*/
#include "base/bytes.h"
#include "segment/segment_internal.h"
#include "support/golden.h"

/* Pages of 256 bytes from number 34 on (33 is the first of block 1): usable 256. */
struct fixture {
    struct memory_env m;
    struct os_file file;
    struct pager *pager;
    struct error_context error;
    struct segment segment;
    struct segment_view view;
    uint8_t image[256];
};

static void open_fixture(struct fixture *f, uint32_t page_count) {
    struct pager_config config = {.cache_bytes = 1 << 16};
    memset(f, 0, sizeof *f);
    memory_env_open(&f->m);
    CHECK_OK(os_open(&f->m.env, "db", 0, &f->file));
    CHECK_OK(pager_open(&f->m.env, &f->file, &config, &f->pager));
    CHECK_OK(pager_set_geometry(f->pager, 256, 65536));
    pager_set_block_limit(f->pager, 1);
    f->segment = (struct segment){.first = 34, .last = 33 + page_count, .size = page_count};
    f->view = (struct segment_view){f->pager, &f->segment, NULL, &f->error};
}

static void close_fixture(struct fixture *f) {
    pager_close(f->pager);
    os_close(&f->file);
    memory_env_close(&f->m);
}

/* Store the image as a page and start a new one. */
static void store(struct fixture *f, uint64_t page_no, uint32_t cells, uint32_t flags) {
    format_page_put_footer(f->image, 256, cells, flags, 0);
    CHECK_OK(os_write(&f->file, (page_no - 1) * 256, f->image, 256));
    memset(f->image, 0, sizeof f->image);
}

/* A record at offset 0 of page 34 that claims these lengths; its bytes are 'a'. */
static void store_head(struct fixture *f, uint32_t key_size, uint32_t value_size) {
    struct record_head head = {.flags = RECORD_INSERT, .key_size = key_size, .value_size = value_size};
    uint32_t used;
    memset(f->image, 'a', 242);
    used = format_record_put_head(f->image, &head);
    (void)used;
    format_page_put_cell(f->image, 256, 0, 0);
    store(f, 34, 1, 0);
}

static void store_continuation(struct fixture *f, uint64_t page_no, char byte) {
    memset(f->image, byte, 244);
    store(f, page_no, 0, 0);
}

static int read_value(struct fixture *f, uint32_t *key_size, uint32_t *value_size, int *last_byte) {
    struct segment_cursor cursor;
    struct slice value = {0};
    int rc;

    segment_cursor_init(&cursor, &f->m.env, &f->view);
    rc = segment_first(&cursor);
    if (rc == LSM_OK && cursor.valid) {
        *key_size = cursor.key.size;
        rc = segment_value(&cursor, &value);
        *value_size = value.size;
        if (rc == LSM_OK && value.size) *last_byte = value.data[value.size - 1];
    }
    if (rc == LSM_OK) rc = segment_next(&cursor);
    if (rc == LSM_OK) CHECK(!cursor.valid);
    segment_cursor_release(&cursor);
    return rc;
}

TEST(bodies_go_on_over_index_pages_and_pages_without_cells) {
    struct fixture f;
    uint32_t key_size = 0, value_size = 0;
    int last_byte = 0;

    /* 6 bytes of head; 236 on page 34, 244 on 36, 244 on 38, 11 on 39. */
    open_fixture(&f, 6);
    store_head(&f, 300, 435);
    store(&f, 35, 0, PAGE_FLAG_INDEX);
    store_continuation(&f, 36, 'b');
    store(&f, 37, 0, PAGE_FLAG_INDEX);
    store_continuation(&f, 38, 'c');
    memset(f.image, 'd', 11);
    store(&f, 39, 0, 0);
    CHECK_OK(read_value(&f, &key_size, &value_size, &last_byte));
    CHECK_EQ_UINT(key_size, 300);
    CHECK_EQ_UINT(value_size, 435);
    CHECK_EQ_INT(last_byte, 'd');
    close_fixture(&f);
}

TEST(a_body_that_runs_past_its_segment_is_corrupt) {
    struct fixture f;
    uint32_t key_size = 0, value_size = 0;
    int last_byte = 0;

    open_fixture(&f, 2);
    store_head(&f, 4, 600);
    store_continuation(&f, 35, 'b');
    store_continuation(&f, 36, 'c'); /* there, but not part of the segment */
    CHECK_RC(read_value(&f, &key_size, &value_size, &last_byte), LSM_CORRUPT);
    CHECK_EQ_STR(f.error.reason, "a record runs past its segment");
    close_fixture(&f);
}

TEST(a_length_of_two_gigabytes_allocates_no_more_than_there_are_pages) {
    struct fixture f;
    uint32_t key_size = 0, value_size = 0;
    int last_byte = 0;

    for (int key = 0; key < 2; key++) {
        open_fixture(&f, 200);
        store_head(&f, key ? RECORD_LENGTH_MAX : 1, key ? 1 : RECORD_LENGTH_MAX);
        for (uint64_t page_no = 35; page_no < 234; page_no++) store_continuation(&f, page_no, 'x');
        CHECK_RC(read_value(&f, &key_size, &value_size, &last_byte), LSM_CORRUPT);
        close_fixture(&f);
    }
}

/* DF-49 */
TEST(a_body_whose_pages_form_a_loop_is_corrupt) {
    struct record_head head = {.flags = RECORD_INSERT, .key_size = 1, .value_size = 100000};
    struct segment_cursor cursor;
    struct slice value;
    struct fixture f;

    open_fixture(&f, 1);
    pager_set_block_limit(f.pager, 3);
    f.segment = (struct segment){.first = 256, .last = 600, .size = 345}; /* room for 84000 bytes */
    memset(f.image, 'a', 238);
    format_record_put_head(f.image, &head);
    format_page_put_cell(f.image, 252, 0, 0);
    format_page_put_footer(f.image, 252, 1, 0, 0);
    put_u32(f.image + 252, 2);
    CHECK_OK(os_write(&f.file, 65536 - 256, f.image, 256));
    CHECK_OK(os_write(&f.file, 2 * 65536 - 4, f.image + 252, 4)); /* block 2 leads to itself */
    segment_cursor_init(&cursor, &f.m.env, &f.view);
    CHECK_OK(segment_first(&cursor)); /* the key lies on its page */
    CHECK_RC(segment_value(&cursor, &value), LSM_CORRUPT);
    CHECK_EQ_STR(f.error.reason, "the pages of a segment form a loop");
    segment_cursor_release(&cursor);
    close_fixture(&f);
}

TEST(a_saved_position_behind_the_last_cell_is_corrupt) {
    enum topic topic = TOPIC_SYSTEM;
    struct buffer key;
    struct fixture f;

    open_fixture(&f, 1);
    buffer_init(&key, &f.m.env);
    memcpy(f.image, "\x08\0\1\1kv", 6);
    format_page_put_cell(f.image, 256, 0, 0);
    store(&f, 34, 1, 0);
    CHECK_OK(segment_key_at(&f.view, 34, 0, &key, &topic));
    CHECK_EQ_BYTES(key.data, key.size, "k", 1);
    CHECK_RC(segment_key_at(&f.view, 34, 1, &key, &topic), LSM_CORRUPT); /* zeros, as if the record's own */
    buffer_release(&key);
    close_fixture(&f);
}

/* DF-49 */
TEST(steps_along_pages_that_form_a_loop_end) {
    for (int forward = 0; forward < 2; forward++) {
        struct fixture f;
        struct segment_cursor cursor;
        int rc = LSM_OK;

        open_fixture(&f, 1);
        pager_set_block_limit(f.pager, 2);
        f.segment = (struct segment){.first = 34, .last = 300, .size = 267};
        store_head(&f, 1, 200);
        CHECK_OK(os_write(&f.file, 65536 - 1, "", 1)); /* pages of zeros */
        put_u32(f.image, 1); /* block 1 leads to itself */
        CHECK_OK(os_write(&f.file, forward ? 65536 - 4 : 8192, f.image, 4));
        segment_cursor_init(&cursor, &f.m.env, &f.view);
        CHECK_OK(segment_go(&cursor, 34, 0));
        if (!forward) f.segment.first = 300; /* what a walk backward never meets */
        for (int steps = 0; rc == LSM_OK && steps < 10; steps++) {
            CHECK(cursor.valid);
            rc = forward ? segment_next(&cursor) : segment_prev(&cursor);
        }
        CHECK_RC(rc, LSM_CORRUPT);
        CHECK_EQ_STR(f.error.reason, "the pages of a segment form a loop");
        segment_cursor_release(&cursor);
        close_fixture(&f);
    }
}

TEST(a_body_must_end_exactly_where_the_next_record_begins) {
    for (uint32_t next = 0; next < 240; next += 13) {
        struct fixture f;
        struct segment_cursor cursor;
        struct slice value;
        uint32_t missing = 130;
        int rc;

        open_fixture(&f, 2);
        store_head(&f, 4, 237 - 4 + missing); /* head of 5 bytes, 237 of the body on page 34 */
        memset(f.image, 'b', 240);
        f.image[next] = RECORD_INSERT; /* 'b' would be no legal type */
        memcpy(f.image + next + 1, "\0\1\1kv", 5);
        format_page_put_cell(f.image, 256, 0, next);
        store(&f, 35, 1, 0);
        segment_cursor_init(&cursor, &f.m.env, &f.view);
        CHECK_OK(segment_first(&cursor)); /* the key lies on its page */
        rc = segment_value(&cursor, &value);
        CHECK_EQ_INT(rc, next == missing ? LSM_OK : LSM_CORRUPT);
        rc = segment_next(&cursor);
        CHECK_EQ_INT(rc, next == missing ? LSM_OK : LSM_CORRUPT);
        segment_cursor_release(&cursor);
        close_fixture(&f);
    }
}

TEST(a_head_may_end_exactly_at_the_end_of_the_record_area) {
    struct fixture f;
    struct segment_cursor cursor;
    struct slice value;

    open_fixture(&f, 2);
    memcpy(f.image, "\x08\0\1\xe6k", 5); /* key 1, value 230: ends at 235 */
    memset(f.image + 5, 'v', 230);
    memcpy(f.image + 235, "\x08\0\2\3", 4); /* 240 = E with two cells; one byte is left: */
    format_page_put_cell(f.image, 256, 0, 0);
    format_page_put_cell(f.image, 256, 1, 235);
    memcpy(f.image + 235, "\x08\xf0\2\xf1\3", 5); /* value length in two bytes: head ends at 240 */
    store(&f, 34, 2, 0);
    memcpy(f.image, "k2", 2);
    memset(f.image + 2, 'w', 242);
    store(&f, 35, 0, 0);
    CHECK_EQ_UINT(varint_size(243), 2);
    segment_cursor_init(&cursor, &f.m.env, &f.view);
    CHECK_OK(segment_first(&cursor));
    CHECK_OK(segment_next(&cursor));
    CHECK(cursor.valid);
    CHECK_EQ_BYTES(cursor.key.data, cursor.key.size, "k2", 2);
    CHECK_RC(segment_value(&cursor, &value), LSM_CORRUPT); /* 243 bytes are not all there: 242 */
    segment_cursor_release(&cursor);
    close_fixture(&f);
}

TEST(only_the_last_record_of_a_page_may_go_on) {
    struct fixture f;
    struct segment_cursor cursor;

    open_fixture(&f, 2);
    memcpy(f.image, "\x08\0\1\xf2\4k", 6);
    memcpy(f.image + 100, "\x08\0\1\1lv", 6);
    format_page_put_cell(f.image, 256, 0, 0);
    format_page_put_cell(f.image, 256, 1, 100);
    store(&f, 34, 2, 0);
    segment_cursor_init(&cursor, &f.m.env, &f.view);
    CHECK_RC(segment_first(&cursor), LSM_CORRUPT);
    CHECK(!cursor.valid);
    segment_cursor_release(&cursor);
    close_fixture(&f);
}

TEST(the_short_way_to_decode_a_head_agrees_with_the_long_one) {
    struct page page = {.page_no = 9};
    struct page_footer footer = {.cell_count = 1};
    uint8_t bytes[64];

    for (int i = 0; i < 200000; i++) {
        struct record_head fast = {0}, slow = {0};
        int rc_fast, rc_slow;
        uint32_t size = test_random_below(12);
        test_random_bytes(bytes, sizeof bytes);
        if (test_random_below(2)) bytes[0] = test_random_below(2) ? 0x48 : 0x50;
        if (test_random_below(2)) bytes[1] = 0;
        page.data = bytes;
        page.size = 64;
        footer.record_end = size;
        if (size == 0) continue;
        rc_fast = segment_record_head(&page, &footer, 0, NULL, &fast);
        rc_slow = format_record_head(bytes, bytes + size, 9, NULL, &slow);
        CHECK_EQ_INT(rc_fast, rc_slow);
        CHECK_EQ_INT(fast.flags, slow.flags);
        CHECK_EQ_INT(fast.pointer_delta, slow.pointer_delta);
        CHECK_EQ_UINT(fast.key_size, slow.key_size);
        CHECK_EQ_UINT(fast.value_size, slow.value_size);
        CHECK_EQ_UINT(fast.head_size, slow.head_size);
    }
}

TEST_MAIN()
