/*
** verify_blocks.c — where runs lie in the file: extents, blocks used and free, append points.
**
** Numbers are those of the format's list of invariants.
**
**      2 chain     the links of the blocks lead from the first page to the last; no page belongs to
**                  two runs
**      9 blocks    every block is used by a run or free, never both; a block that an interrupted
**                  merge has allocated in advance is used; free-list records are well-formed
**     10 append    on a block in use, and neither that page nor one behind it on the block is used
**
** COST        24 bytes for each block that a run touches, a bit for each block.
*/
#include "base/memory.h"
#include "db/verify_internal.h"

#define SET_CHUNK_BYTES 4096u
#define SET_CHUNK_BLOCKS (SET_CHUNK_BYTES * 8)

/* ---------------------------------------------------------------------------- sets of blocks -- */

static int set_init(struct block_set *set, lsm_env *env, uint32_t block_count) {
    size_t chunk_count = (size_t)block_count / SET_CHUNK_BLOCKS + 1;

    set->env = env;
    set->block_count = block_count;
    set->chunks = memory_allocate_zero(env, chunk_count * sizeof *set->chunks);
    return set->chunks ? LSM_OK : LSM_NOMEM;
}

static void set_release(struct block_set *set) {
    if (set->chunks == NULL) return;
    for (size_t i = 0; i <= set->block_count / SET_CHUNK_BLOCKS; i++) {
        memory_free(set->env, set->chunks[i]);
    }
    memory_free(set->env, set->chunks);
    set->chunks = NULL;
}

static bool set_has(const struct block_set *set, uint32_t block_no) {
    const uint8_t *chunk = set->chunks[block_no / SET_CHUNK_BLOCKS];
    uint32_t bit = block_no % SET_CHUNK_BLOCKS;

    return chunk != NULL && ((chunk[bit / 8] >> (bit % 8)) & 1) != 0;
}

static int set_put(struct block_set *set, uint32_t block_no) {
    uint8_t **chunk = &set->chunks[block_no / SET_CHUNK_BLOCKS];
    uint32_t bit = block_no % SET_CHUNK_BLOCKS;

    assert(block_no <= set->block_count);
    if (*chunk == NULL) *chunk = memory_allocate_zero(set->env, SET_CHUNK_BYTES);
    if (*chunk == NULL) return LSM_NOMEM;
    (*chunk)[bit / 8] |= (uint8_t)(1u << (bit % 8));
    return LSM_OK;
}

/* ----------------------------------------------------------------------------------- extents -- */

static int note_extent(struct verify *verify, const struct verify_extent *extent) {
    if (verify->extent_count == verify->extent_capacity) {
        size_t capacity = verify->extent_capacity ? verify->extent_capacity * 2 : 64;
        struct verify_extent *extents =
            memory_reallocate(verify->env, verify->extents, capacity * sizeof *extents);
        if (extents == NULL) return LSM_NOMEM;
        verify->extents = extents;
        verify->extent_capacity = capacity;
    }
    verify->extents[verify->extent_count++] = *extent;
    return LSM_OK;
}

/* More blocks than a chain without loops can have. Links behind the end of the file are zeros. */
static int chain_bound(struct verify *verify, uint64_t *bound) {
    uint64_t file_size = 0;
    uint64_t file_blocks;
    struct os_file file = database_file(verify->db->database);
    int rc = os_file_size(&file, &file_size);

    if (rc != LSM_OK) return rc;
    file_blocks = file_size / verify->snapshot->block_size + 2;
    *bound = verify->snapshot->block_count;
    if (*bound > file_blocks) *bound = file_blocks;
    return LSM_OK;
}

int verify_chain(struct verify *verify, uint32_t run_no) {
    struct verify_run *run = &verify->runs[run_no];
    const struct segment *segment = run->view.segment;
    struct pager *pager = verify->pager;
    uint32_t last_block = pager_block_of(pager, segment->last);
    size_t before = verify->extent_count;
    struct verify_extent extent = {segment->first, 0, run_no,
                                   pager_block_of(pager, segment->first)};
    bool damaged = false;
    uint64_t bound = 0;
    uint64_t steps = 0;
    int rc = chain_bound(verify, &bound);

    while (rc == LSM_OK && !damaged) {
        bool ends = extent.block_no == last_block && segment->last >= extent.first;
        if (++steps > bound) {
            verify_problem(verify, segment->first, "the blocks of a run form a loop");
            damaged = true;
            break;
        }
        extent.last = ends ? segment->last : pager_last_page(pager, extent.block_no);
        rc = note_extent(verify, &extent);
        if (rc != LSM_OK || ends) break;
        rc = verify_absorb(verify,
                           pager_next_block(pager, run->view.redirects, extent.block_no,
                                            &verify->error, &extent.block_no),
                           &damaged);
        extent.first = pager_first_page(pager, extent.block_no);
    }
    run->is_chain = rc == LSM_OK && !damaged;
    if (!run->is_chain) verify->extent_count = before;
    return rc;
}

bool verify_run_has_page(const struct verify *verify, uint32_t run_no, uint64_t page_no) {
    for (size_t i = 0; i < verify->extent_count; i++) {
        const struct verify_extent *extent = &verify->extents[i];
        if (extent->run != run_no) continue;
        if (page_no >= extent->first && page_no <= extent->last) return true;
    }
    return false;
}

static void sift_down(struct verify_extent *heap, size_t at, size_t count) {
    struct verify_extent moving = heap[at];

    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) break;
        if (child + 1 < count && heap[child + 1].first > heap[child].first) child++;
        if (heap[child].first <= moving.first) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

/* Heap sort, in place. */
static void sort_extents(struct verify_extent *extents, size_t count) {
    for (size_t i = count / 2; i-- > 0;) sift_down(extents, i, count);
    for (size_t i = count; i-- > 1;) {
        struct verify_extent largest = extents[0];
        extents[0] = extents[i];
        extents[i] = largest;
        sift_down(extents, 0, i);
    }
}

/* The extents are sorted. */
static void check_overlaps(struct verify *verify) {
    for (size_t i = 1; i < verify->extent_count; i++) {
        struct verify_extent *before = &verify->extents[i - 1];
        struct verify_extent *extent = &verify->extents[i];
        if (extent->first > before->last) continue;
        if (extent->run == before->run) {
            verify_problem(verify, extent->first, "a run comes twice to block %u",
                           (unsigned)extent->block_no);
        } else {
            const struct verify_run *one = &verify->runs[before->run];
            const struct verify_run *two = &verify->runs[extent->run];
            verify_problem(verify, extent->first,
                           "a page belongs to two runs: level %u run %u, level %u run %u",
                           (unsigned)one->level_index, (unsigned)one->run_index,
                           (unsigned)two->level_index, (unsigned)two->run_index);
        }
        /* Compare the next one with whatever reaches farther. */
        if (extent->last < before->last) extent->last = before->last;
    }
}

/* ----------------------------------------------------------------------------- used and free -- */

/* An interrupted merge whose output ends a block goes on in one that is linked but empty. */
static int note_advance_blocks(struct verify *verify) {
    for (uint32_t i = 0; i < verify->run_count; i++) {
        const struct verify_run *run = &verify->runs[i];
        const struct segment *segment = run->view.segment;
        uint32_t last_block = pager_block_of(verify->pager, segment->last);
        uint32_t next = 0;
        bool damaged = false;
        int rc;

        if (run->run_index != 0 || !run->is_chain ||
            verify->snapshot->levels[run->level_index].right_count == 0 ||
            segment->last != pager_last_page(verify->pager, last_block)) {
            continue;
        }
        verify_set_place(verify, run);
        rc = verify_absorb(verify, pager_next_block(verify->pager, run->view.redirects, last_block,
                                                    &verify->error, &next), &damaged);
        if (rc != LSM_OK) return rc;
        if (damaged) continue;
        if (set_has(&verify->used, next)) {
            verify_problem(verify, segment->last,
                           "the merge would go on in block %u, which is in use", (unsigned)next);
        }
        rc = set_put(&verify->used, next);
        if (rc != LSM_OK) return rc;
    }
    return LSM_OK;
}

static int note_free(void *context, uint32_t block_no, int64_t snapshot_id) {
    struct verify *verify = context;
    uint64_t page_no = pager_first_page(verify->pager, block_no);

    if (block_no == 0 || block_no > verify->snapshot->block_count) {
        verify_problem(verify, 0, "block %u is free, but does not exist", (unsigned)block_no);
        return LSM_OK;
    }
    if (set_has(&verify->used, block_no)) {
        verify_problem(verify, page_no, "block %u is in use and free", (unsigned)block_no);
    }
    if (snapshot_id < 0 || snapshot_id > verify->snapshot->id) {
        verify_problem(verify, page_no, "block %u was freed by a snapshot that does not exist",
                       (unsigned)block_no);
    }
    return set_put(&verify->free, block_no);
}

/* Blocks that nobody knows of: space lost. */
static void check_leaks(struct verify *verify) {
    uint32_t block_count = verify->snapshot->block_count;
    uint32_t first = 0;
    uint32_t count = 0;
    uint64_t block_no = 1;

    while (block_no <= block_count) {
        uint32_t at = (uint32_t)block_no;
        if (at % SET_CHUNK_BLOCKS == 0 && verify->used.chunks[at / SET_CHUNK_BLOCKS] == NULL &&
            verify->free.chunks[at / SET_CHUNK_BLOCKS] == NULL) {
            /* Nothing is known of a whole chunk. */
            uint64_t end = block_no + SET_CHUNK_BLOCKS;
            if (end > (uint64_t)block_count + 1) end = (uint64_t)block_count + 1;
            if (first == 0) first = at;
            count += (uint32_t)(end - block_no);
            block_no = end;
            continue;
        }
        if (!set_has(&verify->used, at) && !set_has(&verify->free, at)) {
            if (first == 0) first = at;
            count++;
        }
        block_no++;
    }
    if (count > 0) {
        verify_problem(verify, pager_first_page(verify->pager, first),
                       "%u blocks are neither in use nor free, the first is %u", (unsigned)count,
                       (unsigned)first);
    }
}

static int check_free_list(struct verify *verify, bool all_chains) {
    bool damaged = false;
    int rc;

    verify_set_place(verify, NULL);
    rc = verify_absorb(verify, freelist_walk(verify->env, verify->pager, verify->snapshot,
                                             &verify->error, note_free, verify), &damaged);
    if (rc == LSM_OK && !damaged && all_chains) check_leaks(verify);
    return rc;
}

/* ----------------------------------------------------------------------------- append points -- */

static void check_append_points(struct verify *verify) {
    const uint64_t *append = verify->snapshot->append;

    for (uint32_t slot = 0; slot < APPEND_POINTS; slot++) {
        uint32_t block_no = pager_block_of(verify->pager, append[slot]);
        size_t i;

        if (append[slot] == 0) continue;
        if (append[slot] < pager_first_page(verify->pager, block_no) ||
            append[slot] > pager_last_page(verify->pager, block_no)) {
            verify_problem(verify, append[slot], "an append point lies on no page");
            continue;
        }
        if (!set_has(&verify->used, block_no)) {
            verify_problem(verify, append[slot],
                           "an append point lies on block %u, which no run uses",
                           (unsigned)block_no);
        }
        for (i = 0; i < verify->extent_count; i++) {
            const struct verify_extent *extent = &verify->extents[i];
            if (extent->block_no == block_no && extent->last >= append[slot]) break;
        }
        if (i < verify->extent_count) {
            verify_problem(verify, append[slot], "an append point lies in front of pages in use");
        }
        for (uint32_t other = 0; other < slot; other++) {
            if (append[other] && pager_block_of(verify->pager, append[other]) == block_no) {
                verify_problem(verify, append[slot], "block %u has two append points",
                               (unsigned)block_no);
            }
        }
    }
}

/* --------------------------------------------------------------------------------- redirects -- */

/* Every moved block is part of the oldest run. The front of an input of a merge may be gone. */
static void check_redirects(struct verify *verify) {
    const struct redirects *redirects = &verify->snapshot->redirects;
    const struct verify_run *oldest =
        verify->run_count > 0 ? &verify->runs[verify->run_count - 1] : NULL;

    if (redirects->count > 0 && oldest == NULL) {
        verify_problem(verify, 0, "blocks were moved, but there is no run");
    }
    if (oldest == NULL || !oldest->is_chain || oldest->run_index > 0) return;
    for (uint32_t i = 0; i < redirects->count; i++) {
        uint64_t page_no = pager_last_page(verify->pager, redirects->pairs[i].to);
        size_t k;
        for (k = 0; k < verify->extent_count; k++) {
            const struct verify_extent *extent = &verify->extents[k];
            if (extent->run == verify->run_count - 1 &&
                extent->block_no == redirects->pairs[i].to) {
                break;
            }
        }
        if (k == verify->extent_count) {
            verify_problem(verify, page_no,
                           "block %u was moved to %u, where the oldest run does not go",
                           (unsigned)redirects->pairs[i].from, (unsigned)redirects->pairs[i].to);
        }
    }
}

/* ---------------------------------------------------------------------------------- together -- */

int verify_space(struct verify *verify) {
    bool all_chains = true;
    int rc;

    verify_set_place(verify, NULL);
    for (uint32_t i = 0; i < verify->run_count; i++) {
        if (!verify->runs[i].is_chain) all_chains = false;
    }
    rc = set_init(&verify->used, verify->env, verify->snapshot->block_count);
    if (rc == LSM_OK) rc = set_init(&verify->free, verify->env, verify->snapshot->block_count);
    for (size_t i = 0; i < verify->extent_count && rc == LSM_OK; i++) {
        rc = set_put(&verify->used, verify->extents[i].block_no);
    }
    if (rc != LSM_OK) return rc;
    check_redirects(verify);
    rc = note_advance_blocks(verify);
    if (rc == LSM_OK) rc = check_free_list(verify, all_chains);
    if (rc != LSM_OK) return rc;
    check_append_points(verify);
    sort_extents(verify->extents, verify->extent_count);
    check_overlaps(verify); /* changes the extents */
    return LSM_OK;
}

void verify_space_release(struct verify *verify) {
    memory_free(verify->env, verify->extents);
    set_release(&verify->used);
    set_release(&verify->free);
}
