/*
** api_thread_test.c — one database, many threads with a connection each.
**
** LSM_THREAD_MS  how long each test runs (default 1500)
*/
#include <pthread.h>
#include <stdatomic.h>

#include "lsm.h"
#include "os/os.h"
#include "support/test.h"

#define ACCOUNTS 300
#define EACH 1000

static const char *database_path;
static atomic_bool stop;
static atomic_int scans, transfers, turns;

static int duration_ms(void) {
    const char *text = getenv("LSM_THREAD_MS");
    return text && *text ? atoi(text) : 1500;
}

static lsm_db *connect_to(const char *path, int read_only) {
    lsm_db *db = NULL;
    int value;

    CHECK_OK(lsm_new(NULL, &db));
    lsm_config_log(db, NULL, NULL);
    value = 8;
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOFLUSH, &value));
    value = 32;
    CHECK_OK(lsm_config(db, LSM_CONFIG_AUTOCHECKPOINT, &value));
    value = 64;
    CHECK_OK(lsm_config(db, LSM_CONFIG_BLOCK_SIZE, &value));
    value = 512;
    CHECK_OK(lsm_config(db, LSM_CONFIG_PAGE_SIZE, &value));
    value = LSM_SAFETY_OFF;
    CHECK_OK(lsm_config(db, LSM_CONFIG_SAFETY, &value));
    value = read_only;
    CHECK_OK(lsm_config(db, LSM_CONFIG_READONLY, &value));
    CHECK_OK(lsm_open(db, path));
    return db;
}

static void put_amount(lsm_db *db, int account, int amount) {
    char key[16];
    int size = snprintf(key, sizeof key, "account-%04d", account);
    CHECK_OK(lsm_insert(db, key, size, &amount, sizeof amount));
}

static int amount_of(lsm_cursor *cursor, int account) {
    char key[16];
    const void *bytes;
    int size = snprintf(key, sizeof key, "account-%04d", account), amount;

    CHECK_OK(lsm_csr_seek(cursor, key, size, LSM_SEEK_EQ));
    CHECK(lsm_csr_valid(cursor));
    CHECK_OK(lsm_csr_value(cursor, &bytes, &size));
    CHECK_EQ_INT(size, sizeof amount);
    memcpy(&amount, bytes, sizeof amount);
    return amount;
}

/* Money moves, and is neither made nor lost. */
static void *transfer(void *context) {
    lsm_db *db = connect_to(database_path, 0);
    unsigned random = 12345;

    (void)context;
    while (!atomic_load(&stop)) {
        lsm_cursor *cursor;
        int from, to, rc;

        random = random * 1103515245u + 12345u;
        from = (int)(random >> 8) % ACCOUNTS;
        to = (from + 1 + (int)(random >> 20) % (ACCOUNTS - 1)) % ACCOUNTS;
        rc = lsm_begin(db, 1);
        if (rc == LSM_BUSY) continue; /* the worker flushes */
        CHECK_OK(rc);
        CHECK_OK(lsm_csr_open(db, &cursor));
        put_amount(db, from, amount_of(cursor, from) - 1);
        put_amount(db, to, amount_of(cursor, to) + 1);
        CHECK_OK(lsm_csr_close(cursor));
        if (random % 7 == 0) CHECK_OK(lsm_rollback(db, 0));
        else CHECK_OK(lsm_commit(db, 0));
        atomic_fetch_add(&transfers, 1);
    }
    CHECK_OK(lsm_close(db));
    return NULL;
}

static void check_sum(lsm_cursor *cursor, bool forward) {
    int count = 0;
    long sum = 0;

    if (forward) CHECK_OK(lsm_csr_first(cursor));
    else CHECK_OK(lsm_csr_last(cursor));
    while (lsm_csr_valid(cursor)) {
        const void *bytes;
        int size, amount;
        CHECK_OK(lsm_csr_value(cursor, &bytes, &size));
        memcpy(&amount, bytes, sizeof amount);
        sum += amount;
        count++;
        if (forward) CHECK_OK(lsm_csr_next(cursor));
        else CHECK_OK(lsm_csr_prev(cursor));
    }
    CHECK_EQ_INT(count, ACCOUNTS);
    CHECK_EQ_INT(sum, (long)ACCOUNTS * EACH);
}

static void *scan(void *context) {
    lsm_db *db = connect_to(database_path, *(int *)context);

    while (!atomic_load(&stop)) {
        lsm_cursor *cursor = NULL;
        int rc = lsm_csr_open(db, &cursor);
        if (rc == LSM_BUSY) continue; /* versions kept changing */
        CHECK_OK(rc);
        check_sum(cursor, true);
        check_sum(cursor, false);
        CHECK_OK(lsm_csr_close(cursor));
        atomic_fetch_add(&scans, 1);
    }
    CHECK_OK(lsm_close(db));
    return NULL;
}

static void *work(void *context) {
    lsm_db *db = connect_to(database_path, 0);
    int turn = 0;

    (void)context;
    while (!atomic_load(&stop)) {
        char *text = NULL;
        int number, other;
        int rc = turn % 16 == 0   ? lsm_flush(db)
                 : turn % 4 == 0 ? lsm_checkpoint(db, NULL)
                 : turn % 4 == 1 ? lsm_info(db, LSM_INFO_DB_STRUCTURE, &text)
                                 : lsm_work(db, turn % 8 == 2 ? 1 : 2, 64, NULL);
        CHECK_MSG(rc == LSM_OK || rc == LSM_BUSY, "turn %d returned %d", turn, rc);
        lsm_free(lsm_get_env(db), text);
        CHECK_OK(lsm_info(db, LSM_INFO_TREE_SIZE, &number, &other));
        turn++;
        atomic_fetch_add(&turns, 1);
    }
    CHECK_OK(lsm_close(db));
    return NULL;
}

TEST(readers_see_whole_transactions_while_others_write_merge_and_checkpoint) {
    static int read_write = 0, read_only = 1;
    pthread_t threads[5];
    lsm_db *db;
    lsm_cursor *cursor;

    database_path = test_path("threads.lsm");
    db = connect_to(database_path, 0);
    CHECK_OK(lsm_begin(db, 1));
    for (int i = 0; i < ACCOUNTS; i++) put_amount(db, i, EACH);
    CHECK_OK(lsm_commit(db, 0));
    atomic_store(&stop, false);
    CHECK_EQ_INT(pthread_create(&threads[0], NULL, transfer, NULL), 0);
    CHECK_EQ_INT(pthread_create(&threads[1], NULL, scan, &read_write), 0);
    CHECK_EQ_INT(pthread_create(&threads[2], NULL, scan, &read_only), 0);
    CHECK_EQ_INT(pthread_create(&threads[3], NULL, scan, &read_write), 0);
    CHECK_EQ_INT(pthread_create(&threads[4], NULL, work, NULL), 0);
    os_sleep(lsm_default_env(), (uint32_t)duration_ms() * 1000);
    atomic_store(&stop, true);
    for (int i = 0; i < 5; i++) CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
    CHECK(atomic_load(&scans) > 0);
    CHECK(atomic_load(&transfers) > 0);
    CHECK(atomic_load(&turns) > 0);
    CHECK_OK(lsm_close(db));
    db = connect_to(database_path, 0);
    CHECK_OK(lsm_csr_open(db, &cursor));
    check_sum(cursor, true);
    CHECK_OK(lsm_csr_close(cursor));
    CHECK_OK(lsm_close(db));
}

/* What each thread has written alone; DF-29. */
static void *open_and_close(void *context) {
    int id = *(int *)context, written = 0;

    while (!atomic_load(&stop)) {
        int read_only = written > 0 && written % 5 == 0 && written % 3 == 0;
        lsm_db *db = connect_to(database_path, 0);
        lsm_cursor *cursor = NULL;
        char key[16];
        int size = snprintf(key, sizeof key, "thread-%d", id), rc;

        rc = lsm_insert(db, key, size, &(int){written + 1}, sizeof(int));
        CHECK_MSG(rc == LSM_OK || rc == LSM_BUSY, "insert returned %d", rc);
        if (rc == LSM_OK) written++;
        if (read_only) {
            CHECK_OK(lsm_close(db));
            do { /* joining may meet a close */
                int on = 1;
                CHECK_OK(lsm_new(NULL, &db));
                CHECK_OK(lsm_config(db, LSM_CONFIG_READONLY, &on));
                CHECK_OK(lsm_open(db, database_path));
                rc = lsm_csr_open(db, &cursor);
                CHECK_MSG(rc == LSM_OK || rc == LSM_BUSY, "read-only cursor: %d", rc);
                if (rc != LSM_OK) CHECK_OK(lsm_close(db));
            } while (rc != LSM_OK);
        } else {
            do rc = lsm_csr_open(db, &cursor);
            while (rc == LSM_BUSY);
            CHECK_OK(rc);
        }
        CHECK_OK(lsm_csr_seek(cursor, key, size, LSM_SEEK_EQ));
        CHECK_EQ_INT(lsm_csr_valid(cursor), written > 0);
        if (written > 0) {
            const void *bytes;
            CHECK_OK(lsm_csr_value(cursor, &bytes, &size));
            CHECK_EQ_BYTES(bytes, size, &written, sizeof written);
        }
        CHECK_OK(lsm_csr_close(cursor));
        CHECK_OK(lsm_close(db));
        atomic_fetch_add(&turns, 1);
    }
    return NULL;
}

/* DF-29 */
TEST(threads_that_open_and_close_one_database_do_not_disturb_each_other) {
    static int ids[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    pthread_t threads[8];

    database_path = test_path("open-close.lsm");
    atomic_store(&stop, false);
    atomic_store(&turns, 0);
    for (int i = 0; i < 8; i++) {
        CHECK_EQ_INT(pthread_create(&threads[i], NULL, open_and_close, &ids[i]), 0);
    }
    os_sleep(lsm_default_env(), (uint32_t)duration_ms() * 1000);
    atomic_store(&stop, true);
    for (int i = 0; i < 8; i++) CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
    CHECK(atomic_load(&turns) > 8);
}

static void *read_again_and_again(void *context) {
    lsm_db *db = context;

    while (!atomic_load(&stop)) {
        lsm_cursor *cursor;
        int rc = lsm_csr_open(db, &cursor);
        if (rc == LSM_BUSY) continue;
        CHECK_OK(rc);
        CHECK_EQ_INT(amount_of(cursor, 7), EACH);
        CHECK_OK(lsm_csr_close(cursor));
    }
    return NULL;
}

/* A read-only connection made the descriptor that it reads by; a writer needs another one. */
TEST(a_writer_that_comes_does_not_take_the_file_from_under_a_private_reader) {
    lsm_db *db;

    database_path = test_path("a.lsm");
    db = connect_to(database_path, 0);
    for (int account = 0; account < ACCOUNTS; account++) put_amount(db, account, EACH);
    CHECK_OK(lsm_close(db));
    for (int i = 0; i < 30; i++) {
        lsm_db *reader = NULL;
        pthread_t thread;
        int value = 1;

        CHECK_OK(lsm_new(NULL, &reader));
        CHECK_OK(lsm_config(reader, LSM_CONFIG_READONLY, &value));
        value = 0;
        CHECK_OK(lsm_config(reader, LSM_CONFIG_MMAP, &value)); /* each page through the descriptor */
        CHECK_OK(lsm_open(reader, database_path));
        atomic_store(&stop, false);
        CHECK_EQ_INT(pthread_create(&thread, NULL, read_again_and_again, reader), 0);
        usleep(500);
        db = connect_to(database_path, 0);
        put_amount(db, 7, EACH);
        usleep(200);
        CHECK_OK(lsm_close(db));
        atomic_store(&stop, true);
        CHECK_EQ_INT(pthread_join(thread, NULL), 0);
        CHECK_OK(lsm_close(reader));
    }
}

TEST_MAIN()
