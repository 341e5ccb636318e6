/* Optimiser steps. */

static void sum_squares(Backend *b, int64_t n, const Real *X, double *out)
{
    (void)b;
    double total = 0;
    for (int64_t i = 0; i < n; i++)
        total += (double)IN(X)[i] * (double)IN(X)[i];
    *out = total;
}

/* AdamW (Loshchilov & Hutter 2019): moments of the scaled gradient, bias-corrected, decay apart from them. */
static void adamw(Backend *b, int64_t n, const AdamW *o, Real *W, const Real *G, Real *M, Real *V)
{
    (void)b;
    double correction1 = 1 - pow(o->beta1, (double)o->step), correction2 = 1 - pow(o->beta2, (double)o->step);
    real rate = (real)(o->rate / correction1), root = (real)(1 / sqrt(correction2));
    real keep = (real)(1 - o->rate * o->decay), factor = (real)o->gradient_scale;
    real beta1 = (real)o->beta1, beta2 = (real)o->beta2, epsilon = (real)o->epsilon;
    for (int64_t i = 0; i < n; i++) {
        real g = IN(G)[i] * factor;
        real m = OUT(M)[i] = beta1 * IN(M)[i] + (1 - beta1) * g;
        real v = OUT(V)[i] = beta2 * IN(V)[i] + (1 - beta2) * g * g;
        OUT(W)[i] = IN(W)[i] * keep - rate * m / (sqrt(v) * root + epsilon);
    }
}

static void momentum(Backend *b, int64_t n, double factor, double scale, const Real *G, Real *M, Real *Y)
{
    (void)b;
    real mu = (real)factor, s = (real)scale;
    for (int64_t i = 0; i < n; i++) {
        real g = IN(G)[i] * s;
        real m = OUT(M)[i] = mu * IN(M)[i] + g;
        OUT(Y)[i] = mu * m + g;
    }
}

/* The polynomial of a Newton-Schulz iteration, of a symmetric matrix whose square is there. */
static void newton_schulz(Backend *b, int64_t n, const NewtonSchulz *p, Array X, const Real *SQUARE, Array Y)
{
    (void)b;
    for (int64_t i = 0; i < n * n; i++)
        NUMBERS(Y)[i] = (real)p->b * NUMBERS(X)[i] + (real)p->c * IN(SQUARE)[i] + (i % (n + 1) ? 0 : (real)p->a);
}

static void descend(Backend *b, int64_t n, double keep, double rate, const Real *X, Real *W)
{
    (void)b;
    for (int64_t i = 0; i < n; i++)
        OUT(W)[i] = (real)keep * IN(W)[i] - (real)rate * IN(X)[i];
}
