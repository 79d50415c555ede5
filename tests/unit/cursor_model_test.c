/*
** cursor_model_test.c — random histories against a sorted list: scans, seeks and point reads of
** every state.
**
** A fixed list of keys (the universe) is written, deleted and range-deleted at random. Batches of
** changes become the live tree, the old tree, and runs; runs are merged, completely or in part, by
** a second, slow implementation of the rules of the format: flags are combined key by key, the
** index of the run below is absorbed as separators and cascade pointers, range-start pointers may
** lag behind, runs that never had an index get stale pointers from above. Every state is compared
** with the plain list: without notes about the runs, with notes about some of them, and about all.
*/
#include "support/cursor_world.h"

#define KEYS_MAX 96
#define MODEL_LEVELS_MAX 16
#define OPS_MAX 400

struct entry {
    uint8_t flags; /* 0 = no record */
    uint32_t value;
};

/* One run, as the model knows it. Index entry i: the page that begins with key index_key[i]. */
struct run {
    struct entry entries[KEYS_MAX];
    bool separator[KEYS_MAX];
    struct segment segment;
    uint32_t index_count;
    uint32_t index_key[KEYS_MAX];
    uint64_t index_page[KEYS_MAX];
};

struct model_level {
    struct run left;
    uint32_t right_count; /* > 0: merging */
    struct run right[WORLD_RIGHT_MAX];
    struct merge_input inputs[WORLD_RIGHT_MAX + 1];
    uint32_t input_count;
    uint64_t split_page;
    uint32_t split_cell;
    uint32_t stop; /* keys below are merged */
    bool extra;    /* the index of the next level is an input */
};

struct op {
    uint8_t kind; /* 0 put, 1 delete, 2 range */
    uint32_t a, b, value;
};

struct model {
    struct world world;
    uint8_t key_bytes[KEYS_MAX][400];
    struct slice keys[KEYS_MAX];
    uint32_t key_count;  /* user keys first */
    uint32_t user_count;
    uint32_t now[KEYS_MAX]; /* value number, 0 = absent */
    uint32_t value_count;
    struct entry trees[2][KEYS_MAX]; /* live, old */
    struct op ops[2][OPS_MAX];
    uint32_t op_count[2];
    struct model_level levels[MODEL_LEVELS_MAX];
    uint32_t level_count;
};

static struct model model;

/* ------------------------------------------------------------------------------ keys, values -- */

static int compare_keys(const void *left, const void *right) {
    return key_compare(*(const struct slice *)left, *(const struct slice *)right);
}

static void make_universe(void) {
    uint32_t wanted = 8 + test_random_below(56);
    uint32_t kept = 0;
    bool long_keys = test_random_below(4) == 0;
    struct slice keys[KEYS_MAX];

    for (uint32_t i = 0; i < wanted; i++) {
        uint8_t *key = model.key_bytes[i];
        uint32_t size = 0;
        switch (test_random_below(4)) {
        case 0: size = test_random_below(4); break;                 /* few bytes, many prefixes */
        case 1: size = 7 + test_random_below(3); break;             /* about as long as a prefix */
        case 2: memcpy(key, "common-prefix", 13); size = 13 + test_random_below(3); break;
        default: size = long_keys ? test_random_below(300) : test_random_below(20); break;
        }
        for (uint32_t k = 0; k < size; k++) {
            if (size < 13 || size > 16 || k >= 13 || key[0] != 'c') {
                key[k] = (uint8_t)("\0ab\xff"[test_random_below(4)]);
            }
        }
        keys[i] = (struct slice){key, size};
    }
    qsort(keys, wanted, sizeof keys[0], compare_keys);
    for (uint32_t i = 0; i < wanted; i++) {
        if (kept == 0 || key_compare(keys[i], model.keys[kept - 1]) != 0) {
            model.keys[kept++] = keys[i];
        }
    }
    model.user_count = kept;
    for (uint32_t i = 0; i < 12; i++) { /* system keys: complements of block numbers */
        put_u32(model.key_bytes[wanted + i], ~(uint32_t)(40 - 3 * i));
        model.keys[kept++] = (struct slice){model.key_bytes[wanted + i], 4};
    }
    model.key_count = kept;
}

static uint8_t system_flag(uint32_t key) {
    return key >= model.user_count ? RECORD_SYSTEM : 0;
}

static struct slice value_of(uint32_t value, uint32_t key) {
    static uint8_t bytes[600];
    uint32_t size = system_flag(key) ? 8 : value % 7 == 0 ? value % 500 : value % 23;
    for (uint32_t i = 0; i < size; i++) bytes[i] = (uint8_t)(value * 31 + i);
    return (struct slice){bytes, size};
}

/* --------------------------------------------------------------- changes to a set of records -- */

static int32_t below(const struct entry *entries, uint32_t key) {
    int32_t i = (int32_t)key - 1;
    while (i >= 0 && entries[i].flags == 0) i--;
    return i;
}

/* Does `key` lie strictly inside a range delete? */
static bool inside(const struct entry *entries, uint32_t key) {
    int32_t i;
    if (entries[key].flags) return false;
    i = below(entries, key);
    return i >= 0 && (entries[i].flags & RECORD_START_DELETE);
}

static void apply_write(struct entry *entries, uint32_t key, uint8_t kind, uint32_t value) {
    uint8_t marks = entries[key].flags & (RECORD_START_DELETE | RECORD_END_DELETE);
    if (inside(entries, key)) marks = RECORD_START_DELETE | RECORD_END_DELETE;
    entries[key] = (struct entry){(uint8_t)(kind | marks), value};
}

static void apply_range(struct entry *entries, uint32_t a, uint32_t b) {
    bool a_inside = false;
    bool b_inside = false;
    int32_t last;

    /* The part before a, and the part behind b, of a range that is cut keep their ends. */
    for (uint32_t i = a + 1; i < b; i++) entries[i] = (struct entry){0};
    last = below(entries, a);
    a_inside = entries[a].flags == 0 && last >= 0 && (entries[last].flags & RECORD_START_DELETE);
    if (!a_inside) entries[a].flags |= RECORD_START_DELETE;
    for (uint32_t i = b + 1; i < KEYS_MAX && entries[b].flags == 0; i++) {
        if (entries[i].flags == 0) continue;
        b_inside = (entries[i].flags & RECORD_END_DELETE) != 0;
        break;
    }
    if (!b_inside) entries[b].flags |= RECORD_END_DELETE;
}

static void apply(struct entry *entries, const struct op *op) {
    switch (op->kind) {
    case 0: apply_write(entries, op->a, RECORD_INSERT, op->value); break;
    case 1: apply_write(entries, op->a, RECORD_POINT_DELETE, 0); break;
    default: apply_range(entries, op->a, op->b); break;
    }
}

static struct op random_op(uint32_t first, uint32_t count) {
    struct op op = {0, first + test_random_below(count), 0, 0};
    uint32_t dice = test_random_below(10);

    if (dice < 6) {
        op.value = ++model.value_count;
        model.now[op.a] = op.value;
    } else if (dice < 8) {
        op.kind = 1;
        model.now[op.a] = 0;
    } else {
        op.kind = 2;
        op.b = first + test_random_below(count);
        if (op.a > op.b) {
            uint32_t swap = op.a;
            op.a = op.b;
            op.b = swap;
        }
        for (uint32_t i = op.a + 1; i < op.b; i++) model.now[i] = 0;
        if (op.a == op.b) {
            op.kind = 1;
            model.now[op.a] = 0;
        }
    }
    return op;
}

/* ----------------------------------------------------------------------------- writing runs -- */

enum pointer_source { POINTERS_NONE, POINTERS_EXACT, POINTERS_STALE };

/* Write records [0, stop) with separators and pointers into `next`. `carried`: only separators that
** this run has (it absorbed the index before); NULL = all of the index. */
static void write_run(struct run *run, uint32_t stop, const struct run *next,
                      enum pointer_source pointers, const struct run *carried, bool interrupt) {
    struct segment_writer *writer = world_writer(&model.world);
    uint64_t pointer = pointers == POINTERS_EXACT ? next->segment.first : 0;
    uint64_t previous = pointer;
    uint32_t at = 0;
    uint32_t skip = 0;

    segment_writer_set_pointer(writer, pointer);
    for (uint32_t i = 0; i < stop; i++) {
        struct entry *entry = &run->entries[i];
        bool indexed = false;
        if (pointers == POINTERS_STALE) pointer = 33 + test_random_below(40);
        if (pointers == POINTERS_EXACT && at < next->index_count && next->index_key[at] == i) {
            previous = pointer;
            pointer = next->index_page[at++];
            indexed = !carried || carried->separator[i] || carried->entries[i].flags;
        }
        run->separator[i] = false;
        if (entry->flags) {
            bool lags = (entry->flags & RECORD_START_DELETE) && test_random_below(2);
            struct slice value = {NULL, 0};
            if (entry->flags & RECORD_INSERT) value = value_of(entry->value, i);
            CHECK_OK(segment_writer_add(writer, (uint8_t)(entry->flags | system_flag(i)),
                                        model.keys[i], value, lags ? previous : pointer));
        } else if (indexed && !inside(run->entries, i)) {
            run->separator[i] = true;
            CHECK_OK(segment_writer_add(writer, (uint8_t)(RECORD_SEPARATOR | system_flag(i)),
                                        model.keys[i], (struct slice){NULL, 0}, pointer));
        } else {
            segment_writer_set_pointer(writer, pointer);
        }
    }
    for (uint32_t i = stop; i < KEYS_MAX; i++) {
        run->entries[i] = (struct entry){0};
        run->separator[i] = false;
    }
    if (!interrupt) {
        world_finish(&model.world, writer, &run->segment);
    } else if (segment_writer_record_count(writer) == 0) {
        run->segment = (struct segment){0}; /* nothing to interrupt */
        segment_writer_free(writer);
        model.world.append_point = 0;
    } else {
        CHECK_OK(segment_writer_interrupt(writer, &run->segment, &skip));
        segment_writer_free(writer);
        model.world.append_point = 0;
    }
}

static uint32_t key_number(enum topic topic, struct slice key) {
    for (uint32_t i = 0; i < model.key_count; i++) {
        if (record_topic(system_flag(i)) == topic && key_compare(model.keys[i], key) == 0) return i;
    }
    TEST_FAIL("a key that was never written");
}

/* Find the pages that the index of a run leads to. */
static void read_index(struct run *run) {
    struct segment_view view = world_segment_view(&model.world, &run->segment);
    struct segment_cursor cursor;

    run->index_count = 0;
    if (run->segment.root == 0) return;
    segment_cursor_init(&cursor, &model.world.file.env.env, &view);
    for (int rc = segment_first(&cursor); cursor.valid; rc = segment_next(&cursor)) {
        CHECK_OK(rc);
        if (cursor.cell > 0 || (cursor.footer.flags & PAGE_FLAG_SKIP_THIS) ||
            cursor.page.page_no == run->segment.first) {
            continue;
        }
        run->index_key[run->index_count] = key_number(record_topic(cursor.flags), cursor.key);
        run->index_page[run->index_count++] = cursor.page.page_no;
    }
    segment_cursor_release(&cursor);
}

/* The oldest run keeps values only. */
static void keep_values(struct entry *entries) {
    for (uint32_t i = 0; i < KEYS_MAX; i++) {
        if (entries[i].flags & RECORD_INSERT) entries[i].flags = RECORD_INSERT;
        else entries[i] = (struct entry){0};
    }
}

/* ------------------------------------------------------------------------ flushing, merging -- */

static enum pointer_source pointers_into(const struct model_level *next) {
    if (!next || next->right_count > 0) return POINTERS_NONE;
    if (next->left.index_count > 0) return POINTERS_EXACT;
    return test_random_below(2) ? POINTERS_STALE : POINTERS_NONE;
}

static bool is_blank(const struct run *run) {
    return run->segment.first == 0;
}

/* Entries become the newest level. */
static void flush(const struct entry *entries) {
    struct model_level *next = model.level_count > 0 ? &model.levels[0] : NULL;
    bool absorb = next && next->right_count == 0 && next->left.segment.root != 0;
    struct run run;

    memset(&run, 0, sizeof run);
    memcpy(run.entries, entries, sizeof run.entries);
    if (!next) keep_values(run.entries);
    write_run(&run, model.key_count, next ? &next->left : NULL,
              absorb ? POINTERS_EXACT : test_random_below(2) && next && next->right_count == 0 &&
                       next->left.index_count == 0 ? POINTERS_STALE : POINTERS_NONE,
              NULL, false);
    if (absorb) next->left.segment.root = 0;
    if (is_blank(&run)) return;
    read_index(&run);
    memmove(&model.levels[1], &model.levels[0], model.level_count * sizeof model.levels[0]);
    memset(&model.levels[0], 0, sizeof model.levels[0]);
    model.levels[0].left = run;
    model.level_count++;
}

/* What merging the inputs of a level gives, by the rules of the format. */
static void combine(const struct model_level *level, struct entry *out) {
    for (uint32_t i = 0; i < model.key_count; i++) {
        struct entry result = {0, 0};
        bool within = false;
        memset(&out[i], 0, sizeof out[i]);
        for (uint32_t k = 0; k < level->right_count; k++) {
            const struct entry *entry = &level->right[k].entries[i];
            if (inside(level->right[k].entries, i)) {
                within = true; /* everything older is dropped */
                break;
            }
            if (!(result.flags & (RECORD_INSERT | RECORD_POINT_DELETE))) {
                result.value = entry->value;
                result.flags |= entry->flags & (RECORD_INSERT | RECORD_POINT_DELETE);
            }
            result.flags |= entry->flags & (RECORD_START_DELETE | RECORD_END_DELETE);
        }
        if (within && result.flags) {
            if (!(result.flags & (RECORD_INSERT | RECORD_POINT_DELETE))) continue;
            result.flags |= RECORD_START_DELETE | RECORD_END_DELETE;
            if ((result.flags & RECORD_POINT_DELETE) && test_random_below(2)) continue;
        }
        out[i] = result;
    }
}

/* Go on with the merge of a level up to key `stop`, or to its end. */
static void merge_on(uint32_t index, uint32_t stop) {
    struct model_level *level = &model.levels[index];
    struct model_level *next = index + 1 < model.level_count ? &model.levels[index + 1] : NULL;
    const struct run *last = &level->right[level->right_count - 1];
    enum pointer_source pointers = level->extra ? POINTERS_EXACT : pointers_into(next);
    const struct run *carried = level->extra ? NULL : last;
    struct entry merged[KEYS_MAX];
    uint32_t split = stop;
    bool found = false;

    memset(merged, 0, sizeof merged);
    combine(level, merged);
    if (!next) keep_values(merged);

    /* The split key: the least key of what is not merged. */
    for (; split < model.key_count && !found; split++) {
        for (uint32_t k = 0; k < level->right_count; k++) {
            found = found || level->right[k].entries[split].flags != 0;
        }
        found = found || last->separator[split];
        if (!found && level->extra) {
            for (uint32_t k = 0; k < next->left.index_count; k++) {
                if (next->left.index_key[k] == split) return; /* see cursor_files.py */
            }
        }
        if (found) break;
    }
    memcpy(level->left.entries, merged, sizeof merged);
    if (!found) {
        write_run(&level->left, model.key_count, next ? &next->left : NULL, pointers, carried,
                  false);
        if (level->extra) next->left.segment.root = 0;
        level->right_count = 0;
        read_index(&level->left);
        if (is_blank(&level->left)) {
            memmove(level, level + 1, (model.level_count - index - 1) * sizeof *level);
            model.level_count--;
        }
        return;
    }
    write_run(&level->left, split, next ? &next->left : NULL, pointers, carried, true);
    level->stop = split;
    level->input_count = level->right_count;
    level->split_page = 0;
    for (uint32_t k = 0; k < level->right_count; k++) {
        const struct run *run = &level->right[k];
        bool separators = k + 1 == level->right_count;
        struct merge_input position =
            world_position(&model.world, &run->segment, record_topic(system_flag(split)),
                           model.keys[split], separators);
        bool here = run->entries[split].flags != 0 || (separators && run->separator[split]);
        level->inputs[k] = position;
        if (here && level->split_page == 0) {
            level->split_page = position.page;
            level->split_cell = position.cell;
        }
    }
    if (level->extra) { /* one more input, whose position readers do not use */
        level->inputs[level->input_count++] = (struct merge_input){0, 0};
    }
}

static void merge_start(uint32_t index, uint32_t count) {
    struct model_level *level = &model.levels[index];
    struct model_level *next;

    for (uint32_t k = 0; k < count; k++) {
        struct run run = model.levels[index + k].left;
        level->right[k] = run; /* index 0 comes first: its left run is overwritten below */
    }
    level->right_count = count;
    memmove(&model.levels[index + 1], &model.levels[index + count],
            (model.level_count - index - count) * sizeof *level);
    model.level_count -= count - 1;
    next = index + 1 < model.level_count ? &model.levels[index + 1] : NULL;
    level->extra = next && next->right_count == 0 && next->left.segment.root != 0;
    level->stop = 0;
    memset(&level->left, 0, sizeof level->left);
}

/* -------------------------------------------------------------------------------- the check -- */

static void build_tree(uint32_t which) {
    struct memtree_writer *writer;

    world_tree_close(&model.world, (int)which);
    if (model.op_count[which] == 0) return;
    writer = world_tree(&model.world, (int)which);
    for (uint32_t i = 0; i < model.op_count[which]; i++) {
        const struct op *op = &model.ops[which][i];
        if (op->kind == 0) {
            CHECK_OK(memtree_put(writer, model.keys[op->a], value_of(op->value, op->a)));
        } else if (op->kind == 1) {
            CHECK_OK(memtree_delete(writer, model.keys[op->a]));
        } else {
            CHECK_OK(memtree_delete_range(writer, model.keys[op->a], model.keys[op->b]));
        }
    }
}

static const struct read_view *build_view(void) {
    struct world *world = &model.world;

    build_tree(0);
    build_tree(1);
    world->snapshot.level_count = model.level_count;
    for (uint32_t i = 0; i < model.level_count; i++) {
        struct model_level *from = &model.levels[i];
        struct level *to = &world->levels[i];
        memset(to, 0, sizeof *to);
        to->left = from->left.segment;
        to->right_count = from->right_count;
        to->right = world->right[i];
        to->merge.inputs = from->inputs;
        to->merge.input_count = from->input_count;
        to->merge.split_page = from->split_page;
        to->merge.split_cell = from->split_cell;
        for (uint32_t k = 0; k < from->right_count; k++) to->right[k] = from->right[k].segment;
    }
    return world_view(world);
}

static void check_at(struct merge_cursor *cursor, int32_t key) {
    struct slice value = {NULL, 0};
    struct slice expected;

    if (key < 0) {
        CHECK(!cursor->valid);
        return;
    }
    CHECK(cursor->valid);
    CHECK_EQ_BYTES(cursor->key.data, cursor->key.size, model.keys[key].data, model.keys[key].size);
    CHECK_OK(merge_cursor_value(cursor, &value));
    expected = value_of(model.now[key], (uint32_t)key);
    CHECK_EQ_BYTES(value.data, value.size, expected.data, expected.size);
}

/* Next live key from `key` on in a direction, inside one topic; -1 = none. */
static int32_t live_from(int32_t key, int step, int32_t first, int32_t end) {
    while (key >= first && key < end && model.now[key] == 0) key += step;
    return key >= first && key < end ? key : -1;
}

static void check_steps(struct merge_cursor *cursor, int32_t key, int step, uint32_t steps,
                        int32_t first, int32_t end) {
    check_at(cursor, key);
    CHECK_RC(step > 0 ? merge_cursor_prev(cursor) : merge_cursor_next(cursor), LSM_MISUSE);
    check_at(cursor, key);
    for (uint32_t i = 0; i < steps; i++) {
        CHECK_OK(step > 0 ? merge_cursor_next(cursor) : merge_cursor_prev(cursor));
        if (key >= 0) key = live_from(key + step, step, first, end);
        check_at(cursor, key);
        if (key < 0) break;
    }
}

/* One target: all seeks, with `low` = greatest key of the universe <= it, `equal`: it is. */
static void check_target(struct merge_cursor *cursor, struct slice target, int32_t low, bool equal,
                         uint32_t steps, int32_t first, int32_t end) {
    int32_t up = equal ? low : low + 1;

    CHECK_OK(merge_cursor_seek_ge(cursor, target));
    check_steps(cursor, live_from(up, 1, first, end), 1, steps, first, end);
    CHECK_OK(merge_cursor_seek_le(cursor, target));
    check_steps(cursor, live_from(low, -1, first, end), -1, steps, first, end);
    CHECK_OK(merge_cursor_seek_gt(cursor, target));
    check_steps(cursor, live_from(low + 1, 1, first, end), 1, steps, first, end);
    CHECK_OK(merge_cursor_seek_lt(cursor, target));
    check_steps(cursor, live_from(equal ? low - 1 : low, -1, first, end), -1, steps, first, end);
    if (cursor->valid) { /* its own key as the target */
        int32_t here = (int32_t)key_number(cursor->topic, cursor->key);
        CHECK_OK(merge_cursor_seek_gt(cursor, cursor->key));
        check_at(cursor, live_from(here + 1, 1, first, end));
    }
}

static void check_topic(const struct read_view *view, struct merge_cursor *cursor,
                        enum topic topic) {
    int32_t first = topic == TOPIC_USER ? 0 : (int32_t)model.user_count;
    int32_t end = topic == TOPIC_USER ? (int32_t)model.user_count : (int32_t)model.key_count;
    uint32_t count = (uint32_t)(end - first);

    CHECK_OK(merge_cursor_open(cursor, view, topic));
    CHECK_RC(merge_cursor_next(cursor), LSM_MISUSE);
    CHECK_OK(merge_cursor_first(cursor));
    check_steps(cursor, live_from(first, 1, first, end), 1, count + 1, first, end);
    CHECK_OK(merge_cursor_last(cursor));
    check_steps(cursor, live_from(end - 1, -1, first, end), -1, count + 1, first, end);
    for (int32_t i = first; i < end; i++) {
        uint32_t steps = test_random_below(8) ? 2 : count;
        uint8_t between[420];
        struct slice target = {between, model.keys[i].size + 1};

        TEST_NOTE("key %d of %d, topic %d, levels %u", (int)i, (int)end, (int)topic,
                  model.level_count);
        check_target(cursor, model.keys[i], i, true, steps, first, end);
        /* The key with a zero byte more is the very next one there can be. */
        memcpy(between, model.keys[i].data, model.keys[i].size);
        between[model.keys[i].size] = 0;
        if (i + 1 < end && key_compare(target, model.keys[i + 1]) == 0) continue;
        check_target(cursor, target, i, false, steps, first, end);
    }
}

static void check_lookups(const struct read_view *view, struct lookup_scratch *scratch) {
    for (uint32_t i = 0; i < model.user_count; i++) {
        struct slice value = {NULL, 0};
        bool found = !model.now[i];
        uint8_t between[420];

        TEST_NOTE("point read of key %u, levels %u", i, model.level_count);
        CHECK_OK(view_lookup(view, scratch, model.keys[i], &found, &value));
        CHECK_EQ_INT(found, model.now[i] != 0);
        if (found) {
            struct slice expected = value_of(model.now[i], i);
            CHECK_EQ_BYTES(value.data, value.size, expected.data, expected.size);
        }
        memcpy(between, model.keys[i].data, model.keys[i].size);
        between[model.keys[i].size] = 0;
        if (i + 1 < model.user_count && model.keys[i + 1].size == model.keys[i].size + 1) continue;
        CHECK_OK(view_lookup(view, scratch, (struct slice){between, model.keys[i].size + 1}, &found,
                             NULL));
        CHECK(!found);
    }
}

/* Keys looked ahead for in groups, then looked up one by one. */
static void check_groups(const struct read_view *view, struct lookup_scratch *scratch) {
    struct lookup_ahead ahead[KEYS_MAX];
    uint32_t size;

    for (uint32_t first = 0; first < model.user_count; first += size) {
        size = 1 + test_random_below(model.user_count - first);
        view_look_ahead(view, &model.keys[first], size, ahead);
        for (uint32_t i = first; i < first + size; i++) {
            struct slice value = {NULL, 0};
            bool found = false;
            TEST_NOTE("key %u of a group of %u, levels %u", i, size, model.level_count);
            CHECK_OK(view_lookup_ahead(view, scratch, model.keys[i], &ahead[i - first], &found,
                                       &value));
            CHECK_EQ_INT(found, model.now[i] != 0);
            if (found) {
                struct slice expected = value_of(model.now[i], i);
                CHECK_EQ_BYTES(value.data, value.size, expected.data, expected.size);
            }
        }
    }
}

static void check_view(const struct read_view *view, struct merge_cursor *cursor,
                       struct lookup_scratch *scratch) {
    long allocations;

    check_topic(view, cursor, TOPIC_USER);
    check_topic(view, cursor, TOPIC_SYSTEM);
    check_lookups(view, scratch);
    allocations = model.world.file.env.allocations;
    check_lookups(view, scratch);
    check_groups(view, scratch);
    CHECK_EQ_INT(model.world.file.env.allocations, allocations);
    merge_cursor_detach(cursor);
    lookup_scratch_detach(scratch);
}

static void check_all(struct merge_cursor *cursor, struct lookup_scratch *scratch) {
    const struct read_view *view = build_view();

    check_view(view, cursor, scratch);
    world_learn(&model.world, 2);
    check_view(view, cursor, scratch);
    view = build_view();
    world_learn(&model.world, 1);
    check_view(view, cursor, scratch);
}

/* ------------------------------------------------------------------------------ histories -- */

static void random_step(void) {
    uint32_t dice = test_random_below(10);
    uint32_t start, count;

    if (dice < 4 && model.op_count[0] + 12 < OPS_MAX) { /* change the live tree */
        for (uint32_t n = 1 + test_random_below(12); n > 0; n--) {
            struct op op = random_op(0, model.user_count);
            apply(model.trees[0], &op);
            model.ops[0][model.op_count[0]++] = op;
        }
        return;
    }
    if (dice < 7) { /* the old tree becomes a run, the live one becomes old */
        if (model.op_count[1] > 0 && model.level_count < MODEL_LEVELS_MAX) {
            for (uint32_t n = test_random_below(6); n > 0; n--) {
                struct op op = random_op(model.user_count, model.key_count - model.user_count);
                apply(model.trees[1], &op);
            }
            flush(model.trees[1]);
            model.op_count[1] = 0;
            memset(model.trees[1], 0, sizeof model.trees[1]);
        }
        if (model.op_count[1] == 0) {
            memcpy(model.trees[1], model.trees[0], sizeof model.trees[1]);
            memcpy(model.ops[1], model.ops[0], sizeof model.ops[1]);
            model.op_count[1] = model.op_count[0];
            model.op_count[0] = 0;
            memset(model.trees[0], 0, sizeof model.trees[0]);
        }
        return;
    }
    if (model.level_count == 0) return;
    start = test_random_below(model.level_count);
    if (model.levels[start].right_count > 0) { /* go on with a merge */
        struct model_level *level = &model.levels[start];
        merge_on(start, level->stop + 1 + test_random_below(model.key_count - level->stop));
        return;
    }
    /* Begin one, unless the run is one whose index an unfinished merge above may be reading. */
    if (start > 0 && model.levels[start - 1].right_count > 0) return;
    for (count = 0; start + count < model.level_count && count < WORLD_RIGHT_MAX; count++) {
        if (model.levels[start + count].right_count > 0) break;
    }
    if (count < 2) return;
    count = 2 + test_random_below(count - 1);
    merge_start(start, count);
    model.levels[start].split_page = 0;
    for (uint32_t stop = test_random_below(model.key_count);; stop++) {
        merge_on(start, stop);
        /* A split key that only the index of the next level has: try the next. */
        if (start >= model.level_count || model.levels[start].right_count == 0 ||
            model.levels[start].split_page != 0) {
            break;
        }
    }
}

TEST(random_histories_read_like_a_sorted_list) {
    const char *rounds_text = getenv("LSM_TEST_ROUNDS");
    uint32_t rounds = rounds_text ? (uint32_t)atoi(rounds_text) : 12;
    struct merge_cursor cursor;
    struct lookup_scratch scratch;

    for (uint32_t round = 0; round < rounds; round++) {
        memset(&model, 0, sizeof model);
        world_open(&model.world);
        make_universe();
        merge_cursor_init(&cursor, &model.world.file.env.env);
        lookup_scratch_init(&scratch, &model.world.file.env.env);
        for (uint32_t step = 0; step < 60; step++) {
            random_step();
            if (step % 4 == 3) check_all(&cursor, &scratch);
        }
        merge_cursor_release(&cursor);
        lookup_scratch_release(&scratch);
        world_close(&model.world);
    }
}

TEST_MAIN()
