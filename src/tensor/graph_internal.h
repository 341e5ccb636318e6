/* The inside of Graph, shared by graph.c (building), plan.c and run.c. */
#ifndef LMU_TENSOR_GRAPH_INTERNAL_H
#define LMU_TENSOR_GRAPH_INTERNAL_H

#include "base/memory.h"
#include "tensor/graph.h"

#define SCOPE_LENGTH 256
#define SCOPE_DEPTH 16
#define MESSAGE_LENGTH 512

/* A piece of memory with a life: steps first .. last of the plan. */
typedef struct Buffer {
    size_t bytes, offset;
    int first, last;
    bool integer;
    struct Buffer *next;
} Buffer;

/* Which steps write a parameter's gradient. */
typedef struct ParamUse {
    const Param *param;
    Tensor *tensor; /* the same for every use of the parameter in this graph */
    int first_write, last_write;
    struct ParamUse *next;
} ParamUse;

struct Graph {
    Backend *backend;
    Params *params;
    GraphMode mode;
    int flags;
    int rows;
    int64_t tokens, chunks; /* capacity */
    Arena *arena;           /* owns nodes, tensors, buffers */
    lmu_status status;
    char message[MESSAGE_LENGTH], scope[SCOPE_LENGTH];
    size_t scope_start[SCOPE_DEPTH]; /* length of the scope before each nested name */
    int scope_depth;
    bool keeps_start;               /* graph_keep_start */
    int block, block_depth, blocks; /* the block being built and its place among the scopes; how many there are */
    Node *first, *last;
    Tensor *tensors; /* all but parameters' */
    ParamUse *uses;
    Tensor *ids, *targets, *positions, *result;
    int32_t *places; /* [tokens] the values of `positions`, on the host */
    int64_t *states; /* numbers a row of each slot */
    size_t state_count, state_capacity;
    size_t workspace;
    /* planned */
    bool planned;
    Step *steps;
    int step_count;
    Buffer *buffers;
    void *memory;
    size_t memory_bytes;
    int64_t constant_numbers;
    Real *constants;
    /* the run in progress */
    const Run *run;
    State *start; /* the run's streams as it found them, for forward steps run again and graph_keep_start */
    Rows current;
    int64_t *offset, *position, *slot, *sample, *chunk; /* behind `current` */
};

/* types.c */
void plan_types(Graph *g);

static inline int64_t tensor_stride(const Tensor *tensor) /* numbers for one index of the first dimension */
{
    int64_t numbers = 1;
    for (int i = tensor->lead == LEAD_NONE ? 0 : 1; i < tensor->rank; i++)
        numbers *= tensor->shape[i];
    return numbers;
}

#endif
