/* Vectors of tokens from counts of what stands beside them: tokens that are used alike get vectors that are alike.
 *
 * C_uv counts, in windows of training, how often v follows u, at once (2) or one token later (1). Of it and its transpose is taken the positive
 * pointwise mutual information, the contexts' share to the power of 0.75 [Church & Hanks 1990; Levy, Goldberg & Dagan 2015],
 *
 *     A_uv = max(0, log (C_uv / sum_w C_uw) / (c_v^0.75 / sum_w c_w^0.75)),    c_v = sum_u C_uv
 *
 * and the vectors are the left singular vectors of [A(C), A(C^T)], V x 2V, of the D largest singular values, all with the weight 1, turned by a random
 * rotation so that no channel is another's better. Nearly: four steps of orthogonal iteration from random vectors are taken, after which
 * the last of the D, whose singular values are nearly alike, still have much of other directions. */
#ifndef LMU_TEXT_COOCCURRENCE_H
#define LMU_TEXT_COOCCURRENCE_H

#include <stdint.h>

#include "base/progress.h"
#include "text/windows.h"

/* Counts samples 0 .. samples-1 (samples >= 1), each window once however large `samples` is, into out [vocabulary x dim]. The mean square over the rows of
 * tokens that occur is 1; of tokens that do not the row is 0. The same numbers with any number of threads. LMU_USAGE: dim is not in
 * 1..vocabulary. LMU_MEMORY: more counts than the machine has memory for. LMU_INTERRUPTED. */
lmu_status cooccurrence_vectors(const Windows *windows, int64_t samples, int64_t vocabulary, int64_t dim, uint64_t seed,
                                int threads, Progress *progress, float *out);

#endif
