/* Sums of parts that stand side by side, each with a gain by channel. */
#include "op/operators.h"

static int64_t parts_of(const Step *s)
{
    return s->node->in[1]->shape[0];
}

static void forward(Graph *g, const Step *s)
{
    KERNEL(graph_backend(g), weighted_sum, step_extent(g, s->node->out), parts_of(s), s->node->out->shape[1],
           step_in(g, s, 0), step_in(g, s, 1), step_out(g, s));
}

static void backward(Graph *g, const Step *s)
{
    KERNEL(graph_backend(g), weighted_sum_back, step_extent(g, s->node->out), parts_of(s), s->node->out->shape[1],
           step_in(g, s, 0), step_in(g, s, 1), step_gradient_out(g, s), step_gradient(g, s, 0), step_add(g, s, 0),
           step_gradient(g, s, 1), step_add(g, s, 1));
}

const Operator operator_weighted_sum = {
    .name = "weighted_sum", .forward = forward, .backward = backward, .keeps = KEEPS_INPUT(0) | KEEPS_INPUT(1)};

Tensor *op_weighted_sum(Graph *g, Tensor *x, Tensor *gain)
{
    NodeSpec spec = {.inputs = 2, .in = {x, gain}, .rank = 2};
    if (!graph_ready(g, 2, spec.in))
        return NULL;
    if (x->integer || x->rank != 2 || x->lead == LEAD_NONE || gain->kind != TENSOR_PARAM || gain->rank != 2 ||
        gain->shape[0] * gain->shape[1] != x->shape[1])
        return graph_fail(g, LMU_USAGE, "a weighted sum takes x [N x K D] and a parameter [K x D]");
    spec.lead = x->lead;
    spec.shape[1] = gain->shape[1];
    return graph_node(g, &operator_weighted_sum, &spec);
}
