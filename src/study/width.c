/* Widths by non-embedding parameters. */
#include "model/model.h"
#include "study/planner.h"

lmu_status count_parameters(Backend *backend, const ModelConfig *config, int64_t *all, int64_t *non_embedding)
{
    Model *model;
    TRY(model_open(backend, config, &model));
    *all = params_total(model->params);
    *non_embedding = params_non_embedding(model->params);
    model_close(model);
    return LMU_OK;
}

/* The heads of both kinds must share the channels, and so must groups. */
static int64_t width_step(const ModelConfig *config, int64_t multiple)
{
    int64_t step = multiple, heads = config->heads > 0 ? config->heads : 1;
    int64_t groups = config->theta_groups.count > 0 ? config->theta_groups.count : 1;
    while (step % heads != 0 || step % config->memory_heads != 0 || step % groups != 0)
        step += multiple;
    return step;
}

/* The width whose non-embedding parameters are nearest to the target; they grow with it. */
lmu_status solve_width(Backend *backend, ModelConfig *config, int64_t target, int64_t multiple)
{
    int64_t step = width_step(config, multiple), low = 1, high = 65536 / step, all, count, below = 0, above = 0;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        config->dim = middle * step;
        TRY(count_parameters(backend, config, &all, &count));
        if (count < target)
            low = middle + 1;
        else
            high = middle;
    }
    config->dim = low * step;
    TRY(count_parameters(backend, config, &all, &above));
    if (low == 1)
        return LMU_OK;
    config->dim = (low - 1) * step;
    TRY(count_parameters(backend, config, &all, &below));
    if (above - target < target - below)
        config->dim = low * step;
    return LMU_OK;
}
