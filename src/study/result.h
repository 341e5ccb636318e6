/* What a study has found: results.jsonl, one finished run a line. Lines are only ever appended, so that the file can be committed as it
 * grows; docs/formats.md describes each key. */
#ifndef LMU_STUDY_RESULT_H
#define LMU_STUDY_RESULT_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"

/* Held-out text is cut into so many parts of neighbouring windows, from which the bootstrap draws. */
#define RESULT_PARTS 64

typedef struct Result {
    char *id;                                        /* of the run: a hash of everything that it rests on */
    char *grid, *model, *size, *optimizer, *variant; /* names in the study's file; "" where there is none */
    char *corpus;
    int64_t seed, budget, tokens;      /* tokens: what was trained on, whole steps */
    int64_t width;                     /* channels; 0: counts */
    int64_t non_embedding, parameters; /* of counts: 0, and the number of n-grams */
    double flops_token;                /* model FLOPs of training a token; 0: counts */
    double nats; /* a token of the whole held-out text, in windows of the training length; infinite: diverged */
    double bits_per_byte; /* the same; infinite: diverged */
    double carried;       /* bits per byte in one pass, state carried; NaN: not measured */
    int parts;
    double part_nats[RESULT_PARTS], part_bytes[RESULT_PARTS]; /* of each part of the held-out text, sums */
    double seconds;                                           /* of training */
    char *cpu, *compute;
    int threads;
    json_t *settings; /* every option of model and training that the run had */
} Result;

typedef struct Results {
    Result *list;
    size_t count, capacity;
} Results;

/* All whole lines of the file, none if it is not there; a last line without its end is left out. LMU_FORMAT names file, line and
 * key; of two lines with one id and grid the later stands. */
lmu_status results_read(const char *path, Results *out);
void results_free(Results *results);
/* The line of a run, in this grid or (NULL) any: a run that several grids have in common is done once and has a line for each. NULL: none. */
const Result *results_find(const Results *results, const char *id, const char *grid);

/* Steps between two moves of a matrix by Muon, 1 with AdamW; of a line from before there was the option, 1. */
int64_t result_interval(const Result *result);

/* Takes over what `result` owns and appends it to the list and, synced, to the file. */
lmu_status results_append(Results *results, const char *path, Result *result);
void result_free(Result *result);

#endif
