/*
** log_oracle_test.c — our logs read by an independent program, tests/support/oracle/lsmlog.py.
**
** Random histories are written to files together with a database file whose checkpoint carries the
** log position; the program's operations, regions and sums must be those of log_recover. Without
** Python there is nothing to compare: the tests then say so and pass.
*/
#include "format/format_checkpoint.h"
#include "support/log_world.h"

/* The path of the program, NULL if it cannot run here. */
static const char *oracle(void) {
    static char path[1024];
    static bool looked;

    if (!looked) {
        const char *slash = strrchr(__FILE__, '/');
        int length = slash != NULL ? (int)(slash - __FILE__) : 0;
        looked = true;
        snprintf(path, sizeof path, "%.*s/../support/oracle/lsmlog.py", length, __FILE__);
        if (access(path, R_OK) != 0) snprintf(path, sizeof path, "tests/support/oracle/lsmlog.py");
        if (access(path, R_OK) != 0 || system("python3 -c '' >/dev/null 2>&1") != 0) {
            printf("no Python or no lsmlog.py here: nothing compared\n");
            path[0] = '\0';
        }
    }
    return path[0] != '\0' ? path : NULL;
}

static void write_file(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK_EQ_UINT(fwrite(data, 1, size, file), size);
    CHECK_EQ_INT(fclose(file), 0);
}

/* What the program prints, with a zero byte at the end. */
static struct trace ask(const char *option, const char *log_path, const char *db_path) {
    struct trace out = {0};
    char command[4096], piece[4096];
    size_t size;
    FILE *pipe;

    snprintf(command, sizeof command, "python3 -B '%s' '%s' --db '%s' %s", oracle(), log_path,
             db_path, option);
    pipe = popen(command, "r");
    CHECK(pipe != NULL);
    while ((size = fread(piece, 1, sizeof piece, pipe)) > 0) trace_add(&out, piece, size);
    CHECK_EQ_INT(pclose(pipe), 0);
    trace_add(&out, "", 1);
    return out;
}

static void add_hex(struct trace *out, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        char digits[3];
        snprintf(digits, sizeof digits, "%02x", data[i]);
        trace_add(out, digits, 2);
    }
}

/* A trace as the program's lines. */
static struct trace as_lines(const uint8_t *at, size_t size) {
    const uint8_t *end = at + size;
    struct trace out = {0};

    while (at < end) {
        uint8_t letter = *at++;
        uint32_t a, b;
        const char *name = letter == 'P' ? "put\t" : letter == 'D' ? "del\t" : "delrange\t";
        if (letter == 'C') continue;
        a = get_u32(at);
        b = get_u32(at + 4);
        trace_add(&out, name, strlen(name));
        add_hex(&out, at + 8, a);
        trace_add(&out, "\t", 1);
        add_hex(&out, at + 8 + a, b);
        trace_add(&out, "\n", 1);
        at += 8 + a + b;
    }
    trace_add(&out, "", 1);
    return out;
}

static void compare(struct log_world *w) {
    const char *log_path = test_path("db-log"), *db_path = test_path("db");
    struct memory_file *file = log_world_file(w);
    uint32_t words[CHECKPOINT_WORDS_MAX], count;
    uint8_t page[META_PAGE_USED];
    struct snapshot snapshot;
    struct trace lines, expected, summary, trace;
    struct log_state state;
    bool restarted;
    uint64_t commits;
    char tail[512];

    CHECK_OK(snapshot_init_empty(&snapshot, &w->m.env, 4096, 1 << 20));
    snapshot.id += w->checkpoint_id;
    snapshot.log = w->checkpoint;
    CHECK_OK(checkpoint_encode(&snapshot, words, &count));
    checkpoint_words_to_bytes(words, count, page);
    write_file(db_path, page, sizeof page);
    write_file(log_path, file->data, file->size);

    lines = ask("--replay", log_path, db_path);
    expected = as_lines(w->committed.data + w->checkpoint_trace,
                        w->committed.size - w->checkpoint_trace);
    CHECK_EQ_BYTES(lines.data, lines.size, expected.data, expected.size);

    CHECK_OK(recover_bytes(file->data, file->size, &w->checkpoint, false, &trace, &state,
                           &restarted, &commits));
    summary = ask("--summary", log_path, db_path);
    snprintf(tail, sizeof tail,
             "regions [(%lld, %lld), (%lld, %lld), (%lld, %lld)], cksum %08x,%08x;",
             (long long)state.regions[0].start, (long long)state.regions[0].end,
             (long long)state.regions[1].start, (long long)state.regions[1].end,
             (long long)state.regions[2].start, (long long)state.regions[2].end, state.sum0,
             state.sum1);
    CHECK_MSG(strstr((const char *)summary.data, tail) != NULL, "expected %s\n    in %s", tail,
              (const char *)summary.data);
    trace_free(&lines);
    trace_free(&expected);
    trace_free(&summary);
    trace_free(&trace);
}

static void random_transaction(struct log_world *w, bool aligned) {
    uint32_t steps = test_random_below(12);

    log_world_begin(w, aligned);
    log_world_mark(w, 0);
    while (steps-- > 0) {
        char key[8] = {0};
        for (uint32_t i = test_random_below(7); i > 0; i--) key[i - 1] = (char)('a' + i);
        switch (test_random_below(8)) {
            case 0: CHECK_OK(log_world_try_delete(w, text(key))); break;
            case 1: CHECK_OK(log_world_try_range(w, text(key), text("zz"))); break;
            case 2: log_world_mark(w, 1); break;
            case 3: log_world_return(w, 0); log_world_mark(w, 1); break;
            default:
                log_world_fill(w, key, (char)steps,
                               test_random_below(test_random_below(3) ? 900 : 36000));
                break;
        }
    }
    if (test_random_below(6) == 0) log_world_rollback(w);
    else log_world_commit(w, aligned);
}

TEST(an_independent_reader_finds_the_same_operations_regions_and_sums) {
    int jumped = 0;

    if (oracle() == NULL) return;
    for (int history = 0; history < 6; history++) {
        struct log_world w;
        log_world_open(&w);
        for (int i = 0; i < 90; i++) {
            random_transaction(&w, history % 3 == 1 || (history % 3 == 2 && test_random_below(2)));
            if (test_random_below(25) == 0) log_world_checkpoint(&w);
            if (i % 30 == 29) compare(&w);
            if (w.state.regions[0].end != 0) jumped++;
        }
        log_world_close(&w);
    }
    CHECK(jumped > 0);
}

TEST_MAIN()
