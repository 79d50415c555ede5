/*
** canary_test.c — tests that must fail, one per way of failing: `node tools/ctest.mjs --canary`.
**
** If one of these passes, the harness or a sanitizer is blind, and a green suite means nothing.
*/
#include "support/test.h"

#include <assert.h>

static volatile int zero = 0;

TEST(check_fails) {
    CHECK_EQ_INT(zero, 1);
}

TEST(assert_stops) {
    assert(zero == 1);
}

TEST(read_past_the_end_of_an_allocation) {
    volatile char *bytes = malloc(8);
    CHECK(bytes != NULL);
    zero = bytes[8 + zero];
    free((void *)bytes);
}

TEST(signed_overflow) {
    volatile int large = 0x7fffffff;
    large = large + 1 + zero;
}

TEST(misaligned_read) {
    char bytes[16] = {0};
    volatile uintptr_t address = (uintptr_t)bytes | 1u;
    zero = (int)*(const volatile uint64_t *)address & 0;
}

TEST(memory_never_freed) {
    char *volatile bytes = malloc(8);
    CHECK(bytes != NULL);
    bytes = NULL;
}

TEST_MAIN()
