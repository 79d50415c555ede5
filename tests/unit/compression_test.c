/*
** compression_test.c — compression functions through the whole engine: who has them, when they are
** asked for, and that what they packed is read, merged and reopened like any other content.
*/
#include "db/db.h"
#include "support/history.h"
#include "support/toy_codecs.h"

/* ---- a codec that knows who uses it ------------------------------------------------------- */

struct codec_use {
    const lsm_compress *codec;
    bool alive;          /* until its xFree */
    int calls;
    int calls_when_dead; /* must stay 0 */
    int freed;
};

static void note_use(struct codec_use *use) {
    use->calls++;
    if (!use->alive) use->calls_when_dead++;
}
static int use_bound(void *context, int size) {
    struct codec_use *use = context;
    note_use(use);
    return use->codec->xBound(NULL, size);
}
static int use_compress(void *context, char *out, int *out_size, const char *in, int size) {
    struct codec_use *use = context;
    note_use(use);
    return use->codec->xCompress(NULL, out, out_size, in, size);
}
static int use_uncompress(void *context, char *out, int *out_size, const char *in, int size) {
    struct codec_use *use = context;
    note_use(use);
    return use->codec->xUncompress(NULL, out, out_size, in, size);
}
static void use_free(void *context) {
    struct codec_use *use = context;
    use->alive = false;
    use->freed++;
}

static lsm_compress used_codec(struct codec_use *use, const lsm_compress *codec, unsigned id) {
    lsm_compress made = {use, id, use_bound, use_compress, use_uncompress, use_free};
    *use = (struct codec_use){.codec = codec, .alive = true};
    return made;
}

/* ---- databases ---------------------------------------------------------------------------- */

static lsm_db *new_db(const lsm_compress *codec) {
    lsm_db *db = NULL;
    int page_size = 512, block_kb = 64, autoflush = 16, safety = LSM_SAFETY_OFF;

    CHECK_OK(lsm_new(NULL, &db));
    lsm_config_log(db, NULL, NULL);
    CHECK_OK(lsm_config(db, LSM_CONFIG_PAGE_SIZE, &page_size));
    CHECK_OK(lsm_config(db, LSM_CONFIG_BLOCK_SIZE, &block_kb));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOFLUSH, &autoflush));
    CHECK_OK(lsm_config(db, LSM_CONFIG_SAFETY, &safety));
    if (codec) CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, codec));
    return db;
}

static lsm_db *open_db(const char *path, const lsm_compress *codec) {
    lsm_db *db = new_db(codec);
    CHECK_OK(lsm_open(db, path));
    return db;
}

static void put(lsm_db *db, uint32_t from, uint32_t to, const char *value) {
    char key[16];
    CHECK_OK(lsm_begin(db, 1));
    for (uint32_t i = from; i < to; i++) {
        snprintf(key, sizeof key, "k%06u", i);
        CHECK_OK(lsm_insert(db, key, 7, value, (int)strlen(value)));
    }
    CHECK_OK(lsm_commit(db, 0));
}

/* Keys from..to-1 are there, all with this value, and no others. */
static void check_content(lsm_db *db, uint32_t from, uint32_t to, const char *value) {
    lsm_cursor *cursor = NULL;
    const void *bytes = NULL;
    char key[16];
    int size = 0;

    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_OK(lsm_csr_first(cursor));
    for (uint32_t i = from; i < to; i++) {
        CHECK(lsm_csr_valid(cursor));
        snprintf(key, sizeof key, "k%06u", i);
        CHECK_OK(lsm_csr_key(cursor, &bytes, &size));
        CHECK_EQ_BYTES(bytes, size, key, 7);
        CHECK_OK(lsm_csr_value(cursor, &bytes, &size));
        CHECK_EQ_BYTES(bytes, size, value, strlen(value));
        CHECK_OK(lsm_csr_next(cursor));
    }
    CHECK(!lsm_csr_valid(cursor));
    CHECK_OK(lsm_csr_close(cursor));
}

static unsigned stored_id(lsm_db *db) {
    unsigned id = 77;
    CHECK_OK(lsm_info(db, LSM_INFO_COMPRESSION_ID, &id));
    return id;
}

static void merge_all(lsm_db *db) {
    int written = 1;
    while (written > 0) CHECK_OK(lsm_work(db, 1, -1, &written));
}

/* A file of 2000 keys, closed. */
static void make_file(const char *path, const lsm_compress *codec) {
    lsm_db *db = open_db(path, codec);
    put(db, 0, 1000, "first");
    put(db, 500, 2000, "first");
    CHECK_OK(lsm_close(db));
}

static void check_with_oracle(const char *path, const char *codec) {
    char command[600];
    if (!history_has_oracle()) return;
    snprintf(command, sizeof command, "python3 %s --codec %s %s check >%s.report 2>&1",
             HISTORY_ORACLE, codec, path, path);
    CHECK_MSG(system(command) == 0, "the independent reader finds faults: %s.report", path);
}

/* ---- content ------------------------------------------------------------------------------ */

TEST(what_was_packed_is_read_merged_and_reopened) {
    static const struct { const lsm_compress *codec; const char *name; } rows[] = {
        {&rle_codec, "rle"}, {&copy_codec, "copy"}};

    for (size_t i = 0; i < 2; i++) {
        const char *path = test_path(rows[i].name);
        lsm_db *db;
        make_file(path, rows[i].codec);
        check_with_oracle(path, rows[i].name);
        db = open_db(path, rows[i].codec);
        CHECK_EQ_UINT(stored_id(db), rows[i].codec->iId);
        check_content(db, 0, 2000, "first");
        put(db, 0, 2000, "second, and longer than before");
        CHECK_OK(lsm_flush(db));
        check_content(db, 0, 2000, "second, and longer than before");
        merge_all(db);
        check_content(db, 0, 2000, "second, and longer than before");
        CHECK_OK(lsm_close(db));
        check_with_oracle(path, rows[i].name);
        db = open_db(path, rows[i].codec);
        check_content(db, 0, 2000, "second, and longer than before");
        CHECK_OK(lsm_close(db));
    }
}

static void run_histories(const lsm_compress *codec, const char *name, uint32_t count) {
    const char *one = getenv("LSM_HISTORY"), *many = getenv("LSM_HISTORIES");

    history_codec = codec;
    history_codec_name = name;
    if (many) count = (uint32_t)strtoul(many, NULL, 0);
    if (one) count = 1;
    for (uint32_t i = 0; i < count; i++) {
        struct history h;
        uint64_t seed = one ? strtoull(one, NULL, 0) : test_state.seed + i;
        TEST_NOTE("LSM_HISTORY=%" PRIu64 " (%s)", seed, name);
        remove(test_path("history.lsm")); /* of the one before */
        history_begin(&h, seed);
        history_run(&h, 200);
        history_end(&h);
    }
    history_codec = NULL;
}

TEST(random_histories_packed_by_run_lengths_agree_with_a_sorted_map) {
    run_histories(&rle_codec, "rle", 6);
}

TEST(random_histories_packed_by_copying_agree_with_a_sorted_map) {
    run_histories(&copy_codec, "copy", 6);
}

TEST(an_empty_packed_database_stays_empty) {
    const char *path = test_path("empty");
    lsm_db *db = open_db(path, &rle_codec);
    CHECK_EQ_UINT(stored_id(db), LSM_COMPRESSION_EMPTY);
    check_content(db, 0, 0, "");
    CHECK_OK(lsm_close(db));
    db = open_db(path, NULL);
    check_content(db, 0, 0, "");
    CHECK_OK(lsm_close(db));
}

TEST(the_content_of_a_log_is_packed_by_who_recovers_it) {
    const char *path = test_path("a"), *copy = test_path("b");
    lsm_db *db = open_db(path, NULL);
    put(db, 0, 50, "logged");
    history_copy(path, copy);
    history_copy(test_path("a-log"), test_path("b-log"));
    CHECK_OK(lsm_close(db));
    db = open_db(copy, &rle_codec);
    check_content(db, 0, 50, "logged");
    CHECK_OK(lsm_close(db));
    check_with_oracle(copy, "rle");
    db = open_db(copy, &rle_codec);
    CHECK_EQ_UINT(stored_id(db), rle_codec.iId);
    check_content(db, 0, 50, "logged");
    CHECK_OK(lsm_close(db));
}

TEST(blocks_of_two_pages_serve_a_packed_database) {
    const char *path = test_path("small");
    lsm_db *db = new_db(&copy_codec), *plain;
    int page_size = 65536, block_kb = 64;
    CHECK_OK(lsm_config(db, LSM_CONFIG_PAGE_SIZE, &page_size));
    CHECK_OK(lsm_config(db, LSM_CONFIG_BLOCK_SIZE, &block_kb));
    CHECK_EQ_INT(block_kb, 128);
    CHECK_OK(lsm_open(db, path));
    put(db, 0, 20000, "x");
    CHECK_OK(lsm_flush(db));
    check_content(db, 0, 20000, "x");
    CHECK_OK(lsm_close(db));
    check_with_oracle(path, "copy");
    /* Without functions it can be opened, and tells what it needs. */
    plain = open_db(path, NULL);
    CHECK_EQ_UINT(stored_id(plain), copy_codec.iId);
    CHECK_OK(lsm_close(plain));
    db = open_db(path, &copy_codec);
    check_content(db, 0, 20000, "x");
    CHECK_OK(lsm_close(db));
}

/* ---- other functions are needed ----------------------------------------------------------- */

/* What needs no page is told all the same. */
static void check_facts(lsm_db *db) {
    int number, other;
    char *text = NULL;

    CHECK_OK(lsm_info(db, LSM_INFO_NWRITE, &number));
    CHECK_EQ_INT(number, 0);
    CHECK_OK(lsm_info(db, LSM_INFO_NREAD, &number));
    CHECK(number >= 0);
    CHECK_OK(lsm_info(db, LSM_INFO_CHECKPOINT_SIZE, &number));
    CHECK_EQ_INT(number, 0);
    CHECK_OK(lsm_info(db, LSM_INFO_TREE_SIZE, &number, &other));
    CHECK_EQ_INT(number, 0);
    CHECK_EQ_INT(other, 0);
    CHECK_OK(lsm_info(db, LSM_INFO_LOG_STRUCTURE, &text));
    CHECK(text != NULL && strspn(text, "0123456789 ") == strlen(text));
    lsm_free(lsm_get_env(db), text);
}

/* Every call that needs the pages says so, and holds nothing afterwards. */
static void check_mismatch(lsm_db *db) {
    lsm_cursor *cursor = NULL;
    unsigned version = 5;
    int number = 5;
    char *text = NULL;

    CHECK_RC(lsm_csr_open(db, &cursor), LSM_MISMATCH);
    CHECK(cursor == NULL);
    CHECK_RC(lsm_begin(db, 1), LSM_MISMATCH);
    CHECK_RC(lsm_insert(db, "a", 1, "b", 1), LSM_MISMATCH);
    CHECK_RC(lsm_delete(db, "a", 1), LSM_MISMATCH);
    CHECK_RC(lsm_delete_range(db, "a", 1, "b", 1), LSM_MISMATCH);
    CHECK_RC(lsm_get_user_version(db, &version), LSM_MISMATCH);
    CHECK_RC(lsm_set_user_version(db, 1), LSM_MISMATCH);
    CHECK_RC(lsm_work(db, 2, 10, &number), LSM_MISMATCH);
    CHECK_RC(lsm_flush(db), LSM_MISMATCH);
    CHECK_RC(lsm_info(db, LSM_INFO_DB_STRUCTURE, &text), LSM_MISMATCH);
    CHECK_RC(lsm_info(db, LSM_INFO_FREELIST, &text), LSM_MISMATCH);
    CHECK_EQ_UINT(stored_id(db), rle_codec.iId);
    CHECK_OK(lsm_checkpoint(db, NULL));
    check_facts(db);
}

TEST(without_the_functions_only_the_id_is_told) {
    static const lsm_compress *const codecs[] = {NULL, &copy_codec};
    const char *path = test_path("packed");

    make_file(path, &rle_codec);
    for (size_t i = 0; i < 2; i++) {
        lsm_db *db = open_db(path, codecs[i]), *good;
        check_mismatch(db);
        /* Nothing is held: another connection may do everything. */
        good = open_db(path, &rle_codec);
        check_content(good, 0, 2000, "first");
        put(good, 0, 2000, "first");
        CHECK_OK(lsm_flush(good));
        merge_all(good);
        check_mismatch(db);
        CHECK_OK(lsm_close(good));
        CHECK_OK(lsm_close(db));
    }
    check_with_oracle(path, "rle");
}

TEST(functions_for_a_plain_database_mismatch) {
    const char *path = test_path("plain");
    lsm_db *db;
    lsm_cursor *cursor = NULL;
    make_file(path, NULL);
    db = open_db(path, &rle_codec);
    CHECK_RC(lsm_csr_open(db, &cursor), LSM_MISMATCH);
    CHECK_RC(lsm_insert(db, "a", 1, "b", 1), LSM_MISMATCH);
    CHECK_EQ_UINT(stored_id(db), LSM_COMPRESSION_NONE);
    CHECK_OK(lsm_close(db));
    db = open_db(path, NULL);
    check_content(db, 0, 2000, "first");
    CHECK_OK(lsm_close(db));
}

TEST(a_read_only_connection_tells_the_id_of_what_it_cannot_read) {
    const char *path = test_path("packed");
    lsm_db *db = new_db(NULL), *writer;
    lsm_cursor *cursor = NULL;
    int read_only = 1;
    make_file(path, &rle_codec);
    CHECK_OK(lsm_config(db, LSM_CONFIG_READONLY, &read_only));
    CHECK_OK(lsm_open(db, path));
    for (int round = 0; round < 2; round++) {
        CHECK_RC(lsm_csr_open(db, &cursor), LSM_MISMATCH);
        CHECK_EQ_UINT(stored_id(db), rle_codec.iId);
        check_facts(db);
    }
    CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, &rle_codec));
    check_content(db, 0, 2000, "first");
    writer = open_db(path, &rle_codec); /* a detached reader left nothing behind */
    put(writer, 2000, 2100, "first");
    check_content(db, 0, 2100, "first");
    CHECK_OK(lsm_close(writer));
    check_content(db, 0, 2100, "first");
    CHECK_OK(lsm_close(db));
}

TEST(after_a_mismatch_the_sizes_of_what_others_wrote_are_told) {
    const char *path = test_path("packed");
    lsm_db *db, *writer;
    int number, old_kb, live_kb;

    make_file(path, &rle_codec);
    writer = open_db(path, &rle_codec);
    db = open_db(path, NULL);
    put(writer, 0, 300, "a value");
    CHECK_OK(lsm_info(writer, LSM_INFO_TREE_SIZE, &number, &live_kb));
    CHECK(live_kb > 0);
    CHECK_OK(lsm_info(db, LSM_INFO_TREE_SIZE, &old_kb, &number));
    CHECK_EQ_INT(old_kb, 0);
    CHECK_EQ_INT(number, live_kb);
    CHECK_OK(lsm_flush(writer));
    CHECK_OK(lsm_info(writer, LSM_INFO_CHECKPOINT_SIZE, &live_kb));
    CHECK_OK(lsm_info(db, LSM_INFO_CHECKPOINT_SIZE, &number));
    CHECK_EQ_INT(number, live_kb);
    CHECK_OK(lsm_close(writer));
    CHECK_OK(lsm_close(db));
}

TEST(functions_may_be_set_after_a_mismatch) {
    const char *path = test_path("packed");
    lsm_db *db;
    make_file(path, &rle_codec);
    db = open_db(path, NULL);
    check_mismatch(db);
    CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, &rle_codec));
    check_content(db, 0, 2000, "first");
    put(db, 2000, 2500, "first");
    CHECK_OK(lsm_close(db));
    check_with_oracle(path, "rle");
}

/* ---- ids that say nothing ----------------------------------------------------------------- */

TEST(ids_0_and_1_work_with_functions_and_are_corrupt_without) {
    for (unsigned id = 0; id < 2; id++) {
        const char *path = test_path(id ? "one" : "zero");
        lsm_compress codec = rle_codec;
        lsm_db *db;
        lsm_cursor *cursor = NULL;
        int rc;

        codec.iId = id;
        make_file(path, &codec);
        db = open_db(path, &codec);
        CHECK_EQ_UINT(stored_id(db), id);
        check_content(db, 0, 2000, "first");
        put(db, 0, 2000, "more");
        CHECK_OK(lsm_flush(db));
        merge_all(db);
        check_content(db, 0, 2000, "more");
        CHECK_OK(lsm_close(db));
        if (id == 1) check_with_oracle(path, "rle"); /* it does not believe in pages under id 0 */

        db = new_db(NULL);
        rc = lsm_open(db, path);
        if (rc == LSM_OK) rc = lsm_csr_open(db, &cursor);
        CHECK_RC(rc, LSM_CORRUPT);
        CHECK_OK(lsm_close(db));
        db = open_db(path, &codec); /* and nothing has happened to it */
        check_content(db, 0, 2000, "more");
        CHECK_OK(lsm_close(db));
    }
}

TEST(a_large_packed_file_with_id_1_and_pages_in_front_is_corrupt_without_functions) {
    const char *path = test_path("large");
    lsm_compress codec = copy_codec;
    lsm_db *db = new_db(&codec), *plain;
    lsm_cursor *cursor = NULL;
    int page_size = 256, block_kb = 64, rc;
    char value[9000];

    /* More blocks than a block has pages, then all content in the first ones: the offsets of its
    ** pages are also numbers of plain pages that exist. */
    codec.iId = 1;
    CHECK_OK(lsm_close(db));
    db = new_db(&codec);
    CHECK_OK(lsm_config(db, LSM_CONFIG_PAGE_SIZE, &page_size));
    CHECK_OK(lsm_config(db, LSM_CONFIG_BLOCK_SIZE, &block_kb));
    CHECK_OK(lsm_open(db, path));
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    put(db, 0, 2600, value);
    CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_checkpoint(db, NULL));
    CHECK_OK(lsm_delete_range(db, "a", 1, "z", 1));
    put(db, 0, 40, "small");
    CHECK_OK(lsm_flush(db));
    merge_all(db);
    put(db, 0, 40, "little");
    CHECK_OK(lsm_flush(db));
    CHECK_OK(lsm_checkpoint(db, NULL));
    merge_all(db);
    CHECK_OK(lsm_checkpoint(db, NULL));
    history_copy(path, test_path("copy"));
    check_content(db, 0, 40, "little");
    CHECK_OK(lsm_close(db));

    plain = new_db(NULL);
    rc = lsm_open(plain, test_path("copy"));
    if (rc == LSM_OK) rc = lsm_csr_open(plain, &cursor);
    CHECK_RC(rc, LSM_CORRUPT);
    CHECK_OK(lsm_close(plain));
}

TEST(functions_with_id_1_for_a_plain_file_are_corrupt_before_anything_is_written) {
    const char *path = test_path("plain"), *copy = test_path("copy");
    lsm_compress codec = rle_codec;
    lsm_db *db;
    int rc;

    make_file(path, NULL);
    history_copy(path, copy);
    codec.iId = 1;
    db = new_db(&codec);
    rc = lsm_open(db, copy);
    if (rc == LSM_OK) {
        rc = lsm_insert(db, "a", 1, "b", 1);
        if (rc == LSM_OK) rc = lsm_flush(db);
    }
    CHECK_RC(rc, LSM_CORRUPT);
    CHECK_OK(lsm_close(db));
    db = open_db(copy, NULL);
    check_content(db, 0, 2000, "first");
    CHECK_OK(lsm_close(db));
}

/* ---- factories ---------------------------------------------------------------------------- */

struct factory {
    int calls;
    unsigned id;
    const lsm_compress *gives; /* NULL = nothing */
    int freed;
};

static int make_codec(void *context, lsm_db *db, unsigned id) {
    struct factory *factory = context;
    factory->calls++;
    factory->id = id;
    if (factory->gives) CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, factory->gives));
    return LSM_ERROR; /* ignored */
}

static void free_factory(void *context) {
    ((struct factory *)context)->freed++;
}

TEST(a_factory_supplies_the_functions_at_the_first_read_or_work) {
    const char *path = test_path("packed");

    make_file(path, &rle_codec);
    for (int first = 0; first < 4; first++) {
        struct factory made = {.gives = &rle_codec};
        lsm_compress_factory factory = {&made, make_codec, free_factory};
        lsm_compress seen;
        lsm_db *db = new_db(first == 1 ? &copy_codec : NULL);
        int written = 0;

        CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION_FACTORY, &factory));
        CHECK_OK(lsm_open(db, path));
        CHECK_EQ_INT(made.calls, 0);
        if (first == 2) CHECK_OK(lsm_work(db, 2, 1, &written));
        if (first == 3) put(db, 0, 10, "first");
        check_content(db, 0, 2000, "first");
        CHECK_EQ_INT(made.calls, 1);
        CHECK_EQ_UINT(made.id, rle_codec.iId);
        CHECK_OK(lsm_config(db, LSM_CONFIG_GET_COMPRESSION, &seen));
        CHECK_EQ_UINT(seen.iId, rle_codec.iId);
        put(db, 0, 2000, "first");
        CHECK_OK(lsm_flush(db));
        merge_all(db);
        check_content(db, 0, 2000, "first");
        CHECK_EQ_INT(made.calls, 1);
        CHECK_OK(lsm_close(db));
        CHECK_EQ_INT(made.freed, 1);
    }
    check_with_oracle(path, "rle");
}

TEST(a_factory_without_the_right_functions_leaves_the_mismatch) {
    static const lsm_compress *const gives[] = {NULL, &copy_codec};
    const char *path = test_path("packed");

    make_file(path, &rle_codec);
    for (size_t i = 0; i < 2; i++) {
        struct factory made = {.gives = gives[i]};
        lsm_compress_factory factory = {&made, make_codec, free_factory};
        lsm_db *db = open_db(path, NULL);
        CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION_FACTORY, &factory));
        check_mismatch(db);
        CHECK(made.calls > 0);
        made.gives = &rle_codec;
        check_content(db, 0, 2000, "first");
        CHECK_OK(lsm_close(db));
    }
}

TEST(a_factory_serves_read_only_connections) {
    const char *path = test_path("packed");
    struct factory made = {.gives = &rle_codec};
    lsm_compress_factory factory = {&made, make_codec, NULL};
    lsm_db *db = new_db(NULL), *writer;
    int read_only = 1;

    make_file(path, &rle_codec);
    CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION_FACTORY, &factory));
    CHECK_OK(lsm_config(db, LSM_CONFIG_READONLY, &read_only));
    CHECK_OK(lsm_open(db, path));
    check_content(db, 0, 2000, "first");
    writer = open_db(path, &rle_codec);
    check_content(db, 0, 2000, "first");
    CHECK_OK(lsm_close(writer));
    CHECK_OK(lsm_close(db));
    CHECK_EQ_INT(made.calls, 1);
}

/* Asks and meddles before it gives the functions, if it gives them. */
static int curious_factory(void *context, lsm_db *db, unsigned id) {
    const lsm_compress *gives = context;
    lsm_cursor *cursor = NULL;
    int read_only = -1;

    CHECK_OK(lsm_config(db, LSM_CONFIG_READONLY, &read_only));
    CHECK_EQ_UINT(stored_id(db), id);
    CHECK_RC(lsm_csr_open(db, &cursor), LSM_MISMATCH);
    CHECK(cursor == NULL);
    CHECK_RC(lsm_close(db), LSM_MISUSE);
    CHECK_RC(lsm_insert(db, "a", 1, "b", 1), read_only ? LSM_READONLY : LSM_MISUSE);
    CHECK_RC(lsm_begin(db, 1), read_only ? LSM_READONLY : LSM_MISUSE);
    CHECK_RC(lsm_flush(db), read_only ? LSM_READONLY : LSM_MISUSE);
    if (gives) {
        CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, gives));
        CHECK_EQ_UINT(stored_id(db), id);
        CHECK_RC(lsm_csr_open(db, &cursor), LSM_MISMATCH); /* the call at hand begins the transaction */
        CHECK_RC(lsm_insert(db, "a", 1, "b", 1), read_only ? LSM_READONLY : LSM_MISUSE);
    }
    return LSM_OK;
}

TEST(a_factory_may_ask_and_cannot_begin_anything) {
    const char *path = test_path("packed");

    make_file(path, &rle_codec);
    for (int kind = 0; kind < 8; kind++) {
        lsm_compress codec = rle_codec;
        lsm_compress_factory factory = {kind & 1 ? &codec : NULL, curious_factory, NULL};
        lsm_db *db = new_db(NULL), *writer = kind & 4 ? open_db(path, &rle_codec) : NULL;
        lsm_cursor *cursor = NULL;
        int read_only = (kind & 2) != 0;

        CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION_FACTORY, &factory));
        CHECK_OK(lsm_config(db, LSM_CONFIG_READONLY, &read_only));
        CHECK_OK(lsm_open(db, path));
        for (int round = 0; round < 3; round++) {
            if (kind & 1) {
                check_content(db, 0, 2000, "first");
            } else {
                CHECK_RC(lsm_csr_open(db, &cursor), LSM_MISMATCH);
                CHECK_EQ_UINT(stored_id(db), rle_codec.iId);
            }
        }
        if (writer) CHECK_OK(lsm_close(writer));
        CHECK_OK(lsm_close(db));
    }
}

/* ---- whose functions they are ------------------------------------------------------------- */

/* DF-63 */
TEST(functions_are_freed_when_replaced_and_at_close_and_not_used_afterwards) {
    struct codec_use first, second, third;
    lsm_compress one = used_codec(&first, &rle_codec, 10001);
    lsm_compress two = used_codec(&second, &rle_codec, 10001);
    lsm_compress three = used_codec(&third, &rle_codec, 10001);
    lsm_compress none = {0};
    const char *path = test_path("packed");
    lsm_db *db = new_db(&one);

    CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, &two));
    CHECK_EQ_INT(first.freed, 1);
    CHECK_OK(lsm_open(db, path));
    put(db, 0, 2000, "x");
    CHECK_OK(lsm_flush(db));
    check_content(db, 0, 2000, "x");
    CHECK(second.calls > 0);
    CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, &three)); /* DF-63 */
    CHECK_EQ_INT(second.freed, 1);
    put(db, 0, 2000, "x");
    CHECK_OK(lsm_flush(db));
    check_content(db, 0, 2000, "x");
    CHECK(third.calls > 0);
    CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, &none));
    CHECK_EQ_INT(third.freed, 1);
    CHECK_RC(lsm_insert(db, "a", 1, "b", 1), LSM_MISMATCH);
    CHECK_OK(lsm_close(db));
    CHECK_EQ_INT(first.freed + second.freed + third.freed, 3);
    CHECK_EQ_INT(first.calls_when_dead + second.calls_when_dead + third.calls_when_dead, 0);
}

TEST(a_connection_that_leaves_hands_its_work_to_another) {
    struct codec_use uses[4];
    lsm_db *dbs[4];
    lsm_cursor *cursor = NULL;
    const char *path = test_path("packed");

    make_file(path, &rle_codec);
    for (int i = 0; i < 4; i++) {
        lsm_compress codec = used_codec(&uses[i], &rle_codec, rle_codec.iId);
        dbs[i] = open_db(path, &codec);
        if (i != 2) check_content(dbs[i], 0, 2000, "first"); /* the third never reads */
    }
    CHECK(uses[0].calls > 0);
    CHECK_OK(lsm_csr_open(dbs[3], &cursor));
    CHECK_OK(lsm_csr_first(cursor));
    for (int i = 0; i < 3; i++) { /* in the middle of a scan of the last one */
        CHECK_OK(lsm_close(dbs[i]));
        CHECK_EQ_INT(uses[i].freed, 1);
        for (int k = 0; k < 400; k++) CHECK_OK(lsm_csr_next(cursor));
        CHECK(lsm_csr_valid(cursor));
    }
    CHECK_OK(lsm_csr_close(cursor));
    put(dbs[3], 0, 2000, "first");
    CHECK_OK(lsm_flush(dbs[3]));
    check_content(dbs[3], 0, 2000, "first");
    CHECK_OK(lsm_close(dbs[3]));
    for (int i = 0; i < 4; i++) CHECK_EQ_INT(uses[i].calls_when_dead, 0);
    CHECK(uses[3].calls > 0);
}

TEST(who_writes_the_first_level_decides) {
    static const lsm_compress *const codecs[] = {NULL, &rle_codec, &copy_codec};

    for (int writer = 0; writer < 3; writer++) {
        for (int opener = 0; opener < 3; opener++) {
            const char *path = test_path("shared");
            lsm_db *dbs[3] = {NULL, NULL, NULL};
            lsm_cursor *cursor = NULL;
            dbs[opener] = open_db(path, codecs[opener]);
            for (int i = 0; i < 3; i++) {
                if (i != opener) dbs[i] = open_db(path, codecs[i]);
                check_content(dbs[i], 0, 0, "");
            }
            put(dbs[opener], 0, 300, "x");
            CHECK_OK(lsm_flush(dbs[writer]));
            check_content(dbs[writer], 0, 300, "x");
            CHECK_EQ_UINT(stored_id(dbs[writer]), writer ? codecs[writer]->iId : 1);
            for (int i = 0; i < 3; i++) {
                if (i != writer) CHECK_RC(lsm_csr_open(dbs[i], &cursor), LSM_MISMATCH);
            }
            for (int i = 0; i < 3; i++) {
                if (i != writer) CHECK_OK(lsm_close(dbs[i]));
            }
            check_content(dbs[writer], 0, 300, "x");
            CHECK_OK(lsm_close(dbs[writer]));
            if (writer) check_with_oracle(path, writer == 1 ? "rle" : "copy");
            dbs[0] = open_db(path, codecs[writer]);
            check_content(dbs[0], 0, 300, "x");
            CHECK_OK(lsm_close(dbs[0]));
            remove(path);
        }
    }
}

TEST(functions_cannot_be_set_while_a_transaction_is_open) {
    lsm_db *db = open_db(test_path("packed"), &rle_codec);
    lsm_cursor *cursor = NULL;
    put(db, 0, 10, "x");
    CHECK_OK(lsm_csr_open(db, &cursor));
    CHECK_RC(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, &copy_codec), LSM_MISUSE);
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_OK(lsm_begin(db, 1));
    CHECK_RC(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, &copy_codec), LSM_MISUSE);
    CHECK_OK(lsm_commit(db, 0));
    CHECK_OK(lsm_close(db));
}

/* ---- functions that fail ------------------------------------------------------------------ */

static int too_large(void *context, char *out, int *out_size, const char *in, int size) {
    (void)context;
    (void)out;
    (void)in;
    *out_size = 4 * size; /* more than was announced */
    return LSM_OK;
}

static int out_of_order(void *context, char *out, int *out_size, const char *in, int size) {
    (void)context;
    (void)out;
    (void)out_size;
    (void)in;
    (void)size;
    return LSM_FULL;
}

static int code_of_uncompress;
static int refuse(void *context, char *out, int *out_size, const char *in, int size) {
    if (code_of_uncompress != LSM_OK) return code_of_uncompress;
    return rle_codec.xUncompress(context, out, out_size, in, size);
}

/* 04, section 2: "passed through to the caller unchanged". */
TEST(what_a_function_fails_with_is_what_the_caller_gets) {
    static const int codes[] = {LSM_NOMEM, LSM_IOERR, LSM_BUSY, LSM_CORRUPT, LSM_MISMATCH, LSM_ERROR, 4242, -3};
    const char *path = test_path("packed");
    lsm_compress codec = rle_codec;

    make_file(path, &rle_codec);
    codec.xUncompress = refuse;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        lsm_db *db;
        lsm_cursor *cursor = NULL;

        code_of_uncompress = LSM_OK;
        db = open_db(path, &codec);
        CHECK_OK(lsm_csr_open(db, &cursor));
        code_of_uncompress = codes[i];
        CHECK_RC(lsm_csr_seek(cursor, "0", 1, LSM_SEEK_EQ), codes[i]);
        CHECK_RC(lsm_csr_seek(cursor, "0", 1, LSM_SEEK_GE), codes[i]);
        CHECK_RC(lsm_csr_first(cursor), codes[i]);
        CHECK_RC(lsm_csr_next(cursor), codes[i]); /* the position is lost, which is not the end */
        code_of_uncompress = LSM_OK;
        CHECK_OK(lsm_csr_first(cursor));
        CHECK_EQ_INT(lsm_csr_valid(cursor), 1);
        CHECK_OK(lsm_csr_close(cursor));
        check_content(db, 0, 2000, "first");
        CHECK_OK(lsm_close(db));
    }
}

static void note_page(void *context, uint64_t page_no, const char *text) {
    *(uint64_t *)context = page_no;
    CHECK(strstr(text, "a page does not decompress") != NULL);
}

TEST(a_page_that_a_function_refuses_is_a_problem_to_verify_not_its_end) {
    static const int codes[] = {LSM_CORRUPT, LSM_ERROR, 4242};
    const char *path = test_path("packed");
    lsm_compress codec = rle_codec;

    make_file(path, &rle_codec);
    codec.xUncompress = refuse;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        uint64_t page_no = 0;
        struct verify_report report = {&page_no, note_page, NULL};
        struct verify_totals totals;
        lsm_db *db;

        code_of_uncompress = LSM_OK;
        db = open_db(path, &codec);
        code_of_uncompress = codes[i];
        CHECK_OK(db_verify(db, &report, &totals));
        CHECK(totals.problem_count > 0);
        CHECK(page_no > 0);
        code_of_uncompress = LSM_NOMEM;
        CHECK_RC(db_verify(db, &report, &totals), LSM_NOMEM);
        CHECK_OK(lsm_close(db));
    }
    code_of_uncompress = LSM_OK;
}

/* DF-50 */
TEST(functions_that_fail_publish_nothing) {
    static int (*const failing[])(void *, char *, int *, const char *, int) = {too_large,
                                                                             out_of_order};
    static const int codes[] = {LSM_IOERR, LSM_FULL};

    for (size_t i = 0; i < 2; i++) {
        const char *path = test_path("failing");
        lsm_compress codec = rle_codec;
        lsm_db *db;
        char *structure = NULL;

        codec.xCompress = failing[i];
        db = open_db(path, &codec);
        put(db, 0, 100, "x");
        CHECK_RC(lsm_flush(db), codes[i]);
        CHECK_OK(lsm_info(db, LSM_INFO_DB_STRUCTURE, &structure));
        CHECK(structure == NULL);
        check_content(db, 0, 100, "x");
        CHECK_OK(lsm_close(db));
        db = open_db(path, &rle_codec); /* the log has it all */
        check_content(db, 0, 100, "x");
        CHECK_OK(lsm_close(db));
        check_with_oracle(path, "rle");
        remove(path);
    }
}

TEST_MAIN()
