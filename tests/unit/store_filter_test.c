/*
** store_filter_test.c — no key is ever missed; few others seem to be there; folding and parts change nothing.
*/
#include "store/store_internal.h"
#include "support/segment_builder.h"

static struct store *new_store(struct test_env *env, size_t budget) {
    struct store *store = NULL;
    test_env_init(env);
    CHECK_OK(store_open(&env->env, budget, &store));
    return store;
}

static void end_store(struct test_env *env, struct store *store) {
    CHECK_EQ_UINT(store_bytes(store), 0);
    store_close(store);
    CHECK_EQ_INT(env->live_blocks, 0);
}

static uint64_t hash_of(uint64_t number) {
    uint8_t bytes[8];
    memcpy(bytes, &number, 8);
    return store_hash((struct slice){bytes, 8});
}

static bool holds(const struct filter_part *part, uint64_t hash) {
    return filter_holds(part->words + filter_block(part->block_count, hash), hash);
}

static uint32_t count_false(const struct filter_part *part, uint64_t from, uint32_t count) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) found += holds(part, hash_of(from + i));
    return found;
}

TEST(every_added_key_is_held_and_one_in_a_hundred_others_at_most) {
    struct test_env env;
    struct store *store = new_store(&env, 1 << 20);
    struct filter_part *part = filter_part_new(store, (struct slice){NULL, 0}, 20000, FILTER_BITS_PER_KEY);

    CHECK(part != NULL);
    for (uint64_t i = 0; i < 20000; i++) filter_part_add(part, hash_of(i));
    for (uint64_t i = 0; i < 20000; i++) CHECK(holds(part, hash_of(i)));
    CHECK(count_false(part, 1000000, 100000) < 1000);
    filter_part_release(store, part);
    end_store(&env, store);
}

TEST(an_empty_filter_holds_nothing) {
    struct test_env env;
    struct store *store = new_store(&env, 1 << 20);
    struct filter_part *part = filter_part_new(store, (struct slice){NULL, 0}, 0, FILTER_BITS_PER_KEY);

    CHECK_EQ_UINT(count_false(part, 0, 1000), 0);
    filter_part_release(store, part);
    end_store(&env, store);
}

TEST(a_folded_filter_answers_for_the_same_keys) {
    struct test_env env;
    struct store *store = new_store(&env, 1 << 20);
    struct filter_part *part = filter_part_new(store, (struct slice){NULL, 0}, 40000, FILTER_BITS_PER_KEY);
    struct filter_part *half;
    struct filter_part *quarter;

    for (uint64_t i = 0; i < 10000; i++) filter_part_add(part, hash_of(i));
    half = filter_part_fold(store, part);
    CHECK(half != NULL);
    CHECK_EQ_UINT(half->block_count, part->block_count / 2);
    quarter = filter_part_fold(store, half);
    CHECK(quarter != NULL);
    for (uint64_t i = 0; i < 10000; i++) CHECK(holds(half, hash_of(i)) && holds(quarter, hash_of(i)));
    CHECK(count_false(quarter, 1000000, 100000) < 1000);
    filter_part_release(store, part);
    filter_part_release(store, half);
    filter_part_release(store, quarter);
    end_store(&env, store);
}

TEST(a_filter_of_one_block_cannot_be_folded) {
    struct test_env env;
    struct store *store = new_store(&env, 1 << 20);
    struct filter_part *part = filter_part_new(store, (struct slice){NULL, 0}, 0, FILTER_BITS_PER_KEY);
    struct filter_part *next;

    while ((next = filter_part_fold(store, part)) != NULL) {
        filter_part_release(store, part);
        part = next;
    }
    CHECK_EQ_UINT(part->block_count, 1);
    filter_part_release(store, part);
    end_store(&env, store);
}

TEST(keys_of_every_length_have_hashes_of_their_own) {
    static uint8_t zeros[64];
    uint64_t seen[65];

    for (uint32_t size = 0; size <= 64; size++) {
        seen[size] = store_hash((struct slice){zeros, size});
        for (uint32_t i = 0; i < size; i++) CHECK(seen[i] != seen[size]);
    }
    /* The same bytes anywhere in memory. */
    for (uint32_t shift = 1; shift < 9; shift++) {
        CHECK(store_hash((struct slice){zeros + shift, 23}) == seen[23]);
    }
}

TEST(the_part_of_a_key_is_the_last_that_begins_at_or_below_it) {
    struct test_env env;
    struct store *store = new_store(&env, 1 << 20);
    static const char *const lows[] = {"", "b", "prefix-same-a", "prefix-same-b"};
    static const struct {
        const char *key;
        uint32_t part;
    } rows[] = {{"", 0}, {"a", 0}, {"azzzzzzzzzz", 0}, {"b", 1}, {"b\x01", 1}, {"prefix-same", 1},
                {"prefix-same-a", 2}, {"prefix-same-az", 2}, {"prefix-same-b", 3}, {"z", 3}};
    struct filter_part *parts[4];

    for (uint32_t i = 0; i < 4; i++) {
        struct slice low = {(const uint8_t *)lows[i], (uint32_t)strlen(lows[i])};
        parts[i] = filter_part_new(store, low, 10, FILTER_BITS_PER_KEY);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice key = {(const uint8_t *)rows[i].key, (uint32_t)strlen(rows[i].key)};
        CHECK_EQ_UINT(filter_choose(parts, 4, key), rows[i].part);
        CHECK_EQ_UINT(filter_choose(parts, 1, key), 0);
    }
    for (uint32_t i = 0; i < 4; i++) filter_part_release(store, parts[i]);
    end_store(&env, store);
}

TEST(a_part_without_memory_or_beyond_the_budget_is_null) {
    struct test_env env;
    struct store *store = new_store(&env, 10000);

    CHECK_EQ_PTR(filter_part_new(store, (struct slice){NULL, 0}, 1000000, FILTER_BITS_PER_KEY), NULL);
    env.allocations_left = 0;
    CHECK_EQ_PTR(filter_part_new(store, (struct slice){NULL, 0}, 10, FILTER_BITS_PER_KEY), NULL);
    env.allocations_left = -1;
    end_store(&env, store);
}

TEST_MAIN()
