/* How a model is trained: one struct and one field table. */
#ifndef LMU_TRAIN_CONFIG_H
#define LMU_TRAIN_CONFIG_H

#include "base/field.h"

typedef enum OptimiserKind { OPTIMISER_ADAMW, OPTIMISER_MUON } OptimiserKind; /* OPTIMISERS in this order */
#define OPTIMISERS "adamw|muon"

typedef enum ScheduleKind { SCHEDULE_COSINE, SCHEDULE_WSD } ScheduleKind; /* SCHEDULES in this order */
#define SCHEDULES "cosine|wsd"

typedef struct TrainConfig {
    char *data; /* directory with train.bin, valid.bin, tokenizer.json */
    int64_t tokens;
    double time; /* seconds; 0: no limit */
    int64_t length, batch, micro_batch;
    int64_t cooccurrence; /* tokens */
    double ngram_smoothing;
    bool recompute, carry;
    double learning_rate, memory_rate, spelling, final_fraction;
    int64_t warmup;
    int schedule;  /* ScheduleKind */
    double decay;  /* share of the budget */
    int optimizer; /* OptimiserKind */
    double momentum;
    int64_t muon_interval; /* steps; optimiser_interval resolves 0 */
    double weight_decay, beta1, beta2, epsilon, clip;
    int64_t seed;
    int64_t evaluate_every, evaluate_tokens, log_every;
    double save_every; /* seconds */
    int64_t threads;
    int compute; /* ComputeChoice */
    int memory;  /* MemoryForm */
} TrainConfig;

extern const FieldTable train_table;

/* Where a default is not what the program did before it had the option: what it did. For files that may be older, before they are
 * read over it. */
void train_config_older(TrainConfig *config);

#endif
