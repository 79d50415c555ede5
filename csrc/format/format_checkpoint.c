/*
** format_checkpoint.c — the checkpoint blob, decoded and encoded.
**
** FORMAT      u32 words, big-endian in a meta page, at most 1016. 64 bits = two words, high first.
**
**     WORD      MEANING
**     0, 1      snapshot id
**     2         N, words of the blob with the two sums
**     3         compression id: 0 nothing written yet, 1 none, else that of the hooks
**     4         blocks the file was ever extended to
**     5         block size in bytes
**     6         L, number of levels
**     7         page size in bytes
**     8         pages written, a statistic modulo 2^32
**     9, 10     log position: 2 * byte offset + toggle
**     11, 12    log sums at that position
**     13..20    four append points, 0 = empty
**     21..      L levels, newest first; R, R pairs (old block, new block); F, F triples (block, id)
**     N-2, N-1  sums over all words before
**
**     level     flags * 65536 + age; r; left run; r right runs; and only if r > 0:
**               m; skip; m inputs (page 64, cell); split (page 64, cell); current pointer 64
**     run       first, last, root, size: 64 bits each
**
**     Worked example: part of the unit test (two inserts, 35 words).
**
** INVARIANTS  (I1) Every page number of a decoded snapshot is 0 (where allowed) or lies on a block
**             1..block_count, behind the meta pages.
**             (I2) Counts fit the words; nothing is left over and nothing missing.
**             (I3) Free-list entries and redirects ascend; a redirect's `to` is no block's `from`.
** ERRORS      A decoder's failure leaves `out` untouched and nothing allocated.
** COST        One allocation per array, none of them larger than the blob would explain.
*/
#include "format/format_checkpoint.h"

#include "base/bytes.h"
#include "base/checked.h"
#include "base/checksum.h"
#include "base/memory.h"
#include "format/format_page.h"

#define WORDS_MIN 25            /* 21, two zero counts, two sums */
#define HEAD_WORDS 21
#define RUN_WORDS 8
#define LEVEL_WORDS 10          /* without merge */
#define MERGE_FIXED_WORDS 7     /* m, skip, split, current pointer */
#define INPUT_WORDS 3
#define REDIRECT_WORDS 2
#define FREELIST_WORDS 3
#define META_AREA 8192          /* both meta pages */
#define LINK_SIZE 4             /* compressed: at both ends of a block */
#define SKIP_MAX 3
#define CELL_MAX 0xffffu
#define INDEX_DEPTH_MAX 40

static_assert(CHECKPOINT_WORDS_MAX * 4 <= META_PAGE_USED, "a blob fits a meta page");

/* --------------------------------------------------------------------------------- geometry -- */

/* What a page number must satisfy, and which block it lies on. */
struct geometry {
    bool compressed;
    uint32_t block_size;
    uint32_t block_count;
    uint32_t pages_per_block; /* uncompressed */
    uint32_t first_page;      /* uncompressed: first page behind the meta pages */
};

static uint64_t block_of(const struct geometry *geometry, uint64_t page) {
    if (geometry->compressed) return page / geometry->block_size + 1;
    return (page - 1) / geometry->pages_per_block + 1;
}

static bool page_exists(const struct geometry *geometry, uint64_t page) {
    if (page == 0 || block_of(geometry, page) > geometry->block_count) return false;
    if (geometry->compressed) {
        uint64_t within = page % geometry->block_size;
        uint64_t low = page < geometry->block_size ? META_AREA + LINK_SIZE : LINK_SIZE;
        return within >= low && within < geometry->block_size - LINK_SIZE;
    }
    return page >= geometry->first_page;
}

static bool is_power_of_two(uint32_t value) {
    return value != 0 && (value & (value - 1)) == 0;
}

static int make_geometry(const struct snapshot *snapshot, bool compressed,
                         struct error_context *error, struct geometry *out) {
    uint32_t page_size = snapshot->page_size;
    uint32_t block_size = snapshot->block_size;

    if (!is_power_of_two(page_size) || page_size < PAGE_SIZE_MIN || page_size > PAGE_SIZE_MAX) {
        return error_corrupt(error, 0, "checkpoint: illegal page size");
    }
    if (!is_power_of_two(block_size) || block_size < BLOCK_SIZE_MIN ||
        block_size > BLOCK_SIZE_MAX) {
        return error_corrupt(error, 0, "checkpoint: illegal block size");
    }
    if (!compressed && block_size / page_size < 4) {
        return error_corrupt(error, 0, "checkpoint: block smaller than four pages");
    }
    *out = (struct geometry){.compressed = compressed,
                             .block_size = block_size,
                             .block_count = snapshot->block_count,
                             .pages_per_block = block_size / page_size,
                             .first_page = 1 + (META_AREA + page_size - 1) / page_size};
    return LSM_OK;
}

/* ------------------------------------------------------------------------------ word reader -- */

/* As bytes_reader: a read past the end gives 0 and is remembered. */
struct word_reader {
    const uint32_t *words;
    uint32_t at;
    uint32_t end;
    bool failed;
};

static uint32_t words_left(const struct word_reader *in) {
    return in->end - in->at;
}

static uint32_t next_word(struct word_reader *in) {
    if (in->at >= in->end) {
        in->failed = true;
        return 0;
    }
    return in->words[in->at++];
}

static uint64_t next_wide(struct word_reader *in) {
    uint64_t high = next_word(in);
    return (high << 32) | next_word(in);
}

/* ---------------------------------------------------------------------------------- decoding -- */

static int decode_run(struct word_reader *in, const struct geometry *geometry,
                      struct error_context *error, struct segment *out) {
    uint64_t capacity;

    out->first = next_wide(in);
    out->last = next_wide(in);
    out->root = next_wide(in);
    out->size = next_wide(in);
    if (in->failed) return error_corrupt(error, 0, "checkpoint: run cut off");
    if (!page_exists(geometry, out->first)) {
        return error_corrupt(error, out->first, "checkpoint: first page of a run does not exist");
    }
    if (!page_exists(geometry, out->last)) {
        return error_corrupt(error, out->last, "checkpoint: last page of a run does not exist");
    }
    if (out->root != 0 && !page_exists(geometry, out->root)) {
        return error_corrupt(error, out->root, "checkpoint: root page of a run does not exist");
    }
    /* A chain never comes back to a block. */
    if (block_of(geometry, out->first) == block_of(geometry, out->last) &&
        out->first > out->last) {
        return error_corrupt(error, out->first, "checkpoint: a run ends before it starts");
    }
    capacity = (uint64_t)geometry->block_count *
               (geometry->compressed ? geometry->block_size : geometry->pages_per_block);
    if (out->size > capacity) {
        return error_corrupt(error, out->first, "checkpoint: a run larger than the file");
    }
    return LSM_OK;
}

/* Requires right_count > 0 and `level->right` filled. `is_last`: there is no level below. */
static int decode_merge(struct word_reader *in, const struct geometry *geometry, bool is_last,
                        lsm_env *env, struct error_context *error, struct level *level) {
    struct merge_state *merge = &level->merge;
    bool split_found = false;
    uint32_t i;

    merge->input_count = next_word(in);
    merge->skip = next_word(in);
    if (merge->input_count != level->right_count && merge->input_count - 1 != level->right_count) {
        return error_corrupt(error, 0, "checkpoint: merge has a wrong number of inputs");
    }
    if (merge->input_count > level->right_count && is_last) {
        return error_corrupt(error, 0, "checkpoint: merge reads the index of no level");
    }
    if (merge->skip > SKIP_MAX) return error_corrupt(error, 0, "checkpoint: skip count above 3");
    if (merge->input_count > words_left(in) / INPUT_WORDS) {
        return error_corrupt(error, 0, "checkpoint: merge inputs cut off");
    }
    merge->inputs = memory_allocate_zero(env, merge->input_count * sizeof *merge->inputs);
    if (merge->inputs == NULL) return LSM_NOMEM;
    for (i = 0; i < merge->input_count; i++) {
        merge->inputs[i].page = next_wide(in);
        merge->inputs[i].cell = next_word(in);
    }
    merge->split_page = next_wide(in);
    merge->split_cell = next_word(in);
    merge->current_pointer = next_wide(in);
    if (in->failed) return error_corrupt(error, 0, "checkpoint: merge cut off");

    for (i = 0; i < merge->input_count; i++) {
        uint64_t page = merge->inputs[i].page;
        uint32_t cell = merge->inputs[i].cell;
        if (page == 0) continue; /* finished */
        if (!page_exists(geometry, page)) {
            return error_corrupt(error, page, "checkpoint: page of a merge input does not exist");
        }
        if (i == level->right_count) {
            uint32_t depth = cell & 0xff; /* the rest is the cell plus one */
            if (depth < 1 || depth > INDEX_DEPTH_MAX || (cell >> 8) > CELL_MAX) {
                return error_corrupt(error, page, "checkpoint: illegal index position of a merge");
            }
        } else if (cell > CELL_MAX) {
            return error_corrupt(error, page, "checkpoint: illegal cell of a merge input");
        }
        if (page == merge->split_page) split_found = true;
    }
    /* Without an index among the inputs the split key is the next item of one of them. The index of
    ** the next level may be asked for an ancestor of its position. */
    if (!page_exists(geometry, merge->split_page) || merge->split_cell > CELL_MAX ||
        (!split_found && merge->input_count == level->right_count)) {
        return error_corrupt(error, merge->split_page, "checkpoint: split key outside the inputs");
    }
    /* 0 = none known. Readers judge it before they follow it; but it will go to a signed field. */
    if (merge->current_pointer > INT64_MAX) {
        return error_corrupt(error, 0, "checkpoint: illegal current pointer of a merge");
    }
    return LSM_OK;
}

static int decode_level(struct word_reader *in, const struct geometry *geometry, bool is_last,
                        lsm_env *env, struct error_context *error, struct level *level) {
    uint32_t head = next_word(in);
    uint32_t right_count = next_word(in);
    uint32_t i;
    int rc;

    level->age = (uint16_t)head;
    level->flags = (uint16_t)(head >> 16);
    if (level->flags & ~LEVEL_FREELIST_ONLY) {
        return error_corrupt(error, 0, "checkpoint: unknown level flags");
    }
    rc = decode_run(in, geometry, error, &level->left);
    if (rc != LSM_OK || right_count == 0) return rc;

    if (right_count > words_left(in) / RUN_WORDS) {
        return error_corrupt(error, 0, "checkpoint: right-hand runs cut off");
    }
    level->right = memory_allocate_zero(env, right_count * sizeof *level->right);
    if (level->right == NULL) return LSM_NOMEM;
    level->right_count = right_count;
    for (i = 0; i < right_count; i++) {
        rc = decode_run(in, geometry, error, &level->right[i]);
        if (rc != LSM_OK) return rc;
    }
    return decode_merge(in, geometry, is_last, env, error, level);
}

static int decode_levels(struct word_reader *in, const struct geometry *geometry, uint32_t count,
                         struct error_context *error, struct snapshot *snapshot) {
    uint32_t i;
    int rc = LSM_OK;

    if (count == 0) return LSM_OK;
    if (count > words_left(in) / LEVEL_WORDS) {
        return error_corrupt(error, 0, "checkpoint: levels cut off");
    }
    /* Hooks with the id 0 are legal, hence only without hooks. */
    if (snapshot->compression_id == LSM_COMPRESSION_EMPTY && !geometry->compressed) {
        return error_corrupt(error, 0, "checkpoint: a level, but nothing was ever written");
    }
    snapshot->levels = memory_allocate_zero(snapshot->env, count * sizeof *snapshot->levels);
    if (snapshot->levels == NULL) return LSM_NOMEM;
    snapshot->level_count = count;
    snapshot->level_capacity = count;
    for (i = 0; i < count && rc == LSM_OK; i++) {
        rc = decode_level(in, geometry, i + 1 == count, snapshot->env, error,
                          &snapshot->levels[i]);
    }
    return rc;
}

static int decode_redirects(struct word_reader *in, const struct geometry *geometry,
                            struct error_context *error, struct redirects *out) {
    uint32_t count = next_word(in);
    uint32_t i;
    uint32_t k;

    if (count > REDIRECTS_MAX || count > words_left(in) / REDIRECT_WORDS) {
        return error_corrupt(error, 0, "checkpoint: too many redirects");
    }
    for (i = 0; i < count; i++) {
        struct redirect *pair = &out->pairs[i];
        pair->from = next_word(in);
        pair->to = next_word(in);
        if (pair->from > geometry->block_count || pair->to >= pair->from || pair->to < 2) {
            return error_corrupt(error, 0, "checkpoint: illegal redirect");
        }
        if (i > 0 && pair->from <= out->pairs[i - 1].from) {
            return error_corrupt(error, 0, "checkpoint: redirects out of order");
        }
    }
    for (i = 0; i < count; i++) {
        for (k = 0; k < count; k++) {
            if (out->pairs[i].to == out->pairs[k].from ||
                (i != k && out->pairs[i].to == out->pairs[k].to)) {
                return error_corrupt(error, 0, "checkpoint: redirects contradict each other");
            }
        }
    }
    out->count = count;
    return LSM_OK;
}

static int decode_freelist(struct word_reader *in, const struct geometry *geometry,
                           struct error_context *error, struct snapshot *snapshot) {
    struct freelist *freelist = &snapshot->freelist;
    uint32_t count = next_word(in);
    uint32_t i;

    if (count > FREELIST_ENTRIES_MAX || count > words_left(in) / FREELIST_WORDS) {
        return error_corrupt(error, 0, "checkpoint: too many free-list entries");
    }
    if (count == 0) return LSM_OK;
    freelist->entries = memory_allocate_zero(snapshot->env, count * sizeof *freelist->entries);
    if (freelist->entries == NULL) return LSM_NOMEM;
    freelist->count = count;
    freelist->capacity = count;
    for (i = 0; i < count; i++) {
        struct freelist_entry *entry = &freelist->entries[i];
        entry->block = next_word(in);
        entry->snapshot_id = (int64_t)next_wide(in);
        if (entry->block == 0 || entry->block > geometry->block_count) {
            return error_corrupt(error, 0, "checkpoint: free block does not exist");
        }
        if (i > 0 && entry->block <= freelist->entries[i - 1].block) {
            return error_corrupt(error, 0, "checkpoint: free-list entries out of order");
        }
        if (entry->snapshot_id < -1 || entry->snapshot_id > snapshot->id) {
            return error_corrupt(error, 0, "checkpoint: free block with an illegal snapshot id");
        }
    }
    return LSM_OK;
}

int checkpoint_decode(const uint32_t *words, uint32_t word_count, bool compressed, lsm_env *env,
                      struct error_context *error, struct snapshot *out) {
    struct snapshot snapshot = {.env = env};
    struct geometry geometry;
    struct word_reader in = {words, 0, 0, false};
    uint32_t level_count;
    uint32_t i;
    int rc;

    if (word_count < WORDS_MIN || word_count > CHECKPOINT_WORDS_MAX) {
        rc = error_corrupt(error, 0, "checkpoint: illegal length");
        goto done;
    }
    in.end = word_count - 2;
    snapshot.id = (int64_t)next_wide(&in);
    if (next_word(&in) != word_count || snapshot.id <= 0) {
        rc = error_corrupt(error, 0, "checkpoint: illegal head");
        goto done;
    }
    snapshot.compression_id = next_word(&in);
    snapshot.block_count = next_word(&in);
    snapshot.block_size = next_word(&in);
    level_count = next_word(&in);
    snapshot.page_size = next_word(&in);
    snapshot.pages_written = next_word(&in);
    snapshot.log.field = next_wide(&in);
    snapshot.log.sum0 = next_word(&in);
    snapshot.log.sum1 = next_word(&in);
    for (i = 0; i < APPEND_POINTS; i++) snapshot.append[i] = next_wide(&in);

    /* A connection without hooks must be able to open a compressed file, and to say so later. */
    if (snapshot.compression_id > LSM_COMPRESSION_NONE) compressed = true;
    rc = make_geometry(&snapshot, compressed, error, &geometry);
    if (rc != LSM_OK) goto done;
    for (i = 0; i < APPEND_POINTS; i++) {
        if (snapshot.append[i] != 0 && !page_exists(&geometry, snapshot.append[i])) {
            rc = error_corrupt(error, snapshot.append[i],
                               "checkpoint: append point does not exist");
            goto done;
        }
    }
    rc = decode_levels(&in, &geometry, level_count, error, &snapshot);
    if (rc != LSM_OK) goto done;
    rc = decode_redirects(&in, &geometry, error, &snapshot.redirects);
    if (rc != LSM_OK) goto done;
    rc = decode_freelist(&in, &geometry, error, &snapshot);
    if (rc != LSM_OK) goto done;
    if (in.failed || in.at != in.end) {
        rc = error_corrupt(error, 0, "checkpoint: content does not fill the blob");
        goto done;
    }
    *out = snapshot;
    snapshot = (struct snapshot){0};
done:
    snapshot_release(&snapshot);
    return rc;
}

bool checkpoint_words_valid(const uint32_t *words, uint32_t *word_count) {
    uint32_t count = words[2];
    struct checksum sum;

    if (count < WORDS_MIN || count > CHECKPOINT_WORDS_MAX) return false;
    sum = checksum_checkpoint(words, count - 2);
    if (words[count - 2] != sum.s0 || words[count - 1] != sum.s1) return false;
    *word_count = count;
    return true;
}

/* ---------------------------------------------------------------------------------- encoding -- */

struct word_writer {
    uint32_t *words;
    uint32_t at;
};

static void put_word(struct word_writer *out, uint32_t value) {
    out->words[out->at++] = value;
}

static void put_wide(struct word_writer *out, uint64_t value) {
    put_word(out, (uint32_t)(value >> 32));
    put_word(out, (uint32_t)value);
}

static void put_run(struct word_writer *out, const struct segment *run) {
    put_wide(out, run->first);
    put_wide(out, run->last);
    put_wide(out, run->root);
    put_wide(out, run->size);
}

static void put_level(struct word_writer *out, const struct level *level) {
    const struct merge_state *merge = &level->merge;
    uint32_t i;

    put_word(out, ((uint32_t)level->flags << 16) | level->age);
    put_word(out, level->right_count);
    put_run(out, &level->left);
    if (level->right_count == 0) return;
    assert(merge->input_count == level->right_count ||
           merge->input_count == level->right_count + 1);
    for (i = 0; i < level->right_count; i++) put_run(out, &level->right[i]);
    put_word(out, merge->input_count);
    put_word(out, merge->skip);
    for (i = 0; i < merge->input_count; i++) {
        put_wide(out, merge->inputs[i].page);
        put_word(out, merge->inputs[i].cell);
    }
    put_wide(out, merge->split_page);
    put_word(out, merge->split_cell);
    put_wide(out, merge->current_pointer);
}

/* Words the blob will have; a sum that cannot overflow, since memory holds what it counts. */
static uint64_t words_needed(const struct snapshot *snapshot) {
    uint64_t count = WORDS_MIN;
    uint32_t i;

    for (i = 0; i < snapshot->level_count; i++) {
        const struct level *level = &snapshot->levels[i];
        count += LEVEL_WORDS;
        if (level->right_count == 0) continue;
        count += (uint64_t)level->right_count * RUN_WORDS + MERGE_FIXED_WORDS +
                 (uint64_t)level->merge.input_count * INPUT_WORDS;
    }
    count += (uint64_t)snapshot->redirects.count * REDIRECT_WORDS;
    count += (uint64_t)snapshot->freelist.count * FREELIST_WORDS;
    return count;
}

int checkpoint_encode(const struct snapshot *snapshot, uint32_t *words, uint32_t *word_count) {
    struct word_writer out = {words, 0};
    struct checksum sum;
    uint64_t needed = words_needed(snapshot);
    uint32_t i;

    assert(snapshot->redirects.count <= REDIRECTS_MAX);
    if (needed > CHECKPOINT_WORDS_MAX || snapshot->freelist.count > FREELIST_ENTRIES_MAX) {
        return LSM_FULL;
    }
    put_wide(&out, (uint64_t)snapshot->id);
    put_word(&out, (uint32_t)needed);
    put_word(&out, snapshot->compression_id);
    put_word(&out, snapshot->block_count);
    put_word(&out, snapshot->block_size);
    put_word(&out, snapshot->level_count);
    put_word(&out, snapshot->page_size);
    put_word(&out, snapshot->pages_written);
    put_wide(&out, snapshot->log.field);
    put_word(&out, snapshot->log.sum0);
    put_word(&out, snapshot->log.sum1);
    for (i = 0; i < APPEND_POINTS; i++) put_wide(&out, snapshot->append[i]);
    assert(out.at == HEAD_WORDS);
    for (i = 0; i < snapshot->level_count; i++) put_level(&out, &snapshot->levels[i]);
    put_word(&out, snapshot->redirects.count);
    for (i = 0; i < snapshot->redirects.count; i++) {
        put_word(&out, snapshot->redirects.pairs[i].from);
        put_word(&out, snapshot->redirects.pairs[i].to);
    }
    put_word(&out, snapshot->freelist.count);
    for (i = 0; i < snapshot->freelist.count; i++) {
        put_word(&out, snapshot->freelist.entries[i].block);
        put_wide(&out, (uint64_t)snapshot->freelist.entries[i].snapshot_id);
    }
    assert(out.at + 2 == needed);
    sum = checksum_checkpoint(words, out.at);
    put_word(&out, sum.s0);
    put_word(&out, sum.s1);
    *word_count = out.at;
    return LSM_OK;
}

void checkpoint_words_from_bytes(const uint8_t *bytes, uint32_t *words) {
    uint32_t i;
    for (i = 0; i < CHECKPOINT_WORDS_MAX; i++) words[i] = get_u32(bytes + 4 * (size_t)i);
}

void checkpoint_words_to_bytes(const uint32_t *words, uint32_t word_count, uint8_t *bytes) {
    uint32_t i;

    assert(word_count <= CHECKPOINT_WORDS_MAX);
    for (i = 0; i < word_count; i++) put_u32(bytes + 4 * (size_t)i, words[i]);
    memset(bytes + 4 * (size_t)word_count, 0, META_PAGE_USED - 4 * (size_t)word_count);
}
