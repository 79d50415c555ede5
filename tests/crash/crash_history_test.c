/*
** crash_history_test.c — the power fails, or the process dies, at every step of random histories.
**
** LSM_CRASH_STATES  survivors to look at per safety level (default 140; the long form uses 4000)
*/
#include "support/crash_history.h"


static int states_wanted(void) {
    const char *text = getenv("LSM_CRASH_STATES");
    return text && *text ? atoi(text) : 140;
}

/* Life goes on after a survivor came up: what it now promises survives, too. */
static void live_on(struct crash_disk *survivor, lsm_db *db, int from) {
    struct model_state state = history.state[from];
    struct crash_disk *second;
    lsm_db *again;
    int rc;

    history.db = db;
    history_config(db, LSM_CONFIG_SAFETY, LSM_SAFETY_FULL);
    for (int i = 0; i < 3; i++) CHECK_OK(history_write(&state));
    if (test_random_below(2) == 0) CHECK_OK(lsm_flush(db));
    if (test_random_below(2) == 0) CHECK_OK(lsm_checkpoint(db, NULL));
    CHECK_OK(history_write(&state));
    model_expect(db, &state);

    second = crash_disk_power_cut(survivor, CRASH_RANDOM, test_random());
    CHECK_OK(lsm_new(crash_disk_env(second), &again));
    rc = lsm_open(again, HISTORY_PATH);
    CHECK_MSG(rc == LSM_OK, "the second survivor cannot be opened: %d", rc);
    model_expect(again, &state);
    CHECK_OK(lsm_close(again));
    CHECK_OK(lsm_close(db));
    crash_disk_free(second);

    CHECK_OK(lsm_new(crash_disk_env(survivor), &again));
    CHECK_OK(lsm_open(again, HISTORY_PATH));
    model_expect(again, &state);
    CHECK_OK(lsm_close(again));
    CHECK_EQ_UINT(crash_disk_live_blocks(survivor), 0);
}

static void look_at(struct crash_disk *disk, enum crash_policy policy, uint64_t seed) {
    struct crash_disk *survivor = crash_disk_power_cut(disk, policy, seed);
    int lowest = policy == CRASH_KEEP_ALL ? history.acknowledged : history.durable;
    lsm_db *db = NULL;
    int state;

    if (history.safety == HISTORY_OFF && policy != CRASH_KEEP_ALL) {
        /* Nothing is promised, except that nothing worse than an error happens. */
        struct model_state found;
        int rc;
        CHECK_OK(lsm_new(crash_disk_env(survivor), &db));
        lsm_config_log(db, NULL, NULL);
        if (lsm_open(db, HISTORY_PATH) == LSM_OK) (void)model_read(db, &found, &rc);
        CHECK_OK(lsm_close(db));
    } else {
        state = history_judge(survivor, lowest, &db);
        if (test_random_below(4) == 0) live_on(survivor, db, state);
        else CHECK_OK(lsm_close(db));
    }
    CHECK_EQ_UINT(crash_disk_live_blocks(survivor), 0);
    crash_disk_free(survivor);
}

/* Only the process died. The next one builds on what is not on the disk yet; then the power fails,
** too. */
static void die_twice(struct crash_disk *disk, uint64_t seed) {
    struct crash_disk *survivor;
    struct model_state state;
    lsm_db *db;
    int found;

    crash_disk_restart(disk);
    found = history_judge(disk, history.acknowledged, &db);
    state = history.state[found];
    history.db = db;
    history_config(db, LSM_CONFIG_SAFETY, LSM_SAFETY_FULL);
    for (int i = 0; i < 4; i++) CHECK_OK(history_write(&state));
    if (test_random_below(3) == 0) CHECK_OK(lsm_flush(db));
    if (test_random_below(3) == 0) CHECK_OK(lsm_checkpoint(db, NULL));
    for (int i = 0; i < 2; i++) CHECK_OK(history_write(&state));
    for (int policy = CRASH_LOSE_ALL; policy <= CRASH_RANDOM; policy++) {
        survivor = crash_disk_power_cut(disk, (enum crash_policy)policy, seed);
        CHECK_OK(lsm_new(crash_disk_env(survivor), &db));
        found = lsm_open(db, HISTORY_PATH);
        CHECK_MSG(found == LSM_OK, "the second survivor cannot be opened: %d", found);
        model_expect(db, &state);
        CHECK_OK(lsm_close(db));
        crash_disk_free(survivor);
    }
    CHECK_OK(lsm_close(history.db));
    CHECK_EQ_UINT(crash_disk_live_blocks(disk), 0);
}

static void crash_everywhere(enum history_safety safety) {
    int wanted = states_wanted();
    int seen = 0;

    while (seen < wanted) {
        uint64_t seed = test_random();
        uint64_t next_seed = test_random();
        struct crash_disk *disk = crash_disk_new();
        uint64_t steps, stride, first;
        int calls = test_random_below(3) == 0 ? 120 : 40;

        TEST_NOTE("history %" PRIu64 " of %d calls, whole", seed, calls);
        history_run(disk, safety, seed, calls);
        steps = crash_disk_steps(disk);
        crash_disk_free(disk);
        test_state.random_state = next_seed;
        stride = 1 + steps * 3 / (uint64_t)(wanted / 4 + 1);
        first = 1 + test_random() % stride;
        for (uint64_t step = first; step <= steps && seen < wanted; step += stride) {
            disk = crash_disk_new();
            crash_disk_stop_at(disk, step);
            TEST_NOTE("history %" PRIu64 " of %d calls, step %" PRIu64, seed, calls, step);
            history_run(disk, safety, seed, calls);
            for (int policy = CRASH_LOSE_ALL; policy <= CRASH_RANDOM; policy++) {
                TEST_NOTE("history %" PRIu64 ", step %" PRIu64 " of %" PRIu64 ", policy %d", seed,
                          step, steps, policy);
                look_at(disk, (enum crash_policy)policy, seed + step);
                seen++;
            }
            TEST_NOTE("history %" PRIu64 ", step %" PRIu64 ", two deaths", seed, step);
            die_twice(disk, seed + step);
            seen += 2;
            crash_disk_free(disk);
        }
        test_state.random_state = next_seed + 1;
    }
}

TEST(at_safety_full_no_acknowledged_commit_is_lost) {
    crash_everywhere(HISTORY_FULL);
}

TEST(at_safety_normal_a_prefix_at_least_to_the_last_checkpoint_survives) {
    crash_everywhere(HISTORY_NORMAL);
}

TEST(with_changing_safety_a_commit_at_full_protects_all_before_it) {
    crash_everywhere(HISTORY_MIXED);
}

TEST(at_safety_off_process_death_loses_nothing) {
    crash_everywhere(HISTORY_OFF);
}

TEST_MAIN()
