/*
** crash_history.h — one random history of a database on a simulated disk, repeatable, with a record
** of what was promised at each moment.
**
** history_run performs the same calls for the same seed, as long as no call fails. Run it once to
** count the steps of the disk; then again with the disk dying at each of them, and ask
** history_judge whether what a survivor contains was allowed.
**
** PROMISES    state[0] is the empty database, state[i] the content after the i-th commit that was
**             tried.
**               acknowledged   the last commit that returned LSM_OK
**               durable        the last one that must survive a loss of power: acknowledged at
**                              FULL, or covered by a checkpoint
**             A survivor of process death has one of acknowledged..tried, one of a power cut
**             durable..tried.
*/
#ifndef LSM_SUPPORT_CRASH_HISTORY_H
#define LSM_SUPPORT_CRASH_HISTORY_H

#include "support/api_model.h"
#include "support/crash_disk.h"

#define HISTORY_STATES 400
#define HISTORY_PATH "/disk/history.lsm"
#define HISTORY_LEVELS 4

enum history_safety { HISTORY_OFF, HISTORY_NORMAL, HISTORY_FULL, HISTORY_MIXED };

static struct {
    struct crash_disk *disk;
    lsm_db *db;
    enum history_safety safety;
    int safety_now;
    int page_size;
    struct model_state state[HISTORY_STATES];
    int tried, acknowledged, durable;
    int flushed; /* all up to this commit are in segments */
    bool failed; /* a call returned an error: the disk died */
} history;

TEST_HELPER int history_config(lsm_db *db, int verb, int value) {
    CHECK_OK(lsm_config(db, verb, &value));
    return value;
}

/* Note the result of a call that must succeed while the disk lives. */
TEST_HELPER bool history_ok(int rc) {
    if (rc == LSM_OK) return true;
    CHECK_MSG(crash_disk_is_stopped(history.disk), "a call returned %d on a living disk", rc);
    history.failed = true;
    return false;
}

TEST_HELPER struct model_state *history_last(void) {
    return &history.state[history.tried];
}

/* The state after the commit that will be tried next. */
TEST_HELPER struct model_state *history_try(void) {
    CHECK(history.tried + 1 < HISTORY_STATES);
    history.state[history.tried + 1] = history.state[history.tried];
    return &history.state[++history.tried];
}

TEST_HELPER void history_committed(int rc) {
    if (!history_ok(rc)) return;
    history.acknowledged = history.tried;
    if (history.safety_now == LSM_SAFETY_FULL) history.durable = history.tried;
}

TEST_HELPER void history_open(void) {
    static const int flush_sizes[] = {0, 2, 8, 32, 1024};
    static const int checkpoint_sizes[] = {0, 8, 32, 2048};
    bool mixed = history.safety == HISTORY_MIXED;

    CHECK_OK(lsm_new(crash_disk_env(history.disk), &history.db));
    lsm_config_log(history.db, NULL, NULL);
    history.safety_now = mixed ? 1 + (int)test_random_below(2) : (int)history.safety;
    history_config(history.db, LSM_CONFIG_SAFETY, history.safety_now);
    history_config(history.db, LSM_CONFIG_PAGE_SIZE, history.page_size);
    history_config(history.db, LSM_CONFIG_BLOCK_SIZE, 64);
    history_config(history.db, LSM_CONFIG_AUTOFLUSH, flush_sizes[test_random_below(5)]);
    history_config(history.db, LSM_CONFIG_AUTOCHECKPOINT, checkpoint_sizes[test_random_below(4)]);
    history_config(history.db, LSM_CONFIG_AUTOMERGE, 2 + (int)test_random_below(3));
    history_config(history.db, LSM_CONFIG_MAX_FREELIST, 2 + (int)test_random_below(23));
    history_ok(lsm_open(history.db, HISTORY_PATH));
}

TEST_HELPER void history_close(void) {
    CHECK_OK(lsm_close(history.db));
    history.db = NULL;
    if (crash_disk_is_stopped(history.disk)) {
        history.failed = true;
    } else if (history.safety_now != LSM_SAFETY_OFF) {
        history.durable = history.acknowledged;
    }
}

/* One write call; `state` gets what it should do. */
TEST_HELPER int history_write(struct model_state *state) {
    int low = (int)test_random_below(MODEL_KEYS);
    int high = low + 1 + (int)test_random_below(30);
    uint32_t dice = test_random_below(10);

    if (test_random_below(8) == 0) low = 0; /* the empty key */
    if (dice < 7) {
        uint32_t no = model_new_value();
        state->value[low] = no;
        return model_insert(history.db, low, no);
    }
    if (dice < 9 || high >= MODEL_KEYS) {
        state->value[low] = 0;
        return lsm_delete(history.db, model.bytes[low], model.size[low]);
    }
    model_delete_range(state, low, high);
    return lsm_delete_range(history.db, model.bytes[low], model.size[low], model.bytes[high],
                            model.size[high]);
}

TEST_HELPER void history_transaction(void) {
    struct model_state marks[HISTORY_LEVELS + 1];
    struct model_state before = *history_last();
    struct model_state now = before;
    int levels = 1;
    int calls = 1 + (int)test_random_below(14);

    if (!history_ok(lsm_begin(history.db, 1))) return;
    marks[1] = now;
    while (calls-- > 0 && !history.failed) {
        int level = 1 + (int)test_random_below(HISTORY_LEVELS);
        switch (test_random_below(8)) {
        case 0:
            if (!history_ok(lsm_begin(history.db, level))) break;
            while (levels < level) marks[++levels] = now;
            break;
        case 1:
            if (!history_ok(lsm_rollback(history.db, level))) break;
            if (level > levels) break;
            levels = level;
            now = marks[level];
            break;
        case 2:
            if (!history_ok(lsm_commit(history.db, level))) break;
            if (level < levels) levels = level;
            break;
        default:
            history_ok(history_write(&now));
            break;
        }
    }
    if (history.failed || test_random_below(4) == 0) {
        int rc = lsm_rollback(history.db, 0);
        CHECK_MSG(rc == LSM_OK || history.failed, "rollback returned %d", rc);
        return;
    }
    *history_try() = now;
    history_committed(lsm_commit(history.db, 0));
}

TEST_HELPER void history_maintain(void) {
    int rc;

    switch (test_random_below(5)) {
    case 0:
    case 1:
        if (history_ok(lsm_flush(history.db))) history.flushed = history.acknowledged;
        break;
    case 2:
        rc = lsm_work(history.db, 1 + (int)test_random_below(3),
                      test_random_below(2) ? -1 : 1 + (int)test_random_below(30), NULL);
        history_ok(rc);
        break;
    default:
        if (!history_ok(lsm_checkpoint(history.db, NULL))) break;
        if (history.safety_now == LSM_SAFETY_OFF) break;
        if (history.flushed > history.durable) history.durable = history.flushed;
        break;
    }
}

/* The calls, as many as the seed says, until one fails. Leaves the database closed. */
TEST_HELPER void history_run(struct crash_disk *disk, enum history_safety safety, uint64_t seed,
                             int calls) {
    memset(&history, 0, sizeof history);
    history.disk = disk;
    history.safety = safety;
    test_state.random_state = seed;
    model_make_keys();
    if (test_random_below(3) == 0) model.large_percent = 80; /* the log wraps */
    history.page_size = 256 << test_random_below(5);
    history_open();
    while (calls-- > 0 && !history.failed) {
        switch (test_random_below(16)) {
        case 0: case 1: case 2:
            history_maintain();
            break;
        case 3:
            if (test_random_below(3)) break;
            history_close();
            if (!history.failed) history_open();
            break;
        case 4: case 5: case 6: case 7:
            history_transaction();
            break;
        case 8:
            if (history.safety != HISTORY_MIXED) break;
            history.safety_now = 1 + (int)test_random_below(2);
            history_config(history.db, LSM_CONFIG_SAFETY, history.safety_now);
            break;
        default: {
            struct model_state *state = history_try();
            history_committed(history_write(state));
            break;
        }
        }
    }
    if (history.db) {
        history_close();
    }
    CHECK_EQ_UINT(crash_disk_live_blocks(disk), 0);
    CHECK_EQ_UINT(crash_disk_open_files(disk), 0);
}

/* The state with which a survivor comes up, -1 = none that is allowed. `db` is open on it
** afterwards. */
TEST_HELPER int history_judge(struct crash_disk *survivor, int lowest, lsm_db **db) {
    struct model_state found;
    int rc;

    CHECK_OK(lsm_new(crash_disk_env(survivor), db));
    lsm_config_log(*db, NULL, NULL);
    rc = lsm_open(*db, HISTORY_PATH);
    CHECK_MSG(rc == LSM_OK, "the survivor cannot be opened: %d", rc);
    if (!model_read(*db, &found, &rc)) TEST_FAIL("the survivor cannot be read: %d", rc);
    for (int i = history.tried; i >= lowest; i--) {
        if (memcmp(&found, &history.state[i], sizeof found) == 0) return i;
    }
    for (int i = lowest - 1; i >= 0; i--) {
        if (memcmp(&found, &history.state[i], sizeof found) == 0) {
            TEST_FAIL("the survivor has state %d, promised was %d..%d (acknowledged %d)", i, lowest,
                      history.tried, history.acknowledged);
        }
    }
    TEST_FAIL("the survivor has a state that never was (promised %d..%d)", lowest, history.tried);
}

#endif
