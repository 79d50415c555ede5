/*
** os_extra_test.c — directory sync, random bytes, kinds of paths, texts of errors.
*/
#include "support/test.h"

#include <pthread.h>
#include <sys/stat.h>

#include "os/os_internal.h"

static lsm_env *env(void) {
    return lsm_default_env();
}

static void make_file(const char *path) {
    struct os_file file = {0};
    CHECK_OK(os_open(env(), path, 0, &file));
    os_close(&file);
}

TEST(the_folder_of_a_file_can_be_synced) {
    make_file(test_path("a"));
    CHECK_OK(os_sync_directory(env(), test_path("a")));
    CHECK_OK(os_sync_directory(env(), test_path("not-there"))); /* only its folder matters */
    CHECK_OK(os_sync_directory(env(), "relative"));
    CHECK_OK(os_sync_directory(env(), "/tmp"));
}

TEST(a_missing_folder_cannot_be_synced) {
    CHECK_RC(os_sync_directory(env(), test_path("none/a")), LSM_IOERR_NOENT);
    CHECK_EQ_INT(os_last_error(), ENOENT);
    make_file(test_path("file"));
    CHECK_RC(os_sync_directory(env(), test_path("file/a")), LSM_IOERR);
    CHECK_EQ_INT(os_last_error(), ENOTDIR);
}

TEST(paths_have_kinds) {
    int kind = -1;

    CHECK_OK(os_path_kind(env(), test_path("a"), &kind));
    CHECK_EQ_INT(kind, OS_PATH_NONE);
    make_file(test_path("a"));
    CHECK_OK(os_path_kind(env(), test_path("a"), &kind));
    CHECK_EQ_INT(kind, OS_PATH_FILE);
    CHECK_OK(os_path_kind(env(), test_path("a/below-a-file"), &kind));
    CHECK_EQ_INT(kind, OS_PATH_NONE);
    CHECK_EQ_INT(mkdir(test_path("d"), 0755), 0);
    CHECK_OK(os_path_kind(env(), test_path("d"), &kind));
    CHECK_EQ_INT(kind, OS_PATH_DIRECTORY);
    CHECK_EQ_INT(symlink(test_path("d"), test_path("link")), 0);
    CHECK_OK(os_path_kind(env(), test_path("link"), &kind));
    CHECK_EQ_INT(kind, OS_PATH_DIRECTORY);
    CHECK_EQ_INT(mkfifo(test_path("fifo"), 0600), 0);
    CHECK_OK(os_path_kind(env(), test_path("fifo"), &kind));
    CHECK_EQ_INT(kind, OS_PATH_OTHER);
    CHECK_EQ_INT(symlink(test_path("loop"), test_path("loop")), 0);
    kind = -1;
    CHECK_RC(os_path_kind(env(), test_path("loop"), &kind), LSM_IOERR);
    CHECK_EQ_INT(kind, -1);
}

TEST(random_bytes_differ) {
    uint8_t a[64] = {0}, b[64] = {0};

    CHECK(os_random(env(), a, sizeof a));
    CHECK(os_random(env(), b, sizeof b));
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK(os_random(env(), a, 0));
}

TEST(errors_have_texts) {
    char text[128], tiny[5], unknown[128];

    os_error_text(ENOENT, text, sizeof text);
    CHECK_EQ_STR(text, "No such file or directory");
    os_error_text(ENOENT, tiny, sizeof tiny);
    CHECK_EQ_STR(tiny, "No s");
    os_error_text(987654, unknown, sizeof unknown);
    CHECK(unknown[0] != '\0');
    tiny[0] = 'x';
    os_error_text(ENOENT, tiny, 0);
    CHECK_EQ_INT(tiny[0], 'x');
    os_error_text(ENOENT, tiny, 1);
    CHECK_EQ_STR(tiny, "");
}

TEST(errors_map_to_codes) {
    CHECK_RC(os_error_code(ENOSPC), LSM_FULL);
    CHECK_RC(os_error_code(EDQUOT), LSM_FULL);
    CHECK_RC(os_error_code(EIO), LSM_IOERR);
    CHECK_EQ_INT(os_last_error(), EIO);
}

static void *fail_elsewhere(void *context) {
    *(int *)context = os_last_error();
    os_error_note(ENOSPC);
    return NULL;
}

TEST(the_last_error_belongs_to_its_thread) {
    pthread_t thread;
    int seen = -1;

    os_error_note(EIO);
    CHECK_EQ_INT(pthread_create(&thread, NULL, fail_elsewhere, &seen), 0);
    CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    CHECK_EQ_INT(seen, 0);
    CHECK_EQ_INT(os_last_error(), EIO);
}

TEST_MAIN()
