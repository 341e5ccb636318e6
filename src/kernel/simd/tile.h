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

/* c [m x n] += sum over segments and channels of a_i b_j: a [m x d] and b [n x d] in each of `segments` segments. c has a
 * row stride; d is a multiple of LANES. */
typedef struct DotOperand { /* the vectors: data + segment * segment_stride + i * row */
    const float *data;
    int64_t row, segment;
} DotOperand;

#define DOT_COLUMNS 4
#define DOT_ROWS (LANES / DOT_COLUMNS) /* so that the sums of a block fill one vector */

/* rows x columns sums, the others of the block left out. */
INLINE void dot_block(int rows, int columns, int64_t segments, int64_t d, DotOperand a, DotOperand b, float *c,
                      int64_t c_row)
{
    vec total[DOT_ROWS * DOT_COLUMNS] = {{0}};
    for (int64_t s = 0; s < segments; s++)
        for (int64_t l = 0; l < d; l += LANES) {
            vec right[DOT_COLUMNS];
            for (int j = 0; j < columns; j++)
                right[j] = load(b.data + s * b.segment + j * b.row + l);
            for (int i = 0; i < rows; i++) {
                vec left = load(a.data + s * a.segment + i * a.row + l);
                for (int j = 0; j < columns; j++)
                    total[i * DOT_COLUMNS + j] += left * right[j];
            }
        }
    float sums[LANES];
    store(sums, reduce_each(total));
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            c[i * c_row + j] += sums[i * DOT_COLUMNS + j];
}

static inline void dot_product(int64_t m, int64_t n, int64_t segments, int64_t d, DotOperand a, DotOperand b, float *c,
                               int64_t c_row)
{
    for (int64_t i = 0; i < m; i += i + DOT_ROWS <= m ? DOT_ROWS : 1)
        for (int64_t j = 0; j < n; j += j + DOT_COLUMNS <= n ? DOT_COLUMNS : 1) {
            bool rows = i + DOT_ROWS <= m, columns = j + DOT_COLUMNS <= n;
            DotOperand left = {a.data + i * a.row, a.row, a.segment}, right = {b.data + j * b.row, b.row, b.segment};
            float *out = c + i * c_row + j;
            if (rows && columns)
                dot_block(DOT_ROWS, DOT_COLUMNS, segments, d, left, right, out, c_row);
            else if (rows)
                dot_block(DOT_ROWS, 1, segments, d, left, right, out, c_row);
            else if (columns)
                dot_block(1, DOT_COLUMNS, segments, d, left, right, out, c_row);
            else
                dot_block(1, 1, segments, d, left, right, out, c_row);
        }
}

#endif
