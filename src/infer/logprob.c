#include "infer/logprob.h"

#include <math.h>
#include <string.h>

#include "infer/sample.h"

/* Puts the token in its place among the `limit` likeliest; `value` holds logits here. Tokens come in the order of their ids. */
static void insert_likely(Logprobs *found, int limit, int32_t token, double logit)
{
    int place = found->count;
    while (place > 0 && found->likeliest[place - 1].value < logit)
        place--;
    if (place == limit)
        return;
    if (found->count < limit)
        found->count++;
    Logprob *hole = &found->likeliest[place];
    memmove(hole + 1, hole, (size_t)(found->count - 1 - place) * sizeof *hole);
    *hole = (Logprob){token, logit};
}

lmu_status logprobs_find(const float *logits, int64_t vocabulary, int32_t token, int64_t alternatives, Logprobs *out)
{
    *out = (Logprobs){0};
    if (alternatives < 0 || alternatives > LOGPROB_LIMIT)
        return error_set(LMU_USAGE, "log-probabilities of 0 to %d alternatives can be asked for, not of %lld",
                         LOGPROB_LIMIT, (long long)alternatives);
    if (token < 0 || token >= vocabulary)
        return error_set(LMU_USAGE, "token id %d is outside the vocabulary: ids go from 0 to %lld", (int)token,
                         (long long)vocabulary - 1);
    TRY(logits_check(logits, vocabulary));
    double largest = (double)-INFINITY, sum = 0;
    for (int64_t i = 0; i < vocabulary; i++) {
        largest = fmax(largest, logits[i]);
        if (logits[i] > -INFINITY)
            insert_likely(out, (int)alternatives, (int32_t)i, logits[i]);
    }
    for (int64_t i = 0; i < vocabulary; i++)
        sum += exp(logits[i] - largest);
    double scale =
        log(sum); /* of the exponentials when the largest is 1; not added to `largest`, which would round it */
    out->chosen = logits[token] - largest - scale;
    for (int i = 0; i < out->count; i++)
        out->likeliest[i].value = out->likeliest[i].value - largest - scale;
    return LMU_OK;
}
