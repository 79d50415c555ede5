/*
** page_cache_test.c — the bound, the clock, references, and threads that all want the same pages.
*/
#include "base/memory.h"
#include "pager/pager_internal.h"
#include "support/memory_env.h"

static struct page_frame *fetch(struct page_cache *cache, uint64_t page_no, bool *hit) {
    uint64_t ticket = 0;
    struct page_frame *frame = page_cache_find(cache, page_no, &ticket);
    *hit = frame != NULL;
    if (frame == NULL) {
        frame = page_cache_take(cache, page_no);
        CHECK(frame != NULL);
        memset(frame->data, (int)(page_no & 0xff), cache->page_size);
        frame = page_cache_add(cache, frame, ticket);
    }
    CHECK_EQ_UINT(frame->page_no, page_no);
    CHECK_EQ_INT(frame->data[cache->page_size - 1], page_no & 0xff);
    return frame;
}

static uint32_t frames_in(const struct page_cache *cache) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < PAGE_CACHE_SHARDS; i++) sum += cache->shards[i].frame_count;
    return sum;
}

static void open_cache(struct memory_env *m, struct page_cache *cache, size_t bytes_max) {
    memory_env_open(m);
    CHECK_OK(page_cache_init(cache, &m->env, bytes_max));
    CHECK_OK(page_cache_set_page_size(cache, 256));
}

TEST(a_page_that_was_read_is_found_again) {
    struct memory_env m;
    struct page_cache cache;
    bool hit = true;

    open_cache(&m, &cache, 1 << 20);
    page_cache_put(&cache, fetch(&cache, 7, &hit));
    CHECK(!hit);
    page_cache_put(&cache, fetch(&cache, 7, &hit));
    CHECK(hit);
    page_cache_put(&cache, NULL);
    page_cache_release(&cache);
    page_cache_release(&cache);
    memory_env_close(&m);
}

TEST(the_cache_keeps_its_bound_and_then_allocates_no_more) {
    struct memory_env m;
    struct page_cache cache;
    bool hit;
    long allocations;

    open_cache(&m, &cache, 64 * (256 + sizeof(struct page_frame)));
    CHECK_EQ_UINT(cache.frames_max, 8);
    for (uint64_t i = 1; i <= 1000; i++) page_cache_put(&cache, fetch(&cache, i, &hit));
    CHECK(frames_in(&cache) <= 64);
    allocations = m.count[MEMORY_MALLOC];
    for (uint64_t i = 1001; i <= 2000; i++) page_cache_put(&cache, fetch(&cache, i, &hit));
    CHECK_EQ_INT(m.count[MEMORY_MALLOC], allocations);
    page_cache_release(&cache);
    memory_env_close(&m);
}

TEST(a_page_in_steady_use_survives_a_scan) {
    struct memory_env m;
    struct page_cache cache;
    bool hit;

    open_cache(&m, &cache, 64 * (256 + sizeof(struct page_frame)));
    page_cache_put(&cache, fetch(&cache, 1, &hit));
    for (uint64_t i = 2; i <= 3000; i++) {
        page_cache_put(&cache, fetch(&cache, i, &hit));
        page_cache_put(&cache, fetch(&cache, 1, &hit));
        CHECK(hit);
    }
    page_cache_release(&cache);
    memory_env_close(&m);
}

TEST(borrowed_pages_are_never_given_away_and_the_excess_goes_when_they_come_back) {
    struct memory_env m;
    struct page_cache cache;
    struct page_frame *held[400];
    bool hit;

    open_cache(&m, &cache, 0);
    for (uint64_t i = 0; i < 400; i++) held[i] = fetch(&cache, i + 1, &hit);
    for (uint64_t i = 0; i < 400; i++) {
        CHECK_EQ_UINT(held[i]->page_no, i + 1);
        CHECK_EQ_INT(held[i]->data[0], (i + 1) & 0xff);
    }
    for (uint64_t i = 0; i < 400; i++) page_cache_put(&cache, held[i]);
    CHECK(frames_in(&cache) <= cache.frames_max * PAGE_CACHE_SHARDS);
    page_cache_release(&cache);
    memory_env_close(&m);
}

TEST(dropped_pages_are_gone_for_others_and_stay_for_who_holds_them) {
    struct memory_env m;
    struct page_cache cache;
    struct page_frame *held;
    bool hit;

    open_cache(&m, &cache, 1 << 20);
    for (uint64_t i = 1; i <= 100; i++) page_cache_put(&cache, fetch(&cache, i, &hit));
    held = fetch(&cache, 50, &hit);
    page_cache_drop(&cache, 40, 60); /* many at once */
    page_cache_drop(&cache, 70, 72); /* one by one */
    page_cache_drop(&cache, 5, 5);
    for (uint64_t i = 1; i <= 100; i++) {
        uint64_t ticket;
        struct page_frame *frame = page_cache_find(&cache, i, &ticket);
        bool dropped = (i >= 40 && i < 60) || i == 70 || i == 71;
        CHECK_EQ_INT(frame == NULL, dropped);
        page_cache_put(&cache, frame);
    }
    CHECK_EQ_INT(held->data[9], 50);
    page_cache_put(&cache, held);
    page_cache_release(&cache);
    memory_env_close(&m);
}

TEST(an_image_read_before_a_drop_is_not_kept_after_it) {
    struct memory_env m;
    struct page_cache cache;
    struct page_frame *frame;
    uint64_t ticket = 0;

    open_cache(&m, &cache, 1 << 20);
    CHECK_EQ_PTR(page_cache_find(&cache, 5, &ticket), NULL);
    frame = page_cache_take(&cache, 5);
    page_cache_drop(&cache, 5, 6);
    frame = page_cache_add(&cache, frame, ticket);
    CHECK_EQ_PTR(page_cache_find(&cache, 5, &ticket), NULL);
    page_cache_put(&cache, frame);
    page_cache_release(&cache);
    memory_env_close(&m);
}

TEST(of_two_readers_of_one_page_the_second_gets_the_image_of_the_first) {
    struct memory_env m;
    struct page_cache cache;
    struct page_frame *one, *two, *shared;
    uint64_t ticket1 = 0, ticket2 = 0;

    open_cache(&m, &cache, 1 << 20);
    CHECK_EQ_PTR(page_cache_find(&cache, 5, &ticket1), NULL);
    CHECK_EQ_PTR(page_cache_find(&cache, 5, &ticket2), NULL);
    one = page_cache_take(&cache, 5);
    two = page_cache_take(&cache, 5);
    CHECK_EQ_PTR(page_cache_add(&cache, one, ticket1), one);
    shared = page_cache_add(&cache, two, ticket2);
    CHECK_EQ_PTR(shared, one);
    page_cache_put(&cache, one);
    page_cache_put(&cache, shared);
    page_cache_release(&cache);
    memory_env_close(&m);
}

TEST(another_page_size_empties_the_cache) {
    struct memory_env m;
    struct page_cache cache;
    bool hit;

    open_cache(&m, &cache, 1 << 20);
    page_cache_put(&cache, fetch(&cache, 7, &hit));
    CHECK_OK(page_cache_set_page_size(&cache, 256));
    CHECK_EQ_UINT(frames_in(&cache), 1);
    CHECK_OK(page_cache_set_page_size(&cache, 65536));
    CHECK_EQ_UINT(frames_in(&cache), 0);
    page_cache_put(&cache, fetch(&cache, 7, &hit));
    memory_env_fail(&m, MEMORY_MALLOC, 3, LSM_NOMEM);
    CHECK_RC(page_cache_set_page_size(&cache, 512), LSM_NOMEM);
    page_cache_put(&cache, fetch(&cache, 7, &hit));
    CHECK(hit); /* as it was */
    page_cache_release(&cache);
    memory_env_close(&m);
}

/* ------------------------------------------------------------------------------- threads -- */

struct job {
    struct page_cache *cache;
    uint64_t seed;
};

static void hammer(void *context) {
    struct job *job = context;
    uint64_t state = job->seed;

    for (int i = 0; i < 20000; i++) {
        bool hit;
        state = state * 6364136223846793005u + 1442695040888963407u;
        page_cache_put(job->cache, fetch(job->cache, 1 + (state >> 33) % 300, &hit));
        if (i % 1000 == 0) page_cache_drop(job->cache, 1, 200);
    }
}

TEST(threads_share_the_cache) {
    lsm_env *env = lsm_default_env();
    struct page_cache cache;
    struct os_thread *threads[4];
    struct job jobs[4];

    CHECK_OK(page_cache_init(&cache, env, 100 * 400));
    CHECK_OK(page_cache_set_page_size(&cache, 256));
    for (int i = 0; i < 4; i++) {
        jobs[i] = (struct job){&cache, test_random()};
        CHECK_OK(os_thread_start(env, hammer, &jobs[i], &threads[i]));
    }
    for (int i = 0; i < 4; i++) os_thread_join(env, threads[i]);
    page_cache_release(&cache);
}

TEST_MAIN()
