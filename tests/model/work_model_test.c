/*
** work_model_test.c — random histories with merges interrupted everywhere, against a sorted map.
**
** LSM_HISTORIES=n runs that many histories; the n-th has the seed of the run plus n, and a failure
** names it, so that LSM_HISTORY=seed repeats it alone.
*/
#include "support/history.h"

static void run_history(uint64_t seed, uint32_t steps) {
    struct history h;

    TEST_NOTE("LSM_HISTORY=%" PRIu64, seed);
    history_begin(&h, seed);
    history_run(&h, steps);
    history_end(&h);
}

/* DF-54 */
TEST(random_histories_agree_with_a_sorted_map) {
    const char *one = getenv("LSM_HISTORY"), *many = getenv("LSM_HISTORIES");
    uint32_t count = many != NULL ? (uint32_t)strtoul(many, NULL, 0) : 6;

    if (one != NULL) {
        run_history(strtoull(one, NULL, 0), 300);
        return;
    }
    for (uint32_t i = 0; i < count; i++) run_history(test_state.seed + i, 300);
}

/* Histories that failed once. */
TEST(histories_that_failed_once_agree_now) {
    static const uint64_t seeds[] = {1246, 1358};
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) run_history(seeds[i], 300);
}

TEST_MAIN()
