/* Gradients do not depend on how a batch is cut into micro-batches, nor on how memory is planned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "law.h"

static void micro_batches_add_up(BackendKind kind, double limit)
{
    int broken = 0;
    for (const LawCase *law = law_every(); law->name; law++)
        for (LawShape shape = LAW_PLAIN; shape < LAW_SHAPES; shape++) {
            if (!law_trains(law) || !law_has_shape(law, shape))
                continue;
            double error = law_micro_batches(law, shape, kind, NULL);
            if (!(error < limit)) {
                print_error("%s, shape %d: difference %.3g\n", law->name, shape, error);
                broken++;
            }
        }
    assert_int_equal(broken, 0);
}

static void add_up_in_double(void **state)
{
    (void)state;
    micro_batches_add_up(BACKEND_DOUBLE, 1e-12);
}

static void add_up_on_the_cpu(void **state)
{
    (void)state;
    micro_batches_add_up(BACKEND_CPU, 1e-5);
}

static void memory_plans_change_no_bit(void **state)
{
    (void)state;
    int broken = 0;
    for (const LawCase *law = law_every(); law->name; law++)
        for (LawShape shape = LAW_PLAIN; shape < LAW_SHAPES; shape++)
            for (BackendKind kind = BACKEND_CPU; kind <= BACKEND_DOUBLE; kind++)
                if (law_trains(law) && law_has_shape(law, shape) && law_memory(law, shape, kind, NULL) != 0) {
                    print_error("%s, shape %d, backend %d: numbers depend on the plan of memory\n", law->name, shape,
                                kind);
                    broken++;
                }
    assert_int_equal(broken, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(add_up_in_double), cmocka_unit_test(add_up_on_the_cpu),
                                       cmocka_unit_test(memory_plans_change_no_bit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
