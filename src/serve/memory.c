/* POST /memory: what a Legendre memory holds at a place of a text (infer/memory_view.h).
 *
 *     {"prompt": "...", "layer": 0, "position": 41}        without "position": behind the last token
 *     {}                                                   what there is to look into
 *
 * The model reads the text on the engine's thread, as an errand; the answer is put together by the thread that sends it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "infer/memory_view.h"
#include "model/architectures.h"
#include "serve/server.h"

#define MEMORY_TOKENS 2048 /* of a prompt: it is read anew for every look */
#define MEMORY_DIGITS 4    /* of what was given and rebuilt */

struct MemoryLook {
    Errand errand; /* the first member: the engine's thread comes by it */
    Server *server;
    struct MHD_Connection *connection;
    const Link *link; /* the connection's, which stands while it sleeps */
    IdList ids;
    int64_t layer, position;
    bool begun;
    MemoryPicture picture;
    pthread_mutex_t lock; /* held from before the errand is sent until the connection sleeps */
    ApiError error;
};

void memory_look_close(MemoryLook *look)
{
    if (!look)
        return;
    memory_picture_free(&look->picture);
    free(look->ids.id);
    pthread_mutex_destroy(&look->lock);
    free(look);
}

/* -- on the engine's thread --------------------------------------------------------------------------------------------- */

static lmu_status begin_look(MemoryLook *look)
{
    Server *server = look->server;
    if (!server->memory)
        TRY(memory_view_open(server->engine->model, &server->memory));
    look->begun = true;
    return memory_view_begin(server->memory, look->layer, look->ids.id, look->position + 1);
}

static lmu_status work(Errand *errand, bool *done)
{
    MemoryLook *look = (MemoryLook *)errand;
    if (link_left(look->link))
        return error_set(LMU_USAGE, "the client left");
    if (!look->begun)
        TRY(begin_look(look));
    TRY(memory_view_work(look->server->memory, done));
    if (*done)
        memory_view_take(look->server->memory, &look->picture);
    return LMU_OK;
}

static void end(Errand *errand, const ApiError *error)
{
    MemoryLook *look = (MemoryLook *)errand;
    struct MHD_Connection *connection = look->connection;
    pthread_mutex_lock(&look->lock);
    look->error = *error;
    pthread_mutex_unlock(&look->lock);
    MHD_resume_connection(connection); /* whose thread may close the look from here on */
}

/* -- the request -------------------------------------------------------------------------------------------------------- */

static lmu_status take_number(const json_t *value, const char *name, int64_t *out, ApiError *error)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return api_error_set(error, 400, NULL, name, "'%s' is a whole number from 0 on", name);
    *out = json_integer_value(value);
    return LMU_OK;
}

static lmu_status take_prompt(MemoryLook *look, const json_t *prompt, ApiError *error)
{
    if (!json_is_string(prompt))
        return api_error_set(error, 400, NULL, "prompt", "'prompt' is %s", prompt ? "no string" : "missing");
    lmu_status status = memory_view_check(look->server->engine->model);
    api_error_take(error, status, true, NULL);
    TRY(status);
    TRY(text_pool_ids(look->server->texts, json_string_value(prompt), json_string_length(prompt), false, &look->ids));
    if (look->ids.count == 0)
        return api_error_set(error, 400, NULL, "prompt",
                             "The prompt is empty: a memory of nothing has nothing to show");
    if (look->ids.count > MEMORY_TOKENS)
        return api_error_set(error, 400, "context_length_exceeded", "prompt",
                             "The prompt has %zu tokens; a memory is shown for texts of up to %d", look->ids.count,
                             MEMORY_TOKENS);
    return LMU_OK;
}

static lmu_status take_keys(MemoryLook *look, json_t *body, ApiError *error)
{
    const char *name;
    json_t *value;
    TRY(take_prompt(look, json_object_get(body, "prompt"), error));
    look->position = (int64_t)look->ids.count - 1;
    json_object_foreach(body, name, value) {
        if (strcmp(name, "layer") == 0)
            TRY(take_number(value, name, &look->layer, error));
        else if (strcmp(name, "position") == 0)
            TRY(take_number(value, name, &look->position, error));
        else if (strcmp(name, "prompt") != 0)
            return api_error_set(error, 400, "unknown_parameter", name, "Unrecognized request argument supplied: %.80s",
                                 name);
    }
    if (look->position >= (int64_t)look->ids.count)
        return api_error_set(error, 400, NULL, "position", "'position' is %lld: the prompt has tokens 0 to %zu",
                             (long long)look->position, look->ids.count - 1);
    return LMU_OK;
}

/* The connection sleeps then. */
static lmu_status send_look(Exchange *exchange, MemoryLook *look)
{
    pthread_mutex_lock(&look->lock);
    lmu_status status = batch_send(exchange->server->batch, &look->errand, &exchange->error);
    if (status == LMU_OK) {
        MHD_suspend_connection(exchange->connection);
        exchange->suspended = true;
    }
    pthread_mutex_unlock(&look->lock);
    return status;
}

static lmu_status look_open(Exchange *exchange, MemoryLook **out)
{
    MemoryLook *look;
    TRY(memory_new(&look, 1, sizeof *look, "a view of a memory"));
    pthread_mutex_init(&look->lock, NULL);
    look->errand = (Errand){.work = work, .end = end};
    look->server = exchange->server;
    look->connection = exchange->connection;
    look->link = exchange->link;
    *out = exchange->look = look;
    return LMU_OK;
}

/* -- the answer --------------------------------------------------------------------------------------------------------- */

static lmu_status put_number(ByteQueue *out, bool first, double value)
{
    char text[40];
    if (!isfinite(value))
        snprintf(text, sizeof text, "%snull", first ? "" : ",");
    else
        snprintf(text, sizeof text, "%s%.*g", first ? "" : ",", MEMORY_DIGITS, value);
    return bytes_put(out, text, strlen(text));
}

/* ,"NAME":[[...], ...]: a row for each channel, of the delays in its window. */
static lmu_status put_channels(ByteQueue *out, const char *name, const MemoryPicture *p, const float *values)
{
    char head[40];
    int size = snprintf(head, sizeof head, ",\"%s\":[", name);
    TRY(bytes_put(out, head, (size_t)size));
    for (int64_t channel = 0; channel < p->channels; channel++) {
        int64_t reach = p->reach[channel / (p->channels / p->groups)];
        TRY(bytes_put(out, channel ? ",[" : "[", channel ? 2 : 1));
        for (int64_t d = 0; d < reach; d++)
            TRY(put_number(out, d == 0, values[channel * p->delays + d]));
        TRY(bytes_put(out, "]", 1));
    }
    return bytes_put(out, "]", 1);
}

static double rounded(double value)
{
    return round(value * 1e4) / 1e4;
}

/* Takes over the value; false, which it then stays, where memory was short. */
static void append(json_t *array, json_t *value, bool *whole)
{
    *whole = json_array_append_new(array, value) == 0 && *whole;
}

static json_t *recalled_json(const Tokenizer *tokenizer, const RecalledToken *recalled, int64_t delay, bool *whole)
{
    json_t *nearest = json_array();
    for (int i = 0; i < RECOLLECTION_NEAREST && recalled->nearest[i] >= 0; i++)
        append(nearest,
               json_pack("{s:o, s:f}", "token", token_name(tokenizer, (int32_t)recalled->nearest[i]), "similarity",
                         rounded(recalled->nearness[i])),
               whole);
    return json_pack("{s:I, s:o, s:f, s:I, s:o}", "delay", (json_int_t)delay, "token",
                     token_name(tokenizer, (int32_t)recalled->id), "similarity", rounded(recalled->similarity), "rank",
                     (json_int_t)recalled->rank, "nearest", nearest);
}

static json_t *theta_json(const double *theta, int64_t groups, bool *whole)
{
    json_t *array = json_array();
    for (int64_t g = 0; g < groups; g++)
        append(array, json_real(theta[g]), whole);
    return array;
}

/* All but the channels' numbers, which are many. NULL: no memory. */
static json_t *head_json(const MemoryLook *look, const Tokenizer *tokenizer)
{
    const MemoryPicture *p = &look->picture;
    json_t *delays = json_array(), *tokens = json_array(), *recalled = json_array();
    bool whole = true;
    for (int64_t d = 0; d < p->delays; d++)
        append(delays, json_integer(p->delay[d]), &whole);
    for (size_t i = 0; i < look->ids.count; i++)
        append(tokens, token_name(tokenizer, (int32_t)look->ids.id[i]), &whole);
    for (int64_t d = 0; d < p->recalled_count; d++)
        append(recalled, recalled_json(tokenizer, &p->recalled[d], p->delay[d], &whole), &whole);
    json_t *head =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "layer", (json_int_t)p->layer, "position",
                  (json_int_t)look->position, "vocabulary", (json_int_t)tokenizer_size(tokenizer), "channels",
                  (json_int_t)p->channels, "order", (json_int_t)p->order, "theta",
                  theta_json(p->theta, p->groups, &whole), "delays", delays, "tokens", tokens, "recalled", recalled);
    if (whole)
        return head;
    json_decref(head);
    return NULL;
}

static lmu_status put_answer(const MemoryLook *look, const Tokenizer *tokenizer, ByteQueue *out)
{
    json_t *head = head_json(look, tokenizer);
    char *text = head ? json_dumps(head, JSON_COMPACT | JSON_REAL_PRECISION(JSON_DIGITS)) : NULL;
    lmu_status status = LMU_OK;
    json_decref(head);
    if (!text)
        return error_set(LMU_MEMORY, "no memory for an answer");
    ATTEMPT(bytes_put(out, text, strlen(text) - 1)); /* the object stays open */
    ATTEMPT(put_channels(out, "given", &look->picture, look->picture.given));
    ATTEMPT(put_channels(out, "rebuilt", &look->picture, look->picture.rebuilt));
    ATTEMPT(bytes_put(out, "}", 1));
done:
    free(text);
    return status;
}

/* A request without a prompt asks what there is: layers, 0 of a model without such a memory, and what they are like. */
static lmu_status facts_answer(const Exchange *exchange, Reply *reply)
{
    const Model *model = exchange->server->engine->model;
    json_t *facts;
    bool whole = true;
    if (architecture_is_lmu(model->arch)) {
        LegendreSpec legendre = lmu_legendre(&model->config, 0);
        facts = json_pack("{s:I, s:I, s:I, s:o, s:i}", "layers", (json_int_t)model->config.layers, "channels",
                          (json_int_t)model->config.dim, "order", (json_int_t)legendre.order, "theta",
                          theta_json(legendre.theta, legendre.groups, &whole), "tokens", MEMORY_TOKENS);
    } else
        facts = json_pack("{s:i}", "layers", 0);
    lmu_status status = reply_json(reply, whole ? facts : NULL);
    json_decref(facts);
    return status;
}

static lmu_status begin(Exchange *exchange, Reply *reply)
{
    MemoryLook *look;
    json_t *body = NULL;
    lmu_status status;
    ATTEMPT(request_json(exchange->body.data, bytes_size(&exchange->body), &body, &exchange->error));
    bytes_free(&exchange->body);
    if (json_object_size(body) == 0) {
        ATTEMPT(facts_answer(exchange, reply));
        goto done;
    }
    ATTEMPT(look_open(exchange, &look));
    ATTEMPT(take_keys(look, body, &exchange->error));
    ATTEMPT(send_look(exchange, look));
done:
    json_decref(body);
    return status;
}

lmu_status memory_answer(Exchange *exchange, Reply *reply)
{
    MemoryLook *look = exchange->look;
    ByteQueue out = {0};
    exchange->suspended = false;
    if (!look)
        return begin(exchange, reply);
    exchange->error = look->error;
    if (exchange->error.status != 0)
        return LMU_USAGE;
    lmu_status status = put_answer(look, exchange->server->engine->tokenizer, &out);
    if (status != LMU_OK) {
        bytes_free(&out);
        return status;
    }
    *reply = (Reply){200, "application/json", out.data, bytes_size(&out)};
    return LMU_OK;
}
