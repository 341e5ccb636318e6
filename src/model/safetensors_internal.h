/* What the reader and the writer of safetensors share. */
#ifndef LMU_MODEL_SAFETENSORS_INTERNAL_H
#define LMU_MODEL_SAFETENSORS_INTERNAL_H

#include <stdbool.h>

#include "model/safetensors.h"

#define SAFETENSORS_METADATA "__metadata__"
#define SAFETENSORS_PREFIX 8 /* bytes before the header: its length */

/* Bytes of a tensor of this type and shape; false if an extent is negative or no size_t holds the product. */
bool safetensors_bytes(SafetensorsType type, int rank, const int64_t *shape, size_t *bytes);

#endif
