/* All missing runs of a cell. Warm-up, stable rate and decay let one trunk serve every budget: it is trained at the stable rate to
 * where the decay of a budget begins, a copy of it branches off to that decay, is scored and removed, and the trunk goes on. On disk
 * there are never more than two checkpoints, and whatever a killed process has left is gone on with or thrown away. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "base/json.h"
#include "study/internal.h"
#include "train/optimiser.h"

/* -- results -- */

static lmu_status copy_text(const char *text, char **out)
{
    *out = strdup(text);
    return *out ? LMU_OK : error_set(LMU_MEMORY, "no memory for a result");
}

/* Everything that a run had and that decides its result, for the reader of results.jsonl. */
static lmu_status settings_of(const Cell *cell, json_t **out)
{
    static const char *const not_told[] = {"data",           "tokens",          "time",      "seed",
                                           "evaluate_every", "evaluate_tokens", "save_every"};
    json_t *json = cell->order ? json_pack("{s:I, s:I}", "ngram", (json_int_t)cell->order, "length",
                                           (json_int_t)cell->train.length)
                               : NULL;
    lmu_status status = LMU_OK;
    if (!cell->order) {
        TRY(model_config_to_json(&cell->config, &json));
        TrainConfig told = cell->train;
        told.muon_interval = optimiser_interval(&told); /* as in the identity */
        status = fields_to_json(&train_table, &told, json);
    }
    for (size_t i = 0; i < sizeof not_told / sizeof *not_told; i++)
        json_object_del(json, not_told[i]);
    *out = json;
    return status;
}

static lmu_status result_begin(const Cell *cell, size_t budget, Result *r)
{
    *r = (Result){.seed = cell->seed,
                  .budget = cell->budget[budget],
                  .width = cell->order ? 0 : cell->config.dim,
                  .non_embedding = cell->non_embedding,
                  .parameters = cell->parameters,
                  .nats = INFINITY,
                  .bits_per_byte = INFINITY,
                  .carried = NAN,
                  .threads = 1};
    TRY(copy_text(cell->id[budget], &r->id));
    TRY(copy_text(cell->grid->name, &r->grid));
    TRY(copy_text(cell->model, &r->model));
    TRY(copy_text(cell->size, &r->size));
    TRY(copy_text(cell->optimizer, &r->optimizer));
    TRY(copy_text(cell->variant, &r->variant));
    TRY(copy_text(cell->grid->corpus, &r->corpus));
    TRY(copy_text(machine_cpu_name(), &r->cpu));
    return settings_of(cell, &r->settings);
}

static lmu_status result_end(StudyRun *s, Result *r)
{
    char what[96], seconds[32], left[32];
    if (!r->compute)
        TRY(copy_text("", &r->compute));
    snprintf(what, sizeof what, "the loss is not finite, recorded as that");
    if (isfinite(r->bits_per_byte))
        snprintf(what, sizeof what, "%.4f bits per byte, %.4f nats a token", r->bits_per_byte, r->nats);
    format_duration(r->seconds, seconds, sizeof seconds);
    TRY(results_append(&s->results, s->request->results, r));
    progress_say(s->request->progress, "%s: %s (%s); %zu of %zu runs done, about %s left", s->name, what, seconds,
                 ++s->done, s->all, format_duration(study_left(s), left, sizeof left));
    return LMU_OK;
}

/* A run that another grid has done: its line once more, under this grid's names. */
static lmu_status result_share(StudyRun *s, const Cell *cell, size_t budget, const Result *found)
{
    Result r = {0};
    lmu_status status;
    ATTEMPT(result_begin(cell, budget, &r));
    r.tokens = found->tokens;
    r.parameters = found->parameters;
    r.flops_token = found->flops_token;
    r.nats = found->nats;
    r.bits_per_byte = found->bits_per_byte;
    r.carried = found->carried;
    r.parts = found->parts;
    memcpy(r.part_nats, found->part_nats, sizeof r.part_nats);
    memcpy(r.part_bytes, found->part_bytes, sizeof r.part_bytes);
    r.seconds = found->seconds;
    r.threads = found->threads;
    free(r.cpu);
    r.cpu = NULL;
    ATTEMPT(copy_text(found->cpu, &r.cpu));
    ATTEMPT(copy_text(found->compute, &r.compute));
    status = result_end(s, &r);
done:
    result_free(&r);
    return status;
}

/* -- directories -- */

/* Whether the file in DIR/current says that what lies there is of this run. */
static bool marker_is(const char *directory, const char *name, const char *id)
{
    char *path, *text = NULL;
    size_t size;
    bool same = path_join(directory, name, &path) == LMU_OK && file_exists(path) &&
                file_read(path, 256, &text, &size) == LMU_OK && strcmp(text, id) == 0;
    free(path);
    free(text);
    return same;
}

static lmu_status marker_set(const char *directory, const char *name, const char *id)
{
    char *path;
    TRY(path_join(directory, name, &path));
    lmu_status status = file_write(path, id, strlen(id));
    free(path);
    return status;
}

/* FROM/NAME as TO/AS. */
static lmu_status copy_file(const char *from, const char *name, const char *to, const char *as)
{
    char *source = NULL, *target = NULL;
    FileMap map;
    lmu_status status;
    ATTEMPT(path_join(from, name, &source));
    ATTEMPT(path_join(to, as, &target));
    ATTEMPT(file_map(source, &map));
    status = file_write(target, map.data, map.size);
    file_unmap(&map);
done:
    free(source);
    free(target);
    return status;
}

/* Every file of one directory into another, which is made. */
static lmu_status copy_files(const char *from, const char *to)
{
    char **names;
    size_t count;
    TRY(directory_make(to));
    TRY(directory_list(from, &names, &count));
    lmu_status status = LMU_OK;
    for (size_t i = 0; i < count && status == LMU_OK; i++)
        status = copy_file(from, names[i], to, names[i]);
    directory_list_free(names);
    return status;
}

/* A copy of the trunk as a run of its own. The marker comes last: without it the copy is thrown away. */
static lmu_status branch_off(StudyRun *s, const char *id)
{
    char *from = NULL, *to = NULL;
    lmu_status status;
    ATTEMPT(directory_remove(s->branch));
    ATTEMPT(path_join(s->trunk, "last", &from));
    ATTEMPT(path_join(s->branch, "last", &to));
    if (directory_holds(s->trunk, "last")) {
        ATTEMPT(copy_files(from, to));
        ATTEMPT(copy_file(s->trunk, "metrics.jsonl", s->branch, "metrics.jsonl"));
    }
    status = marker_set(s->current, "branch", id);
done:
    free(from);
    free(to);
    return status;
}

/* The log of a finished run outlives it. */
static lmu_status keep_log(StudyRun *s, const char *id)
{
    char name[32];
    snprintf(name, sizeof name, "%s.jsonl", id);
    return copy_file(s->branch, "metrics.jsonl", s->logs, name);
}

/* -- training -- */

/* `run` trained for the budget until the step; *steps reached. */
static lmu_status train_until(StudyRun *s, const Cell *cell, const StudyCorpus *corpus, const char *run, int64_t budget,
                              int64_t until, TrainReport *report)
{
    ModelConfig model = {0};
    TrainConfig train = cell->train; /* its only pointer is the data's directory */
    TRY(study_ceiling(s));
    TRY(model_config_copy(&model, &cell->config));
    train.data = corpus->directory;
    train.tokens = budget;
    train.threads = s->request->threads;
    train.evaluate_every = (int64_t)1e12;
    TrainRequest request = {.run = run,
                            .config = &train,
                            .model = &model,
                            .resume = directory_holds(run, "last"),
                            .until = until,
                            .ceiling = s->ceiling,
                            .progress = &s->progress};
    lmu_status status = train_run(&request, report);
    model_config_free(&model);
    return status;
}

static int64_t steps_of(const Cell *cell, int64_t budget)
{
    TrainConfig train = cell->train;
    train.tokens = budget;
    return train_steps(&train);
}

/* Where the decay of a budget begins; 0 where the rate depends on the budget from the start. */
static int64_t stable_steps(const Cell *cell, int64_t budget)
{
    if (cell->train.schedule != SCHEDULE_WSD)
        return 0;
    return (int64_t)floor((1 - cell->train.decay) * (double)steps_of(cell, budget));
}

/* The trunk at the step where the budget branches off. One that has gone further, as when a smaller budget was added to a grid, is
 * trained anew. */
static lmu_status trunk_advance(StudyRun *s, const Cell *cell, const StudyCorpus *corpus, int64_t until)
{
    TrainReport report;
    int64_t most = cell->budget[cell->budgets - 1];
    if (until == 0)
        return LMU_OK;
    TRY(train_until(s, cell, corpus, s->trunk, most, until, &report));
    if (report.steps == until)
        return LMU_OK;
    TRY(directory_remove(s->trunk));
    return train_until(s, cell, corpus, s->trunk, most, until, &report);
}

static lmu_status train_budget(StudyRun *s, const Cell *cell, const StudyCorpus *corpus, size_t budget, Result *r)
{
    TrainReport report;
    int64_t tokens = cell->budget[budget];
    char *last = NULL;
    lmu_status status = LMU_OK;
    if (!marker_is(s->current, "branch", cell->id[budget])) {
        ATTEMPT(trunk_advance(s, cell, corpus, stable_steps(cell, tokens)));
        ATTEMPT(branch_off(s, cell->id[budget]));
    }
    ATTEMPT(train_until(s, cell, corpus, s->branch, tokens, steps_of(cell, tokens), &report));
    r->tokens = report.tokens;
    r->flops_token = report.flops_token;
    r->seconds = report.seconds;
    ATTEMPT(path_join(s->branch, "last", &last));
    ATTEMPT(study_score(s, cell, corpus, last, r));
    status = keep_log(s, cell->id[budget]);
done:
    free(last);
    return status;
}

static void name_run(StudyRun *s, const Cell *cell, size_t budget)
{
    char tokens[32];
    format_count((double)cell->budget[budget], tokens, sizeof tokens);
    snprintf(s->label, sizeof s->label, "%s%s%s %s", cell->model, *cell->size ? " " : "", cell->size, tokens);
    snprintf(s->name, sizeof s->name, "%s: %s%s%s%s%s%s%s%s %s tokens", cell->grid->name, cell->model,
             *cell->size ? " " : "", cell->size, *cell->optimizer ? " " : "", cell->optimizer,
             *cell->variant ? " [" : "", cell->variant, *cell->variant ? "]" : "", tokens);
}

/* One run, trained or counted. A loss that is not finite is a result too. */
static lmu_status study_budget(StudyRun *s, const Cell *cell, const StudyCorpus *corpus, size_t budget)
{
    Result r = {0};
    lmu_status status;
    ATTEMPT(result_begin(cell, budget, &r));
    status = cell->order ? study_count(s, cell, corpus, cell->budget[budget], &r)
                         : train_budget(s, cell, corpus, budget, &r);
    if (status == LMU_NUMERIC) {
        r.tokens = cell->budget[budget];
        status = LMU_OK;
    }
    ATTEMPT(status);
    ATTEMPT(result_end(s, &r));
    if (!cell->order)
        status = directory_remove(s->branch);
done:
    result_free(&r);
    return status;
}

/* DIR/current is this cell's: what another cell has left there is removed. */
static lmu_status claim_current(StudyRun *s, const Cell *cell)
{
    const char *id = cell->id[cell->budgets - 1];
    if (marker_is(s->current, "cell", id))
        return LMU_OK;
    TRY(directory_remove(s->current));
    TRY(directory_make(s->current));
    return marker_set(s->current, "cell", id);
}

lmu_status study_cell(StudyRun *s, const Cell *cell)
{
    const StudyCorpus *corpus = study_corpus_of(s, cell);
    bool trained = false;
    for (size_t b = 0; b < cell->budgets; b++) {
        name_run(s, cell, b);
        if (results_find(&s->results, cell->id[b], cell->grid->name))
            continue;
        const Result *found = plan_result(s->study, cell, b, &s->results);
        if (found) {
            TRY(result_share(s, cell, b, found));
            continue;
        }
        if (!cell->order && !trained)
            TRY(claim_current(s, cell));
        trained = !cell->order;
        TRY(study_budget(s, cell, corpus, b));
    }
    return trained ? directory_remove(s->current) : LMU_OK;
}
