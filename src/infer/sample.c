#include "infer/sample.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

typedef struct Candidate {
    float score; /* the logit with bias and penalties */
    int32_t token;
    double weight; /* exp((score - largest) / temperature) */
} Candidate;

struct Sampler {
    int64_t vocabulary;
    Candidate *candidate; /* a binary heap while some are taken from the top */
    float *score;         /* [V] logits with bias and penalties, where there are any */
};

struct History {
    int64_t vocabulary;
    uint32_t *written; /* [V] how often, up to UINT32_MAX */
    bool *read;        /* [V] */
};

/* ---- settings ---- */

static lmu_status check_bias(const SampleSettings *settings, int64_t vocabulary)
{
    if (settings->bias_count > SAMPLE_BIAS_LIMIT)
        return error_set(LMU_USAGE, "a bias is given for %zu tokens; %d may have one", settings->bias_count,
                         SAMPLE_BIAS_LIMIT);
    for (size_t i = 0; i < settings->bias_count; i++) {
        LogitBias b = settings->bias[i];
        if (b.token < 0 || b.token >= vocabulary)
            return error_set(LMU_USAGE,
                             "a bias is given for token %d, which is outside the vocabulary: ids go from 0 to %lld",
                             (int)b.token, (long long)vocabulary - 1);
        if (!(fabs(b.bias) <= SAMPLE_BIAS_MOST))
            return error_set(LMU_USAGE, "the bias of token %d must be -%g to %g, not %g", (int)b.token,
                             SAMPLE_BIAS_MOST, SAMPLE_BIAS_MOST, b.bias);
    }
    return LMU_OK;
}

static lmu_status check_penalty(const char *name, double penalty)
{
    if (!(fabs(penalty) <= SAMPLE_PENALTY_MOST))
        return error_set(LMU_USAGE, "the %s penalty must be -%g to %g, not %g", name, SAMPLE_PENALTY_MOST,
                         SAMPLE_PENALTY_MOST, penalty);
    return LMU_OK;
}

lmu_status sample_check(const SampleSettings *settings, int64_t vocabulary)
{
    double repetition = settings->repetition_penalty;
    if (!(settings->temperature >= 0 && settings->temperature < (double)INFINITY))
        return error_set(LMU_USAGE, "the temperature must be 0 or more, not %g", settings->temperature);
    if (settings->top_k < 0)
        return error_set(LMU_USAGE, "top-k must be 0 (all) or more, not %lld", (long long)settings->top_k);
    if (!(settings->top_p > 0 && settings->top_p <= 1))
        return error_set(LMU_USAGE, "top-p must be above 0 and at most 1, not %g", settings->top_p);
    if (!(settings->min_p >= 0 && settings->min_p <= 1))
        return error_set(LMU_USAGE, "min-p must be 0 (all) to 1, not %g", settings->min_p);
    if (repetition != 0 && !(repetition >= SAMPLE_REPETITION_LEAST && repetition <= SAMPLE_REPETITION_MOST))
        return error_set(LMU_USAGE, "the repetition penalty must be %g to %g, where 1 is none, not %g",
                         SAMPLE_REPETITION_LEAST, SAMPLE_REPETITION_MOST, repetition);
    TRY(check_penalty("presence", settings->presence_penalty));
    TRY(check_penalty("frequency", settings->frequency_penalty));
    return check_bias(settings, vocabulary);
}

static double repetition_penalty(const SampleSettings *settings)
{
    return settings->repetition_penalty != 0 ? settings->repetition_penalty : 1;
}

bool sample_penalises(const SampleSettings *settings)
{
    return repetition_penalty(settings) != 1 || settings->presence_penalty != 0 || settings->frequency_penalty != 0;
}

/* ---- what occurred ---- */

lmu_status history_open(int64_t vocabulary, History **out)
{
    lmu_status status;
    History *history = NULL;
    *out = NULL;
    ATTEMPT(memory_new(&history, 1, sizeof *history, "a text's counts"));
    history->vocabulary = vocabulary;
    ATTEMPT(memory_new(&history->written, (size_t)vocabulary, sizeof *history->written, "a text's counts"));
    ATTEMPT(memory_new(&history->read, (size_t)vocabulary, sizeof *history->read, "a text's counts"));
    *out = history;
    return LMU_OK;
done:
    history_close(history);
    return status;
}

void history_close(History *history)
{
    if (!history)
        return;
    free(history->written);
    free(history->read);
    free(history);
}

void history_reset(History *history)
{
    memset(history->written, 0, (size_t)history->vocabulary * sizeof *history->written);
    memset(history->read, 0, (size_t)history->vocabulary * sizeof *history->read);
}

void history_note(History *history, int32_t token, bool written)
{
    assert(token >= 0 && token < history->vocabulary);
    if (!written)
        history->read[token] = true;
    else if (history->written[token] < UINT32_MAX)
        history->written[token]++;
}

/* ---- scores ---- */

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

lmu_status logits_check(const float *logits, int64_t count)
{
    int32_t largest;
    return find_largest(logits, count, &largest);
}

/* What is finite stays so, as nearly as a float can be it. */
static float to_score(double value)
{
    return value == (double)-INFINITY ? -INFINITY : (float)fmin(fmax(value, -(double)FLT_MAX), (double)FLT_MAX);
}

static void penalise(float *score, const SampleSettings *settings, const History *history)
{
    double repetition = repetition_penalty(settings);
    for (int64_t i = 0; i < history->vocabulary; i++) {
        uint32_t written = history->written[i];
        if (written == 0 && !history->read[i])
            continue;
        double value = score[i] > 0 ? score[i] / repetition : score[i] * repetition;
        if (written > 0)
            value -= settings->presence_penalty + settings->frequency_penalty * written;
        score[i] = to_score(value);
    }
}

/* The logits with bias and penalties [V]; the logits themselves where there are none. */
static const float *score_tokens(Sampler *sampler, const SampleSettings *settings, const History *history,
                                 const float *logits)
{
    bool penalised = history && sample_penalises(settings);
    if (!penalised && settings->bias_count == 0)
        return logits;
    memcpy(sampler->score, logits, (size_t)sampler->vocabulary * sizeof *logits);
    for (size_t i = 0; i < settings->bias_count; i++) {
        float *score = &sampler->score[settings->bias[i].token];
        *score = to_score(*score + settings->bias[i].bias);
    }
    if (penalised)
        penalise(sampler->score, settings, history);
    return sampler->score;
}

/* ---- choosing ---- */

lmu_status sampler_open(int64_t vocabulary, Sampler **out)
{
    lmu_status status;
    Sampler *sampler = NULL;
    *out = NULL;
    if (vocabulary < 1 || vocabulary > INT32_MAX)
        return error_set(LMU_USAGE, "a vocabulary of %lld tokens cannot be sampled from", (long long)vocabulary);
    ATTEMPT(memory_new(&sampler, 1, sizeof *sampler, "a sampler"));
    sampler->vocabulary = vocabulary;
    ATTEMPT(memory_new(&sampler->candidate, (size_t)vocabulary, sizeof *sampler->candidate, "a sampler"));
    ATTEMPT(memory_new(&sampler->score, (size_t)vocabulary, sizeof *sampler->score, "a sampler"));
    *out = sampler;
    return LMU_OK;
done:
    sampler_close(sampler);
    return status;
}

void sampler_close(Sampler *sampler)
{
    if (sampler == NULL)
        return;
    free(sampler->candidate);
    free(sampler->score);
    free(sampler);
}

static bool comes_first(const Candidate *a, const Candidate *b)
{
    return a->score != b->score ? a->score > b->score : a->token < b->token;
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

/* Leaves those among which is chosen at the end of the array, in the order of ids or, where k or p cut, of likelihood; returns
 * how many. */
static int64_t keep_candidates(Candidate *candidate, int64_t count, const SampleSettings *settings)
{
    int64_t k = settings->top_k > 0 && settings->top_k < count ? settings->top_k : count;
    int64_t remaining = count, kept = 0;
    if (k < count || settings->top_p < 1)
        remaining = take_likeliest(candidate, count, k, settings->top_p);
    if (settings->min_p == 0)
        return remaining;
    for (int64_t i = count - 1; i >= count - remaining; i--) /* the likeliest weighs 1 */
        if (candidate[i].weight >= settings->min_p)
            candidate[count - ++kept] = candidate[i];
    return kept;
}

/* The token at which the running sum of weights passes the share `uniform` of all. */
static int32_t draw_token(const Candidate *candidate, int64_t count, double uniform)
{
    int32_t token = candidate[count - 1].token;
    double total = 0;
    for (int64_t i = 0; i < count; i++)
        total += candidate[i].weight;
    double draw = total * uniform;
    for (int64_t i = 0; i < count; i++) {
        if (candidate[i].weight > 0) /* where rounding leaves a remainder, the last possible token takes it */
            token = candidate[i].token;
        draw -= candidate[i].weight;
        if (draw < 0)
            break;
    }
    return token;
}

lmu_status sampler_choose(Sampler *sampler, const SampleSettings *settings, const History *history, const float *logits,
                          int64_t position, int32_t *token)
{
    int64_t count = sampler->vocabulary;
    Candidate *candidate = sampler->candidate;
    assert(!history || history->vocabulary == count);
    TRY(sample_check(settings, count));
    TRY(find_largest(logits, count, token));
    const float *score = score_tokens(sampler, settings, history, logits);
    if (score != logits)
        TRY(find_largest(score, count, token));
    if (settings->temperature == 0 || settings->top_k == 1)
        return LMU_OK;
    double largest = score[*token];
    for (int64_t i = 0; i < count; i++)
        candidate[i] = (Candidate){
            .score = score[i], .token = (int32_t)i, .weight = exp((score[i] - largest) / settings->temperature)};
    int64_t remaining = keep_candidates(candidate, count, settings);
    uint64_t key = random_key(settings->seed, "sample", 0, 0);
    *token = draw_token(candidate + count - remaining, remaining, random_uniform(key, (uint64_t)position));
    return LMU_OK;
}
