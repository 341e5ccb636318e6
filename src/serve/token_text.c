#include "serve/token_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

lmu_status ids_text(const Tokenizer *tokenizer, const uint32_t *id, size_t count, bool specials, Utf8Stream *stream,
                    ByteQueue *out)
{
    char *text = NULL;
    size_t capacity = 0, size;
    lmu_status status = LMU_OK;
    for (size_t i = 0; i < count; i++) {
        if (!specials && tokenizer_is_special(tokenizer, id[i]))
            continue;
        const char *bytes = tokenizer_bytes(tokenizer, id[i], &size);
        ATTEMPT(memory_grow(&text, &capacity, UTF8_ROOM(size), 1, "a text"));
        ATTEMPT(bytes_put(out, text, utf8_push(stream, bytes, size, text)));
    }
done:
    free(text);
    return status;
}

json_t *token_name(const Tokenizer *tokenizer, int32_t token)
{
    size_t size;
    char *name;
    const char *bytes = tokenizer_bytes(tokenizer, (uint32_t)token, &size);
    json_t *text = json_stringn(bytes, size);
    if (text || memory_new(&name, 4 * size + sizeof "bytes:", 1, "a token's name") != LMU_OK)
        return text;
    strcpy(name, "bytes:");
    for (size_t i = 0; i < size; i++)
        snprintf(name + 6 + 4 * i, 5, "\\x%02x", (unsigned char)bytes[i]);
    text = json_string(name);
    free(name);
    return text;
}

/* -- log-probabilities -------------------------------------------------------------------------------------------------- */

#define LOGPROB_LEAST (-9999.0) /* what OpenAI writes for what cannot be; JSON has no infinity */

void token_records_free(TokenRecords *records)
{
    free(records->record);
    free(records->likeliest);
    *records = (TokenRecords){0};
}

void token_records_clear(TokenRecords *records)
{
    records->count = records->likeliest_count = 0;
}

lmu_status token_records_add(TokenRecords *records, int32_t token, const Logprobs *logprobs)
{
    size_t more = logprobs ? (size_t)logprobs->count : 0;
    TRY(memory_grow(&records->record, &records->capacity, records->count + 1, sizeof *records->record,
                    "log-probabilities"));
    TRY(memory_grow(&records->likeliest, &records->likeliest_capacity, records->likeliest_count + more,
                    sizeof *records->likeliest, "log-probabilities"));
    records->record[records->count++] = (TokenRecord){.token = token,
                                                      .known = logprobs != NULL,
                                                      .chosen = logprobs ? logprobs->chosen : 0,
                                                      .first = records->likeliest_count,
                                                      .count = (int)more};
    for (size_t i = 0; i < more; i++)
        records->likeliest[records->likeliest_count++] = logprobs->likeliest[i];
    return LMU_OK;
}

lmu_status text_place_pass(TextPlace *place, const Tokenizer *tokenizer, int32_t token, bool specials)
{
    size_t size;
    char *text;
    if (!specials && tokenizer_is_special(tokenizer, (uint32_t)token))
        return LMU_OK;
    const char *bytes = tokenizer_bytes(tokenizer, (uint32_t)token, &size);
    TRY(memory_new(&text, UTF8_ROOM(size), 1, "a token's text"));
    size_t whole = utf8_push(&place->stream, bytes, size, text);
    for (size_t i = 0; i < whole; i++)
        place->characters += ((unsigned char)text[i] & 0xc0) != 0x80;
    free(text);
    return LMU_OK;
}

json_t *logprobs_object(void)
{
    return json_pack("{s:[], s:[], s:[], s:[]}", "tokens", "token_logprobs", "top_logprobs", "text_offset");
}

static json_t *number(double value)
{
    return json_real(fmax(value, LOGPROB_LEAST));
}

static bool set_by_name(json_t *object, const Tokenizer *tokenizer, int32_t token, double value)
{
    json_t *name = token_name(tokenizer, token);
    bool set =
        name && json_object_setn_new(object, json_string_value(name), json_string_length(name), number(value)) == 0;
    json_decref(name);
    return set;
}

/* {"token": logprob, ...}: the likeliest, and the one that stands there whatever its place. */
static json_t *likeliest_object(const Tokenizer *tokenizer, const TokenRecords *records, const TokenRecord *record)
{
    json_t *object = json_object();
    bool whole = object != NULL;
    for (int i = 0; whole && i < record->count; i++) {
        const Logprob *one = &records->likeliest[record->first + (size_t)i];
        whole = set_by_name(object, tokenizer, one->token, one->value);
    }
    if (whole && set_by_name(object, tokenizer, record->token, record->chosen))
        return object;
    json_decref(object);
    return NULL;
}

lmu_status logprobs_append(json_t *object, const Tokenizer *tokenizer, const TokenRecords *records, bool alternatives,
                           bool specials, TextPlace *place)
{
    json_t *tokens = json_object_get(object, "tokens"), *values = json_object_get(object, "token_logprobs"),
           *top = json_object_get(object, "top_logprobs"), *offsets = json_object_get(object, "text_offset");
    bool whole = true;
    for (size_t i = 0; whole && i < records->count; i++) {
        const TokenRecord *record = &records->record[i];
        whole = json_array_append_new(tokens, token_name(tokenizer, record->token)) == 0 &&
                json_array_append_new(values, record->known ? number(record->chosen) : json_null()) == 0 &&
                json_array_append_new(offsets, json_integer(place->characters)) == 0 &&
                json_array_append_new(top, record->known && alternatives ? likeliest_object(tokenizer, records, record)
                                                                         : json_null()) == 0;
        TRY(text_place_pass(place, tokenizer, record->token, specials));
    }
    if (whole && !alternatives)
        whole = json_object_set_new(object, "top_logprobs", json_null()) == 0;
    return whole ? LMU_OK : error_set(LMU_MEMORY, "no memory for log-probabilities");
}
