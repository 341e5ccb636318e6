/* Products of bfloat16: the rounding, bit by bit, and products against double on operands that were rounded first, where the
 * only error left is that of float sums. oneDNN's are skipped, saying so, on a CPU that does not multiply bfloat16; those by
 * rows are tried with every instruction set that runs here, and everywhere as tiles in plain C. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <math.h>

#include <cmocka.h>

#include "base/random.h"
#include "kernel/gemm.h"

static float of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float widened(uint16_t x)
{
    return of_bits((uint32_t)x << 16);
}

/* Ties go to even; NaN stays NaN even where its payload lies in the bits that are dropped; infinities and zeros stay. */
static void rounding(void **state)
{
    (void)state;
    static const struct {
        uint32_t from;
        uint16_t to;
    } cases[] = {{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81},
                 {0x80000000, 0x8000}, {0x7f800000, 0x7f80}, {0xff800000, 0xff80}, {0x7f7fffff, 0x7f80},
                 {0x7f800001, 0x7fc0}, {0xffc12345, 0xffc1}, {0x00000001, 0x0000}, {0x00018000, 0x0002}};
    enum { COUNT = sizeof cases / sizeof *cases };
    for (int kind = BACKEND_CPU; kind <= BACKEND_REFERENCE; kind++) {
        Backend *b;
        float x[COUNT];
        uint16_t y[COUNT];
        assert_int_equal(backend_open((BackendKind)kind, 1, false, &b), LMU_OK);
        for (int i = 0; i < COUNT; i++)
            x[i] = of_bits(cases[i].from);
        KERNEL(b, to_bf16, COUNT, (const Real *)x, y);
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(y[i], cases[i].to);
        backend_close(b);
    }
}

static float *normal_numbers(int64_t n, uint64_t key)
{
    float *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)random_normal(key, (uint64_t)i);
    return x;
}

static float rounded(Backend *b, float x)
{
    uint16_t y;
    KERNEL(b, to_bf16, 1, (const Real *)&x, &y);
    return widened(y);
}

/* One product in every orientation, added and replaced. */
static void check_product(Backend *b, int64_t m, int64_t n, int64_t k, int form)
{
    Product p = {.transpose_a = form & 1, .transpose_b = form & 2, .add = form & 4, .m = m, .n = n, .k = k};
    float *x = normal_numbers(m * k, 1), *y = normal_numbers(k * n, 2), *z = normal_numbers(m * n, 3),
          *before = normal_numbers(m * n, 3), *bias = normal_numbers(n, 4);
    assert_int_equal(backend_reserve(b, b->kernels->product_workspace(b, m, n, k)), LMU_OK);
    KERNEL(b, product, &p, array_of((const Real *)x), array_of((const Real *)y), (const Real *)bias,
           array_of((const Real *)z));
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = bias[j] + (p.add ? before[i * n + j] : 0), size = 1;
            for (int64_t l = 0; l < k; l++) {
                double left = rounded(b, x[p.transpose_a ? l * m + i : i * k + l]);
                double term = left * rounded(b, y[p.transpose_b ? j * k + l : l * n + j]);
                sum += term;
                size += fabs(term);
            }
            if (!(fabs(z[i * n + j] - sum) <= 1e-6 * size))
                fail_msg("%lld x %lld x %lld, form %d, at %lld, %lld: %g, not %g", (long long)m, (long long)n,
                         (long long)k, form, (long long)i, (long long)j, (double)z[i * n + j], sum);
        }
    free(x);
    free(y);
    free(z);
    free(before);
    free(bias);
}

/* x x^T or x^T x of numbers in bfloat16, said to be symmetric; the result is float or bfloat16. */
static void check_symmetric(Backend *b, int64_t n, int64_t k, bool tall, bool half)
{
    Product p = {.transpose_a = tall, .transpose_b = !tall, .symmetric = true, .m = n, .n = n, .k = k};
    float *numbers = normal_numbers(n * k, 1), *z = normal_numbers(n * n, 2);
    uint16_t *x = calloc((size_t)(n * k), sizeof *x);
    KERNEL(b, to_bf16, n * k, (const Real *)numbers, x);
    KERNEL(b, product, &p, (Array){x, true}, (Array){x, true}, NULL, (Array){z, half});
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0, size = 1, at = half ? widened(((uint16_t *)z)[i * n + j]) : z[i * n + j];
            for (int64_t l = 0; l < k; l++) {
                double term =
                    (double)widened(x[tall ? l * n + i : i * k + l]) * widened(x[tall ? l * n + j : j * k + l]);
                sum += term;
                size += fabs(term);
            }
            if (!(fabs(at - sum) <= (half ? 0x1p-8 * fabs(sum) : 0) + 1e-6 * size))
                fail_msg("%lld x %lld, %s, at %lld, %lld: %g, not %g", (long long)n, (long long)k,
                         tall ? "tall" : "wide", (long long)i, (long long)j, at, sum);
        }
    free(numbers);
    free(x);
    free(z);
}

static void products(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{1, 1, 1}, {3, 5, 7}, {17, 33, 65}, {64, 16, 100}, {33, 1, 2}, {128, 31, 48}};
    Backend *b;
    assert_int_equal(backend_open(BACKEND_CPU, 2, false, &b), LMU_OK);
    if (backend_best_compute(b) != COMPUTE_BF16) {
        assert_int_equal(backend_compute(b, COMPUTE_BF16), LMU_USAGE);
        assert_non_null(strstr(lmu_error_message(), "does not multiply bfloat16"));
        printf("this CPU does not multiply bfloat16: products skipped\n");
        backend_close(b);
        skip();
    }
    assert_int_equal(backend_compute(b, COMPUTE_BF16), LMU_OK);
    for (int round = 0; round < 2; round++) /* compiled, then found again */
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int form = 0; form < 8; form++)
                check_product(b, sizes[i][0], sizes[i][1], sizes[i][2], form);
    for (int form = 0; form < 4; form++) {
        check_symmetric(b, 33, 17, form & 1, form & 2);
        check_symmetric(b, 203, 65, form & 1, form & 2);
        check_symmetric(b, 640, 3, form & 1, form & 2); /* mirrored by several threads */
    }
    backend_close(b);
}

/* -- products by rows ---------------------------------------------------------------------------------------------- */

typedef struct Rows16 { /* y [n x m] = x [n x k] w^T + bias */
    int64_t n, m, k;
    float *x, *w, *bias, *y;
    void *packed;
} Rows16;

static Rows16 rows_new(Backend *b, int64_t n, int64_t m, int64_t k)
{
    Rows16 p = {n, m, k, normal_numbers(n * k, 5), normal_numbers(m * k, 6), normal_numbers(m, 7), NULL, NULL};
    p.y = malloc((size_t)(n * m) * sizeof *p.y);
    p.packed = malloc(b->kernels->packed_bytes_bf16(b, m, k));
    assert_true(p.y && p.packed);
    assert_int_equal(backend_reserve(b, b->kernels->product_rows_bf16_workspace(b, n, k)), LMU_OK);
    KERNEL(b, pack_bf16, m, k, (const Real *)p.w, p.packed);
    return p;
}

static void rows_free(Rows16 *p)
{
    free(p->x);
    free(p->w);
    free(p->bias);
    free(p->y);
    free(p->packed);
}

static void rows_run(Backend *b, const Rows16 *p, int64_t first, int64_t n, bool bias, float *y)
{
    KERNEL(b, product_rows_bf16, n, p->m, p->k, (const Real *)(p->x + first * p->k), p->packed,
           (const Real *)(bias ? p->bias : NULL), (Real *)y);
}

/* Against double on rounded operands: at most k + 2 additions in float, each of which loses 2^-24 of what has come together.
 * Against the operands as they were: each is off by up to 2^-8 of itself, a term by 2^-7 and 2^-16. */
static void check_rows(Backend *b, const Rows16 *p, bool bias)
{
    rows_run(b, p, 0, p->n, bias, p->y);
    for (int64_t i = 0; i < p->n; i++)
        for (int64_t j = 0; j < p->m; j++) {
            double sum = bias ? p->bias[j] : 0, size = fabs(sum), plain = sum, plain_size = size,
                   y = p->y[i * p->m + j];
            for (int64_t l = 0; l < p->k; l++) {
                double left = p->x[i * p->k + l], right = p->w[j * p->k + l];
                double term = (double)rounded(b, (float)left) * rounded(b, (float)right);
                sum += term;
                size += fabs(term);
                plain += left * right;
                plain_size += fabs(left * right);
            }
            double limit = (double)(p->k + 2) * 0x1p-24 * size, all = (0x1p-7 + 0x1p-16) * plain_size + limit;
            if (!(fabs(y - sum) <= limit && fabs(y - plain) <= all))
                fail_msg("%lld x %lld x %lld at %lld, %lld: %g, not %g (%g)", (long long)p->n, (long long)p->m,
                         (long long)p->k, (long long)i, (long long)j, y, sum, plain);
        }
}

/* Any run of rows has the bits that it has among all. */
static void check_company(Backend *b, const Rows16 *p, bool bias)
{
    size_t row = (size_t)p->m * sizeof(float);
    float *some = malloc((size_t)p->n * row);
    assert_non_null(some);
    rows_run(b, p, 0, p->n, bias, p->y);
    for (int64_t n = 1; n <= p->n; n++)
        for (int64_t first = 0; first + n <= p->n; first += p->n - n > 2 ? (p->n - n) / 2 : 1) {
            rows_run(b, p, first, n, bias, some);
            assert_memory_equal(some, p->y + first * p->m, (size_t)n * row);
        }
    free(some);
}

/* What one row holds that is no number stays in that row. */
static void check_not_a_number(Backend *b, Rows16 *p)
{
    float *before = malloc((size_t)(p->n * p->m) * sizeof *before);
    assert_non_null(before);
    rows_run(b, p, 0, p->n, true, before);
    int64_t broken = p->n / 2;
    p->x[broken * p->k + p->k / 2] = NAN;
    rows_run(b, p, 0, p->n, true, p->y);
    for (int64_t i = 0; i < p->n * p->m; i++)
        assert_true(i / p->m == broken ? isnan(p->y[i]) : p->y[i] == before[i]);
    free(before);
}

static void products_of_rows(Backend *b)
{
    static const int64_t sizes[][3] = {{1, 1, 1},   {2, 3, 31},  {5, 15, 32},  {33, 33, 33},
                                       {17, 16, 2}, {9, 32, 64}, {20, 70, 97}, {34, 40, 70}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        Rows16 p = rows_new(b, sizes[i][0], sizes[i][1], sizes[i][2]);
        for (int bias = 0; bias < 2; bias++) {
            check_rows(b, &p, bias);
            check_company(b, &p, bias);
        }
        check_not_a_number(b, &p);
        rows_free(&p);
    }
}

/* More rows than are rounded at a time, shared among threads; again, and on one thread: the same bits. */
static void many_rows(Backend *b)
{
    Rows16 p = rows_new(b, 270, 40, 70);
    float *again = malloc((size_t)(p.n * p.m) * sizeof *again);
    assert_non_null(again);
    check_rows(b, &p, true);
    for (int threads = 1; threads <= 3; threads++) {
        b->threads = threads;
        rows_run(b, &p, 0, p.n, true, again);
        assert_memory_equal(again, p.y, (size_t)(p.n * p.m) * sizeof *again);
    }
    for (int64_t first = 0; first < p.n; first += 77) {
        rows_run(b, &p, first, 1, true, again);
        assert_memory_equal(again, p.y + first * p.m, (size_t)p.m * sizeof *again);
    }
    free(again);
    rows_free(&p);
}

static void rows(void **state)
{
    (void)state;
    for (MachineIsa isa = ISA_REFERENCE; isa <= machine_isa() || isa <= ISA_BASE; isa++) {
        Backend *b;
        assert_int_equal(backend_open(BACKEND_CPU, 2, false, &b), LMU_OK);
        Kernels table = kernels_reference_f32;
        if (isa > ISA_REFERENCE)
            kernels_simd_override(&table, isa);
        b->kernels = &table;
        products_of_rows(b);
        many_rows(b);
        print_message("%s: products of rows\n", machine_isa_name(isa));
        backend_close(b);
    }
    if (machine_isa() < ISA_AMX)
        print_message("this CPU has no AMX: its tiles ran in plain C alone\n");
}

/* -- activations kept in bfloat16 -- */

enum { HALVES = 1 << 16 };

static double activation_exact(Activation kind, double x, bool slope)
{
    double normal = 0.5 * erfc(-x * 0.70710678118654752440), sigmoid = 1 / (1 + exp(-x));
    switch (kind) {
    case ACTIVATION_GELU:
        return slope ? normal + x * exp(-0.5 * x * x) * 0.39894228040143267794 : x * normal;
    case ACTIVATION_RELU:
        return slope ? x > 0 : fmax(x, 0);
    case ACTIVATION_RELU2:
        return slope ? 2 * fmax(x, 0) : fmax(x, 0) * fmax(x, 0);
    case ACTIVATION_SILU:
        return slope ? sigmoid * (1 + x * (1 - sigmoid)) : x * sigmoid;
    case ACTIVATION_NONE:
        return slope ? 1 : x;
    }
    return 0;
}

/* Half a unit of the last place of bfloat16, and what the table of gelu may be off by (vector.h). */
static void check_activation(const char *isa, Activation kind, double x, uint16_t y, bool slope)
{
    double exact = activation_exact(kind, x, slope), bound = slope ? 5e-4 : 2e-5;
    if (isnan(x)) {
        if (kind == ACTIVATION_GELU || kind == ACTIVATION_SILU)
            assert_true(isnan(widened(y)));
    } else if (fabs(x) < 1e10 && !(fabs(widened(y) - exact) <= bound + 0x1.1p-8 * fabs(exact))) {
        fail_msg("%s, activation %d, %s at %g: %g, not %g", isa, (int)kind, slope ? "slope" : "value", x,
                 (double)widened(y), exact);
    }
}

/* Every number of bfloat16 there is, for every instruction set that runs here. */
static void activations(void **state)
{
    (void)state;
    static uint16_t x[HALVES], y[HALVES], one[HALVES], dx[HALVES];
    Backend *b;
    assert_int_equal(backend_open(BACKEND_CPU, 2, false, &b), LMU_OK);
    for (int i = 0; i < HALVES; i++) {
        x[i] = (uint16_t)i;
        one[i] = 0x3f80;
    }
    MachineIsa best = machine_isa();
    for (MachineIsa isa = ISA_BASE; isa <= best; isa++) {
        Kernels table = kernels_reference_f32;
        kernels_simd_override(&table, isa);
        for (Activation kind = ACTIVATION_GELU; kind <= ACTIVATION_SILU; kind++) {
            Array in = {x, true}, out = {y, true}, back = {dx, true};
            table.activate(b, kind, 32, HALVES / 32, in, out);
            table.activate_back(b, kind, 32, HALVES / 32, in, (Array){one, true}, back, false);
            for (int i = 0; i < HALVES; i++) {
                check_activation(machine_isa_name(isa), kind, widened(x[i]), y[i], false);
                check_activation(machine_isa_name(isa), kind, widened(x[i]), dx[i], true);
            }
        }
    }
    backend_close(b);
}

/* Rotary positions on rounded numbers: what floats of the same value give, rounded once more, for every instruction set that runs
 * here. Forward and backward in place, and heads whose halves are no whole vectors. */
static void ropes(void **state)
{
    (void)state;
    enum { N = 3, HEADS = 2, E = 38, D = HEADS * E, NUMBERS_ALL = N * 3 * D };
    static uint16_t x[NUMBERS_ALL], dy[NUMBERS_ALL];
    static float wide[NUMBERS_ALL], wide_dy[NUMBERS_ALL], angles[N * E], rstd[N * 2 * HEADS];
    Backend *b;
    assert_int_equal(backend_open(BACKEND_CPU, 2, false, &b), LMU_OK);
    double frequency[E / 2];
    for (int j = 0; j < E / 2; j++)
        frequency[j] = pow(10000, -2.0 * j / E);
    float *numbers = normal_numbers(2 * NUMBERS_ALL, 11);
    MachineIsa best = machine_isa();
    for (MachineIsa isa = ISA_BASE; isa <= best; isa++) {
        Kernels table = kernels_reference_f32;
        kernels_simd_override(&table, isa);
        table.to_bf16(b, NUMBERS_ALL, (const Real *)numbers, x);
        table.to_bf16(b, NUMBERS_ALL, (const Real *)(numbers + NUMBERS_ALL), dy);
        for (int i = 0; i < NUMBERS_ALL; i++) {
            wide[i] = widened(x[i]);
            wide_dy[i] = widened(dy[i]);
        }
        table.rope_angles(b, N, E / 2, frequency, (const int32_t[]){0, 5, 4000}, (Real *)angles);
        Array half = {x, true}, half_dy = {dy, true}, y = array_of((Real *)wide), back = array_of((Real *)wide_dy);
        table.rope(b, N, D, HEADS, 1e-5, half, (Real *)angles, half, (Real *)rstd);
        table.rope_back(b, N, D, HEADS, half, (Real *)angles, (Real *)rstd, half_dy, half_dy, false);
        kernels_reference_f32.rope(b, N, D, HEADS, 1e-5, y, (Real *)angles, y, (Real *)rstd);
        for (int i = 0; i < NUMBERS_ALL; i++) {
            assert_true(fabsf(widened(x[i]) - wide[i]) <= 0x1.1p-8f * fabsf(wide[i]) + 1e-6f);
            wide[i] = widened(x[i]); /* what the backward step read */
        }
        kernels_reference_f32.rope_back(b, N, D, HEADS, y, (Real *)angles, (Real *)rstd, back, back, false);
        for (int i = 0; i < NUMBERS_ALL; i++)
            assert_true(fabsf(widened(dy[i]) - wide_dy[i]) <= 0x1.1p-8f * fabsf(wide_dy[i]) + 1e-5f);
    }
    free(numbers);
    backend_close(b);
}

/* Induction moves rounded numbers as they are; only a sum of two gradients is rounded. Rows of 3, 0 and 2 tokens, the state in float. */
static void inductions(void **state)
{
    (void)state;
    enum { N = 5, D = 37, IN = N * 2 * D, OUT = N * 3 * D };
    static uint16_t u[IN], y[OUT], du[IN];
    static float wide[IN], expected[OUT], gradient[IN], kept[3 * D], kept_expected[3 * D];
    const int64_t offset[] = {0, 3, 3, 5}, slot[] = {2, 0, 1}, none[3] = {0}, chunk[4] = {0};
    Rows rows = {3, N, offset, none, slot, none, chunk};
    Backend *b;
    assert_int_equal(backend_open(BACKEND_CPU, 2, false, &b), LMU_OK);
    float *numbers = normal_numbers(IN + 3 * D, 12);
    MachineIsa best = machine_isa();
    for (MachineIsa isa = ISA_BASE; isa <= best; isa++) {
        Kernels table = kernels_reference_f32;
        kernels_simd_override(&table, isa);
        table.to_bf16(b, IN, (const Real *)numbers, u);
        for (int i = 0; i < IN; i++)
            wide[i] = widened(u[i]);
        table.to_bf16(b, 3 * D, (const Real *)(numbers + IN), y);
        for (int i = 0; i < 3 * D; i++)
            kept[i] = kept_expected[i] = widened(y[i]);
        table.induction(b, &rows, D, (Array){u, true}, (Real *)kept, (Array){y, true});
        kernels_reference_f32.induction(b, &rows, D, array_of((Real *)wide), (Real *)kept_expected,
                                        array_of((Real *)expected));
        for (int i = 0; i < OUT; i++)
            assert_true(widened(y[i]) == expected[i]);
        assert_memory_equal(kept, kept_expected, sizeof kept);
        for (int add = 0; add < 2; add++) {
            memcpy(du, u, sizeof du);
            memcpy(gradient, wide, sizeof gradient);
            table.induction_back(b, &rows, D, (Array){y, true}, (Array){du, true}, add);
            kernels_reference_f32.induction_back(b, &rows, D, array_of((Real *)expected), array_of((Real *)gradient),
                                                 add);
            for (int i = 0; i < IN; i++)
                assert_true(fabsf(widened(du[i]) - gradient[i]) <= 0x1.1p-8f * fabsf(gradient[i]) + 1e-6f);
        }
    }
    free(numbers);
    backend_close(b);
}

static void other_backends_refuse(void **state)
{
    (void)state;
    for (int kind = BACKEND_REFERENCE; kind <= BACKEND_DOUBLE; kind++) {
        Backend *b;
        assert_int_equal(backend_open((BackendKind)kind, 1, false, &b), LMU_OK);
        assert_int_equal(backend_compute(b, COMPUTE_BF16), LMU_USAGE);
        assert_int_equal(backend_compute(b, COMPUTE_F32), LMU_OK);
        backend_close(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounding),
        cmocka_unit_test(products),
        cmocka_unit_test(rows),
        cmocka_unit_test(activations),
        cmocka_unit_test(ropes),
        cmocka_unit_test(inductions),
        cmocka_unit_test(other_backends_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
