/* Causal attention in blocks (Dao et al. 2022, "FlashAttention"; Rabe & Staats 2021): no array of T x T. A task is one head of one
 * row. A block of QUERIES queries meets blocks of KEYS keys: scores by one small product with the keys transposed, the
 * running softmax, then values by another. Backward computes the scores again from the saved logarithm of the denominator.
 *
 * Key blocks start with the first key that the block of queries sees. Keys before the run come from the cache. Head channels are padded to whole vectors in the scratch memory (Ep). */
#include <math.h>
#include <omp.h>

#include "kernel/simd/attend_few.h"

#define QUERIES 32

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

static size_t causal_attention_workspace(Backend *b, int64_t d, int64_t heads, int64_t tokens)
{
    (void)tokens;
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

/* Rows of e numbers into rows of ep with zeros behind; scaled. */
static void load_rows(int64_t e, HeadRows rows, float scaling, float *to)
{
    int64_t ep = pad(e);
    for (int64_t i = 0; i < rows.count; i++)
        for (int64_t c = 0; c < ep; c += LANES)
            store(to + i * ep + c, scaling * array_load(rows.from, i * rows.stride + c, lanes_left(e - c)));
}

/* Keys (part 1) or values (part 2) at positions first .. first+n-1 into rows of ep; rows n .. KEYS-1 are zeroed. */
static void load_keys(const Backend *b, const Head *head, int part, int64_t first, int64_t n, float *to)
{
    HeadRows rows[HEAD_PARTS];
    int64_t ep = pad(head->e);
    head_keys(b, head, part, first, n, rows);
    for (int64_t i = 0, at = 0; i < HEAD_PARTS; at += rows[i++].count)
        load_rows(head->e, rows[i], 1, to + at * ep);
    memset(to + n * ep, 0, (size_t)((KEYS - n) * ep) * sizeof *to);
}

static void transpose(int64_t ep, const float *from, float *to)
{
    for (int64_t c = 0; c < ep; c++)
        for (int64_t k = 0; k < KEYS; k++)
            to[c * KEYS + k] = from[k * ep + c];
}

/* Queries first .. first+n-1 of the run against all that they may see. */
static void attend_block(const Backend *b, const Head *head, int64_t first, int64_t n, float *y, float *lse,
                         int64_t lse_stride, Scratch *o)
{
    int64_t ep = pad(head->e), end = head->start + first + n;
    float top[QUERIES], total[QUERIES];
    for (int64_t i = 0; i < n; i++) {
        top[i] = -INFINITY;
        total[i] = 0;
    }
    load_rows(head->e, head_run(b, head, 0, first, n), head->scaling, o->query);
    memset(o->output, 0, (size_t)(n * ep) * sizeof(float));
    for (int64_t at = head_first(head, first); at < end; at += KEYS) {
        int64_t keys = end - at < KEYS ? end - at : KEYS;
        load_keys(b, head, 1, at, keys, o->key);
        load_keys(b, head, 2, at, keys, o->value);
        transpose(ep, o->key, o->key_t);
        tile_product(n, KEYS, ep, (TileOperand){o->query, ep, 1}, o->key_t, KEYS, o->score, KEYS, false);
        for (int64_t i = 0; i < n; i++) {
            int64_t hidden = head_hidden(head, first + i, at, keys), seen = head_visible(head, first + i, at, keys);
            if (seen > hidden)
                soften_row(o->score + i * KEYS, hidden, seen, &top[i], &total[i], o->output + i * ep, ep);
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

static void causal_attention(Backend *b, const Rows *rows, int64_t d, int64_t heads, int64_t context, Array qkv,
                             const Real *CACHE, Array y, Real *LSE)
{
    FOR_HEADS({
        Scratch o = scratch_lay(b, d / heads);
        Head head = head_at(b, rows, r, d, heads, h, context, qkv, CACHE);
        float *to = (float *)y.data + rows->offset[r] * d + h * head.e;
        float *lse = (float *)LSE + rows->offset[r] * heads + h;
        if (head_is_few(&head, y)) {
            attend_few(b, &head, to, lse, heads);
            continue;
        }
        for (int64_t first = 0; first < head.count; first += QUERIES)
            attend_block(b, &head, first, head.count - first < QUERIES ? head.count - first : QUERIES, to, lse, heads,
                         &o);
    })
}

/* -- backward -- */

/* What the queries from `first` on give back through the block of keys in the scratch memory (from position `at`): dq is added
 * to the rows of dqkv, dk and dv to the scratch sums. */
static void block_back(const Backend *b, const Head *head, int64_t first, int64_t n, int64_t at, int64_t keys,
                       const float *y, const float *dy, const float *lse, int64_t lse_stride, float *dqkv, Scratch *o)
{
    int64_t ep = pad(head->e);
    load_rows(head->e, head_run(b, head, 0, first, n), head->scaling, o->query);
    load_rows(head->e, (HeadRows){{(void *)(uintptr_t)(dy + first * head->d), false}, head->d, n}, 1, o->grad);
    tile_product(n, KEYS, ep, (TileOperand){o->query, ep, 1}, o->key_t, KEYS, o->score, KEYS, false);
    tile_product(n, KEYS, ep, (TileOperand){o->grad, ep, 1}, o->value_t, KEYS, o->dscore, KEYS, false);
    for (int64_t i = 0; i < n; i++) {
        float *score = o->score + i * KEYS, *dscore = o->dscore + i * KEYS;
        int64_t hidden = head_hidden(head, first + i, at, keys), seen = head_visible(head, first + i, at, keys);
        vec product = splat(0);
        for (int64_t c = 0; c < head->e; c += LANES)
            product += load(o->grad + i * ep + c) * array_load((Array){(void *)(uintptr_t)y, false},
                                                               (first + i) * head->d + c, lanes_left(head->e - c));
        float mean = reduce_sum(product);
        for (int64_t k = 0; k < hidden; k++)
            score[k] = -INFINITY;
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
static void head_back(const Backend *b, const Head *head, const float *y, const float *dy, const float *lse,
                      int64_t lse_stride, float *dqkv, Scratch *o)
{
    int64_t end = head->start + head->count, ep = pad(head->e);
    for (int64_t at = head_first(head, 0); at < end; at += KEYS) {
        int64_t keys = end - at < KEYS ? end - at : KEYS, reach = head_reach(head, at + keys - 1);
        load_keys(b, head, 1, at, keys, o->key);
        load_keys(b, head, 2, at, keys, o->value);
        transpose(ep, o->key, o->key_t);
        transpose(ep, o->value, o->value_t);
        memset(o->dkey, 0, (size_t)(KEYS * ep) * sizeof(float));
        memset(o->dvalue, 0, (size_t)(KEYS * ep) * sizeof(float));
        int64_t first = at > head->start ? (at - head->start) / QUERIES * QUERIES : 0;
        for (; first < reach; first += QUERIES)
            block_back(b, head, first, reach - first < QUERIES ? reach - first : QUERIES, at, keys, y, dy, lse,
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

static void causal_attention_back(Backend *b, const Rows *rows, int64_t d, int64_t heads, int64_t context, Array qkv,
                                  const Real *CACHE, Array y, const Real *LSE, Array dy, Array dqkv, bool add)
{
    if (!add)
        memset(dqkv.data, 0, (size_t)(rows->tokens * 3 * d) * sizeof(float));
    FOR_HEADS({
        Scratch o = scratch_lay(b, d / heads);
        Head head = head_at(b, rows, r, d, heads, h, context, qkv, CACHE);
        int64_t at = rows->offset[r] * d + h * head.e;
        head_back(b, &head, (const float *)y.data + at, (const float *)dy.data + at,
                  (const float *)LSE + rows->offset[r] * heads + h, heads,
                  (float *)dqkv.data + rows->offset[r] * 3 * d + h * head.e, &o);
    })
}

void VARIANT_NAME(simd_attention)(Kernels *table)
{
    table->causal_attention = causal_attention;
    table->attention_keep = attention_keep;
    table->causal_attention_back = causal_attention_back;
    table->causal_attention_workspace = causal_attention_workspace;
}
