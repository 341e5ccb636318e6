/* Stream states: rows that are copied, reset and kept apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "kernel/kernels.h"
#include "tensor/state.h"

static const int64_t numbers[3] = {5, 1, 7};

static double number_at(const State *state, int slot, int64_t row, int64_t i)
{
    double value;
    KERNEL(state->backend, get_f64, 1,
           real_at(state->backend, state->data, state->offset[slot] + row * state->numbers[slot] + i), &value);
    return value;
}

/* Every number of a row is `value`. */
static void fill_row(State *state, int64_t row, double value)
{
    for (int slot = 0; slot < state->slots; slot++)
        KERNEL(state->backend, fill, state->numbers[slot], value,
               real_at(state->backend, state->data, state->offset[slot] + row * state->numbers[slot]));
    state->position[row] = (int64_t)value;
}

static void assert_row(const State *state, int64_t row, double value)
{
    assert_int_equal(state->position[row], (int64_t)value);
    for (int slot = 0; slot < state->slots; slot++)
        for (int64_t i = 0; i < state->numbers[slot]; i++)
            assert_true(number_at(state, slot, row, i) == value);
}

static void rows_are_streams_of_their_own(void **unused)
{
    (void)unused;
    Backend *backend;
    State *a, *b;
    assert_int_equal(backend_open(BACKEND_CPU, 1, true, &backend), LMU_OK);
    assert_int_equal(state_open(backend, 3, numbers, 4, &a), LMU_OK);
    assert_int_equal(state_open(backend, 3, numbers, 2, &b), LMU_OK);
    assert_int_equal(state_row_bytes(a), 13 * sizeof(float));
    for (int64_t row = 0; row < 4; row++) {
        assert_row(a, row, 0); /* a new stream has read nothing */
        fill_row(a, row, (double)(row + 1));
    }
    state_copy(b, 1, a, 2);
    assert_row(b, 0, 0);
    assert_row(b, 1, 3);
    state_copy(a, 0, a, 3);
    state_reset(a, 2);
    assert_row(a, 0, 4);
    assert_row(a, 1, 2);
    assert_row(a, 2, 0);
    assert_row(a, 3, 4);
    assert_row(b, 1, 3);
    state_close(a);
    state_close(b);
    state_close(NULL);
    assert_int_equal(state_open(backend, 0, NULL, 2, &a), LMU_OK); /* a model that does not look back */
    assert_int_equal(state_row_bytes(a), 0);
    state_reset(a, 1);
    state_close(a);
    backend_close(backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_are_streams_of_their_own)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
