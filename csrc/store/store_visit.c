/*
** store_visit.c — notes about runs that somebody else wrote, made little by little by those who read them.
**
** Each lookup that comes to a run without notes tells the run's builder about some more pages, from the first to the
** last; then the notes are complete. A lookup thus never pays for more than VISIT_PAGES, which follow each other in
** the file and are fetched ahead, and nothing is read when a database is opened. After so many pages it is also
** known how many keys the run will have, so that its filter is made in one piece.
**
** INVARIANTS  (I1) only a reader of the newest snapshot begins: what he sees is in every later snapshot until the
**             store is told otherwise.
** LOCKING     Pages are read without the mutex; meanwhile the entry is `busy` and its builder is with the visitor.
** ERRORS      A page that cannot be read makes the run hopeless; the lookup itself finds out what is wrong.
*/
#include "base/memory.h"
#include "store/store_internal.h"

#define VISIT_PAGES 16u     /* with more, a lookup would take much longer than others */
#define BYTES_PER_PAGE 8u   /* what the notes of a page take at least: some keys with FILTER_BITS_MIN, or a fence */

/* What notes of the run may take without driving others out of the budget as it is; 0: not worth beginning. */
static size_t room_for(const struct store *store, const struct segment_view *view) {
    size_t budget = store_budget(store);
    size_t bytes = store_bytes(store);
    uint64_t pages = view->segment->size;
    size_t room = bytes < budget ? budget - bytes : 0;

    if (pager_is_compressed(view->pager)) pages /= pager_page_size(view->pager) / 2;
    return pages < room / BYTES_PER_PAGE ? room : 0;
}

/* A builder that keeps within what is left of the budget; NULL: there is nothing to hope for. */
static struct run_builder *new_reading(struct store *store, const struct segment_view *view) {
    struct run_builder *builder = NULL;
    size_t room = room_for(store, view);

    if (room > 0) builder = run_builder_new(store, 0);
    if (builder == NULL) return NULL;
    run_builder_set_limit(builder, room);
    if (view->redirects && view->redirects->count > 0) run_builder_set_translated(builder);
    return builder;
}

/* The entry to go on with, its builder ready; NULL if there is nothing to do now. Requires store.mutex. */
static struct store_entry *begin_visit(struct store *store, const struct segment_view *view,
                                       int64_t snapshot_id, bool *hopeless) {
    struct store_entry *entry = store_entry_find(store, view->segment, snapshot_id);

    if (entry == NULL) {
        if (store->newest_id == snapshot_id) {
            entry = store_entry_add(store, view->segment, snapshot_id);
        }
        if (entry) {
            entry->next_page = view->segment->first;
            entry->steps_left = pager_segment_pages_max(view->pager, view->segment);
            entry->reading = new_reading(store, view);
            if (entry->reading == NULL) entry->hopeless = true;
        }
    }
    if (entry && entry->busy) return NULL;
    if (entry == NULL || entry->hopeless || (entry->notes == NULL && entry->reading == NULL)) {
        *hopeless = true;
        return NULL;
    }
    return entry;
}

/* Tell the builder about some pages from `*page_no` on; 0 afterwards: that was the last one. */
static int read_pages(const struct segment_view *view, struct run_builder *builder, lsm_env *env,
                      uint64_t *page_no, uint64_t *steps_left) {
    struct segment_observer observer = run_builder_observer(builder);
    struct error_context ignored = {0};
    struct segment_view quiet = *view;
    struct buffer scratch;
    uint32_t count = 0;
    int rc;

    quiet.error = &ignored;
    buffer_init(&scratch, env);
    do {
        bool is_index = false;
        uint64_t next = 0;
        rc = segment_observe_page(&quiet, *page_no, &observer, &scratch, &next, &is_index);
        if (rc != LSM_OK) break;
        *page_no = next;
        if (*steps_left == 0 && next != 0) rc = LSM_ERROR; /* a loop */
        if (*steps_left > 0) (*steps_left)--;
        if (run_builder_is_spent(builder)) rc = LSM_FULL;
    } while (rc == LSM_OK && *page_no != 0 && ++count < VISIT_PAGES);
    buffer_release(&scratch);
    return rc;
}

/* The keys of the run, from those of the pages read so far. How many pages a compressed file has is unknown. */
static void expect_keys(const struct segment_view *view, struct run_builder *builder,
                        uint64_t steps_left) {
    uint64_t pages = pager_segment_pages_max(view->pager, view->segment);
    uint64_t keys = run_builder_keys(builder);

    if (pager_is_compressed(view->pager) || steps_left >= pages) return;
    keys = (uint64_t)((double)keys / (double)(pages - steps_left) * (double)pages);
    run_builder_expect(builder, keys + keys / 16 + 1); /* a little more: one piece is faster than two */
}

struct run_notes *store_visit(struct store *store, const struct segment_view *view,
                              int64_t snapshot_id, bool *hopeless) {
    struct run_builder *builder = NULL;
    struct run_notes *notes = NULL;
    struct store_entry *entry;
    uint64_t page_no = 0;
    uint64_t steps_left = 0;
    int64_t born = 0;
    int rc;

    os_mutex_enter(store->env, store->mutex);
    entry = begin_visit(store, view, snapshot_id, hopeless);
    if (entry && entry->notes) {
        notes = entry->notes;
        run_notes_hold(notes);
    } else if (entry) {
        builder = entry->reading;
        entry->reading = NULL;
        entry->busy = true;
        page_no = entry->next_page;
        steps_left = entry->steps_left;
        born = entry->born;
    }
    os_mutex_leave(store->env, store->mutex);
    if (builder == NULL) return notes;

    rc = read_pages(view, builder, store->env, &page_no, &steps_left);
    if (rc == LSM_OK && page_no != 0) expect_keys(view, builder, steps_left);
    if (rc == LSM_OK && page_no == 0) notes = run_builder_notes(builder, true);

    os_mutex_enter(store->env, store->mutex);
    entry = store_entry_find(store, view->segment, snapshot_id);
    if (entry && (entry->born != born || !entry->busy)) entry = NULL; /* another one meanwhile */
    if (entry) {
        entry->busy = false;
        entry->next_page = page_no;
        entry->steps_left = steps_left;
        if (rc == LSM_OK && page_no != 0) {
            entry->reading = builder;
            builder = NULL;
        } else if (notes) {
            entry->notes = notes;
            run_notes_hold(notes);
            store_evict(store);
        } else {
            entry->hopeless = true;
            *hopeless = true;
        }
    }
    os_mutex_leave(store->env, store->mutex);
    run_builder_free(builder);
    return notes;
}
