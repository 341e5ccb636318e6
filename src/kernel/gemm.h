/* All of oneDNN stands behind this header: products of matrices in float, and of bfloat16 with float sums. */
#ifndef LMU_KERNEL_GEMM_H
#define LMU_KERNEL_GEMM_H

#include "kernel/kernels.h"

/* What oneDNN has compiled for a backend. */
lmu_status gemm_cache_open(GemmCache **out);
void gemm_cache_close(GemmCache *cache); /* accepts NULL */

/* The product without bias, its operands rounded to bfloat16; false if oneDNN cannot do it. Needs gemm_bf16_workspace bytes. */
bool gemm_bf16(Backend *b, const Product *p, const Real *x, const Real *y, Real *z);
/* The same on operands that are bfloat16 already; needs no workspace. */
bool gemm_bf16_run(Backend *b, const Product *p, const uint16_t *x, const uint16_t *y, Real *z);
/* For products in any of the three roles of a linear layer (forward, gradients of x and of the weight) of these extents. */
size_t gemm_bf16_workspace(int64_t m, int64_t n, int64_t k);

/* Puts the products into a table. */
void kernels_onednn_override(Kernels *table);

#endif
