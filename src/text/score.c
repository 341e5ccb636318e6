#include "text/score.h"

#include <math.h>
#include <stddef.h>

void eval_add(EvalResult *result, const int32_t *targets, int64_t count, const uint32_t *lengths, double nats)
{
    result->tokens += count;
    result->nats += nats;
    for (int64_t i = 0; lengths != NULL && i < count; i++)
        result->bytes += lengths[targets[i]];
}

double eval_loss(const EvalResult *result)
{
    return result->tokens > 0 ? result->nats / (double)result->tokens : (double)NAN;
}

double eval_perplexity(const EvalResult *result)
{
    return exp(eval_loss(result));
}

double eval_bits_per_byte(const EvalResult *result)
{
    return result->bytes > 0 ? result->nats / M_LN2 / (double)result->bytes : (double)NAN;
}
