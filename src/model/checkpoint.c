/* A model in a directory: config.json and model.safetensors. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "model/model.h"
#include "model/safetensors.h"

#define WEIGHTS_KEY "weights" /* of the metadata; a file without it has F32 alone */
#define WEIGHTS_INT8 "int8"

/* What a tensor of a file holds: the numbers of a parameter in one of the vectors, or of a matrix in bytes these, or their scales. */
typedef enum Holding { HOLDS_NUMBERS, HOLDS_BYTES, HOLDS_SCALES } Holding;

#define NAME_LENGTH 384

typedef struct Stored {
    const Param *param;
    Real *vector;
    Holding holding;
    char name[NAME_LENGTH];
} Stored;

/* Vectors one after the other, each with the parameters in the order of the store; behind bytes their scales. */
typedef struct VectorFile {
    const Params *params;
    SafetensorsTensor *tensors;
    Stored *stored; /* one a tensor */
    size_t count;
} VectorFile;

static void vector_file_close(VectorFile *file)
{
    free(file->tensors);
    free(file->stored);
}

static void vector_file_add(VectorFile *file, const Param *param, const ParamVector *vector, Holding holding)
{
    static const SafetensorsType types[] = {SAFETENSORS_F32, SAFETENSORS_I8, SAFETENSORS_F32};
    Stored *stored = &file->stored[file->count];
    SafetensorsTensor *tensor = &file->tensors[file->count++];
    *stored = (Stored){.param = param, .vector = vector->vector, .holding = holding};
    snprintf(stored->name, NAME_LENGTH, "%s%s%s", vector->prefix, param->name, holding == HOLDS_SCALES ? ".scale" : "");
    *tensor = (SafetensorsTensor){.name = stored->name, .type = types[holding], .rank = param->rank};
    memcpy(tensor->shape, param->shape, (size_t)param->rank * sizeof *param->shape);
    if (holding == HOLDS_SCALES)
        tensor->rank = 1;
}

static lmu_status vector_file_open(const Params *params, const ParamVector *vectors, size_t count, VectorFile *file)
{
    /* Vectors of gradients and moments have no counts. */
    size_t each = vectors[0].vector == params->values ? params->count : params->learnt_count;
    lmu_status status;
    *file = (VectorFile){.params = params};
    ATTEMPT(memory_new(&file->tensors, 2 * count * each, sizeof *file->tensors, "a checkpoint"));
    ATTEMPT(memory_new(&file->stored, 2 * count * each, sizeof *file->stored, "a checkpoint"));
    for (size_t i = 0; i < count * each; i++) {
        const Param *param = params->list[i % each];
        vector_file_add(file, param, &vectors[i / each], param_is_int8(param) ? HOLDS_BYTES : HOLDS_NUMBERS);
        if (param_is_int8(param))
            vector_file_add(file, param, &vectors[i / each], HOLDS_SCALES);
    }
    return LMU_OK;
done:
    vector_file_close(file);
    return status;
}

static lmu_status read_piece(void *context, const SafetensorsTensor *tensor, size_t offset, size_t size, void *out)
{
    const VectorFile *file = context;
    const Stored *stored = &file->stored[tensor - file->tensors];
    const Param *param = stored->param;
    Backend *backend = file->params->backend;
    switch (stored->holding) {
    case HOLDS_NUMBERS:
        KERNEL(backend, get_f32, (int64_t)(size / sizeof(float)),
               real_at(backend, stored->vector, param->offset + (int64_t)(offset / sizeof(float))), out);
        break;
    case HOLDS_BYTES:
        KERNEL(backend, get_int8, &param->int8, (int64_t)offset, (int64_t)size, out);
        break;
    case HOLDS_SCALES:
        KERNEL(backend, get_bytes, size, (const char *)param->int8.scale + offset, out);
        break;
    }
    return LMU_OK;
}

lmu_status params_save(const Params *params, const ParamVector *vectors, size_t count, const char *path)
{
    VectorFile file;
    TRY(vector_file_open(params, vectors, count, &file));
    static const SafetensorsText metadata[] = {{"format", "lmu"}, {WEIGHTS_KEY, WEIGHTS_INT8}};
    SafetensorsContent content = {.tensors = file.tensors,
                                  .count = file.count,
                                  .metadata = metadata,
                                  .metadata_count = params->int8_bytes > 0 ? 2 : 1,
                                  .read = read_piece,
                                  .context = &file};
    lmu_status status = safetensors_write(path, &content);
    vector_file_close(&file);
    return status;
}

/* The name of a tensor in the file that is none of ours; NULL: there is none. */
static const char *surplus_name(const Safetensors *stored, const VectorFile *file)
{
    for (size_t i = 0; i < safetensors_count(stored); i++) {
        const char *name = safetensors_at(stored, i)->name;
        size_t j = 0;
        while (j < file->count && strcmp(file->tensors[j].name, name) != 0)
            j++;
        if (j == file->count)
            return name;
    }
    return NULL;
}

static lmu_status check_scales(const char *path, const SafetensorsTensor *tensor)
{
    const float *scale = tensor->data;
    for (int64_t r = 0; r < tensor->shape[0]; r++)
        if (!isfinite(scale[r]) || scale[r] < 0)
            return error_set(LMU_FORMAT,
                             "%s: tensor \"%s\": the scale of row %lld is %g; a scale is 0 or above, and finite", path,
                             tensor->name, (long long)r, (double)scale[r]);
    return LMU_OK;
}

/* Finds the tensors that must be there, and nothing else; looks at all before any is written. */
static lmu_status find_tensors(const Safetensors *stored, const char *path, VectorFile *file)
{
    for (size_t i = 0; i < file->count; i++) {
        SafetensorsTensor *tensor = &file->tensors[i];
        TRY(safetensors_get(stored, tensor->name, tensor->type, tensor->rank, tensor->shape, &tensor->data));
        if (file->stored[i].holding == HOLDS_SCALES)
            TRY(check_scales(path, tensor));
    }
    const char *surplus = surplus_name(stored, file);
    if (surplus)
        return error_set(LMU_MISMATCH, "%s: tensor %s has no place in this model", path, surplus);
    return LMU_OK;
}

static void put_tensors(const VectorFile *file)
{
    Backend *backend = file->params->backend;
    for (size_t i = 0; i < file->count; i++) {
        const Stored *stored = &file->stored[i];
        const void *data = file->tensors[i].data;
        if (stored->holding == HOLDS_NUMBERS)
            KERNEL(backend, put_f32, stored->param->size, data,
                   real_at(backend, stored->vector, stored->param->offset));
        else if (stored->holding == HOLDS_BYTES) /* the scales come next */
            KERNEL(backend, put_int8, data, file->tensors[i + 1].data, &stored->param->int8);
    }
}

/* Whether matrices are in bytes, as the metadata says. */
static lmu_status read_weights(const Safetensors *stored, const char *path, bool *int8)
{
    const char *weights = safetensors_metadata(stored, WEIGHTS_KEY);
    *int8 = weights && strcmp(weights, WEIGHTS_INT8) == 0;
    if (weights && !*int8)
        return error_set(LMU_FORMAT,
                         "%s: " WEIGHTS_KEY " \"%s\" in the metadata; this program knows \"" WEIGHTS_INT8 "\"", path,
                         weights);
    return LMU_OK;
}

static lmu_status params_load_from(const Safetensors *stored, const Params *params, const ParamVector *vectors,
                                   size_t count, const char *path)
{
    VectorFile file;
    TRY(vector_file_open(params, vectors, count, &file));
    lmu_status status = find_tensors(stored, path, &file);
    if (status == LMU_OK)
        put_tensors(&file);
    vector_file_close(&file);
    return status;
}

lmu_status params_load(const Params *params, const ParamVector *vectors, size_t count, const char *path)
{
    Safetensors *stored;
    bool int8;
    lmu_status status;
    TRY(safetensors_open(path, &stored));
    ATTEMPT(read_weights(stored, path, &int8));
    if (int8 && params->int8_bytes == 0)
        ATTEMPT(error_set(LMU_MISMATCH, "%s: " INT8_IS_NOT_TRAINED, path));
    ATTEMPT(params_load_from(stored, params, vectors, count, path));
done:
    safetensors_close(stored);
    return status;
}

lmu_status checkpoint_is_int8(const char *path, bool *int8)
{
    Safetensors *stored;
    TRY(safetensors_open(path, &stored));
    lmu_status status = read_weights(stored, path, int8);
    safetensors_close(stored);
    return status;
}

lmu_status model_save(const Model *model, const char *directory)
{
    char *config_path = NULL, *values_path = NULL;
    json_t *json = NULL;
    lmu_status status;
    ATTEMPT(path_join(directory, "config.json", &config_path));
    ATTEMPT(path_join(directory, "model.safetensors", &values_path));
    ATTEMPT(model_config_to_json(&model->config, &json));
    ATTEMPT(json_write_file(config_path, json));
    ATTEMPT(params_save(model->params, &(ParamVector){"", model->params->values}, 1, values_path));
done:
    free(config_path);
    free(values_path);
    json_decref(json);
    return status;
}

lmu_status model_load(Backend *backend, const char *directory, Model **out)
{
    char *config_path = NULL, *values_path = NULL;
    ModelConfig config = {0};
    Safetensors *stored = NULL;
    Model *model = NULL;
    bool int8;
    lmu_status status;
    ATTEMPT(path_join(directory, "config.json", &config_path));
    ATTEMPT(path_join(directory, "model.safetensors", &values_path));
    ATTEMPT(model_config_read(config_path, &config));
    ATTEMPT(safetensors_open(values_path, &stored));
    ATTEMPT(read_weights(stored, values_path, &int8));
    ATTEMPT(model_open(backend, &config, &model));
    if (int8)
        ATTEMPT(params_use_int8(model->params));
    ATTEMPT(model_draw(model, 0));
    params_write_begin(model->params);
    status = params_load_from(stored, model->params, &(ParamVector){"", model->params->values}, 1, values_path);
    params_write_end(model->params);
    if (status != LMU_OK)
        goto done;
    *out = model;
    model = NULL;
done:
    model_close(model);
    safetensors_close(stored);
    model_config_free(&config);
    free(config_path);
    free(values_path);
    return status;
}

lmu_status checkpoint_find(const char *path, char **directory)
{
    static const char *const places[] = {"", "best", "last"};
    if (!file_is_directory(path))
        return error_set(LMU_IO,
                         file_exists(path) ? "%s: is a file; the directory of a run or a checkpoint is expected"
                                           : "%s: there is no such directory",
                         *path ? path : "\"\"");
    for (int i = 0; i < 3; i++) {
        char *inside = NULL;
        if (i > 0)
            TRY(path_join(path, places[i], &inside));
        else if (!(inside = strdup(path)))
            return error_set(LMU_MEMORY, "no memory for a file name");
        if (directory_holds(inside, "model.safetensors")) {
            *directory = inside;
            return LMU_OK;
        }
        free(inside);
    }
    return error_set(LMU_IO, "%s: holds no model (no model.safetensors there, in best/ or in last/)", path);
}
