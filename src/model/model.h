/* Models: an architecture with a configuration and parameters, and the checkpoint that holds one.
 *
 * A new architecture is one file that composes operators and layers, and one row of the registry. */
#ifndef LMU_MODEL_MODEL_H
#define LMU_MODEL_MODEL_H

#include "model/config.h"
#include "tensor/graph.h"

typedef struct Architecture {
    const char *name;
    const char *summary;
    const char *defaults; /* "key=value key=value": what differs from the field table's defaults */
    const char
        *reads;  /* "name name": options of the group Model that mean something to it, beside those that all read */
    bool causal; /* streams: whole = any split into chunks */
    bool rotary; /* always has rotary positions, for which heads have pairs of channels */
    /* ids [N] -> hidden states behind the last norm [N x D]; the head is tied to embedding [V x D]. */
    Tensor *(*build)(Graph *g, const ModelConfig *config, Tensor *ids, Tensor *embedding);
} Architecture;

extern const Architecture *const architectures[]; /* NULL ends */
const Architecture *architecture_find(const char *name);

typedef struct Model {
    ModelConfig config;
    const Architecture *arch;
    Backend *backend; /* borrowed */
    Params *params;
} Model;

/* A model whose parameters are named and counted but have no memory yet: graphs of it can be planned, so that what it takes is
 * known before any of it is touched. The configuration is copied. */
lmu_status model_open(Backend *backend, const ModelConfig *config, Model **out);
/* Gives the parameters memory and draws them from the seed. LMU_MEMORY if they take more than is free. */
lmu_status model_draw(Model *model, uint64_t seed);
/* The same model with its matrices in bytes (params_use_int8): it can be run and saved, not trained. LMU_USAGE if it is one. */
lmu_status model_quantize(const Model *model, Model **out);
bool model_is_int8(const Model *model);
const char *model_products(const Model *model); /* what it multiplies: "int8", or as backend_compute_name */
/* Both: a new model, ready to run. */
lmu_status model_create(Backend *backend, const ModelConfig *config, uint64_t seed, Model **out);
void model_close(Model *model); /* accepts NULL */

/* A planned graph of the model. GRAPH_TRAIN and GRAPH_SCORE: *result is the loss of each token [N] in nats; GRAPH_DECODE: the logits of
 * each row's last token [B x V]; GRAPH_LOGITS: of every token [N x V]. */
lmu_status model_graph(Model *model, GraphMode mode, int rows, int64_t tokens, int flags, Graph **out, Tensor **result);

/* -- checkpoints: a directory with model.safetensors, config.json, tokenizer.json ------------------------------------ */
/* Writes model.safetensors and config.json into a directory that exists. */
lmu_status model_save(const Model *model, const char *directory);
/* The checkpoint that a user means by a path: the directory itself if it holds model.safetensors, else its best/, else its
 * last/. malloc'ed; LMU_IO if there is none. */
lmu_status checkpoint_find(const char *path, char **directory);
lmu_status model_load(Backend *backend, const char *directory, Model **out); /* in bytes if the file holds bytes */
#define INT8_IS_NOT_TRAINED                                                                                            \
    "its matrices are int8 (lmu quantize), which can be run and not trained: take the checkpoint that it was made "    \
    "from"
/* Whether a file, model.safetensors, says that its matrices are in bytes. */
lmu_status checkpoint_is_int8(const char *path, bool *int8);
/* Vectors of the parameters' layout to and from one file; tensors are named PREFIX and the parameter's name. */
typedef struct ParamVector {
    const char *prefix;
    Real *vector;
} ParamVector;
lmu_status params_save(const Params *params, const ParamVector *vectors, size_t count, const char *path);
/* All or nothing: LMU_MISMATCH unless the file holds just these tensors with their shapes. */
lmu_status params_load(const Params *params, const ParamVector *vectors, size_t count, const char *path);

#endif
