/*
** segment_fuzz.c — a small file with damaged pages and run records: everything that reads one segment.
**
** FORMAT      u8 golden file and bits (16 mapped), u8 which run, then edits until one says stop:
**             0 bytes of a page, 1 a page over another, 2 and 3 a field of the run record (u8 small, or u64),
**             4 cut the file, 5 a redirect, else stop. The rest is keys and page numbers for seeks.
*/
#include "fuzz/fuzz.h"

#define SEGMENT_STEPS 60000

struct segment_world {
    struct fuzz_world world; /* first: holds the environment */
    struct os_file file;
    struct pager *pager;
    struct snapshot snapshot;
    struct segment segment;
    struct redirects redirects;
    struct error_context error;
    struct fuzz_input in;
    long steps_left;
};

static struct segment_world *segment_now;

static void segment_step(void) {
    CHECK_MSG(segment_now->steps_left-- > 0, "too many steps: a loop");
}

static void segment_problem(void *context, uint64_t page_no, const char *reason) {
    (void)context, (void)page_no;
    CHECK(reason != NULL);
    segment_step();
}

static void segment_observed(void *context, uint8_t flags, struct slice key, bool begins_page) {
    (void)context, (void)flags, (void)begins_page;
    *(uint8_t *)context ^= fuzz_touch(key.data, key.size);
    segment_step();
}
static void segment_observed_page(void *context, uint64_t page_no) {
    (void)context;
    CHECK(page_no != 0);
}

static uint64_t segment_page_no(struct segment_world *s) {
    uint8_t byte = fuzz_u8(&s->in);
    uint64_t first = pager_is_compressed(s->pager) ? 2 * META_PAGE_SIZE + 4
                                                   : 2 * META_PAGE_SIZE / s->snapshot.page_size + 1;
    if (byte == 255) return fuzz_u64(&s->in);
    return first + (pager_is_compressed(s->pager) ? (uint64_t)byte * 16 : byte);
}

static void segment_walk(struct segment_world *s, const struct segment_view *view) {
    lsm_env *env = &s->world.m.env;
    struct segment_cursor cursor, other;
    struct segment_lookup lookup;
    struct buffer key;
    struct slice value;
    enum topic topic = TOPIC_USER;
    uint64_t path[80];
    uint32_t path_count = 0;

    buffer_init(&key, env);
    segment_cursor_init(&cursor, env, view);
    segment_cursor_init(&other, env, view);
    if (fuzz_is_fine(segment_first(&cursor))) {
        while (cursor.valid) {
            segment_step();
            fuzz_is_fine(segment_value(&cursor, &value));
            CHECK_OK(buffer_assign(&key, cursor.key));
            topic = record_topic(cursor.flags);
            if (fuzz_u8(&s->in) & 1) {
                fuzz_is_fine(segment_seek_ge(&other, topic, buffer_slice(&key), segment_page_no(s)));
                fuzz_is_fine(segment_seek_le(&other, topic, buffer_slice(&key), 0));
                fuzz_is_fine(segment_lookup(&other, view, buffer_slice(&key), 0, &lookup));
            }
            if (!fuzz_is_fine(segment_next(&cursor))) break;
        }
    }
    fuzz_is_fine(segment_search_path(view, env, topic, buffer_slice(&key), path, 80, &path_count));
    if (fuzz_is_fine(segment_last(&cursor))) {
        while (cursor.valid) {
            segment_step();
            if (!fuzz_is_fine(segment_prev(&cursor))) break;
        }
    }
    segment_cursor_release(&cursor);
    segment_cursor_release(&other);
    buffer_release(&key);
}

static void segment_probe(struct segment_world *s, const struct segment_view *view) {
    lsm_env *env = &s->world.m.env;
    struct segment_cursor cursor;
    struct segment_lookup lookup;
    struct segment_place place;
    struct buffer key;
    struct slice value;
    enum topic topic;
    bool flag;
    int round = 0;

    buffer_init(&key, env);
    segment_cursor_init(&cursor, env, view);
    while (fuzz_left(&s->in) > 0 && round++ < 20) {
        uint8_t what = fuzz_u8(&s->in);
        uint64_t page_no = segment_page_no(s);
        switch (what % 8) {
        case 0:
            topic = what & 8 ? TOPIC_SYSTEM : TOPIC_USER;
            fuzz_is_fine(segment_seek_le(&cursor, topic, fuzz_string(&s->in), what & 16 ? page_no : 0));
            break;
        case 1:
            topic = what & 8 ? TOPIC_SYSTEM : TOPIC_USER;
            fuzz_is_fine(segment_seek_ge(&cursor, topic, fuzz_string(&s->in), what & 16 ? page_no : 0));
            break;
        case 2:
            if (fuzz_is_fine(segment_lookup(&cursor, view, fuzz_string(&s->in), page_no, &lookup)) &&
                lookup.found) {
                CHECK_OK(buffer_assign(&key, lookup.value));
            }
            break;
        case 3:
            place = (struct segment_place){page_no, (uint32_t)what * 257, what & 8};
            fuzz_is_fine(segment_lookup_at(&cursor, view, fuzz_string(&s->in), &place, &lookup));
            break;
        case 4: fuzz_is_fine(segment_key_at(view, page_no, fuzz_u8(&s->in), &key, &topic)); break;
        case 5: fuzz_is_fine(segment_page_is_index(view, page_no, &flag)); break;
        case 6: fuzz_is_fine(segment_go(&cursor, page_no, fuzz_u8(&s->in))); break;
        default: fuzz_is_fine(segment_never_indexed(view, env, &flag)); break;
        }
        if (what % 8 > 1 && what % 8 != 6) continue;
        for (int i = 0; i < what >> 5 && cursor.valid; i++) {
            fuzz_is_fine(segment_value(&cursor, &value));
            if (!fuzz_is_fine(i & 1 ? segment_prev(&cursor) : segment_next(&cursor))) break;
        }
    }
    segment_cursor_release(&cursor);
    buffer_release(&key);
}

static void segment_index(struct segment_world *s, const struct segment_view *view) {
    lsm_env *env = &s->world.m.env;
    struct index_cursor index, restored;
    struct merge_input saved;

    index_cursor_init(&index, env, view);
    index_cursor_init(&restored, env, view);
    if (fuzz_is_fine(index_cursor_first(&index))) {
        while (index.valid) {
            segment_step();
            index_cursor_save(&index, &saved);
            if (fuzz_is_fine(index_cursor_restore(&restored, &saved))) CHECK(restored.valid);
            if (!fuzz_is_fine(index_cursor_next(&index))) break;
        }
    }
    saved = (struct merge_input){segment_page_no(s), fuzz_u16(&s->in)};
    if (fuzz_is_fine(index_cursor_restore(&restored, &saved)) && restored.valid) {
        fuzz_is_fine(index_cursor_next(&restored));
    }
    index_cursor_release(&index);
    index_cursor_release(&restored);
}

static void segment_observe(struct segment_world *s, const struct segment_view *view) {
    uint8_t sink = 0;
    struct segment_observer observer = {&sink, segment_observed, segment_observed_page};
    struct buffer scratch;
    uint64_t page_no = view->segment->first, next = 0;
    bool is_index;

    buffer_init(&scratch, &s->world.m.env);
    while (page_no != 0) {
        segment_step();
        if (!fuzz_is_fine(segment_observe_page(view, page_no, &observer, &scratch, &next, &is_index))) {
            break;
        }
        if (s->steps_left < SEGMENT_STEPS / 2) break; /* the caller counts pages, not this function */
        page_no = next;
    }
    buffer_release(&scratch);
}

static void segment_edit(struct segment_world *s, uint8_t *bytes, size_t *size) {
    uint64_t *fields[] = {&s->segment.first, &s->segment.last, &s->segment.root, &s->segment.size};
    bool packed = s->snapshot.compression_id > 1;

    for (int edits = 0; edits < 40; edits++) {
        uint8_t tag = fuzz_u8(&s->in);
        uint8_t small;
        switch (tag % 8) {
        case 0: fuzz_patch_page(&s->in, bytes, *size, s->snapshot.page_size); break;
        case 1: fuzz_copy_page(&s->in, bytes, *size, s->snapshot.page_size); break;
        case 2:
            small = fuzz_u8(&s->in);
            *fields[tag / 8 % 4] += (uint64_t)(int64_t)(int8_t)small * (packed ? 8 : 1);
            break;
        case 3: *fields[tag / 8 % 4] = fuzz_u64(&s->in); break;
        case 4: *size -= *size > 9000 ? (size_t)fuzz_u16(&s->in) % (*size - 8300) : 0; break;
        case 5:
            small = fuzz_u8(&s->in);
            s->redirects.count = 1;
            s->redirects.pairs[0] = (struct redirect){2u + small / 16, 1u + small % 16};
            break;
        default: return;
        }
    }
}

FUZZ_TARGET(segment) {
    static struct segment_world s;
    uint8_t bits, which;
    uint32_t words[CHECKPOINT_WORDS_MAX], count = 0, golden;
    struct pager_config config = {.cache_bytes = 1 << 16};
    struct segment_view view;
    struct level *level;
    const uint8_t *sound;
    struct memory_file *file;
    uint64_t records = 0;
    size_t file_size;
    lsm_env *env;

    memset(&s, 0, sizeof s);
    s.in = fuzz_begin(data, size);
    segment_now = &s;
    s.steps_left = SEGMENT_STEPS;
    bits = fuzz_u8(&s.in);
    which = fuzz_u8(&s.in);
    golden = bits % 8 % FUZZ_GOLDEN_COUNT;
    env = fuzz_world_open(&s.world, bits & 16);
    sound = fuzz_golden(golden, &file_size);
    checkpoint_words_from_bytes(sound + (get_u64(sound + META_PAGE_SIZE) > get_u64(sound)
                                             ? META_PAGE_SIZE : 0), words);
    CHECK(checkpoint_words_valid(words, &count));
    CHECK_OK(checkpoint_decode(words, count, fuzz_codec_of(golden) != NULL, env, &s.error,
                               &s.snapshot));
    level = &s.snapshot.levels[which % s.snapshot.level_count];
    which = (uint8_t)(which / 8 % (level->right_count + 1));
    s.segment = which == 0 ? level->left : level->right[which - 1];

    file = fuzz_file_put(&s.world.m, "db", sound, file_size);
    segment_edit(&s, file->data, &file->size);
    if (bits & 16) config.mmap_bytes = UINT64_MAX;
    config.compress = fuzz_codec_of(golden);
    CHECK_OK(os_open(env, "db", 0, &s.file));
    CHECK_OK(pager_open(env, &s.file, &config, &s.pager));
    CHECK_OK(pager_set_geometry(s.pager, s.snapshot.page_size, s.snapshot.block_size));
    pager_set_block_limit(s.pager, s.snapshot.block_count);
    pager_reader_enter(s.pager);

    view = (struct segment_view){s.pager, &s.segment, s.redirects.count ? &s.redirects : NULL,
                                 &s.error};
    if (bits & 32) {
        struct segment_report report = {NULL, segment_problem, NULL};
        fuzz_is_fine(segment_check(&view, env, bits & 64, &report, &records));
    } else {
        segment_walk(&s, &view);
    }
    if (bits & 128) segment_observe(&s, &view);
    segment_index(&s, &view);
    segment_probe(&s, &view);

    pager_reader_leave(s.pager);
    pager_close(s.pager);
    os_close(&s.file);
    snapshot_release(&s.snapshot);
    fuzz_world_close(&s.world);
    return 0;
}
