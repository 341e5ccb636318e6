/* The tile unit of AMX: eight registers of 16 rows of 64 bytes, whose used shapes are configured before. Here under names of our own,
 * so that code written for it runs anywhere: where the compiler may not use the unit, the same in plain C (Intel SDM vol. 2,
 * LDTILECFG, TILELOADD, TDPBF16PS). Register numbers are constants. */
#ifndef LMU_KERNEL_SIMD_TILE_UNIT_H
#define LMU_KERNEL_SIMD_TILE_UNIT_H

#include <stdint.h>
#include <string.h>

#include "kernel/simd/vector.h"

#define TILE_REGISTERS 8
#define TILE_ROWS_MOST 16
#define TILE_ROW_BYTES 64

typedef struct TileShapes { /* as LDTILECFG reads it */
    uint8_t palette, start, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileShapes;

#ifdef __AMX_BF16__

#include <immintrin.h>

/* GCC 12 does not know that configuring and loading read memory: what was stored before must be there. */
#define TILE_READS() __asm__ volatile("" ::: "memory")

#define tile_configure(shapes)                                                                                         \
    do {                                                                                                               \
        TILE_READS();                                                                                                  \
        _tile_loadconfig(shapes);                                                                                      \
    } while (0)
#define tile_release() _tile_release()
#define tile_zero(t) _tile_zero(t)
#define tile_load(t, from, stride) /* rows `stride` bytes apart */                                                     \
    do {                                                                                                               \
        TILE_READS();                                                                                                  \
        _tile_loadd(t, from, (size_t)(stride));                                                                        \
    } while (0)
#define tile_store(t, to, stride) _tile_stored(t, to, (size_t)(stride))
/* c [rows x columns] += a [rows x k pairs] b [k x columns pairs], of bfloat16 with float sums. */
#define tile_dot(c, a, b) _tile_dpbf16ps(c, a, b)
/* The same of fours of bytes, signed in a, unsigned in b, with sums of 32 bits that wrap round (TDPBSUD). */
#define tile_dot_bytes(c, a, b) _tile_dpbsud(c, a, b)

#else

typedef struct TileUnit {
    TileShapes shapes;
    uint8_t data[TILE_REGISTERS][TILE_ROWS_MOST][TILE_ROW_BYTES];
} TileUnit;

static _Thread_local TileUnit tile_unit;

INLINE void tile_configure(const TileShapes *shapes)
{
    tile_unit.shapes = *shapes;
}

INLINE void tile_release(void)
{
    memset(&tile_unit.shapes, 0, sizeof tile_unit.shapes);
}

INLINE void tile_zero(int t)
{
    memset(tile_unit.data[t], 0, sizeof tile_unit.data[t]);
}

INLINE void tile_load(int t, const void *from, int64_t stride)
{
    tile_zero(t);
    for (int i = 0; i < tile_unit.shapes.rows[t]; i++)
        memcpy(tile_unit.data[t][i], (const char *)from + i * stride, tile_unit.shapes.row_bytes[t]);
}

INLINE void tile_store(int t, void *to, int64_t stride)
{
    for (int i = 0; i < tile_unit.shapes.rows[t]; i++)
        memcpy((char *)to + i * stride, tile_unit.data[t][i], tile_unit.shapes.row_bytes[t]);
}

INLINE float tile_half(const uint8_t *row, int i)
{
    uint16_t half;
    memcpy(&half, row + 2 * i, sizeof half);
    uint32_t bits = (uint32_t)half << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

/* The even and the odd terms are summed apart, then added to c. */
INLINE void tile_dot(int c, int a, int b)
{
    const TileShapes *s = &tile_unit.shapes;
    for (int i = 0; i < s->rows[c]; i++)
        for (int j = 0; j < s->row_bytes[c] / 4; j++) {
            float sum[2] = {0}, total;
            for (int k = 0; k < s->row_bytes[a] / 4; k++)
                for (int odd = 0; odd < 2; odd++)
                    sum[odd] +=
                        tile_half(tile_unit.data[a][i], 2 * k + odd) * tile_half(tile_unit.data[b][k], 2 * j + odd);
            memcpy(&total, tile_unit.data[c][i] + 4 * j, sizeof total);
            total += sum[0] + sum[1];
            memcpy(tile_unit.data[c][i] + 4 * j, &total, sizeof total);
        }
}

INLINE void tile_dot_bytes(int c, int a, int b)
{
    const TileShapes *s = &tile_unit.shapes;
    for (int i = 0; i < s->rows[c]; i++)
        for (int j = 0; j < s->row_bytes[c] / 4; j++) {
            uint32_t total;
            memcpy(&total, tile_unit.data[c][i] + 4 * j, sizeof total);
            for (int k = 0; k < s->row_bytes[a]; k++)
                total += (uint32_t)((int8_t)tile_unit.data[a][i][k] * tile_unit.data[b][k / 4][4 * j + k % 4]);
            memcpy(tile_unit.data[c][i] + 4 * j, &total, sizeof total);
        }
}

#endif
#endif
