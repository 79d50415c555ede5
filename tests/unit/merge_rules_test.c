/*
** merge_rules_test.c — the table of rules, on heads made by hand.
*/
#include "cursor/source.h"
#include "support/test.h"

#define INSERT RECORD_INSERT
#define POINT RECORD_POINT_DELETE
#define START RECORD_START_DELETE
#define END RECORD_END_DELETE

/* Four sources, newest first; those in `group` stand on the present key, the others beyond it. */
static uint32_t owner_of(const uint8_t flags[4], const uint32_t *group, uint32_t count) {
    struct source_head heads[4];
    memset(heads, 0, sizeof heads);
    for (int i = 0; i < 4; i++) heads[i] = (struct source_head){.flags = flags[i], .live = true};
    return merge_rule_owner(heads, group, count);
}

TEST(newest_insert_or_point_tombstone_owns_the_key) {
    const uint32_t all[] = {0, 1, 2, 3};
    CHECK_EQ_UINT(owner_of((uint8_t[]){INSERT, INSERT, 0, 0}, all, 4), 0);
    CHECK_EQ_UINT(owner_of((uint8_t[]){POINT, INSERT, 0, 0}, all, 4), 0);
    CHECK_EQ_UINT(owner_of((uint8_t[]){START, END, POINT, INSERT}, all, 4), 2);
    CHECK_EQ_UINT(owner_of((uint8_t[]){START | INSERT, INSERT, 0, 0}, all, 4), 0);
}

/* DF-60 */
TEST(bounds_alone_own_nothing) {
    const uint32_t all[] = {0, 1, 2, 3};
    CHECK_EQ_UINT(owner_of((uint8_t[]){START, END, START | END, START}, all, 4), SOURCE_NONE);
}

TEST(mark_beyond_the_key_hides_only_what_is_older) {
    struct source_head heads[4] = {{.flags = INSERT, .live = true},
                                   {.flags = END | INSERT, .live = true},
                                   {.flags = INSERT, .live = true},
                                   {.flags = INSERT, .live = true}};
    CHECK_EQ_UINT(merge_rule_hider(heads, (uint32_t[]){2}, 1, 2, END), 1);
    CHECK_EQ_UINT(merge_rule_hider(heads, (uint32_t[]){0}, 1, 0, END), SOURCE_NONE);
    CHECK_EQ_UINT(merge_rule_hider(heads, (uint32_t[]){3}, 1, 3, START), SOURCE_NONE);
    heads[1].live = false;
    CHECK_EQ_UINT(merge_rule_hider(heads, (uint32_t[]){2}, 1, 2, END), SOURCE_NONE);
}

TEST(bound_does_not_hide_its_own_key_but_a_stand_in_does) {
    struct source_head heads[2] = {{.flags = START, .live = true},
                                   {.flags = INSERT, .live = true}};
    CHECK_EQ_UINT(merge_rule_hider(heads, (uint32_t[]){0, 1}, 2, 1, START), SOURCE_NONE);
    heads[0].stand_in = true;
    CHECK_EQ_UINT(merge_rule_hider(heads, (uint32_t[]){0, 1}, 2, 1, START), 0);
}

static struct slice text(const char *key, uint32_t size) {
    return (struct slice){(const uint8_t *)key, size};
}

TEST(prefix_is_the_first_eight_bytes_big_endian) {
    CHECK_EQ_UINT(key_prefix(text("\x01\x02\x03\x04\x05\x06\x07\x08\x09", 9)), 0x0102030405060708u);
    CHECK_EQ_UINT(key_prefix(text("ab", 2)), 0x6162000000000000u);
    CHECK_EQ_UINT(key_prefix(text("", 0)), 0);
}

TEST(heads_compare_like_keys_also_where_prefixes_are_equal) {
    static const struct {
        const char *key;
        uint32_t size;
    } ascending[] = {{"", 0},       {"\0", 1},        {"\0\0", 2},      {"a", 1},
                     {"a\0", 2},    {"a\0\0b", 4},    {"abcdefg", 7},   {"abcdefg\0", 8},
                     {"abcdefg\0\0", 9}, {"abcdefgh", 8}, {"abcdefghi", 9}, {"\xff", 1}};
    uint32_t count = sizeof ascending / sizeof ascending[0];

    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < count; k++) {
            struct source_head a = {0}, b = {0};
            int order;
            head_set(&a, text(ascending[i].key, ascending[i].size), INSERT);
            head_set(&b, text(ascending[k].key, ascending[k].size), INSERT);
            order = head_compare(&a, &b);
            CHECK_EQ_INT((order > 0) - (order < 0), (i > k) - (i < k));
        }
    }
}

TEST_MAIN()
