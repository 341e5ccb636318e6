/* Rows are worlds of their own: no row's numbers depend on its neighbours', and in scoring and decoding its bits do not even
 * depend on how many there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "law.h"

static void rows_are_isolated(BackendKind kind)
{
    int broken = 0;
    for (const LawCase *law = law_every(); law->name; law++)
        for (LawShape shape = LAW_PLAIN; shape < LAW_SHAPES; shape++)
            if (law_has_shape(law, shape) && law_isolation(law, shape, kind, NULL) != 0) {
                print_error("%s, shape %d: a row sees another\n", law->name, shape);
                broken++;
            }
    assert_int_equal(broken, 0);
}

static void isolated_in_double(void **state)
{
    (void)state;
    rows_are_isolated(BACKEND_DOUBLE);
}

static void isolated_on_the_cpu(void **state)
{
    (void)state;
    rows_are_isolated(BACKEND_CPU);
}

static void bits_in_company(LawProducts products)
{
    int broken = 0;
    for (const LawCase *law = law_every(); law->name; law++)
        for (GraphMode mode = GRAPH_SCORE; mode <= GRAPH_DECODE; mode++) {
            LawCase one = *law;
            one.products = products;
            if (products == LAW_INT8 && !law_reads_int8(law))
                continue;
            if (law_batch(&one, LAW_PLAIN, BACKEND_CPU, mode, NULL) != 0) {
                print_error("%s, mode %d: a row's bits depend on its neighbours\n", law->name, mode);
                broken++;
            }
        }
    assert_int_equal(broken, 0);
}

static void bits_do_not_depend_on_company(void **state)
{
    (void)state;
    bits_in_company(LAW_FLOAT);
}

static void nor_in_bf16(void **state)
{
    (void)state;
    if (!law_multiplies_bf16())
        skip();
    bits_in_company(LAW_BF16);
}

static void nor_in_bf16_in_plain_c(void **state)
{
    (void)state;
    bits_in_company(LAW_BF16_PLAIN);
}

static void nor_in_int8(void **state)
{
    (void)state;
    bits_in_company(LAW_INT8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(isolated_in_double),
                                       cmocka_unit_test(isolated_on_the_cpu),
                                       cmocka_unit_test(bits_do_not_depend_on_company),
                                       cmocka_unit_test(nor_in_bf16),
                                       cmocka_unit_test(nor_in_bf16_in_plain_c),
                                       cmocka_unit_test(nor_in_int8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
