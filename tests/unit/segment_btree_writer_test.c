/*
** segment_btree_writer_test.c — the index alone: leaves are numbers that are never read.
*/
#include "segment/segment_writer_internal.h"
#include "support/segment_builder.h"

#define LEAF(i) (1000000u + (i)) /* no page of these small files has such a number */
#define KEY_SIZE 40

static struct index_cell make_cell(uint32_t i, uint8_t *key, uint32_t key_size) {
    struct index_cell cell = {.child = LEAF(i)};

    memset(key, 'x', key_size);
    put_u32(key, i);
    if (i % 5 == 4) {
        cell.indirect = true;
        cell.key_page = LEAF(i + 1);
    } else {
        cell.topic = i % 3 ? TOPIC_USER : TOPIC_SYSTEM;
        cell.key = (struct slice){key, key_size};
    }
    return cell;
}

/* Visit children in order; cell i must stand between leaf i and leaf i + 1. */
static uint32_t walk(struct segment_file *file, uint64_t page_no, uint32_t leaf, uint32_t depth,
                     uint32_t *depth_found) {
    struct page page;
    struct page_footer footer;

    CHECK(depth < INDEX_DEPTH_MAX);
    if (page_no >= LEAF(0)) {
        CHECK_EQ_UINT(page_no, LEAF(leaf));
        if (leaf == 0) *depth_found = depth;
        CHECK_EQ_UINT(depth, *depth_found);
        return leaf + 1;
    }
    CHECK_OK(pager_get(file->pager, NULL, page_no, &file->error, &page));
    CHECK_OK(format_page_footer(page.data, page.size, page_no, &file->error, &footer));
    CHECK_EQ_UINT(footer.flags, PAGE_FLAG_INDEX);
    for (uint32_t i = 0; i < 3; i++) CHECK_EQ_INT(page.data[i], 0);
    for (uint32_t i = 0; i < footer.cell_count; i++) {
        struct index_cell cell, expected;
        uint32_t offset = 0;
        uint8_t key[KEY_SIZE];
        CHECK_OK(format_page_cell(page.data, page.size, &footer, i, page_no, &file->error,
                                  &offset));
        CHECK_OK(format_index_cell(page.data + offset, page.data + footer.record_end, page_no,
                                   &file->error, &cell));
        leaf = walk(file, cell.child, leaf, depth + 1, depth_found);
        expected = make_cell(leaf - 1, key, KEY_SIZE);
        CHECK_EQ_INT(cell.indirect, expected.indirect);
        if (cell.indirect) CHECK_EQ_UINT(cell.key_page, expected.key_page);
        else CHECK_EQ_BYTES(cell.key.data, cell.key.size, key, KEY_SIZE);
        if (!cell.indirect) CHECK_EQ_INT(cell.topic, expected.topic);
    }
    leaf = walk(file, footer.pointer, leaf, depth + 1, depth_found);
    pager_put(file->pager, &page);
    return leaf;
}

static void open_append(struct segment_file *file, struct page_append *append) {
    struct block_source source = segment_file_source(file);
    CHECK_OK(page_append_open(append, file->pager, &source, &file->error, 0));
}

static void add_keys(struct index_writer *writer, uint32_t from, uint32_t to) {
    for (uint32_t i = from; i < to; i++) {
        uint8_t key[KEY_SIZE];
        struct index_cell cell = make_cell(i, key, KEY_SIZE);
        CHECK_OK(index_writer_add(writer, &cell));
    }
}

TEST(an_index_without_keys_has_no_page) {
    struct segment_file file;
    struct page_append append;
    struct index_writer writer;
    uint64_t root = 5;

    segment_file_open(&file, test_path("a.lsm"), 256, 65536, NULL);
    open_append(&file, &append);
    index_writer_init(&writer, &file.env.env, &append);
    CHECK_OK(index_writer_close(&writer, LEAF(0), &root));
    CHECK_EQ_UINT(root, 0);
    CHECK_EQ_UINT(append.last, 0);
    index_writer_release(&writer);
    page_append_release(&append);
    segment_file_close(&file);
}

TEST(a_key_that_does_not_fit_moves_up_and_leaves_an_empty_page_behind) {
    struct segment_file file;
    struct page_append append;
    struct index_writer writer;
    struct page page;
    struct page_footer footer;
    struct index_cell cell;
    uint8_t key[64];
    uint64_t root = 0;

    /* A cell of key 60: 1 + 4 + 1 + 60 = 66, with its offset 68. 252 - 12 - 3 has room for 3. */
    segment_file_open(&file, test_path("a.lsm"), 256, 65536, NULL);
    open_append(&file, &append);
    index_writer_init(&writer, &file.env.env, &append);
    memset(key, 'k', sizeof key);
    for (uint32_t i = 0; i < 4; i++) {
        key[0] = (uint8_t)i;
        cell = (struct index_cell){.child = 0xfff000 + i, .key = {key, 60}};
        CHECK_OK(index_writer_add(&writer, &cell));
        CHECK_EQ_UINT(append.last, i < 3 ? 0 : 33);
    }
    CHECK_EQ_UINT(writer.depth, 2);
    CHECK_EQ_UINT(writer.levels[0].cell_count, 0);
    CHECK_EQ_UINT(writer.levels[1].cell_count, 1);
    CHECK_OK(index_writer_close(&writer, 0xfff004, &root));
    CHECK_OK(page_append_flush(&append));
    CHECK_EQ_UINT(root, 35);

    CHECK_OK(pager_get(file.pager, NULL, 33, &file.error, &page));
    CHECK_OK(format_page_footer(page.data, page.size, 33, &file.error, &footer));
    CHECK_EQ_UINT(footer.cell_count, 3);
    CHECK_EQ_UINT(footer.pointer, 0xfff003);
    pager_put(file.pager, &page);
    CHECK_OK(pager_get(file.pager, NULL, 34, &file.error, &page)); /* everything on the right */
    CHECK_OK(format_page_footer(page.data, page.size, 34, &file.error, &footer));
    CHECK_EQ_UINT(footer.cell_count, 0);
    CHECK_EQ_UINT(footer.pointer, 0xfff004);
    pager_put(file.pager, &page);
    CHECK_OK(pager_get(file.pager, NULL, 35, &file.error, &page));
    CHECK_OK(format_page_footer(page.data, page.size, 35, &file.error, &footer));
    CHECK_EQ_UINT(footer.cell_count, 1);
    CHECK_EQ_UINT(footer.pointer, 34);
    CHECK_OK(format_index_cell(page.data + 3, page.data + footer.record_end, 35, &file.error,
                               &cell));
    CHECK_EQ_UINT(cell.child, 33);
    CHECK_EQ_INT(cell.key.data[0], 3);
    pager_put(file.pager, &page);
    index_writer_release(&writer);
    page_append_release(&append);
    segment_file_close(&file);
}

TEST(an_index_is_complete_wherever_it_ends) {
    for (uint32_t at = 0; at <= 400; at += 1 + at / 40) {
        struct segment_file file;
        struct page_append append;
        struct index_writer writer;
        uint64_t root = 0, last_leaf = 0;
        uint32_t depth = 0;

        TEST_NOTE("%u keys", at);
        segment_file_open(&file, test_path("a.lsm"), 256, 65536, NULL);
        open_append(&file, &append);
        index_writer_init(&writer, &file.env.env, &append);
        add_keys(&writer, 0, at);
        CHECK_OK(index_writer_close(&writer, LEAF(at), &root));
        CHECK_OK(page_append_flush(&append));
        index_writer_release(&writer);
        index_writer_init(&writer, &file.env.env, &append);
        if (at > 0) {
            CHECK_EQ_UINT(walk(&file, root, 0, 0, &depth), at + 1);
            /* LEAF(at) is no page: descending the right edge ends there. */
            CHECK_RC(index_writer_resume(&writer, file.pager, root, &last_leaf), LSM_CORRUPT);
            CHECK_EQ_UINT(file.error.page_no, LEAF(at));
            CHECK_EQ_UINT(last_leaf, 0);
        }
        index_writer_release(&writer);
        page_append_release(&append);
        segment_file_close(&file);
    }
}

TEST(a_right_edge_is_copied_cell_by_cell) {
    struct segment_file file;
    struct page_append append;
    struct index_writer writer, again;
    struct page_slot leaf;
    uint64_t root = 0, root_again = 0, last_leaf = 0;

    segment_file_open(&file, test_path("a.lsm"), 256, 65536, NULL);
    open_append(&file, &append);
    CHECK_OK(page_append_begin(&append, &leaf));
    CHECK_OK(page_append_finish(&append, &leaf)); /* 33: an empty data page */
    index_writer_init(&writer, &file.env.env, &append);
    add_keys(&writer, 0, 333);
    CHECK_OK(index_writer_close(&writer, 33, &root));
    CHECK_OK(page_append_flush(&append));
    index_writer_init(&again, &file.env.env, &append);
    CHECK_OK(index_writer_resume(&again, file.pager, root, &last_leaf));
    CHECK_EQ_UINT(last_leaf, 33);
    CHECK_EQ_UINT(again.depth, writer.depth);
    for (uint32_t i = 0; i < again.depth; i++) {
        CHECK_EQ_UINT(again.levels[i].cell_count, writer.levels[i].cell_count);
        CHECK_EQ_BYTES(again.levels[i].image, again.levels[i].used, writer.levels[i].image,
                       writer.levels[i].used);
    }
    CHECK_OK(index_writer_close(&again, 33, &root_again));
    CHECK(root_again > root); /* new pages: the old ones belong to a checkpoint */
    index_writer_release(&again);
    index_writer_release(&writer);
    page_append_release(&append);
    segment_file_close(&file);
}

TEST(damaged_edges_are_refused) {
    struct segment_file file;
    struct page_append append;
    struct index_writer writer;
    struct page_slot slot;
    struct index_cell cell;
    uint8_t key[80] = {0};
    uint64_t last_leaf = 0;
    uint32_t used = 3;

    segment_file_open(&file, test_path("a.lsm"), 256, 65536, NULL);
    open_append(&file, &append);
    /* 33: right child is itself. 34: no right child. 35: uses the four bytes of a block's edge. */
    CHECK_OK(page_append_begin(&append, &slot));
    format_page_put_footer(slot.data, slot.size, 0, PAGE_FLAG_INDEX, 33);
    CHECK_OK(page_append_finish(&append, &slot));
    CHECK_OK(page_append_begin(&append, &slot));
    format_page_put_footer(slot.data, slot.size, 0, PAGE_FLAG_INDEX, 0);
    CHECK_OK(page_append_finish(&append, &slot));
    CHECK_OK(page_append_begin(&append, &slot));
    for (uint32_t i = 0; i < 3; i++) { /* 3 + 75 + 75 + 83 bytes */
        cell = (struct index_cell){.child = i < 2 ? UINT64_MAX : 1, .key = {key, i < 2 ? 64 : 80}};
        format_page_put_cell(slot.data, slot.size, i, used);
        used += format_index_put_cell(slot.data + used, &cell);
    }
    CHECK(used > 252 - 12 - 6 && used <= 256 - 12 - 6);
    format_page_put_footer(slot.data, slot.size, 3, PAGE_FLAG_INDEX, 36);
    CHECK_OK(page_append_finish(&append, &slot));
    CHECK_OK(page_append_begin(&append, &slot)); /* 36: a data page */
    CHECK_OK(page_append_finish(&append, &slot));
    CHECK_OK(page_append_flush(&append));
    for (uint64_t root = 33; root <= 36; root++) {
        TEST_NOTE("root %u", (unsigned)root);
        index_writer_init(&writer, &file.env.env, &append);
        CHECK_RC(index_writer_resume(&writer, file.pager, root, &last_leaf), LSM_CORRUPT);
        index_writer_release(&writer);
    }
    page_append_release(&append);
    segment_file_close(&file);
}

TEST_MAIN()
