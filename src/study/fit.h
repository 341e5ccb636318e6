/* What a study's results say: power laws, token-efficiency ratios, and how sure both are. */
#ifndef LMU_STUDY_FIT_H
#define LMU_STUDY_FIT_H

#include "study/efficiency.h"
#include "study/power_law.h"

typedef enum LawKind {
    LAW_TOKENS,     /* L(D): one size, over the tokens trained on */
    LAW_PARAMETERS, /* L(N): one budget, over the non-embedding parameters */
    LAW_FLOPS,      /* L(C): over the model FLOPs of training, on the lower envelope of all sizes and budgets */
    LAW_KINDS
} LawKind;
extern const char *const law_names[LAW_KINDS]; /* "tokens", "parameters", "flops" */

typedef struct LawFit {
    LawKind kind;
    const Series *series;
    const char *size;        /* of LAW_TOKENS, else NULL */
    int64_t budget;          /* of LAW_PARAMETERS, else 0 */
    const SeriesCell **cell; /* its points, rising x */
    size_t cells;
    PowerLaw bits[2], nats[2]; /* of bits per byte and of nats a token, [1] with an irreducible loss */
} LawFit;

typedef struct FitOptions {
    char *study;                      /* file of the study whose runs alone are taken; NULL: all */
    StringList grid, model, baseline; /* see series_collect; names of series, none: models that begin with "lmu" against
                                         those that begin with "transformer" or "lstm" */
    int64_t resamples, seed;          /* of the bootstrap */
} FitOptions;

typedef struct StudyFit {
    const char *path;
    Results results;
    SeriesList series;
    LawFit *law;
    size_t laws, law_capacity;
    Pair *pair;
    size_t pairs, pair_capacity;
    int64_t resamples, seed;
} StudyFit;

/* Reads the results and computes everything. LMU_IO: no such file; LMU_USAGE: a name that no finished run has (the nearest is
 * named); LMU_FORMAT as of results_read, series_collect and bootstrap_draw. `path` must outlive it. */
lmu_status study_fit(const char *path, const FitOptions *options, StudyFit *out);
void study_fit_free(StudyFit *fit);

double law_x(LawKind kind, const SeriesCell *cell);

/* docs/formats.md describes it; NULL when there is no memory. */
json_t *study_fit_to_json(const StudyFit *fit);

#endif
