/* Multi-head causal attention (Vaswani et al. 2017). */
#include "nn/nn.h"

Tensor *nn_attention_inputs(Graph *g, Tensor *x, const AttentionSpec *spec, bool bias)
{
    if (spec->induction)
        return op_induction(g, nn_linears(g, x, 2, spec->channels, bias, "zv"));
    return nn_linears(g, x, 3, spec->channels, bias, "qkv");
}

Tensor *nn_causal_attention(Graph *g, Tensor *x, const AttentionSpec *spec, bool bias, const char *name)
{
    if (!graph_ready(g, 1, &x))
        return NULL;
    int64_t dim = x->shape[1];
    graph_scope(g, "%s", name);
    Tensor *y = nn_attention_inputs(g, x, spec, bias);
    y = op_causal_attention(g, y, spec->heads, spec->context, spec->window);
    y = nn_projection(g, y, dim, bias, "out");
    graph_scope_end(g);
    return y;
}
