/*
** bulk_fuzz.c — any numbers and any frames through lsm_bulk_*: handles dead or of another kind, sizes that lie,
** buffers too small.
**
** Frames and result buffers are blocks of exactly the size that is said, so that a sanitizer sees every byte
** touched outside. The files of the default environment are moved to memory for the time of a run.
**
** FORMAT      calls until the input ends: u8 function, u8 which handle (255: any u32 follows), arguments. A frame is
**             u8: even = raw (a string), odd = built from so many strings and then changed at one place.
*/
#include "fuzz/fuzz.h"
#include "lsm_bulk.h"

#define BULK_HANDLES 12
#define BULK_CALLS 40

struct bulk_world {
    struct fuzz_world world; /* first */
    struct fuzz_input in;
    uint32_t handles[BULK_HANDLES];
    uint32_t handle_count;
};

/* ---- The default environment, on files in memory ------------------------------------------ */

static int bulk_open_file(lsm_env *env, const char *path, int flags, lsm_file **out) {
    (void)env;
    return fuzz_open_file(&fuzz_world_now->m.env, path, flags, out);
}
static int bulk_unlink(lsm_env *env, const char *path) {
    (void)env;
    return memory_unlink(&fuzz_world_now->m.env, path);
}
static int bulk_sync_directory(lsm_env *env, const char *path) {
    (void)env;
    return memory_extra_sync_directory(&fuzz_world_now->m.env, path);
}

static void *bulk_malloc(lsm_env *env, size_t size) {
    (void)env;
    CHECK_MSG(size <= FUZZ_ALLOCATION_MAX, "an allocation of %zu bytes", size);
    return fuzz_arena_malloc(size);
}
static void *bulk_realloc(lsm_env *env, void *block, size_t size) {
    (void)env;
    CHECK_MSG(size <= FUZZ_ALLOCATION_MAX, "an allocation of %zu bytes", size);
    return fuzz_arena_realloc(block, size);
}
static void bulk_free(lsm_env *env, void *block) {
    (void)env;
    if (block) fuzz_arena_free(block);
}

/* For good: the handle table keeps memory from one run to the next. */
static void bulk_redirect_memory(lsm_env *env) {
    env->xMalloc = bulk_malloc;
    env->xRealloc = bulk_realloc;
    env->xFree = bulk_free;
}

static void bulk_redirect(lsm_env *env) {
    static struct os_extra extra;

    extra = fuzz_extra_plain;
    extra.sync_directory = bulk_sync_directory;
    env->xFullpath = memory_full_path;
    env->xOpen = bulk_open_file;
    env->xRead = fuzz_read;
    env->xWrite = fuzz_write;
    env->xTruncate = memory_truncate;
    env->xSync = memory_sync;
    env->xSectorSize = memory_sector_size;
    env->xRemap = memory_remap;
    env->xFileid = memory_file_id;
    env->xClose = memory_close;
    env->xUnlink = bulk_unlink;
    env->xLock = memory_lock;
    env->xTestLock = memory_test_lock;
    env->xShmMap = memory_shm_map;
    env->xShmUnmap = memory_shm_unmap;
    env->xSleep = memory_sleep;
    CHECK_OK(os_extra_register(env, &extra));
}

/* ---- Arguments ---------------------------------------------------------------------------- */

struct bulk_block {
    uint8_t *data; /* NULL if size is 0 */
    uint32_t size;
};

static struct bulk_block bulk_copy(const void *data, size_t size) {
    struct bulk_block block = {NULL, (uint32_t)size};
    if (size == 0) return block;
    block.data = fuzz_arena_malloc(size);
    CHECK(block.data != NULL);
    memcpy(block.data, data, size);
    return block;
}

static struct bulk_block bulk_string(struct bulk_world *w) {
    struct slice slice = fuzz_string(&w->in);
    return bulk_copy(slice.data, slice.size);
}

/* Room for a result. */
static struct bulk_block bulk_room(struct bulk_world *w) {
    uint8_t byte = fuzz_u8(&w->in);
    struct bulk_block block = {NULL, byte < 200 ? byte : (uint32_t)(byte - 199) * 64};
    if (block.size > 0) block.data = fuzz_arena_malloc(block.size);
    CHECK(block.size == 0 || block.data != NULL);
    return block;
}

static uint32_t bulk_put_part(uint8_t *to, struct slice slice) {
    if (slice.size > 0) memcpy(to, slice.data, slice.size);
    return slice.size;
}

/* Keys or operations, well-formed but for one change; *count = what they are. */
static struct bulk_block bulk_frame(struct bulk_world *w, bool operations, uint32_t *count) {
    static const uint32_t kinds[] = {LSM_BULK_PUT, LSM_BULK_REMOVE, LSM_BULK_REMOVE_RANGE};
    uint8_t bytes[8192];
    uint8_t head = fuzz_u8(&w->in);
    uint32_t used = 0;

    *count = head / 2 % 8;
    if (head % 2 == 0) {
        struct slice raw = fuzz_slice(&w->in, fuzz_u8(&w->in));
        if (head & 128) *count = fuzz_u32(&w->in);
        return bulk_copy(raw.data, raw.size);
    }
    for (uint32_t i = 0; i < *count; i++) {
        if (operations) {
            uint8_t tag = fuzz_u8(&w->in);
            uint32_t kind = kinds[tag % 3];
            struct slice first = fuzz_string(&w->in);
            struct slice second = kind == LSM_BULK_REMOVE ? (struct slice){NULL, 0}
                                                          : fuzz_string(&w->in);
            if (kind == LSM_BULK_REMOVE_RANGE) kind |= (uint32_t)(tag >> 2) << 8;
            if (used + first.size + second.size + 16 > sizeof bytes) break;
            put_u32_little(bytes + used, kind);
            put_u32_little(bytes + used + 4, first.size);
            put_u32_little(bytes + used + 8, second.size);
            used += 12;
            used += bulk_put_part(bytes + used, first);
            used += bulk_put_part(bytes + used, second);
        } else {
            struct slice key = fuzz_string(&w->in);
            if (used + key.size + 8 > sizeof bytes) break;
            put_u32_little(bytes + used, key.size);
            used += 4;
            used += bulk_put_part(bytes + used, key);
        }
        while (used % 4) bytes[used++] = 0;
    }
    if (head & 128 && used >= 4) {
        put_u32_little(bytes + fuzz_u8(&w->in) % (used - 3), fuzz_u32(&w->in));
    }
    if (head & 64) used -= used < 3 ? 0 : fuzz_u8(&w->in) % 4;
    return bulk_copy(bytes, used);
}

static uint32_t bulk_handle(struct bulk_world *w) {
    uint8_t which = fuzz_u8(&w->in);
    if (which == 255 || w->handle_count == 0) return fuzz_u32(&w->in);
    return w->handles[which % w->handle_count];
}

static void bulk_keep_handle(struct bulk_world *w, uint32_t handle) {
    if (handle == 0) return;
    if (w->handle_count < BULK_HANDLES) w->handles[w->handle_count++] = handle;
    else w->handles[handle % BULK_HANDLES] = handle; /* the one displaced lives on, unnamed */
}

/* ---- Calls -------------------------------------------------------------------------------- */

/* A result may tell of at most as many bytes as there is room for. */
static void bulk_written(int32_t result, const struct bulk_block *out) {
    CHECK_MSG(result >= LSM_BULK_MISUSE, "result %d", result);
    CHECK_MSG(result <= 0 || (uint32_t)result <= out->size, "%d bytes into %u", result, out->size);
    if (result > 0) test_state.random_state += fuzz_touch(out->data, (size_t)result);
}

static void bulk_read_call(struct bulk_world *w, uint8_t what, uint32_t handle) {
    uint32_t verify;
    struct bulk_block out = bulk_room(w);
    struct bulk_block key = {NULL, 0};
    uint32_t count = 0;

    switch (what % 12) {
    case 0:
        key = bulk_string(w);
        bulk_written(lsm_bulk_get(handle, key.data, key.size, out.data, out.size), &out);
        break;
    case 1:
        key = bulk_string(w);
        CHECK(lsm_bulk_has(handle, key.data, key.size) <= 1);
        break;
    case 2:
    case 3:
        key = bulk_frame(w, false, &count);
        bulk_written(lsm_bulk_get_many(handle, fuzz_u16(&w->in), count, key.data, key.size, out.data,
                                       out.size), &out);
        break;
    case 4:
        key = bulk_string(w);
        bulk_written(lsm_bulk_seek(handle, fuzz_u8(&w->in) % 8, key.data, key.size, out.data,
                                   out.size), &out);
        break;
    case 5: bulk_written(lsm_bulk_error(handle, out.data, out.size), &out); break;
    case 6: bulk_written(lsm_bulk_pending(handle, out.data, out.size), &out); break;
    case 7:
        bulk_written(lsm_bulk_take(handle, what & 128 ? fuzz_u32(&w->in) : fuzz_u8(&w->in), out.data,
                                   out.size), &out);
        break;
    case 8: bulk_written(lsm_bulk_scan_next(handle, out.data, out.size), &out); break;
    case 9:
        bulk_written(lsm_bulk_cursor_move(handle, fuzz_u8(&w->in) % 5, out.data, out.size), &out);
        break;
    case 10:
        key = bulk_string(w);
        bulk_written(lsm_bulk_cursor_seek(handle, fuzz_u8(&w->in) % 8, key.data, key.size, out.data,
                                          out.size), &out);
        break;
    default:
        bulk_written(lsm_bulk_stats(handle, out.data, out.size), &out);
        verify = lsm_bulk_verify(handle);
        bulk_written(lsm_bulk_verify_report(verify, out.data, out.size), &out);
        (void)lsm_bulk_end(verify);
        bulk_written(lsm_bulk_info(handle, what >> 4, fuzz_u16(&w->in), 0, out.data, out.size), &out);
        bulk_written(lsm_bulk_user_version(handle, out.data, out.size), &out);
        break;
    }
    fuzz_arena_free(out.data);
    fuzz_arena_free(key.data);
}

static void bulk_range_call(struct bulk_world *w, uint8_t what, uint32_t handle) {
    struct bulk_block lower = bulk_string(w);
    struct bulk_block upper = bulk_string(w);
    struct bulk_block out = bulk_room(w);
    uint32_t flags = fuzz_u16(&w->in);
    uint32_t limit = what & 128 ? fuzz_u8(&w->in) : 0xffffffffu;
    uint32_t fresh;

    if (what & 64) {
        bulk_written(lsm_bulk_count(handle, flags, limit, lower.data, lower.size, upper.data,
                                    upper.size, out.data, out.size), &out);
    } else {
        fresh = lsm_bulk_scan(handle, flags, limit, lower.data, lower.size, upper.data, upper.size,
                              out.data, out.size);
        if (fresh != LSM_BULK_SCAN_ENDED) bulk_keep_handle(w, fresh);
    }
    fuzz_arena_free(lower.data);
    fuzz_arena_free(upper.data);
    fuzz_arena_free(out.data);
}

static void bulk_write_call(struct bulk_world *w, uint8_t what, uint32_t handle) {
    struct bulk_block out = bulk_room(w);
    struct bulk_block key = {NULL, 0}, value = {NULL, 0};
    uint32_t count = 0, low;
    int32_t result = 0;

    switch (what % 8) {
    case 0:
        key = bulk_string(w);
        value = bulk_string(w);
        result = lsm_bulk_put(handle, key.data, key.size, value.data, value.size);
        break;
    case 1:
        key = bulk_string(w);
        result = lsm_bulk_delete(handle, fuzz_u16(&w->in), key.data, key.size);
        break;
    case 2:
    case 3:
        key = bulk_frame(w, true, &count);
        result = lsm_bulk_apply(handle, count, key.data, key.size);
        CHECK(result < 0 || (uint32_t)result == count);
        break;
    case 4:
        key = bulk_string(w);
        low = fuzz_u32(&w->in);
        bulk_written(lsm_bulk_add(handle, key.data, key.size, low, fuzz_u8(&w->in), out.data,
                                  out.size), &out);
        break;
    case 5: result = lsm_bulk_begin(handle, (int8_t)fuzz_u8(&w->in) % 6); break;
    case 6: result = lsm_bulk_commit(handle, (int8_t)fuzz_u8(&w->in) % 6); break;
    default: result = lsm_bulk_rollback(handle, (int8_t)fuzz_u8(&w->in) % 6); break;
    }
    CHECK_MSG(result >= LSM_BULK_MISUSE, "result %d", result);
    fuzz_arena_free(out.data);
    fuzz_arena_free(key.data);
    fuzz_arena_free(value.data);
}

/* Time-outs and threads would make a run depend on the clock. */
static bool bulk_verb_is_timeless(int32_t verb) {
    return verb != LSM_BULK_CONFIG_BUSY_TIMEOUT && verb != LSM_BULK_CONFIG_BACKGROUND;
}

static void bulk_life_call(struct bulk_world *w, uint8_t what, uint32_t handle) {
    struct bulk_block name = {NULL, 0}, out = {NULL, 0};
    uint32_t fresh;
    int32_t verb;

    switch (what % 8) {
    case 0:
        fresh = lsm_bulk_new();
        (void)lsm_bulk_config(fresh, LSM_BULK_CONFIG_BUSY_TIMEOUT, 0);
        bulk_keep_handle(w, fresh);
        break;
    case 1:
        name = what & 128 ? bulk_string(w) : bulk_copy(what & 64 ? "a" : "b", 1);
        if (what & 32) CHECK(lsm_bulk_destroy(handle, name.data, name.size) <= 1);
        else CHECK(lsm_bulk_open(handle, name.data, name.size) <= 0);
        break;
    case 2:
        out = bulk_room(w);
        CHECK(lsm_bulk_close(handle, out.data, out.size) <= 0);
        break;
    case 3: CHECK(lsm_bulk_end(handle) <= 1); break;
    case 4: bulk_keep_handle(w, lsm_bulk_snapshot(handle)); break;
    case 5: bulk_keep_handle(w, lsm_bulk_cursor(handle)); break;
    case 6:
        verb = what & 128 ? fuzz_u16(&w->in) : fuzz_u8(&w->in) % 20;
        if (bulk_verb_is_timeless(verb)) {
            (void)lsm_bulk_config(handle, verb, (int32_t)fuzz_u32(&w->in));
        }
        break;
    default:
        if (what >> 6 == 0) CHECK(lsm_bulk_flush(handle) <= 0);
        else if (what >> 6 == 1) (void)lsm_bulk_work(handle, (what >> 3) % 4, 10);
        else if (what >> 6 == 2) (void)lsm_bulk_checkpoint(handle);
        else (void)lsm_bulk_set_user_version(handle, fuzz_u32(&w->in));
        break;
    }
    fuzz_arena_free(name.data);
    fuzz_arena_free(out.data);
}

FUZZ_TARGET(bulk) {
    static struct bulk_world w;
    lsm_env *env = lsm_default_env();
    lsm_env real;

    bulk_redirect_memory(env);
    real = *env;
    w.in = fuzz_begin(data, size);
    w.handle_count = 0;
    fuzz_world_open(&w.world, false);
    bulk_redirect(env);
    bulk_life_call(&w, 0, 0);
    (void)lsm_bulk_open(w.handles[0], (const uint8_t *)"a", 1);
    for (int i = 0; i < BULK_CALLS && fuzz_left(&w.in) > 0; i++) {
        uint8_t group = fuzz_u8(&w.in);
        uint8_t what = fuzz_u8(&w.in);
        uint32_t handle = bulk_handle(&w);
        switch (group % 8) {
        case 0:
        case 1:
        case 2: bulk_read_call(&w, what, handle); break;
        case 3: bulk_range_call(&w, what, handle); break;
        case 4:
        case 5: bulk_write_call(&w, what, handle); break;
        default: bulk_life_call(&w, what, handle); break;
        }
    }
    lsm_bulk_shutdown();
    CHECK_OK(os_extra_register(env, NULL));
    *env = real;
    fuzz_world_close(&w.world);
    return 0;
}
