/* Chunks of C steps of a ragged batch, as the Legendre kernels see them, and the scan that carries adjoint states from chunk
 * to chunk. Channels are padded to whole vectors in scratch memory, with zeros. */
#ifndef LMU_KERNEL_SIMD_CHUNK_H
#define LMU_KERNEL_SIMD_CHUNK_H

#include <omp.h>

#include "kernel/simd/simd.h"

#include "kernel/simd/tile.h"

#define CHUNK LEGENDRE_CHUNK
#define SCAN_CHANNELS 64 /* channels a task of a scan */

static inline int64_t padded(int64_t d)
{
    return (d + LANES - 1) / LANES * LANES;
}

/* Copies `rows` rows of n numbers between arrays of different row lengths; the padding of `to` is zeroed up to `fill`. */
static inline void copy_rows(int64_t rows, int64_t n, const float *from, int64_t from_row, float *to, int64_t to_row,
                             int64_t fill)
{
    for (int64_t i = 0; i < rows; i++) {
        memcpy(to + i * to_row, from + i * from_row, (size_t)n * sizeof *to);
        for (int64_t j = n; j < fill; j++)
            to[i * to_row + j] = 0;
    }
}

/* -- systems by group of channels -- */

/* The channels, at most LANES, of one vector that lie in one group: y's lanes `from` to `to` of an m x LANES product. */
static inline void lanes_product(int64_t from, int64_t to, int64_t m, int64_t k, TileOperand a, const float *x,
                                 int64_t x_row, float *y, int64_t y_row, bool add)
{
    float whole[8 * LANES];
    for (int64_t i = 0; i < m; i += 8) {
        int64_t rows = m - i < 8 ? m - i : 8;
        if (add)
            copy_rows(rows, LANES, y + i * y_row, y_row, whole, LANES, 0);
        tile_product(rows, LANES, k, (TileOperand){a.data + i * a.row, a.row, a.column}, x, x_row, whole, LANES, add);
        copy_rows(rows, to - from, whole + from, LANES, y + i * y_row + from, y_row, 0);
    }
}

/* As system_product, of several groups: runs of whole vectors of one group, and vectors that two or more share, each of them once
 * for every group. Channels behind the last are the last group's. */
static __attribute__((noinline)) void groups_product(const LegendreShape *s, int64_t channel, int64_t m, int64_t n,
                                                     int64_t k, TileOperand a, const float *x, int64_t x_row, float *y,
                                                     int64_t y_row, bool add)
{
    int64_t share = s->channels / s->groups, system = legendre_system_numbers(s);
    for (int64_t c = 0; c < n;) {
        int64_t group = (channel + c) / share;
        if (group > s->groups - 1)
            group = s->groups - 1;
        int64_t end = group == s->groups - 1 ? n : (group + 1) * share - channel, vector = c / LANES * LANES;
        end = end < n ? end : n;
        TileOperand own = {a.data + group * system, a.row, a.column};
        if (c == vector && end - c >= LANES)
            end = c + (end - c) / LANES * LANES, tile_product(m, end - c, k, own, x + c, x_row, y + c, y_row, add);
        else
            end = end < vector + LANES ? end : vector + LANES,
            lanes_product(c - vector, end - vector, m, k, own, x + vector, x_row, y + vector, y_row, add);
        c = end;
    }
}

/* tile_product on n channels from `channel` on, where a lies in the first system's W and each group multiplies by its own. */
INLINE void system_product(const LegendreShape *s, int64_t channel, int64_t m, int64_t n, int64_t k, TileOperand a,
                           const float *x, int64_t x_row, float *y, int64_t y_row, bool add)
{
    if (s->groups == 1)
        tile_product(m, n, k, a, x, x_row, y, y_row, add);
    else
        groups_product(s, channel, m, n, k, a, x, x_row, y, y_row, add);
}

/* The parameters of one head. */
static inline AttentionParameters head_parameters(const AttentionParameters *a, int64_t order, int64_t head)
{
    int64_t p = a->reduced;
    AttentionParameters own = *a;
    own.heads = 1;
    own.l = (const Real *)((const float *)a->l + head * 3 * p * order);
    own.bias = (const Real *)((const float *)a->bias + head * 3 * p);
    own.p = (const Real *)((const float *)a->p + head * p);
    own.scale = a->scale ? (const Real *)((const float *)a->scale + head) : NULL;
    return own;
}

/* -- chunks -- */

typedef struct Chunk {
    int row;
    int64_t index, first, count; /* of all chunks; first token; steps */
    bool last;                   /* of its row */
    bool alone;                  /* its row is one step: the boundary holds the state behind it */
} Chunk;

/* Whether the row is one step, as in decoding. */
static inline bool row_is_step(const Rows *rows, int row)
{
    return rows->offset[row + 1] - rows->offset[row] == 1;
}

/* The chunk with this index; `row` is where to begin looking. */
static inline Chunk chunk_at(const Rows *rows, int64_t index, int row)
{
    while (rows->chunk[row + 1] <= index)
        row++;
    int64_t first = rows->offset[row] + (index - rows->chunk[row]) * CHUNK, left = rows->offset[row + 1] - first;
    return (Chunk){row, index, first, left < CHUNK ? left : CHUNK, left <= CHUNK, row_is_step(rows, row)};
}

/* Vector operations of all chunks, or so. */
static inline int64_t chunk_work(const LegendreShape *s, int64_t p, const Rows *rows)
{
    return rows->tokens * s->channels * (s->order * s->order + 3 * p * (s->order + 16)) / LANES;
}

/* -- scans -- */

/* Multiplications of a scan, or so: a matrix for each token and channel. */
static inline int64_t scan_work(const LegendreShape *s, const Rows *rows)
{
    return rows->tokens * s->channels * s->order * s->order;
}

static inline int64_t scan_scratch(const LegendreShape *s)
{
    return (2 * s->order + CHUNK) * SCAN_CHANNELS;
}

/* Carries adjoint states backwards through the chunks of one row and tile of channels: boundary holds each chunk's own G_0. */
static inline void adjoint_tile(const LegendreShape *s, const Rows *rows, int row, int64_t channel, const float *w,
                                const float *boundary, float *dx, float *scratch)
{
    int64_t q = s->order, d = s->channels, width = q + CHUNK;
    int64_t n = d - channel < SCAN_CHANNELS ? d - channel : SCAN_CHANNELS, np = padded(n);
    float *end = scratch, *start = end + q * SCAN_CHANNELS, *steps = start + q * SCAN_CHANNELS;
    for (int64_t k = rows->chunk[row + 1] - 1; k >= rows->chunk[row]; k--) {
        Chunk chunk = chunk_at(rows, k, row);
        const float *last = w + (chunk.count - 1) * q * width;
        copy_rows(q, n, boundary + k * q * d + channel, d, start, np, np);
        if (!chunk.last) {
            system_product(s, channel, chunk.count, np, q, (TileOperand){last + q, 1, width}, end, np, steps, np,
                           false);
            for (int64_t t = 0; t < chunk.count; t++)
                for (int64_t j = 0; j < n; j++)
                    dx[(chunk.first + t) * d + channel + j] += steps[t * np + j];
            system_product(s, channel, q, np, q, (TileOperand){last, 1, width}, end, np, start, np, true);
        }
        memcpy(end, start, (size_t)(q * np) * sizeof *end);
    }
}

static inline void adjoint_scan(Backend *b, const LegendreShape *s, const Rows *rows, const float *w,
                                const float *boundary, float *dx)
{
    int64_t tiles = (s->channels + SCAN_CHANNELS - 1) / SCAN_CHANNELS;
    PARALLEL_FOR(scan_work(s, rows))
    for (int64_t task = 0; task < rows->count * tiles; task++)
        adjoint_tile(s, rows, (int)(task / tiles), task % tiles * SCAN_CHANNELS, w, boundary, dx,
                     (float *)b->workspace + omp_get_thread_num() * scan_scratch(s));
}

#endif
