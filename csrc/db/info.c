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

#define INDEX_PAGES_MAX 1000u /* between two pages of a body: a dump looks no further */

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

/* A page to dump, and what is dumped of it. */
struct dump {
    struct pager *pager;
    struct page page;
    struct page_footer footer;
    bool hex;
    struct buffer body; /* key and value of a record that goes on on other pages */
};

/* A record of the page, decoded. The slices are cut where the bytes that can be had end. */
struct dump_cell {
    uint64_t pointer;
    uint8_t flags;
    bool indirect;
    struct slice key;
    struct slice value;
};

/* Append what the pages behind `page` hold of a body of which `size` bytes are missing. Nothing is known of the run
** that the page belongs to: the chain is believed as far as it fits the body. */
static int follow_body(struct dump *dump, uint64_t size) {
    struct error_context ignored = {0};
    struct page at = dump->page;
    uint32_t index_pages = 0;
    bool borrowed = false;
    int rc = LSM_OK;

    while (size > 0 && rc == LSM_OK) {
        struct page next = {0};
        struct page_footer footer = {0};
        uint64_t next_no = 0;
        uint32_t part = 0;

        rc = pager_next(dump->pager, NULL, &at, &ignored, &next_no);
        if (rc == LSM_OK) rc = pager_get(dump->pager, NULL, next_no, &ignored, &next);
        if (borrowed) pager_put(dump->pager, &at);
        borrowed = rc == LSM_OK;
        at = next;
        if (rc == LSM_OK) rc = format_page_footer(next.data, next.size, next_no, &ignored, &footer);
        if (rc != LSM_OK) break;
        if (footer.flags & PAGE_FLAG_INDEX) {
            if (index_pages++ == INDEX_PAGES_MAX) break;
            continue;
        }
        part = footer.record_end;
        if (footer.cell_count > 0) {
            rc = format_page_cell(next.data, next.size, &footer, 0, next_no, &ignored, &part);
        }
        if (rc != LSM_OK || part == 0 || (footer.cell_count > 0 && part != size)) break;
        if (part > size) part = (uint32_t)size;
        buffer_append(&dump->body, next.data, part);
        size -= part;
        rc = dump->body.rc;
    }
    if (borrowed) pager_put(dump->pager, &at);
    return rc == LSM_NOMEM ? rc : LSM_OK;
}

static int record_cell(struct dump *dump, uint32_t offset, struct dump_cell *out) {
    const uint8_t *at = dump->page.data + offset;
    const uint8_t *end = dump->page.data + dump->footer.record_end;
    struct error_context ignored = {0};
    struct record_head head;
    struct slice body;
    uint64_t size;
    int rc = format_record_head(at, end, dump->page.page_no, &ignored, &head);

    if (rc != LSM_OK) return rc;
    at += head.head_size;
    size = (uint64_t)head.key_size + head.value_size;
    body = (struct slice){at, (uint32_t)(end - at)};
    if (size > body.size) {
        rc = buffer_assign(&dump->body, body);
        if (rc == LSM_OK) rc = follow_body(dump, size - body.size);
        if (rc != LSM_OK) return rc;
        body = buffer_slice(&dump->body);
    } else {
        body.size = (uint32_t)size;
    }
    out->flags = head.flags;
    out->pointer = dump->footer.pointer + (uint64_t)head.pointer_delta;
    out->key = (struct slice){body.data, head.key_size < body.size ? head.key_size : body.size};
    out->value.size = body.size - out->key.size;
    out->value.data = out->value.size > 0 ? body.data + out->key.size : NULL; /* there may be no body at all */
    return LSM_OK;
}

/* LSM_CORRUPT: not to be read; LSM_NOMEM. */
static int dump_cell(struct dump *dump, uint32_t cell, struct dump_cell *out) {
    const struct page *page = &dump->page;
    struct error_context ignored = {0};
    struct index_cell index;
    uint32_t offset;
    int rc = format_page_cell(page->data, page->size, &dump->footer, cell, page->page_no, &ignored, &offset);

    *out = (struct dump_cell){0};
    if (rc != LSM_OK) return rc;
    if (!(dump->footer.flags & PAGE_FLAG_INDEX)) return record_cell(dump, offset, out);
    rc = format_index_cell(page->data + offset, page->data + dump->footer.record_end, page->page_no, &ignored,
                           &index);
    if (rc != LSM_OK) return rc;
    out->flags = RECORD_SEPARATOR | (index.topic == TOPIC_SYSTEM ? RECORD_SYSTEM : 0);
    out->pointer = index.child;
    out->indirect = index.indirect;
    if (!index.indirect) out->key = index.key;
    return LSM_OK;
}

static void put_cell(struct buffer *text, const struct dump *dump, const struct dump_cell *cell,
                     uint32_t widest) {
    bool system = (cell->flags & RECORD_SYSTEM) != 0;
    bool index = (dump->footer.flags & PAGE_FLAG_INDEX) != 0;
    uint32_t i;

    put_record_flags(text, index ? RECORD_SEPARATOR : cell->flags);
    buffer_printf(text, " %llu (%s) ", (unsigned long long)cell->pointer, system ? "sys" : "usr");
    if (cell->indirect) {
        buffer_printf(text, "<indirect>");
    } else {
        put_bytes(text, cell->key, dump->hex);
    }
    if (cell->flags & RECORD_INSERT) {
        for (i = cell->key.size; i < widest; i++) buffer_printf(text, dump->hex ? "  " : " ");
        buffer_append(text, " ", 1);
        put_bytes(text, cell->value, dump->hex);
        if (system && cell->key.size == 4 && cell->value.size == 8) {
            buffer_printf(text, "  (block=%u snapshot=%llu)", (unsigned)~get_u32(cell->key.data),
                          (unsigned long long)get_u64(cell->value.data));
        }
    }
    buffer_append(text, "\n", 1);
}

/* Values stand below each other, behind the longest key. */
static int put_cells(struct buffer *text, struct dump *dump) {
    struct dump_cell cell;
    uint32_t widest = 0;
    uint32_t i;
    int rc = LSM_OK;

    for (i = 0; i < dump->footer.cell_count && rc != LSM_NOMEM; i++) {
        rc = dump_cell(dump, i, &cell);
        if (rc == LSM_OK && cell.key.size > widest) widest = cell.key.size;
    }
    for (i = 0; i < dump->footer.cell_count && rc != LSM_NOMEM; i++) {
        rc = dump_cell(dump, i, &cell);
        if (rc == LSM_OK) {
            put_cell(text, dump, &cell, widest);
        } else {
            buffer_printf(text, "<damaged>\n");
        }
    }
    return rc == LSM_NOMEM ? rc : LSM_OK;
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

/* Does the number lie on a block that the snapshot knows? */
static bool is_page_number(struct pager *pager, const struct snapshot *snapshot, uint64_t page_no) {
    uint32_t block_no = pager_block_of(pager, page_no);

    return block_no > 0 && block_no <= snapshot->block_count &&
           page_no >= pager_first_page(pager, block_no) && page_no <= pager_last_page(pager, block_no);
}

static int put_page(lsm_db *db, struct buffer *text, const struct snapshot *snapshot, uint64_t page_no,
                    bool hex) {
    struct dump dump = {.pager = db->pager, .hex = hex};
    struct page *page = &dump.page;
    uint32_t i;
    int rc;

    if (!is_page_number(db->pager, snapshot, page_no)) return LSM_ERROR;
    buffer_init(&dump.body, db->env);
    rc = pager_get(db->pager, NULL, page_no, &db->error, page);
    if (rc != LSM_OK) return rc;
    rc = format_page_footer(page->data, page->size, page_no, &db->error, &dump.footer);
    if (rc != LSM_OK) goto done;
    buffer_printf(text, "Page : %llu  (%u bytes)\nnRec : %u\niPtr : %llu\nflags: %04x\n\n",
                  (unsigned long long)page_no, (unsigned)page->size, (unsigned)dump.footer.cell_count,
                  (unsigned long long)dump.footer.pointer, (unsigned)dump.footer.flags);
    rc = put_cells(text, &dump);
    if (rc != LSM_OK) goto done;
    buffer_append(text, "\n", 1);
    for (i = 0; i < 80; i++) buffer_append(text, "-", 1);
    buffer_printf(text, "\nPage %llu\n", (unsigned long long)page_no);
    put_raw(text, page);
    rc = text->rc;
done:
    buffer_release(&dump.body);
    pager_put(db->pager, page);
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
        if (rc == LSM_OK) rc = db_check_compression(db, words[CHECKPOINT_COMPRESSION]);
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
                           : put_page(db, text, &snapshot, (uint64_t)page,
                                      verb == LSM_INFO_PAGE_HEX_DUMP);
            break;
    }
done:
    snapshot_release(&snapshot);
    if (entered) shm_unlock(db->shm, &db->locks, LOCK_WORKER);
    background_let_go(db);
    read_txn_end_if_unused(db);
    return rc;
}

/* A read transaction for facts that need no page: other compression functions than these do not matter. Then none is
** open, and the connection knows the header and the id that it met. */
static int look_begin(lsm_db *db) {
    int rc = read_txn_begin(db);

    if (rc == LSM_MISMATCH) {
        error_clear(&db->error);
        rc = LSM_OK;
    }
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
                rc = look_begin(db);
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

/* KB of the old tree, if the newest snapshot does not hold it yet. */
static int old_tree_kilobytes(lsm_db *db, const struct tree_header *header, int64_t *out) {
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint64_t field = db->snapshot.log.field; /* of the snapshot read */
    int rc = LSM_OK;

    *out = 0;
    if (header->old_id == 0) return LSM_OK;
    if (db->slot < 0 && db->shm) {
        rc = newest_words(db, words);
        field = checkpoint_wide(words, CHECKPOINT_LOG_FIELD);
    }
    if (rc == LSM_OK && (uint64_t)header->old_log_field != field) *out = kilobytes(header->old.byte_count);
    return rc;
}

int db_info_number(lsm_db *db, int verb, int64_t *first, int64_t *second) {
    const struct tree_header *header = db->level_count > 0 ? &db->writer.header : &db->header;
    uint32_t words[CHECKPOINT_WORDS_MAX];
    struct checkpoint_facts facts;
    int rc;

    if (db->database == NULL) return LSM_MISUSE;
    error_clear(&db->error);
    rc = look_begin(db);
    if (rc != LSM_OK) return db_report(db, rc);
    switch (verb) {
        case LSM_INFO_NWRITE:
            *first = (int64_t)(db->pages_written + background_pages_written(db));
            break;
        case LSM_INFO_NREAD:
            *first = db->pager ? (int64_t)pager_pages_read(db->pager) : 0;
            break;
        case LSM_INFO_CHECKPOINT_SIZE:
            *first = 0;
            if (db->detached || db->shm == NULL) break; /* what it reads is the checkpoint, and the log */
            database_facts(db->database, &facts);
            rc = newest_words(db, words);
            if (rc == LSM_OK) {
                *first = kilobytes(checkpoint_bytes_since(words, facts.pages_written));
            }
            break;
        case LSM_INFO_TREE_SIZE:
            rc = old_tree_kilobytes(db, header, first);
            *second = kilobytes(header->live.byte_count);
            break;
        case LSM_INFO_COMPRESSION_ID:
            /* What must be answered after a mismatch: with the id, a program can find the functions. */
            *first = db->compression_id;
            if (db->slot >= 0) rc = newest_words(db, words);
            if (db->slot >= 0 && rc == LSM_OK) *first = words[CHECKPOINT_COMPRESSION];
            break;
        default:
            rc = LSM_MISUSE;
            break;
    }
    read_txn_end_if_unused(db);
    return db_report(db, rc);
}
