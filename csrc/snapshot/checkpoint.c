/*
** checkpoint.c — reading and storing meta pages.
**
** FORMAT      two pages of 4096 bytes at offsets 0 and 4096; the blob (format_checkpoint.h) starts at their
**             first byte, bytes 4066..4095 belong to file locks and are neither read nor written.
** INVARIANTS  (I1) the page that holds the present checkpoint is never written.
**             (I2) a page counts only after a sync that follows it: the second of its own, or the first of the
**                  next. So at every moment one of the two is durable.
*/
#include "snapshot/checkpoint.h"

#include "base/bytes.h"

static bool all_zero(const uint8_t *data, size_t size) {
    size_t i;
    for (i = 0; i < size; i++) {
        if (data[i]) return false;
    }
    return true;
}

/*
** Could these be the remains of a first checkpoint whose sectors reached the disk only in part? Each word is
** zero (its sector is missing) or possible at its place. Only the head can be judged; it is enough to tell
** a database from another kind of file.
*/
static bool possible_first_checkpoint(const uint32_t *words) {
    uint32_t block_size = words[CHECKPOINT_BLOCK_SIZE];
    uint32_t page_size = words[CHECKPOINT_PAGE_SIZE];

    if (words[0] != 0) return false; /* id below 2^32 */
    if (words[1] != 0 && (words[1] < SNAPSHOT_ID_FIRST || words[1] > 0x00ffffff)) return false;
    if (words[2] != 0 && (words[2] < 25 || words[2] > CHECKPOINT_WORDS_MAX)) return false;
    if (block_size != 0 && (block_size & (block_size - 1)) != 0) return false;
    if (block_size != 0 && (block_size < 65536 || block_size > 67108864)) return false;
    if (page_size != 0 && (page_size & (page_size - 1)) != 0) return false;
    if (page_size != 0 && (page_size < 256 || page_size > 65536)) return false;
    if (words[CHECKPOINT_LEVELS] > 99) return false;
    return true;
}

int checkpoint_load(lsm_env *env, struct os_file *file, uint64_t log_size, bool compressed,
                    struct error_context *error, enum checkpoint_kind *kind,
                    struct snapshot *snapshot, uint32_t *meta_page) {
    uint8_t bytes[2][META_PAGE_USED];
    uint32_t words[2][CHECKPOINT_WORDS_MAX];
    int64_t ids[2];
    uint32_t word_count = 0;
    uint32_t first;
    uint32_t i;
    int rc;

    for (i = 0; i < 2; i++) {
        rc = os_read(file, (uint64_t)i * META_PAGE_SIZE, bytes[i], META_PAGE_USED);
        if (rc != LSM_OK) return rc;
        checkpoint_words_from_bytes(bytes[i], words[i]);
        ids[i] = (int64_t)(((uint64_t)words[i][0] << 32) | words[i][1]);
    }
    first = ids[1] > ids[0] ? 1 : 0;
    for (i = 0; i < 2; i++) {
        uint32_t page = i == 0 ? first : 1 - first;
        if (!checkpoint_words_valid(words[page], &word_count)) continue;
        rc = checkpoint_decode(words[page], word_count, compressed, env, error, snapshot);
        if (rc != LSM_OK) return rc;
        *kind = CHECKPOINT_FOUND;
        *meta_page = page + 1;
        return LSM_OK;
    }
    if (all_zero(bytes[1], META_PAGE_USED) &&
        (all_zero(bytes[0], META_PAGE_USED) ||
         (log_size > 0 && possible_first_checkpoint(words[0])))) {
        *kind = CHECKPOINT_EMPTY;
    } else {
        *kind = CHECKPOINT_FOREIGN;
    }
    *meta_page = 0;
    return LSM_OK;
}

int checkpoint_store(struct os_file *file, const uint32_t *words, uint32_t word_count,
                     uint32_t current, enum checkpoint_wait wait, uint32_t *meta_page, bool *sync_failed) {
    uint8_t bytes[META_PAGE_USED];
    uint32_t target = current == 1 ? 2 : 1;
    bool syncing = false;
    int rc = LSM_OK;

    checkpoint_words_to_bytes(words, word_count, bytes);
    if (wait != CHECKPOINT_NO_SYNC) {
        syncing = true;
        rc = os_sync(file); /* all that the snapshot refers to, before the snapshot */
        if (rc != LSM_OK) goto done;
        syncing = false;
    }
    rc = os_write(file, (uint64_t)(target - 1) * META_PAGE_SIZE, bytes, sizeof bytes);
    if (rc != LSM_OK) goto done;
    if (wait == CHECKPOINT_SYNC_BEFORE) os_start_writing(file, (uint64_t)(target - 1) * META_PAGE_SIZE, sizeof bytes);
    if (wait == CHECKPOINT_SYNC_BOTH) {
        syncing = true;
        rc = os_sync(file);
        if (rc != LSM_OK) goto done;
        syncing = false;
    }
    *meta_page = target;
done:
    *sync_failed = syncing;
    return rc;
}
