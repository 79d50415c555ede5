/*
** segment_damage_test.c — damaged bytes give LSM_CORRUPT or other content: never a crash, never a loop.
**
** Bytes of the golden files are changed, and everything that reads segments is run on the result: under a
** sanitizer this test is a small fuzzer. LSM_TEST_ROUNDS makes it longer.
*/
#include "base/bytes.h"
#include "support/golden.h"

static long steps_left; /* of one round; a loop uses them up */

static void count_step(void) {
    CHECK_MSG(steps_left-- > 0, "too many steps: a loop");
}

static void ignore_problem(void *context, uint64_t page_no, const char *reason) {
    (void)context, (void)page_no;
    CHECK(reason != NULL);
    count_step();
}

static bool is_fine(int rc) {
    CHECK_MSG(rc == LSM_OK || rc == LSM_CORRUPT, "result code %d", rc);
    return rc == LSM_OK;
}

static uint64_t random_page(struct golden *g) {
    uint64_t pages = g->size / (pager_is_compressed(g->pager) ? 1 : g->snapshot.page_size);
    return test_random_below(8) ? 1 + test_random_below((uint32_t)pages + 2) : test_random();
}

static const lsm_compress *codec_of(const char *name) {
    return strncmp(name, "packed", 6) == 0 ? &rle_codec : NULL;
}

/* Everything that can be asked of one segment. */
static void walk_segment(struct golden *g, const struct segment_view *view, bool partial_front) {
    lsm_env *env = &g->memory.env;
    struct segment_report report = {NULL, ignore_problem, NULL};
    struct segment_cursor cursor, other;
    struct index_cursor index, restored;
    struct segment_lookup lookup;
    struct buffer key;
    struct slice value;
    enum topic topic = TOPIC_USER;
    uint64_t records = 0;
    uint64_t path[80];
    uint32_t path_count = 0;
    bool flag = false;
    int i;

    buffer_init(&key, env);
    segment_cursor_init(&cursor, env, view);
    segment_cursor_init(&other, env, view);
    index_cursor_init(&index, env, view);
    index_cursor_init(&restored, env, view);

    is_fine(segment_check(view, env, partial_front, &report, &records));
    if (is_fine(segment_first(&cursor))) {
        while (cursor.valid) {
            count_step();
            is_fine(segment_value(&cursor, &value));
            CHECK_OK(buffer_assign(&key, cursor.key));
            topic = record_topic(cursor.flags);
            is_fine(segment_seek_ge(&other, topic, buffer_slice(&key), random_page(g)));
            is_fine(segment_seek_le(&other, topic, buffer_slice(&key), 0));
            is_fine(segment_lookup(&other, view, buffer_slice(&key), random_page(g), &lookup));
            if (!is_fine(segment_next(&cursor))) break;
        }
    }
    is_fine(segment_search_path(view, env, topic, buffer_slice(&key), path, 80, &path_count));
    if (is_fine(segment_last(&cursor))) {
        while (cursor.valid) {
            count_step();
            is_fine(segment_value(&cursor, &value));
            if (!is_fine(segment_prev(&cursor))) break;
        }
    }
    if (is_fine(index_cursor_first(&index))) {
        while (index.valid) {
            struct merge_input saved;
            count_step();
            index_cursor_save(&index, &saved);
            is_fine(index_cursor_restore(&restored, &saved));
            if (!is_fine(index_cursor_next(&index))) break;
        }
    }
    for (i = 0; i < 8; i++) {
        struct merge_input saved = {random_page(g), (uint32_t)test_random()};
        is_fine(segment_go(&cursor, random_page(g), test_random_below(16)));
        is_fine(segment_key_at(view, random_page(g), test_random_below(16), &key, &topic));
        is_fine(segment_page_is_index(view, random_page(g), &flag));
        saved.cell = test_random_below(2) ? saved.cell : (uint32_t)test_random_below(8) * 256 + 1;
        is_fine(index_cursor_restore(&restored, &saved));
    }
    is_fine(segment_never_indexed(view, env, &flag));
    index_cursor_release(&index);
    index_cursor_release(&restored);
    segment_cursor_release(&cursor);
    segment_cursor_release(&other);
    buffer_release(&key);
}

static void walk_file(struct golden *g) {
    steps_left = 200000;
    for (uint32_t level = 0; level < g->snapshot.level_count; level++) {
        for (int run = GOLDEN_LEFT; run < (int)g->snapshot.levels[level].right_count; run++) {
            struct segment_view view = golden_view(g, level, run);
            walk_segment(g, &view, run != GOLDEN_LEFT);
        }
    }
    error_clear(&g->error);
}

/* Where damage hurts most: footers, cell arrays, heads, links, index cells; or anywhere. */
static size_t random_place(struct golden *g) {
    uint32_t page_size = g->snapshot.page_size;
    size_t page = META_PAGE_SIZE * 2 / page_size +
                  test_random_below((uint32_t)(g->size / page_size - META_PAGE_SIZE * 2 / page_size));
    size_t at = page * page_size;
    switch (test_random_below(4)) {
    case 0: at += page_size - 1 - test_random_below(16); break;
    case 1: at += page_size - 1 - test_random_below(60); break;
    case 2: at += test_random_below(24); break;
    default: at += test_random_below(page_size); break;
    }
    return at < g->size ? at : g->size - 1;
}

static uint8_t random_byte(uint8_t old) {
    static const uint8_t nasty[] = {0, 1, 0x7f, 0x80, 0xf0, 0xf1, 0xf9, 0xfa, 0xfc, 0xfe, 0xff};
    switch (test_random_below(3)) {
    case 0: return nasty[test_random_below(sizeof nasty)];
    case 1: return (uint8_t)(old ^ 1u << test_random_below(8));
    default: return (uint8_t)test_random();
    }
}

static void damage_file(const char *name, int rounds) {
    struct golden g;
    uint8_t *sound;
    const char *more = getenv("LSM_TEST_ROUNDS");

    if (more) rounds = atoi(more);
    golden_open(&g, name);
    sound = malloc(g.size);
    CHECK(sound != NULL);
    memcpy(sound, g.bytes, g.size);
    walk_file(&g);
    for (int round = 0; round < rounds; round++) {
        uint32_t count = 1 + test_random_below(4);
        TEST_NOTE("%s, round %d", name, round);
        golden_close_pager(&g);
        memcpy(g.bytes, sound, g.size);
        for (uint32_t i = 0; i < count; i++) {
            size_t at = random_place(&g);
            g.bytes[at] = random_byte(g.bytes[at]);
        }
        golden_pager(&g, codec_of(name));
        walk_file(&g);
    }
    free(sound);
    golden_close(&g);
}

/* DF-49 */
TEST(damaged_pages_of_an_indexed_run) {
    damage_file("indexed", 400);
}

TEST(damaged_pages_of_two_runs) {
    damage_file("separators", 300);
}

TEST(damaged_pages_of_a_merge_in_progress) {
    damage_file("merging", 200);
}

TEST(damaged_pages_with_large_keys) {
    damage_file("large_keys", 200);
}

TEST(damaged_compressed_pages) {
    damage_file("packed_runs", 100);
}

TEST(damaged_segment_records) {
    static const char *const names[] = {"indexed", "merging", "packed_runs"};
    for (size_t i = 0; i < 3; i++) {
        struct golden g;
        golden_open(&g, names[i]);
        for (int round = 0; round < 200; round++) {
            struct level *level = &g.snapshot.levels[0];
            uint32_t run = test_random_below(1 + level->right_count);
            struct segment *segment = run == 0 ? &level->left : &level->right[run - 1];
            struct segment kept = *segment;
            uint64_t *fields[] = {&segment->first, &segment->last, &segment->root, &segment->size};
            *fields[test_random_below(4)] = random_page(&g);
            if (test_random_below(3) == 0) *fields[test_random_below(4)] = random_page(&g);
            TEST_NOTE("%s, round %d: %u %u %u %u", names[i], round, (unsigned)segment->first,
                      (unsigned)segment->last, (unsigned)segment->root, (unsigned)segment->size);
            walk_file(&g);
            *segment = kept;
        }
        golden_close(&g);
    }
}

TEST(a_file_cut_at_any_page_is_read_without_harm) {
    static const char *const names[] = {"indexed", "large_keys", "packed_runs"};
    for (size_t i = 0; i < 3; i++) {
        struct golden g;
        golden_open(&g, names[i]);
        while (g.size > META_PAGE_SIZE * 2 + 200) {
            golden_close_pager(&g);
            g.size -= 100 + test_random_below(300);
            golden_pager(&g, codec_of(names[i]));
            walk_file(&g);
        }
        golden_close(&g);
    }
}

TEST_MAIN()
