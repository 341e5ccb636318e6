/* How much of a resource a model B needs to reach the loss of a model A, over what A needed: 2 means that A learned as much from
 * half. At equal size, by the measured curve of B's finished runs and never beyond it. */
#ifndef LMU_STUDY_EFFICIENCY_H
#define LMU_STUDY_EFFICIENCY_H

#include "study/series.h"

/* What a curve of loss (positive, at n >= 1 points of rising x > 0) tells of the x at which it reaches `target`. Between points it is
 * linear in log x and log loss. It is made monotone by counting each point as the lowest loss up to there, which favours the
 * curve's model. Beyond its last point: more than that; where its first point is below the target: less than that. */
Interval curve_reach(const double *x, const double *loss, size_t n, double target);

typedef enum Cost {
    COST_TOKENS,
    COST_FLOPS,
    COST_SECONDS, /* of training, by the clock; see Pair.untimed */
    COSTS
} Cost;
extern const char *const cost_names[COSTS]; /* "tokens", "flops", "seconds" */

/* Of A at one budget. */
typedef struct Ratio {
    const SeriesCell *a;
    Interval value[COSTS];    /* INTERVAL_NONE: no measure */
    Interval interval[COSTS]; /* 95%, by the bootstrap; high infinite: open */
} Ratio;

/* The geometric mean over the budgets of HEADLINE_BUDGETS that A has. */
typedef struct Headline {
    Interval value, interval;
    Interval least, most; /* of the ratios in it */
} Headline;

#define HEADLINE_BUDGETS 3
extern const int64_t headline_budgets[HEADLINE_BUDGETS]; /* 1, 2 and 3 million tokens */

/* Seconds of training a token, over the runs of a series at one size and of one shape, whose budgets and seeds should make little
 * difference to it: where they do, something else ran on the machine, and a ratio of times would tell of that. Of several shapes, as tuning
 * by budget gives, the one whose runs are furthest apart. */
typedef struct Pace {
    double least, most;
    size_t runs;
} Pace;
#define PACE_LIMIT 1.25 /* most / least up to which times are compared */
Pace pace_of(const SeriesCell *cell, size_t cells);
/* Whether all runs had one CPU, number of threads and compute type, that of `first`, and a time. */
bool cells_on_machine(const SeriesCell *cell, size_t cells, const Result *first);

typedef struct Pair {
    const Series *a, *b;
    const char *size;
    Ratio *ratio; /* one a budget of A */
    size_t ratios;
    const SeriesCell *curve; /* B's cells of this size, rising budgets */
    size_t points;
    Headline headline[COSTS];
    bool has_budget[HEADLINE_BUDGETS];
    Pace pace[2];        /* of a and b */
    const char *untimed; /* why there is no ratio of times; NULL: there is one */
} Pair;

extern const char untimed_machines[]; /* the reason that their runs are of several machines */

/* Measures A against B at the size of A's cells from `first` on. Where the cells have draws of the bootstrap, `resamples` of them,
 * intervals come too. *found is false, and nothing is measured, where B has no run of that size. */
lmu_status pair_measure(Arena *arena, const Series *a, size_t first, const Series *b, size_t resamples, Pair *out,
                        bool *found);

#endif
