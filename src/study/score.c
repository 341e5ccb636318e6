/* What a finished run is worth on held-out text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "study/internal.h"
#include "text/ngram.h"
#include "text/prepare.h"
#include "text/tokenizer.h"
#include "train/evaluate.h"

#define CARRIED_TOKENS 4096 /* read at a time */

typedef struct HeldOut {
    Shard text;
    Tokenizer *tokenizer;
} HeldOut;

/* A text of the corpus, which must be of its tokenizer. */
static lmu_status open_in(const StudyCorpus *corpus, const char *name, const Tokenizer *tokenizer, Shard *shard)
{
    char *path;
    TRY(path_join(corpus->directory, name, &path));
    lmu_status status = shard_open_with(path, tokenizer_hash(tokenizer), shard);
    free(path);
    return status;
}

static lmu_status held_out_open(const StudyCorpus *corpus, HeldOut *held)
{
    TRY(tokenizer_open(corpus->directory, &held->tokenizer));
    return open_in(corpus, PREPARE_VALID, held->tokenizer, &held->text);
}

static void held_out_close(HeldOut *held)
{
    shard_close(&held->text);
    tokenizer_close(held->tokenizer);
}

static EvalCut whole_cut(int64_t length, EvalResult *part)
{
    return (EvalCut){.context = length, .stride = length, .part = part, .parts = RESULT_PARTS};
}

static void keep(const EvalResult *whole, const EvalResult *part, Result *result)
{
    result->nats = eval_loss(whole);
    result->bits_per_byte = eval_bits_per_byte(whole);
    result->parts = RESULT_PARTS;
    for (int i = 0; i < RESULT_PARTS; i++) {
        result->part_nats[i] = part[i].nats;
        result->part_bytes[i] = (double)part[i].bytes;
    }
}

/* In one pass with its state carried. Causal attention looks back as far as in training, its context, as a sliding window; with
 * learned positions it cannot, which is no error, nor is a state that grows beyond all numbers. */
static lmu_status score_carried(StudyRun *s, Model *model, const HeldOut *held, Result *result)
{
    Evaluator evaluator;
    EvalResult whole;
    EvalCut cut = {.context = CARRIED_TOKENS, .stride = CARRIED_TOKENS, .carry = 1};
    if (!params_find(model->params, "position.weight"))
        model->config.window = model_config_reach(&model->config);
    TRY(evaluator_open(model, &cut, &evaluator));
    lmu_status status =
        evaluator_run(&evaluator, &held->text, 0, tokenizer_lengths(held->tokenizer), &s->progress, &whole);
    evaluator_close(&evaluator);
    result->carried = status == LMU_OK ? eval_bits_per_byte(&whole) : (double)NAN;
    return status == LMU_USAGE || status == LMU_NUMERIC ? LMU_OK : status;
}

lmu_status study_score(StudyRun *s, const Cell *cell, const StudyCorpus *corpus, const char *checkpoint, Result *result)
{
    HeldOut held = {0};
    Backend *backend = NULL;
    Model *model = NULL;
    Evaluator evaluator = {0};
    EvalResult whole, part[RESULT_PARTS] = {{0}};
    EvalCut cut = whole_cut(cell->train.length, part);
    lmu_status status;
    ATTEMPT(held_out_open(corpus, &held));
    ATTEMPT(backend_open(BACKEND_CPU, s->request->threads, false, &backend));
    ATTEMPT(backend_choose_compute(backend, (ComputeChoice)cell->train.compute));
    ATTEMPT(model_load(backend, checkpoint, &model));
    result->compute = strdup(backend->compute == COMPUTE_BF16 ? "bf16" : "f32");
    result->threads = backend->threads;
    ATTEMPT(evaluator_open(model, &cut, &evaluator));
    ATTEMPT(evaluator_run(&evaluator, &held.text, 0, tokenizer_lengths(held.tokenizer), &s->progress, &whole));
    keep(&whole, part, result);
    if (cell->grid->carried)
        status = score_carried(s, model, &held, result);
done:
    evaluator_close(&evaluator);
    model_close(model);
    backend_close(backend);
    held_out_close(&held);
    return status;
}

lmu_status study_count(StudyRun *s, const Cell *cell, const StudyCorpus *corpus, int64_t budget, Result *result)
{
    HeldOut held = {0};
    Shard train = {0};
    Windows windows;
    Ngram *model = NULL;
    EvalResult whole, carried, part[RESULT_PARTS] = {{0}};
    EvalCut cut = whole_cut(cell->train.length, part);
    lmu_status status;
    double before = machine_seconds();
    ATTEMPT(held_out_open(corpus, &held));
    ATTEMPT(open_in(corpus, PREPARE_TRAIN, held.tokenizer, &train));
    ATTEMPT(windows_open(&train, cell->train.length, (uint64_t)cell->seed, &windows));
    int64_t samples = (budget + cell->train.length - 1) / cell->train.length;
    ATTEMPT(ngram_train(&windows, samples, (int)cell->order, &s->progress, &model));
    result->seconds = machine_seconds() - before;
    ATTEMPT(ngram_evaluate(model, &held.text, &cut, tokenizer_lengths(held.tokenizer), &s->progress, &whole));
    keep(&whole, part, result);
    cut = (EvalCut){.context = cell->train.length, .stride = cell->train.length, .carry = 1};
    ATTEMPT(ngram_evaluate(model, &held.text, &cut, tokenizer_lengths(held.tokenizer), &s->progress, &carried));
    result->carried = eval_bits_per_byte(&carried);
    result->tokens = ngram_tokens(model);
    for (int order = 1; order <= ngram_order(model); order++)
        result->parameters += ngram_entries(model, order);
    result->compute = strdup("counts");
    result->threads = 1;
done:
    ngram_close(model);
    shard_close(&train);
    held_out_close(&held);
    return status;
}
