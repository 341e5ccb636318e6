/* POST /v1/completions: from the body to a job, and from the job to the answer. */
#include <string.h>

#include "serve/server.h"

static void resume(void *connection)
{
    MHD_resume_connection(connection);
}

/* With the job's lock: the connection sleeps until the job has something for it. */
static void sleep_on(Job *job, struct MHD_Connection *connection)
{
    job->suspended = true;
    job->resume = resume;
    job->connection = connection;
    MHD_suspend_connection(connection);
}

/* The watch over connections may look at the job from here on; until it is taken away by http.c. */
static void show_job(Exchange *exchange)
{
    pthread_mutex_lock(&exchange->server->links_lock);
    exchange->link->job = exchange->job;
    pthread_mutex_unlock(&exchange->server->links_lock);
}

/* What the request says of the model and of numbers that need the ids. */
static lmu_status read_request(Exchange *exchange, CompletionRequest *request)
{
    const Server *server = exchange->server;
    const Tokenizer *tokenizer = server->engine->tokenizer;
    const RequestLimits *limits = &server->settings->request;
    TRY(request_parse(exchange->body.data, bytes_size(&exchange->body), limits, tokenizer_size(tokenizer), request,
                      &exchange->error));
    if (request->model && strcmp(request->model, server->settings->name) != 0)
        return api_error_set(&exchange->error, 404, "model_not_found", "model", "The model '%.80s' does not exist",
                             request->model);
    return request_tokenize(request, server->texts, limits, &exchange->error);
}

/* A new job; the connection sleeps then. */
static lmu_status begin(Exchange *exchange)
{
    Server *server = exchange->server;
    CompletionRequest request = {0};
    lmu_status status = read_request(exchange, &request);
    bytes_free(&exchange->body);
    if (status != LMU_OK) {
        request_free(&request);
        return status;
    }
    TRY(job_open(&request, server->settings->name, &exchange->job));
    show_job(exchange);
    Job *job = exchange->job;
    pthread_mutex_lock(&job->lock);
    status = batch_submit(server->batch, job, &exchange->error);
    if (status == LMU_OK) {
        sleep_on(job, exchange->connection);
        exchange->suspended = true;
    }
    pthread_mutex_unlock(&job->lock);
    return status;
}

bool completions_streams(const Exchange *exchange)
{
    return exchange->job && exchange->job->request.stream;
}

lmu_status completions_answer(Exchange *exchange, Reply *reply)
{
    exchange->suspended = false;
    if (!exchange->job)
        return begin(exchange);
    Job *job = exchange->job;
    pthread_mutex_lock(&job->lock);
    JobStage stage = job->stage;
    if (stage == JOB_OVER)
        exchange->error = job->error;
    else if (stage == JOB_QUEUED ||
             !job->request.stream) { /* resumed too early: by no one of us, but it costs nothing */
        sleep_on(job, exchange->connection);
        exchange->suspended = true;
    }
    pthread_mutex_unlock(&job->lock);
    if (exchange->error.status != 0)
        return LMU_USAGE;
    reply->status = 200;
    reply->type = job->request.stream ? "text/event-stream" : "application/json";
    if (exchange->suspended || job->request.stream)
        return LMU_OK;
    return job_answer(job, exchange->server->engine->tokenizer, &reply->text, &reply->size);
}

/* libmicrohttpd asks for events to send: what is there; nothing, and the connection sleeps; or the end. */
ssize_t completions_read(void *context, uint64_t position, char *out, size_t room)
{
    Exchange *exchange = context;
    Job *job = exchange->job;
    bool has_room = false;
    ssize_t result = 0;
    (void)position;
    pthread_mutex_lock(&job->lock);
    size_t size = bytes_take(&job->out, out, room);
    if (job->full && bytes_size(&job->out) < JOB_ROOM / 2) {
        job->full = false;
        has_room = true;
    }
    if (size > 0)
        result = (ssize_t)size;
    else if (job->stage == JOB_OVER)
        result = MHD_CONTENT_READER_END_OF_STREAM;
    else
        sleep_on(job, exchange->connection);
    pthread_mutex_unlock(&job->lock);
    if (has_room)
        batch_wake(exchange->server->batch);
    return result;
}
