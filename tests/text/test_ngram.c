#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/random.h"
#include "memory_shard.h"
#include "text/ngram.h"

/* Ids drawn with a likely successor for each, so that every order has something to learn. */
static void draw_ids(uint16_t *ids, int64_t count, uint64_t vocabulary, uint64_t seed)
{
    uint64_t key = random_key(seed, "test", 0, 0), last = 0;
    for (int64_t i = 0; i < count; i++) {
        double u = random_uniform(key, 2 * (uint64_t)i);
        uint64_t rare = (uint64_t)(u * u * u * (double)vocabulary);
        last = random_uniform(key, 2 * (uint64_t)i + 1) < 0.4 ? (last * 3 + 1) % vocabulary : rare;
        ids[i] = (uint16_t)last;
    }
}

static Ngram *train(const Shard *shard, int64_t length, int64_t samples, int order)
{
    Windows windows;
    Ngram *model;
    assert_int_equal(windows_open(shard, length, 5, &windows), LMU_OK);
    assert_int_equal(ngram_train(&windows, samples, order, NULL, &model), LMU_OK);
    return model;
}

static void assert_near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.17g is not %.17g", a, b);
}

/* ---- by hand ----
 * One window, 0 1 0 1 2. Order 2: 01 twice, 10 and 12 once; n1 = 2, n2 = 1, n3 = 0: the one discount 2/(2+2) = 1/2.
 * Order 1: 0 follows {1}, 1 follows {0}, 2 follows {1}: three counts of 1, n2 = 0: the one discount 1/2. */
static void a_bigram_by_hand(void **state)
{
    (void)state;
    const uint16_t ids[] = {0, 1, 0, 1, 2};
    Shard shard = memory_shard(ids, 5, 3);
    Ngram *model = train(&shard, 4, 1, 2);
    const double third = 1.0 / 3;
    const double expected[3][3] = {
        {0.25 * third, 0.75 + 0.25 * third, 0.25 * third},
        {0.25 + 0.5 * third, 0.5 * third, 0.25 + 0.5 * third},
        {third, third, third},
    };
    for (int32_t h = 0; h < 3; h++)
        for (int32_t w = 0; w < 3; w++)
            assert_near(ngram_probability(model, &h, 1, w), expected[h][w], 1e-15);
    assert_int_equal(ngram_tokens(model), 4);
    assert_int_equal(ngram_order(model), 2);
    assert_int_equal(ngram_entries(model, 2), 3);
    assert_near(ngram_discount(model, 2, 1), 0.5, 0);
    ngram_close(model);
}

/* ---- by force: the formulas of ngram.h, read off the windows by scanning them for each n-gram anew ---- */

#define FORCE_VOCABULARY 5

typedef struct Force {
    int order;
    int windows, width;
    int32_t token[64][40];
} Force;

static int force_count(const Force *force, const int32_t *gram, int k)
{
    int occurrences = 0;
    bool before[FORCE_VOCABULARY + 1] = {0}; /* the last one: a window's edge */
    for (int w = 0; w < force->windows; w++)
        for (int end = k > 1 ? k - 1 : 1; end < force->width; end++) {
            const int32_t *start = &force->token[w][end - k + 1];
            if (memcmp(start, gram, (size_t)k * sizeof *gram) != 0)
                continue;
            occurrences++;
            before[end - k + 1 > 0 ? start[-1] : FORCE_VOCABULARY] = true;
        }
    int different = 0;
    for (int v = 0; v <= FORCE_VOCABULARY; v++)
        different += before[v];
    return k == force->order ? occurrences : different;
}

static void force_gram(int64_t number, int k, int32_t *gram)
{
    for (int i = 0; i < k; i++, number /= FORCE_VOCABULARY)
        gram[i] = (int32_t)(number % FORCE_VOCABULARY);
}

static void force_discounts(const Force *force, int k, double d[4])
{
    double n[5] = {0};
    int32_t gram[8];
    int64_t grams = (int64_t)pow(FORCE_VOCABULARY, k);
    for (int64_t g = 0; g < grams; g++) {
        force_gram(g, k, gram);
        int c = force_count(force, gram, k);
        if (c <= 4)
            n[c]++;
    }
    d[0] = 0;
    double y = n[1] / (n[1] + 2 * n[2]);
    if (n[1] == 0 || n[2] == 0)
        y = 0.5;
    d[1] = 1 - 2 * y * n[2] / n[1];
    d[2] = 2 - 3 * y * n[3] / n[2];
    d[3] = 3 - 4 * y * n[4] / n[3];
    bool good = n[1] > 0 && n[2] > 0 && n[3] > 0 && n[4] > 0;
    for (int i = 1; i <= 3; i++)
        good = good && d[i] > 0 && d[i] <= i;
    if (!good)
        d[1] = d[2] = d[3] = y;
}

/* gram: k-1 tokens of context, then the token. */
static double force_probability(const Force *force, double discount[][4], const int32_t *gram, int k)
{
    if (k == 0)
        return 1.0 / FORCE_VOCABULARY;
    double lower = force_probability(force, discount, gram + 1, k - 1);
    double total = 0, gamma = 0;
    int32_t other[8];
    memcpy(other, gram, (size_t)k * sizeof *gram);
    for (int32_t v = 0; v < FORCE_VOCABULARY; v++) {
        other[k - 1] = v;
        int c = force_count(force, other, k);
        total += c;
        gamma += discount[k][c < 3 ? c : 3];
    }
    if (total == 0)
        return lower;
    int c = force_count(force, gram, k);
    return (c - discount[k][c < 3 ? c : 3]) / total + gamma / total * lower;
}

static void check_by_force(int64_t length, int samples, int order, uint64_t seed, bool *modified)
{
    uint16_t ids[2000];
    draw_ids(ids, 2000, FORCE_VOCABULARY, seed);
    Shard shard = memory_shard(ids, 2000, FORCE_VOCABULARY);
    Windows windows;
    assert_int_equal(windows_open(&shard, length, seed, &windows), LMU_OK);
    Ngram *model;
    assert_int_equal(ngram_train(&windows, samples, order, NULL, &model), LMU_OK);
    Force force = {.order = order, .windows = samples, .width = (int)length + 1};
    for (int s = 0; s < samples; s++)
        windows_read(&windows, s, force.token[s]);
    double discount[5][4];
    for (int k = 1; k <= order; k++) {
        force_discounts(&force, k, discount[k]);
        for (int i = 1; i <= 3; i++)
            assert_near(ngram_discount(model, k, i), discount[k][i], 1e-12);
        *modified |= discount[k][1] != discount[k][2];
    }
    int32_t gram[8];
    int64_t grams = (int64_t)pow(FORCE_VOCABULARY, order);
    for (int k = 1; k <= order; k++)
        for (int64_t g = 0; g < grams; g += 1 + g % 3) { /* some of all */
            force_gram(g, order, gram);
            double expected = force_probability(&force, discount, gram + order - k, k);
            assert_near(ngram_probability(model, gram + order - k, k - 1, gram[order - 1]), expected, 1e-12);
        }
    ngram_close(model);
}

static void probabilities_equal_brute_force(void **state)
{
    (void)state;
    bool modified = false;
    for (int order = 1; order <= 4; order++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            check_by_force(30, 4, order, seed, &modified);
            check_by_force(4, 12, order, seed, &modified);
            check_by_force(39, 40, order, seed, &modified);
        }
    assert_true(modified); /* both kinds of discount were compared */
}

/* ---- laws ---- */

static void check_sum(const Ngram *model, const int32_t *context, int64_t length, int32_t vocabulary)
{
    double sum = 0;
    for (int32_t w = 0; w < vocabulary; w++) {
        double p = ngram_probability(model, context, length, w);
        assert_true(p > 0 && p <= 1);
        sum += p;
    }
    assert_near(sum, 1, 1e-12);
}

static void every_context_sums_to_one(void **state)
{
    (void)state;
    enum { V = 300, N = 20000 };
    static uint16_t ids[N];
    draw_ids(ids, N, V, 11);
    Shard shard = memory_shard(ids, N, V);
    for (int order = 1; order <= NGRAM_ORDER_MAX; order++) {
        Ngram *model = train(&shard, 64, 1000, order);
        int32_t context[10];
        for (int trial = 0; trial < 60; trial++) {
            for (int i = 0; i < 10; i++)
                context[i] =
                    trial % 2 ? ids[trial * 100 + i] : (int32_t)random_below(77, (uint64_t)(trial * 10 + i), V);
            check_sum(model, context, trial % 11, V);
        }
        const int32_t outside[] = {ids[3], V, -1, INT32_MAX, ids[4]};
        for (int i = 0; i <= 5; i++)
            check_sum(model, outside, i, V);
        assert_true(ngram_probability(model, context, 3, V) == 0);
        assert_true(ngram_probability(model, context, 3, -1) == 0);
        ngram_close(model);
    }
}

static void small_data_never_fails(void **state)
{
    (void)state;
    const uint16_t equal[9] = {2, 2, 2, 2, 2, 2, 2, 2, 2}, two[2] = {0, 1};
    int32_t context[8] = {2, 2, 2, 2, 1, 0, 2, 2};
    for (int order = 1; order <= NGRAM_ORDER_MAX; order++) {
        Shard shard = memory_shard(equal, 9, 4);
        Ngram *model = train(&shard, 8, 1, order);
        for (int length = 0; length <= 8; length++)
            check_sum(model, context, length, 4);
        assert_true(ngram_probability(model, context, 4, 2) > 0.5);
        ngram_close(model);
        /* The window shows two tokens: no n-gram is longer. */
        shard = memory_shard(two, 2, 4);
        model = train(&shard, 1, 1, order);
        assert_int_equal(ngram_order(model), order < 2 ? order : 2);
        for (int length = 0; length <= 8; length++)
            check_sum(model, context, length, 4);
        ngram_close(model);
    }
}

static void a_second_pass_adds_nothing(void **state)
{
    (void)state;
    static uint16_t ids[3000];
    draw_ids(ids, 3000, 50, 2);
    Shard shard = memory_shard(ids, 3000, 50);
    Ngram *once = train(&shard, 32, 93, 3), *thrice = train(&shard, 32, 3 * 93 + 7, 3);
    assert_int_equal(ngram_tokens(once), 93 * 32);
    assert_int_equal(ngram_tokens(thrice), 93 * 32);
    for (int32_t w = 0; w < 50; w++)
        assert_true(ngram_probability(once, (int32_t[]){3, 10}, 2, w) ==
                    ngram_probability(thrice, (int32_t[]){3, 10}, 2, w));
    ngram_close(once);
    ngram_close(thrice);
}

static void evaluation_sees_what_its_window_shows(void **state)
{
    (void)state;
    enum { V = 60, N = 4000, HELD = 501 };
    static uint16_t ids[N + HELD];
    static int32_t held[HELD];
    draw_ids(ids, N + HELD, V, 4);
    for (int i = 0; i < HELD; i++)
        held[i] = ids[N + i];
    Shard shard = memory_shard(ids, N, V), text = memory_shard(ids + N, HELD, V);
    uint32_t lengths[V];
    for (uint32_t v = 0; v < V; v++)
        lengths[v] = v % 5;
    const EvalCut cuts[] = {{.context = 16, .stride = 16},
                            {.context = 16, .stride = 1},
                            {.context = 16, .stride = 5},
                            {.context = 1, .stride = 1},
                            {.context = 3, .stride = 2},
                            {.context = 600, .stride = 600},
                            {.context = 16, .stride = 0, .carry = 1},
                            {.context = 7, .stride = 7, .carry = 1}};
    for (int order = 1; order <= 5; order++) {
        Ngram *model = train(&shard, 32, 1000, order);
        for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
            double nats = 0;
            int64_t first, length, scored, bytes = 0;
            for (int64_t w = 0; eval_window(&cuts[c], HELD, w, &first, &length, &scored); w++)
                for (int64_t i = first + length - scored + 1; i <= first + length; i++) {
                    int64_t start = cuts[c].carry ? 0 : first;
                    nats -= log(ngram_probability(model, held + start, i - start, held[i]));
                    bytes += lengths[held[i]];
                }
            EvalResult result, part[3] = {{0}};
            EvalCut cut = cuts[c];
            cut.part = part;
            cut.parts = 3;
            assert_int_equal(ngram_evaluate(model, &text, &cut, lengths, NULL, &result), LMU_OK);
            assert_int_equal(part[0].bytes + part[1].bytes + part[2].bytes, bytes);
            assert_near(part[0].nats + part[1].nats + part[2].nats, nats, 1e-9);
            assert_int_equal(result.tokens, HELD - 1);
            assert_int_equal(result.bytes, bytes);
            assert_near(result.nats, nats, 1e-9);
            assert_near(eval_loss(&result), nats / (HELD - 1), 1e-12);
            assert_near(eval_perplexity(&result), exp(nats / (HELD - 1)), 1e-9);
            assert_near(eval_bits_per_byte(&result), nats / log(2) / (double)bytes, 1e-12);
        }
        ngram_close(model);
    }
    EvalResult none = {0};
    assert_true(isnan(eval_loss(&none)) && isnan(eval_bits_per_byte(&none)));
}

/* A token that is the sum of the two before it, four times of five: order 3 sees the rule, orders 1 and 2 cannot. */
static void order_helps_where_there_is_something_to_learn(void **state)
{
    (void)state;
    enum { V = 40, N = 60000, TRAIN = 50000 };
    static uint16_t ids[N];
    for (uint64_t i = 0; i < N; i++) {
        bool rule = i >= 2 && random_below(1, 2 * i, 5) > 0;
        ids[i] = (uint16_t)(rule ? (ids[i - 1] + ids[i - 2]) % V : random_below(1, 2 * i + 1, V));
    }
    Shard shard = memory_shard(ids, TRAIN, V), text = memory_shard(ids + TRAIN, N - TRAIN, V);
    EvalCut cut = {.context = 64, .stride = 64};
    double loss[4];
    for (int order = 1; order <= 3; order++) {
        Ngram *model = train(&shard, 64, 700, order);
        EvalResult result;
        assert_int_equal(ngram_evaluate(model, &text, &cut, NULL, NULL, &result), LMU_OK);
        loss[order] = eval_loss(&result);
        ngram_close(model);
    }
    double entropy = -0.8 * log(0.8 + 0.2 / V) - 0.2 * log(0.2 / V);
    assert_near(loss[1], log(V), 0.1);
    assert_near(loss[2], log(V), 0.2);
    assert_in_range(loss[3] * 1000, entropy * 1000, (entropy + 0.3) * 1000);
}

static atomic_int stop = 1;

static void bad_calls_are_refused(void **state)
{
    (void)state;
    const uint16_t ids[] = {0, 1, 0, 1, 2};
    Shard shard = memory_shard(ids, 5, 3), other = memory_shard(ids, 5, 4);
    Windows windows;
    Ngram *model;
    assert_int_equal(windows_open(&shard, 4, 0, &windows), LMU_OK);
    assert_int_equal(ngram_train(&windows, 1, 0, NULL, &model), LMU_USAGE);
    assert_string_equal(lmu_error_message(), "the order of an n-gram model must be 1 to 8, not 0");
    assert_int_equal(ngram_train(&windows, 1, 9, NULL, &model), LMU_USAGE);
    assert_int_equal(ngram_train(&windows, 0, 2, NULL, &model), LMU_USAGE);
    assert_string_equal(lmu_error_message(), "an n-gram model must count at least 1 window, not 0");
    assert_null(model);
    Progress progress = {.interrupt = &stop};
    assert_int_equal(ngram_train(&windows, 1, 2, &progress, &model), LMU_INTERRUPTED);
    assert_null(model);

    assert_int_equal(ngram_train(&windows, 1, 2, NULL, &model), LMU_OK);
    EvalResult result;
    EvalCut cut = {.context = 4, .stride = 4}, wide = {.context = 4, .stride = 5};
    assert_int_equal(ngram_evaluate(model, &other, &cut, NULL, NULL, &result), LMU_MISMATCH);
    assert_string_equal(lmu_error_message(),
                        "the text has a vocabulary of 4, the counts one of 3: prepare both with one "
                        "tokenizer");
    assert_int_equal(ngram_evaluate(model, &shard, &wide, NULL, NULL, &result), LMU_USAGE);
    assert_int_equal(ngram_evaluate(model, &shard, &cut, NULL, &progress, &result), LMU_INTERRUPTED);
    ngram_close(model);
    ngram_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bigram_by_hand),
        cmocka_unit_test(probabilities_equal_brute_force),
        cmocka_unit_test(every_context_sums_to_one),
        cmocka_unit_test(small_data_never_fails),
        cmocka_unit_test(a_second_pass_adds_nothing),
        cmocka_unit_test(evaluation_sees_what_its_window_shows),
        cmocka_unit_test(order_helps_where_there_is_something_to_learn),
        cmocka_unit_test(bad_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
