/* lmu quantize: a trained model with its matrices in bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "cli/command.h"
#include "infer/engine.h"
#include "train/trainer.h"

typedef struct QuantizeOptions {
    char *run, *out;
} QuantizeOptions;

static const Field quantize_fields[] = {
    {.name = "run",
     .type = FIELD_STRING,
     .offset = offsetof(QuantizeOptions, run),
     .unit = "RUN",
     .help = "a run of lmu train (its best checkpoint is taken) or a checkpoint's directory",
     .positional = true,
     .required = true},
    {.name = "out",
     .type = FIELD_STRING,
     .offset = offsetof(QuantizeOptions, out),
     .unit = "DIR",
     .help = "the directory to write",
     .required = true},
};
static const FieldTable quantize_table = {"Options", quantize_fields, sizeof quantize_fields / sizeof *quantize_fields};

/* Whether all that a directory holds is a checkpoint that this command wrote; nothing at all is one. */
static lmu_status is_ours(const char *directory, bool *ours)
{
    static const char *const written[] = {"config.json", "model.safetensors", "tokenizer.json"};
    char **names, *path;
    size_t count;
    TRY(directory_list(directory, &names, &count));
    *ours = true;
    for (size_t i = 0; i < count; i++) {
        size_t j = 0;
        while (j < 3 && strcmp(names[i], written[j]) != 0)
            j++;
        *ours = *ours && j < 3;
    }
    directory_list_free(names);
    TRY(path_join(directory, written[1], &path));
    lmu_status status = *ours && file_exists(path) ? checkpoint_is_int8(path, ours) : LMU_OK;
    free(path);
    return status;
}

/* `out` may be a new name, or one of a directory in the place of which another may come. */
static lmu_status require_free(const char *out)
{
    bool ours = false;
    if (!file_exists(out))
        return LMU_OK;
    if (file_is_directory(out))
        TRY(is_ours(out, &ours));
    if (!ours)
        return error_set(LMU_USAGE, "--out %s: holds what lmu quantize did not write: choose another name", out);
    return LMU_OK;
}

/* Written beside its place, then put there whole. */
static lmu_status write_checkpoint(const Model *model, const Tokenizer *tokenizer, const char *out)
{
    char *fresh = NULL, *path = NULL;
    lmu_status status;
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/')
        length--;
    if (asprintf(&fresh, "%.*s.writing", (int)length, out) < 0)
        return error_set(LMU_MEMORY, "no memory for a path");
    ATTEMPT(directory_remove(fresh));
    ATTEMPT(directory_make(fresh));
    ATTEMPT(model_save(model, fresh));
    ATTEMPT(path_join(fresh, "tokenizer.json", &path));
    ATTEMPT(tokenizer_save(tokenizer, path));
    ATTEMPT(directory_replace(fresh, out));
done:
    if (status != LMU_OK)
        directory_remove(fresh);
    free(fresh);
    free(path);
    return status;
}

/* What the parameters take in a file, with `matrix` bytes for each number that is in bytes here. */
static double file_bytes(const Params *params, double matrix)
{
    double bytes = 0;
    for (size_t i = 0; i < params->count; i++)
        bytes += (double)params->list[i]->size * (param_is_int8(params->list[i]) ? matrix : sizeof(float));
    return bytes;
}

static void print_sizes(const Params *params, const char *out)
{
    char f32[32], bf16[32], int8[32];
    double scales = 0;
    for (size_t i = 0; i < params->count; i++)
        scales += (double)params->list[i]->int8.rows * sizeof(float);
    printf("parameters      %s in int8, with the scales of their rows; %s in F32, %s with matrices in bf16\n",
           format_bytes(file_bytes(params, 1) + scales, int8, sizeof int8),
           format_bytes(file_bytes(params, sizeof(float)), f32, sizeof f32),
           format_bytes(file_bytes(params, 2), bf16, sizeof bf16));
    printf("written to      %s\n", out);
}

static lmu_status quantize(const QuantizeOptions *options)
{
    char *checkpoint = NULL;
    Backend *backend = NULL;
    Engine engine = {0};
    Model *model = NULL;
    lmu_status status;
    ATTEMPT(require_free(options->out));
    ATTEMPT(checkpoint_find(options->run, &checkpoint));
    ATTEMPT(backend_open(BACKEND_CPU, 1, false, &backend));
    ATTEMPT(engine_open(backend, checkpoint, &engine));
    ATTEMPT(error_prefix(model_quantize(engine.model, &model), "%s: ", checkpoint));
    ATTEMPT(write_checkpoint(model, engine.tokenizer, options->out));
    print_sizes(model->params, options->out);
done:
    model_close(model);
    engine_close(&engine);
    backend_close(backend);
    free(checkpoint);
    return status;
}

static lmu_status quantize_run(int argc, char *const *argv);

const Command quantize_command = {
    .name = "quantize",
    .summary = "Round a trained model to int8",
    .usage = "RUN --out DIR",
    .details =
        "Writes a checkpoint whose matrices and tables are int8 with a scale for each row; what is small stays F32.\n"
        "It takes about half the memory of bf16, on disk and while it runs, and lmu eval, lmu generate and lmu "
        "inspect\n"
        "read it as they read any other. It cannot be trained further. DIR appears whole or not at all; one that\n"
        "lmu quantize wrote before is replaced.\n"
        "\n"
        "    lmu quantize run --out run-int8\n"
        "    lmu eval run-int8 --data corpus/valid.bin --context 1024",
    .tables = {&quantize_table},
    .run = quantize_run,
};

static lmu_status quantize_run(int argc, char *const *argv)
{
    QuantizeOptions options;
    void *const values[] = {&options};
    bool help;
    TRY(command_parse(&quantize_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    lmu_status status = quantize(&options);
    command_free(&quantize_command, values);
    return status;
}
