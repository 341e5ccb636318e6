/* What followed earlier occurrences: a row's ids in one piece, and from each of them back by vectors to where it stood before. */
#include "kernel/simd/simd.h"

static size_t recall_workspace(Backend *b, int64_t window, int64_t tokens)
{
    (void)b;
    return (size_t)(window + tokens) * sizeof(int32_t);
}

/* The ids before row r, as far as its first token sees, and its own; returns how many come before. */
static int64_t recall_history(const Rows *rows, int r, int64_t window, int64_t vocabulary, const int32_t *ids,
                              const float *ring, int32_t *history)
{
    int64_t position = rows->position[r], before = position < window ? position : window - 1;
    for (int64_t i = 0, place = (position - before) % window; i < before; i++, place++) {
        if (place == window)
            place = 0;
        float kept = ring[rows->slot[r] * window + place];
        history[i] = kept >= 0 && kept < (float)vocabulary ? (int32_t)kept : -1;
    }
    memcpy(history + before, ids + rows->offset[r], (size_t)(rows->offset[r + 1] - rows->offset[r]) * sizeof *ids);
    return before;
}

INLINE bool any_lane(ivec mask)
{
    uint64_t pairs[LANES / 2], any = 0;
    memcpy(pairs, &mask, sizeof pairs);
    for (int i = 0; i < LANES / 2; i++)
        any |= pairs[i];
    return any != 0;
}

/* How many ids up to the place s, at most `orders`, are those up to the place t. */
INLINE int64_t recall_same(const int32_t *history, int64_t first, int64_t s, int64_t t, int64_t orders)
{
    int64_t same = 0;
    while (same < orders && s - same >= first && history[s - same] >= 0 && history[s - same] == history[t - same])
        same++;
    return same;
}

static void recall_token(const int32_t *history, int64_t first, int64_t t, int64_t orders, int32_t *next)
{
    int64_t found = 0;
    for (int64_t s = t - 1; s >= first && found < orders;) {
        int64_t end = s - LANES + 1 > first ? s - LANES + 1 : first; /* of this piece, backwards */
        ivec block;
        if (end + LANES - 1 == s) {
            memcpy(&block, history + end, sizeof block);
            if (!any_lane(block == history[t])) {
                s -= LANES;
                continue;
            }
        }
        for (; s >= end && found < orders; s--)
            for (int64_t same = recall_same(history, first, s, t, orders); found < same; found++)
                next[found] = history[s + 1];
    }
    for (; found < orders; found++)
        next[found] = -1;
}

static void recall(Backend *b, const Rows *rows, int64_t orders, int64_t window, int64_t vocabulary, const int32_t *ids,
                   const Real *state, int32_t *next)
{
    int32_t *history = b->workspace;
    for (int r = 0; r < rows->count; r++) {
        int64_t before = recall_history(rows, r, window, vocabulary, ids, (const float *)state, history);
        int64_t count = rows->offset[r + 1] - rows->offset[r],
                reach = before + count < window ? before + count : window;
        int32_t *to = next + rows->offset[r] * orders;
        PARALLEL_FOR(count * reach)
        for (int64_t i = 0; i < count; i++) {
            int64_t t = before + i;
            recall_token(history, t < window ? 0 : t - window + 1, t, orders, to + i * orders);
        }
    }
}

void VARIANT_NAME(simd_recall)(Kernels *table)
{
    table->recall = recall;
    table->recall_workspace = recall_workspace;
}
