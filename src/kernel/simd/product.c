/* Products whose rows do not depend on their neighbours: y [N x M] = x [N x K] w^T + bias.
 *
 * w is packed into panels of PANEL of its rows: packed[panel][k][lane]. A tile of up to TILE_ROWS rows of x meets a panel in
 * registers; every number of y is summed over k in order, so its bits are the same alone and among any others. A row alone is bound by
 * reading w, and meets TOGETHER panels at once: memory is read faster at several places, and the sums of one panel would wait for
 * one another. */
#include "kernel/simd/simd.h"

#include "kernel/simd/tile.h"

#define PANEL (2 * LANES)
#define TOGETHER 4
#define APART (64 / LANES) /* steps of a tile between the lines of the next panel that it brings nearer */
#define LINE 16            /* numbers */
#define BLOCK 64 /* rows that meet one panel after the other: their results lie in few enough pages for the TLB */

static size_t packed_bytes(Backend *b, int64_t m, int64_t k)
{
    (void)b;
    return (size_t)((m + PANEL - 1) / PANEL * PANEL * k) * sizeof(float);
}

static void pack(Backend *b, int64_t m, int64_t k, const Real *W, void *packed)
{
    const float *w = (const float *)W;
    PARALLEL_FOR(m * k)
    for (int64_t panel = 0; panel < (m + PANEL - 1) / PANEL; panel++) {
        float *to = (float *)packed + panel * PANEL * k;
        for (int64_t l = 0; l < k; l++)
            for (int64_t j = 0; j < PANEL; j++)
                to[l * PANEL + j] = panel * PANEL + j < m ? w[(panel * PANEL + j) * k + l] : 0;
    }
}

INLINE void panel_step(int rows, const float *x, int64_t k, const float *w, vec total[TILE_ROWS][2])
{
    vec right[2] = {load(w), load(w + LANES)};
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < 2; j++)
            total[i][j] += x[i * k] * right[j];
}

/* One panel of y for `rows` rows, stride y_row, while a share of the next panel is brought nearer, from `ahead` on. */
INLINE void panel_tile(int rows, int64_t k, const float *x, const float *w, const float *ahead, const float *start,
                       float *y, int64_t y_row)
{
    vec total[TILE_ROWS][2];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < 2; j++)
            total[i][j] = load(start + j * LANES);
    int64_t l = 0;
    for (; l + APART <= k; ahead += LINE) {
        __builtin_prefetch(ahead, 0, 2);
#pragma GCC unroll 8
        for (int64_t end = l + APART; l < end; l++)
            panel_step(rows, x + l, k, w + l * PANEL, total);
    }
    for (; l < k; l++)
        panel_step(rows, x + l, k, w + l * PANEL, total);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < 2; j++)
            store(y + i * y_row + j * LANES, total[i][j]);
}

/* One panel of y for n rows, through a buffer where the panel is not whole. */
static void panel_product(int64_t n, int64_t m, int64_t k, int64_t panel, const float *x, const float *packed,
                          const float *bias, float *y)
{
    int64_t first = panel * PANEL, width = m - first < PANEL ? m - first : PANEL;
    const float *w = packed + first * k, *ahead = w + k * PANEL;
    float start[PANEL] = {0}, buffer[TILE_ROWS * PANEL];
    if (bias)
        memcpy(start, bias + first, (size_t)width * sizeof *start);
    for (int64_t i = 0, rows; i < n; i += rows, ahead += k / APART * LINE) {
        int64_t left = n - i, stride = width == PANEL ? m : PANEL;
        float *to = width == PANEL ? y + i * m + first : buffer;
        rows = left >= TILE_ROWS ? TILE_ROWS : left >= 4 ? 4 : left >= 2 ? 2 : 1;
#define TILE(rows) panel_tile(rows, k, x + i * k, w, ahead, start, to, stride)
        if (rows == TILE_ROWS)
            TILE(TILE_ROWS);
        else if (rows == 4)
            TILE(4);
        else if (rows == 2)
            TILE(2);
        else
            TILE(1);
#undef TILE
        for (int64_t r = 0; r < rows && to == buffer; r++)
            memcpy(y + (i + r) * m + first, buffer + r * PANEL, (size_t)width * sizeof *y);
    }
}

/* TOGETHER whole panels of y for one row. */
static void panels_row(int64_t k, const float *x, const float *w, const float *bias, float *y)
{
    vec total[TOGETHER][2];
    for (int p = 0; p < TOGETHER; p++)
        for (int j = 0; j < 2; j++)
            total[p][j] = bias ? load(bias + p * PANEL + j * LANES) : splat(0);
    for (int64_t l = 0; l < k; l++)
        for (int p = 0; p < TOGETHER; p++)
            for (int j = 0; j < 2; j++)
                total[p][j] += x[l] * load(w + (p * k + l) * PANEL + j * LANES);
    for (int p = 0; p < TOGETHER; p++)
        for (int j = 0; j < 2; j++)
            store(y + p * PANEL + j * LANES, total[p][j]);
}

static void product_row(Backend *b, int64_t m, int64_t k, const float *x, const float *packed, const float *bias,
                        float *y)
{
    int64_t together = m / (TOGETHER * PANEL), single = together * TOGETHER, panels = (m + PANEL - 1) / PANEL;
    PARALLEL_FOR(m * k)
    for (int64_t task = 0; task < together + panels - single; task++) {
        int64_t first = task * TOGETHER * PANEL;
        if (task < together)
            panels_row(k, x, packed + first * k, bias ? bias + first : NULL, y + first);
        else
            panel_product(1, m, k, single + task - together, x, packed, bias, y);
    }
}

static void product_rows(Backend *b, int64_t n, int64_t m, int64_t k, const Real *x, const void *packed,
                         const Real *bias, Real *y)
{
    int64_t panels = (m + PANEL - 1) / PANEL, blocks = (n + BLOCK - 1) / BLOCK;
    if (n == 1) {
        product_row(b, m, k, (const float *)x, packed, (const float *)bias, (float *)y);
        return;
    }
    PARALLEL_FOR(n * m * k)
    for (int64_t task = 0; task < blocks * panels; task++) {
        int64_t first = task / panels * BLOCK, rows = n - first < BLOCK ? n - first : BLOCK;
        panel_product(rows, m, k, task % panels, (const float *)x + first * k, packed, (const float *)bias,
                      (float *)y + first * m);
    }
}

void VARIANT_NAME(simd_product)(Kernels *table)
{
    table->packed_bytes = packed_bytes;
    table->pack = pack;
    table->product_rows = product_rows;
}
