/* Between the files that read a request. */
#ifndef LMU_SERVE_REQUEST_INTERNAL_H
#define LMU_SERVE_REQUEST_INTERNAL_H

#include "serve/request.h"

/* Every key of the body, each into its field. */
lmu_status request_keys(CompletionRequest *request, const RequestLimits *limits, int64_t vocabulary, ApiError *error);

#endif
