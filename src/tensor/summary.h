/* What the plan of a graph says, for those who ask where memory goes: what it takes, and what lives where most does. */
#ifndef LMU_TENSOR_SUMMARY_H
#define LMU_TENSOR_SUMMARY_H

#include "tensor/graph.h"

typedef enum PlannedKind { PLANNED_INPUT, PLANNED_VALUE, PLANNED_SAVED, PLANNED_GRADIENT } PlannedKind;

/* A buffer, named after the tensor that lies in it at the peak: in-place operators hand theirs on. */
typedef struct PlannedBuffer {
    const Tensor *tensor;
    const Node *node; /* that writes it, or of whose output it is the gradient; NULL: an input of the graph */
    PlannedKind kind;
    bool again; /* the second life of a value: it is computed again */
    size_t bytes;
    int first, last; /* the steps of its life, of 0 .. steps - 1; an input lives through all of them */
} PlannedBuffer;

typedef struct PlanSummary {
    size_t activations, constants, derived,
        workspace;                /* bytes; derived forms and workspace are shared with other graphs */
    int steps, forward, repeated; /* in all, forward ones, and those of them that run again */
    double repeated_flops;        /* that they take for a token in rows of the length asked for */
    int peak;                     /* the step at which most bytes live */
    size_t peak_bytes;            /* at most `activations`: buffers do not pack without gaps */
    size_t count;
    PlannedBuffer *live; /* [count] at the peak, largest first */
} PlanSummary;

/* Of a planned graph, whose tensors it points into. Release with plan_summary_free. */
lmu_status graph_summary(const Graph *g, int64_t length, PlanSummary *out);
void plan_summary_free(PlanSummary *summary);

const char *step_direction(const Step *step); /* "forward", "forward again" or "backward" */

#endif
