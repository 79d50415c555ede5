/*
** os_test.c — calls through lsm_env: what is passed on, what is refused, and foreign environments.
*/
#include "support/test.h"

#include "base/memory.h"
#include "os/os_internal.h"

/* An environment of our own, with one file whose bytes are known, that counts and can misbehave. */
static struct {
    lsm_env env;
    int calls;
    lsm_i64 offset;
    int size;
    int path_size; /* what xFullpath says it needs, 0 = the truth */
    int sector_size;
    int id_size;
    bool open_gives_nothing;
    uint64_t malloc_fails_at;
    uint64_t mallocs;
} fake;

static int fake_full_path(lsm_env *env, const char *path, char *out, int *size) {
    int needed = (int)strlen(path) + 2;
    (void)env;
    fake.calls++;
    if (fake.path_size) {
        *size = fake.path_size;
        return LSM_OK;
    }
    if (out && *size >= needed) {
        out[0] = '/';
        memcpy(out + 1, path, strlen(path) + 1);
    }
    *size = needed;
    return LSM_OK;
}

static int fake_open(lsm_env *env, const char *path, int flags, lsm_file **out) {
    (void)path, (void)flags;
    *out = fake.open_gives_nothing ? NULL : (lsm_file *)env;
    return LSM_OK;
}

static int fake_read(lsm_file *file, lsm_i64 offset, void *data, int size) {
    (void)file;
    fake.calls++;
    fake.offset = offset;
    fake.size = size;
    memset(data, 7, (size_t)size);
    return LSM_OK;
}

static int fake_write(lsm_file *file, lsm_i64 offset, void *data, int size) {
    (void)file, (void)data;
    fake.calls++;
    fake.offset = offset;
    fake.size = size;
    return LSM_IOERR;
}

static int fake_truncate(lsm_file *file, lsm_i64 size) {
    (void)file;
    fake.calls++;
    fake.offset = size;
    return LSM_OK;
}

static int fake_file_id(lsm_file *file, void *out, int *size) {
    (void)file;
    if (*size >= fake.id_size) memset(out, 3, (size_t)fake.id_size);
    *size = fake.id_size;
    return LSM_OK;
}

static int fake_sector_size(lsm_file *file) {
    (void)file;
    return fake.sector_size;
}

static int fake_close(lsm_file *file) {
    (void)file;
    fake.calls++;
    return LSM_IOERR;
}

static void *fake_malloc(lsm_env *env, size_t size) {
    if (++fake.mallocs == fake.malloc_fails_at) return NULL;
    return lsm_default_env()->xMalloc(env, size);
}

static lsm_env *fake_env(void) {
    memset(&fake, 0, sizeof fake);
    fake.env = *lsm_default_env();
    fake.env.xFullpath = fake_full_path;
    fake.env.xOpen = fake_open;
    fake.env.xRead = fake_read;
    fake.env.xWrite = fake_write;
    fake.env.xTruncate = fake_truncate;
    fake.env.xFileid = fake_file_id;
    fake.env.xSectorSize = fake_sector_size;
    fake.env.xClose = fake_close;
    fake.env.xMalloc = fake_malloc;
    return &fake.env;
}

TEST(full_path_asks_for_the_size_first) {
    lsm_env *env = fake_env();
    char *path = NULL;

    CHECK_OK(os_full_path(env, "a.lsm", &path));
    CHECK_EQ_STR(path, "/a.lsm");
    CHECK_EQ_INT(fake.calls, 2);
    memory_free(env, path);
}

TEST(full_path_of_a_senseless_environment_is_an_error) {
    lsm_env *env = fake_env();
    char *path = NULL;

    fake.path_size = -4;
    CHECK_RC(os_full_path(env, "a.lsm", &path), LSM_ERROR);
    CHECK_EQ_PTR(path, NULL);
}

TEST(full_path_without_memory_leaves_the_output) {
    lsm_env *env = fake_env();
    char *path = NULL;

    fake.malloc_fails_at = 1;
    CHECK_RC(os_full_path(env, "a.lsm", &path), LSM_NOMEM);
    CHECK_EQ_PTR(path, NULL);
}

TEST(open_that_gives_no_file_is_an_error) {
    lsm_env *env = fake_env();
    struct os_file file = {0};

    fake.open_gives_nothing = true;
    CHECK_RC(os_open(env, "a", 0, &file), LSM_IOERR);
    CHECK_EQ_PTR(file.file, NULL);
    os_close(&file); /* zeroed: nothing happens */
    CHECK_EQ_INT(fake.calls, 0);
}

TEST(offsets_beyond_63_bits_never_reach_a_callback) {
    lsm_env *env = fake_env();
    struct os_file file = {0};
    uint8_t data[16] = {0};

    CHECK_OK(os_open(env, "a", 0, &file));
    CHECK_RC(os_read(&file, UINT64_MAX, data, 1), LSM_IOERR);
    CHECK_RC(os_read(&file, (uint64_t)INT64_MAX - 3, data, 16), LSM_IOERR);
    CHECK_RC(os_write(&file, UINT64_C(1) << 63, data, 1), LSM_IOERR);
    CHECK_OK(os_truncate(&file, UINT64_MAX));
    CHECK_EQ_INT(fake.calls, 0);
    CHECK_OK(os_read(&file, (uint64_t)INT64_MAX - 16, data, 16));
    CHECK_EQ_INT(data[15], 7);
    CHECK_EQ_INT(fake.offset, INT64_MAX - 16);
    CHECK_OK(os_truncate(&file, 99));
    CHECK_EQ_INT(fake.offset, 99);
    os_close(&file);
    CHECK_EQ_PTR(file.file, NULL);
}

TEST(failure_of_a_foreign_callback_has_no_system_error) {
    lsm_env *env = fake_env();
    struct os_file file = {0};

    os_error_note(EIO);
    CHECK_OK(os_open(env, "a", 0, &file));
    CHECK_EQ_INT(os_last_error(), EIO); /* of the last failure; this was none */
    CHECK_RC(os_write(&file, 0, "x", 1), LSM_IOERR);
    CHECK_EQ_INT(os_last_error(), 0);
    os_close(&file);
}

TEST(closing_keeps_the_number_of_the_failure_before) {
    lsm_env *env = lsm_default_env();
    struct os_file file = {0}, other = {0};

    CHECK_OK(os_open(env, test_path("a"), 0, &file));
    CHECK_RC(os_open(env, test_path("no/such/file"), 0, &other), LSM_IOERR_NOENT);
    os_close(&file);
    CHECK_EQ_INT(os_last_error(), ENOENT);
}

TEST(sector_sizes_are_powers_of_two_or_512) {
    lsm_env *env = fake_env();
    struct os_file file = {0};
    static const int given[] = {512, 4096, 1, 0, -1, 1000, 131072, 65536};
    static const uint32_t expected[] = {512, 4096, 1, 512, 512, 512, 512, 65536};
    size_t i;

    CHECK_OK(os_open(env, "a", 0, &file));
    for (i = 0; i < sizeof given / sizeof *given; i++) {
        TEST_NOTE("given %d", given[i]);
        fake.sector_size = given[i];
        CHECK_EQ_UINT(os_sector_size(&file), expected[i]);
    }
    os_close(&file);
}

TEST(file_id_longer_than_the_room_is_an_error) {
    lsm_env *env = fake_env();
    struct os_file file = {0};
    uint8_t id[8] = {0};
    size_t size = 77;

    CHECK_OK(os_open(env, "a", 0, &file));
    fake.id_size = 9;
    CHECK_RC(os_file_id(&file, id, sizeof id, &size), LSM_ERROR);
    CHECK_EQ_UINT(size, 77);
    fake.id_size = 8;
    CHECK_OK(os_file_id(&file, id, sizeof id, &size));
    CHECK_EQ_UINT(size, 8);
    CHECK_EQ_INT(id[7], 3);
    os_close(&file);
}

TEST(foreign_environments_lack_the_extras) {
    lsm_env *env = fake_env();
    struct os_file file = {0};
    uint64_t size = 1;
    uint8_t bytes[4];
    void *address = &size;
    int kind = 77;

    CHECK_OK(os_open(env, "a", 0, &file));
    CHECK_EQ_PTR(os_extra_of(env), NULL);
    CHECK_OK(os_file_size(&file, &size));
    CHECK_EQ_UINT(size, UINT64_MAX);
    CHECK(!os_can_map(&file));
    CHECK_RC(os_map(&file, 0, 1, &address), LSM_ERROR);
    CHECK_OK(os_unmap(&file, NULL, 0));
    CHECK_OK(os_reserve(&file, 1000));
    CHECK_OK(os_sync_directory(env, "/a"));
    CHECK(!os_random(env, bytes, sizeof bytes));
    CHECK_RC(os_path_kind(env, "/a", &kind), LSM_ERROR);
    CHECK_EQ_INT(kind, 77);
    os_close(&file);
}

TEST(a_copy_of_the_default_environment_with_another_allocator_keeps_the_extras) {
    lsm_env env = *lsm_default_env();

    env.xMalloc = fake_malloc;
    CHECK(os_extra_of(&env) != NULL);
    CHECK_EQ_PTR(os_extra_of(&env), os_extra_of(lsm_default_env()));
}

TEST(a_copy_that_lays_its_own_callback_over_the_files_loses_them) {
    lsm_env env = *lsm_default_env();

    env.xRead = fake_read; /* a mapping would go past it */
    CHECK_EQ_PTR(os_extra_of(&env), NULL);
}

static int seven_bytes(lsm_file *file, uint64_t *size) {
    (void)file;
    *size = 7;
    return LSM_OK;
}

TEST(a_registered_table_is_used_until_removed) {
    static const struct os_extra extra = {.file_size = seven_bytes};
    lsm_env *env = fake_env();
    struct os_file file = {0};
    uint64_t size = 0;

    CHECK_OK(os_open(env, "a", 0, &file));
    CHECK_OK(os_extra_register(env, &extra));
    CHECK_OK(os_extra_register(env, &extra)); /* again: replaced */
    CHECK_OK(os_file_size(&file, &size));
    CHECK_EQ_UINT(size, 7);
    CHECK(!os_can_map(&file));
    CHECK_OK(os_extra_register(env, NULL));
    CHECK_OK(os_extra_register(env, NULL));
    CHECK_OK(os_file_size(&file, &size));
    CHECK_EQ_UINT(size, UINT64_MAX);
    os_close(&file);
}

TEST(registering_more_environments_than_fit_is_refused) {
    static lsm_env envs[100];
    static const struct os_extra extra = {.file_size = seven_bytes};
    int count = 0;
    int rc = LSM_OK;

    while (count < 100 && (rc = os_extra_register(&envs[count], &extra)) == LSM_OK) count++;
    CHECK(count >= 32);
    CHECK_RC(rc, LSM_NOMEM);
    while (count-- > 0) CHECK_OK(os_extra_register(&envs[count], NULL));
}

TEST(places_in_the_region_with_small_and_large_pages) {
    struct os_shm_place place = {0};

    CHECK_OK(os_shm_place(5, 32768, 4096, &place));
    CHECK_EQ_UINT(place.window, 5);
    CHECK_EQ_UINT(place.offset, 0);
    CHECK_EQ_UINT(place.window_size, 32768);
    CHECK_EQ_UINT(place.chunk_end, 6 * 32768);
    CHECK_OK(os_shm_place(5, 32768, 65536, &place));
    CHECK_EQ_UINT(place.window, 2);
    CHECK_EQ_UINT(place.offset, 32768);
    CHECK_EQ_UINT(place.window_size, 65536);
    CHECK_EQ_UINT(place.chunk_end, 6 * 32768);
}

TEST(the_region_ends_one_chunk_before_two_gigabytes) {
    struct os_shm_place place = {0};

    CHECK_OK(os_shm_place(65534, 32768, 4096, &place));
    CHECK_EQ_UINT(place.chunk_end, UINT64_C(0x7fff8000));
    CHECK_RC(os_shm_place(65535, 32768, 4096, &place), LSM_FULL);
    CHECK_RC(os_shm_place(INT32_MAX, 32768, 4096, &place), LSM_FULL);
    CHECK_EQ_UINT(place.chunk_end, UINT64_C(0x7fff8000)); /* untouched */
    CHECK_RC(os_shm_place(-1, 32768, 4096, &place), LSM_MISUSE);
    CHECK_RC(os_shm_place(0, 0, 4096, &place), LSM_MISUSE);
    CHECK_RC(os_shm_place(0, 5000, 4096, &place), LSM_MISUSE);
}

TEST(remapping_grows_in_steps) {
    CHECK_EQ_UINT(os_remap_size(0), 0);
    CHECK_EQ_UINT(os_remap_size(1), 262144);
    CHECK_EQ_UINT(os_remap_size(262144), 262144);
    CHECK_EQ_UINT(os_remap_size(2 * 1048576), 2 * 1048576);
    CHECK_EQ_UINT(os_remap_size(2 * 1048576 + 1), 3 * 1048576);
}

TEST_MAIN()
