#include "serve/job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/machine.h"
#include "base/memory.h"
#include "serve/random_id.h"

static lmu_status open_choices(Job *job)
{
    const CompletionRequest *request = &job->request;
    job->choices = request->prompt_count * (size_t)request->n;
    TRY(memory_new(&job->prompt, request->prompt_count, sizeof *job->prompt, "a request"));
    TRY(memory_new(&job->choice, job->choices, sizeof *job->choice, "a request"));
    for (size_t i = 0; i < job->choices; i++) {
        job->choice[i].index = i;
        job->choice[i].prompt = i / (size_t)request->n;
    }
    return LMU_OK;
}

lmu_status job_open(CompletionRequest *request, const char *model, Job **out)
{
    lmu_status status;
    Job *job = NULL;
    char digits[25];
    *out = NULL;
    ATTEMPT(memory_new(&job, 1, sizeof *job, "a request"));
    pthread_mutex_init(&job->lock, NULL);
    job->request = *request;
    *request = (CompletionRequest){0};
    job->model = model;
    job->created = (int64_t)time(NULL);
    job->arrived = machine_seconds();
    atomic_init(&job->references, 1);
    ATTEMPT(random_id(digits, 24));
    snprintf(job->id, sizeof job->id, "cmpl-%s", digits);
    if (!job->request.has_seed)
        ATTEMPT(random_bytes(&job->request.settings.sample.seed, sizeof job->request.settings.sample.seed));
    ATTEMPT(open_choices(job));
    *out = job;
    return LMU_OK;
done:
    request_free(request);
    job_unref(job);
    return status;
}

Job *job_ref(Job *job)
{
    atomic_fetch_add(&job->references, 1);
    return job;
}

void job_unref(Job *job)
{
    if (!job || atomic_fetch_sub(&job->references, 1) > 1)
        return;
    for (size_t i = 0; job->choice && i < job->choices; i++) {
        bytes_free(&job->choice[i].text);
        token_records_free(&job->choice[i].records);
        free(job->choice[i].state);
    }
    for (size_t i = 0; job->prompt && i < job->request.prompt_count; i++)
        token_records_free(&job->prompt[i].echo);
    free(job->choice);
    free(job->prompt);
    bytes_free(&job->out);
    request_free(&job->request);
    pthread_mutex_destroy(&job->lock);
    free(job);
}

int64_t job_tokens_read(const Job *job)
{
    int64_t sum = 0;
    for (size_t i = 0; i < job->request.prompt_count; i++)
        sum += (int64_t)job->request.prompt[i].ids.count;
    return sum;
}

int64_t job_tokens_written(const Job *job)
{
    int64_t sum = 0;
    for (size_t i = 0; i < job->choices; i++)
        sum += job->choice[i].tokens;
    return sum;
}

/* -- JSON --------------------------------------------------------------------------------------------------------------- */

static json_t *usage_json(const Job *job)
{
    int64_t read = job_tokens_read(job), written = job_tokens_written(job), cached = 0;
    for (size_t i = 0; i < job->request.prompt_count; i++)
        cached += (int64_t)job->prompt[i].cached;
    return json_pack("{s:I, s:I, s:I, s:{s:I}}", "prompt_tokens", (json_int_t)read, "completion_tokens",
                     (json_int_t)written, "total_tokens", (json_int_t)(read + written), "prompt_tokens_details",
                     "cached_tokens", (json_int_t)cached);
}

/* The records that the choice has, behind those of an echoed prompt; null where none are asked for. */
static lmu_status logprobs_json(const Job *job, const Tokenizer *tokenizer, Choice *choice, json_t **out)
{
    const CompletionRequest *r = &job->request;
    bool alternatives = r->logprobs > 0;
    *out = r->logprobs >= 0 ? logprobs_object() : json_null();
    if (!*out)
        return error_set(LMU_MEMORY, "no memory for an answer");
    if (r->logprobs < 0)
        return LMU_OK;
    if (r->echo && !choice->echoed) /* a prompt's special tokens are part of its text */
        TRY(logprobs_append(*out, tokenizer, &job->prompt[choice->prompt].echo, alternatives, true, &choice->place));
    choice->echoed = true;
    TRY(logprobs_append(*out, tokenizer, &choice->records, alternatives, r->settings.specials, &choice->place));
    token_records_clear(&choice->records);
    return LMU_OK;
}

static const char *finish_reason(const Choice *choice)
{
    if (!choice->finished)
        return NULL;
    return choice->finish == FINISH_LENGTH ? "length" : "stop";
}

/* What the choice has, which is gone from it then. */
static lmu_status choice_json(const Job *job, const Tokenizer *tokenizer, Choice *choice, json_t **out)
{
    json_t *logprobs;
    *out = NULL;
    lmu_status status = logprobs_json(job, tokenizer, choice, &logprobs);
    if (status != LMU_OK) {
        json_decref(logprobs);
        return status;
    }
    *out = json_pack(
        "{s:o, s:I, s:o, s:s?}", "text",
        json_stringn(choice->text.data ? choice->text.data + choice->text.start : "", bytes_size(&choice->text)),
        "index", (json_int_t)choice->index, "logprobs", logprobs, "finish_reason", finish_reason(choice));
    choice->text.start = choice->text.end = 0;
    bool whole = *out != NULL;
    if (whole && choice->finished && choice->state) {
        json_t *state = job->request.state_keep ? json_pack("{s:s}", "id", choice->state) : json_string(choice->state);
        whole = json_object_set_new(*out, "state", state) == 0;
    }
    return whole ? LMU_OK : error_set(LMU_MEMORY, "no memory for an answer");
}

/* The object around choices, which are taken over. */
static json_t *completion_json(const Job *job, json_t *choices)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:o}", "id", job->id, "object", "text_completion", "created",
                     (json_int_t)job->created, "model", job->model, "choices", choices);
}

lmu_status job_answer(Job *job, const Tokenizer *tokenizer, char **text, size_t *size)
{
    lmu_status status = LMU_OK;
    json_t *choices = json_array(), *one, *whole = NULL;
    *text = NULL;
    for (size_t i = 0; choices && i < job->choices; i++) {
        status = choice_json(job, tokenizer, &job->choice[i], &one);
        if (status == LMU_OK && json_array_append_new(choices, one) == 0)
            continue;
        if (status != LMU_OK)
            json_decref(one);
        json_decref(choices);
        return status != LMU_OK ? status : error_set(LMU_MEMORY, "no memory for an answer");
    }
    whole = completion_json(job, choices);
    if (whole && json_object_set_new(whole, "usage", usage_json(job)) == 0)
        *text = json_dumps(whole, JSON_COMPACT | JSON_REAL_PRECISION(JSON_DIGITS));
    json_decref(whole);
    if (!*text)
        return error_set(LMU_MEMORY, "no memory for an answer");
    *size = strlen(*text);
    return LMU_OK;
}

/* -- the engine's side -------------------------------------------------------------------------------------------------- */

/* With the lock. The connection stands as long as it is suspended. */
static void wake(Job *job)
{
    if (!job->suspended)
        return;
    job->suspended = false;
    job->resume(job->connection);
}

void job_begin(Job *job)
{
    pthread_mutex_lock(&job->lock);
    if (job->stage == JOB_QUEUED) {
        job->stage = JOB_RUNS;
        if (job->request.stream)
            wake(job);
    }
    pthread_mutex_unlock(&job->lock);
}

/* An event with these choices, which are taken over; usage as asked for. */
static lmu_status put_chunk(Job *job, json_t *choices, bool with_usage)
{
    json_t *chunk = completion_json(job, choices);
    bool whole = chunk != NULL;
    if (whole && job->request.include_usage)
        whole = json_object_set_new(chunk, "usage", with_usage ? usage_json(job) : json_null()) == 0;
    pthread_mutex_lock(&job->lock);
    lmu_status status = bytes_put_json(&job->out, whole ? chunk : NULL);
    if (bytes_size(&job->out) > JOB_ROOM)
        atomic_store(&job->full, true);
    wake(job);
    pthread_mutex_unlock(&job->lock);
    json_decref(chunk);
    return status;
}

lmu_status job_send(Job *job, const Tokenizer *tokenizer, Choice *choice)
{
    json_t *one;
    bool echo = job->request.echo && job->request.logprobs >= 0 && !choice->echoed;
    if (!job->request.stream ||
        (bytes_size(&choice->text) == 0 && choice->records.count == 0 && !choice->finished && !echo))
        return LMU_OK;
    lmu_status status = choice_json(job, tokenizer, choice, &one);
    if (status != LMU_OK) {
        json_decref(one);
        return status;
    }
    return put_chunk(job, json_pack("[o]", one), false);
}

/* The engine is done with it. */
static void job_close_stage(Job *job)
{
    job->over = true;
    job->stage = JOB_OVER;
    wake(job);
}

void job_end(Job *job)
{
    ApiError error = {0};
    lmu_status status = LMU_OK;
    if (job->over)
        return;
    if (job->request.stream && job->request.include_usage)
        status = put_chunk(job, json_array(), true);
    pthread_mutex_lock(&job->lock);
    if (status == LMU_OK && job->request.stream)
        status = bytes_put_event(&job->out, EVENT_DONE);
    if (status == LMU_OK)
        job_close_stage(job);
    pthread_mutex_unlock(&job->lock);
    if (status != LMU_OK) {
        api_error_take(&error, status, false, NULL);
        job_fail(job, &error);
    }
}

/* A stream that was begun tells of the error by an event; there is no [DONE] behind it. */
void job_fail(Job *job, const ApiError *error)
{
    if (job->over)
        return;
    pthread_mutex_lock(&job->lock);
    job->error = *error;
    if (job->request.stream && job->stage == JOB_RUNS) {
        char *text = api_error_text(error);
        if (text && bytes_put_event(&job->out, text) != LMU_OK)
            error_clear();
        free(text);
    }
    job_close_stage(job);
    pthread_mutex_unlock(&job->lock);
}

void job_cancel(Job *job, JobCancel reason)
{
    int none = CANCEL_NOT;
    atomic_compare_exchange_strong(&job->cancel, &none, reason);
}
