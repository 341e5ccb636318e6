#include <string.h>

#include "fuzz_input.h"
#include "serve/request.h"

#define VOCABULARY 300

/* Bodies of POST /v1/completions: what is taken is in its ranges, and what is refused says why in valid UTF-8. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const RequestLimits limits = {.prompt_tokens = 100, .max_tokens = 50};
    CompletionRequest request;
    ApiError error = {0};
    char *text = NULL;
    if (request_parse((const char *)data, size, &limits, VOCABULARY, &request, &error) != LMU_OK) {
        fuzz_require(error.status == 400 && error.message[0] != '\0' && request.json == NULL);
        text = api_error_text(&error);
        fuzz_require(text != NULL);
        free(text);
        return 0;
    }
    request.settings.stop = request.stop;
    fuzz_require(error.status == 0 && request.prompt_count >= 1 && request.n >= 1 && request.n <= REQUEST_N);
    fuzz_require(request.settings.max_tokens >= 0 && request.settings.max_tokens <= limits.max_tokens);
    fuzz_require(sample_check(&request.settings.sample, VOCABULARY) == LMU_OK);
    StopMatcher *stop;
    if (stop_open(request.settings.stop, request.settings.stop_count, &stop) == LMU_OK)
        stop_close(stop);
    for (size_t i = 0; i < request.prompt_count; i++)
        for (size_t k = 0; k < request.prompt[i].ids.count; k++)
            fuzz_require(request.prompt[i].ids.id[k] < VOCABULARY);
    request_free(&request);
    return 0;
}
