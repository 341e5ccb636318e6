/* N-gram smoothing of targets: a model learns not from what came next alone, but also from what came next before, behind the same
 * tokens.
 *
 * The target of a token x_t becomes (1 - w2 - w1) one-hot(x_t) + w2 q2 + w1 q1, with qk what followed the k tokens before it, and
 * how often, in the steps of this training that are done, nk times in all:
 *
 *     w2 = share n2 / (n2 + 1),    w1 = (share - w2) n1 / (n1 + 3)
 *
 * (after the smoothing of labels by n-grams of all of the text: Malagutti et al. 2024, "The role of n-gram smoothing in the age of
 * neural networks"). The share falls with the learning rate, so that training ends with the text alone. What is counted is left out
 * of the model: this is a way to train. Contexts do not reach across the edges of windows. */
#ifndef LMU_TRAIN_SMOOTHING_H
#define LMU_TRAIN_SMOOTHING_H

#include "base/progress.h"
#include "kernel/kernels.h"
#include "text/windows.h"

/* The first so many tokens of training are counted, each window once. */
#define SMOOTHING_TOKENS 32000000

typedef struct Smoothing Smoothing;

/* For runs of up to `rows` of the windows. */
lmu_status smoothing_open(const Windows *windows, int64_t vocabulary, int64_t rows, Smoothing **out);
void smoothing_close(Smoothing *smoothing); /* accepts NULL */
/* Of memory that it will hold after so many tokens of training, as text with a vocabulary of 4,096 takes. */
double smoothing_bytes(const Windows *windows, int64_t rows, double tokens);

/* The targets of `rows` windows that begin with ids [rows x T], T the windows' length, with this share; NULL for a share of 0. They
 * stand until more is counted or asked for. */
const SoftTarget *smoothing_targets(Smoothing *smoothing, const int32_t *ids, int64_t rows, double share);

/* Counts the samples first .. end-1, but those of a second pass. LMU_INTERRUPTED; LMU_MEMORY. */
lmu_status smoothing_count(Smoothing *smoothing, int64_t first, int64_t end, Progress *progress);

#endif
