#include <string.h>

#include "fuzz_input.h"
#include "text/tokenizer.h"

/* Whatever a tokenizer.json says, if it is taken then decode(encode(x)) = x, here for x = the file itself. */
static void check_round_trip(const Tokenizer *tokenizer, const uint8_t *data, size_t size)
{
    IdList ids = {0};
    size_t at = 0;
    fuzz_require(tokenizer_encode(tokenizer, (const char *)data, size, false, &ids) == LMU_OK);
    for (size_t i = 0; i < ids.count; i++) {
        size_t length;
        const char *bytes = tokenizer_bytes(tokenizer, ids.id[i], &length);
        fuzz_require(bytes != NULL && length <= size - at && memcmp(bytes, data + at, length) == 0);
        at += length;
    }
    fuzz_require(at == size);
    free(ids.id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    Tokenizer *tokenizer;
    int fd = fuzz_input(data, size, path);
    if (tokenizer_open(path, &tokenizer) == LMU_OK) {
        check_round_trip(tokenizer, data, size < 4096 ? size : 4096);
        tokenizer_close(tokenizer);
    } else {
        fuzz_require(lmu_error_message()[0] != '\0');
    }
    close(fd);
    return 0;
}
