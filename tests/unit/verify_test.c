/*
** verify_test.c — a verification is silent on every sound file, names each kind of damage, and
** survives all others.
*/
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/memory.h"
#include "db/db.h"
#include "format/format_checkpoint.h"
#include "lsm_bulk.h"
#include "support/golden.h"
#include "support/history.h"

struct findings {
    uint32_t count;
    uint64_t first_page;
    char texts[4000];
};

static void note_problem(void *context, uint64_t page_no, const char *text) {
    struct findings *findings = context;
    size_t used = strlen(findings->texts);
    if (findings->count++ == 0) findings->first_page = page_no;
    snprintf(findings->texts + used, sizeof findings->texts - used, "%s\n", text);
}

static int verify(lsm_db *db, struct findings *findings, struct verify_totals *totals) {
    struct verify_report report = {findings, note_problem, NULL};
    memset(findings, 0, sizeof *findings);
    return db_verify(db, &report, totals);
}

static void check_silent(lsm_db *db) {
    struct findings findings;
    struct verify_totals totals;
    CHECK_OK(verify(db, &findings, &totals));
    CHECK_EQ_STR(findings.texts, "");
    CHECK_EQ_UINT(totals.problem_count, 0);
}

static lsm_db *new_db(lsm_env *env, const lsm_compress *codec) {
    lsm_db *db = NULL;
    CHECK_OK(lsm_new(env, &db));
    lsm_config_log(db, NULL, NULL);
    if (codec) CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, codec));
    return db;
}

/* ---- sound files -------------------------------------------------------------------------- */

static const char *const golden_names[] = {"two_inserts", "indexed", "separators", "merging",
                                           "large_keys", "packed", "packed_runs"};

static lsm_compress golden_codec(const char *name) {
    lsm_compress codec = {0};
    if (strncmp(name, "packed", 6) == 0) codec = rle_codec;
    return codec;
}

static void golden_file(const char *name, uint8_t **bytes, size_t *size) {
    char file_name[64];
    snprintf(file_name, sizeof file_name, "%s.db", name);
    *bytes = golden_read(file_name, size);
}

TEST(files_made_by_lsm1_pass) {
    for (size_t i = 0; i < sizeof golden_names / sizeof golden_names[0]; i++) {
        struct memory_env m;
        struct findings findings;
        struct verify_totals totals = {0};
        lsm_compress codec = golden_codec(golden_names[i]);
        uint8_t *bytes;
        size_t size;
        lsm_db *db;

        TEST_NOTE("%s", golden_names[i]);
        golden_file(golden_names[i], &bytes, &size);
        memory_env_open(&m);
        memory_env_set(&m, "db", bytes, size);
        if (codec.xBound) codec.iId = get_u32(bytes + 12);
        db = new_db(&m.env, codec.xBound ? &codec : NULL);
        CHECK_OK(lsm_open(db, "db"));
        CHECK_OK(verify(db, &findings, &totals));
        CHECK_EQ_STR(findings.texts, "");
        CHECK(totals.record_count > 0);
        CHECK(totals.segment_count > 0);
        CHECK_OK(lsm_close(db));
        memory_env_close(&m);
        free(bytes);
    }
}

static void run_histories(const lsm_compress *codec, const char *name, uint32_t count) {
    const char *one = getenv("LSM_HISTORY");

    history_codec = codec;
    history_codec_name = name;
    for (uint32_t i = 0; i < (one ? 1 : count); i++) {
        struct history h;
        uint64_t seed = one ? strtoull(one, NULL, 0) : test_state.seed + i;
        TEST_NOTE("LSM_HISTORY=%" PRIu64, seed);
        remove(test_path("history.lsm"));
        history_begin(&h, seed);
        for (int step = 0; step < 150; step++) {
            history_step(&h);
            check_silent(h.db);
        }
        h.random_state |= 1;
        history_end(&h);
    }
    history_codec = NULL;
}

TEST(every_state_of_a_random_history_passes) {
    run_histories(NULL, NULL, 6);
}

TEST(every_state_of_a_packed_history_passes) {
    run_histories(&copy_codec, "copy", 3);
}

/* Histories in which a verification once found something. */
TEST(histories_with_faults_once_pass_now) {
    struct history h;
    static const struct { uint64_t seed; bool packed; } rows[] = {
        /* A cached frame led to a block moved since; a block was freed that was in use. */
        {1795553925665619u, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        remove(test_path("history.lsm"));
        history_codec = rows[i].packed ? &copy_codec : NULL;
        history_codec_name = "copy";
        history_begin(&h, rows[i].seed);
        for (int step = 0; step < 100; step++) {
            history_step(&h);
            if (history_below(&h, 6) == 0) history_check_db(&h, h.db);
            check_silent(h.db);
        }
        CHECK_OK(lsm_close(h.db));
        history_free(&h);
        history_codec = NULL;
    }
}

TEST(an_empty_database_passes) {
    struct findings findings;
    struct verify_totals totals = {.record_count = 9};
    lsm_db *db = new_db(NULL, NULL);
    CHECK_RC(verify(db, &findings, &totals), LSM_MISUSE);
    CHECK_OK(lsm_open(db, test_path("empty")));
    CHECK_OK(verify(db, &findings, &totals));
    CHECK_EQ_UINT(findings.count, 0);
    CHECK_EQ_UINT(totals.record_count, 0);
    CHECK_EQ_UINT(totals.segment_count, 0);
    CHECK_OK(lsm_close(db));
}

/* ---- a database in memory ----------------------------------------------------------------- */

#define PAGE 256
#define BLOCK 65536

struct world {
    struct memory_env memory;
    struct snapshot snapshot;   /* of the newest meta page */
    uint32_t meta;              /* its place in the file */
    lsm_db *db;
    struct findings findings;
    struct verify_totals totals;
};

static uint8_t *file_bytes(struct world *w) {
    return memory_env_find(&w->memory, "db")->data;
}

static void world_open(struct world *w) {
    w->db = new_db(&w->memory.env, NULL);
    CHECK_OK(lsm_open(w->db, "db"));
}

static void read_snapshot(struct world *w) {
    uint32_t words[CHECKPOINT_WORDS_MAX], count = 0;
    uint8_t *bytes = file_bytes(w);
    struct error_context error = {0};
    w->meta = get_u64(bytes + 4096) > get_u64(bytes) ? 4096 : 0;
    checkpoint_words_from_bytes(bytes + w->meta, words);
    CHECK(checkpoint_words_valid(words, &count));
    CHECK_OK(checkpoint_decode(words, count, false, lsm_default_env(), &error, &w->snapshot));
}

static void write_snapshot(struct world *w) {
    uint32_t words[CHECKPOINT_WORDS_MAX], count = 0;
    CHECK_OK(checkpoint_encode(&w->snapshot, words, &count));
    checkpoint_words_to_bytes(words, count, file_bytes(w) + w->meta);
}

static void insert(lsm_db *db, uint32_t from, uint32_t to, uint32_t step, uint32_t size) {
    char key[16];
    uint8_t value[4000];
    memset(value, 'v', sizeof value);
    CHECK_OK(lsm_begin(db, 1));
    for (uint32_t i = from; i < to; i += step) {
        snprintf(key, sizeof key, "k%06u", i);
        CHECK_OK(lsm_insert(db, key, 7, value, (int)size));
    }
    CHECK_OK(lsm_commit(db, 0));
}

/*
** A small level on top, one whose index it absorbed (several blocks), and below two more, or, if
** `merging`, a merge of those two.
*/
static void world_make(struct world *w, bool merging) {
    int page = PAGE, block = BLOCK / 1024, zero = 0, written;
    memset(w, 0, sizeof *w);
    memory_env_open(&w->memory);
    w->db = new_db(&w->memory.env, NULL);
    CHECK_OK(lsm_config(w->db, LSM_CONFIG_PAGE_SIZE, &page));
    CHECK_OK(lsm_config(w->db, LSM_CONFIG_BLOCK_SIZE, &block));
    CHECK_OK(lsm_config(w->db, LSM_CONFIG_AUTOWORK, &zero));
    CHECK_OK(lsm_open(w->db, "db"));
    insert(w->db, 0, 3000, 3, 100);
    CHECK_OK(lsm_flush(w->db));
    insert(w->db, 1, 3000, 3, 100);
    CHECK_OK(lsm_flush(w->db));
    if (merging) {
        CHECK_OK(lsm_work(w->db, 2, 40, &written));
        CHECK_OK(lsm_checkpoint(w->db, NULL));
    }
    insert(w->db, 0, 3000, 2, 60);
    CHECK_OK(lsm_flush(w->db));
    insert(w->db, 0, 3000, 50, 10);
    CHECK_OK(lsm_delete_range(w->db, "k000100", 7, "k000200", 7));
    CHECK_OK(lsm_flush(w->db));
    CHECK_OK(lsm_checkpoint(w->db, NULL));
    CHECK_OK(lsm_close(w->db));
    w->db = NULL;
    read_snapshot(w);
}

static void world_close(struct world *w) {
    if (w->db) CHECK_OK(lsm_close(w->db));
    snapshot_release(&w->snapshot);
    memory_env_close(&w->memory);
}

static void world_verify(struct world *w) {
    world_open(w);
    CHECK_OK(verify(w->db, &w->findings, &w->totals));
    CHECK_EQ_UINT(w->findings.count, w->totals.problem_count);
}

static void check_found(struct world *w, const char *text) {
    world_verify(w);
    CHECK_MSG(strstr(w->findings.texts, text) != NULL, "no \"%s\" in:\n%s", text,
              w->findings.texts);
}

TEST(the_worlds_of_the_tests_below_are_sound) {
    for (int merging = 0; merging < 2; merging++) {
        struct world w;
        world_make(&w, merging);
        CHECK_EQ_UINT(w.snapshot.level_count, merging ? 3 : 4);
        world_verify(&w);
        CHECK_EQ_STR(w.findings.texts, "");
        CHECK_EQ_UINT(w.totals.segment_count, merging ? 5 : 4);
        world_close(&w);
    }
}

/* ---- each kind of damage ------------------------------------------------------------------ */

/* Last level that is not merging. */
static struct level *oldest_level(struct world *w) {
    return &w->snapshot.levels[w->snapshot.level_count - 1];
}

static struct level *merging_level(struct world *w) {
    for (uint32_t i = 0; i < w->snapshot.level_count; i++) {
        if (w->snapshot.levels[i].right_count > 0) return &w->snapshot.levels[i];
    }
    TEST_FAIL("no level is merging");
    return NULL;
}

static uint8_t *next_link(struct world *w, uint32_t block_no) {
    return file_bytes(w) + (size_t)block_no * BLOCK - 4;
}

static uint32_t block_of(uint64_t page_no) {
    return (uint32_t)(1 + (page_no - 1) / (BLOCK / PAGE));
}

static void damage_page(struct world *w) {
    uint64_t page_no = oldest_level(w)->left.first;
    file_bytes(w)[(page_no - 1) * PAGE + 100] ^= 0xff; /* inside some record, or a head */
    file_bytes(w)[page_no * PAGE + PAGE - 1] = 0xff;   /* cells of the next page */
}
static void damage_size(struct world *w) {
    oldest_level(w)->left.size++;
}
static void damage_link_zero(struct world *w) {
    put_u32(next_link(w, block_of(oldest_level(w)->left.first)), 0);
}
static void damage_link_loop(struct world *w) {
    uint32_t block = block_of(oldest_level(w)->left.first);
    put_u32(next_link(w, block), block);
}
static void damage_shared_page(struct world *w) {
    w->snapshot.levels[0].left = w->snapshot.levels[1].left;
}
static void damage_absorbed_index(struct world *w) {
    w->snapshot.levels[0].left.root = 0;
}
static void damage_pointer(struct world *w) {
    uint8_t *page = file_bytes(w) + (w->snapshot.levels[0].left.first - 1) * PAGE;
    if (block_of(w->snapshot.levels[0].left.first) !=
        block_of(w->snapshot.levels[0].left.first - 1)) {
        page += 4;
    }
    CHECK_EQ_INT(page[0] & ~0x40, 0x08);
    page[1]++; /* delta of the first record */
}
static void damage_free_and_used(struct world *w) {
    struct freelist_entry *entries = memory_allocate(lsm_default_env(), sizeof *entries);
    CHECK(entries != NULL);
    memory_free(lsm_default_env(), w->snapshot.freelist.entries);
    entries[0] = (struct freelist_entry){1, 10};
    w->snapshot.freelist = (struct freelist){1, 1, entries};
}
static void damage_leak(struct world *w) {
    w->snapshot.block_count += 3;
}
static void damage_append_used(struct world *w) {
    w->snapshot.append[1] = w->snapshot.levels[1].left.first + 1;
}
static void damage_append_unused_block(struct world *w) {
    w->snapshot.block_count++;
    w->snapshot.append[0] = (uint64_t)(w->snapshot.block_count - 1) * (BLOCK / PAGE) + 9;
}
static void damage_append_twice(struct world *w) {
    CHECK(w->snapshot.append[0] != 0);
    w->snapshot.append[1] = w->snapshot.append[0] + 1;
}
static void damage_redirect(struct world *w) {
    w->snapshot.block_count += 2;
    w->snapshot.redirects.count = 1;
    w->snapshot.redirects.pairs[0] =
        (struct redirect){w->snapshot.block_count, w->snapshot.block_count - 1};
}
static void damage_merge_place(struct world *w) {
    struct level *level = merging_level(w);
    level->merge.inputs[0].cell += 300;
    if (level->merge.split_page == level->merge.inputs[0].page) level->merge.split_cell = 0;
}
static void damage_split_key(struct world *w) {
    struct level *level = merging_level(w);
    uint32_t i;
    /* The last record of an input is above what its position says. */
    for (i = 0; level->merge.inputs[i].page != level->merge.split_page; i++) {
    }
    level->merge.inputs[i].page = level->merge.split_page = level->right[i].first;
    level->merge.inputs[i].cell = level->merge.split_cell = 0;
}
static void damage_extra_input(struct world *w) {
    struct level *level = merging_level(w);
    struct merge_input *inputs =
        memory_allocate_zero(lsm_default_env(), (level->right_count + 1) * sizeof *inputs);
    CHECK(inputs != NULL);
    memcpy(inputs, level->merge.inputs, level->right_count * sizeof *inputs);
    memory_free(lsm_default_env(), level->merge.inputs);
    inputs[level->right_count] = (struct merge_input){level->right[0].last, 257};
    level->merge.inputs = inputs;
    level->merge.input_count = level->right_count + 1;
    /* Something below, without an index. */
    w->snapshot.levels[w->snapshot.level_count] =
        (struct level){.age = 5, .left = {w->snapshot.levels[0].left.first,
                                          w->snapshot.levels[0].left.first, 0, 1}};
    w->snapshot.level_count++;
}

TEST(each_kind_of_damage_is_named) {
    static const struct {
        bool merging;
        void (*damage)(struct world *w);
        const char *text;
    } rows[] = {
        {false, damage_page, "level 3: "},
        {false, damage_size, "level 3: the size of a segment is wrong"},
        {false, damage_link_zero, "level 3: a block link leads to no block"},
        {false, damage_link_loop, "level 3: the blocks of a run form a loop"},
        {false, damage_shared_page, "a page belongs to two runs"},
        {false, damage_absorbed_index, "neither by an index nor from above"},
        {false, damage_pointer, "level 0: a pointer leads to the wrong page"},
        {false, damage_free_and_used, "block 1 is in use and free"},
        {false, damage_leak, "3 blocks are neither in use nor free"},
        {false, damage_append_used, "an append point lies in front of pages in use"},
        {false, damage_append_unused_block, "which no run uses"},
        {false, damage_append_twice, "two append points"},
        {false, damage_redirect, "where the oldest run does not go"},
        {true, damage_merge_place, "a saved position is no record"},
        {true, damage_split_key, "not below the split key"},
        {true, damage_extra_input, "a merge reads an index that is not there"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        TEST_NOTE("row %zu: %s", i, rows[i].text);
        world_make(&w, rows[i].merging);
        if (rows[i].damage == damage_extra_input) {
            /* Room for one more level. */
            struct level *levels = memory_reallocate(
                lsm_default_env(), w.snapshot.levels,
                (w.snapshot.level_count + 1) * sizeof *levels);
            CHECK(levels != NULL);
            w.snapshot.levels = levels;
        }
        rows[i].damage(&w);
        write_snapshot(&w);
        check_found(&w, rows[i].text);
        world_close(&w);
    }
}

TEST(a_damaged_checkpoint_is_noticed_while_the_database_is_open) {
    struct world w;
    uint8_t *bytes;
    world_make(&w, false);
    world_open(&w);
    check_silent(w.db);
    bytes = file_bytes(&w);
    bytes[50] ^= 1;
    bytes[4096 + 50] ^= 1;
    CHECK_OK(verify(w.db, &w.findings, &w.totals));
    CHECK_EQ_STR(w.findings.texts, "the checkpoint in the file is damaged\n");
    bytes[50] ^= 1;
    bytes[4096 + 50] ^= 1;
    world_close(&w);
}

/* ---- any other damage --------------------------------------------------------------------- */

/* Is the file rejected, reported, or sound? Anything but a crash, a leak or a hang will do. */
static void try_damaged(const uint8_t *bytes, size_t size, const lsm_compress *codec) {
    struct memory_env m;
    struct findings findings;
    struct verify_totals totals;
    lsm_db *db;
    int rc;

    memory_env_open(&m);
    memory_env_set(&m, "db", bytes, size);
    db = new_db(&m.env, codec);
    rc = lsm_open(db, "db");
    CHECK(rc == LSM_OK || rc == LSM_CORRUPT);
    if (rc == LSM_OK) {
        rc = verify(db, &findings, &totals);
        /* A damaged compression id asks for functions that are not there. */
        CHECK_MSG(rc == LSM_OK || rc == LSM_MISMATCH, "verify gave %d", rc);
    }
    CHECK_OK(lsm_close(db));
    memory_env_close(&m);
}

static void fix_checksum(uint8_t *page) {
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t count = get_u32(page + 8);
    struct checksum sum;
    if (count < 25 || count > CHECKPOINT_WORDS_MAX) return;
    checkpoint_words_from_bytes(page, words);
    sum = checksum_checkpoint(words, count - 2);
    put_u32(page + 4 * (count - 2), sum.s0);
    put_u32(page + 4 * (count - 1), sum.s1);
}

TEST(random_damage_never_crashes_a_verification) {
    const char *many = getenv("LSM_ROUNDS");
    uint32_t rounds = many ? (uint32_t)strtoul(many, NULL, 0) : 60;

    for (size_t i = 0; i < sizeof golden_names / sizeof golden_names[0]; i++) {
        lsm_compress codec = golden_codec(golden_names[i]);
        uint8_t *bytes, *damaged;
        size_t size;
        golden_file(golden_names[i], &bytes, &size);
        damaged = malloc(size);
        CHECK(damaged != NULL);
        if (codec.xBound) codec.iId = get_u32(bytes + 12);
        for (uint32_t round = 0; round < rounds; round++) {
            uint32_t changes = 1 + test_random_below(4);
            memcpy(damaged, bytes, size);
            TEST_NOTE("%s round %u", golden_names[i], round);
            for (uint32_t k = 0; k < changes; k++) {
                bool head = test_random_below(2) == 0;
                size_t at = head ? 12 + test_random_below(300)
                                 : 8192 + test_random_below((uint32_t)(size - 8192));
                if (at < size) damaged[at] = (uint8_t)test_random_below(256);
            }
            fix_checksum(damaged);
            fix_checksum(damaged + 4096);
            try_damaged(damaged, size, codec.xBound ? &codec : NULL);
        }
        free(damaged);
        free(bytes);
    }
}

TEST(random_damage_of_runs_of_many_blocks_never_crashes_a_verification) {
    struct world w;
    struct memory_file *file;
    uint8_t *bytes;
    size_t size;

    world_make(&w, true);
    file = memory_env_find(&w.memory, "db");
    size = file->size;
    bytes = malloc(size);
    CHECK(bytes != NULL);
    for (int round = 0; round < 60; round++) {
        memcpy(bytes, file->data, size);
        for (int k = 0; k < 3; k++) {
            uint32_t block = 1 + test_random_below((uint32_t)(size / BLOCK));
            if (test_random_below(2) == 0) {
                put_u32(bytes + (size_t)block * BLOCK - 4, test_random_below(9));
            } else {
                bytes[8192 + test_random_below((uint32_t)size - 8192)] =
                    (uint8_t)test_random_below(256);
            }
        }
        try_damaged(bytes, size, NULL);
    }
    free(bytes);
    world_close(&w);
}

/* ---- failures ----------------------------------------------------------------------------- */

TEST(failed_calls_are_returned_and_leave_nothing_behind) {
    static const enum memory_call kinds[] = {MEMORY_MALLOC, MEMORY_READ, MEMORY_SIZE};
    static const int codes[] = {LSM_NOMEM, LSM_IOERR, LSM_IOERR};

    for (int merging = 0; merging < 2; merging++) {
        for (size_t kind = 0; kind < 3; kind++) {
            struct world w;
            int rc = codes[kind];
            world_make(&w, merging);
            for (long n = 1; rc != LSM_OK; n += n < 60 ? 1 : n / 4) {
                world_open(&w);
                memory_env_fail(&w.memory, kinds[kind], n, codes[kind]);
                rc = verify(w.db, &w.findings, &w.totals);
                memory_env_no_failure(&w.memory);
                CHECK_MSG(rc == LSM_OK || rc == codes[kind], "call %ld: %d", n, rc);
                CHECK_EQ_UINT(w.findings.count, 0);
                check_silent(w.db);
                CHECK_OK(lsm_close(w.db));
                w.db = NULL;
            }
            world_close(&w);
        }
    }
}

TEST(nobody_waits_for_a_verification) {
    lsm_db *db = new_db(NULL, NULL), *writer = new_db(NULL, NULL);
    lsm_cursor *cursor = NULL;
    int written;

    CHECK_OK(lsm_open(db, test_path("a")));
    CHECK_OK(lsm_open(writer, test_path("a")));
    insert(writer, 0, 1000, 1, 500);
    CHECK_OK(lsm_flush(writer));
    CHECK_OK(lsm_begin(writer, 1)); /* holds WRITER */
    check_silent(db);
    check_silent(writer);
    CHECK_OK(lsm_commit(writer, 0));
    /* With a cursor open it is the cursor's snapshot that is looked at, also when pages were
    ** replaced since. */
    CHECK_OK(lsm_csr_open(db, &cursor));
    for (int i = 0; i < 5; i++) {
        insert(writer, 0, 1000, 1, 500);
        CHECK_OK(lsm_flush(writer));
        CHECK_OK(lsm_work(writer, 1, -1, &written));
        CHECK_OK(lsm_checkpoint(writer, NULL));
        check_silent(db);
    }
    CHECK_OK(lsm_csr_close(cursor));
    check_silent(db);
    CHECK_OK(lsm_close(writer));
    CHECK_OK(lsm_close(db));
}

TEST(a_read_only_connection_can_verify) {
    lsm_db *db = new_db(NULL, NULL);
    int read_only = 1;
    CHECK_OK(lsm_open(db, test_path("a")));
    insert(db, 0, 1000, 1, 500);
    CHECK_OK(lsm_close(db));
    db = new_db(NULL, NULL);
    CHECK_OK(lsm_config(db, LSM_CONFIG_READONLY, &read_only));
    CHECK_OK(lsm_open(db, test_path("a")));
    check_silent(db);
    CHECK_OK(lsm_close(db));
}

struct pace {
    uint32_t calls;
    uint32_t calls_max;
    uint64_t done;
    uint64_t total;
};

static void ignore_problem(void *context, uint64_t page_no, const char *text) {
    (void)context, (void)page_no, (void)text;
}

static int note_progress(void *context, uint64_t done, uint64_t total) {
    struct pace *pace = context;
    CHECK(done >= pace->done && done <= total && total >= pace->total);
    pace->done = done;
    pace->total = total;
    return ++pace->calls == pace->calls_max ? LSM_FULL : LSM_OK;
}

TEST(progress_is_told_page_by_page_and_can_end_it) {
    struct pace pace = {0};
    struct verify_report report = {&pace, ignore_problem, note_progress};
    struct verify_totals totals = {0};
    lsm_db *db = new_db(NULL, NULL);

    CHECK_OK(lsm_open(db, test_path("a")));
    insert(db, 0, 1000, 1, 500);
    CHECK_OK(lsm_flush(db));
    CHECK_OK(db_verify(db, &report, &totals));
    CHECK(totals.page_count >= 1000 * 500 / 4096);
    CHECK(pace.calls > 2 * totals.page_count && pace.calls <= 4 * totals.page_count);
    CHECK_EQ_UINT(pace.total, 2 * totals.page_count * 4096);
    for (uint32_t calls_max = 1; calls_max < pace.calls; calls_max += 10) {
        struct pace stopped = {.calls_max = calls_max};
        report.context = &stopped;
        CHECK_RC(db_verify(db, &report, &totals), LSM_FULL);
        CHECK_EQ_UINT(stopped.calls, calls_max);
    }
    report.context = &pace;
    pace = (struct pace){0};
    CHECK_OK(db_verify(db, &report, &totals));
    CHECK_OK(lsm_close(db));
}

/* ---- the frame ---------------------------------------------------------------------------- */

TEST(the_frame_lists_totals_and_problems) {
    const char *path = test_path("a");
    uint32_t db = lsm_bulk_new(), size = (uint32_t)strlen(path), text_size;
    uint8_t frame[400], pending[8], *all;
    uint32_t verify;
    lsm_db *maker = new_db(NULL, NULL);
    FILE *file;

    CHECK_OK(lsm_open(maker, path));
    insert(maker, 0, 1000, 1, 500);
    CHECK_OK(lsm_close(maker));
    CHECK_EQ_INT(lsm_bulk_open(db, (const uint8_t *)path, size), 0);
    verify = lsm_bulk_verify(db);
    CHECK_EQ_INT(lsm_bulk_verify_report(verify, frame, sizeof frame), 24);
    CHECK_EQ_UINT(get_u32_little(frame), 0);
    CHECK_EQ_UINT(get_u32_little(frame + 4), 1000);
    CHECK_EQ_UINT(get_u32_little(frame + 8), 0);
    CHECK_EQ_UINT(get_u32_little(frame + 12), 1);
    CHECK(get_u32_little(frame + 16) >= 1000 * 500 / 4096);
    CHECK_EQ_UINT(get_u32_little(frame + 20), 0);
    CHECK_EQ_INT(lsm_bulk_end(verify), 1);
    CHECK_EQ_INT(lsm_bulk_close(db, frame, sizeof frame), 0);

    file = fopen(path, "r+b");
    CHECK(file != NULL);
    fseek(file, 2 * 4096 + 4096 + 4094, SEEK_SET); /* cells of the second page */
    fputc(0xff, file);
    fclose(file);
    db = lsm_bulk_new();
    CHECK_EQ_INT(lsm_bulk_open(db, (const uint8_t *)path, size), 0);
    verify = lsm_bulk_verify(db);
    CHECK_EQ_INT(lsm_bulk_verify_report(verify, frame, 15), LSM_BULK_TOO_SMALL);
    CHECK_EQ_INT(lsm_bulk_pending(verify, pending, 8), 8);
    size = get_u32_little(pending);
    CHECK(size > 36 && size % 4 == 0);
    all = malloc(size);
    CHECK(all != NULL);
    CHECK_EQ_INT(lsm_bulk_take(verify, 0, all, size), (int32_t)size);
    CHECK(get_u32_little(all) > 0);
    CHECK_EQ_UINT(get_u32_little(all + 24), 4); /* page */
    CHECK_EQ_UINT(get_u32_little(all + 28), 0);
    text_size = get_u32_little(all + 32);
    CHECK_EQ_BYTES(all + 36, text_size, "level 0: page: more cells than fit",
                   strlen("level 0: page: more cells than fit"));
    free(all);
    (void)!lsm_bulk_close(db, frame, sizeof frame);
    CHECK_EQ_INT(lsm_bulk_verify_report(verify, frame, sizeof frame), LSM_BULK_CLOSED);
    CHECK_EQ_UINT(lsm_bulk_verify(db), 0);
}

TEST_MAIN()
