/* Matrices of bytes: what is rounded how, and products by rows, whose bits are the same on every instruction set. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "kernel/kernels.h"

void simd_int8_tiles(Kernels *table); /* the code for AMX, its instructions in C */

static void *fresh(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    assert_non_null(memory);
    return memory;
}

static Int8Matrix matrix_new(int64_t rows, int64_t columns)
{
    return (Int8Matrix){rows, columns, fresh(int8_bytes(rows, columns), 1),
                        fresh((size_t)int8_scales(rows), sizeof(float))};
}

static void matrix_free(Int8Matrix *w)
{
    free(w->packed);
    free(w->scale);
}

static float *normal_numbers(int64_t n, uint64_t key, float scale)
{
    float *numbers = fresh((size_t)n, sizeof *numbers);
    for (int64_t i = 0; i < n; i++)
        numbers[i] = scale * (float)random_normal(key, (uint64_t)i);
    return numbers;
}

static Backend *backend(void)
{
    Backend *b;
    assert_int_equal(backend_open(BACKEND_CPU, 2, false, &b), LMU_OK);
    return b;
}

/* The tables to compare: every instruction set that runs here, and the tile unit in C. */
static int tables(Kernels out[ISA_COUNT + 1], const char *names[ISA_COUNT + 1])
{
    int count = 0;
    for (MachineIsa isa = ISA_BASE; isa <= machine_isa() || isa <= ISA_BASE; isa++) {
        names[count] = machine_isa_name(isa);
        out[count] = kernels_reference_f32;
        kernels_simd_override(&out[count++], isa);
    }
    names[count] = "tiles in C";
    out[count] = kernels_reference_f32;
    simd_int8_tiles(&out[count++]);
    return count;
}

/* -- rounding -- */

/* A number is off by half a scale at most, the largest of a row by nothing but the rounding of its scale. */
static void check_rounding(Backend *b, int64_t rows, int64_t columns, float size)
{
    float *w = normal_numbers(rows * columns, 3, size);
    Int8Matrix bytes = matrix_new(rows, columns);
    KERNEL(b, quantize_int8, (const Real *)w, &bytes);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            assert_true(fabsf(int8_weight(&bytes, r, c) - w[r * columns + c]) <= 0.50001f * bytes.scale[r]);
    for (int64_t r = rows; r < int8_scales(rows); r++)
        assert_true(bytes.scale[r] == 0);
    matrix_free(&bytes);
    free(w);
}

static void rounding(void **state)
{
    (void)state;
    Backend *b = backend();
    check_rounding(b, 1, 1, 1);
    check_rounding(b, 17, 33, 1e-30f);
    check_rounding(b, 33, 130, 1e30f);
    float odd[5][2] = {{0, 0}, {NAN, 1}, {1, -INFINITY}, {0x1p-140f, -0x1p-149f}, {-3, 1.5f}};
    Int8Matrix bytes = matrix_new(5, 2);
    KERNEL(b, quantize_int8, (const Real *)odd, &bytes);
    assert_true(bytes.scale[0] == 0 && int8_weight(&bytes, 0, 1) == 0);
    assert_true(isnan(bytes.scale[1]) && isnan(bytes.scale[2]));
    assert_true(int8_weight(&bytes, 3, 0) == 0);
    assert_true(fabsf(int8_weight(&bytes, 4, 0) + 3) < 1e-6f && fabsf(int8_weight(&bytes, 4, 1) - 1.5f) < 0.0119f);
    matrix_free(&bytes);
    backend_close(b);
}

/* Bytes and scales come back as they went in, any piece of them. */
static void bytes_in_and_out(void **state)
{
    (void)state;
    enum { ROWS = 19, COLUMNS = 7, SIZE = ROWS * COLUMNS };
    int8_t w[SIZE], back[SIZE];
    float scale[ROWS];
    for (int i = 0; i < SIZE; i++)
        w[i] = (int8_t)(i * 37 - 128);
    for (int r = 0; r < ROWS; r++)
        scale[r] = 0.5f * (float)r;
    Backend *b = backend();
    Int8Matrix bytes = matrix_new(ROWS, COLUMNS);
    KERNEL(b, put_int8, w, scale, &bytes);
    for (int first = 0; first < SIZE; first += 11) {
        int count = SIZE - first < 30 ? SIZE - first : 30;
        KERNEL(b, get_int8, &bytes, first, count, back);
        assert_memory_equal(back, w + first, (size_t)count);
    }
    assert_memory_equal(bytes.scale, scale, sizeof scale);
    assert_true(int8_weight(&bytes, 18, 6) == 9.0f * (float)w[SIZE - 1]);
    matrix_free(&bytes);
    backend_close(b);
}

/* -- products -- */

typedef struct Product8 { /* y [n x m] = x [n x k] w^T + bias */
    int64_t n, m, k;
    float *x, *w, *bias, *y;
    Int8Matrix bytes;
} Product8;

/* Row 1 of w is 0; rows of x have very different sizes. */
static Product8 product_new(Backend *b, int64_t n, int64_t m, int64_t k)
{
    static const float sizes[] = {1, 1e-12f, 1e12f, 0, 1e-37f, 0x1p-130f, 3};
    Product8 p = {n,
                  m,
                  k,
                  normal_numbers(n * k, 5, 1),
                  normal_numbers(m * k, 6, 1),
                  normal_numbers(m, 7, 1),
                  NULL,
                  matrix_new(m, k)};
    for (int64_t i = 0; i < n * k; i++)
        p.x[i] *= sizes[i / k % 7];
    for (int64_t j = 0; j < m * k; j++)
        p.w[j] *= j / k == 1 ? 0 : j / k % 5 == 4 ? 1e-9f : 1;
    p.y = fresh((size_t)(n * m), sizeof *p.y);
    KERNEL(b, quantize_int8, (const Real *)p.w, &p.bytes);
    return p;
}

static void product_free(Product8 *p)
{
    matrix_free(&p->bytes);
    free(p->x);
    free(p->w);
    free(p->bias);
    free(p->y);
}

static void product_run(Backend *b, const Kernels *table, const Product8 *p, int64_t first, int64_t n, bool bias,
                        float *y)
{
    assert_int_equal(backend_reserve(b, table->product_rows_int8_workspace(b, n, p->k)), LMU_OK);
    table->product_rows_int8(b, n, &p->bytes, (const Real *)(p->x + first * p->k),
                             (const Real *)(bias ? p->bias : NULL), (Real *)y);
}

static void assert_same_bits(const char *name, const Product8 *p, int64_t numbers, const float *y,
                             const float *expected)
{
    for (int64_t i = 0; i < numbers; i++)
        if (memcmp(&y[i], &expected[i], sizeof *y) != 0 && !(isnan(y[i]) && isnan(expected[i])))
            fail_msg("%s: %lld x %lld x %lld, number %lld: %.9g, not %.9g", name, (long long)p->n, (long long)p->m,
                     (long long)p->k, (long long)i, (double)y[i], (double)expected[i]);
}

/* The reference against double: x is off by half a scale of its row, w by half a scale of its own, and their product by a quarter
 * of both; what is below INT8_LEAST counts as 0. */
static void check_error(const Product8 *p, bool bias, const float *y)
{
    for (int64_t i = 0; i < p->n; i++) {
        double most = 0;
        for (int64_t l = 0; l < p->k; l++)
            most = fmax(most, fabs((double)p->x[i * p->k + l]));
        double half = most < (double)INT8_LEAST ? most : most / 254;
        for (int64_t j = 0; j < p->m; j++) {
            double sum = bias ? p->bias[j] : 0, size = fabs(sum), own = p->bytes.scale[j] / 2.0, off = 0;
            for (int64_t l = 0; l < p->k; l++) {
                double left = p->x[i * p->k + l], right = p->w[j * p->k + l];
                sum += left * right;
                size += fabs(left * right);
                off += half * fabs(right) + own * fabs(left) + half * own;
            }
            if (!(fabs(p->y[i * p->m + j] - sum) <= 1.0001 * off + 1e-6 * size + 1e-40))
                fail_msg("%lld x %lld x %lld at %lld, %lld: %g, not %g within %g", (long long)p->n, (long long)p->m,
                         (long long)p->k, (long long)i, (long long)j, (double)y[i * p->m + j], sum, off);
        }
    }
}

/* Any run of rows has the bits that it has among all. */
static void check_company(Backend *b, const char *name, const Kernels *table, const Product8 *p)
{
    float *some = fresh((size_t)(p->n * p->m), sizeof *some);
    for (int64_t n = 0; n <= p->n; n++)
        for (int64_t first = 0; first + n <= p->n; first += p->n - n > 2 ? (p->n - n) / 2 : 1) {
            product_run(b, table, p, first, n, true, some);
            assert_same_bits(name, p, n * p->m, some, p->y + first * p->m);
        }
    free(some);
}

static void products(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{1, 1, 1},     {2, 3, 31},    {5, 15, 32},  {33, 33, 33},
                                       {17, 16, 2},   {9, 64, 64},   {20, 70, 97}, {34, 40, 70},
                                       {33, 65, 257}, {7, 130, 129}, {33, 1, 512}, {16, 48, 4}};
    Kernels table[ISA_COUNT + 1];
    const char *names[ISA_COUNT + 1];
    int count = tables(table, names);
    Backend *b = backend();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        Product8 p = product_new(b, sizes[i][0], sizes[i][1], sizes[i][2]);
        float *y = fresh((size_t)(p.n * p.m), sizeof *y);
        for (int bias = 0; bias < 2; bias++) {
            product_run(b, &kernels_reference_f32, &p, 0, p.n, bias, p.y);
            check_error(&p, bias, p.y);
            for (int t = 0; t < count; t++) {
                product_run(b, &table[t], &p, 0, p.n, bias, y);
                assert_same_bits(names[t], &p, p.n * p.m, y, p.y);
            }
        }
        for (int t = 0; t < count; t++)
            check_company(b, names[t], &table[t], &p);
        free(y);
        product_free(&p);
    }
    for (int t = 0; t < count; t++)
        print_message("%s: products of bytes\n", names[t]);
    backend_close(b);
}

/* More rows than are rounded at a time, on one thread or several; and the largest sums there can be. */
static void many_rows(void **state)
{
    (void)state;
    Kernels table[ISA_COUNT + 1];
    const char *names[ISA_COUNT + 1];
    int count = tables(table, names);
    Backend *b = backend();
    Product8 p = product_new(b, 270, 40, 301);
    float *y = fresh((size_t)(p.n * p.m), sizeof *y);
    product_run(b, &kernels_reference_f32, &p, 0, p.n, true, p.y);
    for (int t = 0; t < count; t++)
        for (b->threads = 1; b->threads <= 3; b->threads++) {
            product_run(b, &table[t], &p, 0, p.n, true, y);
            assert_same_bits(names[t], &p, p.n * p.m, y, p.y);
        }
    free(y);
    product_free(&p);
    backend_close(b);
}

static void largest_sums(void **state)
{
    (void)state;
    enum { COLUMNS = INT8_COLUMNS_MOST };
    Kernels table[ISA_COUNT + 1];
    const char *names[ISA_COUNT + 1];
    int count = tables(table, names);
    Backend *b = backend();
    static int8_t w[2 * COLUMNS];
    static float x[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
        w[i] = -128;
        w[COLUMNS + i] = 127;
        x[i] = 2;
    }
    Product8 p = {.n = 1, .m = 2, .k = COLUMNS, .x = x, .bytes = matrix_new(2, COLUMNS)};
    KERNEL(b, put_int8, w, ((float[]){1, 0.5f}), &p.bytes);
    for (int t = 0; t < count; t++) {
        float y[2];
        product_run(b, &table[t], &p, 0, 1, false, y);
        assert_true(fabsf(y[0] + 256.0f * COLUMNS) <= 1e-6f * 256 * COLUMNS);
        assert_true(fabsf(y[1] - 127.0f * COLUMNS) <= 1e-6f * 127 * COLUMNS);
    }
    matrix_free(&p.bytes);
    backend_close(b);
}

/* What one row holds that is no number stays in that row. */
static void not_a_number(void **state)
{
    (void)state;
    Kernels table[ISA_COUNT + 1];
    const char *names[ISA_COUNT + 1];
    int count = tables(table, names);
    Backend *b = backend();
    Product8 p = product_new(b, 20, 35, 41);
    float *y = fresh((size_t)(p.n * p.m), sizeof *y);
    product_run(b, &kernels_reference_f32, &p, 0, p.n, true, p.y);
    p.x[3 * p.k + 40] = NAN;
    p.x[17 * p.k + 1] = -INFINITY;
    for (int t = 0; t < count; t++) {
        product_run(b, &table[t], &p, 0, p.n, true, y);
        for (int64_t i = 0; i < p.n * p.m; i++)
            assert_true(i / p.m == 3 || i / p.m == 17 ? isnan(y[i]) : y[i] == p.y[i]);
    }
    free(y);
    product_free(&p);
    backend_close(b);
}

/* -- rows of a table -- */

static void gathering(void **state)
{
    (void)state;
    enum { ROWS = 21, COLUMNS = 13, N = 4, BAG = 2 };
    static const int32_t ids[N * BAG] = {0, 20, -1, 5, 7, 7, -1, -1};
    static const float weight[N * BAG] = {1, 0.5f, 3, 2, 1, -1, 1, 1};
    Kernels table[ISA_COUNT + 1];
    const char *names[ISA_COUNT + 1];
    int count = tables(table, names);
    Backend *b = backend();
    Product8 p = product_new(b, 1, ROWS, COLUMNS);
    float y[N * BAG * COLUMNS];
    table[count++] = kernels_reference_f32;
    for (int t = 0; t < count; t++) {
        table[t].gather_int8(b, N, BAG, ids, (const Real *)weight, &p.bytes, (Real *)y);
        for (int i = 0; i < N * COLUMNS; i++) {
            double sum = 0;
            for (int k = i / COLUMNS * BAG; k < (i / COLUMNS + 1) * BAG; k++)
                sum += ids[k] < 0 ? 0 : (double)weight[k] * (double)int8_weight(&p.bytes, ids[k], i % COLUMNS);
            assert_true(fabs((double)y[i] - sum) <= 1e-6 * (1 + fabs(sum)));
        }
        table[t].gather_int8(b, N * BAG, 1, ids, NULL, &p.bytes, (Real *)y);
        for (int i = 0; i < N * BAG * COLUMNS; i++)
            assert_true(y[i] == (ids[i / COLUMNS] < 0 ? 0 : int8_weight(&p.bytes, ids[i / COLUMNS], i % COLUMNS)));
    }
    product_free(&p);
    backend_close(b);
}

/* In double the same kernels, on operands that round alike. */
static void in_double(void **state)
{
    (void)state;
    Backend *b;
    assert_int_equal(backend_open(BACKEND_DOUBLE, 1, false, &b), LMU_OK);
    double w[2][3] = {{127, -64, 1}, {0, 0, 254}}, x[3] = {-254, 127, 2}, bias[2] = {0.5, 0}, y[2];
    Int8Matrix bytes = matrix_new(2, 3);
    KERNEL(b, quantize_int8, (const Real *)w, &bytes);
    assert_int_equal(backend_reserve(b, b->kernels->product_rows_int8_workspace(b, 1, 3)), LMU_OK);
    KERNEL(b, product_rows_int8, 1, &bytes, (const Real *)x, (const Real *)bias, (Real *)y);
    assert_true(fabs(y[0] - (-254 * 127 - 64 * 128 + 2 + 0.5)) < 1e-9 && fabs(y[1] - 2 * 254) < 1e-9);
    KERNEL(b, gather_int8, 1, 1, (const int32_t[]){1}, NULL, &bytes, (Real *)x);
    assert_true(x[0] == 0 && x[2] == 254);
    matrix_free(&bytes);
    backend_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounding),  cmocka_unit_test(bytes_in_and_out), cmocka_unit_test(products),
        cmocka_unit_test(many_rows), cmocka_unit_test(largest_sums),     cmocka_unit_test(not_a_number),
        cmocka_unit_test(gathering), cmocka_unit_test(in_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
