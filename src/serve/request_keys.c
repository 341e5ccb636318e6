/* The keys of a completion request: one table says which there are and who takes each. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/memory.h"
#include "serve/base64.h"
#include "serve/request_internal.h"

typedef struct Key Key;

/* A body while it is read. */
typedef struct Parsing {
    CompletionRequest *request;
    const RequestLimits *limits;
    int64_t vocabulary;
    ApiError *error;
} Parsing;

typedef lmu_status TakeKey(Parsing *p, const Key *key, const json_t *value);

struct Key {
    const char *name;
    TakeKey *take;
    size_t offset;    /* in CompletionRequest, of numbers and flags */
    double low, high; /* of numbers, inclusive */
};

static const char *kind(const json_t *value)
{
    static const char *const names[] = {"an object",     "an array", "a string", "an integer",
                                        "a real number", "true",     "false",    "null"};
    return names[json_typeof(value)];
}

static lmu_status wrong_kind(Parsing *p, const char *name, const char *expected, const json_t *value)
{
    return api_error_set(p->error, 400, NULL, name, "'%s' is %s; %s is expected", name, kind(value), expected);
}

static void *place(Parsing *p, const Key *key)
{
    return (char *)p->request + key->offset;
}

/* -- numbers and flags -------------------------------------------------------------------------------------------------- */

static lmu_status take_real(Parsing *p, const Key *key, const json_t *value)
{
    if (!json_is_number(value))
        return wrong_kind(p, key->name, "a number", value);
    double number = json_number_value(value);
    if (!(number >= key->low && number <= key->high))
        return api_error_set(p->error, 400, NULL, key->name, "'%s' is %g; it goes from %g to %g", key->name, number,
                             key->low, key->high);
    *(double *)place(p, key) = number;
    return LMU_OK;
}

static lmu_status integer(Parsing *p, const char *name, const json_t *value, int64_t low, int64_t high, int64_t *out)
{
    if (!json_is_integer(value))
        return wrong_kind(p, name, "an integer", value);
    *out = json_integer_value(value);
    if (*out < low || *out > high)
        return api_error_set(p->error, 400, NULL, name, "'%s' is %" PRId64 "; it goes from %" PRId64 " to %" PRId64,
                             name, *out, low, high);
    return LMU_OK;
}

static lmu_status take_integer(Parsing *p, const Key *key, const json_t *value)
{
    return integer(p, key->name, value, (int64_t)key->low, (int64_t)key->high, place(p, key));
}

static lmu_status take_max_tokens(Parsing *p, const Key *key, const json_t *value)
{
    return integer(p, key->name, value, 0, p->limits->max_tokens, &p->request->settings.max_tokens);
}

/* 0 is "the likeliest only" with OpenAI, and no set of tokens has so small a probability. */
static lmu_status take_top_p(Parsing *p, const Key *key, const json_t *value)
{
    double *top_p = place(p, key);
    TRY(take_real(p, key, value));
    *top_p = fmax(*top_p, 1e-9);
    return LMU_OK;
}

static lmu_status take_seed(Parsing *p, const Key *key, const json_t *value)
{
    int64_t seed = 0;
    TRY(integer(p, key->name, value, INT64_MIN, INT64_MAX, &seed));
    p->request->settings.sample.seed = (uint64_t)seed;
    p->request->has_seed = true;
    return LMU_OK;
}

static lmu_status take_flag(Parsing *p, const Key *key, const json_t *value)
{
    if (!json_is_boolean(value))
        return wrong_kind(p, key->name, "true or false", value);
    *(bool *)place(p, key) = json_is_true(value);
    return LMU_OK;
}

/* -- strings ------------------------------------------------------------------------------------------------------------ */

/* A string that C can hold. */
static lmu_status plain_string(Parsing *p, const char *name, const json_t *value, const char **out)
{
    if (!json_is_string(value))
        return wrong_kind(p, name, "a string", value);
    *out = json_string_value(value);
    if (strlen(*out) != json_string_length(value))
        return api_error_set(p->error, 400, NULL, name, "'%s' has a NUL character inside", name);
    return LMU_OK;
}

static lmu_status take_model(Parsing *p, const Key *key, const json_t *value)
{
    return plain_string(p, key->name, value, &p->request->model);
}

static lmu_status take_user(Parsing *p, const Key *key, const json_t *value)
{
    const char *ignored;
    return plain_string(p, key->name, value, &ignored);
}

static lmu_status add_stop(Parsing *p, const json_t *value)
{
    GenerateSettings *settings = &p->request->settings;
    const char *text = NULL;
    TRY(plain_string(p, "stop", value, &text));
    size_t size = strlen(text);
    if (size == 0 || size > STOP_SIZE_LIMIT)
        return api_error_set(p->error, 400, NULL, "stop", "A stop string has 1 to %d bytes, not %zu", STOP_SIZE_LIMIT,
                             size);
    p->request->stop[settings->stop_count++] = text;
    return LMU_OK;
}

static lmu_status take_stop(Parsing *p, const Key *key, const json_t *value)
{
    size_t count = json_array_size(value);
    if (json_is_string(value))
        return add_stop(p, value);
    if (!json_is_array(value))
        return wrong_kind(p, key->name, "a string or an array of strings", value);
    if (count > STOP_LIMIT)
        return api_error_set(p->error, 400, NULL, "stop", "'stop' has %zu strings; there can be %d", count, STOP_LIMIT);
    for (size_t i = 0; i < count; i++)
        TRY(add_stop(p, json_array_get(value, i)));
    return LMU_OK;
}

/* -- the prompt --------------------------------------------------------------------------------------------------------- */

lmu_status request_ids(const json_t *array, const char *param, int64_t vocabulary, int64_t limit, IdList *out,
                       ApiError *error)
{
    size_t count = json_array_size(array), index;
    json_t *value;
    if ((int64_t)count > limit)
        return api_error_set(error, 400, "context_length_exceeded", param,
                             "'%s' has %zu tokens; this server reads %" PRId64, param, count, limit);
    TRY(memory_grow(&out->id, &out->capacity, out->count + count, sizeof *out->id, "token ids"));
    json_array_foreach(array, index, value) {
        json_int_t id = json_integer_value(value);
        if (!json_is_integer(value))
            return api_error_set(error, 400, NULL, param, "'%s': element %zu is %s; a token id is expected", param,
                                 index, kind(value));
        if (id < 0 || id >= vocabulary)
            return api_error_set(error, 400, NULL, param, "'%s': %" PRId64 " is no token id: ids go from 0 to %" PRId64,
                                 param, (int64_t)id, vocabulary - 1);
        out->id[out->count++] = (uint32_t)id;
    }
    return LMU_OK;
}

static lmu_status add_prompt(Parsing *p, const json_t *value)
{
    RequestPrompt *prompt = &p->request->prompt[p->request->prompt_count];
    if (json_is_string(value)) {
        *prompt = (RequestPrompt){.text = json_string_value(value), .size = json_string_length(value)};
        p->request->prompt_count++;
        return LMU_OK;
    }
    if (!json_is_array(value))
        return wrong_kind(p, "prompt", "a string, an array of token ids, or an array of either", value);
    *prompt = (RequestPrompt){.text = NULL};
    p->request->prompt_count++;
    return request_ids(value, "prompt", p->vocabulary, p->limits->prompt_tokens, &prompt->ids, p->error);
}

static lmu_status take_prompt(Parsing *p, const Key *key, const json_t *value)
{
    size_t count = json_array_size(value);
    bool several = json_is_array(value) && count > 0 && !json_is_number(json_array_get(value, 0));
    if (several && count > REQUEST_CHOICES)
        return api_error_set(p->error, 400, NULL, key->name, "%zu prompts are more than %d", count, REQUEST_CHOICES);
    TRY(memory_new(&p->request->prompt, several ? count : 1, sizeof *p->request->prompt, "prompts"));
    if (!several)
        return add_prompt(p, value);
    for (size_t i = 0; i < count; i++)
        TRY(add_prompt(p, json_array_get(value, i)));
    return LMU_OK;
}

/* -- objects ------------------------------------------------------------------------------------------------------------ */

static lmu_status take_bias(Parsing *p, const Key *key, const json_t *value)
{
    CompletionRequest *r = p->request;
    const char *name;
    json_t *bias;
    if (!json_is_object(value))
        return wrong_kind(p, key->name, "an object", value);
    if (json_object_size(value) > SAMPLE_BIAS_LIMIT)
        return api_error_set(p->error, 400, NULL, key->name, "'logit_bias' names %zu tokens; there can be %d",
                             json_object_size(value), SAMPLE_BIAS_LIMIT);
    TRY(memory_new(&r->bias, json_object_size(value), sizeof *r->bias, "a bias"));
    json_object_foreach((json_t *)value, name, bias) {
        char *end = NULL;
        errno = 0;
        long long id = *name >= '0' && *name <= '9' ? strtoll(name, &end, 10) : -1;
        if (id < 0 || id >= p->vocabulary || errno != 0 || *end)
            return api_error_set(p->error, 400, NULL, key->name,
                                 "'logit_bias': '%.40s' is no token id: ids go from 0 to %" PRId64, name,
                                 p->vocabulary - 1);
        if (!json_is_number(bias) || !(fabs(json_number_value(bias)) <= SAMPLE_BIAS_MOST))
            return api_error_set(p->error, 400, NULL, key->name,
                                 "'logit_bias': that of %lld is no number from %g to %g", id, -SAMPLE_BIAS_MOST,
                                 SAMPLE_BIAS_MOST);
        r->bias[r->settings.sample.bias_count++] = (LogitBias){(int32_t)id, json_number_value(bias)};
    }
    r->settings.sample.bias = r->bias;
    return LMU_OK;
}

static lmu_status take_stream_options(Parsing *p, const Key *key, const json_t *value)
{
    const char *name;
    json_t *member;
    if (!json_is_object(value))
        return wrong_kind(p, key->name, "an object", value);
    json_object_foreach((json_t *)value, name, member) {
        if (strcmp(name, "include_usage") != 0)
            return api_error_set(p->error, 400, "unknown_parameter", key->name,
                                 "'stream_options' has no key '%.40s'; it has 'include_usage'", name);
        if (!json_is_boolean(member))
            return wrong_kind(p, "stream_options.include_usage", "true or false", member);
        p->request->include_usage = json_is_true(member);
    }
    return LMU_OK;
}

/* -- states ------------------------------------------------------------------------------------------------------------- */

static lmu_status state_data(Parsing *p, const json_t *value)
{
    CompletionRequest *r = p->request;
    r->start = START_DATA;
    lmu_status status = base64_to_bytes(json_string_value(value), json_string_length(value), &r->state, &r->state_size);
    if (status == LMU_FORMAT)
        return api_error_set(p->error, 400, "invalid_state", "state", "'state': %s", lmu_error_message());
    return status;
}

static lmu_status state_id(Parsing *p, const json_t *value)
{
    const char *id = NULL;
    TRY(plain_string(p, "state.id", value, &id));
    if (strlen(id) != STATE_ID || strspn(id, "0123456789abcdef") != STATE_ID)
        return api_error_set(p->error, 400, "invalid_state", "state", "'state.id' has %d hexadecimal digits", STATE_ID);
    p->request->start = START_ID;
    state_key_of_id(id, &p->request->state_key);
    return LMU_OK;
}

/* A member of the state's object. */
static lmu_status state_member(Parsing *p, const char *name, const json_t *value)
{
    bool keep = strcmp(name, "keep") == 0;
    if (keep || strcmp(name, "return") == 0) {
        if (!json_is_boolean(value))
            return wrong_kind(p, keep ? "state.keep" : "state.return", "true or false", value);
        *(keep ? &p->request->state_keep : &p->request->state_return) = json_is_true(value);
        return LMU_OK;
    }
    bool data = strcmp(name, "data") == 0;
    if (!data && strcmp(name, "id") != 0)
        return api_error_set(p->error, 400, "unknown_parameter", "state",
                             "'state' has no key '%.40s'; it has data, id, keep and return", name);
    if (p->request->start != START_FRESH)
        return api_error_set(p->error, 400, "invalid_state", "state",
                             "'state' has 'data' and 'id': a text starts from one");
    if (data && !json_is_string(value))
        return wrong_kind(p, "state.data", "a string", value);
    return data ? state_data(p, value) : state_id(p, value);
}

/* "return"; the state itself, which asks for the next one too; or an object. */
static lmu_status take_state(Parsing *p, const Key *key, const json_t *value)
{
    const char *name;
    json_t *member;
    if (json_is_string(value)) {
        p->request->state_return = true;
        return strcmp(json_string_value(value), "return") == 0 ? LMU_OK : state_data(p, value);
    }
    if (!json_is_object(value))
        return wrong_kind(p, key->name, "\"return\", a state that was returned, or an object", value);
    json_object_foreach((json_t *)value, name, member)
        TRY(state_member(p, name, member));
    return LMU_OK;
}

/* -- the table ---------------------------------------------------------------------------------------------------------- */

static lmu_status take_unsupported(Parsing *p, const Key *key, const json_t *value)
{
    (void)value;
    return api_error_set(p->error, 400, "unsupported_parameter", key->name, "'%s' is not supported", key->name);
}

#define AT(member) offsetof(CompletionRequest, member)
#define SETTING(member) offsetof(CompletionRequest, settings.member)

static const Key keys[] = {
    {"model", take_model, 0, 0, 0},
    {"prompt", take_prompt, 0, 0, 0},
    {"stream", take_flag, AT(stream), 0, 0},
    {"stream_options", take_stream_options, 0, 0, 0},
    {"echo", take_flag, AT(echo), 0, 0},
    {"n", take_integer, AT(n), 1, REQUEST_N},
    {"best_of", take_integer, AT(best_of), 1, REQUEST_N},
    {"max_tokens", take_max_tokens, 0, 0, 0},
    {"logprobs", take_integer, AT(logprobs), 0, LOGPROB_LIMIT},
    {"stop", take_stop, 0, 0, 0},
    {"seed", take_seed, 0, 0, 0},
    {"temperature", take_real, SETTING(sample.temperature), 0, 2},
    {"top_p", take_top_p, SETTING(sample.top_p), 0, 1},
    {"top_k", take_integer, SETTING(sample.top_k), 0, INT32_MAX},
    {"min_p", take_real, SETTING(sample.min_p), 0, 1},
    {"repetition_penalty", take_real, SETTING(sample.repetition_penalty), SAMPLE_REPETITION_LEAST,
     SAMPLE_REPETITION_MOST},
    {"presence_penalty", take_real, SETTING(sample.presence_penalty), -SAMPLE_PENALTY_MOST, SAMPLE_PENALTY_MOST},
    {"frequency_penalty", take_real, SETTING(sample.frequency_penalty), -SAMPLE_PENALTY_MOST, SAMPLE_PENALTY_MOST},
    {"logit_bias", take_bias, 0, 0, 0},
    {"specials", take_flag, SETTING(specials), 0, 0},
    {"state", take_state, 0, 0, 0},
    {"user", take_user, 0, 0, 0},
    {"suffix", take_unsupported, 0, 0, 0},
    {"functions", take_unsupported, 0, 0, 0},
    {"function_call", take_unsupported, 0, 0, 0},
    {"tools", take_unsupported, 0, 0, 0},
    {"tool_choice", take_unsupported, 0, 0, 0},
    {"response_format", take_unsupported, 0, 0, 0},
    {"messages", take_unsupported, 0, 0, 0},
};
enum { KEYS = sizeof keys / sizeof *keys };

static lmu_status unknown_key(Parsing *p, const char *name)
{
    const char *names[KEYS];
    char suggestion[SUGGESTION_SIZE];
    for (size_t i = 0; i < KEYS; i++)
        names[i] = keys[i].name;
    return api_error_set(p->error, 400, "unknown_parameter", name, "Unrecognized request argument supplied: %.80s%s",
                         name, name_suggestion(name, names, KEYS, suggestion));
}

/* null is as if the key were not there, as OpenAI's clients send it. */
lmu_status request_keys(CompletionRequest *request, const RequestLimits *limits, int64_t vocabulary, ApiError *error)
{
    Parsing parsing = {request, limits, vocabulary, error};
    const char *name;
    json_t *value;
    json_object_foreach(request->json, name, value) {
        size_t i = 0;
        while (i < KEYS && strcmp(keys[i].name, name) != 0)
            i++;
        if (i == KEYS)
            return unknown_key(&parsing, name);
        if (!json_is_null(value))
            TRY(keys[i].take(&parsing, &keys[i], value));
    }
    return LMU_OK;
}
