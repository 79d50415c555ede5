/*
** merge_front_test.c — merges in progress in which an input begins behind its saved position, as LSM1 can leave
** them; made from a file of LSM1 by changing the checkpoint.
*/
#include "format/format_checkpoint.h"
#include "support/api_helpers.h"
#include "support/golden.h"

#define GOLDEN "merging.db" /* run 1 of the merge: pages 37 to 40, to be merged next: page 37, the split key */
#define RUN_FIRST 37
#define BLOCK 65536
#define BLOCK_PAGES 256

static struct error_context ignored;

static void load(const uint8_t *bytes, struct snapshot *snapshot) {
    uint32_t words[CHECKPOINT_WORDS_MAX], count;
    size_t newest = get_u64(bytes + META_PAGE_SIZE) > get_u64(bytes) ? META_PAGE_SIZE : 0;

    checkpoint_words_from_bytes(bytes + newest, words);
    CHECK(checkpoint_words_valid(words, &count));
    CHECK_OK(checkpoint_decode(words, count, false, lsm_default_env(), &ignored, snapshot));
}

static void store(uint8_t *bytes, const struct snapshot *snapshot) {
    uint32_t words[CHECKPOINT_WORDS_MAX], count;

    CHECK_OK(checkpoint_encode(snapshot, words, &count));
    for (size_t page = 0; page < 2; page++) {
        checkpoint_words_to_bytes(words, count, bytes + page * META_PAGE_SIZE);
    }
}

/* What a reader can be asked, as one text. */
static const char *all_answers(lsm_db *db, struct buffer *out) {
    char key[16];
    lsm_cursor *cursor;

    buffer_reset(out);
    CHECK_OK(lsm_csr_open(db, &cursor));
    for (int way = 0; way < 2; way++) {
        int rc = way ? lsm_csr_last(cursor) : lsm_csr_first(cursor);
        for (CHECK_OK(rc); lsm_csr_valid(cursor); CHECK_OK(rc)) {
            const void *data, *value;
            int size, value_size;
            CHECK_OK(lsm_csr_key(cursor, &data, &size));
            CHECK_OK(lsm_csr_value(cursor, &value, &value_size));
            buffer_printf(out, "%.*s=%.*s ", size, (const char *)data, value_size, (const char *)value);
            rc = way ? lsm_csr_prev(cursor) : lsm_csr_next(cursor);
        }
    }
    for (int i = 0; i < 60; i++) {
        for (int mode = LSM_SEEK_LE; mode <= LSM_SEEK_GE; mode++) {
            const void *data = "none";
            int size = 4;
            snprintf(key, sizeof key, "k%03d", i);
            CHECK_OK(lsm_csr_seek(cursor, key, 4, mode));
            if (lsm_csr_valid(cursor)) CHECK_OK(lsm_csr_key(cursor, &data, &size));
            buffer_printf(out, "%.*s ", size, (const char *)data);
        }
    }
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_OK(out->rc);
    return (const char *)out->data;
}

static void check_file(const char *name, const uint8_t *bytes, size_t size, const char *expected) {
    struct buffer answers;
    lsm_db *db;
    int done;

    buffer_init(&answers, lsm_default_env());
    for (int mapped = 0; mapped < 2; mapped++) {
        write_file(test_path(name), bytes, size);
        db = new_connection();
        set(db, LSM_CONFIG_MMAP, mapped);
        set(db, LSM_CONFIG_AUTOWORK, 0);
        CHECK_OK(lsm_open(db, test_path(name)));
        CHECK_EQ_STR(all_answers(db, &answers), expected);
        do {
            CHECK_OK(lsm_work(db, 1, 1, &done));
            CHECK_EQ_STR(all_answers(db, &answers), expected);
        } while (done > 0);
        CHECK_OK(lsm_close(db));
    }
    buffer_release(&answers);
}

/* The answers of the file as LSM1 left it. */
static const char *right_answers(const uint8_t *bytes, size_t size, struct buffer *answers) {
    lsm_db *db = new_connection();
    const char *text;

    write_file(test_path("sound"), bytes, size);
    CHECK_OK(lsm_open(db, test_path("sound")));
    text = all_answers(db, answers);
    CHECK_OK(lsm_close(db));
    return text;
}

TEST(an_input_that_begins_behind_its_saved_position_is_read_and_merged_from_there) {
    size_t size;
    uint8_t *bytes = golden_read(GOLDEN, &size);
    struct buffer answers;
    struct snapshot snapshot;
    const char *expected;

    buffer_init(&answers, lsm_default_env());
    expected = right_answers(bytes, size, &answers);
    for (uint64_t first = RUN_FIRST + 1; first <= RUN_FIRST + 3; first++) {
        TEST_NOTE("the run begins at page %d", (int)first);
        load(bytes, &snapshot);
        CHECK_EQ_UINT(snapshot.levels[0].right[1].first, RUN_FIRST);
        CHECK_EQ_UINT(snapshot.levels[0].merge.inputs[1].page, RUN_FIRST);
        snapshot.levels[0].right[1].first = first;
        snapshot.levels[0].right[1].size = RUN_FIRST + 4 - first;
        store(bytes, &snapshot);
        check_file("a.lsm", bytes, size, expected);
        snapshot.levels[0].right[1].first = RUN_FIRST;
        snapshot.levels[0].right[1].size = 4;
        store(bytes, &snapshot);
        snapshot_release(&snapshot);
    }
    buffer_release(&answers);
    free(bytes);
}

/* The oldest run was moved from block 4, which is free, to block 3; positions still name block 4. */
TEST(an_input_of_moved_blocks_that_begins_behind_its_saved_position_is_read_from_there) {
    size_t size;
    uint8_t *sound = golden_read(GOLDEN, &size);
    uint8_t *bytes = calloc(1, 4 * BLOCK);
    struct buffer answers;
    struct snapshot snapshot;
    struct segment *run;
    const char *expected;

    buffer_init(&answers, lsm_default_env());
    expected = right_answers(sound, size, &answers);
    CHECK(bytes != NULL && size <= 2 * BLOCK);
    memcpy(bytes, sound, size);
    memcpy(bytes + 2 * BLOCK, sound, BLOCK);
    load(sound, &snapshot);
    run = &snapshot.levels[0].right[1];
    run->first += 2 * BLOCK_PAGES + 2;
    run->last += 2 * BLOCK_PAGES;
    run->size -= 2;
    snapshot.levels[0].merge.inputs[1].page += 3 * BLOCK_PAGES;
    snapshot.levels[0].merge.split_page += 3 * BLOCK_PAGES;
    snapshot.block_count = 4;
    snapshot.redirects = (struct redirects){1, {{4, 3}}};
    store(bytes, &snapshot);
    check_file("a.lsm", bytes, 4 * BLOCK, expected);
    snapshot_release(&snapshot);
    buffer_release(&answers);
    free(bytes);
    free(sound);
}

TEST_MAIN()
