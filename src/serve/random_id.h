/* Bits that no one can guess, from the operating system. */
#ifndef LMU_SERVE_RANDOM_ID_H
#define LMU_SERVE_RANDOM_ID_H

#include <stddef.h>

#include "base/error.h"

lmu_status random_bytes(void *out, size_t size);
/* `digits` (even) hexadecimal digits and a NUL: 4 bits each. */
lmu_status random_id(char *out, size_t digits);

#endif
