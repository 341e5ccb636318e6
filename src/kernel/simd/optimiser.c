/* Optimiser steps. Sums run over pieces of fixed size, combined in order, so the bits do not depend on the threads. */
#include <math.h>

#include "kernel/simd/array.h"
#include "kernel/simd/simd.h"

#define PIECE 32768

static double piece_squares(const float *x, int64_t n)
{
    double total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < n; i++)
        total += (double)x[i] * (double)x[i];
    return total;
}

#define PIECES 64 /* partial sums held at a time */

static void sum_squares(Backend *b, int64_t n, const Real *X, double *out)
{
    const float *x = (const float *)X;
    double total = 0;
    for (int64_t start = 0; start < n; start += PIECES * PIECE) {
        double part[PIECES] = {0};
        PARALLEL_FOR(n)
        for (int64_t k = 0; k < PIECES; k++) {
            int64_t first = start + k * PIECE;
            if (first < n)
                part[k] = piece_squares(x + first, n - first < PIECE ? n - first : PIECE);
        }
        for (int k = 0; k < PIECES; k++)
            total += part[k];
    }
    *out = total;
}

static void adamw(Backend *b, int64_t n, const AdamW *o, Real *W, const Real *G, Real *M, Real *V)
{
    double correction1 = 1 - pow(o->beta1, (double)o->step), correction2 = 1 - pow(o->beta2, (double)o->step);
    float rate = (float)(o->rate / correction1), root = (float)(1 / sqrt(correction2));
    float keep = (float)(1 - o->rate * o->decay), factor = (float)o->gradient_scale;
    float beta1 = (float)o->beta1, beta2 = (float)o->beta2, epsilon = (float)o->epsilon;
    float *w = (float *)W, *m = (float *)M, *v = (float *)V;
    const float *g = (const float *)G;
#pragma omp parallel for simd num_threads(b->threads) schedule(static) if (parallel : n > PIECE)
    for (int64_t i = 0; i < n; i++) {
        float gradient = g[i] * factor;
        m[i] = beta1 * m[i] + (1 - beta1) * gradient;
        v[i] = beta2 * v[i] + (1 - beta2) * gradient * gradient;
        w[i] = w[i] * keep - rate * m[i] / (sqrtf(v[i]) * root + epsilon);
    }
}

static void momentum(Backend *b, int64_t n, double factor, double scale, const Real *G, Real *M, Real *Y)
{
    float mu = (float)factor, s = (float)scale;
    const float *g = (const float *)G;
    float *m = (float *)M, *y = (float *)Y;
#pragma omp parallel for simd num_threads(b->threads) schedule(static) if (parallel : n > PIECE)
    for (int64_t i = 0; i < n; i++) {
        float gradient = g[i] * s;
        m[i] = mu * m[i] + gradient;
        y[i] = mu * m[i] + gradient;
    }
}

/* The diagonal enters before the one rounding of a result in bfloat16. */
static void newton_schulz(Backend *b, int64_t n, const NewtonSchulz *p, Array x, const Real *square, Array y)
{
    const vec linear = splat((float)p->b), quadratic = splat((float)p->c);
    PARALLEL_FOR(n * n)
    for (int64_t row = 0; row < n; row++)
        for (int64_t j = 0; j < n; j += LANES) {
            int64_t count = lanes_left(n - j), at = row * n + j;
            vec v = linear * array_load(x, at, count) + quadratic * array_load(array_of(square), at, count);
            if (row >= j && row < j + LANES)
                v[row - j] += (float)p->a;
            array_store(y, at, count, v);
        }
}

static void descend(Backend *b, int64_t n, double keep, double rate, const Real *X, Real *W)
{
    float k = (float)keep, r = (float)rate, *w = (float *)W;
    const float *x = (const float *)X;
#pragma omp parallel for simd num_threads(b->threads) schedule(static) if (parallel : n > PIECE)
    for (int64_t i = 0; i < n; i++)
        w[i] = k * w[i] - r * x[i];
}

void VARIANT_NAME(simd_optimiser)(Kernels *table)
{
    table->sum_squares = sum_squares;
    table->adamw = adamw;
    table->momentum = momentum;
    table->newton_schulz = newton_schulz;
    table->descend = descend;
}
