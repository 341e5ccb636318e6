/* A case for each architecture of the registry: a small configuration of it, as model_graph builds it. And windows of those that
 * have causal attention, and what can be chosen of implicit attention and the embedding. */
#include <stdio.h>
#include <string.h>

#include "law.h"
#include "model/model.h"

#define CASES 128
#define LAYERS 2

static lmu_status set_options(const char *options, ModelConfig *config)
{
    char text[256], *rest = text;
    snprintf(text, sizeof text, "%s", options ? options : "");
    for (char *name = strtok_r(text, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(name, '=');
        *value++ = 0;
        TRY(fields_set(&model_table, config, name, value));
    }
    return LMU_OK;
}

static lmu_status small_config(const LawCase *c, ModelConfig *config)
{
    TRY(model_config_init(config, c->arch));
    config->theta = (RealList){.count = LAYERS, .value = {c->theta, c->theta / 2}};
    config->theta_groups.count = 0;
    config->vocabulary = c->vocabulary;
    config->dim = c->d;
    config->layers = LAYERS;
    config->order = c->order;
    config->reduced = c->reduced;
    config->dropout = c->rate;
    config->context = c->context;
    config->window = c->window;
    TRY(set_options(c->options, config));
    return model_config_check(config);
}

static Tensor *apply_architecture(LawModel *m, Tensor *ids)
{
    const LawCase *c = m->law;
    ModelConfig config = {0};
    lmu_status status = small_config(c, &config);
    if (status != LMU_OK) {
        model_config_free(&config);
        return graph_fail(m->g, status, "%s", lmu_error_message());
    }
    Tensor *table = graph_param(m->g, "embedding.weight", 2, (int64_t[]){c->vocabulary, c->d}, (Init){INIT_NORMAL, 0.5},
                                PARAM_TABLE);
    Tensor *x = architecture_find(c->arch)->build(m->g, &config, ids, table);
    model_config_free(&config);
    if (graph_mode(m->g) == GRAPH_DECODE)
        return op_linear(m->g, op_last(m->g, x), table, NULL);
    return op_cross_entropy(m->g, x, table, graph_targets(m->g));
}

static LawCase model_case(const char *name, const Architecture *arch)
{
    return (LawCase){.name = name,
                     .arch = arch->name,
                     .apply = apply_architecture,
                     .takes_ids = true,
                     .encoder = !arch->causal,
                     .d = 12,
                     .vocabulary = 11,
                     .order = 4,
                     .reduced = 3,
                     .theta = 9,
                     .context = 1024,
                     .rate = 0.2};
}

typedef struct Windowed {
    const char *name, *arch;
    int64_t context, window;
} Windowed;

/* Texts of the laws have up to 41 tokens, in pieces of 1 to all: positions start again in the middle of a text, rings wrap. */
static const Windowed windowed[] = {
    {"transformer, window 5", "transformer", 7, 5},
    {"transformer, window of all positions", "transformer", 11, 11},
    {"transformer-modern, window 1", "transformer-modern", 1, 1},
    {"transformer-modern, window 5", "transformer-modern", 1, 5},
    {"lmu-attention, window 5", "lmu-attention", 1, 5},
};

static const struct {
    const char *name, *arch, *options;
} chosen[] = {
    {"lmu, 3 heads with scales, relu squared", "lmu", "memory_heads=3 memory_scale=learned memory_activation=relu2"},
    {"lmu-paper, linear, no projection", "lmu-paper", "memory_activation=none memory_projection=false"},
    {"lmu with n-gram heads", "lmu", "recall=2"},
    {"lmu-attention with n-gram heads, window 5", "lmu-attention", "recall=2 window=5"},
    {"lmu, 4 groups of channels", "lmu", "theta=9 theta_groups=2,5,9,20"},
    {"lmu-attention without positions", "lmu-attention", "attention=plain"},
    {"lmu-attention without positions, 2 heads, window 5", "lmu-attention", "attention=plain heads=2 window=5"},
    {"lmu-attention without induction", "lmu-attention", "induction=false attention_width=1"},
    {"transformer with induction, window 5", "transformer", "induction=true attention_width=0.4 context=5 window=5"},
    {"transformer-modern with induction", "transformer-modern", "induction=true attention_width=2"},
    {"transformer with n-gram heads", "transformer", "recall=3"},
    {"lstm with an n-gram head", "lstm", "recall=1 context=7"},
    {"lmu with n-gram heads and table", "lmu", "recall=2 ngram_slots=50"},
    {"transformer-modern with an n-gram table", "transformer-modern", "ngram_slots=9"},
};

const LawCase *law_every(void)
{
    static LawCase cases[CASES + 1];
    int count = 0;
    for (const LawCase *law = law_cases; law->name && count < CASES; law++)
        cases[count++] = *law;
    for (int i = 0; architectures[i] && count < CASES; i++)
        cases[count++] = model_case(architectures[i]->name, architectures[i]);
    for (size_t i = 0; i < sizeof windowed / sizeof *windowed && count < CASES; i++) {
        LawCase *law = &cases[count++];
        *law = model_case(windowed[i].name, architecture_find(windowed[i].arch));
        law->context = windowed[i].context;
        law->window = windowed[i].window;
    }
    for (size_t i = 0; i < sizeof chosen / sizeof *chosen && count < CASES; i++) {
        LawCase *law = &cases[count++];
        *law = model_case(chosen[i].name, architecture_find(chosen[i].arch));
        law->options = chosen[i].options;
    }
    return cases;
}
