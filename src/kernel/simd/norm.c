/* Norms: a row a thread for values and gradients of x; columns in blocks for the gradients of gain and bias. */
#include <math.h>

#include "kernel/simd/array.h"

INLINE float row_sum(const float *x, int64_t d)
{
    vec total = {0};
    int64_t j = 0;
    for (; j < whole(d); j += LANES)
        total += load(x + j);
    if (j < d)
        total += load_part(x + j, d - j);
    return reduce_sum(total);
}

INLINE float row_square(const float *x, int64_t d, float mean)
{
    vec total = {0};
    int64_t j = 0;
    for (; j < whole(d); j += LANES) {
        vec v = load(x + j) - mean;
        total += v * v;
    }
    float rest = 0;
    for (; j < d; j++)
        rest += (x[j] - mean) * (x[j] - mean);
    return reduce_sum(total) + rest;
}

static void norm(Backend *b, NormKind kind, int64_t n, int64_t d, double epsilon, const Real *X, const Real *GAIN,
                 const Real *BIAS, Array Y, Real *MEAN, Real *RSTD)
{
    PARALLEL_FOR(8 * n * d)
    for (int64_t i = 0; i < n; i++) {
        const float *x = (const float *)X + i * d;
        float mean = kind == NORM_LAYER ? row_sum(x, d) / (float)d : 0;
        float rstd = 1 / sqrtf(row_square(x, d, mean) / (float)d + (float)epsilon);
        for (int64_t j = 0; j < d; j += LANES) {
            int64_t lanes = lanes_left(d - j);
            vec v = (array_load(array_of(X), i * d + j, lanes) - mean) * rstd;
            v = v * array_load(array_of(GAIN), j, lanes);
            array_store(Y, i * d + j, lanes, BIAS ? v + array_load(array_of(BIAS), j, lanes) : v);
        }
        ((float *)RSTD)[i] = rstd;
        if (MEAN)
            ((float *)MEAN)[i] = mean;
    }
}

static void norm_back(Backend *b, NormKind kind, int64_t n, int64_t d, const Real *X, const Real *GAIN,
                      const Real *MEAN, const Real *RSTD, const Real *DY, Real *DX, bool add)
{
    const float *gain = (const float *)GAIN;
    PARALLEL_FOR(8 * n * d)
    for (int64_t i = 0; i < n; i++) {
        const float *x = (const float *)X + i * d, *dy = (const float *)DY + i * d;
        float *dx = (float *)DX + i * d;
        float mean = kind == NORM_LAYER ? ((const float *)MEAN)[i] : 0, rstd = ((const float *)RSTD)[i];
        float g = 0, gx = 0;
#pragma omp simd reduction(+ : g, gx)
        for (int64_t j = 0; j < d; j++) {
            g += dy[j] * gain[j];
            gx += dy[j] * gain[j] * ((x[j] - mean) * rstd);
        }
        g = kind == NORM_LAYER ? g / (float)d : 0;
        gx /= (float)d;
        if (add)
#pragma omp simd
            for (int64_t j = 0; j < d; j++)
                dx[j] += rstd * (dy[j] * gain[j] - g - (x[j] - mean) * rstd * gx);
        else
#pragma omp simd
            for (int64_t j = 0; j < d; j++)
                dx[j] = rstd * (dy[j] * gain[j] - g - (x[j] - mean) * rstd * gx);
    }
}

#define COLUMNS 64 /* columns a task: their sums stay in cache while the rows pass by, in order */

static void norm_back_parameters(Backend *b, NormKind kind, int64_t n, int64_t d, const Real *X, const Real *MEAN,
                                 const Real *RSTD, const Real *DY, Real *DGAIN, bool add_gain, Real *DBIAS,
                                 bool add_bias)
{
    float *dgain = (float *)DGAIN, *dbias = (float *)DBIAS;
    PARALLEL_FOR(4 * n * d)
    for (int64_t first = 0; first < d; first += COLUMNS) {
        int64_t width = d - first < COLUMNS ? d - first : COLUMNS;
        float gain[COLUMNS] = {0}, bias[COLUMNS] = {0};
        for (int64_t i = 0; i < n; i++) {
            const float *x = (const float *)X + i * d + first, *dy = (const float *)DY + i * d + first;
            float mean = kind == NORM_LAYER ? ((const float *)MEAN)[i] : 0, rstd = ((const float *)RSTD)[i];
#pragma omp simd
            for (int64_t j = 0; j < width; j++) {
                gain[j] += dy[j] * ((x[j] - mean) * rstd);
                bias[j] += dy[j];
            }
        }
        for (int64_t j = 0; j < width; j++) {
            dgain[first + j] = gain[j] + (add_gain ? dgain[first + j] : 0);
            if (dbias)
                dbias[first + j] = bias[j] + (add_bias ? dbias[first + j] : 0);
        }
    }
}

static void column_sum(Backend *b, int64_t n, int64_t d, Array x, Real *Y, bool add)
{
    float *y = (float *)Y;
    PARALLEL_FOR(n * d)
    for (int64_t first = 0; first < d; first += COLUMNS) {
        int64_t width = d - first < COLUMNS ? d - first : COLUMNS;
        vec total[COLUMNS / LANES] = {{0}};
        for (int64_t i = 0; i < n; i++)
            for (int64_t v = 0; v * LANES < width; v++)
                total[v] += array_load(x, i * d + first + v * LANES, lanes_left(width - v * LANES));
        for (int64_t j = 0; j < width; j++)
            y[first + j] = total[j / LANES][j % LANES] + (add ? y[first + j] : 0);
    }
}

void VARIANT_NAME(simd_norm)(Kernels *table)
{
    table->norm = norm;
    table->norm_back = norm_back;
    table->norm_back_parameters = norm_back_parameters;
    table->column_sum = column_sum;
}
