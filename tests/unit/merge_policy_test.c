#include "support/test.h"

#include "work/work_internal.h"

/* A level list from a text: "0 0 1 2:3 3:2x" = ages 0, 0, 1, an unfinished level of age 2 with 3
** inputs, one of age 3 with 2 inputs that also reads the index below. "f" behind an age:
** free-list-only. */
struct list {
    struct snapshot snapshot;
    struct level levels[120];
};

static void list_add(struct list *list, uint32_t age, uint32_t right_count, bool extra,
                     bool freelist) {
    struct level *level = &list->levels[list->snapshot.level_count++];
    *level = (struct level){.age = (uint16_t)age, .right_count = right_count};
    level->flags = freelist ? LEVEL_FREELIST_ONLY : 0;
    level->merge.input_count = right_count + (extra ? 1 : 0);
    list->snapshot.levels = list->levels;
}

static struct list *list_of(struct list *list, const char *text) {
    list->snapshot = (struct snapshot){0};
    for (const char *at = text; *at != '\0';) {
        char *end;
        uint32_t age = (uint32_t)strtoul(at, &end, 10), right_count = 0;
        bool extra = false, freelist = false;
        if (*end == ':') right_count = (uint32_t)strtoul(end + 1, &end, 10);
        if (*end == 'x') {
            extra = true;
            end++;
        }
        if (*end == 'f') {
            freelist = true;
            end++;
        }
        list_add(list, age, right_count, extra, freelist);
        while (*end == ' ') end++;
        at = end;
    }
    return list;
}

/* Is the choice one that may be carried out at all? */
static void check_legal(const struct snapshot *snapshot, struct merge_choice choice) {
    if (choice.count == 0) return;
    CHECK(choice.first + choice.count <= snapshot->level_count);
    if (choice.resume) {
        CHECK_EQ_UINT(choice.count, 1);
        CHECK(snapshot->levels[choice.first].right_count > 0);
        return;
    }
    CHECK(choice.count >= 2);
    for (uint32_t i = choice.first; i < choice.first + choice.count; i++) {
        CHECK_EQ_UINT(snapshot->levels[i].right_count, 0);
        if (i == 0) continue;
        const struct level *above = &snapshot->levels[i - 1];
        CHECK_MSG(above->right_count == 0 || above->merge.input_count == above->right_count,
                  "a run whose index is being read was chosen");
    }
}

/* What carrying it out to the end makes of the list. */
static void apply(struct list *list, struct merge_choice choice) {
    struct level *levels = list->levels;
    struct level merged = {.age = (uint16_t)(levels[choice.first].age + (choice.resume ? 0 : 1))};

    memmove(&levels[choice.first + 1], &levels[choice.first + choice.count],
            (list->snapshot.level_count - choice.first - choice.count) * sizeof *levels);
    levels[choice.first] = merged;
    list->snapshot.level_count -= choice.count - 1;
}

static void check_room_can_be_made(struct list *list, uint32_t merge, uint32_t automerge) {
    for (uint32_t rounds = 0; work_is_full(&list->snapshot, automerge); rounds++) {
        struct merge_choice choice =
            merge_policy_select(&list->snapshot, merge, automerge, true);
        check_legal(&list->snapshot, choice);
        CHECK_MSG(choice.count > 0, "full, and nothing to choose");
        CHECK_MSG(rounds < 200, "room is never made");
        apply(list, choice);
    }
}

/* As many runs as there may be, and no two of one age. DF-53. */
TEST(forty_levels_of_forty_ages_are_merged_in_pairs) {
    struct list list;

    for (uint32_t merge = 2; merge <= 60; merge += 29) {
        list.snapshot = (struct snapshot){0};
        for (uint32_t i = 0; i < SEGMENTS_MAX; i++) list_add(&list, i, 0, false, false);
        CHECK(work_is_full(&list.snapshot, merge));
        CHECK_EQ_UINT(merge_policy_select(&list.snapshot, merge, merge, true).count, 2);
        check_room_can_be_made(&list, merge, merge);
    }
}

/* All lists of up to five levels with three ages, finished, or unfinished with 2, 3 or 5 inputs,
** with or without an extra one. DF-53. */
TEST(a_full_database_always_finds_something_to_merge) {
    static const struct {
        uint32_t right_count;
        bool extra;
    } states[] = {{0, false}, {2, false}, {2, true}, {3, false}, {5, true}};
    const uint32_t kinds = 15;
    struct list list;

    for (uint32_t levels = 0, lists = 1; levels <= 5; levels++, lists *= kinds) {
        for (uint32_t code = 0; code < lists; code++) {
            /* The longest ones with one value only: they are three quarters of a million. */
            uint32_t first = levels < 5 ? 2 : 4, last = levels < 5 ? 6 : 4;
            for (uint32_t automerge = first; automerge <= last; automerge++) {
                list.snapshot = (struct snapshot){0};
                for (uint32_t i = 0, rest = code; i < levels; i++, rest /= kinds) {
                    uint32_t kind = rest % kinds;
                    list_add(&list, kind / 5, states[kind % 5].right_count, states[kind % 5].extra,
                             false);
                }
                check_room_can_be_made(&list, automerge, automerge);
            }
        }
    }
}

TEST(long_random_lists_can_be_worked_down) {
    struct list list;

    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t levels = test_random_below(99) + 1, automerge = 2 + test_random_below(99);
        uint32_t ages = 1 + test_random_below(5), unfinished = test_random_below(6);
        list.snapshot = (struct snapshot){0};
        for (uint32_t i = 0; i < levels; i++) {
            bool is_unfinished = unfinished > 0 && test_random_below(unfinished + 1) != 0;
            list_add(&list, test_random_below(ages), is_unfinished ? 2 + test_random_below(5) : 0,
                     is_unfinished && test_random_below(2) && i + 1 < levels,
                     !is_unfinished && test_random_below(8) == 0);
        }
        check_room_can_be_made(&list, 1 + test_random_below(99), automerge);
    }
}

/* Without make_room: the table of choices. */
static void check_choice(const char *levels, uint32_t merge, uint32_t automerge, uint32_t first,
                         uint32_t count, bool resume) {
    struct list list;
    struct merge_choice choice =
        merge_policy_select(&list_of(&list, levels)->snapshot, merge, automerge, false);

    TEST_NOTE("%s with %u, %u", levels, merge, automerge);
    check_legal(&list.snapshot, choice);
    CHECK_EQ_UINT(choice.count, count);
    if (count == 0) return;
    CHECK_EQ_UINT(choice.first, first);
    CHECK_EQ_INT(choice.resume, resume);
}

TEST(the_longest_run_of_one_age_is_merged) {
    check_choice("", 4, 4, 0, 0, false);
    check_choice("0", 1, 4, 0, 0, false);
    check_choice("0 0 0", 4, 4, 0, 0, false);
    check_choice("0 0 0 0", 4, 4, 0, 4, false);
    check_choice("0 0", 2, 4, 0, 2, false);
    check_choice("0 0 1 1 1", 2, 4, 2, 3, false);
    check_choice("0 0 1 1", 2, 4, 0, 2, false); /* a tie goes to the newer */
    check_choice("0 1 2 3", 2, 4, 0, 0, false);
}

TEST(an_unfinished_merge_competes_by_its_inputs) {
    check_choice("0 0 0 1:4", 4, 4, 3, 1, true);
    check_choice("0 0 0 0 0 1:4", 4, 4, 5, 1, true); /* the run above waits, see below */
    check_choice("0 0 0 0 0 2:4", 4, 4, 0, 5, false);
    check_choice("0 0 1:2", 4, 4, 0, 0, false);
    check_choice("0 1:2", 2, 4, 1, 1, true);
    check_choice("0 1:2", 1, 4, 1, 1, true);
}

TEST(young_runs_wait_for_the_levels_below_them) {
    check_choice("0 0 1:2 3", 2, 4, 2, 1, true);
    check_choice("0 0 0 1 1 1", 3, 2, 3, 3, false); /* three of age 1 are more than AUTOMERGE 2 */
    check_choice("0 0 0 1 1 2", 3, 2, 0, 3, false);
}

TEST(merging_to_one_level_takes_everything_at_last) {
    check_choice("0 1 2 3", 1, 4, 0, 4, false);
    check_choice("0f 3", 1, 4, 0, 0, false);
    check_choice("0f 2 3", 1, 4, 0, 3, false);
    check_choice("0 0 1 2", 1, 4, 0, 2, false);
}

/* DF-73 */
TEST(a_run_whose_index_is_being_read_is_left_alone) {
    check_choice("1:2x 1 1", 2, 4, 0, 1, true);
    check_choice("1:2x 1 1 1", 2, 4, 0, 1, true);
    check_choice("1:2x 1 1 1 1", 2, 4, 2, 3, false);
    check_choice("1:2 1 1 1 1", 2, 4, 1, 4, false);
}

TEST(segments_of_an_unfinished_level_are_its_inputs) {
    struct list list;

    CHECK_EQ_UINT(merge_policy_segments(&list_of(&list, "0 1:4 2")->snapshot), 6);
    CHECK(!work_is_full(&list_of(&list, "")->snapshot, 2));
    CHECK(!work_is_full(&list_of(&list, "0 0 0 1")->snapshot, 4));
    CHECK(work_is_full(&list_of(&list, "0 0 0 0")->snapshot, 4));
    CHECK(work_is_full(&list_of(&list, "0:2")->snapshot, 4));
    CHECK(!work_is_full(&list_of(&list, "1:39")->snapshot, 4));
    CHECK(work_is_full(&list_of(&list, "1:40")->snapshot, 4));
    CHECK(work_is_full(&list_of(&list, "0 1:39")->snapshot, 4));
}

TEST(compact_is_one_finished_level_below_free_list_only_ones) {
    struct list list;

    CHECK(!work_is_compact(&list_of(&list, "")->snapshot));
    CHECK(work_is_compact(&list_of(&list, "3")->snapshot));
    CHECK(work_is_compact(&list_of(&list, "0f 0f 3")->snapshot));
    CHECK(!work_is_compact(&list_of(&list, "0 3")->snapshot));
    CHECK(!work_is_compact(&list_of(&list, "0f 3:2")->snapshot));
    CHECK(!work_is_compact(&list_of(&list, "1:2 3")->snapshot));
}

TEST_MAIN()
