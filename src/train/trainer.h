/* Training: the loop, its checkpoints, and resuming them.
 *
 * A run is a directory:
 *     RUN/last/          the newest checkpoint: model.safetensors, config.json, tokenizer.json, and for resuming
 *                        trainer.safetensors (moments), trainer.json (options, position, random seed), with --spelling
 *                        spelling.safetensors (its moments) and, where state is carried from step to step,
 *                        state.safetensors
 *     RUN/best/          the model with the lowest loss on held-out text so far
 *     RUN/metrics.jsonl  one object a line
 * Every random draw and the order of the data are functions of (seed, step, sample), so a run that is stopped and resumed gives the
 * bits of an unbroken one on the same kind of CPU with the same number of threads. */
#ifndef LMU_TRAIN_TRAINER_H
#define LMU_TRAIN_TRAINER_H

#include "base/progress.h"
#include "kernel/backend.h"
#include "model/config.h"
#include "text/score.h"
#include "train/config.h"

typedef struct TrainRequest {
    const char *run; /* directory of the run */
    TrainConfig *config;
    ModelConfig *model; /* vocabulary is filled in from the tokenizer */
    const char *from;   /* run or checkpoint whose parameters are the start; NULL: drawn from the seed */
    bool resume;        /* go on from RUN/last with these options */
    int64_t
        until; /* stop behind so many steps of the run, saved, without the evaluation at the end; 0: the whole budget */
    double
        ceiling; /* the product ceiling in FLOP/s where the caller knows it: then nothing is measured or foretold; 0: measure */
    bool guarded;       /* tensors unreadable outside kernel calls: for tests */
    Progress *progress; /* may be NULL */
} TrainRequest;

typedef struct TrainReport {
    int64_t steps, tokens;
    int64_t parameters, non_embedding;
    double seconds;           /* of training, over all sessions of the run; evaluation not counted */
    double evaluating;        /* seconds spent in evaluation, this session */
    double tokens_per_second; /* of training, this session; 0: nothing was left to do */
    double loss;              /* nats a token, mean of the last steps' training loss */
    EvalResult valid;         /* the whole held-out text, by the last model; none with `until` */
    double flops_token;       /* model FLOPs of training a token */
    double best_loss;         /* lowest of the periodic evaluations, nats a token */
    double flop_use;          /* model FLOPs as a share of the product ceiling, mean over this session */
} TrainReport;

/* LMU_INTERRUPTED: the user stopped it, and it is saved. LMU_NUMERIC: a loss was not finite; the last checkpoint, whose model
 * gave a finite one, stands. LMU_MEMORY: it would not fit, and nothing was touched. */
lmu_status train_run(const TrainRequest *request, TrainReport *report);

/* The options that a run was started with, for resuming: from RUN/last/trainer.json and config.json. Both are initialised. */
lmu_status train_options(const char *run, TrainConfig *config, ModelConfig *model);

/* Seconds that a token of training and one of scoring held-out text take, measured by a few micro-batches; nothing is written.
 * The request has the ceiling. */
lmu_status train_measure(const TrainRequest *request, double *training, double *scoring);
/* Steps of a whole run by --tokens; 0: only time counts. */
int64_t train_steps(const TrainConfig *config);
/* Windows of a step that are worked on at a time. */
int train_micro_batch(const TrainConfig *config);

/* FLOP/s of a product of 4096 x 1024 by 1024 x 1024 of what the backend multiplies (float, or bfloat16 rounded beforehand), output in
 * float, median of up to 20: the product ceiling. */
lmu_status product_ceiling(Backend *backend, double *flops);
/* The median of one time or more, which are put in order; of an even number the upper one of the middle. */
double seconds_median(double *seconds, int count);

#endif
