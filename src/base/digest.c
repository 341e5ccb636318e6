#include "base/digest.h"

#include <stdint.h>
#include <stdio.h>

#include "base/file.h"

void digest_begin(Digest *digest)
{
    sha256_init(digest);
}

void digest_add(Digest *digest, const void *data, size_t size)
{
    sha256_update(digest, size, data);
}

void digest_end(Digest *digest, char out[DIGEST_SIZE])
{
    uint8_t sum[SHA256_DIGEST_SIZE];
    sha256_digest(digest, sizeof sum, sum);
    for (int i = 0; i < SHA256_DIGEST_SIZE; i++)
        snprintf(out + (ptrdiff_t)2 * i, 3, "%02x", sum[i]);
}

void digest_text(const char *text, size_t size, char out[DIGEST_SIZE])
{
    Digest digest;
    digest_begin(&digest);
    digest_add(&digest, text, size);
    digest_end(&digest, out);
}

lmu_status digest_file(const char *path, char out[DIGEST_SIZE])
{
    FileMap map;
    TRY(file_map(path, &map));
    digest_text((const char *)map.data, map.size, out);
    file_unmap(&map);
    return LMU_OK;
}
