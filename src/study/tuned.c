/* What a grid found best. */
#include <math.h>
#include <string.h>

#include "study/study.h"

static const StudyGrid *find_grid(const Study *study, const char *name)
{
    for (size_t i = 0; i < study->grids; i++)
        if (strcmp(study->grid[i].name, name) == 0)
            return &study->grid[i];
    return NULL;
}

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
    json_array_foreach((json_t *)grid->sizes, index, name)
    {
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

static bool belongs(const Result *r, const StudyGrid *grid, const char *model, const char *size, const char *optimizer)
{
    return strcmp(r->grid, grid->name) == 0 && strcmp(r->model, model) == 0 && strcmp(r->size, size) == 0 &&
           strcmp(r->optimizer, optimizer) == 0;
}

/* How many variants a model has in a grid. */
static size_t variant_count(const StudyGrid *grid)
{
    size_t count = grid->variants ? json_object_size(grid->variants) : 1;
    const char *key;
    json_t *values;
    json_object_foreach((json_t *)grid->vary, key, values) count *= json_array_size(values);
    return count;
}

lmu_status plan_tuned(const Study *study, const char *name, const char *model, const char *size, const char *optimizer,
                      const Results *results, json_t **out)
{
    const StudyGrid *grid = find_grid(study, name);
    const char *there = nearest_size(study, grid, size);
    const Result *best = NULL;
    double lowest = INFINITY;
    size_t runs = grid->budgets * grid->seeds, found = 0;
    *out = NULL;
    for (size_t i = 0; i < results->count; i++) {
        const Result *r = &results->list[i];
        if (!belongs(r, grid, model, there, optimizer))
            continue;
        double sum = 0;
        size_t count = 0;
        for (size_t k = 0; k < results->count; k++)
            if (belongs(&results->list[k], grid, model, there, optimizer) &&
                strcmp(results->list[k].variant, r->variant) == 0) {
                sum += log(results->list[k].bits_per_byte);
                count++;
            }
        found++;
        if (count == runs && sum < lowest) {
            lowest = sum;
            best = r;
        }
    }
    if (found < runs * variant_count(grid))
        return LMU_OK;
    if (!best)
        return error_set(LMU_NUMERIC, "grid %s: every run of %s with %s diverged: vary other settings", name, model,
                         optimizer);
    *out = json_object();
    for (const StudyGrid *g = grid; g; g = g->tuned_by ? find_grid(study, g->tuned_by) : NULL) {
        const char *key;
        json_t *values;
        json_object_foreach((json_t *)g->vary, key, values)
            json_object_set(*out, key, json_object_get(best->settings, key));
    }
    return LMU_OK;
}
