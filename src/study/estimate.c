/* How long the missing runs will take. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "study/internal.h"
#include "text/ngram.h"
#include "train/optimiser.h"

#define COUNT_SPEED 1e6    /* tokens a second that counts are made of, at least */
#define SCORING_SHARE 0.33 /* of the time of training that scoring takes for a token */

static Speed speed_of(const Cell *cell)
{
    return (Speed){.model = cell->model,
                   .optimizer = cell->optimizer,
                   .width = cell->config.dim,
                   .batch = cell->train.batch,
                   .length = cell->train.length,
                   .interval = optimiser_interval(&cell->train)};
}

static const Speed *speed_find(const Speeds *speeds, const Cell *cell)
{
    for (size_t i = 0; i < speeds->count; i++) {
        const Speed *known = &speeds->list[i];
        if (strcmp(known->model, cell->model) == 0 && strcmp(known->optimizer, cell->optimizer) == 0 &&
            known->width == cell->config.dim && known->batch == cell->train.batch &&
            known->length == cell->train.length && known->interval == optimiser_interval(&cell->train))
            return known;
    }
    return NULL;
}

static bool speed_is_of(const Result *r, const Cell *cell, int threads)
{
    const json_t *batch = json_object_get(r->settings, "batch"), *length = json_object_get(r->settings, "length");
    return strcmp(r->model, cell->model) == 0 && strcmp(r->optimizer, cell->optimizer) == 0 &&
           r->width == cell->config.dim && json_integer_value(batch) == cell->train.batch &&
           json_integer_value(length) == cell->train.length && result_interval(r) == optimiser_interval(&cell->train) &&
           r->threads == threads && r->seconds > 0 && strcmp(r->cpu, machine_cpu_name()) == 0;
}

/* The last three finished runs of the model and width that were made under the same conditions tell, by the middle one: one that was
 * held up by something else says nothing of the next. */
static bool speed_known(const Results *results, const Cell *cell, int threads, Speed *speed)
{
    double found[3];
    const char *last = "";
    int count = 0;
    for (size_t i = results->count; i-- > 0 && count < 3;) {
        const Result *r = &results->list[i];
        if (strcmp(r->id, last) == 0 || !speed_is_of(r, cell, threads)) /* grids may share a run */
            continue;
        found[count++] = r->seconds / (double)r->tokens;
        last = r->id;
    }
    if (count == 0)
        return false;
    speed->training = seconds_median(found, count);
    speed->scoring = SCORING_SHARE * speed->training;
    return true;
}

lmu_status study_ceiling(StudyRun *s)
{
    Backend *backend;
    if (s->ceiling > 0)
        return LMU_OK;
    TRY(backend_open(BACKEND_CPU, s->request->threads, false, &backend));
    lmu_status status = backend_choose_compute(backend, COMPUTE_CHOICE_AUTO);
    if (status == LMU_OK)
        status = product_ceiling(backend, &s->ceiling);
    backend_close(backend);
    return status;
}

static lmu_status speed_measure(StudyRun *s, const Cell *cell, Speed *speed)
{
    ModelConfig model = {0};
    TrainConfig train = cell->train;
    Progress quiet = {.interrupt = s->progress.interrupt};
    TRY(study_ceiling(s));
    TRY(model_config_copy(&model, &cell->config));
    train.data = study_corpus_of(s, cell)->directory;
    train.tokens = cell->budget[0];
    train.cooccurrence = 0; /* which changes no step */
    train.threads = s->request->threads;
    TrainRequest request = {
        .run = s->current, .config = &train, .model = &model, .ceiling = s->ceiling, .progress = &quiet};
    lmu_status status = train_measure(&request, &speed->training, &speed->scoring);
    model_config_free(&model);
    return status;
}

static lmu_status speed_add(Speeds *speeds, const Speed *speed)
{
    TRY(memory_grow(&speeds->list, &speeds->capacity, speeds->count + 1, sizeof *speeds->list, "a study"));
    speeds->list[speeds->count++] = *speed;
    return LMU_OK;
}

/* Tokens that a cell of the plan still trains on: its trunk once, every missing decay; and how many runs that are. */
static double tokens_left(const Study *study, const Plan *plan, size_t number, const Results *results, size_t *missing)
{
    const Cell *cell = &plan->cell[number];
    double branches = 0, most = 0, decay = cell->train.schedule == SCHEDULE_WSD ? cell->train.decay : 1;
    *missing = 0;
    for (size_t b = 0; b < cell->budgets; b++) {
        if (plan_result(study, cell, b, results) || plan_has_before(plan, number, b))
            continue;
        double budget = (double)cell->budget[b];
        branches += decay * budget;
        most = budget;
        ++*missing;
    }
    return branches + (1 - decay) * most;
}

static double cell_seconds(const Cell *cell, const Speed *speed, double tokens, size_t missing, double held_out)
{
    double scored = (double)missing * held_out * (cell->grid->carried ? 2 : 1);
    return cell->order ? (tokens + scored) / COUNT_SPEED : tokens * speed->training + scored * speed->scoring;
}

lmu_status study_measure(StudyRun *s)
{
    for (size_t i = 0; i < s->plan.cells; i++) {
        const Cell *cell = &s->plan.cell[i];
        Speed speed = speed_of(cell);
        size_t missing;
        tokens_left(s->study, &s->plan, i, &s->results, &missing);
        if (missing == 0 || cell->order || cell->fault || speed_find(&s->speeds, cell))
            continue;
        if (progress_interrupted(s->request->progress))
            return error_set(LMU_INTERRUPTED, "interrupted before anything was begun");
        progress_report(s->request->progress, "measuring speeds", (double)i, (double)s->plan.cells, "cells", NULL);
        if (!speed_known(&s->results, cell, s->threads, &speed))
            TRY(speed_measure(s, cell, &speed));
        TRY(speed_add(&s->speeds, &speed));
    }
    return LMU_OK;
}

double study_left(const StudyRun *s)
{
    double left = 0;
    for (size_t i = 0; i < s->plan.cells; i++) {
        const Cell *cell = &s->plan.cell[i];
        const Speed *speed = speed_find(&s->speeds, cell);
        const StudyCorpus *corpus = study_corpus_of(s, cell);
        size_t missing;
        double tokens = tokens_left(s->study, &s->plan, i, &s->results, &missing);
        if (missing > 0 && (speed || cell->order))
            left += cell_seconds(cell, speed, tokens, missing, (double)corpus->held_out_tokens);
    }
    return left;
}

/* Tokens of a corpus's held-out text, as a finished run tells; 0: none does. */
static double held_out_tokens(const Results *results, const char *corpus)
{
    for (size_t i = 0; i < results->count; i++) {
        const Result *r = &results->list[i];
        double nats = 0;
        for (int part = 0; part < r->parts; part++)
            nats += r->part_nats[part];
        if (strcmp(r->corpus, corpus) == 0 && isfinite(r->nats) && r->nats > 0 && nats > 0)
            return nats / r->nats;
    }
    return 0;
}

double plan_left(const Study *study, const Plan *plan, const Results *results, size_t *unknown)
{
    double left = 0;
    int threads = results->count ? results->list[results->count - 1].threads : 1;
    *unknown = 0;
    for (size_t i = 0; i < plan->cells; i++) {
        const Cell *cell = &plan->cell[i];
        Speed speed = speed_of(cell);
        size_t missing;
        double tokens = tokens_left(study, plan, i, results, &missing);
        if (cell->fault)
            continue;
        if (missing > 0 && !cell->order && !speed_known(results, cell, threads, &speed))
            *unknown += missing;
        else if (missing > 0)
            left += cell_seconds(cell, &speed, tokens, missing, held_out_tokens(results, cell->grid->corpus));
    }
    return left;
}
