/* Choosing the next token from logits.
 *
 *     temperature   the distribution is softmax(logits / temperature); 0 takes the largest logit
 *     top_k         only the k largest logits remain; 0: all
 *     top_p         of those only the smallest set whose probability reaches p, the likeliest first, remains; 1: all
 *                   (nucleus sampling: Holtzman et al. 2020, "The curious case of neural text degeneration")
 *
 * A draw is a function of the logits, the settings, the seed and the position alone: the same seed gives the same text in
 * whatever company, and a generation that is resumed goes on as if it had not stopped. Of equal logits the lower id comes first. */
#ifndef LMU_INFER_SAMPLE_H
#define LMU_INFER_SAMPLE_H

#include <stdint.h>

#include "base/error.h"

typedef struct SampleSettings {
    double temperature; /* >= 0 */
    int64_t top_k;      /* >= 0 */
    double top_p;       /* (0, 1] */
    uint64_t seed;
} SampleSettings;

typedef struct Sampler Sampler; /* workspace for one vocabulary; one thread at a time */

lmu_status sampler_open(int64_t vocabulary, Sampler **out);
void sampler_close(Sampler *sampler); /* accepts NULL */

/* The token for `position` (its place in the text). `logits` has as many as the vocabulary; -inf excludes a token. LMU_NUMERIC:
 * a logit is NaN or +inf, or all are -inf. LMU_USAGE: settings out of range. */
lmu_status sampler_choose(Sampler *sampler, const SampleSettings *settings, const float *logits, int64_t position,
                          int32_t *token);

#endif
