/* The transformer language model as it is built today: rotary positions (Su et al. 2021), queries and keys of unit RMS (Henry et al.
 * 2020), RMS norms, no biases, and branches that start by adding nothing to the residual stream. */
#include "model/architectures.h"

static Tensor *block(Graph *g, const ModelConfig *c, Tensor *x /* [N x D] */, Tensor *angles)
{
    FeedForward feed = {.kind = (FeedForwardKind)c->feed_forward,
                        .width = (int64_t)(c->feed_width * (double)c->dim + 0.5),
                        .dropout = c->dropout,
                        .unbiased = true};
    AttentionSpec attention = architecture_attention(c);
    NormKind norm = (NormKind)c->norm;

    Tensor *a = nn_norm(g, x, norm, "attention.norm");
    a = nn_rope_attention(g, a, angles, &attention, "attention");
    x = op_add(g, x, op_dropout(g, a, c->dropout));
    return op_add(g, x, nn_feed_forward(g, nn_norm(g, x, norm, "ffn.norm"), &feed, "ffn"));
}

static Tensor *build(Graph *g, const ModelConfig *c, Tensor *ids, Tensor *embedding)
{
    Tensor *angles = architecture_angles(g, c);
    Tensor *x = op_dropout(g, architecture_embedding(g, c, ids, embedding), c->dropout);
    for (int64_t layer = 0; layer < c->layers; layer++) {
        graph_block(g, "layer.%lld", (long long)layer);
        x = block(g, c, x, angles);
        graph_scope_end(g);
    }
    return nn_norm(g, x, (NormKind)c->norm, "norm");
}

const Architecture architecture_transformer_modern = {
    .name = "transformer-modern",
    .summary = "rotary positions, normalised queries and keys, RMS norm, relu squared, no biases",
    .defaults = "norm=rms feed_forward=relu2 init=zero",
    .reads = READS_FEED_FORWARD " " READS_ATTENTION,
    .causal = true,
    .rotary = true,
    .build = build,
};
