#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/random.h"
#include "infer/sample.h"

enum { V = 40, DRAWS = 200000 };

static float logits[V];

static void fill_logits(void)
{
    for (uint64_t i = 0; i < V; i++)
        logits[i] = (float)(1.5 * random_normal(3, i));
}

static Sampler *open_sampler(int64_t vocabulary)
{
    Sampler *sampler;
    assert_int_equal(sampler_open(vocabulary, &sampler), LMU_OK);
    return sampler;
}

static int32_t choose(Sampler *sampler, SampleSettings settings, const float *from, int64_t position)
{
    int32_t token;
    assert_int_equal(sampler_choose(sampler, &settings, NULL, from, position, &token), LMU_OK);
    return token;
}

/* Draws often and compares frequencies with `expected` by Pearson's chi-squared; tokens of probability 0 never come. */
static void check_frequencies(SampleSettings settings, const double *expected)
{
    Sampler *sampler = open_sampler(V);
    int count[V] = {0};
    for (int64_t i = 0; i < DRAWS; i++)
        count[choose(sampler, settings, logits, i)]++;
    double chi = 0;
    int freedom = -1;
    for (int v = 0; v < V; v++) {
        if (expected[v] == 0) {
            assert_int_equal(count[v], 0);
            continue;
        }
        double off = count[v] - DRAWS * expected[v];
        chi += off * off / (DRAWS * expected[v]);
        freedom++;
    }
    /* Mean f, deviation sqrt(2 f): five deviations. */
    if (chi > freedom + 5 * sqrt(2.0 * freedom) + 1e-9)
        fail_msg("chi squared %g with %d degrees of freedom", chi, freedom);
    sampler_close(sampler);
}

static int by_logit(const void *a, const void *b)
{
    float x = logits[*(const int *)a], y = logits[*(const int *)b];
    return x < y ? 1 : x > y ? -1 : 0;
}

/* softmax(logits / temperature), cut to the k likeliest, then to the share p of those, then to what min-p leaves, by sorting
 * everything. */
static void expect(SampleSettings settings, double *expected)
{
    int order[V];
    for (int v = 0; v < V; v++)
        order[v] = v;
    qsort(order, V, sizeof *order, by_logit);
    int k = settings.top_k > 0 && settings.top_k < V ? (int)settings.top_k : V;
    double weight[V] = {0}, total = 0, reached = 0, kept = 0;
    for (int i = 0; i < k; i++)
        total += weight[i] = exp(logits[order[i]] / settings.temperature);
    for (int v = 0; v < V; v++)
        expected[v] = 0;
    for (int i = 0; i < k && reached < settings.top_p && weight[i] >= settings.min_p * weight[0]; i++) {
        reached += weight[i] / total;
        kept += expected[order[i]] = weight[i];
    }
    for (int v = 0; v < V; v++)
        expected[v] /= kept;
}

static void frequencies_follow_the_distribution(void **state)
{
    (void)state;
    fill_logits();
    const SampleSettings settings[] = {
        {.temperature = 1, .top_p = 1, .seed = 1},
        {.temperature = 0.6, .top_p = 1, .seed = 2},
        {.temperature = 3, .top_p = 1, .seed = 3},
        {.temperature = 1, .top_k = 5, .top_p = 1, .seed = 4},
        {.temperature = 1, .top_p = 0.8, .seed = 5},
        {.temperature = 1.5, .top_k = 12, .top_p = 0.5, .seed = 6},
        {.temperature = 1, .top_k = 1000, .top_p = 0.999, .seed = 7},
        {.temperature = 1, .top_p = 1e-9, .seed = 8},
        {.temperature = 1, .top_p = 1, .min_p = 0.2, .seed = 9},
        {.temperature = 2, .top_p = 0.9, .min_p = 0.1, .seed = 10},
        {.temperature = 2, .top_p = 0.5, .min_p = 0.01, .seed = 11},
        {.temperature = 1.5, .top_k = 9, .top_p = 0.95, .min_p = 0.15, .seed = 12},
        {.temperature = 1000, .top_p = 1, .seed = 13},
        {.temperature = 1000, .top_p = 1, .min_p = 0.999, .seed = 14},
        {.temperature = 1e-6, .top_p = 1, .seed = 15},
        {.temperature = 1, .top_p = 1, .min_p = 1, .seed = 16},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        double expected[V];
        expect(settings[i], expected);
        check_frequencies(settings[i], expected);
    }
}

static void top_p_keeps_the_smallest_set(void **state)
{
    (void)state;
    /* Probabilities 1/2, 1/4, 1/8, 1/8, exact in binary. */
    const float four[] = {(float)log(0.125), (float)log(0.5), (float)log(0.125), (float)log(0.25)};
    const struct {
        double p;
        bool kept[4];
    } cases[] = {
        {0.49, {0, 1, 0, 0}}, {0.51, {0, 1, 0, 1}},
        {0.74, {0, 1, 0, 1}}, {0.76, {1, 1, 0, 1}}, /* of the equal ones the lower id */
        {0.88, {1, 1, 1, 1}}, {1, {1, 1, 1, 1}},
    };
    Sampler *sampler = open_sampler(4);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        bool seen[4] = {0};
        for (int64_t i = 0; i < 2000; i++)
            seen[choose(sampler, (SampleSettings){.temperature = 1, .top_p = cases[c].p}, four, i)] = true;
        assert_memory_equal(seen, cases[c].kept, sizeof seen);
    }
    sampler_close(sampler);
}

static void ties_go_to_the_lower_id(void **state)
{
    (void)state;
    float equal[V] = {0};
    equal[7] = equal[9] = equal[30] = 2;
    Sampler *sampler = open_sampler(V);
    for (int64_t i = 0; i < 500; i++) {
        assert_int_equal(choose(sampler, (SampleSettings){.temperature = 0, .top_p = 1}, equal, i), 7);
        assert_int_equal(choose(sampler, (SampleSettings){.temperature = 1, .top_k = 1, .top_p = 1}, equal, i), 7);
        int32_t token = choose(sampler, (SampleSettings){.temperature = 1, .top_k = 2, .top_p = 1}, equal, i);
        assert_true(token == 7 || token == 9);
        assert_in_range(choose(sampler, (SampleSettings){.temperature = 9, .top_k = 5, .top_p = 1}, equal, i), 0, 30);
    }
    sampler_close(sampler);
}

static void a_draw_depends_on_seed_and_position_alone(void **state)
{
    (void)state;
    fill_logits();
    Sampler *one = open_sampler(V), *other = open_sampler(V);
    SampleSettings settings = {.temperature = 1, .top_p = 0.95, .seed = 42}, another = settings;
    another.seed = 43;
    int32_t forward[200];
    int differ = 0;
    for (int64_t i = 0; i < 200; i++)
        forward[i] = choose(one, settings, logits, i);
    for (int64_t i = 199; i >= 0; i--) {
        assert_int_equal(choose(other, settings, logits, i), forward[i]);
        differ += choose(other, another, logits, i) != forward[i];
    }
    assert_in_range(differ, 100, 200);
    sampler_close(one);
    sampler_close(other);
}

static void extreme_logits_are_survived(void **state)
{
    (void)state;
    float extreme[V];
    for (int i = 0; i < V; i++)
        extreme[i] = -INFINITY;
    extreme[11] = 3e38f;
    extreme[12] = -3e38f;
    Sampler *sampler = open_sampler(V);
    for (int64_t i = 0; i < 200; i++)
        for (int k = 0; k < 4; k++)
            for (int t = 0; t < 3; t++) {
                SampleSettings settings = {.temperature = (double[]){1e-300, 1, 1e300}[t], .top_k = k, .top_p = 1};
                int32_t token = choose(sampler, settings, extreme, i);
                assert_true(token == 11 || (t == 2 && token == 12));
            }
    sampler_close(sampler);
    sampler = open_sampler(1);
    assert_int_equal(choose(sampler, (SampleSettings){.temperature = 1, .top_p = 0.5}, (float[]){-5}, 0), 0);
    sampler_close(sampler);
}

/* ---- penalties and bias ---- */

/* What softmax(expected logits) says of 4 tokens, against draws. */
static void check_four(const SampleSettings *settings, const History *history, const float *from,
                       const double *expected_logits)
{
    Sampler *sampler = open_sampler(4);
    int count[4] = {0};
    int32_t token;
    double total = 0;
    for (int i = 0; i < 4; i++)
        total += exp(expected_logits[i]);
    for (int64_t i = 0; i < DRAWS; i++) {
        assert_int_equal(sampler_choose(sampler, settings, history, from, i, &token), LMU_OK);
        count[token]++;
    }
    for (int i = 0; i < 4; i++) {
        double p = exp(expected_logits[i]) / total, deviation = sqrt(DRAWS * p * (1 - p));
        if (fabs(count[i] - DRAWS * p) > 5 * deviation + 1e-9)
            fail_msg("token %d came %d times, not about %g", i, count[i], DRAWS * p);
    }
    sampler_close(sampler);
}

/* Token 0 was read, 1 written three times, 2 read and written once, 3 neither. */
static History *four_tokens(void)
{
    History *history;
    assert_int_equal(history_open(4, &history), LMU_OK);
    history_note(history, 0, false);
    history_note(history, 0, false);
    for (int i = 0; i < 3; i++)
        history_note(history, 1, true);
    history_note(history, 2, false);
    history_note(history, 2, true);
    return history;
}

static void penalties_do_what_their_formulas_say(void **state)
{
    (void)state;
    const float from[] = {1, 2, -0.5f, 0.25f};
    static const LogitBias bias[] = {{3, 1.5}, {2, -1}, {3, -0.5}};
    History *history = four_tokens();
    const struct {
        SampleSettings settings;
        double expected[4];
    } cases[] = {
        {{.temperature = 1, .top_p = 1, .repetition_penalty = 1}, {1, 2, -0.5, 0.25}},
        {{.temperature = 1, .top_p = 1, .repetition_penalty = 2}, {0.5, 1, -1, 0.25}},
        {{.temperature = 1, .top_p = 1, .repetition_penalty = 0.5}, {2, 4, -0.25, 0.25}},
        {{.temperature = 1, .top_p = 1, .presence_penalty = 0.5}, {1, 1.5, -1, 0.25}},
        {{.temperature = 1, .top_p = 1, .frequency_penalty = 0.5}, {1, 0.5, -1, 0.25}},
        {{.temperature = 1, .top_p = 1, .presence_penalty = 2, .frequency_penalty = 2}, {1, -6, -4.5, 0.25}},
        {{.temperature = 1, .top_p = 1, .presence_penalty = -2, .frequency_penalty = -1}, {1, 7, 2.5, 0.25}},
        {{.temperature = 1, .top_p = 1, .repetition_penalty = 2, .presence_penalty = 1, .frequency_penalty = 0.25},
         {0.5, -0.75, -2.25, 0.25}},
        {{.temperature = 2, .top_p = 1, .repetition_penalty = 2, .presence_penalty = 1}, {0.25, 0, -1, 0.125}},
        {{.temperature = 1, .top_p = 1, .bias = bias, .bias_count = 3}, {1, 2, -1.5, 1.25}},
        {{.temperature = 1, .top_p = 1, .repetition_penalty = 2, .bias = bias, .bias_count = 2}, {0.5, 1, -3, 1.75}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_four(&cases[i].settings, history, from, cases[i].expected);
    /* Without a history, and after it is reset, nothing has occurred. */
    check_four(&cases[7].settings, NULL, from, cases[0].expected);
    history_reset(history);
    check_four(&cases[7].settings, history, from, cases[0].expected);
    history_close(history);
    history_close(NULL);
}

static void penalties_and_bias_move_the_greedy_choice(void **state)
{
    (void)state;
    const float from[] = {1, 2, 1.5f, 1.5f};
    History *history = four_tokens();
    Sampler *sampler = open_sampler(4);
    const LogitBias ban = {1, -100}, want = {3, 100};
    const struct {
        SampleSettings settings;
        int32_t expected;
    } cases[] = {
        {{.top_p = 1}, 1},
        {{.top_p = 1, .repetition_penalty = 1.2}, 1}, /* 2 / 1.2 is still the largest */
        {{.top_p = 1, .repetition_penalty = 2}, 3},
        {{.top_p = 1, .presence_penalty = 0.5}, 1}, /* 1.5, 1, 1.5: the lower id */
        {{.top_p = 1, .presence_penalty = 0.6}, 3},
        {{.top_p = 1, .frequency_penalty = 0.2}, 3}, /* 2 - 0.6 < 1.5 */
        {{.top_p = 1, .frequency_penalty = 0.1}, 1}, /* 2 - 0.3 > 1.5 */
        {{.top_p = 1, .bias = &ban, .bias_count = 1}, 2},
        {{.top_p = 1, .bias = &want, .bias_count = 1}, 3},
        {{.top_p = 1, .temperature = 1, .bias = &want, .bias_count = 1}, 3},
        {{.top_p = 1, .temperature = 1, .top_k = 1, .frequency_penalty = 2}, 3},
        {{.top_p = 1, .temperature = 1, .min_p = 1, .frequency_penalty = 2}, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t token;
        assert_int_equal(sampler_choose(sampler, &cases[i].settings, history, from, 7, &token), LMU_OK);
        if (token != cases[i].expected)
            fail_msg("case %zu: token %d", i, token);
    }
    sampler_close(sampler);
    history_close(history);
}

/* The largest and smallest logits with every penalty at its ends: no number runs away. */
static void extreme_penalties_are_survived(void **state)
{
    (void)state;
    const float from[] = {3e38f, -3e38f, 0, -INFINITY};
    static const LogitBias bias[] = {{0, 100}, {1, -100}, {3, 100}};
    History *history = four_tokens();
    Sampler *sampler = open_sampler(4);
    history_note(history, 3, true);
    for (int c = 0; c < 8; c++)
        for (int64_t i = 0; i < 50; i++) {
            SampleSettings settings = {.temperature = (double[]){1e-6, 1000}[c & 1],
                                       .top_p = 1,
                                       .repetition_penalty = c & 2 ? SAMPLE_REPETITION_LEAST : SAMPLE_REPETITION_MOST,
                                       .presence_penalty = c & 4 ? 2 : -2,
                                       .frequency_penalty = c & 4 ? 2 : -2,
                                       .bias = bias,
                                       .bias_count = 3};
            int32_t token;
            assert_int_equal(sampler_choose(sampler, &settings, history, from, i, &token), LMU_OK);
            assert_int_equal(token, 0);
        }
    sampler_close(sampler);
    history_close(history);
}

/* A tie at the top is a tie: min-p 1 leaves both. */
static void min_p_keeps_by_the_likeliest(void **state)
{
    (void)state;
    /* Probabilities 1/8, 1/2, 1/8, 1/4. */
    const float four[] = {(float)log(0.125), (float)log(0.5), (float)log(0.125), (float)log(0.25)};
    const float tied[] = {0, 2, 2, 1};
    const struct {
        const float *from;
        SampleSettings settings;
        bool kept[4];
    } cases[] = {
        {four, {.temperature = 1, .top_p = 1, .min_p = 0.24}, {1, 1, 1, 1}},
        {four, {.temperature = 1, .top_p = 1, .min_p = 0.26}, {0, 1, 0, 1}},
        {four, {.temperature = 1, .top_p = 1, .min_p = 0.51}, {0, 1, 0, 0}},
        {four, {.temperature = 2, .top_p = 1, .min_p = 0.51}, {0, 1, 0, 1}}, /* after temperature: 0.5, 0.707 */
        {four, {.temperature = 1, .top_p = 0.8, .min_p = 0.24}, {1, 1, 0, 1}},
        {four, {.temperature = 1, .top_k = 2, .top_p = 1, .min_p = 0.24}, {0, 1, 0, 1}},
        {tied, {.temperature = 1, .top_p = 1, .min_p = 1}, {0, 1, 1, 0}},
        {tied, {.temperature = 1, .top_k = 3, .top_p = 0.99, .min_p = 1}, {0, 1, 1, 0}},
    };
    Sampler *sampler = open_sampler(4);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        bool seen[4] = {0};
        for (int64_t i = 0; i < 2000; i++)
            seen[choose(sampler, cases[c].settings, cases[c].from, i)] = true;
        assert_memory_equal(seen, cases[c].kept, sizeof seen);
    }
    sampler_close(sampler);
}

static void expect_refused(SampleSettings settings, const float *from, lmu_status expected, const char *message)
{
    Sampler *sampler = open_sampler(3);
    int32_t token;
    assert_int_equal(sampler_choose(sampler, &settings, NULL, from, 0, &token), expected);
    assert_string_equal(lmu_error_message(), message);
    sampler_close(sampler);
}

static void expect_refused_part(SampleSettings settings, const float *from, const char *part)
{
    Sampler *sampler = open_sampler(3);
    int32_t token;
    assert_int_equal(sampler_choose(sampler, &settings, NULL, from, 0, &token), LMU_USAGE);
    if (!strstr(lmu_error_message(), part))
        fail_msg("\"%s\" should hold \"%s\"", lmu_error_message(), part);
    sampler_close(sampler);
}

static void bad_logits_and_settings_are_refused(void **state)
{
    (void)state;
    const float good[] = {1, 2, 3};
    const SampleSettings plain = {.temperature = 1, .top_p = 1};
    expect_refused(plain, (float[]){1, NAN, 3}, LMU_NUMERIC,
                   "the logit of token 1 is not a number: the model's numbers have run away");
    expect_refused((SampleSettings){.temperature = 0, .top_p = 1}, (float[]){NAN, 1, 3}, LMU_NUMERIC,
                   "the logit of token 0 is not a number: the model's numbers have run away");
    expect_refused(plain, (float[]){1, 2, INFINITY}, LMU_NUMERIC,
                   "the logit of token 2 is infinite: the model's numbers have run away");
    expect_refused(plain, (float[]){-INFINITY, -INFINITY, -INFINITY}, LMU_NUMERIC,
                   "the logits of all 3 tokens are -inf: there is none to choose");
    expect_refused((SampleSettings){.temperature = -1, .top_p = 1}, good, LMU_USAGE,
                   "the temperature must be 0 or more, not -1");
    expect_refused((SampleSettings){.temperature = NAN, .top_p = 1}, good, LMU_USAGE,
                   "the temperature must be 0 or more, not nan");
    expect_refused((SampleSettings){.temperature = 1, .top_k = -1, .top_p = 1}, good, LMU_USAGE,
                   "top-k must be 0 (all) or more, not -1");
    expect_refused((SampleSettings){.temperature = 1, .top_p = 0}, good, LMU_USAGE,
                   "top-p must be above 0 and at most 1, not 0");
    expect_refused((SampleSettings){.temperature = 1, .top_p = 1.5}, good, LMU_USAGE,
                   "top-p must be above 0 and at most 1, not 1.5");
    for (int i = 0; i < 6; i++) {
        double bad = (double[]){NAN, -INFINITY, INFINITY, -2.5, 2.5, 100.5}[i];
        SampleSettings presence = plain, frequency = plain, min_p = plain, repetition = plain;
        presence.presence_penalty = frequency.frequency_penalty = min_p.min_p = bad;
        repetition.repetition_penalty = i == 4 ? 0.001 : bad;
        expect_refused_part(presence, good, "the presence penalty must be -2 to 2, not ");
        expect_refused_part(frequency, good, "the frequency penalty must be -2 to 2, not ");
        expect_refused_part(min_p, good, "min-p must be 0 (all) to 1, not ");
        expect_refused_part(repetition, good, "the repetition penalty must be 0.01 to 100, where 1 is none, not ");
    }
    const LogitBias bad_bias[] = {{0, NAN}, {0, 100.5}, {0, -INFINITY}, {3, 0}, {-1, 0}};
    for (int i = 0; i < 5; i++) {
        SampleSettings biased = plain;
        biased.bias = &bad_bias[i];
        biased.bias_count = 1;
        expect_refused_part(biased, good,
                            i < 3 ? "the bias of token 0 must be -100 to 100, not " : "is outside the vocabulary");
        biased.bias_count = SAMPLE_BIAS_LIMIT + 1;
        expect_refused_part(biased, good, "a bias is given for 1025 tokens; 1024 may have one");
    }
    Sampler *sampler;
    assert_int_equal(sampler_open(0, &sampler), LMU_USAGE);
    assert_int_equal(sampler_open(INT64_MAX, &sampler), LMU_USAGE);
    sampler_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_follow_the_distribution),
        cmocka_unit_test(top_p_keeps_the_smallest_set),
        cmocka_unit_test(ties_go_to_the_lower_id),
        cmocka_unit_test(a_draw_depends_on_seed_and_position_alone),
        cmocka_unit_test(extreme_logits_are_survived),
        cmocka_unit_test(penalties_do_what_their_formulas_say),
        cmocka_unit_test(penalties_and_bias_move_the_greedy_choice),
        cmocka_unit_test(extreme_penalties_are_survived),
        cmocka_unit_test(min_p_keeps_by_the_likeliest),
        cmocka_unit_test(bad_logits_and_settings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
