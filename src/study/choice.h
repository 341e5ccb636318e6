/* Which runs of a results file are taken: the file grows over months, and settings change meanwhile. */
#ifndef LMU_STUDY_CHOICE_H
#define LMU_STUDY_CHOICE_H

#include "study/series.h"

/* (*run)[i], in the arena of `series`, becomes line i of the results, or NULL where that is left out:
 * - runs whose grid is not named in `grids`; of none named, runs of grids whose name begins with "tuning", "ablation" or "checks" (*aside of them);
 * - of one series at one size and budget, whatever the seed, runs whose settings are not those of the newest line: a mean or a curve is
 *   of one configuration. An option that a line does not name has the table's default, as in a run's identity; options that
 *   change nothing about what is learnt may differ;
 * - of two runs of one series, size, budget and seed the older.
 * Notes tell of the last two. LMU_USAGE: a grid that no run has. */
lmu_status runs_choose(const Results *results, const char *path, const StringList *grids, SeriesList *series,
                       const Result ***run, size_t *aside);

#endif
