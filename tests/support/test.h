/*
** test.h — the C test harness: header only, no library behind it.
**
** A test file is tests/unit/<file>_test.c and looks like this (-Icsrc and -Itests are given):
**
**     #include "support/test.h"
**     #include "base/varint.h"
**
**     TEST(varint_put_then_get_returns_the_value) {
**         uint8_t bytes[9];
**         CHECK_OK(varint_put(bytes, sizeof bytes, 300));
**         CHECK_EQ_INT(bytes[0], 250);
**     }
**
**     TEST_MAIN()
**
** TEST registers itself: there is no list to forget. Tests run in the order of the file. The names
** given to TEST_MAIN(...) are ignored, so a list there is allowed and means nothing.
**
** CHECKS      arguments are always (actual, expected). A failed check prints file, line, both values
**             and the line that repeats it, then ends this test; the next test still runs. Checks
**             work in helper functions too. In another thread a failed check ends the process.
** RANDOM      test_random() and friends are seeded for each test from LSM_TEST_SEED, or from the clock;
**             so one test run alone repeats what it did in the whole file. A failure prints the seed.
** FILES       test_path("a.lsm") is a path in an empty folder that belongs to this test alone and goes
**             away when it has passed; after a failure the folder stays and its name is printed.
** NOTES       TEST_NOTE("round %d", i) is remembered and printed only if a later check fails.
** ARGUMENTS   the program takes parts of test names as a filter; --list prints the names.
** OWNERSHIP   what test_path returns lives until the test ends.
*/
#ifndef LSM_SUPPORT_TEST_H
#define LSM_SUPPORT_TEST_H

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEST_HELPER __attribute__((unused)) static
#define TEST_PRINTF(format_no, first_no) __attribute__((format(printf, format_no, first_no)))

/* ---- Declaring tests --------------------------------------------------------------------- */

/* Define a test. The name is an identifier that reads as a sentence. */
#define TEST(test_name)                                                                            \
    static void test_name(void);                                                                   \
    static struct test_case test_name##_case = {#test_name, test_name, NULL};                      \
    __attribute__((constructor)) static void test_name##_register(void) {                          \
        test_register(&test_name##_case);                                                          \
    }                                                                                              \
    static void test_name(void)

/* Define `main`. Stands once, at the end of the file. */
#define TEST_MAIN(...)                                                                             \
    int main(int argc, char **argv) {                                                              \
        return test_run_all(argc, argv);                                                           \
    }

/* ---- Checks: (actual, expected) ---------------------------------------------------------- */

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) test_fail(__FILE__, __LINE__, "expected %s", #condition);                \
    } while (0)

/* Like CHECK, with a printf message that says what was seen. */
#define CHECK_MSG(condition, ...)                                                                  \
    do {                                                                                           \
        if (!(condition)) test_fail(__FILE__, __LINE__, __VA_ARGS__);                              \
    } while (0)

#define CHECK_EQ_INT(actual, expected)                                                             \
    test_check_int(__FILE__, __LINE__, #actual, (long long)(actual), (long long)(expected))
#define CHECK_EQ_UINT(actual, expected)                                                            \
    test_check_uint(__FILE__, __LINE__, #actual, (uint64_t)(actual), (uint64_t)(expected))
#define CHECK_EQ_STR(actual, expected)                                                             \
    test_check_str(__FILE__, __LINE__, #actual, (actual), (expected))
#define CHECK_EQ_PTR(actual, expected)                                                             \
    test_check_ptr(__FILE__, __LINE__, #actual, (actual), (expected))
#define CHECK_EQ_BYTES(actual, actual_size, expected, expected_size)                               \
    test_check_bytes(__FILE__, __LINE__, #actual, (actual), (size_t)(actual_size), (expected),     \
                     (size_t)(expected_size))
/* The result code is LSM_OK (0). */
#define CHECK_OK(rc) test_check_rc(__FILE__, __LINE__, #rc, (rc), 0)
/* The result code is this one. */
#define CHECK_RC(rc, expected) test_check_rc(__FILE__, __LINE__, #rc, (rc), (expected))
#define TEST_FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define TEST_NOTE(...) test_note(__VA_ARGS__)

/* ---- State ------------------------------------------------------------------------------- */

struct test_case {
    const char *name;
    void (*run)(void);
    struct test_case *next;
};

struct test_allocation {
    struct test_allocation *next;
    char text[];
};

static struct {
    struct test_case *first;
    struct test_case **last;
    const struct test_case *current;
    const char *program;
    uint64_t seed;
    uint64_t random_state;
    jmp_buf escape;
    char note[256];
    char folder[512]; /* of the current test; empty until test_path is called */
    struct test_allocation *allocations;
} test_state;

static _Thread_local bool test_may_jump; /* true only in the thread that runs the tests */

TEST_HELPER void test_register(struct test_case *test) {
    if (test_state.last == NULL) test_state.last = &test_state.first;
    *test_state.last = test;
    test_state.last = &test->next;
}

/* ---- Failing ----------------------------------------------------------------------------- */

TEST_HELPER TEST_PRINTF(1, 2) void test_note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(test_state.note, sizeof test_state.note, format, arguments);
    va_end(arguments);
}

__attribute__((noreturn)) TEST_HELPER TEST_PRINTF(3, 4) void test_fail(const char *file, int line,
                                                                      const char *format, ...) {
    const char *name = test_state.current != NULL ? test_state.current->name : "(no test)";
    va_list arguments;

    fflush(stdout);
    fprintf(stderr, "%s:%d: %s\n    ", file, line, name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    if (test_state.note[0] != '\0') fprintf(stderr, "    note: %s\n", test_state.note);
    if (test_state.folder[0] != '\0') fprintf(stderr, "    files: %s\n", test_state.folder);
    fprintf(stderr, "    repeat: LSM_TEST_SEED=%" PRIu64 " %s %s\n", test_state.seed,
            test_state.program, name);
    fflush(stderr);
    if (!test_may_jump) _exit(1); /* no way back from a foreign thread */
    longjmp(test_state.escape, 1);
}

TEST_HELPER void test_check_int(const char *file, int line, const char *what, long long actual,
                                long long expected) {
    if (actual == expected) return;
    test_fail(file, line, "%s is %lld, expected %lld", what, actual, expected);
}

TEST_HELPER void test_check_uint(const char *file, int line, const char *what, uint64_t actual,
                                 uint64_t expected) {
    if (actual == expected) return;
    test_fail(file, line, "%s is %" PRIu64 " (0x%" PRIx64 "), expected %" PRIu64 " (0x%" PRIx64 ")",
              what, actual, actual, expected, expected);
}

TEST_HELPER void test_check_ptr(const char *file, int line, const char *what, const void *actual,
                                const void *expected) {
    if (actual == expected) return;
    test_fail(file, line, "%s is %p, expected %p", what, actual, expected);
}

TEST_HELPER void test_check_rc(const char *file, int line, const char *what, int actual,
                               int expected) {
    if (actual == expected) return;
    test_fail(file, line, "%s returned %d, expected %d", what, actual, expected);
}

TEST_HELPER void test_check_str(const char *file, int line, const char *what, const char *actual,
                                const char *expected) {
    if (actual == expected) return;
    if (actual != NULL && expected != NULL && strcmp(actual, expected) == 0) return;
    test_fail(file, line, "%s is %s%s%s, expected %s%s%s", what, actual != NULL ? "\"" : "",
              actual != NULL ? actual : "NULL", actual != NULL ? "\"" : "",
              expected != NULL ? "\"" : "", expected != NULL ? expected : "NULL",
              expected != NULL ? "\"" : "");
}

/* Write up to 32 bytes around `centre` as hex into `out`. */
TEST_HELPER const char *test_hex(char *out, size_t out_size, const uint8_t *bytes, size_t size,
                                 size_t centre) {
    size_t from = centre > 8 ? centre - 8 : 0;
    size_t to = size - from > 32 ? from + 32 : size;
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = from; i < to && used + 4 < out_size; i++) {
        used += (size_t)snprintf(out + used, out_size - used, "%02x%s", bytes[i],
                                 i + 1 < to ? " " : "");
    }
    return out;
}

TEST_HELPER void test_check_bytes(const char *file, int line, const char *what, const void *actual,
                                  size_t actual_size, const void *expected, size_t expected_size) {
    size_t common_size = actual_size < expected_size ? actual_size : expected_size;
    const uint8_t *left = actual, *right = expected;
    char left_hex[128], right_hex[128];
    size_t at = 0;

    while (at < common_size && left[at] == right[at]) at++;
    if (at == common_size && actual_size == expected_size) return;
    test_fail(file, line,
              "%s differs at byte %zu\n    actual   (%zu bytes, from %zu): %s\n"
              "    expected (%zu bytes, from %zu): %s",
              what, at, actual_size, at > 8 ? at - 8 : (size_t)0,
              at <= actual_size && left != NULL
                  ? test_hex(left_hex, sizeof left_hex, left, actual_size, at)
                  : "",
              expected_size, at > 8 ? at - 8 : (size_t)0,
              at <= expected_size && right != NULL
                  ? test_hex(right_hex, sizeof right_hex, right, expected_size, at)
                  : "");
}

/* ---- Random numbers (splitmix64) --------------------------------------------------------- */

TEST_HELPER uint64_t test_random(void) {
    uint64_t z = (test_state.random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A number from 0 to bound - 1; `bound` is not 0. */
TEST_HELPER uint32_t test_random_below(uint32_t bound) {
    return (uint32_t)((test_random() >> 32) * bound >> 32);
}

TEST_HELPER void test_random_bytes(void *out, size_t size) {
    uint8_t *bytes = out;
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(test_random() >> 56);
}

/* ---- Files ------------------------------------------------------------------------------- */

/* Return a path called `name` in a folder of this test's own. Valid until the test ends. */
TEST_HELPER const char *test_path(const char *name) {
    struct test_allocation *allocation;
    size_t size;

    if (test_state.folder[0] == '\0') {
        const char *parent = getenv("TMPDIR");
        if (parent == NULL || parent[0] == '\0') parent = "/tmp";
        snprintf(test_state.folder, sizeof test_state.folder, "%s/lsm-test-XXXXXX", parent);
        if (mkdtemp(test_state.folder) == NULL) {
            test_fail(__FILE__, __LINE__, "cannot make the folder %s: %s", test_state.folder,
                      strerror(errno));
        }
    }
    size = strlen(test_state.folder) + strlen(name) + 2;
    allocation = malloc(sizeof *allocation + size);
    if (allocation == NULL) test_fail(__FILE__, __LINE__, "out of memory");
    snprintf(allocation->text, size, "%s/%s", test_state.folder, name);
    allocation->next = test_state.allocations;
    test_state.allocations = allocation;
    return allocation->text;
}

TEST_HELPER int test_remove_entry(const char *path, const struct stat *status, int kind,
                                  struct FTW *where) {
    (void)status, (void)kind, (void)where;
    return remove(path);
}

TEST_HELPER void test_release_files(bool passed) {
    while (test_state.allocations != NULL) {
        struct test_allocation *allocation = test_state.allocations;
        test_state.allocations = allocation->next;
        free(allocation);
    }
    if (passed && test_state.folder[0] != '\0') {
        nftw(test_state.folder, test_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    }
    test_state.folder[0] = '\0';
}

/* ---- Running ----------------------------------------------------------------------------- */

TEST_HELPER bool test_run_one(const struct test_case *test) {
    test_state.current = test;
    test_state.random_state = test_state.seed;
    test_state.note[0] = '\0';
    if (setjmp(test_state.escape) != 0) return false;
    test->run();
    return true;
}

TEST_HELPER bool test_is_wanted(const struct test_case *test, int argc, char **argv) {
    if (argc < 2) return true;
    for (int i = 1; i < argc; i++) {
        if (strstr(test->name, argv[i]) != NULL) return true;
    }
    return false;
}

/* Run the tests and return the exit code. The last line, "N passed, N failed", is read by tools. */
TEST_HELPER int test_run_all(int argc, char **argv) {
    const char *seed_text = getenv("LSM_TEST_SEED");
    bool list_only = argc == 2 && strcmp(argv[1], "--list") == 0;
    volatile int passed_count = 0, failed_count = 0;

    test_state.program = argv[0];
    test_state.seed = seed_text != NULL && seed_text[0] != '\0'
                          ? strtoull(seed_text, NULL, 0)
                          : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
    test_may_jump = true;
    for (const struct test_case *test = test_state.first; test != NULL; test = test->next) {
        bool passed;
        if (list_only) {
            printf("%s\n", test->name);
            continue;
        }
        if (!test_is_wanted(test, argc, argv)) continue;
        passed = test_run_one(test);
        test_release_files(passed);
        if (passed) passed_count++;
        else failed_count++;
    }
    if (list_only) return 0;
    printf("%d passed, %d failed\n", passed_count, failed_count);
    fflush(stdout);
    if (failed_count > 0) _exit(1); /* what a failed test left behind is no leak to report */
    return 0;
}

#endif
