/* The rows of the registry, one or more in each architecture's file. */
#ifndef LMU_MODEL_ARCHITECTURES_H
#define LMU_MODEL_ARCHITECTURES_H

#include "model/model.h"
#include "nn/nn.h"

/* For Architecture.reads. */
#define READS_MEMORY                                                                                                   \
    "order reduced theta theta_groups scaled memory_activation memory_heads memory_scale memory_projection"
#define READS_FEED_FORWARD "feed_forward feed_width"
#define READS_ATTENTION "attention_width induction heads window"

extern const Architecture architecture_lmu, architecture_lmu_paper, architecture_lmu_attention,
    architecture_transformer, architecture_transformer_modern, architecture_lstm;

/* The start of the residual stream as configured, from the tied table. */
Tensor *architecture_embedding(Graph *g, const ModelConfig *config, Tensor *ids, Tensor *table);
/* Causal attention as configured. */
AttentionSpec architecture_attention(const ModelConfig *config);
/* The angles of its rotary positions. */
Tensor *architecture_angles(Graph *g, const ModelConfig *config);

/* Those of which every layer has a Legendre memory. */
bool architecture_is_lmu(const Architecture *arch);
/* The memory of a layer of one; the windows are borrowed from the configuration. */
LegendreSpec lmu_legendre(const ModelConfig *config, int64_t layer);

#endif
