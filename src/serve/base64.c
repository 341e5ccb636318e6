#include "serve/base64.h"

#include <ctype.h>
#include <nettle/base64.h>
#include <stdlib.h>

#include "base/memory.h"

lmu_status base64_from_bytes(const void *data, size_t size, char **text)
{
    TRY(memory_new(text, BASE64_ENCODE_RAW_LENGTH(size) + 1, 1, "base64"));
    base64_encode_raw(*text, size, data); /* the NUL is memory_new's */
    return LMU_OK;
}

lmu_status base64_to_bytes(const char *text, size_t size, uint8_t **data, size_t *data_size)
{
    struct base64_decode_ctx decoding;
    *data = NULL;
    *data_size = 0;
    for (size_t i = 0; i < size; i++) /* nettle skips white space */
        if (isspace((unsigned char)text[i]))
            return error_set(LMU_FORMAT, "not base64: white space at character %zu", i);
    if (size % 4 != 0)
        return error_set(LMU_FORMAT, "not base64: %zu characters are no multiple of 4", size);
    TRY(memory_new(data, BASE64_DECODE_LENGTH(size) + 1, 1, "base64"));
    base64_decode_init(&decoding);
    if (!base64_decode_update(&decoding, data_size, *data, size, text) || !base64_decode_final(&decoding)) {
        free(*data);
        *data = NULL;
        return error_set(LMU_FORMAT, "not base64: a character that is none of A-Z, a-z, 0-9, + and /, or padding "
                                     "inside");
    }
    return LMU_OK;
}
