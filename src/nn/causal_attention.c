/* Multi-head causal attention (Vaswani et al. 2017). */
#include "nn/nn.h"

Tensor *nn_causal_attention(Graph *g, Tensor *x, int64_t heads, int64_t context, bool bias, const char *name)
{
    if (!graph_ready(g, 1, &x))
        return NULL;
    int64_t dim = x->shape[1];
    graph_scope(g, "%s", name);
    Tensor *y = op_causal_attention(g, nn_linear(g, x, 3 * dim, bias, "qkv"), heads, context);
    y = nn_linear(g, y, dim, bias, "out");
    graph_scope_end(g);
    return y;
}
