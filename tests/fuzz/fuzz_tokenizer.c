#include "fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    Tokenizer *tokenizer;
    int fd = fuzz_input(data, size, path);
    if (tokenizer_open(path, &tokenizer) == LMU_OK) {
        fuzz_tokenizer_check(tokenizer, data, size);
        tokenizer_close(tokenizer);
    } else {
        fuzz_require(lmu_error_message()[0] != '\0');
    }
    close(fd);
    return 0;
}
