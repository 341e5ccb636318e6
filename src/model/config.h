/* A model's configuration: one struct and one field table for all architectures, kept as config.json. */
#ifndef LMU_MODEL_CONFIG_H
#define LMU_MODEL_CONFIG_H

#include "base/field.h"

#define ARCHITECTURE_DEFAULT "lmu"

typedef enum InitStyle {
    INIT_STYLE_UNIFORM,
    INIT_STYLE_GPT2,
    INIT_STYLE_ZERO
} InitStyle; /* INIT_STYLES in this order */
#define INIT_STYLES "uniform|gpt2|zero"

/* f of implicit attention, and the scale of its scores; choices in this order. */
typedef enum MemoryActivation { MEMORY_GELU, MEMORY_RELU, MEMORY_RELU2, MEMORY_LINEAR } MemoryActivation;
#define MEMORY_ACTIVATIONS "gelu|relu|relu2|none"
typedef enum MemoryScale { MEMORY_SCALE_SQRT, MEMORY_SCALE_LEARNED } MemoryScale;
#define MEMORY_SCALES "sqrt|learned"

/* The causal attention of the hybrid; choices in this order. */
typedef enum AttentionKind { ATTENTION_PLAIN, ATTENTION_ROPE } AttentionKind;
#define ATTENTION_KINDS "plain|rope"

typedef struct ModelConfig {
    char *arch;         /* a name of the registry */
    int64_t vocabulary; /* V; comes from the tokenizer */
    int64_t dim, layers;
    int64_t order, reduced; /* Q and P; reduced 0: P = Q */
    RealList theta;         /* one for all layers, or one for each */
    RealList theta_groups;  /* one for each group of channels, in all layers; none: theta */
    bool scaled;
    int memory_activation; /* MemoryActivation */
    int64_t memory_heads;  /* H of implicit attention */
    int memory_scale;      /* MemoryScale */
    bool memory_projection;
    int init;               /* InitStyle */
    int norm;               /* NormKind */
    int feed_forward;       /* FeedForwardKind */
    double feed_width;      /* F in multiples of dim */
    int attention;          /* AttentionKind */
    double attention_width; /* channels of causal attention in multiples of dim */
    bool induction;         /* of causal attention: what followed tokens like this one */
    int64_t heads;          /* of causal attention; 0: one for every 64 of its channels */
    int64_t context;        /* tokens that attention reaches back over; in the transformer, its positions */
    int64_t window;         /* tokens that a token attends to, itself included; 0: all of the context */
    int64_t recall;         /* orders of n-gram heads; 0: none */
    int64_t ngram_slots;    /* of the table of n-grams; 0: none */
    double dropout;
} ModelConfig;

/* What a user sets (dim, layers, ...), without arch and vocabulary. */
extern const FieldTable model_table;

/* A configuration with the defaults of an architecture; LMU_USAGE names the known ones. Release with model_config_free. */
lmu_status model_config_init(ModelConfig *config, const char *arch);
void model_config_free(ModelConfig *config);
/* Channels A of causal attention's queries, keys and values: dim, or with another attention_width the nearest multiple of twice the heads,
 * and of 2 where their number is left to the width. */
int64_t model_config_channels(const ModelConfig *config);
/* Heads of causal attention, as configured or by its channels. */
int64_t model_config_heads(const ModelConfig *config);
/* Tokens, its own included, that a token's attention and n-gram heads reach back over. */
int64_t model_config_reach(const ModelConfig *config);
/* Whether an option of the group Model means something to a model of this configuration. */
bool model_config_reads(const ModelConfig *config, const char *option);
/* Names of the architectures that it means something to, unless it does to all. */
void model_option_readers(const char *option, char *out, size_t size);
lmu_status model_config_copy(ModelConfig *to, const ModelConfig *from);
/* Checks what single ranges cannot: LMU_USAGE. */
lmu_status model_config_check(const ModelConfig *config);

/* From a checkpoint's config.json: what the file says, over the table's defaults, since an option that is younger than the file was
 * off then, whatever the architecture has chosen since. Initialises the configuration; LMU_FORMAT names file and key. */
lmu_status model_config_read(const char *path, ModelConfig *config);
/* From a file that a user wrote, over the architecture's defaults: arch is "lmu" unless it is there, and the vocabulary, which comes from
 * the tokenizer, may be left out. */
lmu_status model_config_read_draft(const char *path, ModelConfig *config);
lmu_status model_config_to_json(const ModelConfig *config, json_t **out);

#endif
