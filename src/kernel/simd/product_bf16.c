/* Products whose rows do not depend on their neighbours, on bfloat16: y [N x M] = x [N x K] w^T + bias.
 *
 * w is rounded to bfloat16 and packed as tiles (bf16_tile.h): packed[16 rows of w][block of 32 along K][pair][lane][2], zeros
 * behind K and M. Two columns of tiles make a panel; a row alone is bound by reading them, and two streams are read faster
 * than one. x is rounded into the workspace, BATCH rows at a time, and every number of y
 * is summed in float over the blocks in order. Compiled for the instruction sets that multiply bfloat16, and for the others
 * with the plain form of the tile. */
#include "kernel/simd/simd.h"

#include "kernel/simd/bf16_tile.h"

#define COLUMNS 2 /* tiles in a panel */
#define PANEL (COLUMNS * BF16_TILE)
#define BATCH 256 /* rows of x that are in cache while all panels pass by */

static int64_t round_up(int64_t n, int64_t step)
{
    return (n + step - 1) / step * step;
}

static size_t packed_bytes_bf16(Backend *b, int64_t m, int64_t k)
{
    (void)b;
    return (size_t)(round_up(m, PANEL) * round_up(k, BF16_DEPTH)) * sizeof(uint16_t);
}

static size_t product_rows_bf16_workspace(Backend *b, int64_t n, int64_t k)
{
    (void)b;
    return (size_t)(round_up(n < BATCH ? n : BATCH, BF16_TILE) * round_up(k, BF16_DEPTH)) * sizeof(uint16_t);
}

/* Tile (block, column) of a panel whose first row of w is `first`. */
static void pack_tile(int64_t m, int64_t k, int64_t first, int64_t start, const float *w, uint16_t *to)
{
    for (int64_t l = 0; l < BF16_DEPTH; l++)
        for (int64_t j = 0; j < BF16_TILE; j++) {
            bool inside = first + j < m && start + l < k;
            to[(l / 2 * BF16_TILE + j) * 2 + l % 2] = inside ? bf16_round(w[(first + j) * k + start + l]) : 0;
        }
}

static void pack_bf16(Backend *b, int64_t m, int64_t k, const Real *W, void *packed)
{
    int64_t blocks = round_up(k, BF16_DEPTH) / BF16_DEPTH;
    PARALLEL_FOR(m * k)
    for (int64_t panel = 0; panel < round_up(m, PANEL) / PANEL; panel++)
        for (int64_t block = 0; block < blocks; block++)
            for (int64_t column = 0; column < COLUMNS; column++)
                pack_tile(m, k, panel * PANEL + column * BF16_TILE, block * BF16_DEPTH, (const float *)W,
                          (uint16_t *)packed + ((panel * COLUMNS + column) * blocks + block) * BF16_NUMBERS);
}

static void round_row(int64_t k, const float *x, uint16_t *to)
{
    for (int64_t l = 0; l < k; l++)
        to[l] = bf16_round(x[l]);
    for (int64_t l = k; l < round_up(k, BF16_DEPTH); l++)
        to[l] = 0;
}

/* One panel of y [n x m] for n rows of rounded x, through a buffer. */
static void panel_product(int64_t n, int64_t m, int64_t k, int64_t panel, const uint16_t *x, const uint16_t *packed,
                          const float *bias, float *y)
{
    int64_t kp = round_up(k, BF16_DEPTH), first = panel * PANEL, width = m - first < PANEL ? m - first : PANEL;
    float start[PANEL] = {0}, buffer[BF16_TILE * PANEL] = {0};
    if (bias)
        memcpy(start, bias + first, (size_t)width * sizeof *start);
    for (int64_t i = 0; i < n; i += BF16_TILE) {
        int64_t rows = n - i < BF16_TILE ? n - i : BF16_TILE;
        for (int64_t r = 0; r < rows; r++)
            memcpy(buffer + r * PANEL, start, sizeof start);
        bf16_tile_product((int)rows, COLUMNS, kp / BF16_DEPTH, x + i * kp, kp, packed + first * kp, BF16_TILE * kp,
                          buffer, PANEL);
        for (int64_t r = 0; r < rows; r++)
            memcpy(y + (i + r) * m + first, buffer + r * PANEL, (size_t)width * sizeof *y);
    }
}

static void product_rows_bf16(Backend *b, int64_t n, int64_t m, int64_t k, const Real *X, const void *packed,
                              const Real *bias, Real *Y)
{
    int64_t kp = round_up(k, BF16_DEPTH);
    uint16_t *rounded = b->workspace;
    for (int64_t i = 0; i < n; i += BATCH) {
        int64_t rows = n - i < BATCH ? n - i : BATCH;
        PARALLEL_FOR(rows * k) /* few rows are rounded here and now: to wait for threads would take longer */
        for (int64_t r = 0; r < rows; r++)
            round_row(k, (const float *)X + (i + r) * k, rounded + r * kp);
        PRAGMA(omp parallel num_threads(b->threads) if (rows * m * k / LANES > WORTH_THREADS))
        {
            bf16_tile_begin();
            PRAGMA(omp for schedule(static) nowait)
            for (int64_t panel = 0; panel < round_up(m, PANEL) / PANEL; panel++)
                panel_product(rows, m, k, panel, rounded, packed, (const float *)bias, (float *)Y + i * m);
            bf16_tile_end();
        }
    }
}

void VARIANT_NAME(simd_product_bf16)(Kernels *table)
{
    table->packed_bytes_bf16 = packed_bytes_bf16;
    table->pack_bf16 = pack_bf16;
    table->product_rows_bf16 = product_rows_bf16;
    table->product_rows_bf16_workspace = product_rows_bf16_workspace;
}
