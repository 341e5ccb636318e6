/* Checkpoints of a run: written beside their place, then put there whole. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "train/trainer_internal.h"

static lmu_status save_moments(const Trainer *t, const char *directory)
{
    char *path;
    const Params *params = t->model->params;
    ParamVector vectors[2] = {{"first_moment.", params->first_moment}, {"second_moment.", params->second_moment}};
    TRY(path_join(directory, "trainer.safetensors", &path));
    lmu_status status = params_save(params, vectors, 2, path);
    free(path);
    return status;
}

static lmu_status save_spelling(const Trainer *t, const char *directory)
{
    char *path;
    if (!t->spelling)
        return LMU_OK;
    TRY(path_join(directory, SPELLING_FILE, &path));
    lmu_status status = spelling_save(t->spelling, path);
    free(path);
    return status;
}

static json_t *position_to_json(const Position *at)
{
    return json_pack("{s:I, s:I, s:f, s:f, s:o, s:f, s:f, s:f, s:I}", "step", (json_int_t)at->step, "evaluated",
                     (json_int_t)at->evaluated, "seconds", at->seconds, "recent_loss", at->recent, "best_loss",
                     isfinite(at->best_loss) ? json_real(at->best_loss) : json_null(), "learning_rate", at->rate,
                     "sum_loss", at->sum_loss, "sum_norm", at->sum_norm, "sum_steps", (json_int_t)at->sum_steps);
}

lmu_status trainer_check_options(const TrainConfig *config)
{
    json_t *json = json_object();
    lmu_status status =
        json ? fields_to_json(&train_table, config, json) : error_set(LMU_MEMORY, "no memory for a checkpoint");
    json_decref(json);
    return status == LMU_FORMAT ? LMU_USAGE : status;
}

/* Everything that resuming needs beside parameters and moments. */
static lmu_status save_position(const Trainer *t, const char *directory)
{
    char *path = NULL;
    json_t *options = json_object(), *json = NULL;
    lmu_status status;
    Position at = t->at;
    at.seconds += machine_seconds() - t->started;
    ATTEMPT(fields_to_json(&train_table, t->config, options));
    json = json_pack("{s:i, s:o, s:s, s:s, s:i, s:I, s:O}", "version", TRAINER_VERSION, "position",
                     position_to_json(&at), "cpu", machine_cpu_name(), "kernels", machine_isa_name(t->backend->isa),
                     "threads", t->backend->threads, "train_tokens", (json_int_t)t->train.count, "options", options);
    if (!json) {
        status = error_set(LMU_MEMORY, "no memory for a checkpoint");
        goto done;
    }
    ATTEMPT(path_join(directory, "trainer.json", &path));
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
    TRY(path_join(directory, "tokenizer.json", &path));
    lmu_status status = tokenizer_save(t->tokenizer, path);
    free(path);
    return status;
}

static lmu_status save_as(Trainer *t, const char *name, bool resumable)
{
    char *path = NULL, *fresh = NULL;
    lmu_status status;
    ATTEMPT(path_join(t->request->run, name, &path));
    ATTEMPT(path_join(t->request->run, resumable ? ".last.writing" : ".best.writing", &fresh));
    ATTEMPT(directory_remove(fresh));
    ATTEMPT(directory_make(fresh));
    ATTEMPT(model_save(t->model, fresh));
    ATTEMPT(save_tokenizer(t, fresh));
    if (resumable) {
        ATTEMPT(save_moments(t, fresh));
        ATTEMPT(save_spelling(t, fresh));
        ATTEMPT(lanes_save(t, fresh));
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

/* A model that no longer predicts must not take the place of one that does. */
static lmu_status require_sound(Trainer *t)
{
    double loss = 0;
    TRY(trainer_micro_batch(t, t->at.step * t->config->batch, t->micro, true, &loss));
    return isfinite(loss) ? LMU_OK : trainer_not_finite(t, t->at.step + 1, "loss", loss);
}

lmu_status trainer_save(Trainer *t)
{
    TRY(require_sound(t));
    TRY(save_as(t, "last", true));
    t->saved = machine_seconds();
    t->changed = false;
    t->saved_any = true;
    return LMU_OK;
}

lmu_status trainer_save_best(Trainer *t)
{
    return save_as(t, "best", false);
}
