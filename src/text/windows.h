/* The data order: which tokens a training step sees. The shard is cut into windows of T tokens at offsets k*T (each window
 * reads T + 1 tokens: the inputs and, shifted by one, the targets); pass p over the data visits them in the pseudorandom
 * order that (seed, p) chooses, each once. The sample with global index s is therefore a pure function of (seed, s): any
 * number of processes and threads agree on it, and resuming needs only s. The counts baseline reads the same windows. */
#ifndef LMU_TEXT_WINDOWS_H
#define LMU_TEXT_WINDOWS_H

#include <stdint.h>

#include "text/shard.h"

typedef struct Windows {
    const Shard *shard;
    uint64_t seed;
    int64_t length; /* T */
    int64_t count;  /* windows in a pass over the data */
} Windows;

/* LMU_USAGE if the shard holds not even one window of `length` + 1 tokens. */
lmu_status windows_open(const Shard *shard, int64_t length, uint64_t seed, Windows *out);
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
