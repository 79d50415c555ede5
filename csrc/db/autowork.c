/*
** autowork.c — who drives the work: automatic slices inside writes, lsm_work, lsm_flush.
**
** The steps themselves are in work/. Here are the locks, the quotas, and what a connection must do to its own
** transaction when a newer snapshot of the same content appears.
**
** LOCKING     WRITER (if held) -> WORKER. Checkpoints are taken when WORKER is given up again.
*/
#include "base/checked.h"
#include "db/db_internal.h"
#include "snapshot/checkpoint.h"

#define NO_LIMIT UINT32_MAX
#define ROOM_SLICE_PAGES 256 /* merging ahead of a flush goes in slices of so many pages */
#define SLICE_PAGES_MIN 8    /* a slice of the background worker, whatever the page size */
#define SLICE_PAGES_MAX 65536
#define PATIENCE_PRESSED 4   /* see checkpoint_patience */

/* ------------------------------------------------------------------------------ the worker -- */

struct job {
    struct work work;
    bool locked;
    bool begun;
    uint64_t pages_before; /* pages the pager had written; nobody else writes meanwhile */
};

static void run_work_hook(void *context) {
    lsm_db *db = context;
    if (db->work_hook) db->work_hook(db, db->work_context);
}

static void gather_limits(lsm_db *db, struct work_limits *limits) {
    struct checkpoint_facts facts;

    database_facts(db->database, &facts);
    limits->checkpoint_id = facts.snapshot_id;
    limits->checkpoint_pages = facts.pages_written;
    limits->oldest_reader = shm_oldest_snapshot(db->shm, &db->locks, INT64_MAX);
    limits->detached_readers = database_has_detached_readers(db->database);
}

/*
** The background worker has no compression functions of its own: it writes pages the way the file has them, by the
** functions that the pager got from some connection. How a file that may become compressed is stored is not decided
** by a thread that has no functions: db_is_undecided.
*/
static int follow_storage(lsm_db *db, const uint32_t *words) {
    bool undecided = words[CHECKPOINT_COMPRESSION] == LSM_COMPRESSION_EMPTY && words[CHECKPOINT_LEVELS] == 0;

    if (undecided && pager_is_compressed(db->pager)) return LSM_BUSY;
    db->compress.iId = undecided ? LSM_COMPRESSION_NONE : words[CHECKPOINT_COMPRESSION];
    return LSM_OK;
}

/* Take WORKER and a private copy of the newest snapshot. */
static int job_begin(lsm_db *db, struct job *job) {
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t word_count;
    struct snapshot snapshot = {0};
    struct work_limits limits;
    struct work_config config = {
        .autoflush_kb = (uint32_t)db->config.autoflush_kb,
        .automerge = (uint32_t)db->config.automerge,
        .max_freelist = (uint32_t)db->config.max_freelist,
        .autocheckpoint_kb = (uint32_t)db->config.autocheckpoint_kb,
        .compression_id = db->compress.iId,
    };
    int rc;

    *job = (struct job){0};
    rc = shm_lock(db->shm, &db->locks, LOCK_WORKER, LSM_LOCK_EXCL);
    if (rc != LSM_OK) return error_note(&db->error, rc, "another connection works on the segments");
    job->locked = true;
    job->pages_before = pager_pages_written(db->pager);
    pager_reader_enter(db->pager);
    rc = shm_mend_snapshot(db->shm);
    if (rc == LSM_OK) rc = shm_load_snapshot(db->shm, words, &word_count);
    if (rc == LSM_OK && db->is_worker) rc = follow_storage(db, words);
    if (rc == LSM_OK) rc = db_check_compression(db, words[CHECKPOINT_COMPRESSION]);
    if (rc == LSM_OK && words[CHECKPOINT_COMPRESSION] == LSM_COMPRESSION_EMPTY && words[CHECKPOINT_LEVELS] == 0) {
        rc = compression_decide(db);
    }
    if (rc != LSM_OK) return rc;
    rc = checkpoint_decode(words, word_count, pager_is_compressed(db->pager), db->env, &db->error,
                           &snapshot);
    if (rc != LSM_OK) return rc;
    snapshot_mend_fronts(&snapshot, db->pager);
    gather_limits(db, &limits);
    rc = work_begin(&job->work, db->env, db->pager, &db->error, &snapshot, &config, &limits);
    snapshot_release(&snapshot);
    if (rc != LSM_OK) return rc;
    job->begun = true;
    job->work.notes.store = db->store;
    job->work.hook = run_work_hook;
    job->work.hook_context = db;
    db->working = &job->work;
    return LSM_OK;
}

static void job_end(lsm_db *db, struct job *job) {
    db->working = NULL;
    if (job->begun) work_end(&job->work);
    if (job->locked) {
        db->pages_written += pager_pages_written(db->pager) - job->pages_before;
        pager_reader_leave(db->pager);
        shm_unlock(db->shm, &db->locks, LOCK_WORKER);
    }
}

static int job_publish(lsm_db *db, struct job *job) {
    int rc;
    if (!job->work.changed) return LSM_OK;
    rc = work_settle_freelist(&job->work);
    if (rc == LSM_OK) rc = work_publish(&job->work, db->shm);
    return rc;
}

static bool old_tree_waits(const struct tree_header *header, const struct snapshot *snapshot) {
    return header->old_id != 0 && (uint64_t)header->old_log_field != snapshot->log.field;
}

/* Is the position of the snapshot the end of the log, as the header has it? */
static bool position_is_exact(const struct snapshot *snapshot, const struct tree_header *header) {
    return snapshot->log.field >> 1 == (uint64_t)header->log_regions[2].end &&
           snapshot->log.sum0 == header->log_sum0 && snapshot->log.sum1 == header->log_sum1;
}

/* Write the old tree out and publish. Inside a write transaction it is dropped at once. */
static int flush_old(lsm_db *db, struct job *job, struct tree_header *header) {
    struct memtree old = memtree_old(db->shm, header);
    struct log_position position = {(uint64_t)header->old_log_field, header->old_sum0,
                                    header->old_sum1};
    bool advanced = false;
    int rc;

    rc = work_flush(&job->work, NULL, &old, &position);
    if (rc == LSM_OK) rc = job_publish(db, job);
    if (rc != LSM_OK || db->level_count == 0) return rc;
    cursors_before_change(db);
    rc = read_txn_advance(db, &advanced);
    if (rc == LSM_OK && advanced) {
        memtree_drop_old(&db->writer.header);
        db->dropped_old = true;
        read_txn_refresh_view(db);
    }
    return rc;
}

/* Pages that may still be written before a checkpoint is due; NO_LIMIT when there are none due. `patience`: so many
** times as much as was asked for. */
static uint32_t room_before_checkpoint(const struct job *job, uint32_t patience) {
    const struct work *work = &job->work;
    uint64_t limit = (uint64_t)work->config.autocheckpoint_kb * 1024 / work->next.page_size * patience;
    uint32_t written = work->next.pages_written - work->limits.checkpoint_pages;

    if (work->config.autocheckpoint_kb == 0) return NO_LIMIT;
    if (limit == 0) limit = 1; /* less than a page: after each page, but never before the first */
    if (written >= limit) return 0;
    limit -= written;
    return limit < NO_LIMIT ? (uint32_t)limit : NO_LIMIT - 1;
}

/* While those who write fill memory faster than the worker empties it, it spends its time on runs rather than on
** waiting for a slow disk: the next checkpoint comes later, and covers more. */
static uint32_t checkpoint_patience(const lsm_db *db, const struct tree_header *header, const struct job *job) {
    uint64_t unit = (uint64_t)db->config.autoflush_kb * 1024;
    uint64_t in_memory = (uint64_t)header->live.byte_count + header->old.byte_count;
    bool pressed = db->is_worker && old_tree_waits(header, &job->work.next) && in_memory > 2 * unit;

    return pressed ? PATIENCE_PRESSED : 1;
}

/* Records that are deleted or replaced before they reach the file leave no pages to count, but a log. True if a
** checkpoint of what is published would set free too much of it to wait. */
static bool log_is_due(const lsm_db *db, const struct job *job, const struct tree_header *header) {
    struct checkpoint_facts facts;

    database_facts(db->database, &facts);
    return job->work.published.log.field >> 1 != facts.stored_log_offset &&
           log_length_since(header->log_regions, facts.stored_log_offset) > db_log_limit(db);
}

/* One turn under WORKER. *checkpoint_due: take one, then come again if pages are left. */
static int single_work(lsm_db *db, uint32_t merge, uint32_t pages, uint32_t *done, uint32_t *merged,
                       bool *checkpoint_due) {
    struct job job;
    struct tree_header loaded;
    struct tree_header *header = &loaded;
    uint32_t room;
    uint32_t left;
    uint32_t step = 0;
    bool limited;
    int copy;
    int rc;

    *done = 0;
    *merged = 0;
    *checkpoint_due = false;
    rc = recovered_prove_checkpoint(db);
    if (rc != LSM_OK) return rc;
    rc = job_begin(db, &job);
    if (rc != LSM_OK) goto done;
    if (db->level_count > 0) {
        header = &db->writer.header;
    } else {
        rc = shm_load_tree(db->shm, &loaded, &copy);
        if (rc != LSM_OK) goto done;
    }
    job.work.unlimited = pages == NO_LIMIT;
    room = room_before_checkpoint(&job, checkpoint_patience(db, header, &job));
    limited = room < pages;
    left = limited ? room : pages;
    /* Somebody else writes on into memory until the old tree is gone: that cannot wait for a slow disk. */
    if (left == 0 && db->is_worker && old_tree_waits(header, &job.work.next)) left = 1;

    if (left > 0 && old_tree_waits(header, &job.work.next)) {
        if (work_is_full(&job.work.next, job.work.config.automerge)) {
            rc = work_merge(&job.work, merge, left, true, &step);
            if (rc != LSM_OK) goto done;
            *merged += step;
            if (left != NO_LIMIT) left = step < left ? left - step : 0;
        }
        if (left > 0 && !work_is_full(&job.work.next, job.work.config.automerge)) {
            uint32_t before = job.work.pages_written;
            rc = flush_old(db, &job, header);
            if (rc != LSM_OK) goto done;
            step = job.work.pages_written - before;
            if (left != NO_LIMIT) left = step < left ? left - step : 0;
        }
    }
    if (left > 0) {
        rc = work_merge(&job.work, merge, left, false, &step);
        if (rc != LSM_OK) goto done;
        *merged += step;
        if (left != NO_LIMIT) left = step < left ? left - step : 0;
    }
    *done = job.work.pages_written;
    rc = job_publish(db, &job);
    if (rc != LSM_OK) goto done;
    *checkpoint_due = (limited && left == 0) || log_is_due(db, &job, header);
    if (merge == 1 && job.work.config.autocheckpoint_kb > 0 && *merged > 0 &&
        work_is_compact(&job.work.published)) {
        *checkpoint_due = true; /* moving blocks needs blocks that may be reused */
    }
    if (*merged > 0 && db->level_count == 0) {
        shm_reader_offer(db->shm, &db->locks, header->used_id, job.work.published.id);
    }
done:
    job_end(db, &job);
    return rc;
}

static int drive(lsm_db *db, uint32_t merge, uint32_t pages, uint64_t *pages_done, bool *worked) {
    uint32_t left = pages;
    uint32_t done;
    uint32_t merged;
    bool due;
    int rc;

    *pages_done = 0;
    *worked = false;
    do {
        rc = single_work(db, merge, left, &done, &merged, &due);
        if (rc != LSM_OK) return rc;
        *pages_done += done;
        if (merged > 0) *worked = true;
        if (left != NO_LIMIT) left = done < left ? left - done : 0;
        if (due) {
            /* To move blocks down needs those that only a durable checkpoint sets free. */
            rc = merge == 1 ? db_checkpoint(db, NULL) : db_checkpoint_automatic(db);
            if (rc != LSM_OK) return rc;
        }
    } while (due && left > 0);
    return LSM_OK;
}

/* The more runs wait to be merged, the longer a slice: those who write then wait for the flush that comes after. */
int db_work_slice(lsm_db *db, uint32_t bytes, bool *more) {
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t word_count;
    uint32_t written = 0;
    uint32_t merged = 0;
    uint64_t pages;
    bool due = false;
    int rc;

    *more = false;
    rc = shm_load_snapshot(db->shm, words, &word_count);
    if (rc != LSM_OK) return rc;
    pages = (uint64_t)bytes / db->page_size * (1 + words[CHECKPOINT_LEVELS] / (uint32_t)db->config.automerge);
    if (pages < SLICE_PAGES_MIN) pages = SLICE_PAGES_MIN;
    if (pages > SLICE_PAGES_MAX) pages = SLICE_PAGES_MAX;
    rc = single_work(db, (uint32_t)db->config.automerge, (uint32_t)pages, &written, &merged, &due);
    if (rc == LSM_OK && due) rc = db_checkpoint_automatic(db);
    *more = rc == LSM_OK && (due || written > 0 || merged > 0); /* records deleted by merging: no page written */
    return rc;
}

bool db_is_undecided(const lsm_db *db) {
    return db->snapshot.compression_id == LSM_COMPRESSION_EMPTY && db->snapshot.level_count == 0 &&
           (db->compress.xBound != NULL || pager_is_compressed(db->pager));
}

uint32_t db_next_toggle(lsm_db *db) {
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t word_count;
    /* Only a worker that writes an old tree changes the position, and there is none now. */
    if (shm_load_snapshot(db->shm, words, &word_count) != LSM_OK) {
        return 1 - (uint32_t)(db->snapshot.log.field & 1);
    }
    return 1 - (uint32_t)(checkpoint_wide(words, CHECKPOINT_LOG_FIELD) & 1);
}

int db_autowork(lsm_db *db, uint32_t units) {
    const struct tree_header *header = db->level_count > 0 ? &db->writer.header : &db->header;
    uint64_t depth = db->snapshot.level_count + (header->old_id != 0 ? 1 : 0);
    uint64_t pages_done;
    bool worked;
    int rc;

    if (depth == 0) return LSM_OK;
    depth *= units;
    rc = drive(db, (uint32_t)db->config.automerge, depth >= NO_LIMIT ? NO_LIMIT - 1 : (uint32_t)depth,
               &pages_done, &worked);
    return rc == LSM_BUSY ? LSM_OK : rc;
}

/* --------------------------------------------------------------------------------- flushing -- */

/* Make room for one more level, by merging. */
static int make_room(struct job *job) {
    uint32_t done;
    int rc = LSM_OK;

    while (rc == LSM_OK && work_is_full(&job->work.next, job->work.config.automerge)) {
        rc = work_merge(&job->work, job->work.config.automerge, ROOM_SLICE_PAGES, true, &done);
    }
    return rc;
}

/*
** Both trees into the file as new levels, old one first; then the header without them. WRITER is held, or
** nobody else is connected. `forget_log`: the log goes away and a fresh one will start at offset 0: its sum
** pair is random, so that leftovers of the old one can never verify.
*/
int db_flush_trees(lsm_db *db, bool forget_log) {
    struct job job;
    struct tree_header header;
    struct log_position position;
    uint32_t pair[2];
    int copy;
    int rc;

    rc = recovered_prove_checkpoint(db);
    if (rc != LSM_OK) return rc;
    rc = job_begin(db, &job);
    if (rc != LSM_OK) goto done;
    rc = shm_load_tree(db->shm, &header, &copy);
    if (rc != LSM_OK) goto done;

    /* 1. The old tree. */
    if (old_tree_waits(&header, &job.work.next)) {
        rc = make_room(&job);
        if (rc == LSM_OK) rc = flush_old(db, &job, &header);
        if (rc != LSM_OK) goto done;
    }
    if (header.old_id != 0) memtree_drop_old(&header);

    /* 2. The live tree, frozen at the exact end of the log. An empty one, too, if the log went on without it:
    ** afterwards nothing depends on what stands in the log. */
    if (header.live.root != 0 || !position_is_exact(&job.work.next, &header)) {
        uint32_t toggle = 1 - (uint32_t)(job.work.next.log.field & 1);
        struct memtree live;
        rc = make_room(&job);
        if (rc != LSM_OK) goto done;
        if (!memtree_freeze(&header, &header.log_regions[2], toggle)) {
            rc = error_note(&db->error, LSM_BUSY, "chunk number zero: flush again after one more write");
            goto done;
        }
        position = (struct log_position){(uint64_t)header.old_log_field, header.old_sum0,
                                         header.old_sum1};
        if (forget_log && os_random(db->env, pair, sizeof pair)) {
            position = (struct log_position){toggle, pair[0], pair[1]};
        }
        live = memtree_old(db->shm, &header);
        rc = work_flush(&job.work, NULL, &live, &position);
        if (rc == LSM_OK) rc = job_publish(db, &job);
        if (rc != LSM_OK) goto done;
        memtree_drop_old(&header);
    } else if (job.work.changed) {
        rc = job_publish(db, &job);
        if (rc != LSM_OK) goto done;
    }

    /* 3. Only now the trees go. */
    shm_publish_tree(db->shm, &header);
    shm_reader_offer(db->shm, &db->locks, header.used_id, job.work.published.id);
done:
    job_end(db, &job);
    return rc;
}

int db_flush(lsm_db *db) {
    int rc;

    if (db->config.read_only) return LSM_READONLY;
    if (db->database == NULL || db->cursors || db->level_count > 0) return LSM_MISUSE;
    if (db_in_callback(db)) return LSM_MISUSE;
    error_clear(&db->error);
    background_hold(db);
    rc = write_txn_lock(db);
    if (rc == LSM_OK) {
        rc = db_flush_trees(db, false);
        write_txn_unlock(db);
    }
    background_let_go(db);
    if (rc == LSM_OK) error_clear(&db->work_error); /* what failed then is done now */
    return db_report(db, rc);
}

/* A limit in KB as one in pages; < 0: none. */
static uint32_t pages_of(int kb, uint32_t page_size) {
    uint64_t pages;

    if (kb < 0) return NO_LIMIT;
    pages = ((uint64_t)kb * 1024 + page_size - 1) / page_size;
    return pages < NO_LIMIT ? (uint32_t)pages : NO_LIMIT - 1;
}

int db_work_call(lsm_db *db, int merge, int kb, int *written_kb) {
    uint64_t pages_done = 0;
    uint64_t written;
    bool worked = false;
    uint32_t pages;
    int rc;

    if (db->config.read_only) return LSM_READONLY;
    if (db->database == NULL || db->cursors || db->level_count > 0) return LSM_MISUSE;
    if (db_in_callback(db)) return LSM_MISUSE;
    error_clear(&db->error);
    *written_kb = 0;
    if (kb == 0) return LSM_OK;
    if (merge <= 0) merge = db->config.automerge;
    background_hold(db);
    rc = read_txn_begin(db); /* checks compression, learns the page size */
    if (rc != LSM_OK) goto done;
    read_txn_end_if_unused(db);
    pages = pages_of(kb, db->page_size);
    rc = drive(db, (uint32_t)merge, pages, &pages_done, &worked);
    if (rc != LSM_OK) goto done;
    written = (pages_done * db->page_size + 1023) / 1024;
    if (worked && written == 0) written = 1;
    *written_kb = written > INT32_MAX ? INT32_MAX : (int)written;
    error_clear(&db->work_error);
done:
    background_let_go(db);
    return db_report(db, rc);
}
