/* Embedding, norm, linear, feed-forward. */
#include <math.h>

#include "nn/nn.h"

Tensor *nn_stacked(Tensor *weight, int maps)
{
    if (weight)
        weight->param->maps = maps;
    return weight;
}

static Tensor *linear_layer(Graph *g, Tensor *x, int maps, int64_t dim, bool bias, ParamRole role, const char *name)
{
    if (!graph_ready(g, 1, &x))
        return NULL;
    int64_t inputs = x->shape[x->rank - 1], rows = maps * dim;
    Init init = {INIT_UNIFORM, 1 / sqrt((double)inputs)};
    graph_scope(g, "%s", name);
    Tensor *weight = nn_stacked(graph_param(g, "weight", 2, (int64_t[]){rows, inputs}, init, role), maps);
    Tensor *offset = bias ? graph_param(g, "bias", 1, &rows, init, PARAM_VECTOR) : NULL;
    Tensor *y = op_linear(g, x, weight, offset);
    graph_scope_end(g);
    return y;
}

Tensor *nn_linear(Graph *g, Tensor *x, int64_t dim, bool bias, const char *name)
{
    return linear_layer(g, x, 1, dim, bias, PARAM_MATRIX, name);
}

Tensor *nn_linears(Graph *g, Tensor *x, int maps, int64_t dim, bool bias, const char *name)
{
    return linear_layer(g, x, maps, dim, bias, PARAM_MATRIX, name);
}

Tensor *nn_projection(Graph *g, Tensor *x, int64_t dim, bool bias, const char *name)
{
    return linear_layer(g, x, 1, dim, bias, PARAM_BRANCH, name);
}

#define NGRAM_ORDERS 2
#define NGRAM_WAYS 3

/* x + the sum of parts [N x parts D], each times a gain of NAME [parts x D]. */
static Tensor *add_parts(Graph *g, Tensor *x, Tensor *parts, const char *name)
{
    if (!graph_ready(g, 2, (Tensor *[]){x, parts}))
        return NULL;
    int64_t d = x->shape[1], shape[] = {parts->shape[1] / d, d};
    Tensor *gain = graph_param(g, name, 2, shape, (Init){.kind = INIT_ZEROS}, PARAM_VECTOR);
    return op_add(g, x, op_weighted_sum(g, parts, gain));
}

Tensor *nn_embedding(Graph *g, Tensor *ids, Tensor *table, const EmbeddingSpec *spec)
{
    Tensor *x = op_embedding(g, ids, table);
    if (spec->recall > 0)
        x = add_parts(g, x, op_recall(g, ids, table, spec->recall, spec->window), "recall.gain");
    if (spec->slots > 0) {
        int64_t shape[] = {NGRAM_ORDERS, spec->slots, 1 + 2 * NGRAM_WAYS};
        Tensor *counts = graph_param(g, "ngram.counts", 3, shape, (Init){.kind = INIT_ZEROS}, PARAM_COUNTS);
        x = add_parts(g, x, op_ngram(g, ids, table, counts, NGRAM_WAYS), "ngram.gain");
    }
    return x;
}

Tensor *nn_norm(Graph *g, Tensor *x, NormKind kind, const char *name)
{
    if (!graph_ready(g, 1, &x))
        return NULL;
    if (kind == NORM_NONE)
        return x;
    int64_t d = x->shape[x->rank - 1];
    graph_scope(g, "%s", name);
    Tensor *gain = graph_param(g, "weight", 1, &d, (Init){.kind = INIT_ONES}, PARAM_VECTOR);
    Tensor *bias = kind == NORM_LAYER ? graph_param(g, "bias", 1, &d, (Init){.kind = INIT_ZEROS}, PARAM_VECTOR) : NULL;
    Tensor *y = op_norm(g, kind, x, gain, bias);
    graph_scope_end(g);
    return y;
}

Tensor *nn_feed_forward(Graph *g, Tensor *x, const FeedForward *spec, const char *name)
{
    static const Activation activations[] = {[FEED_GELU] = ACTIVATION_GELU,
                                             [FEED_RELU] = ACTIVATION_RELU,
                                             [FEED_RELU2] = ACTIVATION_RELU2,
                                             [FEED_SWIGLU] = ACTIVATION_SILU};
    if (!graph_ready(g, 1, &x))
        return NULL;
    int64_t dim = x->shape[1];
    bool gated = spec->kind == FEED_SWIGLU, bias = !gated && !spec->unbiased;
    graph_scope(g, "%s", name);
    Tensor *h = nn_linear(g, x, spec->width, bias, "up");
    if (gated)
        h = op_multiply(g, op_activation(g, ACTIVATION_SILU, nn_linear(g, x, spec->width, false, "gate")), h);
    else
        h = op_activation(g, activations[spec->kind], h);
    h = nn_projection(g, h, dim, bias, "down");
    h = op_dropout(g, h, spec->dropout);
    graph_scope_end(g);
    return h;
}
