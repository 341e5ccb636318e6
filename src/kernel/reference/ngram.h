/* What followed n-grams in a text: counts in a table of hashed contexts. */

#define NGRAM_FINGERPRINTS (1 << 22) /* what tells contexts of one slot apart: whole numbers that a float holds */
#define NGRAM_COUNT_MOST (1 << 20)

/* The slot of a context of `n` ids, of which context[0] is the latest, among those of its order; its fingerprint. */
static int64_t ngram_slot(const NgramShape *s, int64_t n, const int32_t *context, real *fingerprint)
{
    uint64_t hash = (uint64_t)n;
    for (int64_t k = 0; k < n; k++) {
        hash = (hash ^ (uint64_t)context[k]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    hash *= 0x9e3779b97f4a7c15u;
    *fingerprint = (real)(hash % NGRAM_FINGERPRINTS);
    return (int64_t)((hash >> 32) * (uint64_t)s->slots >> 32);
}

static bool ngram_context(const Rows *rows, int r, int64_t n, int64_t window, int64_t vocabulary, const int32_t *ids,
                          const Real *STATE, int64_t place, int32_t *context)
{
    for (int64_t k = 0; k < n; k++) {
        if (place < k)
            return false;
        context[k] = recall_id(rows, r, window, vocabulary, ids, STATE, place - k);
        if (context[k] < 0)
            return false;
    }
    return true;
}

/* The ids of a slot and their shares; NULL: of none. */
static void ngram_read(const NgramShape *s, int64_t vocabulary, const real *slot, int32_t *next, real *weight)
{
    real total = 1;
    for (int64_t way = 0; way < s->ways; way++) {
        real id = slot ? slot[1 + 2 * way] : 0, count = slot ? slot[2 + 2 * way] : 0;
        bool there = id >= 1 && id <= (real)vocabulary && count >= 1 && count <= NGRAM_COUNT_MOST;
        next[way] = there ? (int32_t)id - 1 : -1;
        weight[way] = there ? count : 0;
        total += weight[way];
    }
    for (int64_t way = 0; way < s->ways; way++)
        weight[way] /= total;
}

static void ngram_find(Backend *b, const NgramShape *s, const Rows *rows, int64_t vocabulary, const int32_t *ids,
                       const Real *STATE, const Real *TABLE, int32_t *next, Real *WEIGHT)
{
    (void)b;
    for (int r = 0; r < rows->count; r++)
        for (int64_t i = rows->offset[r]; i < rows->offset[r + 1]; i++)
            for (int64_t order = 0; order < s->orders; order++) {
                int32_t context[NGRAM_CONTEXT_MOST];
                int64_t n = NGRAM_CONTEXT_LEAST + order, place = rows->position[r] + i - rows->offset[r];
                real fingerprint = 0;
                const real *slot = IN(TABLE);
                bool known = ngram_context(rows, r, n, ngram_window(s), vocabulary, ids, STATE, place, context);
                if (known) {
                    slot += (order * s->slots + ngram_slot(s, n, context, &fingerprint)) * ngram_slot_numbers(s);
                    known = slot[0] == fingerprint;
                }
                ngram_read(s, vocabulary, known ? slot : NULL, next + (i * s->orders + order) * s->ways,
                           OUT(WEIGHT) + (i * s->orders + order) * s->ways);
            }
}

/* One more time that `id` followed: the counts of a slot stay in falling order, the latest first among equals, and what is rare gives
 * way. */
static void ngram_count(const NgramShape *s, real fingerprint, real id, real *slot)
{
    real *way = slot + 1;
    if (slot[0] != fingerprint || way[1] < 1) {
        for (int64_t k = 0; k < s->ways; k++)
            way[2 * k + 1] -= way[2 * k + 1] >= 1;
        if (way[1] >= 1)
            return;
        memset(slot, 0, (size_t)ngram_slot_numbers(s) * sizeof *slot);
        slot[0] = fingerprint;
    }
    int64_t w = 0;
    while (w + 1 < s->ways && way[2 * w] != id && way[2 * w + 1] >= 1)
        w++;
    if (way[2 * w] == id)
        way[2 * w + 1] += way[2 * w + 1] < NGRAM_COUNT_MOST;
    else if (--way[2 * w + 1] <= 0) {
        way[2 * w] = id;
        way[2 * w + 1] = 1;
    }
    for (; w > 0 && way[2 * w + 1] >= way[2 * w - 1]; w--)
        for (int k = 0; k < 2; k++) {
            real held = way[2 * w + k];
            way[2 * w + k] = way[2 * w - 2 + k];
            way[2 * w - 2 + k] = held;
        }
}

static void ngram_note(Backend *b, const NgramShape *s, const Rows *rows, const int32_t *ids, Real *TABLE)
{
    (void)b;
    for (int r = 0; r < rows->count; r++)
        for (int64_t i = rows->offset[r]; i + 1 < rows->offset[r + 1]; i++)
            for (int64_t order = 0; order < s->orders && ids[i + 1] >= 0; order++) {
                int32_t context[NGRAM_CONTEXT_MOST];
                int64_t n = NGRAM_CONTEXT_LEAST + order, place = rows->position[r] + i - rows->offset[r];
                real fingerprint;
                if (!ngram_context(rows, r, n, ngram_window(s), 0, ids, NULL, place, context))
                    break;
                int64_t slot = order * s->slots + ngram_slot(s, n, context, &fingerprint);
                ngram_count(s, fingerprint, (real)(ids[i + 1] + 1), OUT(TABLE) + slot * ngram_slot_numbers(s));
            }
}
