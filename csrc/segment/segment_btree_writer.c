/*
** segment_btree_writer.c — build the index of a segment from left to right.
**
**     keys arrive in order; one page per level is open:          a full page becomes page q:
**
**     level 1   [ (m, 40) ............ ]                        [ (m, 40) (t, q) .... ]
**     level 0   [ (p, 51) (r, 55) full ]  <- add (t, 58)        [ ................... ]  q: -> 58
**
** The key that did not fit moves up, it is not copied: what is below it and behind the page's last
** key is the page's right child, and what follows it comes under the next page of that level.
**
** FORMAT      See format_page.h and format_record.h. The first cell starts at offset 3. A page is
**             filled as if it lost 4 bytes to a block's link, because its place is known only when
**             it is full; on any other place footer and offsets move to the real end and 4 zeros
**             stay behind the cells. Pages of a compressed file never lose bytes.
** INVARIANTS  (I1) The cells of an open page fit a page of `usable` bytes, whose footer is not yet
**                  written.
**             (I2) The topmost open page has a cell. Lower ones may be empty: then all behind them
**                  hangs on the right child.
** COST        One page of memory per level. A page appended per full page.
*/
#include "segment/segment_writer_internal.h"

#include "base/memory.h"

#define INDEX_CELLS_START 3u /* bytes 0..2 of an index page are zero */
#define BLOCK_EDGE_LOSS 4u   /* bytes a plain page may lose to a link */

void index_writer_init(struct index_writer *writer, lsm_env *env, struct page_append *append) {
    struct pager *pager = append->pager;

    *writer = (struct index_writer){.env = env, .append = append, .error = append->error};
    writer->page_size = pager_page_size(pager);
    writer->usable = writer->page_size - (pager_is_compressed(pager) ? 0 : BLOCK_EDGE_LOSS);
}

void index_writer_release(struct index_writer *writer) {
    for (uint32_t i = 0; i < INDEX_DEPTH_MAX; i++) {
        if (writer->levels[i].image) memory_free(writer->env, writer->levels[i].image);
    }
    *writer = (struct index_writer){0};
}

/* ------------------------------------------------------------------------------- open pages -- */

static void level_reset(struct index_level *level) {
    memset(level->image, 0, INDEX_CELLS_START);
    level->used = INDEX_CELLS_START;
    level->cell_count = 0;
}

static int level_add(struct index_writer *writer, uint64_t page_no, struct index_level **out) {
    struct index_level *level;

    if (writer->depth == INDEX_DEPTH_MAX) {
        return error_corrupt(writer->error, page_no, "index: too deep");
    }
    level = &writer->levels[writer->depth];
    level->image = memory_allocate(writer->env, writer->usable);
    if (level->image == NULL) return LSM_NOMEM;
    level_reset(level);
    writer->depth++;
    *out = level;
    return LSM_OK;
}

static bool level_fits(const struct index_writer *writer, const struct index_level *level,
                       uint32_t cell_size) {
    return level->used + cell_size + 2 * (level->cell_count + 1) + PAGE_FOOTER_SIZE <=
           writer->usable;
}

static void level_put(struct index_writer *writer, struct index_level *level,
                      const struct index_cell *cell) {
    format_page_put_cell(level->image, writer->usable, level->cell_count, level->used);
    level->used += format_index_put_cell(level->image + level->used, cell);
    level->cell_count++;
}

/* Append the open page of a level to the segment. */
static int level_write(struct index_writer *writer, const struct index_level *level,
                       uint64_t right_child, uint64_t *page_no) {
    uint32_t offsets_size = 2 * level->cell_count;
    struct page_slot slot;
    int rc;

    rc = page_append_begin(writer->append, &slot);
    if (rc != LSM_OK) return rc;
    memcpy(slot.data, level->image, level->used);
    if (offsets_size > 0) {
        memcpy(slot.data + slot.size - PAGE_FOOTER_SIZE - offsets_size,
               level->image + writer->usable - PAGE_FOOTER_SIZE - offsets_size, offsets_size);
    }
    format_page_put_footer(slot.data, slot.size, level->cell_count, PAGE_FLAG_INDEX, right_child);
    rc = page_append_finish(writer->append, &slot);
    if (rc != LSM_OK) return rc;
    *page_no = slot.page_no;
    return LSM_OK;
}

int index_writer_add(struct index_writer *writer, const struct index_cell *cell) {
    struct index_cell moving = *cell;
    struct index_level *level;
    int rc = LSM_OK;

    for (uint32_t i = 0;; i++) {
        uint64_t page_no;
        if (i < writer->depth) {
            level = &writer->levels[i];
        } else {
            rc = level_add(writer, moving.child, &level);
            if (rc != LSM_OK) goto done;
        }
        if (level_fits(writer, level, format_index_cell_size(&moving))) break;
        assert(level->cell_count > 0); /* a cell takes little more than a quarter of a page */
        rc = level_write(writer, level, moving.child, &page_no);
        if (rc != LSM_OK) goto done;
        level_reset(level);
        moving.child = page_no;
    }
    level_put(writer, level, &moving);
done:
    return rc;
}

int index_writer_close(struct index_writer *writer, uint64_t right_child, uint64_t *root) {
    uint64_t page_no = right_child;
    int rc = LSM_OK;

    for (uint32_t i = 0; i < writer->depth; i++) {
        rc = level_write(writer, &writer->levels[i], page_no, &page_no);
        if (rc != LSM_OK) goto done;
    }
    *root = writer->depth ? page_no : 0;
done:
    return rc;
}

/* --------------------------------------------------------------------------------- resuming -- */

/* Copy a stored page, cell by cell: its bytes are not ours to trust. */
static int level_copy(struct index_writer *writer, struct index_level *level,
                      const struct page *page, const struct page_footer *footer) {
    int rc = LSM_OK;

    for (uint32_t i = 0; i < footer->cell_count; i++) {
        struct index_cell cell;
        uint32_t offset = 0;
        rc = format_page_cell(page->data, page->size, footer, i, page->page_no, writer->error,
                              &offset);
        if (rc != LSM_OK) goto done;
        rc = format_index_cell(page->data + offset, page->data + footer->record_end,
                               page->page_no, writer->error, &cell);
        if (rc != LSM_OK) goto done;
        if (!level_fits(writer, level, format_index_cell_size(&cell))) {
            rc = error_corrupt(writer->error, page->page_no, "index: page too full");
            goto done;
        }
        level_put(writer, level, &cell);
    }
done:
    return rc;
}

/* The edge was read from the root down; levels count from the lowest. */
static void reverse_levels(struct index_writer *writer) {
    for (uint32_t i = 0; i < writer->depth / 2; i++) {
        struct index_level level = writer->levels[i];
        writer->levels[i] = writer->levels[writer->depth - 1 - i];
        writer->levels[writer->depth - 1 - i] = level;
    }
}

int index_writer_resume(struct index_writer *writer, struct pager *pager, uint64_t root,
                        uint64_t *last_leaf) {
    struct page page = {0};
    struct page_footer footer;
    struct index_level *level;
    uint64_t page_no = root;
    int rc;

    assert(writer->depth == 0);
    for (;;) {
        rc = pager_get(pager, NULL, page_no, writer->error, &page);
        if (rc != LSM_OK) goto done;
        rc = format_page_footer(page.data, page.size, page_no, writer->error, &footer);
        if (rc != LSM_OK) goto done;
        if (!(footer.flags & PAGE_FLAG_INDEX)) break;
        rc = level_add(writer, page_no, &level);
        if (rc != LSM_OK) goto done;
        rc = level_copy(writer, level, &page, &footer);
        if (rc != LSM_OK) goto done;
        if (footer.pointer == 0) {
            rc = error_corrupt(writer->error, page_no, "index: page without a right child");
            goto done;
        }
        pager_put(pager, &page);
        page = (struct page){0};
        page_no = footer.pointer;
    }
    if (writer->depth == 0) {
        rc = error_corrupt(writer->error, root, "index: the root is a data page");
        goto done;
    }
    reverse_levels(writer);
    *last_leaf = page_no;
done:
    pager_put(pager, &page);
    return rc;
}
