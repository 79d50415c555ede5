/*
** segment_make.c — write a database file with the segment writer alone, for other readers to check.
**
**     segment_make FILE CONTENT kind=one|two|copy seed=N page=N block=N stop=N codec=none|rle|copy
**
** kind one: a random run. two: a run on top of it that has absorbed its index, with overwritten and
** deleted keys and range deletes. copy: the run that CONTENT describes, in the order given.
** stop: interrupt and resume before about one record in N (0 = never).
** CONTENT is written (kind copy: read): one live key per line, hexadecimal key, tab, value.
*/
#include "support/segment_builder.h"
#include "support/toy_codecs.h"

struct options {
    const char *path, *content, *kind, *codec;
    uint32_t page, block, stop;
};

static struct options options = {.kind = "one", .codec = "none", .page = 4096, .block = 65536};

static struct segment write_run(struct segment_file *file, const struct test_records *records,
                                uint64_t append_point, uint64_t first_pointer,
                                uint64_t *append_after, uint32_t *pages) {
    struct segment_writer_config config = segment_file_config(file, append_point, first_pointer);
    struct segment_writer *writer = NULL;
    struct segment segment = {0};

    CHECK_OK(segment_writer_new(&file->env.env, &config, &writer));
    for (uint32_t i = 0; i < records->count; i++) {
        if (options.stop != 0 && i > 0 && test_random_below(options.stop) == 0) {
            uint64_t pointer = segment_writer_pointer(writer);
            uint32_t skip = 0;
            *pages += segment_writer_data_pages(writer);
            CHECK_OK(segment_writer_interrupt(writer, &segment, &skip));
            segment_writer_free(writer);
            CHECK_OK(segment_writer_resume(&file->env.env, &config, &segment, skip, pointer,
                                           &writer));
        }
        if (records->items[i].flags == 0) { /* a separator that is not written */
            segment_writer_set_pointer(writer, records->items[i].pointer);
        } else {
            CHECK_OK(segment_writer_add_record(writer, &records->items[i]));
        }
    }
    *pages += segment_writer_data_pages(writer);
    CHECK_OK(segment_writer_finish(writer, &segment, append_after));
    segment_writer_free(writer);
    return segment;
}

static void add_record(struct test_records *records, uint8_t flags, const struct test_record *key,
                       uint32_t value_size) {
    uint8_t *value = malloc(value_size + 1);
    test_random_bytes(value, value_size);
    test_records_add_bytes(records, flags, key->key, key->key_size, value, value_size, 0);
    free(value);
}

/* The records of a run on top of `lower`, yet without separators and pointers, and what is live. */
static void make_upper(const struct test_records *lower, struct test_records *upper,
                       struct test_records *live) {
    struct test_records fresh = {0};
    uint32_t at_fresh = 0, range_left = 0;

    random_records(&fresh, lower->count / 3 + 1, 60, 50, 3000);
    for (uint32_t i = 0; i < lower->count; i++) {
        const struct test_record *old = &lower->items[i];
        uint32_t dice = test_random_below(10);
        while (at_fresh < fresh.count) { /* new keys between the old ones, never inside a range */
            const struct test_record *new = &fresh.items[at_fresh];
            if (compare_records(new, old) >= 0) break;
            at_fresh++;
            if (range_left > 0) continue;
            add_record(upper, RECORD_INSERT, new, test_random_below(80));
        }
        if (at_fresh < fresh.count && compare_records(&fresh.items[at_fresh], old) == 0) at_fresh++;
        if (range_left > 0) {
            if (--range_left > 0 && i + 1 < lower->count) continue; /* deleted by the range */
            add_record(upper, dice < 5 ? RECORD_END_DELETE : RECORD_END_DELETE | RECORD_INSERT, old,
                       test_random_below(30));
            range_left = 0;
        } else if (dice < 1 && i + 1 < lower->count) {
            /* Never a mark alone: the stock engine's GE then skips a live key of that name. */
            add_record(upper, RECORD_START_DELETE |
                                  (test_random_below(2) ? RECORD_POINT_DELETE : RECORD_INSERT),
                       old, 7);
            range_left = 1 + test_random_below(30);
        } else if (dice < 3) {
            add_record(upper, RECORD_POINT_DELETE, old, 0);
            continue;
        } else if (dice < 6) {
            add_record(upper, RECORD_INSERT, old, test_random_below(300));
        }
    }
    while (at_fresh < fresh.count) {
        add_record(upper, RECORD_INSERT, &fresh.items[at_fresh++], 3);
    }
    test_records_free(&fresh);

    /* Live: upper inserts, and lower records neither hidden nor replaced. */
    for (uint32_t i = 0, k = 0; i < lower->count || k < upper->count;) {
        int order = i == lower->count   ? 1
                    : k == upper->count ? -1
                                        : compare_records(&lower->items[i], &upper->items[k]);
        if (order < 0) {
            bool hidden = k < upper->count && (upper->items[k].flags & RECORD_END_DELETE);
            const struct test_record *old = &lower->items[i++];
            if (!hidden) {
                test_records_add_bytes(live, RECORD_INSERT, old->key, old->key_size, old->value,
                                       old->value_size, 0);
            }
        } else {
            const struct test_record *now = &upper->items[k++];
            const struct test_record *from = now;
            if (order == 0 && !(now->flags & (RECORD_INSERT | RECORD_POINT_DELETE))) {
                from = &lower->items[i]; /* a mark alone leaves its key as it is */
            }
            if (order == 0) i++;
            if (from->flags & RECORD_INSERT) {
                test_records_add_bytes(live, RECORD_INSERT, from->key, from->key_size, from->value,
                                       from->value_size, 0);
            }
        }
    }
}

/* Merge the keys of the lower run's index into `upper`, and give every record its pointer. */
static void add_separators(struct segment_file *file, const struct segment *lower,
                           struct test_records *upper) {
    struct plain_reader reader;
    struct test_records merged = {0};
    uint64_t pointer;
    uint32_t leaf = 1;
    bool in_range = false;

    plain_read(&reader, file, lower);
    pointer = reader.leaf_count > 1 ? lower->first : 0;
    for (uint32_t k = 0; k <= upper->count; k++) {
        while (leaf < reader.leaf_count) {
            const struct test_record *key = &reader.records.items[reader.leaf_records[leaf]];
            int order = k < upper->count ? compare_records(key, &upper->items[k]) : -1;
            if (order > 0) break;
            pointer = reader.leaves[leaf++];
            if (order < 0) {
                test_records_add_bytes(&merged, in_range ? 0 : RECORD_SEPARATOR, key->key,
                                       key->key_size, NULL, 0, pointer);
            }
        }
        if (k < upper->count) {
            const struct test_record *record = &upper->items[k];
            test_records_add_bytes(&merged, record->flags, record->key, record->key_size,
                                   record->value, record->value_size, pointer);
            if (record->flags & RECORD_END_DELETE) in_range = false;
            if (record->flags & RECORD_START_DELETE) in_range = true;
        }
    }
    plain_reader_free(&reader);
    test_records_free(upper);
    *upper = merged;
}

static void put_hex(FILE *out, const uint8_t *bytes, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) fprintf(out, "%02x", bytes[i]);
}

static uint32_t get_hex(const char **at, uint8_t *out) {
    uint32_t size = 0;
    unsigned byte;
    while (sscanf(*at, "%2x", &byte) == 1 && **at > ' ') {
        out[size++] = (uint8_t)byte;
        *at += 2;
    }
    return size;
}

static void read_content(struct test_records *records) {
    static char line[1 << 20];
    static uint8_t key[1 << 19], value[1 << 19];
    FILE *in = fopen(options.content, "r");
    CHECK(in != NULL);
    while (fgets(line, sizeof line, in)) {
        const char *at = line;
        uint32_t key_size = get_hex(&at, key), value_size;
        CHECK(*at == '\t');
        at++;
        value_size = get_hex(&at, value);
        test_records_add_bytes(records, RECORD_INSERT, key, key_size, value, value_size, 0);
    }
    fclose(in);
}

static void write_content(const struct test_records *live) {
    FILE *out = fopen(options.content, "w");
    CHECK(out != NULL);
    for (uint32_t i = 0; i < live->count; i++) {
        put_hex(out, live->items[i].key, live->items[i].key_size);
        fputc('\t', out);
        put_hex(out, live->items[i].value, live->items[i].value_size);
        fputc('\n', out);
    }
    CHECK(fclose(out) == 0);
}

TEST(make) {
    const lsm_compress *codec = strcmp(options.codec, "rle") == 0    ? &rle_codec
                                : strcmp(options.codec, "copy") == 0 ? &copy_codec
                                                                     : NULL;
    struct segment_file file;
    struct test_records lower = {0}, upper = {0}, live = {0};
    struct segment segments[2];
    uint64_t append[APPEND_POINTS] = {0};
    uint32_t pages = 0, count = 1;

    segment_file_open(&file, options.path, options.page, options.block, codec);
    if (strcmp(options.kind, "copy") == 0) {
        read_content(&lower);
    } else {
        uint32_t large = 3 * options.page < 8000 ? 3 * options.page : 8000;
        uint32_t key_max = test_random_below(3) ? 40 : large;
        segment_file_shuffle_blocks(&file, test_random_below(12));
        random_records(&lower, 1 + test_random_below(test_random_below(2) ? 3000 : 60), key_max, 60,
                       test_random_below(2) ? 200000 : 2000);
    }
    segments[0] = write_run(&file, &lower, 0, 0, &append[0], &pages);
    if (strcmp(options.kind, "two") == 0) {
        uint64_t start = append[0];
        append[0] = 0;
        make_upper(&lower, &upper, &live);
        add_separators(&file, &segments[0], &upper);
        if (upper.count > 0) {
            segments[1] = segments[0];
            segments[0] = write_run(&file, &upper, start,
                                    segments[1].root ? segments[1].first : 0, &append[0], &pages);
            segments[1].root = 0;
            count = 2;
        }
        test_records_free(&upper);
        write_content(&live);
        test_records_free(&live);
    } else if (strcmp(options.kind, "one") == 0) {
        write_content(&lower);
    }
    test_records_free(&lower);
    segment_file_checkpoint(&file, codec ? codec->iId : 1, segments, count, append, pages, NULL,
                            NULL);
    segment_file_close(&file);
}

int main(int argc, char **argv) {
    char *none[] = {argv[0], NULL};
    if (argc < 3) return 2;
    options.path = argv[1];
    options.content = argv[2];
    for (int i = 3; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value == NULL) return 2;
        *value++ = '\0';
        if (strcmp(argv[i], "kind") == 0) options.kind = value;
        else if (strcmp(argv[i], "codec") == 0) options.codec = value;
        else if (strcmp(argv[i], "seed") == 0) setenv("LSM_TEST_SEED", value, 1);
        else if (strcmp(argv[i], "page") == 0) options.page = (uint32_t)atoi(value);
        else if (strcmp(argv[i], "block") == 0) options.block = (uint32_t)atoi(value);
        else if (strcmp(argv[i], "stop") == 0) options.stop = (uint32_t)atoi(value);
        else return 2;
    }
    return test_run_all(1, none);
}
