/* Vectors by co-occurrence against the definition: dense matrices in double, and many more iterations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/random.h"
#include "memory_shard.h"
#include "text/cooccurrence.h"

enum { TOKENS = 4000, VOCABULARY = 61, NEVER = 7, DIM = 6, LENGTH = 33 };

static uint16_t ids[TOKENS];

/* A text in which what follows a token hangs on its remainder by 6, and in which the last NEVER tokens do not occur. */
static Shard text(void)
{
    uint64_t key = random_key(3, "text", 0, 0);
    for (int i = 0; i < TOKENS; i++) {
        uint64_t kind = i > 0 ? (ids[i - 1] * 5u + 1) % 6 : 0, any = random_below(key, (uint64_t)i, 100);
        uint64_t token =
            any < 80 ? kind + 6 * random_below(key, (uint64_t)(TOKENS + i), 9) : any % (VOCABULARY - NEVER);
        ids[i] = (uint16_t)(token % (VOCABULARY - NEVER));
    }
    return memory_shard(ids, TOKENS, VOCABULARY);
}

typedef double Matrix[VOCABULARY][VOCABULARY];

static void add_information(Matrix counts, bool transposed, Matrix gram)
{
    static double a[VOCABULARY][VOCABULARY];
    double context[VOCABULARY] = {0}, whole = 0;
    for (int u = 0; u < VOCABULARY; u++)
        for (int v = 0; v < VOCABULARY; v++)
            a[u][v] = transposed ? counts[v][u] : counts[u][v];
    for (int v = 0; v < VOCABULARY; v++) {
        for (int u = 0; u < VOCABULARY; u++)
            context[v] += a[u][v];
        whole += pow(context[v], 0.75);
    }
    for (int u = 0; u < VOCABULARY; u++) {
        double all = 0;
        for (int v = 0; v < VOCABULARY; v++)
            all += a[u][v];
        for (int v = 0; v < VOCABULARY; v++)
            a[u][v] = a[u][v] > 0 ? fmax(0, log(a[u][v] / all / (pow(context[v], 0.75) / whole))) : 0;
    }
    for (int u = 0; u < VOCABULARY; u++)
        for (int w = 0; w < VOCABULARY; w++)
            for (int v = 0; v < VOCABULARY; v++)
                gram[u][w] += a[u][v] * a[w][v];
}

/* A A^T of the first samples, as the header defines it. */
static void information_gram(const Windows *windows, int64_t samples, Matrix gram)
{
    static double counts[VOCABULARY][VOCABULARY];
    int32_t window[LENGTH + 1];
    memset(counts, 0, sizeof counts);
    memset(gram, 0, sizeof(Matrix));
    for (int64_t s = 0; s < samples; s++) {
        windows_read(windows, s, window);
        for (int t = 0; t < LENGTH; t++) {
            counts[window[t]][window[t + 1]] += 2;
            if (t + 2 <= LENGTH)
                counts[window[t]][window[t + 2]] += 1;
        }
    }
    add_information(counts, false, gram);
    add_information(counts, true, gram);
}

/* The sum of the DIM largest eigenvalues: Gram and Schmidt's orthogonal iteration, long after it has come to rest. */
static double largest_sum(Matrix gram)
{
    static double x[DIM][VOCABULARY], y[DIM][VOCABULARY];
    double sum = 0;
    for (int k = 0; k < DIM; k++)
        for (int v = 0; v < VOCABULARY; v++)
            x[k][v] = random_normal(random_key(7, "reference", 0, 0), (uint64_t)(k * VOCABULARY + v));
    for (int n = 0; n < 2000; n++) {
        sum = 0;
        for (int k = 0; k < DIM; k++) {
            double squares = 0;
            for (int u = 0; u < VOCABULARY; u++) {
                y[k][u] = 0;
                for (int v = 0; v < VOCABULARY; v++)
                    y[k][u] += gram[u][v] * x[k][v];
            }
            for (int j = 0; j < k; j++) {
                double share = 0;
                for (int v = 0; v < VOCABULARY; v++)
                    share += y[j][v] * y[k][v];
                for (int v = 0; v < VOCABULARY; v++)
                    y[k][v] -= share * y[j][v];
            }
            for (int v = 0; v < VOCABULARY; v++)
                squares += y[k][v] * y[k][v];
            for (int v = 0; v < VOCABULARY; v++)
                y[k][v] /= sqrt(squares);
            sum += sqrt(squares);
        }
        memcpy(x, y, sizeof x);
    }
    return sum;
}

static void they_are_the_largest_singular_vectors(void **state)
{
    (void)state;
    static double gram[VOCABULARY][VOCABULARY];
    static float out[VOCABULARY][DIM];
    Shard shard = text();
    Windows windows;
    int64_t samples = 70;
    assert_int_equal(windows_open(&shard, LENGTH, 5, &windows), LMU_OK);
    assert_int_equal(cooccurrence_vectors(&windows, samples, VOCABULARY, DIM, 1, 2, NULL, &out[0][0]), LMU_OK);
    information_gram(&windows, samples, gram);
    /* Columns of one length at right angles: the rows that are not 0 have a mean square of 1, so each column has as many squares. */
    double squares = VOCABULARY - NEVER, kept = 0;
    for (int c = 0; c < DIM; c++)
        for (int d = 0; d < DIM; d++) {
            double sum = 0;
            for (int v = 0; v < VOCABULARY; v++)
                sum += (double)out[v][c] * (double)out[v][d];
            assert_true(fabs(sum - (c == d ? squares : 0)) < 1e-4 * squares);
            if (c == d)
                for (int u = 0; u < VOCABULARY; u++)
                    for (int v = 0; v < VOCABULARY; v++)
                        kept += (double)out[u][c] * gram[u][v] * (double)out[v][c] / squares;
        }
    double most = largest_sum(gram);
    assert_true(kept < most * (1 + 1e-5) && kept > most * (1 - 1e-4));
    for (int v = VOCABULARY - NEVER; v < VOCABULARY; v++)
        for (int d = 0; d < DIM; d++)
            assert_true(out[v][d] == 0);
}

static void tokens_used_alike_have_vectors_alike(void **state)
{
    (void)state;
    static float out[VOCABULARY][DIM];
    Shard shard = text();
    Windows windows;
    double alike = 0, others = 0;
    int pairs = 0, rest = 0;
    assert_int_equal(windows_open(&shard, LENGTH, 5, &windows), LMU_OK);
    assert_int_equal(cooccurrence_vectors(&windows, 100, VOCABULARY, DIM, 1, 1, NULL, &out[0][0]), LMU_OK);
    for (int u = 0; u < VOCABULARY - NEVER; u++)
        for (int v = 0; v < u; v++) {
            double product = 0, one = 0, other = 0;
            for (int d = 0; d < DIM; d++) {
                product += (double)out[u][d] * (double)out[v][d];
                one += (double)out[u][d] * (double)out[u][d];
                other += (double)out[v][d] * (double)out[v][d];
            }
            if (u % 6 == v % 6)
                alike += product / sqrt(one * other), pairs++;
            else
                others += product / sqrt(one * other), rest++;
        }
    assert_true(alike / pairs > 0.5 && others / rest < 0.2);
}

/* Neither threads nor a second pass change a bit; the seed turns all. */
static void what_they_hang_on(void **state)
{
    (void)state;
    static float one[VOCABULARY][DIM], same[VOCABULARY][DIM];
    Shard shard = text();
    Windows windows;
    assert_int_equal(windows_open(&shard, LENGTH, 5, &windows), LMU_OK);
    assert_int_equal(cooccurrence_vectors(&windows, windows.count, VOCABULARY, DIM, 1, 1, NULL, &one[0][0]), LMU_OK);
    assert_int_equal(cooccurrence_vectors(&windows, 3 * windows.count, VOCABULARY, DIM, 1, 3, NULL, &same[0][0]),
                     LMU_OK);
    assert_memory_equal(one, same, sizeof one);
    assert_int_equal(cooccurrence_vectors(&windows, windows.count, VOCABULARY, DIM, 2, 1, NULL, &same[0][0]), LMU_OK);
    assert_memory_not_equal(one, same, sizeof one);
    assert_int_equal(cooccurrence_vectors(&windows, 1, VOCABULARY, VOCABULARY + 1, 1, 1, NULL, &one[0][0]), LMU_USAGE);
}

/* Beyond the sizes that loops are cut into. */
static void many_tokens_and_channels(void **state)
{
    (void)state;
    enum { MANY = 1500, WIDE = 70 };
    static float out[MANY][WIDE], same[MANY][WIDE];
    Shard shard = text();
    Windows windows;
    uint64_t key = random_key(4, "text", 0, 0);
    double squares = 0;
    for (int i = 0; i < TOKENS; i++)
        ids[i] = (uint16_t)random_below(key, (uint64_t)i, MANY);
    shard.vocabulary = MANY;
    assert_int_equal(windows_open(&shard, LENGTH, 5, &windows), LMU_OK);
    assert_int_equal(cooccurrence_vectors(&windows, 120, MANY, WIDE, 1, 1, NULL, &out[0][0]), LMU_OK);
    assert_int_equal(cooccurrence_vectors(&windows, 120, MANY, WIDE, 1, 3, NULL, &same[0][0]), LMU_OK);
    assert_memory_equal(out, same, sizeof out);
    for (int v = 0; v < MANY; v++)
        squares += (double)out[v][0] * (double)out[v][0];
    for (int c = 0; c < WIDE; c++)
        for (int d = 0; d < WIDE; d++) {
            double sum = 0;
            for (int v = 0; v < MANY; v++)
                sum += (double)out[v][c] * (double)out[v][d];
            assert_true(fabs(sum - (c == d ? squares : 0)) < 1e-4 * squares);
        }
}

/* More channels than there are directions: the rest is 0, and nothing else. */
static void few_tokens_make_few_directions(void **state)
{
    (void)state;
    static float out[VOCABULARY][VOCABULARY];
    Shard shard = text();
    Windows windows;
    for (int i = 0; i < TOKENS; i++)
        ids[i] = (uint16_t)(i % 3);
    assert_int_equal(windows_open(&shard, LENGTH, 5, &windows), LMU_OK);
    assert_int_equal(cooccurrence_vectors(&windows, 20, VOCABULARY, VOCABULARY, 1, 1, NULL, &out[0][0]), LMU_OK);
    double squares = 0;
    for (int v = 0; v < VOCABULARY; v++)
        for (int d = 0; d < VOCABULARY; d++) {
            assert_true(isfinite(out[v][d]) && (v < 3 || out[v][d] == 0));
            squares += (double)out[v][d] * (double)out[v][d];
        }
    assert_true(fabs(squares - 3 * VOCABULARY) < 1e-3 * squares);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_the_largest_singular_vectors),
        cmocka_unit_test(tokens_used_alike_have_vectors_alike),
        cmocka_unit_test(what_they_hang_on),
        cmocka_unit_test(many_tokens_and_channels),
        cmocka_unit_test(few_tokens_make_few_directions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
