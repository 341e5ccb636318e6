#include "serve/batch.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "serve/stream.h"

struct Batch {
    StreamShop shop;
    BatchLimits limits;
    pthread_t thread;
    bool started;

    /* the thread's own */
    Stream **stream;
    Session **running; /* of a step */
    Stream **runner;   /* whose those are */
    size_t count;
    size_t turn;                 /* who reads first */
    Job *waiting, **waiting_end; /* have choices without a stream */
    Errand *errand, **errand_end;

    atomic_int_fast64_t jobs; /* not over; errands among them */

    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t change;
    bool changed, draining, cancelled, closing;
    Job *arrived, **arrived_end;
    Errand *sent, **sent_end;
};

/* -- jobs come and go --------------------------------------------------------------------------------------------------- */

static void queue_put(Job ***end, Job *job)
{
    job->behind = NULL;
    **end = job;
    *end = &job->behind;
}

/* With the lock: whether one more job is taken. */
static lmu_status count_job(Batch *batch, ApiError *error)
{
    int64_t most = batch->limits.streams + batch->limits.queue;
    if (batch->draining || batch->closing)
        return api_error_set(error, 503, "shutting_down", NULL, "The server is shutting down");
    if (batch->jobs >= most)
        return api_error_set(error, 429, "rate_limit_exceeded", NULL,
                             "The server is busy with %lld requests and takes no more now: try again soon",
                             (long long)batch->jobs);
    batch->jobs++;
    batch->changed = true;
    pthread_cond_signal(&batch->change);
    return LMU_OK;
}

lmu_status batch_submit(Batch *batch, Job *job, ApiError *error)
{
    if (job->request.state_keep && batch->shop.state_bytes > batch->limits.cache_bytes)
        return api_error_set(error, 400, "state_too_large", "state",
                             "A state of %zu bytes is not kept by a server with %zu for all (lmu serve --cache); "
                             "\"state\": \"return\" gives it to you",
                             batch->shop.state_bytes, batch->limits.cache_bytes);
    pthread_mutex_lock(&batch->lock);
    lmu_status status = count_job(batch, error);
    if (status == LMU_OK)
        queue_put(&batch->arrived_end, job_ref(job));
    pthread_mutex_unlock(&batch->lock);
    return status;
}

lmu_status batch_send(Batch *batch, Errand *errand, ApiError *error)
{
    pthread_mutex_lock(&batch->lock);
    lmu_status status = count_job(batch, error);
    if (status == LMU_OK) {
        errand->behind = NULL;
        *batch->sent_end = errand;
        batch->sent_end = &errand->behind;
    }
    pthread_mutex_unlock(&batch->lock);
    return status;
}

static void change(Batch *batch, bool *flag)
{
    pthread_mutex_lock(&batch->lock);
    *flag = true;
    batch->changed = true;
    pthread_cond_signal(&batch->change);
    pthread_mutex_unlock(&batch->lock);
}

void batch_wake(Batch *batch)
{
    change(batch, &batch->changed);
}

void batch_drain(Batch *batch)
{
    change(batch, &batch->draining);
}

void batch_cancel(Batch *batch)
{
    change(batch, &batch->cancelled);
}

int64_t batch_jobs(const Batch *batch)
{
    return batch->jobs;
}

size_t batch_state_bytes(const Batch *batch)
{
    return batch->shop.state_bytes;
}

static void fail(Batch *batch, Job *job, const ApiError *error)
{
    if (job->over)
        return;
    job_fail(job, error);
    batch->jobs--;
}

/* Numbers that are not finite are the model's fault, or that of a client's state. */
static void fail_with(Batch *batch, Job *job, lmu_status status, ApiError *error)
{
    bool client = status == LMU_NUMERIC && job->request.start == START_DATA;
    api_error_take(error, status, client, "state");
    fail(batch, job, error);
}

/* A job whose client left, whose time is up or that the server has no time for any more. */
static void heed_cancel(Batch *batch, Job *job)
{
    ApiError error = {0};
    switch ((JobCancel)atomic_load(&job->cancel)) {
    case CANCEL_NOT:
        return;
    case CANCEL_LEFT:
        api_error_set(&error, 499, "client_left", NULL, "The client left");
        break;
    case CANCEL_TIME:
        api_error_set(&error, 408, "request_timeout", NULL,
                      "The request took longer than this server allows (lmu serve --request-time)");
        break;
    case CANCEL_SHUTDOWN:
        api_error_set(&error, 503, "shutting_down", NULL, "The server is shutting down");
        break;
    }
    fail(batch, job, &error);
}

/* -- a step ------------------------------------------------------------------------------------------------------------- */

static bool stream_sits_out(const Stream *stream)
{
    return stream->stage == STREAM_FOLLOWS || (stream->stage == STREAM_WRITES && stream->job->full);
}

/* Of the jobs that wait, those that are over leave; in a server that shuts down, also those that have not begun. */
static void sweep_waiting(Batch *batch, bool draining)
{
    Job *job = batch->waiting, *next;
    batch->waiting = NULL;
    batch->waiting_end = &batch->waiting;
    for (; job; job = next) {
        next = job->behind;
        if (draining && job->next == 0)
            job_cancel(job, CANCEL_SHUTDOWN);
        heed_cancel(batch, job);
        if (job->over)
            job_unref(job);
        else
            queue_put(&batch->waiting_end, job);
    }
}

static void sweep_streams(Batch *batch)
{
    size_t left = 0;
    for (size_t i = 0; i < batch->count; i++) {
        Stream *stream = batch->stream[i];
        heed_cancel(batch, stream->job);
        if (stream->job->over || stream->stage == STREAM_ENDED)
            stream_close(stream);
        else
            batch->stream[left++] = stream;
    }
    batch->count = left;
}

/* Streams for the jobs that wait, in turn, as long as there is room. */
static void admit(Batch *batch)
{
    while (batch->waiting && batch->count < (size_t)batch->limits.streams) {
        Job *job = batch->waiting;
        ApiError error = {0};
        Stream *stream;
        batch->waiting = job->behind;
        if (!batch->waiting)
            batch->waiting_end = &batch->waiting;
        lmu_status status = stream_open(&batch->shop, job, &stream, &error);
        if (status == LMU_OK) {
            batch->stream[batch->count++] = stream;
            job_begin(job);
        } else
            fail_with(batch, job, status, &error);
        if (!job->over && job->next < job->choices)
            queue_put(&batch->waiting_end, job);
        else
            job_unref(job);
    }
}

static bool has_work(const Batch *batch)
{
    if (batch->waiting && batch->count < (size_t)batch->limits.streams)
        return true;
    for (size_t i = 0; i < batch->count; i++)
        if (!stream_sits_out(batch->stream[i]))
            return true;
    return false;
}

/* Ids that a step reads of prompts. */
static size_t reading_room(const Batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->stream[i]->stage == STREAM_WRITES && !stream_sits_out(batch->stream[i]))
            return SESSION_BLOCK;
    return SESSION_TOKENS;
}

/* Chooses who takes part in this step and gives readers their ids; returns how many those are. */
static size_t gather_runners(Batch *batch)
{
    size_t room = reading_room(batch), used = 0, runners = 0;
    batch->turn = batch->count > 0 ? (batch->turn + 1) % batch->count : 0;
    for (size_t i = 0; i < batch->count; i++) {
        Stream *stream = batch->stream[(i + batch->turn) % batch->count];
        size_t wants = stream_wants(stream);
        if (stream_sits_out(stream) || stream->job->over || (used > 0 && used + wants > room))
            continue;
        if (stream->stage == STREAM_READS) {
            ApiError error = {0};
            lmu_status status = stream_read(stream);
            used += wants;
            if (status != LMU_OK) {
                fail_with(batch, stream->job, status, &error);
                continue;
            }
        }
        batch->running[runners] = stream->session;
        batch->runner[runners++] = stream;
    }
    return runners;
}

/* A choice goes over the whole vocabulary: with many streams that takes as long as a small model, so it has all threads. */
static void choose_tokens(Batch *batch, size_t runners)
{
#pragma omp parallel for num_threads(batch->shop.samplers) schedule(dynamic) if (runners > 1)
    for (size_t i = 0; i < runners; i++)
        if (batch->runner[i]->stage == STREAM_WRITES)
            stream_choose(batch->runner[i], batch->shop.sampler[omp_get_thread_num()]);
}

static void step(Batch *batch)
{
    size_t runners = gather_runners(batch);
    lmu_status status = sessions_run(batch->running, runners);
    if (status == LMU_OK)
        choose_tokens(batch, runners);
    for (size_t i = 0; i < runners; i++) {
        Stream *stream = batch->runner[i];
        Job *job = stream->job;
        ApiError error = {0};
        if (job->over)
            continue;
        lmu_status own = status != LMU_OK ? status : stream_advance(stream, batch->stream, batch->count);
        if (own != LMU_OK)
            fail_with(batch, job, own, &error);
        else if (job->finished == job->choices) {
            job_end(job);
            batch->jobs--;
        }
    }
    atomic_fetch_add(&batch->shop.metrics->steps, 1);
}

/* -- errands ------------------------------------------------------------------------------------------------------------ */

/* Whoever counts the jobs may take everything away once there are none: `end` comes before. */
static void end_errand(Batch *batch, const ApiError *error)
{
    Errand *errand = batch->errand;
    batch->errand = errand->behind;
    if (!batch->errand)
        batch->errand_end = &batch->errand;
    errand->end(errand, error);
    batch->jobs--;
}

static void work_on_errand(Batch *batch)
{
    ApiError error = {0};
    bool done = false;
    lmu_status status = batch->errand->work(batch->errand, &done);
    api_error_take(&error, status, true, NULL);
    if (done || status != LMU_OK)
        end_errand(batch, &error);
}

static void cancel_errands(Batch *batch)
{
    ApiError error = {0};
    api_error_set(&error, 503, "shutting_down", NULL, "The server is shutting down");
    while (batch->errand)
        end_errand(batch, &error);
}

/* -- the thread --------------------------------------------------------------------------------------------------------- */

/* Waits until there is something to do, and takes what came. False: the end. */
static bool gather(Batch *batch)
{
    pthread_mutex_lock(&batch->lock);
    while (!batch->changed && !batch->errand && !has_work(batch))
        pthread_cond_wait(&batch->change, &batch->lock);
    bool draining = batch->draining, cancelled = batch->cancelled, closing = batch->closing;
    batch->changed = false;
    if (batch->arrived) {
        *batch->waiting_end = batch->arrived;
        batch->waiting_end = batch->arrived_end;
        batch->arrived = NULL;
        batch->arrived_end = &batch->arrived;
    }
    if (batch->sent) {
        *batch->errand_end = batch->sent;
        batch->errand_end = batch->sent_end;
        batch->sent = NULL;
        batch->sent_end = &batch->sent;
    }
    pthread_mutex_unlock(&batch->lock);
    if (cancelled || closing) {
        cancel_errands(batch);
        for (Job *job = batch->waiting; job; job = job->behind)
            job_cancel(job, CANCEL_SHUTDOWN);
        for (size_t i = 0; i < batch->count; i++)
            job_cancel(batch->stream[i]->job, CANCEL_SHUTDOWN);
    }
    sweep_waiting(batch, draining);
    sweep_streams(batch);
    admit(batch);
    return !closing || batch->count > 0 || batch->waiting;
}

static void tell_figures(Batch *batch)
{
    Metrics *metrics = batch->shop.metrics;
    StateCacheFigures figures = state_cache_figures(batch->shop.cache);
    size_t queued = 0;
    for (const Job *job = batch->waiting; job; job = job->behind)
        queued++;
    atomic_store(&metrics->streams, batch->count);
    atomic_store(&metrics->queued, queued);
    atomic_store(&metrics->cache_bytes, figures.bytes);
    atomic_store(&metrics->cache_entries, figures.entries);
    atomic_store(&metrics->cache_evictions, figures.evictions);
}

static void *batch_main(void *context)
{
    Batch *batch = context;
    while (gather(batch)) {
        tell_figures(batch);
        if (has_work(batch))
            step(batch);
        if (batch->errand)
            work_on_errand(batch);
        sweep_streams(batch);
        tell_figures(batch);
    }
    return NULL;
}

/* Runs the model once, so that its memory is taken and what a state takes is known before the first request. */
static lmu_status warm_up(Batch *batch)
{
    Session *session;
    char *data = NULL;
    const float *logits;
    lmu_status status;
    TRY(session_open(batch->shop.engine, &session));
    ATTEMPT(session_feed(session, &(uint32_t){0}, 1));
    ATTEMPT(session_logits(session, &logits));
    ATTEMPT(session_pack(session, NULL, &data, &batch->shop.state_bytes));
done:
    free(data);
    session_close(session);
    return status;
}

static lmu_status open_samplers(Batch *batch)
{
    StreamShop *shop = &batch->shop;
    int threads = shop->engine->model->backend->threads;
    TRY(memory_new(&shop->sampler, (size_t)threads, sizeof(Sampler *), "samplers"));
    for (; shop->samplers < threads; shop->samplers++)
        TRY(sampler_open(tokenizer_size(shop->engine->tokenizer), &shop->sampler[shop->samplers]));
    return LMU_OK;
}

lmu_status batch_open(Engine *engine, const BatchLimits *limits, Metrics *metrics, Batch **out)
{
    lmu_status status;
    Batch *batch = NULL;
    size_t streams = (size_t)limits->streams;
    *out = NULL;
    TRY(memory_new(&batch, 1, sizeof *batch, "streams"));
    batch->shop.engine = engine;
    batch->shop.metrics = metrics;
    batch->limits = *limits;
    batch->waiting_end = &batch->waiting;
    batch->arrived_end = &batch->arrived;
    batch->errand_end = &batch->errand;
    batch->sent_end = &batch->sent;
    pthread_mutex_init(&batch->lock, NULL);
    pthread_cond_init(&batch->change, NULL);
    ATTEMPT(memory_new(&batch->stream, streams, sizeof(Stream *), "streams"));
    ATTEMPT(memory_new(&batch->running, streams, sizeof(Session *), "streams"));
    ATTEMPT(memory_new(&batch->runner, streams, sizeof(Stream *), "streams"));
    ATTEMPT(open_samplers(batch));
    ATTEMPT(state_cache_open(limits->cache_bytes, &batch->shop.cache));
    ATTEMPT(warm_up(batch));
    if (pthread_create(&batch->thread, NULL, batch_main, batch) != 0)
        ATTEMPT(error_set(LMU_MEMORY, "no thread for the engine"));
    batch->started = true;
    *out = batch;
    return LMU_OK;
done:
    batch_close(batch);
    return status;
}

void batch_close(Batch *batch)
{
    if (!batch)
        return;
    if (batch->started) {
        change(batch, &batch->closing);
        pthread_join(batch->thread, NULL);
    }
    state_cache_close(batch->shop.cache);
    for (int i = 0; i < batch->shop.samplers; i++)
        sampler_close(batch->shop.sampler[i]);
    free(batch->shop.sampler);
    free(batch->stream);
    free(batch->running);
    free(batch->runner);
    pthread_mutex_destroy(&batch->lock);
    pthread_cond_destroy(&batch->change);
    free(batch);
}
