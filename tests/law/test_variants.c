/* The CPU's kernels, for every instruction set that runs here, against the double reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "law.h"

static void variants_agree(const LawCase *cases, int64_t scale, MachineIsa first, double limit)
{
    int broken = 0;
    for (const LawCase *law = cases; law->name; law++) {
        Variant *exact = variant_open(law, LAW_PLAIN, BACKEND_DOUBLE, 1, scale, NULL);
        for (MachineIsa isa = first; isa <= ISA_AVX512; isa++) {
            setenv("LMU_ISA", machine_isa_name(isa), 1);
            if (machine_isa() != isa)
                continue;
            Variant *fast = variant_open(law, LAW_PLAIN, BACKEND_CPU, 1, scale, NULL);
            double error = variants_differ(fast, exact);
            if (!(error < limit)) {
                print_error("%s on %s: difference %.3g\n", law->name, machine_isa_name(isa), error);
                broken++;
            }
            variant_close(fast);
        }
        variant_close(exact);
    }
    unsetenv("LMU_ISA");
    assert_int_equal(broken, 0);
}

static void small_and_odd(void **state)
{
    (void)state;
    variants_agree(law_every(), 1, ISA_REFERENCE, 2e-5); /* rounding alone makes 1e-5 where layers amplify it */
}

static void larger(void **state)
{
    (void)state;
    variants_agree(law_larger, 5, ISA_BASE,
                   2e-5); /* plain float itself is 1.1e-5 away with 64 coefficients over 1,000 steps */
}

static void agrees_in_bf16(const LawCase *cases, LawProducts products, int64_t scale, double limit)
{
    int broken = 0;
    for (const LawCase *law = cases; law->name; law++) {
        LawCase rounded = *law;
        rounded.products = products;
        Variant *exact = variant_open(law, LAW_PLAIN, BACKEND_DOUBLE, 1, scale, NULL);
        Variant *fast = variant_open(&rounded, LAW_PLAIN, BACKEND_CPU, 2, scale, NULL);
        double error = variants_differ(fast, exact);
        if (!(error <
              (law->activation == ACTIVATION_RELU ? 2 * limit : limit))) { /* its slope jumps: z may round across 0 */
            print_error("%s on bfloat16: difference %.3g\n", law->name, error);
            broken++;
        }
        variant_close(fast);
        variant_close(exact);
    }
    assert_int_equal(broken, 0);
}

/* A number rounded to bfloat16 is off by 2^-8; operands, activations and their gradients are, through a few layers. Where little
 * is left of a sum's terms, as in the three numbers of a pool's gradient, that shows. */
#define ROUNDED 0.05

static void in_bf16(void **state)
{
    (void)state;
    if (!law_multiplies_bf16())
        skip();
    agrees_in_bf16(law_every(), LAW_BF16, 1, ROUNDED);
    agrees_in_bf16(law_larger, LAW_BF16, 5,
                   0.08); /* gradients of L sum up 1,000 steps, with little left of many terms */
}

static void in_bf16_in_plain_c(void **state)
{
    (void)state;
    agrees_in_bf16(law_every(), LAW_BF16_PLAIN, 1, ROUNDED);
}

/* Threads share the work, not the sums: what is left is oneDNN's choice of blocks. */
static void threads_agree(void **state)
{
    (void)state;
    int broken = 0;
    for (const LawCase *law = law_larger; law->name; law++) {
        Variant *one = variant_open(law, LAW_PLAIN, BACKEND_CPU, 1, 3, NULL);
        Variant *three = variant_open(law, LAW_PLAIN, BACKEND_CPU, 3, 3, NULL);
        double error = variants_differ(three, one);
        if (!(error < 5e-6)) {
            print_error("%s with 1 and 3 threads: difference %.3g\n", law->name, error);
            broken++;
        }
        variant_close(one);
        variant_close(three);
    }
    assert_int_equal(broken, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_and_odd), cmocka_unit_test(larger),
                                       cmocka_unit_test(in_bf16), cmocka_unit_test(in_bf16_in_plain_c),
                                       cmocka_unit_test(threads_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
