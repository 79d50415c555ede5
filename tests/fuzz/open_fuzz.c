/*
** open_fuzz.c — a whole database from hostile bytes: open, read, write, work, checkpoint, close, open again.
**
** A database starts as a golden file, or empty. Edits change bytes of its pages, words of its newest
** checkpoint (whose sums are then repaired), its length, and its log (whose sums are repaired, too). After them
** come operations through the public functions. Any result code is fine; a crash, a leak, a hang, a change to the
** file by a read-only connection, or an absurd allocation is not.
**
** FORMAT      u8 golden file (7 = none) and bits (8 mapped, 16 read-only, 32 sums as they are, 64 no log edits
**             repaired, 128 a second opening), u8 configuration, u8 what is read first (1 forwards, 2 backwards,
**             4 seeks, 24 which key; with all of 224 set every key, and walks do not stop early). Then edits,
**             each a tag and its arguments: 0 bytes of a page, 1 a page over another, 2 a word (u16 place, u32),
**             3 a word changed (u8 place, i8), 4 bytes of the log, 5 cut the file, 6 bytes of the other meta
**             page, 7 the edits end. The rest are operations.
*/
#include "fuzz/fuzz.h"

#define OPEN_FILE "db"
#define OPEN_LOG "db-log"
#define OPEN_LOG_MAX 2048
#define OPEN_OPERATIONS 24
#define OPEN_ENTRIES_MAX 1000 /* read by one walk */
#define OPEN_ENTRIES_FEW 30   /* as a rule: walks are most of the time of a run */
#define OPEN_MOVES_MAX 60000  /* more than all walks together can make */

struct open_world {
    struct fuzz_world world; /* first: holds the environment */
    struct fuzz_input in;
    uint8_t bits;
    uint8_t setting;
    uint8_t look;
    uint8_t log[OPEN_LOG_MAX];
    size_t log_size;
    long moves_left;
    uint8_t seen; /* every byte given out is read */
};

static void open_read(struct open_world *w, const void *data, int size) {
    CHECK(size >= 0);
    w->seen ^= fuzz_touch(data, (size_t)size);
}

static void open_move(struct open_world *w) {
    CHECK_MSG(w->moves_left-- > 0, "too many steps: a loop");
}

/* Golden files with hooks need them. */
static bool open_is_packed(const struct open_world *w) {
    return w->bits % 8 < FUZZ_GOLDEN_COUNT && fuzz_codec_of(w->bits % 8) != NULL;
}

/* --------------------------------------------------------------------------------------- edits -- */

static void open_edit(struct open_world *w, uint8_t *bytes, size_t *size, uint32_t *words) {
    for (int edits = 0; edits < 60; edits++) {
        uint8_t tag = fuzz_u8(&w->in);
        uint32_t page_size = words[7] >= 256 && words[7] <= 65536 ? words[7] : 256;
        struct slice slice;
        size_t place;

        switch (tag % 8) {
        case 0: fuzz_patch_page(&w->in, bytes, *size, page_size); break;
        case 1: fuzz_copy_page(&w->in, bytes, *size, page_size); break;
        case 2:
            place = fuzz_u16(&w->in) % CHECKPOINT_WORDS_MAX;
            words[place] = fuzz_u32(&w->in);
            break;
        case 3:
            place = fuzz_u8(&w->in) % 100;
            words[place] += (uint32_t)(int32_t)(int8_t)fuzz_u8(&w->in);
            break;
        case 4:
            slice = fuzz_slice(&w->in, fuzz_u8(&w->in));
            if (slice.size > OPEN_LOG_MAX - w->log_size) break;
            memcpy(w->log + w->log_size, slice.data, slice.size);
            w->log_size += slice.size;
            break;
        case 5: *size -= *size > 9000 ? (size_t)fuzz_u16(&w->in) % (*size - 8200) : 0; break;
        case 6:
            place = fuzz_u16(&w->in) % (2 * META_PAGE_SIZE);
            slice = fuzz_slice(&w->in, fuzz_u8(&w->in) % 32);
            if (*size < 2 * META_PAGE_SIZE || place + slice.size > 2 * META_PAGE_SIZE) break;
            memcpy(bytes + place, slice.data, slice.size);
            break;
        default: return;
        }
    }
}

static void open_make_files(struct open_world *w) {
    uint32_t words[CHECKPOINT_WORDS_MAX] = {0};
    uint32_t golden = w->bits % 8;
    size_t size = 0, newest = 0;
    const uint8_t *sound = NULL;
    struct memory_file *file;

    if (golden < FUZZ_GOLDEN_COUNT) sound = fuzz_golden(golden, &size);
    file = fuzz_file_put(&w->world.m, OPEN_FILE, sound, size);
    if (sound) {
        newest = get_u64(sound + META_PAGE_SIZE) > get_u64(sound) ? META_PAGE_SIZE : 0;
        checkpoint_words_from_bytes(sound + newest, words);
    }
    open_edit(w, file->data, &file->size, words);
    if (sound && !(w->bits & 32)) {
        fuzz_repair_checkpoint(words);
        checkpoint_words_to_bytes(words, CHECKPOINT_WORDS_MAX, file->data + newest);
    }
    if (w->log_size > 0) {
        struct checksum sum = {LOG_SUM0_FIRST, LOG_SUM1_FIRST};
        uint64_t offset = 0;
        if (sound) {
            sum = (struct checksum){words[11], words[12]};
            offset = (((uint64_t)words[9] << 32) | words[10]) >> 1;
        }
        if (!(w->bits & 64)) fuzz_repair_log(w->log, w->log_size, offset, sum);
        fuzz_file_put(&w->world.m, OPEN_LOG, w->log, w->log_size);
    }
}

/* -------------------------------------------------------------------------------------- reading -- */

static void open_entry(struct open_world *w, lsm_cursor *cursor) {
    const void *data = NULL;
    int size = 0;

    if (lsm_csr_key(cursor, &data, &size) == LSM_OK) open_read(w, data, size);
    if (lsm_csr_value(cursor, &data, &size) == LSM_OK) open_read(w, data, size);
}

static void open_walk(struct open_world *w, lsm_cursor *cursor, bool forwards) {
    int most = w->look >> 5 == 7 ? OPEN_ENTRIES_MAX : OPEN_ENTRIES_FEW;
    int entries = 0;
    int rc = forwards ? lsm_csr_first(cursor) : lsm_csr_last(cursor);

    while (rc == LSM_OK && lsm_csr_valid(cursor) && entries++ < most) {
        open_move(w);
        open_entry(w, cursor);
        rc = forwards ? lsm_csr_next(cursor) : lsm_csr_prev(cursor);
    }
}

static void open_seeks(struct open_world *w, lsm_cursor *cursor, uint8_t look) {
    static const char *const keys[] = {"", "k0004", "k0007x", "\xff"};

    for (uint8_t i = 0; i < 4; i++) {
        if (i != (look >> 3) % 4 && look >> 5 != 7) continue;
        for (int mode = LSM_SEEK_LEFAST; mode <= LSM_SEEK_GE; mode++) {
            int rc = lsm_csr_seek(cursor, keys[i], (int)strlen(keys[i]), mode);
            if (rc != LSM_OK || !lsm_csr_valid(cursor)) continue;
            open_entry(w, cursor);
            if (mode == LSM_SEEK_GE) rc = lsm_csr_next(cursor);
            else if (mode == LSM_SEEK_LE) rc = lsm_csr_prev(cursor);
            if (rc == LSM_OK && lsm_csr_valid(cursor)) open_entry(w, cursor);
        }
    }
}

static void open_look(struct open_world *w, lsm_db *db, uint8_t look) {
    lsm_cursor *cursor = NULL;

    if (lsm_csr_open(db, &cursor) != LSM_OK) return;
    if (look & 1) open_walk(w, cursor, true);
    if (look & 2) open_walk(w, cursor, false);
    if (look & 4) open_seeks(w, cursor, look);
    lsm_csr_close(cursor);
}

static void open_info(struct open_world *w, lsm_db *db) {
    static const int texts[] = {LSM_INFO_DB_STRUCTURE, LSM_INFO_LOG_STRUCTURE, LSM_INFO_FREELIST};
    static const int pages[] = {LSM_INFO_ARRAY_STRUCTURE, LSM_INFO_ARRAY_PAGES,
                                LSM_INFO_PAGE_ASCII_DUMP, LSM_INFO_PAGE_HEX_DUMP};
    uint8_t which = fuzz_u8(&w->in);
    lsm_i64 page = which & 0x80 ? (lsm_i64)fuzz_u64(&w->in) : fuzz_u16(&w->in);
    char *text = NULL;
    int rc = which & 4 ? lsm_info(db, pages[which % 4], page, &text)
                       : lsm_info(db, texts[which % 3], &text);

    if (rc == LSM_OK && text != NULL) {
        open_read(w, text, (int)strlen(text));
        lsm_free(lsm_get_env(db), text);
    }
}

/* ----------------------------------------------------------------------------------- operations -- */

static void open_operation(struct open_world *w, lsm_db *db, lsm_cursor **cursor) {
    uint8_t what = fuzz_u8(&w->in);
    struct slice key, value;
    int number = 0;
    int rc = LSM_OK;

    switch (what % 16) {
    case 0:
    case 1:
    case 2:
        key = fuzz_string(&w->in);
        value = fuzz_string(&w->in);
        rc = lsm_insert(db, key.data, (int)key.size, value.data, (int)value.size);
        break;
    case 3:
        key = fuzz_string(&w->in);
        rc = lsm_delete(db, key.data, (int)key.size);
        break;
    case 4:
        key = fuzz_string(&w->in);
        value = fuzz_string(&w->in);
        rc = lsm_delete_range(db, key.data, (int)key.size, value.data, (int)value.size);
        break;
    case 5: rc = lsm_flush(db); break;
    case 6: rc = lsm_work(db, what >> 5, (what & 16) ? 1 : 1000, &number); break;
    case 7: rc = lsm_checkpoint(db, &number); break;
    case 8: rc = lsm_begin(db, what & 16 ? -1 : what >> 6); break;
    case 9: rc = lsm_commit(db, what & 16 ? -1 : what >> 6); break;
    case 10: rc = lsm_rollback(db, what & 16 ? -1 : what >> 6); break;
    case 11:
        if (*cursor) {
            lsm_csr_close(*cursor);
            *cursor = NULL;
        } else {
            rc = lsm_csr_open(db, cursor);
        }
        break;
    case 12:
        key = fuzz_string(&w->in);
        if (*cursor) rc = lsm_csr_seek(*cursor, key.data, (int)key.size, (what >> 4) % 4 - 2);
        break;
    case 13:
        for (int i = 0; i <= what >> 4 && *cursor && lsm_csr_valid(*cursor) && rc == LSM_OK; i++) {
            open_entry(w, *cursor);
            rc = what & 16 ? lsm_csr_next(*cursor) : lsm_csr_prev(*cursor);
        }
        break;
    case 14:
        if (*cursor) open_walk(w, *cursor, what & 16);
        else open_look(w, db, what >> 5 ? what >> 5 : 7);
        break;
    default: open_info(w, db); break;
    }
    CHECK_MSG(rc >= 0 && rc != LSM_NOMEM, "operation %d: result code %d", what % 16, rc);
}

static void open_configure(struct open_world *w, lsm_db *db) {
    int page_size = 256 << (w->setting % 4);
    int block_kb = 64;
    int autowork = !(w->setting & 4);
    int safety = (w->setting >> 3) % 3;
    int use_log = !(w->setting & 32);
    int read_only = !!(w->bits & 16);
    int mapped = !!(w->bits & 8);
    int kb = w->setting & 64 ? 1 : 1024;
    int freelist = w->setting & 128 ? 2 : 24;

    lsm_config_log(db, NULL, NULL);
    CHECK_OK(lsm_config(db, LSM_CONFIG_PAGE_SIZE, &page_size));
    CHECK_OK(lsm_config(db, LSM_CONFIG_BLOCK_SIZE, &block_kb));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOWORK, &autowork));
    CHECK_OK(lsm_config(db, LSM_CONFIG_SAFETY, &safety));
    CHECK_OK(lsm_config(db, LSM_CONFIG_USE_LOG, &use_log));
    CHECK_OK(lsm_config(db, LSM_CONFIG_READONLY, &read_only));
    CHECK_OK(lsm_config(db, LSM_CONFIG_MMAP, &mapped));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOFLUSH, &kb));
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOCHECKPOINT, &kb));
    CHECK_OK(lsm_config(db, LSM_CONFIG_MAX_FREELIST, &freelist));
    if (open_is_packed(w)) {
        lsm_compress codec = rle_codec;
        codec.iId = 10002; /* what the golden files say */
        CHECK_OK(lsm_config(db, LSM_CONFIG_SET_COMPRESSION, &codec));
    }
}

static void open_once(struct open_world *w, bool operate) {
    lsm_cursor *cursor = NULL;
    lsm_db *db = NULL;
    int rc;

    CHECK_OK(lsm_new(&w->world.m.env, &db));
    open_configure(w, db);
    rc = lsm_open(db, OPEN_FILE);
    CHECK_MSG(rc >= 0 && rc != LSM_NOMEM && rc != LSM_MISUSE, "open: result code %d", rc);
    if (rc == LSM_OK) {
        open_look(w, db, w->look);
        for (int i = 0; operate && i < OPEN_OPERATIONS && fuzz_left(&w->in) > 0; i++) {
            open_operation(w, db, &cursor);
        }
        if (cursor) lsm_csr_close(cursor);
        (void)lsm_rollback(db, 0);
    }
    CHECK_OK(lsm_close(db));
}

FUZZ_TARGET(open) {
    static struct open_world w;
    struct fuzz_world *world = &w.world;

    w.in = fuzz_begin(data, size);
    w.log_size = 0;
    w.moves_left = OPEN_MOVES_MAX;
    w.bits = fuzz_u8(&w.in);
    w.setting = fuzz_u8(&w.in);
    w.look = fuzz_u8(&w.in);
    fuzz_world_open(world, w.bits & 8);
    open_make_files(&w);
    open_once(&w, true);
    if (w.bits & 16) {
        CHECK_EQ_INT(world->m.count[MEMORY_WRITE] + world->m.count[MEMORY_TRUNCATE], 0);
    }
    if (w.bits & 128) open_once(&w, false);
    fuzz_world_close(world);
    return 0;
}
