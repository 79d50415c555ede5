/*
** backup.c — a compact copy of a live database in a new file, in steps.
**
**     source -- reader connection, one version --> records in order --> one level --> target
**
**     1 the target's name is free, or its file may go
**     2 a mark where the first meta page will stand
**     3 the level, in as many steps as the caller likes
**     4 publish, sync, meta page, sync, directory, close
**
** The target is opened like any database, so that its locks keep others away; WORKER of it is held
** throughout. There is no renaming: until 4 the mark makes the file "not a database", to this
** engine and, after a crash, too.
**
** INVARIANTS  (I1) the version copied is fixed by the reader's transaction; writers go on, blocks
**                  and log of the source
**             that it needs are not reused.
**             (I2) a target that was not completed is deleted when the backup ends.
** OWNERSHIP   Reader and target belong to the backup. The source must stay open: compression
**             functions are borrowed from it, and called for both files.
** ERRORS      Sticky. Details are in the error context of the reader, those of the beginning in
**             that of the source.
** COST        Bounded memory. The source's blocks are pinned as long as the backup lasts.
*/
#include "base/memory.h"
#include "db/db_internal.h"

#define RECORD_OVERHEAD 8u /* about what a record takes besides key and value */

static const char incomplete_mark[64] = "This copy of a database was not completed.";

struct db_backup {
    lsm_env *env;
    lsm_db *reader;
    lsm_cursor *cursor;
    bool positioned;       /* the cursor is on the record to be copied next, or at the end */
    lsm_db *target;
    char *path;
    bool created;          /* the file at `path` is ours */
    bool locked;           /* WORKER of the target */
    struct work work;
    struct work_fill *fill;
    uint64_t done;
    uint64_t total;
    bool finished;
    int rc;                /* first failure */
};

/* ----------------------------------------------------------------- 1: a place for the target -- */

/* Is that the log of the source, there already or to come? `file`: NULL if nothing is at `path`. */
static bool is_log_of(lsm_db *source, const char *path, struct database *file) {
    struct os_file log_file = {0};
    uint8_t id[FILE_ID_MAX];
    size_t id_size = 0;
    bool same = strcmp(path, source->database->log_path) == 0;

    if (same || file == NULL || file->file_id_size == 0) return same;
    if (os_open(source->database->env, source->database->log_path, LSM_OPEN_READONLY, &log_file) != LSM_OK) {
        return false;
    }
    same = os_file_id(&log_file, id, sizeof id, &id_size) == LSM_OK && id_size == file->file_id_size &&
           memcmp(id, file->file_id, id_size) == 0;
    os_close(&log_file); /* nobody holds locks on a log */
    return same;
}

/* Somebody has the file open, here or in another process. */
static int refuse_if_open(lsm_db *source, lsm_db *probe) {
    struct database *database = probe->database;
    int rc = LSM_OK;

    if (database == source->database) { /* nobody could wait for that to end */
        return error_note(&source->error, LSM_MISUSE, "source and target are the same file");
    }
    if (database->references > 1) rc = LSM_BUSY;
    if (rc == LSM_OK) {
        rc = os_test_lock(&database->file, LOCK_DMS1, LOCK_COUNT - LOCK_DMS1, LSM_LOCK_EXCL);
    }
    return error_note(&source->error, rc, "the file to be overwritten is open");
}

/* What stands where a file of the target will: *exists; LSM_BUSY or LSM_MISUSE if it may not be overwritten. Not by
** opening and closing it: that would drop the locks of a database of this process. */
static int look_at_target(lsm_db *source, const char *path, bool *exists) {
    lsm_db *probe = NULL;
    int rc;

    *exists = false;
    rc = db_new(source->env, &probe);
    if (rc != LSM_OK) return rc;
    probe->log_hook = NULL;
    probe->config.read_only = 1; /* creates nothing */
    rc = database_acquire(probe, path);
    if ((rc == LSM_OK || rc == LSM_IOERR_NOENT) && is_log_of(source, path, probe->database)) {
        if (rc == LSM_OK) database_release(probe);
        rc = error_note(&source->error, LSM_MISUSE, "the target is the log of the source");
    } else if (rc == LSM_OK) {
        *exists = true;
        rc = refuse_if_open(source, probe);
        database_release(probe);
    } else if (rc == LSM_IOERR_NOENT) {
        rc = LSM_OK; /* if its directory is missing, the open will tell */
    } else {
        error_note(&source->error, rc, "the target cannot be opened");
    }
    (void)!db_close(probe);
    return rc;
}

static int remove_file(lsm_db *source, const char *path) {
    int rc = os_unlink(source->env, path);

    if (rc == LSM_IOERR_NOENT) rc = LSM_OK;
    return error_note(&source->error, rc, "a file to be overwritten cannot be deleted");
}

/* A log that lies about would be replayed into the copy. */
static int make_room(lsm_db *source, const char *path, bool overwrite) {
    size_t size = strlen(path);
    char *log_path = memory_allocate(source->env, size + sizeof LOG_SUFFIX);
    bool exists = false;
    bool log_exists = false;
    int rc = LSM_NOMEM;

    if (log_path == NULL) goto done;
    memcpy(log_path, path, size);
    memcpy(log_path + size, LOG_SUFFIX, sizeof LOG_SUFFIX);
    rc = look_at_target(source, path, &exists);
    if (rc == LSM_OK) rc = look_at_target(source, log_path, &log_exists);
    if (rc != LSM_OK) goto done;
    if (!overwrite && (exists || log_exists)) {
        rc = error_note(&source->error, LSM_ERROR,
                        exists ? "the file exists" : "the log of such a file exists");
        goto done;
    }
    if (overwrite && exists) rc = remove_file(source, path);
    if (overwrite && rc == LSM_OK) rc = remove_file(source, log_path);
done:
    memory_free(source->env, log_path);
    return rc;
}

/* ----------------------------------------------------------------------- 2: both connections -- */

/* The functions of the source, which frees them. */
static void borrow_compression(lsm_db *db, const lsm_db *source) {
    db->compress = source->compress;
    db->compress.xFree = NULL;
}

static int open_reader(struct db_backup *backup, lsm_db *source) {
    lsm_db *reader;
    int rc = db_new(backup->env, &reader);

    if (rc != LSM_OK) return rc;
    backup->reader = reader;
    reader->log_hook = NULL;
    reader->config = source->config;
    reader->config.autowork = 0;
    borrow_compression(reader, source);
    rc = db_open(reader, db_path(source));
    if (rc == LSM_OK) rc = db_cursor_open(reader, &backup->cursor);
    if (rc != LSM_OK && source->error.code == LSM_OK) source->error = reader->error;
    return rc;
}

static int open_target(struct db_backup *backup, lsm_db *source) {
    lsm_db *reader = backup->reader;
    lsm_db *target;
    int rc = db_new(backup->env, &target);

    if (rc != LSM_OK) return rc;
    backup->target = target;
    target->log_hook = NULL;
    target->config.page_size = (int)reader->snapshot.page_size;
    target->config.block_size_kb = (int)(reader->snapshot.block_size / 1024);
    target->config.safety = LSM_SAFETY_NORMAL; /* a copy that is not durable is none */
    target->config.use_log = 0;
    target->config.autowork = 0;
    target->config.mmap = 0;
    if (pager_is_compressed(reader->pager)) borrow_compression(target, reader);
    rc = db_open(target, backup->path);
    if (rc == LSM_OK && shm_snapshot_id(target->shm) != SNAPSHOT_ID_FIRST) {
        rc = error_note(&source->error, LSM_BUSY, "somebody else has just created the target");
    }
    /* Also if the open failed later on: there was no file before, but for what somebody has just put there. */
    backup->created = rc != LSM_BUSY && rc != LSM_CORRUPT;
    if (rc == LSM_OK) {
        rc = os_write(&target->database->file, 0, incomplete_mark, sizeof incomplete_mark);
    }
    if (rc == LSM_OK) rc = os_sync(&target->database->file);
    if (rc != LSM_OK && source->error.code == LSM_OK) source->error = target->error;
    return rc;
}

static int begin_work(struct db_backup *backup) {
    lsm_db *target = backup->target;
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t word_count;
    struct snapshot snapshot = {0};
    struct work_config config = {.automerge = 2,
                                 .max_freelist = FREELIST_ENTRIES_MAX,
                                 .compression_id = target->compress.iId};
    struct work_limits limits = {.oldest_reader = INT64_MAX};
    int rc;

    rc = shm_lock(target->shm, &target->locks, LOCK_WORKER, LSM_LOCK_EXCL);
    if (rc != LSM_OK) return rc;
    backup->locked = true;
    pager_reader_enter(target->pager);
    rc = compression_decide(target);
    if (rc == LSM_OK) rc = shm_load_snapshot(target->shm, words, &word_count);
    if (rc == LSM_OK) {
        rc = checkpoint_decode(words, word_count, pager_is_compressed(target->pager), backup->env,
                               &backup->reader->error, &snapshot);
    }
    if (rc == LSM_OK) {
        rc = work_begin(&backup->work, backup->env, target->pager, &backup->reader->error,
                        &snapshot, &config, &limits);
    }
    snapshot_release(&snapshot);
    if (rc == LSM_OK) rc = work_fill_new(&backup->work, &backup->fill);
    return rc;
}

static void end_work(struct db_backup *backup) {
    work_fill_free(backup->fill);
    backup->fill = NULL;
    work_end(&backup->work);
    if (backup->locked) {
        pager_reader_leave(backup->target->pager);
        shm_unlock(backup->target->shm, &backup->target->locks, LOCK_WORKER);
    }
    backup->locked = false;
}

/* What the segments and trees of the version take; the copy will be smaller if there is much to
** leave out. */
static uint64_t estimate(const lsm_db *reader) {
    const struct snapshot *snapshot = &reader->snapshot;
    uint64_t unit = pager_is_compressed(reader->pager) ? 1 : snapshot->page_size;
    uint64_t total = reader->header.live.byte_count;

    if (!memtree_is_empty(&reader->view.old)) total += reader->header.old.byte_count;
    for (uint32_t i = 0; i < snapshot->level_count; i++) {
        const struct level *level = &snapshot->levels[i];
        total += level->left.size * unit;
        for (uint32_t j = 0; j < level->right_count; j++) total += level->right[j].size * unit;
    }
    return total;
}

int db_backup_new(lsm_db *source, const char *path, bool overwrite, struct db_backup **out) {
    struct db_backup *backup = NULL;
    int rc = LSM_NOMEM;

    if (source->database == NULL) return LSM_MISUSE;
    error_clear(&source->error);
    backup = memory_allocate_zero(source->env, sizeof *backup);
    if (backup == NULL) goto done;
    backup->env = source->env;
    rc = os_full_path(source->env, path, &backup->path);
    if (rc == LSM_OK) rc = open_reader(backup, source);
    if (rc == LSM_OK) rc = make_room(source, backup->path, overwrite);
    if (rc == LSM_OK) rc = open_target(backup, source);
    if (rc == LSM_OK) rc = begin_work(backup);
    if (rc != LSM_OK) goto done;
    backup->total = estimate(backup->reader);
    *out = backup;
    backup = NULL;
done:
    if (backup && backup->reader && source->error.code == LSM_OK) {
        source->error = backup->reader->error;
    }
    db_backup_free(backup);
    return db_report(source, rc);
}

/* ------------------------------------------------------------------------------ 3: the level -- */

static int copy_record(struct db_backup *backup, uint64_t *copied) {
    struct slice key;
    struct slice value;
    bool live = false;
    int rc;

    rc = db_cursor_key(backup->cursor, &key);
    if (rc == LSM_OK) rc = db_cursor_value(backup->cursor, &value, &live);
    if (rc == LSM_OK && live) rc = work_fill_add(backup->fill, key, value);
    if (rc != LSM_OK) return rc;
    *copied += (uint64_t)key.size + value.size + RECORD_OVERHEAD;
    return db_cursor_next(backup->cursor);
}

/* At least one record, if there is one. */
static int copy_some(struct db_backup *backup, uint64_t bytes_max) {
    uint64_t copied = 0;
    int rc = LSM_OK;

    if (!backup->positioned) {
        rc = db_cursor_first(backup->cursor);
        if (rc != LSM_OK) return rc;
        backup->positioned = true;
    }
    while (rc == LSM_OK && db_cursor_valid(backup->cursor)) {
        rc = copy_record(backup, &copied);
        if (copied >= bytes_max) break;
    }
    return rc;
}

/* -------------------------------------------------------------------------------- 4: the end -- */

/* A position in no log: the sums are such that nothing verifies behind it. */
static struct log_position fresh_position(struct db_backup *backup) {
    struct log_position position = {1, LOG_SUM0_FIRST, LOG_SUM1_FIRST};
    uint32_t pair[2];

    if (os_random(backup->env, pair, sizeof pair)) {
        position.sum0 = pair[0];
        position.sum1 = pair[1];
    }
    return position;
}

static int complete(struct db_backup *backup) {
    struct log_position position = fresh_position(backup);
    lsm_db *target = backup->target;
    uint64_t size = 0;
    uint64_t log_size;
    int rc;

    rc = work_fill_finish(backup->fill, &position);
    if (rc == LSM_OK) rc = work_publish(&backup->work, target->shm);
    if (rc != LSM_OK) return rc;
    end_work(backup);
    rc = db_checkpoint(target, NULL);
    if (rc == LSM_OK) rc = db_file_sizes(target, &size, &log_size);
    if (rc != LSM_OK) {
        if (backup->reader->error.code == LSM_OK) backup->reader->error = target->error;
        return rc;
    }
    rc = db_close(target);
    backup->target = NULL;
    if (size != UINT64_MAX && backup->done < size) backup->done = size; /* not known: foreign */
    backup->total = backup->done;
    backup->finished = true;
    db_cursor_close(backup->cursor);
    backup->cursor = NULL;
    return rc;
}

int db_backup_step(struct db_backup *backup, uint32_t kb, uint64_t *done, uint64_t *total,
                   bool *finished) {
    lsm_db *reader = backup->reader;
    int rc = backup->rc;

    if (rc == LSM_OK && !backup->finished) {
        error_clear(&reader->error);
        rc = copy_some(backup, (uint64_t)kb * 1024);
        if (rc == LSM_OK) {
            backup->done = work_fill_bytes(backup->fill);
            if (backup->total < backup->done) backup->total = backup->done;
            if (!db_cursor_valid(backup->cursor)) rc = complete(backup);
        }
        backup->rc = rc;
        rc = db_report(reader, rc);
    }
    if (rc != LSM_OK) return rc;
    *done = backup->done;
    *total = backup->total;
    *finished = backup->finished;
    return LSM_OK;
}

/* (I2). Where an open file cannot be deleted it goes after it was closed. */
static void discard_target(struct db_backup *backup) {
    struct database *database = backup->target->database;
    bool ours = backup->created && (database == NULL || database->references == 1);
    int rc = ours ? os_unlink(backup->env, backup->path) : LSM_OK;

    (void)!db_close(backup->target);
    backup->target = NULL;
    if (rc != LSM_OK && rc != LSM_IOERR_NOENT) rc = os_unlink(backup->env, backup->path);
    if (ours && rc == LSM_OK) (void)!os_sync_directory(backup->env, backup->path);
}

void db_backup_free(struct db_backup *backup) {
    if (backup == NULL) return;
    end_work(backup);
    if (backup->target) discard_target(backup);
    db_cursor_close(backup->cursor);
    if (backup->reader) (void)!db_close(backup->reader);
    memory_free(backup->env, backup->path);
    memory_free(backup->env, backup);
}

const lsm_db *db_backup_reader(const struct db_backup *backup) {
    return backup->reader;
}
