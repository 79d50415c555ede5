/*
** merge_run.c — inputs in, one segment out.
**
** Numbered as in the code: (1) the inputs are put in the order of their keys; (2) each input votes;
** (3) the rules make one record; (4) the input that supplies pointers moves the pointer in force;
** (5) the record is written; (6) the inputs that stood at the key move on.
**
** Most keys stand in one input only, as a plain value or delete, with no range tombstone anywhere
** near. Those need no votes: lone_keys passes them on for as long as they come, and keeps the order
** by moving the one input that went on.
**
**     order   | A 17 | C 20 | B 31 |    17 is written, A goes on to 24    | C 20 | A 24 | B 31 |
**
** INVARIANTS  (R1) all state between two keys is in the positions of the inputs and the pointer in
**             force: that is what an interrupted merge saves.
**             (R2) a run stops between two keys, never right behind a separator.
**             (R3) want_index: as long as all records are on the first page the last one is held
**             back, so that it can open a second page if nothing follows. Two pages on which
**             records start make an index, and a run with an index is not entered by pointers,
**             which may be of an older date.
**             (R4) order[0..order_count-1] are the valid inputs, ascending, when a key is begun.
** COST        a key of one input: a comparison or two; others: one pass over the inputs. Nothing is
**             allocated a record.
*/
#include "base/memory.h"
#include "work/work_internal.h"

#define RECORD_HEAD_ESTIMATE 8u /* type, pointer, two lengths, and the cell */
#define GOOD_STOP_PAGES 4u      /* beyond the quota */

int merge_run_init(struct merge_run *run, struct work *work, uint32_t capacity) {
    *run = (struct merge_run){.work = work, .pointer_item = VOTE_NONE};
    buffer_init(&run->held_key, work->env);
    buffer_init(&run->held_value, work->env);
    run->items = memory_allocate_zero(work->env, capacity * sizeof *run->items);
    run->votes = memory_allocate_zero(work->env, capacity * sizeof *run->votes);
    run->order = memory_allocate_zero(work->env, capacity * sizeof *run->order);
    run->item_capacity = capacity;
    return run->items && run->votes && run->order ? LSM_OK : LSM_NOMEM;
}

void merge_run_release(struct merge_run *run) {
    uint32_t i;

    if (run->work == NULL) return;
    for (i = 0; i < run->item_count; i++) merge_item_release(&run->items[i]);
    memory_free(run->work->env, run->items);
    memory_free(run->work->env, run->votes);
    memory_free(run->work->env, run->order);
    segment_writer_free(run->writer);
    run_builder_free(run->builder);
    buffer_release(&run->held_key);
    buffer_release(&run->held_value);
    *run = (struct merge_run){0};
}

struct merge_item *merge_run_add(struct merge_run *run) {
    assert(run->item_count < run->item_capacity);
    return &run->items[run->item_count++];
}

void merge_run_listen(struct merge_run *run, struct run_builder *builder) {
    struct segment_observer observer;

    run->builder = builder;
    if (builder == NULL) return;
    observer = run_builder_observer(builder);
    segment_writer_observe(run->writer, &observer);
}

struct run_builder *merge_run_take_builder(struct merge_run *run) {
    struct run_builder *builder = run->builder;
    run->builder = NULL;
    return builder;
}

uint32_t merge_run_smallest(const struct merge_run *run) {
    uint32_t smallest = VOTE_NONE;
    uint32_t i;

    for (i = 0; i < run->item_count; i++) {
        if (!run->items[i].valid) continue;
        if (smallest == VOTE_NONE ||
            merge_item_compare(&run->items[i], &run->items[smallest]) < 0) {
            smallest = i;
        }
    }
    return smallest;
}

/* ----------------------------------------------------------------------------------- output -- */

/* Data pages begun, counting the one that a record held back will need. */
static uint32_t output_pages(const struct merge_run *run) {
    uint32_t pages = segment_writer_data_pages(run->writer);
    return pages == 0 && run->holding ? 1 : pages;
}

/* Is this a place to stop at which every engine answers rightly? The rules of the format hold at
** any; but some searches of other engines fail when the split key lies inside a range of an input,
** or is a separator's. */
static bool is_good_stop(const struct merge_run *run, const struct merge_item *next,
                         uint8_t flags) {
    uint32_t i;

    if (flags & RECORD_SEPARATOR) return false;
    for (i = 0; i < run->item_count; i++) {
        const struct merge_item *item = &run->items[i];
        if (item->valid && item->topic == next->topic && (item->flags & RECORD_END_DELETE)) {
            return false;
        }
    }
    return true;
}

/* Is the quota used up, so that the record of `next`, `size` bytes with these flags, had better
** begin the next slice? A page that is less than half full takes it all the same: a slice of one
** page must not make a page of one record. For a good place to stop a few pages more are spent. */
static bool quota_is_used(const struct merge_run *run, const struct merge_item *next, uint8_t flags,
                          uint64_t size) {
    uint32_t pages = output_pages(run);
    uint32_t room = run->work->next.page_size - PAGE_FOOTER_SIZE;

    if (!run->may_stop || pages < run->quota) return false;
    if (pages < (uint64_t)run->quota + GOOD_STOP_PAGES && !is_good_stop(run, next, flags)) {
        return false;
    }
    return pages > run->quota || (run->page_used >= room / 2 && run->page_used + size > room);
}

/* What a record adds to the last page; bodies fill pages to the end. */
static void count_bytes(struct merge_run *run, uint64_t size) {
    uint32_t room = run->work->next.page_size - PAGE_FOOTER_SIZE;
    uint64_t used = run->page_used + size;

    run->page_used = (uint32_t)(used < room ? used : used % room);
}

static int write_held(struct merge_run *run) {
    int rc;

    if (!run->holding) return LSM_OK;
    run->holding = false;
    rc = segment_writer_add(run->writer, run->held_flags, buffer_slice(&run->held_key),
                            buffer_slice(&run->held_value), run->held_pointer);
    if (rc == LSM_OK) segment_writer_set_pointer(run->writer, run->pointer_after);
    return rc;
}

int merge_run_settle(struct merge_run *run) {
    if (run->holding && segment_writer_record_count(run->writer) > 0 &&
        segment_writer_data_pages(run->writer) <= 1) {
        segment_writer_break_page(run->writer); /* (R3) */
    }
    return write_held(run);
}

static int hold(struct merge_run *run, uint8_t flags, struct slice key, struct slice value,
                uint64_t pointer) {
    int rc = buffer_assign(&run->held_key, key);

    if (rc == LSM_OK) rc = buffer_assign(&run->held_value, value);
    if (rc != LSM_OK) return rc;
    run->held_flags = flags;
    run->held_pointer = pointer;
    run->pointer_after = pointer;
    run->holding = true;
    return LSM_OK;
}

static int write_record(struct merge_run *run, uint8_t flags, struct slice key, struct slice value,
                        uint64_t pointer) {
    int rc;

    if (!(flags & RECORD_SYSTEM)) run->user_records++;
    run->may_stop = !(flags & RECORD_SEPARATOR);
    count_bytes(run, (uint64_t)key.size + value.size + RECORD_HEAD_ESTIMATE);
    rc = write_held(run);
    if (rc != LSM_OK) return rc;
    if (segment_writer_data_pages(run->writer) > 1) run->want_index = false;
    if (run->want_index) return hold(run, flags, key, value, pointer);
    return segment_writer_add(run->writer, flags, key, value, pointer);
}

/* Nothing is written for this key, but the pointer in force has moved. */
static void write_pointer(struct merge_run *run, uint64_t pointer) {
    if (run->holding) run->pointer_after = pointer;
    else segment_writer_set_pointer(run->writer, pointer);
}

/* ------------------------------------------------------------------------------------- keys -- */

/* (1) Few inputs, mostly in order: the simplest sort is the quickest. */
static void sort_inputs(struct merge_run *run) {
    uint32_t count = 0;
    uint32_t i;

    for (i = 0; i < run->order_count; i++) {
        uint32_t input = run->order[i];
        uint32_t at;
        if (!run->items[input].valid) continue;
        for (at = count; at > 0; at--) {
            if (merge_item_compare(&run->items[run->order[at - 1]], &run->items[input]) <= 0) break;
            run->order[at] = run->order[at - 1];
        }
        run->order[at] = input;
        count++;
    }
    run->order_count = count;
}

/* The first input went on, or is exhausted; all others stand where they stood. */
static void sort_first(struct merge_run *run) {
    uint32_t input = run->order[0];
    uint32_t at = 0;
    bool valid = run->items[input].valid;

    while (at + 1 < run->order_count &&
           (!valid ||
            merge_item_compare(&run->items[run->order[at + 1]], &run->items[input]) < 0)) {
        run->order[at] = run->order[at + 1];
        at++;
    }
    run->order[at] = input;
    if (!valid) run->order_count--;
}

static void vote(struct merge_run *run, uint32_t smallest) {
    const struct merge_item *items = run->items;
    uint32_t i;

    for (i = 0; i < run->item_count; i++) {
        struct key_vote *one = &run->votes[i];
        one->at_key = items[i].valid &&
                      (i == smallest || merge_item_compare(&items[i], &items[smallest]) == 0);
        /* A range of one topic does not reach into the other. */
        one->flags = items[i].valid && items[i].topic == items[smallest].topic ? items[i].flags : 0;
    }
}

/* (5) Write what the rules made of the key of `item`; or *stop, with nothing changed. */
static int put_key(struct merge_run *run, struct merge_item *item, uint8_t flags,
                   struct merge_item *owner, uint64_t pointer, bool *stop) {
    struct slice value = {NULL, 0};
    int rc;

    if (owner != NULL) {
        rc = merge_item_value(owner, &value);
        if (rc != LSM_OK) return rc;
    }
    if (quota_is_used(run, item, flags,
                      (uint64_t)item->key.size + value.size + RECORD_HEAD_ESTIMATE)) {
        *stop = true;
        return LSM_OK;
    }
    run->current_pointer = pointer;
    if (flags) return write_record(run, flags, item->key, value, pointer);
    write_pointer(run, pointer);
    return LSM_OK;
}

/* The key of the first input, by votes. */
static int one_key(struct merge_run *run, bool *stop) {
    struct merge_item *items = run->items;
    uint32_t smallest = run->order[0];
    uint64_t pointer = run->current_pointer;
    struct merge_item *value_item = NULL;
    uint32_t owner;
    uint8_t flags;
    uint32_t i;
    int rc;

    vote(run, smallest);                                                             /* (2) */
    flags = merge_record_flags(run->votes, run->item_count, run->oldest, &owner);    /* (3) */
    if (run->pointer_item != VOTE_NONE && run->votes[run->pointer_item].at_key) {    /* (4) */
        pointer = items[run->pointer_item].pointer;
    }
    if ((flags & RECORD_SEPARATOR) && pointer == 0) flags = 0;
    if (owner != VOTE_NONE && (flags & RECORD_INSERT)) value_item = &items[owner];
    rc = put_key(run, &items[smallest], flags, value_item, pointer, stop);           /* (5) */
    if (rc != LSM_OK || *stop) return rc;
    for (i = run->item_count; i-- > 0;) { /* (6); the one whose key is borrowed goes last */
        if (!run->votes[i].at_key || i == smallest) continue;
        rc = merge_item_next(&items[i]);
        if (rc != LSM_OK) return rc;
    }
    return merge_item_next(&items[smallest]);
}

/* Does some input stand on or inside a range? */
static bool any_range(const struct merge_run *run) {
    uint32_t i;

    for (i = 0; i < run->order_count; i++) {
        if (run->items[run->order[i]].flags & RECORD_END_DELETE) return true;
    }
    return false;
}

/* Is the first input alone at its key, with a record that needs no rules? */
static bool is_lone(const struct merge_run *run) {
    const struct merge_item *item = &run->items[run->order[0]];
    uint8_t flags = item->flags & (uint8_t)~RECORD_SYSTEM;

    if (flags != RECORD_INSERT && flags != RECORD_POINT_DELETE) return false;
    return run->order_count == 1 ||
           merge_item_compare(item, &run->items[run->order[1]]) != 0;
}

/* Pass on keys of one input each, in order and as long as there is no range (R4). */
static int lone_keys(struct merge_run *run, bool *stop) {
    int rc = LSM_OK;

    while (run->order_count > 0 && is_lone(run)) {
        uint32_t input = run->order[0];
        struct merge_item *item = &run->items[input];
        bool insert = (item->flags & RECORD_INSERT) != 0;
        uint64_t pointer = input == run->pointer_item ? item->pointer : run->current_pointer;

        rc = put_key(run, item, insert || !run->oldest ? item->flags : 0, insert ? item : NULL,
                     pointer, stop);
        if (rc != LSM_OK || *stop) break;
        rc = merge_item_next(item);
        if (rc != LSM_OK) break;
        sort_first(run);
        if (item->valid && (item->flags & RECORD_END_DELETE)) break;
    }
    return rc;
}

int merge_run_go(struct merge_run *run, uint32_t quota, bool *exhausted) {
    bool stop = false;
    int rc = LSM_OK;
    uint32_t i;

    run->quota = quota;
    *exhausted = false;
    for (i = 0; i < run->item_count; i++) run->order[i] = i;
    run->order_count = run->item_count;
    while (rc == LSM_OK && !stop) {
        sort_inputs(run);
        if (!any_range(run)) rc = lone_keys(run, &stop);
        if (rc != LSM_OK || stop) break;
        if (run->order_count == 0) {
            *exhausted = true;
            break;
        }
        rc = one_key(run, &stop);
    }
    return rc;
}
