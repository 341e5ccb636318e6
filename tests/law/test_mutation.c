/* The laws are awake: every operator, broken in every way that applies to it, breaks a law. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "law_mutation.h"

static void every_break_is_noticed(void **state)
{
    (void)state;
    int missed = 0, tried = 0;
    for (const LawCase *law = law_cases; law->name; law++) {
        Mutation list[MUTATIONS];
        if (!law->op)
            continue;
        assert_null(mutation_caught(law, NULL));
        int count = mutations_of(law, list);
        for (int i = 0; i < count; i++, tried++)
            if (!mutation_caught(law, &list[i])) {
                print_error("%s: %s, and no law fails\n", law->name, list[i].name);
                missed++;
            }
    }
    print_message("%d ways to break an operator\n", tried);
    assert_int_equal(missed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_break_is_noticed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
