/* What a run stands on: its data, its model, its memory; each refused before anything is written. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "text/prepare.h"
#include "train/trainer_internal.h"

#define MICRO_TOKENS 2048 /* their activations stay near the cores; smaller ones gain nothing more */

static lmu_status open_shard(Trainer *t, const char *name, int64_t least, Shard *shard)
{
    char *path;
    lmu_status status;
    TRY(path_join(t->config->data, name, &path));
    ATTEMPT(shard_open_with(path, tokenizer_hash(t->tokenizer), shard));
    if (shard->vocabulary > tokenizer_size(t->tokenizer))
        status = error_set(LMU_MISMATCH, "%s: has a vocabulary of %lld tokens, its tokenizer one of %lld", path,
                           (long long)shard->vocabulary, (long long)tokenizer_size(t->tokenizer));
    else if (shard->count < least)
        status = error_set(LMU_USAGE, "%s: holds %lld tokens, at least %lld are needed", path, (long long)shard->count,
                           (long long)least);
done:
    free(path);
    return status;
}

static lmu_status open_data(Trainer *t)
{
    if (!t->config->data)
        return error_set(LMU_USAGE, "no corpus: give --data DIR, a directory that 'lmu prepare' made");
    TRY(prepare_check(t->config->data));
    TRY(tokenizer_open(t->config->data, &t->tokenizer));
    TRY(open_shard(t, PREPARE_TRAIN, 0, &t->train));
    TRY(open_shard(t, PREPARE_VALID, 2, &t->valid));
    int64_t length = t->config->length;
    uint64_t seed = (uint64_t)t->config->seed;
    lmu_status status = t->config->carry ? windows_open_lanes(&t->train, length, t->config->batch, seed, &t->windows)
                                         : windows_open(&t->train, length, seed, &t->windows);
    return status == LMU_OK ? LMU_OK : error_prefix(status, "%s/train.bin: ", t->config->data);
}

/* The parameters to start from: another model's. */
static lmu_status open_from(Trainer *t)
{
    char *directory;
    TRY(checkpoint_find(t->request->from, &directory));
    lmu_status status;
    ATTEMPT(trainer_check_tokenizer(t, directory));
    ATTEMPT(model_load(t->backend, directory, &t->model));
    if (model_is_int8(t->model))
        status = error_set(LMU_USAGE, "%s: " INT8_IS_NOT_TRAINED, directory);
    else if (t->model->config.vocabulary != tokenizer_size(t->tokenizer))
        status = error_set(LMU_MISMATCH, "%s: the model has a vocabulary of %lld tokens, its tokenizer one of %lld",
                           directory, (long long)t->model->config.vocabulary, (long long)tokenizer_size(t->tokenizer));
done:
    free(directory);
    return status;
}

/* The graphs take address space alone: their pages are touched when they run. */
static lmu_status open_graphs(Trainer *t)
{
    int64_t length = t->config->length;
    int flags = t->config->recompute ? GRAPH_RECOMPUTE : 0;
    TRY(model_graph(t->model, GRAPH_TRAIN, t->micro, t->micro * length, flags, &t->graph, &t->loss));
    TRY(lanes_open(t));
    return evaluator_open(t->model, &(EvalCut){.context = length, .stride = length}, &t->evaluator);
}

static lmu_status open_batch(Trainer *t)
{
    size_t length = (size_t)t->config->length, rows = (size_t)t->micro, tokens = rows * length;
    TRY(memory_new(&t->window, length + 1, sizeof *t->window, "a batch"));
    TRY(memory_new(&t->ids, tokens, sizeof *t->ids, "a batch"));
    TRY(memory_new(&t->targets, tokens, sizeof *t->targets, "a batch"));
    TRY(memory_new(&t->losses, tokens, sizeof *t->losses, "a batch"));
    TRY(memory_new(&t->count, rows, sizeof *t->count, "a batch"));
    return memory_new(&t->sample, rows, sizeof *t->sample, "a batch");
}

int64_t train_steps(const TrainConfig *config)
{
    int64_t step = config->batch * config->length;
    return (config->tokens + step - 1) / step;
}

int train_micro_batch(const TrainConfig *config)
{
    int64_t rows = config->micro_batch ? config->micro_batch : MICRO_TOKENS / config->length;
    return (int)(rows < 1 ? 1 : rows > config->batch ? config->batch : rows);
}

static lmu_status open_model(Trainer *t)
{
    const TrainRequest *r = t->request;
    int64_t vocabulary = tokenizer_size(t->tokenizer);
    if (!r->resume && !r->from && r->model->vocabulary != 0 && r->model->vocabulary != vocabulary)
        return error_set(LMU_MISMATCH,
                         "the settings name a vocabulary of %lld tokens, the tokenizer of %s has %lld: leave it out",
                         (long long)r->model->vocabulary, t->config->data, (long long)vocabulary);
    r->model->vocabulary = vocabulary;
    bool loads = r->from && !r->resume;
    if (loads)
        TRY(open_from(t));
    else
        TRY(model_open(t->backend, r->model, &t->model));
    t->micro = train_micro_batch(t->config);
    TRY(trainer_refuse_memory(t)); /* by what is surely needed, before anything is sized by it */
    lmu_status status = open_graphs(t);
    if (status == LMU_MEMORY)
        return error_prefix(status,
                            "training would not fit into memory, try %sa smaller --micro-batch, --length or --dim: ",
                            t->config->recompute ? "" : "--recompute, ");
    TRY(status);
    if (t->config->optimizer == OPTIMISER_MUON)
        TRY(muon_open(t->model->params, &t->muon));
    if (t->config->spelling > 0)
        TRY(spelling_open(t->tokenizer, t->model->params, &t->spelling));
    TRY(trainer_refuse_memory(t)); /* by the plan */
    if (!loads)
        TRY(model_draw(t->model, (uint64_t)t->config->seed));
    if (t->config->cooccurrence > 0 && !r->resume)
        TRY(embedding_start(t));
    TRY(params_train(t->model->params));
    if (t->config->ngram_smoothing > 0)
        TRY(smoothing_open(&t->windows, tokenizer_size(t->tokenizer), t->micro, &t->smoothing));
    return open_batch(t);
}

lmu_status trainer_open(Trainer *t)
{
    const TrainConfig *c = t->config;
    if (c->tokens == 0 && c->time == 0)
        return error_set(LMU_USAGE, "no budget: give --tokens or --time");
    TRY(trainer_check_options(c));
    TRY(embedding_check(t));
    t->at = (Position){.evaluated = -1, .best_loss = INFINITY};
    t->quiet = (Progress){.interrupt = t->progress ? t->progress->interrupt : NULL};
    TRY(open_data(t));
    t->free_bytes = (double)machine_memory();
    t->resident_bytes = (double)machine_peak_resident();
    TRY(backend_open(BACKEND_CPU, (int)c->threads, t->request->guarded, &t->backend));
    TRY(backend_choose_compute(t->backend, (ComputeChoice)c->compute));
    t->backend->memory = (MemoryForm)c->memory;
    TRY(open_model(t));
    t->total_steps = train_steps(c);
    t->flops_token = 3 * graph_flops(t->graph, c->length);
    return LMU_OK;
}

void trainer_close(Trainer *t)
{
    evaluator_close(&t->evaluator);
    lanes_close(t);
    muon_close(t->muon);
    spelling_close(t->spelling);
    smoothing_close(t->smoothing);
    graph_close(t->graph);
    model_close(t->model);
    backend_close(t->backend);
    shard_close(&t->train);
    shard_close(&t->valid);
    tokenizer_close(t->tokenizer);
    free(t->window);
    free(t->ids);
    free(t->targets);
    free(t->losses);
    free(t->count);
    free(t->sample);
}
