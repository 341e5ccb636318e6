/* Tokens as JSON, for commands that print a line a token. */
#ifndef LMU_CLI_TOKEN_JSON_H
#define LMU_CLI_TOKEN_JSON_H

#include <jansson.h>

#include "text/tokenizer.h"

/* What a token stands for, alone: a string, with U+FFFD for a part of a character. NULL: no memory. */
json_t *token_json(const Tokenizer *tokenizer, int32_t token);

#endif
