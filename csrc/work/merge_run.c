/*
** merge_run.c — inputs in, one segment out.
**
** Numbered as in the code: (1) the smallest key over all inputs; (2) each input votes; (3) the rules make one
** record; (4) the input that supplies pointers moves the pointer in force; (5) the record is written; (6) the
** inputs that stood at the key move on.
**
** INVARIANTS  (R1) all state between two keys is in the positions of the inputs and the pointer in force: that
**             is what an interrupted merge saves.
**             (R2) a run stops between two keys, never right behind a separator.
**             (R3) want_index: as long as all records are on the first page the last one is held back, so that
**             it can open a second page if nothing follows. Two pages on which records start make an index,
**             and a run with an index is not entered by pointers, which may be of an older date.
** COST        one pass over the inputs a key; nothing is allocated a record.
*/
#include "base/memory.h"
#include "work/work_internal.h"

#define RECORD_HEAD_ESTIMATE 8u /* type, pointer, two lengths, and the cell */

int merge_run_init(struct merge_run *run, struct work *work, uint32_t capacity) {
    *run = (struct merge_run){.work = work, .pointer_item = VOTE_NONE};
    buffer_init(&run->held_key, work->env);
    buffer_init(&run->held_value, work->env);
    run->items = memory_allocate_zero(work->env, capacity * sizeof *run->items);
    run->votes = memory_allocate_zero(work->env, capacity * sizeof *run->votes);
    run->item_capacity = capacity;
    return run->items && run->votes ? LSM_OK : LSM_NOMEM;
}

void merge_run_release(struct merge_run *run) {
    uint32_t i;

    if (run->work == NULL) return;
    for (i = 0; i < run->item_count; i++) merge_item_release(&run->items[i]);
    memory_free(run->work->env, run->items);
    memory_free(run->work->env, run->votes);
    segment_writer_free(run->writer);
    buffer_release(&run->held_key);
    buffer_release(&run->held_value);
    *run = (struct merge_run){0};
}

struct merge_item *merge_run_add(struct merge_run *run) {
    assert(run->item_count < run->item_capacity);
    return &run->items[run->item_count++];
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

/* ------------------------------------------------------------------------------------- output -- */

/* Data pages begun, counting the one that a record held back will need. */
static uint32_t output_pages(const struct merge_run *run) {
    uint32_t pages = segment_writer_data_pages(run->writer);
    return pages == 0 && run->holding ? 1 : pages;
}

/* Is the quota used up, so that a record of `size` bytes had better begin the next slice? A page that is less
** than half full takes it all the same: a slice of one page must not make a page of one record. */
static bool quota_is_used(const struct merge_run *run, uint64_t size) {
    uint32_t pages = output_pages(run);
    uint32_t room = run->work->next.page_size - PAGE_FOOTER_SIZE;

    if (!run->may_stop || pages < run->quota) return false;
    return pages > run->quota || (run->page_used >= room / 2 && run->page_used + size > room);
}

/* What a record adds to the last page; bodies fill pages to the end. */
static void count_bytes(struct merge_run *run, uint64_t size) {
    run->page_used = (uint32_t)((run->page_used + size) %
                                (run->work->next.page_size - PAGE_FOOTER_SIZE));
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

/* --------------------------------------------------------------------------------------- keys -- */

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

/* Write the record of the key that item `smallest` stands on, and move on; or *stop, with nothing changed. */
static int one_key(struct merge_run *run, uint32_t smallest, bool *stop) {
    struct merge_item *items = run->items;
    struct slice value = {NULL, 0};
    uint64_t pointer = run->current_pointer;
    uint32_t owner;
    uint8_t flags;
    uint32_t i;
    int rc = LSM_OK;

    vote(run, smallest);                                                             /* (2) */
    flags = merge_record_flags(run->votes, run->item_count, run->oldest, &owner);    /* (3) */
    if (run->pointer_item != VOTE_NONE && run->votes[run->pointer_item].at_key) {    /* (4) */
        pointer = items[run->pointer_item].pointer;
    }
    if ((flags & RECORD_SEPARATOR) && pointer == 0) flags = 0;
    if (owner != VOTE_NONE && (flags & RECORD_INSERT)) {
        rc = merge_item_value(&items[owner], &value);
        if (rc != LSM_OK) return rc;
    }
    if (quota_is_used(run, (uint64_t)items[smallest].key.size + value.size + RECORD_HEAD_ESTIMATE)) {
        *stop = true;
        return LSM_OK;
    }
    run->current_pointer = pointer;
    if (flags) {                                                                     /* (5) */
        rc = write_record(run, flags, items[smallest].key, value, pointer);
        if (rc != LSM_OK) return rc;
    } else {
        write_pointer(run, pointer);
    }
    for (i = run->item_count; i-- > 0;) { /* (6); the one whose key is borrowed goes last */
        if (!run->votes[i].at_key || i == smallest) continue;
        rc = merge_item_next(&items[i]);
        if (rc != LSM_OK) return rc;
    }
    return merge_item_next(&items[smallest]);
}

int merge_run_go(struct merge_run *run, uint32_t quota, bool *exhausted) {
    bool stop = false;
    int rc = LSM_OK;

    run->quota = quota;
    *exhausted = false;
    while (rc == LSM_OK && !stop) {
        uint32_t smallest = merge_run_smallest(run); /* (1) */
        if (smallest == VOTE_NONE) {
            *exhausted = true;
            break;
        }
        rc = one_key(run, smallest, &stop);
    }
    return rc;
}
