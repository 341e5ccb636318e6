/* Softmax cross-entropy (a row a thread) and the gradient of an embedding table. */
#include <math.h>

#include "kernel/simd/array.h"

/* x -= the soft target times `total` */
static void subtract_soft(float *x, int32_t target, const SoftTarget *soft, float total)
{
    x[target] -= total * (float)soft->own;
    for (int k = 0; k < SOFT_PARTS; k++) {
        const int32_t *pair = soft->part[k].pairs;
        float factor = total * (float)soft->part[k].factor;
        for (int64_t i = 0; i < soft->part[k].length; i++)
            x[pair[2 * i]] -= factor * (float)pair[2 * i + 1];
    }
}

/* The gradient goes to dx from number `at` on. */
static void cross_entropy_row(float *x, int64_t v, int32_t target, const SoftTarget *soft, float scale, Array dx,
                              int64_t at, float *loss)
{
    vec top_vec = splat(-INFINITY), total_vec = {0};
    int64_t j = 0;
    for (; j < whole(v); j += LANES)
        top_vec = max_vec(load(x + j), top_vec);
    float top = reduce_max(top_vec);
    for (; j < v; j++)
        top = x[j] > top ? x[j] : top;
    float wanted = target < 0 ? 0 : x[target];
    for (j = 0; j < whole(v); j += LANES) {
        vec e = exp_vec(load(x + j) - top);
        total_vec += e;
        if (scale != 0)
            store(x + j, e);
    }
    float total = reduce_sum(total_vec);
    for (; j < v; j++) {
        float e = expf(x[j] - top);
        total += e;
        x[j] = scale != 0 ? e : x[j];
    }
    *loss = target < 0 ? 0 : logf(total) + top - wanted;
    if (scale == 0)
        return;
    float factor = target < 0 ? 0 : scale / total;
    if (target >= 0 && soft)
        subtract_soft(x, target, soft, total); /* in front of the rounding */
    else if (target >= 0)
        x[target] -= total;
    for (j = 0; j < v; j += LANES) {
        int64_t lanes = lanes_left(v - j);
        array_store(dx, at + j, lanes, array_load((Array){x, false}, j, lanes) * factor);
    }
}

static void cross_entropy(Backend *b, int64_t n, int64_t v, Real *LOGITS, const int32_t *targets,
                          const SoftTarget *soft, double scale, Array dlogits, Real *LOSS)
{
    PARALLEL_FOR(32 * n * v)
    for (int64_t i = 0; i < n; i++)
        cross_entropy_row((float *)LOGITS + i * v, v, targets[i], soft ? soft + i : NULL, (float)scale, dlogits, i * v,
                          (float *)LOSS + i);
}

static void gather(Backend *b, int64_t n, int64_t bag, int64_t d, const int32_t *ids, const Real *WEIGHT,
                   const Real *TABLE, Real *Y)
{
    const float *weight = (const float *)WEIGHT;
    PARALLEL_FOR(n * bag * d)
    for (int64_t i = 0; i < n; i++) {
        float *y = (float *)Y + i * d;
        memset(y, 0, (size_t)d * sizeof *y);
        for (int64_t k = i * bag; k < (i + 1) * bag; k++) {
            if (ids[k] < 0)
                continue;
            const float *row = (const float *)TABLE + ids[k] * d, factor = weight ? weight[k] : 1;
#pragma omp simd
            for (int64_t j = 0; j < d; j++)
                y[j] += factor * row[j];
        }
    }
}

#define COLUMNS 64

/* A thread owns whole columns, so rows are added in their order whatever the number of threads. */
static void gather_back(Backend *b, int64_t n, int64_t bag, int64_t v, int64_t d, const int32_t *ids,
                        const Real *WEIGHT, const Real *DY, Real *DTABLE, bool add)
{
    const float *dy = (const float *)DY, *weight = (const float *)WEIGHT;
    float *dtable = (float *)DTABLE;
    if (!add)
        memset(dtable, 0, (size_t)(v * d) * sizeof *dtable);
    PARALLEL_FOR(n * bag * d)
    for (int64_t first = 0; first < d; first += COLUMNS) {
        int64_t end = d - first < COLUMNS ? d : first + COLUMNS;
        for (int64_t k = 0; k < n * bag; k++) {
            float factor = weight ? weight[k] : 1;
            if (ids[k] >= 0)
#pragma omp simd
                for (int64_t j = first; j < end; j++)
                    dtable[ids[k] * d + j] += factor * dy[k / bag * d + j];
        }
    }
}

void VARIANT_NAME(simd_loss)(Kernels *table)
{
    table->cross_entropy = cross_entropy;
    table->gather = gather;
    table->gather_back = gather_back;
}
