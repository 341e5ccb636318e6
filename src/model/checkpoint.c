/* A model in a directory: config.json and model.safetensors. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "model/model.h"
#include "model/safetensors.h"

typedef struct VectorReader {
    const Params *params;
    const Real *vector;
} VectorReader;

static lmu_status read_piece(void *context, const SafetensorsTensor *tensor, size_t offset, size_t size, void *out)
{
    const VectorReader *reader = context;
    const Param *param = params_find(reader->params, tensor->name);
    int64_t first = param->offset + (int64_t)(offset / sizeof(float));
    KERNEL(reader->params->backend, get_f32, (int64_t)(size / sizeof(float)),
           real_at(reader->params->backend, reader->vector, first), out);
    return LMU_OK;
}

lmu_status params_save(const Params *params, const Real *vector, const char *path)
{
    SafetensorsTensor *tensors;
    TRY(memory_new(&tensors, params->count, sizeof *tensors, "a checkpoint"));
    for (size_t i = 0; i < params->count; i++) {
        const Param *param = params->list[i];
        tensors[i] = (SafetensorsTensor){.name = param->name, .type = SAFETENSORS_F32, .rank = param->rank};
        memcpy(tensors[i].shape, param->shape, (size_t)param->rank * sizeof *param->shape);
    }
    VectorReader reader = {params, vector};
    SafetensorsText metadata = {"format", "lmu"};
    SafetensorsContent content = {.tensors = tensors,
                                  .count = params->count,
                                  .metadata = &metadata,
                                  .metadata_count = 1,
                                  .read = read_piece,
                                  .context = &reader};
    lmu_status status = safetensors_write(path, &content);
    free(tensors);
    return status;
}

lmu_status params_load(Params *params, Real *vector, const char *path)
{
    Safetensors *file;
    TRY(safetensors_open(path, &file));
    lmu_status status = LMU_OK;
    const void *data = NULL;
    for (size_t i = 0; status == LMU_OK && i < params->count; i++) { /* look at all before any is written */
        const Param *param = params->list[i];
        status = safetensors_get(file, param->name, SAFETENSORS_F32, param->rank, param->shape, &data);
    }
    if (status == LMU_OK && safetensors_count(file) != params->count)
        for (size_t i = 0; i < safetensors_count(file); i++)
            if (!params_find(params, safetensors_at(file, i)->name))
                status = error_set(LMU_MISMATCH, "%s: tensor %s has no place in this model", path,
                                   safetensors_at(file, i)->name);
    for (size_t i = 0; status == LMU_OK && i < params->count; i++) {
        const Param *param = params->list[i];
        status = safetensors_get(file, param->name, SAFETENSORS_F32, param->rank, param->shape, &data);
        if (status == LMU_OK)
            KERNEL(params->backend, put_f32, param->size, data, real_at(params->backend, vector, param->offset));
    }
    safetensors_close(file);
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
    ATTEMPT(params_save(model->params, model->params->values, values_path));
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
    status = params_load(model->params, model->params->values, values_path);
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
