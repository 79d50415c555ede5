#include "support/test.h"

#include "work/work_internal.h"

#define INSERT RECORD_INSERT
#define POINT RECORD_POINT_DELETE
#define START RECORD_START_DELETE
#define END RECORD_END_DELETE
#define SEP RECORD_SEPARATOR
#define SYS RECORD_SYSTEM
#define NOBODY VOTE_NONE

/* What up to three inputs, newest first, say about a key. */
struct rule {
    const char *why;
    struct key_vote votes[3];
    uint32_t count;
    uint8_t flags;       /* of the output above an older level */
    uint32_t owner;
    uint8_t flags_oldest; /* of the output with nothing below */
};

#define AT(f) {true, (f)}
#define BEYOND(f) {false, (f)}

static const struct rule rules[] = {
    {"an insert alone", {AT(INSERT)}, 1, INSERT, 0, INSERT},
    {"a point delete alone", {AT(POINT)}, 1, POINT, 0, 0},
    {"the newest insert wins", {AT(INSERT), AT(INSERT)}, 2, INSERT, 0, INSERT},
    {"a point delete hides an older insert", {AT(POINT), AT(INSERT)}, 2, POINT, 0, 0},
    {"a separator hides nothing", {AT(SEP), AT(INSERT)}, 2, INSERT, 1, INSERT},
    {"a bare bound hides nothing", {AT(START), AT(INSERT)}, 2, INSERT | START, 1, INSERT},
    {"a separator alone", {AT(SEP)}, 1, SEP, NOBODY, 0},
    {"a separator in the system topic", {AT(SEP | SYS)}, 1, SEP | SYS, NOBODY, 0},
    {"marks are united", {AT(START | INSERT), AT(END | INSERT)}, 2, INSERT | START | END, 0, INSERT},
    {"one range ends and another begins: the key stays", {AT(END), AT(START)}, 2, START | END, NOBODY, 0},
    {"the same in one input", {AT(START | END)}, 1, START | END, NOBODY, 0},
    {"inside a newer range: dropped", {BEYOND(END), AT(INSERT)}, 2, 0, NOBODY, 0},
    {"a point delete inside a newer range: dropped", {BEYOND(END | INSERT), AT(POINT)}, 2, 0, NOBODY, 0},
    {"a bound inside a newer range: dropped", {BEYOND(END), AT(START)}, 2, 0, NOBODY, 0},
    {"a separator inside a newer range: dropped", {BEYOND(END), AT(SEP)}, 2, 0, NOBODY, 0},
    {"an insert inside an older range gets both marks", {AT(INSERT), BEYOND(END)}, 2, INSERT | START | END, 0, INSERT},
    {"a point delete inside an older range says nothing new", {AT(POINT), BEYOND(END)}, 2, 0, NOBODY, 0},
    {"a bound inside an older range: dropped", {AT(START), BEYOND(END)}, 2, 0, NOBODY, 0},
    {"an end inside an older range: dropped", {AT(END), BEYOND(END)}, 2, 0, NOBODY, 0},
    {"a separator inside an older range: dropped", {AT(SEP), BEYOND(END)}, 2, 0, NOBODY, 0},
    {"a point delete between two ranges joins them", {AT(POINT | END), AT(START)}, 2, 0, NOBODY, 0},
    {"a point delete at a bound", {AT(POINT | START)}, 1, POINT | START, 0, 0},
    {"inside the middle range: newer lives, older dies",
     {AT(INSERT), BEYOND(END), AT(INSERT)}, 3, INSERT | START | END, 0, INSERT},
    {"inside the middle range: only older has it", {BEYOND(INSERT), BEYOND(END), AT(INSERT)}, 3, 0, NOBODY, 0},
    {"a record beyond that ends nothing says nothing", {BEYOND(START), AT(INSERT)}, 2, INSERT, 1, INSERT},
    {"a bound that ends a newer range with an older value", {AT(END), AT(INSERT)}, 2, INSERT | END, 1, INSERT},
    {"a separator meets a bound", {AT(END), AT(SEP)}, 2, END, NOBODY, 0},
    {"system records keep their topic", {AT(INSERT | SYS), BEYOND(END | SYS)}, 2, INSERT | START | END | SYS, 0, INSERT | SYS},
    {"nobody beyond with marks", {BEYOND(0), AT(INSERT)}, 2, INSERT, 1, INSERT},
};

TEST(each_rule_gives_its_record) {
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct rule *rule = &rules[i];
        uint32_t owner = 77;
        TEST_NOTE("%s", rule->why);
        CHECK_EQ_UINT(merge_record_flags(rule->votes, rule->count, false, &owner), rule->flags);
        CHECK_EQ_UINT(owner, rule->owner);
        CHECK_EQ_UINT(merge_record_flags(rule->votes, rule->count, true, &owner), rule->flags_oldest);
        if (rule->flags_oldest == 0) CHECK_EQ_UINT(owner, NOBODY);
        else CHECK_EQ_UINT(owner, rule->owner);
    }
}

/* ---- against a plain model: three runs over twelve keys --------------------------------- */

#define KEYS 12
#define RUNS 3

/* A run as the format has it: values and range marks that alternate. */
struct run {
    uint8_t flags[KEYS]; /* 0 = no record */
};

static void random_run(struct run *run) {
    bool inside = false;
    for (int i = 0; i < KEYS; i++) {
        uint8_t flags = (uint8_t[]){0, INSERT, POINT, 0}[test_random_below(4)];
        bool stays = test_random_below(3) != 0 && i + 1 < KEYS;
        if (inside) {
            if (!stays) flags |= END;
            else if (flags == INSERT) flags |= START | END;
            else flags = 0;
            inside = stays;
        } else if (test_random_below(3) == 0 && i + 1 < KEYS) {
            flags |= START;
            inside = true;
        } else if (flags == 0 && test_random_below(6) == 0) {
            flags = SEP;
        }
        run->flags[i] = flags;
    }
}

/* What a stack of runs says about a key, newest first: run number of the value, or -1. */
static int lookup(const struct run *runs, int count, int key) {
    for (int r = 0; r < count; r++) {
        int next = key;
        if (runs[r].flags[key] & INSERT) return r;
        if (runs[r].flags[key] & POINT) return -1;
        if (runs[r].flags[key] & ~SEP) continue; /* a bound: the key itself is not in the range */
        while (next < KEYS && (runs[r].flags[next] & ~SEP) == 0) next++;
        if (next < KEYS && (runs[r].flags[next] & END)) return -1;
    }
    return -1;
}

static void merge(const struct run *runs, int count, bool oldest, struct run *out, int *owners) {
    for (int key = 0; key < KEYS; key++) {
        struct key_vote votes[RUNS];
        uint32_t owner = NOBODY;
        bool any = false;
        for (int r = 0; r < count; r++) {
            int at = key;
            while (at < KEYS && runs[r].flags[at] == 0) at++;
            votes[r] = (struct key_vote){at == key, at < KEYS ? runs[r].flags[at] : 0};
            any = any || at == key;
        }
        out->flags[key] = any ? merge_record_flags(votes, (uint32_t)count, oldest, &owner) : 0;
        owners[key] = owner == NOBODY ? -1 : (int)owner;
    }
}

TEST(a_merged_run_says_what_its_inputs_said) {
    for (int round = 0; round < 50000; round++) {
        struct run runs[RUNS + 1], stack[2], merged;
        int owners[KEYS];
        bool inside = false;

        for (int r = 0; r <= RUNS; r++) random_run(&runs[r]);
        merge(runs, RUNS, false, &merged, owners);
        for (int key = 0; key < KEYS; key++) {
            bool ends = merged.flags[key] & END, starts = merged.flags[key] & START;
            if (merged.flags[key] & ~SEP) {
                CHECK_EQ_INT(ends, inside);
                inside = starts;
            } else {
                CHECK_MSG(merged.flags[key] == 0 || !inside, "a separator inside a range");
            }
        }
        CHECK(!inside);
        stack[0] = merged;
        stack[1] = runs[RUNS];
        for (int key = 0; key < KEYS; key++) {
            int want = lookup(runs, RUNS + 1, key), got = lookup(stack, 2, key);
            if (got == 0) got = owners[key];
            else if (got == 1) got = RUNS;
            CHECK_EQ_INT(got, want);
        }
        merge(runs, RUNS, true, &merged, owners);
        for (int key = 0; key < KEYS; key++) {
            CHECK_EQ_INT(merged.flags[key] ? owners[key] : -1, lookup(runs, RUNS, key));
            CHECK_EQ_INT(merged.flags[key] & ~INSERT, 0);
        }
    }
}

TEST_MAIN()
