/* What a model is made of and what it takes to run it, in numbers. */
#ifndef LMU_MODEL_ANATOMY_H
#define LMU_MODEL_ANATOMY_H

#include "model/model.h"

typedef struct ParamStatistics {
    double mean, deviation, largest; /* of the finite numbers; largest: in magnitude */
    int64_t not_finite;              /* numbers that are NaN or infinite */
} ParamStatistics;

lmu_status param_statistics(const Params *params, const Param *param, ParamStatistics *out);

/* The memory of a planned graph and of the vectors that it needs, in bytes. */
typedef struct MemoryPlan {
    int64_t rows, tokens; /* the graph's capacity */
    int64_t parameters;   /* the vector of values */
    int64_t derived;      /* forms of the weights, packed or rounded, for products */
    int64_t gradients;    /* 0 unless it trains */
    int64_t moments;      /* both; 0 unless it trains */
    int64_t activations;  /* with their gradients */
    int64_t constants;    /* of the operators */
    int64_t largest;      /* of the buffers among the activations */
    int64_t workspace;    /* scratch of the kernels */
    int64_t state;        /* of one stream */
    double flops; /* model FLOPs a token in rows of tokens / rows; of training: three times the forward, whatever is
                           * computed again */
} MemoryPlan;

/* Plans the model for `rows` rows of `length` tokens; none of it is touched. flags: GRAPH_RECOMPUTE or 0. */
lmu_status model_memory(Model *model, GraphMode mode, int flags, int rows, int64_t length, MemoryPlan *out);
/* The same, and *outline is the planned graph, which cannot be run. */
lmu_status model_outline(Model *model, GraphMode mode, int flags, int rows, int64_t length, MemoryPlan *out,
                         Graph **outline);
/* Bytes in all; a graph that does not train has a stream's state for each row. */
int64_t memory_plan_total(const MemoryPlan *plan);

#endif
