/* Multi-head causal attention (Vaswani et al. 2017) with rotary positions. */
#include "nn/nn.h"

Tensor *nn_rope_attention(Graph *g, Tensor *x, Tensor *angles, int64_t heads, int64_t context, const char *name)
{
    if (!graph_ready(g, 1, &x))
        return NULL;
    int64_t dim = x->shape[1];
    graph_scope(g, "%s", name);
    Tensor *qkv = op_rope(g, nn_linear(g, x, 3 * dim, false, "qkv"), angles, heads);
    Tensor *y = nn_projection(g, op_causal_attention(g, qkv, heads, context), dim, "out");
    graph_scope_end(g);
    return y;
}
