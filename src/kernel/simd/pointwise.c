/* Pointwise kernels. Work is cut into pieces of PIECE numbers for the threads; results do not depend on the cut. */
#include "base/random.h"
#include "kernel/simd/simd.h"

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

INLINE vec value_vec(Activation kind, vec x)
{
    switch (kind) {
    case ACTIVATION_GELU:
        return gelu_vec(x);
    case ACTIVATION_RELU:
        return select_vec(x > 0, x, splat(0));
    case ACTIVATION_RELU2:
        return select_vec(x > 0, x * x, splat(0));
    case ACTIVATION_SILU:
        return x / (1.0f + exp_vec(-x));
    }
    return x;
}

INLINE vec slope_vec(Activation kind, vec x)
{
    vec distribution, density, sigmoid;
    switch (kind) {
    case ACTIVATION_GELU:
        normal_vec(x, &distribution, &density);
        return distribution + x * density;
    case ACTIVATION_RELU:
        return select_vec(x > 0, splat(1), splat(0));
    case ACTIVATION_RELU2:
        return select_vec(x > 0, 2.0f * x, splat(0));
    case ACTIVATION_SILU:
        sigmoid = 1.0f / (1.0f + exp_vec(-x));
        return sigmoid * (1.0f + x * (1.0f - sigmoid));
    }
    return x;
}

/* Row by row, so that a number's bits depend only on its place in its row. */
INLINE void activate_rows(Backend *b, Activation kind, int64_t n, int64_t d, const float *x, float *y)
{
    PARALLEL_FOR(32 * n * d)
    for (int64_t i = 0; i < n; i++) {
        const float *from = x + i * d;
        float *to = y + i * d;
        int64_t j = 0;
        for (; j < whole(d); j += LANES)
            store(to + j, value_vec(kind, load(from + j)));
        if (j < d)
            store_part(to + j, value_vec(kind, load_part(from + j, d - j)), d - j);
    }
}

INLINE void activate_rows_back(Backend *b, Activation kind, int64_t n, int64_t d, const float *x, const float *dy,
                               float *dx, bool add)
{
    PARALLEL_FOR(32 * n * d)
    for (int64_t i = 0; i < n; i++) {
        int64_t j = i * d, end = j + d;
        for (; j + LANES <= end; j += LANES) {
            vec slope = load(dy + j) * slope_vec(kind, load(x + j));
            store(dx + j, add ? load(dx + j) + slope : slope);
        }
        if (j < end) {
            vec slope = load_part(dy + j, end - j) * slope_vec(kind, load_part(x + j, end - j));
            store_part(dx + j, add ? load_part(dx + j, end - j) + slope : slope, end - j);
        }
    }
}

/* One loop for each kind, so that the choice is made outside of it. */
#define BY_KIND(call)                                                                                                  \
    switch (kind) {                                                                                                    \
    case ACTIVATION_GELU:                                                                                              \
        call(ACTIVATION_GELU);                                                                                         \
        break;                                                                                                         \
    case ACTIVATION_RELU:                                                                                              \
        call(ACTIVATION_RELU);                                                                                         \
        break;                                                                                                         \
    case ACTIVATION_RELU2:                                                                                             \
        call(ACTIVATION_RELU2);                                                                                        \
        break;                                                                                                         \
    case ACTIVATION_SILU:                                                                                              \
        call(ACTIVATION_SILU);                                                                                         \
        break;                                                                                                         \
    }

static void activate(Backend *b, Activation kind, int64_t n, int64_t d, const Real *X, Real *Y)
{
#define FORWARD(k) activate_rows(b, k, n, d, (const float *)X, (float *)Y)
    BY_KIND(FORWARD)
#undef FORWARD
}

static void activate_back(Backend *b, Activation kind, int64_t n, int64_t d, const Real *X, const Real *DY, Real *DX,
                          bool add)
{
#define BACKWARD(k) activate_rows_back(b, k, n, d, (const float *)X, (const float *)DY, (float *)DX, add)
    BY_KIND(BACKWARD)
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
