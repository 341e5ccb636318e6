#include "model/state_tensors.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "kernel/kernels.h"

lmu_status state_tensors_open(State *state, int64_t row, StateTensors *out)
{
    lmu_status status;
    size_t slots = (size_t)state->slots;
    *out = (StateTensors){.state = state, .row = row < 0 ? 0 : row, .count = slots};
    ATTEMPT(memory_new(&out->tensors, slots + STATE_TENSORS_EXTRA, sizeof *out->tensors, "a state's tensors"));
    ATTEMPT(memory_new(&out->names, slots + 1, sizeof *out->names, "a state's tensors"));
    for (size_t i = 0; i < slots; i++) {
        snprintf(out->names[i], sizeof out->names[i], "state.%zu", i);
        out->tensors[i] = (SafetensorsTensor){
            .name = out->names[i], .type = SAFETENSORS_F32, .rank = 1, .shape = {state->numbers[i]}};
        if (row < 0) {
            out->tensors[i].rank = 2;
            out->tensors[i].shape[0] = state->rows;
            out->tensors[i].shape[1] = state->numbers[i];
        }
    }
    return LMU_OK;
done:
    state_tensors_close(out);
    return status;
}

void state_tensors_close(StateTensors *tensors)
{
    free(tensors->tensors);
    free(tensors->names);
    *tensors = (StateTensors){0};
}

void state_tensors_add(StateTensors *tensors, const char *name, SafetensorsType type, int64_t count, const void *data)
{
    tensors->tensors[tensors->count++] =
        (SafetensorsTensor){.name = name, .type = type, .rank = 1, .shape = {count}, .data = data};
}

/* Where the numbers of a slot begin. */
static Real *slot_at(const StateTensors *tensors, size_t slot)
{
    const State *state = tensors->state;
    return real_at(state->backend, state->data, state->offset[slot] + tensors->row * state->numbers[slot]);
}

static lmu_status read_piece(void *context, const SafetensorsTensor *tensor, size_t offset, size_t size, void *out)
{
    const StateTensors *tensors = context;
    Backend *backend = tensors->state->backend;
    const Real *from = slot_at(tensors, (size_t)(tensor - tensors->tensors));
    KERNEL(backend, get_f32, (int64_t)(size / sizeof(float)), real_at(backend, from, (int64_t)(offset / sizeof(float))),
           out);
    return LMU_OK;
}

SafetensorsContent state_tensors_content(StateTensors *tensors, const SafetensorsText *metadata, size_t count)
{
    return (SafetensorsContent){.tensors = tensors->tensors,
                                .count = tensors->count,
                                .metadata = metadata,
                                .metadata_count = count,
                                .read = read_piece,
                                .context = tensors};
}

lmu_status state_tensors_find(StateTensors *tensors, const Safetensors *stored)
{
    for (size_t i = 0; i < tensors->count; i++) {
        SafetensorsTensor *tensor = &tensors->tensors[i];
        TRY(safetensors_get(stored, tensor->name, tensor->type, tensor->rank, tensor->shape, &tensor->data));
    }
    return LMU_OK;
}

void state_tensors_take(const StateTensors *tensors)
{
    const State *state = tensors->state;
    for (int i = 0; i < state->slots; i++) {
        const SafetensorsTensor *tensor = &tensors->tensors[i];
        int64_t rows = tensor->rank == 2 ? tensor->shape[0] : 1;
        KERNEL(state->backend, put_f32, rows * state->numbers[i], tensor->data, slot_at(tensors, (size_t)i));
    }
}
