/* Products with bfloat16 inputs and float sums, by oneDNN. Both operands are rounded into scratch memory; the primitive for a
 * shape is compiled when the shape first comes and kept, because compiling takes milliseconds. */
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kernel/gemm.h"

typedef struct Primitive {
    Product shape;
    dnnl_primitive_t run;
    dnnl_memory_t a, b, c;
} Primitive;

struct GemmCache {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    Primitive *list;
    size_t count, capacity;
    size_t last; /* found last time: shapes come in the same order in every step */
};

void gemm_cache_close(GemmCache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < cache->count; i++) {
        dnnl_primitive_destroy(cache->list[i].run);
        dnnl_memory_destroy(cache->list[i].a);
        dnnl_memory_destroy(cache->list[i].b);
        dnnl_memory_destroy(cache->list[i].c);
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

static bool same_shape(const Product *x, const Product *y)
{
    return x->m == y->m && x->n == y->n && x->k == y->k && x->transpose_a == y->transpose_a &&
           x->transpose_b == y->transpose_b && x->add == y->add;
}

/* Rows x columns, row-major, or column-major if transposed. */
static bool describe(dnnl_memory_desc_t *out, int64_t rows, int64_t columns, dnnl_data_type_t type, bool transposed)
{
    dnnl_dims_t size = {rows, columns};
    return dnnl_memory_desc_init_by_tag(out, 2, size, type, transposed ? dnnl_ba : dnnl_ab) == dnnl_success;
}

static bool primitive_build(const GemmCache *cache, const Product *p, Primitive *out)
{
    dnnl_memory_desc_t a, b, c;
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t after = NULL;
    dnnl_primitive_desc_t description = NULL;
    memset(out, 0, sizeof *out);
    out->shape = *p;
    bool built =
        describe(&a, p->m, p->k, dnnl_bf16, p->transpose_a) && describe(&b, p->k, p->n, dnnl_bf16, p->transpose_b) &&
        describe(&c, p->m, p->n, dnnl_f32, false) && dnnl_matmul_desc_init(&matmul, &a, &b, NULL, &c) == dnnl_success &&
        dnnl_primitive_attr_create(&attributes) == dnnl_success && dnnl_post_ops_create(&after) == dnnl_success &&
        (!p->add || dnnl_post_ops_append_sum(after, 1) == dnnl_success) &&
        dnnl_primitive_attr_set_post_ops(attributes, after) == dnnl_success &&
        dnnl_primitive_desc_create(&description, &matmul, attributes, cache->engine, NULL) == dnnl_success &&
        dnnl_primitive_create(&out->run, description) == dnnl_success &&
        dnnl_memory_create(&out->a, &a, cache->engine, DNNL_MEMORY_NONE) == dnnl_success &&
        dnnl_memory_create(&out->b, &b, cache->engine, DNNL_MEMORY_NONE) == dnnl_success &&
        dnnl_memory_create(&out->c, &c, cache->engine, DNNL_MEMORY_NONE) == dnnl_success;
    dnnl_primitive_desc_destroy(description);
    dnnl_post_ops_destroy(after);
    dnnl_primitive_attr_destroy(attributes);
    return built;
}

/* The primitive for a shape; NULL if oneDNN cannot make it. */
static Primitive *primitive_find(GemmCache *cache, const Product *p)
{
    for (size_t i = 1; i <= cache->count; i++) {
        size_t at = (cache->last + i) % cache->count;
        if (same_shape(&cache->list[at].shape, p)) {
            cache->last = at;
            return &cache->list[at];
        }
    }
    if (memory_grow(&cache->list, &cache->capacity, cache->count + 1, sizeof *cache->list, "products") != LMU_OK)
        return NULL;
    Primitive *primitive = &cache->list[cache->count];
    if (!primitive_build(cache, p, primitive)) {
        dnnl_primitive_destroy(primitive->run);
        dnnl_memory_destroy(primitive->a);
        dnnl_memory_destroy(primitive->b);
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

bool gemm_bf16_run(Backend *b, const Product *p, const uint16_t *x, const uint16_t *y, Real *z)
{
    Primitive *primitive = primitive_find(b->gemm, p);
    if (!primitive)
        return false;
    dnnl_memory_set_data_handle(primitive->a, (void *)(uintptr_t)x);
    dnnl_memory_set_data_handle(primitive->b, (void *)(uintptr_t)y);
    dnnl_memory_set_data_handle(primitive->c, z);
    dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, primitive->a}, {DNNL_ARG_WEIGHTS, primitive->b}, {DNNL_ARG_DST, primitive->c}};
    return dnnl_primitive_execute(primitive->run, b->gemm->stream, 3, arguments) == dnnl_success &&
           dnnl_stream_wait(b->gemm->stream) == dnnl_success;
}

bool gemm_bf16(Backend *b, const Product *p, const Real *x, const Real *y, Real *z)
{
    uint16_t *a = b->workspace, *c = (uint16_t *)((char *)b->workspace + aligned(p->m * p->k));
    b->kernels->to_bf16(b, p->m * p->k, x, a);
    b->kernels->to_bf16(b, p->k * p->n, y, c);
    return gemm_bf16_run(b, p, a, c, z);
}
