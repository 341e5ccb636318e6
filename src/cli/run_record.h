/* What training left beside a model: the record that resuming reads, trainer.json. */
#ifndef LMU_CLI_RUN_RECORD_H
#define LMU_CLI_RUN_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct RunRecord {
    bool found; /* else all below is zero */
    char *path;
    char cpu[96];
    int64_t step, tokens; /* tokens trained on */
    double seconds;
    int64_t length, batch, micro_batch; /* windows of `length` tokens, `batch` a step, `micro_batch` at a time */
    bool recompute;
    int compute; /* ComputeChoice */
    int memory;  /* MemoryForm */
} RunRecord;

/* The record of a run (RUN/last/trainer.json) or of a checkpoint (RUN/trainer.json, or in the `last` beside it). LMU_FORMAT if
 * there is one that cannot be read. */
lmu_status run_record_read(const char *run, RunRecord *out);
void run_record_free(RunRecord *record);

#endif
