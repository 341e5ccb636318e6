/* Causal softmax attention (Vaswani et al. 2017); the stream state is the cache of keys and values, a ring. */
#include "op/operators.h"

typedef struct Attention {
    int64_t heads;
    int64_t context; /* tokens that a token attends to at most, itself included */
    bool endless;    /* a row may be longer than that */
} Attention;

static void forward(Graph *g, const Step *s)
{
    const Attention *a = s->node->attributes;
    KERNEL(graph_backend(g), causal_attention, step_rows(g), s->node->out->shape[1], a->heads, a->context,
           step_in_array(g, s, 0), step_state(g, s), step_out_array(g, s), step_saved(g, s, 0));
    if (step_state(g, s) && !s->recompute) /* the backward step is to find the ring as this one did */
        KERNEL(graph_backend(g), attention_keep, step_rows(g), s->node->out->shape[1], a->context,
               step_in_array(g, s, 0), step_state(g, s));
}

static void backward(Graph *g, const Step *s)
{
    const Attention *a = s->node->attributes;
    if (step_gradient(g, s, 0))
        KERNEL(graph_backend(g), causal_attention_back, step_rows(g), s->node->out->shape[1], a->heads, a->context,
               step_in_array(g, s, 0), step_state(g, s), step_out_array(g, s), step_saved(g, s, 0),
               step_gradient_out_array(g, s), step_gradient_array(g, s, 0), step_add(g, s, 0));
}

/* Scores and weighted values. A token sees half the length on average; with a window w below the length T, w - w^2 / 2T. */
static double flops(const Node *node, int64_t length)
{
    const Attention *a = node->attributes;
    double seen = (double)length / 2, window = (double)a->context;
    if (a->endless && a->context < length)
        seen = window - window * window / (2 * (double)length);
    return 2 * 2 * (double)node->out->shape[1] * seen;
}

static lmu_status check(const Node *node, const Rows *rows)
{
    const Attention *a = node->attributes;
    for (int r = 0; !a->endless && r < rows->count; r++) {
        int64_t end = rows->position[r] + rows->offset[r + 1] - rows->offset[r];
        if (end > a->context)
            return error_set(LMU_USAGE,
                             "a row would reach %lld tokens: this model's attention has a --context of %lld; read the "
                             "text in shorter pieces, each from a zero state (lmu eval --context --stride), or train "
                             "with a larger --context or a --window",
                             (long long)end, (long long)a->context);
    }
    return LMU_OK;
}

const Operator operator_causal_attention = {.name = "causal_attention",
                                            .forward = forward,
                                            .backward = backward,
                                            .keeps = KEEPS_INPUT(0) | KEEPS_OUTPUT,
                                            .half_inputs = KEEPS_INPUT(0),
                                            .half_output = true,
                                            .half_gradient = true,
                                            .half_gradients = KEEPS_INPUT(0),
                                            .looks_back = true,
                                            .flops = flops,
                                            .check = check};

Tensor *op_causal_attention(Graph *g, Tensor *qkv, int64_t heads, int64_t context, int64_t window)
{
    NodeSpec spec = {.inputs = 1, .in = {qkv}, .lead = LEAD_TOKENS, .rank = 2, .saves = 1, .saved_lead = {LEAD_TOKENS}};
    if (!graph_ready(g, 1, spec.in))
        return NULL;
    if (qkv->rank != 2 || qkv->lead != LEAD_TOKENS || heads < 1 || qkv->shape[1] % (3 * heads) != 0 || context < 1 ||
        window < 0)
        return graph_fail(g, LMU_USAGE,
                          "causal attention takes qkv [N x 3D] with D a multiple of the number of heads (%lld)",
                          (long long)heads);
    Attention attributes = {heads, window > 0 ? window : context, window > 0};
    spec.shape[1] = qkv->shape[1] / 3;
    spec.saved_numbers[0] = heads;
    spec.state = attributes.context * 2 * spec.shape[1];
    spec.attributes = &attributes;
    spec.attributes_size = sizeof attributes;
    Backend *b = graph_backend(g);
    int64_t tokens = qkv->shape[0];
    if (!attributes.endless && tokens > context)
        tokens = context;
    if (graph_mode(g) != GRAPH_TRAIN)
        tokens = 0;
    if (window > 0)
        graph_keep_start(g);
    spec.workspace = b->kernels->causal_attention_workspace(b, spec.shape[1], heads, tokens);
    return graph_node(g, &operator_causal_attention, &spec);
}
