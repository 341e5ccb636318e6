/* The softmax over implicit attention's scores, one step at a time.
 *
 * Scores stand transposed, [keys P x queries P], rows padded to whole vectors (Pp): queries lie along the lanes, so that no sum
 * or maximum runs across them. One array of attend_numbers(P) holds, in rows of Pp: scores [P], weight [1], dweight [1],
 * mean [1], dscore [P], the pooling vector [1]. Where scores have a scale, the products before it are kept in [P] rows more. */
#ifndef LMU_KERNEL_SIMD_ATTEND_H
#define LMU_KERNEL_SIMD_ATTEND_H

#include <math.h>

#include "kernel/simd/chunk.h"

static inline int64_t round16(int64_t n)
{
    return (n + 15) / 16 * 16;
}

static inline int64_t attend_numbers(int64_t p)
{
    return round16((2 * p + 4) * padded(p));
}

static inline float *attend_weight(int64_t p, float *score)
{
    return score + p * padded(p);
}

static inline float *attend_dweight(int64_t p, float *score)
{
    return score + (p + 1) * padded(p);
}

static inline float *attend_dscore(int64_t p, float *score)
{
    return score + (p + 3) * padded(p);
}

/* The pooling vector, padded with zeros. */
static inline void attend_pooling(int64_t p, const float *pooling, float *score)
{
    copy_rows(1, p, pooling, 0, score + (2 * p + 3) * padded(p), 0, padded(p));
}

/* From products Q K^T to scale Q K^T in their place; the products are kept. Out of line, as the paper's attention has no scale. */
static __attribute__((noinline)) void attend_scale(int64_t p, float scale, float *score, float *product)
{
    int64_t pp = padded(p);
    for (int64_t i = 0; i < p * pp; i += LANES) {
        vec x = load(score + i);
        store(product + i, x);
        store(score + i, scale * x);
    }
}

/* After attend_back, whose dscore becomes that of the products: the gradient of the scale. */
static __attribute__((noinline)) float attend_scale_back(int64_t p, float scale, float *score, const float *product)
{
    int64_t pp = padded(p);
    float *dscore = attend_dscore(p, score);
    vec total = splat(0);
    for (int64_t i = 0; i < p * pp; i += LANES) {
        vec x = load(dscore + i);
        total += x * load(product + i);
        store(dscore + i, scale * x);
    }
    return reduce_sum(total);
}

/* From products Q K^T in their place: softmax(Q K^T / sqrt(channels)), and weight [P] = pooling softmax. Lanes of padding hold the
 * softmax of whatever finite numbers stand there. */
static inline void attend(int64_t p, int64_t channels, float *score)
{
    int64_t pp = padded(p);
    const float *pooling = score + (2 * p + 3) * pp;
    float *weight = attend_weight(p, score), scaling = 1 / sqrtf((float)channels);
    memset(weight, 0, (size_t)pp * sizeof *weight);
    for (int64_t i = 0; i < pp; i += LANES) {
        float *scores = score + i;
        vec top = load(scores), total = splat(0), pool = load(pooling + i);
        for (int64_t j = 1; j < p; j++)
            top = max_vec(load(scores + j * pp), top);
        for (int64_t j = 0; j < p; j++) {
            vec e = exp_vec((load(scores + j * pp) - top) * scaling);
            store(scores + j * pp, e);
            total += e;
        }
        vec part = 1.0f / total;
        for (int64_t j = 0; j < p; j++) {
            vec share = load(scores + j * pp) * part;
            store(scores + j * pp, share);
            weight[j] += reduce_sum(pool * share);
        }
    }
}

/* From dweight: dscore, the gradient of the products Q K^T, and the gradient of the pooling vector, added to dpooling [P]. */
static inline void attend_back(int64_t p, int64_t channels, float *score, float *dpooling)
{
    int64_t pp = padded(p);
    const float *pooling = score + (2 * p + 3) * pp, *dweight = attend_dweight(p, score);
    float *mean = score + (p + 2) * pp, *dscore = attend_dscore(p, score), scaling = 1 / sqrtf((float)channels);
    for (int64_t i = 0; i < pp; i += LANES) {
        vec sum = splat(0), factor = load(pooling + i) * scaling;
        for (int64_t j = 0; j < p; j++)
            sum += load(score + j * pp + i) * dweight[j];
        store(mean + i, sum);
        for (int64_t j = 0; j < p; j++)
            store(dscore + j * pp + i, factor * load(score + j * pp + i) * (dweight[j] - sum));
    }
    for (int64_t i = 0; i < p; i++)
        dpooling[i] += mean[i];
}

#endif
