/* What the files of the trainer share. */
#ifndef LMU_TRAIN_TRAINER_INTERNAL_H
#define LMU_TRAIN_TRAINER_INTERNAL_H

#include "model/model.h"
#include "text/tokenizer.h"
#include "text/windows.h"
#include "train/evaluate.h"
#include "train/trainer.h"

typedef struct Trainer {
    const TrainRequest *request;
    const TrainConfig *config;
    Progress *progress;
    Backend *backend;
    Tokenizer *tokenizer;
    Shard train, valid;
    Windows windows;
    Model *model;
    Graph *graph;
    Tensor *loss;
    Evaluator evaluator;
    int micro; /* windows at a time */
    int32_t *window, *ids, *targets;
    int64_t *count, *sample;
    float *losses;
    double flops_token, ceiling; /* model FLOPs of training a token; FLOP/s of the product ceiling */
    /* position */
    int64_t step, total_steps; /* total 0: only time counts */
    double seconds;            /* spent before this session */
    double started, saved;     /* clock */
    double best_loss;          /* infinite before the first evaluation */
    bool saved_any; /* there is a checkpoint to go back to */
    double recent;             /* mean loss of the last steps, for the progress line */
    /* since the last line of metrics */
    double sum_loss, sum_norm;
    int64_t sum_steps;
    double line_time;
    int64_t session_tokens;
} Trainer;

/* saving.c */
lmu_status trainer_save(Trainer *t);
lmu_status trainer_save_best(Trainer *t);
lmu_status trainer_restore(Trainer *t);

/* metrics.c: lines are whole or absent; those past the position of a resumed run are dropped. */
lmu_status metrics_begin(Trainer *t);
lmu_status metrics_train(Trainer *t, double rate, double tokens_per_second);
lmu_status metrics_valid(Trainer *t, const EvalResult *result, bool whole);

/* outlook.c: says what the run will take, and refuses what cannot fit. */
lmu_status trainer_outlook(Trainer *t);

/* trainer.c: fills the batch with `rows` windows from sample `first` on and runs it forward and backward. */
lmu_status trainer_micro_batch(Trainer *t, int64_t first, int rows, bool first_of_step, double *loss);
int64_t trainer_step_tokens(const Trainer *t);

#endif
