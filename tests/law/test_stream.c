/* A whole sequence, ragged chunks of it and single tokens give the same outputs and leave the same states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "law.h"

static void streams_agree(BackendKind kind, LawProducts products, double limit)
{
    int broken = 0;
    for (const LawCase *law = law_every(); law->name; law++)
        for (LawShape shape = LAW_PLAIN; shape < LAW_SHAPES; shape++)
            for (GraphMode mode = law_trains(law) && !products ? GRAPH_TRAIN : GRAPH_SCORE; mode <= GRAPH_DECODE;
                 mode++) {
                if (law->encoder || !law_has_shape(law, shape) || (products == LAW_INT8 && !law_reads_int8(law)))
                    continue;
                LawCase one = *law;
                one.products = products;
                double error = law_stream(&one, shape, kind, mode, NULL);
                if (!(error < limit)) {
                    print_error("%s, shape %d, mode %d: difference %.3g\n", law->name, shape, mode, error);
                    broken++;
                }
            }
    assert_int_equal(broken, 0);
}

static void in_double(void **state)
{
    (void)state;
    streams_agree(BACKEND_DOUBLE, LAW_FLOAT, 1e-10);
}

/* In float: what is lost in sums of a few hundred terms. */
static void in_float(void **state)
{
    (void)state;
    streams_agree(BACKEND_REFERENCE, LAW_FLOAT, 2e-5);
}

static void on_the_cpu(void **state)
{
    (void)state;
    streams_agree(BACKEND_CPU, LAW_FLOAT, 2e-5);
}

/* A sum that differs in its last bit may round to the next bfloat16, 2^-8 of it away. */
static void in_bf16(void **state)
{
    (void)state;
    streams_agree(BACKEND_CPU, LAW_BF16_PLAIN, 0x1p-7);
    if (law_multiplies_bf16())
        streams_agree(BACKEND_CPU, LAW_BF16, 0x1p-7);
}

/* The same of the next byte, 1/127 of the largest number of a row away: a product moves by about as much of its terms' average. */
static void in_int8(void **state)
{
    (void)state;
    streams_agree(BACKEND_CPU, LAW_INT8, 0x1p-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_double), cmocka_unit_test(in_float),
                                       cmocka_unit_test(on_the_cpu), cmocka_unit_test(in_bf16),
                                       cmocka_unit_test(in_int8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
