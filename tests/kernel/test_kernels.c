/* Every float kernel of this CPU, for each instruction set that runs here, against the plain kernels in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <math.h>

#include <cmocka.h>

#include "base/random.h"
#include "kernel/kernels.h"

/* The two sides: the CPU's backend, then double. BOTH calls a kernel on each; V(x) is the side's numbers, A(x) the same as an Array. */
static Backend *backend[2];
static int side;
static uint64_t draw;

#define BOTH(name, ...)                                                                                                \
    for (side = 0; side < 2; side++)                                                                                   \
    KERNEL(backend[side], name, __VA_ARGS__)
#define V(x) ((x).at[side])
#define A(x) array_of(V(x))

typedef struct Pair {
    int64_t n;
    Real *at[2];
} Pair;

static const int64_t lengths[] = {1, 2, 15, 16, 17, 31, 33, 100, 1000};
#define LENGTHS (sizeof lengths / sizeof *lengths)

static Pair pair_of(int64_t n, const double *values)
{
    Pair a = {.n = n};
    for (side = 0; side < 2; side++) {
        void *memory;
        assert_int_equal(backend_alloc(backend[side], (size_t)(n + 1) * sizeof(double), &memory), LMU_OK);
        a.at[side] = memory;
        KERNEL(backend[side], put_f64, n, values, a.at[side]);
    }
    return a;
}

static Pair pair_new(int64_t n) /* normal numbers that are floats */
{
    double *values = malloc((size_t)(n + 1) * sizeof *values);
    assert_non_null(values);
    uint64_t key = random_key(9, "array", draw++, 0);
    for (int64_t i = 0; i < n; i++)
        values[i] = (float)random_normal(key, (uint64_t)i);
    Pair a = pair_of(n, values);
    free(values);
    return a;
}

static void pair_free(Pair *a)
{
    for (side = 0; side < 2; side++)
        backend_free(backend[side], a->at[side]);
}

static double *array_get(const Pair *a, int which)
{
    double *values = malloc((size_t)(a->n + 1) * sizeof *values);
    assert_non_null(values);
    KERNEL(backend[which], get_f64, a->n, a->at[which], values);
    return values;
}

/* The largest difference is at most `limit` of the double side's largest number, or of 1; frees the array. */
static void check(Pair *a, double limit, const char *what)
{
    double *fast = array_get(a, 0), *exact = array_get(a, 1), worst = 0, largest = 1;
    for (int64_t i = 0; i < a->n; i++) {
        bool good = isfinite(fast[i]) && isfinite(exact[i]);
        worst = good ? fmax(worst, fabs(fast[i] - exact[i])) : INFINITY;
        largest = fmax(largest, fabs(exact[i]));
    }
    if (!(worst <= limit * largest))
        fail_msg("%s of %d numbers on %s: error %.3g of %.3g", what, (int)a->n, machine_isa_name(backend[0]->isa),
                 worst, largest);
    free(fast);
    free(exact);
    pair_free(a);
}

#define ROUNDING 3e-7 /* a few roundings of float, relative to the largest number */
#define SUM 2e-6      /* a sum of up to 1000 terms */

/* -- pointwise ----------------------------------------------------------------------------------------------------- */

static void pointwise(int64_t n)
{
    Pair a = pair_new(n), b = pair_new(n);
    for (int add = 0; add < 2; add++) {
        Pair y = pair_new(n), z = pair_new(n);
        BOTH(copy, n, V(a), V(y), add);
        check(&y, ROUNDING, "copy");
        BOTH(multiply, n, V(a), V(b), V(z), add);
        check(&z, ROUNDING, "multiply");
    }
    Pair y = pair_new(n), z = pair_new(n), f = pair_new(n);
    BOTH(sum, n, V(a), V(b), V(y));
    check(&y, ROUNDING, "sum");
    BOTH(scale, n, -0.3, V(z));
    check(&z, ROUNDING, "scale");
    BOTH(fill, n, 0.7, V(f));
    check(&f, ROUNDING, "fill");
    BOTH(copy, n, V(a), V(a), true); /* in place */
    check(&a, ROUNDING, "copy onto itself");
    BOTH(sum, n, V(b), V(b), V(b));
    check(&b, ROUNDING, "sum in place");
}

static void activations(int64_t d)
{
    for (Activation kind = ACTIVATION_GELU; kind <= ACTIVATION_SILU; kind++) {
        Pair x = pair_new(3 * d), dy = pair_new(3 * d), y = pair_new(3 * d);
        BOTH(activate, kind, 3, d, A(x), A(y));
        check(&y, ROUNDING, "activation");
        for (int add = 0; add < 2; add++) {
            Pair dx = pair_new(3 * d);
            BOTH(activate_back, kind, 3, d, A(x), A(dy), A(dx), add);
            check(&dx, 2 * ROUNDING, "gradient of an activation");
        }
        BOTH(activate_back, kind, 3, d, A(x), A(dy), A(dy), false);
        check(&dy, 2 * ROUNDING, "gradient of an activation in place");
        BOTH(activate, kind, 3, d, A(x), A(x));
        check(&x, ROUNDING, "activation in place");
    }
}

/* Stated bounds, absolute and over -30 .. 30: gelu(x) within 3e-7 max(1, |x|), its slope within 5e-7; silu the same, its slope
 * within 1e-6: x (1 - s) for s near 1. */
static void activations_over_their_range(void **state)
{
    (void)state;
    enum { N = 60001 };
    static double x[N], ones[N];
    for (int i = 0; i < N; i++) {
        x[i] = (float)((i - 30000) * 0.001);
        ones[i] = 1;
    }
    Pair in = pair_of(N, x), dy = pair_of(N, ones);
    for (Activation kind = ACTIVATION_GELU; kind <= ACTIVATION_SILU; kind++) {
        Pair y = pair_new(N), dx = pair_new(N);
        BOTH(activate, kind, 1, N, A(in), A(y));
        BOTH(activate_back, kind, 1, N, A(in), A(dy), A(dx), false);
        double *value = array_get(&y, 0), *exact = array_get(&y, 1);
        double *slope = array_get(&dx, 0), *exact_slope = array_get(&dx, 1);
        double worst_value = 0, worst_slope = 0;
        for (int i = 0; i < N; i++) {
            double size = kind == ACTIVATION_RELU2 ? fmax(1, x[i] * x[i]) : fmax(1, fabs(x[i]));
            worst_value = fmax(worst_value, fabs(value[i] - exact[i]) / size);
            worst_slope = fmax(worst_slope, fabs(slope[i] - exact_slope[i]));
            assert_true(isfinite(value[i]) && isfinite(slope[i]));
        }
        if (!(worst_value <= 3e-7 && worst_slope <= (kind == ACTIVATION_SILU ? 1e-6 : 5e-7)))
            fail_msg("activation %d on %s: value within %.3g, slope within %.3g", kind,
                     machine_isa_name(backend[0]->isa), worst_value, worst_slope);
        free(value);
        free(exact);
        free(slope);
        free(exact_slope);
        pair_free(&y);
        pair_free(&dx);
    }
    pair_free(&in);
    pair_free(&dy);
}

static void not_a_number_stays_visible(void **state)
{
    (void)state;
    double x[21];
    for (int i = 0; i < 21; i++)
        x[i] = i % 5 == 2 ? NAN : 1;
    for (Activation kind = ACTIVATION_GELU; kind <= ACTIVATION_SILU; kind++) {
        if (kind == ACTIVATION_RELU || kind == ACTIVATION_RELU2)
            continue; /* max(0, NaN) is 0 by their definition here */
        Pair a = pair_of(21, x);
        KERNEL(backend[0], activate, kind, 1, 21, array_of(a.at[0]), array_of(a.at[0]));
        double *y = array_get(&a, 0);
        for (int i = 0; i < 21; i++)
            assert_true(isnan(y[i]) == (i % 5 == 2));
        free(y);
        pair_free(&a);
    }
    Pair a = pair_of(21, x);
    double total;
    KERNEL(backend[0], sum_squares, 21, a.at[0], &total);
    assert_true(isnan(total));
    pair_free(&a);
    x[2] = x[7] = x[12] = x[17] = INFINITY;
    a = pair_of(21, x);
    KERNEL(backend[0], sum_squares, 21, a.at[0], &total);
    assert_true(isinf(total));
    pair_free(&a);
}

static void dropouts(int64_t d)
{
    int64_t offset[3] = {0, 2, 5}, position[2] = {3, 0}, slot[2] = {0, 1}, sample[2] = {77, 4}, chunk[3] = {0, 1, 2};
    Rows rows = {2, 5, offset, position, slot, sample, chunk};
    Pair x = pair_new(5 * d);
    for (int add = 0; add < 2; add++) {
        Pair y = pair_new(5 * d);
        BOTH(dropout, &rows, d, 12, 0.25, V(x), V(y), add);
        check(&y, ROUNDING, "dropout");
    }
    pair_free(&x);
}

/* -- norms --------------------------------------------------------------------------------------------------------- */

static void norms(int64_t d)
{
    enum { N = 9 };
    for (NormKind kind = NORM_LAYER; kind <= NORM_RMS; kind++)
        for (int with_bias = 0; with_bias < (kind == NORM_LAYER ? 2 : 1); with_bias++) {
            bool layer = kind == NORM_LAYER;
            Pair x = pair_new(N * d), gain = pair_new(d), bias = pair_new(d), y = pair_new(N * d);
            Pair mean = pair_new(N), rstd = pair_new(N), dy = pair_new(N * d);
            BOTH(norm, kind, N, d, 1e-5, V(x), V(gain), with_bias ? V(bias) : NULL, A(y), layer ? V(mean) : NULL,
                 V(rstd));
            for (int add = 0; add < 2; add++) {
                Pair dx = pair_new(N * d), dgain = pair_new(d), dbias = pair_new(d);
                BOTH(norm_back, kind, N, d, V(x), V(gain), layer ? V(mean) : NULL, V(rstd), V(dy), V(dx), add);
                BOTH(norm_back_parameters, kind, N, d, V(x), layer ? V(mean) : NULL, V(rstd), V(dy), V(dgain), add,
                     with_bias ? V(dbias) : NULL, !add);
                /* A channel or two alone have hardly any variance left: rstd is up to 1/sqrt(epsilon). */
                check(&dx, d <= 2 ? 1e-3 : SUM, "gradient of a norm");
                check(&dgain, d <= 2 ? 1e-5 : SUM, "gradient of a gain");
                check(&dbias, SUM, "gradient of a bias");
            }
            check(&y, d <= 2 ? 1e-5 : SUM, "norm");
            check(&rstd, d <= 2 ? 1e-5 : SUM, "1/deviation");
            if (layer)
                check(&mean, SUM, "mean");
            else
                pair_free(&mean);
            pair_free(&x);
            pair_free(&gain);
            pair_free(&bias);
            pair_free(&dy);
        }
}

/* A mean a thousand times the deviation: no figures are lost to a difference of squares. */
static Pair pair_of_positions(int n, const int32_t *position) /* on both sides; n even */
{
    Pair a = pair_new(n);
    BOTH(put_bytes, (size_t)n * sizeof *position, position, V(a));
    return a;
}

/* Far from its start a text's angles are still those of its places, to the rounding of a float: no error grows with the place. */
static void angles_are_exact_at_any_place(void **state)
{
    (void)state;
    enum { N = 6, PAIRS = 33 };
    static const int32_t position[N] = {0, 1, 1000, 100000, 1048575, 2000000000};
    double frequency[PAIRS];
    float angles[N * 2 * PAIRS];
    for (int j = 0; j < PAIRS; j++)
        frequency[j] = pow(10000, -(double)j / PAIRS);
    Pair at = pair_of_positions(N, position), out = pair_new(N * 2 * PAIRS);
    BOTH(rope_angles, N, PAIRS, frequency, (const int32_t *)V(at), V(out));
    KERNEL(backend[0], get_f32, out.n, out.at[0], angles);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < PAIRS; j++) {
            long double angle = (long double)position[i] * frequency[j];
            double limit = position[i] > 2000000 ? 4e-7 : 6.1e-8; /* 2^-24: half a unit in the last place of 1 */
            double cosine = fabs((double)((long double)angles[2 * i * PAIRS + j] - cosl(angle)));
            double sine = fabs((double)((long double)angles[(2 * i + 1) * PAIRS + j] - sinl(angle)));
            if (!(cosine < limit && sine < limit))
                fail_msg("angle %d of place %d: off by %.3g and %.3g", j, position[i], cosine, sine);
        }
    pair_free(&at);
    pair_free(&out);
}

static void ropes(int64_t pairs)
{
    enum { N = 4, HEADS = 3 };
    static const int32_t position[N] = {0, 7, 300, 100000};
    int64_t e = 2 * pairs, d = HEADS * e;
    double frequency[1000];
    for (int64_t j = 0; j < pairs; j++)
        frequency[j] = pow(10000, -(double)j / (double)pairs);
    Pair at = pair_of_positions(N, position), angles = pair_new(N * e), x = pair_new(N * 3 * d);
    Pair y = pair_new(N * 3 * d), rstd = pair_new(N * 2 * HEADS), dy = pair_new(N * 3 * d);
    BOTH(rope_angles, N, pairs, frequency, (const int32_t *)V(at), V(angles));
    BOTH(rope, N, d, HEADS, 1e-5, A(x), V(angles), A(y), V(rstd));
    for (int add = 0; add < 2; add++) {
        Pair dx = pair_new(N * 3 * d);
        BOTH(rope_back, N, d, HEADS, A(y), V(angles), V(rstd), A(dy), A(dx), add);
        check(&dx, 1e-5, "gradient of rotary positions");
    }
    BOTH(rope, N, d, HEADS, 1e-5, A(x), V(angles), A(x), V(rstd));
    BOTH(rope_back, N, d, HEADS, A(y), V(angles), V(rstd), A(dy), A(dy), false);
    check(&x, 1e-5, "rotary positions in place");
    check(&dy, 1e-5, "gradient of rotary positions in place");
    check(&y, 1e-5, "rotary positions");
    check(&rstd, 1e-5, "1/RMS of heads");
    check(&angles, 1e-6, "rotary angles");
    pair_free(&at);
}

static void ropes_of_every_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTHS; i++)
        ropes(lengths[i]);
}

static void norms_of_a_large_mean(void **state)
{
    (void)state;
    enum { D = 129 };
    double x[D], ones[D];
    for (int i = 0; i < D; i++) {
        x[i] = (float)(1000 + random_normal(2, (uint64_t)i));
        ones[i] = 1;
    }
    Pair in = pair_of(D, x), gain = pair_of(D, ones), y = pair_new(D), mean = pair_new(1), rstd = pair_new(1);
    BOTH(norm, NORM_LAYER, 1, D, 1e-5, V(in), V(gain), NULL, A(y), V(mean), V(rstd));
    check(&y, 1e-4, "norm of a large mean");
    pair_free(&in);
    pair_free(&gain);
    pair_free(&mean);
    pair_free(&rstd);
}

/* Both gradients, and each alone. */
static void weighted_sums(int64_t d)
{
    enum { ROWS = 19 };
    for (int64_t parts = 1; parts < 4; parts++)
        for (int form = 0; form < 6; form++) {
            Pair x = pair_new(ROWS * parts * d), gain = pair_new(parts * d), y = pair_new(ROWS * d);
            Pair dx = pair_new(ROWS * parts * d), dgain = pair_new(parts * d);
            BOTH(weighted_sum, ROWS, parts, d, V(x), V(gain), V(y));
            check(&y, SUM, "weighted sum");
            Pair dy = pair_new(ROWS * d);
            BOTH(weighted_sum_back, ROWS, parts, d, V(x), V(gain), V(dy), form < 4 ? V(dx) : NULL, form & 1,
                 form < 2 || form > 3 ? V(dgain) : NULL, form & 1);
            check(&dx, ROUNDING, "weighted sum, gradient of x");
            check(&dgain, SUM * sqrt(ROWS), "weighted sum, gradient of the gains");
            pair_free(&x);
            pair_free(&gain);
            pair_free(&dy);
        }
}

/* -- products ------------------------------------------------------------------------------------------------------ */

static void products(int64_t k)
{
    static const int64_t sizes[][2] = {{1, 1}, {3, 17}, {16, 33}, {31, 2}, {135, 24}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int form = 0; form < 16; form++) {
            int64_t m = sizes[s][0], n = sizes[s][1];
            Product p = {.transpose_a = form & 1, .transpose_b = form & 2, .add = form & 4, .m = m, .n = n, .k = k};
            Pair a = pair_new(m * k), b = pair_new(k * n), bias = pair_new(n), c = pair_new(m * n);
            BOTH(product, &p, A(a), A(b), form & 8 ? V(bias) : NULL, A(c));
            check(&c, SUM * sqrt((double)k), "product"); /* of terms of size 1 */
            pair_free(&a);
            pair_free(&b);
            pair_free(&bias);
        }
}

/* x x^T and x^T x, said to be symmetric: smaller and larger than what is made in panels, and of panels that differ. */
static void symmetric_products(int64_t k)
{
    static const int64_t sizes[] = {1, 19, 127, 128, 203, 515};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int tall = 0; tall < 2; tall++) {
            int64_t n = sizes[s];
            Product p = {.transpose_a = tall, .transpose_b = !tall, .symmetric = true, .m = n, .n = n, .k = k};
            Pair x = pair_new(n * k), c = pair_new(n * n);
            BOTH(product, &p, A(x), A(x), NULL, A(c));
            check(&c, SUM * sqrt((double)k), "symmetric product");
            pair_free(&x);
        }
}

/* More rows of each operand and columns of the first than are packed at a time. */
static void large_weight_gradients(void **state)
{
    (void)state;
    enum { M = 301, N = 41, K = 600 };
    for (int add = 0; add < 2; add++) {
        Pair a = pair_new(M * K), b = pair_new(K * N), c = pair_new(M * N);
        BOTH(product, &((Product){.transpose_a = true, .add = add, .m = M, .n = N, .k = K}), A(a), A(b), NULL, A(c));
        check(&c, SUM * sqrt(K), "a weight's gradient");
        pair_free(&a);
        pair_free(&b);
    }
}

static void empty_products(void **state)
{
    (void)state;
    Pair a = pair_new(12), bias = pair_new(4), c = pair_new(12), kept = pair_new(12);
    BOTH(product, &((Product){.m = 3, .n = 4, .k = 0}), A(a), A(a), V(bias), A(c));
    check(&c, 0, "a product over nothing");
    BOTH(product, &((Product){.add = true, .m = 3, .n = 4, .k = 0}), A(a), A(a), NULL, A(kept));
    check(&kept, 0, "a product over nothing, added");
    Pair same = pair_new(12);
    BOTH(product, &((Product){.m = 0, .n = 4, .k = 3}), A(a), A(a), NULL, A(same));
    BOTH(product, &((Product){.m = 4, .n = 0, .k = 3}), A(a), A(a), NULL, A(same));
    check(&same, 0, "a product of no rows");
    pair_free(&a);
    pair_free(&bias);
}

static void column_sums(int64_t d)
{
    for (int add = 0; add < 2; add++) {
        Pair x = pair_new(37 * d), y = pair_new(d);
        BOTH(column_sum, 37, d, A(x), V(y), add);
        check(&y, SUM, "column sum");
        pair_free(&x);
    }
}

/* Right, and each row with the bits that it has alone. */
static void products_of_rows(int64_t k)
{
    static const int64_t widths[] = {1, 15, 32, 33, 100};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int with_bias = 0; with_bias < 2; with_bias++) {
            enum { N = 19 };
            int64_t m = widths[w];
            Pair x = pair_new(N * k), weight = pair_new(m * k), bias = pair_new(m), y = pair_new(N * m);
            Pair packed =
                pair_new((int64_t)(backend[0]->kernels->packed_bytes(backend[0], m, k) / sizeof(float)) + m * k);
            BOTH(pack, m, k, V(weight), V(packed));
            BOTH(product_rows, N, m, k, V(x), V(packed), with_bias ? V(bias) : NULL, V(y));
            double *together = array_get(&y, 0);
            check(&y, SUM * sqrt((double)k), "product of rows");
            Pair alone = pair_new(m);
            for (int64_t r = 0; r < N; r++) {
                KERNEL(backend[0], product_rows, 1, m, k, real_at(backend[0], x.at[0], r * k), packed.at[0],
                       with_bias ? bias.at[0] : NULL, alone.at[0]);
                double *row = array_get(&alone, 0);
                assert_memory_equal(row, together + r * m, (size_t)m * sizeof *row);
                free(row);
            }
            free(together);
            pair_free(&alone);
            pair_free(&packed);
            pair_free(&x);
            pair_free(&weight);
            pair_free(&bias);
        }
}

/* -- tables and the loss ------------------------------------------------------------------------------------------- */

static void tables(int64_t d)
{
    static const int32_t ids[9] = {3, 0, -1, 6, 3, 3, -5, 0, 5};
    Pair table = pair_new(7 * d), y = pair_new(9 * d), dy = pair_new(9 * d);
    Pair weight = pair_new(9), weighted = pair_new(3 * d);
    BOTH(gather, 9, 1, d, ids, NULL, V(table), V(y));
    check(&y, 0, "gather");
    BOTH(gather, 3, 3, d, ids, V(weight), V(table), V(weighted));
    check(&weighted, ROUNDING, "weighted gather");
    for (int add = 0; add < 2; add++) {
        Pair dtable = pair_new(7 * d);
        BOTH(gather_back, 9, 1, 7, d, ids, NULL, V(dy), V(dtable), add);
        BOTH(gather_back, 3, 3, 7, d, ids, V(weight), V(dy), V(dtable), true);
        check(&dtable, ROUNDING, "gradient of a table");
    }
    pair_free(&table);
    pair_free(&dy);
    pair_free(&weight);
}

/* Of `n` tokens behind others, `window` of which a ring has. */
static void recalls(int64_t n)
{
    enum { ORDERS = 3, VOCABULARY = 9 };
    static const int64_t windows[] = {1, 5, 64, 300};
    for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
        int64_t window = windows[w], before = 3 * n / 2, offset[2][2] = {{0, before}, {0, n}}, chunk[2] = {0}, none = 0;
        Rows first = {1, before, offset[0], &none, &none, &none, chunk},
             rows = {1, n, offset[1], &before, &none, &none, chunk};
        int32_t *ids = malloc((size_t)(before + n) * sizeof *ids), *next[2];
        Pair ring = pair_new(window);
        assert_non_null(ids);
        for (int64_t i = 0; i < before + n; i++)
            ids[i] = (int32_t)random_below(random_key(3, "ids", (uint64_t)n, 0), (uint64_t)i, VOCABULARY + 1) - 1;
        for (side = 0; side < 2; side++) {
            Backend *b = backend[side];
            next[side] = calloc((size_t)(n * ORDERS), sizeof(int32_t));
            assert_non_null(next[side]);
            assert_int_equal(backend_reserve(b, b->kernels->recall_workspace(b, window, n)), LMU_OK);
            KERNEL(b, recall_keep, &first, window, ids, V(ring));
            KERNEL(b, recall, &rows, ORDERS, window, VOCABULARY, ids + before, V(ring), next[side]);
        }
        assert_memory_equal(next[0], next[1], (size_t)(n * ORDERS) * sizeof(int32_t));
        pair_free(&ring);
        free(ids);
        free(next[0]);
        free(next[1]);
    }
}

static void losses(int64_t v)
{
    const int32_t targets[6] = {0, (int32_t)(v - 1), -1, (int32_t)(v / 2), -100, 0};
    const int32_t pairs[] = {(int32_t)(v - 1), 3, 0, 1,
                             (int32_t)(v / 3), 6}; /* an id may be in both parts, and the target */
    const SoftPart most = {pairs, 3, 0.05}, few = {pairs + 2, 1, 0.2};
    const SoftTarget soft[6] = {{0.5, {most}},      {1, {{0}}}, {0.8, {few}},
                                {0.3, {most, few}}, {1, {{0}}}, {0.8, {{0}, few}}};
    for (int form = 0; form < 3; form++)
        for (double spread = 1; spread < 1000; spread *= 30) { /* logits of up to a few thousand */
            Pair logits = pair_new(6 * v), loss = pair_new(6);
            BOTH(scale, 6 * v, spread, V(logits));
            BOTH(cross_entropy, 6, v, V(logits), targets, form > 1 ? soft : NULL, form ? 0.25 : 0, A(logits), V(loss));
            double *value = array_get(&loss, 0), *gradient = array_get(&logits, 0);
            for (int i = 0; i < 6; i++)
                assert_true(targets[i] >= 0 ? value[i] >= -1e-6 : value[i] == 0);
            for (int64_t i = 2 * v; form && i < 3 * v; i++)
                assert_true(gradient[i] == 0);
            free(value);
            free(gradient);
            if (v > 1) {
                check(&loss, SUM, "loss");
                check(&logits, form ? SUM * spread : ROUNDING, form ? "gradient of a loss" : "logits that are kept");
            } else {
                pair_free(&loss); /* one token: the loss is 0 */
                pair_free(&logits);
            }
        }
}

/* -- the optimiser ------------------------------------------------------------------------------------------------- */

static void optimiser(int64_t n)
{
    Pair w = pair_new(n), g = pair_new(n), m = pair_new(n), v = pair_new(n);
    BOTH(fill, n, 0, V(m));
    BOTH(fill, n, 0, V(v));
    double square[2];
    for (side = 0; side < 2; side++)
        KERNEL(backend[side], sum_squares, n, g.at[side], &square[side]);
    assert_true(fabs(square[0] - square[1]) <= 1e-12 * square[1]);
    for (int64_t step = 1; step <= 5; step++) {
        AdamW o = {.rate = 0.01,
                   .beta1 = 0.9,
                   .beta2 = 0.95,
                   .epsilon = 1e-8,
                   .decay = 0.1,
                   .gradient_scale = 0.7,
                   .step = step};
        BOTH(adamw, n, &o, V(w), V(g), V(m), V(v));
        BOTH(scale, n, -0.8, V(g));
    }
    check(&w, 2 * ROUNDING, "weights");
    check(&m, 2 * ROUNDING, "first moments");
    check(&v, 2 * ROUNDING, "second moments");
    pair_free(&g);
}

static void orthogonalising(int64_t n)
{
    Pair g = pair_new(n), m = pair_new(n), y = pair_new(n), w = pair_new(n);
    BOTH(momentum, n, 0.95, 0.7, V(g), V(m), V(y));
    BOTH(descend, n, 0.99, 0.3, V(y), V(w));
    check(&w, 2 * ROUNDING, "descent");
    check(&m, 2 * ROUNDING, "momentum");
    check(&y, 2 * ROUNDING, "Nesterov momentum");
    pair_free(&g);
    int64_t side_length = n < 100 ? n : 100, numbers = side_length * side_length;
    Pair x = pair_new(numbers), square = pair_new(numbers), z = pair_new(numbers);
    NewtonSchulz quintic = {3.8623, -2.6119, 0.4482};
    BOTH(newton_schulz, side_length, &quintic, A(x), V(square), A(z));
    check(&z, 2 * ROUNDING, "polynomial of a matrix");
    pair_free(&x);
    pair_free(&square);
}

/* Long enough for every thread to have a share. */
static void sums_of_squares_are_long(void **state)
{
    (void)state;
    enum { N = 300007 };
    backend[0]->threads = 2;
    Pair g = pair_new(N);
    double square[2];
    for (side = 0; side < 2; side++)
        KERNEL(backend[side], sum_squares, N, g.at[side], &square[side]);
    assert_true(fabs(square[0] - square[1]) <= 1e-12 * square[1]);
    pair_free(&g);
    pointwise(N);
}

/* -- every length -------------------------------------------------------------------------------------------------- */

static void by_length(void (*test)(int64_t))
{
    for (size_t i = 0; i < LENGTHS; i++)
        test(lengths[i]);
}

#define EVERY_LENGTH(test)                                                                                             \
    static void test##_of_every_length(void **state)                                                                   \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        by_length(test);                                                                                               \
    }
EVERY_LENGTH(pointwise)
EVERY_LENGTH(activations)
EVERY_LENGTH(dropouts)
EVERY_LENGTH(norms)
EVERY_LENGTH(weighted_sums)
EVERY_LENGTH(products)
EVERY_LENGTH(symmetric_products)
EVERY_LENGTH(column_sums)
EVERY_LENGTH(products_of_rows)
EVERY_LENGTH(tables)
EVERY_LENGTH(recalls)
EVERY_LENGTH(losses)
EVERY_LENGTH(optimiser)
EVERY_LENGTH(orthogonalising)

static int open_backends(void **state)
{
    (void)state;
    return backend_open(BACKEND_CPU, 1, false, &backend[0]) != LMU_OK ||
           backend_open(BACKEND_DOUBLE, 1, false, &backend[1]) != LMU_OK;
}

static int close_backends(void **state)
{
    (void)state;
    backend_close(backend[0]);
    backend_close(backend[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pointwise_of_every_length),       cmocka_unit_test(activations_of_every_length),
        cmocka_unit_test(activations_over_their_range),    cmocka_unit_test(not_a_number_stays_visible),
        cmocka_unit_test(dropouts_of_every_length),        cmocka_unit_test(norms_of_every_length),
        cmocka_unit_test(norms_of_a_large_mean),           cmocka_unit_test(angles_are_exact_at_any_place),
        cmocka_unit_test(ropes_of_every_length),           cmocka_unit_test(products_of_every_length),
        cmocka_unit_test(weighted_sums_of_every_length),   cmocka_unit_test(symmetric_products_of_every_length),
        cmocka_unit_test(large_weight_gradients),          cmocka_unit_test(empty_products),
        cmocka_unit_test(column_sums_of_every_length),     cmocka_unit_test(products_of_rows_of_every_length),
        cmocka_unit_test(tables_of_every_length),          cmocka_unit_test(recalls_of_every_length),
        cmocka_unit_test(losses_of_every_length),          cmocka_unit_test(optimiser_of_every_length),
        cmocka_unit_test(orthogonalising_of_every_length), cmocka_unit_test(sums_of_squares_are_long),
    };
    int failed = 0;
    for (MachineIsa isa = ISA_REFERENCE; isa <= ISA_AVX512; isa++) {
        setenv("LMU_ISA", machine_isa_name(isa), 1);
        if (machine_isa() == isa)
            failed += cmocka_run_group_tests_name(machine_isa_name(isa), tests, open_backends, close_backends);
    }
    return failed;
}
