/*
** log_fuzz.c — any bytes as a log, read from any position.
**
** Recovery modifies nothing, hands out only what lies in the file, tells every COMMIT, and needs no more memory
** than the file can explain. With repaired sums mutated records get past the checksums.
**
** FORMAT      u8 bits (1 sums repaired, 2 wide position, 4 sums of the position given, 8 size unknown), position
**             (u8, or u64), perhaps two u32 sums, then the log.
*/
#include "fuzz/fuzz.h"
#include "log/log.h"

struct log_trace {
    uint64_t bytes;
    uint64_t operations;
    uint64_t commits;
    uint64_t since_commit;
};

static int log_take(struct log_trace *trace, struct slice first, struct slice second) {
    uint8_t sum = 0; /* read every byte: a sanitizer is watching */
    for (uint32_t i = 0; i < first.size; i++) sum ^= first.data[i];
    for (uint32_t i = 0; i < second.size; i++) sum ^= second.data[i];
    trace->bytes += (uint64_t)first.size + second.size + (sum & 0);
    trace->operations++;
    trace->since_commit++;
    return LSM_OK;
}
static int log_insert(void *context, struct slice key, struct slice value) {
    return log_take(context, key, value);
}
static int log_remove(void *context, struct slice key) {
    return log_take(context, key, (struct slice){NULL, 0});
}
static int log_commit(void *context, uint64_t end, struct checksum sum) {
    struct log_trace *trace = context;
    (void)sum;
    CHECK(end >= 1 + LOG_SUM_SIZE);
    trace->commits++;
    trace->since_commit = 0;
    return LSM_OK;
}

FUZZ_TARGET(log) {
    struct fuzz_input in = fuzz_begin(data, size);
    static struct fuzz_world world;
    uint8_t bits = fuzz_u8(&in);
    struct log_position position = {bits & 2 ? fuzz_u64(&in) : fuzz_u8(&in), LOG_SUM0_FIRST,
                                    LOG_SUM1_FIRST};
    struct log_trace trace = {0};
    struct log_sink sink = {&trace, log_insert, log_remove, log_insert, log_commit};
    struct log_state state = {.sum0 = 99};
    struct os_file file = {0};
    struct memory_file *stored;
    struct slice log;
    uint64_t commits = 0;
    bool restarted = false;
    lsm_env *env = fuzz_world_open(&world, false);
    int rc;

    if (bits & 4) {
        position.sum0 = fuzz_u32(&in);
        position.sum1 = fuzz_u32(&in);
    }
    log = fuzz_slice(&in, fuzz_left(&in));
    memory_env_set(&world.m, "log", log.data, log.size);
    stored = memory_env_find(&world.m, "log");
    if (bits & 1) {
        fuzz_repair_log(stored->data, stored->size, position.field >> 1,
                        (struct checksum){position.sum0, position.sum1});
    }
    if (bits & 8) {
        /* The reader has to take zeros behind the end for the file: a length of gigabytes means gigabytes. */
        memory_env_make_foreign(&world.m);
        world.reads_left = 4;
    }
    CHECK_OK(os_open(env, "log", 0, &file));
    rc = log_recover(env, &file, &position, &sink, &state, &restarted, &commits);
    CHECK(rc == LSM_OK || rc == LSM_IOERR);
    if (rc == LSM_OK) {
        const struct log_region *region = &state.regions[2];
        CHECK_EQ_UINT(trace.commits, commits);
        CHECK_EQ_UINT(trace.since_commit, 0);
        CHECK(trace.bytes <= 3 * (uint64_t)log.size); /* two jumps: no byte is seen more often */
        CHECK(!restarted || position.field >> 1 != 0);
        CHECK(region->start >= 0 && region->end >= 0);
        /* An end in a bigger file than this would need bytes that are not there. */
        CHECK(commits == 0 || (uint64_t)region->end <= (uint64_t)log.size + LOG_SUM_SIZE);
    }
    CHECK(world.largest <= 65536 + 4 * (size_t)log.size);
    CHECK_EQ_INT(world.m.count[MEMORY_WRITE] + world.m.count[MEMORY_TRUNCATE], 0);
    os_close(&file);
    fuzz_world_close(&world);
    return 0;
}
