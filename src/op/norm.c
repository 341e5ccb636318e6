/* LayerNorm and RMSNorm over channels. */
#include "op/operators.h"

#define EPSILON 1e-5

static const Real *norm_mean(Graph *g, const Step *s)
{
    return s->node->saves > 1 ? step_saved(g, s, 1) : NULL;
}

static void forward(Graph *g, const Step *s)
{
    const NormKind *kind = s->node->attributes;
    KERNEL(graph_backend(g), norm, *kind, step_extent(g, s->node->out), s->node->out->shape[1], EPSILON,
           step_in(g, s, 0), step_in(g, s, 1), s->node->inputs > 2 ? step_in(g, s, 2) : NULL, step_out_array(g, s),
           s->node->saves > 1 ? step_saved(g, s, 1) : NULL, step_saved(g, s, 0));
}

static void backward(Graph *g, const Step *s)
{
    const Node *node = s->node;
    const NormKind *kind = node->attributes;
    int64_t n = step_extent(g, node->out), d = node->out->shape[1];
    const Real *dy = step_gradient_out(g, s);
    if (step_gradient(g, s, 1)) {
        Real *dbias = node->inputs > 2 ? step_gradient(g, s, 2) : NULL;
        KERNEL(graph_backend(g), norm_back_parameters, *kind, n, d, step_in(g, s, 0), norm_mean(g, s),
               step_saved(g, s, 0), dy, step_gradient(g, s, 1), step_add(g, s, 1), dbias, dbias && step_add(g, s, 2));
    }
    if (step_gradient(g, s, 0))
        KERNEL(graph_backend(g), norm_back, *kind, n, d, step_in(g, s, 0), step_in(g, s, 1), norm_mean(g, s),
               step_saved(g, s, 0), dy, step_gradient(g, s, 0), step_add(g, s, 0));
}

const Operator operator_norm = {.name = "norm",
                                .forward = forward,
                                .backward = backward,
                                .keeps = KEEPS_INPUT(0) | KEEPS_INPUT(1),
                                .half_output = true};

Tensor *op_norm(Graph *g, NormKind kind, Tensor *x, Tensor *gain, Tensor *bias)
{
    NodeSpec spec = {.inputs = bias ? 3 : 2,
                     .in = {x, gain, bias},
                     .rank = 2,
                     .saves = kind == NORM_LAYER ? 2 : 1,
                     .saved_numbers = {1, 1},
                     .attributes = &kind,
                     .attributes_size = sizeof kind};
    if (!graph_ready(g, 2, spec.in))
        return NULL;
    if (x->rank != 2 || gain->rank != 1 || gain->shape[0] != x->shape[1] || (bias && bias->shape[0] != x->shape[1]))
        return graph_fail(g, LMU_USAGE, "norm takes x [N x D] with gain and bias [D]");
    if (kind == NORM_NONE)
        return graph_fail(g, LMU_USAGE, "no norm is no operator: a layer without one leaves it out");
    if (kind == NORM_RMS && bias)
        return graph_fail(g, LMU_USAGE, "an RMS norm has no bias");
    spec.lead = spec.saved_lead[0] = spec.saved_lead[1] = x->lead;
    spec.shape[1] = x->shape[1];
    return graph_node(g, &operator_norm, &spec);
}
