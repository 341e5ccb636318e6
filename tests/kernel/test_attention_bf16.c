/* Causal attention on bfloat16 against the same in plain float: the CPU's own products where it multiplies bfloat16, for every
 * vector width that runs here the same kernel with the products spelled out, and by tiles; arrays of float and of bfloat16. */
#include "bf16_testing.h"

void simd_attention_bf16_tiles(Kernels *table); /* of a variant that only tests use */

#define BOUND                                                                                                          \
    0.012 /* root of the mean square of the error, relative: a number rounded to bfloat16 is off by 2^-8 at most */
#define ROWS 3

typedef struct Case {
    int64_t heads, channels; /* of a head */
    double spread;           /* of queries: the larger, the sharper is the softmax */
    int rows;
    int64_t position[ROWS], count[ROWS];
    int64_t window; /* 0: none */
} Case;

static const Case cases[] = {
    {1, 1, 1, 2, {0, 5}, {17, 70}, 0},
    {2, 3, 1, 3, {0, 63, 64}, {1, 40, 64}, 0},
    {3, 20, 1, 2, {33, 0}, {129, 65}, 0},
    {2, 33, 3, 2, {0, 150}, {260, 1}, 0},
    {1, 64, 1, 3, {0, 7, 0}, {300, 33, 0}, 0},
    {1, 100, 3, 2, {1, 0}, {95, 32}, 0},
    {4, 16, 20, 1, {0}, {200}, 0},
    /* few queries */
    {2, 64, 1, 3, {63, 150, 0}, {1, 3, 8}, 0},
    {3, 32, 3, 3, {126, 5, 64}, {4, 9, 2}, 0},
    /* windows, in rings that wrap; longer and shorter than blocks, than the run and than what came before it */
    {1, 16, 1, 3, {0, 50, 3}, {130, 37, 4}, 1},
    {1, 20, 1, 3, {0, 7, 64}, {37, 37, 3}, 5},
    {2, 33, 3, 2, {0, 1000}, {300, 70}, 31},
    {2, 64, 1, 3, {0, 200, 0}, {290, 150, 64}, 64},
    {1, 48, 3, 3, {10, 777, 0}, {257, 129, 33}, 100},
    {1, 32, 1, 2, {0, 300}, {500, 20}, 333},
    {2, 64, 1, 3, {1063, 150, 0}, {1, 3, 8}, 77},
};

enum { Y, DQKV, CACHE, RESULTS };

/* The same, rounded if asked. */
static Array array(Backend *b, bool half, int64_t n, const Real *from)
{
    Array out = {.half = half};
    if (!half)
        return array_of(from);
    assert_int_equal(backend_alloc(b, (size_t)(n + 1) * sizeof(uint16_t), &out.data), LMU_OK);
    KERNEL(b, to_bf16, n, from, out.data);
    return out;
}

static void take(Outcome *o, int which, int64_t n, Array from)
{
    float *to = calloc((size_t)n + 1, sizeof *to);
    assert_non_null(to);
    for (int64_t i = 0; i < n; i++)
        if (from.half) {
            uint32_t bits = (uint32_t)((uint16_t *)from.data)[i] << 16;
            memcpy(to + i, &bits, sizeof bits);
        } else {
            to[i] = ((float *)from.data)[i];
        }
    o->size[which] = n;
    o->result[which] = to;
}

/* Full of NaN, as an earlier kernel may leave it. */
static void workspace(Backend *b, size_t bytes)
{
    assert_int_equal(backend_reserve(b, bytes), LMU_OK);
    if (b->workspace)
        memset(b->workspace, 0xff, b->workspace_size);
}

/* Forward and backward of one case. Gradients are added to what stands in dqkv, but for rounded ones. */
static Outcome run(Backend *b, const Case *c, bool half)
{
    int64_t d = c->heads * c->channels, context = 0, offset[ROWS + 1] = {0}, slot[ROWS] = {2, 0, 1},
            chunk[ROWS + 1] = {0};
    for (int r = 0; r < c->rows; r++) {
        offset[r + 1] = offset[r] + c->count[r];
        if (c->position[r] + c->count[r] > context)
            context = c->position[r] + c->count[r];
    }
    context = c->window ? c->window : context;
    int64_t n = offset[c->rows];
    Rows rows = {c->rows, n, offset, c->position, slot, slot, chunk};
    Real *drawn = numbers(b, n * 3 * d, 1, 1), *cache = numbers(b, ROWS * context * 2 * d, 3, 1);
    for (int64_t i = 0; i < n * d; i++)
        ((float *)drawn)[i / d * 3 * d + i % d] *= (float)c->spread;
    Array qkv = array(b, half, n * 3 * d, drawn), dy = array(b, half, n * d, numbers(b, n * d, 2, 1));
    Array y = array(b, half, n * d, numbers(b, n * d, 0, 0)),
          dqkv = array(b, half, n * 3 * d, numbers(b, n * 3 * d, 7, 1));
    Real *lse = numbers(b, n * c->heads, 0, 0);
    workspace(b, b->kernels->causal_attention_workspace(b, d, c->heads, 0));
    KERNEL(b, causal_attention, &rows, d, c->heads, context, qkv, cache, y, lse);
    workspace(b, b->kernels->causal_attention_workspace(b, d, c->heads, n));
    KERNEL(b, causal_attention_back, &rows, d, c->heads, context, qkv, cache, y, lse, dy, dqkv, !half);
    KERNEL(b, attention_keep, &rows, d, context, qkv, cache);
    Outcome o = {0};
    take(&o, Y, n * d, y);
    take(&o, DQKV, n * 3 * d, dqkv);
    take(&o, CACHE, ROWS * context * 2 * d, array_of(cache));
    return o;
}

/* What was added to is taken off again, so that errors are relative to the gradient. */
static void subtract_start(Outcome *o)
{
    for (int64_t i = 0; i < o->size[DQKV]; i++)
        o->result[DQKV][i] -= (float)random_normal(7, (uint64_t)i);
}

static int check_case(const char *name, const Kernels *table, const Case *c, int threads, bool half)
{
    Backend *plain, *fast;
    backends_open(table, threads, &plain, &fast);
    Outcome wanted = run(plain, c, false), got = run(fast, c, half), again = run(fast, c, half);
    double repetition = outcomes_differ(&got, &again);
    subtract_start(&wanted);
    if (!half)
        subtract_start(&got);
    double error = outcomes_differ(&wanted, &got);
    bool broken = !(error < BOUND * (c->spread > 4 ? c->spread / 4 : 1)) || repetition != 0;
    if (broken)
        print_error("%s, %lld heads of %lld, window %lld, %s, %d threads: error %.3g, on repetition %.3g\n", name,
                    (long long)c->heads, (long long)c->channels, (long long)c->window, half ? "bfloat16" : "float",
                    threads, error, repetition);
    outcome_free(&wanted);
    outcome_free(&got);
    outcome_free(&again);
    backend_close(plain);
    backend_close(fast);
    return broken;
}

static void check_table(const char *name, const Kernels *table)
{
    int broken = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int threads = THREADS_LEAST; threads <= 2; threads++)
            for (int half = 0; half <= 1; half++)
                broken += check_case(name, table, &cases[i], threads, half);
    assert_int_equal(broken, 0);
}

/* The tile unit's instructions in plain C: what a CPU with AMX runs, but for the unit. */
static void by_tiles(void **state)
{
    (void)state;
    Kernels table = kernels_reference_f32;
    kernels_simd_override(&table, ISA_BASE);
    simd_attention_bf16_tiles(&table);
    check_table("tiles", &table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(native), cmocka_unit_test(spelled_out),
                                       cmocka_unit_test(by_tiles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
