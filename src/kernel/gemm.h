/* All of oneDNN stands behind this header: products of matrices in float, and of bfloat16 with float sums. */
#ifndef LMU_KERNEL_GEMM_H
#define LMU_KERNEL_GEMM_H

#include "kernel/kernels.h"

/* What oneDNN has compiled for a backend. */
lmu_status gemm_cache_open(GemmCache **out);
void gemm_cache_close(GemmCache *cache); /* accepts NULL */

/* Whether oneDNN multiplies bfloat16 here: it has ideas, and a cap (ONEDNN_MAX_CPU_ISA), of its own. */
bool gemm_bf16_known(void);

/* Numbers from one row of a matrix in memory to the next: more than it has columns where it is part of a wider one. */
typedef struct GemmRows {
    int64_t a, b, c;
} GemmRows;

static inline GemmRows gemm_rows(const Product *p)
{
    return (GemmRows){p->transpose_a ? p->m : p->k, p->transpose_b ? p->k : p->n, p->n};
}

/* The product of operands in bfloat16, those in float, which have to be whole, being rounded first into gemm_bf16_workspace bytes;
 * false if oneDNN cannot do it. */
bool gemm_bf16(Backend *b, const Product *p, const GemmRows *rows, Array x, Array y, const Real *bias, Array z);
/* For products in any of the three roles of a linear layer (forward, gradients of x and of the weight) of these extents. */
size_t gemm_bf16_workspace(int64_t m, int64_t n, int64_t k);

/* The product of operands in float. */
void gemm_f32(Backend *b, const Product *p, Array a, Array bm, const Real *bias, Array c);

/* Puts the products into a table: of COMPUTE_F32, and of COMPUTE_BF16. */
void kernels_onednn_override(Kernels *table);
void kernels_onednn_bf16_override(Kernels *table);

#endif
