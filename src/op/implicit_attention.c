/* Implicit self-attention on a Legendre memory (Chilkuri et al. 2021, section 3), one operator from x to y:
 *
 *     M_t = Abar M_{t-1} + Bbar x_t          Q, K, V = f(L M_t + bias)          y_t = p softmax(scale Q K^T / sqrt(E)) V
 *
 * for each of H heads on the E = D/H channels that are its own. Saved for the backward pass are the states at chunk boundaries;
 * everything else is computed again from them and x. */
#include "op/operators.h"

enum { IN_X, IN_W = IMPLICIT_P + 1, IN_SCALE };

static void forward(Graph *g, const Step *s)
{
    const Implicit *a = s->node->attributes;
    Backend *b = graph_backend(g);
    AttentionParameters p = implicit_parameters(g, s);
    KERNEL(b, legendre_scan, &a->shape, LEGENDRE_CHUNKED, step_rows(g), step_in(g, s, IN_W), step_in(g, s, IN_X),
           step_state(g, s), step_saved(g, s, 0));
    KERNEL(b, implicit_attention, &a->shape, &p, step_rows(g), step_in(g, s, IN_W), step_in(g, s, IN_X),
           step_saved(g, s, 0), step_out_array(g, s));
}

static void backward(Graph *g, const Step *s)
{
    const Implicit *a = s->node->attributes;
    AttentionParameters p = implicit_parameters(g, s);
    AttentionGradients gradients = implicit_gradients(g, s);
    KERNEL(graph_backend(g), implicit_attention_back, &a->shape, &p, step_rows(g), step_in(g, s, IN_W),
           step_in(g, s, IN_X), step_saved(g, s, 0), step_gradient_out_array(g, s), step_gradient(g, s, IN_X),
           step_add(g, s, IN_X), &gradients);
}

/* By definition, per channel: 2 (q(q+1) + 3q'q + q'^2 + q'). */
static double flops(const Node *node, int64_t length)
{
    (void)length;
    const Implicit *a = node->attributes;
    double q = (double)a->shape.order;
    return 2 * q * (q + 1) * (double)a->shape.channels + implicit_flops(a);
}

const Operator operator_implicit_attention = {.name = "implicit_attention",
                                              .forward = forward,
                                              .backward = backward,
                                              .keeps = KEEPS_INPUT(IN_X) | KEEPS_INPUT(IMPLICIT_L) |
                                                       KEEPS_INPUT(IMPLICIT_BIAS) | KEEPS_INPUT(IMPLICIT_P) |
                                                       KEEPS_INPUT(IN_SCALE),
                                              .half_output = true,
                                              .half_gradient = true,
                                              .looks_back = true,
                                              .flops = flops};

Tensor *op_implicit_attention(Graph *g, Tensor *x, const ImplicitSpec *attention, const LegendreSpec *legendre)
{
    Tensor *w = x ? legendre_constant(g, legendre, x->shape[1]) : NULL;
    NodeSpec spec = {.inputs = attention->scale ? 6 : 5,
                     .in = {x, attention->l, attention->bias, attention->p, w, attention->scale},
                     .lead = LEAD_TOKENS,
                     .rank = 2,
                     .saves = 1,
                     .saved_lead = {LEAD_CHUNKS}};
    if (!graph_ready(g, spec.inputs, spec.in))
        return NULL;
    if (x->rank != 2 || x->lead != LEAD_TOKENS)
        return graph_fail(g, LMU_USAGE, "implicit attention takes x [N x D]");
    LegendreShape shape = {x->shape[1], legendre->order, legendre->groups};
    Implicit attributes;
    if (!implicit_prepare(g, attention, &shape, IN_SCALE, &attributes))
        return NULL;
    Backend *b = graph_backend(g);
    spec.shape[1] = x->shape[1];
    spec.state = spec.saved_numbers[0] = legendre->order * x->shape[1];
    spec.attributes = &attributes;
    spec.attributes_size = sizeof attributes;
    spec.workspace = b->kernels->legendre_workspace(b, &shape, attributes.heads, attributes.reduced);
    return graph_node(g, &operator_implicit_attention, &spec);
}
