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

void gemm_f32(Backend *b, const Product *p, Array a, Array bm, const Real *bias, Array c)
{
    if (p->m == 0 || p->n == 0)
        return;
    if (p->k == 0) { /* oneDNN leaves c as it is */
        if (!p->add)
            memset(c.data, 0, (size_t)(p->m * p->n) * sizeof(float));
    } else {
        dnnl_sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', p->m, p->n, p->k, 1.0f, a.data,
                   p->transpose_a ? p->m : p->k, bm.data, p->transpose_b ? p->k : p->n, p->add ? 1.0f : 0.0f, c.data,
                   p->n);
    }
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
    bool empty = p->m == 0 || p->n == 0 || p->k == 0;
    if (empty || !gemm_bf16(b, p, x, y, bias, z))
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
