/* How well held-out text is predicted. Every model, neural or counted, is measured with this one struct, so that figures can be
 * compared whatever the tokenizer: bits per byte = nats / ln 2 / bytes. */
#ifndef LMU_TEXT_SCORE_H
#define LMU_TEXT_SCORE_H

#include <stdint.h>

typedef struct EvalResult {
    int64_t tokens; /* predicted */
    int64_t bytes;  /* of text that these tokens stand for (tokenizer_lengths: special tokens have none) */
    double nats;    /* sum of -ln p(token) */
} EvalResult;

/* Adds `count` predicted tokens that cost `nats` together. `lengths` are tokenizer_lengths; NULL counts no bytes. */
void eval_add(EvalResult *result, const int32_t *targets, int64_t count, const uint32_t *lengths, double nats);

double eval_loss(const EvalResult *result);          /* nats a token; NaN when no token was predicted */
double eval_perplexity(const EvalResult *result);    /* e^loss */
double eval_bits_per_byte(const EvalResult *result); /* NaN when the tokens stand for no byte */

#endif
