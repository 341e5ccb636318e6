/* The product of a weight's gradient: c [m x n] (+)= a^T b, summed over k rows of a [k x m] and b [k x n], k being tokens.
 *
 * With AVX2 oneDNN 2.6 reads a column by column and falls to a third of its speed where rows are long, as those of the head are: the
 * lines of a column share a few places of the cache. Here a strip of columns of a is packed row by row, DEPTH rows at a time, and a
 * panel of b beside it, and tiles of c meet both in the first cache. Every number of c is summed over k in order. */
#include "kernel/gemm.h"
#include "kernel/simd/simd.h"
#include "kernel/simd/tile.h"

#if LANES == 8

#define PANEL (2 * LANES)
#define DEPTH 256 /* rows packed at a time */
#define STRIP 128 /* columns of a, whole tiles */
#define TILE                                                                                                           \
    ((DEPTH + 4) * TILE_ROWS) /* numbers from tile to tile: no power of two, or their lines would share places */

typedef struct Strip {
    float a[STRIP / TILE_ROWS * TILE]; /* tiles [depth x TILE_ROWS] */
    float b[DEPTH * PANEL];            /* [depth x PANEL], padded with zeros */
    float c[STRIP * PANEL];            /* where a panel is not whole */
} Strip;

/* `rows` columns of a, beside one another in a's rows: tiles. */
static void strip_pack(int64_t rows, int64_t depth, const float *a, int64_t m, float *packed)
{
    for (int64_t l = 0; l < depth; l++, a += m, packed += TILE_ROWS) {
        float *to = packed;
        int64_t i = 0;
        for (; i + TILE_ROWS <= rows; i += TILE_ROWS, to += TILE)
            memcpy(to, a + i, TILE_ROWS * sizeof *to);
        if (i < rows)
            memcpy(to, a + i, (size_t)(rows - i) * sizeof *to);
    }
}

/* `width` columns of b, beside one another in b's rows. */
static void panel_pack(int64_t width, int64_t depth, const float *b, int64_t n, float *packed)
{
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
            left = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)width), lane),
            right = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)width - LANES), lane);
    for (int64_t l = 0; l < depth; l++, b += n, packed += PANEL) {
        store(packed, (vec)_mm256_maskload_ps(b, left));
        store(packed + LANES, (vec)_mm256_maskload_ps(b + LANES, right));
    }
}

/* `rows` rows and `width` columns of c from what is packed. */
static void panel_tiles(int64_t rows, int64_t width, int64_t depth, const Strip *s, float *c, int64_t stride, bool add)
{
    for (int64_t i = 0; i < rows; i += TILE_ROWS) {
        int64_t count = rows - i < TILE_ROWS ? rows - i : TILE_ROWS;
        TileOperand a = {s->a + i / TILE_ROWS * TILE, 1, TILE_ROWS};
        tile_product(count, width, depth, a, s->b, PANEL, c + i * stride, stride, add);
    }
}

/* `rows` rows of c, from column `first` of a. */
static void strip_product(const Product *p, int64_t first, int64_t rows, const float *a, const float *b, float *c,
                          Strip *s)
{
    memset(s->c, 0, sizeof s->c);
    for (int64_t at = 0; at < p->k; at += DEPTH) {
        int64_t depth = p->k - at < DEPTH ? p->k - at : DEPTH;
        bool add = p->add || at > 0;
        strip_pack(rows, depth, a + at * p->m + first, p->m, s->a);
        for (int64_t j = 0; j < p->n; j += PANEL) {
            int64_t width = p->n - j < PANEL ? p->n - j : PANEL, vectors = (width + LANES - 1) / LANES * LANES;
            float *to = c + first * p->n + j;
            panel_pack(width, depth, b + at * p->n + j, p->n, s->b);
            if (width == vectors) {
                panel_tiles(rows, width, depth, s, to, p->n, add);
                continue;
            }
            for (int64_t i = 0; i < rows && add; i++)
                memcpy(s->c + i * PANEL, to + i * p->n, (size_t)width * sizeof *to);
            panel_tiles(rows, vectors, depth, s, s->c, PANEL, add);
            for (int64_t i = 0; i < rows; i++)
                memcpy(to + i * p->n, s->c + i * PANEL, (size_t)width * sizeof *to);
        }
    }
}

static void product(Backend *b, const Product *p, Array x, Array y, const Real *bias, Array z)
{
    if (!p->transpose_a || p->transpose_b || bias || p->k == 0) {
        gemm_f32(b, p, x, y, bias, z);
        return;
    }
    int64_t share = (p->m + 2 * b->threads - 1) / (2 * b->threads),
            strip = (share + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    strip = strip < STRIP ? strip : STRIP;
    PARALLEL_FOR(p->m * p->n * p->k)
    for (int64_t first = 0; first < p->m; first += strip) {
        Strip s;
        strip_product(p, first, p->m - first < strip ? p->m - first : strip, x.data, y.data, z.data, &s);
    }
}

void VARIANT_NAME(simd_weight_gradient)(Kernels *table)
{
    table->product = product;
}

#else

void VARIANT_NAME(simd_weight_gradient)(Kernels *table)
{
    (void)table;
}

#endif
