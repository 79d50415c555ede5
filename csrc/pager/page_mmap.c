/*
** page_mmap.c — the file, mapped for reading in windows.
**
**     offset = | leaf, 10 bits | window, 10 bits | within the window, 26 bits |
**                   leaves[] -> windows[] -> { data, size }
**
** A window is mapped from its fixed start up to the end of the file, at most to its full length, and never
** beyond the end: touching a mapped page behind the end of a file ends the process. When the file has
** grown and a page behind the mapped part is asked for, the window is mapped anew and the old mapping is
** retired.
**
** INVARIANTS  (I1) A struct page_window never changes; only the table's pointer to it does.
**             (I2) A retired window was in the table before, and is not in it any more.
**             (I3) A retired window is unmapped only when no reader is inside. Whoever enters later finds
**                  the table already without it: entering and looking for readers are both read-modify-
**                  write operations on one counter, so the later of the two sees what came before.
**             (I4) Beside a reader that stays, retired windows are few: RETIRED_FREELY, and from then on as many
**                  as it takes to grow by a quarter each time. Pages behind a window come from the cache.
** OWNERSHIP   Addresses are valid until the pager_reader_leave that ends the bracket they were found in.
** LOCKING     Looking up takes no lock. Everything else takes map.mutex.
** ERRORS      None: what cannot be mapped is read through the page cache.
*/
#include "pager/pager_internal.h"

#include "base/memory.h"

#define RETIRED_FREELY 512u

int page_map_init(struct page_map *map, lsm_env *env, uint64_t bytes_max) {
    map->window_shift = PAGE_MAP_WINDOW_SHIFT;
    map->bytes_max = bytes_max;
    return os_mutex_new(env, &map->mutex);
}

static void window_free(struct pager *pager, struct page_window *window) {
    if (window == NULL) return;
    /* The address range came from os_map: giving it back cannot fail, and nothing could be done. */
    (void)os_unmap(pager->file, (void *)(uintptr_t)window->data, (size_t)window->size);
    memory_free(pager->env, window);
}

static void window_list_free(struct pager *pager, struct page_window *list) {
    while (list) {
        struct page_window *next = list->next_retired;
        window_free(pager, list);
        list = next;
    }
}

void page_map_clear(struct pager *pager) {
    struct page_map *map = &pager->map;

    os_mutex_enter(pager->env, map->mutex);
    for (uint32_t i = 0; i < PAGE_MAP_FAN_OUT; i++) {
        struct page_window_leaf *leaf = atomic_load(&map->leaves[i]);
        if (leaf == NULL) continue;
        for (uint32_t j = 0; j < PAGE_MAP_FAN_OUT; j++) {
            window_free(pager, atomic_exchange(&leaf->windows[j], NULL));
        }
    }
    window_list_free(pager, atomic_exchange(&map->retired, NULL));
    map->retired_count = 0;
    os_mutex_leave(pager->env, map->mutex);
}

void page_map_release(struct pager *pager) {
    struct page_map *map = &pager->map;

    if (map->mutex == NULL) return;
    page_map_clear(pager);
    for (uint32_t i = 0; i < PAGE_MAP_FAN_OUT; i++) {
        memory_free(pager->env, atomic_exchange(&map->leaves[i], NULL));
    }
    os_mutex_free(pager->env, map->mutex);
    map->mutex = NULL;
}

/* The table entry of a window; NULL when there is no memory for it. Requires map.mutex. */
static _Atomic(struct page_window *) *window_entry(struct pager *pager, uint64_t index) {
    struct page_map *map = &pager->map;
    struct page_window_leaf *leaf = atomic_load(&map->leaves[index / PAGE_MAP_FAN_OUT]);

    if (leaf == NULL) {
        leaf = memory_allocate(pager->env, sizeof *leaf);
        if (leaf == NULL) return NULL;
        for (uint32_t i = 0; i < PAGE_MAP_FAN_OUT; i++) atomic_init(&leaf->windows[i], NULL);
        atomic_store_explicit(&map->leaves[index / PAGE_MAP_FAN_OUT], leaf, memory_order_release);
    }
    return &leaf->windows[index % PAGE_MAP_FAN_OUT];
}

/* Map one window as far as the file and the limit reach. NULL when that is not possible. */
static struct page_window *window_new(struct pager *pager, uint64_t start, uint64_t size) {
    struct page_window *window = memory_allocate(pager->env, sizeof *window);
    void *address = NULL;

    if (window == NULL) return NULL;
    if (os_map(pager->file, start, (size_t)size, &address) != LSM_OK) {
        atomic_store(&pager->map.refused, true);
        memory_free(pager->env, window);
        return NULL;
    }
    *window = (struct page_window){.data = address, .size = size};
    return window;
}

/* (I4) */
static bool is_worth_it(const struct page_map *map, const struct page_window *old, uint64_t size) {
    uint64_t window_size = (uint64_t)1 << map->window_shift;

    return old == NULL || map->retired_count < RETIRED_FREELY || size == window_size ||
           size >= old->size + old->size / 4;
}

const uint8_t *page_map_extend(struct pager *pager, uint64_t offset, uint32_t size) {
    struct page_map *map = &pager->map;
    uint64_t window_size = (uint64_t)1 << map->window_shift;
    uint64_t index = offset >> map->window_shift;
    uint64_t start = offset & ~(window_size - 1);
    uint64_t end = atomic_load(&pager->file_size);
    _Atomic(struct page_window *) *entry;
    struct page_window *window;
    struct page_window *old;
    const uint8_t *found;

    if (index >= (uint64_t)PAGE_MAP_FAN_OUT * PAGE_MAP_FAN_OUT) return NULL;
    if (end > map->bytes_max) end = map->bytes_max;
    if (end > start + window_size) end = start + window_size;
    if (offset + size > end) return NULL;
    if (atomic_load(&map->refused) || !os_can_map(pager->file)) return NULL;
    if (window_size % os_map_granularity() != 0) return NULL;

    os_mutex_enter(pager->env, map->mutex);
    found = page_map_find(map, offset, size); /* another thread may have been faster */
    if (found == NULL) {
        entry = window_entry(pager, index);
        old = entry ? atomic_load(entry) : NULL;
        window = entry && is_worth_it(map, old, end - start) ? window_new(pager, start, end - start) : NULL;
        if (window) {
            atomic_store(entry, window);
            if (old) {
                old->next_retired = atomic_load(&map->retired);
                atomic_store(&map->retired, old);
                map->retired_count++;
            }
            found = window->data + (offset - start);
        }
    }
    os_mutex_leave(pager->env, map->mutex);
    return found;
}

void page_map_free_retired(struct pager *pager) {
    struct page_map *map = &pager->map;
    struct page_window *list = NULL;

    os_mutex_enter(pager->env, map->mutex);
    /* Adding 0 is not an idle load: see (I3). */
    if (atomic_fetch_add(&map->readers, 0) == 0) {
        list = atomic_exchange(&map->retired, NULL);
        map->retired_count = 0;
    }
    os_mutex_leave(pager->env, map->mutex);
    window_list_free(pager, list);
}

void pager_reader_enter(struct pager *pager) {
    atomic_fetch_add(&pager->map.readers, 1);
}

void pager_reader_leave(struct pager *pager) {
    uint32_t before = atomic_fetch_sub(&pager->map.readers, 1);

    assert(before > 0);
    if (before == 1 && atomic_load(&pager->map.retired)) page_map_free_retired(pager);
}
