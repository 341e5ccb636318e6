/* Queries, keys and values for induction (Olsson et al. 2022): a token's key is the query of the token before it. */
#include "op/operators.h"

static void forward(Graph *g, const Step *s)
{
    KERNEL(graph_backend(g), induction, step_rows(g), s->node->out->shape[1] / 3, step_in_array(g, s, 0),
           step_state(g, s), step_out_array(g, s));
}

static void backward(Graph *g, const Step *s)
{
    if (step_gradient(g, s, 0))
        KERNEL(graph_backend(g), induction_back, step_rows(g), s->node->out->shape[1] / 3,
               step_gradient_out_array(g, s), step_gradient_array(g, s, 0), step_add(g, s, 0));
}

const Operator operator_induction = {.name = "induction",
                                     .forward = forward,
                                     .backward = backward,
                                     .half_inputs = KEEPS_INPUT(0),
                                     .half_output = true,
                                     .half_gradient = true,
                                     .half_gradients = KEEPS_INPUT(0),
                                     .looks_back = true};

Tensor *op_induction(Graph *g, Tensor *u)
{
    NodeSpec spec = {.inputs = 1, .in = {u}, .lead = LEAD_TOKENS, .rank = 2};
    if (!graph_ready(g, 1, spec.in))
        return NULL;
    if (u->rank != 2 || u->lead != LEAD_TOKENS || u->shape[1] % 2 != 0)
        return graph_fail(g, LMU_USAGE, "induction takes u [N x 2D]");
    spec.state = u->shape[1] / 2;
    spec.shape[1] = 3 * spec.state;
    return graph_node(g, &operator_induction, &spec);
}
