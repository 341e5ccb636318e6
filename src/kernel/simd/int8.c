/* Products whose rows do not depend on their neighbours, on bytes: y [N x M] = x [N x K] w^T + bias, w as kernel/int8.h has it.
 *
 * x is rounded into the workspace, BATCH rows at a time. A panel of w, so many tiles of 16 rows side by side that their sums
 * fill the registers, meets all of them; with the tile unit of AMX, 16 rows of x at once. The file is compiled without
 * contraction of products and sums: together with the whole numbers between, the bits are the same on every instruction set. */
#include <math.h>

#include "kernel/simd/array.h"
#include "kernel/simd/quad.h"
#ifdef INT8_TILES
#include "kernel/simd/tile_unit.h"
#endif

#define BATCH 256 /* rows of x that are in cache while all panels pass by */
#if LANES == 16 || defined(INT8_TILES)
#define TILES 4 /* of a panel */
#else
#define TILES 1
#endif
#define PANEL (TILES * INT8_ROWS)
#define VECTORS (PANEL / LANES)
#define ROWS (LANES == 4 ? 2 : 4) /* of x at a time */

/* A row of x over its scale, rounded. */
typedef struct Rounded {
    float scale;
    uint32_t excess; /* what the 128 in each byte of w adds to a product with the row */
} Rounded;

typedef struct Batch {
    int64_t rows, stride; /* numbers from row to row, a multiple of 16 */
    Rounded *row;
    Quantized *numbers;
} Batch;

/* The batch in the workspace: rows first, as many as there can be. */
static Batch batch_lay(Backend *b, int64_t k)
{
    Rounded *row = b->workspace;
    return (Batch){.stride = (k + 15) / 16 * 16, .row = row, .numbers = (Quantized *)(row + BATCH)};
}

static size_t product_rows_int8_workspace(Backend *b, int64_t n, int64_t k)
{
    Batch x = batch_lay(b, k);
    return BATCH * sizeof *x.row + (size_t)((n < BATCH ? n : BATCH) * x.stride) * sizeof *x.numbers;
}

/* -- rounding x -- */

typedef Quantized quantized_vec __attribute__((vector_size(LANES * sizeof(Quantized))));

/* The largest magnitude by its bits, which stand in the order of the numbers, infinity and NaN above all. */
static float row_magnitude(int64_t k, const float *x)
{
    ivec most = {0};
    for (int64_t i = 0; i < k; i += LANES) {
        ivec bits = (ivec)array_load(array_of((const Real *)x), i, lanes_left(k - i)) & 0x7fffffff, above = bits > most;
        most = (bits & above) | (most & ~above);
    }
    int32_t top = 0;
    for (int i = 0; i < LANES; i++)
        top = most[i] > top ? most[i] : top;
    float magnitude;
    memcpy(&magnitude, &top, sizeof magnitude);
    return magnitude;
}

static Rounded round_row(int64_t k, const float *x, Quantized *to)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    float most = row_magnitude(k, x);
    bool counts = most >= INT8_LEAST && most < INFINITY;
    float factor = counts ? 127 / most : 0;
    ivec sum = {0};
    for (int64_t i = 0; i < k; i += LANES) {
        vec scaled = array_load(array_of((const Real *)x), i, lanes_left(k - i)) * factor;
        ivec whole = (ivec)(scaled + magic) - (ivec)splat(magic);
        if (!counts)
            whole = (ivec){0};
        sum += whole;
        whole = SHUFFLE(whole, whole, EVERY_LANE(QUAD_LANE, 0));
        quantized_vec narrow = __builtin_convertvector(whole, quantized_vec);
        memcpy(to + i, &narrow, sizeof narrow);
    }
    uint32_t total = 0;
    for (int i = 0; i < LANES; i++)
        total += (uint32_t)sum[i];
    return (Rounded){.scale = most < INFINITY ? most / 127 : NAN, .excess = INT8_ZERO * total};
}

/* -- sums: total [rows x PANEL] of the products of rows of x with the first `tiles` tiles of a panel -- */

/* `rows` rows and `vectors` vectors of columns (constants): the sums stay in registers. */
INLINE void sum_rows(int rows, int vectors, int64_t quads, const Quantized *x, int64_t x_row, const uint8_t *w,
                     uint32_t *total)
{
    uvec sum[ROWS][VECTORS];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++)
            sum[i][v] = (uvec){0};
    for (int64_t quad = 0; quad < quads; quad++)
        for (int v = 0; v < vectors; v++) {
            int tile = v * LANES / INT8_ROWS, lane = v * LANES % INT8_ROWS;
            uvec right = load_bytes(w + ((tile * quads + quad) * INT8_ROWS + lane) * INT8_COLUMNS);
            for (int i = 0; i < rows; i++)
                sum[i][v] = quad_dot(sum[i][v], right, x + i * x_row + quad * INT8_COLUMNS);
        }
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++)
            memcpy(total + i * PANEL + v * LANES, &sum[i][v], sizeof sum[i][v]);
}

INLINE void sum_few(int vectors, int64_t n, int64_t quads, const Quantized *x, int64_t x_row, const uint8_t *w,
                    uint32_t *total)
{
    for (; n >= ROWS; n -= ROWS, x += ROWS * x_row, total += ROWS * PANEL)
        sum_rows(ROWS, vectors, quads, x, x_row, w, total);
    if (ROWS > 2 && n >= 2) {
        sum_rows(2, vectors, quads, x, x_row, w, total);
        n -= 2, x += 2 * x_row, total += 2 * PANEL;
    }
    if (n >= 1)
        sum_rows(1, vectors, quads, x, x_row, w, total);
}

#define ROWS_MOST 16 /* of x whose sums are on the stack: those of a register of the tile unit */

/* A panel at the end of w may have fewer tiles. */
static void sum_panel(int tiles, int64_t n, int64_t quads, const Quantized *x, int64_t x_row, const uint8_t *w,
                      uint32_t *total)
{
    if (tiles == TILES) {
        sum_few(VECTORS, n, quads, x, x_row, w, total);
        return;
    }
    for (int tile = 0; tile < tiles; tile++)
        sum_few(INT8_ROWS / LANES, n, quads, x, x_row, w + tile * quads * INT8_ROWS * INT8_COLUMNS,
                total + tile * INT8_ROWS);
}

#ifdef INT8_TILES

#define TILE_QUADS (TILE_ROW_BYTES / INT8_COLUMNS)

/* Registers 0 and 1 hold sums; 2 a tile of x, 3 and 4 two of w; 5 to 7 the same of the last, which may be narrower. */
static void tiles_begin(int64_t quads)
{
    int64_t last = (quads - 1) % TILE_QUADS + 1;
    TileShapes shapes = {.palette = 1};
    for (int i = 0; i < TILE_REGISTERS; i++) {
        shapes.row_bytes[i] = i == 5 ? (uint16_t)(last * INT8_COLUMNS) : TILE_ROW_BYTES;
        shapes.rows[i] = i > 5 ? (uint8_t)last : TILE_ROWS_MOST;
    }
    tile_configure(&shapes);
}

static void tiles_end(void)
{
    tile_release();
}

/* 16 rows of x and `columns` tiles of w side by side, 1 or 2. */
INLINE void sum_tile_columns(int columns, int64_t quads, const Quantized *x, int64_t x_row, const uint8_t *w,
                             uint32_t *total)
{
    int64_t whole = (quads - 1) / TILE_QUADS;
    const uint8_t *next = w + quads * TILE_ROW_BYTES;
    tile_zero(0);
    if (columns > 1)
        tile_zero(1);
    for (int64_t i = 0; i < whole; i++) {
        tile_load(2, x + i * TILE_ROW_BYTES, x_row);
        tile_load(3, w + i * TILE_QUADS * TILE_ROW_BYTES, TILE_ROW_BYTES);
        tile_dot_bytes(0, 2, 3);
        if (columns > 1) {
            tile_load(4, next + i * TILE_QUADS * TILE_ROW_BYTES, TILE_ROW_BYTES);
            tile_dot_bytes(1, 2, 4);
        }
    }
    tile_load(5, x + whole * TILE_ROW_BYTES, x_row);
    tile_load(6, w + whole * TILE_QUADS * TILE_ROW_BYTES, TILE_ROW_BYTES);
    tile_dot_bytes(0, 5, 6);
    tile_store(0, total, (int64_t)(PANEL * sizeof *total));
    if (columns > 1) {
        tile_load(7, next + whole * TILE_QUADS * TILE_ROW_BYTES, TILE_ROW_BYTES);
        tile_dot_bytes(1, 5, 7);
        tile_store(1, total + INT8_ROWS, (int64_t)(PANEL * sizeof *total));
    }
}

static void sum_tiles(int tiles, int64_t quads, const Quantized *x, int64_t x_row, const uint8_t *w, uint32_t *total)
{
    int tile = 0;
    for (; tile + 2 <= tiles; tile += 2)
        sum_tile_columns(2, quads, x, x_row, w + tile * quads * TILE_ROW_BYTES, total + tile * INT8_ROWS);
    if (tile < tiles)
        sum_tile_columns(1, quads, x, x_row, w + tile * quads * TILE_ROW_BYTES, total + tile * INT8_ROWS);
}

#else

static void tiles_begin(int64_t quads)
{
    (void)quads;
}

static void tiles_end(void)
{
}

#endif

/* -- products -- */

static void finish_row(Rounded x, const uint32_t *total, int64_t n, const float *scale, const float *bias, float *y)
{
    for (int64_t j = 0; j < n; j += LANES) {
        uvec sum;
        memcpy(&sum, total + j, sizeof sum);
        vec whole = __builtin_convertvector((ivec)(sum - x.excess), vec);
        int64_t lanes = lanes_left(n - j);
        vec start = bias ? array_load(array_of((const Real *)bias), j, lanes) : splat(0);
        array_store(array_of((const Real *)y), j, lanes, whole * x.scale * load(scale + j) + start);
    }
}

static void panel_product(const Batch *x, const Int8Matrix *w, int64_t panel, const float *bias, float *y)
{
    uint32_t total[ROWS_MOST * PANEL];
    int64_t first = panel * PANEL, width = w->rows - first < PANEL ? w->rows - first : PANEL;
    int64_t quads = int8_quads(w->columns);
    int tiles = (int)(int8_scales(width) / INT8_ROWS);
    const uint8_t *packed = w->packed + first * quads * INT8_COLUMNS;
    for (int64_t i = 0; i < x->rows; i += ROWS_MOST) {
        int64_t rows = x->rows - i < ROWS_MOST ? x->rows - i : ROWS_MOST;
        const Quantized *numbers = x->numbers + i * x->stride;
#ifdef INT8_TILES
        if (rows == ROWS_MOST)
            sum_tiles(tiles, quads, numbers, x->stride, packed, total);
        else
#endif
            sum_panel(tiles, rows, quads, numbers, x->stride, packed, total);
        for (int64_t r = 0; r < rows; r++)
            finish_row(x->row[i + r], total + r * PANEL, width, w->scale + first, bias ? bias + first : NULL,
                       y + (i + r) * w->rows + first);
    }
}

static void product_rows_int8(Backend *b, int64_t n, const Int8Matrix *w, const Real *X, const Real *bias, Real *Y)
{
    int64_t k = w->columns;
    Batch x = batch_lay(b, k);
    for (int64_t i = 0; i < n; i += BATCH) {
        x.rows = n - i < BATCH ? n - i : BATCH;
        PARALLEL_FOR(x.rows * k) /* few rows are rounded here and now: to wait for threads would take longer */
        for (int64_t r = 0; r < x.rows; r++)
            x.row[r] = round_row(k, (const float *)X + (i + r) * k, x.numbers + r * x.stride);
        PRAGMA(omp parallel num_threads(b->threads) if (x.rows * w->rows * k / INT8_COLUMNS / LANES > WORTH_THREADS))
        {
            tiles_begin(int8_quads(k));
            PRAGMA(omp for schedule(static) nowait)
            for (int64_t panel = 0; panel < (w->rows + PANEL - 1) / PANEL; panel++)
                panel_product(&x, w, panel, (const float *)bias, (float *)Y + i * w->rows);
            tiles_end();
        }
    }
}

static void gather_int8(Backend *b, int64_t n, int64_t bag, const int32_t *ids, const Real *WEIGHT,
                        const Int8Matrix *table, Real *Y)
{
    int64_t d = table->columns;
    PARALLEL_FOR(n * bag * d)
    for (int64_t i = 0; i < n; i++) {
        float *y = (float *)Y + i * d;
        memset(y, 0, (size_t)d * sizeof *y);
        for (int64_t k = i * bag; k < (i + 1) * bag; k++) {
            float factor = WEIGHT ? ((const float *)WEIGHT)[k] : 1;
            for (int64_t j = 0; ids[k] >= 0 && j < d; j++)
                y[j] += factor * int8_weight(table, ids[k], j);
        }
    }
}

void VARIANT_NAME(simd_int8)(Kernels *table)
{
    table->product_rows_int8 = product_rows_int8;
    table->product_rows_int8_workspace = product_rows_int8_workspace;
    table->gather_int8 = gather_int8;
}
