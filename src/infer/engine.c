#include "infer/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

lmu_status engine_open(Backend *backend, const char *directory, Engine *out)
{
    Engine engine = {0};
    lmu_status status;
    char *path = path_join(directory, "tokenizer.json");
    memset(out, 0, sizeof *out);
    if (!path) {
        status = error_set(LMU_MEMORY, "no memory for a path");
        goto done;
    }
    ATTEMPT(model_load(backend, directory, &engine.model));
    ATTEMPT(tokenizer_open(path, &engine.tokenizer));
    if (tokenizer_size(engine.tokenizer) != engine.model->config.vocabulary) {
        status =
            error_set(LMU_MISMATCH,
                      "%s has %lld tokens, the model beside it %lld: put back the tokenizer.json that the model was "
                      "trained with",
                      path, (long long)tokenizer_size(engine.tokenizer), (long long)engine.model->config.vocabulary);
        goto done;
    }
    *out = engine;
    engine = (Engine){0};
done:
    free(path);
    engine_close(&engine);
    return status;
}

void engine_close(Engine *engine)
{
    model_close(engine->model);
    tokenizer_close(engine->tokenizer);
    memset(engine, 0, sizeof *engine);
}
