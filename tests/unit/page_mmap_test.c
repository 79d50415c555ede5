/*
** page_mmap_test.c — windows: growth, limits, retired mappings, readers in several threads.
*/
#include <stdatomic.h>

#include "pager/pager_internal.h"
#include "support/test.h"

struct fixture {
    struct os_file file;
    struct pager *pager;
    struct error_context error;
};

/* Windows of 64 KiB, so that a small file has many. */
static void open_fixture(struct fixture *f, uint64_t mmap_bytes) {
    struct pager_config config = {.mmap_bytes = mmap_bytes, .cache_bytes = 1 << 16};

    memset(f, 0, sizeof *f);
    CHECK_OK(os_open(lsm_default_env(), test_path("db"), 0, &f->file));
    CHECK_OK(pager_open(lsm_default_env(), &f->file, &config, &f->pager));
    CHECK_OK(pager_set_geometry(f->pager, 1024, 65536));
    f->pager->map.window_shift = 16;
}

static void close_fixture(struct fixture *f) {
    pager_close(f->pager);
    os_close(&f->file);
}

static void put_page(struct fixture *f, uint64_t page_no) {
    uint8_t image[1024];
    memset(image, (int)(page_no % 251), sizeof image);
    CHECK_OK(pager_write_raw(f->pager, (page_no - 1) * 1024, image, sizeof image));
}

static bool check_page(struct fixture *f, uint64_t page_no) {
    struct page page;
    bool mapped;
    CHECK_OK(pager_get(f->pager, NULL, page_no, &f->error, &page));
    CHECK_EQ_INT(page.data[100], page_no % 251);
    mapped = page.frame == NULL;
    pager_put(f->pager, &page);
    return mapped;
}

TEST(all_pages_of_a_growing_file_are_mapped) {
    struct fixture f;

    if (os_map_granularity() > 65536) return;
    open_fixture(&f, UINT64_MAX);
    pager_reader_enter(f.pager);
    for (uint64_t page_no = 9; page_no < 400; page_no++) {
        put_page(&f, page_no);
        CHECK(check_page(&f, page_no));
        if (page_no % 50 == 0) {
            for (uint64_t other = 9; other <= page_no; other++) CHECK(check_page(&f, other));
        }
    }
    CHECK_EQ_UINT(pager_pages_read(f.pager), 0);
    pager_reader_leave(f.pager);
    close_fixture(&f);
}

TEST(a_replaced_mapping_stays_until_the_last_reader_leaves) {
    struct fixture f;
    struct page page;

    if (os_map_granularity() > 65536) return;
    open_fixture(&f, UINT64_MAX);
    put_page(&f, 9);
    pager_reader_enter(f.pager);
    pager_reader_enter(f.pager);
    CHECK_OK(pager_get(f.pager, NULL, 9, &f.error, &page));
    put_page(&f, 10);
    CHECK(check_page(&f, 10)); /* mapped anew */
    CHECK(atomic_load(&f.pager->map.retired) != NULL);
    pager_reader_leave(f.pager);
    CHECK(atomic_load(&f.pager->map.retired) != NULL);
    CHECK_EQ_INT(page.data[100], 9); /* the old address is still good */
    pager_put(f.pager, &page);
    pager_reader_leave(f.pager);
    CHECK_EQ_PTR(atomic_load(&f.pager->map.retired), NULL);
    CHECK(check_page(&f, 9));
    close_fixture(&f);
}

TEST(beside_a_reader_that_stays_mappings_do_not_pile_up) {
    struct fixture f;

    if (os_map_granularity() > 65536) return;
    open_fixture(&f, UINT64_MAX);
    pager_reader_enter(f.pager);
    for (uint64_t page_no = 9; page_no < 4000; page_no++) {
        put_page(&f, page_no);
        (void)check_page(&f, page_no);
    }
    /* 16 steps of a quarter, or fewer, for each of 62 windows. */
    CHECK_MSG(f.pager->map.retired_count < 512 + 62 * 16, "%u mappings", f.pager->map.retired_count);
    for (uint64_t page_no = 9; page_no < 3900; page_no++) (void)check_page(&f, page_no);
    pager_reader_leave(f.pager);
    CHECK_EQ_UINT(f.pager->map.retired_count, 0);
    CHECK(check_page(&f, 3999)); /* mapped again as far as the file goes */
    close_fixture(&f);
}

TEST(beyond_the_limit_the_cache_serves) {
    struct fixture f;

    if (os_map_granularity() > 65536) return;
    open_fixture(&f, 100 * 1024);
    for (uint64_t page_no = 9; page_no < 200; page_no++) put_page(&f, page_no);
    CHECK(check_page(&f, 9));
    CHECK(check_page(&f, 100));
    CHECK(!check_page(&f, 101));
    CHECK(!check_page(&f, 199));
    pager_set_mmap(f.pager, 0);
    CHECK(!check_page(&f, 9));
    pager_set_mmap(f.pager, UINT64_MAX);
    CHECK(check_page(&f, 199));
    close_fixture(&f);
}

/* --------------------------------------------------------------- when mapping is refused -- */

static int refuse_map(lsm_file *file, uint64_t offset, size_t size, void **address) {
    (void)file, (void)offset, (void)size, (void)address;
    return LSM_IOERR;
}

TEST(when_the_system_refuses_to_map_the_cache_serves) {
    struct fixture f;
    struct os_extra refusing = *os_extra_of(lsm_default_env());
    const struct os_extra *usual = os_extra_of(lsm_default_env());
    static struct os_extra copy;

    copy = *usual;
    refusing.map = refuse_map;
    CHECK_OK(os_extra_register(lsm_default_env(), &refusing));
    open_fixture(&f, UINT64_MAX);
    for (uint64_t page_no = 9; page_no < 40; page_no++) put_page(&f, page_no);
    for (uint64_t page_no = 9; page_no < 40; page_no++) CHECK(!check_page(&f, page_no));
    close_fixture(&f);
    CHECK_OK(os_extra_register(lsm_default_env(), &copy));
}

/* ------------------------------------------------------------------------------- threads -- */

struct job {
    struct fixture *f;
    atomic_uint *written; /* pages 9..written are there */
    uint64_t seed;
};

static void read_pages(void *context) {
    struct job *job = context;
    uint64_t state = job->seed;

    while (atomic_load(job->written) < 3000) {
        pager_reader_enter(job->f->pager);
        for (int i = 0; i < 50; i++) {
            uint32_t last = atomic_load(job->written);
            state = state * 6364136223846793005u + 1442695040888963407u;
            if (last >= 9) check_page(job->f, 9 + (state >> 33) % (last - 8));
        }
        pager_reader_leave(job->f->pager);
    }
}

TEST(readers_in_several_threads_follow_a_growing_file) {
    struct fixture f;
    struct os_thread *threads[3];
    struct job jobs[3];
    atomic_uint written = 8;

    if (os_map_granularity() > 65536) return;
    open_fixture(&f, UINT64_MAX);
    pager_set_block_limit(f.pager, 50);
    for (int i = 0; i < 3; i++) {
        jobs[i] = (struct job){&f, &written, test_random()};
        CHECK_OK(os_thread_start(lsm_default_env(), read_pages, &jobs[i], &threads[i]));
    }
    for (uint32_t page_no = 9; page_no <= 3000; page_no++) {
        put_page(&f, page_no);
        atomic_store(&written, page_no);
    }
    for (int i = 0; i < 3; i++) os_thread_join(lsm_default_env(), threads[i]);
    close_fixture(&f);
}

TEST_MAIN()
