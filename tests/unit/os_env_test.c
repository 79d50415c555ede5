/*
** os_env_test.c — the default environment's table and allocator.
*/
#include "support/test.h"

#include "base/memory.h"
#include "os/os.h"

/* AddressSanitizer asks for its options: its allocator shall fail as others do. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

TEST(default_environment_is_one_writable_complete_table) {
    lsm_env *env = lsm_default_env();

    CHECK_EQ_PTR(lsm_default_env(), env);
    CHECK_EQ_INT(env->nByte, (int)sizeof(lsm_env));
    CHECK_EQ_INT(env->iVersion, 1);
    CHECK(env->xFullpath && env->xOpen && env->xRead && env->xWrite && env->xTruncate);
    CHECK(env->xSync && env->xSectorSize && env->xRemap && env->xFileid && env->xClose);
    CHECK(env->xUnlink && env->xLock && env->xTestLock && env->xShmMap && env->xShmBarrier);
    CHECK(env->xShmUnmap && env->xMalloc && env->xRealloc && env->xFree && env->xSize);
    CHECK(env->xMutexStatic && env->xMutexNew && env->xMutexDel && env->xMutexEnter);
    CHECK(env->xMutexTry && env->xMutexLeave && env->xSleep);
    env->pVfsCtx = &env;
    env->pVfsCtx = NULL;
}

TEST(malloc_of_nothing_gives_a_block) {
    lsm_env *env = lsm_default_env();
    void *block = env->xMalloc(env, 0);

    CHECK(block != NULL);
    CHECK_EQ_UINT(env->xSize(env, block), 0);
    env->xFree(env, block);
}

/* DF-69 */
TEST(size_is_what_was_asked_for) {
    lsm_env *env = lsm_default_env();
    size_t sizes[] = {1, 7, 8, 15, 16, 17, 4096, 100000};
    size_t i;

    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *block = env->xMalloc(env, sizes[i]);
        CHECK(block != NULL);
        CHECK_EQ_UINT(env->xSize(env, block), sizes[i]);
        CHECK_EQ_UINT((uintptr_t)block % _Alignof(max_align_t), 0);
        memset(block, 1, sizes[i]);
        block = env->xRealloc(env, block, sizes[i] * 3);
        CHECK(block != NULL);
        CHECK_EQ_UINT(env->xSize(env, block), sizes[i] * 3);
        CHECK_EQ_INT(((uint8_t *)block)[sizes[i] - 1], 1);
        env->xFree(env, block);
    }
    CHECK_EQ_UINT(env->xSize(env, NULL), 0);
}

TEST(realloc_to_nothing_frees_and_realloc_of_nothing_allocates) {
    lsm_env *env = lsm_default_env();
    void *block = env->xRealloc(env, NULL, 10);

    CHECK(block != NULL);
    CHECK_EQ_UINT(env->xSize(env, block), 10);
    CHECK_EQ_PTR(env->xRealloc(env, block, 0), NULL);
    env->xFree(env, NULL);
}

/* DF-69 */
TEST(sizes_that_no_machine_has_fail_and_leave_the_block) {
    lsm_env *env = lsm_default_env();
    uint8_t *block = env->xMalloc(env, 4);

    CHECK(block != NULL);
    block[3] = 9;
    CHECK_EQ_PTR(env->xMalloc(env, SIZE_MAX), NULL);
    CHECK_EQ_PTR(env->xMalloc(env, SIZE_MAX - 8), NULL);
    CHECK_EQ_PTR(env->xRealloc(env, block, SIZE_MAX - 8), NULL);
    CHECK_EQ_PTR(env->xMalloc(env, SIZE_MAX / 4), NULL); /* refused by the system */
    CHECK_EQ_PTR(env->xRealloc(env, block, SIZE_MAX / 4), NULL);
    CHECK_EQ_INT(block[3], 9);
    env->xFree(env, block);
}

TEST(public_functions_take_the_default_environment_for_null) {
    void *block = lsm_malloc(NULL, 5);

    CHECK(block != NULL);
    block = lsm_realloc(NULL, block, 50);
    CHECK(block != NULL);
    CHECK_EQ_UINT(lsm_default_env()->xSize(NULL, block), 50);
    lsm_free(NULL, block);
    lsm_free(NULL, NULL);
}

TEST_MAIN()
