/* Multi-head causal attention (Vaswani et al. 2017) with rotary positions. */
#include "nn/nn.h"

Tensor *nn_rope_attention(Graph *g, Tensor *x, Tensor *angles, const AttentionSpec *spec, const char *name)
{
    if (!graph_ready(g, 1, &x))
        return NULL;
    int64_t dim = x->shape[1];
    graph_scope(g, "%s", name);
    Tensor *qkv = op_rope(g, nn_attention_inputs(g, x, spec, false), angles, spec->heads);
    Tensor *y = op_causal_attention(g, qkv, spec->heads, spec->context, spec->window);
    y = nn_projection(g, y, dim, false, "out");
    graph_scope_end(g);
    return y;
}
