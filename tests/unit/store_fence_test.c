/*
** store_fence_test.c — the entry found is that of a plain walk, whatever the keys look like.
*/
#include "store/store_internal.h"
#include "support/segment_builder.h"

#define KEYS_MAX 6000

struct fixture {
    struct test_env env;
    struct store *store;
    struct fence_draft draft;
    uint32_t offsets[FENCE_CHUNK_ENTRIES + 1];
    uint64_t pages[FENCE_CHUNK_ENTRIES];
};

static void open_fixture(struct fixture *f) {
    test_env_init(&f->env);
    CHECK_OK(store_open(&f->env.env, 8 << 20, &f->store));
    f->draft = (struct fence_draft){.offsets = f->offsets, .pages = f->pages};
    buffer_init(&f->draft.bytes, &f->env.env);
    f->offsets[0] = 0;
}

static void close_fixture(struct fixture *f) {
    buffer_release(&f->draft.bytes);
    CHECK_EQ_UINT(store_bytes(f->store), 0);
    store_close(f->store);
    CHECK_EQ_INT(f->env.live_blocks, 0);
}

static void draft_add(struct fixture *f, struct slice separator, uint64_t page_no) {
    struct fence_draft *draft = &f->draft;
    buffer_append_slice(&draft->bytes, separator);
    draft->offsets[draft->count + 1] = (uint32_t)draft->bytes.size;
    draft->pages[draft->count++] = page_no;
}

static struct slice text_slice(const char *text) {
    return (struct slice){(const uint8_t *)text, (uint32_t)strlen(text)};
}

TEST(worked_example_of_the_header) {
    static const struct {
        const char *key;
        uint64_t page_no;
    } rows[] = {{"", 41}, {"a", 41}, {"key6zzz", 41}, {"key7", 42}, {"key7a", 42}, {"keyb", 42},
                {"keyc", 43}, {"kim", 43}, {"kin", 44}, {"zzz", 44}};
    struct fixture f;
    struct fence_chunk *chunk;

    open_fixture(&f);
    draft_add(&f, text_slice(""), 41);
    draft_add(&f, text_slice("key7"), 42);
    draft_add(&f, text_slice("keyc"), 43);
    draft_add(&f, text_slice("kin"), 44);
    chunk = fence_chunk_new(f.store, &f.draft);
    CHECK(chunk != NULL);
    CHECK_EQ_UINT(chunk->skip, 1); /* "k" */
    CHECK_EQ_UINT(chunk->low.size, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t position = 99999;
        uint32_t entry = fence_chunk_search(chunk, text_slice(rows[i].key), &position);
        CHECK_EQ_UINT(fence_chunk_page(chunk, entry), rows[i].page_no);
        CHECK(position < 65536);
    }
    fence_chunk_release(f.store, chunk);
    close_fixture(&f);
}

/* Separators of one kind, in ascending order. */
static uint32_t make_key(uint8_t *out, int kind, uint32_t number, uint32_t count) {
    switch (kind) {
    case 0: /* evenly spread */
        for (int i = 0; i < 8; i++) {
            out[i] = (uint8_t)((uint64_t)number * (UINT64_MAX / count) >> (56 - 8 * i));
        }
        return 8;
    case 1: /* a long common part */
        return (uint32_t)snprintf((char *)out, 100, "/a/very/long/path/of/a/user/%08u", number);
    case 2: /* equal windows in the middle */
        if (number < count / 3) return (uint32_t)snprintf((char *)out, 100, "a%06u", number);
        if (number < count / 2) {
            return (uint32_t)snprintf((char *)out, 100, "mmmmmmmmmmmmmmmm%06u", number);
        }
        return (uint32_t)snprintf((char *)out, 100, "z%06u", number);
    case 3: /* each the beginning of the next: zeros of growing length */
        memset(out, 0, number % 400 + 1);
        out[0] = (uint8_t)(number / 400);
        return number % 400 + 1;
    default: /* crowded at one end */
        out[0] = number + 3 < count ? 0 : 255;
        out[1] = (uint8_t)(number >> 16), out[2] = (uint8_t)(number >> 8), out[3] = (uint8_t)number;
        return 4;
    }
}

TEST(chunks_of_every_kind_of_key_agree_with_a_plain_walk) {
    static uint8_t keys[KEYS_MAX][420];
    static uint32_t sizes[KEYS_MAX];
    static struct fixture f;

    for (int kind = 0; kind < 5; kind++) {
        for (uint32_t count = 1; count <= KEYS_MAX; count = count * 5 + 1) {
            struct fence_chunk *chunks[KEYS_MAX / FENCE_CHUNK_ENTRIES + 1];
            uint64_t windows[KEYS_MAX / FENCE_CHUNK_ENTRIES + 1];
            uint32_t chunk_count = 0;

            TEST_NOTE("kind %d, %u keys", kind, count);
            open_fixture(&f);
            for (uint32_t i = 0; i < count; i++) {
                sizes[i] = i == 0 ? 0 : make_key(keys[i], kind, i, count);
                draft_add(&f, (struct slice){keys[i], sizes[i]}, i + 100);
                if (f.draft.count == FENCE_CHUNK_ENTRIES || i + 1 == count) {
                    chunks[chunk_count] = fence_chunk_new(f.store, &f.draft);
                    CHECK(chunks[chunk_count] != NULL);
                    windows[chunk_count] = key_window(chunks[chunk_count]->low.data,
                                                      chunks[chunk_count]->low.size);
                    chunk_count++;
                    f.draft.count = 0;
                    buffer_reset(&f.draft.bytes);
                }
            }
            for (uint32_t round = 0; round < 3000; round++) {
                uint8_t wanted[421];
                uint32_t number = test_random_below(count), position = 0, entry, plain = 0;
                uint32_t size = number ? sizes[number] : 0;
                struct slice key = {wanted, size};
                struct fence_chunk *chunk;
                memcpy(wanted, keys[number], size);
                switch (test_random_below(4)) { /* itself, longer, shorter, or one byte different */
                case 0: wanted[key.size++] = (uint8_t)test_random(); break;
                case 1: if (key.size > 0) key.size--; break;
                case 2: if (size > 0) wanted[test_random_below(size)] ^= (uint8_t)test_random(); break;
                }
                for (uint32_t i = 1; i < count; i++) {
                    if (key_compare((struct slice){keys[i], sizes[i]}, key) <= 0) plain = i;
                    else break;
                }
                chunk = chunks[fence_choose(chunks, windows, chunk_count, key)];
                entry = fence_chunk_search(chunk, key, &position);
                CHECK_MSG(fence_chunk_page(chunk, entry) == plain + 100, "page %u, expected %u: key of %u bytes",
                          (unsigned)fence_chunk_page(chunk, entry), plain + 100, key.size);
                CHECK(position < 65536);
            }
            for (uint32_t i = 0; i < chunk_count; i++) fence_chunk_release(f.store, chunks[i]);
            close_fixture(&f);
        }
    }
}

TEST(position_says_how_far_a_key_is_on_its_page) {
    struct fixture f;
    struct fence_chunk *chunk;
    uint32_t position;

    open_fixture(&f);
    draft_add(&f, text_slice(""), 1);
    draft_add(&f, text_slice("\x10"), 2);
    draft_add(&f, text_slice("\x20"), 3);
    draft_add(&f, text_slice("\x30"), 4);
    chunk = fence_chunk_new(f.store, &f.draft);
    CHECK_EQ_UINT(fence_chunk_search(chunk, text_slice("\x14"), &position), 1);
    CHECK(position > 16000 && position < 16800);
    CHECK_EQ_UINT(fence_chunk_search(chunk, text_slice("\x2f\xff\xff"), &position), 2);
    CHECK(position > 65000);
    CHECK_EQ_UINT(fence_chunk_search(chunk, text_slice("\x40"), &position), 3);
    CHECK_EQ_UINT(position, 32768); /* nothing behind to compare with */
    fence_chunk_release(f.store, chunk);
    close_fixture(&f);
}

/* Longer tails than a window, pages further apart than 32 bits: each in its own layout. */
TEST(a_chunk_is_as_large_as_its_tails_and_page_numbers_need) {
    for (int layout = 0; layout < 4; layout++) {
        bool long_tails = layout & 1, far_pages = layout & 2;
        struct fixture f;
        struct fence_chunk *chunk;
        uint32_t position;
        char text[40];

        open_fixture(&f);
        draft_add(&f, text_slice(""), 7 + ((uint64_t)1 << 40));
        for (uint32_t i = 1; i < 900; i++) {
            snprintf(text, sizeof text, long_tails ? "k%u%04u-tail" : "k%u%04u", i / 450, i);
            draft_add(&f, text_slice(text), far_pages ? (uint64_t)i << 32 : ((uint64_t)1 << 40) - i);
        }
        chunk = fence_chunk_new(f.store, &f.draft);
        CHECK_EQ_INT(chunk->sizes == NULL, long_tails);
        CHECK_EQ_INT(chunk->page_steps == NULL, far_pages);
        if (layout == 0) CHECK(chunk->bytes < 900 * 13 + 200);
        for (uint32_t i = 1; i < 900; i++) {
            snprintf(text, sizeof text, long_tails ? "k%u%04u-tail" : "k%u%04u", i / 450, i);
            CHECK_EQ_UINT(fence_chunk_search(chunk, text_slice(text), &position), i);
            CHECK_EQ_UINT(fence_chunk_page(chunk, i),
                          far_pages ? (uint64_t)i << 32 : ((uint64_t)1 << 40) - i);
            text[strlen(text) - 1]--;
            CHECK_EQ_UINT(fence_chunk_search(chunk, text_slice(text), &position), i - 1);
        }
        CHECK_EQ_UINT(fence_chunk_page(chunk, 0), 7 + ((uint64_t)1 << 40));
        fence_chunk_release(f.store, chunk);
        close_fixture(&f);
    }
}

TEST(a_chunk_without_memory_is_null) {
    struct fixture f;

    open_fixture(&f);
    draft_add(&f, text_slice("k"), 1);
    f.env.allocations_left = 0;
    CHECK_EQ_PTR(fence_chunk_new(f.store, &f.draft), NULL);
    f.env.allocations_left = -1;
    close_fixture(&f);
}

TEST_MAIN()
