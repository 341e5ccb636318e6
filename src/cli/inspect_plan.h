/* lmu inspect --plan: the memory plan of a training graph, and how plans are printed. */
#ifndef LMU_CLI_INSPECT_PLAN_H
#define LMU_CLI_INSPECT_PLAN_H

#include "base/field.h"
#include "base/json.h"
#include "cli/run_record.h"
#include "model/anatomy.h"

/* PlanOptions.recompute and .compute; auto: as the run has it */
enum { PLAN_RECOMPUTE_AUTO, PLAN_RECOMPUTE_YES, PLAN_RECOMPUTE_NO };
enum { PLAN_COMPUTE_AUTO, PLAN_COMPUTE_F32, PLAN_COMPUTE_BF16 };

typedef struct PlanOptions {
    bool plan;
    int64_t batch, micro_batch, length; /* 0: as the run has it */
    int recompute, compute;
} PlanOptions;

extern const FieldTable plan_table;

/* Rows (windows at a time) and length of a training graph, as the run had them where the options do not say. LMU_USAGE: a
 * micro-batch of more than the batch. */
lmu_status plan_rows(const PlanOptions *options, const RunRecord *record, int *rows, int64_t *length);

/* Chooses what the run's products multiply, or what the options say; bfloat16 of a run on another CPU is float on one without. */
lmu_status plan_compute(const PlanOptions *options, const RunRecord *record, Backend *backend);

/* Prints the plan of training the model of a run, a checkpoint, or of a configuration that no model was trained with (a file). */
lmu_status inspect_plan(const char *run, const PlanOptions *options, bool json);
/* LMU_USAGE where options say what a plan is for that is not asked for. */
lmu_status plan_options_check(const PlanOptions *options);

void memory_plan_print(const MemoryPlan *plan, bool trains);
json_t *memory_plan_json(const MemoryPlan *plan);

#endif
