/*
** merge_input.c — one ordered source of records to be written: a tree, a segment, the index of a segment as
** separators, the free-list entries as system records.
**
** OWNERSHIP   keys and values point into the source, valid until it moves.
*/
#include "base/bytes.h"
#include "base/memory.h"
#include "work/work_internal.h"

#define PREFETCH_AHEAD 320 /* the processor does not follow a cursor that rests while others move */

static uint64_t key_prefix(struct slice key) {
    uint8_t bytes[8] = {0};
    if (key.size >= 8) return get_u64(key.data);
    if (key.size) memcpy(bytes, key.data, key.size);
    return get_u64(bytes);
}

/* Take over what the source stands on. */
static void adopt(struct merge_item *item) {
    switch (item->kind) {
        case INPUT_TREE:
            item->valid = memtree_cursor_valid(&item->tree);
            if (!item->valid) return;
            item->topic = TOPIC_USER;
            item->key = item->tree.key;
            item->flags = item->tree.flags;
            item->pointer = 0;
            break;
        case INPUT_SEGMENT:
            item->valid = item->segment.valid;
            if (!item->valid) return;
            item->topic = record_topic(item->segment.flags);
            item->key = item->segment.key;
            item->flags = item->segment.flags;
            item->pointer = item->segment.pointer;
            LSM_PREFETCH(item->key.data + PREFETCH_AHEAD);
            LSM_PREFETCH(item->key.data + PREFETCH_AHEAD + 64);
            break;
        case INPUT_INDEX:
            item->valid = item->index.valid;
            if (!item->valid) return;
            item->topic = item->index.topic;
            item->key = item->index.key;
            item->flags = RECORD_SEPARATOR;
            if (item->topic == TOPIC_SYSTEM) item->flags |= RECORD_SYSTEM;
            item->pointer = item->index.pointer;
            break;
        case INPUT_FREELIST:
            item->valid = item->record_at < item->record_count;
            if (!item->valid) return;
            item->topic = TOPIC_SYSTEM;
            item->key = (struct slice){item->records[item->record_at].key, 4};
            item->flags = item->records[item->record_at].flags;
            item->pointer = 0;
            break;
    }
    item->prefix = key_prefix(item->key);
}

static int step(struct merge_item *item) {
    switch (item->kind) {
        case INPUT_TREE:
            return memtree_next(&item->tree);
        case INPUT_SEGMENT:
            return segment_next(&item->segment);
        case INPUT_INDEX:
            return index_cursor_next(&item->index);
        default:
            item->record_at++;
            return LSM_OK;
    }
}

/* Separators of a segment that does not supply them are not seen. */
static int settle(struct merge_item *item) {
    int rc = LSM_OK;

    adopt(item);
    while (item->valid && item->kind == INPUT_SEGMENT && (item->flags & RECORD_SEPARATOR) &&
           !item->keep_separators) {
        rc = step(item);
        if (rc != LSM_OK) return rc;
        adopt(item);
    }
    return rc;
}

int merge_item_first(struct merge_item *item) {
    int rc = LSM_OK;

    switch (item->kind) {
        case INPUT_TREE:
            rc = memtree_first(&item->tree);
            break;
        case INPUT_SEGMENT:
            rc = segment_first(&item->segment);
            break;
        case INPUT_INDEX:
            rc = index_cursor_first(&item->index);
            break;
        case INPUT_FREELIST:
            item->record_at = 0;
            break;
    }
    return rc == LSM_OK ? settle(item) : rc;
}

int merge_item_next(struct merge_item *item) {
    int rc = step(item);
    return rc == LSM_OK ? settle(item) : rc;
}

int merge_item_restore(struct merge_item *item, const struct merge_input *saved) {
    int rc;

    if (saved->page == 0) {
        item->valid = false;
        return LSM_OK;
    }
    rc = item->kind == INPUT_INDEX ? index_cursor_restore(&item->index, saved)
                                   : segment_go(&item->segment, saved->page, saved->cell);
    return rc == LSM_OK ? settle(item) : rc;
}

int merge_item_value(struct merge_item *item, struct slice *value) {
    switch (item->kind) {
        case INPUT_TREE:
            return memtree_value(&item->tree, value);
        case INPUT_SEGMENT:
            return segment_value(&item->segment, value);
        case INPUT_FREELIST:
            *value = (struct slice){item->records[item->record_at].value, 8};
            return LSM_OK;
        default:
            *value = (struct slice){NULL, 0};
            return LSM_OK;
    }
}

/* ---------------------------------------------------------------------------------- making them -- */

void merge_item_init_tree(struct merge_item *item, struct work *work, const struct memtree *tree) {
    *item = (struct merge_item){.env = work->env, .kind = INPUT_TREE};
    memtree_cursor_init(&item->tree, work->env, work->error);
    memtree_cursor_open(&item->tree, tree);
}

void merge_item_init_segment(struct merge_item *item, struct work *work,
                             const struct segment_view *view, bool keep_separators) {
    *item = (struct merge_item){.env = work->env, .kind = INPUT_SEGMENT, .keep_separators = keep_separators};
    segment_cursor_init(&item->segment, work->env, view);
}

void merge_item_init_index(struct merge_item *item, struct work *work,
                           const struct segment_view *view) {
    *item = (struct merge_item){.env = work->env, .kind = INPUT_INDEX};
    index_cursor_init(&item->index, work->env, view);
}

static bool is_removed(const struct freelist *freelist, uint32_t at, uint32_t block_no) {
    return at < freelist->count && freelist->entries[at].block == block_no &&
           freelist->entries[at].snapshot_id == -1;
}

static void put_record(struct merge_item *item, uint32_t block_no, uint8_t flags,
                       int64_t snapshot_id) {
    struct freelist_record *record = &item->records[item->record_count++];
    record->flags = flags | RECORD_SYSTEM;
    put_u32(record->key, ~block_no);
    put_u64(record->value, (uint64_t)snapshot_id);
}

/*
** Entries as records, highest block first (keys are complements). A removed block lies in an open range from the
** block above it to the block below; neighbouring removals share one range:
**
**     entries  7: free   6: removed   5: removed   3: removed
**     records  7 INSERT+START,  4 END+START,  2 END
*/
int merge_item_init_freelist(struct merge_item *item, struct work *work,
                             const struct freelist *freelist) {
    uint32_t i;

    *item = (struct merge_item){.env = work->env, .kind = INPUT_FREELIST};
    item->records = memory_allocate(work->env, (3 * (size_t)freelist->count + 1) *
                                                   sizeof *item->records);
    if (item->records == NULL) return LSM_NOMEM;
    for (i = freelist->count; i-- > 0;) {
        const struct freelist_entry *entry = &freelist->entries[i];
        uint32_t block = entry->block;
        uint32_t above = i + 1;          /* entry with the next higher block */
        uint32_t below = i - 1;          /* wraps to a huge index when there is none */
        bool entry_above = above < freelist->count && freelist->entries[above].block == block + 1;

        if (entry->snapshot_id != -1) {
            uint8_t flags = RECORD_INSERT;
            if (entry_above && is_removed(freelist, above, block + 1)) flags |= RECORD_END_DELETE;
            if (i > 0 && is_removed(freelist, below, block - 1)) flags |= RECORD_START_DELETE;
            put_record(item, block, flags, entry->snapshot_id);
            continue;
        }
        /* Removed: the start bound above it, unless an entry stands there or it was the end of the last. */
        if (!entry_above) {
            bool shared = item->record_count > 0 &&
                          get_u32(item->records[item->record_count - 1].key) == ~(block + 1);
            if (shared) {
                item->records[item->record_count - 1].flags |= RECORD_START_DELETE;
            } else {
                put_record(item, block + 1, RECORD_START_DELETE, 0);
            }
        }
        /* The end bound below it, unless an entry stands there. */
        if (!(i > 0 && freelist->entries[below].block == block - 1)) {
            put_record(item, block - 1, RECORD_END_DELETE, 0);
        }
    }
    return LSM_OK;
}

void merge_item_release(struct merge_item *item) {
    if (item->env == NULL) return;
    switch (item->kind) {
        case INPUT_TREE:
            memtree_cursor_release(&item->tree);
            break;
        case INPUT_SEGMENT:
            segment_cursor_release(&item->segment);
            break;
        case INPUT_INDEX:
            index_cursor_release(&item->index);
            break;
        case INPUT_FREELIST:
            memory_free(item->env, item->records);
            break;
    }
    item->env = NULL;
}
