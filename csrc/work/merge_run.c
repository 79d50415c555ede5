/*
** merge_run.c — inputs in, one segment out.
**
** Numbered as in the loop: (1) the smallest key over all inputs; (2) each input votes; (3) the rules make one
** record; (4) the input that supplies pointers moves the pointer in force; (5) the record is written; (6) the
** inputs that stood at the key move on.
**
** INVARIANTS  all state between two keys is in the positions of the inputs and the pointer in force: that is what
**             an interrupted merge saves.
** COST        one pass over the inputs a key; nothing is allocated a record.
*/
#include "base/memory.h"
#include "work/work_internal.h"

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

int merge_run_settle(struct merge_run *run, bool last) {
    if (!run->holding) return LSM_OK;
    run->holding = false;
    if (last && segment_writer_record_count(run->writer) > 0 &&
        segment_writer_data_pages(run->writer) <= 1) {
        segment_writer_break_page(run->writer); /* two indexable pages: the run gets an index */
    }
    return segment_writer_add(run->writer, run->held_flags, buffer_slice(&run->held_key),
                              buffer_slice(&run->held_value), run->held_pointer);
}

/* While everything is on the first page, the last record is held back: it may have to open a second one. */
static int write_record(struct merge_run *run, uint8_t flags, struct slice key, struct slice value,
                        uint64_t pointer) {
    int rc;

    if (!(flags & RECORD_SYSTEM)) run->user_records++;
    if (!run->want_index) return segment_writer_add(run->writer, flags, key, value, pointer);
    rc = merge_run_settle(run, false);
    if (rc != LSM_OK) return rc;
    if (segment_writer_data_pages(run->writer) > 1) {
        run->want_index = false;
        return segment_writer_add(run->writer, flags, key, value, pointer);
    }
    rc = buffer_assign(&run->held_key, key);
    if (rc == LSM_OK) rc = buffer_assign(&run->held_value, value);
    run->held_flags = flags;
    run->held_pointer = pointer;
    run->holding = rc == LSM_OK;
    return rc;
}

/* Write the record of the key that item `smallest` stands on, and move on. */
static int one_key(struct merge_run *run, uint32_t smallest) {
    struct merge_item *items = run->items;
    struct slice value = {NULL, 0};
    uint32_t owner;
    uint8_t flags;
    uint32_t i;
    int rc = LSM_OK;

    for (i = 0; i < run->item_count; i++) { /* (2) */
        struct key_vote *vote = &run->votes[i];
        vote->at_key = items[i].valid &&
                       (i == smallest || merge_item_compare(&items[i], &items[smallest]) == 0);
        vote->flags = items[i].valid ? items[i].flags : 0;
        /* A range of one topic does not reach into the other. */
        if (items[i].valid && items[i].topic != items[smallest].topic) vote->flags = 0;
    }
    flags = merge_record_flags(run->votes, run->item_count, run->oldest, &owner); /* (3) */
    if (run->pointer_item != VOTE_NONE && run->votes[run->pointer_item].at_key) {    /* (4) */
        run->current_pointer = items[run->pointer_item].pointer;
    }
    if (flags == RECORD_SEPARATOR || flags == (RECORD_SEPARATOR | RECORD_SYSTEM)) {
        if (run->current_pointer == 0) flags = 0;
    }
    if (flags) { /* (5) */
        if (owner != VOTE_NONE && (flags & RECORD_INSERT)) {
            rc = merge_item_value(&items[owner], &value);
            if (rc != LSM_OK) return rc;
        }
        rc = write_record(run, flags, items[smallest].key, value, run->current_pointer);
        if (rc != LSM_OK) return rc;
    } else if (!run->holding) {
        segment_writer_set_pointer(run->writer, run->current_pointer);
    }
    for (i = run->item_count; i-- > 0;) { /* (6); the one whose key is borrowed goes last */
        if (!run->votes[i].at_key || i == smallest) continue;
        rc = merge_item_next(&items[i]);
        if (rc != LSM_OK) return rc;
    }
    return merge_item_next(&items[smallest]);
}

int merge_run_go(struct merge_run *run, uint32_t quota, bool *exhausted) {
    int rc = LSM_OK;

    *exhausted = false;
    while (rc == LSM_OK) {
        uint32_t smallest = merge_run_smallest(run); /* (1) */
        if (smallest == VOTE_NONE) {
            *exhausted = true;
            break;
        }
        if (segment_writer_data_pages(run->writer) >= quota) break;
        rc = one_key(run, smallest);
    }
    return rc;
}
