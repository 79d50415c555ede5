/*
** verify.c — is a database file what the format says it is? Every page is read, nothing is changed.
**
** Numbers are those of the format's list of invariants; segment_check does 2 to 6 for each run,
** verify_blocks.c does 2, 9 and 10 for all of them together.
**
**      1 blob      the checkpoint on disk is whole (and legal, or nothing was opened)
**      4 records   the output of a merge ends below the split key, a finished run ends no range
**      6 index     a run of several pages can be reached
**      7 pointers  between two finished runs
**      8 merges    saved positions, the split key, the index that is read along
**
** LOCKING     A read transaction, so that nothing it looks at is reused. No lock that a writer
**             waits for: the snapshot is the newest published one, or the one that open cursors of
**             the connection read.
** ERRORS      Damage is reported, not returned, be it what a compression function says of a page; LSM_MISMATCH,
**             LSM_NOMEM, LSM_IOERR.
** COST        Every record once or twice.
*/
#include "db/verify_internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"

#define META_ATTEMPTS 3

/* --------------------------------------------------------------------------------- reporting -- */

void verify_problem(struct verify *verify, uint64_t page_no, const char *format, ...) {
    char text[VERIFY_TEXT_MAX];
    int used = snprintf(text, sizeof text, "%s", verify->place);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + used, sizeof text - (size_t)used, format, arguments);
    va_end(arguments);
    verify->totals.problem_count++;
    verify->report->problem(verify->report->context, page_no, text);
}

int verify_absorb(struct verify *verify, int rc, bool *damaged) {
    if (!error_is_damage(&verify->error, rc)) return rc;
    verify_problem(verify, verify->error.page_no, "%s",
                   verify->error.reason ? verify->error.reason : "damaged");
    error_clear(&verify->error);
    if (damaged) *damaged = true;
    return LSM_OK;
}

void verify_set_place(struct verify *verify, const struct verify_run *run) {
    verify->place[0] = 0;
    if (run && run->run_index == 0) {
        snprintf(verify->place, sizeof verify->place, "level %u: ", (unsigned)run->level_index);
    } else if (run) {
        snprintf(verify->place, sizeof verify->place, "level %u, input %u: ",
                 (unsigned)run->level_index, (unsigned)(run->run_index - 1));
    }
}

static void segment_problem(void *context, uint64_t page_no, const char *reason) {
    verify_problem(context, page_no, "%s", reason);
}

/* Progress counts a page twice: for its own sake, and for its records. How many links there are is not known. */
static int segment_page_read(void *context, enum segment_pass pass) {
    struct verify *verify = context;
    uint64_t total = verify->size * 2;
    uint64_t done;

    if (pass == PASS_PAGES) verify->totals.page_count++;
    if (pass != PASS_LINKS) verify->steps++;
    if (verify->report->progress == NULL) return LSM_OK;
    done = verify->steps * verify->snapshot->page_size;
    if (total < done) total = done; /* compressed, or more pages than there should be */
    return verify->report->progress(verify->report->context, done, total);
}

/* ---------------------------------------------------------------------------- 1: on the disk -- */

/* The newest of the two meta pages that is whole; 0 = none is. */
static int read_checkpoint_id(struct verify *verify, int64_t *newest) {
    uint8_t bytes[META_PAGE_USED];
    uint32_t words[CHECKPOINT_WORDS_MAX];
    uint32_t word_count;
    struct error_context ignored = {0};
    struct os_file file = database_file(verify->db->database);

    *newest = 0;
    for (uint64_t page = 0; page < 2; page++) {
        struct snapshot snapshot = {0};
        int rc = os_read(&file, page * META_PAGE_SIZE, bytes, sizeof bytes);
        if (rc != LSM_OK) return rc;
        checkpoint_words_from_bytes(bytes, words);
        if (!checkpoint_words_valid(words, &word_count)) continue;
        rc = checkpoint_decode(words, word_count, pager_is_compressed(verify->pager), verify->env,
                               &ignored, &snapshot);
        if (rc == LSM_OK && snapshot.id > *newest) *newest = snapshot.id;
        snapshot_release(&snapshot);
        if (rc != LSM_OK && rc != LSM_CORRUPT) return rc;
    }
    return LSM_OK;
}

/* What the next open would find. Others may write a checkpoint meanwhile, but not two of them each
** time. */
static int check_meta_pages(struct verify *verify) {
    struct checkpoint_facts facts;
    int64_t newest = 0;
    int rc;

    if (verify->db->detached) return LSM_OK; /* what is read comes from there */
    for (int attempt = 0; attempt < META_ATTEMPTS; attempt++) {
        database_facts(verify->db->database, &facts);
        if (facts.snapshot_id == 0) return LSM_OK;
        rc = read_checkpoint_id(verify, &newest);
        if (rc != LSM_OK || newest >= facts.snapshot_id) return rc;
    }
    verify_problem(verify, 1, "the checkpoint in the file is damaged");
    return LSM_OK;
}

/* ---------------------------------------------------------------------------------- the runs -- */

static int list_runs(struct verify *verify) {
    const struct snapshot *snapshot = verify->snapshot;
    uint64_t unit = pager_is_compressed(verify->pager) ? 1 : snapshot->page_size;
    uint32_t count = 0;

    for (uint32_t i = 0; i < snapshot->level_count; i++) {
        count += 1 + snapshot->levels[i].right_count;
    }
    verify->runs = memory_allocate_zero(verify->env, (count + 1) * sizeof *verify->runs);
    if (verify->runs == NULL) return LSM_NOMEM;
    for (uint32_t i = 0; i < snapshot->level_count; i++) {
        const struct level *level = &snapshot->levels[i];
        for (uint32_t j = 0; j <= level->right_count; j++) {
            const struct segment *segment = j == 0 ? &level->left : &level->right[j - 1];
            struct verify_run *run = &verify->runs[verify->run_count];
            /* The output of a merge that has written nothing yet; not in a stored snapshot. */
            if (segment->first == 0 && j == 0 && level->right_count > 0) continue;
            run->level_index = i;
            run->run_index = j;
            run->view = (struct segment_view){verify->pager, segment, NULL, &verify->error};
            if (i + 1 == snapshot->level_count && j == level->right_count) {
                run->view.redirects = &snapshot->redirects;
            }
            verify->run_count++;
            verify->size += segment->size * unit;
        }
    }
    return LSM_OK;
}

/* The run of a level, or NULL. */
static struct verify_run *find_run(const struct verify *verify, uint32_t level_index,
                                   uint32_t run_index) {
    for (uint32_t i = 0; i < verify->run_count; i++) {
        struct verify_run *run = &verify->runs[i];
        if (run->level_index == level_index && run->run_index == run_index) return run;
    }
    return NULL;
}

static int check_run(struct verify *verify, struct verify_run *run) {
    struct segment_report report = {verify, segment_problem, segment_page_read};
    uint64_t before = verify->totals.problem_count;
    uint64_t records = 0;
    int rc;

    verify_set_place(verify, run);
    rc = verify_chain(verify, (uint32_t)(run - verify->runs));
    if (rc != LSM_OK || !run->is_chain) return rc;
    rc = segment_check(&run->view, verify->env, run->run_index > 0, &report, &records);
    if (rc != LSM_OK) return rc;
    verify->totals.record_count += records;
    run->is_sound = verify->totals.problem_count == before;
    return LSM_OK;
}

/* How a left-hand run ends: in no range if it is finished; else below the split key. */
static int check_end(struct verify *verify, struct verify_run *run) {
    const struct level *level = &verify->snapshot->levels[run->level_index];
    struct segment_cursor cursor;
    struct slice split = {0};
    enum topic topic = TOPIC_USER;
    bool damaged = false;
    int rc = LSM_OK;

    if (run->run_index > 0 || !run->is_sound) return LSM_OK;
    verify_set_place(verify, run);
    segment_cursor_init(&cursor, verify->env, &run->view);
    if (level->right_count > 0) {
        rc = verify_absorb(verify, level_split_key(&verify->view, run->level_index, &topic, &split),
                           &damaged);
    }
    if (rc == LSM_OK) rc = verify_absorb(verify, segment_last(&cursor), &damaged);
    if (rc != LSM_OK || damaged || !cursor.valid) goto done;
    if (level->right_count == 0) {
        if (cursor.flags & RECORD_START_DELETE) {
            verify_problem(verify, cursor.page.page_no, "a range delete never ends");
        }
    } else if (topic_key_compare(record_topic(cursor.flags), cursor.key, topic, split) >= 0) {
        verify_problem(verify, cursor.page.page_no,
                       "the output of a merge holds keys that are not below the split key");
    }
done:
    segment_cursor_release(&cursor);
    return rc;
}

/* --------------------------------------------------------------------------------- 8: merges -- */

/* The record an input goes on with: it is there, and not below the split key. */
static int check_input(struct verify *verify, struct verify_run *run, enum topic topic,
                       struct slice split) {
    const struct merge_input *input =
        &verify->snapshot->levels[run->level_index].merge.inputs[run->run_index - 1];
    struct segment_cursor cursor;
    bool damaged = false;
    int rc;

    if (input->page == 0 || !run->is_chain) return LSM_OK;
    verify_set_place(verify, run);
    segment_cursor_init(&cursor, verify->env, &run->view);
    rc = verify_absorb(verify, segment_go(&cursor, input->page, input->cell), &damaged);
    if (rc == LSM_OK && !damaged && split.data != NULL &&
        topic_key_compare(record_topic(cursor.flags), cursor.key, topic, split) < 0) {
        verify_problem(verify, input->page, "a merge goes on in front of the split key");
    }
    segment_cursor_release(&cursor);
    return rc;
}

/* The index of the next level that is read along. */
static int check_extra_input(struct verify *verify, uint32_t level_index) {
    const struct level *level = &verify->snapshot->levels[level_index];
    struct verify_run *below = find_run(verify, level_index + 1, 0);
    struct index_cursor cursor;
    bool damaged = false;
    int rc = LSM_OK;

    if (below == NULL || below->view.segment->root == 0 ||
        verify->snapshot->levels[level_index + 1].right_count > 0) {
        verify_problem(verify, level->merge.inputs[level->right_count].page,
                       "a merge reads an index that is not there");
        return LSM_OK;
    }
    if (level->merge.inputs[level->right_count].page == 0 || !below->is_sound) return LSM_OK;
    index_cursor_init(&cursor, verify->env, &below->view);
    rc = verify_absorb(verify,
                       index_cursor_restore(&cursor, &level->merge.inputs[level->right_count]),
                       &damaged);
    index_cursor_release(&cursor);
    return rc;
}

static int check_merge(struct verify *verify, uint32_t level_index) {
    const struct level *level = &verify->snapshot->levels[level_index];
    struct slice split = {0};
    enum topic topic = TOPIC_USER;
    bool damaged = false;
    int rc;

    if (level->right_count == 0) return LSM_OK;
    snprintf(verify->place, sizeof verify->place, "level %u: ", (unsigned)level_index);
    rc = level_split_key(&verify->view, level_index, &topic, &split);
    rc = verify_absorb(verify, rc, &damaged);
    if (damaged) split = (struct slice){0};
    if (rc == LSM_OK && level->merge.input_count > level->right_count) {
        rc = check_extra_input(verify, level_index);
    }
    for (uint32_t j = 1; j <= level->right_count && rc == LSM_OK; j++) {
        struct verify_run *run = find_run(verify, level_index, j);
        if (run) rc = check_input(verify, run, topic, split);
    }
    return rc;
}

/* ------------------------------------------------------------------------------- 7: pointers -- */

static int check_pointers(struct verify *verify, uint32_t level_index) {
    const struct snapshot *snapshot = verify->snapshot;
    struct segment_report report = {verify, segment_problem, segment_page_read};
    struct verify_run *upper = level_index > 0 ? find_run(verify, level_index - 1, 0) : NULL;
    struct verify_run *lower = find_run(verify, level_index, 0);
    bool never = true;
    bool damaged = false;
    int rc;

    if (lower == NULL || !lower->is_sound || snapshot->levels[level_index].right_count > 0 ||
        lower->view.segment->root != 0) {
        return LSM_OK;
    }
    if (level_index == 0) {
        verify_set_place(verify, lower);
        rc = segment_never_indexed(&lower->view, verify->env, &never);
        rc = verify_absorb(verify, rc, &damaged);
        if (rc == LSM_OK && !damaged && !never) {
            verify_problem(verify, lower->view.segment->first,
                           "the pages of a run can be reached neither by an index nor from above");
        }
        return rc;
    }
    if (upper == NULL || !upper->is_sound || snapshot->levels[level_index - 1].right_count > 0) {
        return LSM_OK;
    }
    verify_set_place(verify, upper);
    return segment_check_pointers(&upper->view, &lower->view, verify->env, &report);
}

/* ---------------------------------------------------------------------------------- together -- */

static int verify_snapshot(struct verify *verify) {
    int rc;

    rc = check_meta_pages(verify);
    if (rc == LSM_OK) rc = list_runs(verify);
    verify->totals.segment_count = verify->run_count;
    for (uint32_t i = 0; i < verify->run_count && rc == LSM_OK; i++) {
        rc = check_run(verify, &verify->runs[i]);
    }
    for (uint32_t i = 0; i < verify->snapshot->level_count && rc == LSM_OK; i++) {
        rc = check_merge(verify, i);
    }
    for (uint32_t i = 0; i < verify->run_count && rc == LSM_OK; i++) {
        rc = check_end(verify, &verify->runs[i]);
    }
    for (uint32_t i = 0; i < verify->snapshot->level_count && rc == LSM_OK; i++) {
        rc = check_pointers(verify, i);
    }
    return rc == LSM_OK ? verify_space(verify) : rc;
}

int db_verify(lsm_db *db, const struct verify_report *report, struct verify_totals *out) {
    struct verify verify = {.db = db, .env = db->env, .report = report};
    int rc;

    if (db->database == NULL) return LSM_MISUSE;
    error_clear(&db->error);
    rc = read_txn_begin(db);
    if (rc != LSM_OK) goto done;
    verify.pager = db->pager;
    verify.snapshot = &db->snapshot;
    verify.view = (struct read_view){.env = db->env,
                                     .error = &verify.error,
                                     .pager = db->pager,
                                     .snapshot = &db->snapshot,
                                     .notes = db->notes};
    rc = verify_snapshot(&verify);
    if (rc == LSM_OK) *out = verify.totals;
    if (rc != LSM_OK && db->error.code == LSM_OK) db->error = verify.error;
    memory_free(db->env, verify.runs);
    verify_space_release(&verify);
    read_txn_end_if_unused(db);
done:
    return db_report(db, rc);
}
