#include "train/optimiser.h"

#include <math.h>

/* Between two moves of a matrix, where steps have fewer tokens. Of more steps the loss begins to suffer, and momentum forgets: that of 4
 * holds the gradients of all of them at 0.86 and more. */
enum { MUON_TOKENS = 4096, MUON_STEPS = 4 };

double schedule_course(const TrainConfig *config, double spent, double warm)
{
    if (spent < warm)
        return 1;
    if (config->schedule == SCHEDULE_WSD) {
        double left = config->decay > 0 ? (1 - spent) / config->decay : 1;
        return left < 1 ? left : 1;
    }
    double course = warm < 1 ? (spent - warm) / (1 - warm) : 1;
    course = course < 0 ? 0 : course > 1 ? 1 : course;
    return 0.5 * (1 + cos(3.14159265358979323846 * course));
}

double schedule_rate(const TrainConfig *config, int64_t step, double spent, double warm)
{
    if (step < config->warmup)
        return config->learning_rate * (double)(step + 1) / (double)config->warmup;
    double low = config->final_fraction;
    return config->learning_rate * (low + (1 - low) * schedule_course(config, spent, warm));
}

double optimiser_norm(const Params *params)
{
    double squares;
    KERNEL(params->backend, sum_squares, params->learnt, params->gradients, &squares);
    return sqrt(squares);
}

static bool decays(const Param *param)
{
    return param->role != PARAM_VECTOR && param->role != PARAM_MEMORY;
}

/* Whether AdamW moves both alike. */
static bool alike(const Param *a, const Param *b)
{
    return decays(a) == decays(b) && (a->role == PARAM_MEMORY) == (b->role == PARAM_MEMORY);
}

/* Parameters first..next-1, which are all alike, in one call. */
static void adamw_step(Params *params, const TrainConfig *config, size_t first, size_t next, const AdamW *adamw)
{
    Backend *b = params->backend;
    AdamW step = *adamw;
    int64_t start = params->list[first]->offset,
            end = next < params->learnt_count ? params->list[next]->offset : params->learnt;
    step.decay = decays(params->list[first]) ? config->weight_decay : 0;
    step.rate *= params->list[first]->role == PARAM_MEMORY ? config->memory_rate : 1;
    KERNEL(b, adamw, end - start, &step, real_at(b, params->values, start), real_at(b, params->gradients, start),
           real_at(b, params->first_moment, start), real_at(b, params->second_moment, start));
}

AdamW optimiser_adamw(const TrainConfig *config, double rate, double scale, int64_t step)
{
    return (AdamW){.rate = rate,
                   .beta1 = config->beta1,
                   .beta2 = config->beta2,
                   .epsilon = config->epsilon,
                   .gradient_scale = scale,
                   .step = step};
}

int64_t optimiser_interval(const TrainConfig *config)
{
    if (config->optimizer != OPTIMISER_MUON)
        return 1;
    if (config->muon_interval > 0)
        return config->muon_interval;
    double steps = ceil(MUON_TOKENS / ((double)config->batch * (double)config->length));
    return steps < MUON_STEPS ? (int64_t)steps : MUON_STEPS;
}

void optimiser_step(Params *params, const TrainConfig *config, Muon *muon, double rate, double scale, int64_t step)
{
    AdamW adamw = optimiser_adamw(config, rate, scale, step);
    MuonStep orthogonal = {.rate = rate,
                           .decay = config->weight_decay,
                           .momentum = config->momentum,
                           .gradient_scale = scale,
                           .interval = optimiser_interval(config),
                           .turn = step};
    Param *const *list = params->list;
    params_write_begin(params);
    for (size_t i = 0, next; i < params->learnt_count; i = next) {
        next = i + 1;
        if (muon && muon_moves(list[i])) {
            muon_step(muon, params, list[i], &orthogonal);
            orthogonal.turn += list[i]->maps; /* others in other steps */
            continue;
        }
        while (next < params->learnt_count && alike(list[next], list[i]) && !(muon && muon_moves(list[next])))
            next++;
        adamw_step(params, config, i, next, &adamw);
    }
    params_write_end(params);
}
