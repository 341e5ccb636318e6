/* Products of pairs of bfloat16 on a tile of channels, by the unit that a variant is compiled for: where PAIR_TILES is defined by the
 * tile unit, else by vectors. unit_product(u, m, k, a, b, ...) is y [m x PAIR_CHANNELS] = a [m x k pairs] b + bias, as
 * pair_product of bf16.h, and unit_product_add is y += a b; a's rows follow one another. The tile unit works on blocks of
 * UNIT_ROWS rows: so many must be there to be read in a and to be written in y, whatever m. */
#ifndef LMU_KERNEL_SIMD_PAIR_UNIT_H
#define LMU_KERNEL_SIMD_PAIR_UNIT_H

#include "kernel/simd/bf16.h"

#define UNIT_ROWS 16

#ifdef PAIR_TILES

#include "kernel/simd/tile_unit.h"

#define UNIT_COLUMNS (PAIR_CHANNELS < 16 ? PAIR_CHANNELS : 16)
#define UNIT_TILES (PAIR_CHANNELS / UNIT_COLUMNS) /* 1 or 2, side by side */

/* Registers 0 and 1 hold sums, 2 and 3 whole blocks of 16 pairs of a and b, 4 to 7 what is left of k behind those: two such
 * rests have shapes of their own. */
typedef struct PairUnit {
    int64_t rest[2];
} PairUnit;

/* Prepares this thread's unit for products over k pairs, one of `count` numbers; unit_end gives it back. */
static inline void unit_begin(PairUnit *u, int count, const int64_t *k)
{
    TileShapes shapes = {.palette = 1};
    *u = (PairUnit){{0, 0}};
    for (int i = 0; i < count; i++) {
        int64_t rest = k[i] % 16;
        if (rest != 0 && rest != u->rest[0] && rest != u->rest[1])
            u->rest[u->rest[0] ? 1 : 0] = u->rest[0] && u->rest[1] ? u->rest[1] : rest;
    }
    for (int t = 0; t < TILE_REGISTERS; t++) {
        int64_t depth = t < 4 ? 16 : u->rest[t / 2 - 2];
        shapes.rows[t] = (uint8_t)(t < 2 || t % 2 == 0 ? UNIT_ROWS : depth);
        shapes.row_bytes[t] = (uint16_t)(t < 2 || t % 2 == 1 ? 4 * UNIT_COLUMNS : 4 * depth);
        if (depth == 0)
            shapes.rows[t] = 0, shapes.row_bytes[t] = 0;
    }
    tile_configure(&shapes);
}

static inline void unit_end(void)
{
    tile_release();
}

/* Registers are constants, hence a macro: sums += a b, for one block of k. */
#define UNIT_BLOCK(left, right, a, a_row, b, b_row)                                                                    \
    do {                                                                                                               \
        tile_load(left, a, 4 * (a_row));                                                                               \
        tile_load(right, b, 4 * (b_row));                                                                              \
        tile_dot(0, left, right);                                                                                      \
        if (UNIT_TILES > 1) {                                                                                          \
            tile_load(right, (b) + UNIT_COLUMNS, 4 * (b_row));                                                         \
            tile_dot(1, left, right);                                                                                  \
        }                                                                                                              \
    } while (0)

static inline void unit_rows(const PairUnit *u, int64_t k, const uint32_t *a, int64_t a_row, const uint32_t *b,
                             int64_t b_row, const float *bias, bool add, float *y, int64_t y_row)
{
    int64_t l = 0;
    for (int64_t i = 0; bias && i < UNIT_ROWS; i++)
        for (int64_t j = 0; j < PAIR_CHANNELS; j += LANES)
            store(y + i * y_row + j, splat(bias[i]));
    if (bias || add) {
        tile_load(0, y, 4 * y_row);
        if (UNIT_TILES > 1)
            tile_load(1, y + UNIT_COLUMNS, 4 * y_row);
    } else {
        tile_zero(0);
        tile_zero(1);
    }
    for (; l + 16 <= k; l += 16)
        UNIT_BLOCK(2, 3, a + l, a_row, b + l * b_row, b_row);
    if (k - l > 0 && k - l == u->rest[0])
        UNIT_BLOCK(4, 5, a + l, a_row, b + l * b_row, b_row);
    else if (k - l > 0)
        UNIT_BLOCK(6, 7, a + l, a_row, b + l * b_row, b_row);
    tile_store(0, y, 4 * y_row);
    if (UNIT_TILES > 1)
        tile_store(1, y + UNIT_COLUMNS, 4 * y_row);
}

static inline void unit_sums(const PairUnit *u, int64_t m, int64_t k, const uint32_t *a, int64_t a_row,
                             const uint32_t *b, int64_t b_row, const float *bias, bool add, float *y, int64_t y_row)
{
    int64_t rest = k % 16;
    if (rest != 0 && rest != u->rest[0] && rest != u->rest[1]) { /* a third shape */
        pair_product(m, k, a, a_row, b, b_row, bias, add, y, y_row);
        return;
    }
    for (int64_t i = 0; i < m; i += UNIT_ROWS)
        unit_rows(u, k, a + i * a_row, a_row, b, b_row, bias ? bias + i : NULL, add, y + i * y_row, y_row);
}

#else

typedef struct PairUnit {
    char none;
} PairUnit;

static inline void unit_begin(PairUnit *u, int count, const int64_t *k)
{
    (void)u, (void)count, (void)k;
}

static inline void unit_end(void)
{
}

static inline void unit_sums(const PairUnit *u, int64_t m, int64_t k, const uint32_t *a, int64_t a_row,
                             const uint32_t *b, int64_t b_row, const float *bias, bool add, float *y, int64_t y_row)
{
    (void)u;
    pair_product(m, k, a, a_row, b, b_row, bias, add, y, y_row);
}

#endif

static inline void unit_product(const PairUnit *u, int64_t m, int64_t k, const uint32_t *a, int64_t a_row,
                                const uint32_t *b, int64_t b_row, const float *bias, float *y, int64_t y_row)
{
    unit_sums(u, m, k, a, a_row, b, b_row, bias, false, y, y_row);
}

static inline void __attribute__((unused))
unit_product_add(const PairUnit *u, int64_t m, int64_t k, const uint32_t *a, int64_t a_row, const uint32_t *b,
                 int64_t b_row, float *y, int64_t y_row)
{
    unit_sums(u, m, k, a, a_row, b, b_row, NULL, true, y, y_row);
}

#endif
