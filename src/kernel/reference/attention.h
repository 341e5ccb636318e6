/* Causal softmax attention (Vaswani et al. 2017) on packed rows, with a cache of earlier keys and values.
 *
 * A token at position s attends to `context` positions up to s, as far as there are any: those before the run come from the
 * cache, a ring in which position s stands at s modulo context, the others from qkv. Head h uses channels h*E .. h*E+E-1 of each of q, k, v; scores are scaled by 1/sqrt(E). */

/* The key (part 1) or value (part 2) of head h at `position` of row r. */
static const real *attention_source(const Rows *rows, int r, int64_t d, int64_t head_offset, int64_t context, int part,
                                    int64_t position, const real *qkv, const real *cache)
{
    int64_t start = rows->position[r];
    if (position < start)
        return cache + ((rows->slot[r] * context + position % context) * 2 + part - 1) * d + head_offset;
    return qkv + (rows->offset[r] + position - start) * 3 * d + part * d + head_offset;
}

static size_t causal_attention_workspace(Backend *b, int64_t d, int64_t heads, int64_t tokens)
{
    (void)b, (void)d, (void)heads, (void)tokens;
    return 0;
}

static real dot(int64_t n, const real *a, const real *b)
{
    real total = 0;
    for (int64_t i = 0; i < n; i++)
        total += a[i] * b[i];
    return total;
}

/* The first position that the token at `position` attends to. */
static int64_t attention_first(int64_t context, int64_t position)
{
    return position >= context ? position - context + 1 : 0;
}

static void attention_row(const Rows *rows, int r, int64_t d, int64_t heads, int64_t h, int64_t context,
                          const real *qkv, const real *cache, real *y, real *lse)
{
    int64_t e = d / heads, start = rows->position[r];
    real scaling = 1 / sqrt((real)e);
    for (int64_t i = rows->offset[r]; i < rows->offset[r + 1]; i++) {
        const real *query = qkv + i * 3 * d + h * e;
        real *out = y + i * d + h * e, top = -INFINITY, total = 0;
        memset(out, 0, (size_t)e * sizeof(real));
        int64_t position = start + i - rows->offset[r];
        /* the running softmax of Milakov & Gimelshein 2018 */
        for (int64_t s = attention_first(context, position); s <= position; s++) {
            real score = scaling * dot(e, query, attention_source(rows, r, d, h * e, context, 1, s, qkv, cache));
            const real *value = attention_source(rows, r, d, h * e, context, 2, s, qkv, cache);
            real new_top = score > top ? score : top, shrink = exp(top - new_top), weight = exp(score - new_top);
            total = total * shrink + weight;
            for (int64_t c = 0; c < e; c++)
                out[c] = out[c] * shrink + weight * value[c];
            top = new_top;
        }
        for (int64_t c = 0; c < e; c++)
            out[c] /= total;
        lse[i * heads + h] = top + log(total);
    }
}

static void causal_attention(Backend *b, const Rows *rows, int64_t d, int64_t heads, int64_t context, Array QKV,
                             const Real *CACHE, Array Y, Real *LSE)
{
    (void)b;
#pragma omp parallel for collapse(2) num_threads(b->threads) schedule(dynamic)
    for (int r = 0; r < rows->count; r++)
        for (int64_t h = 0; h < heads; h++)
            attention_row(rows, r, d, heads, h, context, NUMBERS(QKV), IN(CACHE), NUMBERS(Y), OUT(LSE));
}

static void attention_keep(Backend *b, const Rows *rows, int64_t d, int64_t context, Array QKV, Real *CACHE)
{
    (void)b;
    for (int r = 0; r < rows->count; r++) {
        int64_t first = rows->offset[r], end = rows->offset[r + 1];
        for (int64_t i = end - first > context ? end - context : first; i < end; i++) {
            int64_t place = (rows->position[r] + i - first) % context;
            memcpy(OUT(CACHE) + (rows->slot[r] * context + place) * 2 * d, NUMBERS(QKV) + i * 3 * d + d,
                   (size_t)(2 * d) * sizeof(real));
        }
    }
}

static void attention_row_back(const Rows *rows, int r, int64_t d, int64_t heads, int64_t h, int64_t context,
                               const real *qkv, const real *cache, const real *y, const real *lse, const real *dy,
                               real *dqkv)
{
    int64_t e = d / heads, start = rows->position[r], offset = rows->offset[r];
    real scaling = 1 / sqrt((real)e);
    for (int64_t i = offset; i < rows->offset[r + 1]; i++) {
        const real *query = qkv + i * 3 * d + h * e, *dout = dy + i * d + h * e;
        real mean = dot(e, dout, y + i * d + h * e);
        int64_t position = start + i - offset;
        for (int64_t s = attention_first(context, position); s <= position; s++) {
            const real *key = attention_source(rows, r, d, h * e, context, 1, s, qkv, cache);
            const real *value = attention_source(rows, r, d, h * e, context, 2, s, qkv, cache);
            real weight = exp(scaling * dot(e, query, key) - lse[i * heads + h]);
            real dscore = scaling * weight * (dot(e, dout, value) - mean);
            for (int64_t c = 0; c < e; c++)
                dqkv[i * 3 * d + h * e + c] += dscore * key[c];
            if (s < start)
                continue;
            real *dkey = dqkv + (offset + s - start) * 3 * d + d + h * e, *dvalue = dkey + d;
            for (int64_t c = 0; c < e; c++) {
                dkey[c] += dscore * query[c];
                dvalue[c] += weight * dout[c];
            }
        }
    }
}

static void causal_attention_back(Backend *b, const Rows *rows, int64_t d, int64_t heads, int64_t context, Array QKV,
                                  const Real *CACHE, Array Y, const Real *LSE, Array DY, Array DQKV, bool add)
{
    (void)b;
    if (!add)
        memset(DQKV.data, 0, (size_t)(rows->tokens * 3 * d) * sizeof(real));
#pragma omp parallel for collapse(2) num_threads(b->threads) schedule(dynamic)
    for (int r = 0; r < rows->count; r++)
        for (int64_t h = 0; h < heads; h++)
            attention_row_back(rows, r, d, heads, h, context, NUMBERS(QKV), IN(CACHE), NUMBERS(Y), IN(LSE), NUMBERS(DY),
                               NUMBERS(DQKV));
}
