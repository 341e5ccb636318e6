#include "fuzz_safetensors.h"
#include "model/safetensors.h"

static volatile unsigned fuzz_sum; /* keeps the reads of the data */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    Safetensors *file;
    size_t file_size;
    uint8_t *bytes = fuzz_safetensors(data, size, &file_size);
    int fd = fuzz_input(bytes, file_size, path);
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
    free(bytes);
    fuzz_sum = sum;
    return 0;
}
