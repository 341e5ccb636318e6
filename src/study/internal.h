/* What the files that run a study share. */
#ifndef LMU_STUDY_INTERNAL_H
#define LMU_STUDY_INTERNAL_H

#include "study/study.h"
#include "train/trainer.h"

typedef struct StudyRun {
    const StudyRequest *request;
    const Study *study;
    Results results;
    Plan plan;           /* of all wanted grids, for counting and estimating; made anew where a grid has been tuned */
    StudyCorpus *corpus; /* [corpora] */
    size_t corpora;
    Progress progress; /* for the trainer: its stages are named after the run, and only its warnings are passed on */
    char label[160];   /* of the run in progress */
    char *current, *trunk, *branch, *logs; /* directories and files below request->out */
    int lock;
    size_t done, all; /* runs */
    double ceiling;   /* FLOP/s of the product ceiling */
    double left;      /* seconds, estimated */
} StudyRun;

/* estimate.c: seconds of the runs that are missing, from the speed of finished runs on this CPU or a short measurement. */
lmu_status study_estimate(StudyRun *s);

/* cell.c: every missing run of a cell: the trunk, from which each budget branches off to its decay. */
lmu_status study_cell(StudyRun *s, const Cell *cell);

/* measure.c: the whole held-out text by the model of a checkpoint, into nats, bits, parts, carried. */
lmu_status study_score(StudyRun *s, const Cell *cell, const StudyCorpus *corpus, const char *checkpoint,
                       Result *result);
/* Kneser-Ney counts of a budget. */
lmu_status study_count(StudyRun *s, const Cell *cell, const StudyCorpus *corpus, int64_t budget, Result *result);

const StudyCorpus *study_corpus_of(const StudyRun *s, const Cell *cell);

#endif
