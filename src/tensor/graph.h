/* The tape: one definition of a model that trains, scores and streams.
 *
 * A graph is built once for a capacity (rows, tokens) and run many times. Building an operator records a node and checks shapes;
 * a builder that fails leaves a sticky error and returns NULL, builders accept NULL, and graph_plan reports the first error
 * once, so a model reads as plain composition:
 *
 *     Graph *g;
 *     TRY(graph_open(backend, params, GRAPH_TRAIN, rows, tokens, 0, &g));
 *     Tensor *table = graph_param(g, "embedding.weight", 2, shape, init, PARAM_TABLE);
 *     Tensor *x = op_embedding(g, graph_ids(g), table);
 *     x = op_add(g, x, nn_linear(g, x, dim, true, "out"));
 *     TRY(graph_plan(g, op_cross_entropy(g, x, table, graph_targets(g))));
 *     TRY(graph_run(g, &run));
 *
 * Every run is ragged: it is told how many tokens each row has, and pointwise operators see the packed tokens. A tensor whose
 * first dimension is the tokens (or rows, or chunks of a run) has that dimension at capacity in its shape and at the run's
 * number when kernels work on it.
 *
 * The plan is a list of steps, (node, direction). All activations and their gradients lie in one piece of memory by lifetime.
 * A gradient is stored by its first writer and added to by the others; a parameter's gradient is stored only in a run flagged as
 * the first micro-batch.
 *
 * With GRAPH_RECOMPUTE what is computed inside a block (graph_block) is not kept for the backward pass: only what leaves the block
 * is, its input among it, and before the block's backward steps its forward steps run again, as far as they are needed. Such
 * a value lives twice, in two buffers. All gradients are equal to the bit to those without. */
#ifndef LMU_TENSOR_GRAPH_H
#define LMU_TENSOR_GRAPH_H

#include "tensor/params.h"
#include "tensor/state.h"

#define NODE_INPUTS 6
#define NODE_SAVED 3

typedef struct Graph Graph;
typedef struct Tensor Tensor;
typedef struct Node Node;
typedef struct Operator Operator;

typedef enum GraphMode {
    GRAPH_TRAIN,  /* forward and backward */
    GRAPH_SCORE,  /* forward; a row's bits do not depend on its neighbours */
    GRAPH_DECODE, /* the same, for the head to give logits of each row's last token */
    GRAPH_LOGITS, /* the same, of every token */
} GraphMode;

enum GraphFlags {
    GRAPH_NO_REUSE = 1,  /* every buffer has memory of its own */
    GRAPH_POISON = 2,    /* a buffer is filled with NaN when its life ends */
    GRAPH_RECOMPUTE = 4, /* in training, values inside blocks are computed again for the backward pass */
    GRAPH_OUTLINE = 8,   /* planned and never run: takes no memory, however large the plan is */
};

/* What the first dimension of a tensor counts. */
typedef enum Lead { LEAD_NONE, LEAD_TOKENS, LEAD_ROWS, LEAD_CHUNKS } Lead;

typedef enum TensorKind { TENSOR_ACTIVATION, TENSOR_INPUT, TENSOR_PARAM, TENSOR_CONSTANT } TensorKind;

struct Tensor {
    TensorKind kind;
    Lead lead;
    int rank;
    int64_t shape[TENSOR_RANK];
    bool integer;           /* int32 ids, not Real */
    int64_t bound;          /* of an integer input: its ids must be below this; 0: none */
    int64_t period;         /* of positions: they count modulo this; 0: without end */
    bool differentiable;    /* an input whose gradient is wanted */
    Node *producer;         /* NULL unless an activation */
    Param *param;           /* TENSOR_PARAM */
    const double *constant; /* TENSOR_CONSTANT, with its name */
    const char *constant_name;
    /* Set by the plan: */
    bool wanted;              /* a gradient is computed for it */
    bool half, half_gradient; /* it, or its gradient, is kept in bfloat16 */
    bool kept;                /* lives to the end of the run */
    struct Buffer *buffer, *gradient;
    struct Buffer *recomputed; /* the value's second life, which backward steps read; NULL: it has one */
    Tensor *next;
};

/* What an operator's forward and backward are given. */
typedef struct Run Run;
typedef struct Step {
    Node *node;
    bool backward;
    bool recompute;        /* a forward step run again */
    bool add[NODE_INPUTS]; /* input i's gradient: an earlier step of this run wrote it */
} Step;

struct Operator {
    const char *name;
    void (*forward)(Graph *g, const Step *s);
    void (*backward)(Graph *g, const Step *s); /* NULL: not differentiable */
    unsigned keeps;                            /* what backward reads: bit i for input i, KEEPS_OUTPUT for the output */
    bool in_place;                             /* the output may take the memory of input 0 */
    bool gradient_in_place;                    /* the gradient of input 0 may take the memory of the output's */
    bool forms_gradient;                       /* a loss: its forward step writes the gradients of its inputs */
    unsigned half_inputs;    /* inputs it can read in bfloat16, forward and backward: bits as in `keeps` */
    bool half_output;        /* it can write its output, and where it keeps it read it, in bfloat16 */
    bool half_gradient;      /* its backward can read the gradient of its output in bfloat16 */
    unsigned half_gradients; /* inputs whose gradient it can write in bfloat16, where it is the only writer */
    unsigned int8_inputs;    /* parameters it can read as matrices of bytes, see step_int8: bits as in `keeps` */
    bool looks_back;         /* results depend on earlier tokens: it has state */
    double (*flops)(const Node *node, int64_t length); /* forward model FLOPs a token in rows of `length`; NULL: none */
    lmu_status (*check)(const Node *node, const Rows *rows); /* refuses a run before it starts; may be NULL */
    void (*observe)(Graph *g, const Step *s);                /* notes a run's text in its counts; may be NULL */
};
#define KEEPS_INPUT(i) (1u << (i))
#define KEEPS_OUTPUT (1u << 8)

struct Node {
    const Operator *op;
    int inputs, saves;
    Tensor *in[NODE_INPUTS];
    Tensor *out;
    Tensor *saved[NODE_SAVED]; /* kept from the forward to the backward step */
    void *attributes;          /* the operator's own */
    Derived *derived;
    const char *scope;                               /* "layer.0.ffn" */
    int block;                                       /* 0: none; a block's nodes stand in a row */
    int state;                                       /* slot, or -1 */
    int forward_step, recompute_step, backward_step; /* -1: none */
    Node *next, *previous;
};

struct Run {
    int rows;
    const int64_t *count;          /* [rows] new tokens of each row, 0 allowed */
    const int64_t *slot;           /* [rows] which row of the state, each its own; NULL: the row's own number */
    const int64_t *sample;         /* [rows] global sample index, for random draws; NULL: the row's own number */
    const int32_t *ids;            /* [tokens] packed */
    const int32_t *targets;        /* [tokens]; negative: not counted; NULL where the graph has none */
    const SoftTarget *soft;        /* [tokens] what the gradient is of in the place of `targets`; NULL: of those */
    State *state;                  /* start from it and leave the next one in it; NULL: zero state, nothing kept */
    bool first_micro_batch;        /* parameter gradients are replaced, not added to */
    double loss_scale;             /* the gradient is that of loss_scale * (sum of losses) */
    uint64_t key;                  /* random key of this step */
    const double *result_gradient; /* for a result that is no loss: its gradient [tokens x ...], on the host */
};

lmu_status graph_open(Backend *backend, Params *params, GraphMode mode, int rows, int64_t tokens, int flags,
                      Graph **out);
void graph_close(Graph *g); /* accepts NULL */

GraphMode graph_mode(const Graph *g);
Backend *graph_backend(const Graph *g);
Params *graph_params(const Graph *g);

/* -- building -------------------------------------------------------------------------------------------------- */
Tensor *graph_ids(Graph *g);     /* [tokens] int32 */
Tensor *graph_targets(Graph *g); /* [tokens] int32 */
/* [tokens] int32: each token's place in its stream, from 0; a run fills them in. */
Tensor *graph_positions(Graph *g);
/* Positions count from 0 again after every `period` tokens. */
void graph_wrap(Tensor *positions, int64_t period);
/* A real input [tokens x d] set by graph_put before a run. */
Tensor *graph_input(Graph *g, int64_t d, bool differentiable);
/* The parameter "SCOPE.name"; see params_get. */
Tensor *graph_param(Graph *g, const char *name, int rank, const int64_t *shape, Init init, ParamRole role);
/* Numbers that never change, under a name that tells them from all others: who needs them again finds them by it. */
Tensor *graph_constant(Graph *g, const char *name, int rank, const int64_t *shape, const double *values);
Tensor *graph_constant_find(const Graph *g, const char *name); /* NULL if the graph has none of this name */
/* Names inside a scope get its name and a dot before them. */
void graph_scope(Graph *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, and what is built inside may be computed again in the backward pass: for a layer of a deep model, through which little
 * passes to the next. A block inside a block is part of the outer one. */
void graph_block(Graph *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
void graph_scope_end(Graph *g); /* leaves the innermost scope or block */
/* The first error of building, if there was one; graph_plan reports it too. */
lmu_status graph_status(const Graph *g);
/* A run is refused unless every id of `integers` is below `bound`; negative ones mean "none". */
void graph_bound(Tensor *integers, int64_t bound);
/* In training, backward steps see by step_state what the run started from, and not what forward steps left there: for an operator
 * that overwrites what its backward step reads. Costs a copy of the state, in runs that are given one. */
void graph_keep_start(Graph *g);
/* Whether runs keep a copy of the state that they start from, for recomputation or graph_keep_start. */
bool graph_keeps_start(const Graph *g);
/* Records the first error of building; returns NULL. */
Tensor *graph_fail(Graph *g, lmu_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* True if building may go on: no error so far and no input is NULL. */
bool graph_ready(Graph *g, int inputs, Tensor *const *in);

/* What an operator's builder asks for; see graph_node. */
typedef struct NodeSpec {
    int inputs;
    Tensor *in[NODE_INPUTS];
    Lead lead; /* of the output; its first dimension is then filled in */
    int rank;
    int64_t shape[TENSOR_RANK];
    int saves; /* tensors saved for backward: numbers for each token, row or chunk */
    Lead saved_lead[NODE_SAVED];
    int64_t saved_numbers[NODE_SAVED];
    int64_t state; /* numbers of state a row; 0: none */
    const void *attributes;
    size_t attributes_size;
    size_t workspace; /* bytes of the backend's scratch */
    Derived *derived;
} NodeSpec;
Tensor *graph_node(Graph *g, const Operator *op, const NodeSpec *spec);
/* Gives a node host memory of its own as its attributes. */
bool graph_scratch(Graph *g, Node *node, size_t bytes);

/* Keeps a tensor's value readable by graph_get after a run. */
void graph_keep(Graph *g, Tensor *tensor);
/* Plans and allocates. `result` is kept. In GRAPH_TRAIN the gradient of its sum (a loss), or against Run.result_gradient, is
 * computed for parameters and differentiable inputs; a path through an operator without backward is refused. */
lmu_status graph_plan(Graph *g, Tensor *result);

/* -- running --------------------------------------------------------------------------------------------------- */
/* A run that cannot be is refused before it changes anything: too large for the graph, a state of another model, a stream
 * twice, ids outside their table, a row beyond an operator's context. */
lmu_status graph_run(Graph *g, const Run *run);
/* Notes the ids of a run, read from zero state, in what operators count (PARAM_COUNTS): rows in their order, so that a batch may be
 * observed in parts. Training does so after the step that learnt from them, which so never saw what it was to predict. */
lmu_status graph_observe(Graph *g, const Run *run);
bool graph_observes(const Graph *g); /* whether there is anything to note */
/* LMU_USAGE, as a run would, if a stream of this graph cannot go on until it has read so many tokens. */
lmu_status graph_check_reach(const Graph *g, int64_t tokens);

/* Numbers of the last run's extent, on the host. */
lmu_status graph_put(Graph *g, Tensor *tensor, int64_t numbers, const double *values);
void graph_get(Graph *g, const Tensor *tensor, int64_t numbers, double *values);
void graph_get_f32(Graph *g, const Tensor *tensor, int64_t numbers, float *values);
/* Those from number `first` on. */
void graph_get_part_f32(Graph *g, const Tensor *tensor, int64_t first, int64_t numbers, float *values);
void graph_get_gradient(Graph *g, const Tensor *tensor, int64_t numbers, double *values);

/* -- asking ---------------------------------------------------------------------------------------------------- */
size_t graph_bytes(const Graph *g);                        /* of activations, gradients of activations and constants */
int64_t graph_largest_buffer(const Graph *g);              /* numbers in the largest single buffer */
double graph_flops(const Graph *g, int64_t length);        /* forward model FLOPs a token in rows of `length` */
int graph_states(const Graph *g, const int64_t **numbers); /* number of state slots and their sizes */
const Node *graph_first(const Graph *g);
int graph_steps(const Graph *g, const Step **steps);
/* The step after which a parameter's gradient is complete; -1 if none writes it. */
int graph_last_write(const Graph *g, const Param *param);

/* -- what operators see in forward and backward ------------------------------------------------------------------ */
const Rows *step_rows(const Graph *g);
const Run *step_run(const Graph *g);
int64_t step_extent(const Graph *g, const Tensor *tensor); /* the first dimension in this run */
int64_t step_numbers(const Graph *g, const Tensor *tensor);
Real *step_in(const Graph *g, const Step *s, int i);
const Int8Matrix *step_int8(const Step *s, int i); /* a parameter in bytes; NULL: it is none, step_in has its numbers */
const int32_t *step_ids(const Graph *g, const Step *s, int i);
Real *step_out(const Graph *g, const Step *s);
Real *step_saved(const Graph *g, const Step *s, int i);
/* NULL: none in this run. A forward step run again is given the state that the first was given, and what it leaves is dropped; see
 * graph_keep_start too, under which it must leave nothing. */
Real *step_state(const Graph *g, const Step *s);
Real *step_gradient(const Graph *g, const Step *s, int i); /* of input i; NULL: not wanted */
Real *step_gradient_out(const Graph *g, const Step *s);
bool step_add(const Graph *g, const Step *s, int i);
/* The same with their type, for operators whose row says that they know bfloat16. */
Array step_in_array(const Graph *g, const Step *s, int i);
Array step_out_array(const Graph *g, const Step *s);
Array step_gradient_array(const Graph *g, const Step *s, int i); /* data NULL: not wanted */
Array step_gradient_out_array(const Graph *g, const Step *s);

/* The value of a tensor in backend memory; for tests that break operators on purpose. */
Real *tensor_data(const Graph *g, const Tensor *tensor);
Real *tensor_gradient(const Graph *g, const Tensor *tensor);

#endif
