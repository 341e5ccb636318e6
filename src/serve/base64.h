/* Base64 (RFC 4648, section 4): bytes as text that JSON can carry. */
#ifndef LMU_SERVE_BASE64_H
#define LMU_SERVE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Text with a NUL behind it, to be freed. */
lmu_status base64_from_bytes(const void *data, size_t size, char **text);
/* The bytes, to be freed. LMU_FORMAT: a character that is none of base64's (white space is none either), padding that is not
 * where it belongs, a length that no bytes have. */
lmu_status base64_to_bytes(const char *text, size_t size, uint8_t **data, size_t *data_size);

#endif
