/* The LMU language model: Chilkuri et al. 2021, section 3; and its hybrid, which in every second block, or its only one, has causal
 * attention behind the memory: by default induction. The memory knows order, so attention needs no positions; it may have them. */
#include "model/architectures.h"

static const Activation memory_activations[] = {[MEMORY_GELU] = ACTIVATION_GELU,
                                                [MEMORY_RELU] = ACTIVATION_RELU,
                                                [MEMORY_RELU2] = ACTIVATION_RELU2,
                                                [MEMORY_LINEAR] = ACTIVATION_NONE};

LegendreSpec lmu_legendre(const ModelConfig *c, int64_t layer)
{
    LegendreSpec legendre = {c->order, 1, &c->theta.value[c->theta.count > 1 ? layer : 0], c->scaled};
    if (c->theta_groups.count > 0)
        legendre.groups = c->theta_groups.count, legendre.theta = c->theta_groups.value;
    return legendre;
}

/* Causal attention, with angles for rotary positions or without. */
static Tensor *attend(Graph *g, const ModelConfig *c, Tensor *angles, Tensor *x /* [N x D] */)
{
    AttentionSpec attention = architecture_attention(c);
    Tensor *a = nn_norm(g, x, (NormKind)c->norm, "attention.norm");
    a = angles ? nn_rope_attention(g, a, angles, &attention, "attention")
               : nn_causal_attention(g, a, &attention, false, "attention");
    return op_add(g, x, op_dropout(g, a, c->dropout));
}

static Tensor *block(Graph *g, const ModelConfig *c, int64_t layer, bool attends, Tensor *angles,
                     Tensor *x /* [N x D] */)
{
    LegendreSpec legendre = lmu_legendre(c, layer);
    FeedForward feed = {.kind = (FeedForwardKind)c->feed_forward,
                        .width = (int64_t)(c->feed_width * (double)c->dim + 0.5),
                        .dropout = c->dropout};
    NormKind norm = (NormKind)c->norm;
    ImplicitLayer implicit = {.reduced = c->reduced ? c->reduced : c->order,
                              .heads = c->memory_heads,
                              .activation = memory_activations[c->memory_activation],
                              .scaled = c->memory_scale == MEMORY_SCALE_LEARNED};

    Tensor *m = nn_norm(g, x, norm, "memory.norm");
    m = nn_implicit_attention(g, m, &legendre, &implicit, "memory");
    if (c->memory_projection)
        m = nn_projection(g, m, c->dim, false, "memory.out");
    x = op_add(g, x, op_dropout(g, m, c->dropout));
    if (attends)
        x = attend(g, c, angles, x);
    return op_add(g, x, nn_feed_forward(g, nn_norm(g, x, norm, "ffn.norm"), &feed, "ffn"));
}

static Tensor *stack(Graph *g, const ModelConfig *c, bool hybrid, Tensor *ids, Tensor *embedding)
{
    Tensor *x = op_dropout(g, architecture_embedding(g, c, ids, embedding), c->dropout), *angles = NULL;
    if (hybrid && c->attention == ATTENTION_ROPE)
        angles = architecture_angles(g, c);
    for (int64_t layer = 0; layer < c->layers; layer++) {
        graph_block(g, "layer.%lld", (long long)layer);
        x = block(g, c, layer, hybrid && (layer % 2 == 1 || c->layers == 1), angles, x);
        graph_scope_end(g);
    }
    return nn_norm(g, x, (NormKind)c->norm, "norm");
}

static Tensor *build(Graph *g, const ModelConfig *c, Tensor *ids, Tensor *embedding)
{
    return stack(g, c, false, ids, embedding);
}

static Tensor *build_hybrid(Graph *g, const ModelConfig *c, Tensor *ids, Tensor *embedding)
{
    return stack(g, c, true, ids, embedding);
}

bool architecture_is_lmu(const Architecture *arch)
{
    return arch->build == build || arch->build == build_hybrid;
}

/* What docs/results.md makes of its ablations. */
#define LMU_DEFAULTS "theta_groups=4,8,32,128 norm=rms init=zero"
#define LMU_READS READS_MEMORY " " READS_FEED_FORWARD

const Architecture architecture_lmu = {
    .name = "lmu",
    .summary = "Legendre memory with implicit self-attention; defaults that we would choose",
    .defaults = LMU_DEFAULTS,
    .reads = LMU_READS,
    .causal = true,
    .build = build,
};

const Architecture architecture_lmu_paper = {
    .name = "lmu-paper",
    .summary = "the model of Chilkuri et al. 2021: order 8, theta 32, gelu feed-forward of 4 dim",
    .defaults = "order=8 reduced=8 theta=32 scaled=false norm=layer feed_forward=gelu feed_width=4 init=zero",
    .reads = LMU_READS,
    .causal = true,
    .build = build,
};

const Architecture architecture_lmu_attention = {
    .name = "lmu-attention",
    .summary =
        "the LMU with causal attention in every second block, which looks for what followed tokens like this one",
    .defaults = LMU_DEFAULTS " attention=rope attention_width=0.5 induction=true",
    .reads = LMU_READS " attention " READS_ATTENTION,
    .causal = true,
    .build = build_hybrid,
};
