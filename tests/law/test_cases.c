/* What is registered is tested: every operator of the table has a case, and every case runs where tensors are unreadable
 * outside kernel calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "law.h"
#include "model/model.h"

static void every_operator_has_a_case(void **state)
{
    (void)state;
    int missing = 0;
    for (int i = 0; operators[i]; i++) {
        const LawCase *law = law_cases;
        while (law->name && law->op != operators[i])
            law++;
        if (!law->name) {
            print_error("operator %s has no case in tests/law/law_cases.c\n", operators[i]->name);
            missing++;
        }
    }
    assert_int_equal(missing, 0);
}

/* A case may stand for an operator that only a sub-expression of it has: it must be in the graph. */
static void every_case_has_its_operator(void **state)
{
    (void)state;
    for (const LawCase *law = law_cases; law->name; law++) {
        LawOptions options = {
            .kind = BACKEND_DOUBLE, .mode = law_trains(law) ? GRAPH_TRAIN : GRAPH_SCORE, .rows = 1, .tokens = 1};
        LawSubject *s = subject_open(law, &options);
        const Node *node = graph_first(s->g);
        while (node && law->op && node->op != law->op)
            node = node->next;
        assert_non_null(node);
        subject_close(s);
    }
}

static void every_architecture_has_a_case(void **state)
{
    (void)state;
    for (int i = 0; architectures[i]; i++) {
        const LawCase *law = law_every();
        while (law->name && law->name != architectures[i]->name)
            law++;
        assert_non_null(law->name);
    }
}

/* Two runs from a state; outputs and gradients into a new array. */
static double *run_twice(const LawCase *law, const LawOptions *options, int64_t *numbers)
{
    LawSubject *s = subject_open(law, options);
    State *state = subject_state(s, 4);
    LawBatch before = {0}, batch = {0};
    for (int r = 0; r < 3; r++) {
        batch_row(&before, r, 0, 3, 3 - r);
        batch_row(&batch, r, 3, (int64_t[]){18, 0, 1}[r], 3 - r);
    }
    subject_run(s, &before, state);
    subject_run(s, &batch, state);
    int64_t n = subject_numbers(s, &batch), length = options->mode == GRAPH_TRAIN ? s->params->length : 0;
    *numbers = n + length;
    double *values = law_new((size_t)*numbers, sizeof *values);
    subject_output(s, &batch, values);
    if (length > 0)
        subject_gradients(s, values + n);
    state_close(state);
    subject_close(s);
    return values;
}

static void every_case_runs_guarded(void **state)
{
    (void)state;
    for (const LawCase *law = law_every(); law->name; law++)
        for (BackendKind kind = BACKEND_CPU; kind <= BACKEND_DOUBLE; kind++)
            for (GraphMode mode = law_trains(law) ? GRAPH_TRAIN : GRAPH_SCORE; mode <= GRAPH_DECODE; mode++) {
                LawOptions options = {.kind = kind, .mode = mode, .rows = 3, .tokens = 20, .flags = GRAPH_POISON};
                int64_t numbers;
                double *plain = run_twice(law, &options, &numbers);
                options.guarded = true;
                double *guarded = run_twice(law, &options, &numbers);
                assert_true(bits_differ(numbers, guarded, plain) == 0);
                free(plain);
                free(guarded);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_has_a_case), cmocka_unit_test(every_case_has_its_operator),
        cmocka_unit_test(every_architecture_has_a_case), cmocka_unit_test(every_case_runs_guarded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
