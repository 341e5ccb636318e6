/* The public functions of include/lmu.h: engines, sessions and texts behind a lock, and checks of what a stranger might pass. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "infer/generate.h"

struct lmu_model {
    Backend *backend;
    Engine engine;
    pthread_mutex_t turn; /* sessions share memory, and each run uses all threads */
};

struct lmu_stream {
    lmu_model *model;
    Session *session;
};

struct lmu_text {
    Incremental *incremental;
    IdList list;
};

struct lmu_writer {
    Generation *generation;
    Sampler *sampler;
};

static lmu_status done_with(lmu_model *model, lmu_status status)
{
    pthread_mutex_unlock(&model->turn);
    return status;
}

static lmu_status missing(const char *what)
{
    return error_set(LMU_USAGE, "%s is NULL", what);
}

/* -- models -- */

lmu_status lmu_model_open(const char *path, const lmu_model_options *options, lmu_model **out)
{
    lmu_status status;
    lmu_model_options chosen = options ? *options : (lmu_model_options){0};
    lmu_model *model = NULL;
    if (!path || !out)
        return missing(path ? "out" : "the path of a model");
    *out = NULL;
    if (chosen.threads < 0 || (int)chosen.compute < 0 || chosen.compute > LMU_COMPUTE_BF16)
        return error_set(LMU_USAGE, "options of a model: %d threads, compute %d", chosen.threads, (int)chosen.compute);
    TRY(memory_new(&model, 1, sizeof *model, "a model"));
    pthread_mutex_init(&model->turn, NULL);
    ATTEMPT(engine_open_run(path, chosen.threads, (ComputeChoice)chosen.compute, &model->backend, &model->engine));
    *out = model;
    model = NULL;
done:
    lmu_model_close(model);
    return status;
}

void lmu_model_close(lmu_model *model)
{
    if (!model)
        return;
    engine_close(&model->engine);
    backend_close(model->backend);
    pthread_mutex_destroy(&model->turn);
    free(model);
}

size_t lmu_model_vocabulary(const lmu_model *model)
{
    return (size_t)model->engine.model->config.vocabulary;
}

const char *lmu_model_architecture(const lmu_model *model)
{
    return model->engine.model->config.arch;
}

int64_t lmu_model_end_of_text(const lmu_model *model)
{
    return tokenizer_end_of_text(model->engine.tokenizer);
}

lmu_status lmu_model_digest(lmu_model *model, const char **digest)
{
    if (!model || !digest)
        return missing(model ? "digest" : "the model");
    pthread_mutex_lock(&model->turn);
    return done_with(model, engine_digest(&model->engine, digest));
}

const char *lmu_model_token(const lmu_model *model, uint32_t id, size_t *size)
{
    *size = 0;
    return id < lmu_model_vocabulary(model) ? tokenizer_bytes(model->engine.tokenizer, id, size) : NULL;
}

/* -- streams -- */

/* `from` NULL: a stream that has read nothing. */
static lmu_status stream_new(lmu_model *model, const Session *from, lmu_stream **out)
{
    lmu_stream *stream;
    *out = NULL;
    TRY(memory_new(&stream, 1, sizeof *stream, "a stream"));
    stream->model = model;
    pthread_mutex_lock(&model->turn);
    lmu_status status = from ? session_branch(from, &stream->session) : session_open(&model->engine, &stream->session);
    pthread_mutex_unlock(&model->turn);
    if (status == LMU_OK)
        *out = stream;
    else
        free(stream);
    return status;
}

lmu_status lmu_stream_open(lmu_model *model, lmu_stream **out)
{
    if (!model || !out)
        return missing(model ? "out" : "the model");
    return stream_new(model, NULL, out);
}

void lmu_stream_close(lmu_stream *stream)
{
    if (!stream)
        return;
    pthread_mutex_lock(&stream->model->turn);
    session_close(stream->session);
    pthread_mutex_unlock(&stream->model->turn);
    free(stream);
}

void lmu_stream_reset(lmu_stream *stream)
{
    pthread_mutex_lock(&stream->model->turn);
    session_reset(stream->session);
    pthread_mutex_unlock(&stream->model->turn);
}

lmu_status lmu_stream_branch(const lmu_stream *stream, lmu_stream **out)
{
    if (!stream || !out)
        return missing(stream ? "out" : "the stream");
    return stream_new(stream->model, stream->session, out);
}

lmu_status lmu_stream_copy(lmu_stream *to, const lmu_stream *from)
{
    if (!to || !from)
        return missing("a stream");
    if (to->model != from->model)
        return error_set(LMU_USAGE, "a stream can be made a copy only of one of the same model");
    pthread_mutex_lock(&to->model->turn);
    session_copy(to->session, from->session);
    return done_with(to->model, LMU_OK);
}

int64_t lmu_stream_position(const lmu_stream *stream)
{
    return session_position(stream->session);
}

lmu_status lmu_stream_feed(lmu_stream *stream, const uint32_t *ids, size_t count)
{
    if (!stream || (!ids && count > 0))
        return missing(stream ? "ids" : "the stream");
    pthread_mutex_lock(&stream->model->turn);
    return done_with(stream->model, session_feed(stream->session, ids, count));
}

lmu_status lmu_stream_logits(lmu_stream *stream, float *logits)
{
    const float *found;
    if (!stream || !logits)
        return missing(stream ? "logits" : "the stream");
    pthread_mutex_lock(&stream->model->turn);
    lmu_status status = session_logits(stream->session, &found);
    if (status == LMU_OK)
        memcpy(logits, found, lmu_model_vocabulary(stream->model) * sizeof *logits);
    return done_with(stream->model, status);
}

/* Where the next logits go. */
typedef struct Each {
    float *logits;
    size_t vocabulary;
} Each;

static lmu_status keep_logits(void *context, int64_t position, const float *logits)
{
    (void)position;
    Each *each = context;
    memcpy(each->logits, logits, each->vocabulary * sizeof *logits);
    each->logits += each->vocabulary;
    return LMU_OK;
}

lmu_status lmu_stream_feed_logits(lmu_stream *stream, const uint32_t *ids, size_t count, float *logits)
{
    if (!stream || (count > 0 && (!ids || !logits)))
        return missing(!stream ? "the stream" : ids ? "logits" : "ids");
    Each each = {logits, lmu_model_vocabulary(stream->model)};
    pthread_mutex_lock(&stream->model->turn);
    return done_with(stream->model, session_feed_each(stream->session, ids, count, keep_logits, &each));
}

/* -- several streams -- */

/* What can be refused is refused here, before any stream has read anything. */
static lmu_status check_parts(const lmu_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!parts[i].stream || (!parts[i].ids && parts[i].count > 0))
            return error_set(LMU_USAGE, "part %zu: %s is NULL", i, parts[i].stream ? "ids" : "the stream");
        if (parts[i].stream->model != parts[0].stream->model)
            return error_set(LMU_USAGE, "part %zu: its stream is of another model than that of part 0", i);
        if (session_position(parts[i].stream->session) == 0 && parts[i].count == 0 && parts[i].logits)
            return error_set(LMU_USAGE, "part %zu: a stream that has read nothing has no logits", i);
        lmu_status status = session_check(parts[i].stream->session, parts[i].ids, parts[i].count);
        if (status != LMU_OK)
            return error_prefix(status, "part %zu: ", i);
    }
    return LMU_OK;
}

static int compare_streams(const void *a, const void *b)
{
    const lmu_stream *const *x = a, *const *y = b;
    return (*x > *y) - (*x < *y);
}

static lmu_status check_different(const lmu_part *parts, size_t count)
{
    const lmu_stream **sorted;
    TRY(memory_new(&sorted, count, sizeof *sorted, "streams"));
    for (size_t i = 0; i < count; i++)
        sorted[i] = parts[i].stream;
    qsort(sorted, count, sizeof *sorted, compare_streams);
    bool twice = false;
    for (size_t i = 1; i < count; i++)
        twice |= sorted[i] == sorted[i - 1];
    free(sorted);
    return twice ? error_set(LMU_USAGE, "a stream stands in two parts of one run") : LMU_OK;
}

/* All that the streams have to read, a block of each at a time; at the end, what waits only where logits are wanted. */
static lmu_status feed_parts(const lmu_part *parts, size_t count, Session **sessions, size_t *done)
{
    for (bool more = true; more;) {
        size_t running = 0;
        more = false;
        for (size_t i = 0; i < count; i++) {
            size_t taken = 0;
            Session *session = parts[i].stream->session;
            if (done[i] < parts[i].count)
                TRY(session_take(session, parts[i].ids + done[i], parts[i].count - done[i], &taken));
            done[i] += taken;
            more |= done[i] < parts[i].count;
            if (session_full(session) || (done[i] == parts[i].count && parts[i].logits))
                sessions[running++] = session;
        }
        TRY(sessions_run(sessions, running));
    }
    for (size_t i = 0; i < count; i++) {
        const float *found;
        if (!parts[i].logits)
            continue;
        TRY(session_logits(sessions[0] = parts[i].stream->session, &found));
        memcpy(parts[i].logits, found, lmu_model_vocabulary(parts[i].stream->model) * sizeof *found);
    }
    return LMU_OK;
}

lmu_status lmu_streams_feed(const lmu_part *parts, size_t count)
{
    lmu_status status;
    Session **sessions = NULL;
    size_t *done = NULL;
    if (count == 0)
        return LMU_OK;
    if (!parts || !parts[0].stream)
        return missing(parts ? "part 0: the stream" : "parts");
    lmu_model *model = parts[0].stream->model;
    pthread_mutex_lock(&model->turn);
    ATTEMPT(check_parts(parts, count));
    ATTEMPT(check_different(parts, count));
    ATTEMPT(memory_new(&sessions, count, sizeof *sessions, "streams"));
    ATTEMPT(memory_new(&done, count, sizeof *done, "streams"));
    ATTEMPT(feed_parts(parts, count, sessions, done));
done:
    free(sessions);
    free(done);
    return done_with(model, status);
}

/* -- text -- */

lmu_status lmu_text_open(lmu_model *model, int specials, lmu_text **out)
{
    lmu_text *text;
    if (!model || !out)
        return missing(model ? "out" : "the model");
    *out = NULL;
    TRY(memory_new(&text, 1, sizeof *text, "a text"));
    lmu_status status = incremental_open(model->engine.tokenizer, specials != 0, &text->incremental);
    if (status == LMU_OK)
        *out = text;
    else
        lmu_text_close(text);
    return status;
}

void lmu_text_close(lmu_text *text)
{
    if (!text)
        return;
    incremental_close(text->incremental);
    free(text->list.id);
    free(text);
}

static lmu_status give_ids(lmu_text *text, lmu_status status, const uint32_t **ids, size_t *count)
{
    *ids = text->list.id;
    *count = status == LMU_OK ? text->list.count : 0;
    return status;
}

lmu_status lmu_text_push(lmu_text *text, const char *bytes, size_t size, const uint32_t **ids, size_t *count)
{
    if (!text || (!bytes && size > 0) || !ids || !count)
        return missing("an argument of lmu_text_push");
    text->list.count = 0;
    return give_ids(text, incremental_push(text->incremental, bytes, size, &text->list), ids, count);
}

lmu_status lmu_text_end(lmu_text *text, const uint32_t **ids, size_t *count)
{
    if (!text || !ids || !count)
        return missing("an argument of lmu_text_end");
    text->list.count = 0;
    return give_ids(text, incremental_end(text->incremental, &text->list), ids, count);
}

/* -- writing -- */

lmu_settings lmu_settings_default(void)
{
    return (lmu_settings){.temperature = 1, .top_p = 1, .repetition_penalty = 1, .max_tokens = 200};
}

/* The settings with a bias of our own type: *bias is to be freed. */
static lmu_status take_settings(const lmu_settings *given, LogitBias **bias, GenerateSettings *settings)
{
    TRY(memory_new(bias, given->bias_count, sizeof **bias, "a writer"));
    for (size_t i = 0; i < given->bias_count; i++)
        (*bias)[i] = (LogitBias){given->bias[i].id, given->bias[i].bias};
    *settings = (GenerateSettings){.sample = {.temperature = given->temperature,
                                              .top_k = given->top_k,
                                              .top_p = given->top_p,
                                              .min_p = given->min_p,
                                              .repetition_penalty = given->repetition_penalty,
                                              .presence_penalty = given->presence_penalty,
                                              .frequency_penalty = given->frequency_penalty,
                                              .bias = *bias,
                                              .bias_count = given->bias_count,
                                              .seed = given->seed},
                                   .max_tokens = given->max_tokens,
                                   .specials = given->specials != 0,
                                   .stop = given->stop,
                                   .stop_count = given->stop_count,
                                   .logprobs = true,
                                   .alternatives = given->alternatives};
    return LMU_OK;
}

lmu_status lmu_writer_open(lmu_model *model, const lmu_settings *settings, lmu_writer **out)
{
    lmu_status status;
    lmu_writer *writer = NULL;
    LogitBias *bias = NULL;
    GenerateSettings taken;
    lmu_settings chosen = settings ? *settings : lmu_settings_default();
    if (!model || !out || (!chosen.bias && chosen.bias_count > 0) || (!chosen.stop && chosen.stop_count > 0))
        return missing("an argument of lmu_writer_open");
    *out = NULL;
    TRY(memory_new(&writer, 1, sizeof *writer, "a writer"));
    ATTEMPT(take_settings(&chosen, &bias, &taken));
    ATTEMPT(generation_open(model->engine.tokenizer, &taken, &writer->generation));
    ATTEMPT(sampler_open((int64_t)lmu_model_vocabulary(model), &writer->sampler));
    *out = writer;
    writer = NULL;
done:
    free(bias);
    lmu_writer_close(writer);
    return status;
}

void lmu_writer_close(lmu_writer *writer)
{
    if (!writer)
        return;
    generation_close(writer->generation);
    sampler_close(writer->sampler);
    free(writer);
}

lmu_status lmu_writer_read(lmu_writer *writer, const uint32_t *ids, size_t count)
{
    if (!writer || (!ids && count > 0))
        return missing("an argument of lmu_writer_read");
    return generation_read(writer->generation, ids, count);
}

static lmu_finish finish_of(FinishReason reason)
{
    static const lmu_finish finish[] = {[FINISH_NONE] = LMU_FINISH_NONE,
                                        [FINISH_LENGTH] = LMU_FINISH_LENGTH,
                                        [FINISH_STOP] = LMU_FINISH_STOP,
                                        [FINISH_END_OF_TEXT] = LMU_FINISH_END_OF_TEXT};
    return finish[reason];
}

lmu_status lmu_writer_next(lmu_writer *writer, const float *logits, int64_t position, lmu_event *event)
{
    GenerationEvent found;
    if (!writer || !logits || !event)
        return missing("an argument of lmu_writer_next");
    TRY(generation_next(writer->generation, writer->sampler, logits, position, &found));
    *event = (lmu_event){.id = (uint32_t)found.token,
                         .text = found.text,
                         .size = found.size,
                         .logprob = found.logprobs.chosen,
                         .alternatives_count = found.logprobs.count,
                         .finish = finish_of(found.finish)};
    for (int i = 0; i < found.logprobs.count; i++)
        event->alternatives[i] = (lmu_logprob){found.logprobs.likeliest[i].token, found.logprobs.likeliest[i].value};
    return LMU_OK;
}

/* -- states -- */

lmu_status lmu_stream_save(lmu_stream *stream, const lmu_text *text, const char *path)
{
    if (!stream || !path)
        return missing(stream ? "the path of a state" : "the stream");
    pthread_mutex_lock(&stream->model->turn);
    return done_with(stream->model, session_save(stream->session, text ? text->incremental : NULL, path));
}

lmu_status lmu_stream_export(lmu_stream *stream, const lmu_text *text, void **data, size_t *size)
{
    char *bytes;
    if (!stream || !data || !size)
        return missing("an argument of lmu_stream_export");
    pthread_mutex_lock(&stream->model->turn);
    lmu_status status = session_pack(stream->session, text ? text->incremental : NULL, &bytes, size);
    *data = status == LMU_OK ? bytes : NULL;
    return done_with(stream->model, status);
}

lmu_status lmu_stream_load(lmu_stream *stream, lmu_text *text, const char *path)
{
    if (!stream || !path)
        return missing(stream ? "the path of a state" : "the stream");
    pthread_mutex_lock(&stream->model->turn);
    return done_with(stream->model, session_load(stream->session, text ? text->incremental : NULL, path));
}

lmu_status lmu_stream_import(lmu_stream *stream, lmu_text *text, const void *data, size_t size)
{
    if (!stream || (!data && size > 0))
        return missing(stream ? "data" : "the stream");
    pthread_mutex_lock(&stream->model->turn);
    return done_with(stream->model,
                     session_unpack(stream->session, text ? text->incremental : NULL, data, size, "a state in memory"));
}

void lmu_free(void *data)
{
    free(data);
}
