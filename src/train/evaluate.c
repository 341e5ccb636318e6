#include "train/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define TOKENS 4096 /* about so many at a time */

lmu_status evaluator_open(Model *model, const EvalCut *cut, Evaluator *out)
{
    memset(out, 0, sizeof *out);
    if (cut->context < 1 || cut->stride < 1 || cut->stride > cut->context)
        return error_set(LMU_USAGE,
                         "a context of %lld tokens with a stride of %lld: the stride must be 1 to the context",
                         (long long)cut->context, (long long)cut->stride);
    lmu_status status;
    Evaluator e = {.model = model, .cut = *cut};
    e.rows = cut->carry || cut->context >= TOKENS ? 1 : (int)(TOKENS / cut->context);
    int64_t tokens = e.rows * cut->context;
    ATTEMPT(model_graph(model, GRAPH_SCORE, e.rows, tokens, 0, &e.graph, &e.loss));
    ATTEMPT(memory_new(&e.ids, (size_t)tokens, sizeof *e.ids, "evaluation"));
    ATTEMPT(memory_new(&e.targets, (size_t)tokens, sizeof *e.targets, "evaluation"));
    ATTEMPT(memory_new(&e.losses, (size_t)tokens, sizeof *e.losses, "evaluation"));
    ATTEMPT(memory_new(&e.count, (size_t)e.rows, sizeof *e.count, "evaluation"));
    ATTEMPT(memory_new(&e.part, (size_t)e.rows, sizeof(EvalResult *), "evaluation"));
    if (cut->carry) {
        const int64_t *numbers;
        int slots = graph_states(e.graph, &numbers);
        ATTEMPT(state_open(model->backend, slots, numbers, 1, &e.state));
    }
    *out = e;
    return LMU_OK;
done:
    evaluator_close(&e);
    return status;
}

void evaluator_close(Evaluator *evaluator)
{
    graph_close(evaluator->graph);
    state_close(evaluator->state);
    free(evaluator->ids);
    free(evaluator->targets);
    free(evaluator->losses);
    free(evaluator->count);
    free(evaluator->part);
    memset(evaluator, 0, sizeof *evaluator);
}

/* Puts one window into the batch, behind `filled` tokens: targets that are not to be counted become -1. */
static void evaluator_fill(Evaluator *e, const Shard *text, int64_t first, int64_t length, int64_t scored,
                           int64_t filled)
{
    int32_t *targets = e->targets + filled;
    shard_read(text, first, length, e->ids + filled);
    shard_read(text, first + 1, length, targets);
    for (int64_t i = 0; i < length - scored; i++)
        targets[i] = -1;
}

static lmu_status evaluator_batch(Evaluator *e, int rows, int64_t tokens, const uint32_t *lengths, EvalResult *out)
{
    Run run = {.rows = rows, .count = e->count, .ids = e->ids, .targets = e->targets, .state = e->state};
    TRY(graph_run(e->graph, &run));
    graph_get_f32(e->graph, e->loss, tokens, e->losses);
    int64_t i = 0, end = 0;
    for (int row = 0; row < rows; row++) {
        for (end += e->count[row]; i < end; i++) {
            if (e->targets[i] < 0)
                continue;
            eval_add(out, e->targets + i, 1, lengths, (double)e->losses[i]);
            if (e->part[row])
                eval_add(e->part[row], e->targets + i, 1, lengths, (double)e->losses[i]);
        }
    }
    if (!isfinite(out->nats))
        return error_set(LMU_NUMERIC, "the loss on held-out text is not finite: the model is broken");
    return LMU_OK;
}

lmu_status evaluator_run(Evaluator *e, const Shard *text, int64_t limit, const uint32_t *lengths, Progress *progress,
                         EvalResult *out)
{
    memset(out, 0, sizeof *out);
    if (text->vocabulary > e->model->config.vocabulary)
        return error_set(LMU_MISMATCH, "the text has a vocabulary of %lld tokens, the model one of %lld",
                         (long long)text->vocabulary, (long long)e->model->config.vocabulary);
    if (text->count < 2)
        return error_set(LMU_USAGE, "the text has %lld tokens: at least 2 are needed to predict one",
                         (long long)text->count);
    if (e->state)
        state_reset(e->state, 0);
    int64_t windows = (text->count - 1 + e->cut.stride - 1) / e->cut.stride, every = 1;
    int64_t wanted = limit > 0 ? (limit + e->cut.stride - 1) / e->cut.stride : windows;
    wanted = wanted < windows ? wanted : windows;
    if (!e->cut.carry)
        every = windows / wanted;
    int64_t first, length, scored, filled = 0, done = 0;
    int rows = 0;
    for (int64_t index = 0; done < wanted && eval_window(&e->cut, text->count, index, &first, &length, &scored);
         index += every, done++) {
        evaluator_fill(e, text, first, length, scored, filled);
        e->part[rows] = eval_part(&e->cut, text->count, index);
        e->count[rows++] = length;
        filled += length;
        if (rows < e->rows)
            continue;
        TRY(evaluator_batch(e, rows, filled, lengths, out));
        filled = rows = 0;
        progress_report(progress, "evaluating", (double)(done + 1), (double)wanted, "windows", NULL);
        if (progress_interrupted(progress))
            return error_set(LMU_INTERRUPTED, "interrupted while evaluating");
    }
    if (rows > 0)
        TRY(evaluator_batch(e, rows, filled, lengths, out));
    progress_report(progress, "evaluating", (double)wanted, (double)wanted, "windows", NULL);
    return LMU_OK;
}
