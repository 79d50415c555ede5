/*
** memory.h — the only door to memory: through the environment of the connection.
*/
#ifndef LSM_BASE_MEMORY_H
#define LSM_BASE_MEMORY_H

#include "base/types.h"

/* NULL when there is no memory. The block is not cleared. `size` 0 gives a block. */
LSM_MUST_USE void *memory_allocate(lsm_env *env, size_t size);

/* The same, cleared. */
LSM_MUST_USE void *memory_allocate_zero(lsm_env *env, size_t size);

/* Grow or shrink; NULL leaves the old block as it was. */
LSM_MUST_USE void *memory_reallocate(lsm_env *env, void *block, size_t size);

/* NULL is allowed. */
void memory_free(lsm_env *env, void *block);

#endif
