/* Choosing the next token from logits. What changes them and what is cut off comes in this order, as in Hugging Face (and as in
 * vLLM up to the temperature):
 *
 *     bias                 is added to the logits of the tokens that it names
 *     repetition_penalty   the logit of a token that occurred before, in prompt or output, is divided by it if positive and
 *                          multiplied by it if not (Keskar et al. 2019, "CTRL", in Hugging Face's form); 1: off
 *     presence_penalty     is subtracted from the logit of a token that occurred in the output, once,
 *     frequency_penalty    and this for each time that it did (OpenAI's)
 *     temperature          the distribution is softmax(logits / temperature); 0 takes the largest logit
 *     top_k                only the k largest logits remain; 0: all
 *     top_p                of those only the smallest set whose probability reaches p, the likeliest first, remains; 1: all
 *                          (nucleus sampling: Holtzman et al. 2020, "The curious case of neural text degeneration")
 *     min_p                of those only tokens remain that are at least min_p times as likely as the likeliest
 *                          (Nguyen et al. 2024, arXiv 2407.01082); 0: all
 *
 * A draw is a function of the logits, the settings, the text's counts, the seed and the position alone: the same seed gives the
 * same text in whatever company. Of equal logits the lower id comes first. */
#ifndef LMU_INFER_SAMPLE_H
#define LMU_INFER_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SAMPLE_BIAS_LIMIT 1024 /* tokens with a bias */
#define SAMPLE_BIAS_MOST 100.0
#define SAMPLE_REPETITION_LEAST 0.01
#define SAMPLE_REPETITION_MOST 100.0
#define SAMPLE_PENALTY_MOST 2.0

typedef struct LogitBias {
    int32_t token;
    double bias; /* [-100, 100] */
} LogitBias;

typedef struct SampleSettings {
    double temperature;        /* >= 0 */
    int64_t top_k;             /* >= 0 */
    double top_p;              /* (0, 1] */
    double min_p;              /* [0, 1] */
    double repetition_penalty; /* [0.01, 100]; 0, as in a struct that does not mention it, is 1 */
    double presence_penalty;   /* [-2, 2] */
    double frequency_penalty;  /* [-2, 2] */
    const LogitBias *bias;     /* bias_count of them; those of one token are added up */
    size_t bias_count;
    uint64_t seed;
} SampleSettings;

/* LMU_USAGE names the first setting that is out of its range. */
lmu_status sample_check(const SampleSettings *settings, int64_t vocabulary);
/* Whether the settings ask what occurred in the text. */
bool sample_penalises(const SampleSettings *settings);

/* LMU_NUMERIC: one of the logits is NaN or +inf, or all are -inf. */
lmu_status logits_check(const float *logits, int64_t count);

/* How often each token of a vocabulary occurred in one text: what penalties ask. Its size is that of the vocabulary, however
 * long the text. */
typedef struct History History;
lmu_status history_open(int64_t vocabulary, History **out);
void history_close(History *history); /* accepts NULL */
void history_reset(History *history); /* a new text */
/* A token that is part of the text: written, a part of the output, or read, a part of the prompt. */
void history_note(History *history, int32_t token, bool written);

typedef struct Sampler Sampler; /* workspace for one vocabulary, for any number of texts; one thread at a time */

lmu_status sampler_open(int64_t vocabulary, Sampler **out);
void sampler_close(Sampler *sampler); /* accepts NULL */

/* The token for `position` (its place in the text). `logits` has as many as the vocabulary; -inf excludes a token. Without a
 * history (NULL) nothing has occurred. LMU_NUMERIC: see logits_check. LMU_USAGE: see sample_check. */
lmu_status sampler_choose(Sampler *sampler, const SampleSettings *settings, const History *history, const float *logits,
                          int64_t position, int32_t *token);

#endif
