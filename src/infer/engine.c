#include "infer/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "infer/session_internal.h"

lmu_status engine_open(Backend *backend, const char *directory, Engine *out)
{
    Engine engine = {0};
    lmu_status status;
    char *path;
    memset(out, 0, sizeof *out);
    TRY(path_join(directory, "tokenizer.json", &path));
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

lmu_status engine_open_run(const char *run, int threads, ComputeChoice compute, Backend **backend, Engine *out)
{
    char *directory = NULL;
    lmu_status status;
    *backend = NULL;
    memset(out, 0, sizeof *out);
    ATTEMPT(checkpoint_find(run, &directory));
    ATTEMPT(backend_open(BACKEND_CPU, threads, false, backend));
    ATTEMPT(backend_choose_compute(*backend, compute));
    ATTEMPT(engine_open(*backend, directory, out));
done:
    free(directory);
    return status;
}

void engine_close(Engine *engine)
{
    session_pool_close(engine->pool);
    model_close(engine->model);
    tokenizer_close(engine->tokenizer);
    memset(engine, 0, sizeof *engine);
}

#define PIECE ((int64_t)1 << 16) /* numbers that are hashed at a time */

/* All numbers of a parameter, with its name before them. */
static void digest_param(Digest *digest, const Params *params, const Param *param, float *piece)
{
    digest_add(digest, param->name, strlen(param->name) + 1);
    for (int64_t done = 0, count; done < param->size; done += count) {
        count = param->size - done < PIECE ? param->size - done : PIECE;
        param_get_f32(params, param, done, count, piece);
        digest_add(digest, piece, (size_t)count * sizeof *piece);
    }
}

lmu_status engine_digest(Engine *engine, const char **digest)
{
    lmu_status status = LMU_OK;
    const Params *params = engine->model->params;
    ModelConfig defaults = {0};
    Digest sum;
    float *piece = NULL;
    char *text = NULL;
    *digest = engine->digest;
    if (engine->digest[0])
        return LMU_OK;
    json_t *json = json_pack("{s:s, s:I}", "arch", engine->model->config.arch, "vocabulary",
                             (json_int_t)engine->model->config.vocabulary);
    ATTEMPT(fields_differing(&model_table, &engine->model->config, &defaults, json));
    ATTEMPT(memory_new(&piece, (size_t)PIECE, sizeof *piece, "a digest"));
    text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        ATTEMPT(error_set(LMU_MEMORY, "no memory for a digest"));
    digest_begin(&sum);
    digest_add(&sum, text, strlen(text) + 1);
    for (size_t i = 0; i < params->count; i++)
        digest_param(&sum, params, params->list[i], piece);
    digest_end(&sum, engine->digest);
done:
    free(text);
    free(piece);
    json_decref(json);
    return status;
}
