/* Products with bfloat16 inputs and float sums, by oneDNN. Operands in float are rounded into scratch memory; the primitive for a
 * shape is compiled when the shape first comes and kept, because compiling takes milliseconds. */
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kernel/gemm.h"

typedef struct Primitive {
    Product shape;
    GemmRows rows;
    bool bias, half; /* a bias is added; the result is bfloat16 */
    dnnl_primitive_t run;
    dnnl_memory_t a, b, bias_memory, c;
} Primitive;

struct GemmCache {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    Primitive *list;
    size_t count, capacity;
    size_t last; /* found last time: shapes come in the same order in every step */
};

static void primitive_free(const Primitive *primitive)
{
    dnnl_primitive_destroy(primitive->run);
    dnnl_memory_destroy(primitive->a);
    dnnl_memory_destroy(primitive->b);
    dnnl_memory_destroy(primitive->bias_memory);
    dnnl_memory_destroy(primitive->c);
}

void gemm_cache_close(GemmCache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < cache->count; i++) {
        primitive_free(&cache->list[i]);
    }
    if (cache->stream)
        dnnl_stream_destroy(cache->stream);
    if (cache->engine)
        dnnl_engine_destroy(cache->engine);
    free(cache->list);
    free(cache);
}

lmu_status gemm_cache_open(GemmCache **out)
{
    GemmCache *cache;
    TRY(memory_new(&cache, 1, sizeof *cache, "products"));
    if (dnnl_engine_create(&cache->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&cache->stream, cache->engine, dnnl_stream_default_flags) != dnnl_success) {
        gemm_cache_close(cache);
        return error_set(LMU_MEMORY, "oneDNN cannot be started");
    }
    *out = cache;
    return LMU_OK;
}

static bool same_product(const Primitive *primitive, const Product *y, const GemmRows *rows, bool bias, bool half)
{
    const Product *x = &primitive->shape;
    const GemmRows *own = &primitive->rows;
    return primitive->bias == bias && primitive->half == half && x->m == y->m && x->n == y->n && x->k == y->k &&
           x->transpose_a == y->transpose_a && x->transpose_b == y->transpose_b && x->add == y->add &&
           own->a == rows->a && own->b == rows->b && own->c == rows->c;
}

/* Rows x columns, row-major, or column-major if transposed; `step` numbers from one row in memory to the next. */
static bool describe(dnnl_memory_desc_t *out, int64_t rows, int64_t columns, int64_t step, dnnl_data_type_t type,
                     bool transposed)
{
    dnnl_dims_t size = {rows, columns}, steps = {transposed ? 1 : step, transposed ? step : 1};
    return dnnl_memory_desc_init_by_strides(out, 2, size, type, steps) == dnnl_success;
}

static bool primitive_build(const GemmCache *cache, const Product *p, const GemmRows *rows, bool bias, bool half,
                            Primitive *out)
{
    dnnl_memory_desc_t a, b, c, offset;
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t after = NULL;
    dnnl_primitive_desc_t description = NULL;
    *out = (Primitive){.shape = *p, .rows = *rows, .bias = bias, .half = half};
    bool built = describe(&a, p->m, p->k, rows->a, dnnl_bf16, p->transpose_a) &&
                 describe(&b, p->k, p->n, rows->b, dnnl_bf16, p->transpose_b) &&
                 describe(&c, p->m, p->n, rows->c, half ? dnnl_bf16 : dnnl_f32, false) &&
                 describe(&offset, 1, p->n, p->n, dnnl_f32, false) &&
                 dnnl_matmul_desc_init(&matmul, &a, &b, bias ? &offset : NULL, &c) == dnnl_success &&
                 dnnl_primitive_attr_create(&attributes) == dnnl_success &&
                 dnnl_post_ops_create(&after) == dnnl_success &&
                 (!p->add || dnnl_post_ops_append_sum(after, 1) == dnnl_success) &&
                 dnnl_primitive_attr_set_post_ops(attributes, after) == dnnl_success &&
                 dnnl_primitive_desc_create(&description, &matmul, attributes, cache->engine, NULL) == dnnl_success &&
                 dnnl_primitive_create(&out->run, description) == dnnl_success &&
                 dnnl_memory_create(&out->a, &a, cache->engine, DNNL_MEMORY_NONE) == dnnl_success &&
                 dnnl_memory_create(&out->b, &b, cache->engine, DNNL_MEMORY_NONE) == dnnl_success &&
                 dnnl_memory_create(&out->bias_memory, &offset, cache->engine, DNNL_MEMORY_NONE) == dnnl_success &&
                 dnnl_memory_create(&out->c, &c, cache->engine, DNNL_MEMORY_NONE) == dnnl_success;
    dnnl_primitive_desc_destroy(description);
    dnnl_post_ops_destroy(after);
    dnnl_primitive_attr_destroy(attributes);
    return built;
}

/* The primitive for a shape; NULL if oneDNN cannot make it. */
static Primitive *primitive_find(GemmCache *cache, const Product *p, const GemmRows *rows, bool bias, bool half)
{
    for (size_t i = 1; i <= cache->count; i++) {
        size_t at = (cache->last + i) % cache->count;
        if (same_product(&cache->list[at], p, rows, bias, half)) {
            cache->last = at;
            return &cache->list[at];
        }
    }
    if (memory_grow(&cache->list, &cache->capacity, cache->count + 1, sizeof *cache->list, "products") != LMU_OK)
        return NULL;
    Primitive *primitive = &cache->list[cache->count];
    if (!primitive_build(cache, p, rows, bias, half, primitive)) {
        primitive_free(primitive);
        return NULL;
    }
    cache->last = cache->count++;
    return primitive;
}

static size_t aligned(int64_t numbers)
{
    return ((size_t)numbers * sizeof(uint16_t) + 63) / 64 * 64;
}

size_t gemm_bf16_workspace(int64_t m, int64_t n, int64_t k)
{
    size_t mk = aligned(m * k), nk = aligned(n * k), mn = aligned(m * n), sum = mk + nk + mn;
    size_t least = mk < nk ? mk : nk;
    return sum - (mn < least ? mn : least); /* the two largest */
}

bool gemm_bf16(Backend *b, const Product *p, const GemmRows *rows, Array x, Array y, const Real *bias, Array z)
{
    Primitive *primitive = b->gemm ? primitive_find(b->gemm, p, rows, bias != NULL, z.half) : NULL;
    uint16_t *left = x.data, *right = y.data;
    if (!primitive)
        return false;
    if (!x.half)
        b->kernels->to_bf16(b, p->m * p->k, x.data, left = b->workspace);
    if (!y.half)
        b->kernels->to_bf16(b, p->k * p->n, y.data,
                            right = (uint16_t *)((char *)b->workspace + (x.half ? 0 : aligned(p->m * p->k))));
    dnnl_memory_set_data_handle(primitive->a, left);
    dnnl_memory_set_data_handle(primitive->b, right);
    dnnl_memory_set_data_handle(primitive->bias_memory, (void *)(uintptr_t)bias);
    dnnl_memory_set_data_handle(primitive->c, z.data);
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, primitive->a},
                                   {DNNL_ARG_WEIGHTS, primitive->b},
                                   {DNNL_ARG_DST, primitive->c},
                                   {DNNL_ARG_BIAS, primitive->bias_memory}};
    return dnnl_primitive_execute(primitive->run, b->gemm->stream, bias ? 4 : 3, arguments) == dnnl_success &&
           dnnl_stream_wait(b->gemm->stream) == dnnl_success;
}

static bool bf16_known;

static void bf16_find(void)
{
    const Product small = {.m = 16, .n = 16, .k = 16};
    const GemmRows rows = gemm_rows(&small);
    GemmCache *cache = NULL;
    Primitive primitive = {0};
    bf16_known = gemm_cache_open(&cache) == LMU_OK && primitive_build(cache, &small, &rows, true, true, &primitive);
    primitive_free(&primitive);
    gemm_cache_close(cache);
}

bool gemm_bf16_known(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, bf16_find);
    return bf16_known;
}
