/* The endpoints, but for completions. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "serve/page.h"
#include "serve/server.h"

#define JSON_TYPE "application/json"

lmu_status reply_json(Reply *reply, const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(JSON_DIGITS)) : NULL;
    if (!text)
        return error_set(LMU_MEMORY, "no memory for an answer");
    *reply = (Reply){200, JSON_TYPE, text, strlen(text)};
    return LMU_OK;
}

/* The same of a value that is taken over. */
static lmu_status reply_json_new(Reply *reply, json_t *value)
{
    lmu_status status = reply_json(reply, value);
    json_decref(value);
    return status;
}

static lmu_status page_answer(Exchange *exchange, Reply *reply)
{
    (void)exchange;
    *reply = (Reply){200, "text/html; charset=utf-8", NULL, page_html_size};
    TRY(memory_new(&reply->text, page_html_size, 1, "the page"));
    memcpy(reply->text, page_html, page_html_size);
    return LMU_OK;
}

static lmu_status health_answer(Exchange *exchange, Reply *reply)
{
    bool draining = exchange->server->draining;
    TRY(reply_json_new(reply, json_pack("{s:s}", "status", draining ? "shutting down" : "ok")));
    reply->status = draining ? 503 : 200;
    return LMU_OK;
}

static lmu_status metrics_answer(Exchange *exchange, Reply *reply)
{
    ByteQueue text = {0};
    lmu_status status = metrics_write(&exchange->server->metrics, &text);
    if (status != LMU_OK) {
        bytes_free(&text);
        return status;
    }
    *reply = (Reply){200, "text/plain; version=0.0.4; charset=utf-8", text.data, bytes_size(&text)};
    return LMU_OK;
}

static json_t *model_json(const Server *server)
{
    return json_pack("{s:s, s:s, s:I, s:s}", "id", server->settings->name, "object", "model", "created",
                     (json_int_t)server->created, "owned_by", "lmu");
}

static lmu_status models_answer(Exchange *exchange, Reply *reply)
{
    return reply_json_new(reply, json_pack("{s:s, s:[o]}", "object", "list", "data", model_json(exchange->server)));
}

static lmu_status model_answer(Exchange *exchange, Reply *reply)
{
    if (strcmp(exchange->word, exchange->server->settings->name) != 0)
        return api_error_set(&exchange->error, 404, "model_not_found", "model", "The model '%.80s' does not exist",
                             exchange->word);
    return reply_json_new(reply, model_json(exchange->server));
}

/* -- tokens ------------------------------------------------------------------------------------------------------------- */

/* The body as an object with the key `wanted` and no other but `other` (may be NULL). */
static lmu_status body_json(Exchange *exchange, const char *wanted, const char *other, json_t **out)
{
    const char *name;
    json_t *value;
    TRY(request_json(exchange->body.data, bytes_size(&exchange->body), out, &exchange->error));
    json_object_foreach(*out, name, value)
        if (strcmp(name, wanted) != 0 && (!other || strcmp(name, other) != 0))
            return api_error_set(&exchange->error, 400, "unknown_parameter", name,
                                 "Unrecognized request argument supplied: %.80s", name);
    if (!json_object_get(*out, wanted))
        return api_error_set(&exchange->error, 400, NULL, wanted, "'%s' is missing", wanted);
    return LMU_OK;
}

static json_t *ids_json(const IdList *ids)
{
    json_t *tokens = json_array();
    for (size_t i = 0; tokens && i < ids->count; i++)
        if (json_array_append_new(tokens, json_integer(ids->id[i])) != 0) {
            json_decref(tokens);
            return NULL;
        }
    return json_pack("{s:o, s:I}", "tokens", tokens, "count", (json_int_t)ids->count);
}

static lmu_status tokenize(Exchange *exchange, const json_t *body, IdList *ids)
{
    const json_t *text = json_object_get(body, "text"), *specials = json_object_get(body, "specials");
    if (!json_is_string(text))
        return api_error_set(&exchange->error, 400, NULL, "text", "'text' is no string");
    if (specials && !json_is_boolean(specials))
        return api_error_set(&exchange->error, 400, NULL, "specials", "'specials' is neither true nor false");
    return text_pool_ids(exchange->server->texts, json_string_value(text), json_string_length(text),
                         json_is_true(specials), ids);
}

static lmu_status tokenize_answer(Exchange *exchange, Reply *reply)
{
    lmu_status status;
    json_t *body = NULL;
    IdList ids = {0};
    ATTEMPT(body_json(exchange, "text", "specials", &body));
    ATTEMPT(tokenize(exchange, body, &ids));
    ATTEMPT(reply_json_new(reply, ids_json(&ids)));
done:
    free(ids.id);
    json_decref(body);
    return status;
}

/* Bytes that make no character are U+FFFD. */
static lmu_status detokenize(Exchange *exchange, const json_t *body, ByteQueue *text)
{
    const Tokenizer *tokenizer = exchange->server->engine->tokenizer;
    const json_t *tokens = json_object_get(body, "tokens");
    IdList ids = {0};
    Utf8Stream stream = {.count = 0};
    char rest[UTF8_ROOM(0)];
    lmu_status status;
    if (!json_is_array(tokens))
        return api_error_set(&exchange->error, 400, NULL, "tokens", "'tokens' is no array of token ids");
    ATTEMPT(request_ids(tokens, "tokens", tokenizer_size(tokenizer), INT64_MAX, &ids, &exchange->error));
    ATTEMPT(ids_text(tokenizer, ids.id, ids.count, true, &stream, text));
    ATTEMPT(bytes_put(text, rest, utf8_end(&stream, rest)));
done:
    free(ids.id);
    return status;
}

static lmu_status detokenize_answer(Exchange *exchange, Reply *reply)
{
    lmu_status status;
    json_t *body = NULL;
    ByteQueue text = {0};
    ATTEMPT(body_json(exchange, "tokens", NULL, &body));
    ATTEMPT(detokenize(exchange, body, &text));
    ATTEMPT(
        reply_json_new(reply, json_pack("{s:o}", "text", json_stringn(text.data ? text.data : "", bytes_size(&text)))));
done:
    bytes_free(&text);
    json_decref(body);
    return status;
}

const Route routes[] = {
    {"/", "GET", true, false, page_answer},
    {"/health", "GET", true, false, health_answer},
    {"/metrics", "GET", false, false, metrics_answer},
    {"/v1/models", "GET", false, false, models_answer},
    {"/v1/models/", "GET", false, false, model_answer},
    {"/v1/completions", "POST", false, true, completions_answer},
    {"/tokenize", "POST", false, true, tokenize_answer},
    {"/detokenize", "POST", false, true, detokenize_answer},
    {"/memory", "POST", false, true, memory_answer},
    {NULL, NULL, false, false, NULL},
};
