/* Matrices of weights in bytes: weight [r][c] = scale[r] q[r][c], q from -128 to 127.
 *
 * A byte holds q + 128, because CPUs multiply unsigned bytes by signed ones (VPDPBUSD, TDPBSUD): what the 128 adds to a product
 * with x is 128 sum(x), known once for a row of x. The bytes lie in tiles of 16 rows by 4 columns,
 *
 *     packed[row / 16][column / 4][row % 16][column % 4],
 *
 * with q = 0 behind the last row and column, and a scale of 0 there. It is what a register of any width and the tile unit of AMX
 * read as it is, so a matrix has this one form in memory on every CPU: 1 + 4/columns bytes a number. */
#ifndef LMU_KERNEL_INT8_H
#define LMU_KERNEL_INT8_H

#include <stddef.h>
#include <stdint.h>

#define INT8_ROWS 16
#define INT8_COLUMNS 4
#define INT8_ZERO 128
#define INT8_COLUMNS_MOST ((int64_t)1 << 17) /* sums of so many terms of up to 128 127 fit into 32 bits */
#define INT8_LEAST 0x1p-120f                 /* of what is rounded to bytes; 127 over it is finite */

typedef struct Int8Matrix {
    int64_t rows, columns;
    uint8_t *packed; /* [int8_bytes] */
    float *scale;    /* [int8_scales] */
} Int8Matrix;

static inline int64_t int8_scales(int64_t rows)
{
    return (rows + INT8_ROWS - 1) / INT8_ROWS * INT8_ROWS;
}

/* Fours of columns. */
static inline int64_t int8_quads(int64_t columns)
{
    return (columns + INT8_COLUMNS - 1) / INT8_COLUMNS;
}

static inline size_t int8_bytes(int64_t rows, int64_t columns)
{
    return (size_t)(int8_scales(rows) * int8_quads(columns) * INT8_COLUMNS);
}

/* The place of a number in `packed`. */
static inline int64_t int8_place(const Int8Matrix *w, int64_t row, int64_t column)
{
    int64_t quad = row / INT8_ROWS * int8_quads(w->columns) + column / INT8_COLUMNS;
    return (quad * INT8_ROWS + row % INT8_ROWS) * INT8_COLUMNS + column % INT8_COLUMNS;
}

/* What a number stands for. */
static inline float int8_weight(const Int8Matrix *w, int64_t row, int64_t column)
{
    return w->scale[row] * (float)(w->packed[int8_place(w, row, column)] - INT8_ZERO);
}

#endif
