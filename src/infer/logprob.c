#include "infer/logprob.h"

#include <math.h>
#include <string.h>

#include "infer/sample.h"

/* Sums and maxima are kept in LANES, of which a compiler makes vectors: lane k has every LANES-th number from k on. */
#define LANES 8

/* e^x for x <= 0, to one unit in the last place; below 1e-304 it is that. It is written out, by the Taylor sum of e^r on |r| <= ln(2)/2,
 * because a call for each token of a vocabulary takes longer than a small model. */
static inline double exponential(double x)
{
    static const double shift = 0x1.8p52; /* behind its addition the last bits of the sum are a whole number */
    static const double ln2_high = 0x1.62e42fefa3800p-1, ln2_low = 0x1.ef35793c76730p-45;
    x = x < -700 ? -700 : x;
    double shifted = x * 0x1.71547652b82fep+0 + shift, whole = shifted - shift;
    double r = (x - whole * ln2_high) - whole * ln2_low;
    double r2 = r * r, r4 = r2 * r2; /* in groups that do not wait for one another */
    double from0 = 1 + r + (1.0 / 2 + r * (1.0 / 6)) * r2;
    double from4 = 1.0 / 24 + r * (1.0 / 120) + (1.0 / 720 + r * (1.0 / 5040)) * r2;
    double from8 = 1.0 / 40320 + r * (1.0 / 362880) + (1.0 / 3628800 + r * (1.0 / 39916800)) * r2;
    double from12 = 1.0 / 479001600 + r * (1.0 / 6227020800);
    double sum = from0 + (from4 + (from8 + from12 * r4) * r4) * r4;
    uint64_t bits, exponent;
    memcpy(&bits, &sum, sizeof bits);
    memcpy(&exponent, &shifted, sizeof exponent);
    bits += exponent << 52; /* times 2^whole */
    memcpy(&sum, &bits, sizeof sum);
    return sum;
}

/* Those from `done` on, of which there are LANES or fewer. */
static void add_exponentials(const float *logits, int64_t count, double largest, double *sum)
{
    for (int64_t k = 0; k < count; k++)
        sum[k] += exponential(logits[k] - largest);
}

/* The sum of exp(logit - largest). */
static double sum_exponentials(const float *logits, int64_t count, double largest)
{
    double sum[LANES] = {0}, all = 0;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        add_exponentials(logits + i, LANES, largest, sum);
    add_exponentials(logits + i, count - i, largest, sum);
    for (int k = 0; k < LANES; k++)
        all += sum[k];
    return all;
}

/* The largest logit; NaN if one is NaN or +inf. */
static float find_largest(const float *logits, int64_t count)
{
    float most[LANES], all = -INFINITY;
    int32_t bad[LANES] = {0}, any = 0;
    for (int k = 0; k < LANES; k++)
        most[k] = -INFINITY;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int k = 0; k < LANES; k++) {
            most[k] = logits[i + k] > most[k] ? logits[i + k] : most[k];
            bad[k] |= !(logits[i + k] < INFINITY);
        }
    for (; i < count; i++) {
        most[0] = logits[i] > most[0] ? logits[i] : most[0];
        bad[0] |= !(logits[i] < INFINITY);
    }
    for (int k = 0; k < LANES; k++) {
        all = most[k] > all ? most[k] : all;
        any |= bad[k];
    }
    return any ? NAN : all;
}

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
    double largest = find_largest(logits, vocabulary);
    if (!isfinite(largest))
        return logits_check(logits, vocabulary);
    for (int64_t i = 0; alternatives > 0 && i < vocabulary; i++)
        if (logits[i] > -INFINITY)
            insert_likely(out, (int)alternatives, (int32_t)i, logits[i]);
    double sum = sum_exponentials(logits, vocabulary, largest);
    double scale = log(sum); /* of the exponentials; not added to `largest`, which would round it */
    out->chosen = logits[token] - largest - scale;
    for (int i = 0; i < out->count; i++)
        out->likeliest[i].value = out->likeliest[i].value - largest - scale;
    return LMU_OK;
}
