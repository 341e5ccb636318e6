#include "infer/generate.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct Generation {
    const Tokenizer *tokenizer;
    GenerateSettings settings; /* its stop strings are in the matcher */
    LogitBias *bias;           /* the settings' own */
    History *history;          /* NULL: no setting asks for it */
    StopMatcher *stop;         /* NULL: there are no stop strings */
    Utf8Stream stream;
    FinishReason finish;
    int64_t tokens;
    int64_t size;     /* bytes that the tokens so far have brought, held ones among them, but for a begun character */
    char *characters; /* whole characters of a token, on their way to the matcher */
    size_t characters_capacity;
    char *text; /* of the event */
    size_t text_capacity;
};

const char *finish_name(FinishReason finish)
{
    static const char *const names[] = {[FINISH_LENGTH] = "length",
                                        [FINISH_STOP] = "stop",
                                        [FINISH_END_OF_TEXT] = "end_of_text",
                                        [FINISH_INTERRUPTED] = "interrupted"};
    return names[finish];
}

static lmu_status check_settings(const GenerateSettings *settings, int64_t vocabulary)
{
    if (settings->max_tokens < 0)
        return error_set(LMU_USAGE, "a text has 0 tokens or more, not %lld", (long long)settings->max_tokens);
    if (settings->alternatives < 0 || settings->alternatives > LOGPROB_LIMIT)
        return error_set(LMU_USAGE, "log-probabilities of 0 to %d alternatives can be asked for, not of %lld",
                         LOGPROB_LIMIT, (long long)settings->alternatives);
    return sample_check(&settings->sample, vocabulary);
}

/* A beginning of a stop string may be held, and a begun character, and an end may bring U+FFFD. */
static lmu_status reserve(Generation *generation, size_t size)
{
    size_t characters = UTF8_ROOM(size) + UTF8_ROOM(0);
    size_t held = generation->stop ? STOP_SIZE_LIMIT : 0;
    TRY(memory_grow(&generation->characters, &generation->characters_capacity, characters, 1, "the text of a token"));
    return memory_grow(&generation->text, &generation->text_capacity, characters + held, 1, "the text of a token");
}

lmu_status generation_open(const Tokenizer *tokenizer, const GenerateSettings *settings, Generation **out)
{
    lmu_status status;
    Generation *generation = NULL;
    int64_t vocabulary = tokenizer_size(tokenizer);
    size_t bias_count = settings->sample.bias_count;
    *out = NULL;
    TRY(check_settings(settings, vocabulary));
    TRY(memory_new(&generation, 1, sizeof *generation, "a text to write"));
    generation->tokenizer = tokenizer;
    generation->settings = *settings;
    generation->finish = settings->max_tokens > 0 ? FINISH_NONE : FINISH_LENGTH;
    ATTEMPT(memory_new(&generation->bias, bias_count, sizeof *generation->bias, "a text to write"));
    if (bias_count > 0)
        memcpy(generation->bias, settings->sample.bias, bias_count * sizeof *generation->bias);
    generation->settings.sample.bias = generation->bias;
    if (sample_penalises(&settings->sample))
        ATTEMPT(history_open(vocabulary, &generation->history));
    if (settings->stop_count > 0)
        ATTEMPT(stop_open(settings->stop, settings->stop_count, &generation->stop));
    generation->settings.stop = NULL;
    ATTEMPT(reserve(generation, 0));
    *out = generation;
    return LMU_OK;
done:
    generation_close(generation);
    return status;
}

void generation_close(Generation *generation)
{
    if (!generation)
        return;
    free(generation->bias);
    history_close(generation->history);
    stop_close(generation->stop);
    free(generation->characters);
    free(generation->text);
    free(generation);
}

lmu_status generation_read(Generation *generation, const uint32_t *id, size_t count)
{
    int64_t vocabulary = tokenizer_size(generation->tokenizer);
    for (size_t i = 0; i < count; i++)
        if (id[i] >= vocabulary)
            return error_set(LMU_USAGE, "token id %u is outside the vocabulary: ids go from 0 to %lld", id[i],
                             (long long)vocabulary - 1);
    for (size_t i = 0; i < count && generation->history; i++)
        history_note(generation->history, (int32_t)id[i], false);
    return LMU_OK;
}

void generation_begin(Generation *generation, const Utf8Stream *begun)
{
    generation->stream = *begun;
}

FinishReason generation_finish(const Generation *generation)
{
    return generation->finish;
}

int64_t generation_tokens(const Generation *generation)
{
    return generation->tokens;
}

/* `size` characters' bytes that are whole now go on to the matcher, and what it lets pass to the event. */
static void put_characters(Generation *generation, const char *characters, size_t size, GenerationEvent *event)
{
    char *text = generation->text + event->size;
    generation->size += (int64_t)size;
    if (generation->stop)
        event->size += stop_push(generation->stop, characters, size, text);
    else {
        memcpy(text, characters, size);
        event->size += size;
    }
    if (generation->stop && stop_found(generation->stop))
        generation->finish = FINISH_STOP;
}

/* No token comes any more: what is held goes to the event. */
static void let_go(Generation *generation, GenerationEvent *event)
{
    char rest[UTF8_ROOM(0)];
    put_characters(generation, rest, utf8_end(&generation->stream, rest), event);
    if (generation->stop)
        event->size += stop_end(generation->stop, generation->text + event->size);
}

lmu_status generation_next(Generation *generation, Sampler *sampler, const float *logits, int64_t position,
                           GenerationEvent *event)
{
    const Tokenizer *tokenizer = generation->tokenizer;
    const GenerateSettings *settings = &generation->settings;
    GenerationEvent next = {.text_offset = generation->size};
    size_t size;
    if (generation->finish != FINISH_NONE)
        return error_set(LMU_USAGE, "the text has ended (%s): it has no next token", finish_name(generation->finish));
    TRY(sampler_choose(sampler, &settings->sample, generation->history, logits, position, &next.token));
    if (settings->logprobs)
        TRY(logprobs_find(logits, tokenizer_size(tokenizer), next.token, settings->alternatives, &next.logprobs));
    const char *bytes = tokenizer_bytes(tokenizer, (uint32_t)next.token, &size);
    TRY(reserve(generation, size));
    if (generation->history)
        history_note(generation->history, next.token, true);
    generation->tokens++;
    if (next.token == tokenizer_end_of_text(tokenizer))
        generation->finish = FINISH_END_OF_TEXT;
    else if (generation->tokens == settings->max_tokens)
        generation->finish = FINISH_LENGTH;
    if (settings->specials || !tokenizer_is_special(tokenizer, (uint32_t)next.token)) {
        size_t whole = utf8_push(&generation->stream, bytes, size, generation->characters);
        put_characters(generation, generation->characters, whole, &next);
    }
    if (generation->finish != FINISH_NONE)
        let_go(generation, &next);
    next.text = generation->text;
    next.finish = generation->finish;
    *event = next;
    return LMU_OK;
}

void generation_end(Generation *generation, GenerationEvent *event)
{
    *event = (GenerationEvent){.token = -1, .text = generation->text, .text_offset = generation->size};
    if (generation->finish == FINISH_NONE) {
        generation->finish = FINISH_INTERRUPTED;
        let_go(generation, event);
    }
    event->finish = generation->finish;
}

lmu_status generate_run(Session *session, Generation *generation, GenerateTake *take, void *context,
                        const Progress *progress)
{
    lmu_status status;
    Sampler *sampler = NULL;
    const float *logits;
    GenerationEvent event;
    ATTEMPT(sampler_open(tokenizer_size(generation->tokenizer), &sampler));
    while (generation->finish == FINISH_NONE) {
        ATTEMPT(session_logits(session, &logits));
        ATTEMPT(generation_next(generation, sampler, logits, session_position(session), &event));
        ATTEMPT(session_feed(session, &(uint32_t){(uint32_t)event.token}, 1));
        ATTEMPT(take(context, &event));
        if (generation->finish == FINISH_NONE && progress_interrupted(progress)) {
            generation_end(generation, &event);
            ATTEMPT(take(context, &event));
            status = error_set(LMU_INTERRUPTED, "interrupted after %lld tokens", (long long)generation->tokens);
        }
    }
done:
    sampler_close(sampler);
    return status;
}
