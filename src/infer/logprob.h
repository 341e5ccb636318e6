/* Log-probabilities of tokens under the model's own distribution, softmax(logits): no bias, penalty, temperature or cut is in
 * them. Sums are of doubles in an order of their own, so the same logits give the same bits. */
#ifndef LMU_INFER_LOGPROB_H
#define LMU_INFER_LOGPROB_H

#include <stdint.h>

#include "base/error.h"

#define LOGPROB_LIMIT 20 /* alternatives */

typedef struct Logprob {
    int32_t token;
    double value; /* nats, <= 0 */
} Logprob;

typedef struct Logprobs {
    double chosen;                    /* of the token asked about; -inf where its logit is */
    int count;                        /* of the likeliest, fewer than asked for where no more are possible */
    Logprob likeliest[LOGPROB_LIMIT]; /* the likeliest first; of equal ones the lower id */
} Logprobs;

/* Of `token` and of the `alternatives` (0 to LOGPROB_LIMIT) likeliest. LMU_USAGE: one of them is out of range. LMU_NUMERIC: see
 * logits_check. */
lmu_status logprobs_find(const float *logits, int64_t vocabulary, int32_t token, int64_t alternatives, Logprobs *out);

#endif
