/*
** pager_test.c — geometry, the ways to a page, growth of the file, writing, counters.
*/
#include "pager/pager_internal.h"
#include "support/memory_env.h"

struct fixture {
    struct os_file file;
    struct pager *pager;
    struct error_context error;
};

static void open_fixture(struct fixture *f, lsm_env *env, const char *path, uint64_t mmap_bytes) {
    struct pager_config config = {.mmap_bytes = mmap_bytes, .cache_bytes = 1 << 16};

    memset(f, 0, sizeof *f);
    CHECK_OK(os_open(env, path, 0, &f->file));
    CHECK_OK(pager_open(env, &f->file, &config, &f->pager));
    CHECK_OK(pager_set_geometry(f->pager, 4096, 65536));
    pager_set_block_limit(f->pager, 8);
}

static void close_fixture(struct fixture *f) {
    pager_close(f->pager);
    os_close(&f->file);
}

/* Write a page full of one byte. */
static void put_page(struct fixture *f, uint64_t page_no, int byte) {
    uint8_t image[4096];
    memset(image, byte, sizeof image);
    CHECK_OK(pager_write_raw(f->pager, (page_no - 1) * 4096, image, sizeof image));
}

static void check_page(struct fixture *f, uint64_t page_no, int byte) {
    struct page page;
    CHECK_OK(pager_get(f->pager, NULL, page_no, &f->error, &page));
    CHECK_EQ_UINT(page.page_no, page_no);
    CHECK_EQ_INT(page.data[0], byte);
    CHECK_EQ_INT(page.data[page.size - 1], byte);
    pager_put(f->pager, &page);
    CHECK_EQ_PTR(page.data, NULL);
}

static void check_missing(struct fixture *f, uint64_t page_no) {
    struct page page;

    error_clear(&f->error);
    CHECK_RC(pager_get(f->pager, NULL, page_no, &f->error, &page), LSM_CORRUPT);
    CHECK_EQ_UINT(f->error.page_no, page_no);
}

static void check_copied_page(struct fixture *f, uint64_t page_no, const uint8_t *image) {
    struct page page;
    CHECK_OK(pager_get(f->pager, NULL, page_no, &f->error, &page));
    CHECK_EQ_BYTES(page.data, page.size, image, 4096);
    pager_put(f->pager, &page);
}

TEST(geometry_is_that_of_the_format_table) {
    static const struct { uint32_t page_size; uint64_t first; } rows[] = {
        {256, 33}, {512, 17}, {1024, 9}, {2048, 5}, {4096, 3}, {8192, 2}, {16384, 2}, {65536, 2}};
    struct fixture f;

    open_fixture(&f, lsm_default_env(), test_path("a"), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t block_size = 262144;
        uint64_t per_block = block_size / rows[i].page_size;
        CHECK_OK(pager_set_geometry(f.pager, rows[i].page_size, block_size));
        CHECK_EQ_UINT(pager_first_page(f.pager, 1), rows[i].first);
        CHECK_EQ_UINT(pager_last_page(f.pager, 1), per_block);
        CHECK_EQ_UINT(pager_first_page(f.pager, 2), per_block + 1);
        CHECK_EQ_UINT(pager_last_page(f.pager, 7), 7 * per_block);
        CHECK_EQ_UINT(pager_block_of(f.pager, rows[i].first), 1);
        CHECK_EQ_UINT(pager_block_of(f.pager, per_block), 1);
        CHECK_EQ_UINT(pager_block_of(f.pager, per_block + 1), 2);
        CHECK_EQ_UINT(pager_block_of(f.pager, 0), 0);
        CHECK_EQ_UINT(pager_block_of(f.pager, UINT64_MAX), 0);
        CHECK_EQ_UINT(pager_page_size(f.pager), rows[i].page_size);
        CHECK_EQ_UINT(pager_block_size(f.pager), block_size);
    }
    CHECK_EQ_UINT(pager_last_page(f.pager, UINT32_MAX), (uint64_t)UINT32_MAX * 4);
    CHECK(!pager_is_compressed(f.pager));
    close_fixture(&f);
}

/* DF-46 */
TEST(every_pair_of_page_and_block_size_is_taken_or_refused_by_the_four_page_rule) {
    struct fixture f;

    open_fixture(&f, lsm_default_env(), test_path("a"), 0);
    for (uint32_t page_size = 128; page_size <= 131072; page_size *= 2) {
        for (uint32_t block_size = 32768; block_size <= 134217728; block_size *= 2) {
            bool legal = page_size >= 256 && page_size <= 65536 && block_size >= 65536 &&
                         block_size <= 67108864 && block_size / page_size >= 4;
            CHECK_RC(pager_set_geometry(f.pager, page_size, block_size),
                     legal ? LSM_OK : LSM_CORRUPT);
        }
    }
    CHECK_RC(pager_set_geometry(f.pager, 4097, 65536), LSM_CORRUPT);
    CHECK_RC(pager_set_geometry(f.pager, 0, 0), LSM_CORRUPT);
    close_fixture(&f);
}

TEST(pages_at_block_edges_lose_four_bytes_to_a_link) {
    struct fixture f;
    struct page page;

    open_fixture(&f, lsm_default_env(), test_path("a"), 0);
    put_page(&f, 48, 0);
    for (uint64_t page_no = 3; page_no <= 48; page_no++) {
        bool edge = page_no == 3 || page_no % 16 <= 1;
        CHECK_OK(pager_get(f.pager, NULL, page_no, &f.error, &page));
        CHECK_EQ_UINT(page.size, edge ? 4092 : 4096);
        pager_put(f.pager, &page);
    }
    close_fixture(&f);
}

TEST(peeking_gives_the_address_of_pages_that_are_mapped_already) {
    struct redirects redirects = {.count = 1, .pairs = {{.from = 3, .to = 2}}};
    struct fixture f;
    struct page page;

    open_fixture(&f, lsm_default_env(), test_path("a"), UINT64_MAX);
    put_page(&f, 20, 20);
    CHECK_EQ_PTR(pager_peek(f.pager, NULL, 20), NULL);
    CHECK_OK(pager_get(f.pager, NULL, 20, &f.error, &page));
    CHECK_EQ_PTR(pager_peek(f.pager, NULL, 20), page.data);
    CHECK_EQ_PTR(pager_peek(f.pager, &redirects, 36), page.data); /* block 3 is now block 2 */
    CHECK_EQ_PTR(pager_peek(f.pager, NULL, 0), NULL);
    CHECK_EQ_PTR(pager_peek(f.pager, NULL, UINT64_MAX), NULL);
    pager_put(f.pager, &page);
    close_fixture(&f);
    open_fixture(&f, lsm_default_env(), test_path("a"), 0);
    CHECK_OK(pager_get(f.pager, NULL, 20, &f.error, &page));
    CHECK_EQ_PTR(pager_peek(f.pager, NULL, 20), NULL);
    pager_put(f.pager, &page);
    close_fixture(&f);
}

TEST(numbers_below_the_first_page_and_above_the_last_block_are_corrupt) {
    static const uint64_t wrong[] = {0, 1, 2, 129, 1000000, UINT64_MAX, UINT64_MAX / 2};
    struct fixture f;
    struct page page = {.page_no = 77};

    open_fixture(&f, lsm_default_env(), test_path("a"), UINT64_MAX);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        error_clear(&f.error);
        CHECK_RC(pager_get(f.pager, NULL, wrong[i], &f.error, &page), LSM_CORRUPT);
        CHECK_EQ_UINT(f.error.page_no, wrong[i]);
        CHECK(f.error.reason != NULL);
    }
    CHECK_EQ_UINT(page.page_no, 77); /* outputs are untouched on failure */
    pager_set_block_limit(f.pager, 9);
    pager_set_block_limit(f.pager, 2); /* grows only */
    put_page(&f, 129, 0);
    CHECK_OK(pager_get(f.pager, NULL, 129, &f.error, &page));
    pager_put(f.pager, &page);
    close_fixture(&f);
}

/* A file may claim four thousand million blocks: who walks over pages of zeros walks for days. */
TEST(a_page_behind_the_end_of_the_file_is_damage_until_it_is_written) {
    for (int mapped = 0; mapped < 2; mapped++) {
        struct fixture f;
        open_fixture(&f, lsm_default_env(), test_path(mapped ? "m" : "c"), mapped ? UINT64_MAX : 0);
        pager_reader_enter(f.pager);
        check_missing(&f, 5);
        check_missing(&f, 6);
        put_page(&f, 5, 55);
        check_page(&f, 5, 55);
        check_missing(&f, 6);
        put_page(&f, 20, 20);
        check_page(&f, 20, 20);
        check_page(&f, 6, 0);
        pager_reader_leave(f.pager);
        close_fixture(&f);
    }
}

TEST(a_page_that_crosses_the_end_of_the_file_is_filled_with_zeros_and_not_kept) {
    for (int mapped = 0; mapped < 2; mapped++) {
        struct fixture f;
        struct page page;
        uint8_t half[2048];
        open_fixture(&f, lsm_default_env(), test_path(mapped ? "m" : "c"), mapped ? UINT64_MAX : 0);
        memset(half, 7, sizeof half);
        CHECK_OK(os_write(&f.file, 6 * 4096, half, sizeof half)); /* behind the pager's back */
        CHECK_OK(pager_get(f.pager, NULL, 7, &f.error, &page));
        CHECK_EQ_INT(page.data[2047], 7);
        CHECK_EQ_INT(page.data[2048], 0);
        pager_put(f.pager, &page);
        CHECK_OK(os_write(&f.file, 6 * 4096 + 2048, half, sizeof half));
        check_page(&f, 7, 7);
        close_fixture(&f);
    }
}

TEST(writes_by_others_behind_the_known_end_are_found) {
    for (int mapped = 0; mapped < 2; mapped++) {
        struct fixture f;
        uint8_t image[4096];
        open_fixture(&f, lsm_default_env(), test_path(mapped ? "m" : "c"), mapped ? UINT64_MAX : 0);
        put_page(&f, 3, 3);
        check_page(&f, 3, 3);
        memset(image, 9, sizeof image);
        CHECK_OK(os_write(&f.file, 8 * 4096, image, sizeof image));
        check_page(&f, 9, 9);
        close_fixture(&f);
    }
}

TEST(a_cached_page_that_is_written_is_read_again) {
    struct fixture f;
    struct page held;

    open_fixture(&f, lsm_default_env(), test_path("a"), 0);
    put_page(&f, 5, 1);
    CHECK_OK(pager_get(f.pager, NULL, 5, &f.error, &held));
    put_page(&f, 5, 2);
    CHECK_EQ_INT(held.data[0], 1); /* who holds it keeps what he saw */
    check_page(&f, 5, 2);
    pager_put(f.pager, &held);
    check_page(&f, 5, 2);
    close_fixture(&f);
}

TEST(counters_count_pages_written_and_pages_read_with_a_call) {
    struct fixture f;
    uint8_t images[3 * 4096] = {1};

    open_fixture(&f, lsm_default_env(), test_path("a"), 0);
    CHECK_OK(pager_write_raw(f.pager, 4 * 4096, images, sizeof images));
    CHECK_EQ_UINT(pager_pages_written(f.pager), 3);
    check_page(&f, 6, 0);
    check_page(&f, 6, 0); /* from the cache */
    check_missing(&f, 100); /* behind the end: no call */
    CHECK_EQ_UINT(pager_pages_read(f.pager), 1);
    close_fixture(&f);

    open_fixture(&f, lsm_default_env(), test_path("a"), UINT64_MAX);
    check_page(&f, 6, 0);
    CHECK_EQ_UINT(pager_pages_read(f.pager), 0);
    close_fixture(&f);
}

TEST(copying_a_block_copies_links_and_all_and_drops_what_was_cached) {
    struct fixture f;
    uint8_t block[65536], copy[65536];

    open_fixture(&f, lsm_default_env(), test_path("a"), 0);
    test_random_bytes(block, sizeof block);
    CHECK_OK(pager_write_raw(f.pager, 4 * 65536, block, sizeof block));
    put_page(&f, 20, 99);
    check_page(&f, 20, 99); /* now in the cache */
    CHECK_OK(pager_copy_block(f.pager, 5, 2, &f.error));
    CHECK_OK(os_read(&f.file, 65536, copy, sizeof copy));
    CHECK_EQ_BYTES(copy, sizeof copy, block, sizeof block);
    check_copied_page(&f, 20, copy + 3 * 4096);
    close_fixture(&f);
}

TEST(blocks_that_do_not_exist_and_block_1_are_not_copied) {
    static const uint32_t pairs[][2] = {{0, 2}, {1, 2}, {2, 0}, {2, 1}, {9, 2}, {2, 9}, {3, 3}};
    struct fixture f;

    open_fixture(&f, lsm_default_env(), test_path("a"), 0);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        CHECK_RC(pager_copy_block(f.pager, pairs[i][0], pairs[i][1], &f.error), LSM_CORRUPT);
    }
    close_fixture(&f);
}

TEST(forgetting_makes_a_file_changed_by_others_visible) {
    for (int mapped = 0; mapped < 2; mapped++) {
        struct fixture f;
        uint8_t image[4096];
        open_fixture(&f, lsm_default_env(), test_path(mapped ? "m" : "c"), mapped ? UINT64_MAX : 0);
        put_page(&f, 5, 1);
        put_page(&f, 6, 1);
        check_page(&f, 5, 1);
        check_page(&f, 6, 1);
        pager_forget(f.pager);
        memset(image, 4, sizeof image);
        CHECK_OK(os_write(&f.file, 4 * 4096, image, sizeof image));
        CHECK_OK(os_truncate(&f.file, 5 * 4096));
        check_page(&f, 5, 4);
        check_missing(&f, 6);
        close_fixture(&f);
    }
}

TEST(failed_reads_writes_and_sizes_are_returned_and_leave_nothing_behind) {
    struct memory_env m;
    struct fixture f;
    struct page page;
    uint8_t image[4096] = {0};

    memory_env_open(&m);
    open_fixture(&f, &m.env, "db", 0);
    put_page(&f, 9, 9);
    memory_env_fail(&m, MEMORY_READ, 1, LSM_IOERR);
    CHECK_RC(pager_get(f.pager, NULL, 9, &f.error, &page), LSM_IOERR);
    check_page(&f, 9, 9);
    memory_env_fail(&m, MEMORY_WRITE, 1, LSM_FULL);
    CHECK_RC(pager_write_raw(f.pager, 10 * 4096, image, sizeof image), LSM_FULL);
    memory_env_fail(&m, MEMORY_SIZE, 1, LSM_IOERR);
    CHECK_RC(pager_get(f.pager, NULL, 30, &f.error, &page), LSM_IOERR);
    memory_env_fail(&m, MEMORY_SYNC, 1, LSM_IOERR);
    CHECK_RC(pager_sync(f.pager), LSM_IOERR);
    CHECK_OK(pager_sync(f.pager));
    memory_env_fail(&m, MEMORY_READ, 1, LSM_IOERR);
    CHECK_RC(pager_copy_block(f.pager, 3, 2, &f.error), LSM_IOERR);
    close_fixture(&f);
    memory_env_close(&m);
}

TEST(each_failed_allocation_of_opening_and_reading_is_survived) {
    struct memory_env m;
    struct os_file file;
    bool all_done = false;

    memory_env_open(&m);
    CHECK_OK(os_open(&m.env, "db", 0, &file));
    for (long nth = 1; !all_done; nth++) {
        struct pager_config config = {.cache_bytes = 1 << 16};
        struct pager *pager = NULL;
        struct page page = {0};
        uint8_t image[4096] = {1};
        int rc;
        memory_env_fail(&m, MEMORY_MALLOC, nth, LSM_NOMEM);
        rc = pager_open(&m.env, &file, &config, &pager);
        if (rc == LSM_OK) rc = pager_set_geometry(pager, 4096, 65536);
        if (rc == LSM_OK) rc = pager_write_raw(pager, 4 * 4096, image, sizeof image);
        if (rc == LSM_OK) rc = pager_get(pager, NULL, 5, NULL, &page);
        if (rc == LSM_OK) pager_put(pager, &page);
        all_done = rc == LSM_OK;
        if (!all_done) CHECK_EQ_INT(rc, LSM_NOMEM);
        CHECK(nth < 100);
        pager_close(pager);
    }
    os_close(&file);
    memory_env_no_failure(&m);
    memory_env_close(&m);
}

TEST(a_foreign_environment_without_file_sizes_is_served_by_the_cache) {
    struct memory_env m;
    struct fixture f;

    memory_env_open(&m);
    memory_env_make_foreign(&m);
    open_fixture(&f, &m.env, "db", UINT64_MAX);
    put_page(&f, 5, 5);
    check_page(&f, 5, 5);
    check_page(&f, 90, 0);
    put_page(&f, 90, 90);
    check_page(&f, 90, 90);
    close_fixture(&f);
    memory_env_close(&m);
}

TEST_MAIN()
