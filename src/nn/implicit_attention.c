/* The layer of Chilkuri et al. 2021, section 3. */
#include <math.h>

#include "nn/nn.h"

Tensor *nn_implicit_attention(Graph *g, Tensor *x, const LegendreSpec *legendre, int64_t reduced, const char *name)
{
    int64_t q = legendre->order, rows = 3 * reduced;
    Init qkv = {INIT_NORMAL, 1 / sqrt((double)q)}, pool = {INIT_NORMAL, 1 / sqrt((double)reduced)};
    graph_scope(g, "%s", name);
    Tensor *l = graph_param(g, "qkv.weight", 2, (int64_t[]){rows, q}, qkv, PARAM_VECTOR);
    Tensor *bias = graph_param(g, "qkv.bias", 1, &rows, (Init){.kind = INIT_ZEROS}, PARAM_VECTOR);
    Tensor *p = graph_param(g, "pool", 1, &reduced, pool, PARAM_VECTOR);
    Tensor *y = op_implicit_attention(g, x, l, bias, p, legendre);
    graph_scope_end(g);
    return y;
}
