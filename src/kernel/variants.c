/* Chooses the variant of the vector kernels. */
#include "kernel/kernels.h"

#define DECLARE(variant)                                                                                               \
    void simd_normal_##variant(void);                                                                                  \
    void simd_pointwise_##variant(Kernels *);                                                                          \
    void simd_weighted_sum_##variant(Kernels *);                                                                       \
    void simd_norm_##variant(Kernels *);                                                                               \
    void simd_rope_##variant(Kernels *);                                                                               \
    void simd_induction_##variant(Kernels *);                                                                          \
    void simd_product_##variant(Kernels *);                                                                            \
    void simd_product_bf16_##variant(Kernels *);                                                                       \
    void simd_weight_gradient_##variant(Kernels *);                                                                    \
    void simd_int8_##variant(Kernels *);                                                                               \
    void simd_loss_##variant(Kernels *);                                                                               \
    void simd_recall_##variant(Kernels *);                                                                             \
    void simd_legendre_##variant(Kernels *);                                                                           \
    void simd_attention_##variant(Kernels *);                                                                          \
    void simd_lstm_##variant(Kernels *);                                                                               \
    void simd_optimiser_##variant(Kernels *);                                                                          \
    void simd_implicit_bf16_##variant(Kernels *);                                                                      \
    void simd_attention_bf16_##variant(Kernels *);                                                                     \
    static void override_##variant(Kernels *table)                                                                     \
    {                                                                                                                  \
        simd_normal_##variant();                                                                                       \
        simd_pointwise_##variant(table);                                                                               \
        simd_weighted_sum_##variant(table);                                                                            \
        simd_norm_##variant(table);                                                                                    \
        simd_rope_##variant(table);                                                                                    \
        simd_induction_##variant(table);                                                                               \
        simd_product_##variant(table);                                                                                 \
        simd_product_bf16_##variant(table);                                                                            \
        simd_weight_gradient_##variant(table);                                                                         \
        simd_int8_##variant(table);                                                                                    \
        simd_loss_##variant(table);                                                                                    \
        simd_recall_##variant(table);                                                                                  \
        simd_legendre_##variant(table);                                                                                \
        simd_attention_##variant(table);                                                                               \
        simd_lstm_##variant(table);                                                                                    \
        simd_optimiser_##variant(table);                                                                               \
    }                                                                                                                  \
    static void bf16_override_##variant(Kernels *table)                                                                \
    {                                                                                                                  \
        simd_implicit_bf16_##variant(table);                                                                           \
        simd_attention_bf16_##variant(table);                                                                          \
    }

DECLARE(base)
#ifdef __x86_64__
DECLARE(avx2)
DECLARE(avx512)
DECLARE(avx512bf16)
void simd_int8_avx512vnni(Kernels *);
void simd_product_bf16_amx(Kernels *);
void simd_int8_amx(Kernels *);
void simd_implicit_bf16_amx(Kernels *);
void simd_attention_bf16_amx(Kernels *);
#endif

void kernels_simd_override(Kernels *table, MachineIsa isa)
{
#ifdef __x86_64__
    if (isa >= ISA_AVX512BF16) {
        override_avx512bf16(table);
        simd_int8_avx512vnni(table);
        if (isa == ISA_AMX) {
            simd_product_bf16_amx(table);
            simd_int8_amx(table);
        }
        return;
    }
    if (isa >= ISA_AVX512) {
        override_avx512(table);
        if (isa == ISA_AVX512VNNI)
            simd_int8_avx512vnni(table);
        return;
    }
    if (isa == ISA_AVX2) {
        override_avx2(table);
        return;
    }
#endif
    (void)isa;
    override_base(table);
}

void kernels_bf16_override(Kernels *table, MachineIsa isa)
{
#ifdef __x86_64__
    if (isa == ISA_AMX) {
        simd_implicit_bf16_amx(table);
        simd_attention_bf16_amx(table);
        return;
    }
    if (isa == ISA_AVX512BF16) {
        bf16_override_avx512bf16(table);
        return;
    }
    if (isa >= ISA_AVX512) {
        bf16_override_avx512(table);
        return;
    }
    if (isa == ISA_AVX2) {
        bf16_override_avx2(table);
        return;
    }
#endif
    (void)isa;
    bf16_override_base(table);
}
