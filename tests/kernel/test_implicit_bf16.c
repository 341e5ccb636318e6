/* Implicit attention on bfloat16 against the same in plain float: the CPU's own products where it multiplies bfloat16, and for
 * every vector width that runs here the same kernel with the products spelled out. */
#include "bf16_testing.h"

void simd_implicit_bf16_tiles(Kernels *table); /* of a variant that only tests use */

#define BOUND                                                                                                          \
    0.015 /* root of the mean square of the error, relative: a number rounded to bfloat16 is off by 2^-8 at most */

/* The slope of relu jumps at 0, and one z in 2^9 or so lies on its other side once rounded. */
#define RELU_BOUND 0.04

typedef struct Case {
    int64_t order, reduced, channels, groups;
    int rows;
    int64_t count[3];
    int64_t heads;
    Activation activation;
    bool scaled;
} Case;

static const Case cases[] = {
    {1, 1, 3, 1, 1, {17}, .heads = 1},
    {2, 3, 16, 1, 2, {5, 33}, .heads = 1},
    {5, 3, 37, 1, 3, {1, 16, 50}, .heads = 1},
    {8, 8, 32, 1, 2, {31, 2}, .heads = 1},
    {7, 5, 65, 1, 1, {48}, .heads = 1},
    {16, 16, 256, 1, 2, {40, 19}, .heads = 1},
    {3, 17, 20, 1, 1, {12}, .heads = 1},
    {20, 8, 100, 1, 2, {18, 0}, .heads = 1},
    {16, 8, 320, 1, 1, {21}, .heads = 1},
    {40, 11, 24, 1, 1, {20}, .heads = 1},
    {33, 34, 16, 1, 1, {18}, .heads = 1},
    {4, 3, 15, 3, 2, {5, 33}, .heads = 1},
    {8, 8, 96, 3, 2, {50, 19}, .heads = 1},
    {8, 8, 128, 8, 1, {37}, .heads = 1},
    {5, 4, 141, 3, 2, {18, 40}, .heads = 1},
    {3, 2, 64, 64, 1, {20}, .heads = 1},
    {8, 8, 96, 1, 2, {31, 2}, .heads = 1, .activation = ACTIVATION_RELU},
    {8, 8, 96, 1, 2, {31, 2}, .heads = 1, .activation = ACTIVATION_RELU2},
    {7, 5, 65, 1, 1, {48}, .heads = 1, .activation = ACTIVATION_SILU},
    {8, 8, 96, 1, 2, {31, 2}, .heads = 1, .activation = ACTIVATION_NONE},
    {7, 5, 65, 1, 1, {48}, .heads = 1, .activation = ACTIVATION_NONE},
    {8, 8, 96, 1, 2, {50, 19}, .heads = 3},
    {5, 3, 66, 2, 3, {1, 16, 50}, .heads = 6, .scaled = true},
    {4, 5, 20, 1, 2, {33, 0}, .heads = 20},
    {8, 8, 256, 1, 1, {37}, .heads = 4, .activation = ACTIVATION_RELU2, .scaled = true},
    {8, 8, 64, 1, 2, {31, 2}, .heads = 1, .scaled = true},
};

enum { Y, DX, DL, DBIAS, DP, DSCALE, RESULTS };

static Real *chunk_matrices(Backend *b, int64_t q, int64_t groups)
{
    int64_t n = LEGENDRE_CHUNK * q * (q + LEGENDRE_CHUNK);
    double *abar = calloc((size_t)(q * q + q + n), sizeof *abar);
    Real *out = numbers(b, groups * n, 0, 0);
    assert_non_null(abar);
    for (int64_t i = 0; i < groups; i++) {
        assert_int_equal(legendre_discretise(q, 20 + 30 * (double)i, false, abar, abar + q * q), LMU_OK);
        legendre_chunk_matrix(q, LEGENDRE_CHUNK, abar, abar + q * q, abar + q * q + q);
        KERNEL(b, put_f64, n, abar + q * q + q, real_at(b, out, i * n));
    }
    free(abar);
    return out;
}

/* Forward and backward of one case on a backend; gradients of x and of l are added to what stands there. */
static Outcome run(Backend *b, const Case *c)
{
    int64_t heads = c->heads, hp = heads * c->reduced;
    int64_t q = c->order, p = c->reduced, d = c->channels, offset[4] = {0}, chunk[4] = {0}, slot[3] = {0, 1, 2};
    for (int r = 0; r < c->rows; r++) {
        offset[r + 1] = offset[r] + c->count[r];
        chunk[r + 1] = chunk[r] + (c->count[r] + LEGENDRE_CHUNK - 1) / LEGENDRE_CHUNK;
    }
    int64_t n = offset[c->rows];
    Rows rows = {c->rows, n, offset, (int64_t[3]){0}, slot, slot, chunk};
    LegendreShape shape = {d, q, c->groups};
    Real *w = chunk_matrices(b, q, shape.groups), *x = numbers(b, n * d, 1, 1), *dy = numbers(b, n * d, 2, 1);
    Real *state = numbers(b, 3 * q * d, 3, 0.3), *boundary = numbers(b, chunk[c->rows] * q * d, 0, 0);
    AttentionParameters a = {.reduced = p,
                             .heads = heads,
                             .activation = c->activation,
                             .l = numbers(b, 3 * hp * q, 4, 1 / sqrt((double)q)),
                             .bias = numbers(b, 3 * hp, 5, 0.2),
                             .p = numbers(b, hp, 6, 1 / sqrt((double)p)),
                             .scale = c->scaled ? numbers(b, heads, 9, 1) : NULL};
    Real *out[RESULTS] = {numbers(b, n * d, 0, 0),  numbers(b, n * d, 7, 1), numbers(b, 3 * hp * q, 8, 1),
                          numbers(b, 3 * hp, 0, 0), numbers(b, hp, 0, 0),    numbers(b, heads, 10, 1)};
    AttentionGradients g = {out[DL],       out[DBIAS],       out[DP], c->scaled ? out[DSCALE] : NULL,
                            .add_l = true, .add_scale = true};
    assert_int_equal(backend_reserve(b, b->kernels->legendre_workspace(b, &shape, heads, p)), LMU_OK);
    KERNEL(b, legendre_scan, &shape, LEGENDRE_CHUNKED, &rows, w, x, state, boundary);
    KERNEL(b, implicit_attention, &shape, &a, &rows, w, x, boundary, array_of(out[Y]));
    KERNEL(b, implicit_attention_back, &shape, &a, &rows, w, x, boundary, array_of(dy), out[DX], true, &g);
    Outcome o = {.size = {n * d, n * d, 3 * hp * q, 3 * hp, hp, heads}};
    for (int i = 0; i < RESULTS; i++) {
        o.result[i] = calloc((size_t)o.size[i] + 1, sizeof(float));
        assert_non_null(o.result[i]);
        KERNEL(b, get_f32, o.size[i], out[i], o.result[i]);
    }
    return o;
}

static void check_table(const char *name, const Kernels *table)
{
    int broken = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int threads = THREADS_LEAST; threads <= 2; threads++) {
            Backend *plain, *fast;
            backends_open(table, threads, &plain, &fast);
            Outcome wanted = run(plain, &cases[i]), got = run(fast, &cases[i]), again = run(fast, &cases[i]);
            double error = outcomes_differ(&wanted, &got);
            double bound = cases[i].activation == ACTIVATION_RELU ? RELU_BOUND : BOUND;
            if (!(error < bound) || outcomes_differ(&got, &again) != 0) {
                print_error(
                    "%s, case %d (order %lld, reduced %lld, %lld channels), %d threads: error %.3g, on repetition "
                    "%.3g\n",
                    name, (int)i, (long long)cases[i].order, (long long)cases[i].reduced, (long long)cases[i].channels,
                    threads, error, outcomes_differ(&got, &again));
                broken++;
            }
            outcome_free(&wanted);
            outcome_free(&got);
            outcome_free(&again);
            backend_close(plain);
            backend_close(fast);
        }
    assert_int_equal(broken, 0);
}

/* The tile unit's instructions in plain C: what a CPU with AMX runs, but for the unit. */
static void by_tiles(void **state)
{
    (void)state;
    Kernels table = kernels_reference_f32;
    kernels_simd_override(&table, ISA_BASE);
    simd_implicit_bf16_tiles(&table);
    check_table("tiles", &table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(native), cmocka_unit_test(spelled_out),
                                       cmocka_unit_test(by_tiles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
