/* lmu study fit: power laws and token-efficiency ratios of a study's results. */
#include "cli/study_fit.h"

#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "study/table.h"

typedef struct FitArguments {
    char *results, *out;
} FitArguments;

static const Field argument_fields[] = {
    {.name = "results",
     .type = FIELD_STRING,
     .offset = offsetof(FitArguments, results),
     .unit = "RESULTS",
     .help = "the results.jsonl of a study",
     .positional = true,
     .required = true},
    FIELD_STRING_OF(FitArguments, out, NULL, "FILE", "where everything is written as JSON as well"),
};
static const FieldTable argument_table = {"Options", argument_fields, sizeof argument_fields / sizeof *argument_fields};

static const Field fit_fields[] = {
    FIELD_STRING_OF(
        FitOptions, study, NULL, "FILE",
        "the study (JSON): take only the runs that it leads to, as its settings are and its tuning came out; "
        "without it, of each series, size and budget those of the newest settings"),
    {.name = "grid",
     .type = FIELD_STRINGS,
     .offset = offsetof(FitOptions, grid),
     .unit = "NAME",
     .help = "take the runs of this grid; may be given several times; without it, of all whose name does not begin "
             "with tuning, ablation or checks"},
    {.name = "model",
     .type = FIELD_STRINGS,
     .offset = offsetof(FitOptions, model),
     .unit = "NAME",
     .help =
         "measure this model, MODEL[/OPTIMIZER[/VARIANT]], with all variants if none is named, MODEL/OPTIMIZER/ with "
         "none; may be given several times; without it, all that begin with lmu"},
    {.name = "baseline",
     .type = FIELD_STRINGS,
     .offset = offsetof(FitOptions, baseline),
     .unit = "NAME",
     .help =
         "against this one; may be given several times; without it, all that begin with transformer or lstm and have "
         "no variant or that of the model"},
    FIELD_COUNT_OF(FitOptions, resamples, "1000", 0, 100000, NULL,
                   "of the bootstrap over parts of the held-out text; 0: no intervals"),
    FIELD_COUNT_OF(FitOptions, seed, "0", 0, 9e15, NULL, "of the bootstrap's draws"),
};
const FieldTable study_fit_table = {"Analysis", fit_fields, sizeof fit_fields / sizeof *fit_fields};

static lmu_status fit_run(int argc, char *const *argv);

const Command study_fit_command = {
    .name = "study fit",
    .summary = "Fit power laws to a study's results and compare its models",
    .usage = "RESULTS [--out FILE] [--model NAME] [--baseline NAME]",
    .details =
        "Prints the loss of every model with its 95% interval; the power laws L(D) over tokens, L(N) over\n"
        "parameters and L(C) over training FLOPs, with and without an irreducible loss; and how many times the "
        "tokens,\n"
        "the FLOPs and the time of a model its baselines need to reach its loss, at equal size.\n"
        "Ratios are read off the baseline's measured curve and never beyond it; those of time are as good as the "
        "machine\n"
        "was idle, and withheld where runs of one model, size and shape differ by more than a factor of 1.25 in "
        "seconds a "
        "token.\n"
        "Of runs with other settings under one name the newest are taken. docs/study.md says more, docs/formats.md\n"
        "describes the JSON.\n\n"
        "  lmu study fit study/results.jsonl --out study/fit.json\n"
        "  lmu study fit study/results.jsonl --model lmu/muon --baseline transformer",
    .tables = {&argument_table, &study_fit_table},
    .run = fit_run,
};

typedef lmu_status TableMaker(const StudyFit *fit, const char *corpus, Table *out);

static lmu_status fit_show(const StudyFit *fit)
{
    static TableMaker *const tables[] = {table_of_cells, table_of_seeds,  table_of_laws,
                                         table_of_times, table_of_ratios, table_of_headlines};
    printf("%s: %zu finished runs, %zu series\n", fit->path, fit->series.runs, fit->series.count);
    for (size_t i = 0; i < fit->series.corpus_count; i++)
        for (size_t j = 0; j < sizeof tables / sizeof *tables; j++) {
            Table table = {0};
            lmu_status status = tables[j](fit, fit->series.corpora[i], &table);
            if (status == LMU_OK)
                table_print(stdout, &table);
            table_free(&table);
            TRY(status);
        }
    if (fit->series.notes.count)
        printf("\nNotes\n");
    for (size_t i = 0; i < fit->series.notes.count; i++)
        printf("- %s\n", fit->series.notes.value[i]);
    return LMU_OK;
}

static lmu_status fit_save(const StudyFit *fit, const char *path)
{
    json_t *json = study_fit_to_json(fit);
    if (!json)
        return error_set(LMU_MEMORY, "no memory for %s", path);
    lmu_status status = json_write_file(path, json);
    json_decref(json);
    return status;
}

static lmu_status fit_run(int argc, char *const *argv)
{
    FitArguments arguments;
    FitOptions options;
    void *const values[] = {&arguments, &options};
    bool help;
    TRY(command_parse(&study_fit_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    StudyFit fit = {0};
    lmu_status status;
    if (arguments.out)
        ATTEMPT(file_writer_check(arguments.out));
    ATTEMPT(study_fit(arguments.results, &options, &fit));
    if (arguments.out)
        ATTEMPT(fit_save(&fit, arguments.out));
    status = fit_show(&fit);
done:
    study_fit_free(&fit);
    command_free(&study_fit_command, values);
    return status;
}
