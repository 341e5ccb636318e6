/* The transformer language model in the style of GPT-2 (Radford et al. 2019): learned positions, norm before each part, and the
 * baseline that the LMU is held against. */
#include "model/architectures.h"

static Tensor *block(Graph *g, const ModelConfig *c, Tensor *x /* [N x D] */)
{
    FeedForward feed = {.kind = (FeedForwardKind)c->feed_forward,
                        .width = (int64_t)(c->feed_width * (double)c->dim + 0.5),
                        .dropout = c->dropout};
    AttentionSpec attention = architecture_attention(c);
    NormKind norm = (NormKind)c->norm;

    Tensor *a = nn_causal_attention(g, nn_norm(g, x, norm, "attention.norm"), &attention, true, "attention");
    x = op_add(g, x, op_dropout(g, a, c->dropout));
    return op_add(g, x, nn_feed_forward(g, nn_norm(g, x, norm, "ffn.norm"), &feed, "ffn"));
}

static Tensor *build(Graph *g, const ModelConfig *c, Tensor *ids, Tensor *embedding)
{
    Tensor *places =
        graph_param(g, "position.weight", 2, (int64_t[]){c->context, c->dim}, (Init){INIT_NORMAL, 0.01}, PARAM_TABLE);
    Tensor *positions = graph_positions(g);
    if (c->window > c->context)
        return graph_fail(g, LMU_USAGE,
                          "a --window of %lld tokens is more than the --context of %lld, the number of positions that "
                          "this architecture learns: choose a window of at most the context, or a larger context",
                          (long long)c->window, (long long)c->context);
    if (positions && c->window > 0)
        graph_wrap(positions, c->context); /* no two tokens of a window share one */
    Tensor *x = architecture_embedding(g, c, ids, embedding);
    x = op_dropout(g, op_add(g, x, op_embedding(g, positions, places)), c->dropout);
    for (int64_t layer = 0; layer < c->layers; layer++) {
        graph_block(g, "layer.%lld", (long long)layer);
        x = block(g, c, x);
        graph_scope_end(g);
    }
    return nn_norm(g, x, (NormKind)c->norm, "norm");
}

const Architecture architecture_transformer = {
    .name = "transformer",
    .summary = "GPT-2 style: causal attention, learned positions, a fixed context",
    .defaults = "init=gpt2",
    .reads = READS_FEED_FORWARD " " READS_ATTENTION,
    .causal = true,
    .build = build,
};
