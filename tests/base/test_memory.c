#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static void test_new_is_zero_and_checked(void **state)
{
    (void)state;
    int64_t *numbers;
    assert_int_equal(memory_new(&numbers, 100, sizeof *numbers, "numbers"), LMU_OK);
    for (int i = 0; i < 100; i++)
        assert_true(numbers[i] == 0);
    free(numbers);
    assert_int_equal(memory_new(&numbers, 0, sizeof *numbers, "numbers"), LMU_OK);
    assert_non_null(numbers);
    free(numbers);
    assert_int_equal(memory_new(&numbers, SIZE_MAX / 4, 8, "the shard's ids"), LMU_MEMORY);
    assert_null(numbers);
    assert_non_null(strstr(lmu_error_message(), "the shard's ids"));
}

static void test_grow(void **state)
{
    (void)state;
    int *list = NULL;
    size_t capacity = 0;
    assert_int_equal(memory_grow(&list, &capacity, 3, sizeof *list, "list"), LMU_OK);
    assert_true(capacity >= 3 && list[0] == 0 && list[2] == 0);
    list[2] = 7;
    size_t before = capacity;
    assert_int_equal(memory_grow(&list, &capacity, capacity + 1, sizeof *list, "list"), LMU_OK);
    assert_true(capacity >= 2 * before && list[2] == 7 && list[capacity - 1] == 0);
    int *same = list;
    before = capacity;
    assert_int_equal(memory_grow(&list, &capacity, SIZE_MAX, sizeof *list, "list"), LMU_MEMORY);
    assert_int_equal(memory_grow(&list, &capacity, SIZE_MAX / 8, sizeof *list, "list"), LMU_MEMORY);
    assert_true(list == same && capacity == before && list[2] == 7);
    free(list);
}

static void test_arena(void **state)
{
    (void)state;
    Arena *arena = arena_open();
    assert_non_null(arena);
    for (size_t i = 0; i < 2000; i++) {
        size_t size = i * i % 5000;
        char *block = arena_alloc(arena, size, 1);
        assert_non_null(block);
        assert_true((uintptr_t)block % 16 == 0);
        for (size_t k = 0; k < size; k++)
            assert_true(block[k] == 0);
        memset(block, 0xAB, size); /* would spoil a neighbour that is handed out twice */
    }
    assert_string_equal(arena_string(arena, "name"), "name");
    assert_string_equal(arena_printf(arena, "layer.%d.%s", 12, "weight"), "layer.12.weight");
    assert_null(arena_alloc(arena, SIZE_MAX / 2, 4));
    assert_null(arena_alloc(arena, SIZE_MAX, 1));
    assert_non_null(strstr(lmu_error_message(), "no memory"));
    arena_close(arena);
    arena_close(NULL);
}

static void test_error_slot(void **state)
{
    (void)state;
    assert_int_equal(error_set(LMU_FORMAT, "bad %s", "magic"), LMU_FORMAT);
    assert_int_equal(error_prefix(LMU_OK, "never"), LMU_OK);
    assert_string_equal(lmu_error_message(), "bad magic");
    assert_int_equal(error_prefix(LMU_FORMAT, "%s: ", "a.bin"), LMU_FORMAT);
    assert_string_equal(lmu_error_message(), "a.bin: bad magic");
    error_set(LMU_IO, "(%s)", lmu_error_message());
    assert_string_equal(lmu_error_message(), "(a.bin: bad magic)");
    char text[5000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    error_set(LMU_IO, "%s", text);
    assert_true(strlen(lmu_error_message()) > 1000);
    error_clear();
    assert_string_equal(lmu_error_message(), "");
    assert_string_equal(lmu_version(), LMU_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_is_zero_and_checked),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_error_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
