/*
** cursor_world.h — for tests: a whole database state by hand (trees, levels, merges in progress),
** and the view of it that cursors read.
**
** Records are written down as words:  k=v insert · -k point tombstone · [k starts a range delete,
** ]k ends one · ^k separator · a leading $ makes it a system record of one letter, repeated to the
** sizes the format demands (key 4, value 8). Marks combine:  ][k=v  [-k.
**
**     world_level(&world, "a=1 [c ]f")                       a finished level, below those before
**     world_merge(&world, "p", 0, "a=1 [c", "]p r=2", "q=7", NULL)
**                        a merge: split key and the input it is in, output, inputs newest first
**
** OWNERSHIP   The world owns everything and is closed by world_close, which checks for leaks.
*/
#ifndef LSM_SUPPORT_CURSOR_WORLD_H
#define LSM_SUPPORT_CURSOR_WORLD_H

#include "cursor/cursor.h"
#include "store/store.h"
#include "support/segment_builder.h"

#define WORLD_LEVELS_MAX 24
#define WORLD_RIGHT_MAX 8

struct world_tree {
    struct shm *shm;
    struct shm_locks locks;
    struct memtree_writer writer;
    bool open;
};

struct world {
    struct segment_file file;
    uint64_t append_point;
    struct level levels[WORLD_LEVELS_MAX];
    struct segment right[WORLD_LEVELS_MAX][WORLD_RIGHT_MAX];
    struct merge_input inputs[WORLD_LEVELS_MAX][WORLD_RIGHT_MAX + 1];
    struct world_tree trees[2]; /* live, old */
    struct snapshot snapshot;
    struct read_view view;
    struct store *store;        /* NULL until world_learn */
};

TEST_HELPER struct slice slice_of(const char *text) {
    return (struct slice){(const uint8_t *)text, (uint32_t)strlen(text)};
}

TEST_HELPER void world_open(struct world *world) {
    memset(world, 0, sizeof *world);
    segment_file_open(&world->file, test_path("world.lsm"), 256, 65536, NULL);
}

/* ------------------------------------------------------------------------------------ trees -- */

/* 0 = live, 1 = old. */
TEST_HELPER struct memtree_writer *world_tree(struct world *world, int which) {
    struct world_tree *tree = &world->trees[which];
    lsm_env *env = &world->file.env.env;
    struct tree_header header;

    if (!tree->open) {
        CHECK_OK(shm_open_private(env, &tree->shm));
        shm_attach(tree->shm, &tree->locks);
        memset(&header, 0, sizeof header);
        CHECK_OK(memtree_format(tree->shm, &header));
        memtree_writer_init(&tree->writer, env, tree->shm, &tree->locks, &world->file.error);
        memtree_writer_begin(&tree->writer, &header);
        tree->open = true;
    }
    return &tree->writer;
}

TEST_HELPER void world_tree_close(struct world *world, int which) {
    struct world_tree *tree = &world->trees[which];
    if (!tree->open) return;
    memtree_writer_release(&tree->writer);
    shm_detach(tree->shm, &tree->locks);
    shm_close(tree->shm);
    memset(tree, 0, sizeof *tree);
}

/* ------------------------------------------------------------------------------------- runs -- */

TEST_HELPER struct segment_writer *world_writer(struct world *world) {
    struct segment_writer_config config = {world->file.pager, segment_file_source(&world->file),
                                           &world->file.error, world->append_point, 0};
    struct segment_writer *writer = NULL;
    CHECK_OK(segment_writer_new(&world->file.env.env, &config, &writer));
    return writer;
}

TEST_HELPER void world_finish(struct world *world, struct segment_writer *writer,
                              struct segment *out) {
    CHECK_OK(segment_writer_finish(writer, out, &world->append_point));
    segment_writer_free(writer);
}

/* System keys have 4 bytes, values 8: one letter stands for all. Kept for the next few calls. */
TEST_HELPER struct slice world_repeat(struct slice letter, uint32_t count) {
    static uint8_t kept[64][8];
    static uint32_t next;
    uint8_t *out = kept[next++ % 64];
    memset(out, letter.data[0], 8);
    return (struct slice){out, count};
}

/* Decode the next word; false at the end. */
TEST_HELPER bool world_word(const char **text, uint8_t *flags, struct slice *key,
                            struct slice *value) {
    const char *at = *text;
    size_t size;
    bool marks = true;

    while (*at == ' ') at++;
    if (*at == '\0') return false;
    *flags = 0;
    while (marks) {
        switch (*at) {
        case '[': *flags |= RECORD_START_DELETE; break;
        case ']': *flags |= RECORD_END_DELETE; break;
        case '-': *flags |= RECORD_POINT_DELETE; break;
        case '^': *flags |= RECORD_SEPARATOR; break;
        case '$': *flags |= RECORD_SYSTEM; break;
        default: marks = false; continue;
        }
        at++;
    }
    size = strcspn(at, " =");
    *key = (struct slice){(const uint8_t *)at, (uint32_t)size};
    *value = (struct slice){(const uint8_t *)at, 0};
    at += size;
    if (*at == '=') {
        *flags |= RECORD_INSERT;
        at++;
        size = strcspn(at, " ");
        *value = (struct slice){(const uint8_t *)at, (uint32_t)size};
        at += size;
        if (*flags & RECORD_SYSTEM) *value = world_repeat(*value, 8);
    }
    if (*flags & RECORD_SYSTEM) *key = world_repeat(*key, 4);
    *text = at;
    return true;
}

TEST_HELPER void world_run(struct world *world, const char *text, struct segment *out) {
    struct segment_writer *writer = world_writer(world);
    struct slice key, value;
    uint8_t flags;

    while (world_word(&text, &flags, &key, &value)) {
        CHECK_OK(segment_writer_add(writer, flags, key, value, 0));
    }
    world_finish(world, writer, out);
}

TEST_HELPER struct level *world_level(struct world *world, const char *text) {
    struct level *level = &world->levels[world->snapshot.level_count++];
    world_run(world, text, &level->left);
    return level;
}

TEST_HELPER struct segment_view world_segment_view(struct world *world,
                                                   const struct segment *segment) {
    return (struct segment_view){world->file.pager, segment, NULL, &world->file.error};
}

/* Where the least record >= key of a run is, separators only if asked for; page 0 = none. */
TEST_HELPER struct merge_input world_position(struct world *world, const struct segment *segment,
                                              enum topic topic, struct slice key,
                                              bool separators) {
    struct segment_view view = world_segment_view(world, segment);
    struct segment_cursor cursor;
    struct merge_input out = {0, 0};

    segment_cursor_init(&cursor, &world->file.env.env, &view);
    CHECK_OK(segment_seek_ge(&cursor, topic, key, 0));
    while (cursor.valid && !separators && (cursor.flags & RECORD_SEPARATOR)) {
        CHECK_OK(segment_next(&cursor));
    }
    if (cursor.valid) out = (struct merge_input){cursor.page.page_no, cursor.cell};
    segment_cursor_release(&cursor);
    return out;
}

/* Set the positions of a merging level from its split key, which must be in input `split_input`. */
TEST_HELPER void world_split_in(struct world *world, struct level *level, enum topic topic,
                                struct slice split, uint32_t split_input) {
    uint32_t i;
    for (i = 0; i < level->right_count; i++) {
        level->merge.inputs[i] = world_position(world, &level->right[i], topic, split, false);
    }
    level->merge.split_page = level->merge.inputs[split_input].page;
    level->merge.split_cell = level->merge.inputs[split_input].cell;
}

TEST_HELPER struct level *world_merge_new(struct world *world, uint32_t right_count) {
    uint32_t index = world->snapshot.level_count++;
    struct level *level = &world->levels[index];
    level->right_count = right_count;
    level->right = world->right[index];
    level->merge.inputs = world->inputs[index];
    level->merge.input_count = right_count;
    return level;
}

/* A merge in progress with the given split key, found in input `split_input`. Left, then right. */
TEST_HELPER struct level *world_merge(struct world *world, const char *split, uint32_t split_input,
                                      const char *left, const char *right0, const char *right1,
                                      const char *right2) {
    const char *right[] = {right0, right1, right2};
    uint32_t count = 0;
    struct level *level;
    enum topic topic = *split == '$' ? TOPIC_SYSTEM : TOPIC_USER;

    while (count < 3 && right[count]) count++;
    level = world_merge_new(world, count);
    if (left) world_run(world, left, &level->left);
    for (uint32_t i = 0; i < count; i++) world_run(world, right[i], &level->right[i]);
    if (topic == TOPIC_SYSTEM) {
        world_split_in(world, level, topic, world_repeat(slice_of(split + 1), 4), split_input);
    } else {
        world_split_in(world, level, topic, slice_of(split), split_input);
    }
    return level;
}

/* ------------------------------------------------------------------------------------- view -- */

/* (Re)build the view of all that is there. */
TEST_HELPER const struct read_view *world_view(struct world *world) {
    lsm_env *env = &world->file.env.env;
    struct read_view *view = &world->view;

    level_notes_free(view->notes);
    memset(view, 0, sizeof *view);
    world->snapshot.env = env;
    world->snapshot.id = 11;
    world->snapshot.page_size = world->file.page_size;
    world->snapshot.block_size = world->file.block_size;
    world->snapshot.block_count = world->file.block_count;
    world->snapshot.levels = world->levels;
    view->env = env;
    view->error = &world->file.error;
    view->pager = world->file.pager;
    view->snapshot = &world->snapshot;
    CHECK_OK(level_notes_new(env, &world->snapshot, &view->notes));
    if (world->trees[0].open) {
        view->live = memtree_live(world->trees[0].shm, &world->trees[0].writer.header);
    }
    if (world->trees[1].open) {
        view->old = memtree_live(world->trees[1].shm, &world->trees[1].writer.header);
    }
    return view;
}

/* Read a run from its first page to its last, as its writer would have told it. */
TEST_HELPER void world_learn_run(struct world *world, const struct segment *run,
                                 struct store_batch *batch) {
    struct segment_view view = {world->file.pager, run, NULL, &world->file.error};
    struct run_builder *builder = run_builder_new(world->store, 0);
    struct segment_observer observer = run_builder_observer(builder);
    uint64_t page_no = run->first;
    struct buffer scratch;
    bool is_index;

    buffer_init(&scratch, &world->file.env.env);
    while (page_no != 0) {
        CHECK_OK(segment_observe_page(&view, page_no, &observer, &scratch, &page_no, &is_index));
    }
    buffer_release(&scratch);
    store_batch_add(batch, run, builder, true);
}

/* The view knows fences and filters: of all runs, or of each by chance in `odds`. Outputs of merges included. */
TEST_HELPER void world_learn(struct world *world, uint32_t odds) {
    struct snapshot *snapshot = &world->snapshot;
    struct store_batch batch = {0};

    if (world->store == NULL) {
        CHECK_OK(store_open(&world->file.env.env, STORE_BUDGET_DEFAULT, &world->store));
    }
    batch.store = world->store;
    for (uint32_t i = 0; i < snapshot->level_count; i++) {
        for (uint32_t j = 0; j <= snapshot->levels[i].right_count; j++) {
            const struct segment *run =
                j == 0 ? &snapshot->levels[i].left : &snapshot->levels[i].right[j - 1];
            if (run->first == 0) continue;
            if (odds > 1 && test_random_below(odds) != 0) {
                store_batch_add(&batch, run, NULL, true);
            } else {
                world_learn_run(world, run, &batch);
            }
        }
    }
    store_publish(&batch, snapshot);
    store_batch_release(&batch);
    level_notes_attach(world->view.notes, world->store, snapshot, world->file.pager);
}

TEST_HELPER void world_close(struct world *world) {
    level_notes_free(world->view.notes);
    store_close(world->store);
    world_tree_close(world, 0);
    world_tree_close(world, 1);
    segment_file_close(&world->file);
}

/* ---------------------------------------------------------------------------- what is seen -- */

/* The entry as "k=v", or "." at the end. */
TEST_HELPER const char *world_entry(struct merge_cursor *cursor) {
    static char text[512];
    struct slice value = {NULL, 0};

    if (!cursor->valid) return ".";
    CHECK_OK(merge_cursor_value(cursor, &value));
    if (cursor->topic == TOPIC_SYSTEM) {
        snprintf(text, sizeof text, "%c=%c", cursor->key.data[0], value.data[0]);
        return text;
    }
    snprintf(text, sizeof text, "%.*s=%.*s", (int)cursor->key.size, (const char *)cursor->key.data,
             (int)value.size, (const char *)value.data);
    return text;
}

/* All entries from here on in the cursor's direction, separated by blanks. */
TEST_HELPER const char *world_rest(struct merge_cursor *cursor) {
    static char text[4096];
    size_t used = 0;

    text[0] = '\0';
    while (cursor->valid && used < sizeof text) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? " " : "",
                                 world_entry(cursor));
        CHECK_OK(cursor->direction == MERGE_FORWARD ? merge_cursor_next(cursor)
                                                    : merge_cursor_prev(cursor));
    }
    return text;
}

/* Everything forward and backward; without and with notes. */
TEST_HELPER void world_expect(struct world *world, const char *forward, const char *backward) {
    const struct read_view *view = world_view(world);
    struct merge_cursor cursor;

    merge_cursor_init(&cursor, &world->file.env.env);
    for (int learned = 0; learned < 2; learned++) {
        if (learned) world_learn(world, 1);
        CHECK_OK(merge_cursor_open(&cursor, view, TOPIC_USER));
        CHECK_OK(merge_cursor_first(&cursor));
        CHECK_EQ_STR(world_rest(&cursor), forward);
        CHECK_OK(merge_cursor_last(&cursor));
        CHECK_EQ_STR(world_rest(&cursor), backward);
    }
    merge_cursor_release(&cursor);
}

TEST_HELPER void world_expect_seeks_in(struct world *world, const struct read_view *view,
                                       const char *expected) {
    struct merge_cursor cursor;
    struct lookup_scratch scratch;

    merge_cursor_init(&cursor, &world->file.env.env);
    lookup_scratch_init(&scratch, &world->file.env.env);
    CHECK_OK(merge_cursor_open(&cursor, view, TOPIC_USER));
    for (char c = 'a'; c <= 'z'; c++) {
        char text[2] = {c, '\0'};
        struct slice key = slice_of(text);
        struct slice value = {NULL, 0};
        const char *at = expected;
        char ge = '.', le = '.', gt = '.', lt = '.';
        bool found = false;

        for (; *at; at++) {
            if (*at <= c) le = *at;
            if (*at < c) lt = *at;
            if (*at >= c && ge == '.') ge = *at;
            if (*at > c && gt == '.') gt = *at;
        }
        TEST_NOTE("key %c", c);
        CHECK_OK(merge_cursor_seek_ge(&cursor, key));
        CHECK_EQ_INT(world_entry(&cursor)[0], ge);
        CHECK_OK(merge_cursor_seek_le(&cursor, key));
        CHECK_EQ_INT(world_entry(&cursor)[0], le);
        CHECK_OK(merge_cursor_seek_gt(&cursor, key));
        CHECK_EQ_INT(world_entry(&cursor)[0], gt);
        CHECK_OK(merge_cursor_seek_lt(&cursor, key));
        CHECK_EQ_INT(world_entry(&cursor)[0], lt);
        CHECK_OK(view_lookup(view, &scratch, key, &found, &value));
        CHECK_EQ_INT(found, strchr(expected, c) != NULL);
    }
    merge_cursor_release(&cursor);
    lookup_scratch_release(&scratch);
}

/* Seek for each letter a..z and expect the entry of `expected` (sorted letters) that fits; the same
** with point reads. Without notes, with notes of some runs, and with notes of all. */
TEST_HELPER void world_expect_seeks(struct world *world, const char *expected) {
    const struct read_view *view = world_view(world);

    world_expect_seeks_in(world, view, expected);
    world_learn(world, 2);
    world_expect_seeks_in(world, view, expected);
    view = world_view(world);
    world_learn(world, 1);
    world_expect_seeks_in(world, view, expected);
}

#endif
