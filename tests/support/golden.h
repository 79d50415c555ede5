/*
** golden.h — for tests: the files of tests/compat/golden, opened as snapshot and pager.
**
**     struct golden g;
**     golden_open(&g, "indexed");            read into memory; checked in place
**     view = golden_view(&g, 0, GOLDEN_LEFT);    the left run of level 0; 0, 1, ... = right runs
**     golden_close(&g);
**
** The files stand in an environment in memory whose pages are allocated one by one: reading outside a page
** is noticed by an address sanitizer.
**
** OWNERSHIP   golden_close also checks that nothing of the engine was left allocated.
*/
#ifndef LSM_SUPPORT_GOLDEN_H
#define LSM_SUPPORT_GOLDEN_H

#include "base/bytes.h"
#include "format/format_checkpoint.h"
#include "segment/segment.h"
#include "support/memory_env.h"
#include "support/toy_codecs.h"

#define GOLDEN_LEFT (-1)

struct golden {
    struct memory_env memory;
    struct os_file file;
    struct pager *pager;
    struct snapshot snapshot;
    struct error_context error;
    uint8_t *bytes; /* of the database as it is on disk */
    size_t size;
};

/* A file of the golden folder, from malloc. */
TEST_HELPER uint8_t *golden_read(const char *name, size_t *size) {
    static const char *const folders[] = {"tests/compat/golden", "../tests/compat/golden",
                                          "../../tests/compat/golden"};
    FILE *in = NULL;
    uint8_t *bytes;

    for (size_t i = 0; in == NULL && i < sizeof folders / sizeof folders[0]; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folders[i], name);
        in = fopen(path, "rb");
    }
    if (in == NULL) TEST_FAIL("cannot open %s; run from the project's folder", name);
    fseek(in, 0, SEEK_END);
    *size = (size_t)ftell(in);
    rewind(in);
    bytes = malloc(*size + 1);
    if (bytes == NULL || fread(bytes, 1, *size, in) != *size) TEST_FAIL("cannot read %s", name);
    bytes[*size] = 0;
    fclose(in);
    return bytes;
}

/* Make a pager over the present bytes (again). */
TEST_HELPER void golden_pager(struct golden *g, const lsm_compress *compress) {
    struct pager_config config = {.cache_bytes = 1 << 16, .compress = compress};

    memory_env_set(&g->memory, "db", g->bytes, g->size);
    CHECK_OK(os_open(&g->memory.env, "db", 0, &g->file));
    CHECK_OK(pager_open(&g->memory.env, &g->file, &config, &g->pager));
    CHECK_OK(pager_set_geometry(g->pager, g->snapshot.page_size, g->snapshot.block_size));
    pager_set_block_limit(g->pager, g->snapshot.block_count);
}

TEST_HELPER void golden_close_pager(struct golden *g) {
    pager_close(g->pager);
    os_close(&g->file);
    g->pager = NULL;
}

TEST_HELPER void golden_open(struct golden *g, const char *name) {
    bool packed = strncmp(name, "packed", 6) == 0;
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t count = 0;
    char file_name[64];
    int newest;

    memset(g, 0, sizeof *g);
    memory_env_open(&g->memory);
    snprintf(file_name, sizeof file_name, "%s.db", name);
    g->bytes = golden_read(file_name, &g->size);
    newest = get_u64(g->bytes + META_PAGE_SIZE) > get_u64(g->bytes);
    checkpoint_words_from_bytes(g->bytes + newest * META_PAGE_SIZE, words);
    CHECK(checkpoint_words_valid(words, &count));
    CHECK_OK(checkpoint_decode(words, count, packed, &g->memory.env, &g->error, &g->snapshot));
    golden_pager(g, packed ? &rle_codec : NULL);
}

TEST_HELPER void golden_close(struct golden *g) {
    golden_close_pager(g);
    snapshot_release(&g->snapshot);
    free(g->bytes);
    memory_env_close(&g->memory);
}

TEST_HELPER struct segment_view golden_view(struct golden *g, uint32_t level_index, int run) {
    struct level *level = &g->snapshot.levels[level_index];

    CHECK(level_index < g->snapshot.level_count && run < (int)level->right_count);
    return (struct segment_view){
        .pager = g->pager,
        .segment = run == GOLDEN_LEFT ? &level->left : &level->right[run],
        .error = &g->error,
    };
}

#endif
