/* The forms of the Legendre memory over the length of a row: the memory alone with all its states, and implicit attention on it, forward
 * and backward, in float; order 8, dim 128. Short rows are batches of as many tokens as 8,192. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "measure.h"

enum { D = 128, ORDER = 8, LEAST = 8192, ROWS_MOST = LEAST / 256 };

typedef struct Bench {
    Backend *b;
    LegendreShape shape;
    Rows rows;
    int64_t offset[ROWS_MOST + 1], chunk[ROWS_MOST + 1], zero[ROWS_MOST], slot[ROWS_MOST];
    Real *w, *x, *y, *dx, *boundary, *m, *dm, *small; /* small: parameters of attention, and their gradients */
} Bench;

static AttentionParameters parameters(const Bench *k)
{
    return (AttentionParameters){.reduced = ORDER,
                                 .heads = 1,
                                 .l = k->small,
                                 .bias = real_at(k->b, k->small, 1024),
                                 .p = real_at(k->b, k->small, 2048)};
}

static AttentionGradients gradients(const Bench *k)
{
    Real *at[3];
    for (int i = 0; i < 3; i++)
        at[i] = real_at(k->b, k->small, (i + 3) * 1024);
    return (AttentionGradients){.l = at[0], .bias = at[1], .p = at[2]};
}

static void scan(Bench *k, LegendreForm form)
{
    KERNEL(k->b, legendre_scan, &k->shape, form, &k->rows, k->w, k->x, NULL, k->boundary);
}

static void memory(Bench *k, LegendreForm form)
{
    if (form == LEGENDRE_FFT) {
        KERNEL(k->b, legendre_convolve, &k->shape, &k->rows, k->w, k->x, NULL, k->m);
        return;
    }
    scan(k, form);
    KERNEL(k->b, legendre_memory, &k->shape, form, &k->rows, k->w, k->x, k->boundary, k->m);
}

static void memory_back(Bench *k, LegendreForm form)
{
    if (form == LEGENDRE_FFT)
        KERNEL(k->b, legendre_convolve_back, &k->shape, &k->rows, k->w, k->dm, k->dx, false);
    else
        KERNEL(k->b, legendre_memory_back, &k->shape, form, &k->rows, k->w, k->dm, k->boundary, k->dx, false);
}

static void attention(Bench *k, LegendreForm form)
{
    AttentionParameters p = parameters(k);
    AttentionGradients g = gradients(k);
    memory(k, form);
    KERNEL(k->b, implicit_states, &k->shape, &p, &k->rows, k->m, k->y);
    KERNEL(k->b, implicit_states_back, &k->shape, &p, &k->rows, k->m, k->y, k->dm, false, &g);
    memory_back(k, form);
}

#define FORM(name, form)                                                                                               \
    static void name##_states(void *context)                                                                           \
    {                                                                                                                  \
        memory(context, form);                                                                                         \
    }                                                                                                                  \
    static void name##_states_both(void *context)                                                                      \
    {                                                                                                                  \
        memory(context, form);                                                                                         \
        memory_back(context, form);                                                                                    \
    }                                                                                                                  \
    static void name##_attention(void *context)                                                                        \
    {                                                                                                                  \
        attention(context, form);                                                                                      \
    }
FORM(recurrent, LEGENDRE_RECURRENT)
FORM(chunked, LEGENDRE_CHUNKED)
FORM(fft, LEGENDRE_FFT)

static void fused_attention(void *context)
{
    Bench *k = context;
    AttentionParameters p = parameters(k);
    AttentionGradients g = gradients(k);
    scan(k, LEGENDRE_CHUNKED);
    KERNEL(k->b, implicit_attention, &k->shape, &p, &k->rows, k->w, k->x, k->boundary, array_of(k->y));
    KERNEL(k->b, implicit_attention_back, &k->shape, &p, &k->rows, k->w, k->x, k->boundary, array_of(k->y), k->dx,
           false, &g);
}

static const struct {
    const char *form, *what;
    Work *work;
} works[] = {
    {"recurrent", "states", recurrent_states},
    {"chunked", "states", chunked_states},
    {"fft", "states", fft_states},
    {"recurrent", "states and gradient", recurrent_states_both},
    {"chunked", "states and gradient", chunked_states_both},
    {"fft", "states and gradient", fft_states_both},
    {"fused", "attention and gradient", fused_attention},
    {"recurrent", "attention and gradient", recurrent_attention},
    {"chunked", "attention and gradient", chunked_attention},
    {"fft", "attention and gradient", fft_attention},
};

static lmu_status fill(Bench *k, int64_t n, Real *to)
{
    float *numbers;
    TRY(memory_new(&numbers, (size_t)n, sizeof *numbers, "a bench"));
    for (int64_t i = 0; i < n; i++)
        numbers[i] = (float)((uint32_t)i * 2654435761u >> 8) * 0x1p-24f - 0.5f;
    KERNEL(k->b, put_f32, n, numbers, to);
    free(numbers);
    return LMU_OK;
}

static lmu_status bench_open(int64_t threads, int64_t length, Bench *k)
{
    static double abar[ORDER * ORDER], bbar[ORDER], w[LEGENDRE_CHUNK * ORDER * (ORDER + LEGENDRE_CHUNK)];
    int rows = length < LEAST ? (int)(LEAST / length) : 1;
    int64_t tokens = rows * length, chunks = tokens / LEGENDRE_CHUNK, numbers = tokens * D;
    *k = (Bench){.shape = {D, ORDER, 1}};
    TRY(bench_backend(threads, COMPUTE_CHOICE_F32, &k->b));
    for (int r = 0; r <= rows; r++) {
        k->offset[r] = r * length;
        k->chunk[r] = r * length / LEGENDRE_CHUNK;
    }
    for (int r = 0; r < rows; r++)
        k->slot[r] = r;
    k->rows = (Rows){rows, tokens, k->offset, k->zero, k->slot, k->slot, k->chunk};
    const struct {
        Real **array;
        int64_t numbers;
    } arrays[] = {{&k->w, legendre_system_numbers(&k->shape)},
                  {&k->x, numbers},
                  {&k->y, numbers},
                  {&k->dx, numbers},
                  {&k->boundary, chunks * ORDER * D},
                  {&k->m, ORDER * numbers},
                  {&k->dm, ORDER * numbers},
                  {&k->small, 6 * 1024}};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        TRY(backend_alloc(k->b, (size_t)arrays[i].numbers * sizeof(float), arrays[i].array));
        TRY(fill(k, arrays[i].numbers, *arrays[i].array));
    }
    TRY(legendre_discretise(ORDER, 32, false, abar, bbar));
    legendre_chunk_matrix(ORDER, LEGENDRE_CHUNK, abar, bbar, w);
    KERNEL(k->b, put_f64, arrays[0].numbers, w, k->w);
    TRY(backend_reserve(k->b, k->b->kernels->legendre_workspace(k->b, &k->shape, 1, ORDER)));
    return backend_reserve(k->b, k->b->kernels->legendre_convolve_workspace(k->b, &k->shape, length));
}

static lmu_status bench_row(int64_t threads, int64_t length)
{
    Bench k;
    lmu_status status;
    ATTEMPT(bench_open(threads, length, &k));
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        ATTEMPT(bench_line(k.b, json_pack("{s:s, s:s, s:s, s:I, s:f}", "bench", "memory", "form", works[i].form, "what",
                                          works[i].what, "length", (json_int_t)length, "nanoseconds_a_token",
                                          1e9 * measure(works[i].work, &k) / (double)k.rows.tokens)));
done:
    backend_close(k.b);
    return status;
}

static lmu_status memory_all(const BenchOptions *o)
{
    static const int64_t lengths[] = {256, 1024, 8192, 65536};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        TRY(bench_row(o->threads ? o->threads : 1, lengths[i]));
    return LMU_OK;
}

lmu_status bench_memory(const BenchOptions *o)
{
    return bench_apart(memory_all, o, "memory");
}
