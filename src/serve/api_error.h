/* Why a request is not served: HTTP's status and OpenAI's error object.
 *
 *     {"error": {"message": "...", "type": "invalid_request_error", "param": "n", "code": null}}
 *
 * Functions that judge a request return lmu_status, like all others, and fill an ApiError beside it. */
#ifndef LMU_SERVE_API_ERROR_H
#define LMU_SERVE_API_ERROR_H

#include <stdbool.h>

#include "base/error.h"

typedef struct ApiError {
    unsigned status;  /* HTTP's; 0: there is none */
    const char *code; /* of a fixed set ("model_not_found"); NULL: none */
    char param[64];   /* the key that is wrong; "": none */
    char message[512];
} ApiError;

/* Fills the error and returns LMU_USAGE. */
lmu_status api_error_set(ApiError *error, unsigned status, const char *code, const char *param, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* The error that the thread's slot tells of, unless there is one already: what the library refuses (usage, format, another
 * model, numbers) is the request's fault if `client` says so; memory is 503, all else 500. */
void api_error_take(ApiError *error, lmu_status status, bool client, const char *param);

/* The object as text, to be freed; NULL: no memory. */
char *api_error_text(const ApiError *error);

#endif
