/*
** merge_release.c — inputs of an unfinished merge give up what has been merged.
**
**     input     blocks 3       7        4
**               |a b c d| -> |e f g i| -> |h k m i|       i = index pages, split key g
**     after                  |    g i| -> |h k m i|       block 3 is free, `first` is the page of g
**
** What must stay is what a search for the split key touches, because every search in the inputs is
** for that key or a greater one:
**
**     with index        the index pages on the path, and the data page it leads to
**     without           the data page where the search ends, backed up to one that pointers lead to
**     large keys        pages whose first key stands indirectly in one of those index pages: which
**                       of them a search compares with depends on who searches
**
** INVARIANTS  (I1) The run is walked from its front, block by block. Blocks without a page that
**             must stay are dropped; in the first other one the lowest page that must stay becomes
**             `first`.
**             (I2) The saved position of an input is not before its split key, so it stays.
** ERRORS      As for all steps of work. Too many pages to remember: nothing is released this time.
** COST        One search per input and slice.
*/
#include "base/memory.h"
#include "work/work_internal.h"

#define PATH_MAX_PAGES 512u
#define KEEP_MAX_PAGES 8192u

/* Pages that must stay. */
struct keep_list {
    lsm_env *env;
    uint64_t *pages;
    uint32_t count;
    uint32_t capacity;
};

static int keep(struct keep_list *list, uint64_t page_no) {
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : PATH_MAX_PAGES;
        uint64_t *pages;
        if (capacity > KEEP_MAX_PAGES) return LSM_FULL;
        pages = memory_reallocate(list->env, list->pages, capacity * sizeof *pages);
        if (pages == NULL) return LSM_NOMEM;
        list->pages = pages;
        list->capacity = capacity;
    }
    list->pages[list->count++] = page_no;
    return LSM_OK;
}

/* The key pages of all indirect cells of an index page. */
static int keep_key_pages(const struct segment_view *view, const struct page *page,
                          const struct page_footer *footer, struct keep_list *list) {
    int rc = LSM_OK;
    uint32_t i;

    for (i = 0; i < footer->cell_count && rc == LSM_OK; i++) {
        struct index_cell cell;
        uint32_t offset = 0;
        rc = format_page_cell(page->data, page->size, footer, i, page->page_no, view->error,
                              &offset);
        if (rc == LSM_OK) {
            rc = format_index_cell(page->data + offset, page->data + footer->record_end,
                                   page->page_no, view->error, &cell);
        }
        if (rc == LSM_OK && cell.indirect) {
            rc = keep(list, pager_redirect(view->pager, view->redirects, cell.key_page));
        }
    }
    return rc;
}

/* Pointers lead to pages that are in the index: from one that is not, go back to the nearest that
** is. */
static int keep_indexed_page(const struct segment_view *view, uint64_t page_no,
                             struct keep_list *list) {
    uint64_t steps = pager_segment_pages_max(view->pager, view->segment);
    struct page page = {0};
    struct page_footer footer;
    int rc = LSM_OK;

    while (page_no != 0) {
        rc = pager_get(view->pager, view->redirects, page_no, view->error, &page);
        if (rc != LSM_OK) break;
        rc = format_page_footer(page.data, page.size, page.page_no, view->error, &footer);
        if (rc != LSM_OK) break;
        if (!(footer.flags & PAGE_FLAG_INDEX) && footer.cell_count > 0 &&
            !(footer.flags & PAGE_FLAG_SKIP_THIS)) {
            rc = keep(list, page.page_no);
            break;
        }
        if (steps-- == 0) {
            rc = error_corrupt(view->error, page_no, "the pages of a segment form a loop");
            break;
        }
        rc = pager_segment_prev(view->pager, view->redirects, view->segment, &page, view->error,
                                &page_no);
        if (rc != LSM_OK) break;
        pager_put(view->pager, &page);
    }
    pager_put(view->pager, &page);
    return rc;
}

/* Everything a search for `key` needs. *list may hold pages that were dropped long ago. */
static int find_needed(struct work *work, const struct segment_view *view, enum topic topic,
                       struct slice key, struct keep_list *list) {
    uint64_t *path;
    uint32_t count = 0;
    uint32_t i;
    int rc;

    path = memory_allocate(work->env, PATH_MAX_PAGES * sizeof *path);
    if (path == NULL) return LSM_NOMEM;
    rc = segment_search_path(view, work->env, topic, key, path, PATH_MAX_PAGES, &count);
    for (i = 0; i < count && rc == LSM_OK; i++) {
        struct page page = {0};
        struct page_footer footer;
        rc = keep(list, path[i]);
        if (rc == LSM_OK) rc = pager_get(view->pager, view->redirects, path[i], view->error, &page);
        if (rc == LSM_OK) {
            rc = format_page_footer(page.data, page.size, page.page_no, view->error, &footer);
        }
        if (rc == LSM_OK && (footer.flags & PAGE_FLAG_INDEX)) {
            rc = keep_key_pages(view, &page, &footer, list);
        }
        pager_put(view->pager, &page);
    }
    if (rc == LSM_OK && count > 0) rc = keep_indexed_page(view, path[count - 1], list);
    memory_free(work->env, path);
    return rc;
}

/* Lowest page of the list on that block, not below `from`; 0 = none. */
static uint64_t lowest_on(const struct pager *pager, const struct keep_list *list,
                          uint32_t block_no, uint64_t from) {
    uint64_t lowest = 0;
    uint32_t i;

    for (i = 0; i < list->count; i++) {
        uint64_t page_no = list->pages[i];
        if (page_no < from || pager_block_of(pager, page_no) != block_no) continue;
        if (lowest == 0 || page_no < lowest) lowest = page_no;
    }
    return lowest;
}

/* (I1). *first = page that becomes the first, *before = last page (byte) in front of it, 0 =
** nothing is dropped. */
static int find_first(const struct segment_view *view, const struct keep_list *list,
                      uint32_t block_count, uint64_t *first, uint64_t *before) {
    struct pager *pager = view->pager;
    uint32_t block = pager_block_of(pager, view->segment->first);
    uint32_t last_block = pager_block_of(pager, view->segment->last);
    uint64_t from = view->segment->first;
    uint64_t end_before = 0;
    uint32_t steps = 0;
    int rc;

    for (;;) {
        uint64_t lowest = lowest_on(pager, list, block, from);
        if (lowest != 0) {
            *first = lowest;
            *before = lowest > from ? lowest - 1 : end_before;
            return LSM_OK;
        }
        if (block == last_block || ++steps > block_count) break;
        end_before = pager_last_page(pager, block);
        rc = pager_next_block(pager, view->redirects, block, view->error, &block);
        if (rc != LSM_OK) return rc;
        from = pager_first_page(pager, block);
    }
    return error_corrupt(view->error, view->segment->first,
                         "a search in an input of a merge leaves the input");
}

static int release_front(struct work *work, uint32_t level_index, uint32_t right, uint64_t first,
                         uint64_t before) {
    struct segment *segment = &work->next.levels[level_index].right[right];
    const struct redirects *redirects = work_redirects(&work->next, level_index, right);
    struct segment dropped = {segment->first, before, 0, segment->size};
    struct segment rest = {first, segment->last, segment->root, segment->size};
    uint64_t dropped_size = 0;
    uint32_t block = pager_block_of(work->pager, segment->first);
    int rc;

    rc = pager_segment_measure(work->pager, redirects, &dropped, work->error, &dropped_size);
    if (rc != LSM_OK) return rc;
    if (dropped_size < segment->size) {
        rest.size = segment->size - dropped_size;
    } else { /* somebody counted wrong: count what is left */
        rc = pager_segment_measure(work->pager, redirects, &rest, work->error, &rest.size);
        if (rc != LSM_OK) return rc;
    }
    /* Who searches the rest searches it for the split key or a greater one: what is known stays
    ** good. */
    store_batch_move(&work->notes, segment, &rest, work->published.id);
    *segment = rest;
    work->changed = true;
    return work_free_chain(work, block, pager_block_of(work->pager, first), redirects);
}

static int release_input(struct work *work, uint32_t level_index, uint32_t right, enum topic topic,
                         struct slice split_key) {
    struct error_context too_many = {0};
    struct segment_view view = work_view(work, &work->next.levels[level_index].right[right],
                                         work_redirects(&work->next, level_index, right));
    struct keep_list list = {.env = work->env};
    uint64_t first = 0;
    uint64_t before = 0;
    int rc;

    view.error = &too_many;
    rc = find_needed(work, &view, topic, split_key, &list);
    if (rc == LSM_FULL) { /* a very large index of very large keys */
        rc = LSM_OK;
        goto done;
    }
    if (rc == LSM_OK && list.count > 0) {
        rc = find_first(&view, &list, work->next.block_count, &first, &before);
    }
    if (rc != LSM_OK && too_many.reason) {
        if (rc == LSM_CORRUPT) error_corrupt(work->error, too_many.page_no, too_many.reason);
        else error_note(work->error, rc, too_many.reason);
    }
    if (rc == LSM_OK && before != 0) rc = release_front(work, level_index, right, first, before);
done:
    memory_free(work->env, list.pages);
    return rc;
}

int merge_release_inputs(struct work *work, uint32_t level_index, enum topic topic,
                         struct slice split_key) {
    const struct level *level = &work->next.levels[level_index];
    uint32_t i;
    int rc = LSM_OK;

    for (i = 0; i < level->right_count && rc == LSM_OK; i++) {
        rc = release_input(work, level_index, i, topic, split_key);
    }
    return rc;
}
