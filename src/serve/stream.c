#include "serve/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"
#include "base/memory.h"
#include "serve/base64.h"
#include "serve/random_id.h"

/* -- beginning ---------------------------------------------------------------------------------------------------------- */

static lmu_status open_generation(Stream *stream)
{
    const CompletionRequest *request = &stream->job->request;
    GenerateSettings settings = request->settings;
    settings.stop = request->stop;
    settings.sample.seed += stream->choice->index % (size_t)request->n;
    return generation_open(stream->shop->engine->tokenizer, &settings, &stream->generation);
}

/* Where the state came with the text in whose pieces its ids came, the prompt goes on with that text: bytes whose ids were not
 * certain come before it, and ids are those of the whole. */
static lmu_status prompt_behind(Stream *stream, Incremental *text)
{
    RequestPrompt *prompt = stream->prompt;
    IdList ids = {0};
    lmu_status status;
    if (prompt->text)
        ATTEMPT(incremental_push(text, prompt->text, prompt->size, &ids));
    ATTEMPT(incremental_end(text, &ids));
    if (!prompt->text) {
        size_t more = prompt->ids.count;
        ATTEMPT(memory_grow(&ids.id, &ids.capacity, ids.count + more, sizeof *ids.id, "a prompt"));
        if (more > 0)
            memcpy(ids.id + ids.count, prompt->ids.id, more * sizeof *ids.id);
        ids.count += more;
    }
    free(prompt->ids.id);
    prompt->ids = ids;
    return LMU_OK;
done:
    free(ids.id);
    return status;
}

static lmu_status find_state(Stream *stream, const void **data, size_t *size, ApiError *error)
{
    CompletionRequest *request = &stream->job->request;
    *data = request->state;
    *size = request->state_size;
    if (request->start != START_ID)
        return LMU_OK;
    *data = state_cache_get(stream->shop->cache, &request->state_key, size);
    atomic_fetch_add(*data ? &stream->shop->metrics->cache_hits : &stream->shop->metrics->cache_misses, 1);
    if (*data)
        return LMU_OK;
    return api_error_set(error, 400, "state_not_found", "state",
                         "No state is kept under this id: it never was, or others took its place since. Send the text "
                         "again");
}

/* The session starts where the client's state, or one that was kept, stood. */
static lmu_status start_from_state(Stream *stream, ApiError *error)
{
    const void *data;
    size_t size;
    bool in_text = false;
    Incremental *text = NULL;
    lmu_status status;
    ATTEMPT(find_state(stream, &data, &size, error));
    status = session_unpack(stream->session, NULL, data, size, "state");
    if (status == LMU_MISMATCH) { /* of another model, or saved with its text */
        ATTEMPT(incremental_open(stream->shop->engine->tokenizer, stream->job->request.settings.specials, &text));
        status = session_unpack(stream->session, text, data, size, "state");
        in_text = status == LMU_OK;
    }
    if (status != LMU_OK && status != LMU_MEMORY)
        api_error_set(error, 400, "invalid_state", "state", "'state' is not accepted: %s", lmu_error_message());
    if (in_text && !stream->shared->led)
        status = prompt_behind(stream, text);
    if (status == LMU_OK && session_position(stream->session) == 0 && stream->prompt->ids.count == 0)
        status = api_error_set(error, 400, NULL, "prompt", "The prompt is empty, and the state has read nothing");
done:
    incremental_close(text);
    return status;
}

/* The longest beginning of the prompt whose state is in the cache. A state that does not load is no reason to fail. */
static void start_from_cache(Stream *stream)
{
    StreamShop *shop = stream->shop;
    RequestPrompt *prompt = stream->prompt;
    size_t size;
    stream->fresh = prompt->key != NULL;
    for (size_t blocks = prompt->key_count; blocks > 0; blocks--) {
        const char *data = state_cache_get(shop->cache, &prompt->key[blocks - 1], &size);
        if (!data || session_unpack(stream->session, NULL, data, size, "a state of the cache") != LMU_OK)
            continue;
        stream->read = blocks * SESSION_BLOCK;
        if (!stream->shared->led)
            stream->shared->cached = stream->read;
        atomic_fetch_add(&shop->metrics->cache_hits, 1);
        atomic_fetch_add(&shop->metrics->tokens_cached, stream->read);
        return;
    }
    if (prompt->key_count > 0)
        atomic_fetch_add(&shop->metrics->cache_misses, 1);
}

static lmu_status start(Stream *stream, ApiError *error)
{
    const CompletionRequest *request = &stream->job->request;
    if (stream->shared->led && !stream->shared->read) {
        stream->stage = STREAM_FOLLOWS;
        return LMU_OK;
    }
    if (request->start != START_FRESH)
        TRY(start_from_state(stream, error));
    int64_t need = (int64_t)stream->prompt->ids.count + request->settings.max_tokens;
    if (session_reach(stream->session, need) != LMU_OK)
        return api_error_set(error, 400, "context_length_exceeded", "prompt",
                             "This model's context is shorter than the prompt's %zu tokens and the %lld that you asked "
                             "to write: %s",
                             stream->prompt->ids.count, (long long)request->settings.max_tokens, lmu_error_message());
    if (request->start == START_FRESH)
        start_from_cache(stream);
    stream->shared->led = true;
    return LMU_OK;
}

lmu_status stream_open(StreamShop *shop, Job *job, Stream **out, ApiError *error)
{
    lmu_status status;
    Stream *stream = NULL;
    *out = NULL;
    TRY(memory_new(&stream, 1, sizeof *stream, "a text"));
    stream->shop = shop;
    stream->job = job_ref(job);
    stream->choice = &job->choice[job->next++];
    stream->prompt = &job->request.prompt[stream->choice->prompt];
    stream->shared = &job->prompt[stream->choice->prompt];
    ATTEMPT(open_generation(stream));
    ATTEMPT(session_open(shop->engine, &stream->session));
    ATTEMPT(start(stream, error));
    *out = stream;
    return LMU_OK;
done:
    stream_close(stream);
    return status;
}

void stream_close(Stream *stream)
{
    if (!stream)
        return;
    generation_close(stream->generation);
    session_close(stream->session);
    job_unref(stream->job);
    free(stream);
}

/* -- reading ------------------------------------------------------------------------------------------------------------ */

static size_t room_of_block(const Stream *stream)
{
    return (size_t)(SESSION_BLOCK - session_position(stream->session) % SESSION_BLOCK);
}

size_t stream_wants(const Stream *stream)
{
    size_t rest = stream->prompt->ids.count - stream->read, room = room_of_block(stream);
    if (stream->stage != STREAM_READS)
        return 0;
    return rest < room ? rest : room;
}

static lmu_status note_logprobs(Stream *stream, size_t index, const float *logits)
{
    Logprobs found;
    const CompletionRequest *request = &stream->job->request;
    int32_t token = (int32_t)stream->prompt->ids.id[index];
    if (!logits)
        return token_records_add(&stream->shared->echo, token, NULL);
    TRY(logprobs_find(logits, tokenizer_size(stream->shop->engine->tokenizer), token, request->logprobs, &found));
    return token_records_add(&stream->shared->echo, token, &found);
}

/* The logits behind a token of the prompt tell what the next one had. */
static lmu_status visit_token(void *context, int64_t position, const float *logits)
{
    Stream *stream = context;
    (void)position;
    stream->read++;
    if (stream->shared->read || stream->read == stream->prompt->ids.count)
        return LMU_OK;
    return note_logprobs(stream, stream->read, logits);
}

static lmu_status read_each(Stream *stream, size_t count)
{
    const float *logits = NULL;
    if (stream->read == 0 && count > 0 && !stream->prompt->begun && !stream->shared->read) {
        if (session_position(stream->session) > 0)
            TRY(session_logits(stream->session, &logits));
        TRY(note_logprobs(stream, 0, logits));
    }
    return session_feed_each(stream->session, stream->prompt->ids.id + stream->read, count, visit_token, stream);
}

lmu_status stream_read(Stream *stream)
{
    size_t count = stream_wants(stream), taken = count;
    if (request_reads_each(&stream->job->request)) /* also where another choice noted them: no bit shall tell */
        TRY(read_each(stream, count));
    else {
        TRY(session_take(stream->session, stream->prompt->ids.id + stream->read, count, &taken));
        stream->read += taken;
    }
    atomic_fetch_add(&stream->shop->metrics->tokens_read, taken);
    return LMU_OK;
}

/* Behind a whole block. A state that cannot be kept is no reason to fail. */
static void keep_block(Stream *stream)
{
    StreamShop *shop = stream->shop;
    char *data;
    size_t size;
    bool kept;
    if (!stream->fresh || stream->read == 0 || stream->read % SESSION_BLOCK != 0)
        return;
    const StateKey *key = &stream->prompt->key[stream->read / SESSION_BLOCK - 1];
    if (!state_cache_has(shop->cache, key) && session_pack(stream->session, NULL, &data, &size) == LMU_OK)
        state_cache_put(shop->cache, key, data, size, &kept);
}

/* -- writing ------------------------------------------------------------------------------------------------------------ */

/* The state behind the text, for the client or kept for it. */
static lmu_status give_state(Stream *stream)
{
    const CompletionRequest *request = &stream->job->request;
    char *data = NULL;
    size_t size;
    bool kept;
    StateKey key;
    if (!request->state_return && !request->state_keep)
        return LMU_OK;
    TRY(session_pack(stream->session, NULL, &data, &size));
    if (!request->state_keep) {
        lmu_status status = base64_from_bytes(data, size, &stream->choice->state);
        free(data);
        return status;
    }
    lmu_status status = memory_new(&stream->choice->state, STATE_ID + 1, 1, "a state's id");
    if (status == LMU_OK)
        status = random_id(stream->choice->state, STATE_ID);
    if (status != LMU_OK) {
        free(data);
        return status;
    }
    state_key_of_id(stream->choice->state, &key);
    state_cache_put(stream->shop->cache, &key, data, size, &kept);
    return kept ? LMU_OK : error_set(LMU_MEMORY, "no memory to keep a state of %zu bytes", size);
}

static lmu_status finish(Stream *stream)
{
    stream->stage = STREAM_ENDED;
    TRY(give_state(stream));
    stream->choice->finished = true;
    stream->choice->finish = generation_finish(stream->generation);
    stream->job->finished++;
    return LMU_OK;
}

static void note_time(Stream *stream)
{
    double now = machine_seconds();
    Metrics *metrics = stream->shop->metrics;
    if (stream->last == 0)
        histogram_note(&metrics->first_token, now - stream->job->arrived);
    else
        histogram_note(&metrics->next_token, now - stream->last);
    stream->last = now;
    atomic_fetch_add(&metrics->tokens_written, 1);
}

void stream_choose(Stream *stream, Sampler *sampler)
{
    Chosen *chosen = &stream->chosen;
    const float *logits;
    chosen->made = true;
    chosen->status = session_logits(stream->session, &logits);
    if (chosen->status == LMU_OK)
        chosen->status =
            generation_next(stream->generation, sampler, logits, session_position(stream->session), &chosen->event);
    if (chosen->status != LMU_OK)
        snprintf(chosen->problem, sizeof chosen->problem, "%s", lmu_error_message());
}

static lmu_status write_token(Stream *stream)
{
    const GenerationEvent *event = &stream->chosen.event;
    size_t taken;
    Choice *choice = stream->choice;
    if (!stream->chosen.made)
        stream_choose(stream, stream->shop->sampler[0]);
    stream->chosen.made = false;
    if (stream->chosen.status != LMU_OK)
        return error_set(stream->chosen.status, "%s", stream->chosen.problem);
    TRY(session_take(stream->session, &(uint32_t){(uint32_t)event->token}, 1, &taken));
    note_time(stream);
    choice->tokens++;
    TRY(bytes_put(&choice->text, event->text, event->size));
    if (stream->job->request.logprobs >= 0)
        TRY(token_records_add(&choice->records, event->token, &event->logprobs));
    return event->finish == FINISH_NONE ? LMU_OK : finish(stream);
}

/* The prompt is read: its text is the beginning of the choice's, if it is echoed. */
static lmu_status begin_writing(Stream *stream)
{
    const CompletionRequest *request = &stream->job->request;
    const RequestPrompt *prompt = stream->prompt;
    const Tokenizer *tokenizer = stream->shop->engine->tokenizer;
    ByteQueue text = {0};
    Utf8Stream begun = {.count = 0};
    lmu_status status = LMU_OK;
    ATTEMPT(generation_read(stream->generation, prompt->ids.id, prompt->ids.count));
    if (!prompt->text) {
        ATTEMPT(ids_text(tokenizer, prompt->ids.id, prompt->ids.count, true, &begun, &text));
        generation_begin(stream->generation, &begun);
    }
    if (request->echo && prompt->text)
        ATTEMPT(bytes_put(&stream->choice->text, prompt->text, prompt->size));
    if (request->echo && !prompt->text && !prompt->begun)
        ATTEMPT(bytes_put(&stream->choice->text, text.data, bytes_size(&text)));
    stream->stage = STREAM_WRITES;
    if (generation_finish(stream->generation) == FINISH_NONE)
        ATTEMPT(write_token(stream));
    else
        ATTEMPT(finish(stream));
done:
    bytes_free(&text);
    return status;
}

/* Those that follow go on from the same state. */
static lmu_status lead(Stream *stream, Stream *const *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (all[i]->stage == STREAM_FOLLOWS && all[i]->shared == stream->shared) {
            session_copy(all[i]->session, stream->session);
            all[i]->read = stream->read;
            TRY(begin_writing(all[i]));
            TRY(job_send(stream->job, stream->shop->engine->tokenizer, all[i]->choice));
        }
    return LMU_OK;
}

lmu_status stream_advance(Stream *stream, Stream *const *all, size_t count)
{
    if (stream->stage == STREAM_READS) {
        keep_block(stream);
        if (stream->read < stream->prompt->ids.count)
            return LMU_OK;
        bool first = !stream->shared->read;
        stream->shared->read = true;
        if (first)
            TRY(lead(stream, all, count));
        TRY(begin_writing(stream));
    } else if (stream->stage == STREAM_WRITES)
        TRY(write_token(stream));
    return job_send(stream->job, stream->shop->engine->tokenizer, stream->choice);
}
