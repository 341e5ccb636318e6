/* The bytes of a fuzzer as those of a safetensors file. */
#ifndef TESTS_FUZZ_FUZZ_SAFETENSORS_H
#define TESTS_FUZZ_FUZZ_SAFETENSORS_H

#include <string.h>

#include "fuzz_input.h"

/* Input that begins like a header is one, up to its first NUL, and the data follows: the length that has to go before it is
 * right then, which a mutated file hardly ever has. Any other input is the whole file. Free the result. */
static inline uint8_t *fuzz_safetensors(const uint8_t *data, size_t size, size_t *file_size)
{
    bool whole = size == 0 || data[0] != '{';
    const uint8_t *nul = whole ? NULL : memchr(data, 0, size);
    uint64_t header = nul != NULL ? (uint64_t)(nul - data) : size;
    size_t start = whole ? 0 : sizeof header, rest = nul != NULL ? size - header - 1 : 0;
    uint8_t *file = malloc(start + size + 1);
    fuzz_require(file != NULL);
    if (!whole)
        memcpy(file, &header, sizeof header);
    memcpy(file + start, data, header);
    memcpy(file + start + header, data + size - rest, rest);
    *file_size = start + header + rest;
    return file;
}

#endif
