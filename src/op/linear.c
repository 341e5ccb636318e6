/* Linear: y = x weight^T + bias. Training uses the backend's best product; scoring and decoding use products in row tiles,
 * so that a row's bits do not depend on how many others there are, of what the weight is held in, bytes, or else of what the backend
 * multiplies, float or bfloat16. */
#include "op/operators.h"

void linear_rows(Graph *g, const Node *node, int64_t n, const Real *x, const Real *bias, Real *y)
{
    const Compute *compute = node->attributes;
    const Param *weight = node->in[1]->param;
    if (param_is_int8(weight)) {
        KERNEL(graph_backend(g), product_rows_int8, n, &weight->int8, x, bias, y);
        return;
    }
    const void *packed = derived_form(graph_params(g), node->derived);
    int64_t m = node->in[1]->shape[0], k = node->in[1]->shape[1];
    if (*compute == COMPUTE_BF16)
        KERNEL(graph_backend(g), product_rows_bf16, n, m, k, x, packed, bias, y);
    else
        KERNEL(graph_backend(g), product_rows, n, m, k, x, packed, bias, y);
}

Array linear_weight(Graph *g, const Step *s)
{
    if (!s->node->derived)
        return array_of(step_in(g, s, 1));
    return (Array){(void *)(uintptr_t)derived_form(graph_params(g), s->node->derived), true};
}

static void forward(Graph *g, const Step *s)
{
    const Node *node = s->node;
    int64_t n = step_extent(g, node->in[0]), m = node->in[1]->shape[0], k = node->in[1]->shape[1];
    const Real *bias = node->inputs > 2 ? step_in(g, s, 2) : NULL;
    if (graph_mode(g) != GRAPH_TRAIN) {
        linear_rows(g, node, n, step_in(g, s, 0), bias, step_out(g, s));
        return;
    }
    Product product = {.transpose_b = true, .m = n, .n = m, .k = k};
    KERNEL(graph_backend(g), product, &product, step_in_array(g, s, 0), linear_weight(g, s), bias,
           step_out_array(g, s));
}

static void backward(Graph *g, const Step *s)
{
    const Node *node = s->node;
    Backend *b = graph_backend(g);
    int64_t n = step_extent(g, node->in[0]), m = node->in[1]->shape[0], k = node->in[1]->shape[1];
    Array dy = step_gradient_out_array(g, s);
    if (node->inputs > 2 && step_gradient(g, s, 2))
        KERNEL(b, column_sum, n, m, dy, step_gradient(g, s, 2), step_add(g, s, 2));
    if (node->derived && !dy.half) { /* two products read it: rounded once, behind the workspace of those */
        uint16_t *rounded = (uint16_t *)((char *)b->workspace + b->kernels->product_workspace(b, n, m, k));
        KERNEL(b, to_bf16, n * m, dy.data, rounded);
        dy = (Array){rounded, true};
    }
    if (step_gradient(g, s, 1)) { /* dW (+)= dy^T x */
        Product product = {.transpose_a = true, .add = step_add(g, s, 1), .m = m, .n = k, .k = n};
        KERNEL(b, product, &product, dy, step_in_array(g, s, 0), NULL, array_of(step_gradient(g, s, 1)));
    }
    if (step_gradient(g, s, 0)) { /* dx (+)= dy W */
        Product product = {.add = step_add(g, s, 0), .m = n, .n = k, .k = m};
        KERNEL(b, product, &product, dy, linear_weight(g, s), NULL, step_gradient_array(g, s, 0));
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
                                  .half_inputs = KEEPS_INPUT(0),
                                  .half_output = true,
                                  .half_gradient = true,
                                  .half_gradients = KEEPS_INPUT(0),
                                  .int8_inputs = KEEPS_INPUT(1),
                                  .flops = flops};

/* The weight rounded, as it is. */
static void build_rounded(Backend *backend, const Param *param, const Real *values, void *form)
{
    KERNEL(backend, to_bf16, param->size, values, form);
}

static void build_packed(Backend *backend, const Param *param, const Real *values, void *form)
{
    KERNEL(backend, pack, param->shape[0], param->shape[1], values, form);
}

static void build_packed_bf16(Backend *backend, const Param *param, const Real *values, void *form)
{
    KERNEL(backend, pack_bf16, param->shape[0], param->shape[1], values, form);
}

/* For training: the weight rounded, where products multiply bfloat16. */
static lmu_status prepare_training(Backend *b, Params *params, int64_t n, NodeSpec *spec)
{
    const Tensor *weight = spec->in[1];
    int64_t m = weight->shape[0], k = weight->shape[1];
    spec->workspace = b->kernels->product_workspace(b, n, m, k);
    if (b->compute != COMPUTE_BF16)
        return LMU_OK;
    spec->workspace += (size_t)(n * m) * sizeof(uint16_t);
    return params_derive(params, weight->param, (size_t)weight->param->size * sizeof(uint16_t), build_rounded,
                         &spec->derived);
}

/* For scoring and decoding: the weight packed, as one in bytes is already. */
static lmu_status prepare_rows(Backend *b, Params *params, int64_t n, NodeSpec *spec)
{
    const Tensor *weight = spec->in[1];
    int64_t m = weight->shape[0], k = weight->shape[1];
    bool bf16 = b->compute == COMPUTE_BF16;
    if (param_is_int8(weight->param)) {
        spec->workspace = b->kernels->product_rows_int8_workspace(b, n, k);
        return LMU_OK;
    }
    size_t bytes = bf16 ? b->kernels->packed_bytes_bf16(b, m, k) : b->kernels->packed_bytes(b, m, k);
    spec->attributes = &b->compute;
    spec->attributes_size = sizeof b->compute;
    spec->workspace = bf16 ? b->kernels->product_rows_bf16_workspace(b, n, k) : 0;
    return params_derive(params, weight->param, bytes, bf16 ? build_packed_bf16 : build_packed, &spec->derived);
}

bool linear_prepare(Graph *g, int64_t n, NodeSpec *spec)
{
    bool train = graph_mode(g) == GRAPH_TRAIN;
    lmu_status status = (train ? prepare_training : prepare_rows)(graph_backend(g), graph_params(g), n, spec);
    if (status != LMU_OK)
        graph_fail(g, status, "%s", lmu_error_message());
    return status == LMU_OK;
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
    if (!linear_prepare(g, x->shape[0], &spec))
        return NULL;
    return graph_node(g, &operator_linear, &spec);
}
