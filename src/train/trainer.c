#include "train/trainer_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "base/memory.h"
#include "base/random.h"
#include "train/optimiser.h"

#define MICRO_TOKENS 4096
#define EVALUATIONS 20 /* in a run, unless told otherwise */

int64_t trainer_step_tokens(const Trainer *t)
{
    return t->config->batch * t->config->length;
}

static double trainer_elapsed(const Trainer *t)
{
    return t->seconds + machine_seconds() - t->started;
}

/* -- opening -- */

static lmu_status open_data_file(const Trainer *t, const char *name, char **path)
{
    *path = path_join(t->config->data, name);
    return *path ? LMU_OK : error_set(LMU_MEMORY, "no memory for a path");
}

static lmu_status open_shard(Trainer *t, const char *name, Shard *shard)
{
    char *path;
    TRY(open_data_file(t, name, &path));
    lmu_status status = shard_open(path, shard);
    if (status == LMU_OK)
        status = shard_require_tokenizer(shard, path, tokenizer_hash(t->tokenizer));
    free(path);
    return status;
}

static lmu_status open_data(Trainer *t)
{
    if (!t->config->data)
        return error_set(LMU_USAGE, "no corpus: give --data DIR, a directory that 'lmu prepare' made");
    char *path;
    TRY(open_data_file(t, "tokenizer.json", &path));
    lmu_status status = tokenizer_open(path, &t->tokenizer);
    free(path);
    TRY(status);
    TRY(open_shard(t, "train.bin", &t->train));
    TRY(open_shard(t, "valid.bin", &t->valid));
    return windows_open(&t->train, t->config->length, (uint64_t)t->config->seed, &t->windows);
}

/* The parameters to start from: another model's, with this run's options for the rest. */
static lmu_status open_from(Trainer *t)
{
    char *directory = NULL, *path = NULL;
    Tokenizer *theirs = NULL;
    lmu_status status;
    ATTEMPT(checkpoint_find(t->request->from, &directory));
    if (!(path = path_join(directory, "tokenizer.json"))) {
        status = error_set(LMU_MEMORY, "no memory for a path");
        goto done;
    }
    ATTEMPT(tokenizer_open(path, &theirs));
    if (tokenizer_hash(theirs) != tokenizer_hash(t->tokenizer)) {
        status = error_set(LMU_MISMATCH,
                           "%s was trained with another tokenizer than %s was prepared with: prepare the text with %s",
                           t->request->from, t->config->data, path);
        goto done;
    }
    ATTEMPT(model_load(t->backend, directory, &t->model));
done:
    tokenizer_close(theirs);
    free(path);
    free(directory);
    return status;
}

static lmu_status open_model(Trainer *t)
{
    const TrainRequest *r = t->request;
    r->model->vocabulary = tokenizer_size(t->tokenizer);
    if (r->from && !r->resume)
        TRY(open_from(t));
    else
        TRY(model_create(t->backend, r->model, (uint64_t)t->config->seed, &t->model));
    TRY(params_train(t->model->params));
    t->micro = (int)(t->config->micro_batch ? t->config->micro_batch : MICRO_TOKENS / t->config->length);
    t->micro = t->micro < 1 ? 1 : t->micro > t->config->batch ? (int)t->config->batch : t->micro;
    int64_t tokens = t->micro * t->config->length;
    TRY(model_graph(t->model, GRAPH_TRAIN, t->micro, tokens, 0, &t->graph, &t->loss));
    TRY(evaluator_open(t->model, &(EvalCut){t->config->length, t->config->length, 0}, &t->evaluator));
    TRY(memory_new(&t->window, (size_t)t->config->length + 1, sizeof *t->window, "a batch"));
    TRY(memory_new(&t->ids, (size_t)tokens, sizeof *t->ids, "a batch"));
    TRY(memory_new(&t->targets, (size_t)tokens, sizeof *t->targets, "a batch"));
    TRY(memory_new(&t->losses, (size_t)tokens, sizeof *t->losses, "a batch"));
    TRY(memory_new(&t->count, (size_t)t->micro, sizeof *t->count, "a batch"));
    return memory_new(&t->sample, (size_t)t->micro, sizeof *t->sample, "a batch");
}

static lmu_status trainer_open(Trainer *t)
{
    const TrainConfig *c = t->config;
    if (c->tokens == 0 && c->time == 0)
        return error_set(LMU_USAGE, "no budget: give --tokens or --time");
    TRY(open_data(t));
    TRY(backend_open(BACKEND_CPU, (int)c->threads, t->request->guarded, &t->backend));
    TRY(open_model(t));
    t->total_steps = (c->tokens + trainer_step_tokens(t) - 1) / trainer_step_tokens(t);
    t->best_loss = INFINITY;
    t->flops_token = 3 * graph_flops(t->graph, c->length);
    return LMU_OK;
}

static void trainer_close(Trainer *t)
{
    evaluator_close(&t->evaluator);
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

/* -- the loop -- */

lmu_status trainer_micro_batch(Trainer *t, int64_t first, int rows, bool first_of_step, double *loss)
{
    int64_t length = t->config->length, tokens = rows * length;
    for (int r = 0; r < rows; r++) {
        windows_read(&t->windows, first + r, t->window);
        memcpy(t->ids + r * length, t->window, (size_t)length * sizeof *t->ids);
        memcpy(t->targets + r * length, t->window + 1, (size_t)length * sizeof *t->targets);
        t->count[r] = length;
        t->sample[r] = first + r;
    }
    Run run = {.rows = rows,
               .count = t->count,
               .sample = t->sample,
               .ids = t->ids,
               .targets = t->targets,
               .first_micro_batch = first_of_step,
               .loss_scale = 1.0 / (double)trainer_step_tokens(t),
               .key = random_key((uint64_t)t->config->seed, "step", (uint64_t)t->step, 0)};
    TRY(graph_run(t->graph, &run));
    graph_get_f32(t->graph, t->loss, tokens, t->losses);
    for (int64_t i = 0; i < tokens; i++)
        *loss += (double)t->losses[i];
    return LMU_OK;
}

/* How much of the budget is used up, 0..1. */
static double trainer_spent(const Trainer *t, double elapsed)
{
    double by_steps = t->total_steps ? (double)t->step / (double)t->total_steps : 0;
    double by_time = t->config->time > 0 ? elapsed / t->config->time : 0;
    return by_steps > by_time ? by_steps : by_time;
}

/* The share of the budget that warm-up takes. */
static double trainer_warm(const Trainer *t, double elapsed)
{
    if (t->total_steps)
        return (double)t->config->warmup / (double)t->total_steps;
    return t->step ? (double)t->config->warmup / (double)t->step * trainer_spent(t, elapsed) : 0;
}

static lmu_status not_finite(const Trainer *t, const char *what, double value)
{
    char last[512] = "there is no checkpoint yet";
    if (t->saved_any)
        snprintf(last, sizeof last, "the last good checkpoint is %s/last", t->request->run);
    return error_set(LMU_NUMERIC,
                     "step %lld: the %s is not finite (%g); %s. Try a lower --learning-rate, a longer --warmup or a smaller --clip",
                     (long long)t->step + 1, what, value, last);
}

static lmu_status trainer_step(Trainer *t, double elapsed, double *rate)
{
    const TrainConfig *c = t->config;
    double loss = 0;
    for (int64_t done = 0; done < c->batch; done += t->micro) {
        int rows = (int)(c->batch - done < t->micro ? c->batch - done : t->micro);
        TRY(trainer_micro_batch(t, t->step * c->batch + done, rows, done == 0, &loss));
    }
    loss /= (double)trainer_step_tokens(t);
    double norm = optimiser_norm(t->model->params);
    if (!isfinite(loss))
        return not_finite(t, "loss", loss);
    if (!isfinite(norm))
        return not_finite(t, "gradient's norm", norm);
    *rate = schedule_rate(c, t->step, trainer_spent(t, elapsed), trainer_warm(t, elapsed));
    double scale = c->clip > 0 && norm > c->clip ? c->clip / norm : 1;
    t->step++;
    optimiser_step(t->model->params, c, *rate, scale, t->step);
    t->sum_loss += loss;
    t->sum_norm += norm;
    t->sum_steps++;
    t->session_tokens += trainer_step_tokens(t);
    t->recent = t->recent > 0 ? 0.9 * t->recent + 0.1 * loss : loss;
    return LMU_OK;
}

static lmu_status trainer_evaluate(Trainer *t, bool whole, EvalResult *result)
{
    double before = machine_seconds();
    TRY(evaluator_run(&t->evaluator, &t->valid, whole ? 0 : t->config->evaluate_tokens, tokenizer_lengths(t->tokenizer),
                      t->progress, result));
    t->started += machine_seconds() - before; /* evaluation is not training time */
    t->line_time += machine_seconds() - before;
    TRY(metrics_valid(t, result, whole));
    if (eval_loss(result) < t->best_loss && !whole) {
        t->best_loss = eval_loss(result);
        TRY(trainer_save_best(t));
    }
    return LMU_OK;
}

static void trainer_show(const Trainer *t)
{
    char note[160];
    double spent = machine_seconds() - t->started, speed = spent > 0 ? (double)t->session_tokens / spent : 0;
    snprintf(note, sizeof note, "loss %.3f nats, FLOP use %.0f%%", t->recent,
             100 * speed * t->flops_token / t->ceiling);
    if (t->total_steps && t->config->time == 0)
        progress_report(t->progress, "training", (double)(t->step * trainer_step_tokens(t)),
                        (double)(t->total_steps * trainer_step_tokens(t)), "tokens", note);
    else
        progress_report(t->progress, "training", trainer_elapsed(t), t->config->time, "s", note);
}

static bool trainer_done(const Trainer *t)
{
    return (t->total_steps && t->step >= t->total_steps) || (t->config->time > 0 && trainer_elapsed(t) >= t->config->time);
}

static lmu_status trainer_line(Trainer *t, double rate)
{
    double now = machine_seconds();
    double speed = (double)(t->sum_steps * trainer_step_tokens(t)) / (now - t->line_time);
    TRY(metrics_train(t, rate, speed));
    t->sum_loss = t->sum_norm = 0;
    t->sum_steps = 0;
    t->line_time = now;
    return LMU_OK;
}

/* Steps between evaluations: as told, or EVALUATIONS in the run, fewer where they would take more tokens than training. */
static int64_t evaluation_steps(const Trainer *t)
{
    const TrainConfig *c = t->config;
    if (c->evaluate_every > 0)
        return c->evaluate_every;
    if (!t->total_steps)
        return 100;
    int64_t scored = c->evaluate_tokens > 0 && c->evaluate_tokens < t->valid.count ? c->evaluate_tokens : t->valid.count;
    int64_t times = c->tokens / (scored + 1);
    times = times < 1 ? 1 : times > EVALUATIONS ? EVALUATIONS : times;
    return (t->total_steps + times - 1) / times;
}

static lmu_status trainer_loop(Trainer *t)
{
    int64_t every = evaluation_steps(t);
    t->started = t->line_time = t->saved = machine_seconds();
    while (!trainer_done(t)) {
        double rate = 0;
        TRY(trainer_step(t, trainer_elapsed(t), &rate));
        trainer_show(t);
        bool done = trainer_done(t);
        if (t->step % t->config->log_every == 0 || done)
            TRY(trainer_line(t, rate));
        EvalResult result;
        if (t->step % every == 0 || done)
            TRY(trainer_evaluate(t, false, &result));
        if (progress_interrupted(t->progress)) {
            TRY(trainer_save(t));
            return error_set(LMU_INTERRUPTED, "interrupted at step %lld; saved. Go on with: lmu train --resume --out %s",
                             (long long)t->step, t->request->run);
        }
        if (machine_seconds() - t->saved >= t->config->save_every || done)
            TRY(trainer_save(t));
    }
    return LMU_OK;
}

static void trainer_report(const Trainer *t, TrainReport *report)
{
    double spent = trainer_elapsed(t) - t->seconds;
    report->steps = t->step;
    report->tokens = t->step * trainer_step_tokens(t);
    report->parameters = params_total(t->model->params);
    report->non_embedding = params_non_embedding(t->model->params);
    report->seconds = trainer_elapsed(t);
    report->loss = t->recent;
    report->best_loss = t->best_loss;
    report->flop_use = spent > 0 ? (double)t->session_tokens * t->flops_token / spent / t->ceiling : 0;
}

/* A new run must not fall upon an old one. */
static lmu_status refuse_existing(const TrainRequest *request)
{
    char *last = path_join(request->run, "last");
    if (!last)
        return error_set(LMU_MEMORY, "no memory for a path");
    bool there = file_exists(last);
    free(last);
    if (there && !request->resume)
        return error_set(LMU_USAGE, "%s holds a run already: go on with it by --resume, or choose another --out",
                         request->run);
    if (!there && request->resume)
        return error_set(LMU_USAGE, "%s holds no checkpoint to resume", request->run);
    return LMU_OK;
}

lmu_status train_run(const TrainRequest *request, TrainReport *report)
{
    Trainer t = {.request = request, .config = request->config, .progress = request->progress};
    lmu_status status;
    memset(report, 0, sizeof *report);
    ATTEMPT(refuse_existing(request));
    ATTEMPT(trainer_open(&t));
    if (request->resume)
        ATTEMPT(trainer_restore(&t));
    ATTEMPT(trainer_outlook(&t));
    ATTEMPT(directory_make(request->run));
    ATTEMPT(metrics_begin(&t));
    ATTEMPT(trainer_loop(&t));
    trainer_report(&t, report);
    ATTEMPT(trainer_evaluate(&t, true, &report->valid));
done:
    trainer_close(&t);
    return status;
}
