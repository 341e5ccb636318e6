/* The layer of Chilkuri et al. 2021, section 3. */
#include <math.h>

#include "nn/nn.h"

Tensor *nn_implicit_attention(Graph *g, Tensor *x, const LegendreSpec *legendre, const ImplicitLayer *layer,
                              const char *name)
{
    int64_t q = legendre->order, heads = layer->heads, pooled = heads * layer->reduced, rows = 3 * pooled;
    Init qkv = {INIT_NORMAL, 1 / sqrt((double)q)}, pool = {INIT_NORMAL, 1 / sqrt((double)layer->reduced)};
    graph_scope(g, "%s", name);
    ImplicitSpec spec = {.heads = heads, .activation = layer->activation};
    spec.l = graph_param(g, "qkv.weight", 2, (int64_t[]){rows, q}, qkv, PARAM_MEMORY);
    spec.bias = graph_param(g, "qkv.bias", 1, &rows, (Init){.kind = INIT_ZEROS}, PARAM_MEMORY);
    spec.p = graph_param(g, "pool", 1, &pooled, pool, PARAM_MEMORY);
    if (layer->scaled)
        spec.scale = graph_param(g, "scale", 1, &heads, (Init){.kind = INIT_ONES}, PARAM_MEMORY);
    static const LegendreForm forms[] = {
        [MEMORY_RECURRENT] = LEGENDRE_RECURRENT, [MEMORY_CHUNKED] = LEGENDRE_CHUNKED, [MEMORY_FFT] = LEGENDRE_FFT};
    MemoryForm form = graph_backend(g)->memory;
    Tensor *y = form == MEMORY_FUSED ? op_implicit_attention(g, x, &spec, legendre)
                                     : op_implicit_states(g, op_legendre_memory(g, x, legendre, forms[form]), &spec);
    graph_scope_end(g);
    return y;
}
