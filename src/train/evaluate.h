/* Evaluation of a model on held-out tokens. */
#ifndef LMU_TRAIN_EVALUATE_H
#define LMU_TRAIN_EVALUATE_H

#include "base/progress.h"
#include "model/model.h"
#include "text/score.h"
#include "text/windows.h"

/* A scoring graph for windows of one length: rows of windows side by side, or one row when state is carried. */
typedef struct Evaluator {
    Model *model; /* borrowed */
    EvalCut cut;
    Graph *graph;
    Tensor *loss;
    State *state; /* only if cut.carry */
    int rows;
    int32_t *ids, *targets; /* [rows x context] */
    int64_t *count;         /* [rows] */
    EvalResult **part;      /* [rows] where each row's sums go besides; NULL: nowhere */
    float *losses;          /* [rows x context] */
} Evaluator;

lmu_status evaluator_open(Model *model, const EvalCut *cut, Evaluator *out);
void evaluator_close(Evaluator *evaluator); /* accepts a zeroed one */

/* Scores the windows that eval_window gives, or every n-th of them so that about `limit` tokens are predicted (0: all; a carried
 * state reads the first `limit`). `lengths`: tokenizer_lengths or NULL. LMU_MISMATCH: ids outside the model's vocabulary. */
lmu_status evaluator_run(Evaluator *evaluator, const Shard *text, int64_t limit, const uint32_t *lengths,
                         Progress *progress, EvalResult *out);

#endif
