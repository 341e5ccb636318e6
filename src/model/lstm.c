/* The LSTM language model: a stack of layers (Hochreiter & Schmidhuber 1997; Zaremba et al. 2014), each on the norm of the residual
 * stream and added to it, or one upon the other where there is no norm. */
#include "model/architectures.h"
#include "nn/nn.h"

static Tensor *build(Graph *g, const ModelConfig *c, Tensor *ids, Tensor *embedding)
{
    Tensor *x = op_dropout(g, architecture_embedding(g, c, ids, embedding), c->dropout);
    bool plain = c->norm == NORM_NONE;
    for (int64_t layer = 0; layer < c->layers; layer++) {
        graph_block(g, "layer.%lld", (long long)layer);
        Tensor *y = nn_lstm(g, nn_norm(g, x, (NormKind)c->norm, "norm"), c->dim, "lstm");
        y = op_dropout(g, y, c->dropout);
        x = plain ? y : op_add(g, x, y);
        graph_scope_end(g);
    }
    return nn_norm(g, x, (NormKind)c->norm, "norm");
}

const Architecture architecture_lstm = {
    .name = "lstm",
    .summary = "stacked LSTM on a normalised residual stream; without a norm a plain stack",
    .defaults = "",
    .reads = "",
    .causal = true,
    .build = build,
};
