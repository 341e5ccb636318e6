/* Every operator's gradient is the derivative of its output, sign included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "law.h"

#define LIMIT 1e-6

static void gradients_are_derivatives(void **state)
{
    (void)state;
    int broken = 0;
    for (const LawCase *law = law_every(); law->name; law++)
        for (LawShape shape = LAW_PLAIN; shape < LAW_SHAPES; shape++) {
            if (!law_trains(law) || !law_has_shape(law, shape))
                continue;
            double error = law_gradient(law, shape, NULL);
            if (!(error < LIMIT)) {
                print_error("%s, shape %d: relative error %.3g\n", law->name, shape, error);
                broken++;
            }
        }
    assert_int_equal(broken, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients_are_derivatives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
