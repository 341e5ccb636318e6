/* What the files that run a study share. */
#ifndef LMU_STUDY_INTERNAL_H
#define LMU_STUDY_INTERNAL_H

#include "study/study.h"
#include "train/trainer.h"

/* Seconds a token that a cell, and all that are like it, take. */
typedef struct Speed {
    const char *model, *optimizer; /* of the study's file */
    int64_t width, batch, length, interval;
    double training, scoring;
} Speed;

typedef struct Speeds {
    Speed *list;
    size_t count, capacity;
} Speeds;

typedef struct StudyRun {
    const StudyRequest *request;
    const Study *study;
    Results results;
    Plan plan; /* of all wanted grids, for counting and estimating: settings of what is not tuned yet are provisional */
    StudyCorpus *corpus; /* [corpora] */
    size_t corpora;
    Progress progress; /* for the trainer: its stages are named after the run, and only its warnings are passed on */
    char label[96];    /* of the run in progress, for the line of progress */
    char name[256];    /* the same with its grid and variant */
    char *current, *trunk, *branch, *logs; /* directories and files below request->out */
    int lock, results_lock;
    int threads;      /* that runs have */
    size_t done, all; /* runs */
    double ceiling;   /* FLOP/s of the product ceiling; 0: not measured yet */
    Speeds speeds;
} StudyRun;

/* estimate.c: the speed of every cell that has missing runs, from finished runs on this CPU or a short measurement. */
lmu_status study_measure(StudyRun *s);
/* The product ceiling, measured once for all runs. */
lmu_status study_ceiling(StudyRun *s);
/* Seconds that the missing runs take, by those speeds. */
double study_left(const StudyRun *s);

/* cell.c: every missing run of a cell: the trunk, from which each budget branches off to its decay. */
lmu_status study_cell(StudyRun *s, const Cell *cell);

/* score.c: the whole held-out text by the model of a checkpoint, into nats, bits, parts, carried. */
lmu_status study_score(StudyRun *s, const Cell *cell, const StudyCorpus *corpus, const char *checkpoint,
                       Result *result);
/* Kneser-Ney counts of a budget. */
lmu_status study_count(StudyRun *s, const Cell *cell, const StudyCorpus *corpus, int64_t budget, Result *result);

const StudyCorpus *study_corpus_of(const StudyRun *s, const Cell *cell);

#endif
