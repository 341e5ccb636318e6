/* Stream state: what the operators that look back in time carry from one run to the next, for a number of streams.
 *
 * Each such operator owns a slot; a stream is a row in every slot, with its position (tokens read so far). A zeroed row is
 * a stream that has read nothing. */
#ifndef LMU_TENSOR_STATE_H
#define LMU_TENSOR_STATE_H

#include "kernel/backend.h"

typedef struct State {
    Backend *backend;
    int64_t rows;
    int slots;
    int64_t *numbers;  /* [slots] Reals a row of the slot holds */
    int64_t *offset;   /* [slots] where the slot starts in data; it holds rows x numbers */
    int64_t *position; /* [rows] */
    Real *data;
} State;

/* `numbers` [slots] as the graph planned them (graph_state). */
lmu_status state_open(Backend *backend, int slots, const int64_t *numbers, int64_t rows, State **out);
void state_close(State *state); /* accepts NULL */
void state_reset(State *state, int64_t row);
/* Makes row `to_row` of `to` the same stream as row `from_row` of `from`; both have the same slots. */
void state_copy(State *to, int64_t to_row, const State *from, int64_t from_row);
int64_t state_row_bytes(const State *state);

#endif
