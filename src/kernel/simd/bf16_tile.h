/* Products of tiles of bfloat16 with float sums, as AMX has them (Intel SDM, TDPBF16PS):
 *
 *     c [16 x 16] += a [16 x 32] b [32 x 16]
 *
 * where b is kept as 16 pairs of rows, b[pair][column][2], which is what all instructions for bfloat16 read. One primitive,
 * bf16_tile_product, in three forms, of which the variant that a file is compiled for takes the best: AMX, whose unit does a
 * tile at once; AVX512-BF16, which takes a pair of one row at a time and keeps c in registers; and plain C, which does what
 * the tile instruction does, step by step, and runs everywhere.
 *
 * In each form a row of c is summed in the same order whatever the number of rows, so its bits depend on nothing else. The
 * forms differ from each other by rounding: AVX512-BF16 adds the terms to c one by one; the tile instruction sums the even
 * and the odd terms of a tile apart before it adds them to c. |error| <= (k + 2) 2^-24 (|c| + sum |a b|) over k terms in all
 * three, as products of bfloat16 are exact in float. Numbers below 2^-126 count as 0 in the first two. */
#ifndef LMU_KERNEL_SIMD_BF16_TILE_H
#define LMU_KERNEL_SIMD_BF16_TILE_H

#include "kernel/simd/vector.h"

#define BF16_TILE 16                          /* rows and columns */
#define BF16_DEPTH 32                         /* terms of a sum in one tile */
#define BF16_NUMBERS (BF16_TILE * BF16_DEPTH) /* bfloat16 numbers in a or b */

/* bf16_tile_product: c [16 x 16 columns] += sum over `blocks` tiles of a [16 x 32 blocks] b [32 blocks x 16 columns], of which
 * the first `rows` rows are wanted: those of c behind them are left alone or overwritten with anything. `columns`, a
 * constant, is 1 or 2: tiles side by side, the first at b, the second b_column numbers behind it, each followed by those of
 * the next blocks. Rows of a and c lie a_row and c_row numbers apart; all 16 must be there to be read and written. It stands
 * between bf16_tile_begin and bf16_tile_end on the same thread. */

#if defined(__AMX_BF16__) || defined(__AMXBF16__) /* as gcc and clang call it */
#include <immintrin.h>

/* What stands at these addresses is in memory from here on: gcc's tile intrinsics read it without saying so. */
#define BF16_TILE_READS(...) __asm__ volatile("" : : __VA_ARGS__ : "memory")

INLINE void bf16_tile_begin(void)
{
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shape.row_bytes[i] = 64;
        shape.rows[i] = BF16_TILE;
    }
    BF16_TILE_READS("r"(&shape));
    _tile_loadconfig(&shape);
}

INLINE void bf16_tile_end(void)
{
    _tile_release();
}

INLINE void bf16_tile_product(int rows, int columns, int64_t blocks, const uint16_t *a, int64_t a_row,
                              const uint16_t *b, int64_t b_column, float *c, int64_t c_row)
{
    (void)rows;
    BF16_TILE_READS("r"(a), "r"(b), "r"(c));
    _tile_loadd(0, c, (size_t)c_row * sizeof *c);
    if (columns > 1)
        _tile_loadd(1, c + BF16_TILE, (size_t)c_row * sizeof *c);
    for (int64_t i = 0; i < blocks; i++, a += BF16_DEPTH, b += BF16_NUMBERS) {
        _tile_loadd(2, a, (size_t)a_row * sizeof *a);
        _tile_loadd(3, b, 64);
        _tile_dpbf16ps(0, 2, 3);
        if (columns > 1) {
            _tile_loadd(4, b + b_column, 64);
            _tile_dpbf16ps(1, 2, 4);
        }
    }
    _tile_stored(0, c, (size_t)c_row * sizeof *c);
    if (columns > 1)
        _tile_stored(1, c + BF16_TILE, (size_t)c_row * sizeof *c);
}

#elif defined(__AVX512BF16__)
#include <immintrin.h>

#define BF16_AHEAD (2 * BF16_NUMBERS) /* is asked of memory while a row alone is bound by reading b */

INLINE void bf16_tile_begin(void)
{
}

INLINE void bf16_tile_end(void)
{
}

/* `rows` (a constant) rows, whose sums stay in registers. */
INLINE void bf16_tile_rows(int rows, int columns, int64_t blocks, const uint16_t *a, int64_t a_row, const uint16_t *b,
                           int64_t b_column, float *c, int64_t c_row)
{
    __m512 total[8][2];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            total[i][j] = _mm512_loadu_ps(c + i * c_row + j * BF16_TILE);
    for (int64_t block = 0; block < blocks; block++, a += BF16_DEPTH, b += BF16_NUMBERS)
        for (int pair = 0; pair < BF16_DEPTH / 2; pair++) {
            __m512bh right[2];
            for (int j = 0; j < columns; j++) {
                const uint16_t *at = b + j * b_column + pair * 2 * BF16_TILE;
                right[j] = (__m512bh)_mm512_loadu_si512(at);
                _mm_prefetch((const char *)(at + BF16_AHEAD), _MM_HINT_T0);
            }
            for (int i = 0; i < rows; i++) {
                int32_t left;
                memcpy(&left, a + i * a_row + 2 * pair, sizeof left);
                for (int j = 0; j < columns; j++)
                    total[i][j] = _mm512_dpbf16_ps(total[i][j], (__m512bh)_mm512_set1_epi32(left), right[j]);
            }
        }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            _mm512_storeu_ps(c + i * c_row + j * BF16_TILE, total[i][j]);
}

INLINE void bf16_tile_product(int rows, int columns, int64_t blocks, const uint16_t *a, int64_t a_row,
                              const uint16_t *b, int64_t b_column, float *c, int64_t c_row)
{
    for (; rows >= 8; rows -= 8, a += 8 * a_row, c += 8 * c_row)
        bf16_tile_rows(8, columns, blocks, a, a_row, b, b_column, c, c_row);
    if (rows >= 4) {
        bf16_tile_rows(4, columns, blocks, a, a_row, b, b_column, c, c_row);
        rows -= 4, a += 4 * a_row, c += 4 * c_row;
    }
    if (rows >= 2) {
        bf16_tile_rows(2, columns, blocks, a, a_row, b, b_column, c, c_row);
        rows -= 2, a += 2 * a_row, c += 2 * c_row;
    }
    if (rows >= 1)
        bf16_tile_rows(1, columns, blocks, a, a_row, b, b_column, c, c_row);
}

#else

INLINE void bf16_tile_begin(void)
{
}

INLINE void bf16_tile_end(void)
{
}

INLINE float bf16_widen(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

/* What the tile instruction does to one row of c. */
INLINE void bf16_tile_row(const uint16_t *a, const uint16_t *b, float *c)
{
    float sum[BF16_TILE][2] = {{0}};
    for (int pair = 0; pair < BF16_DEPTH / 2; pair++)
        for (int j = 0; j < BF16_TILE; j++)
            for (int odd = 0; odd < 2; odd++)
                sum[j][odd] += bf16_widen(a[2 * pair + odd]) * bf16_widen(b[(pair * BF16_TILE + j) * 2 + odd]);
    for (int j = 0; j < BF16_TILE; j++)
        c[j] += sum[j][0] + sum[j][1];
}

INLINE void bf16_tile_product(int rows, int columns, int64_t blocks, const uint16_t *a, int64_t a_row,
                              const uint16_t *b, int64_t b_column, float *c, int64_t c_row)
{
    (void)rows; /* all 16, as the tile instruction does */
    for (int64_t block = 0; block < blocks; block++)
        for (int j = 0; j < columns; j++)
            for (int i = 0; i < BF16_TILE; i++)
                bf16_tile_row(a + i * a_row + block * BF16_DEPTH, b + j * b_column + block * BF16_NUMBERS,
                              c + i * c_row + j * BF16_TILE);
}

#endif
#endif
