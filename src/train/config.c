#include "train/config.h"

#include "kernel/backend.h"

static const Field fields[] = {
    FIELD_STRING_OF(TrainConfig, data, NULL, "DIR", "prepared corpus: train.bin, valid.bin and tokenizer.json"),
    FIELD_COUNT_OF(TrainConfig, tokens, "20M", 0, 1e15, "tokens", "budget: tokens to train on; 0: only --time counts"),
    FIELD_NUMBER_OF(
        FIELD_DURATION, TrainConfig, time, "0", 0, 1e9, "duration",
        "budget: time to train for, evaluation not counted (90s, 10m, 1.5h); 0: only --tokens counts. Whichever "
        "ends first"),
    FIELD_COUNT_OF(TrainConfig, length, "256", 1, 1 << 24, "tokens", "length of a training window"),
    FIELD_COUNT_OF(TrainConfig, batch, "16", 1, 1 << 20, "windows", "windows in one step"),
    FIELD_COUNT_OF(TrainConfig, micro_batch, "0", 0, 1 << 20, "windows",
                   "windows worked on at a time, their gradients added up; 0: about 2,048 tokens"),
    FIELD_FLAG_OF(TrainConfig, recompute, "false",
                  "keep the values at the borders of blocks alone for the backward pass and compute the rest again: "
                  "less memory, more time, the same numbers to the bit"),
    FIELD_FLAG_OF(
        TrainConfig, carry, "false",
        "truncated back-propagation through time: the windows of a step go on where those of the step before "
        "ended, in --batch lanes of contiguous text whose states are carried from step to step and reset after "
        "each pass; without it, windows in random order, each from zero state"),
    FIELD_CHOICE_OF(
        TrainConfig, optimizer, "adamw", OPTIMISERS,
        "muon: orthogonalised momentum for the hidden matrices, AdamW for all else. Its update of a matrix is "
        "0.2 sqrt(max(rows, columns)) times an orthogonal one, as large as AdamW's, so that --learning-rate "
        "and --weight-decay serve both"),
    FIELD_REAL_OF(TrainConfig, momentum, "0.95", 0, 0.999999, "factor", "muon: decay of the momentum (Nesterov's)"),
    FIELD_COUNT_OF(TrainConfig, muon_interval, "0", 0, 100, "steps",
                   "muon: a matrix moves in one of so many steps, so many times as far, and matrices take turns, so "
                   "that small steps cost less; 1: in every step; 0: as many as make 4,096 tokens, 4 at most"),
    FIELD_REAL_OF(TrainConfig, learning_rate, "2e-3", 0, 10, "rate", "peak learning rate"),
    FIELD_REAL_OF(TrainConfig, memory_rate, "1", 0, 1000, "factor",
                  "learning rate of implicit attention's small matrices and vectors (L, b, p), over --learning-rate"),
    FIELD_REAL_OF(TrainConfig, spelling, "0", 0, 1000, "factor",
                  "tokens that share n-grams of two or three bytes, their ends counted, learn together: learning rate "
                  "of the n-grams over --learning-rate (0.3 is a good one); 0: each token by itself"),
    FIELD_COUNT_OF(
        TrainConfig, cooccurrence, "0", 0, 1e12, "tokens",
        "tokens that are used alike start with vectors that are alike: those of what stands beside each in "
        "the first so many tokens of training (1M, of a budget of as many or more, is a good one); 0: random"),
    FIELD_REAL_OF(TrainConfig, ngram_smoothing, "0", 0, 1, "share",
                  "n-gram smoothing of targets: the share, at first, that goes to what followed the last one and two "
                  "tokens earlier in this training; falls with the learning rate (0.4 is a good one); 0: none"),
    FIELD_COUNT_OF(TrainConfig, warmup, "50", 0, 1e9, "steps", "steps of linear warm-up"),
    FIELD_CHOICE_OF(TrainConfig, schedule, "cosine", SCHEDULES,
                    "course of the learning rate behind the warm-up; wsd: stable at its peak, then a linear decay"),
    FIELD_REAL_OF(TrainConfig, decay, "0.2", 0, 1, "fraction", "share of the budget in which wsd decays, at its end"),
    FIELD_REAL_OF(TrainConfig, final_fraction, "0.05", 0, 1, "fraction",
                  "learning rate at the end of the budget, as a fraction of the peak"),
    FIELD_REAL_OF(TrainConfig, weight_decay, "0.1", 0, 100, "rate",
                  "decoupled weight decay of matrices and tables; none on norms, biases and the Legendre vectors"),
    FIELD_REAL_OF(TrainConfig, beta1, "0.9", 0, 0.999999, "factor", "decay of AdamW's first moment"),
    FIELD_REAL_OF(TrainConfig, beta2, "0.95", 0, 0.999999, "factor", "decay of AdamW's second moment"),
    FIELD_REAL_OF(TrainConfig, epsilon, "1e-8", 1e-30, 1, "number", "AdamW's epsilon"),
    FIELD_REAL_OF(TrainConfig, clip, "1", 0, 1e9, "norm", "largest norm of the gradient, 0: not clipped"),
    FIELD_COUNT_OF(TrainConfig, seed, "0", 0, 9e15, NULL, "seed of initialisation, data order and dropout"),
    FIELD_COUNT_OF(TrainConfig, evaluate_every, "0", 0, 1e12, "steps",
                   "steps between evaluations on held-out text; 0: twenty in the run"),
    FIELD_COUNT_OF(TrainConfig, evaluate_tokens, "64k", 0, 1e12, "tokens",
                   "tokens of held-out text in each evaluation but the last, which takes all; 0: all"),
    FIELD_COUNT_OF(TrainConfig, log_every, "10", 1, 1e9, "steps", "steps between lines of metrics.jsonl"),
    FIELD_NUMBER_OF(FIELD_DURATION, TrainConfig, save_every, "5m", 1, 1e9, "duration", "time between checkpoints"),
    FIELD_COUNT_OF(TrainConfig, threads, "0", 0, 1024, "threads", "threads; 0: as many as this process may use"),
    FIELD_CHOICE_OF(TrainConfig, compute, "auto", COMPUTE_CHOICES,
                    "what products of matrices multiply; auto: bf16 where the CPU multiplies it"),
    FIELD_CHOICE_OF(
        TrainConfig, memory, "fused", MEMORY_FORMS,
        "how Legendre memories run while training: fused with implicit attention, or all states first, by the "
        "recurrence, by chunks, or by Fourier transforms as in the paper; the same model, to rounding"),
};

void train_config_older(TrainConfig *config)
{
    config->muon_interval = 1;
}

const FieldTable train_table = {"Training", fields, sizeof fields / sizeof *fields};
