/* Products of fours of bytes: signed ones of a row x, unsigned ones of 16 rows of a matrix (kernel/int8.h), sums of 32 bits. Sums wrap
 * round on the way, so any order of terms gives the same bits. Three forms, of which the variant that a file is compiled for
 * takes the best: the instruction for it (AVX512-VNNI); multiplications of 16-bit numbers added in pairs, which every x86-64
 * has; and plain C. */
#ifndef LMU_KERNEL_SIMD_QUAD_H
#define LMU_KERNEL_SIMD_QUAD_H

#include "kernel/simd/vector.h"

INLINE uvec load_bytes(const uint8_t *p)
{
    uvec v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Quantized: how x is kept. Four numbers in the order QUAD_LANE. */
#if defined(__AVX512VNNI__)

typedef int8_t Quantized;
#define QUAD_LANE(l, w) (l)

INLINE uvec quad_dot(uvec total, uvec w, const Quantized *x)
{
    int32_t quad;
    memcpy(&quad, x, sizeof quad);
    return (uvec)_mm512_dpbusd_epi32((__m512i)total, (__m512i)w, _mm512_set1_epi32(quad));
}

#elif defined(__SSE2__) && !defined(INT8_TILES)

#include <immintrin.h>

typedef int16_t Quantized; /* the even two, then the odd two, as the halves of a lane of w come apart */
#define QUAD_LANE(l, w) ((l) / 4 * 4 + (l) % 2 * 2 + (l) / 2 % 2)

INLINE uvec pairs_dot(uvec a, uvec b)
{
#if LANES == 16
    return (uvec)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif LANES == 8
    return (uvec)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
    return (uvec)_mm_madd_epi16((__m128i)a, (__m128i)b);
#endif
}

INLINE uvec quad_dot(uvec total, uvec w, const Quantized *x)
{
    uint32_t even, odd;
    memcpy(&even, x, sizeof even);
    memcpy(&odd, x + 2, sizeof odd);
    uvec none = {0};
    return total + pairs_dot(w & 0x00ff00ff, none + even) + pairs_dot(w >> 8 & 0x00ff00ff, none + odd);
}

#else

typedef int8_t Quantized;
#define QUAD_LANE(l, w) (l)

INLINE uvec quad_dot(uvec total, uvec w, const Quantized *x)
{
    for (int i = 0; i < 4; i++)
        total += (w >> 8 * i & 255) * (uint32_t)x[i];
    return total;
}

#endif
#endif
