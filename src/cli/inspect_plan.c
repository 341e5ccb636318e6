#include "cli/inspect_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "tensor/summary.h"
#include "train/trainer.h"

#define LENGTH_UNKNOWN 256 /* tokens of a training window, where no record of training tells */
#define LINES 12           /* of the largest buffers */

static const Field fields[] = {
    FIELD_FLAG_OF(PlanOptions, plan, "false", "print the plan of memory in training instead"),
    FIELD_COUNT_OF(PlanOptions, batch, "0", 0, 1 << 20, "windows", "windows in one step; 0: as the run has it"),
    FIELD_COUNT_OF(PlanOptions, micro_batch, "0", 0, 1 << 20, "windows",
                   "windows worked on at a time; 0: as the run has it, or about 2,048 tokens"),
    FIELD_COUNT_OF(PlanOptions, length, "0", 0, 1 << 24, "tokens",
                   "length of a training window; 0: as the run has it, or 256"),
    FIELD_CHOICE_OF(PlanOptions, recompute, "auto", "auto|yes|no",
                    "plan for lmu train --recompute; auto: as the run has it, or no"),
    FIELD_CHOICE_OF(PlanOptions, compute, "auto", "auto|f32|bf16",
                    "plan for lmu train --compute; auto: as the run has it"),
};
const FieldTable plan_table = {"Plan", fields, sizeof fields / sizeof *fields};

lmu_status plan_options_check(const PlanOptions *o)
{
    const char *given = o->batch                              ? "batch"
                        : o->micro_batch                      ? "micro-batch"
                        : o->length                           ? "length"
                        : o->recompute != PLAN_RECOMPUTE_AUTO ? "recompute"
                        : o->compute != PLAN_COMPUTE_AUTO     ? "compute"
                                                              : NULL;
    if (given && !o->plan)
        return error_set(LMU_USAGE, "--%s says what a plan is for: give --plan too", given);
    return LMU_OK;
}

lmu_status plan_rows(const PlanOptions *options, const RunRecord *record, int *rows, int64_t *length)
{
    *length = options->length ? options->length : record->found ? record->length : LENGTH_UNKNOWN;
    int64_t batch = options->batch ? options->batch : record->found ? record->batch : 1 << 20;
    int64_t micro = options->micro_batch ? options->micro_batch : record->micro_batch;
    *rows = train_micro_batch(&(TrainConfig){.batch = batch, .length = *length, .micro_batch = micro});
    if (options->micro_batch > batch)
        return error_set(LMU_USAGE, "--micro-batch %lld: a step has %lld windows, see --batch",
                         (long long)options->micro_batch, (long long)batch);
    return LMU_OK;
}

lmu_status plan_compute(const PlanOptions *options, const RunRecord *record, Backend *backend)
{
    backend->memory = (MemoryForm)record->memory;
    if (options->compute != PLAN_COMPUTE_AUTO)
        return backend_compute(backend, options->compute == PLAN_COMPUTE_BF16 ? COMPUTE_BF16 : COMPUTE_F32);
    return backend_choose_compute(backend, record->found ? record->compute : COMPUTE_CHOICE_AUTO);
}

/* ---- for people ---- */

static void print_bytes(const char *name, int64_t bytes)
{
    char text[32];
    printf("  %-13s %14lld bytes, %s\n", name, (long long)bytes, format_bytes((double)bytes, text, sizeof text));
}

void memory_plan_print(const MemoryPlan *plan, bool trains)
{
    print_bytes("parameters", plan->parameters);
    if (plan->derived > 0)
        print_bytes("derived", plan->derived);
    if (trains) {
        print_bytes("gradients", plan->gradients);
        print_bytes("moments", plan->moments);
    }
    print_bytes("activations", plan->activations);
    print_bytes("constants", plan->constants);
    print_bytes("workspace", plan->workspace);
    if (!trains)
        print_bytes("state", plan->state);
    print_bytes("in all", memory_plan_total(plan));
    print_bytes("largest", plan->largest);
}

static const char *kind_name(const PlannedBuffer *buffer)
{
    static const char *const names[] = {"input", "value", "saved", "gradient"};
    static const char *const again[] = {"input", "value again", "saved again", "gradient"};
    return (buffer->again ? again : names)[buffer->kind];
}

/* "layer.0.ffn.up linear, value" */
static char *buffer_name(const PlannedBuffer *buffer, char *out, size_t size)
{
    const Node *node = buffer->node;
    if (node)
        snprintf(out, size, "%s%s%s, %s", node->scope, node->scope[0] ? " " : "", node->op->name, kind_name(buffer));
    else
        snprintf(out, size, "%s of the graph", kind_name(buffer));
    return out;
}

static const char *type_name(const PlannedBuffer *buffer)
{
    if (buffer->tensor->integer)
        return "int32";
    return (buffer->kind == PLANNED_GRADIENT ? buffer->tensor->half_gradient : buffer->tensor->half) ? "bf16" : "f32";
}

/* "f32 4096 x 256" */
static char *numbers_name(const PlannedBuffer *buffer, char *out, size_t size)
{
    const Tensor *tensor = buffer->tensor;
    size_t used = (size_t)snprintf(out, size, "%s ", type_name(buffer));
    for (int i = 0; i < tensor->rank && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%lld", i ? " x " : "", (long long)tensor->shape[i]);
    return out;
}

static void print_live(const PlanSummary *summary)
{
    char name[320], shape[96], text[32];
    int width = 24;
    size_t shown = summary->count < LINES ? summary->count : LINES, rest = 0;
    for (size_t i = 0; i < shown; i++) {
        int length = (int)strlen(buffer_name(&summary->live[i], name, sizeof name));
        width = length > width ? length : width;
    }
    printf("  %-*s  %-18s %10s  %s\n", width, "what lives there", "numbers", "memory", "steps");
    for (size_t i = 0; i < shown; i++) {
        const PlannedBuffer *b = &summary->live[i];
        printf("  %-*s  %-18s %10s  %d to %d\n", width, buffer_name(b, name, sizeof name),
               numbers_name(b, shape, sizeof shape), format_bytes((double)b->bytes, text, sizeof text), b->first + 1,
               b->last + 1);
    }
    for (size_t i = shown; i < summary->count; i++)
        rest += summary->live[i].bytes;
    if (rest > 0) {
        snprintf(name, sizeof name, "%zu more, none larger", summary->count - shown);
        printf("  %-*s  %-18s %10s\n", width, name, "", format_bytes((double)rest, text, sizeof text));
    }
}

typedef struct Planned {
    MemoryPlan memory;
    Graph *outline;
    PlanSummary summary;
} Planned;

/* planned[0] without recomputation, planned[1] with it. */
static void print_other(const Planned *planned, bool recompute)
{
    char a[32], b[32], c[32], d[32];
    const MemoryPlan *this = &planned[recompute].memory, *other = &planned[!recompute].memory;
    printf("\n%s: activations %s instead of %s, in all %s instead of %s;\n",
           recompute ? "Without --recompute" : "With --recompute",
           format_bytes((double)other->activations, a, sizeof a), format_bytes((double)this->activations, b, sizeof b),
           format_bytes((double)memory_plan_total(other), c, sizeof c),
           format_bytes((double)memory_plan_total(this), d, sizeof d));
    printf("%d of %d forward steps %s again, %.0f%% more FLOPs than the model's\n", planned[1].summary.repeated,
           planned[1].summary.forward, recompute ? "would no longer run" : "would run",
           100 * planned[1].summary.repeated_flops / this->flops);
}

static void print_plan(const Model *model, const Planned *planned, bool recompute)
{
    char text[32];
    const MemoryPlan *memory = &planned[recompute].memory;
    const PlanSummary *summary = &planned[recompute].summary;
    const Step *steps;
    graph_steps(planned[recompute].outline, &steps);
    const Step *peak = &steps[summary->peak];
    printf("Memory of training %s, dim %lld, layers %lld, %lld windows of %lld tokens at a time, %s products%s\n",
           model->arch->name, (long long)model->config.dim, (long long)model->config.layers, (long long)memory->rows,
           (long long)(memory->tokens / memory->rows), backend_compute_name(model->backend),
           recompute ? ", blocks computed again" : "");
    memory_plan_print(memory, true);
    printf("\nMost lives at step %d of %d, %s%s%s %s: %s of activations in %zu buffers\n", summary->peak + 1,
           summary->steps, peak->node->scope, peak->node->scope[0] ? " " : "", peak->node->op->name,
           step_direction(peak), format_bytes((double)summary->peak_bytes, text, sizeof text), summary->count);
    print_live(summary);
    print_other(planned, recompute);
}

/* ---- for programs ---- */

json_t *memory_plan_json(const MemoryPlan *plan)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "rows", (json_int_t)plan->rows,
                     "tokens", (json_int_t)plan->tokens, "parameters", (json_int_t)plan->parameters, "derived",
                     (json_int_t)plan->derived, "gradients", (json_int_t)plan->gradients, "moments",
                     (json_int_t)plan->moments, "activations", (json_int_t)plan->activations, "constants",
                     (json_int_t)plan->constants, "workspace", (json_int_t)plan->workspace, "state",
                     (json_int_t)plan->state, "total", (json_int_t)memory_plan_total(plan), "largest",
                     (json_int_t)plan->largest);
}

static json_t *live_json(const PlanSummary *summary)
{
    json_t *list = json_array();
    for (size_t i = 0; i < summary->count; i++) {
        const PlannedBuffer *b = &summary->live[i];
        json_t *shape = json_array();
        for (int k = 0; k < b->tensor->rank; k++)
            json_array_append_new(shape, json_integer(b->tensor->shape[k]));
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s, s:o, s:I, s:i, s:i}", "scope", b->node ? b->node->scope : "",
                            "operator", b->node ? b->node->op->name : "", "kind", kind_name(b), "type", type_name(b),
                            "shape", shape, "bytes", (json_int_t)b->bytes, "first", b->first, "last", b->last));
    }
    return list;
}

static json_t *planned_json(const Planned *planned)
{
    const PlanSummary *s = &planned->summary;
    const Step *steps;
    graph_steps(planned->outline, &steps);
    const Step *peak = &steps[s->peak];
    return json_pack("{s:o, s:i, s:i, s:f, s:{s:i, s:s, s:s, s:s, s:I, s:o}}", "memory",
                     memory_plan_json(&planned->memory), "steps", s->steps, "repeated_steps", s->repeated,
                     "repeated_flops_a_token", s->repeated_flops, "peak", "step", s->peak, "scope", peak->node->scope,
                     "operator", peak->node->op->name, "direction", step_direction(peak), "bytes",
                     (json_int_t)s->peak_bytes, "live", live_json(s));
}

static lmu_status print_plan_json(const Model *model, const Planned *planned, bool recompute)
{
    json_t *configuration;
    TRY(model_config_to_json(&model->config, &configuration));
    json_t *object =
        json_pack("{s:o, s:b, s:s, s:f, s:o, s:o}", "configuration", configuration, "recompute", recompute, "compute",
                  backend_compute_name(model->backend), "training_flops_a_token", planned[0].memory.flops, "kept",
                  planned_json(&planned[0]), "recomputed", planned_json(&planned[1]));
    if (!object)
        return error_set(LMU_MEMORY, "no memory for a plan as JSON");
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return LMU_OK;
}

/* ---- the command ---- */

/* The configuration of a run or checkpoint, or of a file that a user wrote. */
static lmu_status read_configuration(const char *run, ModelConfig *config)
{
    if (file_is_directory(run) || !file_exists(run)) {
        char *directory, *path;
        TRY(checkpoint_find(run, &directory));
        lmu_status status = path_join(directory, "config.json", &path);
        if (status == LMU_OK)
            status = model_config_read(path, config);
        free(path);
        free(directory);
        return status;
    }
    TRY(model_config_read_draft(run, config));
    if (config->vocabulary > 0)
        return LMU_OK;
    model_config_free(config);
    return error_set(LMU_FORMAT, "%s: a plan needs the size of the vocabulary: add the key \"vocabulary\"", run);
}

lmu_status inspect_plan(const char *run, const PlanOptions *options, bool json)
{
    ModelConfig config = {0};
    Backend *backend = NULL;
    Model *model = NULL;
    RunRecord record = {0};
    Planned planned[2] = {0};
    int rows;
    int64_t length;
    lmu_status status;
    TRY(read_configuration(run, &config));
    ATTEMPT(run_record_read(run, &record));
    ATTEMPT(backend_open(BACKEND_CPU, 0, false, &backend));
    ATTEMPT(plan_compute(options, &record, backend));
    ATTEMPT(model_open(backend, &config, &model));
    ATTEMPT(plan_rows(options, &record, &rows, &length));
    bool recompute =
        options->recompute == PLAN_RECOMPUTE_AUTO ? record.recompute : options->recompute == PLAN_RECOMPUTE_YES;
    for (int with = 0; with < 2; with++) {
        Planned *p = &planned[with];
        ATTEMPT(model_outline(model, GRAPH_TRAIN, with ? GRAPH_RECOMPUTE : 0, rows, length, &p->memory, &p->outline));
        ATTEMPT(graph_summary(p->outline, length, &p->summary));
    }
    if (json)
        ATTEMPT(print_plan_json(model, planned, recompute));
    else
        print_plan(model, planned, recompute);
done:
    for (int with = 0; with < 2; with++) {
        plan_summary_free(&planned[with].summary);
        graph_close(planned[with].outline);
    }
    model_close(model);
    backend_close(backend);
    run_record_free(&record);
    model_config_free(&config);
    return status;
}
