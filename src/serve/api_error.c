#include "serve/api_error.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "infer/utf8.h"

/* Messages quote what clients sent, cut at some byte or never UTF-8; an answer is JSON, and has whole characters alone. */
static void make_whole(char *text, size_t room)
{
    char whole[UTF8_ROOM(sizeof((ApiError *)0)->message)];
    Utf8Stream stream = {.count = 0};
    size_t size = utf8_push(&stream, text, strlen(text), whole);
    size += utf8_end(&stream, whole + size);
    whole[size] = '\0';
    if (size >= room)
        size = room - 1;
    while (size > 0 &&
           ((unsigned char)whole[size] & 0xc0) == 0x80) /* what follows is cut off: a character with all of it */
        size--;
    memcpy(text, whole, size);
    text[size] = '\0';
}

lmu_status api_error_set(ApiError *error, unsigned status, const char *code, const char *param, const char *format, ...)
{
    va_list arguments;
    *error = (ApiError){.status = status, .code = code};
    snprintf(error->param, sizeof error->param, "%s", param ? param : "");
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    make_whole(error->param, sizeof error->param);
    make_whole(error->message, sizeof error->message);
    return LMU_USAGE;
}

void api_error_take(ApiError *error, lmu_status status, bool client, const char *param)
{
    bool refused = status == LMU_USAGE || status == LMU_FORMAT || status == LMU_MISMATCH || status == LMU_NUMERIC;
    if (error->status != 0 || status == LMU_OK)
        return;
    unsigned number = refused && client ? 400 : status == LMU_MEMORY ? 503 : 500;
    api_error_set(error, number, NULL, number == 400 ? param : NULL, "%s", lmu_error_message());
}

static const char *type_name(unsigned status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 429:
        return "rate_limit_error";
    default:
        return status < 500 ? "invalid_request_error" : "server_error";
    }
}

char *api_error_text(const ApiError *error)
{
    json_t *object =
        json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", error->message, "type", type_name(error->status),
                  "param", *error->param ? error->param : NULL, "code", error->code);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return text;
}
