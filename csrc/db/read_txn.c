/*
** read_txn.c — read transactions: one version of everything, protected by a reader slot.
**
** INVARIANTS  (I1) while open, db->header and db->snapshot are the version read, and the slot keeps its chunks
**             and blocks from being reused.
**             (I2) a spent old tree (already in the snapshot) is not part of the view.
** COST        begin and end take one short mutex each; the decoded snapshot is kept between
**             transactions and decoded again only when its id changed.
*/
#include "db/db_internal.h"
#include "snapshot/checkpoint.h"

#define BEGIN_ATTEMPTS 10

bool read_txn_is_open(const lsm_db *db) {
    return db->slot >= 0 || db->level_count > 0;
}

/* Make `words` the snapshot read; LSM_MISMATCH if the connection cannot read its pages. */
int read_txn_use_snapshot(lsm_db *db, const uint32_t *words, uint32_t word_count) {
    struct snapshot snapshot = {0};
    struct level_notes *notes = NULL;
    bool compressed;
    int rc;

    rc = db_check_compression(db, words[CHECKPOINT_COMPRESSION]);
    if (rc != LSM_OK) return rc;
    /* As long as there is no level, the kind of the pages may change under us, and does not matter. */
    compressed = words[CHECKPOINT_LEVELS] == 0 ? db->compress.xBound != NULL : pager_is_compressed(db->pager);
    rc = checkpoint_decode(words, word_count, compressed, db->env, &db->error, &snapshot);
    if (rc != LSM_OK) return rc;
    snapshot_mend_fronts(&snapshot, db->pager);
    rc = level_notes_new(db->env, &snapshot, &notes);
    if (rc != LSM_OK) {
        snapshot_release(&snapshot);
        return rc;
    }
    if (db->store) level_notes_attach(notes, db->store, &snapshot, db->pager);
    level_notes_free(db->notes);
    snapshot_release(&db->snapshot);
    db->snapshot = snapshot;
    db->notes = notes;
    db->page_size = snapshot.page_size;
    db->block_size = snapshot.block_size;
    pager_set_block_limit(db->pager, snapshot.block_count);
    return LSM_OK;
}

void read_txn_refresh_view(lsm_db *db) {
    const struct tree_header *header = db->level_count > 0 ? &db->writer.header : &db->header;

    db->ahead_count = 0;
    if (db->slot < 0) return; /* who opens a read transaction makes the view */
    db->view.env = db->env;
    db->view.error = &db->error;
    db->view.pager = db->pager;
    db->view.snapshot = &db->snapshot;
    db->view.notes = db->notes;
    db->view.store = db->store;
    db->view.live = memtree_live(db->shm, header);
    if (header->old_id != 0 && (uint64_t)header->old_log_field != db->snapshot.log.field) {
        db->view.old = memtree_old(db->shm, header);
    } else {
        db->view.old = (struct memtree){0};
    }
}

/* One attempt; LSM_OK with *done false: something changed meanwhile, try again. */
static int try_begin(lsm_db *db, bool *done) {
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t word_count;
    int64_t id;
    int copy;
    int slot;
    int rc;

    *done = false;
    rc = shm_load_tree(db->shm, &db->header, &copy);
    if (rc != LSM_OK) return rc;
    if (db->snapshot.id == 0 || shm_snapshot_id(db->shm) != db->snapshot.id) {
        rc = shm_load_snapshot(db->shm, words, &word_count);
        if (rc != LSM_OK) return rc;
        rc = read_txn_use_snapshot(db, words, word_count);
    } else {
        rc = db_check_compression(db, db->snapshot.compression_id);
    }
    if (rc != LSM_OK) return rc;
    id = db->snapshot.id;
    rc = shm_reader_acquire(db->shm, &db->locks, db->header.used_id, db->header.next_id, id, &slot);
    if (rc == LSM_BUSY) return LSM_OK;
    if (rc != LSM_OK) return rc;
    /* Between the look and the lock things may have moved on: then the slot protects too little. */
    if (!shm_tree_current(db->shm, &db->header, copy) || shm_snapshot_id(db->shm) != id) {
        shm_reader_release(db->shm, &db->locks, slot);
        return LSM_OK;
    }
    db->slot = slot;
    *done = true;
    return LSM_OK;
}

int read_txn_begin(lsm_db *db) {
    bool done = false;
    int attempt;
    int rc = LSM_OK;

    if (db->slot >= 0) return LSM_OK;
    if (db->in_factory) { /* it runs inside this function, and was told the id */
        return error_note(&db->error, LSM_MISMATCH, "nothing can be read until the factory returns");
    }
    if (db->config.read_only) {
        rc = database_reader_enter(db);
        if (rc != LSM_OK) return rc;
        /* Another region, or another recovery: its snapshot may differ under the same id. */
        db->snapshot.id = 0;
    }
    if (!db->attached) {
        shm_attach(db->shm, &db->locks);
        db->attached = true;
    }
    for (attempt = 0; attempt < BEGIN_ATTEMPTS && rc == LSM_OK && !done; attempt++) {
        rc = try_begin(db, &done);
    }
    if (rc == LSM_OK && !done) {
        rc = error_note(&db->error, LSM_BUSY, "no reader slot");
    }
    if (rc != LSM_OK) {
        if (db->slot >= 0) shm_reader_release(db->shm, &db->locks, db->slot);
        db->slot = -1;
        if (db->config.read_only) {
            shm_detach(db->shm, &db->locks);
            db->attached = false;
            database_reader_leave(db);
        }
        return rc;
    }
    pager_reader_enter(db->pager);
    read_txn_refresh_view(db);
    return LSM_OK;
}

void read_txn_end_if_unused(lsm_db *db) {
    if (db->slot < 0 || db->cursors || db->level_count > 0) return;
    lookup_scratch_detach(&db->scratch); /* it may hold a page of this transaction */
    pager_reader_leave(db->pager);
    shm_reader_release(db->shm, &db->locks, db->slot);
    db->slot = -1;
    if (db->config.read_only) {
        shm_detach(db->shm, &db->locks);
        db->attached = false;
        database_reader_leave(db);
    }
}

/*
** There is a newer snapshot with the same content, by this connection's work or that of others. Take the new slot
** first, then give up the old one; cursors were marked stale by the caller and seek again.
*/
int read_txn_advance(lsm_db *db, bool *advanced) {
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t word_count;
    const struct tree_header *header = db->level_count > 0 ? &db->writer.header : &db->header;
    int slot;
    int rc;

    *advanced = false;
    rc = shm_load_snapshot(db->shm, words, &word_count);
    if (rc != LSM_OK) return rc;
    if (db->slot < 0) { /* a brief write transaction: it reads no pages */
        rc = read_txn_use_snapshot(db, words, word_count);
        *advanced = rc == LSM_OK;
        return rc;
    }
    rc = shm_reader_acquire(db->shm, &db->locks, db->header.used_id, header->next_id,
                            (int64_t)checkpoint_wide(words, CHECKPOINT_ID), &slot);
    if (rc == LSM_BUSY) return LSM_OK; /* stay on the old one: it is still protected */
    if (rc != LSM_OK) return rc;
    rc = read_txn_use_snapshot(db, words, word_count);
    if (rc != LSM_OK) {
        if (slot != db->slot) shm_reader_release(db->shm, &db->locks, slot);
        return rc;
    }
    if (slot != db->slot) shm_reader_release(db->shm, &db->locks, db->slot);
    db->slot = slot;
    *advanced = true;
    read_txn_refresh_view(db);
    return LSM_OK;
}

int db_read_begin(lsm_db *db) {
    int rc;
    if (db->database == NULL) return LSM_MISUSE;
    error_clear(&db->error);
    rc = read_txn_begin(db);
    return db_report(db, rc);
}

void db_read_end(lsm_db *db) {
    if (db->database) read_txn_end_if_unused(db);
}

static void version_from_header(const struct tree_header *header, int64_t snapshot_id, struct db_version *out) {
    *out = (struct db_version){
        .snapshot_id = snapshot_id,
        .old_tree = header->old_id != 0 ? header->old_log_field : -1,
        .txn_id = header->live.txn_id,
        .tree_id = header->next_id,
    };
}

int db_get_version(lsm_db *db, struct db_version *out) {
    struct tree_header header;
    int copy;
    int rc;

    if (db->database == NULL) return LSM_MISUSE;
    if (db->slot >= 0) {
        version_from_header(&db->header, db->snapshot.id, out);
        return LSM_OK;
    }
    if (db->shm == NULL) return LSM_MISUSE; /* a read-only connection between transactions */
    rc = shm_load_tree(db->shm, &header, &copy);
    if (rc == LSM_OK) version_from_header(&header, shm_snapshot_id(db->shm), out);
    return rc;
}

bool db_version_equal(const struct db_version *left, const struct db_version *right) {
    return left->snapshot_id == right->snapshot_id && left->old_tree == right->old_tree &&
           left->txn_id == right->txn_id && left->tree_id == right->tree_id;
}

int db_get(lsm_db *db, struct slice key, bool *found, struct slice *value) {
    int rc;

    if (db->database == NULL) return LSM_MISUSE;
    error_clear(&db->error);
    rc = read_txn_begin(db);
    if (rc == LSM_OK) rc = view_lookup(&db->view, &db->scratch, key, found, value);
    return db_report(db, rc);
}

void db_look_ahead(lsm_db *db, const struct slice *keys, uint32_t count) {
    assert(count <= DB_AHEAD_MAX);
    db->ahead_count = 0;
    if (db->database == NULL || read_txn_begin(db) != LSM_OK) return; /* the lookup will say why */
    view_look_ahead(&db->view, keys, count, db->ahead);
    db->ahead_count = count;
}

int db_get_ahead(lsm_db *db, struct slice key, uint32_t index, bool *found, struct slice *value) {
    int rc;

    if (db->slot < 0 || index >= db->ahead_count) return db_get(db, key, found, value);
    error_clear(&db->error);
    rc = view_lookup_ahead(&db->view, &db->scratch, key, &db->ahead[index], found, value);
    return db_report(db, rc);
}
