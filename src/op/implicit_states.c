/* Implicit self-attention on given states of a Legendre memory (Chilkuri et al. 2021, section 3), for the forms of the memory that
 * give all of them:
 *
 *     Q, K, V = gelu(L M_t + bias)          y_t = p softmax(Q K^T / sqrt(D)) V */
#include "op/operators.h"

typedef struct States {
    LegendreShape shape;
    int64_t reduced;
} States;

enum { IN_M, IN_L, IN_BIAS, IN_P };

static AttentionParameters parameters(Graph *g, const Step *s)
{
    const States *a = s->node->attributes;
    return (AttentionParameters){a->reduced, step_in(g, s, IN_L), step_in(g, s, IN_BIAS), step_in(g, s, IN_P)};
}

static void forward(Graph *g, const Step *s)
{
    const States *a = s->node->attributes;
    AttentionParameters p = parameters(g, s);
    KERNEL(graph_backend(g), implicit_states, &a->shape, &p, step_rows(g), step_in(g, s, IN_M), step_out(g, s));
}

static void backward(Graph *g, const Step *s)
{
    const States *a = s->node->attributes;
    AttentionParameters p = parameters(g, s);
    AttentionGradients gradients = {step_gradient(g, s, IN_L), step_gradient(g, s, IN_BIAS), step_gradient(g, s, IN_P),
                                    step_add(g, s, IN_L),      step_add(g, s, IN_BIAS),      step_add(g, s, IN_P)};
    KERNEL(graph_backend(g), implicit_states_back, &a->shape, &p, step_rows(g), step_in(g, s, IN_M),
           step_gradient_out(g, s), step_gradient(g, s, IN_M), step_add(g, s, IN_M), &gradients);
}

/* By definition, per channel: 2 (3q'q + q'^2 + q'); the memory's own come to it. */
static double flops(const Node *node, int64_t length)
{
    (void)length;
    const States *a = node->attributes;
    double q = (double)a->shape.order, p = (double)a->reduced;
    return 2 * (3 * p * q + p * p + p) * (double)a->shape.channels;
}

const Operator operator_implicit_states = {.name = "implicit_states",
                                           .forward = forward,
                                           .backward = backward,
                                           .keeps = KEEPS_INPUT(IN_M) | KEEPS_INPUT(IN_L) | KEEPS_INPUT(IN_BIAS) |
                                                    KEEPS_INPUT(IN_P),
                                           .flops = flops};

Tensor *op_implicit_states(Graph *g, Tensor *m, Tensor *l, Tensor *bias, Tensor *p)
{
    NodeSpec spec = {.inputs = 4, .in = {m, l, bias, p}, .lead = LEAD_TOKENS, .rank = 2};
    if (!graph_ready(g, 4, spec.in))
        return NULL;
    for (int i = IN_L; i <= IN_P; i++)
        if (spec.in[i]->kind != TENSOR_PARAM || spec.in[i]->rank != (i == IN_L ? 2 : 1))
            return graph_fail(g, LMU_USAGE, "implicit attention takes parameters l [3P x Q], bias [3P] and p [P]");
    int64_t reduced = p->shape[0];
    if (m->rank != 3 || m->lead != LEAD_TOKENS || l->shape[0] != 3 * reduced || l->shape[1] != m->shape[1] ||
        bias->shape[0] != 3 * reduced)
        return graph_fail(g, LMU_USAGE,
                          "implicit attention on states takes m [N x Q x D], l [3P x Q], bias [3P] and p [P]");
    States attributes = {.shape = {m->shape[2], m->shape[1], 1}, .reduced = reduced};
    Backend *b = graph_backend(g);
    spec.shape[1] = m->shape[2];
    spec.attributes = &attributes;
    spec.attributes_size = sizeof attributes;
    spec.workspace = b->kernels->legendre_workspace(b, &attributes.shape, reduced);
    return graph_node(g, &operator_implicit_states, &spec);
}
