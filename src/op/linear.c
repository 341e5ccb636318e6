/* Linear: y = x weight^T + bias. Training uses the backend's best product; scoring and decoding use products in row tiles,
 * so that a row's bits do not depend on how many others there are. */
#include "op/operators.h"

static void forward(Graph *g, const Step *s)
{
    const Node *node = s->node;
    int64_t n = step_extent(g, node->in[0]), m = node->in[1]->shape[0], k = node->in[1]->shape[1];
    const Real *bias = node->inputs > 2 ? step_in(g, s, 2) : NULL;
    if (node->derived) {
        const Real *packed = derived_values(graph_params(g), node->derived);
        KERNEL(graph_backend(g), product_rows, n, m, k, step_in(g, s, 0), packed, bias, step_out(g, s));
        return;
    }
    Product product = {.transpose_b = true, .m = n, .n = m, .k = k};
    KERNEL(graph_backend(g), product, &product, step_in(g, s, 0), step_in(g, s, 1), bias, step_out(g, s));
}

static void backward(Graph *g, const Step *s)
{
    const Node *node = s->node;
    Backend *b = graph_backend(g);
    int64_t n = step_extent(g, node->in[0]), m = node->in[1]->shape[0], k = node->in[1]->shape[1];
    const Real *dy = step_gradient_out(g, s);
    if (node->inputs > 2 && step_gradient(g, s, 2))
        KERNEL(b, column_sum, n, m, dy, step_gradient(g, s, 2), step_add(g, s, 2));
    if (step_gradient(g, s, 1)) { /* dW (+)= dy^T x */
        Product product = {.transpose_a = true, .add = step_add(g, s, 1), .m = m, .n = k, .k = n};
        KERNEL(b, product, &product, dy, step_in(g, s, 0), NULL, step_gradient(g, s, 1));
    }
    if (step_gradient(g, s, 0)) { /* dx (+)= dy W */
        Product product = {.add = step_add(g, s, 0), .m = n, .n = k, .k = m};
        KERNEL(b, product, &product, dy, step_in(g, s, 1), NULL, step_gradient(g, s, 0));
    }
}

static double flops(const Node *node, int64_t length)
{
    (void)length;
    return node->out->lead == LEAD_TOKENS ? 2.0 * (double)node->in[1]->shape[0] * (double)node->in[1]->shape[1] : 0;
}

const Operator operator_linear = {.name = "linear",
                                  .forward = forward,
                                  .backward = backward,
                                  .keeps = KEEPS_INPUT(0) | KEEPS_INPUT(1),
                                  .flops = flops};

static void build_packed(Backend *backend, const Param *param, const Real *values, Real *form)
{
    KERNEL(backend, pack, param->shape[0], param->shape[1], values, form);
}

Derived *linear_packed(Graph *g, Tensor *weight)
{
    Derived *derived = NULL;
    Backend *b = graph_backend(g);
    int64_t numbers = b->kernels->packed_size(b, weight->shape[0], weight->shape[1]);
    lmu_status status = params_derive(graph_params(g), weight->param, numbers, build_packed, &derived);
    if (status != LMU_OK)
        graph_fail(g, status, "%s", lmu_error_message());
    return derived;
}

Tensor *op_linear(Graph *g, Tensor *x, Tensor *weight, Tensor *bias)
{
    NodeSpec spec = {.inputs = bias ? 3 : 2, .in = {x, weight, bias}, .rank = 2};
    if (!graph_ready(g, 2, spec.in))
        return NULL;
    if (x->rank != 2 || x->integer || weight->kind != TENSOR_PARAM || weight->rank != 2 ||
        x->shape[1] != weight->shape[1])
        return graph_fail(g, LMU_USAGE, "linear takes x [N x K] and a parameter [M x K]");
    if (bias && (bias->rank != 1 || bias->shape[0] != weight->shape[0]))
        return graph_fail(g, LMU_USAGE, "linear takes a bias of %lld", (long long)weight->shape[0]);
    spec.lead = x->lead;
    spec.shape[1] = weight->shape[0];
    if (graph_mode(g) != GRAPH_TRAIN && !(spec.derived = linear_packed(g, weight)))
        return NULL;
    Backend *b = graph_backend(g);
    if (graph_mode(g) == GRAPH_TRAIN)
        spec.workspace = b->kernels->product_workspace(b, x->shape[0], weight->shape[0], weight->shape[1]);
    return graph_node(g, &operator_linear, &spec);
}
