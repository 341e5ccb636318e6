/* The runner: one cell after the other, grid by grid. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/format.h"
#include "base/memory.h"
#include "study/internal.h"

/* -- progress: the trainer's line under the run's name, of its sentences the warnings alone -- */

static StudyRun *run_of(Progress *progress)
{
    return (StudyRun *)(void *)((char *)progress - offsetof(StudyRun, progress));
}

static void pass_report(Progress *self, const char *stage, double done, double total, const char *unit,
                        const char *note)
{
    StudyRun *s = run_of(self);
    char line[224];
    snprintf(line, sizeof line, "%zu/%zu %s: %s", s->done + 1, s->all, s->label, stage);
    progress_report(s->request->progress, line, done, total, unit, note);
}

static void pass_warnings(Progress *self, const char *sentence)
{
    if (strncmp(sentence, "warning", 7) == 0)
        progress_say(run_of(self)->request->progress, "%s", sentence);
}

/* -- opening -- */

/* Two runners with one directory, or one file of results, would train everything twice and write over each other. */
static lmu_status lock(const char *path, int flags, int *descriptor)
{
    *descriptor = open(path, flags | O_CLOEXEC, 0666);
    if (*descriptor < 0)
        return error_set(LMU_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (flock(*descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return error_set(LMU_USAGE, "%s: another process runs a study there; choose another --out and --results", path);
    return LMU_OK;
}

static lmu_status open_directories(StudyRun *s)
{
    const char *out = s->request->out;
    TRY(directory_make(out));
    TRY(path_join(out, "current", &s->current));
    TRY(path_join(out, "logs", &s->logs));
    TRY(path_join(s->current, "trunk", &s->trunk));
    TRY(path_join(s->current, "branch-run", &s->branch));
    TRY(directory_make(s->logs));
    TRY(lock(out, O_RDONLY | O_DIRECTORY, &s->lock));
    if (s->request->estimate && !file_exists(s->request->results))
        return LMU_OK;
    return lock(s->request->results, O_RDWR | O_CREAT, &s->results_lock);
}

/* The PATH of "NAME=PATH" for a corpus; NULL: none was given. */
static const char *place_of(const StudyRequest *request, const char *name)
{
    for (size_t i = 0; i < request->corpora->count; i++) {
        const char *text = request->corpora->value[i], *equals = strchr(text, '=');
        if (equals && (size_t)(equals - text) == strlen(name) && strncmp(text, name, strlen(name)) == 0)
            return equals + 1;
    }
    return NULL;
}

static lmu_status check_places(const StudyRun *s)
{
    for (size_t i = 0; i < s->request->corpora->count; i++) {
        char name[256];
        const char *text = s->request->corpora->value[i], *equals = strchr(text, '=');
        snprintf(name, sizeof name, "%.*s", (int)(equals ? equals - text : 0), text);
        if (!equals || !study_member(s->study, "corpora", name))
            return error_set(LMU_USAGE, "--corpus %s: NAME=PATH is expected, NAME one of \"corpora\" in %s", text,
                             s->study->path);
        if (!file_exists(equals + 1))
            return error_set(LMU_IO, "--corpus %s: no such file or directory", text);
    }
    return LMU_OK;
}

static lmu_status open_corpora(StudyRun *s)
{
    if (!s->corpus)
        TRY(memory_new(&s->corpus, s->study->grids, sizeof *s->corpus, "a study"));
    for (size_t i = 0; i < s->plan.cells; i++) {
        const char *name = s->plan.cell[i].grid->corpus;
        if (study_corpus_of(s, &s->plan.cell[i]))
            continue;
        TRY(study_corpus_open(s->study, name, place_of(s->request, name), s->request->out, s->request->progress,
                              &s->corpus[s->corpora]));
        s->corpora++;
    }
    return LMU_OK;
}

const StudyCorpus *study_corpus_of(const StudyRun *s, const Cell *cell)
{
    for (size_t i = 0; i < s->corpora; i++)
        if (strcmp(s->corpus[i].name, cell->grid->corpus) == 0)
            return &s->corpus[i];
    return NULL;
}

/* -- running -- */

static lmu_status interrupted(const StudyRun *s)
{
    return error_set(LMU_INTERRUPTED,
                     "interrupted; %zu of %zu runs are done. The same command goes on where it stopped", s->done,
                     s->all);
}

static void say_left(StudyRun *s)
{
    char left[32];
    progress_say(s->request->progress, "%zu of %zu runs done, about %s left", s->done, s->all,
                 format_duration(study_left(s), left, sizeof left));
}

static lmu_status refuse_untuned(const Cell *cell)
{
    return error_set(
        LMU_USAGE,
        "grid %s: %s %s with %s rests on grid %s, whose runs of it are not all done, or are none, or all of "
        "which diverged: run that grid too, with this model, or vary other settings in it",
        cell->grid->name, cell->model, cell->size, cell->optimizer, cell->grid->tuned_by);
}

static lmu_status refuse_faulty(const StudyRun *s, const Cell *cell)
{
    return error_set(LMU_FORMAT, "%s: grid %s: %s %s%s%s%s cannot be made: %s", s->study->path, cell->grid->name,
                     cell->model, cell->size, *cell->variant ? " [" : "", cell->variant, *cell->variant ? "]" : "",
                     cell->fault);
}

/* Cells are made anew for each grid: what tuned it may have come to be known. */
static lmu_status run_grid(StudyRun *s, const StudyGrid *grid)
{
    Plan plan;
    TRY(plan_grid(s->study, grid, s->request->part.models, &s->results, &plan));
    lmu_status status = LMU_OK;
    for (size_t i = 0; i < plan.cells && status == LMU_OK; i++) {
        const Cell *cell = &plan.cell[i];
        if (!cell->tuned)
            status = refuse_untuned(cell);
        else
            status = cell->fault ? refuse_faulty(s, cell) : study_cell(s, cell);
    }
    plan_close(&plan);
    return status;
}

static bool in_plan(const Plan *plan, const StudyGrid *grid)
{
    for (size_t i = 0; i < plan->cells; i++)
        if (plan->cell[i].grid == grid)
            return true;
    return false;
}

/* Whether the plan has runs that may tune the cell. */
static bool is_tuned_by(const Plan *plan, const Cell *cell)
{
    for (size_t i = 0; i < plan->cells; i++)
        if (strcmp(plan->cell[i].grid->name, cell->grid->tuned_by) == 0 &&
            strcmp(plan->cell[i].model, cell->model) == 0 && strcmp(plan->cell[i].optimizer, cell->optimizer) == 0)
            return true;
    return false;
}

/* What no run of the rest can mend is better said before hours of it. */
static lmu_status check_plan(const StudyRun *s)
{
    for (size_t i = 0; i < s->plan.cells; i++) {
        const Cell *cell = &s->plan.cell[i];
        if (!cell->tuned && !is_tuned_by(&s->plan, cell))
            return refuse_untuned(cell);
        if (cell->tuned && cell->fault)
            return refuse_faulty(s, cell);
    }
    return LMU_OK;
}

/* Runs of two models of one grid that are the same run: their options are alike, as where a model relies on defaults that
 * its architecture does not have. */
static size_t count_twins(const Plan *plan, const StudyGrid *grid, const char *one, const char *other)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->cells; i++)
        for (size_t k = 0; k < plan->cells; k++) {
            const Cell *a = &plan->cell[i], *b = &plan->cell[k];
            if (a->grid != grid || b->grid != grid || a->fault || b->fault || strcmp(a->model, one) != 0 ||
                strcmp(b->model, other) != 0)
                continue;
            for (size_t n = 0; n < a->budgets * b->budgets; n++)
                count += strcmp(a->id[n / b->budgets], b->id[n % b->budgets]) == 0;
        }
    return count;
}

static void warn_of_twins(const StudyRun *s)
{
    for (size_t i = 0; i < s->study->grids; i++) {
        const StudyGrid *grid = &s->study->grid[i];
        size_t models = json_array_size(grid->models);
        for (size_t n = 0; n < models * models; n++) {
            const char *one = json_string_value(json_array_get(grid->models, n / models));
            const char *other = json_string_value(json_array_get(grid->models, n % models));
            size_t twins = n / models < n % models ? count_twins(&s->plan, grid, one, other) : 0;
            if (twins > 0)
                progress_say(s->request->progress,
                             "warning: grid '%s' of %s: models '%s' and '%s' have the same options in %zu run%s",
                             grid->name, s->study->path, one, other, twins, twins == 1 ? "" : "s");
        }
    }
}

/* The plan of all grids: again whenever a grid is done that others are tuned by. */
static lmu_status make_plan(StudyRun *s)
{
    plan_close(&s->plan);
    TRY(plan_open(s->study, &s->request->part, &s->results, &s->plan));
    plan_count(&s->plan, &s->results, &s->done, &s->all);
    return LMU_OK;
}

/* All grids in their order, each when those before it are done. */
static lmu_status run_grids(StudyRun *s)
{
    for (size_t i = 0; i < s->study->grids; i++) {
        if (!in_plan(&s->plan, &s->study->grid[i]))
            continue;
        lmu_status status = run_grid(s, &s->study->grid[i]);
        if (status == LMU_OK)
            status = make_plan(s);
        if (status == LMU_OK)
            status = study_measure(s);
        if (status != LMU_OK)
            return status == LMU_INTERRUPTED ? interrupted(s) : status;
    }
    return directory_remove(s->current);
}

static void study_run_close(StudyRun *s)
{
    for (size_t i = 0; i < s->corpora; i++)
        study_corpus_close(&s->corpus[i]);
    free(s->corpus);
    plan_close(&s->plan);
    results_free(&s->results);
    free(s->speeds.list);
    free(s->current);
    free(s->trunk);
    free(s->branch);
    free(s->logs);
    if (s->lock >= 0)
        close(s->lock);
    if (s->results_lock >= 0)
        close(s->results_lock);
}

lmu_status study_run(const StudyRequest *request)
{
    StudyRun s = {.request = request, .study = request->study, .lock = -1, .results_lock = -1};
    lmu_status status;
    s.progress = (Progress){pass_report, pass_warnings, request->progress ? request->progress->interrupt : NULL};
    s.threads = request->threads > 0 ? request->threads : machine_threads(NULL, 0);
    ATTEMPT(check_places(&s));
    ATTEMPT(open_directories(&s)); /* and locked, before results are read */
    ATTEMPT(results_read(request->results, &s.results));
    ATTEMPT(make_plan(&s));
    ATTEMPT(check_plan(&s));
    warn_of_twins(&s);
    ATTEMPT(open_corpora(&s));
    ATTEMPT(study_measure(&s));
    say_left(&s);
    if (request->estimate)
        goto done;
    status = run_grids(&s);
done:
    study_run_close(&s);
    return status;
}
