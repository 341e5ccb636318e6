#include "model/safetensors.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "model/safetensors_internal.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors data is handed out as it lies in the file");

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [SAFETENSORS_F64] = {"F64", 8},   [SAFETENSORS_I64] = {"I64", 8},   [SAFETENSORS_U64] = {"U64", 8},
    [SAFETENSORS_F32] = {"F32", 4},   [SAFETENSORS_I32] = {"I32", 4},   [SAFETENSORS_U32] = {"U32", 4},
    [SAFETENSORS_F16] = {"F16", 2},   [SAFETENSORS_BF16] = {"BF16", 2}, [SAFETENSORS_I16] = {"I16", 2},
    [SAFETENSORS_U16] = {"U16", 2},   [SAFETENSORS_I8] = {"I8", 1},     [SAFETENSORS_U8] = {"U8", 1},
    [SAFETENSORS_BOOL] = {"BOOL", 1},
};
static_assert(sizeof types / sizeof *types == SAFETENSORS_TYPES, "each type has its row");

struct Safetensors {
    FileMap map;
    void *copy; /* of bytes in memory, at which the map then points */
    char *path;
    json_t *header; /* owns the names */
    const json_t *metadata;
    size_t count;
    SafetensorsTensor *tensor;         /* by place in the file */
    const SafetensorsTensor **by_name; /* sorted by name */
};

const char *safetensors_type_name(SafetensorsType type)
{
    return types[type].name;
}

size_t safetensors_type_size(SafetensorsType type)
{
    return types[type].size;
}

bool safetensors_bytes(SafetensorsType type, int rank, const int64_t *shape, size_t *bytes)
{
    size_t product = types[type].size;
    bool empty = false, fits = true;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0)
            return false;
        empty |= shape[i] == 0;
    }
    for (int i = 0; i < rank && !empty; i++)
        fits = fits && !__builtin_mul_overflow(product, (size_t)shape[i], &product);
    *bytes = empty ? 0 : product;
    return fits;
}

static lmu_status read_type(const char *path, const char *name, const json_t *info, SafetensorsType *type)
{
    const char *text = json_string_value(json_object_get(info, "dtype"));
    if (text == NULL)
        return error_set(LMU_FORMAT, "%s: tensor \"%s\": dtype must be a string", path, name);
    for (int i = 0; i < SAFETENSORS_TYPES; i++)
        if (strcmp(text, types[i].name) == 0) {
            *type = (SafetensorsType)i;
            return LMU_OK;
        }
    return error_set(LMU_FORMAT, "%s: tensor \"%s\": dtype \"%s\" is not supported", path, name, text);
}

static lmu_status read_shape(const char *path, const char *name, const json_t *info, SafetensorsTensor *out)
{
    const json_t *shape = json_object_get(info, "shape");
    if (!json_is_array(shape))
        return error_set(LMU_FORMAT, "%s: tensor \"%s\": shape must be an array of integers", path, name);
    if (json_array_size(shape) > SAFETENSORS_RANK)
        return error_set(LMU_FORMAT, "%s: tensor \"%s\" has %zu dimensions; at most %d are supported", path, name,
                         json_array_size(shape), SAFETENSORS_RANK);
    out->rank = (int)json_array_size(shape);
    for (int i = 0; i < out->rank; i++) {
        const json_t *extent = json_array_get(shape, (size_t)i);
        if (!json_is_integer(extent) || json_integer_value(extent) < 0)
            return error_set(LMU_FORMAT, "%s: tensor \"%s\": shape must be an array of integers, none negative", path,
                             name);
        out->shape[i] = json_integer_value(extent);
    }
    return LMU_OK;
}

/* The span of the data that is the tensor's, checked against the file and the shape. */
static lmu_status read_span(const Safetensors *file, const json_t *info, const uint8_t *data, SafetensorsTensor *out)
{
    const json_t *offsets = json_object_get(info, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return error_set(LMU_FORMAT, "%s: tensor \"%s\": data_offsets must be two integers", file->path, out->name);
    int64_t begin = json_integer_value(first), end = json_integer_value(last);
    int64_t room = (int64_t)(file->map.size - (size_t)(data - file->map.data));
    if (begin < 0 || end < begin || end > room)
        return error_set(LMU_FORMAT,
                         "%s: tensor \"%s\": data_offsets [%" PRId64 ", %" PRId64 "] lie outside the %" PRId64
                         " bytes of data; is the file cut short?",
                         file->path, out->name, begin, end, room);
    if (!safetensors_bytes(out->type, out->rank, out->shape, &out->size))
        return error_set(LMU_FORMAT, "%s: tensor \"%s\": the shape is too large", file->path, out->name);
    if (out->size != (size_t)(end - begin))
        return error_set(LMU_FORMAT, "%s: tensor \"%s\": dtype and shape need %zu bytes, data_offsets give it %" PRId64,
                         file->path, out->name, out->size, end - begin);
    out->data = data + begin;
    if ((uintptr_t)out->data % types[out->type].size != 0)
        return error_set(LMU_FORMAT,
                         "%s: tensor \"%s\" is not aligned: it begins at byte %td of the file, no multiple of %zu",
                         file->path, out->name, (const uint8_t *)out->data - file->map.data, types[out->type].size);
    return LMU_OK;
}

static lmu_status read_metadata(Safetensors *file, const json_t *metadata)
{
    if (!json_is_object(metadata))
        return error_set(LMU_FORMAT, "%s: " SAFETENSORS_METADATA " must be an object of strings", file->path);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)metadata, key, value) {
        if (!json_is_string(value))
            return error_set(LMU_FORMAT, "%s: " SAFETENSORS_METADATA " must be an object of strings; \"%s\" is none",
                             file->path, key);
    }
    file->metadata = metadata;
    return LMU_OK;
}

static int compare_place(const void *a, const void *b)
{
    const SafetensorsTensor *x = a, *y = b;
    if (x->data != y->data)
        return (const uint8_t *)x->data < (const uint8_t *)y->data ? -1 : 1;
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int compare_name(const void *a, const void *b)
{
    return strcmp((*(const SafetensorsTensor *const *)a)->name, (*(const SafetensorsTensor *const *)b)->name);
}

/* Every byte of the data belongs to one tensor: what hides in gaps would be lost by copying the file through any reader. */
static lmu_status check_spans(const Safetensors *file, const uint8_t *data)
{
    const uint8_t *next = data, *end = file->map.data + file->map.size;
    for (size_t i = 0; i < file->count; i++) {
        const SafetensorsTensor *tensor = &file->tensor[i];
        const uint8_t *begin = tensor->data;
        if (begin < next)
            return error_set(LMU_FORMAT, "%s: tensors \"%s\" and \"%s\" overlap", file->path, tensor[-1].name,
                             tensor->name);
        if (begin > next)
            return error_set(LMU_FORMAT, "%s: %td bytes before tensor \"%s\" belong to no tensor", file->path,
                             begin - next, tensor->name);
        next = begin + tensor->size;
    }
    if (next != end)
        return error_set(LMU_FORMAT, "%s: the last %td bytes belong to no tensor", file->path, end - next);
    return LMU_OK;
}

static lmu_status read_header(Safetensors *file)
{
    const FileMap *map = &file->map;
    if (map->size < SAFETENSORS_PREFIX)
        return error_set(LMU_FORMAT, "%s: %zu bytes are too few for a safetensors file", file->path, map->size);
    uint64_t length = 0;
    for (int i = 0; i < SAFETENSORS_PREFIX; i++)
        length |= (uint64_t)map->data[i] << 8 * i;
    if (length > SAFETENSORS_HEADER_LIMIT)
        return error_set(LMU_FORMAT, "%s: no safetensors file: its header would have %" PRIu64 " bytes (%zu at most)",
                         file->path, length, SAFETENSORS_HEADER_LIMIT);
    if (length > map->size - SAFETENSORS_PREFIX)
        return error_set(LMU_FORMAT,
                         "%s: the header has %" PRIu64 " bytes but only %zu are there; is the file cut short?",
                         file->path, length, map->size - SAFETENSORS_PREFIX);
    const char *text = (const char *)map->data + SAFETENSORS_PREFIX;
    const uint8_t *data = map->data + SAFETENSORS_PREFIX + length;
    TRY(json_read_text(file->path, text, (size_t)length, &file->header));
    if (!json_is_object(file->header))
        return error_set(LMU_FORMAT, "%s: the header must be a JSON object", file->path);
    TRY(memory_new(&file->tensor, json_object_size(file->header), sizeof *file->tensor, "a table of tensors"));
    TRY(memory_new(&file->by_name, json_object_size(file->header), sizeof *file->by_name, "a table of tensors"));
    const char *name;
    json_t *info;
    json_object_foreach(file->header, name, info) {
        if (strcmp(name, SAFETENSORS_METADATA) == 0) {
            TRY(read_metadata(file, info));
            continue;
        }
        if (!json_is_object(info))
            return error_set(LMU_FORMAT, "%s: tensor \"%s\" must be an object", file->path, name);
        SafetensorsTensor *tensor = &file->tensor[file->count++];
        tensor->name = name;
        TRY(read_type(file->path, name, info, &tensor->type));
        TRY(read_shape(file->path, name, info, tensor));
        TRY(read_span(file, info, data, tensor));
    }
    qsort(file->tensor, file->count, sizeof *file->tensor, compare_place);
    for (size_t i = 0; i < file->count; i++)
        file->by_name[i] = &file->tensor[i];
    qsort(file->by_name, file->count, sizeof *file->by_name, compare_name);
    return check_spans(file, data);
}

/* `data` NULL: of the file. */
static lmu_status open_map(const char *path, const void *data, size_t size, Safetensors **out)
{
    *out = NULL;
    lmu_status status;
    Safetensors *file = NULL;
    ATTEMPT(memory_new(&file, 1, sizeof *file, "a safetensors file"));
    file->path = strdup(path);
    if (file->path == NULL)
        ATTEMPT(error_set(LMU_MEMORY, "no memory for a file name"));
    if (data == NULL) {
        ATTEMPT(file_map(path, &file->map));
    } else { /* copied for its alignment */
        ATTEMPT(memory_new(&file->copy, size, 1, "a copy of a safetensors file"));
        memcpy(file->copy, data, size);
        file->map = (FileMap){file->copy, size};
    }
    ATTEMPT(read_header(file));
    *out = file;
    file = NULL;
done:
    safetensors_close(file);
    return status;
}

lmu_status safetensors_open(const char *path, Safetensors **out)
{
    return open_map(path, NULL, 0, out);
}

lmu_status safetensors_open_bytes(const void *data, size_t size, const char *origin, Safetensors **out)
{
    return open_map(origin, data ? data : "", size, out);
}

void safetensors_close(Safetensors *file)
{
    if (file == NULL)
        return;
    if (file->copy == NULL)
        file_unmap(&file->map);
    free(file->copy);
    json_decref(file->header);
    free(file->tensor);
    free(file->by_name);
    free(file->path);
    free(file);
}

size_t safetensors_count(const Safetensors *file)
{
    return file->count;
}

const SafetensorsTensor *safetensors_at(const Safetensors *file, size_t index)
{
    return &file->tensor[index];
}

const SafetensorsTensor *safetensors_find(const Safetensors *file, const char *name)
{
    const SafetensorsTensor wanted = {.name = name}, *key = &wanted;
    const SafetensorsTensor **found = bsearch(&key, file->by_name, file->count, sizeof *file->by_name, compare_name);
    return found == NULL ? NULL : *found;
}

const char *safetensors_metadata(const Safetensors *file, const char *key)
{
    return json_string_value(json_object_get(file->metadata, key));
}

/* "(2, 3)"; an extent of -1 as "any". */
static void shape_format(int rank, const int64_t *shape, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "(");
    for (int i = 0; i < rank && used < size; i++) {
        const char *comma = i > 0 ? ", " : "";
        if (shape[i] < 0)
            used += (size_t)snprintf(out + used, size - used, "%sany", comma);
        else
            used += (size_t)snprintf(out + used, size - used, "%s%" PRId64, comma, shape[i]);
    }
    if (used < size)
        snprintf(out + used, size - used, ")");
}

lmu_status safetensors_get(const Safetensors *file, const char *name, SafetensorsType type, int rank,
                           const int64_t *shape, const void **data)
{
    const SafetensorsTensor *tensor = safetensors_find(file, name);
    if (tensor == NULL)
        return error_set(LMU_MISMATCH, "%s: there is no tensor \"%s\"", file->path, name);
    bool fits = tensor->type == type && tensor->rank == rank;
    for (int i = 0; i < rank && fits; i++)
        fits = shape[i] < 0 || shape[i] == tensor->shape[i];
    if (!fits) {
        char have[256], need[256];
        shape_format(tensor->rank, tensor->shape, have, sizeof have);
        shape_format(rank, shape, need, sizeof need);
        return error_set(LMU_MISMATCH, "%s: tensor \"%s\" is %s %s; %s %s is needed", file->path, name,
                         types[tensor->type].name, have, types[type].name, need);
    }
    *data = tensor->data;
    return LMU_OK;
}
