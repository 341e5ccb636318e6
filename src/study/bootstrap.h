/* How much of a loss, and of what is computed from losses, hangs on the text that happened to be held out and on the seed. */
#ifndef LMU_STUDY_BOOTSTRAP_H
#define LMU_STUDY_BOOTSTRAP_H

#include "study/series.h"

/* Gives every cell its loss in each of `resamples` resamples, and the 95% interval of the loss. A function of `seed` and the results
 * alone. Cells with a run without parts get none, and a note. LMU_FORMAT: runs on one corpus whose held-out texts differ.
 * A resample draws:
 * - as many parts of the held-out text as there are, with replacement: the same ones for every run on that corpus, so that
 *   differences between models keep what the text has in common;
 * - of n > 1 seeds n - 1, with replacement, so that the mean varies as much as the mean of n seeds does (Rao and Wu 1988): the same
 *   ones at every budget of a series and size, as its runs of one seed branch off from one training and rise and fall together. A
 *   budget that lacks some of the seeds goes on drawing until it has n - 1 of its own. How far the mean of these is from the mean
 *   of all is stretched (in its logarithm) by the quotient of Student's and the normal percentile: 6.5 for 2 seeds, 2.2 for 3,
 *   1.4 for 5. */
lmu_status bootstrap_draw(SeriesList *series, size_t resamples, uint64_t seed);

#endif
