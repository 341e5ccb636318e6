/* Products by oneDNN. In float, dnnl_sgemm compiles its kernels once and keeps them, and takes row-major matrices as we do. */
#include <oneapi/dnnl/dnnl.h>
#include <string.h>

#include "kernel/gemm.h"

static void add_bias(Backend *b, int64_t m, int64_t n, const float *bias, float *c)
{
#pragma omp parallel for num_threads(b->threads) schedule(static) if (m * n > 65536)
    for (int64_t i = 0; i < m; i++)
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            c[i * n + j] += bias[j];
}

static bool sgemm(Backend *b, const Product *p, const GemmRows *rows, Array x, Array y, const Real *bias, Array z)
{
    (void)b, (void)bias;
    return dnnl_sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', p->m, p->n, p->k, 1.0f, x.data, rows->a,
                      y.data, rows->b, p->add ? 1.0f : 0.0f, z.data, rows->c) == dnnl_success;
}

/* Symmetric products are made in panels of rows, up to the diagonal, the other half is copied: of n^2 numbers
 * (PANELS + 1) / (2 PANELS) are computed, by twice as many panels a little less of large ones. Small ones are made whole, since copying is
 * not free either. */
enum { PANELS = 4, PANELS_FROM = 128, TWICE_FROM = 512, COPIED = 16 };

static void copy_number(Array z, int64_t to, int64_t from)
{
    if (z.half)
        ((uint16_t *)z.data)[to] = ((const uint16_t *)z.data)[from];
    else
        ((float *)z.data)[to] = ((const float *)z.data)[from];
}

/* z [n x n]: what is above the diagonal's block in columns first to end, from the rows of these numbers. */
static void mirror(Backend *b, int64_t n, int64_t first, int64_t end, Array z)
{
#pragma omp parallel for num_threads(b->threads) schedule(static) if (first * (end - first) > 65536)
    for (int64_t block = 0; block < first; block += COPIED)
        for (int64_t j = first; j < end; j++)
            for (int64_t i = block; i < block + COPIED && i < first; i++)
                copy_number(z, i * n + j, j * n + i);
}

typedef bool Gemm(Backend *b, const Product *p, const GemmRows *rows, Array x, Array y, const Real *bias, Array z);

static bool symmetric(Backend *b, Gemm *gemm, const Product *p, Array x, Array y, Array z)
{
    GemmRows rows = gemm_rows(p);
    int64_t panels = p->n < TWICE_FROM ? PANELS : 2 * PANELS, panel = (p->n + panels - 1) / panels, end;
    bool done = true;
    for (int64_t first = 0; first < p->n && done; first = end) {
        end = first + panel < p->n ? first + panel : p->n;
        Product part = *p;
        part.m = end - first;
        part.n = end;
        done = gemm(b, &part, &rows, array_at(b, x, p->transpose_a ? first : first * p->k), y, NULL,
                    array_at(b, z, first * p->n));
        if (done)
            mirror(b, p->n, first, end, z);
    }
    return done;
}

void gemm_f32(Backend *b, const Product *p, Array a, Array bm, const Real *bias, Array c)
{
    GemmRows rows = gemm_rows(p);
    if (p->m == 0 || p->n == 0)
        return;
    if (p->k == 0) { /* oneDNN leaves c as it is */
        if (!p->add)
            memset(c.data, 0, (size_t)(p->m * p->n) * sizeof(float));
    } else if (p->symmetric && p->n >= PANELS_FROM)
        symmetric(b, sgemm, p, a, bm, c);
    else
        sgemm(b, p, &rows, a, bm, NULL, c);
    if (bias)
        add_bias(b, p->m, p->n, (const float *)bias, c.data);
}

static float array_number(Array x, int64_t i)
{
    uint32_t bits = x.half ? (uint32_t)((const uint16_t *)x.data)[i] << 16 : ((const uint32_t *)x.data)[i];
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* What oneDNN cannot do: slow, and right. */
static void product_plain(Backend *b, const Product *p, Array x, Array y, const Real *bias, Array z)
{
#pragma omp parallel for num_threads(b->threads) schedule(static)
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            float total = bias ? ((const float *)bias)[j] : 0;
            for (int64_t k = 0; k < p->k; k++)
                total += array_number(x, p->transpose_a ? k * p->m + i : i * p->k + k) *
                         array_number(y, p->transpose_b ? j * p->k + k : k * p->n + j);
            if (z.half)
                b->kernels->to_bf16(b, 1, (const Real *)&total, (uint16_t *)z.data + i * p->n + j);
            else
                ((float *)z.data)[i * p->n + j] = p->add ? ((float *)z.data)[i * p->n + j] + total : total;
        }
}

static void product_bf16(Backend *b, const Product *p, Array x, Array y, const Real *bias, Array z)
{
    bool empty = p->m == 0 || p->n == 0 || p->k == 0, panels = p->symmetric && p->n >= PANELS_FROM && x.half && y.half;
    GemmRows rows = gemm_rows(p);
    if (empty || !(panels ? symmetric(b, gemm_bf16, p, x, y, z) : gemm_bf16(b, p, &rows, x, y, bias, z)))
        product_plain(b, p, x, y, bias, z);
}

static size_t product_workspace_bf16(Backend *b, int64_t m, int64_t n, int64_t k)
{
    (void)b;
    return gemm_bf16_workspace(m, n, k);
}

void kernels_onednn_override(Kernels *table)
{
    table->product = gemm_f32;
}

void kernels_onednn_bf16_override(Kernels *table)
{
    table->product = product_bf16;
    table->product_workspace = product_workspace_bf16;
}
