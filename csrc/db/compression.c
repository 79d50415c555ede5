/*
** compression.c — which functions pack and unpack the pages of a database, and whose they are.
**
**     file's id     stored        a connection may read it if
**     0, no level   nothing yet   always; whoever writes the first level decides
**     0 or 1        plain, or     it has no functions, or functions of just that id: nothing in the
**                   packed        header tells which, so pages are looked at when it is opened
**     others        packed        its functions have the id; a factory may supply them
**
** The pager of a process is shared by all connections to a file, but functions belong to a
** connection, which may go away. So a database lists the connections that have the right ones: the
** pager uses those of the first, and when that one leaves, those of the next.
**
** INVARIANTS  (I1) the pager never uses functions of a connection that was closed or has got
**                  others.
**             (I2) all listed connections have functions of the same id.
**             (I3) how pages are stored changes only while no published snapshot has a level.
** LOCKING     `connect` (to look at the shared pager from outside a transaction) -> `facts_mutex`
**             (the list) -> the pager's own mutex around every call of a function.
** ERRORS      LSM_MISMATCH, nothing held: other functions are needed. LSM_CORRUPT: pages are not
**             stored as the connection must believe.
*/
#include <stdatomic.h>

#include "db/db_internal.h"

#define FRAME_SIZE_FIELD 3u
#define FIRST_OFFSET (2 * (uint64_t)META_PAGE_SIZE + 4) /* of a frame */

/* ---------------------------------------------------------------------------------- the list -- */

static bool has_functions(const lsm_db *db) {
    return db->compress.xBound != NULL;
}

static bool pager_is_shared(const lsm_db *db) {
    return db->pager == db->database->pager;
}

/* The rest is done with `facts_mutex` held. */

static void list_add(struct database *database, lsm_db *db) {
    db->next_compressor = database->compressors;
    database->compressors = db;
    atomic_store(&db->compressing, true);
}

/* True: it was the first. */
static bool list_remove(struct database *database, lsm_db *db) {
    lsm_db **link;
    bool first = database->compressors == db;

    for (link = &database->compressors; *link; link = &(*link)->next_compressor) {
        if (*link == db) {
            *link = db->next_compressor;
            break;
        }
    }
    db->next_compressor = NULL;
    atomic_store(&db->compressing, false);
    return first;
}

static void list_clear(struct database *database) {
    while (database->compressors) (void)list_remove(database, database->compressors);
}

/* Make `db` the only one listed, or, without `with_functions`, nobody. */
static int lead(lsm_db *db, bool compressed, bool with_functions) {
    int rc;

    rc = pager_set_compression(db->pager, compressed, with_functions ? &db->compress : NULL);
    if (rc == LSM_OK) {
        list_clear(db->database);
        if (with_functions) list_add(db->database, db);
    }
    return rc;
}

/* The functions of `db` are right for the file: let the pager have them if it has none. */
static int join(lsm_db *db) {
    struct database *database = db->database;
    int rc = LSM_OK;

    if (!pager_is_shared(db)) {
        if (!pager_is_compressed(db->pager)) return LSM_OK;
        return pager_set_compression(db->pager, true, &db->compress);
    }
    os_mutex_enter(database->env, database->facts_mutex);
    if (!pager_is_compressed(db->pager)) goto done; /* id 1 with functions, but plain pages */
    if (database->compressors == NULL) {
        rc = pager_set_compression(db->pager, true, &db->compress);
        if (rc == LSM_OK) list_add(database, db);
    } else if (database->compressors->compress.iId == db->compress.iId) {
        db->next_compressor = database->compressors->next_compressor;
        database->compressors->next_compressor = db;
        atomic_store(&db->compressing, true);
    }
done:
    os_mutex_leave(database->env, database->facts_mutex);
    return rc;
}

void compression_leave(lsm_db *db) {
    struct database *database = db->database;
    const lsm_compress *next;

    if (!has_functions(db)) return;
    if (db->pager && !pager_is_shared(db)) {
        (void)!pager_set_compression(db->pager, pager_is_compressed(db->pager), NULL);
    }
    if (!atomic_load(&db->compressing)) return;
    os_mutex_enter(database->env, database->connect);
    os_mutex_enter(database->env, database->facts_mutex);
    if (list_remove(database, db) && database->pager) {
        next = database->compressors ? &database->compressors->compress : NULL;
        (void)!pager_set_compression(database->pager, pager_is_compressed(database->pager), next);
    }
    os_mutex_leave(database->env, database->facts_mutex);
    os_mutex_leave(database->env, database->connect);
}

/* -------------------------------------------------------------------------------- the checks -- */

bool compression_expects_packed(const lsm_db *db) {
    return has_functions(db) && db->compress.iId <= LSM_COMPRESSION_NONE;
}

int compression_start(lsm_db *db, const struct snapshot *snapshot) {
    uint32_t id = snapshot->compression_id;
    bool nothing_yet = id == LSM_COMPRESSION_EMPTY && snapshot->level_count == 0;
    bool compressed = id > LSM_COMPRESSION_NONE || (has_functions(db) && nothing_yet) ||
                      (compression_expects_packed(db) && (id == 0 || id == db->compress.iId));
    bool ours = has_functions(db) && (id == LSM_COMPRESSION_EMPTY || id == db->compress.iId);

    int rc;

    if (!pager_is_shared(db)) {
        return pager_set_compression(db->pager, compressed,
                                     compressed && ours ? &db->compress : NULL);
    }
    os_mutex_enter(db->database->env, db->database->facts_mutex);
    rc = lead(db, compressed, compressed && ours);
    os_mutex_leave(db->database->env, db->database->facts_mutex);
    return rc;
}

int compression_decide(lsm_db *db) {
    struct database *database = db->database;
    bool compressed = has_functions(db);
    int rc = LSM_OK;

    os_mutex_enter(database->env, database->facts_mutex);
    if (compressed ? database->compressors != db : pager_is_compressed(db->pager)) {
        rc = lead(db, compressed, compressed);
    }
    os_mutex_leave(database->env, database->facts_mutex);
    if (rc != LSM_OK) {
        rc = error_note(&db->error, LSM_MISMATCH, "the blocks are too small for plain pages");
    }
    return rc;
}

int compression_arrive(lsm_db *db, uint32_t compression_id) {
    bool ours = compression_id == LSM_COMPRESSION_EMPTY || compression_id == db->compress.iId;

    return has_functions(db) && ours && !atomic_load(&db->compressing) ? join(db) : LSM_OK;
}

int db_check_compression(lsm_db *db, uint32_t compression_id) {
    db->compression_id = compression_id;
    if (compression_id != LSM_COMPRESSION_EMPTY && compression_id != db->compress.iId) {
        if (db->factory.xFactory && !db->in_factory) {
            db->in_factory = true;
            (void)db->factory.xFactory(db->factory.pCtx, db, compression_id);
            db->in_factory = false;
        }
        if (compression_id != db->compress.iId) {
            return error_note(&db->error, LSM_MISMATCH,
                              "the database needs other compression functions");
        }
    }
    if (!has_functions(db) || atomic_load_explicit(&db->compressing, memory_order_relaxed)) {
        return LSM_OK;
    }
    return join(db);
}

/* -------------------------------------------------------------------------------- the pages -- */

/* The first page of a finished run, or of the output of a merge: a record begins at its first byte.
** */
static bool is_first_page(struct pager *pager, const struct redirects *redirects, uint64_t page_no,
                          int *rc) {
    struct error_context ignored = {0};
    struct page page = {0};
    struct page_footer footer = {0};
    uint32_t offset = 1;

    *rc = pager_get(pager, redirects, page_no, &ignored, &page);
    if (*rc == LSM_OK) *rc = format_page_footer(page.data, page.size, page_no, &ignored, &footer);
    if (*rc == LSM_OK && !(footer.flags & PAGE_FLAG_INDEX) && footer.cell_count > 0) {
        *rc = format_page_cell(page.data, page.size, &footer, 0, page_no, &ignored, &offset);
    }
    pager_put(pager, &page);
    if (error_is_damage(&ignored, *rc)) *rc = LSM_OK;
    return offset == 0;
}

/* Do the bytes at `offset` look like a packed page: the same size in front of and behind it? */
static int looks_packed(struct os_file *file, uint64_t offset, bool *packed) {
    uint8_t head[FRAME_SIZE_FIELD];
    uint8_t tail[FRAME_SIZE_FIELD];
    uint32_t size;
    int rc = os_read(file, offset, head, sizeof head);

    *packed = false;
    if (rc != LSM_OK || head[0] < 0x80 || head[1] < 0x80 || head[2] < 0x80) return rc;
    size = ((uint32_t)head[0] & 0x7f) << 14 | ((uint32_t)head[1] & 0x7f) << 7 | (head[2] & 0x7fu);
    rc = os_read(file, offset + FRAME_SIZE_FIELD + size, tail, sizeof tail);
    *packed = rc == LSM_OK && memcmp(head, tail, sizeof head) == 0;
    return rc;
}

int compression_look_at_pages(lsm_db *db, struct os_file *file, const struct snapshot *snapshot) {
    const struct redirects *redirects = NULL;
    uint64_t first;
    bool compressed = pager_is_compressed(db->pager);
    bool packed = false;
    int rc = LSM_OK;

    if (snapshot->level_count == 0) return LSM_OK;
    if (snapshot->compression_id > LSM_COMPRESSION_NONE) return LSM_OK;
    first = snapshot->levels[0].left.first;
    /* No packed page has so small a number. */
    if (!compressed && first < FIRST_OFFSET) return LSM_OK;
    if (snapshot->level_count == 1 && snapshot->levels[0].right_count == 0) {
        redirects = &snapshot->redirects;
    }
    if (is_first_page(db->pager, redirects, first, &rc) || rc != LSM_OK) return rc;
    /* A damaged plain page is for those to find who need it: the rest of the file may be good. */
    if (!compressed) rc = looks_packed(file, first, &packed);
    if (rc == LSM_OK && (compressed || packed)) {
        rc = error_corrupt(&db->error, first,
                           packed ? "pages are compressed, but no functions were given"
                                  : "pages are not compressed by the functions given");
    }
    return rc;
}
