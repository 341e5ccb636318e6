/* Sums of parts with gains by channel. The gains' gradients are summed over the rows in order, for some channels at a time. */
#include "kernel/simd/simd.h"

#define COLUMNS 64 /* a task of these sums */

static void weighted_sum(Backend *b, int64_t n, int64_t parts, int64_t d, const Real *X, const Real *GAIN, Real *Y)
{
    const float *gain = (const float *)GAIN;
    PARALLEL_FOR(n * parts * d)
    for (int64_t i = 0; i < n; i++) {
        float *y = (float *)Y + i * d;
        for (int64_t k = 0; k < parts; k++) {
            const float *x = (const float *)X + (i * parts + k) * d, *of = gain + k * d;
            if (k == 0)
#pragma omp simd
                for (int64_t j = 0; j < d; j++)
                    y[j] = of[j] * x[j];
            else
#pragma omp simd
                for (int64_t j = 0; j < d; j++)
                    y[j] += of[j] * x[j];
        }
    }
}

static void inputs_back(Backend *b, int64_t n, int64_t parts, int64_t d, const float *gain, const float *dy, float *dx,
                        bool add)
{
    PARALLEL_FOR(n * parts * d)
    for (int64_t i = 0; i < n * parts; i++) {
        const float *of = gain + i % parts * d, *from = dy + i / parts * d;
        float *to = dx + i * d;
        if (add)
#pragma omp simd
            for (int64_t j = 0; j < d; j++)
                to[j] += of[j] * from[j];
        else
#pragma omp simd
            for (int64_t j = 0; j < d; j++)
                to[j] = of[j] * from[j];
    }
}

static void gains_back(Backend *b, int64_t n, int64_t parts, int64_t d, const float *x, const float *dy, float *dgain,
                       bool add)
{
    int64_t strips = (d + COLUMNS - 1) / COLUMNS;
    PARALLEL_FOR(n * parts * d)
    for (int64_t task = 0; task < parts * strips; task++) {
        int64_t k = task / strips, first = task % strips * COLUMNS, width = d - first < COLUMNS ? d - first : COLUMNS;
        float total[COLUMNS] = {0};
        for (int64_t i = 0; i < n; i++) {
            const float *in = x + (i * parts + k) * d + first, *out = dy + i * d + first;
#pragma omp simd
            for (int64_t j = 0; j < width; j++)
                total[j] += in[j] * out[j];
        }
        float *to = dgain + k * d + first;
        for (int64_t j = 0; j < width; j++)
            to[j] = total[j] + (add ? to[j] : 0);
    }
}

static void weighted_sum_back(Backend *b, int64_t n, int64_t parts, int64_t d, const Real *x, const Real *gain,
                              const Real *dy, Real *dx, bool add, Real *dgain, bool add_gain)
{
    if (dx)
        inputs_back(b, n, parts, d, (const float *)gain, (const float *)dy, (float *)dx, add);
    if (dgain)
        gains_back(b, n, parts, d, (const float *)x, (const float *)dy, (float *)dgain, add_gain);
}

void VARIANT_NAME(simd_weighted_sum)(Kernels *table)
{
    table->weighted_sum = weighted_sum;
    table->weighted_sum_back = weighted_sum_back;
}
