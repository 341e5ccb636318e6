/* Implicit self-attention on given states of a Legendre memory (Chilkuri et al. 2021, section 3), for the forms of the memory that
 * give all of them; and what it shares with implicit_attention.c. For each of H heads on the E = D/H channels that are its own:
 *
 *     Q, K, V = f(L M_t + bias)          y_t = p softmax(scale Q K^T / sqrt(E)) V */
#include "op/operators.h"

enum { IN_M, IN_SCALE = IMPLICIT_P + 1 };

/* -- what both operators share -- */

static bool is_parameter(const Tensor *tensor, int64_t rows, int64_t columns)
{
    return tensor->kind == TENSOR_PARAM && tensor->rank == (columns ? 2 : 1) && tensor->shape[0] == rows &&
           (!columns || tensor->shape[1] == columns);
}

bool implicit_prepare(Graph *g, const ImplicitSpec *spec, const LegendreShape *shape, int scale, Implicit *out)
{
    int64_t heads = spec->heads;
    if (heads < 1 || shape->channels % heads != 0) {
        graph_fail(g, LMU_USAGE,
                   "%lld channels cannot be divided among the %lld heads of implicit attention: their number must "
                   "divide the channels",
                   (long long)shape->channels, (long long)heads);
        return false;
    }
    int64_t rows = spec->p->shape[0];
    if (rows % heads != 0 || !is_parameter(spec->l, 3 * rows, shape->order) || !is_parameter(spec->bias, 3 * rows, 0) ||
        !is_parameter(spec->p, rows, 0) || (spec->scale && !is_parameter(spec->scale, heads, 0))) {
        graph_fail(g, LMU_USAGE,
                   "implicit attention takes parameters l [3HP x Q], bias [3HP], p [HP] and, if any, scale [H] for "
                   "H = %lld heads and Q = %lld coefficients",
                   (long long)heads, (long long)shape->order);
        return false;
    }
    *out = (Implicit){*shape, rows / heads, heads, spec->activation, spec->scale ? scale : 0};
    return true;
}

AttentionParameters implicit_parameters(Graph *g, const Step *s)
{
    const Implicit *a = s->node->attributes;
    return (AttentionParameters){.reduced = a->reduced,
                                 .heads = a->heads,
                                 .activation = a->activation,
                                 .l = step_in(g, s, IMPLICIT_L),
                                 .bias = step_in(g, s, IMPLICIT_BIAS),
                                 .p = step_in(g, s, IMPLICIT_P),
                                 .scale = a->scale ? step_in(g, s, a->scale) : NULL};
}

AttentionGradients implicit_gradients(Graph *g, const Step *s)
{
    const Implicit *a = s->node->attributes;
    return (AttentionGradients){.l = step_gradient(g, s, IMPLICIT_L),
                                .bias = step_gradient(g, s, IMPLICIT_BIAS),
                                .p = step_gradient(g, s, IMPLICIT_P),
                                .scale = a->scale ? step_gradient(g, s, a->scale) : NULL,
                                .add_l = step_add(g, s, IMPLICIT_L),
                                .add_bias = step_add(g, s, IMPLICIT_BIAS),
                                .add_p = step_add(g, s, IMPLICIT_P),
                                .add_scale = a->scale && step_add(g, s, a->scale)};
}

double implicit_flops(const Implicit *a)
{
    double q = (double)a->shape.order, p = (double)a->reduced;
    return 2 * (3 * p * q + p * p + p) * (double)a->shape.channels;
}

/* -- the operator -- */

static void forward(Graph *g, const Step *s)
{
    const Implicit *a = s->node->attributes;
    AttentionParameters p = implicit_parameters(g, s);
    KERNEL(graph_backend(g), implicit_states, &a->shape, &p, step_rows(g), step_in(g, s, IN_M), step_out(g, s));
}

static void backward(Graph *g, const Step *s)
{
    const Implicit *a = s->node->attributes;
    AttentionParameters p = implicit_parameters(g, s);
    AttentionGradients gradients = implicit_gradients(g, s);
    KERNEL(graph_backend(g), implicit_states_back, &a->shape, &p, step_rows(g), step_in(g, s, IN_M),
           step_gradient_out(g, s), step_gradient(g, s, IN_M), step_add(g, s, IN_M), &gradients);
}

/* By definition, per channel: 2 (3q'q + q'^2 + q'); the memory's own come to it. */
static double flops(const Node *node, int64_t length)
{
    (void)length;
    return implicit_flops(node->attributes);
}

const Operator operator_implicit_states = {.name = "implicit_states",
                                           .forward = forward,
                                           .backward = backward,
                                           .keeps = KEEPS_INPUT(IN_M) | KEEPS_INPUT(IMPLICIT_L) |
                                                    KEEPS_INPUT(IMPLICIT_BIAS) | KEEPS_INPUT(IMPLICIT_P) |
                                                    KEEPS_INPUT(IN_SCALE),
                                           .flops = flops};

Tensor *op_implicit_states(Graph *g, Tensor *m, const ImplicitSpec *attention)
{
    NodeSpec spec = {.inputs = attention->scale ? 5 : 4,
                     .in = {m, attention->l, attention->bias, attention->p, attention->scale},
                     .lead = LEAD_TOKENS,
                     .rank = 2};
    if (!graph_ready(g, spec.inputs, spec.in))
        return NULL;
    if (m->rank != 3 || m->lead != LEAD_TOKENS)
        return graph_fail(g, LMU_USAGE, "implicit attention on states takes m [N x Q x D]");
    LegendreShape shape = {m->shape[2], m->shape[1], 1};
    Implicit attributes;
    if (!implicit_prepare(g, attention, &shape, IN_SCALE, &attributes))
        return NULL;
    Backend *b = graph_backend(g);
    spec.shape[1] = m->shape[2];
    spec.attributes = &attributes;
    spec.attributes_size = sizeof attributes;
    spec.workspace = b->kernels->legendre_workspace(b, &shape, attributes.heads, attributes.reduced);
    return graph_node(g, &operator_implicit_states, &spec);
}
