#include "model/anatomy.h"

#include <math.h>
#include <string.h>

#include "tensor/summary.h"

#define PIECE 4096

/* Two passes, the mean first: a sum of squares alone would lose a small deviation about a large mean. */
lmu_status param_statistics(const Params *params, const Param *param, ParamStatistics *out)
{
    float piece[PIECE];
    double sum = 0, squares = 0;
    int64_t finite = 0;
    memset(out, 0, sizeof *out);
    if (!params->sealed)
        return error_set(LMU_USAGE, "the parameters of %s have no values yet", param->name);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t done = 0; done < param->size; done += PIECE) {
            int64_t count = param->size - done < PIECE ? param->size - done : PIECE;
            param_get_f32(params, param, done, count, piece);
            for (int64_t i = 0; i < count; i++) {
                double value = (double)piece[i];
                if (!isfinite(value)) {
                    out->not_finite += pass == 0;
                } else if (pass == 0) {
                    sum += value;
                    finite++;
                    out->largest = fmax(out->largest, fabs(value));
                } else {
                    squares += (value - sum / (double)finite) * (value - sum / (double)finite);
                }
            }
        }
    if (finite > 0) {
        out->mean = sum / (double)finite;
        out->deviation = sqrt(squares / (double)finite);
    }
    return LMU_OK;
}

lmu_status model_outline(Model *model, GraphMode mode, int flags, int rows, int64_t length, MemoryPlan *out,
                         Graph **outline)
{
    Graph *g;
    Tensor *result;
    PlanSummary summary;
    const int64_t *numbers;
    memset(out, 0, sizeof *out);
    if (rows < 1 || length < 1 || length > ((int64_t)1 << 40) / rows)
        return error_set(LMU_USAGE, "%d rows of %lld tokens cannot be planned", rows, (long long)length);
    int64_t real = (int64_t)model->backend->real_size, learnt = model->params->learnt * real;
    TRY(model_graph(model, mode, rows, rows * length, flags | GRAPH_OUTLINE, &g, &result));
    lmu_status status = graph_summary(g, length, &summary);
    *out = (MemoryPlan){.rows = rows,
                        .tokens = rows * length,
                        .parameters = model->params->length * real + (int64_t)model->params->int8_bytes,
                        .derived = (int64_t)summary.derived,
                        .gradients = mode == GRAPH_TRAIN ? learnt : 0,
                        .moments = mode == GRAPH_TRAIN ? 2 * learnt : 0,
                        .activations = (int64_t)summary.activations,
                        .constants = (int64_t)summary.constants,
                        .largest = graph_largest_buffer(g) * real,
                        .workspace = (int64_t)summary.workspace,
                        .flops = graph_flops(g, length) * (mode == GRAPH_TRAIN ? 3 : 1)};
    for (int i = graph_states(g, &numbers) - 1; i >= 0; i--)
        out->state += numbers[i] * real;
    plan_summary_free(&summary);
    if (status == LMU_OK)
        *outline = g;
    else
        graph_close(g);
    return status;
}

lmu_status model_memory(Model *model, GraphMode mode, int flags, int rows, int64_t length, MemoryPlan *out)
{
    Graph *outline = NULL;
    lmu_status status = model_outline(model, mode, flags, rows, length, out, &outline);
    graph_close(outline);
    return status;
}

int64_t memory_plan_total(const MemoryPlan *plan)
{
    int64_t states = plan->gradients > 0 ? 0 : plan->rows * plan->state;
    return plan->parameters + plan->derived + plan->gradients + plan->moments + plan->activations + plan->constants +
           plan->workspace + states;
}
