/* The learning rate's course, and one step of AdamW, or of Muon and AdamW, over a parameter store. */
#ifndef LMU_TRAIN_OPTIMISER_H
#define LMU_TRAIN_OPTIMISER_H

#include "tensor/params.h"
#include "train/config.h"
#include "train/muon.h"

/* What is left, 1..0, of the way from the peak to the final rate when `spent` (0..1) of the budget is used up; 1 in the warm-up, which
 * takes the share `warm` of the budget. */
double schedule_course(const TrainConfig *config, double spent, double warm);

/* The rate of step `step` (from 0) when `spent` (0..1) of the budget is used up at its start: linear warm-up, then a cosine from
 * the peak to final_fraction of it, or (warm-up, stable, decay: Hu et al. 2024) the peak until a straight line falls to that fraction
 * in the last `decay` of the budget: until then the rate does not depend on the budget, so that one run has those of many budgets in
 * common. `warm` is the share of the budget that the warm-up takes. */
double schedule_rate(const TrainConfig *config, int64_t step, double spent, double warm);

/* Norm of all gradients; NaN or infinite if any is. */
double optimiser_norm(const Params *params);

/* AdamW's step (from 1) with the gradients scaled by `scale`, without decay. */
AdamW optimiser_adamw(const TrainConfig *config, double rate, double scale, int64_t step);

/* Steps in one of which Muon moves a matrix; 1 with AdamW. */
int64_t optimiser_interval(const TrainConfig *config);

/* One step (from 1) with the gradients scaled by `scale`: decay on matrices and tables alone. By Muon, which must be what the config
 * says, those matrices whose turn it is; where `muon` is NULL all by AdamW. */
void optimiser_step(Params *params, const TrainConfig *config, Muon *muon, double rate, double scale, int64_t step);

#endif
