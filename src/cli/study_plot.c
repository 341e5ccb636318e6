/* lmu study plot: the pictures and the page of a study. */
#include <stdlib.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/study_fit.h"
#include "study/plot.h"

typedef struct PlotArguments {
    char *results, *out;
} PlotArguments;

static const Field argument_fields[] = {
    {.name = "results",
     .type = FIELD_STRING,
     .offset = offsetof(PlotArguments, results),
     .unit = "RESULTS",
     .help = "the results.jsonl of a study",
     .positional = true,
     .required = true},
    {.name = "out",
     .type = FIELD_STRING,
     .offset = offsetof(PlotArguments, out),
     .unit = "DIR",
     .help = "where the pictures and report.html are written",
     .required = true},
};
static const FieldTable argument_table = {"Options", argument_fields, sizeof argument_fields / sizeof *argument_fields};

static lmu_status plot_run(int argc, char *const *argv);

const Command study_plot_command = {
    .name = "study plot",
    .summary = "Draw a study's results, and write its report",
    .usage = "RESULTS --out DIR [--model NAME] [--baseline NAME]",
    .details =
        "Computes what lmu study fit prints and draws it with gnuplot: the token-efficiency ratios, the loss over\n"
        "training text (a picture a size), over model size and over training compute, as SVG. DIR/report.html is\n"
        "a page with all pictures and tables that needs no other file.\n\n"
        "  lmu study plot study/results.jsonl --out study/figures",
    .tables = {&argument_table, &study_fit_table},
    .run = plot_run,
};

static lmu_status file_put(const char *directory, const char *name, const Figure *figure, const StudyFit *fit,
                           const Figures *figures)
{
    char *path;
    TRY(path_join(directory, name, &path));
    lmu_status status = figure ? file_write(path, figure->svg, figure->size) : report_write(fit, figures, path);
    if (status == LMU_OK)
        printf("%s\n", path);
    free(path);
    return status;
}

static lmu_status figures_write(const StudyFit *fit, const Figures *figures, const char *directory)
{
    TRY(directory_make(directory));
    for (size_t i = 0; i < figures->count; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s.svg", figures->list[i].name);
        TRY(file_put(directory, name, &figures->list[i], fit, figures));
    }
    return file_put(directory, "report.html", NULL, fit, figures);
}

static lmu_status plot_run(int argc, char *const *argv)
{
    PlotArguments arguments;
    FitOptions options;
    void *const values[] = {&arguments, &options};
    bool help;
    TRY(command_parse(&study_plot_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    StudyFit fit = {0};
    Figures figures = {0};
    lmu_status status;
    ATTEMPT(study_fit(arguments.results, &options, &fit));
    ATTEMPT(study_draw(&fit, &figures));
    status = figures_write(&fit, &figures, arguments.out);
done:
    figures_free(&figures);
    study_fit_free(&fit);
    command_free(&study_plot_command, values);
    return status;
}
