/* What a client asks for: the body of POST /v1/completions, checked key by key, into what the engine works with. */
#ifndef LMU_SERVE_REQUEST_H
#define LMU_SERVE_REQUEST_H

#include "infer/generate.h"
#include "serve/api_error.h"
#include "serve/state_cache.h"
#include "serve/text_pool.h"

#define REQUEST_DEPTH 16     /* of JSON's nesting */
#define REQUEST_CHOICES 1024 /* texts of one request: prompts times n */
#define REQUEST_N 128        /* as OpenAI has it */
#define REQUEST_LOGPROBS                                                                                               \
    ((int64_t)1 << 19) /* log-probabilities in an answer: of its tokens, echoed ones among them, and alternatives */
#define STATE_ID 32    /* hexadecimal digits of a kept state's id */

/* What the operator allows. */
typedef struct RequestLimits {
    int64_t prompt_tokens, max_tokens; /* of one prompt; of one text */
} RequestLimits;

/* One prompt. Its ids are those of the text (request_tokenize), or were given. */
typedef struct RequestPrompt {
    const char *text; /* borrowed from the JSON; NULL: ids were given */
    size_t size;
    IdList ids;
    bool
        begun; /* nothing was given: its one id is the end-of-text token before a text's start, and no part of the text */
    StateKey *key; /* of the states behind each whole block of ids, key_count of them; NULL: not made */
    size_t key_count;
} RequestPrompt;

typedef enum StateStart { START_FRESH, START_DATA, START_ID } StateStart;

typedef struct CompletionRequest {
    json_t *json; /* the body, which strings are borrowed from */
    RequestPrompt *prompt;
    size_t prompt_count;
    const char *model;            /* NULL: not said */
    GenerateSettings settings;    /* of the first choice of each prompt; choice i has the seed seed + i */
    const char *stop[STOP_LIMIT]; /* settings.stop_count of them */
    LogitBias *bias;
    int64_t n, best_of, logprobs; /* best_of 0, logprobs -1: not said */
    bool echo, stream, include_usage, has_seed;
    StateStart start;
    uint8_t *state; /* START_DATA */
    size_t state_size;
    StateKey state_key;            /* START_ID */
    bool state_return, state_keep; /* what becomes of the state behind each text */
} CompletionRequest;

/* The JSON object in a body; at most REQUEST_DEPTH deep, in UTF-8, no key twice. Release with json_decref. */
lmu_status request_json(const char *body, size_t size, json_t **out, ApiError *error);

/* Refuses by name what is unknown, unsupported or out of range. `vocabulary` tells the ids that there are. */
lmu_status request_parse(const char *body, size_t size, const RequestLimits *limits, int64_t vocabulary,
                         CompletionRequest *out, ApiError *error);
void request_free(CompletionRequest *request); /* accepts a zeroed one */

/* Makes the ids of prompts that came as text, and the keys of their blocks. A prompt without ids that starts from no state gets the end-of-text
 * token, behind which every text begins. */
lmu_status request_tokenize(CompletionRequest *request, TextPool *pool, const RequestLimits *limits, ApiError *error);
/* Whether the prompt's logits are asked for, each of them. */
bool request_reads_each(const CompletionRequest *request);

/* An array of token ids, appended to the list. */
lmu_status request_ids(const json_t *array, const char *param, int64_t vocabulary, int64_t limit, IdList *out,
                       ApiError *error);

/* The key of a kept state from its id. */
void state_key_of_id(const char *id, StateKey *out);

#endif
