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

static void product(Backend *b, const Product *p, const Real *a, const Real *bm, const Real *bias, Real *c)
{
    if (p->m == 0 || p->n == 0)
        return;
    if (p->k == 0) { /* oneDNN leaves c as it is */
        if (!p->add)
            memset(c, 0, (size_t)(p->m * p->n) * sizeof(float));
    } else if (b->compute != COMPUTE_BF16 || !gemm_bf16(b, p, a, bm, c)) {
        dnnl_sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', p->m, p->n, p->k, 1.0f, (const float *)a,
                   p->transpose_a ? p->m : p->k, (const float *)bm, p->transpose_b ? p->k : p->n, p->add ? 1.0f : 0.0f,
                   (float *)c, p->n);
    }
    if (bias)
        add_bias(b, p->m, p->n, (const float *)bias, (float *)c);
}

static void product_bf16(Backend *b, const Product *p, const uint16_t *a, const uint16_t *bm, Real *c)
{
    gemm_bf16_run(b, p, a, bm, c);
}

static size_t product_workspace(Backend *b, int64_t m, int64_t n, int64_t k)
{
    return b->compute == COMPUTE_BF16 ? gemm_bf16_workspace(m, n, k) : 0;
}

void kernels_onednn_override(Kernels *table)
{
    table->product = product;
    table->product_bf16 = product_bf16;
    table->product_workspace = product_workspace;
}
