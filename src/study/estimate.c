/* How long the missing runs will take. */
#include <string.h>

#include "base/format.h"
#include "study/internal.h"
#include "text/ngram.h"

#define COUNT_SPEED 1e6 /* tokens a second that counts are made of, at least */

/* Seconds a token, of training and scoring. */
typedef struct Speed {
    double training, scoring;
} Speed;

/* A finished run of the same model, size and step on this CPU tells. */
static bool speed_known(const StudyRun *s, const Cell *cell, double *training)
{
    for (size_t i = s->results.count; i-- > 0;) {
        const Result *r = &s->results.list[i];
        if (strcmp(r->model, cell->model) == 0 && r->width == cell->config.dim && r->seconds > 0 && r->tokens > 0 &&
            strcmp(r->optimizer, cell->optimizer) == 0 && strcmp(r->cpu, machine_cpu_name()) == 0) {
            *training = r->seconds / (double)r->tokens;
            return true;
        }
    }
    return false;
}

static lmu_status speed_measure(StudyRun *s, const Cell *cell, Speed *speed)
{
    ModelConfig model = {0};
    TrainConfig train = cell->train;
    Progress quiet = {.interrupt = s->progress.interrupt};
    TRY(model_config_copy(&model, &cell->config));
    train.data = study_corpus_of(s, cell)->directory;
    train.tokens = cell->grid->budget[0];
    train.threads = s->request->threads;
    TrainRequest request = {.run = s->current, .config = &train, .model = &model, .progress = &quiet};
    lmu_status status = train_measure(&request, &speed->training, &speed->scoring);
    model_config_free(&model);
    return status;
}

/* Tokens that a cell still trains on: its trunk once, every missing decay. */
static double tokens_left(const StudyRun *s, const Cell *cell, size_t *missing)
{
    double branches = 0, most = 0, decay = cell->train.schedule == SCHEDULE_WSD ? cell->train.decay : 1;
    *missing = 0;
    for (size_t b = 0; b < cell->grid->budgets; b++) {
        if (plan_result(cell, b, &s->results))
            continue;
        double budget = (double)cell->grid->budget[b];
        branches += decay * budget;
        most = budget;
        ++*missing;
    }
    return branches + (1 - decay) * most;
}

lmu_status study_estimate(StudyRun *s)
{
    const Cell *last = NULL;
    Speed speed = {0};
    s->left = 0;
    for (size_t i = 0; i < s->plan.cells; i++) {
        const Cell *cell = &s->plan.cell[i];
        size_t missing;
        double tokens = tokens_left(s, cell, &missing);
        if (missing == 0)
            continue;
        if (cell->order) {
            s->left += tokens / COUNT_SPEED;
            continue;
        }
        if (progress_interrupted(s->request->progress))
            return error_set(LMU_INTERRUPTED, "interrupted before anything was begun");
        /* Variants of one model, which follow each other, are taken to be as fast as the first. */
        bool same = last && last->config.dim == cell->config.dim && strcmp(last->model, cell->model) == 0 &&
                    strcmp(last->optimizer, cell->optimizer) == 0;
        if (!same) {
            bool known = speed_known(s, cell, &speed.training);
            progress_report(s->request->progress, "measuring speeds", (double)i, (double)s->plan.cells, "cells", NULL);
            if (!known)
                TRY(speed_measure(s, cell, &speed));
            else
                speed.scoring = speed.training / 3;
        }
        last = cell;
        double held_out = 2e6; /* about, whatever the corpus */
        s->left += tokens * speed.training + (double)missing * held_out * speed.scoring;
    }
    return LMU_OK;
}
