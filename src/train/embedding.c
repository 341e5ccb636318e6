/* Embeddings that start from co-occurrence in the place of random ones. */
#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "text/cooccurrence.h"
#include "train/trainer_internal.h"

lmu_status embedding_check(const Trainer *t)
{
    const TrainConfig *c = t->config;
    if (c->cooccurrence == 0)
        return LMU_OK;
    if (t->request->from && !t->request->resume)
        return error_set(LMU_USAGE,
                         "--cooccurrence is how embeddings start, and --from has those of its model: leave one out");
    if (c->cooccurrence > c->tokens)
        return error_set(LMU_USAGE,
                         "--cooccurrence %lld: counts more text than the %lld tokens that --tokens trains on",
                         (long long)c->cooccurrence, (long long)c->tokens);
    return LMU_OK;
}

static lmu_status count_vectors(const Trainer *t, const Param *table, float *out)
{
    const TrainConfig *c = t->config;
    int64_t samples = c->cooccurrence / c->length;
    lmu_status status = cooccurrence_vectors(&t->windows, samples > 0 ? samples : 1, table->shape[0], table->shape[1],
                                             (uint64_t)c->seed, t->backend->threads, t->progress, out);
    return status == LMU_OK ? LMU_OK : error_prefix(status, "--cooccurrence: ");
}

static bool is_zero(const float *row, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (row[i] != 0)
            return false;
    return true;
}

lmu_status embedding_start(Trainer *t)
{
    Params *params = t->model->params;
    const Param *table = params_find(params, "embedding.weight");
    int64_t tokens = table->shape[0], dim = table->shape[1];
    float *embedding = NULL, *counted = NULL;
    lmu_status status;
    assert(table->init.kind == INIT_NORMAL);
    ATTEMPT(memory_new(&embedding, (size_t)table->size, sizeof *embedding, "embeddings"));
    ATTEMPT(memory_new(&counted, (size_t)table->size, sizeof *counted, "embeddings"));
    ATTEMPT(count_vectors(t, table, counted));
    param_get_f32(params, table, 0, table->size, embedding);
    for (int64_t v = 0; v < tokens; v++) {
        bool occurs = !is_zero(counted + v * dim, dim);
        for (int64_t i = v * dim; i < (v + 1) * dim && occurs; i++)
            embedding[i] = (float)table->init.scale * counted[i];
    }
    params_write_begin(params);
    KERNEL(t->backend, put_f32, table->size, embedding, real_at(t->backend, params->values, table->offset));
    params_write_end(params);
done:
    free(embedding);
    free(counted);
    return status;
}
