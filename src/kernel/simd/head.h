/* Causal attention: one head of one row, which is the task of a thread, and what both kinds of products share about it. */
#ifndef LMU_KERNEL_SIMD_HEAD_H
#define LMU_KERNEL_SIMD_HEAD_H

#include <math.h>

#include "kernel/simd/array.h"

typedef struct Head {
    Array qkv;          /* at the head's channels of the row's first token */
    const float *cache; /* at the head's channels of position 0 */
    int64_t d, e;       /* model channels, head channels */
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

/* Keys or values at positions first .. first+n-1: of the cache, then of the run; either may be none. */
INLINE void head_keys(const Backend *b, const Head *head, int part, int64_t first, int64_t n, HeadRows rows[2])
{
    int64_t before = first < head->start ? (head->start - first < n ? head->start - first : n) : 0;
    rows[0] = rows[1] = (HeadRows){0};
    if (before > 0)
        rows[0] = (HeadRows){
            {(void *)(uintptr_t)(head->cache + (first * 2 + part - 1) * head->d), false}, 2 * head->d, before};
    if (before < n)
        rows[1] = head_run(b, head, part, first + before - head->start, n - before);
}

/* How many of the keys from position `first` on token i of the run may see, at most n. */
INLINE int64_t head_visible(const Head *head, int64_t i, int64_t first, int64_t n)
{
    int64_t seen = head->start + i - first + 1;
    return seen < 0 ? 0 : seen < n ? seen : n;
}

/* The keys and values of the run into the cache. */
static inline void cache_append(const Rows *rows, int64_t d, int64_t context, Array qkv, float *cache)
{
    for (int r = 0; r < rows->count; r++)
        for (int64_t i = rows->offset[r]; i < rows->offset[r + 1]; i++) {
            int64_t position = rows->position[r] + i - rows->offset[r];
            float *to = cache + (rows->slot[r] * context + position) * 2 * d;
            for (int64_t c = 0; c < 2 * d; c += LANES)
                array_store((Array){to, false}, c, lanes_left(2 * d - c),
                            array_load(qkv, i * 3 * d + d + c, lanes_left(2 * d - c)));
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
