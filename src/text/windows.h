/* The data order: which tokens a training step sees. The shard is cut into windows of T tokens at offsets k*T (each window
 * reads T + 1 tokens: the inputs and, shifted by one, the targets). Pass p over the data visits them in one of two orders:
 *
 *   shuffled   in the pseudorandom order that (seed, p) chooses, each once;
 *   lanes      as B contiguous texts side by side, for training that carries its state from step to step: a pass is cut into B
 *              segments of S = floor(windows / B) windows, (seed, p) chooses which lane reads which segment, and lane b of step t,
 *              the sample t*B + b, reads the window that follows the one it read in step t-1. The fewer than B windows that are
 *              left over lie before the first segment or behind the last, by (seed, p) too, so that other passes read them.
 *
 * The sample with global index s is therefore a pure function of (seed, s), with lanes of (seed, s, B): any number of processes and
 * threads agree on it, and resuming needs only s. The counts baseline reads the same windows. */
#ifndef LMU_TEXT_WINDOWS_H
#define LMU_TEXT_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "text/shard.h"

typedef struct Windows {
    const Shard *shard;
    uint64_t seed;
    int64_t length; /* T */
    int64_t count;  /* windows in a pass over the data */
    int64_t lanes;  /* B; 0: shuffled */
    int64_t steps;  /* S: windows that a lane reads in a pass */
    int64_t spare;  /* windows that a pass of lanes leaves out */
} Windows;

/* LMU_USAGE if the shard holds not even one window of `length` + 1 tokens. */
lmu_status windows_open(const Shard *shard, int64_t length, uint64_t seed, Windows *out);
/* The order of lanes; LMU_USAGE also if there is not a window for each. */
lmu_status windows_open_lanes(const Shard *shard, int64_t length, int64_t lanes, uint64_t seed, Windows *out);
/* Whether sample s is the first that its lane reads in a pass: nothing in the order comes before it. True for shuffled windows. */
bool windows_starts(const Windows *windows, int64_t sample);
/* Offset in the shard of the window that sample s (>= 0) reads. */
int64_t windows_offset(const Windows *windows, int64_t sample);
/* The T + 1 tokens of sample s into out. */
void windows_read(const Windows *windows, int64_t sample, int32_t *out);

/* How held-out text is cut for evaluation. Every token of the file but the first is predicted exactly once.
 *   stride == context: windows of `context` predicted tokens side by side, the first of them predicted from the token
 *                      before it; state is reset at each window.
 *   stride <  context: each window advances by `stride`; the tokens that were predicted before are read again as context
 *                      and only the new ones are counted.
 *   carry:             one pass, windows only bound the work at a time; state is carried from each to the next.   */
typedef struct EvalCut {
    int64_t context, stride;
    int carry;
    struct EvalResult
        *part; /* [parts], zeroed, or NULL: the sums of so many runs of neighbouring windows, besides that of all */
    int parts;
} EvalCut;

/* The window number `index` (0, 1, ...) of a text of `count` tokens: inputs are [*first, *first + *length), targets one to the
 * right, and only the last *scored targets are counted. False when there are no more. */
int eval_window(const EvalCut *cut, int64_t count, int64_t index, int64_t *first, int64_t *length, int64_t *scored);
/* The part that window `index` belongs to; NULL where nobody asked for parts. */
struct EvalResult *eval_part(const EvalCut *cut, int64_t count, int64_t index);

#endif
