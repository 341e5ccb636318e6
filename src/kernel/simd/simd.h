/* The families of this folder, each of which overrides its kernels in a table. */
#ifndef LMU_KERNEL_SIMD_SIMD_H
#define LMU_KERNEL_SIMD_SIMD_H

#include "kernel/kernels.h"
#include "kernel/simd/vector.h"

void VARIANT_NAME(simd_normal)(void); /* fills the table behind normal_vec */
void VARIANT_NAME(simd_pointwise)(Kernels *table);
void VARIANT_NAME(simd_weighted_sum)(Kernels *table);
void VARIANT_NAME(simd_norm)(Kernels *table);
void VARIANT_NAME(simd_rope)(Kernels *table);
void VARIANT_NAME(simd_induction)(Kernels *table);
void VARIANT_NAME(simd_product)(Kernels *table);
void VARIANT_NAME(simd_product_bf16)(Kernels *table);
void VARIANT_NAME(simd_weight_gradient)(Kernels *table);
void VARIANT_NAME(simd_int8)(Kernels *table);
void VARIANT_NAME(simd_loss)(Kernels *table);
void VARIANT_NAME(simd_recall)(Kernels *table);
void VARIANT_NAME(simd_legendre)(Kernels *table);
void VARIANT_NAME(simd_attention)(Kernels *table);
void VARIANT_NAME(simd_lstm)(Kernels *table);
void VARIANT_NAME(simd_optimiser)(Kernels *table);
void VARIANT_NAME(simd_implicit_bf16)(Kernels *table); /* over simd_legendre's */
void VARIANT_NAME(simd_attention_bf16)(Kernels *table);

/* Rows of n numbers as whole vectors and a rest. */
INLINE int64_t whole(int64_t n)
{
    return n / LANES * LANES;
}

/* Loops are shared among the threads where their work, in vector operations or so, is worth waking them: a few
 * microseconds. A small model then runs on one thread and does not suffer from whoever else uses the machine. */
#define WORTH_THREADS 16384
#define PRAGMA(text) _Pragma(#text)
#define PARALLEL_FOR(work)                                                                                             \
    PRAGMA(omp parallel for num_threads(b->threads) schedule(static) if ((work) / LANES > WORTH_THREADS))

#endif
