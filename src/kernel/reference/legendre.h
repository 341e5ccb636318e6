/* The Legendre memory by its definition, M_t = Abar M_{t-1} + Bbar x_t, or by the chunk matrix W, and implicit
 * self-attention on it. Abar and Bbar are the first Q rows of W, of which each group of channels has its own. A state is
 * [Q x D]. */

#define CHUNK LEGENDRE_CHUNK

/* The W of channel c. */
static const real *channel_system(const LegendreShape *s, const real *w, int64_t c)
{
    return w + c / (s->channels / s->groups) * legendre_system_numbers(s);
}

/* next = Abar state + Bbar x; x may be NULL */
static void memory_step(const LegendreShape *s, const real *w, const real *x, const real *state, real *next)
{
    int64_t q = s->order, d = s->channels, width = q + CHUNK;
    for (int64_t i = 0; i < q; i++)
        for (int64_t c = 0; c < d; c++) {
            const real *row = channel_system(s, w, c) + i * width;
            real total = x ? row[q] * x[c] : 0;
            for (int64_t j = 0; j < q; j++)
                total += row[j] * state[j * d + c];
            next[i * d + c] = total;
        }
}

/* M_{t+1} of a chunk that starts at `state`, from row block t of W: m [Q x D] */
static void memory_jump(const LegendreShape *s, const real *w, int64_t t, const real *x, const real *state, real *m)
{
    int64_t q = s->order, d = s->channels, width = q + CHUNK;
    for (int64_t i = 0; i < q; i++)
        for (int64_t c = 0; c < d; c++) {
            const real *row = channel_system(s, w, c) + (t * q + i) * width;
            real total = 0;
            for (int64_t j = 0; j < q; j++)
                total += row[j] * state[j * d + c];
            for (int64_t u = 0; u <= t; u++)
                total += row[q + u] * x[u * d + c];
            m[i * d + c] = total;
        }
}

/* The states m [c x Q x D] of the c steps of one chunk. */
static void memory_chunk(const LegendreShape *s, LegendreForm form, const real *w, int64_t c, const real *x,
                         const real *state, real *m)
{
    int64_t size = s->order * s->channels;
    for (int64_t t = 0; t < c; t++)
        if (form == LEGENDRE_CHUNKED)
            memory_jump(s, w, t, x, state, m + t * size);
        else
            memory_step(s, w, x + t * s->channels, t ? m + (t - 1) * size : state, m + t * size);
}

/* Visits the chunks of a row: first token, steps, index of the boundary. */
typedef struct ChunkSpan {
    int64_t first, count, boundary;
} ChunkSpan;

static int64_t row_chunks(const Rows *rows, int r)
{
    return rows->chunk[r + 1] - rows->chunk[r];
}

static ChunkSpan row_chunk(const Rows *rows, int r, int64_t k)
{
    int64_t first = rows->offset[r] + k * CHUNK, left = rows->offset[r + 1] - first;
    return (ChunkSpan){first, left < CHUNK ? left : CHUNK, rows->chunk[r] + k};
}

static void legendre_scan(Backend *b, const LegendreShape *s, LegendreForm form, const Rows *rows, const Real *W,
                          const Real *X, Real *STATE, Real *BOUNDARY)
{
    int64_t d = s->channels, size = s->order * d;
    real *m = b->workspace; /* [C x Q x D] */
    real *current = m + CHUNK * size;
    for (int r = 0; r < rows->count; r++) {
        if (STATE)
            memcpy(current, IN(STATE) + rows->slot[r] * size, (size_t)size * sizeof(real));
        else
            memset(current, 0, (size_t)size * sizeof(real));
        for (int64_t k = 0; k < row_chunks(rows, r); k++) {
            ChunkSpan span = row_chunk(rows, r, k);
            memcpy(OUT(BOUNDARY) + span.boundary * size, current, (size_t)size * sizeof(real));
            if (form == LEGENDRE_CHUNKED) {
                memory_jump(s, IN(W), span.count - 1, IN(X) + span.first * d, current, m);
                memcpy(current, m, (size_t)size * sizeof(real));
            } else {
                memory_chunk(s, form, IN(W), span.count, IN(X) + span.first * d, current, m);
                memcpy(current, m + (span.count - 1) * size, (size_t)size * sizeof(real));
            }
        }
        if (STATE)
            memcpy(OUT(STATE) + rows->slot[r] * size, current, (size_t)size * sizeof(real));
    }
}

static void legendre_memory(Backend *b, const LegendreShape *s, LegendreForm form, const Rows *rows, const Real *W,
                            const Real *X, const Real *BOUNDARY, Real *M)
{
    (void)b;
    int64_t d = s->channels, size = s->order * d;
    for (int r = 0; r < rows->count; r++)
        for (int64_t k = 0; k < row_chunks(rows, r); k++) {
            ChunkSpan span = row_chunk(rows, r, k);
            memory_chunk(s, form, IN(W), span.count, IN(X) + span.first * d, IN(BOUNDARY) + span.boundary * size,
                         OUT(M) + span.first * size);
        }
}

/* One step of the adjoint: `adjoint` [Q x D] holds the gradient of M_t; dx_t (+)= Bbar^T adjoint, then adjoint =
 * Abar^T adjoint, the part that flows to M_{t-1}. */
static void memory_step_back(const LegendreShape *s, const real *w, real *adjoint, real *dx, bool add)
{
    int64_t q = s->order, d = s->channels, width = q + CHUNK;
    for (int64_t c = 0; c < d; c++) {
        const real *system = channel_system(s, w, c);
        real previous[LEGENDRE_ORDER_LIMIT], total = 0;
        for (int64_t i = 0; i < q; i++)
            total += system[i * width + q] * adjoint[i * d + c];
        for (int64_t j = 0; j < q; j++) {
            previous[j] = 0;
            for (int64_t i = 0; i < q; i++)
                previous[j] += system[i * width + j] * adjoint[i * d + c];
        }
        for (int64_t j = 0; j < q; j++)
            adjoint[j * d + c] = previous[j];
        if (dx)
            STORE(dx[c], total, add);
    }
}

static void legendre_memory_back(Backend *b, const LegendreShape *s, LegendreForm form, const Rows *rows, const Real *W,
                                 const Real *DM, Real *BOUNDARY, Real *DX, bool add)
{
    (void)form; /* the adjoint of the recurrence is the adjoint of both */
    (void)BOUNDARY;
    int64_t d = s->channels, size = s->order * d;
    real *adjoint = b->workspace;
    for (int r = 0; r < rows->count; r++) {
        memset(adjoint, 0, (size_t)size * sizeof(real));
        for (int64_t i = rows->offset[r + 1] - 1; i >= rows->offset[r]; i--) {
            for (int64_t e = 0; e < size; e++)
                adjoint[e] += IN(DM)[i * size + e];
            memory_step_back(s, IN(W), adjoint, OUT(DX) + i * d, add);
        }
    }
}

/* -- the memory as a convolution: M_t = sum over s <= t of H_{t-s} x_s + Abar^{t+1} M_0 -- */

static size_t legendre_convolve_workspace(Backend *b, const LegendreShape *s, int64_t tokens)
{
    (void)b;
    return (size_t)((s->groups * tokens + 2 * s->channels) * s->order) * sizeof(real);
}

/* h [G x T x Q]: the impulse responses, H_t = Abar^t Bbar */
static void impulse_responses(const LegendreShape *s, const real *w, int64_t tokens, real *h)
{
    int64_t q = s->order, width = q + CHUNK;
    for (int64_t g = 0; g < s->groups; g++, w += legendre_system_numbers(s), h += tokens * q)
        for (int64_t t = 0; t < tokens; t++)
            for (int64_t i = 0; i < q; i++) {
                real total = t ? 0 : w[i * width + q];
                for (int64_t j = 0; t && j < q; j++)
                    total += w[i * width + j] * h[(t - 1) * q + j];
                h[t * q + i] = total;
            }
}

/* What a given state adds to m [T x Q x D] of a row; scratch [2 x Q x D]. */
static void given_state(const LegendreShape *s, const real *w, int64_t tokens, const real *state, real *scratch,
                        real *m)
{
    int64_t size = s->order * s->channels;
    real *next = scratch + size;
    memcpy(scratch, state, (size_t)size * sizeof(real));
    for (int64_t t = 0; t < tokens; t++) {
        memory_step(s, w, NULL, scratch, next);
        memcpy(scratch, next, (size_t)size * sizeof(real));
        for (int64_t e = 0; e < size; e++)
            m[t * size + e] += next[e];
    }
}

static void legendre_convolve(Backend *b, const LegendreShape *s, const Rows *rows, const Real *W, const Real *X,
                              Real *STATE, Real *M)
{
    int64_t q = s->order, d = s->channels, size = q * d;
    for (int r = 0; r < rows->count; r++) {
        int64_t first = rows->offset[r], tokens = rows->offset[r + 1] - first;
        real *h = b->workspace, *m = OUT(M) + first * size;
        impulse_responses(s, IN(W), tokens, h);
        for (int64_t t = 0; t < tokens; t++)
            for (int64_t i = 0; i < q; i++)
                for (int64_t c = 0; c < d; c++) {
                    const real *response = h + c / (d / s->groups) * tokens * q;
                    real total = 0;
                    for (int64_t u = 0; u <= t; u++)
                        total += response[(t - u) * q + i] * IN(X)[(first + u) * d + c];
                    m[t * size + i * d + c] = total;
                }
        if (!STATE || tokens == 0)
            continue;
        real *state = OUT(STATE) + rows->slot[r] * size;
        given_state(s, IN(W), tokens, state, h + s->groups * tokens * q, m);
        memcpy(state, m + (tokens - 1) * size, (size_t)size * sizeof(real));
    }
}

static void legendre_convolve_back(Backend *b, const LegendreShape *s, const Rows *rows, const Real *W, const Real *DM,
                                   Real *DX, bool add)
{
    int64_t q = s->order, d = s->channels, size = q * d;
    for (int r = 0; r < rows->count; r++) {
        int64_t first = rows->offset[r], tokens = rows->offset[r + 1] - first;
        real *h = b->workspace;
        impulse_responses(s, IN(W), tokens, h);
        for (int64_t u = 0; u < tokens; u++)
            for (int64_t c = 0; c < d; c++) {
                const real *response = h + c / (d / s->groups) * tokens * q;
                real total = 0;
                for (int64_t t = u; t < tokens; t++)
                    for (int64_t i = 0; i < q; i++)
                        total += response[(t - u) * q + i] * IN(DM)[(first + t) * size + i * d + c];
                STORE(OUT(DX)[(first + u) * d + c], total, add);
            }
    }
}

/* What implicit attention computes at one step: z = L m + bias and f(z) [3P x D]; of each head the scores Q K^T / sqrt(E) and their
 * softmax [P x P], and weight [P], behind which are dweight and dscore [P]. */
typedef struct AttentionStep {
    real *z, *f, *score, *softmax, *weight;
} AttentionStep;

/* One head: its channels first .. end-1, its parameters, its part of a step. */
typedef struct AttentionHead {
    int64_t first, end;
    const real *l, *bias, *p;
    real scale, width; /* width: the square root of its number of channels */
    real *score, *softmax, *weight;
} AttentionHead;

static AttentionHead attention_head(const LegendreShape *s, const AttentionParameters *a, const AttentionStep *o,
                                    int64_t h)
{
    int64_t p = a->reduced, e = s->channels / a->heads;
    return (AttentionHead){.first = h * e,
                           .end = (h + 1) * e,
                           .l = IN(a->l) + h * 3 * p * s->order,
                           .bias = IN(a->bias) + h * 3 * p,
                           .p = IN(a->p) + h * p,
                           .scale = a->scale ? IN(a->scale)[h] : 1,
                           .width = sqrt((real)e),
                           .score = o->score + h * p * p,
                           .softmax = o->softmax + h * p * p,
                           .weight = o->weight + h * 3 * p};
}

static void head_project(const LegendreShape *s, const AttentionParameters *a, const AttentionHead *head, const real *m,
                         AttentionStep *o)
{
    int64_t q = s->order, d = s->channels;
    for (int64_t i = 0; i < 3 * a->reduced; i++)
        for (int64_t c = head->first; c < head->end; c++) {
            real total = head->bias[i];
            for (int64_t j = 0; j < q; j++)
                total += head->l[i * q + j] * m[j * d + c];
            o->z[i * d + c] = total;
            o->f[i * d + c] = activation_value(a->activation, total);
        }
}

static void head_attend(const LegendreShape *s, int64_t p, const AttentionHead *head, const AttentionStep *o)
{
    int64_t d = s->channels;
    for (int64_t j = 0; j < p; j++)
        head->weight[j] = 0;
    for (int64_t i = 0; i < p; i++) {
        real *score = head->score + i * p, *row = head->softmax + i * p, top = 0, total = 0;
        for (int64_t j = 0; j < p; j++) {
            score[j] = 0;
            for (int64_t c = head->first; c < head->end; c++)
                score[j] += o->f[i * d + c] * o->f[(p + j) * d + c];
            score[j] /= head->width;
            row[j] = head->scale * score[j];
            top = j == 0 || row[j] > top ? row[j] : top;
        }
        for (int64_t j = 0; j < p; j++)
            total += row[j] = exp(row[j] - top);
        for (int64_t j = 0; j < p; j++) {
            row[j] /= total;
            head->weight[j] += head->p[i] * row[j];
        }
    }
}

static void attention_step(const LegendreShape *s, const AttentionParameters *a, const real *m, AttentionStep *o)
{
    for (int64_t h = 0; h < a->heads; h++) {
        AttentionHead head = attention_head(s, a, o, h);
        head_project(s, a, &head, m, o);
        head_attend(s, a->reduced, &head, o);
    }
}

/* Numbers of a step that belong to heads. */
static int64_t head_numbers(int64_t heads, int64_t p)
{
    return heads * (2 * p * p + 3 * p);
}

/* The workspace of one chunk: its states, then the arrays of one step. */
static real *attention_workspace(Backend *b, const LegendreShape *s, const AttentionParameters *a, AttentionStep *o,
                                 real **df)
{
    int64_t p = a->reduced;
    real *m = b->workspace;
    o->z = m + CHUNK * s->order * s->channels;
    o->f = o->z + 3 * p * s->channels;
    *df = o->f + 3 * p * s->channels;
    o->score = *df + 3 * p * s->channels;
    o->softmax = o->score + a->heads * p * p;
    o->weight = o->softmax + a->heads * p * p;
    return m;
}

static size_t legendre_workspace(Backend *b, const LegendreShape *s, int64_t heads, int64_t p)
{
    (void)b;
    int64_t numbers = (CHUNK + 1) * s->order * s->channels + 9 * p * s->channels + head_numbers(heads, p);
    return (size_t)numbers * sizeof(real);
}

/* y [D] of one step */
static void attention_output(const LegendreShape *s, const AttentionParameters *a, const AttentionStep *o, real *y)
{
    int64_t d = s->channels, p = a->reduced, e = d / a->heads;
    for (int64_t c = 0; c < d; c++) {
        const real *weight = o->weight + c / e * 3 * p;
        y[c] = 0;
        for (int64_t j = 0; j < p; j++)
            y[c] += weight[j] * o->f[(2 * p + j) * d + c];
    }
}

static void implicit_attention(Backend *b, const LegendreShape *s, const AttentionParameters *a, const Rows *rows,
                               const Real *W, const Real *X, const Real *BOUNDARY, Array Y)
{
    int64_t d = s->channels, size = s->order * d;
    AttentionStep o;
    real *df, *m = attention_workspace(b, s, a, &o, &df);
    for (int r = 0; r < rows->count; r++)
        for (int64_t k = 0; k < row_chunks(rows, r); k++) {
            ChunkSpan span = row_chunk(rows, r, k);
            memory_chunk(s, LEGENDRE_RECURRENT, IN(W), span.count, IN(X) + span.first * d,
                         IN(BOUNDARY) + span.boundary * size, m);
            for (int64_t t = 0; t < span.count; t++) {
                attention_step(s, a, m + t * size, &o);
                attention_output(s, a, &o, NUMBERS(Y) + (span.first + t) * d);
            }
        }
}

static void implicit_states(Backend *b, const LegendreShape *s, const AttentionParameters *a, const Rows *rows,
                            const Real *M, Real *Y)
{
    AttentionStep o;
    real *df;
    attention_workspace(b, s, a, &o, &df);
    for (int64_t i = 0; i < rows->tokens; i++) {
        attention_step(s, a, IN(M) + i * s->order * s->channels, &o);
        attention_output(s, a, &o, OUT(Y) + i * s->channels);
    }
}

/* df [3P x D] of a head from dy [D], and the gradients of its p and scale. */
static void head_step_back(const LegendreShape *s, int64_t p, const AttentionHead *head, const AttentionStep *o,
                           const real *dy, real *df, real *dp, real *dscale)
{
    int64_t d = s->channels;
    real *dweight = head->weight + p, *dscore = dweight + p;
    for (int64_t j = 0; j < p; j++) {
        dweight[j] = 0;
        for (int64_t c = head->first; c < head->end; c++) {
            dweight[j] += dy[c] * o->f[(2 * p + j) * d + c];
            df[(2 * p + j) * d + c] = head->weight[j] * dy[c];
        }
    }
    for (int64_t i = 0; i < p; i++) {
        const real *row = head->softmax + i * p;
        real mean = 0;
        for (int64_t j = 0; j < p; j++)
            mean += row[j] * dweight[j];
        dp[i] += mean;
        for (int64_t j = 0; j < p; j++) {
            dscore[j] = head->p[i] * row[j] * (dweight[j] - mean);
            if (dscale)
                *dscale += dscore[j] * head->score[i * p + j];
            dscore[j] = dscore[j] * head->scale / head->width;
            for (int64_t c = head->first; c < head->end; c++) {
                df[i * d + c] += dscore[j] * o->f[(p + j) * d + c];
                df[(p + j) * d + c] += dscore[j] * o->f[i * d + c];
            }
        }
    }
}

static void attention_step_back(const LegendreShape *s, const AttentionParameters *a, const AttentionStep *o,
                                const real *dy, real *df, const AttentionGradients *g)
{
    int64_t p = a->reduced;
    memset(df, 0, (size_t)(2 * p * s->channels) * sizeof(real));
    for (int64_t h = 0; h < a->heads; h++) {
        AttentionHead head = attention_head(s, a, o, h);
        head_step_back(s, p, &head, o, dy, df, OUT(g->p) + h * p, g->scale ? OUT(g->scale) + h : NULL);
    }
}

/* From df to dz, to the gradients of L and bias, and into the adjoint of M_t. */
static void projection_back(const LegendreShape *s, const AttentionParameters *a, const real *m, const AttentionStep *o,
                            const real *df, const AttentionGradients *g, real *adjoint)
{
    int64_t q = s->order, d = s->channels, e = d / a->heads;
    for (int64_t i = 0; i < 3 * a->reduced; i++)
        for (int64_t c = 0; c < d; c++) {
            int64_t row = c / e * 3 * a->reduced + i;
            real dz = df[i * d + c] * activation_slope(a->activation, o->z[i * d + c]);
            OUT(g->bias)[row] += dz;
            for (int64_t j = 0; j < q; j++) {
                OUT(g->l)[row * q + j] += dz * m[j * d + c];
                adjoint[j * d + c] += IN(a->l)[row * q + j] * dz;
            }
        }
}

static void gradients_begin(const LegendreShape *s, const AttentionParameters *a, const AttentionGradients *g)
{
    int64_t rows = a->heads * a->reduced;
    if (!g->add_l)
        memset(g->l, 0, (size_t)(3 * rows * s->order) * sizeof(real));
    if (!g->add_bias)
        memset(g->bias, 0, (size_t)(3 * rows) * sizeof(real));
    if (!g->add_p)
        memset(g->p, 0, (size_t)rows * sizeof(real));
    if (g->scale && !g->add_scale)
        memset(g->scale, 0, (size_t)a->heads * sizeof(real));
}

static void implicit_states_back(Backend *b, const LegendreShape *s, const AttentionParameters *a, const Rows *rows,
                                 const Real *M, const Real *DY, Real *DM, bool add, const AttentionGradients *g)
{
    int64_t size = s->order * s->channels;
    AttentionStep o;
    real *df;
    attention_workspace(b, s, a, &o, &df);
    gradients_begin(s, a, g);
    if (!add)
        memset(DM, 0, (size_t)(rows->tokens * size) * sizeof(real));
    for (int64_t i = 0; i < rows->tokens; i++) {
        attention_step(s, a, IN(M) + i * size, &o);
        attention_step_back(s, a, &o, IN(DY) + i * s->channels, df, g);
        projection_back(s, a, IN(M) + i * size, &o, df, g, OUT(DM) + i * size);
    }
}

static void implicit_attention_back(Backend *b, const LegendreShape *s, const AttentionParameters *a, const Rows *rows,
                                    const Real *W, const Real *X, Real *BOUNDARY, Array DY, Real *DX, bool add,
                                    const AttentionGradients *g)
{
    int64_t d = s->channels, size = s->order * d, p = a->reduced;
    AttentionStep o;
    real *df, *m = attention_workspace(b, s, a, &o, &df);
    real *adjoint = m + CHUNK * size + 9 * p * d + head_numbers(a->heads, p);
    gradients_begin(s, a, g);
    for (int r = 0; r < rows->count; r++) {
        memset(adjoint, 0, (size_t)size * sizeof(real));
        for (int64_t k = row_chunks(rows, r) - 1; k >= 0; k--) {
            ChunkSpan span = row_chunk(rows, r, k);
            memory_chunk(s, LEGENDRE_RECURRENT, IN(W), span.count, IN(X) + span.first * d,
                         IN(BOUNDARY) + span.boundary * size, m);
            for (int64_t t = span.count - 1; t >= 0; t--) {
                attention_step(s, a, m + t * size, &o);
                attention_step_back(s, a, &o, NUMBERS(DY) + (span.first + t) * d, df, g);
                projection_back(s, a, m + t * size, &o, df, g, adjoint);
                memory_step_back(s, IN(W), adjoint, DX ? OUT(DX) + (span.first + t) * d : NULL, add);
            }
        }
    }
}
