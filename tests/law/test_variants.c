/* The CPU's kernels, for every instruction set that runs here, against the double reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "law.h"

static void variants_agree(const LawCase *cases, int64_t scale, double limit)
{
    int broken = 0;
    for (MachineIsa isa = ISA_REFERENCE; isa <= ISA_AVX512; isa++) {
        setenv("LMU_ISA", machine_isa_name(isa), 1);
        bool runs = machine_isa() == isa;
        for (const LawCase *law = cases; runs && law->name; law++) {
            double error = law_variant(law, LAW_PLAIN, BACKEND_CPU, scale, NULL);
            if (!(error < limit)) {
                print_error("%s on %s: difference %.3g\n", law->name, machine_isa_name(isa), error);
                broken++;
            }
        }
    }
    unsetenv("LMU_ISA");
    assert_int_equal(broken, 0);
}

static void small_and_odd(void **state)
{
    (void)state;
    variants_agree(law_every(), 1, 1e-5);
}

static void larger(void **state)
{
    (void)state;
    variants_agree(law_larger, 5, 2e-5); /* plain float itself is 1.1e-5 away with 64 coefficients over 1,000 steps */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_and_odd), cmocka_unit_test(larger)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
