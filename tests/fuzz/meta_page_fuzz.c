/*
** meta_page_fuzz.c — any bytes as a meta page: what is accepted is valid, and encodes to the same words.
**
** FORMAT      u8 bits (1 compressed, 2 sums repaired), then the page's bytes, zeros behind.
*/
#include "fuzz/fuzz.h"

static void meta_check_snapshot(const struct snapshot *snapshot) {
    CHECK(snapshot->id > 0);
    CHECK(snapshot->redirects.count <= REDIRECTS_MAX);
    CHECK(snapshot->freelist.count <= FREELIST_ENTRIES_MAX);
    for (uint32_t i = 0; i < snapshot->level_count; i++) {
        const struct level *level = &snapshot->levels[i];
        CHECK(level->left.first != 0 && level->left.last != 0);
        CHECK((level->right_count == 0) == (level->right == NULL));
        for (uint32_t k = 0; k < level->right_count; k++) CHECK(level->right[k].first != 0);
        for (uint32_t k = 0; level->right_count && k < level->merge.input_count; k++) {
            const struct merge_input *input = &level->merge.inputs[k]; /* page 0: finished */
            CHECK(input->page == 0 || input->cell <= (0xffffu << 8 | 0xff));
        }
    }
}

FUZZ_TARGET(meta_page) {
    struct fuzz_input in = fuzz_begin(data, size);
    static struct fuzz_world world;
    uint8_t bits = fuzz_u8(&in);
    struct slice given = fuzz_slice(&in, META_PAGE_USED);
    uint8_t *page = calloc(1, META_PAGE_USED);
    uint8_t *again = malloc(META_PAGE_USED);
    uint32_t *words = malloc(CHECKPOINT_WORDS_MAX * sizeof *words);
    uint32_t *encoded = malloc(CHECKPOINT_WORDS_MAX * sizeof *encoded);
    struct snapshot snapshot = {0}, copy = {0};
    struct error_context error = {0};
    uint32_t count = 0, encoded_count = 0;
    lsm_env *env = fuzz_world_open(&world, false);
    int rc;

    CHECK(page != NULL && again != NULL && words != NULL && encoded != NULL);
    memcpy(page, given.data, given.size);
    checkpoint_words_from_bytes(page, words);
    if (bits & 2) fuzz_repair_checkpoint(words);
    if (checkpoint_words_valid(words, &count)) {
        CHECK(count >= 25 && count <= CHECKPOINT_WORDS_MAX);
        rc = checkpoint_decode(words, count, bits & 1, env, &error, &snapshot);
        CHECK(rc == LSM_OK || (rc == LSM_CORRUPT && error.reason != NULL));
        if (rc == LSM_OK) {
            meta_check_snapshot(&snapshot);
            CHECK_OK(snapshot_copy(&copy, &snapshot));
            CHECK_OK(checkpoint_encode(&copy, encoded, &encoded_count));
            CHECK_EQ_BYTES(encoded, encoded_count * 4, words, count * 4);
            checkpoint_words_to_bytes(encoded, encoded_count, again);
            checkpoint_words_from_bytes(again, encoded);
            CHECK_EQ_BYTES(encoded, count * 4, words, count * 4);
        }
        snapshot_release(&snapshot);
        snapshot_release(&copy);
    }
    fuzz_world_close(&world);
    free(page);
    free(again);
    free(words);
    free(encoded);
    return 0;
}
