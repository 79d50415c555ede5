/*
** memtree_fuzz.c — a damaged shared region: loading its header, repairing it, checking, reading and writing it.
**
** A sound region is built from operations, then bytes of its chunks and words of its header are changed, as a
** process gone wrong could. What the checker calls sound must then be readable to its end.
**
** FORMAT      u8 bits (1 header published with a right sum, 2 repair, 4 write, 8 ids pass 2^32), operations until
**             one stops: 0 put, 1 delete, 2 range, 3 freeze, 4 large values, 5 drop old, 6 publish, 7 stop; edits
**             until one stops: 0..2 bytes (u8 chunk, u16 place, count, bytes), 3..5 a header word (u8, u32), 6 a
**             header word changed (u8, i8), 7 stop; then keys.
*/
#include "fuzz/fuzz.h"
#include "memtree/memtree.h"
#include "shm/shm.h"
#include "support/memtree_fixture.h"

#define MEMTREE_CHUNKS 24
#define MEMTREE_STEPS 200000

static long memtree_steps_left;

static bool memtree_is_fine(int rc) {
    CHECK_MSG(memtree_steps_left-- > 0, "too many steps: a loop");
    CHECK_MSG(rc == LSM_OK || rc == LSM_CORRUPT || rc == LSM_FULL, "result code %d", rc);
    return rc == LSM_OK;
}

static void *memtree_malloc(lsm_env *env, size_t size) {
    (void)env;
    return fuzz_arena_malloc(size);
}
static void *memtree_realloc(lsm_env *env, void *block, size_t size) {
    (void)env;
    return fuzz_arena_realloc(block, size);
}
static void memtree_free(lsm_env *env, void *block) {
    (void)env;
    if (block != NULL) fuzz_arena_free(block);
}
static lsm_env memtree_env(void) {
    lsm_env env = *lsm_default_env();
    env.xMalloc = memtree_malloc;
    env.xRealloc = memtree_realloc;
    env.xFree = memtree_free;
    return env;
}

/* One change of a sound region. */
static bool memtree_build(struct fixture *f, struct fuzz_input *in) {
    static uint8_t large[40000];
    uint8_t tag = fuzz_u8(in);
    struct log_region end = {0, 7};
    struct slice key, other;

    switch (tag % 8) {
    case 0:
        key = fuzz_string(in);
        CHECK(memtree_put(&f->writer, key, fuzz_string(in)) == LSM_OK);
        return true;
    case 1: CHECK_OK(memtree_delete(&f->writer, fuzz_string(in))); return true;
    case 2:
        key = fuzz_string(in);
        other = fuzz_string(in);
        if (key_compare(key, other) < 0) CHECK_OK(memtree_delete_range(&f->writer, key, other));
        return true;
    case 3:
        if (f->writer.header.old_id == 0) {
            memtree_writer_end(&f->writer);
            if (memtree_freeze(&f->writer.header, &end, 1)) {
                fixture_publish(f);
                fixture_begin(f);
            }
        }
        return true;
    case 4:
        if (f->writer.header.chunk_count > MEMTREE_CHUNKS - 4) return true;
        key = fuzz_string(in);
        other = (struct slice){large, 1000u * (tag >> 3)};
        CHECK_OK(memtree_put(&f->writer, key, other));
        return true;
    case 5:
        memtree_drop_old(&f->writer.header);
        return true;
    case 6:
        fixture_publish(f);
        fixture_begin(f);
        return true;
    default: return false;
    }
}

static bool memtree_damage(struct fixture *f, struct fuzz_input *in, struct tree_header *header) {
    uint8_t tag = fuzz_u8(in);
    uint32_t words[sizeof *header / 4];
    uint32_t chunk, place, count;
    struct slice bytes;

    switch (tag % 8) {
    case 0:
    case 1:
    case 2:
        chunk = fuzz_u8(in) % f->shm->chunk_count;
        place = fuzz_u16(in) % SHM_CHUNK_SIZE;
        bytes = fuzz_slice(in, 1 + fuzz_u8(in) % 12);
        count = bytes.size < SHM_CHUNK_SIZE - place ? bytes.size : SHM_CHUNK_SIZE - place;
        if (count > 0) memcpy((uint8_t *)shm_table(f->shm)[chunk] + place, bytes.data, count);
        return true;
    case 3:
    case 4:
    case 5:
    case 6:
        memcpy(words, header, sizeof words);
        place = fuzz_u8(in) % (sizeof words / 4);
        if (tag % 8 == 6) words[place] += (uint32_t)(int32_t)(int8_t)fuzz_u8(in);
        else words[place] = fuzz_u32(in);
        memcpy(header, words, sizeof words);
        return true;
    default: return false;
    }
}

static void memtree_read(struct fixture *f, struct fuzz_input *in, const struct memtree *tree,
                         bool sound) {
    struct memtree_cursor cursor;
    enum lookup_state state;
    struct slice value = {NULL, 0}, key;
    uint8_t sum = 0;
    int rc;

    memtree_cursor_init(&cursor, &f->env, &f->error);
    memtree_cursor_open(&cursor, tree);
    for (int forwards = 0; forwards < 2; forwards++) {
        rc = forwards ? memtree_first(&cursor) : memtree_last(&cursor);
        while (memtree_is_fine(rc) && memtree_cursor_valid(&cursor)) {
            sum ^= fuzz_touch(cursor.key.data, cursor.key.size);
            if (cursor.flags & RECORD_INSERT) {
                rc = memtree_value(&cursor, &value);
                if (!memtree_is_fine(rc)) break;
                sum ^= fuzz_touch(value.data, value.size);
            }
            rc = forwards ? memtree_next(&cursor) : memtree_prev(&cursor);
        }
        CHECK_MSG(!sound || rc == LSM_OK, "the checker found nothing, a reader did: %s", f->error.reason);
    }
    for (int i = 0; i < 6; i++) {
        key = fuzz_string(in);
        rc = i & 1 ? memtree_seek_ge(&cursor, key) : memtree_seek_le(&cursor, key);
        if (memtree_is_fine(rc) && memtree_cursor_valid(&cursor)) {
            memtree_is_fine(i & 2 ? memtree_next(&cursor) : memtree_prev(&cursor));
        }
        memtree_is_fine(memtree_lookup(tree, key, &f->scratch, &f->error, &state, &value));
    }
    memtree_cursor_release(&cursor);
    ((uint8_t volatile *)&sum)[0] = sum;
}

static void memtree_write(struct fixture *f, struct fuzz_input *in, const struct tree_header *header) {
    struct memtree_mark mark;
    struct slice key, other;

    memtree_writer_begin(&f->writer, header);
    memtree_writer_mark(&f->writer, &mark);
    for (int i = 0; i < 12 && fuzz_left(in) > 0; i++) {
        uint8_t tag = fuzz_u8(in);
        key = fuzz_string(in);
        other = tag % 4 == 1 ? (struct slice){NULL, 0} : fuzz_string(in);
        switch (tag % 4) {
        case 0: memtree_is_fine(memtree_put(&f->writer, key, other)); break;
        case 1: memtree_is_fine(memtree_delete(&f->writer, key)); break;
        case 2:
            if (key_compare(key, other) < 0) {
                memtree_is_fine(memtree_delete_range(&f->writer, key, other));
            }
            break;
        default: memtree_writer_rollback_to(&f->writer, &mark); break;
        }
    }
    memtree_writer_rollback_to(&f->writer, &mark);
    memtree_writer_end(&f->writer);
}

FUZZ_TARGET(memtree) {
    struct fuzz_input in = fuzz_begin(data, size);
    static struct fixture f;
    struct tree_header header, loaded;
    struct memtree tree;
    const char *reason = NULL;
    uint8_t bits = fuzz_u8(&in);
    bool sound = false;
    int rc = LSM_OK;

    memtree_steps_left = MEMTREE_STEPS;
    fuzz_arena_reset();
    fixture_open_in(&f, memtree_env(), bits & 8 ? UINT32_MAX - 3 : 1);
    f.shm->chunk_limit = MEMTREE_CHUNKS;
    fixture_begin(&f);
    for (int i = 0; i < 60 && memtree_build(&f, &in); i++) {
    }
    fixture_publish(&f);
    header = f.header;
    for (int i = 0; i < 40 && memtree_damage(&f, &in, &header); i++) {
    }
    if (bits & 1) shm_publish_tree(f.shm, &header);
    shm_mend_tree(f.shm);
    if (shm_load_tree(f.shm, &loaded, NULL) == LSM_OK) header = loaded;
    if (bits & 2) rc = memtree_repair(f.shm, &header, &f.error);
    if (memtree_is_fine(rc) && memtree_is_fine(shm_ensure(f.shm, header.chunk_count))) {
        sound = memtree_check(f.shm, &header, &reason);
        CHECK(sound || reason != NULL);
        error_clear(&f.error);
        tree = memtree_live(f.shm, &header);
        memtree_read(&f, &in, &tree, sound);
        if (header.old_id != 0) {
            tree = memtree_old(f.shm, &header);
            memtree_read(&f, &in, &tree, sound);
        }
        if (bits & 4) memtree_write(&f, &in, &header);
    }
    fixture_close(&f);
    CHECK_EQ_INT(fuzz_arena.live, 0);
    return 0;
}
