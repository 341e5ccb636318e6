#include "serve/api_error.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Whole characters only: a message may quote the client's text, and is cut to its room. */
static void cut_character(char *text)
{
    size_t size = strlen(text), start = size;
    while (start > 0 && size - start < 4 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t need = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    if (size - start < need)
        text[start - 1] = '\0';
}

lmu_status api_error_set(ApiError *error, unsigned status, const char *code, const char *param, const char *format, ...)
{
    va_list arguments;
    *error = (ApiError){.status = status, .code = code};
    snprintf(error->param, sizeof error->param, "%s", param ? param : "");
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    cut_character(error->param);
    cut_character(error->message);
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
