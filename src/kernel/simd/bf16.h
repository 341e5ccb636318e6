/* bfloat16 in pairs: a 32-bit lane holds two numbers, and one instruction multiplies and adds both. Where the CPU lacks it the same
 * functions stand in plain vectors, with sums rounded in another order.
 *
 * Two layouts of a matrix [R x Dp] in uint32_t:
 *   pairs  [R/2 x Dp]: lane c of row r/2 holds (x[r][c], x[r+1][c]), for products that sum over rows;
 *   rows   [R x Dp/2]: row r holds its channels two by two, in an order that is the same for all rows, for dot products. */
#ifndef LMU_KERNEL_SIMD_BF16_H
#define LMU_KERNEL_SIMD_BF16_H

#include <stdbool.h>

#include "kernel/simd/vector.h"

INLINE ivec load_pairs(const uint32_t *p)
{
    ivec v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store_pairs(uint32_t *p, ivec v)
{
    memcpy(p, &v, sizeof v);
}

INLINE ivec splat_pair(uint32_t x)
{
    return (ivec){0} + (int32_t)x;
}

#ifdef __AVX512BF16__

/* sum + a.low b.low + a.high b.high */
INLINE vec dot_pairs(vec sum, ivec a, ivec b)
{
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

/* Lane i: (low[i], high[i]), rounded to nearest, ties to even. */
INLINE ivec pack_pairs(vec low, vec high)
{
#define WORD_PAIR(i) (int32_t)((16 + (i)) << 16 | (i))
#define WORD_PAIRS(i) WORD_PAIR(i), WORD_PAIR(i + 1), WORD_PAIR(i + 2), WORD_PAIR(i + 3)
    const ivec order = {WORD_PAIRS(0), WORD_PAIRS(4), WORD_PAIRS(8), WORD_PAIRS(12)};
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
    return (ivec)_mm512_permutexvar_epi16((__m512i)order, both);
}

/* The same numbers in whatever order of lanes comes cheapest: for the layout `rows`. */
INLINE ivec pack_row(vec a, vec b)
{
    return (ivec)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a);
}

/* LANES numbers in order. */
INLINE void store_bf16(uint16_t *to, vec x)
{
    __m256i y = (__m256i)_mm512_cvtneps_pbh((__m512)x);
    memcpy(to, &y, sizeof y);
}

#else

INLINE vec dot_pairs(vec sum, ivec a, ivec b)
{
    const ivec upper = (ivec){0} + (int32_t)0xffff0000;
    vec low = (vec)(a << 16) * (vec)(b << 16), high = (vec)(a & upper) * (vec)(b & upper);
    return sum + (low + high);
}

/* The bits of x rounded to bfloat16, in the upper half of each lane. x must not be NaN. */
INLINE ivec round_bf16(vec x)
{
    ivec bits = (ivec)x, odd = bits >> 16 & 1;
    return (bits + (odd + 0x7fff)) & (int32_t)0xffff0000;
}

INLINE ivec pack_pairs(vec low, vec high)
{
    return (round_bf16(low) >> 16 & 0xffff) | round_bf16(high);
}

INLINE ivec pack_row(vec a, vec b)
{
    return pack_pairs(a, b);
}

INLINE void store_bf16(uint16_t *to, vec x)
{
    ivec bits = round_bf16(x);
    for (int i = 0; i < LANES; i++)
        to[i] = (uint16_t)((uint32_t)bits[i] >> 16);
}

#endif

/* Dot products of the layout `rows`: PairOperand, pair_dot_product; d counts pairs. */
#define DOT_NUMBER uint32_t
#define DOT_VECTOR ivec
#define DOT_LOAD load_pairs
#define DOT_ADD dot_pairs
#define DOT_OPERAND PairOperand
#define DOT_BLOCK pair_dot_block
#define DOT_PRODUCT pair_dot_product
#include "kernel/simd/dot.h"

#define PAIR_CHANNELS (2 * LANES) /* channels of a tile */

/* `rows` rows (at most 8) of y [m x PAIR_CHANNELS] = a [m x k pairs] b, b in the layout `pairs`: the sums stay in registers.
 * They start from y itself (add), or from `bias`, a number a row, or 0. */
INLINE void pair_block(int rows, int64_t k, const uint32_t *a, int64_t a_row, const uint32_t *b, int64_t b_row,
                       const float *bias, bool add, float *y, int64_t y_row)
{
    vec total[8][2];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < 2; v++)
            total[i][v] = add ? load(y + i * y_row + v * LANES) : splat(bias ? bias[i] : 0);
    for (int64_t l = 0; l < k; l++) {
        ivec right0 = load_pairs(b + l * b_row), right1 = load_pairs(b + l * b_row + LANES);
        for (int i = 0; i < rows; i++) {
            ivec left = splat_pair(a[i * a_row + l]);
            total[i][0] = dot_pairs(total[i][0], left, right0);
            total[i][1] = dot_pairs(total[i][1], left, right1);
        }
    }
    for (int i = 0; i < rows; i++) {
        store(y + i * y_row, total[i][0]);
        store(y + i * y_row + LANES, total[i][1]);
    }
}

static inline void pair_product(int64_t m, int64_t k, const uint32_t *a, int64_t a_row, const uint32_t *b,
                                int64_t b_row, const float *bias, bool add, float *y, int64_t y_row)
{
    int64_t i = 0;
#if LANES == 16
    for (; i + 8 <= m; i += 8)
        pair_block(8, k, a + i * a_row, a_row, b, b_row, bias ? bias + i : NULL, add, y + i * y_row, y_row);
#endif
    for (; i + 4 <= m; i += 4)
        pair_block(4, k, a + i * a_row, a_row, b, b_row, bias ? bias + i : NULL, add, y + i * y_row, y_row);
    for (; i < m; i++)
        pair_block(1, k, a + i * a_row, a_row, b, b_row, bias ? bias + i : NULL, add, y + i * y_row, y_row);
}

#endif
