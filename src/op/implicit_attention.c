/* Implicit self-attention on a Legendre memory (Chilkuri et al. 2021, section 3), one operator from x to y:
 *
 *     M_t = Abar M_{t-1} + Bbar x_t          Q, K, V = gelu(L M_t + bias)          y_t = p softmax(Q K^T / sqrt(D)) V
 *
 * Saved for the backward pass are the states at chunk boundaries; everything else is computed again from them and x. */
#include "op/operators.h"

typedef struct Implicit {
    LegendreShape shape;
    int64_t reduced;
} Implicit;

enum { IN_X, IN_L, IN_BIAS, IN_P, IN_W };

static AttentionParameters parameters(Graph *g, const Step *s)
{
    const Implicit *a = s->node->attributes;
    return (AttentionParameters){a->reduced, step_in(g, s, IN_L), step_in(g, s, IN_BIAS), step_in(g, s, IN_P)};
}

static void forward(Graph *g, const Step *s)
{
    const Implicit *a = s->node->attributes;
    Backend *b = graph_backend(g);
    AttentionParameters p = parameters(g, s);
    KERNEL(b, legendre_scan, &a->shape, LEGENDRE_CHUNKED, step_rows(g), step_in(g, s, IN_W), step_in(g, s, IN_X),
           step_state(g, s), step_saved(g, s, 0));
    KERNEL(b, implicit_attention, &a->shape, &p, step_rows(g), step_in(g, s, IN_W), step_in(g, s, IN_X),
           step_saved(g, s, 0), step_out_array(g, s));
}

static void backward(Graph *g, const Step *s)
{
    const Implicit *a = s->node->attributes;
    AttentionParameters p = parameters(g, s);
    AttentionGradients gradients = {step_gradient(g, s, IN_L), step_gradient(g, s, IN_BIAS), step_gradient(g, s, IN_P),
                                    step_add(g, s, IN_L),      step_add(g, s, IN_BIAS),      step_add(g, s, IN_P)};
    KERNEL(graph_backend(g), implicit_attention_back, &a->shape, &p, step_rows(g), step_in(g, s, IN_W),
           step_in(g, s, IN_X), step_saved(g, s, 0), step_gradient_out_array(g, s), step_gradient(g, s, IN_X),
           step_add(g, s, IN_X), &gradients);
}

/* By definition, per channel: 2 (q(q+1) + 3q'q + q'^2 + q'). */
static double flops(const Node *node, int64_t length)
{
    (void)length;
    const Implicit *a = node->attributes;
    double q = (double)a->shape.order, p = (double)a->reduced;
    return 2 * (q * (q + 1) + 3 * p * q + p * p + p) * (double)a->shape.channels;
}

const Operator operator_implicit_attention = {.name = "implicit_attention",
                                              .forward = forward,
                                              .backward = backward,
                                              .keeps = KEEPS_INPUT(IN_X) | KEEPS_INPUT(IN_L) | KEEPS_INPUT(IN_BIAS) |
                                                       KEEPS_INPUT(IN_P),
                                              .half_output = true,
                                              .half_gradient = true,
                                              .looks_back = true,
                                              .flops = flops};

Tensor *op_implicit_attention(Graph *g, Tensor *x, Tensor *l, Tensor *bias, Tensor *p, const LegendreSpec *legendre)
{
    Tensor *w = x ? legendre_constant(g, legendre, x->shape[1]) : NULL;
    NodeSpec spec = {
        .inputs = 5, .in = {x, l, bias, p, w}, .lead = LEAD_TOKENS, .rank = 2, .saves = 1, .saved_lead = {LEAD_CHUNKS}};
    if (!graph_ready(g, 5, spec.in))
        return NULL;
    int64_t reduced = p->shape[0];
    for (int i = IN_L; i <= IN_P; i++)
        if (spec.in[i]->kind != TENSOR_PARAM || spec.in[i]->rank != (i == IN_L ? 2 : 1))
            return graph_fail(g, LMU_USAGE, "implicit attention takes parameters l [3P x Q], bias [3P] and p [P]");
    if (x->rank != 2 || x->lead != LEAD_TOKENS || l->rank != 2 || l->shape[0] != 3 * reduced ||
        l->shape[1] != legendre->order || bias->shape[0] != 3 * reduced)
        return graph_fail(g, LMU_USAGE, "implicit attention takes x [N x D], l [3P x Q], bias [3P] and p [P]");
    Implicit attributes = {.shape = {x->shape[1], legendre->order, legendre->groups}, .reduced = reduced};
    Backend *b = graph_backend(g);
    spec.shape[1] = x->shape[1];
    spec.state = spec.saved_numbers[0] = legendre->order * x->shape[1];
    spec.attributes = &attributes;
    spec.attributes_size = sizeof attributes;
    spec.workspace = b->kernels->legendre_workspace(b, &attributes.shape, reduced);
    return graph_node(g, &operator_implicit_attention, &spec);
}
