/* lmu train */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "base/json.h"
#include "cli/command.h"
#include "model/model.h"
#include "train/trainer.h"

typedef struct RunOptions {
    char *out, *arch, *config, *from;
    bool resume;
} RunOptions;

static const Field run_fields[] = {
    {.name = "out",
     .type = FIELD_STRING,
     .offset = offsetof(RunOptions, out),
     .unit = "RUN",
     .required = true,
     .help = "directory of the run: checkpoints and metrics.jsonl"},
    FIELD_STRING_OF(RunOptions, arch, NULL, "NAME",
                    "architecture, such as lmu or lmu-paper; an unknown name lists all; without it, lmu. It may have "
                    "defaults of its own for the options under Model, which docs/model.md lists"),
    FIELD_STRING_OF(RunOptions, config, NULL, "FILE", "model configuration as JSON; options below override it"),
    FIELD_STRING_OF(RunOptions, from, NULL, "RUN", "start from this trained model instead of random parameters"),
    FIELD_FLAG_OF(RunOptions, resume, "false", "go on with RUN where its last checkpoint stands, with its options"),
};
static const FieldTable run_table = {"Run", run_fields, sizeof run_fields / sizeof *run_fields};

extern const Command train_command;

/* Options that would say twice, and differently, what the model is. */
static lmu_status refuse_both(const RunOptions *run)
{
    const struct {
        bool a, b;
        const char *names;
    } pairs[] = {
        {run->resume, run->from, "--resume and --from"}, {run->resume, run->config, "--resume and --config"},
        {run->resume, run->arch, "--resume and --arch"}, {run->from, run->config, "--from and --config"},
        {run->from, run->arch, "--from and --arch"},     {run->config, run->arch, "--config and --arch"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i].a && pairs[i].b)
            return error_set(LMU_USAGE, "%s both say what the model is: give one of them", pairs[i].names);
    return LMU_OK;
}

/* The model that --config, or --from, or --arch describe, before single options. */
static lmu_status start_model(const RunOptions *run, ModelConfig *model)
{
    if (run->config)
        return model_config_read_draft(run->config, model);
    if (!run->from)
        return model_config_init(model, run->arch ? run->arch : ARCHITECTURE_DEFAULT);
    char *directory, *path;
    TRY(checkpoint_find(run->from, &directory));
    lmu_status status = path_join(directory, "config.json", &path);
    if (status == LMU_OK)
        status = model_config_read(path, model);
    free(path);
    free(directory);
    return status;
}

static bool same_model(const ModelConfig *a, const ModelConfig *b)
{
    json_t *x = NULL, *y = NULL;
    bool same = model_config_to_json(a, &x) == LMU_OK && model_config_to_json(b, &y) == LMU_OK && json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return same;
}

static bool same_value(const Field *field, const void *a, const void *b)
{
    char x[2048], y[2048];
    field_format(field, a, x, sizeof x);
    field_format(field, b, y, sizeof y);
    return strcmp(x, y) == 0;
}

static void warn_of(const Field *field, const char *without, const char *readers)
{
    char option[64];
    snprintf(option, sizeof option, "%s", field->name);
    for (char *c = option; *c; c++)
        *c = *c == '_' ? '-' : *c;
    progress_say(command_progress(), "warning: --%s has no effect on %s; it has one on %s", option, without, readers);
}

/* Options that were given and that nothing reads. */
static void warn_of_idle(const ModelConfig *old_model, const ModelConfig *model, const TrainConfig *old_config,
                         const TrainConfig *config)
{
    char readers[256];
    for (size_t i = 0; i < model_table.count; i++) {
        const Field *field = &model_table.fields[i];
        if (same_value(field, old_model, model) || model_config_reads(model, field->name))
            continue;
        model_option_readers(field->name, readers, sizeof readers);
        warn_of(field, model->arch, readers);
    }
    model_option_readers("order", readers, sizeof readers);
    bool memory = model_config_reads(model, "order");
    const struct {
        const char *name, *without, *readers;
        bool read;
    } rules[] = {{"momentum", "AdamW", "Muon", config->optimizer == OPTIMISER_MUON},
                 {"muon_interval", "AdamW", "Muon", config->optimizer == OPTIMISER_MUON},
                 {"decay", "the cosine schedule", "wsd", config->schedule == SCHEDULE_WSD},
                 {"memory_rate", model->arch, readers, memory},
                 {"memory", model->arch, readers, memory}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const Field *field = fields_find(&train_table, rules[i].name);
        if (!rules[i].read && !same_value(field, old_config, config))
            warn_of(field, rules[i].without, rules[i].readers);
    }
}

/* Defaults come from the run that is resumed, the model that is continued, or the architecture; then the command line is
 * read over them. What a trained model is cannot be changed. */
static lmu_status read_options(int argc, char *const *argv, RunOptions *run, ModelConfig *model, TrainConfig *config)
{
    ModelConfig before = {0};
    TrainConfig then; /* of which numbers alone are looked at */
    lmu_status status;
    TRY(refuse_both(run));
    fields_free(&train_table, config); /* of the first reading, which told what is resumed or continued */
    memset(config, 0, sizeof *config);
    if (run->resume) {
        ATTEMPT(train_options(run->out, config, model));
    } else {
        ATTEMPT(fields_init(&train_table, config));
        ATTEMPT(start_model(run, model));
    }
    ATTEMPT(model_config_copy(&before, model));
    then = *config;
    FieldGroup groups[3] = {{&run_table, run}, {&model_table, model}, {&train_table, config}};
    bool help;
    ATTEMPT(fields_parse(groups, 3, argc, argv, &help));
    if ((run->resume || run->from) && !same_model(&before, model))
        status = error_set(LMU_USAGE, "the model of %s cannot be changed: leave out the options of the group Model",
                           run->resume ? run->out : run->from);
    if (status == LMU_OK)
        warn_of_idle(&before, model, &then, config);
done:
    model_config_free(&before);
    return status;
}

/* The default of --tokens too: whoever gives windows as large as that has not thought of it. */
static lmu_status refuse_less_than_a_step(const TrainConfig *config)
{
    double step = (double)config->batch * (double)config->length;
    char tokens[32], text[32];
    if (config->tokens == 0 || (double)config->tokens >= step)
        return LMU_OK;
    return error_set(LMU_USAGE, "--tokens %s is less than one step, which is --batch times --length: %s tokens",
                     format_count((double)config->tokens, tokens, sizeof tokens),
                     format_count(step, text, sizeof text));
}

static void print_report(const RunOptions *run, const TrainReport *report)
{
    char total[32], rest[32], tokens[32], training[32], evaluating[32];
    printf("%s parameters, %s without the embedding\n", format_count((double)report->parameters, total, sizeof total),
           format_count((double)report->non_embedding, rest, sizeof rest));
    printf("%s tokens in %lld step%s, %s of training and %s of evaluation\n",
           format_count((double)report->tokens, tokens, sizeof tokens), (long long)report->steps,
           report->steps == 1 ? "" : "s", format_duration(report->seconds, training, sizeof training),
           format_duration(report->evaluating, evaluating, sizeof evaluating));
    if (report->tokens_per_second > 0)
        printf("%s tokens/s, model FLOP use %.1f%% of the product ceiling\n",
               format_count(report->tokens_per_second, rest, sizeof rest), 100 * report->flop_use);
    printf("held-out text: %lld tokens, %.4f nats a token, perplexity %.2f, %.4f bits per byte\n",
           (long long)report->valid.tokens, eval_loss(&report->valid), eval_perplexity(&report->valid),
           eval_bits_per_byte(&report->valid));
    printf("the run is in %s; try: lmu generate %s --prompt \"Once\"\n", run->out, run->out);
}

static lmu_status run_train(int argc, char *const *argv)
{
    RunOptions run = {0};
    ModelConfig model = {0};
    TrainConfig config = {0};
    void *values[] = {&run, &model, &config};
    bool help;
    TRY(command_parse(&train_command, argc, argv, values, &help));
    if (help)
        return LMU_OK;
    model_config_free(&model);
    memset(&model, 0, sizeof model);
    lmu_status status;
    TrainReport report;
    ATTEMPT(read_options(argc, argv, &run, &model, &config));
    if (!run.resume)
        ATTEMPT(refuse_less_than_a_step(&config));
    TrainRequest request = {.run = run.out,
                            .config = &config,
                            .model = &model,
                            .from = run.from,
                            .resume = run.resume,
                            .progress = command_progress()};
    ATTEMPT(train_run(&request, &report));
    command_progress_end();
    print_report(&run, &report);
done:
    model_config_free(&model);
    fields_free(&run_table, &run);
    fields_free(&train_table, &config);
    return status;
}

const Command train_command = {
    .name = "train",
    .summary = "Train a language model on a prepared corpus",
    .usage = "--data DIR --out RUN [options]",
    .details = "Trains a model on DIR/train.bin, evaluates it on DIR/valid.bin as it goes, and keeps RUN/last (to "
               "resume) and\n"
               "RUN/best (lowest loss on held-out text). Ctrl-C saves and ends with code 130; again, a second or more "
               "later, it\n"
               "ends at once. Before the first step the program says how much memory and time the run will take.\n"
               "\n"
               "    lmu train --data corpus --out run --dim 256 --layers 6 --tokens 20M\n"
               "    lmu train --resume --out run\n"
               "    lmu train --from run --data other --out run2 --tokens 5M --learning-rate 5e-4",
    .tables = {&run_table, &model_table, &train_table},
    .run = run_train,
};
