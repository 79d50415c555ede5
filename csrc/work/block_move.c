/*
** block_move.c — shortening the file: the highest used block moves into a free lower one.
**
** Only when the database is one finished level. Page numbers inside pages keep their values; a redirect tells
** readers of this run where the block is now.
*/
#include "work/work_internal.h"

struct target_search {
    int64_t limit;
    uint32_t target; /* lowest block that may be reused, never block 1 */
};

static int visit_target(void *context, uint32_t block_no, int64_t snapshot_id) {
    struct target_search *search = context;
    if (search->target == 0 && block_no > 1 && snapshot_id < search->limit) {
        search->target = block_no;
    }
    return LSM_OK;
}

static uint64_t moved(const struct work *work, uint64_t page_no, uint32_t from, uint32_t to) {
    uint64_t unit = pager_is_compressed(work->pager)
                        ? work->next.block_size
                        : work->next.block_size / work->next.page_size;
    if (page_no == 0 || pager_block_of(work->pager, page_no) != from) return page_no;
    return page_no - (uint64_t)(from - to) * unit;
}

/* The list stays ascending by `from`. */
static void add_redirect(struct redirects *redirects, uint32_t from, uint32_t to) {
    uint32_t at;

    for (at = 0; at < redirects->count; at++) {
        if (redirects->pairs[at].to == from) {
            redirects->pairs[at].to = to;
            return;
        }
    }
    at = redirects->count++;
    while (at > 0 && redirects->pairs[at - 1].from > from) {
        redirects->pairs[at] = redirects->pairs[at - 1];
        at--;
    }
    redirects->pairs[at] = (struct redirect){from, to};
}

int work_move_block(struct work *work, uint32_t *pages) {
    struct snapshot *next = &work->next;
    struct target_search search = {0};
    struct segment *segment;
    uint32_t from;
    uint32_t i;
    int rc;

    *pages = 0;
    if (next->level_count != 1 || next->levels[0].right_count != 0) return LSM_OK;
    if (next->redirects.count >= REDIRECTS_MAX || work->limits.detached_readers) return LSM_OK;
    if (work->changed) return LSM_OK; /* what was freed just now is not reusable yet */
    rc = freelist_last_used_block(work->env, work->pager, next, work->error, &from);
    if (rc != LSM_OK || from <= 1) return rc;
    search.limit = work->limits.checkpoint_id ? work->limits.checkpoint_id : work->published.id;
    if (work->limits.oldest_reader < search.limit) search.limit = work->limits.oldest_reader;
    rc = freelist_walk(work->env, work->pager, next, work->error, visit_target, &search);
    if (rc != LSM_OK || search.target == 0 || search.target >= from) return rc;

    rc = pager_copy_block(work->pager, from, search.target, work->error);
    if (rc != LSM_OK) return rc;
    rc = work_note_block(work, search.target, -1);
    if (rc != LSM_OK) return rc;
    segment = &next->levels[0].left;
    segment->first = moved(work, segment->first, from, search.target);
    segment->last = moved(work, segment->last, from, search.target);
    segment->root = moved(work, segment->root, from, search.target);
    for (i = 0; i < APPEND_POINTS; i++) {
        next->append[i] = moved(work, next->append[i], from, search.target);
    }
    add_redirect(&next->redirects, from, search.target);
    rc = work_note_block(work, from, work->published.id);
    if (rc != LSM_OK) return rc;
    *pages = next->block_size / next->page_size;
    next->pages_written += *pages;
    work->pages_written += *pages;
    return LSM_OK;
}
