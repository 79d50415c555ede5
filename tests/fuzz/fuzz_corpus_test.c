/*
** fuzz_corpus_test.c — every committed input of every fuzz target, run once.
**
** The corpora hold inputs that reach much of the code, and all inputs that ever found a bug. To fuzz for real:
** node tools/go.mjs fuzz.
*/
#define FUZZ_REPLAY
#include <dirent.h>

#include "fuzz/bulk_fuzz.c"
#include "fuzz/log_fuzz.c"
#include "fuzz/memtree_fuzz.c"
#include "fuzz/meta_page_fuzz.c"
#include "fuzz/open_fuzz.c"
#include "fuzz/page_fuzz.c"
#include "fuzz/segment_fuzz.c"

/* Run one file in a block of its exact size. */
static void replay_file(const char *path, int (*target)(const uint8_t *, size_t)) {
    FILE *in = fopen(path, "rb");
    uint8_t *bytes;
    long size;

    CHECK_MSG(in != NULL, "cannot open %s", path);
    CHECK(fseek(in, 0, SEEK_END) == 0 && (size = ftell(in)) >= 0);
    rewind(in);
    bytes = malloc(size > 0 ? (size_t)size : 1);
    CHECK(bytes != NULL && fread(bytes, 1, (size_t)size, in) == (size_t)size);
    fclose(in);
    TEST_NOTE("%s", path);
    CHECK_EQ_INT(target(bytes, (size_t)size), 0);
    free(bytes);
}

static void replay_corpus(const char *name, int (*target)(const uint8_t *, size_t)) {
    char folder[128], path[512];
    const struct dirent *entry;
    int count = 0;
    DIR *dir;

    snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s", name);
    dir = opendir(folder);
    CHECK_MSG(dir != NULL, "cannot open %s; run from the project's folder", folder);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        replay_file(path, target);
        count++;
    }
    closedir(dir);
    CHECK_MSG(count > 0, "%s is empty", folder);
    CHECK_EQ_INT(target((const uint8_t *)"", 0), 0);
}

TEST(hostile_meta_pages_do_no_harm) {
    replay_corpus("meta_page", fuzz_meta_page);
}

TEST(hostile_pages_do_no_harm) {
    replay_corpus("page", fuzz_page);
}

/* DF-49 */
TEST(hostile_segments_do_no_harm) {
    replay_corpus("segment", fuzz_segment);
}

TEST(hostile_logs_do_no_harm) {
    replay_corpus("log", fuzz_log);
}

/* DF-49 */
TEST(hostile_files_are_opened_read_and_written_without_harm) {
    replay_corpus("open", fuzz_open);
}

TEST(a_damaged_shared_region_does_no_harm) {
    replay_corpus("memtree", fuzz_memtree);
}

TEST(any_frames_and_handles_do_no_harm) {
    replay_corpus("bulk", fuzz_bulk);
}

TEST_MAIN()
