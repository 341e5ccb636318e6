/* A model in a directory: config.json and model.safetensors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "model/model.h"
#include "model/safetensors.h"

/* What a file's tensor `index` is: vectors one after the other, each with the parameters in the order of the store. */
typedef struct VectorFile {
    const Params *params;
    const ParamVector *vectors;
    SafetensorsTensor *tensors;
    size_t count, each; /* tensors; of a vector: those of gradients and moments have no counts */
    char *names;
} VectorFile;

#define NAME_LENGTH 384

static lmu_status vector_file_open(const Params *params, const ParamVector *vectors, size_t count, VectorFile *file)
{
    size_t each = vectors[0].vector == params->values ? params->count : params->learnt_count;
    *file = (VectorFile){.params = params, .vectors = vectors, .count = count * each, .each = each};
    TRY(memory_new(&file->tensors, file->count, sizeof *file->tensors, "a checkpoint"));
    lmu_status status = memory_new(&file->names, file->count, NAME_LENGTH, "a checkpoint");
    if (status != LMU_OK) {
        free(file->tensors);
        return status;
    }
    for (size_t i = 0; i < file->count; i++) {
        const Param *param = params->list[i % each];
        char *name = file->names + i * NAME_LENGTH;
        snprintf(name, NAME_LENGTH, "%s%s", vectors[i / each].prefix, param->name);
        file->tensors[i] = (SafetensorsTensor){.name = name, .type = SAFETENSORS_F32, .rank = param->rank};
        memcpy(file->tensors[i].shape, param->shape, (size_t)param->rank * sizeof *param->shape);
    }
    return LMU_OK;
}

static void vector_file_close(VectorFile *file)
{
    free(file->tensors);
    free(file->names);
}

/* Where the numbers of tensor `index` lie. */
static Real *vector_file_at(const VectorFile *file, size_t index)
{
    const Param *param = file->params->list[index % file->each];
    return real_at(file->params->backend, file->vectors[index / file->each].vector, param->offset);
}

static lmu_status read_piece(void *context, const SafetensorsTensor *tensor, size_t offset, size_t size, void *out)
{
    const VectorFile *file = context;
    size_t index = (size_t)(tensor->name - file->names) / NAME_LENGTH;
    Backend *backend = file->params->backend;
    KERNEL(backend, get_f32, (int64_t)(size / sizeof(float)),
           real_at(backend, vector_file_at(file, index), (int64_t)(offset / sizeof(float))), out);
    return LMU_OK;
}

lmu_status params_save(const Params *params, const ParamVector *vectors, size_t count, const char *path)
{
    VectorFile file;
    TRY(vector_file_open(params, vectors, count, &file));
    SafetensorsText metadata = {"format", "lmu"};
    SafetensorsContent content = {.tensors = file.tensors,
                                  .count = file.count,
                                  .metadata = &metadata,
                                  .metadata_count = 1,
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

lmu_status params_load(const Params *params, const ParamVector *vectors, size_t count, const char *path)
{
    Safetensors *stored;
    VectorFile file;
    TRY(safetensors_open(path, &stored));
    lmu_status status = vector_file_open(params, vectors, count, &file);
    if (status != LMU_OK) {
        safetensors_close(stored);
        return status;
    }
    for (size_t i = 0; status == LMU_OK && i < file.count; i++) { /* look at all before any is written */
        SafetensorsTensor *tensor = &file.tensors[i];
        status = safetensors_get(stored, tensor->name, tensor->type, tensor->rank, tensor->shape, &tensor->data);
    }
    const char *surplus = status == LMU_OK ? surplus_name(stored, &file) : NULL;
    if (surplus)
        status = error_set(LMU_MISMATCH, "%s: tensor %s has no place in this model", path, surplus);
    for (size_t i = 0; status == LMU_OK && i < file.count; i++)
        KERNEL(params->backend, put_f32, params->list[i % file.each]->size, file.tensors[i].data,
               vector_file_at(&file, i));
    vector_file_close(&file);
    safetensors_close(stored);
    return status;
}

static lmu_status in_directory(const char *directory, const char *name, char **path)
{
    *path = path_join(directory, name);
    return *path ? LMU_OK : error_set(LMU_MEMORY, "no memory for a path");
}

lmu_status model_save(const Model *model, const char *directory)
{
    char *config_path = NULL, *values_path = NULL;
    json_t *json = NULL;
    lmu_status status;
    ATTEMPT(in_directory(directory, "config.json", &config_path));
    ATTEMPT(in_directory(directory, "model.safetensors", &values_path));
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
    Model *model = NULL;
    lmu_status status;
    ATTEMPT(in_directory(directory, "config.json", &config_path));
    ATTEMPT(in_directory(directory, "model.safetensors", &values_path));
    ATTEMPT(model_config_read(config_path, &config));
    ATTEMPT(model_create(backend, &config, 0, &model));
    params_write_begin(model->params);
    status = params_load(model->params, &(ParamVector){"", model->params->values}, 1, values_path);
    params_write_end(model->params);
    if (status != LMU_OK)
        goto done;
    *out = model;
    model = NULL;
done:
    model_close(model);
    model_config_free(&config);
    free(config_path);
    free(values_path);
    return status;
}

lmu_status checkpoint_find(const char *path, char **directory)
{
    static const char *const places[] = {"", "best", "last"};
    if (!file_is_directory(path))
        return error_set(LMU_IO, "%s: there is no such directory", path);
    for (int i = 0; i < 3; i++) {
        char *inside = i ? path_join(path, places[i]) : strdup(path);
        char *model = inside ? path_join(inside, "model.safetensors") : NULL;
        bool there = model && file_exists(model);
        free(model);
        if (there) {
            *directory = inside;
            return LMU_OK;
        }
        free(inside);
    }
    return error_set(LMU_IO, "%s: holds no model (no model.safetensors there, in best/ or in last/)", path);
}
