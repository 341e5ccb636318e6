/* lmu inspect: what a trained model is made of and what it takes to run it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "base/json.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/inspect_plan.h"
#include "infer/engine.h"
#include "infer/session.h"
#include "model/anatomy.h"
#include "train/trainer.h"

typedef struct InspectOptions {
    char *run;
    bool json;
} InspectOptions;

static const Field inspect_fields[] = {
    {.name = "run",
     .type = FIELD_STRING,
     .offset = offsetof(InspectOptions, run),
     .unit = "RUN",
     .help = "a run of lmu train (its best checkpoint is taken) or a checkpoint's directory; with --plan also a "
             "model's configuration (JSON)",
     .positional = true,
     .required = true},
    FIELD_FLAG_OF(InspectOptions, json, NULL, "print one JSON object"),
};
static const FieldTable inspect_table = {"Options", inspect_fields, sizeof inspect_fields / sizeof *inspect_fields};

typedef struct Inspecting {
    char *checkpoint;
    Backend *backend;
    Engine engine;
    RunRecord record;
    ParamStatistics *statistics; /* one a parameter */
    MemoryPlan training, decoding;
} Inspecting;

static lmu_status inspecting_open(Inspecting *in, const char *run)
{
    if (!file_is_directory(run) && file_exists(run))
        return error_set(LMU_USAGE, "%s: is a file and no trained model; of a configuration --plan can tell alone",
                         run);
    TRY(checkpoint_find(run, &in->checkpoint));
    TRY(backend_open(BACKEND_CPU, 0, false, &in->backend));
    TRY(engine_open(in->backend, in->checkpoint, &in->engine));
    TRY(run_record_read(run, &in->record));
    Model *model = in->engine.model;
    const Params *params = model->params;
    TRY(memory_new(&in->statistics, params->count, sizeof *in->statistics, "the statistics of parameters"));
    for (size_t i = 0; i < params->count; i++)
        TRY(param_statistics(params, params->list[i], &in->statistics[i]));
    int rows;
    int64_t length;
    TRY(plan_rows(&(PlanOptions){0}, &in->record, &rows, &length));
    TRY(model_memory(model, GRAPH_DECODE, 0, 1, SESSION_BLOCK, &in->decoding));
    if (model_is_int8(model)) /* there is no training it */
        return LMU_OK;
    TRY(plan_compute(&(PlanOptions){0}, &in->record, in->backend));
    return model_memory(model, GRAPH_TRAIN, in->record.recompute ? GRAPH_RECOMPUTE : 0, rows, length, &in->training);
}

static void inspecting_close(Inspecting *in)
{
    free(in->statistics);
    run_record_free(&in->record);
    engine_close(&in->engine);
    backend_close(in->backend);
    free(in->checkpoint);
}

/* ---- for people ---- */

static void print_configuration(const Inspecting *in)
{
    const Model *model = in->engine.model;
    char value[1024];
    printf("checkpoint      %s\n", in->checkpoint);
    printf("architecture    %s: %s\n", model->arch->name, model->arch->summary);
    printf("vocabulary      %lld tokens, tokenizer %016llx\n", (long long)model->config.vocabulary,
           (unsigned long long)tokenizer_hash(in->engine.tokenizer));
    printf("weights         %s\n\n", model_is_int8(model) ? "int8 matrices with a scale a row, all else F32" : "F32");
    printf("Configuration\n");
    for (size_t i = 0; i < model_table.count; i++) {
        field_format(&model_table.fields[i], &model->config, value, sizeof value);
        printf("  %-17s  %s\n", model_table.fields[i].name, *value ? value : "none");
    }
}

static char *format_shape(const Param *param, char *out, size_t size)
{
    size_t used = 0;
    *out = 0;
    for (int i = 0; i < param->rank && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%lld", i ? " x " : "", (long long)param->shape[i]);
    return out;
}

static const char *type_name(const Param *param)
{
    return param_is_int8(param) ? "int8" : "F32";
}

static void print_parameters(const Inspecting *in)
{
    const Params *params = in->engine.model->params;
    char shape[128], bytes[32];
    int width = 4;
    for (size_t i = 0; i < params->count; i++)
        if ((int)strlen(params->list[i]->name) > width)
            width = (int)strlen(params->list[i]->name);
    printf("\nParameters\n  %-*s  %-14s %-4s %10s %12s %12s %12s\n", width, "name", "shape", "type", "numbers", "mean",
           "deviation", "largest");
    for (size_t i = 0; i < params->count; i++) {
        const Param *param = params->list[i];
        const ParamStatistics *s = &in->statistics[i];
        printf("  %-*s  %-14s %-4s %10lld %12.4g %12.4g %12.4g", width, param->name,
               format_shape(param, shape, sizeof shape), type_name(param), (long long)param->size, s->mean,
               s->deviation, s->largest);
        if (s->not_finite > 0)
            printf("  %lld not finite", (long long)s->not_finite);
        putchar('\n');
    }
    printf("  %lld in all, %lld without the embedding; %s of memory\n", (long long)params_total(params),
           (long long)params_non_embedding(params), format_bytes((double)in->decoding.parameters, bytes, sizeof bytes));
}

static void print_memory(const Inspecting *in)
{
    const MemoryPlan *training = &in->training, *decoding = &in->decoding;
    if (training->rows > 0) {
        printf("\nMemory of training, %lld windows of %lld tokens at a time%s\n", (long long)training->rows,
               (long long)(training->tokens / training->rows), in->record.recompute ? ", blocks computed again" : "");
        memory_plan_print(training, true);
    }
    printf("\nMemory of writing, one stream, its prompt in blocks of %lld tokens\n", (long long)decoding->tokens);
    memory_plan_print(decoding, false);
    if (training->rows > 0)
        printf("\nModel FLOPs a token: %.4g of training, a third of that forward\n", training->flops);
}

static void print_record(const RunRecord *record)
{
    char duration[32];
    if (!record->found)
        return;
    printf("\nTraining (%s)\n  %-13s %lld\n  %-13s %lld\n  %-13s %s\n  %-13s %s\n", record->path, "step",
           (long long)record->step, "tokens", (long long)record->tokens, "time",
           format_duration(record->seconds, duration, sizeof duration), "CPU", record->cpu);
}

/* ---- for programs ---- */

static json_t *parameters_json(const Inspecting *in)
{
    const Params *params = in->engine.model->params;
    json_t *list = json_array();
    for (size_t i = 0; i < params->count; i++) {
        const Param *param = params->list[i];
        const ParamStatistics *s = &in->statistics[i];
        json_t *shape = json_array();
        for (int k = 0; k < param->rank; k++)
            json_array_append_new(shape, json_integer(param->shape[k]));
        json_array_append_new(list, json_pack("{s:s, s:o, s:s, s:I, s:f, s:f, s:f, s:I}", "name", param->name, "shape",
                                              shape, "type", type_name(param), "numbers", (json_int_t)param->size,
                                              "mean", s->mean, "deviation", s->deviation, "largest", s->largest,
                                              "not_finite", (json_int_t)s->not_finite));
    }
    return list;
}

static json_t *record_json(const RunRecord *record)
{
    if (!record->found)
        return json_null();
    return json_pack("{s:I, s:I, s:f, s:s}", "step", (json_int_t)record->step, "tokens", (json_int_t)record->tokens,
                     "seconds", record->seconds, "cpu", record->cpu);
}

static lmu_status print_json(const Inspecting *in)
{
    const Model *model = in->engine.model;
    bool trains = in->training.rows > 0;
    char hash[32];
    json_t *configuration;
    TRY(model_config_to_json(&model->config, &configuration));
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)tokenizer_hash(in->engine.tokenizer));
    json_t *object =
        json_pack("{s:s, s:o, s:s, s:o, s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "checkpoint", in->checkpoint,
                  "configuration", configuration, "tokenizer", hash, "tensors", parameters_json(in), "weights",
                  model_is_int8(model) ? "int8" : "F32", "parameters", (json_int_t)params_total(model->params),
                  "non_embedding", (json_int_t)params_non_embedding(model->params), "training_memory",
                  trains ? memory_plan_json(&in->training) : json_null(), "decoding_memory",
                  memory_plan_json(&in->decoding), "training_flops_a_token",
                  trains ? json_real(in->training.flops) : json_null(), "training", record_json(&in->record));
    if (!object)
        return error_set(LMU_FORMAT, "%s: cannot be told as JSON, as its name is not UTF-8", in->checkpoint);
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return LMU_OK;
}

static lmu_status inspect_run(int argc, char *const *argv);

const Command inspect_command = {
    .name = "inspect",
    .summary = "Tell what a trained model is made of",
    .usage =
        "RUN [--json] [--plan [--batch N] [--micro-batch N] [--length N] [--recompute yes|no] [--compute f32|bf16]]",
    .details =
        "Prints the architecture and its configuration; every tensor with its shape and the mean, the standard "
        "deviation\n"
        "and the largest magnitude of its numbers; the memory that training and writing take, as planned; the model\n"
        "FLOPs a token; and how far training came, where the run kept a record of it. With --plan: where the memory "
        "of\n"
        "training goes, at which step most is taken and by what, and what lmu train --recompute would change; for the\n"
        "sizes that the run has, or others, or for a model that is not trained yet.\n"
        "\n"
        "    lmu inspect run\n"
        "    lmu inspect run/last --json\n"
        "    lmu inspect run --plan --length 4096 --recompute yes\n"
        "    lmu inspect model.json --plan",
    .tables = {&inspect_table, &plan_table},
    .run = inspect_run,
};

static lmu_status inspect_run(int argc, char *const *argv)
{
    InspectOptions options;
    PlanOptions plan;
    void *const values[] = {&options, &plan};
    bool help;
    TRY(command_parse(&inspect_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    lmu_status status;
    Inspecting in = {0};
    ATTEMPT(plan_options_check(&plan));
    if (plan.plan) {
        status = inspect_plan(options.run, &plan, options.json);
        goto done;
    }
    ATTEMPT(inspecting_open(&in, options.run));
    if (options.json) {
        ATTEMPT(print_json(&in));
    } else {
        print_configuration(&in);
        print_parameters(&in);
        print_memory(&in);
        print_record(&in.record);
    }
done:
    inspecting_close(&in);
    command_free(&inspect_command, values);
    return status;
}
