/* What must hold of any tokenizer that a file gave. */
#ifndef TESTS_FUZZ_FUZZ_TOKENIZER_H
#define TESTS_FUZZ_FUZZ_TOKENIZER_H

#include <string.h>

#include "fuzz_input.h"
#include "text/incremental.h"
#include "text/vocabulary.h"

/* decode(encode(x)) = x, but for the space that a tokenizer may put before x. */
static inline void fuzz_round_trip(const Tokenizer *tokenizer, const uint8_t *data, size_t size, const IdList *ids)
{
    size_t at = 0;
    for (size_t i = 0; i < ids->count; i++) {
        size_t length;
        const char *bytes = tokenizer_bytes(tokenizer, ids->id[i], &length);
        fuzz_require(bytes != NULL && length <= size - at && memcmp(bytes, data + at, length) == 0);
        at += length;
    }
    fuzz_require(at == size);
}

/* The text is the file itself; in pieces it has the same ids. */
static inline void fuzz_tokenizer_check(const Tokenizer *tokenizer, const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    size = size < 2048 ? size : 2048;
    for (int specials = 0; specials < 2; specials++) {
        IdList ids = {0}, pieces = {0};
        Incremental *incremental;
        fuzz_require(tokenizer_encode(tokenizer, text, size, specials, &ids) == LMU_OK);
        if (!specials && !tokenizer->prefix_space)
            fuzz_round_trip(tokenizer, data, size, &ids);
        fuzz_require(incremental_open(tokenizer, specials, &incremental) == LMU_OK);
        for (size_t at = 0, part; at < size; at += part) {
            part = 1 + data[at] % 32;
            part = part < size - at ? part : size - at;
            fuzz_require(incremental_push(incremental, text + at, part, &pieces) == LMU_OK);
        }
        fuzz_require(incremental_end(incremental, &pieces) == LMU_OK);
        fuzz_require(pieces.count == ids.count &&
                     (ids.count == 0 || memcmp(pieces.id, ids.id, ids.count * sizeof *ids.id) == 0));
        incremental_close(incremental);
        free(ids.id);
        free(pieces.id);
    }
}

#endif
