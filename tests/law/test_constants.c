/* Layers of the same Legendre system share one constant, which is computed once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "law.h"

typedef struct Build {
    Backend *backend;
    Params *params;
    Graph *g;
} Build;

static void build_open(Build *b)
{
    law_require(backend_open(BACKEND_CPU, 1, false, &b->backend));
    law_require(params_open(b->backend, &b->params));
    law_require(graph_open(b->backend, b->params, GRAPH_SCORE, 1, 8, 0, &b->g));
}

static void build_close(Build *b)
{
    graph_close(b->g);
    params_close(b->params);
    backend_close(b->backend);
}

/* The constant of a layer of this system. */
static const Tensor *layer(Build *b, LegendreSpec spec)
{
    Tensor *m = op_legendre_memory(b->g, graph_input(b->g, 2, false), &spec, LEGENDRE_CHUNKED);
    assert_non_null(m);
    return m->producer->in[1];
}

static void other_systems_have_other_constants(void **state)
{
    (void)state;
    static const double windows[] = {10, 10.000000000000002, 10};
    static const LegendreSpec spec[] = {
        {4, 1, windows, false}, {4, 1, windows, true},      {5, 1, windows, false},
        {4, 2, windows, false}, {4, 1, windows + 1, false}, {4, 2, windows + 1, false},
    };
    enum { COUNT = sizeof spec / sizeof *spec };
    const Tensor *constant[COUNT];
    Build b;
    build_open(&b);
    for (int i = 0; i < COUNT; i++)
        constant[i] = layer(&b, spec[i]);
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < COUNT; j++)
            assert_true((layer(&b, spec[i]) == constant[j]) == (i == j));
    build_close(&b);
}

static double build_seconds(int layers)
{
    Build b;
    build_open(&b);
    clock_t start = clock();
    for (int i = 0; i < layers; i++)
        layer(&b, (LegendreSpec){128, 1, &(double){100}, false});
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    build_close(&b);
    return seconds;
}

static void equal_systems_are_solved_once(void **state)
{
    (void)state;
    double one = build_seconds(1), many = build_seconds(64);
    print_message("1 layer %.3f s, 64 layers %.3f s\n", one, many);
    assert_true(many < 8 * one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(other_systems_have_other_constants),
                                       cmocka_unit_test(equal_systems_are_solved_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
