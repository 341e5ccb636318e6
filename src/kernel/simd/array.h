/* Vectors in and out of arrays of either kind, float or bfloat16. */
#ifndef LMU_KERNEL_SIMD_ARRAY_H
#define LMU_KERNEL_SIMD_ARRAY_H

#include "kernel/simd/simd.h"

typedef uint16_t half_vec __attribute__((vector_size(LANES * 2)));
typedef uint32_t bits_vec __attribute__((vector_size(LANES * 4)));

INLINE vec widen(half_vec x)
{
    return (vec)(__builtin_convertvector(x, bits_vec) << 16);
}

/* Rounded to nearest, ties to even; NaN stays NaN. */
INLINE half_vec narrow(vec x)
{
#ifdef __AVX512BF16__
    return (half_vec)_mm512_cvtneps_pbh((__m512)x);
#else
    bits_vec bits = (bits_vec)x, rounded = (bits + ((bits >> 16 & 1) + 0x7fff)) >> 16;
    bits_vec nan = (bits_vec)(x != x);
    return __builtin_convertvector((rounded & ~nan) | ((bits >> 16 | 0x40) & nan), half_vec);
#endif
}

/* Numbers i .. i+n-1, n <= LANES; the other lanes are 0 (load) or left alone (store). */
INLINE vec array_load(Array x, int64_t i, int64_t n)
{
    if (!x.half)
        return n == LANES ? load((const float *)x.data + i) : load_part((const float *)x.data + i, n);
    half_vec v = {0};
    if (n == LANES)
        memcpy(&v, (const uint16_t *)x.data + i, sizeof v);
    else
        memcpy(&v, (const uint16_t *)x.data + i, (size_t)n * sizeof(uint16_t));
    return widen(v);
}

INLINE void array_store(Array y, int64_t i, int64_t n, vec v)
{
    if (!y.half) {
        if (n == LANES)
            store((float *)y.data + i, v);
        else
            store_part((float *)y.data + i, v, n);
        return;
    }
    half_vec rounded = narrow(v);
    if (n == LANES)
        memcpy((uint16_t *)y.data + i, &rounded, sizeof rounded);
    else
        memcpy((uint16_t *)y.data + i, &rounded, (size_t)n * sizeof(uint16_t));
}

INLINE int64_t lanes_left(int64_t n)
{
    return n < LANES ? n : LANES;
}

#endif
