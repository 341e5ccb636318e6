/* Training with carried state (--carry): truncated back-propagation through time.
 *
 * The windows of a step are the next ones of as many lanes, each a contiguous text; every lane is a stream whose state goes on from
 * step to step, while gradients stay inside a step. `carried` holds the streams as the last whole step left them, `working` those
 * of the step in progress: a step that is given up, or a run that only measures, leaves no trace. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "base/memory.h"
#include "model/safetensors.h"
#include "train/trainer_internal.h"

#define STATE_FILE "state.safetensors"
#define SLOT_NAME 32

/* -- streams -- */

/* A model that cannot read so far is refused before training starts, not where a lane comes to its end. One window more than the
 * run's own steps is read where a checkpoint is checked. */
static lmu_status refuse_bounded(const Trainer *t)
{
    int64_t budget = train_steps(t->config), steps = t->windows.steps;
    if (budget > 0 && budget < steps)
        steps = budget + 1;
    lmu_status status = graph_check_reach(t->graph, steps * t->config->length);
    return error_prefix(status,
                        "--carry: a lane goes on for %lld tokens and its state with it, for which the state of this "
                        "%s is too small. Choose a model whose state has no limit (lmu, lmu-paper, lstm), a --window, "
                        "a --context as long as that, or --no-carry: ",
                        (long long)(steps * t->config->length), t->model->arch->name);
}

lmu_status lanes_open(Trainer *t)
{
    if (!t->config->carry)
        return LMU_OK;
    if (!t->model->arch->causal)
        return error_set(LMU_USAGE, "--carry: %s has no state to carry, as it does not read from left to right",
                         t->model->arch->name);
    TRY(refuse_bounded(t));
    const int64_t *numbers;
    int slots = graph_states(t->graph, &numbers);
    TRY(state_open(t->backend, slots, numbers, t->config->batch, &t->carried));
    TRY(state_open(t->backend, slots, numbers, t->config->batch, &t->working));
    return memory_new(&t->lane, (size_t)t->micro, sizeof *t->lane, "the lanes of a batch");
}

void lanes_close(Trainer *t)
{
    state_close(t->carried);
    state_close(t->working);
    free(t->lane);
}

double lanes_pending_bytes(const Trainer *t)
{
    return t->carried && graph_keeps_start(t->graph) ? (double)(t->carried->rows * state_row_bytes(t->carried)) : 0;
}

void lanes_say(const Trainer *t)
{
    char lane[32], state[32];
    if (t->carried)
        progress_say(t->progress, "%lld lanes of %s tokens a pass, whose states of %s each are carried",
                     (long long)t->windows.lanes,
                     format_count((double)(t->windows.steps * t->config->length), lane, sizeof lane),
                     format_bytes((double)state_row_bytes(t->carried), state, sizeof state));
}

void lanes_enter(Trainer *t, int64_t first, int rows, Run *run)
{
    if (!t->carried)
        return;
    for (int r = 0; r < rows; r++) {
        t->lane[r] = (first + r) % t->config->batch;
        if (windows_starts(&t->windows, first + r))
            state_reset(t->working, t->lane[r]);
        else
            state_copy(t->working, t->lane[r], t->carried, t->lane[r]);
    }
    run->slot = t->lane;
    run->state = t->working;
}

void lanes_advance(Trainer *t)
{
    State *left = t->working;
    t->working = t->carried;
    t->carried = left;
}

/* -- state.safetensors -- */

/* Tokens that each lane has read of its segment when `step` steps are done. */
static int64_t lanes_position(const Trainer *t, int64_t step)
{
    return step > 0 ? ((step - 1) % t->windows.steps + 1) * t->config->length : 0;
}

/* What the file holds: "position" [lanes] and for each slot "state.I" [lanes x numbers]. */
typedef struct StateFile {
    State *state;
    SafetensorsTensor *tensors; /* the slots, then the positions */
    char *names;
} StateFile;

static lmu_status state_file_open(State *state, StateFile *file)
{
    size_t slots = (size_t)state->slots;
    *file = (StateFile){.state = state};
    TRY(memory_new(&file->tensors, slots + 1, sizeof *file->tensors, "a state file"));
    lmu_status status = memory_new(&file->names, slots + 1, SLOT_NAME, "a state file");
    if (status != LMU_OK) {
        free(file->tensors);
        return status;
    }
    for (size_t i = 0; i < slots; i++) {
        char *name = file->names + i * SLOT_NAME;
        snprintf(name, SLOT_NAME, "state.%zu", i);
        file->tensors[i] = (SafetensorsTensor){
            .name = name, .type = SAFETENSORS_F32, .rank = 2, .shape = {state->rows, state->numbers[i]}};
    }
    file->tensors[slots] =
        (SafetensorsTensor){.name = "position", .type = SAFETENSORS_I64, .rank = 1, .shape = {state->rows}};
    return LMU_OK;
}

static void state_file_close(StateFile *file)
{
    free(file->tensors);
    free(file->names);
}

static lmu_status read_piece(void *context, const SafetensorsTensor *tensor, size_t offset, size_t size, void *out)
{
    const StateFile *file = context;
    size_t slot = (size_t)(tensor->name - file->names) / SLOT_NAME;
    Backend *backend = file->state->backend;
    int64_t start = file->state->offset[slot] + (int64_t)(offset / sizeof(float));
    KERNEL(backend, get_f32, (int64_t)(size / sizeof(float)), real_at(backend, file->state->data, start), out);
    return LMU_OK;
}

lmu_status lanes_save(const Trainer *t, const char *directory)
{
    if (!t->carried)
        return LMU_OK;
    char *path = path_join(directory, STATE_FILE);
    if (!path)
        return LMU_MEMORY;
    StateFile file;
    lmu_status status = state_file_open(t->carried, &file);
    if (status == LMU_OK) {
        file.tensors[t->carried->slots].data = t->carried->position;
        SafetensorsText metadata = {"format", "lmu"};
        SafetensorsContent content = {.tensors = file.tensors,
                                      .count = (size_t)t->carried->slots + 1,
                                      .metadata = &metadata,
                                      .metadata_count = 1,
                                      .read = read_piece,
                                      .context = &file};
        status = safetensors_write(path, &content);
        state_file_close(&file);
    }
    free(path);
    return status;
}

/* Every tensor is looked at before any is taken. */
static lmu_status restore_tensors(const Trainer *t, const char *path, const Safetensors *stored, StateFile *file)
{
    State *state = file->state;
    size_t count = (size_t)state->slots + 1;
    for (size_t i = 0; i < count; i++) {
        SafetensorsTensor *tensor = &file->tensors[i];
        TRY(safetensors_get(stored, tensor->name, tensor->type, tensor->rank, tensor->shape, &tensor->data));
    }
    if (safetensors_count(stored) != count)
        return error_set(LMU_MISMATCH, "%s: holds %zu tensors; the state of this model has %zu", path,
                         safetensors_count(stored), count);
    const int64_t *position = file->tensors[count - 1].data;
    for (int64_t lane = 0; lane < state->rows; lane++)
        if (position[lane] != lanes_position(t, t->at.step))
            return error_set(LMU_MISMATCH, "%s: lane %lld stands at token %lld; at step %lld of the run it is %lld",
                             path, (long long)lane, (long long)position[lane], (long long)t->at.step,
                             (long long)lanes_position(t, t->at.step));
    memcpy(state->position, position, (size_t)state->rows * sizeof *position);
    for (int i = 0; i < state->slots; i++)
        KERNEL(state->backend, put_f32, state->rows * state->numbers[i], file->tensors[i].data,
               real_at(state->backend, state->data, state->offset[i]));
    return LMU_OK;
}

lmu_status lanes_restore(Trainer *t, const char *directory)
{
    if (!t->carried)
        return LMU_OK;
    lmu_status status;
    StateFile file = {0};
    Safetensors *stored = NULL;
    char *path = path_join(directory, STATE_FILE);
    if (!path)
        return LMU_MEMORY;
    ATTEMPT(safetensors_open(path, &stored));
    ATTEMPT(state_file_open(t->carried, &file));
    ATTEMPT(restore_tensors(t, path, stored, &file));
done:
    if (status == LMU_IO || status == LMU_FORMAT || status == LMU_MISMATCH)
        error_prefix(status,
                     "the state that the lanes of this run carry cannot be read, without which it cannot go on; "
                     "another run can start from its model (lmu train --from %s --data %s --out NEW --carry): ",
                     t->request->run, t->config->data);
    state_file_close(&file);
    safetensors_close(stored);
    free(path);
    return status;
}
