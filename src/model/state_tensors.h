/* Streams' states as tensors of a safetensors file: "state.I" for each operator that looks back, in the order of the model. */
#ifndef LMU_MODEL_STATE_TENSORS_H
#define LMU_MODEL_STATE_TENSORS_H

#include "model/safetensors.h"
#include "tensor/state.h"

#define STATE_TENSORS_EXTRA 3 /* tensors that can be added to those of a state */

typedef struct StateTensors {
    State *state; /* borrowed */
    int64_t row;  /* the first that is told of */
    SafetensorsTensor *tensors;
    size_t count;
    char (*names)[32];
} StateTensors;

/* All rows, each tensor [rows x numbers]; or where row >= 0 that one alone, each tensor [numbers]. */
lmu_status state_tensors_open(State *state, int64_t row, StateTensors *out);
void state_tensors_close(StateTensors *tensors);
/* One more, of one axis; `data` is borrowed. */
void state_tensors_add(StateTensors *tensors, const char *name, SafetensorsType type, int64_t count, const void *data);
/* What the file holds; `tensors` and `metadata` are borrowed, and the state's numbers read when it is written. */
SafetensorsContent state_tensors_content(StateTensors *tensors, const SafetensorsText *metadata, size_t count);

/* Finds each tensor in the file, of just this type and shape, for state_tensors_take. LMU_MISMATCH: see safetensors_get. */
lmu_status state_tensors_find(StateTensors *tensors, const Safetensors *stored);
/* The numbers that were found, into the state. */
void state_tensors_take(const StateTensors *tensors);

#endif
