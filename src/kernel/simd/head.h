/* Causal attention: one head of one row, which is the task of a thread, and what both kinds of products share about it. */
#ifndef LMU_KERNEL_SIMD_HEAD_H
#define LMU_KERNEL_SIMD_HEAD_H

#include <math.h>

#include "kernel/simd/array.h"

typedef struct Head {
    Array qkv;          /* at the head's channels of the row's first token */
    const float *cache; /* at the head's channels of place 0 of the ring */
    int64_t d, e;       /* model channels, head channels */
    int64_t context;    /* tokens that a token attends to, itself included; places of the ring */
    int64_t start;      /* first position of the run */
    int64_t count;      /* tokens of the run */
    float scaling;      /* 1/sqrt(E) */
} Head;

INLINE Head head_at(const Backend *b, const Rows *rows, int r, int64_t d, int64_t heads, int64_t h, int64_t context,
                    Array qkv, const Real *cache)
{
    int64_t e = d / heads;
    return (Head){.qkv = array_at(b, qkv, rows->offset[r] * 3 * d + h * e),
                  .cache = cache ? (const float *)cache + rows->slot[r] * context * 2 * d + h * e : NULL,
                  .d = d,
                  .e = e,
                  .context = context,
                  .start = rows->position[r],
                  .count = rows->offset[r + 1] - rows->offset[r],
                  .scaling = 1 / sqrtf((float)e)};
}

/* The first of some tokens' queries (part 0), keys (1) or values (2): row i at from[i * stride]. */
typedef struct HeadRows {
    Array from;
    int64_t stride, count;
} HeadRows;

/* Those of the run's tokens first .. first+n-1. */
INLINE HeadRows head_run(const Backend *b, const Head *head, int part, int64_t first, int64_t n)
{
    return (HeadRows){array_at(b, head->qkv, first * 3 * head->d + part * head->d), 3 * head->d, n};
}

INLINE HeadRows head_cached(const Head *head, int part, int64_t place, int64_t n)
{
    const float *from = head->cache + (place * 2 + part - 1) * head->d;
    return (HeadRows){{(void *)(uintptr_t)from, false}, 2 * head->d, n};
}

/* Keys or values at positions first .. first+n-1: of the cache, up to the ring's end and from its start, then of the run;
 * each may be none. */
#define HEAD_PARTS 3
INLINE void head_keys(const Backend *b, const Head *head, int part, int64_t first, int64_t n, HeadRows rows[HEAD_PARTS])
{
    int64_t before = first < head->start ? (head->start - first < n ? head->start - first : n) : 0;
    rows[0] = rows[1] = rows[2] = (HeadRows){0};
    if (before > 0) {
        int64_t place = first % head->context, left = head->context - place;
        rows[0] = head_cached(head, part, place, before < left ? before : left);
        if (before > left)
            rows[1] = head_cached(head, part, 0, before - left);
    }
    if (before < n)
        rows[2] = head_run(b, head, part, first + before - head->start, n - before);
}

/* The first position that token i of the run sees. */
INLINE int64_t head_first(const Head *head, int64_t i)
{
    int64_t first = head->start + i - head->context + 1;
    return first > 0 ? first : 0;
}

/* How many tokens of the run there are up to the last that sees one of the keys at positions up to `last`. */
INLINE int64_t head_reach(const Head *head, int64_t last)
{
    int64_t tokens = last - head->start + head->context;
    return tokens < head->count ? tokens : head->count;
}

/* Of the n keys from position `first` on, token i of the run sees those from head_hidden to before head_visible. */
INLINE int64_t head_visible(const Head *head, int64_t i, int64_t first, int64_t n)
{
    int64_t seen = head->start + i - first + 1;
    return seen < 0 ? 0 : seen < n ? seen : n;
}

INLINE int64_t head_hidden(const Head *head, int64_t i, int64_t first, int64_t n)
{
    int64_t hidden = head_first(head, i) - first;
    return hidden < 0 ? 0 : hidden < n ? hidden : n;
}

static void attention_keep(Backend *b, const Rows *rows, int64_t d, int64_t context, Array qkv, Real *cache)
{
    (void)b;
    for (int r = 0; r < rows->count; r++) {
        int64_t first = rows->offset[r], end = rows->offset[r + 1];
        for (int64_t i = end - first > context ? end - context : first; i < end; i++) {
            int64_t place = (rows->position[r] + i - first) % context;
            float *to = (float *)cache + (rows->slot[r] * context + place) * 2 * d;
            for (int64_t c = 0; c < 2 * d; c += LANES)
                array_store((Array){to, false}, c, lanes_left(2 * d - c),
                            array_load(qkv, i * 3 * d + d + c, lanes_left(2 * d - c)));
        }
    }
}

/* Runs `body` for every head h of every row r, each with the scratch memory of its thread. */
#define FOR_HEADS(body)                                                                                                  \
    PRAGMA(omp parallel for collapse(2) num_threads(b->threads) schedule(dynamic) if (rows->tokens * d > WORTH_THREADS)) \
    for (int r = 0; r < rows->count; r++)                                                                                \
        for (int64_t h = 0; h < heads; h++) {                                                                            \
            body                                                                                                         \
        }

#endif
