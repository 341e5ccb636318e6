#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[2048];

/* Formats beside the slot first: an argument may be the present message itself. */
lmu_status error_set(lmu_status status, const char *format, ...)
{
    char fresh[sizeof message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fresh, sizeof fresh, format, arguments);
    va_end(arguments);
    memcpy(message, fresh, sizeof message);
    return status;
}

lmu_status error_prefix(lmu_status status, const char *format, ...)
{
    if (status == LMU_OK)
        return status;
    char fresh[sizeof message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fresh, sizeof fresh, format, arguments);
    va_end(arguments);
    size_t used = strlen(fresh);
    snprintf(fresh + used, sizeof fresh - used, "%s", message);
    memcpy(message, fresh, sizeof message);
    return status;
}

void error_clear(void)
{
    message[0] = '\0';
}

const char *lmu_error_message(void)
{
    return message;
}

const char *lmu_version(void)
{
    return LMU_VERSION;
}
