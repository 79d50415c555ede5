/*
** segment_builder.h — for tests: a database file made by hand around the segment writer, and a
** plain reader that knows nothing of cursors.
**
** The reader walks a segment's pages in the order of its links and checks on the way what the
** format demands of every page and record; it puts all keys and values together in memory.
**
** OWNERSHIP   Records and readers are freed by test_records_free and plain_reader_free. A file is
**             closed by segment_file_close, which also checks that nothing of the engine was left
**             allocated.
*/
#ifndef LSM_SUPPORT_SEGMENT_BUILDER_H
#define LSM_SUPPORT_SEGMENT_BUILDER_H

#include "base/buffer.h"
#include "base/memory.h"
#include "format/format_checkpoint.h"
#include "format/format_record.h"
#include "os/os.h"
#include "pager/pager.h"
#include "segment/segment.h"
#include "support/test.h"

#define TEST_BLOCKS_MAX 512

/* ------------------------------------------------------------- an environment that can fail -- */

struct test_env {
    lsm_env env; /* first: callbacks get its address */
    lsm_env *real;
    long allocations_left; /* -1 = no limit; the allocation after the last one fails */
    long writes_left;
    long live_blocks; /* allocated and not freed */
    long allocations;
    long writes;
};

static struct test_env *test_env_now; /* xWrite gets no environment */

TEST_HELPER bool test_env_take(long *left) {
    if (*left == 0) return false;
    if (*left > 0) --*left;
    return true;
}
TEST_HELPER void *test_env_malloc(lsm_env *env, size_t size) {
    struct test_env *test = (struct test_env *)(void *)env;
    test->allocations++;
    if (!test_env_take(&test->allocations_left)) return NULL;
    test->live_blocks++;
    return malloc(size);
}
TEST_HELPER void *test_env_realloc(lsm_env *env, void *block, size_t size) {
    struct test_env *test = (struct test_env *)(void *)env;
    test->allocations++;
    if (!test_env_take(&test->allocations_left)) return NULL;
    if (block == NULL) test->live_blocks++;
    return realloc(block, size);
}
TEST_HELPER void test_env_free(lsm_env *env, void *block) {
    struct test_env *test = (struct test_env *)(void *)env;
    if (block) test->live_blocks--;
    free(block);
}
TEST_HELPER int test_env_write(lsm_file *file, lsm_i64 offset, void *data, int size) {
    test_env_now->writes++;
    if (!test_env_take(&test_env_now->writes_left)) return LSM_IOERR;
    return test_env_now->real->xWrite(file, offset, data, size);
}
TEST_HELPER void test_env_init(struct test_env *test) {
    lsm_env *real = lsm_default_env();
    *test = (struct test_env){.env = *real, .real = real, .allocations_left = -1};
    test->writes_left = -1;
    test->env.xMalloc = test_env_malloc;
    test->env.xRealloc = test_env_realloc;
    test->env.xFree = test_env_free;
    test->env.xWrite = test_env_write;
    test_env_now = test;
}

/* ---------------------------------------------------------------------------------- the file -- */

struct segment_file {
    struct test_env env;
    struct os_file file;
    struct pager *pager;
    struct error_context error;
    uint32_t page_size;
    uint32_t block_size;
    uint32_t block_count;
    uint32_t recycled[TEST_BLOCKS_MAX]; /* free blocks, taken before the file grows, from the end */
    uint32_t recycled_count;
    int allocations_left; /* of blocks; -1 = no limit */
    int allocations;
    int give_backs;
    int give_back_rc;
};

TEST_HELPER int segment_file_allocate(void *context, uint32_t *block_no) {
    struct segment_file *file = context;
    if (file->allocations_left == 0) return LSM_FULL;
    if (file->allocations_left > 0) file->allocations_left--;
    file->allocations++;
    *block_no = file->recycled_count ? file->recycled[--file->recycled_count] : ++file->block_count;
    pager_set_block_limit(file->pager, file->block_count);
    return LSM_OK;
}
TEST_HELPER int segment_file_give_back(void *context, uint32_t block_no) {
    struct segment_file *file = context;
    if (file->give_back_rc != LSM_OK) return file->give_back_rc;
    file->give_backs++;
    file->recycled[file->recycled_count++] = block_no;
    return LSM_OK;
}
TEST_HELPER struct block_source segment_file_source(struct segment_file *file) {
    return (struct block_source){file, segment_file_allocate, segment_file_give_back};
}

TEST_HELPER void segment_file_open(struct segment_file *file, const char *path, uint32_t page_size,
                                   uint32_t block_size, const lsm_compress *compress) {
    struct pager_config config = {.cache_bytes = 1 << 20, .compress = compress};

    memset(file, 0, sizeof *file);
    test_env_init(&file->env);
    file->page_size = page_size;
    file->block_size = block_size;
    file->allocations_left = -1;
    CHECK_OK(os_open(&file->env.env, path, 0, &file->file));
    CHECK_OK(pager_open(&file->env.env, &file->file, &config, &file->pager));
    CHECK_OK(pager_set_geometry(file->pager, page_size, block_size));
}
TEST_HELPER void segment_file_close(struct segment_file *file) {
    file->env.allocations_left = file->env.writes_left = -1;
    pager_close(file->pager);
    os_close(&file->file);
    CHECK_EQ_INT(file->env.live_blocks, 0);
}

/* Start the file with `count` free blocks, handed out in random order. */
TEST_HELPER void segment_file_shuffle_blocks(struct segment_file *file, uint32_t count) {
    file->block_count = count;
    file->recycled_count = count;
    for (uint32_t i = 0; i < count; i++) file->recycled[i] = i + 1;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = test_random_below(i);
        uint32_t block = file->recycled[i - 1];
        file->recycled[i - 1] = file->recycled[other];
        file->recycled[other] = block;
    }
    pager_set_block_limit(file->pager, count);
}

TEST_HELPER struct segment_writer_config segment_file_config(struct segment_file *file,
                                                             uint64_t append_point,
                                                             uint64_t first_pointer) {
    return (struct segment_writer_config){file->pager, segment_file_source(file), &file->error,
                                          append_point, first_pointer};
}

TEST_HELPER int compare_entries(const void *left, const void *right) {
    const struct freelist_entry *a = left, *b = right;
    return (a->block > b->block) - (a->block < b->block);
}

/* Write meta page 1: levels of one segment each, newest first. */
TEST_HELPER void segment_file_checkpoint(struct segment_file *file, uint32_t compression_id,
                                         const struct segment *segments, uint32_t count,
                                         const uint64_t append[APPEND_POINTS],
                                         uint32_t pages_written, uint32_t *words,
                                         uint32_t *word_count) {
    static uint32_t own_words[CHECKPOINT_WORDS_MAX];
    static uint8_t bytes[META_PAGE_SIZE];
    struct level levels[8];
    struct freelist_entry entries[TEST_BLOCKS_MAX];
    struct snapshot snapshot = {.id = 11, .compression_id = compression_id};
    uint32_t own_count;

    memset(levels, 0, sizeof levels);
    CHECK(count <= 8);
    for (uint32_t i = 0; i < count; i++) levels[i].left = segments[i];
    for (uint32_t i = 0; i < file->recycled_count; i++) {
        entries[i] = (struct freelist_entry){file->recycled[i], 0};
    }
    qsort(entries, file->recycled_count, sizeof entries[0], compare_entries);
    snapshot.block_count = file->block_count;
    snapshot.block_size = file->block_size;
    snapshot.page_size = file->page_size;
    snapshot.pages_written = pages_written;
    if (append) memcpy(snapshot.append, append, sizeof snapshot.append);
    snapshot.level_count = count;
    snapshot.levels = levels;
    snapshot.freelist.count = file->recycled_count;
    snapshot.freelist.entries = entries;
    if (words == NULL) {
        words = own_words;
        word_count = &own_count;
    }
    CHECK_OK(checkpoint_encode(&snapshot, words, word_count));
    memset(bytes, 0, sizeof bytes);
    checkpoint_words_to_bytes(words, *word_count, bytes);
    CHECK_OK(os_write(&file->file, 0, bytes, META_PAGE_USED));
}

/* ------------------------------------------------------------------------------ the content -- */

struct test_record {
    uint8_t flags;
    uint64_t pointer; /* absolute */
    uint8_t *key;
    uint32_t key_size;
    uint8_t *value;
    uint32_t value_size;
};
struct test_records {
    struct test_record *items;
    uint32_t count;
    uint32_t capacity;
};

TEST_HELPER struct test_record *test_records_add(struct test_records *records) {
    if (records->count == records->capacity) {
        records->capacity = records->capacity ? 2 * records->capacity : 64;
        records->items = realloc(records->items, records->capacity * sizeof records->items[0]);
    }
    memset(&records->items[records->count], 0, sizeof records->items[0]);
    return &records->items[records->count++];
}
TEST_HELPER void test_records_free(struct test_records *records) {
    for (uint32_t i = 0; i < records->count; i++) {
        free(records->items[i].key);
        free(records->items[i].value);
    }
    free(records->items);
    *records = (struct test_records){0};
}
TEST_HELPER struct slice test_record_key(const struct test_record *record) {
    return (struct slice){record->key, record->key_size};
}
TEST_HELPER struct slice test_record_value(const struct test_record *record) {
    return (struct slice){record->value, record->value_size};
}
TEST_HELPER int compare_records(const void *left, const void *right) {
    const struct test_record *a = left, *b = right;
    return topic_key_compare(record_topic(a->flags), test_record_key(a), record_topic(b->flags),
                             test_record_key(b));
}
/* Sort by key and drop all but one record of each key. */
TEST_HELPER void test_records_sort(struct test_records *records) {
    uint32_t kept = 0;
    if (records->count == 0) return;
    qsort(records->items, records->count, sizeof records->items[0], compare_records);
    for (uint32_t i = 0; i < records->count; i++) {
        if (kept > 0 && compare_records(&records->items[kept - 1], &records->items[i]) == 0) {
            free(records->items[i].key);
            free(records->items[i].value);
        } else {
            records->items[kept++] = records->items[i];
        }
    }
    records->count = kept;
}
TEST_HELPER void test_records_add_bytes(struct test_records *records, uint8_t flags,
                                        const void *key, uint32_t key_size, const void *value,
                                        uint32_t value_size, uint64_t pointer) {
    struct test_record *record = test_records_add(records);
    record->flags = flags;
    record->pointer = pointer;
    record->key = malloc(key_size + 1);
    record->key_size = key_size;
    if (key_size) memcpy(record->key, key, key_size);
    if (flags & RECORD_INSERT) {
        record->value = malloc(value_size + 1);
        record->value_size = value_size;
        if (value_size) memcpy(record->value, value, value_size);
    }
}

TEST_HELPER int segment_writer_add_record(struct segment_writer *writer,
                                          const struct test_record *record) {
    return segment_writer_add(writer, record->flags, test_record_key(record),
                              test_record_value(record), record->pointer);
}

/* -------------------------------------------------------------------------- the plain reader -- */

struct plain_reader {
    struct segment_file *file;
    const struct segment *segment;
    struct test_records records; /* all, in order */
    uint64_t *leaves;            /* pages that the index must lead to, in order */
    uint32_t *leaf_records;      /* number of the first record on each */
    uint32_t leaf_count;
    uint32_t page_count;
    uint32_t index_pages;
    uint32_t leaf_at;    /* while walking the index */
    uint32_t leaf_depth; /* of the first leaf */
};

TEST_HELPER void plain_read_page(struct plain_reader *reader, const struct page *page,
                                 uint64_t *body_left, uint32_t *skip_next, bool *any) {
    struct page_footer footer;
    struct test_record *record = NULL;
    uint32_t at = 0;

    CHECK_OK(format_page_footer(page->data, page->size, page->page_no, &reader->file->error,
                                &footer));
    reader->page_count++;
    if (footer.flags & PAGE_FLAG_INDEX) {
        reader->index_pages++;
        return;
    }
    if (*body_left > 0) { /* the last record goes on here */
        uint32_t part = *body_left < footer.record_end ? (uint32_t)*body_left : footer.record_end;
        uint64_t total, done;
        record = &reader->records.items[reader->records.count - 1];
        total = (uint64_t)record->key_size + record->value_size;
        done = total - *body_left;
        for (uint32_t i = 0; i < part; i++, done++) {
            if (done < record->key_size) record->key[done] = page->data[i];
            else record->value[done - record->key_size] = page->data[i];
        }
        *body_left -= part;
        CHECK_EQ_UINT(footer.pointer, record->pointer);
        if (*body_left > 0) {
            CHECK_EQ_UINT(footer.cell_count, 0);
            CHECK_EQ_UINT(part, footer.record_end);
        }
        at = part;
    }
    if (footer.cell_count == 0) {
        CHECK_EQ_UINT(footer.flags, 0);
    } else {
        CHECK_EQ_UINT(!!(footer.flags & PAGE_FLAG_SKIP_THIS), *skip_next);
        *skip_next = !!(footer.flags & PAGE_FLAG_SKIP_NEXT);
        if (!*any) CHECK_EQ_UINT(footer.flags, 0);
        *any = true;
        if (!(footer.flags & PAGE_FLAG_SKIP_THIS)) {
            uint32_t n = reader->leaf_count++;
            reader->leaves = realloc(reader->leaves, (n + 1) * sizeof reader->leaves[0]);
            reader->leaf_records =
                realloc(reader->leaf_records, (n + 1) * sizeof reader->leaf_records[0]);
            reader->leaves[n] = page->page_no;
            reader->leaf_records[n] = reader->records.count;
        }
    }
    for (uint32_t cell = 0; cell < footer.cell_count; cell++) {
        struct record_head head;
        uint32_t offset = 0;
        uint64_t total, part;
        CHECK_OK(format_page_cell(page->data, page->size, &footer, cell, page->page_no,
                                  &reader->file->error, &offset));
        CHECK_EQ_UINT(offset, at);
        CHECK_EQ_UINT(page->data[offset] & RECORD_NOISE, 0);
        CHECK_OK(format_record_head(page->data + offset, page->data + footer.record_end,
                                    page->page_no, &reader->file->error, &head));
        record = test_records_add(&reader->records);
        record->flags = head.flags;
        record->pointer = footer.pointer + (uint64_t)head.pointer_delta;
        record->key_size = head.key_size;
        record->value_size = head.value_size;
        record->key = malloc(head.key_size + 1);
        record->value = malloc(head.value_size + 1);
        at = offset + head.head_size;
        total = (uint64_t)head.key_size + head.value_size;
        part = total < footer.record_end - at ? total : footer.record_end - at;
        for (uint64_t i = 0; i < part; i++, at++) {
            if (i < head.key_size) record->key[i] = page->data[at];
            else record->value[i - head.key_size] = page->data[at];
        }
        *body_left = total - part;
        if (*body_left > 0) CHECK_EQ_UINT(cell, footer.cell_count - 1);
    }
    for (; at < footer.record_end; at++) CHECK_EQ_UINT(page->data[at], 0);
}

/* Every child in turn; between two children stands the key of the leaf that follows. */
TEST_HELPER void plain_walk_index(struct plain_reader *reader, uint64_t page_no, uint32_t depth) {
    struct page page;
    struct page_footer footer;

    CHECK(depth < INDEX_DEPTH_MAX);
    CHECK_OK(pager_get(reader->file->pager, NULL, page_no, &reader->file->error, &page));
    CHECK_OK(format_page_footer(page.data, page.size, page_no, &reader->file->error, &footer));
    if (!(footer.flags & PAGE_FLAG_INDEX)) {
        CHECK(reader->leaf_at < reader->leaf_count);
        CHECK_EQ_UINT(page_no, reader->leaves[reader->leaf_at]);
        if (reader->leaf_at == 0) reader->leaf_depth = depth;
        CHECK_EQ_UINT(depth, reader->leaf_depth);
        reader->leaf_at++;
    } else {
        uint32_t at = 3;
        for (uint32_t cell = 0; cell < footer.cell_count; cell++) {
            const struct test_record *record;
            struct index_cell found;
            uint32_t offset = 0;
            CHECK_OK(format_page_cell(page.data, page.size, &footer, cell, page_no,
                                      &reader->file->error, &offset));
            CHECK_EQ_UINT(offset, at);
            CHECK_OK(format_index_cell(page.data + offset, page.data + footer.record_end, page_no,
                                       &reader->file->error, &found));
            plain_walk_index(reader, found.child, depth + 1);
            CHECK(reader->leaf_at < reader->leaf_count);
            record = &reader->records.items[reader->leaf_records[reader->leaf_at]];
            if (4 * (uint64_t)record->key_size > reader->file->page_size) {
                CHECK(found.indirect);
                CHECK_EQ_UINT(found.key_page, reader->leaves[reader->leaf_at]);
            } else {
                CHECK(!found.indirect);
                CHECK_EQ_UINT(found.topic, record_topic(record->flags));
                CHECK_EQ_BYTES(found.key.data, found.key.size, record->key, record->key_size);
            }
            at = offset + format_index_cell_size(&found);
        }
        for (; at < footer.record_end; at++) CHECK_EQ_UINT(page.data[at], 0);
        plain_walk_index(reader, footer.pointer, depth + 1);
    }
    pager_put(reader->file->pager, &page);
}

TEST_HELPER void plain_reader_free(struct plain_reader *reader) {
    test_records_free(&reader->records);
    free(reader->leaves);
    free(reader->leaf_records);
}

/* Read a whole segment and check its pages, records, index and size. */
TEST_HELPER void plain_read(struct plain_reader *reader, struct segment_file *file,
                            const struct segment *segment) {
    uint64_t page_no = segment->first;
    uint64_t body_left = 0;
    uint32_t skip_next = 0;
    bool any = false;

    memset(reader, 0, sizeof *reader);
    reader->file = file;
    reader->segment = segment;
    while (page_no != 0) {
        struct page page;
        uint64_t next = 0;
        CHECK_OK(pager_get(file->pager, NULL, page_no, &file->error, &page));
        plain_read_page(reader, &page, &body_left, &skip_next, &any);
        CHECK_OK(pager_segment_next(file->pager, NULL, segment, &page, &file->error, &next));
        pager_put(file->pager, &page);
        page_no = next;
    }
    CHECK_EQ_UINT(body_left, 0);
    if (!pager_is_compressed(file->pager)) CHECK_EQ_UINT(reader->page_count, segment->size);
    for (uint32_t i = 1; i < reader->records.count; i++) {
        CHECK(compare_records(&reader->records.items[i - 1], &reader->records.items[i]) < 0);
    }
    if (reader->leaf_count <= 1) {
        CHECK_EQ_UINT(segment->root, 0);
    } else {
        CHECK(segment->root != 0);
        plain_walk_index(reader, segment->root, 0);
        CHECK_EQ_UINT(reader->leaf_at, reader->leaf_count);
    }
}

TEST_HELPER void check_same_records(const struct test_records *actual,
                                    const struct test_records *expected) {
    CHECK_EQ_UINT(actual->count, expected->count);
    for (uint32_t i = 0; i < expected->count; i++) {
        const struct test_record *a = &actual->items[i], *b = &expected->items[i];
        TEST_NOTE("record %u of %u", i, expected->count);
        CHECK_EQ_INT(a->flags, b->flags);
        CHECK_EQ_UINT(a->pointer, b->pointer);
        CHECK_EQ_BYTES(a->key, a->key_size, b->key, b->key_size);
        CHECK_EQ_BYTES(a->value, a->value_size, b->value, b->value_size);
    }
}

/* A random set of records: `key_max` and `value_max` bound most sizes, a few are larger. */
TEST_HELPER void random_records(struct test_records *out, uint32_t count, uint32_t key_max,
                                uint32_t value_max, uint32_t large_value) {
    uint8_t *key = malloc((size_t)key_max + 8);
    uint8_t *value = malloc((size_t)large_value + value_max + 1);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t key_size = test_random_below(test_random_below(4) ? 13 : key_max + 1);
        bool large = large_value > 0 && test_random_below(64) == 0;
        uint32_t value_size = test_random_below((large ? large_value : value_max) + 1);
        for (uint32_t k = 0; k < key_size; k++) {
            key[k] = test_random_below(3) ? (uint8_t)test_random_below(4) : (uint8_t)test_random();
        }
        test_random_bytes(value, value_size);
        test_records_add_bytes(out, RECORD_INSERT, key, key_size, value, value_size, 0);
    }
    free(key);
    free(value);
    test_records_sort(out);
}

#endif
