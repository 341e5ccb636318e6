#include "train/optimiser.h"

#include <math.h>

double schedule_rate(const TrainConfig *config, int64_t step, double spent, double warm)
{
    if (step < config->warmup)
        return config->learning_rate * (double)(step + 1) / (double)config->warmup;
    double course = warm < 1 ? (spent - warm) / (1 - warm) : 1;
    course = course < 0 ? 0 : course > 1 ? 1 : course;
    double low = config->final_fraction;
    return config->learning_rate * (low + (1 - low) * 0.5 * (1 + cos(3.14159265358979323846 * course)));
}

double optimiser_norm(const Params *params)
{
    double squares;
    KERNEL(params->backend, sum_squares, params->length, params->gradients, &squares);
    return sqrt(squares);
}

/* Neighbours with the same decay are one call. */
void optimiser_step(Params *params, const TrainConfig *config, double rate, double scale, int64_t step)
{
    Backend *b = params->backend;
    params_write_begin(params);
    for (size_t i = 0, next; i < params->count; i = next) {
        bool decays = params->list[i]->role != PARAM_VECTOR;
        for (next = i + 1; next < params->count && (params->list[next]->role != PARAM_VECTOR) == decays; next++)
            ;
        int64_t first = params->list[i]->offset,
                end = next < params->count ? params->list[next]->offset : params->length;
        AdamW adamw = {.rate = rate,
                       .beta1 = config->beta1,
                       .beta2 = config->beta2,
                       .epsilon = config->epsilon,
                       .decay = decays ? config->weight_decay : 0,
                       .gradient_scale = scale,
                       .step = step};
        KERNEL(b, adamw, end - first, &adamw, real_at(b, params->values, first), real_at(b, params->gradients, first),
               real_at(b, params->first_moment, first), real_at(b, params->second_moment, first));
    }
    params_write_end(params);
}
