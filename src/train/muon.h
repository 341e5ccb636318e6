/* Muon (Jordan et al. 2024): a step of a matrix in the direction of its momentum with all singular values near 1.
 *
 * It moves the hidden weight matrices, parameters of the roles PARAM_MATRIX and PARAM_BRANCH; AdamW moves tables (with them the head, which is tied to
 * the embedding), vectors, and the small Legendre matrices, which are PARAM_MEMORY. Of a matrix that holds several maps (queries, keys
 * and values; the gates of an LSTM) each is a matrix of its own. The momentum stands in the place of the
 * first moment; the second stays 0. */
#ifndef LMU_TRAIN_MUON_H
#define LMU_TRAIN_MUON_H

#include "tensor/params.h"

typedef struct Muon Muon;

typedef struct MuonStep {
    double rate, decay; /* as AdamW's: the update is as large as AdamW's usually is */
    double momentum;
    double gradient_scale; /* of clipping */
    int64_t interval;      /* at least 1: steps, in one of which the matrix moves, by as much as in all of them */
    int64_t turn;          /* the map moves where this is a multiple of the interval; the next map's is one more */
} MuonStep;

/* Memory for the largest matrix of a store whose parameters are all named. */
lmu_status muon_open(const Params *params, Muon **out);
void muon_close(Muon *muon); /* accepts NULL */

bool muon_moves(const Param *param);
/* One step of one parameter; inside params_write_begin/end. */
void muon_step(Muon *muon, Params *params, const Param *param, const MuonStep *step);

/* Multiplications and additions of a move of all of them, as two FLOP each: those of whole products, though a backend may make
 * half of a symmetric one. */
double muon_flops(const Params *params);

#endif
