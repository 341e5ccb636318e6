/* Grids multiplied out into cells: settings merged, widths solved for, every run given its identity. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/memory.h"
#include "study/planner.h"

#define WIDTH_MULTIPLE 8

/* -- a cell -- */

static void cell_free(Cell *cell)
{
    model_config_free(&cell->config);
    fields_free(&train_table, &cell->train);
    free(cell->variant);
    free(cell->id);
    free(cell->fault);
}

/* Keeps the thread's message: what is wrong with a model matters when it is to be trained. */
static lmu_status cell_refuse(Cell *cell)
{
    cell->fault = strdup(lmu_error_message());
    error_clear();
    return cell->fault ? LMU_OK : error_set(LMU_MEMORY, "no memory for a study");
}

/* Reads merged settings over the architecture's defaults and solves for the width. */
static lmu_status cell_configure(Cell *cell, const Study *study, const StudyCorpus *corpus, Backend *backend,
                                 const json_t *settings)
{
    const json_t *model = study_member(study, "models", cell->model), *size = study_member(study, "sizes", cell->size);
    const json_t *target = json_object_get(size, "non_embedding"), *multiple = json_object_get(size, "width_multiple");
    const char *arch = json_string_value(json_object_get(model, "arch"));
    char origin[512];
    snprintf(origin, sizeof origin, "%s: grid %s: model %s", study->path, cell->grid->name, cell->model);
    cell->order = json_integer_value(json_object_get(model, "ngram"));
    TRY(model_config_init(&cell->config, arch ? arch : ARCHITECTURE_DEFAULT));
    TRY(fields_init(&train_table, &cell->train));
    TRY(settings_read(origin, settings, &cell->config, &cell->train));
    cell->config.vocabulary = corpus->vocabulary;
    cell->train.seed = cell->seed;
    if (cell->order)
        return cell_identify(cell, corpus);
    lmu_status status = LMU_OK;
    if (target && !json_object_get(settings, "dim"))
        status = solve_width(backend, &cell->config, json_integer_value(target),
                             multiple ? json_integer_value(multiple) : WIDTH_MULTIPLE);
    if (status == LMU_OK)
        status = count_parameters(backend, &cell->config, &cell->parameters, &cell->non_embedding);
    if (status == LMU_OK && cell->train.cooccurrence > cell->budget[0])
        status = error_set(LMU_USAGE, "cooccurrence counts %lld tokens, more than the budget of %lld",
                           (long long)cell->train.cooccurrence, (long long)cell->budget[0]);
    if (status == LMU_MEMORY)
        return status;
    if (status != LMU_OK)
        TRY(cell_refuse(cell));
    return cell_identify(cell, corpus);
}

/* A value of `vary`: "x2" doubles what the settings have so far; NULL where that is still to be tuned. */
static lmu_status vary_value(const Study *study, const Cell *cell, const char *key, const json_t *value,
                             const json_t *settings, json_t **out)
{
    const char *text = json_string_value(value);
    const json_t *base = json_object_get(settings, key);
    double factor;
    *out = NULL;
    if (!text || text[0] != 'x' || !parse_real(text + 1, &factor))
        *out = json_incref((json_t *)value);
    else if (json_is_integer(base))
        *out = json_integer((json_int_t)fmax(1, round((double)json_integer_value(base) * factor)));
    else if (json_is_real(base))
        *out = json_real(json_real_value(base) * factor);
    else if (cell->tuned)
        return error_set(LMU_FORMAT, "%s: grid %s: vary.%s has \"%s\", but no setting before it says of what",
                         study->path, cell->grid->name, key, text);
    return LMU_OK;
}

/* Combination number `index` of the values of `vary` over the settings, and its name behind the variant's. */
static lmu_status cell_vary(const Study *study, Cell *cell, const json_t *vary, size_t index, const char *variant,
                            json_t *settings)
{
    char name[512];
    const char *key;
    json_t *values, *chosen;
    snprintf(name, sizeof name, "%s", variant);
    json_object_foreach((json_t *)vary, key, values) {
        size_t count = json_array_size(values), used = strlen(name);
        const json_t *value = json_array_get(values, index % count);
        index /= count;
        TRY(vary_value(study, cell, key, value, settings, &chosen));
        char *text = json_is_real(chosen) ? NULL : json_dumps(chosen ? chosen : value, JSON_ENCODE_ANY | JSON_COMPACT);
        snprintf(name + used, sizeof name - used, "%s%s=", used ? " " : "", key);
        used = strlen(name);
        if (text)
            snprintf(name + used, sizeof name - used, "%s", text);
        else
            snprintf(name + used, sizeof name - used, "%.4g", json_real_value(chosen));
        free(text);
        if (chosen)
            json_object_set_new(settings, key, chosen);
    }
    cell->variant = strdup(name);
    return cell->variant ? LMU_OK : error_set(LMU_MEMORY, "no memory for a study");
}

/* Later settings win: of the study, size, model, optimiser, what was tuned, variant, what is varied. */
static lmu_status cell_settings(Planner *p, Cell *cell, const char *variant, size_t index, json_t **out)
{
    const Study *study = p->study;
    const StudyGrid *grid = cell->grid;
    const json_t *model = study_member(study, "models", cell->model), *tuned = NULL;
    bool counts = json_object_get(model, "ngram") != NULL, tunable = grid->tuned_by && !counts;
    if (tunable)
        TRY(planner_tuned(p, cell, cell->budget[0], &tuned));
    cell->tuned = !tunable || tuned;
    const json_t *layers[] = {json_object_get(study->json, "settings"),
                              study_member(study, "sizes", cell->size),
                              model,
                              study_member(study, "optimizers", cell->optimizer),
                              tuned,
                              json_object_get(grid->variants, variant)};
    json_t *settings = json_object();
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        json_object_update(settings, (json_t *)layers[i]);
    settings_drop_special(settings);
    lmu_status status = cell_vary(study, cell, counts ? NULL : grid->vary, index, variant, settings);
    if (status == LMU_OK)
        *out = settings;
    else
        json_decref(settings);
    return status;
}

/* -- grids -- */

static size_t vary_count(const StudyGrid *grid)
{
    size_t count = 1;
    const char *key;
    json_t *values;
    json_object_foreach((json_t *)grid->vary, key, values)
        count *= json_array_size(values);
    return count;
}

static lmu_status add_cell(Planner *p, const Cell *prototype, const StudyCorpus *corpus, const char *variant,
                           size_t index, Plan *plan)
{
    Cell cell = *prototype;
    json_t *settings = NULL;
    lmu_status status;
    ATTEMPT(cell_settings(p, &cell, variant, index, &settings));
    ATTEMPT(cell_configure(&cell, p->study, corpus, p->backend, settings));
    ATTEMPT(memory_grow(&plan->cell, &plan->capacity, plan->cells + 1, sizeof *plan->cell, "a study"));
    plan->cell[plan->cells++] = cell;
done:
    if (status != LMU_OK)
        cell_free(&cell);
    json_decref(settings);
    return status;
}

/* Cells for the prototype's budgets, a cell for neighbours that were tuned alike: they share a trunk. */
static lmu_status add_cells(Planner *p, const Cell *prototype, const StudyCorpus *corpus, const char *variant,
                            size_t index, Plan *plan)
{
    Cell part = *prototype;
    for (size_t first = 0, end; first < prototype->budgets; first = end) {
        const json_t *tuned = NULL, *next = NULL;
        if (part.grid->tuned_by)
            TRY(planner_tuned(p, prototype, prototype->budget[first], &tuned));
        for (end = first + 1; end < prototype->budgets; end++) {
            if (part.grid->tuned_by)
                TRY(planner_tuned(p, prototype, prototype->budget[end], &next));
            if (tuned != next && !json_equal(tuned, next))
                break;
        }
        part.budget = prototype->budget + first;
        part.budgets = end - first;
        TRY(add_cell(p, &part, corpus, variant, index, plan));
    }
    return LMU_OK;
}

/* All variants of one model, size, optimiser and seed. Counts have no size, optimiser or variant: one cell for all of them. */
static lmu_status add_variants(Planner *p, Cell prototype, const StudyCorpus *corpus, Plan *plan)
{
    const StudyGrid *grid = prototype.grid;
    if (json_object_get(study_member(p->study, "models", prototype.model), "ngram")) {
        prototype.size = prototype.optimizer = "";
        for (size_t i = 0; i < plan->cells; i++)
            if (plan->cell[i].grid == grid && plan->cell[i].seed == prototype.seed &&
                strcmp(plan->cell[i].model, prototype.model) == 0)
                return LMU_OK;
        return add_cell(p, &prototype, corpus, "", 0, plan);
    }
    const char *variant;
    json_t *settings;
    for (size_t index = 0; !grid->variants && index < vary_count(grid); index++)
        TRY(add_cells(p, &prototype, corpus, "", index, plan));
    json_object_foreach((json_t *)grid->variants, variant, settings)
        for (size_t index = 0; index < vary_count(grid); index++)
            TRY(add_cells(p, &prototype, corpus, variant, index, plan));
    return LMU_OK;
}

static bool passes(const char *wanted, const char *name)
{
    return !wanted || strcmp(wanted, name) == 0;
}

static bool is_wanted(const StringList *wanted, const char *name)
{
    for (size_t i = 0; wanted && i < wanted->count; i++)
        if (strcmp(wanted->value[i], name) == 0)
            return true;
    return !wanted || wanted->count == 0;
}

lmu_status planner_expand(Planner *p, const StudyGrid *grid, const PlanFilter *only, Plan *plan)
{
    StudyCorpus corpus;
    size_t i, k, m;
    json_t *size, *optimizer, *model;
    TRY(study_corpus_describe(p->study, grid->corpus, &corpus));
    for (size_t s = 0; s < grid->seeds; s++)
        json_array_foreach((json_t *)grid->sizes, i, size)
            json_array_foreach((json_t *)grid->optimizers, k, optimizer)
                json_array_foreach((json_t *)grid->models, m, model) {
                    Cell prototype = {.grid = grid,
                                      .model = json_string_value(model),
                                      .size = json_string_value(size),
                                      .optimizer = json_string_value(optimizer),
                                      .seed = grid->seed[s],
                                      .budget = only->budget ? only->budget : grid->budget,
                                      .budgets = only->budget ? 1 : grid->budgets};
                    if (passes(only->model, prototype.model) && passes(only->size, prototype.size) &&
                        passes(only->optimizer, prototype.optimizer) && is_wanted(only->models, prototype.model))
                        TRY(add_variants(p, prototype, &corpus, plan));
                }
    return LMU_OK;
}

/* -- plans -- */

static lmu_status planner_open(const Study *study, const Results *results, Planner *p)
{
    *p = (Planner){.study = study, .results = results};
    return backend_open(BACKEND_CPU, 1, false, &p->backend);
}

static void planner_close(Planner *p)
{
    for (size_t i = 0; i < p->count; i++)
        json_decref(p->tuned[i].settings);
    free(p->tuned);
    backend_close(p->backend);
}

lmu_status plan_grid(const Study *study, const StudyGrid *grid, const StringList *models, const Results *results,
                     Plan *plan)
{
    Planner p;
    memset(plan, 0, sizeof *plan);
    TRY(planner_open(study, results, &p));
    lmu_status status = planner_expand(&p, grid, &(PlanFilter){.models = models}, plan);
    planner_close(&p);
    if (status != LMU_OK)
        plan_close(plan);
    return status;
}

#define NAMES 256 /* of grids or models, among which a suggestion is looked for */

static lmu_status unknown_name(const Study *study, const char *kind, const char *name, const char *const *names,
                               size_t count)
{
    char suggestion[SUGGESTION_SIZE];
    return error_set(LMU_USAGE, "%s has no %s '%s'%s", study->path, kind, name,
                     name_suggestion(name, names, count, suggestion));
}

static lmu_status check_grids(const Study *study, const StringList *wanted)
{
    const char *names[NAMES];
    size_t count = study->grids < NAMES ? study->grids : NAMES;
    for (size_t i = 0; i < count; i++)
        names[i] = study->grid[i].name;
    for (size_t i = 0; i < wanted->count; i++)
        if (!study_grid(study, wanted->value[i]))
            return unknown_name(study, "grid", wanted->value[i], names, count);
    return LMU_OK;
}

static lmu_status check_models(const Study *study, const StringList *wanted)
{
    const char *names[NAMES], *name;
    size_t count = 0;
    json_t *settings;
    json_object_foreach(json_object_get(study->json, "models"), name, settings)
        if (count < NAMES)
            names[count++] = name;
    for (size_t i = 0; i < wanted->count; i++)
        if (!study_member(study, "models", wanted->value[i]))
            return unknown_name(study, "model", wanted->value[i], names, count);
    return LMU_OK;
}

lmu_status plan_open(const Study *study, const StudyPart *part, const Results *results, Plan *plan)
{
    Planner p;
    memset(plan, 0, sizeof *plan);
    TRY(check_grids(study, part->grids));
    TRY(check_models(study, part->models));
    TRY(planner_open(study, results, &p));
    lmu_status status = LMU_OK;
    for (size_t i = 0; i < study->grids && status == LMU_OK; i++)
        if (is_wanted(part->grids, study->grid[i].name))
            status = planner_expand(&p, &study->grid[i], &(PlanFilter){.models = part->models}, plan);
    planner_close(&p);
    if (status != LMU_OK)
        plan_close(plan);
    return status;
}

void plan_close(Plan *plan)
{
    for (size_t i = 0; i < plan->cells; i++)
        cell_free(&plan->cell[i]);
    free(plan->cell);
    memset(plan, 0, sizeof *plan);
}

/* Whether the grid of a line scores with the state carried: where it does and the line has no such score, the model cannot. */
static bool scores_carried(const Study *study, const char *name)
{
    const StudyGrid *grid = study_grid(study, name);
    return grid && grid->carried;
}

const Result *plan_result(const Study *study, const Cell *cell, size_t budget, const Results *results)
{
    const Result *own = results_find(results, cell->id[budget], cell->grid->name);
    for (size_t i = results->count; !own && i-- > 0;) { /* the newest */
        const Result *r = &results->list[i];
        if (strcmp(r->id, cell->id[budget]) == 0 &&
            (!cell->grid->carried || isfinite(r->carried) || scores_carried(study, r->grid)))
            return r;
    }
    return own;
}

bool plan_has_before(const Plan *plan, size_t cell, size_t budget)
{
    const Cell *own = &plan->cell[cell];
    for (size_t i = 0; i < cell; i++) {
        const Cell *other = &plan->cell[i];
        for (size_t b = 0; b < other->budgets && (other->grid->carried || !own->grid->carried); b++)
            if (strcmp(other->id[b], own->id[budget]) == 0)
                return true;
    }
    return false;
}

void plan_count(const Plan *plan, const Results *results, size_t *done, size_t *all)
{
    *done = *all = 0;
    for (size_t i = 0; i < plan->cells; i++)
        for (size_t b = 0; b < plan->cell[i].budgets; b++, ++*all)
            *done += results_find(results, plan->cell[i].id[b], plan->cell[i].grid->name) != NULL;
}
