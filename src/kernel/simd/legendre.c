/* The Legendre memory and implicit self-attention, vectors along channels.
 *
 * First a scan gives the state at the start of every chunk of C steps, sequential over chunks and parallel over rows and tiles of
 * channels: it jumps a whole chunk with the last rows of the chunk matrix W, M_C = W_last [M_0; x]. After that all chunks, of
 * one long row or of many, are independent tasks. Inside a chunk the states follow by the recurrence: with vectors along
 * channels its q^2 + q multiply-adds a step are fewer than a product with W needs, and nothing waits on anything but the step
 * before. No array has more than a chunk's M. The scan of a row of one step is that step, and what it finds is not computed again.
 *
 * The backward pass computes a chunk's states again, and the adjoint states G_t = dM_t + Abar^T G_{t+1} as if nothing came after
 * the chunk. What does come after enters linearly: a last scan carries it from chunk to chunk, backwards,
 *     dx_s += W_last[:, Q+s]^T G_end,     G_0 += W_last[:, :Q]^T G_end.
 *
 * A head of attention sees E = D/H channels, as if there were no others: every chunk is a task once for each head. Its channels are
 * padded to whole vectors in the scratch memory (Ep), with zeros. */
#include <math.h>

#include "kernel/simd/activation.h"
#include "kernel/simd/attend.h"
#include "kernel/simd/chunk.h"

#define GROUP 4 /* steps whose dz is kept until it enters the gradient of L: few, so that it stays in cache */

/* -- scans -- */

/* A row of one step: the state behind it, which is its boundary too. */
static void scan_step(const LegendreShape *s, const Rows *rows, int row, int64_t channel, const float *w,
                      const float *x, float *state, float *boundary, float *scratch)
{
    int64_t q = s->order, d = s->channels, n = d - channel < SCAN_CHANNELS ? d - channel : SCAN_CHANNELS,
            np = padded(n), from_row = np, to_row = np;
    float *before = scratch, *behind = before + (q + 1) * SCAN_CHANNELS, *x_row = before + q * np;
    float *kept = state ? state + rows->slot[row] * q * d + channel : NULL;
    float *out = boundary + rows->chunk[row] * q * d + channel;
    if (kept && n == np)
        before = kept, behind = out, from_row = to_row = d;
    else if (kept)
        copy_rows(q, n, kept, d, before, np, np);
    else
        memset(before, 0, (size_t)(q * np) * sizeof *before);
    copy_rows(1, n, x + rows->offset[row] * d + channel, d, x_row, np, np);
    system_product(s, channel, q, np, 1, (TileOperand){w + q, q + CHUNK, 1}, x_row, np, behind, to_row, false);
    system_product(s, channel, q, np, q, (TileOperand){w, q + CHUNK, 1}, before, from_row, behind, to_row, true);
    if (behind != out)
        copy_rows(q, n, behind, np, out, d, 0);
    if (kept)
        copy_rows(q, n, out, d, kept, d, 0);
}

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
    PARALLEL_FOR(scan_work(s, rows))
    for (int64_t task = 0; task < rows->count * tiles; task++) {
        int row = (int)(task / tiles);
        int64_t channel = task % tiles * SCAN_CHANNELS;
        float *scratch = (float *)b->workspace + omp_get_thread_num() * scan_scratch(s);
        if (row_is_step(rows, row))
            scan_step(s, rows, row, channel, (const float *)W, (const float *)X, (float *)STATE, (float *)BOUNDARY,
                      scratch);
        else
            scan_tile(s, form, rows, row, channel, (const float *)W, (const float *)X, (float *)STATE,
                      (float *)BOUNDARY, scratch);
    }
}

/* -- scratch memory for one chunk and head, all with rows of Ep -- */

typedef struct Scratch {
    int64_t channel, e, ep; /* the head's first channel, E and Ep */
    float *state;           /* [Q], then x [C] */
    float *x;
    float *m;       /* [C x Q] */
    float *f;       /* [3P] f(z) of one step */
    float *slope;   /* [3P] f'(z) of one step, where it is needed */
    float *dz;      /* [GROUP x 3P] */
    float *dm;      /* [C x Q], then adjoint states */
    float *dy;      /* [1] */
    float *score;   /* see attend.h */
    float *product; /* [P x Pp], likewise */
    float *partial; /* gradients of l [3P x Q], bias [3P], p [P], scale [1] of this thread and head */
} Scratch;

static int64_t partial_numbers(const LegendreShape *s, int64_t p)
{
    return round16(3 * p * s->order + 4 * p + 1);
}

static int64_t scratch_numbers(const LegendreShape *s, int64_t heads, int64_t p)
{
    int64_t q = s->order, rows = q + CHUNK + 2 * CHUNK * q + 6 * p + GROUP * 3 * p + 1;
    int64_t numbers =
        rows * padded(s->channels / heads) + attend_numbers(p) + heads * partial_numbers(s, p) + p * padded(p);
    return round16(numbers > scan_scratch(s) ? numbers : scan_scratch(s));
}

static Scratch scratch_lay(Backend *b, const LegendreShape *s, int64_t heads, int64_t p, int64_t thread, int64_t head)
{
    int64_t q = s->order, e = s->channels / heads, ep = padded(e);
    Scratch o = {.channel = head * e, .e = e, .ep = ep};
    o.state = (float *)b->workspace + thread * scratch_numbers(s, heads, p);
    o.x = o.state + q * ep;
    o.m = o.x + CHUNK * ep;
    o.dm = o.m + CHUNK * q * ep;
    o.f = o.dm + CHUNK * q * ep;
    o.slope = o.f + 3 * p * ep;
    o.dz = o.slope + 3 * p * ep;
    o.dy = o.dz + GROUP * 3 * p * ep;
    o.score = o.dy + ep;
    o.partial = o.score + attend_numbers(p) + head * partial_numbers(s, p);
    o.product = o.score + attend_numbers(p) + heads * partial_numbers(s, p);
    return o;
}

static size_t legendre_workspace(Backend *b, const LegendreShape *s, int64_t heads, int64_t p)
{
    return (size_t)(b->threads * scratch_numbers(s, heads, p)) * sizeof(float);
}

/* o->m [c x Q x Ep] of a chunk from its boundary and x, by the recurrence or by the chunk matrix. */
static void chunk_memory(const LegendreShape *s, LegendreForm form, const Chunk *chunk, const float *w, const float *x,
                         const float *boundary, Scratch *o)
{
    int64_t q = s->order, d = s->channels, c = o->channel, ep = o->ep, width = q + CHUNK;
    copy_rows(q, o->e, boundary + chunk->index * q * d + c, d, chunk->alone ? o->m : o->state, ep, ep);
    if (chunk->alone)
        return;
    copy_rows(chunk->count, o->e, x + chunk->first * d + c, d, o->x, ep, ep);
    if (form == LEGENDRE_CHUNKED) {
        system_product(s, c, chunk->count * q, ep, q + chunk->count, (TileOperand){w, width, 1}, o->state, ep, o->m, ep,
                       false);
        return;
    }
    for (int64_t t = 0; t < chunk->count; t++) {
        float *next = o->m + t * q * ep;
        system_product(s, c, q, ep, q, (TileOperand){w, width, 1}, t ? next - q * ep : o->state, ep, next, ep, false);
        system_product(s, c, q, ep, 1, (TileOperand){w + q, width, 1}, o->x + t * ep, ep, next, ep, true);
    }
}

/* From dm [c x Q x Ep]: the adjoint states in its place, dx of the chunk, and the chunk's own G_0 into its boundary. */
static void chunk_adjoint(const LegendreShape *s, const Chunk *chunk, const float *w, float *boundary, float *dx,
                          bool add, Scratch *o)
{
    int64_t q = s->order, d = s->channels, c = o->channel, ep = o->ep, width = q + CHUNK;
    TileOperand transposed = {w, 1, width}, input = {w + q, 0, width};
    for (int64_t t = chunk->count - 1; t >= 0; t--) {
        float *g = o->dm + t * q * ep;
        if (t + 1 < chunk->count)
            system_product(s, c, q, ep, q, transposed, g + q * ep, ep, g, ep, true);
        if (dx) {
            float *to = dx + (chunk->first + t) * d + c;
            system_product(s, c, 1, ep, q, input, g, ep, o->x, ep, false);
            if (add)
                for (int64_t j = 0; j < o->e; j++)
                    to[j] += o->x[j];
            else
                memcpy(to, o->x, (size_t)o->e * sizeof *to);
        }
    }
    system_product(s, c, q, ep, q, transposed, o->dm, ep, o->state, ep, false);
    copy_rows(q, o->e, o->state, ep, boundary + chunk->index * q * d + c, d, 0);
}

/* Runs `body` for every chunk of every head: each thread takes a contiguous share, in order, with scratch memory of its own. */
#define FOR_CHUNKS(heads, p, body)                                                                                     \
    PRAGMA(omp parallel num_threads(b->threads) if (chunk_work(s, p, rows) > WORTH_THREADS))                           \
    {                                                                                                                  \
        int64_t total = rows->chunk[rows->count], thread = omp_get_thread_num(), team = omp_get_num_threads();         \
        int64_t tasks = total * (heads);                                                                               \
        int row = 0;                                                                                                   \
        for (int64_t task = tasks * thread / team; task < tasks * (thread + 1) / team; task++) {                       \
            int64_t head = task / total;                                                                               \
            Scratch o = scratch_lay(b, s, heads, p, thread, head);                                                     \
            Chunk chunk = chunk_at(rows, task % total, task % total ? row : 0);                                        \
            row = chunk.row;                                                                                           \
            body                                                                                                       \
        }                                                                                                              \
    }

static void legendre_memory(Backend *b, const LegendreShape *s, LegendreForm form, const Rows *rows, const Real *W,
                            const Real *X, const Real *BOUNDARY, Real *M)
{
    int64_t size = s->order * s->channels;
    FOR_CHUNKS(1, 0, {
        chunk_memory(s, form, &chunk, (const float *)W, (const float *)X, (const float *)BOUNDARY, &o);
        copy_rows(chunk.count * s->order, s->channels, o.m, o.ep, (float *)M + chunk.first * size, s->channels, 0);
    })
}

static void legendre_memory_back(Backend *b, const LegendreShape *s, LegendreForm form, const Rows *rows, const Real *W,
                                 const Real *DM, Real *BOUNDARY, Real *DX, bool add)
{
    (void)form; /* the adjoint of the recurrence is the adjoint of both */
    int64_t size = s->order * s->channels;
    FOR_CHUNKS(1, 0, {
        copy_rows(chunk.count * s->order, s->channels, (const float *)DM + chunk.first * size, s->channels, o.dm, o.ep,
                  o.ep);
        chunk_adjoint(s, &chunk, (const float *)W, (float *)BOUNDARY, (float *)DX, add, &o);
    })
    adjoint_scan(b, s, rows, (const float *)W, (const float *)BOUNDARY, (float *)DX);
}

/* -- implicit attention: parameters `a` are one head's -- */

/* Whether the slope f' is kept for the backward pass: it is 1, or can be told from f, where not. */
INLINE bool keeps_slope(Activation kind)
{
    return kind != ACTIVATION_NONE && kind != ACTIVATION_RELU;
}

/* f and, if asked, its slope, on n numbers: from z in f's place. */
INLINE void activate_step(Activation kind, int64_t n, float *f, float *slope)
{
    for (int64_t i = 0; i < n && kind != ACTIVATION_NONE; i += LANES) {
        vec x = load(f + i), down;
        if (slope && keeps_slope(kind)) {
            store(f + i, value_and_slope_vec(kind, false, x, &down));
            store(slope + i, down);
        } else {
            store(f + i, value_vec(kind, false, x));
        }
    }
}

/* o->f = f(L m + bias) [3P x Ep], and o->slope if asked; padding is 0 in both. */
static void step_project(const LegendreShape *s, const AttentionParameters *a, const float *m, bool slope, Scratch *o)
{
    int64_t q = s->order, e = o->e, ep = o->ep, rows = 3 * a->reduced;
    const float *bias = (const float *)a->bias;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < ep; j += LANES)
            store(o->f + i * ep + j, splat(bias[i]));
    tile_product(rows, ep, q, (TileOperand){(const float *)a->l, q, 1}, m, ep, o->f, ep, true);
#define ACTIVATE(kind)                                                                                                 \
    if (slope)                                                                                                         \
        activate_step(kind, rows *ep, o->f, o->slope);                                                                 \
    else                                                                                                               \
        activate_step(kind, rows *ep, o->f, NULL)
    BY_ACTIVATION(a->activation, ACTIVATE)
#undef ACTIVATE
    for (int64_t i = 0; e < ep && i < rows; i++) {
        memset(o->f + i * ep + e, 0, (size_t)(ep - e) * sizeof(float));
        if (slope)
            memset(o->slope + i * ep + e, 0, (size_t)(ep - e) * sizeof(float));
    }
}

/* o->score = softmax(scale Q K^T / sqrt(E)); returns weight [P] = p softmax. */
static const float *step_attend(const AttentionParameters *a, Scratch *o)
{
    int64_t p = a->reduced, pp = padded(p), ep = o->ep;
    memset(o->score, 0, (size_t)(p * pp) * sizeof(float));
    dot_product(p, p, 1, ep, (DotOperand){o->f + p * ep, ep, 0}, (DotOperand){o->f, ep, 0}, o->score, pp);
    if (a->scale)
        attend_scale(p, *(const float *)a->scale, o->score, o->product);
    attend(p, o->e, o->score);
    return attend_weight(p, o->score);
}

/* y of a chunk from its states m [c x Q x Ep] */
static void chunk_attend(const LegendreShape *s, const AttentionParameters *a, const Chunk *chunk, const float *m,
                         float *y, Scratch *o)
{
    int64_t q = s->order, ep = o->ep, p = a->reduced;
    for (int64_t t = 0; t < chunk->count; t++) {
        step_project(s, a, m + t * q * ep, false, o);
        const float *weight = step_attend(a, o);
        tile_product(1, ep, p, (TileOperand){weight, 0, 1}, o->f + 2 * p * ep, ep, o->dy, ep, false);
        memcpy(y + (chunk->first + t) * s->channels + o->channel, o->dy, (size_t)o->e * sizeof(float));
    }
}

static void implicit_attention(Backend *b, const LegendreShape *s, const AttentionParameters *a, const Rows *rows,
                               const Real *W, const Real *X, const Real *BOUNDARY, Array Y)
{
    FOR_CHUNKS(a->heads, a->reduced, {
        AttentionParameters own = head_parameters(a, s->order, head);
        attend_pooling(own.reduced, (const float *)own.p, o.score);
        const float *m = o.m;
        const float *boundary = (const float *)BOUNDARY;
        if (chunk.alone && o.e == s->channels && o.e == o.ep) /* the scan has left them as they should lie */
            m = boundary + chunk.index * s->order * s->channels;
        else
            chunk_memory(s, LEGENDRE_RECURRENT, &chunk, (const float *)W, (const float *)X, boundary, &o);
        chunk_attend(s, &own, &chunk, m, (float *)Y.data, &o);
    })
}

/* o->m of a chunk from all states. */
static void chunk_states(const LegendreShape *s, const Chunk *chunk, const float *m, Scratch *o)
{
    int64_t q = s->order, d = s->channels;
    copy_rows(chunk->count * q, o->e, m + chunk->first * q * d + o->channel, d, o->m, o->ep, o->ep);
}

static void implicit_states(Backend *b, const LegendreShape *s, const AttentionParameters *a, const Rows *rows,
                            const Real *M, Real *Y)
{
    FOR_CHUNKS(a->heads, a->reduced, {
        AttentionParameters own = head_parameters(a, s->order, head);
        attend_pooling(own.reduced, (const float *)own.p, o.score);
        chunk_states(s, &chunk, (const float *)M, &o);
        chunk_attend(s, &own, &chunk, o.m, (float *)Y, &o);
    })
}

/* dz of n numbers, from df in its place. */
static void slope_step(Activation kind, int64_t n, const float *f, const float *slope, float *dz)
{
    if (kind == ACTIVATION_NONE)
        return;
    if (kind == ACTIVATION_RELU)
        for (int64_t i = 0; i < n; i += LANES)
            store(dz + i, select_vec(load(f + i) > 0, load(dz + i), splat(0)));
    else
        for (int64_t i = 0; i < n; i += LANES)
            store(dz + i, load(dz + i) * load(slope + i));
}

/* dz [3P x Ep] of one step, and the thread's gradients of p and scale. */
static void step_back(const AttentionParameters *a, const float *weight, float *dz, float *dpooling, Scratch *o)
{
    int64_t p = a->reduced, pp = padded(p), ep = o->ep;
    float *dweight = attend_dweight(p, o->score), *dscore = attend_dscore(p, o->score);
    const float *query = o->f, *key = query + p * ep, *value = key + p * ep;
    memset(dweight, 0, (size_t)pp * sizeof(float));
    dot_product(1, p, 1, ep, (DotOperand){o->dy, 0, 0}, (DotOperand){value, ep, 0}, dweight, p);
    attend_back(p, o->e, o->score, dpooling);
    if (a->scale)
        dpooling[p] += attend_scale_back(p, *(const float *)a->scale, o->score, o->product);
    tile_product(p, ep, p, (TileOperand){dscore, 1, pp}, key, ep, dz, ep, false);
    tile_product(p, ep, p, (TileOperand){dscore, pp, 1}, query, ep, dz + p * ep, ep, false);
    for (int64_t j = 0; j < p; j++)
        for (int64_t c = 0; c < ep; c += LANES)
            store(dz + (2 * p + j) * ep + c, weight[j] * load(o->dy + c));
    slope_step(a->activation, 3 * p * ep, o->f, o->slope, dz);
}

/* The thread's gradients of l and bias from the dz of `count` steps, the first of them step `first` of the chunk, and dm = L^T dz. */
static void group_project_back(const LegendreShape *s, const AttentionParameters *a, int64_t first, int64_t count,
                               Scratch *o)
{
    int64_t q = s->order, ep = o->ep, rows = 3 * a->reduced;
    float *dl = o->partial, *dbias = dl + rows * q;
    DotOperand dz = {o->dz, ep, rows * ep}, m = {o->m + first * q * ep, ep, q * ep};
    dot_product(rows, q, count, ep, dz, m, dl, q);
    for (int64_t i = 0; i < rows; i++) {
        vec total = {0};
        for (int64_t t = 0; t < count; t++)
            for (int64_t c = 0; c < ep; c += LANES)
                total += load(o->dz + (t * rows + i) * ep + c);
        dbias[i] += reduce_sum(total);
    }
    for (int64_t t = 0; t < count; t++)
        tile_product(q, ep, rows, (TileOperand){(const float *)a->l, 1, q}, o->dz + t * rows * ep, ep,
                     o->dm + (first + t) * q * ep, ep, false);
}

static void head_combine(Backend *b, const LegendreShape *s, const AttentionParameters *a, int64_t head,
                         const AttentionGradients *g)
{
    int64_t p = a->reduced, sizes[4] = {3 * p * s->order, 3 * p, p, 1}, offset = 0;
    Real *out[4] = {g->l, g->bias, g->p, g->scale};
    bool add[4] = {g->add_l, g->add_bias, g->add_p, g->add_scale};
    for (int part = 0; part < 4; offset += sizes[part++])
        for (int64_t i = 0; out[part] && i < sizes[part]; i++) {
            float *to = (float *)out[part] + head * sizes[part] + i, total = add[part] ? *to : 0;
            for (int thread = 0; thread < b->threads; thread++)
                total += scratch_lay(b, s, a->heads, p, thread, head).partial[offset + i];
            *to = total;
        }
}

static void gradient_combine(Backend *b, const LegendreShape *s, const AttentionParameters *a,
                             const AttentionGradients *g)
{
    for (int64_t head = 0; head < a->heads; head++)
        head_combine(b, s, a, head, g);
}

/* o->dm and the thread's gradients of a chunk from o->m and dy */
static void chunk_attend_back(const LegendreShape *s, const AttentionParameters *a, const Chunk *chunk, const float *dy,
                              Scratch *o)
{
    int64_t q = s->order, d = s->channels, ep = o->ep, p = a->reduced;
    for (int64_t t = 0; t < chunk->count; t++) {
        step_project(s, a, o->m + t * q * ep, true, o);
        const float *weight = step_attend(a, o);
        copy_rows(1, o->e, dy + (chunk->first + t) * d + o->channel, d, o->dy, ep, ep);
        step_back(a, weight, o->dz + t % GROUP * 3 * p * ep, o->partial + 3 * p * q + 3 * p, o);
        if (t % GROUP == GROUP - 1 || t == chunk->count - 1)
            group_project_back(s, a, t / GROUP * GROUP, t % GROUP + 1, o);
    }
}

static void gradient_begin(Backend *b, const LegendreShape *s, const AttentionParameters *a)
{
    for (int thread = 0; thread < b->threads; thread++)
        memset(scratch_lay(b, s, a->heads, a->reduced, thread, 0).partial, 0,
               (size_t)(a->heads * partial_numbers(s, a->reduced)) * sizeof(float));
}

static void implicit_states_back(Backend *b, const LegendreShape *s, const AttentionParameters *a, const Rows *rows,
                                 const Real *M, const Real *DY, Real *DM, bool add, const AttentionGradients *g)
{
    int64_t q = s->order, d = s->channels;
    gradient_begin(b, s, a);
    FOR_CHUNKS(a->heads, a->reduced, {
        AttentionParameters own = head_parameters(a, q, head);
        float *dm = (float *)DM + chunk.first * q * d + o.channel;
        attend_pooling(own.reduced, (const float *)own.p, o.score);
        chunk_states(s, &chunk, (const float *)M, &o);
        chunk_attend_back(s, &own, &chunk, (const float *)DY, &o);
        for (int64_t i = 0; i < chunk.count * q; i++)
            for (int64_t c = 0; c < o.e; c++)
                dm[i * d + c] = add ? dm[i * d + c] + o.dm[i * o.ep + c] : o.dm[i * o.ep + c];
    })
    gradient_combine(b, s, a, g);
}

static void implicit_attention_back(Backend *b, const LegendreShape *s, const AttentionParameters *a, const Rows *rows,
                                    const Real *W, const Real *X, Real *BOUNDARY, Array DY, Real *DX, bool add,
                                    const AttentionGradients *g)
{
    gradient_begin(b, s, a);
    FOR_CHUNKS(a->heads, a->reduced, {
        AttentionParameters own = head_parameters(a, s->order, head);
        attend_pooling(own.reduced, (const float *)own.p, o.score);
        chunk_memory(s, LEGENDRE_RECURRENT, &chunk, (const float *)W, (const float *)X, (const float *)BOUNDARY, &o);
        chunk_attend_back(s, &own, &chunk, (const float *)DY.data, &o);
        chunk_adjoint(s, &chunk, (const float *)W, (float *)BOUNDARY, (float *)DX, add, &o);
    })
    gradient_combine(b, s, a, g);
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
