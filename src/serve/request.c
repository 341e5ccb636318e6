#include "serve/request.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/memory.h"
#include "serve/base64.h"
#include "serve/request_internal.h"

/* -- the body ----------------------------------------------------------------------------------------------------------- */

/* How deep brackets nest outside of strings. The parser recurses; a body must not choose how deep. */
static bool too_deep(const char *text, size_t size)
{
    int depth = 0;
    bool inside = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (inside && c == '\\')
            i++;
        else if (c == '"')
            inside = !inside;
        else if (!inside && (c == '[' || c == '{') && ++depth > REQUEST_DEPTH)
            return true;
        else if (!inside && (c == ']' || c == '}'))
            depth--;
    }
    return false;
}

lmu_status request_json(const char *body, size_t size, json_t **out, ApiError *error)
{
    json_error_t problem;
    *out = NULL;
    if (size == 0)
        return api_error_set(error, 400, NULL, NULL, "The body is empty: a JSON object is expected");
    if (too_deep(body, size))
        return api_error_set(error, 400, NULL, NULL, "The body nests more than %d levels deep", REQUEST_DEPTH);
    *out = json_loadb(body, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &problem);
    if (!*out && json_error_code(&problem) == json_error_out_of_memory)
        return api_error_set(error, 503, NULL, NULL, "No memory for the request");
    if (!*out)
        return api_error_set(error, 400, NULL, NULL, "The body is not valid JSON at line %d, column %d: %s",
                             problem.line, problem.column, problem.text);
    if (json_is_object(*out))
        return LMU_OK;
    json_decref(*out);
    *out = NULL;
    return api_error_set(error, 400, NULL, NULL, "The body is JSON, but no object");
}

void request_free(CompletionRequest *request)
{
    for (size_t i = 0; i < request->prompt_count; i++) {
        free(request->prompt[i].ids.id);
        free(request->prompt[i].key);
    }
    free(request->prompt);
    free(request->bias);
    free(request->state);
    json_decref(request->json);
    memset(request, 0, sizeof *request);
}

bool request_reads_each(const CompletionRequest *request)
{
    return request->echo && request->logprobs >= 0;
}

/* What goes together and what does not, once all keys are read. */
static lmu_status check_whole(CompletionRequest *r, ApiError *error)
{
    if (r->best_of > 0 && r->best_of != r->n)
        return api_error_set(error, 400, NULL, "best_of",
                             "'best_of' is %lld and 'n' is %lld: choosing among more texts than are returned is not "
                             "supported",
                             (long long)r->best_of, (long long)r->n);
    if (r->include_usage && !r->stream)
        return api_error_set(error, 400, NULL, "stream_options",
                             "'stream_options' is for requests with 'stream': true");
    if (r->start != START_FRESH && r->prompt_count > 1)
        return api_error_set(error, 400, NULL, "prompt", "%zu prompts cannot go on behind one 'state': send one prompt",
                             r->prompt_count);
    if ((int64_t)r->prompt_count * r->n > REQUEST_CHOICES)
        return api_error_set(error, 400, NULL, "n", "%zu prompts with 'n' %lld are more than %d texts", r->prompt_count,
                             (long long)r->n, REQUEST_CHOICES);
    return LMU_OK;
}

lmu_status request_parse(const char *body, size_t size, const RequestLimits *limits, int64_t vocabulary,
                         CompletionRequest *out, ApiError *error)
{
    *out = (CompletionRequest){.n = 1, .logprobs = -1};
    out->settings =
        (GenerateSettings){.sample = {.temperature = 1, .top_p = 1, .repetition_penalty = 1}, .max_tokens = 16};
    if (out->settings.max_tokens > limits->max_tokens)
        out->settings.max_tokens = limits->max_tokens;
    lmu_status status;
    ATTEMPT(request_json(body, size, &out->json, error));
    ATTEMPT(request_keys(out, limits, vocabulary, error));
    if (out->prompt_count == 0) { /* OpenAI's default: a new text */
        ATTEMPT(memory_new(&out->prompt, 1, sizeof *out->prompt, "a prompt"));
        *out->prompt = (RequestPrompt){.text = ""};
        out->prompt_count = 1;
    }
    ATTEMPT(check_whole(out, error));
    out->settings.logprobs = out->logprobs >= 0;
    out->settings.alternatives = out->logprobs >= 0 ? out->logprobs : 0;
done:
    if (status != LMU_OK) {
        api_error_take(error, status, true, NULL);
        request_free(out);
    }
    return status;
}

/* -- ids ---------------------------------------------------------------------------------------------------------------- */

/* The key of a state is a hash of all ids read by then: of the key of the block before and of its own block's ids. */
static lmu_status make_keys(RequestPrompt *prompt)
{
    size_t count = prompt->ids.count / SESSION_BLOCK;
    TRY(memory_new(&prompt->key, count, sizeof *prompt->key, "a prompt"));
    for (size_t i = 0; i < count; i++) {
        struct sha256_ctx sum;
        sha256_init(&sum);
        if (i > 0)
            sha256_update(&sum, sizeof prompt->key[0], prompt->key[i - 1].byte);
        sha256_update(&sum, SESSION_BLOCK * sizeof *prompt->ids.id,
                      (const uint8_t *)(prompt->ids.id + i * SESSION_BLOCK));
        sha256_digest(&sum, sizeof prompt->key[0], prompt->key[i].byte);
    }
    prompt->key_count = count;
    return LMU_OK;
}

void state_key_of_id(const char *id, StateKey *out)
{
    static const char purpose[] = "kept state "; /* no block of ids has this length */
    struct sha256_ctx sum;
    sha256_init(&sum);
    sha256_update(&sum, sizeof purpose, (const uint8_t *)purpose);
    sha256_update(&sum, strlen(id), (const uint8_t *)id);
    sha256_digest(&sum, sizeof *out, out->byte);
}

static lmu_status tokenize_prompt(CompletionRequest *r, RequestPrompt *prompt, TextPool *pool,
                                  const RequestLimits *limits, ApiError *error)
{
    if (prompt->text)
        TRY(text_pool_ids(pool, prompt->text, prompt->size, r->settings.specials, &prompt->ids));
    if ((int64_t)prompt->ids.count > limits->prompt_tokens)
        return api_error_set(error, 400, "context_length_exceeded", "prompt",
                             "The prompt has %zu tokens; this server reads %lld (lmu serve --prompt-tokens)",
                             prompt->ids.count, (long long)limits->prompt_tokens);
    if (r->start != START_FRESH)
        return LMU_OK;
    int64_t end = tokenizer_end_of_text(text_pool_tokenizer(pool));
    if (prompt->ids.count == 0 && end < 0)
        return api_error_set(error, 400, NULL, "prompt",
                             "The prompt is empty, and the tokenizer has no token %s to begin behind",
                             TOKENIZER_END_OF_TEXT);
    if (prompt->ids.count == 0) {
        TRY(memory_grow(&prompt->ids.id, &prompt->ids.capacity, 1, sizeof *prompt->ids.id, "a prompt"));
        prompt->ids.id[prompt->ids.count++] = (uint32_t)end;
        prompt->begun = true;
    }
    return request_reads_each(r) ? LMU_OK : make_keys(prompt);
}

/* An answer is in memory before it is sent: it must not be larger than anyone can read. */
static lmu_status check_logprobs(const CompletionRequest *r, ApiError *error)
{
    int64_t tokens = (int64_t)r->prompt_count * r->n * r->settings.max_tokens;
    if (r->logprobs < 0)
        return LMU_OK;
    for (size_t i = 0; i < r->prompt_count && r->echo; i++)
        tokens += r->n * (int64_t)r->prompt[i].ids.count;
    if (tokens <= REQUEST_LOGPROBS / (r->logprobs + 1))
        return LMU_OK;
    return api_error_set(error, 400, NULL, "logprobs",
                         "Log-probabilities of %lld tokens with %lld alternatives each are more than the %lld numbers "
                         "that an answer can have",
                         (long long)tokens, (long long)r->logprobs, (long long)REQUEST_LOGPROBS);
}

lmu_status request_tokenize(CompletionRequest *request, TextPool *pool, const RequestLimits *limits, ApiError *error)
{
    for (size_t i = 0; i < request->prompt_count; i++) {
        lmu_status status = tokenize_prompt(request, &request->prompt[i], pool, limits, error);
        api_error_take(error, status, true, "prompt");
        TRY(status);
    }
    return check_logprobs(request, error);
}
