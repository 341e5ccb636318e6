/* Checkpoints of a run read again: to resume it, or to use its model. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "train/trainer_internal.h"

static lmu_status read_trainer_json(const char *directory, char **path, json_t **json)
{
    TRY(path_join(directory, "trainer.json", path));
    TRY(json_read_file(*path, json));
    int64_t version;
    TRY(json_get_integer(*path, *json, "version", 0, INT32_MAX, &version));
    if (version != TRAINER_VERSION)
        return error_set(LMU_FORMAT, "%s: version %lld; this program reads version %d", *path, (long long)version,
                         TRAINER_VERSION);
    return LMU_OK;
}

/* Warns of what makes a resumed run differ from an unbroken one in its last bits. */
static lmu_status warn_differences(const Trainer *t, const char *path, const json_t *json)
{
    static const char *const differ = "its bits will not be those of an unbroken run";
    const char *cpu, *kernels;
    int64_t threads;
    TRY(json_get_string(path, json, "cpu", &cpu));
    TRY(json_get_string(path, json, "kernels", &kernels));
    TRY(json_get_integer(path, json, "threads", 1, INT32_MAX, &threads));
    if (strcmp(cpu, machine_cpu_name()) != 0)
        progress_say(t->progress, "warning: the run was on another CPU (%s): %s", cpu, differ);
    else if (strcmp(kernels, machine_isa_name(t->backend->isa)) != 0)
        progress_say(t->progress, "warning: the run used other kernels (%s): %s", kernels, differ);
    if (threads != t->backend->threads)
        progress_say(t->progress, "warning: the run had %lld threads, now there are %d: %s", (long long)threads,
                     t->backend->threads, differ);
    return LMU_OK;
}

static lmu_status get_positive(const char *path, const json_t *json, const char *key, double *out)
{
    TRY(json_get_real(path, json, key, out));
    return *out >= 0 ? LMU_OK : error_set(LMU_FORMAT, "%s: key \"%s\" is %g; it cannot be negative", path, key, *out);
}

static lmu_status read_position(const Trainer *t, const char *path, const json_t *json, Position *at)
{
    json_t *object;
    int64_t most = INT64_MAX / 4 / trainer_step_tokens(t); /* so that tokens can be counted */
    if (!json_object_get(json, "position"))
        return error_set(
            LMU_FORMAT,
            "%s: key \"position\" is missing, without which the run cannot go on. Start another one from its "
            "model: lmu train --from %s --data %s --out NEW",
            path, t->request->run, t->config->data);
    TRY(json_get_object(path, json, "position", &object));
    TRY(json_get_integer(path, object, "step", 0, most, &at->step));
    TRY(json_get_integer(path, object, "evaluated", -1, at->step, &at->evaluated));
    TRY(json_get_integer(path, object, "sum_steps", 0, at->step, &at->sum_steps));
    TRY(get_positive(path, object, "seconds", &at->seconds));
    TRY(get_positive(path, object, "recent_loss", &at->recent));
    TRY(get_positive(path, object, "learning_rate", &at->rate));
    TRY(get_positive(path, object, "sum_loss", &at->sum_loss));
    TRY(get_positive(path, object, "sum_norm", &at->sum_norm));
    if (!json_is_null(json_object_get(object, "best_loss")))
        TRY(get_positive(path, object, "best_loss", &at->best_loss));
    return LMU_OK;
}

/* The order of the data, and with it the meaning of a position in it, rests on these. */
static lmu_status require_same_order(const Trainer *t, const char *path, const json_t *json)
{
    const TrainConfig *c = t->config;
    const struct {
        const char *key;
        int64_t now;
    } fixed[] = {{"seed", c->seed}, {"length", c->length}, {"batch", c->batch}};
    json_t *options;
    TRY(json_get_object(path, json, "options", &options));
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        int64_t then;
        TRY(json_get_integer(path, options, fixed[i].key, 0, INT64_MAX, &then));
        if (then != fixed[i].now)
            return error_set(LMU_USAGE,
                             "--%s %lld: the run has %lld, on which the order of its data rests: leave the option out",
                             fixed[i].key, (long long)fixed[i].now, (long long)then);
    }
    bool carried = json_is_true(json_object_get(options, "carry")); /* older runs do not tell */
    if (carried != c->carry)
        return error_set(LMU_USAGE,
                         "--%scarry: the run is one %s carried state, on which the order of its data rests: leave the "
                         "option out",
                         c->carry ? "" : "no-", carried ? "with" : "without");
    int64_t tokens;
    TRY(json_get_integer(path, json, "train_tokens", 0, INT64_MAX, &tokens));
    if (tokens != t->train.count)
        return error_set(LMU_MISMATCH, "the run was on a corpus of %lld tokens, %s has %lld: it is not the same data",
                         (long long)tokens, c->data, (long long)t->train.count);
    return LMU_OK;
}

/* The moments of one optimiser mean nothing to another. Runs of a time when there was only AdamW do not name it. */
static lmu_status require_same_optimiser(const Trainer *t, const char *path, const json_t *json)
{
    static const char *const names[] = {[OPTIMISER_ADAMW] = "adamw", [OPTIMISER_MUON] = "muon"};
    const char *then = names[OPTIMISER_ADAMW], *now = names[t->config->optimizer];
    json_t *options;
    TRY(json_get_object(path, json, "options", &options));
    if (json_object_get(options, "optimizer"))
        TRY(json_get_string(path, options, "optimizer", &then));
    if (strcmp(then, now) == 0)
        return LMU_OK;
    return error_set(
        LMU_USAGE,
        "--optimizer %s: the run has %s, whose moments %s cannot go on from: leave the option out, or start "
        "another run from its model: lmu train --from %s --data %s --out NEW --optimizer %s",
        now, then, now, t->request->run, t->config->data, now);
}

lmu_status trainer_check_tokenizer(const Trainer *t, const char *directory)
{
    char *path;
    Tokenizer *theirs = NULL;
    TRY(path_join(directory, "tokenizer.json", &path));
    lmu_status status = tokenizer_open(path, &theirs);
    if (status == LMU_OK && tokenizer_hash(theirs) != tokenizer_hash(t->tokenizer))
        status = error_set(LMU_MISMATCH,
                           "%s was trained with another tokenizer than %s was prepared with: prepare the text with %s",
                           directory, t->config->data, path);
    tokenizer_close(theirs);
    free(path);
    return status;
}

static lmu_status restore_parameters(Trainer *t, const char *directory)
{
    char *values = NULL, *moments = NULL;
    Params *params = t->model->params;
    ParamVector vectors[2] = {{"first_moment.", params->first_moment}, {"second_moment.", params->second_moment}};
    lmu_status status;
    ATTEMPT(path_join(directory, "model.safetensors", &values));
    ATTEMPT(path_join(directory, "trainer.safetensors", &moments));
    params_write_begin(params);
    status = params_load(params, &(ParamVector){"", params->values}, 1, values);
    params_write_end(params);
    if (status == LMU_OK)
        status = params_load(params, vectors, 2, moments);
done:
    free(values);
    free(moments);
    return status;
}

/* A run without has no moments of n-grams to go on from, and one that left them for a while would go on from old ones. */
static lmu_status require_same_spelling(const Trainer *t, const char *path, const json_t *json)
{
    double then = 0; /* older runs do not tell */
    json_t *options;
    TRY(json_get_object(path, json, "options", &options));
    if (json_object_get(options, "spelling"))
        TRY(json_get_real(path, options, "spelling", &then));
    if ((then > 0) == !!t->spelling)
        return LMU_OK;
    return error_set(LMU_USAGE,
                     "--spelling %g: the run is one %s it: leave the option out, or start another run from its "
                     "model: lmu train --from %s --data %s --out NEW --spelling %g",
                     t->config->spelling, then > 0 ? "with" : "without", t->request->run, t->config->data,
                     t->config->spelling);
}

/* It could only be passed over, and the checkpoint would then tell an untruth. */
static lmu_status require_same_start(const Trainer *t, const char *path, const json_t *json)
{
    int64_t then = 0; /* older runs do not tell */
    json_t *options;
    TRY(json_get_object(path, json, "options", &options));
    if (json_object_get(options, "cooccurrence"))
        TRY(json_get_integer(path, options, "cooccurrence", 0, INT64_MAX, &then));
    if (then == t->config->cooccurrence)
        return LMU_OK;
    return error_set(LMU_USAGE,
                     "--cooccurrence %lld: the embeddings of this run have started, with %lld: leave the option out",
                     (long long)t->config->cooccurrence, (long long)then);
}

static lmu_status restore_spelling(Trainer *t, const char *directory)
{
    char *path;
    if (!t->spelling)
        return LMU_OK;
    TRY(path_join(directory, SPELLING_FILE, &path));
    lmu_status status = spelling_load(t->spelling, path);
    free(path);
    return status;
}

lmu_status trainer_restore(Trainer *t)
{
    char *directory = NULL, *path = NULL;
    json_t *json = NULL;
    lmu_status status;
    ATTEMPT(path_join(t->request->run, "last", &directory));
    ATTEMPT(trainer_check_tokenizer(t, directory));
    ATTEMPT(read_trainer_json(directory, &path, &json));
    ATTEMPT(read_position(t, path, json, &t->at));
    ATTEMPT(require_same_order(t, path, json));
    ATTEMPT(require_same_optimiser(t, path, json));
    ATTEMPT(require_same_spelling(t, path, json));
    ATTEMPT(require_same_start(t, path, json));
    ATTEMPT(warn_differences(t, path, json));
    ATTEMPT(restore_parameters(t, directory));
    ATTEMPT(restore_spelling(t, directory));
    ATTEMPT(lanes_restore(t, directory));
    if (t->smoothing)
        ATTEMPT(smoothing_count(t->smoothing, 0, t->at.step * t->config->batch, t->progress));
    t->saved_any = true;
done:
    json_decref(json);
    free(directory);
    free(path);
    return status;
}

/* Refuses what lmu quantize has written, in `run` or a directory in it. */
static lmu_status require_trained(const char *run, const char *inside)
{
    char *directory = NULL, *path = NULL;
    bool int8 = false;
    lmu_status status;
    ATTEMPT(path_join(run, inside, &directory));
    ATTEMPT(path_join(directory, "model.safetensors", &path));
    if (file_exists(path))
        ATTEMPT(checkpoint_is_int8(path, &int8));
    if (int8)
        status = error_set(LMU_USAGE, "%s: " INT8_IS_NOT_TRAINED, path);
done:
    free(directory);
    free(path);
    return status;
}

lmu_status train_options(const char *run, TrainConfig *config, ModelConfig *model)
{
    char *directory = NULL, *path = NULL, *config_path = NULL;
    json_t *json = NULL, *options;
    lmu_status status;
    memset(model, 0, sizeof *model);
    TRY(fields_init(&train_table, config));
    train_config_older(config);
    ATTEMPT(path_join(run, "last", &directory));
    ATTEMPT(require_trained(run, ""));
    ATTEMPT(require_trained(run, "last"));
    if (!file_is_directory(directory)) {
        status = error_set(LMU_USAGE, "%s holds no checkpoint to resume", run);
        goto done;
    }
    ATTEMPT(read_trainer_json(directory, &path, &json));
    ATTEMPT(json_get_object(path, json, "options", &options));
    ATTEMPT(fields_from_json(&train_table, config, path, options));
    ATTEMPT(path_join(directory, "config.json", &config_path));
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
