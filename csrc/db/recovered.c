/*
** recovered.c — what recovery has read is not always on the disk.
**
** Recovery reads through the cache of the system. A process that died between the two syncs of a
** checkpoint, that ran at SAFETY OFF, or whose sync failed, leaves there a checkpoint and log
** records that a loss of power takes away. New commits build on both: they follow the sums of the
** log, and may overwrite what an older checkpoint needs. So before the first of them, and before
** anything else that uses blocks or log space which an older checkpoint needs (work, a flush, the
** next checkpoint, the last close), the found is made durable. A checkpoint stored without a sync by
** a connection at SAFETY OFF is treated in the same way.
**
** INVARIANTS  (I1) bytes are written back where they were read, unchanged: a torn write changes
**             nothing. It is done because after a failed sync the system may think unwritten pages
**             clean.
** COST        a sync of the file for the first write or work after the first open; a copy of the log in use
**             onto itself before the first commit at FULL, and a sync of the file if it is new
*/
#include "base/memory.h"
#include "db/db_internal.h"

#define PIECE_SIZE 65536

static int write_back(lsm_env *env, struct os_file *file, uint64_t from, uint64_t to) {
    uint8_t *piece = memory_allocate(env, PIECE_SIZE);
    int rc = piece ? LSM_OK : LSM_NOMEM;

    while (rc == LSM_OK && from < to) {
        size_t size = to - from < PIECE_SIZE ? (size_t)(to - from) : PIECE_SIZE;
        rc = os_read(file, from, piece, size);
        if (rc == LSM_OK) rc = os_write(file, from, piece, size);
        from += size;
    }
    memory_free(env, piece);
    return rc;
}

/* The meta page in force, and with it all that it names. Without one: that the file is empty; the last close may have
** cut off a checkpoint which is still on the disk, and does not fit the log that begins now. */
static int prove_checkpoint(lsm_db *db) {
    struct database *database = db->database;
    uint32_t meta_page;
    uint64_t offset;
    int rc;

    background_hold(db);
    rc = shm_lock(db->shm, &db->locks, LOCK_CHECKPOINTER, LSM_LOCK_EXCL);
    if (rc != LSM_OK) {
        background_let_go(db);
        return error_note(&db->error, rc, "another connection makes a checkpoint");
    }
    meta_page = db->shm->header->meta_page;
    rc = database->file_sync_failed;
    if (rc == LSM_OK && (meta_page == 0 || atomic_load(&database->checkpoint_unproven))) {
        if (meta_page != 0) {
            offset = (uint64_t)(meta_page - 1) * META_PAGE_SIZE;
            rc = write_back(db->env, &database->file, offset, offset + META_PAGE_USED);
        }
        if (rc == LSM_OK) {
            rc = os_sync(&database->file);
            if (rc != LSM_OK) database->file_sync_failed = rc;
        }
    }
    if (rc == LSM_OK) atomic_store(&database->checkpoint_unproven, false);
    shm_unlock(db->shm, &db->locks, LOCK_CHECKPOINTER);
    background_let_go(db);
    return error_note(&db->error, rc, "the checkpoint cannot be made durable");
}

/* The sync is that of the commit; if there is none, or it fails, that of a later one: a failed one is remembered by all
** who sync the log (log_sync_failed). */
static int prove_log(lsm_db *db, const struct log_state *state) {
    struct database *database = db->database;
    struct os_file log_file = {0};
    bool used = false;
    int i;
    int rc = LSM_OK;

    for (i = 0; i < 3; i++) {
        if (state->regions[i].end > state->regions[i].start) used = true;
    }
    if (used) rc = os_open(database->env, database->log_path, 0, &log_file);
    for (i = 0; i < 3 && used && rc == LSM_OK; i++) {
        rc = write_back(db->env, &log_file, (uint64_t)state->regions[i].start,
                        (uint64_t)state->regions[i].end);
    }
    os_close(&log_file);
    if (rc == LSM_OK) database->log_unproven = false;
    return rc;
}

int recovered_prove_checkpoint(lsm_db *db) {
    if (db->config.safety == LSM_SAFETY_OFF || !atomic_load(&db->database->checkpoint_unproven)) return LSM_OK;
    return prove_checkpoint(db);
}

int recovered_make_durable(lsm_db *db, const struct log_state *state) {
    int rc = recovered_prove_checkpoint(db);

    if (rc != LSM_OK || db->config.safety != LSM_SAFETY_FULL || !db->database->log_unproven || !db->config.use_log) {
        return rc;
    }
    rc = prove_checkpoint(db);
    return rc == LSM_OK ? prove_log(db, state) : rc;
}
