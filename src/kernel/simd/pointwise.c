/* Pointwise kernels. Work is cut into pieces of PIECE numbers for the threads; results do not depend on the cut. */
#include "base/random.h"
#include "kernel/simd/activation.h"
#include "kernel/simd/array.h"

#define PIECE 16384

#define FOR_PIECES(n) PARALLEL_FOR(n) for (int64_t first = 0; first < (n); first += PIECE)
#define PIECE_END(n) ((n)-first < PIECE ? (n) : first + PIECE)

static void to_bf16(Backend *b, int64_t n, const Real *X, uint16_t *y)
{
    const uint32_t *x = (const uint32_t *)X;
    FOR_PIECES(n)
    {
#pragma omp simd
        for (int64_t i = first; i < PIECE_END(n); i++) {
            uint32_t rounded = (x[i] + 0x7fff + (x[i] >> 16 & 1)) >> 16, quiet = x[i] >> 16 | 0x40;
            y[i] = (uint16_t)((x[i] & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
        }
    }
}

static void copy(Backend *b, int64_t n, const Real *X, Real *Y, bool add)
{
    const float *x = (const float *)X;
    float *y = (float *)Y;
    if (!add && x == y)
        return;
    FOR_PIECES(n)
    {
        int64_t end = PIECE_END(n);
        if (!add)
            memcpy(y + first, x + first, (size_t)(end - first) * sizeof *y);
        else
#pragma omp simd
            for (int64_t i = first; i < end; i++)
                y[i] += x[i];
    }
}

static void sum(Backend *b, int64_t n, const Real *A, const Real *B, Real *Y)
{
    const float *x = (const float *)A, *z = (const float *)B;
    float *y = (float *)Y;
    FOR_PIECES(n)
    {
#pragma omp simd
        for (int64_t i = first; i < PIECE_END(n); i++)
            y[i] = x[i] + z[i];
    }
}

static void multiply(Backend *b, int64_t n, const Real *A, const Real *B, Real *Y, bool add)
{
    const float *x = (const float *)A, *z = (const float *)B;
    float *y = (float *)Y;
    FOR_PIECES(n)
    {
        if (add)
#pragma omp simd
            for (int64_t i = first; i < PIECE_END(n); i++)
                y[i] += x[i] * z[i];
        else
#pragma omp simd
            for (int64_t i = first; i < PIECE_END(n); i++)
                y[i] = x[i] * z[i];
    }
}

/* Row by row, so that a number's bits depend only on its place in its row. */
INLINE void activate_rows(Backend *b, Activation kind, int64_t n, int64_t d, Array x, Array y)
{
    PARALLEL_FOR(32 * n * d)
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < d; j += LANES) {
            int64_t lanes = lanes_left(d - j);
            array_store(y, i * d + j, lanes, value_vec(kind, y.half, array_load(x, i * d + j, lanes)));
        }
}

INLINE void activate_rows_back(Backend *b, Activation kind, int64_t n, int64_t d, Array x, Array dy, Array dx, bool add)
{
    PARALLEL_FOR(32 * n * d)
    for (int64_t i = 0; i < n; i++)
        for (int64_t at = i * d, end = at + d; at < end; at += LANES) {
            int64_t lanes = lanes_left(end - at);
            vec slope = array_load(dy, at, lanes) * slope_vec(kind, x.half, array_load(x, at, lanes));
            array_store(dx, at, lanes, add ? array_load(dx, at, lanes) + slope : slope);
        }
}

static void activate(Backend *b, Activation kind, int64_t n, int64_t d, Array x, Array y)
{
#define FORWARD(k) activate_rows(b, k, n, d, x, y)
    BY_ACTIVATION(kind, FORWARD)
#undef FORWARD
}

static void activate_back(Backend *b, Activation kind, int64_t n, int64_t d, Array x, Array dy, Array dx, bool add)
{
#define BACKWARD(k) activate_rows_back(b, k, n, d, x, dy, dx, add)
    BY_ACTIVATION(kind, BACKWARD)
#undef BACKWARD
}

void VARIANT_NAME(simd_pointwise)(Kernels *table)
{
    table->to_bf16 = to_bf16;
    table->copy = copy;
    table->sum = sum;
    table->multiply = multiply;
    table->activate = activate;
    table->activate_back = activate_back;
}
