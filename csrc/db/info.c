/*
** info.c — lsm_info: facts as numbers and as text.
**
** FORMAT      DB_STRUCTURE     {age {first last root size} ...} ..., newest level first
**             LOG_STRUCTURE    start and end of regions 0, 1, 2: six numbers
**             ARRAY_STRUCTURE  first and last page of each contiguous stretch
**             ARRAY_PAGES      each page number, preceded by a space
**             FREELIST         {block snapshot} ...
** LOCKING     texts about segments describe the newest snapshot and hold WORKER meanwhile; inside the work
**             hook the connection holds it already.
*/
#include <ctype.h>

#include "base/memory.h"
#include "db/db_internal.h"

/* Hand the text over as a NUL-terminated string; an empty one becomes NULL. */
static int text_finish(struct buffer *text, char **out) {
    if (text->rc == LSM_OK && text->size > 0) buffer_append_byte(text, 0);
    if (text->rc != LSM_OK) {
        int rc = text->rc;
        buffer_release(text);
        return rc;
    }
    *out = (char *)text->data; /* NULL when nothing was written */
    return LSM_OK;
}

static void put_segment(struct buffer *text, const struct segment *segment) {
    buffer_printf(text, " {%llu %llu %llu %llu}", (unsigned long long)segment->first,
                  (unsigned long long)segment->last, (unsigned long long)segment->root,
                  (unsigned long long)segment->size);
}

static void put_structure(struct buffer *text, const struct snapshot *snapshot) {
    uint32_t i;
    uint32_t j;

    for (i = 0; i < snapshot->level_count; i++) {
        const struct level *level = &snapshot->levels[i];
        buffer_printf(text, "%s{%u", i ? " " : "", (unsigned)level->age);
        put_segment(text, &level->left);
        for (j = 0; j < level->right_count; j++) put_segment(text, &level->right[j]);
        buffer_append(text, "}", 1);
    }
}

static int put_free_block(void *context, uint32_t block_no, int64_t snapshot_id) {
    struct buffer *text = context;
    buffer_printf(text, "%s{%u %lld}", text->size ? " " : "", (unsigned)block_no,
                  (long long)snapshot_id);
    return text->rc;
}

/* The segment that starts at `page_no`; `redirects` as readers of it need them. */
static const struct segment *find_segment(const struct snapshot *snapshot, uint64_t page_no,
                                          const struct redirects **redirects) {
    uint32_t i;
    uint32_t j;

    *redirects = NULL;
    for (i = 0; i < snapshot->level_count; i++) {
        const struct level *level = &snapshot->levels[i];
        bool oldest = i + 1 == snapshot->level_count;
        if (level->left.first == page_no) {
            if (oldest && level->right_count == 0) *redirects = &snapshot->redirects;
            return &level->left;
        }
        for (j = 0; j < level->right_count; j++) {
            if (level->right[j].first != page_no) continue;
            if (oldest && j + 1 == level->right_count) *redirects = &snapshot->redirects;
            return &level->right[j];
        }
    }
    return NULL;
}

/* Walk the chain of a segment; `each_page` or only where it is interrupted. */
static int put_pages(lsm_db *db, struct buffer *text, const struct snapshot *snapshot,
                     uint64_t page_no, bool each_page) {
    const struct redirects *redirects;
    const struct segment *segment = find_segment(snapshot, page_no, &redirects);
    uint64_t at;
    uint64_t next;
    uint64_t steps = 0;
    struct page page = {0};
    int rc = LSM_OK;

    if (segment == NULL) return LSM_ERROR;
    if (!each_page) buffer_printf(text, "%llu", (unsigned long long)segment->first);
    for (at = segment->first;;) {
        if (each_page) buffer_printf(text, " %llu", (unsigned long long)at);
        if (at >= segment->last && pager_block_of(db->pager, at) ==
                                       pager_block_of(db->pager, segment->last)) {
            break;
        }
        if (steps++ > segment->size) return error_corrupt(&db->error, at, "segment does not end");
        rc = pager_get(db->pager, redirects, at, &db->error, &page);
        if (rc == LSM_OK) rc = pager_next(db->pager, redirects, &page, &db->error, &next);
        pager_put(db->pager, &page);
        if (rc != LSM_OK) return rc;
        if (pager_is_compressed(db->pager) && next > segment->last) break;
        if (!each_page && pager_block_of(db->pager, next) != pager_block_of(db->pager, at)) {
            buffer_printf(text, " %llu %llu", (unsigned long long)at, (unsigned long long)next);
        }
        at = next;
    }
    if (!each_page) buffer_printf(text, " %llu", (unsigned long long)segment->last);
    return text->rc;
}

/* ---------------------------------------------------------------------------------- page dumps -- */

static void put_bytes(struct buffer *text, struct slice bytes, bool hex) {
    uint32_t i;
    for (i = 0; i < bytes.size; i++) {
        if (hex) {
            buffer_printf(text, "%02X", (unsigned)bytes.data[i]);
        } else {
            buffer_append_byte(text, isalnum(bytes.data[i]) ? bytes.data[i] : '.');
        }
    }
}

static void put_record_flags(struct buffer *text, uint8_t flags) {
    char marks[5] = "....";
    if (flags & RECORD_END_DELETE) marks[0] = ']';
    if (flags & RECORD_INSERT) marks[1] = '+';
    if (flags & RECORD_POINT_DELETE) marks[1] = '-';
    if (flags & RECORD_SEPARATOR) marks[1] = '^';
    if (flags & RECORD_SYSTEM) marks[2] = '*';
    if (flags & RECORD_START_DELETE) marks[3] = '[';
    buffer_append(text, marks, 4);
}

/* The part of a slice that lies on this page: dumps do not follow records to other pages. */
static struct slice on_page(const uint8_t *at, const uint8_t *end, uint32_t size) {
    size_t left = (size_t)(end - at);
    return (struct slice){at, size > left ? (uint32_t)left : size};
}

static void put_cell(struct buffer *text, const struct page *page, const struct page_footer *footer,
                     uint32_t cell, bool hex) {
    struct error_context ignore = {0};
    const uint8_t *end = page->data + footer->record_end;
    uint32_t offset;

    if (format_page_cell(page->data, page->size, footer, cell, page->page_no, &ignore, &offset) !=
        LSM_OK) {
        buffer_printf(text, "<damaged>\n");
        return;
    }
    if (footer->flags & PAGE_FLAG_INDEX) {
        struct index_cell index;
        if (format_index_cell(page->data + offset, end, page->page_no, &ignore, &index) != LSM_OK) {
            buffer_printf(text, "<damaged>\n");
            return;
        }
        buffer_printf(text, ".^.. %llu (%s) ", (unsigned long long)index.child,
                      index.topic == TOPIC_SYSTEM ? "sys" : "usr");
        if (index.indirect) {
            buffer_printf(text, "<indirect>");
        } else {
            put_bytes(text, index.key, hex);
        }
    } else {
        struct record_head head;
        const uint8_t *at = page->data + offset;
        struct slice key;
        if (format_record_head(at, end, page->page_no, &ignore, &head) != LSM_OK) {
            buffer_printf(text, "<damaged>\n");
            return;
        }
        key = on_page(at + head.head_size, end, head.key_size);
        put_record_flags(text, head.flags);
        buffer_printf(text, " %llu (%s) ",
                      (unsigned long long)(footer->pointer + (uint64_t)head.pointer_delta),
                      head.flags & RECORD_SYSTEM ? "sys" : "usr");
        put_bytes(text, key, hex);
        if (head.flags & RECORD_INSERT) {
            struct slice value = on_page(key.data + key.size, end, head.value_size);
            buffer_append(text, " ", 1);
            put_bytes(text, value, hex);
            if ((head.flags & RECORD_SYSTEM) && key.size == 4 && value.size == 8) {
                buffer_printf(text, "  (block=%u snapshot=%llu)", (unsigned)~get_u32(key.data),
                              (unsigned long long)get_u64(value.data));
            }
        }
    }
    buffer_append(text, "\n", 1);
}

static void put_raw(struct buffer *text, const struct page *page) {
    uint32_t offset;
    uint32_t i;

    for (offset = 0; offset < page->size; offset += 16) {
        uint32_t count = page->size - offset < 16 ? page->size - offset : 16;
        buffer_printf(text, "%04x: ", (unsigned)offset);
        for (i = 0; i < count; i++) buffer_printf(text, "%02x ", (unsigned)page->data[offset + i]);
        buffer_append(text, "  ", 2);
        for (i = 0; i < count; i++) {
            uint8_t byte = page->data[offset + i];
            buffer_append_byte(text, isprint(byte) ? byte : '.');
        }
        buffer_append(text, "\n", 1);
    }
}

static int put_page(lsm_db *db, struct buffer *text, uint64_t page_no, bool hex) {
    struct page page = {0};
    struct page_footer footer;
    uint32_t cell;
    int rc;

    rc = pager_get(db->pager, NULL, page_no, &db->error, &page);
    if (rc != LSM_OK) return rc;
    rc = format_page_footer(page.data, page.size, page_no, &db->error, &footer);
    if (rc != LSM_OK) goto done;
    buffer_printf(text, "Page : %llu  (%u bytes)\nnRec : %u\niPtr : %llu\nflags: %04x\n\n",
                  (unsigned long long)page_no, (unsigned)page.size, (unsigned)footer.cell_count,
                  (unsigned long long)footer.pointer, (unsigned)footer.flags);
    for (cell = 0; cell < footer.cell_count; cell++) put_cell(text, &page, &footer, cell, hex);
    buffer_append(text, "\n", 1);
    for (cell = 0; cell < 80; cell++) buffer_append(text, "-", 1);
    buffer_printf(text, "\nPage %llu\n", (unsigned long long)page_no);
    put_raw(text, &page);
    rc = text->rc;
done:
    pager_put(db->pager, &page);
    return rc;
}

/* ---------------------------------------------------------------------------------------- verbs -- */

static int worker_text(lsm_db *db, int verb, lsm_i64 page, struct buffer *text) {
    bool have_lock = (db->locks.exclusive >> LOCK_WORKER) & 1;
    bool entered = false;
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t word_count;
    struct snapshot snapshot = {0};
    int rc;

    rc = read_txn_begin(db); /* a read-only connection has a region only in a transaction */
    if (rc != LSM_OK) return rc;
    background_hold(db);
    if (!have_lock && !db->config.read_only) {
        rc = shm_lock(db->shm, &db->locks, LOCK_WORKER, LSM_LOCK_EXCL);
        if (rc != LSM_OK) goto done;
        entered = true;
    }
    if (have_lock && db->working) {
        rc = snapshot_copy(&snapshot, &db->working->next); /* in the work hook: not published yet */
    } else {
        rc = shm_load_snapshot(db->shm, words, &word_count);
        if (rc == LSM_OK) rc = db_check_compression(db, words[3]);
        if (rc == LSM_OK) {
            rc = checkpoint_decode(words, word_count, pager_is_compressed(db->pager), db->env,
                                   &db->error, &snapshot);
        }
    }
    if (rc != LSM_OK) goto done;
    switch (verb) {
        case LSM_INFO_DB_STRUCTURE:
            put_structure(text, &snapshot);
            break;
        case LSM_INFO_FREELIST:
            rc = freelist_walk(db->env, db->pager, &snapshot, &db->error, put_free_block, text);
            break;
        case LSM_INFO_ARRAY_STRUCTURE:
        case LSM_INFO_ARRAY_PAGES:
            rc = page <= 0 ? LSM_ERROR
                           : put_pages(db, text, &snapshot, (uint64_t)page,
                                       verb == LSM_INFO_ARRAY_PAGES);
            break;
        default:
            rc = page <= 0 ? LSM_ERROR
                           : put_page(db, text, (uint64_t)page, verb == LSM_INFO_PAGE_HEX_DUMP);
            break;
    }
done:
    snapshot_release(&snapshot);
    if (entered) shm_unlock(db->shm, &db->locks, LOCK_WORKER);
    background_let_go(db);
    read_txn_end_if_unused(db);
    return rc;
}

int db_info_text(lsm_db *db, int verb, lsm_i64 page, char **out) {
    struct buffer text;
    int rc = LSM_OK;

    if (db->database == NULL) return LSM_MISUSE;
    error_clear(&db->error);
    buffer_init(&text, db->env);
    switch (verb) {
        case LSM_INFO_LOG_STRUCTURE: {
            const struct tree_header *header =
                db->level_count > 0 ? &db->writer.header : &db->header;
            uint32_t i;
            if (db->level_count == 0) {
                rc = read_txn_begin(db);
                if (rc != LSM_OK) break;
            }
            for (i = 0; i < 3; i++) {
                buffer_printf(&text, "%s%lld %lld", i ? " " : "",
                              (long long)header->log_regions[i].start,
                              (long long)header->log_regions[i].end);
            }
            read_txn_end_if_unused(db);
            break;
        }
        case LSM_INFO_DB_STRUCTURE:
        case LSM_INFO_FREELIST:
        case LSM_INFO_ARRAY_STRUCTURE:
        case LSM_INFO_ARRAY_PAGES:
        case LSM_INFO_PAGE_ASCII_DUMP:
        case LSM_INFO_PAGE_HEX_DUMP:
            rc = worker_text(db, verb, page, &text);
            break;
        default:
            rc = LSM_MISUSE;
            break;
    }
    if (rc == LSM_OK) {
        rc = text_finish(&text, out);
    } else {
        buffer_release(&text);
    }
    return db_report(db, rc);
}

/* Words of the newest snapshot, whatever the connection reads. */
static int newest_words(lsm_db *db, uint32_t *words) {
    uint32_t word_count;
    return shm_load_snapshot(db->shm, words, &word_count);
}

static int64_t kilobytes(uint64_t bytes) {
    return (int64_t)((bytes + 1023) / 1024);
}

int db_info_number(lsm_db *db, int verb, int64_t *first, int64_t *second) {
    uint32_t words[CHECKPOINT_WORDS_MAX];
    int rc;

    if (db->database == NULL) return LSM_MISUSE;
    error_clear(&db->error);
    rc = read_txn_begin(db);
    if (rc == LSM_MISMATCH && verb == LSM_INFO_COMPRESSION_ID) {
        /* The one question that must be answered then: with the id, a program can find the functions. */
        *first = db->compression_id;
        return LSM_OK;
    }
    if (rc != LSM_OK) return db_report(db, rc);
    switch (verb) {
        case LSM_INFO_NWRITE:
            *first = (int64_t)(db->pages_written + background_pages_written(db));
            break;
        case LSM_INFO_NREAD:
            *first = (int64_t)pager_pages_read(db->pager);
            break;
        case LSM_INFO_CHECKPOINT_SIZE: {
            struct checkpoint_facts facts;
            *first = 0;
            if (db->detached) break; /* what it reads is the checkpoint, and the log */
            database_facts(db->database, &facts);
            rc = newest_words(db, words);
            if (rc == LSM_OK) {
                *first = kilobytes((uint64_t)(words[8] - facts.pages_written) * words[7]);
            }
            break;
        }
        case LSM_INFO_TREE_SIZE: {
            const struct tree_header *header =
                db->level_count > 0 ? &db->writer.header : &db->header;
            bool waits = header->old_id != 0 &&
                         (uint64_t)header->old_log_field != db->snapshot.log.field;
            *first = waits ? kilobytes(header->old.byte_count) : 0;
            *second = kilobytes(header->live.byte_count);
            break;
        }
        case LSM_INFO_COMPRESSION_ID:
            rc = newest_words(db, words);
            if (rc == LSM_OK) *first = words[3];
            break;
        default:
            rc = LSM_MISUSE;
            break;
    }
    read_txn_end_if_unused(db);
    return db_report(db, rc);
}
