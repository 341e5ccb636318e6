#include <string.h>

#include "fuzz_input.h"
#include "model/safetensors.h"

/* Input that begins like a header is one, up to its first NUL, and the data follows: the length that has to go before it is
 * right then, which a mutated file hardly ever has. Any other input is the whole file. */
static int make_input(const uint8_t *data, size_t size, char path[32])
{
    if (size == 0 || data[0] != '{')
        return fuzz_input(data, size, path);
    const uint8_t *nul = memchr(data, 0, size);
    uint64_t header = nul != NULL ? (uint64_t)(nul - data) : size;
    size_t rest = nul != NULL ? size - header - 1 : 0;
    uint8_t *file = malloc(8 + size);
    fuzz_require(file != NULL);
    memcpy(file, &header, 8);
    memcpy(file + 8, data, header);
    memcpy(file + 8 + header, data + size - rest, rest);
    int fd = fuzz_input(file, 8 + header + rest, path);
    free(file);
    return fd;
}

static volatile unsigned fuzz_sum; /* keeps the reads of the data */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    Safetensors *file;
    int fd = make_input(data, size, path);
    unsigned sum = 0;
    if (safetensors_open(path, &file) == LMU_OK) {
        for (size_t i = 0; i < safetensors_count(file); i++) {
            const SafetensorsTensor *tensor = safetensors_at(file, i);
            fuzz_require(safetensors_find(file, tensor->name) == tensor);
            fuzz_require((uintptr_t)tensor->data % safetensors_type_size(tensor->type) == 0);
            for (size_t b = 0; b < tensor->size; b++)
                sum += ((const uint8_t *)tensor->data)[b];
        }
        safetensors_metadata(file, "model");
        safetensors_close(file);
    } else {
        fuzz_require(lmu_error_message()[0] != '\0');
    }
    close(fd);
    fuzz_sum = sum;
    return 0;
}
