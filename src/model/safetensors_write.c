#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "model/safetensors_internal.h"

/* Where the bytes go. */
typedef struct Sink {
    FileWriter *writer; /* NULL: into memory */
    char *data;
    size_t size, capacity;
} Sink;

static lmu_status sink_put(Sink *sink, const void *data, size_t size)
{
    if (sink->writer)
        return file_writer_put(sink->writer, data, size);
    TRY(memory_grow(&sink->data, &sink->capacity, sink->size + size, 1, "a safetensors file"));
    memcpy(sink->data + sink->size, data, size);
    sink->size += size;
    return LMU_OK;
}

#define ALIGNMENT 8 /* of the data in the file */
#define PIECE ((size_t)1 << 20)

/* The tensors in the order of their data: larger elements first, else as given. */
static lmu_status order_tensors(const SafetensorsContent *content, const SafetensorsTensor ***out)
{
    const SafetensorsTensor **ordered;
    TRY(memory_new(&ordered, content->count, sizeof *ordered, "a table of tensors"));
    size_t used = 0;
    for (size_t size = ALIGNMENT; size >= 1; size /= 2)
        for (size_t i = 0; i < content->count; i++)
            if (safetensors_type_size(content->tensors[i].type) == size)
                ordered[used++] = &content->tensors[i];
    *out = ordered;
    return LMU_OK;
}

/* Adds {"dtype", "shape", "data_offsets"} of one tensor; *offset moves behind it. */
static lmu_status describe_tensor(json_t *header, const SafetensorsTensor *tensor, int64_t *offset)
{
    size_t bytes;
    if (tensor->rank < 0 || tensor->rank > SAFETENSORS_RANK ||
        !safetensors_bytes(tensor->type, tensor->rank, tensor->shape, &bytes) || bytes > (size_t)(INT64_MAX - *offset))
        return error_set(LMU_USAGE, "tensor \"%s\": a shape that no file can hold", tensor->name);
    if (strcmp(tensor->name, SAFETENSORS_METADATA) == 0)
        return error_set(LMU_USAGE, "no tensor can be named \"" SAFETENSORS_METADATA "\"");
    if (json_object_get(header, tensor->name) != NULL)
        return error_set(LMU_USAGE, "two tensors are named \"%s\"", tensor->name);
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank; i++)
        json_array_append_new(shape, json_integer(tensor->shape[i]));
    int64_t end = *offset + (int64_t)bytes;
    json_t *info = json_pack("{s:s, s:o, s:[I, I]}", "dtype", safetensors_type_name(tensor->type), "shape", shape,
                             "data_offsets", (json_int_t)*offset, (json_int_t)end);
    if (info == NULL)
        return error_set(LMU_MEMORY, "no memory for the header of a safetensors file");
    if (json_object_set_new(header, tensor->name, info) != 0)
        return error_set(LMU_USAGE, "the name of a tensor is no UTF-8: \"%s\"", tensor->name);
    *offset = end;
    return LMU_OK;
}

static lmu_status describe_metadata(json_t *header, const SafetensorsContent *content)
{
    if (content->metadata_count == 0)
        return LMU_OK;
    json_t *metadata = json_object();
    json_object_set_new(header, SAFETENSORS_METADATA, metadata);
    for (size_t i = 0; i < content->metadata_count; i++) {
        const SafetensorsText *text = &content->metadata[i];
        if (json_object_set_new(metadata, text->key, json_string(text->value)) != 0)
            return error_set(LMU_USAGE, "metadata that is no UTF-8: \"%s\": \"%s\"", text->key, text->value);
    }
    return LMU_OK;
}

/* The header's text into *text (malloc), padded with blanks so that the data behind it is aligned. */
static lmu_status make_header(const SafetensorsContent *content, const SafetensorsTensor **ordered, char **text,
                              size_t *length)
{
    lmu_status status;
    int64_t offset = 0;
    char *compact = NULL;
    *text = NULL;
    json_t *header = json_object();
    ATTEMPT(describe_metadata(header, content));
    for (size_t i = 0; i < content->count; i++)
        ATTEMPT(describe_tensor(header, ordered[i], &offset));
    compact = json_dumps(header, JSON_COMPACT);
    if (compact == NULL)
        ATTEMPT(error_set(LMU_MEMORY, "no memory for the header of a safetensors file"));
    size_t bare = strlen(compact);
    *length = (bare + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (*length > SAFETENSORS_HEADER_LIMIT)
        ATTEMPT(error_set(LMU_USAGE, "the header would have %zu bytes (%zu at most): fewer tensors, shorter metadata",
                          *length, SAFETENSORS_HEADER_LIMIT));
    ATTEMPT(memory_new(text, *length, 1, "the header of a safetensors file"));
    memset(*text, ' ', *length);
    memcpy(*text, compact, bare);
done:
    free(compact);
    json_decref(header);
    return status;
}

/* A tensor that is read piece by piece. */
static lmu_status put_pieces(Sink *sink, const SafetensorsContent *content, const SafetensorsTensor *tensor,
                             size_t bytes)
{
    if (content->read == NULL)
        return error_set(LMU_USAGE, "tensor \"%s\" has no data", tensor->name);
    lmu_status status = LMU_OK;
    char *piece = NULL;
    ATTEMPT(memory_new(&piece, bytes < PIECE ? bytes : PIECE, 1, "a piece of a tensor"));
    for (size_t offset = 0; offset < bytes; offset += PIECE) {
        size_t size = bytes - offset < PIECE ? bytes - offset : PIECE;
        ATTEMPT(content->read(content->context, tensor, offset, size, piece));
        ATTEMPT(sink_put(sink, piece, size));
    }
done:
    free(piece);
    return status;
}

static lmu_status put_all(Sink *sink, const SafetensorsContent *content, const SafetensorsTensor **ordered,
                          const char *header, size_t length)
{
    uint8_t prefix[SAFETENSORS_PREFIX];
    for (int i = 0; i < SAFETENSORS_PREFIX; i++)
        prefix[i] = (uint8_t)((uint64_t)length >> 8 * i);
    TRY(sink_put(sink, prefix, sizeof prefix));
    TRY(sink_put(sink, header, length));
    for (size_t i = 0; i < content->count; i++) {
        size_t bytes;
        safetensors_bytes(ordered[i]->type, ordered[i]->rank, ordered[i]->shape, &bytes);
        if (bytes == 0)
            continue;
        if (ordered[i]->data != NULL)
            TRY(sink_put(sink, ordered[i]->data, bytes));
        else
            TRY(put_pieces(sink, content, ordered[i], bytes));
    }
    return LMU_OK;
}

static lmu_status write_content(Sink *sink, const char *path, const SafetensorsContent *content)
{
    lmu_status status;
    const SafetensorsTensor **ordered = NULL;
    char *header = NULL;
    size_t length = 0;
    ATTEMPT(order_tensors(content, &ordered));
    ATTEMPT(error_prefix(make_header(content, ordered, &header, &length), "%s: ", path ? path : "a file in memory"));
    if (path)
        ATTEMPT(file_writer_open(path, &sink->writer));
    ATTEMPT(put_all(sink, content, ordered, header, length));
done:
    free(header);
    free(ordered);
    return status;
}

lmu_status safetensors_write(const char *path, const SafetensorsContent *content)
{
    Sink sink = {0};
    lmu_status status = write_content(&sink, path, content);
    if (status == LMU_OK)
        return file_writer_commit(sink.writer);
    file_writer_abort(sink.writer);
    return status;
}

lmu_status safetensors_write_bytes(const SafetensorsContent *content, char **data, size_t *size)
{
    Sink sink = {0};
    lmu_status status = write_content(&sink, NULL, content);
    *data = NULL;
    *size = 0;
    if (status == LMU_OK) {
        *data = sink.data;
        *size = sink.size;
    } else
        free(sink.data);
    return status;
}
