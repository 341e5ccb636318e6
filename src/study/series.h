/* The runs of results.jsonl, put in order: a series is a model with its optimizer and variant on one corpus; a cell of it is a
 * size and a budget of tokens, whose runs differ by seed alone. */
#ifndef LMU_STUDY_SERIES_H
#define LMU_STUDY_SERIES_H

#include "base/field.h"
#include "base/memory.h"
#include "study/interval.h"
#include "study/result.h"

typedef struct SeriesCell {
    const char *size;
    int64_t budget;     /* as asked for; `tokens` were read */
    int64_t least;      /* non-embedding parameters of the smallest model of that size */
    const Result **run; /* a run a seed */
    size_t runs, capacity;
    double tokens, flops, seconds; /* of training a run, means over the seeds */
    double loss;                   /* bits per byte, mean over the seeds */
    double nats;                   /* a token */
    double carried;                /* bits per byte, state carried; NaN: not measured for every seed */
    double deviation;              /* of the loss over seeds; NaN for one seed */
    Interval seeds;                /* Student's, for the loss; none for one seed */
    double *draw;                  /* the loss in every resample of the bootstrap; NULL: none */
    Interval text;                 /* by the bootstrap, for the loss */
} SeriesCell;

typedef struct Series {
    const char *model, *optimizer, *variant, *corpus;
    const char *label; /* "model/optimizer/variant", without what is "" */
    bool counts;       /* n-gram counts: no size, no FLOPs */
    SeriesCell *cell;  /* by non-embedding parameters, size, then budget */
    size_t cells, capacity;
} Series;

typedef struct SeriesList {
    Arena *arena;
    Series *list; /* as they first appear in the file */
    size_t count, capacity;
    const char **corpora; /* the different ones */
    size_t corpus_count, corpus_capacity;
    StringList notes; /* what was left out, and why */
    size_t runs;      /* finished runs that are in it */
} SeriesList;

/* The series of the runs that runs_choose takes (choice.h). One that diverged is left out and a note tells. LMU_USAGE: a grid that no run
 * has (the nearest is named); LMU_FORMAT: no run, or runs of one size that are models of different sizes. `results` must outlive it. */
lmu_status series_collect(const Results *results, const char *path, const StringList *grids, SeriesList *out);
void series_free(SeriesList *series);

lmu_status series_note(SeriesList *series, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The label of the run's series; NULL when there is no memory. */
const char *series_label(SeriesList *series, const Result *run);

/* Whether `name` is the series' label or its beginning up to a "/": "lmu" is every optimizer and variant of lmu.
 * "lmu/muon/" is that label alone. */
bool series_is_named(const Series *series, const char *name);

const SeriesCell *series_cell(const Series *series, const char *size, int64_t budget); /* NULL: none */

/* The cells of one size from `first` on: the next cell of another size, or the end. */
size_t series_size_end(const Series *series, size_t first);

#endif
