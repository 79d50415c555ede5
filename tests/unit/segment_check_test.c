/*
** segment_check_test.c — the checker is silent on sound segments and names what is wrong with others.
*/
#include "base/bytes.h"
#include "support/golden.h"
#include "support/segment_builder.h"

struct problems {
    uint32_t count;
    char reasons[2000];
};

static void note_problem(void *context, uint64_t page_no, const char *reason) {
    struct problems *problems = context;
    size_t used = strlen(problems->reasons);
    (void)page_no;
    problems->count++;
    snprintf(problems->reasons + used, sizeof problems->reasons - used, "%s; ", reason);
}

static uint64_t check_run(struct golden *g, uint32_t level, int run, struct problems *problems) {
    struct segment_view view = golden_view(g, level, run);
    struct segment_report report = {problems, note_problem, NULL};
    uint64_t records = 0;
    memset(problems, 0, sizeof *problems);
    CHECK_OK(segment_check(&view, &g->memory.env, run != GOLDEN_LEFT, &report, &records));
    CHECK_EQ_INT(g->error.code, LSM_OK);
    return records;
}

TEST(sound_files_made_by_lsm1_pass) {
    static const struct { const char *name; uint64_t records; } rows[] = {
        {"two_inserts", 2}, {"indexed", 42}, {"separators", 9}, {"large_keys", 60},
        {"packed", 1}};
    struct golden g;
    struct problems problems;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        golden_open(&g, rows[i].name);
        CHECK_EQ_UINT(check_run(&g, 0, GOLDEN_LEFT, &problems), rows[i].records);
        CHECK_EQ_STR(problems.reasons, "");
        golden_close(&g);
    }
    golden_open(&g, "separators");
    CHECK_EQ_UINT(check_run(&g, 1, GOLDEN_LEFT, &problems), 42);
    CHECK_EQ_STR(problems.reasons, "");
    golden_close(&g);
}

TEST(merge_inputs_without_their_front_pass) {
    static const char *const names[] = {"merging", "packed_runs"};
    for (size_t i = 0; i < 2; i++) {
        struct golden g;
        struct problems problems;
        golden_open(&g, names[i]);
        for (int run = GOLDEN_LEFT; run < (int)g.snapshot.levels[0].right_count; run++) {
            CHECK(check_run(&g, 0, run, &problems) > 0);
            CHECK_EQ_STR(problems.reasons, "");
        }
        golden_close(&g);
    }
}

TEST(random_segments_of_our_own_writer_pass) {
    for (uint32_t page_size = 256; page_size <= 16384; page_size *= 4) {
        struct segment_file file;
        struct segment_writer *writer = NULL;
        struct segment_writer_config config;
        struct test_records records = {0};
        struct problems problems = {0};
        struct segment_report report = {&problems, note_problem, NULL};
        struct segment segment;
        struct segment_view view;
        uint64_t append_point = 0, count = 0;

        segment_file_open(&file, test_path("db"), page_size, 65536, NULL);
        random_records(&records, 1000, 600, 200, 70000);
        config = segment_file_config(&file, 0, 0);
        CHECK_OK(segment_writer_new(&file.env.env, &config, &writer));
        for (uint32_t i = 0; i < records.count; i++) {
            CHECK_OK(segment_writer_add_record(writer, &records.items[i]));
        }
        CHECK_OK(segment_writer_finish(writer, &segment, &append_point));
        segment_writer_free(writer);
        view = (struct segment_view){file.pager, &segment, NULL, &file.error};
        CHECK_OK(segment_check(&view, &file.env.env, false, &report, &count));
        CHECK_EQ_STR(problems.reasons, "");
        CHECK_EQ_UINT(count, records.count);
        segment.size++;
        CHECK_OK(segment_check(&view, &file.env.env, false, &report, &count));
        CHECK_EQ_STR(problems.reasons, "the size of a segment is wrong; ");
        test_records_free(&records);
        segment_file_close(&file);
    }
}

/* Page 34 is data, page 40 the index root; page size 256. */
#define PAGE_AT(page_no) (((page_no) - 1) * 256)

TEST(each_kind_of_damage_is_named) {
    static const struct { uint32_t at; uint8_t byte; const char *reason; } rows[] = {
        {PAGE_AT(34) + 255, 200, "more cells than fit"},
        {PAGE_AT(34) + 253, 0x80, "unknown flags"},
        {PAGE_AT(34) + 253, 0x04, "skip flags disagree"},
        {PAGE_AT(34) + 253, 0x02, "skip flags disagree"},
        {PAGE_AT(33) + 253, 0x04, "first page of a segment is skipped"},
        {PAGE_AT(33) + 4, 0x0c, "illegal type"},
        {PAGE_AT(33) + 4, 0x4a, "range marks do not pair up"},
        {PAGE_AT(33) + 4 + 11, 0x20, "does not end where the next begins"},
        {PAGE_AT(33) + 4 + 7, 'z', "not in ascending order"},
        {PAGE_AT(34) + 243, 9, "does not end where the next begins"},
        {PAGE_AT(40) + 3, 0x11, "illegal type"},
        {PAGE_AT(40) + 4, 0, "without a child"},
        {PAGE_AT(40) + 4, 34, "leads to the wrong page"},
        {PAGE_AT(40) + 9, 'z', "not the first of its page"},
        {PAGE_AT(40) + 243, 4, "gap"},
        {PAGE_AT(40) + 251, 0, "no right child"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct golden g;
        struct problems problems;
        golden_open(&g, "indexed");
        golden_close_pager(&g);
        TEST_NOTE("row %zu", i);
        g.bytes[rows[i].at] = rows[i].byte;
        golden_pager(&g, NULL);
        check_run(&g, 0, GOLDEN_LEFT, &problems);
        CHECK_MSG(strstr(problems.reasons, rows[i].reason) != NULL, "row %zu: \"%s\" is not in \"%s\"",
                  i, rows[i].reason, problems.reasons);
        golden_close(&g);
    }
}

TEST(empty_fields_and_wrong_ends_are_named) {
    struct golden g;
    struct problems problems;
    struct segment kept;
    struct segment *segment;

    golden_open(&g, "indexed");
    segment = &g.snapshot.levels[0].left;
    kept = *segment;
    segment->size = 0;
    check_run(&g, 0, GOLDEN_LEFT, &problems);
    CHECK(problems.count > 0);
    *segment = kept;
    segment->first = 34;
    check_run(&g, 0, GOLDEN_LEFT, &problems);
    CHECK(problems.count > 0);
    *segment = kept;
    segment->last = 32;
    check_run(&g, 0, GOLDEN_LEFT, &problems);
    CHECK(problems.count > 0);
    *segment = kept;
    segment->root = 39;
    check_run(&g, 0, GOLDEN_LEFT, &problems);
    CHECK(problems.count > 0);
    *segment = kept;
    segment->size = UINT64_MAX;
    check_run(&g, 0, GOLDEN_LEFT, &problems);
    CHECK(problems.count > 0);
    *segment = kept;
    golden_close(&g);
}

TEST(each_failed_allocation_and_read_is_returned) {
    struct golden g;

    golden_open(&g, "indexed");
    for (int kind = 0; kind < 2; kind++) {
        int code = kind ? LSM_IOERR : LSM_NOMEM;
        bool done = false;
        for (long nth = 1; !done; nth++) {
            struct problems problems = {0};
            struct segment_report report = {&problems, note_problem, NULL};
            struct segment_view view;
            uint64_t records = 77;
            int rc;
            golden_close_pager(&g);
            golden_pager(&g, NULL);
            view = golden_view(&g, 0, GOLDEN_LEFT);
            memory_env_fail(&g.memory, kind ? MEMORY_READ : MEMORY_MALLOC, nth, code);
            rc = segment_check(&view, &g.memory.env, false, &report, &records);
            done = g.memory.fail_kind != -1;
            memory_env_no_failure(&g.memory);
            CHECK_EQ_INT(rc, done ? LSM_OK : code);
            CHECK_EQ_UINT(records, done ? 42 : 77);
            CHECK_EQ_STR(problems.reasons, "");
        }
    }
    golden_close(&g);
}

TEST_MAIN()
