/* Rotary positions (Su et al. 2021): the angles, once a run, and what turns queries and keys by them. */
#include <math.h>

#include "op/operators.h"

#define EPSILON 1e-5

/* -- angles -- */

static void angles_forward(Graph *g, const Step *s)
{
    KERNEL(graph_backend(g), rope_angles, step_extent(g, s->node->out), s->node->out->shape[1] / 2, s->node->attributes,
           step_ids(g, s, 0), step_out(g, s));
}

const Operator operator_rope_angles = {.name = "rope_angles", .forward = angles_forward};

Tensor *op_rope_angles(Graph *g, Tensor *positions, int64_t channels, double base)
{
    NodeSpec spec = {.inputs = 1, .in = {positions}, .lead = LEAD_TOKENS, .rank = 2};
    if (!graph_ready(g, 1, spec.in))
        return NULL;
    if (!positions->integer || !(base >= 1))
        return graph_fail(g, LMU_USAGE, "rotary positions are made of integers [N] and a base of at least 1");
    if (channels < 2 || channels % 2 != 0)
        return graph_fail(
            g, LMU_USAGE,
            "rotary positions turn pairs of channels, and a head of %lld channels cannot be paired: choose "
            "dim and heads so that a head has an even number",
            (long long)channels);
    spec.shape[1] = channels;
    Tensor *out = graph_node(g, &operator_rope_angles, &spec);
    if (!out || !graph_scratch(g, out->producer, (size_t)channels / 2 * sizeof(double)))
        return NULL;
    double *frequency = out->producer->attributes; /* [channels / 2] radians a step */
    for (int64_t j = 0; j < channels / 2; j++)
        frequency[j] = pow(base, -2 * (double)j / (double)channels);
    return out;
}

/* -- normalised and turned queries and keys; the backward step needs the output alone, which attention keeps anyway -- */

static void forward(Graph *g, const Step *s)
{
    const int64_t *heads = s->node->attributes;
    KERNEL(graph_backend(g), rope, step_extent(g, s->node->out), s->node->out->shape[1] / 3, *heads, EPSILON,
           step_in_array(g, s, 0), step_in(g, s, 1), step_out_array(g, s), step_saved(g, s, 0));
}

static void backward(Graph *g, const Step *s)
{
    const int64_t *heads = s->node->attributes;
    if (step_gradient(g, s, 0))
        KERNEL(graph_backend(g), rope_back, step_extent(g, s->node->out), s->node->out->shape[1] / 3, *heads,
               step_out_array(g, s), step_in(g, s, 1), step_saved(g, s, 0), step_gradient_out_array(g, s),
               step_gradient_array(g, s, 0), step_add(g, s, 0));
}

const Operator operator_rope = {.name = "rope",
                                .forward = forward,
                                .backward = backward,
                                .keeps = KEEPS_INPUT(1) | KEEPS_OUTPUT,
                                .in_place = true,
                                .gradient_in_place = true,
                                .half_inputs = KEEPS_INPUT(0),
                                .half_output = true,
                                .half_gradient = true,
                                .half_gradients = KEEPS_INPUT(0)};

Tensor *op_rope(Graph *g, Tensor *qkv, Tensor *angles, int64_t heads)
{
    NodeSpec spec = {.inputs = 2,
                     .in = {qkv, angles},
                     .lead = LEAD_TOKENS,
                     .rank = 2,
                     .saves = 1,
                     .saved_lead = {LEAD_TOKENS},
                     .saved_numbers = {2 * heads},
                     .attributes = &heads,
                     .attributes_size = sizeof heads};
    if (!graph_ready(g, 2, spec.in))
        return NULL;
    if (qkv->rank != 2 || qkv->lead != LEAD_TOKENS || heads < 1 || angles->rank != 2 || angles->lead != LEAD_TOKENS ||
        qkv->shape[1] != 3 * heads * angles->shape[1])
        return graph_fail(g, LMU_USAGE, "rope takes qkv [N x 3D] and angles [N x D/H] of H heads (%lld)",
                          (long long)heads);
    spec.shape[1] = qkv->shape[1];
    return graph_node(g, &operator_rope, &spec);
}
