#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/memory.h"
#include "model/architectures.h"
#include "op/op.h"

const Architecture *const architectures[] = {
    &architecture_lmu,
    &architecture_lmu_paper,
    &architecture_lmu_attention,
    &architecture_transformer,
    &architecture_transformer_modern,
    &architecture_lstm,
    NULL,
};

const Architecture *architecture_find(const char *name)
{
    for (int i = 0; architectures[i]; i++)
        if (strcmp(architectures[i]->name, name) == 0)
            return architectures[i];
    return NULL;
}

Tensor *architecture_embedding(Graph *g, const ModelConfig *config, Tensor *ids, Tensor *table)
{
    EmbeddingSpec spec = {.recall = config->recall, .window = model_config_reach(config), .slots = config->ngram_slots};
    return nn_embedding(g, ids, table, &spec);
}

AttentionSpec architecture_attention(const ModelConfig *config)
{
    return (AttentionSpec){.channels = model_config_channels(config),
                           .heads = model_config_heads(config),
                           .context = config->context,
                           .window = config->window,
                           .induction = config->induction};
}

Tensor *architecture_angles(Graph *g, const ModelConfig *config)
{
    return op_rope_angles(g, graph_positions(g), model_config_channels(config) / model_config_heads(config), ROPE_BASE);
}

/* The hidden states and the tied table. */
static Tensor *model_body(Graph *g, const Model *model, Tensor **embedding)
{
    *embedding = graph_param(g, "embedding.weight", 2, (int64_t[]){model->config.vocabulary, model->config.dim},
                             (Init){INIT_NORMAL, 0.02}, PARAM_TABLE);
    return model->arch->build(g, &model->config, graph_ids(g), *embedding);
}

/* --init: the layers have asked for uniform numbers. */
static void model_init(Params *params, const ModelConfig *config)
{
    for (size_t i = 0; i < params->count && config->init != INIT_STYLE_UNIFORM; i++) {
        Param *param = params->list[i];
        bool branch = param->role == PARAM_BRANCH, matrix = branch || param->role == PARAM_MATRIX;
        double scale = branch ? 0.02 / sqrt(2 * (double)config->layers) : 0.02;
        if (matrix && config->init == INIT_STYLE_GPT2)
            param->init = (Init){INIT_NORMAL, scale};
        else if (branch || (!matrix && param->init.kind == INIT_UNIFORM))
            param->init = (Init){INIT_ZEROS, 0};
    }
}

lmu_status model_open(Backend *backend, const ModelConfig *config, Model **out)
{
    lmu_status status;
    Model *model = NULL;
    Graph *g = NULL;
    TRY(model_config_check(config));
    ATTEMPT(memory_new(&model, 1, sizeof *model, "a model"));
    ATTEMPT(model_config_copy(&model->config, config));
    model->arch = architecture_find(config->arch);
    model->backend = backend;
    ATTEMPT(params_open(backend, &model->params));
    ATTEMPT(graph_open(backend, model->params, GRAPH_TRAIN, 1, 1, 0, &g)); /* names the parameters; never planned */
    Tensor *embedding;
    model_body(g, model, &embedding);
    ATTEMPT(graph_status(g));
    model_init(model->params, &model->config);
    *out = model;
    model = NULL;
done:
    graph_close(g);
    model_close(model);
    return status;
}

lmu_status model_draw(Model *model, uint64_t seed)
{
    double bytes =
        (double)model->params->length * (double)model->backend->real_size + (double)model->params->int8_bytes;
    double there = (double)machine_memory();
    char count[32], needed[32], have[32];
    if (bytes > there)
        return error_set(LMU_MEMORY, "a model of %s parameters takes %s of memory, and %s are free",
                         format_count((double)params_total(model->params), count, sizeof count),
                         format_bytes(bytes, needed, sizeof needed), format_bytes(there, have, sizeof have));
    return params_seal(model->params, seed);
}

lmu_status model_create(Backend *backend, const ModelConfig *config, uint64_t seed, Model **out)
{
    Model *model;
    TRY(model_open(backend, config, &model));
    lmu_status status = model_draw(model, seed);
    if (status == LMU_OK)
        *out = model;
    else
        model_close(model);
    return status;
}

lmu_status model_quantize(const Model *model, Model **out)
{
    lmu_status status;
    Model *quantized = NULL;
    if (model_is_int8(model))
        return error_set(LMU_USAGE, "the matrices of this model are int8 already");
    ATTEMPT(model_open(model->backend, &model->config, &quantized));
    ATTEMPT(params_use_int8(quantized->params));
    ATTEMPT(model_draw(quantized, 0));
    ATTEMPT(params_quantize(model->params, quantized->params));
    *out = quantized;
    quantized = NULL;
done:
    model_close(quantized);
    return status;
}

bool model_is_int8(const Model *model)
{
    return model->params->int8_bytes > 0;
}

const char *model_products(const Model *model)
{
    return model_is_int8(model) ? "int8" : backend_compute_name(model->backend);
}

void model_close(Model *model)
{
    if (!model)
        return;
    params_close(model->params);
    model_config_free(&model->config);
    free(model);
}

lmu_status model_graph(Model *model, GraphMode mode, int rows, int64_t tokens, int flags, Graph **out, Tensor **result)
{
    Graph *g;
    TRY(graph_open(model->backend, model->params, mode, rows, tokens, flags, &g));
    Tensor *embedding, *hidden = model_body(g, model, &embedding);
    if (mode == GRAPH_DECODE || mode == GRAPH_LOGITS)
        *result = op_linear(g, mode == GRAPH_DECODE ? op_last(g, hidden) : hidden, embedding, NULL);
    else
        *result = op_cross_entropy(g, hidden, embedding, graph_targets(g));
    lmu_status status = graph_plan(g, *result);
    if (status != LMU_OK)
        graph_close(g);
    else
        *out = g;
    return status;
}
