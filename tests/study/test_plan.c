/* The plan of a study: widths, what was tuned, and identities that last. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "study/study.h"

#define STUDY "tests/golden/study.json"

static const StringList all = {0};

/* A finished run of a grid, of the rate and loss. */
static void add(Results *results, const char *grid, const char *size, const char *variant, double rate, double bits)
{
    results->list = realloc(results->list, (results->count + 1) * sizeof *results->list);
    Result *r = &results->list[results->count++];
    *r = (Result){.budget = 1000, .bits_per_byte = bits};
    r->id = strdup(variant);
    r->grid = strdup(grid);
    r->model = strdup("lmu");
    r->size = strdup(size);
    r->optimizer = strdup("adamw");
    r->variant = strdup(variant);
    r->settings = json_pack("{s:f, s:i}", "learning_rate", rate, "batch", 4);
}

/* Identities stand in results that were committed long ago: a program with more options must give the same. */
static void test_identities(void **state)
{
    (void)state;
    Study *study;
    Results none = {0};
    Plan plan;
    assert_int_equal(study_open(STUDY, &study), LMU_OK);
    assert_int_equal(plan_open(study, &all, &none, &plan), LMU_OK);
    assert_int_equal(plan.cells, 2 + 4 + 1);
    const struct {
        const char *model, *variant, *id;
        int64_t width;
    } expected[] = {
        {"lmu", "learning_rate=0.01", "74d9ff27cf18a3b1", 24},
        {"counts", "", "45a1e7420a7d5c9e", 0},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const Cell *found = NULL;
        for (size_t c = 0; c < plan.cells && !found; c++)
            if (!strcmp(plan.cell[c].model, expected[i].model) && !strcmp(plan.cell[c].variant, expected[i].variant))
                found = &plan.cell[c];
        assert_non_null(found);
        assert_string_equal(found->id[0], expected[i].id);
        if (expected[i].width)
            assert_int_equal(found->config.dim, expected[i].width);
    }
    plan_close(&plan);
    study_close(study);
}

/* The width is the multiple whose parameters are nearest, above or below. */
static void test_widths(void **state)
{
    (void)state;
    Study *study;
    Results none = {0};
    Plan plan;
    assert_int_equal(study_open(STUDY, &study), LMU_OK);
    assert_int_equal(plan_open(study, &all, &none, &plan), LMU_OK);
    for (size_t i = 0; i < plan.cells; i++) {
        const Cell *cell = &plan.cell[i];
        if (cell->order)
            continue;
        double target =
            (double)json_integer_value(json_object_get(study_member(study, "sizes", cell->size), "non_embedding"));
        double multiple = strcmp(cell->size, "20k") == 0 ? 6 : 8; /* three heads share a multiple of two */
        double step = 2 * multiple / (double)cell->config.dim;    /* relative change of a quadratic count */
        assert_true(fmod((double)cell->config.dim, multiple) == 0);
        assert_true(fabs((double)cell->non_embedding - target) <= 0.5 * step * 1.3 * target);
    }
    plan_close(&plan);
    study_close(study);
}

static void test_tuned(void **state)
{
    (void)state;
    Study *study;
    Results results = {0};
    json_t *tuned;
    assert_int_equal(study_open(STUDY, &study), LMU_OK);
    add(&results, "tuning", "5k", "learning_rate=0.01", 0.01, 2.5);
    assert_int_equal(plan_tuned(study, "tuning", "lmu", "20k", "adamw", &results, &tuned), LMU_OK);
    assert_null(tuned); /* one of its two runs is missing */
    add(&results, "tuning", "5k", "learning_rate=0.001", 0.001, 2.25);
    add(&results, "core", "5k", "learning_rate=0.1", 0.1, 1); /* another grid's */
    assert_int_equal(plan_tuned(study, "tuning", "lmu", "20k", "adamw", &results, &tuned), LMU_OK);
    assert_true(json_real_value(json_object_get(tuned, "learning_rate")) == 0.001);
    assert_null(json_object_get(tuned, "batch")); /* was not varied */
    json_decref(tuned);
    results.list[1].bits_per_byte = INFINITY; /* diverged */
    assert_int_equal(plan_tuned(study, "tuning", "lmu", "5k", "adamw", &results, &tuned), LMU_OK);
    assert_true(json_real_value(json_object_get(tuned, "learning_rate")) == 0.01);
    json_decref(tuned);
    results.list[0].bits_per_byte = INFINITY;
    assert_int_equal(plan_tuned(study, "tuning", "lmu", "5k", "adamw", &results, &tuned), LMU_NUMERIC);
    results_free(&results);
    study_close(study);
}

/* A factor counts from what was tuned; what rests on a grid that is not done is marked. */
static void test_factors(void **state)
{
    (void)state;
    Study *study;
    Results results = {0};
    Plan plan;
    assert_int_equal(study_open(STUDY, &study), LMU_OK);
    add(&results, "tuning", "5k", "learning_rate=0.01", 0.01, 2.5);
    for (int done = 0; done < 2; done++) {
        size_t seen = 0;
        assert_int_equal(plan_open(study, &all, &results, &plan), LMU_OK);
        for (size_t i = 0; i < plan.cells; i++) {
            const Cell *cell = &plan.cell[i];
            if (strcmp(cell->grid->name, "core") != 0 || cell->order)
                continue;
            assert_int_equal(cell->tuned, done);
            if (done) {
                assert_true(fabs(cell->train.learning_rate - (strstr(cell->variant, "0.02") ? 0.02 : 0.01)) < 1e-12);
                seen++;
            }
        }
        assert_int_equal(seen, done ? 4 : 0);
        plan_close(&plan);
        add(&results, "tuning", "5k", "learning_rate=0.001", 0.001, 2.75);
    }
    results_free(&results);
    study_close(study);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_tuned),
        cmocka_unit_test(test_factors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
