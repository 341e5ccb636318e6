/* Embedding: y = table[ids]. */
#include "op/operators.h"

void table_gather(Graph *g, const Step *s, int table, int64_t n, int64_t bag, const int32_t *ids, const Real *weight)
{
    const Int8Matrix *int8 = step_int8(s, table);
    if (int8)
        KERNEL(graph_backend(g), gather_int8, n, bag, ids, weight, int8, step_out(g, s));
    else
        KERNEL(graph_backend(g), gather, n, bag, s->node->in[table]->shape[1], ids, weight, step_in(g, s, table),
               step_out(g, s));
}

static void forward(Graph *g, const Step *s)
{
    table_gather(g, s, 1, step_rows(g)->tokens, 1, step_ids(g, s, 0), NULL);
}

static void backward(Graph *g, const Step *s)
{
    const int64_t *table = s->node->in[1]->shape;
    if (step_gradient(g, s, 1))
        KERNEL(graph_backend(g), gather_back, step_rows(g)->tokens, 1, table[0], table[1], step_ids(g, s, 0), NULL,
               step_gradient_out(g, s), step_gradient(g, s, 1), step_add(g, s, 1));
}

const Operator operator_embedding = {.name = "embedding",
                                     .forward = forward,
                                     .backward = backward,
                                     .keeps = KEEPS_INPUT(0),
                                     .int8_inputs = KEEPS_INPUT(1)};

Tensor *op_embedding(Graph *g, Tensor *ids, Tensor *table)
{
    NodeSpec spec = {.inputs = 2, .in = {ids, table}, .lead = LEAD_TOKENS, .rank = 2};
    if (!graph_ready(g, 2, spec.in))
        return NULL;
    if (!ids->integer || table->kind != TENSOR_PARAM || table->rank != 2)
        return graph_fail(g, LMU_USAGE, "embedding takes ids and a parameter [V x D]");
    graph_bound(ids, table->shape[0]);
    spec.shape[1] = table->shape[1];
    return graph_node(g, &operator_embedding, &spec);
}
