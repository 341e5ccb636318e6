/* JSON: glue around jansson, with messages that name the file and the key. */
#ifndef LMU_BASE_JSON_H
#define LMU_BASE_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"

#define JSON_FILE_LIMIT ((size_t)1 << 30)

/* Reads a JSON file (object or array at its root). Duplicate keys, NUL bytes and trailing text are LMU_FORMAT with line
 * and column. Release with json_decref. */
lmu_status json_read_file(const char *path, json_t **out);
/* Parses text of `size` bytes; `origin` names it in messages. */
lmu_status json_read_text(const char *origin, const char *text, size_t size, json_t **out);
/* Writes indented JSON, keys in insertion order, atomically. */
lmu_status json_write_file(const char *path, const json_t *value);

/* A required member of an object; LMU_FORMAT names `origin` and the key when it is missing, of another type or out of
 * range. Strings are borrowed from the object. */
lmu_status json_get_string(const char *origin, const json_t *object, const char *key, const char **out);
lmu_status json_get_integer(const char *origin, const json_t *object, const char *key, int64_t low, int64_t high,
                            int64_t *out);
lmu_status json_get_real(const char *origin, const json_t *object, const char *key, double *out);
lmu_status json_get_object(const char *origin, const json_t *object, const char *key, json_t **out); /* borrowed */

#endif
