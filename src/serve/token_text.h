/* Tokens as text. */
#ifndef LMU_SERVE_TOKEN_TEXT_H
#define LMU_SERVE_TOKEN_TEXT_H

#include <jansson.h>

#include "infer/logprob.h"
#include "infer/utf8.h"
#include "serve/byte_queue.h"
#include "text/tokenizer.h"

/* The text of ids, whole characters; what they end in the middle of stays in the stream. Special tokens are written by their
 * names if `specials`, else left out. */
lmu_status ids_text(const Tokenizer *tokenizer, const uint32_t *id, size_t count, bool specials, Utf8Stream *stream,
                    ByteQueue *out);

/* A token alone, as OpenAI writes it: its text, or "bytes:\x.." where its bytes are no whole characters. NULL: no memory. */
json_t *token_name(const Tokenizer *tokenizer, int32_t token);

/* -- log-probabilities -------------------------------------------------------------------------------------------------- */

typedef struct TokenRecord {
    int32_t token;
    bool known; /* false: of the first token of a text, before which there is nothing */
    double chosen;
    size_t first; /* of `count` likeliest tokens in the list's array */
    int count;
} TokenRecord;

/* Start from a zeroed one. */
typedef struct TokenRecords {
    TokenRecord *record;
    size_t count, capacity;
    Logprob *likeliest;
    size_t likeliest_count, likeliest_capacity;
} TokenRecords;

void token_records_free(TokenRecords *records); /* and zeroes it */
void token_records_clear(TokenRecords *records);
lmu_status token_records_add(TokenRecords *records, int32_t token, const Logprobs *logprobs); /* NULL: not known */

/* Where the next token's text begins in a text of characters; start from a zeroed one. */
typedef struct TextPlace {
    Utf8Stream stream;
    int64_t characters; /* code points that are whole */
} TextPlace;
lmu_status text_place_pass(TextPlace *place, const Tokenizer *tokenizer, int32_t token, bool specials);

/* OpenAI's "logprobs" object, empty; and the records appended to it. `alternatives`: whether likeliest tokens are told. */
json_t *logprobs_object(void);
lmu_status logprobs_append(json_t *object, const Tokenizer *tokenizer, const TokenRecords *records, bool alternatives,
                           bool specials, TextPlace *place);

#endif
