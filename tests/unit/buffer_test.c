/*
** buffer_test.c — growing bytes, and what happens when there is no memory.
*/
#include "base/buffer.h"

#include "support/memory_env.h"

TEST(appended_pieces_stand_one_behind_the_other) {
    struct memory_env m;
    struct buffer buffer;

    memory_env_open(&m);
    buffer_init(&buffer, &m.env);
    buffer_append(&buffer, "ab", 2);
    buffer_append_byte(&buffer, 'c');
    buffer_append_varint(&buffer, 300);
    buffer_append_slice(&buffer, (struct slice){(const uint8_t *)"de", 2});
    buffer_append(&buffer, NULL, 0);
    buffer_printf(&buffer, "%d-%s", 42, "x");
    CHECK_OK(buffer.rc);
    CHECK_EQ_BYTES(buffer.data, buffer.size, "abc\xf1\x3c" "de42-x", 11);
    CHECK_EQ_UINT(buffer_slice(&buffer).size, 11);
    buffer_release(&buffer);
    buffer_release(&buffer);
    memory_env_close(&m);
}

TEST(an_empty_extension_has_an_address) {
    struct memory_env m;
    struct buffer buffer;

    memory_env_open(&m);
    buffer_init(&buffer, &m.env);
    CHECK(buffer_extend(&buffer, 0) != NULL);
    CHECK_EQ_UINT(buffer.size, 0);
    buffer_release(&buffer);
    memory_env_close(&m);
}

TEST(growing_keeps_the_content_and_allocates_rarely) {
    struct memory_env m;
    struct buffer buffer;

    memory_env_open(&m);
    buffer_init(&buffer, &m.env);
    for (int i = 0; i < 100000; i++) buffer_append_byte(&buffer, (uint8_t)(i * 7));
    for (int i = 0; i < 100000; i++) {
        if (buffer.data[i] != (uint8_t)(i * 7)) TEST_FAIL("byte %d changed", i);
    }
    CHECK(m.count[MEMORY_MALLOC] < 20);
    buffer_release(&buffer);
    memory_env_close(&m);
}

TEST(an_error_sticks_until_the_buffer_is_reset) {
    struct memory_env m;
    struct buffer buffer;

    memory_env_open(&m);
    buffer_init(&buffer, &m.env);
    buffer_append(&buffer, "abc", 3);
    memory_env_fail(&m, MEMORY_MALLOC, 1, LSM_NOMEM);
    CHECK_EQ_PTR(buffer_extend(&buffer, 1000), NULL);
    CHECK_RC(buffer.rc, LSM_NOMEM);
    buffer_append_byte(&buffer, 'd'); /* would fit */
    CHECK_EQ_UINT(buffer.size, 3);
    CHECK_RC(buffer_reserve(&buffer, 1), LSM_NOMEM);
    buffer_reset(&buffer);
    CHECK_OK(buffer.rc);
    CHECK_OK(buffer_assign(&buffer, (struct slice){(const uint8_t *)"xy", 2}));
    CHECK_EQ_BYTES(buffer.data, buffer.size, "xy", 2);
    buffer_release(&buffer);
    memory_env_close(&m);
}

TEST(a_size_that_cannot_be_added_is_no_memory) {
    struct memory_env m;
    struct buffer buffer;

    memory_env_open(&m);
    buffer_init(&buffer, &m.env);
    buffer_append(&buffer, "abc", 3);
    CHECK_EQ_PTR(buffer_extend(&buffer, SIZE_MAX), NULL);
    CHECK_RC(buffer.rc, LSM_NOMEM);
    buffer_release(&buffer);
    memory_env_close(&m);
}

TEST(printing_without_memory_is_an_error) {
    struct memory_env m;
    struct buffer buffer;

    memory_env_open(&m);
    buffer_init(&buffer, &m.env);
    memory_env_fail(&m, MEMORY_MALLOC, 1, LSM_NOMEM);
    buffer_printf(&buffer, "%s", "text");
    CHECK_RC(buffer.rc, LSM_NOMEM);
    CHECK_EQ_UINT(buffer.size, 0);
    buffer_release(&buffer);
    memory_env_close(&m);
}

TEST_MAIN()
