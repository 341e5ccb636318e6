#include "cli/token_json.h"

#include <stdlib.h>

#include "base/memory.h"
#include "infer/utf8.h"

json_t *token_json(const Tokenizer *tokenizer, int32_t token)
{
    Utf8Stream stream = {.count = 0};
    size_t size;
    const char *bytes = tokenizer_bytes(tokenizer, (uint32_t)token, &size);
    char *text;
    if (memory_new(&text, UTF8_ROOM(size) + UTF8_ROOM(0), 1, "the text of a token") != LMU_OK)
        return NULL;
    size_t whole = utf8_push(&stream, bytes, size, text);
    whole += utf8_end(&stream, text + whole);
    json_t *json = json_stringn(text, whole);
    free(text);
    return json;
}
