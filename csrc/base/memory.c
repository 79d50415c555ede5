/*
** memory.c — allocation through lsm_env.
*/
#include "base/memory.h"

void *memory_allocate(lsm_env *env, size_t size) {
    return env->xMalloc(env, size ? size : 1);
}

void *memory_allocate_zero(lsm_env *env, size_t size) {
    void *block = memory_allocate(env, size);
    if (block) memset(block, 0, size ? size : 1);
    return block;
}

void *memory_reallocate(lsm_env *env, void *block, size_t size) {
    return env->xRealloc(env, block, size ? size : 1);
}

void memory_free(lsm_env *env, void *block) {
    if (block) env->xFree(env, block);
}
