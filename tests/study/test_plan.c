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
static const StudyPart everything = {&all, &all};

/* The cell of a plan for the 5k model whose variant has this text; NULL: none. */
static const Cell *cell_of(const Plan *plan, const char *grid, const char *variant)
{
    for (size_t i = 0; i < plan->cells; i++)
        if (!strcmp(plan->cell[i].grid->name, grid) && !strcmp(plan->cell[i].model, "lmu") &&
            !strcmp(plan->cell[i].size, "5k") && strstr(plan->cell[i].variant, variant))
            return &plan->cell[i];
    return NULL;
}

/* A finished run of the tuning, of the rate and loss. */
static void add(const Study *study, Results *results, const char *variant, double bits)
{
    Results none = {0};
    Plan plan;
    assert_int_equal(plan_open(study, &everything, &none, &plan), LMU_OK);
    results->list = realloc(results->list, (results->count + 1) * sizeof *results->list);
    Result *r = &results->list[results->count++];
    *r = (Result){.bits_per_byte = bits};
    r->id = strdup(cell_of(&plan, "tuning", variant)->id[0]);
    r->grid = strdup("tuning");
    plan_close(&plan);
}

/* The rate that the core would take; 0: that is not known yet. */
static double tuned_rate(const Study *study, const Results *results)
{
    Plan plan;
    assert_int_equal(plan_open(study, &everything, results, &plan), LMU_OK);
    const Cell *first = NULL;
    for (size_t i = 0; i < plan.cells && !first; i++)
        if (!strcmp(plan.cell[i].grid->name, "core"))
            first = &plan.cell[i];
    double rate = first->tuned ? first->train.learning_rate : 0;
    plan_close(&plan);
    return rate;
}

/* Identities stand in results that were committed long ago: a program with more options must give the same. */
static void test_identities(void **state)
{
    (void)state;
    Study *study;
    Results none = {0};
    Plan plan;
    assert_int_equal(study_open(STUDY, &study), LMU_OK);
    assert_int_equal(plan_open(study, &everything, &none, &plan), LMU_OK);
    assert_int_equal(plan.cells, 2 + 4 + 1);
    const struct {
        const char *model, *variant, *id;
        int64_t width;
    } expected[] = {
        {"lmu", "learning_rate=0.01", "f016c42f5b15859c", 24},
        {"counts", "", "f57920fef1e6b86d", 0},
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

/* What changes no result but in its last bits changes no identity; what is learnt with does. */
static void test_aside(void **state)
{
    (void)state;
    Study *study;
    Results none = {0};
    const struct {
        const char *key;
        json_t *value;
        bool same;
    } changes[] = {{"memory", json_string("chunked"), true},
                   {"compute", json_string("f32"), true},
                   {"threads", json_integer(1), true},
                   {"recompute", json_true(), true},
                   {"carry", json_true(), false},
                   {"decay", json_real(0.3), false},
                   {"init", json_string("gpt2"), false}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char id[2][17];
        assert_int_equal(study_open(STUDY, &study), LMU_OK);
        for (int changed = 0; changed < 2; changed++) {
            Plan plan;
            if (changed)
                json_object_set_new(json_object_get(study->json, "settings"), changes[i].key, changes[i].value);
            assert_int_equal(plan_open(study, &everything, &none, &plan), LMU_OK);
            strcpy(id[changed], plan.cell[0].id[0]);
            plan_close(&plan);
        }
        assert_int_equal(strcmp(id[0], id[1]) == 0, changes[i].same);
        study_close(study);
    }
}

/* Muon's interval by default is what it comes to, 4 steps; in every step is what runs were before there was one. */
static void test_interval(void **state)
{
    (void)state;
    static const char *const optimizers[] = {
        "{\"optimizer\": \"muon\"}", "{\"optimizer\": \"muon\", \"muon_interval\": 4}",
        "{\"optimizer\": \"muon\", \"muon_interval\": 1}", "{\"optimizer\": \"adamw\", \"muon_interval\": 4}", "{}"};
    char id[5][17];
    Study *study;
    Results none = {0};
    assert_int_equal(study_open(STUDY, &study), LMU_OK);
    for (int i = 0; i < 5; i++) {
        Plan plan;
        json_t *optimizer = json_loads(optimizers[i], 0, NULL);
        json_object_set_new(json_object_get(study->json, "optimizers"), "adamw", optimizer);
        assert_int_equal(plan_open(study, &everything, &none, &plan), LMU_OK);
        strcpy(id[i], plan.cell[0].id[0]);
        plan_close(&plan);
    }
    study_close(study);
    assert_string_equal(id[0], id[1]);
    assert_string_not_equal(id[1], id[2]);
    assert_string_equal(id[2], "97ee504f3f2776d2");
    assert_string_equal(id[3], id[4]);
}

/* The width is the multiple whose parameters are nearest, above or below. */
static void test_widths(void **state)
{
    (void)state;
    Study *study;
    Results none = {0};
    Plan plan;
    assert_int_equal(study_open(STUDY, &study), LMU_OK);
    assert_int_equal(plan_open(study, &everything, &none, &plan), LMU_OK);
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
    assert_int_equal(study_open(STUDY, &study), LMU_OK);
    add(study, &results, "learning_rate=0.01", 2.5);
    assert_true(tuned_rate(study, &results) == 0); /* one of its two runs is missing */
    add(study, &results, "learning_rate=0.001", 2.25);
    assert_true(tuned_rate(study, &results) == 0.001);
    results.list[1].bits_per_byte = INFINITY; /* diverged */
    assert_true(tuned_rate(study, &results) == 0.01);
    results.list[0].bits_per_byte = INFINITY;
    assert_true(tuned_rate(study, &results) == 0);
    results.list[0].bits_per_byte = 2.5;
    results.list[0].id[0] ^= 1; /* of a study that was another then */
    assert_true(tuned_rate(study, &results) == 0);
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
    add(study, &results, "learning_rate=0.01", 2.5);
    for (int done = 0; done < 2; done++) {
        size_t seen = 0;
        assert_int_equal(plan_open(study, &everything, &results, &plan), LMU_OK);
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
        add(study, &results, "learning_rate=0.001", 2.75);
    }
    results_free(&results);
    study_close(study);
}

/* Finished runs of the tuning at two budgets, with the losses of rate 0.01 and 0.001 at the first and the second; 0: not done. */
static void add_budgets(const Study *study, Results *results, const double bits[2][2])
{
    Results none = {0};
    Plan plan;
    assert_int_equal(plan_open(study, &everything, &none, &plan), LMU_OK);
    results_free(results);
    results->list = calloc(4, sizeof *results->list);
    for (size_t rate = 0; rate < 2; rate++) {
        const Cell *cell = cell_of(&plan, "tuning", rate ? "=0.001" : "=0.01");
        for (size_t b = 0; b < 2; b++)
            if (bits[rate][b] > 0) {
                results->list[results->count] = (Result){.bits_per_byte = bits[rate][b]};
                results->list[results->count].id = strdup(cell->id[b]);
                results->list[results->count++].grid = strdup("tuning");
            }
    }
    plan_close(&plan);
}

/* A budget takes the settings of the tuning's that is nearest in ratio; those that take the same are one cell, with one trunk. */
static void test_budgets(void **state)
{
    (void)state;
    static const struct {
        double bits[2][2];
        size_t cells;
        double rate[2];    /* of each cell; 0: to be tuned */
        size_t budgets[2]; /* of each cell */
    } cases[] = {
        {{{2.5, 2.5}, {2.6, 2.4}}, 2, {0.01, 0.001}, {2, 2}},
        {{{2.5, 2.3}, {2.6, 2.4}}, 1, {0.01}, {4}},
        {{{2.5, 0}, {2.6, 2.4}}, 2, {0.01, 0}, {2, 2}},
        {{{0, 2.5}, {2.6, 2.4}}, 2, {0, 0.001}, {2, 2}},
        {{{0, 0}, {0, 0}}, 1, {0}, {4}},
    };
    Study *study;
    Results results = {0};
    Plan plan;
    StringList core = {.count = 1, .value = (char *[]){"core"}};
    assert_int_equal(study_open("tests/golden/study_budgets.json", &study), LMU_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        add_budgets(study, &results, cases[i].bits);
        assert_int_equal(plan_open(study, &(StudyPart){&core, &all}, &results, &plan), LMU_OK);
        assert_int_equal(plan.cells, cases[i].cells);
        for (size_t c = 0; c < plan.cells; c++) {
            const Cell *cell = &plan.cell[c];
            assert_int_equal(cell->budgets, cases[i].budgets[c]);
            assert_int_equal(cell->budget[0], c ? 3000 : 1000);
            assert_int_equal(cell->tuned, cases[i].rate[c] > 0);
            if (cell->tuned)
                assert_true(cell->train.learning_rate == cases[i].rate[c]);
        }
        plan_close(&plan);
    }
    /* A factor found at one budget counts from what each budget has. */
    add_budgets(study, &results, cases[0].bits);
    StringList names = {.count = 1, .value = (char *[]){"tuning-factor"}};
    results.list = realloc(results.list, 6 * sizeof *results.list);
    assert_int_equal(plan_open(study, &(StudyPart){&names, &all}, &results, &plan), LMU_OK);
    for (size_t c = 0; c < 2; c++) {
        results.list[results.count] = (Result){.bits_per_byte = strstr(plan.cell[c].variant, "0.005") ? 2.3 : 2.4};
        results.list[results.count].id = strdup(plan.cell[c].id[0]);
        results.list[results.count++].grid = strdup("tuning-factor");
    }
    plan_close(&plan);
    names.value[0] = "late";
    assert_int_equal(plan_open(study, &(StudyPart){&names, &all}, &results, &plan), LMU_OK);
    assert_int_equal(plan.cells, 2);
    assert_true(fabs(plan.cell[0].train.learning_rate - 0.005) < 1e-12);
    assert_true(fabs(plan.cell[1].train.learning_rate - 0.0005) < 1e-12);
    plan_close(&plan);
    results_free(&results);
    study_close(study);
}

/* Of sizes that are given by width the nearest tunes; of those that compare with none the first. */
static void test_sizes(void **state)
{
    (void)state;
    Study *study;
    Results results = {0};
    Plan plan;
    StringList names = {.count = 1, .value = (char *[]){"tuning-width"}};
    assert_int_equal(study_open("tests/golden/study_budgets.json", &study), LMU_OK);
    assert_int_equal(plan_open(study, &(StudyPart){&names, &all}, &results, &plan), LMU_OK);
    assert_int_equal(plan.cells, 4);
    results.list = calloc(4, sizeof *results.list);
    for (size_t i = 0; i < 4; i++) { /* the narrow one learns best at 0.01, the wide one at 0.001 */
        bool wide = strcmp(plan.cell[i].size, "wide") == 0, slow = strstr(plan.cell[i].variant, "0.001") != NULL;
        results.list[results.count] = (Result){.bits_per_byte = wide == slow ? 2.3 : 2.4};
        results.list[results.count].id = strdup(plan.cell[i].id[0]);
        results.list[results.count++].grid = strdup("tuning-width");
    }
    plan_close(&plan);
    names.value[0] = "width";
    assert_int_equal(plan_open(study, &(StudyPart){&names, &all}, &results, &plan), LMU_OK);
    assert_int_equal(plan.cells, 2);
    assert_true(plan.cell[0].train.learning_rate == 0.001);
    assert_true(plan.cell[1].train.learning_rate == 0.01);
    plan_close(&plan);
    results_free(&results);
    study_close(study);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identities), cmocka_unit_test(test_aside), cmocka_unit_test(test_interval),
        cmocka_unit_test(test_widths),     cmocka_unit_test(test_tuned), cmocka_unit_test(test_factors),
        cmocka_unit_test(test_budgets),    cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
