/* N-gram table: rows of a table of embeddings for the ids that followed the latest ids in training, by counts that are noted and not
 * learnt; the stream state is a ring of ids. */
#include "op/operators.h"

enum { IN_IDS, IN_TABLE, IN_COUNTS };
enum { SAVED_NEXT, SAVED_WEIGHT };

static void forward(Graph *g, const Step *s)
{
    const NgramShape *shape = s->node->attributes;
    const Rows *rows = step_rows(g);
    const int64_t *table = s->node->in[IN_TABLE]->shape;
    int32_t *next = (int32_t *)step_saved(g, s, SAVED_NEXT);
    Real *state = step_state(g, s), *weight = step_saved(g, s, SAVED_WEIGHT);
    KERNEL(graph_backend(g), ngram_find, shape, rows, table[0], step_ids(g, s, IN_IDS), state, step_in(g, s, IN_COUNTS),
           next, weight);
    if (state && !s->recompute)
        KERNEL(graph_backend(g), recall_keep, rows, ngram_window(shape), step_ids(g, s, IN_IDS), state);
    table_gather(g, s, IN_TABLE, rows->tokens * shape->orders, shape->ways, next, weight);
}

static void backward(Graph *g, const Step *s)
{
    const NgramShape *shape = s->node->attributes;
    const int64_t *table = s->node->in[IN_TABLE]->shape;
    if (step_gradient(g, s, IN_TABLE))
        KERNEL(graph_backend(g), gather_back, step_rows(g)->tokens * shape->orders, shape->ways, table[0], table[1],
               (const int32_t *)step_saved(g, s, SAVED_NEXT), step_saved(g, s, SAVED_WEIGHT), step_gradient_out(g, s),
               step_gradient(g, s, IN_TABLE), step_add(g, s, IN_TABLE));
}

static void observe(Graph *g, const Step *s)
{
    KERNEL(graph_backend(g), ngram_note, s->node->attributes, step_rows(g), step_ids(g, s, IN_IDS),
           step_in(g, s, IN_COUNTS));
}

const Operator operator_ngram = {.name = "ngram",
                                 .forward = forward,
                                 .backward = backward,
                                 .int8_inputs = KEEPS_INPUT(IN_TABLE),
                                 .looks_back = true,
                                 .observe = observe};

Tensor *op_ngram(Graph *g, Tensor *ids, Tensor *table, Tensor *counts, int64_t ways)
{
    NodeSpec spec = {.inputs = 3,
                     .in = {ids, table, counts},
                     .lead = LEAD_TOKENS,
                     .rank = 2,
                     .saves = 2,
                     .saved_lead = {LEAD_TOKENS, LEAD_TOKENS}};
    if (!graph_ready(g, 3, spec.in))
        return NULL;
    bool counted = counts->kind == TENSOR_PARAM && counts->param->role == PARAM_COUNTS && counts->rank == 3 &&
                   ways > 0 && counts->shape[2] == 1 + 2 * ways;
    NgramShape shape = {counts->shape[0], ways, counted ? counts->shape[1] : 0};
    if (!ids->integer || table->kind != TENSOR_PARAM || table->rank != 2 || !counted ||
        ngram_window(&shape) > NGRAM_CONTEXT_MOST)
        return graph_fail(g, LMU_USAGE,
                          "an n-gram table takes ids, a parameter [V x D] and counts [orders x slots x (1 + 2 ways)]");
    graph_bound(ids, table->shape[0]);
    spec.shape[1] = shape.orders * table->shape[1];
    spec.saved_numbers[SAVED_NEXT] = spec.saved_numbers[SAVED_WEIGHT] = shape.orders * ways;
    spec.state = ngram_window(&shape);
    spec.attributes = &shape;
    spec.attributes_size = sizeof shape;
    return graph_node(g, &operator_ngram, &spec);
}
