/* Causal attention in blocks (Dao et al. 2022, "FlashAttention"; Rabe & Staats 2021): no array of T x T. A task is one head of one
 * row. A block of QUERIES queries meets blocks of KEYS keys: scores by one small product with the keys transposed, the
 * running softmax, then values by another. Backward computes the scores again from the saved logarithm of the denominator.
 *
 * Keys before the run come from the cache. Head channels are padded to whole vectors in the scratch memory (Ep). */
#include <math.h>
#include <omp.h>

#include "kernel/simd/simd.h"

#include "kernel/simd/tile.h"

#define QUERIES 32
#define KEYS 64

/* One head of one row. */
typedef struct Head {
    const float *qkv, *cache; /* at the head's channels: of the row's first token; of position 0 */
    int64_t d, e, ep;         /* model channels, head channels, padded */
    int64_t start, count;     /* first position of the run, tokens of the run */
    float scaling;            /* 1/sqrt(E) */
} Head;

typedef struct Scratch {
    float *query, *output, *grad; /* [QUERIES x Ep]: scaled queries; sums of values, or dq; dy */
    float *key, *value;           /* [KEYS x Ep] */
    float *key_t, *value_t;       /* [Ep x KEYS] */
    float *dkey, *dvalue;         /* [KEYS x Ep] */
    float *score, *dscore;        /* [QUERIES x KEYS] */
} Scratch;

static int64_t pad(int64_t e)
{
    return (e + LANES - 1) / LANES * LANES;
}

static int64_t scratch_numbers(int64_t e)
{
    return 3 * QUERIES * pad(e) + 6 * KEYS * pad(e) + 2 * QUERIES * KEYS;
}

static size_t causal_attention_workspace(Backend *b, int64_t d, int64_t heads)
{
    return (size_t)(b->threads * scratch_numbers(d / heads)) * sizeof(float);
}

static Scratch scratch_lay(Backend *b, int64_t e)
{
    int64_t queries = QUERIES * pad(e), keys = KEYS * pad(e);
    Scratch o;
    o.query = (float *)b->workspace + omp_get_thread_num() * scratch_numbers(e);
    o.output = o.query + queries;
    o.grad = o.output + queries;
    o.key = o.grad + queries;
    o.value = o.key + keys;
    o.key_t = o.value + keys;
    o.value_t = o.key_t + keys;
    o.dkey = o.value_t + keys;
    o.dvalue = o.dkey + keys;
    o.score = o.dvalue + keys;
    o.dscore = o.score + QUERIES * KEYS;
    return o;
}

static Head head_at(const Rows *rows, int r, int64_t d, int64_t heads, int64_t h, int64_t context, const float *qkv,
                    const float *cache)
{
    int64_t e = d / heads;
    return (Head){.qkv = qkv + rows->offset[r] * 3 * d + h * e,
                  .cache = cache ? cache + rows->slot[r] * context * 2 * d + h * e : NULL,
                  .d = d,
                  .e = e,
                  .ep = pad(e),
                  .start = rows->position[r],
                  .count = rows->offset[r + 1] - rows->offset[r],
                  .scaling = 1 / sqrtf((float)e)};
}

/* n rows of e numbers, `stride` apart, into rows of ep with zeros behind; scaled. */
static void load_rows(const Head *head, int64_t n, const float *from, int64_t stride, float scaling, float *to)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < head->ep; c++)
            to[i * head->ep + c] = c < head->e ? scaling * from[i * stride + c] : 0;
}

/* Keys (part 1) or values (part 2) at positions first .. first+n-1 into rows of ep; rows n .. KEYS-1 are zeroed. */
static void load_keys(const Head *head, int part, int64_t first, int64_t n, float *to)
{
    int64_t before = first < head->start ? (head->start - first < n ? head->start - first : n) : 0;
    if (before > 0)
        load_rows(head, before, head->cache + (first * 2 + part - 1) * head->d, 2 * head->d, 1, to);
    if (before < n)
        load_rows(head, n - before, head->qkv + (first + before - head->start) * 3 * head->d + part * head->d,
                  3 * head->d, 1, to + before * head->ep);
    memset(to + n * head->ep, 0, (size_t)((KEYS - n) * head->ep) * sizeof *to);
}

static void transpose(int64_t ep, const float *from, float *to)
{
    for (int64_t c = 0; c < ep; c++)
        for (int64_t k = 0; k < KEYS; k++)
            to[c * KEYS + k] = from[k * ep + c];
}

/* How many of the keys from position `first` on token i of the run may see, at most n. */
static int64_t visible(const Head *head, int64_t i, int64_t first, int64_t n)
{
    int64_t seen = head->start + i - first + 1;
    return seen < 0 ? 0 : seen < n ? seen : n;
}

/* The running softmax: scores of one query against the block become weights; `top`, `total` and the output so far are
 * brought to the new maximum (Milakov & Gimelshein 2018). */
static void soften(float *score, int64_t seen, float *top, float *total, float *output, int64_t ep)
{
    float new_top = *top;
    for (int64_t k = 0; k < seen; k++)
        new_top = score[k] > new_top ? score[k] : new_top;
    float shrink = expf(*top - new_top);
    vec sum = {0};
    for (int64_t k = seen; k < KEYS; k++)
        score[k] = -INFINITY;
    for (int64_t k = 0; k < KEYS; k += LANES) {
        vec weight = exp_vec(load(score + k) - new_top);
        store(score + k, weight);
        sum += weight;
    }
    *total = *total * shrink + reduce_sum(sum);
    *top = new_top;
    for (int64_t c = 0; c < ep; c += LANES)
        store(output + c, load(output + c) * shrink);
}

/* Queries first .. first+n-1 of the run against all that they may see. */
static void attend_block(const Head *head, int64_t first, int64_t n, float *y, float *lse, int64_t lse_stride,
                         Scratch *o)
{
    int64_t ep = head->ep, end = head->start + first + n;
    float top[QUERIES], total[QUERIES];
    for (int64_t i = 0; i < n; i++) {
        top[i] = -INFINITY;
        total[i] = 0;
    }
    load_rows(head, n, head->qkv + first * 3 * head->d, 3 * head->d, head->scaling, o->query);
    memset(o->output, 0, (size_t)(n * ep) * sizeof(float));
    for (int64_t at = 0; at < end; at += KEYS) {
        int64_t keys = end - at < KEYS ? end - at : KEYS;
        load_keys(head, 1, at, keys, o->key);
        load_keys(head, 2, at, keys, o->value);
        transpose(ep, o->key, o->key_t);
        tile_product(n, KEYS, ep, (TileOperand){o->query, ep, 1}, o->key_t, KEYS, o->score, KEYS, false);
        for (int64_t i = 0; i < n; i++) {
            int64_t seen = visible(head, first + i, at, keys);
            if (seen > 0)
                soften(o->score + i * KEYS, seen, &top[i], &total[i], o->output + i * ep, ep);
            else
                memset(o->score + i * KEYS, 0, KEYS * sizeof(float));
        }
        tile_product(n, ep, KEYS, (TileOperand){o->score, KEYS, 1}, o->value, ep, o->output, ep, true);
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t c = 0; c < head->e; c++)
            y[(first + i) * head->d + c] = o->output[i * ep + c] / total[i];
        lse[(first + i) * lse_stride] = top[i] + logf(total[i]);
    }
}

static void cache_append(const Rows *rows, int64_t d, int64_t context, const float *qkv, float *cache)
{
    for (int r = 0; r < rows->count; r++)
        for (int64_t i = rows->offset[r]; i < rows->offset[r + 1]; i++) {
            int64_t position = rows->position[r] + i - rows->offset[r];
            memcpy(cache + (rows->slot[r] * context + position) * 2 * d, qkv + i * 3 * d + d,
                   (size_t)(2 * d) * sizeof(float));
        }
}

static void causal_attention(Backend *b, const Rows *rows, int64_t d, int64_t heads, int64_t context, const Real *QKV,
                             Real *CACHE, Real *Y, Real *LSE)
{
    const float *qkv = (const float *)QKV;
    PRAGMA(omp parallel for collapse(2) num_threads(b->threads) schedule(dynamic) if (rows->tokens * d > WORTH_THREADS))
    for (int r = 0; r < rows->count; r++)
        for (int64_t h = 0; h < heads; h++) {
            Scratch o = scratch_lay(b, d / heads);
            Head head = head_at(rows, r, d, heads, h, context, qkv, (const float *)CACHE);
            float *y = (float *)Y + rows->offset[r] * d + h * head.e, *lse = (float *)LSE + rows->offset[r] * heads + h;
            for (int64_t first = 0; first < head.count; first += QUERIES)
                attend_block(&head, first, head.count - first < QUERIES ? head.count - first : QUERIES, y, lse, heads,
                             &o);
        }
    if (CACHE)
        cache_append(rows, d, context, qkv, (float *)CACHE);
}

/* -- backward -- */

/* What the queries from `first` on give back through the block of keys in the scratch memory (from position `at`): dq is added
 * to the rows of dqkv, dk and dv to the scratch sums. */
static void block_back(const Head *head, int64_t first, int64_t n, int64_t at, int64_t keys, const float *y,
                       const float *dy, const float *lse, int64_t lse_stride, float *dqkv, Scratch *o)
{
    int64_t ep = head->ep;
    load_rows(head, n, head->qkv + first * 3 * head->d, 3 * head->d, head->scaling, o->query);
    load_rows(head, n, dy + first * head->d, head->d, 1, o->grad);
    tile_product(n, KEYS, ep, (TileOperand){o->query, ep, 1}, o->key_t, KEYS, o->score, KEYS, false);
    tile_product(n, KEYS, ep, (TileOperand){o->grad, ep, 1}, o->value_t, KEYS, o->dscore, KEYS, false);
    for (int64_t i = 0; i < n; i++) {
        float *score = o->score + i * KEYS, *dscore = o->dscore + i * KEYS, mean = 0;
        int64_t seen = visible(head, first + i, at, keys);
        for (int64_t c = 0; c < head->e; c++)
            mean += dy[(first + i) * head->d + c] * y[(first + i) * head->d + c];
        for (int64_t k = seen; k < KEYS; k++)
            score[k] = -INFINITY;
        for (int64_t k = 0; k < KEYS; k += LANES) {
            vec weight = exp_vec(load(score + k) - lse[(first + i) * lse_stride]);
            store(score + k, weight);
            store(dscore + k, weight * (load(dscore + k) - mean));
        }
    }
    tile_product(KEYS, ep, n, (TileOperand){o->score, 1, KEYS}, o->grad, ep, o->dvalue, ep, true);
    tile_product(KEYS, ep, n, (TileOperand){o->dscore, 1, KEYS}, o->query, ep, o->dkey, ep, true);
    tile_product(n, ep, KEYS, (TileOperand){o->dscore, KEYS, 1}, o->key, ep, o->output, ep, false);
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < head->e; c++)
            dqkv[(first + i) * 3 * head->d + c] += head->scaling * o->output[i * ep + c];
}

/* One head of one row: keys outermost, so that dk and dv of a block stay in the scratch memory. */
static void head_back(const Head *head, const float *y, const float *dy, const float *lse, int64_t lse_stride,
                      float *dqkv, Scratch *o)
{
    int64_t end = head->start + head->count, ep = head->ep;
    for (int64_t at = 0; at < end; at += KEYS) {
        int64_t keys = end - at < KEYS ? end - at : KEYS;
        load_keys(head, 1, at, keys, o->key);
        load_keys(head, 2, at, keys, o->value);
        transpose(ep, o->key, o->key_t);
        transpose(ep, o->value, o->value_t);
        memset(o->dkey, 0, (size_t)(KEYS * ep) * sizeof(float));
        memset(o->dvalue, 0, (size_t)(KEYS * ep) * sizeof(float));
        int64_t first = at > head->start ? (at - head->start) / QUERIES * QUERIES : 0;
        for (; first < head->count; first += QUERIES)
            block_back(head, first, head->count - first < QUERIES ? head->count - first : QUERIES, at, keys, y, dy, lse,
                       lse_stride, dqkv, o);
        for (int64_t k = at < head->start ? head->start - at : 0; k < keys; k++) {
            float *to = dqkv + (at + k - head->start) * 3 * head->d;
            for (int64_t c = 0; c < head->e; c++) {
                to[head->d + c] += o->dkey[k * ep + c];
                to[2 * head->d + c] += o->dvalue[k * ep + c];
            }
        }
    }
}

static void causal_attention_back(Backend *b, const Rows *rows, int64_t d, int64_t heads, int64_t context,
                                  const Real *QKV, const Real *CACHE, const Real *Y, const Real *LSE, const Real *DY,
                                  Real *DQKV, bool add)
{
    if (!add)
        memset(DQKV, 0, (size_t)(rows->tokens * 3 * d) * sizeof(float));
    PRAGMA(omp parallel for collapse(2) num_threads(b->threads) schedule(dynamic) if (rows->tokens * d > WORTH_THREADS))
    for (int r = 0; r < rows->count; r++)
        for (int64_t h = 0; h < heads; h++) {
            Scratch o = scratch_lay(b, d / heads);
            Head head = head_at(rows, r, d, heads, h, context, (const float *)QKV, (const float *)CACHE);
            int64_t offset = rows->offset[r];
            head_back(&head, (const float *)Y + offset * d + h * head.e, (const float *)DY + offset * d + h * head.e,
                      (const float *)LSE + offset * heads + h, heads, (float *)DQKV + offset * 3 * d + h * head.e, &o);
        }
}

void VARIANT_NAME(simd_attention)(Kernels *table)
{
    table->causal_attention = causal_attention;
    table->causal_attention_back = causal_attention_back;
    table->causal_attention_workspace = causal_attention_workspace;
}
