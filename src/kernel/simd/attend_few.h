/* Causal attention of a few queries, a token under generation above all: products of float, straight from the cache, whose
 * reading is what takes the time. And the running softmax along a row of scores. */
#ifndef LMU_KERNEL_SIMD_ATTEND_FEW_H
#define LMU_KERNEL_SIMD_ATTEND_FEW_H

#include "kernel/simd/head.h"
#include "kernel/simd/tile.h"

#define KEYS 64 /* keys of a block */
#define FEW 8   /* queries */

/* The running softmax: scores of one query against the block, of which it sees hidden .. seen-1, become weights; `top`, `total` and the output so far, `width`
 * numbers, are brought to the new maximum (Milakov & Gimelshein 2018). */
static void soften_row(float *score, int64_t hidden, int64_t seen, float *top, float *total, float *output,
                       int64_t width)
{
    for (int64_t k = 0; k < hidden; k++)
        score[k] = -INFINITY;
    for (int64_t k = seen; k < KEYS; k++)
        score[k] = -INFINITY;
    vec tops = splat(*top), sum = {0};
    for (int64_t k = 0; k < KEYS; k += LANES)
        tops = max_vec(load(score + k), tops);
    float new_top = reduce_max(tops), shrink = expf(*top - new_top);
    for (int64_t k = 0; k < KEYS; k += LANES) {
        vec weight = exp_vec(load(score + k) - new_top);
        store(score + k, weight);
        sum += weight;
    }
    *total = *total * shrink + reduce_sum(sum);
    *top = new_top;
    for (int64_t c = 0; c < width; c += LANES)
        store(output + c, load(output + c) * shrink);
}

/* Whether attend_few does a head: rows of whole vectors. */
INLINE bool head_is_few(const Head *head, Array y)
{
    return head->count <= FEW && head->e % LANES == 0 && !head->qkv.half && !y.half;
}

/* All queries of the head against all that they may see. */
static void attend_few(const Backend *b, const Head *head, float *y, float *lse, int64_t lse_stride)
{
    const float *qkv = head->qkv.data;
    int64_t n = head->count, e = head->e, d = head->d, end = head->start + n;
    float top[FEW], total[FEW], score[FEW * KEYS];
    for (int64_t i = 0; i < n; i++) {
        top[i] = -INFINITY;
        total[i] = 0;
        memset(y + i * d, 0, (size_t)e * sizeof *y);
    }
    for (int64_t at = head_first(head, 0); at < end; at += KEYS) {
        HeadRows key[HEAD_PARTS], value[HEAD_PARTS];
        int64_t keys = end - at < KEYS ? end - at : KEYS;
        head_keys(b, head, 1, at, keys, key);
        head_keys(b, head, 2, at, keys, value);
        memset(score, 0, sizeof score);
        for (int64_t part = 0, to = 0; part < HEAD_PARTS; to += key[part++].count)
            dot_product(n, key[part].count, 1, e, (DotOperand){qkv, 3 * d, 0},
                        (DotOperand){key[part].from.data, key[part].stride, 0}, score + to, KEYS);
        for (int64_t i = 0; i < n; i++) {
            int64_t hidden = head_hidden(head, i, at, keys), seen = head_visible(head, i, at, keys);
            for (int64_t k = 0; k < KEYS; k += LANES)
                store(score + i * KEYS + k, load(score + i * KEYS + k) * head->scaling);
            if (seen > hidden)
                soften_row(score + i * KEYS, hidden, seen, &top[i], &total[i], y + i * d, e);
            else
                memset(score + i * KEYS, 0, KEYS * sizeof *score);
        }
        for (int64_t part = 0, from = 0; part < HEAD_PARTS; from += value[part++].count)
            tile_product(n, e, value[part].count, (TileOperand){score + from, KEYS, 1}, value[part].from.data,
                         value[part].stride, y, d, true);
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t c = 0; c < e; c += LANES)
            store(y + i * d + c, load(y + i * d + c) / total[i]);
        lse[i * lse_stride] = top[i] + logf(total[i]);
    }
}

#endif
