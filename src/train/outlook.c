/* What a run will take, said before its first step. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/memory.h"
#include "train/optimiser.h"
#include "train/trainer_internal.h"

/* What the product library takes besides, in bytes: its code, what it compiles, its packed operands. Measured: 20 to 37 MiB. */
#define LIBRARY_BYTES (24.0 * 1048576)

/* -- memory -- */

/* Bytes of the four vectors of parameters that have no memory yet. */
static double pending_bytes(const Trainer *t)
{
    const Params *p = t->model->params;
    int vectors = !p->gradients + !p->first_moment + !p->second_moment;
    return (vectors * (double)p->learnt + (p->values ? 0 : (double)p->length)) * (double)t->backend->real_size;
}

/* Bytes that training will touch beside what the process holds anyway; before the graphs are planned, a lower bound. */
static double training_bytes(const Trainer *t)
{
    double tokens = (double)t->micro * (double)t->config->length;
    double bytes = (double)t->backend->allocated + pending_bytes(t) + 3 * tokens * sizeof(int32_t);
    if (t->config->ngram_smoothing > 0)
        bytes += smoothing_bytes(&t->windows, t->micro, t->config->tokens > 0 ? (double)t->config->tokens : INFINITY);
    if (!t->graph)
        bytes += tokens * (double)t->model->config.dim * (double)t->backend->real_size;
    return bytes;
}

lmu_status trainer_refuse_memory(const Trainer *t)
{
    char needed[32], there[32];
    double bytes = training_bytes(t) + lanes_pending_bytes(t);
    if (bytes <= t->free_bytes)
        return LMU_OK;
    return error_set(LMU_MEMORY,
                     "training would take %s%s of memory, and %s are free: try %sa smaller %s--length or --dim",
                     t->graph ? "" : "more than ", format_bytes(bytes, needed, sizeof needed),
                     format_bytes(t->free_bytes, there, sizeof there),
                     t->graph && !t->config->recompute ? "--recompute, " : "", t->micro > 1 ? "--micro-batch, " : "");
}

/* The most that the process will hold: in training, or while the ceiling is measured, when little else is touched. */
static double peak_bytes(const Trainer *t)
{
    double real = (double)t->backend->real_size;
    double ceiling = ((double)CEILING_M * (CEILING_K + CEILING_N) + (double)CEILING_N * CEILING_K) * real +
                     (double)CEILING_M * CEILING_K * sizeof(float) + (double)t->model->params->length * real;
    double training = training_bytes(t);
    return t->resident_bytes + LIBRARY_BYTES + (training > ceiling ? training : ceiling);
}

/* -- time -- */

/* Seconds of a step: its micro-batches and the optimiser, which passes over seven vectors where the norm reads one, and over more
 * with the spelling of tokens; the products of Muon at the speed of the ceiling. N-gram smoothing, which takes some 2 us a token, is
 * left out, as it has counted nothing yet. */
static lmu_status measure_step(Trainer *t, double *seconds)
{
    enum { RUNS = 5 };
    double runs[RUNS], start = 0, loss = 0;
    int count = 0;
    TRY(trainer_micro_batch(t, 0, t->micro, true, &loss)); /* touches the memory */
    start = machine_seconds();
    while (count < RUNS && (count < 1 || machine_seconds() - start < 2)) {
        double before = machine_seconds();
        TRY(trainer_micro_batch(t, 0, t->micro, true, &loss));
        runs[count++] = machine_seconds() - before;
    }
    start = machine_seconds();
    optimiser_norm(t->model->params);
    double norm = machine_seconds() - start;
    *seconds = seconds_median(runs, count) * (double)t->config->batch / t->micro + 8 * norm;
    if (t->spelling)
        *seconds += norm * spelling_numbers(t->spelling) / (double)t->model->params->learnt;
    if (t->muon)
        *seconds += muon_flops(t->model->params) / (double)optimiser_interval(t->config) / t->ceiling;
    return LMU_OK;
}

static lmu_status measure_score(Trainer *t)
{
    EvalResult result;
    int64_t tokens = t->evaluator.rows * t->config->length;
    TRY(evaluator_run(&t->evaluator, &t->valid, tokens, NULL, &t->quiet, &result));
    double before = machine_seconds();
    TRY(evaluator_run(&t->evaluator, &t->valid, tokens, NULL, &t->quiet, &result));
    t->score_seconds = (machine_seconds() - before) / (double)result.tokens;
    return LMU_OK;
}

/* Seconds that the evaluations of the rest of the run take, that of the whole text at its end included. */
static double evaluating_seconds(const Trainer *t, double share)
{
    double times = t->config->evaluate_every > 0 && t->total_steps
                       ? (double)t->total_steps / (double)t->config->evaluate_every
                       : (double)trainer_evaluations(t);
    double tokens = times * share * (double)trainer_evaluation_tokens(t) + (double)t->valid.count;
    return tokens * t->score_seconds;
}

static void say_machine(const Trainer *t)
{
    char reason[128], a[32], b[32];
    machine_threads(reason, sizeof reason);
    progress_say(t->progress, "%d thread%s (%s), %s, kernels %s, %s products by oneDNN", t->backend->threads,
                 t->backend->threads == 1 ? "" : "s", t->config->threads ? "as asked" : reason, machine_cpu_name(),
                 machine_isa_name(t->backend->isa), backend_compute_name(t->backend));
    progress_say(t->progress, "model %s: %s parameters, %s without the embedding", t->model->arch->name,
                 format_count((double)params_total(t->model->params), a, sizeof a),
                 format_count((double)params_non_embedding(t->model->params), b, sizeof b));
}

static void warn_second_pass(const Trainer *t, double left)
{
    double whole = (double)(t->windows.count * t->config->length);
    if (graph_observes(t->graph) && ((double)t->at.step + left) * (double)trainer_step_tokens(t) > 1.001 * whole)
        progress_say(t->progress,
                     "warning: in a second pass the n-gram table knows what the text goes on with, and the "
                     "model comes to rely on it: train for one pass, or without --ngram-slots");
}

static void say_outlook(const Trainer *t, double step_seconds)
{
    char needed[32], there[32], training[32], evaluating[32], step[32], pass[32];
    double left = t->total_steps > t->at.step ? (double)(t->total_steps - t->at.step) : 0;
    double by_time = t->config->time - t->at.seconds;
    if (t->config->time > 0 && (!t->total_steps || left * step_seconds > by_time))
        left = by_time > 0 ? by_time / step_seconds : 0;
    double step_tokens = (double)trainer_step_tokens(t), whole = (double)(t->windows.count * t->config->length);
    double share = left / ((double)t->at.step + left + 1e-9);
    if (t->at.step > 0)
        progress_say(t->progress, "going on from step %lld", (long long)t->at.step);
    progress_say(t->progress, "expect %s of memory (%s free), %s of training and %s of evaluation",
                 format_bytes(peak_bytes(t), needed, sizeof needed), format_bytes(t->free_bytes, there, sizeof there),
                 format_duration(left * step_seconds, training, sizeof training),
                 format_duration(evaluating_seconds(t, share), evaluating, sizeof evaluating));
    progress_say(t->progress, "%s%.0f steps of %s tokens: %.3g passes over %s tokens",
                 t->config->time > 0 ? "about " : "", left, format_count(step_tokens, step, sizeof step),
                 left * step_tokens / whole, format_count(whole, pass, sizeof pass));
    warn_second_pass(t, left);
}

lmu_status trainer_outlook(Trainer *t)
{
    double step_seconds;
    t->ceiling = t->request->ceiling;
    if (t->ceiling > 0) { /* what is said has been measured before */
        warn_second_pass(t, (double)(t->total_steps - t->at.step));
        return LMU_OK;
    }
    say_machine(t);
    lanes_say(t);
    TRY(product_ceiling(t->backend, &t->ceiling));
    TRY(measure_step(t, &step_seconds));
    TRY(measure_score(t));
    say_outlook(t, step_seconds);
    return LMU_OK;
}

lmu_status train_measure(const TrainRequest *request, double *training, double *scoring)
{
    Trainer t = {.request = request, .config = request->config, .progress = request->progress, .lock = -1};
    lmu_status status;
    double step_seconds;
    ATTEMPT(trainer_open(&t));
    t.ceiling = request->ceiling;
    ATTEMPT(measure_step(&t, &step_seconds));
    ATTEMPT(measure_score(&t));
    *training = step_seconds / (double)trainer_step_tokens(&t);
    *scoring = t.score_seconds;
done:
    trainer_close(&t);
    return status;
}
