/* Log-probabilities against sums of long doubles. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "infer/logprob.h"

enum { V = 500 };

static Logprobs find(const float *logits, int64_t vocabulary, int32_t token, int64_t alternatives)
{
    Logprobs found;
    assert_int_equal(logprobs_find(logits, vocabulary, token, alternatives, &found), LMU_OK);
    return found;
}

static double reference(const float *logits, int64_t vocabulary, int64_t token)
{
    long double sum = 0;
    for (int64_t i = 0; i < vocabulary; i++)
        sum += expl((long double)logits[i] - logits[token]);
    return (double)-logl(sum);
}

static void assert_near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-13 * (1 + fabs(expected))))
        fail_msg("%.17g is not near %.17g", got, expected);
}

static void they_are_those_of_softmax(void **state)
{
    (void)state;
    float logits[V];
    for (uint64_t trial = 0; trial < 20; trial++) {
        double scale = trial % 2 ? 1 : 15, shift = trial % 3 ? 0 : 1000;
        for (uint64_t i = 0; i < V; i++)
            logits[i] = (float)(shift + scale * random_normal(trial, i));
        int32_t token = (int32_t)random_below(trial, V, V);
        Logprobs found = find(logits, V, token, LOGPROB_LIMIT);
        assert_near(found.chosen, reference(logits, V, token));
        assert_int_equal(found.count, LOGPROB_LIMIT);
        for (int k = 0; k < LOGPROB_LIMIT; k++) {
            int before = 0; /* tokens that come before this one */
            int32_t id = found.likeliest[k].token;
            assert_near(found.likeliest[k].value, reference(logits, V, id));
            for (int32_t i = 0; i < V; i++)
                before += logits[i] > logits[id] || (logits[i] == logits[id] && i < id);
            assert_int_equal(before, k);
        }
        /* Fewer are the first of more, to the bit; and asking changes nothing. */
        for (int k = 0; k < LOGPROB_LIMIT; k++) {
            Logprobs fewer = find(logits, V, token, k);
            assert_int_equal(fewer.count, k);
            assert_memory_equal(&fewer.chosen, &found.chosen, sizeof found.chosen);
            for (int i = 0; i < k; i++)
                assert_true(fewer.likeliest[i].token == found.likeliest[i].token &&
                            fewer.likeliest[i].value == found.likeliest[i].value);
        }
    }
}

static void known_values(void **state)
{
    (void)state;
    Logprobs found = find((float[]){0, 0, 0, 0}, 4, 2, 3);
    assert_near(found.chosen, -log(4));
    for (int i = 0; i < 3; i++) { /* ties: the lower id first */
        assert_int_equal(found.likeliest[i].token, i);
        assert_near(found.likeliest[i].value, -log(4));
    }
    found = find((float[]){1, 3, 2, 3, 2}, 5, 0, 4);
    const int32_t order[] = {1, 3, 2, 4};
    for (int i = 0; i < 4; i++)
        assert_int_equal(found.likeliest[i].token, order[i]);
    found = find((float[]){-INFINITY, 7, -INFINITY}, 3, 0, 3); /* what is impossible is no alternative */
    assert_true(found.chosen == -INFINITY);
    assert_int_equal(found.count, 1);
    assert_true(found.likeliest[0].token == 1 && found.likeliest[0].value == 0);
    found = find((float[]){3e38f, -3e38f}, 2, 1, 2);
    assert_near(found.chosen, -2 * (double)3e38f);
    assert_int_equal(found.count, 2);
    assert_true(found.likeliest[0].value == 0);
    found = find((float[]){-5}, 1, 0, 20);
    assert_true(found.chosen == 0 && found.count == 1);
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    const float good[] = {1, 2};
    Logprobs found;
    assert_int_equal(logprobs_find(good, 2, 0, -1, &found), LMU_USAGE);
    assert_int_equal(logprobs_find(good, 2, 0, LOGPROB_LIMIT + 1, &found), LMU_USAGE);
    assert_int_equal(logprobs_find(good, 2, 2, 0, &found), LMU_USAGE);
    assert_int_equal(logprobs_find(good, 2, -1, 0, &found), LMU_USAGE);
    assert_int_equal(logprobs_find((float[]){1, NAN}, 2, 0, 0, &found), LMU_NUMERIC);
    assert_int_equal(logprobs_find((float[]){1, INFINITY}, 2, 0, 0, &found), LMU_NUMERIC);
    assert_int_equal(logprobs_find((float[]){-INFINITY, -INFINITY}, 2, 0, 0, &found), LMU_NUMERIC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_those_of_softmax),
        cmocka_unit_test(known_values),
        cmocka_unit_test(bad_requests_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
