/* What tests of kernels on bfloat16 share: each is held against the same kernel in plain float. */
#ifndef LMU_TESTS_KERNEL_BF16_TESTING_H
#define LMU_TESTS_KERNEL_BF16_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <math.h>

#include <cmocka.h>

#include "base/random.h"
#include "kernel/kernels.h"

#define RESULTS_MOST 6

/* Kernels run with so many threads and more; under a sanitizer, which sees the same code in either, with two alone. */
#ifdef LMU_SANITIZED
#define THREADS_LEAST 2
#else
#define THREADS_LEAST 1
#endif

/* What a kernel computed. */
typedef struct Outcome {
    int64_t size[RESULTS_MOST]; /* of results that there are not: 0 */
    float *result[RESULTS_MOST];
} Outcome;

static Real *numbers(Backend *b, int64_t n, uint64_t key, double scale)
{
    double *drawn = calloc((size_t)n + 1, sizeof *drawn);
    Real *out;
    assert_non_null(drawn);
    for (int64_t i = 0; i < n; i++)
        drawn[i] = scale * random_normal(key, (uint64_t)i);
    assert_int_equal(backend_alloc(b, (size_t)(n + 1) * b->real_size, &out), LMU_OK);
    KERNEL(b, put_f64, n, drawn, out);
    free(drawn);
    return out;
}

static void outcome_free(Outcome *o)
{
    for (int i = 0; i < RESULTS_MOST; i++)
        free(o->result[i]);
}

/* The worst of the relative errors of the results. */
static double outcomes_differ(const Outcome *a, const Outcome *b)
{
    double worst = 0;
    for (int i = 0; i < RESULTS_MOST; i++) {
        double error = 0, size = 1e-12;
        for (int64_t j = 0; j < a->size[i]; j++) {
            double x = a->result[i][j], y = b->result[i][j];
            error += (x - y) * (x - y);
            size += x * x;
        }
        double relative = sqrt(error / size);
        worst = relative <= worst || isnan(worst) ? worst : relative;
    }
    return worst;
}

/* A backend of plain float, and one of the kernels of `table` (NULL: the CPU's bfloat16 kernels) on that many threads. */
static void backends_open(const Kernels *table, int threads, Backend **plain, Backend **fast)
{
    assert_int_equal(backend_open(BACKEND_REFERENCE, 1, false, plain), LMU_OK);
    assert_int_equal(backend_open(BACKEND_CPU, threads, false, fast), LMU_OK);
    if (table)
        (*fast)->kernels = table;
    else
        assert_int_equal(backend_compute(*fast, COMPUTE_BF16), LMU_OK);
}

/* The test's own: runs every case through `table` (NULL: the CPU's bfloat16 kernels) on 1 and 2 threads. */
static void check_table(const char *name, const Kernels *table);

static void native(void **state)
{
    (void)state;
    Backend *b;
    assert_int_equal(backend_open(BACKEND_CPU, 1, false, &b), LMU_OK);
    Compute best = backend_best_compute(b);
    backend_close(b);
    if (best != COMPUTE_BF16) {
        printf("this CPU does not multiply bfloat16: skipped\n");
        skip();
    }
    check_table("native", NULL);
}

static void spelled_out(void **state)
{
    (void)state;
    MachineIsa best = machine_isa();
    for (MachineIsa isa = ISA_BASE; isa <= ISA_AVX512 && isa <= best; isa++) {
        Kernels table = kernels_reference_f32;
        kernels_simd_override(&table, isa);
        kernels_bf16_override(&table, isa);
        check_table(machine_isa_name(isa), &table);
    }
}

#endif
