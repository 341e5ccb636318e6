#include "study/choice.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "study/study.h"

/* -- by grid -- */

/* Whether a grid serves to choose settings or to look at one of them: its runs are no series to compare. */
static bool is_aside(const char *grid)
{
    static const char *const starts[] = {"tuning", "ablation", "checks"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(grid, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static lmu_status grids_check(const Results *results, const char *path, const StringList *grids)
{
    const char *names[64];
    size_t count = 0;
    for (size_t i = 0; i < results->count && count < sizeof names / sizeof *names; i++)
        if (!is_one_of(results->list[i].grid, names, count))
            names[count++] = results->list[i].grid;
    for (size_t i = 0; i < grids->count; i++) {
        const char *wanted = grids->value[i];
        char suggestion[SUGGESTION_SIZE];
        size_t j = 0;
        while (j < results->count && strcmp(results->list[j].grid, wanted) != 0)
            j++;
        if (j == results->count)
            return error_set(LMU_USAGE, "--grid: %s has no finished run of grid '%s'%s", path, wanted,
                             name_suggestion(wanted, names, count, suggestion));
    }
    return LMU_OK;
}

/* -- by settings -- */

/* Runs of a group, a series at one size and budget, whose settings differ from the newest's in one way. */
typedef struct Outdated {
    size_t group;
    const char *difference;
    const Result *first;
    size_t runs;
} Outdated;

typedef struct Choice {
    const Results *results;
    SeriesList *series;
    json_t *defaults;      /* of every option */
    const Result **newest; /* of each group */
    size_t groups, group_capacity;
    size_t *group_of; /* [results] */
    Outdated *outdated;
    size_t outdateds, outdated_capacity;
} Choice;

static lmu_status defaults_make(json_t **out)
{
    ModelConfig model;
    TrainConfig train;
    json_t *json = json_object();
    lmu_status status = json ? LMU_OK : error_set(LMU_MEMORY, "no memory for settings");
    if (status == LMU_OK)
        status = fields_init(&model_table, &model);
    if (status == LMU_OK) {
        status = fields_to_json(&model_table, &model, json);
        fields_free(&model_table, &model);
    }
    if (status == LMU_OK)
        status = fields_init(&train_table, &train);
    if (status == LMU_OK) {
        train_config_older(&train);
        status = fields_to_json(&train_table, &train, json);
        fields_free(&train_table, &train);
    }
    *out = json;
    return status;
}

static const json_t *setting_of(const Choice *choice, const Result *run, const char *key)
{
    const json_t *value = json_object_get(run->settings, key);
    return value ? value : json_object_get(choice->defaults, key);
}

/* Adds "; KEY THEN, now NOW" to the text, as far as there is room. */
static void difference_add(char *text, size_t size, const char *key, const json_t *then, const json_t *now)
{
    const size_t flags = JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(8);
    char *before = then ? json_dumps(then, flags) : NULL, *after = now ? json_dumps(now, flags) : NULL;
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s %s, now %s", used ? "; " : "", key, before ? before : "none",
             after ? after : "none");
    free(before);
    free(after);
}

/* What tells a run's settings from the newest's, in the order of the newest's; "" for nothing. */
static void difference_of(const Choice *choice, const Result *run, const Result *newest, char *text, size_t size)
{
    const char *key;
    json_t *ignored;
    *text = '\0';
    json_object_foreach(newest->settings, key, ignored) {
        const json_t *then = setting_of(choice, run, key), *now = setting_of(choice, newest, key);
        if (!setting_stands_aside(key) && !json_equal(then, now))
            difference_add(text, size, key, then, now);
    }
    json_object_foreach(run->settings, key, ignored) {
        const json_t *then = setting_of(choice, run, key), *now = setting_of(choice, newest, key);
        if (!json_object_get(newest->settings, key) && !setting_stands_aside(key) && !json_equal(then, now))
            difference_add(text, size, key, then, now);
    }
}

static bool is_of_one_curve(const Result *a, const Result *b)
{
    return !strcmp(a->size, b->size) && !strcmp(a->model, b->model) && !strcmp(a->optimizer, b->optimizer) &&
           !strcmp(a->variant, b->variant) && !strcmp(a->corpus, b->corpus);
}

static bool is_alike(const Result *a, const Result *b)
{
    return a->budget == b->budget && is_of_one_curve(a, b);
}

static lmu_status outdated_add(Choice *choice, size_t group, const Result *run, const char *difference)
{
    for (size_t i = 0; i < choice->outdateds; i++) {
        Outdated *o = &choice->outdated[i];
        if (o->group == group && strcmp(o->difference, difference) == 0) {
            o->first = run; /* lines are read backwards */
            o->runs++;
            return LMU_OK;
        }
    }
    const char *kept = arena_string(choice->series->arena, difference);
    if (!kept)
        return LMU_MEMORY;
    TRY(memory_grow(&choice->outdated, &choice->outdated_capacity, choice->outdateds + 1, sizeof *choice->outdated,
                    "runs"));
    choice->outdated[choice->outdateds++] = (Outdated){group, kept, run, 1};
    return LMU_OK;
}

/* Backwards through the file: the first of a group is its newest. */
static lmu_status settings_choose(Choice *choice, const Result **run)
{
    for (size_t i = choice->results->count; i-- > 0;) {
        char difference[600];
        size_t g = 0;
        if (!run[i])
            continue;
        while (g < choice->groups && !is_alike(choice->newest[g], run[i]))
            g++;
        choice->group_of[i] = g;
        if (g == choice->groups) {
            TRY(memory_grow(&choice->newest, &choice->group_capacity, g + 1, sizeof *choice->newest, "runs"));
            choice->newest[choice->groups++] = run[i];
            continue;
        }
        difference_of(choice, run[i], choice->newest[g], difference, sizeof difference);
        if (!*difference)
            continue;
        TRY(outdated_add(choice, g, run[i], difference));
        run[i] = NULL;
    }
    return LMU_OK;
}

static lmu_status settings_note(Choice *choice)
{
    for (size_t i = choice->outdateds; i-- > 0;) {
        const Outdated *o = &choice->outdated[i];
        const Result *newest = choice->newest[o->group];
        const char *label = series_label(choice->series, newest);
        if (!label)
            return LMU_MEMORY;
        TRY(series_note(choice->series,
                        "%s, size '%s', %" PRId64 " tokens: runs left out because their settings are not those of the "
                        "newest run there, %s of grid %s: %zu, from %s of grid %s on; %s%s",
                        label, newest->size, newest->budget, newest->id, newest->grid, o->runs, o->first->id,
                        o->first->grid, o->difference,
                        strcmp(newest->grid, o->first->grid) ? "; --grid chooses one of them" : ""));
    }
    return LMU_OK;
}

/* The run of the same curve whose budget is the next larger one; NULL: none. */
static const Result *next_on_curve(const Choice *choice, const Result *run)
{
    const Result *next = NULL;
    for (size_t g = 0; g < choice->groups; g++) {
        const Result *other = choice->newest[g];
        if (is_of_one_curve(run, other) && other->budget > run->budget && (!next || other->budget < next->budget))
            next = other;
    }
    return next;
}

/* A curve may be tuned by budget, and may be one that was begun anew and is not complete: it is told where settings change. */
static lmu_status curves_note(Choice *choice)
{
    for (size_t g = choice->groups; g-- > 0;) {
        char difference[600];
        const Result *run = choice->newest[g], *next = next_on_curve(choice, run);
        if (!next)
            continue;
        difference_of(choice, run, next, difference, sizeof difference);
        const char *label = series_label(choice->series, run);
        if (!label)
            return LMU_MEMORY;
        if (*difference)
            TRY(series_note(choice->series,
                            "%s, size '%s': settings change between %" PRId64 " and %" PRId64 " tokens: %s", label,
                            run->size, run->budget, next->budget, difference));
    }
    return LMU_OK;
}

/* -- by age -- */

static lmu_status age_choose(Choice *choice, const Result **run)
{
    for (size_t i = 0; i < choice->results->count; i++) {
        const Result *newer = NULL;
        for (size_t j = i + 1; run[i] && j < choice->results->count; j++)
            if (run[j] && choice->group_of[i] == choice->group_of[j] && run[i]->budget == run[j]->budget &&
                run[i]->seed == run[j]->seed && strcmp(run[i]->id, run[j]->id) != 0)
                newer = run[j];
        if (!newer)
            continue;
        const char *label = series_label(choice->series, newer);
        if (!label)
            return LMU_MEMORY;
        TRY(series_note(choice->series,
                        "run %s (grid %s) is left out: %s, size '%s', %" PRId64 " tokens, seed %" PRId64
                        " is the newer run %s (grid %s); their settings are equal, so that their text or the program "
                        "must differ",
                        run[i]->id, run[i]->grid, label, newer->size, newer->budget, newer->seed, newer->id,
                        newer->grid));
        run[i] = NULL;
    }
    return LMU_OK;
}

lmu_status runs_choose(const Results *results, const char *path, const StringList *grids, SeriesList *series,
                       const Result ***run, size_t *aside)
{
    Choice choice = {.results = results, .series = series};
    *aside = 0;
    TRY(grids_check(results, path, grids));
    *run = arena_alloc(series->arena, results->count, sizeof **run);
    choice.group_of = arena_alloc(series->arena, results->count, sizeof *choice.group_of);
    if (!*run || !choice.group_of)
        return LMU_MEMORY;
    for (size_t i = 0; i < results->count; i++) {
        const char *grid = results->list[i].grid;
        bool named = is_one_of(grid, (const char *const *)grids->value, grids->count);
        (*run)[i] = (grids->count ? named : !is_aside(grid)) ? &results->list[i] : NULL;
        *aside += !grids->count && is_aside(grid);
    }
    lmu_status status;
    ATTEMPT(defaults_make(&choice.defaults));
    ATTEMPT(settings_choose(&choice, *run));
    ATTEMPT(settings_note(&choice));
    ATTEMPT(curves_note(&choice));
    status = age_choose(&choice, *run);
done:
    json_decref(choice.defaults);
    free(choice.newest);
    free(choice.outdated);
    return status;
}
