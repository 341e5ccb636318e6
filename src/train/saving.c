/* Checkpoints of a run: written beside their place, then put there whole. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "train/trainer_internal.h"

#define TRAINER_VERSION 1

static lmu_status join(const char *directory, const char *name, char **path)
{
    *path = path_join(directory, name);
    return *path ? LMU_OK : error_set(LMU_MEMORY, "no memory for a path");
}

static lmu_status save_moments(const Trainer *t, const char *directory)
{
    char *path;
    const Params *params = t->model->params;
    ParamVector vectors[2] = {{"first_moment.", params->first_moment}, {"second_moment.", params->second_moment}};
    TRY(join(directory, "trainer.safetensors", &path));
    lmu_status status = params_save(params, vectors, 2, path);
    free(path);
    return status;
}

/* Everything else that resuming needs. */
static lmu_status save_position(const Trainer *t, const char *directory)
{
    char *path = NULL;
    json_t *options = json_object(), *json = NULL;
    lmu_status status;
    ATTEMPT(fields_to_json(&train_table, t->config, options));
    json = json_pack("{s:i, s:I, s:f, s:f, s:o, s:s, s:s, s:i, s:I, s:O}", "version", TRAINER_VERSION, "step",
                     (json_int_t)t->step, "seconds", t->seconds + machine_seconds() - t->started, "recent_loss", t->recent,
                     "best_loss", isfinite(t->best_loss) ? json_real(t->best_loss) : json_null(), "cpu", machine_cpu_name(),
                     "kernels", machine_isa_name(t->backend->isa), "threads", t->backend->threads, "train_tokens",
                     (json_int_t)t->train.count, "options", options);
    if (!json) {
        status = error_set(LMU_MEMORY, "no memory for a checkpoint");
        goto done;
    }
    ATTEMPT(join(directory, "trainer.json", &path));
    ATTEMPT(json_write_file(path, json));
done:
    json_decref(options);
    json_decref(json);
    free(path);
    return status;
}

static lmu_status save_tokenizer(const Trainer *t, const char *directory)
{
    char *path;
    TRY(join(directory, "tokenizer.json", &path));
    lmu_status status = tokenizer_save(t->tokenizer, path);
    free(path);
    return status;
}

static lmu_status save_as(Trainer *t, const char *name, bool resumable)
{
    char *path = NULL, *fresh = NULL;
    lmu_status status;
    ATTEMPT(join(t->request->run, name, &path));
    ATTEMPT(join(t->request->run, resumable ? ".last.writing" : ".best.writing", &fresh));
    ATTEMPT(directory_remove(fresh));
    ATTEMPT(directory_make(fresh));
    ATTEMPT(model_save(t->model, fresh));
    ATTEMPT(save_tokenizer(t, fresh));
    if (resumable) {
        ATTEMPT(save_moments(t, fresh));
        ATTEMPT(save_position(t, fresh));
    }
    ATTEMPT(directory_replace(fresh, path));
done:
    if (status != LMU_OK && fresh)
        directory_remove(fresh);
    free(path);
    free(fresh);
    return status;
}

lmu_status trainer_save(Trainer *t)
{
    TRY(save_as(t, "last", true));
    t->saved = machine_seconds();
    t->saved_any = true;
    return LMU_OK;
}

lmu_status trainer_save_best(Trainer *t)
{
    return save_as(t, "best", false);
}

/* -- resuming -- */

static lmu_status read_position(const char *directory, char **path, json_t **json)
{
    TRY(join(directory, "trainer.json", path));
    TRY(json_read_file(*path, json));
    int64_t version;
    TRY(json_get_integer(*path, *json, "version", 0, INT32_MAX, &version));
    if (version != TRAINER_VERSION)
        return error_set(LMU_FORMAT, "%s: version %lld; this program reads version %d", *path, (long long)version,
                         TRAINER_VERSION);
    return LMU_OK;
}

/* Warns of what makes a resumed run differ from an unbroken one in its last bits. */
static void warn_differences(const Trainer *t, const json_t *json)
{
    const char *cpu = json_string_value(json_object_get(json, "cpu"));
    const char *kernels = json_string_value(json_object_get(json, "kernels"));
    int threads = (int)json_integer_value(json_object_get(json, "threads"));
    if (cpu && strcmp(cpu, machine_cpu_name()) != 0)
        progress_say(t->progress, "warning: the run was on another CPU (%s): its bits will not be those of an unbroken run", cpu);
    else if (kernels && strcmp(kernels, machine_isa_name(t->backend->isa)) != 0)
        progress_say(t->progress, "warning: the run used other kernels (%s): its bits will not be those of an unbroken run",
                     kernels);
    if (threads != t->backend->threads)
        progress_say(t->progress, "warning: the run had %d threads, now there are %d: its bits will not be those of an unbroken run",
                     threads, t->backend->threads);
}

static lmu_status restore_position(Trainer *t, const char *path, const json_t *json)
{
    int64_t tokens;
    TRY(json_get_integer(path, json, "step", 0, (int64_t)1 << 50, &t->step));
    TRY(json_get_real(path, json, "seconds", &t->seconds));
    TRY(json_get_real(path, json, "recent_loss", &t->recent));
    TRY(json_get_integer(path, json, "train_tokens", 0, (int64_t)1 << 60, &tokens));
    if (json_is_number(json_object_get(json, "best_loss")))
        TRY(json_get_real(path, json, "best_loss", &t->best_loss));
    if (tokens != t->train.count)
        return error_set(LMU_MISMATCH, "the run was on a corpus of %lld tokens, %s has %lld: it is not the same data",
                         (long long)tokens, t->config->data, (long long)t->train.count);
    t->saved_any = true;
    warn_differences(t, json);
    return LMU_OK;
}

lmu_status trainer_restore(Trainer *t)
{
    char *directory = NULL, *path = NULL, *values = NULL, *moments = NULL;
    json_t *json = NULL;
    Params *params = t->model->params;
    ParamVector vectors[2] = {{"first_moment.", params->first_moment}, {"second_moment.", params->second_moment}};
    lmu_status status;
    ATTEMPT(join(t->request->run, "last", &directory));
    ATTEMPT(join(directory, "model.safetensors", &values));
    ATTEMPT(join(directory, "trainer.safetensors", &moments));
    ATTEMPT(read_position(directory, &path, &json));
    params_write_begin(params);
    status = params_load(params, &(ParamVector){"", params->values}, 1, values);
    params_write_end(params);
    if (status != LMU_OK)
        goto done;
    ATTEMPT(params_load(params, vectors, 2, moments));
    ATTEMPT(restore_position(t, path, json));
done:
    json_decref(json);
    free(directory);
    free(path);
    free(values);
    free(moments);
    return status;
}

lmu_status train_options(const char *run, TrainConfig *config, ModelConfig *model)
{
    char *directory = NULL, *path = NULL, *config_path = NULL;
    json_t *json = NULL, *options;
    lmu_status status;
    memset(model, 0, sizeof *model);
    TRY(fields_init(&train_table, config));
    ATTEMPT(join(run, "last", &directory));
    if (!file_is_directory(directory)) {
        status = error_set(LMU_USAGE, "%s holds no checkpoint to resume", run);
        goto done;
    }
    ATTEMPT(read_position(directory, &path, &json));
    ATTEMPT(json_get_object(path, json, "options", &options));
    ATTEMPT(fields_from_json(&train_table, config, path, options));
    ATTEMPT(join(directory, "config.json", &config_path));
    ATTEMPT(model_config_read(config_path, model));
done:
    if (status != LMU_OK)
        fields_free(&train_table, config);
    json_decref(json);
    free(directory);
    free(path);
    free(config_path);
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
