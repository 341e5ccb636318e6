/* A trained model in memory with the tokenizer it was trained with: what sessions and evaluation start from. */
#ifndef LMU_INFER_ENGINE_H
#define LMU_INFER_ENGINE_H

#include "base/digest.h"
#include "model/model.h"
#include "text/tokenizer.h"

typedef struct Engine {
    Model *model;
    Tokenizer *tokenizer;
    struct SessionPool *pool; /* of all sessions; NULL until the first is opened */
    char digest[DIGEST_SIZE]; /* see engine_digest; "" until it is asked for */
} Engine;

/* Opens a checkpoint: a directory with config.json, model.safetensors and tokenizer.json. LMU_MISMATCH if they do not belong
 * together. The backend is borrowed and outlives the engine. */
lmu_status engine_open(Backend *backend, const char *directory, Engine *out);
/* The same by what a user says: a run or a checkpoint (checkpoint_find), threads, and what products multiply, on a backend of its own.
 * Both are to be closed, also after a failure. */
lmu_status engine_open_run(const char *run, int threads, ComputeChoice compute, Backend **backend, Engine *out);
/* Accepts a zeroed one; zeroes it. Its sessions are closed before. */
void engine_close(Engine *engine);

/* What tells this model from all others: SHA-256 over its configuration and all of its parameters, computed once. */
lmu_status engine_digest(Engine *engine, const char **digest);

#endif
