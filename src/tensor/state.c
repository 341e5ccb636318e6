#include "tensor/state.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kernel/kernels.h"

lmu_status state_open(Backend *backend, int slots, const int64_t *numbers, int64_t rows, State **out)
{
    lmu_status status;
    State *state = NULL;
    ATTEMPT(memory_new(&state, 1, sizeof *state, "a stream state"));
    state->backend = backend;
    state->rows = rows;
    state->slots = slots;
    ATTEMPT(memory_new(&state->numbers, (size_t)slots, sizeof *state->numbers, "a stream state"));
    ATTEMPT(memory_new(&state->offset, (size_t)slots, sizeof *state->offset, "a stream state"));
    ATTEMPT(memory_new(&state->position, (size_t)rows, sizeof *state->position, "a stream state"));
    int64_t total = 0;
    for (int i = 0; i < slots; i++) {
        int64_t size;
        state->numbers[i] = numbers[i];
        state->offset[i] = total;
        if (__builtin_mul_overflow(rows, numbers[i], &size) || __builtin_add_overflow(total, size, &total) ||
            total > INT64_MAX / (int64_t)backend->real_size) {
            status = error_set(LMU_MEMORY, "a stream state for %lld rows is too large", (long long)rows);
            goto done;
        }
    }
    ATTEMPT(backend_alloc(backend, (size_t)total * backend->real_size, &state->data));
    *out = state;
    return LMU_OK;
done:
    state_close(state);
    return status;
}

void state_close(State *state)
{
    if (!state)
        return;
    backend_free(state->backend, state->data);
    free(state->numbers);
    free(state->offset);
    free(state->position);
    free(state);
}

static Real *state_slot_row(const State *state, int slot, int64_t row)
{
    return real_at(state->backend, state->data, state->offset[slot] + row * state->numbers[slot]);
}

void state_reset(State *state, int64_t row)
{
    state->position[row] = 0;
    for (int i = 0; i < state->slots; i++)
        KERNEL(state->backend, fill, state->numbers[i], 0, state_slot_row(state, i, row));
}

void state_copy(State *to, int64_t to_row, const State *from, int64_t from_row)
{
    to->position[to_row] = from->position[from_row];
    for (int i = 0; i < to->slots; i++)
        KERNEL(to->backend, copy, to->numbers[i], state_slot_row(from, i, from_row), state_slot_row(to, i, to_row),
               false);
}

int64_t state_row_bytes(const State *state)
{
    int64_t total = 0;
    for (int i = 0; i < state->slots; i++)
        total += state->numbers[i];
    return total * (int64_t)state->backend->real_size;
}
