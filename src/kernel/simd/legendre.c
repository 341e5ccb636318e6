/* The Legendre memory and implicit self-attention, vectors along channels.
 *
 * First a scan gives the state at the start of every chunk of C steps, sequential over chunks and parallel over rows and tiles of
 * channels: it jumps a whole chunk with the last rows of the chunk matrix W, M_C = W_last [M_0; x]. After that all chunks, of
 * one long row or of many, are independent tasks. Inside a chunk the states follow by the recurrence: with vectors along
 * channels its q^2 + q multiply-adds a step are fewer than a product with W needs, and nothing waits on anything but the step
 * before. No array has more than a chunk's M.
 *
 * The backward pass computes a chunk's states again, and the adjoint states G_t = dM_t + Abar^T G_{t+1} as if nothing came after
 * the chunk. What does come after enters linearly: a last scan carries it from chunk to chunk, backwards,
 *     dx_s += W_last[:, Q+s]^T G_end,     G_0 += W_last[:, :Q]^T G_end.
 *
 * Channels are padded to whole vectors in the scratch memory (Dp), with zeros. */
#include <math.h>

#include "kernel/simd/attend.h"
#include "kernel/simd/chunk.h"

#define GROUP 4 /* steps whose dz is kept until it enters the gradient of L: few, so that it stays in cache */

/* -- scans -- */

/* One row and tile of channels from `channel` on: the boundaries, and the last state. */
static void scan_tile(const LegendreShape *s, LegendreForm form, const Rows *rows, int row, int64_t channel,
                      const float *w, const float *x, float *state, float *boundary, float *scratch)
{
    int64_t q = s->order, d = s->channels, width = q + CHUNK;
    int64_t n = d - channel < SCAN_CHANNELS ? d - channel : SCAN_CHANNELS, np = padded(n);
    float *current = scratch,
          *next = current + (q + CHUNK) * SCAN_CHANNELS; /* current: [Q + C x np], state then inputs */
    memset(current, 0, (size_t)(q * np) * sizeof *current);
    if (state)
        copy_rows(q, n, state + rows->slot[row] * q * d + channel, d, current, np, np);
    for (int64_t k = rows->chunk[row]; k < rows->chunk[row + 1]; k++) {
        Chunk chunk = chunk_at(rows, k, row);
        float *inputs = current + q * np;
        copy_rows(q, n, current, np, boundary + k * q * d + channel, d, 0);
        copy_rows(chunk.count, n, x + chunk.first * d + channel, d, inputs, np, np);
        if (form == LEGENDRE_CHUNKED) {
            TileOperand last = {w + (chunk.count - 1) * q * width, width, 1};
            system_product(s, channel, q, np, q + chunk.count, last, current, np, next, np, false);
            memcpy(current, next, (size_t)(q * np) * sizeof *current);
        } else {
            for (int64_t t = 0; t < chunk.count; t++) {
                system_product(s, channel, q, np, q, (TileOperand){w, width, 1}, current, np, next, np, false);
                system_product(s, channel, q, np, 1, (TileOperand){w + q, width, 1}, inputs + t * np, np, next, np,
                               true);
                memcpy(current, next, (size_t)(q * np) * sizeof *current);
            }
        }
    }
    if (state)
        copy_rows(q, n, current, np, state + rows->slot[row] * q * d + channel, d, 0);
}

static void legendre_scan(Backend *b, const LegendreShape *s, LegendreForm form, const Rows *rows, const Real *W,
                          const Real *X, Real *STATE, Real *BOUNDARY)
{
    int64_t tiles = (s->channels + SCAN_CHANNELS - 1) / SCAN_CHANNELS;
    PARALLEL_FOR(rows->tokens * s->order * s->channels)
    for (int64_t task = 0; task < rows->count * tiles; task++)
        scan_tile(s, form, rows, (int)(task / tiles), task % tiles * SCAN_CHANNELS, (const float *)W, (const float *)X,
                  (float *)STATE, (float *)BOUNDARY, (float *)b->workspace + omp_get_thread_num() * scan_scratch(s));
}

/* -- one chunk's scratch memory, all with rows of Dp -- */

typedef struct Scratch {
    float *state; /* [Q], then x [C] */
    float *x;
    float *m;       /* [C x Q] */
    float *f;       /* [3P] gelu(z) of one step */
    float *slope;   /* [3P] gelu'(z) of one step */
    float *dz;      /* [GROUP x 3P] */
    float *dm;      /* [C x Q], then adjoint states */
    float *dy;      /* [1] */
    float *score;   /* see attend.h */
    float *partial; /* gradients of l [3P x Q], bias [3P], p [P] of this thread */
} Scratch;

static int64_t partial_numbers(const LegendreShape *s, int64_t p)
{
    return round16(3 * p * s->order + 4 * p);
}

static int64_t scratch_numbers(const LegendreShape *s, int64_t p)
{
    int64_t q = s->order, rows = q + CHUNK + 2 * CHUNK * q + 6 * p + GROUP * 3 * p + 1;
    int64_t numbers = rows * padded(s->channels) + attend_numbers(p) + partial_numbers(s, p);
    return round16(numbers > scan_scratch(s) ? numbers : scan_scratch(s));
}

static Scratch scratch_lay(Backend *b, const LegendreShape *s, int64_t p, int thread)
{
    int64_t q = s->order, dp = padded(s->channels);
    Scratch o;
    o.state = (float *)b->workspace + thread * scratch_numbers(s, p);
    o.x = o.state + q * dp;
    o.m = o.x + CHUNK * dp;
    o.dm = o.m + CHUNK * q * dp;
    o.f = o.dm + CHUNK * q * dp;
    o.slope = o.f + 3 * p * dp;
    o.dz = o.slope + 3 * p * dp;
    o.dy = o.dz + GROUP * 3 * p * dp;
    o.score = o.dy + dp;
    o.partial = o.score + attend_numbers(p);
    return o;
}

static size_t legendre_workspace(Backend *b, const LegendreShape *s, int64_t p)
{
    return (size_t)(b->threads * scratch_numbers(s, p)) * sizeof(float);
}

/* o->m [c x Q x Dp] of a chunk from its boundary and x, by the recurrence or by the chunk matrix. */
static void chunk_memory(const LegendreShape *s, LegendreForm form, const Chunk *chunk, const float *w, const float *x,
                         const float *boundary, Scratch *o)
{
    int64_t q = s->order, d = s->channels, dp = padded(d), width = q + CHUNK;
    copy_rows(q, d, boundary + chunk->index * q * d, d, o->state, dp, dp);
    copy_rows(chunk->count, d, x + chunk->first * d, d, o->x, dp, dp);
    if (form == LEGENDRE_CHUNKED) {
        system_product(s, 0, chunk->count * q, dp, q + chunk->count, (TileOperand){w, width, 1}, o->state, dp, o->m, dp,
                       false);
        return;
    }
    for (int64_t t = 0; t < chunk->count; t++) {
        float *next = o->m + t * q * dp;
        system_product(s, 0, q, dp, q, (TileOperand){w, width, 1}, t ? next - q * dp : o->state, dp, next, dp, false);
        system_product(s, 0, q, dp, 1, (TileOperand){w + q, width, 1}, o->x + t * dp, dp, next, dp, true);
    }
}

/* From dm [c x Q x Dp]: the adjoint states in its place, dx of the chunk, and the chunk's own G_0 into its boundary. */
static void chunk_adjoint(const LegendreShape *s, const Chunk *chunk, const float *w, float *boundary, float *dx,
                          bool add, Scratch *o)
{
    int64_t q = s->order, d = s->channels, dp = padded(d), width = q + CHUNK;
    TileOperand transposed = {w, 1, width}, input = {w + q, 0, width};
    for (int64_t t = chunk->count - 1; t >= 0; t--) {
        float *g = o->dm + t * q * dp;
        if (t + 1 < chunk->count)
            system_product(s, 0, q, dp, q, transposed, g + q * dp, dp, g, dp, true);
        if (dx) {
            float *to = dx + (chunk->first + t) * d;
            system_product(s, 0, 1, dp, q, input, g, dp, o->x, dp, false);
            if (add)
                for (int64_t j = 0; j < d; j++)
                    to[j] += o->x[j];
            else
                memcpy(to, o->x, (size_t)d * sizeof *to);
        }
    }
    system_product(s, 0, q, dp, q, transposed, o->dm, dp, o->state, dp, false);
    copy_rows(q, d, o->state, dp, boundary + chunk->index * q * d, d, 0);
}

/* Runs `body` for every chunk: each thread takes a contiguous share, in order, with scratch memory of its own. */
#define FOR_CHUNKS(p, body)                                                                                            \
    PRAGMA(omp parallel num_threads(b->threads) if (chunk_work(s, p, rows) > WORTH_THREADS))                           \
    {                                                                                                                  \
        int64_t total = rows->chunk[rows->count], thread = omp_get_thread_num(), team = omp_get_num_threads();         \
        Scratch o = scratch_lay(b, s, p, (int)thread);                                                                 \
        int row = 0;                                                                                                   \
        for (int64_t index = total * thread / team; index < total * (thread + 1) / team; index++) {                    \
            Chunk chunk = chunk_at(rows, index, row);                                                                  \
            row = chunk.row;                                                                                           \
            body                                                                                                       \
        }                                                                                                              \
    }

static void legendre_memory(Backend *b, const LegendreShape *s, LegendreForm form, const Rows *rows, const Real *W,
                            const Real *X, const Real *BOUNDARY, Real *M)
{
    int64_t size = s->order * s->channels;
    FOR_CHUNKS(0, {
        chunk_memory(s, form, &chunk, (const float *)W, (const float *)X, (const float *)BOUNDARY, &o);
        copy_rows(chunk.count * s->order, s->channels, o.m, padded(s->channels), (float *)M + chunk.first * size,
                  s->channels, 0);
    })
}

static void legendre_memory_back(Backend *b, const LegendreShape *s, LegendreForm form, const Rows *rows, const Real *W,
                                 const Real *DM, Real *BOUNDARY, Real *DX, bool add)
{
    (void)form; /* the adjoint of the recurrence is the adjoint of both */
    int64_t size = s->order * s->channels;
    FOR_CHUNKS(0, {
        int64_t dp = padded(s->channels);
        copy_rows(chunk.count * s->order, s->channels, (const float *)DM + chunk.first * size, s->channels, o.dm, dp,
                  dp);
        chunk_adjoint(s, &chunk, (const float *)W, (float *)BOUNDARY, (float *)DX, add, &o);
    })
    adjoint_scan(b, s, rows, (const float *)W, (const float *)BOUNDARY, (float *)DX);
}

/* -- implicit attention -- */

/* o->f = gelu(L m + bias) [3P x Dp], and o->slope if asked; padding is 0 in both. */
static void step_project(const LegendreShape *s, const AttentionParameters *a, const float *m, bool slope, Scratch *o)
{
    int64_t q = s->order, d = s->channels, dp = padded(d), rows = 3 * a->reduced;
    const float *bias = (const float *)a->bias;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < dp; j += LANES)
            store(o->f + i * dp + j, splat(bias[i]));
    tile_product(rows, dp, q, (TileOperand){(const float *)a->l, q, 1}, m, dp, o->f, dp, true);
    for (int64_t i = 0; i < rows * dp; i += LANES) {
        vec x = load(o->f + i), distribution, density;
        normal_vec(x, &distribution, &density);
        store(o->f + i, x * distribution);
        if (slope)
            store(o->slope + i, distribution + x * density);
    }
    for (int64_t i = 0; d < dp && i < rows; i++) {
        memset(o->f + i * dp + d, 0, (size_t)(dp - d) * sizeof(float));
        if (slope)
            memset(o->slope + i * dp + d, 0, (size_t)(dp - d) * sizeof(float));
    }
}

/* o->score = softmax(Q K^T / sqrt(D)); returns weight [P] = p softmax. */
static const float *step_attend(const LegendreShape *s, const AttentionParameters *a, Scratch *o)
{
    int64_t p = a->reduced, pp = padded(p), dp = padded(s->channels);
    memset(o->score, 0, (size_t)(p * pp) * sizeof(float));
    dot_product(p, p, 1, dp, (DotOperand){o->f + p * dp, dp, 0}, (DotOperand){o->f, dp, 0}, o->score, pp);
    attend(p, s->channels, o->score);
    return attend_weight(p, o->score);
}

/* y of a chunk from o->m */
static void chunk_attend(const LegendreShape *s, const AttentionParameters *a, const Chunk *chunk, float *y, Scratch *o)
{
    int64_t q = s->order, d = s->channels, dp = padded(d), p = a->reduced;
    for (int64_t t = 0; t < chunk->count; t++) {
        step_project(s, a, o->m + t * q * dp, false, o);
        const float *weight = step_attend(s, a, o);
        tile_product(1, dp, p, (TileOperand){weight, 0, 1}, o->f + 2 * p * dp, dp, o->dy, dp, false);
        memcpy(y + (chunk->first + t) * d, o->dy, (size_t)d * sizeof(float));
    }
}

static void implicit_attention(Backend *b, const LegendreShape *s, const AttentionParameters *a, const Rows *rows,
                               const Real *W, const Real *X, const Real *BOUNDARY, Array Y)
{
    int64_t p = a->reduced;
    FOR_CHUNKS(p, {
        attend_pooling(p, (const float *)a->p, o.score);
        chunk_memory(s, LEGENDRE_RECURRENT, &chunk, (const float *)W, (const float *)X, (const float *)BOUNDARY, &o);
        chunk_attend(s, a, &chunk, (float *)Y.data, &o);
    })
}

/* o->m of a chunk from all states. */
static void chunk_states(const LegendreShape *s, const Chunk *chunk, const float *m, Scratch *o)
{
    int64_t q = s->order, d = s->channels, dp = padded(d);
    copy_rows(chunk->count * q, d, m + chunk->first * q * d, d, o->m, dp, dp);
}

static void implicit_states(Backend *b, const LegendreShape *s, const AttentionParameters *a, const Rows *rows,
                            const Real *M, Real *Y)
{
    FOR_CHUNKS(a->reduced, {
        attend_pooling(a->reduced, (const float *)a->p, o.score);
        chunk_states(s, &chunk, (const float *)M, &o);
        chunk_attend(s, a, &chunk, (float *)Y, &o);
    })
}

/* dz [3P x Dp] of one step, and the thread's gradient of p. */
static void step_back(const LegendreShape *s, const AttentionParameters *a, const float *weight, float *dz,
                      float *dpooling, Scratch *o)
{
    int64_t p = a->reduced, pp = padded(p), dp = padded(s->channels);
    float *dweight = attend_dweight(p, o->score), *dscore = attend_dscore(p, o->score);
    const float *query = o->f, *key = query + p * dp, *value = key + p * dp;
    memset(dweight, 0, (size_t)pp * sizeof(float));
    dot_product(1, p, 1, dp, (DotOperand){o->dy, 0, 0}, (DotOperand){value, dp, 0}, dweight, p);
    attend_back(p, s->channels, o->score, dpooling);
    tile_product(p, dp, p, (TileOperand){dscore, 1, pp}, key, dp, dz, dp, false);
    tile_product(p, dp, p, (TileOperand){dscore, pp, 1}, query, dp, dz + p * dp, dp, false);
    for (int64_t j = 0; j < p; j++)
        for (int64_t c = 0; c < dp; c += LANES)
            store(dz + (2 * p + j) * dp + c, weight[j] * load(o->dy + c));
    for (int64_t i = 0; i < 3 * p * dp; i += LANES)
        store(dz + i, load(dz + i) * load(o->slope + i));
}

/* The thread's gradients of l and bias from the dz of `count` steps, the first of them step `first` of the chunk, and dm = L^T dz. */
static void group_project_back(const LegendreShape *s, const AttentionParameters *a, int64_t first, int64_t count,
                               Scratch *o)
{
    int64_t q = s->order, dp = padded(s->channels), rows = 3 * a->reduced;
    float *dl = o->partial, *dbias = dl + rows * q;
    DotOperand dz = {o->dz, dp, rows * dp}, m = {o->m + first * q * dp, dp, q * dp};
    dot_product(rows, q, count, dp, dz, m, dl, q);
    for (int64_t i = 0; i < rows; i++) {
        vec total = {0};
        for (int64_t t = 0; t < count; t++)
            for (int64_t c = 0; c < dp; c += LANES)
                total += load(o->dz + (t * rows + i) * dp + c);
        dbias[i] += reduce_sum(total);
    }
    for (int64_t t = 0; t < count; t++)
        tile_product(q, dp, rows, (TileOperand){(const float *)a->l, 1, q}, o->dz + t * rows * dp, dp,
                     o->dm + (first + t) * q * dp, dp, false);
}

static void gradient_combine(Backend *b, const LegendreShape *s, int64_t p, const AttentionGradients *g)
{
    int64_t sizes[3] = {3 * p * s->order, 3 * p, p}, offset = 0;
    Real *out[3] = {g->l, g->bias, g->p};
    bool add[3] = {g->add_l, g->add_bias, g->add_p};
    for (int part = 0; part < 3; offset += sizes[part++])
        for (int64_t i = 0; out[part] && i < sizes[part]; i++) {
            float *to = (float *)out[part] + i, total = add[part] ? *to : 0;
            for (int thread = 0; thread < b->threads; thread++)
                total += scratch_lay(b, s, p, thread).partial[offset + i];
            *to = total;
        }
}

/* o->dm and the thread's gradients of a chunk from o->m and dy */
static void chunk_attend_back(const LegendreShape *s, const AttentionParameters *a, const Chunk *chunk, const float *dy,
                              Scratch *o)
{
    int64_t q = s->order, d = s->channels, dp = padded(d), p = a->reduced;
    for (int64_t t = 0; t < chunk->count; t++) {
        step_project(s, a, o->m + t * q * dp, true, o);
        const float *weight = step_attend(s, a, o);
        copy_rows(1, d, dy + (chunk->first + t) * d, d, o->dy, dp, dp);
        step_back(s, a, weight, o->dz + t % GROUP * 3 * p * dp, o->partial + 3 * p * q + 3 * p, o);
        if (t % GROUP == GROUP - 1 || t == chunk->count - 1)
            group_project_back(s, a, t / GROUP * GROUP, t % GROUP + 1, o);
    }
}

static void gradient_begin(Backend *b, const LegendreShape *s, int64_t p)
{
    for (int thread = 0; thread < b->threads; thread++)
        memset(scratch_lay(b, s, p, thread).partial, 0, (size_t)partial_numbers(s, p) * sizeof(float));
}

static void implicit_states_back(Backend *b, const LegendreShape *s, const AttentionParameters *a, const Rows *rows,
                                 const Real *M, const Real *DY, Real *DM, bool add, const AttentionGradients *g)
{
    int64_t q = s->order, d = s->channels, dp = padded(d);
    gradient_begin(b, s, a->reduced);
    FOR_CHUNKS(a->reduced, {
        float *dm = (float *)DM + chunk.first * q * d;
        attend_pooling(a->reduced, (const float *)a->p, o.score);
        chunk_states(s, &chunk, (const float *)M, &o);
        chunk_attend_back(s, a, &chunk, (const float *)DY, &o);
        for (int64_t i = 0; i < chunk.count * q; i++)
            for (int64_t c = 0; c < d; c++)
                dm[i * d + c] = add ? dm[i * d + c] + o.dm[i * dp + c] : o.dm[i * dp + c];
    })
    gradient_combine(b, s, a->reduced, g);
}

static void implicit_attention_back(Backend *b, const LegendreShape *s, const AttentionParameters *a, const Rows *rows,
                                    const Real *W, const Real *X, Real *BOUNDARY, Array DY, Real *DX, bool add,
                                    const AttentionGradients *g)
{
    int64_t p = a->reduced;
    gradient_begin(b, s, p);
    FOR_CHUNKS(p, {
        attend_pooling(p, (const float *)a->p, o.score);
        chunk_memory(s, LEGENDRE_RECURRENT, &chunk, (const float *)W, (const float *)X, (const float *)BOUNDARY, &o);
        chunk_attend_back(s, a, &chunk, (const float *)DY.data, &o);
        chunk_adjoint(s, &chunk, (const float *)W, (float *)BOUNDARY, (float *)DX, add, &o);
    })
    gradient_combine(b, s, p, g);
    if (DX)
        adjoint_scan(b, s, rows, (const float *)W, (const float *)BOUNDARY, (float *)DX);
}

void VARIANT_NAME(simd_legendre)(Kernels *table)
{
    table->legendre_scan = legendre_scan;
    table->legendre_memory = legendre_memory;
    table->legendre_memory_back = legendre_memory_back;
    table->implicit_attention = implicit_attention;
    table->implicit_attention_back = implicit_attention_back;
    table->implicit_states = implicit_states;
    table->implicit_states_back = implicit_states_back;
    table->legendre_workspace = legendre_workspace;
}
