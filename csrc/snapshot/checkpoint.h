/*
** checkpoint.h — the two meta pages: which snapshot counts when a database is opened, and storing a
** new one.
*/
#ifndef LSM_SNAPSHOT_CHECKPOINT_H
#define LSM_SNAPSHOT_CHECKPOINT_H

#include "format/format_checkpoint.h"
#include "os/os.h"
#include "pager/pager.h"

/* What the two meta pages say. */
enum checkpoint_kind {
    CHECKPOINT_FOUND,    /* `snapshot` and `meta_page` are set */
    CHECKPOINT_EMPTY,    /* an empty database: no checkpoint was ever completed */
    CHECKPOINT_FOREIGN   /* not a database: neither page is valid, the file is not an empty one */
};

/* Read both meta pages and choose. Foreign files give LSM_OK and CHECKPOINT_FOREIGN; a chosen blob
** that does not decode is LSM_CORRUPT. `log_size`: bytes of the log file, 0 = none or empty; with a
** log, page 1 may hold the torn remains of the first checkpoint. `snapshot` is initialised only for
** FOUND. */
LSM_MUST_USE int checkpoint_load(lsm_env *env, struct os_file *file, uint64_t log_size,
                                 bool compressed, struct error_context *error, enum checkpoint_kind *kind,
                                 struct snapshot *snapshot, uint32_t *meta_page);

/* What a store waits for. */
enum checkpoint_wait {
    CHECKPOINT_NO_SYNC,
    CHECKPOINT_SYNC_BEFORE, /* all that the snapshot refers to is durable; the meta page once the next sync ends */
    CHECKPOINT_SYNC_BOTH    /* the meta page is durable, too */
};

/* Store `words` in the meta page that does not hold the present checkpoint (`current`: 0, 1 or 2).
** *meta_page = the page written, set only on success. *sync_failed, set always: the failure was that
** of a sync, after which no later sync proves anything about what was written before. */
LSM_MUST_USE int checkpoint_store(struct os_file *file, const uint32_t *words, uint32_t word_count,
                                  uint32_t current, enum checkpoint_wait wait, uint32_t *meta_page,
                                  bool *sync_failed);

/* Let each input of a merge in progress begin at its saved position if it claims to begin behind it: see
** merge_front.c. For every snapshot that is read or worked on. */
void snapshot_mend_fronts(struct snapshot *snapshot, const struct pager *pager);

#endif
