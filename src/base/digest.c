#include "base/digest.h"

#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>

#include "base/file.h"

void digest_text(const char *text, size_t size, char out[DIGEST_SIZE])
{
    struct sha256_ctx context;
    uint8_t sum[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    sha256_update(&context, size, (const uint8_t *)text);
    sha256_digest(&context, sizeof sum, sum);
    for (int i = 0; i < SHA256_DIGEST_SIZE; i++)
        snprintf(out + (ptrdiff_t)2 * i, 3, "%02x", sum[i]);
}

lmu_status digest_file(const char *path, char out[DIGEST_SIZE])
{
    FileMap map;
    TRY(file_map(path, &map));
    digest_text((const char *)map.data, map.size, out);
    file_unmap(&map);
    return LMU_OK;
}
