/* Implicit self-attention with products of bfloat16; state, recurrence, scores and sums stay float.
 *
 * As in legendre.c, chunks are independent tasks. A chunk's states are computed first, tile by tile of PAIR_CHANNELS channels, by the
 * float recurrence, and kept rounded: in the layout `pairs` for z = L m + bias, in the layout `rows` for the gradient of L. Then
 * its steps follow one by one. The backward pass takes them from the last to the first, so that the adjoint state
 * G_t = L^T dz_t + Abar^T G_{t+1} goes from step to step and is never stored.
 *
 * A head of attention sees E = D/H channels, as if there were no others: every chunk is a task once for each head. P is padded to an
 * even number Pe, Q to Qe, with zeros; a head's channels to whole tiles (Ep), with zeros. */
#include <math.h>

#include "kernel/simd/activation.h"
#include "kernel/simd/array.h"
#include "kernel/simd/attend.h"
#include "kernel/simd/chunk.h"
#include "kernel/simd/pair_unit.h"

#define GROUP 4          /* steps whose dz is kept until it enters the gradient of L: few, so that it stays in cache */
#define DOT_CHANNELS 256 /* channels of a group that meet at a time, for the same reason */
#define TILE PAIR_CHANNELS /* channels */

/* -- scratch memory for one chunk and head -- */

typedef struct Scratch {
    LegendreShape shape;
    int64_t q, p, d; /* Q, P, D */
    Activation activation;
    PairUnit unit;
    int64_t channel, e;                /* the head's first channel, E */
    int64_t pe, q2, r2, ep, pp;        /* Pe; pairs of Q and of the 3 Pe rows; Ep; Pp of attend.h */
    uint32_t *l, *lt;                  /* L [3Pe x Q2] and its transpose [Q x R2], rounded */
    float *bias;                       /* [3Pe] */
    uint32_t *ones;                    /* [Ep/2] */
    uint32_t *m_pairs;                 /* [C x Q2 x Ep] */
    uint32_t *m_rows;                  /* [C x Q x Ep/2] */
    float *state;                      /* [2 x (Q+1) x TILE] */
    float *z;                          /* [3Pe x TILE]; of a tile: z, then dQ, dK, dV */
    uint32_t *query, *key;             /* rows [Pe x Ep/2] */
    uint32_t *query_pairs, *key_pairs; /* [Pe/2 x Ep] */
    float *value;                      /* [Pe x Ep] */
    float *slope;                      /* [3Pe x Ep] f'(z), but where it is 1 */
    uint32_t *dz_pairs;                /* [R2 x Ep] of one step */
    uint32_t *dz_rows;                 /* [GROUP x 3Pe x Ep/2] */
    float *adjoint, *later;            /* [Q x Ep] G_t, G_{t+1} */
    float *line;                       /* [Ep] y or dy of one step */
    float *score;                      /* see attend.h */
    float *product;                    /* [P x Pp], likewise */
    const float *scale;                /* of scores; NULL: 1 */
    uint32_t *dscore_query;            /* [Pe x Pe/2]: pairs of keys for each query */
    uint32_t *dscore_key;              /* [Pe x Pp/2]: pairs of queries for each key */
    float *gradients;                  /* this thread's, of every head */
    float *dl, *dbias, *dpooling;      /* [3Pe x Q], [3Pe], [P] and scale [1]: those of the head */
} Scratch;

typedef struct Space {
    char *base; /* NULL: only measured */
    int64_t used;
} Space;

static void *cut(Space *space, int64_t bytes)
{
    char *part = space->base ? space->base + space->used : NULL;
    space->used += (bytes + 63) / 64 * 64;
    return part;
}

static int64_t gradient_numbers(int64_t q, int64_t p)
{
    return 3 * (p + p % 2) * (q + 1) + p + 1;
}

/* Lays a thread's scratch out from `base`, which may be NULL to measure it; returns its bytes. */
static int64_t scratch_lay(const LegendreShape *s, int64_t heads, int64_t p, char *base, Scratch *o)
{
    int64_t q = s->order, e = s->channels / heads, pe = p + p % 2, ep = (e + TILE - 1) / TILE * TILE;
    int64_t rows = 3 * pe, more = UNIT_ROWS;
    Space at = {base, 0};
    *o = (Scratch){.shape = *s, .q = q, .p = p, .d = s->channels, .e = e, .pe = pe, .ep = ep};
    o->q2 = (q + 1) / 2;
    o->r2 = rows / 2;
    o->pp = padded(p);
    o->l = cut(&at, (rows + more) * o->q2 * 4);
    o->lt = cut(&at, (q + more) * o->r2 * 4);
    o->bias = cut(&at, (rows + more) * 4);
    o->ones = cut(&at, ep / 2 * 4);
    o->m_pairs = cut(&at, CHUNK * o->q2 * ep * 4);
    o->m_rows = cut(&at, CHUNK * q * ep / 2 * 4);
    o->state = cut(&at, 2 * (q + 1) * TILE * 4);
    o->z = cut(&at, (rows + more) * TILE * 4);
    o->query = cut(&at, pe * ep / 2 * 4);
    o->key = cut(&at, pe * ep / 2 * 4);
    o->query_pairs = cut(&at, pe / 2 * ep * 4);
    o->key_pairs = cut(&at, pe / 2 * ep * 4);
    o->value = cut(&at, pe * ep * 4);
    o->slope = cut(&at, rows * ep * 4);
    o->dz_pairs = cut(&at, o->r2 * ep * 4);
    o->dz_rows = cut(&at, GROUP * rows * ep / 2 * 4);
    o->adjoint = cut(&at, (q + more) * ep * 4);
    o->later = cut(&at, (q + more) * ep * 4);
    o->line = cut(&at, ep * 4);
    o->score = cut(&at, attend_numbers(p) * 4);
    o->dscore_query = cut(&at, (pe + more) * pe / 2 * 4);
    o->dscore_key = cut(&at, (pe + more) * o->pp / 2 * 4);
    o->gradients = cut(&at, heads * gradient_numbers(q, p) * 4);
    o->product = cut(&at, p * o->pp * 4);
    return at.used;
}

static size_t (*float_workspace)(Backend *, const LegendreShape *, int64_t, int64_t); /* of the kernels in float */

static size_t legendre_workspace(Backend *b, const LegendreShape *s, int64_t heads, int64_t p)
{
    Scratch o;
    size_t bytes = p > 0 ? (size_t)(b->threads * scratch_lay(s, heads, p, NULL, &o)) : 0;
    size_t other = float_workspace(b, s, heads, p);
    return bytes > other ? bytes : other;
}

/* Where the gradients of a head are kept. */
static void head_gradients(Scratch *o, int64_t head)
{
    o->dl = o->gradients + head * gradient_numbers(o->q, o->p);
    o->dbias = o->dl + 3 * o->pe * o->q;
    o->dpooling = o->dbias + 3 * o->pe;
}

/* This thread's scratch, with gradients at zero. */
static void scratch_begin(Backend *b, const LegendreShape *s, const AttentionParameters *a, int thread, Scratch *o)
{
    int64_t bytes = scratch_lay(s, a->heads, a->reduced, NULL, o);
    scratch_lay(s, a->heads, a->reduced, (char *)b->workspace + thread * bytes, o);
    o->activation = a->activation;
    for (int64_t c = 0; c < o->ep / 2; c++)
        o->ones[c] = 0x3f803f80;
    memset(o->line, 0, (size_t)o->ep * sizeof *o->line);
    memset(o->gradients, 0, (size_t)(a->heads * gradient_numbers(o->q, o->p)) * sizeof *o->gradients);
}

/* The scratch of this head from now on: with its parameters. */
static void head_begin(const AttentionParameters *a, int64_t head, Scratch *o)
{
    AttentionParameters own = head_parameters(a, o->q, head);
    int64_t q = o->q, p = o->p, rows = 3 * o->pe;
    uint16_t *l = (uint16_t *)o->l, *lt = (uint16_t *)o->lt;
    o->channel = head * o->e;
    o->scale = (const float *)own.scale;
    head_gradients(o, head);
    memset(l, 0, (size_t)(rows * o->q2) * sizeof *o->l);
    memset(lt, 0, (size_t)(q * o->r2) * sizeof *o->lt);
    memset(o->bias, 0, (size_t)rows * sizeof *o->bias);
    for (int64_t i = 0; i < 3 * p; i++) {
        int64_t row = i / p * o->pe + i % p;
        o->bias[row] = ((const float *)own.bias)[i];
        for (int64_t k = 0; k < q; k++) {
            uint16_t rounded = bf16_round(((const float *)own.l)[i * q + k]);
            l[row * 2 * o->q2 + k] = lt[k * rows + row] = rounded;
        }
    }
    attend_pooling(p, (const float *)own.p, o->score);
}

static int64_t tile_width(const Scratch *o, int64_t channel)
{
    return o->e - channel < TILE ? o->e - channel : TILE;
}

/* -- forward -- */

/* m_pairs, and m_rows if asked, of a chunk from its boundary and x. */
static void chunk_states(const Scratch *o, const Chunk *chunk, const float *w, const float *x, const float *boundary,
                         bool rows)
{
    int64_t q = o->q, d = o->d, width = q + CHUNK;
    for (int64_t c = 0; c < o->ep; c += TILE) {
        int64_t n = tile_width(o, c), channel = o->channel + c;
        float *now = o->state, *next = now + (q + 1) * TILE;
        copy_rows(q, n, boundary + chunk->index * q * d + channel, d, now, TILE, TILE);
        for (int64_t t = 0; t < chunk->count; t++) {
            if (chunk->alone) { /* the boundary is the state behind it */
                memcpy(next, now, (size_t)(q * TILE) * sizeof *next);
            } else {
                copy_rows(1, n, x + (chunk->first + t) * d + channel, d, now + q * TILE, TILE, TILE);
                system_product(&o->shape, channel, q, TILE, q + 1, (TileOperand){w, width, 1}, now, TILE, next, TILE,
                               false);
            }
            memset(next + q * TILE, 0, TILE * sizeof *next); /* the other half of the last pair where Q is odd */
            for (int64_t k = 0; k < o->q2; k++)
                for (int64_t v = 0; v < TILE; v += LANES) {
                    vec low = load(next + 2 * k * TILE + v), high = load(next + (2 * k + 1) * TILE + v);
                    store_pairs(o->m_pairs + (t * o->q2 + k) * o->ep + c + v, pack_pairs(low, high));
                }
            for (int64_t k = 0; rows && k < q; k++)
                store_pairs(o->m_rows + ((t * q + k) * o->ep + c) / 2,
                            pack_row(load(next + k * TILE), load(next + k * TILE + LANES)));
            float *swap = now;
            now = next;
            next = swap;
        }
    }
}

/* f of row i of o->z, vector v of a tile; and its slope into o->slope, if asked. Padded channels become 0. */
INLINE vec activate(const Scratch *o, Activation kind, int64_t channel, int64_t i, int v, bool slope)
{
    static const int32_t places[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    vec down, f, z = load(o->z + i * TILE + v * LANES);
    if (slope && kind != ACTIVATION_NONE) {
        f = value_and_slope_vec(kind, true, z, &down);
        store(o->slope + i * o->ep + channel + v * LANES, down);
    } else {
        f = value_vec(kind, true, z);
    }
    if (o->e - channel >= TILE)
        return f;
    ivec place = load_pairs((const uint32_t *)places) + (int32_t)(channel + v * LANES);
    return select_vec(place < (int32_t)o->e, f, splat(0));
}

/* Two rows of queries or keys, i and i+1 of o->z, rows `at` and at+1 of their kind. */
INLINE void activate_pair(const Scratch *o, Activation kind, int64_t channel, int64_t i, int64_t at, bool slope,
                          uint32_t *rows, uint32_t *pairs)
{
    vec a0 = activate(o, kind, channel, i, 0, slope), a1 = activate(o, kind, channel, i, 1, slope);
    vec b0 = activate(o, kind, channel, i + 1, 0, slope), b1 = activate(o, kind, channel, i + 1, 1, slope);
    store_pairs(rows + (at * o->ep + channel) / 2, pack_row(a0, a1));
    store_pairs(rows + ((at + 1) * o->ep + channel) / 2, pack_row(b0, b1));
    if (!slope)
        return;
    store_pairs(pairs + at / 2 * o->ep + channel, pack_pairs(a0, b0));
    store_pairs(pairs + at / 2 * o->ep + channel + LANES, pack_pairs(a1, b1));
}

/* Queries, keys and values of a tile from o->z. */
INLINE void activate_tile(const Scratch *scratch, Activation kind, int64_t c, bool backward)
{
    const Scratch own = *scratch, *o = &own; /* which no store can change */
    int64_t pe = o->pe;
    for (int64_t i = 0; i < pe; i += 2)
        activate_pair(o, kind, c, i, i, backward, o->query, o->query_pairs);
    for (int64_t i = 0; i < pe; i += 2)
        activate_pair(o, kind, c, pe + i, i, backward, o->key, o->key_pairs);
    for (int64_t i = 0; i < pe; i++) {
        store(o->value + i * o->ep + c, activate(o, kind, c, 2 * pe + i, 0, backward));
        store(o->value + i * o->ep + c + LANES, activate(o, kind, c, 2 * pe + i, 1, backward));
    }
}

/* The same by other functions than gelu: out of line, so that the paper's has the registers to itself. */
static __attribute__((noinline)) void activate_tile_by(const Scratch *o, int64_t c, bool backward)
{
#define ACTIVATE(kind)                                                                                                 \
    if (kind == ACTIVATION_GELU)                                                                                       \
        break;                                                                                                         \
    if (backward)                                                                                                      \
        activate_tile(o, kind, c, true);                                                                               \
    else                                                                                                               \
        activate_tile(o, kind, c, false)
    BY_ACTIVATION(o->activation, ACTIVATE)
#undef ACTIVATE
}

/* Those of step t; for the backward pass slopes and pairs too. */
INLINE void project(const Scratch *o, int64_t t, bool backward)
{
    const uint32_t *m = o->m_pairs + t * o->q2 * o->ep;
    for (int64_t c = 0; c < o->ep; c += TILE) {
        unit_product(&o->unit, 3 * o->pe, o->q2, o->l, o->q2, m + c, o->ep, o->bias, o->z, TILE);
        if (o->activation == ACTIVATION_GELU)
            activate_tile(o, ACTIVATION_GELU, c, backward);
        else
            activate_tile_by(o, c, backward);
    }
}

/* o->score = softmax(scale Q K^T / sqrt(E)); returns weight [P] = p softmax. */
static const float *step_attend(const Scratch *o)
{
    memset(o->score, 0, (size_t)(o->p * o->pp) * sizeof *o->score);
    pair_dot_product(o->p, o->p, 1, o->ep / 2, (PairOperand){o->key, o->ep / 2, 0},
                     (PairOperand){o->query, o->ep / 2, 0}, o->score, o->pp);
    if (o->scale)
        attend_scale(o->p, *o->scale, o->score, o->product);
    attend(o->p, o->e, o->score);
    return attend_weight(o->p, o->score);
}

/* Runs `body` for every chunk of every head: each thread takes a contiguous share, in order, with scratch memory of its own. */
#define FOR_CHUNKS(body)                                                                                               \
    PRAGMA(omp parallel num_threads(b->threads) if (chunk_work(s, a->reduced, rows) > WORTH_THREADS))                  \
    {                                                                                                                  \
        int64_t total = rows->chunk[rows->count], thread = omp_get_thread_num(), team = omp_get_num_threads();         \
        int64_t tasks = total * a->heads;                                                                              \
        Scratch o;                                                                                                     \
        int row = 0;                                                                                                   \
        scratch_begin(b, s, a, (int)thread, &o);                                                                       \
        unit_begin(&o.unit, 3, (int64_t[]){o.q2, o.pe / 2, o.r2});                                                     \
        for (int64_t task = tasks * thread / team; task < tasks * (thread + 1) / team; task++) {                       \
            if (task == tasks * thread / team || task % total == 0)                                                    \
                head_begin(a, task / total, &o);                                                                       \
            Chunk chunk = chunk_at(rows, task % total, task % total ? row : 0);                                        \
            row = chunk.row;                                                                                           \
            body                                                                                                       \
        }                                                                                                              \
        unit_end();                                                                                                    \
    }

static void implicit_attention(Backend *b, const LegendreShape *s, const AttentionParameters *a, const Rows *rows,
                               const Real *W, const Real *X, const Real *BOUNDARY, Array y)
{
    FOR_CHUNKS({
        chunk_states(&o, &chunk, (const float *)W, (const float *)X, (const float *)BOUNDARY, false);
        for (int64_t t = 0; t < chunk.count; t++) {
            project(&o, t, false);
            const float *weight = step_attend(&o);
            tile_product(1, o.ep, o.p, (TileOperand){weight, 0, 1}, o.value, o.ep, o.line, o.ep, false);
            for (int64_t c = 0; c < o.e; c += LANES)
                array_store(y, (chunk.first + t) * o.d + o.channel + c, lanes_left(o.e - c), load(o.line + c));
        }
    })
}

/* -- backward -- */

/* dscore rounded, as the left operand of products with keys and with queries. */
static void scores_round(const Scratch *o)
{
    const float *dscore = attend_dscore(o->p, o->score);
    for (int64_t i = 0; i < o->pp; i += LANES)
        for (int64_t j = 0; j < o->p; j += 2) {
            vec low = load(dscore + j * o->pp + i), high = splat(0);
            if (j + 1 < o->p)
                high = load(dscore + (j + 1) * o->pp + i);
            uint32_t column[LANES];
            store_pairs(column, pack_pairs(low, high));
            for (int64_t lane = 0; lane < LANES && i + lane < o->pe; lane++)
                o->dscore_query[(i + lane) * (o->pe / 2) + j / 2] = column[lane];
            store_bf16((uint16_t *)o->dscore_key + j * o->pp + i, low);
            store_bf16((uint16_t *)o->dscore_key + (j + 1) * o->pp + i, high);
        }
}

/* dz of rows i and i+1 on a tile, from the gradients of Q, K, V in o->z: as pairs, and as rows of step `slot` of the group. */
INLINE void slope_pair(const Scratch *o, bool linear, int64_t slot, int64_t channel, int64_t i)
{
    vec dz[2][2];
    for (int r = 0; r < 2; r++) {
        for (int v = 0; v < 2; v++) {
            dz[r][v] = load(o->z + (i + r) * TILE + v * LANES);
            if (!linear)
                dz[r][v] *= load(o->slope + (i + r) * o->ep + channel + v * LANES);
        }
        store_pairs(o->dz_rows + ((slot * 3 * o->pe + i + r) * o->ep + channel) / 2, pack_row(dz[r][0], dz[r][1]));
    }
    for (int v = 0; v < 2; v++)
        store_pairs(o->dz_pairs + i / 2 * o->ep + channel + v * LANES, pack_pairs(dz[0][v], dz[1][v]));
}

static __attribute__((noinline)) void linear_tile(const Scratch *o, int64_t slot, int64_t c)
{
    for (int64_t i = 0; i < 3 * o->pe; i += 2)
        slope_pair(o, true, slot, c, i);
}

/* dz of one step from o->line, which holds dy, and this thread's gradients of p and scale. */
static void step_back(const Scratch *o, int64_t slot, const float *weight)
{
    int64_t pe = o->pe, ep = o->ep;
    float *dweight = attend_dweight(o->p, o->score);
    memset(dweight, 0, (size_t)o->pp * sizeof *dweight);
    dot_product(1, o->p, 1, ep, (DotOperand){o->line, 0, 0}, (DotOperand){o->value, ep, 0}, dweight, o->p);
    attend_back(o->p, o->e, o->score, o->dpooling);
    if (o->scale)
        o->dpooling[o->p] += attend_scale_back(o->p, *o->scale, o->score, o->product);
    scores_round(o);
    for (int64_t c = 0; c < ep; c += TILE) {
        unit_product(&o->unit, pe, pe / 2, o->dscore_query, pe / 2, o->key_pairs + c, ep, NULL, o->z, TILE);
        unit_product(&o->unit, pe, pe / 2, o->dscore_key, o->pp / 2, o->query_pairs + c, ep, NULL, o->z + pe * TILE,
                     TILE);
        for (int64_t i = 0; i < pe; i++)
            for (int64_t v = 0; v < TILE; v += LANES)
                store(o->z + (2 * pe + i) * TILE + v, weight[i] * load(o->line + c + v));
        if (o->activation == ACTIVATION_NONE)
            linear_tile(o, slot, c);
        else
            for (int64_t i = 0; i < 3 * pe; i += 2)
                slope_pair(o, false, slot, c, i);
    }
}

/* This thread's gradients of l and bias from the dz of `count` steps, the first of them step `first` of the chunk. */
static void group_back(const Scratch *o, int64_t first, int64_t count)
{
    int64_t half = o->ep / 2, rows = 3 * o->pe;
    for (int64_t c = 0; c < half; c += DOT_CHANNELS / 2) {
        int64_t n = half - c < DOT_CHANNELS / 2 ? half - c : DOT_CHANNELS / 2;
        PairOperand dz = {o->dz_rows + c, half, rows * half};
        PairOperand m = {o->m_rows + first * o->q * half + c, half, o->q * half};
        pair_dot_product(rows, o->q, count, n, dz, m, o->dl, o->q);
        pair_dot_product(rows, 1, count, n, dz, (PairOperand){o->ones, 0, 0}, o->dbias, 1);
    }
}

/* o->adjoint = G_t = L^T dz_t + Abar^T o->later, and dx_t = Bbar^T G_t. */
static void step_adjoint(const Scratch *o, const Chunk *chunk, int64_t t, const float *w, float *dx, bool add)
{
    int64_t q = o->q, ep = o->ep, width = q + CHUNK;
    float input[TILE];
    for (int64_t c = 0; c < ep; c += TILE) {
        int64_t n = tile_width(o, c), channel = o->channel + c;
        float *to = dx + (chunk->first + t) * o->d + channel;
        unit_product(&o->unit, q, o->r2, o->lt, o->r2, o->dz_pairs + c, ep, NULL, o->adjoint + c, ep);
        if (t + 1 < chunk->count)
            system_product(&o->shape, channel, q, TILE, q, (TileOperand){w, 1, width}, o->later + c, ep, o->adjoint + c,
                           ep, true);
        if (!dx)
            continue;
        system_product(&o->shape, channel, 1, TILE, q, (TileOperand){w + q, 0, width}, o->adjoint + c, ep, input, TILE,
                       false);
        for (int64_t j = 0; j < n; j++)
            to[j] = add ? to[j] + input[j] : input[j];
    }
}

/* The chunk's own G_0 = Abar^T G_1 into its boundary. */
static void chunk_adjoint(const Scratch *o, const Chunk *chunk, const float *w, float *boundary)
{
    int64_t q = o->q, width = q + CHUNK;
    for (int64_t c = 0; c < o->ep; c += TILE) {
        int64_t channel = o->channel + c;
        system_product(&o->shape, channel, q, TILE, q, (TileOperand){w, 1, width}, o->later + c, o->ep, o->state, TILE,
                       false);
        copy_rows(q, tile_width(o, c), o->state, TILE, boundary + chunk->index * q * o->d + channel, o->d, 0);
    }
}

/* Adds a thread's gradients of a head to those of the threads before. */
static void head_combine(const Scratch *o, int64_t head, bool first, const AttentionGradients *g)
{
    int64_t q = o->q, p = o->p;
    float *l = (float *)g->l + head * 3 * p * q, *bias = (float *)g->bias + head * 3 * p;
    float *pooling = (float *)g->p + head * p, *scale = g->scale ? (float *)g->scale + head : NULL;
    for (int64_t i = 0; i < 3 * p; i++) {
        int64_t row = i / p * o->pe + i % p;
        for (int64_t k = 0; g->l && k < q; k++)
            l[i * q + k] = o->dl[row * q + k] + (!first || g->add_l ? l[i * q + k] : 0);
        if (g->bias)
            bias[i] = o->dbias[row] + (!first || g->add_bias ? bias[i] : 0);
    }
    for (int64_t i = 0; g->p && i < p; i++)
        pooling[i] = o->dpooling[i] + (!first || g->add_p ? pooling[i] : 0);
    if (scale)
        *scale = o->dpooling[p] + (!first || g->add_scale ? *scale : 0);
}

static void gradient_combine(Backend *b, const LegendreShape *s, const AttentionParameters *a,
                             const AttentionGradients *g)
{
    Scratch o;
    int64_t bytes = scratch_lay(s, a->heads, a->reduced, NULL, &o);
    for (int thread = 0; thread < b->threads; thread++) {
        scratch_lay(s, a->heads, a->reduced, (char *)b->workspace + thread * bytes, &o);
        for (int64_t head = 0; head < a->heads; head++) {
            head_gradients(&o, head);
            head_combine(&o, head, thread == 0, g);
        }
    }
}

static void implicit_attention_back(Backend *b, const LegendreShape *s, const AttentionParameters *a, const Rows *rows,
                                    const Real *W, const Real *X, Real *BOUNDARY, Array dy, Real *DX, bool add,
                                    const AttentionGradients *g)
{
    const float *w = (const float *)W;
    for (int thread = 0; thread < b->threads; thread++) { /* some may get no chunk */
        Scratch o;
        scratch_begin(b, s, a, thread, &o);
    }
    FOR_CHUNKS({
        chunk_states(&o, &chunk, w, (const float *)X, (const float *)BOUNDARY, true);
        for (int64_t t = chunk.count - 1; t >= 0; t--) {
            project(&o, t, true);
            const float *weight = step_attend(&o);
            for (int64_t c = 0; c < o.e; c += LANES)
                store(o.line + c, array_load(dy, (chunk.first + t) * o.d + o.channel + c, lanes_left(o.e - c)));
            step_back(&o, t % GROUP, weight);
            if (t % GROUP == 0)
                group_back(&o, t, chunk.count - t < GROUP ? chunk.count - t : GROUP);
            step_adjoint(&o, &chunk, t, w, (float *)DX, add);
            float *swap = o.later;
            o.later = o.adjoint;
            o.adjoint = swap;
        }
        chunk_adjoint(&o, &chunk, w, (float *)BOUNDARY);
    })
    gradient_combine(b, s, a, g);
    if (DX)
        adjoint_scan(b, s, rows, w, (const float *)BOUNDARY, (float *)DX);
}

void VARIANT_NAME(simd_implicit_bf16)(Kernels *table)
{
    VARIANT_NAME(simd_normal)(); /* of gelu */
    float_workspace = table->legendre_workspace;
    table->implicit_attention = implicit_attention;
    table->implicit_attention_back = implicit_attention_back;
    table->legendre_workspace = legendre_workspace;
}
