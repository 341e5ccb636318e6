#include "infer/sample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"

typedef struct Candidate {
    float logit;
    int32_t token;
    double weight; /* exp((logit - largest) / temperature) */
} Candidate;

struct Sampler {
    int64_t vocabulary;
    Candidate *candidate; /* a binary heap while some are taken from the top */
};

lmu_status sampler_open(int64_t vocabulary, Sampler **out)
{
    *out = NULL;
    if (vocabulary < 1 || vocabulary > INT32_MAX)
        return error_set(LMU_USAGE, "a vocabulary of %lld tokens cannot be sampled from", (long long)vocabulary);
    Sampler *sampler;
    TRY(memory_new(&sampler, 1, sizeof *sampler, "a sampler"));
    sampler->vocabulary = vocabulary;
    lmu_status status = memory_new(&sampler->candidate, (size_t)vocabulary, sizeof *sampler->candidate, "a sampler");
    if (status != LMU_OK) {
        sampler_close(sampler);
        return status;
    }
    *out = sampler;
    return LMU_OK;
}

void sampler_close(Sampler *sampler)
{
    if (sampler == NULL)
        return;
    free(sampler->candidate);
    free(sampler);
}

static lmu_status check_settings(const SampleSettings *settings)
{
    if (!(settings->temperature >= 0 && settings->temperature < (double)INFINITY))
        return error_set(LMU_USAGE, "the temperature must be 0 or more, not %g", settings->temperature);
    if (settings->top_k < 0)
        return error_set(LMU_USAGE, "top-k must be 0 (all) or more, not %lld", (long long)settings->top_k);
    if (!(settings->top_p > 0 && settings->top_p <= 1))
        return error_set(LMU_USAGE, "top-p must be above 0 and at most 1, not %g", settings->top_p);
    return LMU_OK;
}

/* The first of the largest logits. */
static lmu_status find_largest(const float *logits, int64_t count, int32_t *largest)
{
    *largest = 0;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(logits[i]) || logits[i] == INFINITY)
            return error_set(LMU_NUMERIC, "the logit of token %lld is %s: the model's numbers have run away",
                             (long long)i, isnan(logits[i]) ? "not a number" : "infinite");
        if (logits[i] > logits[*largest])
            *largest = (int32_t)i;
    }
    if (logits[*largest] == -INFINITY)
        return error_set(LMU_NUMERIC, "the logits of all %lld tokens are -inf: there is none to choose",
                         (long long)count);
    return LMU_OK;
}

static bool comes_first(const Candidate *a, const Candidate *b)
{
    return a->logit != b->logit ? a->logit > b->logit : a->token < b->token;
}

/* Moves the candidate at `hole` down to where a heap wants it. */
static void heap_sink(Candidate *heap, int64_t count, int64_t hole)
{
    Candidate moving = heap[hole];
    for (int64_t child; (child = 2 * hole + 1) < count; hole = child) {
        if (child + 1 < count && comes_first(&heap[child + 1], &heap[child]))
            child++;
        if (!comes_first(&heap[child], &moving))
            break;
        heap[hole] = heap[child];
    }
    heap[hole] = moving;
}

/* Takes candidates in order of likelihood until k are taken or their weight reaches the share p of the k's; they end at the end
 * of the array, the likeliest last. Returns how many. A heap, for the few that are wanted: O(V + taken log V). */
static int64_t take_likeliest(Candidate *candidate, int64_t count, int64_t k, double p)
{
    for (int64_t i = count / 2 - 1; i >= 0; i--)
        heap_sink(candidate, count, i);
    double all = 0;
    if (k == count)
        for (int64_t i = 0; i < count; i++)
            all += candidate[i].weight;
    double reached = 0;
    int64_t taken = 0;
    while (taken < k && !(k == count && reached >= p * all)) {
        int64_t last = count - 1 - taken++;
        Candidate top = candidate[0];
        candidate[0] = candidate[last];
        candidate[last] = top;
        heap_sink(candidate, last, 0);
        reached += top.weight;
    }
    if (k == count)
        return taken;
    all = reached; /* of the k: known only now, so p cuts them afterwards */
    reached = 0;
    for (taken = 0; taken < k && reached < p * all; taken++)
        reached += candidate[count - 1 - taken].weight;
    return taken;
}

lmu_status sampler_choose(Sampler *sampler, const SampleSettings *settings, const float *logits, int64_t position,
                          int32_t *token)
{
    int64_t count = sampler->vocabulary;
    TRY(check_settings(settings));
    TRY(find_largest(logits, count, token));
    if (settings->temperature == 0 || settings->top_k == 1)
        return LMU_OK;
    Candidate *candidate = sampler->candidate;
    double largest = logits[*token];
    for (int64_t i = 0; i < count; i++)
        candidate[i] = (Candidate){
            .logit = logits[i], .token = (int32_t)i, .weight = exp((logits[i] - largest) / settings->temperature)};
    int64_t k = settings->top_k > 0 && settings->top_k < count ? settings->top_k : count;
    int64_t remaining = count;
    if (k < count || settings->top_p < 1)
        remaining = take_likeliest(candidate, count, k, settings->top_p);
    const Candidate *chosen = &candidate[count - remaining];
    double total = 0;
    for (int64_t i = 0; i < remaining; i++)
        total += chosen[i].weight;
    double draw = total * random_uniform(random_key(settings->seed, "sample", 0, 0), (uint64_t)position);
    for (int64_t i = 0; i < remaining; i++) {
        if (chosen[i].weight > 0) /* where rounding leaves a remainder, the last possible token takes it */
            *token = chosen[i].token;
        draw -= chosen[i].weight;
        if (draw < 0)
            break;
    }
    return LMU_OK;
}
