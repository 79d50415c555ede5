/*
** handle_table_test.c — ids of handles, in a table that is small enough to wear out.
*/
#define SLOTS 300u
#define SLOTS_ENOUGH 128u
#define GENERATION_MAX 7u
#include "api/handle_table.c"

#include "support/test.h"

static uint32_t make(struct handle **out) {
    *out = handle_new(HANDLE_DATABASE, NULL);
    CHECK(*out != NULL);
    return (*out)->id;
}

static void drop(struct handle *handle) {
    handle_remove(handle);
    handle_free(handle);
}

TEST(handles_never_run_out_and_an_id_comes_again_only_after_many_others) {
    enum { COUNT = 20000, ALL = 300 * 7, OTHERS = ALL / 4 };
    static uint32_t ids[COUNT];
    uint32_t again = 0;

    for (uint32_t i = 0; i < COUNT; i++) {
        struct handle *handle, *found;
        ids[i] = make(&handle);
        CHECK(ids[i] != 0);
        handle_leave(handle);
        for (uint32_t back = 1; back < OTHERS && back <= i; back++) {
            CHECK(ids[i - back] != ids[i]);
        }
        if (i > 0) CHECK_EQ_INT(handle_enter(ids[i - 1], HANDLE_DATABASE, &found), LSM_BULK_CLOSED);
        if (i >= ALL && ids[i - ALL] == ids[i]) again++;
        drop(handle);
    }
    CHECK(again > 0);
}

TEST(what_is_open_keeps_its_id_and_a_full_table_says_so) {
    static struct handle *open[SLOTS];

    for (uint32_t i = 0; i < SLOTS; i++) {
        (void)make(&open[i]);
        handle_leave(open[i]);
    }
    CHECK(handle_new(HANDLE_DATABASE, NULL) == NULL);
    CHECK(handle_table_is_full());
    for (uint32_t turn = 0; turn < 100; turn++) { /* one slot for them all */
        struct handle *found;
        drop(open[7]);
        (void)make(&open[7]);
        handle_leave(open[7]);
        for (uint32_t i = 0; i < SLOTS; i++) {
            CHECK_OK(handle_enter(open[i]->id, HANDLE_DATABASE, &found));
            CHECK(found == open[i]);
            handle_leave(found);
        }
    }
    for (uint32_t i = 0; i < SLOTS; i++) drop(open[i]);
    CHECK(!handle_table_is_full());
}

TEST_MAIN()
