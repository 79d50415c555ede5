/*
** shm_chunk.c — the chunks of the region and the table of their addresses.
**
** INVARIANTS  (C1) A chunk never moves and lives until shm_close.
**             (C2) chunk_count is raised after the new address stands in the current table: who has seen the
**                  count finds the chunks.
**             (C3) A table that was current once stays readable until shm_close. Readers without a lock may
**                  hold any of them; each has the addresses of all chunks its readers know of.
** OWNERSHIP   struct shm owns tables and chunks. Tables double, so that all the old ones together are not
**             larger than the newest.
** LOCKING     The mutex for growing; none for reading.
** ERRORS      LSM_NOMEM or LSM_FULL; what was there before stays usable.
*/
#include <stdatomic.h>

#include "base/memory.h"
#include "shm/shm_internal.h"

#define TABLE_CAPACITY_FIRST 64

/* All tables hang on shm->old_tables, the current one first. */
struct shm_table {
    struct shm_table *older;
    uint8_t *_Atomic chunks[];
};

/* ------------------------------------------------------------------------- private memory -- */

static int private_chunk_open(struct shm *shm, uint32_t chunk_no, uint8_t **out) {
    uint8_t *chunk = memory_allocate_zero(shm->env, SHM_CHUNK_SIZE);
    (void)chunk_no;
    if (chunk == NULL) return LSM_NOMEM;
    *out = chunk;
    return LSM_OK;
}

static void private_chunk_close(struct shm *shm, uint8_t *chunk) {
    memory_free(shm->env, chunk);
}

/* One process: locks are a matter of the books alone. */
static const struct shm_backing private_backing = {
    .chunk_open = private_chunk_open,
    .chunk_close = private_chunk_close,
};

/* -------------------------------------------------------------------------------- growing -- */

/* Make a table with room for `count` chunks the current one. Mutex held, or nobody else there yet. */
static int table_grow(struct shm *shm, uint32_t count) {
    uint32_t present = atomic_load_explicit(&shm->chunk_count, memory_order_relaxed);
    uint32_t capacity = shm->table_capacity ? shm->table_capacity : TABLE_CAPACITY_FIRST;
    uint8_t *_Atomic *current = atomic_load_explicit(&shm->chunks, memory_order_relaxed);
    struct shm_table *table;

    while (capacity < count) capacity *= 2;
    table = memory_allocate(shm->env, sizeof(struct shm_table) + capacity * sizeof(uint8_t *));
    if (table == NULL) return LSM_NOMEM;
    for (uint32_t i = 0; i < capacity; i++) {
        uint8_t *chunk = i < present
                             ? atomic_load_explicit(&current[i], memory_order_relaxed)
                             : NULL;
        atomic_init(&table->chunks[i], chunk);
    }
    table->older = shm->old_tables;
    shm->old_tables = table;
    shm->table_capacity = capacity;
    atomic_store_explicit(&shm->chunks, table->chunks, memory_order_release);
    return LSM_OK;
}

/* Add chunks until there are `count`. Mutex held, or nobody else there yet. */
static int chunks_grow(struct shm *shm, uint32_t count) {
    uint32_t present = atomic_load_explicit(&shm->chunk_count, memory_order_relaxed);
    uint8_t *_Atomic *table;
    int rc = LSM_OK;

    if (count > shm->table_capacity) rc = table_grow(shm, count);
    table = atomic_load_explicit(&shm->chunks, memory_order_relaxed);
    while (rc == LSM_OK && present < count) {
        uint8_t *chunk = NULL;
        rc = shm->backing->chunk_open(shm, present, &chunk);
        if (rc != LSM_OK) break;
        atomic_store_explicit(&table[present], chunk, memory_order_release);
        present++;
        atomic_store_explicit(&shm->chunk_count, present, memory_order_release); /* C2 */
    }
    return rc;
}

int shm_ensure(struct shm *shm, uint32_t count) {
    int rc;

    if (count <= atomic_load_explicit(&shm->chunk_count, memory_order_acquire)) return LSM_OK;
    if (count > shm->chunk_limit) return LSM_FULL;
    os_mutex_enter(shm->env, shm->mutex);
    rc = chunks_grow(shm, count);
    os_mutex_leave(shm->env, shm->mutex);
    return rc;
}

/* --------------------------------------------------------------------------- open and close -- */

int shm_open_backing(lsm_env *env, const struct shm_backing *backing, struct shm **out) {
    struct shm *shm;
    int rc;

    shm = memory_allocate_zero(env, sizeof *shm);
    if (shm == NULL) return LSM_NOMEM;
    shm->env = env;
    shm->backing = backing;
    shm->chunk_limit = SHM_CHUNKS_MAX;
    atomic_init(&shm->chunks, NULL);
    atomic_init(&shm->chunk_count, 0);
    rc = os_mutex_new(env, &shm->mutex);
    if (rc != LSM_OK) goto done;
    rc = chunks_grow(shm, 1);
    if (rc != LSM_OK) goto done;
    shm->header = (struct shm_header *)(void *)atomic_load_explicit(&shm_table(shm)[0],
                                                                    memory_order_relaxed);
    *out = shm;
done:
    if (rc != LSM_OK) shm_close(shm);
    return rc;
}

int shm_open_private(lsm_env *env, struct shm **out) {
    return shm_open_backing(env, &private_backing, out);
}

void shm_close(struct shm *shm) {
    struct shm_table *table;
    uint32_t count;

    if (shm == NULL) return;
    assert(shm->holders == NULL);
    count = atomic_load_explicit(&shm->chunk_count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++) {
        shm->backing->chunk_close(
            shm, atomic_load_explicit(&shm_table(shm)[i], memory_order_relaxed));
    }
    table = shm->old_tables;
    while (table != NULL) {
        struct shm_table *older = table->older;
        memory_free(shm->env, table);
        table = older;
    }
    os_mutex_free(shm->env, shm->mutex);
    memory_free(shm->env, shm);
}
