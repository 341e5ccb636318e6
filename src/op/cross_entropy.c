/* Softmax cross-entropy through the head: loss_i = -log softmax(x_i weight^T)[target_i], in nats.
 *
 * A run with soft targets has the gradient of the cross-entropy against those; the losses it tells stay those of the targets.
 *
 * Logits of BLOCK tokens exist at a time. In training they become the gradient of loss_scale * (sum of losses) at once, from
 * which the block's part of dx and dweight follow, so the backward pass has nothing left to do. */
#include "op/operators.h"

#define BLOCK 256 /* tokens: a few MB of logits, and products tall enough to run at speed */

enum { IN_X, IN_WEIGHT, IN_TARGETS };

static void block_gradients(Graph *g, const Step *s, int64_t first, int64_t n, Array dlogits)
{
    Backend *b = graph_backend(g);
    int64_t v = s->node->in[IN_WEIGHT]->shape[0], d = s->node->in[IN_WEIGHT]->shape[1];
    if (step_gradient(g, s, IN_WEIGHT)) {
        Array x = array_at(b, step_in_array(g, s, IN_X), first * d);
        Product product = {.transpose_a = true, .add = first > 0 || step_add(g, s, IN_WEIGHT), .m = v, .n = d, .k = n};
        KERNEL(b, product, &product, dlogits, x, NULL, array_of(step_gradient(g, s, IN_WEIGHT)));
    }
    if (step_gradient(g, s, IN_X)) {
        Product product = {.add = step_add(g, s, IN_X), .m = n, .n = d, .k = v};
        KERNEL(b, product, &product, dlogits, linear_weight(g, s), NULL,
               array_of(real_at(b, step_gradient(g, s, IN_X), first * d)));
    }
}

static void forward(Graph *g, const Step *s)
{
    Backend *b = graph_backend(g);
    int64_t v = s->node->in[IN_WEIGHT]->shape[0], d = s->node->in[IN_WEIGHT]->shape[1], tokens = step_rows(g)->tokens;
    Real *logits = step_saved(g, s, 0);
    bool train = graph_mode(g) == GRAPH_TRAIN;
    Array dlogits = s->node->saves > 1 ? (Array){step_saved(g, s, 1), true} : array_of(logits);
    /* A run without tokens is one empty block: as the first micro-batch it still clears the gradients. */
    for (int64_t first = 0; first < tokens || first == 0; first += BLOCK) {
        int64_t n = tokens - first < BLOCK ? tokens - first : BLOCK;
        Array x = array_at(b, step_in_array(g, s, IN_X), first * d);
        if (train) {
            Product product = {.transpose_b = true, .m = n, .n = v, .k = d};
            KERNEL(b, product, &product, x, linear_weight(g, s), NULL, array_of(logits));
        } else {
            linear_rows(g, s->node, n, x.data, NULL, logits);
        }
        const SoftTarget *soft = step_run(g)->soft;
        KERNEL(b, cross_entropy, n, v, logits, step_ids(g, s, IN_TARGETS) + first, soft ? soft + first : NULL,
               train ? step_run(g)->loss_scale : 0, dlogits, real_at(b, step_out(g, s), first));
        if (train)
            block_gradients(g, s, first, n, dlogits);
    }
}

static double flops(const Node *node, int64_t length)
{
    (void)length;
    return 2.0 * (double)node->in[IN_WEIGHT]->shape[0] * (double)node->in[IN_WEIGHT]->shape[1];
}

const Operator operator_cross_entropy = {.name = "cross_entropy",
                                         .forward = forward,
                                         .forms_gradient = true,
                                         .half_inputs = KEEPS_INPUT(IN_X),
                                         .int8_inputs = KEEPS_INPUT(IN_WEIGHT),
                                         .flops = flops};

Tensor *op_cross_entropy(Graph *g, Tensor *x, Tensor *weight, Tensor *targets)
{
    NodeSpec spec = {
        .inputs = 3, .in = {x, weight, targets}, .lead = LEAD_TOKENS, .rank = 1, .saves = 1, .saved_lead = {LEAD_NONE}};
    if (!graph_ready(g, 3, spec.in))
        return NULL;
    if (x->rank != 2 || x->lead != LEAD_TOKENS || weight->kind != TENSOR_PARAM || weight->rank != 2 ||
        weight->shape[1] != x->shape[1] || !targets->integer)
        return graph_fail(g, LMU_USAGE, "cross-entropy takes x [N x D], a parameter [V x D] and targets");
    graph_bound(targets, weight->shape[0]);
    int64_t rows = x->shape[0] < BLOCK ? x->shape[0] : BLOCK;
    spec.saved_numbers[0] = rows * weight->shape[0];
    if (!linear_prepare(g, rows, &spec))
        return NULL;
    if (graph_mode(g) == GRAPH_TRAIN && spec.derived) { /* their gradient, rounded for two products */
        spec.saved_lead[spec.saves] = LEAD_NONE;
        spec.saved_numbers[spec.saves++] = (spec.saved_numbers[0] + 1) / 2;
    }
    return graph_node(g, &operator_cross_entropy, &spec);
}
