/* Safetensors: named arrays in one file, as other programs read and write them too (github.com/huggingface/safetensors).
 *
 *     8 bytes      length N of the header, little-endian, at most 100 MB
 *     N bytes      JSON: {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
 *     the rest     the data, row-major and little-endian; offsets count from here, leave no gap and do not overlap
 *
 * Reading maps the file and checks all of the above before anything is handed out: what the header says is what the file
 * holds, and pointers are aligned for their element. Bytes of the data itself are not looked at. */
#ifndef LMU_MODEL_SAFETENSORS_H
#define LMU_MODEL_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SAFETENSORS_RANK 8
#define SAFETENSORS_HEADER_LIMIT ((size_t)100 * 1000 * 1000)

/* In the order of falling element size. */
typedef enum SafetensorsType {
    SAFETENSORS_F64,
    SAFETENSORS_I64,
    SAFETENSORS_U64,
    SAFETENSORS_F32,
    SAFETENSORS_I32,
    SAFETENSORS_U32,
    SAFETENSORS_F16,
    SAFETENSORS_BF16,
    SAFETENSORS_I16,
    SAFETENSORS_U16,
    SAFETENSORS_I8,
    SAFETENSORS_U8,
    SAFETENSORS_BOOL,
    SAFETENSORS_TYPES,
} SafetensorsType;

const char *safetensors_type_name(SafetensorsType type); /* "F32" */
size_t safetensors_type_size(SafetensorsType type);      /* bytes an element */

typedef struct SafetensorsTensor {
    const char *name;
    SafetensorsType type;
    int rank; /* 0: one element */
    int64_t shape[SAFETENSORS_RANK];
    const void *data;
    size_t size; /* bytes */
} SafetensorsTensor;

/* ---- reading ---- */

typedef struct Safetensors Safetensors; /* what it hands out is borrowed and lives until it is closed */

lmu_status safetensors_open(const char *path, Safetensors **out);
/* The same of bytes in memory, which are copied; messages name `origin` in the place of a path. */
lmu_status safetensors_open_bytes(const void *data, size_t size, const char *origin, Safetensors **out);
void safetensors_close(Safetensors *file); /* accepts NULL */

size_t safetensors_count(const Safetensors *file);
const SafetensorsTensor *safetensors_at(const Safetensors *file, size_t index);       /* in the order of the data */
const SafetensorsTensor *safetensors_find(const Safetensors *file, const char *name); /* NULL: there is none */
const char *safetensors_metadata(const Safetensors *file, const char *key);           /* NULL: there is none */

/* The data of a tensor that must be there with this type and shape (an extent of -1 fits any); LMU_MISMATCH, saying what the file
 * holds instead, if it is not. */
lmu_status safetensors_get(const Safetensors *file, const char *name, SafetensorsType type, int rank,
                           const int64_t *shape, const void **data);

/* ---- writing ---- */

typedef struct SafetensorsText {
    const char *key, *value;
} SafetensorsText;

/* Fetches bytes [offset, offset + size) of a tensor that is not in memory as one piece. */
typedef lmu_status SafetensorsRead(void *context, const SafetensorsTensor *tensor, size_t offset, size_t size,
                                   void *out);

/* What goes into a file. `size` of the tensors is not read: it follows from type and shape. */
typedef struct SafetensorsContent {
    const SafetensorsTensor *tensors;
    size_t count;
    const SafetensorsText *metadata;
    size_t metadata_count;
    SafetensorsRead *read; /* called for each tensor whose data is NULL; may be NULL when none is */
    void *context;
} SafetensorsContent;

/* Replaces `path` atomically. The data lies in the given order, but larger elements come before smaller ones, so that each is
 * aligned; the same content gives the same bytes. LMU_USAGE: a name twice or not UTF-8, a shape that makes no sense. */
lmu_status safetensors_write(const char *path, const SafetensorsContent *content);
/* The same bytes into memory; free(*data). */
lmu_status safetensors_write_bytes(const SafetensorsContent *content, char **data, size_t *size);

#endif
