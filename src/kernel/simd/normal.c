/* The table behind normal_vec: the tail Phi(-x) for x in pieces of 0 .. NORMAL_END, each a polynomial in t = -1/2 .. 1/2 that
 * interpolates it at Chebyshev's points. */
#include <math.h>

#include "kernel/simd/simd.h"

#define POINTS (NORMAL_DEGREE + 1)

float VARIANT_NAME(normal_tail)[NORMAL_DEGREE + 1][NORMAL_PIECES];

/* The coefficients of the polynomial through (t_i, y_i), by Newton's divided differences. */
static void interpolate(const double *t, double *y, double *coefficient)
{
    for (int order = 1; order < POINTS; order++)
        for (int i = POINTS - 1; i >= order; i--)
            y[i] = (y[i] - y[i - 1]) / (t[i] - t[i - order]);
    for (int k = 0; k < POINTS; k++)
        coefficient[k] = 0;
    for (int i = POINTS - 1; i >= 0; i--) { /* c(t) = c(t) (t - t_i) + y_i */
        for (int k = POINTS - 1; k > 0; k--)
            coefficient[k] = coefficient[k - 1] - t[i] * coefficient[k];
        coefficient[0] = y[i] - t[i] * coefficient[0];
    }
}

void VARIANT_NAME(simd_normal)(void)
{
    double t[POINTS], y[POINTS], coefficient[POINTS];
    for (int piece = 0; piece < NORMAL_PIECES; piece++) {
        for (int i = 0; i < POINTS; i++) {
            t[i] = 0.5 * cos(3.14159265358979323846 * (2 * i + 1) / (2 * POINTS));
            double x = (piece + 0.5 + t[i]) * NORMAL_END / NORMAL_PIECES;
            y[i] = 0.5 * erfc(x * 0.70710678118654752440);
        }
        interpolate(t, y, coefficient);
        for (int k = 0; k < POINTS; k++)
            VARIANT_NAME(normal_tail)[k][piece] = (float)coefficient[k];
    }
}
