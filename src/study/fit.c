#include "study/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "study/bootstrap.h"
#include "study/study.h"

const char *const law_names[LAW_KINDS] = {"tokens", "parameters", "flops"};

void study_fit_free(StudyFit *fit)
{
    free(fit->law);
    free(fit->pair);
    series_free(&fit->series);
    results_free(&fit->results);
    memset(fit, 0, sizeof *fit);
}

double law_x(LawKind kind, const SeriesCell *cell)
{
    return kind == LAW_TOKENS       ? cell->tokens
           : kind == LAW_PARAMETERS ? (double)cell->run[0]->non_embedding
                                    : cell->flops;
}

/* -- power laws -- */

static lmu_status law_solve(LawFit *law)
{
    double *x, *loss;
    lmu_status status = LMU_OK;
    TRY(memory_new(&x, law->cells * 2, sizeof *x, "a fit"));
    loss = x + law->cells;
    for (size_t i = 0; i < law->cells; i++)
        x[i] = law_x(law->kind, law->cell[i]);
    for (int unit = 0; unit < 2; unit++) {
        for (size_t i = 0; i < law->cells; i++)
            loss[i] = unit ? law->cell[i]->nats : law->cell[i]->loss;
        for (int floor = 0; floor < 2 && status == LMU_OK; floor++)
            status = power_law_fit(x, loss, law->cells, floor, unit ? &law->nats[floor] : &law->bits[floor]);
    }
    free(x);
    return status;
}

static int flops_order(const void *a, const void *b)
{
    const SeriesCell *x = *(const SeriesCell *const *)a, *y = *(const SeriesCell *const *)b;
    return x->flops != y->flops ? (x->flops < y->flops ? -1 : 1) : (x->loss > y->loss) - (x->loss < y->loss);
}

/* The lower envelope: what no cheaper run equals or beats. */
static void law_envelope(LawFit *law)
{
    size_t kept = 0;
    qsort(law->cell, law->cells, sizeof *law->cell, flops_order);
    for (size_t i = 0; i < law->cells; i++)
        if (!kept || law->cell[i]->loss < law->cell[kept - 1]->loss)
            law->cell[kept++] = law->cell[i];
    law->cells = kept;
}

/* Fits the law over those cells of the series that `kind`, `size` and `budget` choose. */
static lmu_status law_add(StudyFit *fit, const Series *series, LawKind kind, const char *size, int64_t budget)
{
    LawFit law = {.kind = kind, .series = series, .size = size, .budget = budget};
    law.cell = arena_alloc(fit->series.arena, series->cells, sizeof *law.cell);
    if (!law.cell)
        return LMU_MEMORY;
    for (size_t i = 0; i < series->cells; i++) {
        const SeriesCell *cell = &series->cell[i];
        if ((!size || strcmp(cell->size, size) == 0) && (!budget || cell->budget == budget))
            law.cell[law.cells++] = cell;
    }
    if (kind == LAW_FLOPS)
        law_envelope(&law);
    TRY(law_solve(&law));
    TRY(memory_grow(&fit->law, &fit->law_capacity, fit->laws + 1, sizeof *fit->law, "fits"));
    fit->law[fit->laws++] = law;
    return LMU_OK;
}

static bool has_law(const StudyFit *fit, const Series *series, int64_t budget)
{
    for (size_t i = 0; i < fit->laws; i++)
        if (fit->law[i].series == series && fit->law[i].kind == LAW_PARAMETERS && fit->law[i].budget == budget)
            return true;
    return false;
}

/* Of counts only L(D): they have no parameters and no FLOPs. */
static lmu_status laws_of(StudyFit *fit, const Series *series)
{
    for (size_t i = 0; i < series->cells; i = series_size_end(series, i))
        TRY(law_add(fit, series, LAW_TOKENS, series->cell[i].size, 0));
    if (series->counts)
        return LMU_OK;
    for (size_t i = 0; i < series->cells; i++)
        if (!has_law(fit, series, series->cell[i].budget))
            TRY(law_add(fit, series, LAW_PARAMETERS, NULL, series->cell[i].budget));
    return law_add(fit, series, LAW_FLOPS, NULL, 0);
}

/* -- ratios -- */

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_chosen(const Series *series, const StringList *names, bool baseline)
{
    if (series->counts)
        return false;
    if (!names->count)
        return baseline ? begins_with(series->model, "transformer") || begins_with(series->model, "lstm")
                        : begins_with(series->model, "lmu");
    for (size_t i = 0; i < names->count; i++)
        if (series_is_named(series, names->value[i]))
            return true;
    return false;
}

static lmu_status names_check(const StudyFit *fit, const StringList *names, const char *option)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *known[128];
        size_t count = 0, j = 0;
        while (j < fit->series.count && !series_is_named(&fit->series.list[j], names->value[i]))
            j++;
        if (j < fit->series.count && fit->series.list[j].counts)
            return error_set(LMU_USAGE, "%s: '%s' is counts, which have no size to compare at", option,
                             names->value[i]);
        if (j < fit->series.count)
            continue;
        for (j = 0; j < fit->series.count && count + 2 <= sizeof known / sizeof *known; j++) {
            known[count++] = fit->series.list[j].model;
            known[count++] = fit->series.list[j].label;
        }
        char suggestion[SUGGESTION_SIZE];
        return error_set(LMU_USAGE, "%s: %s has no finished run of '%s'%s", option, fit->path, names->value[i],
                         name_suggestion(names->value[i], known, count, suggestion));
    }
    return LMU_OK;
}

static lmu_status pairs_of(StudyFit *fit, const Series *a, const Series *b)
{
    for (size_t i = 0; i < a->cells; i = series_size_end(a, i)) {
        Pair pair;
        bool found;
        TRY(pair_measure(fit->series.arena, a, i, b, (size_t)fit->resamples, &pair, &found));
        if (!found)
            continue;
        TRY(memory_grow(&fit->pair, &fit->pair_capacity, fit->pairs + 1, sizeof *fit->pair, "ratios"));
        fit->pair[fit->pairs++] = pair;
    }
    return LMU_OK;
}

static lmu_status pairs_add(StudyFit *fit, const FitOptions *options)
{
    const SeriesList *series = &fit->series;
    TRY(names_check(fit, &options->model, "--model"));
    TRY(names_check(fit, &options->baseline, "--baseline"));
    for (size_t i = 0; i < series->count; i++)
        for (size_t j = 0; j < series->count; j++) {
            const Series *a = &series->list[i], *b = &series->list[j];
            bool alike = options->baseline.count || !*b->variant || strcmp(a->variant, b->variant) == 0;
            if (i != j && alike && strcmp(a->corpus, b->corpus) == 0 && is_chosen(a, &options->model, false) &&
                is_chosen(b, &options->baseline, true))
                TRY(pairs_of(fit, a, b));
        }
    return fit->pairs ? LMU_OK
                      : series_note(&fit->series, "no ratio: no chosen model has a size in common with a baseline");
}

static bool has_note(const SeriesList *series, const char *text)
{
    for (size_t i = 0; i < series->notes.count; i++)
        if (strcmp(series->notes.value[i], text) == 0)
            return true;
    return false;
}

/* Why ratios of time are withheld: for each noisy series and size once, however many pairs it is in. */
static lmu_status times_note(StudyFit *fit)
{
    size_t machines = 0;
    for (size_t i = 0; i < fit->pairs; i++) {
        const char *untimed = fit->pair[i].untimed;
        machines += untimed == untimed_machines;
        if (!untimed || untimed == untimed_machines)
            continue;
        const char *text = arena_printf(fit->series.arena, "ratios of time are withheld: %s", untimed);
        if (!text)
            return LMU_MEMORY;
        if (!has_note(&fit->series, text))
            TRY(series_note(&fit->series, "%s", text));
    }
    return machines ? series_note(&fit->series, "ratios of time are withheld for %zu of %zu pairs of models, as %s",
                                  machines, fit->pairs, untimed_machines)
                    : LMU_OK;
}

/* Whether a budget of the cell's size has several seeds. */
static bool has_seeds(const Series *series, const SeriesCell *cell)
{
    bool has = false;
    for (size_t i = 0; i < series->cells; i++)
        has |= series->cell[i].runs > 1 && strcmp(series->cell[i].size, cell->size) == 0;
    return has;
}

/* An interval over one seed is an interval over the text alone, but where other budgets tell how much seeds differ. */
static lmu_status seeds_note(StudyFit *fit)
{
    size_t single = 0, borrowed = 0, cells = 0;
    for (size_t i = 0; i < fit->series.count; i++) {
        const Series *series = &fit->series.list[i];
        for (size_t j = 0; !series->counts && j < series->cells; j++, cells++) {
            bool one = series->cell[j].runs == 1, known = has_seeds(series, &series->cell[j]);
            single += one && !known;
            borrowed += one && known;
        }
    }
    if (single)
        TRY(series_note(&fit->series,
                        "of %zu losses %zu rest on one seed: their intervals, and those of ratios with them, tell "
                        "what hangs on the held-out text, not what another seed would change",
                        cells, single));
    return borrowed ? series_note(&fit->series,
                                  "of %zu losses %zu rest on one seed where other budgets of the size have several: "
                                  "their intervals are as wide as seeds differ there",
                                  cells, borrowed)
                    : LMU_OK;
}

static bool is_planned(const Plan *plan, const Result *run)
{
    for (size_t i = 0; i < plan->cells; i++) {
        const Cell *cell = &plan->cell[i];
        for (size_t b = 0; cell->tuned && b < cell->budgets; b++)
            if (strcmp(cell->id[b], run->id) == 0 && strcmp(cell->grid->name, run->grid) == 0)
                return true;
    }
    return false;
}

/* Drops runs that the study does not lead to, as it and its tuning are now. */
static lmu_status keep_planned(const char *path, Results *results, size_t *dropped)
{
    static const StringList all = {0};
    Study *study;
    Plan plan = {0};
    size_t kept = 0, count = results->count;
    TRY(study_open(path, &study));
    lmu_status status = plan_open(study, &(StudyPart){&all, &all}, results, &plan);
    for (size_t i = 0; status == LMU_OK && i < count; i++) {
        if (is_planned(&plan, &results->list[i]))
            results->list[kept++] = results->list[i];
        else
            result_free(&results->list[i]);
    }
    if (status == LMU_OK)
        results->count = kept;
    *dropped = count - results->count;
    plan_close(&plan);
    study_close(study);
    if (status == LMU_OK && kept == 0)
        return error_set(LMU_USAGE, "no finished run is one of %s, as it is now", path);
    return status;
}

static lmu_status fit_make(const FitOptions *options, StudyFit *fit)
{
    size_t dropped = 0;
    if (!file_exists(fit->path))
        return error_set(LMU_IO, "%s: is not there; the results.jsonl that lmu study run wrote is expected", fit->path);
    TRY(results_read(fit->path, &fit->results));
    if (options->study)
        TRY(keep_planned(options->study, &fit->results, &dropped));
    TRY(series_collect(&fit->results, fit->path, &options->grid, &fit->series));
    if (dropped > 0)
        TRY(series_note(&fit->series, "runs left out because %s does not lead to them, as it is now: %zu",
                        options->study, dropped));
    TRY(bootstrap_draw(&fit->series, (size_t)options->resamples, (uint64_t)options->seed));
    for (size_t i = 0; i < fit->series.count; i++)
        TRY(laws_of(fit, &fit->series.list[i]));
    TRY(pairs_add(fit, options));
    TRY(times_note(fit));
    return seeds_note(fit);
}

lmu_status study_fit(const char *path, const FitOptions *options, StudyFit *out)
{
    *out = (StudyFit){.path = path, .resamples = options->resamples, .seed = options->seed};
    lmu_status status = fit_make(options, out);
    if (status != LMU_OK)
        study_fit_free(out);
    return status;
}
