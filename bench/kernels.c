/* Kernels alone, on operands of a micro-batch of the standard model: N = 2 rows of T = 1,024 tokens, D = 256, F = 1,024, V = 8,192.
 *
 * A kernel that calculates is held against the product ceiling, one that moves numbers against copying as many bytes, in the
 * same run. Where products multiply bfloat16, so do the kernels that then differ, on arrays of the types that training gives. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "measure.h"
#include "train/trainer.h"

enum {
    ROWS = 2,
    T = 1024,
    N = ROWS * T,
    D = 256,
    F = 4 * D,
    V = 8192,
    H = 4,
    BLOCK = 256,
    GROUPS = 16, /* of channels, where they have a theta each */
    CHUNKS = N / LEGENDRE_CHUNK
};
enum { NUMBERS = 4 * 1024 * 1024, ARRAYS = 6 }; /* of an array: N x F, the largest operand */

typedef struct Bench {
    Backend *b;
    bool half;
    int64_t order;
    Real *array[ARRAYS], *small[4]; /* large operands; gains, biases and the like */
    int32_t *ids;
    Real *chunk_matrix, *gradients;
    void *packed;
    int64_t offset[ROWS + 1], zero[ROWS], slot[ROWS], chunk[ROWS + 1];
    Rows rows;
} Bench;

static Array typed(const Bench *k, Real *data)
{
    return (Array){data, k->half};
}

/* -- the calls -- */

#define WORK(name, ...)                                                                                                \
    static void name(void *context)                                                                                    \
    {                                                                                                                  \
        Bench *k = context;                                                                                            \
        Real **x = k->array, **s = k->small;                                                                           \
        (void)x, (void)s;                                                                                              \
        __VA_ARGS__                                                                                                    \
    }

WORK(run_norm, KERNEL(k->b, norm, NORM_LAYER, N, D, 1e-5, x[0], s[0], s[1], typed(k, x[1]), x[2], x[3]);)
WORK(run_norm_back, KERNEL(k->b, norm_back, NORM_LAYER, N, D, x[0], s[0], x[2], x[3], x[1], x[4], false);)
WORK(run_norm_back_parameters,
     KERNEL(k->b, norm_back_parameters, NORM_LAYER, N, D, x[0], x[2], x[3], x[1], s[2], false, s[3], false);)
WORK(run_gelu, KERNEL(k->b, activate, ACTIVATION_GELU, N, F, typed(k, x[0]), typed(k, x[1]));)
WORK(run_gelu_back,
     KERNEL(k->b, activate_back, ACTIVATION_GELU, N, F, typed(k, x[0]), typed(k, x[1]), typed(k, x[2]), false);)
WORK(run_sum, KERNEL(k->b, sum, NUMBERS / 4, x[0], x[1], x[2]);)
WORK(run_gather, KERNEL(k->b, gather, N, 1, D, k->ids, NULL, x[0], x[1]);)
WORK(run_gather_back, KERNEL(k->b, gather_back, N, 1, V, D, k->ids, NULL, x[1], x[2], true);)
WORK(run_cross_entropy, KERNEL(k->b, cross_entropy, BLOCK, V, x[0], k->ids, NULL, 1e-4, typed(k, x[1]), s[0]);)
WORK(run_sum_squares, double out; KERNEL(k->b, sum_squares, NUMBERS, x[0], &out);)
WORK(run_adamw, AdamW adamw = {1e-4, 0.9, 0.95, 1e-8, 0.1, 1, 10};
     KERNEL(k->b, adamw, NUMBERS, &adamw, x[0], x[1], x[2], x[3]);)
WORK(run_product, Product product = {.transpose_b = true, .m = N, .n = F, .k = D};
     KERNEL(k->b, product, &product, typed(k, x[0]), typed(k, x[1]), NULL, typed(k, x[2]));)
WORK(run_product_weight, Product product = {.transpose_a = true, .m = F, .n = D, .k = N};
     KERNEL(k->b, product, &product, typed(k, x[0]), typed(k, x[1]), NULL, array_of(x[2]));)

static void run_rows(Bench *k, int64_t n)
{
    if (k->half)
        KERNEL(k->b, product_rows_bf16, n, 4 * F, F, k->array[0], k->packed, NULL, k->array[1]);
    else
        KERNEL(k->b, product_rows, n, 4 * F, F, k->array[0], k->packed, NULL, k->array[1]);
}
WORK(run_rows_1, run_rows(k, 1);)
WORK(run_rows_32, run_rows(k, 32);)

static void scan(Bench *k, int64_t groups)
{
    LegendreShape shape = {D, k->order, groups};
    KERNEL(k->b, legendre_scan, &shape, LEGENDRE_CHUNKED, &k->rows, k->chunk_matrix, k->array[0], NULL, k->array[3]);
}
WORK(run_scan, scan(k, 1);)
WORK(run_scan_groups, scan(k, GROUPS);)

/* What of implicit attention differs from the paper's: groups with a theta each, heads, the activation. */
typedef struct Variant {
    int64_t groups, heads;
    Activation activation;
} Variant;
static const Variant paper = {1, 1, ACTIVATION_GELU}, grouped = {GROUPS, 1, ACTIVATION_GELU},
                     headed = {1, H, ACTIVATION_GELU}, with_relu = {1, 1, ACTIVATION_RELU},
                     with_relu2 = {1, 1, ACTIVATION_RELU2}, linear = {1, 1, ACTIVATION_NONE};

static AttentionParameters parameters(const Bench *k, const Variant *v)
{
    return (AttentionParameters){k->order, v->heads, v->activation, k->small[0], k->small[1], k->small[2], NULL};
}

static void implicit(Bench *k, const Variant *v)
{
    LegendreShape shape = {D, k->order, v->groups};
    AttentionParameters p = parameters(k, v);
    KERNEL(k->b, implicit_attention, &shape, &p, &k->rows, k->chunk_matrix, k->array[0], k->array[3],
           typed(k, k->array[1]));
}

static void implicit_back(Bench *k, const Variant *v)
{
    LegendreShape shape = {D, k->order, v->groups};
    AttentionParameters p = parameters(k, v);
    AttentionGradients g = {
        .l = k->gradients, .bias = real_at(k->b, k->gradients, 1024 * H), .p = real_at(k->b, k->gradients, 2048 * H)};
    scan(k, v->groups); /* the boundaries, which the backward pass overwrites */
    KERNEL(k->b, implicit_attention_back, &shape, &p, &k->rows, k->chunk_matrix, k->array[0], k->array[3],
           typed(k, k->array[1]), k->array[2], false, &g);
}

WORK(run_implicit, implicit(k, &paper);)
WORK(run_implicit_back, implicit_back(k, &paper);)
WORK(run_implicit_groups, implicit(k, &grouped);)
WORK(run_implicit_groups_back, implicit_back(k, &grouped);)
WORK(run_implicit_heads, implicit(k, &headed);)
WORK(run_implicit_heads_back, implicit_back(k, &headed);)
WORK(run_implicit_relu, implicit(k, &with_relu);)
WORK(run_implicit_relu_back, implicit_back(k, &with_relu);)
WORK(run_implicit_relu2, implicit(k, &with_relu2);)
WORK(run_implicit_relu2_back, implicit_back(k, &with_relu2);)
WORK(run_implicit_none, implicit(k, &linear);)
WORK(run_implicit_none_back, implicit_back(k, &linear);)

WORK(run_causal, KERNEL(k->b, causal_attention, &k->rows, D, H, T, typed(k, x[0]), NULL, typed(k, x[1]), x[2]);)
WORK(run_causal_back, KERNEL(k->b, causal_attention_back, &k->rows, D, H, T, typed(k, x[0]), NULL, typed(k, x[1]), x[2],
                             typed(k, x[3]), typed(k, x[4]), false);)

/* -- what they cost by definition -- */

#define Q(order) ((double)(order))
#define IMPLICIT(q) (2.0 * N * D * (Q(q) * (Q(q) + 1) + 3 * Q(q) * Q(q) + Q(q) * Q(q) + Q(q)))
#define SCAN(q) (2.0 * N * D * Q(q) * (Q(q) + LEGENDRE_CHUNK) / LEGENDRE_CHUNK)

/* Bytes: numbers that are always float, and numbers in the type of products. */
typedef struct Kernel {
    const char *name;
    Work *work;
    int order;            /* of the Legendre memory; 0: none */
    double flops;         /* 0: it moves numbers */
    double floats, typed; /* read and written */
    double passes;        /* over the memory that it holds, for those bytes; 0: one */
    bool both;            /* another kernel, or other types, where products multiply bfloat16 */
} Kernel;

static const Kernel kernels[] = {
    {"norm", run_norm, 0, 0, (double)N *D, (double)N *D, 0, true},
    {"norm_back", run_norm_back, 0, 0, 3.0 * N *D, 0, 0, false},
    {"norm_back_parameters", run_norm_back_parameters, 0, 0, 2.0 * N *D, 0, 0, false},
    {"gelu", run_gelu, 0, 0, 0, 2.0 * N *F, 0, true},
    {"gelu_back", run_gelu_back, 0, 0, 0, 3.0 * N *F, 0, true},
    {"sum", run_sum, 0, 0, 3.0 * NUMBERS / 4, 0, 0, false},
    {"gather", run_gather, 0, 0, 2.0 * N *D, 0, 0, false},
    {"gather_back", run_gather_back, 0, 0, 3.0 * N *D, 0, 0, false},
    {"cross_entropy", run_cross_entropy, 0, 0, (double)BLOCK *V, (double)BLOCK *V, 0, true},
    {"sum_squares", run_sum_squares, 0, 0, NUMBERS, 0, 0, false},
    {"adamw", run_adamw, 0, 0, 7.0 * NUMBERS, 0, 7.0 / 4, false},
    {"product", run_product, 0, 2.0 * N *D *F, 0, 0, 0, true},
    {"product_weight_gradient", run_product_weight, 0, 2.0 * N *D *F, 0, 0, 0, true},
    {"product_rows_1", run_rows_1, 0, 0, 0, 4.0 * F *F, 0, true},
    {"product_rows_32", run_rows_32, 0, 2.0 * 32 * 4 * F *F, 0, 0, 0, true},
    {"legendre_scan_8", run_scan, 8, SCAN(8), 0, 0, 0, false},
    {"legendre_scan_16", run_scan, 16, SCAN(16), 0, 0, 0, false},
    {"implicit_attention_8", run_implicit, 8, IMPLICIT(8), 0, 0, 0, true},
    {"implicit_attention_16", run_implicit, 16, IMPLICIT(16), 0, 0, 0, true},
    {"implicit_attention_back_8", run_implicit_back, 8, 2 * IMPLICIT(8), 0, 0, 0, true},
    {"implicit_attention_back_16", run_implicit_back, 16, 2 * IMPLICIT(16), 0, 0, 0, true},
    {"legendre_scan_groups_8", run_scan_groups, 8, SCAN(8), 0, 0, 0, false},
    {"implicit_attention_groups_8", run_implicit_groups, 8, IMPLICIT(8), 0, 0, 0, true},
    {"implicit_attention_groups_back_8", run_implicit_groups_back, 8, 2 * IMPLICIT(8), 0, 0, 0, true},
    {"implicit_attention_heads_8", run_implicit_heads, 8, IMPLICIT(8), 0, 0, 0, true},
    {"implicit_attention_heads_back_8", run_implicit_heads_back, 8, 2 * IMPLICIT(8), 0, 0, 0, true},
    {"implicit_attention_relu_8", run_implicit_relu, 8, IMPLICIT(8), 0, 0, 0, true},
    {"implicit_attention_relu_back_8", run_implicit_relu_back, 8, 2 * IMPLICIT(8), 0, 0, 0, true},
    {"implicit_attention_relu2_8", run_implicit_relu2, 8, IMPLICIT(8), 0, 0, 0, true},
    {"implicit_attention_relu2_back_8", run_implicit_relu2_back, 8, 2 * IMPLICIT(8), 0, 0, 0, true},
    {"implicit_attention_none_8", run_implicit_none, 8, IMPLICIT(8), 0, 0, 0, true},
    {"implicit_attention_none_back_8", run_implicit_none_back, 8, 2 * IMPLICIT(8), 0, 0, 0, true},
    {"causal_attention", run_causal, 0, 2.0 * N *D *T, 0, 0, 0, true},
    {"causal_attention_back", run_causal_back, 0, 4.0 * N *D *T, 0, 0, 0, true},
};

/* -- operands -- */

static lmu_status fill(Bench *k)
{
    float *numbers;
    TRY(memory_new(&numbers, NUMBERS, sizeof *numbers, "a bench"));
    for (int i = 0; i < ARRAYS; i++) {
        for (int64_t j = 0; j < NUMBERS; j++)
            numbers[j] = (float)(((uint32_t)(j * ARRAYS + i) * 2654435761u >> 8) * 0x1p-24) + (i < 2 ? -0.5f : 0.01f);
        KERNEL(k->b, put_f32, NUMBERS, numbers, k->array[i]);
        if (k->half && i < 4) {
            KERNEL(k->b, to_bf16, NUMBERS, k->array[i], (uint16_t *)k->gradients);
            memcpy((void *)k->array[i], k->gradients, NUMBERS * sizeof(uint16_t));
        }
    }
    for (int i = 0; i < 4; i++)
        KERNEL(k->b, put_f32, 4 * F, numbers, k->small[i]);
    bench_ids(N, V, 0, (int32_t *)numbers);
    KERNEL(k->b, put_bytes, N * sizeof *k->ids, numbers, k->ids);
    free(numbers);
    return LMU_OK;
}

static lmu_status legendre(Bench *k, int64_t order)
{
    static double abar[LEGENDRE_ORDER_LIMIT * LEGENDRE_ORDER_LIMIT], bbar[LEGENDRE_ORDER_LIMIT];
    static double w[LEGENDRE_CHUNK * 16 * (16 + LEGENDRE_CHUNK)];
    LegendreShape shape = {D, order, GROUPS};
    int64_t numbers = legendre_system_numbers(&shape);
    k->order = order;
    TRY(legendre_discretise(order, 32, false, abar, bbar));
    legendre_chunk_matrix(order, LEGENDRE_CHUNK, abar, bbar, w);
    for (int64_t i = 0; i < GROUPS; i++) /* one system again and again, as far as the kernels know many */
        KERNEL(k->b, put_f64, numbers, w, real_at(k->b, k->chunk_matrix, i * numbers));
    TRY(backend_reserve(k->b, k->b->kernels->legendre_workspace(k->b, &shape, 1, order)));
    TRY(backend_reserve(k->b, k->b->kernels->legendre_workspace(k->b, &shape, H, order)));
    run_scan(k);
    return LMU_OK;
}

static lmu_status bench_open(int64_t threads, ComputeChoice compute, Bench *k)
{
    *k = (Bench){0};
    TRY(bench_backend(threads, compute, &k->b));
    const Kernels *t = k->b->kernels;
    k->half = k->b->compute == COMPUTE_BF16;
    for (int i = 0; i < ARRAYS; i++)
        TRY(backend_alloc(k->b, NUMBERS * sizeof(float), &k->array[i]));
    for (int i = 0; i < 4; i++)
        TRY(backend_alloc(k->b, 4 * F * sizeof(float), &k->small[i]));
    TRY(backend_alloc(k->b, N * sizeof *k->ids, &k->ids));
    TRY(backend_alloc(k->b, sizeof(double) * GROUPS * LEGENDRE_CHUNK * 16 * (16 + LEGENDRE_CHUNK), &k->chunk_matrix));
    TRY(backend_alloc(k->b, NUMBERS * sizeof(float), &k->gradients));
    TRY(backend_alloc(k->b, k->half ? t->packed_bytes_bf16(k->b, 4 * F, F) : t->packed_bytes(k->b, 4 * F, F),
                      &k->packed));
    TRY(backend_reserve(k->b, t->product_workspace(k->b, N, F, D)));
    TRY(backend_reserve(k->b, t->product_rows_bf16_workspace(k->b, 32, F)));
    TRY(backend_reserve(k->b, t->causal_attention_workspace(k->b, D, H, T)));
    for (int r = 0; r <= ROWS; r++) {
        k->offset[r] = r * T;
        k->chunk[r] = r * T / LEGENDRE_CHUNK;
    }
    for (int r = 0; r < ROWS; r++)
        k->slot[r] = r;
    k->rows = (Rows){ROWS, N, k->offset, k->zero, k->slot, k->slot, k->chunk};
    return fill(k);
}

/* -- measuring -- */

static lmu_status bench_kernel(Bench *k, const Kernel *kernel, double ceiling)
{
    double seconds, scanning = 0, reference, bytes = 4 * kernel->floats + (k->half ? 2 : 4) * kernel->typed;
    TRY(fill(k));
    if (kernel->order)
        TRY(legendre(k, kernel->order));
    if (k->half)
        KERNEL(k->b, pack_bf16, 4 * F, F, k->array[3], k->packed);
    else
        KERNEL(k->b, pack, 4 * F, F, k->array[3], k->packed);
    if (kernel->order && strstr(kernel->name, "_back_"))
        scanning = measure(kernel->work == run_implicit_groups_back ? run_scan_groups : run_scan, k);
    seconds = measure(kernel->work, k) - scanning;
    json_t *line =
        json_pack("{s:s, s:s, s:f}", "bench", "kernel", "kernel", kernel->name, "microseconds", 1e6 * seconds);
    if (kernel->flops > 0) {
        json_object_set_new(line, "gflops", json_real(kernel->flops / seconds / 1e9));
        json_object_set_new(line, "share_of_ceiling", json_real(kernel->flops / seconds / ceiling));
    } else {
        bool reads = kernel->work == run_sum_squares || kernel->work == run_rows_1;
        double passes = kernel->passes > 0 ? kernel->passes : 1;
        TRY((reads ? measure_read : measure_copy)(k->b->threads, bytes / passes, &reference));
        reference *= passes;
        json_object_set_new(line, "gigabytes_per_second", json_real(bytes / seconds / 1e9));
        json_object_set_new(line, reads ? "share_of_reading" : "share_of_copying", json_real(reference / seconds));
    }
    return bench_line(k->b, line);
}

static lmu_status bench_threads(const BenchOptions *o, int64_t threads, ComputeChoice compute)
{
    Bench k;
    double ceiling;
    lmu_status status;
    ATTEMPT(bench_open(threads, compute, &k));
    ATTEMPT(product_ceiling(k.b, &ceiling));
    ATTEMPT(bench_line(k.b, json_pack("{s:s, s:f}", "bench", "product ceiling", "gflops", ceiling / 1e9)));
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if ((kernels[i].both || !k.half) && (!o->kernel || strncmp(kernels[i].name, o->kernel, strlen(o->kernel)) == 0))
            ATTEMPT(bench_kernel(&k, &kernels[i], ceiling));
done:
    backend_close(k.b);
    return status;
}

static lmu_status kernels_all(const BenchOptions *o)
{
    int all = o->threads ? (int)o->threads : machine_threads(NULL, 0);
    for (int threads = 1; threads <= all; threads = threads < all ? all : all + 1) {
        TRY(bench_threads(o, threads, COMPUTE_CHOICE_F32));
        Backend *probe;
        TRY(bench_backend(threads, COMPUTE_CHOICE_AUTO, &probe));
        bool bf16 = probe->compute == COMPUTE_BF16;
        backend_close(probe);
        if (bf16)
            TRY(bench_threads(o, threads, COMPUTE_CHOICE_BF16));
    }
    return LMU_OK;
}

lmu_status bench_kernels(const BenchOptions *o)
{
    return bench_apart(kernels_all, o, "kernels");
}
