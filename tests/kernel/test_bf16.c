/* Products of bfloat16: the rounding, bit by bit, and the product against double on operands that were rounded first, where the
 * only error left is that of float sums. Skipped, saying so, on a CPU that does not multiply bfloat16. */
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
        cmocka_unit_test(other_backends_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
