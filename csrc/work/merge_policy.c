/*
** merge_policy.c — what to merge next. Pure: level sizes in, decision out.
**
** INVARIANTS  (I1) with make_room and two or more segments something is always chosen, so that a
**             flush never waits for ever.
**             (I2) a run whose index an unfinished merge directly above it is reading is left alone
**             until that merge has finished.
*/
#include "work/work_internal.h"

#define ROOM_MERGE_MAX 20

uint32_t merge_policy_segments(const struct snapshot *snapshot) {
    uint32_t segments = 0;
    uint32_t i;

    for (i = 0; i < snapshot->level_count; i++) {
        segments += snapshot->levels[i].right_count ? snapshot->levels[i].right_count : 1;
    }
    return segments;
}

static bool unfinished(const struct level *level) {
    return level->right_count > 0;
}

bool work_is_full(const struct snapshot *snapshot, uint32_t automerge) {
    uint32_t run = 0;

    if (merge_policy_segments(snapshot) >= SEGMENTS_MAX) return true;
    if (snapshot->level_count == 0 || snapshot->levels[0].age != 0) return false;
    if (unfinished(&snapshot->levels[0])) return true;
    while (run < snapshot->level_count && snapshot->levels[run].age == 0 &&
           !unfinished(&snapshot->levels[run])) {
        run++;
    }
    return run >= automerge;
}

/* (I2) */
static bool protected_level(const struct snapshot *snapshot, uint32_t index) {
    const struct level *above;
    if (index == 0) return false;
    above = &snapshot->levels[index - 1];
    return unfinished(above) && above->merge.input_count > above->right_count;
}

/* Length of the run of mergeable levels that starts at `first`; `same_age`: of one age only. */
static uint32_t run_length(const struct snapshot *snapshot, uint32_t first, bool same_age) {
    uint32_t count = 0;

    while (first + count < snapshot->level_count) {
        const struct level *level = &snapshot->levels[first + count];
        if (unfinished(level) || protected_level(snapshot, first + count)) break;
        if (same_age && level->age != snapshot->levels[first].age) break;
        count++;
    }
    return count;
}

/* A run of age a waits while too many levels of age a + 1 are waiting below it. */
static bool allowed(const struct snapshot *snapshot, uint32_t first, uint32_t count,
                    uint32_t automerge) {
    uint32_t below = first + count;
    uint32_t run = 0;

    if (below >= snapshot->level_count) return true;
    if (snapshot->levels[below].age != snapshot->levels[first].age + 1) return true;
    if (unfinished(&snapshot->levels[below])) return false;
    while (below + run < snapshot->level_count && !unfinished(&snapshot->levels[below + run]) &&
           snapshot->levels[below + run].age == snapshot->levels[below].age) {
        run++;
    }
    return run <= automerge;
}

static struct merge_choice longest(const struct snapshot *snapshot, uint32_t more_than,
                                   uint32_t automerge, bool respect_order) {
    struct merge_choice best = {0, 0, false};
    uint32_t i = 0;

    while (i < snapshot->level_count) {
        uint32_t count;
        if (unfinished(&snapshot->levels[i])) {
            if (snapshot->levels[i].right_count > more_than) {
                more_than = snapshot->levels[i].right_count;
                best = (struct merge_choice){i, 1, true};
            }
            i++;
            continue;
        }
        count = run_length(snapshot, i, true);
        if (count == 0) { /* protected */
            i++;
            continue;
        }
        if (count > more_than && count >= 2 &&
            (!respect_order || allowed(snapshot, i, count, automerge))) {
            more_than = count;
            best = (struct merge_choice){i, count, false};
        }
        i += count;
    }
    return best;
}

static struct merge_choice newest_unfinished(const struct snapshot *snapshot) {
    uint32_t i;
    for (i = 0; i < snapshot->level_count; i++) {
        if (unfinished(&snapshot->levels[i])) return (struct merge_choice){i, 1, true};
    }
    return (struct merge_choice){0, 0, false};
}

/* Everything, whatever its age; what is unfinished comes first. */
static struct merge_choice all_levels(const struct snapshot *snapshot) {
    struct merge_choice choice = newest_unfinished(snapshot);
    uint32_t users = 0;
    uint32_t i;

    if (choice.count) return choice;
    for (i = 0; i < snapshot->level_count; i++) {
        users += !(snapshot->levels[i].flags & LEVEL_FREELIST_ONLY);
    }
    if (users > 1) return (struct merge_choice){0, snapshot->level_count, false};
    return choice;
}

struct merge_choice merge_policy_select(const struct snapshot *snapshot, uint32_t merge,
                                        uint32_t automerge, bool make_room) {
    struct merge_choice choice;
    uint32_t i;

    if (make_room) {
        uint32_t at_least = merge < ROOM_MERGE_MAX ? merge : ROOM_MERGE_MAX;
        choice = longest(snapshot, at_least > 2 ? at_least - 1 : 1, automerge, true);
        if (choice.count) return choice;
        choice = newest_unfinished(snapshot);
        if (choice.count) return choice;
        choice = longest(snapshot, 1, automerge, false);
        if (choice.count) return choice;
        for (i = 0; i + 1 < snapshot->level_count; i++) {
            if (run_length(snapshot, i, false) >= 2) return (struct merge_choice){i, 2, false};
        }
        return (struct merge_choice){0, 0, false};
    }
    choice = longest(snapshot, merge > 2 ? merge - 1 : 1, automerge, true);
    if (choice.count == 0 && merge == 1) choice = all_levels(snapshot);
    return choice;
}
