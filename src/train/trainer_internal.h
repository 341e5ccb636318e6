/* What the files of the trainer share. */
#ifndef LMU_TRAIN_TRAINER_INTERNAL_H
#define LMU_TRAIN_TRAINER_INTERNAL_H

#include "model/model.h"
#include "text/tokenizer.h"
#include "text/windows.h"
#include "train/evaluate.h"
#include "train/muon.h"
#include "train/smoothing.h"
#include "train/spelling.h"
#include "train/trainer.h"

#define TRAINER_VERSION 1 /* of trainer.json */
#define SPELLING_FILE "spelling.safetensors"

/* Where a run stands between two steps: all of it is in trainer.json, so that a resumed run goes on as if unbroken. */
typedef struct Position {
    int64_t step;      /* steps done */
    int64_t evaluated; /* the step of the last evaluation; -1: none yet */
    double seconds;    /* of training, evaluation not counted */
    double recent;     /* mean loss of the last steps, for the user */
    double best_loss;  /* of the evaluations so far; infinite: none yet */
    double rate;       /* learning rate of the last step */
    /* since the last line of metrics */
    double sum_loss, sum_norm;
    int64_t sum_steps;
} Position;

typedef struct Trainer {
    const TrainRequest *request;
    const TrainConfig *config;
    Progress *progress;
    Progress quiet; /* for work whose progress is none of the user's business: asked for interrupts only */
    Backend *backend;
    Tokenizer *tokenizer;
    Shard train, valid;
    Windows windows;
    Model *model;
    Graph *graph;
    Tensor *loss;
    Muon *muon;             /* NULL: AdamW alone */
    Spelling *spelling;     /* NULL: each token by itself */
    Smoothing *smoothing;   /* NULL: targets are the text alone */
    double smoothing_share; /* of the step in progress */
    Evaluator evaluator;
    int micro; /* windows at a time */
    int32_t *window, *ids, *targets;
    int64_t *count, *sample;
    State *carried,
        *working;  /* the lanes' streams behind the last whole step, and in the one in progress; NULL: none */
    int64_t *lane; /* [micro] of the windows in hand */
    float *losses;
    double flops_token, ceiling; /* model FLOPs of training a token; FLOP/s of the product ceiling */
    double free_bytes;           /* memory before the run took any */
    double resident_bytes;       /* what the process held then */
    double score_seconds;        /* that evaluation takes for a token, measured before the run */
    int64_t total_steps;         /* 0: only time counts */
    Position at;
    /* this session alone */
    double started;          /* clock, moved on by evaluations */
    double saved;            /* clock of the last checkpoint */
    bool changed;            /* since then */
    int lock;                /* descriptor of the run's directory, locked against a second trainer; -1: none */
    bool saved_any;          /* there is a checkpoint to go back to */
    double evaluated_share;  /* of the budget, at the last evaluation */
    double evaluate_seconds; /* spent in evaluations */
    EvalResult held_out;     /* of the last evaluation; no tokens: none yet */
    int64_t tokens;          /* trained on */
    int64_t line_tokens;     /* since the last line of metrics */
    double line_time;        /* clock, moved on by evaluations */
} Trainer;

/* opening.c */
lmu_status trainer_open(Trainer *t);
void trainer_close(Trainer *t);

/* embedding.c: with --cooccurrence. */
/* LMU_USAGE: it would count text that is not trained on, or for nothing. */
lmu_status embedding_check(const Trainer *t);
/* Of tokens that do not occur in the text that is counted, the embeddings stay random. */
lmu_status embedding_start(Trainer *t);

/* lanes.c: the state that the windows of a step take over from those of the step before. Without --carry, nothing is done. */
/* LMU_USAGE: the state of the model has a limit that a lane would reach. */
lmu_status lanes_open(Trainer *t);
void lanes_close(Trainer *t);
double lanes_pending_bytes(const Trainer *t); /* of memory that its first run will take besides */
void lanes_say(const Trainer *t);
/* Makes a run of `rows` windows from sample `first` on start from its lanes' states. */
void lanes_enter(Trainer *t, int64_t first, int rows, Run *run);
void lanes_advance(Trainer *t); /* the step in progress is done: its states are those to go on from */
lmu_status lanes_save(const Trainer *t, const char *directory);
/* The parameters, the position and the lanes are there. LMU_MISMATCH: a state of another model or step. */
lmu_status lanes_restore(Trainer *t, const char *directory);

/* saving.c */
/* LMU_NUMERIC, and the last checkpoint stays, unless the model gives a finite loss. */
lmu_status trainer_save(Trainer *t);
lmu_status trainer_save_best(Trainer *t);
/* Checks that the options can be written into a checkpoint, before hours are spent on what cannot be saved. */
lmu_status trainer_check_options(const TrainConfig *config);

/* restoring.c */
/* Parameters, moments and position from RUN/last. LMU_USAGE: options that would change the order of the data. */
lmu_status trainer_restore(Trainer *t);
/* LMU_MISMATCH unless the tokenizer of a checkpoint is that of the data. */
lmu_status trainer_check_tokenizer(const Trainer *t, const char *directory);

/* metrics.c: lines are whole or absent; those past the position of a resumed run are dropped. */
lmu_status metrics_begin(Trainer *t);
lmu_status metrics_train(Trainer *t, double tokens_per_second);
lmu_status metrics_valid(Trainer *t, const EvalResult *result, bool whole);

/* ceiling.c: the product whose speed is the ceiling, M x K by K x N. */
enum { CEILING_M = 4096, CEILING_N = 1024, CEILING_K = 1024, CEILING_RUNS = 20 };

/* outlook.c: refuses what cannot fit, before any of it is touched; says what the run will take. */
lmu_status trainer_refuse_memory(const Trainer *t);
lmu_status trainer_outlook(Trainer *t);

/* trainer.c */
/* Fills the batch with `rows` windows from sample `first` on and runs it forward and backward; adds to *loss. */
lmu_status trainer_micro_batch(Trainer *t, int64_t first, int rows, bool first_of_step, double *loss);
int64_t trainer_step_tokens(const Trainer *t);
int64_t trainer_evaluation_tokens(const Trainer *t); /* of held-out text in one evaluation along the way */
int64_t trainer_evaluation_steps(const Trainer *t);  /* between evaluations; 0: by shares of the time */
int64_t trainer_evaluations(const Trainer *t);       /* in a whole run, unless told otherwise */
lmu_status trainer_not_finite(const Trainer *t, int64_t step, const char *what, double value);

#endif
