/*
** merge_front.c — inputs of a merge whose `first` stands behind the page to be merged next.
**
**     block 3     |a b c d e f|     saved: c     first: e      c, d are needed, and still there
**     after       |    c d e f|     first: c
**
** LSM1, when it gives up the front of an input whose blocks were moved, may give up more of the block than has
** been merged. The block stays, for `first` is in it, and LSM1 goes on with its merge from the saved page; but
** whoever reads the input from `first` on, or looks whether the saved page belongs to it, would be wrong.
**
** INVARIANTS  A `first` is only moved down, inside its block, to the saved page: nothing is claimed that may be
**             free.
** COST        A few comparisons for each input of a merge.
*/
#include "snapshot/checkpoint.h"

static void mend_input(const struct pager *pager, const struct redirects *redirects,
                       const struct merge_input *saved, struct segment *segment) {
    uint64_t page_no = pager_redirect(pager, redirects, saved->page);
    uint32_t block_no = pager_block_of(pager, segment->first);

    if (saved->page == 0 || page_no >= segment->first) return;
    if (pager_block_of(pager, page_no) != block_no) return;
    if (page_no < pager_first_page(pager, block_no)) return;
    segment->size += segment->first - page_no; /* pages, or bytes */
    segment->first = page_no;
}

void snapshot_mend_fronts(struct snapshot *snapshot, const struct pager *pager) {
    for (uint32_t i = 0; i < snapshot->level_count; i++) {
        struct level *level = &snapshot->levels[i];
        for (uint32_t right = 0; right < level->right_count; right++) {
            bool oldest = i + 1 == snapshot->level_count && right + 1 == level->right_count;
            mend_input(pager, oldest ? &snapshot->redirects : NULL, &level->merge.inputs[right],
                       &level->right[right]);
        }
    }
}
