/* A study: a file that names corpora, models, sizes, optimisers and grids of runs over them, and what its runs are.
 *
 *     Study (study_open)            the file, checked whole
 *     Plan  (plan_open)             its grids multiplied out: one Cell for all token budgets of a model, size, optimiser, variant and
 *                                   seed, each budget with the identity of its run
 *     study_run                     trains what results.jsonl does not hold yet
 *
 * docs/study.md describes the file. */
#ifndef LMU_STUDY_STUDY_H
#define LMU_STUDY_STUDY_H

#include "base/progress.h"
#include "kernel/backend.h"
#include "model/config.h"
#include "study/result.h"
#include "train/config.h"

/* -- the file -- */

typedef struct StudyGrid {
    const char *name, *corpus;
    const char *tuned_by;                      /* a grid before this one, whose best settings are taken; NULL: none */
    const json_t *models, *sizes, *optimizers; /* arrays of names */
    const json_t *variants;                    /* object: name -> settings; NULL: one, without a name */
    bool carried;       /* score once more in one pass with the state carried, where the model can */
    const json_t *vary; /* object: setting -> array of values, all combinations; NULL: none */
    int64_t *budget, *seed;
    size_t budgets, seeds;
} StudyGrid;

typedef struct Study {
    char *path;
    json_t *json; /* everything below borrows from it */
    const char *title;
    StudyGrid *grid;
    size_t grids;
} Study;

/* LMU_FORMAT names file and key: an unknown name or setting, a value out of range, a grid tuned by none before it. */
lmu_status study_open(const char *path, Study **out);
void study_close(Study *study); /* accepts NULL */
/* A member of a section ("models", "corpora", ...), NULL if there is none. */
const json_t *study_member(const Study *study, const char *section, const char *name);

const StudyGrid *study_grid(const Study *study, const char *name); /* NULL: there is none */

/* Removes the keys of models and sizes that are no settings (arch, ngram, non_embedding, width_multiple). */
void settings_drop_special(json_t *settings);
/* Settings of model and training mixed in one object, read over the two configurations. LMU_FORMAT names origin and key. */
lmu_status settings_read(const char *origin, const json_t *settings, ModelConfig *model, TrainConfig *train);

/* -- corpora -- */

typedef struct StudyCorpus {
    const char *name;
    char *directory;               /* as lmu prepare writes it */
    const char *digest, *held_out; /* SHA-256 of train.bin and valid.bin, of the study's file */
    int64_t vocabulary;
    int64_t held_out_tokens; /* 0: not opened */
} StudyCorpus;

/* Where a corpus of the study lies. `place`: a prepared directory, or the folder of the texts that the study's file lists, which
 * are then prepared below `out`; NULL: what was prepared there before. LMU_MISMATCH unless both shards have the SHA-256 that the
 * file names. */
lmu_status study_corpus_open(const Study *study, const char *name, const char *place, const char *out,
                             Progress *progress, StudyCorpus *corpus);
void study_corpus_close(StudyCorpus *corpus);
/* Vocabulary and digest alone, from the study's file. */
lmu_status study_corpus_describe(const Study *study, const char *name, StudyCorpus *corpus);

/* -- the plan -- */

typedef struct Cell {
    const StudyGrid *grid;
    const char *model, *size, *optimizer; /* "" where there is none */
    char *variant;
    int64_t seed;
    const int64_t *budget; /* [budgets] of the grid's: neighbours that the same settings serve */
    size_t budgets;
    bool tuned;    /* false: settings are provisional until the grid that tunes this one is complete */
    int64_t order; /* of counts; 0: a model */
    ModelConfig config;
    TrainConfig train;                 /* budget, data and seed are filled in for each run */
    int64_t parameters, non_embedding; /* of the model */
    char *fault;    /* why there is no such model, as one theta a layer and another number of layers; NULL: there is */
    char (*id)[17]; /* [budgets] identity of each run */
} Cell;

typedef struct Plan {
    Cell *cell;
    size_t cells, capacity;
} Plan;

/* A part of a study, by names. */
typedef struct StudyPart {
    const StringList *grids, *models; /* each: count 0: all */
} StudyPart;

/* All cells of a part, in the order in which they are run. Widths are solved for: the multiple of the size's width_multiple (8)
 * whose non-embedding parameters are nearest to the size. */
lmu_status plan_open(const Study *study, const StudyPart *part, const Results *results, Plan *plan);
void plan_close(Plan *plan);
/* The cells of one grid alone, of those models (count 0: all). */
lmu_status plan_grid(const Study *study, const StudyGrid *grid, const StringList *models, const Results *results,
                     Plan *plan);

/* Whether an earlier cell of the plan has the same run, which then serves this one too. */
bool plan_has_before(const Plan *plan, size_t cell, size_t budget);

/* A finished run that serves the cell's budget, of this grid or another; NULL: it is to be trained. A grid that wants state carried has no
 * use for one of a grid that does not. */
const Result *plan_result(const Study *study, const Cell *cell, size_t budget, const Results *results);

/* Options that change nothing about what is learnt, or only its last bits, or that a run has its own keys for. */
bool setting_stands_aside(const char *name);

/* Runs of a plan that are done, and all. */
void plan_count(const Plan *plan, const Results *results, size_t *done, size_t *all);

/* Seconds that the missing runs of a plan take, by the speeds of finished ones on this CPU; *unknown: runs of which no speed is known. */
double plan_left(const Study *study, const Plan *plan, const Results *results, size_t *unknown);

/* -- running -- */

typedef struct StudyRequest {
    const Study *study;
    const char *out;           /* directory for checkpoints, corpora and logs */
    const char *results;       /* results.jsonl */
    const StringList *corpora; /* "NAME=PATH" each */
    StudyPart part;            /* what to run */
    bool estimate;             /* say what is to be done and how long it takes, and do nothing */
    int threads;               /* 0: as many as the machine allows */
    Progress *progress;
} StudyRequest;

/* Trains every run that results.jsonl does not hold, one cell after the other; may be killed at any moment and called again.
 * LMU_INTERRUPTED: stopped by the user. A run whose loss is not finite is recorded as that. */
lmu_status study_run(const StudyRequest *request);

#endif
