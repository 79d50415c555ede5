/*
** log_map.c — the front of the log file in memory, so that a commit costs no call of the system.
**
** What is stored into a shared mapping of a file is in the system's cache as if it had been written: it survives
** the death of the process, every other reader of the file sees it, and a sync of the file makes it durable. Only
** the call is saved, and that is most of what a small commit costs.
**
**     0                      LOG_MAP_FROM              map.size            LOG_MAP_MAX
**     |  records ......................................|....................|
**     |<---------------- mapped once the log is long enough --------------->|   behind it: os_write
**
** FORMAT      The file is made longer, with zeros, before it is mapped: a zero ends the log for every reader.
** INVARIANTS  (M1) All of the mapping lies inside the file, and its space is allocated: a store into it is not
**                  refused for lack of space. Nobody makes a log shorter while it is in use.
** ERRORS      None. What cannot be had (a foreign environment, a file system of which (M1) is not known, no
**             memory) is not asked for again, and the caller writes.
** COST        The first store to each page, and the first after the system wrote it to the disk, is a page fault;
**             a log that is used in a circle has few of them.
*/
#include "log/log_internal.h"

#define LOG_MAP_FROM (64u << 10)  /* a log that stays shorter is not worth it */
#define LOG_MAP_STEP (1u << 20)   /* at a time, and a quarter of what there is */
#define LOG_MAP_MAX (64u << 20)   /* a log gets longer only while nothing is checkpointed */
#define LOG_MAP_PIECE (16u << 10) /* what is longer is written by a call as fast */

void log_map_release(struct log_map *map, struct os_file *file) {
    if (map->address) (void)os_unmap(file, map->address, map->size); /* the kernel keeps what was stored */
    map->address = NULL;
    map->size = 0;
}

/* Map at least `size` bytes. */
static bool grow(struct log_map *map, struct os_file *file, uint64_t size) {
    uint64_t spare = map->size / 4;
    size_t target = (size_t)((size + spare + LOG_MAP_STEP - 1) / LOG_MAP_STEP * LOG_MAP_STEP);
    void *address = NULL;

    if (target > LOG_MAP_MAX) target = LOG_MAP_MAX;
    log_map_release(map, file);
    if (os_map_stored(file, target, &address) != LSM_OK) {
        map->refused = true;
        return false;
    }
    map->address = address;
    map->size = target;
    return true;
}

bool log_map_store(struct log_map *map, struct os_file *file, uint64_t offset, const void *data, size_t size) {
    uint64_t end = offset + size;

    if (!map->wanted || size > LOG_MAP_PIECE) return false;
    if (end > map->size) {
        bool useful = !map->refused && end >= LOG_MAP_FROM && end <= LOG_MAP_MAX;
        if (!useful || !grow(map, file, end)) return false;
    }
    memcpy(map->address + offset, data, size);
    return true;
}
