/* The Legendre memory as a causal convolution of x with the impulse response of the system, H_t = Abar^t Bbar, by Fourier
 * transforms (Chilkuri & Eliasmith 2021, eq. 26):
 *
 *     M_t = sum over s <= t of H_(t-s) x_s + Abar^(t+1) M_0
 *
 * A row of T tokens is padded with zeros to N >= 2T, so that nothing wraps around. Its gradient is the correlation of dM with H.
 * What a given state adds is the recurrence without input, until it has decayed, and a row of few tokens is the recurrence.
 *
 * Tasks are rows and blocks of neighbouring channels of one group. Impulse responses are computed in double, and are 0 from where
 * they have decayed: however long a text, no number is denormal. */
#include <fftw3.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kernel/fft.h"

#define CHUNK LEGENDRE_CHUNK
#define BLOCK 16      /* channels a task */
#define FEW CHUNK     /* tokens of a row to which a transform is not worth its padding */
#define DECAYED 1e-30 /* of a state, in every number */

/* -- transforms -- */

typedef struct Transform Transform;
struct Transform {
    int64_t n;
    fftwf_plan forward, backward; /* real numbers to half a spectrum and back, in place */
    const Transform *next;
};

/* The least N of the form 4 .. 7 times a power of two that holds a row of T tokens twice: few sizes, at most a quarter too long. */
static int64_t padded_length(int64_t tokens)
{
    int64_t power = 4;
    while (8 * power < 2 * tokens)
        power *= 2;
    int64_t n = 4 * power;
    while (n < 2 * tokens)
        n += power;
    return n;
}

/* Floats from one array to the next: N numbers or N/2 + 1 complex ones, in whole cache lines. */
static int64_t stride_of(int64_t n)
{
    return (n + 2 + 15) / 16 * 16;
}

static const Transform *transform_new(int64_t n, const Transform *next)
{
    Transform *t;
    float *numbers = fftwf_malloc((size_t)stride_of(n) * sizeof *numbers);
    if (!numbers || memory_new(&t, 1, sizeof *t, "a Fourier transform") != LMU_OK) {
        fftwf_free(numbers);
        return NULL;
    }
    t->n = n;
    t->next = next;
    t->forward = fftwf_plan_dft_r2c_1d((int)n, numbers, (fftwf_complex *)numbers, FFTW_ESTIMATE);
    t->backward = fftwf_plan_dft_c2r_1d((int)n, (fftwf_complex *)numbers, numbers, FFTW_ESTIMATE);
    fftwf_free(numbers);
    if (t->forward && t->backward)
        return t;
    free(t);
    return NULL;
}

/* Plans are made once for each length and kept; FFTW's planner serves one thread at a time. NULL: there is no memory. */
static const Transform *transform_of(int64_t n)
{
    static const Transform *known;
    const Transform *found;
#pragma omp critical(lmu_fftw)
    {
        for (found = known; found && found->n != n;)
            found = found->next;
        if (!found && n <= INT32_MAX && (found = transform_new(n, known)))
            known = found;
    }
    return found;
}

static void transform(const Transform *t, float *numbers)
{
    fftwf_execute_dft_r2c(t->forward, numbers, (fftwf_complex *)numbers);
}

static void transform_back(const Transform *t, float *numbers)
{
    fftwf_execute_dft_c2r(t->backward, (fftwf_complex *)numbers, numbers);
}

/* -- impulse responses -- */

/* h [C x Q] = Abar^C h, on which W's last block ends; false once all has decayed. */
static bool responses_jump(int64_t q, const float *w, double *h)
{
    const float *jump = w + (CHUNK - 1) * q * (q + CHUNK);
    double next[LEGENDRE_ORDER_LIMIT], most = 0;
    for (int64_t t = 0; t < CHUNK; t++, h += q) {
        for (int64_t i = 0; i < q; i++) {
            next[i] = 0;
            for (int64_t j = 0; j < q; j++)
                next[i] += (double)jump[i * (q + CHUNK) + j] * h[j];
            most = fmax(most, fabs(next[i]));
        }
        memcpy(h, next, (size_t)q * sizeof *h);
    }
    return most > DECAYED;
}

/* The spectra of H_0 .. H_(N/2-1) over N, of one system: [Q x stride]. The first C responses stand in W; from there they go on by
 * jumps of C steps, as chunks do, so that the rounding of Abar, of great powers, has no more to say than there. */
static void impulse_spectra(const LegendreShape *s, const float *w, const Transform *t, float *spectra)
{
    int64_t q = s->order, stride = stride_of(t->n);
    double h[CHUNK * LEGENDRE_ORDER_LIMIT];
    memset(spectra, 0, (size_t)(q * stride) * sizeof *spectra);
    for (int64_t i = 0; i < CHUNK * q; i++)
        h[i] = w[i * (q + CHUNK) + q];
    for (int64_t first = 0; first < t->n / 2; first += CHUNK) {
        for (int64_t step = 0; step < CHUNK && first + step < t->n / 2; step++)
            for (int64_t i = 0; i < q; i++)
                spectra[i * stride + first + step] = (float)(h[step * q + i] / (double)t->n);
        if (!responses_jump(q, w, h))
            break;
    }
    for (int64_t i = 0; i < q; i++)
        transform(t, spectra + i * stride);
}

/* -- one row and block of channels -- */

typedef struct Block {
    int64_t channels, order;    /* D, Q */
    int64_t first, tokens;      /* of the row */
    int64_t channel, count;     /* of the block */
    const float *w;             /* its system */
    const float *spectra;       /* [Q x stride] of its system */
    const Transform *transform; /* NULL: recurrence */
    float *inputs, *outputs;    /* [BLOCK x stride] */
} Block;

/* Columns of `from`, whose rows are `row` apart, as padded arrays. */
static void gather(const Block *k, int64_t row, const float *from, float *to)
{
    int64_t stride = stride_of(k->transform->n);
    for (int64_t t = 0; t < k->tokens; t++)
        for (int64_t c = 0; c < k->count; c++)
            to[c * stride + t] = from[t * row + c];
    for (int64_t c = 0; c < k->count; c++)
        memset(to + c * stride + k->tokens, 0, (size_t)(stride - k->tokens) * sizeof *to);
}

static void scatter(const Block *k, int64_t row, const float *from, float *to, bool add)
{
    int64_t stride = stride_of(k->transform->n);
    for (int64_t t = 0; t < k->tokens; t++)
        for (int64_t c = 0; c < k->count; c++)
            to[t * row + c] = add ? to[t * row + c] + from[c * stride + t] : from[c * stride + t];
}

/* y (+)= a b, or a conj(b) */
static void spectrum_multiply(int64_t n, const float *a, const float *b, bool conjugate, bool add, float *y)
{
    float sign = conjugate ? -1 : 1;
    for (int64_t i = 0; i < 2 * n; i += 2) {
        float real = a[i] * b[i] - sign * a[i + 1] * b[i + 1], imaginary = sign * a[i] * b[i + 1] + a[i + 1] * b[i];
        y[i] = add ? y[i] + real : real;
        y[i + 1] = add ? y[i + 1] + imaginary : imaginary;
    }
}

/* next [Q x BLOCK] = Abar^(t+1) state from block t of W, and + Bbar x, for t 0, unless x is NULL. */
static void block_step(const Block *k, int64_t t, const float *x, const float *state, float *next)
{
    int64_t q = k->order, width = q + CHUNK;
    for (int64_t i = 0; i < q; i++) {
        const float *row = k->w + (t * q + i) * width;
        float total[BLOCK] = {0};
        for (int64_t c = 0; x && c < k->count; c++)
            total[c] = row[q] * x[c];
        for (int64_t j = 0; j < q; j++)
            for (int64_t c = 0; c < BLOCK; c++)
                total[c] += row[j] * state[j * BLOCK + c];
        memcpy(next + i * BLOCK, total, sizeof total);
    }
}

/* [Q x BLOCK] from [Q x D]; NULL: 0 */
static void block_start(const Block *k, const float *from, float *state)
{
    memset(state, 0, (size_t)(k->order * BLOCK) * sizeof *state);
    for (int64_t i = 0; from && i < k->order; i++)
        memcpy(state + i * BLOCK, from + i * k->channels, (size_t)k->count * sizeof *state);
}

/* The recurrence from `start` into m [T x Q x D]. */
static void block_recurrence(const Block *k, const float *x, const float *start, float *m)
{
    int64_t q = k->order, d = k->channels;
    float states[2][LEGENDRE_ORDER_LIMIT * BLOCK];
    block_start(k, start, states[0]);
    for (int64_t t = 0; t < k->tokens; t++) {
        float *next = states[(t + 1) % 2];
        block_step(k, 0, x + t * d, states[t % 2], next);
        for (int64_t i = 0; i < q; i++)
            memcpy(m + (t * q + i) * d, next + i * BLOCK, (size_t)k->count * sizeof *m);
    }
}

/* Adds what a state at the start of the row still is at each step, until nothing is left of it. It goes on by jumps of C steps, as
 * impulse responses do. */
static void block_add_state(const Block *k, const float *start, float *m)
{
    int64_t q = k->order, d = k->channels;
    float state[LEGENDRE_ORDER_LIMIT * BLOCK], next[LEGENDRE_ORDER_LIMIT * BLOCK], most = INFINITY;
    block_start(k, start, state);
    for (int64_t t = 0; t < k->tokens && most > (float)DECAYED; t++) {
        block_step(k, t % CHUNK, NULL, state, next);
        for (int64_t i = 0; i < q; i++)
            for (int64_t c = 0; c < k->count; c++)
                m[(t * q + i) * d + c] += next[i * BLOCK + c];
        if (t % CHUNK < CHUNK - 1)
            continue;
        memcpy(state, next, (size_t)(q * BLOCK) * sizeof *state);
        most = 0;
        for (int64_t i = 0; i < q * BLOCK; i++)
            most = fabsf(state[i]) <= most ? most : fabsf(state[i]); /* NaN goes on */
    }
}

/* Arrays begin at the row's first token and the block's first channel. */
static void block_convolve(const Block *k, const float *x, float *state, float *m)
{
    int64_t q = k->order, d = k->channels;
    if (!k->transform) {
        block_recurrence(k, x, state, m);
    } else {
        int64_t n = k->transform->n, stride = stride_of(n);
        gather(k, d, x, k->inputs);
        for (int64_t c = 0; c < k->count; c++)
            transform(k->transform, k->inputs + c * stride);
        for (int64_t i = 0; i < q; i++) {
            for (int64_t c = 0; c < k->count; c++) {
                spectrum_multiply(n / 2 + 1, k->inputs + c * stride, k->spectra + i * stride, false, false,
                                  k->outputs + c * stride);
                transform_back(k->transform, k->outputs + c * stride);
            }
            scatter(k, q * d, k->outputs, m + i * d, false);
        }
        if (state)
            block_add_state(k, state, m);
    }
    for (int64_t i = 0; state && i < q; i++)
        memcpy(state + i * d, m + ((k->tokens - 1) * q + i) * d, (size_t)k->count * sizeof *state);
}

/* dx (+)= Bbar^T G_t, G_t = dM_t + Abar^T G_(t+1) */
static void block_recurrence_back(const Block *k, const float *dm, float *dx, bool add)
{
    int64_t q = k->order, d = k->channels, width = q + CHUNK;
    float adjoint[LEGENDRE_ORDER_LIMIT * BLOCK] = {0}, earlier[LEGENDRE_ORDER_LIMIT * BLOCK];
    for (int64_t t = k->tokens - 1; t >= 0; t--) {
        float input[BLOCK] = {0};
        for (int64_t i = 0; i < q; i++)
            for (int64_t c = 0; c < k->count; c++) {
                adjoint[i * BLOCK + c] += dm[(t * q + i) * d + c];
                input[c] += k->w[i * width + q] * adjoint[i * BLOCK + c];
            }
        for (int64_t c = 0; c < k->count; c++)
            dx[t * d + c] = add ? dx[t * d + c] + input[c] : input[c];
        memset(earlier, 0, (size_t)(q * BLOCK) * sizeof *earlier);
        for (int64_t i = 0; i < q; i++)
            for (int64_t j = 0; j < q; j++)
                for (int64_t c = 0; c < BLOCK; c++)
                    earlier[j * BLOCK + c] += k->w[i * width + j] * adjoint[i * BLOCK + c];
        memcpy(adjoint, earlier, (size_t)(q * BLOCK) * sizeof *adjoint);
    }
}

static void block_correlate(const Block *k, const float *dm, float *dx, bool add)
{
    int64_t q = k->order, d = k->channels;
    if (!k->transform) {
        block_recurrence_back(k, dm, dx, add);
        return;
    }
    int64_t n = k->transform->n, stride = stride_of(n);
    for (int64_t i = 0; i < q; i++) {
        gather(k, q * d, dm + i * d, k->inputs);
        for (int64_t c = 0; c < k->count; c++) {
            transform(k->transform, k->inputs + c * stride);
            spectrum_multiply(n / 2 + 1, k->inputs + c * stride, k->spectra + i * stride, true, i > 0,
                              k->outputs + c * stride);
        }
    }
    for (int64_t c = 0; c < k->count; c++)
        transform_back(k->transform, k->outputs + c * stride);
    scatter(k, d, k->outputs, dx, add);
}

/* -- all rows -- */

/* What a call works on: forward x, state and m, backward dm and dx. */
typedef struct Convolution {
    const LegendreShape *shape;
    const Rows *rows;
    const float *w, *x, *dm;
    float *state, *m, *dx;
    bool backward, add;
} Convolution;

static int64_t blocks_of(const LegendreShape *s)
{
    return (s->channels / s->groups + BLOCK - 1) / BLOCK;
}

static void convolve_block(const Convolution *v, int row, int64_t block, const Transform *t, const float *spectra,
                           float *scratch)
{
    const LegendreShape *s = v->shape;
    int64_t q = s->order, d = s->channels, share = d / s->groups, group = block / blocks_of(s);
    int64_t within = block % blocks_of(s) * BLOCK, stride = t ? stride_of(t->n) : 0;
    Block k = {.channels = d,
               .order = q,
               .first = v->rows->offset[row],
               .tokens = v->rows->offset[row + 1] - v->rows->offset[row],
               .channel = group * share + within,
               .count = share - within < BLOCK ? share - within : BLOCK,
               .w = v->w + group * legendre_system_numbers(s),
               .spectra = spectra + group * q * stride,
               .transform = t,
               .inputs = scratch,
               .outputs = scratch + BLOCK * stride};
    if (k.tokens == 0)
        return;
    int64_t token = k.first * d + k.channel, memory = k.first * q * d + k.channel;
    if (v->backward)
        block_correlate(&k, v->dm + memory, v->dx + token, v->add);
    else
        block_convolve(&k, v->x + token, v->state ? v->state + v->rows->slot[row] * q * d + k.channel : NULL,
                       v->m + memory);
}

/* The transform of a row, which depends on its length alone; NULL: none. */
static const Transform *row_transform(const Rows *rows, int row)
{
    int64_t tokens = rows->offset[row + 1] - rows->offset[row];
    return tokens <= FEW ? NULL : transform_of(padded_length(tokens));
}

/* Neighbouring rows of one padded length share the spectra of impulse responses and the threads. */
static void convolve(Backend *b, const Convolution *v)
{
    const LegendreShape *s = v->shape;
    int64_t q = s->order, blocks = s->groups * blocks_of(s);
    for (int row = 0, end; row < v->rows->count; row = end) {
        const Transform *t = row_transform(v->rows, row);
        for (end = row + 1; end < v->rows->count && row_transform(v->rows, end) == t;)
            end++;
        float *spectra = b->workspace;
        int64_t stride = t ? stride_of(t->n) : 0, used = s->groups * q * stride;
        int64_t work = v->rows->offset[end] - v->rows->offset[row];
#pragma omp parallel num_threads(b->threads) if (work * q * s->channels > 65536)
        {
            float *scratch = spectra + used + omp_get_thread_num() * 2 * BLOCK * stride;
#pragma omp for schedule(static)
            for (int64_t group = 0; group < s->groups; group++)
                if (t)
                    impulse_spectra(s, v->w + group * legendre_system_numbers(s), t, spectra + group * q * stride);
#pragma omp for schedule(static)
            for (int64_t task = 0; task < (end - row) * blocks; task++)
                convolve_block(v, row + (int)(task / blocks), task % blocks, t, spectra, scratch);
        }
    }
}

static void legendre_convolve(Backend *b, const LegendreShape *s, const Rows *rows, const Real *w, const Real *x,
                              Real *state, Real *m)
{
    convolve(b, &(Convolution){.shape = s,
                               .rows = rows,
                               .w = (const float *)w,
                               .x = (const float *)x,
                               .state = (float *)state,
                               .m = (float *)m});
}

static void legendre_convolve_back(Backend *b, const LegendreShape *s, const Rows *rows, const Real *w, const Real *dm,
                                   Real *dx, bool add)
{
    convolve(b, &(Convolution){.shape = s,
                               .rows = rows,
                               .w = (const float *)w,
                               .dm = (const float *)dm,
                               .dx = (float *)dx,
                               .backward = true,
                               .add = add});
}

static size_t legendre_convolve_workspace(Backend *b, const LegendreShape *s, int64_t tokens)
{
    int64_t stride = stride_of(padded_length(tokens));
    return (size_t)((s->groups * s->order + 2 * BLOCK * b->threads) * stride) * sizeof(float);
}

void kernels_fftw_override(Kernels *table)
{
    table->legendre_convolve = legendre_convolve;
    table->legendre_convolve_back = legendre_convolve_back;
    table->legendre_convolve_workspace = legendre_convolve_workspace;
}
