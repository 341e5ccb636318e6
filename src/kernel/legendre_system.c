#include "kernel/legendre_system.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* c = a b, all n x n */
static void matrix_multiply(int64_t n, const double *a, const double *b, double *c)
{
    for (int64_t i = 0; i < n; i++) {
        memset(c + i * n, 0, (size_t)n * sizeof *c);
        for (int64_t k = 0; k < n; k++)
            for (int64_t j = 0; j < n; j++)
                c[i * n + j] += a[i * n + k] * b[k * n + j];
    }
}

static void swap_rows(int64_t n, double *matrix, int64_t i, int64_t j)
{
    for (int64_t k = 0; i != j && k < n; k++) {
        double kept = matrix[i * n + k];
        matrix[i * n + k] = matrix[j * n + k];
        matrix[j * n + k] = kept;
    }
}

/* Solves a x = b for an n x n right side in place of b, by elimination with partial pivoting; a is destroyed. */
static void matrix_solve(int64_t n, double *a, double *b)
{
    for (int64_t column = 0; column < n; column++) {
        int64_t pivot = column;
        for (int64_t i = column + 1; i < n; i++)
            if (fabs(a[i * n + column]) > fabs(a[pivot * n + column]))
                pivot = i;
        swap_rows(n, a, column, pivot);
        swap_rows(n, b, column, pivot);
        for (int64_t i = column + 1; i < n; i++) {
            double factor = a[i * n + column] / a[column * n + column];
            for (int64_t j = column; j < n; j++)
                a[i * n + j] -= factor * a[column * n + j];
            for (int64_t j = 0; j < n; j++)
                b[i * n + j] -= factor * b[column * n + j];
        }
    }
    for (int64_t i = n - 1; i >= 0; i--)
        for (int64_t j = 0; j < n; j++) {
            double total = b[i * n + j];
            for (int64_t k = i + 1; k < n; k++)
                total -= a[i * n + k] * b[k * n + j];
            b[i * n + j] = total / a[i * n + i];
        }
}

/* Largest column sum of magnitudes. */
static double matrix_norm1(int64_t n, const double *a)
{
    double norm = 0;
    for (int64_t j = 0; j < n; j++) {
        double total = 0;
        for (int64_t i = 0; i < n; i++)
            total += fabs(a[i * n + j]);
        norm = fmax(norm, total);
    }
    return norm;
}

lmu_status matrix_exponential(int64_t n, const double *x, double *out)
{
    /* Higham 2005, "The scaling and squaring method for the matrix exponential revisited": the [13/13] Pade approximant is
     * accurate to double precision while the 1-norm is at most 5.37. */
    static const double b[14] = {64764752532480000.0,
                                 32382376266240000.0,
                                 7771770303897600.0,
                                 1187353796428800.0,
                                 129060195264000.0,
                                 10559470521600.0,
                                 670442572800.0,
                                 33522128640.0,
                                 1323241920.0,
                                 40840800.0,
                                 960960.0,
                                 16380.0,
                                 182.0,
                                 1.0};
    size_t size = (size_t)(n * n);
    double *space;
    TRY(memory_new(&space, 7 * size, sizeof *space, "a matrix exponential"));
    double *a = space, *a2 = a + size, *a4 = a2 + size, *a6 = a4 + size, *u = a6 + size, *v = u + size, *t = v + size;

    int squarings = 0;
    double norm = matrix_norm1(n, x);
    if (norm > 5.371920351148152)
        squarings = (int)fmax(0, ceil(log2(norm / 5.371920351148152)));
    for (size_t i = 0; i < size; i++)
        a[i] = ldexp(x[i], -squarings);
    matrix_multiply(n, a, a, a2);
    matrix_multiply(n, a2, a2, a4);
    matrix_multiply(n, a4, a2, a6);

    for (size_t i = 0; i < size; i++)
        t[i] = b[13] * a6[i] + b[11] * a4[i] + b[9] * a2[i];
    matrix_multiply(n, a6, t, v);
    for (size_t i = 0; i < size; i++)
        v[i] += b[7] * a6[i] + b[5] * a4[i] + b[3] * a2[i] + (i % (size_t)(n + 1) == 0 ? b[1] : 0);
    matrix_multiply(n, a, v, u);
    for (size_t i = 0; i < size; i++)
        t[i] = b[12] * a6[i] + b[10] * a4[i] + b[8] * a2[i];
    matrix_multiply(n, a6, t, v);
    for (size_t i = 0; i < size; i++)
        v[i] += b[6] * a6[i] + b[4] * a4[i] + b[2] * a2[i] + (i % (size_t)(n + 1) == 0 ? b[0] : 0);

    for (size_t i = 0; i < size; i++) { /* (v - u) r = v + u */
        double sum = v[i] + u[i];
        v[i] -= u[i];
        u[i] = sum;
    }
    matrix_solve(n, v, u);
    for (; squarings > 0; squarings--) {
        matrix_multiply(n, u, u, t);
        memcpy(u, t, size * sizeof *u);
    }
    memcpy(out, u, size * sizeof *out);
    free(space);
    return LMU_OK;
}

lmu_status legendre_discretise(int64_t order, double theta, bool scaled, double *abar, double *bbar)
{
    if (order < 1 || order > LEGENDRE_ORDER_LIMIT)
        return error_set(LMU_USAGE, "a Legendre memory of order %lld: the order must be 1 to %d", (long long)order,
                         LEGENDRE_ORDER_LIMIT);
    if (!(theta > 0) || !isfinite(theta))
        return error_set(LMU_USAGE, "a Legendre memory over theta = %g steps: theta must be positive and finite",
                         theta);
    int64_t n = order + 1;
    double *x;
    TRY(memory_new(&x, (size_t)(2 * n * n), sizeof *x, "a Legendre system"));
    double *e = x + n * n;
    for (int64_t i = 0; i < order; i++) {
        for (int64_t j = 0; j < order; j++)
            x[i * n + j] = (double)(2 * i + 1) * (i < j || (i - j) % 2 == 0 ? -1 : 1) / theta;
        x[i * n + order] = (double)(2 * i + 1) * (i % 2 ? -1 : 1) / theta;
        if (!scaled)
            continue;
        for (int64_t j = 0; j < order; j++)
            x[i * n + j] *= sqrt((double)(2 * j + 1) / (double)(2 * i + 1));
        x[i * n + order] *= sqrt(theta / (double)(2 * i + 1));
    }
    lmu_status status = matrix_exponential(n, x, e);
    for (int64_t i = 0; status == LMU_OK && i < order; i++) {
        memcpy(abar + i * order, e + i * n, (size_t)order * sizeof *abar);
        bbar[i] = e[i * n + order];
    }
    free(x);
    return status;
}

void legendre_chunk_matrix(int64_t order, int64_t chunk, const double *abar, const double *bbar, double *w)
{
    int64_t width = order + chunk;
    memset(w, 0, (size_t)(chunk * order * width) * sizeof *w);
    for (int64_t t = 0; t < chunk; t++)
        for (int64_t i = 0; i < order; i++) {
            double *row = w + (t * order + i) * width;
            for (int64_t k = 0; k < order; k++) {
                if (t == 0) {
                    row[k] = abar[i * order + k];
                    continue;
                }
                const double *before =
                    w + ((t - 1) * order + k) * width; /* row t = Abar (row t-1), shifted input apart */
                for (int64_t j = 0; j < order + t; j++)
                    row[j] += abar[i * order + k] * before[j];
            }
            row[order + t] = bbar[i];
        }
}

void legendre_readout(int64_t order, double r, double *c)
{
    double x = 2 * r - 1, before = 1, current = x;
    for (int64_t i = 0; i < order; i++) {
        if (i == 0) {
            c[0] = 1;
        } else if (i == 1) {
            c[1] = x;
        } else {
            double next = ((double)(2 * i - 1) * x * current - (double)(i - 1) * before) / (double)i;
            before = current;
            current = next;
            c[i] = next;
        }
    }
}
