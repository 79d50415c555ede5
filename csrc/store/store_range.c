/*
** store_range.c — the range tombstones of a run, as intervals of keys.
**
**     records     [c   ]f   ][h=1  ]k   [p              marks as they are stored; -> means open for ever
**     intervals   (c,f)     (h,k)       (p, ->
**
** Interval that touch in one key are taken as one: that key is a bound, and whoever asks about it is told
** "perhaps", which sends him to the run itself. A run whose first mark ends a range lost the beginning to a
** merge: its first interval has no lower end.
*/
#include "base/memory.h"
#include "store/store_internal.h"

void range_list_init(struct range_list *list, lsm_env *env) {
    *list = (struct range_list){0};
    buffer_init(&list->bytes, env);
}

void range_list_release(struct range_list *list) {
    buffer_release(&list->bytes);
}

/* Bounds are numbered: 2i = low of interval i, 2i + 1 = its high. */
static void put_bound(struct range_list *list, uint32_t bound, struct slice key) {
    buffer_append_slice(&list->bytes, key);
    if (list->bytes.rc != LSM_OK || list->bytes.size > RANGE_BYTES_MAX) {
        list->overflow = true;
        return;
    }
    list->offsets[bound + 1] = (uint32_t)list->bytes.size;
}

static bool ends_at(const struct range_list *list, struct slice key) {
    uint32_t bound = 2 * list->count - 1;
    struct slice high = {NULL, 0};

    if (list->count == 0 || list->open) return false;
    high.size = list->offsets[bound + 1] - list->offsets[bound];
    if (high.size > 0) high.data = list->bytes.data + list->offsets[bound];
    return key_compare(high, key) == 0;
}

void range_list_add(struct range_list *list, uint8_t flags, struct slice key) {
    if (!(flags & (RECORD_START_DELETE | RECORD_END_DELETE)) || list->overflow) return;
    if ((flags & RECORD_END_DELETE) && (flags & RECORD_START_DELETE) && list->open) return;
    if (flags & RECORD_END_DELETE) {
        if (!list->open) { /* begun in front of what is left of the run */
            if (list->count > 0 || list->from_start) {
                list->overflow = true; /* marks that do not pair: better no list */
                return;
            }
            list->from_start = true;
            put_bound(list, 0, (struct slice){NULL, 0});
            list->count = 1;
        }
        put_bound(list, 2 * list->count - 1, key);
        list->open = false;
    }
    if (list->overflow || !(flags & RECORD_START_DELETE)) return;
    if (list->open) {
        list->overflow = true;
    } else if (ends_at(list, key)) {
        list->bytes.size = list->offsets[2 * list->count - 1]; /* go on: take the end back */
        list->open = true;
    } else if (list->count == RANGES_MAX) {
        list->overflow = true;
    } else {
        put_bound(list, 2 * list->count, key);
        list->count++;
        list->open = true;
    }
}

bool range_copy_make(struct store *store, const struct range_list *list, struct range_copy *out) {
    uint32_t bounds = 2 * list->count - (list->open ? 1 : 0);
    size_t numbers = ((size_t)bounds + 1) * sizeof(uint32_t);
    uint32_t *offsets;

    if (list->overflow) return false;
    *out = (struct range_copy){.count = list->count, .from_start = list->from_start,
                               .open = list->open};
    if (list->count == 0) return true;
    out->bytes = numbers + list->offsets[bounds];
    offsets = store_allocate(store, out->bytes);
    if (offsets == NULL) return false;
    memcpy(offsets, list->offsets, numbers);
    if (list->offsets[bounds] > 0) {
        memcpy((uint8_t *)offsets + numbers, list->bytes.data, list->offsets[bounds]);
    }
    out->offsets = offsets;
    out->data = (const uint8_t *)offsets + numbers;
    return true;
}

bool range_copy_again(struct store *store, const struct range_copy *ranges,
                      struct range_copy *out) {
    uint32_t *offsets;

    *out = *ranges;
    if (ranges->bytes == 0) return true;
    offsets = store_allocate(store, ranges->bytes);
    if (offsets == NULL) return false;
    memcpy(offsets, ranges->offsets, ranges->bytes);
    out->offsets = offsets;
    out->data = (const uint8_t *)offsets + (ranges->data - (const uint8_t *)ranges->offsets);
    return true;
}

void range_copy_release(struct store *store, struct range_copy *copy) {
    store_deallocate(store, (void *)(uintptr_t)copy->offsets, copy->bytes);
    *copy = (struct range_copy){0};
}

static struct slice copy_bound(const struct range_copy *ranges, uint32_t bound) {
    return (struct slice){ranges->data + ranges->offsets[bound],
                          ranges->offsets[bound + 1] - ranges->offsets[bound]};
}

bool range_copy_covers(const struct range_copy *ranges, struct slice key) {
    uint32_t low = 0; /* intervals below it begin below the key, intervals from `high` on do not */
    uint32_t high = ranges->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        bool below = (middle == 0 && ranges->from_start) ||
                     key_compare(copy_bound(ranges, 2 * middle), key) < 0;
        if (below) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) return false;
    if (low == ranges->count && ranges->open) return true;
    return key_compare(key, copy_bound(ranges, 2 * low - 1)) < 0;
}
