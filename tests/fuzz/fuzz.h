/*
** fuzz.h — what the fuzz targets share: taking values from the input, files in memory, repairing sums.
**
** A target is a file <name>_fuzz.c:
**
**     FUZZ_TARGET(page) {                    data, size: the input; return 0
**         struct fuzz_input in = fuzz_begin(data, size);
**         ...
**         return 0;
**     }
**
** Compiled alone it defines LLVMFuzzerTestOneInput, and a failed CHECK aborts. tests/fuzz/fuzz_corpus_test.c
** includes all targets with FUZZ_REPLAY defined: then it defines fuzz_<name>, and a failed CHECK fails a test.
**
** INVARIANTS  A target is a pure function of its input: no clock, no randomness, no file outside memory but the
**             golden files it starts from.
** LIMITS      An allocation above FUZZ_ALLOCATION_MAX is a finding. A file ends at FUZZ_FILE_MAX: writes behind
**             it give LSM_FULL.
*/
#ifndef LSM_FUZZ_FUZZ_H
#define LSM_FUZZ_FUZZ_H

#ifdef FUZZ_REPLAY
#define FUZZ_PLAIN_MALLOC /* one run of each: better reports are worth the time */
#endif

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/memory.h"
#include "format/format_checkpoint.h"
#include "format/format_log.h"
#include "fuzz/fuzz_arena.h"
#include "support/golden.h"
#include "support/memory_env.h"
#include "support/test.h"
#include "support/toy_codecs.h"

#ifdef FUZZ_REPLAY
#define FUZZ_TARGET(name) static int fuzz_##name(const uint8_t *data, size_t size)
#else
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#define FUZZ_TARGET(name)                                                                          \
    static int fuzz_##name(const uint8_t *data, size_t size);                                      \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {                                 \
        test_may_jump = true;                                                                      \
        test_state.program = #name;                                                                \
        if (setjmp(test_state.escape) != 0) abort();                                               \
        return fuzz_##name(data, size);                                                            \
    }                                                                                              \
    static int fuzz_##name(const uint8_t *data, size_t size)
#endif

#define FUZZ_FILE_MAX ((size_t)1 << 20)
#define FUZZ_ALLOCATION_MAX ((size_t)256 << 20)

/* -------------------------------------------------------------------------------------- input -- */

/* Reads forward; behind the end there are zeros. */
struct fuzz_input {
    const uint8_t *at;
    const uint8_t *end;
};

TEST_HELPER struct fuzz_input fuzz_begin(const uint8_t *data, size_t size) {
    test_state.random_state = 1; /* what an environment gives as random bytes */
    return (struct fuzz_input){data, data + size};
}

TEST_HELPER size_t fuzz_left(const struct fuzz_input *in) {
    return (size_t)(in->end - in->at);
}
TEST_HELPER uint8_t fuzz_u8(struct fuzz_input *in) {
    return in->at < in->end ? *in->at++ : 0;
}
TEST_HELPER uint16_t fuzz_u16(struct fuzz_input *in) {
    uint16_t low = fuzz_u8(in);
    return (uint16_t)(low | (uint16_t)(fuzz_u8(in) << 8));
}
TEST_HELPER uint32_t fuzz_u32(struct fuzz_input *in) {
    uint32_t low = fuzz_u16(in);
    return low | ((uint32_t)fuzz_u16(in) << 16);
}
TEST_HELPER uint64_t fuzz_u64(struct fuzz_input *in) {
    uint64_t low = fuzz_u32(in);
    return low | ((uint64_t)fuzz_u32(in) << 32);
}
/* At most `size` bytes, fewer at the end. */
TEST_HELPER struct slice fuzz_slice(struct fuzz_input *in, size_t size) {
    struct slice slice = {in->at, 0};
    if (size > fuzz_left(in)) size = fuzz_left(in);
    slice.size = (uint32_t)size;
    in->at += size;
    return slice;
}
/* Short as a rule: a length byte, and what it says modulo 32; 255 = 40 to 551 bytes. */
TEST_HELPER struct slice fuzz_string(struct fuzz_input *in) {
    uint8_t length = fuzz_u8(in);
    if (length == 255) return fuzz_slice(in, 40 + (size_t)fuzz_u8(in) * 2);
    return fuzz_slice(in, length % 32);
}

/* -------------------------------------------------------------------------------- environment -- */

/* One world at a time, since the callbacks of files get no environment. */
struct fuzz_world {
    struct memory_env m; /* first */
    long reads_left;     /* then reads fail: bounds the time of a run */
    size_t largest;      /* allocation */
};

static struct fuzz_world *fuzz_world_now;

/* Memory of files, so that nothing has to grow and everything can be mapped. */
#define FUZZ_FILES 6
static uint8_t fuzz_file_bytes[FUZZ_FILES][FUZZ_FILE_MAX];
static size_t fuzz_file_poisoned[FUZZ_FILES]; /* no byte from here on is poisoned */

/* Which of them a file has, FUZZ_FILES if none. */
TEST_HELPER uint32_t fuzz_file_index(const struct memory_file *file) {
    uint32_t i = 0;
    while (i < FUZZ_FILES && file->data != fuzz_file_bytes[i]) i++;
    return i;
}

/* Find or make a file. Further ones than FUZZ_FILES live in memory of their own and cannot be mapped. */
TEST_HELPER struct memory_file *fuzz_file_make(struct memory_env *m, const char *name) {
    struct memory_file *file = memory_env_find(m, name);
    uint32_t count = 0;

    if (file != NULL) return file;
    for (file = m->files; file != NULL; file = file->next) count++;
    file = memory_env_make(m, name);
    if (count >= FUZZ_FILES) return file;
    file->data = fuzz_file_bytes[count];
    file->capacity = FUZZ_FILE_MAX;
    return file;
}

/* Make a file of these bytes, to be edited in place; its size may be lowered. */
TEST_HELPER struct memory_file *fuzz_file_put(struct memory_env *m, const char *name,
                                              const void *data, size_t size) {
    struct memory_file *file = fuzz_file_make(m, name);
    CHECK(file->size == 0 && size <= file->capacity);
    if (size > 0) memcpy(file->data, data, size);
    file->size = size;
    return file;
}

TEST_HELPER int fuzz_open_file(lsm_env *env, const char *path, int flags, lsm_file **out) {
    struct memory_env *m = (struct memory_env *)(void *)env;
    if (!(flags & LSM_OPEN_READONLY)) (void)fuzz_file_make(m, path);
    return memory_open(env, path, flags, out);
}
TEST_HELPER int fuzz_read(lsm_file *file, lsm_i64 offset, void *data, int size) {
    if (fuzz_world_now->reads_left-- <= 0) return LSM_IOERR;
    return memory_read(file, offset, data, size);
}
TEST_HELPER int fuzz_write(lsm_file *opaque, lsm_i64 offset, void *data, int size) {
    struct memory_file *file = ((struct memory_handle *)(void *)opaque)->file;
    if (offset < 0 || size < 0) TEST_FAIL("a write at %lld of %d bytes", offset, size);
    if ((size_t)offset + (size_t)size > FUZZ_FILE_MAX) return LSM_FULL;
    if ((size_t)offset + (size_t)size > file->size && fuzz_file_index(file) < FUZZ_FILES) {
        FUZZ_UNPOISON(file->data, (size_t)offset + (size_t)size);
    }
    return memory_write(opaque, offset, data, size);
}
TEST_HELPER void *fuzz_malloc(lsm_env *env, size_t size) {
    struct fuzz_world *world = (struct fuzz_world *)(void *)env;
    if (size > world->largest) world->largest = size;
    CHECK_MSG(size <= FUZZ_ALLOCATION_MAX, "an allocation of %zu bytes", size);
    world->m.live_blocks++;
    return fuzz_arena_malloc(size);
}
TEST_HELPER void *fuzz_realloc(lsm_env *env, void *block, size_t size) {
    struct fuzz_world *world = (struct fuzz_world *)(void *)env;
    if (size > world->largest) world->largest = size;
    CHECK_MSG(size <= FUZZ_ALLOCATION_MAX, "an allocation of %zu bytes", size);
    if (block == NULL) world->m.live_blocks++;
    return fuzz_arena_realloc(block, size);
}
TEST_HELPER void fuzz_free(lsm_env *env, void *block) {
    if (block == NULL) return;
    ((struct fuzz_world *)(void *)env)->m.live_blocks--;
    fuzz_arena_free(block);
}

/* A mapping is the file's own memory, which stays in place; what lies behind the file must not be read. */
TEST_HELPER int fuzz_map(lsm_file *opaque, uint64_t offset, size_t size, void **address) {
    struct memory_file *file = ((struct memory_handle *)(void *)opaque)->file;
    uint32_t index = fuzz_file_index(file);
    size_t end = file->size + 65536 < FUZZ_FILE_MAX ? file->size + 65536 : FUZZ_FILE_MAX;

    CHECK(offset + size <= file->size && index < FUZZ_FILES);
    FUZZ_POISON(file->data + file->size, end - file->size);
    if (end > fuzz_file_poisoned[index]) fuzz_file_poisoned[index] = end;
    *address = file->data + offset;
    return LSM_OK;
}
TEST_HELPER int fuzz_unmap(void *address, size_t size) {
    (void)address, (void)size;
    return LSM_OK;
}

TEST_HELPER int fuzz_path_kind_in(lsm_env *env, const char *path, int *kind) {
    (void)env;
    *kind = memory_env_find(&fuzz_world_now->m, path) ? OS_PATH_FILE : OS_PATH_NONE;
    return LSM_OK;
}

static const struct os_extra fuzz_extra_plain __attribute__((unused)) = {
    .file_size = memory_extra_size,
    .sync_directory = memory_extra_sync_directory,
    .random = memory_extra_random,
    .path_kind_in = fuzz_path_kind_in,
};
static const struct os_extra fuzz_extra_mapping __attribute__((unused)) = {
    .file_size = memory_extra_size,
    .map = fuzz_map,
    .unmap = fuzz_unmap,
    .sync_directory = memory_extra_sync_directory,
    .random = memory_extra_random,
    .path_kind_in = fuzz_path_kind_in,
};

TEST_HELPER lsm_env *fuzz_world_open(struct fuzz_world *world, bool mapping) {
    fuzz_arena_reset();
    memory_env_open(&world->m);
    world->m.env.xOpen = fuzz_open_file;
    world->m.env.xRead = fuzz_read;
    world->m.env.xWrite = fuzz_write;
    world->m.env.xMalloc = fuzz_malloc;
    world->m.env.xRealloc = fuzz_realloc;
    world->m.env.xFree = fuzz_free;
    world->reads_left = 100000;
    world->largest = 0;
    fuzz_world_now = world;
    CHECK_OK(os_extra_register(&world->m.env, mapping ? &fuzz_extra_mapping : &fuzz_extra_plain));
    return &world->m.env;
}

/* Also checks that nothing was left allocated. */
TEST_HELPER void fuzz_world_close(struct fuzz_world *world) {
    struct memory_file *file;

    for (file = world->m.files; file != NULL; file = file->next) {
        uint32_t index = fuzz_file_index(file);
        if (index == FUZZ_FILES) continue;
        FUZZ_UNPOISON(file->data, fuzz_file_poisoned[index]);
        fuzz_file_poisoned[index] = 0;
        file->data = NULL;
    }
    memory_env_close(&world->m);
    fuzz_world_now = NULL;
}

/* ------------------------------------------------------------------------------- golden files -- */

static const char *const fuzz_golden_names[] = {"two_inserts", "indexed", "separators", "merging",
                                                "large_keys", "packed", "packed_runs"};
#define FUZZ_GOLDEN_COUNT 7

/* The bytes of a golden file; read once. */
TEST_HELPER const uint8_t *fuzz_golden(uint32_t index, size_t *size) {
    static uint8_t *bytes[FUZZ_GOLDEN_COUNT];
    static size_t sizes[FUZZ_GOLDEN_COUNT];

    if (bytes[index] == NULL) {
        char name[64];
        snprintf(name, sizeof name, "%s.db", fuzz_golden_names[index]);
        bytes[index] = golden_read(name, &sizes[index]);
    }
    *size = sizes[index];
    return bytes[index];
}

TEST_HELPER const lsm_compress *fuzz_codec_of(uint32_t golden) {
    return strncmp(fuzz_golden_names[golden], "packed", 6) == 0 ? &rle_codec : NULL;
}

/* Change bytes of the page area: page, place (from the end with the high bit), count and bytes. */
TEST_HELPER void fuzz_patch_page(struct fuzz_input *in, uint8_t *bytes, size_t size,
                                 uint32_t page_size) {
    size_t first = 2 * META_PAGE_SIZE;
    uint32_t page = fuzz_u8(in);
    uint32_t place = fuzz_u16(in);
    struct slice patch = fuzz_slice(in, 1 + fuzz_u8(in) % 16);
    size_t at;

    if (size <= first || page_size == 0) return;
    at = first + (size_t)page * page_size % (size - first);
    at += place & 0x8000u ? page_size - 1 - (place & 0x7fffu) % page_size : place % page_size;
    for (uint32_t i = 0; i < patch.size && at + i < size; i++) bytes[at + i] = patch.data[i];
}

/* Copy one page over another. */
TEST_HELPER void fuzz_copy_page(struct fuzz_input *in, uint8_t *bytes, size_t size,
                                uint32_t page_size) {
    size_t first = 2 * META_PAGE_SIZE;
    size_t from = fuzz_u8(in);
    size_t to = fuzz_u8(in);

    if (size < first + page_size || page_size == 0) return;
    from = first + from % ((size - first) / page_size) * page_size;
    to = first + to % ((size - first) / page_size) * page_size;
    memmove(bytes + to, bytes + from, page_size);
}

/* --------------------------------------------------------------------------- repairing sums -- */

/* Give a blob of legal length the right sums. */
TEST_HELPER void fuzz_repair_checkpoint(uint32_t *words) {
    uint32_t count = words[2];
    struct checksum sum;

    if (count < 3 || count > CHECKPOINT_WORDS_MAX) return;
    sum = checksum_checkpoint(words, count - 2);
    words[count - 2] = sum.s0;
    words[count - 1] = sum.s1;
}

/* A plain reader of logs that writes sums where they belong. */
struct fuzz_log {
    uint8_t *data;
    size_t size;
    size_t at;
    struct checksum sum;
    uint8_t group[8];
    uint32_t group_size;
};

TEST_HELPER void fuzz_log_pass(struct fuzz_log *log, uint64_t size) {
    while (size-- > 0 && log->at < log->size) {
        log->group[log->group_size++] = log->data[log->at++];
        if (log->group_size < 8) continue;
        checksum_log_add(&log->sum, log->group, 8);
        log->group_size = 0;
    }
}
TEST_HELPER uint64_t fuzz_log_varint(struct fuzz_log *log) {
    uint64_t value = 0;
    uint32_t used = varint_get(log->data + log->at, log->data + log->size, &value);
    if (used == 0) {
        log->at = log->size;
        return 0;
    }
    fuzz_log_pass(log, used);
    return value;
}
TEST_HELPER void fuzz_log_put_sum(struct fuzz_log *log) {
    checksum_log_finish(&log->sum, log->group, log->group_size);
    log->group_size = 0;
    if (log->size - log->at < LOG_SUM_SIZE) {
        log->at = log->size;
        return;
    }
    put_u32(log->data + log->at, log->sum.s0);
    put_u32(log->data + log->at + 4, log->sum.s1);
    log->at += LOG_SUM_SIZE;
}

/* Make the sums right of all records that can be reached from `offset` with the sum `sum`. */
TEST_HELPER void fuzz_repair_log(uint8_t *data, size_t size, uint64_t offset, struct checksum sum) {
    struct fuzz_log log = {.data = data, .size = size, .sum = sum};
    int jumps = 0;

    log.at = offset < size ? (size_t)offset : 0;
    while (log.at < size) {
        uint8_t type = data[log.at];
        uint64_t first = 0, second = 0;
        fuzz_log_pass(&log, 1);
        switch (type) {
        case LOG_PAD1: break;
        case LOG_PAD2: fuzz_log_pass(&log, fuzz_log_varint(&log)); break;
        case LOG_COMMIT: fuzz_log_put_sum(&log); break;
        case LOG_JUMP:
            first = fuzz_log_varint(&log);
            if (first >= size || ++jumps > 3) return;
            log.at = (size_t)first;
            break;
        case LOG_WRITE:
        case LOG_WRITE_SUM:
        case LOG_DELETE:
        case LOG_DELETE_SUM:
        case LOG_DELETE_RANGE:
        case LOG_DELETE_RANGE_SUM:
            first = fuzz_log_varint(&log);
            if ((type & ~1) != LOG_DELETE) second = fuzz_log_varint(&log);
            if (type & 1) fuzz_log_put_sum(&log);
            fuzz_log_pass(&log, first);
            fuzz_log_pass(&log, second);
            break;
        default: return;
        }
    }
}

/* Results that hostile bytes may cause. */
TEST_HELPER bool fuzz_is_fine(int rc) {
    CHECK_MSG(rc == LSM_OK || rc == LSM_CORRUPT || rc == LSM_IOERR || rc == LSM_FULL,
              "result code %d", rc);
    return rc == LSM_OK;
}

#endif
