/* The tables behind normal_vec and gelu_near with 16 lanes, of polynomials that interpolate at Chebyshev's points: the tail Phi(-x) for x in pieces of
 * 0 .. NORMAL_END, in t = -1/2 .. 1/2; and the tail x Phi(-x) of gelu in pieces around the multiples of GELU_PIECE, in x. */
#include <math.h>

#include "kernel/simd/simd.h"

#if LANES == 16

#define POINTS (NORMAL_DEGREE + 1)
#define GELU_POINTS (GELU_DEGREE + 1)
#define PI 3.14159265358979323846

float VARIANT_NAME(normal_tail)[NORMAL_DEGREE + 1][NORMAL_PIECES];
float VARIANT_NAME(gelu_tail)[GELU_DEGREE + 1][GELU_PIECES];

static double tail(double x)
{
    return 0.5 * erfc(x * 0.70710678118654752440);
}

/* The coefficients of the polynomial through n points (t_i, y_i), by Newton's divided differences. */
static void interpolate(int n, const double *t, double *y, double *coefficient)
{
    for (int order = 1; order < n; order++)
        for (int i = n - 1; i >= order; i--)
            y[i] = (y[i] - y[i - 1]) / (t[i] - t[i - order]);
    for (int k = 0; k < n; k++)
        coefficient[k] = 0;
    for (int i = n - 1; i >= 0; i--) { /* c(t) = c(t) (t - t_i) + y_i */
        for (int k = n - 1; k > 0; k--)
            coefficient[k] = coefficient[k - 1] - t[i] * coefficient[k];
        coefficient[0] = y[i] - t[i] * coefficient[0];
    }
}

static void fit_normal(int piece)
{
    double t[POINTS], y[POINTS], coefficient[POINTS];
    for (int i = 0; i < POINTS; i++) {
        t[i] = 0.5 * cos(PI * (2 * i + 1) / (2 * POINTS));
        y[i] = tail((piece + 0.5 + t[i]) * NORMAL_END / NORMAL_PIECES);
    }
    interpolate(POINTS, t, y, coefficient);
    for (int k = 0; k < POINTS; k++)
        VARIANT_NAME(normal_tail)[k][piece] = (float)coefficient[k];
}

static void fit_gelu(int piece)
{
    double t[GELU_POINTS], y[GELU_POINTS], coefficient[GELU_POINTS];
    double from = piece ? (piece - 0.5) * GELU_PIECE : 0, to = (piece + 0.5) * GELU_PIECE;
    for (int i = 0; i < GELU_POINTS; i++) {
        t[i] = 0.5 * (from + to) + 0.5 * (to - from) * cos(PI * (2 * i + 1) / (2 * GELU_POINTS));
        y[i] = t[i] * tail(t[i]);
    }
    interpolate(GELU_POINTS, t, y, coefficient);
    for (int k = 0; k < GELU_POINTS; k++)
        VARIANT_NAME(gelu_tail)[k][piece] = (float)coefficient[k];
}

void VARIANT_NAME(simd_normal)(void)
{
    for (int piece = 0; piece < NORMAL_PIECES; piece++)
        fit_normal(piece);
    for (int piece = 0; piece < GELU_PIECES; piece++)
        fit_gelu(piece);
}

#else

void VARIANT_NAME(simd_normal)(void) /* no tables: see vector.h */
{
}

#endif
