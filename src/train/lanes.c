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
#include "model/state_tensors.h"
#include "train/trainer_internal.h"

#define STATE_FILE "state.safetensors"

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

/* What the file holds: the states of all lanes and "position" [lanes]. */
static lmu_status lane_tensors_open(State *state, StateTensors *tensors)
{
    TRY(state_tensors_open(state, -1, tensors));
    state_tensors_add(tensors, "position", SAFETENSORS_I64, state->rows, state->position);
    return LMU_OK;
}

lmu_status lanes_save(const Trainer *t, const char *directory)
{
    if (!t->carried)
        return LMU_OK;
    char *path;
    TRY(path_join(directory, STATE_FILE, &path));
    StateTensors tensors;
    lmu_status status = lane_tensors_open(t->carried, &tensors);
    if (status == LMU_OK) {
        SafetensorsText metadata = {"format", "lmu"};
        SafetensorsContent content = state_tensors_content(&tensors, &metadata, 1);
        status = safetensors_write(path, &content);
        state_tensors_close(&tensors);
    }
    free(path);
    return status;
}

/* Every tensor is looked at before any is taken. */
static lmu_status restore_tensors(const Trainer *t, const char *path, const Safetensors *stored, StateTensors *tensors)
{
    State *state = tensors->state;
    size_t count = tensors->count;
    TRY(state_tensors_find(tensors, stored));
    if (safetensors_count(stored) != count)
        return error_set(LMU_MISMATCH, "%s: holds %zu tensors; the state of this model has %zu", path,
                         safetensors_count(stored), count);
    const int64_t *position = tensors->tensors[count - 1].data;
    for (int64_t lane = 0; lane < state->rows; lane++)
        if (position[lane] != lanes_position(t, t->at.step))
            return error_set(LMU_MISMATCH, "%s: lane %lld stands at token %lld; at step %lld of the run it is %lld",
                             path, (long long)lane, (long long)position[lane], (long long)t->at.step,
                             (long long)lanes_position(t, t->at.step));
    memcpy(state->position, position, (size_t)state->rows * sizeof *position);
    state_tensors_take(tensors);
    return LMU_OK;
}

lmu_status lanes_restore(Trainer *t, const char *directory)
{
    if (!t->carried)
        return LMU_OK;
    lmu_status status;
    StateTensors tensors = {0};
    Safetensors *stored = NULL;
    char *path;
    TRY(path_join(directory, STATE_FILE, &path));
    ATTEMPT(safetensors_open(path, &stored));
    ATTEMPT(lane_tensors_open(t->carried, &tensors));
    ATTEMPT(restore_tensors(t, path, stored, &tensors));
done:
    if (status == LMU_IO || status == LMU_FORMAT || status == LMU_MISMATCH)
        error_prefix(status,
                     "the state that the lanes of this run carry cannot be read, without which it cannot go on; "
                     "another run can start from its model (lmu train --from %s --data %s --out NEW --carry): ",
                     t->request->run, t->config->data);
    state_tensors_close(&tensors);
    safetensors_close(stored);
    free(path);
    return status;
}
