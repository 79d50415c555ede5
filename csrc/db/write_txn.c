/*
** write_txn.c — write transactions: levels, the two records of a change (log and tree), commit.
**
** ERRORS      A change that fails half-way (log written, tree not) leaves the transaction open and unable to
**             do anything but roll back: txn_rc. When automatic work after a commit fails, the commit stands:
**             lsm.h then returns the error all the same, as LSM1 does; with db_let_work_errors_wait the next
**             transaction does, which has done nothing then.
** INVARIANTS  (I1) the log record is written before the tree is changed; COMMIT before the header is published.
**             (I2) after a failed commit nothing of the transaction is visible to anybody.
**             (I3) rollback publishes log regions and sums exactly as they were before begin.
** LOCKING     WRITER from begin to the end of the outermost level, automatic work included.
*/
#include "base/memory.h"
#include "db/db_internal.h"

#define GIVEN_KEPT_MAX (1u << 20) /* a longer copy of an argument is not kept for the next call */
#define MARKS_MAX (1u << 23) /* nesting levels; keeps sizes in 32 bits */

static void header_set_log(struct tree_header *header, const struct log_state *state) {
    header->log_sum0 = state->sum0;
    header->log_sum1 = state->sum1;
    header->log_reclaim_id = state->reclaim_id;
    memcpy(header->log_regions, state->regions, sizeof header->log_regions);
}

static void log_state_from_header(struct log_state *state, const struct tree_header *header) {
    memcpy(state->regions, header->log_regions, sizeof state->regions);
    state->sum0 = header->log_sum0;
    state->sum1 = header->log_sum1;
    state->reclaim_id = header->log_reclaim_id;
}

static int reserve_marks(lsm_db *db, uint32_t count) {
    struct db_mark *marks;
    uint32_t capacity = db->mark_capacity ? db->mark_capacity : 4;

    if (count <= db->mark_capacity) return LSM_OK;
    if (count > MARKS_MAX) return LSM_NOMEM;
    while (capacity < count) capacity *= 2;
    marks = memory_reallocate(db->env, db->marks, capacity * sizeof *marks);
    if (marks == NULL) return LSM_NOMEM;
    db->marks = marks;
    db->mark_capacity = capacity;
    return LSM_OK;
}

static void open_levels(lsm_db *db, uint32_t levels) {
    while (db->level_count < levels) {
        struct db_mark *mark = &db->marks[db->level_count++];
        memtree_writer_mark(&db->writer, &mark->tree);
        if (db->logging) log_writer_mark(&db->log, &mark->log);
    }
}

/* The writer before us died in a transaction. WRITER held. */
static int repair_if_needed(lsm_db *db) {
    struct tree_header header;
    int copy;
    int rc;

    shm_mend_tree(db->shm);
    if (db->shm->header->writer_flag == 0) return LSM_OK;
    rc = shm_load_tree(db->shm, &header, &copy);
    if (rc != LSM_OK) return rc;
    rc = memtree_repair(db->shm, &header, &db->error);
    if (rc != LSM_OK) return rc;
    shm_publish_tree(db->shm, &header);
    db->shm->header->writer_flag = 0;
    /* The repaired header is the version we read if it was ours before. */
    if (db->header.live.txn_id == header.live.txn_id) db->header = header;
    return LSM_OK;
}

/* A spent old tree (its content is in the snapshot read) leaves the header. */
static void drop_spent_tree(lsm_db *db) {
    struct tree_header *header = &db->writer.header;
    if (header->old_id != 0 && (uint64_t)header->old_log_field == db->snapshot.log.field) {
        memtree_drop_old(header);
        db->dropped_old = true;
    }
}

static bool version_is_newest(lsm_db *db) {
    return shm_tree_unchanged(db->shm, &db->header);
}

/* Read the newest version; with cursors open the connection must stay where it is. */
static int read_newest(lsm_db *db) {
    int rc = LSM_OK;

    if (version_is_newest(db)) return LSM_OK;
    if (db->cursors == NULL) {
        read_txn_end_if_unused(db);
        rc = read_txn_begin(db);
        if (rc != LSM_OK) return rc;
    }
    if (version_is_newest(db)) return LSM_OK;
    return error_note(&db->error, LSM_BUSY, "a cursor of this connection reads an older version");
}

/* After a failed sync of the log: FULL means nothing until a checkpoint covers all. */
static int heal_log(lsm_db *db) {
    struct database *database = db->database;
    int rc;

    if (LSM_LIKELY(database->log_sync_failed == LSM_OK) || db->config.safety != LSM_SAFETY_FULL) {
        return LSM_OK;
    }
    if (db->cursors) return database->log_sync_failed; /* they pin what would have to be dropped */
    background_hold(db);
    rc = db_flush_trees(db, false);
    if (rc == LSM_OK) rc = db_checkpoint(db, NULL);
    background_let_go(db);
    if (rc != LSM_OK) return database->log_sync_failed;
    database->log_sync_failed = LSM_OK;
    return read_newest(db);
}

/* With WRITER held and the newest version read, a newer snapshot has the same content: cursors move to it, so that
** they pin nothing that a worker waits for, and a spent old tree can go. */
static int read_newest_snapshot(lsm_db *db) {
    bool advanced;

    if (shm_snapshot_id(db->shm) == db->snapshot.id) return LSM_OK;
    cursors_before_change(db);
    return read_txn_advance(db, &advanced);
}

/*
** A transaction of one change looks at nothing but the tree it changes, which only the holder of WRITER can take
** apart. So it needs no reader slot, if the version that the connection knows is the newest and in order.
** *done = false: take the long way.
*/
static int lock_brief(lsm_db *db, bool *done) {
    int rc;

    *done = false;
    if (!db->brief || db->slot >= 0 || !db->attached || db->snapshot.id == 0) return LSM_OK;
    rc = shm_lock(db->shm, &db->locks, LOCK_WRITER, LSM_LOCK_EXCL);
    if (rc != LSM_OK) return error_note(&db->error, rc, "another connection writes");
    if (shm_tree_settled(db->shm, &db->header) && shm_snapshot_id(db->shm) == db->snapshot.id) {
        rc = db_check_compression(db, db->snapshot.compression_id);
        *done = rc == LSM_OK;
    }
    if (!*done) shm_unlock(db->shm, &db->locks, LOCK_WRITER);
    return rc;
}

/* Take WRITER, as a reader of the newest version, with a dead writer's traces mended. */
int write_txn_lock(lsm_db *db) {
    bool done;
    int rc;

    rc = lock_brief(db, &done);
    if (rc != LSM_OK || done) return rc;
    rc = read_txn_begin(db);
    if (rc != LSM_OK) return rc;
    rc = shm_lock(db->shm, &db->locks, LOCK_WRITER, LSM_LOCK_EXCL);
    if (rc != LSM_OK) {
        error_note(&db->error, rc, "another connection writes");
        read_txn_end_if_unused(db);
        return rc;
    }
    rc = repair_if_needed(db);
    if (rc == LSM_OK) rc = read_newest(db);
    if (rc == LSM_OK) rc = read_newest_snapshot(db);
    if (rc != LSM_OK) write_txn_unlock(db);
    return rc;
}

void write_txn_unlock(lsm_db *db) {
    shm_unlock(db->shm, &db->locks, LOCK_WRITER);
    read_txn_end_if_unused(db);
}

/* Log before the checkpoint's position is free, unless somebody recovers from it right now. That test asks
** the system, so it is made only when there is something to gain. */
static int begin_log(lsm_db *db) {
    struct log_reclaim reclaim = {0};

    db->log.map.wanted = db->config.mmap != 0;
    if (atomic_load_explicit(&db->database->facts_id, memory_order_relaxed) >
            db->log_state.reclaim_id &&
        !database_has_detached_readers(db->database)) {
        struct checkpoint_facts facts;
        database_facts(db->database, &facts);
        /* Stored at SAFETY OFF since the transaction began, perhaps: it frees nothing for those who are careful. */
        if (db->config.safety == LSM_SAFETY_OFF || !atomic_load(&db->database->checkpoint_unproven)) {
            reclaim.snapshot_id = facts.snapshot_id;
            reclaim.offset = facts.log_offset;
        }
    }
    return log_writer_begin(&db->log, &db->log_state, &reclaim,
                            db->config.safety == LSM_SAFETY_FULL);
}

/* write_txn_lock for a connection that leaves work to the background: not before there is room in memory. */
static int lock_with_room(lsm_db *db) {
    enum background_pressure pressure;
    bool delayed = false;
    uint32_t turns;
    int rc;

    for (;;) {
        rc = background_error(db);
        if (rc != LSM_OK) return rc;
        turns = background_turns(db);
        rc = write_txn_lock(db);
        if (rc != LSM_OK) return rc;
        pressure = background_pressure(db);
        if (pressure == PRESSURE_NONE || (pressure == PRESSURE_DELAY && delayed)) return LSM_OK;
        write_txn_unlock(db);
        if (pressure == PRESSURE_DELAY) {
            background_delay(db, turns);
            delayed = true;
        } else {
            rc = background_wait(db, turns);
            if (rc != LSM_OK) return rc;
        }
    }
}

/* The failure of work that nobody was told of yet; once. */
static int tell_work_error(lsm_db *db) {
    int rc = db->work_error.code;

    if (LSM_LIKELY(rc == LSM_OK)) return LSM_OK;
    db->error = db->work_error;
    error_clear(&db->work_error);
    return rc;
}

int write_txn_begin(lsm_db *db, uint32_t levels) {
    int rc;

    assert(levels > 0);
    if (db->config.read_only) return LSM_READONLY;
    rc = reserve_marks(db, levels);
    if (rc != LSM_OK) return rc;
    if (db->level_count > 0) {
        if (db->txn_rc != LSM_OK) return db->txn_rc;
        open_levels(db, levels);
        return LSM_OK;
    }
    rc = tell_work_error(db);
    if (rc == LSM_OK) rc = db->background ? lock_with_room(db) : write_txn_lock(db);
    if (rc != LSM_OK) return rc;
    db->dropped_old = false;
    db->txn_rc = LSM_OK;
    rc = heal_log(db);
    if (rc != LSM_OK) goto failed;
    log_state_from_header(&db->log_state, &db->header);
    rc = recovered_make_durable(db, &db->log_state);
    if (rc != LSM_OK) goto failed;
    db->logging = db->config.use_log != 0;
    if (db->logging) {
        rc = begin_log(db);
        if (rc != LSM_OK) goto failed;
    }
    db->shm->header->writer_flag = 1;
    memtree_writer_begin(&db->writer, &db->header);
    drop_spent_tree(db);
    open_levels(db, levels);
    cursors_before_change(db);
    read_txn_refresh_view(db);
    return LSM_OK;
failed:
    write_txn_unlock(db);
    return rc;
}

/* Publish the writer's header and become a reader of it. WRITER stays held. */
static void publish(lsm_db *db) {
    shm_publish_tree(db->shm, &db->writer.header);
    db->shm->header->writer_flag = 0;
    memtree_writer_end(&db->writer);
    db->header = db->writer.header;
    db->level_count = 0;
    db->change_count++;
}

/* Undo everything; the published header differs from the previous one in its transaction id only. */
int write_txn_rollback_all(lsm_db *db) {
    struct log_state state;

    cursors_before_change(db);
    memtree_writer_rollback_to(&db->writer, &db->marks[0].tree);
    if (db->logging) {
        log_writer_rollback(&db->log, &state);
        header_set_log(&db->writer.header, &state);
    }
    publish(db);
    read_txn_refresh_view(db);
    write_txn_unlock(db);
    return LSM_OK;
}

/* Changes that take no room in memory, as empty transactions, must not make the log grow for ever. */
static bool log_waits_for_flush(const lsm_db *db, const struct tree_header *header) {
    return log_length_since(header->log_regions, db->snapshot.log.field >> 1) > db_log_limit(db);
}

/* Work after a commit or a change failed. Those who take an error for a rollback are told by their next transaction. */
static int keep_work_error(lsm_db *db, int rc) {
    if (rc == LSM_OK || !db->work_errors_wait) return rc;
    (void)db_report(db, rc);
    db->work_error = db->error;
    db->work_error.code = rc;
    error_clear(&db->error);
    return LSM_OK;
}

static int commit_all(lsm_db *db) {
    struct tree_header *header = &db->writer.header;
    uint64_t limit = (uint64_t)db->config.autoflush_kb * 1024;
    struct log_state state;
    bool frozen = false;
    bool long_log;
    bool over;   /* there is something to flush */
    bool worker; /* the background does it */
    int rc;

    rc = db->txn_rc;
    if (rc == LSM_OK && db->background) rc = background_error(db);
    if (rc != LSM_OK) {
        (void)!write_txn_rollback_all(db);
        return rc;
    }
    if (db->logging) {
        bool full = db->config.safety == LSM_SAFETY_FULL;
        /* FULL may have been chosen since the transaction began. */
        rc = full ? db->database->log_sync_failed : LSM_OK;
        if (rc == LSM_OK) rc = recovered_make_durable(db, &db->log_state);
        if (rc == LSM_OK) {
            rc = log_writer_commit(&db->log, full, &state);
            if (full && db->log.sync_failed) db->database->log_sync_failed = rc;
        }
        if (rc != LSM_OK) {
            (void)!write_txn_rollback_all(db);
            return rc;
        }
        header_set_log(header, &state);
    }
    long_log = log_waits_for_flush(db, header);
    if ((header->live.byte_count > limit || long_log) && header->old_id == 0) {
        frozen = memtree_freeze(header, &header->log_regions[2], db_next_toggle(db));
    }
    publish(db);
    read_txn_refresh_view(db);
    over = frozen || long_log || db->header.live.byte_count > limit;
    worker = db->background && !db_is_undecided(db);
    rc = LSM_OK;
    if (worker && over) background_wake(db);
    if (db->background ? over && !worker : (frozen || long_log) && db->config.autowork) {
        rc = keep_work_error(db, db_autowork(db, 1));
    } else if (db->dropped_old) {
        shm_reader_offer(db->shm, &db->locks, db->header.used_id, db->snapshot.id);
    }
    write_txn_unlock(db);
    if (over && !db->config.autowork && !db->background && db->work_hook) {
        db->work_hook(db, db->work_context);
    }
    return rc;
}

/* ------------------------------------------------------------------------------------- levels -- */

int db_begin(lsm_db *db, int level) {
    int rc = LSM_OK;

    if (db->config.read_only) return LSM_READONLY;
    if (level < 0) level = (int)db->level_count + 1;
    if (db->database == NULL) return level == 0 ? LSM_OK : LSM_MISUSE;
    if (db_in_callback(db)) return LSM_MISUSE;
    error_clear(&db->error);
    if ((uint32_t)level > db->level_count) rc = write_txn_begin(db, (uint32_t)level);
    return db_report(db, rc);
}

int db_commit(lsm_db *db, int level) {
    int rc = LSM_OK;

    if (level < 0) level = db->level_count > 0 ? (int)db->level_count - 1 : 0;
    if (db->database == NULL || (uint32_t)level >= db->level_count) return LSM_OK;
    if (db_in_callback(db)) return LSM_MISUSE;
    error_clear(&db->error);
    if (level == 0) {
        rc = commit_all(db);
    } else if (db->txn_rc != LSM_OK) {
        rc = db->txn_rc;
    } else {
        db->level_count = (uint32_t)level;
    }
    return db_report(db, rc);
}

int db_rollback(lsm_db *db, int level) {
    int rc = LSM_OK;

    if (level < 0) level = db->level_count > 0 ? (int)db->level_count - 1 : 0;
    if (db->database == NULL || db->level_count == 0 || (uint32_t)level > db->level_count) {
        return LSM_OK;
    }
    if (db_in_callback(db)) return LSM_MISUSE;
    error_clear(&db->error);
    if (level == 0) {
        rc = write_txn_rollback_all(db);
    } else {
        const struct db_mark *mark = &db->marks[level - 1];
        cursors_before_change(db);
        memtree_writer_rollback_to(&db->writer, &mark->tree);
        if (db->logging) rc = log_writer_rollback_to(&db->log, &mark->log);
        db->txn_rc = rc;
        db->level_count = (uint32_t)level;
        db->change_count++;
        read_txn_refresh_view(db);
    }
    return db_report(db, rc);
}

uint32_t db_depth(const lsm_db *db) {
    return db->level_count;
}

uint64_t db_change_count(const lsm_db *db) {
    return db->change_count;
}

/* ------------------------------------------------------------------------------------ changes -- */

enum change_kind { CHANGE_INSERT, CHANGE_DELETE, CHANGE_DELETE_RANGE, CHANGE_USER_VERSION };

struct change {
    enum change_kind kind;
    struct slice key;
    struct slice value; /* or the second key */
    uint32_t user_version;
};

static int log_change(lsm_db *db, const struct change *change) {
    switch (change->kind) {
        case CHANGE_INSERT:
            return log_writer_insert(&db->log, change->key, change->value);
        case CHANGE_DELETE:
            return log_writer_delete(&db->log, change->key);
        case CHANGE_DELETE_RANGE:
            return log_writer_delete_range(&db->log, change->key, change->value);
        default:
            return LSM_OK; /* the user version is not logged */
    }
}

static int tree_change(lsm_db *db, const struct change *change) {
    switch (change->kind) {
        case CHANGE_INSERT:
            return memtree_put(&db->writer, change->key, change->value);
        case CHANGE_DELETE:
            return memtree_delete(&db->writer, change->key);
        case CHANGE_DELETE_RANGE:
            return memtree_delete_range(&db->writer, change->key, change->value);
        default:
            db->writer.header.user_version = change->user_version;
            return LSM_OK;
    }
}

/* Every 32 pages' worth of growth pays for as many pages of work. */
static int work_for_growth(lsm_db *db, uint32_t before) {
    uint32_t after = db->writer.header.live.byte_count;
    uint64_t autoflush = (uint64_t)db->config.autoflush_kb * 1024;
    uint64_t quant = (uint64_t)db->page_size * 32;
    uint64_t steps;

    if (!db->config.autowork || db->background) return LSM_OK;
    if (quant > autoflush) quant = autoflush > db->page_size ? autoflush : db->page_size;
    steps = after / quant - before / quant;
    return steps && after > before ? db_autowork(db, (uint32_t)steps * 32) : LSM_OK;
}

/* Key and value may come from a cursor, out of pages that belong to others as soon as the connection has moved on to a
** newer snapshot: which the start of a transaction does, and then perhaps waits. */
static int hold_arguments(lsm_db *db, struct change *change) {
    int rc = buffer_assign(&db->given_key, change->key);

    if (rc == LSM_OK) rc = buffer_assign(&db->given_value, change->value);
    if (rc != LSM_OK) return rc;
    change->key = buffer_slice(&db->given_key);
    change->value = buffer_slice(&db->given_value);
    return LSM_OK;
}

static void drop_arguments(lsm_db *db) {
    if (db->given_key.capacity > GIVEN_KEPT_MAX) buffer_release(&db->given_key);
    if (db->given_value.capacity > GIVEN_KEPT_MAX) buffer_release(&db->given_value);
}

static int apply_change(lsm_db *db, struct change *change) {
    bool implicit = db->level_count == 0;
    uint32_t before;
    int rc;

    if (db->config.read_only) return LSM_READONLY;
    if (db->database == NULL || LSM_UNLIKELY(db_in_callback(db))) return LSM_MISUSE;
    if (!implicit && db->txn_rc != LSM_OK) return db->txn_rc;
    error_clear(&db->error);
    if (implicit) {
        rc = LSM_UNLIKELY(db->cursors != NULL) ? hold_arguments(db, change) : LSM_OK;
        if (rc != LSM_OK) goto done;
        db->brief = true;
        rc = write_txn_begin(db, 1);
        db->brief = false;
    } else {
        rc = db->background ? background_error(db) : LSM_OK;
    }
    if (rc != LSM_OK) goto done; /* nothing was done */
    cursors_before_change(db);
    before = db->writer.header.live.byte_count;
    rc = db->logging ? log_change(db, change) : LSM_OK;
    if (rc == LSM_OK) rc = tree_change(db, change);
    if (rc != LSM_OK) db->txn_rc = rc; /* log and tree may disagree: only rollback mends that */
    db->change_count++;
    read_txn_refresh_view(db);
    if (rc == LSM_OK && change->kind != CHANGE_USER_VERSION) rc = keep_work_error(db, work_for_growth(db, before));
    if (implicit) {
        int end_rc = rc == LSM_OK ? commit_all(db) : write_txn_rollback_all(db);
        if (rc == LSM_OK) rc = end_rc;
    }
done:
    drop_arguments(db);
    return db_report(db, rc);
}

int db_insert(lsm_db *db, struct slice key, struct slice value) {
    struct change change = {.kind = CHANGE_INSERT, .key = key, .value = value};
    return apply_change(db, &change);
}

int db_delete(lsm_db *db, struct slice key) {
    struct change change = {.kind = CHANGE_DELETE, .key = key};
    return apply_change(db, &change);
}

int db_delete_range(lsm_db *db, struct slice key1, struct slice key2) {
    struct change change = {.kind = CHANGE_DELETE_RANGE, .key = key1, .value = key2};
    if (key_compare(key1, key2) >= 0) return LSM_OK;
    return apply_change(db, &change);
}

int db_set_user_version(lsm_db *db, uint32_t version) {
    struct change change = {.kind = CHANGE_USER_VERSION, .user_version = version};
    return apply_change(db, &change);
}

int db_get_user_version(lsm_db *db, uint32_t *version) {
    int rc;

    if (db->database == NULL) return LSM_MISUSE;
    error_clear(&db->error);
    rc = read_txn_begin(db);
    if (rc == LSM_OK) {
        *version = db->level_count > 0 ? db->writer.header.user_version : db->header.user_version;
        read_txn_end_if_unused(db);
    }
    return db_report(db, rc);
}
