/* What a grid found best. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "study/planner.h"

static double size_of(const Study *study, const char *size)
{
    return json_number_value(json_object_get(study_member(study, "sizes", size), "non_embedding"));
}

/* Of the sizes that the grid has, the one nearest in ratio. */
static const char *nearest_size(const Study *study, const StudyGrid *grid, const char *size)
{
    const char *best = NULL;
    double least = INFINITY;
    size_t index;
    json_t *name;
    json_array_foreach((json_t *)grid->sizes, index, name) {
        const char *there = json_string_value(name);
        double target = size_of(study, size), have = size_of(study, there);
        double apart = target > 0 && have > 0 ? fabs(log(have / target)) : 0;
        if (strcmp(there, size) == 0)
            return there;
        if (!best || apart < least) {
            best = there;
            least = apart;
        }
    }
    return best;
}

/* Sum of the logarithms of bits per byte over budgets and seeds; infinite: one diverged; NaN: one is missing. */
static double score_of(const Planner *p, const Plan *plan, size_t variant, size_t variants)
{
    double sum = 0;
    for (size_t i = variant; i < plan->cells; i += variants) /* seeds come outermost */
        for (size_t b = 0; b < plan->cell[i].grid->budgets; b++) {
            const Result *r = results_find(p->results, plan->cell[i].id[b], plan->cell[i].grid->name);
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

static lmu_status find_best(Planner *p, Tuned *tuned)
{
    const StudyGrid *grid = tuned->grid;
    PlanFilter only = {.model = tuned->model, .size = tuned->size, .optimizer = tuned->optimizer};
    Plan plan = {0};
    const Cell *best = NULL;
    double lowest = INFINITY;
    lmu_status status = planner_expand(p, grid, &only, &plan);
    size_t variants = plan.cells / grid->seeds;
    bool complete = status == LMU_OK && variants > 0;
    for (size_t v = 0; v < variants && complete; v++) {
        double score = score_of(p, &plan, v, variants);
        complete = !isnan(score) && plan.cell[v].tuned;
        if (score < lowest) {
            lowest = score;
            best = &plan.cell[v];
        }
    }
    if (complete && best)
        status = varied_settings(p, best, &tuned->settings);
    plan_close(&plan);
    return status;
}

lmu_status planner_tuned(Planner *p, const char *name, const char *model, const char *size, const char *optimizer,
                         const json_t **out)
{
    const StudyGrid *grid = study_grid(p->study, name);
    Tuned tuned = {grid, model, nearest_size(p->study, grid, size), optimizer, NULL};
    for (size_t i = 0; i < p->count; i++) {
        const Tuned *known = &p->tuned[i];
        if (known->grid == grid && !strcmp(known->model, model) && !strcmp(known->size, tuned.size) &&
            !strcmp(known->optimizer, optimizer)) {
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
