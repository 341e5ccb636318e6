/* How much of a loss, and of what is computed from losses, hangs on the text that happened to be held out and on the seed. */
#ifndef LMU_STUDY_BOOTSTRAP_H
#define LMU_STUDY_BOOTSTRAP_H

#include "study/series.h"

/* Gives every cell its loss in each of `resamples` resamples, and the 95% interval of the loss. A resample draws as many parts of
 * the held-out text as there are, with replacement: the same ones for every run on that corpus, so that differences between models
 * keep what the text has in common. Of n > 1 seeds a cell draws n - 1, with replacement and each cell for itself: so the mean
 * varies as much as the mean of n seeds does (Rao and Wu 1988). A function of `seed` and the results alone. Cells
 * with a run without parts get none, and a note. LMU_FORMAT: runs on one corpus whose held-out texts differ. */
lmu_status bootstrap_draw(SeriesList *series, size_t resamples, uint64_t seed);

#endif
