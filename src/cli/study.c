/* lmu study run, lmu study show: experiments over models, sizes and budgets. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "cli/command.h"
#include "study/study.h"

typedef struct StudyOptions {
    char *file, *out, *results;
    StringList corpus, grid, model;
    bool estimate;
    int64_t threads;
} StudyOptions;

#define FILE_FIELD                                                                                                     \
    {                                                                                                                  \
        .name = "file", .type = FIELD_STRING, .offset = offsetof(StudyOptions, file), .unit = "FILE",                  \
        .help = "the study (JSON), see docs/study.md", .positional = true, .required = true                            \
    }
#define GRID_FIELD                                                                                                     \
    {                                                                                                                  \
        .name = "grid", .type = FIELD_STRINGS, .offset = offsetof(StudyOptions, grid), .unit = "NAME",                 \
        .help = "this grid alone; may be given several times; without it, all in the order of the file"                \
    }
#define MODEL_FIELD                                                                                                    \
    {                                                                                                                  \
        .name = "model", .type = FIELD_STRINGS, .offset = offsetof(StudyOptions, model), .unit = "NAME",               \
        .help = "this model alone; may be given several times"                                                         \
    }
#define RESULTS_FIELD                                                                                                  \
    FIELD_STRING_OF(StudyOptions, results, NULL, "FILE", "finished runs, a line each; without it, DIR/results.jsonl")

static const Field run_fields[] = {
    FILE_FIELD,
    {.name = "out",
     .type = FIELD_STRING,
     .offset = offsetof(StudyOptions, out),
     .unit = "DIR",
     .required = true,
     .help = "where checkpoints of the run in progress, prepared corpora and logs lie"},
    RESULTS_FIELD,
    {.name = "corpus",
     .type = FIELD_STRINGS,
     .offset = offsetof(StudyOptions, corpus),
     .unit = "NAME=PATH",
     .help = "where a corpus of the study lies: a prepared directory, or the folder of the texts that FILE lists, "
             "which are "
             "prepared in DIR then; may be given several times"},
    GRID_FIELD,
    MODEL_FIELD,
    FIELD_FLAG_OF(StudyOptions, estimate, "false", "say how many runs there are and how long they will take, and end"),
    FIELD_COUNT_OF(StudyOptions, threads, "0", 0, 1024, "threads", "threads; 0: as many as this process may use"),
};
static const FieldTable run_table = {"Options", run_fields, sizeof run_fields / sizeof *run_fields};

static const Field show_fields[] = {
    FILE_FIELD,  FIELD_STRING_OF(StudyOptions, out, NULL, "DIR", "of lmu study run"), RESULTS_FIELD, GRID_FIELD,
    MODEL_FIELD,
};
static const FieldTable show_table = {"Options", show_fields, sizeof show_fields / sizeof *show_fields};

/* -- the table of what is done -- */

static void print_head(const StudyGrid *grid)
{
    printf("\n%s%s%s: bits per byte by tokens\n%-20s %-6s %-8s %5s %5s %9s", grid->name,
           grid->tuned_by ? ", tuned by " : "", grid->tuned_by ? grid->tuned_by : "", "model", "size", "optim.", "seed",
           "width", "non-emb.");
    for (size_t b = 0; b < grid->budgets; b++) {
        char tokens[32];
        printf(" %8s", format_count((double)grid->budget[b], tokens, sizeof tokens));
    }
    printf("  variant\n");
}

static void print_cell(const Cell *cell, const Results *results)
{
    char count[32];
    printf("%-20s %-6s %-8s %5lld %5lld %9s", cell->model, cell->size, cell->optimizer, (long long)cell->seed,
           (long long)(cell->order || cell->fault ? 0 : cell->config.dim),
           format_count((double)cell->non_embedding, count, sizeof count));
    size_t first = (size_t)(cell->budget - cell->grid->budget);
    for (size_t b = 0; b < cell->grid->budgets; b++) {
        bool here = b >= first && b < first + cell->budgets;
        const Result *r = here ? results_find(results, cell->id[b - first], cell->grid->name) : NULL;
        if (!here)
            printf(" %8s", "");
        else if (!r)
            printf(" %8s", !cell->tuned ? "?" : cell->fault ? "none" : ".");
        else if (isfinite(r->bits_per_byte))
            printf(" %8.4f", r->bits_per_byte);
        else
            printf(" %8s", "diverged");
    }
    printf("%s%s", *cell->variant ? "  " : "", cell->variant);
    if (cell->tuned && cell->fault)
        printf("  (none: %s)", cell->fault);
    putchar('\n');
}

static lmu_status results_path(const StudyOptions *o, char **path)
{
    if (!o->results && !o->out)
        return error_set(LMU_USAGE, "where are the results? Give --out DIR or --results FILE");
    if (!o->results)
        return path_join(o->out, "results.jsonl", path);
    *path = strdup(o->results);
    return *path ? LMU_OK : error_set(LMU_MEMORY, "no memory for a path");
}

/* To show nothing of a place that is not there would say that nothing has been done. */
static lmu_status refuse_nowhere(const StudyOptions *o)
{
    const char *place = o->results ? o->results : o->out;
    return file_exists(place) ? LMU_OK : error_set(LMU_IO, "%s: no such file or directory", place);
}

static lmu_status print_table(const Study *study, const StudyOptions *o, const char *path)
{
    Results results;
    Plan plan = {0};
    size_t done, all, unknown;
    char time[32];
    TRY(results_read(path, &results));
    lmu_status status;
    ATTEMPT(plan_open(study, &(StudyPart){&o->grid, &o->model}, &results, &plan));
    plan_count(&plan, &results, &done, &all);
    double left = plan_left(study, &plan, &results, &unknown);
    printf("%s\n%zu of %zu runs are done (. to do, ? to be tuned first, none: no such model)", study->title, done, all);
    if (done < all)
        printf(", about %s left", format_duration(left, time, sizeof time));
    if (unknown > 0)
        printf(" and the time of %zu runs like which none is done", unknown);
    putchar('\n');
    for (size_t i = 0; i < plan.cells; i++) {
        if (i == 0 || plan.cell[i].grid != plan.cell[i - 1].grid)
            print_head(plan.cell[i].grid);
        print_cell(&plan.cell[i], &results);
    }
done:
    plan_close(&plan);
    results_free(&results);
    return status;
}

/* -- the commands -- */

extern const Command study_run_command, study_show_command;

/* The study trained, if asked, and its table. */
static lmu_status study_work(const StudyOptions *o, bool train)
{
    Study *study = NULL;
    char *path = NULL;
    lmu_status status;
    ATTEMPT(study_open(o->file, &study));
    ATTEMPT(results_path(o, &path));
    if (!train)
        ATTEMPT(refuse_nowhere(o));
    if (train) {
        StudyRequest request = {.study = study,
                                .out = o->out,
                                .results = path,
                                .corpora = &o->corpus,
                                .part = {&o->grid, &o->model},
                                .estimate = o->estimate,
                                .threads = (int)o->threads,
                                .progress = command_progress()};
        ATTEMPT(study_run(&request));
        command_progress_end();
    }
    if (!o->estimate)
        status = print_table(study, o, path);
done:
    study_close(study);
    free(path);
    return status;
}

static lmu_status study_command(const Command *command, int argc, char *const *argv, bool train)
{
    StudyOptions o = {0};
    void *values[] = {&o};
    bool help;
    TRY(command_parse(command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    lmu_status status = study_work(&o, train);
    command_free(command, values);
    return status;
}

static lmu_status run_study(int argc, char *const *argv)
{
    return study_command(&study_run_command, argc, argv, true);
}

static lmu_status show_study(int argc, char *const *argv)
{
    return study_command(&study_show_command, argc, argv, false);
}

const Command study_run_command = {
    .name = "study run",
    .summary = "Train a grid of models, sizes and budgets, and go on where it was",
    .usage = "FILE --out DIR [--corpus NAME=PATH]... [options]",
    .details =
        "Trains every run of the study that has no line in results.jsonl yet, one after the other, and appends a line "
        "for\n"
        "each. Ctrl-C, a crash or a cut of power lose no more than some minutes: the same command goes on. Before the\n"
        "first run it says how many there are and how long they will take. With the schedule wsd one trunk serves all\n"
        "budgets of a model: a copy branches off to the decay of each. DIR never holds more than two checkpoints.\n"
        "\n"
        "    lmu study run studies/small.json --out study --corpus speeches=build/demo/speeches\n"
        "    lmu study run studies/small.json --out study --grid core --estimate\n"
        "    lmu study show studies/small.json --out study",
    .tables = {&run_table},
    .run = run_study,
};

const Command study_show_command = {
    .name = "study show",
    .summary = "Show which runs of a study are done",
    .usage = "FILE [--out DIR] [options]",
    .details = "Prints for every grid the bits per byte of each finished run, and which are still to do. A study that "
               "is being\n"
               "run may be shown too. Its results are those of --out DIR, or of --results FILE.\n"
               "\n"
               "    lmu study show studies/small.json --out study --grid core",
    .tables = {&show_table},
    .run = show_study,
};
