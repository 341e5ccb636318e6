/* What the files that make a plan share. */
#ifndef LMU_STUDY_PLANNER_H
#define LMU_STUDY_PLANNER_H

#include "study/study.h"

/* What a grid found best for a model, size, optimiser and budget. */
typedef struct Tuned {
    const StudyGrid *grid;
    const char *model, *size, *optimizer;
    int64_t budget;
    json_t *settings; /* NULL: runs are missing there, or all of them diverged */
} Tuned;

typedef struct Planner {
    const Study *study;
    const Results *results;
    Backend *backend; /* for counting parameters */
    Tuned *tuned;     /* found so far */
    size_t count, capacity;
} Planner;

/* Cells of a grid added to the plan; of one model, size, optimiser and budget alone where these are not NULL, and of some models. */
typedef struct PlanFilter {
    const char *model, *size, *optimizer;
    const int64_t *budget;    /* in the place of the grid's */
    const StringList *models; /* NULL or count 0: all */
} PlanFilter;
lmu_status planner_expand(Planner *p, const StudyGrid *grid, const PlanFilter *only, Plan *plan);

/* tuned.c: what the grid that tunes the cell's found best for its model and optimiser: of the size and the budget nearest in ratio that it
 * has, the settings with the lowest geometric mean of bits per byte over its seeds, of the keys that it varies; of keys that earlier
 * grids varied, what those found best for the budget. Borrowed; NULL: not all of those runs are done, or all diverged. */
lmu_status planner_tuned(Planner *p, const Cell *cell, int64_t budget, const json_t **out);

/* identity.c: the identity of each budget's run. */
lmu_status cell_identify(Cell *cell, const StudyCorpus *corpus);

/* width.c */
lmu_status count_parameters(Backend *backend, const ModelConfig *config, int64_t *all, int64_t *non_embedding);
/* The width whose non-embedding parameters are nearest to the target, a multiple of `multiple` and of the heads. */
lmu_status solve_width(Backend *backend, ModelConfig *config, int64_t target, int64_t multiple);

#endif
