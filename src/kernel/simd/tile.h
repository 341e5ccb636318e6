/* Small products on panels of channels: y [m x n] (+)= a [m x k] x [k x n], x and y with rows of vectors, a scalars with any two
 * strides. Each number is summed over k in order, whatever m and n, so its bits depend on nothing else. */
#ifndef LMU_KERNEL_SIMD_TILE_H
#define LMU_KERNEL_SIMD_TILE_H

#include <stdbool.h>

#include "kernel/simd/vector.h"

typedef struct TileOperand { /* the scalars a: a[i * row + k * column] */
    const float *data;
    int64_t row, column;
} TileOperand;

/* `rows` rows (at most 8) of y on `vectors` vectors (at most 2): the sums stay in registers. */
INLINE void tile_block(int rows, int vectors, int64_t k, TileOperand a, const float *x, int64_t x_row, float *y,
                       int64_t y_row, bool add)
{
    vec total[8][2];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++)
            total[i][j] = add ? load(y + i * y_row + j * LANES) : splat(0);
#pragma GCC unroll 4
    for (int64_t l = 0; l < k; l++) {
        vec right[2];
        for (int j = 0; j < vectors; j++)
            right[j] = load(x + l * x_row + j * LANES);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < vectors; j++)
                total[i][j] += a.data[i * a.row + l * a.column] * right[j];
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++)
            store(y + i * y_row + j * LANES, total[i][j]);
}

#if LANES == 16
#define TILE_ROWS 8 /* 16 of 32 registers hold sums */
#else
#define TILE_ROWS 4 /* 8 of 16 */
#endif

INLINE void tile_rows(int rows, int64_t n, int64_t k, TileOperand a, const float *x, int64_t x_row, float *y,
                      int64_t y_row, bool add)
{
    int64_t j = 0;
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        tile_block(rows, 2, k, a, x + j, x_row, y + j, y_row, add);
    if (j < n)
        tile_block(rows, 1, k, a, x + j, x_row, y + j, y_row, add);
}

/* n is a multiple of LANES. */
static inline void tile_product(int64_t m, int64_t n, int64_t k, TileOperand a, const float *x, int64_t x_row, float *y,
                                int64_t y_row, bool add)
{
    for (; m >= TILE_ROWS; m -= TILE_ROWS, a.data += TILE_ROWS * a.row, y += TILE_ROWS * y_row)
        tile_rows(TILE_ROWS, n, k, a, x, x_row, y, y_row, add);
    if (TILE_ROWS > 4 && m >= 4) {
        tile_rows(4, n, k, a, x, x_row, y, y_row, add);
        m -= 4, a.data += 4 * a.row, y += 4 * y_row;
    }
    if (m >= 2) {
        tile_rows(2, n, k, a, x, x_row, y, y_row, add);
        m -= 2, a.data += 2 * a.row, y += 2 * y_row;
    }
    if (m >= 1)
        tile_rows(1, n, k, a, x, x_row, y, y_row, add);
}

/* Dot products of float: DotOperand, dot_product. */
#define DOT_NUMBER float
#define DOT_VECTOR vec
#define DOT_LOAD load
#define DOT_ADD(sum, a, b) ((sum) + (a) * (b))
#define DOT_OPERAND DotOperand
#define DOT_BLOCK dot_block
#define DOT_PRODUCT dot_product
#include "kernel/simd/dot.h"

#endif
