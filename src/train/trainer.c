/* The loop of training. */
#include "train/trainer_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/format.h"
#include "base/random.h"
#include "text/prepare.h"
#include "train/optimiser.h"

#define EVALUATIONS 20          /* in a run, unless told otherwise */
#define EVALUATION_SILENCE 10.0 /* seconds: an evaluation that takes longer shows its progress */

int64_t trainer_step_tokens(const Trainer *t)
{
    return t->config->batch * t->config->length;
}

static double trainer_elapsed(const Trainer *t)
{
    return t->at.seconds + machine_seconds() - t->started;
}

/* How much of the budget is used up, 0..1. */
static double trainer_spent(const Trainer *t, double elapsed)
{
    double by_steps = t->total_steps ? (double)t->at.step / (double)t->total_steps : 0;
    double by_time = t->config->time > 0 ? elapsed / t->config->time : 0;
    double spent = by_steps > by_time ? by_steps : by_time;
    return spent < 1 ? spent : 1;
}

static bool trainer_done(const Trainer *t)
{
    int64_t until = t->request->until;
    return trainer_spent(t, trainer_elapsed(t)) >= 1 || (until > 0 && t->at.step >= until);
}

/* The share of the budget that warm-up takes; where time counts, as the steps so far tell. */
static double trainer_warm(const Trainer *t, double spent)
{
    if (t->config->time == 0)
        return (double)t->config->warmup / (double)t->total_steps;
    return t->at.step ? (double)t->config->warmup / (double)t->at.step * spent : 0;
}

lmu_status trainer_not_finite(const Trainer *t, int64_t step, const char *what, double value)
{
    double lower = t->config->learning_rate / 2;
    const char *clip = t->config->clip > 0 ? "a smaller --clip" : "--clip 1";
    if (!t->saved_any)
        return error_set(LMU_NUMERIC,
                         "step %lld: the %s is not finite (%g); there is no checkpoint yet. Start again with a lower "
                         "--learning-rate (%g?), a longer --warmup or %s",
                         (long long)step, what, value, lower, clip);
    return error_set(LMU_NUMERIC,
                     "step %lld: the %s is not finite (%g); the last good checkpoint is %s/last. Go on from it with a "
                     "lower rate: lmu train --resume --out %s --learning-rate %g; or try %s",
                     (long long)step, what, value, t->request->run, t->request->run, lower, clip);
}

/* -- a step -- */

/* `partial` tokens of the step in progress are done. */
static void trainer_show(const Trainer *t, int64_t partial)
{
    char note[160];
    double elapsed = trainer_elapsed(t), session = elapsed - t->at.seconds;
    double speed = session > 0 ? (double)(t->tokens + partial) / session : 0;
    double done = (double)(t->at.step * trainer_step_tokens(t) + partial), spent = trainer_spent(t, elapsed);
    double total =
        t->config->time > 0 ? (spent > 0 ? done / spent : 0) : (double)(t->total_steps * trainer_step_tokens(t));
    int used =
        snprintf(note, sizeof note, "loss %.2f  FLOP %.0f%%", t->at.recent, 100 * speed * t->flops_token / t->ceiling);
    if (t->held_out.tokens) /* last: narrow terminals show only what goes before */
        snprintf(note + used, sizeof note - (size_t)used, "  held-out %.3f", eval_loss(&t->held_out));
    progress_report(t->progress, "train", done, total, "tokens", t->at.step > 0 ? note : NULL);
}

/* The batch filled with `rows` windows from sample `first` on. */
static Run trainer_read(Trainer *t, int64_t first, int rows)
{
    int64_t length = t->config->length;
    for (int r = 0; r < rows; r++) {
        windows_read(&t->windows, first + r, t->window);
        memcpy(t->ids + r * length, t->window, (size_t)length * sizeof *t->ids);
        memcpy(t->targets + r * length, t->window + 1, (size_t)length * sizeof *t->targets);
        t->count[r] = length;
        t->sample[r] = first + r;
    }
    return (Run){.rows = rows,
                 .count = t->count,
                 .sample = t->sample,
                 .ids = t->ids,
                 .targets = t->targets,
                 .loss_scale = 1.0 / (double)trainer_step_tokens(t),
                 .key = random_key((uint64_t)t->config->seed, "step", (uint64_t)t->at.step, 0)};
}

lmu_status trainer_micro_batch(Trainer *t, int64_t first, int rows, bool first_of_step, double *loss)
{
    int64_t tokens = rows * t->config->length;
    Run run = trainer_read(t, first, rows);
    run.first_micro_batch = first_of_step;
    if (t->smoothing)
        run.soft = smoothing_targets(t->smoothing, t->ids, rows, t->smoothing_share);
    lanes_enter(t, first, rows, &run);
    TRY(graph_run(t->graph, &run));
    graph_get_f32(t->graph, t->loss, tokens, t->losses);
    for (int64_t i = 0; i < tokens; i++)
        *loss += (double)t->losses[i];
    return LMU_OK;
}

/* The gradient of a whole step. Between micro-batches the step may be given up: nothing has changed yet. */
static lmu_status trainer_gradient(Trainer *t, double *loss)
{
    int64_t batch = t->config->batch;
    *loss = 0;
    for (int64_t done = 0; done < batch; done += t->micro) {
        int rows = (int)(batch - done < t->micro ? batch - done : t->micro);
        if (progress_interrupted(t->progress))
            return LMU_INTERRUPTED;
        TRY(trainer_micro_batch(t, t->at.step * batch + done, rows, done == 0, loss));
        if (done + rows < batch)
            trainer_show(t, (done + rows) * t->config->length);
    }
    *loss /= (double)trainer_step_tokens(t);
    return LMU_OK;
}

/* What is counted is counted of a step's text when the step is done. */
static lmu_status trainer_observe(Trainer *t, int64_t step)
{
    int64_t batch = t->config->batch;
    if (t->smoothing)
        TRY(smoothing_count(t->smoothing, step * batch, (step + 1) * batch, NULL));
    for (int64_t done = 0; done < batch && graph_observes(t->graph); done += t->micro) {
        int rows = (int)(batch - done < t->micro ? batch - done : t->micro);
        Run run = trainer_read(t, step * batch + done, rows);
        TRY(graph_observe(t->graph, &run));
    }
    return LMU_OK;
}

static lmu_status trainer_step(Trainer *t)
{
    const TrainConfig *c = t->config;
    double spent = trainer_spent(t, trainer_elapsed(t)), warm = trainer_warm(t, spent), loss;
    t->smoothing_share = c->ngram_smoothing * schedule_course(c, spent, warm);
    TRY(trainer_gradient(t, &loss));
    double norm = optimiser_norm(t->model->params);
    if (!isfinite(loss))
        return trainer_not_finite(t, t->at.step + 1, "loss", loss);
    if (!isfinite(norm))
        return trainer_not_finite(t, t->at.step + 1, "gradient's norm", norm);
    t->at.rate = schedule_rate(c, t->at.step, spent, warm);
    double scale = c->clip > 0 && norm > c->clip ? c->clip / norm : 1;
    t->at.step++;
    optimiser_step(t->model->params, c, t->muon, t->at.rate, scale, t->at.step);
    if (t->spelling) {
        AdamW step = optimiser_adamw(c, t->at.rate * c->spelling, scale, t->at.step);
        spelling_step(t->spelling, t->model->params, &step);
    }
    TRY(trainer_observe(t, t->at.step - 1));
    lanes_advance(t);
    t->at.sum_loss += loss;
    t->at.sum_norm += norm;
    t->at.sum_steps++;
    t->at.recent = t->at.recent > 0 ? 0.9 * t->at.recent + 0.1 * loss : loss;
    t->tokens += trainer_step_tokens(t);
    t->line_tokens += trainer_step_tokens(t);
    t->changed = true;
    return LMU_OK;
}

static lmu_status trainer_line(Trainer *t)
{
    double now = machine_seconds(), spent = now - t->line_time;
    TRY(metrics_train(t, spent > 0 ? (double)t->line_tokens / spent : 0));
    t->at.sum_loss = t->at.sum_norm = 0;
    t->at.sum_steps = 0;
    t->line_tokens = 0;
    t->line_time = now;
    return LMU_OK;
}

/* -- evaluation -- */

int64_t trainer_evaluation_tokens(const Trainer *t)
{
    int64_t all = t->valid.count - 1, asked = t->config->evaluate_tokens;
    return asked > 0 && asked < all ? asked : all;
}

/* EVALUATIONS, or fewer where they would take more tokens, or more of a budget of time, than training. */
int64_t trainer_evaluations(const Trainer *t)
{
    double tokens = (double)trainer_evaluation_tokens(t);
    double times = (double)t->config->tokens / tokens;
    if (t->config->time > 0)
        times = t->config->time / (tokens * t->score_seconds);
    return times < 1 ? 1 : times > EVALUATIONS ? EVALUATIONS : (int64_t)times;
}

int64_t trainer_evaluation_steps(const Trainer *t)
{
    if (t->config->evaluate_every > 0 || t->config->time > 0)
        return t->config->evaluate_every;
    return (t->total_steps + trainer_evaluations(t) - 1) / trainer_evaluations(t);
}

static bool evaluation_due(const Trainer *t, int64_t every, bool done)
{
    if (t->at.step == 0 || t->at.evaluated == t->at.step)
        return false;
    double share = trainer_spent(t, trainer_elapsed(t)) - t->evaluated_share;
    bool last = done && !t->request->until;
    return last || (every > 0 ? t->at.step % every == 0 : share >= 1.0 / (double)trainer_evaluations(t));
}

static lmu_status trainer_score(Trainer *t, int64_t limit, Progress *progress)
{
    double before = machine_seconds();
    EvalResult result;
    lmu_status status =
        evaluator_run(&t->evaluator, &t->valid, limit, tokenizer_lengths(t->tokenizer), progress, &result);
    double spent = machine_seconds() - before;
    t->started += spent; /* evaluation is not training time */
    t->line_time += spent;
    t->evaluate_seconds += spent;
    if (status == LMU_NUMERIC)
        return trainer_not_finite(t, t->at.step, "loss on held-out text", result.nats);
    if (status == LMU_OK)
        t->held_out = result;
    return status;
}

static lmu_status trainer_evaluate(Trainer *t)
{
    int64_t tokens = trainer_evaluation_tokens(t);
    bool silent = (double)tokens * t->score_seconds < EVALUATION_SILENCE;
    TRY(trainer_score(t, tokens, silent ? &t->quiet : t->progress));
    t->at.evaluated = t->at.step;
    t->evaluated_share = trainer_spent(t, trainer_elapsed(t));
    t->changed = true;
    TRY(metrics_valid(t, &t->held_out, false));
    if (eval_loss(&t->held_out) >= t->at.best_loss)
        return LMU_OK;
    t->at.best_loss = eval_loss(&t->held_out);
    return trainer_save_best(t);
}

/* The whole held-out text, once the run is complete and saved. */
static lmu_status trainer_evaluate_whole(Trainer *t)
{
    if (t->held_out.tokens < t->valid.count - 1) {
        lmu_status status = trainer_score(t, 0, t->progress);
        if (status == LMU_INTERRUPTED)
            return error_set(LMU_INTERRUPTED,
                             "interrupted in the last evaluation; training is complete and saved. Evaluate with: "
                             "lmu eval %s/last --data %s/valid.bin",
                             t->request->run, t->config->data);
        TRY(status);
    }
    return metrics_valid(t, &t->held_out, true);
}

/* -- the loop -- */

static lmu_status trainer_stop(Trainer *t)
{
    if (t->changed)
        TRY(trainer_save(t));
    return error_set(LMU_INTERRUPTED, "interrupted at step %lld; saved. Go on with: lmu train --resume --out %s",
                     (long long)t->at.step, t->request->run);
}

/* Whatever is due after a step, or where a run is resumed. */
static lmu_status trainer_settle(Trainer *t, int64_t every, bool done)
{
    if (t->at.sum_steps > 0 && (done || t->at.step % t->config->log_every == 0))
        TRY(trainer_line(t));
    if (evaluation_due(t, every, done))
        TRY(trainer_evaluate(t));
    if (t->changed && (done || machine_seconds() - t->saved >= t->config->save_every))
        TRY(trainer_save(t));
    return progress_interrupted(t->progress) ? LMU_INTERRUPTED : LMU_OK;
}

static lmu_status trainer_loop(Trainer *t)
{
    int64_t every = trainer_evaluation_steps(t);
    t->started = t->line_time = t->saved = machine_seconds();
    t->evaluated_share = trainer_spent(t, t->at.seconds);
    t->changed = !t->request->resume;
    for (;;) {
        bool done = trainer_done(t);
        lmu_status status = trainer_settle(t, every, done);
        if (status == LMU_OK && !done)
            status = trainer_step(t);
        if (status == LMU_INTERRUPTED)
            return trainer_stop(t);
        if (status != LMU_OK || done)
            return status;
        trainer_show(t, 0);
    }
}

static void trainer_report(const Trainer *t, TrainReport *report)
{
    double spent = trainer_elapsed(t) - t->at.seconds;
    report->steps = t->at.step;
    report->tokens = t->at.step * trainer_step_tokens(t);
    report->parameters = params_total(t->model->params);
    report->non_embedding = params_non_embedding(t->model->params);
    report->seconds = trainer_elapsed(t);
    report->tokens_per_second = spent > 0 ? (double)t->tokens / spent : 0;
    report->evaluating = t->evaluate_seconds;
    report->loss = t->at.recent;
    report->flops_token = t->flops_token;
    report->valid = t->held_out;
    report->best_loss = t->at.best_loss;
    report->flop_use = spent > 0 ? (double)t->tokens * t->flops_token / spent / t->ceiling : 0;
}

/* A new run must fall neither upon an old one nor into the text, which lmu prepare replaces as a whole. */
static lmu_status refuse_existing(const TrainRequest *request)
{
    bool there = directory_holds(request->run, "last");
    if (directory_holds(request->run, PREPARE_TRAIN) && !there)
        return error_set(LMU_USAGE, "%s holds prepared text, which is the place of --data: choose another --out",
                         request->run);
    if (there && !request->resume)
        return error_set(LMU_USAGE, "%s holds a run already: go on with it by --resume, or choose another --out",
                         request->run);
    if (!there && request->resume)
        return error_set(LMU_USAGE, "%s holds no checkpoint to resume", request->run);
    return LMU_OK;
}

/* What a run that is resumed without more to do would do without a word: be scored again. */
static void say_complete(const Trainer *t)
{
    char tokens[32];
    if (trainer_spent(t, t->at.seconds) >= 1)
        progress_say(t->progress, "%s has trained on %s tokens and is complete; a larger --tokens or --time goes on",
                     t->request->run,
                     format_count((double)(t->at.step * trainer_step_tokens(t)), tokens, sizeof tokens));
}

/* Two trainers in one directory would write over each other. A file system that knows no locks does without. */
static lmu_status lock_run(Trainer *t)
{
    t->lock = open(t->request->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->lock >= 0 && flock(t->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return error_set(LMU_USAGE, "%s: another process is training there; choose another --out", t->request->run);
    return LMU_OK;
}

lmu_status train_run(const TrainRequest *request, TrainReport *report)
{
    Trainer t = {.request = request, .config = request->config, .progress = request->progress, .lock = -1};
    lmu_status status;
    memset(report, 0, sizeof *report);
    ATTEMPT(refuse_existing(request));
    if (request->resume)
        ATTEMPT(lock_run(&t)); /* before its checkpoint is read */
    ATTEMPT(trainer_open(&t));
    if (request->resume)
        ATTEMPT(trainer_restore(&t));
    if (request->resume && !request->until)
        say_complete(&t);
    ATTEMPT(trainer_outlook(&t));
    ATTEMPT(directory_make(request->run));
    if (!request->resume)
        ATTEMPT(lock_run(&t));
    ATTEMPT(metrics_begin(&t));
    ATTEMPT(trainer_loop(&t));
    if (!request->until)
        ATTEMPT(trainer_evaluate_whole(&t));
    trainer_report(&t, report);
done:
    trainer_close(&t);
    if (t.lock >= 0)
        close(t.lock);
    return status;
}
