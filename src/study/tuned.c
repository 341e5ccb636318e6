/* What a grid found best. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "study/planner.h"

/* How far apart two sizes are in ratio; infinite: one is given by parameters and one by width. */
static double sizes_apart(const Study *study, const char *a, const char *b)
{
    static const char *const keys[] = {"non_embedding", "dim"};
    for (size_t i = 0; i < 2; i++) {
        double x = json_number_value(json_object_get(study_member(study, "sizes", a), keys[i]));
        double y = json_number_value(json_object_get(study_member(study, "sizes", b), keys[i]));
        if (x > 0 && y > 0)
            return fabs(log(x / y));
    }
    return INFINITY;
}

/* Of the sizes that the grid has, the one nearest in ratio; of some as near the first. */
static const char *nearest_size(const Study *study, const StudyGrid *grid, const char *size)
{
    const char *best = NULL;
    double least = INFINITY;
    size_t index;
    json_t *name;
    json_array_foreach((json_t *)grid->sizes, index, name) {
        const char *there = json_string_value(name);
        double apart = sizes_apart(study, size, there);
        if (strcmp(there, size) == 0)
            return there;
        if (!best || apart < least) {
            best = there;
            least = apart;
        }
    }
    return best;
}

/* Of the budgets that the grid has, in rising order, the one nearest in ratio; of two as near the smaller. */
static const int64_t *nearest_budget(const StudyGrid *grid, int64_t budget)
{
    const int64_t *best = &grid->budget[0];
    for (size_t i = 1; i < grid->budgets; i++)
        if ((double)budget * (double)budget > (double)*best * (double)grid->budget[i])
            best = &grid->budget[i];
    return best;
}

/* Sum of the logarithms of bits per byte over seeds; infinite: one diverged; NaN: one is missing. */
static double score_of(const Planner *p, const Plan *plan, size_t variant, size_t variants)
{
    double sum = 0;
    for (size_t i = variant; i < plan->cells; i += variants) { /* seeds come outermost */
        const Result *r = results_find(p->results, plan->cell[i].id[0], plan->cell[i].grid->name);
        sum += r ? log(r->bits_per_byte) : (double)NAN;
    }
    return sum;
}

/* What the cell has for every key that its grid, and those that tuned it, vary. */
static lmu_status varied_settings(const Planner *p, const Cell *cell, json_t **out)
{
    json_t *all, *varied = json_object();
    TRY(model_config_to_json(&cell->config, &all));
    lmu_status status = fields_to_json(&train_table, &cell->train, all);
    for (const StudyGrid *g = cell->grid; g; g = g->tuned_by ? study_grid(p->study, g->tuned_by) : NULL) {
        const char *key;
        json_t *values;
        json_object_foreach((json_t *)g->vary, key, values)
            json_object_set(varied, key, json_object_get(all, key));
    }
    json_decref(all);
    *out = varied;
    return status;
}

/* The number of the best of the cells that differ by what the grid varies; SIZE_MAX: runs are missing, or all diverged. */
static size_t best_variant(const Planner *p, const Plan *plan, size_t variants)
{
    size_t best = SIZE_MAX;
    double lowest = INFINITY;
    for (size_t v = 0; v < variants; v++) {
        double score = score_of(p, plan, v, variants);
        if (isnan(score) || !plan->cell[v].tuned)
            return SIZE_MAX;
        if (score < lowest) {
            lowest = score;
            best = v;
        }
    }
    return best;
}

/* The best is found at a budget that the grid has. What it varied is then put upon what tuned it for the budget that is wanted: a rate
 * that was best at half of what it was stays half of what is known there. */
static lmu_status find_best(Planner *p, Tuned *tuned)
{
    PlanFilter only = {.model = tuned->model,
                       .size = tuned->size,
                       .optimizer = tuned->optimizer,
                       .budget = nearest_budget(tuned->grid, tuned->budget)};
    Plan found = {0}, wanted = {0};
    lmu_status status;
    ATTEMPT(planner_expand(p, tuned->grid, &only, &found));
    size_t best = best_variant(p, &found, found.cells / tuned->grid->seeds);
    only.budget = &tuned->budget;
    if (best != SIZE_MAX)
        ATTEMPT(planner_expand(p, tuned->grid, &only, &wanted));
    if (best != SIZE_MAX && wanted.cell[best].tuned)
        status = varied_settings(p, &wanted.cell[best], &tuned->settings);
done:
    plan_close(&found);
    plan_close(&wanted);
    return status;
}

lmu_status planner_tuned(Planner *p, const Cell *cell, int64_t budget, const json_t **out)
{
    const StudyGrid *grid = study_grid(p->study, cell->grid->tuned_by);
    Tuned tuned = {grid, cell->model, nearest_size(p->study, grid, cell->size), cell->optimizer, budget, NULL};
    for (size_t i = 0; i < p->count; i++) {
        const Tuned *known = &p->tuned[i];
        if (known->grid == grid && known->budget == tuned.budget && !strcmp(known->model, cell->model) &&
            !strcmp(known->size, tuned.size) && !strcmp(known->optimizer, cell->optimizer)) {
            *out = known->settings;
            return LMU_OK;
        }
    }
    TRY(find_best(p, &tuned));
    TRY(memory_grow(&p->tuned, &p->capacity, p->count + 1, sizeof *p->tuned, "a study"));
    p->tuned[p->count++] = tuned;
    *out = tuned.settings;
    return LMU_OK;
}
