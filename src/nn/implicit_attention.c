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
    static const LegendreForm forms[] = {
        [MEMORY_RECURRENT] = LEGENDRE_RECURRENT, [MEMORY_CHUNKED] = LEGENDRE_CHUNKED, [MEMORY_FFT] = LEGENDRE_FFT};
    MemoryForm form = graph_backend(g)->memory;
    Tensor *y = form == MEMORY_FUSED
                    ? op_implicit_attention(g, x, l, bias, p, legendre)
                    : op_implicit_states(g, op_legendre_memory(g, x, legendre, forms[form]), l, bias, p);
    graph_scope_end(g);
    return y;
}
