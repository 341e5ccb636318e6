/* Causal attention with products of bfloat16; softmax, running maxima, sums and gradients under way stay float.
 *
 * Blocks and running softmax are those of attention.c, but scores are kept transposed, keys x queries, so that queries fill the
 * lanes. Maxima and sums then run down the lanes, and each result has the layout that the next product reads:
 *
 *     forward    S^T = K Q^T                  Y^T += V^T P^T
 *     backward   S^T = K Q^T, dP^T = V dY^T   dV += P^T dY, dK += dS^T Q, dQ^T += K^T dS^T
 *
 * The left operand has rows of numbers in order, the right one the layout `pairs` of bf16.h. A product's lanes are a tile of
 * TILE queries (or channels). Of a block of keys a tile meets what its queries see, in whole multiples of GRAIN. The
 * backward pass keeps the operands that are made of queries, and dQ^T, for the whole row, and has keys outermost.
 *
 * Channels (Ep), keys and queries are padded to multiples of GRAIN with zeros. */
#include <omp.h>

#include "kernel/simd/attend_few.h"
#include "kernel/simd/pair_unit.h"

#define QUERIES 128
#define TILE PAIR_CHANNELS
#define GRAIN 32 /* a multiple of TILE, of UNIT_ROWS, and of the pairs that the tile unit takes at a time, twice 16 */
#define SLACK 8  /* how far a score, as a power of two, may exceed the running maximum before that follows */

typedef struct Scratch {
    PairUnit unit;
    int64_t ep;
    uint32_t *stage;                    /* [QUERIES x Ep] rows or pairs under way; floats in between */
    uint32_t *key, *value;              /* [KEYS x Ep/2] rows */
    uint32_t *key_t, *value_t;          /* [Ep x KEYS/2] rows of the transposes */
    uint32_t *weight, *dscore;          /* [KEYS x QUERIES/2] rows of P^T and dS^T */
    uint32_t *column;                   /* [KEYS/2 x TILE] pairs of P^T, or dS^T */
    float *score, *slope;               /* [KEYS x TILE] S^T, dP^T */
    float *dkey, *dvalue;               /* [KEYS x Ep] */
    uint32_t *query_t, *grad_t;         /* [tiles][Ep/2 x TILE] pairs of Q^T and dY^T */
    uint32_t *query_pairs, *grad_pairs; /* [tokens/2 x Ep] pairs of Q and dY */
    float *output;                      /* [tiles][Ep x TILE] Y^T, or dQ^T */
    float *top, *total;                 /* [tokens] running maximum and sum, or log-sum-exp and mean slope */
} Scratch;

static int64_t pad(int64_t n)
{
    return (n + GRAIN - 1) / GRAIN * GRAIN;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void *lay(char *base, int64_t *bytes, int64_t numbers)
{
    void *at = base ? base + *bytes : NULL;
    *bytes += numbers * (int64_t)sizeof(float);
    return at;
}

/* Places a thread's scratch memory; returns its bytes. */
static int64_t scratch_lay(int64_t e, int64_t tokens, char *base, Scratch *o)
{
    int64_t bytes = 0, ep = pad(e), n = tokens > QUERIES ? pad(tokens) : QUERIES;
    o->ep = ep;
    o->stage = lay(base, &bytes, QUERIES * ep);
    o->key = lay(base, &bytes, KEYS * ep / 2);
    o->value = lay(base, &bytes, KEYS * ep / 2);
    o->key_t = lay(base, &bytes, KEYS * ep / 2);
    o->value_t = lay(base, &bytes, KEYS * ep / 2);
    o->weight = lay(base, &bytes, KEYS * QUERIES / 2);
    o->dscore = lay(base, &bytes, KEYS * QUERIES / 2);
    o->column = lay(base, &bytes, KEYS / 2 * TILE);
    o->score = lay(base, &bytes, KEYS * TILE);
    o->slope = lay(base, &bytes, KEYS * TILE);
    o->dkey = lay(base, &bytes, KEYS * ep);
    o->dvalue = lay(base, &bytes, KEYS * ep);
    o->query_t = lay(base, &bytes, n * ep / 2);
    o->output = lay(base, &bytes, n * ep);
    o->top = lay(base, &bytes, n);
    o->total = lay(base, &bytes, n);
    n = tokens > 0 ? n : 0;
    o->grad_t = lay(base, &bytes, n * ep / 2);
    o->query_pairs = lay(base, &bytes, n * ep / 2);
    o->grad_pairs = lay(base, &bytes, n * ep / 2);
    return bytes;
}

static size_t causal_attention_workspace(Backend *b, int64_t d, int64_t heads, int64_t tokens)
{
    Scratch o;
    return (size_t)(b->threads * scratch_lay(d / heads, tokens, NULL, &o));
}

/* -- operands -- */

/* Rows of e numbers, rounded, into rows of ep with zeros behind. */
static void round_rows(int64_t e, int64_t ep, HeadRows rows, uint32_t *to)
{
    for (int64_t i = 0; i < rows.count; i++, to += ep / 2) {
        uint16_t *row = (uint16_t *)to;
        if (rows.from.half)
            memcpy(row, (const uint16_t *)rows.from.data + i * rows.stride, (size_t)e * sizeof *row);
        for (int64_t c = 0; !rows.from.half && c < e; c += LANES)
            array_store((Array){row, true}, c, lanes_left(e - c),
                        array_load(rows.from, i * rows.stride + c, lanes_left(e - c)));
        memset(row + e, 0, (size_t)(ep - e) * sizeof *row);
    }
}

static void zero_rows(int64_t ep, int64_t from, int64_t to, uint32_t *rows)
{
    memset(rows + from * ep / 2, 0, (size_t)((to - from) * ep / 2) * sizeof *rows);
}

/* Keys (part 1) or values (part 2) at positions at .. at+n-1; rows n .. KEYS-1 become zeros. */
static void round_keys(const Backend *b, const Head *head, int64_t ep, int part, int64_t at, int64_t n, uint32_t *to)
{
    HeadRows rows[HEAD_PARTS];
    head_keys(b, head, part, at, n, rows);
    for (int64_t i = 0, done = 0; i < HEAD_PARTS; done += rows[i++].count)
        round_rows(head->e, ep, rows[i], to + done * ep / 2);
    zero_rows(ep, n, KEYS, to);
}

/* n rows two by two into the layout `pairs` [n/2 x ep]. */
static void pair_rows(int64_t n, int64_t ep, const uint32_t *rows, uint32_t *to)
{
    const uint16_t *from = (const uint16_t *)rows;
    for (int64_t i = 0; i < n; i += 2)
        for (int64_t c = 0; c < ep; c += LANES) {
            half_vec low, high;
            memcpy(&low, from + i * ep + c, sizeof low);
            memcpy(&high, from + (i + 1) * ep + c, sizeof high);
            bits_vec pair = __builtin_convertvector(low, bits_vec) | __builtin_convertvector(high, bits_vec) << 16;
            store_pairs(to + i / 2 * ep + c, (ivec)pair);
        }
}

/* Of two vectors, lanes in turn by w: those whose number has bit w clear, or set, a's and b's. */
#define CLEAR_LANE(l, w) (((l) & (w)) ? LANES + (l) - (w) : (l))
#define SET_LANE(l, w) (((l) & (w)) ? LANES + (l) : (l) + (w))
#define TRANSPOSE_STEP(v, w)                                                                                           \
    for (int i = 0; i < LANES; i++)                                                                                    \
        if (!(i & (w))) {                                                                                              \
            ivec a = v[i], b = v[i + (w)];                                                                             \
            v[i] = SHUFFLE(a, b, EVERY_LANE(CLEAR_LANE, w));                                                           \
            v[i + (w)] = SHUFFLE(a, b, EVERY_LANE(SET_LANE, w));                                                       \
        }

INLINE void transpose_block(ivec v[LANES])
{
#if LANES > 8
    TRANSPOSE_STEP(v, 8)
#endif
#if LANES > 4
    TRANSPOSE_STEP(v, 4)
#endif
    TRANSPOSE_STEP(v, 2)
    TRANSPOSE_STEP(v, 1)
}

/* to [columns x rows] = from^T, of pairs or of floats; rows and columns are multiples of LANES. */
static void transpose(int64_t rows, int64_t columns, const uint32_t *from, int64_t from_row, uint32_t *to,
                      int64_t to_row)
{
    for (int64_t i = 0; i < rows; i += LANES)
        for (int64_t j = 0; j < columns; j += LANES) {
            ivec v[LANES];
            for (int l = 0; l < LANES; l++)
                v[l] = load_pairs(from + (i + l) * from_row + j);
            transpose_block(v);
            for (int l = 0; l < LANES; l++)
                store_pairs(to + (j + l) * to_row + i, v[l]);
        }
}

/* The transpose, in rows [ep x KEYS/2], of KEYS rows. */
static void transpose_keys(const Scratch *o, const uint32_t *rows, uint32_t *to)
{
    pair_rows(KEYS, o->ep, rows, o->stage);
    transpose(KEYS / 2, o->ep, o->stage, o->ep, to, KEYS / 2);
}

/* The tiles of the transpose of n rows: [n/TILE][ep/2 x TILE]. */
static void transpose_tiles(int64_t n, int64_t ep, const uint32_t *rows, uint32_t *to)
{
    for (int64_t i = 0; i < n; i += TILE)
        transpose(TILE, ep / 2, rows + i * ep / 2, ep / 2, to + i * ep / 2, TILE);
}

/* 2^x for weights that are rounded to bfloat16 next: relative error below 1.1e-4, 1 at 0, x taken as at least -126. */
INLINE vec exp2_near(vec x)
{
#if LANES == 16
    x = (vec)_mm512_max_ps((__m512)splat(-126), (__m512)x); /* in this order NaN goes through */
#else
    x = select_vec(x < -126.0f, splat(-126), x);
#endif
    vec shifted = x + 12582912.0f; /* 1.5 * 2^23: rounds, and leaves the integer in the low bits */
    vec r = x - (shifted - 12582912.0f);
    vec p = splat(0.05500902f) * r + 0.24221131f;
    p = p * r + 0.69328296f;
    p = p * r + 1.0f;
    return (vec)((uvec)p + ((uvec)shifted << 23)); /* of a key nobody sees x may be anything */
}

#define LOG2_E 1.44269504088896341f

/* The lane numbers. */
INLINE ivec lanes_numbered(void)
{
    ivec lane;
    for (int i = 0; i < LANES; i++)
        lane[i] = i;
    return lane;
}

/* What a tile of queries meets of a block of keys, counted from the block's start. */
typedef struct Meeting {
    int64_t hidden, seen; /* the keys hidden .. seen-1, multiples of GRAIN */
    int64_t oldest, last; /* the first query sees oldest .. last, each query after it one further */
} Meeting;

static Meeting tile_meets(const Head *head, int64_t tile, int64_t at, int64_t keys)
{
    int64_t seen = least(pad(head_visible(head, tile + TILE - 1, at, keys)), KEYS);
    int64_t last = head->start + tile - at, oldest = last - head->context + 1;
    int64_t hidden = head_hidden(head, tile, at, keys) / GRAIN * GRAIN;
    return (Meeting){least(hidden, seen), seen, oldest > -TILE ? oldest : -TILE, last};
}

/* Which of the keys that they meet LANES queries see: all, those up to some, those from some to some. */
typedef enum Mask { MASK_NONE, MASK_CAUSAL, MASK_WINDOW } Mask;

/* Of `queries` queries, the first of which sees the keys oldest .. last. */
static Mask meeting_mask(const Meeting *m, int64_t queries)
{
    if (m->oldest + queries - 1 > m->hidden)
        return MASK_WINDOW;
    return m->last < m->seen - 1 ? MASK_CAUSAL : MASK_NONE;
}

/* x for the queries that see key k, else `hidden`; they see keys from `from` to `to`. */
INLINE vec mask_key(Mask mask, int64_t k, ivec from, ivec to, vec x, float hidden)
{
    if (mask != MASK_NONE)
        x = select_vec(to >= (int32_t)k, x, splat(hidden));
    if (mask == MASK_WINDOW)
        x = select_vec(from <= (int32_t)k, x, splat(hidden));
    return x;
}

/* -- forward -- */

/* The running softmax of LANES queries: scores become weights, in pairs of keys. Returns whether the output so far shrinks,
 * and by what. */
INLINE bool soften(Mask mask, const Meeting *m, float scale, const float *score, float *top, float *total,
                   uint32_t *weight, vec *shrink)
{
    ivec from = lanes_numbered() + (int32_t)m->oldest, to = lanes_numbered() + (int32_t)m->last;
    vec highest = splat(-INFINITY), sum = splat(0), before = load(top), now;
    for (int64_t k = m->hidden; k < m->seen; k++)
        highest = max_vec(mask_key(mask, k, from, to, load(score + k * TILE), -INFINITY), highest);
    highest *= scale;
    now = select_vec(highest > before + (float)SLACK, highest, before);
    for (int64_t k = m->hidden; k < m->seen; k += 2) {
        vec w[2];
        for (int i = 0; i < 2; i++) {
            w[i] = mask_key(mask, k + i, from, to, exp2_near(load(score + (k + i) * TILE) * scale - now), 0);
            sum += w[i];
        }
        store_pairs(weight + k / 2 * TILE, pack_pairs(w[0], w[1]));
    }
    *shrink = exp2_near(before - now);
    store(top, now);
    store(total, load(total) * *shrink + sum);
    ivec changed = (ivec)(before != now);
    int32_t any = 0;
    for (int lane = 0; lane < LANES; lane++)
        any |= changed[lane];
    return any != 0;
}

/* The scores of a tile of queries (or dP) with the keys (values) that it meets, in their places of the block. */
static void meet(const Head *head, const Meeting *m, const uint32_t *keys, const uint32_t *query_t, float *to,
                 const Scratch *o)
{
    unit_product(&o->unit, m->seen - m->hidden, (head->e + 1) / 2, keys + m->hidden * o->ep / 2, o->ep / 2, query_t,
                 TILE, NULL, to + m->hidden * TILE, TILE);
}

/* output [ep x TILE] += the values (or keys) that the tile meets, transposed, times the pairs in o->column. */
static void weigh(const Head *head, const Meeting *m, const uint32_t *keys_t, float *output, const Scratch *o)
{
    unit_product_add(&o->unit, head->e, (m->seen - m->hidden) / 2, keys_t + m->hidden / 2, KEYS / 2,
                     o->column + m->hidden / 2 * TILE, TILE, output, TILE);
}

/* A tile of queries against what it meets of a block of keys. */
static void attend_tile(const Head *head, const Meeting *meeting, const uint32_t *query_t, float *top, float *total,
                        float *output, const Scratch *o)
{
    float scale = head->scaling * LOG2_E;
    meet(head, meeting, o->key, query_t, o->score, o);
    for (int v = 0; v < TILE; v += LANES) {
        vec shrink;
        bool shrinks;
        Meeting m = *meeting;
        m.oldest += v, m.last += v;
#define SOFTEN(mask) soften(mask, &m, scale, o->score + v, top + v, total + v, o->column + v, &shrink)
        switch (meeting_mask(&m, LANES)) {
        case MASK_WINDOW:
            shrinks = SOFTEN(MASK_WINDOW);
            break;
        case MASK_CAUSAL:
            shrinks = SOFTEN(MASK_CAUSAL);
            break;
        default:
            shrinks = SOFTEN(MASK_NONE);
        }
#undef SOFTEN
        for (int64_t c = 0; shrinks && c < head->e; c++)
            store(output + c * TILE + v, load(output + c * TILE + v) * shrink);
    }
    weigh(head, meeting, o->value_t, output, o);
}

/* The tiles' Y^T [ep x TILE], divided by the sums, into rows of y; queries first .. first+n-1. */
static void write_outputs(const Head *head, int64_t first, int64_t n, Array y, float *lse, int64_t lse_stride,
                          const Scratch *o)
{
    for (int64_t tile = 0; tile < n; tile += TILE) {
        float *output = o->output + tile * o->ep, *rows = (float *)o->stage;
        for (int v = 0; v < TILE; v += LANES) {
            vec share = 1.0f / load(o->total + tile + v);
            for (int64_t c = 0; c < head->e; c++)
                store(output + c * TILE + v, load(output + c * TILE + v) * share);
        }
        transpose(o->ep, TILE, (const uint32_t *)output, TILE, o->stage, o->ep);
        for (int64_t i = tile; i < tile + TILE && i < n; i++) {
            for (int64_t c = 0; c < head->e; c += LANES)
                array_store(y, (first + i) * head->d + c, lanes_left(head->e - c), load(rows + (i - tile) * o->ep + c));
            lse[(first + i) * lse_stride] = (o->top[i] + log2f(o->total[i])) / LOG2_E;
        }
    }
}

/* Queries first .. first+n-1 of the run against all that they may see. */
static void attend_block(const Backend *b, const Head *head, int64_t first, int64_t n, Array y, float *lse,
                         int64_t lse_stride, const Scratch *o)
{
    int64_t ep = o->ep, end = head->start + first + n, np = pad(n);
    round_rows(head->e, ep, head_run(b, head, 0, first, n), o->stage);
    zero_rows(ep, n, np, o->stage);
    transpose_tiles(np, ep, o->stage, o->query_t);
    memset(o->output, 0, (size_t)(np * ep) * sizeof *o->output);
    for (int64_t i = 0; i < np; i++) {
        o->top[i] = -1e30f; /* no infinity, whose difference to itself is none */
        o->total[i] = 0;
    }
    for (int64_t at = head_first(head, first); at < end; at += KEYS) {
        int64_t keys = least(end - at, KEYS);
        round_keys(b, head, ep, 1, at, keys, o->key);
        round_keys(b, head, ep, 2, at, keys, o->value);
        transpose_keys(o, o->value, o->value_t);
        for (int64_t tile = 0; tile < n; tile += TILE) {
            Meeting meeting = tile_meets(head, first + tile, at, keys);
            if (meeting.seen > meeting.hidden)
                attend_tile(head, &meeting, o->query_t + tile * ep / 2, o->top + tile, o->total + tile,
                            o->output + tile * ep, o);
        }
    }
    write_outputs(head, first, n, y, lse, lse_stride, o);
}

/* Scratch memory of this thread, its unit ready. */
static Scratch scratch_begin(const Backend *b, int64_t e, int64_t tokens)
{
    Scratch o;
    int64_t bytes = scratch_lay(e, tokens, NULL, &o);
    scratch_lay(e, tokens, (char *)b->workspace + omp_get_thread_num() * bytes, &o);
    unit_begin(&o.unit, 1, (int64_t[]){(e + 1) / 2});
    return o;
}

static void causal_attention(Backend *b, const Rows *rows, int64_t d, int64_t heads, int64_t context, Array qkv,
                             const Real *CACHE, Array y, Real *LSE)
{
    FOR_HEADS({
        Head head = head_at(b, rows, r, d, heads, h, context, qkv, CACHE);
        Array to = array_at(b, y, rows->offset[r] * d + h * head.e);
        float *lse = (float *)LSE + rows->offset[r] * heads + h;
        if (head_is_few(&head, y)) {
            attend_few(b, &head, to.data, lse, heads);
            continue;
        }
        Scratch o = scratch_begin(b, head.e, 0);
        for (int64_t first = 0; first < head.count; first += QUERIES)
            attend_block(b, &head, first, least(head.count - first, QUERIES), to, lse, heads, &o);
        unit_end();
    })
}

/* -- backward -- */

/* The operands made of the row's queries and of dy, and of each query the log-sum-exp, as a power of two, and the mean slope
 * dy y; dQ^T starts from 0. */
static void queries_begin(const Backend *b, const Head *head, Array y, Array dy, const float *lse, int64_t lse_stride,
                          const Scratch *o)
{
    int64_t ep = o->ep, e = head->e, all = pad(head->count);
    for (int64_t first = 0; first < all; first += QUERIES) {
        int64_t n = least(head->count - first, QUERIES), np = pad(n);
        round_rows(e, ep, head_run(b, head, 0, first, n), o->stage);
        zero_rows(ep, n, np, o->stage);
        transpose_tiles(np, ep, o->stage, o->query_t + first * ep / 2);
        pair_rows(np, ep, o->stage, o->query_pairs + first * ep / 2);
        round_rows(e, ep, (HeadRows){array_at(b, dy, first * head->d), head->d, n}, o->stage);
        zero_rows(ep, n, np, o->stage);
        transpose_tiles(np, ep, o->stage, o->grad_t + first * ep / 2);
        pair_rows(np, ep, o->stage, o->grad_pairs + first * ep / 2);
    }
    for (int64_t i = 0; i < all; i++) {
        vec mean = splat(0);
        for (int64_t c = 0; i < head->count && c < e; c += LANES)
            mean +=
                array_load(dy, i * head->d + c, lanes_left(e - c)) * array_load(y, i * head->d + c, lanes_left(e - c));
        o->top[i] = i < head->count ? lse[i * lse_stride] * LOG2_E : INFINITY;
        o->total[i] = reduce_sum(mean);
    }
    memset(o->output, 0, (size_t)(all * ep) * sizeof *o->output);
}

/* A row of TILE numbers in order. */
INLINE void store_row(uint32_t *to, vec low, vec high)
{
#ifdef __AVX512BF16__
    store_pairs(to, pack_row(low, high)); /* whose cheapest order this is */
#else
    array_store((Array){to, true}, 0, LANES, low);
    array_store((Array){to, true}, LANES, LANES, high);
#endif
}

/* A tile's weights and slopes of the keys from .. to-1, which it does not meet. */
INLINE void clear_keys(int64_t from, int64_t to, uint32_t *weight, uint32_t *dscore)
{
    for (int64_t k = from; k < to; k++) {
        memset(weight + k * (QUERIES / 2), 0, TILE / 2 * sizeof *weight);
        memset(dscore + k * (QUERIES / 2), 0, TILE / 2 * sizeof *dscore);
    }
}

/* Of a tile: weights and slopes of the scores from S^T and dP^T, as rows of the block and as pairs. */
INLINE void tile_slopes(Mask mask, const Meeting *m, float scale, const float *top, const float *mean, uint32_t *weight,
                        uint32_t *dscore, const Scratch *o)
{
    ivec from[2] = {lanes_numbered() + (int32_t)m->oldest, lanes_numbered() + (int32_t)(m->oldest + LANES)};
    ivec to[2] = {lanes_numbered() + (int32_t)m->last, lanes_numbered() + (int32_t)(m->last + LANES)};
    vec lse[2] = {load(top), load(top + LANES)}, middle[2] = {load(mean), load(mean + LANES)};
    for (int64_t k = m->hidden; k < m->seen; k += 2) {
        vec p[2][2], ds[2][2];
        for (int i = 0; i < 2; i++) {
            for (int v = 0; v < 2; v++) {
                int64_t at = (k + i) * TILE + v * LANES;
                p[i][v] = mask_key(mask, k + i, from[v], to[v], exp2_near(load(o->score + at) * scale - lse[v]), 0);
                ds[i][v] = p[i][v] * (load(o->slope + at) - middle[v]);
            }
            store_row(weight + (k + i) * (QUERIES / 2), p[i][0], p[i][1]);
            store_row(dscore + (k + i) * (QUERIES / 2), ds[i][0], ds[i][1]);
        }
        for (int v = 0; v < 2; v++)
            store_pairs(o->column + k / 2 * TILE + v * LANES, pack_pairs(ds[0][v], ds[1][v]));
    }
    clear_keys(0, m->hidden, weight, dscore);
    clear_keys(m->seen, KEYS, weight, dscore);
}

/* What the queries first .. first+n-1 give back through the block of keys in the scratch memory, from position `at`. n is a
 * multiple of GRAIN. */
static void block_back(const Head *head, int64_t first, int64_t n, int64_t at, int64_t keys, const Scratch *o)
{
    int64_t ep = o->ep;
    float scale = head->scaling * LOG2_E;
    for (int64_t i = 0; i < n; i += TILE) {
        int64_t tile = first + i;
        Meeting m = tile_meets(head, tile, at, keys);
        uint32_t *weight = o->weight + i / 2, *dscore = o->dscore + i / 2;
        meet(head, &m, o->key, o->query_t + tile * ep / 2, o->score, o);
        meet(head, &m, o->value, o->grad_t + tile * ep / 2, o->slope, o);
#define SLOPES(mask) tile_slopes(mask, &m, scale, o->top + tile, o->total + tile, weight, dscore, o)
        switch (meeting_mask(&m, TILE)) {
        case MASK_WINDOW:
            SLOPES(MASK_WINDOW);
            break;
        case MASK_CAUSAL:
            SLOPES(MASK_CAUSAL);
            break;
        default:
            SLOPES(MASK_NONE);
        }
#undef SLOPES
        weigh(head, &m, o->key_t, o->output + tile * ep, o);
    }
    for (int64_t c = 0; c < head->e; c += TILE) {
        unit_product_add(&o->unit, keys, n / 2, o->weight, QUERIES / 2, o->grad_pairs + first / 2 * ep + c, ep,
                         o->dvalue + c, ep);
        unit_product_add(&o->unit, keys, n / 2, o->dscore, QUERIES / 2, o->query_pairs + first / 2 * ep + c, ep,
                         o->dkey + c, ep);
    }
}

/* Row i of a part of dqkv (+)= scale * from. */
static void write_gradient(const Head *head, int64_t i, int part, float scale, const float *from, Array dqkv, bool add)
{
    for (int64_t c = 0; c < head->e; c += LANES) {
        int64_t at = (i * 3 + part) * head->d + c, n = lanes_left(head->e - c);
        vec x = load(from + c) * scale;
        array_store(dqkv, at, n, add ? array_load(dqkv, at, n) + x : x);
    }
}

static void write_queries(const Head *head, Array dqkv, bool add, const Scratch *o)
{
    for (int64_t tile = 0; tile < head->count; tile += TILE) {
        transpose(o->ep, TILE, (const uint32_t *)(o->output + tile * o->ep), TILE, o->stage, o->ep);
        for (int64_t i = tile; i < tile + TILE && i < head->count; i++)
            write_gradient(head, i, 0, head->scaling, (const float *)o->stage + (i - tile) * o->ep, dqkv, add);
    }
}

/* One head of one row: keys outermost, so that dk and dv of a block stay in the scratch memory. */
static void head_back(const Backend *b, const Head *head, Array dqkv, bool add, const Scratch *o)
{
    int64_t end = head->start + head->count, ep = o->ep;
    for (int64_t at = head_first(head, 0); at < end; at += KEYS) {
        int64_t keys = least(end - at, KEYS), reach = pad(head_reach(head, at + keys - 1));
        round_keys(b, head, ep, 1, at, keys, o->key);
        round_keys(b, head, ep, 2, at, keys, o->value);
        transpose_keys(o, o->key, o->key_t);
        memset(o->dkey, 0, (size_t)(KEYS * ep) * sizeof *o->dkey);
        memset(o->dvalue, 0, (size_t)(KEYS * ep) * sizeof *o->dvalue);
        for (int64_t first = at > head->start ? (at - head->start) / GRAIN * GRAIN : 0; first < reach; first += QUERIES)
            block_back(head, first, least(reach - first, QUERIES), at, keys, o);
        for (int64_t k = at < head->start ? head->start - at : 0; k < keys; k++) {
            write_gradient(head, at + k - head->start, 1, head->scaling, o->dkey + k * ep, dqkv, add);
            write_gradient(head, at + k - head->start, 2, 1, o->dvalue + k * ep, dqkv, add);
        }
    }
    write_queries(head, dqkv, add, o);
}

static void causal_attention_back(Backend *b, const Rows *rows, int64_t d, int64_t heads, int64_t context, Array qkv,
                                  const Real *CACHE, Array y, const Real *LSE, Array dy, Array dqkv, bool add)
{
    int64_t longest = 0;
    for (int r = 0; r < rows->count; r++)
        if (rows->offset[r + 1] - rows->offset[r] > longest)
            longest = rows->offset[r + 1] - rows->offset[r];
    FOR_HEADS({
        Head head = head_at(b, rows, r, d, heads, h, context, qkv, CACHE);
        Scratch o = scratch_begin(b, head.e, longest);
        int64_t at = rows->offset[r] * d + h * head.e;
        queries_begin(b, &head, array_at(b, y, at), array_at(b, dy, at),
                      (const float *)LSE + rows->offset[r] * heads + h, heads, &o);
        head_back(b, &head, array_at(b, dqkv, rows->offset[r] * 3 * d + h * head.e), add, &o);
        unit_end();
    })
}

void VARIANT_NAME(simd_attention_bf16)(Kernels *table)
{
    table->causal_attention = causal_attention;
    table->attention_keep = attention_keep;
    table->causal_attention_back = causal_attention_back;
    table->causal_attention_workspace = causal_attention_workspace;
}
