/* Decoding: one token at a time, with carried state. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "measure.h"
#include "tensor/summary.h"

#define SECONDS 1.0 /* of timed tokens, unless their number is given */
#define LEAST 20
#define MOST 4096

typedef struct Decoding {
    Model *model; /* borrowed */
    Graph *graph;
    State *state;
    int64_t streams, position;
    int64_t *count;
    int32_t *ids;
} Decoding;

static lmu_status decoding_open(Model *model, int64_t streams, Decoding *out)
{
    Tensor *result;
    const int64_t *numbers;
    *out = (Decoding){.model = model, .streams = streams};
    TRY(model_graph(model, GRAPH_DECODE, (int)streams, streams, 0, &out->graph, &result));
    int slots = graph_states(out->graph, &numbers);
    TRY(state_open(model->backend, slots, numbers, streams, &out->state));
    TRY(memory_new(&out->count, (size_t)streams, sizeof *out->count, "a batch"));
    TRY(memory_new(&out->ids, (size_t)streams, sizeof *out->ids, "a batch"));
    for (int64_t r = 0; r < streams; r++)
        out->count[r] = 1;
    return LMU_OK;
}

static void decoding_close(Decoding *d)
{
    graph_close(d->graph);
    state_close(d->state);
    free(d->count);
    free(d->ids);
}

/* The next token of every stream. */
static lmu_status decoding_step(Decoding *d)
{
    bench_ids(d->streams, d->model->config.vocabulary, (int)(d->position & 1), d->ids);
    Run run = {.rows = (int)d->streams, .count = d->count, .ids = d->ids, .state = d->state};
    d->position++;
    return graph_run(d->graph, &run);
}

/* Bytes that a step cannot but read, whatever the number of streams: every matrix once, as products multiply them, the table as
 * the head; and of each stream its state, which for attention is the keys and values so far. */
static double decoding_bytes(const Decoding *d)
{
    const Params *p = d->model->params;
    const ModelConfig *c = &d->model->config;
    double numbers = 0, each = d->model->backend->compute == COMPUTE_BF16 ? 2 : 4;
    for (size_t i = 0; i < p->count; i++)
        if (p->list[i]->role != PARAM_VECTOR && !param_is_int8(p->list[i]) &&
            strcmp(p->list[i]->name, "position.weight") != 0)
            numbers += (double)p->list[i]->size;
    int64_t seen = c->window > 0 && c->window < d->position ? c->window : d->position;
    double state = strcmp(c->arch, "transformer") == 0 ? 2 * (double)seen : (double)c->order;
    return numbers * each + (double)p->int8_bytes + (double)d->streams * state * (double)(c->dim * c->layers) * 4;
}

/* Bytes that the parameters take in memory, with what is derived from them. */
static double parameter_bytes(const Decoding *d)
{
    const Params *p = d->model->params;
    PlanSummary summary;
    double bytes = (double)p->length * (double)d->model->backend->real_size + (double)p->int8_bytes;
    if (graph_summary(d->graph, 1, &summary) == LMU_OK)
        bytes += (double)summary.derived;
    plan_summary_free(&summary);
    return bytes;
}

/* Seconds of the clock and of the processor that a step takes, medians. */
static lmu_status decoding_measure(Decoding *d, const BenchOptions *o, double *middle, double *processor)
{
    double seconds[MOST], cpu[MOST];
    size_t done = 0;
    for (int64_t i = 0; i <= o->prefix; i++)
        TRY(decoding_step(d));
    double start = machine_seconds();
    while (done < MOST && (o->steps ? (int64_t)done < o->steps : done < LEAST || machine_seconds() - start < SECONDS)) {
        double before = machine_seconds(), used = cpu_seconds();
        if (d->position == d->model->config.context && d->model->config.window == 0 &&
            strcmp(d->model->config.arch, "transformer") == 0)
            break;
        TRY(decoding_step(d));
        seconds[done] = machine_seconds() - before;
        cpu[done++] = cpu_seconds() - used;
    }
    *middle = median(seconds, done);
    *processor = median(cpu, done);
    return done ? LMU_OK : error_set(LMU_USAGE, "the prefix leaves nothing of the model's context to decode");
}

static json_t *decoding_line(const Decoding *d, const BenchOptions *o, double seconds, double cpu, double read,
                             double idle, double peak)
{
    const ModelConfig *c = &d->model->config;
    double bytes = decoding_bytes(d);
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:f}", "bench",
        "decode", "arch", c->arch, "dim", (json_int_t)c->dim, "layers", (json_int_t)c->layers, "order",
        (json_int_t)c->order, "vocabulary", (json_int_t)c->vocabulary, "streams", (json_int_t)d->streams, "parameters",
        (json_int_t)params_total(d->model->params), "prefix", (json_int_t)o->prefix, "seconds", seconds, "cpu_seconds",
        cpu, "tokens_per_second", (double)d->streams / seconds, "gflops",
        (double)d->streams * graph_flops(d->graph, o->prefix) / seconds / 1e9, "bytes_read", bytes,
        "gigabytes_per_second", bytes / seconds / 1e9, "share_of_reading", read / seconds, "idle_mib", idle / 1048576,
        "peak_mib", peak / 1048576, "weights", model_is_int8(d->model) ? "int8" : "float", "parameter_mib",
        parameter_bytes(d) / 1048576);
}

static lmu_status round_model(Model **model)
{
    Model *rounded;
    TRY(model_quantize(*model, &rounded));
    model_close(*model);
    *model = rounded;
    return LMU_OK;
}

static lmu_status decode_one(const BenchOptions *o)
{
    Backend *backend;
    Model *model = NULL;
    Decoding d = {0};
    int64_t streams = o->batch ? o->batch : 1, threads = o->threads ? o->threads : streams == 1;
    double seconds, cpu, read;
    TRY(bench_backend(threads, (ComputeChoice)o->compute, &backend));
    lmu_status status;
    double idle = (double)machine_peak_resident();
    ATTEMPT(model_create(backend, &o->model, 0, &model));
    if (o->int8)
        ATTEMPT(round_model(&model));
    ATTEMPT(decoding_open(model, streams, &d));
    ATTEMPT(decoding_measure(&d, o, &seconds, &cpu));
    double peak = (double)machine_peak_resident();
    ATTEMPT(measure_read(backend->threads, decoding_bytes(&d), &read));
    ATTEMPT(bench_line(backend, decoding_line(&d, o, seconds, cpu, read, idle, peak)));
done:
    decoding_close(&d);
    model_close(model);
    backend_close(backend);
    return status;
}

static lmu_status decode_standard(const BenchOptions *o, const char *arch, int64_t dim, int64_t layers, int64_t streams)
{
    static const int computes[] = {COMPUTE_CHOICE_F32, COMPUTE_CHOICE_AUTO};
    BenchOptions one = *o;
    one.batch = streams;
    TRY(bench_config(arch, 8192, dim, layers, 16, &one.model));
    lmu_status status = LMU_OK;
    for (int i = 0; status == LMU_OK && i < 2; i++) {
        one.compute = computes[i];
        status = bench_apart(decode_one, &one, "decode");
    }
    model_config_free(&one.model);
    return status;
}

lmu_status bench_decode(const BenchOptions *o)
{
    if (o->arch)
        return bench_apart(decode_one, o, "decode");
    TRY(decode_standard(o, "lmu", 256, 6, 1));
    TRY(decode_standard(o, "transformer", 256, 6, 1));
    TRY(decode_standard(o, "lmu", 1024, 15, 1));
    return decode_standard(o, "lmu", 256, 6, 32);
}
