/* A file as a stream of bytes, decompressed on the way if its name ends in .zst. */
#ifndef LMU_TEXT_SOURCE_H
#define LMU_TEXT_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct Source Source;

lmu_status source_open(const char *path, Source **out); /* the path is borrowed */
void source_close(Source *source);                      /* accepts NULL */

/* Up to `size` (>= 1) bytes into data; *got is 0 only at the end. LMU_FORMAT: damaged or truncated zstd data. */
lmu_status source_read(Source *source, char *data, size_t size, size_t *got);

/* Bytes of the file consumed so far, as it lies on disk. */
int64_t source_position(const Source *source);

#endif
