/* SHA-256 (FIPS 180-4), as lower-case hexadecimal digits and a NUL. */
#ifndef LMU_BASE_DIGEST_H
#define LMU_BASE_DIGEST_H

#include <nettle/sha2.h>
#include <stddef.h>

#include "base/error.h"

#define DIGEST_SIZE 65

void digest_text(const char *text, size_t size, char out[DIGEST_SIZE]);
lmu_status digest_file(const char *path, char out[DIGEST_SIZE]);

/* The same of bytes that come in pieces. */
typedef struct sha256_ctx Digest;
void digest_begin(Digest *digest);
void digest_add(Digest *digest, const void *data, size_t size);
void digest_end(Digest *digest, char out[DIGEST_SIZE]);

#endif
