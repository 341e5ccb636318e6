/* A trained model in memory with the tokenizer it was trained with: what sessions and evaluation start from. */
#ifndef LMU_INFER_ENGINE_H
#define LMU_INFER_ENGINE_H

#include "model/model.h"
#include "text/tokenizer.h"

typedef struct Engine {
    Model *model;
    Tokenizer *tokenizer;
} Engine;

/* Opens a checkpoint: a directory with config.json, model.safetensors and tokenizer.json. LMU_MISMATCH if they do not belong
 * together. The backend is borrowed and outlives the engine. */
lmu_status engine_open(Backend *backend, const char *directory, Engine *out);
void engine_close(Engine *engine); /* accepts a zeroed one; zeroes it */

#endif
